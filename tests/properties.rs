//! What must hold for any commands, any schedule and any bytes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeSet;

use booking_core::format;
use booking_core::ids::{PaymentKey, PaymentMethodId};
use booking_core::invariants::{MapTurn, PROPERTIES, check_turn};
use booking_core::journal::replay;
use booking_core::machine::Machine;
use booking_core::map::SeatMap;
use booking_core::map::ticket::TicketStatus;
use booking_core::money::{Currency, Money};
use booking_core::payment::{Authorize, Capture, Payment, Void};
use booking_core::progress::CheckoutProgress;
use booking_core::testing::crash::{pull, push};
use booking_core::testing::strategies::{cuts, delivery, house, timeline};
use booking_core::turn;
use booking_core::wire::{self, Door, Kind};
use proptest::prelude::*;
use tests::{at_rest, essence};

/// Enough to meet every cell many times, few enough for every push. No files: some of these run without a disk.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(3000))]

    #[test]
    fn a_map_keeps_its_promises_for_any_commands(commands in timeline(1..60)) {
        let mut map = SeatMap::default();
        for (now, command) in &commands {
            let before = map.clone();
            let decision = before.decide(command, *now);
            decision.iter().filter_map(|decided| decided.event.as_ref()).for_each(|event| map.apply(event));
            if let Err(violation) = check_turn(&MapTurn::new(&before, command, *now, &decision, &map)) {
                prop_assert!(false, "{violation}\nbefore {before:?}\nafter {map:?}");
            }
        }
    }

    #[test]
    fn a_late_copy_of_any_command_never_takes_what_is_another_buyers(commands in timeline(2..40), copy in any::<prop::sample::Index>()) {
        let mut map = SeatMap::default();
        for (now, command) in &commands {
            let _outcome = turn(&mut map, command, *now).stored();
        }
        let (_, late) = copy.get(&commands);
        let (before, now) = (map.clone(), map.header().at);
        let _outcome = turn(&mut map, late, now).stored();
        for (id, _) in before.tickets() {
            let (before, after) = (before.view(id, now), map.view(id, now));
            if before.status == TicketStatus::Reserved && after.status == TicketStatus::Reserved {
                prop_assert_eq!(before.reserved_by, after.reserved_by);
            }
        }
    }

    #[test]
    fn a_pushed_checkout_ends_as_a_pulled_one_on_every_schedule(house in house(), cuts in cuts(0..4), delivery in delivery()) {
        let pulled = pull(house.clone(), &cuts);
        let pushed_in_order = push(house.clone(), &cuts, &Default::default());
        prop_assert_eq!(essence(&pulled), essence(&pushed_in_order));
        prop_assert_eq!(&pulled.checkout, &pushed_in_order.checkout);
        let lines: Vec<Vec<u8>> = pulled.log.lines().collect();
        let replayed = replay(lines.iter().map(Vec::as_slice));
        prop_assert_eq!(replayed.as_ref().map(CheckoutProgress::checkout), Ok(&pulled.checkout));
        // Side by side means in any order, and at least once means twice. (A cut that comes between two effects of a
        // step meets other ones then, so the schedule as a whole is another; without cuts it is the same.)
        let pulled_uncut = pull(house.clone(), &[]);
        let pushed_uncut = push(house.clone(), &[], &delivery);
        prop_assert_eq!(essence(&pulled_uncut), essence(&pushed_uncut));
        let pushed = push(house, &cuts, &delivery);
        for run in [pulled, pushed_in_order, pulled_uncut, pushed_uncut, pushed] {
            if let Err(violation) = at_rest(&run, &BTreeSet::new()) {
                prop_assert!(false, "{violation}");
            }
        }
    }
}

