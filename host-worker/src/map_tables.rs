//! What the object of a map keeps: its header, its layout, and a row for each seat that differs from the layout, each
//! checkout that has ended here, each last wish under a hold. A turn reads the rows that its command needs, and writes
//! those that its event lists.

use std::cell::RefCell;
use std::sync::Arc;

use booking_core::format;
use booking_core::ids::{CheckoutId, HoldId, MapKey, TicketId};
use booking_core::life::{IdempotencyRecord, Key, Known};
use booking_core::map::ticket::{Hold, Ticket};
use booking_core::map::{BATCH, Header, LastWish, Layout, Needs, Parts, SeatMap, SeatMapEvent};
use booking_core::time::{Millis, Timestamp};
use booking_core::wire::Answer;
use booking_workers::faults;
use booking_workers::log::{Level, say};
use worker::SqlStorageValue;

use crate::errors::{Broken, Result};
use crate::store::{Row, Store, Table, blank, number, stored, text, time};

/// The tables.
pub(crate) const SCHEMA: &[Table] = &[
    Table::new("map", "(one INTEGER PRIMARY KEY CHECK (one = 1), key TEXT NOT NULL, header TEXT NOT NULL)"),
    // One text, in parts: a row has an end, at two million bytes.
    Table::new("layout", "(part INTEGER PRIMARY KEY, json TEXT NOT NULL)"),
    Table::new("tickets", "(id TEXT PRIMARY KEY, ticket TEXT NOT NULL, ends INTEGER) WITHOUT ROWID")
        .with_index("(ends, id) WHERE ends IS NOT NULL"),
    Table::new("ended", "(checkout TEXT PRIMARY KEY, ends INTEGER NOT NULL) WITHOUT ROWID")
        .with_index("(ends, checkout)"),
    Table::new("last_wishes", "(hold TEXT PRIMARY KEY, last_wish TEXT NOT NULL, ends INTEGER NOT NULL) WITHOUT ROWID")
        .with_index("(ends, hold)"),
    // Answers that are given again to the same idempotency key.
    Table::new("answers", "(scope TEXT PRIMARY KEY, record TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID")
        .with_index("(at)"),
];

/// How long answers are kept, at least: until the next one comes after that.
const KEEP_KEYS: Millis = Millis::from_mins(24 * 60);

/// How many bytes of a layout stand in a row.
const PART: usize = 512 * 1024;

/// The last layout that was read, with its edition. It is immutable under that.
#[derive(Default)]
pub(crate) struct Layouts(RefCell<Option<(u64, Arc<Layout>)>>);

impl Layouts {
    /// The layout of a map, if it has one.
    pub(crate) fn of(&self, store: &Store, header: &Header) -> Result<Option<Arc<Layout>>> {
        let edition = header.edition;
        if edition == 0 {
            return Ok(None);
        }
        if let Some((known, layout)) = self.0.borrow().as_ref()
            && *known == edition
        {
            return Ok(Some(Arc::clone(layout)));
        }
        let parts = store.rows("layout", "SELECT json FROM layout ORDER BY part", &[])?;
        let json = parts.into_iter().map(|mut part| part.text()).collect::<Result<String>>()?;
        let layout: Arc<Layout> = Arc::new(format::read(json.as_bytes())?);
        self.0.replace(Some((edition, Arc::clone(&layout))));
        Ok(Some(layout))
    }
}

/// The map's key and header; `None` where nothing was ever written.
pub(crate) fn header(store: &Store) -> Result<Option<(MapKey, Header)>> {
    let Some(mut row) = store.row("map", "SELECT key, header FROM map", &[])? else { return Ok(None) };
    Ok(Some((MapKey::parse(&row.text()?)?, row.stored()?)))
}

fn ticket(mut row: Row) -> Result<(TicketId, Ticket)> {
    Ok((TicketId::parse(&row.text()?)?, row.stored()?))
}

fn checkout(mut row: Row) -> Result<(CheckoutId, Timestamp)> {
    Ok((CheckoutId::parse(&row.text()?)?, row.time()?))
}

fn last_wish(mut row: Row) -> Result<(HoldId, LastWish)> {
    Ok((HoldId::restore(&row.text()?)?, row.stored()?))
}

