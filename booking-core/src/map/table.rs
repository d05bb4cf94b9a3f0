//! The rules of one seat: the table of the specification (§2), a function a row, a match arm a cell.
//!
//! Every row starts from a [`Seat`]: the seat at the time of the command, with what has lapsed already gone. So no
//! row asks whether a hold is still live, and an accepted command records the lapse together with its own change. A row
//! answers what the seat becomes.

use std::sync::Arc;

use super::ticket::TicketRefusal::{
    CheckoutInProgress, HoldExpired, HoldNotFound, TicketBlocked, TicketReserved, TicketSold,
};
use super::ticket::TicketState::{self, Available, Blocked, Reserved, Sold};
use super::ticket::{Claim, Hold, HoldStatus, Own, Sale, TicketRefusal};
use crate::ids::{CheckoutId, HoldId, UserId};
use crate::money::Money;
use crate::time::Timestamp;

/// What a row of the table ends in: what the seat becomes, or why not.
pub(super) type Cell = Result<TicketState, TicketRefusal>;

/// A seat at a point in time: what has lapsed is gone.
pub(super) struct Seat {
    pub(super) state: TicketState,
    now: Timestamp,
}

impl Seat {
    /// Takes away a lapsed hold, or a lapsed claim on a live hold.
    pub(super) fn at(state: &TicketState, now: Timestamp) -> Self {
        let left = match state {
            Reserved(hold) if hold.end() <= now => after_the_hold(hold.then_blocked.as_ref()),
            Reserved(hold) => match &hold.status {
                HoldStatus::Claimed { claim, own: Some(own) } if claim.deadline <= now => {
                    held(Hold { status: HoldStatus::Unclaimed(*own), ..Hold::clone(hold) })
                }
                HoldStatus::Claimed { .. } | HoldStatus::Unclaimed(_) => state.clone(),
            },
            Available | Sold(_) | Blocked { .. } => state.clone(),
        };
        Self { state: left, now }
    }

    /// Whether the seat is claimed by this checkout, or sold to it, under this hold and for this buyer: then the claim
    /// stands, and a copy of it is answered alike.
    pub(super) fn standing_claim(&self, user: &UserId, id: &HoldId, checkout: &CheckoutId) -> Option<&Claim> {
        let (hold, by, claim) = match &self.state {
            Reserved(hold) => (&hold.id, &hold.by, hold.claim()),
            Sold(sale) => (&sale.hold, &sale.by, sale.claim.as_ref()),
            Available | Blocked { .. } => return None,
        };
        claim.filter(|claim| hold == id && by == user && claim.checkout == *checkout)
    }

    /// Whether the seat is held by, claimed for, or sold to this buyer under this hold.
    pub(super) fn is_under(&self, user: &UserId, id: &HoldId) -> bool {
        match &self.state {
            Reserved(hold) => hold.id == *id && hold.by == *user,
            Sold(sale) => sale.hold == *id && sale.by == *user,
            Available | Blocked { .. } => false,
        }
    }

    // The table, a row each.

    pub(super) fn reserve(
        &self,
        user: &UserId,
        id: &HoldId,
        until: Timestamp,
        latest: Timestamp,
        price: impl FnOnce() -> Result<Money, TicketRefusal>,
    ) -> Cell {
        match &self.state {
            Available => {
                let status = HoldStatus::Unclaimed(Own { until, latest });
                Ok(held(Hold { id: id.clone(), by: user.clone(), price: price()?, status, then_blocked: None }))
            }
            Reserved(hold) if hold.id == *id && hold.by == *user => match &hold.status {
                HoldStatus::Unclaimed(own) if hold.then_blocked.is_none() => {
                    let until = own.until.max(until.min(own.latest));
                    Ok(held(Hold { status: HoldStatus::Unclaimed(Own { until, ..*own }), ..Hold::clone(hold) }))
                }
                HoldStatus::Unclaimed(_) | HoldStatus::Claimed { own: Some(_), .. } => self.unchanged(),
                HoldStatus::Claimed { own: None, .. } => Err(CheckoutInProgress),
            },
            Reserved(hold) => Err(TicketReserved { until: hold.shown_until() }),
            Sold(_) => Err(TicketSold),
            Blocked { .. } => Err(TicketBlocked),
        }
    }

    pub(super) fn claim(
        &self,
        user: &UserId,
        id: &HoldId,
        brought: bool,
        claim: &Claim,
        price: impl FnOnce() -> Result<Money, TicketRefusal>,
    ) -> Cell {
        match &self.state {
            Available if brought => Err(HoldExpired),
            Available => {
                let status = HoldStatus::Claimed { claim: claim.clone(), own: None };
                Ok(held(Hold { id: id.clone(), by: user.clone(), price: price()?, status, then_blocked: None }))
            }
            Reserved(hold) if hold.id == *id && hold.by == *user => match &hold.status {
                HoldStatus::Unclaimed(own) => {
                    let status = HoldStatus::Claimed { claim: claim.clone(), own: Some(*own) };
                    Ok(held(Hold { status, ..Hold::clone(hold) }))
                }
                HoldStatus::Claimed { claim: standing, .. } if standing.checkout == claim.checkout => self.unchanged(),
                HoldStatus::Claimed { .. } => Err(CheckoutInProgress),
            },
            Reserved(hold) => Err(TicketReserved { until: hold.shown_until() }),
            Sold(_) if self.standing_claim(user, id, &claim.checkout).is_some() => self.unchanged(),
            Sold(_) => Err(TicketSold),
            Blocked { .. } => Err(TicketBlocked),
        }
    }

