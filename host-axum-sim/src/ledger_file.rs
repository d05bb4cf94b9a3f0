//! A file that keeps the mock gateway's accounts: a line each time one changes, so that a ledger outlives its process.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use booking_core::format;
use booking_core::ids::PaymentKey;

use crate::store::{KeptAccount, Record, Store};

/// The file, open for more.
#[derive(Debug)]
pub struct LedgerFile {
    file: File,
    /// How long it is: only whole lines, of whole writes.
    length: u64,
}

/// Why a ledger cannot be read. The file stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum LedgerFileError {
    /// The disk says no.
    #[error("{path}: {error}", path = .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another process has it open.
    #[error("{path} is in use by another process", path = .path.display())]
    InUse {
        /// Which file.
        path: PathBuf,
    },
    /// A line that no build has written.
    #[error("{path}, line {line}: {why}", path = .path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Why.
        why: String,
    },
}

impl LedgerFile {
    /// Opens a ledger, or begins one, and reads its accounts. A last line that was not written to its end is cut off:
    /// nobody has been told of it.
    ///
    /// # Errors
    /// [`LedgerFileError`].
    pub fn open(path: &Path) -> Result<(Self, Vec<Record>), LedgerFileError> {
        let io = |error| LedgerFileError::Io { path: path.to_owned(), error };
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        file.try_lock().map_err(|why| match why {
            TryLockError::WouldBlock => LedgerFileError::InUse { path: path.to_owned() },
            TryLockError::Error(error) => io(error),
        })?;
        let (accounts, whole) = accounts_of(path, &file)?;
        file.set_len(whole).map_err(io)?;
        file.seek(SeekFrom::Start(whole)).map_err(io)?;
        let records = accounts.into_iter().map(|(key, account)| Record::Account(key, account)).collect();
        Ok((Self { file, length: whole }, records))
    }
}

type Accounts = BTreeMap<PaymentKey, Box<KeptAccount>>;

/// The accounts of a ledger. The file stays as it is: a mock gateway may be writing it.
///
/// # Errors
/// [`LedgerFileError`].
#[cfg(feature = "program")]
pub(crate) fn read_accounts(path: &Path) -> Result<Accounts, LedgerFileError> {
    let file = File::open(path).map_err(|error| LedgerFileError::Io { path: path.to_owned(), error })?;
    accounts_of(path, &file).map(|(accounts, _)| accounts)
}

/// The accounts, and how long the whole lines are.
fn accounts_of(path: &Path, file: &File) -> Result<(Accounts, u64), LedgerFileError> {
    let io = |error| LedgerFileError::Io { path: path.to_owned(), error };
    let mut accounts = Accounts::new();
    let mut reader = BufReader::new(file);
    let (mut whole, mut number, mut line) = (0, 0, Vec::new());
    while reader.read_until(b'\n', &mut line).map_err(io)? > 0 {
        number += 1;
        if line.last() != Some(&b'\n') {
            break;
        }
        let wrong = |why: String| LedgerFileError::Line { path: path.to_owned(), line: number, why };
        match format::read::<Record>(&line).map_err(|why| wrong(why.to_string()))? {
            Record::Account(key, account) => drop(accounts.insert(key, account)),
            Record::AccountForgotten(key) => drop(accounts.remove(&key)),
            Record::Map(..)
            | Record::Beginning(_)
            | Record::Layout(..)
            | Record::Seat(..)
            | Record::Ended(..)
            | Record::LastWish(..)
            | Record::Checkout(_)
            | Record::CheckoutForgotten(_)
            | Record::Key(..)
            | Record::KeyForgotten(_) => return Err(wrong("is no account: this is not a ledger".to_owned())),
        }
        whole += line.len() as u64;
        line.clear();
    }
    Ok((accounts, whole))
}

impl Store for LedgerFile {
    fn write(&mut self, records: &[Record]) -> io::Result<()> {
        let mut lines = Vec::new();
        for record in records {
            lines.extend(format::write(record));
            lines.push(b'\n');
        }
        let written = self.file.write_all(&lines);
        match written {
            Ok(()) => self.length += lines.len() as u64,
            Err(_) => {
                // What is there of it would be the middle of a line once it is written again.
                self.file.set_len(self.length)?;
                self.file.seek(SeekFrom::Start(self.length))?;
            }
        }
        written
    }
}
