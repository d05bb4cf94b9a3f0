//! A checkout on a [`Memory`], cut at chosen boundaries of its journal and resumed: both ways of driving it.
//!
//! Around every effect there are three boundaries: before it, after it but before its outcome is recorded, and after
//! that. A crash drops what runs, and never returns an error; what was recorded stays, and time continues.

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde::{Deserialize, Serialize};

use crate::checkout::{Checkout, Ending, Impossible, Next, Performed};
use crate::effect::{Effect, Step};
use crate::format;
use crate::ids::MapKey;
use crate::journal::{Entry, StepExecutor, run};
use crate::map::SeatMapCommand;
use crate::memory::{Log, Memory};
use crate::payment::Payment;
use crate::progress::{CheckoutProgress, Recorded};
use crate::time::Millis;

/// A house, a checkout that starts in it, and what others do meanwhile.
#[derive(Clone, Debug)]
pub struct House {
    /// Maps, timers, gateway.
    pub memory: Memory,
    /// The checkout, at its start.
    pub checkout: Checkout,
    /// What others ask before the first effect of a step, by its number.
    pub rivals: BTreeMap<u32, Vec<(MapKey, SeatMapCommand)>>,
    /// The step during which an operator cancels the checkout, if one does.
    pub cancel_during: Option<u32>,
}

impl House {
    /// Sends the maps the commands of the rivals who act when this step begins.
    fn let_rivals_act(&mut self, step: u32) {
        for (map, command) in self.rivals.remove(&step).unwrap_or_default() {
            let _done_or_refused = self.memory.ask(&map, &command);
        }
    }
}

/// A crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// How many boundaries are passed before it, counted from the start or from the crash before.
    pub after: u32,
    /// How long nothing runs then.
    pub downtime: Millis,
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Run {
    /// The house after it.
    pub house: House,
    /// How the checkout ended.
    pub ending: Ending,
    /// The checkout at its end.
    pub checkout: Checkout,
    /// How many boundaries were passed. One run without cuts tells where cuts can be.
    pub boundaries: u32,
    /// How many crashes there were; fewer than asked for where the run was over before.
    pub crashes: usize,
    /// The journal, of a pulled run; without lines for a pushed one.
    pub log: Log,
}

/// Counts boundaries, and stops at the one to crash at.
#[derive(Default)]
struct Boundaries {
    left: Option<u32>,
    passed: u32,
}

impl Boundaries {
    /// Whether this one is passed.
    fn pass(&mut self) -> bool {
        match &mut self.left {
            Some(0) => return false,
            Some(left) => *left -= 1,
            None => {}
        }
        self.passed += 1;
        true
    }

    /// Passed, or never.
    async fn reach(&mut self) {
        if !self.pass() {
            pending::<()>().await;
        }
    }
}

struct Crashing<'a> {
    house: &'a mut House,
    log: &'a mut Log,
    boundaries: &'a mut Boundaries,
}

impl StepExecutor for Crashing<'_> {
    type Error = Impossible;

    async fn perform(&mut self, step: Step) -> Result<Performed, Impossible> {
        self.house.let_rivals_act(step.number);
        let mut outcomes = Vec::with_capacity(step.effects.len());
        for (op, effect) in step.effects {
            if let Some(recorded) = self.log.outcome(&op) {
                outcomes.push(recorded.clone());
                continue;
            }
            self.boundaries.reach().await;
            let outcome = self.house.memory.perform(effect);
            self.boundaries.reach().await;
            if self.house.cancel_during == Some(step.number) && !self.log.is_cancelled(step.number) {
                self.log.record(Entry::Cancelled { step: step.number });
            }
            self.log.record(Entry::Ended { op, outcome: outcome.clone() });
            outcomes.push(outcome);
            self.boundaries.reach().await;
        }
        Ok(Performed::new(outcomes, self.log.is_cancelled(step.number)))
    }
}

/// Runs the checkout as a host does that re-runs it over its journal ([`crate::journal::run`]).
///
/// # Panics
/// If the checkout finds its own journal impossible: then it is broken.
#[must_use]
pub fn pull(mut house: House, cuts: &[Cut]) -> Run {
    let start = house.checkout.clone();
    let mut log = Log::start(&start);
    let mut boundaries = Boundaries::default();
    let mut cuts_left = cuts.iter();
    let mut crashes = 0;
    loop {
        let cut = cuts_left.next();
        boundaries.left = cut.map(|cut| cut.after);
        match (once(&mut house, &mut log, &mut boundaries), cut) {
            (Some(ending), _) => {
                let checkout = at_its_end(start, &log);
                return Run { house, ending, checkout, boundaries: boundaries.passed, crashes, log };
            }
            (None, Some(cut)) => {
                crashes += 1;
                let now = house.memory.now().plus(cut.downtime);
                house.memory.advance_to(now);
            }
            (None, None) => unreachable!("a run waits for nothing but its cut"),
        }
    }
}

