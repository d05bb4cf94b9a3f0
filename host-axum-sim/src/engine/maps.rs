//! Seat maps: their turns, and what follows from one: records, numbers, the timer, news.

use std::collections::btree_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use booking_core::ids::{CheckoutId, MapKey, TicketId, UserId};
use booking_core::invariants::SeatFacts;
use booking_core::inventory::{Line, LineAnswer, LineCommand, LineReply, of_map};
use booking_core::machine::{Machine, Transition};
use booking_core::map::ticket::TicketStatus;
use booking_core::map::ticket::{Hold, Offer, Ticket, TicketCommand};
use booking_core::map::{
    Header, Needs, News, Picture, SeatMap, SeatMapCommand, SeatMapEvent, SeatMapRefusal, SeatMapReply, Seats,
};
use booking_core::time::{Millis, Timestamp};

use super::{Due, Engine, Name, Output, Shown};

/// Whether nothing is left of a map but its version and its time.
pub(super) fn is_empty(map: &SeatMap) -> bool {
    let Header { version: _, at: _, edition, armed, tickets, sold: _, ended, last_wishes } = map.header();
    (*edition, *tickets, *ended, *last_wishes) == (0, 0, 0, 0) && armed.is_none()
}

/// After how long the timer of a map fires again that could not judge what has ended.
const AGAIN: Millis = Millis::from_mins(10);

impl Engine {
    /// What is recorded of a seat: its version, or its map's where nothing is stored of it, and its status.
    #[must_use]
    pub fn seat_version(&self, id: &TicketId) -> (u64, TicketStatus) {
        let map = self.maps.get(id.map_str()).unwrap_or(&self.nothing);
        (map.version_of(id), map.ticket(id).map_or(TicketStatus::Available, |ticket| ticket.state.status()))
    }

    /// Of how many seats anything is stored.
    #[must_use]
    pub fn stored_seats(&self) -> u64 {
        self.seats_stored
    }

    /// A seat of which anything is stored.
    #[must_use]
    pub fn ticket(&self, id: &TicketId) -> Option<&Ticket> {
        self.maps.get(id.map_str())?.ticket(id)
    }

    /// Lets a map judge a command, and takes down what follows from it. `None` where the map cannot: then the command is given up,
    /// and the map takes its next one.
    pub(crate) fn ask_map(
        &mut self,
        key: &MapKey,
        command: &SeatMapCommand,
        now: Timestamp,
    ) -> Option<Result<SeatMapReply, SeatMapRefusal>> {
        let map = self.map(key);
        let Some(decided) = self.judged(map, command, now) else {
            self.said.push(Output::Alarm(format!("map {key} cannot judge a command: it is given up")));
            return None;
        };
        let Transition { event, reply, notices } = match decided {
            Ok(transition) => transition,
            Err(refusal) => return Some(Err(refusal)),
        };
        let Some(event) = event else { return Some(Ok(reply)) };
        let rows = event.tickets.iter().map(|(id, after)| (id.clone(), map.ticket(id).cloned(), after.clone()));
        let rows: Vec<_> = rows.collect();
        let (armed, stored) = (map.header().armed, map.header().tickets);
        for (id, before, after) in &rows {
            self.seat_changed(id, before.as_ref(), after.as_ref(), command, event.header.at);
        }
        self.arm(key, armed, event.header.armed);
        self.seats_stored = (self.seats_stored + event.header.tickets).saturating_sub(stored);
        self.touch(key, &event);
        let entry = self.maps.entry(key.clone());
        let is_new = matches!(entry, Entry::Vacant(_));
        let map = entry.or_insert_with(|| self.nothing.clone());
        map.apply(&event);
        if let Some(picture) = self.pictures.get_mut(key) {
            // Who looks at it has it to themselves.
            Arc::make_mut(picture).apply(&event, map);
        }
        let (is_empty, wants_reset) = (is_empty(map), map.wants_reset(&self.settings.terms));
        self.make_room(key, is_empty);
        // One that begins after others were forgotten leaves out versions: its watchers see it anew.
        let begins_late = event.header.version > 1 && is_new;
        match notices.watchers {
            Some(News::Changed(delta)) if !begins_late => {
                self.said.push(Output::News(key.clone(), Shown::Changed(Arc::new(delta))));
            }
            Some(News::Changed(_) | News::Republished { .. }) => {
                let whole = Shown::Whole(self.recorded(key));
                self.said.push(Output::News(key.clone(), whole));
            }
            None => {}
        }
        if wants_reset {
            self.to_reset.insert(key.clone());
        }
        Some(Ok(reply))
    }

