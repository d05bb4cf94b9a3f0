//! PostgreSQL's programs, which a benchmark compares with: those of this machine, or those that Debian has.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::apt;
use crate::run::Outcome;

/// Where Debian keeps them, with a folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The version that is compared with. Another does, where a machine has only that.
const VERSION: &str = "15";

/// Tells Debian's packages to make no server for the whole machine. Here only while they are installed.
const NO_CLUSTER: &str = "/etc/postgresql-common/createcluster.d/booking-no-cluster.conf";

/// The folder of `initdb` and `postgres`. Where they are neither in the `PATH` nor where Debian puts them, they are
/// installed with apt: by root, on a machine that has it. No server is started.
///
/// # Errors
/// Where there are none, and they cannot be installed; says how to.
pub fn binaries() -> Outcome<PathBuf> {
    static BINARIES: OnceLock<Outcome<PathBuf>> = OnceLock::new();
    BINARIES.get_or_init(|| found().map_or_else(installed, Ok)).clone()
}

fn found() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|version| version.path());
    let mut versions: Vec<PathBuf> = versions.collect();
    versions.sort_by_key(|version| !version.ends_with(VERSION));
    let versions = versions.into_iter().map(|version| version.join("bin"));
    std::env::split_paths(&path).chain(versions).find(|folder| has_them(folder))
}

fn has_them(folder: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|name| folder.join(name).is_file())
}

fn installed() -> Outcome<PathBuf> {
    let wanted = format!("postgresql-{VERSION}");
    if !apt::obeys() {
        return Err(format!("PostgreSQL is not installed: `apt-get install {wanted}`, or its programs in the PATH"));
    }
    let package = without_a_cluster(|| apt::install("PostgreSQL", &[&wanted, "postgresql"]))?;
    found().ok_or_else(|| format!("{package} has no initdb and postgres in {DEBIAN}"))
}

fn without_a_cluster<T>(install: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let cannot = |error: std::io::Error| format!("{NO_CLUSTER}: {error}");
    let folder = Path::new(NO_CLUSTER).parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(folder).map_err(cannot)?;
    std::fs::write(NO_CLUSTER, "create_main_cluster = false\n").map_err(cannot)?;
    let outcome = install();
    std::fs::remove_file(NO_CLUSTER).map_err(cannot)?;
    outcome
}
