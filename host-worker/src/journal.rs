//! The journal of one checkout: a table of the core's own entries. What a checkout is follows from it, after every crash.
//!
//! An outcome is written down before it counts. The platform sends nothing for an object before what it has written is
//! safe, so the next step's requests never leave before this step's outcomes are kept.

use booking_core::checkout::Checkout;
use booking_core::effect::{Op, Outcome};
use booking_core::journal::{Entry, replay};
use booking_core::running::Running;
use booking_core::time::Timestamp;

use crate::errors::Result;
use crate::store::{Store, Table, number, stored, text, time};

/// The tables of a checkout.
pub(crate) const SCHEMA: &[Table] = &[
    Table::new("journal", "(line INTEGER PRIMARY KEY, entry TEXT NOT NULL)"),
    // The request that started it, if that came under a key, how often its alarm has looked after it, when it ended.
    Table::new(
        "about",
        "(one INTEGER PRIMARY KEY CHECK (one = 1), request TEXT NOT NULL, looked INTEGER NOT NULL, ended INTEGER)",
    ),
    // A wait: of which step, and until when.
    Table::new("wait", "(step INTEGER PRIMARY KEY, until INTEGER NOT NULL)"),
    // Of the message to the buyer, until it is delivered or given up. The message itself follows from the checkout.
    Table::new("letter", "(one INTEGER PRIMARY KEY CHECK (one = 1), failed INTEGER NOT NULL, due INTEGER NOT NULL)"),
];

/// A message that is to be delivered.
pub(crate) struct Waiting {
    pub(crate) failed: u64,
    pub(crate) due: Timestamp,
}

/// A checkout as its journal has it; `None` where it was never started.
pub(crate) fn running(store: &Store) -> Result<Option<Running>> {
    let rows = store.rows("journal", "SELECT entry FROM journal ORDER BY line", &[])?;
    if rows.is_empty() {
        return Ok(None);
    }
    let lines: Vec<String> = rows.into_iter().map(|mut row| row.text()).collect::<Result<_>>()?;
    Ok(Some(replay(lines.iter().map(String::as_bytes))?))
}

fn append(store: &Store, entry: &Entry) -> Result<()> {
    store.write("journal", "INSERT INTO journal (entry) VALUES (?)", &[stored(entry)])
}

/// Starts a checkout, with the request that it came with.
pub(crate) fn start(store: &Store, checkout: Checkout, request: &str) -> Result<()> {
    append(store, &Entry::Started(Box::new(checkout)))?;
    store.write("about", "INSERT INTO about (one, request, looked) VALUES (1, ?, 0)", &[text(request)])
}

/// The request that it was started with.
pub(crate) fn request(store: &Store) -> Result<Option<String>> {
    store.row("about", "SELECT request FROM about", &[])?.map(|mut row| row.text()).transpose()
}

/// Counts that its alarm has looked after it; how often that was.
pub(crate) fn look(store: &Store) -> Result<u32> {
    store.write("about", "UPDATE about SET looked = looked + 1", &[])?;
    let looked = store.row("about", "SELECT looked FROM about", &[])?.map(|mut row| row.number()).transpose()?;
    Ok(looked.and_then(|looked| u32::try_from(looked).ok()).unwrap_or(u32::MAX))
}

/// Records an outcome.
pub(crate) fn record(store: &Store, op: &Op, outcome: Outcome) -> Result<()> {
    append(store, &Entry::Ended { op: op.clone(), outcome })
}

/// Records that it was cancelled during this step.
pub(crate) fn cancel(store: &Store, step: u32) -> Result<()> {
    append(store, &Entry::Cancelled { step })
}

/// Until when a step waits. Decided once: a crash does not start the wait anew.
pub(crate) fn wait(store: &Store, step: u32, until: Timestamp) -> Result<Timestamp> {
    let step = number(u64::from(step));
    if let Some(mut row) = store.row("wait", "SELECT until FROM wait WHERE step = ?", std::slice::from_ref(&step))? {
        return row.time();
    }
    store.write("wait", "DELETE FROM wait", &[])?;
    store.write("wait", "INSERT INTO wait (step, until) VALUES (?, ?)", &[step, time(until)])?;
    Ok(until)
}

/// Hands the message to the buyer over.
pub(crate) fn hand_over(store: &Store, at: Timestamp) -> Result<()> {
    store.write("letter", "INSERT OR IGNORE INTO letter (one, failed, due) VALUES (1, 0, ?)", &[time(at)])
}

/// Hands the message over once more, also one that was delivered or given up.
pub(crate) fn hand_over_again(store: &Store, at: Timestamp) -> Result<()> {
    store.write("letter", "INSERT OR REPLACE INTO letter (one, failed, due) VALUES (1, 0, ?)", &[time(at)])
}

/// The message to the buyer, while it is to be delivered: after so many tries it stays where it is.
pub(crate) fn letter(store: &Store, tries: u64) -> Result<Option<Waiting>> {
    let waiting = "SELECT failed, due FROM letter WHERE failed < ?";
    let Some(mut row) = store.row("letter", waiting, &[number(tries)])? else { return Ok(None) };
    Ok(Some(Waiting { failed: row.number()?, due: row.time()? }))
}

/// It was not taken.
pub(crate) fn postpone(store: &Store, failed: u64, due: Timestamp) -> Result<()> {
    store.write("letter", "UPDATE letter SET failed = ?, due = ?", &[number(failed), time(due)])
}

/// It was.
pub(crate) fn done_with_letter(store: &Store) -> Result<()> {
    store.write("letter", "DELETE FROM letter", &[])
}

/// The checkout has ended: remembers when.
pub(crate) fn ended(store: &Store, at: Timestamp) -> Result<()> {
    store.write("about", "UPDATE about SET ended = ? WHERE ended IS NULL", &[time(at)])
}

/// When it ended.
pub(crate) fn ended_at(store: &Store) -> Result<Option<Timestamp>> {
    let Some(mut row) = store.row("about", "SELECT ended FROM about", &[])? else { return Ok(None) };
    Ok(row.maybe_number()?.map(Timestamp::from_millis))
}
