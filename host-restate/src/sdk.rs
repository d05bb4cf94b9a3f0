//! `restate-sdk` as the context of [`booking_restate`], and as what serves Restate.
//!
//! The SDK's macros want each handler written out. Below them are a service that dispatches by name and its description,
//! and both come from [`booking_restate`] here.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use booking_core::terms::Terms;
use booking_core::time::Timestamp;
use booking_core::wire::Kind;
use booking_hosting::process::now;
use booking_restate::{Context, Handler, Work, handle, services};
use bytes::Bytes;
use restate_endpoint::{Done, RetryPolicy, Stop, Target, Terminal};
use restate_sdk::context::{RequestTarget, RunFuture as _, RunRetryPolicy};
use restate_sdk::endpoint::{self, ContextInternal, Endpoint, InputMetadata};
use restate_sdk::errors::{HandlerError, HandlerResult, TerminalError};
use restate_sdk::service::{Service, macro_support};

use crate::metrics::Metrics;
use booking_hosting::gateway::Report;

use crate::ports::Ports;

/// What all invocations have at hand. Cloning it is cheap.
#[derive(Clone)]
pub struct Host(Arc<Shared>);

struct Shared {
    terms: Terms,
    ports: Ports,
    metrics: Metrics,
}

impl Host {
    /// A host with these prices and times, and this outside world.
    #[must_use]
    pub fn new(terms: Terms, ports: Ports) -> Self {
        Self(Arc::new(Shared { terms, ports, metrics: Metrics::default() }))
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// What the payment gateway's answers say about itself.
    pub(crate) fn gateway(&self) -> Report {
        self.0.ports.gateway.report()
    }
}

/// Everything that Restate is to know of, to be served. With `admin`, every client that reaches the ingress can take
/// sold seats back: only for an ingress behind something that tells operators from buyers.
///
/// # Errors
/// Where a key is no identity key of Restate's (`publickeyv1_…`).
pub fn endpoint(host: &Host, admin: bool, identity_keys: &[String]) -> Result<Endpoint, String> {
    let mut endpoint = Endpoint::builder();
    for service in services(admin) {
        let described =
            serde_json::to_value(service).and_then(serde_json::from_value).map_err(|why| why.to_string())?;
        endpoint = endpoint.bind(macro_support::service_definition(Dispatcher(host.clone()), described));
    }
    for key in identity_keys {
        endpoint = endpoint.identity_key(key).map_err(|why| why.to_string())?;
    }
    Ok(endpoint.build())
}

struct Dispatcher(Host);

impl Service for Dispatcher {
    type Future = macro_support::ServiceBoxFuture;

    fn handle(&self, ctx: ContextInternal) -> Self::Future {
        let host = self.0.clone();
        Box::pin(async move {
            let (input, about) = ctx.input::<Bytes>().await;
            let ended = handle(&Invocation { ctx: &ctx, about: &about, input, host: &host }).await;
            ctx.handle_handler_result(ended.map_err(stopped));
            ctx.end();
            Ok::<_, endpoint::Error>(())
        })
    }
}

fn stopped(stop: Stop) -> HandlerError {
    match stop {
        Stop::Terminal(Terminal { code, message }) => TerminalError::new_with_code(code, message).into(),
        Stop::Cancelled => TerminalError::new_with_code(Stop::CANCELLED, "cancelled").into(),
        Stop::Retry(why) => why.into(),
        // The SDK suspends an invocation, and ends a broken one, by itself.
        Stop::Suspended | Stop::Broken => "the invocation cannot go on".into(),
    }
}

fn terminal(error: &TerminalError) -> Terminal {
    Terminal::new(error.code(), error.message())
}

/// One attempt of one invocation.
struct Invocation<'a> {
    ctx: &'a ContextInternal,
    about: &'a InputMetadata,
    input: Bytes,
    host: &'a Host,
}

/// Something that was asked for. Work is not begun before it is awaited.
struct Pending<'a> {
    done: Pin<Box<dyn Future<Output = Done> + Send + 'a>>,
    is_work: bool,
}

fn target(Target { service, handler, key, headers: _ }: Target) -> RequestTarget {
    match key {
        Some(key) => RequestTarget::object(service, key, handler),
        None => RequestTarget::service(service, handler),
    }
}

