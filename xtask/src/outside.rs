//! `cargo xtask fuzz` and `cargo xtask api`: what comes from outside, and what is promised to the outside. Both need nightly Rust.

use std::fs;

use xtask::run::{Outcome, cargo, output, program, root, run, say};

/// The fuzz targets, with the folder of examples that they begin with.
const TARGETS: [&str; 2] = ["wire", "stored"];

/// Where the public names of the library are written down.
const API: &str = "booking-core/api.txt";

/// Lets libFuzzer draw bytes for each target, for a time. What fails is kept in `booking-core/fuzz/artifacts`, and its command is printed.
pub(crate) fn fuzz(seconds: u64) -> Outcome {
    output(&mut cargo(&["fuzz", "--version"]))
        .map_err(|_| "this needs cargo-fuzz: `cargo install --locked cargo-fuzz`")?;
    for target in TARGETS {
        begin_with(target)?;
        say(&format!("{target}: {seconds} s"));
        let time = format!("-max_total_time={seconds}");
        let args = [
            "+nightly",
            "fuzz",
            "run",
            "--fuzz-dir",
            "booking-core/fuzz",
            target,
            "--",
            &time,
            "-max_len=65536",
            "-print_final_stats=1",
        ];
        run(&mut program("cargo", &args))?;
    }
    Ok(())
}

/// Examples of what is right: fuzzing finds its way from there.
fn begin_with(target: &str) -> Outcome {
    let folder = root().join("booking-core/fuzz/corpus").join(target);
    let because = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(because)?;
    let mut examples: Vec<Vec<u8>> = Vec::new();
    if target == "wire" {
        let lines = read("booking-core/tests/fixtures/requests.jsonl")?;
        // A body stands there as it is sent, so a line is no JSON.
        let field =
            |line: &str, name: &str| Some(line.split_once(&format!("\"{name}\":\""))?.1.split('"').next()?.to_owned());
        for line in lines.lines() {
            let (Some(method), Some(path)) = (field(line, "method"), field(line, "path")) else { continue };
            let body = line.split_once("\"body\":").map_or("", |(_, body)| body.trim_end_matches('}'));
            examples.push(format!("{method} {path}\n{body}}}").into_bytes());
        }
    } else {
        let bodies = read("booking-core/fuzz/src/lib.rs")?;
        let forms =
            bodies.split_once("pub const FORMS: u8 = ").and_then(|(_, rest)| rest.split(';').next()?.parse().ok());
        let forms: u8 = forms.ok_or("booking-core/fuzz/src/lib.rs does not say how many stored forms there are")?;
        let journals =
            fs::read_dir(root().join("tests/fixtures")).map_err(|error| format!("tests/fixtures: {error}"))?;
        for file in journals.flatten().filter(|file| file.path().extension().is_some_and(|ext| ext == "jsonl")) {
            for line in fs::read_to_string(file.path()).unwrap_or_default().lines().take(4) {
                examples.extend((0..forms).map(|which| [&[which], line.as_bytes()].concat()));
            }
        }
    }
    if examples.is_empty() {
        return Err(format!("{target} has no examples to begin with"));
    }
    for (number, example) in examples.iter().enumerate() {
        fs::write(folder.join(format!("example-{number}")), example).map_err(because)?;
    }
    Ok(())
}

/// Compares the public names of `booking-core` with those written down; or writes them down anew, to be reviewed with the change.
pub(crate) fn api(write: bool) -> Outcome {
    output(&mut cargo(&["public-api", "--version"]))
        .map_err(|_| "this needs cargo-public-api: `cargo install --locked cargo-public-api`")?;
    let args = ["+nightly", "public-api", "--package", "booking-core", "--all-features", "-sss"];
    let is = output(&mut program("cargo", &args))?;
    if write {
        return fs::write(root().join(API), is).map_err(|error| format!("{API}: {error}"));
    }
    let was = read(API)?;
    let gone = was.lines().filter(|line| !is.lines().any(|it| it == *line)).map(|line| format!("- {line}"));
    let new = is.lines().filter(|line| !was.lines().any(|it| it == *line)).map(|line| format!("+ {line}"));
    let changed: Vec<String> = gone.chain(new).collect();
    if changed.is_empty() {
        say(&format!("{} public names, as {API} has them", is.lines().count()));
        return Ok(());
    }
    say(&changed.join("\n"));
    Err(format!(
        "the public names are not those of {API}: `cargo xtask api --write`, and say in CHANGELOG.md what has changed"
    ))
}

fn read(path: &str) -> Outcome<String> {
    fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}"))
}
