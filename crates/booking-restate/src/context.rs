//! What a host gives an invocation.

use std::future::Future;
use std::time::Duration;

use booking_core::effect::{Notification, Outcome};
use booking_core::payment::{Payment, PaymentAnswer};
use booking_core::terms::Terms;
use booking_core::time::Timestamp;
use booking_core::wire::Kind;
use bytes::Bytes;
use restate_endpoint::{Done, OnMaxAttempts, RetryPolicy, Stop, Target};
use serde::Serialize;

use crate::handler::Handler;
use crate::records::PaymentOutcome;

/// One attempt of one invocation: what the SDK of the host gives it, and what the host does for it.
///
/// What is asked for is asked for at once, and awaited by [`Context::all`], so several things happen side by side. Every
/// `Err(Stop)` is to be let through, but [`Stop::Cancelled`], which may be caught.
pub trait Context {
    /// Something that was asked for.
    type Pending;

    /// The service or object that was called.
    fn service(&self) -> &str;
    /// The handler that was called.
    fn handler(&self) -> &str;
    /// The key of the object; empty for a service.
    fn key(&self) -> &str;
    /// What Restate calls this invocation; the same on each attempt.
    fn invocation_id(&self) -> &str;
    /// A header of the caller's, by its name in any case.
    fn header(&self, name: &str) -> Option<&str>;
    /// What the caller sent.
    fn input(&self) -> Bytes;

    /// What is kept under a key of this object.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Bytes>, Stop>>;
    /// Every key under which something of this object is kept.
    fn keys(&self) -> impl Future<Output = Result<Vec<String>, Stop>>;
    /// Keeps bytes under a key of this object, in place of what was there.
    ///
    /// # Errors
    /// [`Stop`].
    fn set(&self, key: &str, value: Bytes) -> Result<(), Stop>;
    /// Keeps nothing under a key of this object any more.
    ///
    /// # Errors
    /// [`Stop`].
    fn clear(&self, key: &str) -> Result<(), Stop>;
    /// Calls another handler.
    ///
    /// # Errors
    /// [`Stop`].
    fn call(&self, target: Target, input: Bytes) -> Result<Self::Pending, Stop>;
    /// Sends to another handler without waiting for it; later, where a delay is given.
    ///
    /// # Errors
    /// [`Stop`].
    fn send(&self, target: Target, input: Bytes, delay: Option<Duration>) -> Result<(), Stop>;
    /// What another invocation ends with, once it has. One that is not known any more is a failure.
    ///
    /// # Errors
    /// [`Stop`].
    fn attach(&self, invocation: &str) -> Result<Self::Pending, Stop>;
    /// A wait that outlives a crash.
    ///
    /// # Errors
    /// [`Stop`].
    fn sleep(&self, length: Duration) -> Result<Self::Pending, Stop>;
    /// Does some work and records its outcome. What was recorded is never done again.
    ///
    /// # Errors
    /// [`Stop`].
    fn run(&self, work: Work) -> Result<Self::Pending, Stop>;
    /// How several things ended, in the order in which they stand here.
    fn all(&self, pending: Vec<Self::Pending>) -> impl Future<Output = Result<Vec<Done>, Stop>>;

    /// The host's terms.
    fn terms(&self) -> &Terms;
    /// What time it is. Nothing records it.
    fn now(&self) -> Timestamp;
    /// Whether this host sends messages to buyers.
    fn notifies(&self) -> bool;
    /// Hears how an invocation ended: well, or with a refusal of this kind. For metrics.
    fn answered(&self, handler: Handler, kind: Option<Kind>);
}

/// Work that is recorded.
#[derive(Clone, Debug)]
pub enum Work {
    /// Nothing is left to do: this is recorded, under this name.
    Record(&'static str, Bytes),
    /// Ask the gateway. [`paid`] is recorded.
    Pay(Payment),
    /// Deliver a message to a buyer. Nothing is recorded but that it was taken.
    Deliver(Notification),
}

impl Work {
    /// What Restate shows it as.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Record(name, _) => name,
            Self::Pay(payment) => payment.name(),
            Self::Deliver(_) => "deliver",
        }
    }

    /// How it is tried again while it fails: for ever, but a message is given up in the end.
    #[must_use]
    pub fn policy(&self, terms: &Terms) -> RetryPolicy {
        match self {
            Self::Record(..) | Self::Pay(_) => RetryPolicy::Infinite,
            Self::Deliver(_) => RetryPolicy::Exponential {
                initial_interval: Duration::from_millis(terms.notify_retry.wait.first.0),
                factor: 2.0,
                max_interval: Some(Duration::from_millis(terms.notify_retry.wait.cap.0)),
                max_attempts: Some(terms.notify_retry.attempts),
                max_duration: None,
                on_max_attempts: OnMaxAttempts::FailAsTerminal,
            },
        }
    }
}

/// What is recorded of a gateway's answer.
#[must_use]
pub fn paid(answer: PaymentAnswer, at: Timestamp) -> Bytes {
    json(&PaymentOutcome { outcome: Outcome::Paid(answer), at })
}

/// JSON, to be recorded or sent.
pub(crate) fn json(value: &impl Serialize) -> Bytes {
    booking_core::format::write_json(value).into()
}
