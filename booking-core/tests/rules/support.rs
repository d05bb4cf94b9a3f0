//! Short names for what the rules speak of.

use booking_core::ids::{CheckoutId, HoldId, TicketId, UserId};
use booking_core::money::{Currency, Money};
use booking_core::time::Timestamp;

/// When each of these tests begins.
pub(crate) const NOW: u64 = 1_000_000;
/// When a hold that was made at [`NOW`] ends.
pub(crate) const UNTIL: u64 = NOW + 900_000;
/// A checkout's deadline well before that.
pub(crate) const EARLY: u64 = NOW + 300_000;
/// A checkout's deadline after that.
pub(crate) const LATE: u64 = UNTIL + 300_000;

pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}
pub(crate) fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}
pub(crate) fn ticket_id(id: &str) -> TicketId {
    TicketId::parse(id).unwrap()
}
pub(crate) fn hold_id(id: &str) -> HoldId {
    HoldId::parse(id).unwrap()
}
pub(crate) fn checkout_id(id: &str) -> CheckoutId {
    CheckoutId::parse(id).unwrap()
}
pub(crate) fn usd(minor: u64) -> Money {
    Money::new(minor, Currency::USD).unwrap()
}
/// What a ticket costs that was never listed.
pub(crate) fn unit_price() -> Money {
    usd(10_000)
}

/// What a future of the memory host comes to: it never waits.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("the memory host never waits"),
    }
}
