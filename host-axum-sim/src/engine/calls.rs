//! Requests and their answers: which caller gets one at once, which waits, which gets the answer given before.

use booking_core::checkout::{Checkout, Order};
use booking_core::ids::{CheckoutId, MapKey, PaymentKey, TicketId, UserId};
use booking_core::life;
use booking_core::life::checkout::MOST_WAITING;
use booking_core::life::{CheckoutRecord, Digest, IdempotencyRecord, Known, RecordedAnswer};
use booking_core::map::SeatMapCommand;
use booking_core::map::ticket::{Reserve, TicketCommand};
use booking_core::payment::Authorize;
use booking_core::progress::CheckoutProgress;
use booking_core::time::{Millis, Timestamp};
use booking_core::wire::audit::{AuditEntry, AuditOutcome};
use booking_core::wire::search::BookingCursor;
use booking_core::wire::{
    Answer, AtTheDoor, Call, GatewayCall, Kind, Operation, Refusal, SeatMapCall, TicketCall, answer, gateway,
};

use super::checkouts::cost;
use super::retention::{Retained, Share, account_cost};
use super::{Caller, Due, Edition, Engine, Fresh, Gateway, Key, Name, Output, Request};

/// What a call comes to within its input.
enum Reply {
    /// An answer of the machines.
    Said(Answer),
    /// The answer of a checkout, when it has ended.
    EndOf(CheckoutId),
    /// The answer comes by itself.
    Later,
}

impl Engine {
    pub(super) fn call(&mut self, caller: Caller, request: Request, now: Timestamp) {
        let Request { call, key, fresh, audit } = request;
        let limits = &self.settings.limits;
        if self.answers_held >= limits.unstored || self.unstored_bytes >= limits.unstored_bytes {
            // It rests on nothing, so it does not wait with the others.
            return self.free.push_back(Output::Answer(caller, refused(Kind::Overloaded)));
        }
        let digests = key.as_ref().filter(|_| call.is_worth_a_key()).map(|key| key.digests);
        if let Some(key) = digests {
            match IdempotencyRecord::look(self.keys.get(&key.scope), key.request) {
                Known::Nothing => {}
                Known::Answer(answer) => return self.answer(caller, answer),
                Known::EndOf(id) => return self.wait_for(&id, caller, now),
            }
        }
        let reply = self.ask(caller, call, key.as_ref(), digests, fresh, now);
        if let Some(entry) = audit {
            let entry = AuditEntry { at: now, ..*entry };
            self.note(match &reply {
                Reply::Said(answer) => entry.answered(answer),
                // It begins, and that is all that there is to know.
                Reply::EndOf(_) | Reply::Later => AuditEntry { outcome: AuditOutcome::Done, ..entry },
            });
        }
        if let Some(life::Key { scope, request }) = digests {
            let record = match &reply {
                Reply::Said(answer) => IdempotencyRecord::of_answer(request, now, answer),
                Reply::EndOf(id) => Some(IdempotencyRecord::of_checkout(request, now, id.clone())),
                Reply::Later => None,
            };
            if let Some(record) = record {
                self.keep_key(scope, record);
                self.touched.push(Name::Key(scope));
            }
        }
        match reply {
            Reply::Said(answer) => self.answer(caller, answer),
            Reply::EndOf(id) => self.wait_for(&id, caller, now),
            Reply::Later => {}
        }
    }

    fn answer(&mut self, caller: Caller, answer: Answer) {
        self.said.push(Output::Answer(caller, answer));
    }

