//! A checkout under way, for hosts that *push*: they store it, and tell it of each outcome as it comes.
//!
//! ```text
//!  start ──▶ pending() ──▶ perform, in any order ──▶ record(op, outcome) ──▶ store ──▶ pending() …
//! ```
//!
//! Its answers are those of [`crate::journal::run`] on every schedule: outcomes may come in any order, late or twice.

use serde::{Deserialize, Serialize};

use crate::checkout::{Checkout, Ending, Failure, Impossible, MoneyState, Next, Performed, Stage};
use crate::effect::{Effect, Op, Outcome};
use crate::format::Format;
use crate::ids::PaymentId;
use crate::payment::{CaptureAnswer, DeclineReason, Payment, PaymentAnswer, VoidAnswer};
use crate::terms::Terms;
use crate::time::{Millis, Timestamp};

/// A checkout with the outcomes that have come so far of the step that it is at. Store it after every
/// [`Recorded::Step`] and [`Recorded::Waiting`]; after a crash, perform what [`CheckoutProgress::pending`] says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckoutProgress {
    checkout: Checkout,
    outcomes: Vec<Option<Outcome>>,
    cancel: bool,
}

impl Format for CheckoutProgress {
    const NAME: &'static str = "running checkout";
    const VERSION: u32 = 1;
}

/// What an outcome led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "store the checkout unless this is stale"]
pub enum Recorded {
    /// The step has ended: there is a new one, or the checkout is over.
    Step,
    /// The step still waits for other outcomes.
    Waiting,
    /// The outcome was known, or is of a step that is over. Nothing changed.
    Stale,
}

/// Why a checkout cannot be cancelled any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CancelRefusal {
    /// Capture has been asked for: the money may be taken already, so the booking goes through.
    #[error("the payment is being captured")]
    CaptureAsked,
    /// It is over.
    #[error("the checkout has ended")]
    Ended,
}

/// What became of a payment, as an operator knows it who has looked at the gateway: for a checkout whose gateway gives no answer. It is
/// believed like an answer, so it has to be true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Resolution {
    /// The money was taken.
    Captured(PaymentId),
    /// The money was not taken, and will not be.
    Refused(DeclineReason),
    /// Nothing is set aside any more, nor ever will be.
    LetGo,
    /// What was taken has been paid back.
    PaidBack,
}

impl Resolution {
    /// The gateway's answer whose place it takes; `None` where it says nothing about what the gateway was asked.
    #[must_use]
    pub fn answers(&self, asked: &Payment) -> Option<PaymentAnswer> {
        Some(match (asked, self) {
            (Payment::Capture(_), Self::Captured(payment)) => {
                PaymentAnswer::Capture(CaptureAnswer::Captured(payment.clone()))
            }
            (Payment::Capture(_), Self::Refused(reason)) => {
                PaymentAnswer::Capture(CaptureAnswer::Declined(reason.clone()))
            }
            (Payment::Void(_), Self::LetGo) => PaymentAnswer::Void(VoidAnswer::Voided),
            (Payment::Void(_), Self::PaidBack) => PaymentAnswer::Void(VoidAnswer::PaidBack),
            _ => return None,
        })
    }
}

/// A checkout does not wait for a gateway that gives no answer, or not for this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this checkout has not asked the gateway for that in vain")]
pub struct NotInVain;

impl CheckoutProgress {
    /// A checkout at its start.
    #[must_use]
    pub fn start(checkout: Checkout) -> Self {
        let mut running = Self { checkout, outcomes: Vec::new(), cancel: false };
        running.begin_step();
        running
    }

    fn begin_step(&mut self) {
        self.outcomes.clear();
        self.outcomes.resize(self.checkout.width(), None);
    }

    /// The checkout as it was when its step began.
    #[must_use]
    pub fn checkout(&self) -> &Checkout {
        &self.checkout
    }

    pub(crate) fn erase_buyer(&mut self) {
        self.checkout.erase_buyer();
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        self.checkout.ending()
    }

    /// What its buyer can be told, as [`Checkout::told`]: a failure also while a void of the step is still being asked for.
    #[must_use]
    pub fn told(&self) -> Option<Ending> {
        let void = self.checkout.void_at();
        let is_let_go = |(index, outcome): (usize, &Option<Outcome>)| outcome.is_some() || Some(index) == void;
        let seats_are_back = || self.outcomes.iter().enumerate().all(is_let_go);
        self.checkout.told().or_else(|| self.checkout.fails_with().filter(|_| seats_are_back()))
    }

    /// Whether it ended by being refused its seats, so it never asked for money.
    #[must_use]
    pub fn was_refused(&self) -> bool {
        matches!(self.ending(), Some(Ending::Failed { failure: Failure::HoldRefused(_), .. }))
    }

    /// How long it is to be kept after its end, where a host keeps checkouts for as long as `usual`. One that was refused, and that no
    /// key stands for, is kept for [`Terms::KEEP_REFUSED`] at most: anybody can have such checkouts made, as many as they like.
    #[must_use]
    pub fn kept_for(&self, is_keyed: bool, usual: Millis) -> Millis {
        if self.was_refused() && !is_keyed { Terms::KEEP_REFUSED.min(usual) } else { usual }
    }

    /// How many effects the current step has.
    #[cfg(feature = "simulation")]
    pub(crate) fn width(&self) -> usize {
        self.outcomes.len()
    }

    /// Whether this effect of the current step has no outcome yet.
    #[cfg(feature = "simulation")]
    pub(crate) fn is_pending(&self, index: u8) -> bool {
        self.outcomes.get(usize::from(index)).is_some_and(Option::is_none)
    }

