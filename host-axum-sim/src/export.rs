//! The command `export`: every booking and every ticket of a data directory as a line of JSON, as they were at one moment.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use booking_core::map::SeatMap;
use booking_core::map::ticket::Ticket;
use booking_core::time::Timestamp;
use booking_core::wire::export::{self, Booking};
use booking_hosting::flags::{CannotRun, because};
use booking_hosting::process::now;
use booking_log::create_private;
use clap::Args;

use crate::engine::StoredMap;
use crate::store::{Record, read};

/// Every seat of a map: those of its layout in order, or else those that are stored.
fn seats(map: &SeatMap, now: Timestamp) -> Vec<String> {
    let as_laid_out = Ticket { version: map.version(), ..Ticket::default() };
    let line = |(id, _)| export::ticket(id, map.ticket(id).unwrap_or(&as_laid_out), map.price(id), now);
    map.get(now).map(line).collect()
}

#[derive(Args)]
pub(crate) struct ExportArgs {
    /// The directory; a server may be at work in it
    #[arg(long, env = "BOOKING_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    /// Where to write to, instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl ExportArgs {
    /// # Errors
    /// [`CannotRun`], for a person.
    pub(crate) fn run(&self) -> Result<(), CannotRun> {
        let records = read(&self.data_dir).map_err(because("--data-dir"))?;
        let out: Box<dyn Write> = match &self.output {
            Some(path) => Box::new(create_private(path).map_err(because(&format!("--output {}", path.display())))?),
            None => Box::new(io::stdout().lock()),
        };
        let mut out = BufWriter::new(out);
        let mut maps = BTreeMap::new();
        let mut bookings = Vec::new();
        for record in records {
            let record = record.map_err(because("--data-dir"))?;
            if let Record::Checkout(record) = &record {
                bookings.push(Booking::from(record.as_ref()).line());
            }
            StoredMap::take_in(&mut maps, record);
        }
        let seats = maps.into_values().flat_map(|stored| seats(&stored.into_map(), now()));
        let written = seats.chain(bookings).try_for_each(|line| writeln!(out, "{line}"));
        match written.and_then(|()| out.flush()) {
            // The reader has read enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(because("--output")),
        }
    }
}
