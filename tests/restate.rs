//! host-restate on real Restate servers: what it promises while processes are killed, cancelled and replaced.

#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    reason = "a test that cannot go on fails"
)]

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tests::crowd::Crowd;
use tests::gateway::{OddGateway, a_failure_is_told_while_its_money_is_let_go_of, never_captures, never_voids};
use tests::histories::recorder::{Load, record};
use tests::http::{Client, Dialect, Got};
use tests::restate::{Folder, OnRestate};
use tests::server::{Server, tokens};
use tests::{eventually, size};
use xtask::restate::{Restate, Setup};

/// The arguments of a host that asks this gateway.
fn paying_at(gateway: &Server) -> [String; 2] {
    ["--payment-url".into(), format!("{}/api/mock-payment", gateway.base)]
}

#[test]
fn nothing_is_lost_while_host_and_server_are_killed() {
    let gateway = Server::start("mock-gateway", &["--delay", "15ms"]);
    let args = paying_at(&gateway);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut on = OnRestate::start(&args);
    let client = on.client.clone();
    let checkouts = size(600, 2_000);
    let crowd = Crowd::new(&client, checkouts, checkouts * 6 / 5);
    std::thread::scope(|scope| {
        (0..16).for_each(|_| drop(scope.spawn(|| crowd.buy())));
        for (kill, percent) in (1..).zip([8, 18, 30, 42, 54, 66, 78]) {
            crowd.wait_for(percent);
            if kill % 3 == 0 {
                on.restate.kill();
                std::thread::sleep(Duration::from_millis(200));
                on.restate.start_again().unwrap();
            } else {
                on.kill_host();
                std::thread::sleep(Duration::from_millis(200));
                on.start_host(&args);
            }
        }
    });
    crowd.all_is_well(&Client::new(&gateway.base));
}

#[test]
fn nothing_is_lost_while_a_leader_of_a_cluster_dies() {
    let gateway = Server::start("mock-gateway", &["--delay", "15ms"]);
    let args = paying_at(&gateway);
    let host = Server::start_of("host-restate", "serve", &args.each_ref().map(String::as_str), &[]);
    let folder = Folder::new("cluster");
    let mut nodes = Restate::start_cluster(&folder.path()).unwrap();
    nodes[2].setup.register(&host.base).unwrap();
    // Buyers come to a node that stays. Which of the others leads most, is up to the cluster.
    let client = Client::new(&nodes[2].setup.ingress_url()).speaking(Dialect::Restate);
    eventually(|| {
        let got = client.try_send("POST", "/Ticket/first/get", &[], b"").ok()?;
        (got.status == 200).then_some(())
    });
    let checkouts = size(600, 2_000);
    let crowd = Crowd::new(&client, checkouts, checkouts * 6 / 5);
    std::thread::scope(|scope| {
        (0..16).for_each(|_| drop(scope.spawn(|| crowd.buy())));
        crowd.wait_for(30);
        let [first, second] = [0, 1].map(|node: usize| nodes[node].setup.leads().unwrap());
        assert!(first + second > 0, "one that nobody follows is no loss");
        nodes[usize::from(second > first)].kill();
    });
    crowd.all_is_well(&Client::new(&gateway.base));
}

/// A checkout of one ticket, under way; its id.
fn sent(on: &OnRestate, ticket: &str) -> String {
    let got = on.client.post("/Checkout/process/send", &json!({ "ticketId": ticket, "userId": "ann" }));
    assert_eq!(got.status, 202, "{}", got.text);
    got.text("checkoutId")
}

/// Waits until the journal of an invocation has a run of this name, which is then under way.
fn comes_to(on: &OnRestate, checkout: &str, run: &str) {
    let sql = format!("SELECT index FROM sys_journal WHERE id = '{checkout}' AND name = '{run}'");
    eventually(|| (!on.restate.setup.query(&sql).unwrap().is_empty()).then_some(()));
}

/// What an operator does to an invocation.
fn operate(on: &OnRestate, checkout: &str, what: &str) {
    let admin = Client::new(&on.restate.setup.admin_url());
    let got = admin.send("PATCH", &format!("/invocations/{checkout}/{what}"), &[], b"");
    assert!((200..300).contains(&got.status), "{what}: {} {}", got.status, got.text);
}

fn end_of(on: &OnRestate, checkout: &str) -> Value {
    eventually(|| {
        let got = on.client.get(&format!("/Checkout/{checkout}"));
        (got.body["status"] != "PENDING").then_some(got.body)
    })
}

fn ticket_becomes(on: &OnRestate, ticket: &str, status: &str) {
    eventually(|| (on.client.get(&format!("/Ticket/{ticket}/get")).body["status"] == status).then_some(()));
    let map = ticket.split_once(':').unwrap().0;
    // A map shows what differs from how it was at first.
    let shown = if status == "AVAILABLE" { json!([]) } else { json!([{ "id": ticket, "status": status }]) };
    eventually(|| (on.client.get(&format!("/SeatMap/{map}/get")).body == shown).then_some(()));
}

/// What the gateway has of a checkout: authorised, captured, voided.
fn account(gateway: &Server, checkout: &str) -> [bool; 3] {
    let ledger = Client::new(&gateway.base).get("/api/mock-payment/ledger").body;
    let key = format!("{checkout}:authorize");
    let entry = ledger["entries"].as_array().unwrap().iter().find(|entry| entry["key"] == key.as_str()).cloned();
    let entry = entry.unwrap_or_default();
    ["authorized", "captured", "voided"].map(|what| entry[what] == true)
}

