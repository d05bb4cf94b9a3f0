//! How many bookings host-worker brings about in workerd, beside a Worker that does nothing and one object that counts.
//!
//! `cargo bench -p benches --bench worker`: workerd, a gateway that answers at once and the load generator on the same
//! machine, taking turns in one run; several rounds, medians. `-- --quick` measures less.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use benches::load::{Make, asked, load, post, process};
use benches::rows::{Much, Row, cpu_of, in_turns, is_bench, say};
use benches::servers::{Server, serve_if_asked};
use xtask::run::{Outcome, end_of, root};
use xtask::worker::{Script, Setup, Workerd, gzipped};

/// A workerd, gone with its folder when this is dropped.
struct Running {
    workerd: Workerd,
    folder: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.workerd.kill();
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

impl Running {
    fn start(name: &str, script: Option<Script>, vars: &[(&str, &str)]) -> Outcome<Self> {
        let folder = std::env::temp_dir().join(format!("booking-bench-{name}-{}", std::process::id()));
        let setup = Setup { script, ..Setup::in_folder(folder.clone(), vars)? };
        Ok(Self { workerd: Workerd::start(setup)?, folder })
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.workerd.setup.port))
    }
}

fn nothing(n: u64, out: &mut Vec<u8>) {
    post("/", &format!(r#"{{"ticketId":"seat-{n}"}}"#), out);
}

fn one(n: u64, out: &mut Vec<u8>) {
    post("/one", &format!(r#"{{"ticketId":"seat-{n}"}}"#), out);
}

fn turn(running: &Running, row: &mut Row, clients: usize, lasts: Duration, make: Make) -> Outcome {
    let id = running.workerd.id().unwrap_or_default();
    let before = cpu_of(id);
    let loaded = load(running.address(), clients, lasts, row.next, None, make);
    let loaded = loaded.map_err(|error| format!("{error}\n{}", end_of(&running.workerd.setup.log())))?;
    // What follows a booking, maps and alarms, is the booking's as well.
    std::thread::sleep(Duration::from_millis(500));
    row.next += asked(&loaded);
    row.rounds.push(loaded);
    row.cpu.push([cpu_of(id).saturating_sub(before), Duration::ZERO]);
    Ok(())
}

fn measure(much: Much) -> Outcome {
    let gateway = Server::booking().map_err(|error| error.to_string())?;
    let payments = format!("http://{}/api/mock-payment", gateway.address);
    let ours = Running::start("ours", None, &[("PAYMENT_URL", payments.as_str()), ("LOG_LEVEL", "warn")])?;
    let script = Script { folder: root().join("benches/peers/workerd"), objects: &[("ONE", "One")] };
    let bare = Running::start("bare", Some(script), &[])?;
    let services: [(&str, &Running, Make); 3] =
        [("host-worker", &ours, process), ("one object that counts", &bare, one), ("a Worker, empty", &bare, nothing)];
    let names = services.map(|(name, ..)| name);
    in_turns(&names, much, |service, row, clients, lasts| {
        let (_, running, make) = services[service];
        turn(running, row, clients, lasts, make)
    })
    .map(|_| ())
}

/// How long it takes from the start of the process to the first answer.
fn cold(rounds: usize) -> Outcome {
    let mut times = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        let running = Running::start("cold", None, &[])?;
        times.push(start.elapsed());
        drop(running);
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    say(&format!("\nfrom the start of workerd to the first answer: {} ms", median.as_millis()));
    say(&format!("the bundle: {} bytes, gzipped", gzipped()?));
    Ok(())
}

fn main() -> ExitCode {
    match serve_if_asked() {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error}"));
            return ExitCode::FAILURE;
        }
    }
    let is_quick = std::env::args().any(|arg| arg == "--quick");
    let much = if is_bench() && is_quick {
        Much { rounds: 2, lasts: Duration::from_secs(3), clients: &[1, 64] }
    } else if is_bench() {
        Much { rounds: 5, lasts: Duration::from_secs(5), clients: &[1, 16, 64] }
    } else {
        Much { rounds: 1, lasts: Duration::from_millis(400), clients: &[4] }
    };
    match measure(much).and_then(|()| cold(if is_bench() { 9 } else { 1 })) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}
