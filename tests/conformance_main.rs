//! The conformance script, for any server: `cargo run -p tests --bin conformance -- --help`.

#![allow(clippy::print_stdout, reason = "this is a command: it tells how it went")]

#[cfg(target_family = "wasm")]
fn main() {}

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    command::main()
}

#[cfg(not(target_family = "wasm"))]
mod command {
    use std::process::ExitCode;

    use clap::Parser;
    use tests::conformance::{CASES, Guarded, Host, Target, Verdict, run};
    use tests::http::{Client, Dialect};

    /// Asks a server everything that is to be true of every host. It books, blocks and resets tickets of its own making
    /// there, under names that nobody else has.
    ///
    /// Start the server with: --payment-delay 0ms --max-holds-per-user 20, and an admin token.
    #[derive(Parser)]
    struct Args {
        /// Its address, such as http://127.0.0.1:8080
        base_url: String,
        /// It is a Restate server's ingress, with host-restate behind it
        #[arg(long)]
        restate: bool,
        /// It is host-worker
        #[arg(long, conflicts_with = "restate")]
        worker: bool,
        /// Its admin token
        #[arg(long, env = "BOOKING_ADMIN_TOKEN", default_value = "none")]
        admin_token: String,
        /// A server of the same kind that lets nobody in without a token, with the same admin token, and answers after 1 s
        /// (--answer-within 1s)
        #[arg(long, requires = "auth_token")]
        guarded_url: Option<String>,
        /// Its public token
        #[arg(long, env = "BOOKING_AUTH_TOKEN")]
        auth_token: Option<String>,
        /// A server of the same kind with closed sales, with the same admin token
        #[arg(long)]
        closed_url: Option<String>,
        /// A server of the same kind that has no room for tickets
        #[arg(long)]
        full_url: Option<String>,
        /// Its mock gateway, where that is a process of its own
        #[arg(long)]
        gateway_url: Option<String>,
        /// Only the cases whose name has this in it
        #[arg(long)]
        only: Option<String>,
    }

    pub(super) fn main() -> ExitCode {
        let args = Args::parse();
        let (host, dialect) = match (args.restate, args.worker) {
            (true, _) => (Host::Restate, Dialect::Restate),
            (false, true) => (Host::Worker, Dialect::Plain),
            (false, false) => (Host::InProcess, Dialect::Plain),
        };
        let public = Client::new(&args.base_url).speaking(dialect);
        let admin_token = args.admin_token;
        let guarded = args.guarded_url.zip(args.auth_token).map(|(url, token)| {
            let nobody = public.at(&url);
            Guarded { public: nobody.with_token(&token), admin: nobody.with_token(&admin_token), nobody, token }
        });
        let target = Target {
            host,
            admin: public.with_token(&admin_token),
            guarded,
            closed: args.closed_url.map(|url| public.at(&url).with_token(&admin_token)),
            gateway: args.gateway_url.map_or_else(|| public.clone(), |url| Client::new(&url)),
            full: args.full_url.map(|url| public.at(&url)),
            public,
        };
        std::panic::set_hook(Box::new(|_| {}));
        let mut failed = 0;
        let chosen = CASES.iter().filter(|case| args.only.as_ref().is_none_or(|only| case.name.contains(only)));
        for case in chosen {
            let verdict = match run(case, &target) {
                Verdict::Passed => "ok".to_owned(),
                Verdict::Differs(why) => format!("left out: {why}"),
                Verdict::Needs(what) => format!("not tried: it needs {what}"),
                Verdict::Failed(why) => {
                    failed += 1;
                    format!("FAILED: {why}")
                }
            };
            println!("{:6} {} … {verdict}", case.section, case.name);
        }
        println!("\nkinds of errors seen: {}", target.public.kinds().into_iter().collect::<Vec<_>>().join(", "));
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
