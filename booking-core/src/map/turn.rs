//! One turn of a map: a command is judged seat by seat at one effective time, and recorded as one event or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::table::{Cell, Seat};
use super::ticket::TicketRefusal::{
    self, CheckoutInProgress, HoldExpired, HoldInUse, HoldNotFound, Overloaded, Overtaken, StaleEdition, TicketBlocked,
    TicketNotForSale, TicketReserved, TicketSold,
};
use super::ticket::{Claim, Hold, MakeClaim, Offer, Reserve, Sale, Ticket, TicketCommand, TicketState};
use super::{
    BATCH, Delta, LastWish, Layout, MEMORY, News, Published, SeatMap, SeatMapEvent, SeatMapNotices, SeatMapRefusal,
    SeatMapReply, Wish,
};
use crate::ids::{CheckoutId, HoldId, TicketId, UserId};
use crate::machine::Transition;
use crate::money::Money;
use crate::time::Timestamp;

/// What a turn ends in.
pub(super) type Decision = Result<Transition<SeatMap>, SeatMapRefusal>;

/// A map at the effective time of a command, and what accepting would record so far.
pub(super) struct Turn<'a> {
    map: &'a SeatMap,
    now: Timestamp,
    event: SeatMapEvent,
    /// Where in the event a checkout's end stands.
    ending: BTreeMap<CheckoutId, usize>,
}

/// How a numbered wish stands to the last one under its hold.
enum Number {
    /// It is the last one, asked again.
    Again,
    /// It is a new wish.
    New,
}

impl SeatMapRefusal {
    fn of_map(why: TicketRefusal) -> Self {
        Self { ticket: None, why }
    }

    fn of_seat(seat: &TicketId, why: TicketRefusal) -> Self {
        Self { ticket: Some(seat.clone()), why }
    }
}

impl<'a> Turn<'a> {
    pub(super) fn at(map: &'a SeatMap, now: Timestamp) -> Self {
        let nothing =
            SeatMapEvent { header: map.header, tickets: vec![], ended: vec![], last_wishes: vec![], layout: None };
        Self { map, now: now.max(map.header.at), event: nothing, ending: BTreeMap::new() }
    }

    /// The version after this command's change.
    fn next_version(&self) -> u64 {
        self.map.header.version.saturating_add(1)
    }

    // Commands to seats

    pub(super) fn seats(self, names: &[TicketId], command: &TicketCommand) -> Decision {
        let seats: Vec<Seat> = names.iter().map(|name| self.map.seat(name, self.now)).collect();
        let set = Set { names, seats };
        match command {
            TicketCommand::Reserve(reserve) => self.reserve(&set, reserve),
            TicketCommand::Claim(claim) => self.claim(&set, claim),
            TicketCommand::Confirm { hold, checkout, fence } => self.confirm(&set, hold, checkout, *fence),
            TicketCommand::Revoke { hold, checkout, deadline } => self.revoke(&set, hold, checkout, *deadline),
            TicketCommand::Release { hold, nth, until } => self.release(&set, hold, *nth, *until),
            TicketCommand::Block { reason } => self.each(&set, |_, seat| seat.block(reason)),
            TicketCommand::Unblock => self.each(&set, |_, seat| seat.unblock()),
            TicketCommand::Sell { user, hold, offer } => {
                let states = set.judge(|i, seat| seat.sell(user, hold, || self.price(offer, set.names, i)))?;
                let reply = SeatMapReply::Sold { prices: prices(&states) };
                self.become_all(&set, states).accept(reply)
            }
            TicketCommand::Recall { up_to } => {
                let map = self.map;
                self.each(&set, |name, seat| seat.recall(map.unchanged_since(name, *up_to)))
            }
            TicketCommand::Reset { up_to, ended } => {
                let map = self.map;
                self.each(&set, |name, seat| seat.reset(map.unchanged_since(name, *up_to), ended))
            }
        }
    }

