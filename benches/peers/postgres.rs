//! PostgreSQL, where people would keep their tickets otherwise: a hold and a confirmation are a transaction each, and
//! each is on the disk before it is answered.
//!
//! It does less than a checkout does here: no payment is asked for, nothing is finished after a crash by itself, no hold
//! lapses on its own, no map hears of it, and a request that comes twice is done twice.

mod buyer;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio_postgres::{Client, Config, Error, NoTls};
use xtask::apt::is_root;
use xtask::postgres::binaries;
use xtask::run::{end_of, free_port, output};

use self::buyer::{Buyer, SCHEMA};
use crate::load::{Loaded, gathered};
use crate::scenes::{House, Scene};
use crate::services::Part;

/// How long a server may take to start, and to end, on a machine that is busy with other things.
const WITHIN: Duration = Duration::from_secs(60);

/// Its user, who may do everything, and its database.
const USER: &str = "booking";
const DATABASE: &str = "postgres";

/// What an operator would set for 64 clients here. All else is as it comes: full pages in the log, a flush at every
/// commit and no waiting for others to share it, autovacuum.
const SETTINGS: [(&str, &str); 7] = [
    // As they come; named, as all depends on them.
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    // As it comes: one for each client, and some to spare.
    ("max_connections", "100"),
    // Twice what it comes with, so that all that is booked in a run stays in memory.
    ("shared_buffers", "256MB"),
    // Twice what it comes with, so that a full log is no reason for a checkpoint in a run.
    ("max_wal_size", "2GB"),
    // TCP on this machine only, as our own server is asked; no socket in the file system.
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
];

