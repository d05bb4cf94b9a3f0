//! What the books are asked: the same addresses, bodies and answers as in process.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use booking_core::format;
use booking_core::ids::{CheckoutId, UserId};
use booking_core::time::{MAX_EXACT, Timestamp};
use booking_core::wire::export::Booking;
use booking_core::wire::log::LogCall;
use booking_core::wire::search::{AuditSearch, BookingCursor, BookingSearch, InboxId, InboxSearch, LONGEST_PAGE};
use booking_core::wire::{Answer, Kind, MAX_BODY, Refusal, answer};
use booking_workers::body;
use booking_workers::clock::now;
use booking_workers::log::{Level, say};
use js_sys::futures::{JsFuture, future_to_promise};
use js_sys::{Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::{Closure, JsCast as _, JsValue, wasm_bindgen};
use worker::web_sys::ReadableStream;
use worker::{Env, Request, Response};

use crate::database::{Row, database, number, rows, write};
use crate::respond;

/// The binding of the queue that lines come from.
const LOG: &str = "LOG";

/// How many overdue checkouts are named at once.
const OVERDUE: u32 = 50;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(extends = Object)]
    type Queue;

    #[wasm_bindgen(method, catch)]
    fn send(this: &Queue, body: &str, options: &Object) -> Result<Promise, JsValue>;

    /// What takes the pieces of an answer.
    type Controller;

    #[wasm_bindgen(method, catch)]
    fn enqueue(this: &Controller, piece: &Uint8Array) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    fn close(this: &Controller) -> Result<(), JsValue>;
}

/// Why something was not answered.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("refused")]
    Refused(Refusal),
    #[error("{0}")]
    Failed(#[from] worker::Error),
    #[error("what is kept cannot be read")]
    Unreadable,
}

