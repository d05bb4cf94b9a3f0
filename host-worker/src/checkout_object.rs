//! The object of one checkout: drives it, step by step, and is woken by its alarm where a crash has cut it short.

#![allow(missing_docs, reason = "the macro of an object writes methods without any; what is ours is documented")]

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use booking_core::checkout::{Checkout, Ending, Order};
use booking_core::effect::{Effect, Op, Outcome};
use booking_core::ids::CheckoutId;
use booking_core::running::{CancelRefusal, Recorded, Running};
use booking_core::terms::Backoff;
use booking_core::time::{Millis, Timestamp};
use booking_core::wire::{Answer, Kind, Operation, Refusal, answer};
use booking_workers::clock::{jittered, now, pause};
use booking_workers::faults;
use booking_workers::log::{Level, count, say};
use booking_workers::outside;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use crate::calls::{Asked, CheckoutCall};
use crate::effects;
use crate::errors::{Broken, Result, unavailable};
use crate::inside;
use crate::journal;
use crate::later::meanwhile;
use crate::settings::Settings;
use crate::store::Store;

/// After how long the alarm looks whether a checkout still goes on. Its first crash costs a buyer no more than that.
const LOOK_AFTER: Millis = Millis::from_secs(5);

/// After how long it looks again, and again: somebody may be away for days.
const LOOK_AGAIN: Backoff = Backoff { first: LOOK_AFTER, cap: Millis::from_mins(10) };

/// The waits between tries of an effect that nobody answers, while the object is in memory; then the alarm takes over.
const AGAIN: Backoff = Backoff { first: Millis(100), cap: Millis::from_secs(2) };
const TRIES: u32 = 5;

/// How often who waits looks whether there is anything to wait for.
const LOOK_UP: Millis = Millis::from_secs(1);

/// The waits before a message is delivered again, and how often it is tried.
const DELIVER_AGAIN: Backoff = Backoff { first: Millis::from_secs(1), cap: Millis::from_mins(60) };
const DELIVER_TRIES: u64 = 10;

/// One checkout, under its id.
///
/// A panic leaves nothing half done behind: all that counts is in storage, and what is in memory only saves asking it.
#[durable_object(alarm)]
pub struct CheckoutObject(AssertUnwindSafe<Rc<Course>>);

/// The same, for what outlives a request.
struct Course {
    state: State,
    env: Env,
    store: Store,
    /// Somebody drives it.
    drives: Cell<bool>,
    /// When it was driven last.
    drove: Cell<Timestamp>,
    /// Its journal has been written to by another than who drives it.
    is_overtaken: Cell<bool>,
    /// Those who wait for the end.
    waiting: RefCell<Vec<oneshot::Sender<Answer>>>,
}

/// Whoever drives the checkout. There is one at a time.
struct Driver(Rc<Course>);

impl Drop for Driver {
    /// Whatever happens: somebody else may drive it then, and nobody waits for this one.
    fn drop(&mut self) {
        self.0.drives.set(false);
        self.0.drove.set(now());
        self.0.waiting.take();
    }
}

impl DurableObject for CheckoutObject {
    fn new(state: State, env: Env) -> Self {
        let store = Store::new(&state, journal::SCHEMA);
        let course = Course {
            state,
            env,
            store,
            drives: Cell::new(false),
            drove: Cell::default(),
            is_overtaken: Cell::new(false),
            waiting: RefCell::default(),
        };
        Self(AssertUnwindSafe(Rc::new(course)))
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        if faults::is_asked_for("other-build-status", || self.0.tickets_if_ended()) {
            return Response::error("nothing here knows what that is", 404);
        }
        let answer = self.0.asked(&mut request).await.unwrap_or_else(|why| {
            say(Level::Error, "a checkout could not be kept", &[("why", why.to_string())]);
            unavailable()
        });
        inside::respond(answer)
    }

