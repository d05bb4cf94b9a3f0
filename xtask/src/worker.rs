//! The Worker: built with the pinned tools, and run in the real workerd, as a process on this machine.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::run::{Outcome, cargo, end_of, free_port, npm_ci, output, program, root, run, say};

/// How long workerd may take to start, on a machine that is busy with other things.
const STARTS_WITHIN: Duration = Duration::from_secs(300);

/// Where the Workers are, and what npm installs for them.
pub(crate) const HOST: &str = "host-worker";

/// The command that `wrangler.toml` builds with on any machine, of this version.
const WORKER_BUILD: &str = "0.8.7";

/// The newest date whose behaviour the pinned workerd knows; `wrangler.toml` names the same.
pub const COMPATIBILITY_DATE: &str = "2026-04-01";

/// How the Worker is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panics {
    /// A panic is an answer with status 500, and every object continues. Needs the nightly toolchain.
    Unwind,
    /// A panic is the end of every object in its isolate. What stable Rust can do.
    Abort,
}

/// The folder of what npm installs for the Worker: wrangler, workerd, esbuild.
///
/// # Errors
/// Where npm fails.
pub fn tools() -> Outcome<PathBuf> {
    let folder = root().join(HOST);
    npm_ci(&folder, "wrangler and workerd")?;
    Ok(folder.join("node_modules"))
}

/// A Worker of this repository, as it is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bundle {
    /// The shop: the engine on Durable Objects.
    #[default]
    Shop,
    /// The same, with panics where tests ask for them, answered with status 500.
    ShopWithFaults,
    /// The engine on Restate: what a Restate server calls.
    Restate,
    /// The same, with panics where tests ask for them.
    RestateWithFaults,
    /// The mock payment gateway.
    Sandbox,
    /// The books of operators.
    Operations,
}

impl Bundle {
    /// Those that are deployed.
    pub const DEPLOYED: [Self; 4] = [Self::Shop, Self::Restate, Self::Sandbox, Self::Operations];

    /// The folder of its package, from the root: its `wrangler.toml` is there.
    #[must_use]
    pub fn package(self) -> &'static str {
        match self {
            Self::Shop | Self::ShopWithFaults => HOST,
            Self::Restate | Self::RestateWithFaults => "host-worker/restate",
            Self::Sandbox => "host-worker/sandbox",
            Self::Operations => "host-worker/ops",
        }
    }

    fn has_faults(self) -> bool {
        matches!(self, Self::ShopWithFaults | Self::RestateWithFaults)
    }

    /// The folder that it is built into; `wrangler.toml` names that of those that are deployed.
    fn folder(self) -> PathBuf {
        root().join(self.package()).join(if self.has_faults() { "build-faults" } else { "build" })
    }

    /// The largest that it may be, in bytes, gzipped. What is loaded wherever it is first asked for should be small; most of
    /// this is what reads and writes JSON, and a sixth of it what makes a panic an answer.
    #[must_use]
    pub fn most_bytes(self) -> u64 {
        match self {
            Self::Shop | Self::ShopWithFaults => 450_000,
            Self::Restate | Self::RestateWithFaults => 500_000,
            Self::Sandbox => 200_000,
            Self::Operations => 150_000,
        }
    }

    /// The folder of it, as tests and benchmarks run it: built by `cargo xtask test`, or now.
    ///
    /// # Errors
    /// Where it cannot be built.
    pub fn built(self) -> Outcome<PathBuf> {
        static BUILT: [OnceLock<Outcome<PathBuf>>; 6] = [const { OnceLock::new() }; 6];
        BUILT[self as usize]
            .get_or_init(|| match self {
                Self::Shop if std::env::var_os("BOOKING_BINARIES_ARE_BUILT").is_some() => Ok(self.folder()),
                // A fault is an answer.
                Self::ShopWithFaults | Self::RestateWithFaults => build(self, Panics::Unwind),
                Self::Shop | Self::Restate | Self::Sandbox | Self::Operations => build(self, best()),
            })
            .clone()
    }

    /// Its objects: of each the binding and the class.
    fn objects(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Shop | Self::ShopWithFaults => &[("SEAT_MAPS", "SeatMapObject"), ("CHECKOUTS", "CheckoutObject")],
            Self::Restate | Self::RestateWithFaults | Self::Operations => &[],
            Self::Sandbox => &[("LEDGER", "LedgerObject")],
        }
    }
}