    /// A command that needs nothing but each seat, and is answered with no more than that it is done.
    fn each(self, set: &Set<'_>, row: impl Fn(&TicketId, &Seat) -> Cell) -> Decision {
        let states = set.judge(|i, seat| row(&set.names[i], seat))?;
        self.become_all(set, states).accept(SeatMapReply::Done)
    }

    fn reserve(mut self, set: &Set<'_>, command: &Reserve) -> Decision {
        let Reserve { user, hold, nth, until, latest, offer } = command;
        if let Number::Again = self.number(hold, *nth, Wish::Reserve, set.names)? {
            if !set.seats.iter().all(|seat| seat.is_under(user, hold)) {
                return Err(SeatMapRefusal::of_map(HoldExpired));
            }
            let reply = reserved(hold, set.seats.iter().map(|seat| &seat.state));
            return self.accept(reply);
        }
        if *until <= self.now {
            return Err(SeatMapRefusal::of_map(HoldExpired));
        }
        let price = |i| self.price(offer, set.names, i);
        let states = set.judge(|i, seat| seat.reserve(user, hold, *until, *latest, || price(i)))?;
        let reply = reserved(hold, &states);
        let ends = states.iter().filter_map(|state| state.hold().map(Hold::end));
        let until = ends.fold(*until, Timestamp::max);
        match *nth {
            Some(nth) => self.remember_wish(hold, nth, Wish::Reserve, set.names, until)?,
            None => self.remember_longer(hold, until),
        }
        self.become_all(set, states).accept(reply)
    }

    fn claim(mut self, set: &Set<'_>, command: &MakeClaim) -> Decision {
        let MakeClaim { user, hold, brought, checkout, deadline, offer } = command;
        let standing: Vec<_> = set.seats.iter().map(|seat| seat.standing_claim(user, hold, checkout)).collect();
        if let Some(whole) = standing.iter().copied().collect::<Option<Vec<&Claim>>>() {
            let fence = whole.first().map_or(0, |claim| claim.fence);
            if let Some(other) = whole.iter().position(|claim| claim.fence != fence) {
                // They were claimed in parts: no one fence confirms them.
                return Err(SeatMapRefusal::of_seat(&set.names[other], HoldExpired));
            }
            let reply = SeatMapReply::Claimed { fence, prices: prices(set.states()) };
            return self.accept(reply);
        }
        if self.map.ended.get(checkout).is_some() || *deadline <= self.now {
            return Err(SeatMapRefusal::of_map(HoldExpired));
        }
        let claim = Claim { checkout: checkout.clone(), deadline: *deadline, fence: self.next_version() };
        let price = |i| self.price(offer, set.names, i);
        let states = set.judge(|i, seat| seat.claim(user, hold, *brought, &claim, || price(i)))?;
        if let Some(part) = standing.iter().position(Option::is_none).filter(|_| standing.iter().any(Option::is_some)) {
            return Err(SeatMapRefusal::of_seat(&set.names[part], HoldExpired));
        }
        if self.event.header.ended >= MEMORY {
            self.forget_ended();
        }
        if self.event.header.ended >= MEMORY {
            return Err(SeatMapRefusal::of_map(Overloaded));
        }
        self.remember_longer(hold, *deadline);
        let reply = SeatMapReply::Claimed { fence: claim.fence, prices: prices(&states) };
        self.become_all(set, states).accept(reply)
    }

    fn confirm(self, set: &Set<'_>, hold: &HoldId, checkout: &CheckoutId, fence: u64) -> Decision {
        let ended = self.map.ended.get(checkout).is_some();
        let states = set.judge(|_, seat| seat.confirm(hold, checkout, fence, ended))?;
        let already = set.seats.iter().filter(|seat| seat.state.sale().is_some()).count();
        if already > 0 && already < set.seats.len() {
            return Err(SeatMapRefusal::of_map(HoldNotFound));
        }
        self.become_all(set, states).accept(SeatMapReply::Done)
    }

