//! An engine by itself: no runtime, no clock, a disk that is a table, and crashes wherever they are wanted.

use std::collections::{BTreeMap, VecDeque};

use booking_core::checkout::Checkout;
use booking_core::effect::{Notification, Op, Outcome};
use booking_core::ids::{CheckoutId, PaymentKey, TicketId};
use booking_core::invariants::{AccountFacts, SeatFacts, System, check};
use booking_core::life::{self, Digest};
use booking_core::map::SeatMap;
use booking_core::payment::{Ledger, Payment, PaymentAnswer};
use booking_core::terms::{Retry, Terms};
use booking_core::time::{Millis, Timestamp};
use booking_core::wire::audit::AuditEntry;
use booking_core::wire::{Answer, Door, answer, parse, route};
use host_axum_sim::engine::{Caller, Engine, Fresh, Gateway, Input, Key, Notifier, Output, Request, Settings, Stats};
use host_axum_sim::store::{Record, Seq};

pub(crate) const START: u64 = 1_700_000_000_000;

/// An engine, its disk, its gateway, and everybody who has asked it something.
pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) settings: Settings,
    pub(crate) now: Timestamp,
    /// What is stored: the last record of each name.
    pub(crate) disk: BTreeMap<String, Record>,
    /// What is to be stored.
    pub(crate) batches: VecDeque<(Seq, Vec<Record>)>,
    pub(crate) performing: Vec<(Op, Payment)>,
    pub(crate) delivering: Vec<Notification>,
    pub(crate) answers: BTreeMap<Caller, Answer>,
    pub(crate) gateway: Ledger,
    pub(crate) news: usize,
    pub(crate) warnings: Vec<&'static str>,
    pub(crate) asked: u64,
}

pub(crate) fn name(record: &Record) -> String {
    match record {
        Record::Map(map, _) => format!("map {map}"),
        Record::Beginning(_) => "beginning".to_owned(),
        Record::Layout(map, _) => format!("layout {map}"),
        Record::Seat(_, ticket, _) => format!("ticket {ticket}"),
        Record::Ended(map, checkout, _) => format!("ended {map} {checkout}"),
        Record::LastWish(map, hold, _) => format!("last_wish {map} {}", hold.as_str()),
        Record::Checkout(checkout) => format!("checkout {}", checkout.checkout().id()),
        Record::CheckoutForgotten(id) => format!("checkout {id}"),
        Record::Account(key, _) | Record::AccountForgotten(key) => format!("account {key}"),
        Record::Key(Digest(scope), _) | Record::KeyForgotten(Digest(scope)) => format!("key {scope:?}"),
        Record::Audit(n, _) => format!("audit {n}"),
    }
}

pub(crate) fn forgets(record: &Record) -> bool {
    record.is_forgotten()
}

impl Rig {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            engine: Engine::new(settings.clone()),
            settings,
            now: Timestamp::from_millis(START),
            disk: BTreeMap::new(),
            batches: VecDeque::new(),
            performing: Vec::new(),
            delivering: Vec::new(),
            answers: BTreeMap::new(),
            gateway: Ledger::default(),
            news: 0,
            warnings: Vec::new(),
            asked: 0,
        }
    }

    pub(crate) fn hand(&mut self, input: Input) {
        self.engine.handle(input, self.now);
        self.take();
    }

    pub(crate) fn take(&mut self) {
        while let Some(output) = self.engine.poll() {
            match output {
                Output::Store(seq, records) => {
                    // As it would come back from a disk.
                    let stored = records
                        .iter()
                        .map(|record| booking_core::format::read(&booking_core::format::write(record)).unwrap());
                    self.batches.push_back((seq, stored.collect()));
                }
                Output::Answer(caller, answer) => {
                    assert_eq!(self.answers.insert(caller, answer), None, "one answer to each");
                }
                Output::Seen(caller, picture) => drop(self.answers.insert(caller, answer::seat_map(&picture))),
                Output::Bookings(caller, page, next) => {
                    drop(self.answers.insert(caller, answer::bookings(&page, next.as_ref())));
                }
                Output::Watching(..) | Output::Plan(..) | Output::News(..) => self.news += 1,
                Output::Pay(op, payment) => self.performing.push((op, payment)),
                Output::Deliver(letter) => self.delivering.push(letter),
                Output::Filled(filled) => self.warnings.push(filled.what),
                Output::Alarm(alarm) => panic!("{alarm}"),
            }
        }
    }

    /// The disk is done with the oldest batch.
    pub(crate) fn store(&mut self) {
        let Some((seq, records)) = self.batches.pop_front() else { return };
        for record in records {
            if forgets(&record) {
                self.disk.remove(&name(&record));
            } else {
                self.disk.insert(name(&record), record);
            }
        }
        self.hand(Input::Stored(seq));
    }

    pub(crate) fn store_all(&mut self) {
        while !self.batches.is_empty() {
            self.store();
        }
    }

    /// Everything but the disk and the gateway is lost.
    pub(crate) fn crash(&mut self) {
        self.batches.clear();
        self.performing.clear();
        self.delivering.clear();
        let records: Vec<Record> = self.disk.values().cloned().collect();
        self.engine = Engine::restore(self.settings.clone(), records, self.now);
        self.take();
    }

    pub(crate) fn call(&mut self, door: Door, method: &str, path: &str, body: &str, key: Option<(u8, u8)>) -> Caller {
        self.asked += 1;
        let call = parse(door, method, path, body.as_bytes()).unwrap();
        let handler = route(door, method, path).unwrap().handler;
        let audit = handler.is_audited().then(|| Box::new(AuditEntry::new("box office", handler, &call, self.now)));
        let key = key.map(|(scope, request)| Key {
            name: format!("key-{scope}"),
            digests: life::Key { scope: Digest([scope; 16]), request: Digest([request; 16]) },
        });
        let caller = Caller(self.asked);
        self.hand(Input::Call(caller, Request { call, key, fresh: Fresh(u128::from(self.asked)), audit }));
        caller
    }

    pub(crate) fn post(&mut self, path: &str, body: &str) -> Caller {
        self.call(Door::Admin, "POST", path, body, None)
    }

    /// Asks, stores, and gives the answer.
    pub(crate) fn asks(&mut self, path: &str, body: &str) -> Answer {
        let caller = self.post(path, body);
        self.store_all();
        self.answers[&caller].clone()
    }

    /// The gateway answers the oldest question.
    pub(crate) fn pay(&mut self) {
        if self.performing.is_empty() {
            return;
        }
        let (op, payment) = self.performing.remove(0);
        let answer = self.ask_gateway(&payment);
        self.hand(Input::Outcome(op, Outcome::Paid(answer)));
    }

    pub(crate) fn ask_gateway(&mut self, payment: &Payment) -> PaymentAnswer {
        booking_core::turn(&mut self.gateway, payment, self.now).stored().unwrap()
    }

    pub(crate) fn pass(&mut self, millis: u64) {
        self.now = self.now.plus(Millis(millis));
        self.hand(Input::Tick);
    }

    /// Until nothing more happens by itself.
    pub(crate) fn rest(&mut self) {
        for _ in 0..100_000 {
            self.store_all();
            if !self.performing.is_empty() {
                self.pay();
            } else if let Some(letter) = self.delivering.pop() {
                self.hand(Input::Delivered(letter.checkout, true));
            } else if self.engine.is_at_rest() {
                return;
            } else {
                let at = self.engine.wake_at().expect("something is to happen");
                self.now = self.now.max(at);
                self.hand(Input::Tick);
            }
        }
        panic!("it never comes to rest");
    }

    /// What must always hold, holds.
    pub(crate) fn check(&self, at_rest: bool) {
        let checkouts =
            self.engine.checkouts().map(|checkout| checkout.checkout()).map(|it| (it.id().clone(), it.clone()));
        let ledger = match self.settings.gateway {
            Gateway::Mock { .. } => self.engine.ledger(),
            Gateway::Outside => &self.gateway,
        };
        let engine = &self.engine;
        check(&Seen { engine, checkouts: checkouts.collect(), ledger, at_rest }).unwrap();
    }

    /// The numbers that follow from what is stored.
    pub(crate) fn lasting(&self) -> Stats {
        let stats = self.engine.stats(self.now);
        let stats = Stats { endings: BTreeMap::new(), holds_lapsed: 0, payment_retries: 0, ..stats };
        Stats { notifications_parked: 0, unstored: 0, timers: 0, timers_due: 0, ..stats }
    }
}

