//! A program that a benchmark starts: it ends when this is dropped.

use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use xtask::run::Outcome;

/// How long a program may take to listen, on a machine that is busy with other things.
const LISTENS_WITHIN: Duration = Duration::from_secs(300);

/// A running program.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
}

impl Program {
    /// Starts a program. What it prints is thrown away; its errors are the benchmark's.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Outcome<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.map_err(|error| format!("{name}: {error}"))?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// Waits until it takes connections there.
    ///
    /// # Errors
    /// Where it ends instead, or does not in five minutes.
    pub fn listens(&mut self, address: SocketAddr) -> Outcome {
        let start = Instant::now();
        while start.elapsed() < LISTENS_WITHIN {
            if TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("{}: ended with {status} before it listened", self.name));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("{}: does not listen", self.name))
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
