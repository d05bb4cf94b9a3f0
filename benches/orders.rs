//! What an order costs, on each host, beside what one would use instead and beside the same host at another commit: the
//! measure of every change of the hosts.
//!
//! `cargo bench -p benches --bench orders -- --help` lists its options.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use benches::rounds::{Plan, measure};
use benches::rows::{is_bench, say};
use benches::scenes::{House, Scene};
use benches::services::{CHECKOUT_TIME, Kind, Service, restate_version, workerd_version};
use benches::table;
use benches::tree::Tree;
use clap::{Parser, ValueEnum};
use xtask::run::{Outcome, machine, output};

/// Measures orders: bookings a second, how long one takes, and what it costs in CPU of each process, the timers that it
/// arms and the messages that it sends among them. Prints tables in Markdown, and how far it is on stderr.
#[derive(Parser, Debug)]
#[command(bin_name = "cargo bench -p benches --bench orders --", max_term_width = 110)]
struct Args {
    /// Which hosts, beside what; all where none is named
    #[arg(value_enum)]
    groups: Vec<Group>,
    /// Only this scene. May be repeated
    #[arg(long, value_enum)]
    scene: Vec<Scene>,
    /// How many rounds each service has. At least 9, unless --quick: 9 make an interval of 96 %
    #[arg(long)]
    rounds: Option<usize>,
    /// How many buyers ask at a time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    clients: u16,
    /// How many maps a set has, where that is another number than the group's own
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    maps: Option<u64>,
    /// 3 short rounds and fewer maps, to see whether it works
    #[arg(long)]
    quick: bool,
    /// A checkout (`git worktree add DIR COMMIT`) of another commit, whose hosts take turns with those of this one. They
    /// are built there, with its own commands
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// `cargo bench` says so
    #[arg(long, hide = true)]
    bench: bool,
}

/// Services that take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Group {
    /// The in-process host, in memory
    Memory,
    /// The in-process host with --data-dir, beside PostgreSQL and the host in memory
    Disk,
    /// host-restate, beside the steps of the first proof of concept and the bare steps
    Restate,
    /// host-worker in workerd, on Durable Objects and on Restate, beside the steps of the first proof of concept
    Worker,
}

impl Group {
    /// Its services: the first is what the others are compared with. Those of the repository run at the other commit as
    /// well.
    fn services(self) -> &'static [Kind] {
        match self {
            Self::Memory => &[Kind::Memory],
            Self::Disk => &[Kind::Disk, Kind::Postgres, Kind::Memory],
            Self::Restate => &[Kind::OnRestate, Kind::Reference, Kind::Steps],
            Self::Worker => &[Kind::Worker, Kind::WorkerOnRestate, Kind::ReferenceWorker],
        }
    }

    /// How long a round lasts, and how many maps a set has: in workerd fewer, as each seat of a layout is an object of its
    /// own there, of which it makes some 150 a second.
    const fn size(self, is_quick: bool) -> (Duration, u64) {
        match (self, is_quick) {
            (Self::Memory | Self::Disk, false) => (Duration::from_secs(2), 50),
            (Self::Memory | Self::Disk, true) => (Duration::from_secs(1), 50),
            (Self::Restate, false) => (Duration::from_secs(3), 50),
            (Self::Restate, true) => (Duration::from_secs(2), 5),
            (Self::Worker, false) => (Duration::from_secs(3), 6),
            (Self::Worker, true) => (Duration::from_secs(2), 1),
        }
    }

    fn plan(self, args: &Args) -> Plan {
        if !is_bench() {
            let house = House { maps: 1, seats: 60 };
            let lasts = Duration::from_millis(200);
            return Plan { rounds: 1, lasts, clients: 4, house, lull: Duration::ZERO };
        }
        let (lasts, maps) = self.size(args.quick);
        let maps = args.maps.unwrap_or(maps);
        Plan {
            rounds: args.rounds.unwrap_or(if args.quick { 3 } else { 9 }),
            lasts,
            clients: usize::from(args.clients),
            house: House { maps, seats: 1_000 },
            lull: CHECKOUT_TIME + Duration::from_millis(500),
        }
    }

    /// What runs it, of which version.
    fn runs_on(self) -> Outcome<String> {
        Ok(match self {
            Self::Memory | Self::Disk => String::new(),
            Self::Restate => format!(", Restate {}, a server for each service", restate_version()?),
            Self::Worker => format!(", workerd {}, Restate {}", workerd_version()?, restate_version()?),
        })
    }
}

