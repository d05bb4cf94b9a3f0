//! A world, shown to the properties.

use super::{World, bit};
use crate::checkout::Checkout;
use crate::ids::{CheckoutId, PaymentKey, TicketId};
use crate::invariants::System;
use crate::payment::Account;
use crate::seat_map::Seat;
use crate::ticket::Ticket;

impl System for World {
    fn tickets(&self) -> Box<dyn Iterator<Item = (&TicketId, &Ticket)> + '_> {
        Box::new(self.scene.tickets.iter().zip(self.seats.iter().map(|seat| &*seat.ticket)))
    }
    fn checkouts(&self) -> Box<dyn Iterator<Item = &Checkout> + '_> {
        Box::new(self.runs.iter().flatten().map(|run| run.running.checkout()))
    }
    fn ticket(&self, id: &TicketId) -> Option<&Ticket> {
        self.seat_of(id).map(|seat| &*self.seats[seat].ticket)
    }
    fn checkout(&self, id: &CheckoutId) -> Option<&Checkout> {
        self.run_of(id).and_then(|run| self.runs[run].as_ref()).map(|run| run.running.checkout())
    }
    fn shown(&self, ticket: &TicketId) -> Option<Seat> {
        let seat = &self.seats[self.seat_of(ticket)?];
        self.maps[usize::from(seat.map)].seat(ticket).copied()
    }
    fn account(&self, checkout: &CheckoutId) -> Option<&Account> {
        let run = self.run_of(checkout).and_then(|run| self.runs[run].as_ref()).filter(|run| run.asked)?;
        self.ledger.account(&run.authorize_key)
    }
    fn accounts(&self) -> Box<dyn Iterator<Item = (&PaymentKey, &Account)> + '_> {
        Box::new(self.ledger.accounts())
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
    fn remembers(&self) -> usize {
        self.scene.remembers
    }
    fn is_at_rest(&self) -> bool {
        self.mail.is_empty()
            && self.seats.iter().all(|seat| seat.timers.is_empty())
            && self.runs.iter().flatten().all(|run| !self.is_under_way(run))
    }
}
