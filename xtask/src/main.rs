//! What a contributor types: `cargo xtask …`. Every command of the documents that is more than one line lives here, so
//! that a person and the build server run the same.

mod dev;
mod mutants;
mod outside;
mod supply;
mod test;
mod up;
mod wasi;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::run::say;

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything that must be true of a change: format, lints, documentation, tests here and on wasm32, a fifth of the
    /// proof, licences, sources, duplicate versions, the package. Installs the wasm32 targets with rustup where they are
    /// missing, and PostgreSQL and Chromium with apt where root runs this on Debian.
    Test {
        /// Only format, lints and the tests on this machine.
        #[arg(long)]
        quick: bool,
    },
    /// The proof at full size: searches small worlds to their end, simulates millions of seeds, cuts checkouts at every
    /// boundary, and sees that planted bugs are found. `cargo xtask verify --help` tells more.
    #[command(disable_help_flag = true)]
    Verify {
        /// What to prove, and how much of it.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Kills and histories at full size, on every host, and an hour of everything at once; takes long. `cargo xtask test` runs them
    /// smaller.
    Soak {
        /// Only tests whose names have one of these in them, such as `linearizable` or `everything_at_once`
        only: Vec<String>,
    },
    /// Changes the transition code, one place at a time, and sees whether a test notices; takes about an hour. Needs
    /// cargo-mutants and cargo-nextest.
    Mutants,
    /// A Restate server and host-restate on this machine, to try things with. What they know is kept in target/restate.
    Restate {
        #[command(subcommand)]
        what: Restate,
    },
    /// The Worker, in workerd on this machine. Installs what it needs with npm, rustup and cargo.
    Worker {
        #[command(subcommand)]
        what: Worker,
    },
    /// What is deployed to Cloudflare: built once, kept, deployed gradually, and back. `cargo xtask release --help` tells more.
    #[command(disable_help_flag = true)]
    Release {
        /// What to do with which release
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Builds and tests booking-core with the oldest Rust that it promises to build with (`rust-version` in
    /// Cargo.toml). Installs that toolchain with rustup where it is missing.
    Msrv,
    /// Checks licences, sources and duplicate versions of everything that is linked.
    Supply,
    /// Lets libFuzzer draw requests and stored forms. Needs cargo-fuzz and nightly Rust.
    Fuzz {
        /// For how long, in seconds, each of the two targets
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Compares the public names of booking-core with `booking-core/api.txt`. Needs cargo-public-api and nightly Rust.
    Api {
        /// Write them down anew, to be reviewed with the change
        #[arg(long)]
        write: bool,
    },
}

#[derive(Subcommand)]
enum Restate {
    /// Installs the server with npm where it is missing, starts both, and tells where they are
    Up(up::UpArgs),
    /// Stops what `up` has started
    Down,
}

#[derive(Subcommand)]
enum Worker {
    /// Builds a bundle
    Build(dev::BuildArgs),
    /// Builds the shop, the sandbox and the books of operators, and runs them here with wrangler
    Dev(dev::DevArgs),
    /// The engine on Restate, as a Worker
    Restate {
        #[command(subcommand)]
        what: WorkerOnRestate,
    },
}

#[derive(Subcommand)]
enum WorkerOnRestate {
    /// Starts workerd, a Restate server that calls it, and the mock gateway, and tells where they are; until Ctrl-C
    Up(dev::UpArgs),
}

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Test { quick } => test::all(quick),
        Command::Verify { args } => test::verify(&args),
        Command::Soak { only } => test::soak(&only),
        Command::Mutants => mutants::all(),
        Command::Restate { what: Restate::Up(args) } => up::up(&args),
        Command::Restate { what: Restate::Down } => up::down(),
        Command::Worker { what: Worker::Build(args) } => dev::make(&args),
        Command::Worker { what: Worker::Dev(args) } => dev::dev(&args),
        Command::Worker { what: Worker::Restate { what: WorkerOnRestate::Up(args) } } => dev::up(&args),
        Command::Release { args } => dev::release(&args),
        Command::Msrv => test::msrv(),
        Command::Supply => supply::check(),
        Command::Fuzz { seconds } => outside::fuzz(seconds),
        Command::Api { write } => outside::api(write),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say(&format!("\nfailed: {why}"));
            ExitCode::FAILURE
        }
    }
}
