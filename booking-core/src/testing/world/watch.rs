//! Who watches a world: how closely it is looked at, and what is seen in it.

use std::hash::BuildHasherDefault;

use super::World;
use crate::checkout::{Ending, Failure, Stage};
use crate::testing::sights::{Sight, Sights};
use crate::ticket::{EndedId, Hold, Ticket, TicketCommand, TicketRefusal, TicketReply};
use crate::time::Timestamp;

/// A hasher for keys that are prints already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AsIs(u64);

impl std::hash::Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("a print is one number");
    }
    fn write_u128(&mut self, print: u128) {
        self.0 = u64::try_from(print >> 64).expect("the upper half of it");
    }
}

/// Prints that were met before.
#[allow(clippy::disallowed_types, reason = "nobody asks it for an order")]
pub(crate) type Prints = std::collections::HashSet<u128, BuildHasherDefault<AsIs>>;

/// Who watches a world: what was seen in it, and how closely it is looked at.
#[derive(Debug, Default)]
pub struct Watch {
    /// What was seen.
    pub sights: Sights,
    /// Whether each judgement is looked at from all sides; without, [`check_turn_quickly`](crate::invariants::check_turn_quickly).
    pub thorough: bool,
    /// The judgements that were looked at before, where the same come again and again.
    pub(super) judged: Option<Prints>,
    /// What the last step has touched.
    pub(super) touched_tickets: u64,
    pub(super) touched_runs: u64,
}

impl Watch {
    /// One that looks at each judgement from all sides.
    #[must_use]
    pub fn thorough() -> Self {
        Self { thorough: true, ..Self::default() }
    }

    /// One that looks at each judgement from all sides, and at each only once: for searches, which meet the same ones
    /// again and again.
    #[must_use]
    pub fn once_each() -> Self {
        Self { thorough: true, judged: Some(Prints::default()), ..Self::default() }
    }
}

impl World {
    pub(super) fn see_turn(
        &self,
        before: &Ticket,
        command: &TicketCommand,
        now: Timestamp,
        outcome: &Result<TicketReply, TicketRefusal>,
        after: &Ticket,
        watch: &mut Watch,
    ) {
        let sights = &mut watch.sights;
        if now < before.at() {
            sights.see(Sight::ClockBehind);
        }
        if let Some(hold) = before.hold() {
            if hold.end() == now {
                sights.see(Sight::AtTheEnd);
            }
            let killed = || {
                let run = hold.claim().and_then(|claim| self.run_of(&claim.checkout));
                run.and_then(|run| self.runs[run].as_ref()).is_some_and(|run| run.killed)
            };
            if after.hold().is_none() && after.sale().is_none() && killed() {
                sights.see(Sight::LapsedAfterKill);
            }
        }
        match command {
            TicketCommand::Expire { hold, until } => {
                if after.hold().is_some_and(|held| held.id != *hold) {
                    sights.see(Sight::StaleTimer);
                }
                if *until > now && after.hold().is_some_and(|held| held.id == *hold && held.end() == *until) {
                    sights.see(Sight::EarlyTimer);
                }
            }
            TicketCommand::Claim { checkout, .. } => {
                let ended = || before.ended().ids().contains(&EndedId::Checkout(checkout.clone()));
                if *outcome == Err(TicketRefusal::HoldExpired) && ended() {
                    sights.see(Sight::RevokeFirst);
                }
                let over = || self.run_of(checkout).and_then(|run| self.runs[run].as_ref());
                if outcome.is_ok() && over().is_some_and(|run| matches!(run.running.ending(), Some(Ending::Failed(_))))
                {
                    sights.see(Sight::Forgotten);
                }
            }
            TicketCommand::Revoke { checkout, .. } => {
                let run = self.run_of(checkout).and_then(|run| self.runs[run].as_ref());
                let stage = run.map(|run| run.running.checkout().stage());
                let refused = matches!(stage, Some(Stage::Undoing { failure: Failure::ConfirmRefused(_), .. }));
                if refused && before.sale().is_some() && after.sale().is_none() {
                    sights.see(Sight::PartialConfirm);
                }
                let claimed = before.hold().and_then(Hold::claim).is_some() || before.sale().is_some();
                if claimed && after.hold().is_some_and(|hold| hold.claim().is_none()) {
                    sights.see(Sight::HoldKept);
                }
            }
            TicketCommand::Reserve { .. }
            | TicketCommand::Confirm { .. }
            | TicketCommand::Release { .. }
            | TicketCommand::Block { .. }
            | TicketCommand::Unblock
            | TicketCommand::List { .. }
            | TicketCommand::Sell { .. }
            | TicketCommand::Reset { .. }
            | TicketCommand::Cleanup => {}
        }
    }

    /// A checkout has gone on, from a capture or from its way back if so.
    pub(super) fn see_step(&self, index: usize, capturing: bool, undoing: bool, watch: &mut Watch) {
        let Some(run) = &self.runs[index] else { return };
        let checkout = run.running.checkout();
        let voided = || self.ledger.account(&run.authorize_key).is_some_and(|account| account.voided);
        let lapsed = [TicketRefusal::HoldExpired, TicketRefusal::HoldNotFound];
        let sight = match checkout.stage() {
            Stage::Undoing { failure, .. } if !undoing => match failure {
                Failure::HoldRefused(refusal) if refusal.why == TicketRefusal::HoldExpired => {
                    Some(Sight::ExpiredBeforePay)
                }
                Failure::PaymentDeclined(_) if capturing => Some(Sight::CaptureDeclined),
                Failure::PaymentDeclined(_) => Some(Sight::Declined),
                Failure::PaymentUnavailable => Some(Sight::RetriesExhausted),
                Failure::ConfirmRefused(refusal)
                    if lapsed.contains(&refusal.why) && self.now >= checkout.deadline() =>
                {
                    Some(Sight::ExpiredDuringPay)
                }
                Failure::Cancelled => Some(Sight::Cancelled),
                Failure::HoldRefused(_) | Failure::NoAmount(_) | Failure::ConfirmRefused(_) => None,
            },
            Stage::Ended(Ending::Failed(Failure::ConfirmRefused(_))) if voided() => Some(Sight::ConfirmRefusedThenVoid),
            Stage::Holding
            | Stage::Authorising { .. }
            | Stage::Confirming { .. }
            | Stage::Capturing { .. }
            | Stage::Notifying { .. }
            | Stage::Undoing { .. }
            | Stage::Ended(_) => None,
        };
        sight.into_iter().for_each(|sight| watch.sights.see(sight));
    }
}
