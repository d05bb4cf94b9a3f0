//! What an engine promises to everybody outside of it, through every crash, beside what [`booking_core::invariants`] says
//! of tickets, checkouts and money: it says, sends and shows nothing before that is stored for good, and what it said stays.

use std::collections::BTreeMap;

use booking_core::checkout::{Checkout, Ending, Failure, Stage};
use booking_core::effect::{Notification, Op};
use booking_core::ids::{CheckoutId, PaymentKey, TicketId, UserId};
use booking_core::invariants::{AccountFacts, SeatFacts, System, Violation, check, check_checkout, check_ticket};
use booking_core::life::{CheckoutRecord, NotificationStatus};
use booking_core::map::ticket::TicketStatus;
use booking_core::map::{Delta, Picture, SeatMap};
use booking_core::wire::{Answer, Call, Kind, TicketCall, watch};

use super::coverage::CoveragePoint;
use super::scene::{What, map};
use super::world::{End, Waits, Watcher, World, layout};
use crate::engine::{Caller, Engine, Fresh, Gateway, Input, Output, Request};
use crate::store::Record;

/// A promise that is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{promise} is broken: {what}")]
pub struct Broken {
    /// Its name.
    pub promise: &'static str,
    /// What was seen. Never has a hold id in it.
    pub what: String,
}

impl Broken {
    pub(super) fn new(promise: &'static str, what: impl Into<String>) -> Self {
        Self { promise, what: what.into() }
    }
}

impl From<Violation> for Broken {
    fn from(violation: Violation) -> Self {
        Self { promise: violation.property, what: violation.what }
    }
}

fn require(holds: bool, promise: &'static str, what: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken::new(promise, what())) }
}

const TOO_SOON: &str = "nothing_is_said_too_soon";

impl World {
    /// Looks at everything that the last input has touched.
    pub(super) fn holds_for(&self, tickets: &[TicketId], checkouts: &[CheckoutId]) -> Result<(), Broken> {
        for id in tickets {
            check_ticket(self, id, self.ticket(id).unwrap_or_default())?;
        }
        for id in checkouts {
            if let Some(checkout) = self.checkout(id) {
                check_checkout(self, checkout)?;
            }
        }
        Ok(())
    }

    fn durable_course(&self, id: &CheckoutId) -> Option<&CheckoutRecord> {
        self.disk.get(&[b"c", id.as_str().as_bytes()].concat()).and_then(Record::checkout)
    }

    /// What an answer says of tickets is stored for good. From now on it counts as told.
    fn is_there_for_good(&mut self, rests_on: &[(TicketId, u64, TicketStatus)]) -> Result<(), Broken> {
        for (id, version, status) in rests_on {
            // The map's version is stored with each change of a seat.
            let durable = self.durable_map_version(id.map_str());
            require(durable >= *version, TOO_SOON, || {
                format!("an answer rests on version {version} of {id}, and the disk has version {durable}")
            })?;
            match self.told.tickets.iter_mut().find(|(told, _, _)| told == id) {
                Some((_, told, was)) if *told < *version => (*told, *was) = (*version, *status),
                Some(_) => {}
                None => self.told.tickets.push((id.clone(), *version, *status)),
            }
        }
        Ok(())
    }

    pub(super) fn is_answered(&mut self, caller: Caller, answer: &Answer) -> Result<(), Broken> {
        let index = usize::try_from(caller.0 & 0xff).unwrap_or(usize::MAX);
        let scene = std::sync::Arc::clone(&self.scene);
        let person = self.people.get_mut(index);
        let place = person.as_ref().and_then(|person| person.waiting.iter().position(|it| it.caller == caller));
        // Who gave up waiting hears nothing any more.
        let Some((person, place)) = person.zip(place) else { return Ok(()) };
        let Waits { rests_on, is_again, about, .. } = person.waiting.remove(place);
        let asked_at = person.asked_at;
        self.tells_answer(index, answer, about.as_ref());
        let ask = &scene.asks[index];
        let is_booking = matches!(ask.what, What::Process(_) | What::Send(_));
        if is_booking {
            self.is_booking_answered(about.as_ref(), answer)?;
        } else {
            self.is_there_for_good(&rests_on)?;
            self.coverage.hit_if(answer.status == 409, CoveragePoint::TurnedAway);
        }
        let is_worth_a_key = !matches!(ask.what, What::Get(_) | What::Watch | What::Cancel(_));
        let is_final = answer.kind.is_none_or(booking_core::wire::Kind::is_kept_for_its_key)
            && (answer.status != 202 || matches!(ask.what, What::Send(_)));
        // The host keeps it for as long as has elapsed, and does not go by the calendar.
        let is_kept = self.real < asked_at.plus(self.settings().keep_for) && self.keeps;
        if ask.keyed && is_worth_a_key && is_final && is_kept {
            let person = &mut self.people[index];
            match &person.first {
                None => person.first = Some(answer.clone()),
                Some(first) => {
                    let (status, again) = (first.status, answer.status);
                    require(is_the_same(first, answer), "the_first_answer_comes_again", || {
                        format!("ask {index} was answered {status}, and again under the same key {again}, otherwise")
                    })?;
                    self.coverage.hit_if(is_again, CoveragePoint::ToldAgain);
                }
            }
        }
        Ok(())
    }

