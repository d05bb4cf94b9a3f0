//! host-worker as a Restate endpoint: a real Restate server calls it in the real workerd, while both are killed, and while
//! strangers try.

#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    reason = "a test that cannot go on fails"
)]

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tests::crowd::Crowd;
use tests::histories::recorder::{Load, record};
use tests::http::{Client, Got};
use tests::server::Server;
use tests::worker::{OnWorkerd, WorkerOnRestate};
use tests::{eventually, size};
use xtask::worker::Bundle;

/// A Worker that a server calls, and that asks this gateway.
fn paying_at(gateway: &Server, vars: &[(&str, &str)]) -> WorkerOnRestate {
    let payments = format!("{}/api/mock-payment", gateway.base);
    let always = [("PAYMENT_URL", payments.as_str()), ("RESTATE_UNSIGNED", "allowed")];
    WorkerOnRestate::start(&[&always[..], vars].concat(), &[])
}

#[test]
fn nothing_is_lost_while_workerd_and_the_server_are_killed() {
    let gateway = Server::start("mock-gateway", &["--delay", "15ms"]);
    let mut on = paying_at(&gateway, &[]);
    let client = on.client.clone();
    let checkouts = size(300, 800);
    let crowd = Crowd::new(&client, checkouts, checkouts * 6 / 5);
    std::thread::scope(|scope| {
        (0..16).for_each(|_| drop(scope.spawn(|| crowd.buy())));
        for kill in 1..=12 {
            crowd.wait_for(kill * 7);
            if kill % 6 == 0 {
                on.restate.kill();
                std::thread::sleep(Duration::from_millis(200));
                on.restate.start_again().unwrap();
            } else {
                on.worker.workerd.kill();
                on.worker.workerd.start_again().unwrap();
            }
        }
    });
    crowd.all_is_well(&Client::new(&gateway.base));
    assert!(!on.worker.log().contains("panicked"), "{}", on.worker.log());
}

#[test]
fn what_many_clients_see_is_what_tickets_can_do() {
    let gateway = Server::start("mock-gateway", &["--delay", "0ms"]);
    let on = paying_at(&gateway, &[("RESTATE_ADMIN_HANDLERS", "true"), ("SHOW_BUYERS", "true")]);
    let requests = size(2_000, 50_000);
    let recording = record(Load::of(requests, 24).on_restate(), &on.client, &on.client);
    println!("{}", recording.is_linearizable("worker-on-restate", requests).unwrap_or_else(|why| panic!("{why}")));
    recording.planted_lies_are_found().unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn a_booking_is_nine_requests_to_the_worker_and_no_more() {
    let gateway = Server::start("mock-gateway", &["--delay", "0ms"]);
    let on = paying_at(&gateway, &[("LOG_LEVEL", "debug")]);
    let asked = |since: usize| {
        let log = on.worker.log()[since..].to_owned();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let asked = lines.filter(|line| line["message"] == "asked");
        let mut asked: Vec<String> = asked.map(|line| line["handler"].as_str().unwrap().to_owned()).collect();
        asked.sort();
        asked
    };
    let book = |ticket: &str| {
        let got = on.client.post("/Checkout/process", &json!({ "ticketId": ticket, "userId": "ann" }));
        assert_eq!(got.status, 200, "{}", got.text);
    };
    book("hall:1");
    eventually(|| (asked(0).len() >= 8).then_some(()));
    std::thread::sleep(Duration::from_secs(1));
    let before = on.worker.log().len();
    book("hall:2");
    let expected = [
        // Its begin, a claim, the authorisation, a confirm, the capture: each is waited for. And its end.
        &["Checkout/process"; 6][..],
        &["SeatMap/turn"; 2],
    ];
    eventually(|| (asked(before).len() >= expected.concat().len()).then_some(()));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(asked(before), expected.concat());
    // And the map's timer, a quarter of an hour later. That of a hold is like it: a request for the hold, one for its end.
    let before = on.worker.log().len();
    let held = on.client.post("/Ticket/hall:3/reserve", &json!({ "userId": "ann", "ttlMs": 1_000 }));
    assert_eq!(held.status, 200, "{}", held.text);
    let turns = || asked(before).into_iter().filter(|handler| handler == "SeatMap/turn").count();
    eventually(|| (turns() >= 2).then_some(()));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(turns(), 2);
}

#[test]
fn without_an_identity_key_it_serves_nobody_unless_that_is_allowed() {
    let folder = tests::restate::Folder::new("worker");
    let start = |bundle: Bundle, vars: &[(&str, &str)]| {
        let name = format!("{}-{}", vars.len(), vars[0].1);
        let setup = xtask::worker::Setup::in_folder(folder.path().join(name), vars).unwrap();
        xtask::worker::Workerd::start_wrongly(xtask::worker::Setup { bundle, ..setup }).unwrap()
    };
    for (bundle, vars, why) in [
        (Bundle::Restate, &[("LOG_LEVEL", "info")][..], "RESTATE_IDENTITY_KEYS must be there"),
        (Bundle::Restate, &[("RESTATE_IDENTITY_KEYS", "publickeyv1_0")], "RESTATE_IDENTITY_KEYS"),
        (Bundle::Restate, &[("RESTATE_UNSIGNED", "maybe")], "RESTATE_UNSIGNED must be"),
        (Bundle::Shop, &[("MODE", "restate")], "the endpoint for Restate is a Worker of its own"),
    ] {
        let mut workerd = start(bundle, vars);
        let client = Client::new(&workerd.setup.url());
        for path in ["/health", "/discover", "/invoke/SeatMap/turn"] {
            assert_eq!(client.post(path, &json!({})).status, 503, "{vars:?} {path}");
        }
        let log = std::fs::read_to_string(workerd.setup.log()).unwrap();
        assert!(log.contains(why), "{vars:?}: {log}");
        workerd.kill();
    }
}

/// What stands in `fixtures/identity.pem`, which signs in tests and nowhere else.
const IDENTITY: &str = "publickeyv1_4NaVK8GRAvvnax9CQX58uTijcUjwRAV4E9q6owcdk6qr";

fn pem() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/identity.pem");
    path.to_string_lossy().into_owned()
}

