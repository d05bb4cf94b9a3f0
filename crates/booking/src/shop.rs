//! A deployment, as those who ask it over HTTP know it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustls::crypto::ring;
use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderName, HeaderValue, Request, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// How long an answer may take. A server works on, and says 202, after 30 seconds.
const PATIENCE: Duration = Duration::from_secs(40);

/// The header of `/health` that tells which version of a Worker answers.
const VERSION: &str = "booking-version";

/// Which deployment, and what its doors ask for.
#[derive(Args, Clone)]
pub(crate) struct ShopFlags {
    /// Where it answers: a server, a Worker, or the ingress of a Restate server
    url: String,
    /// The token that buyers need, if they do. A list of processes shows a flag: the environment or --env-file is better
    #[arg(long, env = "BOOKING_AUTH_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The token of an operator
    #[arg(long, env = "BOOKING_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    /// The token of a Restate server's ingress.
    #[arg(long, env = "RESTATE_AUTH_TOKEN", hide = true, hide_env_values = true)]
    restate_token: Option<String>,
    /// A header that is sent with every request, such as the one that picks a version of a Worker
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// A file of lines NAME=VALUE, with BOOKING_AUTH_TOKEN (or RESTATE_AUTH_TOKEN) and BOOKING_ADMIN_TOKEN [default: .env, if it is there]
    #[arg(long)]
    env_file: Option<PathBuf>,
}

/// What asks there.
#[derive(Clone)]
pub(crate) struct Shop {
    /// The address, without a slash at its end.
    pub(crate) url: String,
    /// What answers there.
    pub(crate) engine: Engine,
    pub(crate) token: Option<String>,
    admin_token: Option<String>,
    /// What is sent with every request.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    agent: Agent,
}

/// What answers at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// A host of ours: it has health, a description of itself, and watchers.
    Host,
    /// The ingress of a Restate server: handlers, and nothing else.
    Restate,
}

/// At which door something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Public,
    Admin,
}

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Which error it is, from the specification's list; empty where there is none.
    pub(crate) kind: String,
    pub(crate) body: Value,
    /// Which version of a Worker it was that answered, where that tells.
    pub(crate) version: Option<String>,
}

impl Answer {
    /// The status, and what the answer says of itself, in few words.
    pub(crate) fn short(&self) -> String {
        let message = self.body["message"].as_str().unwrap_or_default();
        let message: String = message.chars().filter(|c| !c.is_control()).take(200).collect();
        match (self.kind.as_str(), message.as_str()) {
            ("", "") => self.status.to_string(),
            ("", message) => format!("{} {message}", self.status),
            (kind, message) => format!("{} {kind}: {message}", self.status),
        }
    }
}

impl ShopFlags {
    /// Finds out what answers there.
    ///
    /// # Errors
    /// A flag that cannot be used, or nothing of ours answers.
    pub(crate) fn open(self) -> Result<Shop, String> {
        let url = self.url.trim_end_matches('/').to_owned();
        let is_one = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        // What is refused is not shown: there may be a password in it, or a token.
        if url.contains(['@', '?', '#']) || !url.parse().is_ok_and(|uri| is_one(&uri)) {
            return Err(
                "URL is no address such as https://tickets.example: http or https, no user, no query".to_owned()
            );
        }
        let file = named_in(self.env_file.as_deref())?;
        let or_in_file = |flag: Option<String>, name: &str| flag.or_else(|| file.get(name).cloned());
        let token = or_in_file(self.token, "BOOKING_AUTH_TOKEN");
        let headers = self.headers.iter().map(|one| header(one)).collect::<Result<_, _>>()?;
        let shop = Shop { url, engine: Engine::Host, token: None, admin_token: None, headers, agent: agent() };
        let health = shop.get("/health")?;
        if health.status == 200 {
            let admin_token = or_in_file(self.admin_token, "BOOKING_ADMIN_TOKEN");
            return Ok(Shop { token, admin_token, ..shop });
        }
        // An ingress knows one kind of token, and no operators.
        let token = or_in_file(self.restate_token, "RESTATE_AUTH_TOKEN").or(token);
        let ingress = Shop { engine: Engine::Restate, token, ..shop };
        if matches!(ingress.get("/restate/health"), Ok(Answer { status: 200, .. })) {
            return Ok(ingress);
        }
        Err(ingress.is_no_shop(&health))
    }
}

