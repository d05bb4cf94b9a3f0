//! The smallest host there is: everything in memory, one thing at a time, time by hand.
//!
//! It does with `BTreeMap`s what a real host does with a database, queues and timers, in the same places. Use it in
//! examples and tests, and read it before you write a host of your own (`docs/HOSTS.md`). It keeps nothing through a
//! crash of the process; a crash of a *checkout* is dropping the future of [`crate::journal::run`].

use std::collections::{BTreeMap, BTreeSet};

use crate::checkout::{Checkout, Impossible};
use crate::effect::{Effect, Notification, Op, Outcome};
use crate::format;
use crate::ids::{MapKey, PaymentKey, TicketId};
use crate::inventory::{Line, LineAnswer, LineCommand, of_map};
use crate::journal::{Entry, Executor, Journal, Journaled};
use crate::machine::turn;
use crate::map::ticket::{Offer, Ticket};
use crate::map::{SeatMap, SeatMapCommand, SeatMapRefusal, SeatMapReply, Seats};
use crate::payment::{Ledger, Payment, PaymentAnswer};
use crate::terms::Terms;
use crate::time::Timestamp;

/// Seat maps and their timers, a mock gateway and a mailbox.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// What this host is set to.
    pub terms: Terms,
    now: Timestamp,
    maps: BTreeMap<MapKey, SeatMap>,
    timers: BTreeSet<(Timestamp, MapKey)>,
    ledger: Ledger,
    mailbox: BTreeMap<PaymentKey, Notification>,
}

impl Memory {
    /// An empty house at a point in time.
    #[must_use]
    pub fn new(now: Timestamp, terms: Terms) -> Self {
        Self { now, terms, ..Self::default() }
    }

    /// What time it is here.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A seat as last recorded; a seat that no command has named is on sale.
    #[must_use]
    pub fn ticket(&self, ticket: &TicketId) -> Ticket {
        let stored = self.maps.get(ticket.map_str()).and_then(|map| map.ticket(ticket));
        stored.cloned().unwrap_or_default()
    }

    /// Every seat of which anything is recorded.
    pub fn tickets(&self) -> impl Iterator<Item = (&TicketId, &Ticket)> {
        self.maps.values().flat_map(SeatMap::tickets)
    }

    /// Every map that was ever asked anything.
    #[must_use]
    pub fn maps(&self) -> &BTreeMap<MapKey, SeatMap> {
        &self.maps
    }

    /// The mock gateway's ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What was handed over for buyers, each message once.
    #[must_use]
    pub fn mailbox(&self) -> &BTreeMap<PaymentKey, Notification> {
        &self.mailbox
    }

    /// Whether timers are still armed.
    #[must_use]
    pub fn has_timers(&self) -> bool {
        !self.timers.is_empty()
    }

    /// Lets time pass, and fires each timer that is due on the way, in order. Time never goes back.
    pub fn advance_to(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.timers.first()
            && *at <= now
        {
            let (due, map) = self.timers.pop_first().expect("just looked at");
            self.now = self.now.max(due);
            let _never_refused = self.ask(&map, &SeatMapCommand::Expire { due });
        }
        self.now = self.now.max(now);
    }

    /// Sends a map a command.
    ///
    /// # Errors
    /// The map's refusal.
    pub fn ask(&mut self, key: &MapKey, command: &SeatMapCommand) -> Result<SeatMapReply, SeatMapRefusal> {
        let state = match self.maps.get_mut(key) {
            Some(state) => state,
            None => self.maps.entry(key.clone()).or_default(),
        };
        let turn = turn(state, command, self.now);
        // A host with a disk stores `turn.event()` here, if there is one, together with the timer.
        if let Some(due) = turn.notices().timer {
            self.timers.insert((due, key.clone()));
        }
        // This host has no watchers.
        let outcome = turn.stored();
        if self.maps.get(key).is_some_and(|map| map.wants_reset(&self.terms)) {
            let _never_refused = self.ask(key, &SeatMapCommand::ResetAll);
        }
        outcome
    }

