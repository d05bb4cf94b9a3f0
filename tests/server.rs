//! `host-axum-sim` as a process: its flags, its ports, how it sheds load and how it ends.

#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails"
)]

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tests::durable::text;
use tests::gateway::{
    OddGateway, a_failure_is_told_while_its_money_is_let_go_of, has_nothing_to_void, never_captures, never_voids,
    operators_end_what_the_gateway_does_not, refuses_us,
};
use tests::http::{Client, Got};
use tests::invitations::{self, an_invitation_leads_to_one_booking};
use tests::mail::{MailServer, certificate};
use tests::restate::Folder;
use tests::server::{Server, binary, notified, scenarios, tokens};
use tests::{PATIENCE, eventually};
use tungstenite::client::IntoClientRequest as _;

const ADMIN: &str = "an-admin-token-for-tests";
/// What messages to buyers are signed with.
const SECRET: &str = "whsec_YSBzZWNyZXQgZm9yIHRlc3RzIG9ubHksIG9mIDM1IGJ5dGVz";

/// A file of this test's own, gone when this is.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("booking-test-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

fn buy(client: &Client, ticket: &str, card: &str) -> Got {
    client.post("/Checkout/process", &json!({ "ticketId": ticket, "userId": "ann", "paymentMethodId": card }))
}

fn metric(client: &Client, name: &str) -> String {
    let text = client.get("/metrics").text;
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).rsplit_once(' ').unwrap().1.to_owned()
}

#[test]
fn a_payment_gateway_of_its_own_keeps_its_ledger_through_a_crash() {
    let folder = Folder::new("ledger");
    let ledger = folder.path().join("ledger");
    let start = || Server::start("mock-gateway", &["--ledger", text(&ledger)]);
    let gateway = start();
    let payment_url = format!("{}/api/mock-payment", gateway.base);
    let host = Server::start("serve", &["--payment-url", &payment_url]);
    let client = Client::new(&host.base);
    for card in ["card_success", "card_lost", "card_flaky"] {
        assert_eq!(buy(&client, card, card).status, 200, "{card}");
    }
    assert_eq!(buy(&client, "d", "card_decline").kind(), "PaymentDeclined");
    assert_eq!(buy(&client, "c", "card_capture_decline").kind(), "PaymentDeclined");
    assert_eq!(client.get("/api/mock-payment/ledger").status, 404, "the host has no mock of its own then");
    let (money, port) = (Client::new(&gateway.base), gateway.base.rsplit_once(':').unwrap().1.to_owned());
    let before = eventually(|| {
        let ledger = money.get("/api/mock-payment/ledger");
        let entries = ledger.body["entries"].as_array().unwrap();
        entries.iter().all(|entry| entry["captured"] != entry["voided"]).then_some(ledger)
    });
    drop(gateway);

    // While it is down, nobody knows whether the money would come.
    let sent = client.post("/Checkout/process/send", &json!({ "ticketId": "later", "userId": "ann" }));
    std::thread::sleep(Duration::from_millis(300));
    let listen = format!("127.0.0.1:{port}");
    let gateway = Server::start("mock-gateway", &["--ledger", text(&ledger), "--listen", &listen]);
    let money = Client::new(&gateway.base);
    let end = eventually(|| {
        let got = client.get(&format!("/Checkout/{}", sent.text("checkoutId")));
        (got.body["status"] != "PENDING").then_some(got.body)
    });
    assert_eq!(end["status"], "CONFIRMED", "{end}");
    let after = money.get("/api/mock-payment/ledger");
    let (before, after) = (before.body["entries"].as_array().unwrap(), after.body["entries"].as_array().unwrap());
    assert!(before.len() == 5 && before.iter().all(|entry| after.contains(entry)), "{before:?} {after:?}");
    let captured: Vec<bool> = after.iter().map(|entry| entry["captured"].as_bool().unwrap()).collect();
    assert_eq!(captured.iter().filter(|captured| **captured).count(), 4);
    assert_eq!(money.get("/Ticket/a/get").status, 404, "it is a gateway and nothing else");
    assert_eq!(money.get("/health").status, 200);
    let _logs = (gateway.stop(), host.stop());
}

#[test]
fn a_failure_is_told_while_its_money_is_still_let_go_of() {
    let gateway = OddGateway::start(never_voids);
    let host = Server::start("serve", &["--payment-url", &gateway.url, "--payment-timeout", "1s"]);
    a_failure_is_told_while_its_money_is_let_go_of(&Client::new(&host.base), &gateway, true);
}

#[test]
fn a_card_that_is_declined_leaves_nothing_to_wait_for() {
    let gateway = OddGateway::start(has_nothing_to_void);
    let host = Server::start("serve", &["--payment-url", &gateway.url]);
    let client = Client::new(&host.base);
    let got = buy(&client, "hall:1", "card_success");
    assert_eq!((got.status, got.kind(), &got.body["money"]), (402, "PaymentDeclined", &json!("none")), "{}", got.text);
    let ended = r#"booking_checkouts_ended_total{ending="PaymentDeclined"} 1"#;
    eventually(|| client.get("/metrics").text.contains(ended).then_some(()));
    assert_eq!((gateway.asked("authorize"), gateway.asked("void")), (1, 1));
}

