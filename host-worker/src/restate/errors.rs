//! What becomes of each error of the core on Restate.
//!
//! | error | whose move | here |
//! | --- | --- | --- |
//! | a refusal | the caller's | terminal, with its status; the message ends in its kind, in brackets |
//! | [`FormatError`], [`Impossible`] | a person's | retried, then paused: state and journal stay as they are |
//! | a cancel | an operator's | the checkout's, at the end of its step: see [`super::journal`] |
//! | the gateway does not answer | nobody's yet | an outcome like any other |

use booking_core::checkout::Impossible;
use booking_core::format::FormatError;
use booking_core::wire::Refusal;
use booking_hosting::restate::refusal_text;
use restate_endpoint::{Stop, Terminal};

/// A refusal: the end of this invocation, and nothing to retry.
pub(super) fn refused(refusal: &Refusal) -> Stop {
    Terminal::new(refusal.kind.status(), refusal_text(refusal)).into()
}

/// A stored form that this build cannot read: retried, until a build comes that can.
pub(super) fn unreadable(why: FormatError) -> Stop {
    Stop::Retry(why.to_string())
}

/// Why a step could not be performed.
pub(super) enum Stopped {
    /// The journal is not this checkout's, or a ticket answered what no ticket answers.
    Impossible(Impossible),
    /// The invocation does not go on.
    By(Stop),
}

impl From<Impossible> for Stopped {
    fn from(why: Impossible) -> Self {
        Self::Impossible(why)
    }
}

impl From<Stop> for Stopped {
    fn from(stop: Stop) -> Self {
        Self::By(stop)
    }
}

impl From<Stopped> for Stop {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Impossible(why) => Self::Retry(why.to_string()),
            Stopped::By(stop) => stop,
        }
    }
}
