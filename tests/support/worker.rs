//! `host-worker` in a workerd of its own, as a process of this machine.

use xtask::worker::{Setup, Workerd};

use crate::http::Client;
use crate::restate::Folder;

/// A workerd that runs the Worker.
pub struct OnWorkerd {
    /// The process.
    pub workerd: Workerd,
    /// Asks it.
    pub client: Client,
    folder: Folder,
}

impl OnWorkerd {
    /// Starts one on a free port, with these variables.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(vars: &[(&str, &str)]) -> Self {
        Self::set_up(vars, false)
    }

    /// The same, of the bundle that panics where the names of tickets ask for it.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn that_panics(vars: &[(&str, &str)]) -> Self {
        Self::set_up(vars, true)
    }

    fn set_up(vars: &[(&str, &str)], panics: bool) -> Self {
        let folder = Folder::new("worker");
        let setup = Setup { panics, ..Setup::in_folder(folder.path(), vars).unwrap() };
        let workerd = Workerd::start(setup).unwrap();
        let client = Client::new(&workerd.setup.url());
        Self { workerd, client, folder }
    }

    /// Everything that it has said.
    ///
    /// # Panics
    /// When there is no log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.workerd.setup.log()).unwrap()
    }

    /// Where it keeps what it knows.
    #[must_use]
    pub fn folder(&self) -> std::path::PathBuf {
        self.folder.path()
    }
}
