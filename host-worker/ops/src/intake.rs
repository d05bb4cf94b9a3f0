//! What the queue brings: lines of the log, at least once, late, out of order; and the dead letters among them.
//!
//! A batch is written as a whole. Where that fails, each message is tried by itself, so that one that cannot be written holds no
//! other up: it is tried again as often as the queue is set to, then it is a dead letter.

use std::collections::BTreeMap;

use booking_core::format;
use booking_core::ids::TicketId;
use booking_core::wire::audit::{AuditEntry, AuditOutcome};
use booking_core::wire::export::Booking;
use booking_core::wire::log::LogLine;
use booking_core::wire::search::BookingStatus;
use booking_workers::clock::now;
use booking_workers::log::{Level, say};
use serde::Serialize;
use worker::{AnalyticsEngineDataPointBuilder, D1PreparedStatement, Env, MessageBatch, MessageExt as _, RawMessage};

use crate::database::{database, number, write};

/// What the names of queues of dead letters have in them.
const DEAD: &str = "-dead";

/// The binding of Analytics Engine, if there is one.
const POINTS: &str = "POINTS";

pub(crate) async fn take_in(batch: &MessageBatch<()>, env: &Env) {
    let messages: Vec<RawMessage> = batch.raw_iter().collect();
    if batch.queue().contains(DEAD) {
        return bury(&messages, env, |_| "it could not be written, however often it was tried".to_owned()).await;
    }
    let (mut lines, mut unreadable) = (Vec::new(), Vec::new());
    for message in messages {
        match read(&message) {
            Ok(line) => lines.push((message, line)),
            Err(why) => unreadable.push((message, why)),
        }
    }
    let (messages, reasons): (Vec<_>, Vec<_>) = unreadable.into_iter().unzip();
    let mut reasons = reasons.into_iter();
    bury(&messages, env, |_| reasons.next().unwrap_or_default()).await;
    if keep(env, lines.iter().map(|(_, line)| line)).await.is_ok() {
        return lines.iter().for_each(|(message, line)| taken(env, message, line));
    }
    for (message, line) in &lines {
        match keep(env, [line]).await {
            Ok(()) => taken(env, message, line),
            Err(why) => {
                say(Level::Warn, "a line of the log is tried again", &[("why", why.to_string())]);
                message.retry();
            }
        }
    }
}

fn read(message: &RawMessage) -> Result<LogLine, String> {
    let text = message.body().as_string().ok_or("it is no text")?;
    format::read(text.as_bytes()).map_err(|why| why.to_string())
}

fn taken(env: &Env, message: &RawMessage, line: &LogLine) {
    message.ack();
    if let LogLine::Booking { booking, .. } = line
        && booking.status != BookingStatus::Pending
    {
        point(env, booking);
    }
}

/// One point for each end of a checkout: its status, what it was refused with, its map; how long it took, and what was paid. A line that came twice
/// makes two: numbers of a chart, not of the books.
fn point(env: &Env, booking: &Booking) {
    let Ok(points) = env.analytics_engine(POINTS) else { return };
    let map = booking.tickets.first().map(TicketId::map_str).unwrap_or_default();
    let took = booking.ended_at.map(|ended| ended.since(booking.started_at).0).unwrap_or_default();
    let paid = booking.amount.map(|amount| amount.minor()).unwrap_or_default();
    #[allow(clippy::cast_precision_loss, reason = "a chart needs no more")]
    let doubles = [took as f64, paid as f64, booking.tickets.len() as f64];
    let kind = booking.kind.clone().unwrap_or_default();
    let point = AnalyticsEngineDataPointBuilder::new()
        .indexes([map])
        .blobs([booking.status.as_str(), &kind, map])
        .doubles(doubles)
        .build();
    if let Err(why) = points.write_data_point(&point) {
        say(Level::Warn, "a point was not written", &[("why", why.to_string())]);
    }
}

/// Keeps messages that are no lines of the log, for an operator.
async fn bury(messages: &[RawMessage], env: &Env, mut why: impl FnMut(&RawMessage) -> String) {
    for message in messages {
        let body = message.body();
        let body = body.as_string().or_else(|| js_sys::JSON::stringify(&body).ok()?.as_string()).unwrap_or_default();
        let why = why(message);
        say(Level::Error, "a line of the log was not taken in", &[("why", why.clone())]);
        let row = "INSERT INTO dead (message, at, why, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (message) DO NOTHING";
        let at = number(now().as_millis());
        let statement = database(env)
            .and_then(|db| db.prepare(row).bind(&[message.id().into(), at, why.into(), body.into()]))
            .map(|statement| vec![statement]);
        let buried = match statement {
            Ok(statement) => write(env, statement).await,
            Err(why) => Err(why),
        };
        match buried {
            Ok(()) => message.ack(),
            Err(_) => message.retry(),
        }
    }
}

#[derive(Serialize)]
struct BookingRow<'a> {
    id: &'a str,
    line: u64,
    status: &'static str,
    user: &'a str,
    started: u64,
    ended: Option<u64>,
    notification: Option<&'a str>,
    text: String,
}

