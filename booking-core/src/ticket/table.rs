//! The rules of a ticket: the table of the specification (§2), a function a row, a match arm a cell.
//!
//! Every row starts from a [`View`]: the ticket as it is at the command's time, with what has lapsed already gone. So no
//! row asks whether a hold is still live, and an accepted command records the lapse together with its own change.

use std::sync::Arc;

use super::TicketRefusal::{
    CheckoutInProgress, HoldExpired, HoldNotFound, TicketBlocked, TicketNotForSale, TicketReserved, TicketSold,
};
use super::TicketState::{self, Available, Blocked, Reserved, Sold};
use super::{
    Claim, Ended, EndedId, Hold, HoldName, Listing, MapUpdate, Sale, SoldTo, Term, Ticket, TicketEvent, TicketNotices,
    TicketRefusal, TicketReply, Timer,
};
use crate::ids::{CheckoutId, HoldId, UserId};
use crate::machine::Transition;
use crate::money::Money;
use crate::time::{HoldTtl, Timestamp};

/// What a row of the table ends in.
pub(super) type Decision = Result<Transition<Ticket>, TicketRefusal>;

/// A ticket as it is at a point in time: what has lapsed is gone. The event is what accepting would record so far.
pub(super) struct View<'a> {
    ticket: &'a Ticket,
    event: TicketEvent,
}

impl<'a> View<'a> {
    /// Takes away a lapsed hold, or a lapsed claim on a live hold.
    pub(super) fn at(ticket: &'a Ticket, now: Timestamp) -> Self {
        let at = now.max(ticket.at);
        let view = Self { ticket, event: TicketEvent { at, moved: None, listed: None, ended: Vec::new() } };
        match ticket.state.hold() {
            Some(hold) if hold.end() <= at => {
                let ends = hold.ends();
                view.ending(ends).moving(Available)
            }
            Some(hold) => match &hold.term {
                Term::Claimed { claim, until: Some(until) } if claim.deadline <= at => {
                    let term = Term::Unclaimed { until: *until };
                    let ends = EndedId::Checkout(claim.checkout.clone());
                    view.ending([ends]).moving(Reserved(Arc::new(Hold { term, ..Hold::clone(hold) })))
                }
                Term::Claimed { .. } | Term::Unclaimed { .. } => view,
            },
            None => view,
        }
    }

    fn now(&self) -> Timestamp {
        self.event.at
    }

    pub(super) fn state(&self) -> &TicketState {
        self.event.moved.as_ref().unwrap_or(&self.ticket.state)
    }

    /// The version after this command's change.
    fn next_version(&self) -> u64 {
        self.ticket.version.saturating_add(1)
    }

    /// Whether one of these is remembered to have ended. What ends by this view has pushed the oldest out already, so that
    /// it makes no difference whether a lapse was recorded before.
    fn has_ended(&self, ids: &[EndedId]) -> bool {
        let (before, new) = (&self.ticket.ended.0, &self.event.ended);
        let forgotten = (before.len() + new.len()).saturating_sub(Ended::MEMORY);
        ids.iter().any(|id| new.contains(id) || before.iter().skip(forgotten).any(|known| known == id))
    }

    /// What a new hold costs.
    fn price(&self, unlisted: Option<Money>) -> Result<Money, TicketRefusal> {
        self.ticket.listing.map(|listing| listing.price).or(unlisted).ok_or(TicketNotForSale)
    }

    // How a decision is put together: what ends, where the ticket goes, then `accept`. Inlined, because a view is too
    // large to be copied from call to call.

    #[inline(always)]
    fn ending(mut self, ids: impl IntoIterator<Item = EndedId>) -> Self {
        for id in ids {
            if !self.has_ended(std::slice::from_ref(&id)) {
                self.event.ended.push(id);
            }
        }
        self
    }

    #[inline(always)]
    fn moving(mut self, to: TicketState) -> Self {
        self.event.moved = Some(to);
        self
    }

    #[inline(always)]
    fn accept(self, reply: TicketReply) -> Decision {
        let changed = self.event.is_change();
        let map = changed.then(|| MapUpdate { status: self.state().status(), version: self.next_version() });
        let timer = self.new_end().map(|hold| Timer { hold: hold.id.clone(), until: hold.end() });
        let recorded = changed || !self.event.ended.is_empty();
        Ok(Transition { event: recorded.then_some(self.event), reply, notices: TicketNotices { map, timer } })
    }

    /// The hold, if it is a new one or its end has changed. A new one ends after now, and so after any that lapsed.
    fn new_end(&self) -> Option<&Hold> {
        let hold = self.event.moved.as_ref()?.hold()?;
        let same = self.ticket.hold().is_some_and(|before| before.end() == hold.end());
        (!same).then_some(hold)
    }

    // The table, a row each.

