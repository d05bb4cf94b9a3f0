//! What services did in scenes, as a table in Markdown.

use std::time::Duration;

use crate::ratios::{order, ratio};
use crate::rounds::{Measured, Round};
use crate::scenes::Scene;

/// The head of a table, for this many rounds.
#[must_use]
pub fn head(rounds: usize) -> String {
    let coverage = order(rounds).map_or(0, |(_, coverage)| coverage / 10);
    format!(
        "| scene | service | bookings/s | p50 | p99 | CPU of the server | CPU of the service | \
         rate: first ÷ this ({coverage} %) | CPU: this ÷ first ({coverage} %) | not booked |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    )
}

/// The rows of a scene, a service each; the first is what the others are compared with.
#[must_use]
pub fn rows(scene: Scene, all: &[Measured]) -> Vec<String> {
    let Some(first) = all.first() else { return Vec::new() };
    let named = all.iter().enumerate().map(|(number, one)| (if number == 0 { scene.name() } else { "" }, one));
    named.map(|(name, one)| row(name, scene, one, first)).collect()
}

fn row(name: &str, scene: Scene, one: &Measured, first: &Measured) -> String {
    let of = |each: fn(Scene, &Round) -> u64| one.rounds.iter().map(|round| each(scene, round)).collect::<Vec<u64>>();
    let of_first =
        |each: fn(Scene, &Round) -> u64| first.rounds.iter().map(|round| each(scene, round)).collect::<Vec<u64>>();
    let percentile = |percent: usize| {
        let all = one.rounds.iter().map(|round| u64::from(round.loaded.percentile(percent)));
        time(median(all.collect()) * 1_000)
    };
    let (rates, cpu) = if std::ptr::eq(one, first) {
        (String::new(), String::new())
    } else {
        (compared(&of_first(rate), &of(rate)), compared(&of(cpu_each), &of_first(cpu_each)))
    };
    let done: u64 = one.rounds.iter().map(|round| counted(scene, round)).sum();
    let each = |which: usize| {
        let all: Duration = one.rounds.iter().map(|round| round.cpu[which]).sum();
        let nanos = u64::try_from(all.as_nanos()).unwrap_or(u64::MAX);
        nanos.checked_div(done).filter(|each| *each > 0).map_or_else(String::new, time)
    };
    format!(
        "| {name} | {} | {} | {} | {} | {} | {} | {rates} | {cpu} | {} |",
        one.name,
        number(median(of(rate))),
        percentile(50),
        percentile(99),
        each(0),
        each(1),
        not_booked(scene, one)
    )
}

/// Orders that were refused, or had no answer; nothing where all were booked.
fn not_booked(scene: Scene, one: &Measured) -> String {
    let sum = |of: fn(&Round) -> u64| one.rounds.iter().map(of).sum::<u64>();
    let refused = if scene == Scene::Hot { 0 } else { sum(|round| round.loaded.other) };
    match (refused, sum(|round| round.loaded.cut)) {
        (0, 0) => String::new(),
        (refused, 0) => format!("{refused} refused"),
        (0, cut) => format!("{cut} unanswered"),
        (refused, cut) => format!("{refused} refused, {cut} unanswered"),
    }
}

/// What the scene is about: bookings, or refusals.
fn counted(scene: Scene, round: &Round) -> u64 {
    if scene == Scene::Hot { round.loaded.other } else { round.loaded.good }
}

/// The same in a thousand seconds.
fn rate(scene: Scene, round: &Round) -> u64 {
    let millis = u64::try_from(round.loaded.took.as_millis()).unwrap_or(u64::MAX).max(1);
    counted(scene, round).saturating_mul(1_000_000) / millis
}

/// Nanoseconds of computing for each, of all processes together; 0 where nothing was done.
fn cpu_each(scene: Scene, round: &Round) -> u64 {
    let all: Duration = round.cpu.iter().sum();
    u64::try_from(all.as_nanos()).unwrap_or(u64::MAX).checked_div(counted(scene, round)).unwrap_or_default()
}

/// The ratio of two series, round by round, and its interval. Nothing where there was a round in which one of them did
/// nothing: no ratio tells of that.
#[must_use]
pub fn compared(of: &[u64], to: &[u64]) -> String {
    if of.contains(&0) {
        return String::new();
    }
    let hundredths = |thousandths: u64| format!("{}.{:02}", thousandths / 1_000, thousandths % 1_000 / 10);
    ratio(of, to).map_or_else(String::new, |ratio| {
        let (low, high) = ratio.interval;
        format!("{} ({} to {})", hundredths(ratio.median), hundredths(low), hundredths(high))
    })
}

fn median(mut all: Vec<u64>) -> u64 {
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// A number of thousandths: with a digit after the point where it is small, with commas where it is large.
fn number(thousandths: u64) -> String {
    let whole = thousandths / 1_000;
    match whole {
        0..100 => format!("{whole}.{}", thousandths % 1_000 / 100),
        100..1_000 => whole.to_string(),
        _ => format!("{},{:03}", whole / 1_000, whole % 1_000),
    }
}

/// A number of nanoseconds, in what it is read best in.
fn time(nanos: u64) -> String {
    let micros = nanos / 1_000;
    match micros {
        0..10 => format!("{micros}.{} µs", nanos % 1_000 / 100),
        10..1_000 => format!("{micros} µs"),
        1_000..100_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{} ms", micros / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(name: &str, good: u64, other: u64) -> Measured {
        let loaded = crate::load::Loaded {
            took: Duration::from_secs(2),
            good,
            other,
            micros: vec![1_500],
            ..crate::load::Loaded::default()
        };
        let round = Round { loaded, cpu: [Duration::ZERO, Duration::from_millis(10)] };
        Measured { name: name.to_owned(), notes: Vec::new(), rounds: vec![round; 9] }
    }

    #[test]
    fn a_refusal_is_no_booking() {
        let rows = rows(Scene::One, &[measured("a", 2_400, 0), measured("b", 40, 400)]);
        assert_eq!(rows[0], "| orders of one seat | a | 1,200 | 1.5 ms | 1.5 ms |  | 4.1 µs |  |  |  |");
        let b = "|  | b | 20.0 | 1.5 ms | 1.5 ms |  | 250 µs | 60.00 (60.00 to 60.00) | 60.00 (60.00 to 60.00) | 3600 refused |";
        assert_eq!(rows[1], b);
    }

    #[test]
    fn what_books_nothing_has_no_ratio_and_no_price() {
        let rows = rows(Scene::Four, &[measured("a", 0, 64), measured("b", 40, 0)]);
        assert_eq!(rows[0], "| orders of four seats | a | 0.0 | 1.5 ms | 1.5 ms |  |  |  |  | 576 refused |");
        assert_eq!(rows[1], "|  | b | 20.0 | 1.5 ms | 1.5 ms |  | 250 µs |  |  |  |");
    }

    #[test]
    fn refusals_are_what_a_hot_seat_is_about() {
        let rows = rows(Scene::Hot, &[measured("a", 0, 400)]);
        assert_eq!(rows[0], "| one hot seat, refusals | a | 200 | 1.5 ms | 1.5 ms |  | 25 µs |  |  |  |");
    }
}
