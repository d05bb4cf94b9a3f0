//! What must always hold (§7 of the specification), stated once, by name, for every harness.
//!
//! A harness that drives the machines (a test, a simulator, a search) builds a [`Snapshot`] and calls [`check`] after
//! every step, and [`check_turn`] with every command that a ticket has judged.
//!
//! ```
//! use booking_core::invariants::PROPERTIES;
//! let names: Vec<_> = PROPERTIES.iter().map(|property| property.name).collect();
//! assert!(names.contains(&"no_seat_no_money"));
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::checkout::{Checkout, Ending, Stage};
use crate::format;
use crate::ids::{CheckoutId, MapKey, PaymentKey, TicketId};
use crate::machine::{Machine, Transition};
use crate::payment::{Account, Ledger};
use crate::seat_map::SeatMap;
use crate::ticket::{
    EndedId, Hold, Sale, Ticket, TicketCommand, TicketRefusal, TicketReply, TicketState, TicketStatus,
};
use crate::time::Timestamp;

/// A whole system at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// Every ticket that anybody has spoken to.
    pub tickets: &'a BTreeMap<TicketId, Ticket>,
    /// Every map that has heard of anything.
    pub maps: &'a BTreeMap<MapKey, SeatMap>,
    /// Every checkout that was ever started.
    pub checkouts: &'a BTreeMap<CheckoutId, Checkout>,
    /// What the gateway has. Money is counted here, at the one who has it.
    pub ledger: &'a Ledger,
    /// The tickets that an operator has ever reset: what is said of sales no longer holds for them.
    pub reset: &'a BTreeSet<TicketId>,
    /// Whether no message is under way and no timer is armed.
    pub at_rest: bool,
}

/// A ticket's judgement of one command.
#[derive(Clone, Copy, Debug)]
pub struct TicketTurn<'a> {
    /// The ticket before.
    pub before: &'a Ticket,
    /// What was asked.
    pub command: &'a TicketCommand,
    /// When, by the host's clock.
    pub now: Timestamp,
    /// What it answered.
    pub outcome: &'a Result<TicketReply, TicketRefusal>,
    /// The ticket after.
    pub after: &'a Ticket,
}

/// Whether a property holds; if not, what was seen. Never has a hold id in it.
pub type Verdict = Result<(), String>;

