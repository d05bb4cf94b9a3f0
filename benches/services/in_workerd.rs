//! Services in workerd, each with one of its own.

use std::any::Any;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use xtask::run::{Outcome, npm_ci, output, program, root};
use xtask::worker::{Bundle, Script, Setup, Workerd, gzipped, tools};

use super::{Asked, CHECKOUT_TIME, Service, free_address, native, on_restate};
use crate::folder::Folder;
use crate::program::Program;
use crate::scenes::Dialect;
use crate::servers::ADMIN_TOKEN;
use crate::tree::Tree;

/// The version of workerd.
///
/// # Errors
/// Where npm has none.
pub fn version() -> Outcome<String> {
    let path = tools()?.join("workerd/package.json");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let about: Value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(about["version"].as_str().unwrap_or_default().to_owned())
}

/// How large the Workers are, the one with Durable Objects and the one for Restate: in bytes, gzipped.
///
/// # Errors
/// Where it cannot be built.
pub fn bundle_sizes() -> Outcome<(u64, u64)> {
    Ok((gzipped(&Bundle::Shop.built()?)?, gzipped(&Bundle::Restate.built()?)?))
}

/// How long the Worker of this tree takes from the start of its process to its first answer.
///
/// # Errors
/// Why it did not start.
pub fn cold(tree: &Tree) -> Outcome<Duration> {
    let script = tree.script(Bundle::Shop)?;
    let begins = Instant::now();
    let _running = start(script, Bundle::Shop, &[])?;
    Ok(begins.elapsed())
}

/// The Worker of a tree with an operator's token, until what comes with its address is dropped.
///
/// # Errors
/// Why it did not start.
pub fn shop(tree: &Tree) -> Outcome<(SocketAddr, impl Sized + use<>)> {
    let started = start(tree.script(Bundle::Shop)?, Bundle::Shop, &[("ADMIN_TOKENS", ADMIN_TOKEN)])?;
    Ok((SocketAddr::from(([127, 0, 0, 1], started.0.setup.port)), started))
}

/// host-worker, on Durable Objects.
pub(super) fn ours(tree: &Tree, this: &Tree) -> Outcome<Service> {
    let name = tree.named("host-worker, Durable Objects");
    let (started, gateway, notes) = worker(tree, this, &name, Bundle::Shop, &[])?;
    Ok(Service { rests: EVICTED, ..alone(name, Dialect::Host, started, vec![Box::new(gateway)], notes) })
}

/// After how long workerd takes an object out of memory that nothing asks. Some 3,000 are too many for it: SQLite, in each
/// of them, gets no more memory then.
const EVICTED: Duration = Duration::from_secs(12);

/// host-worker, as a Restate endpoint.
pub(super) fn ours_on_restate(tree: &Tree, this: &Tree) -> Outcome<Service> {
    let name = tree.named("host-worker, on Restate");
    // Trees before that Worker was one of its own need the first.
    let vars = [("MODE", "restate"), ("RESTATE_UNSIGNED", "allowed"), ("RESTATE_ADMIN_HANDLERS", "true")];
    let (started, gateway, notes) = worker(tree, this, &name, Bundle::Restate, &vars)?;
    called(name, Dialect::Host, started, "/restate", vec![Box::new(gateway)], notes)
}

/// The steps of the first proof of concept, bundled as a Worker.
pub(super) fn reference() -> Outcome<Service> {
    let here = root().join("benches/peers/reference");
    npm_ci(&here, "the reference")?;
    let built = here.join("built/worker");
    let mut bundle = program("node", &[]);
    bundle.arg(tools()?.join("esbuild/bin/esbuild")).current_dir(&here);
    bundle.args(["worker.ts", "--bundle", "--format=esm", "--conditions=workerd,worker", "--external:node:*"]);
    bundle.arg("--alias:@restatedev/restate-sdk=@restatedev/restate-sdk-cloudflare-workers/fetch");
    let _said = output(bundle.args(["--loader:.wasm=copy", "--minify", "--outfile=built/worker/index.js"]))?;
    let script = Script { folder: built, objects: Vec::new(), needs_node: true };
    let started = start(Some(script), Bundle::Shop, &[])?;
    called("the reference's steps, a Worker".to_owned(), Dialect::Reference, started, "", Vec::new(), Vec::new())
}

