//! What must always hold (§7 of the specification), stated once, by name, for every harness.
//!
//! A harness that drives the machines (a test, a simulator, a search) shows them as a [`System`] and calls [`check`]
//! after every step, or [`check_checkout`] and [`check_ticket`] for what the step has touched; and [`check_turn`] with
//! every command that a ticket has judged. A harness that keeps its machines in maps shows them as a [`Snapshot`].
//!
//! ```
//! use booking_core::invariants::PROPERTIES;
//! let names: Vec<_> = PROPERTIES.iter().map(|property| property.name).collect();
//! assert!(names.contains(&"no_seat_no_money"));
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::checkout::{Checkout, Ending, Stage};
use crate::format;
use crate::ids::{CheckoutId, HoldId, MapKey, PaymentKey, TicketId};
use crate::machine::{Machine, Transition};
use crate::money::Money;
use crate::payment::{Account, Ledger};
use crate::seat_map::{Seat, SeatMap};
use crate::ticket::{
    Ended, EndedId, Hold, Sale, Ticket, TicketCommand, TicketRefusal, TicketReply, TicketState, TicketStatus,
};
use crate::time::Timestamp;

/// A whole system at one moment, as far as the properties look at it. However a harness keeps its machines, it shows
/// them by this.
pub trait System {
    /// Every ticket that anybody has spoken to.
    fn tickets(&self) -> Box<dyn Iterator<Item = (&TicketId, &Ticket)> + '_>;
    /// Every checkout that was ever started.
    fn checkouts(&self) -> Box<dyn Iterator<Item = &Checkout> + '_>;
    /// One of the tickets.
    fn ticket(&self, id: &TicketId) -> Option<&Ticket>;
    /// One of the checkouts.
    fn checkout(&self, id: &CheckoutId) -> Option<&Checkout>;
    /// What its map shows of a ticket.
    fn shown(&self, ticket: &TicketId) -> Option<Seat>;
    /// What the gateway has under the key of a checkout's authorisation. Money is counted here, at the one who has it.
    fn account(&self, checkout: &CheckoutId) -> Option<&Account>;
    /// Everything that the gateway has.
    fn accounts(&self) -> Box<dyn Iterator<Item = (&PaymentKey, &Account)> + '_>;
    /// Whether an operator has ever reset this ticket: what is said of sales no longer holds for it.
    fn is_reset(&self, ticket: &TicketId) -> bool;
    /// Whether an operator has killed this checkout for good: it will never end, and never undo.
    fn is_killed(&self, _checkout: &CheckoutId) -> bool {
        false
    }
    /// Whether the buyer's message was handed over, where the harness keeps count of that.
    fn is_told(&self, _checkout: &CheckoutId) -> Option<bool> {
        None
    }
    /// How many ended ids a ticket remembers, where a harness has it remember less than it could.
    fn remembers(&self) -> usize {
        Ended::MEMORY
    }
    /// Whether no message is under way and no timer is armed.
    fn is_at_rest(&self) -> bool;
}

/// A [`System`] kept in maps.
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

impl System for Snapshot<'_> {
    fn tickets(&self) -> Box<dyn Iterator<Item = (&TicketId, &Ticket)> + '_> {
        Box::new(self.tickets.iter())
    }
    fn checkouts(&self) -> Box<dyn Iterator<Item = &Checkout> + '_> {
        Box::new(self.checkouts.values())
    }
    fn ticket(&self, id: &TicketId) -> Option<&Ticket> {
        self.tickets.get(id)
    }
    fn checkout(&self, id: &CheckoutId) -> Option<&Checkout> {
        self.checkouts.get(id)
    }
    fn shown(&self, ticket: &TicketId) -> Option<Seat> {
        self.maps.get(ticket.map_str()).and_then(|map| map.seat(ticket)).copied()
    }
    fn account(&self, checkout: &CheckoutId) -> Option<&Account> {
        self.ledger.account(&PaymentKey::authorize(checkout))
    }
    fn accounts(&self) -> Box<dyn Iterator<Item = (&PaymentKey, &Account)> + '_> {
        Box::new(self.ledger.accounts())
    }
    fn is_reset(&self, ticket: &TicketId) -> bool {
        self.reset.contains(ticket)
    }
    fn is_at_rest(&self) -> bool {
        self.at_rest
    }
}

