//! What the runtimes cost with next to nothing in them: an empty handler on Restate, a Worker that does nothing and an
//! object that counts in workerd; how soon workerd answers, and how large the Worker is.
//!
//! `cargo bench -p benches --bench runtimes`: all on one machine with the load generator, taking turns in one run; several
//! rounds, medians. `-- --help` lists its options.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use benches::load::{asked, json};
use benches::rows::{Much, Row, in_turns, is_bench, say};
use benches::services::{Service, bare_on_restate, bare_workerd, bundle_sizes};
use benches::table::compared;
use benches::tree::Tree;
use clap::Parser;
use xtask::run::Outcome;

/// Measures runtimes with next to nothing in them, and how soon workerd answers.
#[derive(Parser, Debug)]
#[command(bin_name = "cargo bench -p benches --bench runtimes --", max_term_width = 110)]
struct Args {
    /// Fewer and shorter rounds, to see whether it works
    #[arg(long)]
    quick: bool,
    /// Only how soon workerd answers, beside the Worker of another commit: a checkout of it (`git worktree add DIR COMMIT`),
    /// built there, with its own commands
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// `cargo bench` says so
    #[arg(long, hide = true)]
    bench: bool,
}

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

/// How long it takes from the start of the process to the first answer; beside another tree, in turns.
fn cold(other: Option<&Tree>, rounds: usize) -> Outcome {
    let this = Tree::this();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(micros(benches::services::cold(&this)?));
        if let Some(other) = other {
            theirs.push(micros(benches::services::cold(other)?));
        }
    }
    tell(&format!("the Worker at {}", this.commit), &ours);
    if let Some(other) = other {
        tell(&format!("the Worker at {}", other.commit), &theirs);
        say(&format!("the first over the second: {}", compared(&ours, &theirs)));
    }
    Ok(())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn tell(name: &str, times: &[u64]) {
    let mut times = times.to_vec();
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    say(&format!("{name}: {} ms from the start of workerd to its first answer", median / 1_000));
}

fn sizes() -> Outcome {
    let (alone, with_restate) = bundle_sizes()?;
    say(&format!("the Worker: {alone} bytes, gzipped; with an endpoint for Restate: {with_restate}"));
    Ok(())
}

fn run(args: &Args) -> Outcome {
    if let Some(folder) = &args.against {
        return cold(Some(&Tree::other(folder)?), if args.quick { 1 } else { COLD_ROUNDS });
    }
    let is_quick = args.quick;
    let much = if is_bench() && is_quick {
        Much { rounds: 2, lasts: Duration::from_secs(2), clients: &[1, 64] }
    } else if is_bench() {
        Much { rounds: 5, lasts: Duration::from_secs(4), clients: &[1, 16, 64] }
    } else {
        Much { rounds: 1, lasts: Duration::from_millis(200), clients: &[4] }
    };
    measure(much)?;
    say("");
    cold(None, if is_bench() { COLD_ROUNDS } else { 1 })?;
    sizes()
}

const COLD_ROUNDS: usize = 21;

fn main() -> ExitCode {
    if benches::peers::bare_restate::serve_if_asked().is_some() {
        return ExitCode::SUCCESS;
    }
    // `cargo test` has arguments of its own.
    let args = if is_bench() { Args::parse() } else { Args::parse_from(["runtimes"]) };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}
