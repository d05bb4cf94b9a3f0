//! The command line. Every flag is an environment variable too; secrets come from files or the environment, so that
//! they need not stand on a command line, where everybody on the machine can read them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use booking_core::MapKey;
use booking_core::time::Millis;
use booking_hosting::flags::{CannotRun, LogFlags, PortFlags, TermsFlags, because, millis, secrets};
use booking_hosting::process::{now, told_to_stop};
use clap::{Args, Parser, Subcommand};
use tokio::net::{TcpListener, TcpSocket};

use crate::backup::{BackupArgs, RestoreArgs};
use crate::check::CheckArgs;
use crate::demo;
use crate::engine::{Engine, Gateway, Limits, Notifier, Settings};
use crate::export::ExportArgs;
use crate::host::{Host, Ports};
use crate::page::{ApiUrl, PageSettings, write_page};
use crate::restore::restore;
use crate::routes::{RouteSettings, Services};
use crate::serve::{ServeSettings, serve, serve_page};
use crate::simulate::SimulateArgs;
use crate::store::{Directory, LOG_BYTES, Store};
use booking_hosting::auth::Auth;
use booking_hosting::invitations::InvitationKeys;
use booking_hosting::token_file;
use booking_hosting::tokens::GrantedDoor;

/// Book seats: no ticket sold twice, no money without a seat, no seat without money.
#[derive(Parser)]
#[command(name = "host-axum-sim", version, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: LogFlags,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the booking API over HTTP, in memory or from a data directory
    Serve(Box<ServeArgs>),
    /// Serve only the page that draws a seat map, for an API that is elsewhere; or write it as files
    Page(PageArgs),
    /// Serve only the mock payment gateway, as a process of its own: point `serve --payment-url` at it
    MockGateway(MockGatewayArgs),
    /// Copy a data directory as it is at one moment, while a server may be at work in it
    Backup(BackupArgs),
    /// Make a data directory of a backup
    Restore(RestoreArgs),
    /// Write every booking and every ticket of a data directory as a line of JSON, as they were at one moment
    Export(ExportArgs),
    /// See whether what must always hold holds of a data directory
    Check(CheckArgs),
    /// Simulate the engine with everything around it that can fail, from seeds: the power, the disk, the gateway
    Simulate(Box<SimulateArgs>),
}

#[derive(Args)]
struct ServeArgs {
    /// Where to listen. Port 0 takes a free one; the log says which
    #[arg(long, env = "BOOKING_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Keep everything in this directory: what is answered is on disk, and continues after a crash. It is made where there
    /// is none. Without it, everything is in memory, and gone when the process ends
    #[arg(long, env = "BOOKING_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How large a log in it gets before the next one is begun; old ones are made into a base, and go
    #[arg(long, env = "BOOKING_LOG_BYTES", value_name = "BYTES", default_value = "64MiB", value_parser = log_bytes)]
    log_bytes: usize,

    /// Show how it works: a theatre of 480 seats on the map `demo`, which the page shows, and a crowd of simulated buyers
    /// for it at the press of a button. Open to everybody who reaches it
    #[arg(long, env = "BOOKING_DEMO")]
    demo: bool,

    #[command(flatten)]
    ports: PortFlags,
    #[command(flatten)]
    terms: TermsFlags,
    /// How long `process` keeps its caller waiting before it answers 202 and works on
    #[arg(long, env = "BOOKING_ANSWER_WITHIN", default_value = "30s", value_parser = millis)]
    answer_within: Millis,

    /// A file with the tokens that everything but /health then needs, one a line (or BOOKING_AUTH_TOKEN: one token)
    #[arg(long, env = "BOOKING_AUTH_TOKEN_FILE", value_name = "FILE")]
    auth_token_file: Option<PathBuf>,
    /// A file with the tokens that open the admin handlers, one a line (or BOOKING_ADMIN_TOKEN: one token). Without it
    /// they are not there
    #[arg(long, env = "BOOKING_ADMIN_TOKEN_FILE", value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    /// A file of tokens with names, as `booking tokens` writes it. It is read again when it has changed
    #[arg(long, env = "BOOKING_TOKENS", value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// A file with the keys that invitations are signed with, one a line (or BOOKING_INVITATION_KEY: one key). With it operators can invite
    /// buyers, and everything but /health needs an invitation or a token
    #[arg(long, env = "BOOKING_INVITATION_KEY_FILE", value_name = "FILE")]
    invitation_key_file: Option<PathBuf>,
    /// Show the built-in mock gateway's ledger to everybody: it names every checkout. Without this only operators see it
    #[arg(long, env = "BOOKING_OPEN_LEDGER")]
    open_ledger: bool,
    /// An origin whose pages may call this server, such as https://tickets.example; * for all. May be repeated
    #[arg(long, env = "BOOKING_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',', value_parser = origin)]
    cors_origin: Vec<HeaderValue>,

