//! What an engine is set to: the terms of sale, where payments go, and how much of anything it takes on.

use booking_core::terms::{Retry, Terms};
use booking_core::time::Millis;

/// An engine's settings. `Settings::default()` sells on the default terms, with the built-in mock gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Prices, times, retries.
    pub terms: Terms,
    /// Who is asked for money.
    pub gateway: Gateway,
    /// Who hears of a booking.
    pub notifier: Notifier,
    /// How long `process` makes its caller wait before it answers 202.
    pub answer_within: Millis,
    /// How long a finished checkout, an idempotency key and an account of the mock gateway are kept. The specification
    /// asks for 24 hours at least.
    pub keep_for: Millis,
    /// How much of anything there may be.
    pub limits: Limits,
}

impl Settings {
    /// How messages to buyers are tried again, where there is a notifier.
    pub(crate) fn notify(&self) -> Option<Retry> {
        match self.notifier {
            Notifier::Nobody => None,
            Notifier::Outside => Some(self.terms.notify_retry),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            terms: Terms::default(),
            gateway: Gateway::Mock { delay: Millis(500) },
            notifier: Notifier::Nobody,
            answer_within: Millis::from_secs(30),
            keep_for: Millis::from_mins(24 * 60),
            limits: Limits::default(),
        }
    }
}

/// Who is asked for money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// The core's mock, inside the engine: its ledger is kept with everything else.
    Mock {
        /// How long it takes to answer.
        delay: Millis,
    },
    /// An outside gateway: the host asks it for each [`super::Output::Pay`].
    Outside,
}

/// Who hears of a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notifier {
    /// Nobody: a booking's message counts as delivered.
    Nobody,
    /// An outside notifier: the host performs [`super::Output::Deliver`].
    Outside,
}

/// How much of anything there may be. What goes beyond is refused as `Overloaded`, before anything has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Tickets of which something is stored, and maps.
    pub tickets: usize,
    /// Checkouts under way.
    pub checkouts: usize,
    /// Bytes that finished checkouts, idempotency keys and accounts of the mock gateway may take, by an estimate that
    /// is on the high side. Each kind has a part of its own. No booking is forgotten before its time: at their limit new checkouts
    /// are refused. Of checkouts that sold nothing, and of keys of holds, the oldest is.
    pub kept_bytes: usize,
    /// Answers that wait for storage.
    pub unstored: usize,
    /// Bytes that do, about.
    pub unstored_bytes: usize,
    /// Live holds that one user may have of their own, refused as `RateLimited`; `None` for any number.
    pub holds_per_user: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tickets: 2_000_000,
            checkouts: 10_000,
            kept_bytes: 1 << 30,
            unstored: 10_000,
            unstored_bytes: 512 << 20,
            holds_per_user: None,
        }
    }
}
