//! `cargo run -p sqlite-host -- shop.db`: two buyers want one seat. Kill it anywhere, or let `--die-after 7` do so, and run it again.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use booking_core::payment::Ledger;
use booking_core::prelude::*;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};
use sqlite_host::{Ports, Result, SqliteHost};

/// The mock gateway and a mailbox. Like real ones they are elsewhere: a crash of the host does not take them along.
struct Mock {
    /// A database of its own, which several processes may share.
    ledger: RefCell<Connection>,
    /// After how many commits, payments and messages the process dies.
    die_after: Cell<Option<u32>>,
}

impl Mock {
    fn open(path: &Path, die_after: Option<u32>) -> Result<Self> {
        let ledger = Connection::open(path)?;
        ledger.busy_timeout(Duration::from_secs(10))?;
        ledger.execute_batch("CREATE TABLE IF NOT EXISTS ledger (one INTEGER PRIMARY KEY, json TEXT NOT NULL)")?;
        Ok(Self { ledger: RefCell::new(ledger), die_after: Cell::new(die_after) })
    }
}

impl Ports for Mock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn pay(&self, payment: &Payment) -> Result<PaymentAnswer> {
        self.boundary()?;
        let mut database = self.ledger.borrow_mut();
        let tx = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let json: Option<String> = tx.query_one("SELECT json FROM ledger", [], |row| row.get(0)).optional()?;
        let mut ledger: Ledger = json.map(|json| serde_json::from_str(&json)).transpose()?.unwrap_or_default();
        let Ok(answer) = booking_core::turn(&mut ledger, payment, self.now()).stored();
        tx.execute("INSERT OR REPLACE INTO ledger (one, json) VALUES (1, ?)", [serde_json::to_string(&ledger)?])?;
        tx.commit()?;
        self.boundary()?;
        Ok(answer)
    }

    fn notify(&self, message: &Notification) -> Result<bool> {
        self.boundary()?;
        show(&format!("to the buyer of {}: {:?} is yours", message.checkout, message.tickets));
        self.boundary()?;
        Ok(true)
    }

    fn alarm(&self, what: &str) {
        show(&format!("alarm: {what}"));
    }

    fn boundary(&self) -> Result<()> {
        match self.die_after.get() {
            // As a crash does: nothing is tidied up.
            Some(0) => std::process::abort(),
            left => self.die_after.set(left.map(|left| left - 1)),
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match arguments[..] {
        [database] if !database.starts_with('-') => sell(Path::new(database), None),
        [database, "--die-after", times] if times.parse::<u32>().is_ok() => {
            sell(Path::new(database), times.parse().ok())
        }
        _ => Err("usage: sqlite-host DATABASE [--die-after BOUNDARIES]".into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            show(&format!("error: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn sell(database: &Path, die_after: Option<u32>) -> Result<()> {
    let gateway = Mock::open(&database.with_extension("gateway"), die_after)?;
    let mut host = SqliteHost::open(Connection::open(database)?, gateway, Terms::default())?;
    for buyer in ["ann", "bob"] {
        let order = Order::new(vec!["arena:A:12".parse()?], buyer.parse()?, "card_success".parse()?, None)?;
        host.process(format!("checkout-of-{buyer}").parse()?, order)?;
    }
    // A server sleeps until the time that `run_due` returns, or until the next request. Only a map's timer is due in minutes: the seat is
    // sold by then, and this program ends.
    while let Some(due) = host.run_due()? {
        let wait = due.since(SystemTime::now().into());
        if wait > Millis::from_mins(1) {
            break;
        }
        std::thread::sleep(wait.into());
    }
    let (maps, checkouts) = host.names()?;
    for id in checkouts {
        let ending = host.checkout(&id)?.and_then(|record| record.progress().ending().cloned());
        show(&format!("{id}: {ending:?}"));
    }
    for key in maps {
        let now = SystemTime::now().into();
        host.map(&key)?.get(now).for_each(|(seat, status)| show(&format!("{seat}: {status:?}")));
    }
    Ok(())
}

#[allow(clippy::print_stdout, reason = "an example shows what it does")]
fn show(line: &str) {
    println!("{line}");
}