    fn revoke(mut self, set: &Set<'_>, hold: &HoldId, checkout: &CheckoutId, deadline: Timestamp) -> Decision {
        let states = set.judge(|_, seat| seat.revoke(hold, checkout))?;
        if self.map.header.at < deadline {
            self.end(checkout, deadline);
        }
        self.become_all(set, states).accept(SeatMapReply::Done)
    }

    fn release(mut self, set: &Set<'_>, hold: &HoldId, nth: Option<u32>, until: Timestamp) -> Decision {
        if let Number::Again = self.number(hold, nth, Wish::Release, set.names)? {
            return self.accept(SeatMapReply::Done);
        }
        let states = set.judge(|_, seat| seat.release(hold))?;
        if let Some(nth) = nth {
            self.remember_wish(hold, nth, Wish::Release, set.names, until)?;
        } else if let Some(last_wish) =
            self.map.last_wishes.get(hold).filter(|it| it.wish == Wish::Reserve && !it.seats.is_empty())
        {
            let used_up = LastWish { seats: vec![], ..last_wish.clone() };
            self.event.last_wishes.push((hold.clone(), Some(used_up)));
        }
        self.become_all(set, states).accept(SeatMapReply::Done)
    }

    /// How a wish stands to the last one under its hold. A wish without a number is a new one.
    fn number(
        &self,
        hold: &HoldId,
        nth: Option<u32>,
        wish: Wish,
        seats: &[TicketId],
    ) -> Result<Number, SeatMapRefusal> {
        let (Some(nth), Some(last_wish)) = (nth, self.map.last_wishes.get(hold)) else {
            return Ok(Number::New);
        };
        if nth > last_wish.last {
            return Ok(Number::New);
        }
        let why = if nth < last_wish.last {
            Overtaken { last: last_wish.last }
        } else if last_wish.wish != wish {
            HoldInUse
        } else if last_wish.seats.is_empty() {
            // It is used up.
            HoldExpired
        } else if last_wish.seats != seats {
            HoldInUse
        } else {
            return Ok(Number::Again);
        };
        Err(SeatMapRefusal::of_map(why))
    }

    fn remember_wish(
        &mut self,
        hold: &HoldId,
        last: u32,
        wish: Wish,
        seats: &[TicketId],
        until: Timestamp,
    ) -> Result<(), SeatMapRefusal> {
        let before = self.map.last_wishes.get(hold);
        if before.is_none() {
            if self.event.header.last_wishes >= MEMORY {
                self.forget_last_wishes();
            }
            if self.event.header.last_wishes >= MEMORY {
                return Err(SeatMapRefusal::of_map(Overloaded));
            }
            self.event.header.last_wishes += 1;
        }
        let until = before.map_or(until, |before| before.until.max(until));
        self.event.last_wishes.push((hold.clone(), Some(LastWish { last, wish, seats: seats.to_vec(), until })));
        Ok(())
    }

    /// The last wish under a hold is remembered while a seat is held under it.
    fn remember_longer(&mut self, hold: &HoldId, until: Timestamp) {
        if let Some(last_wish) = self.map.last_wishes.get(hold).filter(|last_wish| last_wish.until < until) {
            self.event.last_wishes.push((hold.clone(), Some(LastWish { until, ..last_wish.clone() })));
        }
    }

    /// What a seat costs that is on sale: what the caller attests, or what an operator has set for a seat without a layout, in the
    /// same currency.
    fn price(&self, offer: &Offer, names: &[TicketId], i: usize) -> Result<Money, TicketRefusal> {
        let edition = self.map.header.edition;
        if offer.edition != edition {
            return Err(StaleEdition { edition });
        }
        let stored = self.map.tickets.get(&names[i]);
        let offered = offer.prices.get(i).copied().flatten().ok_or(TicketNotForSale)?;
        let price = stored.and_then(|ticket| ticket.listed).unwrap_or(offered);
        if price.currency() != offered.currency() {
            return Err(TicketNotForSale);
        }
        // A layout bounds how many seats there are.
        if edition == 0 && stored.is_none() && self.map.header.tickets >= offer.room {
            return Err(Overloaded);
        }
        Ok(price)
    }

    // Commands to the map