/// A gateway that takes its time, and a host that asks it.
fn at_leisure(args: &[&str]) -> (Server, OnRestate) {
    let gateway = Server::start("mock-gateway", &["--delay", "1500ms"]);
    let payments = paying_at(&gateway);
    let args: Vec<&str> = payments.iter().map(String::as_str).chain(args.iter().copied()).collect();
    let on = OnRestate::start(&args);
    (gateway, on)
}

#[test]
fn a_cancel_compensates_at_the_end_of_its_step_until_capture_has_been_asked_for() {
    let (gateway, on) = at_leisure(&[]);
    let (early, late) = (sent(&on, "hall-1:1"), sent(&on, "hall-2:1"));
    comes_to(&on, &early, "authorize");
    operate(&on, &early, "cancel");
    comes_to(&on, &late, "capture");
    operate(&on, &late, "cancel");

    let end = end_of(&on, &early);
    assert_eq!((&end["status"], &end["kind"]), (&json!("FAILED"), &json!("HoldExpired")), "{end}");
    assert!(end["message"].as_str().unwrap().contains("cancelled"), "{end}");
    ticket_becomes(&on, "hall-1:1", "AVAILABLE");
    // It is let go beside the checkout, whose caller does not wait for that.
    eventually(|| (account(&gateway, &early) == [true, false, true]).then_some(()));

    assert_eq!(end_of(&on, &late)["status"], "CONFIRMED", "too late");
    ticket_becomes(&on, "hall-2:1", "SOLD");
    assert_eq!(account(&gateway, &late), [true, true, false]);
}

#[test]
fn a_failure_is_told_while_its_money_is_still_let_go_of() {
    let gateway = OddGateway::start(never_voids);
    let on = OnRestate::start(&["--payment-url", &gateway.url, "--payment-timeout", "1s"]);
    // Here a checkout's answer is its last word.
    a_failure_is_told_while_its_money_is_let_go_of(&on.client, &gateway, false);
}

#[test]
fn what_a_killed_checkout_holds_lapses_by_itself() {
    let (gateway, on) = at_leisure(&["--checkout-time", "4s"]);
    let checkout = sent(&on, "hall:1");
    comes_to(&on, &checkout, "authorize");
    operate(&on, &checkout, "kill");
    assert_eq!(on.client.get("/Ticket/hall:1/get").body["status"], "RESERVED");
    ticket_becomes(&on, "hall:1", "AVAILABLE");
    assert!(!account(&gateway, &checkout)[1], "nothing was taken");
}

