//! How the outcomes of a step lead on: the forward column and the undo table of the specification (§4).
//!
//! Every function here is given outcomes of the right count and answers with the next stage, or with the index of the
//! first outcome that is not of its effect's kind.

#![allow(clippy::wildcard_enum_match_arm, reason = "an outcome of another kind is one case, whichever kind it is")]

use super::{Checkout, Ending, Failure, NoAmount, Pace, Stage};
use crate::effect::Outcome;
use crate::ids::{AuthorizationId, TicketId};
use crate::money::{Money, MoneyError};
use crate::payment::{AuthorizeAnswer, CaptureAnswer, VoidAnswer};
use crate::ticket::{TicketRefusal, TicketReply};

impl Checkout {
    /// The stage after the outcomes of a step; or the index of the first that is not of its effect's kind.
    pub(super) fn after(&self, outcomes: &[Outcome]) -> Result<Stage, usize> {
        Ok(match (&self.stage, outcomes) {
            (Stage::Holding, _) => self.held(outcomes)?,
            (Stage::Authorising { fences, amount, pace }, [outcome]) => {
                self.asked_to_authorise(fences, *amount, *pace, outcome).ok_or(0_usize)?
            }
            (Stage::Confirming { amount, authorization, .. }, _) => match self.first_refusal(outcomes)? {
                None => {
                    let (authorization, pace) = (authorization.clone(), Pace::default());
                    Stage::Capturing { amount: *amount, authorization, pace }
                }
                Some((ticket, refusal)) => undoing(Failure::ConfirmRefused { ticket, refusal }, true),
            },
            (Stage::Capturing { amount, authorization, pace }, [outcome]) => {
                asked_to_capture(*amount, authorization, *pace, outcome).ok_or(0_usize)?
            }
            (Stage::Notifying { amount, payment }, [Outcome::Notified]) => {
                Stage::Ended(Ending::Completed { amount: *amount, payment: payment.clone() })
            }
            (Stage::Undoing { failure, revoke, void, pace }, [Outcome::Slept { .. }]) if pace.waiting => {
                Stage::Undoing { failure: failure.clone(), revoke: *revoke, void: *void, pace: pace.waited() }
            }
            (Stage::Undoing { failure, pace, .. }, _) if !pace.waiting => match undone(outcomes)? {
                VoidAnswer::Voided => Stage::Ended(Ending::Failed(failure.clone())),
                VoidAnswer::Unavailable => {
                    Stage::Undoing { failure: failure.clone(), revoke: false, void: true, pace: pace.again() }
                }
            },
            _ => return Err(0),
        })
    }

    /// After asking for the authorisation, or waiting to ask again; `None` where the outcome is of neither.
    fn asked_to_authorise(&self, fences: &[u64], amount: Money, pace: Pace, outcome: &Outcome) -> Option<Stage> {
        let fences = || fences.to_vec();
        Some(match outcome {
            Outcome::Slept { at } if pace.waiting && *at < self.deadline => {
                Stage::Authorising { fences: fences(), amount, pace: pace.waited() }
            }
            Outcome::Slept { .. } if pace.waiting => undoing(Failure::PaymentUnavailable, true),
            Outcome::Authorized(answer) if !pace.waiting => match answer {
                AuthorizeAnswer::Authorized(authorization) => {
                    Stage::Confirming { fences: fences(), amount, authorization: authorization.clone() }
                }
                AuthorizeAnswer::Declined(reason) => undoing(Failure::PaymentDeclined(reason.clone()), true),
                AuthorizeAnswer::Unavailable if pace.again().unknown < self.authorize_retry.attempts => {
                    Stage::Authorising { fences: fences(), amount, pace: pace.again() }
                }
                AuthorizeAnswer::Unavailable | AuthorizeAnswer::KeyReused => undoing(Failure::PaymentUnavailable, true),
            },
            _ => return None,
        })
    }

