//! `cargo xtask release …`: builds what is deployed to Cloudflare once, keeps it, says what a deployment would change, deploys it
//! gradually, and goes back.

mod account;
mod plan;
mod roll;
mod shelf;
mod switch;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use release::archive::{Archive, digest};
use release::manifest::{Environment, Manifest};
use xtask::run::{Outcome, root, say};
use xtask::worker::Bundle;

use crate::account::Account;
use crate::plan::Allowed;
use crate::roll::{Smoke, Target};
use crate::shelf::Shelf;

/// Releases: what is deployed to Cloudflare, gradually, and back.
///
/// A release is one file with everything that is deployed, and never changes. Without --release, it is that of the commit that is checked
/// out, and is built if it is missing. CLOUDFLARE_API_TOKEN has a token, else a person has logged in with `npx wrangler login`;
/// CLOUDFLARE_ACCOUNT_ID names the account where there are several.
#[derive(Parser)]
#[command(name = "cargo xtask release", bin_name = "cargo xtask release")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds the release of what is checked out, and says what is in it
    Build {
        #[command(flatten)]
        shelf: Shelf,
        /// Build with stable Rust: a panic is the end of every object in its isolate then, not an answer with status 500
        #[arg(long)]
        stable: bool,
    },
    /// Puts a release into the bucket, where it never changes
    Publish {
        #[command(flatten)]
        which: Which,
        /// Where another build of the same commit is there already, take that one instead
        #[arg(long)]
        or_take: bool,
    },
    /// Says what a deployment would change, and what speaks against it; changes nothing
    Plan {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        allowed: Allowed,
    },
    /// Uploads a version that gets no requests yet, after the plan, and says its address, which you register with a Restate server
    Upload {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        allowed: Allowed,
    },
    /// Deploys a release, after its plan
    Deploy {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        allowed: Allowed,
        /// Send it this many of a hundred requests first, and run `booking smoke`. If that passes, send it all; if not, go back
        #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=99))]
        canary: Option<u8>,
        /// Where it is asked whether it sells [default: a domain that it has already, else its address under workers.dev]
        #[arg(long, requires = "canary")]
        url: Option<String>,
        /// Arguments for `booking smoke`, after `--`, such as --no-payments. Its tokens are BOOKING_ADMIN_TOKEN and BOOKING_AUTH_TOKEN
        #[arg(last = true, requires = "canary")]
        smoke: Vec<String>,
    },
    /// Has the release that answered before answer again. Refuses to go behind a migration of classes, and back to a release that cannot
    /// read what was stored since
    Rollback {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        shelf: Shelf,
        /// To this release [default: what answered before]
        #[arg(long, value_name = "RELEASE")]
        to: Option<String>,
        /// Upload it again, after its plan, with today's secrets, instead of having its version of then answer
        #[arg(long)]
        upload: bool,
        #[command(flatten)]
        allowed: Allowed,
    },
    /// Takes a Worker from every address. What it has stored stays, and checkouts under way come to their end
    Off {
        #[command(flatten)]
        at: At,
    },
    /// Gives it back the addresses that wrangler.toml names
    On {
        #[command(flatten)]
        at: At,
    },
    /// Tells which releases answer, since when, and where
    Status {
        #[command(flatten)]
        at: At,
    },
}

/// Which Worker, and where.
#[derive(Args)]
struct At {
    /// Which Worker
    #[arg(value_enum, default_value_t)]
    worker: Worker,
    /// Where
    #[arg(long, value_enum)]
    env: Env,
}

/// Which release.
#[derive(Args)]
struct Which {
    /// The release [default: that of what is checked out]
    #[arg(long)]
    release: Option<String>,
    /// The SHA-256 that its file has to have
    #[arg(long, value_name = "DIGEST")]
    sha256: Option<String>,
    #[command(flatten)]
    shelf: Shelf,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Worker {
    /// The engine on Durable Objects
    #[default]
    Shop,
    /// The engine on Restate: what a Restate server calls
    Restate,
    /// The mock payment gateway, for a deployment to try things with
    Sandbox,
    /// The books of operators: bookings, messages that were given up, what operators did
    Operations,
}

#[derive(Clone, Copy, ValueEnum)]
enum Env {
    Staging,
    Production,
}

impl At {
    fn bundle(&self) -> Bundle {
        match self.worker {
            Worker::Shop => Bundle::Shop,
            Worker::Restate => Bundle::Restate,
            Worker::Sandbox => Bundle::Sandbox,
            Worker::Operations => Bundle::Operations,
        }
    }

    fn env(&self) -> &'static str {
        match self.env {
            Env::Staging => "staging",
            Env::Production => "production",
        }
    }

    /// What the `wrangler.toml` of a release wants.
    fn wanted(&self, release: &Archive) -> Outcome<Environment> {
        self.of(&shelf::manifest(release.files(), self.bundle())?)
    }

    /// What the one that is checked out wants.
    fn wanted_here(&self) -> Outcome<Environment> {
        let path = root().join(self.bundle().package()).join("wrangler.toml");
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        self.of(&Manifest::parse(&text)?)
    }

    fn of(&self, manifest: &Manifest) -> Outcome<Environment> {
        match (self.worker, self.env) {
            (Worker::Sandbox, Env::Production) => Err("production has no mock gateway: it sells for money".to_owned()),
            _ => manifest.environment(self.env()),
        }
    }
}

