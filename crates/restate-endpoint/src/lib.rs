#![doc = include_str!("../README.md")]

mod context;
mod failure;
mod identity;
mod manifest;

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use restate_sdk_shared_core as core;
use restate_sdk_shared_core::{CoreVM, NonEmptyValue, VM as _, VMOptions};

pub use bytes::Bytes;
pub use context::{Context, Done, Pending, Target};
pub use failure::{Failure, Stop, Terminal};
pub use identity::{Key, NotAKey};
pub use manifest::{Access, GiveUp, Handler, Input, Kind, Output, Retries, Service};
pub use restate_sdk_shared_core::{OnMaxAttempts, RetryPolicy};

/// A request, as it came, but for its body.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Its path, with or without what the endpoint is mounted at.
    pub path: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }
}

/// What it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Bytes,
}

impl Response {
    fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: vec![("content-type".to_owned(), content_type.to_owned())], body: body.into() }
    }

    fn error(status: u16, why: impl Into<String>) -> Self {
        Self::new(status, "text/plain", why.into())
    }
}

/// What is the platform's to know, and to do.
pub trait Platform: Clone + 'static {
    /// What time it is, since the Unix epoch.
    fn now(&self) -> Duration;

    /// Whether this is the Ed25519 signature (RFC 8032) of the message by the owner of the key.
    fn verifies(&self, key: &[u8; 32], message: &[u8], signature: &[u8]) -> impl Future<Output = bool>;
}

/// What is called.
pub trait Handlers {
    /// Handles an invocation: which one, the context says. What it is answered.
    fn handle(&self, context: &Context) -> impl Future<Output = Result<Bytes, Stop>>;
}

/// Services and objects, to be called by a Restate server.
pub struct Endpoint<H> {
    services: Vec<Service>,
    handlers: H,
    keys: Vec<Key>,
}

impl<H: Handlers> Endpoint<H> {
    /// An endpoint with these services. Where there are keys, it answers nothing that was not signed by one of their
    /// owners.
    pub fn new(services: Vec<Service>, handlers: H, keys: Vec<Key>) -> Self {
        Self { services, handlers, keys }
    }

    /// Answers a request: of the health, of what there is, or an attempt at an invocation. The body is not asked for
    /// before it is known that its sender is let in; it is the whole of it, or the status and the reason why it is not
    /// there.
    ///
    /// Nothing that comes in panics, and a panic of a handler is the failure of its attempt.
    pub async fn answer(
        &self,
        platform: &impl Platform,
        request: Request,
        body: impl Future<Output = Result<Bytes, (u16, String)>>,
    ) -> Response {
        let path = mounted(&request.path);
        if !self.is_let_in(platform, &request, path).await {
            return Response::error(401, "this request was not signed by a Restate server that is known here");
        }
        match path.split('/').collect::<Vec<_>>().as_slice() {
            ["", "health"] => Response::error(200, ""),
            ["", "discover"] => match manifest::manifest(&self.services, request.header("accept")) {
                Some((content_type, json)) => Response::new(200, &content_type, json),
                None => Response::error(415, "this endpoint describes itself in version 2, 3 or 4 of the manifest"),
            },
            ["", "invoke", service, handler] => {
                let has = |known: &Service| {
                    known.name == *service && known.handlers.iter().any(|known| known.name == *handler)
                };
                if !self.services.iter().any(has) {
                    return Response::error(404, "no such handler");
                }
                match body.await {
                    Ok(body) => self.invoke(platform, service, handler, request.headers, body).await,
                    Err((status, why)) => Response::error(status, why),
                }
            }
            _ => Response::error(404, "expected /discover or /invoke/SERVICE/HANDLER"),
        }
    }

