//! One commit for many: what an engine wants stored gathers while the disk is busy with what came before, and then goes
//! to it at once. A thread of its own does that, so nobody waits for a disk who waits for nothing on it.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use crate::host::Host;
use crate::store::{Record, Seq, Store, is_for_want_of_room};

/// What one input has changed, on its way to the store.
pub(crate) type Batch = (Seq, Vec<Record>);

/// How a host's storage is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// Well.
    Well,
    /// It has no room. What waits for it is tried again.
    Full,
    /// It has failed for good, or is closed. Nothing leaves any more.
    Broken,
}

/// How long to wait before a disk that had no room is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// How many records go into one commit, more or less.
const MOST: usize = 16_384;

/// Stores what comes, in order, until no more can come or the disk fails.
pub(crate) fn keep_storing(batches: &Receiver<Batch>, mut store: Box<dyn Store>, host: &Host) {
    while let Ok((mut last, mut records)) = batches.recv() {
        while records.len() < MOST
            && let Ok((next, more)) = batches.try_recv()
        {
            last = next;
            records.extend(more);
        }
        let mut was_full = false;
        while let Err(error) = store.write(&records) {
            if !is_for_want_of_room(&error) {
                tracing::error!(%error, "the store cannot write: nothing more is answered until a restart");
                return host.storage_is(Storage::Broken);
            }
            if !was_full {
                tracing::error!(%error, "the store has no room: requests are refused until there is some");
                host.storage_is(Storage::Full);
                was_full = true;
            }
            std::thread::sleep(AGAIN);
        }
        if was_full {
            tracing::info!("the store has room again");
        }
        host.stored(last);
    }
}
