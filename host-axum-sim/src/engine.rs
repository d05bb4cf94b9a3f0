//! The whole service as one deterministic machine: no runtime, no network, no clock, no chance.
//!
//! ```text
//!            calls, outcomes, ticks                       records to store
//!  driver ─────────────────────────▶ handle() … poll() ─────────────────────▶ driver
//!     ▲       "stored up to"                              answers, effects, news
//!     └──────── wake_at() ◀──────────────┘                (once stored)
//! ```
//!
//! A driver hands over an [`Input`] and the time, then takes every [`Output`] until there is none, and calls again at
//! [`Engine::wake_at`] at the latest. Each input changes everything it touches at once. What it changed leaves first,
//! as one batch of [`Record`]s. Every answer, effect and piece of news that rests on it, reads and refusals too, leaves
//! only when the driver has said that the batch is stored. After a crash [`Engine::restore`] continues from what was stored.
//!
//! The same inputs at the same times give the same outputs, byte for byte. A refusal is answered with its kind; an outcome
//! that cannot be is said once, as [`Output::Alarm`], and its checkout stays as it was.

mod by_id;
mod calls;
mod checkouts;
mod lists;
mod maps;
mod messages;
mod operate;
mod records;
mod retention;
mod settings;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use booking_core::ids::{CheckoutId, HoldId, MapKey, PaymentKey, TicketId, UserId};
use booking_core::life::{CheckoutRecord, Digest, IdempotencyRecord};
use booking_core::machine::turn;
use booking_core::map::ticket::TicketStatus;
use booking_core::map::{Picture, SeatMap};
use booking_core::payment::{Ledger, Payment, PaymentAnswer};
use booking_core::time::{Millis, Timestamp};
use booking_core::wire::audit::AuditEntry;
use booking_core::wire::search::BookingCursor;
use booking_core::wire::{GatewayCall, Kind};

use crate::store::{Record, Seq};
use by_id::ById;
use retention::Retention;

pub use messages::{Caller, Edition, Fresh, Input, Key, Output, Request, Shown};
#[cfg(feature = "program")]
pub(crate) use records::StoredMap;
pub use settings::{Gateway, Limits, Notifier, Settings};

/// Numbers about an engine, for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Seats, by status as recorded: those of layouts, and those that any command has named.
    pub tickets: BTreeMap<TicketStatus, u64>,
    /// Checkouts under way, by what they are at.
    pub stages: BTreeMap<&'static str, u64>,
    /// Checkouts that have ended since the start of the process: `None` is a booking, else what the buyer was told.
    pub endings: BTreeMap<Option<Kind>, u64>,
    /// Buyers' holds that ended by themselves since the start of the process: taken back by time, and neither paid for nor
    /// given back.
    pub holds_lapsed: u64,
    /// Times that the payment gateway's answer was unknown and it was asked again, since the start of the process.
    pub payment_retries: u64,
    /// Timers that are armed.
    pub timers: u64,
    /// Timers whose time has come.
    pub timers_due: u64,
    /// Messages to buyers that are to be delivered.
    pub notifications_waiting: u64,
    /// Messages that were given up, of the bookings that are kept.
    pub notifications_parked: u64,
    /// Checkouts under way whose payment gateway, or whose map, gives no answer.
    pub stuck: u64,
    /// Finished checkouts, keys and accounts that are kept.
    pub kept: u64,
    /// What they take, in bytes, by estimate.
    pub kept_bytes: u64,
    /// How full that is which has a limit.
    pub filled: Vec<Filled>,
    /// Answers that wait for storage.
    pub unstored: u64,
}

/// How full something is that has a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// What.
    pub what: &'static str,
    /// How much of it there is: a number of things, or bytes by estimate.
    pub used: u64,
    /// How much of it there may be.
    pub limit: u64,
}

impl Filled {
    /// Whether at least this percentage of the limit is used.
    fn is_at(self, percent: u64) -> bool {
        self.used.saturating_mul(100) >= self.limit.saturating_mul(percent)
    }
}

/// What is to happen at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// The timer of a map fires.
    Map(MapKey),
    /// A checkout's wait is over.
    Wake(CheckoutId),
    /// A checkout asks a map again that could not judge its command.
    AskAgain(CheckoutId),
    /// The mock gateway answers a checkout.
    Pay(CheckoutId),
    /// A caller of `process` has waited long enough.
    Answer(CheckoutId, Caller),
    /// A message is tried again.
    Deliver(CheckoutId),
    /// The mock gateway answers a caller of its own.
    Gateway(Caller),
}

