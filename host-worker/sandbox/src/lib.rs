#![doc = include_str!("../README.md")]

mod ledger;

use booking_core::wire::{Answer, Kind, answer};
use booking_workers::log::{Level, say};
use worker::{Context, Env, Request, Response, event};

pub use ledger::LedgerObject;

/// Every request comes through here, from a Worker that is bound to this one: the ledger answers it.
#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> worker::Result<Response> {
    let asked = async { env.durable_object("LEDGER")?.get_by_name("ledger")?.fetch_with_request(request).await };
    match asked.await {
        Ok(answered) => Ok(answered),
        Err(why) => {
            say(Level::Error, "the ledger did not answer", &[("why", why.to_string())]);
            respond(answer::refusal(&Kind::PaymentUnavailable.into()))
        }
    }
}

fn respond(answer: Answer) -> worker::Result<Response> {
    let headers = worker::Headers::new();
    headers.set("Content-Type", "application/json")?;
    headers.set("Cache-Control", "no-store")?;
    Ok(Response::builder().with_status(answer.status).with_headers(headers).fixed(answer.body.into_bytes()))
}