/// One of each kind.
fn payments() -> [Payment; 3] {
    let key = PaymentKey::parse("k").unwrap();
    let authorization = serde_json::from_value("a".into()).unwrap();
    let amount = Money::new(1, Currency::USD).unwrap();
    [
        Payment::Authorize(Authorize { key: key.clone(), amount, method: PaymentMethodId::default_card() }),
        Payment::Capture(Capture { key: key.clone(), authorization }),
        Payment::Void(Void { authorize_key: key, declined: false }),
    ]
}

proptest! {
    #![proptest_config(config(20_000))]

    #[test]
    fn any_bytes_get_an_answer(path in "[ -~]{0,40}", body in prop::collection::vec(any::<u8>(), 0..80), method in "[A-Z]{0,6}") {
        for from in [Door::Public, Door::Admin] {
            let _any = wire::parse(from, &method, &path, &body);
        }
        for payment in payments() {
            let _any = [200, 402].map(|status| wire::gateway::read(&payment, Some((status, &body))));
        }
        let _any = format::read_json::<wire::TicketCall>(&body);
        let _any = format::read_json::<wire::SeatMapCall>(&body);
        let _any = wire::watch::parse(&body);
        let _any = wire::idempotency_key("POST", [body.as_slice()]);
        let _any = booking_core::journal::replay([body.as_slice()]);
    }

    #[test]
    fn near_misses_of_good_requests_are_refused_by_kind(
        route in prop::sample::select(ROUTES.to_vec()), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let (path, body) = route;
        prop_assert!(wire::parse(Door::Admin, "POST", path, body.as_bytes()).is_ok());
        let mut bytes = body.as_bytes().to_vec();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        if let Err(refusal) = wire::parse(Door::Admin, "POST", path, &bytes) {
            let of_the_request = [Kind::InvalidRequest, Kind::TtlOutOfRange, Kind::TooManyTickets, Kind::DuplicateTicket];
            prop_assert!(of_the_request.contains(&refusal.kind), "{:?}", refusal);
            prop_assert!(!refusal.message.contains("s3cret"), "{}", refusal);
        }
    }
}

/// One good request of every handler that takes something.
const ROUTES: &[(&str, &str)] = &[
    ("/Ticket/a/reserve", r#"{"userId":"u","holdId":"s3cret-hold","ttlMs":60000}"#),
    ("/Ticket/a/release", r#"{"holdId":"s3cret-hold"}"#),
    ("/Ticket/a/block", r#"{"reason":"broken"}"#),
    ("/Ticket/a/list", r#"{"price":{"minor":100,"currency":"USD"}}"#),
    ("/Ticket/a/sell", r#""user-1""#),
    ("/Ticket/a/reset", r#"{"upTo":3}"#),
    (
        "/SeatMap/m/layout",
        r#"{"rows":[{"name":"A","seats":[{"ticketId":"m:1","price":{"minor":1,"currency":"USD"},"x":1,"y":2}]}]}"#,
    ),
    (
        "/Checkout/process",
        r#"{"ticketIds":["a","b"],"userId":"u","paymentMethodId":"s3cret-card","holdId":"s3cret-hold"}"#,
    ),
    (
        "/api/mock-payment/authorize",
        r#"{"key":"k","amount":{"minor":1,"currency":"USD"},"paymentMethodId":"s3cret-card"}"#,
    ),
    ("/api/mock-payment/capture", r#"{"key":"k","authorizationId":"auth:k"}"#),
    ("/api/mock-payment/void", r#"{"authorizeKey":"k"}"#),
    ("/api/mock-payment", r#"{"amount":100,"paymentMethodId":"s3cret-card"}"#),
];

#[test]
fn every_invariant_of_the_specification_is_a_named_property() {
    let numbers: BTreeSet<u8> = PROPERTIES.iter().map(|property| property.number).collect();
    assert_eq!(numbers, (1..=15).collect());
    let names: BTreeSet<&str> = PROPERTIES.iter().map(|property| property.name).collect();
    assert_eq!(names.len(), PROPERTIES.len());
}
