//! An engine with everything around it that can fail: its disk, the power, the gateway, the people who ask.
//!
//! ```text
//!  people ──ask──▶ ┌────────┐ ──store──▶ disk ──▶ (power goes) ──▶ restore
//!         ◀─answer─│ engine │ ◀─stored──
//!                  └────────┘ ──perform──▶ gateway ──outcome──▶
//! ```
//!
//! What is lost at a crash is what a real one takes: everything in memory, and what the disk has not synced. What the
//! engine has asked of the gateway may arrive there long after.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use booking_core::checkout::Checkout;
use booking_core::effect::{Notification, Op, Outcome};
use booking_core::ids::{CheckoutId, TicketId};
use booking_core::life::{self, Digest, NotificationStatus};
use booking_core::map::ticket::{Reader, TicketStatus};
use booking_core::map::{Layout, Place, Row};
use booking_core::payment::{Ledger, Payment, PaymentAnswer};
use booking_core::terms::{Retry, Terms};
use booking_core::time::{Millis, Timestamp};
use booking_core::wire::{Answer, Call, SeatMapCall, TicketCall, answer};
use serde::{Deserialize, Serialize};

use super::coverage::{Coverage, CoveragePoint};
use super::disk::{Disk, Unsynced};
use super::fault_points::FaultPoints;
use super::promises::Broken;
use super::scene::{Ask, Faults, Scenario, What, map};
use super::story::{EventKind, Story};
use crate::clock::{Belief, Look};
use crate::engine::{Caller, Engine, Fresh, Gateway, Input, Key, Limits, Notifier, Output, Request, Settings, Shown};
use crate::store::{Record, Seq};

/// When every run begins.
pub const START: Timestamp = Timestamp::from_millis(1_000_000_000_000);

/// One thing that happens. Those that cannot happen when their turn comes do nothing, so that a trace from which some
/// are left out is still a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// One of the scene's asks arrives, or comes again under its key.
    Ask(u8),
    /// The disk takes the oldest batch of those that wait.
    Write,
    /// The disk syncs what it has taken, and says so.
    Sync,
    /// The gateway is asked one of the things that are under way to it.
    Pay(u8, How),
    /// What nobody waits for any more arrives at the gateway.
    Late(u8),
    /// A message to a buyer is tried.
    Deliver(u8, How),
    /// Time passes until the engine wants to be woken.
    Tick,
    /// Time passes, and nobody wakes the engine.
    Wait(Millis),
    /// The power goes, and comes again.
    Crash {
        /// What becomes of what is written and not synced.
        unsynced: Unsynced,
        /// How long nothing runs.
        down: Millis,
    },
    /// The disk is full.
    Full,
    /// It has room again.
    Room,
    /// The calendar clock jumps by this number of milliseconds.
    Clock(i64),
    /// The calendar clock is right again.
    ClockRight,
}

/// How something reaches the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum How {
    /// It arrives, and so does its answer.
    Well,
    /// It arrives, and its answer is lost.
    AnswerLost,
    /// It counts as not answered, and arrives later or never.
    Unheard,
    /// It arrives twice, and is answered twice.
    Twice,
}

/// One of the scene's asks, and what has become of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Person {
    /// How often it came.
    pub(super) times: u8,
    /// When it came first.
    pub(super) asked_at: Timestamp,
    /// Those of its comings that wait for an answer.
    pub(super) waiting: Vec<Waits>,
    /// Whether one of them waits in vain.
    pub(super) lost: bool,
    /// What it was told first, if that is what it must be told for ever.
    pub(super) first: Option<Answer>,
    /// The checkouts that it has started, those that a crash took away not among them. It is about the last.
    pub(super) started: Vec<CheckoutId>,
}

/// A caller that waits for an answer.
#[derive(Clone, Debug)]
pub(super) struct Waits {
    pub(super) caller: Caller,
    /// What the answer rests on: tickets as they were when it was asked for.
    pub(super) rests_on: Vec<(TicketId, u64, TicketStatus)>,
    /// Whether it was answered before.
    pub(super) is_again: bool,
    /// The checkout that it is about.
    pub(super) about: Option<CheckoutId>,
}

/// How a checkout has ended, as soon as it has.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) checkout: Checkout,
    /// The batch that says so.
    pub(super) seq: Seq,
    /// Its tickets as they were then.
    pub(super) rests_on: Vec<(TicketId, u64, TicketStatus)>,
}