/// The trees whose hosts are measured.
struct Trees {
    this: Tree,
    other: Option<Tree>,
}

impl Trees {
    /// Starts what is measured in a scene: each service of this tree, and beside it that of the other.
    fn start(&self, group: Group, scenes: &[Scene]) -> Outcome<Vec<Service>> {
        let mut all = Vec::new();
        for kind in group.services() {
            let of_a_tree = !matches!(kind, Kind::Postgres | Kind::Reference | Kind::Steps | Kind::ReferenceWorker);
            if *kind == Kind::Steps && *scenes == [Scene::Hot] {
                // They refuse nothing.
                continue;
            }
            all.push(Service::start(*kind, &self.this, &self.this)?);
            if let Some(other) = self.other.as_ref().filter(|_| of_a_tree) {
                all.push(Service::start(*kind, other, &self.this)?);
            }
        }
        Ok(all)
    }

    fn measure(&self, group: Group, args: &Args) -> Outcome {
        let (plan, start) = (group.plan(args), Instant::now());
        let scenes = if args.scene.is_empty() { &Scene::ALL[..] } else { &args.scene };
        self.tell_about(group, plan)?;
        // One after the other has services of its own, but where only is to be seen that it works.
        let (mut kept, mut notes) = (Vec::new(), Vec::new());
        for (number, scene) in (0..).zip(scenes) {
            if is_bench() || kept.is_empty() {
                kept.clear();
                kept = self.start(group, std::slice::from_ref(scene))?;
            }
            let bare = kept.iter().position(|service| service.refuses_nothing() && *scene == Scene::Hot);
            let playing = bare.map_or(&kept[..], |bare| &kept[..bare]);
            let measured = measure(playing, *scene, plan, number * 1_000)?;
            notes.extend(measured.iter().flat_map(|one| one.notes.clone()));
            table::rows(*scene, &measured).iter().for_each(|row| say(row));
        }
        notes.sort_unstable();
        notes.dedup();
        for note in notes {
            say(&format!("\n({note}.)"));
        }
        xtask::run::say(&format!("{group:?} took {} s", start.elapsed().as_secs()));
        Ok(())
    }

    /// What was measured, when, where and how.
    fn tell_about(&self, group: Group, plan: Plan) -> Outcome {
        let date = output(Command::new("date").arg("+%Y-%m-%d"))?;
        let against = self.other.as_ref().map_or(String::new(), |other| format!(", beside `{}`", other.commit));
        let House { maps, seats } = plan.house;
        say(&format!(
            "\nRun on {} at commit `{}`{against}, on {}{}: {} rounds of {} ms in turns, {} clients, sets of {maps} maps of \
             {seats} seats, a third of them sold before; a checkout has {} s, and CPU is read {} ms after the last order.\n",
            date.trim(),
            self.this.commit,
            machine(),
            group.runs_on()?,
            plan.rounds,
            plan.lasts.as_millis(),
            plan.clients,
            CHECKOUT_TIME.as_secs(),
            plan.lull.as_millis(),
        ));
        say(&table::head(plan.rounds));
        Ok(())
    }
}

fn run(args: &Args) -> Outcome {
    if args.rounds.is_some_and(|rounds| rounds < if args.quick { 1 } else { 9 }) {
        return Err("--rounds must be at least 9, or 1 with --quick".to_owned());
    }
    let other = args.against.as_deref().map(Tree::other).transpose()?;
    let trees = Trees { this: Tree::this(), other };
    let groups = if args.groups.is_empty() { Group::value_variants() } else { &args.groups };
    groups.iter().try_for_each(|group| trees.measure(*group, args))
}

fn main() -> ExitCode {
    if benches::peers::bare_restate::serve_if_asked().is_some() {
        return ExitCode::SUCCESS;
    }
    // `cargo test` has arguments of its own.
    let args = if is_bench() { Args::parse() } else { Args::parse_from(["orders"]) };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}
