//! What the tests share: journeys to send a checkout on, and what is left when it is over.

#[cfg(not(target_family = "wasm"))]
#[allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "a test that cannot go on fails")]
pub mod cloudflare;
#[cfg(not(target_family = "wasm"))]
#[allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "a test that cannot go on fails")]
pub mod conformance;
#[cfg(not(target_family = "wasm"))]
#[allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "a test that cannot go on fails")]
pub mod crowd;
#[cfg(not(target_family = "wasm"))]
#[allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "a test that cannot go on fails")]
pub mod durable;
#[cfg(not(target_family = "wasm"))]
#[allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "a test that cannot go on fails")]
pub mod gateway;
pub mod histories;
#[cfg(not(target_family = "wasm"))]
#[allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "a test that cannot go on fails")]
pub mod http;
#[cfg(not(target_family = "wasm"))]
#[allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "a test that cannot go on fails")]
pub mod invitations;
#[cfg(not(target_family = "wasm"))]
#[allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "a test that cannot go on fails")]
pub mod mail;
#[cfg(not(target_family = "wasm"))]
#[allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "a test that cannot go on fails")]
pub mod restate;
#[cfg(not(target_family = "wasm"))]
#[allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "a test that cannot go on fails")]
pub mod server;
#[cfg(not(target_family = "wasm"))]
#[allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "a test that cannot go on fails")]
pub mod soak;
pub mod verify;
#[cfg(not(target_family = "wasm"))]
#[allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "a test that cannot go on fails")]
pub mod worker;

use std::collections::{BTreeMap, BTreeSet};

use booking_core::checkout::{Checkout, Order};
use booking_core::ids::{CheckoutId, HoldId, PaymentKey, PaymentMethodId, TicketId, UserId};
use booking_core::invariants::{Snapshot, Violation, check};
use booking_core::map::ticket::TicketStatus;
use booking_core::map::ticket::{Reserve, TicketCommand};
use booking_core::map::{Layout, Place, Row, SeatMapCommand, Seats};
use booking_core::memory::Memory;
use booking_core::money::Money;
use booking_core::terms::Terms;
use booking_core::testing::crash::{Cut, House, Run};
use booking_core::time::{Millis, Timestamp};

/// How long a test waits for what must happen before it gives up. It fails a test that hangs; a machine that is ten times
/// slower than ours fails none.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(300);

/// What a closure gives in the end: messages between objects arrive late, so the first look may be too early.
///
/// # Panics
/// When it gives nothing within [`PATIENCE`].
#[cfg(not(target_family = "wasm"))]
pub fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < PATIENCE, "it did not come to be in time");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// The size of a test: the first in `cargo xtask test`, where it still finds its planted fault, the second in
/// `cargo xtask soak`.
#[must_use]
pub fn size(test: usize, soak: usize) -> usize {
    if std::env::var_os("BOOKING_SOAK").is_some() { soak } else { test }
}

/// When every journey begins.
pub const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A checkout's way through a house, from its start to its end.
#[derive(Clone, Debug)]
pub struct Journey {
    /// What it is called; its fixtures are named for it.
    pub name: &'static str,
    /// Where it begins.
    pub house: House,
    /// Crashes on the way.
    pub cuts: Vec<Cut>,
}

fn ticket(id: &str) -> TicketId {
    TicketId::parse(id).expect("a good id")
}

/// A house in which ann's checkout of these tickets starts.
#[must_use]
pub fn house(tickets: &[&str], card: &str, hold: Option<&str>) -> House {
    let memory = Memory::new(START, Terms::default());
    let user = UserId::parse("ann").expect("a good id");
    let method = PaymentMethodId::parse(card).expect("a good id");
    let hold = hold.map(|id| HoldId::parse(id).expect("a good id"));
    let tickets = tickets.iter().map(|id| ticket(id)).collect();
    let order = Order::new(tickets, user, method, hold).expect("a good order");
    let id = CheckoutId::parse("c-1").expect("a good id");
    let checkout = Checkout::start(id, order, START, &memory.terms);
    House { memory, checkout, rivals: BTreeMap::new(), cancel_during: None }
}

/// As [`house`], where ann holds all her tickets already, under the hold that she brings.
#[must_use]
pub fn house_with_a_hold(tickets: &[&str], card: &str) -> House {
    let mut house = house(tickets, card, Some("anns"));
    let (user, hold) = (house.checkout.order().user().clone(), house.checkout.hold());
    let until = START.plus(house.memory.terms.hold_ttl.length());
    for line in house.checkout.lines() {
        let offer = house.memory.offer(&line.at, &line.seats);
        let (user, hold) = (user.clone(), hold.clone());
        let command = TicketCommand::Reserve(Reserve { user, hold, nth: None, until, latest: until, offer });
        let reserved = house.memory.ask(&line.at, &SeatMapCommand::Seats { seats: line.seats, command });
        assert!(reserved.is_ok(), "{} is on sale", line.at);
    }
    house
}

/// Bob buys this ticket at the box office before the step begins.
fn bob_buys(house: House, id: &str, step: u32) -> House {
    let (map, seats) = (ticket(id).map_key(), Seats::from(ticket(id)));
    let user = UserId::parse("bob").expect("a good id");
    let hold = HoldId::parse("box-1").expect("a good id");
    let command = TicketCommand::Sell { user, hold, offer: house.memory.offer(&map, &seats) };
    House { rivals: BTreeMap::from([(step, vec![(map, SeatMapCommand::Seats { seats, command })])]), ..house }
}

