//! What to draw from. Few names and few moments, so that what is drawn meets: two buyers want one seat, a timer fires
//! at the very millisecond at which a hold ends.

use std::collections::BTreeMap;
use std::ops::Range;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::crash::{Cut, House, Schedule};
use super::simulate::{self, layout};
use super::world::Scenario;
use crate::checkout::{Checkout, Order};
use crate::ids::{AuthorizationId, CheckoutId, HoldId, PaymentKey, PaymentMethodId, TicketId, UserId};
use crate::map::ticket::{MakeClaim, Offer, Reserve, TicketCommand};
use crate::map::{SeatMapCommand, Seats};
use crate::memory::Memory;
use crate::money::{Currency, Money};
use crate::payment::{Authorize, Capture, Payment, Void};
use crate::terms::Terms;
use crate::time::{Millis, Timestamp};

/// One of a few ids of a kind.
fn one_of<T: Clone + std::fmt::Debug + 'static>(
    ids: &'static [&'static str],
    parse: fn(&str) -> T,
) -> impl Strategy<Value = T> {
    select(ids).prop_map(parse)
}

/// Ann or Bob.
pub fn user() -> impl Strategy<Value = UserId> {
    one_of(&["ann", "bob"], |id| UserId::parse(id).expect("a good id"))
}

/// One of three holds.
pub fn hold() -> impl Strategy<Value = HoldId> {
    one_of(&["h1", "h2", "h3"], |id| HoldId::parse(id).expect("a good id"))
}

/// One of three checkouts.
pub fn checkout_id() -> impl Strategy<Value = CheckoutId> {
    one_of(&["c1", "c2", "c3"], |id| CheckoutId::parse(id).expect("a good id"))
}

/// One of three tickets.
pub fn ticket_id() -> impl Strategy<Value = TicketId> {
    one_of(&["s1", "s2", "arena:A:3"], |id| TicketId::parse(id).expect("a good id"))
}

/// One to three seats of the map `global`, in any order.
pub fn seats() -> impl Strategy<Value = Seats> {
    let all = vec!["s1", "s2", "s3"].into_iter().map(|id| TicketId::parse(id).expect("a good id")).collect::<Vec<_>>();
    prop::sample::subsequence(all, 1..=3).prop_shuffle().prop_map(|seats| Seats::new(seats).expect("different seats"))
}

/// One of the mock gateway's cards.
pub fn card() -> impl Strategy<Value = PaymentMethodId> {
    let cards = &[
        "card_success",
        "card_decline",
        "card_error",
        "card_flaky",
        "card_lost",
        "card_capture_decline",
        "card_other",
    ];
    one_of(cards, |id| PaymentMethodId::parse(id).expect("a good id"))
}

/// A price.
pub fn price() -> impl Strategy<Value = Money> {
    (0_u64..3).prop_map(|minor| Money::new(minor, Currency::USD).expect("little money"))
}

/// A moment within the first ten seconds, more often than not one at which something ends.
pub fn moment() -> impl Strategy<Value = Timestamp> {
    let whole_seconds = (0_u64..=10).prop_map(|seconds| seconds * 1000);
    prop_oneof![3 => whole_seconds.clone(), 1 => whole_seconds.prop_map(|millis| millis.saturating_sub(1)), 1 => 0_u64..=10_000]
        .prop_map(Timestamp::from_millis)
}

fn offer() -> impl Strategy<Value = Offer> {
    let edition = prop_oneof![4 => Just(0_u64), 2 => Just(1), 1 => Just(2)];
    (edition, vec(option::weighted(0.9, price()), 3)).prop_map(|(edition, prices)| Offer { edition, prices, room: 100 })
}

fn nth() -> impl Strategy<Value = Option<u32>> {
    option::weighted(0.4, 1_u32..4)
}

