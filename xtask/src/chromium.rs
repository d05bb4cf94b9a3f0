//! The browser that tests open the page in, and what drives it: a Chromium of this machine or of Debian's, and npm's
//! packages by their lockfile.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::apt;
use crate::run::{Outcome, npm_ci, root};

/// What it is called, by who has packed it. The first that there is, is taken.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Debian's package. Fonts come along, with what finds them.
const PACKAGE: &str = "chromium";

/// Where the scripts are that open the page, and where the versions of what drives the browser are pinned.
const SCRIPTS: &str = "tests/browser";

/// The browser. Where none is in the `PATH`, Debian's is installed with apt: by root, on a machine that has it.
///
/// # Errors
/// Where there is none, and it cannot be installed; says what to install.
pub fn binary() -> Outcome<PathBuf> {
    static BINARY: OnceLock<Outcome<PathBuf>> = OnceLock::new();
    BINARY.get_or_init(|| found().map_or_else(installed, Ok)).clone()
}

/// The folder of the scripts that open the page. In its `node_modules` is what npm installs for them: playwright-core,
/// which brings no browser of its own, and axe-core.
///
/// # Errors
/// Where npm fails.
pub fn scripts() -> Outcome<PathBuf> {
    static FOLDER: OnceLock<Outcome<PathBuf>> = OnceLock::new();
    let installed = || {
        let folder = root().join(SCRIPTS);
        npm_ci(&folder, "playwright-core and axe-core")?;
        Ok(folder)
    };
    FOLDER.get_or_init(installed).clone()
}

fn found() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let all = NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    all.into_iter().find(|path| path.is_file())
}

fn installed() -> Outcome<PathBuf> {
    if !apt::obeys() {
        let names = NAMES.join(", ");
        return Err(format!("Chromium is not installed: `apt-get install {PACKAGE}`, or one of {names} in the PATH"));
    }
    apt::install("Chromium", &[PACKAGE])?;
    found().ok_or_else(|| format!("{PACKAGE} has put no {} into the PATH", NAMES[0]))
}