/// A client that watches the map.
#[derive(Clone, Debug)]
pub(super) struct Watcher {
    pub(super) version: u64,
    pub(super) shown: BTreeMap<TicketId, TicketStatus>,
}

/// What the engine has said to callers, watchers and buyers, and so must stay true.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// What a ticket was, at its newest.
    pub(super) tickets: Vec<(TicketId, u64, TicketStatus)>,
    /// Bookings.
    pub(super) confirmed: Vec<CheckoutId>,
    /// Checkouts that failed.
    pub(super) failed: Vec<CheckoutId>,
    /// Checkouts that are under way.
    pub(super) accepted: Vec<CheckoutId>,
    /// The version of the map.
    pub(super) map_version: u64,
    /// Bookings that a buyer had a message of.
    pub(super) letters: Vec<CheckoutId>,
    /// Bookings whose message was given up.
    pub(super) given_up: Vec<CheckoutId>,
}

/// An engine and all that is around it, at one moment.
#[derive(Debug)]
pub struct World {
    pub(super) scene: Arc<Scenario>,
    pub(super) fault_points: &'static dyn FaultPoints,
    settings: Settings,
    pub(super) engine: Engine,
    /// The time that the host believes.
    pub(super) now: Timestamp,
    /// The time that it is.
    pub(super) real: Timestamp,
    /// By how many milliseconds the calendar clock is wrong.
    off: i64,
    /// When the process started, and what it believes.
    started: Timestamp,
    belief: Belief,
    /// Whether what comes back from the disk was kept by a calendar that was right.
    pub(super) keeps: bool,
    pub(super) disk: Disk,
    pub(super) performing: Vec<(Op, Payment)>,
    pub(super) delivering: Vec<Notification>,
    /// What an engine has asked the gateway for, and does not wait for any more.
    pub(super) late: Vec<Payment>,
    pub(super) gateway: Ledger,
    pub(super) people: Vec<Person>,
    pub(super) ends: BTreeMap<CheckoutId, End>,
    pub(super) told: Told,
    pub(super) watcher: Option<Watcher>,
    /// Tickets that an operator has put back on sale after they were sold to a checkout.
    pub(super) reset: BTreeSet<TicketId>,
    pub(super) left: Faults,
    pub(super) is_full: bool,
    pub(super) crashes: u8,
    last_handed: Seq,
    touched_tickets: Vec<TicketId>,
    touched_checkouts: Vec<CheckoutId>,
    pub(super) coverage: Coverage,
    pub(super) story: Option<Box<Story>>,
}

/// The seats of a layout beyond the scene's own.
pub(super) fn layout(seats: u16) -> Layout {
    let price = booking_core::money::Money::DEFAULT_PRICE;
    let place = |n: u16| Place {
        ticket: TicketId::parse(&format!("hall:{n}")).expect("a good id"),
        label: None,
        price,
        x: n.into(),
        y: 0,
    };
    let row = Row { name: "A".to_owned(), seats: (0..seats).map(place).collect() };
    Layout::new(vec![row]).expect("no seat stands in it twice")
}

impl What {
    /// The tickets that it is about.
    pub(super) fn tickets(&self) -> &[TicketId] {
        match self {
            Self::Reserve { ticket, .. }
            | Self::Release { ticket, .. }
            | Self::Get(ticket)
            | Self::Block(ticket)
            | Self::Unblock(ticket)
            | Self::Sell { ticket, .. }
            | Self::Cleanup(ticket) => std::slice::from_ref(ticket),
            Self::Process(order) | Self::Send(order) => order.tickets(),
            Self::Cancel(_) | Self::Watch | Self::ResetAll | Self::Publish(_) => &[],
        }
    }

