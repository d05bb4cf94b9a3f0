//! A schedule drawn from a seed; then nothing goes wrong any more, and everything must come to rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use booking_core::checkout::{Checkout, Ending};
use booking_core::dice::Dice;
use booking_core::time::Millis;
use booking_core::wire::Refusal;

use super::coverage::Coverage;
use super::disk::Unsynced;
use super::fault_points::FaultPoints;
use super::promises::Broken;
use super::scene::{Scenario, Size, Workload};
use super::trace::Trace;
use super::world::{Action, How, World};

/// How many steps a world may take to come to rest once nothing goes wrong any more.
pub(super) const STEPS_TO_REST: usize = 5_000;

/// A simulation: draws a seed's scene and runs it, again and again.
#[derive(Debug)]
pub struct Simulation {
    fault_points: &'static dyn FaultPoints,
    size: Size,
    cast: Workload,
    actions: Vec<Action>,
    coverage: Coverage,
    tally: Tally,
    endings: Endings,
    richest: (usize, u64),
}

/// How checkouts ended, and how many so.
pub type Endings = BTreeMap<&'static str, u64>;

/// What has been simulated so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Seeds.
    pub seeds: u64,
    /// Requests that arrived.
    pub requests: u64,
    /// Crashes.
    pub crashes: u64,
    /// Things that happened.
    pub steps: u64,
}

impl Tally {
    /// Adds what others did.
    pub fn add(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.requests += other.requests;
        self.crashes += other.crashes;
        self.steps += other.steps;
    }
}

/// How a seed's schedule is drawn, in percent.
struct Mix {
    ask: u8,
    fault: u8,
    tick: u8,
    disk: u8,
}

impl Simulation {
    /// A simulation of scenes of a size.
    #[must_use]
    pub fn new(fault_points: &'static dyn FaultPoints, size: Size) -> Self {
        let (cast, actions) = (Workload::new(&size), Vec::new());
        let (coverage, tally, endings) = (Coverage::default(), Tally::default(), Endings::new());
        Self { fault_points, size, cast, actions, coverage, tally, endings, richest: (0, 0) }
    }

    /// What was seen so far.
    #[must_use]
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// How much was simulated so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// How checkouts ended so far.
    #[must_use]
    pub fn endings(&self) -> &Endings {
        &self.endings
    }

    /// How many coverage points were met, and which,, the seed was the richest so far.
    #[must_use]
    pub fn richest(&self) -> (usize, u64) {
        self.richest
    }

    /// The scene of a seed.
    #[must_use]
    pub fn scene(&self, seed: u64) -> Scenario {
        self.cast.scene(&self.size, &mut Dice::new(seed))
    }

    /// What happens in a seed, as a trace: the part in which things go wrong.
    #[must_use]
    pub fn trace(&self, seed: u64) -> Trace {
        let mut dice = Dice::new(seed);
        let scene = self.cast.scene(&self.size, &mut dice);
        let mut world = World::new(Arc::new(scene.clone()), self.fault_points);
        let mut actions = Vec::new();
        let broken = play(&mut world, &mut dice, &mut actions).err();
        let (promise, what) = broken.map_or_else(Default::default, |broken| (broken.promise.to_owned(), broken.what));
        Trace { promise, what, scene, actions }
    }

    /// Runs a seed: what has happened then, and what that has broken, if anything.
    pub fn run(&mut self, seed: u64) -> Result<&[Action], Box<Trace>> {
        let mut dice = Dice::new(seed);
        let scene = Arc::new(self.cast.scene(&self.size, &mut dice));
        let mut world = World::new(Arc::clone(&scene), self.fault_points);
        if is_thorough(seed) {
            world.through_bytes();
        }
        self.actions.clear();
        let ended = play(&mut world, &mut dice, &mut self.actions);
        let played = self.actions.len();
        let ended = ended.and_then(|()| come_to_rest(&mut world, is_thorough(seed), &mut self.actions));
        self.tally.seeds += 1;
        self.tally.steps += self.actions.len() as u64;
        self.tally.requests += world.people.iter().map(|person| u64::from(person.times)).sum::<u64>();
        self.tally.crashes += u64::from(world.crashes);
        self.coverage.add(&world.coverage);
        world.ends.values().filter_map(|end| ending(&end.checkout)).for_each(|name| {
            *self.endings.entry(name).or_default() += 1;
        });
        let seen = world.coverage.iter().filter(|(_, count)| *count > 0).count();
        if seen > self.richest.0 {
            self.richest = (seen, seed);
        }
        match ended {
            Ok(()) => Ok(&self.actions),
            Err(broken) => {
                let mut actions = self.actions.clone();
                if broken.promise == "it_comes_to_rest" {
                    // What it does instead is as long as one lets it be.
                    actions.truncate(played);
                }
                Err(Box::new(Trace::new(&scene, actions, &broken)))
            }
        }
    }
}

/// How a checkout ended, in a word.
fn ending(checkout: &Checkout) -> Option<&'static str> {
    Some(match checkout.ending()? {
        Ending::Completed { .. } => "booked",
        Ending::Failed { failure, .. } => Refusal::from(failure).kind.as_str(),
    })
}

/// Whether everything of a seed is looked at, also what takes long: in some.
fn is_thorough(seed: u64) -> bool {
    seed.is_multiple_of(64)
}