#[test]
fn a_gateway_that_refuses_this_host_is_an_alarm() {
    let gateway = OddGateway::start(refuses_us);
    let host = Server::start("serve", &["--payment-url", &gateway.url]);
    let client = Client::new(&host.base);
    let health = || client.get("/health").body;
    assert_eq!(health(), json!({ "status": "ok" }));
    let got = buy(&client, "hall:1", "card_success");
    let told = (got.status, got.kind(), &got.body["money"]);
    assert_eq!(told, (503, "PaymentUnavailable", &json!("lettingGo")), "{}", got.text);
    assert_eq!(client.get("/Ticket/hall:1/get").body["status"], "AVAILABLE");
    // Which it then does not know of.
    let void = r#"booking_gateway_odd_answers_total{asked="void",status="404"}"#;
    eventually(|| client.get("/metrics").text.contains(void).then_some(()));
    assert_eq!(health()["gatewayStatus"], 401, "health tells the cause, not what comes of it");
    let refused = metric(&client, r#"booking_gateway_odd_answers_total{asked="authorize",status="401"}"#);
    assert_eq!(refused, "5", "once for each time it was asked");
    let log = host.stop();
    assert!(log.contains(r#""status":401"#), "{log}");
}

#[test]
fn a_gateway_that_hangs_is_left_alone_and_buyers_are_told_so_at_once() {
    let gateway = OddGateway::start(|_, _| None);
    let host = Server::start("serve", &["--payment-url", &gateway.url, "--payment-timeout", "200ms"]);
    let client = Client::new(&host.base);
    // A few checkouts, each of which asks five times, are enough.
    std::thread::scope(|scope| {
        for n in 0..8 {
            let client = client.another();
            scope.spawn(move || assert_eq!(buy(&client, &format!("hall:{n}"), "card_success").status, 503));
        }
    });
    eventually(|| (client.get("/health").body["gatewaySilent"] == true).then_some(()));
    let number = |name: &str| metric(&client, name).parse::<u64>().unwrap();
    let not_asked = number("booking_gateway_not_asked_total");
    let got = buy(&client, "hall:9", "card_success");
    assert_eq!(got.kind(), "PaymentUnavailable", "{}", got.text);
    assert!(number("booking_gateway_not_asked_total") > not_asked, "it was not asked for this one");
    // The host repeats the voids until the gateway answers one, and all is well then.
    gateway.pays_back();
    eventually(|| client.get("/health").body["gatewaySilent"].is_null().then_some(()));
    let ended = r#"booking_checkouts_ended_total{ending="PaymentUnavailable"} 9"#;
    eventually(|| client.get("/metrics").text.contains(ended).then_some(()));
}

#[test]
fn operators_end_what_the_gateway_does_not_and_see_what_waits() {
    let gateway = OddGateway::start(never_captures);
    let host = Server::start_with("serve", &["--payment-url", &gateway.url], &[("BOOKING_ADMIN_TOKEN", ADMIN)]);
    let public = Client::new(&host.base);
    let admin = public.with_token(ADMIN);
    operators_end_what_the_gateway_does_not(&public, &admin, &gateway);
    let sent = public.post("/Checkout/process/send", &json!({ "ticketId": "hall:3", "userId": "ann" }));
    let stuck = eventually(|| {
        let stuck = admin.get("/Checkout/list/stuck");
        assert_eq!((stuck.status, &stuck.body["more"]), (200, &json!(false)), "{}", stuck.text);
        stuck.body["checkouts"].as_array().unwrap().first().cloned()
    });
    assert_eq!((&stuck["checkoutId"], &stuck["waitsFor"]), (&sent.body["checkoutId"], &json!("gateway")));
    assert_eq!(metric(&public, "booking_checkouts_stuck"), "1");
    assert_eq!(public.get("/Checkout/list/stuck").status, 401);
    let log = host.stop();
    assert!(
        log.contains("audit: an operator asks for: Checkout resolve") && log.contains("seen at the gateway"),
        "{log}"
    );
}

#[test]
fn a_cancel_turns_a_checkout_back_before_its_capture() {
    // It does not know whether the card was authorised.
    let gateway = OddGateway::start(|_, _| Some((503, "")));
    let host = Server::start_with("serve", &["--payment-url", &gateway.url], &[("BOOKING_ADMIN_TOKEN", ADMIN)]);
    let public = Client::new(&host.base);
    let sent = public.post("/Checkout/process/send", &json!({ "ticketId": "hall:1", "userId": "ann" }));
    let checkout = format!("/Checkout/{}", sent.text("checkoutId"));
    let got =
        public.with_token(ADMIN).post(&format!("{checkout}/cancel"), &json!({ "reason": "the buyer has called" }));
    assert_eq!(got.status, 200, "{}", got.text);
    let end = eventually(|| Some(public.get(&checkout)).filter(|got| got.body["status"] == "FAILED"));
    assert_eq!((end.kind(), &end.body["money"]), ("HoldExpired", &json!("lettingGo")), "{}", end.text);
}

#[test]
fn the_ledger_of_the_mock_gateway_is_for_operators_unless_it_is_opened() {
    let closed = [("BOOKING_OPEN_LEDGER", "false"), ("BOOKING_ADMIN_TOKEN", ADMIN)];
    let host = Server::start_with("serve", &[], &closed);
    let public = Client::new(&host.base);
    let ledger = "/api/mock-payment/ledger";
    assert_eq!((public.get(ledger).status, public.with_token(ADMIN).get(ledger).status), (401, 200));
    for (command, variable) in [("serve", "BOOKING_OPEN_LEDGER"), ("mock-gateway", "MOCK_GATEWAY_OPEN_LEDGER")] {
        let host = Server::start_with(command, &[], &[(variable, "false")]);
        assert_eq!(Client::new(&host.base).get(ledger).status, 404, "{command}");
        let host = Server::start_with(command, &["--open-ledger"], &[]);
        assert_eq!(Client::new(&host.base).get(ledger).status, 200, "{command}");
    }
}

#[test]
fn a_ledger_has_one_owner_and_one_that_is_damaged_is_refused_and_left_as_it_is() {
    let folder = Folder::new("damaged-ledger");
    let ledger = folder.path().join("ledger");
    let refused = || fails(&["mock-gateway", "--listen", "127.0.0.1:0", "--ledger", text(&ledger)]);
    let gateway = Server::start("mock-gateway", &["--ledger", text(&ledger)]);
    let pay = json!({ "amount": 5, "paymentMethodId": "card_success" });
    assert_eq!(Client::new(&gateway.base).post_keyed("/api/mock-payment", "k-1", &pay).status, 200);
    let said = refused();
    assert!(said.contains("--ledger") && said.contains("in use by another process"), "{said}");
    let _log = gateway.stop();
    let marker = ledger.join("store.json");
    let whole = std::fs::read_to_string(&marker).unwrap();
    for (damaged, says) in [("hello".to_owned(), "damaged"), (whole.replace("\"v\":1", "\"v\":9"), "use a newer build")]
    {
        std::fs::write(&marker, &damaged).unwrap();
        let said = refused();
        assert!(said.contains(says) && said.contains("--ledger"), "{said}");
        assert_eq!(std::fs::read_to_string(&marker).unwrap(), damaged, "it is left as it is");
    }
}

/// What a command says that does not start.
fn fails(args: &[&str]) -> String {
    let output = Command::new(binary("host-axum-sim")).args(args).env("NO_COLOR", "1").output().unwrap();
    assert!(!output.status.success(), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn what_is_wrong_on_the_command_line_is_said() {
    let short = Scratch::new("short", "short\n");
    let empty = Scratch::new("empty", "\n");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (args, says) in [
        (&["--unit-price", "1.5:USD"][..], "USD is written with 2 decimals"),
        (&["--unit-price", "100"], "such as 100.00:USD"),
        (&["--hold-ttl", "3h"], "--hold-ttl"),
        (&["--answer-within", "soon"], "such as 500ms or 15m"),
        (&["--auto-reset-at", "0"], "--auto-reset-at"),
        (&["--keep-for", "0s"], "must be at least 1s"),
        (&["--keep-bytes", "much"], "such as 1000000 or 512MiB"),
        (&["--keep-bytes", "0"], "must be at least 1MiB"),
        (&["--max-connections", "0"], "must be 1 to 100000000"),
        (&["--max-connections", "18446744073709551615"], "must be 1 to 100000000"),
        (&["--max-checkouts", "0"], "must be 1 to 100000000"),
        (&["--payment-timeout", "0s"], "must be at least 1ms"),
        (&["--payment-url", "http://ann:secret@127.0.0.1:1/"], "must have no user and no password in it"),
        (&["--cors-origin", "tickets.example"], "such as https://tickets.example"),
        (&["--payment-url", "gateway"], "--payment-url"),
        (&["--payment-url", "http://127.0.0.1:1", "--payment-delay", "1s"], "cannot be used with"),
        (&["--auth-token-file", "/nowhere/tokens"], "--auth-token-file /nowhere/tokens"),
        (&["--auth-token-file", empty.path()], "there is nothing in it"),
        (&["--admin-token-file", short.path()], "16 to 256 characters"),
        (&["--listen", &taken], "--listen"),
        (&["--frobnicate"], "--frobnicate"),
    ] {
        let said = fails(&[&["serve"], args].concat());
        assert!(said.contains(says), "{args:?}: {said}");
    }
    let said = fails(&["serve", "--payment-url", "http://ann:secret@127.0.0.1:1/"]);
    assert!(!said.contains("secret"), "{said}");
    let help = Command::new(binary("host-axum-sim")).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for flag in ["--listen", "--payment-url", "BOOKING_UNIT_PRICE", "[default: 15m]", "--admin-token-file"] {
        assert!(help.contains(flag), "{flag}: {help}");
    }
}

#[test]
fn every_flag_is_an_environment_variable_and_tokens_come_from_files() {
    let tokens = Scratch::new("tokens", "the-first-public-token\n\nthe-second-public-token\n");
    let env = [
        ("BOOKING_UNIT_PRICE", "2500:JPY"),
        ("BOOKING_PAYMENT_DELAY", "0ms"),
        ("BOOKING_AUTH_TOKEN_FILE", tokens.path()),
    ];
    let host = Server::start_with("serve", &[], &env);
    let nobody = Client::new(&host.base);
    assert_eq!(buy(&nobody, "a", "card_success").kind(), "Unauthorized");
    for (ticket, token) in [("a", "the-first-public-token"), ("b", "the-second-public-token")] {
        let got = buy(&nobody.with_token(token), ticket, "card_success");
        assert_eq!(got.body["amount"], json!({ "minor": 2_500, "currency": "JPY" }), "{}", got.text);
    }
}

#[test]
fn a_token_with_a_name_opens_what_it_is_for_until_it_is_revoked() {
    let folder = Folder::new("tokens");
    let file = folder.path().join("tokens");
    let make = |args: &[&str]| tokens(&file, &[&["make"], args].concat()).map(|token| token.trim().to_owned());
    let office = make(&["--name", "box office", "--door", "admin"]).unwrap();
    let partner = make(&["--name", "a partner", "--door", "admin", "--map", "arena:A"]).unwrap();
    let said = make(&["--name", "box office", "--door", "public"]).unwrap_err();
    assert!(said.contains("there is a token of that name"), "{said}");
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(!kept.contains(&office) && !kept.contains(&partner), "a token itself is kept nowhere");

    let host = Server::start("serve", &["--payment-delay", "0ms", "--tokens", text(&file)]);
    let client = Client::new(&host.base);
    let resets =
        |token: &str, map: &str| client.with_token(token).post(&format!("/SeatMap/{map}/resetAll"), &json!({})).status;
    assert_eq!(buy(&client, "arena:A:1", "card_success").status, 200, "the public door asks for none");
    assert_eq!(client.post("/SeatMap/arena:A/resetAll", &json!({})).kind(), "Unauthorized");
    assert_eq!((resets(&office, "arena:A"), resets(&office, "arena:B")), (200, 200));
    assert_eq!((resets(&partner, "arena:A"), resets(&partner, "arena:B")), (200, 401));
    assert!(host.says("box office", PATIENCE), "the log says who did it");

    // Revoked while it runs, and listed so.
    tokens(&file, &["revoke", "box office"]).unwrap();
    eventually(|| (resets(&office, "arena:A") == 401).then_some(()));
    assert_eq!(resets(&partner, "arena:A"), 200, "the other one is still good");
    let listed = tokens(&file, &["list"]).unwrap();
    assert!(listed.contains("box office") && listed.contains("revoked") && listed.contains("arena:A"), "{listed}");
    assert!(!listed.contains(&partner), "{listed}");
    assert!(tokens(&file, &["revoke", "nobody"]).unwrap_err().contains("no token of the name"));

    // Of many who change the file at once each is heard.
    let names: Vec<String> = (0..6).map(|n| format!("partner {n}")).collect();
    let made: Vec<_> = std::thread::scope(|scope| {
        let makes = names.iter().map(|name| scope.spawn(|| make(&["--name", name, "--door", "admin"])));
        makes.collect::<Vec<_>>().into_iter().map(|made| made.join().unwrap()).collect()
    });
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    let listed = tokens(&file, &["list"]).unwrap();
    assert_eq!(listed.lines().filter(|line| line.starts_with("partner ")).count(), 6, "{listed}");

    // A file that cannot be read lets nobody out, and nobody in.
    let damaged = folder.path().join("damaged");
    std::fs::write(&damaged, "hello").unwrap();
    std::fs::rename(&damaged, &file).unwrap();
    assert!(host.says("still count", PATIENCE), "the log says that it cannot be read");
    assert_eq!((resets(&office, "arena:A"), resets(&partner, "arena:A")), (401, 200));
    let said = fails(&["serve", "--listen", "127.0.0.1:0", "--tokens", text(&file)]);
    assert!(said.contains("--tokens") && said.contains("cut short"), "{said}");
    let log = host.stop();
    assert!(log.contains("a partner"), "{log}");
    assert!(!log.contains(&office) && !log.contains(&partner), "{log}");
}

/// A data directory with one booking whose buyer nobody has told, and the gateway's mock in it.
fn one_booking_that_nobody_was_told_of(data: &str) -> Value {
    let args = ["--payment-delay", "0ms", "--data-dir", data];
    let serve = |more: &[&str]| Server::start("serve", &[&args, more].concat());
    let host = serve(&["--notify-url", "http://127.0.0.1:9/nobody-is-there"]);
    let booked = buy(&Client::new(&host.base), "hall:1", "card_success");
    assert_eq!(booked.status, 200);
    let _log = host.stop();
    // A start without a notifier gives up what is still to be sent.
    let _log = serve(&[]).stop();
    booked.body["checkoutId"].clone()
}

#[test]
fn an_operator_finds_a_booking_has_its_message_sent_and_reads_who_did_what() {
    let folder = Folder::new("books");
    let (data, file) = (folder.path().join("data"), folder.path().join("tokens"));
    let checkout = one_booking_that_nobody_was_told_of(text(&data));
    let token = tokens(&file, &["make", "--name", "box office", "--door", "admin"]).unwrap().trim().to_owned();
    let partner = tokens(&file, &["make", "--name", "a partner", "--door", "admin", "--map", "hall"]).unwrap();
    let (url, told) = notified(&[204]);
    let args = ["--data-dir", text(&data), "--payment-delay", "0ms", "--notify-url", &url, "--tokens", text(&file)];
    let host = Server::start("serve", &args);
    let public = Client::new(&host.base);
    let (office, partner) = (public.with_token(&token), public.with_token(partner.trim()));
    assert_eq!(buy(&public, "hall:2", "card_decline").status, 402);

    // The booking, by what the buyer says; and who may not see it.
    let found = office.post("/bookings", &json!({ "userId": "ann", "status": "CONFIRMED" }));
    let [booking] = &found.body["bookings"].as_array().unwrap()[..] else { panic!("{}", found.text) };
    assert_eq!((&booking["checkoutId"], &booking["notification"]), (&checkout, &json!("GIVEN_UP")));
    for path in ["/bookings", "/bookings.csv", "/inbox", "/audit"] {
        assert_eq!((public.get(path).status, partner.get(path).status), (401, 401), "{path}");
    }
    let table = office.get("/bookings.csv?map=hall");
    let lines: Vec<&str> = table.text.split("\r\n").collect();
    assert_eq!((table.status, lines.len(), lines[3]), (200, 4, ""), "{}", table.text);
    assert!(lines[0].starts_with("checkoutId,status,") && lines[1].contains(",FAILED,"), "{}", table.text);
    assert!(lines[2].starts_with(&format!("{},CONFIRMED,20", checkout.as_str().unwrap())), "{}", table.text);

    // Its message, which is sent once more and no more often.
    let inbox = office.get("/inbox");
    let message = inbox.body["messages"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(office.post(&format!("/inbox/{message}/retry"), &json!({})).status, 200);
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().body["checkoutId"], checkout);
    eventually(|| {
        (office.get("/bookings?status=CONFIRMED").body["bookings"][0]["notification"] == "DELIVERED").then_some(())
    });
    assert_eq!(office.get("/inbox").body["messages"], json!([]));
    assert!(told.try_recv().is_err(), "once");

    // Who did what, also after a restart; the wrong tokens are counted.
    let _log = host.stop();
    let host = Server::start("serve", &args);
    let office = Client::new(&host.base).with_token(&token);
    let audit = office.get("/audit").body["entries"].as_array().unwrap().clone();
    let did = |asked: &str| audit.iter().find(|entry| entry["asked"] == asked).unwrap_or_else(|| panic!("{audit:?}"));
    let retried = did("operators/retry");
    assert_eq!(
        (&retried["who"], &retried["about"], &retried["outcome"]),
        (&json!("box office"), &json!(message), &json!("done"))
    );
    assert_eq!(did("operators/bookingsCsv")["who"], "box office", "taking all bookings out of the house is a deed");
    let refused = audit.iter().find(|entry| entry["outcome"] == "Unauthorized").unwrap();
    assert_eq!((&refused["who"], &refused["asked"]), (&json!("callers"), &json!("operators/bookings")));
}

#[test]
fn a_booking_is_told_until_somebody_listens_and_always_under_the_same_key() {
    let (url, told) = notified(&[500, 204]);
    let secret = [("BOOKING_NOTIFY_SECRET", SECRET)];
    let host = Server::start_with("serve", &["--payment-delay", "0ms", "--notify-url", &url], &secret);
    let client = Client::new(&host.base);
    let booking = buy(&client, "a", "card_success");
    assert_eq!(booking.status, 200, "it is done, whether anybody listens or not");
    assert_eq!(buy(&client, "b", "card_decline").status, 402);
    let first = told.recv_timeout(PATIENCE).unwrap();
    let second = told.recv_timeout(PATIENCE).unwrap();
    assert!([&first, &second].into_iter().all(|told| told.is_signed_with(SECRET)), "{first:?}");
    assert_eq!((&first.key, &first.body), (&second.key, &second.body));
    assert_eq!(first.key, format!("{}:notify", booking.text("checkoutId")));
    assert_eq!((&first.body["checkoutId"], &first.body["tickets"]), (&booking.body["checkoutId"], &json!(["a"])));
    eventually(|| (metric(&client, "booking_notifications_waiting") == "0").then_some(()));
    assert_eq!(metric(&client, "booking_notifications_parked"), "0");
}

#[test]
fn a_server_that_is_to_stop_answers_what_is_under_way_and_takes_no_more() {
    let host = Server::start("serve", &["--payment-delay", "1s"]);
    let client = Client::new(&host.base);
    let got = std::thread::scope(|scope| {
        let bought = scope.spawn(|| buy(&client, "a", "card_success"));
        eventually(|| client.get("/metrics").text.contains("booking_checkouts_under_way{").then_some(()));
        host.ask_to_stop();
        assert!(host.says("stopping", PATIENCE));
        let address = host.base.strip_prefix("http://").unwrap();
        eventually(|| TcpStream::connect(address).is_err().then_some(()));
        bought.join().unwrap()
    });
    assert_eq!((got.status, got.body["status"].as_str()), (200, Some("CONFIRMED")));
    assert!(host.stopped().contains("stopped"));
}

#[test]
fn a_close_is_answered_and_a_server_that_stops_says_so() {
    let host = Server::start("serve", &["--payment-delay", "0ms"]);
    let address = host.base.strip_prefix("http://").unwrap().to_owned();
    let watch = || {
        let mut request = format!("ws://{address}/SeatMap/hall/watch").into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "booking.watch.v1".parse().unwrap());
        let mut socket = tungstenite::client(request, TcpStream::connect(&address).unwrap()).unwrap().0;
        assert!(socket.read().unwrap().is_text(), "a snapshot");
        socket
    };
    let (mut leaves, mut stays) = (watch(), watch());
    leaves.close(None).unwrap();
    assert!(matches!(leaves.read().unwrap(), tungstenite::Message::Close(_)), "its close is answered");
    let _log = host.stop();
    let tungstenite::Message::Close(Some(why)) = stays.read().unwrap() else {
        panic!("the server stops without a word")
    };
    assert_eq!(why.code, tungstenite::protocol::frame::coding::CloseCode::Away);
}

#[test]
fn more_connections_than_open_files_are_not_promised() {
    // What it says until it listens.
    let limited = |files: &str, connections: &str| {
        let run =
            format!("ulimit -n {files}; exec \"$0\" serve --listen 127.0.0.1:0 --max-connections {connections} 2>&1");
        let mut shell = Command::new("sh");
        shell.args(["-c", &run]).arg(binary("host-axum-sim")).stdout(Stdio::piped());
        let mut server = shell.spawn().unwrap();
        let lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut said = Vec::new();
        for line in lines {
            said.push(line);
            if said.last().is_some_and(|line| line.contains("listening on")) {
                break;
            }
        }
        server.kill().unwrap();
        server.wait().unwrap();
        said.join("\n")
    };
    let said = limited("1024", "4096");
    assert!(
        said.contains("--max-connections 4096: the system allows 1024 open files, so there are at most 512"),
        "{said}"
    );
    // A soft limit is raised.
    let said = limited("-S 512", "600");
    assert!(said.contains("listening on") && !said.contains("--max-connections"), "{said}");
}

#[test]
fn a_watcher_that_does_not_read_is_dropped_and_holds_nobody_up() {
    let host = Server::start("serve", &["--payment-delay", "0ms"]);
    let client = Client::new(&host.base);
    let address = host.base.strip_prefix("http://").unwrap();
    let watch = || {
        let mut request = format!("ws://{address}/SeatMap/hall/watch").into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "booking.watch.v1".parse().unwrap());
        tungstenite::client(request, TcpStream::connect(address).unwrap()).unwrap().0
    };
    // It never reads a word.
    let _idle = watch();
    let mut keen = watch();
    eventually(|| (metric(&client, "booking_watchers") == "2").then_some(()));
    let reads = std::thread::spawn(move || {
        let (mut last, mut heard) = (0, 0);
        while let Ok(message) = keen.read() {
            let Ok(text) = message.into_text() else { break };
            let Ok(value) = serde_json::from_str::<Value>(&text) else { continue };
            for delta in value["deltas"].as_array().into_iter().flatten() {
                let version = delta["version"].as_u64().unwrap();
                assert_eq!(version, last + 1, "no change is missing");
                (last, heard) = (version, heard + 1);
            }
            if heard >= CHANGES {
                return heard;
            }
        }
        heard
    });
    // Long names fill the buffers that the kernel has for a client that does not read.
    const CHANGES: u64 = 60_000;
    let long = "x".repeat(110);
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (client, long) = (&client, &long);
            scope.spawn(move || {
                for _ in 0..CHANGES / 16 {
                    let (path, user) = (format!("/Ticket/hall:{long}{n}"), json!("ann"));
                    let hold = client.post(&format!("{path}/reserve"), &user).text("holdId");
                    let released = client.post(&format!("{path}/release"), &json!({ "holdId": hold }));
                    assert_eq!(released.status, 200);
                }
            });
        }
    });
    assert!(reads.join().unwrap() >= CHANGES, "who reads, hears everything");
    eventually(|| (metric(&client, "booking_watchers") == "0").then_some(()));
}

