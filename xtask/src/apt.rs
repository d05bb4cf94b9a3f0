//! apt, for programs that tests want and Debian has: asked only where root runs this on a machine that has it.

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

fn apt(args: &[&str]) -> Outcome {
    let quiet = ["--quiet", "--option", "DPkg::Lock::Timeout=120"];
    run(program("apt-get", &[&quiet, args].concat()).env("DEBIAN_FRONTEND", "noninteractive"))
}
