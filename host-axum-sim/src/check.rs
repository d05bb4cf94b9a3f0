//! The command `check`: whether what must always hold (§7 of the specification) holds of a data directory.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::path::PathBuf;

use booking_core::checkout::{Checkout, Ending};
use booking_core::ids::{CheckoutId, MapKey, PaymentKey, TicketId};
use booking_core::invariants::{AccountFacts, Check, PROPERTIES, Property, SeatFacts, System, Verdict};
use booking_core::map::SeatMap;
use booking_core::map::ticket::Ticket;
use booking_core::map::ticket::TicketStatus;
use booking_core::payment::Ledger;
use booking_core::wire::Refusal;
use booking_hosting::flags::{CannotRun, because};
use clap::Args;

use crate::engine::StoredMap;
use crate::store::{Record, StoreError, is_in_use, read};

/// How many violations of one property `check` prints at most.
const MOST_TOLD: usize = 20;

#[derive(Args)]
pub(crate) struct CheckArgs {
    /// The directory; a server may be at work in it
    #[arg(long, env = "BOOKING_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
    /// The ledger of a mock gateway that was a process of its own (`mock-gateway --ledger`): then money is checked too
    #[arg(long, value_name = "DIR")]
    ledger: Option<PathBuf>,
}

/// Everything of a directory, as the properties look at it.
#[derive(Default)]
struct Kept {
    maps: BTreeMap<MapKey, SeatMap>,
    checkouts: BTreeMap<CheckoutId, Checkout>,
    ledger: Ledger,
    /// Whether that is all of what the gateway has, and not only what the directory has of it.
    knows_all_accounts: bool,
    /// Accounts that go with a checkout, which is not there.
    strays: Vec<PaymentKey>,
    /// The completed checkouts that are still kept, by their tickets.
    booked: BTreeMap<TicketId, Vec<CheckoutId>>,
    /// Tickets that an operator has put back on sale since they were sold to one of these.
    reset: BTreeSet<TicketId>,
    keys: usize,
}

impl Kept {
    fn of(records: impl Iterator<Item = Result<Record, StoreError>>) -> Result<Self, StoreError> {
        let mut kept = Self::default();
        let mut maps = BTreeMap::new();
        for record in records {
            match record? {
                Record::Checkout(record) => {
                    let checkout = record.checkout();
                    if is_booked(checkout) {
                        for ticket in checkout.order().tickets() {
                            kept.booked.entry(ticket.clone()).or_default().push(checkout.id().clone());
                        }
                    }
                    kept.reset.extend(record.reset().iter().cloned());
                    kept.checkouts.insert(checkout.id().clone(), checkout.clone());
                }
                Record::Account(key, account) => {
                    if account.since.is_none() {
                        kept.strays.push(key.clone());
                    }
                    kept.ledger.restore(key, account.account);
                }
                Record::Key(..) => kept.keys += 1,
                record @ (Record::Map(..)
                | Record::Layout(..)
                | Record::Seat(..)
                | Record::Ended(..)
                | Record::LastWish(..)) => StoredMap::take_in(&mut maps, record),
                Record::Beginning(_)
                | Record::CheckoutForgotten(_)
                | Record::AccountForgotten(_)
                | Record::KeyForgotten(_)
                | Record::Audit(..) => {}
            }
        }
        kept.maps = maps.into_iter().map(|(key, stored)| (key, stored.into_map())).collect();
        let goes_with = |key: &PaymentKey| {
            let id = key.as_str().strip_suffix(":authorize").and_then(|id| CheckoutId::parse(id).ok());
            id.is_some_and(|id| kept.checkouts.contains_key(&id))
        };
        let strays = std::mem::take(&mut kept.strays);
        kept.strays = strays.into_iter().filter(|key| !goes_with(key)).collect();
        Ok(kept)
    }

    /// Whether it is known what the gateway has of a checkout, or nothing has to be.
    fn is_paid_here(&self, checkout: &Checkout) -> bool {
        self.knows_all_accounts
            || !is_booked(checkout)
            || self.ledger.account(&PaymentKey::authorize(checkout.id())).is_some()
    }
}

