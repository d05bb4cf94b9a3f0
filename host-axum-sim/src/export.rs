//! The command `export`: every booking and every ticket of a data directory as a line of JSON, as they were at one moment.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use booking_core::wire::export;
use booking_hosting::flags::{CannotRun, because};
use booking_hosting::process::now;
use clap::Args;

use crate::store::{Record, create_private, read};

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
        let (mut out, now) = (BufWriter::new(out), now());
        for record in records {
            let line = match record.map_err(because("--data-dir"))? {
                Record::Ticket(id, ticket) => export::ticket(&id, &ticket, now),
                Record::Checkout(course) => export::booking(course.running.checkout(), course.ended, &course.reset),
                Record::Layout(..)
                | Record::Seat(..)
                | Record::Errands(_)
                | Record::CheckoutForgotten(_)
                | Record::Account(..)
                | Record::AccountForgotten(_)
                | Record::Key(..)
                | Record::KeyForgotten(_) => continue,
            };
            match writeln!(out, "{line}") {
                // Whoever reads has read enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                written => written.map_err(because("--output"))?,
            }
        }
        match out.flush() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            flushed => flushed.map_err(because("--output")),
        }
    }
}
