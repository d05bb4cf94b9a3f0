//! The journal, and the loop of the hosts that *pull*: they re-run a checkout from its start after every crash.
//!
//! # The contract
//!
//! | the core owns | the host owns |
//! | --- | --- |
//! | which effects a step has, and in which order their outcomes count | performing each at least once, side by side |
//! | the name of every effect ([`Op`]), the same on each replay | recording each outcome before it is handed over, once |
//! | the payment keys, from the checkout alone | handing a recorded outcome back instead of performing again |
//! | what a refusal, a decline, an unknown answer leads to | telling "no answer yet" (retry) from "the answer is no" |
//! | when to wait, how long, and when to give up | waiting durably, and recording the time when the wait was over |
//! | the way back | resuming every checkout that has not ended, for ever |
//!
//! # The loop
//!
//! See [`run`]; it is short enough to be read as the documentation.

use std::future::Future;

use serde::{Deserialize, Serialize};

use crate::checkout::{Checkout, Ending, Impossible, Next, Performed};
use crate::effect::{Effect, Op, Outcome, Step};
use crate::format::{self, Format, FormatError};
use crate::progress::{CheckoutProgress, Recorded};

/// Where a host records how the effects of one checkout ended, so that a crash repeats no outcome. Together with an [`Executor`] it is
/// what [`run`] needs: see [`Journaled`].
pub trait Journal {
    /// What can keep the host from reading or writing: the host's own to retry. [`Impossible`] is for a person.
    type Error: From<Impossible>;

    /// The outcome that is recorded of an effect.
    ///
    /// # Errors
    /// The host's, when it cannot be read now.
    fn recorded(&mut self, op: &Op) -> impl Future<Output = Result<Option<Outcome>, Self::Error>>;

    /// Records how an effect ended, unless that is recorded already. Returns the outcome that is recorded then, durably: another process may
    /// have come first with another one.
    ///
    /// # Errors
    /// The host's, when it could not be written. The effect is then performed again.
    fn record(&mut self, op: &Op, outcome: Outcome) -> impl Future<Output = Result<Outcome, Self::Error>>;

    /// Whether a cancel was recorded for this step, before the last of its outcomes. One that came later is too late: it is to be recorded
    /// for the step after it, or refused.
    ///
    /// # Errors
    /// The host's, when it cannot be read now.
    fn is_cancelled(&mut self, step: u32) -> impl Future<Output = Result<bool, Self::Error>>;
}

/// Performs single effects, each at least once. What it needs to do so, the host gives it.
pub trait Executor {
    /// What can keep the host from performing an effect: the host's own to retry.
    type Error;

    /// Performs an effect, until there is an outcome. `op` is its name for ever, and serves as an idempotency key.
    ///
    /// # Errors
    /// The host's, when it cannot continue now.
    fn perform(&mut self, op: &Op, effect: Effect) -> impl Future<Output = Result<Outcome, Self::Error>>;
}

/// A [`Journal`] beside an [`Executor`]: an effect whose outcome is recorded is not performed again. One effect comes after the other; a
/// host that performs them side by side implements [`StepExecutor`] itself.
#[derive(Debug)]
pub struct Journaled<J, E> {
    /// Where outcomes are recorded.
    pub journal: J,
    /// What performs effects.
    pub executor: E,
}

impl<J: Journal, E: Executor<Error = J::Error>> StepExecutor for Journaled<J, E> {
    type Error = J::Error;

    async fn perform(&mut self, step: Step) -> Result<Performed, J::Error> {
        let mut outcomes = Vec::with_capacity(step.effects.len());
        for (op, effect) in step.effects {
            let outcome = match self.journal.recorded(&op).await? {
                Some(recorded) => recorded,
                None => {
                    let outcome = self.executor.perform(&op, effect).await?;
                    self.journal.record(&op, outcome).await?
                }
            };
            outcomes.push(outcome);
        }
        Ok(Performed::new(outcomes, self.journal.is_cancelled(step.number).await?))
    }
}

/// Performs whole steps of one checkout, durably.
///
/// Its futures are [`Send`] where those of the implementing type are, so a task of a multi-threaded runtime may run a checkout over a
/// concrete type. No bound says so, as a host on one thread has none.
pub trait StepExecutor {
    /// What can keep the host from performing a step: the host's own to retry. [`Impossible`] is for a person.
    type Error: From<Impossible>;

