//! An engine as its data directory has it.

use booking_core::time::Timestamp;

use crate::engine::{Engine, Settings};
use crate::store::{Directory, DirectoryError, Opened};

/// Makes an engine of everything that is stored, and hands over the directory that it is to be stored in from now on.
/// What was under way goes on as soon as a [`Host`](crate::Host) has both. `on_record` is told how many records were
/// read so far, each time.
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
/// # Errors
/// [`DirectoryError`], where something of it cannot be read. Nothing was changed then.
pub fn restore(
    opened: Opened,
    settings: Settings,
    now: Timestamp,
    mut on_record: impl FnMut(u64),
) -> Result<(Engine, Directory), DirectoryError> {
    let (mut count, mut failed) = (0, None);
    let records = opened.records.map_while(|record| {
        count += 1;
        on_record(count);
        record.map_err(|error| failed = Some(error)).ok()
    });
    let engine = Engine::restore(settings, records, now);
    failed.map_or(Ok((engine, opened.directory)), Err)
}
