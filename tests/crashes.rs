//! A checkout that is cut at any boundary of its journal, and resumed, ends as one that is not: both ways of driving it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeSet;

use booking_core::testing::crash::{Cut, pull};
use booking_core::testing::rules::Sound;
use booking_core::testing::world::Watch;
use booking_core::time::Millis;
use tests::verify::crash_points::{both_ways, downtimes, every_boundary, scenarios};
use tests::verify::drivers::every_cut;
use tests::{essence, house_with_a_hold};

#[test]
fn one_crash_at_every_boundary_changes_nothing() {
    let mut runs = 0;
    for (name, house) in scenarios() {
        let whole = pull(house.clone(), &[]);
        assert!(whole.boundaries >= 6, "{name}: three boundaries around each effect");
        for after in 0..whole.boundaries {
            for run in both_ways(&house, &[Cut { after, downtime: Millis(0) }]).unwrap() {
                assert_eq!(run.crashes, 1, "{name}, cut at {after}");
                assert_eq!(essence(&run), essence(&whole), "{name}, cut at {after}");
                runs += 1;
            }
        }
    }
    assert!(runs > 2000, "only {runs} runs");
}

#[test]
fn two_crashes_at_every_pair_of_boundaries_change_nothing() {
    let house = house_with_a_hold(&["seat-1"], "card_flaky");
    let whole = pull(house.clone(), &[]);
    for first in 0..whole.boundaries {
        // A boundary that was passed may be met again after the first crash.
        for second in 0..whole.boundaries - first {
            let cuts = [first, second].map(|after| Cut { after, downtime: Millis(0) });
            for run in both_ways(&house, &cuts).unwrap() {
                assert_eq!(essence(&run), essence(&whole), "cut at {first} and {second}");
            }
        }
    }
}

#[test]
fn a_crash_until_a_deadline_or_past_it_leaves_money_and_seats_together() {
    let mut endings = BTreeSet::new();
    for (name, house) in scenarios() {
        for after in 0..pull(house.clone(), &[]).boundaries {
            for downtime in downtimes() {
                let [run, _] = both_ways(&house, &[Cut { after, downtime }])
                    .unwrap_or_else(|why| panic!("{name}, cut at {after} for {downtime:?}: {why}"));
                endings.insert(format!("{:?}", run.ending).split(['(', '{']).take(2).collect::<String>());
            }
        }
    }
    for ending in ["Completed", "ConfirmRefused", "HoldRefused", "PaymentDeclined", "PaymentUnavailable", "Cancelled"] {
        assert!(endings.iter().any(|seen| seen.contains(ending)), "no run ended {ending}: {endings:?}");
    }
}

#[test]
fn every_boundary_is_cut_both_ways() {
    let runs = every_boundary(1, || {}).unwrap();
    assert!(runs > 8000, "only {runs} runs");
}

#[test]
fn a_rival_who_comes_after_the_crash_finds_the_seat_free_or_sold_and_never_both() {
    let mut runs = 0;
    let broken = every_cut(&Sound, 1, &mut Watch::default(), |_| runs += 1);
    assert_eq!(broken.err(), None);
    assert!(runs > 3000, "only {runs} runs");
}