    /// What a map says to a command; `None` where it needs a seat that cannot be read, or where the rules panic. Judging changes
    /// nothing.
    fn judged(
        &self,
        map: &SeatMap,
        command: &SeatMapCommand,
        now: Timestamp,
    ) -> Option<Result<Transition<SeatMap>, SeatMapRefusal>> {
        let is_lacking = match command.needs(map.header()) {
            _ if self.unreadable.is_empty() => false,
            Needs::Parts(parts) => parts.seats.iter().any(|id| self.unreadable.contains(id)),
            Needs::All | Needs::AllAndLayout => self.unreadable.iter().any(|id| map.ticket(id).is_some()),
        };
        if is_lacking {
            return None;
        }
        catch_unwind(AssertUnwindSafe(|| {
            #[cfg(test)]
            assert!(!command.seats().iter().any(|id| id.as_str().ends_with(":panics")), "as a test wants it");
            map.decide(command, now)
        }))
        .ok()
    }

    /// Resets the maps that have sold as many seats as they may, once the input that sold them is done: a booking can then
    /// take note of it.
    pub(super) fn reset_the_full(&mut self, now: Timestamp) {
        for key in std::mem::take(&mut self.to_reset) {
            if self.being_sold_on(&key).is_some() {
                // It is looked at again when a checkout ends.
                self.to_reset_later.insert(key);
            } else if self.map(&key).wants_reset(&self.settings.terms) {
                let _given_up = self.ask_map(&key, &SeatMapCommand::ResetAll, now);
            }
        }
    }

    /// What a checkout asks for a line of its order.
    pub(crate) fn ask_line(&mut self, line: &Line, command: &LineCommand, now: Timestamp) -> Option<LineAnswer> {
        // Here a checkout's commands come in order, each once, so no claim can come after its revoke. One that claimed nothing
        // leaves no mark: thousands who come too late for a seat cost the map nothing.
        if let LineCommand::Revoke { checkout, .. } = command
            && !line.seats.as_slice().iter().any(|id| self.is_of(checkout, id) || self.unreadable.contains(id))
        {
            return Some(Ok(LineReply::Done));
        }
        let command = line.ask(command, |seats| self.offer(&line.at, seats));
        self.ask_map(&line.at, &command, now).map(of_map)
    }

    /// Whether a seat is claimed by, or sold to, a checkout.
    fn is_of(&self, checkout: &CheckoutId, id: &TicketId) -> bool {
        let facts = self.ticket(id).map(SeatFacts::from).unwrap_or_default();
        facts.claimed_by == Some(checkout) || facts.sold_to == Some(checkout)
    }

    /// What these seats of a map cost.
    pub(super) fn offer(&self, key: &MapKey, seats: &Seats) -> Offer {
        let default_price = self.settings.terms.default_price();
        let map = self.map(key);
        let room = map.header().tickets.saturating_add(self.room_for_seats());
        map.offer(seats, default_price, room)
    }

    /// How many more seats may be stored.
    pub(super) fn room_for_seats(&self) -> u64 {
        (self.settings.limits.tickets as u64).saturating_sub(self.seats_taken())
    }

    /// How many seats are stored. A map takes as much room as a seat, unless nothing is left of it.
    pub(super) fn seats_taken(&self) -> u64 {
        self.seats_stored.saturating_add((self.maps.len() - self.empty.len()) as u64)
    }

    /// Takes note of whether anything is left of a map that has changed, and forgets others of which nothing is, where there are too
    /// many. No map begins at a lower version or an earlier time than one that was forgotten: what names a version of that one
    /// names none of the next under its key.
    fn make_room(&mut self, key: &MapKey, is_empty: bool) {
        if is_empty {
            self.empty.insert(key.clone());
        } else if !self.empty.is_empty() {
            self.empty.remove(key);
        }
        while self.seats_stored.saturating_add(self.maps.len() as u64) > self.settings.limits.tickets as u64
            && let Some(key) = self.empty.pop_first()
            && let Some(map) = self.maps.remove(&key)
        {
            self.pictures.remove(&key);
            let (last, so_far) = (map.header(), self.nothing.header());
            let (version, at) = (last.version.max(so_far.version), last.at.max(so_far.at));
            let header = Header { version, at, ..Header::default() };
            self.nothing = SeatMap::from_parts(header, None, [], [], []);
            self.touched.extend([Name::Map(key), Name::Beginning]);
        }
    }

    /// What is recorded of a map.
    pub(super) fn recorded(&mut self, key: &MapKey) -> Arc<Picture> {
        let Some(map) = self.maps.get(key) else { return Arc::new(self.nothing.recorded()) };
        let picture = self.pictures.entry(key.clone()).or_insert_with(|| Arc::new(map.recorded()));
        Arc::clone(picture)
    }

    /// What is shown of a map at a point in time.
    pub(super) fn picture(&mut self, key: &MapKey, now: Timestamp) -> Arc<Picture> {
        let recorded = self.recorded(key);
        let mut lapsed = self.map(key).lapsed(now).peekable();
        if lapsed.peek().is_none() { recorded } else { Arc::new(Picture::clone(&recorded).with(lapsed)) }
    }

