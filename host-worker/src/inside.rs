//! Requests between the Worker and its objects, and from object to object. Nobody outside can send one: an object is
//! reached through a binding alone, and what says where a request comes from is written here.

use booking_core::wire::inner::Message;
use booking_core::wire::{Answer, Door, IDEMPOTENCY_KEY, Kind};
use booking_hosting::doors::Fingerprint;
use wasm_bindgen::JsValue;
use worker::web_sys::{self, RequestInit, RequestRedirect};
use worker::{Env, Headers, Request, Response, Stub};

use crate::errors::{Broken, Result};

/// The services, by the binding of their objects.
pub(crate) const TICKETS: &str = "TICKETS";
pub(crate) const SEAT_MAPS: &str = "SEAT_MAPS";
pub(crate) const CHECKOUTS: &str = "CHECKOUTS";

/// What a request came with that is no part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct From {
    /// Which door it came through.
    pub(crate) door: Door,
    /// Chance, for ids that nobody can guess. The same if the request comes again.
    pub(crate) chance: u128,
    /// The scope of its idempotency key, and what it came with.
    pub(crate) key: Option<(Fingerprint, Fingerprint)>,
}

impl From {
    /// The core itself.
    pub(crate) const INSIDE: Self = Self { door: Door::Inner, chance: 0, key: None };
}

/// The headers that say so.
const DOOR: &str = "booking-door";
const CHANCE: &str = "booking-chance";
const KIND: &str = "booking-kind";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A fingerprint as a text.
pub(crate) fn spelt(fingerprint: &Fingerprint) -> String {
    hex(fingerprint)
}

fn fingerprint(text: &str) -> Option<Fingerprint> {
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

impl From {
    fn headers(&self) -> Result<Headers> {
        let headers = Headers::new();
        let door = match self.door {
            Door::Public => "public",
            Door::Admin => "admin",
            Door::Inner => "inner",
        };
        headers.set(DOOR, door)?;
        if self.chance != 0 {
            headers.set(CHANCE, &format!("{:032x}", self.chance))?;
        }
        if let Some((scope, request)) = &self.key {
            headers.set(IDEMPOTENCY_KEY, &format!("{}.{}", spelt(scope), spelt(request)))?;
        }
        Ok(headers)
    }

    /// What a request says that came to an object.
    pub(crate) fn read(headers: &Headers) -> Result<Self> {
        let door = match headers.get(DOOR)?.as_deref() {
            Some("inner") => Door::Inner,
            Some("admin") => Door::Admin,
            _ => Door::Public,
        };
        let chance = headers.get(CHANCE)?.and_then(|text| u128::from_str_radix(&text, 16).ok()).unwrap_or_default();
        let key = headers.get(IDEMPOTENCY_KEY)?;
        let key = key.as_deref().and_then(|key| key.split_once('.'));
        let key = key.and_then(|(scope, request)| fingerprint(scope).zip(fingerprint(request)));
        Ok(Self { door, chance, key })
    }
}

/// An object, by its service's binding and its name.
fn object(env: &Env, binding: &str, name: &str) -> Result<Stub> {
    Ok(env.durable_object(binding)?.get_by_name(name)?)
}

/// How often an object is asked that does not answer.
const TRIES: u32 = 3;

/// Asks an object. It may be asked more than once: whatever is sent here may come twice.
pub(crate) async fn ask(
    env: &Env,
    binding: &str,
    name: &str,
    handler: &str,
    body: &[u8],
    from: &From,
) -> Result<Answer> {
    let mut failed = 0;
    loop {
        match ask_once(env, binding, name, handler, body, from).await {
            Ok(answer) => return Ok(answer),
            Err(why) => {
                failed += 1;
                if failed == TRIES {
                    return Err(why);
                }
                worker::Delay::from(std::time::Duration::from_millis(20 << failed)).await;
            }
        }
    }
}

async fn ask_once(env: &Env, binding: &str, name: &str, handler: &str, body: &[u8], from: &From) -> Result<Answer> {
    let request = post(&address(name, handler), &from.headers()?, &js_sys::Uint8Array::from(body), None)?;
    let mut response = object(env, binding, name)?.fetch_with_request(request).await?;
    let kind = response.headers().get(KIND)?.and_then(|kind| Kind::named(&kind));
    let answer = Answer { status: response.status_code(), body: response.text().await?, kind };
    // What is none of an object's answers comes of its platform.
    if answer.status >= 500 && kind.is_none() { Err(Broken::Row) } else { Ok(answer) }
}

/// Sends one of the core's own messages.
pub(crate) async fn send(env: &Env, binding: &str, name: &str, message: &Message) -> Result<Answer> {
    ask(env, binding, name, message.handler, message.body.as_bytes(), &From::INSIDE).await
}

/// Hands a request for a WebSocket over to an object, as it came.
pub(crate) async fn hand_over(env: &Env, binding: &str, name: &str, handler: &str, came: &Request) -> Result<Response> {
    let init = RequestInit::new();
    init.set_headers(came.headers().as_ref());
    let request = web_sys::Request::new_with_str_and_init(&address(name, handler), &init);
    let request = Request::from(request.map_err(worker::Error::from)?);
    Ok(object(env, binding, name)?.fetch_with_request(request).await?)
}

/// A request with a body. (That of the SDK has settings for images with it, which nobody here asks for.)
pub(crate) fn post(url: &str, headers: &Headers, body: &JsValue, redirect: Option<RequestRedirect>) -> Result<Request> {
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_headers(headers.as_ref());
    init.set_body(body);
    if let Some(redirect) = redirect {
        init.set_redirect(redirect);
    }
    let request = web_sys::Request::new_with_str_and_init(url, &init);
    Ok(Request::from(request.map_err(worker::Error::from)?))
}

/// Ids need no escapes.
fn address(name: &str, handler: &str) -> String {
    format!("https://object/{name}/{handler}")
}

/// Where a request goes that came to an object: the name of the object, and of its handler.
pub(crate) fn target(path: &str) -> (&str, &str) {
    path.trim_start_matches('/').split_once('/').unwrap_or_default()
}

/// An answer on its way back.
pub(crate) fn respond(answer: Answer) -> worker::Result<Response> {
    let response = Response::builder().with_status(answer.status);
    let response = match answer.kind {
        Some(kind) => response.with_header(KIND, kind.as_str())?,
        None => response,
    };
    Ok(response.fixed(answer.body.into_bytes()))
}
