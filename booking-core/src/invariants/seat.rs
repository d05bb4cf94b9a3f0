//! What must hold of each seat in every judgement of its map.

use super::turn::{MapTurn, claim_of, live};
use super::{Verdict, require};
use crate::ids::{CheckoutId, HoldId, TicketId, UserId};
use crate::map::ticket::{
    Claim, Hold, MakeClaim, Own, Reserve, Sale, Ticket, TicketCommand, TicketState, TicketStatus,
};
use crate::map::{BATCH, SeatMapCommand, SeatMapReply};
use crate::money::Money;
use crate::time::Timestamp;

/// One seat in a judgement.
pub(super) struct Seat<'a> {
    pub(super) id: &'a TicketId,
    pub(super) before: &'a TicketState,
    pub(super) after: &'a TicketState,
    /// The map's version at the seat's last change before.
    version: u64,
    now: Timestamp,
}

impl<'a> Seat<'a> {
    pub(super) fn of(turn: &MapTurn<'a>, id: &'a TicketId) -> Self {
        const AS_LAID_OUT: &TicketState = &TicketState::Available;
        let (before, after) = (turn.before.ticket(id), turn.after.ticket(id));
        let state = |ticket: Option<&'a Ticket>| ticket.map_or(AS_LAID_OUT, |ticket| &ticket.state);
        let version = before.map_or(0, |ticket| ticket.version);
        Self { id, before: state(before), after: state(after), version, now: turn.effective_now() }
    }

    /// The hold that was live when the command came.
    fn live_hold(&self) -> Option<&'a Hold> {
        live(self.before, self.now)
    }

    fn is_free(&self) -> bool {
        let lapsed = self.before.hold().is_some_and(|hold| hold.end() <= self.now && hold.then_blocked.is_none());
        lapsed || *self.before == TicketState::Available
    }
}

fn claims(claim: Option<&Claim>, checkout: &CheckoutId) -> bool {
    claim.is_some_and(|claim| claim.checkout == *checkout)
}

/// Whether an operator may put the seat back on sale by this.
fn resets(turn: &MapTurn<'_>, seat: &Seat<'_>) -> bool {
    match turn.command {
        SeatMapCommand::ResetAll => true,
        SeatMapCommand::Seats { command: TicketCommand::Reset { up_to, ended }, .. } => {
            let claim = seat.before.sale().and_then(|sale| sale.claim.as_ref());
            seat.version <= *up_to && claim.is_none_or(|claim| ended.contains(&claim.checkout))
        }
        SeatMapCommand::Seats { .. }
        | SeatMapCommand::List { .. }
        | SeatMapCommand::Publish { .. }
        | SeatMapCommand::Erase { .. }
        | SeatMapCommand::Expire { .. } => false,
    }
}

/// The sale as this command may leave it: to `(erased)`, where its buyer was to be erased.
fn after_erasure(turn: &MapTurn<'_>, sale: &Sale) -> Sale {
    let is_erased = matches!(turn.command, SeatMapCommand::Erase { user } if sale.by == *user);
    if is_erased { Sale { by: UserId::erased(), ..sale.clone() } } else { sale.clone() }
}

pub(super) fn sold_stays_sold(turn: &MapTurn<'_>) -> Verdict {
    turn.each_changed(|seat| {
        let Some(sale) = seat.before.sale() else { return Ok(()) };
        let revoked = matches!(turn.of_seat(seat.id), Some(TicketCommand::Revoke { hold, checkout, .. })
            if *hold == sale.hold && claims(sale.claim.as_ref(), checkout));
        let stays = seat.after.sale() == Some(&after_erasure(turn, sale));
        require(stays || revoked || resets(turn, seat), || format!("the sale of {} was lost", seat.id))
    })
}