const TICKETS: &str = "SELECT id, ticket FROM tickets";
const ENDED: &str = "SELECT checkout, ends FROM ended";
const LAST_WISHES: &str = "SELECT hold, last_wish FROM last_wishes";

/// As much of a map as a command needs.
pub(crate) fn load(store: &Store, header: Header, layouts: &Layouts, needs: Needs<'_>) -> Result<SeatMap> {
    let rows = |table, query: &str, bindings: &[SqlStorageValue]| store.rows(table, query, bindings);
    let Parts { seats, checkout: done, hold, ending, layout } = match needs {
        Needs::Parts(parts) => parts,
        Needs::All | Needs::AllAndLayout => {
            let layout = if needs == Needs::All { None } else { layouts.of(store, &header)? };
            let tickets = rows("tickets", TICKETS, &[])?.into_iter().map(ticket).collect::<Result<Vec<_>>>()?;
            let ended = rows("ended", ENDED, &[])?.into_iter().map(checkout).collect::<Result<Vec<_>>>()?;
            let last_wishes =
                rows("last_wishes", LAST_WISHES, &[])?.into_iter().map(last_wish).collect::<Result<Vec<_>>>()?;
            return Ok(SeatMap::from_parts(header, layout, tickets, ended, last_wishes));
        }
    };
    let (mut tickets, mut ended, mut last_wishes) = (Vec::new(), Vec::new(), Vec::new());
    for id in seats {
        let row = store.row("tickets", &format!("{TICKETS} WHERE id = ?"), &[text(id.as_str())])?;
        tickets.extend(row.map(ticket).transpose()?);
    }
    if let Some(done) = done {
        let row = store.row("ended", &format!("{ENDED} WHERE checkout = ?"), &[text(done.as_str())])?;
        ended.extend(row.map(checkout).transpose()?);
    }
    if let Some(hold) = hold {
        let row = store.row("last_wishes", &format!("{LAST_WISHES} WHERE hold = ?"), &[text(hold.as_str())])?;
        last_wishes.extend(row.map(last_wish).transpose()?);
    }
    if ending {
        // What cannot be read must not keep the others from ending.
        tickets.extend(ending_first(store, "tickets", TICKETS, "id", readable)?);
        ended.extend(ending_first(store, "ended", ENDED, "checkout", |row| checkout(row).ok())?);
        last_wishes.extend(ending_first(store, "last_wishes", LAST_WISHES, "hold", |row| last_wish(row).ok())?);
    }
    let layout = if layout { layouts.of(store, &header)? } else { None };
    Ok(SeatMap::from_parts(header, layout, tickets, ended, last_wishes))
}

/// What ends first, of a table: as many as a turn may need, of those that can be read.
fn ending_first<T>(
    store: &Store,
    table: &str,
    query: &str,
    name: &str,
    read: impl Fn(Row) -> Option<T>,
) -> Result<Vec<T>> {
    let query = format!("{query} WHERE ends IS NOT NULL ORDER BY ends, {name} LIMIT ? OFFSET ?");
    let (mut found, mut seen) = (Vec::new(), 0);
    loop {
        let wanted = BATCH as u64 + 1;
        let rows = store.rows(table, &query, &[number(wanted), number(seen)])?;
        let is_last = (rows.len() as u64) < wanted;
        seen += rows.len() as u64;
        found.extend(rows.into_iter().filter_map(&read));
        if is_last || found.len() > BATCH {
            found.truncate(BATCH + 1);
            return Ok(found);
        }
    }
}

/// A seat, if it can be read; else the log says that it cannot.
fn readable(mut row: Row) -> Option<(TicketId, Ticket)> {
    let id = row.text().ok().and_then(|id| TicketId::parse(&id).ok())?;
    match row.stored() {
        Ok(ticket) => Some((id, ticket)),
        Err(why) => {
            say(Level::Error, "a seat cannot be read", &[("ticket", id.as_str().to_owned()), ("why", why.to_string())]);
            None
        }
    }
}

