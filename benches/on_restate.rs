//! A service as a process of its own, with a Restate server of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use xtask::restate::{Restate, Setup};
use xtask::run::Outcome;

use crate::rows::cpu_of;

/// A service with a Restate server of its own. Both end when this is dropped.
#[derive(Debug)]
pub struct CheckoutProgress {
    /// What it is called in tables.
    pub name: &'static str,
    /// Its server.
    pub restate: Restate,
    service: Child,
    folder: PathBuf,
}

impl Drop for CheckoutProgress {
    fn drop(&mut self) {
        let _ended = self.service.kill();
        let _reaped = self.service.wait();
        self.restate.kill();
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

impl CheckoutProgress {
    /// Starts a server and, with this command, the service that will listen on this port; registers the service.
    ///
    /// # Errors
    /// Why one of them did not start.
    pub fn start(name: &'static str, port: u16, mut command: Command) -> Outcome<Self> {
        let folder = std::env::temp_dir().join(format!("booking-bench-{port}"));
        let restate = Restate::start(Setup::in_folder(folder.clone())?)?;
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.map_err(|error| format!("{name}: {error}"))?;
        let running = Self { name, restate, service: child, folder };
        let host = format!("http://127.0.0.1:{port}");
        let mut tried = 0;
        while let Err(why) = running.restate.setup.register(&host) {
            tried += 1;
            if tried == 100 {
                return Err(why);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(running)
    }

    /// The address of its server's ingress.
    #[must_use]
    pub fn ingress(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.restate.setup.ingress))
    }

    /// How long its server and its service have computed.
    #[must_use]
    pub fn cpu(&self) -> [Duration; 2] {
        [self.restate.id().unwrap_or_default(), self.service.id()].map(cpu_of)
    }
}