#[test]
fn one_command_brings_a_killed_checkout_to_its_end() {
    let (receiver, _told) = tests::server::notified(&[200, 200]);
    let (gateway, on) = at_leisure(&["--admin-handlers", "--notify-url", &receiver]);
    let (admin, ingress) = (on.restate.setup.admin_url(), on.restate.setup.ingress_url());
    let recover = |checkout: &str| {
        let args = ["recover", checkout, "--admin-url", &admin, "--ingress-url", &ingress];
        let output = std::process::Command::new(tests::server::binary("host-restate")).args(args).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (early, late, running) = (sent(&on, "hall-1:1"), sent(&on, "hall-2:1"), sent(&on, "hall-3:1"));
    comes_to(&on, &early, "authorize");
    let (done, said) = recover(&running);
    assert!(!done && said.contains("still under way"), "{said}");
    operate(&on, &early, "kill");
    comes_to(&on, &late, "capture");
    operate(&on, &late, "kill");
    // Its money may be taken: no other buyer is to have its seat before it is recovered.
    let resets = on.client.post("/Ticket/hall-2:1/cleanup", &json!({}));
    assert_eq!((resets.status, resets.kind()), (409, "CheckoutInProgress"), "{}", resets.text);

    let (done, said) = recover(&early);
    assert!(done && said.contains("never taken"), "{said}");
    ticket_becomes(&on, "hall-1:1", "AVAILABLE");
    assert_eq!(account(&gateway, &early), [true, false, true]);
    let (done, said) = recover(&late);
    assert!(done && said.contains("completed"), "{said}");
    ticket_becomes(&on, "hall-2:1", "SOLD");
    assert_eq!(account(&gateway, &late), [true, true, false]);
    assert!(recover(&early).0, "twice is once");
    assert_eq!(account(&gateway, &early), [true, false, true]);

    assert_eq!(end_of(&on, &running)["status"], "CONFIRMED");
    // A journal has such a call once the checkout has sent its buyer's message, also for a booking that cost nothing.
    let told = |checkout: &str| {
        let sql =
            format!("SELECT index FROM sys_journal WHERE id = '{checkout}' AND entry_type = 'Command: OneWayCall'");
        on.restate.setup.query(&sql).unwrap().len()
    };
    assert_eq!([&early, &late, &running].map(|checkout| told(checkout)), [0, 0, 1]);
    let (done, said) = recover(&running);
    assert!(!done && said.contains("was not killed"), "{said}");
    let declined = on.client.post(
        "/Checkout/process/send",
        &json!({ "ticketId": "hall-4:1", "userId": "ann", "paymentMethodId": "card_decline" }),
    );
    let declined = declined.text("checkoutId");
    assert_eq!(end_of(&on, &declined)["kind"], "PaymentDeclined");
    let (done, said) = recover(&declined);
    assert!(!done && said.contains("nothing is left of it"), "a declined card leaves nothing: {said}");
    let refused = on.client.post(
        "/Checkout/process/send",
        &json!({ "ticketId": "hall-5:1", "userId": "ann", "paymentMethodId": "card_capture_decline" }),
    );
    let refused = refused.text("checkoutId");
    assert_eq!(end_of(&on, &refused)["money"], "lettingGo");
    let (done, said) = recover(&refused);
    assert!(done && said.contains("never taken"), "its money may have been kept from being let go of: {said}");
    // By this the command tells what a killed checkout has sent.
    let sent = |checkout: &str| {
        let sql = format!(
            "SELECT entry_json FROM sys_journal WHERE id = '{checkout}' AND entry_type = 'Command: OneWayCall'"
        );
        let row = on.restate.setup.query(&sql).unwrap().remove(0);
        let json: Value = serde_json::from_str(row["entry_json"].as_str().unwrap()).unwrap();
        json["Command"]["OneWayCall"]["request"]["invocation_target"]["Service"]["handler"].clone()
    };
    assert_eq!([sent(&running), sent(&refused)], ["deliver", "letMoneyGo"]);
    let (done, said) = recover("somebody");
    assert!(!done && said.contains("is no checkout of this host"), "{said}");
}

/// What `host-restate stuck` prints: of each checkout its id, for whom it waits, and what it has asked for.
fn stuck(on: &OnRestate) -> Vec<[String; 3]> {
    let args = ["stuck", "--admin-url", &on.restate.setup.admin_url()];
    let list: Value = eventually(|| {
        let output = std::process::Command::new(tests::server::binary("host-restate")).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        // A server that has just started does not know its own partitions yet.
        assert!(output.status.success() || said.contains("/query: 500 "), "{said}");
        serde_json::from_slice(&output.stdout).ok()
    });
    assert_eq!(list["more"], false);
    let about = |one: &Value| {
        assert!(one["since"].is_u64() && one["tickets"].is_array(), "{one}");
        ["checkoutId", "waitsFor", "payment"].map(|field| one[field].as_str().unwrap_or_default().to_owned())
    };
    list["checkouts"].as_array().unwrap().iter().map(about).collect()
}

fn says(client: &Client, checkout: &str, outcome: &str, payment: Option<&str>) -> Got {
    let word = json!({ "outcome": outcome, "paymentId": payment, "reason": "seen at the gateway" });
    client.post(&format!("/Stuck/{checkout}/resolve"), &word)
}

#[test]
fn operators_see_what_waits_in_vain_and_their_word_is_the_gateways() {
    let gateway = OddGateway::start(never_captures);
    let args = ["--payment-url", &gateway.url, "--payment-timeout", "1s", "--admin-handlers"];
    let mut on = OnRestate::start(&args);
    let client = Client::new(&on.restate.setup.ingress_url());
    let waits_for = |on: &OnRestate, checkout: &str, payment: &str| {
        let row = [checkout, "gateway", payment].map(str::to_owned);
        eventually(|| stuck(on).contains(&row).then_some(()));
    };
    assert_eq!(stuck(&on), Vec::<[String; 3]>::new());
    let (first, second) = (sent(&on, "hall-1:1"), sent(&on, "hall-2:1"));
    waits_for(&on, &first, "capture");
    waits_for(&on, &second, "capture");

    let refused = says(&client, &first, "letGo", None);
    assert_eq!(
        (refused.status, refused.body["code"].as_u64()),
        (409, Some(409)),
        "the gateway was not asked for that: {}",
        refused.text
    );
    assert!(refused.text.contains("[CheckoutInProgress]"), "{}", refused.text);
    assert_eq!(says(&client, "nothing", "captured", Some("pay-1")).status, 409);
    assert_eq!(client.post(&format!("/Stuck/{first}/resolve"), &json!({ "outcome": "refused" })).status, 400, "why?");
    for (handler, status) in [("report", 400), ("clear", 400), ("notify", 404)] {
        let got = client.post(&format!("/Stuck/{first}/{handler}"), &json!({}));
        assert_eq!(got.status, status, "{handler}: {}", got.text);
    }

    // A seat that is being paid for is not taken back before that is over.
    let resets = client.post("/Ticket/hall-1:1/cleanup/send", &json!({}));
    assert_eq!(resets.status, 202, "{}", resets.text);
    let resetting = || {
        let sql = "SELECT id FROM sys_invocation WHERE target_handler_name = 'seat' AND status != 'completed'";
        on.restate.setup.query(sql).unwrap().first().map(|row| row["id"].as_str().unwrap().to_owned())
    };
    let resets = eventually(resetting);
    assert_eq!(on.client.get("/Ticket/hall-1:1/get").body["status"], "SOLD");
    // One that is cancelled meanwhile resets nothing.
    operate(&on, &resets, "cancel");
    eventually(|| resetting().is_none().then_some(()));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(on.client.get("/Ticket/hall-1:1/get").body["status"], "SOLD");
    assert_eq!(client.post("/Ticket/hall-1:1/cleanup/send", &json!({})).status, 202);
    eventually(resetting);

    assert_eq!(says(&client, &first, "captured", Some("pay-1")).status, 200);
    // The word outlives the host.
    on.kill_host();
    on.start_host(&args);
    let end = end_of(&on, &first);
    assert_eq!((&end["status"], &end["paymentId"]), (&json!("CONFIRMED"), &json!("pay-1")), "{end}");
    ticket_becomes(&on, "hall-1:1", "AVAILABLE");

    assert_eq!(says(&client, &second, "refused", None).status, 200);
    let end = end_of(&on, &second);
    assert_eq!((&end["kind"], &end["money"]), (&json!("PaymentDeclined"), &json!("lettingGo")), "{end}");
    ticket_becomes(&on, "hall-2:1", "AVAILABLE");
    waits_for(&on, &second, "void");
    assert_eq!(says(&client, &second, "paidBack", None).status, 200);
    eventually(|| stuck(&on).is_empty().then_some(()));
    assert_eq!(says(&client, &second, "paidBack", None).status, 409, "it is over");
    let kept = on.restate.setup.query("SELECT key FROM state WHERE service_name = 'Stuck'").unwrap();
    assert_eq!(kept, Vec::<Value>::new(), "nothing is kept of what is over");
    // Neither was ever asked again once it was over.
    let asked = [gateway.asked("capture"), gateway.asked("void")];
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!([gateway.asked("capture"), gateway.asked("void")], asked);
}

#[test]
fn a_message_that_was_given_up_is_listed_and_sent_again() {
    let (receiver, told) = tests::server::notified(&[503, 503, 503, 503, 503, 200]);
    let on =
        OnRestate::start(&["--mock-payment", "--payment-delay", "0ms", "--notify-url", &receiver, "--admin-handlers"]);
    let client = Client::new(&on.restate.setup.ingress_url());
    let checkout = sent(&on, "hall:1");
    assert_eq!(end_of(&on, &checkout)["status"], "CONFIRMED");
    let key = told.recv_timeout(tests::PATIENCE).unwrap().key;
    let letters = "SELECT id FROM sys_invocation WHERE target_service_name = 'Notifications' AND status != 'completed'";
    let letter = on.restate.setup.query(letters).unwrap().remove(0);
    // Given up early, so that the test need not wait for ten attempts.
    operate(&on, letter["id"].as_str().unwrap(), "cancel");
    eventually(|| (stuck(&on) == [[checkout.clone(), "notifier".to_owned(), String::new()]]).then_some(()));
    let path = format!("/Stuck/{checkout}/notify");
    assert_eq!(client.get(&path).status, 400, "a look sends nothing");
    let sent = client.post(&path, &json!({}));
    assert_eq!(sent.status, 200, "{}", sent.text);
    eventually(|| stuck(&on).is_empty().then_some(()));
    let again: Vec<_> = std::iter::from_fn(|| told.recv_timeout(tests::PATIENCE).ok()).collect();
    assert_eq!(again.len(), 5, "until it is taken");
    assert!(again.iter().all(|told| told.key == key), "its receiver tells copies apart by that");
    assert_eq!(client.post(&path, &json!({})).status, 404, "it is on its way, or there");
}

#[test]
fn operators_see_what_restate_keeps_and_the_door_lets_in_whom_its_tokens_let_in() {
    const PUBLIC: &str = "a-public-token-for-tests";
    let folder = tests::restate::Folder::new("door");
    let file = folder.path().join("tokens");
    let make = |name: &str, more: &[&str]| {
        let made = tokens(&file, &[&["make", "--name", name, "--door", "admin"], more].concat());
        made.unwrap().trim().to_owned()
    };
    let (office, of_yard) = (make("box office", &[]), make("yard", &["--map", "yard"]));
    let (receiver, told) = tests::server::notified(&[200, 503, 503, 503, 503, 503, 200]);
    let on =
        OnRestate::start(&["--mock-payment", "--payment-delay", "0ms", "--notify-url", &receiver, "--admin-handlers"]);
    let setup = &on.restate.setup;
    let door = Server::start_of(
        "host-restate",
        "door",
        &["--listen", "127.0.0.1:0", "--ingress-url", &setup.ingress_url(), "--admin-url", &setup.admin_url()],
        &[("BOOKING_AUTH_TOKEN", PUBLIC), ("BOOKING_TOKENS", file.to_str().unwrap())],
    );
    let nobody = Client::new(&door.base);
    let (public, office, of_yard) =
        (nobody.with_token(PUBLIC), nobody.with_token(&office), nobody.with_token(&of_yard));
    assert_eq!(nobody.get("/health").body["status"], "ok");
    for (client, path) in [(&nobody, "/SeatMap/hall/get"), (&public, "/bookings"), (&of_yard, "/bookings")] {
        assert_eq!(client.get(path).kind(), "Unauthorized", "{path}");
    }
    let buy = |seat: &str, user: &str, card: &str| {
        let order = json!({ "ticketId": seat, "userId": user, "paymentMethodId": card });
        public.post_keyed("/Checkout/process", &format!("{seat}-{user}"), &order)
    };

    // What is answered is what is answered on every host, errors too.
    let sent = public.post(
        "/Checkout/process/send",
        &json!({ "ticketId": "hall:7", "userId": "cat", "paymentMethodId": "card_decline" }),
    );
    assert_eq!((sent.status, &sent.body["status"]), (202, &json!("PENDING")), "{}", sent.text);
    let cats = || office.post("/bookings", &json!({ "userId": "cat" })).body["bookings"][0].clone();
    let sent_as = sent.text("checkoutId");
    eventually(|| (cats()["kind"] == "PaymentDeclined").then_some(()));
    assert_eq!(cats()["checkoutId"], sent_as);
    std::thread::sleep(Duration::from_millis(5));
    let first = buy("hall:1", "ann", "card_success");
    assert_eq!((first.status, &first.body["status"]), (200, &json!("CONFIRMED")), "{}", first.text);
    assert_eq!(buy("hall:1", "ann", "card_success").body, first.body, "the same key");
    let sold = buy("hall:1", "=ben", "card_success");
    let expected = json!({
        "code": 409, "kind": "TicketSold", "message": "Ticket already sold", "ticketId": "hall:1", "money": "none",
    });
    assert_eq!((sold.status, &sold.body), (409, &expected));
    assert_eq!(buy("hall:2", "=ben", "card_decline").kind(), "PaymentDeclined");
    assert_eq!(public.post("/Checkout/process", &json!({ "ticketId": "hall:3" })).kind(), "InvalidRequest");
    // Of the second message nothing is heard, so it is given up early.
    assert_eq!(told.recv_timeout(tests::PATIENCE).unwrap().body["userId"], "ann");
    let second = buy("yard:1", "ann", "card_success").text("checkoutId");
    let letters = "SELECT id FROM sys_invocation WHERE target_service_name = 'Notifications' AND status != 'completed'";
    assert_eq!(told.recv_timeout(tests::PATIENCE).unwrap().body["checkoutId"], json!(second));
    let waits = || office.get("/bookings?map=yard").body["bookings"][0]["notification"].clone();
    assert_eq!(waits(), "WAITING");
    operate(&on, setup.query(letters).unwrap()[0]["id"].as_str().unwrap(), "cancel");

    let sent = public.post("/Checkout/process/send", &json!({ "ticketId": "hall:2", "userId": "" }));
    assert_eq!((sent.status, sent.kind()), (400, "InvalidRequest"));

    // The bookings, in pages; what was no order is none.
    let shown = |path: &str| {
        let mut seen = Vec::new();
        let mut next = String::new();
        loop {
            let sign = if path.contains('?') { '&' } else { '?' };
            let page = office.get(&format!("{path}{sign}limit=1&after={next}"));
            assert_eq!(page.status, 200, "{}", page.text);
            seen.extend(page.body["bookings"].as_array().unwrap().clone());
            match page.body["next"].as_str() {
                None => break seen,
                Some(cursor) => next = cursor.to_owned(),
            }
        }
    };
    eventually(|| (waits() == "GIVEN_UP").then_some(()));
    let all = shown("/bookings");
    let told_of: Vec<_> = all
        .iter()
        .map(|one| ["userId", "status", "kind", "notification"].map(|name| one[name].as_str().unwrap_or("-")))
        .collect();
    assert_eq!(
        told_of,
        [
            ["ann", "CONFIRMED", "-", "GIVEN_UP"],
            ["=ben", "FAILED", "PaymentDeclined", "-"],
            ["=ben", "FAILED", "TicketSold", "-"],
            ["ann", "CONFIRMED", "-", "DELIVERED"],
            ["cat", "FAILED", "PaymentDeclined", "-"],
        ]
    );
    assert_eq!(all[3]["amount"], first.body["amount"]);
    assert_eq!(all[3]["paymentId"], first.body["paymentId"]);
    assert!(all[3]["startedAt"].as_u64() <= all[3]["endedAt"].as_u64());
    assert_eq!(shown("/bookings?ticketId=hall:1&status=FAILED").len(), 1);
    assert_eq!(shown(&format!("/bookings?from={}", all[1]["startedAt"])).len(), 2);
    assert_eq!(office.post("/bookings", &json!({ "userId": "=ben" })).body["bookings"].as_array().unwrap().len(), 2);
    let table = office.get("/bookings.csv").text;
    assert!(table.lines().count() == 6 && table.contains("'=ben"), "{table}");

    // The message that was given up is sent again, and who had that done is known.
    let inbox = office.get("/inbox").body["messages"].clone();
    assert_eq!((&inbox[0]["id"], &inbox[0]["booking"]), (&json!(format!("notification:{second}")), &all[0]));
    assert_eq!(office.post(&format!("/inbox/notification:{second}/retry"), &json!({})).status, 200);
    eventually(|| office.get("/inbox").body["messages"].as_array().unwrap().is_empty().then_some(()));
    assert_eq!(office.post("/Ticket/hall:1/block", &json!({ "reason": "A broken seat" })).kind(), "TicketSold");
    assert_eq!(of_yard.post("/Ticket/hall:9/block", &json!({ "reason": "x" })).kind(), "Unauthorized");
    assert_eq!(of_yard.post("/Ticket/yard:9/block", &json!({ "reason": "A broken seat" })).status, 200);
    let first_word = json!({ "outcome": "refused", "reason": "seen at the gateway" });
    assert_eq!(of_yard.post(&format!("/Stuck/{second}/resolve"), &first_word).kind(), "Unauthorized");
    assert_eq!(public.post(&format!("/Stuck/{second}/notify"), &json!({})).kind(), "Unauthorized");
    assert_eq!(office.post(&format!("/Stuck/{second}/resolve"), &first_word).kind(), "CheckoutInProgress");
    let did = office.get("/audit").body["entries"].clone();
    let did: Vec<_> = did
        .as_array()
        .unwrap()
        .iter()
        .map(|one| ["who", "asked", "about", "reason", "outcome"].map(|name| one[name].as_str().unwrap_or("-")))
        .collect();
    assert_eq!(
        did,
        [
            ["box office", "Stuck/resolve", &second, "seen at the gateway", "CheckoutInProgress"],
            ["yard", "Ticket/block", "yard:9", "A broken seat", "done"],
            ["box office", "Ticket/block", "hall:1", "A broken seat", "TicketSold"],
            ["box office", "Stuck/notify", &second, "-", "done"],
        ]
    );
    let one_by_one = office.get("/audit?limit=1").body;
    let rest = office.get(&format!("/audit?limit=3&after={}", one_by_one["next"])).body;
    assert_eq!((rest["entries"].as_array().unwrap().len(), &rest["next"]), (3, &Value::Null));

    // A token that is revoked opens nothing any more.
    tokens(&file, &["revoke", "box office"]).unwrap();
    eventually(|| (office.get("/bookings").status == 401).then_some(()));
}

#[test]
fn what_is_not_public_is_not_to_be_reached_and_looking_changes_nothing() {
    let on = OnRestate::start(&["--mock-payment", "--payment-delay", "0ms"]);
    for path in [
        "Ticket/a:1/block",
        "Ticket/a:1/cleanup",
        "SeatMap/a/turn",
        "SeatMap/a/seat",
        "SeatMap/a/resetAll",
        "Checkout/recover",
        "Checkout/letMoneyGo",
        "Stuck/a/resolve",
        "Stuck/a/report",
    ] {
        let got = on.client.post(&format!("/{path}"), &json!({}));
        assert_eq!((got.status, got.kind()), (400, ""), "{path}: {}", got.text);
    }
    for path in ["/Notifications/deliver", "/Layouts/a/keep", "/Layouts/a/get"] {
        assert_eq!(on.client.post(path, &json!({})).status, 400, "{path}");
    }
    let open = OnRestate::start(&["--mock-payment", "--admin-handlers"]);
    for path in
        ["Ticket/a:1/reserve", "Checkout/process", "Ticket/a:1/unblock", "Ticket/a:1/cleanup", "SeatMap/a/resetAll"]
    {
        let got = open.client.get(&format!("/{path}"));
        assert_eq!((got.status, got.kind()), (400, "InvalidRequest"), "{path}: {}", got.text);
    }
    assert_eq!(open.client.get("/Ticket/a:1/get").body["version"], 0);
    // However a key is spelt, it is the same ticket or none.
    for path in ["/Ticket/a%3A1/get", "/Ticket/a:1/get"] {
        assert_eq!(open.client.get(path).status, 200);
    }
    assert_eq!(open.client.get("/Ticket/a%253A1/get").kind(), "InvalidRequest");
}

#[test]
fn what_is_under_way_ends_on_the_build_that_it_began_on() {
    let gateway = Server::start("mock-gateway", &["--delay", "1500ms"]);
    let payments = paying_at(&gateway);
    let build = |price: &'static str| -> Vec<&str> {
        payments.iter().map(String::as_str).chain(["--unit-price", price]).collect()
    };
    let mut on = OnRestate::start(&build("100.00:USD"));
    let sold_by_the_old = sent(&on, "hall-0:1");
    assert_eq!(end_of(&on, &sold_by_the_old)["status"], "CONFIRMED");
    let under_way = sent(&on, "hall-1:1");
    comes_to(&on, &under_way, "authorize");
    let new = tests::restate::host_at(xtask::restate::free_port().unwrap(), &build("250.00:USD"));
    on.restate.setup.register(&new.base).unwrap();
    let after = sent(&on, "hall-2:1");
    let amount = |end: &Value| end["amount"]["minor"].clone();
    assert_eq!(amount(&end_of(&on, &under_way)), 10_000, "as it began");
    assert_eq!(amount(&end_of(&on, &after)), 25_000, "as it is now");
    // Nothing is left for the old one to do; the new one reads what it has written.
    on.kill_host();
    assert_eq!(on.client.get("/Ticket/hall-0:1/get").body["status"], "SOLD");
    let got = on.client.post("/Checkout/process", &json!({ "ticketId": "hall-1:1", "userId": "bob" }));
    assert_eq!((got.status, got.kind()), (409, "TicketSold"), "{}", got.text);
    assert_eq!(on.client.get("/SeatMap/hall-0/get").body, json!([{ "id": "hall-0:1", "status": "SOLD" }]));
}

