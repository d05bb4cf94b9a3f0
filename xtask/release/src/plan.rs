//! What a deployment would change, and what speaks against it: what is there, beside what `wrangler.toml` wants to be there.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use clap::Args;
use release::archive::{Archive, Worker};
use release::manifest::Environment;
use xtask::run::Outcome;
use xtask::worker::Bundle;

use crate::account::{Account, Deployment, Route, Share, Version};
use crate::roll::Target;
use crate::shelf::{DIRTY, name_of};
use crate::tell;

/// How long before its end a token should be replaced.
const SOON: Duration = Duration::from_secs(14 * 24 * 3_600);

/// Why nothing comes gradually over what is not known.
const UNKNOWN: &str = "what answers now may not be able to read what this release stores";

/// A line of a plan.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// The deployment leaves this alone: it is right.
    Ok,
    /// The deployment changes this.
    Change,
    /// The operator should know this.
    Note,
    /// The release must not be deployed before this is mended.
    Stop,
}

/// What a deployment would change.
#[derive(Default)]
pub(crate) struct Plan {
    lines: Vec<(Option<Mark>, String)>,
    /// Why it cannot come gradually: everything changes at once.
    pub(crate) at_once: Option<String>,
    /// Whether addresses change.
    pub(crate) addresses_change: bool,
    /// What answers now.
    pub(crate) live: Vec<Share>,
    /// Whether a release was ever deployed here.
    pub(crate) has_releases: bool,
}

impl Plan {
    fn line(&mut self, mark: Mark, text: impl Into<String>) {
        self.lines.push((Some(mark), text.into()));
    }

    /// Prints it, and says whether it may be deployed.
    ///
    /// # Errors
    /// It must not.
    pub(crate) fn tell(&self) -> Outcome {
        let mut stops = 0;
        for (mark, text) in &self.lines {
            let mark = match mark {
                None => "",
                Some(Mark::Ok) => "ok      ",
                Some(Mark::Change) => "CHANGE  ",
                Some(Mark::Note) => "NOTE    ",
                Some(Mark::Stop) => "STOP    ",
            };
            stops += usize::from(mark.starts_with("STOP"));
            tell(&format!("{mark}{text}"));
        }
        match stops {
            0 => Ok(()),
            1 => Err("one thing speaks against it; nothing was changed".to_owned()),
            some => Err(format!("{some} things speak against it; nothing was changed")),
        }
    }
}

/// What runs in an environment.
pub(crate) struct CheckoutProgress {
    /// The tag of the last migration of its classes.
    pub(crate) migration: Option<String>,
    /// Whether there is a Worker of this name.
    pub(crate) is_there: bool,
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) versions: Vec<Version>,
}

impl CheckoutProgress {
    pub(crate) fn of(account: &Account, name: &str) -> Outcome<(Self, BTreeSet<String>)> {
        let scripts = account.scripts()?;
        let script = scripts.iter().find(|script| script.id == name);
        let (deployments, versions) = match script {
            Some(_) => (account.deployments(name)?, account.versions(name)?),
            None => (Vec::new(), Vec::new()),
        };
        let migration = script.and_then(|script| script.migration_tag.clone());
        let is_there = script.is_some();
        Ok((Self { migration, is_there, deployments, versions }, scripts.into_iter().map(|one| one.id).collect()))
    }

    /// What answers now.
    pub(crate) fn shares(&self) -> Vec<Share> {
        self.deployments.first().map(|deployment| deployment.versions.clone()).unwrap_or_default()
    }

    /// The release that a version is. A changed secret makes a version without a tag, of what answered before it.
    pub(crate) fn release_of(&self, version: &str) -> Option<&str> {
        let of = |id: &str| self.versions.iter().find(|one| one.id == id);
        let is_of = |deployment: &Deployment| deployment.versions.iter().any(|share| share.version_id == version);
        match of(version)? {
            one if one.release().is_some() => one.release(),
            one if one.has_changed_a_secret() => {
                let from = self.deployments.iter().rposition(is_of)?;
                let before = self.deployments.get(from + 1..)?.iter().filter_map(Deployment::whole);
                let mut before = before.map_while(|share| of(&share.version_id));
                before.find(|one| !one.has_changed_a_secret() || one.release().is_some())?.release()
            }
            _ => None,
        }
    }

    /// Whether a release was ever deployed here, as far as Cloudflare still knows.
    fn has_releases(&self) -> bool {
        self.versions.iter().any(|version| version.release().is_some())
    }

