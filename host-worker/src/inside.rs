//! Requests between the Worker and its objects, and from object to object. Nobody outside can send one: an object is
//! reached through a binding alone, and what says where a request comes from is written here.

use booking_core::format;
use booking_core::ids::TicketId;
use booking_core::inventory::LineCommand;
use booking_core::terms::Backoff;
use booking_core::time::Millis;
use booking_core::wire::{Answer, Kind, MapCall};
use booking_workers::clock::{jittered, pause};
use booking_workers::faults;
use js_sys::futures::JsFuture;
use js_sys::{Object, Promise, Reflect, Uint8Array};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::{JsCast as _, JsValue, wasm_bindgen};
use worker::web_sys::{self, RequestInit};
use worker::{Env, Request, Response};

use crate::calls::{Asked, CheckoutCall};
use crate::errors::{Again, Broken, Result};

/// The services, by the binding of their objects.
pub(crate) const SEAT_MAPS: &str = "SEAT_MAPS";
pub(crate) const CHECKOUTS: &str = "CHECKOUTS";

/// What a call to a map is called in a log.
pub(crate) fn name_of(call: &MapCall) -> &'static str {
    match call {
        MapCall::Seat(..) => "seat",
        MapCall::Map(_) => "map",
        MapCall::Line(_, LineCommand::Claim { .. }) => "claim",
        MapCall::Line(_, LineCommand::Confirm { .. }) => "confirm",
        MapCall::Line(_, LineCommand::Revoke { .. }) => "revoke",
        MapCall::Expire(_) => "expire",
    }
}

impl CheckoutCall {
    /// What it is called in a log.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Process(_) => "process",
            Self::Send(_) => "send",
            Self::Status => "status",
            Self::Operate(_) => "operate",
            Self::Revive => "revive",
        }
    }
}

/// The names of seats, one after the other.
pub(crate) fn names<'a>(ids: impl IntoIterator<Item = &'a TicketId>) -> String {
    ids.into_iter().map(TicketId::as_str).collect::<Vec<_>>().join(" ")
}

/// The header that every answer of an object has: the kind of a refusal, or [`NO_KIND`].
const KIND: &str = "booking-kind";

/// That an answer is no refusal.
const NO_KIND: &str = "-";

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
async fn fetch(env: &Env, binding: &str, name: &str, init: &RequestInit) -> Result<web_sys::Response> {
    let namespace: Namespace = Reflect::get(env.as_ref(), &binding.into())?.unchecked_into();
    // Ids need no escapes.
    let answer = async {
        faults::may_throw("overloaded", name)?;
        faults::may_throw("retryable", name)?;
        JsFuture::from(namespace.get_by_name(name)?.fetch(&format!("https://object/{name}"), init)?).await
    };
    let unanswered = |why: JsValue| Broken::Unanswered { again: Again::said_by(&why), why: why.into() };
    Ok(answer.await.map_err(unanswered)?.unchecked_into())
}

/// How often an object is asked that does not answer.
fn tries(why: &Broken) -> u32 {
    let again = if let Broken::Unanswered { again, .. } = why { *again } else { Again::Surely };
    match again {
        Again::Never => 1,
        Again::Once => 2,
        Again::Surely => 3,
    }
}

/// The waits before that.
const AGAIN: Backoff = Backoff { first: Millis(40), cap: Millis(400) };

/// Asks an object, again if no answer comes. So the object may get the same request more than once.
pub(crate) async fn ask<C: Serialize>(env: &Env, binding: &str, name: &str, asked: &Asked<C>) -> Result<Answer> {
    let (body, mut failed) = (format::write_json(asked), 0);
    loop {
        match ask_once(env, binding, name, &body).await {
            Ok(answer) => return Ok(answer),
            Err(why) => {
                failed += 1;
                if failed >= tries(&why) {
                    return Err(why);
                }
                pause(jittered(AGAIN.after(failed))).await;
            }
        }
    }
}

async fn ask_once(env: &Env, binding: &str, name: &str, body: &[u8]) -> Result<Answer> {
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_body(&Uint8Array::from(body));
    answer(&fetch(env, binding, name, &init).await?).await
}

/// What an object answered.
async fn answer(response: &web_sys::Response) -> Result<Answer> {
    let status = response.status();
    let kind = response.headers().get(KIND)?;
    // Without it a refusal is the platform's, or of a build that does not know what it was asked: no answer.
    if status >= 400 && kind.is_none() {
        return Err(Broken::Platform(status));
    }
    let kind = kind.and_then(|kind| Kind::named(&kind));
    let body = JsFuture::from(response.text()?).await?.as_string().ok_or(Broken::Platform(status))?;
    Ok(Answer { status, body, kind })
}

/// What an object was asked, or answered.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    format::read_json(body).ok_or(Broken::Message)
}

/// Hands a request for a WebSocket over to an object, as it came. The other end of the socket, or why there is none.
pub(crate) async fn hand_over(
    env: &Env,
    binding: &str,
    name: &str,
    came: &Request,
) -> Result<std::result::Result<Response, Answer>> {
    let init = RequestInit::new();
    init.set_headers(came.headers().as_ref());
    let response = fetch(env, binding, name, &init).await?;
    if response.status() == 101 { Ok(Ok(response.into())) } else { answer(&response).await.map(Err) }
}

/// The name of the object that a request came to.
pub(crate) fn target(path: &str) -> &str {
    path.trim_start_matches('/')
}

/// An answer on its way back.
pub(crate) fn respond(answer: Answer) -> worker::Result<Response> {
    let response = Response::builder().with_status(answer.status);
    let response = response.with_header(KIND, answer.kind.map_or(NO_KIND, Kind::as_str))?;
    Ok(response.fixed(answer.body.into_bytes()))
}
