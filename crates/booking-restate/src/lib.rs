#![doc = include_str!("../README.md")]

mod context;
mod handler;
mod host;
mod journal;
mod maps;
mod records;
mod stuck;

pub use context::{Context, Work, paid};
pub use handler::{Handler, STUCK, services};
pub use host::{handle, refusal_in};
pub use records::{CheckoutStart, KilledCheckout, Waiting, WaitsFor, forms};
pub use stuck::WAITING;
