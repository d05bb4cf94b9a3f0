//! A house of many maps, a thousand seats each: what benchmarks fill a server with.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use crate::load::{Make, load, post};
use crate::servers::{ADMIN_TOKEN, Server};

/// Seats of one map.
pub const SEATS: u64 = 1_000;

/// Publishes a layout of a thousand seats.
pub fn publish(n: u64, out: &mut Vec<u8>) {
    layout(n, SEATS, out);
}

/// Publishes the layout of the map `arena-n`: this many seats, `arena-n:0` and so on.
pub fn layout(n: u64, seats: u64, out: &mut Vec<u8>) {
    let seat =
        |s: u64| format!(r#"{{"ticketId":"arena-{n}:{s}","price":{{"minor":4500,"currency":"USD"}},"x":{s},"y":{n}}}"#);
    let seats: Vec<String> = (0..seats).map(seat).collect();
    let body = format!(r#"{{"rows":[{{"name":"A","seats":[{}]}}]}}"#, seats.join(","));
    as_admin(&format!("/SeatMap/arena-{n}/layout"), &body, out);
}

/// A `POST` of some JSON by an operator.
pub fn as_admin(path: &str, body: &str, out: &mut Vec<u8>) {
    let length = body.len();
    out.extend(format!("POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN_TOKEN}\r\n").bytes());
    out.extend(format!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").bytes());
}

/// Holds a seat of one of these.
pub fn hold(n: u64, out: &mut Vec<u8>) {
    post(&format!("/Ticket/arena-{}:{}/reserve", n / SEATS, n % SEATS), &format!("\"user-{n}\""), out);
}

/// Buys one.
pub fn buy(n: u64, out: &mut Vec<u8>) {
    let ticket = format!("arena-{}:{}", n / SEATS, n % SEATS);
    post("/Checkout/process", &format!(r#"{{"ticketId":"{ticket}","userId":"user-{n}"}}"#), out);
}

/// As many requests as are wanted, from a number on.
///
/// # Errors
/// When one is refused, or the server cannot be asked.
pub fn exactly(server: &Server, count: u64, from: u64, make: impl Make) -> io::Result<()> {
    exactly_at(server.address, 8, count, from, make)
}

/// The same at any address, by this many clients.
///
/// # Errors
/// As [`exactly`].
pub fn exactly_at(address: SocketAddr, clients: usize, count: u64, from: u64, make: impl Make) -> io::Result<()> {
    let done = load(address, clients, Duration::from_secs(3_600), from, Some(count), make)?;
    let why = done.refusal.unwrap_or_default();
    if done.good == count {
        Ok(())
    } else {
        Err(io::Error::other(format!("{} of {count} were refused: {why}", done.other)))
    }
}

/// How many tickets a server knows.
///
/// # Errors
/// When it cannot be asked.
pub fn known(server: &Server) -> io::Result<u64> {
    let mut stream = std::net::TcpStream::connect(server.address)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let counts = text.lines().filter(|line| line.starts_with("booking_tickets{"));
    Ok(counts.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum())
}