    /// Live holds that one user may have; beyond that `reserve` answers RateLimited
    #[arg(long, env = "BOOKING_MAX_HOLDS_PER_USER", value_name = "N")]
    max_holds_per_user: Option<u32>,
    /// Tickets that there may be; a new one beyond that is refused as Overloaded
    #[arg(long, env = "BOOKING_MAX_TICKETS", value_name = "N", default_value_t = Limits::default().tickets)]
    max_tickets: usize,
    /// Checkouts that may be under way at a time
    #[arg(long, env = "BOOKING_MAX_CHECKOUTS", value_name = "N", default_value_t = Limits::default().checkouts, value_parser = some)]
    max_checkouts: usize,
    /// Connections that may be open at a time
    #[arg(long, env = "BOOKING_MAX_CONNECTIONS", value_name = "N", default_value_t = ServeSettings::default().connections, value_parser = some)]
    max_connections: usize,
    /// Connections that one address may have open at a time (of IPv6: 64 leading bits of one); beyond that they are answered
    /// Overloaded. Never for this machine itself. Behind a proxy all come from one address: leave it off there
    #[arg(long, env = "BOOKING_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N", value_parser = some)]
    max_connections_per_address: Option<usize>,
    /// WebSockets that may watch maps at a time
    #[arg(long, env = "BOOKING_MAX_WATCHERS", value_name = "N", default_value_t = RouteSettings::default().watchers)]
    max_watchers: usize,
    /// How long finished checkouts and idempotency keys are kept. Less than 24h breaks the promise made for them
    #[arg(long, env = "BOOKING_KEEP_FOR", default_value = "24h", value_parser = keep_for)]
    keep_for: Millis,
    /// Bytes that these may take. Bookings have three quarters, and none is forgotten early: at that limit, new checkouts are
    /// refused as Overloaded. Of what sold nothing the oldest is forgotten
    #[arg(long, env = "BOOKING_KEEP_BYTES", value_name = "BYTES", default_value = "1GiB", value_parser = keep_bytes)]
    keep_bytes: usize,
}

#[derive(Args)]
struct PageArgs {
    /// Where the API is, such as https://tickets.example or http://127.0.0.1:8080. It has to let this page's origin in (on
    /// `serve`: --cors-origin)
    #[arg(long, env = "BOOKING_PAGE_API", value_name = "URL")]
    api: ApiUrl,
    /// Which map is shown where the page's own address names none (with `?map=…`)
    #[arg(long, env = "BOOKING_PAGE_MAP", value_name = "KEY")]
    map: Option<MapKey>,
    /// Where to listen. Port 0 takes a free one; the log says which
    #[arg(long, env = "BOOKING_PAGE_LISTEN", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// Serve nothing: write the page to this directory, for Cloudflare Pages or any other static host
    #[arg(long, value_name = "DIR", conflicts_with = "listen")]
    out: Option<PathBuf>,
}

#[derive(Args)]
struct MockGatewayArgs {
    /// Where to listen. Port 0 takes a free one; the log says which
    #[arg(long, env = "MOCK_GATEWAY_LISTEN", default_value = "127.0.0.1:9090")]
    listen: SocketAddr,
    /// How long it takes to answer
    #[arg(long, env = "MOCK_GATEWAY_DELAY", default_value = "0ms", value_parser = millis)]
    delay: Millis,
    /// Keep the ledger in this directory, so that it outlives the process. It is made where there is none
    #[arg(long, env = "MOCK_GATEWAY_LEDGER", value_name = "DIR")]
    ledger: Option<PathBuf>,
    /// Show the ledger to everybody who asks for it: it names every checkout
    #[arg(long, env = "MOCK_GATEWAY_OPEN_LEDGER")]
    open_ledger: bool,
}