/// When a property is to be looked at.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// In every snapshot.
    Always(fn(&Snapshot<'_>) -> Verdict),
    /// In snapshots at rest.
    AtRest(fn(&Snapshot<'_>) -> Verdict),
    /// In every judgement of a ticket.
    PerTurn(fn(&TicketTurn<'_>) -> Verdict),
}

/// Something that must always hold.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// Its name.
    pub name: &'static str,
    /// Its number in §7 of the specification.
    pub number: u8,
    /// How to see whether it holds.
    pub check: Check,
}

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{property} (§7.{number}) is broken: {what}")]
pub struct Violation {
    /// Its name.
    pub property: &'static str,
    /// Its number in §7 of the specification.
    pub number: u8,
    /// What was seen.
    pub what: String,
}

/// Every property, in the order of the specification.
pub const PROPERTIES: &[Property] = &[
    Property { name: "one_owner", number: 1, check: Check::Always(one_owner) },
    Property { name: "sold_stays_sold", number: 2, check: Check::PerTurn(sold_stays_sold) },
    Property { name: "exact_expiry", number: 3, check: Check::PerTurn(exact_expiry) },
    Property { name: "fenced", number: 4, check: Check::PerTurn(fenced) },
    Property { name: "all_or_nothing", number: 5, check: Check::Always(all_or_nothing) },
    Property { name: "nothing_left_of_the_failed", number: 5, check: Check::AtRest(nothing_left_of_the_failed) },
    Property { name: "no_seat_no_money", number: 6, check: Check::Always(no_seat_no_money) },
    Property { name: "no_money_no_seat", number: 7, check: Check::Always(no_money_no_seat) },
    Property { name: "same_command_same_answer", number: 8, check: Check::PerTurn(same_command_same_answer) },
    Property { name: "determinism", number: 9, check: Check::PerTurn(determinism) },
    Property { name: "the_map_converges", number: 10, check: Check::AtRest(the_map_converges) },
    Property { name: "progress", number: 11, check: Check::AtRest(progress) },
    Property { name: "justified_refusal", number: 12, check: Check::PerTurn(justified_refusal) },
    Property { name: "one_change_one_version", number: 8, check: Check::PerTurn(one_change_one_version) },
];

/// Looks at every property of snapshots.
///
/// # Errors
/// The first that does not hold.
pub fn check(snapshot: &Snapshot<'_>) -> Result<(), Violation> {
    first_broken(|check| match check {
        Check::Always(holds) => holds(snapshot),
        Check::AtRest(holds) if snapshot.at_rest => holds(snapshot),
        Check::AtRest(_) | Check::PerTurn(_) => Ok(()),
    })
}

/// Looks at every property of judgements.
///
/// # Errors
/// The first that does not hold.
pub fn check_turn(turn: &TicketTurn<'_>) -> Result<(), Violation> {
    first_broken(|check| match check {
        Check::PerTurn(holds) => holds(turn),
        Check::Always(_) | Check::AtRest(_) => Ok(()),
    })
}

fn first_broken(look: impl Fn(Check) -> Verdict) -> Result<(), Violation> {
    PROPERTIES.iter().try_for_each(|Property { name, number, check }| {
        look(*check).map_err(|what| Violation { property: name, number: *number, what })
    })
}

fn require(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}

// Of snapshots

impl Snapshot<'_> {
    /// The tickets of a checkout that no operator has reset.
    fn tickets_of<'b>(&'b self, checkout: &'b Checkout) -> impl Iterator<Item = &'b TicketId> {
        checkout.order().tickets().iter().filter(|ticket| !self.reset.contains(*ticket))
    }

    fn is_sold_to(&self, ticket: &TicketId, checkout: &CheckoutId) -> bool {
        let sale = self.tickets.get(ticket).and_then(Ticket::sale);
        sale.and_then(|sale| sale.to.as_ref()).is_some_and(|to| to.checkout == *checkout)
    }

    fn is_claimed_by(&self, ticket: &TicketId, checkout: &CheckoutId) -> bool {
        let hold = self.tickets.get(ticket).and_then(Ticket::hold);
        hold.and_then(Hold::claim).is_some_and(|claim| claim.checkout == *checkout)
    }

    fn account(&self, checkout: &CheckoutId) -> Option<&Account> {
        self.ledger.account(&PaymentKey::authorize(checkout))
    }

    fn completed(&self) -> impl Iterator<Item = &Checkout> {
        self.checkouts.values().filter(|checkout| matches!(checkout.ending(), Some(Ending::Completed { .. })))
    }

    fn failed(&self) -> impl Iterator<Item = &Checkout> {
        self.checkouts.values().filter(|checkout| matches!(checkout.ending(), Some(Ending::Failed(_))))
    }
}

fn one_owner(snapshot: &Snapshot<'_>) -> Verdict {
    let mut owners: BTreeMap<&TicketId, &CheckoutId> = BTreeMap::new();
    for checkout in snapshot.completed() {
        for ticket in snapshot.tickets_of(checkout) {
            if let Some(other) = owners.insert(ticket, checkout.id()) {
                return Err(format!("{ticket} was booked by {other} and by {}", checkout.id()));
            }
        }
    }
    Ok(())
}

fn all_or_nothing(snapshot: &Snapshot<'_>) -> Verdict {
    for checkout in snapshot.completed() {
        for ticket in snapshot.tickets_of(checkout) {
            let sold = snapshot.is_sold_to(ticket, checkout.id());
            require(sold, || format!("{} is completed, but {ticket} is not sold to it", checkout.id()))?;
        }
    }
    for checkout in snapshot.failed() {
        for ticket in checkout.order().tickets() {
            let sold = snapshot.is_sold_to(ticket, checkout.id());
            require(!sold, || format!("{} has failed, but {ticket} is sold to it", checkout.id()))?;
        }
    }
    Ok(())
}

fn nothing_left_of_the_failed(snapshot: &Snapshot<'_>) -> Verdict {
    for checkout in snapshot.failed() {
        for ticket in checkout.order().tickets() {
            let claimed = snapshot.is_claimed_by(ticket, checkout.id());
            require(!claimed, || format!("{} has failed, but claims {ticket}", checkout.id()))?;
        }
    }
    Ok(())
}

fn no_seat_no_money(snapshot: &Snapshot<'_>) -> Verdict {
    for checkout in snapshot.checkouts.values() {
        let id = checkout.id();
        let Some(account) = snapshot.account(id) else { continue };
        require(account.captured.is_none() || !account.voided, || format!("{id} was captured and voided"))?;
        if let Some(Ending::Failed(_)) = checkout.ending() {
            require(account.captured.is_none(), || format!("{id} has failed, but was captured"))?;
            require(!account.authorized || account.voided, || format!("{id} has failed, but its money is set aside"))?;
        } else if account.captured.is_some() {
            let asked = matches!(checkout.stage(), Stage::Capturing { .. } | Stage::Notifying { .. } | Stage::Ended(_));
            require(asked, || format!("{id} was captured before it asked for that"))?;
            for ticket in snapshot.tickets_of(checkout) {
                let sold = snapshot.is_sold_to(ticket, id);
                require(sold, || format!("{id} was captured, but {ticket} is not sold to it"))?;
            }
        }
    }
    Ok(())
}

fn no_money_no_seat(snapshot: &Snapshot<'_>) -> Verdict {
    for checkout in snapshot.completed() {
        let id = checkout.id();
        let Some(Ending::Completed { amount, .. }) = checkout.ending() else { continue };
        let account = snapshot.account(id).ok_or_else(|| format!("{id} is completed, but was never paid"))?;
        let captured = account.captured == Some(PaymentKey::capture(id));
        require(captured, || format!("{id} is completed, but was not captured under its key"))?;
        let asked = account.asked.as_ref().map(|asked| asked.amount);
        require(asked == Some(*amount), || format!("{id} was quoted {amount:?}, but {asked:?} was taken"))?;
    }
    for (ticket, state) in snapshot.tickets {
        let Some(to) = state.sale().and_then(|sale| sale.to.as_ref()) else { continue };
        let Some(checkout) = snapshot.checkouts.get(&to.checkout) else {
            return Err(format!("{ticket} is sold to {}, which never was", to.checkout));
        };
        let failed = matches!(checkout.ending(), Some(Ending::Failed(_)));
        require(!failed, || format!("{ticket} is sold to {}, which has failed", to.checkout))?;
    }
    Ok(())
}

fn the_map_converges(snapshot: &Snapshot<'_>) -> Verdict {
    for (id, ticket) in snapshot.tickets.iter().filter(|(_, ticket)| ticket.version() > 0) {
        let shown = snapshot.maps.get(&id.map_key()).and_then(|map| map.seat(id));
        let shown = shown.map(|seat| (seat.status, seat.version));
        let is = (ticket.state().status(), ticket.version());
        require(shown == Some(is), || format!("{id} is {is:?}, but its map shows {shown:?}"))?;
    }
    Ok(())
}

fn progress(snapshot: &Snapshot<'_>) -> Verdict {
    for checkout in snapshot.checkouts.values() {
        require(checkout.ending().is_some(), || format!("{} has not ended", checkout.id()))?;
    }
    for (id, ticket) in snapshot.tickets {
        let reserved = ticket.state().status() == TicketStatus::Reserved;
        require(!reserved, || format!("{id} stays reserved"))?;
    }
    Ok(())
}

// Of judgements

impl TicketTurn<'_> {
    /// Effective now.
    fn now(&self) -> Timestamp {
        self.now.max(self.before.at())
    }

    /// The hold that was live when the command came.
    fn live_hold(&self) -> Option<&Hold> {
        self.before.hold().filter(|hold| self.now() < hold.end())
    }

    fn is_reset(&self) -> bool {
        matches!(self.command, TicketCommand::Reset { .. } | TicketCommand::Cleanup)
    }

    /// Whether the command is the revoke of the checkout that has this sale.
    fn revokes(&self, sale: &Sale) -> bool {
        matches!((self.command, &sale.to), (TicketCommand::Revoke { hold, checkout }, Some(to))
            if *hold == sale.hold && *checkout == to.checkout)
    }
}

fn sold_stays_sold(turn: &TicketTurn<'_>) -> Verdict {
    let Some(sale) = turn.before.sale() else { return Ok(()) };
    let may_go = turn.is_reset() || turn.revokes(sale);
    require(may_go || turn.after.sale() == Some(sale), || format!("a sale was lost to {:?}", turn.command))
}

fn exact_expiry(turn: &TicketTurn<'_>) -> Verdict {
    let newly_sold = turn.before.sale().is_none() && turn.after.sale().is_some_and(|sale| sale.to.is_some());
    if newly_sold {
        let claim = turn.before.hold().and_then(Hold::claim);
        let live = claim.is_some_and(|claim| turn.now() < claim.deadline);
        require(live, || "a claim was confirmed after its deadline".into())?;
    }
    let Some(hold) = turn.before.hold() else { return Ok(()) };
    let gone = turn.after.hold().is_none_or(|after| after.id != hold.id) && turn.after.sale().is_none();
    let given_back = matches!(turn.command, TicketCommand::Release { hold: id } | TicketCommand::Revoke { hold: id, .. }
        if *id == hold.id);
    require(!gone || given_back || hold.end() <= turn.now(), || "a hold was taken back before its end".into())?;
    let lapsed_stays = turn.outcome.is_ok() && turn.after.hold() == Some(hold) && hold.end() <= turn.now();
    require(!lapsed_stays, || "an accepted command left a lapsed hold".into())
}

fn fenced(turn: &TicketTurn<'_>) -> Verdict {
    let Some(hold) = turn.live_hold() else { return Ok(()) };
    let by_checkout = |checkout: &CheckoutId| hold.claim().is_some_and(|claim| claim.checkout == *checkout);
    let own = match turn.command {
        TicketCommand::Reserve { .. } => false,
        TicketCommand::Claim { hold: id, user, .. } => *id == hold.id && *user == hold.by,
        TicketCommand::Confirm { hold: id, checkout, fence } => {
            *id == hold.id && by_checkout(checkout) && hold.claim().is_some_and(|claim| claim.fence == *fence)
        }
        TicketCommand::Release { hold: id } => {
            *id == hold.id && hold.claim().is_none_or(|claim| claim.deadline <= turn.now())
        }
        TicketCommand::Revoke { hold: id, checkout } => *id == hold.id && by_checkout(checkout),
        TicketCommand::Expire { .. }
        | TicketCommand::Block { .. }
        | TicketCommand::Unblock
        | TicketCommand::List { .. }
        | TicketCommand::Sell { .. }
        | TicketCommand::Reset { .. }
        | TicketCommand::Cleanup => false,
    };
    let same = turn.after.hold().is_some_and(|after| {
        let claim_lapsed = hold.claim().is_some_and(|claim| claim.deadline <= turn.now()) && after.claim().is_none();
        (&after.id, &after.by, after.price, after.until()) == (&hold.id, &hold.by, hold.price, hold.until())
            && (after.claim() == hold.claim() || claim_lapsed)
    });
    require(own || same, || format!("{:?} changed a hold that is not its own", turn.command))
}

fn same_command_same_answer(turn: &TicketTurn<'_>) -> Verdict {
    match (turn.outcome, turn.after.decide(turn.command, turn.now)) {
        // A box office that sells twice is told so: there is no hold of the buyer's to know a copy by.
        (Ok(TicketReply::Sold { .. }), Err(TicketRefusal::TicketSold)) => Ok(()),
        (Ok(reply), Ok(Transition { event: None, reply: again, .. })) if *reply == again => Ok(()),
        (Err(refusal), Err(again)) if *refusal == again => Ok(()),
        (outcome, again) => Err(format!("{:?} was answered {outcome:?}, and its copy {again:?}", turn.command)),
    }
}

fn one_change_one_version(turn: &TicketTurn<'_>) -> Verdict {
    let (before, after) = (turn.before, turn.after);
    let changed = (before.state(), before.listing()) != (after.state(), after.listing());
    let expected = before.version() + u64::from(changed);
    require(after.version() == expected, || format!("version {} became {}", before.version(), after.version()))?;
    let at = if changed { turn.now() } else { before.at() };
    require(after.at() == at, || format!("the change was recorded at {:?} instead of {at:?}", after.at()))?;
    require(turn.outcome.is_ok() || before == after, || "a refused command changed the ticket".into())
}

fn determinism(turn: &TicketTurn<'_>) -> Verdict {
    let stored = format::write(turn.before);
    let read = format::read::<Ticket>(&stored).map_err(|error| error.to_string())?;
    require(format::write(&read) == stored, || "the stored form changes when it is read and written".into())?;
    let mut again = read;
    let (outcome, _) = crate::machine::turn(&mut again, turn.command, turn.now).stored();
    let same = again == *turn.after && outcome == *turn.outcome;
    require(same, || format!("{:?} ended otherwise on the stored ticket", turn.command))
}

fn justified_refusal(turn: &TicketTurn<'_>) -> Verdict {
    let Err(refusal) = turn.outcome else { return Ok(()) };
    let status = turn.before.get(turn.now).status;
    let never_listed = turn.before.listing().is_none();
    let true_then = match refusal {
        TicketRefusal::TicketReserved => status == TicketStatus::Reserved,
        TicketRefusal::TicketSold => status == TicketStatus::Sold,
        TicketRefusal::TicketBlocked => status == TicketStatus::Blocked,
        TicketRefusal::TicketNotForSale => status == TicketStatus::Available && never_listed,
        TicketRefusal::CheckoutInProgress => {
            turn.live_hold().and_then(Hold::claim).is_some_and(|claim| turn.now() < claim.deadline)
        }
        TicketRefusal::HoldExpired => has_expired(turn),
        TicketRefusal::HoldNotFound => !matches!((turn.command, turn.before.state()),
        (TicketCommand::Confirm { hold, checkout, fence }, TicketState::Reserved(held))
            if held.id == *hold && held.claim().is_some_and(|claim| {
                claim.checkout == *checkout && claim.fence == *fence && turn.now() < claim.deadline
            })),
    };
    require(true_then, || format!("{:?} was refused {refusal:?} by a ticket that was {status:?}", turn.command))
}

/// Whether what the command names had ended, lapses now, or ends no later than now.
fn has_expired(turn: &TicketTurn<'_>) -> bool {
    let ended = |id: EndedId| turn.before.ended().ids().contains(&id);
    let lapsed = turn.before.hold().filter(|hold| hold.end() <= turn.now());
    let hold_over = |id| ended(EndedId::Hold(id)) || lapsed.is_some();
    let checkout_over = |checkout: &CheckoutId| {
        let claim = turn.before.hold().and_then(Hold::claim).filter(|claim| claim.deadline <= turn.now());
        ended(EndedId::Checkout(checkout.clone())) || claim.is_some_and(|claim| claim.checkout == *checkout)
    };
    match turn.command {
        TicketCommand::Reserve { hold, .. } => hold_over(hold.id().clone()),
        TicketCommand::Claim { hold, checkout, deadline, .. } => {
            hold_over(hold.clone()) || checkout_over(checkout) || *deadline <= turn.now()
        }
        TicketCommand::Confirm { hold, checkout, .. } => hold_over(hold.clone()) || checkout_over(checkout),
        TicketCommand::Sell { hold, .. } => hold_over(hold.clone()),
        TicketCommand::Release { .. }
        | TicketCommand::Revoke { .. }
        | TicketCommand::Expire { .. }
        | TicketCommand::Block { .. }
        | TicketCommand::Unblock
        | TicketCommand::List { .. }
        | TicketCommand::Reset { .. }
        | TicketCommand::Cleanup => false,
    }
}
