//! For tests, yours included (feature `testing`): worlds in which anything may go wrong, and what drives them.
//!
//! ```toml
//! [dev-dependencies]
//! booking-core = { version = "0.1", features = ["testing"] }
//! ```
//!
//! What must hold is stated in [`crate::invariants`]; this module makes what it must hold for. [`crate::docs::testing`]
//! explains how to test a host, a gateway adapter or rules of your own with it.
//!
//! ```text
//!                            rules, or wrong ones
//!                                    │
//!  search ─── every schedule ─┐      ▼
//!  simulate ── from seeds ────┼──▶ world ──▶ invariants, coverage
//!  cuts ───── crash points ───┤      │
//!  strategies ── proptest ────┘      └──▶ trace: short, as JSON, replayed
//!
//!  crash ──── crash points, both ways of driving a checkout, on the smallest host
//!  host ───── crash points, on a host of yours
//!  gateway ── what a gateway of yours must answer
//! ```
//!
//! A test of a checkout's recovery, cut at any boundary of its journal:
//!
//! ```
//! use booking_core::checkout::Ending;
//! use booking_core::testing::crash::{House, pull};
//! use booking_core::testing::strategies::{house, cuts};
//! use proptest::prelude::*;
//!
//! proptest!(|(house in house(), cuts in cuts(0..3))| {
//!     let run = pull(house, &cuts);
//!     if let Ending::Completed { .. } = run.ending {
//!         assert_eq!(run.house.memory.mailbox().len(), 1);
//!     }
//! });
//! ```

pub mod coverage;
pub mod crash;
pub mod cuts;
pub mod gateway;
pub mod host;
pub mod rules;
pub mod search;
pub mod simulate;
#[cfg(feature = "testing")]
pub mod strategies;
pub mod trace;
pub mod world;
