//! host-worker in the real workerd: what it promises while the process is killed, watched and attacked, and what is
//! deployed.

#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::crowd::Crowd;
use tests::gateway::{
    OddGateway, a_failure_is_told_while_its_money_is_let_go_of, never_captures, never_voids,
    operators_end_what_the_gateway_does_not,
};
use tests::histories::recorder::{Load, record};
use tests::http::Client;
use tests::invitations::{self, an_invitation_leads_to_one_booking};
use tests::server::{Server, notified};
use tests::worker::OnWorkerd;
use tests::{PATIENCE, eventually, size};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};
use xtask::worker::Bundle;
use xtask::wrangler::Dev;

const ADMIN: &str = "an-admin-token-for-tests";
/// What messages to buyers are signed with.
const SECRET: &str = "whsec_YSBzZWNyZXQgZm9yIHRlc3RzIG9ubHksIG9mIDM1IGJ5dGVz";
const PUBLIC: &str = "a-public-token-for-tests";

/// A Worker that asks this gateway.
fn paying_at(gateway: &Server, vars: &[(&str, &str)]) -> OnWorkerd {
    let payments = format!("{}/api/mock-payment", gateway.base);
    OnWorkerd::start(&[&[("PAYMENT_URL", payments.as_str()), ("LOG_LEVEL", "warn")], vars].concat())
}

#[test]
fn nothing_is_lost_while_workerd_is_killed_again_and_again() {
    let gateway = Server::start("mock-gateway", &["--delay", "15ms"]);
    let mut on = paying_at(&gateway, &[]);
    let client = on.client.clone();
    let kills = size(8, 30);
    let crowd = Crowd::new(&client, kills * 50, kills * 60);
    std::thread::scope(|scope| {
        (0..16).for_each(|_| drop(scope.spawn(|| crowd.buy())));
        for kill in 1..=kills {
            crowd.wait_for(kill * 90 / kills);
            on.workerd.kill();
            on.workerd.start_again().unwrap();
        }
    });
    crowd.all_is_well(&Client::new(&gateway.base));
    assert!(!on.log().contains("panicked"), "{}", on.log());
}

/// How many accounts of the gateway's ledger are captured.
fn captured(gateway: &Client) -> usize {
    let ledger = gateway.get("/api/mock-payment/ledger").body;
    ledger["entries"].as_array().unwrap().iter().filter(|entry| entry["captured"] == true).count()
}

#[test]
fn a_failure_is_told_while_its_money_is_still_let_go_of() {
    let gateway = OddGateway::start(never_voids);
    let on = OnWorkerd::start(&[("PAYMENT_URL", &gateway.url), ("PAYMENT_TIMEOUT_MS", "1000"), ("LOG_LEVEL", "warn")]);
    a_failure_is_told_while_its_money_is_let_go_of(&on.client, &gateway, true);
}

#[test]
fn operators_end_what_the_gateway_does_not_here_too() {
    let gateway = OddGateway::start(never_captures);
    let vars = [("PAYMENT_URL", gateway.url.as_str()), ("ADMIN_TOKENS", ADMIN), ("LOG_LEVEL", "warn")];
    let on = OnWorkerd::start(&vars);
    operators_end_what_the_gateway_does_not(&on.client, &on.client.with_token(ADMIN), &gateway);
    assert!(on.log().contains("audit: an operator asks for"), "{}", on.log());
    assert_eq!(on.client.with_token(ADMIN).get("/Checkout/list/stuck").status, 404, "no object knows them all");
}

#[test]
fn a_message_is_sent_again_where_an_operator_wants_that() {
    let (receiver, told) = notified(&[200, 500, 200]);
    let on = OnWorkerd::start(&[("NOTIFY_URL", &receiver), ("ADMIN_TOKENS", ADMIN), ("LOG_LEVEL", "warn")]);
    let admin = on.client.with_token(ADMIN);
    // It costs nothing, so no gateway is needed.
    let free = json!({ "price": { "minor": 0, "currency": "USD" } });
    assert_eq!(admin.post("/Ticket/hall:1/list", &free).status, 200);
    let got = on.client.post("/Checkout/process", &json!({ "ticketId": "hall:1", "userId": "ann" }));
    assert_eq!(got.status, 200, "{}", got.text);
    let first = told.recv_timeout(PATIENCE).unwrap().key;
    let path = format!("/Checkout/{}/notify", got.text("checkoutId"));
    // A message whose first try is not on record yet is on its way: the command adds nothing to it. So it is given until a copy comes.
    let second = eventually(|| {
        let again = admin.post(&path, &Value::Null);
        assert_eq!((again.status, &again.body["status"]), (200, &json!("CONFIRMED")), "{}", again.text);
        told.recv_timeout(Duration::from_secs(2)).ok()
    });
    let copies = [second.key, told.recv_timeout(PATIENCE).unwrap().key];
    assert_eq!(copies, [first.clone(), first], "under the same key, until it is taken");
}