    async fn alarm(&self) -> worker::Result<Response> {
        self.0.store.woken();
        count("woken", "service", || "Checkout".to_owned());
        if let Err(why) = Rc::clone(&self.0).see_to_it().await {
            say(Level::Error, "a checkout could not go on", &[("why", why.to_string())]);
            // Retries of the platform's own come to an end; this one does not.
            let again = if why.may_pass() { LOOK_AFTER } else { Millis::from_mins(10) };
            self.0.store.wake_at(Some(now().plus(again))).map_err(|why| worker::Error::RustError(why.to_string()))?;
        }
        Response::empty()
    }
}

impl Course {
    /// For faults that tests ask for.
    fn tickets_if_ended(&self) -> String {
        let running = journal::running(&self.store).ok().flatten().filter(|running| running.ending().is_some());
        running.map(|running| tickets_of(&running)).unwrap_or_default()
    }

    async fn asked(self: &Rc<Self>, request: &mut Request) -> Result<Answer> {
        let (path, body) = (request.path(), request.bytes().await?);
        let id = CheckoutId::parse(inside::target(&path))?;
        let settings = Settings::of(&self.env)?;
        let Asked { call, key } = inside::read::<Asked<CheckoutCall>>(&body)?;
        count("asked", "handler", || format!("Checkout/{}", call.name()));
        let fingerprint = key.map(|key| key.request).unwrap_or_default();
        match call {
            CheckoutCall::Process(order) => match self.start(&id, order, &fingerprint, &settings)? {
                Start::Refused(answer) | Start::Over(answer) => Ok(answer),
                Start::Goes => self.end(&id, settings.answer_within).await,
            },
            CheckoutCall::Send(order) => Ok(match self.start(&id, order, &fingerprint, &settings)? {
                Start::Refused(answer) => answer,
                Start::Over(_) | Start::Goes => answer::accepted(&id),
            }),
            CheckoutCall::Operate(operation) => self.operate(&operation, settings),
            CheckoutCall::Status => {
                let Some(running) = journal::running(&self.store)? else {
                    return Ok(answer::refusal(&Kind::NotFound.into()));
                };
                let answer = answer::checkout(&running);
                // Should its alarm be lost, who asks for it has it go on; but not as often as they ask.
                if running.ending().is_none() && self.drove.get().plus(LOOK_AFTER) <= now() {
                    self.go_on(running, settings);
                }
                Ok(answer)
            }
        }
    }

    /// Starts the checkout, or finds that this request has done so before.
    fn start(self: &Rc<Self>, id: &CheckoutId, order: Order, request: &str, settings: &Rc<Settings>) -> Result<Start> {
        let (known, running) = self.store.transaction(|| {
            if let Some(known) = journal::request(&self.store)? {
                return Ok((Some(known), journal::running(&self.store)?.ok_or(Broken::Missing("journal"))?));
            }
            let at = now();
            let checkout = Checkout::start(id.clone(), order, at, &settings.terms);
            journal::start(&self.store, checkout.clone(), request)?;
            self.store.wake_at(Some(at.plus(LOOK_AFTER)))?;
            Ok((None, Running::start(checkout)))
        })?;
        if known.is_some_and(|known| known != request) {
            return Ok(Start::Refused(answer::refusal(&Kind::IdempotencyKeyReused.into())));
        }
        let told = running.told().is_some().then(|| answer::processed(&running));
        if running.ending().is_none() {
            self.go_on(running, Rc::clone(settings));
        }
        if let Some(answer) = told {
            return Ok(Start::Over(answer));
        }
        Ok(Start::Goes)
    }

