//! What time it is, and waiting.

use std::cell::Cell;
use std::time::Duration;

use booking_core::time::{Millis, Timestamp};

/// What time it is, as the platform shows it.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(worker::Date::now().as_millis())
}

/// Waits a little while.
pub(crate) async fn pause(length: Millis) {
    worker::Delay::from(Duration::from_millis(length.0)).await;
}

/// A clock that never goes back while its object is in memory. The platform's shows each request the time at which it
/// was last told something, so of two requests the later one may be shown the earlier time. A hold that somebody saw
/// gone would then be there again.
#[derive(Default)]
pub(crate) struct Clock(Cell<Timestamp>);

impl Clock {
    pub(crate) fn now(&self) -> Timestamp {
        self.0.set(self.0.get().max(now()));
        self.0.get()
    }
}