#[test]
fn checkouts_that_were_cut_short_come_to_their_end_without_a_request() {
    let gateway = Server::start("mock-gateway", &["--delay", "1s"]);
    let ledger = Client::new(&gateway.base);
    let mut on = paying_at(&gateway, &[]);
    let ids: Vec<String> = (0..12)
        .map(|n| {
            let order = json!({ "ticketId": format!("hall:{n}"), "userId": "ann" });
            let got = on.client.post("/Checkout/process/send", &order);
            assert_eq!(got.status, 202, "{}", got.text);
            got.text("checkoutId")
        })
        .collect();
    assert_eq!(captured(&ledger), 0, "none has come to its end yet");
    on.workerd.kill();
    on.workerd.start_again().unwrap();
    // Nobody asks the Worker for anything now: alarms bring them on.
    let start = Instant::now();
    while captured(&ledger) < ids.len() {
        assert!(start.elapsed() < PATIENCE, "{} of {}", captured(&ledger), ids.len());
        std::thread::sleep(Duration::from_millis(100));
    }
    for id in ids {
        let end = eventually(|| {
            let got = on.client.get(&format!("/Checkout/{id}"));
            (got.body["status"] != "PENDING").then_some(got.body)
        });
        assert_eq!(end["status"], "CONFIRMED", "{end}");
    }
}

#[test]
fn a_hold_ends_by_itself_and_that_is_recorded() {
    let on = OnWorkerd::start(&[]);
    let held = on.client.post("/Ticket/hall:1/reserve", &json!({ "userId": "ann", "ttlMs": 1_000 }));
    assert_eq!(held.status, 200, "{}", held.text);
    let version = || on.client.get("/SeatMap/hall/summary").body["version"].clone();
    eventually(|| (version() == 2).then_some(()));
    assert_eq!(on.client.get("/SeatMap/hall/get").body, json!([]), "nothing is stored of the seat any more");
}

#[test]
fn a_hold_that_ended_while_workerd_was_away_ends_when_it_is_back() {
    let mut on = OnWorkerd::start(&[]);
    let held = on.client.post("/Ticket/hall:1/reserve", &json!({ "userId": "ann", "ttlMs": 1_000 }));
    assert_eq!(held.status, 200, "{}", held.text);
    on.workerd.kill();
    std::thread::sleep(Duration::from_millis(1_500));
    on.workerd.start_again().unwrap();
    // Nothing asks the map to do so: its alarm has rung.
    let version = || on.client.get("/SeatMap/hall/summary").body["version"].clone();
    eventually(|| (version() == 2).then_some(()));
}

#[test]
fn a_panic_is_an_answer_and_nothing_of_its_turn_is_kept() {
    let on = OnWorkerd::start_with(Bundle::ShopWithFaults, &[]);
    let quickly = |method: &str, path: &str, body: &Value| {
        let start = Instant::now();
        let got = on.client.send(method, path, &[], body.to_string().as_bytes());
        // A hang would last for ever.
        assert!(start.elapsed() < PATIENCE / 2, "{path} took {:?}", start.elapsed());
        got
    };
    let ann = json!({ "userId": "ann" });
    // Others that are in memory stay there.
    let mut watcher = Watcher::of(on.client.base(), "hall");
    assert_eq!(quickly("POST", "/Ticket/hall:1/reserve", &ann).status, 200);
    // In the Worker itself: the platform's own answer.
    assert_eq!(quickly("POST", "/Ticket/hall:panic-route-always/reserve", &ann).status, 500);
    // In the middle of a turn, after its state was written: that is taken back, each time.
    let path = "/Ticket/hall:panic-turn-always";
    let got = quickly("POST", &format!("{path}/reserve"), &ann);
    assert_eq!((got.status, got.kind()), (503, "StorageUnavailable"), "{}", got.text);
    let seen = quickly("GET", &format!("{path}/get"), &Value::Null).body;
    assert_eq!((&seen["status"], &seen["version"]), (&json!("AVAILABLE"), &json!(1)), "hall:1 was held");
    // Once: the object continues with the next request.
    let path = "/Ticket/hall:panic-turn-once";
    assert_eq!(quickly("POST", &format!("{path}/reserve"), &ann).status, 503);
    assert_eq!(quickly("POST", &format!("{path}/reserve"), &ann).status, 200);
    assert_eq!(quickly("GET", &format!("{path}/get"), &Value::Null).body["version"], 2);
    // Before a turn: nobody notices, as the Worker asks the object again.
    assert_eq!(quickly("POST", "/Ticket/hall:panic-object-once/reserve", &ann).status, 200);
    assert_eq!(quickly("POST", "/Ticket/hall:panic-object-always/reserve", &ann).status, 503);
    watcher.follow(3);
    assert_eq!(on.client.get("/Ticket/hall:1/get").body["status"], "RESERVED");
    let panics = on.log().matches("panicked").count();
    assert!(panics >= 6, "one in the Worker, two in turns, three in an object: {panics}");
}