/// Every journey, each ending of a checkout among them.
#[must_use]
pub fn journeys() -> Vec<Journey> {
    let two = ["seat-1", "arena:A:12"];
    let journey = |name, house| Journey { name, house, cuts: Vec::new() };
    // Nothing runs after the authorisation until the claims are over.
    let asleep = vec![Cut { after: 7, downtime: Terms::default().checkout_time }];
    let cancelled = House { cancel_during: Some(1), ..house(&two, "card_success", None) };
    let price = Money::new(100, "EUR".parse().expect("three letters")).expect("little money");
    let seats = vec![Place { ticket: ticket("seat-1"), label: None, price, x: 0, y: 0 }];
    let layout = Layout::new(vec![Row { name: "A".into(), seats }]).expect("one seat");
    let mixed = House {
        rivals: BTreeMap::from([(
            0,
            vec![(ticket("seat-1").map_key(), SeatMapCommand::Publish { layout: layout.into() })],
        )]),
        ..house(&two, "card_success", None)
    };
    vec![
        journey("booked", house(&two, "card_success", None)),
        journey("booked_under_a_hold", house_with_a_hold(&two, "card_success")),
        journey("booked_after_timeouts", house(&two, "card_flaky", None)),
        journey("booked_after_a_lost_answer", house(&two, "card_lost", None)),
        journey("declined", house(&two, "card_decline", None)),
        journey("declined_under_a_hold", house_with_a_hold(&two, "card_decline")),
        journey("gateway_down", house(&two, "card_error", None)),
        journey("capture_declined", house(&two, "card_capture_decline", None)),
        journey("seat_taken", bob_buys(house(&two, "card_success", None), "arena:A:12", 0)),
        Journey {
            name: "slept_past_the_deadline",
            house: bob_buys(house(&two, "card_success", None), "seat-1", 2),
            cuts: asleep,
        },
        journey("cancelled", cancelled),
        journey("mixed_currencies", mixed),
    ]
}

/// What is left of a run, but for when it happened and how often the gateway was called: what a crash must not change.
#[must_use]
pub fn essence(run: &Run) -> String {
    use std::fmt::Write;
    let mut essence = format!("{:?}\n", run.ending);
    for (key, map) in run.house.memory.maps() {
        for (id, ticket) in map.tickets() {
            let sale = ticket.state.sale().map(|sale| (&sale.by, &sale.claim, sale.price, sale.own));
            let hold = ticket.state.hold().map(|hold| (&hold.by, hold.own(), hold.claim()));
            let (status, version) = (ticket.state.status(), ticket.version);
            writeln!(essence, "{id} {status:?} v{version} {sale:?} {hold:?}").expect("a String takes all");
        }
        let ended: Vec<_> = map.ended().collect();
        writeln!(essence, "{key} v{} {ended:?}", map.version()).expect("a String takes all");
    }
    for (key, account) in run.house.memory.ledger().accounts() {
        let (asked, captured) = (&account.asked, &account.captured);
        writeln!(essence, "{key} {asked:?} {} {captured:?} {}", account.authorized, account.voided)
            .expect("a String takes all");
    }
    for (key, message) in run.house.memory.mailbox() {
        writeln!(essence, "{key} {message:?}").expect("a String takes all");
    }
    essence
}

/// Lets every timer fire, and looks at every invariant of the house then.
///
/// # Errors
/// The first that does not hold.
pub fn at_rest(run: &Run, reset: &BTreeSet<TicketId>) -> Result<(), Violation> {
    let mut memory = run.house.memory.clone();
    let last = Millis::from_mins(24 * 60);
    memory.advance_to(memory.now().plus(last));
    // No buyer holds a ticket for longer than a day in these tests.
    let at_rest = !memory.has_timers();
    let checkouts = BTreeMap::from([(run.checkout.id().clone(), run.checkout.clone())]);
    let (maps, ledger) = (memory.maps(), memory.ledger());
    let told = memory.mailbox().values().map(|message| message.checkout.clone()).collect();
    check(&Snapshot { maps, checkouts: &checkouts, ledger, told: Some(&told), reset, at_rest })
}

/// How often money was taken, by the gateway's own count.
#[must_use]
pub fn captures(run: &Run) -> usize {
    run.house.memory.ledger().accounts().filter(|(_, account)| account.captured.is_some()).count()
}

/// Whether the gateway has any money set aside that it has neither taken nor let go.
#[must_use]
pub fn money_is_stuck(run: &Run) -> bool {
    let stuck = |key: &PaymentKey| {
        let account = run.house.memory.ledger().account(key);
        account.is_some_and(|account| account.authorized && account.captured.is_none() && !account.voided)
    };
    run.house.memory.ledger().accounts().any(|(key, _)| stuck(key))
}

/// How many of the checkout's tickets have this status.
#[must_use]
pub fn count(run: &Run, status: TicketStatus) -> usize {
    let tickets = run.checkout.order().tickets().iter();
    tickets.filter(|ticket| run.house.memory.ticket(ticket).get(run.house.memory.now()).status == status).count()
}
