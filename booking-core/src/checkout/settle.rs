//! How the outcomes of a step lead on: the forward column and the undo table of the specification (§4).
//!
//! Nothing here is asked before [`Checkout::fits`] has found every outcome to be of its effect's kind.

#![allow(clippy::wildcard_enum_match_arm, reason = "an outcome of another kind is one case, whichever kind it is")]

use super::{Checkout, Ending, Failure, MoneyState, NoAmount, Pace, Stage, VoidBy};
use crate::effect::Outcome;
use crate::ids::AuthorizationId;
use crate::inventory::LineReply;
use crate::map::SeatMapRefusal;
use crate::money::{Money, MoneyError};
use crate::payment::{AuthorizeAnswer, CaptureAnswer, PaymentAnswer, VoidAnswer};

impl Checkout {
    /// Whether an outcome is of the kind of the effect at this place in the current step.
    pub(crate) fn fits(&self, index: usize, outcome: &Outcome) -> bool {
        let waiting = self.is_waiting();
        match (&self.stage, outcome) {
            (_, Outcome::Slept { .. }) => waiting,
            (Stage::Holding, Outcome::Line(answer)) => matches!(answer, Ok(LineReply::Claimed { .. }) | Err(_)),
            (Stage::Authorising { .. }, Outcome::Paid(PaymentAnswer::Authorize(_))) => !waiting,
            (Stage::Confirming { .. }, Outcome::Line(answer)) => matches!(answer, Ok(LineReply::Done) | Err(_)),
            (Stage::Capturing { .. }, Outcome::Paid(PaymentAnswer::Capture(_))) => !waiting,
            (Stage::Notifying { .. }, Outcome::Notified) => true,
            (Stage::Undoing { .. }, Outcome::Paid(PaymentAnswer::Void(_))) => !waiting && self.void_at() == Some(index),
            // None of the saga's undos can be refused.
            (Stage::Undoing { .. }, Outcome::Line(answer)) => {
                !waiting && self.void_at() != Some(index) && *answer == Ok(LineReply::Done)
            }
            _ => false,
        }
    }

    /// The stage after the outcomes of a step, all of which fit; `None` where that was not looked at before.
    pub(super) fn after(&self, outcomes: &[Outcome]) -> Option<Stage> {
        match (&self.stage, outcomes) {
            (Stage::Holding, _) => self.held(outcomes),
            (Stage::Authorising { fences, amount, pace }, [outcome]) => {
                self.asked_to_authorise(fences, *amount, *pace, outcome)
            }
            (Stage::Confirming { amount, authorization, .. }, _) => {
                let amount = *amount;
                Some(match (first_refusal(outcomes), authorization.clone()) {
                    (None, Some(authorization)) => Stage::Capturing { amount, authorization, pace: Pace::default() },
                    (None, None) => Stage::Notifying { amount, payment: None },
                    (Some(refusal), authorization) => {
                        undoing(Failure::ConfirmRefused(refusal), let_go_if(authorization.is_some()))
                    }
                })
            }
            (Stage::Capturing { amount, authorization, pace }, [outcome]) => {
                asked_to_capture(*amount, authorization, *pace, outcome)
            }
            (Stage::Notifying { amount, payment }, [Outcome::Notified]) => {
                Some(Stage::Ended(Ending::Completed { amount: *amount, payment: payment.clone() }))
            }
            (Stage::Undoing { failure, revoke, void, pace }, _) => {
                let (failure, void) = (failure.clone(), *void);
                let voided = outcomes.iter().find_map(|outcome| match outcome {
                    Outcome::Paid(PaymentAnswer::Void(answer)) => Some(*answer),
                    _ => None,
                });
                Some(match (outcomes, voided) {
                    ([Outcome::Slept { .. }], _) => {
                        Stage::Undoing { failure, revoke: *revoke, void, pace: pace.waited() }
                    }
                    (_, Some(VoidAnswer::Unavailable)) => {
                        Stage::Undoing { failure, revoke: false, void, pace: pace.again() }
                    }
                    (_, Some(VoidAnswer::Voided)) => Stage::Ended(Ending::Failed { failure, money: MoneyState::None }),
                    (_, Some(VoidAnswer::PaidBack)) => {
                        Stage::Ended(Ending::Failed { failure, money: MoneyState::PaidBack })
                    }
                    (_, None) => {
                        let money = money_until_answered(&failure, void);
                        Stage::Ended(Ending::Failed { failure, money })
                    }
                })
            }
            _ => None,
        }
    }

