//! Every world that a scene can lead to, breadth first: what is found is as short as it can be, and what is not found
//! is not there. Time goes from one moment at which something ends to the next; in between nothing can differ, but for
//! when a hold or a checkout begins. From one world in [`Search::probe_one_in`] the search tries, in one order, whether
//! it comes to rest. In every world it checks that nothing is stuck.
//!
//! Two worlds are taken for one if their prints are the same, 128 bits each: with 13 million worlds the chance that any
//! was left out for that is below 10^-24.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::coverage::Coverage;
use super::trace::{Trace, come_to_rest, is_about_rest, nothing_is_stuck};
use super::world::{Action, Prints, Watch, World};
use crate::invariants::{System, Violation};

/// How to search.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// How many threads take turns; 1 where there are none.
    pub threads: usize,
    /// Where to give up: a scene with more worlds than this is not small.
    pub most_worlds: usize,
    /// How many actions to go at most.
    pub most_actions: usize,
    /// From one world in this number the search tries whether it comes to rest, once nothing goes wrong any more.
    pub probe_one_in: u128,
}

impl Default for Search {
    fn default() -> Self {
        Self { threads: 1, most_worlds: 20_000_000, most_actions: usize::MAX, probe_one_in: 64 }
    }
}

/// What a search has found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// How many different worlds there are.
    pub worlds: usize,
    /// How many of them are at rest.
    pub at_rest: usize,
    /// How many steps lead from a world to another, or back to itself.
    pub steps: u64,
    /// How many actions the furthest world is away.
    pub depth: usize,
    /// What was seen.
    pub coverage: Coverage,
    /// The shortest trace that breaks a property, if any does.
    pub broken: Option<Trace>,
    /// Whether it gave up before the end.
    pub gave_up: bool,
}

/// How far a search has come.
#[derive(Clone, Debug)]
pub struct Progress {
    /// How many worlds it has met.
    pub worlds: usize,
    /// How many of them it has still to leave.
    pub waiting: usize,
    /// How many actions from the beginning these are.
    pub depth: usize,
    /// What was seen until now.
    pub coverage: Coverage,
}

/// Where a world was reached from: from which world, by which of its actions.
#[derive(Clone, Copy)]
struct Way {
    from: u32,
    action: u16,
}

/// The worlds that were met, in shares, so that threads rarely wait for each other.
struct Met(Vec<Mutex<Prints>>);

impl Met {
    const SHARES: u128 = 256;

    fn new() -> Self {
        Self((0..Self::SHARES).map(|_| Mutex::default()).collect())
    }

    /// Whether it is new.
    fn meet(&self, print: u128) -> bool {
        let share = usize::try_from(print % Self::SHARES).expect("less than the number of shares");
        self.0[share].lock().expect("no thread panics with it").insert(print)
    }
}

/// What one thread found beyond its share of a level.
#[derive(Default)]
struct Beyond {
    worlds: Vec<(Way, World)>,
    broken: Vec<(Way, Violation)>,
    at_rest: usize,
    steps: u64,
}

impl Search {
    /// Searches on from a world.
    ///
    /// # Panics
    /// If a thread of it does.
    pub fn run(&self, start: World, progress: &mut dyn FnMut(Progress)) -> Found {
        let met = Met::new();
        met.meet(start.print());
        let mut found = Found { worlds: 1, at_rest: usize::from(start.is_at_rest()), ..Found::default() };
        let mut ways = vec![Way { from: 0, action: 0 }];
        let mut level = vec![start.clone()];
        let mut first = 0;
        let mut watches: Vec<Watch> = (0..self.threads.max(1)).map(|_| Watch::thorough_once()).collect();
        while !level.is_empty() && found.broken.is_none() && !found.gave_up && found.depth < self.most_actions {
            let coverage = all_coverage(&watches);
            progress(Progress { worlds: ways.len(), waiting: level.len(), depth: found.depth, coverage });
            let beyond = self.leave(&level, first, &met, &mut watches);
            first += level.len();
            level.clear();
            let mut broken = Vec::new();
            for mut part in beyond {
                found.at_rest += part.at_rest;
                found.steps += part.steps;
                broken.append(&mut part.broken);
                for (way, world) in part.worlds {
                    ways.push(way);
                    level.push(world);
                }
            }
            found.depth += usize::from(!level.is_empty());
            found.gave_up = ways.len() > self.most_worlds;
            let traces = broken.iter().map(|(way, violation)| trace(&start, &ways, *way, violation));
            found.broken = traces.min_by_key(|trace| (trace.actions.len(), trace.faults()));
        }
        found.worlds = ways.len();
        found.coverage = all_coverage(&watches);
        found
    }

