//! Stored forms: the first byte says which. Nothing panics, and what can be read is written as it was read.
#![no_main]

use booking_core::checkout::Checkout;
use booking_core::format::{Format, read, write};
use booking_core::journal::{Entry, replay};
use booking_core::life::{CheckoutRecord, Delivery, IdempotencyRecord};
use booking_core::map::ticket::Ticket;
use booking_core::map::{Header, LastWish, Layout, SeatMap};
use booking_core::progress::CheckoutProgress;
use libfuzzer_sys::fuzz_target;

fn same<T: Format>(bytes: &[u8]) {
    let Ok(value) = read::<T>(bytes) else { return };
    let written = write(&value);
    let again = read::<T>(&written).expect("what was written can be read");
    assert_eq!(write(&again), written);
}

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    match which % 11 {
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
});