    /// The map's one timer.
    pub(super) fn arm(&mut self, key: &MapKey, before: Option<Timestamp>, after: Option<Timestamp>) {
        if let Some(at) = before.filter(|_| before != after) {
            self.due.remove(&(at, Due::Map(key.clone())));
        }
        // Also where it is armed for the same time again: it may be the one that has just fired.
        if let Some(at) = after {
            self.due.insert((at, Due::Map(key.clone())));
        }
    }

    /// The map's timer fires.
    pub(super) fn timer_fires(&mut self, key: &MapKey, now: Timestamp) {
        let Some(due) = self.maps.get(key).and_then(|map| map.header().armed) else { return };
        if self.ask_map(key, &SeatMapCommand::Expire { due }, now).is_none() {
            self.due.insert((now.plus(AGAIN), Due::Map(key.clone())));
        }
    }

    fn touch(&mut self, key: &MapKey, event: &SeatMapEvent) {
        self.touched.push(Name::Map(key.clone()));
        self.touched.extend(event.tickets.iter().map(|(id, _)| Name::Seat(key.clone(), id.clone())));
        self.touched.extend(event.ended.iter().map(|(id, _)| Name::Ended(key.clone(), id.clone())));
        self.touched.extend(event.last_wishes.iter().map(|(id, _)| Name::LastWish(key.clone(), id.clone())));
        self.touched.extend(event.layout.iter().map(|_| Name::Layout(key.clone())));
    }

    /// Takes down what a seat's change means for the numbers, and for the booking whose sale it ends.
    fn seat_changed(
        &mut self,
        id: &TicketId,
        before: Option<&Ticket>,
        after: Option<&Ticket>,
        command: &SeatMapCommand,
        at: Timestamp,
    ) {
        self.count(before, after);
        let hold = |ticket: Option<&Ticket>| ticket.and_then(|ticket| ticket.state.hold()).cloned();
        let (held, holds) = (hold(before), hold(after));
        let is_over = held.as_ref().is_some_and(|hold| hold.own().is_some() && hold.end() <= at);
        if is_over && holds.as_ref().map(|hold| &hold.id) != held.as_ref().map(|hold| &hold.id) {
            self.counts.holds_lapsed += 1;
        }
        let resets = match command {
            SeatMapCommand::ResetAll => true,
            SeatMapCommand::Seats { command, .. } => matches!(command, TicketCommand::Reset { .. }),
            SeatMapCommand::List { .. }
            | SeatMapCommand::Publish { .. }
            | SeatMapCommand::Erase { .. }
            | SeatMapCommand::Expire { .. } => false,
        };
        let sale = before.filter(|_| resets).and_then(|ticket| ticket.state.sale());
        let sold_still = after.is_some_and(|ticket| ticket.state.sale().is_some());
        let checkout = sale.filter(|_| !sold_still).and_then(|sale| sale.claim.as_ref()).map(|claim| &claim.checkout);
        if let Some(booking) = checkout.and_then(|checkout| self.checkouts.get_mut(checkout)) {
            booking.seat_was_reset(id.clone());
            self.touched.push(Name::Checkout(booking.checkout().id().clone()));
        }
    }

    /// Counts a stored seat by its status, and by who holds it.
    pub(super) fn count(&mut self, before: Option<&Ticket>, after: Option<&Ticket>) {
        let status = |ticket: &Ticket| ticket.state.status();
        if before.map(status) != after.map(status) {
            if let Some(before) = before {
                let count = self.counts.tickets.entry(status(before)).or_default();
                *count = count.saturating_sub(1);
            }
            if let Some(after) = after {
                *self.counts.tickets.entry(status(after)).or_default() += 1;
            }
        }
        if self.settings.limits.holds_per_user.is_none() {
            return;
        }
        let holder =
            |ticket: Option<&Ticket>| ticket.and_then(|ticket| ticket.state.hold()).map(|hold| hold.by.clone());
        let (before, after) = (holder(before), holder(after));
        if before != after {
            before.iter().for_each(|user| self.let_go(user));
            if let Some(user) = after {
                *self.holders.entry(user).or_default() += 1;
            }
        }
    }

    fn let_go(&mut self, user: &UserId) {
        if let Some(count) = self.holders.get_mut(user) {
            *count -= 1;
            if *count == 0 {
                self.holders.remove(user);
            }
        }
    }

    /// How many seats have each status: those that are stored, and those that are as they were laid out.
    pub(super) fn seats_by_status(&self) -> std::collections::BTreeMap<TicketStatus, u64> {
        let mut seats = self.counts.tickets.clone();
        let laid_out = self.maps.values().filter_map(|map| Some((map.layout()?.len() as u64, map.header().tickets)));
        let on_sale: u64 = laid_out.map(|(all, stored)| all.saturating_sub(stored)).sum();
        *seats.entry(TicketStatus::Available).or_default() += on_sale;
        seats
    }

    /// Whether a buyer holds the seat.
    pub(super) fn holds(&self, user: &UserId, id: &TicketId) -> bool {
        self.ticket(id).and_then(|ticket| ticket.state.hold()).is_some_and(|hold: &Hold| hold.by == *user)
    }
}
