//! The rules of the specification, each tested under its own name: a file a machine.
//!
//! `cargo test -p booking-core --test rules ticket_table::release` runs one row of the ticket's table.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails"
)]

mod checkout;
mod gateway;
mod journal;
#[cfg(feature = "testing")]
mod kit;
mod life;
mod map_properties;
mod map_rules;
mod map_support;
mod messages;
mod openapi;
mod shown;
mod support;
mod ticket_table;
mod wire;
#[cfg(feature = "testing")]
mod world;