    pub(super) fn list(self, names: &[TicketId], price: Money) -> Decision {
        if self.map.header.edition == 0 {
            return self.list_each(names, price);
        }
        let Some(layout) = &self.map.layout else { return Err(SeatMapRefusal::of_map(TicketNotForSale)) };
        let repriced = layout.repriced(names, price);
        let layout = repriced.map_err(|missing| SeatMapRefusal::of_seat(&missing, TicketNotForSale))?;
        self.publish(&Arc::new(layout))
    }

    /// On a map without a layout a seat remembers its own price.
    fn list_each(mut self, names: &[TicketId], price: Money) -> Decision {
        for name in names {
            let state = self.map.seat(name, self.now).state;
            self.put(name, state, Some(price));
        }
        self.accept(SeatMapReply::Done)
    }

    pub(super) fn publish(mut self, layout: &Arc<Layout>) -> Decision {
        let before = prices_of(self.map.layout.as_ref());
        let after = prices_of(Some(layout));
        let mut published = Published { tickets: after.len() as u64, ..Published::default() };
        if self.map.layout.as_ref() == Some(layout) {
            published.edition = self.map.header.edition;
            return self.accept(SeatMapReply::Published(published));
        }
        for (name, ticket) in self.map.tickets.iter() {
            let state = self.map.seat(name, self.now).state;
            if let Some(why) = in_the_way(&state).filter(|_| !after.contains_key(name)) {
                return Err(SeatMapRefusal::of_seat(name, why));
            }
            if ticket.listed.is_some() || ticket.state != state {
                self.put(name, state, None);
            }
        }
        published.added = after.keys().filter(|seat| !before.contains_key(*seat)).count() as u64;
        published.removed = before.keys().filter(|seat| !after.contains_key(*seat)).count() as u64;
        let repriced = |seat: &&&TicketId| before.get(**seat).is_some_and(|price| after.get(**seat) != Some(price));
        published.repriced = after.keys().filter(repriced).count() as u64;
        self.event.header.edition = self.map.header.edition.saturating_add(1);
        published.edition = self.event.header.edition;
        self.event.layout = Some(layout.clone());
        self.accept(SeatMapReply::Published(published))
    }

    pub(super) fn reset_all(mut self) -> Decision {
        let mut tickets = 0;
        for (name, ticket) in self.map.tickets.iter() {
            if matches!(ticket.state, TicketState::Sold(_) | TicketState::Blocked { .. }) {
                self.put(name, TicketState::Available, ticket.listed);
                tickets += 1;
            }
        }
        self.accept(SeatMapReply::Reset { tickets })
    }

    pub(super) fn erase(mut self, user: &UserId) -> Decision {
        let (mut tickets, mut held) = (0, 0);
        for (name, ticket) in self.map.tickets.iter() {
            match self.map.seat(name, self.now).state {
                TicketState::Sold(sale) if sale.by == *user => {
                    let sale = Sale { by: UserId::erased(), ..Sale::clone(&sale) };
                    self.put(name, TicketState::Sold(Arc::new(sale)), ticket.listed);
                    tickets += 1;
                }
                TicketState::Reserved(hold) if hold.by == *user => held += 1,
                TicketState::Available
                | TicketState::Reserved(_)
                | TicketState::Sold(_)
                | TicketState::Blocked { .. } => {}
            }
        }
        self.accept(SeatMapReply::Erased { tickets, held })
    }

    /// Takes lapsed holds away, forgets what may be forgotten, and arms the timer again if any seat is still held.
    pub(super) fn expire(mut self, due: Timestamp) -> Decision {
        if self.map.header.armed != Some(due) {
            return self.accept(SeatMapReply::Done);
        }
        self.event.header.armed = None;
        self.event.header.at = self.now;
        let map = self.map;
        let mut held = map.tickets.ending().peekable();
        for _ in 0..BATCH {
            let Some((_, name)) = held.next_if(|(end, _)| *end <= self.now) else { break };
            let listed = map.tickets.get(name).and_then(|ticket| ticket.listed);
            self.put(name, map.seat(name, self.now).state, listed);
        }
        self.forget_ended();
        self.forget_last_wishes();
        let next_end = held.peek().map(|(end, _)| *end);
        self.accept_and_arm(SeatMapReply::Done, next_end)
    }

