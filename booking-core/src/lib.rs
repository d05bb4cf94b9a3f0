#![doc = include_str!("../README.md")]

pub mod checkout;
pub mod effect;
pub mod format;
pub mod ids;
pub mod invariants;
pub mod journal;
pub mod machine;
pub mod memory;
pub mod money;
pub mod payment;
pub mod running;
pub mod seat_map;
pub mod terms;
#[cfg(feature = "testing")]
pub mod testing;
pub mod ticket;
pub mod time;
pub mod wire;

pub use ids::{CheckoutId, HoldId, MapKey, TicketId, UserId};
pub use machine::{Machine, turn};
