#![doc = include_str!("../README.md")]

pub mod engine;
pub mod ports;
pub mod store;

mod cli;
mod doors;
mod effects;
mod errors;
mod host;
mod hub;
mod ledger_file;
mod metrics;
mod objects;
mod patient;
mod routes;
mod serve;
mod watch;

pub use cli::{CannotRun, Cli};
pub use doors::{Doors, NotAToken};
pub use engine::{Engine, Input, Output, Settings};
pub use host::{Host, Ports, now};
pub use ledger_file::{LedgerFile, LedgerFileError};
pub use routes::{RouteSettings, Services, router};
pub use serve::{ServeSettings, serve};