pub(super) fn exact_expiry(turn: &MapTurn<'_>) -> Verdict {
    let now = turn.effective_now();
    turn.each_changed(|seat| {
        let newly_sold = seat.before.sale().is_none() && seat.after.sale().is_some_and(|sale| sale.claim.is_some());
        let live_claim = seat.before.hold().and_then(Hold::claim).is_some_and(|claim| now < claim.deadline);
        require(!newly_sold || live_claim, || format!("{} was confirmed after the claim's deadline", seat.id))?;
        if let (Some(before), Some(after)) = (claim_of(seat.before), claim_of(seat.after)) {
            let grown = before.fence == after.fence && before.deadline != after.deadline;
            require(!grown, || format!("the claim of {} has another deadline than before", seat.id))?;
        }
        let Some(hold) = seat.live_hold() else { return Ok(()) };
        let same = |after: &HoldId| *after == hold.id;
        let stays =
            seat.after.hold().is_some_and(|held| same(&held.id)) || seat.after.sale().is_some_and(|it| same(&it.hold));
        let given_back = match turn.of_seat(seat.id) {
            Some(TicketCommand::Release { hold: id, .. } | TicketCommand::Revoke { hold: id, .. }) => *id == hold.id,
            Some(TicketCommand::Recall { up_to }) => seat.version <= *up_to,
            _ => false,
        };
        require(stays || given_back, || format!("the hold of {} was taken back before its end", seat.id))
    })?;
    // What an accepted command has changed keeps nothing that has lapsed.
    let Ok(decision) = turn.decision else { return Ok(()) };
    let lapsed = |seat: &Seat<'_>| seat.after.hold().is_some_and(|hold| hold.end() <= now);
    let dead_claim =
        |seat: &Seat<'_>| seat.after.hold().and_then(Hold::claim).is_some_and(|claim| claim.deadline <= now);
    let expires = matches!(turn.command, SeatMapCommand::Expire { due } if turn.before.header().armed == Some(*due));
    if expires && turn.before.header().tickets <= BATCH as u64 {
        return turn.each_seat(|seat| require(!lapsed(seat), || format!("{} has lapsed, and was left", seat.id)));
    }
    let names = turn.set().filter(|_| decision.event.is_some());
    names.into_iter().flat_map(|(seats, _)| seats.as_slice()).try_for_each(|id| {
        let seat = Seat::of(turn, id);
        require(!lapsed(&seat) && !dead_claim(&seat), || format!("an accepted command left a lapsed hold on {id}"))
    })
}

pub(super) fn fenced(turn: &MapTurn<'_>) -> Verdict {
    let now = turn.effective_now();
    turn.each_changed(|seat| {
        let Some(hold) = seat.live_hold() else { return Ok(()) };
        let claim = hold.claim().filter(|claim| now < claim.deadline);
        let own = match turn.of_seat(seat.id) {
            Some(TicketCommand::Reserve(Reserve { hold: id, user, .. })) => *id == hold.id && *user == hold.by,
            Some(TicketCommand::Claim(MakeClaim { hold: id, user, checkout, .. })) => {
                *id == hold.id && *user == hold.by && (claim.is_none() || claims(claim, checkout))
            }
            Some(TicketCommand::Confirm { hold: id, checkout, fence }) => {
                *id == hold.id && claims(claim, checkout) && claim.is_some_and(|claim| claim.fence == *fence)
            }
            Some(TicketCommand::Release { hold: id, .. }) => *id == hold.id && claim.is_none(),
            Some(TicketCommand::Revoke { hold: id, checkout, .. }) => *id == hold.id && claims(hold.claim(), checkout),
            Some(TicketCommand::Recall { up_to }) => claim.is_none() && seat.version <= *up_to,
            Some(
                TicketCommand::Block { .. }
                | TicketCommand::Unblock
                | TicketCommand::Sell { .. }
                | TicketCommand::Reset { .. },
            )
            | None => false,
        };
        let same = seat.after.hold().is_some_and(|after| {
            let claim_lapsed = claim.is_none() && after.claim().is_none();
            (&after.id, &after.by, after.price, after.own()) == (&hold.id, &hold.by, hold.price, hold.own())
                && (after.claim() == hold.claim() || claim_lapsed)
        });
        require(own || same, || format!("the hold of {} was changed by what is not its own", seat.id))
    })
}

/// Whose it is, what it costs and when it ends by itself: as long as a hold or the sale under it stands. Only its buyer may
/// ask for more time.
pub(super) fn a_hold_keeps_its_terms(turn: &MapTurn<'_>) -> Verdict {
    type Terms<'a> = (&'a HoldId, &'a UserId, Money, Option<Own>);
    fn terms<'a>(hold: Option<&'a Hold>, sale: Option<&'a Sale>) -> Option<Terms<'a>> {
        let hold = hold.map(|hold| (&hold.id, &hold.by, hold.price, hold.own()));
        hold.or(sale.map(|sale| (&sale.hold, &sale.by, sale.price, sale.own)))
    }
    turn.each_changed(|seat| {
        let sold = seat.before.sale().map(|sale| after_erasure(turn, sale));
        let before = terms(seat.live_hold(), sold.as_ref());
        let after = terms(seat.after.hold(), seat.after.sale());
        let (Some(before), Some(after)) = (before, after) else { return Ok(()) };
        if before.0 != after.0 {
            return Ok(());
        }
        let same = (before.1, before.2) == (after.1, after.2);
        let end = match (before.3, after.3, turn.of_seat(seat.id)) {
            (Some(before), Some(after), Some(TicketCommand::Reserve(_))) => {
                let most = before.until.max(before.latest);
                after.latest == before.latest && before.until <= after.until && after.until <= most
            }
            (before, after, _) => before == after,
        };
        require(same && end, || format!("what the hold of {} was made with has changed", seat.id))
    })
}

