//! What is written down and reviewed: how many worlds each search must meet, what a few seeds must come to, and the
//! shortest trace of every planted bug.

use booking_core::testing::rules::Sound;
use booking_core::testing::search::Found;
use booking_core::testing::simulate::{Simulation, Size};
use booking_core::testing::trace::Trace;

/// A search that meets more or fewer worlds than before searches something else than before.
pub const WORLDS: &str = include_str!("../../fixtures/worlds.tsv");

/// Prints of seeds: the same run for ever, on every target.
pub const SEEDS: &str = include_str!("../../fixtures/seeds.tsv");

/// A trace of each planted bug, a line each: its name, then the trace.
pub const TRACES: &str = include_str!("../../fixtures/traces.jsonl");

/// The line of [`WORLDS`] for a search.
#[must_use]
pub fn world_line(name: &str, found: &Found) -> String {
    format!("{name}\t{}\t{}\t{}\t{}", found.worlds, found.at_rest, found.steps, found.depth)
}

/// The lines of [`SEEDS`], as they come out now.
#[must_use]
pub fn seed_lines() -> Vec<String> {
    let mut lines = Vec::new();
    for (name, size, seeds) in [("small", Size::Small, 2_000), ("house", Size::House, 50)] {
        let mut simulation = Simulation::new(&Sound, size);
        let all = (0..seeds).fold(0_u128, |all, seed| all.rotate_left(1) ^ simulation.run(seed).print);
        let tally = simulation.tally();
        lines.push(format!("{name}\t{seeds}\t{}\t{}\t{all:032x}", tally.checkouts, tally.steps));
    }
    lines
}

/// The traces that are kept, each with the name of its bug; an empty name for one that the rules themselves had.
///
/// # Panics
/// If one cannot be read.
#[must_use]
pub fn traces() -> Vec<(String, Trace)> {
    let read = |line: &str| serde_json::from_str(line).expect("a line of traces.jsonl is a name and a trace");
    TRACES.lines().map(read).collect()
}
