//! How many bookings a second are on the disk before they are answered: the in-process host's with `--data-dir`, beside
//! PostgreSQL's, as people would have them otherwise; and the host's in memory, to see what the disk costs.
//!
//! `cargo bench -p benches --bench durable`: 64 clients, load generator and servers on the same machine, on the same disk,
//! taking turns; several rounds, medians.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use benches::folder::Folder;
use benches::load::{Loaded, asked, load, process};
use benches::peers::postgres::Postgres;
use benches::rows::{Much, in_turns, is_bench, say};
use benches::servers::{Server, serve_if_asked};

/// What is measured beside what. Each ends when it is dropped.
enum Peer {
    Ours(&'static str, Server),
    Postgres(Postgres),
}

impl Peer {
    fn name(&self) -> String {
        match self {
            Self::Ours(name, _) => (*name).to_owned(),
            Self::Postgres(server) => format!("PostgreSQL {}", server.version),
        }
    }

    fn round(&self, clients: usize, lasts: Duration, first: u64) -> io::Result<Loaded> {
        match self {
            Self::Ours(_, server) => load(server.address, clients, lasts, first, None, process),
            Self::Postgres(server) => server.round(clients, lasts, first),
        }
    }

    /// How long its server has computed.
    fn cpu(&self) -> Duration {
        match self {
            Self::Ours(_, server) => server.cpu(),
            Self::Postgres(server) => server.cpu(),
        }
    }
}

fn measure(much: Much) -> Result<(), String> {
    let told = |error: io::Error| error.to_string();
    let [ours, theirs] = ["ours", "postgres"].map(Folder::on_disk);
    let peers = [
        Peer::Ours("durable", Server::durable(ours.path()).map_err(told)?),
        Peer::Postgres(Postgres::start(theirs.path()).map_err(told)?),
        Peer::Ours("in memory", Server::booking().map_err(told)?),
    ];
    let names: Vec<String> = peers.iter().map(Peer::name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let rows = in_turns(&names, much, |which, row, clients, lasts| {
        let peer = &peers[which];
        let before = peer.cpu();
        let loaded = peer.round(clients, lasts, row.next).map_err(|error| format!("{}: {error}", names[which]))?;
        row.next += asked(&loaded);
        row.rounds.push(loaded);
        row.cpu.push([peer.cpu().saturating_sub(before), Duration::ZERO]);
        Ok(())
    })?;
    let [ours, theirs, memory] = [0, 1, 2].map(|which: usize| rows[which].median(Loaded::per_second).max(1));
    let tenths = |of: u64, to: u64| format!("{}.{}", of / to, of * 10 / to % 10);
    say(&format!(
        "durable, beside PostgreSQL: {} ×; beside in memory: {} ×",
        tenths(ours, theirs),
        tenths(ours, memory)
    ));
    Ok(())
}

fn main() -> ExitCode {
    let (rounds, lasts) = if is_bench() { (5, Duration::from_secs(4)) } else { (1, Duration::from_millis(200)) };
    let measured = serve_if_asked()
        .map_err(|error| error.to_string())
        .and_then(|served| if served { Ok(()) } else { measure(Much { rounds, lasts, clients: &[64] }) });
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}
