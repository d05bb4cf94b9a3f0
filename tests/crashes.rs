//! A checkout that is cut at any boundary of its journal, and resumed, ends as one that is not: both ways of driving it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeSet;

use booking_core::testing::crash::{Cut, House, Order, Run, pull, push};
use booking_core::time::Millis;
use tests::{at_rest, captures, essence, house, house_with_a_hold, journeys, money_is_stuck};

const CARDS: [&str; 7] = [
    "card_success",
    "card_decline",
    "card_error",
    "card_flaky",
    "card_lost",
    "card_capture_decline",
    "card_unheard_of",
];

/// Every journey that has no crash in it already, and every card with one, two and ten tickets.
fn scenarios() -> Vec<(String, House)> {
    let ten: Vec<String> = (0..10).map(|i| format!("seat-{i}")).collect();
    let ten: Vec<&str> = ten.iter().map(String::as_str).collect();
    let mut scenarios: Vec<(String, House)> = journeys()
        .into_iter()
        .filter(|journey| journey.cuts.is_empty())
        .map(|journey| (journey.name.to_owned(), journey.house))
        .collect();
    for card in CARDS {
        for tickets in [&ten[..1], &ten[..2], &ten[..]] {
            scenarios.push((format!("{card} × {}", tickets.len()), house(tickets, card, None)));
            scenarios.push((format!("{card} × {} under a hold", tickets.len()), house_with_a_hold(tickets, card)));
        }
    }
    scenarios
}

/// Both ways of driving a checkout.
fn both_ways(house: &House, cuts: &[Cut]) -> [Run; 2] {
    [pull(house.clone(), cuts), push(house.clone(), cuts, &Order::default())]
}

fn assert_sound(name: &str, run: &Run) {
    let completed = run.house.memory.mailbox().len();
    assert_eq!(captures(run), completed, "{name}: money is taken once, and only for a booking");
    assert!(!money_is_stuck(run), "{name}: no money stays set aside");
    assert_eq!(at_rest(run, &BTreeSet::new()), Ok(()), "{name}");
}

#[test]
fn one_crash_at_every_boundary_changes_nothing() {
    let mut runs = 0;
    for (name, house) in scenarios() {
        let whole = pull(house.clone(), &[]);
        assert!(whole.boundaries >= 6, "{name}: three boundaries around each effect");
        for after in 0..whole.boundaries {
            for run in both_ways(&house, &[Cut { after, downtime: Millis(0) }]) {
                assert_eq!(run.crashes, 1, "{name}, cut at {after}");
                assert_eq!(essence(&run), essence(&whole), "{name}, cut at {after}");
                assert_sound(&name, &run);
                runs += 1;
            }
        }
    }
    assert!(runs > 2000, "only {runs} runs");
}

#[test]
fn two_crashes_at_every_pair_of_boundaries_change_nothing() {
    let mut runs = 0;
    for card in CARDS {
        let house = house_with_a_hold(&["seat-1"], card);
        let whole = pull(house.clone(), &[]);
        for first in 0..whole.boundaries {
            // A boundary that was passed may be met again after the first crash.
            for second in 0..whole.boundaries - first {
                let cuts = [first, second].map(|after| Cut { after, downtime: Millis(0) });
                for run in both_ways(&house, &cuts) {
                    assert_eq!(essence(&run), essence(&whole), "{card}, cut at {first} and {second}");
                    assert_sound(card, &run);
                    runs += 1;
                }
            }
        }
    }
    assert!(runs > 1000, "only {runs} runs");
}

#[test]
fn a_crash_until_a_deadline_or_past_it_leaves_money_and_seats_together() {
    let deadline = booking_core::terms::Terms::default().checkout_time.0;
    let mut endings = BTreeSet::new();
    for (name, house) in scenarios() {
        let boundaries = pull(house.clone(), &[]).boundaries;
        for after in 0..boundaries {
            for downtime in [deadline - 1, deadline, deadline + 1] {
                let [pulled, pushed] = both_ways(&house, &[Cut { after, downtime: Millis(downtime) }]);
                assert_eq!(essence(&pulled), essence(&pushed), "{name}, cut at {after} for {downtime} ms");
                for run in [pulled, pushed] {
                    assert_sound(&format!("{name}, cut at {after} for {downtime} ms"), &run);
                    endings.insert(format!("{:?}", run.ending).split(['(', '{']).take(2).collect::<String>());
                }
            }
        }
    }
    for ending in ["Completed", "ConfirmRefused", "HoldRefused", "PaymentDeclined", "PaymentUnavailable", "Cancelled"] {
        assert!(endings.iter().any(|seen| seen.contains(ending)), "no run ended {ending}: {endings:?}");
    }
}
