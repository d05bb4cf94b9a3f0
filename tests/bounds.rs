//! What `host-axum-sim` takes on, and what it sheds: each bound that its README names is reached.

#![cfg(not(target_family = "wasm"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};
use tests::durable::ADMIN;
use tests::http::{Client, Got};
use tests::server::Server;
use tests::soak::gauges::memory;
use tests::soak::shows::layout;
use tests::{PATIENCE, eventually};
use tungstenite::client::IntoClientRequest as _;
use xtask::run::root;

/// How a bound is reached.
enum Reached {
    /// By this test, here.
    Here(fn()),
    /// By the test of this name in this file.
    Elsewhere(&'static str, &'static str),
}

/// The bounds, by the first words of their rows.
const BOUNDS: [(&str, Reached); 13] = [
    ("connections", Reached::Here(connections)),
    (
        "connections of one address",
        // A test has no other address than this machine's own.
        Reached::Elsewhere("host-axum-sim/src/serve.rs", "an_address_has_its_share_and_this_machine_has_no_limit"),
    ),
    ("watchers", Reached::Here(watchers)),
    ("what is on its way to those who read and watch maps", Reached::Here(texts_on_their_way)),
    ("what a watcher takes", Reached::Here(what_watchers_take)),
    ("a body", Reached::Here(bodies)),
    ("checkouts under way", Reached::Here(checkouts_under_way)),
    ("known tickets", Reached::Here(tickets)),
    ("bookings, and checkouts under way", Reached::Here(bookings)),
    ("checkouts that sold nothing", Reached::Here(failures)),
    ("idempotency keys of holds", Reached::Here(keys)),
    ("accounts of the built-in mock gateway that no checkout made", Reached::Here(accounts)),
    ("holds of one user, those of their checkouts among them", Reached::Here(holds)),
];

#[test]
fn each_bound_of_the_readme_is_reached() {
    let readme = std::fs::read_to_string(root().join("host-axum-sim/README.md")).unwrap();
    let (_, rows) = readme.split_once("### What it takes on, and what it sheds").unwrap();
    let rows = rows.lines().skip_while(|line| !line.starts_with("| ---")).skip(1);
    let rows = rows.map_while(|line| Some(line.strip_prefix("| ")?.split(" |").next()?.to_owned()));
    let known: BTreeMap<&str, &Reached> = BOUNDS.iter().map(|(row, reached)| (*row, reached)).collect();
    let rows: Vec<String> = rows.collect();
    assert_eq!(rows, BOUNDS.map(|(row, _)| row.to_owned()), "the table has other rows than there are tests");
    for row in &rows {
        match known[row.as_str()] {
            Reached::Here(reach) => reach(),
            Reached::Elsewhere(file, test) => {
                let source = std::fs::read_to_string(root().join(file)).unwrap();
                assert!(source.contains(&format!("fn {test}()")), "{row}: {file} has no {test}");
            }
        }
    }
}

fn serve(args: &[&str]) -> Server {
    Server::start_with("serve", args, &[("BOOKING_ADMIN_TOKEN", ADMIN), ("BOOKING_PAYMENT_DELAY", "0ms")])
}

fn refused(got: &Got, status: u16, kind: &str) {
    assert_eq!((got.status, got.kind()), (status, kind), "{}", got.text);
    let is_soon = status == 413 || got.headers.contains_key("retry-after");
    assert!(is_soon, "when to come again is not said: {:?}", got.headers);
}

fn buy(client: &Client, n: usize, card: &str) -> Got {
    let order = json!({ "ticketId": format!("hall:{n}"), "userId": "ann", "paymentMethodId": card });
    client.post_keyed("/Checkout/process", &format!("order-{n}"), &order)
}

fn connections() {
    let host = serve(&["--max-connections", "2"]);
    let address = host.base.strip_prefix("http://").unwrap();
    let connect = || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let ask = |stream: &mut TcpStream, connection: &str| {
        let _closed = write!(stream, "GET /health HTTP/1.1\r\nhost: x\r\nconnection: {connection}\r\n\r\n");
    };
    let (mut one, mut two) = (connect(), connect());
    let mut first = [0; 12];
    for stream in [&mut one, &mut two] {
        ask(stream, "keep-alive");
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
    }
    let mut three = connect();
    ask(&mut three, "close");
    let mut answer = String::new();
    three.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(serde_json::from_str::<Value>(body).unwrap()["kind"], "Overloaded");
    drop((one, two));
    eventually(|| {
        let mut four = connect();
        ask(&mut four, "close");
        let mut answer = String::new();
        four.read_to_string(&mut answer).is_ok_and(|_| answer.starts_with("HTTP/1.1 200")).then_some(())
    });
}

type Socket = tungstenite::WebSocket<TcpStream>;