    /// What an answer says of a checkout is stored for good.
    fn is_booking_answered(&mut self, about: Option<&CheckoutId>, answer: &Answer) -> Result<(), Broken> {
        if answer.status == 202 {
            let told = about.filter(|id| answer.body.contains(id.as_str()));
            let Some(id) = told.cloned() else {
                return Err(Broken::new("an_answer_is_about_what_was_asked", "202 for a checkout of somebody else's"));
            };
            let is_there = self.durable_course(&id).is_some() || self.engine.checkout(&id).is_none();
            require(is_there, TOO_SOON, || format!("{id} was said to be under way, and the disk does not know it"))?;
            self.told.accepted.push(id);
            self.coverage.hit(CoveragePoint::AnsweredMeanwhile);
            return Ok(());
        }
        let is_booked = |end: &End| matches!(end.checkout.ending(), Some(Ending::Completed { .. }));
        let end = about.and_then(|id| self.ends.get(id));
        let is_right = end.map_or(answer.status != 200, |end| is_booked(end) == (answer.status == 200));
        require(is_right, "an_answer_is_about_what_was_asked", || {
            format!("{about:?} is told to have ended with {}", answer.status)
        })?;
        let Some(id) = about.cloned() else { return Ok(()) };
        let rests_on = end.map(|End { rests_on, .. }| rests_on.clone());
        let durable =
            self.durable_course(&id).map(|record| (record.progress().told().is_some(), record.ended().is_some()));
        // One that is not there any more was forgotten meanwhile.
        let (is_told, has_ended) = durable.unwrap_or_else(|| (self.engine.checkout(&id).is_none(), false));
        require(is_told, TOO_SOON, || format!("the end of {id} was told, and the disk does not know it"))?;
        self.coverage.hit_if(durable.is_some() && !has_ended, CoveragePoint::ToldWhileLettingGo);
        if let Some(rests_on) = rests_on.filter(|_| has_ended) {
            self.is_there_for_good(&rests_on)?;
        }
        if answer.status == 200 {
            self.told.confirmed.push(id);
            self.coverage.hit(CoveragePoint::Confirmed);
        } else {
            self.told.failed.push(id);
        }
        Ok(())
    }

    pub(super) fn watches(&mut self, caller: Caller, view: &Picture) -> Result<(), Broken> {
        for person in &mut self.people {
            person.waiting.retain(|waits| waits.caller != caller);
        }
        self.coverage.hit_if(self.crashes > 0 && self.told.map_version > 0, CoveragePoint::WatchedAgain);
        self.sees_anew(view)
    }

    /// A watcher is shown the whole map.
    pub(super) fn sees_anew(&mut self, view: &Picture) -> Result<(), Broken> {
        let (told, version) = (self.told.map_version, view.version());
        require(version >= told, "versions_go_on", || {
            format!("a watcher was at version {told} of the map, and is shown version {version}")
        })?;
        let durable = self.durable_map_version(map().as_str());
        require(version <= durable, TOO_SOON, || {
            format!("version {version} of the map is shown, and the disk has version {durable}")
        })?;
        self.told.map_version = version;
        self.watcher = Some(Watcher { version, shown: shown_by(view) });
        Ok(())
    }

    fn durable_map_version(&self, map: &str) -> u64 {
        match self.disk.get(&[b"m", map.as_bytes()].concat()) {
            Some(Record::Map(_, Some(header))) => header.version,
            _ => 0,
        }
    }

