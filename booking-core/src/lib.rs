#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
//!
//! # Where to look
//!
//! - [`map`], [`checkout`], [`payment`]: the machines. [`machine`]: what they have in common.
//! - [`effect`], [`inventory`], [`journal`], [`progress`]: what a checkout asks for, of whom, and the two ways to give it.
//! - [`life`]: what a host stores of a checkout and of an idempotency key, and what changes it.
//! - [`dice`]: numbers that look drawn, from a seed: chance that a caller passes in, the same everywhere.
//! - [`prelude`]: what a host touches, on one page. [`memory`]: the smallest host. [`docs::hosts`]: what is the core's and what is the host's.
//! - [`wire`]: what all of it looks like over HTTP. [`mod@format`]: what it looks like stored.
//! - [`invariants`]: what always holds, as functions. `testing` (with the feature of that name): worlds to try them in;
//!   its guide is `docs::testing`.
//! - [`docs::spec`]: what the rules are; "§2" and the like in these pages are its sections. [`docs::design`]: why things are as they are, and where a new command goes.

pub mod checkout;
pub mod dice;
pub mod effect;
pub mod format;
pub mod ids;
pub mod invariants;
pub mod inventory;
pub mod journal;
mod json;
pub mod life;
pub mod machine;
pub mod map;
pub mod memory;
pub mod money;
pub mod payment;
pub mod prelude;
pub mod progress;
pub mod terms;
#[cfg(feature = "simulation")]
pub mod testing;
pub mod time;
pub mod wire;

/// The documents that belong to the code.
// Of two definitions of a link the first counts: here those of `links.md`, where files are read those at a document's own end.
pub mod docs {
    #[doc = include_str!("../docs/SPEC.md")]
    pub mod spec {}
    #[doc = include_str!("../docs/links.md")]
    #[doc = include_str!("../docs/DESIGN.md")]
    pub mod design {}
    #[doc = include_str!("../docs/links.md")]
    #[doc = include_str!("../docs/HOSTS.md")]
    pub mod hosts {}
    #[cfg(feature = "testing")]
    #[doc = include_str!("../docs/links.md")]
    #[doc = include_str!("../docs/links-testing.md")]
    #[doc = include_str!("../docs/TESTING.md")]
    pub mod testing {}
}

pub use ids::{CheckoutId, HoldId, MapKey, TicketId, UserId};
pub use machine::{Machine, turn};
