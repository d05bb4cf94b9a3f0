//! The command `simulate`: seeds, a progress bar, a table, and where something is broken a trace and how to see it again.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use booking_hosting::flags::{CannotRun, because};
use clap::{Args, value_parser};
use indicatif::{ProgressBar, ProgressStyle};

use super::fault_points::{FaultPoints, NoFaults};
use super::many::{Seeds, Simulated, simulate};
use super::play::{Simulation, Tally};
use super::report::{Whole, page};
use super::scene::{Faults, Size};
use super::trace::Trace;

/// After this number of seeds everything that is rare has to have been met.
const ENOUGH: u64 = 200_000;

/// What to simulate.
#[derive(Args, Clone, Debug)]
pub(crate) struct SimulateArgs {
    /// How many seeds to run
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first of them
    #[arg(long, value_name = "S", default_value_t = 0)]
    from: u64,
    /// Run this one alone, and tell all of it
    #[arg(long, value_name = "S", conflicts_with_all = ["seeds", "from", "replay"])]
    seed: Option<u64>,
    /// Let this trace happen again, and tell all of it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seeds", "from"])]
    replay: Option<PathBuf>,

    /// Tickets, at most
    #[arg(long, value_name = "N", default_value_t = Size::SMALL.tickets, value_parser = value_parser!(u8).range(1..=64))]
    tickets: u8,
    /// People who ask for something, at most
    #[arg(long, value_name = "N", default_value_t = Size::SMALL.buyers, value_parser = value_parser!(u8).range(1..=64))]
    buyers: u8,
    /// Crashes in a run, at most: what is not synced is lost, kept by luck, or torn
    #[arg(long, value_name = "N", default_value_t = Size::SMALL.faults.crashes)]
    crashes: u8,
    /// Requests and payments that arrive twice, at most
    #[arg(long, value_name = "N", default_value_t = Size::SMALL.faults.twice)]
    twice: u8,
    /// Answers of the gateway that get lost, at most
    #[arg(long, value_name = "N", default_value_t = Size::SMALL.faults.lost)]
    lost: u8,
    /// Questions that the gateway does not hear in time, at most
    #[arg(long, value_name = "N", default_value_t = Size::SMALL.faults.silent)]
    silent: u8,
    /// Messages to buyers that do not arrive, at most
    #[arg(long, value_name = "N", default_value_t = Size::SMALL.faults.undelivered)]
    undelivered: u8,
    /// How often the disk is full for a while, at most
    #[arg(long, value_name = "N", default_value_t = Size::SMALL.faults.full)]
    full: u8,
    /// How often the calendar clock jumps by an hour or a day, at most
    #[arg(long, value_name = "N", default_value_t = Size::SMALL.faults.clock)]
    clock: u8,

    /// How many threads
    #[arg(long, value_name = "N", default_value_t = threads(), value_parser = value_parser!(u64).range(1..=1024))]
    threads: u64,
    /// Write a page about it here, with a chart of one run: the one that breaks something, else the one that shows most
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Where a trace is written that breaks something
    #[arg(long, value_name = "FILE", default_value = "failed.trace.json")]
    trace: PathBuf,
}

fn threads() -> u64 {
    std::thread::available_parallelism().map_or(1, |count| count.get() as u64)
}

impl SimulateArgs {
    fn size(&self) -> Size {
        let Self { crashes, twice, lost, silent, undelivered, full, clock, .. } = *self;
        let faults = Faults { crashes, twice, lost, silent, undelivered, full, clock };
        Size { tickets: self.tickets, buyers: self.buyers, faults }
    }

    /// The flags that make other scenes than the default ones.
    fn size_flags(&self) -> String {
        let (size, usual) = (self.size(), Size::SMALL);
        let flags = [
            ("tickets", size.tickets, usual.tickets),
            ("buyers", size.buyers, usual.buyers),
            ("crashes", size.faults.crashes, usual.faults.crashes),
            ("twice", size.faults.twice, usual.faults.twice),
            ("lost", size.faults.lost, usual.faults.lost),
            ("silent", size.faults.silent, usual.faults.silent),
            ("undelivered", size.faults.undelivered, usual.faults.undelivered),
            ("full", size.faults.full, usual.faults.full),
        ];
        let other = flags.iter().filter(|(_, is, usual)| is != usual);
        other.map(|(name, is, _)| format!(" --{name} {is}")).collect()
    }

