//! A demo: its theatre, who is let in, and what a second start finds; and the page by itself.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use booking_core::MapKey;
use booking_core::terms::Terms;
use booking_core::time::Millis;
use host_axum_sim::engine::{Engine, Gateway, Settings};
use host_axum_sim::{Auth, Host, PageSettings, RouteSettings, ServeSettings, demo, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How long a test waits for what must happen. It fails a test that hangs, and none on a slow machine.
const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn the_theatre_has_twenty_rows_of_twenty_four_seats_at_three_prices() {
    let layout = demo::layout();
    assert_eq!(layout.rows().len(), 20);
    assert!(layout.rows().iter().all(|row| row.seats.len() == 24));
    let names: Vec<&str> = layout.rows().iter().map(|row| row.name.as_str()).collect();
    assert_eq!((names[0], names[9], names[10], names[19]), ("Stalls A", "Stalls K", "Circle L", "Balcony V"));
    assert_eq!(layout.rows()[2].seats[6].ticket.as_str(), "demo:C-7");
    assert!(layout.places().all(|place| place.ticket.map_key() == demo::map()));
    let prices: Vec<String> = layout.rows().iter().map(|row| row.seats[0].price.to_string()).collect();
    assert!(prices.is_sorted_by(|one, next| one >= next), "{prices:?}");
    assert_eq!(prices.iter().collect::<BTreeSet<_>>().len(), 3);
    for row in layout.rows() {
        assert!(row.seats.iter().all(|place| place.price == row.seats[0].price));
        let apart: Vec<u32> = row.seats.windows(2).map(|two| two[1].x - two[0].x).collect();
        assert_eq!(apart.iter().filter(|gap| **gap > apart[0]).count(), 2, "two aisles");
    }
    let places: BTreeSet<(u32, u32)> = layout.places().map(|place| (place.x, place.y)).collect();
    assert_eq!(places.len(), 480, "no seat is drawn on another");
    let begins: Vec<u32> = layout.rows().iter().map(|row| row.seats[0].y).collect();
    let apart: Vec<u32> = begins.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(apart.iter().filter(|gap| **gap > apart[0]).count(), 2, "between sections");
}

const ADMIN: &str = "admin-token-of-a-demo";

/// The command at work, until this is dropped.
struct Served {
    child: Child,
    address: String,
    /// What it has said by then.
    said: Vec<String>,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _may_have_ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_host-axum-sim"));
    command.args(args).env("NO_COLOR", "1").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

impl Served {
    fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        let listen = args.iter().copied().chain(["--listen", "127.0.0.1:0"]).collect::<Vec<_>>();
        let mut child = command(&listen).envs(env.iter().copied()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (mut said, mut address) = (Vec::new(), None);
        for line in lines.by_ref().map_while(Result::ok) {
            address = line.split_once("the page is at http://").map(|(_, rest)| rest.trim_end_matches('/').to_owned());
            said.push(line);
            if address.is_some() {
                break;
            }
        }
        std::thread::spawn(move || lines.count());
        let address = address.unwrap_or_else(|| panic!("it did not start: {said:?}"));
        Self { child, address, said }
    }

    async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
        ask(&self.address, method, path, headers, body).await
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, "", "").await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// As the operator.
    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        post(&self.address, path, body).await
    }
}

/// Asks, and reads what is answered.
async fn ask(address: &str, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap_or_else(|_| json!(body)))
}

/// A directory of this test's own, gone when this is.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("booking-demo-{}-{name}", std::process::id()));
        let _was_left = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// What each seat of the theatre costs, in its smallest coin.
fn prices() -> BTreeMap<String, u64> {
    demo::layout().places().map(|place| (place.ticket.to_string(), place.price.minor())).collect()
}

#[tokio::test]
async fn every_seat_of_a_demo_is_there_with_its_price_and_the_page_shows_them() {
    let served = Served::start(&["serve", "--demo"], &[("BOOKING_CLOSED_SALES", "true")]);
    assert_eq!(served.get("/settings.json").await, json!({ "api": ".", "map": "demo", "demo": true }));
    assert!(served.said.iter().any(|line| line.contains("BOOKING_ADMIN_TOKEN")), "{:?}", served.said);
    let metrics = served.get("/metrics").await;
    for name in ["booking_holds_lapsed_total", "booking_payment_retries_total"] {
        assert!(metrics.as_str().unwrap().lines().any(|line| line == format!("{name} 0")), "no {name} in {metrics}");
    }
    let seats = served.get("/SeatMap/demo/get").await;
    assert_eq!(seats.as_array().unwrap().len(), 480);
    for (ticket, price) in prices() {
        let (status, held) = served.ask("POST", &format!("/Ticket/{ticket}/reserve"), "", "\"ann\"").await;
        assert_eq!((status, &held["price"]), (200, &json!({ "minor": price, "currency": "USD" })), "{ticket}");
    }
}

