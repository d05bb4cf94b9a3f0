//! `host-worker` in a workerd of its own, as a process of this machine.

use xtask::worker::{Bundle, Setup, Workerd};

use xtask::restate::{Restate, Setup as RestateSetup};

use crate::http::{Client, Dialect};
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
        Self::start_with(Bundle::Shop, vars)
    }

    /// The same, of a bundle with more.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_with(bundle: Bundle, vars: &[(&str, &str)]) -> Self {
        let folder = Folder::new("worker");
        // A slow machine must not turn a booking into «still under way».
        let patient = [("ANSWER_WITHIN_MS", "300000")].into_iter();
        let is_said = |name: &str| vars.iter().any(|(said, _)| *said == name);
        let vars: Vec<_> = patient.filter(|(name, _)| !is_said(name)).chain(vars.iter().copied()).collect();
        let setup = Setup { bundle, ..Setup::in_folder(folder.path(), &vars).unwrap() };
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

/// A Restate server that calls the Worker in a workerd.
pub struct WorkerOnRestate {
    /// The server.
    pub restate: Restate,
    /// The Worker.
    pub worker: OnWorkerd,
    /// Asks the ingress.
    pub client: Client,
    _folder: Folder,
}

impl WorkerOnRestate {
    /// Starts both, the Worker with these variables, and the server with these settings.
    ///
    /// # Panics
    /// When one of them does not start.
    #[must_use]
    pub fn start(vars: &[(&str, &str)], settings: &[(&str, &str)]) -> Self {
        Self::start_with(Bundle::Restate, vars, settings)
    }

    /// The same, of another bundle.
    ///
    /// # Panics
    /// When one of them does not start.
    #[must_use]
    pub fn start_with(bundle: Bundle, vars: &[(&str, &str)], settings: &[(&str, &str)]) -> Self {
        let is_said = |name: &str| vars.iter().any(|(said, _)| *said == name);
        let others = [("LOG_LEVEL", "warn")].into_iter().filter(|(name, _)| !is_said(name));
        let worker = OnWorkerd::start_with(bundle, &others.chain(vars.iter().copied()).collect::<Vec<_>>());
        let folder = Folder::new("restate");
        let mut setup = RestateSetup::in_folder(folder.path()).unwrap();
        setup.settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let restate = Restate::start(setup).unwrap();
        restate.setup.register_worker(&worker.workerd.setup.url()).unwrap();
        let client = Client::new(&restate.setup.ingress_url()).speaking(Dialect::Restate);
        Self { restate, worker, client, _folder: folder }
    }
}
