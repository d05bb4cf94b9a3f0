//! Who watches a world: how closely it is looked at, and what is seen in it.

use std::hash::BuildHasherDefault;

use super::World;
use crate::checkout::{Ending, Failure, Stage};
use crate::ids::TicketId;
use crate::invariants::Decision;
use crate::map::ticket::{Hold, TicketCommand, TicketRefusal};
use crate::map::{SeatMap, SeatMapCommand};
use crate::testing::coverage::{Coverage, CoveragePoint};
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
    pub coverage: Coverage,
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
    pub fn thorough_once() -> Self {
        Self { thorough: true, judged: Some(Prints::default()), ..Self::default() }
    }
}

impl World {
    pub(super) fn see_turn(
        &self,
        before: &SeatMap,
        command: &SeatMapCommand,
        now: Timestamp,
        decision: &Decision,
        after: &SeatMap,
        watch: &mut Watch,
    ) {
        let coverage = &mut watch.coverage;
        if now < before.header().at {
            coverage.hit(CoveragePoint::ClockBehind);
        }
        let refused = decision.as_ref().err().map(|refusal| refusal.why);
        let run = |checkout| self.run_of(checkout).and_then(|run| self.runs[run].as_ref());
        let is_on_sale =
            |id: &TicketId| after.ticket(id).is_none_or(|it| it.state.hold().is_none() && it.state.sale().is_none());
        let ends = |id: &TicketId| before.ticket(id).and_then(|ticket| ticket.state.hold()).map(Hold::end);
        coverage.hit_if(command.seats().iter().any(|id| ends(id) == Some(now)), CoveragePoint::AtTheEnd);
        for (id, ticket) in before.tickets() {
            let claim = ticket.state.hold().and_then(Hold::claim);
            let killed = || claim.and_then(|claim| run(&claim.checkout)).is_some_and(|run| run.killed);
            coverage.hit_if(is_on_sale(id) && killed(), CoveragePoint::LapsedAfterKill);
        }
        match command {
            SeatMapCommand::Expire { due } => {
                coverage.hit_if(before.header().armed != Some(*due), CoveragePoint::StaleTimer);
                coverage.hit_if(*due > now && after.header().armed == Some(*due), CoveragePoint::EarlyTimer);
            }
            SeatMapCommand::Publish { .. } => {
                coverage.hit_if(refused.is_some(), CoveragePoint::LayoutRefused);
                let held = after.tickets().any(|(_, ticket)| ticket.state.hold().is_some());
                coverage.hit_if(refused.is_none() && held, CoveragePoint::LayoutWhileHeld);
            }
            SeatMapCommand::List { .. } | SeatMapCommand::ResetAll | SeatMapCommand::Erase { .. } => {}
            SeatMapCommand::Seats { seats, command } => {
                coverage
                    .hit_if(matches!(refused, Some(TicketRefusal::StaleEdition { .. })), CoveragePoint::StaleEdition);
                coverage.hit_if(matches!(refused, Some(TicketRefusal::Overtaken { .. })), CoveragePoint::Overtaken);
                let refuses =
                    |id: &TicketId| decision.as_ref().err().is_some_and(|why| why.ticket.as_ref() == Some(id));
                let later = seats.as_slice().iter().skip(1).any(refuses);
                coverage.hit_if(later, CoveragePoint::LaterSeatRefuses);
                if let TicketCommand::Claim(claim) = command {
                    let ended = before.ended().any(|(checkout, _)| *checkout == claim.checkout);
                    coverage.hit_if(ended && refused == Some(TicketRefusal::HoldExpired), CoveragePoint::RevokeFirst);
                    let ending = run(&claim.checkout).and_then(|run| run.running.ending());
                    coverage.hit_if(
                        decision.is_ok() && matches!(ending, Some(Ending::Failed { .. })),
                        CoveragePoint::Forgotten,
                    );
                }
                let TicketCommand::Revoke { checkout, .. } = command else { return };
                let stage = run(checkout).map(|run| run.running.checkout().stage());
                let confirm_refused = matches!(stage, Some(Stage::Undoing { failure: Failure::ConfirmRefused(_), .. }));
                for id in seats.as_slice() {
                    let (was, is) = (before.ticket(id).map(|it| &it.state), after.ticket(id).map(|it| &it.state));
                    let was_sold = was.is_some_and(|it| it.sale().is_some());
                    let sale_gone = was_sold && is.is_none_or(|it| it.sale().is_none());
                    coverage.hit_if(confirm_refused && sale_gone, CoveragePoint::PartialConfirm);
                    let claimed = was_sold || was.and_then(|it| it.hold()).and_then(Hold::claim).is_some();
                    let held = is.and_then(|it| it.hold()).is_some_and(|hold| hold.claim().is_none());
                    coverage.hit_if(claimed && held, CoveragePoint::HoldKept);
                }
            }
        }
    }

    /// A checkout has gone on, from its way back if so.
    pub(super) fn see_step(&self, index: usize, undoing: bool, watch: &mut Watch) {
        let Some(run) = &self.runs[index] else { return };
        let checkout = run.running.checkout();
        let voided = || self.ledger.account(&run.authorize_key).is_some_and(|account| account.voided);
        let lapsed = [TicketRefusal::HoldExpired, TicketRefusal::HoldNotFound];
        let sight = match checkout.stage() {
            Stage::Undoing { failure, .. } if !undoing => match failure {
                Failure::HoldRefused(refusal) if refusal.why == TicketRefusal::HoldExpired => {
                    Some(CoveragePoint::ExpiredBeforePay)
                }
                Failure::PaymentDeclined(_) => Some(CoveragePoint::Declined),
                Failure::CaptureRefused(_) => Some(CoveragePoint::CaptureDeclined),
                Failure::PaymentUnavailable => Some(CoveragePoint::RetriesExhausted),
                Failure::ConfirmRefused(refusal)
                    if lapsed.contains(&refusal.why) && self.now >= checkout.deadline() =>
                {
                    Some(CoveragePoint::ExpiredDuringPay)
                }
                Failure::Cancelled => Some(CoveragePoint::Cancelled),
                Failure::HoldRefused(_) | Failure::NoAmount(_) | Failure::ConfirmRefused(_) => None,
            },
            Stage::Ended(Ending::Failed { failure: Failure::ConfirmRefused(_), .. }) if voided() => {
                Some(CoveragePoint::ConfirmRefusedThenVoid)
            }
            Stage::Holding
            | Stage::Authorising { .. }
            | Stage::Confirming { .. }
            | Stage::Capturing { .. }
            | Stage::Notifying { .. }
            | Stage::Undoing { .. }
            | Stage::Ended(_) => None,
        };
        sight.into_iter().for_each(|sight| watch.coverage.hit(sight));
    }
}
