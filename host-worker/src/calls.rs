//! What is sent to an object. While a new build takes over, both builds send: a test, which has this file as its own, compares it with
//! what each release has sent.

use booking_core::checkout::Order;
use booking_core::life::Key;
use booking_core::wire::Operation;
use serde::{Deserialize, Serialize};

/// A call for an object. It is the same if it comes again.
#[derive(Serialize, Deserialize)]
pub(crate) struct Asked<C> {
    /// What is asked.
    pub(crate) call: C,
    /// The idempotency key that it came with.
    pub(crate) key: Option<Key>,
}

/// What a checkout is asked.
#[derive(Serialize, Deserialize)]
pub(crate) enum CheckoutCall {
    /// Start, and answer at the end.
    Process(Order),
    /// Start, and answer at once.
    Send(Order),
    /// How it stands.
    Status,
    /// An operator does something about it.
    Operate(Operation),
    /// Continue, and say again how it ended: nothing has been heard of that.
    Revive,
}
