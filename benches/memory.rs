//! How much memory the in-process host takes: for tickets that it knows, and under load for as long as one likes.
//!
//! `cargo bench -p benches --bench memory [-- --minutes 10]`

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use benches::house::{SEATS, buy, exactly, hold, known, publish};
use benches::load::{asked, load, post};
use benches::servers::{Server, serve_if_asked};
use booking_core::time::Millis;

const MIB: u64 = 1 << 20;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let is_bench = args.iter().any(|arg| arg == "--bench");
    let minutes = args.iter().skip_while(|arg| *arg != "--minutes").nth(1).and_then(|text| text.parse().ok());
    let minutes: u64 = minutes.unwrap_or(if is_bench { 10 } else { 0 });
    let maps = if is_bench { 1_000 } else { 2 };
    let measured = serve_if_asked().and_then(|served| {
        if served {
            return Ok(());
        }
        known_tickets(maps)?;
        long_load(minutes)
    });
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout, reason = "a benchmark tells what it measured")]
fn say(line: &str) {
    println!("{line}");
}

fn resident(server: &Server) -> io::Result<u64> {
    server.resident().ok_or_else(|| io::Error::other("this system does not tell what a process has in memory"))
}

fn known_tickets(maps: u64) -> io::Result<()> {
    let server = Server::booking()?;
    let empty = resident(&server)?;
    let tickets = maps * SEATS;
    let mut last = empty;
    let mut tell = |what: &str, count: u64| -> io::Result<()> {
        // What was begun in batches is to be over.
        while known(&server)? < tickets {
            std::thread::sleep(Duration::from_millis(100));
        }
        let now = resident(&server)?;
        let each = now.saturating_sub(last) / count.max(1);
        say(&format!("{what:44} {:6} MiB, {each:5} bytes more for each of {count}", now / MIB));
        last = now;
        Ok(())
    };
    say(&format!("{:44} {:6} MiB", "nothing", empty / MIB));
    exactly(&server, maps, 0, publish)?;
    tell("all known: listed by layouts, on sale", tickets)?;
    exactly(&server, tickets / 10, 0, hold)?;
    tell("of these, a tenth held by buyers", tickets / 10)?;
    exactly(&server, tickets / 10, tickets / 10, buy)?;
    tell("and a tenth sold, with checkouts and ledger", tickets / 10)
}

/// Holds, lets go and buys, over and over, ten thousand tickets.
fn mixed(n: u64, out: &mut Vec<u8>) {
    let seat = (n / 3) % 10_000;
    let (path, hold) = (format!("/Ticket/hall-{}:{seat}", seat / SEATS), format!("hold-{n}"));
    match n % 3 {
        0 => post(&format!("{path}/reserve"), &format!(r#"{{"userId":"ann","holdId":"{hold}"}}"#), out),
        1 => post(&format!("{path}/release"), &format!(r#"{{"holdId":"hold-{}"}}"#, n - 1), out),
        _ => {
            // Declined, so that the seat is free again.
            let card = r#""paymentMethodId":"card_decline""#;
            let body = format!(r#"{{"ticketId":"hall-{}:{seat}","userId":"bob",{card}}}"#, seat / SEATS);
            post("/Checkout/process", &body, out);
        }
    }
}

fn long_load(minutes: u64) -> io::Result<()> {
    let kept = Millis::from_secs(5);
    let server = Server::keeping(kept, 1 << 30)?;
    say(&format!("under load on 10000 tickets, keeping what is finished for {} s:", kept.0 / 1000));
    let (start, mut next, mut samples) = (Instant::now(), 0, Vec::new());
    loop {
        let step = if minutes == 0 { Duration::from_millis(300) } else { Duration::from_secs(15) };
        let done = load(server.address, 64, step, next, None, mixed)?;
        next += asked(&done);
        let now = resident(&server)?;
        samples.push(now);
        say(&format!("  after {:4} s {:6} MiB, {:6} answers/s", start.elapsed().as_secs(), now / MIB, done.rate()));
        if start.elapsed() >= Duration::from_secs(minutes * 60) {
            break;
        }
    }
    // The first minute fills what is kept.
    let settled = samples.get(4..).unwrap_or_default();
    if let (Some(least), Some(most)) = (settled.iter().min(), settled.iter().max()) {
        say(&format!("  from the second minute on: {} to {} MiB, {next} requests in all", least / MIB, most / MIB));
    }
    Ok(())
}
