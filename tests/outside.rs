//! Bytes from outside, as a fuzzer draws them, a few in every run: what `cargo xtask fuzz` does for longer, and with more cunning.

#![cfg(not(target_family = "wasm"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(unreachable_pub, reason = "it is a library where libFuzzer calls it")]
#[path = "../booking-core/fuzz/src/lib.rs"]
mod fuzz;

use std::path::Path;

use booking_core::dice::Dice;

const ROUNDS: usize = 40_000;

/// Requests of the fixtures, in the form that the target reads.
fn requests() -> Vec<Vec<u8>> {
    let lines = read("booking-core/tests/fixtures/requests.jsonl");
    // A body stands there as it is sent, so a line is no JSON.
    let field =
        |line: &str, name: &str| Some(line.split_once(&format!("\"{name}\":\""))?.1.split('"').next()?.to_owned());
    let request = |line: &str| {
        let (method, path) = (field(line, "method")?, field(line, "path")?);
        let body = line.split_once("\"body\":").map_or("", |(_, body)| body.strip_suffix('}').unwrap_or(body));
        Some(format!("{method} {path}\n{body}").into_bytes())
    };
    lines.lines().filter_map(request).collect()
}

/// Stored lines of journals, each as every form that there is.
fn forms() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let journals = files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let texts = journals.map(|path| std::fs::read_to_string(path).unwrap());
    let lines: Vec<Vec<u8>> = texts.flat_map(|text| text.lines().take(4).map(Vec::from).collect::<Vec<_>>()).collect();
    lines.iter().flat_map(|line| (0..fuzz::FORMS).map(|which| [&[which], &line[..]].concat())).collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)).unwrap()
}

/// Changes some of it, anywhere.
fn spoil(bytes: &mut Vec<u8>, dice: &mut Dice) {
    const PIECES: [&[u8]; 8] = [b"{", b"}", b"\"", b",", b"null", b"-1", b"1e999", b"\xff"];
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len());
        match dice.below(4) {
            0 => bytes.truncate(at),
            1 => drop(bytes.splice(at..at, dice.one_of(&PIECES).iter().copied())),
            2 => drop(bytes.splice(at..bytes.len().min(at + 1 + dice.below(9)), std::iter::empty())),
            _ if at < bytes.len() => bytes[at] = dice.draw().to_le_bytes()[0],
            _ => {}
        }
    }
}

fn draws(examples: &[Vec<u8>], target: fn(&[u8])) {
    assert!(examples.len() > 20, "{} examples to begin with", examples.len());
    examples.iter().for_each(|example| target(example));
    let mut dice = Dice::new(11);
    for _ in 0..ROUNDS {
        let mut bytes = dice.one_of(examples).clone();
        spoil(&mut bytes, &mut dice);
        target(&bytes);
    }
}

#[test]
fn no_request_panics_and_what_is_refused_says_why() {
    draws(&requests(), fuzz::wire);
}

#[test]
fn no_stored_bytes_panic_and_what_can_be_read_is_written_as_it_was_read() {
    draws(&forms(), fuzz::stored);
}
