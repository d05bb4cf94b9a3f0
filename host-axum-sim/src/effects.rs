//! Each effect of a checkout, on this host. Seat maps, waits and the mock gateway are inside the engine; real payments and
//! messages are asked of the driver.

use booking_core::effect::{Effect, Op, Outcome};
use booking_core::time::{Millis, Timestamp};

use crate::engine::{Due, Engine, Gateway, Output};
use crate::store::Course;

/// After how long a map is asked again that could not judge a command.
const AGAIN: Millis = Millis::from_mins(1);

impl Engine {
    /// Performs an effect: its outcome, or `None` where that comes later.
    pub(crate) fn perform(&mut self, course: &mut Course, op: &Op, effect: Effect, now: Timestamp) -> Option<Outcome> {
        match effect {
            Effect::Line(line, command) => {
                let answer = self.ask_line(&line, &command, now);
                if answer.is_none() {
                    self.at(now.plus(AGAIN), Due::AskAgain(op.checkout.clone()));
                }
                answer.map(Outcome::Line)
            }
            Effect::Sleep(length) => {
                // A wait that was stored ends when it would have ended; but no later than its length from now, as the clock may have been
                // ahead when it began.
                let until = now.plus(length);
                let wake = course.wake.map_or(until, |wake| wake.min(until));
                course.wake = Some(wake);
                self.at(wake, Due::Wake(op.checkout.clone()));
                None
            }
            // Handed over with the checkout itself: what becomes of it is the course's letter.
            Effect::Notify(_) => Some(Outcome::Notified),
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