/// What the table promises of each seat after an accepted command.
pub(super) fn accepted_is_done(turn: &MapTurn<'_>) -> Verdict {
    let Ok(decision) = turn.decision else { return Ok(()) };
    let is_done = match turn.command {
        SeatMapCommand::Seats { seats, command } => {
            let set: Vec<Seat<'_>> = seats.as_slice().iter().map(|id| Seat::of(turn, id)).collect();
            Set { turn, seats: &set, changed: decision.event.is_some() }.is_done(command, &decision.reply)
        }
        SeatMapCommand::List { seats, price } => seats.as_slice().iter().all(|id| turn.after.price(id) == Some(*price)),
        SeatMapCommand::Publish { layout } => {
            let listed = turn.after.tickets().any(|(_, ticket)| ticket.listed.is_some());
            turn.after.layout() == Some(layout) && !listed
        }
        SeatMapCommand::ResetAll => turn
            .after
            .tickets()
            .all(|(_, ticket)| !matches!(ticket.state.status(), TicketStatus::Sold | TicketStatus::Blocked)),
        SeatMapCommand::Erase { user } => {
            turn.after.tickets().all(|(_, ticket)| ticket.state.sale().is_none_or(|sale| sale.by != *user))
        }
        SeatMapCommand::Expire { .. } => true,
    };
    require(is_done, || format!("accepted with {:?}, but it is not done", decision.reply))
}

/// The seats that an accepted command named.
struct Set<'a> {
    turn: &'a MapTurn<'a>,
    seats: &'a [Seat<'a>],
    changed: bool,
}

