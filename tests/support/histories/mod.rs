//! What clients saw of a host, and whether one ticket after the other could have behaved so: linearizability.
//!
//! Every client writes down what it asked, when, what it was answered, and when, all by one monotonic clock. A ticket's
//! history is linearizable if there is a moment for each operation, between its asking and its answer, such that a ticket
//! that does one thing at a time gives just these answers (Herlihy and Wing, "Linearizability: a correctness condition for
//! concurrent objects", TOPLAS 1990). Tickets are looked at one by one: a history of many objects is linearizable if and
//! only if that of each is.
//!
//! An operation without an answer, or with a 5xx, may have happened at any time after it was asked, or never.
//!
//! Each answer about a ticket tells the version that it was judged at. So the checker reads most of the order, and tries
//! only what has no version. See [`checker`].

pub mod checker;
pub mod lies;
pub mod seat;

#[cfg(not(target_family = "wasm"))]
#[allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "a test that cannot go on fails")]
pub mod recorder;
