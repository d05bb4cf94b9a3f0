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
    /// It has not ended what it is at for too long.
    Stuck,
    /// It has failed for good, or is closed. Nothing leaves any more.
    Broken,
}

/// How long to wait before a disk that had no room is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// How long a commit may take before the host answers the callers that wait for it that storage is unavailable.
pub(crate) const STUCK_AFTER: Duration = Duration::from_secs(2);

/// How many bytes go into one commit, more or less.
const MOST: usize = 8 << 20;

/// However the thread that stores ends, by a panic too: the host then says nothing more, and nobody waits for more to be stored.
struct Ends<'a>(&'a Host);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.storage_is(Storage::Broken);
        self.0.has_closed();
    }
}

/// Stores what comes, in order, until no more can come or the disk fails.
pub(crate) fn keep_storing(batches: &Receiver<Batch>, store: Box<dyn Store>, host: &Host) {
    let _ends = Ends(host);
    // Given up before that is said.
    let mut store = store;
    while let Ok((mut last, mut records)) = batches.recv() {
        let mut bytes: usize = records.iter().map(Record::weight).sum();
        while bytes < MOST
            && let Ok((next, more)) = batches.try_recv()
        {
            last = next;
            bytes += more.iter().map(Record::weight).sum::<usize>();
            records.extend(more);
        }
        host.commits(true);
        let mut was_full = false;
        while let Err(error) = store.write(&records) {
            if !is_for_want_of_room(&error) {
                tracing::error!(%error, "the store cannot write: nothing more is answered until a restart");
                return;
            }
            if !was_full {
                tracing::error!(%error, "the store has no room: requests are refused until there is some");
                host.storage_is(Storage::Full);
                was_full = true;
            }
            if host.is_closing() {
                tracing::error!("what nobody was told of is not stored: there is no room, and the host is to stop");
                return;
            }
            std::thread::sleep(AGAIN);
            host.commits(true);
        }
        if was_full {
            tracing::info!("the store has room again");
        }
        host.commits(false);
        host.stored(last);
    }
}
