//! An append log in a directory, for keys and bytes.
//!
//! A [`Directory`] has one owner, who [commits](Directory::commit) some values under their keys: all of them or none, synced before that
//! returns. After any crash, and any loss of power, it has every commit that was acknowledged. A bit that was altered, a file that is
//! missing and one of another directory are an error, and nothing is changed then. (But for the very last frame after a crash: one that was altered
//! looks like one that was not written to its end, and is cut off.) Old logs are made into a base on a thread, so
//! that what is on the disk is bounded by what is kept. Others may [`read`] it, or [`copy`] it, while its owner writes.
//!
//! ```
//! use booking_log::{Directory, LOG_BYTES, Opened};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let path = std::env::temp_dir().join(format!("booking-log-example-{}", std::process::id()));
//! let Opened { mut directory, mut entries, .. } = Directory::open(&path, LOG_BYTES)?;
//! while let Some((key, value)) = entries.next_entry()? {
//!     println!("{key:?} is {value:?}");
//! }
//! directory.commit([("one", Some("first")), ("two", None)])?;
//! # drop(directory);
//! # std::fs::remove_dir_all(&path)?;
//! # Ok(())
//! # }
//! ```
//!
//! Of what is read, the base comes from the disk entry by entry; what came after it is in memory for as long as the [`Entries`] are. A directory
//! answers no questions about its keys: it is for what a program has in memory anyway.

mod copy;
mod directory;
mod disk;
mod files;
pub mod frame;
#[cfg(test)]
mod power;

use std::io;

pub use copy::copy;
pub use directory::{Directory, LOG_BYTES, Opened};
pub use disk::create_private;
pub use files::{DirectoryError, Entries, Stored, is_in_use, read};

/// Whether a disk says no because there is no room, or because too many files are open, which may pass.
#[must_use]
pub fn is_for_want_of_room(error: &io::Error) -> bool {
    /// `ENFILE` and `EMFILE`, the same everywhere.
    const TOO_MANY_FILES: [i32; 2] = [23, 24];
    let too_many = cfg!(unix) && error.raw_os_error().is_some_and(|code| TOO_MANY_FILES.contains(&code));
    too_many || matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
