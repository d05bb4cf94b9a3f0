//! What a contributor types: `cargo xtask …`. Every command of the documents that is more than one line lives here, so
//! that a person and the build server run the same.

mod run;
mod supply;
mod test;
mod wasi;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    /// proof, licences, sources, duplicate versions, the package. Installs the wasm32 targets with rustup where they are missing.
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
    /// Builds and tests booking-core with the oldest Rust that it promises to build with (`rust-version` in
    /// Cargo.toml). Installs that toolchain with rustup where it is missing.
    Msrv,
    /// Checks licences, sources and duplicate versions of everything that is linked.
    Supply,
}

fn main() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Test { quick } => test::all(quick),
        Command::Verify { args } => test::verify(&args),
        Command::Msrv => test::msrv(),
        Command::Supply => supply::check(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            run::say(&format!("\nfailed: {why}"));
            ExitCode::FAILURE
        }
    }
}
