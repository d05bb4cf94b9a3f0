//! What must hold of any bytes from outside. libFuzzer draws them (`cargo xtask fuzz`), and `tests/outside.rs` has some in every run of the
//! tests.

use booking_core::checkout::Checkout;
use booking_core::format::{Format, read, write};
use booking_core::journal::{Entry, replay};
use booking_core::life::{CheckoutRecord, Delivery, IdempotencyRecord};
use booking_core::map::ticket::Ticket;
use booking_core::map::{Header, LastWish, Layout, SeatMap};
use booking_core::progress::CheckoutProgress;
use booking_core::wire::{self, Door};

/// How many kinds of stored forms [`stored`] reads.
pub const FORMS: u8 = 11;

/// A request: the first line is a method and a path, the rest is the body. Nothing panics, and what is refused says why.
///
/// # Panics
/// If that does not hold.
pub fn wire(bytes: &[u8]) {
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (head, body) = bytes.split_at(line);
    let body = body.get(1..).unwrap_or_default();
    let Ok(head) = std::str::from_utf8(head) else { return };
    let (method, path) = head.split_once(' ').unwrap_or(("POST", head));
    for door in [Door::Public, Door::Admin] {
        match wire::parse(door, method, path, body) {
            // A call is the same each time.
            Ok(call) => assert_eq!(wire::parse(door, method, path, body).as_ref(), Ok(&call)),
            Err(refusal) => {
                let answer = wire::answer::refusal(&refusal);
                assert!(answer.status >= 400 && answer.kind == Some(refusal.kind) && !answer.body.is_empty());
            }
        }
    }
    let _refused_or_read = wire::watch::parse(body);
}

/// A stored form: the first byte says which. Nothing panics, and what can be read is written as it was read.
///
/// # Panics
/// If that does not hold.
pub fn stored(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    match which % FORMS {
        0 => same::<Checkout>(bytes),
        1 => same::<CheckoutProgress>(bytes),
        2 => same::<CheckoutRecord>(bytes),
        3 => same::<IdempotencyRecord>(bytes),
        4 => same::<Delivery>(bytes),
        5 => same::<Entry>(bytes),
        6 => same::<Ticket>(bytes),
        7 => same::<Header>(bytes),
        8 => same::<LastWish>(bytes),
        9 => same::<Layout>(bytes),
        _ => {
            let _replayed_or_why_not = replay(bytes.split(|byte| *byte == b'\n'));
            same::<SeatMap>(bytes);
        }
    }
}

fn same<T: Format>(bytes: &[u8]) {
    let Ok(value) = read::<T>(bytes) else { return };
    let written = write(&value);
    let again = read::<T>(&written).expect("what was written can be read");
    assert_eq!(write(&again), written);
}
