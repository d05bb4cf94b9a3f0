//! The object of one checkout: drives it, step by step, and is woken by its alarm where a crash has cut it short.

#![allow(missing_docs, reason = "the macro of an object writes methods without any; what is ours is documented")]

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use booking_core::checkout::{Checkout, Order};
use booking_core::ids::CheckoutId;
use booking_core::life::checkout::MOST_WAITING;
use booking_core::life::{CheckoutRecord, Key, NotificationStatus};
use booking_core::terms::Backoff;
use booking_core::time::{Millis, Timestamp};
use booking_core::wire::export::Booking;
use booking_core::wire::log::LogLine;
use booking_core::wire::{Answer, Kind, Operation, answer};
use booking_workers::clock::{jittered, now, pause};
use booking_workers::faults;
use booking_workers::log::{Level, count, say};
use booking_workers::outside;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use worker::{DurableObject, Env, Request, Response, State, durable_object};

use crate::books;
use crate::calls::{Asked, CheckoutCall};
use crate::effects;
use crate::errors::{Broken, Result, unavailable};
use crate::inside;
use crate::later::meanwhile;
use crate::settings::Settings;
use crate::store::{Store, Table, number, stored};

/// The one table: the checkout; how often its alarm has looked after it while it was under way; the number of its newest line in the
/// operators' log, and that of the last one that was handed over.
const SCHEMA: &[Table] = &[Table::new(
    "checkout",
    "(one INTEGER PRIMARY KEY CHECK (one = 1), record TEXT NOT NULL, looked INTEGER NOT NULL, \
     line INTEGER NOT NULL, logged INTEGER NOT NULL)",
)];

/// After how long the alarm looks whether a checkout still runs. The first crash of a checkout costs its buyer no more time.
const LOOK_AFTER: Millis = Millis::from_secs(5);

/// The waits before the alarm looks again, and again: the gateway, say, may be away for days.
const LOOK_AGAIN: Backoff = Backoff { first: LOOK_AFTER, cap: Millis::from_mins(10) };

/// The waits between tries of an effect that nobody answers, while the object is in memory; then the alarm takes over.
const AGAIN: Backoff = Backoff { first: Millis(100), cap: Millis::from_secs(2) };
const TRIES: u32 = 5;

/// How often who waits looks whether there is anything to wait for.
const LOOK_UP: Millis = Millis::from_secs(1);

/// One checkout, under its id.
///
/// A panic leaves nothing half done behind: all that counts is in storage, and what is in memory only saves asking it.
#[durable_object(alarm)]
pub struct CheckoutObject(AssertUnwindSafe<Rc<Host>>);

/// The same, for what outlives a request.
struct Host {
    state: State,
    env: Env,
    store: Store,
    /// A copy of the stored checkout, once the object has read it.
    record: RefCell<Option<CheckoutRecord>>,
    /// The numbers of its newest line in the operators' log, and of the last one that was handed over; read with it.
    lines: Cell<(u64, u64)>,
    /// It is being driven.
    drives: Cell<bool>,
    /// When it was driven last.
    drove: Cell<Timestamp>,
    /// Its message is being delivered.
    delivers: Cell<bool>,
    /// Those who wait for the end.
    waiting: RefCell<Vec<oneshot::Sender<Answer>>>,
}

/// What drives the checkout. There is one at a time.
struct Driver(Rc<Host>);

impl Drop for Driver {
    /// Also when it was cut short: another may drive it then, and those who waited for this one are let go.
    fn drop(&mut self) {
        self.0.drives.set(false);
        self.0.drove.set(now());
        self.0.waiting.take();
    }
}

/// One try to deliver the message. There is one at a time.
struct Delivery<'a>(&'a Cell<bool>);