/// Builds a bundle, with everything that this needs; the folder that it is in.
///
/// # Errors
/// What failed.
pub fn build(bundle: Bundle, panics: Panics) -> Outcome<PathBuf> {
    // What one build has made, another of other features would overwrite before it is packed.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _mine = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let options: &[&str] = if bundle.has_faults() { &["--features", "faults"] } else { &[] };
    let folder = bundle.folder();
    let esbuild = tools()?.join(".bin/esbuild");
    run(&mut cargo(&["build", "--locked", "--quiet", "--package", "bindgen"]))?;
    let metadata = output(&mut cargo(&["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).map_err(|error| error.to_string())?;
    let target = metadata["target_directory"].as_str().ok_or("cargo metadata names no target directory")?;
    let worker_build = worker_build(Path::new(target))?;
    let mut command = Command::new(worker_build);
    command.current_dir(root().join(bundle.package())).args(["--profile", "worker", "--no-opt", "--out-dir"]);
    command.arg(folder.file_name().unwrap_or_default());
    command.env("WASM_BINDGEN_BIN", Path::new(target).join("debug/bindgen")).env("ESBUILD_BIN", esbuild);
    // What cargo tells this command of itself would have the Worker built with it.
    command.env_remove("CARGO").env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTFLAGS");
    match panics {
        Panics::Unwind => {
            add_nightly()?;
            // Two things that nobody reads there: where in a source a panic was, and how a value looks to a programmer.
            command.env("RUSTUP_TOOLCHAIN", "nightly").env("RUSTFLAGS", "-Zlocation-detail=none -Zfmt-debug=none");
            run(command.arg("--panic-unwind").arg(".").args(options))?;
        }
        Panics::Abort => run(command.arg(".").args(options))?,
    }
    Ok(folder)
}

/// The tool that `wrangler.toml` names, installed beside what is built where it is missing.
fn worker_build(target: &Path) -> Outcome<PathBuf> {
    let tools = target.join("tools");
    let path = tools.join("bin/worker-build");
    let is_it = output(Command::new(&path).arg("--version")).is_ok_and(|version| version.trim() == WORKER_BUILD);
    if !is_it {
        add_openssl()?;
        say("installing worker-build: this takes a few minutes, once");
        let mut install =
            cargo(&["install", "worker-build", "--version", WORKER_BUILD, "--locked", "--debug", "--force"]);
        install.arg("--root").arg(&tools).env("CARGO_TARGET_DIR", target.join("tools/target"));
        install.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_PROFILE_DEV_OPT_LEVEL", "0");
        run(&mut install)?;
    }
    Ok(path)
}

/// What worker-build is linked with, on machines that install packages with apt.
fn add_openssl() -> Outcome {
    let has = |name: &str| output(&mut program("pkg-config", &["--exists", name])).is_ok();
    if cfg!(not(target_os = "linux")) || has("openssl") || output(&mut program("apt-get", &["--version"])).is_err() {
        return Ok(());
    }
    run(&mut program("apt-get", &["update"]))?;
    run(&mut program("apt-get", &["install", "--yes", "--no-install-recommends", "libssl-dev", "pkg-config"]))
}

/// The better of the two ways that this machine can build: without a nightly toolchain, which cannot be had everywhere,
/// panics abort.
#[must_use]
pub fn best() -> Panics {
    match add_nightly() {
        Ok(()) => Panics::Unwind,
        Err(why) => {
            say(&format!("no nightly Rust here: a panic will end every object in its isolate ({why})"));
            Panics::Abort
        }
    }
}

fn add_nightly() -> Outcome {
    let components = program("rustup", &["component", "list", "--toolchain", "nightly", "--installed"]).output();
    let has_source = components.is_ok_and(|components| {
        components.status.success()
            && String::from_utf8_lossy(&components.stdout).lines().any(|line| line == "rust-src")
    });
    if has_source {
        return Ok(());
    }
    run(&mut program("rustup", &["toolchain", "install", "nightly", "--profile", "minimal", "--component", "rust-src"]))
}

/// What would be sent to Cloudflare of the bundle in this folder, in bytes, gzipped.
///
/// # Errors
/// Where there is none.
pub fn gzipped(bundle: &Path) -> Outcome<u64> {
    let size = |file: &str| {
        let packed = Command::new("gzip").arg("-9c").arg(bundle.join(file)).output();
        let packed = packed.map_err(|error| format!("gzip: {error}"))?;
        if packed.status.success() { Ok(packed.stdout.len() as u64) } else { Err(format!("gzip: {file}")) }
    };
    Ok(size("index.js")? + size("index_bg.wasm")?)
}

/// A Worker of another make.
#[derive(Clone, Debug)]
pub struct Script {
    /// The folder of its modules: `index.js`, and what that imports.
    pub folder: PathBuf,
    /// Its objects: of each the binding and the class.
    pub objects: Vec<(String, String)>,
    /// Whether it imports modules of Node's.
    pub needs_node: bool,
}

impl Script {
    /// The Worker of another checkout of this repository, of which a bundle is in this folder. Its objects are those of
    /// that checkout's `wrangler.toml`.
    ///
    /// # Errors
    /// Where that file cannot be read, or names none.
    pub fn of_checkout(checkout: &Path, folder: PathBuf) -> Outcome<Self> {
        let path = checkout.join(HOST).join("wrangler.toml");
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let objects = objects_in(&text);
        if objects.is_empty() {
            return Err(format!("{} binds no objects", path.display()));
        }
        Ok(Self { folder, objects, needs_node: false })
    }
}

/// The objects that the first environment of a `wrangler.toml` binds.
fn objects_in(text: &str) -> Vec<(String, String)> {
    let section = text.split_once(".durable_objects]").map_or("", |(_, after)| after);
    let section = section.split_once("\n[").map_or(section, |(section, _)| section);
    let quoted = |line: &str, name: &str| {
        let (_, after) = line.split_once(&format!("{name} = \""))?;
        after.split_once('"').map(|(value, _)| value.to_owned())
    };
    section.lines().filter_map(|line| Some((quoted(line, "{ name")?, quoted(line, "class_name")?))).collect()
}

/// How a workerd is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where it keeps what it knows, and its log.
    pub folder: PathBuf,
    /// The port of the Worker.
    pub port: u16,
    /// The Worker's variables and secrets.
    pub vars: Vec<(String, String)>,
    /// Another Worker to run instead, to compare it with.
    pub script: Option<Script>,
    /// Which Worker it is.
    pub bundle: Bundle,
}

impl Setup {
    /// A Worker in this folder, on a free port, with these variables.
    ///
    /// # Errors
    /// Where no port is free.
    pub fn in_folder(folder: PathBuf, vars: &[(&str, &str)]) -> Outcome<Self> {
        let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Ok(Self { folder, port: free_port()?, vars, script: None, bundle: Bundle::default() })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where its log is.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("workerd.log")
    }

    /// The configuration of workerd: the bindings of `wrangler.toml`, in workerd's own form.
    fn config(&self, files: &[String]) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let ours =
            || self.bundle.objects().iter().map(|(name, class)| ((*name).to_owned(), (*class).to_owned())).collect();
        let objects: Vec<(String, String)> = self.script.as_ref().map_or_else(ours, |script| script.objects.clone());
        let needs_node = self.script.as_ref().is_some_and(|script| script.needs_node);
        let flags = if needs_node { "\"nodejs_compat\"" } else { "" };
        let module = |file: &String| {
            let kind = if file.ends_with(".js") { "esModule" } else { "wasm" };
            format!("(name = \"{file}\", {kind} = embed \"{file}\")")
        };
        let modules: Vec<String> = files.iter().map(module).collect();
        let binding =
            |(name, class): &(String, String)| format!("(name = \"{name}\", durableObjectNamespace = \"{class}\")");
        let var = |(name, value): &(String, String)| format!("(name = {}, text = {})", quoted(name), quoted(value));
        let bindings: Vec<String> = objects.iter().map(binding).chain(self.vars.iter().map(var)).collect();
        let class = |(_, class): &(String, String)| {
            format!("(className = \"{class}\", uniqueKey = \"{class}\", enableSql = true)")
        };
        let classes: Vec<String> = objects.iter().map(class).collect();
        format!(
            "using Workerd = import \"/workerd/workerd.capnp\";\n\
             const config :Workerd.Config = (\n  services = [\n    (name = \"worker\", worker = .worker),\n    \
             (name = \"internet\", network = (allow = [\"public\", \"private\"])),\n    \
             (name = \"objects\", disk = (path = {}, writable = true)),\n  ],\n  \
             sockets = [(name = \"http\", address = \"127.0.0.1:{}\", http = (), service = \"worker\")],\n);\n\
             const worker :Workerd.Worker = (\n  modules = [\n    {}\n  ],\n  compatibilityDate = \"{}\",\n  \
             compatibilityFlags = [{flags}],\n  bindings = [\n    {}\n  ],\n  durableObjectNamespaces = [\n    {}\n  ],\n  \
             durableObjectStorage = (localDisk = \"objects\"),\n);\n",
            quoted(&self.folder.join("objects").to_string_lossy()),
            self.port,
            modules.join(",\n    "),
            COMPATIBILITY_DATE,
            bindings.join(",\n    "),
            classes.join(",\n    "),
        )
    }

    /// The command that runs it.
    ///
    /// # Errors
    /// Where the bundle cannot be built, or its folder cannot be made.
    pub fn command(&self) -> Outcome<Command> {
        let cannot = |error: std::io::Error| format!("{}: {error}", self.folder.display());
        std::fs::create_dir_all(self.folder.join("objects")).map_err(cannot)?;
        let bundle = match &self.script {
            Some(script) => script.folder.clone(),
            None => self.bundle.built()?,
        };
        let files = modules(&bundle)?;
        for file in &files {
            std::fs::copy(bundle.join(file), self.folder.join(file)).map_err(cannot)?;
        }
        std::fs::write(self.folder.join("config.capnp"), self.config(&files)).map_err(cannot)?;
        let log = File::options().create(true).append(true).open(self.log()).map_err(cannot)?;
        // Each object that is in memory has three files open.
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n \"$(ulimit -H -n)\"; exec \"$0\" serve \"$1\""]);
        command.arg(workerd()?).arg(self.folder.join("config.capnp")).stdin(Stdio::null());
        command.stdout(log.try_clone().map_err(cannot)?).stderr(log);
        Ok(command)
    }
}

