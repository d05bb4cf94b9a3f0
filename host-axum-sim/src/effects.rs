//! Each effect of a checkout, on this host. Seat maps and the mock gateway are inside the engine; real payments are asked of the
//! driver.

use booking_core::effect::{Effect, Op, Outcome};
use booking_core::time::{Millis, Timestamp};

use crate::engine::{Due, Engine, Gateway, Output};

/// After how long a map is asked again that could not judge a command.
const AGAIN: Millis = Millis::from_mins(1);

impl Engine {
    /// Performs an effect: its outcome, or `None` where that comes later.
    pub(crate) fn perform(&mut self, op: &Op, effect: Effect, now: Timestamp) -> Option<Outcome> {
        match effect {
            Effect::Line(line, command) => {
                let answer = self.ask_line(&line, &command, now);
                if answer.is_none() {
                    self.at(now.plus(AGAIN), Due::AskAgain(op.checkout.clone()));
                }
                answer.map(Outcome::Line)
            }
            // The record performs these by itself.
            Effect::Sleep(_) | Effect::Notify(_) => None,
            Effect::Pay(payment) => match self.settings().gateway {
                Gateway::Mock { delay: Millis(0) } => Some(Outcome::Paid(self.ask_gateway(&payment, now))),
                Gateway::Mock { delay } => {
                    self.at(now.plus(delay), Due::Pay(op.checkout.clone()));
                    None
                }
                Gateway::Outside => {
                    self.say(Output::Pay(op.clone(), payment));
                    None
                }
            },
        }
    }
}
