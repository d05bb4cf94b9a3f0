//! Asking those outside: the payment gateway, and who sends messages to buyers.

use booking_core::effect::Notification;
use booking_core::payment::{Payment, PaymentAnswer};
use booking_core::time::Millis;
use booking_core::wire::{BEARER, IDEMPOTENCY_KEY, gateway};
use js_sys::futures::JsFuture;
use js_sys::{Object, Promise, Reflect};
use wasm_bindgen::prelude::{JsCast as _, JsValue, wasm_bindgen};
use worker::web_sys::{AbortSignal, RequestInit, RequestRedirect, Response};
use worker::{Env, Headers};

use crate::body;
use crate::clock::now;
use crate::log::{Level, say};
use crate::settings::{Port, Way};

/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch)]
    fn fetch(url: &str, init: &RequestInit) -> Result<Promise, JsValue>;

    /// Another Worker.
    #[wasm_bindgen(extends = Object)]
    type Service;

    #[wasm_bindgen(method, catch, js_name = fetch)]
    fn ask(this: &Service, url: &str, init: &RequestInit) -> Result<Promise, JsValue>;
}

/// Asks the gateway. No answer in time is an answer as well: it is not known what was done.
pub async fn pay(env: &Env, port: &Port, payment: &Payment) -> PaymentAnswer {
    let said = carry(env, port, gateway::request(payment)).await;
    let said = said.as_ref().map(|(status, body)| (*status, &body[..]));
    if let gateway::Sense::Odd(status) = gateway::sense(payment, said) {
        let fields = [("asked", payment.name().to_owned()), ("status", status.to_string())];
        say(
            Level::Error,
            "the payment gateway refuses this Worker, or says what it never should: a person should look",
            &fields,
        );
    }
    gateway::read(payment, said)
}

/// Delivers a message to a buyer; whether it has been taken.
pub async fn deliver(env: &Env, port: &Port, notification: &Notification) -> bool {
    carry(env, port, gateway::notification(notification)).await.is_some_and(|(status, _)| (200..300).contains(&status))
}

/// Carries a request there: status and body of its answer, or `None` where there is none in time.
async fn carry(env: &Env, port: &Port, request: gateway::GatewayRequest) -> Option<(u16, Vec<u8>)> {
    let headers = Headers::new();
    headers.set("Content-Type", "application/json").ok()?;
    headers.set("Accept", "application/json").ok()?;
    headers.set(IDEMPOTENCY_KEY, request.key.as_str()).ok()?;
    if let Some(token) = &port.token {
        headers.set("Authorization", &format!("{BEARER}{token}")).ok()?;
    }
    let signed = port.signing.as_ref().map(|signing| signing.headers(request.key.as_str(), now(), &request.body));
    signed.iter().flatten().try_for_each(|(name, value)| headers.set(name, value)).ok()?;
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_headers(headers.as_ref());
    init.set_body(&request.body.into());
    init.set_redirect(RequestRedirect::Manual);
    // The platform ends the exchange then, also where it is still reading.
    let within = u32::try_from(port.within.0).unwrap_or(u32::MAX);
    init.set_signal(Some(&AbortSignal::timeout_with_u32(within)));
    let url = format!("{}{}", port.url, request.path);
    let asked = match port.way {
        Way::Internet => fetch(&url, &init),
        Way::Bound(name) => bound(env, name)?.ask(&url, &init),
    };
    let answer = JsFuture::from(asked.ok()?).await.ok()?;
    let body = body::read(&answer, MAX_ANSWER, 0).await.ok()?;
    Some((answer.unchecked_into::<Response>().status(), body))
}

fn bound(env: &Env, name: &str) -> Option<Service> {
    Some(Reflect::get(env.as_ref(), &name.into()).ok()?.unchecked_into())
}

/// Hands a call of the mock gateway's on to the Worker that is bound as one: its answer, or `None` where there is none in
/// time.
pub async fn pass_on(env: &Env, port: &Port, request: Passed<'_>) -> Option<(u16, String)> {
    let Way::Bound(name) = port.way else { return None };
    let answer = ask_bound(env, name, port.within, request).await?;
    let body = JsFuture::from(answer.text().ok()?).await.ok()?.as_string()?;
    Some((answer.status(), body))
}

/// Hands a request on to the Worker that is bound under this name: its response, or `None` where there is none in time. Nothing but the
/// request goes along: no token, no address of the caller.
pub async fn ask_bound(env: &Env, name: &str, within: Millis, request: Passed<'_>) -> Option<Response> {
    let init = RequestInit::new();
    init.set_method(request.method);
    if request.method == "POST" {
        let headers = Headers::new();
        if let Some(key) = request.key {
            headers.set(IDEMPOTENCY_KEY, key).ok()?;
        }
        init.set_headers(headers.as_ref());
        init.set_body(&js_sys::Uint8Array::from(request.body).into());
    }
    let within = u32::try_from(within.0).unwrap_or(u32::MAX);
    init.set_signal(Some(&AbortSignal::timeout_with_u32(within)));
    let asked = bound(env, name)?.ask(&format!("https://{}{}", name.to_lowercase(), request.path), &init);
    Some(JsFuture::from(asked.ok()?).await.ok()?.unchecked_into())
}

/// A request to another Worker, as it came.
#[derive(Clone, Copy)]
pub struct Passed<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// Its path, with its query.
    pub path: &'a str,
    /// Its idempotency key.
    pub key: Option<&'a str>,
    /// Its body.
    pub body: &'a [u8],
}
