//! How many bookings host-restate brings about, beside what the same steps and an empty handler cost on the same kind of
//! server, and beside the steps of the first proof of concept on the official TypeScript SDK.
//!
//! `cargo bench -p benches --bench restate`: Restate servers, services and load generator on the same machine, each
//! service with a server of its own, taking turns in one run; several rounds, medians. `-- --quick` measures less.

use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use benches::load::{Loaded, Make, asked, book, json, load};
use benches::on_restate::Running;
use benches::rows::{Much, Row, in_turns, is_bench, say, tell};
use benches::servers::serve_if_asked;
use xtask::restate::free_port;
use xtask::run::{Outcome, cargo, output, program, root};

/// What is measured beside what.
#[derive(Clone, Copy)]
enum Service {
    Ours,
    Reference,
    Steps,
    Empty,
}

impl Service {
    fn start(self) -> Outcome<Running> {
        let port = free_port()?;
        let (name, command) = match self {
            Self::Ours => ("host-restate", ours(port)?),
            Self::Reference => ("the reference's steps", reference(port)?),
            Self::Steps => ("our awaited steps, bare", bare(port)?),
            Self::Empty => ("an empty handler", bare(port)?),
        };
        Running::start(name, port, command)
    }
}

fn ours(port: u16) -> Outcome<Command> {
    let path = if is_bench() { released()? } else { tested()? };
    let mut command = Command::new(path);
    command.args(["serve", "--mock-payment", "--payment-delay", "0ms", "--log", "warn"]);
    command.arg("--listen").arg(format!("127.0.0.1:{port}"));
    Ok(command)
}

/// The host as the tests have built it.
fn tested() -> Outcome<PathBuf> {
    let here = std::env::current_exe().map_err(|error| error.to_string())?;
    let path = here.ancestors().nth(2).map(|folder| folder.join("host-restate"));
    path.filter(|path| path.is_file()).map_or_else(|| built(&[]), Ok)
}

fn released() -> Outcome<PathBuf> {
    built(&["--release"])
}

fn built(args: &[&str]) -> Outcome<PathBuf> {
    let build = ["build", "--locked", "--package", "host-restate", "--message-format", "json-render-diagnostics"];
    let built = output(&mut cargo(&[&build[..], args].concat()))?;
    let messages = built.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let path = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    path.ok_or_else(|| "cargo tells of no host-restate".to_owned())
}

fn reference(port: u16) -> Outcome<Command> {
    let folder = root().join("benches/peers/reference");
    let quiet = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"];
    let _said = output(program("npm", &quiet).current_dir(&folder))?;
    let _said = output(program("npx", &["tsc"]).current_dir(&folder))?;
    let mut command = Command::new("node");
    command.arg("built/service.js").current_dir(folder).env("PORT", port.to_string()).env("NODE_ENV", "production");
    command.env("RESTATE_LOGGING", "ERROR");
    Ok(command)
}

fn bare(port: u16) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
    command.env("BOOKING_BENCH_BARE", port.to_string());
    Ok(command)
}

fn steps(n: u64, out: &mut Vec<u8>) {
    json("/Bare/steps", &format!(r#"{{"ticketId":"seat-{n}"}}"#), out);
}

fn nothing(n: u64, out: &mut Vec<u8>) {
    json("/Empty/nothing", &format!(r#"{{"ticketId":"seat-{n}","userId":"user-{}"}}"#, n % 5_000), out);
}

/// All for the same ticket, which somebody else has.
fn crowd(n: u64, out: &mut Vec<u8>) {
    json("/Ticket/hot/reserve", &format!(r#""user-{}""#, n + 1), out);
}

fn turn(running: &Running, row: &mut Row, clients: usize, lasts: Duration, make: Make) -> io::Result<()> {
    let before = running.cpu();
    let loaded = load(running.ingress(), clients, lasts, row.next, None, make)?;
    // What was sent one way is still under way, and is the booking's as well.
    std::thread::sleep(Duration::from_millis(500));
    let after = running.cpu();
    row.next += asked(&loaded);
    row.rounds.push(loaded);
    row.cpu.push([0, 1].map(|which| after[which].saturating_sub(before[which])));
    Ok(())
}

fn measure(much: Much) -> Outcome {
    let services = [Service::Ours, Service::Reference, Service::Steps, Service::Empty];
    let running: Vec<Running> = services.iter().map(|service| service.start()).collect::<Outcome<_>>()?;
    let names: Vec<&str> = running.iter().map(|running| running.name).collect();
    in_turns(&names, much, |service, row, clients, lasts| {
        let make: Make = match services[service] {
            Service::Ours | Service::Reference => book,
            Service::Steps => steps,
            Service::Empty => nothing,
        };
        turn(&running[service], row, clients, lasts, make).map_err(|error| format!("{}: {error}", names[service]))
    })?;
    let Much { rounds, lasts, .. } = much;
    let mut rows: Vec<Row> = (0..2).map(|_| Row::default()).collect();
    for (running, row) in running.iter().zip(&mut rows) {
        let taken = load(running.ingress(), 1, lasts, 0, Some(1), crowd).map_err(|error| error.to_string())?;
        if taken.good != 1 {
            return Err(format!("{}: the seat that all want cannot be held", running.name));
        }
        row.next = 1;
    }
    for _ in 0..rounds {
        for (running, row) in running.iter().zip(&mut rows) {
            turn(running, row, 64, lasts, crowd).map_err(|error| format!("{}: {error}", running.name))?;
        }
    }
    say("\na crowd for one seat, refused");
    for (running, row) in running.iter().zip(&rows) {
        tell(running.name, 64, row, Loaded::rate)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let served = benches::peers::bare_restate::serve_if_asked();
    if served.is_some() || serve_if_asked().unwrap_or_default() {
        return ExitCode::SUCCESS;
    }
    let is_quick = std::env::args().any(|arg| arg == "--quick");
    let measured = if is_bench() && is_quick {
        measure(Much { rounds: 2, lasts: Duration::from_secs(3), clients: &[1, 64] })
    } else if is_bench() {
        measure(Much { rounds: 5, lasts: Duration::from_secs(6), clients: &[1, 16, 64] })
    } else {
        measure(Much { rounds: 1, lasts: Duration::from_millis(400), clients: &[4] })
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}