#[test]
fn a_booking_costs_so_many_entries_and_no_more() {
    let on = OnRestate::start(&["--mock-payment", "--payment-delay", "0ms"]);
    let admin = Client::new(&on.restate.setup.admin_url());
    for service in ["Ticket", "SeatMap"] {
        // They keep no journal, unless an operator sets how long they keep it.
        let body = json!({ "journal_retention": "1h" }).to_string();
        let got = admin.send("PATCH", &format!("/services/{service}"), &[], body.as_bytes());
        assert_eq!(got.status, 200, "{}", got.text);
    }
    let counted = |map: &str, tickets: u32| {
        let tickets: Vec<String> = (1..=tickets).map(|n| format!("{map}:{n}")).collect();
        let got = on.client.post("/Checkout/process", &json!({ "ticketIds": tickets, "userId": "ann" }));
        assert_eq!(got.status, 200, "{}", got.text);
        let sql = format!(
            "SELECT i.target_service_name AS service, i.target_handler_name AS handler, COUNT(*) AS entries \
             FROM sys_invocation i JOIN sys_journal j ON i.id = j.id \
             WHERE i.target_service_key = '{map}' OR i.id = '{}' \
             GROUP BY i.id, i.target_service_name, i.target_handler_name",
            got.text("checkoutId")
        );
        let rows = on.restate.setup.query(&sql).unwrap();
        let text = |row: &Value, column: &str| row[column].as_str().unwrap().to_owned();
        let mut counted: Vec<(String, u64)> = rows
            .iter()
            .map(|row| (format!("{}/{}", text(row, "service"), text(row, "handler")), row["entries"].as_u64().unwrap()))
            .collect();
        counted.sort();
        counted
    };
    // The timer, which waits: no more of it yet than what it will say. Then the confirm, and the claim, which sends the timer.
    let expected = |confirm, claim| {
        [("Checkout/process", 14), ("SeatMap/turn", 1), ("SeatMap/turn", confirm), ("SeatMap/turn", claim)]
            .map(|(name, count)| (name.to_owned(), count))
    };
    assert_eq!(counted("hall", 1), expected(4, 7));
    // Each seat is in a part of its own here, which is read.
    assert_eq!(counted("arena", 4), expected(4, 10));
}

