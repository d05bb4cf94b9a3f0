//! What Cloudflare's API says is there, and the few writes that wrangler has no command for. Those that carry code are
//! wrangler's.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Request;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use xtask::run::{Outcome, output, run};
use xtask::wrangler;

/// Where the API is, unless `CLOUDFLARE_API_BASE_URL` says otherwise: wrangler goes by the same.
const API: &str = "https://api.cloudflare.com/client/v4";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The largest answer, in bytes: a release is the largest.
const MOST_BYTES: u64 = 50_000_000;

/// Where a person reads what a token needs.
const TOKENS: &str = "What a token needs: docs/CLOUDFLARE.md, Tokens";

/// An account, as a token sees it.
pub(crate) struct Account {
    agent: Agent,
    base: String,
    token: String,
    is_api_token: bool,
    id: String,
}

/// What every answer is wrapped in.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    errors: Vec<Reason>,
    #[serde(default)]
    result: Value,
}

#[derive(Deserialize)]
struct Reason {
    code: u32,
    message: String,
}

/// A Worker that is there.
#[derive(Deserialize)]
pub(crate) struct Script {
    pub(crate) id: String,
    pub(crate) migration_tag: Option<String>,
}

/// A version of a Worker: its code, and what it is given.
#[derive(Deserialize)]
pub(crate) struct Version {
    pub(crate) id: String,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl Version {
    /// The release that it is.
    pub(crate) fn release(&self) -> Option<&str> {
        self.annotation("workers/tag")
    }

    /// Whether a secret was changed, and nothing else: then it is the release that was there before.
    pub(crate) fn has_changed_a_secret(&self) -> bool {
        self.annotation("workers/triggered_by") == Some("secret")
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(name).map(String::as_str)
    }
}

/// Which versions answered requests, from some time on.
#[derive(Deserialize)]
pub(crate) struct Deployment {
    pub(crate) created_on: String,
    pub(crate) versions: Vec<Share>,
}

impl Deployment {
    /// The version that answers all requests, where one does.
    pub(crate) fn whole(&self) -> Option<&Share> {
        if let [one] = self.versions.as_slice() { Some(one) } else { None }
    }
}

/// A version, and of how many of a hundred requests it answers.
#[derive(Clone, Deserialize)]
pub(crate) struct Share {
    pub(crate) version_id: String,
    pub(crate) percentage: f64,
}

/// Which addresses under `workers.dev` there are.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct Subdomain {
    pub(crate) enabled: bool,
    #[serde(default)]
    pub(crate) previews_enabled: bool,
}

/// A domain of a Worker's own.
#[derive(Deserialize)]
pub(crate) struct Domain {
    pub(crate) id: String,
    pub(crate) hostname: String,
    pub(crate) service: String,
}

/// A route of a zone.
#[derive(Deserialize)]
pub(crate) struct Route {
    pub(crate) id: String,
    pub(crate) pattern: String,
    pub(crate) script: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
    name: String,
}

/// What a token is.
#[derive(Deserialize)]
pub(crate) struct Token {
    pub(crate) status: String,
    pub(crate) expires_on: Option<String>,
}

impl Account {
    /// The account that the environment, this id or the token names.
    ///
    /// # Errors
    /// There is no token, or more than one account.
    pub(crate) fn open(id: Option<String>) -> Outcome<Self> {
        let base = std::env::var("CLOUDFLARE_API_BASE_URL").ok().filter(|base| !base.is_empty());
        let base = base.unwrap_or_else(|| API.to_owned());
        let from_env = std::env::var("CLOUDFLARE_API_TOKEN").ok().filter(|token| !token.is_empty());
        let is_api_token = from_env.is_some();
        let token = from_env.map_or_else(token_of_wrangler, Ok)?;
        let account = Self { agent: agent(), base, token, is_api_token, id: String::new() };
        let named = std::env::var("CLOUDFLARE_ACCOUNT_ID").ok().filter(|id| !id.is_empty());
        let id = match (id, named) {
            // wrangler goes by its file, so both must mean the same.
            (Some(in_file), Some(named)) if in_file != named => {
                return Err(format!(
                    "wrangler.toml is for the account {in_file}, and CLOUDFLARE_ACCOUNT_ID is {named}"
                ));
            }
            (Some(id), _) | (None, Some(id)) => id,
            (None, None) => match account.all::<Named>("the accounts", "/accounts")?.as_slice() {
                [only] => only.id.clone(),
                several => {
                    let names = several.iter().map(|one| format!("{} ({})", one.id, one.name)).collect::<Vec<_>>();
                    return Err(format!(
                        "set CLOUDFLARE_ACCOUNT_ID to one of the accounts that this token sees: {}",
                        names.join(", ")
                    ));
                }
            },
        };
        Ok(Self { id, ..account })
    }