    pub(super) fn reserve(self, user: &UserId, name: &HoldName, ttl: HoldTtl, unlisted: Option<Money>) -> Decision {
        if self.has_ended(&[EndedId::Hold(name.id().clone())]) {
            return Err(HoldExpired);
        }
        match self.state() {
            Available => {
                let (id, until, price) = (name.id().clone(), self.now().plus(ttl.length()), self.price(unlisted)?);
                let reply = TicketReply::Reserved { hold: Some(id.clone()), until, price };
                let term = Term::Unclaimed { until };
                self.moving(Reserved(Arc::new(Hold { id, by: user.clone(), price, term }))).accept(reply)
            }
            Reserved(hold) if hold.id == *name.id() && hold.by == *user => {
                let until = hold.until().ok_or(CheckoutInProgress)?;
                let reply = TicketReply::Reserved { hold: Some(hold.id.clone()), until, price: hold.price };
                self.accept(reply)
            }
            Reserved(hold) if matches!(name, HoldName::Fresh(_)) && hold.by == *user => {
                let reply = TicketReply::Reserved { hold: None, until: hold.shown_until(), price: hold.price };
                self.accept(reply)
            }
            Reserved(hold) => Err(TicketReserved { until: hold.shown_until() }),
            Sold(_) => Err(TicketSold),
            Blocked { .. } => Err(TicketBlocked),
        }
    }

    pub(super) fn claim(
        self,
        user: &UserId,
        id: &HoldId,
        checkout: &CheckoutId,
        deadline: Timestamp,
        unlisted: Option<Money>,
    ) -> Decision {
        let sold_to_it =
            self.state().sale().and_then(|sale| sale.to.as_ref()).is_some_and(|to| to.checkout == *checkout);
        let ended = self.has_ended(&[EndedId::Hold(id.clone()), EndedId::Checkout(checkout.clone())]);
        if !sold_to_it && (ended || deadline <= self.now()) {
            return Err(HoldExpired);
        }
        let fence = self.next_version();
        let claim = Claim { checkout: checkout.clone(), deadline, fence };
        match self.state() {
            Available => {
                let price = self.price(unlisted)?;
                let term = Term::Claimed { claim, until: None };
                let hold = Hold { id: id.clone(), by: user.clone(), price, term };
                self.moving(Reserved(Arc::new(hold))).accept(TicketReply::Claimed { fence, price })
            }
            Reserved(hold) if hold.id == *id && hold.by == *user => match &hold.term {
                Term::Unclaimed { until } => {
                    let term = Term::Claimed { claim, until: Some(*until) };
                    let (price, hold) = (hold.price, Hold { term, ..Hold::clone(hold) });
                    self.moving(Reserved(Arc::new(hold))).accept(TicketReply::Claimed { fence, price })
                }
                Term::Claimed { claim, .. } if claim.checkout == *checkout => {
                    let reply = TicketReply::Claimed { fence: claim.fence, price: hold.price };
                    self.accept(reply)
                }
                Term::Claimed { .. } => Err(CheckoutInProgress),
            },
            Reserved(hold) => Err(TicketReserved { until: hold.shown_until() }),
            Sold(sale) => match &sale.to {
                Some(to) if to.checkout == *checkout && sale.hold == *id && sale.by == *user => {
                    let reply = TicketReply::Claimed { fence: to.fence, price: sale.price };
                    self.accept(reply)
                }
                Some(_) | None => Err(TicketSold),
            },
            Blocked { .. } => Err(TicketBlocked),
        }
    }

    pub(super) fn confirm(self, id: &HoldId, checkout: &CheckoutId, fence: u64) -> Decision {
        match self.state() {
            Available => {
                let ended = self.has_ended(&[EndedId::Hold(id.clone()), EndedId::Checkout(checkout.clone())]);
                Err(if ended { HoldExpired } else { HoldNotFound })
            }
            Reserved(hold) => match &hold.term {
                Term::Claimed { claim, until }
                    if hold.id == *id && claim.checkout == *checkout && claim.fence == fence =>
                {
                    let sale = Sale {
                        hold: hold.id.clone(),
                        by: hold.by.clone(),
                        price: hold.price,
                        until: *until,
                        to: Some(SoldTo { checkout: checkout.clone(), fence }),
                        at: self.now(),
                    };
                    self.moving(Sold(Arc::new(sale))).accept(TicketReply::Done)
                }
                Term::Claimed { .. } | Term::Unclaimed { .. } => Err(HoldNotFound),
            },
            Sold(sale) => match &sale.to {
                Some(to) if sale.hold == *id && to.checkout == *checkout && to.fence == fence => {
                    self.accept(TicketReply::Done)
                }
                Some(_) | None => Err(TicketSold),
            },
            Blocked { .. } => Err(TicketBlocked),
        }
    }