/// A watcher of a map, or the status that it is refused with.
fn watch(base: &str, map: &str) -> Result<Socket, u16> {
    let address = base.strip_prefix("http://").unwrap();
    let mut request = format!("ws://{address}/SeatMap/{map}/watch").into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "booking.watch.v1".parse().unwrap());
    match tungstenite::client(request, TcpStream::connect(address).unwrap()) {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => Err(answer.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

fn watchers() {
    let host = serve(&["--max-watchers", "1"]);
    let watch = || watch(&host.base, "hall");
    let first = watch().unwrap();
    assert_eq!(watch().unwrap_err(), 503);
    drop(first);
    eventually(|| watch().ok());
}

/// Readers who have begun to read, each a large map of its own, and do not continue.
fn texts_on_their_way() {
    // Several texts one after the other: more than the system takes for one who does not read.
    const TEXTS: usize = 5;
    const ENOUGH: usize = 60;
    let host = serve(&[]);
    let client = Client::new(&host.base);
    let admin = client.with_token(ADMIN);
    let address = host.base.strip_prefix("http://").unwrap();
    // Long names make long texts.
    let map = |n: usize| format!("{}{n:02}", "m".repeat(100));
    for n in 0..ENOUGH {
        let map = map(n);
        assert_eq!(admin.post(&format!("/SeatMap/{map}/layout"), &layout(&map, 90, 100)).status, 200);
    }
    let whole = client.get(&format!("/SeatMap/{}/get", map(0))).bytes.len();
    assert!((ENOUGH - 10) * whole > 48 << 20, "these are too few: {whole} bytes each");
    let begun = |n: usize| {
        let ask = |connection: &str| {
            format!("GET /SeatMap/{}/get HTTP/1.1\r\nhost: x\r\nconnection: {connection}\r\n\r\n", map(n))
        };
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all((ask("keep-alive").repeat(TEXTS - 1) + &ask("close")).as_bytes()).unwrap();
        let mut first = vec![0; 1024];
        stream.read_exact(&mut first).unwrap();
        (stream, first)
    };
    let is_shown_all = |(stream, read): &mut (TcpStream, Vec<u8>)| {
        let _may_be_cut_off = stream.read_to_end(read);
        read.len() >= TEXTS * whole
    };
    for (readers, is_too_much) in [(20, false), (ENOUGH, true)] {
        let mut readers: Vec<_> = (0..readers).map(begun).collect();
        assert!(is_shown_all(readers.last_mut().unwrap()), "one who came last is cut off");
        assert_eq!(!is_shown_all(&mut readers[0]), is_too_much, "of {} the slowest is cut off", readers.len());
    }
}

/// Watchers of a large map without a layout, whose names they are sent. They read the most of it, and stay.
fn what_watchers_take() {
    const SEATS: u64 = 8_000;
    const WATCHERS: usize = 150;
    const MIB: u64 = 1024;
    let host = serve(&["--hold-ttl", "2h"]);
    let client = Client::new(&host.base);
    let map = "m".repeat(100);
    assert!((0..SEATS).all(|n| client.post(&format!("/Ticket/{map}:{n}/reserve"), &json!("ann")).status == 200));
    let before = memory(host.id()).unwrap();
    let mut snapshot = 0;
    let watchers: Vec<Socket> = (0..WATCHERS)
        .map(|_| {
            let mut watcher = watch(&host.base, &map).unwrap();
            let shown: Value = serde_json::from_str(watcher.read().unwrap().to_text().unwrap()).unwrap();
            assert_eq!(shown["tickets"].as_array().unwrap().len() as u64, SEATS);
            snapshot = shown.to_string().len() as u64 / 1024;
            watcher
        })
        .collect();
    let more = memory(host.id()).unwrap().saturating_sub(before);
    assert!(WATCHERS as u64 * snapshot > 2 * 60 * MIB, "{snapshot} KiB are too little to see it");
    assert!(more < 24 * MIB, "{more} KiB for {WATCHERS} watchers who were shown {snapshot} KiB each");
    drop(watchers);
}

fn bodies() {
    let host = serve(&[]);
    let (client, admin) = (Client::new(&host.base), Client::new(&host.base).with_token(ADMIN));
    let long = json!({ "userId": "ann", "comment": "x".repeat(16 << 10) });
    refused(&client.post("/Ticket/hall:1/reserve", &long), 413, "PayloadTooLarge");
    refused(&client.post("/Checkout/process", &long), 413, "PayloadTooLarge");
    let mut much = layout("hall", 1, 1);
    much["comment"] = "x".repeat(2 << 20).into();
    refused(&admin.post("/SeatMap/hall/layout", &much), 413, "PayloadTooLarge");
    assert_eq!(admin.post("/SeatMap/hall/layout", &layout("hall", 100, 100)).status, 200, "this is shorter");
}

fn checkouts_under_way() {
    let host = serve(&["--max-checkouts", "1", "--payment-delay", "5s"]);
    let client = Client::new(&host.base);
    let send =
        |n: u32| client.post("/Checkout/process/send", &json!({ "ticketId": format!("hall:{n}"), "userId": "ann" }));
    assert_eq!(send(1).status, 202);
    refused(&send(2), 503, "Overloaded");
    assert_eq!(client.get("/Ticket/hall:2/get").body["status"], "AVAILABLE");
    eventually(|| (send(2).status == 202).then_some(()));
}

fn tickets() {
    let host = serve(&["--max-tickets", "3"]);
    let client = Client::new(&host.base);
    let hold = |n: u32| client.post(&format!("/Ticket/hall:{n}/reserve"), &json!("ann"));
    // A map takes room as a ticket does.
    let first = hold(1);
    assert_eq!((first.status, hold(2).status), (200, 200));
    refused(&hold(3), 503, "Overloaded");
    // A seat of which nothing is left makes room.
    let let_go = client.post("/Ticket/hall:1/release", &json!({ "holdId": first.text("holdId") }));
    assert_eq!((let_go.status, hold(3).status), (200, 200));
}

fn bookings() {
    let host = serve(&["--keep-bytes", "1MiB"]);
    let client = Client::new(&host.base);
    let sold: Vec<Got> =
        (0..2_000).map(|n| buy(&client, n, "card_success")).take_while(|got| got.status == 200).collect();
    assert!((300..1_000).contains(&sold.len()), "{} bookings", sold.len());
    refused(&buy(&client, sold.len(), "card_success"), 503, "Overloaded");
    let first = &sold[0];
    assert_eq!(client.get(&format!("/Checkout/{}", first.text("checkoutId"))).body["status"], "CONFIRMED");
    assert_eq!(buy(&client, 0, "card_success").text, first.text, "its key is known");
}

fn failures() {
    let host = serve(&["--keep-bytes", "1MiB"]);
    let client = Client::new(&host.base);
    let send = |n: u32| {
        let order = json!({ "ticketId": format!("hall:{n}"), "userId": "ann", "paymentMethodId": "card_decline" });
        let path = format!("/Checkout/{}", client.post("/Checkout/process/send", &order).text("checkoutId"));
        eventually(|| (client.get(&path).body["status"] == "FAILED").then_some(()));
        path
    };
    let sent: Vec<String> = (0..200).map(send).collect();
    assert_eq!((client.get(&sent[0]).status, client.get(&sent[199]).status), (404, 200), "the oldest is forgotten");
    assert_eq!(buy(&client, 1_000, "card_success").status, 200, "no sale is kept out");
}

fn keys() {
    let host = serve(&["--keep-bytes", "1MiB", "--hold-ttl", "2h"]);
    let client = Client::new(&host.base);
    let hold = |n: u32| {
        client.post_keyed(
            &format!("/Ticket/hall:{n}/reserve"),
            &format!("key-{n}"),
            &json!({ "userId": "ann", "holdId": format!("hold-{n}") }),
        )
    };
    let other = |n: u32| {
        client.post_keyed(&format!("/Ticket/hall:{n}/reserve"), &format!("key-{n}"), &json!("bob")).kind().to_owned()
    };
    assert!((0..2_000).all(|n| hold(n).status == 200));
    assert_eq!(other(1_999), "IdempotencyKeyReused");
    assert_eq!(other(0), "TicketReserved", "the oldest key is forgotten, and the hold is there");
}

fn accounts() {
    let host = serve(&["--keep-bytes", "1MiB"]);
    let client = Client::new(&host.base);
    let pay = |n: u32| {
        client.post_keyed(
            "/api/mock-payment",
            &format!("pay-{n}"),
            &json!({ "amount": 5, "paymentMethodId": "card_success" }),
        )
    };
    let full = (0..5_000).find(|n| pay(*n).status != 200).unwrap();
    refused(&pay(full), 503, "Overloaded");
    assert_eq!(pay(0).status, 200, "one that there is, is asked as before");
    assert_eq!(buy(&client, 0, "card_success").status, 200, "no sale is kept out");
}

fn holds() {
    let host = serve(&["--max-holds-per-user", "1"]);
    let client = Client::new(&host.base);
    let hold = |n: u32, user: &str| client.post(&format!("/Ticket/hall:{n}/reserve"), &json!(user));
    assert_eq!(hold(1, "ann").status, 200);
    refused(&hold(2, "ann"), 429, "RateLimited");
    assert_eq!(hold(2, "bob").status, 200);
    let order = json!({ "ticketIds": ["hall:3", "hall:4"], "userId": "cat" });
    refused(&client.post("/Checkout/process", &order), 429, "RateLimited");
}
