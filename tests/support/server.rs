//! Real servers for tests: processes on free ports of this machine, stopped by their process id, also when a test fails.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use booking_core::time::Timestamp;
use booking_hosting::process::now;
use booking_hosting::webhook::Signing;
use serde_json::Value;

use crate::{PATIENCE, size};

/// A server that runs until this is dropped.
pub struct Server {
    /// Its address, such as `http://127.0.0.1:40001`.
    pub base: String,
    child: Child,
    log: Mutex<Receiver<String>>,
}

/// A command of the workspace, by the name of its package, built as it is now.
#[must_use]
pub fn binary(package: &str) -> PathBuf {
    static BINARIES: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut binaries = BINARIES.lock().unwrap();
    binaries.entry(package.to_owned()).or_insert_with(|| built(package)).clone()
}

fn built(package: &str) -> PathBuf {
    if std::env::var_os("BOOKING_BINARIES_ARE_BUILT").is_some() {
        // By the command that built this test, into the folder above it.
        let test = std::env::current_exe().unwrap();
        return test.parent().and_then(Path::parent).unwrap().join(package);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = ["build", "--locked", "--package", package, "--message-format", "json-render-diagnostics"];
    // A long run is of what is shipped.
    let profile = if size(0, 1) > 0 { "release" } else { "dev" };
    let mut command = Command::new(cargo);
    // What cargo tells a test about itself would have some packages built anew.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name.as_ref());
        }
    }
    let output = command.args(build).args(["--profile", profile]).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "the command cannot be built");
    let messages = String::from_utf8(output.stdout).unwrap();
    let built = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let found = built.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    found.expect("cargo tells what it has built")
}

impl Server {
    /// Starts `host-axum-sim` with these arguments, on a free port.
    #[must_use]
    pub fn start(command: &str, args: &[&str]) -> Self {
        Self::start_with(command, args, &[])
    }

    /// As [`Server::start`], with these environment variables as well.
    #[must_use]
    pub fn start_with(command: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::start_of("host-axum-sim", command, args, env)
    }

    /// As [`Server::start_with`], of another package's command.
    #[must_use]
    pub fn start_of(package: &str, command: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut server = Command::new(binary(package));
        server.args([command, "--log-format", "json"]).args(args);
        Self::start_so(server, env)
    }

    /// Starts a server by this command, which has it log as JSON.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_so(mut command: Command, env: &[(&str, &str)]) -> Self {
        let mut child = command
            .envs(["BOOKING_LISTEN", "MOCK_GATEWAY_LISTEN"].map(|listen| (listen, "127.0.0.1:0")))
            // A slow machine must not turn a booking into «still under way».
            .env("BOOKING_ANSWER_WITHIN", "5m")
            // By the ledger tests count the money.
            .envs(["BOOKING_OPEN_LEDGER", "MOCK_GATEWAY_OPEN_LEDGER"].map(|flag| (flag, "true")))
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _nobody_listens = tell.send(line);
            }
        });
        let mut server = Self { base: String::new(), child, log: Mutex::new(log) };
        let start = Instant::now();
        let mut said = Vec::new();
        while start.elapsed() < PATIENCE {
            let line = server.log.lock().unwrap().recv_timeout(PATIENCE);
            let Ok(line) = line else { break };
            if let Some((_, rest)) = line.split_once("listening on ") {
                server.base = rest.split('"').next().unwrap().to_owned();
                return server;
            }
            said.push(line);
        }
        panic!("the server did not start: {said:?}");
    }

    /// Waits for a line of its log that has this in it.
    #[must_use]
    pub fn says(&self, what: &str, within: Duration) -> bool {
        let log = self.log.lock().unwrap();
        let start = Instant::now();
        while let Some(left) = within.checked_sub(start.elapsed()) {
            match log.recv_timeout(left) {
                Ok(line) if line.contains(what) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        false
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, and waits for that. The whole of its log since the last time.
    ///
    /// # Panics
    /// When it does not end well.
    #[must_use]
    pub fn stop(self) -> String {
        self.ask_to_stop();
        self.stopped()
    }

    /// Waits for its end, after it was asked to stop. The whole of its log since the last time.
    ///
    /// # Panics
    /// When it does not end well.
    #[must_use]
    pub fn stopped(mut self) -> String {
        let status = self.child.wait().unwrap();
        // There is no more to come once it has ended, so this waits for nothing but what was said.
        let log: Vec<String> = self.log.lock().unwrap().iter().collect();
        let log = log.join("\n");
        assert!(status.success(), "{status}: {log}");
        log
    }

    /// Asks it to stop.
    pub fn ask_to_stop(&self) {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(asked.unwrap().success());
    }

    /// Kills it, as a machine that stops would: it has no time to say anything. What it had logged since the last time.
    ///
    /// # Panics
    /// Where it cannot be killed.
    pub fn kill(mut self) -> String {
        self.child.kill().unwrap();
        let _reaped = self.child.wait();
        let log: Vec<String> = self.log.lock().unwrap().iter().collect();
        log.join("\n")
    }

    /// Whether it still runs.
    #[must_use]
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _may_have_ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A message to a buyer, as its receiver was sent it.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its idempotency key.
    pub key: String,
    /// What it says.
    pub body: Value,
    text: String,
    headers: BTreeMap<String, String>,
}

impl Told {
    /// Whether this secret has signed it, just now.
    ///
    /// # Panics
    /// Where it is no secret.
    #[must_use]
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let named = |name: &str| self.headers.get(name).map(String::as_str).unwrap_or_default();
        let seconds: u64 = named("webhook-timestamp").parse().unwrap_or_default();
        let at = Timestamp::from_millis(seconds * 1_000);
        let is_new = now().as_millis().abs_diff(at.as_millis()) < 300_000;
        let signing = Signing::new([secret]).unwrap().unwrap();
        let [(_, id), _, (_, signature)] = signing.headers(&self.key, at, &self.text);
        is_new && named("webhook-id") == id && named("webhook-signature").split(' ').any(|one| one == signature)
    }
}

/// A receiver of messages about bookings, which gives these answers: its address, and what comes there, with its key.
///
/// # Panics
/// Where the machine has no port for it.
#[must_use]
pub fn notified(answers: &'static [u16]) -> (String, Receiver<Told>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/booked", listener.local_addr().unwrap());
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for status in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut headers = BTreeMap::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if line.trim().is_empty() {
                    break;
                }
                let (name, value) = line.split_once(": ").unwrap_or_default();
                headers.insert(name.to_lowercase(), value.trim().to_owned());
            }
            let mut body = vec![0; headers["content-length"].parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            let answer = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
            let (key, text) = (headers["idempotency-key"].clone(), String::from_utf8(body).unwrap());
            tell.send(Told { key, body: serde_json::from_str(&text).unwrap(), text, headers }).unwrap();
        }
    });
    (url, told)
}

/// Plays the scenarios of `tests/seeds.sh` on a host that runs there: whether all went as they should, and what was said.
///
/// # Panics
/// Where there is no bash.
#[must_use]
pub fn scenarios(base: &str) -> (bool, String) {
    let script = xtask::run::root().join("tests/seeds.sh");
    let output = Command::new("bash").arg(script).arg(base).output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    (output.status.success(), said)
}

/// Runs `booking tokens` on a file: what it prints, or what it says is wrong.
///
/// # Errors
/// What the command says.
///
/// # Panics
/// Where the command is not there.
pub fn tokens(file: &std::path::Path, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new(binary("booking"));
    let output = command.arg("tokens").args(args).arg("--file").arg(file).output().unwrap();
    let said = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(said(output.stdout)) } else { Err(said(output.stderr)) }
}
