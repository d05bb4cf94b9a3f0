//! The books of operators, where this deployment has them: a queue for the lines of their log, and the Worker that keeps what comes out of
//! it. Each is bound or is not; the shop sells without them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use booking_core::format;
use booking_core::life::Digest;
use booking_core::time::{Millis, Timestamp};
use booking_core::wire::audit::AuditEntry;
use booking_core::wire::log::{LogCall, LogLine};
use booking_core::wire::{Door, Handler, Kind, route};
use booking_workers::clock::now;
use booking_workers::log::{Level, say};
use booking_workers::outside::{self, Passed};
use js_sys::futures::JsFuture;
use js_sys::{Object, Promise, Reflect};
use wasm_bindgen::prelude::{JsCast as _, JsValue, wasm_bindgen};
use worker::Env;
use worker::web_sys::Response;

use crate::calls::{Asked, CheckoutCall};
use crate::errors::{Broken, Result};
use crate::inside::{self, CHECKOUTS};

/// The binding of the queue.
const LOG: &str = "LOG";

/// The binding of the Worker that keeps the books.
const OPERATIONS: &str = "OPERATIONS";

/// How long one call to it may take. It may have to read much.
const WITHIN: Millis = Millis::from_secs(30);

/// How old a checkout has to be that is asked how it stands, as nothing has been heard of its end.
const OVERDUE: Millis = Millis::from_mins(1);

#[wasm_bindgen]
extern "C" {
    /// The queue. (What the SDK has for this reads and writes any JavaScript value.)
    #[wasm_bindgen(extends = Object)]
    type Queue;

    #[wasm_bindgen(method, catch)]
    fn send(this: &Queue, body: &str, options: &Object) -> std::result::Result<Promise, JsValue>;
}

fn bound(env: &Env, name: &str) -> Option<JsValue> {
    Reflect::get(env.as_ref(), &name.into()).ok().filter(JsValue::is_object)
}

/// Whether lines of the log go anywhere.
pub(crate) fn has_log(env: &Env) -> bool {
    bound(env, LOG).is_some()
}

/// Hands a line of the log over; it is kept once this has ended. Nothing is done where there is no queue.
pub(crate) async fn log(env: &Env, line: &LogLine) -> Result<()> {
    let Some(queue) = bound(env, LOG) else { return Ok(()) };
    let text = String::from_utf8(format::write(line)).map_err(|_| Broken::Message)?;
    let options = Object::new();
    Reflect::set(&options, &"contentType".into(), &"text".into())?;
    JsFuture::from(queue.unchecked_ref::<Queue>().send(&text, &options)?).await?;
    Ok(())
}

/// Writes down that an operator asks for something, before it is done: what cannot be written down is not done.
pub(crate) async fn asked(env: &Env, id: &str, entry: &AuditEntry) -> std::result::Result<(), Kind> {
    let line = LogLine::Audit { id: id.to_owned(), entry: entry.clone() };
    log(env, &line).await.map_err(|why| {
        say(Level::Error, "an operator's command was not written down, so it is not done", &[("why", why.to_string())]);
        Kind::StorageUnavailable
    })
}

/// Writes down what came of it.
pub(crate) async fn answered(env: &Env, id: &str, entry: AuditEntry) {
    if let Err(why) = log(env, &LogLine::Audit { id: id.to_owned(), entry }).await {
        say(Level::Warn, "what came of an operator's command was not written down", &[("why", why.to_string())]);
    }
}

/// What an entry of the audit is called. What came again under a key on the same day has one entry: a map remembers keys for a day.
pub(crate) fn audit_id(key: Option<Digest>, chance: u128, at: Timestamp) -> String {
    match key {
        Some(Digest(scope)) => format!("{:032x}-{}", u128::from_be_bytes(scope), at.as_millis() / 86_400_000),
        None => format!("{chance:032x}"),
    }
}

/// Asks the Worker that keeps the books: its response, or `None` where there is none in time.
///
/// # Errors
/// `NotFound` where no such Worker is bound.
pub(crate) async fn ask(env: &Env, call: &LogCall) -> std::result::Result<Option<Response>, Kind> {
    bound(env, OPERATIONS).ok_or(Kind::NotFound)?;
    let request = Passed { method: "POST", path: "/", key: None, body: &format::write_json(call) };
    Ok(outside::ask_bound(env, OPERATIONS, WITHIN, request).await)
}

