//! `booking_core_fuzz::stored`, as libFuzzer draws its bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| booking_core_fuzz::stored(bytes));
