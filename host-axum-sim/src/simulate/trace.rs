//! What led to a broken promise: as JSON, replayed with one command, and made as short as it gets.

use std::sync::Arc;

use booking_core::time::Millis;
use serde::{Deserialize, Serialize};

use super::disk::Unsynced;
use super::fault_points::FaultPoints;
use super::play::come_to_rest;
use super::promises::Broken;
use super::scene::Scenario;
use super::story::EventKind;
use super::world::{Action, World};

/// What happened in a scene, in order, and what it breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// The promise that it breaks; empty where it breaks none.
    pub promise: String,
    /// What was seen.
    pub what: String,
    /// Where it began.
    pub scene: Scenario,
    /// What happened. What cannot happen when its turn comes is skipped; afterwards everything comes to rest.
    pub actions: Vec<Action>,
}

impl Trace {
    pub(super) fn new(scene: &Scenario, actions: Vec<Action>, broken: &Broken) -> Self {
        Self { promise: broken.promise.to_owned(), what: broken.what.clone(), scene: scene.clone(), actions }
    }

    /// Lets it happen again.
    ///
    /// # Errors
    /// What it breaks.
    pub fn replay(&self, fault_points: &'static dyn FaultPoints) -> Result<World, Broken> {
        let mut world = World::new(Arc::new(self.scene.clone()), fault_points);
        self.replay_in(&mut world).map_err(|(_, broken)| broken)?;
        Ok(world)
    }

    /// Lets it happen in this world; what it breaks, and with which of its actions (as many as there are, where with
    /// none of them).
    fn replay_in(&self, world: &mut World) -> Result<(), (usize, Broken)> {
        world.through_bytes();
        for (index, action) in self.actions.iter().enumerate() {
            world.apply(*action).map_err(|broken| (index + 1, broken))?;
        }
        // A story ends when all is over; that it is forgotten in the end is no part of it.
        let thorough = world.story.is_none();
        come_to_rest(world, thorough, &mut Vec::new()).map_err(|broken| (self.actions.len(), broken))
    }

    /// Lets it happen again, and records every event. The promise that it breaks, if any, is the last event.
    #[must_use]
    pub fn retold(&self, fault_points: &'static dyn FaultPoints) -> (World, Option<Broken>) {
        let mut world = World::new(Arc::new(self.scene.clone()), fault_points);
        world.start_telling();
        let broken = self.replay_in(&mut world).err().map(|(_, broken)| broken);
        if let Some(broken) = &broken
            && let Some(event) = world.tells(EventKind::Broken, None, None, || broken.promise.to_owned())
        {
            event.detail = vec![broken.what.clone()];
            event.is_fault = true;
        }
        (world, broken)
    }

    /// The same promise broken by fewer actions, in a simpler scene.
    #[must_use]
    pub fn minimised(&self, fault_points: &'static dyn FaultPoints) -> Self {
        let mut shortest = self.clone();
        loop {
            let before = (shortest.actions.len(), shortest.scene.clone());
            shortest.leave_out(fault_points);
            for simpler in shortest.simpler() {
                shortest.try_instead(simpler, fault_points);
            }
            if before == (shortest.actions.len(), shortest.scene.clone()) {
                return shortest;
            }
        }
    }

    /// Takes the place of this if it breaks the same promise.
    fn try_instead(&mut self, other: Self, fault_points: &'static dyn FaultPoints) -> bool {
        let mut world = World::new(Arc::new(other.scene.clone()), fault_points);
        match other.replay_in(&mut world) {
            Err((taken, broken)) if broken.promise == self.promise => {
                let actions = other.actions[..taken].to_vec();
                *self = Self { what: broken.what, actions, ..other };
                true
            }
            Ok(()) | Err(_) => false,
        }
    }

    fn leave_out(&mut self, fault_points: &'static dyn FaultPoints) {
        let mut size = self.actions.len();
        while size > 0 {
            let mut from = 0;
            while from < self.actions.len() {
                let to = (from + size).min(self.actions.len());
                let actions = [&self.actions[..from], &self.actions[to..]].concat();
                if !self.try_instead(Self { actions, ..self.clone() }, fault_points) {
                    from = to;
                }
            }
            size /= 2;
        }
    }

    /// The same with one thing simpler.
    fn simpler(&self) -> Vec<Self> {
        let with = |change: &dyn Fn(&mut Scenario)| {
            let mut scene = self.scene.clone();
            change(&mut scene);
            Self { scene, ..self.clone() }
        };
        let mut simpler = vec![
            with(&|scene| scene.letter_attempts = None),
            with(&|scene| scene.mock_delay = None),
            with(&|scene| scene.keep_for = Millis(86_400_000)),
            with(&|scene| scene.answer_within = Millis(30_000)),
            with(&|scene| {
                scene.asks.pop();
            }),
        ];
        for index in 0..self.scene.asks.len() {
            simpler.push(with(&|scene| scene.asks[index].keyed = false));
        }
        let actions = self.actions.iter().enumerate();
        for (index, action) in actions {
            if let Action::Crash { unsynced, down } = *action {
                let none = Millis(0);
                for plain in [
                    Action::Crash { unsynced: Unsynced::Lost, down: none },
                    Action::Crash { unsynced: Unsynced::Lost, down },
                    Action::Crash { unsynced: Unsynced::Torn(500), down },
                    Action::Crash { unsynced, down: none },
                ] {
                    if plain != *action {
                        let mut actions = self.actions.clone();
                        actions[index] = plain;
                        simpler.push(Self { actions, ..self.clone() });
                    }
                }
            }
        }
        simpler
    }
}