fn keep_for(text: &str) -> Result<Millis, String> {
    let length = millis(text)?;
    if length < Millis::from_secs(1) { Err("must be at least 1s".to_owned()) } else { Ok(length) }
}

fn origin(text: &str) -> Result<HeaderValue, String> {
    let is_origin =
        text == "*" || text.split_once("://").is_some_and(|(_, host)| !host.is_empty() && !host.contains('/'));
    if !is_origin {
        return Err("must be an origin such as https://tickets.example, without a path".to_owned());
    }
    HeaderValue::from_str(text).map_err(|why| why.to_string())
}

/// A number of bytes, or of KiB, MiB, GiB.
fn bytes(text: &str) -> Result<usize, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("", 1)];
    let found = units.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size)));
    let (number, size) = found.unwrap_or((text, &1));
    let number: usize = number.trim().parse().map_err(|_| "must be a number of bytes, such as 1000000 or 512MiB")?;
    number.checked_mul(*size).ok_or_else(|| "is too many".to_owned())
}

fn keep_bytes(text: &str) -> Result<usize, String> {
    let bytes = bytes(text)?;
    if bytes < 1 << 20 { Err("must be at least 1MiB".to_owned()) } else { Ok(bytes) }
}

/// A number of things that there has to be at least one of.
fn some(text: &str) -> Result<usize, String> {
    const MOST: usize = 100_000_000;
    let number: usize = text.parse().map_err(|_| "must be a number".to_owned())?;
    if (1..=MOST).contains(&number) { Ok(number) } else { Err(format!("must be 1 to {MOST}")) }
}

fn log_bytes(text: &str) -> Result<usize, String> {
    let bytes = bytes(text)?;
    if bytes < 4096 { Err("must be at least 4KiB".to_owned()) } else { Ok(bytes) }
}

impl Cli {
    /// Runs the command until it is done, or until Ctrl-C or SIGTERM stops it.
    ///
    /// # Errors
    /// [`CannotRun`], for a person.
    pub fn run(self) -> Result<(), CannotRun> {
        self.log.start()?;
        match self.command {
            Command::Serve(args) => on_a_runtime(args.run()),
            Command::Page(args) => on_a_runtime(args.run()),
            Command::MockGateway(args) => on_a_runtime(args.run()),
            Command::Backup(args) => args.run(),
            Command::Restore(args) => args.run(),
            Command::Export(args) => args.run(),
            Command::Check(args) => args.run(),
            Command::Simulate(args) => args.run(),
        }
    }
}

fn on_a_runtime(serving: impl Future<Output = Result<(), CannotRun>>) -> Result<(), CannotRun> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(because("the runtime"))?.block_on(serving)
}

