//! What hosts share, and no rule of the booking: who stands at which door, what HTTP says of a text that seldom changes, and, for native hosts (the feature `native`),
//! the outside world over HTTP, flags that mean the same everywhere, the log, the clock, the signals that stop a process.

pub mod auth;
pub mod callers;
#[cfg(feature = "native")]
pub mod email;
#[cfg(feature = "native")]
pub mod flags;
#[cfg(feature = "native")]
pub mod gateway;
pub mod invitations;
#[cfg(feature = "native")]
pub mod ports;
#[cfg(feature = "native")]
pub mod process;
pub mod representation;
#[cfg(feature = "native")]
pub mod token_file;
pub mod tokens;
pub mod webhook;
