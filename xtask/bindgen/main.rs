//! The tool of wasm-bindgen, of the very version that the Worker is built with: what `worker-build` asks of it, and no more.
//!
//! The tool itself is published with a test runner and a web server; this is built in a quarter of the time.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use wasm_bindgen_cli_support::Bindgen;

/// Writes the JavaScript that a WebAssembly module of wasm-bindgen's is reached through.
#[derive(Parser)]
struct Args {
    /// The module
    input: PathBuf,
    /// Where to write
    #[arg(long)]
    out_dir: PathBuf,
    /// What to call it
    #[arg(long)]
    out_name: Option<String>,
    /// For what: `module`, or `bundler`
    #[arg(long, default_value = "bundler")]
    target: String,
    /// With types
    #[arg(long)]
    typescript: bool,
    /// Without types
    #[arg(long, conflicts_with = "typescript")]
    no_typescript: bool,
    /// With a function that makes everything new
    #[arg(long)]
    experimental_reset_state_function: bool,
    /// With a handler for what aborts
    #[arg(long)]
    force_enable_abort_handler: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut bindgen = Bindgen::new();
    // The names of functions are a quarter of what would be sent to Cloudflare.
    bindgen.input_path(&args.input).typescript(args.typescript).remove_name_section(true);
    if let Some(name) = &args.out_name {
        bindgen.out_name(name);
    }
    bindgen.reset_state_function(args.experimental_reset_state_function);
    bindgen.force_enable_abort_handler(args.force_enable_abort_handler);
    let target = match args.target.as_str() {
        "module" => bindgen.module(true).map(|_| ()),
        _ => bindgen.bundler(true).map(|_| ()),
    };
    match target.and_then(|()| bindgen.generate(&args.out_dir)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tell(&format!("{why:#}"));
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stderr, reason = "a command tells why it failed")]
fn tell(why: &str) {
    eprintln!("{why}");
}