/// A header, as a flag has it. What is wrong with one is not shown: it may be a token.
fn header(flag: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = flag.split_once(':').and_then(|(name, value)| {
        Some((HeaderName::try_from(name.trim()).ok()?, HeaderValue::try_from(value.trim()).ok()?))
    });
    parsed.ok_or_else(|| "a header is NAME: VALUE".to_owned())
}

/// What a file names.
fn named_in(file: Option<&Path>) -> Result<HashMap<String, String>, String> {
    let (path, has_to_be) = file.map_or((Path::new(".env"), false), |file| (file, true));
    match dotenvy::from_path_iter(path) {
        // A line that is wrong would be shown with what stands in it.
        Ok(lines) => {
            lines.collect::<Result<_, _>>().map_err(|_| format!("{}: a line is not NAME=VALUE", path.display()))
        }
        Err(dotenvy::Error::Io(why)) if !has_to_be && why.kind() == std::io::ErrorKind::NotFound => Ok(HashMap::new()),
        Err(why) => Err(format!("{}: {why}", path.display())),
    }
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
        // Workers close a connection that has not been used for five seconds.
        .max_idle_age(Duration::from_secs(3))
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(PATIENCE))
        .user_agent(concat!("booking/", env!("CARGO_PKG_VERSION")))
        .build();
    config.into()
}

impl Shop {
    /// The same shop, over a connection of its own.
    pub(crate) fn another(&self) -> Self {
        Self { agent: Agent::new_with_config(self.agent.config().clone()), ..self.clone() }
    }

    /// Whether there is a token for what operators do. At an ingress none is needed: what is open there, is open to all.
    pub(crate) fn has_operator(&self) -> bool {
        self.admin_token.is_some() || self.engine == Engine::Restate
    }

    fn is_no_shop(&self, health: &Answer) -> String {
        match health.status {
            403 => format!("{}: 403. A bot protection answers programs so", self.url),
            503 => format!("{}/health says that it cannot serve: {}", self.url, health.short()),
            _ => format!(
                "{}: neither /health nor /restate/health is answered as a shop does: {}",
                self.url,
                health.short()
            ),
        }
    }

    /// # Errors
    /// No answer.
    pub(crate) fn get(&self, path: &str) -> Result<Answer, String> {
        self.ask("GET", path, Door::Public, Vec::new())
    }

    /// # Errors
    /// No answer.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Answer, String> {
        self.ask("POST", path, Door::Public, body.to_string().into_bytes())
    }

    /// # Errors
    /// No answer.
    pub(crate) fn operate(&self, path: &str, body: &Value) -> Result<Answer, String> {
        self.ask("POST", path, Door::Admin, body.to_string().into_bytes())
    }

    fn ask(&self, method: &str, path: &str, door: Door, body: Vec<u8>) -> Result<Answer, String> {
        let no_answer = |why: &dyn std::fmt::Display| format!("{method} {}{path}: no answer: {why}", self.url);
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let operator = self.admin_token.as_ref().filter(|_| door == Door::Admin);
        if let Some(token) = operator.or(self.token.as_ref()) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = if method == "GET" {
            request.body(()).map(|request| self.agent.run(request))
        } else {
            request.header("content-type", "application/json").body(body).map(|request| self.agent.run(request))
        };
        let mut answer = answer.map_err(|why| no_answer(&why))?.map_err(|why| no_answer(&why))?;
        let version = answer.headers().get(VERSION).and_then(|version| version.to_str().ok()).map(str::to_owned);
        let text = answer.body_mut().read_to_string().map_err(|why| no_answer(&why))?;
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        let kind = body["kind"].as_str().map(str::to_owned).or_else(|| kind_in(&body)).unwrap_or_default();
        Ok(Answer { status: answer.status().as_u16(), kind, body, version })
    }
}

/// The kind at the end of a message of Restate's: `… [TicketSold]`.
fn kind_in(body: &Value) -> Option<String> {
    let (_, kind) = body["message"].as_str()?.strip_suffix(']')?.rsplit_once('[')?;
    Some(kind.to_owned())
}
