//! For tests, yours included (feature `testing`): commands and schedules to draw from, and checkouts that crash.
//!
//! ```toml
//! [dev-dependencies]
//! booking-core = { version = "0.1", features = ["testing"] }
//! ```
//!
//! What must hold is stated in [`crate::invariants`]; this module makes what it must hold for.
//!
//! A test of a ticket (yours may sit behind a database):
//!
//! ```
//! use booking_core::invariants::{TicketTurn, check_turn};
//! use booking_core::testing::strategies::timeline;
//! use booking_core::ticket::Ticket;
//! use booking_core::turn;
//! use proptest::prelude::*;
//!
//! proptest!(|(commands in timeline(1..40))| {
//!     let mut ticket = Ticket::default();
//!     for (now, command) in &commands {
//!         let before = ticket.clone();
//!         let (outcome, _notices) = turn(&mut ticket, command, *now).stored();
//!         let (before, after, outcome) = (&before, &ticket, &outcome);
//!         check_turn(&TicketTurn::new(before, command, *now, outcome, after)).unwrap();
//!     }
//! });
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

pub mod crash;
pub mod strategies;
