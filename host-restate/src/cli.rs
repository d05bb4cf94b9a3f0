//! The command line. Every flag is an environment variable too.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use booking_core::time::Millis;
use booking_hosting::flags::{CannotRun, LogFlags, PortFlags, TermsFlags, because, millis};
use booking_hosting::ports::PaymentGateway;
use booking_hosting::process::told_to_stop;
use clap::{Args, Parser, Subcommand};
use restate_sdk::filter::ReplayAwareFilter;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tracing_subscriber::Layer as _;

use crate::door::DoorArgs;
use crate::ports::{MockGateway, Ports};
use crate::recover::RecoverArgs;
use crate::sdk::{Host, endpoint};
use crate::serve::serve;
use crate::stuck::StuckArgs;

/// Book seats on Restate: no ticket sold twice, no money without a seat, no seat without money.
#[derive(Parser)]
#[command(name = "host-restate", version, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: LogFlags,
}

#[derive(Subcommand)]
enum Command {
    /// Serve a Restate server that this is registered with
    Serve(Box<ServeArgs>),
    /// Bring a checkout to its end whose invocation was killed: let go of its seats and of what was set aside for it, or
    /// see it through where its money may have been taken
    Recover(RecoverArgs),
    /// Stand before Restate's ingress: let in whom its tokens let in, and show operators bookings, messages that were given up, and what other
    /// operators did
    Door(Box<DoorArgs>),
    /// List the checkouts that wait in vain: for an answer of the gateway to a capture or a void, for a map that cannot judge
    /// their command; and those whose message was given up within the last day
    Stuck(StuckArgs),
}

#[derive(Args)]
struct ServeArgs {
    /// Where to listen. Port 0 takes a free one; the log says which
    #[arg(long, env = "BOOKING_LISTEN", default_value = "127.0.0.1:9080")]
    listen: SocketAddr,
    /// Answer only requests that the Restate server with this key has signed (publickeyv1_…). May be repeated
    #[arg(long, env = "RESTATE_IDENTITY_KEY", value_name = "KEY", value_delimiter = ',')]
    identity_key: Vec<String>,
    /// Open what operators do (block, unblock, list, sell, reset, cleanup, layout, resetAll, recover, and resolve and notify of
    /// Stuck) to everybody who reaches the ingress: only behind a proxy or tokens that tell operators from buyers
    #[arg(long, env = "BOOKING_ADMIN_HANDLERS")]
    admin_handlers: bool,
    /// Take payments with the mock gateway in this process, whose ledger is gone when it ends
    #[arg(long, env = "BOOKING_MOCK_PAYMENT", conflicts_with = "payment_url", required_unless_present = "payment_url")]
    mock_payment: bool,
    #[command(flatten)]
    ports: PortFlags,
    #[command(flatten)]
    terms: TermsFlags,
    /// How many threads serve. One answers soonest; more are for a Restate server of many cores
    #[arg(long, env = "BOOKING_THREADS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// How long invocations under way may take to end once a signal stops this
    #[arg(long, env = "BOOKING_STOP_WITHIN", default_value = "30s", value_parser = millis)]
    stop_within: Millis,
}

impl Cli {
    /// Runs the command. `serve` ends when a signal stops the process.
    ///
    /// # Errors
    /// [`CannotRun`], for a person.
    pub fn run(self) -> Result<(), CannotRun> {
        // What a replay says has been said before.
        self.log.start_with(|log| log.with_filter(ReplayAwareFilter).boxed())?;
        match self.command {
            Command::Serve(args) => runtime(args.threads)?.block_on(args.run()),
            Command::Recover(args) => runtime(1)?.block_on(args.run()),
            Command::Door(args) => runtime(2)?.block_on(args.run()),
            Command::Stuck(args) => runtime(1)?.block_on(args.run()),
        }
    }
}

fn runtime(threads: u16) -> Result<Runtime, CannotRun> {
    let mut runtime = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    runtime.worker_threads(threads.into()).enable_all().build().map_err(because("the runtime"))
}

impl ServeArgs {
    async fn run(self) -> Result<(), CannotRun> {
        let gateway: Arc<dyn PaymentGateway> = match self.ports.gateway()? {
            Some(port) => port,
            None => Arc::new(MockGateway::new(self.ports.payment_delay())),
        };
        let notifier = self.ports.notifier()?;
        let host = Host::new(self.terms.terms(), Ports { gateway, notifier });
        let endpoint = endpoint(&host, self.admin_handlers, &self.identity_key).map_err(because("--identity-key"))?;
        let stop = told_to_stop();
        let listener = TcpListener::bind(self.listen).await.map_err(because(&format!("--listen {}", self.listen)))?;
        let address = listener.local_addr().map_err(because("--listen"))?;
        tracing::info!("for a Restate server to call; register it with: restate deployments register http://{address}");
        tracing::info!("listening on http://{address}");
        let within = Duration::from_millis(self.stop_within.0);
        serve(listener, endpoint, host, stop, within).await.map_err(because("serving"))?;
        tracing::info!("stopped");
        Ok(())
    }
}
