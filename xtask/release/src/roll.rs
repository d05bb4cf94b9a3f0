//! Deploys a release, at once or gradually, and goes back to an earlier one. Pinned wrangler makes every write.

use std::fs;
use std::path::Path;
use std::process::Command;

use release::archive::Archive;
use release::manifest::Environment;
use serde_json::Value;
use xtask::run::{Outcome, cargo, run, say};
use xtask::worker::Bundle;

use crate::account::Account;
use crate::built;
use crate::plan::{self, Allowed, CheckoutProgress, Plan, of};
use crate::shelf::{Shelf, manifest, name_of};

/// A Worker, and where it goes.
pub(crate) struct Target<'a> {
    pub(crate) account: &'a Account,
    pub(crate) shelf: &'a Shelf,
    pub(crate) bundle: Bundle,
    pub(crate) env: &'static str,
    pub(crate) wanted: &'a Environment,
}

/// How it is seen whether it sells.
pub(crate) struct Smoke {
    /// Where it is asked.
    pub(crate) url: String,
    /// Further arguments for `booking smoke`.
    pub(crate) args: Vec<String>,
}

/// A version that was uploaded.
pub(crate) struct Uploaded {
    pub(crate) id: String,
    /// Its own address, where versions have one.
    pub(crate) address: Option<String>,
}