#[tokio::test]
async fn a_demo_that_is_started_again_is_as_it_was_also_where_its_operator_has_changed_it() {
    let scratch = Scratch::new("twice");
    let directory = scratch.0.to_str().unwrap().to_owned();
    let start = || Served::start(&["serve", "--demo", "--data-dir", &directory], &[("BOOKING_ADMIN_TOKEN", ADMIN)]);
    let first = start();
    assert!(!first.said.iter().any(|line| line.contains("BOOKING_ADMIN_TOKEN")), "{:?}", first.said);
    assert_eq!(first.post("/Ticket/demo:A-1/sell", &json!("ann")).await.0, 200);
    let before = (first.get("/SeatMap/demo/get").await, first.get("/SeatMap/demo/summary").await);
    drop(first);
    let second = start();
    assert_eq!((second.get("/SeatMap/demo/get").await, second.get("/SeatMap/demo/summary").await), before);
    let seat = |id: &str| json!({ "ticketId": id, "price": { "minor": 5, "currency": "USD" }, "x": 0, "y": 0 });
    let layout = |seats: &[&str]| json!({ "rows": [{ "name": "X", "seats": seats.iter().map(|id| seat(id)).collect::<Vec<_>>() }] });
    let (status, refused) = second.post("/SeatMap/demo/layout", &layout(&["demo:X"])).await;
    assert_eq!((status, &refused["kind"], &refused["ticketId"]), (409, &json!("TicketSold"), &json!("demo:A-1")));
    assert_eq!(second.post("/SeatMap/demo/layout", &layout(&["demo:X", "demo:A-1"])).await.1["edition"], 2);
    drop(second);
    let third = start();
    assert_eq!(third.get("/SeatMap/demo/get").await[0]["id"], "demo:X", "it is the operator's now");
}

#[test]
fn a_demo_is_not_kept_from_anybody() {
    let scratch = Scratch::new("tokens");
    std::fs::write(&scratch.0, "public-token-of-a-shop\n").unwrap();
    let (file, env) = (scratch.0.to_str().unwrap(), [("BOOKING_AUTH_TOKEN", "public-token-of-a-shop")]);
    for (args, env) in [(&["serve", "--demo", "--auth-token-file", file][..], &env[..0]), (&["serve", "--demo"], &env)]
    {
        let output = command(args).envs(env.iter().copied()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains("--demo") && said.contains("--auth-token-file"), "{said}");
    }
    std::fs::remove_file(&scratch.0).unwrap();
}

#[tokio::test]
async fn a_page_alone_asks_an_api_that_is_elsewhere() {
    let served = Served::start(&["page", "--api", "http://127.0.0.1:9/booking/", "--map", "hall"], &[]);
    let told = json!({ "api": "http://127.0.0.1:9/booking", "map": "hall", "demo": false });
    assert_eq!(served.get("/settings.json").await, told);
    assert!(served.get("/").await.as_str().unwrap().starts_with("<!doctype html>"));
    for (method, path) in [("GET", "/health"), ("POST", "/Ticket/a/reserve"), ("GET", "/nowhere")] {
        let (status, body) = served.ask(method, path, "", "").await;
        assert_eq!((status, &body["kind"]), (404, &json!("NotFound")), "{path}");
    }
    for (api, says) in [("http://user@127.0.0.1", "no user"), ("tickets.example", "--api"), ("http://a/?b", "no query")]
    {
        let output = command(&["page", "--api", api]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(says), "{said}");
    }
}