    /// The effects of the current step that have no outcome yet; none once it is over. Asking again gives the same.
    #[must_use]
    pub fn pending(&self) -> Vec<(Op, Effect)> {
        let Next::Perform(step) = self.checkout.next() else {
            return Vec::new();
        };
        let missing = |op: &Op| self.outcomes.get(usize::from(op.index)).is_some_and(Option::is_none);
        step.effects.into_iter().filter(|(op, _)| missing(op)).collect()
    }

    /// Takes an outcome. The outcomes of a step may come in any order.
    ///
    /// # Errors
    /// [`Impossible`] when it does not fit its effect, or names one that never was. Nothing has changed then.
    pub fn record(&mut self, op: &Op, outcome: Outcome) -> Result<Recorded, Impossible> {
        let stray = || Impossible::Stray { op: op.clone() };
        if op.checkout != *self.checkout.id() || op.step > self.checkout.step() {
            return Err(stray());
        }
        if op.step < self.checkout.step() || self.ending().is_some() {
            return Ok(Recorded::Stale);
        }
        let index = usize::from(op.index);
        let place = self.outcomes.get_mut(index).ok_or_else(stray)?;
        if place.is_some() {
            return Ok(Recorded::Stale);
        }
        if !self.checkout.fits(index, &outcome) {
            return Err(Impossible::Kind { op: op.clone() });
        }
        *place = Some(outcome);
        if self.outcomes.iter().any(Option::is_none) {
            return Ok(Recorded::Waiting);
        }
        let outcomes = std::mem::take(&mut self.outcomes).into_iter().flatten().collect();
        let performed = Performed::new(outcomes, self.cancel);
        let settled = self.checkout.settle(&performed);
        if settled.is_err() {
            self.outcomes.extend(performed.outcomes.into_iter().map(Some));
            self.outcomes[index] = None;
        }
        settled?;
        self.begin_step();
        Ok(Recorded::Step)
    }

    /// How often the gateway was asked for what this checkout is at, and gave no answer.
    #[must_use]
    pub fn failed_attempts(&self) -> u32 {
        match self.checkout.stage() {
            Stage::Authorising { pace, .. } | Stage::Capturing { pace, .. } | Stage::Undoing { pace, .. } => {
                pace.unknown
            }
            Stage::Holding | Stage::Confirming { .. } | Stage::Notifying { .. } | Stage::Ended(_) => 0,
        }
    }

    /// The outcomes by which an operator's word takes the place of the gateway's, to be [recorded](CheckoutProgress::record) in this order. Only
    /// for what has been asked in vain, and is asked without an end: a capture, or a void. Changes nothing itself.
    ///
    /// # Errors
    /// [`NotInVain`].
    pub fn resolve(&self, resolution: &Resolution, now: Timestamp) -> Result<Vec<(Op, Outcome)>, NotInVain> {
        // Before the seats are back a void is asked for beside them. An authorisation ends by itself.
        let is_asked_for_ever =
            matches!(self.checkout.stage(), Stage::Capturing { .. } | Stage::Undoing { revoke: false, .. });
        if self.failed_attempts() == 0 || !is_asked_for_ever {
            return Err(NotInVain);
        }
        let (mut outcomes, mut then) = (Vec::new(), self.clone());
        if let [(op, Effect::Sleep(_))] = &self.pending()[..] {
            let slept = (op.clone(), Outcome::Slept { at: now });
            let _step = then.record(&slept.0, slept.1.clone()).map_err(|_| NotInVain)?;
            outcomes.push(slept);
        }
        let said = then.pending().into_iter().find_map(|(op, effect)| match effect {
            Effect::Pay(payment) => Some((op, Outcome::Paid(resolution.answers(&payment)?))),
            Effect::Line(..) | Effect::Sleep(_) | Effect::Notify(_) => None,
        });
        outcomes.push(said.ok_or(NotInVain)?);
        Ok(outcomes)
    }

    /// Whether this is how it is already, so that nothing is left to resolve: for a word that comes again.
    #[must_use]
    pub fn is_resolved(&self, resolution: &Resolution) -> bool {
        match (resolution, self.told()) {
            (Resolution::Captured(is), Some(Ending::Completed { payment, .. })) => payment.as_ref() == Some(is),
            (Resolution::Captured(is), None) => {
                matches!(self.checkout.stage(), Stage::Notifying { payment, .. } if payment.as_ref() == Some(is))
            }
            (Resolution::Refused(_), _) => matches!(
                self.checkout.stage(),
                Stage::Undoing { failure: Failure::CaptureRefused(_), .. }
                    | Stage::Ended(Ending::Failed { failure: Failure::CaptureRefused(_), .. })
            ),
            (Resolution::LetGo, _) => {
                matches!(self.ending(), Some(Ending::Failed { money: MoneyState::None, .. }))
            }
            (Resolution::PaidBack, _) => {
                matches!(self.ending(), Some(Ending::Failed { money: MoneyState::PaidBack, .. }))
            }
            (Resolution::Captured(_), Some(Ending::Failed { .. })) => false,
        }
    }

    /// Cancels from outside: at the end of the current step the checkout turns back. Asking twice is asking once.
    ///
    /// # Errors
    /// [`CancelRefusal`] once capture has been asked for, or when it is over.
    pub fn cancel(&mut self) -> Result<(), CancelRefusal> {
        use crate::checkout::Stage::{Authorising, Capturing, Confirming, Ended, Holding, Notifying, Undoing};
        match self.checkout.stage() {
            Holding | Authorising { .. } | Confirming { .. } => {
                self.cancel = true;
                Ok(())
            }
            Undoing { .. } => Ok(()),
            Capturing { .. } | Notifying { .. } => Err(CancelRefusal::CaptureAsked),
            Ended(_) => Err(CancelRefusal::Ended),
        }
    }
}
