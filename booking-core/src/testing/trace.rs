//! What led to a broken property: as JSON, replayed with one command, and made as short as it gets.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rules::Rules;
use super::world::{Action, Scenario, Watch, World};
use crate::checkout::Order;
use crate::ids::PaymentMethodId;
use crate::invariants::{System, Violation};
use crate::payment::Card;

/// How many steps a world may take to come to rest once nothing goes wrong any more. None of ours takes a tenth.
pub const STEPS_TO_REST: usize = 20_000;

/// The actions that break a property in a scene, in order. Those that cannot happen when their turn comes are skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// The property that it breaks.
    pub property: String,
    /// What was seen.
    pub what: String,
    /// Where it began.
    pub scene: Scenario,
    /// What happened.
    pub actions: Vec<Action>,
}

/// Lets everything that is under way arrive, in order, until the world is at rest. Nothing goes wrong any more.
///
/// # Errors
/// A property that is broken on the way, `it_comes_to_rest` and `nothing_is_stuck` among them.
pub fn come_to_rest(world: &mut World, watch: &mut Watch, actions: &mut Vec<Action>) -> Result<(), Violation> {
    world.heal();
    for _ in 0..STEPS_TO_REST {
        let Some(action) = world.next_in_order() else { return nothing_is_stuck(world) };
        actions.push(action);
        world.apply(action, watch)?;
    }
    let what = format!("nothing has gone wrong for {STEPS_TO_REST} steps, and it is still not at rest");
    Err(Violation { property: "it_comes_to_rest", number: 11, what })
}

/// Where nothing is under way, everything is over: a checkout that waits for nothing waits for ever.
///
/// # Errors
/// `nothing_is_stuck`, if something is.
pub fn nothing_is_stuck(world: &World) -> Result<(), Violation> {
    if world.is_at_rest() || world.next_in_order().is_some() {
        return Ok(());
    }
    let what = "nothing is under way, and a checkout has not ended".into();
    Err(Violation { property: "nothing_is_stuck", number: 11, what })
}

/// Continues at random: each pick chooses one of the actions that the world lists then (modulo how many there are). Adds
/// what it picked to `actions`.
///
/// # Errors
/// The first property that does not hold any more.
pub fn wander(world: &mut World, picks: &[u16], watch: &mut Watch, actions: &mut Vec<Action>) -> Result<(), Violation> {
    let mut listed = Vec::new();
    for pick in picks {
        listed.clear();
        world.actions(&mut listed);
        let Some(action) = usize::from(*pick).checked_rem(listed.len()).map(|pick| listed[pick]) else { break };
        actions.push(action);
        world.apply(action, watch)?;
    }
    Ok(())
}

impl Trace {
    /// The trace of these actions.
    #[must_use]
    pub fn new(scene: &Scenario, actions: Vec<Action>, violation: &Violation) -> Self {
        let (property, what) = (violation.property.to_owned(), violation.what.clone());
        Self { property, what, scene: scene.clone(), actions }
    }

    /// How many faults it needs; a buyer who comes with a card that gives no answer brings one or two along.
    #[must_use]
    pub fn faults(&self) -> usize {
        let brought = |action: &Action| match action {
            Action::Come(buyer) => {
                match self.scene.buyers.get(usize::from(*buyer)).map(|it| Card::of(it.order.method())) {
                    Some(Card::Lost) => 1,
                    Some(Card::Flaky | Card::Error) => 2,
                    Some(Card::Success | Card::Decline | Card::CaptureDecline | Card::Unknown) | None => 0,
                }
            }
            Action::Arrive { .. }
            | Action::Crash(_)
            | Action::Kill(_)
            | Action::Cancel(_)
            | Action::Tick
            | Action::Wait(_) => 0,
        };
        self.actions.iter().map(|action| usize::from(action.is_fault()) + brought(action)).sum()
    }

    /// Whether it needs time to pass, a timer to fire, or a map's clock to be wrong.
    #[must_use]
    pub fn needs_time(&self) -> bool {
        self.actions.iter().any(|action| action.is_about_time())
    }

    /// Lets it happen again.
    ///
    /// # Errors
    /// The property that it breaks under these rules, if it breaks one.
    pub fn replay(&self, rules: &'static dyn Rules, watch: &mut Watch) -> Result<(), Violation> {
        replay(&Arc::new(self.scene.clone()), &self.actions, rules, watch)
            .map_or(Ok(()), |(_, violation)| Err(violation))
    }

    /// As short as it gets by leaving actions out (no one of them, nor any two, can be left out any more) and by having
    /// the buyers want less.
    #[must_use]
    pub fn minimised(&self, rules: &'static dyn Rules) -> Self {
        let mut best = self.clone();
        let whole = best.actions.clone();
        best.try_actions(rules, whole);
        loop {
            best.leave_out(rules);
            if !best.simplify(rules) {
                return best;
            }
        }
    }

