//! Deploys a release, at once or gradually, and goes back to an earlier one. Pinned wrangler makes every write.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use release::archive::Archive;
use release::manifest::Environment;
use serde_json::Value;
use xtask::run::{Outcome, cargo, run, say};
use xtask::worker::Bundle;

use crate::account::{Account, Share};
use crate::built;
use crate::plan::{Plan, Running, largest, of};
use crate::shelf::{Shelf, name_of};

/// A release, and where it goes.
pub(crate) struct Target<'a> {
    pub(crate) account: &'a Account,
    pub(crate) shelf: &'a Shelf,
    pub(crate) bundle: Bundle,
    pub(crate) env: &'static str,
    pub(crate) wanted: &'a Environment,
}

/// How it is seen whether it sells.
pub(crate) struct Smoke {
    /// Of how many of a hundred requests the new version answers meanwhile.
    pub(crate) percent: u8,
    /// Where it is asked.
    pub(crate) url: String,
    /// What `booking smoke` is told besides.
    pub(crate) args: Vec<String>,
}

impl Target<'_> {
    /// The arguments of a command of wrangler's for this Worker here.
    fn args<'b>(&'b self, command: &[&'b str], config: &'b str) -> Vec<&'b str> {
        [command, &["--config", config, "--env", self.env]].concat()
    }

    /// The `wrangler.toml` of an unpacked release.
    fn config(&self, release: &Archive) -> Outcome<PathBuf> {
        Ok(self.shelf.unpacked(release)?.join(self.bundle.package()).join("wrangler.toml"))
    }

    /// Deploys a release for all requests.
    ///
    /// # Errors
    /// wrangler failed, and has said why.
    pub(crate) fn at_once(&self, release: &Archive) -> Outcome {
        let config = self.config(release)?;
        let config = config.to_str().ok_or("the folder's path is no text")?;
        let version = release.about.version.as_str();
        self.account.run(&self.args(&["deploy", "--tag", version, "--message", version], config))?;
        say(&format!("{version} answers all requests of {}", self.wanted.name));
        Ok(())
    }

    /// Has a release answer some requests, tries it, and then has it answer all; where it does not sell, the version that answered before
    /// answers all again.
    ///
    /// # Errors
    /// It does not sell, or wrangler failed.
    pub(crate) fn gradually(&self, release: &Archive, plan: &Plan, smoke: &Smoke) -> Outcome {
        let before = largest(&plan.live).ok_or("nothing answers here yet")?.clone();
        let new = self.upload(release)?;
        let rest = 100 - smoke.percent;
        let back = |why: String| {
            say(&format!("\n{why}. Going back"));
            match self.share(release, &[(&before.version_id, 100)], &format!("back from {}", release.about.version)) {
                Ok(()) => Err(format!("{why}. What answered before answers all requests again")),
                Err(also) => Err(format!("{why}, and going back failed as well: {also}. {}", self.what_next())),
            }
        };
        let shares = [(new.as_str(), smoke.percent), (before.version_id.as_str(), rest)];
        if let Err(why) = self.share(release, &shares, &release.about.version) {
            // It may have been done all the same.
            return back(why);
        }
        if let Err(why) = self.try_it(smoke, Some(&new)) {
            return back(format!("{} does not pass at {} %: {why}", release.about.version, smoke.percent));
        }
        self.share(release, &[(&new, 100)], &release.about.version)
            .map_err(|why| format!("{why}. {}", self.what_next()))?;
        if plan.addresses_change {
            let config = self.config(release)?;
            let config = config.to_str().ok_or("the folder's path is no text")?;
            self.account.run(&self.args(&["triggers", "deploy"], config))?;
        }
        say(&format!("{} answers all requests of {}", release.about.version, self.wanted.name));
        Ok(())
    }

    fn what_next(&self) -> String {
        format!("`cargo xtask release status {} --env {}` tells what answers", name_of(self.bundle), self.env)
    }

    /// Uploads a version that nothing goes to yet; its id.
    fn upload(&self, release: &Archive) -> Outcome<String> {
        let config = self.config(release)?;
        let said = config.with_file_name("wrangler-output.jsonl");
        let config = config.to_str().ok_or("the folder's path is no text")?;
        let version = release.about.version.as_str();
        let args = self.args(&["versions", "upload", "--tag", version, "--message", version], config);
        run(self.account.wrangler(&args)?.env("WRANGLER_OUTPUT_FILE_PATH", &said))?;
        id_in(&said)
            .ok_or_else(|| format!("wrangler has uploaded {version}, and does not tell its id. {}", self.what_next()))
    }

    /// Sets which versions answer, and of how many of a hundred requests.
    fn share(&self, release: &Archive, shares: &[(&str, u8)], message: &str) -> Outcome {
        let config = self.config(release)?;
        let config = config.to_str().ok_or("the folder's path is no text")?;
        let shares: Vec<String> = shares.iter().map(|(id, percent)| format!("{id}@{percent}%")).collect();
        let mut args = vec!["versions", "deploy"];
        args.extend(shares.iter().map(String::as_str));
        args.extend(["--message", message, "--yes"]);
        self.account.run(&self.args(&args, config))
    }

    /// Whether it sells: of one version where one is named.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn try_it(&self, smoke: &Smoke, version: Option<&str>) -> Outcome {
        let mut command = booking();
        command.arg("smoke").arg(&smoke.url).args(&smoke.args);
        if let Some(version) = version {
            let name = &self.wanted.name;
            command.arg("--header").arg(format!("Cloudflare-Workers-Version-Overrides: {name}=\"{version}\""));
        }
        // Its tokens are in the environment, and the API's is none of its business.
        run(command.env_remove("CLOUDFLARE_API_TOKEN"))
    }

    /// Goes back to a release that answered before, or to this one.
    ///
    /// # Errors
    /// There is none, or it cannot read what has been stored since.
    pub(crate) fn back(&self, to: Option<&str>, upload: bool) -> Outcome {
        let (running, _) = Running::of(self.account, &self.wanted.name)?;
        let shares = running.shares();
        let (version, tag) = match to {
            Some(tag) => {
                (running.versions.iter().find(|one| one.release() == Some(tag)).map(|one| one.id.clone()), tag)
            }
            None => {
                let share = one_before(&running).ok_or("nothing answered here before")?;
                let tag = running.release_of(&share.version_id);
                (
                    Some(share.version_id.clone()),
                    tag.ok_or("no release has made what answered before: name one with --to")?,
                )
            }
        };
        let release = self.shelf.get(tag, Some(self.account))?;
        self.may_go_back(&release, &running, &shares)?;
        match version.filter(|_| !upload) {
            Some(version) => {
                say(
                    "Its secrets are those that it had: one that was replaced since is the old one again. --upload keeps today's",
                );
                self.share(&release, &[(&version, 100)], &format!("back to {tag}"))?;
                say(&format!("{tag} answers all requests of {}", self.wanted.name));
                Ok(())
            }
            None => self.at_once(&release),
        }
    }

    /// # Errors
    /// Why it cannot take over from what answers.
    fn may_go_back(&self, release: &Archive, running: &Running, shares: &[Share]) -> Outcome {
        let version = &release.about.version;
        let ours = of(release, self.bundle);
        if ours.migrations.last() != running.migration.as_ref() {
            return Err(format!(
                "{version} is of before migration {}: Cloudflare does not go back behind that. Deploy a newer release that does what you want",
                running.migration.as_deref().unwrap_or("of classes")
            ));
        }
        for share in shares {
            let Some(tag) = running.release_of(&share.version_id) else {
                return Err(format!(
                    "no release has made version {}, which answers: whether {version} can read what it has stored is not known",
                    share.version_id
                ));
            };
            if let Some(form) = ours.cannot_read(&of(&self.shelf.get(tag, Some(self.account))?, self.bundle)) {
                return Err(format!(
                    "{tag} has stored {form}: {version} would answer 503. Deploy a newer release instead"
                ));
            }
        }
        Ok(())
    }
}

/// What answered before: of two versions that answer the one that most requests go to, else what the deployment before had.
fn one_before(running: &Running) -> Option<&Share> {
    let [now, before @ ..] = running.deployments.as_slice() else { return None };
    if now.versions.len() > 1 {
        return largest(&now.versions);
    }
    let is = &now.versions.first()?.version_id;
    before.iter().filter_map(|one| largest(&one.versions)).find(|share| share.version_id != *is)
}

/// The id of the version that wrangler has uploaded, as it tells in a file.
fn id_in(said: &Path) -> Option<String> {
    let said = fs::read_to_string(said).ok()?;
    let mut lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let upload = lines.rfind(|line| line["type"] == "version-upload")?;
    upload["version_id"].as_str().map(str::to_owned)
}

fn booking() -> Command {
    match built("booking") {
        Some(built) => Command::new(built),
        None => cargo(&["run", "--locked", "--quiet", "--package", "booking", "--"]),
    }
}
