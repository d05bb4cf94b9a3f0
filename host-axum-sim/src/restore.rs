//! An engine as its data directory has it.

use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};

use booking_core::ids::TicketId;
use booking_core::time::Timestamp;

use crate::engine::{Engine, Settings};
use crate::store::{Directory, DirectoryError, Opened, Record, Records, StoreError};

/// Makes an engine of everything that is stored, and hands over the directory that it is to be stored in from now on.
/// What was under way continues as soon as a [`Host`](crate::Host) has both. Now and then this calls `on_records` with
/// how many records were read so far.
///
/// ```no_run
/// use std::path::Path;
/// use host_axum_sim::store::{Directory, LOG_BYTES};
/// use host_axum_sim::{Host, Ports, Settings, now, restore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let opened = Directory::open(Path::new("bookings"), LOG_BYTES)?;
/// let (engine, directory) = restore(opened, Settings::default(), now(), |_| {})?;
/// let host = Host::with(engine, Some(Box::new(directory)), Ports::default());
/// // … and when your app ends:
/// host.close().await;
/// # Ok(())
/// # }
/// ```
///
/// A seat that this build cannot read is off sale, and each command that names it is refused with `StorageUnavailable`. Its
/// stored bytes stay, for a build that can.
///
/// # Errors
/// [`StoreError`], where something else cannot be read. Nothing was changed then.
pub fn restore(
    opened: Opened,
    settings: Settings,
    now: Timestamp,
    mut on_records: impl FnMut(u64),
) -> Result<(Engine, Directory), StoreError> {
    let Opened { mut directory, entries, .. } = opened;
    let records = Records::of(entries);
    let (send, read) = sync_channel::<Result<Vec<Record>, StoreError>>(AHEAD);
    let (odd, unreadable) = channel();
    // Reading is half of the work: it continues while the engine takes in what was read.
    let reads = std::thread::spawn(move || read_all(records, &send, &odd));
    let (mut count, mut failed) = (0, None);
    let records = read.into_iter().map_while(|read| read.map_err(|error| failed = Some(error)).ok());
    let records = records.flat_map(|some| {
        count += some.len() as u64;
        on_records(count);
        some
    });
    let engine = Engine::restore_but(settings, records, || unreadable.into_iter().collect(), now);
    reads.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked));
    match failed {
        Some(error) => Err(error),
        None => {
            let settled = directory.settle();
            let path = directory.path();
            settled.map_err(|error| DirectoryError::Io { path, error })?;
            Ok((engine, directory))
        }
    }
}

/// How many records are handed over at a time.
const AT_A_TIME: usize = 1_024;

/// How many times as many may be read ahead.
const AHEAD: usize = 16;

fn read_all(records: Records, to: &SyncSender<Result<Vec<Record>, StoreError>>, unreadable: &Sender<TicketId>) {
    let mut some = Vec::with_capacity(AT_A_TIME);
    for record in records {
        match record {
            Ok(record) => some.push(record),
            Err(StoreError::Seat { path, ticket, why }) => {
                tracing::error!("{}: ticket {ticket} is off sale: {why}; a person should look", path.display());
                let _has_ended = unreadable.send(ticket);
            }
            Err(error) => {
                let _nobody_listens = to.send(Err(error));
                return;
            }
        }
        if some.len() >= AT_A_TIME && to.send(Ok(std::mem::take(&mut some))).is_err() {
            return;
        }
    }
    let _nobody_listens = to.send(Ok(some));
}