/// How a ticket judges: [`Ticket::decide`](Machine::decide), or what a harness tries in its place.
pub type Decide<'a> = &'a dyn Fn(&Ticket, &TicketCommand, Timestamp) -> Result<Transition<Ticket>, TicketRefusal>;

/// A ticket's judgement of one command.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "it is looked at and thrown away; what it holds can be shown")]
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
    /// How it judges.
    pub decide: Decide<'a>,
}

impl<'a> TicketTurn<'a> {
    /// A judgement by the rules as they are.
    #[must_use]
    pub fn new(
        before: &'a Ticket,
        command: &'a TicketCommand,
        now: Timestamp,
        outcome: &'a Result<TicketReply, TicketRefusal>,
        after: &'a Ticket,
    ) -> Self {
        Self { before, command, now, outcome, after, decide: &<Ticket as Machine>::decide }
    }
}

/// Whether a property holds; if not, what was seen. Never has a hold id in it.
pub type Verdict = Result<(), String>;

/// When a property is to be looked at.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// Always, of every checkout. It can cease to hold only where the checkout itself changes, a ticket of its, or its
    /// account.
    Checkout(fn(&dyn System, &Checkout) -> Verdict),
    /// Always, of every ticket. It can cease to hold only where the ticket itself changes, or the checkout that it is
    /// sold to.
    Ticket(fn(&dyn System, &TicketId, &Ticket) -> Verdict),
    /// Of every checkout, when the system is at rest.
    CheckoutAtRest(fn(&dyn System, &Checkout) -> Verdict),
    /// Of every ticket, when the system is at rest.
    TicketAtRest(fn(&dyn System, &TicketId, &Ticket) -> Verdict),
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
    Property { name: "one_owner", number: 1, check: Check::Checkout(one_owner) },
    Property { name: "sold_stays_sold", number: 2, check: Check::PerTurn(sold_stays_sold) },
    Property { name: "exact_expiry", number: 3, check: Check::PerTurn(exact_expiry) },
    Property { name: "fenced", number: 4, check: Check::PerTurn(fenced) },
    Property { name: "a_hold_keeps_its_terms", number: 4, check: Check::PerTurn(a_hold_keeps_its_terms) },
    Property { name: "all_or_nothing", number: 5, check: Check::Checkout(all_or_nothing) },
    Property { name: "nothing_left_of_the_failed", number: 5, check: Check::Checkout(nothing_left_of_the_failed) },
    Property { name: "no_seat_no_money", number: 6, check: Check::Checkout(no_seat_no_money) },
    Property { name: "no_money_no_seat", number: 7, check: Check::Checkout(no_money_no_seat) },
    Property { name: "one_account", number: 7, check: Check::Checkout(one_account) },
    Property { name: "sold_to_somebody", number: 7, check: Check::Ticket(sold_to_somebody) },
    Property { name: "same_command_same_answer", number: 8, check: Check::PerTurn(same_command_same_answer) },
    Property { name: "one_change_one_version", number: 8, check: Check::PerTurn(one_change_one_version) },
    Property { name: "what_goes_has_ended", number: 8, check: Check::PerTurn(what_goes_has_ended) },
    Property { name: "determinism", number: 9, check: Check::PerTurn(determinism) },
    Property { name: "the_map_converges", number: 10, check: Check::TicketAtRest(the_map_converges) },
    Property { name: "every_checkout_ends", number: 11, check: Check::CheckoutAtRest(every_checkout_ends) },
    Property { name: "no_ticket_stays_reserved", number: 11, check: Check::TicketAtRest(no_ticket_stays_reserved) },
    Property { name: "the_buyer_is_told", number: 11, check: Check::CheckoutAtRest(the_buyer_is_told) },
    Property { name: "justified_refusal", number: 12, check: Check::PerTurn(justified_refusal) },
    Property { name: "accepted_is_done", number: 13, check: Check::PerTurn(accepted_is_done) },
];

/// Looks at everything that must hold of a system now.
///
/// # Errors
/// The first that does not hold.
pub fn check(system: &dyn System) -> Result<(), Violation> {
    system.checkouts().try_for_each(|checkout| check_checkout(system, checkout))?;
    system.tickets().try_for_each(|(id, ticket)| check_ticket(system, id, ticket))
}

