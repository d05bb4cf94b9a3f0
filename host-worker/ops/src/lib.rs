#![doc = include_str!("../README.md")]

mod database;
mod intake;
mod reads;
mod tail;

use std::panic::AssertUnwindSafe;

use booking_core::wire::{Answer, Kind, answer};
use booking_workers::log::{Level, say};
use booking_workers::settings::Vars;
use js_sys::futures::future_to_promise;
use js_sys::{Array, Promise};
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use worker::{Context, Env, MessageBatch, Request, Response, ScheduleContext, ScheduledEvent, event};

/// How long bookings and the audit are kept, where nothing is set, in days.
const KEEP_DAYS: u64 = 400;

/// What the platform adds to every request from outside, and to none that another Worker makes.
const FROM_OUTSIDE: &str = "CF-Connecting-IP";

/// Every request comes through here, from the shop that is bound to this Worker. It has let its caller in.
#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> worker::Result<Response> {
    if request.headers().has(FROM_OUTSIDE)? {
        // This Worker asks for no token, so it lets no request from outside in.
        return respond(&answer::refusal(&Kind::NotFound.into()));
    }
    let _level_is_read = Vars(&env).write_log();
    reads::answer(request, &env).await
}

/// Lines of the log come here, and those that could not be taken in.
#[event(queue)]
async fn queue(batch: MessageBatch<()>, env: Env, _context: Context) -> worker::Result<()> {
    let _level_is_read = Vars(&env).write_log();
    // An error would be a panic of the SDK's: each message says by itself what became of it.
    intake::take_in(&batch, &env).await;
    Ok(())
}

/// Once an hour: what is old enough is forgotten.
#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    let keep = Vars(&env).parsed("KEEP_DAYS").ok().flatten().unwrap_or(KEEP_DAYS);
    if let Err(why) = database::forget(&env, keep).await {
        say(Level::Error, "what is old was not forgotten", &[("why", why.to_string())]);
    }
}

#[wasm_bindgen(module = "cloudflare:workers")]
extern "C" {
    /// The bindings of this Worker: an event that the SDK does not know is not handed them.
    #[wasm_bindgen(thread_local_v2, js_name = env)]
    static ENV: Env;
}

/// What the shop has logged comes here, and what it did not catch.
#[wasm_bindgen]
pub fn tail(events: Array) -> Promise {
    let env = ENV.with(Clone::clone);
    // Nothing outlives it that a panic could leave half done.
    future_to_promise(AssertUnwindSafe(async move {
        tail::take_in(&events, &env).await;
        Ok(JsValue::UNDEFINED)
    }))
}

fn respond(answer: &Answer) -> worker::Result<Response> {
    let headers = worker::Headers::new();
    headers.set("Content-Type", "application/json")?;
    headers.set("Cache-Control", "no-store")?;
    headers.set("X-Content-Type-Options", "nosniff")?;
    Ok(Response::builder().with_status(answer.status).with_headers(headers).fixed(answer.body.clone().into_bytes()))
}