/// A token for a path, signed with the key of a file, or with another. It is valid between two times, in seconds from now.
fn token(path: &str, from: i64, until: i64, is_known: bool) -> String {
    const SIGN: &str = "const { sign, createPrivateKey, generateKeyPairSync } = require('crypto');
        const [path, from, until, file] = process.argv.slice(1);
        const key = file ? createPrivateKey(require('fs').readFileSync(file)) : generateKeyPairSync('ed25519').privateKey;
        const now = Math.floor(Date.now() / 1000);
        const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
        const claims = { aud: path, nbf: now + Number(from), iat: now + Number(from), exp: now + Number(until) };
        const message = part({ alg: 'EdDSA', typ: 'JWT', kid: 'test' }) + '.' + part(claims);
        process.stdout.write(message + '.' + sign(null, Buffer.from(message), key).toString('base64url'));";
    let file = if is_known { pem() } else { String::new() };
    let said =
        Command::new("node").args(["-e", SIGN, "--", path, &from.to_string(), &until.to_string(), &file]).output();
    let said = said.unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap()
}

/// Asks for an invocation, with a token or without one.
fn invoke(client: &Client, path: &str, token: Option<&str>, body: &[u8]) -> Got {
    let mut headers = vec![("Content-Type", "application/vnd.restate.invocation.v5")];
    if let Some(token) = token {
        headers.extend([("X-Restate-Signature-Scheme", "v1"), ("X-Restate-Jwt-V1", token)]);
    }
    client.send("POST", path, &headers, body)
}

/// A message of the protocol: its type, and its fields.
fn message(kind: u16, fields: &[u8]) -> Vec<u8> {
    let head = u64::from(kind) << 48 | fields.len() as u64;
    [&head.to_be_bytes()[..], fields].concat()
}

/// A field of bytes. All here are shorter than 2^14.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    assert!(number < 16 && bytes.len() < 1 << 14);
    let low = |bits: usize| u8::try_from(bits & 0x7f).unwrap();
    let length = match bytes.len() {
        short @ ..128 => vec![low(short)],
        long => vec![low(long) | 0x80, low(long >> 7)],
    };
    [&[number << 3 | 2][..], &length, bytes].concat()
}