/// The part in which things go wrong.
fn play(world: &mut World, dice: &mut Dice, actions: &mut Vec<Action>) -> Result<(), Broken> {
    let mix = Mix {
        ask: *dice.one_of(&[15, 30, 60]),
        fault: *dice.one_of(&[5, 15, 40]),
        tick: *dice.one_of(&[2, 8, 20]),
        disk: *dice.one_of(&[20, 50, 80]),
    };
    let asks = world.scene.asks.len();
    let mut to_come = asks;
    for _ in 0..8 * asks + 12 {
        let action = draw(world, dice, &mix, &mut to_come);
        if world.apply(action).inspect_err(|_| actions.push(action))? {
            actions.push(action);
        }
    }
    Ok(())
}

/// What happens next; some of it cannot, and does nothing.
fn draw(world: &World, dice: &mut Dice, mix: &Mix, to_come: &mut usize) -> Action {
    let asks = world.scene.asks.len();
    let number = |index: usize| u8::try_from(index).unwrap_or(u8::MAX);
    if dice.chance(mix.ask) {
        if *to_come > 0 {
            *to_come -= 1;
            return Action::Ask(number(asks - *to_come - 1));
        }
        return Action::Ask(number(dice.below(asks)));
    }
    let fault = dice.chance(mix.fault);
    if fault && world.left.crashes > 0 && dice.chance(50) {
        let down = Millis(*dice.one_of(&[0, 0, 150, 1_000, 30_000]));
        let unsynced = match dice.below(3) {
            0 => Unsynced::Lost,
            1 => Unsynced::Kept,
            _ => Unsynced::Torn(u16::try_from(dice.below(1_000)).unwrap_or_default()),
        };
        return Action::Crash { unsynced, down };
    }
    if fault && world.left.full > 0 && dice.chance(20) {
        return Action::Full;
    }
    if world.is_full && dice.chance(50) {
        return Action::Room;
    }
    if fault && world.left.clock > 0 && dice.chance(30) {
        let hours = *dice.one_of(&[-24, -1, 1, 24]);
        return Action::Clock(hours * 3_600_000);
    }
    if world.is_wrong() && dice.chance(10) {
        return Action::ClockRight;
    }
    if dice.chance(mix.tick) {
        if dice.chance(30) {
            return Action::Wait(Millis(*dice.one_of(&[1, 100, 700, 5_000])));
        }
        return Action::Tick;
    }
    if dice.chance(mix.disk) {
        let has_written = !world.disk.written.is_empty();
        return if has_written && dice.chance(60) { Action::Sync } else { Action::Write };
    }
    if !world.delivering.is_empty() && dice.chance(50) {
        let how = if fault { *dice.one_of(&[How::AnswerLost, How::Unheard]) } else { How::Well };
        return Action::Deliver(number(dice.below(world.delivering.len())), how);
    }
    if !world.late.is_empty() && dice.chance(30) {
        return Action::Late(number(dice.below(world.late.len())));
    }
    if !world.performing.is_empty() {
        let how = if fault { *dice.one_of(&[How::AnswerLost, How::Unheard, How::Twice]) } else { How::Well };
        return Action::Pay(number(dice.below(world.performing.len())), how);
    }
    if world.disk.written.is_empty() { Action::Write } else { Action::Sync }
}

/// The next thing that is to happen where nothing goes wrong.
fn in_order(world: &World) -> Option<Action> {
    if world.is_full {
        Some(Action::Room)
    } else if world.is_wrong() {
        Some(Action::ClockRight)
    } else if !world.disk.queue.is_empty() {
        Some(Action::Write)
    } else if !world.disk.written.is_empty() {
        Some(Action::Sync)
    } else if !world.late.is_empty() {
        Some(Action::Late(0))
    } else if !world.performing.is_empty() {
        Some(Action::Pay(0, How::Well))
    } else if !world.delivering.is_empty() {
        Some(Action::Deliver(0, How::Well))
    } else if world.engine.is_at_rest() {
        None
    } else {
        Some(Action::Tick)
    }
}

/// Lets everything that is under way arrive, until nothing is; then looks at all that must be so, and, where it is
/// thorough, lets the time pass until everything is forgotten.
///
/// # Errors
/// A promise that is broken, `it_comes_to_rest` among them.
pub(super) fn come_to_rest(world: &mut World, thorough: bool, actions: &mut Vec<Action>) -> Result<(), Broken> {
    world.heal();
    rest(world, actions)?;
    world.is_well_at_rest()?;
    world.is_all_stored()?;
    world.is_free_to_be_had()?;
    if thorough {
        // A while longer, as a message that is late keeps its checkout.
        let all = world.scene.keep_for.0.saturating_add(120_000);
        for _ in 0..200 {
            let kept = world.engine.stats(world.now).kept;
            if kept == 0 {
                break;
            }
            let action = Action::Wait(Millis(all));
            world.apply(action)?;
            actions.push(action);
            world.apply(Action::Tick)?;
            actions.push(Action::Tick);
            rest(world, actions)?;
        }
        world.is_all_forgotten()?;
        world.is_all_stored()?;
    }
    Ok(())
}

fn rest(world: &mut World, actions: &mut Vec<Action>) -> Result<(), Broken> {
    for _ in 0..STEPS_TO_REST {
        let Some(action) = in_order(world) else { return Ok(()) };
        actions.push(action);
        if !world.apply(action)? {
            let what = format!("nothing happens by itself any more, and it is not at rest: {action:?} did nothing");
            return Err(Broken::new("it_comes_to_rest", what));
        }
    }
    let what = format!("nothing has gone wrong for {STEPS_TO_REST} steps, and it is still not at rest");
    Err(Broken::new("it_comes_to_rest", what))
}