    /// An operator does something about it.
    fn operate(self: &Rc<Self>, operation: &Operation, settings: Rc<Settings>) -> Result<Answer> {
        let refuse = |kind, why: &str| Ok(answer::refusal(&Refusal::new(kind, why.to_owned())));
        let Some(mut running) = journal::running(&self.store)? else {
            return Ok(answer::refusal(&Kind::NotFound.into()));
        };
        match operation {
            Operation::Cancel { reason: _ } => match running.cancel() {
                Err(CancelRefusal::Ended) => {}
                Err(CancelRefusal::CaptureAsked) => return Ok(answer::refusal(&Kind::CheckoutInProgress.into())),
                Ok(()) => self.overtake(|| journal::cancel(&self.store, running.checkout().step()))?,
            },
            Operation::Resolve { resolution, reason: _ } => {
                let outcomes = match running.resolve(resolution, now()) {
                    Ok(outcomes) => outcomes,
                    Err(_) if running.is_resolved(resolution) => return Ok(answer::checkout(&running)),
                    Err(why) => return refuse(Kind::CheckoutInProgress, &why.to_string()),
                };
                self.overtake(|| {
                    for (op, outcome) in outcomes {
                        let _step = running.record(&op, outcome.clone())?;
                        journal::record(&self.store, &op, outcome)?;
                    }
                    Ok(())
                })?;
            }
            Operation::Notify => {
                if !matches!(running.ending(), Some(Ending::Completed { .. })) {
                    return refuse(Kind::CheckoutInProgress, "This checkout is not booked");
                }
                if settings.notify.is_none() {
                    return refuse(Kind::NotFound, "There is nobody to send messages to: see NOTIFY_URL");
                }
                self.store.transaction(|| {
                    journal::hand_over_again(&self.store, now())?;
                    self.rest(&running, &settings)
                })?;
                let course = Rc::clone(self);
                meanwhile(&self.state, async move {
                    if let Err(why) = course.deliver(&settings).await {
                        say(Level::Error, "a message was not sent again", &[("why", why.to_string())]);
                    }
                });
                return Ok(answer::checkout(&running));
            }
        }
        let answer = answer::checkout(&running);
        self.tell(&running);
        if running.ending().is_none() {
            self.go_on(running, settings);
        } else {
            self.store.transaction(|| self.rest(&running, &settings))?;
        }
        Ok(answer)
    }

    /// Writes to the journal beside who drives the checkout, who then reads it again.
    fn overtake(&self, write: impl FnOnce() -> Result<()>) -> Result<()> {
        self.store.transaction(write)?;
        self.is_overtaken.set(true);
        Ok(())
    }

    /// How it ended; after a while, that it goes on.
    async fn end(&self, id: &CheckoutId, within: Millis) -> Result<Answer> {
        let (tell, told) = oneshot::channel();
        self.waiting.borrow_mut().push(tell);
        match select(told, Box::pin(pause(within))).await {
            Either::Left((Ok(answer), _)) => Ok(answer),
            // Whoever drove it has stopped: somebody did not answer. The alarm goes on.
            Either::Left((Err(oneshot::Canceled), _)) | Either::Right(_) => Ok(answer::accepted(id)),
        }
    }

    /// Drives it, unless somebody does, while callers may come and go.
    fn go_on(self: &Rc<Self>, running: Running, settings: Rc<Settings>) {
        let Some(driver) = self.driver() else { return };
        meanwhile(&self.state, async move {
            if let Err(why) = driver.drive(running, &settings).await {
                // The alarm is set: it tries again.
                say(Level::Error, "a checkout was cut short", &[("why", why.to_string())]);
            }
        });
    }

    fn driver(self: &Rc<Self>) -> Option<Driver> {
        (!self.drives.replace(true)).then(|| Driver(Rc::clone(self)))
    }
}

