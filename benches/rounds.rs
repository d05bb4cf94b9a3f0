//! Services that take turns: a round of each, then the next round, so that what the machine does meanwhile meets all of
//! them alike.

use std::thread::sleep;
use std::time::{Duration, Instant};

use xtask::run::{Outcome, say};

use crate::load::{Loaded, asked};
use crate::scenes::{House, Scene};
use crate::services::{Part, Service};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many rounds, after a quarter of one that is not counted.
    pub rounds: usize,
    /// How long each lasts.
    pub lasts: Duration,
    /// How many clients ask at a time.
    pub clients: usize,
    /// The maps that are published.
    pub house: House,
    /// How long to wait after a round, so that the timers of its checkouts have fired before its CPU is read.
    pub lull: Duration,
}

/// A round of one service.
#[derive(Clone, Debug)]
pub struct Round {
    /// What came of the load.
    pub loaded: Loaded,
    /// How long server and service have computed, from its first order to the end of the lull.
    pub cpu: [Duration; 2],
}

/// What a service did in a scene.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What it is called.
    pub name: String,
    /// What is not as it should be for a comparison.
    pub notes: Vec<String>,
    /// Its rounds.
    pub rounds: Vec<Round>,
}

/// A service in a scene.
struct Turn<'a> {
    service: &'a Service,
    scene: Scene,
    plan: Plan,
    /// The number of the next order, and of the next set of maps.
    next: u64,
    set: u64,
    /// Answers a second, as far as is known.
    rate: u64,
}

/// Plays a scene with services in turns. Sets of maps are numbered from `first_set`, which no other scene may have
/// published.
///
/// # Errors
/// Where a service cannot be asked, or answers nothing as the scene has it.
pub fn measure(services: &[Service], scene: Scene, plan: Plan, first_set: u64) -> Outcome<Vec<Measured>> {
    let mut turns = Vec::new();
    let mut all = Vec::new();
    for service in services {
        let first = if scene.has_layouts() { first_set * plan.house.orders(scene) } else { 0 };
        let mut turn = Turn { service, scene, plan, next: first, set: first_set, rate: 0 };
        let start = Instant::now();
        turn.makes_room()?;
        say(&format!("{}: {} is set up, in {} s", scene.name(), service.name, start.elapsed().as_secs()));
        turns.push(turn);
        all.push(Measured { name: service.name.clone(), notes: service.notes.clone(), rounds: Vec::new() });
    }
    for turn in &mut turns {
        // What is warm is measured.
        turn.plays(plan.lasts / 4)?;
    }
    for number in 1..=plan.rounds {
        let mut rates = Vec::new();
        for (turn, measured) in turns.iter_mut().zip(&mut all) {
            let round = turn.plays(plan.lasts)?;
            // Under a load that it cannot bear a host may book nothing: that is what was measured, and why is said.
            if let Some(why) = round.loaded.refusal.as_ref().filter(|_| scene != Scene::Hot) {
                measured.notes.push(format!("{}, {}: refused, such as with {why}", measured.name, scene.name()));
            }
            measured.rounds.push(round);
            rates.push(turn.rate.to_string());
        }
        say(&format!("{}: round {number} of {}: {}/s", scene.name(), plan.rounds, rates.join(", ")));
    }
    Ok(all)
}

impl Turn<'_> {
    /// For how many orders there are free seats.
    fn room(&self) -> u64 {
        if self.scene.has_layouts() {
            (self.set * self.plan.house.orders(self.scene)).saturating_sub(self.next)
        } else {
            u64::MAX - self.next
        }
    }

    /// Publishes sets of maps until there are seats enough for a round as fast as the last, and half as fast again. Where
    /// that takes too many sets, the round ends when they are sold.
    fn makes_room(&mut self) -> Outcome {
        const MOST_SETS: u64 = 8;
        let wanted = self.rate * u64::try_from(self.plan.lasts.as_millis()).unwrap_or(u64::MAX) * 3 / 2_000;
        let most = self.set + MOST_SETS;
        while self.room() < wanted.max(1) && self.set < most {
            self.service.publish(self.plan.house, self.set)?;
            self.set += 1;
        }
        Ok(())
    }

    /// One round.
    fn plays(&mut self, lasts: Duration) -> Outcome<Round> {
        let Self { service, scene, plan, .. } = *self;
        self.makes_room()?;
        if scene == Scene::Hot {
            service.hold()?;
        }
        let part = Part { first: self.next, most: self.room() };
        let before = service.cpu();
        let loaded = service.load(scene, plan.house, plan.clients, lasts, part);
        let loaded = loaded.map_err(|error| format!("{}, {}: {error}", scene.name(), service.name))?;
        // Timers, and what was sent one way, are the order's as well. A refusal arms none.
        if scene != Scene::Hot {
            sleep(plan.lull);
        }
        service.settle();
        let after = service.cpu();
        self.next += asked(&loaded) + loaded.cut;
        self.rate = loaded.rate();
        if scene == Scene::Hot && loaded.good > 0 {
            return Err(format!("{}: {} got the seat that is held", service.name, loaded.good));
        }
        let cpu = [0, 1].map(|which| after[which].saturating_sub(before[which]));
        Ok(Round { loaded, cpu })
    }
}
