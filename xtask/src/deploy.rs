//! `cargo xtask worker …`: builds the Worker, runs it on this machine, sends it to Cloudflare.

use std::process::Child;

use clap::{Args, ValueEnum};
use xtask::run::{Outcome, cargo, root, run, say};
use xtask::worker::{MOST_BYTES, MOST_BYTES_WITH_RESTATE, Panics, With, build, gzipped_in};
use xtask::{restate, worker, wrangler};

#[derive(Args)]
pub(crate) struct BuildArgs {
    /// Build with stable Rust: a panic is the end of every object in its isolate then, not an answer with status 500
    #[arg(long)]
    stable: bool,
    /// Build the endpoint for a Restate server in: the variable MODE says which of both is used
    #[arg(long)]
    restate: bool,
}

impl BuildArgs {
    fn panics(&self) -> Panics {
        if self.stable { Panics::Abort } else { Panics::Unwind }
    }

    fn with(&self) -> With {
        if self.restate { With::Restate } else { With::Nothing }
    }
}

#[derive(Args)]
pub(crate) struct DevArgs {
    #[command(flatten)]
    build: BuildArgs,
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

#[derive(Args)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    build: BuildArgs,
    /// Where to
    #[arg(long, value_enum)]
    env: Environment,
    /// Only tell what would be sent, and which bindings it would have; needs no account
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Environment {
    Development,
    Staging,
    Production,
}

impl Environment {
    fn name(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

pub(crate) fn make(args: &BuildArgs) -> Outcome {
    let folder = build(args.panics(), args.with())?;
    let bytes = gzipped_in(&folder)?;
    let most = if args.restate { MOST_BYTES_WITH_RESTATE } else { MOST_BYTES };
    say(&format!("{}: {bytes} bytes, gzipped; at most {most}", folder.display()));
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
    make(&args.build)?;
    let _gateway = mock_gateway()?;
    say(&format!(
        "\nOnce it is ready, the page is http://127.0.0.1:{port}/?map=arena:A, and this buys a seat of it:\n  curl \
         http://127.0.0.1:{port}/Checkout/process --json '{{\"ticketId\":\"arena:A:12\",\"userId\":\"ann\"}}'\n",
        port = args.port
    ));
    let port = args.port.to_string();
    let kept = root().join("target/worker");
    let kept = kept.to_str().ok_or("the path of this workspace is no text")?;
    let dev = ["dev", "--env", "development", "--local", "--ip", "127.0.0.1", "--port", &port, "--persist-to", kept];
    run(&mut wrangler::command(&dev)?)
}

/// The mock gateway, at the port that `wrangler.toml` names.
fn mock_gateway() -> Outcome<Beside> {
    run(&mut cargo(&["build", "--locked", "--quiet", "--package", "host-axum-sim"]))?;
    let gateway = cargo(&["run", "--locked", "--quiet", "--package", "host-axum-sim", "--", "mock-gateway"]).spawn();
    gateway.map(Beside).map_err(|error| format!("the mock gateway: {error}"))
}

pub(crate) fn up(args: &UpArgs) -> Outcome {
    let _gateway = mock_gateway()?;
    let folder = root().join("target/worker-restate");
    let vars = [
        ("MODE", "restate"),
        // Nobody but this machine reaches it.
        ("RESTATE_UNSIGNED", "allowed"),
        ("PAYMENT_URL", "http://127.0.0.1:9090/api/mock-payment"),
    ];
    let setup =
        worker::Setup { port: args.port, with: With::Restate, ..worker::Setup::in_folder(folder.clone(), &vars)? };
    let workerd = worker::Workerd::start(setup)?;
    let setup = restate::Setup::in_folder(folder.join("server"))?;
    let server = restate::Setup { ingress: args.ingress_port, admin: args.admin_port, ..setup };
    let server = restate::Restate::start(server)?;
    server.setup.register_worker(&format!("{}/restate", workerd.setup.url()))?;
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

pub(crate) fn deploy(args: &DeployArgs) -> Outcome {
    make(&args.build)?;
    let mut command = vec!["deploy", "--env", args.env.name()];
    if args.dry_run {
        command.push("--dry-run");
    }
    run(&mut wrangler::command(&command)?)
}
