//! What must always hold (§7 of the specification), stated once, by name, for every harness.
//!
//! A harness that drives the machines (a test, a simulator, a search) shows them as a [`System`] and calls [`check`]
//! after every step, or [`check_checkout`] and [`check_ticket`] for what the step has touched; and [`check_turn`] with
//! every command that a map has judged. A harness that keeps its machines in memory shows them as a [`Snapshot`].
//!
//! ```
//! use booking_core::invariants::PROPERTIES;
//! let names: Vec<_> = PROPERTIES.iter().map(|property| property.name).collect();
//! assert!(names.contains(&"no_seat_no_money"));
//! ```

mod seat;
mod turn;

use std::collections::{BTreeMap, BTreeSet};

pub use turn::{Decide, Decision, MapTurn, loaded};

use crate::checkout::{Checkout, Ending, Stage};
use crate::ids::{CheckoutId, MapKey, PaymentKey, TicketId};
use crate::map::SeatMap;
use crate::map::ticket::{Hold, Ticket, TicketStatus};
use crate::money::Money;
use crate::payment::{Account, Ledger};

/// What the properties of a system look at in an account of a gateway: what stands there under the key of one authorisation. A harness
/// with a gateway of its own fills it from what that gateway shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountFacts<'a> {
    /// How much was asked for; `None` where a void came first.
    pub amount: Option<Money>,
    /// Whether the money was set aside, at any time.
    pub authorized: bool,
    /// The key that it was taken under, if it was.
    pub captured: Option<&'a PaymentKey>,
    /// Whether it was let go.
    pub voided: bool,
}

impl<'a> From<&'a Account> for AccountFacts<'a> {
    fn from(account: &'a Account) -> Self {
        Self {
            amount: account.asked.as_ref().map(|asked| asked.amount),
            authorized: account.authorized,
            captured: account.captured.as_ref(),
            voided: account.voided,
        }
    }
}

/// What the properties of a system look at in a seat: what is recorded of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SeatFacts<'a> {
    /// Its status.
    pub status: TicketStatus,
    /// The checkout that claims it.
    pub claimed_by: Option<&'a CheckoutId>,
    /// The checkout that it is sold to.
    pub sold_to: Option<&'a CheckoutId>,
    /// What it was sold for.
    pub sold_for: Option<Money>,
}

impl<'a> From<&'a Ticket> for SeatFacts<'a> {
    fn from(ticket: &'a Ticket) -> Self {
        let sale = ticket.state.sale();
        Self {
            status: ticket.state.status(),
            claimed_by: ticket.state.hold().and_then(Hold::claim).map(|claim| &claim.checkout),
            sold_to: sale.and_then(|sale| sale.claim.as_ref()).map(|claim| &claim.checkout),
            sold_for: sale.map(|sale| sale.price),
        }
    }
}