    // What a turn records

    /// A seat becomes this, at this listed price. What ends a claim or a sale before its deadline ends its checkout here.
    fn put(&mut self, name: &TicketId, state: TicketState, listed: Option<Money>) {
        let before = self.map.tickets.get(name);
        let (state_before, listed_before) = before.map_or((&TicketState::Available, None), |it| (&it.state, it.listed));
        if *state_before == state && listed_before == listed {
            return;
        }
        if let Some(claim) = claim_of(state_before) {
            let stands = claim_of(&state).is_some_and(|now| now.fence == claim.fence);
            if !stands && claim.deadline > self.now {
                self.end(&claim.checkout, claim.deadline);
            }
        }
        let sold = |state: &TicketState| u64::from(state.sale().is_some());
        let (was_sold, is_sold) = (sold(state_before), sold(&state));
        let ticket = Some(Ticket { state, version: self.next_version(), listed }).filter(|it| !it.is_as_laid_out());
        let header = &mut self.event.header;
        header.tickets = (header.tickets + u64::from(ticket.is_some())).saturating_sub(u64::from(before.is_some()));
        header.sold = (header.sold + is_sold).saturating_sub(was_sold);
        self.event.tickets.push((name.clone(), ticket));
    }

    fn become_all(mut self, set: &Set<'_>, states: Vec<TicketState>) -> Self {
        for (name, state) in set.names.iter().zip(states) {
            let listed = self.map.tickets.get(name).and_then(|ticket| ticket.listed);
            self.put(name, state, listed);
        }
        self
    }

    /// From now on the map refuses each claim of this checkout, until its time has reached the deadline.
    fn end(&mut self, checkout: &CheckoutId, deadline: Timestamp) {
        let before = self.map.ended.get(checkout);
        if before.is_some_and(|before| *before >= deadline) {
            return;
        }
        if let Some((_, ended)) = self.ending.get(checkout).and_then(|at| self.event.ended.get_mut(*at)) {
            *ended = (*ended).max(Some(deadline));
            return;
        }
        self.event.header.ended += u64::from(before.is_none());
        self.ending.insert(checkout.clone(), self.event.ended.len());
        self.event.ended.push((checkout.clone(), Some(deadline)));
    }

    /// Forgets the checkouts whose deadlines have passed: no copy of their claims is accepted any more. That holds only
    /// if the time is stored too.
    fn forget_ended(&mut self) {
        self.event.header.at = self.now;
        for (_, checkout) in self.map.ended.ending().take(BATCH).take_while(|(deadline, _)| *deadline <= self.now) {
            self.event.ended.push((checkout.clone(), None));
            self.event.header.ended = self.event.header.ended.saturating_sub(1);
        }
    }

    /// Forgets the wishes of which no copy can come any more, and whose seats are held no more.
    fn forget_last_wishes(&mut self) {
        self.event.header.at = self.now;
        for (_, hold) in self.map.last_wishes.ending().take(BATCH).take_while(|(until, _)| *until <= self.now) {
            self.event.last_wishes.push((hold.clone(), None));
            self.event.header.last_wishes = self.event.header.last_wishes.saturating_sub(1);
        }
    }

    fn accept(self, reply: SeatMapReply) -> Decision {
        self.accept_and_arm(reply, None)
    }

