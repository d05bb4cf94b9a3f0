//! A server that keeps what it has in a directory, and starts from that again after a kill.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::http::Client;
use crate::restate::Folder;
use crate::server::{Server, binary};

/// What opens the admin handlers of servers in tests.
pub const ADMIN: &str = "an-admin-token-for-tests";

/// A path as an argument of a command.
///
/// # Panics
/// Where it is no text.
#[must_use]
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A server with a data directory, that can be killed and started again at the same address.
pub struct Durable {
    /// While it runs.
    pub server: Option<Server>,
    /// Its address.
    pub base: String,
    /// Where it keeps what it has.
    pub data: PathBuf,
    args: Vec<String>,
    _folder: Option<Folder>,
}

impl Durable {
    /// Starts one with these arguments, and a directory that is gone when this is dropped.
    #[must_use]
    pub fn start(name: &str, args: &[&str]) -> Self {
        let folder = Folder::new(name);
        let durable = Self::start_in(folder.path().join("data"), args);
        Self { _folder: Some(folder), ..durable }
    }

    /// Starts one that keeps what it has here, also when this is dropped.
    #[must_use]
    pub fn start_in(data: PathBuf, args: &[&str]) -> Self {
        let args = ["--data-dir", text(&data)].iter().chain(args).map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
        let server = Self::started(&args, "127.0.0.1:0");
        Self { base: server.base.clone(), server: Some(server), args, data, _folder: None }
    }

    fn started(args: &[String], listen: &str) -> Server {
        let args: Vec<&str> = ["--listen", listen].into_iter().chain(args.iter().map(String::as_str)).collect();
        Server::start_with("serve", &args, &[("BOOKING_ADMIN_TOKEN", ADMIN)])
    }

    /// `kill -9`. What it has logged since the last time.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn kill(&mut self) -> String {
        self.server.take().unwrap().kill()
    }

    /// Starts it again, where it was.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start_again(&mut self) {
        let listen = self.base.strip_prefix("http://").unwrap();
        self.server = Some(Self::started(&self.args, listen));
    }

    /// Asks as a buyer.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.base)
    }

    /// Asks as an operator.
    #[must_use]
    pub fn admin(&self) -> Client {
        self.client().with_token(ADMIN)
    }
}

/// Runs `host-axum-sim` with these arguments: what it says, if it ends well.
///
/// # Errors
/// What it says, where it does not.
///
/// # Panics
/// Where it cannot be started.
pub fn runs(args: &[&str]) -> Result<String, String> {
    let output = Command::new(binary("host-axum-sim")).args(args).env("NO_COLOR", "1").output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    if output.status.success() { Ok(out) } else { Err(format!("{out}{err}")) }
}
