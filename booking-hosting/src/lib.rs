//! What the native hosts share, and no rule of the booking: the outside world over HTTP, flags that mean the same
//! everywhere, the log, the clock, and how a process is told to stop.

pub mod flags;
pub mod ports;
pub mod process;