/// The engine, as the properties look at it.
struct Seen<'a> {
    engine: &'a Engine,
    checkouts: BTreeMap<CheckoutId, Checkout>,
    ledger: &'a Ledger,
    at_rest: bool,
}

impl System for Seen<'_> {
    fn tickets(&self) -> Box<dyn Iterator<Item = (&TicketId, SeatFacts<'_>)> + '_> {
        Box::new(self.engine.maps().values().flat_map(SeatMap::tickets).map(|(id, ticket)| (id, ticket.into())))
    }
    fn checkouts(&self) -> Box<dyn Iterator<Item = &Checkout> + '_> {
        Box::new(self.checkouts.values())
    }
    fn ticket(&self, id: &TicketId) -> Option<SeatFacts<'_>> {
        self.engine.ticket(id).map(SeatFacts::from)
    }
    fn checkout(&self, id: &CheckoutId) -> Option<&Checkout> {
        self.checkouts.get(id)
    }
    fn account(&self, checkout: &CheckoutId) -> Option<AccountFacts<'_>> {
        self.ledger.account(&PaymentKey::authorize(checkout)).map(AccountFacts::from)
    }
    fn accounts(&self) -> Box<dyn Iterator<Item = (&PaymentKey, AccountFacts<'_>)> + '_> {
        Box::new(self.ledger.accounts().map(|(key, account)| (key, account.into())))
    }
    fn is_reset(&self, _ticket: &TicketId) -> bool {
        false
    }
    fn is_told(&self, _checkout: &CheckoutId) -> Option<bool> {
        // Each test looks at the messages that it expects.
        None
    }
    fn is_at_rest(&self) -> bool {
        self.at_rest
    }
}

pub(crate) fn at_once() -> Settings {
    Settings { gateway: Gateway::Mock { delay: Millis(0) }, ..Settings::default() }
}

pub(crate) fn outside() -> Settings {
    Settings { gateway: Gateway::Outside, notifier: Notifier::Outside, terms: thrice(), ..Settings::default() }
}

/// Terms on which a message is tried three times.
pub(crate) fn thrice() -> Terms {
    let terms = Terms::default();
    Terms { notify_retry: Retry { attempts: 3, ..terms.notify_retry }, ..terms }
}

pub(crate) fn order(tickets: &[&str], card: &str) -> String {
    serde_json::json!({ "ticketIds": tickets, "userId": "ann", "paymentMethodId": card }).to_string()
}

/// A layout of the map `hall`.
pub(crate) fn a_thousand_seats() -> String {
    let seat = |n: u32| {
        let price = serde_json::json!({ "minor": 5, "currency": "USD" });
        serde_json::json!({ "ticketId": format!("hall:{n}"), "price": price, "x": n, "y": 0 })
    };
    let seats: Vec<_> = (0..1_000).map(seat).collect();
    serde_json::json!({ "rows": [{ "name": "A", "seats": seats }] }).to_string()
}