    /// The call; `None` for what is no call.
    fn call(&self) -> Option<Call> {
        let to = |ticket: &TicketId, call| Some(Call::Ticket(ticket.clone(), call));
        match self {
            Self::Reserve { ticket, user, hold, ttl } => {
                to(ticket, TicketCall::Reserve { user: user.clone(), hold: hold.clone(), nth: None, ttl: *ttl })
            }
            Self::Release { ticket, hold } => to(ticket, TicketCall::Release { hold: hold.clone(), nth: None }),
            Self::Process(order) => Some(Call::Process(order.clone())),
            Self::Send(order) => Some(Call::ProcessSend(order.clone())),
            Self::Get(ticket) => to(ticket, TicketCall::Get(Reader::Operator)),
            Self::Watch => Some(Call::SeatMap(map(), SeatMapCall::Watch)),
            Self::Block(ticket) => to(ticket, TicketCall::Block { reason: "seen to".to_owned() }),
            Self::Unblock(ticket) => to(ticket, TicketCall::Unblock),
            Self::Sell { ticket, user } => to(ticket, TicketCall::Sell { user: user.clone() }),
            Self::Cleanup(ticket) => to(ticket, TicketCall::Reset { up_to: u64::MAX }),
            Self::ResetAll => Some(Call::SeatMap(map(), SeatMapCall::ResetAll)),
            Self::Publish(seats) => {
                Some(Call::SeatMap(map(), SeatMapCall::Publish { layout: Arc::new(layout(*seats)) }))
            }
            Self::Cancel(_) => None,
        }
    }
}

impl World {
    /// The world at the beginning of a scene.
    #[must_use]
    pub fn new(scene: Arc<Scenario>, fault_points: &'static dyn FaultPoints) -> Self {
        let notify_retry = scene.terms.notify_retry;
        let attempts = scene.letter_attempts.unwrap_or(notify_retry.attempts);
        let settings = Settings {
            terms: Terms { notify_retry: Retry { attempts, ..notify_retry }, ..scene.terms.clone() },
            gateway: scene.mock_delay.map_or(Gateway::Outside, |delay| Gateway::Mock { delay }),
            notifier: scene.letter_attempts.map_or(Notifier::Nobody, |_| Notifier::Outside),
            answer_within: scene.answer_within,
            keep_for: scene.keep_for,
            limits: Limits::default(),
        };
        Self {
            fault_points,
            engine: Engine::new(settings.clone()),
            settings,
            now: START,
            real: START,
            off: 0,
            started: START,
            belief: Belief::new(START),
            keeps: true,
            disk: Disk::default(),
            performing: Vec::new(),
            delivering: Vec::new(),
            late: Vec::new(),
            gateway: Ledger::default(),
            people: vec![Person::default(); scene.asks.len()],
            ends: BTreeMap::new(),
            told: Told::default(),
            watcher: None,
            reset: BTreeSet::new(),
            left: scene.faults,
            is_full: false,
            crashes: 0,
            last_handed: Seq(0),
            touched_tickets: Vec::new(),
            touched_checkouts: Vec::new(),
            coverage: Coverage::default(),
            story: None,
            scene,
        }
    }

    /// Has every record go through its stored form, as on a real disk.
    pub fn through_bytes(&mut self) {
        self.disk.through_bytes();
    }

    /// What the engine is set to.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// From now on nothing goes wrong any more.
    pub(super) fn heal(&mut self) {
        self.left = Faults::default();
    }

    /// Whether the calendar clock is.
    pub(super) fn is_wrong(&self) -> bool {
        self.off != 0
    }

