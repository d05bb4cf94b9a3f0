//! Drives an engine with a real clock, real chance, a store and the outside world.
//!
//! Every request takes the engine for a few microseconds, lets it judge, and takes what it says. Nothing is awaited
//! while it is taken.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use booking_core::effect::{Notification, Op, Outcome};
use booking_core::ids::{CheckoutId, MapKey};
use booking_core::life::Digest;
use booking_core::map::{Picture, SeatMap};
use booking_core::payment::Payment;
use booking_core::time::Timestamp;
use booking_core::wire::answer::Troubles;
use booking_core::wire::audit::AuditEntry;
use booking_core::wire::export::Booking;
use booking_core::wire::search::{BookingCursor, BookingSearch};
use booking_core::wire::{Answer, Call, Kind, answer};
use booking_hosting::gateway::Report;
use booking_hosting::ports::{Notifier, PaymentGateway};
use tokio::sync::{Notify, Semaphore, oneshot};

use crate::clock::{Clock, Look};
use crate::commit::{Batch, STUCK_AFTER, Storage, keep_storing};
use crate::engine::{Caller, Edition, Engine, Filled, Fresh, Input, Key, Output, Request, Stats};
use crate::store::{Seq, Store};
use crate::subscriptions::{Subscription, Subscriptions};

/// How many payments are under way to the outside at a time; the others wait.
const PAYMENTS_OUT: usize = 256;

/// How many messages are. Their own number, so that a notifier that is slow delays no booking.
const NOTIFICATIONS_OUT: usize = 64;

/// How often the clock is looked at where nothing else happens: the calendar may be set.
const LOOK_AT_THE_CLOCK: Duration = Duration::from_secs(5);

/// An engine at work. Cloning it is cheap: it is the same engine.
#[derive(Clone)]
pub struct Host(Arc<Shared>);

struct Shared {
    inner: Mutex<Inner>,
    /// The clock is to look again when to wake.
    look_again: Notify,
    /// Nothing more is to be stored, and the store is closed.
    closed: Semaphore,
    subscriptions: Subscriptions,
    ports: Ports,
    /// Since when the store is at a commit, if it is.
    commits_since: Mutex<Option<Instant>>,
    payments_out: Semaphore,
    notifications_out: Semaphore,
}

/// Who performs what the engine leaves to the outside.
#[derive(Clone, Default)]
pub struct Ports {
    /// Who is asked for money, with [`Gateway::Outside`](crate::engine::Gateway::Outside).
    pub gateway: Option<Arc<dyn PaymentGateway>>,
    /// Who delivers messages, with [`Notifier::Outside`](crate::engine::Notifier::Outside).
    pub notifier: Option<Arc<dyn Notifier>>,
}

struct Inner {
    engine: Engine,
    /// The way to the store; `None` where nothing is kept.
    batches: Option<Sender<Batch>>,
    storage: Storage,
    clock: Clock,
    callers: BTreeMap<Caller, oneshot::Sender<Reply>>,
    next_caller: u64,
    /// When the clock will wake up.
    wakes_at: Option<Timestamp>,
}

/// What comes of a request.
pub(crate) enum Reply {
    Answer(Answer),
    Subscription(Subscription),
    Seen(Arc<Picture>),
    Plan(MapKey, Edition),
    Bookings(Vec<Booking>, Option<BookingCursor>),
}

/// 128 bits that cannot be guessed.
pub(crate) fn chance() -> Result<u128, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(u128::from_le_bytes(bytes))
}

