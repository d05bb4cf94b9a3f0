//! wrangler: sends the Worker to Cloudflare, and runs it on this machine with what the platform puts around it, which
//! workerd by itself has not: the page, and counting who asks too often.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::{Outcome, end_of, free_port, output, program, root};
use crate::worker::{Bundle, HOST, tools};

/// The date that says which behaviour of the platform serves static files. The pinned workerd knows it.
const COMPATIBILITY_DATE: &str = "2026-04-01";

/// How long it may take to start, on a machine that is busy with other things.
const STARTS_WITHIN: Duration = Duration::from_secs(300);

/// How long it may take to end what it has started.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// The pinned wrangler, for the bundle as it is built: it builds none.
///
/// # Errors
/// Where npm fails.
pub fn command(args: &[&str]) -> Outcome<Command> {
    let mut command = program("node", &[]);
    command.arg(tools()?.join("wrangler/bin/wrangler.js")).args(args).current_dir(root().join(HOST));
    command.env("BOOKING_BUNDLE_IS_BUILT", "1");
    Ok(command)
}

/// The same where nobody looks on: it asks nothing, and tells Cloudflare nothing.
///
/// # Errors
/// Where npm fails.
pub fn command_alone(args: &[&str]) -> Outcome<Command> {
    let mut command = command(args)?;
    command.env("WRANGLER_SEND_METRICS", "false").env("CI", "1").stdin(Stdio::null());
    Ok(command)
}

/// What tells wrangler to run the shop, and beside it the sandbox and the books of operators.
pub const ALL_WORKERS: [&str; 6] =
    ["--config", "wrangler.toml", "--config", "sandbox/wrangler.toml", "--config", "ops/wrangler.toml"];

/// Makes the tables of the books in this folder, where they are kept locally.
///
/// # Errors
/// What wrangler says.
pub fn make_tables(environment: &str, folder: &Path) -> Outcome {
    let mut command = command_alone(&["d1", "migrations", "apply", "DB", "--local", "--env", environment])?;
    command.args(["--config", "ops/wrangler.toml", "--persist-to"]).arg(folder);
    output(&mut command).map(|_| ())
}

/// The Worker of an environment, run by wrangler until this is dropped.
#[derive(Debug)]
pub struct Dev {
    port: u16,
    log: PathBuf,
    child: Child,
}

impl Dev {
    /// Starts one of the bundle that is deployed, on a free port, and waits until the Worker answers. In this folder it
    /// keeps what it knows, and its log. These variables and secrets are instead of the environment's own of these names,
    /// and a developer's `.dev.vars` is not read.
    ///
    /// # Errors
    /// Why it did not.
    pub fn start(environment: &str, folder: PathBuf, vars: &[(&str, &str)]) -> Outcome<Self> {
        let _built = Bundle::Shop.built()?;
        Self::with_vars(command_alone(&["dev", "--env", environment, "--local"])?, folder, vars)
    }

    /// The same with the sandbox and the books of operators beside it.
    ///
    /// # Errors
    /// Why it did not.
    pub fn with_all_workers(environment: &str, folder: PathBuf, vars: &[(&str, &str)]) -> Outcome<Self> {
        let _built = (Bundle::Shop.built()?, Bundle::Sandbox.built()?, Bundle::Operations.built()?);
        make_tables(environment, &folder)?;
        let mut command = command_alone(&["dev", "--env", environment, "--local"])?;
        command.args(ALL_WORKERS);
        Self::with_vars(command, folder, vars)
    }

    /// The same with a Worker of a test's own before them, which is the one that answers: its `wrangler.toml` is this. There is no page:
    /// what stands before its files hands no clock on.
    ///
    /// # Errors
    /// Why it did not.
    pub fn with_all_workers_behind(
        first: &Path,
        environment: &str,
        folder: PathBuf,
        vars: &[(&str, &str)],
    ) -> Outcome<Self> {
        let _built = (Bundle::Shop.built()?, Bundle::Sandbox.built()?, Bundle::Operations.built()?);
        make_tables(environment, &folder)?;
        let mut command = command_alone(&["dev", "--env", environment, "--local", "--config"])?;
        command.arg(first).arg("--config").arg(shop_behind(&folder, vars)?).args(&ALL_WORKERS[2..]);
        Self::of(command, &folder, "/health")
    }