    /// Runs it.
    ///
    /// # Errors
    /// [`CannotRun`], for a person: also where a promise is broken.
    pub(crate) fn run(&self) -> Result<(), CannotRun> {
        self.run_with(&NoFaults)
    }

    fn run_with(&self, fault_points: &'static dyn FaultPoints) -> Result<(), CannotRun> {
        if let Some(file) = &self.replay {
            let trace = read(file)?;
            let again = format!("host-axum-sim simulate --replay {}", file.display());
            return self.one(fault_points, &trace, None, &again);
        }
        if let Some(seed) = self.seed {
            let trace = Simulation::new(fault_points, self.size()).trace(seed);
            return self.one(
                fault_points,
                &trace,
                Some(seed),
                &format!("host-axum-sim simulate --seed {seed}{}", self.size_flags()),
            );
        }
        self.many(fault_points)
    }

    /// One run, told from its beginning to its end.
    fn one(
        &self,
        fault_points: &'static dyn FaultPoints,
        trace: &Trace,
        seed: Option<u64>,
        again: &str,
    ) -> Result<(), CannotRun> {
        let told = trace.retold(fault_points);
        for event in told.0.told().1 {
            let between = match (&event.from, &event.to) {
                (Some(from), Some(to)) if from != to => format!("{from} → {to}"),
                (_, Some(to)) => to.clone(),
                (_, None) => "·".to_owned(),
            };
            let mark = if event.is_fault { "!" } else { " " };
            say(&format!("{:>8} ms {mark} {between:28} {}", event.at, event.text));
        }
        if let Some(file) = &self.report {
            let mut simulation = Simulation::new(fault_points, self.size());
            let _told_below = seed.map(|seed| simulation.run(seed).is_ok());
            let whole = Whole {
                seeds: again,
                size: &self.size(),
                tally: simulation.tally(),
                coverage: simulation.coverage(),
                endings: simulation.endings(),
            };
            write(file, &page(whole, seed, again, trace, &told))?;
        }
        match told.1 {
            None => {
                say("nothing is broken by that");
                Ok(())
            }
            Some(broken) => Err(CannotRun(broken.to_string())),
        }
    }

    fn many(&self, fault_points: &'static dyn FaultPoints) -> Result<(), CannotRun> {
        let start = Instant::now();
        let all = self.simulate(fault_points);
        let took = start.elapsed();
        let seeds = format!("seeds {} to {}{}", self.from, self.from + all.tally.seeds - 1, self.size_flags());
        tell(&all, took);
        let (seed, trace) = match &all.broken {
            Some((seed, trace)) => (*seed, trace.minimised(fault_points)),
            None => (all.richest.1, Simulation::new(fault_points, self.size()).trace(all.richest.1)),
        };
        if let Some(file) = &self.report {
            let again = format!("host-axum-sim simulate --seed {seed}{}", self.size_flags());
            let whole = Whole {
                seeds: &seeds,
                size: &self.size(),
                tally: all.tally,
                coverage: &all.coverage,
                endings: &all.endings,
            };
            write(file, &page(whole, Some(seed), &again, &trace, &trace.retold(fault_points)))?;
        }
        if all.broken.is_some() {
            let json = serde_json::to_string_pretty(&trace).expect("a trace is JSON");
            write(&self.trace, &json)?;
            return Err(CannotRun(format!(
                "{} is broken: {}\nfound by seed {seed}{}, version {}\n{json}\nTo see it again:\n  host-axum-sim simulate --replay {}",
                trace.promise,
                trace.what,
                self.size_flags(),
                env!("CARGO_PKG_VERSION"),
                self.trace.display()
            )));
        }
        let missing = all.coverage.missing(1);
        if all.tally.seeds >= ENOUGH && self.size() == Size::SMALL && !missing.is_empty() {
            let missing: Vec<&str> = missing.iter().map(|sight| sight.name()).collect();
            return Err(CannotRun(format!("nothing is broken, but never met: {}", missing.join("; "))));
        }
        Ok(())
    }

