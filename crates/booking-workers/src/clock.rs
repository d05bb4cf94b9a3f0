//! What time it is, and waiting.

use std::cell::Cell;
use std::time::Duration;

use booking_core::time::{Millis, Timestamp};

/// What time it is, as the platform shows it.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::from_millis(worker::Date::now().as_millis())
}

/// Waits a little while.
pub async fn pause(length: Millis) {
    worker::Delay::from(Duration::from_millis(length.0)).await;
}

/// A wait of half this length to all of it, by chance: of those who all wait because of one thing, not all come back at once.
#[must_use]
pub fn jittered(length: Millis) -> Millis {
    let mut chance = [0; 2];
    // Without chance they come back at once.
    let _without = getrandom::fill(&mut chance);
    let part = u64::from(u16::from_le_bytes(chance));
    Millis(length.0 / 2 + length.0.div_ceil(2) * part / u64::from(u16::MAX))
}

/// A clock that never goes back while its object is in memory. The platform's clock shows each request the time at which
/// that request last received something, so of two requests the later one may see the earlier time. A hold that a caller
/// has seen end would then be there again.
#[derive(Debug, Default)]
pub struct Clock(Cell<Timestamp>);

impl Clock {
    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.0.set(self.0.get().max(now()));
        self.0.get()
    }
}