    fn with_vars(mut command: Command, folder: PathBuf, vars: &[(&str, &str)]) -> Outcome<Self> {
        let secrets = folder.join("vars.env");
        let cannot = |error: std::io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(&folder).map_err(cannot)?;
        let lines: String = vars.iter().map(|(name, value)| format!("{name}=\"{value}\"\n")).collect();
        std::fs::write(&secrets, lines).map_err(cannot)?;
        command.arg("--env-file").arg(&secrets);
        Self::of(command, &folder, "/health")
    }

    /// These files, as Cloudflare serves static ones, on a free port, once they are served. In the folder is what it keeps, and its log.
    ///
    /// # Errors
    /// Why they are not.
    pub fn files(files: &Path, folder: &Path) -> Outcome<Self> {
        let config = folder.join("wrangler.json");
        let says = serde_json::json!({
            "name": "page", "compatibility_date": COMPATIBILITY_DATE, "assets": { "directory": files }
        });
        std::fs::write(&config, says.to_string()).map_err(|error| format!("{}: {error}", config.display()))?;
        let mut command = command_alone(&["dev", "--local", "--config"])?;
        command.arg(config);
        Self::of(command, folder, "/settings.json")
    }

    /// Starts it, and waits until this path of it answers.
    fn of(mut command: Command, folder: &Path, answers: &'static str) -> Outcome<Self> {
        let (port, log) = (free_port()?, folder.join("wrangler.log"));
        // Several that are started at once would all take the same one.
        command.args(["--inspector-port", &free_port()?.to_string()]);
        let cannot = |error: std::io::Error| format!("{}: {error}", folder.display());
        let said = File::create(&log).map_err(cannot)?;
        command.args(["--ip", "127.0.0.1", "--port", &port.to_string(), "--persist-to"]).arg(folder);
        command.stdout(said.try_clone().map_err(cannot)?).stderr(said);
        // So that what it starts can be ended with it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().map_err(|error| format!("wrangler: {error}"))?;
        let mut dev = Self { port, log, child };
        dev.wait(answers)?;
        Ok(dev)
    }

    fn wait(&mut self, answers: &str) -> Outcome {
        let (start, health) = (Instant::now(), format!("{}{answers}", self.url()));
        while start.elapsed() < STARTS_WITHIN && self.runs() {
            if ureq::get(&health).call().is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("wrangler did not start: {}", end_of(&self.log)))
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where its log is, with the Worker's lines in it.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.log.clone()
    }

    /// Its process id, which is also that of the group of everything that it has started.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it, and everything that it has started, as a machine does that loses its power.
    pub fn kill(self) {
        self.signal("-KILL");
    }

    fn runs(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_none())
    }

    fn signal(&self, name: &str) {
        let group = format!("-{}", self.id());
        let _may_have_ended = output(&mut program("kill", &[name, "--", &group]));
    }
}

/// The shop's `wrangler.toml`, in this folder, for where another Worker stands before it: wrangler hands variables to the first alone.
fn shop_behind(folder: &Path, vars: &[(&str, &str)]) -> Outcome<PathBuf> {
    let path = folder.join("shop/wrangler.json");
    let cannot = |error: std::io::Error| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(root().join(HOST).join("wrangler.toml")).map_err(cannot)?;
    let mut config: toml::Table = text.parse().map_err(|error| format!("{HOST}/wrangler.toml: {error}"))?;
    config.remove("assets");
    config.insert("main".into(), root().join(HOST).join("build/index.js").display().to_string().into());
    let own = config.get_mut("env").and_then(|all| all.get_mut("development")).and_then(|one| one.get_mut("vars"));
    let own = own.and_then(toml::Value::as_table_mut).ok_or("the environment has no vars")?;
    own.extend(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())));
    std::fs::create_dir_all(folder.join("shop"))
        .and_then(|()| std::fs::write(&path, serde_json::json!(config).to_string()))
        .map_err(cannot)?;
    Ok(path)
}

impl Drop for Dev {
    /// It clears its own folder away where it is asked to end.
    fn drop(&mut self) {
        self.signal("-TERM");
        let start = Instant::now();
        while self.runs() && start.elapsed() < ENDS_WITHIN {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.signal("-KILL");
        let _reaped = self.child.wait();
    }
}