/// A server that runs until this is dropped; with it goes what it knows.
#[derive(Debug)]
pub struct Postgres {
    /// Which it is.
    pub version: String,
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Postgres {
    /// Makes a server of its own in this folder, which must not be there yet, and waits until it takes requests: by TCP,
    /// on a free port of this machine. Where this is root, whom it refuses to serve, it runs as `postgres` or `nobody`, who
    /// have to be able to reach the folder. On Linux it ends, at the latest, with the thread that started it.
    ///
    /// # Errors
    /// Where PostgreSQL is missing and cannot be installed, or does not start; with the end of its log.
    pub fn start(folder: &Path) -> io::Result<Self> {
        let (binaries, port) = (binaries().map_err(io::Error::other)?, free_port().map_err(io::Error::other)?);
        std::fs::create_dir(folder)?;
        let mut server = Self { version: String::new(), folder: folder.to_owned(), port, child: None };
        let user = if is_root() { Some(user()?) } else { None };
        if let Some((user, group)) = &user {
            output(Command::new("chown").arg(format!("{user}:{group}")).arg(folder)).map_err(io::Error::other)?;
        }
        let run = |name: &str| {
            let mut command = as_user(&binaries.join(name), user.as_ref());
            command.current_dir(folder).arg("-D").arg(folder.join("data")).stdin(Stdio::null());
            command
        };
        let made = ["--auth", "trust", "--username", USER, "--no-locale", "--encoding", "UTF8", "--no-instructions"];
        output(run("initdb").args(made)).map_err(io::Error::other)?;
        let log = File::create(server.log())?;
        let mut postgres = run("postgres");
        postgres.arg("-p").arg(port.to_string()).stdout(log.try_clone()?).stderr(log);
        for (name, value) in SETTINGS {
            postgres.arg("-c").arg(format!("{name}={value}"));
        }
        server.child = Some(postgres.spawn()?);
        runtime()?.block_on(server.becomes_ready())?;
        Ok(server)
    }

    fn log(&self) -> PathBuf {
        self.folder.join("postgres.log")
    }

    async fn becomes_ready(&mut self) -> io::Result<()> {
        let start = Instant::now();
        let client = loop {
            match connected(self.port).await {
                Ok(client) => break client,
                Err(_) if start.elapsed() < WITHIN && self.is_running() => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(why) => {
                    let log = end_of(&self.log());
                    return Err(io::Error::other(format!("PostgreSQL did not start: {why}: {log}")));
                }
            }
        };
        client.batch_execute(SCHEMA).await.map_err(io::Error::other)?;
        let version = client.query_one("SHOW server_version", &[]).await.map_err(io::Error::other)?;
        let version: &str = version.try_get(0).map_err(io::Error::other)?;
        self.version = version.split(' ').next().unwrap_or_default().to_owned();
        Ok(())
    }

    fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|status| status.is_none()))
    }

    /// Puts a scene's load on it: this many clients, each with a connection of its own and one order at a time, for this
    /// long, or until `most` are asked. They are connected before it begins, as a pool's would be. What is confirmed is
    /// good.
    ///
    /// # Errors
    /// When a connection or a statement fails.
    pub fn round(&self, clients: usize, lasts: Duration, at: Part, scene: Scene, house: House) -> io::Result<Loaded> {
        runtime()?.block_on(async {
            let mut buyers = Vec::new();
            for _ in 0..clients {
                buyers.push(Buyer::prepared(connected(self.port).await.map_err(io::Error::other)?).await?);
            }
            let next = Arc::new(AtomicU64::new(at.first));
            let end = at.first.saturating_add(at.most);
            let start = Instant::now();
            let buying = |buyer: Buyer| tokio::spawn(buyer.buys(start + lasts, next.clone(), end, scene, house));
            gathered(start, buyers.into_iter().map(buying).collect()).await
        })
    }

    /// Writes the rows of the n-th set of the house, a third of them sold.
    ///
    /// # Errors
    /// When a statement fails.
    pub fn publish(&self, house: House, set: u64) -> io::Result<()> {
        self.executes(&buyer::publish(house, set))
    }

    /// Holds the seat that all want, for longer than a run takes.
    ///
    /// # Errors
    /// When a statement fails.
    pub fn hold(&self) -> io::Result<()> {
        self.executes(buyer::HOLD_HOT)
    }

    fn executes(&self, sql: &str) -> io::Result<()> {
        runtime()?.block_on(async {
            let client = connected(self.port).await.map_err(io::Error::other)?;
            client.batch_execute(sql).await.map_err(io::Error::other)
        })
    }

    /// How long it has computed, all its processes together, as the system counts it: in hundredths of a second. Nothing
    /// where it does not tell.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        self.child.as_ref().map_or(Duration::ZERO, |child| cpu_of_family(child.id()))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(id) = self.child.as_ref().map(Child::id) {
            // At once, as nobody needs what it knows; but by itself, as it has children and shared memory.
            // The shell's own `kill`: not every machine has the program.
            let mut kill = Command::new("sh");
            let _may_have_ended =
                kill.args(["-c", "kill -QUIT \"$0\"", &id.to_string()]).stderr(Stdio::null()).status();
            let start = Instant::now();
            while start.elapsed() < WITHIN && self.is_running() {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        if let Some(mut child) = self.child.take() {
            let _may_have_ended = child.kill();
            let _reaped = child.wait();
        }
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

/// Whom it runs as where this is root, and their group.
fn user() -> io::Result<(String, String)> {
    let group = |user: &str| output(Command::new("id").args(["-gn", user])).map(|group| group.trim().to_owned());
    let found = ["postgres", "nobody"].into_iter().find_map(|user| Some((user.to_owned(), group(user).ok()?)));
    found.ok_or_else(|| io::Error::other("PostgreSQL does not run as root, and there is no user postgres or nobody"))
}

/// A program, as this user. On Linux it gets a signal to quit when the thread that started it ends, however that does.
fn as_user(program: &Path, user: Option<&(String, String)>) -> Command {
    if !cfg!(target_os = "linux") {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    if let Some((user, group)) = user {
        command.args(["--reuid", user, "--regid", group, "--init-groups"]);
    }
    command.arg("--").arg(program);
    command
}

/// How long a process, its children, and those children that have ended, have computed.
fn cpu_of_family(id: u32) -> Duration {
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    std::iter::once(id).chain(children).map(cpu_with_ended_children_of).sum()
}

fn cpu_with_ended_children_of(id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = fields.split_whitespace().skip(11).take(4).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// One thread, as the load generator has: the other core is the server's.
fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

async fn connected(port: u16) -> Result<Client, Error> {
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).user(USER).dbname(DATABASE);
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