/// The same, for what the shop itself asks: the body of an answer with status 200.
///
/// # Errors
/// `NotFound` where no such Worker is bound, `StorageUnavailable` where it has no such answer.
pub(crate) async fn text(env: &Env, call: &LogCall) -> std::result::Result<String, Kind> {
    let response = ask(env, call).await?.filter(|response| response.status() == 200).ok_or(Kind::StorageUnavailable)?;
    let text = response.text().map_err(|_| Kind::StorageUnavailable)?;
    JsFuture::from(text).await.ok().and_then(|text| text.as_string()).ok_or(Kind::StorageUnavailable)
}

/// What that Worker has refused a request with.
pub(crate) async fn refusal(response: &Response) -> Kind {
    #[derive(serde::Deserialize)]
    struct Refused {
        kind: String,
        #[serde(rename = "code")]
        _code: u16,
        #[serde(rename = "message")]
        _message: String,
    }
    let text = match response.text() {
        Ok(text) => JsFuture::from(text).await.ok().and_then(|text| text.as_string()),
        Err(_) => None,
    };
    let refused: Option<Refused> = text.and_then(|text| format::read_json(text.as_bytes()));
    refused.and_then(|refused| Kind::named(&refused.kind)).unwrap_or(Kind::StorageUnavailable)
}

/// Callers that were refused, by handler and kind: how often since the audit last heard of them, and when that was.
type Counts = BTreeMap<(Option<Handler>, &'static str), (u32, Timestamp)>;

thread_local! {
    /// Refusals of this isolate.
    static REFUSED: RefCell<Counts> = const { RefCell::new(BTreeMap::new()) };
}

/// How long refusals are gathered.
const GATHERED_FOR: Millis = Millis::from_secs(60);

/// A request was refused at the door with this. The audit hears of the first of a handler and kind at once, and then at most once a minute.
pub(crate) async fn refused(env: &Env, method: &str, path: &str, kind: Kind) {
    if !matches!(kind, Kind::Unauthorized | Kind::RateLimited) || !has_log(env) {
        return;
    }
    let (handler, at) = (route(Door::Admin, method, path).ok().map(|route| route.handler), now());
    let which = (handler, kind.as_str());
    let times = REFUSED.with_borrow_mut(|counts| {
        let (times, last) = counts.entry(which).or_insert((0, Timestamp::from_millis(0)));
        *times = times.saturating_add(1);
        if at.since(*last) < GATHERED_FOR {
            return None;
        }
        *last = at;
        Some(std::mem::take(times))
    });
    let (Some(times), mut chance) = (times, [0; 16]) else { return };
    let entry = AuditEntry::refusals(handler, kind, times, at);
    let is_kept = match getrandom::fill(&mut chance) {
        Ok(()) => {
            let id = audit_id(None, u128::from_be_bytes(chance), at);
            log(env, &LogLine::Audit { id, entry }).await.is_ok()
        }
        Err(_) => false,
    };
    if !is_kept {
        // The next one tells of these as well.
        REFUSED.with_borrow_mut(|counts| {
            let (count, _) = counts.entry(which).or_insert((0, at));
            *count = count.saturating_add(times);
        });
    }
}

/// Asks the checkouts how they stand of which nothing has been heard for too long. Each continues by that, if its alarm was lost, and says
/// again how it ended, if that was.
pub(crate) async fn revive(env: &Env) -> Result<()> {
    let before = Timestamp::from_millis(now().as_millis().saturating_sub(OVERDUE.0));
    let text = match text(env, &LogCall::Overdue { before }).await {
        Ok(text) => text,
        Err(Kind::NotFound) => return Ok(()),
        Err(_) => return Err(Broken::Platform(503)),
    };
    let overdue: Vec<booking_core::ids::CheckoutId> = inside::read(text.as_bytes())?;
    for id in overdue {
        let asked = inside::ask(env, CHECKOUTS, id.as_str(), &Asked { call: CheckoutCall::Revive, key: None }).await;
        if let Err(why) = asked {
            say(Level::Warn, "a checkout was not revived", &[("checkout", id.to_string()), ("why", why.to_string())]);
        }
    }
    Ok(())
}
