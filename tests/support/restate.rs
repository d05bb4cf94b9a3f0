//! `host-restate` behind a Restate server, both as processes of this machine.

use std::path::PathBuf;

use xtask::restate::{Restate, Setup, free_port};

use crate::http::{Client, Dialect};
use crate::server::Server;

/// A Restate server that knows one host.
pub struct OnRestate {
    /// The server.
    pub restate: Restate,
    /// The host, while it runs.
    pub host: Option<Server>,
    /// The port of the host, which it keeps.
    pub port: u16,
    /// Asks the ingress.
    pub client: Client,
    folder: Folder,
}

/// A folder that is gone when this is dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// A new one.
    ///
    /// # Panics
    /// Where the machine has no place for it.
    #[must_use]
    pub fn new(what: &str) -> Self {
        let mut chance = [0; 8];
        getrandom::fill(&mut chance).unwrap();
        let path = std::env::temp_dir().join(format!("booking-{what}-{:x}", u64::from_le_bytes(chance)));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.0.clone()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _what_is_left_is_for_the_machine = std::fs::remove_dir_all(&self.0);
    }
}

/// A host at a port of its own.
#[must_use]
pub fn host_at(port: u16, args: &[&str]) -> Server {
    Server::start_of("host-restate", "serve", args, &[("BOOKING_LISTEN", &format!("127.0.0.1:{port}"))])
}

impl OnRestate {
    /// Starts both, on free ports, with these arguments for the host.
    ///
    /// # Panics
    /// When one of them does not start.
    #[must_use]
    pub fn start(host: &[&str]) -> Self {
        let folder = Folder::new("restate");
        let restate = Restate::start(Setup::in_folder(folder.path()).unwrap()).unwrap();
        let client = Client::new(&restate.setup.ingress_url()).speaking(Dialect::Restate);
        let mut on = Self { restate, host: None, port: free_port().unwrap(), client, folder };
        on.start_host(host);
        on.restate.setup.register(&on.host.as_ref().unwrap().base).unwrap();
        on
    }

    /// Kills the host, as a machine dies.
    pub fn kill_host(&mut self) {
        self.host = None;
    }

    /// Starts the host, where it was.
    pub fn start_host(&mut self, args: &[&str]) {
        self.host = Some(host_at(self.port, args));
    }

    /// Asks the host to stop, and waits for that. The whole of its log.
    ///
    /// # Panics
    /// When it does not run, or does not end well.
    #[must_use]
    pub fn stop_host(&mut self) -> String {
        self.host.take().unwrap().stop()
    }

    /// Where the server keeps what it knows.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.path()
    }
}
