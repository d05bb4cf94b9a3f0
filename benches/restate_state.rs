//! How many turns a second one virtual object of Restate takes, by the size of its state and by how that is kept and read.
//!
//! `cargo bench -p benches --bench restate_state`: one Restate server, one service and the load generator on the same
//! machine; all clients want the same key. The ways take turns within a size; several rounds, medians. `-- --rounds 5`
//! measures so often, `-- --quick` measures less.

use std::io;
use std::process::{Command, ExitCode};
use std::time::Duration;

use benches::load::{Loaded, asked, json, load};
use benches::on_restate::CheckoutProgress;
use benches::peers::restate_state::{ROW_BYTES, ROWS_A_FILL, on, serve_if_asked};
use benches::rows::{Row, is_bench, say, written_by};
use xtask::restate::{binary, free_port};
use xtask::run::{Outcome, commit, end_of, machine, output, program};

/// A way to keep the state and to take a turn.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    /// Which of the two maps of a size: `value` or `rows`.
    kept: &'static str,
    /// Whether a second object calls the map.
    is_through: bool,
    handler: &'static str,
}

const fn way(name: &'static str, kept: &'static str, handler: &'static str) -> Way {
    Way { name, kept, is_through: false, handler }
}

const fn through(name: &'static str, handler: &'static str) -> Way {
    Way { name, kept: "rows", is_through: true, handler }
}

const WAYS: [Way; 12] = [
    way("one value", "value", "whole"),
    way("rows, eager", "rows", "rows"),
    way("rows, lazy", "rows", "lazy"),
    way("rows, lazy, one read after the other", "rows", "lazyTwice"),
    way("eager, and a run", "rows", "rowsRun"),
    way("lazy, and a run", "rows", "lazyRun"),
    through("eager, through a second object", "rows"),
    through("lazy, through a second object", "lazy"),
    way("shared read, eager", "rows", "look"),
    way("shared read, lazy", "rows", "lazyLook"),
    through("shared read, lazy, through a second object", "lazyLook"),
    way("shared read of all rows, eager", "rows", "lookAtAll"),
];

/// How much is measured.
struct Much {
    /// In KB of 1,024 bytes.
    sizes: &'static [usize],
    clients: usize,
    /// After one that is not counted.
    rounds: usize,
    lasts: Duration,
}

/// What one way did at one size.
struct Cell {
    way: Way,
    row: Row,
    written: u64,
    failed: Option<String>,
}

impl Cell {
    fn rate(&self) -> String {
        self.failed.clone().unwrap_or_else(|| self.row.median(Loaded::per_second).to_string())
    }

    /// Milliseconds of the server and of the service, and KB written by the server, for each turn.
    fn costs(&self) -> String {
        if self.failed.is_some() {
            return "–".to_owned();
        }
        let [server, service] =
            self.row.cpu_each().map(|micros| format!("{}.{:02}", micros / 1000, micros % 1000 / 10));
        let turns: u64 = self.row.rounds.iter().map(asked).sum();
        let tenths = self.written * 10 / 1024 / turns.max(1);
        format!("{server} + {service} ms, {}.{} KB", tenths / 10, tenths % 10)
    }
}

/// Fills both maps of a size.
fn fill(running: &CheckoutProgress, kb: usize) -> io::Result<[Loaded; 2]> {
    let rows = kb * 1024 / ROW_BYTES;
    let ask =
        move |n: u64, out: &mut Vec<u8>| json(&format!("/StateMap/value-{kb}/value"), &format!("{n} {rows}"), out);
    let value = load(running.ingress(), 1, Duration::from_secs(60), 0, Some(1), ask)?;
    let ask = move |n: u64, out: &mut Vec<u8>| {
        let first = usize::try_from(n).unwrap_or_default() * ROWS_A_FILL;
        json(&format!("/StateMap/rows-{kb}/fill"), &format!("{rows} {first}"), out);
    };
    let fills = u64::try_from(rows.div_ceil(ROWS_A_FILL)).unwrap_or_default();
    Ok([value, load(running.ingress(), 1, Duration::from_secs(60), 0, Some(fills), ask)?])
}

/// Puts a load on one way: all clients want one map, each request another row of it.
fn turn(running: &CheckoutProgress, kb: usize, cell: &mut Cell, clients: usize, lasts: Duration) -> io::Result<()> {
    let Way { kept, is_through, handler, .. } = cell.way;
    let (map, rows) = (format!("{kept}-{kb}"), u64::try_from(kb * 1024 / ROW_BYTES).unwrap_or(1));
    let make = move |n: u64, out: &mut Vec<u8>| {
        let object = if is_through { format!("StateSeat/seat-{}", n % 4_096) } else { format!("StateMap/{map}") };
        json(&format!("/{object}/{handler}"), &format!("{map} {}", n * 7_919 % rows), out);
    };
    let server = running.restate.id().unwrap_or_default();
    let (cpu, written) = (running.cpu(), written_by(server));
    let loaded = load(running.ingress(), clients, lasts, cell.row.next, None, make)?;
    let after = running.cpu();
    cell.written += written_by(server).saturating_sub(written);
    cell.row.cpu.push([0, 1].map(|which| after[which].saturating_sub(cpu[which])));
    cell.row.next += asked(&loaded);
    if loaded.other > 0 {
        cell.failed = Some(format!("{} of {} failed", loaded.other, asked(&loaded)));
    }
    cell.row.rounds.push(loaded);
    Ok(())
}