    /// Every line held: on to the payment, of the sum of their prices.
    fn held(&self, outcomes: &[Outcome]) -> Option<Stage> {
        if let Some(refusal) = first_refusal(outcomes) {
            return Some(undoing(Failure::HoldRefused(refusal), VoidBy::Nothing));
        }
        let mut fences = Vec::with_capacity(outcomes.len());
        let mut sum: Option<Result<Money, MoneyError>> = None;
        for (line, outcome) in self.lines().iter().zip(outcomes) {
            let Outcome::Line(Ok(LineReply::Claimed { fence, prices })) = outcome else { return None };
            if prices.len() != line.seats.as_slice().len() {
                return None;
            }
            fences.push(*fence);
            for price in prices {
                sum = Some(sum.map_or(Ok(*price), |sum| sum?.plus(*price)));
            }
        }
        Some(match sum? {
            Ok(amount) if amount.minor() == 0 => Stage::Confirming { fences, amount, authorization: None },
            Ok(amount) => Stage::Authorising { fences, amount, pace: Pace::default() },
            Err(MoneyError::MixedCurrencies) => undoing(Failure::NoAmount(NoAmount::MixedCurrencies), VoidBy::Nothing),
            Err(MoneyError::TooMuch) => undoing(Failure::NoAmount(NoAmount::TooMuch), VoidBy::Nothing),
        })
    }

    /// After asking for the authorisation, or waiting to ask again.
    fn asked_to_authorise(&self, fences: &[u64], amount: Money, pace: Pace, outcome: &Outcome) -> Option<Stage> {
        let fences = || fences.to_vec();
        Some(match outcome {
            Outcome::Slept { at } if *at < self.deadline => {
                Stage::Authorising { fences: fences(), amount, pace: pace.waited() }
            }
            Outcome::Slept { .. } => undoing(Failure::PaymentUnavailable, VoidBy::Here),
            Outcome::Paid(PaymentAnswer::Authorize(answer)) => match answer {
                AuthorizeAnswer::Authorized(authorization) => {
                    Stage::Confirming { fences: fences(), amount, authorization: Some(authorization.clone()) }
                }
                AuthorizeAnswer::Declined(reason) => undoing(Failure::PaymentDeclined(reason.clone()), VoidBy::Here),
                AuthorizeAnswer::Unavailable if pace.again().unknown < self.authorize_retry.attempts => {
                    Stage::Authorising { fences: fences(), amount, pace: pace.again() }
                }
                AuthorizeAnswer::Unavailable | AuthorizeAnswer::KeyReused => {
                    undoing(Failure::PaymentUnavailable, VoidBy::Here)
                }
            },
            _ => return None,
        })
    }
}

/// The refusal of the first line, in the buyer's order, that refused.
fn first_refusal(outcomes: &[Outcome]) -> Option<SeatMapRefusal> {
    outcomes.iter().find_map(|outcome| match outcome {
        Outcome::Line(Err(refusal)) => Some(refusal.clone()),
        _ => None,
    })
}

/// After asking for the capture, or waiting to ask again.
fn asked_to_capture(amount: Money, authorization: &AuthorizationId, pace: Pace, outcome: &Outcome) -> Option<Stage> {
    let capturing = |pace| Stage::Capturing { amount, authorization: authorization.clone(), pace };
    Some(match outcome {
        Outcome::Slept { .. } => capturing(pace.waited()),
        Outcome::Paid(PaymentAnswer::Capture(answer)) => match answer {
            CaptureAnswer::Captured(payment) => Stage::Notifying { amount, payment: Some(payment.clone()) },
            CaptureAnswer::Declined(reason) => undoing(Failure::CaptureRefused(reason.clone()), VoidBy::Here),
            CaptureAnswer::Unavailable => capturing(pace.again()),
        },
        _ => return None,
    })
}

pub(super) fn undoing(failure: Failure, void: VoidBy) -> Stage {
    Stage::Undoing { failure, revoke: true, void, pace: Pace::default() }
}

fn let_go_if(asked: bool) -> VoidBy {
    if asked { VoidBy::Here } else { VoidBy::Nothing }
}

/// Where the money of a checkout on its way back is until a void is answered.
pub(super) fn money_until_answered(failure: &Failure, void: VoidBy) -> MoneyState {
    match (failure, void) {
        (Failure::PaymentDeclined(_), _) | (_, VoidBy::Nothing) => MoneyState::None,
        (_, VoidBy::Here | VoidBy::Elsewhere) => MoneyState::LettingGo,
    }
}

/// Where a cancel leads from the stage that the step would have led to: on the way back, until capture was asked for, or
/// until the buyer's message was, where there is nothing to capture.
pub(super) fn cancelled(stage: Stage) -> Stage {
    match stage {
        Stage::Authorising { pace, .. } => undoing(Failure::Cancelled, let_go_if(pace.unknown > 0)),
        Stage::Confirming { authorization, .. } => undoing(Failure::Cancelled, let_go_if(authorization.is_some())),
        Stage::Notifying { payment: None, .. } => undoing(Failure::Cancelled, VoidBy::Nothing),
        Stage::Capturing { pace, .. } if pace == Pace::default() => undoing(Failure::Cancelled, VoidBy::Here),
        Stage::Holding
        | Stage::Capturing { .. }
        | Stage::Notifying { payment: Some(_), .. }
        | Stage::Undoing { .. }
        | Stage::Ended(_) => stage,
    }
}