/// A whole system at one moment, as far as the properties look at it. However a harness keeps its machines, it shows
/// them by this.
pub trait System {
    /// Every seat of which anything is recorded.
    fn tickets(&self) -> Box<dyn Iterator<Item = (&TicketId, SeatFacts<'_>)> + '_>;
    /// Every checkout that was ever started.
    fn checkouts(&self) -> Box<dyn Iterator<Item = &Checkout> + '_>;
    /// One of the seats; `None` where nothing is recorded of it.
    fn ticket(&self, id: &TicketId) -> Option<SeatFacts<'_>>;
    /// One of the checkouts.
    fn checkout(&self, id: &CheckoutId) -> Option<&Checkout>;
    /// What the gateway has under the key of a checkout's authorisation. Money is counted here, at the one who has it.
    fn account(&self, checkout: &CheckoutId) -> Option<AccountFacts<'_>>;
    /// Everything that the gateway has.
    fn accounts(&self) -> Box<dyn Iterator<Item = (&PaymentKey, AccountFacts<'_>)> + '_>;
    /// Whether an operator has ever reset this ticket: what is said of sales no longer holds for it.
    fn is_reset(&self, ticket: &TicketId) -> bool;
    /// Whether an operator has killed this checkout for good: it will never end, and never undo.
    fn is_killed(&self, _checkout: &CheckoutId) -> bool {
        false
    }
    /// Whether the buyer's message was handed over; `None` where the harness does not keep count of that, so that `the_buyer_is_told` is
    /// not looked at.
    fn is_told(&self, checkout: &CheckoutId) -> Option<bool>;
    /// Whether the harness lets maps forget, before its time, that this checkout has ended. Then a late copy of its claim is
    /// accepted, and ends by itself.
    fn may_have_forgotten(&self, _ticket: &TicketId, _checkout: &CheckoutId) -> bool {
        false
    }
    /// Whether no message is under way and no timer is armed.
    fn is_at_rest(&self) -> bool;
}

/// A [`System`] whose maps are kept in memory.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// Every map that has heard of anything.
    pub maps: &'a BTreeMap<MapKey, SeatMap>,
    /// Every checkout that was ever started.
    pub checkouts: &'a BTreeMap<CheckoutId, Checkout>,
    /// What the gateway has. Money is counted here, at the one who has it.
    pub ledger: &'a Ledger,
    /// Whose buyers were told of their bookings; `None` where the harness keeps no count of that, so that `the_buyer_is_told` is not looked at.
    pub told: Option<&'a BTreeSet<CheckoutId>>,
    /// The tickets that an operator has ever reset: what is said of sales no longer holds for them.
    pub reset: &'a BTreeSet<TicketId>,
    /// Whether no message is under way and no timer is armed.
    pub at_rest: bool,
}

impl System for Snapshot<'_> {
    fn tickets(&self) -> Box<dyn Iterator<Item = (&TicketId, SeatFacts<'_>)> + '_> {
        Box::new(self.maps.values().flat_map(SeatMap::tickets).map(|(id, ticket)| (id, ticket.into())))
    }
    fn checkouts(&self) -> Box<dyn Iterator<Item = &Checkout> + '_> {
        Box::new(self.checkouts.values())
    }
    fn ticket(&self, id: &TicketId) -> Option<SeatFacts<'_>> {
        self.maps.get(id.map_str())?.ticket(id).map(SeatFacts::from)
    }
    fn checkout(&self, id: &CheckoutId) -> Option<&Checkout> {
        self.checkouts.get(id)
    }
    fn account(&self, checkout: &CheckoutId) -> Option<AccountFacts<'_>> {
        self.ledger.account(&PaymentKey::authorize(checkout)).map(AccountFacts::from)
    }
    fn accounts(&self) -> Box<dyn Iterator<Item = (&PaymentKey, AccountFacts<'_>)> + '_> {
        Box::new(self.ledger.accounts().map(|(key, account)| (key, account.into())))
    }
    fn is_reset(&self, ticket: &TicketId) -> bool {
        self.reset.contains(ticket)
    }
    fn is_told(&self, checkout: &CheckoutId) -> Option<bool> {
        self.told.map(|told| told.contains(checkout))
    }
    fn is_at_rest(&self) -> bool {
        self.at_rest
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
    /// Always, of every checkout and its account with the gateway: not to be asked of a system that has not got the account.
    Money(fn(&dyn System, &Checkout) -> Verdict),
    /// Always, of every ticket. It can cease to hold only where the ticket itself changes, or the checkout that it is
    /// sold to.
    Ticket(fn(&dyn System, &TicketId, SeatFacts<'_>) -> Verdict),
    /// Of every checkout, when the system is at rest.
    CheckoutAtRest(fn(&dyn System, &Checkout) -> Verdict),
    /// Of every ticket, when the system is at rest.
    TicketAtRest(fn(&dyn System, &TicketId, SeatFacts<'_>) -> Verdict),
    /// In every judgement of a map.
    PerTurn(fn(&MapTurn<'_>) -> Verdict),
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
    Property { name: "sold_stays_sold", number: 2, check: Check::PerTurn(seat::sold_stays_sold) },
    Property { name: "exact_expiry", number: 3, check: Check::PerTurn(seat::exact_expiry) },
    Property { name: "fenced", number: 4, check: Check::PerTurn(seat::fenced) },
    Property { name: "a_hold_keeps_its_terms", number: 4, check: Check::PerTurn(seat::a_hold_keeps_its_terms) },
    Property { name: "all_or_nothing", number: 5, check: Check::Checkout(all_or_nothing) },
    Property { name: "nothing_left_of_the_failed", number: 5, check: Check::Checkout(nothing_left_of_the_failed) },
    Property { name: "a_set_is_whole", number: 5, check: Check::PerTurn(turn::a_set_is_whole) },
    Property { name: "no_seat_no_money", number: 6, check: Check::Money(no_seat_no_money) },
    Property { name: "no_money_no_seat", number: 7, check: Check::Money(no_money_no_seat) },
    Property { name: "one_account", number: 7, check: Check::Money(one_account) },
    Property { name: "sold_to_somebody", number: 7, check: Check::Ticket(sold_to_somebody) },
    Property { name: "same_command_same_answer", number: 8, check: Check::PerTurn(turn::same_command_same_answer) },
    Property { name: "one_change_one_version", number: 8, check: Check::PerTurn(turn::one_change_one_version) },
    Property { name: "what_goes_has_ended", number: 8, check: Check::PerTurn(turn::what_goes_has_ended) },
    Property { name: "determinism", number: 9, check: Check::PerTurn(turn::determinism) },
    Property { name: "every_checkout_ends", number: 11, check: Check::CheckoutAtRest(every_checkout_ends) },
    Property { name: "no_ticket_stays_reserved", number: 11, check: Check::TicketAtRest(no_ticket_stays_reserved) },
    Property { name: "a_timer_is_armed", number: 11, check: Check::PerTurn(turn::a_timer_is_armed) },
    Property { name: "the_buyer_is_told", number: 11, check: Check::CheckoutAtRest(the_buyer_is_told) },
    Property { name: "justified_refusal", number: 12, check: Check::PerTurn(turn::justified_refusal) },
    Property { name: "accepted_is_done", number: 13, check: Check::PerTurn(seat::accepted_is_done) },
    Property { name: "a_map_is_its_seats", number: 14, check: Check::PerTurn(turn::a_map_is_its_seats) },
    Property { name: "a_layout_forgets_no_seat", number: 15, check: Check::PerTurn(turn::a_layout_forgets_no_seat) },
    Property { name: "watchers_hear_each_change", number: 10, check: Check::PerTurn(turn::watchers_hear_each_change) },
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
        Check::Checkout(holds) | Check::Money(holds) => holds(system, checkout),
        Check::CheckoutAtRest(holds) if at_rest => holds(system, checkout),
        Check::CheckoutAtRest(_) | Check::Ticket(_) | Check::TicketAtRest(_) | Check::PerTurn(_) => Ok(()),
    })
}

/// Looks at everything that must hold of one ticket now: enough where a step has touched it alone.
///
/// # Errors
/// The first that does not hold.
pub fn check_ticket(system: &dyn System, id: &TicketId, ticket: SeatFacts<'_>) -> Result<(), Violation> {
    let at_rest = system.is_at_rest();
    first_broken(|check| match check {
        Check::Ticket(holds) => holds(system, id, ticket),
        Check::TicketAtRest(holds) if at_rest => holds(system, id, ticket),
        Check::TicketAtRest(_)
        | Check::Checkout(_)
        | Check::Money(_)
        | Check::CheckoutAtRest(_)
        | Check::PerTurn(_) => Ok(()),
    })
}

/// Looks at every property of judgements.
///
/// # Errors
/// The first that does not hold.
pub fn check_turn(turn: &MapTurn<'_>) -> Result<(), Violation> {
    first_broken(|check| match check {
        Check::PerTurn(holds) => holds(turn),
        Check::Checkout(_) | Check::Money(_) | Check::Ticket(_) | Check::CheckoutAtRest(_) | Check::TicketAtRest(_) => {
            Ok(())
        }
    })
}

/// As [`check_turn`], but for `determinism`, which reads and writes the map's stored form and takes ten times as
/// long as the rest: for harnesses that look at millions of judgements, and at all of it in some.
///
/// # Errors
/// The first that does not hold.
pub fn check_turn_quickly(turn: &MapTurn<'_>) -> Result<(), Violation> {
    PROPERTIES.iter().filter(|property| property.number != 9).try_for_each(|property| match property.check {
        Check::PerTurn(holds) => holds(turn).map_err(|what| property.broken(what)),
        Check::Checkout(_) | Check::Money(_) | Check::Ticket(_) | Check::CheckoutAtRest(_) | Check::TicketAtRest(_) => {
            Ok(())
        }
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
    system.ticket(ticket).and_then(|seat| seat.sold_to) == Some(checkout)
}

fn is_completed(checkout: &Checkout) -> bool {
    matches!(checkout.ending(), Some(Ending::Completed { .. }))
}

fn has_failed(checkout: &Checkout) -> bool {
    matches!(checkout.ending(), Some(Ending::Failed { .. }))
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

fn nothing_left_of_the_failed(system: &dyn System, checkout: &Checkout) -> Verdict {
    if !has_failed(checkout) {
        return Ok(());
    }
    let id = checkout.id();
    for ticket in checkout.order().tickets() {
        let claimed = system.ticket(ticket).is_some_and(|seat| seat.claimed_by == Some(id));
        let forgotten = claimed && system.may_have_forgotten(ticket, id);
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
    let captured = account.captured.map(PaymentKey::as_str);
    let under_its_key = captured.is_some_and(|key| key.strip_prefix(id.as_str()) == Some(":capture"));
    require(under_its_key, || format!("{id} is completed, but was captured under {captured:?}"))?;
    let taken = account.amount;
    require(taken == Some(*amount), || format!("{id} was quoted {amount:?}, but {taken:?} was taken"))?;
    let sold = tickets_of(system, checkout).filter_map(|ticket| system.ticket(ticket));
    let sales: Vec<Money> = sold.filter(|seat| seat.sold_to == Some(id)).filter_map(|seat| seat.sold_for).collect();
    let sum: u64 = sales.iter().map(|price| price.minor()).sum();
    // What was reset since is not there any more to be added.
    let all = sales.len() == checkout.order().tickets().len();
    require(!all || sum == amount.minor(), || format!("{id} was quoted {amount:?} for tickets of {sum}"))
}

/// The gateway sets a checkout's money aside under one key alone, whichever process crashed, and whenever.
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

fn sold_to_somebody(system: &dyn System, id: &TicketId, ticket: SeatFacts<'_>) -> Verdict {
    let Some(to) = ticket.sold_to else { return Ok(()) };
    let checkout = system.checkout(to).ok_or_else(|| format!("{id} is sold to {to}, which never was"))?;
    require(!has_failed(checkout), || format!("{id} is sold to {to}, which has failed"))
}

fn every_checkout_ends(system: &dyn System, checkout: &Checkout) -> Verdict {
    let over = checkout.ending().is_some() || system.is_killed(checkout.id());
    require(over, || format!("{} has not ended", checkout.id()))
}

fn no_ticket_stays_reserved(_system: &dyn System, id: &TicketId, ticket: SeatFacts<'_>) -> Verdict {
    require(ticket.status != TicketStatus::Reserved, || format!("{id} stays reserved"))
}

fn the_buyer_is_told(system: &dyn System, checkout: &Checkout) -> Verdict {
    let id = checkout.id();
    let right = system.is_told(id).is_none_or(|told| told == is_completed(checkout) || system.is_killed(id));
    require(right, || format!("the buyer of {id} was told of a booking that is none, or was not told"))
}
