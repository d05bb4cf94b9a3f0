//! How many bookings host-worker brings about as a Restate endpoint in workerd, beside the steps of the first proof of
//! concept on the official TypeScript SDK for Workers, in the same runtime.
//!
//! `cargo bench -p benches --bench worker_restate`: each Worker has a workerd and a Restate server of its own, on the same
//! machine as the load generator, taking turns in one run; several rounds, medians. `-- --quick` measures less.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use benches::load::{asked, book, load};
use benches::rows::{Much, Row, cpu_of, in_turns, is_bench, say};
use benches::servers::{Server, serve_if_asked};
use xtask::restate::{Restate, Setup as RestateSetup};
use xtask::run::{Outcome, npm_ci, output, program, root};
use xtask::worker::{Script, Setup, With, Workerd, bundle_with, gzipped_in, tools};

/// A Worker, and the Restate server that calls it. Both end when this is dropped.
struct Running {
    name: &'static str,
    restate: Restate,
    workerd: Workerd,
    folder: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.workerd.kill();
        self.restate.kill();
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

impl Running {
    fn start(name: &'static str, setup: Setup, at: &str) -> Outcome<Self> {
        let folder = setup.folder.clone();
        let workerd = if setup.script.is_some() { Workerd::start_silent(setup)? } else { Workerd::start(setup)? };
        let restate = Restate::start(RestateSetup::in_folder(folder.join("restate"))?)?;
        restate.setup.register_worker(&format!("{}{at}", workerd.setup.url()))?;
        Ok(Self { name, restate, workerd, folder })
    }

    fn ingress(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.restate.setup.ingress))
    }

    fn cpu(&self) -> [Duration; 2] {
        [self.restate.id().unwrap_or_default(), self.workerd.id().unwrap_or_default()].map(cpu_of)
    }
}

fn folder(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("booking-bench-{name}-{}", std::process::id()))
}

fn ours(gateway: &Server) -> Outcome<Running> {
    let payments = format!("http://{}/api/mock-payment", gateway.address);
    let vars = [
        ("MODE", "restate"),
        ("RESTATE_UNSIGNED", "allowed"),
        ("PAYMENT_URL", payments.as_str()),
        ("LOG_LEVEL", "warn"),
    ];
    let setup = Setup { with: With::Restate, ..Setup::in_folder(folder("ours"), &vars)? };
    Running::start("host-worker on Restate", setup, "/restate")
}

/// The reference's steps, bundled as a Worker.
fn reference() -> Outcome<Running> {
    let here = root().join("benches/peers/reference");
    npm_ci(&here, "the reference")?;
    let built = here.join("built/worker");
    let mut bundle = program("node", &[]);
    bundle.arg(tools()?.join("esbuild/bin/esbuild")).current_dir(&here);
    bundle.args(["worker.ts", "--bundle", "--format=esm", "--conditions=workerd,worker", "--external:node:*"]);
    bundle.arg("--alias:@restatedev/restate-sdk=@restatedev/restate-sdk-cloudflare-workers/fetch");
    let _said = output(bundle.args(["--loader:.wasm=copy", "--minify", "--outfile=built/worker/index.js"]))?;
    let script = Script { folder: built, objects: &[] };
    let setup = Setup { script: Some(script), ..Setup::in_folder(folder("reference"), &[])? };
    Running::start("the reference's steps", setup, "")
}

fn turn(running: &Running, row: &mut Row, clients: usize, lasts: Duration) -> Outcome {
    let before = running.cpu();
    let loaded = load(running.ingress(), clients, lasts, row.next, None, book);
    let loaded = loaded.map_err(|error| format!("{}: {error}", running.name))?;
    // What was sent one way is still under way, and is the booking's as well.
    std::thread::sleep(Duration::from_millis(500));
    let after = running.cpu();
    row.next += asked(&loaded);
    row.rounds.push(loaded);
    row.cpu.push([0, 1].map(|which| after[which].saturating_sub(before[which])));
    Ok(())
}

fn measure(much: Much) -> Outcome {
    let gateway = Server::booking().map_err(|error| error.to_string())?;
    let running = [ours(&gateway)?, reference()?];
    let names = running.each_ref().map(|running| running.name);
    in_turns(&names, much, |service, row, clients, lasts| turn(&running[service], row, clients, lasts))?;
    say(&format!("\nthe bundle with both modes: {} bytes, gzipped", gzipped_in(&bundle_with(With::Restate)?)?));
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
