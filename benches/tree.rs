//! A working tree of this repository, and the hosts that are built of it: this one, or that of another commit, to compare
//! the two in one run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use xtask::run::{Outcome, cargo, output, root, say};
use xtask::worker::{Bundle, Script};

use crate::rows::is_bench;

/// A working tree.
#[derive(Debug)]
pub struct Tree {
    /// Its commit, and whether files differ from it.
    pub commit: String,
    folder: PathBuf,
    is_this: bool,
    host: OnceLock<Outcome<PathBuf>>,
    on_restate: OnceLock<Outcome<PathBuf>>,
    objects: OnceLock<Outcome<PathBuf>>,
    endpoint: OnceLock<Outcome<PathBuf>>,
}

impl Tree {
    /// The one that this benchmark is built of.
    #[must_use]
    pub fn this() -> Self {
        Self::of(root(), true)
    }

    /// Another one.
    ///
    /// # Errors
    /// Where there is none in this folder.
    pub fn other(folder: &Path) -> Outcome<Self> {
        let cannot = |error| format!("--against {}: {error}", folder.display());
        let folder = folder.canonicalize().map_err(cannot)?;
        if folder.join("Cargo.lock").is_file() && folder.join("host-axum-sim").is_dir() {
            Ok(Self::of(folder, false))
        } else {
            Err(format!("--against {}: is no checkout of this repository", folder.display()))
        }
    }

    fn of(folder: PathBuf, is_this: bool) -> Self {
        let git = |args: &[&str]| output(Command::new("git").args(args).current_dir(&folder)).unwrap_or_default();
        let commit = git(&["rev-parse", "--short", "HEAD"]).trim().to_owned();
        let is_changed = !git(&["status", "--porcelain", "--untracked-files=no"]).trim().is_empty();
        let commit = if is_changed { format!("{commit} with changes") } else { commit };
        let [host, on_restate, objects, endpoint] = std::array::from_fn(|_| OnceLock::new());
        Self { commit, folder, is_this, host, on_restate, objects, endpoint }
    }

    /// What a service of this tree is called.
    #[must_use]
    pub fn named(&self, name: &str) -> String {
        if self.is_this { name.to_owned() } else { format!("{name} at {}", self.commit) }
    }

    /// The command `host-axum-sim`.
    ///
    /// # Errors
    /// Where it cannot be built.
    pub fn host(&self) -> Outcome<PathBuf> {
        self.host.get_or_init(|| self.binary("host-axum-sim")).clone()
    }

    /// The command `host-restate`.
    ///
    /// # Errors
    /// Where it cannot be built.
    pub fn on_restate(&self) -> Outcome<PathBuf> {
        self.on_restate.get_or_init(|| self.binary("host-restate")).clone()
    }

    /// A Worker of the tree, as another script to run; nothing for this tree, whose Worker is run as it is.
    ///
    /// # Errors
    /// Where it cannot be built.
    pub fn script(&self, bundle: Bundle) -> Outcome<Option<Script>> {
        if self.is_this {
            return bundle.built().map(|_| None);
        }
        let kept = if bundle == Bundle::Shop { &self.objects } else { &self.endpoint };
        let folder = kept.get_or_init(|| self.bundle(bundle)).clone()?;
        if bundle == Bundle::Restate && self.has(bundle) {
            return Ok(Some(Script { folder, objects: Vec::new(), needs_node: false }));
        }
        Script::of_checkout(&self.folder, folder).map(Some)
    }

    /// A command of this tree: with optimisations, or as the tests have built it.
    fn binary(&self, package: &str) -> Outcome<PathBuf> {
        if std::env::var_os("BOOKING_BINARIES_ARE_BUILT").is_some() && !is_bench() {
            let here = std::env::current_exe().map_err(|error| error.to_string())?;
            // By the command that built this benchmark, into the folder above it.
            let folder = here.ancestors().nth(2).ok_or("a benchmark that is in no folder")?;
            return Ok(folder.join(package));
        }
        say(&format!("building {package} of {}", self.commit));
        let build = ["build", "--locked", "--package", package, "--message-format", "json-render-diagnostics"];
        let profile: &[&str] = if is_bench() { &["--release"] } else { &[] };
        let built = output(&mut self.cargo(&[&build[..], profile].concat()))?;
        let messages = built.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let path = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
        path.ok_or_else(|| format!("cargo tells of no {package}"))
    }

    /// Whether the tree has this as a Worker of its own.
    fn has(&self, bundle: Bundle) -> bool {
        self.folder.join(bundle.package()).join("wrangler.toml").is_file()
    }

    /// Built by the tree's own command, and copied from where its next build goes.
    fn bundle(&self, bundle: Bundle) -> Outcome<PathBuf> {
        // Trees before the endpoint for Restate was a Worker of its own had it in the same bundle.
        let is_of_its_own = self.has(bundle);
        let (name, option, built): (&str, &[&str], &str) = match bundle {
            Bundle::Restate if is_of_its_own => ("restate", &["restate"], bundle.package()),
            Bundle::Restate => ("restate", &["--restate"], Bundle::Shop.package()),
            Bundle::Shop
            | Bundle::ShopWithFaults
            | Bundle::RestateWithFaults
            | Bundle::Sandbox
            | Bundle::Operations => ("objects", &[], Bundle::Shop.package()),
        };
        say(&format!("building the Worker of {}, for {name}", self.commit));
        let build = ["run", "--quiet", "--package", "xtask", "--", "worker", "build"];
        let _said = output(&mut self.cargo(&[&build[..], option].concat()))?;
        let folder = self.folder.join("target/bundles").join(name);
        let cannot = |error: std::io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(&folder).map_err(cannot)?;
        for entry in std::fs::read_dir(self.folder.join(built).join("build")).map_err(cannot)?.flatten() {
            if entry.path().is_file() {
                std::fs::copy(entry.path(), folder.join(entry.file_name())).map_err(cannot)?;
            }
        }
        Ok(folder)
    }

    /// `cargo` in this tree. In another one it is that tree's own, with a target folder of its own: nothing of what this
    /// benchmark was started with.
    fn cargo(&self, args: &[&str]) -> Command {
        let mut command = if self.is_this { cargo(args) } else { Command::new("cargo") };
        if !self.is_this {
            command.args(args).current_dir(&self.folder).env("CARGO_TARGET_DIR", self.folder.join("target"));
            command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
        }
        // What cargo tells a benchmark about itself would have some packages built anew.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(name.as_ref());
            }
        }
        command
    }
}