    /// A watcher hears of a change.
    pub(super) fn hears(&mut self, delta: &Delta) -> Result<(), Broken> {
        let durable = self.durable_map_version(map().as_str());
        let Some(watcher) = &mut self.watcher else { return Ok(()) };
        let (last, next) = (watcher.version, delta.version);
        require(next == last + 1, "versions_go_on", || {
            format!("a watcher was at version {last} of the map, and hears of version {next}")
        })?;
        watcher.version = next;
        watcher.shown.extend(delta.seats.iter().cloned());
        self.told.map_version = self.told.map_version.max(next);
        require(durable >= next, TOO_SOON, || {
            format!("version {next} of the map is told, and the disk has version {durable}")
        })
    }

    pub(super) fn is_stored_before_it_is_done(&self, op: &Op) -> Result<(), Broken> {
        let step = self.durable_course(&op.checkout).map(|record| record.checkout().step());
        require(step.is_some_and(|step| step >= op.step), "nothing_is_done_too_soon", || {
            format!("the gateway is asked for {op}, and the disk has step {step:?}")
        })
    }

    pub(super) fn is_stored_before_it_is_sent(&self, letter: &Notification) -> Result<(), Broken> {
        let is_booked = self.durable_course(&letter.checkout).is_some_and(|record| record.ended().is_some());
        require(is_booked, "nothing_is_done_too_soon", || {
            format!("the buyer of {} is told, and the disk has no booking of it", letter.checkout)
        })
    }

    /// After a crash: nobody was told anything that is not so any more.
    pub(super) fn what_was_told_is_still_so(&self) -> Result<(), Broken> {
        const STAYS: &str = "what_was_told_stays";
        for (id, version, status) in &self.told.tickets {
            let now = self.engine.seat_version(id);
            let is_so = now.0 > *version || now == (*version, *status) || *version == 0;
            require(is_so, STAYS, || {
                format!("{id} was told to be {status:?} at version {version}, and is {now:?} after a crash")
            })?;
        }
        let gone = self.told.confirmed.iter().chain(&self.told.accepted).find(|id| self.checkout(id).is_none());
        require(gone.is_none(), STAYS, || format!("{gone:?} was told of, and nothing knows it after a crash"))?;
        let not_booked = self.told.confirmed.iter().find(|id| {
            let checkout = self.checkout(id);
            !matches!(checkout.and_then(Checkout::ending), Some(Ending::Completed { .. }))
        });
        require(not_booked.is_none(), STAYS, || format!("{not_booked:?} was booked, and is not after a crash"))?;
        check(self)?;
        Ok(())
    }

    /// When nothing is under way any more.
    pub(super) fn is_well_at_rest(&mut self) -> Result<(), Broken> {
        check(self)?;
        let waits = self.people.iter().position(|person| !person.waiting.is_empty());
        require(waits.is_none(), "everybody_is_answered", || format!("ask {waits:?} still waits for an answer"))?;
        if let Some(watcher) = &self.watcher
            && let Some(map) = self.engine.maps().get(map().as_str())
        {
            let is = map.get(self.now).map(|(id, status)| (id.clone(), status));
            let is: BTreeMap<TicketId, TicketStatus> = is.collect();
            // Without a layout, a seat that is as it was at first is not listed.
            let shown =
                watcher.shown.iter().filter(|(id, status)| is.contains_key(*id) || **status != TicketStatus::Available);
            require(shown.eq(is.iter()), "watchers_see_what_is", || {
                format!("a watcher sees {:?}, and the map is {is:?}", watcher.shown)
            })?;
        }
        let is_booked =
            |id: &&CheckoutId| matches!(self.checkout(id).and_then(Checkout::ending), Some(Ending::Completed { .. }));
        let booked = self.told.failed.iter().find(is_booked);
        require(booked.is_none(), "what_was_told_stays", || {
            format!("{booked:?} was told to have failed, and is booked")
        })?;
        let sold = |id: &TicketId| self.engine.ticket(id).is_some_and(|ticket| ticket.state.sale().is_some());
        let is_sold_out = self.scene.tickets.iter().all(sold);
        self.coverage.hit_if(is_sold_out, CoveragePoint::SoldOut);
        Ok(())
    }

