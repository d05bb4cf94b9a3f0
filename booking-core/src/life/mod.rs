//! The life of what a host keeps, without any IO: what a host stores, and what changes it.
//!
//! A host loads a value of this module, calls one of its functions, stores the value, and then does what it says. No rule that a
//! buyer could notice is left to the host.
//!
//! - [`idempotency`]: what an idempotency key stands for, and what is answered to a request that comes again.
//! - [`invitation`]: which checkouts an invitation may lead to.
//! - [`map`]: one turn of a map: what is loaded for it, stored, sent later and answered.
//! - [`checkout`]: one checkout from its start until it is forgotten.

pub mod checkout;
pub mod idempotency;
pub mod invitation;
pub mod map;

pub use checkout::{CheckoutRecord, NotificationStatus, Operated};
pub use idempotency::{Digest, IdempotencyRecord, Key, Known, RecordedAnswer};
pub use map::{Delivery, Judgement, Told};
