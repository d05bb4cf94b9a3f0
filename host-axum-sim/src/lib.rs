#![doc = include_str!("../README.md")]

pub mod demo;
pub mod engine;
#[cfg(feature = "simulator")]
pub mod simulate;
pub mod store;

#[cfg(feature = "program")]
mod backup;
#[cfg(feature = "program")]
mod check;
#[cfg(feature = "program")]
mod cli;
mod clock;
mod commit;
mod crowd;
mod effects;
#[cfg(feature = "program")]
mod export;
mod host;
mod invitations;
mod looks;
mod metrics;
mod outbox;
mod page;
mod plans;
mod refusals;
mod restore;
mod routes;
mod serve;
mod socket;
mod subscriptions;
mod watch;

pub use booking_hosting::auth::{Auth, NotAToken};
#[cfg(feature = "program")]
pub use booking_hosting::flags::CannotRun;
pub use booking_hosting::ports;
pub use booking_hosting::process::now;
#[cfg(feature = "program")]
pub use cli::Cli;
pub use engine::{Engine, Input, Output, Settings};
pub use host::{Host, Ports};
pub use page::{ApiUrl, NotAnApiUrl, PageSettings, page, write_page};
pub use restore::restore;
pub use routes::{RouteSettings, Services, router};
pub use serve::{ServeSettings, serve, serve_page};

#[cfg(test)]
mod tests {
    mod given_up;
}
