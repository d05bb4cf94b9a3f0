//! A world, shown to the properties.

use super::{World, bit};
use crate::checkout::Checkout;
use crate::ids::{CheckoutId, PaymentKey, TicketId};
use crate::invariants::{AccountFacts, SeatFacts, System};

impl System for World {
    fn tickets(&self) -> Box<dyn Iterator<Item = (&TicketId, SeatFacts<'_>)> + '_> {
        Box::new(self.maps.iter().flat_map(|place| place.map.tickets()).map(|(id, ticket)| (id, ticket.into())))
    }
    fn checkouts(&self) -> Box<dyn Iterator<Item = &Checkout> + '_> {
        Box::new(self.runs.iter().flatten().map(|run| run.running.checkout()))
    }
    fn ticket(&self, id: &TicketId) -> Option<SeatFacts<'_>> {
        self.maps[self.place_of(id.map_str())?].map.ticket(id).map(SeatFacts::from)
    }
    fn checkout(&self, id: &CheckoutId) -> Option<&Checkout> {
        self.run_of(id).and_then(|run| self.runs[run].as_ref()).map(|run| run.running.checkout())
    }
    fn account(&self, checkout: &CheckoutId) -> Option<AccountFacts<'_>> {
        let run = self.run_of(checkout).and_then(|run| self.runs[run].as_ref()).filter(|run| run.asked)?;
        self.ledger.account(&run.authorize_key).map(AccountFacts::from)
    }
    fn accounts(&self) -> Box<dyn Iterator<Item = (&PaymentKey, AccountFacts<'_>)> + '_> {
        Box::new(self.ledger.accounts().map(|(key, account)| (key, account.into())))
    }
    fn is_reset(&self, ticket: &TicketId) -> bool {
        self.seat_of(ticket).is_some_and(|seat| self.was_reset & bit(seat) != 0)
    }
    fn is_killed(&self, checkout: &CheckoutId) -> bool {
        self.run_of(checkout).and_then(|run| self.runs[run].as_ref()).is_some_and(|run| run.killed)
    }
    fn is_told(&self, checkout: &CheckoutId) -> Option<bool> {
        self.run_of(checkout).map(|run| self.told & bit(run) != 0)
    }
    fn may_have_forgotten(&self, _ticket: &TicketId, _checkout: &CheckoutId) -> bool {
        self.scene.forgets
    }
    fn is_at_rest(&self) -> bool {
        self.mail.is_empty()
            && self.maps.iter().all(|place| place.timers.is_empty())
            && self.runs.iter().flatten().all(|run| !self.is_under_way(run))
    }
}
