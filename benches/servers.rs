//! Servers as processes of their own: the benchmark starts itself again, as a server. They are built alike, and stop
//! when the benchmark does.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use booking_core::time::Millis;
use host_axum_sim::engine::{Engine, Gateway, Limits, Settings};
use host_axum_sim::store::{Directory, LOG_BYTES};
use host_axum_sim::{Host, PageSettings, Ports, ServeSettings};
use tokio::net::TcpListener;

use crate::peers::bare_axum;

/// Which server a process is to be.
const ROLE: &str = "BOOKING_BENCH_ROLE";

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
}

/// The token of the admin's door.
pub const ADMIN_TOKEN: &str = "the-admin-token-of-benchmarks";

/// If this process was started to be a server: is one, until the benchmark ends.
///
/// # Errors
/// When it cannot listen.
pub fn serve_if_asked() -> io::Result<bool> {
    let Ok(role) = std::env::var(ROLE) else { return Ok(false) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        // The end of the benchmark is the end of its input.
        std::thread::spawn(|| {
            let _end = io::copy(&mut io::stdin(), &mut io::sink());
            std::process::exit(0);
        });
        if role == "bare" {
            tell_where(&listener)?;
            bare_axum::serve(listener).await
        } else {
            booking(listener, &role).await
        }
    })?;
    Ok(true)
}

/// Tells the benchmark where the server is, as soon as it is ready.
fn tell_where(listener: &TcpListener) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{}", listener.local_addr()?)?;
    out.flush()
}

/// The role says where everything is kept, or for how long and in how many bytes finished checkouts are.
async fn booking(listener: TcpListener, role: &str) -> io::Result<()> {
    let folder = role.strip_prefix("durable ");
    let (keep_for, kept_bytes) = role.split_once(' ').filter(|_| folder.is_none()).unwrap_or_default();
    let settings = Settings {
        gateway: Gateway::Mock { delay: Millis(0) },
        keep_for: Millis(keep_for.parse().unwrap_or(24 * 60 * 60 * 1_000)),
        limits: Limits { kept_bytes: kept_bytes.parse().unwrap_or(8 << 30), tickets: 50_000_000, ..Limits::default() },
        ..Settings::default()
    };
    let auth = host_axum_sim::Auth::new([], [ADMIN_TOKEN]).map_err(io::Error::other)?;
    let routes = host_axum_sim::RouteSettings { auth, ..host_axum_sim::RouteSettings::default() };
    let page = Some(PageSettings::default());
    let settings_of_serve = ServeSettings { routes, page, ..ServeSettings::default() };
    let host = match folder {
        None => Host::new(Engine::new(settings)),
        Some(folder) => {
            let opened = Directory::open(Path::new(folder), LOG_BYTES).map_err(io::Error::other)?;
            let restored = host_axum_sim::restore(opened, settings, host_axum_sim::now(), |_| {});
            let (engine, directory) = restored.map_err(io::Error::other)?;
            Host::with(engine, Some(Box::new(directory)), Ports::default())
        }
    };
    tell_where(&listener)?;
    host_axum_sim::serve(listener, host, settings_of_serve, std::future::pending()).await
}

impl Server {
    /// A bare axum handler.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn bare() -> io::Result<Self> {
        Self::start("bare")
    }

    /// The in-process host, in memory, with a gateway that answers at once.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn booking() -> io::Result<Self> {
        Self::start("booking")
    }

    /// The same with everything on disk before it is answered, in this folder.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn durable(folder: &Path) -> io::Result<Self> {
        Self::start(&format!("durable {}", folder.display()))
    }

    /// In memory, keeping what is finished for this long, in this number of bytes.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn keeping(keep_for: Millis, kept_bytes: usize) -> io::Result<Self> {
        Self::start(&format!("{} {kept_bytes}", keep_for.0))
    }

    fn start(role: &str) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.trim().parse().map_err(io::Error::other)?;
        Ok(Self { address, child })
    }

    /// How long it has computed.
    #[must_use]
    pub fn cpu(&self) -> std::time::Duration {
        crate::rows::cpu_of(self.child.id())
    }

    /// What it has in memory now, in bytes; `None` where the system does not tell.
    #[must_use]
    pub fn resident(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
