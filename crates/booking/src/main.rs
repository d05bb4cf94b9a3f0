//! `booking`: tries a deployment of the seat-booking engine, and loads it, which it knows by its address alone; and makes tokens.

mod load;
mod report;
mod shop;
mod smoke;
mod tokens;
mod watcher;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tries a deployment of the seat-booking engine, loads it, and makes tokens for it.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sees within a minute whether a deployment sells seats, and leaves nothing behind
    Smoke(smoke::SmokeArgs),
    /// Has many buyers ask at once, and tells how many bookings a second there were, how long they took, and what was refused
    Load(load::LoadArgs),
    /// Tokens with names, in a file that `host-axum-sim serve --tokens` goes by
    #[command(subcommand)]
    Tokens(tokens::TokensCommand),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Smoke(args) => args.run(),
        Command::Load(args) => args.run(),
        Command::Tokens(command) => command.run(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            let _nobody_reads_it = writeln!(std::io::stderr(), "booking: {why}");
            ExitCode::from(2)
        }
    }
}
