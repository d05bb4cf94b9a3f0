//! The proof: `cargo xtask verify`. What it does and how to read it stands in `booking-core/docs/TESTING.md`.

#![allow(clippy::print_stdout, reason = "this is a command: it tells how it went")]

#[cfg(target_family = "wasm")]
fn main() {}

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    command::main()
}

#[cfg(not(target_family = "wasm"))]
mod command {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};
    use std::process::ExitCode;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use booking_core::testing::coverage::{Coverage, CoveragePoint};
    use booking_core::testing::rules::{Rules, Sound};
    use booking_core::testing::search::{Found, Search};
    use booking_core::testing::simulate::{Simulation, Size};
    use booking_core::testing::trace::Trace;
    use booking_core::testing::world::{Watch, World};
    use clap::{Parser, Subcommand, ValueEnum};
    use indicatif::{ProgressBar, ProgressStyle};
    use tests::histories::recorder::{Load, check_kept, record};
    use tests::http::{Client, Dialect};
    use tests::verify::crash_points::every_boundary;
    use tests::verify::drivers::{Budget, Driver, Finding, every_cut, walks};
    use tests::verify::pinned;
    use tests::verify::planted::{BUGS, Bug};
    use tests::verify::worlds::{SmallWorld, small_worlds};

    /// Proves what can be proved of the rules, and looks for what is wrong with them everywhere else: searches small
    /// worlds to their end, simulates millions of seeds, cuts checkouts at every boundary, walks at random, and sees to
    /// it that each of these finds bugs that were planted for it.
    #[derive(Parser)]
    #[command(name = "cargo xtask verify")]
    struct Args {
        /// About a fifth of it: what every push gets
        #[arg(long, global = true)]
        fifth: bool,
        /// Only this part; may be given again
        #[arg(long, value_enum, global = true)]
        part: Vec<Part>,
        /// How many threads
        #[arg(long, global = true, default_value_t = threads(), value_parser = at_least_one)]
        threads: usize,
        #[command(subcommand)]
        instead: Option<Instead>,
    }

    #[derive(Subcommand)]
    enum Instead {
        /// Lets a trace happen again, and says what it breaks
        Replay {
            /// A file with the trace as JSON, as a failing run has written it
            file: PathBuf,
            /// With this planted bug in the rules
            #[arg(long)]
            bug: Option<String>,
        },
        /// Runs one seed of the simulation
        Seed {
            /// Which
            seed: u64,
            /// In a house of 8 tickets and 24 buyers, not in a small scene
            #[arg(long)]
            house: bool,
            /// With this planted bug in the rules
            #[arg(long)]
            bug: Option<String>,
        },
        /// Asks a server from many clients at once, and checks that what they saw is what tickets could have done, one
        /// thing at a time. Start it with: --max-holds-per-user 1000000, and an admin token
        Histories {
            /// Its address, such as http://127.0.0.1:8080
            base_url: String,
            /// Its admin token
            #[arg(long, env = "BOOKING_ADMIN_TOKEN", hide_env_values = true, default_value = "")]
            admin_token: String,
            /// It is a Restate server's ingress, with a host behind it that has --admin-handlers and --show-buyers
            #[arg(long)]
            restate: bool,
            /// How many requests
            #[arg(long, default_value_t = 100_000, value_parser = at_least_one)]
            requests: usize,
            /// How many tickets are asked for at a time: more for a host that takes its time
            #[arg(long, default_value_t = 8, value_parser = at_least_one)]
            at_a_time: usize,
        },
        /// Checks a history again that a failing run has kept
        History {
            /// The file
            file: PathBuf,
        },
        /// Lists the planted bugs
        Bugs,
        /// Writes what is pinned anew (fixtures/worlds.tsv, seeds.tsv, traces.jsonl), to be reviewed
        Pin,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
    enum Part {
        /// Small worlds, searched to their end
        Search,
        /// Scenes, faults and schedules from seeds
        Simulation,
        /// Checkouts, cut at every boundary
        CrashPoints,
        /// Random walks
        Walks,
        /// Planted bugs, to be found
        Bugs,
        /// The in-process engine, with its disk, the power and everybody who asks
        Engine,
    }

    fn at_least_one(text: &str) -> Result<usize, String> {
        text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "a number from 1".into())
    }

    fn threads() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// Where a trace is written that breaks something.
    const FAILED: &str = "target/verify/failed.json";

    /// What went wrong, for a person.
    type Outcome<T = ()> = Result<T, String>;

    pub(super) fn main() -> ExitCode {
        let args = Args::parse();
        let outcome = match &args.instead {
            None => verify(&args),
            Some(Instead::Replay { file, bug }) => replay(file, bug.as_deref()),
            Some(Instead::Seed { seed, house, bug }) => one_seed(*seed, *house, bug.as_deref()),
            Some(Instead::Histories { base_url, admin_token, restate, requests, at_a_time }) => {
                let client =
                    if *restate { Client::new(base_url).speaking(Dialect::Restate) } else { Client::new(base_url) };
                histories(&client, admin_token, Load::of(*requests, *at_a_time))
            }
            Some(Instead::History { file }) => check_kept(file).map(|said| println!("{said}")),
            Some(Instead::Bugs) => {
                BUGS.iter().for_each(|bug| println!("{:13} {}", format!("{:?}", bug.class), bug.name));
                Ok(())
            }
            Some(Instead::Pin) => pin(&args),
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                println!("\nfailed: {why}");
                ExitCode::FAILURE
            }
        }
    }

    fn per_second(count: u64, took: Duration) -> u64 {
        let rate = u128::from(count) * 1_000_000 / took.as_micros().max(1);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }

    fn seconds(took: Duration) -> String {
        format!("{}.{}", took.as_secs(), took.subsec_millis() / 100)
    }

    /// The part of the whole that is done: all of it, or a fifth.
    fn share(args: &Args, whole: u64) -> u64 {
        if args.fifth { whole / 5 } else { whole }
    }

    fn bar(name: &str, length: u64) -> ProgressBar {
        let style = "{msg:28} {wide_bar} {human_pos}/{human_len} {per_sec} {elapsed} {prefix}";
        let bar = if length == 0 { ProgressBar::new_spinner() } else { ProgressBar::new(length) };
        let style = if length == 0 { "{msg:28} {spinner} {human_pos} {per_sec} {elapsed} {prefix}" } else { style };
        bar.set_style(ProgressStyle::with_template(style).expect("a template that was tried"));
        bar.set_message(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }

    /// Shows beside a bar what was seen: of how many coverage points, and the rarest. Not with every step, which would be dear.
    fn show(bar: &ProgressBar, coverage: &Coverage) {
        let seen = CoveragePoint::ALL.len() - coverage.missing(1).len();
        let (rarest, count) = coverage.rarest();
        bar.set_prefix(format!("{seen}/{} seen, rarest {count} × {}", CoveragePoint::ALL.len(), rarest.name()));
    }

    /// Tells of a trace that breaks something: everything that is needed to see it again.
    fn tell(found_by: &str, trace: &Trace, rules: &'static dyn Rules) -> String {
        let bug = BUGS.iter().find(|bug| format!("{:?}", bug.rules) == format!("{rules:?}"));
        let with = bug.map_or(String::new(), |bug| format!(" --bug {:?}", bug.name));
        let trace = trace.minimised(rules);
        let json = serde_json::to_string_pretty(&trace).expect("a trace is JSON");
        let kept = std::fs::create_dir_all("target/verify").and_then(|()| std::fs::write(FAILED, &json));
        let where_to = kept.map_or_else(|error| format!("(not kept: {error})"), |()| format!("kept in {FAILED}"));
        format!(
            "{} is broken: {}\nfound by {found_by}, at {}\n{json}\nThe trace is {where_to}. To see it again:\n  \
             cargo xtask verify replay {FAILED}{with}",
            trace.property,
            trace.what,
            commit()
        )
    }

    fn commit() -> String {
        let output = std::process::Command::new("git").args(["describe", "--always", "--dirty"]).output().ok();
        let text = output.and_then(|output| String::from_utf8(output.stdout).ok());
        text.map_or_else(|| "an unknown commit".into(), |text| format!("commit {}", text.trim()))
    }

    fn bug(name: &str) -> Outcome<&'static Bug> {
        let found = BUGS.iter().find(|bug| bug.name == name || format!("{:?}", bug.rules) == name);
        found.ok_or_else(|| format!("there is no planted bug called {name:?}; `cargo xtask verify bugs` lists them"))
    }

    fn rules(name: Option<&str>) -> Outcome<&'static dyn Rules> {
        name.map_or(Ok(&Sound as &dyn Rules), |name| bug(name).map(|bug| bug.rules))
    }

    fn replay(file: &Path, bug: Option<&str>) -> Outcome {
        let rules = rules(bug)?;
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let trace: Trace = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        trace.scene.validate().map_err(|why| format!("{}: {why}", file.display()))?;
        for action in &trace.actions {
            println!("{}", serde_json::to_string(action).expect("an action is JSON"));
        }
        match trace.replay(rules, &mut Watch::thorough()) {
            Ok(()) => {
                println!("nothing is broken by that");
                Ok(())
            }
            Err(violation) => Err(violation.to_string()),
        }
    }

    fn one_seed(seed: u64, house: bool, bug: Option<&str>) -> Outcome {
        let rules = rules(bug)?;
        let mut simulation = Simulation::new(rules, if house { Size::House } else { Size::Small });
        let run = simulation.run(seed);
        let tally = simulation.tally();
        println!("seed {seed}: {} checkouts, {} steps, print {:032x}", tally.checkouts, tally.steps, run.print);
        run.broken.map_or(Ok(()), |trace| Err(tell(&format!("seed {seed}"), &trace, rules)))
    }

    fn histories(public: &Client, admin_token: &str, load: Load) -> Outcome {
        let start = Instant::now();
        let admin = if admin_token.is_empty() { public.clone() } else { public.with_token(admin_token) };
        let recording = record(load, public, &admin);
        println!("{} requests in {} s", load.requests, seconds(start.elapsed()));
        let start = Instant::now();
        let found = recording.is_linearizable("host", load.requests)?;
        println!("{found}; checked in {} s", seconds(start.elapsed()));
        Ok(())
    }

    fn verify(args: &Args) -> Outcome {
        let start = Instant::now();
        let wanted = |part| args.part.is_empty() || args.part.contains(&part);
        let mut seen = Coverage::default();
        for part in Part::value_variants().iter().copied().filter(|part| wanted(*part)) {
            match part {
                Part::Search => search(args, &mut seen),
                Part::Simulation => simulate(args, &mut seen),
                Part::CrashPoints => crash_points(args, &mut seen),
                Part::Walks => random_walks(args, &mut seen),
                Part::Bugs => planted_bugs(args),
                Part::Engine => engine(args),
            }?;
        }
        if args.part.is_empty() {
            coverage(&seen)?;
        }
        println!("\nAll of it holds. {} s, {} threads, {}", seconds(start.elapsed()), args.threads, commit());
        Ok(())
    }

    fn engine(args: &Args) -> Outcome {
        use host_axum_sim::simulate::{NoFaults, Seeds, Size, simulate};
        println!("\nThe in-process engine, with everything around it that can fail");
        for (name, size, seeds) in [
            ("small", Size::SMALL, share(args, 3_000_000)),
            ("8 tickets, 24 who ask", Size { tickets: 8, buyers: 24, ..Size::SMALL }, share(args, 50_000)),
        ] {
            let (bar, start) = (bar(name, seeds), Instant::now());
            let threads = args.threads as u64;
            let all = simulate(&NoFaults, size, Seeds { first: 0, count: seeds, threads }, &|more| bar.inc(more));
            bar.finish_and_clear();
            println!(
                "{:10} seeds {:9} requests {:8} crashes {:>7} seeds/s  {name}",
                all.tally.seeds,
                all.tally.requests,
                all.tally.crashes,
                per_second(all.tally.seeds, start.elapsed())
            );
            if let Some((seed, trace)) = all.broken {
                let json = serde_json::to_string_pretty(&trace.minimised(&NoFaults)).expect("a trace is JSON");
                return Err(format!(
                    "{} is broken: {}\nfound by seed {seed} of {name}, at {}\n{json}\nTo see it again, write that into a \
                     file:\n  cargo run --release -p host-axum-sim -- simulate --replay FILE",
                    trace.promise,
                    trace.what,
                    commit()
                ));
            }
            let missing: Vec<&str> = all.coverage.missing(1).iter().map(|sight| sight.name()).collect();
            if size == Size::SMALL && !missing.is_empty() {
                return Err(format!("never met: {}", missing.join("; ")));
            }
        }
        Ok(())
    }

    fn search(args: &Args, seen: &mut Coverage) -> Outcome {
        println!("\nSmall worlds, searched to their end: every schedule, every fault");
        println!("{:>12} {:>9} {:>12} {:>5} {:>7}", "worlds", "at rest", "steps", "depth", "seconds");
        let names: Vec<&str> = small_worlds().iter().map(|world| world.name).collect();
        let pinned: Vec<&str> = pinned::WORLDS.lines().filter_map(|line| line.split('\t').next()).collect();
        if names != pinned {
            return Err("tests/fixtures/worlds.tsv has other worlds than these: `cargo xtask verify pin`".into());
        }
        for small_world in small_worlds().into_iter().filter(|world| world.small || !args.fifth) {
            let found = search_one(args, &small_world)?;
            let line = pinned::world_line(small_world.name, &found);
            if !pinned::WORLDS.lines().any(|pinned| pinned == line) {
                return Err(format!(
                    "that is not what is written down. If the rules or the worlds were changed on purpose, review and \
                     put into tests/fixtures/worlds.tsv:\n{line}"
                ));
            }
            seen.add(&found.coverage);
        }
        Ok(())
    }

    /// Searches a world to its end, and says how it went.
    fn search_one(args: &Args, small_world: &SmallWorld) -> Outcome<Found> {
        let bar = bar(small_world.name, 0);
        let start = Instant::now();
        let search = Search { threads: args.threads, most_worlds: 40_000_000, ..Search::default() };
        let world = World::new(small_world.scene.clone(), &Sound);
        let found = search.run(world, &mut |progress| {
            bar.set_position(progress.worlds as u64);
            show(&bar, &progress.coverage);
        });
        bar.finish_and_clear();
        if let Some(trace) = &found.broken {
            return Err(tell(&format!("the search of {:?}", small_world.name), trace, &Sound));
        }
        println!(
            "{:12} {:9} {:12} {:5} {:>7}  {}",
            found.worlds,
            found.at_rest,
            found.steps,
            found.depth,
            seconds(start.elapsed()),
            small_world.name
        );
        if found.gave_up { Err("there was no end to it".into()) } else { Ok(found) }
    }

    fn simulate(args: &Args, seen: &mut Coverage) -> Outcome {
        println!(
            "\nSimulation: scenes, faults and schedules from seeds; then nothing goes wrong, and all must come to rest"
        );
        println!(
            "{:>12} {:>12} {:>13} {:>14} {:>18} {:>7}",
            "seeds", "checkouts", "steps", "seeds/s a core", "checkouts/s a core", "seconds"
        );
        for (name, size, seeds) in [("small", Size::Small, 5_000_000), ("house", Size::House, 300_000)] {
            simulate_one(args, name, size, share(args, seeds), seen)?;
        }
        for line in pinned::seed_lines() {
            if !pinned::SEEDS.lines().any(|pinned| pinned == line) {
                return Err(format!(
                    "the same seeds came to something else before. If the rules or the simulation were changed on \
                     purpose, put into tests/fixtures/seeds.tsv:\n{line}"
                ));
            }
        }
        Ok(())
    }

    fn together<'a>(all: impl Iterator<Item = &'a Coverage>) -> Coverage {
        all.fold(Coverage::default(), |mut together, coverage| {
            together.add(coverage);
            together
        })
    }

    fn simulate_one(args: &Args, name: &str, size: Size, seeds: u64, seen: &mut Coverage) -> Outcome {
        const AT_A_TIME: u64 = 1000;
        let bar = bar(&format!("{name} scenes"), seeds);
        let (next, failed, all_seen) = (AtomicU64::new(0), Mutex::new(None), Mutex::new(BTreeMap::new()));
        let work = |thread: usize| {
            let mut simulation = Simulation::new(&Sound, size);
            let mut busy = Duration::ZERO;
            loop {
                let from = next.fetch_add(AT_A_TIME, Ordering::Relaxed);
                if from >= seeds || failed.lock().expect("no thread panics with it").is_some() {
                    return (simulation, busy);
                }
                let start = Instant::now();
                for seed in from..(from + AT_A_TIME).min(seeds) {
                    if let Some(trace) = simulation.run(seed).broken {
                        *failed.lock().expect("no thread panics with it") = Some((seed, trace));
                        break;
                    }
                }
                busy += start.elapsed();
                bar.inc(AT_A_TIME.min(seeds - from));
                let mut all_seen = all_seen.lock().expect("no thread panics with it");
                all_seen.insert(thread, simulation.coverage().clone());
                show(&bar, &together(all_seen.values()));
            }
        };
        let (start, work) = (Instant::now(), &work);
        let done: Vec<(Simulation, Duration)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..args.threads).map(|n| scope.spawn(move || work(n))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
        });
        let took = start.elapsed();
        bar.finish_and_clear();
        if let Some((seed, trace)) = failed.into_inner().expect("no thread panics with it") {
            return Err(tell(&format!("seed {seed} of the {name} scenes"), &trace, &Sound));
        }
        let busy: Duration = done.iter().map(|(_, busy)| *busy).sum();
        let (mut run, mut checkouts, mut steps) = (0, 0, 0);
        for (simulation, _) in &done {
            let tally = simulation.tally();
            run += tally.seeds;
            checkouts += tally.checkouts;
            steps += tally.steps;
            seen.add(simulation.coverage());
        }
        if run != seeds {
            return Err(format!("{run} seeds were run instead of {seeds}"));
        }
        println!(
            "{seeds:12} {checkouts:12} {steps:13} {:14} {:18} {:>7}  {name} scenes",
            per_second(seeds, busy),
            per_second(checkouts, busy),
            seconds(took)
        );
        Ok(())
    }

    fn crash_points(args: &Args, seen: &mut Coverage) -> Outcome {
        println!(
            "\nCrash points: every boundary of a journal, before an effect, after it, after its outcome is recorded"
        );
        println!("{:>12} {:>7}", "runs", "seconds");
        let bar = bar("pulled and pushed", 0);
        let start = Instant::now();
        let runs = every_boundary(if args.fifth { 2 } else { 3 }, || bar.inc(2));
        bar.finish_and_clear();
        let runs = runs?;
        let crashes = if args.fifth { "two" } else { "three" };
        println!(
            "{runs:12} {:>7}  one to {crashes} crashes, pulled and pushed: both end alike",
            seconds(start.elapsed())
        );
        let bar = self::bar("with a rival", 0);
        let (start, mut watch, mut runs) = (Instant::now(), Watch::default(), 0_u64);
        let broken = every_cut(&Sound, if args.fifth { 1 } else { 2 }, &mut watch, |coverage| {
            runs += 1;
            step(&bar, coverage);
        });
        bar.finish_and_clear();
        broken.map_err(|trace| tell("cutting a checkout's plain course", &trace, &Sound))?;
        let crashes = if args.fifth { "one crash" } else { "one or two crashes" };
        println!("{runs:12} {:>7}  {crashes}, alone or with a rival who comes meanwhile", seconds(start.elapsed()));
        seen.add(&watch.coverage);
        Ok(())
    }

    fn step(bar: &ProgressBar, coverage: &Coverage) {
        bar.inc(1);
        if bar.position().is_multiple_of(1000) {
            show(bar, coverage);
        }
    }

    fn random_walks(args: &Args, seen: &mut Coverage) -> Outcome {
        println!("\nRandom walks: whatever can happen next, with the same chance each");
        let cases = u32::try_from(share(args, 500_000)).unwrap_or(u32::MAX);
        let bar = bar("walks", cases.into());
        let (start, mut watch) = (Instant::now(), Watch::default());
        let broken = walks(&Sound, cases, &mut watch, |coverage| step(&bar, coverage));
        bar.finish_and_clear();
        broken.map_err(|trace| tell("a random walk", &trace, &Sound))?;
        println!("{cases:12} {:>7}", seconds(start.elapsed()));
        seen.add(&watch.coverage);
        Ok(())
    }

    /// What each driver has found of a bug.
    type Row = BTreeMap<Driver, Finding>;

    fn budget(args: &Args) -> Budget {
        match args.fifth {
            true => Budget { seeds: 60_000, cases: 20_000, crashes: 2, every_scene: false },
            false => Budget { seeds: 1_000_000, cases: 100_000, crashes: 2, every_scene: true },
        }
    }

    fn hunt(args: &Args) -> Vec<Row> {
        let bar = bar("planted bugs", BUGS.len() as u64);
        let next = AtomicUsize::new(0);
        let rows: Vec<Mutex<Row>> = BUGS.iter().map(|_| Mutex::default()).collect();
        let work = || {
            while let Some(index) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < BUGS.len()) {
                let found = Driver::ALL.iter().filter_map(|driver| {
                    let finding = driver.hunt(BUGS[index].rules, budget(args))?;
                    Some((*driver, finding))
                });
                *rows[index].lock().expect("no thread panics with it") = found.collect();
                bar.inc(1);
            }
        };
        std::thread::scope(|scope| (0..args.threads).for_each(|_| drop(scope.spawn(work))));
        bar.finish_and_clear();
        rows.into_iter().map(|row| row.into_inner().expect("no thread panics with it")).collect()
    }

    /// The least number of actions that break something, of all that were found.
    fn least(row: &Row) -> usize {
        row.values().map(|finding| finding.trace.actions.len()).min().unwrap_or(0)
    }

    fn planted_bugs(args: &Args) -> Outcome {
        println!(
            "\nPlanted bugs: actions of the shortest trace (faults among them), how much was tried before, how long that took"
        );
        let head = Driver::ALL.map(|driver| format!("{:>26}", driver.name())).concat();
        println!("{:72}{head}", "");
        let rows = hunt(args);
        let (mut few, mut ratios) = (Vec::new(), Vec::new());
        let (mut two_faults, mut time) = (0, 0);
        for (bug, row) in BUGS.iter().zip(&rows) {
            let cells = Driver::ALL.map(|driver| {
                let cell = row.get(&driver).map(|found| {
                    let (actions, faults) = (found.trace.actions.len(), found.trace.faults());
                    let took = format!("{}.{:03}", found.took.as_secs(), found.took.subsec_millis());
                    format!("{actions} ({faults}) {} {took} s", found.tried)
                });
                format!("{:>26}", cell.unwrap_or_else(|| "–".into()))
            });
            println!("{:72}{}", bug.name, cells.concat());
            if row.len() < 2 {
                few.push(bug.name);
            }
            ratios.extend(row.values().map(|found| found.trace.actions.len() * 100 / least(row).max(1)));
            two_faults += usize::from(row.values().all(|found| found.trace.faults() > 1));
            time += usize::from(row.values().all(|found| found.trace.needs_time()));
        }
        ratios.sort_unstable();
        let median = ratios.get(ratios.len() / 2).copied().unwrap_or(0);
        println!(
            "{} bugs, {two_faults} of them need two faults or more, {time} need time; the median trace has {median} % of \
             the actions of the shortest",
            BUGS.len()
        );
        if !few.is_empty() {
            return Err(format!("found by fewer than two drivers: {few:?}"));
        }
        if median > 120 {
            return Err("the traces are too long".into());
        }
        if BUGS.len() < 25 || two_faults < 10 || time < 5 {
            return Err("the planted bugs are too easy".into());
        }
        Ok(())
    }

    fn coverage(seen: &Coverage) -> Outcome {
        println!("\nSeen on the way");
        for (sight, count) in seen.iter() {
            println!("{count:12}  {}", sight.name());
        }
        let missing: Vec<&str> = seen.missing(100).into_iter().map(CoveragePoint::name).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("seen fewer than a hundred times: {missing:?}")) }
    }

    fn pin(args: &Args) -> Outcome {
        let write = |name: &str, lines: Vec<String>| {
            let path = format!("tests/fixtures/{name}");
            std::fs::write(&path, lines.join("\n") + "\n").map_err(|error| format!("{path}: {error}"))
        };
        let wanted = |part| args.part.is_empty() || args.part.contains(&part);
        if wanted(Part::Simulation) {
            write("seeds.tsv", pinned::seed_lines())?;
        }
        if wanted(Part::Bugs) {
            write("traces.jsonl", trace_lines(args)?)?;
        }
        if wanted(Part::Search) {
            let search = |small_world: SmallWorld| {
                let found = search_one(args, &small_world)?;
                Ok(pinned::world_line(small_world.name, &found))
            };
            write("worlds.tsv", small_worlds().into_iter().map(search).collect::<Outcome<_>>()?)?;
        }
        Ok(())
    }

    /// The shortest trace of every planted bug. Those that the rules themselves had stay.
    fn trace_lines(args: &Args) -> Outcome<Vec<String>> {
        let kept = pinned::traces().into_iter().filter(|(bug, _)| bug.is_empty());
        let mut lines: Vec<String> = kept.map(|pair| serde_json::to_string(&pair).expect("a trace is JSON")).collect();
        for (bug, row) in BUGS.iter().zip(hunt(args)) {
            let shortest = row.into_values().min_by_key(|found| (found.trace.actions.len(), found.trace.faults()));
            let trace = shortest.ok_or_else(|| format!("nobody finds {:?}", bug.name))?.trace;
            lines.push(serde_json::to_string(&(bug.name, trace)).expect("a trace is JSON"));
        }
        Ok(lines)
    }
}