    /// Takes these actions and this scene instead, if they break the same property with no more actions.
    fn try_instead(&mut self, rules: &'static dyn Rules, scene: Scenario, mut actions: Vec<Action>) -> bool {
        match replay(&Arc::new(scene.clone()), &actions, rules, &mut Watch::thorough()) {
            Some((length, violation)) if violation.property == self.property => {
                actions.truncate(length);
                *self = Self::new(&scene, actions, &violation);
                true
            }
            Some(_) | None => false,
        }
    }

    fn try_actions(&mut self, rules: &'static dyn Rules, actions: Vec<Action>) -> bool {
        self.try_instead(rules, self.scene.clone(), actions)
    }

    /// Leaves actions out: halves, quarters, single ones; then two at a time.
    fn leave_out(&mut self, rules: &'static dyn Rules) {
        loop {
            let before = self.actions.len();
            let mut size = before / 2;
            while size > 0 {
                let mut from = 0;
                while from < self.actions.len() {
                    let to = (from + size).min(self.actions.len());
                    let without = [&self.actions[..from], &self.actions[to..]].concat();
                    if !self.try_actions(rules, without) {
                        from = to;
                    }
                }
                size /= 2;
            }
            if self.actions.len() == before && !self.leave_two_out(rules) {
                return;
            }
        }
    }

    fn leave_two_out(&mut self, rules: &'static dyn Rules) -> bool {
        let length = self.actions.len();
        let pairs = (1..length).rev().flat_map(|second| (0..second).rev().map(move |first| (first, second)));
        for (first, second) in pairs {
            let mut without = self.actions.clone();
            without.remove(second);
            without.remove(first);
            if self.try_actions(rules, without) {
                return true;
            }
        }
        false
    }

    /// Tries simpler scenes, in which a buyer wants less or pays otherwise, for example. Whether one made the trace shorter.
    fn simplify(&mut self, rules: &'static dyn Rules) -> bool {
        let before = (self.actions.len(), self.faults());
        for simpler in simpler(&self.scene) {
            let mut shorter = self.clone();
            if shorter.try_instead(rules, simpler, self.actions.clone()) {
                shorter.leave_out(rules);
                if (shorter.actions.len(), shorter.faults()) < before {
                    *self = shorter;
                    return true;
                }
            }
        }
        false
    }
}

/// The scene with one thing in it simpler.
fn simpler(scene: &Scenario) -> Vec<Scenario> {
    let mut simpler =
        vec![Scenario { forgets: false, ..scene.clone() }, Scenario { checkouts_tell_time: false, ..scene.clone() }];
    for (index, buyer) in scene.buyers.iter().enumerate() {
        let order = &buyer.order;
        let (tickets, user, method, hold) = (order.tickets(), order.user(), order.method(), order.hold());
        let plain = ["card_success", "card_decline", "card_capture_decline"];
        let fewer = tickets.iter().filter(|_| tickets.len() > 1);
        let orders = fewer
            .map(|ticket| (vec![ticket.clone()], method.clone(), hold.cloned()))
            .chain(
                plain
                    .iter()
                    .filter_map(|card| Some((tickets.to_vec(), PaymentMethodId::parse(card).ok()?, hold.cloned()))),
            )
            .chain(hold.map(|_| (tickets.to_vec(), method.clone(), None)));
        for (tickets, method, hold) in orders {
            let Ok(order) = Order::new(tickets, user.clone(), method, hold) else { continue };
            let mut other = scene.clone();
            other.buyers[index].order = order;
            simpler.push(other);
        }
    }
    simpler
}

/// Whether it is broken by what does not happen: then there is no last action to blame.
pub(crate) fn is_about_rest(violation: &Violation) -> bool {
    matches!(violation.property, "it_comes_to_rest" | "nothing_is_stuck")
}

/// Applies actions until one breaks a property; how many that takes. Then, if none does, whether it comes to rest.
fn replay(
    scene: &Arc<Scenario>,
    actions: &[Action],
    rules: &'static dyn Rules,
    watch: &mut Watch,
) -> Option<(usize, Violation)> {
    let mut world = World::new(Arc::clone(scene), rules);
    for (index, action) in actions.iter().enumerate() {
        if let Err(violation) = world.apply(*action, watch) {
            return Some((index + 1, violation));
        }
    }
    if world.is_at_rest() {
        return None;
    }
    let violation = come_to_rest(&mut world, watch, &mut Vec::new()).err()?;
    is_about_rest(&violation).then_some((actions.len(), violation))
}