    /// How long the process has run.
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.real.as_millis() - self.started.as_millis())
    }

    /// Time passes, and the host does not look at its clocks.
    fn passes(&mut self, length: Millis) {
        self.real = self.real.plus(length);
        self.now = self.belief.at(self.elapsed());
    }

    /// The host looks at its clocks, as it does before it hands anything over.
    fn look_at_the_clock(&mut self) {
        let calendar = Timestamp::from_millis(self.real.as_millis().saturating_add_signed(self.off));
        if self.fault_points.believes_at_once() {
            self.now = calendar;
            return;
        }
        let elapsed = self.elapsed();
        let look = self.belief.look(calendar, elapsed);
        self.now = self.belief.at(elapsed);
        match look {
            Look::Time => {}
            Look::Jumped => self.coverage.hit(CoveragePoint::ClockJumped),
            Look::Back => self.coverage.hit(CoveragePoint::ClockBack),
            Look::Set(was) => {
                self.coverage.hit(CoveragePoint::ClockSet);
                if self.fault_points.tells_of_the_clock() {
                    self.engine.handle(Input::ClockSet(was), self.now);
                }
            }
        }
    }

    /// The calendar clock shows another time.
    fn calendar(&mut self, off: i64) -> bool {
        self.off = off;
        let text =
            || if off == 0 { "is right again".to_owned() } else { format!("is off by {} minutes", off / 60_000) };
        if let Some(event) = self.tells(EventKind::Wait, None, Some("clock"), text) {
            event.is_fault = off != 0;
        }
        true
    }

    /// Lets something happen; whether it could.
    ///
    /// # Errors
    /// A promise that is broken by it.
    pub fn apply(&mut self, action: Action) -> Result<bool, Broken> {
        match action {
            Action::Ask(number) => self.ask(number),
            Action::Write => self.write(),
            Action::Sync => self.sync(),
            Action::Pay(nth, how) => self.pay(nth, how),
            Action::Late(nth) => Ok(self.arrive_late(nth)),
            Action::Deliver(nth, how) => self.deliver(nth, how),
            Action::Tick => self.tick(),
            Action::Wait(length) => {
                self.passes(length);
                let _told = self.tells(EventKind::Wait, None, None, || format!("{} ms pass", length.0));
                Ok(true)
            }
            Action::Crash { unsynced, down } => self.crash(unsynced, down),
            Action::Clock(_) if self.left.clock == 0 => Ok(false),
            Action::Clock(by) => {
                self.left.clock -= 1;
                Ok(self.calendar(self.off.saturating_add(by)))
            }
            Action::ClockRight => Ok(self.is_wrong() && self.calendar(0)),
            Action::Full => Ok(self.fill()),
            Action::Room => {
                let _told = self.tells(EventKind::Full, None, Some("disk"), || "has room again".to_owned());
                Ok(std::mem::take(&mut self.is_full))
            }
        }
    }

    fn ask(&mut self, number: u8) -> Result<bool, Broken> {
        let index = usize::from(number);
        let scene = Arc::clone(&self.scene);
        let (Some(Ask { what, keyed }), Some(person)) = (scene.asks.get(index), self.people.get_mut(index)) else {
            return Ok(false);
        };
        let is_again = person.times > 0;
        if is_again && !person.lost {
            if !keyed || self.left.twice == 0 || person.times > 8 {
                return Ok(false);
            }
            self.left.twice -= 1;
        }
        if is_again && !keyed {
            return Ok(false);
        }
        if self.is_full {
            // Refused by the host before the engine hears of it.
            return Ok(false);
        }
        let caller = Caller(u64::from(number) | u64::from(person.times) << 8);
        let fresh = Fresh((u128::from(caller.0) + 1) << 64);
        self.coverage.hit_if(is_again && person.lost, CoveragePoint::AskedAgainAfterACrash);
        self.coverage.hit_if(is_again && !person.waiting.is_empty(), CoveragePoint::AskedAgainMeanwhile);
        if !is_again {
            person.asked_at = self.real;
        }
        (person.times, person.lost) = (person.times + 1, false);
        let is_again = person.first.is_some();
        let input = if let What::Cancel(of) = what {
            let of = self.people.get(usize::from(*of)).and_then(|person| person.started.last());
            let Some(of) = of.cloned() else { return Ok(false) };
            Input::Cancel(caller, of)
        } else {
            let call = what.call().expect("all others are calls");
            let digests = life::Key { scope: Digest([number; 16]), request: Digest([number; 16]) };
            let key = keyed.then(|| Key { name: format!("key-{number}"), digests });
            Input::Call(caller, Request { call, key, fresh, audit: None })
        };
        self.tells_ask(index, caller.0 >> 8 > 0);
        let before = self.disk.queue.len();
        let hurries = self.fault_points.hurries(&input);
        self.look_at_the_clock();
        self.engine.handle(input, self.now);
        let rests_on = self.as_they_are(what.tickets());
        if matches!(what, What::Process(_) | What::Send(_)) {
            // Under a key that is known it starts none.
            let own = CheckoutId::from_random(fresh.0);
            if self.engine.checkout(&own).is_some() {
                self.people[index].started.push(own);
            }
        }
        let about = self.people[index].started.last().cloned();
        self.people[index].waiting.push(Waits { caller, rests_on, is_again, about });
        self.take()?;
        if hurries && self.disk.queue.len() == before {
            self.engine.handle(Input::Stored(self.last_handed), self.now);
            self.take()?;
        }
        let waits = self.people[index].waiting.iter().any(|waits| waits.caller == caller);
        self.coverage.hit_if(waits && self.disk.queue.len() == before, CoveragePoint::WaitsForTheDisk);
        Ok(true)
    }

    /// Tickets as the engine has them now.
    fn as_they_are(&self, tickets: &[TicketId]) -> Vec<(TicketId, u64, TicketStatus)> {
        let as_it_is = |id: &TicketId| {
            let (version, status) = self.engine.seat_version(id);
            (id.clone(), version, status)
        };
        tickets.iter().map(as_it_is).collect()
    }

    pub(super) fn hand(&mut self, input: Input) -> Result<(), Broken> {
        self.look_at_the_clock();
        self.engine.handle(input, self.now);
        self.take()
    }

    /// Takes everything that the engine says, and looks at what it has changed.
    fn take(&mut self) -> Result<(), Broken> {
        while let Some(output) = self.engine.poll() {
            if !self.fault_points.passes(&output, self.crashes) {
                continue;
            }
            match output {
                Output::Store(seq, records) => self.stores(seq, records),
                Output::Answer(caller, answer) => self.is_answered(caller, &answer)?,
                Output::Watching(caller, _, view) => self.watches(caller, &view)?,
                Output::Seen(caller, picture) => self.is_answered(caller, &answer::seat_map(&picture))?,
                // The simulated people ask for no plan.
                Output::Plan(..) => {}
                Output::Bookings(caller, page, next) => {
                    self.is_answered(caller, &answer::bookings(&page, next.as_ref()))?;
                }
                Output::News(_, Shown::Changed(delta)) => {
                    for (id, status) in &delta.seats {
                        self.tells_news(|| format!("{id} is {status:?}"));
                    }
                    self.hears(&delta)?;
                }
                Output::News(_, Shown::Whole(view)) => self.sees_anew(&view)?,
                Output::Pay(op, payment) => {
                    self.is_stored_before_it_is_done(&op)?;
                    let payment = self.fault_points.payment(&op, payment, self.crashes);
                    self.performing.push((op, payment));
                }
                Output::Deliver(letter) => {
                    self.is_stored_before_it_is_sent(&letter)?;
                    self.delivering.push(letter);
                }
                Output::Filled(_) => {}
                Output::Alarm(why) => return Err(Broken::new("nothing_impossible_happens", why)),
            }
        }
        self.look_at_what_was_touched()
    }

    fn stores(&mut self, seq: Seq, records: Vec<Record>) {
        self.last_handed = seq;
        self.tells_batch(&records);
        for record in &records {
            match record {
                Record::Seat(_, id, _) => self.touched_tickets.push(id.clone()),
                Record::Checkout(record) => {
                    let checkout = record.checkout();
                    self.touched_checkouts.push(checkout.id().clone());
                    self.reset.extend(record.reset().iter().cloned());
                    if record.ended().is_some() && !self.ends.contains_key(checkout.id()) {
                        let rests_on = self.as_they_are(checkout.order().tickets());
                        let end = End { checkout: checkout.clone(), seq, rests_on };
                        self.see_the_end(&end);
                        self.ends.insert(checkout.id().clone(), end);
                    }
                    self.coverage
                        .hit_if(record.notification() == NotificationStatus::GivenUp, CoveragePoint::LetterParked);
                }
                Record::CheckoutForgotten(_) => self.coverage.hit(CoveragePoint::Forgotten),
                Record::Map(..)
                | Record::Beginning(_)
                | Record::Layout(..)
                | Record::Ended(..)
                | Record::LastWish(..)
                | Record::Account(..)
                | Record::AccountForgotten(_)
                | Record::Key(..)
                | Record::KeyForgotten(_)
                | Record::Audit(..) => {}
            }
        }
        self.disk.queue.push_back((seq, records));
    }

    fn look_at_what_was_touched(&mut self) -> Result<(), Broken> {
        let (mut tickets, mut checkouts) =
            (std::mem::take(&mut self.touched_tickets), std::mem::take(&mut self.touched_checkouts));
        let looked = self.holds_for(&tickets, &checkouts);
        tickets.clear();
        checkouts.clear();
        (self.touched_tickets, self.touched_checkouts) = (tickets, checkouts);
        looked
    }

    fn write(&mut self) -> Result<bool, Broken> {
        if self.is_full {
            return Ok(false);
        }
        let Some(seq) = self.disk.write(self.fault_points) else { return Ok(false) };
        let _told = self.tells(EventKind::Write, None, Some("disk"), || format!("writes batch {}", seq.0));
        if self.fault_points.trusts_what_is_not_synced() {
            self.hand(Input::Stored(seq))?;
        }
        Ok(true)
    }

    fn sync(&mut self) -> Result<bool, Broken> {
        if self.is_full {
            return Ok(false);
        }
        let Some((seq, count)) = self.disk.sync(self.fault_points) else { return Ok(false) };
        self.coverage.hit_if(count > 1, CoveragePoint::OneCommitForMany);
        let _told = self.tells(EventKind::Sync, None, Some("disk"), || format!("syncs {count}"));
        self.hand(Input::Stored(seq))?;
        Ok(true)
    }

    /// The gateway does as it is asked.
    fn ask_gateway(&mut self, payment: &Payment) -> PaymentAnswer {
        let Ok(reply) = booking_core::turn(&mut self.gateway, payment, self.now).stored();
        reply
    }

    fn pay(&mut self, nth: u8, how: How) -> Result<bool, Broken> {
        let index = usize::from(nth);
        let left = match how {
            How::Well => None,
            How::AnswerLost => Some(&mut self.left.lost),
            How::Unheard => Some(&mut self.left.silent),
            How::Twice => Some(&mut self.left.twice),
        };
        if index >= self.performing.len() || left.as_ref().is_some_and(|left| **left == 0) {
            return Ok(false);
        }
        left.into_iter().for_each(|left| *left -= 1);
        let (op, payment) = self.performing.remove(index);
        let answer = match how {
            How::Well => {
                let answer = self.ask_gateway(&payment);
                self.tells_payment(&op.checkout, &payment, &answer, None);
                answer
            }
            How::Twice => {
                let first = self.ask_gateway(&payment);
                self.tells_payment(&op.checkout, &payment, &first, Some("arrives twice"));
                self.hand(Input::Outcome(op.clone(), Outcome::Paid(first)))?;
                self.ask_gateway(&payment)
            }
            How::AnswerLost => {
                let _lost = self.ask_gateway(&payment);
                self.coverage.hit(CoveragePoint::LostAnswer);
                let unknown = payment.unanswered();
                self.tells_payment(&op.checkout, &payment, &unknown, Some("done, and the answer is lost"));
                unknown
            }
            How::Unheard => {
                let unknown = payment.unanswered();
                self.tells_payment(&op.checkout, &payment, &unknown, Some("not heard in time"));
                self.late.push(payment);
                unknown
            }
        };
        self.hand(Input::Outcome(op, Outcome::Paid(answer)))?;
        Ok(true)
    }

    fn arrive_late(&mut self, nth: u8) -> bool {
        let index = usize::from(nth);
        if index >= self.late.len() {
            return false;
        }
        let payment = self.late.remove(index);
        if let Payment::Authorize(request) = &payment
            && self.gateway.account(&request.key).is_some_and(|account| account.voided)
        {
            self.coverage.hit(CoveragePoint::LateAfterVoid);
        }
        let text = || format!("a late {} arrives", payment.name());
        if let Some(event) = self.tells(EventKind::Pay, None, Some("gateway"), text) {
            event.is_fault = true;
        }
        let _nobody_waits = self.ask_gateway(&payment);
        self.coverage.hit(CoveragePoint::AsksLate);
        true
    }

    fn deliver(&mut self, nth: u8, how: How) -> Result<bool, Broken> {
        let index = usize::from(nth);
        let fails = how != How::Well;
        if index >= self.delivering.len() || (fails && self.left.undelivered == 0) {
            return Ok(false);
        }
        self.left.undelivered -= u8::from(fails);
        let Notification { checkout, .. } = self.delivering.remove(index);
        if how != How::Unheard {
            self.told.letters.push(checkout.clone());
        } else if let Some(failed) = self.tried_in_vain(&checkout)
            && Some(failed + 1) >= self.scene.letter_attempts
        {
            // It may be given up and forgotten at once.
            self.told.given_up.push(checkout.clone());
        }
        self.coverage.hit_if(fails, CoveragePoint::LetterAgain);
        self.tells_letter(&checkout, how != How::Unheard);
        self.hand(Input::Delivered(checkout, !fails))?;
        Ok(true)
    }

    /// How often the engine has heard that a message did not arrive.
    fn tried_in_vain(&self, checkout: &CheckoutId) -> Option<u32> {
        match self.engine.checkout(checkout)?.notification() {
            NotificationStatus::Waiting { failed, .. } => Some(failed),
            NotificationStatus::None | NotificationStatus::Delivered | NotificationStatus::GivenUp => None,
        }
    }

    fn tick(&mut self) -> Result<bool, Broken> {
        let Some(at) = self.engine.wake_at() else { return Ok(false) };
        self.passes(Millis(at.as_millis().saturating_sub(self.now.as_millis())));
        self.has_no_cause();
        let _told = self.tells(EventKind::Timer, None, None, || "what is due".to_owned());
        let reserved = self.reserved();
        self.hand(Input::Tick)?;
        self.coverage.hit_if(self.reserved() < reserved, CoveragePoint::Lapsed);
        Ok(true)
    }

    /// How many of the scene's tickets are.
    fn reserved(&self) -> usize {
        let known = self.scene.tickets.iter().filter_map(|id| self.engine.ticket(id));
        known.filter(|ticket| ticket.state.hold().is_some()).count()
    }

    fn fill(&mut self) -> bool {
        if self.left.full == 0 || self.is_full {
            return false;
        }
        self.left.full -= 1;
        self.is_full = true;
        self.nobody_waits();
        self.coverage.hit(CoveragePoint::DiskFull);
        if let Some(event) = self.tells(EventKind::Full, None, Some("disk"), || "is full".to_owned()) {
            event.is_fault = true;
        }
        true
    }

    /// Every caller that waits, waits in vain.
    fn nobody_waits(&mut self) {
        for person in &mut self.people {
            person.lost |= !person.waiting.is_empty();
            person.waiting.clear();
        }
    }

    fn crash(&mut self, unsynced: Unsynced, down: Millis) -> Result<bool, Broken> {
        if self.left.crashes == 0 {
            return Ok(false);
        }
        self.left.crashes -= 1;
        self.see_the_crash();
        let lost = self.disk.crash(unsynced, self.fault_points);
        self.coverage.hit_if(lost.gone > 0, CoveragePoint::CrashLosesBatches);
        self.coverage.hit_if(lost.kept > 0, CoveragePoint::CrashKeepsByLuck);
        self.coverage.hit_if(lost.torn, CoveragePoint::CrashTears);
        self.coverage.hit_if(self.crashes > 0, CoveragePoint::CrashAgain);
        let durable = std::mem::take(&mut self.disk.last);
        self.ends.retain(|_, end| end.seq <= durable);
        self.ends.values_mut().for_each(|end| end.seq = Seq(0));
        self.crashes += 1;
        let text = || format!("crash: {} not synced are lost, {} kept, down {} ms", lost.gone, lost.kept, down.0);
        if let Some(event) = self.tells(EventKind::Crash, None, None, text) {
            event.is_fault = true;
            event.detail = lost.torn.then(|| "what was written last is torn".to_owned()).into_iter().collect();
        }
        self.has_no_cause();
        self.nobody_waits();
        self.watcher = None;
        self.delivering.clear();
        self.late.extend(self.performing.drain(..).map(|(_, payment)| payment));
        self.is_full = false;
        self.last_handed = Seq(0);
        // A host that starts has nothing but the calendar to go by: it has to be right then.
        self.keeps &= self.now == self.real;
        self.off = 0;
        self.real = self.real.plus(down);
        (self.started, self.belief, self.now) = (self.real, Belief::new(self.real), self.real);
        let records = self.fault_points.restored(self.disk.durable.values().cloned().collect());
        self.engine = Engine::restore(self.settings.clone(), records, self.now);
        self.tells_what_is_left();
        let tickets = self.engine.maps().values().flat_map(|map| map.tickets());
        let has_lapsed = tickets.filter_map(|(_, ticket)| ticket.state.hold()).any(|hold| hold.end() <= self.now);
        self.coverage.hit_if(has_lapsed && down.0 > 0, CoveragePoint::LapsedWhileDown);
        self.what_was_told_is_still_so()?;
        for person in &mut self.people {
            person.started.retain(|id| self.engine.checkout(id).is_some() || self.ends.contains_key(id));
        }
        self.take()?;
        Ok(true)
    }
}