/// Looks at everything that must hold of one checkout now: enough where a step has touched it alone.
///
/// # Errors
/// The first that does not hold.
pub fn check_checkout(system: &dyn System, checkout: &Checkout) -> Result<(), Violation> {
    let at_rest = system.is_at_rest();
    first_broken(|check| match check {
        Check::Checkout(holds) => holds(system, checkout),
        Check::CheckoutAtRest(holds) if at_rest => holds(system, checkout),
        Check::CheckoutAtRest(_) | Check::Ticket(_) | Check::TicketAtRest(_) | Check::PerTurn(_) => Ok(()),
    })
}

/// Looks at everything that must hold of one ticket now: enough where a step has touched it alone.
///
/// # Errors
/// The first that does not hold.
pub fn check_ticket(system: &dyn System, id: &TicketId, ticket: &Ticket) -> Result<(), Violation> {
    let at_rest = system.is_at_rest();
    first_broken(|check| match check {
        Check::Ticket(holds) => holds(system, id, ticket),
        Check::TicketAtRest(holds) if at_rest => holds(system, id, ticket),
        Check::TicketAtRest(_) | Check::Checkout(_) | Check::CheckoutAtRest(_) | Check::PerTurn(_) => Ok(()),
    })
}

/// Looks at every property of judgements.
///
/// # Errors
/// The first that does not hold.
pub fn check_turn(turn: &TicketTurn<'_>) -> Result<(), Violation> {
    first_broken(|check| match check {
        Check::PerTurn(holds) => holds(turn),
        Check::Checkout(_) | Check::Ticket(_) | Check::CheckoutAtRest(_) | Check::TicketAtRest(_) => Ok(()),
    })
}

/// As [`check_turn`], but for `determinism`, which reads and writes the ticket's stored form and takes ten times as
/// long as the rest: for harnesses that look at millions of judgements, and at all of it in some.
///
/// # Errors
/// The first that does not hold.
pub fn check_turn_quickly(turn: &TicketTurn<'_>) -> Result<(), Violation> {
    PROPERTIES.iter().filter(|property| property.number != 9).try_for_each(|property| match property.check {
        Check::PerTurn(holds) => holds(turn).map_err(|what| property.broken(what)),
        Check::Checkout(_) | Check::Ticket(_) | Check::CheckoutAtRest(_) | Check::TicketAtRest(_) => Ok(()),
    })
}

impl Property {
    fn broken(&self, what: String) -> Violation {
        Violation { property: self.name, number: self.number, what }
    }
}

fn first_broken(look: impl Fn(Check) -> Verdict) -> Result<(), Violation> {
    PROPERTIES.iter().try_for_each(|property| look(property.check).map_err(|what| property.broken(what)))
}

fn require(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}

// Of systems

/// The tickets of a checkout that no operator has reset.
fn tickets_of<'b>(system: &'b dyn System, checkout: &'b Checkout) -> impl Iterator<Item = &'b TicketId> {
    checkout.order().tickets().iter().filter(|ticket| !system.is_reset(ticket))
}

fn is_sold_to(system: &dyn System, ticket: &TicketId, checkout: &CheckoutId) -> bool {
    let sale = system.ticket(ticket).and_then(Ticket::sale);
    sale.and_then(|sale| sale.to.as_ref()).is_some_and(|to| to.checkout == *checkout)
}

fn is_completed(checkout: &Checkout) -> bool {
    matches!(checkout.ending(), Some(Ending::Completed { .. }))
}

fn has_failed(checkout: &Checkout) -> bool {
    matches!(checkout.ending(), Some(Ending::Failed(_)))
}

fn one_owner(system: &dyn System, checkout: &Checkout) -> Verdict {
    if !is_completed(checkout) {
        return Ok(());
    }
    let others = system.checkouts().filter(|other| other.id() != checkout.id() && is_completed(other));
    for other in others {
        if let Some(ticket) = tickets_of(system, checkout).find(|ticket| other.order().tickets().contains(ticket)) {
            return Err(format!("{ticket} was booked by {} and by {}", checkout.id(), other.id()));
        }
    }
    Ok(())
}

fn all_or_nothing(system: &dyn System, checkout: &Checkout) -> Verdict {
    let id = checkout.id();
    if is_completed(checkout) {
        let missing = tickets_of(system, checkout).find(|ticket| !is_sold_to(system, ticket, id));
        return missing.map_or(Ok(()), |ticket| Err(format!("{id} is completed, but {ticket} is not sold to it")));
    }
    if has_failed(checkout) {
        let left = checkout.order().tickets().iter().find(|ticket| is_sold_to(system, ticket, id));
        return left.map_or(Ok(()), |ticket| Err(format!("{id} has failed, but {ticket} is sold to it")));
    }
    Ok(())
}