    fn ask(
        &mut self,
        caller: Caller,
        call: Call,
        key: Option<&Key>,
        digests: Option<life::Key>,
        fresh: Fresh,
        now: Timestamp,
    ) -> Reply {
        match call {
            Call::Ticket(id, call) => Reply::Said(self.seat(&id, call, fresh, now)),
            Call::SeatMap(map, call) => self.seat_map(caller, map, call, now),
            Call::Process(order) => match self.start(order, digests, fresh, now) {
                Ok(id) => self.forget_unnamed(&id, now).map_or(Reply::EndOf(id), Reply::Said),
                Err(refused) => Reply::Said(refused),
            },
            Call::ProcessSend(order) => match self.start(order, None, fresh, now) {
                Ok(id) => Reply::Said(answer::accepted(&id)),
                Err(refused) => Reply::Said(refused),
            },
            Call::Status(id) => Reply::Said(self.status(&id)),
            Call::Stuck(after) => Reply::Said(self.stuck(after.as_ref())),
            Call::Operate(id, operation) => Reply::Said(self.operate(&id, &operation, now)),
            Call::Bookings(search) | Call::BookingsCsv(search) => {
                self.bookings(caller, &search);
                Reply::Later
            }
            Call::Inbox(search) => Reply::Said(self.inbox(&search)),
            Call::Retry(id) => Reply::Said(self.retry(&id, now)),
            Call::Audit(search) => Reply::Said(self.audited(&search)),
            Call::Erase { user, reason } => Reply::Said(self.erase(&user, &reason, now)),
            // The door makes it, once this is stored.
            Call::Invite { .. } => Reply::Said(answer::ok(None)),
            Call::Gateway(call) => self.gateway(caller, call, key, fresh, now),
            Call::Health => Reply::Said(answer::health()),
        }
    }

    fn seat(&mut self, id: &TicketId, call: TicketCall, fresh: Fresh, now: Timestamp) -> Answer {
        let terms = &self.settings.terms;
        let key = id.map_key();
        if self.unreadable.contains(id) {
            return refused(Kind::StorageUnavailable);
        }
        if let TicketCall::Get(reader) = &call {
            let view = self.map(&key).view(id, now);
            return answer::ticket_view(&view.seen_by(reader, terms.shows_buyers));
        }
        let ended = call.takes_from(self.map(&key), id).cloned();
        if ended.as_ref().is_some_and(|checkout| self.under_way.contains(checkout)) {
            return answer::refusal(&Refusal::still_being_sold(id.clone(), self.seat_version(id).0));
        }
        let door = AtTheDoor { ended, ..AtTheDoor::new(terms, self.time_of(&key, now), fresh.hold()) };
        let Some(command) = door.ask(id, call, |seats| self.offer(&key, seats)) else {
            return refused(Kind::NotFound);
        };
        if self.room_for_seats() == 0 && self.ticket(id).is_none() {
            return refused(Kind::Overloaded);
        }
        if self.maps.get(&key).is_some_and(|map| map.blocks_outside_layout(&command)) {
            return refused(Kind::TicketNotForSale);
        }
        if let SeatMapCommand::Seats { command: TicketCommand::Reserve(Reserve { user, .. }), .. } = &command
            && !self.may_hold(user, std::slice::from_ref(id))
        {
            return refused(Kind::RateLimited);
        }
        let Some(outcome) = self.ask_map(&key, &command, now) else { return refused(Kind::StorageUnavailable) };
        let (version, _) = self.seat_version(id);
        answer::seat(&outcome, version)
    }

    /// The time that ends of holds count from: the map's own where that is later. It is, when a clock that was ahead has been set back.
    fn time_of(&self, map: &MapKey, now: Timestamp) -> Timestamp {
        now.max(self.map(map).header().at)
    }

    /// Whether this user may hold these tickets, too.
    fn may_hold(&self, user: &UserId, tickets: &[TicketId]) -> bool {
        let Some(most) = self.settings.limits.holds_per_user else { return true };
        let more = tickets.iter().filter(|id| !self.holds(user, id)).count();
        let count = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let held = self.holders.get(user).copied().map_or(0, count);
        more == 0 || held.saturating_add(more) <= count(most)
    }