impl ServeArgs {
    async fn run(self) -> Result<(), CannotRun> {
        let public = secrets("--auth-token-file", self.auth_token_file.as_deref(), "BOOKING_AUTH_TOKEN")?;
        let admin = secrets("--admin-token-file", self.admin_token_file.as_deref(), "BOOKING_ADMIN_TOKEN")?;
        let keys = secrets("--invitation-key-file", self.invitation_key_file.as_deref(), "BOOKING_INVITATION_KEY")?;
        let named = self.tokens.as_deref().map(|path| token_file::follow("--tokens", path)).transpose()?;
        let named = named.unwrap_or_default();
        let has_named_admin = named.now().has(GrantedDoor::Admin);
        if self.demo && (!public.is_empty() || !keys.is_empty() || named.now().has(GrantedDoor::Public)) {
            let why = "cannot be used with tokens for the public door, or invitations (--auth-token-file, BOOKING_AUTH_TOKEN, --tokens, --invitation-key-file): a demo is open to everybody";
            return Err(CannotRun(format!("--demo {why} who reaches it")));
        }
        let auth = Auth::new(public.iter().map(String::as_str), admin.iter().map(String::as_str));
        let auth = auth.map_err(because("the tokens"))?.with_open_ledger(self.open_ledger);
        let keys = InvitationKeys::new(keys.iter().map(String::as_str)).map_err(because("--invitation-key-file"))?;
        let auth = auth.with_named(named).with_invitations(keys);
        let (gateway, notifier) = (self.ports.gateway()?, self.ports.notifier()?);
        let settings = Settings {
            terms: self.terms.terms(),
            gateway: if gateway.is_some() {
                Gateway::Outside
            } else {
                Gateway::Mock { delay: self.ports.payment_delay() }
            },
            notifier: if notifier.is_some() { Notifier::Outside } else { Notifier::Nobody },
            answer_within: self.answer_within,
            keep_for: self.keep_for,
            limits: Limits {
                tickets: self.max_tickets,
                checkouts: self.max_checkouts,
                kept_bytes: self.keep_bytes,
                holds_per_user: self.max_holds_per_user,
                ..Limits::default()
            },
        };
        let ports =
            Ports { gateway: gateway.map(|port| port as Arc<dyn booking_hosting::ports::PaymentGateway>), notifier };
        let sells_any = !settings.terms.closed_sales;
        let (engine, store, what) = match &self.data_dir {
            None => (Engine::new(settings), None, "serving in memory: nothing is kept when this ends".to_owned()),
            Some(path) => {
                let (engine, directory) = restored("--data-dir", path, self.log_bytes as u64, settings)?;
                let store: Box<dyn Store> = Box::new(directory);
                (engine, Some(store), format!("serving from {}: what is answered is on disk", path.display()))
            }
        };
        if self.data_dir.is_some() && sells_any {
            tracing::warn!("any id is a ticket: a seat that is mistyped is sold as well (--closed-sales)");
        }
        let host = Host::with(engine, store, ports);
        let mut page = PageSettings::default();
        if self.demo {
            demo::open(&host).await.map_err(because("--demo"))?;
            page = PageSettings { map: Some(demo::map()), demo: true, ..page };
            if admin.is_empty() && !has_named_admin {
                tracing::info!("a token (--admin-token-file or BOOKING_ADMIN_TOKEN) would open the operator's buttons");
            }
        }
        let settings = ServeSettings {
            routes: RouteSettings { auth, watchers: self.max_watchers, ..RouteSettings::default() },
            connections: connections_for(self.max_connections),
            connections_per_address: self.max_connections_per_address,
            cors_origins: self.cors_origin,
            stop_within: Duration::from_millis(self.answer_within.0.saturating_add(5_000)),
            page: Some(page),
            ..ServeSettings::default()
        };
        until_told_to_stop(&what, self.listen, host, settings).await
    }
}

/// How often the log says how far a restart has come.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A number of bytes, for people.
fn size(bytes: u64) -> String {
    if bytes < 10 << 20 { format!("{} KiB", bytes >> 10) } else { format!("{} MiB", bytes >> 20) }
}

/// An engine as its directory has it, and the directory, to write to.
fn restored(flag: &str, path: &Path, log_bytes: u64, settings: Settings) -> Result<(Engine, Directory), CannotRun> {
    let start = Instant::now();
    let opened = Directory::open(path, log_bytes).map_err(because(flag))?;
    let (is_new, torn, bytes) = (opened.is_new, opened.torn, opened.directory.bytes());
    if is_new {
        tracing::info!("{} is new", path.display());
    }
    if torn > 0 {
        tracing::warn!("the last {torn} bytes were of a commit that was not finished, and nobody was told of: cut off");
    }
    let mut told = start;
    let restored = restore(opened, settings, now(), |count| {
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            tracing::info!("restoring: {count} records so far, of {}", size(bytes));
        }
    });
    let (engine, directory) = restored.map_err(because(flag))?;
    if !is_new {
        let under_way = engine.checkouts().filter(|record| record.ended().is_none()).count();
        let (tickets, checkouts) = (engine.stored_seats(), engine.checkouts().count());
        tracing::info!(
            "restored {tickets} tickets and {checkouts} checkouts, {under_way} of them under way, from {} in {} ms",
            size(bytes),
            start.elapsed().as_millis()
        );
    }
    Ok((engine, directory))
}