/// A ticket that has forgotten an ended id may be claimed by a late copy (§2, its last lines): what is left of it then
/// ends by itself.
fn nothing_left_of_the_failed(system: &dyn System, checkout: &Checkout) -> Verdict {
    if !has_failed(checkout) {
        return Ok(());
    }
    let id = checkout.id();
    for ticket in checkout.order().tickets() {
        let Some(state) = system.ticket(ticket) else { continue };
        let claimed = state.hold().and_then(Hold::claim).is_some_and(|claim| claim.checkout == *id);
        let may_have_forgotten = state.ended().ids().len() >= system.remembers();
        let forgotten = may_have_forgotten && !state.ended().ids().contains(&EndedId::Checkout(id.clone()));
        require(!claimed || forgotten, || format!("{id} has failed, but claims {ticket}"))?;
    }
    Ok(())
}

fn no_seat_no_money(system: &dyn System, checkout: &Checkout) -> Verdict {
    let id = checkout.id();
    let Some(account) = system.account(id) else { return Ok(()) };
    require(account.captured.is_none() || !account.voided, || format!("{id} was captured and voided"))?;
    if has_failed(checkout) {
        require(account.captured.is_none(), || format!("{id} has failed, but was captured"))?;
        require(!account.authorized || account.voided, || format!("{id} has failed, but its money is set aside"))?;
    } else if account.captured.is_some() {
        let asked = matches!(checkout.stage(), Stage::Capturing { .. } | Stage::Notifying { .. } | Stage::Ended(_));
        require(asked, || format!("{id} was captured before it asked for that"))?;
        for ticket in tickets_of(system, checkout) {
            let sold = is_sold_to(system, ticket, id);
            require(sold, || format!("{id} was captured, but {ticket} is not sold to it"))?;
        }
    }
    Ok(())
}

fn no_money_no_seat(system: &dyn System, checkout: &Checkout) -> Verdict {
    let Some(Ending::Completed { amount, .. }) = checkout.ending() else { return Ok(()) };
    let id = checkout.id();
    if amount.minor() == 0 {
        return require(system.account(id).is_none(), || format!("{id} costs nothing, but the gateway was asked"));
    }
    let account = system.account(id).ok_or_else(|| format!("{id} is completed, but was never paid"))?;
    let captured = account.captured.as_ref().map(PaymentKey::as_str);
    let under_its_key = captured.is_some_and(|key| key.strip_prefix(id.as_str()) == Some(":capture"));
    require(under_its_key, || format!("{id} is completed, but was captured under {captured:?}"))?;
    let asked = account.asked.as_ref().map(|asked| asked.amount);
    require(asked == Some(*amount), || format!("{id} was quoted {amount:?}, but {asked:?} was taken"))?;
    let sales = tickets_of(system, checkout).filter_map(|ticket| system.ticket(ticket).and_then(Ticket::sale));
    let sales: Vec<&Sale> = sales.filter(|sale| sale.to.as_ref().is_some_and(|to| to.checkout == *id)).collect();
    let sum: u64 = sales.iter().map(|sale| sale.price.minor()).sum();
    // What was reset since is not there any more to be added.
    let all = sales.len() == checkout.order().tickets().len();
    require(!all || sum == amount.minor(), || format!("{id} was quoted {amount:?} for tickets of {sum}"))
}

/// What a checkout asks the gateway for is all under one key, whatever crashed.
fn one_account(system: &dyn System, checkout: &Checkout) -> Verdict {
    if checkout.ending().is_none() {
        return Ok(());
    }
    let id = checkout.id().as_str();
    let of_this = |key: &PaymentKey| key.as_str().strip_prefix(id).is_some_and(|rest| rest.starts_with(':'));
    let stray = |key: &PaymentKey| of_this(key) && key.as_str().strip_prefix(id) != Some(":authorize");
    let is_anothers = |key: &PaymentKey| {
        let other = key.as_str().strip_suffix(":authorize").and_then(|other| CheckoutId::parse(other).ok());
        other.is_some_and(|other| system.checkout(&other).is_some())
    };
    let found = system.accounts().find(|(key, account)| account.authorized && stray(key) && !is_anothers(key));
    found.map_or(Ok(()), |(key, _)| Err(format!("{id} has money set aside under {key}")))
}

