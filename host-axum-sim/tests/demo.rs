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

use host_axum_sim::demo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

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

    /// Asks, and reads what is answered.
    async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
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

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, "", "").await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// As the operator.
    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask("POST", path, &format!("authorization: Bearer {ADMIN}\r\n"), &body.to_string()).await
    }
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
    let seat = json!({ "ticketId": "demo:X", "price": { "minor": 5, "currency": "USD" }, "x": 0, "y": 0 });
    let layout = json!({ "rows": [{ "name": "X", "seats": [seat] }] });
    assert_eq!(second.post("/SeatMap/demo/layout", &layout).await.1["edition"], 2);
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