    /// What answered all requests before: where two versions answer, the one of them that did; else the last of another release.
    pub(crate) fn one_before(&self) -> Option<&Share> {
        let (now, before) = self.deployments.split_first()?;
        let mut before = before.iter().filter_map(Deployment::whole);
        match now.whole() {
            None => before.find(|one| now.versions.iter().any(|share| share.version_id == one.version_id)),
            Some(now) => {
                let now = self.release_of(&now.version_id);
                before.find(|one| self.release_of(&one.version_id).is_some_and(|release| Some(release) != now))
            }
        }
    }
}

/// What a person has allowed.
#[derive(Args, Clone, Default)]
pub(crate) struct Allowed {
    /// A domain or route that wrangler.toml does not have any more, and that may be taken away
    #[arg(long, value_name = "DOMAIN")]
    detach: Vec<String>,
    /// Deploy although it is not known what the running version has stored: no release has made it, or its release is not at hand
    #[arg(long)]
    pub(crate) adopt: bool,
    /// Deploy although it has no address now: it gets those that wrangler.toml names
    #[arg(long)]
    on: bool,
}

/// What deploying a release would change of a Worker in an environment.
pub(crate) fn plan(target: &Target<'_>, release: &Archive, allowed: &Allowed) -> Outcome<Plan> {
    let Target { account, wanted, .. } = target;
    let mut plan = Plan::default();
    let version = &release.about.version;
    plan.lines.push((None, format!("{version} as {}", wanted.name)));
    if version.contains(DIRTY) && target.env == "production" {
        plan.line(Mark::Stop, "it was built of files that no commit has");
    }
    token(&mut plan, account)?;
    let (running, scripts) = CheckoutProgress::of(account, &wanted.name)?;
    plan.live = running.shares();
    plan.has_releases = running.has_releases();
    code(&mut plan, target, release, &running, allowed)?;
    migrations(&mut plan, wanted, &running);
    bindings(&mut plan, account, wanted, &scripts)?;
    addresses(&mut plan, account, wanted, &running, allowed)?;
    Ok(plan)
}

fn token(plan: &mut Plan, account: &Account) -> Outcome {
    let Some(token) = account.token()? else { return Ok(()) };
    let soon = humantime::format_rfc3339_seconds(SystemTime::now() + SOON).to_string();
    match token.expires_on {
        _ if token.status != "active" => plan.line(Mark::Stop, format!("the token is {}", token.status)),
        Some(end) if end < soon => plan.line(Mark::Note, format!("the token ends on {end}: replace it")),
        Some(end) => plan.line(Mark::Ok, format!("the token, until {end}")),
        None => plan.line(Mark::Note, "the token has no end: give the next one 90 days"),
    }
    Ok(())
}

/// Which releases answer now, and whether this one can read what they have stored.
fn code(
    plan: &mut Plan,
    target: &Target<'_>,
    release: &Archive,
    running: &CheckoutProgress,
    allowed: &Allowed,
) -> Outcome {
    let unknown = if allowed.adopt { Mark::Note } else { Mark::Stop };
    let shares = running.shares();
    if shares.is_empty() {
        plan.line(Mark::Change, "nothing is deployed here yet");
        return Ok(());
    }
    if shares.len() > 1 {
        let why = "two versions answer: a deployment was cut short. `cargo xtask release rollback` goes back to the one that answered all requests before";
        plan.line(Mark::Stop, why);
    }
    if !running.has_releases() {
        plan.line(Mark::Change, "no release has been deployed here yet");
        plan.at_once = Some(UNKNOWN.to_owned());
        return Ok(());
    }
    // A Restate server may call any version that was uploaded.
    let all: Vec<&str> = match target.bundle {
        Bundle::Restate => {
            let uploaded = running.versions.iter().filter(|version| version.release().is_some());
            uploaded.map(|version| version.id.as_str()).collect()
        }
        Bundle::Shop | Bundle::ShopWithFaults | Bundle::RestateWithFaults | Bundle::Sandbox | Bundle::Operations => {
            shares.iter().map(|share| share.version_id.as_str()).collect()
        }
    };
    let mut seen = BTreeSet::new();
    for id in all {
        let Some(tag) = running.release_of(id) else {
            let what = format!("version {id} answers, which no release has made");
            plan.line(unknown, format!("{what}: what it has stored is not known. --adopt allows that"));
            plan.at_once = Some(UNKNOWN.to_owned());
            continue;
        };
        if !seen.insert(tag) {
            continue;
        }
        if tag == release.about.version {
            plan.line(Mark::Ok, "this release answers already");
            continue;
        }
        plan.line(Mark::Change, format!("{tag} answers now"));
        let Some(live) = target.shelf.find(tag, Some(target.account))? else {
            let bucket = "--bucket names where it is, --adopt deploys all the same";
            plan.line(unknown, format!("release {tag} is not at hand, so what it has stored is not known. {bucket}"));
            plan.at_once = Some(UNKNOWN.to_owned());
            continue;
        };
        let (ours, theirs) = (of(release, target.bundle), of(&live, target.bundle));
        if let Some(form) = ours.cannot_read(&theirs) {
            plan.line(Mark::Stop, format!("{tag} has stored {form}"));
        }
        if let Some(form) = theirs.cannot_read(&ours) {
            let why =
                format!("it stores {form}, so {tag} answers 503 to what it has written, and there is no way back");
            plan.line(Mark::Note, why.clone());
            plan.at_once = Some(why);
        }
    }
    Ok(())
}

