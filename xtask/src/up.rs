//! `cargo xtask restate up` and `down`: a Restate server and host-restate on this machine, to try things with.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use xtask::restate::{Setup, free_port};
use xtask::run::{Outcome, cargo, output, program, root, say};

/// Where everything is kept that belongs to it.
const FOLDER: &str = "target/restate";

#[derive(Args)]
pub(crate) struct UpArgs {
    /// The port of the ingress, which buyers ask; a free one where it is 0
    #[arg(long, default_value_t = 8080)]
    ingress_port: u16,
    /// The port of the admin API, with its pages for people
    #[arg(long, default_value_t = 9070)]
    admin_port: u16,
    /// The port of the host, which Restate asks
    #[arg(long, default_value_t = 9080)]
    host_port: u16,
    /// Build the host for speed, which takes some minutes
    #[arg(long)]
    release: bool,
    /// More for `host-restate serve`, such as `-- --admin-handlers`; it pays with the mock gateway where none is named
    #[arg(last = true)]
    host: Vec<String>,
}

fn folder() -> PathBuf {
    root().join(FOLDER)
}

/// What was started, to be stopped again.
fn remembered() -> PathBuf {
    folder().join("up.json")
}

fn or_free(port: u16) -> Outcome<u16> {
    if port == 0 { free_port() } else { Ok(port) }
}

/// Starts a command that continues when this one has ended.
fn start(command: &mut Command, name: &str) -> Outcome<u32> {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    command.spawn().map(|child| child.id()).map_err(|error| format!("{name}: {error}"))
}

pub(crate) fn up(args: &UpArgs) -> Outcome {
    if remembered().exists() {
        return Err("it is up already; `cargo xtask restate down` stops it".to_owned());
    }
    let setup = Setup {
        ingress: or_free(args.ingress_port)?,
        admin: or_free(args.admin_port)?,
        ..Setup::in_folder(folder().join("server"))?
    };
    let listen = format!("127.0.0.1:{}", or_free(args.host_port)?);
    say("building host-restate");
    let host = built(args.release)?;
    let mut started = vec![("restate-server", start(&mut setup.command()?, "the Restate server")?)];
    remember(&started)?;
    let outcome = setup.wait(|| false).and_then(|()| {
        let log = File::create(folder().join("host.log")).map_err(|error| error.to_string())?;
        let mut command = Command::new(host);
        command.args(["serve", "--listen", &listen]).args(&args.host);
        if !args.host.iter().any(|arg| arg.starts_with("--payment-url")) {
            command.args(["--mock-payment", "--payment-delay", "0ms"]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        started.push(("host-restate", start(&mut command, "host-restate")?));
        remember(&started)?;
        registered(&setup, &format!("http://{listen}"))
    });
    if let Err(why) = outcome {
        let _as_well_as_it_goes = down();
        return Err(why);
    }
    let ingress = setup.ingress_url();
    say(&format!(
        "\nIt is up; its logs are in {FOLDER}. Buy a seat:\n\n  curl {ingress}/Checkout/process --json \
         '{{\"ticketId\":\"arena:A:12\",\"userId\":\"ann\"}}'\n\nLook at what Restate did for it: {}/ui\nStop it: cargo \
         xtask restate down",
        setup.admin_url()
    ));
    Ok(())
}

/// The host may take a moment before it can be asked what it serves.
fn registered(setup: &Setup, host: &str) -> Outcome {
    let start = Instant::now();
    loop {
        match setup.register(host) {
            Err(_) if start.elapsed() < Duration::from_secs(10) => std::thread::sleep(Duration::from_millis(100)),
            outcome => {
                let log = std::fs::read_to_string(folder().join("host.log")).unwrap_or_default();
                return outcome.map_err(|why| format!("{why}\n{log}"));
            }
        }
    }
}

fn built(release: bool) -> Outcome<PathBuf> {
    let mut build =
        vec!["build", "--locked", "--package", "host-restate", "--message-format", "json-render-diagnostics"];
    build.extend(release.then_some("--release"));
    let messages = output(&mut cargo(&build))?;
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let found = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    found.ok_or_else(|| "cargo tells of no host-restate".to_owned())
}

fn remember(started: &[(&str, u32)]) -> Outcome {
    let started: Vec<Value> = started.iter().map(|(name, id)| json!({ "name": name, "id": id })).collect();
    let path = remembered();
    let write = || {
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        std::fs::write(&path, Value::from(started).to_string())
    };
    write().map_err(|error| format!("{}: {error}", path.display()))
}

pub(crate) fn down() -> Outcome {
    let path = remembered();
    let Ok(text) = std::fs::read_to_string(&path) else {
        say("nothing is up");
        return Ok(());
    };
    let started: Vec<Value> = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    for one in started.iter().rev() {
        let (name, id) = (one["name"].as_str().unwrap_or_default(), one["id"].as_u64().unwrap_or_default().to_string());
        // The number may be that of another process by now.
        let is_ours = || {
            output(&mut program("ps", &["-o", "comm=", "-p", &id]))
                .is_ok_and(|comm| name.starts_with(comm.trim()) && !comm.trim().is_empty())
        };
        if !is_ours() {
            continue;
        }
        let _may_have_ended = output(&mut program("kill", &["-TERM", &id]));
        let start = Instant::now();
        while is_ours() && start.elapsed() < Duration::from_secs(40) {
            std::thread::sleep(Duration::from_millis(50));
        }
        say(&format!("stopped {name}"));
    }
    std::fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))
}
