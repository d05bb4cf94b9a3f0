//! The command `host-restate`: see `--help`.

use std::process::ExitCode;

use clap::Parser as _;
use host_restate::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            use std::io::Write as _;
            let _nobody_listens = writeln!(std::io::stderr(), "error: {why}");
            ExitCode::FAILURE
        }
    }
}
