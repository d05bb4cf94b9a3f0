//! Where Restate calls, and with whose signature.

use std::cell::OnceCell;
use std::rc::Rc;

use booking_core::wire::{Kind, Refusal};
use booking_restate::services;
use restate_endpoint::{Bytes, Endpoint, Key};
use worker::Response;

use super::context::Host;
use super::platform::Worker;
use crate::body::{self, Unread};
use crate::settings::{Mode, Settings};

/// Where Restate calls.
pub(crate) const MOUNTED: &str = "/restate/";

/// The longest request that Restate sends, in bytes: its own limit of a message.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// Reads an identity key, as Restate shows it.
pub(crate) fn read_key(text: &str) -> Result<Key, String> {
    Key::parse(text).map_err(|why| why.to_string())
}

thread_local! {
    static ENDPOINT: OnceCell<Rc<Endpoint<Host>>> = const { OnceCell::new() };
}

fn endpoint(settings: &Rc<Settings>) -> Rc<Endpoint<Host>> {
    let made = || {
        let Mode { admin_handlers, ref keys, .. } = settings.mode;
        Rc::new(Endpoint::new(services(admin_handlers), Host(Rc::clone(settings)), keys.clone()))
    };
    ENDPOINT.with(|endpoint| Rc::clone(endpoint.get_or_init(made)))
}

/// Answers a request of a Restate server's.
pub(crate) async fn answer(settings: &Rc<Settings>, request: worker::Request) -> worker::Result<Response> {
    let headers = request.headers().entries().collect();
    let path = request.path();
    let body = async {
        body::read(request.inner(), MAX_BODY, 0).await.map(Bytes::from).map_err(|why| {
            let refusal = match why {
                Unread::TooLong => Kind::PayloadTooLarge.into(),
                Unread::Broken => Refusal::invalid("body", "ended early"),
            };
            (refusal.kind.status(), refusal.message.into_owned())
        })
    };
    let answer = endpoint(settings).answer(&Worker, restate_endpoint::Request { path, headers }, body).await;
    let headers = worker::Headers::new();
    for (name, value) in &answer.headers {
        headers.set(name, value)?;
    }
    Ok(Response::builder().with_status(answer.status).with_headers(headers).fixed(answer.body.to_vec()))
}
