//! How many requests the in-process host answers over HTTP, beside an axum handler that does nothing.
//!
//! `cargo bench -p benches --bench http`: 64 clients, load generator and servers on the same machine, in memory, taking
//! turns; several rounds, medians.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use benches::load::{Loaded, asked, get_ticket, load, process};
use benches::servers::{Server, serve_if_asked};

const CLIENTS: usize = 64;

/// One thing that is measured, round after round.
struct Row {
    name: &'static str,
    server: Server,
    make: fn(u64, &mut Vec<u8>),
    next: u64,
    rounds: Vec<Loaded>,
}

impl Row {
    fn new(name: &'static str, server: Server, make: fn(u64, &mut Vec<u8>)) -> Self {
        Self { name, server, make, next: 0, rounds: Vec::new() }
    }

    fn round(&mut self, lasts: Duration) -> io::Result<()> {
        let loaded = load(self.server.address, CLIENTS, lasts, self.next, None, self.make)?;
        self.next += asked(&loaded);
        self.rounds.push(loaded);
        Ok(())
    }

    fn median(&self, of: impl Fn(&Loaded) -> u64) -> u64 {
        let mut all: Vec<u64> = self.rounds.iter().map(of).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or_default()
    }
}

fn measure(rounds: usize, lasts: Duration) -> io::Result<()> {
    let mut rows = [
        Row::new("a bare axum handler", Server::bare()?, get_ticket),
        Row::new("GET Ticket/get", Server::booking()?, get_ticket),
        Row::new("POST Checkout/process", Server::booking()?, process),
    ];
    // What is warm is measured.
    for row in &mut rows {
        row.round(lasts / 4)?;
        row.rounds.clear();
    }
    for _ in 0..rounds {
        for row in &mut rows {
            row.round(lasts)?;
        }
    }
    say("                        answers/s   p50 µs   p99 µs   not 2xx");
    for row in &rows {
        let (rate, other) = (row.median(Loaded::per_second), row.rounds.iter().map(|one| one.other).sum::<u64>());
        let (p50, p99) =
            (row.median(|one| u64::from(one.percentile(50))), row.median(|one| u64::from(one.percentile(99))));
        say(&format!("{:22} {rate:10} {p50:8} {p99:8} {other:9}", row.name));
    }
    let ratio = |row: usize| rows[row].median(Loaded::per_second) * 100 / rows[0].median(Loaded::per_second).max(1);
    say(&format!("beside the bare handler: get {} %, process {} %", ratio(1), ratio(2)));
    let all_good = rows.iter().all(|row| row.rounds.iter().all(|one| one.other == 0 && one.good > 0));
    if all_good { Ok(()) } else { Err(io::Error::other("some requests were not answered as they should")) }
}

#[allow(clippy::print_stdout, reason = "a benchmark tells what it measured")]
fn say(line: &str) {
    println!("{line}");
}

fn main() -> ExitCode {
    // `cargo bench` says so; `cargo test` runs it once, for as long as it takes to see that it works.
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    let (rounds, lasts) = if is_bench { (5, Duration::from_secs(4)) } else { (1, Duration::from_millis(200)) };
    match serve_if_asked().and_then(|served| if served { Ok(()) } else { measure(rounds, lasts) }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}
