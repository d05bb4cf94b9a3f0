#![doc = include_str!("../README.md")]

mod admin;
mod cli;
mod door;
mod lists;
mod metrics;
mod ports;
mod recover;
mod sdk;
mod serve;
mod stuck;

pub use booking_hosting::flags::CannotRun;
pub use cli::Cli;
pub use ports::Ports;
pub use sdk::{Host, endpoint};
pub use serve::serve;