impl Host {
    /// An engine at work in memory, with the built-in mock gateway. Must be called on a tokio runtime: it spawns the
    /// clock.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self::with(engine, None, Ports::default())
    }

    /// An engine at work, with the outside world, and a store that it keeps everything in, if it keeps it at all. Must
    /// be called on a tokio runtime: it spawns the clock, and the payments and messages that the engine continues with.
    ///
    /// A store gets a thread of its own, until [`Host::close`].
    #[must_use]
    pub fn with(engine: Engine, store: Option<Box<dyn Store>>, ports: Ports) -> Self {
        let (batches, to_store) = mpsc::channel();
        let engine = if store.is_some() { engine } else { engine.in_memory() };
        let inner = Inner {
            engine,
            batches: store.as_ref().map(|_| batches),
            storage: Storage::Well,
            clock: Clock::new(),
            callers: BTreeMap::new(),
            next_caller: 0,
            wakes_at: None,
        };
        let shared = Shared {
            inner: Mutex::new(inner),
            look_again: Notify::new(),
            closed: Semaphore::new(0),
            subscriptions: Subscriptions::default(),
            ports,
            commits_since: Mutex::new(None),
            payments_out: Semaphore::new(PAYMENTS_OUT),
            notifications_out: Semaphore::new(NOTIFICATIONS_OUT),
        };
        let host = Self(Arc::new(shared));
        match store {
            None => host.0.closed.close(),
            Some(store) => {
                let (host, runtime) = (host.clone(), tokio::runtime::Handle::current());
                tokio::spawn(host.clone().keep_watch_on_the_store());
                std::thread::spawn(move || {
                    // What may leave once it is stored is sent from here.
                    let _runtime = runtime.enter();
                    keep_storing(&to_store, store, &host);
                });
            }
        }
        host.hand(Input::Tick);
        tokio::spawn(host.clone().keep_time());
        host
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(|poisoned| {
            // A turn that panicked may have been left halfway: nothing that rests on it leaves.
            let mut inner = poisoned.into_inner();
            inner.fail(Storage::Broken);
            self.0.subscriptions.close();
            inner
        })
    }

    /// Takes no more requests, stores what is to be stored, and gives the store up: its directory may be opened again
    /// once this is done. Closing twice is closing once.
    pub async fn close(&self) {
        {
            let mut inner = self.lock();
            inner.batches = None;
            inner.fail(Storage::Broken);
        }
        self.0.look_again.notify_one();
        // Nobody ever adds a permit: this ends when the semaphore is closed.
        let _closed = self.0.closed.acquire().await;
    }

    /// Every batch up to this one is stored: what rests on it may leave.
    pub(crate) fn stored(&self, last: Seq) {
        let mut inner = self.lock();
        if inner.storage == Storage::Broken {
            return;
        }
        if inner.storage == Storage::Stuck {
            tracing::info!("the store is well again");
        }
        inner.storage = Storage::Well;
        let now = inner.now();
        inner.engine.handle(Input::Stored(last), now);
        let _nobody_waits = self.take(&mut inner, None);
    }

    /// The store cannot write: every caller that waits is answered so, and so is every caller that asks from now on.
    pub(crate) fn storage_is(&self, storage: Storage) {
        self.lock().fail(storage);
        if storage == Storage::Broken {
            // They would hear of nothing any more.
            self.0.subscriptions.close();
        }
    }

    /// The store begins a commit, or has ended it.
    pub(crate) fn commits(&self, begins: bool) {
        let mut since = self.0.commits_since.lock().unwrap_or_else(PoisonError::into_inner);
        *since = begins.then(Instant::now);
    }

    /// Lets nobody wait for a store that hangs. It is well again when its commit ends.
    async fn keep_watch_on_the_store(self) {
        let mut look = tokio::time::interval(STUCK_AFTER / 8);
        while !self.0.closed.is_closed() {
            look.tick().await;
            let since = *self.0.commits_since.lock().unwrap_or_else(PoisonError::into_inner);
            let took = since.map(|since| since.elapsed()).filter(|took| *took >= STUCK_AFTER);
            if let Some(took) = took {
                let mut inner = self.lock();
                if inner.storage == Storage::Well {
                    let seconds = took.as_secs();
                    tracing::error!(
                        "the store is stuck: a commit (write and sync) has taken {seconds} s; requests are refused until it ends"
                    );
                    inner.fail(Storage::Stuck);
                }
            }
        }
    }

    /// Whether no more is to be stored than is under way.
    pub(crate) fn is_closing(&self) -> bool {
        self.lock().batches.is_none()
    }

    /// The store is given up.
    pub(crate) fn has_closed(&self) {
        self.0.closed.close();
    }

    /// Asks the engine, and waits for the answer.
    pub(crate) async fn ask(&self, call: Call, key: Option<Key>) -> Reply {
        self.ask_audited(call, key, None).await
    }

    /// The same, of an operator: the audit says this of it.
    pub(crate) async fn ask_audited(&self, call: Call, key: Option<Key>, audit: Option<Box<AuditEntry>>) -> Reply {
        let Ok(fresh) = chance().map(Fresh) else { return unavailable() };
        self.call(|caller| Input::Call(caller, Request { call, key, fresh, audit })).await
    }

    /// The same, with a checkout that is called after its key.
    pub(crate) async fn ask_named(&self, call: Call, key: Key) -> Reply {
        let Digest(scope) = key.digests.scope;
        let (fresh, key) = (Fresh(u128::from_be_bytes(scope)), Some(key));
        self.call(|caller| Input::Call(caller, Request { call, key, fresh, audit: None })).await
    }

    /// A page of bookings, and where the next one begins; or why there is none.
    pub(crate) async fn bookings(
        &self,
        search: BookingSearch,
    ) -> Result<(Vec<Booking>, Option<BookingCursor>), Answer> {
        match self.ask(Call::Bookings(search), None).await {
            Reply::Bookings(page, next) => Ok((page, next)),
            Reply::Answer(refused) => Err(refused),
            Reply::Subscription(_) | Reply::Seen(_) | Reply::Plan(..) => Err(answer::refusal(&Kind::NotFound.into())),
        }
    }

    /// Has the audit say something that no call has changed anything by.
    pub(crate) fn note(&self, entry: AuditEntry) {
        self.hand(Input::Noted(entry));
    }

    /// Lets a checkout turn back: its seats go back on sale, and no money is taken.
    ///
    /// The answer is how it stands, or a refusal: `CheckoutInProgress` once capture has been asked for, `NotFound` where
    /// there is none. Asking twice is asking once.
    pub async fn cancel(&self, checkout: &CheckoutId) -> Answer {
        match self.call(|caller| Input::Cancel(caller, checkout.clone())).await {
            Reply::Answer(answer) => answer,
            Reply::Subscription(_) | Reply::Seen(_) | Reply::Plan(..) | Reply::Bookings(..) => {
                answer::refusal(&Kind::StorageUnavailable.into())
            }
        }
    }

    async fn call(&self, input: impl FnOnce(Caller) -> Input) -> Reply {
        let later = {
            let mut inner = self.lock();
            if inner.storage != Storage::Well {
                return unavailable();
            }
            let caller = Caller(inner.next_caller);
            inner.next_caller += 1;
            let now = inner.now();
            inner.engine.handle(input(caller), now);
            if let Some(reply) = self.take(&mut inner, Some(caller)) {
                return reply;
            }
            if inner.storage != Storage::Well {
                return unavailable();
            }
            let (answer, later) = oneshot::channel();
            inner.callers.insert(caller, answer);
            later
        };
        later.await.unwrap_or_else(|_| unavailable())
    }

    /// Hands an input over that nobody waits for. Also where the store has no room: what has happened has happened.
    fn hand(&self, input: Input) {
        let mut inner = self.lock();
        if inner.storage == Storage::Broken {
            return;
        }
        let now = inner.now();
        inner.engine.handle(input, now);
        let _nobody_waits = self.take(&mut inner, None);
    }

    /// Takes what the engine says. The answer to `caller` is handed back if it is among that.
    fn take(&self, inner: &mut Inner, caller: Option<Caller>) -> Option<Reply> {
        let mut reply = None;
        while inner.storage != Storage::Broken
            && let Some(output) = inner.engine.poll()
        {
            match output {
                Output::Store(seq, records) => match &inner.batches {
                    None => {
                        let now = inner.now();
                        inner.engine.handle(Input::Stored(seq), now);
                    }
                    // Its thread is gone only where the store has failed, and then that has been said.
                    Some(batches) => drop(batches.send((seq, records))),
                },
                Output::Answer(to, answer) if Some(to) == caller => reply = Some(Reply::Answer(answer)),
                Output::Answer(to, answer) => send(inner, to, Reply::Answer(answer)),
                Output::Watching(to, map, view) => {
                    let watched = Reply::Subscription(self.0.subscriptions.watch(map, view));
                    if Some(to) == caller { reply = Some(watched) } else { send(inner, to, watched) }
                }
                Output::Seen(to, picture) => {
                    let seen = Reply::Seen(picture);
                    if Some(to) == caller { reply = Some(seen) } else { send(inner, to, seen) }
                }
                Output::Plan(to, map, edition) => {
                    let plan = Reply::Plan(map, edition);
                    if Some(to) == caller { reply = Some(plan) } else { send(inner, to, plan) }
                }
                Output::Bookings(to, page, next) => {
                    let bookings = Reply::Bookings(page, next);
                    if Some(to) == caller { reply = Some(bookings) } else { send(inner, to, bookings) }
                }
                Output::News(map, shown) => self.0.subscriptions.tell(&map, &shown),
                Output::Pay(op, payment) => drop(tokio::spawn(self.clone().pay(op, payment))),
                Output::Deliver(notification) => drop(tokio::spawn(self.clone().deliver(notification))),
                Output::Filled(Filled { what, used, limit }) => {
                    tracing::warn!(what, used, limit, "nearly full: see \"What it takes on\" in the README");
                }
                Output::Alarm(alarm) => tracing::error!("{alarm}: a person should look"),
            }
        }
        let wake_at = inner.engine.wake_at();
        let is_sooner = wake_at.is_some_and(|at| inner.wakes_at.is_none_or(|planned| at < planned));
        if is_sooner {
            inner.wakes_at = wake_at;
            self.0.look_again.notify_one();
        }
        reply
    }

    /// Wakes the engine when it wants to be woken.
    async fn keep_time(self) {
        loop {
            let (wake_at, now) = {
                let mut inner = self.lock();
                if inner.storage == Storage::Broken {
                    return;
                }
                (inner.wakes_at, inner.now())
            };
            let sleep = async {
                match wake_at {
                    Some(at) => {
                        let left = at.as_millis().saturating_sub(now.as_millis());
                        if left > 0 {
                            tokio::time::sleep(Duration::from_millis(left).min(LOOK_AT_THE_CLOCK)).await;
                        }
                    }
                    None => tokio::time::sleep(LOOK_AT_THE_CLOCK).await,
                }
            };
            tokio::select! {
                biased;
                () = self.0.look_again.notified() => {}
                () = sleep => {
                    self.lock().wakes_at = None;
                    self.hand(Input::Tick);
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    async fn pay(self, op: Op, payment: Payment) {
        let Some(gateway) = self.0.ports.gateway.clone() else {
            tracing::error!("no payment gateway is configured: {op} waits for one");
            return;
        };
        let Ok(_permit) = self.0.payments_out.acquire().await else { return };
        let unanswered = payment.unanswered();
        // A gateway that panics has not answered; on a task of its own it takes nothing else with it.
        let answer = tokio::spawn(async move { gateway.pay(&payment).await }).await.unwrap_or(unanswered);
        tracing::debug!(checkout = %op.checkout, step = op.step, "the payment gateway was asked");
        self.hand(Input::Outcome(op, Outcome::Paid(answer)));
    }

    async fn deliver(self, notification: Notification) {
        let Some(notifier) = self.0.ports.notifier.clone() else { return };
        let Ok(_permit) = self.0.notifications_out.acquire().await else { return };
        let checkout = notification.checkout.clone();
        let delivered = tokio::spawn(async move { notifier.deliver(&notification).await }).await;
        self.hand(Input::Delivered(checkout, delivered.unwrap_or(false)));
    }

    /// Ends every watch: the server is to stop.
    pub(crate) fn send_watchers_away(&self) {
        self.0.subscriptions.close();
    }

    /// Numbers about the engine.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut inner = self.lock();
        let now = inner.now();
        inner.engine.stats(now)
    }

    /// Looks at a map; at one that nobody has heard of as at an empty one. What is seen may be ahead of the disk.
    pub(crate) fn read_map<T>(&self, map: &MapKey, look: impl FnOnce(&SeatMap) -> T) -> T {
        look(self.lock().engine.map(map))
    }

    /// By how many milliseconds the calendar clock is off, while it has jumped and is not believed.
    #[must_use]
    pub fn clock_off(&self) -> Option<i64> {
        let mut inner = self.lock();
        let _now = inner.now();
        inner.clock.off()
    }

    /// What the payment gateway's answers say about itself.
    #[must_use]
    pub fn gateway(&self) -> Report {
        self.0.ports.gateway.as_ref().map(|gateway| gateway.report()).unwrap_or_default()
    }

    /// What is wrong outside.
    #[must_use]
    pub fn troubles(&self) -> Troubles {
        self.gateway().troubles(self.clock_off())
    }

    /// How often the calendar clock has jumped since the host began.
    #[must_use]
    pub fn clock_jumps(&self) -> u64 {
        self.lock().clock.jumps()
    }

    /// How many watch a map.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.0.subscriptions.len()
    }

    /// Whether it answers: not while its store has no room, and not once it has failed.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.lock().storage == Storage::Well
    }
}

impl Inner {
    /// What time it is. Where the calendar was set, the engine hears of it first.
    fn now(&mut self) -> Timestamp {
        let (now, look) = self.clock.look();
        let off = self.clock.off().unwrap_or_default();
        match look {
            Look::Time => {}
            Look::Jumped => tracing::warn!(
                off_ms = off,
                "the calendar clock has jumped: it is not believed until it has been stable for a minute"
            ),
            Look::Back => tracing::info!("the calendar clock is right again"),
            Look::Set(was) => {
                tracing::warn!("the calendar clock has been stable for a minute after it jumped: it is believed now");
                if self.storage != Storage::Broken {
                    self.engine.handle(Input::ClockSet(was), now);
                }
            }
        }
        now
    }

    /// The storage is not well: nobody waits any longer.
    fn fail(&mut self, storage: Storage) {
        if self.storage != Storage::Broken {
            self.storage = storage;
        }
        self.callers.clear();
    }
}

fn send(inner: &mut Inner, to: Caller, reply: Reply) {
    if let Some(waits) = inner.callers.remove(&to) {
        let _gone_meanwhile = waits.send(reply);
    }
}

fn unavailable() -> Reply {
    Reply::Answer(answer::refusal(&Kind::StorageUnavailable.into()))
}
