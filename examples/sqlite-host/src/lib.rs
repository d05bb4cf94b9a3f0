//! A host over one SQLite database: maps and checkouts in rows, one transaction for each change, one column that says when a row is due.
//!
//! Nothing is kept in memory, so a crash loses nothing: [`SqliteHost::run_due`] finds what is left to do by that column. Maps and checkouts
//! are in one database. So what a checkout asks of a map is stored together with the answer, and happens once. The gateway and the notifier
//! are outside: they are asked at least once, under keys that make that harmless.

use std::error::Error;
use std::sync::Arc;

use booking_core::prelude::*;
use rusqlite::{
    Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior, named_params as named, params,
};

/// What can go wrong beside refusals: the database, or a row that this build cannot read.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The tables. `due` is the next time at which the host has to look at the row; it is NULL where the host need not look.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS maps (key TEXT PRIMARY KEY, header TEXT NOT NULL, layout TEXT, due INTEGER);
    CREATE INDEX IF NOT EXISTS maps_due ON maps (due) WHERE due IS NOT NULL;
    CREATE TABLE IF NOT EXISTS parts (map TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, ends INTEGER,
        PRIMARY KEY (map, kind, name)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS parts_end ON parts (map, kind, ends, name) WHERE ends IS NOT NULL;
    CREATE TABLE IF NOT EXISTS checkouts (id TEXT PRIMARY KEY, record TEXT NOT NULL, due INTEGER);
    CREATE INDEX IF NOT EXISTS checkouts_due ON checkouts (due) WHERE due IS NOT NULL;";

/// The kinds of parts of a map.
const SEAT: &str = "seat";
const ENDED: &str = "ended checkout";
const WISH: &str = "wish under a hold";

/// What is outside of the database.
pub trait Ports {
    /// What time it is.
    fn now(&self) -> Timestamp;

    /// Asks the payment gateway. No clear answer is `Unavailable`.
    ///
    /// # Errors
    /// When the process is to stop.
    fn pay(&self, payment: &Payment) -> Result<PaymentAnswer>;

    /// Delivers a message to a buyer; whether it was taken.
    ///
    /// # Errors
    /// When the process is to stop.
    fn notify(&self, message: &Notification) -> Result<bool>;

    /// A person has to look: something that is stored cannot be read, or breaks a rule.
    fn alarm(&self, _what: &str) {}

    /// A test lets the process die here. It is called before and after each commit.
    ///
    /// # Errors
    /// When the process is to stop.
    fn boundary(&self) -> Result<()> {
        Ok(())
    }
}

/// The host.
#[derive(Debug)]
pub struct SqliteHost<P> {
    db: Connection,
    ports: P,
    terms: Terms,
}

impl<P: Ports> SqliteHost<P> {
    /// The host over this database, which may be a new one.
    ///
    /// # Errors
    /// The database's.
    pub fn open(db: Connection, ports: P, terms: Terms) -> Result<Self> {
        db.busy_timeout(std::time::Duration::from_secs(10))?;
        db.execute_batch(SCHEMA)?;
        // A crash may have come while the clock was ahead: each wait is looked at anew.
        db.execute("UPDATE checkouts SET due = 0 WHERE due IS NOT NULL", [])?;
        Ok(Self { db, ports, terms })
    }

    /// Asks a map, and answers once what has changed is stored.
    ///
    /// # Errors
    /// When it could not be stored. Nothing has changed then.
    pub fn ask(&mut self, map: &MapKey, call: MapCall) -> Result<Answer> {
        let now = self.ports.now();
        self.transaction(|tx, terms| {
            Ok(turn(tx, map, call, now, terms)?.map_or_else(|refused| refused, |told| told.answer()))
        })
    }

    /// Takes an order. The same order may come again under the same id: it is one checkout.
    ///
    /// # Errors
    /// When it could not be stored, or another order has this id. Nothing has changed then.
    pub fn process(&mut self, id: CheckoutId, order: Order) -> Result<()> {
        let now = self.ports.now();
        self.transaction(|tx, terms| match record(tx, &id)? {
            Some(known) if *known.checkout().order() == order => Ok(()),
            Some(_) => Err("another order has this id".into()),
            None => store(tx, &CheckoutRecord::start(Checkout::start(id, order, now, terms), None, now), now),
        })
    }

    /// A checkout as it is stored.
    ///
    /// # Errors
    /// The database's, or a record that cannot be read.
    pub fn checkout(&self, id: &CheckoutId) -> Result<Option<CheckoutRecord>> {
        record(&self.db, id)
    }

    /// The names of all maps and of all checkouts.
    ///
    /// # Errors
    /// The database's.
    pub fn names(&self) -> Result<(Vec<MapKey>, Vec<CheckoutId>)> {
        Ok((column(&self.db, "SELECT key FROM maps", None)?, column(&self.db, "SELECT id FROM checkouts", None)?))
    }

    /// A whole map.
    ///
    /// # Errors
    /// The database's, or a row that cannot be read.
    pub fn map(&self, key: &MapKey) -> Result<SeatMap> {
        load(&self.db, key, None)
    }

    /// Does what is due now, after a crash too. When to be called again; `None` where nothing is left to do.
    ///
    /// # Errors
    /// When something could not be stored. What is due is so still.
    pub fn run_due(&mut self) -> Result<Option<Timestamp>> {
        let now = self.ports.now();
        for id in column(&self.db, "SELECT id FROM checkouts WHERE due <= ?", Some(now))? {
            if let Err(why) = self.advance(&id) {
                self.set_aside("UPDATE checkouts SET due = ? WHERE id = ?", id.as_str(), &*why)?;
            }
        }
        for key in column::<MapKey>(&self.db, "SELECT key FROM maps WHERE due <= ?", Some(now))? {
            if let Err(why) = self.fire(&key) {
                self.set_aside("UPDATE maps SET due = ? WHERE key = ?", key.as_str(), &*why)?;
            }
        }
        let next = "SELECT min(due) FROM (SELECT due FROM maps UNION ALL SELECT due FROM checkouts)";
        let next: Option<i64> = self.db.query_one(next, [], |row| row.get(0))?;
        Ok(next.map(Timestamp::try_from).transpose()?)
    }

    /// The timer of a map fires, for the time that it was armed for.
    fn fire(&mut self, key: &MapKey) -> Result<()> {
        let armed = load(&self.db, key, Some(&MapCall::Expire(Timestamp::default())))?.due(key);
        armed.map_or(Ok(()), |timer| self.ask(key, timer.call).map(|_| ()))
    }

    /// One row that cannot be read, or a rule that it breaks, must not keep the others from what is due. A person has to look.
    fn set_aside(&mut self, update: &str, name: &str, why: &dyn Error) -> Result<()> {
        self.ports.alarm(&format!("{name} is set aside for ten minutes: {why}"));
        let later = i64::from(self.ports.now().plus(Millis::from_mins(10)));
        self.transaction(|tx, _| Ok(tx.execute(update, params![later, name])?)).map(|_| ())
    }

    /// What one checkout wants now: of the maps, of the gateway, of the notifier.
    fn advance(&mut self, id: &CheckoutId) -> Result<()> {
        // What it asks of maps, with their answers, is one transaction.
        let payments = self.change(id, |tx, record, terms, now| {
            let retry = Some(terms.notify_retry);
            let _stored_in_any_case = record.woken(now, retry)?;
            let mut payments = Vec::new();
            for (op, effect) in record.effects() {
                match effect {
                    Effect::Line(line, command) => {
                        let told = turn(tx, &line.at, MapCall::Line(line.seats, command), now, terms)?;
                        let answer = told.map_err(|refused| refused.body)?.line();
                        let _stored_in_any_case = record.record(&op, Outcome::Line(answer), now, retry)?;
                    }
                    Effect::Pay(payment) => payments.push((op, payment)),
                    // The record has performed these itself.
                    Effect::Sleep(_) | Effect::Notify(_) => {}
                }
            }
            Ok(payments)
        })?;
        // No transaction is open while this waits for the gateway or the notifier.
        for (op, payment) in payments {
            let answer = self.ports.pay(&payment)?;
            self.change(id, |_, record, terms, now| {
                let _stored_in_any_case = record.record(&op, Outcome::Paid(answer), now, Some(terms.notify_retry))?;
                Ok(())
            })?;
        }
        let now = self.ports.now();
        if let Some(message) = self.checkout(id)?.and_then(|record| record.notification_due(now)) {
            let taken = self.ports.notify(&message)?;
            self.change(id, |_, record, terms, now| {
                record.notified(taken, now, terms.notify_retry);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Changes a checkout in one transaction.
    fn change<T>(
        &mut self,
        id: &CheckoutId,
        change: impl FnOnce(&Transaction<'_>, &mut CheckoutRecord, &Terms, Timestamp) -> Result<T>,
    ) -> Result<T> {
        let now = self.ports.now();
        self.transaction(|tx, terms| {
            let mut record = record(tx, id)?.ok_or("there is no such checkout")?;
            let done = change(tx, &mut record, terms, now)?;
            store(tx, &record, now)?;
            Ok(done)
        })
    }

    fn transaction<T>(&mut self, work: impl FnOnce(&Transaction<'_>, &Terms) -> Result<T>) -> Result<T> {
        // Who reads in order to write is alone from the start: another process waits its turn.
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&tx, &self.terms)?;
        self.ports.boundary()?;
        tx.commit()?;
        self.ports.boundary()?;
        Ok(done)
    }
}

/// One turn of a map: load what the call needs, let the map judge it, write what has changed. All of it with the caller's transaction.
fn turn(
    tx: &Transaction<'_>,
    key: &MapKey,
    call: MapCall,
    now: Timestamp,
    terms: &Terms,
) -> Result<std::result::Result<Told, Answer>> {
    let mut map = load(tx, key, Some(&call))?;
    let judged = match call.judge(&mut map, key, now, terms) {
        Ok(judged) => judged,
        Err(refused) => return Ok(Err(refused.into())),
    };
    // The timer is the column `due` of the map, which is in the event.
    judged.event().map_or(Ok(()), |event| write(tx, key, event))?;
    if let Some(call) = judged.follow_up() {
        let _done_or_refused = turn(tx, key, call.clone(), now, terms)?;
    }
    Ok(Ok(judged.stored()))
}

/// As much of a map as a call needs, or all of it.
fn load(db: &Connection, key: &MapKey, call: Option<&MapCall>) -> Result<SeatMap> {
    let row = db.prepare_cached("SELECT header, layout FROM maps WHERE key = ?")?;
    let row = { row }.query_row([key.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (header, layout): (Option<String>, Option<String>) = row.unwrap_or_default();
    let header = header.map(|header| format::read(header.as_bytes())).transpose()?.unwrap_or_default();
    let (parts, all) = match call.map_or(Needs::AllAndLayout, |call| call.needs(&header)) {
        Needs::Parts(parts) => (parts, false),
        Needs::All => (Parts::default(), true),
        Needs::AllAndLayout => (Parts { layout: true, ..Parts::default() }, true),
    };
    let layout = layout.filter(|_| parts.layout);
    let layout = layout.map(|layout| format::read(layout.as_bytes()).map(Arc::new)).transpose()?;
    // Each with whether it has to be readable. One of many that end must not keep the others from ending.
    let rows = |kind: &str, names: Vec<&str>| -> Result<Vec<(Part, bool)>> {
        let mut found = Vec::new();
        let mut by_name =
            db.prepare_cached("SELECT name, value, ends FROM parts WHERE map = ? AND kind = ? AND name = ?")?;
        for name in names {
            found.extend(by_name.query_row([key.as_str(), kind, name], part).optional()?.map(|part| (part, true)));
        }
        // What ends first, or all of it.
        let more = if all {
            i64::MAX
        } else if parts.ending {
            Parts::ENDING
        } else {
            return Ok(found);
        };
        let mut others = db.prepare_cached(
            "SELECT name, value, ends FROM parts WHERE map = :map AND kind = :kind AND (:all OR ends IS NOT NULL)
             ORDER BY ends, name LIMIT :more",
        )?;
        for part in
            others.query_map(named! { ":map": key.as_str(), ":kind": kind, ":all": all, ":more": more }, part)?
        {
            found.push((part?, all));
        }
        Ok(found)
    };
    let (mut tickets, mut ended, mut wishes) = (Vec::new(), Vec::new(), Vec::new());
    for (Part { name, value, .. }, must) in rows(SEAT, parts.seats.iter().map(TicketId::as_str).collect())? {
        let read = || Ok((name.parse()?, format::read(value.as_bytes())?));
        keep(&mut tickets, read(), must)?;
    }
    for (Part { name, ends, .. }, must) in
        rows(ENDED, parts.checkout.iter().map(|checkout| checkout.as_str()).collect())?
    {
        let read = || Ok((name.parse()?, ends.unwrap_or_default()));
        keep(&mut ended, read(), must)?;
    }
    for (Part { name, value, .. }, must) in rows(WISH, parts.hold.iter().map(|hold| hold.as_str()).collect())? {
        let read = || Ok((HoldId::restore(&name)?, format::read(value.as_bytes())?));
        keep(&mut wishes, read(), must)?;
    }
    Ok(SeatMap::from_parts(header, layout, tickets, ended, wishes))
}

/// Writes exactly what has changed.
fn write(tx: &Transaction<'_>, key: &MapKey, event: &SeatMapEvent) -> Result<()> {
    let mut put =
        tx.prepare_cached("INSERT OR REPLACE INTO parts (map, kind, name, value, ends) VALUES (?, ?, ?, ?, ?)")?;
    let mut take = tx.prepare_cached("DELETE FROM parts WHERE map = ? AND kind = ? AND name = ?")?;
    let mut part = |kind: &str, name: &str, now: Option<(Vec<u8>, Option<Timestamp>)>| match now {
        Some((value, ends)) => put
            .execute(params![key.as_str(), kind, name, text(value)?, ends.map(i64::from)])
            .map_err(Box::<dyn Error + Send + Sync>::from),
        None => Ok(take.execute([key.as_str(), kind, name])?),
    };
    for (seat, ticket) in &event.tickets {
        part(SEAT, seat.as_str(), ticket.as_ref().map(|ticket| (format::write(ticket), ticket.ends())))?;
    }
    for (checkout, deadline) in &event.ended {
        part(ENDED, checkout.as_str(), deadline.map(|deadline| (Vec::new(), Some(deadline))))?;
    }
    for (hold, wish) in &event.last_wishes {
        part(WISH, hold.as_str(), wish.as_ref().map(|wish| (format::write(wish), Some(wish.until))))?;
    }
    let layout = event.layout.as_ref().map(|layout| text(format::write(&**layout))).transpose()?;
    let header = "INSERT INTO maps (key, header, layout, due) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET header = ?2, layout = coalesce(?3, layout), due = ?4";
    let due = event.header.armed.map(i64::from);
    tx.prepare_cached(header)?.execute(params![key.as_str(), text(format::write(&event.header))?, layout, due])?;
    Ok(())
}

fn record(db: &Connection, id: &CheckoutId) -> Result<Option<CheckoutRecord>> {
    let mut row = db.prepare_cached("SELECT record FROM checkouts WHERE id = ?")?;
    let record: Option<String> = row.query_row([id.as_str()], |row| row.get(0)).optional()?;
    Ok(record.map(|record| format::read(record.as_bytes())).transpose()?)
}

/// Stores a checkout with the time when it is due. This example keeps those that have ended for ever; another host would delete them.
fn store(tx: &Transaction<'_>, record: &CheckoutRecord, now: Timestamp) -> Result<()> {
    let due = record.due(now).map(i64::from);
    let row = "INSERT OR REPLACE INTO checkouts (id, record, due) VALUES (?, ?, ?)";
    tx.prepare_cached(row)?.execute(params![record.checkout().id().as_str(), text(format::write(record))?, due])?;
    Ok(())
}

/// A row of a map.
struct Part {
    name: String,
    value: String,
    ends: Option<Timestamp>,
}

fn part(row: &Row<'_>) -> rusqlite::Result<Part> {
    let ends: Option<i64> = row.get(2)?;
    Ok(Part { name: row.get(0)?, value: row.get(1)?, ends: ends.and_then(|ends| ends.try_into().ok()) })
}

fn keep<T>(found: &mut Vec<T>, read: Result<T>, must: bool) -> Result<()> {
    match read {
        Ok(part) => found.push(part),
        Err(why) if must => return Err(why),
        Err(_) => {}
    }
    Ok(())
}

/// The ids that a query finds.
fn column<T: std::str::FromStr>(db: &Connection, query: &str, now: Option<Timestamp>) -> Result<Vec<T>>
where
    T::Err: Error + Send + Sync + 'static,
{
    let mut rows = db.prepare_cached(query)?;
    let names = rows.query_map(rusqlite::params_from_iter(now.map(i64::from)), |row| row.get::<_, String>(0))?;
    names.map(|name| Ok(name?.parse()?)).collect()
}

fn text(json: Vec<u8>) -> Result<String> {
    Ok(String::from_utf8(json)?)
}