/// Anything that one or more seats can be asked together.
pub fn ticket_command() -> impl Strategy<Value = TicketCommand> {
    prop_oneof![
        6 => (user(), hold(), nth(), moment(), moment(), offer()).prop_map(|(user, hold, nth, until, latest, offer)| {
            TicketCommand::Reserve(Reserve { user, hold, nth, until, latest, offer })
        }),
        6 => (user(), hold(), any::<bool>(), checkout_id(), moment(), offer()).prop_map(
            |(user, hold, brought, checkout, deadline, offer)| {
                TicketCommand::Claim(MakeClaim { user, hold, brought, checkout, deadline, offer })
            }
        ),
        6 => (hold(), checkout_id(), 0_u64..8).prop_map(|(hold, checkout, fence)| TicketCommand::Confirm { hold, checkout, fence }),
        2 => (hold(), nth(), moment()).prop_map(|(hold, nth, until)| TicketCommand::Release { hold, nth, until }),
        4 => (hold(), checkout_id(), moment()).prop_map(|(hold, checkout, deadline)| TicketCommand::Revoke { hold, checkout, deadline }),
        1 => Just(TicketCommand::Block { reason: "drawn".into() }),
        1 => Just(TicketCommand::Unblock),
        1 => (user(), hold(), offer()).prop_map(|(user, hold, offer)| TicketCommand::Sell { user, hold, offer }),
        1 => (0_u64..8).prop_map(|up_to| TicketCommand::Recall { up_to }),
        1 => (0_u64..8, vec(checkout_id(), 0..3)).prop_map(|(up_to, ended)| TicketCommand::Reset { up_to, ended }),
    ]
}

/// Any command to a map.
pub fn map_command() -> impl Strategy<Value = SeatMapCommand> {
    let laid_out = (seats(), price()).prop_map(|(seats, price)| layout(Vec::from(seats), price));
    prop_oneof![
        30 => (seats(), ticket_command()).prop_map(|(seats, command)| SeatMapCommand::Seats { seats, command }),
        2 => moment().prop_map(|due| SeatMapCommand::Expire { due }),
        1 => (seats(), price()).prop_map(|(seats, price)| SeatMapCommand::List { seats, price }),
        1 => laid_out.prop_map(|layout| SeatMapCommand::Publish { layout }),
        1 => Just(SeatMapCommand::ResetAll),
    ]
}

/// Commands to one map, each at a moment; the clock may step back.
pub fn timeline(length: Range<usize>) -> impl Strategy<Value = Vec<(Timestamp, SeatMapCommand)>> {
    let step_back = |times: &mut Vec<Timestamp>| times.sort();
    (vec(moment(), length.clone()), vec(map_command(), length), any::<bool>()).prop_map(
        move |(mut times, commands, sorted)| {
            if sorted {
                step_back(&mut times);
            }
            times.into_iter().zip(commands).collect()
        },
    )
}

/// When to crash, and how long nothing runs then: not at all, until a hold's or a checkout's end, or past it.
pub fn cuts(count: Range<usize>) -> impl Strategy<Value = Vec<Cut>> {
    let deadline = Terms::default().checkout_time.0;
    let downtime = select(vec![0, 999, 1000, 5000, deadline - 1, deadline, deadline + 1]).prop_map(Millis);
    vec((0_u32..40, downtime).prop_map(|(after, downtime)| Cut { after, downtime }), count)
}

/// Any call of the gateway, under one of three keys.
pub fn payment() -> impl Strategy<Value = Payment> {
    let key = || checkout_id().prop_map(|id| PaymentKey::authorize(&id));
    prop_oneof![
        3 => (key(), price(), card()).prop_map(|(key, amount, method)| Payment::Authorize(Authorize { key, amount, method })),
        2 => (checkout_id(), checkout_id()).prop_map(|(asking, authorized)| {
            let authorization = AuthorizationId::of_mock(&PaymentKey::authorize(&authorized));
            Payment::Capture(Capture { key: PaymentKey::capture(&asking), authorization })
        }),
        1 => key().prop_map(|authorize_key| Payment::Void(Void { authorize_key, declined: false })),
    ]
}

/// A small scene, faults and all, to begin a [`World`](super::world::World) with.
pub fn scene() -> impl Strategy<Value = Scenario> {
    any::<u64>().prop_map(|seed| simulate::scene(simulate::Size::Small, seed)).no_shrink()
}

