//! The command `export`: every booking and every ticket of a data directory as a line of JSON, as they were at one moment.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use booking_core::ids::{CheckoutId, TicketId, UserId};
use booking_core::money::Money;
use booking_core::ticket::{Ticket, TicketStatus};
use booking_core::time::Timestamp;
use booking_core::wire::answer;
use booking_hosting::flags::{CannotRun, because};
use booking_hosting::process::now;
use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::store::{Course, Record, read};

#[derive(Args)]
pub(crate) struct ExportArgs {
    /// The directory; a server may be at work in it
    #[arg(long, env = "BOOKING_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    /// Where to write to, instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A ticket, as a line. Whoever may read it is told no hold's name.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TicketLine<'a> {
    r#type: &'static str,
    ticket_id: &'a TicketId,
    status: TicketStatus,
    reserved_by: Option<&'a UserId>,
    reserved_until: Option<Timestamp>,
    version: u64,
    /// What it was sold or is held for; else what it is listed at, if it is.
    price: Option<Money>,
    /// The checkout that it was sold to.
    checkout_id: Option<&'a CheckoutId>,
    sold_at: Option<Timestamp>,
}

fn ticket(id: &TicketId, ticket: &Ticket, now: Timestamp) -> serde_json::Result<String> {
    let view = ticket.get(now);
    let (hold, sale) = (ticket.hold().filter(|hold| now < hold.end()), ticket.sale());
    let price = sale.map(|sale| sale.price).or_else(|| hold.map(|hold| hold.price));
    serde_json::to_string(&TicketLine {
        r#type: "ticket",
        ticket_id: id,
        status: view.status,
        reserved_by: view.reserved_by.as_ref(),
        reserved_until: view.reserved_until,
        version: view.version,
        price: price.or_else(|| ticket.listing().map(|listing| listing.price)),
        checkout_id: sale.and_then(|sale| sale.to.as_ref()).map(|to| &to.checkout),
        sold_at: sale.map(|sale| sale.at),
    })
}

/// A checkout, as a line: how it stands, as whoever asks for it is told, and who ordered what.
fn booking(course: &Course) -> serde_json::Result<String> {
    let checkout = course.running.checkout();
    let stands: Map<String, Value> = serde_json::from_str(&answer::checkout(checkout).body)?;
    let mut line = Map::from_iter([("type".to_owned(), Value::from("booking"))]);
    line.extend(stands);
    line.insert("userId".to_owned(), Value::from(checkout.order().user().as_str()));
    line.insert("tickets".to_owned(), checkout.order().tickets().iter().map(TicketId::as_str).collect());
    line.insert("endedAt".to_owned(), course.ended.map(Timestamp::as_millis).into());
    if !course.reset.is_empty() {
        line.insert("reset".to_owned(), course.reset.iter().map(TicketId::as_str).collect());
    }
    serde_json::to_string(&line)
}

impl ExportArgs {
    /// # Errors
    /// [`CannotRun`], for a person.
    pub(crate) fn run(&self) -> Result<(), CannotRun> {
        let records = read(&self.data_dir).map_err(because("--data-dir"))?;
        let out: Box<dyn Write> = match &self.output {
            Some(path) => Box::new(File::create(path).map_err(because(&format!("--output {}", path.display())))?),
            None => Box::new(io::stdout().lock()),
        };
        let (mut out, now) = (BufWriter::new(out), now());
        for record in records {
            let line = match record.map_err(because("--data-dir"))? {
                Record::Ticket(id, state) => ticket(&id, &state, now),
                Record::Checkout(course) => booking(&course),
                Record::Layout(..)
                | Record::Seat(..)
                | Record::Errands(_)
                | Record::CheckoutForgotten(_)
                | Record::Account(..)
                | Record::AccountForgotten(_)
                | Record::Key(..)
                | Record::KeyForgotten(_) => continue,
            };
            let line = line.map_err(because("a line"))?;
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
