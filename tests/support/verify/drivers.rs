//! The drivers, each with a budget: how each looks for what is wrong with some rules.

use std::sync::Arc;
use std::time::{Duration, Instant};

use booking_core::testing::coverage::Coverage;
use booking_core::testing::crash::Cut;
use booking_core::testing::cuts::CrashRun;
use booking_core::testing::rules::Rules;
use booking_core::testing::search::Search;
use booking_core::testing::simulate::{Simulation, Size};
use booking_core::testing::strategies::{picks, scene};
use booking_core::testing::trace::{Trace, come_to_rest, wander};
use booking_core::testing::world::{Watch, World};
use booking_core::time::Millis;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::worlds::{courses, tiny_worlds};

/// One of the drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Driver {
    /// Every world that a few tiny scenes lead to.
    Search,
    /// Scenes, faults and schedules from seeds.
    Simulation,
    /// A plain course, cut anywhere.
    CrashPoints,
    /// Random walks that proptest shrinks.
    Proptest,
}

/// What a driver has found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The shortest trace that it has.
    pub trace: Trace,
    /// How much it had tried by then: scenes, seeds, runs or cases.
    pub tried: u64,
    /// How long it took, the shortening not among it.
    pub took: Duration,
}

/// How much a driver may try.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Seeds.
    pub seeds: u64,
    /// Cases of proptest.
    pub cases: u32,
    /// Crashes in one course.
    pub crashes: usize,
    /// Whether a search that has found a trace looks for a shorter one in the scenes that are left.
    pub every_scene: bool,
}

impl Driver {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Search, Self::Simulation, Self::CrashPoints, Self::Proptest];

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Simulation => "simulation",
            Self::CrashPoints => "crash points",
            Self::Proptest => "proptest",
        }
    }

    /// Looks for what is wrong with these rules.
    #[must_use]
    pub fn hunt(self, rules: &'static dyn Rules, budget: Budget) -> Option<Finding> {
        let start = Instant::now();
        let (trace, tried, took) = match self {
            Self::Search => search(rules, budget.every_scene).map(|(trace, tried)| (trace, tried, start.elapsed())),
            Self::Simulation => simulate(rules, budget.seeds).map(|(trace, tried)| (trace, tried, start.elapsed())),
            Self::CrashPoints => cut(rules, budget.crashes).map(|(trace, tried)| (trace, tried, start.elapsed())),
            Self::Proptest => walk(rules, budget.cases).map(|(trace, tried)| (trace, tried, start.elapsed())),
        }?;
        // What a search finds is as short as it can be.
        let trace = if self == Self::Search { trace } else { trace.minimised(rules) };
        Some(Finding { trace, tried, took })
    }
}

/// The shortest trace of all tiny scenes, or of the first that has one.
fn search(rules: &'static dyn Rules, every_scene: bool) -> Option<(Trace, u64)> {
    let scenes = tiny_worlds();
    let tried = scenes.len() as u64;
    let mut shortest: Option<Trace> = None;
    for scene in scenes {
        if shortest.is_some() && !every_scene {
            break;
        }
        let most_actions = shortest.as_ref().map_or(usize::MAX, |trace| trace.actions.len());
        let search = Search { most_worlds: 400_000, most_actions, probe_one_in: 1, ..Search::default() };
        let found = search.run(World::new(scene, rules), &mut |_| {}).broken;
        let all = shortest.into_iter().chain(found);
        shortest = all.min_by_key(|trace| (trace.actions.len(), trace.faults()));
    }
    shortest.map(|trace| (trace, tried))
}

fn simulate(rules: &'static dyn Rules, seeds: u64) -> Option<(Trace, u64)> {
    let mut simulation = Simulation::new(rules, Size::Small);
    (0..seeds).find_map(|seed| simulation.run(seed).broken.map(|trace| (*trace, seed + 1)))
}

/// Until when nothing runs after a crash: not at all, until a hold's end or a checkout's, or past it.
pub const DOWNTIMES: [Millis; 7] =
    [Millis(0), Millis(9_999), Millis(10_000), Millis(10_001), Millis(19_999), Millis(20_000), Millis(20_001)];