#[derive(Serialize)]
struct PartRow<'a> {
    of: String,
    started: u64,
    id: &'a str,
}

#[derive(Serialize)]
struct AuditRow<'a> {
    id: &'a str,
    at: u64,
    known: u8,
    entry: String,
}

/// A checkout may begin again under the key of one that was forgotten: the one that began last counts. A buyer who was erased stays so
/// if an older line comes late.
const BOOKINGS: &str = "INSERT INTO bookings (checkout_id, line, status, user_id, started_at, ended_at, notification, text) \
    SELECT value ->> 'id', value ->> 'line', value ->> 'status', value ->> 'user', value ->> 'started', value ->> 'ended', \
    value ->> 'notification', value ->> 'text' FROM json_each(?1) WHERE true \
    ON CONFLICT (checkout_id) DO UPDATE SET line = excluded.line, status = excluded.status, started_at = excluded.started_at, \
    ended_at = excluded.ended_at, notification = excluded.notification, \
    user_id = CASE WHEN bookings.user_id = '(erased)' AND excluded.started_at = bookings.started_at \
        THEN bookings.user_id ELSE excluded.user_id END, \
    text = CASE WHEN bookings.user_id = '(erased)' AND excluded.started_at = bookings.started_at \
        THEN json_set(excluded.text, '$.userId', bookings.user_id) ELSE excluded.text END \
    WHERE excluded.started_at > bookings.started_at \
        OR (excluded.started_at = bookings.started_at AND excluded.line > bookings.line)";
const TICKETS: &str = "INSERT OR IGNORE INTO tickets (ticket_id, started_at, checkout_id) \
    SELECT value ->> 'of', value ->> 'started', value ->> 'id' FROM json_each(?1)";
const MAPS: &str = "INSERT OR IGNORE INTO maps (map, started_at, checkout_id) \
    SELECT value ->> 'of', value ->> 'started', value ->> 'id' FROM json_each(?1)";
const AUDIT: &str = "INSERT INTO audit (id, at, known, entry) \
    SELECT value ->> 'id', value ->> 'at', value ->> 'known', value ->> 'entry' FROM json_each(?1) WHERE true \
    ON CONFLICT (id) DO UPDATE SET known = excluded.known, entry = excluded.entry WHERE excluded.known > audit.known";

/// Writes lines, all of them or none.
async fn keep<'a>(env: &Env, lines: impl IntoIterator<Item = &'a LogLine>) -> worker::Result<()> {
    let (mut bookings, mut tickets, mut maps, mut audit) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        match line {
            LogLine::Booking { line, booking } => {
                let (id, started) = (booking.checkout_id.as_str(), booking.started_at.as_millis());
                let part = |of: &str| PartRow { of: of.to_owned(), started, id };
                tickets.extend(booking.tickets.iter().map(|ticket| part(ticket.as_str())));
                let of: BTreeMap<&str, ()> = booking.tickets.iter().map(|ticket| (ticket.map_str(), ())).collect();
                maps.extend(of.into_keys().map(part));
                bookings.push(row(*line, booking));
            }
            LogLine::Audit { id, entry } => audit.push(audited(id, entry)),
        }
    }
    let mut statements = Vec::new();
    statement(env, &mut statements, BOOKINGS, &bookings)?;
    statement(env, &mut statements, TICKETS, &tickets)?;
    statement(env, &mut statements, MAPS, &maps)?;
    statement(env, &mut statements, AUDIT, &audit)?;
    if statements.is_empty() { Ok(()) } else { write(env, statements).await }
}

fn row(line: u64, booking: &Booking) -> BookingRow<'_> {
    BookingRow {
        id: booking.checkout_id.as_str(),
        line,
        status: booking.status.as_str(),
        user: booking.user_id.as_str(),
        started: booking.started_at.as_millis(),
        ended: booking.ended_at.map(|ended| ended.as_millis()),
        notification: booking.notification.as_deref(),
        text: serde_json::to_string(booking).unwrap_or_default(),
    }
}

/// How much is known: of what came again, what was done counts more than that it was refused before.
fn known(outcome: &AuditOutcome) -> u8 {
    match outcome {
        AuditOutcome::Unknown => 0,
        AuditOutcome::Refused(_) => 1,
        AuditOutcome::Done => 2,
    }
}

fn audited<'a>(id: &'a str, entry: &AuditEntry) -> AuditRow<'a> {
    let entry_text = serde_json::to_string(entry).unwrap_or_default();
    AuditRow { id, at: entry.at.as_millis(), known: known(&entry.outcome), entry: entry_text }
}

fn statement<T: Serialize>(
    env: &Env,
    statements: &mut Vec<D1PreparedStatement>,
    sql: &str,
    rows: &[T],
) -> worker::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let rows = serde_json::to_string(rows).map_err(|why| worker::Error::RustError(why.to_string()))?;
    statements.push(database(env)?.prepare(sql).bind(&[rows.into()])?);
    Ok(())
}
