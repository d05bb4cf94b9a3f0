//! What becomes of each error of the core on this host.
//!
//! | error | whose move | here |
//! | --- | --- | --- |
//! | a refusal | the caller's | answered with its kind, see [`booking_core::wire`] |
//! | [`Impossible`] | a person's | said once as [`Output::Alarm`](crate::Output::Alarm); the checkout stays as it was |
//! | a store that cannot write | the host's | nothing more leaves; every request is answered `StorageUnavailable` |

use std::convert::Infallible;

use booking_core::checkout::Impossible;

/// An outcome that cannot be: the checkout is left as it was, and a person is told.
pub(crate) fn impossible(why: &Impossible) -> String {
    format!("an outcome was not taken: {why}")
}

/// Maps and the mock gateway refuse nothing.
pub(crate) fn never<T>(outcome: Result<T, Infallible>) -> T {
    match outcome {
        Ok(reply) => reply,
        Err(never) => match never {},
    }
}