    /// Accepts. The timer is armed if a hold ends before it, or if none is armed: `also` is a hold that has not changed.
    fn accept_and_arm(mut self, reply: SeatMapReply, also: Option<Timestamp>) -> Decision {
        let mut notices = SeatMapNotices::default();
        let (changed, header) = (&self.event.tickets, &mut self.event.header);
        let ends = changed.iter().filter_map(|(_, ticket)| ticket.as_ref()?.state.hold()).map(Hold::end);
        if let Some(end) = ends.chain(also).min().filter(|end| header.armed.is_none_or(|armed| *end < armed)) {
            header.armed = Some(end);
            notices.timer = Some(end);
        }
        if !changed.is_empty() || self.event.layout.is_some() {
            (header.version, header.at) = (self.map.header.version.saturating_add(1), self.now);
            notices.watchers = Some(self.news());
        }
        let nothing =
            self.event.header == self.map.header && self.event.ended.is_empty() && self.event.last_wishes.is_empty();
        Ok(Transition { event: (!nothing).then_some(self.event), reply, notices })
    }

    fn news(&self) -> News {
        let version = self.event.header.version;
        if self.event.layout.is_some() {
            return News::Republished { version };
        }
        let status = |ticket: &Option<Ticket>| ticket.as_ref().map(|it| it.state.status()).unwrap_or_default();
        let seats = self.event.tickets.iter().map(|(name, ticket)| (name.clone(), status(ticket))).collect();
        News::Changed(Delta { version, seats })
    }
}

/// The seats that a command names, as they are at its time.
struct Set<'a> {
    names: &'a [TicketId],
    seats: Vec<Seat>,
}

impl Set<'_> {
    /// What each seat becomes, or the first refusal with its seat.
    fn judge(&self, row: impl Fn(usize, &Seat) -> Cell) -> Result<Vec<TicketState>, SeatMapRefusal> {
        let judged = self.seats.iter().enumerate().map(|(i, seat)| {
            row(i, seat).map_err(|why| match why {
                StaleEdition { .. } | Overloaded => SeatMapRefusal::of_map(why),
                TicketReserved { .. }
                | TicketSold
                | TicketBlocked
                | TicketNotForSale
                | CheckoutInProgress
                | HoldExpired
                | HoldNotFound
                | Overtaken { .. }
                | HoldInUse => SeatMapRefusal::of_seat(&self.names[i], why),
            })
        });
        judged.collect()
    }

    fn states(&self) -> impl Iterator<Item = &TicketState> {
        self.seats.iter().map(|seat| &seat.state)
    }
}

impl SeatMap {
    fn unchanged_since(&self, name: &TicketId, up_to: u64) -> bool {
        self.tickets.get(name).is_none_or(|ticket| ticket.version <= up_to)
    }
}

fn claim_of(state: &TicketState) -> Option<&Claim> {
    state.hold().and_then(Hold::claim).or(state.sale().and_then(|sale| sale.claim.as_ref()))
}

/// What seats cost that are all held or sold.
fn prices<'a>(states: impl IntoIterator<Item = &'a TicketState>) -> Vec<Money> {
    let price = |state: &TicketState| state.hold().map(|hold| hold.price).or(state.sale().map(|sale| sale.price));
    states.into_iter().filter_map(price).collect()
}

fn reserved<'a>(hold: &HoldId, states: impl IntoIterator<Item = &'a TicketState> + Clone) -> SeatMapReply {
    let until = |state: &TicketState| {
        let own = state.hold().and_then(Hold::own).or(state.sale().and_then(|sale| sale.own));
        own.map(|own| own.until)
    };
    let until = states.clone().into_iter().filter_map(until).min().unwrap_or_default();
    SeatMapReply::Reserved { hold: hold.clone(), until, prices: prices(states) }
}

/// Why a seat that is not on sale keeps a layout without it from being published.
fn in_the_way(state: &TicketState) -> Option<TicketRefusal> {
    match state {
        TicketState::Available => None,
        TicketState::Reserved(hold) => Some(TicketReserved { until: hold.shown_until() }),
        TicketState::Sold(_) => Some(TicketSold),
        TicketState::Blocked { .. } => Some(TicketBlocked),
    }
}

/// Each seat of a layout, with its price.
fn prices_of(layout: Option<&Arc<Layout>>) -> BTreeMap<&TicketId, Money> {
    layout.into_iter().flat_map(|layout| layout.places()).map(|place| (&place.ticket, place.price)).collect()
}
