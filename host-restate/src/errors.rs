//! What becomes of each error of the core on Restate. No `?` lets one through by itself: what is not told to be the
//! end is asked again for ever.
//!
//! | error | whose move | here |
//! | --- | --- | --- |
//! | a refusal | the caller's | terminal, with its status; the message ends in its kind, in brackets |
//! | [`FormatError`](booking_core::format::FormatError), [`Impossible`] | a person's | retried, then paused: state and journal stay as they are |
//! | a cancel | an operator's | the checkout's, at the end of its step: see [`crate::journal`] |
//! | the gateway does not answer | nobody's yet | an outcome like any other |

use booking_core::checkout::Impossible;
use booking_core::wire::Refusal;
use booking_hosting::restate::refusal_text;
use restate_sdk::errors::{HandlerError, TerminalError};

/// The code that Restate ends an awaited operation with when its invocation, or the one that it waits for, is cancelled.
const CANCELLED: u16 = 409;

/// A refusal: the end of this invocation, and nothing to retry.
pub(crate) fn refused(refusal: &Refusal) -> HandlerError {
    TerminalError::new_with_code(refusal.kind.status(), refusal_text(refusal)).into()
}

/// Whether an awaited operation ended because somebody cancelled. No ticket answers like that: its refusals are answers.
pub(crate) fn is_cancel(error: &TerminalError) -> bool {
    error.code() == CANCELLED
}

/// Why a step could not be performed.
pub(crate) enum Stopped {
    /// The journal is not this checkout's, or a ticket answered what no ticket answers.
    Impossible(Impossible),
    /// Restate said so.
    By(HandlerError),
}

impl From<Impossible> for Stopped {
    fn from(why: Impossible) -> Self {
        Self::Impossible(why)
    }
}

impl From<Stopped> for HandlerError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Impossible(why) => why.into(),
            Stopped::By(error) => error,
        }
    }
}
