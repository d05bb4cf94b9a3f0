//! Requests: the first line is a method and a path, the rest is the body. Nothing panics, and what is refused says why.
#![no_main]

use booking_core::wire::{self, Door};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
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
});