/// What a release says of a Worker.
pub(crate) fn of(release: &Archive, bundle: Bundle) -> Worker {
    release.about.workers.get(name_of(bundle)).cloned().unwrap_or_default()
}

fn migrations(plan: &mut Plan, wanted: &Environment, running: &CheckoutProgress) {
    let all = &wanted.migrations;
    let known = running.migration.as_ref().map(|live| (live, all.iter().position(|tag| tag == live)));
    let pending = match known {
        Some((live, None)) => {
            return plan.line(
                Mark::Stop,
                format!("what answers has migration {live}, which this release does not know: nothing goes behind it"),
            );
        }
        Some((_, Some(at))) => &all[at + 1..],
        None => all,
    };
    if !pending.is_empty() {
        let pending = pending.join(", ");
        plan.line(
            Mark::Change,
            format!("migration {pending}: comes for all at once, and there is no way back behind it"),
        );
        plan.at_once = Some(format!("migration {pending} comes for all at once"));
    } else if !all.is_empty() {
        plan.line(Mark::Ok, format!("migration {}", all.join(", ")));
    }
    if !running.is_there {
        plan.at_once = Some("a first deployment comes for all at once".to_owned());
    }
}

fn bindings(plan: &mut Plan, account: &Account, wanted: &Environment, scripts: &BTreeSet<String>) -> Outcome {
    let (live, secrets) = account.bindings(&wanted.name)?;
    let mut same = 0;
    for (name, is) in &wanted.bindings {
        match live.get(name) {
            Some(was) if was == is => same += 1,
            Some(was) => plan.line(Mark::Change, format!("{name}: {was} becomes {is}")),
            None => plan.line(Mark::Change, format!("{name}: {is}, new")),
        }
    }
    let is_wanted = |name: &String| wanted.bindings.contains_key(name) || wanted.others.contains(name);
    for (name, was) in live.iter().filter(|(name, _)| !is_wanted(name)) {
        plan.line(Mark::Change, format!("{name}: {was} is taken away: wrangler.toml does not have it"));
    }
    if same > 0 {
        plan.line(Mark::Ok, format!("{same} bindings stay as they are"));
    }
    for missing in wanted.secrets.difference(&secrets) {
        let name = &wanted.name;
        plan.line(Mark::Stop, format!("secret {missing} is missing: npx wrangler secret put {missing} --name {name}"));
    }
    let there: Vec<&str> = wanted.secrets.intersection(&secrets).map(String::as_str).collect();
    if !there.is_empty() {
        plan.line(Mark::Ok, format!("secret {}", there.join(", ")));
    }
    for other in secrets.difference(&wanted.secrets) {
        plan.line(Mark::Ok, format!("secret {other}, which wrangler.toml does not require"));
    }
    for missing in wanted.services.difference(scripts) {
        plan.line(Mark::Stop, format!("the Worker {missing}, which it is bound to, is not there: deploy that first"));
    }
    for name in &wanted.examples {
        let mark = if name.ends_with("_URL") { Mark::Stop } else { Mark::Note };
        plan.line(mark, format!("{name} is still the example's: set it in wrangler.toml"));
    }
    Ok(())
}

