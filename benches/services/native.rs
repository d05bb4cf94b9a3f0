//! Services that are one process: the in-process host, and PostgreSQL.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use xtask::run::{Outcome, output};

use super::{Asked, CHECKOUT_TIME, Service, free_address};
use crate::folder::Folder;
use crate::peers::postgres::Postgres;
use crate::program::Program;
use crate::scenes::Dialect;
use crate::servers::ADMIN_TOKEN;
use crate::tree::Tree;

/// The in-process host, with a gateway that answers at once.
pub(super) fn host(tree: &Tree, on_disk: bool) -> Outcome<Service> {
    let (binary, address) = (tree.host()?, free_address()?);
    let folder = on_disk.then(|| Folder::on_disk(&format!("host-{}", address.port())));
    let name = tree.named(if on_disk { "host-axum-sim, on disk" } else { "host-axum-sim, in memory" });
    let (mut command, notes) = serve(&binary, address, &name)?;
    // What a run books may not be more than it may keep.
    command.args(["--max-tickets", "100000000", "--keep-bytes", "16GiB"]).env("BOOKING_ADMIN_TOKEN", ADMIN_TOKEN);
    if let Some(folder) = &folder {
        command.arg("--data-dir").arg(folder.path());
    }
    let mut program = Program::start(&name, &mut command)?;
    program.listens(address)?;
    let service = Some(program.id());
    let asked = Asked::Http(Dialect::Host, address);
    Ok(Service {
        name,
        asked,
        notes,
        rests: Duration::ZERO,
        server: None,
        service,
        _ends: vec![Box::new(program), Box::new(folder)],
    })
}

/// The command `serve` of a host, there; and what an older one does not know.
pub(super) fn serve(binary: &Path, address: SocketAddr, name: &str) -> Outcome<(Command, Vec<String>)> {
    let help = output(Command::new(binary).args(["serve", "--help"]))?;
    let mut command = Command::new(binary);
    command.args(["serve", "--payment-delay", "0ms", "--log", "warn", "--listen"]).arg(address.to_string());
    if help.contains("--checkout-time") {
        command.arg("--checkout-time").arg(format!("{}s", CHECKOUT_TIME.as_secs()));
        Ok((command, Vec::new()))
    } else {
        Ok((command, vec![format!("{name} has no `--checkout-time`: its timers do not fire inside the run")]))
    }
}

/// A mock payment gateway of its own process, that answers at once, and its address.
pub(super) fn gateway(this: &Tree) -> Outcome<(Program, String)> {
    let address = free_address()?;
    let mut command = Command::new(this.host()?);
    command.args(["mock-gateway", "--delay", "0ms", "--log", "warn", "--listen"]).arg(address.to_string());
    let mut program = Program::start("the mock gateway", &mut command)?;
    program.listens(address)?;
    Ok((program, format!("http://{address}/api/mock-payment")))
}

/// PostgreSQL's two transactions.
pub(super) fn postgres() -> Outcome<Service> {
    let folder = Folder::on_disk(&format!("postgres-{}", free_address()?.port()));
    let server = Postgres::start(folder.path()).map_err(|error| error.to_string())?;
    let name = format!("PostgreSQL {}, two transactions", server.version);
    let asked = Asked::Postgres(Box::new(server));
    Ok(Service {
        name,
        asked,
        notes: Vec::new(),
        rests: Duration::ZERO,
        server: None,
        service: None,
        _ends: vec![Box::new(folder)],
    })
}