/// Each scene's plain course, cut at every boundary, for every downtime; again and again up to this number of crashes.
///
/// # Errors
/// The first trace that breaks a property.
pub fn every_cut(
    rules: &'static dyn Rules,
    crashes: usize,
    watch: &mut Watch,
    mut on_run: impl FnMut(&Coverage),
) -> Result<(), Box<Trace>> {
    for scene in courses() {
        let course = CrashRun::new(scene, rules);
        for count in 1..=crashes {
            // With each further crash the downtimes are fewer: there are seven times as many runs otherwise.
            let downtimes: &[Millis] = if count == 1 { &DOWNTIMES } else { &[Millis(0), Millis(20_000)] };
            cut_on(&course, &mut Vec::new(), count, downtimes, watch, &mut on_run)?;
        }
    }
    Ok(())
}

fn cut_on(
    course: &CrashRun,
    cuts: &mut Vec<Cut>,
    count: usize,
    downtimes: &[Millis],
    watch: &mut Watch,
    on_run: &mut impl FnMut(&Coverage),
) -> Result<(), Box<Trace>> {
    for downtime in downtimes {
        for after in 0.. {
            cuts.push(Cut { after, downtime: *downtime });
            let run = course.run(cuts, watch);
            on_run(&watch.coverage);
            if let Some(trace) = run.broken {
                return Err(trace);
            }
            let all_came = run.crashes == cuts.len();
            if all_came && cuts.len() < count {
                cut_on(course, cuts, count, downtimes, watch, on_run)?;
            }
            cuts.pop();
            if !all_came {
                break;
            }
        }
    }
    Ok(())
}

fn cut(rules: &'static dyn Rules, crashes: usize) -> Option<(Trace, u64)> {
    let mut tried = 0;
    let broken = every_cut(rules, crashes, &mut Watch::default(), |_| tried += 1).err()?;
    Some((*broken, tried))
}

/// Random walks through random scenes, from chance that is the same every time.
///
/// # Errors
/// The first trace that breaks a property.
pub fn walks(
    rules: &'static dyn Rules,
    cases: u32,
    watch: &mut Watch,
    mut on_run: impl FnMut(&Coverage),
) -> Result<(), Box<Trace>> {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (watch, on_run) = (std::cell::RefCell::new(watch), std::cell::RefCell::new(&mut on_run));
    let walked = runner.run(&(scene(), picks()), |(scene, picks)| {
        let mut watch = watch.borrow_mut();
        let broken = walk_one(rules, scene, &picks, &mut watch);
        (on_run.borrow_mut())(&watch.coverage);
        match broken {
            None => Ok(()),
            Some(trace) => Err(TestCaseError::fail(trace.property)),
        }
    });
    match walked {
        Ok(()) => Ok(()),
        Err(TestError::Fail(_, (scene, picks))) => {
            let trace = walk_one(rules, scene, &picks, &mut Watch::thorough());
            Err(Box::new(trace.expect("what proptest has shrunk still fails")))
        }
        Err(TestError::Abort(why)) => unreachable!("nothing is rejected: {why}"),
    }
}

fn walk_one(
    rules: &'static dyn Rules,
    scene: booking_core::testing::world::Scenario,
    picks: &[u16],
    watch: &mut Watch,
) -> Option<Trace> {
    let mut world = World::new(Arc::new(scene), rules);
    let mut actions = Vec::new();
    let walked = wander(&mut world, picks, watch, &mut actions);
    let walked = walked.and_then(|()| come_to_rest(&mut world, watch, &mut actions));
    let violation = walked.err()?;
    if violation.property == "it_comes_to_rest" {
        actions.truncate(picks.len());
    }
    Some(Trace::new(world.scene(), actions, &violation))
}

fn walk(rules: &'static dyn Rules, cases: u32) -> Option<(Trace, u64)> {
    let mut tried = 0;
    let broken = walks(rules, cases, &mut Watch::default(), |_| tried += 1).err()?;
    Some((*broken, tried))
}