impl Set<'_> {
    fn all(&self, holds: impl Fn(&Seat<'_>) -> bool) -> bool {
        self.seats.iter().all(holds)
    }

    fn is_done(&self, command: &TicketCommand, reply: &SeatMapReply) -> bool {
        let now = self.turn.effective_now();
        let done = *reply == SeatMapReply::Done;
        match command {
            TicketCommand::Reserve(reserve) => {
                let SeatMapReply::Reserved { hold, until, prices } = reply else { return false };
                *hold == reserve.hold && self.is_reserved(reserve, *until, prices)
            }
            TicketCommand::Claim(claim) => {
                let SeatMapReply::Claimed { fence, prices } = reply else { return false };
                self.is_claimed(claim, *fence, prices)
            }
            TicketCommand::Confirm { hold, checkout, fence } => {
                done && self.all(|seat| {
                    let sale = seat.after.sale().filter(|sale| sale.hold == *hold);
                    let claim = sale.and_then(|sale| sale.claim.as_ref());
                    claims(claim, checkout) && claim.is_some_and(|claim| claim.fence == *fence)
                })
            }
            // A number that was used already says that it was done once.
            TicketCommand::Release { hold, nth, .. } => {
                let again = nth.is_some() && !self.changed;
                done && (again || self.all(|seat| live(seat.after, now).is_none_or(|held| held.id != *hold)))
            }
            TicketCommand::Revoke { hold, checkout, deadline } => {
                let marked = self.turn.after.ended_at(checkout).is_some_and(|until| until >= *deadline);
                done && (marked || self.turn.after.header().at >= *deadline)
                    && self.all(|seat| is_revoked(seat, hold, checkout))
            }
            TicketCommand::Block { .. } => {
                let will_be = |hold: &Hold| hold.then_blocked.is_some();
                done && self
                    .all(|seat| seat.after.status() == TicketStatus::Blocked || seat.after.hold().is_some_and(will_be))
            }
            TicketCommand::Unblock => {
                done && self.all(|seat| {
                    let will_be = seat.after.hold().is_some_and(|hold| hold.then_blocked.is_some());
                    seat.after.status() != TicketStatus::Blocked && !will_be
                })
            }
            TicketCommand::Sell { user, hold, .. } => {
                let SeatMapReply::Sold { prices } = reply else { return false };
                let to = |sale: &Sale| sale.hold == *hold && sale.by == *user && sale.claim.is_none();
                let sold = self.all(|seat| seat.after.sale().is_some_and(to));
                let costs = self.all(|seat| seat.before.sale().is_some() || self.costs_what_it_should(seat));
                sold && costs && self.are_prices(prices)
            }
            TicketCommand::Recall { up_to } => {
                done && self.all(|seat| {
                    let was_free =
                        seat.live_hold().is_some_and(|hold| hold.claim().is_none_or(|claim| claim.deadline <= now));
                    !(was_free && seat.version <= *up_to) || seat.after.hold().is_none()
                })
            }
            TicketCommand::Reset { up_to, .. } => {
                done && self.all(|seat| {
                    let was = matches!(seat.before.status(), TicketStatus::Sold | TicketStatus::Blocked);
                    !(was && seat.version <= *up_to) || *seat.after == TicketState::Available
                })
            }
        }
    }

    fn is_reserved(&self, reserve: &Reserve, until: Timestamp, prices: &[Money]) -> bool {
        let now = self.turn.effective_now();
        let under = self.all(|seat| {
            let held = live(seat.after, now).is_some_and(|hold| hold.id == reserve.hold && hold.by == reserve.user);
            held || seat.after.sale().is_some_and(|sale| sale.hold == reserve.hold && sale.by == reserve.user)
        });
        let as_asked = self.all(|seat| {
            let made = seat.after.hold().and_then(Hold::own);
            let exactly = made.is_some_and(|own| (own.until, own.latest) == (reserve.until, reserve.latest));
            !seat.is_free() || exactly && self.costs_what_it_should(seat)
        });
        let own = |seat: &Seat<'_>| {
            let own = seat.after.hold().and_then(Hold::own).or(seat.after.sale().and_then(|sale| sale.own));
            own.map(|own| own.until)
        };
        let first = self.seats.iter().filter_map(own).min();
        under && as_asked && first.is_none_or(|first| first == until) && self.are_prices(prices)
    }

    fn is_claimed(&self, claim: &MakeClaim, fence: u64, prices: &[Money]) -> bool {
        let now = self.turn.effective_now();
        let is_its = |it: &Claim| it.checkout == claim.checkout && it.fence == fence;
        let claimed = self.all(|seat| match (live(seat.after, now), seat.after.sale()) {
            (Some(hold), _) => {
                let live = hold.claim().is_some_and(|it| is_its(it) && now < it.deadline);
                live && hold.id == claim.hold && hold.by == claim.user
            }
            (None, Some(sale)) => sale.hold == claim.hold && sale.claim.as_ref().is_some_and(is_its),
            (None, None) => false,
        });
        let made = |seat: &Seat<'_>| {
            let as_asked = seat.after.hold().and_then(Hold::claim).is_some_and(|it| it.deadline == claim.deadline);
            let this_version = fence == self.turn.after.version();
            let costs = seat.live_hold().is_some() || self.costs_what_it_should(seat);
            let brought = !claim.brought || seat.live_hold().is_some_and(|hold| hold.id == claim.hold);
            as_asked && this_version && costs && brought
        };
        claimed && (!self.changed || self.all(made)) && self.are_prices(prices)
    }

    /// Whether a seat that was free costs what an operator has set, or else what the caller attested.
    fn costs_what_it_should(&self, seat: &Seat<'_>) -> bool {
        let price = seat.after.hold().map(|hold| hold.price).or(seat.after.sale().map(|sale| sale.price));
        let (map, offer) = (self.turn.before, self.turn.offer());
        let of_this_edition = offer.is_some_and(|offer| offer.edition == map.header().edition);
        of_this_edition && price.is_some() && self.turn.price(seat.id) == price
    }

    fn are_prices(&self, told: &[Money]) -> bool {
        let price =
            |seat: &Seat<'_>| seat.after.hold().map(|hold| hold.price).or(seat.after.sale().map(|sale| sale.price));
        self.seats.iter().map(price).eq(told.iter().map(|price| Some(*price)))
    }
}

/// Whether a revoke has left what it must: nothing of the checkout, and the buyer's own hold while that lasts.
fn is_revoked(seat: &Seat<'_>, hold: &HoldId, checkout: &CheckoutId) -> bool {
    let held = |state: &TicketState| state.hold().is_some_and(|it| it.id == *hold && claims(it.claim(), checkout));
    let sold =
        |state: &TicketState| state.sale().is_some_and(|it| it.hold == *hold && claims(it.claim.as_ref(), checkout));
    let claimed = seat.live_hold().filter(|_| held(seat.before)).and_then(Hold::own);
    let own = claimed.or(seat.before.sale().filter(|_| sold(seat.before)).and_then(|sale| sale.own));
    let ahead = own.filter(|own| seat.now < own.until);
    let left = ahead.is_none_or(|own| {
        seat.after.hold().is_some_and(|it| it.id == *hold && it.claim().is_none() && it.own() == Some(own))
    });
    left && !held(seat.after) && !sold(seat.after)
}