    fn simulate(&self, fault_points: &'static dyn FaultPoints) -> Simulated {
        let bar = ProgressBar::new(self.seeds);
        let style = "{wide_bar} {human_pos}/{human_len} seeds {per_sec} {elapsed}, {eta} left";
        bar.set_style(ProgressStyle::with_template(style).expect("a template that was tried"));
        bar.enable_steady_tick(Duration::from_millis(200));
        let seeds = Seeds { first: self.from, count: self.seeds, threads: self.threads };
        let all = simulate(fault_points, self.size(), seeds, &|more| bar.inc(more));
        bar.finish_and_clear();
        all
    }
}

fn read(file: &Path) -> Result<Trace, CannotRun> {
    let name = format!("--replay {}", file.display());
    let text = std::fs::read_to_string(file).map_err(because(&name))?;
    let trace: Trace = serde_json::from_str(&text).map_err(because(&name))?;
    trace.scene.validate().map_err(|why| CannotRun(format!("{name}: {why}")))?;
    Ok(trace)
}

fn write(file: &Path, text: &str) -> Result<(), CannotRun> {
    std::fs::write(file, text).map_err(because(&file.display().to_string()))?;
    say(&format!("written: {}", file.display()));
    Ok(())
}

/// What was simulated, as a table.
fn tell(all: &Simulated, took: Duration) {
    let Tally { seeds, requests, crashes, steps } = all.tally;
    let rate = u128::from(seeds) * 1_000_000 / took.as_micros().max(1);
    say(&format!(
        "{seeds} seeds in {}.{} s, {rate} a second: {requests} requests, {crashes} crashes, {steps} steps",
        took.as_secs(),
        took.subsec_millis() / 100
    ));
    say("\n     times  met");
    all.coverage.iter().for_each(|(sight, count)| say(&format!("{count:10}  {}", sight.name())));
    say("\n checkouts  ended as");
    all.endings.iter().for_each(|(name, count)| say(&format!("{count:10}  {name}")));
}

fn say(line: &str) {
    let _nobody_listens = writeln!(io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Args {
        #[command(flatten)]
        simulate: SimulateArgs,
    }

    /// A disk that says that something is stored as soon as it has it.
    #[derive(Debug)]
    struct TrustsTheCache;

    impl FaultPoints for TrustsTheCache {
        fn trusts_what_is_not_synced(&self) -> bool {
            true
        }
    }

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("booking-simulate-{}-{name}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn path(&self, name: &str) -> String {
            self.0.join(name).to_str().unwrap().to_owned()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _gone = std::fs::remove_dir_all(&self.0);
        }
    }

    fn simulate_with(args: &[&str], fault_points: &'static dyn FaultPoints) -> Result<(), String> {
        let args = ["simulate"].iter().chain(args);
        Args::try_parse_from(args).unwrap().simulate.run_with(fault_points).map_err(|why| why.to_string())
    }

    #[test]
    fn what_holds_ends_well_and_is_told_on_a_page_that_stands_alone() {
        let scratch = Scratch::new("well");
        let report = scratch.path("report.html");
        simulate_with(&["--seeds", "600", "--report", &report], &NoFaults).unwrap();
        let page = std::fs::read_to_string(&report).unwrap();
        assert!(page.starts_with("<!doctype html>") && page.contains("\"seeds\":600"));
        assert!(!page.contains("src=\"") && !page.contains("href=\"http"), "it asks nobody for anything");
        simulate_with(&["--seed", "7", "--report", &report], &NoFaults).unwrap();
    }

    #[test]
    fn what_is_broken_ends_badly_and_leaves_a_trace_that_breaks_it_again() {
        let scratch = Scratch::new("badly");
        let (trace, report) = (scratch.path("trace.json"), scratch.path("report.html"));
        let said =
            simulate_with(&["--seeds", "600", "--trace", &trace, "--report", &report], &TrustsTheCache).unwrap_err();
        assert!(said.contains("is broken") && said.contains(&format!("simulate --replay {trace}")), "{said}");
        let page = std::fs::read_to_string(&report).unwrap();
        assert!(page.contains("\"broken\":{\"promise\":\"nothing_is_said_too_soon\""));
        let again = simulate_with(&["--replay", &trace], &TrustsTheCache).unwrap_err();
        assert!(again.contains("nothing_is_said_too_soon"), "{again}");
        simulate_with(&["--replay", &trace], &NoFaults).unwrap();
        std::fs::write(&trace, "{}").unwrap();
        assert!(simulate_with(&["--replay", &trace], &NoFaults).unwrap_err().contains("--replay"));
    }
}