fn is_booked(checkout: &Checkout) -> bool {
    matches!(checkout.ending(), Some(Ending::Completed { .. }))
}

/// What is around one checkout or ticket: the same system, but for what has nothing to do with it, so that a property
/// that looks at all the others need not look at a million.
struct Around<'a> {
    kept: &'a Kept,
    checkout: Option<&'a Checkout>,
}

impl System for Around<'_> {
    fn tickets(&self) -> Box<dyn Iterator<Item = (&TicketId, SeatFacts<'_>)> + '_> {
        Box::new(self.kept.tickets().map(|(id, ticket)| (id, ticket.into())))
    }
    fn checkouts(&self) -> Box<dyn Iterator<Item = &Checkout> + '_> {
        let tickets = self.checkout.into_iter().flat_map(|checkout| checkout.order().tickets());
        let others = tickets.filter_map(|ticket| self.kept.booked.get(ticket)).flatten();
        Box::new(others.filter_map(|id| self.kept.checkouts.get(id)))
    }
    fn ticket(&self, id: &TicketId) -> Option<SeatFacts<'_>> {
        self.kept.maps.get(id.map_str())?.ticket(id).map(SeatFacts::from)
    }
    fn checkout(&self, id: &CheckoutId) -> Option<&Checkout> {
        self.kept.checkouts.get(id)
    }
    fn account(&self, checkout: &CheckoutId) -> Option<AccountFacts<'_>> {
        self.kept.ledger.account(&PaymentKey::authorize(checkout)).map(AccountFacts::from)
    }
    fn accounts(&self) -> Box<dyn Iterator<Item = (&PaymentKey, AccountFacts<'_>)> + '_> {
        let id = self.checkout.map_or("", |checkout| checkout.id().as_str());
        // Those of a checkout stand next to each other: their keys begin with its id.
        let own = self.kept.ledger.accounts_from(id).take_while(move |(key, _)| key.as_str().starts_with(id));
        Box::new(own.map(|(key, account)| (key, account.into())))
    }
    fn is_reset(&self, ticket: &TicketId) -> bool {
        self.kept.reset.contains(ticket)
    }
    fn is_told(&self, _checkout: &CheckoutId) -> Option<bool> {
        // Looked at only where a system is at rest, which a copy of a disk need not be.
        None
    }
    fn is_at_rest(&self) -> bool {
        false
    }
}

fn is_of_checkouts(property: &Property) -> bool {
    matches!(property.check, Check::Checkout(_) | Check::Money(_))
}

/// What was found of one property.
struct Found {
    property: &'static Property,
    looked_at: usize,
    /// Of how many it cannot be said.
    passed_over: usize,
    broken: Vec<String>,
}

impl Kept {
    fn look(&self, property: &'static Property) -> Option<Found> {
        let mut found = Found { property, looked_at: 0, passed_over: 0, broken: Vec::new() };
        let mut see = |verdict: Verdict| {
            found.looked_at += 1;
            found.broken.extend(verdict.err());
        };
        match property.check {
            Check::Checkout(holds) | Check::Money(holds) => self
                .checkouts
                .values()
                .filter(|checkout| matches!(property.check, Check::Checkout(_)) || self.is_paid_here(checkout))
                .for_each(|checkout| see(holds(&Around { kept: self, checkout: Some(checkout) }, checkout))),
            Check::Ticket(holds) => self.each_ticket(|id, ticket| see(holds(&self.around(), id, ticket.into()))),
            Check::TicketAtRest(_) | Check::CheckoutAtRest(_) | Check::PerTurn(_) => return None,
        }
        let all = if is_of_checkouts(property) { self.checkouts.len() } else { self.tickets().count() };
        found.passed_over = all - found.looked_at;
        Some(found)
    }

    /// Every seat that is stored.
    fn tickets(&self) -> impl Iterator<Item = (&TicketId, &Ticket)> {
        self.maps.values().flat_map(SeatMap::tickets)
    }

