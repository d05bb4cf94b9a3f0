//! What the runtimes cost with next to nothing in them: an empty handler on Restate, a Worker that does nothing and an
//! object that counts in workerd; how soon workerd answers, and how large the Worker is.
//!
//! `cargo bench -p benches --bench runtimes`: all on one machine with the load generator, taking turns in one run; several
//! rounds, medians. `-- --quick` measures less.

use std::process::ExitCode;
use std::time::Duration;

use benches::load::{asked, json};
use benches::rows::{Much, Row, in_turns, is_bench, say};
use benches::services::{Service, bare_on_restate, bare_workerd, bundle_sizes};
use xtask::run::Outcome;

fn nothing(_: u64, out: &mut Vec<u8>) {
    json("/", r#"{"ticketId":"seat"}"#, out);
}

fn one(_: u64, out: &mut Vec<u8>) {
    json("/one", r#"{"ticketId":"seat"}"#, out);
}

fn handler(_: u64, out: &mut Vec<u8>) {
    json("/Empty/nothing", r#"{"ticketId":"seat"}"#, out);
}

/// A request that does next to nothing.
type Ask = fn(u64, &mut Vec<u8>);

fn turn(service: &Service, row: &mut Row, clients: usize, lasts: Duration, ask: Ask) -> Outcome {
    let before = service.cpu();
    let loaded = service.requests(clients, lasts, row.next, None, ask);
    let loaded = loaded.map_err(|error| format!("{}: {error}", service.name))?;
    service.settle();
    let after = service.cpu();
    row.next += asked(&loaded);
    row.rounds.push(loaded);
    row.cpu.push([0, 1].map(|which| after[which].saturating_sub(before[which])));
    Ok(())
}

fn measure(much: Much) -> Outcome {
    let restate = bare_on_restate("a handler on Restate")?;
    let workerd = bare_workerd("workerd")?;
    let services: [(&str, &Service, Ask); 3] = [
        ("an empty handler, Restate", &restate, handler),
        ("one object that counts", &workerd, one),
        ("a Worker, empty", &workerd, nothing),
    ];
    let names = services.map(|(name, ..)| name);
    in_turns(&names, much, |service, row, clients, lasts| {
        let (_, service, ask) = services[service];
        turn(service, row, clients, lasts, ask)
    })
}

/// How long it takes from the start of the process to the first answer.
fn cold(rounds: usize) -> Outcome {
    let mut times = Vec::new();
    for _ in 0..rounds {
        times.push(benches::services::cold()?);
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    say(&format!("\nfrom the start of workerd to the first answer of the Worker: {} ms", median.as_millis()));
    let (alone, with_restate) = bundle_sizes()?;
    say(&format!("the Worker: {alone} bytes, gzipped; with an endpoint for Restate: {with_restate}"));
    Ok(())
}

fn main() -> ExitCode {
    if benches::peers::bare_restate::serve_if_asked().is_some() {
        return ExitCode::SUCCESS;
    }
    let is_quick = std::env::args().any(|arg| arg == "--quick");
    let much = if is_bench() && is_quick {
        Much { rounds: 2, lasts: Duration::from_secs(2), clients: &[1, 64] }
    } else if is_bench() {
        Much { rounds: 5, lasts: Duration::from_secs(4), clients: &[1, 16, 64] }
    } else {
        Much { rounds: 1, lasts: Duration::from_millis(200), clients: &[4] }
    };
    match measure(much).and_then(|()| cold(if is_bench() { 9 } else { 1 })) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}