#[test]
fn an_object_that_is_overloaded_is_not_asked_again_and_one_that_was_moved_is() {
    let on = OnWorkerd::start_with(Bundle::ShopWithFaults, &[]);
    let reserve = |map: &str| {
        let url = format!("{}/Ticket/{map}:1/reserve", on.client.base());
        let request = ureq::post(&url).config().http_status_as_error(false).build();
        let mut got = request.content_type("application/json").send(r#"{"userId":"ann"}"#).unwrap();
        let body: Value = serde_json::from_str(&got.body_mut().read_to_string().unwrap()).unwrap();
        let kind = body["kind"].clone();
        let header = got.headers().get("Retry-After").map(|value| value.to_str().unwrap().to_owned());
        (got.status().as_u16(), kind, header)
    };
    let overloaded = || (503, json!("Overloaded"), Some("1".to_owned()));
    assert_eq!(reserve("overloaded-always"), overloaded());
    // Asked a second time, it would have answered.
    assert_eq!(reserve("overloaded-once"), overloaded());
    assert_eq!(reserve("overloaded-once").0, 200);
    assert_eq!(reserve("retryable-once").0, 200);
    assert_eq!(reserve("retryable-always").1, "StorageUnavailable");
}

#[test]
fn what_an_object_of_another_build_says_to_a_message_is_no_delivery() {
    let gateway = Server::start("mock-gateway", &["--delay", "0ms"]);
    let payments = format!("{}/api/mock-payment", gateway.base);
    let on = OnWorkerd::start_with(Bundle::ShopWithFaults, &[("PAYMENT_URL", &payments), ("ADMIN_TOKENS", ADMIN)]);
    let admin = on.client.with_token(ADMIN);
    let order = |ticket: &str| json!({ "ticketId": ticket, "userId": "ann" });
    // The map answers 404 as long as it is of a build that does not know the claim: the checkout asks again.
    assert_eq!(on.client.post("/Checkout/process", &order("other-build-map-once:1")).status, 200);
    let sent = on.client.post("/Checkout/process/send", &order("other-build-map-always:1"));
    eventually(|| on.log().contains("its platform, or another build, said 404").then_some(()));
    let status = on.client.get(&format!("/Checkout/{}", sent.text("checkoutId")));
    assert_eq!(status.body["status"], "PENDING", "{}", status.text);
    // A checkout that says 404 in that way is not one that is forgotten: its seat stays sold.
    let booked = on.client.post("/Checkout/process", &order("hall:other-build-status-always"));
    assert_eq!(booked.status, 200, "{}", booked.text);
    let reset = admin.post("/Ticket/hall:other-build-status-always/reset", &json!({ "upTo": 9 }));
    assert_eq!((reset.status, reset.kind()), (503, "StorageUnavailable"), "{}", reset.text);
    assert_eq!(on.client.get("/Ticket/hall:other-build-status-always/get").body["status"], "SOLD");
}

/// Writes what objects have stored as another version of its form, in the files of a workerd that is stopped.
fn stored_as(on: &OnWorkerd, from: u32, to: u32) -> usize {
    const WRITE: &str = "import pathlib, sqlite3, sys
folder, old, new = sys.argv[1:]
count = 0
for file in pathlib.Path(folder).rglob('*.sqlite'):
    base = sqlite3.connect(file)
    columns = [('tickets', 'ticket'), ('map', 'header'), ('checkout', 'record')]
    tables = {name for (name,) in base.execute('SELECT name FROM sqlite_master')}
    for table, column in columns:
        if table in tables:
            count += base.execute(f'UPDATE {table} SET {column} = replace({column}, ?, ?)', (old, new)).rowcount
    base.commit()
    base.close()
print(count)";
    let versions = [from, to].map(|version| format!("{{\"v\":{version},"));
    let output = Command::new("python3").args(["-c", WRITE]).arg(on.folder()).args(versions).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn what_a_newer_build_has_stored_is_left_as_it_is_until_that_build_is_back() {
    let gateway = Server::start("mock-gateway", &["--delay", "0ms"]);
    let mut on = paying_at(&gateway, &[("ADMIN_TOKENS", ADMIN)]);
    let order = |ticket: &str| json!({ "ticketId": ticket, "userId": "ann" });
    let booked = on.client.post("/Checkout/process", &order("hall:1"));
    assert_eq!(booked.status, 200, "{}", booked.text);
    assert_eq!(on.client.post("/Ticket/hall:2/reserve", &json!({ "userId": "bob" })).status, 200);
    on.workerd.kill();
    assert!(stored_as(&on, 1, 99) >= 4, "two tickets, a header, a checkout");
    on.workerd.start_again().unwrap();
    let checkout = format!("/Checkout/{}", booked.text("checkoutId"));
    for path in ["/Ticket/hall:1/get", "/Ticket/hall:2/get", "/SeatMap/hall/get", &checkout] {
        let got = on.client.get(path);
        assert_eq!((got.status, got.kind()), (503, "StorageUnavailable"), "{path}: {}", got.text);
    }
    for path in ["/Ticket/hall:1/reserve", "/Ticket/hall:3/reserve"] {
        assert_eq!(on.client.post(path, &json!({ "userId": "eve" })).status, 503, "{path}");
    }
    assert!(on.log().contains("use a newer build"), "{}", on.log());
    on.workerd.kill();
    stored_as(&on, 99, 1);
    on.workerd.start_again().unwrap();
    let status = |id: &str| on.client.get(&format!("/Ticket/{id}/get")).body["status"].clone();
    assert_eq!(["hall:1", "hall:2", "hall:3"].map(status), ["SOLD", "RESERVED", "AVAILABLE"]);
    assert_eq!(on.client.get(&checkout).body["status"], "CONFIRMED");
}

#[test]
fn a_seat_that_cannot_be_read_fails_what_names_it_and_nothing_else() {
    let gateway = Server::start("mock-gateway", &["--delay", "0ms"]);
    let payments = format!("{}/api/mock-payment", gateway.base);
    let on = OnWorkerd::start_with(Bundle::ShopWithFaults, &[("PAYMENT_URL", &payments), ("ADMIN_TOKENS", ADMIN)]);
    let holds = |ticket: &str, ttl: u64| {
        let wish = json!({ "userId": "ann", "ttlMs": ttl });
        assert_eq!(on.client.post(&format!("/Ticket/{ticket}/reserve"), &wish).status, 200, "{ticket}");
    };
    holds("hall:1", 60_000);
    holds("hall:garbled-always", 1_000);
    holds("hall:3", 1_000);
    let refused =
        |got: tests::http::Got| assert_eq!((got.status, got.kind()), (503, "StorageUnavailable"), "{}", got.text);
    refused(on.client.get("/Ticket/hall:garbled-always/get"));
    refused(on.client.post("/Ticket/hall:garbled-always/reserve", &json!({ "userId": "bob" })));
    refused(on.client.with_token(ADMIN).post("/SeatMap/hall/resetAll", &json!({})));
    // The hold beside it ends, and its neighbours are sold.
    eventually(|| (on.client.get("/SeatMap/hall/summary").body["version"] == 4).then_some(()));
    for ticket in ["hall:3", "hall:4"] {
        let got = on.client.post("/Checkout/process", &json!({ "ticketId": ticket, "userId": "bob" }));
        assert_eq!(got.status, 200, "{}", got.text);
    }
    let shown = |id: &str, status: &str| json!({ "id": id, "status": status });
    let seats = [("1", "RESERVED"), ("3", "SOLD"), ("4", "SOLD"), ("garbled-always", "BLOCKED")];
    let seats = seats.map(|(name, status)| shown(&format!("hall:{name}"), status));
    assert_eq!(on.client.get("/SeatMap/hall/get").body, json!(seats));
    assert!(on.log().contains("a seat cannot be read"), "{}", on.log());
}

#[test]
fn a_checkout_that_panics_between_two_steps_is_brought_to_its_end_by_its_alarm() {
    let gateway = Server::start("mock-gateway", &["--delay", "0ms"]);
    let payments = format!("{}/api/mock-payment", gateway.base);
    let on = OnWorkerd::start_with(Bundle::ShopWithFaults, &[("PAYMENT_URL", &payments)]);
    let order = json!({ "ticketId": "hall:panic-step-once", "userId": "ann" });
    let got = on.client.post("/Checkout/process", &order);
    assert_eq!((got.status, &got.body["status"]), (202, &json!("PENDING")), "{}", got.text);
    let path = format!("/Checkout/{}", got.text("checkoutId"));
    eventually(|| (on.client.get(&path).body["status"] == "CONFIRMED").then_some(()));
    assert_eq!(captured(&Client::new(&gateway.base)), 1);
}

#[test]
fn an_alarm_that_comes_again_when_all_is_done_changes_nothing() {
    let gateway = Server::start("mock-gateway", &["--delay", "0ms"]);
    let ledger = || Client::new(&gateway.base).get("/api/mock-payment/ledger").text;
    let payments = format!("{}/api/mock-payment", gateway.base);
    let on = OnWorkerd::start_with(Bundle::ShopWithFaults, &[("PAYMENT_URL", &payments), ("LOG_LEVEL", "debug")]);
    let rang = |service: &str| {
        let line = format!(r#""message":"woken","service":"{service}""#);
        on.log().lines().filter(|said| said.contains(&line)).count()
    };
    // The alarm that ends this hold panics when it has done so, and the platform has it ring again.
    let held = on.client.post("/Ticket/hall:panic-alarm-once/reserve", &json!({ "userId": "ann", "ttlMs": 1_000 }));
    assert_eq!(held.status, 200, "{}", held.text);
    let ticket = || on.client.get("/Ticket/hall:panic-alarm-once/get").text;
    eventually(|| (rang("SeatMap") >= 1).then_some(()));
    let before = ticket();
    assert!(before.contains("AVAILABLE") && before.contains(r#""version":2"#), "{before}");
    eventually(|| (rang("SeatMap") >= 2).then_some(()));
    assert_eq!(ticket(), before);
    // This checkout's rings when it has ended.
    let booked = on.client.post("/Checkout/process", &json!({ "ticketId": "hall:alarm-again-once", "userId": "ann" }));
    assert_eq!(booked.status, 200, "{}", booked.text);
    let seen = || {
        let of = |path: &str| on.client.get(path).text;
        (of("/Ticket/hall:alarm-again-once/get"), of(&format!("/Checkout/{}", booked.text("checkoutId"))), ledger())
    };
    let before = seen();
    eventually(|| (rang("Checkout") >= 1).then_some(()));
    assert_eq!(seen(), before);
    let map = on.client.get("/SeatMap/hall/summary").body;
    assert_eq!((&map["counts"]["SOLD"], &map["version"]), (&json!(1), &json!(4)), "each change was told once: {map}");
}

#[test]
fn what_clients_saw_of_the_worker_is_linearizable() {
    let gateway = Server::start("mock-gateway", &["--delay", "1ms"]);
    let on = paying_at(&gateway, &[("ADMIN_TOKENS", ADMIN)]);
    let requests = size(3_000, 52_000);
    let load = Load::of(requests, 24);
    let recording = record(load, &on.client, &on.client.with_token(ADMIN));
    println!("{}", recording.is_linearizable("worker", requests).unwrap_or_else(|why| panic!("{why}")));
    recording.planted_lies_are_found().unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn a_booking_is_told_until_somebody_listens_and_always_under_the_same_key() {
    let gateway = Server::start("mock-gateway", &["--delay", "0ms"]);
    let (url, told) = notified(&[500, 204]);
    let mut on = paying_at(&gateway, &[("NOTIFY_URL", &url), ("NOTIFY_SECRETS", SECRET)]);
    let booking = on.client.post("/Checkout/process", &json!({ "ticketId": "a", "userId": "ann" }));
    assert_eq!(booking.status, 200, "it is done, whether anybody listens or not");
    let first = told.recv_timeout(PATIENCE).unwrap();
    // The second comes by an alarm, also where the process was killed.
    on.workerd.kill();
    on.workerd.start_again().unwrap();
    let second = told.recv_timeout(PATIENCE).unwrap();
    assert!([&first, &second].into_iter().all(|told| told.is_signed_with(SECRET)), "{first:?}");
    assert_eq!((&first.key, &first.body), (&second.key, &second.body));
    assert_eq!(first.key, format!("{}:notify", booking.text("checkoutId")));
    assert_eq!((&first.body["checkoutId"], &first.body["tickets"]), (&booking.body["checkoutId"], &json!(["a"])));
}

/// Someone who watches a map.
struct Watcher {
    socket: WebSocket<TcpStream>,
    version: u64,
    spread: u64,
    pinged: Instant,
}

fn watch_request(base: &str, map: &str) -> tungstenite::handshake::client::Request {
    let address = base.strip_prefix("http://").unwrap();
    let mut request = format!("ws://{address}/SeatMap/{map}/watch").into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "booking.watch.v1".parse().unwrap());
    request
}

impl Watcher {
    fn of(base: &str, map: &str) -> Self {
        let stream = TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(watch_request(base, map), stream).unwrap();
        let mut watcher = Self { socket, version: 0, spread: 0, pinged: Instant::now() };
        let first = watcher.hears();
        watcher.spread = first["spreadMs"].as_u64().unwrap_or_default();
        watcher.version = first["version"].as_u64().unwrap_or_else(|| panic!("no snapshot: {first}"));
        watcher
    }

    fn ping(&mut self) {
        self.socket.send(Message::text(r#"{"type":"ping"}"#)).unwrap();
        self.pinged = Instant::now();
    }

    /// The same, and the map knows that it is there: on a slow machine it may have come long ago.
    fn awake(mut self) -> Self {
        self.ping();
        self
    }

    fn hears(&mut self) -> Value {
        loop {
            match self.socket.read().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Follows the map until this version; no change is missing, none comes twice.
    fn follow(&mut self, until: u64) {
        while self.version < until {
            // Who says nothing for two minutes is sent away: on a slow machine this may take longer.
            if self.pinged.elapsed() > Duration::from_secs(20) {
                self.ping();
            }
            let heard = self.hears();
            for delta in heard["deltas"].as_array().into_iter().flatten() {
                self.version += 1;
                assert_eq!(delta["version"], self.version, "each change once, in order");
            }
        }
    }
}

#[test]
fn a_thousand_watchers_of_a_large_map_see_every_change_of_five_hundred_bookings() {
    const BOOKINGS: usize = 500;
    xtask::run::allow_many_files();
    let gateway = Server::start("mock-gateway", &["--delay", "0ms"]);
    let on = paying_at(&gateway, &[("ADMIN_TOKENS", ADMIN)]);
    let base = on.client.base();
    let place = |n: usize| json!({ "ticketId": format!("arena:{n}"), "price": { "minor": 4_500, "currency": "EUR" }, "x": n, "y": 0 });
    let layout = json!({ "rows": [{ "name": "A", "seats": (0..3_000).map(place).collect::<Vec<_>>() }] });
    assert_eq!(on.client.with_token(ADMIN).post("/SeatMap/arena/layout", &layout).status, 200);
    // It never reads a word, and delays nobody.
    let stalled = Watcher::of(base, "arena");
    // They come all at once, as after a new build took over.
    let come = |_| {
        std::thread::scope(|scope| {
            let each: Vec<_> = (0..37).map(|_| scope.spawn(|| Watcher::of(base, "arena"))).collect();
            each.into_iter().map(|watcher| watcher.join().unwrap()).collect::<Vec<_>>()
        })
    };
    let watchers: Vec<Watcher> = (0..27).flat_map(come).collect();
    assert_eq!(watchers.len(), 999);
    let watchers: Vec<Watcher> = watchers.into_iter().map(Watcher::awake).collect();
    // The last of them know how many they are.
    assert!(Watcher::of(base, "arena").spread > 1_000);
    // Each is held, and then sold, after the layout.
    let (last, next) = (1 + 2 * BOOKINGS as u64, AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let follow: Vec<_> = watchers
            .into_iter()
            .enumerate()
            .map(|(n, mut watcher)| {
                let small = std::thread::Builder::new().stack_size(256 * 1024);
                let follows = move || {
                    if n % 10 == 0 {
                        // Goes away in the middle, and comes back to a snapshot.
                        watcher.follow(last / 4 + n as u64 / 4);
                        let seen = watcher.version;
                        drop(watcher);
                        watcher = Watcher::of(base, "arena");
                        assert!(watcher.version >= seen, "a map never goes back");
                    }
                    watcher.follow(last);
                    watcher.version
                };
                small.spawn_scoped(scope, follows).unwrap()
            })
            .collect();
        for _ in 0..8 {
            let (client, next) = (on.client.another(), &next);
            scope.spawn(move || {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= BOOKINGS {
                        return;
                    }
                    let order = json!({ "ticketId": format!("arena:{n}"), "userId": format!("user-{n}") });
                    let got = client.post("/Checkout/process", &order);
                    assert_eq!(got.status, 200, "{}", got.text);
                }
            });
        }
        for watcher in follow {
            assert_eq!(watcher.join().unwrap(), last);
        }
    });
    drop(stalled);
    let summary = on.client.get("/SeatMap/arena/summary").body;
    assert_eq!((&summary["version"], &summary["counts"]["SOLD"]), (&json!(last), &json!(BOOKINGS)));
}

#[test]
fn a_watcher_is_sent_away_for_what_is_too_long() {
    let on = OnWorkerd::start(&[]);
    let mut watcher = Watcher::of(on.client.base(), "hall");
    watcher.socket.send(Message::text("x".repeat(1_025))).unwrap();
    match watcher.socket.read().unwrap() {
        Message::Close(Some(close)) => assert_eq!(u16::from(close.code), 1009),
        other => panic!("{other:?}"),
    }
}

#[test]
fn pages_of_other_origins_may_ask_and_watch_where_that_is_configured_and_nowhere_else() {
    let on = OnWorkerd::start(&[("ALLOWED_ORIGINS", "https://shop.example.com, https://www.example.com")]);
    let allows = |origin: &str| {
        let response = ureq::get(format!("{}/Ticket/a/get", on.client.base())).header("Origin", origin).call().unwrap();
        response.headers().get("Access-Control-Allow-Origin").map(|value| value.to_str().unwrap().to_owned())
    };
    let watches = |origin: &str| {
        let mut request = watch_request(on.client.base(), "hall");
        request.headers_mut().insert("Origin", origin.parse().unwrap());
        let stream = TcpStream::connect(on.client.base().strip_prefix("http://").unwrap()).unwrap();
        match tungstenite::client(request, stream) {
            Ok(_) => 101,
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => response.status().as_u16(),
            Err(other) => panic!("{other}"),
        }
    };
    let own = on.client.base().to_owned();
    for good in ["https://shop.example.com", "https://www.example.com", own.as_str()] {
        assert_eq!((allows(good).as_deref(), watches(good)), (Some(good), 101));
    }
    for bad in ["https://example.com", "https://www.example.com.evil.example", "null", "http", ""] {
        assert_eq!(allows(bad), None, "{bad}");
        if !bad.is_empty() {
            assert_eq!(watches(bad), 401, "{bad}");
        }
    }
}

#[test]
fn a_log_keeps_secrets_and_tells_of_refused_admins() {
    let gateway = Server::start("mock-gateway", &["--delay", "0ms"]);
    let vars = [("AUTH_TOKENS", PUBLIC), ("ADMIN_TOKENS", ADMIN), ("LOG_LEVEL", "info")];
    let on = paying_at(&gateway, &vars);
    let public = on.client.with_token(PUBLIC);
    let hold = "a-hold-that-nobody-may-see-0123456789";
    let held = public.post("/Ticket/hall:1/reserve", &json!({ "userId": "ann", "holdId": hold }));
    assert_eq!(held.status, 200, "{}", held.text);
    let order = json!({ "ticketId": "hall:1", "userId": "ann", "holdId": hold, "paymentMethodId": "card_secret_4242" });
    let sold = public.post_keyed("/Checkout/process", "a-key-of-the-buyers", &order);
    assert_eq!((sold.status, sold.kind()), (402, "PaymentDeclined"), "{}", sold.text);
    assert_eq!(public.post("/Ticket/hall:1/reset", &json!({ "upTo": 9 })).status, 401);
    assert_eq!(on.client.with_token("a-token-that-is-wrong").post("/Ticket/hall:1/reset", &json!({})).status, 401);
    let log = on.log();
    for secret in [hold, "card_secret", PUBLIC, ADMIN, "a-key-of-the-buyers", "a-token-that-is-wrong"] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    let audits = log.lines().filter(|line| line.contains("audit: an admin handler was refused")).count();
    assert_eq!(audits, 2, "{log}");
    assert!(log.contains(r#""service":"Checkout""#) && log.contains(r#""status":"402""#), "{log}");
}

#[test]
fn what_is_set_wrongly_is_said_and_nothing_is_answered() {
    let folder = tests::restate::Folder::new("worker");
    for (name, value, why) in [
        ("UNIT_PRICE", "much", "UNIT_PRICE"),
        ("HOLD_TTL_MS", "5", "HOLD_TTL_MS"),
        ("ADMIN_TOKENS", "short", "ADMIN_TOKENS"),
        ("INVITATION_KEYS", "as-short-as-a-password", "INVITATION_KEYS"),
        ("PAYMENT_URL", "example.com", "PAYMENT_URL"),
        ("KEEP_FOR_MS", "1000", "KEEP_FOR_MS must be 86400000"),
    ] {
        let setup = xtask::worker::Setup::in_folder(folder.path().join(name), &[(name, value)]).unwrap();
        let mut workerd = xtask::worker::Workerd::start_wrongly(setup).unwrap();
        let got = Client::new(&workerd.setup.url()).get("/health");
        assert_eq!((got.status, got.kind()), (503, "StorageUnavailable"), "{name}");
        let log = std::fs::read_to_string(workerd.setup.log()).unwrap();
        assert!(log.contains(why) && !log.contains("\"short\""), "{name}: {log}");
        workerd.kill();
    }
}

/// What a booking costs, by what the Worker itself says at the level `debug`: requests to objects and alarms by name, and
/// rows written in all.
fn cost(log: &str) -> (BTreeMap<String, usize>, usize) {
    let (mut requests, mut rows) = (BTreeMap::new(), 0);
    for line in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        match line["message"].as_str() {
            Some("asked") => *requests.entry(line["handler"].as_str().unwrap().to_owned()).or_default() += 1,
            Some("woken") => *requests.entry(format!("{}, alarm", line["service"].as_str().unwrap())).or_default() += 1,
            Some("kept") => rows += line["rows"].as_str().unwrap().parse::<usize>().unwrap(),
            _ => {}
        }
    }
    (requests, rows)
}

#[test]
fn a_booking_costs_what_the_readme_says() {
    let gateway = Server::start("mock-gateway", &["--delay", "0ms"]);
    let on = paying_at(&gateway, &[("LOG_LEVEL", "debug")]);
    let book = |tickets: &[&str]| {
        let before = on.log().len();
        let got = on.client.post("/Checkout/process", &json!({ "ticketIds": tickets, "userId": "ann" }));
        assert_eq!(got.status, 200, "{}", got.text);
        // What a checkout writes after its answer.
        std::thread::sleep(Duration::from_secs(2));
        cost(&on.log()[before..])
    };
    // The first makes the map.
    book(&["hall:1"]);
    for (tickets, written) in [(&["hall:2"][..], 14), (&["hall:3", "hall:4"], 17)] {
        let (requests, rows) = book(tickets);
        let requests: Vec<String> = requests.iter().map(|(name, count)| format!("{name} {count}")).collect();
        assert_eq!(requests, ["Checkout/process 1", "SeatMap/claim 1", "SeatMap/confirm 1"], "{tickets:?}");
        assert_eq!(rows, written, "{tickets:?}");
    }
}

#[test]
fn an_invitation_leads_to_one_booking_and_stands_in_no_log() {
    let folder = tests::restate::Folder::new("wrangler");
    let vars = [("ADMIN_TOKENS", ADMIN), ("INVITATION_KEYS", invitations::KEY)];
    let dev = Dev::with_all_workers("development", folder.path(), &vars).unwrap();
    let public = Client::new(&dev.url());
    let made = an_invitation_leads_to_one_booking(&public, &public.with_token(ADMIN));
    let log = std::fs::read_to_string(dev.log()).unwrap();
    assert!(made.iter().all(|invitation| !log.contains(invitation.as_str())), "{log}");
    // Without a key there are none.
    let on = OnWorkerd::start(&[("ADMIN_TOKENS", ADMIN)]);
    let refused = on.client.with_token(ADMIN).post("/invitations", &json!({ "mapKey": "hall" }));
    assert_eq!(refused.kind(), "NotFound");
}

#[test]
fn who_asks_too_often_is_told_so_and_when_to_try_again() {
    // workerd by itself counts no requests; the simulator that wrangler brings does, as Cloudflare would.
    let folder = tests::restate::Folder::new("wrangler");
    let dev = Dev::start("staging", folder.path(), &[]).unwrap();
    let client = Client::new(&dev.url());
    // Health is never counted; of these, 300 a minute are let in, and a minute may begin meanwhile.
    let refused = (0..1_000).map(|_| client.get("/Ticket/hall:1/get")).find(|got| got.status != 200);
    let refused = refused.expect("a thousand are too many");
    assert_eq!((refused.status, refused.kind()), (429, "RateLimited"), "{}", refused.text);
    assert_eq!(client.get("/health").status, 200);
    let again = ureq::get(format!("{}/Ticket/hall:1/get", client.base()))
        .config()
        .http_status_as_error(false)
        .build()
        .call()
        .unwrap();
    assert_eq!(again.headers().get("Retry-After").map(|value| value.to_str().unwrap()), Some("10"));
}

/// What every file of the page comes with: it may load and ask nothing but its own, and nobody may frame it.
const HEADERS_OF_THE_PAGE: [(&str, &str); 4] = [
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
];

#[test]
fn the_page_comes_with_its_headers_and_every_other_path_is_the_workers() {
    let folder = tests::restate::Folder::new("wrangler");
    let dev = Dev::start("development", folder.path(), &[("ADMIN_TOKENS", ADMIN)]).unwrap();
    let client = Client::new(&dev.url());
    for (path, kind) in [("/", "text/html"), ("/app.js", "text/javascript"), ("/settings.json", "application/json")] {
        let got = client.get(path);
        let header = |name: &str| got.headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(got.status, 200, "{path}: {}", got.text);
        assert!(header("Content-Type").is_some_and(|got| got.starts_with(kind)), "{path}: {:?}", got.headers);
        for (name, value) in HEADERS_OF_THE_PAGE {
            assert_eq!(header(name), Some(value), "{path}: {name}");
        }
    }
    let navigates = [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate")];
    for path in ["/nothing", "/_headers", "/app", "/SeatMap", "/SeatMap/hall/nothing"] {
        let got = client.send("GET", path, &navigates, b"");
        assert_eq!((got.status, got.kind()), (404, "NotFound"), "{path}");
    }
    assert_eq!(client.get("/SeatMap/app.js/get").body, json!([]));
    let layout = json!({ "rows": [] });
    assert_eq!(client.post("/SeatMap/hall/layout", &layout).status, 401);
    assert_ne!(client.with_token(ADMIN).post("/SeatMap/hall/layout", &layout).status, 401);
}

#[test]
fn each_bundle_is_as_small_as_it_was_meant_to_stay() {
    for bundle in Bundle::DEPLOYED {
        let bytes = xtask::worker::gzipped(&bundle.built().unwrap()).unwrap();
        assert!(bytes <= bundle.most_bytes(), "{bundle:?}: {bytes} bytes, gzipped");
    }
}

#[test]
fn many_requests_at_a_time_for_one_seat_sell_it_once() {
    let gateway = Server::start("mock-gateway", &["--delay", "5ms"]);
    let on = paying_at(&gateway, &[]);
    let (sold, go) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for n in 0..32 {
            let (client, sold, go) = (on.client.another(), &sold, &go);
            scope.spawn(move || {
                while !go.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                let got =
                    client.post("/Checkout/process", &json!({ "ticketId": "hot", "userId": format!("user-{n}") }));
                match got.status {
                    200 => drop(sold.fetch_add(1, Ordering::Relaxed)),
                    409 => assert!(["TicketReserved", "TicketSold"].contains(&got.kind()), "{}", got.text),
                    _ => panic!("{}", got.text),
                }
            });
        }
        go.store(true, Ordering::Relaxed);
    });
    assert_eq!(sold.into_inner(), 1);
    assert_eq!(captured(&Client::new(&gateway.base)), 1);
}
