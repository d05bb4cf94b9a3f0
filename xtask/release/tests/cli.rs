//! The command by itself, where no account is needed; with one, `tests/releases.rs` tries it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::process::Command;

use release::archive::{About, Archive, digest};

fn refuses(args: &[&str], why: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_release")).args(args).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains(why), "{args:?}: {said}");
}

#[test]
fn what_cannot_be_is_said_before_anybody_is_asked() {
    refuses(&["plan", "sandbox", "--env", "production"], "production has no mock gateway");
    refuses(&["deploy", "--env", "nowhere"], "invalid value 'nowhere'");
    refuses(&["deploy", "--env", "staging", "--canary", "100"], "100 is not in 1..=99");
    let with_token = ["deploy", "--env", "staging", "--canary", "10", "--", "--admin-token", "secret"];
    refuses(&with_token, "a list of processes shows tokens");
}

#[test]
fn a_release_is_read_as_it_was_written_or_not_at_all() {
    let about = About {
        version: "1.0.0".to_owned(),
        commit: String::new(),
        toolchain: String::new(),
        workers: BTreeMap::new(),
        files: BTreeMap::new(),
    };
    let files = |path: &str| BTreeMap::from([(path.to_owned(), b"a page".to_vec())]);
    let release = Archive::of(about.clone(), files("web/index.html")).unwrap();
    assert_eq!(release.about.files["web/index.html"], digest(b"a page"));
    assert_eq!(Archive::read(release.bytes()).unwrap(), release);
    assert!(Archive::of(about, files("../index.html")).is_err(), "it leaves its folder");
    for at in (0..release.bytes().len()).step_by(97) {
        let mut bytes = release.bytes().to_owned();
        bytes[at] ^= 1;
        // What fills up a file's last block says nothing.
        assert!(Archive::read(&bytes).map_or(true, |read| read.files() == release.files()), "byte {at}");
        assert!(
            Archive::read(&release.bytes()[..at]).map_or(true, |read| read.files() == release.files()),
            "{at} bytes"
        );
    }
    assert!(Archive::read(b"no release").is_err());
}
