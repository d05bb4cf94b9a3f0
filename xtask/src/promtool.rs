//! promtool, which checks Prometheus' rules and tries them: this machine's, or that of Debian's package, which is unpacked and not installed, as
//! it would start a server.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::apt;
use crate::run::{Outcome, root};

/// The program. Where it is not in the `PATH`, it is taken from Debian's package `prometheus`, on a machine that has apt.
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
    // Unpacked beside it: what was cut short is not taken for the whole.
    let unfinished = folder.with_extension("unfinished");
    let because = |error: std::io::Error| format!("{}: {error}", unfinished.display());
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(because)?;
    }
    fs::create_dir_all(&unfinished).map_err(because)?;
    apt::unpack("promtool", "prometheus", &unfinished)
        .map_err(|why| format!("{why}. promtool is part of Prometheus, and wanted in the PATH"))?;
    fs::rename(&unfinished, &folder).map_err(because)?;
    if program.is_file() { Ok(program) } else { Err("Debian's prometheus has no promtool any more".to_owned()) }
}