impl Which {
    fn get(&self, account: Option<&Account>) -> Outcome<Archive> {
        let release = match &self.release {
            Some(version) => self.shelf.get(version, account)?,
            None => self.shelf.of_tree(false, account)?,
        };
        let is = digest(release.bytes());
        match &self.sha256 {
            Some(expected) if *expected != is => Err(format!("{} has SHA-256 {is}", release.about.version)),
            Some(_) | None => Ok(release),
        }
    }
}

/// Prints a line of what was asked for. The reader may have closed the pipe: then nothing is lost.
fn tell(line: &str) {
    let _may_be_closed = writeln!(std::io::stdout(), "{line}");
}

/// A command of the workspace that was built with this one, where tests run.
fn built(path: &str) -> Option<PathBuf> {
    std::env::var_os("BOOKING_BINARIES_ARE_BUILT")?;
    Some(std::env::current_exe().ok()?.parent()?.join(path))
}

fn main() -> ExitCode {
    match go(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say(&format!("\nfailed: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn go(command: Command) -> Outcome {
    match command {
        Command::Build { shelf, stable } => {
            let release = shelf.of_tree(stable, None)?;
            for (name, digest) in &release.about.files {
                tell(&format!("{digest}  {name}"));
            }
            let bytes = release.bytes();
            let (path, size, digest) = (shelf.path(&release.about.version), bytes.len(), digest(bytes));
            tell(&format!("release {}: {}, {size} bytes, SHA-256 {digest}", release.about.version, path.display()));
            Ok(())
        }
        Command::Publish { which, or_take } => {
            let account = Account::open(None)?;
            let there = which.shelf.publish(&which.get(Some(&account))?, &account, or_take)?;
            tell(&format!("release {}, SHA-256 {}", there.about.version, digest(there.bytes())));
            Ok(())
        }
        Command::Plan { at, which, allowed } => {
            with(&at, &which, |target, release| plan::plan(target, release, &allowed)?.tell())
        }
        Command::Upload { at, which, allowed } => with(&at, &which, |target, release| {
            plan::plan(target, release, &allowed)?.tell()?;
            let new = target.upload(release)?;
            let address = new.address.unwrap_or_else(|| "versions have no address here: see preview_urls".to_owned());
            tell(&format!("version {} of {}: {address}", new.id, target.wanted.name));
            Ok(())
        }),
        Command::Deploy { at, which, allowed, canary, url, smoke } => {
            if smoke.iter().any(|arg| arg.contains("-token")) {
                return Err(
                    "a list of processes shows tokens: BOOKING_ADMIN_TOKEN and BOOKING_AUTH_TOKEN have them".to_owned()
                );
            }
            let smoke = canary.map(|percent| (percent, url, smoke));
            with(&at, &which, |target, release| deploy(target, release, &allowed, smoke))
        }
        Command::Rollback { at, shelf, to, upload, allowed } => {
            let wanted = at.wanted_here()?;
            let account = Account::open(wanted.account.clone())?;
            let (bundle, env) = (at.bundle(), at.env());
            let target = Target { account: &account, shelf: &shelf, bundle, env, wanted: &wanted };
            target.back(to.as_deref(), upload, &allowed)
        }
        Command::Off { at } => here(&at, switch::off),
        Command::On { at } => here(&at, switch::on),
        Command::Status { at } => here(&at, switch::status),
    }
}

fn with(at: &At, which: &Which, work: impl FnOnce(&Target<'_>, &Archive) -> Outcome) -> Outcome {
    let account = Account::open(at.wanted_here()?.account)?;
    let release = which.get(Some(&account))?;
    let wanted = at.wanted(&release)?;
    account.is_of(wanted.account.as_ref())?;
    let (bundle, env) = (at.bundle(), at.env());
    work(&Target { account: &account, shelf: &which.shelf, bundle, env, wanted: &wanted }, &release)
}

fn here(at: &At, work: fn(&Account, &Environment) -> Outcome) -> Outcome {
    let wanted = at.wanted_here()?;
    work(&Account::open(wanted.account.clone())?, &wanted)
}

fn deploy(
    target: &Target<'_>,
    release: &Archive,
    allowed: &Allowed,
    canary: Option<(u8, Option<String>, Vec<String>)>,
) -> Outcome {
    let Target { account, wanted, .. } = target;
    if canary.is_some() && target.bundle != Bundle::Shop {
        return Err("only a shop is tried so. For a Restate server, `cargo xtask release upload restate`".to_owned());
    }
    let plan = plan::plan(target, release, allowed)?;
    plan.tell()?;
    if target.bundle == Bundle::Restate && plan.has_releases {
        let why = "invocations under way end on the build that they began on, which a deployment would replace";
        return Err(format!("{why}: `cargo xtask release upload restate --env {}`", target.env));
    }
    let Some((percent, url, args)) = canary else { return target.at_once(release) };
    let url = match url {
        Some(url) => Some(url),
        None => switch::addresses(account, &wanted.name)?.into_iter().next(),
    };
    let smoke = url.map(|url| Smoke { url, args });
    match (&plan.at_once, smoke) {
        (None, Some(smoke)) => {
            roll::build_booking()?;
            target.gradually(release, &plan, percent, &smoke)
        }
        (None, None) => Err("it has no address under which it could be tried: --url".to_owned()),
        (Some(why), smoke) => {
            say(&format!("no canary: {why}"));
            roll::build_booking()?;
            target.at_once(release)?;
            let Some(smoke) = smoke else {
                say("It had no address before, so it was not tried: `booking smoke` does, once it has one");
                return Ok(());
            };
            let stays = |failed| format!("{} answers all requests, and does not pass: {failed}", release.about.version);
            target.try_it(&smoke, &["--version", &target.answers()?]).map_err(stays)
        }
    }
}