fn sold_to_somebody(system: &dyn System, id: &TicketId, ticket: &Ticket) -> Verdict {
    let Some(to) = ticket.sale().and_then(|sale| sale.to.as_ref()) else { return Ok(()) };
    let checkout = system.checkout(&to.checkout);
    let checkout = checkout.ok_or_else(|| format!("{id} is sold to {}, which never was", to.checkout))?;
    require(!has_failed(checkout), || format!("{id} is sold to {}, which has failed", to.checkout))
}

fn the_map_converges(system: &dyn System, id: &TicketId, ticket: &Ticket) -> Verdict {
    let shown = system.shown(id).map(|seat| (seat.status, seat.version));
    let is = (ticket.state().status(), ticket.version());
    require(ticket.version() == 0 || shown == Some(is), || format!("{id} is {is:?}, but its map shows {shown:?}"))
}

fn every_checkout_ends(system: &dyn System, checkout: &Checkout) -> Verdict {
    let over = checkout.ending().is_some() || system.is_killed(checkout.id());
    require(over, || format!("{} has not ended", checkout.id()))
}

fn no_ticket_stays_reserved(_system: &dyn System, id: &TicketId, ticket: &Ticket) -> Verdict {
    require(ticket.state().status() != TicketStatus::Reserved, || format!("{id} stays reserved"))
}

fn the_buyer_is_told(system: &dyn System, checkout: &Checkout) -> Verdict {
    let id = checkout.id();
    let right = system.is_told(id).is_none_or(|told| told == is_completed(checkout) || system.is_killed(id));
    require(right, || format!("the buyer of {id} was told of a booking that is none, or was not told"))
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

    /// Whether the command may reset what was there before.
    fn resets(&self) -> bool {
        matches!(self.command, TicketCommand::Cleanup)
            || matches!(self.command, TicketCommand::Reset { up_to } if self.before.version() <= *up_to)
    }

    /// Whether a revoke has left what it must: nothing of the checkout, and the buyer's own hold while that lasts.
    fn is_revoked(&self, hold: &HoldId, checkout: &CheckoutId) -> bool {
        let (held, sold) = (self.after.hold(), self.after.sale());
        let claims = |ticket: &Ticket| {
            let claim = ticket.hold().filter(|held| held.id == *hold).and_then(Hold::claim);
            claim.is_some_and(|claim| claim.checkout == *checkout)
        };
        let sold_to = |sale: &Sale| sale.hold == *hold && sale.to.as_ref().is_some_and(|to| to.checkout == *checkout);
        let claimed_until = self.live_hold().filter(|_| claims(self.before)).and_then(Hold::until);
        let sold_until = self.before.sale().filter(|sale| sold_to(sale)).and_then(|sale| sale.until);
        let ahead = claimed_until.or(sold_until).filter(|until| self.now() < *until);
        let is_left = |held: &Hold| held.id == *hold && held.claim().is_none();
        let left = ahead.is_none_or(|until| held.is_some_and(|held| is_left(held) && held.until() == Some(until)));
        let ended = self.after.ended().ids().contains(&EndedId::Checkout(checkout.clone()));
        left && ended && !claims(self.after) && !sold.is_some_and(sold_to)
    }

    /// Whether the command is the revoke of the checkout that has this sale.
    fn revokes(&self, sale: &Sale) -> bool {
        matches!((self.command, &sale.to), (TicketCommand::Revoke { hold, checkout }, Some(to))
            if *hold == sale.hold && *checkout == to.checkout)
    }
}

fn sold_stays_sold(turn: &TicketTurn<'_>) -> Verdict {
    let Some(sale) = turn.before.sale() else { return Ok(()) };
    let may_go = turn.resets() || turn.revokes(sale);
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
    if let (Some(before), Some(after)) = (hold.claim(), turn.after.hold().and_then(Hold::claim)) {
        let grown = before.fence == after.fence && before.deadline < after.deadline;
        require(!grown, || "a claim has grown".into())?;
    }
    let gone = turn.after.hold().is_none_or(|after| after.id != hold.id) && turn.after.sale().is_none();
    let given_back = matches!(turn.command, TicketCommand::Release { hold: id } | TicketCommand::Revoke { hold: id, .. }
        if *id == hold.id);
    require(!gone || given_back || hold.end() <= turn.now(), || "a hold was taken back before its end".into())?;
    let lapsed_claim = hold.claim().filter(|claim| claim.deadline <= turn.now());
    let claim_stays = lapsed_claim.is_some() && turn.after.hold().and_then(Hold::claim) == lapsed_claim;
    require(!(turn.outcome.is_ok() && claim_stays), || "an accepted command left a lapsed claim".into())?;
    let lapsed_stays = turn.outcome.is_ok() && turn.after.hold() == Some(hold) && hold.end() <= turn.now();
    require(!lapsed_stays, || "an accepted command left a lapsed hold".into())
}

