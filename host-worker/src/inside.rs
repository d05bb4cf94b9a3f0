//! Requests between the Worker and its objects, and from object to object. Nobody outside can send one: an object is
//! reached through a binding alone, and what says where a request comes from is written here.

use booking_core::wire::inner::Message;
use booking_core::wire::{Answer, Door, IDEMPOTENCY_KEY, Kind};
use booking_hosting::doors::Fingerprint;
use js_sys::futures::JsFuture;
use js_sys::{Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::{JsCast as _, JsValue, wasm_bindgen};
use worker::web_sys::{self, RequestInit};
use worker::{Env, Headers, Request, Response};

use crate::errors::{Broken, Result};

/// The services, by the binding of their objects.
pub(crate) const TICKETS: &str = "TICKETS";
pub(crate) const SEAT_MAPS: &str = "SEAT_MAPS";
pub(crate) const CHECKOUTS: &str = "CHECKOUTS";

/// What a request came with that is no part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Which door it came through.
    pub(crate) door: Door,
    /// Chance, for ids that nobody can guess. The same if the request comes again.
    pub(crate) chance: u128,
    /// The scope of its idempotency key, and what it came with.
    pub(crate) key: Option<(Fingerprint, Fingerprint)>,
}

impl Caller {
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

impl Caller {
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

#[wasm_bindgen]
extern "C" {
    /// All objects of one class. (What the SDK has for this reads each answer piece by piece, through a stream.)
    #[wasm_bindgen(extends = Object)]
    type Namespace;

    #[wasm_bindgen(method, catch, js_name = getByName)]
    fn get_by_name(this: &Namespace, name: &str) -> std::result::Result<Stub, JsValue>;

    /// One of them.
    #[wasm_bindgen(extends = Object)]
    type Stub;

    #[wasm_bindgen(method, catch)]
    fn fetch(this: &Stub, url: &str, init: &RequestInit) -> std::result::Result<Promise, JsValue>;
}

/// Has an object, by its service's binding and its name, handle a request.
async fn fetch(env: &Env, binding: &str, name: &str, handler: &str, init: &RequestInit) -> Result<web_sys::Response> {
    let namespace: Namespace = Reflect::get(env.as_ref(), &binding.into())?.unchecked_into();
    // Ids need no escapes.
    let answer = namespace.get_by_name(name)?.fetch(&format!("https://object/{name}/{handler}"), init)?;
    Ok(JsFuture::from(answer).await?.unchecked_into())
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
    from: &Caller,
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

async fn ask_once(env: &Env, binding: &str, name: &str, handler: &str, body: &[u8], from: &Caller) -> Result<Answer> {
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_headers(from.headers()?.as_ref());
    init.set_body(&Uint8Array::from(body));
    answer(&fetch(env, binding, name, handler, &init).await?).await
}

/// What an object answered.
async fn answer(response: &web_sys::Response) -> Result<Answer> {
    let kind = response.headers().get(KIND)?.and_then(|kind| Kind::named(&kind));
    let body = JsFuture::from(response.text()?).await?.as_string().ok_or(Broken::Row)?;
    let answer = Answer { status: response.status(), body, kind };
    // What is none of an object's answers comes of its platform.
    if answer.status >= 500 && kind.is_none() { Err(Broken::Row) } else { Ok(answer) }
}

/// Sends one of the core's own messages.
pub(crate) async fn send(env: &Env, binding: &str, name: &str, message: &Message) -> Result<Answer> {
    ask(env, binding, name, message.handler, message.body.as_bytes(), &Caller::INSIDE).await
}

/// Hands a request for a WebSocket over to an object, as it came. The other end of the socket, or why there is none.
pub(crate) async fn hand_over(
    env: &Env,
    binding: &str,
    name: &str,
    handler: &str,
    came: &Request,
) -> Result<std::result::Result<Response, Answer>> {
    let init = RequestInit::new();
    init.set_headers(came.headers().as_ref());
    let response = fetch(env, binding, name, handler, &init).await?;
    if response.status() == 101 { Ok(Ok(response.into())) } else { answer(&response).await.map(Err) }
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