    /// What is stored is all there is: an engine that is made of it is the same.
    pub(super) fn is_all_stored(&self) -> Result<(), Broken> {
        const ALL: &str = "what_is_stored_is_all_there_is";
        let records = self.disk.durable.values().cloned();
        let restored = Engine::restore(self.settings().clone(), records, self.now);
        let same = restored.maps() == self.engine.maps();
        require(same, ALL, || format!("maps {:?} are stored as {:?}", self.engine.maps(), restored.maps()))?;
        require(restored.checkouts().eq(self.engine.checkouts()), ALL, || {
            let ids = |engine: &Engine| {
                let ids = engine.checkouts().map(|record| record.checkout().id().as_str().to_owned());
                ids.collect::<Vec<String>>()
            };
            format!("checkouts {:?} are stored as {:?}, or otherwise", ids(&self.engine), ids(&restored))
        })?;
        let same = restored.ledger() == self.engine.ledger();
        require(same, ALL, || format!("the ledger {:?} is stored as {:?}", self.engine.ledger(), restored.ledger()))?;
        let (is, stored) = (self.engine.stats(self.now), restored.stats(self.now));
        require((is.kept, is.kept_bytes) == (stored.kept, stored.kept_bytes), ALL, || {
            format!(
                "{} things of {} bytes are kept, and {} of {} stored",
                is.kept, is.kept_bytes, stored.kept, stored.kept_bytes
            )
        })
    }

    /// Each seat that is free can be held, also after a clock was ahead.
    pub(super) fn is_free_to_be_had(&mut self) -> Result<(), Broken> {
        let records = self.disk.durable.values().cloned();
        let mut engine = Engine::restore(self.settings().clone(), records, self.now);
        let is_ahead = engine.maps().values().any(|map| map.header().at > self.now);
        self.coverage.hit_if(is_ahead, CoveragePoint::MapAhead);
        for (number, ticket) in (1..).zip(&self.scene.tickets) {
            let is_free = engine.seat_version(ticket).1 == TicketStatus::Available;
            if !is_free {
                continue;
            }
            let user = UserId::parse(&format!("late-{number}")).expect("a good id");
            let call = TicketCall::Reserve { user, hold: None, nth: None, ttl: None };
            let request =
                Request { call: Call::Ticket(ticket.clone(), call), key: None, fresh: Fresh(number), audit: None };
            engine.handle(Input::Call(Caller(0), request), self.now);
            let mut said = None;
            while let Some(output) = engine.poll() {
                if let Output::Store(seq, _) = output {
                    engine.handle(Input::Stored(seq), self.now);
                } else if let Output::Answer(_, answer) = output {
                    said = Some(answer.kind);
                }
            }
            let is_had = match said {
                Some(None | Some(Kind::Overloaded | Kind::RateLimited | Kind::TicketNotForSale)) => true,
                Some(Some(_)) | None => false,
            };
            require(is_had, "what_is_free_can_be_had", || {
                format!("{ticket} is free, and who asks for a hold of it is answered {said:?}")
            })?;
        }
        Ok(())
    }

    /// When everything has been kept for long enough, it is gone, and its room is given back.
    pub(super) fn is_all_forgotten(&self) -> Result<(), Broken> {
        let left = self.disk.durable.iter().filter(|(key, _)| matches!(key.first(), Some(b'c' | b'k' | b'a'))).count();
        require(left == 0, "room_is_given_back", || {
            format!("{left} checkouts, keys and accounts are still on the disk when their time is over")
        })
    }

    pub(super) fn see_the_end(&mut self, end: &End) {
        match end.checkout.ending() {
            Some(Ending::Failed { failure: Failure::PaymentDeclined(_) | Failure::CaptureRefused(_), .. }) => {
                self.coverage.hit(CoveragePoint::Declined)
            }
            Some(Ending::Failed { failure: Failure::PaymentUnavailable, .. }) => {
                self.coverage.hit(CoveragePoint::Unavailable)
            }
            Some(Ending::Failed { failure: Failure::Cancelled, .. }) => self.coverage.hit(CoveragePoint::Cancelled),
            _ => {}
        }
    }