impl MockGatewayArgs {
    async fn run(self) -> Result<(), CannotRun> {
        let settings = Settings { gateway: Gateway::Mock { delay: self.delay }, ..Settings::default() };
        let (engine, store): (_, Option<Box<dyn Store>>) = match &self.ledger {
            None => (Engine::new(settings), None),
            Some(path) => {
                let (engine, directory) = restored("--ledger", path, LOG_BYTES, settings)?;
                (engine, Some(Box::new(directory)))
            }
        };
        let host = Host::with(engine, store, Ports::default());
        let auth = Auth::default().with_open_ledger(self.open_ledger);
        let routes = RouteSettings { services: Services::MockGateway, auth, ..RouteSettings::default() };
        let settings = ServeSettings { routes, page: None, ..ServeSettings::default() };
        until_told_to_stop("the mock payment gateway, at /api/mock-payment", self.listen, host, settings).await
    }
}

impl PageArgs {
    async fn run(self) -> Result<(), CannotRun> {
        let page = PageSettings { api: Some(self.api), map: self.map, demo: false };
        if let Some(directory) = &self.out {
            let files = write_page(directory, &page).map_err(because(&format!("--out {}", directory.display())))?;
            tracing::info!("{} has the page: {files} files", directory.display());
            return Ok(());
        }
        let stop = told_to_stop();
        let (listener, address) = listen_on(self.listen).await?;
        tracing::info!("listening on http://{address}");
        tracing::info!("the page is at http://{address}/");
        serve_page(listener, page, stop).await.map_err(because("serving"))?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// How many connections may wait to be taken, as far as the system allows.
const BACKLOG: u32 = 4096;

/// How many files are open beside the connections: of the data directory, to the gateway, of the runtime.
#[cfg(unix)]
const OTHER_FILES: u64 = 512;

/// How many of the wanted connections there can be: each is an open file. The system's limit is raised as far as it goes.
#[cfg(unix)]
fn connections_for(wanted: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let needed = (wanted as u64).saturating_add(OTHER_FILES);
    let limit = getrlimit(Resource::Nofile);
    let is_enough = |limit: Option<u64>| limit.is_none_or(|files| files >= needed);
    if is_enough(limit.current) {
        return wanted;
    }
    let raised = limit.maximum.map_or(needed, |most| most.min(needed));
    let raised_to = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum });
    let files = if raised_to.is_ok() { raised } else { limit.current.unwrap_or(raised) };
    if files >= needed {
        tracing::debug!(files, "the limit of open files is raised");
        return wanted;
    }
    // Half of what there is where that is little.
    let fit = files.saturating_sub(OTHER_FILES).max(files / 2).max(1);
    tracing::warn!(
        "--max-connections {wanted}: the system allows {files} open files, so there are at most {fit} connections"
    );
    usize::try_from(fit).unwrap_or(wanted)
}

#[cfg(not(unix))]
fn connections_for(wanted: usize) -> usize {
    wanted
}

async fn listen_on(address: SocketAddr) -> Result<(TcpListener, SocketAddr), CannotRun> {
    let bound = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // As the standard library does it: a server that starts again takes its address back.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    let listener = bound().map_err(because(&format!("--listen {address}")))?;
    let address = listener.local_addr().map_err(because("--listen"))?;
    Ok((listener, address))
}

/// The last second of the year 9999, since 1970.
const LAST_SECOND: u64 = 253_402_300_799;

async fn until_told_to_stop(
    what: &str,
    listen: SocketAddr,
    host: Host,
    settings: ServeSettings,
) -> Result<(), CannotRun> {
    // HTTP cannot write such a date: no connection would get an answer.
    if !(1..LAST_SECOND).contains(&(now().as_millis() / 1_000)) {
        return Err(CannotRun("the system's clock is before 1970 or after 9999: set it first".to_owned()));
    }
    let stop = told_to_stop();
    let (listener, address) = listen_on(listen).await?;
    tracing::info!("{what}");
    tracing::info!("listening on http://{address}");
    if settings.page.is_some() {
        tracing::info!("the page is at http://{address}/");
    }
    serve(listener, host.clone(), settings, stop).await.map_err(because("serving"))?;
    host.close().await;
    tracing::info!("stopped");
    Ok(())
}