/// What happens in a scene: picks for [`wander`](super::trace::wander).
pub fn picks() -> impl Strategy<Value = Vec<u16>> {
    vec(any::<u16>(), 0..120)
}

/// In which order outcomes come, and which come twice.
pub fn delivery() -> impl Strategy<Value = Schedule> {
    (vec(any::<u8>(), 0..60), vec(any::<bool>(), 0..60)).prop_map(|(picks, twice)| Schedule { picks, twice })
}

/// A house in which a checkout of one to three tickets starts, with or without a hold that its buyer has already, while
/// others do as they like, but for resets: what is said of sales holds until a reset.
pub fn house() -> impl Strategy<Value = House> {
    let tickets = prop::sample::subsequence(vec!["s1", "s2", "arena:A:3"], 1..=3);
    let rival = (0_u32..6, ticket_id(), rival_command());
    let cancel = option::weighted(0.2, 0_u32..6);
    (tickets, card(), option::of(any::<bool>()), vec(rival, 0..3), cancel).prop_map(
        |(tickets, method, held, rivals, cancel_during)| {
            let terms = Terms::default();
            let mut memory = Memory::new(Timestamp::from_millis(1_000_000), terms.clone());
            let tickets: Vec<TicketId> = tickets.iter().map(|id| TicketId::parse(id).expect("a good id")).collect();
            let user = UserId::parse("ann").expect("a good id");
            let hold = held.map(|_| HoldId::parse("anns").expect("a good id"));
            // Ann may bring a hold that she has on her tickets, or one that she has made up just now.
            if let (Some(hold), Some(true)) = (&hold, held) {
                for ticket in &tickets {
                    let (map, seats) = (ticket.map_key(), Seats::from(ticket.clone()));
                    let until = memory.now().plus(terms.hold_ttl.length());
                    let (user, hold, offer) = (user.clone(), hold.clone(), memory.offer(&map, &seats));
                    let command =
                        TicketCommand::Reserve(Reserve { user, hold, nth: None, until, latest: until, offer });
                    let _reserved = memory.ask(&map, &SeatMapCommand::Seats { seats, command });
                }
            }
            let order = Order::new(tickets, user, method, hold).expect("one to three different tickets");
            let id = CheckoutId::parse("c-1").expect("a good id");
            let checkout = Checkout::start(id, order, memory.now(), &terms);
            let mut by_step: BTreeMap<u32, Vec<_>> = BTreeMap::new();
            for (step, ticket, command) in rivals {
                let map = ticket.map_key();
                let command = SeatMapCommand::Seats { seats: ticket.into(), command };
                by_step.entry(step).or_default().push((map, command));
            }
            House { memory, checkout, rivals: by_step, cancel_during }
        },
    )
}

/// What a rival or an operator may do to a seat: never in the name of the checkout, in which no outsider can act.
fn rival_command() -> impl Strategy<Value = TicketCommand> {
    let bob = || UserId::parse("bob").expect("a good id");
    let offer = || Offer { edition: 0, prices: vec![Terms::default().default_price()], room: Terms::ROOM };
    let (soon, late) = (Timestamp::from_millis(1_300_000), Timestamp::from_millis(100_000_000));
    prop_oneof![
        hold().prop_map(move |hold| {
            let (user, offer) = (bob(), offer());
            TicketCommand::Reserve(Reserve { user, hold, nth: None, until: soon, latest: soon, offer })
        }),
        hold().prop_map(move |hold| {
            let checkout = CheckoutId::parse("bobs").expect("a good id");
            let (user, offer) = (bob(), offer());
            TicketCommand::Claim(MakeClaim { user, hold, brought: false, checkout, deadline: late, offer })
        }),
        hold().prop_map(move |hold| TicketCommand::Release { hold, nth: None, until: late }),
        Just(TicketCommand::Block { reason: "drawn".into() }),
        Just(TicketCommand::Unblock),
        Just(TicketCommand::Recall { up_to: u64::MAX }),
        hold().prop_map(move |hold| TicketCommand::Sell { user: bob(), hold, offer: offer() }),
    ]
}
