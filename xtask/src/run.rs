//! Running other programs, step by step, and telling how long each took.

use std::collections::BTreeSet;
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// What went wrong, for a person.
pub type Outcome<T = ()> = Result<T, String>;

/// Says a line. Nothing is lost if nobody listens.
pub fn say(line: &str) {
    let _nobody_listens = writeln!(std::io::stderr(), "{line}");
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask is a folder of the workspace").to_owned()
}

/// Lets this process open as many files as the machine allows: a thousand connections are more than most shells do.
pub fn allow_many_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let _as_many_as_there_were = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// `cargo` with these arguments, in the root of the workspace.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// Any program, in the root of the workspace.
pub fn program(name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(args).current_dir(root());
    command
}

fn shown(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let args = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once(name).chain(args).collect::<Vec<_>>().join(" ")
}

/// Runs a program; an error tells which one failed.
pub fn run(command: &mut Command) -> Outcome {
    let line = shown(command);
    say(&format!("$ {line}"));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` ended with {status}")),
        Err(error) => Err(format!("`{line}` could not be started: {error}")),
    }
}

/// Runs a program for what it prints.
pub fn output(command: &mut Command) -> Outcome<String> {
    let line = shown(command);
    let output = command.output().map_err(|error| format!("`{line}` could not be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{line}` ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{line}` did not print text"))
}

/// The machine, as its system describes it.
#[must_use]
pub fn machine() -> String {
    let kernel = output(Command::new("uname").arg("-sr")).unwrap_or_default();
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).unwrap_or_default().1;
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{cores} cores ({model}, {})", kernel.trim())
}

/// The commit that is checked out, in short, and whether anything was changed since.
///
/// # Errors
/// Where git cannot tell.
pub fn commit() -> Outcome<String> {
    Ok(output(&mut program("git", &["describe", "--always", "--dirty", "--exclude", "*"]))?.trim().to_owned())
}

/// Installs what a folder's lockfile of npm's names, where that is not there yet.
///
/// # Errors
/// Where npm fails.
pub fn npm_ci(folder: &Path, what: &str) -> Outcome {
    let marker = folder.join("node_modules/.package-lock.json");
    let modified = |path: &Path| path.metadata().and_then(|about| about.modified()).ok();
    let times = modified(&marker).zip(modified(&folder.join("package-lock.json")));
    if times.is_some_and(|(there, asked)| there >= asked) {
        return Ok(());
    }
    say(&format!("installing {what}"));
    let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"];
    output(program("npm", &install).current_dir(folder)).map(|_said| ())
}

/// A port that was free a moment ago. It is none of those that systems give to outgoing connections, of which one could
/// take it before its server does, and none that this process was given before: the server that was to have it may not have
/// taken it yet.
///
/// # Errors
/// Where there is none.
pub fn free_port() -> Outcome<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let chance = RandomState::new().build_hasher().finish();
    let ports = (0..200_u64).filter_map(|n| u16::try_from(12_000 + chance.wrapping_add(n * 7_919) % 18_000).ok());
    let is_free = |port: &u16| !given.contains(port) && TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let port = ports.into_iter().find(is_free).ok_or("no port is free")?;
    given.insert(port);
    Ok(port)
}

/// The last lines of a log.
#[must_use]
pub fn end_of(path: &Path) -> String {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(4096)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| format!("{}: {error}", path.display()))
}

/// Named steps, run in order until one fails, and how long each took.
#[derive(Default)]
pub struct Steps {
    took: Vec<(&'static str, f64)>,
}

impl Steps {
    /// Runs a step, and remembers how long it took.
    ///
    /// # Errors
    /// What the step says, with its name.
    pub fn step(&mut self, name: &'static str, work: impl FnOnce() -> Outcome) -> Outcome {
        say(&format!("\n── {name}"));
        let start = Instant::now();
        let outcome = work();
        self.took.push((name, start.elapsed().as_secs_f64()));
        outcome.map_err(|why| format!("{name}: {why}"))
    }

    /// A table of what took how long.
    pub fn tell(&self) {
        say("\nseconds  step");
        for (name, seconds) in &self.took {
            say(&format!("{seconds:7.1}  {name}"));
        }
    }
}