/// What has changed and is to be stored, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Map(MapKey),
    Beginning,
    Layout(MapKey),
    Seat(MapKey, TicketId),
    Ended(MapKey, CheckoutId),
    LastWish(MapKey, HoldId),
    Checkout(CheckoutId),
    Account(PaymentKey),
    Key(Digest),
    Audit(u64),
}

/// How many timers one tick fires at most, so that nothing waits for long.
const TIMERS_A_TICK: usize = 256;

/// At how many of a hundred parts it is said that something is nearly full.
const WARN_AT: u64 = 80;

/// The service.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    maps: BTreeMap<MapKey, SeatMap>,
    /// A map of which nothing is known, as every map is at first.
    nothing: SeatMap,
    /// What is recorded of the maps that anybody has looked at.
    pictures: BTreeMap<MapKey, Arc<Picture>>,
    /// The maps of which nothing is left but their version and their time.
    empty: BTreeSet<MapKey>,
    /// Seats that are stored in a form that cannot be read.
    unreadable: BTreeSet<TicketId>,
    /// How many seats are stored, of all maps.
    seats_stored: u64,
    /// The maps that are to be reset when the input is done.
    to_reset: BTreeSet<MapKey>,
    /// Those that are to be reset when the checkouts that have their seats have ended.
    to_reset_later: BTreeSet<MapKey>,
    checkouts: ById<Box<CheckoutRecord>>,
    /// All of them, in the order in which they began.
    by_start: BTreeSet<BookingCursor>,
    /// Those that have not ended.
    under_way: BTreeSet<CheckoutId>,
    /// Bookings whose message was given up.
    parked: BTreeSet<CheckoutId>,
    ledger: Ledger,
    keys: BTreeMap<Digest, IdempotencyRecord>,
    kept: Retention,
    /// What operators did, by its number.
    audit: BTreeMap<u64, AuditEntry>,
    due: BTreeSet<(Timestamp, Due)>,
    /// Who waits for a checkout to end, and until when.
    waiting: BTreeMap<CheckoutId, BTreeMap<Caller, Timestamp>>,
    /// Who waits for the mock gateway, for what.
    paying: BTreeMap<Caller, (GatewayCall, PaymentKey)>,
    /// Holds by user, those of their checkouts among them, where these are limited.
    holders: BTreeMap<UserId, u32>,
    counts: Counts,
    /// Of what it was said that there is not much room left.
    warned: BTreeSet<&'static str>,
    touched: Vec<Name>,
    said: Vec<Output>,
    /// Whether what has changed is to be stored.
    stores: bool,
    seq: Seq,
    stored: Seq,
    to_store: VecDeque<(Seq, Vec<Record>)>,
    /// What was said, and what it rests on.
    held: VecDeque<(Seq, Output)>,
    /// How many of these are answers.
    answers_held: usize,
    /// How large the batches are that are not stored yet, and all of them together, about.
    weights: VecDeque<(Seq, usize)>,
    unstored_bytes: usize,
    /// What rests on nothing.
    free: VecDeque<Output>,
}

#[derive(Debug)]
struct Counts {
    tickets: BTreeMap<TicketStatus, u64>,
    endings: BTreeMap<Option<Kind>, u64>,
    holds_lapsed: u64,
    payment_retries: u64,
    notifications_waiting: u64,
}

impl Default for Counts {
    fn default() -> Self {
        use TicketStatus::{Available, Blocked, Reserved, Sold};
        Self {
            tickets: [Available, Reserved, Sold, Blocked].map(|status| (status, 0)).into(),
            endings: BTreeMap::new(),
            holds_lapsed: 0,
            payment_retries: 0,
            notifications_waiting: 0,
        }
    }
}