#[test]
fn a_seat_that_cannot_be_read_fails_what_names_it_and_nothing_else() {
    let on = OnRestate::start(&["--mock-payment", "--payment-delay", "0ms", "--admin-handlers"]);
    let holds = |ticket: &str, ttl: u64| {
        let wish = json!({ "userId": "ann", "ttlMs": ttl });
        assert_eq!(on.client.post(&format!("/Ticket/{ticket}/reserve"), &wish).status, 200, "{ticket}");
    };
    holds("hall:odd", 600_000);
    holds("hall:3", 4_000);
    let sql = "SELECT key, value_utf8 FROM state WHERE service_name = 'SeatMap' AND service_key = 'hall'";
    let admin = Client::new(&on.restate.setup.admin_url());
    // What is kept of that seat now becomes this; what it was.
    let becomes = |odd: &Value| {
        let mut was = Value::Null;
        let mut changed = serde_json::Map::new();
        for row in on.restate.setup.query(sql).unwrap() {
            let text = |column: &str| row[column].as_str().unwrap().to_owned();
            let mut value: Value = serde_json::from_str(&text("value_utf8")).unwrap();
            for place in ["/is/recent/tickets/hall:odd/1", "/is/tickets/hall:odd"] {
                if let Some(kept) = value.pointer_mut(place) {
                    was = std::mem::replace(kept, odd.clone());
                }
            }
            changed.insert(text("key"), json!(value.to_string().into_bytes()));
        }
        let body = json!({ "object_key": "hall", "new_state": changed }).to_string();
        let got = admin.send("POST", "/services/SeatMap/state", &[], body.as_bytes());
        assert!((200..300).contains(&got.status), "{} {}", got.status, got.text);
        was
    };
    // As a build leaves it that knows more than this one.
    let was = becomes(&json!(r#"{"v":1,"is":{"state":"levitating"}}"#));
    let odd = || on.client.get("/Ticket/hall:odd/get");
    eventually(|| (odd().status == 503).then_some(()));
    let refused = |got: Got| assert_eq!((got.status, got.kind()), (503, "StorageUnavailable"), "{}", got.text);
    refused(on.client.post("/Ticket/hall:odd/reserve", &json!({ "userId": "bob" })));
    refused(on.client.post("/SeatMap/hall/resetAll", &json!({})));
    // The hold beside it ends, and its neighbours are sold; of what cannot be read nothing is lost.
    eventually(|| (on.client.get("/SeatMap/hall/summary").body["version"] == 3).then_some(()));
    for ticket in ["hall:3", "hall:4"] {
        let got = on.client.post("/Checkout/process", &json!({ "ticketId": ticket, "userId": "bob" }));
        assert_eq!(got.status, 200, "{}", got.text);
    }
    let shown = |(name, status): (&str, &str)| json!({ "id": format!("hall:{name}"), "status": status });
    let seats = [("3", "SOLD"), ("4", "SOLD"), ("odd", "BLOCKED")].map(shown);
    assert_eq!(on.client.get("/SeatMap/hall/get").body, json!(seats));
    // A checkout of it waits, and operators see that, until a person has mended it.
    let checkout = sent(&on, "hall:odd");
    let row = [checkout.as_str(), "map", ""].map(str::to_owned);
    eventually(|| (stuck(&on) == [row.clone()]).then_some(()));
    assert!(becomes(&was).to_string().contains("levitating"), "nothing of it is lost");
    assert_eq!(end_of(&on, &checkout)["kind"], "TicketReserved");
    eventually(|| stuck(&on).is_empty().then_some(()));
}

/// A claim that was sent before the end of its hold may come to the map after it, and is accepted.
#[test]
fn a_seat_whose_hold_was_claimed_in_time_is_never_shown_as_free() {
    let on = OnRestate::start(&["--mock-payment", "--payment-delay", "0ms"]);
    let is_done = AtomicBool::new(false);
    let rounds: Vec<Round> = std::thread::scope(|scope| {
        // Turns of other seats, behind which a claim has to wait.
        for busy in 0..16 {
            let (client, is_done) = (on.client.another(), &is_done);
            let hold = json!({ "userId": "bob", "holdId": format!("busy-{busy}") });
            scope.spawn(move || {
                while !is_done.load(Relaxed) {
                    for handler in ["reserve", "release"] {
                        let _busy = client.try_send(
                            "POST",
                            &format!("/Ticket/hall:busy-{busy}/{handler}"),
                            &[],
                            hold.to_string().as_bytes(),
                        );
                    }
                }
            });
        }
        let rounds = (0..20).map(|round| buy_at_the_end_of_a_hold(&on, &format!("hall:{round}"))).collect();
        is_done.store(true, Relaxed);
        rounds
    });
    assert!(rounds.iter().any(|round| round.is_booked), "no claim came in time");
    let wrong = rounds.iter().filter(|round| round.is_booked && round.was_free).count();
    assert_eq!(wrong, 0, "seats were shown as free, and then sold under the hold that they had before");
}

/// What came of a purchase under a hold that was about to end.
#[derive(Default)]
struct Round {
    is_booked: bool,
    /// Whether a look meanwhile has seen the seat free.
    was_free: bool,
}

fn buy_at_the_end_of_a_hold(on: &OnRestate, ticket: &str) -> Round {
    let hold = json!({ "userId": "ann", "holdId": format!("of-{ticket}"), "ttlMs": 1_000 });
    let held = on.client.post(&format!("/Ticket/{ticket}/reserve"), &hold);
    let Some(until) = held.body["reservedUntil"].as_u64() else { return Round::default() };
    let (until, before) = (UNIX_EPOCH + Duration::from_millis(until), Duration::from_millis(60));
    std::thread::sleep((until - before).duration_since(SystemTime::now()).unwrap_or_default());
    std::thread::scope(|scope| {
        let client = on.client.another();
        let looks = scope.spawn(move || {
            let clock = Instant::now();
            let is_free = || client.get(&format!("/Ticket/{ticket}/get")).body["status"] == "AVAILABLE";
            while clock.elapsed() < 6 * before {
                if is_free() {
                    return true;
                }
            }
            false
        });
        let order = json!({ "ticketId": ticket, "userId": "ann", "holdId": format!("of-{ticket}") });
        let is_booked = on.client.post("/Checkout/process", &order).status == 200;
        Round { is_booked, was_free: looks.join().unwrap_or(true) }
    })
}

#[test]
fn what_many_clients_see_is_what_tickets_can_do() {
    let on = OnRestate::start(&["--mock-payment", "--payment-delay", "0ms", "--admin-handlers", "--show-buyers"]);
    let requests = size(3_000, 100_000);
    let recording = record(Load::of(requests, 16).on_restate(), &on.client, &on.client);
    println!("{}", recording.is_linearizable("host-restate", requests).unwrap_or_else(|why| panic!("{why}")));
    recording.planted_lies_are_found().unwrap_or_else(|why| panic!("{why}"));
}

/// What stands in `fixtures/identity.pem`, which signs in this test and nowhere else.
const IDENTITY: &str = "publickeyv1_4NaVK8GRAvvnax9CQX58uTijcUjwRAV4E9q6owcdk6qr";

#[test]
fn only_the_server_with_the_key_is_answered_and_everybody_may_ask_how_it_is() {
    let key = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/identity.pem");
    let args = ["--mock-payment", "--payment-delay", "0ms", "--identity-key", IDENTITY];
    let host = Server::start_of("host-restate", "serve", &args, &[]);
    let nobody = Client::new(&host.base);
    assert_eq!(nobody.get("/discover").status, 401);
    assert_eq!(nobody.post("/invoke/SeatMap/turn", &json!({})).status, 401);
    assert_eq!((nobody.get("/health").status, nobody.get("/health").body), (200, json!({ "status": "ok" })));

    let folder = Folder::new("identity");
    let stranger = Restate::start(Setup::in_folder(folder.path().join("stranger")).unwrap()).unwrap();
    assert!(stranger.setup.register(&host.base).is_err(), "its requests are not signed");
    let mut setup = Setup::in_folder(folder.path().join("known")).unwrap();
    let pem = key.to_string_lossy().into_owned();
    setup.settings.push(("RESTATE_REQUEST_IDENTITY_PRIVATE_KEY_PEM_FILE".into(), pem));
    let known = Restate::start(setup).unwrap();
    known.setup.register(&host.base).unwrap();
    let client = Client::new(&known.setup.ingress_url()).speaking(Dialect::Restate);
    assert_eq!(client.post("/Checkout/process", &json!({ "ticketId": "a:1", "userId": "ann" })).status, 200);

    let metrics = nobody.get("/metrics").text;
    let line = r#"booking_answered_total{service="Checkout",handler="process",kind=""} 1"#;
    assert!(metrics.contains(line), "{metrics}");
    let log = host.stop();
    assert!(!log.contains("\"ERROR\"") && log.contains("stopped"), "{log}");
}

#[test]
fn the_seven_scenarios_of_the_first_proof_of_concept_go_as_they_should() {
    let on = OnRestate::start(&["--mock-payment", "--payment-delay", "0ms", "--show-buyers"]);
    let (went, said) = tests::server::scenarios(&on.restate.setup.ingress_url());
    assert!(went, "{said}");
}
