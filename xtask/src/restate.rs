//! A Restate server of the pinned version, as a process on this machine: for tests, for benchmarks, and for `cargo xtask
//! restate up`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub use crate::run::free_port;
use crate::run::{Outcome, end_of, npm_ci, root};

/// How long a server may take to start, on a machine that is busy with other things.
const STARTS_WITHIN: Duration = Duration::from_secs(300);

/// Where the version is pinned.
const PINNED: &str = "host-restate/server";

/// The server, installed with npm by its lockfile where it is not yet.
///
/// # Errors
/// Where npm fails, or has none for this kind of machine.
pub fn binary() -> Outcome<PathBuf> {
    static BINARY: OnceLock<Outcome<PathBuf>> = OnceLock::new();
    BINARY.get_or_init(installed).clone()
}

fn installed() -> Outcome<PathBuf> {
    let folder = root().join(PINNED);
    npm_ci(&folder, "the Restate server")?;
    let scope = folder.join("node_modules/@restatedev");
    let packages = std::fs::read_dir(&scope).map_err(|error| format!("{}: {error}", scope.display()))?;
    let found = packages.flatten().map(|package| package.path().join("bin/restate-server")).find(|path| path.is_file());
    found.ok_or_else(|| "npm has no Restate server for this kind of machine".to_owned())
}

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where it keeps what it knows, and its log.
    pub folder: PathBuf,
    /// The port of its ingress.
    pub ingress: u16,
    /// The port of its admin API.
    pub admin: u16,
    /// The port on which servers talk to each other.
    pub node: u16,
    /// Into how many partitions it divides what it knows, when it does so for the first time.
    pub partitions: u16,
    /// A file with settings, and more of them as environment variables.
    pub config: Option<PathBuf>,
    /// See there.
    pub settings: Vec<(String, String)>,
}

impl Setup {
    /// A server in this folder, on free ports.
    ///
    /// # Errors
    /// Where no port is free.
    pub fn in_folder(folder: PathBuf) -> Outcome<Self> {
        let (ingress, admin, node) = (free_port()?, free_port()?, free_port()?);
        Ok(Self { folder, ingress, admin, node, partitions: 4, config: None, settings: Vec::new() })
    }

    /// Where its log is.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("restate.log")
    }

    /// The command that runs it.
    ///
    /// # Errors
    /// Where it cannot be installed, or its folder cannot be made.
    pub fn command(&self) -> Outcome<Command> {
        let cannot = |error: std::io::Error| format!("{}: {error}", self.folder.display());
        std::fs::create_dir_all(&self.folder).map_err(cannot)?;
        let log = File::options().create(true).append(true).open(self.log()).map_err(cannot)?;
        let mut command = Command::new(binary()?);
        if let Some(config) = &self.config {
            command.arg("--config-file").arg(config);
        }
        command
            .env("RESTATE_BASE_DIR", &self.folder)
            .env("RESTATE_NODE_NAME", "one")
            .env("RESTATE_CLUSTER_NAME", "booking")
            .env("RESTATE_INGRESS__BIND_ADDRESS", format!("127.0.0.1:{}", self.ingress))
            .env("RESTATE_ADMIN__BIND_ADDRESS", format!("127.0.0.1:{}", self.admin))
            .env("RESTATE_BIND_ADDRESS", format!("127.0.0.1:{}", self.node))
            .env("RESTATE_ADVERTISED_ADDRESS", format!("http://127.0.0.1:{}", self.node))
            .env("RESTATE_DEFAULT_NUM_PARTITIONS", self.partitions.to_string())
            .env("RESTATE_ROCKSDB_TOTAL_MEMORY_SIZE", "256MB")
            .env("RESTATE_DISABLE_TELEMETRY", "true")
            .env("RESTATE_LOG_FORMAT", "compact")
            .env("RESTATE_LOG_DISABLE_ANSI_CODES", "true")
            .env("RESTATE_WORKER__INVOKER__EAGER_STATE_SIZE_LIMIT", "64KB")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(cannot)?)
            .stderr(log);
        Ok(command)
    }

    /// The address of its ingress.
    #[must_use]
    pub fn ingress_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ingress)
    }

    /// The address of its admin API.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin)
    }

    /// Waits until it takes requests.
    ///
    /// # Errors
    /// Where it does not in a minute, or `ended` says that it never will; with the end of its log.
    pub fn wait(&self, mut ended: impl FnMut() -> bool) -> Outcome {
        let start = Instant::now();
        let urls = [format!("{}/restate/health", self.ingress_url()), format!("{}/health", self.admin_url())];
        while start.elapsed() < STARTS_WITHIN && !ended() {
            if urls.iter().all(|url| ureq::get(url).call().is_ok()) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("the Restate server did not start: {}", end_of(&self.log())))
    }

    /// Tells it of a host; it asks the host what it serves. Telling it twice is telling it once.
    ///
    /// # Errors
    /// What the server says.
    pub fn register(&self, host: &str) -> Outcome {
        self.ask("/deployments", &json!({ "uri": host })).map(|_| ())
    }

    /// The same, of a host that takes no requests but those of HTTP/1.1: a Worker.
    ///
    /// # Errors
    /// What the server says.
    pub fn register_worker(&self, host: &str) -> Outcome {
        self.ask("/deployments", &json!({ "uri": host, "use_http_11": true })).map(|_| ())
    }

    /// Asks its introspection, in SQL.
    ///
    /// # Errors
    /// What the server says.
    pub fn query(&self, sql: &str) -> Outcome<Vec<Value>> {
        let answer = self.ask("/query", &json!({ "query": sql }))?;
        answer["rows"].as_array().cloned().ok_or_else(|| format!("{sql}: no rows in {answer}"))
    }

    /// How many partitions it leads, by its own metrics.
    ///
    /// # Errors
    /// Where it does not tell.
    pub fn leads(&self) -> Outcome<usize> {
        let url = format!("http://127.0.0.1:{}/metrics", self.node);
        let text = ureq::get(&url).call().and_then(|mut answer| answer.body_mut().read_to_string());
        let text = text.map_err(|error| format!("{url}: {error}"))?;
        let line = text.lines().find(|line| line.starts_with("restate_num_active_partition_leaders{"));
        let count = line.and_then(|line| line.rsplit_once(' ')).and_then(|(_, count)| count.parse().ok());
        count.ok_or_else(|| format!("{url} does not say how many partitions it leads"))
    }

    fn ask(&self, path: &str, body: &Value) -> Outcome<Value> {
        let url = format!("{}{path}", self.admin_url());
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let asked = ureq::Agent::new_with_config(config)
            .post(&url)
            .header("Content-Type", "application/json")
            .header("Accept", "application/json")
            .send(body.to_string());
        let mut answer = asked.map_err(|error| format!("{url}: {error}"))?;
        let text = answer.body_mut().read_to_string().map_err(|error| format!("{url}: {error}"))?;
        if !answer.status().is_success() {
            return Err(format!("{url}: {text}"));
        }
        serde_json::from_str(&text).map_err(|error| format!("{url}: {error}: {text}"))
    }
}

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Restate {
    /// How it is set up.
    pub setup: Setup,
    child: Option<Child>,
}