    /// Every ticket held: on to the payment, of the sum of their prices.
    fn held(&self, outcomes: &[Outcome]) -> Result<Stage, usize> {
        let mut fences = Vec::with_capacity(outcomes.len());
        let mut sum: Option<Result<Money, MoneyError>> = None;
        let mut refused = None;
        for (i, (ticket, outcome)) in self.order.tickets.iter().zip(outcomes).enumerate() {
            match outcome {
                Outcome::Ticket(Ok(TicketReply::Claimed { fence, price })) => {
                    fences.push(*fence);
                    sum = Some(sum.map_or(Ok(*price), |sum| sum.and_then(|sum| sum.plus(*price))));
                }
                Outcome::Ticket(Err(refusal)) => {
                    refused.get_or_insert(Failure::HoldRefused { ticket: ticket.clone(), refusal: *refusal });
                }
                _ => return Err(i),
            }
        }
        Ok(match (refused, sum) {
            (Some(failure), _) => undoing(failure, false),
            (None, Some(Ok(amount))) => Stage::Authorising { fences, amount, pace: Pace::default() },
            (None, Some(Err(MoneyError::MixedCurrencies))) => {
                undoing(Failure::NoAmount(NoAmount::MixedCurrencies), false)
            }
            (None, Some(Err(MoneyError::TooMuch)) | None) => undoing(Failure::NoAmount(NoAmount::TooMuch), false),
        })
    }

    /// The first ticket, in the buyer's order, that refused.
    fn first_refusal(&self, outcomes: &[Outcome]) -> Result<Option<(TicketId, TicketRefusal)>, usize> {
        let mut first = None;
        for (i, (ticket, outcome)) in self.order.tickets.iter().zip(outcomes).enumerate() {
            match outcome {
                Outcome::Ticket(Ok(TicketReply::Done)) => {}
                Outcome::Ticket(Err(refusal)) => {
                    first.get_or_insert_with(|| (ticket.clone(), *refusal));
                }
                _ => return Err(i),
            }
        }
        Ok(first)
    }
}

/// After asking for the capture, or waiting to ask again; `None` where the outcome is of neither.
fn asked_to_capture(amount: Money, authorization: &AuthorizationId, pace: Pace, outcome: &Outcome) -> Option<Stage> {
    let authorization = || authorization.clone();
    Some(match outcome {
        Outcome::Slept { .. } if pace.waiting => {
            Stage::Capturing { amount, authorization: authorization(), pace: pace.waited() }
        }
        Outcome::Captured(answer) if !pace.waiting => match answer {
            CaptureAnswer::Captured(payment) => Stage::Notifying { amount, payment: payment.clone() },
            CaptureAnswer::Declined(reason) => undoing(Failure::PaymentDeclined(reason.clone()), true),
            CaptureAnswer::Unavailable => {
                Stage::Capturing { amount, authorization: authorization(), pace: pace.again() }
            }
        },
        _ => return None,
    })
}

fn undoing(failure: Failure, void: bool) -> Stage {
    Stage::Undoing { failure, revoke: true, void, pace: Pace::default() }
}

/// A step of the way back: every revoke was answered; the void too, or else it is to be asked for again.
fn undone(outcomes: &[Outcome]) -> Result<VoidAnswer, usize> {
    let mut void = VoidAnswer::Voided;
    for (i, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Outcome::Ticket(Ok(TicketReply::Done)) => {}
            Outcome::Voided(answer) => void = *answer,
            _ => return Err(i),
        }
    }
    Ok(void)
}

/// Where a cancel leads from the stage that the step would have led to: on the way back, until capture was asked for.
pub(super) fn cancelled(stage: Stage) -> Stage {
    match stage {
        Stage::Authorising { pace, .. } => undoing(Failure::Cancelled, pace.unknown > 0),
        Stage::Confirming { .. } => undoing(Failure::Cancelled, true),
        Stage::Capturing { pace, .. } if pace == Pace::default() => undoing(Failure::Cancelled, true),
        Stage::Holding
        | Stage::Capturing { .. }
        | Stage::Notifying { .. }
        | Stage::Undoing { .. }
        | Stage::Ended(_) => stage,
    }
}
