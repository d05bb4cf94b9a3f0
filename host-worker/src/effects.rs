//! Each effect of a checkout, on Workers: maps are objects, the gateway and the notifier are asked over HTTP.

use booking_core::effect::{Effect, Notification, Outcome};
use booking_core::inventory::{Line, LineCommand};
use booking_core::payment::{Payment, PaymentAnswer};
use booking_core::wire::{BEARER, IDEMPOTENCY_KEY, MapCall, gateway};
use js_sys::Promise;
use js_sys::futures::JsFuture;
use wasm_bindgen::prelude::{JsCast as _, JsValue, wasm_bindgen};
use worker::web_sys::{AbortSignal, RequestInit, RequestRedirect, Response};
use worker::{Env, Headers};

use crate::body;
use crate::clock::now;
use crate::inside::{self, Asked, SEAT_MAPS};
use crate::log::{Level, say};
use crate::settings::{Port, Settings};

/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Performs an effect that does not wait. `None` is no answer: it is to be performed again.
pub(crate) async fn perform(env: &Env, settings: &Settings, effect: &Effect) -> Option<Outcome> {
    match effect {
        Effect::Line(line, command) => tell(env, line, command).await,
        Effect::Pay(payment) => pay(settings, payment).await.map(Outcome::Paid),
        Effect::Sleep(_) | Effect::Notify(_) => None,
    }
}

/// Asks the gateway; `None` where there is none.
pub(crate) async fn pay(settings: &Settings, payment: &Payment) -> Option<PaymentAnswer> {
    let said = ask(settings.payment.as_ref()?, gateway::request(payment)).await;
    let said = said.as_ref().map(|(status, body)| (*status, &body[..]));
    if let gateway::Sense::Odd(status) = gateway::sense(payment, said) {
        let fields = [("asked", payment.name().to_owned()), ("status", status.to_string())];
        say(
            Level::Error,
            "the payment gateway refuses this Worker, or says what it never should: a person should look",
            &fields,
        );
    }
    Some(gateway::read(payment, said))
}

async fn tell(env: &Env, line: &Line, command: &LineCommand) -> Option<Outcome> {
    let call = MapCall::Line(line.seats.clone(), command.clone());
    let asked = Asked { call, key: None };
    // What it answers when it could not keep its turn is no outcome.
    let answer = inside::ask(env, SEAT_MAPS, line.at.as_str(), &asked).await.ok()?;
    inside::read(answer.body.as_bytes()).ok().map(Outcome::Line)
}

/// Delivers a message to a buyer; whether it has been taken.
pub(crate) async fn deliver(port: &Port, letter: &Notification) -> bool {
    ask(port, gateway::notification(letter)).await.is_some_and(|(status, _)| (200..300).contains(&status))
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch)]
    fn fetch(url: &str, init: &RequestInit) -> Result<Promise, JsValue>;
}

/// Asks somebody outside: status and body, or `None` where there is no answer in time.
async fn ask(port: &Port, request: gateway::Request) -> Option<(u16, Vec<u8>)> {
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
    let answer = JsFuture::from(fetch(&format!("{}{}", port.url, request.path), &init).ok()?).await.ok()?;
    let body = body::read(&answer, MAX_ANSWER, 0).await.ok()?;
    Some((answer.unchecked_into::<Response>().status(), body))
}
