//! A mail server of this machine, for tests.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use serde::Deserialize;

use crate::PATIENCE;

/// A mail server that runs until this is dropped.
pub struct MailServer {
    /// Its port, on this machine.
    pub port: u16,
    said: Receiver<String>,
    child: Child,
}

/// An e-mail, as it came.
#[derive(Debug, Deserialize)]
pub struct Email {
    /// Whether the server has taken it.
    pub taken: bool,
    /// Whom it is from.
    pub from: String,
    /// Whom it is for.
    pub to: Vec<String>,
    /// Its name.
    pub id: String,
    /// What it is about.
    pub subject: String,
    /// What it says.
    pub text: String,
}

#[derive(Deserialize)]
struct Started {
    port: u16,
}

impl MailServer {
    /// Starts one with these arguments of `mail.py`.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(args: &[&str]) -> Self {
        let script = xtask::run::root().join("tests/support/mail.py");
        let mut command = Command::new("python3");
        command.arg(script).args(args).env("PYTHONPATH", xtask::pypi::mail_server().unwrap());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let (tell, said) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _nobody_listens = tell.send(line);
            }
        });
        let mut server = Self { port: 0, said, child };
        let Started { port } = serde_json::from_str(&server.said.recv_timeout(PATIENCE).unwrap()).unwrap();
        server.port = port;
        server
    }

    /// The next e-mail.
    ///
    /// # Panics
    /// Where none comes.
    #[must_use]
    pub fn next(&self) -> Email {
        serde_json::from_str(&self.said.recv_timeout(PATIENCE).unwrap()).unwrap()
    }

    /// Whether nothing came that has not been read, and it still runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.said.try_recv(), Err(TryRecvError::Empty))
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _may_have_ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A certificate and its key, for `localhost`, in tests and nowhere else.
#[must_use]
pub fn certificate() -> PathBuf {
    xtask::run::root().join("tests/fixtures/mail.pem")
}