    async fn is_let_in(&self, platform: &impl Platform, request: &Request, path: &str) -> bool {
        if self.keys.is_empty() {
            return true;
        }
        let (scheme, token) = (request.header("x-restate-signature-scheme"), request.header("x-restate-jwt-v1"));
        let Some(signed) = identity::token(scheme, token, path, platform.now()) else { return false };
        for key in &self.keys {
            if platform.verifies(key.bytes(), signed.message.as_bytes(), &signed.signature).await {
                return true;
            }
        }
        false
    }

    async fn invoke(
        &self,
        platform: &impl Platform,
        service: &str,
        handler: &str,
        headers: Vec<(String, String)>,
        body: Bytes,
    ) -> Response {
        // What is no invocation may break the machine as it is read.
        let started = caught(|| start(headers, body));
        let (machine, input) = match started.unwrap_or_else(|| Err(core::Error::new(400_u16, "no invocation"))) {
            Ok(started) => started,
            Err(error) => {
                // The machine's own codes are for its errors in the protocol, and this is none yet.
                let status = if (400..500).contains(&error.code()) { error.code() } else { 400 };
                return Response::error(status, error.message().to_owned());
            }
        };
        let head = machine.get_response_head();
        let clock = platform.clone();
        let context = Context::new(machine, input, service, handler, move || clock.now());
        let mut attempt = pin!(self.handlers.handle(&context));
        let ended = poll_fn(|waker| match caught(|| attempt.as_mut().poll(waker)) {
            Some(Poll::Ready(ended)) => Poll::Ready(Some(ended)),
            Some(Poll::Pending) => Poll::Pending,
            None => Poll::Ready(None),
        });
        let ended = ended.await;
        let told = caught(|| tell(&context, ended));
        let headers = head.headers.into_iter().map(|header| (header.key.into_owned(), header.value.into_owned()));
        match told {
            Some(body) => Response { status: head.status_code, headers: headers.collect(), body },
            None => Response::error(500, "the attempt could not be ended"),
        }
    }
}

/// Writes down how an attempt ended; `None` is a panic.
fn tell(context: &Context, ended: Option<Result<Bytes, Stop>>) -> Bytes {
    match ended {
        Some(Ok(bytes)) => context.end(NonEmptyValue::Success(bytes)),
        Some(Err(Stop::Terminal(end))) => context.end(NonEmptyValue::Failure(end.into())),
        Some(Err(Stop::Cancelled)) => {
            context.end(NonEmptyValue::Failure(Terminal::new(Stop::CANCELLED, "cancelled").into()));
        }
        Some(Err(Stop::Retry(why))) => context.machine().notify_error(core::Error::internal(why), None),
        Some(Err(Stop::Suspended | Stop::Broken)) => {}
        // It is tried again as the handler is described.
        None => context.machine().notify_error(core::Error::internal("the handler panicked"), None),
    }
    context.machine().take_output()
}

/// Reads an invocation: all of it is there.
fn start(headers: Vec<(String, String)>, body: Bytes) -> Result<(CoreVM, core::Input), core::Error> {
    let mut machine = CoreVM::new(headers, VMOptions::default())?;
    machine.notify_input(body);
    machine.notify_input_closed();
    if !machine.is_ready_to_execute()? {
        return Err(core::Error::new(400_u16, "the body is no whole invocation"));
    }
    let input = machine.sys_input()?;
    Ok((machine, input))
}

/// What this work comes to; `None` if it panics. Nothing that it has left half done is looked at again, except the machine:
/// [`tell`] tells it of the failure.
fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// The path as Restate has it, and signs it: without what the endpoint is mounted at.
fn mounted(path: &str) -> &str {
    let slashes: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
    let from_last = |n: usize| slashes.len().checked_sub(n).and_then(|at| slashes.get(at)).map(|at| &path[*at..]);
    match (from_last(3), from_last(1)) {
        (Some(rest), _) if rest.starts_with("/invoke/") => rest,
        (_, Some(rest)) if matches!(rest, "/discover" | "/health") => rest,
        _ => path,
    }
}
