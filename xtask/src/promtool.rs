//! promtool, which checks Prometheus' rules and tries them: this machine's, or that of Debian's package, which is unpacked and not installed, as
//! it would start a server.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::apt;
use crate::run::{Outcome, root};

/// The program. Where it is not in the `PATH`, it is taken from Debian's package `prometheus`: by root, on a machine that has apt.
///
/// # Errors
/// Where there is none, and it cannot be had; says how to.
pub fn binary() -> Outcome<PathBuf> {
    static BINARY: OnceLock<Outcome<PathBuf>> = OnceLock::new();
    BINARY.get_or_init(|| found().map_or_else(unpacked, Ok)).clone()
}

fn found() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join("promtool")).find(|program| program.is_file())
}

fn unpacked() -> Outcome<PathBuf> {
    let folder = root().join("target/tools/prometheus");
    let program = folder.join("usr/bin/promtool");
    if program.is_file() {
        return Ok(program);
    }
    if !apt::obeys() {
        return Err("promtool is not installed: `apt-get install prometheus`".to_owned());
    }
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    apt::unpack("promtool", "prometheus", &folder)?;
    if program.is_file() { Ok(program) } else { Err("Debian's prometheus has no promtool any more".to_owned()) }
}