/// The Worker's addresses. wrangler, when it runs unattended, takes them over from others or removes them without asking.
fn addresses(
    plan: &mut Plan,
    account: &Account,
    wanted: &Environment,
    running: &CheckoutProgress,
    Allowed { detach, on: puts_on, .. }: &Allowed,
) -> Outcome {
    let before = plan.lines.len();
    let subdomain = account.subdomain(&wanted.name)?;
    let routes = account.routes_of(&wanted.name)?;
    let domains = account.domains()?;
    let has_any = subdomain.enabled || !routes.is_empty() || domains.iter().any(|one| one.service == wanted.name);
    let wants_any = wanted.workers_dev || !wanted.routes.is_empty() || !wanted.domains.is_empty();
    if running.has_releases() && wants_any && !has_any {
        let mark = if *puts_on { Mark::Change } else { Mark::Stop };
        plan.line(mark, "it has no address now, and a deployment gives it one: --on allows that");
    }
    let on = |on: bool| if on { "on" } else { "off" };
    for (what, is, to_be) in [
        ("workers.dev", subdomain.enabled, wanted.workers_dev),
        (
            "addresses of single versions",
            subdomain.previews_enabled,
            wanted.preview_urls.unwrap_or(subdomain.previews_enabled),
        ),
    ] {
        if is != to_be {
            plan.line(Mark::Change, format!("{what}: {} becomes {}", on(is), on(to_be)));
        }
    }
    for wanted_domain in &wanted.domains {
        match domains.iter().find(|one| one.hostname == *wanted_domain) {
            Some(one) if one.service == wanted.name => {}
            Some(one) => plan.line(
                Mark::Stop,
                format!("domain {wanted_domain} is of the Worker {}: it would be taken over. Detach it there", one.service),
            ),
            None if account.has_record(wanted_domain)? == Some(true) => plan.line(
                Mark::Stop,
                format!("domain {wanted_domain} has a DNS record that is not a Worker's: it would be replaced. Delete it first"),
            ),
            None => {
                plan.line(Mark::Change, format!("domain {wanted_domain}, new: with a record and a certificate"));
                if account.has_record(wanted_domain)?.is_none() {
                    let why = "a login may not see DNS records: look whether it has one, which would be replaced";
                    plan.line(Mark::Note, format!("domain {wanted_domain}: {why}"));
                }
            }
        }
    }
    // Without a domain in wrangler.toml, wrangler leaves them as they are.
    let theirs = domains.iter().filter(|one| one.service == wanted.name && !wanted.domains.contains(&one.hostname));
    for domain in theirs {
        let hostname = &domain.hostname;
        if wanted.domains.is_empty() {
            plan.line(
                Mark::Note,
                format!("domain {hostname} stays, though wrangler.toml does not have it: `release off` detaches it"),
            );
        } else if detach.contains(hostname) {
            plan.line(Mark::Change, format!("domain {hostname} is detached, and its record deleted"));
        } else {
            plan.line(
                Mark::Stop,
                format!("domain {hostname} would be detached, and its record deleted: --detach {hostname} allows that"),
            );
        }
    }
    for zone in wanted.routes.values().collect::<BTreeSet<_>>() {
        let (_, routes) = account.routes(zone)?;
        let of = |one: &Route| one.script.clone().unwrap_or_else(|| "none".to_owned());
        for (pattern, _) in wanted.routes.iter().filter(|(_, other)| *other == zone) {
            match routes.iter().find(|one| one.pattern == *pattern).map(of) {
                Some(script) if script == wanted.name => {}
                Some(script) => {
                    plan.line(Mark::Stop, format!("route {pattern} is of the Worker {script}: it would be taken over"));
                }
                None => plan.line(Mark::Change, format!("route {pattern}, new")),
            }
        }
    }
    // Without a route in wrangler.toml, wrangler leaves them as they are.
    let theirs = routes.into_iter().map(|(_, route)| route.pattern);
    for pattern in theirs.filter(|pattern| !wanted.routes.contains_key(pattern)) {
        if wanted.routes.is_empty() {
            let off = "`release off` takes it away";
            plan.line(Mark::Note, format!("route {pattern} stays, though wrangler.toml does not have it: {off}"));
        } else if detach.contains(&pattern) {
            plan.line(Mark::Change, format!("route {pattern} is taken away"));
        } else {
            let allow = format!("--detach '{pattern}' allows that");
            plan.line(Mark::Stop, format!("route {pattern} would be taken away: {allow}"));
        }
    }
    if plan.lines.len() > before {
        plan.addresses_change = true;
    } else {
        plan.line(Mark::Ok, "its addresses stay as they are");
    }
    Ok(())
}