impl Restate {
    /// Starts a server, and waits until it takes requests.
    ///
    /// # Errors
    /// Why it did not start.
    pub fn start(setup: Setup) -> Outcome<Self> {
        let mut server = Self { setup, child: None };
        server.start_again()?;
        Ok(server)
    }

    /// Starts servers that are to be one cluster, of which two out of three are enough.
    ///
    /// # Errors
    /// Why one did not start.
    pub fn start_cluster(folder: &Path) -> Outcome<Vec<Self>> {
        let mut nodes: Vec<Self> = Vec::new();
        for name in ["one", "two", "three"] {
            nodes.push(Self { setup: Setup::in_folder(folder.join(name))?, child: None });
        }
        let urls: Vec<String> = nodes.iter().map(|node| format!("\"http://127.0.0.1:{}\"", node.setup.node)).collect();
        for (number, node) in nodes.iter_mut().enumerate() {
            let name = node.setup.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            node.setup.config = Some(root().join(PINNED).join("cluster.toml"));
            node.setup.settings = vec![
                ("RESTATE_NODE_NAME".into(), name),
                ("RESTATE_AUTO_PROVISION".into(), (number == 0).to_string()),
                ("RESTATE_METADATA_CLIENT__ADDRESSES".into(), format!("[{}]", urls.join(","))),
            ];
            node.spawn()?;
        }
        nodes.iter_mut().try_for_each(Self::wait)?;
        Ok(nodes)
    }

    /// Starts it again, over what it knew.
    ///
    /// # Errors
    /// Why it did not start.
    pub fn start_again(&mut self) -> Outcome {
        self.spawn()?;
        self.wait()
    }

    fn spawn(&mut self) -> Outcome {
        let child = self.setup.command()?.spawn().map_err(|error| format!("the Restate server: {error}"))?;
        self.child = Some(child);
        Ok(())
    }

    fn wait(&mut self) -> Outcome {
        let Self { setup, child } = self;
        setup.wait(|| child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|status| status.is_some())))
    }

    /// Kills it, as a machine dies.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _may_have_ended = child.kill();
            let _reaped = child.wait();
        }
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }
}

impl Drop for Restate {
    fn drop(&mut self) {
        self.kill();
    }
}
