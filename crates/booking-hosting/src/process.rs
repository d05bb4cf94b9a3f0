//! What a process learns from its machine: the time, and that it has to stop.

use std::time::{SystemTime, UNIX_EPOCH};

use booking_core::time::Timestamp;

/// What time it is.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// From this call on, Ctrl-C and what a service manager sends end the process no more. The future waits for one of them, and says so. Call it
/// before the process says that it is there.
pub fn told_to_stop() -> impl Future<Output = ()> + Send + 'static {
    #[cfg(unix)]
    let mut signals = {
        use tokio::signal::unix::{SignalKind, signal};
        [SignalKind::interrupt(), SignalKind::terminate()].map(signal)
    };
    async move {
        #[cfg(unix)]
        std::future::poll_fn(|context| {
            let has_come = signals.iter_mut().flatten().any(|signal| signal.poll_recv(context).is_ready());
            if has_come { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        tracing::info!("stopping: no more connections, requests under way are answered");
    }
}
