//! What Restate can call: the handlers of the core's list, by their names there, and who may call each.

use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;

use booking_core::wire::{self, Door, Kind, Refusal};
use booking_hosting::restate::{CHECKOUT, DELIVER, HOLD, LETTERS, RECOVER, SEAT_MAP, TICKET};
use restate_endpoint::{Access, Bytes, Endpoint, GiveUp, Handler, Key, Retries, Service};
use worker::Response;

use super::host::Host;
use super::platform::Worker;
use crate::body::{self, Unread};
use crate::settings::{Mode, Settings};

/// Where Restate calls.
pub(crate) const MOUNTED: &str = "/restate/";

/// The longest request that Restate sends, in bytes: its own limit of a message.
const MAX_BODY: usize = 32 * 1024 * 1024;

/// Until it is done: a Worker that is away for long must not leave a seat or a payment halfway.
const RETRIES: Retries = Retries {
    first: Duration::from_millis(50),
    factor: 2.0,
    cap: Duration::from_secs(10),
    attempts: 1_000_000_000,
    then: GiveUp::Pause,
};

/// With a hold that was not made nothing is lost.
const A_WHILE: Retries = Retries { attempts: 30, then: GiveUp::Kill, ..RETRIES };

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Who may call a handler.
pub(super) fn door(service: &str, handler: &str) -> Door {
    match (service, handler) {
        (TICKET, HOLD) | (LETTERS, DELIVER) => Door::Inner,
        (CHECKOUT, RECOVER) => Door::Admin,
        _ => {
            let mut known = wire::handlers().filter(|(of, name, _)| *of == service && *name == handler);
            known.next().map_or(Door::Inner, |(_, _, door)| door)
        }
    }
}

/// Everything that Restate is to know of. With `admin`, whoever reaches the ingress can take sold seats back: only behind
/// something that tells operators from buyers.
fn services(admin: bool) -> Vec<Service> {
    let open = if admin { Door::Admin } else { Door::Public };
    let handler = |service: &str, name: &'static str| {
        let access = match name {
            "get" | "summary" | "plan" | "reserve" => Access::Shared,
            _ => Access::Exclusive,
        };
        let retries = (name == "reserve").then_some(A_WHILE);
        Handler { is_private: door(service, name) > open, retries, ..Handler::new(name, access) }
    };
    // The ingress has its own ways to send and to ask, and knows no WebSockets.
    let is_here = |name: &str| !["watch", "send", "status"].contains(&name);
    let service = |name: &'static str, kind, own: &[&'static str], journal_retention| {
        let listed = wire::handlers().filter(|(of, handler, _)| *of == name && is_here(handler));
        let handlers = listed.map(|(_, handler, _)| handler).chain(own.iter().copied());
        Service {
            name,
            kind,
            handlers: handlers.map(|handler_name| handler(name, handler_name)).collect(),
            idempotency_retention: (name != LETTERS).then_some(A_DAY),
            journal_retention,
            retries: Some(RETRIES),
        }
    };
    use restate_endpoint::Kind::{Object, Service as Plain};
    vec![
        // A turn leaves nothing to look up, and there are many.
        service(TICKET, Object, &[HOLD], Some(Duration::ZERO)),
        service(SEAT_MAP, Object, &[], Some(Duration::ZERO)),
        // How a checkout ended can be asked for as long as its key is known.
        service(CHECKOUT, Plain, &[RECOVER], Some(A_DAY)),
        service(LETTERS, Plain, &[DELIVER], None),
    ]
}

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