impl Drop for Delivery<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl DurableObject for CheckoutObject {
    fn new(state: State, env: Env) -> Self {
        let store = Store::new(&state, SCHEMA);
        let host = Host {
            state,
            env,
            store,
            record: RefCell::default(),
            lines: Cell::default(),
            drives: Cell::new(false),
            drove: Cell::default(),
            delivers: Cell::new(false),
            waiting: RefCell::default(),
        };
        Self(AssertUnwindSafe(Rc::new(host)))
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

impl Host {
    /// For faults that tests ask for.
    fn tickets_if_ended(&self) -> String {
        let record = self.record().ok().flatten().filter(|record| record.ended().is_some());
        record.map(|record| tickets_of(&record)).unwrap_or_default()
    }

    /// The checkout, if it was ever started.
    fn record(&self) -> Result<Option<CheckoutRecord>> {
        if self.record.borrow().is_none() {
            let row = self.store.row("checkout", "SELECT record, line, logged FROM checkout", &[])?;
            let read =
                row.map(|mut row| Ok::<_, Broken>((row.stored()?, (row.number()?, row.number()?)))).transpose()?;
            let (record, lines) = read.map_or((None, (0, 0)), |(record, lines)| (Some(record), lines));
            self.record.replace(record);
            self.lines.set(lines);
        }
        Ok(self.record.borrow().clone())
    }

    /// Changes the checkout, and stores it with the alarm for what is next. All of that, or nothing.
    fn change<T>(&self, settings: &Settings, change: impl FnOnce(&mut CheckoutRecord) -> Result<T>) -> Result<T> {
        let mut record = self.record()?.ok_or(Broken::Missing("checkout"))?;
        let before = record.clone();
        let done = change(&mut record)?;
        if record == before {
            return Ok(done);
        }
        // Read anew if this comes to nothing.
        self.record.take();
        let (line, logged) = self.lines.get();
        let is_news = books::has_log(&self.env) && Booking::from(&record) != Booking::from(&before);
        let lines = (line + u64::from(is_news), logged);
        self.lines.set(lines);
        self.store.transaction(|| {
            let row = [stored(&record), number(lines.0)];
            self.store.write("checkout", "UPDATE checkout SET record = ?, line = ?", &row)?;
            self.arm(&record, settings)
        })?;
        let is_given_up = |record: &CheckoutRecord| record.notification() == NotificationStatus::GivenUp;
        if is_given_up(&record) && !is_given_up(&before) {
            say(Level::Error, "a message was given up", &[("checkout", record.checkout().id().to_string())]);
        }
        self.record.replace(Some(record));
        Ok(done)
    }

    /// Sets the alarm: while the checkout is under way it is for waits, and looks after it besides; then for the message, and for when
    /// it is to be forgotten.
    fn arm(&self, record: &CheckoutRecord, settings: &Settings) -> Result<()> {
        let next = record.wake_at(settings.keep_for);
        match record.notification() {
            _ if record.ended().is_none() => self.store.wake_at(next),
            // What has just ended it delivers the message at once; the alarm is for when that comes to nothing.
            NotificationStatus::Waiting { due, .. } => self.store.sleep_until(due.max(now().plus(LOOK_AFTER))),
            // The same of its line in the operators' log.
            _ if self.has_news() => self.store.sleep_until(now().plus(LOOK_AFTER)),
            NotificationStatus::None | NotificationStatus::Delivered | NotificationStatus::GivenUp => {
                next.map_or(Ok(()), |forgotten| self.store.sleep_until(forgotten))
            }
        }
    }

    /// Whether its newest line in the operators' log is still to be handed over.
    fn has_news(&self) -> bool {
        let (line, logged) = self.lines.get();
        logged < line
    }

    /// Hands its newest line in the operators' log over, if that is due. The alarm that was set with the line comes back for it if this does
    /// not, and has it said once more if this does.
    async fn log(&self) -> Result<()> {
        let Some(record) = self.record()?.filter(|_| self.has_news()) else { return Ok(()) };
        let (line, _) = self.lines.get();
        books::log(&self.env, &LogLine::Booking { line, booking: Booking::from(&record) }).await?;
        if self.lines.get().1 < line {
            self.store.write("checkout", "UPDATE checkout SET logged = ?", &[number(line)])?;
            self.lines.set((self.lines.get().0, line));
        }
        Ok(())
    }

    /// Says its newest line once more: what was lost on its way is in the books all the same. Whether it was taken.
    async fn log_again(&self, record: &CheckoutRecord) -> bool {
        let (line, _) = self.lines.get();
        is_taken(books::log(&self.env, &LogLine::Booking { line, booking: Booking::from(record) }).await)
    }

    /// Sets the alarm before anything is done that may come to nothing: for this time, and no later than the next look, which comes less and
    /// less often.
    fn look_again(&self, due: Option<Timestamp>) -> Result<()> {
        self.store.transaction(|| {
            self.store.write("checkout", "UPDATE checkout SET looked = looked + 1", &[])?;
            let looked = self.store.row("checkout", "SELECT looked FROM checkout", &[])?;
            let looked = looked.map(|mut row| row.number()).transpose()?.unwrap_or_default();
            let again = now().plus(LOOK_AGAIN.after(u32::try_from(looked).unwrap_or(u32::MAX)));
            self.store.wake_at(Some(due.map_or(again, |due| due.min(again))))
        })
    }

    /// Says in the operators' log how it stands, beside all else. Operators can do without this line: how the checkout ends is said until the
    /// queue has taken it.
    fn say_how_it_stands(self: &Rc<Self>) -> Result<()> {
        let Some(record) = self.record()?.filter(|_| books::has_log(&self.env)) else { return Ok(()) };
        let (host, (line, _)) = (Rc::clone(self), self.lines.get());
        meanwhile(&self.state, async move {
            let line = LogLine::Booking { line, booking: Booking::from(&record) };
            if let Err(why) = books::log(&host.env, &line).await {
                say(Level::Warn, "the log was not told of a checkout", &[("why", why.to_string())]);
            }
        });
        Ok(())
    }

    async fn asked(self: &Rc<Self>, request: &mut Request) -> Result<Answer> {
        let (path, body) = (request.path(), request.bytes().await?);
        let id = CheckoutId::parse(inside::target(&path))?;
        let settings = Settings::of(&self.env)?;
        let Asked { call, key } = inside::read::<Asked<CheckoutCall>>(&body)?;
        count("asked", "handler", || format!("Checkout/{}", call.name()));
        match call {
            CheckoutCall::Process(order) => match self.start(&id, order, key, &settings)? {
                Start::Refused(answer) | Start::Over(answer) => Ok(answer),
                Start::Goes => self.end(&id, settings.answer_within).await,
            },
            CheckoutCall::Send(order) => Ok(match self.start(&id, order, key, &settings)? {
                Start::Refused(answer) => answer,
                Start::Over(_) | Start::Goes => answer::accepted(&id),
            }),
            CheckoutCall::Operate(operation) => self.operate(&operation, settings),
            CheckoutCall::Revive => {
                let Some(record) = self.record()? else {
                    return Ok(answer::refusal(&Kind::NotFound.into()));
                };
                self.say_how_it_stands()?;
                if record.ended().is_none() {
                    self.advance(settings);
                }
                Ok(answer::checkout(record.progress()))
            }
            CheckoutCall::Status => {
                let Some(record) = self.record()? else {
                    return Ok(answer::refusal(&Kind::NotFound.into()));
                };
                // If its alarm is lost, a client that asks has the checkout continue, but not with each request.
                if record.ended().is_none() && self.drove.get().plus(LOOK_AFTER) <= now() {
                    self.advance(settings);
                }
                Ok(answer::checkout(record.progress()))
            }
        }
    }

    /// Starts the checkout, or finds that this request has done so before.
    fn start(
        self: &Rc<Self>,
        id: &CheckoutId,
        order: Order,
        key: Option<Key>,
        settings: &Rc<Settings>,
    ) -> Result<Start> {
        let record = match self.record()? {
            Some(record) => record,
            None => self.begin(id, order, key, settings)?,
        };
        if let Err(reused) = record.started_by(key) {
            return Ok(Start::Refused(answer::refusal(&reused)));
        }
        if record.ended().is_none() {
            self.advance(Rc::clone(settings));
        }
        let is_told = record.progress().told().is_some();
        Ok(if is_told { Start::Over(answer::processed(record.progress())) } else { Start::Goes })
    }

    fn begin(
        self: &Rc<Self>,
        id: &CheckoutId,
        order: Order,
        key: Option<Key>,
        settings: &Settings,
    ) -> Result<CheckoutRecord> {
        let at = now();
        let record = CheckoutRecord::start(Checkout::start(id.clone(), order, at, &settings.terms), key, at);
        self.store.transaction(|| {
            let row = [stored(&record)];
            let first = "INSERT INTO checkout (one, record, looked, line, logged) VALUES (1, ?, 0, 0, 0)";
            self.store.write("checkout", first, &row)?;
            self.store.wake_at(Some(at.plus(LOOK_AFTER)))
        })?;
        self.record.replace(Some(record.clone()));
        self.say_how_it_stands()?;
        Ok(record)
    }

    /// An operator does something about it.
    fn operate(self: &Rc<Self>, operation: &Operation, settings: Rc<Settings>) -> Result<Answer> {
        if self.record()?.is_none() {
            return Ok(answer::refusal(&Kind::NotFound.into()));
        }
        let operated =
            self.change(&settings, |record| Ok(record.operate(operation, now(), settings.notify_retry())))?;
        if let Err(refusal) = operated {
            return Ok(answer::refusal(&refusal));
        }
        let record = self.record()?.ok_or(Broken::Missing("checkout"))?;
        self.tell(&record);
        if record.ended().is_none() {
            self.advance(settings);
        } else if record.is_to_notify() && !self.drives.get() {
            self.store.transaction(|| self.arm(&record, &settings))?;
            let host = Rc::clone(self);
            meanwhile(&self.state, async move {
                if let Err(why) = host.deliver_and_log(&settings).await {
                    say(Level::Error, "a message was not sent again", &[("why", why.to_string())]);
                }
            });
        }
        Ok(answer::checkout(record.progress()))
    }

    /// How it ended. If it does not end within this time, the answer is that it continues.
    async fn end(&self, id: &CheckoutId, within: Millis) -> Result<Answer> {
        self.waiting.borrow_mut().retain(|tell| !tell.is_canceled());
        if self.waiting.borrow().len() >= MOST_WAITING {
            return Ok(answer::accepted(id));
        }
        let (tell, told) = oneshot::channel();
        self.waiting.borrow_mut().push(tell);
        match select(told, Box::pin(pause(within))).await {
            Either::Left((Ok(answer), _)) => Ok(answer),
            // The driver has stopped, as a map or the gateway did not answer. The alarm starts another.
            Either::Left((Err(oneshot::Canceled), _)) | Either::Right(_) => Ok(answer::accepted(id)),
        }
    }

    /// Drives it, unless it is being driven, while callers may come and go.
    fn advance(self: &Rc<Self>, settings: Rc<Settings>) {
        let Some(driver) = self.driver() else { return };
        meanwhile(&self.state, async move {
            if let Err(why) = driver.drive(&settings).await {
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
    /// Drives it to its end, or until a map or the gateway gives no answer for a while: the alarm continues then.
    async fn drive(self, settings: &Settings) -> Result<()> {
        let host = Rc::clone(&self.0);
        let mut failed = 0;
        loop {
            let _stored = host.change(settings, |record| Ok(record.woken(now(), settings.notify_retry())?))?;
            let record = host.record()?.ok_or(Broken::Missing("checkout"))?;
            faults::may_panic("panic-step", || tickets_of(&record));
            host.tell(&record);
            if record.ended().is_some() {
                break;
            }
            if let Some(wake) = record.wake() {
                // A wait that is short is waited for here, unless an operator ends it; the alarm is for the others, and for crashes.
                let left = Millis(wake.as_millis().saturating_sub(now().as_millis()));
                pause(left.min(LOOK_UP)).await;
            } else if host.step(&record, settings).await? {
                failed = 0;
            } else {
                failed += 1;
                if failed == TRIES {
                    return Ok(());
                }
                pause(jittered(AGAIN.after(failed))).await;
            }
        }
        if faults::is_asked_for("alarm-again", || host.tickets_if_ended()) {
            host.store.sleep_until(now().plus(Millis(500)))?;
        }
        drop(self);
        host.deliver_and_log(settings).await.map(|_| ())
    }
}

impl Host {
    /// Tells those who wait how it ends, if that can be told.
    fn tell(&self, record: &CheckoutRecord) {
        if self.waiting.borrow().is_empty() || record.progress().told().is_none() {
            return;
        }
        let answer = answer::processed(record.progress());
        for waits in self.waiting.take() {
            let _gone = waits.send(answer.clone());
        }
    }

    /// Performs what has no outcome yet, side by side, and records each outcome as it comes. Whether everything was answered.
    async fn step(&self, record: &CheckoutRecord, settings: &Settings) -> Result<bool> {
        let perform = |(op, effect)| async move { (op, effects::perform(&self.env, settings, &effect).await) };
        let mut asked: FuturesUnordered<_> = record.effects().into_iter().map(perform).collect();
        let mut is_answered = true;
        while let Some((op, outcome)) = asked.next().await {
            let Some(outcome) = outcome else {
                is_answered = false;
                continue;
            };
            let _stored =
                self.change(settings, |record| Ok(record.record(&op, outcome, now(), settings.notify_retry())?))?;
            self.tell(&self.record()?.ok_or(Broken::Missing("checkout"))?);
        }
        Ok(is_answered)
    }

    /// Tells the buyer, and then the operators: so that one line says both how it ended and what became of its message. Whether there was
    /// anything new for operators.
    async fn deliver_and_log(&self, settings: &Settings) -> Result<bool> {
        let delivered = self.deliver(settings).await;
        let is_news = self.has_news();
        is_taken(self.log().await);
        delivered.map(|()| is_news)
    }

    /// Tells the buyer, if that is due.
    async fn deliver(&self, settings: &Settings) -> Result<()> {
        let Some(message) = self.record()?.and_then(|record| record.notification_due(now())) else { return Ok(()) };
        let Some(port) = &settings.notify else { return Ok(()) };
        if self.delivers.replace(true) {
            return Ok(());
        }
        let _until_it_is_tried = Delivery(&self.delivers);
        // The alarm is set: it comes back for the message if this does not.
        let is_taken = outside::deliver(&self.env, port, &message).await;
        self.change(settings, |record| {
            record.notified(is_taken, now(), settings.terms.notify_retry);
            Ok(())
        })
    }

    /// The alarm has rung, perhaps again, perhaps late, perhaps for nothing.
    async fn see_to_it(self: Rc<Self>) -> Result<()> {
        let settings = Settings::of(&self.env)?;
        let Some(record) = self.record()? else { return Ok(()) };
        if record.ended().is_none() {
            // Set before anything else: if this is cut short, it looks again.
            self.look_again(record.wake())?;
            return match self.driver() {
                Some(driver) => driver.drive(&settings).await,
                None => Ok(()),
            };
        }
        if record.kept_until(settings.keep_for).is_some_and(|until| until <= now()) {
            if books::has_log(&self.env) {
                self.look_again(None)?;
                // Meanwhile an operator may have done something about it, which is said first.
                let is_said = self.log_again(&record).await;
                if !is_said || self.record()?.as_ref() != Some(&record) || self.has_news() {
                    return Ok(());
                }
            }
            let cleared = self.store.clear().await;
            self.record.take();
            return cleared;
        }
        // Set before anything else: if this is cut short, it looks again.
        self.look_again(None)?;
        let _stored = self.change(&settings, |record| Ok(record.woken(now(), settings.notify_retry())?))?;
        if self.deliver_and_log(&settings).await? {
            // The alarm that is set has it said once more.
            return Ok(());
        }
        let record = self.record()?.ok_or(Broken::Missing("checkout"))?;
        if !self.log_again(&record).await {
            return Ok(());
        }
        let record = self.record()?.ok_or(Broken::Missing("checkout"))?;
        self.store.transaction(|| self.arm(&record, &settings))
    }
}

/// What became of a request to start.
enum Start {
    /// It is not the request that the checkout was started with.
    Refused(Answer),
    /// The answer already says how the checkout ends.
    Over(Answer),
    /// The checkout continues.
    Goes,
}

/// Whether the operators' log has taken a line. Where it has not, the alarm is set: it tries again.
fn is_taken(said: Result<()>) -> bool {
    if let Err(why) = &said {
        say(Level::Warn, "a line was not handed over to the operators' log", &[("why", why.to_string())]);
    }
    said.is_ok()
}

fn tickets_of(record: &CheckoutRecord) -> String {
    inside::names(record.checkout().order().tickets())
}
