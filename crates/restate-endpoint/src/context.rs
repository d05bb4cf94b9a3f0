//! What a handler can do: read and write the state of its object, call and tell others, wait, and have work recorded.
//!
//! Nothing happens when a handler asks for it: it is written into the answer to Restate. When a handler waits for something,
//! this is in the journal already, or the invocation is suspended: Restate calls the handler again, from its start, when it
//! has come. So each wait for something new costs one more request, and a handler should ask side by side for what it can:
//! see [`Context::all`].

use std::cell::{RefCell, RefMut};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use restate_sdk_shared_core as core;
use restate_sdk_shared_core::{
    AttachInvocationTarget, AwaitResponse, CoreVM, Input, NonEmptyValue, NotificationHandle, PayloadOptions,
    RetryPolicy, RunExitResult, UnresolvedFuture, VM as _, Value,
};

use crate::failure::{Failure, Stop, Terminal};

/// Whom a call or a message goes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The service or object.
    pub service: String,
    /// The handler.
    pub handler: String,
    /// The key of the object; `None` for a service.
    pub key: Option<String>,
    /// Headers that the other handler sees.
    pub headers: Vec<(String, String)>,
}

impl From<Target> for core::Target {
    fn from(target: Target) -> Self {
        let header = |(key, value): (String, String)| core::Header { key: key.into(), value: value.into() };
        Self {
            service: target.service,
            handler: target.handler,
            key: target.key,
            idempotency_key: None,
            scope: None,
            limit_key: None,
            headers: target.headers.into_iter().map(header).collect(),
        }
    }
}

/// Something that was asked for: to be waited for with [`Context::all`] or [`Context::done`].
#[derive(Debug)]
#[must_use = "what nobody waits for may never be done"]
pub struct Pending(NotificationHandle);

/// How something ended that was asked for: bytes (none of a sleep), or the end of the other invocation.
pub type Done = Result<Bytes, Terminal>;

/// Work that is recorded.
type Work = Pin<Box<dyn Future<Output = Result<Bytes, Failure>>>>;

struct Run {
    work: Work,
    policy: RetryPolicy,
    /// Since when it is under way.
    since: Option<Duration>,
}

/// One attempt of one invocation. Cloning it is cheap. It stays on one thread.
#[derive(Clone)]
pub struct Context(Rc<Attempt>);

struct Attempt {
    machine: RefCell<CoreVM>,
    /// Those that are not recorded yet. There are few at a time.
    runs: RefCell<Vec<(NotificationHandle, Run)>>,
    service: String,
    handler: String,
    input: Input,
    now: Box<dyn Fn() -> Duration>,
}

impl Context {
    pub(crate) fn new(
        machine: CoreVM,
        input: Input,
        service: &str,
        handler: &str,
        now: impl Fn() -> Duration + 'static,
    ) -> Self {
        Self(Rc::new(Attempt {
            machine: RefCell::new(machine),
            runs: RefCell::default(),
            service: service.to_owned(),
            handler: handler.to_owned(),
            input,
            now: Box::new(now),
        }))
    }