/// Runs the checkout up to a boundary and never resumes it: what is left is what an operator who kills it leaves.
///
/// # Panics
/// If the checkout finds its own journal impossible: then it is broken.
#[must_use]
pub fn abandon(mut house: House, after: u32) -> House {
    let mut log = Log::start(&house.checkout);
    let mut boundaries = Boundaries { left: Some(after), passed: 0 };
    let _ended_or_cut = once(&mut house, &mut log, &mut boundaries);
    house
}

/// From the start over the journal to the end, or to the cut.
fn once(house: &mut House, log: &mut Log, boundaries: &mut Boundaries) -> Option<Ending> {
    let start = house.checkout.clone();
    let mut journal = Crashing { house, log, boundaries };
    let running = pin!(run(&mut journal, start));
    match running.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ended) => Some(ended.expect("a journal fits the checkout that wrote it")),
        Poll::Pending => None,
    }
}

/// The checkout that this journal leads to.
fn at_its_end(start: Checkout, log: &Log) -> Checkout {
    let mut checkout = start;
    while let Next::Perform(step) = checkout.next() {
        let outcome = |op| log.outcome(op).cloned().expect("the run has ended, so every effect has an outcome");
        let outcomes = step.effects.iter().map(|(op, _)| outcome(op)).collect();
        let performed = Performed::new(outcomes, log.is_cancelled(step.number));
        checkout.settle(&performed).expect("a journal fits the checkout that wrote it");
    }
    checkout
}

/// In which order the outcomes of a step come, and which come twice.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    /// For each effect in turn, which of those still pending is performed next (modulo how many there are).
    pub picks: Vec<u8>,
    /// For each effect in turn, whether it is performed twice and its outcome reported twice, where that is the same
    /// schedule still.
    pub twice: Vec<bool>,
}

/// No checkout of a test takes more steps than this.
pub const MOST_STEPS: u32 = 10_000;

/// Runs the checkout as a host does that stores it and tells it of each outcome ([`CheckoutProgress`]).
///
/// # Panics
/// If the checkout finds its own outcomes impossible, or does not end within [`MOST_STEPS`]: then it is broken.
#[must_use]
pub fn push(mut house: House, cuts: &[Cut], order: &Schedule) -> Run {
    let mut stored = format::write(&CheckoutProgress::start(house.checkout.clone()));
    let mut boundaries = Boundaries::default();
    let mut cuts_left = cuts.iter();
    let (mut crashes, mut turn) = (0, 0);
    loop {
        let cut = cuts_left.next();
        boundaries.left = cut.map(|cut| cut.after);
        let mut running: CheckoutProgress = format::read(&stored).expect("what was written can be read");
        let crashed = loop {
            if running.ending().is_some() {
                break false;
            }
            if push_one(&mut house, &mut running, &mut stored, &mut boundaries, order, turn).is_none() {
                break true;
            }
            turn += 1;
            assert!(running.checkout().step() < MOST_STEPS, "{} does not end", running.checkout().id());
        };
        match cut.filter(|_| crashed) {
            Some(cut) => {
                crashes += 1;
                let now = house.memory.now().plus(cut.downtime);
                house.memory.advance_to(now);
            }
            None => {
                let ending = running.ending().expect("nothing else ends this loop without a cut").clone();
                let (checkout, boundaries) = (running.checkout().clone(), boundaries.passed);
                return Run { house, ending, checkout, boundaries, crashes, log: Log::default() };
            }
        }
    }
}

/// One effect, to its outcome; `None` where the crash came.
fn push_one(
    house: &mut House,
    running: &mut CheckoutProgress,
    stored: &mut Vec<u8>,
    boundaries: &mut Boundaries,
    order: &Schedule,
    turn: usize,
) -> Option<()> {
    let step = running.checkout().step();
    house.let_rivals_act(step);
    let mut effects = running.pending();
    let pick = order.picks.get(turn).map_or(0, |pick| usize::from(*pick) % effects.len());
    let (op, effect) = effects.swap_remove(pick);
    boundaries.pass().then_some(())?;
    let mut outcome = house.memory.perform(effect.clone());
    // Not a wait, nor what the mock gateway counts: its cards answer a second call otherwise, as a schedule of its own.
    let may_be_twice = matches!(effect, Effect::Line(..) | Effect::Pay(Payment::Void(_)) | Effect::Notify(_));
    let twice = may_be_twice && order.twice.get(turn).copied().unwrap_or(false);
    if twice {
        outcome = house.memory.perform(effect);
    }
    boundaries.pass().then_some(())?;
    if house.cancel_during == Some(step) {
        let _too_late_or_done = running.cancel();
    }
    let recorded = running.record(&op, outcome.clone()).expect("an outcome fits the effect it is of");
    assert_ne!(recorded, Recorded::Stale, "{op} was pending");
    *stored = format::write(running);
    if twice {
        let again = running.record(&op, outcome).expect("a repeated outcome is stale, not impossible");
        assert_eq!(again, Recorded::Stale, "{op} was recorded");
        assert_eq!(*stored, format::write(running), "a stale outcome changes nothing");
    }
    boundaries.pass().then_some(())
}