fn fenced(turn: &TicketTurn<'_>) -> Verdict {
    let Some(hold) = turn.live_hold() else { return Ok(()) };
    let by_checkout = |checkout: &CheckoutId| hold.claim().is_some_and(|claim| claim.checkout == *checkout);
    let own = match turn.command {
        TicketCommand::Reserve { .. } => false,
        TicketCommand::Claim { hold: id, user, checkout, .. } => {
            let free = hold.claim().is_none_or(|claim| claim.checkout == *checkout || claim.deadline <= turn.now());
            *id == hold.id && *user == hold.by && free
        }
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

/// Whose it is, what it costs and when it ends by itself: as long as a hold or the sale under it stands.
fn a_hold_keeps_its_terms(turn: &TicketTurn<'_>) -> Verdict {
    let terms = |hold: Option<&Hold>, sale: Option<&Sale>| {
        let hold = hold.map(|hold| (hold.id.clone(), hold.by.clone(), hold.price, hold.until()));
        hold.or(sale.map(|sale| (sale.hold.clone(), sale.by.clone(), sale.price, sale.until)))
    };
    let before = terms(turn.live_hold(), turn.before.sale());
    let after = terms(turn.after.hold(), turn.after.sale());
    let (Some(before), Some(after)) = (before, after) else { return Ok(()) };
    require(before.0 != after.0 || before == after, || format!("{:?} changed what a hold was made with", turn.command))
}

fn same_command_same_answer(turn: &TicketTurn<'_>) -> Verdict {
    match (turn.outcome, (turn.decide)(turn.after, turn.command, turn.now)) {
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

/// Wherever a hold goes, what a late copy could bring it back by is remembered as ended.
fn what_goes_has_ended(turn: &TicketTurn<'_>) -> Verdict {
    let has_ended = |id: EndedId| turn.after.ended().ids().contains(&id);
    if let Some(sale) = turn.before.sale().filter(|_| turn.after.sale().is_none()) {
        let stays = turn.after.hold().is_some_and(|held| held.id == sale.hold);
        let may_come_back = sale.until.is_none() && !turn.resets();
        let hold_is_known = stays || may_come_back || has_ended(EndedId::Hold(sale.hold.clone()));
        require(hold_is_known, || "a sale is gone, and its hold not remembered as ended".into())?;
        let to = sale.to.as_ref().map(|to| EndedId::Checkout(to.checkout.clone()));
        return require(to.is_none_or(has_ended), || "a sale is gone, and its checkout not remembered as ended".into());
    }
    let Some(before) = turn.before.hold() else { return Ok(()) };
    let (held, sold) = (turn.after.hold(), turn.after.sale());
    let hold_stays = held.is_some_and(|held| held.id == before.id) || sold.is_some_and(|sale| sale.hold == before.id);
    let hold_is_known = hold_stays || before.until().is_none() || has_ended(EndedId::Hold(before.id.clone()));
    require(hold_is_known, || "a hold is gone, and not remembered as ended".into())?;
    let Some(claim) = before.claim() else { return Ok(()) };
    let claimed = held.and_then(Hold::claim).is_some_and(|after| after.checkout == claim.checkout);
    let sold = sold.and_then(|sale| sale.to.as_ref()).is_some_and(|to| to.checkout == claim.checkout);
    let known = claimed || sold || has_ended(EndedId::Checkout(claim.checkout.clone()));
    require(known, || format!("{}'s claim is gone, and not remembered as ended", claim.checkout))
}

fn determinism(turn: &TicketTurn<'_>) -> Verdict {
    let stored = format::write(turn.before);
    let read = format::read::<Ticket>(&stored).map_err(|error| error.to_string())?;
    require(format::write(&read) == stored, || "the stored form changes when it is read and written".into())?;
    let mut again = read;
    let outcome = match (turn.decide)(&again, turn.command, turn.now) {
        Ok(Transition { event, reply, .. }) => {
            event.iter().for_each(|event| again.apply(event));
            Ok(reply)
        }
        Err(refusal) => Err(refusal),
    };
    let same = again == *turn.after && outcome == *turn.outcome;
    require(same, || format!("{:?} ended otherwise on the stored ticket", turn.command))
}

fn justified_refusal(turn: &TicketTurn<'_>) -> Verdict {
    let Err(refusal) = turn.outcome else { return Ok(()) };
    let never = matches!(
        turn.command,
        TicketCommand::Revoke { .. }
            | TicketCommand::Expire { .. }
            | TicketCommand::Unblock
            | TicketCommand::List { .. }
    );
    require(!never, || format!("{:?} was refused, which it never is", turn.command))?;
    let status = turn.before.get(turn.now).status;
    let never_listed = turn.before.listing().is_none();
    let true_then = match refusal {
        TicketRefusal::TicketReserved { .. } => status == TicketStatus::Reserved,
        TicketRefusal::TicketSold => status == TicketStatus::Sold,
        TicketRefusal::TicketBlocked => status == TicketStatus::Blocked,
        TicketRefusal::TicketNotForSale => status == TicketStatus::Available && never_listed,
        TicketRefusal::CheckoutInProgress => {
            turn.live_hold().and_then(Hold::claim).is_some_and(|claim| turn.now() < claim.deadline)
        }
        TicketRefusal::HoldExpired => has_expired(turn),
        TicketRefusal::HoldNotFound => {
            matches!(turn.command, TicketCommand::Confirm { .. })
                && !matches!((turn.command, turn.before.state()),
                (TicketCommand::Confirm { hold, checkout, fence }, TicketState::Reserved(held))
                    if held.id == *hold && held.claim().is_some_and(|claim| {
                        claim.checkout == *checkout && claim.fence == *fence && turn.now() < claim.deadline
                    }))
        }
        // A map's alone.
        TicketRefusal::Overtaken { .. }
        | TicketRefusal::HoldInUse
        | TicketRefusal::StaleEdition { .. }
        | TicketRefusal::Overloaded => false,
    };
    require(true_then, || format!("{:?} was refused {refusal:?} by a ticket that was {status:?}", turn.command))
}

/// Whether what the command names had ended, lapses now, or ends no later than now.
fn has_expired(turn: &TicketTurn<'_>) -> bool {
    let ended = |id: EndedId| turn.before.ended().ids().contains(&id);
    let lapsed = turn.before.hold().filter(|hold| hold.end() <= turn.now());
    let hold_over = |id: HoldId| {
        let lapses = lapsed.is_some_and(|hold| hold.id == id && hold.until().is_some());
        lapses || ended(EndedId::Hold(id))
    };
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

/// What the table promises of the ticket after an accepted command, and where it accepts none.
fn accepted_is_done(turn: &TicketTurn<'_>) -> Verdict {
    let Ok(reply) = turn.outcome else { return Ok(()) };
    let done = turn.may_be_accepted() && turn.is_done(reply);
    require(done, || format!("{:?} was accepted with {reply:?}, but is not done, or may not be", turn.command))
}

impl TicketTurn<'_> {
    /// Whether the table has a cell in which this is accepted.
    fn may_be_accepted(&self) -> bool {
        let before = self.before;
        let status = before.get(self.now).status;
        let ended = |id: EndedId| before.ended().ids().contains(&id);
        let (on_sale, held) = (status == TicketStatus::Available, status == TicketStatus::Reserved);
        match self.command {
            TicketCommand::Reserve { hold, .. } => (on_sale || held) && !ended(EndedId::Hold(hold.id().clone())),
            TicketCommand::Claim { hold, checkout, .. } => {
                let to = before.sale().and_then(|sale| sale.to.as_ref());
                let sold_to_it = to.is_some_and(|to| to.checkout == *checkout);
                let over = ended(EndedId::Hold(hold.clone())) || ended(EndedId::Checkout(checkout.clone()));
                sold_to_it || (on_sale || held) && !over
            }
            TicketCommand::Confirm { .. } => held || status == TicketStatus::Sold,
            TicketCommand::Release { .. } => status != TicketStatus::Sold,
            TicketCommand::Block { .. } => on_sale || status == TicketStatus::Blocked,
            TicketCommand::Sell { hold, .. } => on_sale && !ended(EndedId::Hold(hold.clone())),
            TicketCommand::Reset { .. } | TicketCommand::Cleanup => !held,
            TicketCommand::Revoke { .. }
            | TicketCommand::Expire { .. }
            | TicketCommand::Unblock
            | TicketCommand::List { .. } => true,
        }
    }

    /// Whether a price is the one that a new hold has.
    fn is_price(&self, price: Money, unlisted: Option<Money>) -> bool {
        self.before.listing().map(|listing| listing.price).or(unlisted) == Some(price)
    }

    /// Whether the ticket is what the table says it is then.
    fn is_done(&self, reply: &TicketReply) -> bool {
        let (held, sold) = (self.after.hold(), self.after.sale());
        let is_new = self.live_hold().is_none() && self.before.sale().is_none();
        match (self.command, reply) {
            (
                TicketCommand::Reserve { user, hold, ttl, unlisted },
                TicketReply::Reserved { hold: told, until, price },
            ) => held.is_some_and(|held| {
                let same = told.as_ref().is_none_or(|told| held.id == *told && told == hold.id());
                let as_asked = !is_new || *until == self.now().plus(ttl.length()) && self.is_price(*price, *unlisted);
                let as_told = *until == held.until().unwrap_or_else(|| held.end()) && held.price == *price;
                held.by == *user && same && as_asked && as_told && self.now() < held.end()
            }),
            (
                TicketCommand::Claim { hold, checkout, deadline, user, unlisted },
                TicketReply::Claimed { fence, price },
            ) => {
                let claimed = held.is_some_and(|held| {
                    let claim = held.claim().is_some_and(|claim| {
                        // One that it has already never grows, whatever its copy asks for.
                        let had = self.before.hold().and_then(Hold::claim) == Some(claim);
                        let as_asked = had || claim.deadline == *deadline;
                        (&claim.checkout, claim.fence) == (checkout, *fence) && as_asked && claim.deadline > self.now()
                    });
                    let price_is_right = !is_new || self.is_price(*price, *unlisted);
                    (&held.id, &held.by, held.price) == (hold, user, *price) && claim && price_is_right
                });
                claimed
                    || sold.is_some_and(|sale| {
                        let to = sale.to.as_ref().is_some_and(|to| (&to.checkout, to.fence) == (checkout, *fence));
                        (&sale.hold, &sale.by, sale.price) == (hold, user, *price) && to
                    })
            }
            (TicketCommand::Confirm { hold, checkout, fence }, TicketReply::Done) => sold.is_some_and(|sale| {
                let to = sale.to.as_ref().is_some_and(|to| (&to.checkout, to.fence) == (checkout, *fence));
                sale.hold == *hold && to
            }),
            (TicketCommand::Release { hold }, TicketReply::Done) => held.is_none_or(|held| held.id != *hold),
            (TicketCommand::Revoke { hold, checkout }, TicketReply::Done) => self.is_revoked(hold, checkout),
            (TicketCommand::Block { .. }, TicketReply::Done) => self.after.state().status() == TicketStatus::Blocked,
            (TicketCommand::Unblock, TicketReply::Done) => self.after.state().status() != TicketStatus::Blocked,
            (TicketCommand::List { price, edition }, TicketReply::Done) => {
                let before = self.before.listing();
                let newer = edition.is_none_or(|edition| before.is_none_or(|listing| edition > listing.edition));
                let listed = self.after.listing().map(|listing| listing.price);
                if newer { listed == Some(*price) } else { self.after.listing() == before }
            }
            (TicketCommand::Sell { user, hold, unlisted }, TicketReply::Sold { price }) => {
                let as_asked =
                    |sale: &Sale| (&sale.hold, &sale.by, sale.price, &sale.to) == (hold, user, *price, &None);
                sold.is_some_and(as_asked) && self.is_price(*price, *unlisted)
            }
            (TicketCommand::Reset { .. } | TicketCommand::Cleanup, TicketReply::Done) => {
                !self.resets() || self.after.state().status() == TicketStatus::Available
            }
            (TicketCommand::Expire { .. }, TicketReply::Done) => true,
            (
                _,
                TicketReply::Reserved { .. }
                | TicketReply::Claimed { .. }
                | TicketReply::Sold { .. }
                | TicketReply::Done,
            ) => false,
        }
    }
}
