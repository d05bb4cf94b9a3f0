//! What services did under load, round by round, and how a benchmark tells it.

use std::time::Duration;

use crate::load::{Loaded, asked};

/// `cargo bench` says so; `cargo test` runs it once, for as long as it takes to see that it works.
#[must_use]
pub fn is_bench() -> bool {
    std::env::args().any(|arg| arg == "--bench")
}

/// How long a process has computed, as the system counts it: in hundredths of a second. Nothing where it does not tell.
#[must_use]
pub fn cpu_of(id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// How many bytes a process has written to disk, as the system counts them: when it writes, not when the disk does.
/// Nothing where it does not tell.
#[must_use]
pub fn written_by(id: u32) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{id}/io")).unwrap_or_default();
    let bytes = io.lines().find_map(|line| line.strip_prefix("write_bytes:"));
    bytes.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or_default()
}

/// What one service did with one kind of load.
#[derive(Debug, Default)]
pub struct Row {
    /// Each round.
    pub rounds: Vec<Loaded>,
    /// How long server and service computed in it.
    pub cpu: Vec<[Duration; 2]>,
    /// The number of the next request.
    pub next: u64,
}

impl Row {
    /// The one in the middle of its rounds.
    #[must_use]
    pub fn median(&self, of: impl Fn(&Loaded) -> u64) -> u64 {
        let mut all: Vec<u64> = self.rounds.iter().map(of).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or_default()
    }

    /// Microseconds of computing for each answer: the server's, the service's.
    #[must_use]
    pub fn cpu_each(&self) -> [u64; 2] {
        let answers: u64 = self.rounds.iter().map(asked).sum();
        [0, 1].map(|which| {
            let all: Duration = self.cpu.iter().map(|cpu| cpu[which]).sum();
            u64::try_from(all.as_micros()).unwrap_or(u64::MAX) / answers.max(1)
        })
    }
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Much {
    /// How many rounds, after one that is not counted.
    pub rounds: usize,
    /// How long each lasts.
    pub lasts: Duration,
    /// How many clients at a time, one after the other.
    pub clients: &'static [usize],
}

/// Measures services in turns, and tells of each what it did in the middle of its rounds. `turn` puts a load on the service
/// of this number, with a number of clients, for a length of time.
///
/// # Errors
/// What `turn` says, and where requests were not answered as they should.
pub fn in_turns(
    names: &[&str],
    much: Much,
    mut turn: impl FnMut(usize, &mut Row, usize, Duration) -> Result<(), String>,
) -> Result<(), String> {
    say(HEAD);
    let mut first = 0;
    for count in much.clients {
        let mut rows: Vec<Row> = names.iter().map(|_| Row { next: first, ..Row::default() }).collect();
        for round in 0..=much.rounds {
            for (service, row) in rows.iter_mut().enumerate() {
                let lasts = if round == 0 { much.lasts / 4 } else { much.lasts };
                turn(service, row, *count, lasts)?;
                if round == 0 {
                    // What is warm is measured.
                    row.rounds.clear();
                    row.cpu.clear();
                }
            }
        }
        first = rows.iter().map(|row| row.next).max().unwrap_or_default();
        for (name, row) in names.iter().zip(&rows) {
            tell(name, *count, row)?;
        }
    }
    Ok(())
}

/// The head of the table.
const HEAD: &str = "                           clients  answers/s    p50 ms    p99 ms   µs server   µs service";

/// Tells a row. An error where requests were not answered as they should.
fn tell(name: &str, clients: usize, row: &Row) -> Result<(), String> {
    let (p50, p99) = (row.median(|one| u64::from(one.percentile(50))), row.median(|one| u64::from(one.percentile(99))));
    let [server, service] = row.cpu_each();
    let millis = |micros: u64| format!("{}.{:02}", micros / 1000, micros % 1000 / 10);
    say(&format!(
        "{name:26} {clients:7} {:10} {:>9} {:>9} {server:11} {service:12}",
        row.median(Loaded::per_second),
        millis(p50),
        millis(p99)
    ));
    let cut: u64 = row.rounds.iter().map(|one| one.cut).sum();
    if cut > 0 {
        say(&format!("    ({cut} requests more had no answer: the server closed their connections)"));
    }
    let wrong: u64 = row.rounds.iter().map(|one| one.other).sum();
    if wrong == 0 { Ok(()) } else { Err(format!("{name}: {wrong} requests were not answered as they should")) }
}

/// Says a line.
#[allow(clippy::print_stdout, reason = "a benchmark tells what it measured")]
pub fn say(line: &str) {
    println!("{line}");
}