    /// Leaves every world of a level by every action, in as many threads as there are watches.
    fn leave(&self, level: &[World], first: usize, met: &Met, watches: &mut [Watch]) -> Vec<Beyond> {
        let stop = AtomicBool::new(false);
        let share = level.len().div_ceil(watches.len());
        if watches.len() == 1 || level.len() < 1000 {
            return vec![self.leave_share(level, first, met, &mut watches[0], &stop)];
        }
        std::thread::scope(|scope| {
            let shares = level.chunks(share).zip(watches).enumerate();
            let stop = &stop;
            let threads: Vec<_> = shares
                .map(|(n, (worlds, watch))| {
                    scope.spawn(move || self.leave_share(worlds, first + n * share, met, watch, stop))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
        })
    }

    fn leave_share(&self, worlds: &[World], first: usize, met: &Met, watch: &mut Watch, stop: &AtomicBool) -> Beyond {
        let mut beyond = Beyond::default();
        let mut actions: Vec<Action> = Vec::new();
        for (index, world) in worlds.iter().enumerate() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            actions.clear();
            world.actions(&mut actions);
            let from = u32::try_from(first + index).expect("fewer worlds than where it gives up");
            for (number, action) in actions.iter().enumerate() {
                let way = Way { from, action: u16::try_from(number).expect("few actions") };
                let mut next = world.clone();
                beyond.steps += 1;
                match next.apply(*action, watch) {
                    Ok(false) => {}
                    Ok(true) => {
                        let print = next.print();
                        if !met.meet(print) {
                            continue;
                        }
                        beyond.at_rest += usize::from(next.is_at_rest());
                        let probed = print.is_multiple_of(self.probe_one_in);
                        let rest = if probed { comes_to_rest(&next) } else { nothing_is_stuck(&next) };
                        beyond.broken.extend(rest.err().map(|violation| (way, violation)));
                        beyond.worlds.push((way, next));
                    }
                    Err(violation) => {
                        beyond.broken.push((way, violation));
                        // Others of this level are no shorter, but may need fewer faults; a few are enough to choose.
                        if beyond.broken.len() > 1000 {
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                }
            }
        }
        beyond
    }
}

fn all_coverage(watches: &[Watch]) -> Coverage {
    let mut all = Coverage::default();
    watches.iter().for_each(|watch| all.add(&watch.coverage));
    all
}

/// Whether the world comes to rest if nothing goes wrong from now on. What is broken on that way is found by the search
/// itself.
fn comes_to_rest(world: &World) -> Result<(), Violation> {
    let mut world = world.clone();
    match come_to_rest(&mut world, &mut Watch::default(), &mut Vec::new()) {
        Err(violation) if is_about_rest(&violation) => Err(violation),
        Err(_) | Ok(()) => Ok(()),
    }
}

/// The actions that lead to a world and out of it.
fn trace(start: &World, ways: &[Way], last: Way, violation: &Violation) -> Trace {
    let mut numbers = vec![last.action];
    let mut at = last.from;
    while at != 0 {
        let way = ways[at as usize];
        numbers.push(way.action);
        at = way.from;
    }
    let (mut world, mut taken, mut actions) = (start.clone(), Vec::new(), Vec::new());
    for number in numbers.into_iter().rev() {
        actions.clear();
        world.actions(&mut actions);
        let action = actions[usize::from(number)];
        taken.push(action);
        let _broken_at_the_end = world.apply(action, &mut Watch::default());
    }
    Trace::new(start.scene(), taken, violation)
}
