//! Services that a Restate server calls, each with a server of its own.

use std::net::SocketAddr;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use xtask::restate::{Restate, Setup, binary};
use xtask::run::{Outcome, npm_ci, output, program, root};

use super::{Asked, Service, free_address, native};
use crate::folder::Folder;
use crate::program::Program;
use crate::scenes::Dialect;
use crate::tree::Tree;

/// The version of the server.
///
/// # Errors
/// Where it does not tell.
pub fn version() -> Outcome<String> {
    let said = output(Command::new(binary()?).arg("--version"))?;
    Ok(said.split_whitespace().nth(1).unwrap_or_default().to_owned())
}

/// host-restate, with a gateway that answers at once.
pub(super) fn ours(tree: &Tree) -> Outcome<Service> {
    let (binary, address) = (tree.on_restate()?, free_address()?);
    let name = tree.named("host-restate");
    let (mut command, notes) = native::serve(&binary, address, &name)?;
    command.args(["--mock-payment", "--admin-handlers"]);
    Ok(Service { notes, ..called(name, Dialect::Host, address, &mut command)? })
}

/// The steps of the first proof of concept, on Node.
pub(super) fn reference() -> Outcome<Service> {
    let folder = root().join("benches/peers/reference");
    npm_ci(&folder, "the reference")?;
    let _said = output(program("npx", &["tsc"]).current_dir(&folder))?;
    let address = free_address()?;
    let mut command = Command::new("node");
    command.arg("built/service.js").current_dir(folder).env("PORT", address.port().to_string());
    command.env("NODE_ENV", "production").env("RESTATE_LOGGING", "ERROR");
    called("the reference's steps".to_owned(), Dialect::Reference, address, &mut command)
}

/// The bare steps, and an empty handler beside them.
///
/// # Errors
/// Why it did not start.
pub fn bare(name: &str) -> Outcome<Service> {
    let address = free_address()?;
    let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
    command.env("BOOKING_BENCH_BARE", address.port().to_string());
    called(name.to_owned(), Dialect::Steps, address, &mut command)
}

/// Starts a service, and a server that calls it there.
fn called(name: String, dialect: Dialect, address: SocketAddr, command: &mut Command) -> Outcome<Service> {
    let mut program = Program::start(&name, command)?;
    program.listens(address)?;
    let (restate, folder) = server()?;
    let host = format!("http://{address}");
    let mut tried = 0;
    while let Err(why) = restate.setup.register(&host) {
        tried += 1;
        if tried == 100 {
            return Err(format!("{name}: {why}"));
        }
        sleep(Duration::from_millis(100));
    }
    let asked = Asked::Http(dialect, ingress(&restate));
    let (server, service) = (restate.id(), Some(program.id()));
    let ends: Vec<Box<dyn std::any::Any>> = vec![Box::new(program), Box::new(restate), Box::new(folder)];
    Ok(Service { name, asked, notes: Vec::new(), rests: Duration::ZERO, server, service, _ends: ends })
}

/// A server in a folder of its own, on a disk.
pub(super) fn server() -> Outcome<(Restate, Folder)> {
    let folder = Folder::on_disk(&format!("restate-{}", free_address()?.port()));
    Ok((Restate::start(Setup::in_folder(folder.path().to_owned())?)?, folder))
}

/// Where buyers ask it.
pub(super) fn ingress(restate: &Restate) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], restate.setup.ingress))
}