#[test]
fn an_invitation_leads_to_one_booking_and_stands_in_no_log() {
    let env = [("BOOKING_ADMIN_TOKEN", ADMIN), ("BOOKING_INVITATION_KEY", invitations::KEY)];
    let host = Server::start_with("serve", &["--log", "trace", "--payment-delay", "5ms"], &env);
    let public = Client::new(&host.base);
    let made = an_invitation_leads_to_one_booking(&public, &public.with_token(ADMIN));
    let log = host.stop();
    assert!(made.iter().all(|invitation| !log.contains(invitation.as_str())), "{log}");
    // Without a key there are none.
    let host = Server::start_with("serve", &[], &[("BOOKING_ADMIN_TOKEN", ADMIN)]);
    let admin = Client::new(&host.base).with_token(ADMIN);
    assert_eq!(admin.post("/invitations", &json!({ "mapKey": "hall" })).kind(), "NotFound");
}

#[test]
fn a_log_tells_tickets_and_checkouts_and_keeps_secrets() {
    const TOKEN: &str = "the-token-of-this-test";
    let args = ["--log", "trace", "--payment-delay", "0ms"];
    let host = Server::start_with("serve", &args, &[("BOOKING_ADMIN_TOKEN", TOKEN)]);
    let client = Client::new(&host.base).with_token(TOKEN);
    let hold = client.post_keyed("/Ticket/hall:7/reserve", "key-of-this-test", &json!("ann")).text("holdId");
    let release = |hold: &str| client.post("/Ticket/hall:7/release", &json!({ "holdId": hold })).status;
    let order = json!({ "ticketId": "hall:7", "userId": "ann", "holdId": hold, "paymentMethodId": "card_of_ann" });
    let declined = client.post("/Checkout/process", &order);
    assert_eq!(declined.status, 402);
    let sent = client.post("/Checkout/process/send", &order).text("checkoutId");
    assert_eq!(client.get(&format!("/Checkout/{sent}")).body["status"], "FAILED");
    assert_eq!(release(&hold), 200);
    let named = json!({ "userId": "ann", "holdId": "a-hold-named-by-ann" });
    assert_eq!(client.post("/Ticket/hall:8/reserve", &named).status, 200);
    let bad = client.post("/Ticket/hall:8/reserve", &json!({ "userId": "ann", "holdId": "a hold that is wrong" }));
    assert_eq!(bad.status, 400);
    let _in_a_path = client.get("/Ticket/hall:8/get?holdId=a-hold-in-a-query");
    eventually(|| (metric(&client, "booking_tickets{status=\"reserved\"}") == "1").then_some(()));
    let log = host.stop();
    for told in ["hall:7", sent.as_str(), "\"handler\":\"reserve\"", "\"status\":402", "PaymentDeclined"] {
        assert!(log.contains(told), "{told}: {log}");
    }
    for secret in [
        hold.as_str(),
        "a-hold-named-by-ann",
        "a hold that is wrong",
        "a-hold-in-a-query",
        TOKEN,
        "card_of_ann",
        "key-of-this-test",
    ] {
        assert!(!log.contains(secret), "{secret}: {log}");
        assert!(!declined.text.contains(secret) && !bad.text.contains(secret));
    }
}

