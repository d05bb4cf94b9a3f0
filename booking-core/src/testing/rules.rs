//! What a world runs by: the machines as they are, or something a test tries in their place.

use std::fmt;

use crate::checkout::{Checkout, Ending};
use crate::effect::{Effect, Op, Outcome};
use crate::invariants::Decision;
use crate::machine::{Machine, Transition};
use crate::map::{SeatMap, SeatMapCommand};
use crate::payment::{Ledger, Payment};
use crate::progress::CheckoutProgress;
use crate::time::Timestamp;

/// Every place at which a world asks a machine, or does what is a host's to do. What is not overridden is as it should
/// be, so wrong rules say in a few lines what is wrong about them; rules of your own say what is other.
pub trait Rules: fmt::Debug + Sync {
    /// How a map judges.
    ///
    /// # Errors
    /// Its refusal.
    fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
        map.decide(command, now)
    }

    /// What the gateway answers.
    fn gateway(&self, ledger: &Ledger, command: &Payment) -> Transition<Ledger> {
        ledger.decide(command, Timestamp::default()).expect("whatever is asked has an answer")
    }

    /// What a host sends when a checkout asks for an effect; `attempt` counts crashes of that checkout so far.
    fn effect(&self, _running: &CheckoutProgress, _op: &Op, effect: Effect, _attempt: u8, _now: Timestamp) -> Effect {
        effect
    }

    /// What a host records when an outcome comes; nothing where it asks again. `attempt` as in [`Rules::effect`].
    fn outcome(&self, _running: &CheckoutProgress, _op: &Op, outcome: Outcome, _attempt: u8) -> Option<Outcome> {
        Some(outcome)
    }

    /// What a host tells the buyer by now, if anything.
    fn told(&self, running: &CheckoutProgress) -> Option<Ending> {
        running.told()
    }

    /// What a host continues with after a crash; `crashes` counts them, this one among them.
    fn recover(&self, stored: &CheckoutProgress, _start: &Checkout, _crashes: u8) -> CheckoutProgress {
        stored.clone()
    }

    /// Whether the notices of a turn outlive a crash that comes right after its map was stored.
    fn keeps_notices(&self) -> bool {
        true
    }

    /// Arms a timer of a map beside those that are armed for it.
    fn arm(&self, armed: &mut Vec<Timestamp>, due: Timestamp) {
        if !armed.contains(&due) {
            armed.push(due);
        }
    }

    /// What a timer sends when it fires.
    fn fire(&self, due: Timestamp) -> SeatMapCommand {
        SeatMapCommand::Expire { due }
    }
}

/// The rules as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sound;

impl Rules for Sound {}
