//! `cargo xtask worker …`: builds the Worker, and runs it on this machine.

use std::process::Child;

use clap::{Args, ValueEnum};
use xtask::run::{Outcome, cargo, root, run, say};
use xtask::worker::{Bundle, Panics, build, gzipped};
use xtask::{restate, worker, wrangler};

/// The operators' token of the Worker that runs here: only this machine reaches it.
const OPERATOR: &str = "operator-of-this-machine";

/// A Worker.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Worker {
    /// The engine on Durable Objects
    #[default]
    Shop,
    /// The engine on Restate: what a Restate server calls
    Restate,
    /// The mock payment gateway, for a deployment to try things with
    Sandbox,
    /// The books of operators: bookings, messages that were given up, what operators did
    Operations,
}

impl Worker {
    fn bundle(self) -> Bundle {
        match self {
            Self::Shop => Bundle::Shop,
            Self::Restate => Bundle::Restate,
            Self::Sandbox => Bundle::Sandbox,
            Self::Operations => Bundle::Operations,
        }
    }
}

#[derive(Args)]
pub(crate) struct BuildArgs {
    /// Build with stable Rust: a panic is the end of every object in its isolate then, not an answer with status 500
    #[arg(long)]
    stable: bool,
    /// Which Worker
    #[arg(value_enum, default_value_t)]
    worker: Worker,
}

impl BuildArgs {
    fn panics(&self) -> Panics {
        if self.stable { Panics::Abort } else { Panics::Unwind }
    }
}

#[derive(Args)]
pub(crate) struct DevArgs {
    /// Build with stable Rust
    #[arg(long)]
    stable: bool,
    /// The port of the Worker
    #[arg(long, default_value_t = 8787)]
    port: u16,
}

#[derive(Args)]
pub(crate) struct UpArgs {
    /// The port of the Worker, which Restate calls
    #[arg(long, default_value_t = 8787)]
    port: u16,
    /// The port of the ingress, which buyers ask
    #[arg(long, default_value_t = 8080)]
    ingress_port: u16,
    /// The port of the admin API, with its pages for people
    #[arg(long, default_value_t = 9070)]
    admin_port: u16,
}

pub(crate) fn make(args: &BuildArgs) -> Outcome {
    let bundle = args.worker.bundle();
    let folder = build(bundle, args.panics())?;
    say(&format!("{}: {} bytes, gzipped; at most {}", folder.display(), gzipped(&folder)?, bundle.most_bytes()));
    Ok(())
}

/// A process that ends when this is dropped.
struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _may_have_ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

pub(crate) fn dev(args: &DevArgs) -> Outcome {
    for worker in [Worker::Sandbox, Worker::Operations, Worker::Shop] {
        make(&BuildArgs { stable: args.stable, worker })?;
    }
    say(&format!(
        "\nOnce it is ready, the page is http://127.0.0.1:{port}/?map=arena:A, and this buys a seat of it:\n  curl \
         http://127.0.0.1:{port}/Checkout/process --json '{{\"ticketId\":\"arena:A:12\",\"userId\":\"ann\"}}'\nThis sees \
         whether it sells, as an operator:\n  BOOKING_ADMIN_TOKEN={OPERATOR} cargo run -p booking -- smoke \
         http://127.0.0.1:{port}\n",
        port = args.port
    ));
    let port = args.port.to_string();
    let kept = root().join("target/worker");
    let kept = kept.to_str().ok_or("the path of this workspace is no text")?;
    let dev = ["dev", "--env", "development", "--local", "--ip", "127.0.0.1", "--port", &port, "--persist-to", kept];
    wrangler::make_tables("development", kept.as_ref())?;
    let operator = format!("ADMIN_TOKENS:{OPERATOR}");
    run(wrangler::command(&dev)?.args(["--var", &operator]).args(wrangler::ALL_WORKERS))
}

/// The mock gateway, as a process, at its usual port.
fn mock_gateway() -> Outcome<Beside> {
    run(&mut cargo(&["build", "--locked", "--quiet", "--package", "host-axum-sim"]))?;
    let gateway = cargo(&["run", "--locked", "--quiet", "--package", "host-axum-sim", "--", "mock-gateway"]).spawn();
    gateway.map(Beside).map_err(|error| format!("the mock gateway: {error}"))
}

pub(crate) fn up(args: &UpArgs) -> Outcome {
    let _gateway = mock_gateway()?;
    let folder = root().join("target/worker-restate");
    let vars = [
        // Nobody but this machine reaches it.
        ("RESTATE_UNSIGNED", "allowed"),
        ("PAYMENT_URL", "http://127.0.0.1:9090/api/mock-payment"),
    ];
    let setup =
        worker::Setup { port: args.port, bundle: Bundle::Restate, ..worker::Setup::in_folder(folder.clone(), &vars)? };
    let workerd = worker::Workerd::start(setup)?;
    let setup = restate::Setup::in_folder(folder.join("server"))?;
    let server = restate::Setup { ingress: args.ingress_port, admin: args.admin_port, ..setup };
    let server = restate::Restate::start(server)?;
    server.setup.register_worker(&workerd.setup.url())?;
    say(&format!(
        "\nIt is up; its logs are in target/worker-restate. Buy a seat:\n\n  curl {}/Checkout/process --json \
         '{{\"ticketId\":\"arena:A:12\",\"userId\":\"ann\"}}'\n\nLook at what Restate did for it: {}/ui\nStop it: Ctrl-C",
        server.setup.ingress_url(),
        server.setup.admin_url()
    ));
    loop {
        // Ctrl-C ends this, and the others with it.
        std::thread::park();
    }
}

/// `cargo xtask release …` is a command of its own: what it links is not waited for by the others.
pub(crate) fn release(args: &[String]) -> Outcome {
    run(cargo(&["run", "--locked", "--quiet", "--package", "release", "--"]).args(args))
}
