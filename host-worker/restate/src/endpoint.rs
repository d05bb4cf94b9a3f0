//! What Restate calls, with whose signature.

use std::cell::OnceCell;
use std::rc::Rc;

use booking_core::wire::{Answer, Kind, Refusal, answer};
use booking_restate::services;
use booking_workers::body::{self, Unread};
use booking_workers::log::{Level, say};
use booking_workers::settings::Vars;
use restate_endpoint::{Bytes, Endpoint};
use worker::{Env, Response};

use crate::context::Host;
use crate::platform::Worker;
use crate::settings::Settings;

/// The longest request that Restate sends, in bytes: its own limit of a message.
const MAX_BODY: usize = 16 * 1024 * 1024;

type Made = Result<Rc<Endpoint<Host>>, Rc<str>>;

thread_local! {
    static ENDPOINT: OnceCell<Made> = const { OnceCell::new() };
}

/// The endpoint of this deployment, made once for each isolate; or what is wrong with its settings.
fn endpoint(env: &Env) -> Made {
    let made = || {
        let Settings { sale, keys, admin_handlers } = Settings::read(&Vars(env)).map_err(Rc::from)?;
        let host = Host { env: env.clone(), sale: Rc::new(sale) };
        Ok(Rc::new(Endpoint::new(services(admin_handlers), host, keys)))
    };
    ENDPOINT.with(|endpoint| endpoint.get_or_init(made).clone())
}

/// Answers a request: one of a Restate server's, or the question whether this Worker is up.
pub(crate) async fn answer(request: worker::Request, env: &Env) -> worker::Result<Response> {
    let endpoint = match endpoint(env) {
        Ok(endpoint) => endpoint,
        Err(why) => {
            say(Level::Error, "this Worker is not set up", &[("why", why.to_string())]);
            return respond(answer::refusal(&Kind::StorageUnavailable.into()));
        }
    };
    let path = request.path();
    if path == "/health" {
        return respond(answer::health());
    }
    let headers = request.headers().entries().collect();
    let body = async {
        body::read(request.inner(), MAX_BODY, 0).await.map(Bytes::from).map_err(|why| {
            let refusal = match why {
                Unread::TooLong => Kind::PayloadTooLarge.into(),
                Unread::Broken => Refusal::invalid("body", "ended early"),
            };
            (refusal.kind.status(), refusal.message.into_owned())
        })
    };
    let answer = endpoint.answer(&Worker, restate_endpoint::Request { path, headers }, body).await;
    let headers = worker::Headers::new();
    for (name, value) in &answer.headers {
        headers.set(name, value)?;
    }
    Ok(Response::builder().with_status(answer.status).with_headers(headers).fixed(answer.body.to_vec()))
}

fn respond(answer: Answer) -> worker::Result<Response> {
    let headers = worker::Headers::new();
    headers.set("content-type", "application/json")?;
    headers.set("cache-control", "no-store")?;
    Ok(Response::builder().with_status(answer.status).with_headers(headers).fixed(answer.body.into_bytes()))
}