/// Measures all ways at one size.
fn at(running: &CheckoutProgress, kb: usize, much: &Much) -> Outcome<Vec<Cell>> {
    let told = |error: io::Error| format!("{kb} KB: {error}: {}", end_of(&running.restate.setup.log()));
    let [value, rows] = fill(running, kb).map_err(told)?;
    let cell = |way: &Way| {
        let filled = if way.kept == "value" { &value } else { &rows };
        let failed = (filled.other > 0).then(|| "cannot be filled".to_owned());
        Cell { way: *way, row: Row::default(), written: 0, failed }
    };
    let mut cells: Vec<Cell> = WAYS.iter().map(cell).collect();
    // What the server writes for one value keeps it busy for a while afterwards: rows first, and a rest in the end.
    for kept in ["rows", "value"] {
        for round in 0..=much.rounds {
            for cell in cells.iter_mut().filter(|cell| cell.way.kept == kept && cell.failed.is_none()) {
                let lasts = if round == 0 { much.lasts / 4 } else { much.lasts };
                turn(running, kb, cell, much.clients, lasts).map_err(told)?;
                if round == 0 {
                    // What is warm is measured.
                    (cell.row, cell.written) = (Row { next: cell.row.next, ..Row::default() }, 0);
                }
            }
        }
    }
    std::thread::sleep(much.lasts);
    if cells.iter().any(|cell| cell.failed.is_some()) {
        let log = end_of(&running.restate.setup.log());
        say(&format!("{kb} KB: {}", log.trim_end().lines().next_back().unwrap_or_default()));
    }
    Ok(cells)
}

fn table(title: &str, sizes: &[(usize, Vec<Cell>)], of: impl Fn(&Cell) -> String) {
    let line = |cells: Vec<String>| say(&format!("| {} |", cells.join(" | ")));
    let names = WAYS.iter().map(|way| way.name.to_owned());
    say(&format!("\n{title}\n"));
    line(std::iter::once("KB".to_owned()).chain(names).collect());
    line(vec!["---".to_owned(); WAYS.len() + 1]);
    for (kb, cells) in sizes {
        line(std::iter::once(kb.to_string()).chain(cells.iter().map(&of)).collect());
    }
}

/// When, of what, and where: as the figures are quoted with.
fn about(much: &Much) -> Outcome<String> {
    let line = |text: String| text.lines().next().unwrap_or_default().trim().to_owned();
    let date = line(output(&mut program("date", &["-u", "+%F"]))?);
    let server = line(output(Command::new(binary()?).arg("--version"))?);
    let Much { clients, rounds, lasts, .. } = much;
    let (commit, machine) = (commit()?, machine());
    Ok(format!("{date}, {commit}, {server}, {machine}; {clients} clients, {rounds} rounds of {lasts:?}"))
}

/// How much the machine has to do, as the system tells it: the benchmark's own work among it.
fn busy() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}

fn measure(much: &Much) -> Outcome {
    let port = free_port()?;
    let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
    on(port, &mut command);
    let running = CheckoutProgress::start("a state of a size", port, command)?;
    let before = busy();
    let mut sizes = Vec::new();
    for kb in much.sizes {
        sizes.push((*kb, at(&running, *kb, much)?));
    }
    say(&about(much)?);
    say(&format!("load of the machine: {before} before, {} after", busy()));
    table("turns a second of one key", &sizes, Cell::rate);
    table(
        "for each turn: CPU of the server and of the service, and what the server wrote to disk",
        &sizes,
        Cell::costs,
    );
    let failed = sizes.iter().flat_map(|(_, cells)| cells).find_map(|cell| cell.failed.as_ref());
    match failed {
        Some(why) if !is_bench() => Err(why.clone()),
        _ => Ok(()),
    }
}

fn main() -> ExitCode {
    if serve_if_asked().is_some() {
        return ExitCode::SUCCESS;
    }
    let args: Vec<String> = std::env::args().collect();
    let rounds = args.iter().skip_while(|arg| *arg != "--rounds").nth(1).and_then(|rounds| rounds.parse().ok());
    let sizes: &[usize] = &[2, 16, 64, 256, 1_024];
    let much = if is_bench() && args.iter().any(|arg| arg == "--quick") {
        Much { sizes, clients: 64, rounds: rounds.unwrap_or(1), lasts: Duration::from_secs(1) }
    } else if is_bench() {
        Much { sizes, clients: 64, rounds: rounds.unwrap_or(3), lasts: Duration::from_secs(2) }
    } else {
        Much { sizes: &[2], clients: 4, rounds: 1, lasts: Duration::from_millis(100) }
    };
    match measure(&much) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}
