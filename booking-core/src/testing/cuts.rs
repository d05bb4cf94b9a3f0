//! A checkout's plain course through a world, cut at chosen boundaries: crashes where they can be, and nothing else.
//!
//! Between any two things that happen there is a boundary: before an effect, after it, after its outcome is recorded. Few
//! schedules have as many bugs in them as these. [`super::crash`] cuts a checkout on the smallest host, both ways of
//! driving it; this cuts it in a [`World`], so that it finds what other rules do.

use std::sync::Arc;

use super::crash::Cut;
use super::rules::Rules;
use super::trace::{STEPS_TO_REST, Trace, come_to_rest};
use super::world::{Action, Faults, How, Item, Scenario, Watch, World};
use crate::invariants::Violation;

/// A course through a scene: its lines are said, its first buyer comes, and everything arrives in order. The others
/// come when the first crash is over.
#[derive(Clone, Debug)]
pub struct CrashRun {
    scene: Arc<Scenario>,
    rules: &'static dyn Rules,
}

/// How a course went.
#[derive(Clone, Debug)]
pub struct Run {
    /// The world at rest.
    pub world: World,
    /// How many boundaries were passed since the last cut.
    pub boundaries: u32,
    /// How many of the cuts came about; fewer than asked for where the checkout was over before.
    pub crashes: usize,
    /// What it has broken, if anything.
    pub broken: Option<Box<Trace>>,
}

impl CrashRun {
    /// A course through a scene in which nothing goes wrong but the crashes asked for.
    #[must_use]
    pub fn new(scene: Scenario, rules: &'static dyn Rules) -> Self {
        Self { scene: Arc::new(scene), rules }
    }

    /// Runs it, cut at these boundaries, each counted from the start or from the crash before.
    #[must_use]
    pub fn run(&self, cuts: &[Cut], watch: &mut Watch) -> Run {
        let crashes = u8::try_from(cuts.len()).unwrap_or(u8::MAX);
        let faults = Faults { crashes, ..self.scene.faults };
        let scene = Arc::new(Scenario { faults, ..Scenario::clone(&self.scene) });
        let mut run = Run { world: World::new(scene, self.rules), boundaries: 0, crashes: 0, broken: None };
        let mut actions = Vec::new();
        if let Err(violation) = go(&mut run, cuts, watch, &mut actions) {
            if violation.property == "it_comes_to_rest" {
                actions.truncate(actions.len().saturating_sub(STEPS_TO_REST));
            }
            run.broken = Some(Box::new(Trace::new(run.world.scene(), actions, &violation)));
        }
        run
    }
}

fn go(run: &mut Run, cuts: &[Cut], watch: &mut Watch, actions: &mut Vec<Action>) -> Result<(), Violation> {
    let number = |index: usize| u8::try_from(index).expect("a scene has at most 64 of each");
    let scene = Arc::clone(run.world.scene());
    let world = &mut run.world;
    let mut happen = |world: &mut World, action, watch: &mut Watch| {
        actions.push(action);
        world.apply(action, watch)
    };
    for line in 0..scene.lines.len() {
        happen(world, Action::arrive(Item::Line(number(line)), How::Well), watch)?;
    }
    happen(world, Action::Come(0), watch)?;
    for cut in cuts {
        run.boundaries = 0;
        while run.boundaries < cut.after {
            let Some(action) = world.next_in_order().filter(|_| world.ending_of(0).is_none()) else { break };
            happen(world, action, watch)?;
            run.boundaries += 1;
        }
        if !happen(world, Action::Crash(0), watch)? {
            break;
        }
        happen(world, Action::Wait(cut.downtime), watch)?;
        for other in (1..scene.buyers.len()).filter(|_| run.crashes == 0) {
            happen(world, Action::Come(number(other)), watch)?;
        }
        run.crashes += 1;
    }
    run.boundaries = 0;
    while let Some(action) = world.next_in_order().filter(|_| world.ending_of(0).is_none()) {
        happen(world, action, watch)?;
        run.boundaries += 1;
        if run.boundaries > 1000 {
            // Whether that ever ends is to be seen below.
            break;
        }
    }
    come_to_rest(&mut run.world, watch, actions)
}
