//! Journeys are journals: `fixtures/NAME.jsonl` is a checkout's journal as a build of format 1 has written it, and
//! `fixtures/NAME.end.json` is what it leads to. Both are read for ever; their lines never change.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails"
)]

use booking_core::CheckoutId;
use booking_core::checkout::{Checkout, Ending, Failure};
use booking_core::format;
use booking_core::journal::{ReplayError, replay};
use booking_core::map::ticket::TicketStatus;
use booking_core::progress::CheckoutProgress;
use booking_core::terms::Terms;
use booking_core::testing::crash::{Schedule, abandon, pull, push};
use tests::{START, at_rest, captures, count, essence, house, house_with_a_hold, journeys, money_is_stuck};

/// Each journey with its golden journal and its end.
const GOLDEN: &[(&str, &str, &str)] = &[
    ("booked", include_str!("fixtures/booked.jsonl"), include_str!("fixtures/booked.end.json")),
    (
        "booked_under_a_hold",
        include_str!("fixtures/booked_under_a_hold.jsonl"),
        include_str!("fixtures/booked_under_a_hold.end.json"),
    ),
    (
        "booked_after_timeouts",
        include_str!("fixtures/booked_after_timeouts.jsonl"),
        include_str!("fixtures/booked_after_timeouts.end.json"),
    ),
    (
        "booked_after_a_lost_answer",
        include_str!("fixtures/booked_after_a_lost_answer.jsonl"),
        include_str!("fixtures/booked_after_a_lost_answer.end.json"),
    ),
    ("declined", include_str!("fixtures/declined.jsonl"), include_str!("fixtures/declined.end.json")),
    (
        "declined_under_a_hold",
        include_str!("fixtures/declined_under_a_hold.jsonl"),
        include_str!("fixtures/declined_under_a_hold.end.json"),
    ),
    ("gateway_down", include_str!("fixtures/gateway_down.jsonl"), include_str!("fixtures/gateway_down.end.json")),
    (
        "capture_declined",
        include_str!("fixtures/capture_declined.jsonl"),
        include_str!("fixtures/capture_declined.end.json"),
    ),
    ("seat_taken", include_str!("fixtures/seat_taken.jsonl"), include_str!("fixtures/seat_taken.end.json")),
    (
        "slept_past_the_deadline",
        include_str!("fixtures/slept_past_the_deadline.jsonl"),
        include_str!("fixtures/slept_past_the_deadline.end.json"),
    ),
    ("cancelled", include_str!("fixtures/cancelled.jsonl"), include_str!("fixtures/cancelled.end.json")),
    (
        "mixed_currencies",
        include_str!("fixtures/mixed_currencies.jsonl"),
        include_str!("fixtures/mixed_currencies.end.json"),
    ),
];