    fn around(&self) -> Around<'_> {
        Around { kept: self, checkout: None }
    }

    /// What a ticket was sold to is forgotten after a day, and the sale stays: of that there is nothing to be said.
    fn each_ticket(&self, mut look: impl FnMut(&TicketId, &Ticket)) {
        let is_known = |ticket: &Ticket| {
            let to = ticket.state.sale().and_then(|sale| sale.claim.as_ref());
            to.is_none_or(|to| self.checkouts.contains_key(&to.checkout))
        };
        self.tickets().filter(|(_, ticket)| is_known(ticket)).for_each(|(id, ticket)| look(id, ticket));
    }
}

/// Says a line. Who reads no more has read enough; else what cannot be said is an error, or a check would pass that nobody has seen.
fn say(line: &str) -> Result<(), CannotRun> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        said => said.map_err(because("standard output")),
    }
}

impl CheckArgs {
    /// # Errors
    /// [`CannotRun`], for a person: also where something does not hold.
    pub(crate) fn run(&self) -> Result<(), CannotRun> {
        let records = read(&self.data_dir).map_err(because("--data-dir"))?;
        let mut kept = Kept::of(records).map_err(because("--data-dir"))?;
        if let Some(path) = &self.ledger {
            for record in read(path).map_err(because("--ledger"))? {
                if let Record::Account(key, account) = record.map_err(because("--ledger"))? {
                    kept.ledger.restore(key, account.account);
                }
            }
            kept.knows_all_accounts = true;
        }
        tell(&kept)?;
        if is_in_use(&self.data_dir) {
            say("a server is at work in it: this is how it was a moment ago")?;
        }
        say("")?;
        let mut broken = kept.strays.len();
        if let Some(first) = kept.strays.first() {
            say(&format!(
                "{broken} accounts of the mock gateway go with checkouts that are not there, such as {first}"
            ))?;
        }
        for found in PROPERTIES.iter().filter_map(|property| kept.look(property)) {
            let Found { property, looked_at, passed_over, broken: seen } = found;
            let verdict = if seen.is_empty() { "holds" } else { "BROKEN" };
            let is_of_checkouts = is_of_checkouts(property);
            let why = match (passed_over, is_of_checkouts) {
                (0, _) => String::new(),
                (_, true) => format!(", {passed_over} not: no account of theirs is here, see --ledger"),
                (_, false) => format!(", {passed_over} not: sold by checkouts that are forgotten"),
            };
            say(&format!("§7.{:<3} {:28} {verdict:7} {looked_at} looked at{why}", property.number, property.name))?;
            seen.iter().take(MOST_TOLD).try_for_each(|what| say(&format!("        {what}")))?;
            broken += seen.len();
        }
        if broken == 0 { Ok(()) } else { Err(CannotRun(format!("{broken} things are not as they must be"))) }
    }
}

/// What there is, in numbers.
fn tell(kept: &Kept) -> Result<(), CannotRun> {
    let mut statuses: BTreeMap<TicketStatus, u64> = BTreeMap::new();
    kept.tickets().for_each(|(_, ticket)| *statuses.entry(ticket.state.status()).or_default() += 1);
    let laid_out = kept.maps.values().filter_map(|map| Some((map.layout()?.len() as u64, map.header().tickets)));
    let on_sale: u64 = laid_out.map(|(all, stored)| all.saturating_sub(stored)).sum();
    if on_sale > 0 {
        *statuses.entry(TicketStatus::Available).or_default() += on_sale;
    }
    let tickets: u64 = statuses.values().sum();
    let mut endings: BTreeMap<&'static str, u64> = BTreeMap::new();
    for checkout in kept.checkouts.values() {
        let ending = match checkout.ending() {
            None => "under way",
            Some(Ending::Completed { .. }) => "booked",
            Some(Ending::Failed { failure, .. }) => Refusal::from(failure).kind.as_str(),
        };
        *endings.entry(ending).or_default() += 1;
    }
    let statuses: Vec<String> = statuses.iter().map(|(status, count)| format!("{count} {status:?}")).collect();
    let endings: Vec<String> = endings.iter().map(|(ending, count)| format!("{count} {ending}")).collect();
    say(&format!("{tickets} tickets: {}", statuses.join(", ").to_lowercase()))?;
    say(&format!("{} checkouts: {}", kept.checkouts.len(), endings.join(", ")))?;
    say(&format!("{} maps, {} idempotency keys", kept.maps.len(), kept.keys))
}