/// A map as it is shown: with its layout, and all of its seats. One that cannot be read is shown as blocked.
pub(crate) fn shown(store: &Store, layouts: &Layouts) -> Result<SeatMap> {
    let Some((_, header)) = header(store)? else { return Ok(SeatMap::default()) };
    let layout = layouts.of(store, &header)?;
    let ticket = |mut row: Row| {
        let id = TicketId::parse(&row.text()?)?;
        Ok((id, row.stored().unwrap_or_else(|_: Broken| Ticket::unreadable(header.version))))
    };
    let tickets = store.rows("tickets", TICKETS, &[])?.into_iter().map(ticket).collect::<Result<Vec<_>>>()?;
    Ok(SeatMap::from_parts(header, layout, tickets, [], []))
}

/// Writes what an event has changed.
pub(crate) fn write(store: &Store, key: &MapKey, event: &SeatMapEvent) -> Result<()> {
    let SeatMapEvent { header, tickets, ended, last_wishes, layout } = event;
    for (id, ticket) in tickets {
        let id = id.as_str();
        match ticket {
            Some(ticket) => {
                let ends = ticket.state.hold().map(Hold::end).map_or_else(blank, time);
                let is_garbled = faults::is_asked_for("garbled", || id.to_owned());
                let row = [text(id), if is_garbled { text("{") } else { stored(ticket) }, ends];
                store.write("tickets", "INSERT OR REPLACE INTO tickets (id, ticket, ends) VALUES (?, ?, ?)", &row)?;
            }
            None => store.write("tickets", "DELETE FROM tickets WHERE id = ?", &[text(id)])?,
        }
    }
    for (checkout, deadline) in ended {
        let checkout = text(checkout.as_str());
        match deadline {
            Some(deadline) => {
                let row = [checkout, time(*deadline)];
                store.write("ended", "INSERT OR REPLACE INTO ended (checkout, ends) VALUES (?, ?)", &row)?;
            }
            None => store.write("ended", "DELETE FROM ended WHERE checkout = ?", &[checkout])?,
        }
    }
    for (hold, last_wish) in last_wishes {
        let hold = text(hold.as_str());
        match last_wish {
            Some(last_wish) => {
                let row = [hold, stored(last_wish), time(last_wish.until)];
                store.write(
                    "last_wishes",
                    "INSERT OR REPLACE INTO last_wishes (hold, last_wish, ends) VALUES (?, ?, ?)",
                    &row,
                )?;
            }
            None => store.write("last_wishes", "DELETE FROM last_wishes WHERE hold = ?", &[hold])?,
        }
    }
    if let Some(layout) = layout {
        store.write("layout", "DELETE FROM layout", &[])?;
        for part in in_parts(&json(layout)) {
            store.write("layout", "INSERT INTO layout (json) VALUES (?)", &[text(part)])?;
        }
    }
    let row = [text(key.as_str()), stored(header)];
    store.write("map", "INSERT OR REPLACE INTO map (one, key, header) VALUES (1, ?, ?)", &row)
}

fn json(layout: &Layout) -> String {
    String::from_utf8(format::write(layout)).expect("JSON is UTF-8")
}

/// A text in pieces that a row can hold.
fn in_parts(mut text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    while !text.is_empty() {
        let (part, rest) = text.split_at(text.floor_char_boundary(PART));
        parts.push(part);
        text = rest;
    }
    parts
}

/// What is known of a request that came under this key.
pub(crate) fn known(store: &Store, Key { scope, request }: Key) -> Result<Known> {
    let query = "SELECT record FROM answers WHERE scope = ?";
    let row = store.row("answers", query, &[text(scope.to_string())])?;
    let record: Option<IdempotencyRecord> = row.map(|mut row| row.stored()).transpose()?;
    Ok(IdempotencyRecord::look(record.as_ref(), request))
}

/// Keeps an answer for those who ask again under the same key, unless it is none that is kept.
pub(crate) fn keep_answer(store: &Store, Key { scope, request }: Key, answer: &Answer, at: Timestamp) -> Result<()> {
    let Some(record) = IdempotencyRecord::of_answer(request, at, answer) else { return Ok(()) };
    let old = at.as_millis().saturating_sub(KEEP_KEYS.0);
    store.write("answers", "DELETE FROM answers WHERE at < ?", &[number(old)])?;
    let row = [text(scope.to_string()), stored(&record), time(at)];
    store.write("answers", "INSERT INTO answers (scope, record, at) VALUES (?, ?, ?)", &row)
}