    /// What these seats of a map cost.
    #[must_use]
    pub fn offer(&self, map: &MapKey, seats: &Seats) -> Offer {
        let default_price = self.terms.default_price();
        match self.maps.get(map) {
            Some(map) => map.offer(seats, default_price, Terms::ROOM),
            None => SeatMap::default().offer(seats, default_price, Terms::ROOM),
        }
    }

    /// What a checkout asks for a line of its order.
    fn ask_line(&mut self, line: &Line, command: &LineCommand) -> LineAnswer {
        let command = line.ask(command, |seats| self.offer(&line.at, seats));
        of_map(self.ask(&line.at, &command))
    }

    /// Asks the mock gateway.
    pub fn ask_gateway(&mut self, command: &Payment) -> PaymentAnswer {
        let Ok(reply) = turn(&mut self.ledger, command, self.now).stored();
        reply
    }

    /// Performs one effect of a checkout. Sleeping lets time pass.
    pub fn perform(&mut self, effect: Effect) -> Outcome {
        match effect {
            Effect::Line(line, command) => Outcome::Line(self.ask_line(&line, &command)),
            Effect::Pay(payment) => Outcome::Paid(self.ask_gateway(&payment)),
            Effect::Sleep(length) => {
                self.advance_to(self.now.plus(length));
                Outcome::Slept { at: self.now }
            }
            Effect::Notify(notification) => {
                self.mailbox.insert(notification.key.clone(), notification);
                Outcome::Notified
            }
        }
    }
}

/// The journal of one checkout on a [`Memory`]: a list of lines. What a real host keeps on a disk.
#[derive(Clone, Debug, Default)]
pub struct Log {
    entries: Vec<Entry>,
}

impl Log {
    /// The journal of a checkout that starts now.
    #[must_use]
    pub fn start(checkout: &Checkout) -> Self {
        let mut entries = Vec::with_capacity(8);
        entries.push(Entry::Started(Box::new(checkout.clone())));
        Self { entries }
    }

    /// What is recorded, in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Its lines in their stored form.
    pub fn lines(&self) -> impl Iterator<Item = Vec<u8>> {
        self.entries.iter().map(format::write)
    }

    /// The recorded outcome of an effect.
    #[must_use]
    pub fn outcome(&self, op: &Op) -> Option<&Outcome> {
        self.entries.iter().find_map(|entry| match entry {
            // What differs most often comes first.
            Entry::Ended { op: ended, outcome } if (ended.step, ended.index) == (op.step, op.index) && ended == op => {
                Some(outcome)
            }
            Entry::Ended { .. } | Entry::Started(_) | Entry::Cancelled { .. } => None,
        })
    }

    /// Whether a cancel was recorded during a step.
    #[must_use]
    pub fn is_cancelled(&self, during: u32) -> bool {
        self.entries.iter().any(|entry| matches!(entry, Entry::Cancelled { step } if *step == during))
    }

    /// Records a line.
    pub fn record(&mut self, entry: Entry) {
        self.entries.push(entry);
    }
}

impl Journal for &mut Log {
    type Error = Impossible;

    async fn recorded(&mut self, op: &Op) -> Result<Option<Outcome>, Impossible> {
        Ok(self.outcome(op).cloned())
    }

    async fn record(&mut self, op: &Op, outcome: Outcome) -> Result<Outcome, Impossible> {
        Log::record(self, Entry::Ended { op: op.clone(), outcome: outcome.clone() });
        Ok(outcome)
    }

    async fn is_cancelled(&mut self, step: u32) -> Result<bool, Impossible> {
        Ok(Log::is_cancelled(self, step))
    }
}

impl Executor for &mut Memory {
    type Error = Impossible;

    async fn perform(&mut self, _: &Op, effect: Effect) -> Result<Outcome, Impossible> {
        Ok(Memory::perform(self, effect))
    }
}

impl Memory {
    /// This host with the journal of one checkout: what [`crate::journal::run`] runs it over.
    pub fn journaled<'a>(&'a mut self, log: &'a mut Log) -> Journaled<&'a mut Log, &'a mut Self> {
        Journaled { journal: log, executor: self }
    }
}
