//! Records as builds have written them: every build reads them, and writes them to the same bytes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;

use booking_core::format::{read, write};
use host_axum_sim::store::Record;

/// A line for each thing that is stored; old lines never change.
const RECORDS: &str = include_str!("fixtures/records.jsonl");

#[test]
fn what_was_ever_stored_is_read_and_written_to_the_same_bytes() {
    let mut keys = BTreeSet::new();
    for line in RECORDS.lines() {
        let record: Record = read(line.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(write(&record)).unwrap(), line);
        keys.insert((record.key()[0], record.is_forgotten()));
    }
    let kinds = |forgotten| keys.iter().filter(|(_, it)| *it == forgotten).map(|(kind, _)| *kind).collect::<Vec<_>>();
    assert_eq!(kinds(false), *b"achklmnosx", "a line for each kind of record");
    assert_eq!(kinds(true), *b"achkmosx", "and for each that is forgotten");
}