impl<'a> Invocation<'a> {
    fn recorded<F>(&self, work: &Work, outcome: F) -> Pending<'a>
    where
        F: Future<Output = HandlerResult<Bytes>> + Send + 'a,
    {
        let run = self.ctx.run(move || outcome).name(work.name());
        let run = match work.policy(self.terms()) {
            RetryPolicy::Exponential { initial_interval, factor, max_interval, max_attempts, .. } => {
                let policy = RunRetryPolicy::new().initial_delay(initial_interval).exponentiation_factor(factor);
                let policy = max_interval.into_iter().fold(policy, RunRetryPolicy::max_delay);
                run.retry_policy(max_attempts.into_iter().fold(policy, RunRetryPolicy::max_attempts))
            }
            RetryPolicy::Infinite | RetryPolicy::None | RetryPolicy::FixedDelay { .. } => run,
        };
        Pending { done: Box::pin(async { run.await.map_err(|end| terminal(&end)) }), is_work: true }
    }
}

impl<'a> Context for Invocation<'a> {
    type Pending = Pending<'a>;

    fn service(&self) -> &str {
        self.ctx.service_name()
    }

    fn handler(&self) -> &str {
        self.ctx.handler_name()
    }

    fn key(&self) -> &str {
        &self.about.key
    }

    fn invocation_id(&self) -> &str {
        &self.about.invocation_id
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.about.headers.get(name).map(String::as_str)
    }

    fn input(&self) -> Bytes {
        self.input.clone()
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, Stop> {
        self.ctx.get(key).await.map_err(|end| terminal(&end).into())
    }

    async fn keys(&self) -> Result<Vec<String>, Stop> {
        self.ctx.get_keys().await.map_err(|end| terminal(&end).into())
    }

    fn set(&self, key: &str, value: Bytes) -> Result<(), Stop> {
        self.ctx.set(key, value);
        Ok(())
    }

    fn clear(&self, key: &str) -> Result<(), Stop> {
        self.ctx.clear(key);
        Ok(())
    }

    fn call(&self, to: Target, input: Bytes) -> Result<Pending<'a>, Stop> {
        let call = self.ctx.call::<Bytes, Bytes>(target(to), None, None, None, Vec::new(), input);
        Ok(Pending { done: Box::pin(async { call.await.map_err(|end| terminal(&end)) }), is_work: false })
    }

    fn send(&self, to: Target, input: Bytes, delay: Option<Duration>) -> Result<(), Stop> {
        let _one_way = self.ctx.send(target(to), None, None, None, Vec::new(), input, delay);
        Ok(())
    }

    fn attach(&self, invocation: &str) -> Result<Pending<'a>, Stop> {
        let attached = self.ctx.attach_invocation::<Bytes>(invocation.to_owned());
        Ok(Pending { done: Box::pin(async { attached.await.map_err(|end| terminal(&end)) }), is_work: false })
    }

    fn sleep(&self, length: Duration) -> Result<Pending<'a>, Stop> {
        let sleep = self.ctx.sleep(length);
        let done = async { sleep.await.map(|()| Bytes::new()).map_err(|end| terminal(&end)) };
        Ok(Pending { done: Box::pin(done), is_work: false })
    }

    fn run(&self, work: Work) -> Result<Pending<'a>, Stop> {
        let ports = &self.host.0.ports;
        Ok(match &work {
            Work::Record(_, bytes) => self.recorded(&work, ready(Ok(bytes.clone()))),
            Work::Pay(payment) => self.recorded(&work, ports.pay(payment.clone())),
            Work::Deliver(notification) => self.recorded(&work, ports.deliver(notification.clone())),
        })
    }

    async fn all(&self, pending: Vec<Pending<'a>>) -> Result<Vec<Done>, Stop> {
        // Work first: the others are under way meanwhile.
        let mut done: Vec<Option<Done>> = pending.iter().map(|_| None).collect();
        let (work, others): (Vec<_>, Vec<_>) = pending.into_iter().enumerate().partition(|(_, one)| one.is_work);
        for (place, one) in work.into_iter().chain(others) {
            done[place] = Some(one.done.await);
        }
        Ok(done.into_iter().flatten().collect())
    }

    fn terms(&self) -> &Terms {
        &self.host.0.terms
    }

    fn now(&self) -> Timestamp {
        now()
    }

    fn notifies(&self) -> bool {
        self.host.0.ports.notifier.is_some()
    }

    fn answered(&self, handler: Handler, kind: Option<Kind>) {
        self.host.0.metrics.answered(handler.service(), handler.name(), kind);
    }
}
