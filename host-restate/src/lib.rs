#![doc = include_str!("../README.md")]

mod cli;
mod effects;
mod errors;
mod host;
mod journal;
mod metrics;
mod objects;
mod payload;
mod recover;
mod routes;
mod serve;

pub use booking_hosting::flags::CannotRun;
pub use cli::Cli;
pub use effects::Ports;
pub use host::Host;
pub use routes::endpoint;
pub use serve::serve;