    /// Whether there is room to store these tickets as well.
    fn has_room_for<'a>(&self, tickets: impl Iterator<Item = &'a TicketId> + Clone) -> bool {
        let room = self.room_for_seats();
        let unknown = || tickets.clone().filter(|ticket| self.ticket(ticket).is_none()).count();
        // Most of the time none need be looked up.
        tickets.clone().count() as u64 <= room || unknown() as u64 <= room
    }

    fn seat_map(&mut self, caller: Caller, key: MapKey, call: SeatMapCall, now: Timestamp) -> Reply {
        match call {
            SeatMapCall::Get => {
                let picture = self.picture(&key, now);
                self.said.push(Output::Seen(caller, picture));
                Reply::Later
            }
            SeatMapCall::Summary => Reply::Said(answer::summary(self.picture(&key, now).summary())),
            SeatMapCall::Plan => {
                let map = self.map(&key);
                let edition = Edition { number: map.header().edition, layout: map.layout().cloned() };
                self.said.push(Output::Plan(caller, key, edition));
                Reply::Later
            }
            SeatMapCall::Watch => {
                // What is recorded: watchers hear of a lapse when the timer fires.
                let picture = self.recorded(&key);
                self.said.push(Output::Watching(caller, key, picture));
                Reply::Later
            }
            SeatMapCall::Publish { .. }
            | SeatMapCall::ResetAll
            | SeatMapCall::Erase { .. }
            | SeatMapCall::Recall { .. } => {
                let sold = Some(&key).filter(|_| call == SeatMapCall::ResetAll).and_then(|key| self.being_sold_on(key));
                if let Some(ticket) = sold {
                    let refusal = Refusal::still_being_sold(ticket, self.map(&key).version());
                    return Reply::Said(answer::refusal(&refusal));
                }
                let Some(command) = AtTheDoor::ask_map(call) else { return Reply::Said(refused(Kind::NotFound)) };
                if let SeatMapCommand::Publish { layout } = &command
                    && layout.len() as u64 > self.settings.limits.tickets as u64
                {
                    return Reply::Said(refused(Kind::Overloaded));
                }
                let Some(outcome) = self.ask_map(&key, &command, now) else {
                    return Reply::Said(refused(Kind::StorageUnavailable));
                };
                Reply::Said(answer::map_reply(&outcome, self.map(&key).version()))
            }
        }
    }

    /// Starts a checkout, and drives it as far as it goes without waiting for anybody.
    fn start(
        &mut self,
        order: Order,
        key: Option<life::Key>,
        fresh: Fresh,
        now: Timestamp,
    ) -> Result<CheckoutId, Answer> {
        let (limits, id) = (&self.settings.limits, fresh.checkout());
        let is_too_much = self.under_way.len() >= limits.checkouts
            || !self.kept.has_room(Share::Bookings, cost(&order))
            || !self.has_room_for(order.tickets().iter())
            || self.checkouts.contains_key(&id);
        if is_too_much {
            return Err(refused(Kind::Overloaded));
        }
        if order.tickets().iter().any(|id| self.unreadable.contains(id)) {
            return Err(refused(Kind::StorageUnavailable));
        }
        if !self.may_hold(order.user(), order.tickets()) {
            return Err(refused(Kind::RateLimited));
        }
        self.kept.take_room(Share::Bookings, cost(&order));
        let maps = order.tickets().iter().map(TicketId::map_key);
        let begins = maps.map(|map| self.time_of(&map, now)).max().unwrap_or(now);
        let checkout = Checkout::start(id.clone(), order, begins, &self.settings.terms);
        self.under_way.insert(id.clone());
        self.by_start.insert(BookingCursor { started: now, checkout: id.clone() });
        self.advance(Box::new(CheckoutRecord::start(checkout, key, now)), now);
        Ok(id)
    }

    /// Answers with how a checkout ends, as soon as that can be told, or with 202 after a while.
    fn wait_for(&mut self, id: &CheckoutId, caller: Caller, now: Timestamp) {
        let Some(record) = self.checkouts.get(id) else { return self.answer(caller, refused(Kind::NotFound)) };
        if record.progress().told().is_some() || self.settings.answer_within == Millis(0) {
            let answer = answer::processed(record.progress());
            return self.answer(caller, answer);
        }
        let waiting = self.waiting.entry(id.clone()).or_default();
        if waiting.len() >= MOST_WAITING {
            return self.answer(caller, answer::accepted(id));
        }
        let until = now.plus(self.settings.answer_within);
        waiting.insert(caller, until);
        self.due.insert((until, Due::Answer(id.clone(), caller)));
    }

    /// The caller has waited long enough.
    pub(super) fn answer_meanwhile(&mut self, id: &CheckoutId, caller: Caller) {
        if let Some(waiting) = self.waiting.get_mut(id) {
            waiting.remove(&caller);
            if waiting.is_empty() {
                self.waiting.remove(id);
            }
            self.answer(caller, answer::accepted(id));
        }
    }

    /// Tells everybody who waits for a checkout how it ends, if that can be told.
    pub(super) fn answer_the_waiting(&mut self, running: &CheckoutProgress) {
        let id = running.checkout().id();
        if !self.waiting.contains_key(id) || running.told().is_none() {
            return;
        }
        for (caller, until) in self.waiting.remove(id).unwrap_or_default() {
            self.due.remove(&(until, Due::Answer(id.clone(), caller)));
            self.answer(caller, answer::processed(running));
        }
    }

    pub(super) fn status(&self, id: &CheckoutId) -> Answer {
        match self.checkouts.get(id) {
            Some(record) => answer::checkout(record.progress()),
            None => refused(Kind::NotFound),
        }
    }

    pub(super) fn cancel(&mut self, caller: Caller, id: &CheckoutId, now: Timestamp) {
        let answer = self.operate(id, &Operation::Cancel { reason: String::new() }, now);
        self.answer(caller, answer);
    }

    /// The built-in mock gateway, asked from outside.
    fn gateway(&mut self, caller: Caller, call: GatewayCall, key: Option<&Key>, fresh: Fresh, now: Timestamp) -> Reply {
        let Gateway::Mock { delay } = self.settings.gateway else { return Reply::Said(refused(Kind::NotFound)) };
        let asked = match &call {
            GatewayCall::Ledger => return Reply::Said(answer::ledger(&self.ledger)),
            GatewayCall::Command(payment) => Ok(payment.key().clone()),
            GatewayCall::Pay { .. } => match key {
                Some(key) => PaymentKey::parse(&key.name),
                None => PaymentKey::parse(fresh.checkout().as_str()),
            },
        };
        let Ok(asked) = asked else { return Reply::Said(refused(Kind::InvalidRequest)) };
        if !self.kept.has_room(Share::Accounts, account_cost(&asked)) && self.ledger.account(&asked).is_none() {
            return Reply::Said(refused(Kind::Overloaded));
        }
        if delay == Millis(0) {
            return Reply::Said(self.pay_caller(call, asked, now));
        }
        self.paying.insert(caller, (call, asked));
        self.due.insert((now.plus(delay), Due::Gateway(caller)));
        Reply::Later
    }

    pub(super) fn mock_answers_caller(&mut self, caller: Caller, now: Timestamp) {
        if let Some((call, key)) = self.paying.remove(&caller) {
            let answer = self.pay_caller(call, key, now);
            self.answer(caller, answer);
        }
    }

    fn pay_caller(&mut self, call: GatewayCall, key: PaymentKey, now: Timestamp) -> Answer {
        let is_new = self.ledger.account(&key).is_none();
        let answer = match call {
            GatewayCall::Ledger => answer::ledger(&self.ledger),
            GatewayCall::Command(command) => gateway::answer(&self.ask_gateway(&command, now)),
            GatewayCall::Pay { amount, method } => {
                let authorize = Authorize { key: key.clone(), amount, method };
                gateway::pay_in_one_go(authorize, |payment| self.ask_gateway(payment, now))
            }
        };
        if is_new && self.ledger.account(&key).is_some() {
            self.kept.keep_account(&key, now);
        }
        answer
    }

    /// Keeps what an idempotency key stands for.
    pub(super) fn keep_key(&mut self, scope: Digest, record: IdempotencyRecord) {
        // The key of a checkout has its room in that of the checkout, and is forgotten with it.
        if let Some(cost) = key_cost(&record) {
            self.kept.keep(Share::Keys, Retained::Key(scope), record.at.plus(self.settings.keep_for));
            self.kept.take_room(Share::Keys, cost);
        }
        self.keys.insert(scope, record);
    }

    pub(super) fn forget_key(&mut self, scope: Digest) {
        if let Some(record) = self.keys.remove(&scope) {
            self.kept.leave(Share::Keys, key_cost(&record).unwrap_or_default());
            self.touched.push(Name::Key(scope));
        }
    }
}

/// What a key takes at least, about: its digests, its time, its places in two tables.
pub(super) const KEY_COST: usize = 256;

/// What a key takes of its own; `None` where that is in what its checkout takes.
fn key_cost(record: &IdempotencyRecord) -> Option<usize> {
    match &record.answer {
        RecordedAnswer::Is { body, .. } => Some(KEY_COST + body.len()),
        RecordedAnswer::EndOf(_) => None,
    }
}

fn refused(kind: Kind) -> Answer {
    answer::refusal(&kind.into())
}
