//! The command by itself, where no shop is needed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

fn booking(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_booking")).args(args).current_dir(std::env::temp_dir()).output().unwrap()
}

fn says(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn where_no_shop_answers_that_is_said() {
    // Nothing listens there: the port is taken, and never answered at, by none.
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = booking(&["smoke", &format!("http://{nowhere}")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(says(&output).contains("no answer"), "{}", says(&output));
}

#[test]
fn an_address_that_is_none_is_refused() {
    for address in [
        "ftp://example.com",
        "example",
        "http://",
        "http://a b",
        "http://example.com/?token=secret",
        "http://a:secret@b.c",
    ] {
        let output = booking(&["load", address]);
        assert_eq!(output.status.code(), Some(2), "{address}");
        assert!(says(&output).contains("no address"), "{address}: {}", says(&output));
        assert!(!says(&output).contains("secret"), "{}", says(&output));
    }
}

#[test]
fn what_stands_in_a_file_of_secrets_is_never_shown() {
    let file = std::env::temp_dir().join(format!("booking-env-{}", std::process::id()));
    std::fs::write(&file, "BOOKING_AUTH_TOKEN='a secret\n").unwrap();
    let output = booking(&["smoke", "http://127.0.0.1:1", "--env-file", file.to_str().unwrap()]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(says(&output).contains("NAME=VALUE"), "{}", says(&output));
    assert!(!says(&output).contains("secret"), "{}", says(&output));
    let output = booking(&["smoke", "http://127.0.0.1:1", "--env-file", "nowhere/.env"]);
    assert!(says(&output).contains("nowhere/.env"), "{}", says(&output));
}
