//! Folders on a real disk, gone when they are no longer wanted.

use std::io;
use std::path::{Path, PathBuf};

/// A folder that is deleted when this is dropped. The program that uses it makes it.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// One of this process's own, in `/var/tmp`. Other temporary folders may be in memory, where nothing is ever flushed.
    /// The user that a server runs as may reach it.
    #[must_use]
    pub fn on_disk(name: &str) -> Self {
        Self(PathBuf::from(format!("/var/tmp/booking-bench-{}-{name}", std::process::id())))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// How many bytes its files have.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn bytes(&self) -> io::Result<u64> {
        std::fs::read_dir(&self.0)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _as_it_is = std::fs::remove_dir_all(&self.0);
    }
}
