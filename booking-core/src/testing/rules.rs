//! What a world runs by: the machines as they are, or something a test tries in their place.

use std::fmt;

use crate::checkout::Checkout;
use crate::effect::{Effect, Op, Outcome};
use crate::machine::{Machine, Transition};
use crate::payment::{Ledger, Payment};
use crate::running::Running;
use crate::seat_map::{SeatMap, SeatMapCommand};
use crate::ticket::{Ticket, TicketCommand, TicketRefusal, Timer};
use crate::time::Timestamp;

/// Every place at which a world asks a machine, or does what is a host's to do. What is not overridden is as it should
/// be, so wrong rules say in a few lines what is wrong about them; rules of your own say what is other.
pub trait Rules: fmt::Debug + Sync {
    /// How a ticket judges.
    ///
    /// # Errors
    /// Its refusal.
    fn ticket(
        &self,
        ticket: &Ticket,
        command: &TicketCommand,
        now: Timestamp,
    ) -> Result<Transition<Ticket>, TicketRefusal> {
        ticket.decide(command, now)
    }

    /// What a map makes of what it is told.
    fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand) -> Transition<SeatMap> {
        map.decide(command, Timestamp::default()).expect("a map refuses nothing")
    }

    /// What the gateway answers.
    fn gateway(&self, ledger: &Ledger, command: &Payment) -> Transition<Ledger> {
        ledger.decide(command, Timestamp::default()).expect("whatever is asked has an answer")
    }

    /// What a host sends when a checkout asks for an effect; `attempt` counts crashes of that checkout so far.
    fn effect(&self, _running: &Running, _op: &Op, effect: Effect, _attempt: u8, _now: Timestamp) -> Effect {
        effect
    }

    /// What a host records when an outcome comes; nothing where it asks again. `attempt` as in [`Rules::effect`].
    fn outcome(&self, _running: &Running, _op: &Op, outcome: Outcome, _attempt: u8) -> Option<Outcome> {
        Some(outcome)
    }

    /// What a host goes on with after a crash; `crashes` counts them, this one among them.
    fn recover(&self, stored: &Running, _start: &Checkout, _crashes: u8) -> Running {
        stored.clone()
    }

    /// Whether the notices of a turn outlive a crash that comes right after its ticket was stored.
    fn keeps_notices(&self) -> bool {
        true
    }

    /// Arms a timer of a ticket beside those that are armed for it.
    fn arm(&self, armed: &mut Vec<Timer>, timer: Timer) {
        if !armed.contains(&timer) {
            armed.push(timer);
        }
    }

    /// What a timer sends when it fires.
    fn fire(&self, timer: Timer) -> TicketCommand {
        TicketCommand::Expire { hold: timer.hold, until: timer.until }
    }
}

/// The rules as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sound;

impl Rules for Sound {}
