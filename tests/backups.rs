//! `host-axum-sim backup` and `restore`: a data directory, copied while it is at work and through kills.

#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and some show what they hit"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use booking_core::dice::Dice;
use host_axum_sim::store::{Directory, LOG_BYTES};
use serde_json::{Value, json};
use tests::crowd::Crowd;
use tests::durable::{Durable, runs, text};
use tests::http::Client;
use tests::restate::Folder;
use tests::server::{Server, binary};
use tests::{eventually, size};

/// The checkouts that a directory says are booked.
fn booked(data: &Path) -> BTreeSet<String> {
    let export = runs(&["export", "--data-dir", text(data)]).unwrap();
    let lines = export.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let booked = lines.filter(|line| line["type"] == "booking" && line["status"] == "CONFIRMED");
    booked.map(|line| line["checkoutId"].as_str().unwrap().to_owned()).collect()
}

/// What buyers were told is booked.
fn told(crowd: &Crowd) -> BTreeSet<String> {
    let ends = crowd.ends();
    ends.iter().filter(|(_, end)| end["status"] == "CONFIRMED").map(|(id, _)| id.clone()).collect()
}

/// Whether there is anything but a lock.
fn has_anything(folder: &Path) -> bool {
    let names = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().file_name());
    names.into_iter().any(|name| name != "lock")
}

/// Changes a bit near the end of a copy's base.
fn damage(copy: &Path) {
    let files = std::fs::read_dir(copy).unwrap().map(|entry| entry.unwrap().path());
    let base = files.into_iter().find(|path| text(path).contains("/base.")).unwrap();
    let mut bytes = std::fs::read(&base).unwrap();
    let near_the_end = bytes.len() - 100;
    bytes[near_the_end] ^= 1;
    std::fs::write(&base, bytes).unwrap();
}

#[test]
fn a_backup_has_all_that_was_told_before_it_and_nothing_that_never_was() {
    let gateway = Server::start("mock-gateway", &["--delay", "5ms"]);
    let payments = format!("{}/api/mock-payment", gateway.base);
    // Logs are small, so that backups also come while one follows another, and while a base is made.
    let mut durable = Durable::start("backups", &["--payment-url", &payments, "--log-bytes", "64KiB"]);
    let client = durable.client();
    let folder = Folder::new("copies");
    let crowd = Crowd::new(&client, usize::MAX, 3_000);
    let mut dice = Dice::new(3);
    let (mut copies, mut halves) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        (0..16).for_each(|_| drop(scope.spawn(|| crowd.buy())));
        for number in 0..size(12, 60) {
            eventually(|| (crowd.ends().len() >= (number + 1) * 40).then_some(()));
            let (before, to) = (told(&crowd), folder.path().join(format!("copy-{number}")));
            if number % 3 == 2 {
                let args = ["backup", "--data-dir", text(&durable.data), text(&to)];
                let mut copying = Command::new(binary("host-axum-sim"));
                let mut copying = copying.args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                std::thread::sleep(Duration::from_micros(dice.below(12_000) as u64));
                if number % 2 == 0 {
                    // The server dies while it is copied.
                    durable.kill();
                    durable.start_again();
                    assert!(copying.wait().unwrap().success(), "what is there can be copied");
                    copies.push((before, to));
                    continue;
                }
                let _it_may_be_done = copying.kill();
                copying.wait().unwrap();
                // What is there of it is a whole copy, or nothing, or is refused.
                if runs(&["check", "--data-dir", text(&to)]).is_ok() {
                    copies.push((before, to));
                } else if has_anything(&to) {
                    assert!(Directory::open(&to, LOG_BYTES).is_err(), "a half copy is taken for something else");
                    halves += 1;
                }
                continue;
            }
            let said = runs(&["backup", "--data-dir", text(&durable.data), text(&to)]).unwrap();
            assert!(said.contains("as they were at one moment"), "{said}");
            copies.push((before, to));
        }
        crowd.enough();
    });
    crowd.all_is_well(&Client::new(&gateway.base));
    println!("{} copies, {halves} that were cut off", copies.len());
    let all = booked(&durable.data);
    for (before, copy) in &copies {
        let has = booked(copy);
        assert!(
            before.is_subset(&has),
            "{} were told, and are not in {}",
            before.difference(&has).count(),
            copy.display()
        );
        assert!(has.is_subset(&all), "it has bookings that never were");
        runs(&["check", "--data-dir", text(copy)]).unwrap();
    }
    // One that is damaged is refused, and nothing is made of it.
    let (_, damaged) = &copies[0];
    damage(damaged);
    let never = folder.path().join("never");
    let why = runs(&["restore", text(damaged), "--data-dir", text(&never)]).unwrap_err();
    assert!(why.contains("damaged"), "{why}");
    assert!(!never.exists(), "{why}");
    // The last one is put back, and sells on from there.
    let (_, copy) = copies.last().unwrap();
    let data = folder.path().join("restored");
    let said = runs(&["restore", text(copy), "--data-dir", text(&data)]).unwrap();
    assert!(said.contains("compare with what it says"), "{said}");
    let again = Durable::start_in(data.clone(), &["--payment-url", &payments]);
    let sold = again.client().post("/Checkout/process", &json!({ "ticketId": "after:1", "userId": "ann" }));
    assert_eq!(sold.status, 200, "{}", sold.text);
    let one = booked(copy).into_iter().next().unwrap();
    assert_eq!(again.client().get(&format!("/Checkout/{one}")).body["status"], "CONFIRMED");
    assert!(!booked(copy).contains(sold.body["checkoutId"].as_str().unwrap()), "the backup stays as it is");
}

#[test]
fn a_copy_is_made_where_nothing_is_and_of_what_is_there() {
    let folder = Folder::new("refused");
    let at = |name: &str| folder.path().join(name);
    let refused = |args: &[&str], why: &str| {
        let said = runs(args).unwrap_err();
        assert!(said.contains(why), "{args:?}: {said}");
    };
    let durable = Durable::start_in(at("data"), &[]);
    refused(&["backup", "--data-dir", text(&at("nothing")), text(&at("to"))], "has nothing stored in it");
    assert!(!at("to").exists(), "nothing was made");
    refused(&["backup", "--data-dir", text(&at("data")), text(&at("data"))], "is not empty");
    std::fs::create_dir(at("full")).unwrap();
    std::fs::write(at("full").join("a.txt"), "mine").unwrap();
    refused(&["backup", "--data-dir", text(&at("data")), text(&at("full"))], "a.txt is in it");
    assert_eq!(std::fs::read_to_string(at("full").join("a.txt")).unwrap(), "mine");
    // One in which nothing was sold yet is a backup like any other.
    runs(&["backup", "--data-dir", text(&at("data")), text(&at("empty"))]).unwrap();
    runs(&["restore", text(&at("empty")), "--data-dir", text(&at("anew"))]).unwrap();
    refused(&["restore", text(&at("empty")), "--data-dir", text(&at("data"))], "is not empty");
    let anew = Durable::start_in(at("anew"), &[]);
    assert_eq!(anew.client().post("/Checkout/process", &json!({ "ticketId": "a:1", "userId": "ann" })).status, 200);
    drop(durable);
    // A base that was begun is no directory in which there is nothing yet.
    std::fs::create_dir(at("half")).unwrap();
    std::fs::write(at("half").join("base.00000000000000000007.tmp"), "").unwrap();
    refused(&["serve", "--listen", "127.0.0.1:0", "--data-dir", text(&at("half"))], "store.json is missing");
}
