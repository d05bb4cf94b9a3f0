//! The rules for Prometheus in `docs/alerts`: they are rules, each calls when it should, and each number in them is one that a host shows.

#![cfg(not(target_family = "wasm"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::json;
use tests::gateway::OddGateway;
use tests::http::Client;
use tests::server::Server;
use xtask::promtool;
use xtask::run::root;

fn text() -> String {
    std::fs::read_to_string(root().join("docs/alerts/booking.yml")).unwrap()
}

/// The names of alerts.
fn alerts(rules: &str) -> Vec<&str> {
    rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect()
}

/// The numbers that rules name, as families: without what Prometheus adds for what is in them.
fn families(rules: &str) -> BTreeSet<String> {
    let is_of_a_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = rules.split(|letter| !is_of_a_name(letter)).filter(|word| word.starts_with("booking_"));
    let family = |word: &str| {
        let suffixes = ["_total", "_count", "_bucket", "_sum"];
        suffixes.iter().find_map(|suffix| word.strip_suffix(suffix)).unwrap_or(word).to_owned()
    };
    words.map(family).collect()
}

/// What is wrong with rules and their tests, as promtool says it.
fn judged(arguments: &[&str], file: &str) -> Result<String, String> {
    let output = Command::new(promtool::binary().unwrap())
        .args(arguments)
        .arg(file)
        .current_dir(root().join("docs/alerts"))
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    if output.status.success() { Ok(said) } else { Err(said) }
}

#[test]
fn the_rules_are_rules_and_each_calls_when_it_should_and_only_then() {
    judged(&["check", "rules"], "booking.yml").unwrap();
    judged(&["test", "rules"], "booking.test.yml").unwrap();
    let tried = std::fs::read_to_string(root().join("docs/alerts/booking.test.yml")).unwrap();
    for alert in alerts(&text()) {
        let times = tried.split(|letter: char| !letter.is_alphanumeric()).filter(|word| *word == alert).count();
        assert!(times >= 2, "{alert} is tried with numbers that call for it, and with those of a good day");
    }
}

#[test]
fn a_rule_that_does_not_call_is_found() {
    let folder = tests::restate::Folder::new("alerts");
    let silent = text().replace("booking_checkouts_stuck > 0", "booking_checkouts_stuck > 9");
    std::fs::write(folder.path().join("booking.yml"), silent).unwrap();
    let tried = folder.path().join("booking.test.yml");
    std::fs::copy(root().join("docs/alerts/booking.test.yml"), &tried).unwrap();
    let said = judged(&["test", "rules"], tried.to_str().unwrap()).unwrap_err();
    assert!(said.contains("BookingStuckCheckouts"), "{said}");
}

#[test]
fn each_number_of_a_rule_is_one_that_a_host_shows() {
    assert_eq!(families("a_b > 1 and rate(booking_x_total[5m])"), BTreeSet::from(["booking_x".to_owned()]));
    // One odd answer, as that number is shown once there is one.
    let gateway = OddGateway::start(tests::gateway::refuses_us);
    let host = Server::start("serve", &["--payment-url", &gateway.url]);
    let client = Client::new(&host.base);
    let sent = client.post("/Checkout/process/send", &json!({ "ticketId": "a", "userId": "ann" }));
    assert_eq!(sent.status, 202, "{}", sent.text);
    let shown = tests::eventually(|| {
        let shown = client.get("/metrics").text;
        shown.contains("booking_gateway_odd_answers_total{").then_some(shown)
    });
    let families = families(&text());
    assert!(families.len() > 12, "{families:?}");
    for family in families {
        assert!(shown.contains(&format!("# TYPE {family} ")), "{family} is shown by no host:\n{shown}");
    }
}

#[test]
fn the_guide_says_what_to_do_about_each() {
    let guide = std::fs::read_to_string(root().join("docs/ALERTS.md")).unwrap();
    let rules = text();
    let alerts = alerts(&rules);
    assert!(alerts.len() > 12, "{alerts:?}");
    for alert in alerts {
        assert!(guide.contains(&format!("| `{alert}` | ")), "docs/ALERTS.md does not say what to do about {alert}");
    }
}
