//! A copy of a data directory as it was at one moment: a directory of its own, with all of it in a base.

use std::path::Path;

use crate::directory::{Log, write_base};
use crate::disk::{Disk as _, Folder, LOCK};
use crate::files::{DirectoryError, Entries, Found, Head, Listing, Role, UNFINISHED, base_name, find, new_id, read};

/// Copies a directory, of which another process may be the owner, as it was at one moment: after some commit, and with every commit
/// before that. The copy is a directory of its own: it may be served, and what is written to one is not in the other. It is there for
/// good when this returns; what a crash leaves of one before that is refused wherever it is opened.
///
/// What was written is read back: the entries of the copy.
///
/// # Errors
/// [`DirectoryError`]. The original is never changed, nor a directory in which there is anything.
pub fn copy(from: &Path, to: &Path) -> Result<Entries, DirectoryError> {
    // Before anything is made: there may be nothing to copy.
    let found = find(from)?;
    let disk = Folder(to.to_owned());
    let io = |error| DirectoryError::io(&disk, "")(error);
    let is_empty = || match Listing::of(&disk).map_err(io)?.anything() {
        Some(what) => Err(DirectoryError::NotEmpty { path: to.to_owned(), what }),
        None => Ok(()),
    };
    Folder::make(to).map_err(io)?;
    is_empty()?;
    let Some(lock) = disk.lock().map_err(io)? else { return Err(DirectoryError::InUse(to.to_owned())) };
    // Another process may have written to it before it let go of the lock.
    is_empty()?;
    if let Err(error) = write(&disk, found) {
        drop(lock);
        // Nothing is left that looks like a directory in which there is nothing yet.
        let _it_may_stay = disk.remove(LOCK).and_then(|()| std::fs::remove_dir(to));
        return Err(error);
    }
    drop(lock);
    read(to)
}

/// Writes everything into an empty directory. The file that makes it a data directory comes last, and the unfinished base first: a
/// directory that has that alone is refused.
fn write(disk: &Folder, Found { entries, logs, .. }: Found) -> Result<(), DirectoryError> {
    let io = |error| DirectoryError::io(disk, "")(error);
    let Some(last) = logs.last() else { return Err(DirectoryError::Nothing(disk.path())) };
    let (id, upto) = (new_id().map_err(io)?, last.number);
    let head = Head { store: id.clone(), is: Role::Base { upto, chain: last.chain.0 } };
    let (name, unfinished) = (base_name(upto), format!("{}{UNFINISHED}", base_name(upto)));
    if let Err(error) = write_base(disk, &unfinished, &head, upto, entries, &false.into()) {
        let _it_may_stay = disk.remove(&unfinished);
        return Err(io(error));
    }
    disk.rename(&unfinished, &name).map_err(io)?;
    let log = Log::begin(disk, &id, upto, last.chain).map_err(io)?;
    disk.sync().and_then(|()| disk.sync_own_name()).map_err(io)?;
    log.mark(disk, &id).map_err(io)
}