/// What a bundle is made of: its entry first.
fn modules(folder: &Path) -> Outcome<Vec<String>> {
    let cannot = |error: std::io::Error| format!("{}: {error}", folder.display());
    let names = std::fs::read_dir(folder).map_err(cannot)?.flatten().map(|file| file.file_name());
    let is_module = |name: &String| name.ends_with(".js") || name.ends_with(".wasm");
    let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).filter(is_module).collect();
    names.sort_by_key(|name| (name != "index.js", name.clone()));
    Ok(names)
}

/// The runtime that Cloudflare runs, as npm has it.
fn workerd() -> Outcome<PathBuf> {
    let scope = tools()?.join("@cloudflare");
    let packages = std::fs::read_dir(&scope).map_err(|error| format!("{}: {error}", scope.display()))?;
    let found = packages.flatten().map(|package| package.path().join("bin/workerd")).find(|path| path.is_file());
    found.ok_or_else(|| "npm has no workerd for this kind of machine".to_owned())
}

/// A workerd that runs until this is dropped.
#[derive(Debug)]
pub struct Workerd {
    /// How it is set up.
    pub setup: Setup,
    child: Option<Child>,
}

impl Workerd {
    /// Starts one, and waits until the Worker answers.
    ///
    /// # Errors
    /// Why it did not.
    pub fn start(setup: Setup) -> Outcome<Self> {
        let mut workerd = Self { setup, child: None };
        workerd.start_again()?;
        Ok(workerd)
    }