#[test]
fn pages_of_other_origins_may_ask_where_that_is_configured_and_nowhere_else() {
    let preflight = |base: &str, origin: &str| {
        let headers = [("Origin", origin), ("Access-Control-Request-Method", "POST")];
        Client::new(base).send("OPTIONS", "/Checkout/process", &headers, b"")
    };
    let allows = |got: &Got| got.headers.get("access-control-allow-origin").map(|it| it.to_str().unwrap().to_owned());
    let closed = Server::start("serve", &[]);
    assert_eq!(allows(&preflight(&closed.base, "https://tickets.example")), None);
    assert_eq!(preflight(&closed.base, "https://tickets.example").kind(), "MethodNotAllowed");
    let open = Server::start("serve", &["--cors-origin", "https://tickets.example"]);
    assert_eq!(allows(&preflight(&open.base, "https://tickets.example")).as_deref(), Some("https://tickets.example"));
    assert_eq!(allows(&preflight(&open.base, "https://other.example")), None);
}

/// A text in which what differs from time to time is the same: long numbers, and ids that the server makes.
fn alike(text: &str) -> String {
    let (mut alike, mut word) = (String::new(), String::new());
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() {
            word.push(c);
            continue;
        }
        let is_time = word.len() == 13 && word.bytes().all(|byte| byte.is_ascii_digit());
        alike.push_str(if is_time || word.len() == 22 { "…" } else { &word });
        word.clear();
        alike.push(c);
    }
    alike
}