    pub(super) fn release(self, id: &HoldId) -> Decision {
        match self.state() {
            Available | Blocked { .. } => self.accept(TicketReply::Done),
            Reserved(hold) if hold.id == *id => match &hold.term {
                Term::Unclaimed { .. } => {
                    let ends = hold.ends();
                    self.ending(ends).moving(Available).accept(TicketReply::Done)
                }
                Term::Claimed { .. } => Err(CheckoutInProgress),
            },
            Reserved(_) => self.accept(TicketReply::Done),
            Sold(_) => Err(TicketSold),
        }
    }

    pub(super) fn revoke(self, id: &HoldId, checkout: &CheckoutId) -> Decision {
        let view = self.ending([EndedId::Checkout(checkout.clone())]);
        match view.state() {
            Reserved(hold) if hold.id == *id && hold.claim().is_some_and(|claim| claim.checkout == *checkout) => {
                let (by, price, until) = (hold.by.clone(), hold.price, hold.until());
                view.back(id, by, price, until)
            }
            Sold(sale) if sale.hold == *id && sale.to.as_ref().is_some_and(|to| to.checkout == *checkout) => {
                let (by, price, until) = (sale.by.clone(), sale.price, sale.until);
                view.back(id, by, price, until)
            }
            Available | Reserved(_) | Sold(_) | Blocked { .. } => view.accept(TicketReply::Done),
        }
    }

    /// Where a revoked claim or sale goes: back to the buyer's own hold while that lasts, else on sale.
    fn back(self, id: &HoldId, by: UserId, price: Money, until: Option<Timestamp>) -> Decision {
        match until {
            Some(until) if until > self.now() => {
                let term = Term::Unclaimed { until };
                self.moving(Reserved(Arc::new(Hold { id: id.clone(), by, price, term }))).accept(TicketReply::Done)
            }
            Some(_) => self.ending([EndedId::Hold(id.clone())]).moving(Available).accept(TicketReply::Done),
            None => self.moving(Available).accept(TicketReply::Done),
        }
    }

    pub(super) fn expire(self, id: &HoldId, until: Timestamp) -> Decision {
        // A timer that came early is armed again; one whose hold has lapsed has done its work in `View::at`.
        let early = self.state().hold().is_some_and(|hold| hold.id == *id && hold.end() == until);
        let mut transition = self.accept(TicketReply::Done)?;
        if early {
            transition.notices.timer = Some(Timer { hold: id.clone(), until });
        }
        Ok(transition)
    }

    pub(super) fn block(self, reason: &str) -> Decision {
        match self.state() {
            Available => self.moving(Blocked { reason: reason.to_owned() }).accept(TicketReply::Done),
            Reserved(hold) => Err(TicketReserved { until: hold.shown_until() }),
            Sold(_) => Err(TicketSold),
            Blocked { .. } => self.accept(TicketReply::Done),
        }
    }

    pub(super) fn unblock(self) -> Decision {
        match self.state() {
            Blocked { .. } => self.moving(Available).accept(TicketReply::Done),
            Available | Reserved(_) | Sold(_) => self.accept(TicketReply::Done),
        }
    }

    pub(super) fn list(mut self, price: Money, edition: Option<u64>) -> Decision {
        let known = self.ticket.listing.map_or(0, |listing| listing.edition);
        let stale = edition.is_some_and(|edition| edition <= known);
        let listing = Listing { price, edition: edition.unwrap_or(known) };
        if !stale && self.ticket.listing != Some(listing) {
            self.event.listed = Some(listing);
        }
        self.accept(TicketReply::Done)
    }

    pub(super) fn sell(self, user: &UserId, id: &HoldId, unlisted: Option<Money>) -> Decision {
        match self.state() {
            Available if self.has_ended(&[EndedId::Hold(id.clone())]) => Err(HoldExpired),
            Available => {
                let (at, price) = (self.now(), self.price(unlisted)?);
                let sale = Sale { hold: id.clone(), by: user.clone(), price, until: None, to: None, at };
                self.moving(Sold(Arc::new(sale))).accept(TicketReply::Sold { price })
            }
            Reserved(hold) => Err(TicketReserved { until: hold.shown_until() }),
            Sold(_) => Err(TicketSold),
            Blocked { .. } => Err(TicketBlocked),
        }
    }

    pub(super) fn reset(self, up_to: u64) -> Decision {
        let unchanged_since = self.ticket.version <= up_to;
        match self.state() {
            Available => self.accept(TicketReply::Done),
            Reserved(hold) => Err(TicketReserved { until: hold.shown_until() }),
            Sold(sale) if unchanged_since => {
                let hold = EndedId::Hold(sale.hold.clone());
                let checkout = sale.to.as_ref().map(|to| EndedId::Checkout(to.checkout.clone()));
                self.ending([hold].into_iter().chain(checkout)).moving(Available).accept(TicketReply::Done)
            }
            Blocked { .. } if unchanged_since => self.moving(Available).accept(TicketReply::Done),
            Sold(_) | Blocked { .. } => self.accept(TicketReply::Done),
        }
    }
}