impl Engine {
    /// An engine that knows nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            kept: Retention::new(settings.keep_for, settings.limits.kept_bytes),
            settings,
            maps: BTreeMap::new(),
            nothing: SeatMap::default(),
            pictures: BTreeMap::new(),
            empty: BTreeSet::new(),
            unreadable: BTreeSet::new(),
            seats_stored: 0,
            to_reset: BTreeSet::new(),
            to_reset_later: BTreeSet::new(),
            checkouts: ById::default(),
            by_start: BTreeSet::new(),
            under_way: BTreeSet::new(),
            parked: BTreeSet::new(),
            ledger: Ledger::default(),
            keys: BTreeMap::new(),
            audit: BTreeMap::new(),
            due: BTreeSet::new(),
            waiting: BTreeMap::new(),
            paying: BTreeMap::new(),
            holders: BTreeMap::new(),
            counts: Counts::default(),
            warned: BTreeSet::new(),
            touched: Vec::new(),
            said: Vec::new(),
            stores: true,
            seq: Seq(0),
            stored: Seq(0),
            to_store: VecDeque::new(),
            held: VecDeque::new(),
            answers_held: 0,
            weights: VecDeque::new(),
            unstored_bytes: 0,
            free: VecDeque::new(),
        }
    }

    /// The same engine, which is never to be restored: it says what follows at once, and wants nothing stored.
    #[must_use]
    pub fn in_memory(self) -> Self {
        Self { stores: false, ..self }
    }

    /// What it is set to.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Every map that has heard of anything.
    #[must_use]
    pub fn maps(&self) -> &BTreeMap<MapKey, SeatMap> {
        &self.maps
    }

    /// A map; one of which nothing is known as an empty one.
    #[must_use]
    pub fn map(&self, key: &MapKey) -> &SeatMap {
        self.maps.get(key).unwrap_or(&self.nothing)
    }

    /// Every checkout under way, and those that have ended and are still kept, by their ids.
    pub fn checkouts(&self) -> impl Iterator<Item = &CheckoutRecord> {
        self.checkouts.in_order().map(Box::as_ref)
    }

    /// A checkout under way, or one that has ended and is still kept.
    #[must_use]
    pub fn checkout(&self, id: &CheckoutId) -> Option<&CheckoutRecord> {
        self.checkouts.get(id).map(Box::as_ref)
    }

    /// The built-in mock gateway's ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Takes an input at a point in time. Then [`Engine::poll`] until there is nothing more.
    pub fn handle(&mut self, input: Input, now: Timestamp) {
        match input {
            Input::Stored(seq) => {
                self.stored = self.stored.max(seq);
                while let Some((_, weight)) = self.weights.front().filter(|(batch, _)| *batch <= self.stored) {
                    self.unstored_bytes -= weight;
                    self.weights.pop_front();
                }
                return;
            }
            Input::Call(caller, request) => self.call(caller, request, now),
            Input::Cancel(caller, id) => self.cancel(caller, &id, now),
            Input::Outcome(op, outcome) => self.outcome(&op, outcome, now),
            Input::Delivered(id, delivered) => self.delivered(&id, delivered, now),
            Input::Noted(entry) => self.note(AuditEntry { at: now, ..entry }),
            Input::Tick => self.tick(now),
            Input::ClockSet(was) => self.clock_set(was, now),
        }
        self.reset_the_full(now);
        self.forget_the_old(now);
        self.warn_of_the_full();
        self.close();
    }

    /// Ends an input: what it touched becomes one batch, and what it said rests on that.
    fn close(&mut self) {
        if !self.stores {
            self.touched.clear();
        }
        if !self.touched.is_empty() {
            let mut touched = std::mem::take(&mut self.touched);
            touched.sort_unstable();
            touched.dedup();
            let records: Vec<Record> = touched.drain(..).filter_map(|name| self.record(name)).collect();
            self.touched = touched;
            self.seq.0 += 1;
            let weight = records.iter().map(Record::weight).sum();
            self.unstored_bytes += weight;
            self.weights.push_back((self.seq, weight));
            self.to_store.push_back((self.seq, records));
        }
        let seq = self.seq;
        self.answers_held += self.said.iter().filter(|output| output.is_answer()).count();
        self.held.extend(self.said.drain(..).map(|output| (seq, output)));
    }

    /// What is to be done now; `None` until the next input.
    pub fn poll(&mut self) -> Option<Output> {
        if let Some((seq, records)) = self.to_store.pop_front() {
            return Some(Output::Store(seq, records));
        }
        if let Some(output) = self.free.pop_front() {
            return Some(output);
        }
        let (rests_on, _) = self.held.front()?;
        if *rests_on > self.stored {
            return None;
        }
        let (_, output) = self.held.pop_front()?;
        self.answers_held -= usize::from(output.is_answer());
        Some(output)
    }

    /// When [`Input::Tick`] is wanted at the latest; `None` while nothing is to happen by itself.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        let due = self.due.first().map(|(at, _)| *at);
        [due, self.kept.next()].into_iter().flatten().min()
    }

    /// Whether nothing is under way and nothing will happen by itself, but for what is to be forgotten.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.due.is_empty()
            && self.under_way.is_empty()
            && self.counts.notifications_waiting == 0
            && self.held.is_empty()
    }

    /// The numbers, for metrics. Takes as long as there are checkouts under way and timers whose time has come.
    #[must_use]
    pub fn stats(&self, now: Timestamp) -> Stats {
        let mut stages = BTreeMap::new();
        for record in self.under_way.iter().filter_map(|id| self.checkouts.get(id)) {
            *stages.entry(record.checkout().stage().name()).or_default() += 1;
        }
        Stats {
            tickets: self.seats_by_status(),
            stages,
            endings: self.counts.endings.clone(),
            holds_lapsed: self.counts.holds_lapsed,
            payment_retries: self.counts.payment_retries,
            timers: self.due.len() as u64,
            timers_due: self.due.iter().take_while(|(at, _)| *at <= now).count() as u64,
            notifications_waiting: self.counts.notifications_waiting,
            notifications_parked: self.parked.len() as u64,
            stuck: self.in_vain(None).count() as u64,
            kept: self.kept.len() as u64,
            kept_bytes: self.kept.filled().map(|(_, bytes, _)| bytes as u64).iter().sum(),
            filled: self.filled().to_vec(),
            unstored: self.answers_held as u64,
        }
    }

    /// Time has passed: fires what is due.
    fn tick(&mut self, now: Timestamp) {
        for _ in 0..TIMERS_A_TICK {
            match self.due.first() {
                Some((at, _)) if *at <= now => {}
                Some(_) | None => break,
            }
            let (_, due) = self.due.pop_first().expect("just looked at");
            match due {
                Due::Map(key) => self.timer_fires(&key, now),
                Due::Wake(id) => self.wake(&id, now),
                Due::AskAgain(id) => self.ask_again(&id, now),
                Due::Pay(id) => self.mock_answers(&id, now),
                Due::Answer(id, caller) => self.answer_meanwhile(&id, caller),
                Due::Deliver(id) => self.deliver(&id, now),
                Due::Gateway(caller) => self.mock_answers_caller(caller, now),
            }
        }
    }

    /// How full everything is that has a limit and fills up slowly.
    fn filled(&self) -> [Filled; 6] {
        let limits = &self.settings.limits;
        let filled = |what, used: usize, limit: usize| Filled { what, used: used as u64, limit: limit as u64 };
        let [bookings, failures, keys, accounts] =
            self.kept.filled().map(|(share, bytes, limit)| filled(share.name(), bytes, limit));
        let tickets = Filled { used: self.seats_taken(), ..filled("tickets", 0, limits.tickets) };
        [tickets, filled("checkouts", self.under_way.len(), limits.checkouts), bookings, failures, keys, accounts]
    }

    /// Says once that something is nearly full, and again when it was less full meanwhile.
    fn warn_of_the_full(&mut self) {
        for filled in self.filled() {
            if filled.is_at(WARN_AT) {
                if self.warned.insert(filled.what) {
                    self.said.push(Output::Filled(filled));
                }
            } else if !self.warned.is_empty() && !filled.is_at(WARN_AT - 10) {
                self.warned.remove(filled.what);
            }
        }
    }

    /// What waits, and what is kept for a time, goes by what elapses; the ends of holds go by the calendar.
    fn clock_set(&mut self, was: Timestamp, now: Timestamp) {
        let moved = |at: Timestamp| now.plus(Millis(at.as_millis().saturating_sub(was.as_millis())));
        let due = std::mem::take(&mut self.due);
        self.due =
            due.into_iter().map(|(at, due)| if let Due::Map(_) = due { (at, due) } else { (moved(at), due) }).collect();
        for until in self.waiting.values_mut().flat_map(BTreeMap::values_mut) {
            *until = moved(*until);
        }
        for record in self.checkouts.values_mut().filter(|record| record.wake().is_some() || record.is_to_notify()) {
            record.clock_set(moved);
            self.touched.push(Name::Checkout(record.checkout().id().clone()));
        }
        self.kept.clock_set(moved);
    }

    /// Lets something happen at a time.
    pub(crate) fn at(&mut self, at: Timestamp, due: Due) {
        self.due.insert((at, due));
    }

    /// Says something, once what it rests on is stored.
    pub(crate) fn say(&mut self, output: Output) {
        self.said.push(output);
    }

    pub(crate) fn ask_gateway(&mut self, command: &Payment, now: Timestamp) -> PaymentAnswer {
        let turn = turn(&mut self.ledger, command, now);
        if let Some(event) = turn.event() {
            self.touched.push(Name::Account(event.key.clone()));
        }
        let Ok(reply) = turn.stored();
        reply
    }
}
