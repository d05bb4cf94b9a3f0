//! Every boundary of a checkout's journal, both ways of driving it: cut there, resumed, and held to end alike.

use std::collections::BTreeSet;

use booking_core::terms::Terms;
use booking_core::testing::crash::{Cut, House, Run, Schedule, pull, push};
use booking_core::time::Millis;

use crate::{at_rest, captures, essence, house, house_with_a_hold, journeys, money_is_stuck};

/// Every card of the mock gateway, and one that it does not know.
pub const CARDS: [&str; 7] = [
    "card_success",
    "card_decline",
    "card_error",
    "card_flaky",
    "card_lost",
    "card_capture_decline",
    "card_unheard_of",
];

/// Every journey that has no crash in it already, and every card with one, two and ten tickets.
#[must_use]
pub fn scenarios() -> Vec<(String, House)> {
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

/// How long nothing runs after a crash: not at all, until just before the holds and claims end, until they do, or past it.
#[must_use]
pub fn downtimes() -> [Millis; 4] {
    let end = Terms::default().checkout_time.0;
    [Millis(0), Millis(end - 1), Millis(end), Millis(end + 1)]
}

/// What must hold of a run, however it was cut.
///
/// # Errors
/// What does not.
pub fn sound(run: &Run) -> Result<(), String> {
    if captures(run) != run.house.memory.mailbox().len() {
        return Err("money is taken once, and only for a booking".into());
    }
    if money_is_stuck(run) {
        return Err("money stays set aside".into());
    }
    at_rest(run, &BTreeSet::new()).map_err(|violation| violation.to_string())
}

/// Runs a scenario with these cuts both ways, and compares.
///
/// # Errors
/// What is wrong with either, or how they differ.
pub fn both_ways(house: &House, cuts: &[Cut]) -> Result<[Run; 2], String> {
    let runs = [pull(house.clone(), cuts), push(house.clone(), cuts, &Schedule::default())];
    runs.iter().try_for_each(sound)?;
    let [pulled, pushed] = &runs;
    let (pulled, pushed) = (essence(pulled), essence(pushed));
    if pulled == pushed { Ok(runs) } else { Err(format!("pulled it ended\n{pulled}pushed\n{pushed}")) }
}

/// Cuts every scenario at every boundary once, for every downtime; those of one ticket also twice and, up to `crashes`,
/// three times, at every boundary each. How many runs that were, both ways counted.
///
/// # Errors
/// The first scenario that is wrong, and where it was cut.
pub fn every_boundary(crashes: usize, mut on_run: impl FnMut()) -> Result<u64, String> {
    let mut runs = 0;
    for (name, house) in scenarios() {
        let boundaries = pull(house.clone(), &[]).boundaries;
        let mut run = |cuts: &[Cut]| {
            runs += 2;
            on_run();
            both_ways(&house, cuts).map(|_| ()).map_err(|why| format!("{name}, cut at {cuts:?}: {why}"))
        };
        for after in 0..boundaries {
            downtimes().into_iter().try_for_each(|downtime| run(&[Cut { after, downtime }]))?;
        }
        let again = if house.checkout.order().tickets().len() == 1 { crashes } else { 1 };
        // With each further crash there are twice as many downtimes to combine, so these are fewer.
        let [none, _, end, _] = downtimes();
        let cut = |after, downtime| Cut { after, downtime };
        for first in (0..boundaries).filter(|_| again > 1) {
            // Where the first crash comes between an effect and its record, that effect is met once more.
            for second in 0..=boundaries - first {
                for pair in [[none, none], [none, end], [end, none]] {
                    run(&[cut(first, pair[0]), cut(second, pair[1])])?;
                }
                for third in (0..=boundaries - first - second).filter(|_| again > 2) {
                    for downtime in [none, end] {
                        run(&[cut(first, none), cut(second, none), cut(third, downtime)])?;
                    }
                }
            }
        }
    }
    Ok(runs)
}