/// A Worker that does nothing, and an object that counts.
///
/// # Errors
/// Why it did not start.
pub fn bare(name: &str) -> Outcome<Service> {
    let objects = vec![("ONE".to_owned(), "One".to_owned())];
    let script = Script { folder: root().join("benches/peers/workerd"), objects, needs_node: true };
    let started = start(Some(script), Bundle::Shop, &[])?;
    Ok(alone(name.to_owned(), Dialect::Steps, started, Vec::new(), Vec::new()))
}

type Started = (Workerd, Folder);

/// Starts a workerd in a folder of its own, on a disk.
fn start(script: Option<Script>, bundle: Bundle, vars: &[(&str, &str)]) -> Outcome<Started> {
    let folder = Folder::on_disk(&format!("workerd-{}", free_address()?.port()));
    let is_other = script.as_ref().is_some_and(|script| script.needs_node);
    let setup = Setup { script, bundle, ..Setup::in_folder(folder.path().to_owned(), vars)? };
    Ok((if is_other { Workerd::start_silent(setup)? } else { Workerd::start(setup)? }, folder))
}

/// Starts the Worker of this tree, and a gateway that answers at once.
fn worker(
    tree: &Tree,
    this: &Tree,
    name: &str,
    bundle: Bundle,
    more: &[(&str, &str)],
) -> Outcome<(Started, Program, Vec<String>)> {
    let (gateway, payments) = native::gateway(this)?;
    let checkout_time = CHECKOUT_TIME.as_millis().to_string();
    let mut vars = vec![("PAYMENT_URL", payments.as_str()), ("LOG_LEVEL", "warn"), ("ADMIN_TOKENS", ADMIN_TOKEN)];
    vars.push((TIME, &checkout_time));
    vars.extend(more);
    let script = tree.script(bundle)?;
    let mut notes = Vec::new();
    if script.as_ref().is_some_and(|script| !knows_time(script)) {
        notes.push(format!("{name} has no `{TIME}`: its timers do not fire inside the run"));
    }
    Ok((start(script, bundle, &vars)?, gateway, notes))
}

/// The variable that is `--checkout-time` elsewhere.
const TIME: &str = "CHECKOUT_TIME_MS";

/// Whether a Worker reads it: its name stands in what it is compiled to.
fn knows_time(script: &Script) -> bool {
    let wasm = std::fs::read(script.folder.join("index_bg.wasm")).unwrap_or_default();
    wasm.windows(TIME.len()).any(|bytes| bytes == TIME.as_bytes())
}

/// A Worker that buyers ask themselves.
fn alone(
    name: String,
    dialect: Dialect,
    (workerd, folder): Started,
    mut ends: Vec<Box<dyn Any>>,
    notes: Vec<String>,
) -> Service {
    let asked = Asked::Http(dialect, SocketAddr::from(([127, 0, 0, 1], workerd.setup.port)));
    let service = workerd.id();
    ends.extend([Box::new(workerd) as Box<dyn Any>, Box::new(folder)]);
    Service { name, asked, notes, rests: Duration::ZERO, server: None, service, _ends: ends }
}

/// A Worker that a Restate server calls, at this path.
fn called(
    name: String,
    dialect: Dialect,
    started: Started,
    path: &str,
    mut ends: Vec<Box<dyn Any>>,
    notes: Vec<String>,
) -> Outcome<Service> {
    let (restate, kept) = on_restate::server()?;
    restate.setup.register_worker(&format!("{}{path}", started.0.setup.url()))?;
    let (server, asked) = (restate.id(), Asked::Http(dialect, on_restate::ingress(&restate)));
    ends.extend([Box::new(restate) as Box<dyn Any>, Box::new(kept)]);
    Ok(Service { asked, server, ..alone(name, dialect, started, ends, notes) })
}
