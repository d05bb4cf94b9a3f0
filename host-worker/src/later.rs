//! Work that continues after an answer.

use std::future::Future;
use std::pin::Pin;

use worker::State;

/// Has this work continue while the caller already has their answer.
pub(crate) fn meanwhile(state: &State, work: impl Future<Output = ()> + 'static) {
    // Boxed, so that what the SDK makes of a future is there once.
    let work: Pin<Box<dyn Future<Output = ()>>> = Box::pin(work);
    state.wait_until(work);
}
