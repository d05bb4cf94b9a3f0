//! What an invitation to one booking means (SPEC §6): which checkouts it may lead to, and when there is room for the next one. That the
//! checkouts have names which only the invitation leads to is its host's doing; such a name is that of an [idempotency key](super::Key).
//!
//! ```
//! use booking_core::life::invitation::{TRIES, has_failed, is_taken};
//! use booking_core::wire::{Answer, Kind, answer};
//!
//! // Another order has gone under the first key, and it has failed: so this one goes under the second.
//! assert!(is_taken(&answer::refusal(&Kind::IdempotencyKeyReused.into())));
//! let failed = r#"{"status":"FAILED","kind":"PaymentDeclined"}"#;
//! assert_eq!(has_failed(&Answer { status: 200, body: failed.into(), kind: None }), Ok(()));
//! assert!(TRIES > 1);
//! ```

use super::{Digest, Key};
use crate::ids::CheckoutId;
use crate::wire::search::BookingStatus;
use crate::wire::{Answer, Kind, answer};

/// How many checkouts one invitation may lead to, of which all but the last have failed.
pub const TRIES: u8 = 10;

/// The checkout that is started under this key.
#[must_use]
pub fn checkout(tried: &Key) -> CheckoutId {
    let Digest(scope) = tried.scope;
    CheckoutId::from_random(u128::from_be_bytes(scope))
}

/// Whether an order is answered so because another one was started under its key.
#[must_use]
pub fn is_taken(said: &Answer) -> bool {
    said.kind == Some(Kind::IdempotencyKeyReused)
}

/// Whether the next checkout may begin, where this is what is said of how the last one stands.
///
/// # Errors
/// `InvitationUsed` where it has not failed; else why it is not known.
pub fn has_failed(said: &Answer) -> Result<(), Kind> {
    match (answer::stands(said), said.kind) {
        (Some(BookingStatus::Failed), _) => Ok(()),
        (Some(BookingStatus::Pending | BookingStatus::Confirmed), _) | (None, Some(Kind::NotFound)) => {
            Err(Kind::InvitationUsed)
        }
        (None, kind) => Err(kind.unwrap_or(Kind::StorageUnavailable)),
    }
}