    /// Sees that what is to be deployed is for this account: wrangler goes by its file.
    ///
    /// # Errors
    /// It is for another.
    pub(crate) fn is_of(&self, id: Option<&String>) -> Outcome {
        match id {
            Some(id) if *id != self.id => Err(format!("this release is for the account {id}, and not for {}", self.id)),
            Some(_) | None => Ok(()),
        }
    }

    /// The pinned wrangler, for this account. It asks nothing.
    ///
    /// # Errors
    /// npm fails.
    pub(crate) fn wrangler(&self, args: &[&str]) -> Outcome<Command> {
        let mut command = wrangler::command_alone(args)?;
        command.env("CLOUDFLARE_ACCOUNT_ID", &self.id);
        Ok(command)
    }

    /// Runs it.
    ///
    /// # Errors
    /// What it could not do. It has said why.
    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        let then = "it has said why. `cargo xtask release status` tells what is there";
        run(&mut self.wrangler(args)?).map_err(|_| format!("`wrangler {}` failed; {then}", args.join(" ")))
    }

    /// What was answered, out of its envelope; nothing where that is not there.
    fn ask(&self, what: &str, method: &str, path: &str, body: Option<&Value>) -> Outcome<Option<Value>> {
        let Some(bytes) = self.bytes(what, method, path, body)? else { return Ok(None) };
        if bytes.is_empty() {
            return Ok(Some(Value::Null));
        }
        let said: Envelope =
            serde_json::from_slice(&bytes).map_err(|error| format!("{what}: Cloudflare's answer: {error}"))?;
        Ok(Some(said.result))
    }

    /// What was answered; nothing where a Worker, or what is of one, or an object of a bucket is not there.
    fn bytes(&self, what: &str, method: &str, path: &str, body: Option<&Value>) -> Outcome<Option<Vec<u8>>> {
        let silent = |why: &dyn std::fmt::Display| {
            let then = if method == "GET" { "" } else { ". It may have been done: `cargo xtask release status` tells" };
            format!("{what}: Cloudflare did not answer ({why}){then}")
        };
        let request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let answer = match body {
            None => request.body(()).map(|request| self.agent.run(request)),
            Some(body) => {
                let request = request.header("content-type", "application/json");
                request.body(body.to_string()).map(|request| self.agent.run(request))
            }
        };
        // A token that cannot stand in a header must not be shown.
        let answer = answer.map_err(|_| "the token, or CLOUDFLARE_API_BASE_URL, cannot be used".to_owned())?;
        let mut answer = answer.map_err(|why| silent(&why))?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(MOST_BYTES).read_to_vec().map_err(|why| silent(&why))?;
        if (200..300).contains(&status) {
            return Ok(Some(body));
        }
        let said = serde_json::from_slice(&body).unwrap_or(Envelope { errors: Vec::new(), result: Value::Null });
        let reasons: Vec<String> =
            said.errors.iter().map(|one| format!("{} (code {})", one.message, one.code)).collect();
        let reasons = if reasons.is_empty() { "it does not say why".to_owned() } else { reasons.join("; ") };
        match status {
            404 if method == "GET" && ["/scripts/", "/objects/"].iter().any(|of| path.contains(of)) => Ok(None),
            401 | 403 => Err(format!("{what}: this token may not do that: {reasons}. {TOKENS}")),
            429 => Err(format!("{what}: Cloudflare is asked too often. Wait five minutes, and try again")),
            500.. => {
                Err(format!("{what}: Cloudflare says {status}: {reasons}. Try again; https://www.cloudflarestatus.com"))
            }
            _ => Err(format!("{what}: Cloudflare says {status}: {reasons}")),
        }
    }

    fn get<T: DeserializeOwned>(&self, what: &str, path: &str) -> Outcome<Option<T>> {
        let found = self.ask(what, "GET", path, None)?;
        let read =
            |found| serde_json::from_value(found).map_err(|error| format!("{what}: Cloudflare's answer: {error}"));
        found.map(read).transpose()
    }

    fn all<T: DeserializeOwned>(&self, what: &str, path: &str) -> Outcome<Vec<T>> {
        Ok(self.get(what, path)?.unwrap_or_default())
    }

    /// What is under a key of a bucket of R2's.
    pub(crate) fn object(&self, bucket: &str, key: &str) -> Outcome<Option<Vec<u8>>> {
        let path = format!("/accounts/{}/r2/buckets/{bucket}/objects/{key}", self.id);
        self.bytes(&format!("{bucket}/{key}"), "GET", &path, None)
    }

    fn script(&self, name: &str, rest: &str) -> String {
        format!("/accounts/{}/workers/scripts/{name}{rest}", self.id)
    }

    /// What the token is; nothing where a person has logged in, whose rights have no end.
    pub(crate) fn token(&self) -> Outcome<Option<Token>> {
        if !self.is_api_token {
            return Ok(None);
        }
        let what = "the token";
        match self.get(what, "/user/tokens/verify") {
            // An account's token is no user's.
            Err(_) => self.get(what, &format!("/accounts/{}/tokens/verify", self.id)),
            found => found,
        }
    }

    pub(crate) fn scripts(&self) -> Outcome<Vec<Script>> {
        self.all("the Workers", &format!("/accounts/{}/workers/scripts", self.id))
    }

    /// The deployments of a Worker, the present one first.
    pub(crate) fn deployments(&self, name: &str) -> Outcome<Vec<Deployment>> {
        #[derive(Deserialize)]
        struct Found {
            deployments: Vec<Deployment>,
        }
        let found: Option<Found> = self.get("its deployments", &self.script(name, "/deployments"))?;
        Ok(found.map(|found| found.deployments).unwrap_or_default())
    }

    /// The versions of a Worker that can be deployed, the newest first: the last hundred.
    pub(crate) fn versions(&self, name: &str) -> Outcome<Vec<Version>> {
        #[derive(Deserialize)]
        struct Found {
            items: Vec<Version>,
        }
        let found: Option<Found> = self.get("its versions", &self.script(name, "/versions?deployable=true"))?;
        Ok(found.map(|found| found.items).unwrap_or_default())
    }

    /// What the Worker that answers is given, by name, in words, as [`release::manifest::Environment`] has it; and its secrets.
    pub(crate) fn bindings(&self, name: &str) -> Outcome<(BTreeMap<String, String>, BTreeSet<String>)> {
        let found: Option<Value> = self.get("its settings", &self.script(name, "/settings"))?;
        let found = found.unwrap_or_default();
        let (mut bindings, mut secrets) = (BTreeMap::new(), BTreeSet::new());
        for one in found["bindings"].as_array().into_iter().flatten() {
            let text = |field: &str| one[field].as_str().unwrap_or_default().to_owned();
            let is = match one["type"].as_str().unwrap_or_default() {
                "secret_text" => {
                    secrets.insert(text("name"));
                    continue;
                }
                "plain_text" => one["text"].to_string(),
                "json" => one["json"].to_string(),
                "durable_object_namespace" => format!("objects of class {}", text("class_name")),
                "service" => format!("the Worker {}", text("service")),
                "ratelimit" => format!("{} in {} s", one["simple"]["limit"], one["simple"]["period"]),
                // Files beside it; and which version it is.
                "assets" | "version_metadata" => continue,
                other => format!("a {other}"),
            };
            bindings.insert(text("name"), is);
        }
        Ok((bindings, secrets))
    }

    pub(crate) fn subdomain(&self, name: &str) -> Outcome<Subdomain> {
        let found = self.get("its address under workers.dev", &self.script(name, "/subdomain"))?;
        Ok(found.unwrap_or(Subdomain { enabled: false, previews_enabled: false }))
    }

    pub(crate) fn set_subdomain(&self, name: &str, to: Subdomain) -> Outcome {
        let body = json!({ "enabled": to.enabled, "previews_enabled": to.previews_enabled });
        self.ask("its address under workers.dev", "POST", &self.script(name, "/subdomain"), Some(&body)).map(drop)
    }

    /// The address of a Worker under `workers.dev`.
    pub(crate) fn address(&self, name: &str) -> Outcome<String> {
        let found: Option<Value> =
            self.get("the subdomain of workers.dev", &format!("/accounts/{}/workers/subdomain", self.id))?;
        let found = found.unwrap_or_default();
        let subdomain = found["subdomain"].as_str().ok_or("this account has no subdomain of workers.dev yet")?;
        Ok(format!("https://{name}.{subdomain}.workers.dev"))
    }

    /// The domains of all Workers.
    pub(crate) fn domains(&self) -> Outcome<Vec<Domain>> {
        self.all("the domains of Workers", &format!("/accounts/{}/workers/domains", self.id))
    }

    pub(crate) fn detach_domain(&self, domain: &Domain) -> Outcome {
        let path = format!("/accounts/{}/workers/domains/{}", self.id, domain.id);
        self.ask(&domain.hostname, "DELETE", &path, None).map(drop)
    }

    pub(crate) fn attach_domain(&self, hostname: &str, service: &str) -> Outcome {
        let body = json!({
            "hostname": hostname, "service": service, "environment": "production", "zone_id": self.zone_of(hostname)?
        });
        self.ask(hostname, "PUT", &format!("/accounts/{}/workers/domains", self.id), Some(&body)).map(drop)
    }

    /// The zones that this token sees.
    fn zones(&self) -> Outcome<Vec<Named>> {
        let mut zones = Vec::new();
        for page in 1.. {
            let some: Vec<Named> = self.all("the zones", &format!("/zones?per_page=50&page={page}"))?;
            let is_last = some.len() < 50;
            zones.extend(some);
            if is_last {
                break;
            }
        }
        Ok(zones)
    }

    /// The routes of a Worker, with the ids of their zones: wrangler replaces all of them, in whichever zone.
    pub(crate) fn routes_of(&self, script: &str) -> Outcome<Vec<(String, Route)>> {
        let mut found = Vec::new();
        for zone in self.zones()? {
            let routes = self.routes_in(&zone.name, &zone.id)?;
            let of_it = routes.into_iter().filter(|route| route.script.as_deref() == Some(script));
            found.extend(of_it.map(|route| (zone.id.clone(), route)));
        }
        Ok(found)
    }

    fn routes_in(&self, zone: &str, id: &str) -> Outcome<Vec<Route>> {
        self.all(&format!("the routes of {zone}"), &format!("/zones/{id}/workers/routes"))
    }

    /// The id of the zone that a host name is in.
    fn zone_of(&self, hostname: &str) -> Outcome<String> {
        let ends = hostname.match_indices('.').map(|(at, _)| &hostname[at + 1..]).filter(|name| name.contains('.'));
        for name in std::iter::once(hostname).chain(ends) {
            if let Some(zone) = self.zone(name)? {
                return Ok(zone);
            }
        }
        Err(format!("{hostname}: this token sees no zone of this name. {TOKENS}"))
    }

    fn zone(&self, name: &str) -> Outcome<Option<String>> {
        let zones: Vec<Named> = self.all("the zones", &format!("/zones?name={name}"))?;
        Ok(zones.into_iter().find(|zone| zone.name == name).map(|zone| zone.id))
    }

    /// Whether there is a DNS record of this name; nothing where that cannot be seen: who has logged in with wrangler has no right to.
    pub(crate) fn has_record(&self, hostname: &str) -> Outcome<Option<bool>> {
        let zone = self.zone_of(hostname)?;
        let path = format!("/zones/{zone}/dns_records?name={hostname}");
        match self.all::<Value>(&format!("the DNS records of {hostname}"), &path) {
            Err(_) if !self.is_api_token => Ok(None),
            found => Ok(Some(!found?.is_empty())),
        }
    }

    /// The routes of a zone, and its id.
    pub(crate) fn routes(&self, zone: &str) -> Outcome<(String, Vec<Route>)> {
        let id = self.zone(zone)?.ok_or_else(|| format!("this token sees no zone {zone}. {TOKENS}"))?;
        let routes = self.routes_in(zone, &id)?;
        Ok((id, routes))
    }

    pub(crate) fn remove_route(&self, zone: &str, route: &Route) -> Outcome {
        self.ask(&route.pattern, "DELETE", &format!("/zones/{zone}/workers/routes/{}", route.id), None).map(drop)
    }

    pub(crate) fn add_route(&self, zone: &str, pattern: &str, script: &str) -> Outcome {
        let body = json!({ "pattern": pattern, "script": script });
        self.ask(pattern, "POST", &format!("/zones/{zone}/workers/routes"), Some(&body)).map(drop)
    }
}

/// The token of a person who has logged in with wrangler.
fn token_of_wrangler() -> Outcome<String> {
    let said = output(&mut wrangler::command_alone(&["auth", "token", "--json"])?);
    let said = said.ok().and_then(|said| serde_json::from_str::<Value>(said.get(said.find('{')?..)?).ok());
    let token = said.and_then(|said| said["token"].as_str().map(str::to_owned));
    token
        .ok_or(format!("no token: set CLOUDFLARE_API_TOKEN, or log in: cd host-worker && npx wrangler login. {TOKENS}"))
}

fn agent() -> Agent {
    let trusted = rustls_native_certs::load_native_certs().certs;
    let trusted: Vec<_> = trusted.iter().map(|one| Certificate::from_der(one).to_owned()).collect();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(trusted)))
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(PATIENCE))
        .user_agent(concat!("seat-booking-release/", env!("CARGO_PKG_VERSION")))
        .build();
    config.into()
}
