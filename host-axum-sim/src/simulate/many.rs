//! Many seeds, on several threads.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::coverage::Coverage;
use super::fault_points::FaultPoints;
use super::play::{Endings, Simulation, Tally};
use super::scene::Size;
use super::trace::Trace;

/// How many seeds are run one after the other before a thread looks around.
const AT_A_TIME: u64 = 512;

/// Which seeds are run, and by how many threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// The first.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// How many threads run them.
    pub threads: u64,
}

/// What was simulated in all.
#[derive(Debug, Default)]
pub struct Simulated {
    /// How much.
    pub tally: Tally,
    /// What was seen.
    pub coverage: Coverage,
    /// How checkouts ended.
    pub endings: Endings,
    /// How many coverage points were met, and which,, the seed was the richest.
    pub richest: (usize, u64),
    /// The seed that has broken a promise, if one has, and its trace.
    pub broken: Option<(u64, Box<Trace>)>,
}

impl Simulated {
    fn add(&mut self, simulation: &Simulation, broken: Option<(u64, Box<Trace>)>) {
        self.tally.add(simulation.tally());
        self.coverage.add(simulation.coverage());
        for (name, count) in simulation.endings() {
            *self.endings.entry(name).or_default() += count;
        }
        self.richest = self.richest.max(simulation.richest());
        let is_first = |(seed, _): &(u64, _)| self.broken.as_ref().is_none_or(|(first, _)| seed < first);
        if let Some(broken) = broken.filter(is_first) {
            self.broken = Some(broken);
        }
    }
}

/// Runs seeds until one breaks a promise, or all were run. It calls `on_progress` with how many more are done.
///
/// # Panics
/// When a run does.
#[must_use]
pub fn simulate(
    fault_points: &'static dyn FaultPoints,
    size: Size,
    seeds: Seeds,
    on_progress: &(dyn Fn(u64) + Sync),
) -> Simulated {
    let (next, stop, all) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new(Simulated::default()));
    std::thread::scope(|scope| {
        for _ in 0..seeds.threads.max(1) {
            scope.spawn(|| {
                let mut simulation = Simulation::new(fault_points, size);
                let broken = run_some(&mut simulation, seeds, &next, &stop, on_progress);
                all.lock().unwrap_or_else(PoisonError::into_inner).add(&simulation, broken);
            });
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Seeds that nobody else has, until there are none or something is broken.
fn run_some(
    simulation: &mut Simulation,
    seeds: Seeds,
    next: &AtomicU64,
    stop: &AtomicBool,
    on_progress: &(dyn Fn(u64) + Sync),
) -> Option<(u64, Box<Trace>)> {
    while !stop.load(Ordering::Relaxed) {
        let from = next.fetch_add(AT_A_TIME, Ordering::Relaxed);
        if from >= seeds.count {
            break;
        }
        let to = (from + AT_A_TIME).min(seeds.count);
        for seed in from..to {
            let seed = seeds.first.wrapping_add(seed);
            if let Err(trace) = simulation.run(seed) {
                stop.store(true, Ordering::Relaxed);
                return Some((seed, trace));
            }
        }
        on_progress(to - from);
    }
    None
}