    /// Performs a step: each effect at least once, side by side, and each outcome recorded before this returns. An
    /// effect whose outcome is recorded already is not performed again; the recorded outcome is handed back. So is a
    /// cancel that was recorded for this step.
    ///
    /// # Errors
    /// The host's, when it cannot continue now. The host then runs the checkout again from its start, over the same journal.
    fn perform(&mut self, step: Step) -> impl Future<Output = Result<Performed, Self::Error>>;

    /// Sees to it that this checkout, which only lets go of money, is run to its end beside the one that it was taken out of; `false`
    /// where the host does no such thing. Called again on each replay, for the same: what was begun is not begun twice.
    ///
    /// # Errors
    /// The host's, when it cannot continue now.
    fn run_beside(&mut self, money: Checkout) -> Result<bool, Self::Error> {
        let _here_then = money;
        Ok(false)
    }
}

/// Runs a checkout to its end over a journal. Dropped anywhere and run again over the same journal, it ends alike. Two that run it at once
/// over one journal do no harm, if the journal takes the first outcome of each effect and no other.
///
/// # Errors
/// What the host could not do, or [`Impossible`] where the journal is not this checkout's.
pub async fn run<S: StepExecutor>(host: &mut S, mut checkout: Checkout) -> Result<Ending, S::Error> {
    loop {
        // 1. Ask the checkout what it wants.
        let step = match checkout.next() {
            Next::Perform(step) => step,
            // 4. Until there is nothing left to want.
            Next::Ended(ending) => return Ok(ending),
        };
        // 2. Perform it, or recall how it went.
        let performed = host.perform(step).await?;
        // 3. Tell the checkout how it went. On its way back, its buyer need not wait until its money is let go of.
        checkout.settle(&performed)?;
        if let Some((seats, money)) = checkout.seats_and_money()
            && host.run_beside(money)?
        {
            checkout = seats;
        }
    }
}

/// One line of a journal, for hosts that keep their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Entry {
    /// The checkout as it was at its start. The first line, and no other.
    Started(Box<Checkout>),
    /// An effect ended.
    Ended {
        /// Which.
        op: Op,
        /// How.
        outcome: Outcome,
    },
    /// A cancel came while this step was under way. Stands before the last outcome of its step.
    Cancelled {
        /// Which step.
        step: u32,
    },
}

impl Format for Entry {
    const NAME: &'static str = "journal entry";
    const VERSION: u32 = 1;
}

/// Why a stored journal cannot be replayed. A person has to look. Lines count from 1.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A line cannot be read.
    #[error("line {line} of the journal: {why}")]
    Unreadable {
        /// Which line.
        line: usize,
        /// Why.
        why: FormatError,
    },
    /// The journal does not begin with the start of a checkout.
    #[error("the journal does not begin with the start of a checkout")]
    NoStart,
    /// A line is not of the step that the checkout is at.
    #[error("line {line} of the journal is out of place")]
    OutOfPlace {
        /// Which line.
        line: usize,
    },
    /// A line does not fit this checkout.
    #[error("line {line} of the journal: {why}")]
    Impossible {
        /// Which line.
        line: usize,
        /// Why.
        why: Impossible,
    },
}

/// Reads a journal's lines (one JSON document each, as [`crate::format::write`] makes them) back into a checkout that
/// can continue where it stopped.
///
/// # Errors
/// [`ReplayError`] names the line that cannot be read or does not fit.
pub fn replay<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Result<CheckoutProgress, ReplayError> {
    let mut running: Option<CheckoutProgress> = None;
    for (line, bytes) in (1..).zip(lines) {
        let entry = format::read(bytes).map_err(|why| ReplayError::Unreadable { line, why })?;
        let Some(running) = &mut running else {
            let Entry::Started(checkout) = entry else {
                return Err(ReplayError::NoStart);
            };
            running = Some(CheckoutProgress::start(*checkout));
            continue;
        };
        let step = running.checkout().step();
        match entry {
            Entry::Ended { op, outcome } => match running.record(&op, outcome) {
                Ok(Recorded::Step | Recorded::Waiting) => {}
                Ok(Recorded::Stale) => return Err(ReplayError::OutOfPlace { line }),
                Err(why) => return Err(ReplayError::Impossible { line, why }),
            },
            Entry::Cancelled { step: during } if during == step => {
                // One that came too late was recorded all the same, and changed nothing then either.
                let _done_or_too_late = running.cancel();
            }
            Entry::Cancelled { .. } | Entry::Started(_) => {
                return Err(ReplayError::OutOfPlace { line });
            }
        }
    }
    running.ok_or(ReplayError::NoStart)
}
