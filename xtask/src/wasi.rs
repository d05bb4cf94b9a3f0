//! Tests on wasm32: Rust's own test harness, built for wasm32-wasip1, in Node's WASI. It needs nothing but Node.

use std::process::Command;

use xtask::run::{Outcome, output, program, root};

/// The oldest Node that has been tried.
const NODE: u32 = 20;

pub(crate) fn check_node() -> Outcome {
    let version = output(&mut program("node", &["--version"]))
        .map_err(|why| format!("the tests on wasm32 need Node {NODE} or newer ({why})"))?;
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= NODE => Ok(()),
        _ => Err(format!("the tests on wasm32 need Node {NODE} or newer, this is {}", version.trim())),
    }
}

/// Makes cargo run what it builds for wasm32-wasip1 in Node.
pub(crate) fn with_runner(command: &mut Command) -> &mut Command {
    // As a list, so that a path with a space in it stays whole.
    let script = serde_json::Value::from(root().join("xtask/src/wasi.mjs").to_string_lossy());
    command.args(["--config", &format!("target.wasm32-wasip1.runner = [\"node\", \"--no-warnings\", {script}]")])
}
