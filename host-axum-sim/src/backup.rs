//! The commands `backup` and `restore`: a data directory, copied as it was at one moment.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use booking_hosting::flags::{CannotRun, because};
use clap::Args;

use crate::store::{Record, StoreError, copy};

#[derive(Args)]
pub(crate) struct BackupArgs {
    /// The directory; a server may be at work in it
    #[arg(long, env = "BOOKING_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    /// Where to: a directory that is not there yet, or is empty
    #[arg(value_name = "TO")]
    to: PathBuf,
}

#[derive(Args)]
pub(crate) struct RestoreArgs {
    /// The backup. It stays as it is
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// The directory to make of it, which is not there yet, or is empty
    #[arg(long, env = "BOOKING_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
}

impl BackupArgs {
    /// # Errors
    /// [`CannotRun`], for a person.
    pub(crate) fn run(&self) -> Result<(), CannotRun> {
        let copied = copied(&self.data_dir, &self.to)?;
        say(&format!("{} has {copied}, as they were at one moment", self.to.display()))
    }
}

impl RestoreArgs {
    /// # Errors
    /// [`CannotRun`], for a person.
    pub(crate) fn run(&self) -> Result<(), CannotRun> {
        let copied = copied(&self.backup, &self.data_dir)?;
        say(&format!("{} has {copied}, as they were when the backup was made", self.data_dir.display()))?;
        say("What was sold and paid since then is not in it, but the gateway has the money: compare with what it says")
    }
}

/// Copies, reads back what was written, and tells how much that is.
fn copied(from: &Path, to: &Path) -> Result<String, CannotRun> {
    let records = copy(from, to).map_err(because("it cannot be copied"))?;
    let (mut tickets, mut checkouts) = (0_u64, 0_u64);
    for record in records {
        match record {
            Ok(Record::Seat(..)) => tickets += 1,
            Ok(Record::Checkout(_)) => checkouts += 1,
            Ok(_) => {}
            // The copy has the same bytes: another build may read them.
            Err(seat @ StoreError::Seat { .. }) => {
                tickets += 1;
                say(&format!("{seat}"))?;
            }
            Err(error) => return Err(because("the copy cannot be read")(error)),
        }
    }
    Ok(format!("{tickets} tickets and {checkouts} checkouts"))
}

fn say(line: &str) -> Result<(), CannotRun> {
    writeln!(io::stdout(), "{line}").map_err(because("standard output"))
}