    /// The machine; never while something is awaited.
    pub(crate) fn machine(&self) -> RefMut<'_, CoreVM> {
        self.0.machine.borrow_mut()
    }

    /// The service or object that was called.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.0.service
    }

    /// The handler that was called.
    #[must_use]
    pub fn handler(&self) -> &str {
        &self.0.handler
    }

    /// The key of the object; empty for a service.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0.input.key
    }

    /// What Restate calls this invocation; the same on each attempt.
    #[must_use]
    pub fn invocation_id(&self) -> &str {
        &self.0.input.invocation_id
    }

    /// A number that nobody chose, the same on each attempt. Not a secret.
    #[must_use]
    pub fn random_seed(&self) -> u64 {
        self.0.input.random_seed
    }

    /// What the caller sent.
    #[must_use]
    pub fn input(&self) -> Bytes {
        self.0.input.input.clone()
    }

    /// A header of the caller's, by its name in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.0.input.headers.iter().find(|header| header.key.eq_ignore_ascii_case(name));
        header.map(|header| header.value.as_ref())
    }

    /// What is kept under a key of this object; `None` where nothing is.
    ///
    /// # Errors
    /// [`Stop`], which is to be let through.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, Stop> {
        let handle = self.machine().sys_state_get(key.to_owned(), None, PayloadOptions::default())?;
        match self.value(handle).await? {
            Value::Void => Ok(None),
            Value::Success(bytes) => Ok(Some(bytes)),
            Value::Failure(failure) => Err(Terminal::from(failure).into()),
            Value::StateKeys(_) | Value::InvocationId(_) => Err(Stop::Broken),
        }
    }

    /// Every key under which something of this object is kept.
    ///
    /// # Errors
    /// [`Stop`], which is to be let through.
    pub async fn keys(&self) -> Result<Vec<String>, Stop> {
        let handle = self.machine().sys_state_get_keys(None)?;
        match self.value(handle).await? {
            Value::StateKeys(keys) => Ok(keys),
            Value::Failure(failure) => Err(Terminal::from(failure).into()),
            Value::Void | Value::Success(_) | Value::InvocationId(_) => Err(Stop::Broken),
        }
    }

    /// Keeps bytes under a key of this object, in place of what was there. Kept with everything else that this attempt
    /// asks for.
    ///
    /// # Errors
    /// [`Stop`], which is to be let through.
    pub fn set(&self, key: &str, value: Bytes) -> Result<(), Stop> {
        Ok(self.machine().sys_state_set(key.to_owned(), value, None, PayloadOptions::default())?)
    }

    /// Forgets what is kept under a key of this object.
    ///
    /// # Errors
    /// [`Stop`], which is to be let through.
    pub fn clear(&self, key: &str) -> Result<(), Stop> {
        Ok(self.machine().sys_state_clear(key.to_owned(), None)?)
    }

    /// Calls another handler.
    ///
    /// # Errors
    /// [`Stop`], which is to be let through.
    pub fn call(&self, target: Target, input: Bytes) -> Result<Pending, Stop> {
        let call = self.machine().sys_call(target.into(), input, None, PayloadOptions::default())?;
        Ok(Pending(call.call_notification_handle))
    }

    /// Tells another handler, and does not wait for it; after so long, if that is said.
    ///
    /// # Errors
    /// [`Stop`], which is to be let through.
    pub fn send(&self, target: Target, input: Bytes, after: Option<Duration>) -> Result<(), Stop> {
        let at = after.map(|after| self.now().saturating_add(after));
        self.machine().sys_send(target.into(), input, at, None, PayloadOptions::default())?;
        Ok(())
    }

    /// What another invocation ends with, once it has. One that is not known, or not any more, is a failure (404).
    ///
    /// # Errors
    /// [`Stop`], which is to be let through.
    pub fn attach(&self, invocation: &str) -> Result<Pending, Stop> {
        let target = AttachInvocationTarget::InvocationId(invocation.to_owned());
        Ok(Pending(self.machine().sys_attach_invocation(target)?))
    }

    /// Waits so long, however often the endpoint dies meanwhile.
    ///
    /// # Errors
    /// [`Stop`], which is to be let through.
    pub fn sleep(&self, length: Duration) -> Result<Pending, Stop> {
        let now = self.now();
        Ok(Pending(self.machine().sys_sleep(String::new(), now.saturating_add(length), Some(now))?))
    }

    /// Has work done and its outcome recorded. The work may be done more than once, if what it came to could not be
    /// recorded; what was recorded is never done again. `policy` is for work that fails without an outcome.
    ///
    /// # Errors
    /// [`Stop`], which is to be let through.
    pub fn run(
        &self,
        name: &str,
        policy: RetryPolicy,
        work: impl Future<Output = Result<Bytes, Failure>> + 'static,
    ) -> Result<Pending, Stop> {
        let run = self.machine().sys_run(name.to_owned())?;
        if !run.replayed {
            let waits = Run { work: Box::pin(work), policy, since: None };
            self.0.runs.borrow_mut().push((run.handle, waits));
        }
        Ok(Pending(run.handle))
    }

    /// How one thing ended.
    ///
    /// # Errors
    /// [`Stop`]: only [`Stop::Cancelled`] may be caught.
    pub async fn done(&self, pending: Pending) -> Result<Done, Stop> {
        outcome(self.value(pending.0).await?)
    }

    /// How several things ended, in the order in which they stand here. The invocation is called again once, when all of
    /// them have ended.
    ///
    /// # Errors
    /// [`Stop`]: only [`Stop::Cancelled`] may be caught. What the handler has asked for then continues by itself,
    /// except calls, which are cancelled as well.
    pub async fn all(&self, pending: Vec<Pending>) -> Result<Vec<Done>, Stop> {
        let handles: Vec<_> = pending.into_iter().map(|pending| pending.0).collect();
        loop {
            let left: Vec<_> = handles.iter().copied().filter(|handle| !self.machine().is_completed(*handle)).collect();
            if left.is_empty() {
                break;
            }
            self.progress(UnresolvedFuture::AllCompleted(left.into_iter().map(Into::into).collect())).await?;
        }
        handles.into_iter().map(|handle| outcome(self.taken(handle)?)).collect()
    }

    fn now(&self) -> Duration {
        (self.0.now)()
    }

    async fn value(&self, handle: NotificationHandle) -> Result<Value, Stop> {
        self.progress(handle.into()).await?;
        self.taken(handle)
    }

    fn taken(&self, handle: NotificationHandle) -> Result<Value, Stop> {
        self.machine().take_notification(handle)?.ok_or(Stop::Broken)
    }

    /// Continues until something that the handler waits for has come.
    async fn progress(&self, what: UnresolvedFuture) -> Result<(), Stop> {
        loop {
            let response = self.machine().do_await(what.clone())?;
            match response {
                AwaitResponse::AnyCompleted => return Ok(()),
                AwaitResponse::CancelSignalReceived => return Err(Stop::Cancelled),
                AwaitResponse::ExecuteRun(handle) => {
                    let mut runs = self.0.runs.borrow_mut();
                    if let Some((_, run)) = runs.iter_mut().find(|(of, _)| *of == handle) {
                        run.since = Some(self.now());
                    }
                }
                AwaitResponse::WaitingExternalProgress { waiting_run_proposal: true, .. } => self.work().await?,
                // All of the input is here, and nothing ephemeral was asked for.
                AwaitResponse::WaitingExternalProgress { .. } | AwaitResponse::EphemeralNotificationReady(_) => {
                    return Err(Stop::Broken);
                }
            }
        }
    }

    /// Does the work that is to be done, side by side, until some of it has ended, and has that recorded.
    async fn work(&self) -> Result<(), Stop> {
        let (place, done) = poll_fn(|context| {
            let mut runs = self.0.runs.borrow_mut();
            for (place, (_, run)) in runs.iter_mut().enumerate().filter(|(_, (_, run))| run.since.is_some()) {
                if let Poll::Ready(done) = run.work.as_mut().poll(context) {
                    return Poll::Ready((place, done));
                }
            }
            Poll::Pending
        })
        .await;
        let (handle, run) = self.0.runs.borrow_mut().remove(place);
        let exit = match done {
            Ok(bytes) => RunExitResult::Success(bytes),
            Err(Failure::Terminal(end)) => RunExitResult::TerminalFailure(end.into()),
            Err(Failure::Retry(why)) => RunExitResult::RetryableFailure {
                attempt_duration: self.now().saturating_sub(run.since.unwrap_or_default()),
                error: core::Error::internal(why),
            },
        };
        Ok(self.machine().propose_run_completion(handle, exit, run.policy)?)
    }

    /// The end of the invocation.
    pub(crate) fn end(&self, value: NonEmptyValue) {
        let mut machine = self.machine();
        let written = machine.sys_write_output(value, PayloadOptions::default()).and_then(|()| machine.sys_end());
        // What is wrong with it, the machine has told Restate.
        drop(written);
    }
}

fn outcome(value: Value) -> Result<Done, Stop> {
    match value {
        Value::Void => Ok(Ok(Bytes::new())),
        Value::Success(bytes) => Ok(Ok(bytes)),
        Value::Failure(failure) => Ok(Err(failure.into())),
        Value::StateKeys(_) | Value::InvocationId(_) => Err(Stop::Broken),
    }
}