#[test]
fn every_golden_journal_replays_to_the_same_bytes() {
    for (name, lines, end) in GOLDEN {
        let running = replay(lines.lines().map(str::as_bytes)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(String::from_utf8(format::write(&running)).unwrap(), end.trim_end(), "{name}");
        assert!(running.ending().is_some(), "{name} has ended");
        let read: CheckoutProgress = format::read(end.trim_end().as_bytes()).unwrap();
        assert_eq!(read, running, "{name}");
    }
}

#[test]
fn every_journey_leaves_its_golden_journal_today() {
    assert_eq!(journeys().len(), GOLDEN.len());
    for (journey, (name, golden, _)) in journeys().into_iter().zip(GOLDEN) {
        assert_eq!(journey.name, *name);
        let run = pull(journey.house, &journey.cuts);
        let lines: Vec<String> = run.log.lines().map(|line| String::from_utf8(line).unwrap()).collect();
        assert_eq!(lines.join("\n"), golden.trim_end(), "{name}");
    }
}

#[test]
fn every_prefix_of_a_journal_goes_on_to_the_same_end() {
    for (name, lines, _) in GOLDEN {
        let lines: Vec<&str> = lines.lines().collect();
        let whole = replay(lines.iter().map(|line| line.as_bytes())).unwrap();
        for length in 1..lines.len() {
            let mut running = replay(lines[..length].iter().map(|line| line.as_bytes())).unwrap();
            assert!(running.ending().is_none(), "{name} had not ended after {length} lines");
            for line in &lines[length..] {
                match format::read(line.as_bytes()).unwrap() {
                    booking_core::journal::Entry::Ended { op, outcome } => {
                        assert_ne!(
                            running.record(&op, outcome).unwrap(),
                            booking_core::progress::Recorded::Stale,
                            "{name}"
                        );
                    }
                    booking_core::journal::Entry::Cancelled { .. } => running.cancel().unwrap(),
                    booking_core::journal::Entry::Started(_) => panic!("a second start"),
                }
            }
            assert_eq!(running, whole, "{name} from line {length}");
        }
    }
}

#[test]
fn every_journey_ends_as_its_name_says() {
    use TicketStatus::{Available, Reserved, Sold};
    for journey in journeys() {
        let name = journey.name;
        let run = pull(journey.house, &journey.cuts);
        let failure = match &run.ending {
            Ending::Completed { .. } => None,
            Ending::Failed { failure, .. } => Some(failure),
        };
        let as_named = match name {
            "booked" | "booked_under_a_hold" | "booked_after_timeouts" | "booked_after_a_lost_answer" => {
                failure.is_none()
            }
            "declined" | "declined_under_a_hold" => matches!(failure, Some(Failure::PaymentDeclined(_))),
            "capture_declined" => matches!(failure, Some(Failure::CaptureRefused(_))),
            "gateway_down" => matches!(failure, Some(Failure::PaymentUnavailable)),
            "seat_taken" => matches!(failure, Some(Failure::HoldRefused(_))),
            "slept_past_the_deadline" => matches!(failure, Some(Failure::ConfirmRefused(_))),
            "cancelled" => matches!(failure, Some(Failure::Cancelled)),
            "mixed_currencies" => matches!(failure, Some(Failure::NoAmount(_))),
            other => panic!("nobody has said how {other} ends"),
        };
        assert!(as_named, "{name}: {:?}", run.ending);
        let taken_by_bob = usize::from(matches!(name, "seat_taken" | "slept_past_the_deadline"));
        let (sold, free) = match (name, &failure) {
            (_, None) => (2, Available),
            ("declined_under_a_hold", _) => (0, Reserved),
            _ => (taken_by_bob, Available),
        };
        assert_eq!(count(&run, Sold), sold, "{name}");
        assert_eq!(count(&run, free), 2 - sold, "{name}");
        assert_eq!(captures(&run), usize::from(failure.is_none()), "{name}: money is taken iff it was booked");
        assert_eq!(run.house.memory.mailbox().len(), usize::from(failure.is_none()), "{name}: and so told");
        assert!(!money_is_stuck(&run), "{name}");
        assert_eq!(at_rest(&run, &Default::default()), Ok(()), "{name}");
    }
}

#[test]
fn every_journey_ends_alike_pushed_and_pulled() {
    for journey in journeys() {
        let pulled = pull(journey.house.clone(), &journey.cuts);
        let pushed = push(journey.house, &journey.cuts, &Schedule::default());
        assert_eq!(essence(&pulled), essence(&pushed), "{}", journey.name);
        assert_eq!(pulled.checkout, pushed.checkout, "{}", journey.name);
        assert_eq!((pulled.boundaries, pulled.crashes), (pushed.boundaries, pushed.crashes), "{}", journey.name);
    }
}

#[test]
fn a_journal_that_does_not_fit_is_refused_by_line() {
    let booked = GOLDEN[0].1;
    let lines = || booked.lines().collect::<Vec<_>>();
    let replayed =
        |lines: Vec<&str>| replay(lines.into_iter().map(str::as_bytes)).map(|running| running.checkout().step());
    assert_eq!(replayed(vec![]), Err(ReplayError::NoStart));
    assert_eq!(replayed(lines()[1..].to_vec()), Err(ReplayError::NoStart));
    let twice = [lines(), vec![lines()[1]]].concat();
    assert_eq!(replayed(twice), Err(ReplayError::OutOfPlace { line: lines().len() + 1 }));
    let restarted = vec![lines()[0], lines()[0]];
    assert_eq!(replayed(restarted), Err(ReplayError::OutOfPlace { line: 2 }));
    let skipped = vec![lines()[0], lines()[3]];
    assert!(matches!(replayed(skipped), Err(ReplayError::Impossible { line: 2, .. })));
    let another_steps = vec![lines()[0], r#"{"v":1,"is":{"cancelled":{"step":5}}}"#];
    assert_eq!(replayed(another_steps), Err(ReplayError::OutOfPlace { line: 2 }));
    let damaged = vec![lines()[0], "{\"v\":1,"];
    assert!(matches!(replayed(damaged), Err(ReplayError::Unreadable { line: 2, .. })));
    let newer = vec![lines()[0], r#"{"v":2,"is":"anything"}"#];
    let error = replayed(newer).unwrap_err().to_string();
    assert_eq!(
        error,
        "line 2 of the journal: this journal entry has format 2, but this build knows formats up to 1: use a newer build"
    );
}

#[test]
fn a_stored_checkout_is_the_checkout_inside_a_running_one() {
    for (name, lines, _) in GOLDEN {
        let running = replay(lines.lines().map(str::as_bytes)).unwrap();
        let stored = format::write(running.checkout());
        assert_eq!(format::read::<Checkout>(&stored).as_ref(), Ok(running.checkout()), "{name}");
    }
}

// What the specification (§4) says of whole journeys, a line a test.

#[test]
fn a_declined_buyer_who_brought_a_hold_still_has_it_until_its_own_end() {
    let run = pull(house_with_a_hold(&["seat-1"], "card_decline"), &[]);
    let ticket = run.house.memory.ticket(&run.checkout.order().tickets()[0]);
    let hold = ticket.state.hold().unwrap();
    assert_eq!((hold.by.as_str(), hold.claim()), ("ann", None));
    let until = hold.own().unwrap().until;
    assert_eq!(until, START.plus(Terms::default().hold_ttl.length()));
    assert_eq!(ticket.get(until).status, TicketStatus::Available);
}

#[test]
fn a_declined_buyer_may_pay_for_the_same_hold_with_another_card() {
    let mut first = pull(house_with_a_hold(&["seat-1"], "card_decline"), &[]);
    let mut second = house(&["seat-1"], "card_success", Some("anns"));
    second.memory = std::mem::take(&mut first.house.memory);
    let id = CheckoutId::parse("c-2").unwrap();
    second.checkout = Checkout::start(id, second.checkout.order().clone(), second.memory.now(), &Terms::default());
    assert!(matches!(pull(second, &[]).ending, Ending::Completed { .. }));
}

#[test]
fn a_hold_that_the_checkout_made_goes_back_on_sale_at_once() {
    let run = pull(house(&["seat-1"], "card_decline", None), &[]);
    assert_eq!(run.house.memory.ticket(&run.checkout.order().tickets()[0]).state.status(), TicketStatus::Available);
}

#[test]
fn a_buyers_money_is_never_taken_before_the_seats_are_theirs() {
    let house = house(&["seat-1", "seat-2"], "card_success", None);
    let boundaries = pull(house.clone(), &[]).boundaries;
    let mut seen = [0, 0];
    for after in 0..boundaries {
        // Cut, and never resumed: what is there then is what a crash for good leaves.
        let left = abandon(house.clone(), after).memory;
        let captured = left.ledger().accounts().any(|(_, account)| account.captured.is_some());
        let sold = left.tickets().filter(|(_, ticket)| ticket.state.sale().is_some()).count();
        assert!(!captured || sold == 2, "captured with {sold} seats sold, cut at {after}");
        seen[usize::from(captured)] += 1;
    }
    assert!(seen.iter().all(|count| *count > 2), "cuts before and after the capture: {seen:?}");
}

#[test]
fn one_that_is_killed_for_good_leaves_holds_that_lapse_by_themselves() {
    let house = house(&["seat-1", "seat-2"], "card_success", None);
    let boundaries = pull(house.clone(), &[]).boundaries;
    let mut reserved = 0;
    for after in 0..boundaries {
        let mut left = abandon(house.clone(), after).memory;
        reserved += left.tickets().filter(|(_, ticket)| ticket.state.hold().is_some()).count();
        left.advance_to(house.checkout.deadline());
        assert!(left.tickets().all(|(_, ticket)| ticket.state.hold().is_none()), "cut at {after}");
    }
    assert!(reserved > 10, "some of them had holds: {reserved}");
}
