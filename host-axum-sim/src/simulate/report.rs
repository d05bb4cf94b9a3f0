//! A report of a simulation: one page that stands alone, with a chart of one run.

use serde::Serialize;

use super::coverage::Coverage;
use super::play::{Endings, Tally};
use super::promises::Broken;
use super::scene::{Scenario, Size};
use super::story::{Event, Lane};
use super::trace::Trace;
use super::world::World;

/// The page, with a place for what it is about.
const PAGE: &str = include_str!("report.html");

/// Where in it that stands.
const PLACE: &str = "/*report*/null";

/// What a page is about.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    /// Which seeds were run, in words.
    seeds: &'a str,
    /// The seed of the run that is drawn, if it has one.
    seed: Option<u64>,
    /// The command that shows the run again.
    again: &'a str,
    version: &'static str,
    tally: TallyOf,
    /// Every rare thing, how often it was met in all, and in the run that is drawn.
    coverage: Vec<SightOf>,
    endings: Vec<EndingOf>,
    /// The promise that is broken, and how.
    broken: Option<BrokenOf<'a>>,
    size: SizeOf,
    scene: &'a Scenario,
    lanes: Vec<Lane>,
    events: Vec<Event>,
}

#[derive(Debug, Serialize)]
struct TallyOf {
    seeds: u64,
    requests: u64,
    crashes: u64,
    steps: u64,
}

#[derive(Debug, Serialize)]
struct SightOf {
    name: &'static str,
    count: u64,
    here: u64,
}

#[derive(Debug, Serialize)]
struct EndingOf {
    name: &'static str,
    count: u64,
}

#[derive(Debug, Serialize)]
struct BrokenOf<'a> {
    promise: &'a str,
    what: &'a str,
}

#[derive(Debug, Serialize)]
struct SizeOf {
    tickets: u8,
    buyers: u8,
}

/// What was simulated in all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole<'a> {
    pub(super) seeds: &'a str,
    pub(super) size: &'a Size,
    pub(super) tally: Tally,
    pub(super) coverage: &'a Coverage,
    pub(super) endings: &'a Endings,
}

/// The page.
pub(super) fn page(
    whole: Whole<'_>,
    seed: Option<u64>,
    again: &str,
    trace: &Trace,
    told: &(World, Option<Broken>),
) -> String {
    let (world, broken) = told;
    let (lanes, events) = world.told();
    let Whole { seeds, size, tally, coverage, endings } = whole;
    let report = Report {
        seeds,
        seed,
        again,
        version: env!("CARGO_PKG_VERSION"),
        tally: TallyOf { seeds: tally.seeds, requests: tally.requests, crashes: tally.crashes, steps: tally.steps },
        coverage: coverage
            .iter()
            .zip(world.coverage.iter())
            .map(|((sight, count), (_, here))| SightOf { name: sight.name(), count, here })
            .collect(),
        endings: endings.iter().map(|(name, count)| EndingOf { name, count: *count }).collect(),
        broken: broken.as_ref().map(|broken| BrokenOf { promise: broken.promise, what: &broken.what }),
        size: SizeOf { tickets: size.tickets, buyers: size.buyers },
        scene: &trace.scene,
        lanes,
        events,
    };
    let json = serde_json::to_string(&report).expect("string keys, and a String takes everything");
    // Inside of a script element nothing may look like its end.
    PAGE.replacen(PLACE, &json.replace('<', "\\u003c"), 1)
}