/// An invocation of a handler of an object, as a server begins it: a start with the whole of its state, which is none, and
/// the input.
fn invocation(key: &str, input: &str) -> Vec<u8> {
    let id = [
        field(1, b"an-id"),
        field(2, b"inv_1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        vec![3 << 3, 1],
        field(6, key.as_bytes()),
    ];
    let start = message(0x0000, &id.concat());
    let header = [field(1, b"booking-from-inside"), field(2, b"1700000000000")].concat();
    let input = message(0x0400, &[field(1, &header), field(14, &field(1, input.as_bytes()))].concat());
    [start, input].concat()
}

const CLAIM: &str = "/invoke/SeatMap/turn";

/// A claim, as a checkout sends it.
const A_CLAIM: &str = r#"{"call":{"line":[["hall:2"],{"claim":{"user":"eve","hold":"h","brought":false,"checkout":"c","deadline":9000000000000,"defaultPrice":{"minor":1,"currency":"USD"}}}]},"at":1}"#;

#[test]
fn what_no_known_server_has_signed_is_refused_and_runs_nothing() {
    let on = WorkerOnRestate::start(
        &[("RESTATE_IDENTITY_KEYS", IDENTITY)],
        &[("RESTATE_REQUEST_IDENTITY_PRIVATE_KEY_PEM_FILE", &pem())],
    );
    // The server with the key is answered.
    let got = on.client.post("/Ticket/hall:1/reserve", &json!({ "userId": "ann" }));
    assert_eq!(got.status, 200, "{}", got.text);
    let worker = &on.worker.client;
    let claim = invocation("hall", A_CLAIM);
    let good = token(CLAIM, -5, 60, true);
    let is_run = |got: &Got| got.status == 200;
    assert!(
        is_run(&invoke(worker, CLAIM, Some(&good), &claim)),
        "this one is right, so the others are refused for a reason"
    );
    let flipped = |at: usize| -> String {
        let flip = |(n, c): (usize, char)| if n == at { if c == 'A' { 'B' } else { 'A' } } else { c };
        good.chars().enumerate().map(flip).collect()
    };
    let dots: Vec<usize> = good.match_indices('.').map(|(at, _)| at).collect();
    let refused = [
        ("unsigned", CLAIM, None),
        ("signed by another", CLAIM, Some(token(CLAIM, -5, 60, false))),
        ("replayed when its time is over", CLAIM, Some(token(CLAIM, -60, -1, true))),
        ("not valid yet", CLAIM, Some(token(CLAIM, 30, 60, true))),
        ("replayed for another handler", "/invoke/Ticket/release", Some(good.clone())),
        ("replayed for the description", "/discover", Some(good.clone())),
        ("altered in its head", CLAIM, Some(flipped(2))),
        ("altered in its claims", CLAIM, Some(flipped(dots[0] + 9))),
        ("altered in its signature", CLAIM, Some(flipped(dots[1] + 20))),
        ("without its signature", CLAIM, Some(good[..dots[1]].to_owned())),
        ("empty", CLAIM, Some(String::new())),
    ];
    for (what, path, token) in &refused {
        let got = invoke(worker, path, token.as_deref(), &claim);
        assert_eq!(got.status, 401, "{what}: {}", got.text);
    }
    let unsigned = [("X-Restate-Signature-Scheme", "unsigned"), ("X-Restate-Jwt-V1", good.as_str())];
    assert_eq!(worker.send("POST", CLAIM, &unsigned, &claim).status, 401);
    // Buyers have nothing to ask of it but whether it is up, and nothing was run.
    assert_eq!(worker.post("/Checkout/process", &json!({ "ticketId": "hall:3", "userId": "ann" })).status, 401);
    assert_eq!(worker.get("/health").status, 200);
    assert_eq!(on.client.get("/Ticket/hall:2/get").body["status"], "AVAILABLE");
    assert_eq!(on.client.get("/Ticket/hall:1/get").body["status"], "RESERVED");
}

#[test]
fn ten_thousand_bodies_that_are_no_invocations_get_their_error() {
    let on = OnWorkerd::start_with(Bundle::Restate, &[("RESTATE_UNSIGNED", "allowed"), ("LOG_LEVEL", "warn")]);
    let whole = invocation("hall", A_CLAIM);
    let good = invoke(&on.client, CLAIM, None, &whole);
    assert_eq!(good.status, 200, "{}", good.text);
    let paths = [
        CLAIM,
        "/invoke/Checkout/process",
        "/invoke/SeatMap/seat",
        "/invoke/Notifications/deliver",
        "/invoke/Ticket/get",
    ];
    let seed = std::cell::Cell::new(0x9e37_79b9_7f4a_7c15_u64);
    let dice = |below: usize| {
        let mut x = seed.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        seed.set(x);
        usize::try_from(x % below as u64).unwrap()
    };
    let mut seen = std::collections::BTreeMap::<u16, usize>::new();
    for n in 0..10_000 {
        let mut body = whole.clone();
        match n % 5 {
            // Bytes that are nothing at all.
            0 => body = (0..dice(200)).map(|_| u8::try_from(dice(256)).unwrap()).collect(),
            // Cut short.
            1 => body.truncate(dice(whole.len())),
            // A few bytes of it are others.
            2 => (0..1 + dice(4)).for_each(|_| {
                let at = dice(whole.len());
                body[at] = u8::try_from(dice(256)).unwrap();
            }),
            // More than it says, or less, comes after.
            3 => body.extend(message(u16::try_from(dice(0x1_0000)).unwrap(), &whole[..dice(40)])),
            // Of another handler than it is for, with another input.
            _ => body = invocation("hall", &A_CLAIM[..dice(A_CLAIM.len())]),
        }
        let got = invoke(&on.client, paths[dice(paths.len())], None, &body);
        assert!(got.status == 200 || (400..500).contains(&got.status), "{}: {}", got.status, got.text);
        *seen.entry(got.status).or_default() += 1;
    }
    // The endpoint ran some that were well-formed enough, and said in the protocol what was wrong; it refused most before.
    assert!(seen.contains_key(&400) && seen.contains_key(&200), "{seen:?}");
    for (what, headers) in [("no type", vec![]), ("another type", vec![("Content-Type", "application/json")])] {
        let got = on.client.send("POST", CLAIM, &headers, &whole);
        assert!((400..500).contains(&got.status), "{what}: {} {}", got.status, got.text);
    }
    assert_eq!(invoke(&on.client, "/invoke/Ticket/nothing", None, &whole).status, 404);
    let again = invoke(&on.client, CLAIM, None, &whole);
    assert_eq!((again.status, again.text), (200, good.text), "it does what it did before");
    assert!(!on.log().contains("panicked"), "{}", on.log());
}

#[test]
fn a_command_that_cannot_be_judged_is_given_up_and_its_map_goes_on() {
    let gateway = Server::start("mock-gateway", &["--delay", "0ms"]);
    let payments = format!("{}/api/mock-payment", gateway.base);
    let vars = [("PAYMENT_URL", payments.as_str()), ("RESTATE_UNSIGNED", "allowed")];
    let on = WorkerOnRestate::start_with(Bundle::RestateWithFaults, &vars, &[]);
    let panics = || on.worker.log().matches("panicked").count();
    // Once: it is tried again, and nobody is the wiser.
    let once = on.client.post("/Checkout/process", &json!({ "ticketId": "hall:panic-restate-once", "userId": "ann" }));
    assert_eq!((once.status, panics()), (200, 1), "{}", once.text);
    // Always: the map gives the command up and takes the next. The command's checkout waits, and asks again.
    let order = json!({ "ticketId": "hall:panic-judge-always", "userId": "ann" });
    let sent = on.client.post("/Checkout/process/send", &order);
    assert_eq!(sent.status, 202, "{}", sent.text);
    eventually(|| (panics() > 1).then_some(()));
    let other = on.client.post("/Checkout/process", &json!({ "ticketId": "hall:1", "userId": "bob" }));
    assert_eq!(other.status, 200, "{}", other.text);
    let buyer = on.client.post("/Ticket/hall:panic-judge-always/reserve", &json!({ "userId": "ann" }));
    assert_eq!((buyer.status, buyer.kind()), (503, "StorageUnavailable"), "{}", buyer.text);
    assert_eq!(on.client.get(&format!("/Checkout/{}", sent.text("checkoutId"))).body["status"], "PENDING");
    let other = on.client.post("/Checkout/process", &json!({ "ticketId": "hall:2", "userId": "bob" }));
    assert_eq!(other.status, 200, "{}", other.text);
}

/// What an operator does to a checkout.
fn cancel(on: &WorkerOnRestate, checkout: &str) {
    let admin = Client::new(&on.restate.setup.admin_url());
    let got = admin.send("PATCH", &format!("/invocations/{checkout}/cancel"), &[], b"");
    assert!((200..300).contains(&got.status), "{} {}", got.status, got.text);
}

/// A checkout, under way; its id.
fn sent(on: &WorkerOnRestate, order: &Value) -> String {
    let got = on.client.post("/Checkout/process/send", order);
    assert_eq!(got.status, 202, "{}", got.text);
    got.text("checkoutId")
}

/// Waits until the journal of a checkout has this.
fn comes_to(on: &WorkerOnRestate, checkout: &str, entry: &str) {
    let sql = format!("SELECT index FROM sys_journal WHERE id = '{checkout}' AND {entry}");
    eventually(|| (!on.restate.setup.query(&sql).unwrap().is_empty()).then_some(()));
}

fn end_of(on: &WorkerOnRestate, checkout: &str) -> Value {
    eventually(|| {
        let got = on.client.get(&format!("/Checkout/{checkout}"));
        (got.body["status"] != "PENDING").then_some(got.body)
    })
}

#[test]
fn a_cancel_turns_a_checkout_back_at_the_end_of_its_step_until_capture_has_been_asked_for() {
    let gateway = Server::start("mock-gateway", &["--delay", "1500ms"]);
    let on = paying_at(&gateway, &[]);
    let early = sent(&on, &json!({ "ticketId": "hall:1", "userId": "ann" }));
    let late = sent(&on, &json!({ "ticketId": "hall:2", "userId": "ann" }));
    // Its seat is held, and its authorisation under way.
    comes_to(&on, &early, "entry_type = 'Notification: Call'");
    cancel(&on, &early);
    // Its seat is sold to it, and its capture under way.
    eventually(|| (on.client.get("/Ticket/hall:2/get").body["status"] == "SOLD").then_some(()));
    cancel(&on, &late);
    let end = end_of(&on, &early);
    assert!(end["message"].as_str().unwrap().contains("cancelled"), "{end}");
    assert_eq!(end_of(&on, &late)["status"], "CONFIRMED");
    assert_eq!(on.client.get("/Ticket/hall:1/get").body["status"], "AVAILABLE");
    let ledger = Client::new(&gateway.base);
    // It is let go of beside the checkout, whose caller does not wait for that.
    eventually(|| (captured(&ledger, &early) == [false, true]).then_some(()));
    assert_eq!(captured(&ledger, &late), [true, false]);
}

/// Whether the gateway has captured a checkout's money, and whether it has let go of it.
fn captured(gateway: &Client, checkout: &str) -> [bool; 2] {
    let ledger = gateway.get("/api/mock-payment/ledger").body;
    let key = format!("{checkout}:authorize");
    let entry = ledger["entries"].as_array().unwrap().iter().find(|entry| entry["key"] == key.as_str()).cloned();
    let entry = entry.unwrap_or_default();
    ["captured", "voided"].map(|what| entry[what] == true)
}

#[test]
fn a_cancel_that_comes_when_a_wait_is_over_and_nobody_knows_it_yet_is_not_lost() {
    let gateway = Server::start("mock-gateway", &["--delay", "0ms"]);
    let mut on = paying_at(&gateway, &[]);
    // The gateway gives no answer, so it waits, and tries again.
    let checkout = sent(&on, &json!({ "ticketId": "hall:1", "userId": "ann", "paymentMethodId": "card_error" }));
    comes_to(&on, &checkout, "entry_type = 'Command: Sleep'");
    on.worker.workerd.kill();
    comes_to(&on, &checkout, "entry_type = 'Notification: Sleep'");
    cancel(&on, &checkout);
    on.worker.workerd.start_again().unwrap();
    let end = end_of(&on, &checkout);
    assert!(end["message"].as_str().unwrap().contains("cancelled"), "{end}");
    eventually(|| (on.client.get("/Ticket/hall:1/get").body["status"] == "AVAILABLE").then_some(()));
}

#[test]
fn a_call_that_is_killed_alone_turns_its_checkout_back() {
    let gateway = Server::start("mock-gateway", &["--delay", "0ms"]);
    let payments = format!("{}/api/mock-payment", gateway.base);
    let vars = [("PAYMENT_URL", payments.as_str()), ("RESTATE_UNSIGNED", "allowed")];
    let on = WorkerOnRestate::start_with(Bundle::RestateWithFaults, &vars, &[]);
    // The claim panics at first, and is to be tried again in two seconds.
    let checkout = sent(&on, &json!({ "ticketId": "hall:panic-restate-once", "userId": "ann" }));
    let sql = "SELECT id FROM sys_invocation WHERE target_handler_name = 'turn' AND status = 'backing-off'";
    let claim = eventually(|| on.restate.setup.query(sql).unwrap().first().map(|row| row["id"].clone()));
    let admin = Client::new(&on.restate.setup.admin_url());
    let killed = admin.send("PATCH", &format!("/invocations/{}/kill", claim.as_str().unwrap()), &[], b"");
    assert!((200..300).contains(&killed.status), "{} {}", killed.status, killed.text);
    let end = end_of(&on, &checkout);
    assert!(end["message"].as_str().unwrap().contains("cancelled"), "{end}");
    eventually(|| (on.client.get("/Ticket/hall:panic-restate-once/get").body["status"] == "AVAILABLE").then_some(()));
    assert_eq!(captured(&Client::new(&gateway.base), &checkout), [false, false]);
}