#[test]
fn the_sessions_in_the_readmes_go_as_they_say() {
    assert_eq!(session(include_str!("../README.md")), 3);
    assert_eq!(session(include_str!("../host-axum-sim/README.md")), 7);
}

/// Asks a server what a document asks, and holds what it says to that. How often it asked.
fn session(readme: &str) -> usize {
    let host = Server::start("serve", &[]);
    let client = Client::new(&host.base);
    let (mut asked, mut lines) = (0, readme.lines());
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix("$ curl http://127.0.0.1:8080") else { continue };
        let got = match command.split_once(" -d '") {
            Some((path, body)) => client.send("POST", path, &[], body.strip_suffix('\'').unwrap().as_bytes()),
            None => client.get(command),
        };
        assert_eq!(alike(&got.text), alike(lines.next().unwrap()), "{line}");
        asked += 1;
    }
    asked
}

#[test]
fn the_metrics_tell_requests_tickets_checkouts_timers_and_watchers() {
    let host = Server::start("serve", &["--payment-delay", "0ms"]);
    let client = Client::new(&host.base);
    assert_eq!(buy(&client, "a", "card_success").status, 200);
    assert_eq!(buy(&client, "b", "card_decline").status, 402);
    assert_eq!(client.post("/Ticket/c/reserve", &json!("ann")).status, 200);
    let slow = json!({ "ticketId": "d", "userId": "ann", "paymentMethodId": "card_error" });
    assert_eq!(client.post("/Checkout/process/send", &slow).status, 202);
    let got = client.get("/metrics");
    assert_eq!(got.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    for (name, value) in [
        ("booking_request_duration_seconds_count{service=\"Checkout\",handler=\"process\",kind=\"\"}", "1"),
        (
            "booking_request_duration_seconds_count{service=\"Checkout\",handler=\"process\",kind=\"PaymentDeclined\"}",
            "1",
        ),
        ("booking_tickets{status=\"sold\"}", "1"),
        ("booking_tickets{status=\"reserved\"}", "2"),
        ("booking_checkouts_under_way{stage=\"authorising\"}", "1"),
        ("booking_checkouts_ended_total{ending=\"completed\"}", "1"),
        ("booking_checkouts_ended_total{ending=\"PaymentDeclined\"}", "1"),
        ("booking_timers", "2"),
        ("booking_timers_due", "0"),
        ("booking_watchers", "0"),
        ("booking_connections", "1"),
    ] {
        assert_eq!(metric(&client, name), value, "{name}");
    }
    assert!(got.text.ends_with("# EOF\n"));
}

#[test]
fn the_seven_scenarios_of_the_first_proof_of_concept_go_as_they_should() {
    let server = Server::start("serve", &["--payment-delay", "0ms", "--show-buyers"]);
    let (went, said) = scenarios(&server.base);
    assert!(went, "{said}");
    let _log = server.stop();
    let discreet = Server::start("serve", &["--payment-delay", "0ms"]);
    let (went, said) = scenarios(&discreet.base);
    assert!(!went && said.lines().filter(|line| line.starts_with("FAIL")).count() == 1, "{said}");
    assert!(said.contains("FAIL  4 state query"), "{said}");
}

/// Books a ticket for who left this contact.
fn book(client: &Client, ticket: &str, contact: &Value) -> Got {
    let got = client.post("/Checkout/process", &json!({ "ticketId": ticket, "userId": "ann", "contact": contact }));
    assert_eq!(got.status, 200, "{}", got.text);
    got
}

#[test]
fn buyers_get_an_e_mail_and_the_same_one_again_until_the_mail_server_takes_it() {
    let mail = MailServer::start(&["--refuse", "1"]);
    let url = format!("smtp://127.0.0.1:{}", mail.port);
    let template = Scratch::new("template", "Subject: Hello {user}: {tickets}\n\nYou paid {amount}.\n{tickets}\n");
    let flags = ["--mail-url", &url, "--mail-from", "Town Hall <hall@example.com>", "--mail-template", template.path()];
    let server = Server::start("serve", &[&["--payment-delay", "0ms"][..], &flags].concat());
    let client = Client::new(&server.base);
    // Neither has an address: there is nothing to send.
    book(&client, "hall:1", &json!({ "phone": "1" }));
    buy(&client, "hall:2", "card_success");
    book(&client, "hall:3", &json!({ "email": "ann@example.com" }));
    let (first, second) = (mail.next(), mail.next());
    assert_eq!((first.taken, second.taken), (false, true));
    assert_eq!((&first.id, &first.text), (&second.id, &second.text), "a copy is known as one");
    assert_eq!(
        (second.from.as_str(), second.to.as_slice()),
        ("Town Hall <hall@example.com>", &["ann@example.com".to_owned()][..])
    );
    assert_eq!(second.subject, "Hello ann: hall:3");
    assert_eq!(second.text.lines().take(3).collect::<Vec<_>>(), ["You paid 100.00 USD.", "hall:3", ""]);
    let log = server.stop();
    assert!(mail.is_empty());
    assert!(log.contains("has not taken an e-mail") && log.contains("451"), "{log}");
    assert!(!log.contains("example.com"), "no address is in the log, nor what the server says of it: {log}");
}

#[test]
fn a_mail_server_that_wants_it_is_asked_over_tls_with_a_password() {
    let pem = certificate().to_string_lossy().into_owned();
    let mail = MailServer::start(&["--tls", &pem, "--login", "hall:a password"]);
    let url = format!("smtps://localhost:{}", mail.port);
    let flags =
        ["--payment-delay", "0ms", "--mail-url", &url, "--mail-from", "hall@example.com", "--mail-user", "hall"];
    let env = [("BOOKING_MAIL_PASSWORD", "a password"), ("SSL_CERT_FILE", pem.as_str())];
    let server = Server::start_with("serve", &flags, &env);
    let booked = book(&Client::new(&server.base), "hall:1", &json!({ "email": "bob@example.com" }));
    let email = mail.next();
    assert!(email.text.contains("hall:1") && email.text.contains(&booked.text("checkoutId")), "{email:?}");
    // Who cannot be known is sent nothing.
    let server = Server::start_with("serve", &flags, &env[..1]);
    book(&Client::new(&server.base), "hall:2", &json!({ "email": "bob@example.com" }));
    assert!(server.says("has not taken an e-mail", PATIENCE));
    drop(server.stop());
    assert!(mail.is_empty());
}

#[test]
fn a_mail_server_that_says_nothing_holds_up_no_other_e_mail() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}", silent.local_addr().unwrap());
    let flags =
        ["--payment-delay", "0ms", "--payment-timeout", "200ms", "--mail-url", &url, "--mail-from", "hall@example.com"];
    let server = Server::start("serve", &flags);
    let client = Client::new(&server.base);
    book(&client, "hall:1", &json!({ "email": "no address" }));
    assert!(server.says("the e-mail address of an order is none", PATIENCE));
    book(&client, "hall:2", &json!({ "email": "ann@example.com" }));
    assert!(server.says("has not taken an e-mail in time", PATIENCE));
}

#[test]
fn an_e_mail_that_cannot_be_sent_is_said_at_the_start() {
    let template = Scratch::new("wrong-template", "Subject: x\n\nfor {card}\n");
    let from = ["--mail-from", "hall@example.com"];
    let url = ["--mail-url", "smtp://mail.example.com"];
    for (flags, says) in [
        (&[&url[..], &["--mail-from", "nobody"]].concat(), "--mail-from"),
        (&[&["--mail-url", "smtp://ann:secret@mail.example.com"], &from[..]].concat(), "--mail-url"),
        (&[&url[..], &from, &["--mail-user", "hall"]].concat(), "--mail-password-file"),
        (&[&url[..], &from, &["--mail-template", template.path()]].concat(), "line 3: there is no {card}"),
        (&[&url[..], &from, &["--notify-url", "http://127.0.0.1:9/"]].concat(), "--notify-url"),
    ] {
        let output =
            Command::new(binary("host-axum-sim")).args(["serve", "--listen", "127.0.0.1:0"]).args(flags).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(says) && !said.contains("secret"), "{flags:?}: {said}");
    }
}
