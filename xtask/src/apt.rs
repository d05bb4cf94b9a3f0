//! apt, for programs that tests want and Debian has: asked only where root runs this on a machine that has it.

use std::path::Path;

use crate::run::{Outcome, output, program, run, say};

/// Whether this is root, whom PostgreSQL refuses to serve and apt obeys.
#[must_use]
pub fn is_root() -> bool {
    output(&mut program("id", &["-u"])).is_ok_and(|id| id.trim() == "0")
}

/// Whether packages can be installed without asking anybody.
#[must_use]
pub fn obeys() -> bool {
    output(&mut program("apt-get", &["--version"])).is_ok() && is_root()
}

/// Fetches the list of packages, says what is being installed, and installs the first of these that is on the list.
///
/// # Errors
/// Where apt fails, or knows none of them.
pub fn install<'a>(what: &str, packages: &[&'a str]) -> Outcome<&'a str> {
    say(&format!("installing {what}"));
    apt(&["update"])?;
    let is_known = |package: &&&str| output(&mut program("apt-cache", &["show", package])).is_ok();
    let package = packages.iter().find(is_known).ok_or_else(|| format!("apt knows no {}", packages.join(", nor ")))?;
    apt(&["install", "--yes", "--no-install-recommends", package])?;
    Ok(package)
}

/// Fetches a package, says so, and unpacks it into a folder, without installing it or anything that it needs.
///
/// # Errors
/// Where apt or dpkg fails, or the disk says no.
pub fn unpack(what: &str, package: &str, folder: &Path) -> Outcome {
    say(&format!("fetching {what}"));
    if is_root() {
        apt(&["update"])?;
    }
    // apt's own user may not write into the folder: root fetches.
    let fetch = ["--quiet", "--option", "APT::Sandbox::User=root", "download", package];
    run(program("apt-get", &fetch).current_dir(folder))?;
    let files = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let fetched = files.flatten().map(|file| file.path()).find(|path| path.extension().is_some_and(|ext| ext == "deb"));
    let fetched = fetched.ok_or_else(|| format!("apt has fetched no {package}"))?;
    run(program("dpkg-deb", &["--extract"]).arg(&fetched).arg(folder))?;
    std::fs::remove_file(&fetched).map_err(|error| format!("{}: {error}", fetched.display()))
}

fn apt(args: &[&str]) -> Outcome {
    let quiet = ["--quiet", "--option", "DPkg::Lock::Timeout=120"];
    run(program("apt-get", &[&quiet, args].concat()).env("DEBIAN_FRONTEND", "noninteractive"))
}
