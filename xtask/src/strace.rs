//! strace, with which tests hold up the system calls of a server: this machine's, or that of Debian.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::apt;
use crate::run::Outcome;

/// The program. Where it is not in the `PATH`, it is installed with apt: by root, on a machine that has it.
///
/// # Errors
/// Where there is none, and it cannot be installed; says how to.
pub fn binary() -> Outcome<PathBuf> {
    static BINARY: OnceLock<Outcome<PathBuf>> = OnceLock::new();
    BINARY.get_or_init(|| found().map_or_else(installed, Ok)).clone()
}

fn found() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join("strace")).find(|program| program.is_file())
}

fn installed() -> Outcome<PathBuf> {
    if !apt::obeys() {
        return Err("strace is not installed: `apt-get install strace`".to_owned());
    }
    apt::install("strace", &["strace"])?;
    found().ok_or_else(|| "apt has installed strace, and it is not in the PATH".to_owned())
}
