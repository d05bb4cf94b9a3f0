#![doc = include_str!("../README.md")]

mod cli;
mod metrics;
mod ports;
mod recover;
mod sdk;
mod serve;

pub use booking_hosting::flags::CannotRun;
pub use cli::Cli;
pub use ports::Ports;
pub use sdk::{Host, endpoint};
pub use serve::serve;