    /// Starts one that is set up wrongly, and waits until it says so.
    ///
    /// # Errors
    /// Why it did not.
    pub fn start_wrongly(setup: Setup) -> Outcome<Self> {
        let mut workerd = Self { setup, child: None };
        workerd.spawn(|answer| matches!(answer, Err(ureq::Error::StatusCode(503))))?;
        Ok(workerd)
    }

    /// Starts one of another make, and waits until it answers anything.
    ///
    /// # Errors
    /// Why it did not.
    pub fn start_silent(setup: Setup) -> Outcome<Self> {
        let mut workerd = Self { setup, child: None };
        workerd.spawn(|answer| matches!(answer, Ok(_) | Err(ureq::Error::StatusCode(_))))?;
        Ok(workerd)
    }

    /// Starts it again, over what it knew.
    ///
    /// # Errors
    /// Why it did not.
    pub fn start_again(&mut self) -> Outcome {
        self.spawn(Result::is_ok)
    }

    fn spawn(&mut self, is_there: fn(&Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> bool) -> Outcome {
        let child = self.setup.command()?.spawn().map_err(|error| format!("workerd: {error}"))?;
        self.child = Some(child);
        let (start, health) = (Instant::now(), format!("{}/health", self.setup.url()));
        while start.elapsed() < STARTS_WITHIN {
            if is_there(&ureq::get(&health).call()) {
                return Ok(());
            }
            let ended = self.child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|status| status.is_some()));
            if ended {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("workerd did not start: {}", end_of(&self.setup.log())))
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

impl Drop for Workerd {
    fn drop(&mut self) {
        self.kill();
    }
}