impl Driver {
    /// Drives it to its end, or until somebody gives no answer for a while: the alarm goes on then.
    async fn drive(self, mut running: Running, settings: &Settings) -> Result<()> {
        let course = Rc::clone(&self.0);
        let mut failed = 0;
        while running.ending().is_none() {
            faults::may_panic("panic-step", || tickets_of(&running));
            course.catch_up(&mut running)?;
            course.tell(&running);
            match course.step(&mut running, settings).await? {
                Step::Taken => failed = 0,
                Step::Waits(until) => {
                    course.store.transaction(|| course.store.wake_at(Some(until)))?;
                    // A wait that is short is waited for here; the alarm is for the others, and for crashes.
                    let left = || Millis(until.as_millis().saturating_sub(now().as_millis()));
                    while left() > Millis(0) && !course.is_overtaken.get() {
                        pause(left().min(LOOK_UP)).await;
                    }
                }
                Step::Unanswered => {
                    failed += 1;
                    if failed == TRIES {
                        return Ok(());
                    }
                    pause(jittered(AGAIN.after(failed))).await;
                }
            }
        }
        course.store.transaction(|| course.rest(&running, settings))?;
        course.tell(&running);
        if faults::is_asked_for("alarm-again", || tickets_of(&running)) {
            course.store.sleep_until(now().plus(Millis(500)))?;
        }
        drop(self);
        course.deliver(settings).await
    }
}

impl Course {
    /// Tells those who wait how it ends, if that can be told.
    fn tell(&self, running: &Running) {
        if self.waiting.borrow().is_empty() || running.told().is_none() {
            return;
        }
        let answer = answer::processed(running);
        for waits in self.waiting.take() {
            let _gone = waits.send(answer.clone());
        }
    }

    /// It has ended: the alarm is for its message, and for when it is to be forgotten.
    fn rest(&self, running: &Running, settings: &Settings) -> Result<()> {
        let ended = match journal::ended_at(&self.store)? {
            Some(ended) => ended,
            None => journal::ended(&self.store, now()).map(|()| now())?,
        };
        // Whoever has just ended it delivers the message at once; the alarm is for when that comes to nothing.
        let soon = now().plus(LOOK_AFTER);
        let waits = self.letter(settings)?.map(|waiting| waiting.due.max(soon));
        let forgotten = ended.plus(self.kept_for(running, settings)?);
        self.store.sleep_until(waits.unwrap_or(forgotten))
    }

    /// How long it is kept after its end.
    fn kept_for(&self, running: &Running, settings: &Settings) -> Result<Millis> {
        let is_keyed = journal::request(&self.store)?.is_some_and(|request| !request.is_empty());
        Ok(running.kept_for(is_keyed, settings.keep_for))
    }

    /// The message that waits to be delivered, where there is somebody to deliver it.
    fn letter(&self, settings: &Settings) -> Result<Option<journal::Waiting>> {
        if settings.notify.is_none() {
            return Ok(None);
        }
        journal::letter(&self.store, DELIVER_TRIES)
    }

    /// Performs what has no outcome yet, side by side, and records each outcome as it comes.
    async fn step(&self, running: &mut Running, settings: &Settings) -> Result<Step> {
        let mut asked = FuturesUnordered::new();
        let mut waits = None;
        for (op, effect) in running.pending() {
            match effect {
                Effect::Sleep(length) => {
                    let at = now();
                    let until = self.store.transaction(|| journal::wait(&self.store, op.step, at.plus(length)))?;
                    if until > at {
                        waits = Some(until);
                    } else {
                        self.record(running, &op, Outcome::Slept { at })?;
                    }
                }
                Effect::Notify(_) => {
                    self.store.transaction(|| {
                        if settings.notify.is_some() {
                            journal::hand_over(&self.store, now())?;
                        }
                        journal::record(&self.store, &op, Outcome::Notified)
                    })?;
                    let _step = running.record(&op, Outcome::Notified)?;
                }
                Effect::Line(..) | Effect::Pay(_) => {
                    let env = &self.env;
                    asked.push(async move { (op, effects::perform(env, settings, &effect).await) });
                }
            }
        }
        let mut is_answered = true;
        while let Some((op, outcome)) = asked.next().await {
            match outcome {
                Some(outcome) => {
                    self.record(running, &op, outcome)?;
                    self.tell(running);
                }
                None => is_answered = false,
            }
        }
        Ok(match (is_answered, waits) {
            (false, _) => Step::Unanswered,
            (true, Some(until)) => Step::Waits(until),
            (true, None) => Step::Taken,
        })
    }