impl From<Refusal> for Unanswered {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<JsValue> for Unanswered {
    fn from(thrown: JsValue) -> Self {
        Self::Failed(thrown.into())
    }
}

type Outcome<T = Answer> = Result<T, Unanswered>;

pub(crate) async fn answer(request: Request, env: &Env) -> worker::Result<Response> {
    let refused = |refusal: &Refusal| respond(&answer::refusal(refusal));
    match answered(&request, env).await {
        Ok(response) => Ok(response),
        Err(Unanswered::Refused(refusal)) => refused(&refusal),
        Err(why) => {
            say(Level::Error, "the books cannot be read", &[("why", why.to_string())]);
            refused(&Kind::StorageUnavailable.into())
        }
    }
}

async fn answered(request: &Request, env: &Env) -> Outcome<Response> {
    let body = body::read(request.inner(), MAX_BODY, 0).await;
    let body = body.map_err(|_| Refusal::invalid("body", "cannot be read"))?;
    let call: LogCall = format::read_json(&body).ok_or_else(|| Refusal::invalid("body", "is none of this build's"))?;
    let answer = match call {
        LogCall::Bookings(search) => {
            let (page, next) = bookings(env, &search).await?;
            shown("bookings", page.iter().map(|row| row.text(0)), next.map(String::from))
        }
        LogCall::BookingsCsv(search) => return table(env, search).await,
        LogCall::Inbox(search) => inbox(env, &search).await?,
        LogCall::Resend { line } => retry(env, line).await?,
        LogCall::Audit(search) => audit(env, &search).await?,
        LogCall::Erase { checkouts } => erase(env, &checkouts).await?,
        LogCall::Overdue { before } => overdue(env, before).await?,
    };
    Ok(respond(&answer)?)
}

/// A page of a list, of entries that are JSON already: as [`booking_core::wire::answer`] writes it.
fn shown(name: &str, entries: impl Iterator<Item = String>, next: Option<String>) -> Answer {
    let entries: Vec<String> = entries.collect();
    // No cursor has a character in it that JSON would escape.
    let next = next.map_or_else(|| "null".to_owned(), |next| format!("\"{next}\""));
    Answer { status: 200, body: format!("{{\"{name}\":[{}],\"next\":{next}}}", entries.join(",")), kind: None }
}

/// A page of bookings, and where the next one begins.
async fn bookings(env: &Env, search: &BookingSearch) -> Outcome<(Vec<Row>, Option<BookingCursor>)> {
    let mut bindings = Vec::new();
    let mut bind = |value: JsValue| {
        bindings.push(value);
        format!("?{}", bindings.len())
    };
    // The narrowest table comes first: its key is in the order of the list.
    let mut wanted = Vec::new();
    let from = match (&search.ticket, &search.map) {
        (Some(ticket), map) => {
            wanted.push(format!("k.ticket_id = {}", bind(ticket.as_str().into())));
            if let Some(map) = map {
                let of = "SELECT 1 FROM maps m WHERE m.started_at = k.started_at AND m.checkout_id = k.checkout_id";
                wanted.push(format!("EXISTS ({of} AND m.map = {})", bind(map.as_str().into())));
            }
            "tickets k JOIN bookings b ON b.checkout_id = k.checkout_id AND b.started_at = k.started_at"
        }
        (None, Some(map)) => {
            wanted.push(format!("k.map = {}", bind(map.as_str().into())));
            "maps k JOIN bookings b ON b.checkout_id = k.checkout_id AND b.started_at = k.started_at"
        }
        (None, None) => "bookings b",
    };
    let key = if wanted.is_empty() { "b" } else { "k" };
    if let Some(user) = &search.user {
        wanted.push(format!("b.user_id = {}", bind(user.as_str().into())));
    }
    if let Some(status) = search.status {
        wanted.push(format!("b.status = {}", bind(status.as_str().into())));
    }
    if let Some(from) = search.from {
        wanted.push(format!("{key}.started_at >= {}", bind(number(from.as_millis()))));
    }
    if let Some(until) = search.until {
        wanted.push(format!("{key}.started_at < {}", bind(number(until.as_millis()))));
    }
    if let Some(BookingCursor { started, checkout }) = &search.after {
        let (started, checkout) = (bind(number(started.as_millis())), bind(checkout.as_str().into()));
        wanted.push(format!("({key}.started_at, {key}.checkout_id) < ({started}, {checkout})"));
    }
    let wanted = if wanted.is_empty() { "true".to_owned() } else { wanted.join(" AND ") };
    let limit = bind(number(search.limit as u64 + 1));
    let order = format!("{key}.started_at DESC, {key}.checkout_id DESC");
    let columns = "b.text, b.started_at, b.checkout_id";
    let query = format!("SELECT {columns} FROM {from} WHERE {wanted} ORDER BY {order} LIMIT {limit}");
    let mut page = rows(env, &query, &bindings).await?;
    let is_more = page.len() > search.limit;
    page.truncate(search.limit);
    let next = page.last().filter(|_| is_more).and_then(|last| {
        let started = Timestamp::from_millis(last.number(1));
        Some(BookingCursor { started, checkout: CheckoutId::parse(&last.text(2)).ok()? })
    });
    Ok((page, next))
}

/// All bookings that are looked for, page after page. If one cannot be had, the answer breaks off.
async fn table(env: &Env, search: BookingSearch) -> Outcome<Response> {
    let (page, next) = bookings(env, &BookingSearch { limit: LONGEST_PAGE, ..search.clone() }).await?;
    let first = format!("{}{}", Booking::CSV_HEADER, lines(&page)?);
    // A piece that panics ends the answer.
    let rest = AssertUnwindSafe(Rc::new(Cell::new(Some((Some(first), next)))));
    let env = env.clone();
    // The platform asks for a piece where there is room for one, and never for two at a time.
    let pull = Closure::<dyn FnMut(Controller) -> Promise>::new(move |controller: Controller| {
        let (env, search, rest) = (env.clone(), search.clone(), Rc::clone(&rest));
        future_to_promise(AssertUnwindSafe(async move {
            let piece = match rest.take() {
                Some((Some(first), next)) => Some((first, next)),
                Some((None, Some(after))) => {
                    let asked = BookingSearch { after: Some(after), limit: LONGEST_PAGE, ..search };
                    let page = bookings(&env, &asked).await.and_then(|(page, next)| Ok((lines(&page)?, next)));
                    Some(page.map_err(|why| JsValue::from(why.to_string()))?)
                }
                Some((None, None)) | None => None,
            };
            if let Some((text, next)) = piece {
                controller.enqueue(&Uint8Array::from(text.as_bytes()))?;
                rest.set(Some((None, next)));
            } else {
                controller.close()?;
            }
            Ok(JsValue::UNDEFINED)
        }))
    });
    let source = Object::new();
    Reflect::set(&source, &"pull".into(), &pull.into_js_value())?;
    let stream = ReadableStream::new_with_underlying_source(&source)?;
    let response: Response = worker::web_sys::Response::new_with_opt_readable_stream(Some(&stream))?.into();
    let headers = worker::Headers::new();
    headers.set("Content-Type", "text/csv; charset=utf-8")?;
    headers.set("Content-Disposition", "attachment; filename=\"bookings.csv\"")?;
    headers.set("Cache-Control", "no-store")?;
    headers.set("X-Content-Type-Options", "nosniff")?;
    Ok(response.with_headers(headers))
}

fn lines(page: &[Row]) -> Outcome<String> {
    let line =
        |row: &Row| Ok(format::read_json::<Booking>(row.text(0).as_bytes()).ok_or(Unanswered::Unreadable)?.csv());
    page.iter().map(line).collect()
}

/// Messages that were given up, in the order of their checkouts, then lines that were not taken in.
async fn inbox(env: &Env, InboxSearch { after, limit }: &InboxSearch) -> Outcome {
    let most = number(*limit as u64 + 1);
    let mut messages: Vec<(InboxId, String)> = Vec::new();
    let lines_after = match after {
        Some(InboxId::Line(n)) => *n,
        Some(InboxId::Notification(_)) | None => {
            let after = if let Some(InboxId::Notification(checkout)) = after { checkout.as_str() } else { "" };
            let query = "SELECT text, checkout_id FROM bookings WHERE notification = 'GIVEN_UP' AND checkout_id > ?1 \
                ORDER BY checkout_id LIMIT ?2";
            for row in rows(env, query, &[after.into(), most.clone()]).await? {
                let id = CheckoutId::parse(&row.text(1)).map_err(|_| Unanswered::Unreadable)?;
                messages.push((InboxId::Notification(id), format!(",\"booking\":{}", row.text(0))));
            }
            0
        }
    };
    if messages.len() <= *limit {
        let query = "SELECT n, why FROM dead WHERE n > ?1 ORDER BY n LIMIT ?2";
        for row in rows(env, query, &[number(lines_after), most]).await? {
            let why = format!(",\"why\":{}", serde_json::Value::from(row.text(1)));
            messages.push((InboxId::Line(row.number(0)), why));
        }
    }
    let is_more = messages.len() > *limit;
    messages.truncate(*limit);
    let next = messages.last().filter(|_| is_more).map(|(id, _)| id.to_string());
    Ok(shown("messages", messages.iter().map(|(id, rest)| format!("{{\"id\":\"{id}\"{rest}}}")), next))
}

/// Sends a line once more to where it came from. It may come twice, which does no harm.
async fn retry(env: &Env, n: u64) -> Outcome {
    let found = rows(env, "SELECT body FROM dead WHERE n = ?1", &[number(n)]).await?;
    let Some(row) = found.first() else { return Err(Refusal::from(Kind::NotFound).into()) };
    let queue = Reflect::get(env.as_ref(), &LOG.into())?;
    let options = Object::new();
    Reflect::set(&options, &"contentType".into(), &"text".into())?;
    JsFuture::from(queue.unchecked_ref::<Queue>().send(&row.text(0), &options)?).await?;
    write(env, vec![database(env)?.prepare("DELETE FROM dead WHERE n = ?1").bind(&[number(n)])?]).await?;
    Ok(answer::ok(None))
}

async fn audit(env: &Env, AuditSearch { after, limit }: &AuditSearch) -> Outcome {
    let (after, most) = (number(after.unwrap_or(MAX_EXACT)), number(*limit as u64 + 1));
    let query = "SELECT n, entry FROM audit WHERE n < ?1 ORDER BY n DESC LIMIT ?2";
    let found = rows(env, query, &[after, most]).await?;
    let next = found.get(limit - 1).filter(|_| found.len() > *limit).map(|row| row.number(0));
    // An entry is an object, which gets its number as its first field.
    let numbered = |row: &Row| format!("{{\"n\":{},{}", row.number(0), row.text(1).trim_start_matches('{'));
    let entries: Vec<String> = found.iter().take(*limit).map(numbered).collect();
    let next = next.map_or_else(|| "null".to_owned(), |next| next.to_string());
    let body = format!("{{\"entries\":[{}],\"next\":{next}}}", entries.join(","));
    Ok(Answer { status: 200, body, kind: None })
}

async fn erase(env: &Env, checkouts: &[CheckoutId]) -> Outcome {
    let row = "UPDATE bookings SET user_id = ?2, text = json_set(text, '$.userId', ?2) \
        WHERE checkout_id IN (SELECT value FROM json_each(?1))";
    let dead = "UPDATE dead SET body = json_set(body, '$.is.booking.booking.userId', ?2) \
        WHERE CASE WHEN json_valid(body) THEN body ->> '$.is.booking.booking.checkoutId' END IN (SELECT value FROM json_each(?1))";
    let bindings = [JsValue::from(format::write_json(&checkouts)), UserId::erased().as_str().into()];
    let database = database(env)?;
    write(env, vec![database.prepare(row).bind(&bindings)?, database.prepare(dead).bind(&bindings)?]).await?;
    Ok(answer::ok(None))
}

/// They count as asked.
async fn overdue(env: &Env, before: Timestamp) -> Outcome {
    let oldest =
        "SELECT checkout_id FROM bookings WHERE status = 'PENDING' AND started_at < ?1 ORDER BY asked_at LIMIT ?2";
    let query = format!("UPDATE bookings SET asked_at = ?3 WHERE checkout_id IN ({oldest}) RETURNING checkout_id");
    let bindings = [number(before.as_millis()), OVERDUE.into(), number(now().as_millis())];
    let ids: Vec<String> =
        rows(env, &query, &bindings).await?.iter().map(|row| format!("\"{}\"", row.text(0))).collect();
    Ok(Answer { status: 200, body: format!("[{}]", ids.join(",")), kind: None })
}