    pub(super) fn see_the_crash(&mut self) {
        let under_way = self.engine.checkouts().filter(|record| record.ended().is_none());
        let (mut waits, mut undoes) = (false, false);
        for record in under_way {
            waits |= record.wake().is_some();
            undoes |= matches!(record.checkout().stage(), Stage::Undoing { .. });
        }
        self.coverage.hit_if(waits, CoveragePoint::CrashWhileWaiting);
        self.coverage.hit_if(undoes, CoveragePoint::CrashWhileUndoing);
        self.coverage.hit_if(!self.performing.is_empty(), CoveragePoint::CrashWhilePaying);
        let somebody_waits = self.people.iter().any(|person| !person.waiting.is_empty());
        self.coverage.hit_if(somebody_waits, CoveragePoint::CrashBeforeTheAnswer);
    }
}

/// Whether two answers are the same. Where the money of a failed checkout is may have changed between them.
fn is_the_same(one: &Answer, other: &Answer) -> bool {
    let but_money = |answer: &Answer| {
        let mut body: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
        if let Some(fields) = body.as_object_mut() {
            fields.remove("money");
        }
        body
    };
    one == other || (one.status == other.status && one.kind == other.kind && but_money(one) == but_money(other))
}

fn shown_by(view: &Picture) -> BTreeMap<TicketId, TicketStatus> {
    let snapshot: serde_json::Value =
        serde_json::from_str(&watch::snapshot(view, booking_core::time::Millis(0))).unwrap_or_default();
    if let Some(letters) = snapshot["seats"].as_str() {
        // The number of seats says which layout it is.
        let layout = layout(u16::try_from(letters.len()).unwrap_or(u16::MAX));
        let seats = layout.places().map(|place| place.ticket.clone()).zip(letters.chars());
        return seats.filter_map(|(id, letter)| Some((id, watch::status(letter)?))).collect();
    }
    let tickets = snapshot["tickets"].as_array().into_iter().flatten();
    let shown = |ticket: &serde_json::Value| {
        let id = TicketId::parse(ticket["id"].as_str()?).ok()?;
        Some((id, serde_json::from_value(ticket["status"].clone()).ok()?))
    };
    tickets.filter_map(shown).collect()
}

impl System for World {
    fn tickets(&self) -> Box<dyn Iterator<Item = (&TicketId, SeatFacts<'_>)> + '_> {
        Box::new(self.engine.maps().values().flat_map(SeatMap::tickets).map(|(id, ticket)| (id, ticket.into())))
    }
    fn checkouts(&self) -> Box<dyn Iterator<Item = &Checkout> + '_> {
        // Of one that is forgotten the engine does not know any more what becomes of its tickets.
        Box::new(self.engine.checkouts().map(|record| record.checkout()))
    }
    fn ticket(&self, id: &TicketId) -> Option<SeatFacts<'_>> {
        self.engine.ticket(id).map(SeatFacts::from)
    }
    fn checkout(&self, id: &CheckoutId) -> Option<&Checkout> {
        let known = self.engine.checkout(id).map(|record| record.checkout());
        known.or_else(|| self.ends.get(id).map(|end| &end.checkout))
    }
    fn account(&self, checkout: &CheckoutId) -> Option<AccountFacts<'_>> {
        let ledger = match self.settings().gateway {
            Gateway::Outside => &self.gateway,
            Gateway::Mock { .. } => self.engine.ledger(),
        };
        ledger.account(&PaymentKey::authorize(checkout)).map(AccountFacts::from)
    }
    fn accounts(&self) -> Box<dyn Iterator<Item = (&PaymentKey, AccountFacts<'_>)> + '_> {
        let ledger = match self.settings().gateway {
            Gateway::Outside => &self.gateway,
            Gateway::Mock { .. } => self.engine.ledger(),
        };
        Box::new(ledger.accounts().map(|(key, account)| (key, account.into())))
    }
    fn is_reset(&self, ticket: &TicketId) -> bool {
        self.reset.contains(ticket)
    }
    fn is_told(&self, checkout: &CheckoutId) -> Option<bool> {
        self.scene.letter_attempts?;
        // Who could not be told as often as was tried is given up.
        let record = self.engine.checkout(checkout);
        let is_parked = || self.told.given_up.contains(checkout);
        let is_parked = record.map_or_else(is_parked, |record| record.notification() == NotificationStatus::GivenUp);
        (!is_parked).then(|| self.told.letters.contains(checkout))
    }
    fn is_at_rest(&self) -> bool {
        self.engine.is_at_rest()
            && self.disk.queue.is_empty()
            && self.disk.written.is_empty()
            && self.performing.is_empty()
            && self.delivering.is_empty()
            && self.late.is_empty()
    }
}
