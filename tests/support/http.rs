//! Asking over HTTP, and what came back.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{HeaderMap, Method, Request};

/// Asks.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    token: Option<String>,
    agent: Agent,
    dialect: Dialect,
    kinds: Arc<Mutex<BTreeSet<String>>>,
}

/// How what is asked is put, and how what comes back is to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// As the specification has it.
    #[default]
    Plain,
    /// As Restate's ingress has it: a checkout is asked for by its invocation, and an error has its kind at the end of
    /// its message.
    Restate,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Got {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub bytes: Vec<u8>,
    /// The same as a text.
    pub text: String,
    /// The body as JSON, or null.
    pub body: Value,
}

impl Client {
    /// Asks at this address.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let config = Agent::config_builder()
            // workerd closes a connection that nobody has used for five seconds.
            .max_idle_age(Duration::from_secs(3))
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .timeout_global(Some(crate::PATIENCE))
            .build();
        let base = base.trim_end_matches('/').to_owned();
        Self { base, token: None, agent: config.into(), dialect: Dialect::Plain, kinds: Arc::default() }
    }

    /// The same, in another dialect.
    #[must_use]
    pub fn speaking(&self, dialect: Dialect) -> Self {
        Self { dialect, ..self.clone() }
    }

    /// Every kind of error that this client, and those made from it, were ever answered.
    #[must_use]
    pub fn kinds(&self) -> BTreeSet<String> {
        self.kinds.lock().unwrap().clone()
    }

    /// The same at another address. What it is answered is remembered with the rest.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), ..self.clone() }
    }

    /// The same, with a token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The address.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The same, over connections of its own.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { token: self.token.clone(), dialect: self.dialect, ..Self::new(&self.base) }
    }

    /// Asks with these headers and these bytes.
    ///
    /// # Panics
    /// When nothing comes back: then there is nothing to test.
    #[must_use]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Got {
        self.try_send(method, path, headers, body).unwrap_or_else(|error| panic!("{method} {path}: no answer: {error}"))
    }

    /// As [`Client::send`], where nothing may come back.
    ///
    /// # Errors
    /// Why nothing has.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Got, ureq::Error> {
        let checkout = path.strip_prefix("/Checkout/").filter(|id| !id.contains('/') && *id != "process");
        let checkout = checkout.filter(|_| self.dialect == Dialect::Restate);
        let path = checkout.map_or_else(|| path.to_owned(), |id| format!("/restate/invocation/{id}/output"));
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let answer = if body.is_empty() && method != "POST" {
            self.agent.run(request.body(()).unwrap())
        } else {
            let is_json = !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
            let request = if is_json { request.header("Content-Type", "application/json") } else { request };
            self.agent.run(request.body(body).unwrap())
        };
        let (parts, body) = answer?.into_parts();
        let mut bytes = Vec::new();
        body.into_reader().read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = serde_json::from_str(&text).unwrap_or_default();
        let mut got = Got { status: parts.status.as_u16(), headers: parts.headers, bytes, text, body };
        if self.dialect == Dialect::Restate {
            got.translate(checkout);
        }
        if got.status >= 400 {
            self.kinds.lock().unwrap().insert(got.kind().to_owned());
        }
        Ok(got)
    }

    /// `GET`.
    #[must_use]
    pub fn get(&self, path: &str) -> Got {
        self.send("GET", path, &[], b"")
    }

    /// `POST` of some JSON.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Got {
        self.send("POST", path, &[], body.to_string().as_bytes())
    }

    /// `POST` with no body at all.
    #[must_use]
    pub fn post_nothing(&self, path: &str) -> Got {
        self.send("POST", path, &[], b"")
    }

    /// `POST` of some JSON under an idempotency key.
    #[must_use]
    pub fn post_keyed(&self, path: &str, key: &str, body: &Value) -> Got {
        self.send("POST", path, &[("Idempotency-Key", key)], body.to_string().as_bytes())
    }
}

impl Got {
    /// Puts what Restate's ingress said as the specification has it; `checkout` is what was asked for, if it was one.
    fn translate(&mut self, checkout: Option<&str>) {
        let Value::Object(fields) = &mut self.body else { return };
        fields.remove("source");
        let message = fields.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some((message, kind)) = message.strip_suffix(']').and_then(|text| text.rsplit_once(" [")) {
            let (message, details) = detailed(message).unwrap_or((message, Vec::new()));
            fields.extend(details.into_iter().map(|(name, value)| (name.to_owned(), value)));
            fields.insert("message".into(), message.into());
            fields.insert("kind".into(), kind.into());
        }
        if let Some(id) = fields.get("invocationId").cloned() {
            self.body = json!({ "checkoutId": id, "status": "PENDING" });
        } else if let Some(id) = checkout {
            if self.status == 470 {
                self.body = json!({ "checkoutId": id, "status": "PENDING" });
                self.status = 200;
            } else if fields.contains_key("kind") {
                fields.insert("checkoutId".into(), id.into());
                fields.insert("status".into(), "FAILED".into());
                self.status = 200;
            }
        }
        self.text = self.body.to_string();
    }

    /// The ticket that is in the way, and when its hold ends, as far as that is said.
    #[must_use]
    pub fn in_the_way(&self) -> (Option<String>, Option<u64>) {
        (self.body["ticketId"].as_str().map(str::to_owned), self.body["reservedUntil"].as_u64())
    }

    /// The name of the kind of error, or nothing.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.body["kind"].as_str().unwrap_or_default()
    }

    /// A field that is a text.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn text(&self, field: &str) -> String {
        let text = self.body[field].as_str();
        text.unwrap_or_else(|| panic!("no `{field}` in {}", self.text)).to_owned()
    }
}

/// What stands in brackets behind a message: fields, each with its value. `None` where there are none.
fn detailed(text: &str) -> Option<(&str, Vec<(&'static str, Value)>)> {
    let (message, details) = text.strip_suffix(')')?.rsplit_once(" (")?;
    let number = |text: &str| text.parse::<u64>().ok().map(Value::from);
    let field = |detail: &str| {
        let (ticket, until) = (detail.strip_prefix("ticket "), detail.strip_prefix("reserved until "));
        let ticket = ticket.map(|ticket| ("ticketId", Value::from(ticket)));
        let until = until.and_then(number).map(|until| ("reservedUntil", until));
        let version = detail.strip_prefix("version ").and_then(number).map(|version| ("version", version));
        let money = detail.strip_prefix("money ").map(|money| ("money", Value::from(money)));
        ticket.or(until).or(version).or(money)
    };
    Some((message, details.split(", ").map(field).collect::<Option<_>>()?))
}