    /// Reads the journal again, if another has written to it.
    fn catch_up(&self, running: &mut Running) -> Result<()> {
        if self.is_overtaken.replace(false) {
            *running = journal::running(&self.store)?.ok_or(Broken::Missing("journal"))?;
        }
        Ok(())
    }

    fn record(&self, running: &mut Running, op: &Op, outcome: Outcome) -> Result<()> {
        self.catch_up(running)?;
        match running.record(op, outcome.clone())? {
            Recorded::Stale => Ok(()),
            Recorded::Step | Recorded::Waiting => self.store.transaction(|| journal::record(&self.store, op, outcome)),
        }
    }

    /// Tells the buyer, until somebody takes the message or it is given up.
    async fn deliver(&self, settings: &Settings) -> Result<()> {
        let Some(waiting) = self.letter(settings)? else { return Ok(()) };
        let Some(port) = &settings.notify else { return Ok(()) };
        if waiting.due > now() {
            return Ok(());
        }
        let running = journal::running(&self.store)?.ok_or(Broken::Missing("journal"))?;
        let letter = running.checkout().letter().ok_or(Broken::Missing("message to a buyer"))?;
        // The alarm is set: it comes back for the message if this does not.
        let is_taken = outside::deliver(&self.env, port, &letter).await;
        self.store.transaction(|| {
            let failed = waiting.failed + 1;
            if is_taken {
                journal::done_with_letter(&self.store)?;
            } else {
                if failed >= DELIVER_TRIES {
                    say(Level::Error, "a message was given up", &[("checkout", letter.checkout.to_string())]);
                }
                let due = now().plus(DELIVER_AGAIN.after(u32::try_from(failed).unwrap_or(u32::MAX)));
                journal::postpone(&self.store, failed, due)?;
            }
            self.rest(&running, settings)
        })
    }

    /// The alarm has rung, perhaps again, perhaps late, perhaps for nothing.
    async fn see_to_it(self: Rc<Self>) -> Result<()> {
        let settings = Settings::of(&self.env)?;
        let Some(running) = journal::running(&self.store)? else { return Ok(()) };
        if running.ending().is_none() {
            // Set before anything else: whatever happens now, it looks again.
            self.store.transaction(|| {
                let looked = journal::look(&self.store)?;
                self.store.wake_at(Some(now().plus(LOOK_AGAIN.after(looked))))
            })?;
            return match self.driver() {
                Some(driver) => driver.drive(running, &settings).await,
                None => Ok(()),
            };
        }
        let kept_for = self.kept_for(&running, &settings)?;
        let is_old = journal::ended_at(&self.store)?.is_some_and(|ended| ended.plus(kept_for) <= now());
        if is_old && self.letter(&settings)?.is_none() {
            return self.store.clear().await;
        }
        // Whatever happens next, it looks again.
        self.store.transaction(|| self.store.wake_at(Some(now().plus(LOOK_AFTER))))?;
        self.deliver(&settings).await?;
        self.store.transaction(|| self.rest(&running, &settings))
    }
}

/// What became of a request to start.
enum Start {
    /// It is not the request that the checkout was started with.
    Refused(Answer),
    /// How it ends can be told.
    Over(Answer),
    /// The checkout goes on.
    Goes,
}

/// How a step went.
enum Step {
    /// Everything that was asked has an answer.
    Taken,
    /// It waits.
    Waits(Timestamp),
    /// Somebody gave no answer.
    Unanswered,
}

fn tickets_of(running: &Running) -> String {
    running.checkout().order().tickets().iter().map(|ticket| ticket.as_str()).collect()
}