/// A server of this process, with a small hall to be sold out, and its address.
async fn a_hall(rows: u32) -> (String, tokio::sync::oneshot::Sender<()>) {
    let settings = Settings {
        gateway: Gateway::Mock { delay: Millis(20) },
        terms: Terms { closed_sales: true, shows_buyers: true, ..Terms::default() },
        ..Settings::default()
    };
    let auth = Auth::new([], [ADMIN]).unwrap().with_open_ledger(true);
    let page = PageSettings { map: Some(MapKey::parse("hall").unwrap()), demo: true, ..PageSettings::default() };
    let settings_of_serve = ServeSettings {
        routes: RouteSettings { auth, ..RouteSettings::default() },
        page: Some(page),
        ..ServeSettings::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let host = Host::new(Engine::new(settings));
    tokio::spawn(async {
        let stopped = async { drop(stopped.await) };
        serve(listener, host, settings_of_serve, stopped).await
    });
    let seat = |row: u32, n: u32| {
        let price = json!({ "minor": 100 * (row + 1), "currency": "USD" });
        json!({ "ticketId": format!("hall:{row}-{n}"), "price": price, "x": n, "y": row })
    };
    let seats = |row: u32| (1..=10).map(|n| seat(row, n)).collect::<Vec<_>>();
    let rows: Vec<Value> = (0..rows).map(|row| json!({ "name": format!("{row}"), "seats": seats(row) })).collect();
    let (status, body) = post(&address, "/SeatMap/hall/layout", &json!({ "rows": rows })).await;
    assert_eq!(status, 200, "{body}");
    (address, stop)
}

/// As the operator, and as the page would.
async fn post(address: &str, path: &str, body: &Value) -> (u16, Value) {
    let headers = format!("authorization: Bearer {ADMIN}\r\ncontent-type: application/json\r\n");
    ask(address, "POST", path, &headers, &body.to_string()).await
}

async fn get(address: &str, path: &str) -> Value {
    ask(address, "GET", path, "", "").await.1
}

/// Waits until it holds of the crowd.
async fn eventually(address: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let asked = async {
        loop {
            let stands = get(address, "/demo/crowd").await;
            if holds(&stands) {
                return stands;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("it never does")
}

/// The mock gateway's ledger, once all that was set aside is taken or let go of. That may be after its buyer was told.
async fn settled_ledger(address: &str) -> Value {
    let settled = async {
        loop {
            let ledger = get(address, "/api/mock-payment/ledger").await;
            if ledger["entries"].as_array().unwrap().iter().all(|entry| entry["captured"] != entry["voided"]) {
                return ledger;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("money is left set aside")
}

#[tokio::test]
async fn a_crowd_sells_a_hall_out_and_what_it_paid_is_what_its_seats_cost() {
    let (address, _stop) = a_hall(6).await;
    let (status, stands) = post(&address, "/demo/crowd", &json!({ "buyers": 40 })).await;
    assert_eq!(
        (status, &stands["running"], &stands["buyers"], &stands["left"]),
        (202, &json!(true), &json!(40), &json!(60))
    );
    let (status, stands) = post(&address, "/demo/crowd", &json!({ "buyers": 500 })).await;
    assert_eq!((status, &stands["buyers"]), (200, &json!(40)), "one at a time");
    let stands = eventually(&address, |stands| stands["running"] == json!(false)).await;
    assert_eq!((&stands["seats"], &stands["left"]), (&json!(60), &json!(0)), "{stands}");
    let seats = get(&address, "/SeatMap/hall/get").await;
    let seats = seats.as_array().unwrap();
    assert!(seats.len() == 60 && seats.iter().all(|seat| seat["status"] == "SOLD"), "{seats:?}");
    let ledger = settled_ledger(&address).await;
    let captured = ledger["entries"].as_array().unwrap().iter().filter(|entry| entry["captured"] == json!(true));
    let captured: Vec<u64> = captured.map(|entry| entry["amount"]["minor"].as_u64().unwrap()).collect();
    assert_eq!(captured.iter().sum::<u64>(), 10 * (100 + 200 + 300 + 400 + 500 + 600));
    assert_eq!(stands["booked"], json!(captured.len()));
    // Each buyer has a name of their own, and as many seats as they paid for.
    let ticket = get(&address, "/Ticket/hall:0-1/get").await;
    assert!(ticket["reservedBy"].as_str().unwrap().starts_with("crowd-"), "{ticket}");
    let metrics = get(&address, "/metrics").await;
    assert!(metrics.as_str().unwrap().contains("service=\"Checkout\",handler=\"process\""), "asked as anybody does");
    // With nothing left the next one has nothing to do.
    assert_eq!(post(&address, "/demo/crowd", &json!({})).await.1["buyers"], json!(60));
    let stands = eventually(&address, |stands| stands["running"] == json!(false)).await;
    assert_eq!((&stands["booked"], &stands["left"]), (&json!(0), &json!(0)), "{stands}");
}

#[tokio::test]
async fn a_crowd_is_sent_home_and_ends_with_its_server() {
    let (address, stop) = a_hall(40).await;
    let stands = get(&address, "/demo/crowd").await;
    let nobody = json!({ "running": false, "buyers": 0, "booked": 0, "seats": 0, "declined": 0, "walkedAway": 0,
        "gaveBack": 0, "left": 400 });
    assert_eq!(stands, nobody);
    assert_eq!(post(&address, "/demo/crowd", &json!({ "buyers": 5 })).await.0, 202);
    eventually(&address, |stands| stands["booked"] != json!(0)).await;
    let (status, stands) = ask(&address, "DELETE", "/demo/crowd", "", "").await;
    assert_eq!((status, &stands["running"]), (200, &json!(false)), "{stands}");
    assert_ne!(stands["left"], json!(0));
    // Sending nobody home does no harm.
    assert_eq!(ask(&address, "DELETE", "/demo/crowd", "", "").await.0, 200);
    assert_eq!(post(&address, "/demo/crowd", &json!({ "buyers": 5 })).await.0, 202);
    drop(stop);
    let refuses = async {
        while TcpStream::connect(&address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refuses).await.expect("it stops");
}

#[tokio::test]
async fn what_is_asked_of_a_crowd_is_looked_at_as_any_request_is() {
    let (address, _stop) = a_hall(1).await;
    let json_type = "content-type: application/json; charset=utf-8\r\n";
    let long = format!("{{\"buyers\":{}5}}", " ".repeat(20_000));
    for (headers, body, status, kind, says) in [
        (json_type, r#"{"buyers":0}"#, 400, "InvalidRequest", "`buyers` must be a whole number from 1 to 500"),
        (json_type, r#"{"buyers":501}"#, 400, "InvalidRequest", "`buyers`"),
        (json_type, r#"{"buyers":-1}"#, 400, "InvalidRequest", "`buyers`"),
        (json_type, r#"{"buyers":1.5}"#, 400, "InvalidRequest", "`buyers`"),
        (json_type, r#"{"buyers":"5"}"#, 400, "InvalidRequest", "`buyers`"),
        (json_type, r#"{"buyers":5,"sellers":1}"#, 400, "InvalidRequest", "`sellers` is not a field"),
        (json_type, "[5]", 400, "InvalidRequest", "`body` must be an object"),
        (json_type, "{", 400, "InvalidRequest", "`body` is not valid JSON"),
        (json_type, &long, 413, "PayloadTooLarge", ""),
        ("", r#"{"buyers":5}"#, 400, "InvalidRequest", "`content-type` must be application/json"),
        ("content-type: text/plain\r\n", r#"{"buyers":5}"#, 400, "InvalidRequest", "`content-type`"),
        ("authorization: Bearer not-the-admins-token\r\n", "{}", 401, "Unauthorized", ""),
    ] {
        let (got, answer) = ask(&address, "POST", "/demo/crowd", headers, body).await;
        let message = answer["message"].as_str().unwrap();
        assert_eq!((got, &answer["kind"]), (status, &json!(kind)), "{answer}");
        assert!(answer["code"] == json!(status) && message.contains(says), "{message}");
    }
    assert_eq!(ask(&address, "PUT", "/demo/crowd", json_type, "{}").await.0, 405);
    assert_eq!(get(&address, "/demo/crowd").await["buyers"], json!(0), "nobody was let in");
}

#[tokio::test]
async fn a_server_that_keeps_what_it_sells_says_whether_it_sells_any_id() {
    let scratch = Scratch::new("any-id");
    let directory = scratch.0.to_str().unwrap().to_owned();
    let says_so = |args: &[&str]| {
        let served = Served::start(&[&["serve"], args].concat(), &[]);
        served.said.iter().any(|line| line.contains("any id is a ticket"))
    };
    assert!(says_so(&["--data-dir", &directory]));
    assert!(!says_so(&["--data-dir", &directory, "--closed-sales"]));
    assert!(!says_so(&[]), "nothing is kept");
}

#[tokio::test]
async fn without_a_demo_there_is_no_crowd() {
    let served = Served::start(&["serve"], &[]);
    for method in ["POST", "GET", "DELETE"] {
        let (status, body) = served.ask(method, "/demo/crowd", "content-type: application/json\r\n", "{}").await;
        assert_eq!((status, &body["kind"]), (404, &json!("NotFound")), "{method}");
    }
    assert_eq!(served.get("/settings.json").await, json!({ "api": ".", "map": null, "demo": false }));
}
