#![doc = include_str!("../README.md")]

pub mod demo;
pub mod engine;
pub mod simulate;
pub mod store;

mod backup;
mod check;
mod cli;
mod clock;
mod commit;
mod crowd;
mod effects;
mod export;
mod host;
mod ledger_file;
mod looks;
mod metrics;
mod outbox;
mod page;
mod plans;
mod restore;
mod routes;
mod serve;
mod socket;
mod subscriptions;
mod watch;

pub use booking_hosting::auth::{Auth, NotAToken};
pub use booking_hosting::flags::CannotRun;
pub use booking_hosting::ports;
pub use booking_hosting::process::now;
pub use cli::Cli;
pub use engine::{Engine, Input, Output, Settings};
pub use host::{Host, Ports};
pub use ledger_file::{LedgerFile, LedgerFileError};
pub use page::{ApiUrl, NotAnApiUrl, PageSettings, page};
pub use restore::restore;
pub use routes::{RouteSettings, Services, router};
pub use serve::{ServeSettings, serve};

#[cfg(test)]
mod tests {
    mod given_up;
}