impl Target<'_> {
    /// Runs a command of wrangler's for this Worker here, with the `wrangler.toml` of a release.
    fn wrangler(&self, release: &Archive, command: &[&str]) -> Outcome {
        let unpacked = self.shelf.unpacked(release, self.bundle)?;
        self.account.run(&[command, &["--config", &unpacked.config, "--env", self.env]].concat())
    }

    /// Deploys a release for all requests.
    ///
    /// # Errors
    /// wrangler failed, and has said why.
    pub(crate) fn at_once(&self, release: &Archive) -> Outcome {
        let version = release.about.version.as_str();
        self.wrangler(release, &["deploy", "--tag", version, "--message", version])?;
        say(&format!("{version} answers all requests of {}", self.wanted.name));
        Ok(())
    }

    /// Has a release answer some requests, tries it, has it answer all, and tries it again; where it does not sell, the version that answered
    /// before answers all again.
    ///
    /// # Errors
    /// It does not sell, or wrangler failed.
    pub(crate) fn gradually(&self, release: &Archive, plan: &Plan, percent: u8, smoke: &Smoke) -> Outcome {
        let [before] = plan.live.as_slice() else { return Err("no version answers all requests here yet".to_owned()) };
        let version = &release.about.version;
        let new = self.upload(release)?.id;
        let rest = 100 - percent;
        let back = |why: String| {
            say(&format!("\n{why}. Going back"));
            let message = format!("back from {version}");
            match self.wrangler(release, &["rollback", &before.version_id, "--message", &message, "--yes"]) {
                Ok(()) => Err(format!(
                    "{why}. What answered before answers all requests again. Before a secret can be changed, deploy that release anew: \
                     `cargo xtask release rollback --env {} --to RELEASE --upload`",
                    self.env
                )),
                Err(also) => Err(format!("{why}, and going back failed as well: {also}. {}", self.what_next())),
            }
        };
        let some = self.share(release, &[(new.as_str(), percent), (before.version_id.as_str(), rest)]);
        // Where it failed, it may have been done all the same.
        if let Err(why) = some {
            return back(why);
        }
        let picks = format!("Cloudflare-Workers-Version-Overrides: {}=\"{new}\"", self.wanted.name);
        if let Err(why) = self.try_it(smoke, &["--version", &new, "--header", &picks]) {
            return back(format!("{version} does not pass at {percent} %: {why}"));
        }
        if let Err(why) = self.share(release, &[(&new, 100)]) {
            return back(why);
        }
        // Which version an object runs is Cloudflare's choice until now.
        if let Err(why) = self.try_it(smoke, &["--version", &new]) {
            return back(format!("{version} does not pass at 100 %: {why}"));
        }
        if plan.addresses_change {
            self.wrangler(release, &["triggers", "deploy"])?;
        }
        say(&format!("{version} answers all requests of {}", self.wanted.name));
        Ok(())
    }

    fn what_next(&self) -> String {
        format!("`cargo xtask release status {} --env {}` tells what answers", name_of(self.bundle), self.env)
    }

    /// Uploads a version that nothing goes to yet.
    ///
    /// # Errors
    /// wrangler failed, and has said why.
    pub(crate) fn upload(&self, release: &Archive) -> Outcome<Uploaded> {
        let unpacked = self.shelf.unpacked(release, self.bundle)?;
        let said = Path::new(&unpacked.config).with_file_name("wrangler-output.jsonl");
        let version = release.about.version.as_str();
        let args = ["versions", "upload", "--tag", version, "--message", version, "--config", &unpacked.config];
        let args = [&args[..], &["--env", self.env]].concat();
        run(self.account.wrangler(&args)?.env("WRANGLER_OUTPUT_FILE_PATH", &said))
            .map_err(|_| format!("`wrangler versions upload` failed; it has said why. {}", self.what_next()))?;
        uploaded(&said).ok_or_else(|| format!("wrangler does not tell what it has uploaded. {}", self.what_next()))
    }

    /// The version that answers all requests now.
    ///
    /// # Errors
    /// Two do, or Cloudflare does not tell.
    pub(crate) fn answers(&self) -> Outcome<String> {
        let deployments = self.account.deployments(&self.wanted.name)?;
        let whole = deployments.first().and_then(|deployment| deployment.whole());
        whole
            .map(|share| share.version_id.clone())
            .ok_or_else(|| format!("no version answers all requests. {}", self.what_next()))
    }

    /// Sets which versions answer, and of how many of a hundred requests.
    fn share(&self, release: &Archive, shares: &[(&str, u8)]) -> Outcome {
        let shares: Vec<String> = shares.iter().map(|(id, percent)| format!("{id}@{percent}%")).collect();
        let mut args = vec!["versions", "deploy"];
        args.extend(shares.iter().map(String::as_str));
        args.extend(["--message", &release.about.version, "--yes"]);
        self.wrangler(release, &args)
    }

    /// Whether it sells.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn try_it(&self, smoke: &Smoke, of_version: &[&str]) -> Outcome {
        let mut command = booking();
        command.arg("smoke").arg(&smoke.url).args(of_version).args(&smoke.args);
        // `booking smoke` finds its own tokens in the environment. It must not get the token of the API.
        run(command.env_remove("CLOUDFLARE_API_TOKEN"))
    }

    /// Goes back to the release that answered before, or to this one.
    ///
    /// # Errors
    /// There is none, or it cannot read what has been stored since.
    pub(crate) fn back(&self, to: Option<&str>, upload: bool, allowed: &Allowed) -> Outcome {
        if self.bundle == Bundle::Restate {
            let why = "invocations end on the version that they began on";
            return Err(format!("{why}: register the address of the version that new ones are to go to"));
        }
        let (running, _) = CheckoutProgress::of(self.account, &self.wanted.name)?;
        let (version, tag) = match to {
            Some(tag) => {
                (running.versions.iter().find(|one| one.release() == Some(tag)).map(|one| one.id.clone()), tag)
            }
            None => {
                let none = "Cloudflare knows of no release that answered all requests before: name one with --to";
                let share = running.one_before().ok_or(none)?;
                let by_hand = || {
                    let (version, name) = (&share.version_id, &self.wanted.name);
                    format!(
                        "no release has made version {version}: `npx wrangler rollback {version} --name {name}` goes back to it"
                    )
                };
                (Some(share.version_id.clone()), running.release_of(&share.version_id).ok_or_else(by_hand)?)
            }
        };
        let release = self.shelf.get(tag, Some(self.account))?;
        self.may_go_back(&release, &running, allowed.adopt)?;
        // It comes with its own wrangler.toml, whose domains are older, too.
        let wanted = manifest(release.files(), self.bundle)?.environment(self.env)?;
        self.account.is_of(wanted.account.as_ref())?;
        if upload {
            let there = Target { wanted: &wanted, ..*self };
            plan::plan(&there, &release, allowed)?.tell()?;
            return there.at_once(&release);
        }
        let version =
            version.ok_or_else(|| format!("Cloudflare no longer has a version of {tag}: --upload deploys it anew"))?;
        say(
            "Its secrets are those that it had: one that was changed since is the old one again. --upload keeps today's",
        );
        self.wrangler(&release, &["rollback", &version, "--message", &format!("back to {tag}"), "--yes"])?;
        say(&format!("{tag} answers all requests of {}", self.wanted.name));
        Ok(())
    }

    /// # Errors
    /// Why it cannot take over from what answers.
    fn may_go_back(&self, release: &Archive, running: &CheckoutProgress, adopt: bool) -> Outcome {
        let version = &release.about.version;
        let ours = of(release, self.bundle);
        if ours.migrations.last() != running.migration.as_ref() {
            return Err(format!(
                "{version} is of before migration {}: Cloudflare does not go back behind that. Deploy a newer release that does what you want",
                running.migration.as_deref().unwrap_or("of classes")
            ));
        }
        for share in running.shares() {
            let tag = running.release_of(&share.version_id);
            let known = tag.map(|tag| self.shelf.find(tag, Some(self.account))).transpose()?.flatten();
            let (Some(tag), Some(known)) = (tag, known) else {
                let what =
                    format!("whether {version} can read what version {} has stored is not known", share.version_id);
                if adopt {
                    say(&what);
                    continue;
                }
                return Err(format!(
                    "{what}: no release has made that, or it is not at hand (--bucket). --adopt goes back all the same"
                ));
            };
            if let Some(form) = ours.cannot_read(&of(&known, self.bundle)) {
                return Err(format!(
                    "{tag} has stored {form}: {version} would answer 503. Deploy a newer release instead"
                ));
            }
        }
        Ok(())
    }
}

/// The version that wrangler has uploaded, as it tells in a file.
fn uploaded(said: &Path) -> Option<Uploaded> {
    let said = fs::read_to_string(said).ok()?;
    let mut lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let upload = lines.rfind(|line| line["type"] == "version-upload")?;
    let address = upload["preview_url"].as_str().map(str::to_owned);
    Some(Uploaded { id: upload["version_id"].as_str()?.to_owned(), address })
}

/// `booking`: built with this command where tests run, else by [`build_booking`].
fn booking() -> Command {
    match built("booking") {
        Some(built) => Command::new(built),
        None => cargo(&["run", "--locked", "--quiet", "--package", "booking", "--"]),
    }
}

/// Builds `booking`, so that no buyer reaches the new version while it compiles.
///
/// # Errors
/// It does not build.
pub(crate) fn build_booking() -> Outcome {
    match built("booking") {
        Some(_) => Ok(()),
        None => {
            run(cargo(&["build", "--locked", "--quiet", "--package", "booking"]).env_remove("CLOUDFLARE_API_TOKEN"))
        }
    }
}