    /// `ended`: whether the map remembers that the checkout has ended.
    pub(super) fn confirm(&self, id: &HoldId, checkout: &CheckoutId, fence: u64, ended: bool) -> Cell {
        let exactly = |hold: &HoldId, claim: Option<&Claim>| {
            *hold == *id && claim.is_some_and(|claim| claim.checkout == *checkout && claim.fence == fence)
        };
        match &self.state {
            Available => Err(if ended { HoldExpired } else { HoldNotFound }),
            Reserved(hold) if exactly(&hold.id, hold.claim()) => Ok(Sold(Arc::new(Sale {
                hold: hold.id.clone(),
                by: hold.by.clone(),
                price: hold.price,
                own: hold.own(),
                claim: hold.claim().cloned(),
                at: self.now,
            }))),
            Reserved(_) => Err(HoldNotFound),
            Sold(sale) if exactly(&sale.hold, sale.claim.as_ref()) => self.unchanged(),
            Sold(_) => Err(TicketSold),
            Blocked { .. } => Err(TicketBlocked),
        }
    }

    pub(super) fn release(&self, id: &HoldId) -> Cell {
        match &self.state {
            Reserved(hold) if hold.id == *id => match &hold.status {
                HoldStatus::Unclaimed(_) => Ok(after_the_hold(hold.then_blocked.as_ref())),
                HoldStatus::Claimed { .. } => Err(CheckoutInProgress),
            },
            Available | Reserved(_) | Blocked { .. } => self.unchanged(),
            Sold(_) => Err(TicketSold),
        }
    }

    /// Back to the buyer's own hold while that lasts, else on sale.
    pub(super) fn revoke(&self, id: &HoldId, checkout: &CheckoutId) -> Cell {
        let is_its = |claim: &Claim| claim.checkout == *checkout;
        let own_end_ahead = |own: Option<Own>| own.filter(|own| own.until > self.now);
        match &self.state {
            Reserved(hold) if hold.id == *id && hold.claim().is_some_and(is_its) => {
                Ok(match own_end_ahead(hold.own()) {
                    Some(own) => held(Hold { status: HoldStatus::Unclaimed(own), ..Hold::clone(hold) }),
                    None => after_the_hold(hold.then_blocked.as_ref()),
                })
            }
            Sold(sale) if sale.hold == *id && sale.claim.as_ref().is_some_and(is_its) => Ok(own_end_ahead(sale.own)
                .map_or(Available, |own| {
                    let (by, price, status) = (sale.by.clone(), sale.price, HoldStatus::Unclaimed(own));
                    held(Hold { id: id.clone(), by, price, status, then_blocked: None })
                })),
            Available | Reserved(_) | Sold(_) | Blocked { .. } => self.unchanged(),
        }
    }

    pub(super) fn block(&self, reason: &str) -> Cell {
        match &self.state {
            Available => Ok(Blocked { reason: reason.to_owned() }),
            Reserved(hold) if hold.then_blocked.is_none() => {
                Ok(held(Hold { then_blocked: Some(reason.to_owned()), ..Hold::clone(hold) }))
            }
            Reserved(_) | Blocked { .. } => self.unchanged(),
            Sold(_) => Err(TicketSold),
        }
    }

    pub(super) fn unblock(&self) -> Cell {
        match &self.state {
            Blocked { .. } => Ok(Available),
            Reserved(hold) => Ok(held(Hold { then_blocked: None, ..Hold::clone(hold) })),
            Available | Sold(_) => self.unchanged(),
        }
    }

    pub(super) fn sell(
        &self,
        user: &UserId,
        id: &HoldId,
        price: impl FnOnce() -> Result<Money, TicketRefusal>,
    ) -> Cell {
        match &self.state {
            Available => {
                let (hold, by, price) = (id.clone(), user.clone(), price()?);
                Ok(Sold(Arc::new(Sale { hold, by, price, own: None, claim: None, at: self.now })))
            }
            Reserved(hold) => Err(TicketReserved { until: hold.shown_until() }),
            Sold(sale) if sale.claim.is_none() && self.is_under(user, id) => self.unchanged(),
            Sold(_) => Err(TicketSold),
            Blocked { .. } => Err(TicketBlocked),
        }
    }

    /// `unchanged_since`: whether the seat is still at the version that the operator saw, or an older one.
    pub(super) fn recall(&self, unchanged_since: bool) -> Cell {
        match &self.state {
            Reserved(hold) if unchanged_since && hold.claim().is_none() => {
                Ok(after_the_hold(hold.then_blocked.as_ref()))
            }
            Available | Reserved(_) | Sold(_) | Blocked { .. } => self.unchanged(),
        }
    }

    /// `unchanged_since`: as for [`Seat::recall`]. `ended`: the checkouts that are known to have ended.
    pub(super) fn reset(&self, unchanged_since: bool, ended: &[CheckoutId]) -> Cell {
        match &self.state {
            Sold(sale) if unchanged_since => match &sale.claim {
                Some(claim) if !ended.contains(&claim.checkout) => Err(CheckoutInProgress),
                Some(_) | None => Ok(Available),
            },
            Blocked { .. } if unchanged_since => Ok(Available),
            Reserved(hold) => Err(TicketReserved { until: hold.shown_until() }),
            Available | Sold(_) | Blocked { .. } => self.unchanged(),
        }
    }

    fn unchanged(&self) -> Cell {
        Ok(self.state.clone())
    }
}

fn held(hold: Hold) -> TicketState {
    Reserved(Arc::new(hold))
}

/// Where a seat goes when its hold ends: on sale, or off it if an operator asked for that meanwhile.
fn after_the_hold(then_blocked: Option<&String>) -> TicketState {
    then_blocked.map_or(Available, |reason| Blocked { reason: reason.clone() })
}
