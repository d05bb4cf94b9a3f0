//! What an endpoint has: told to Restate when it is registered.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// What kind of service it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Kind {
    /// Handlers without a state.
    #[serde(rename = "SERVICE")]
    Service,
    /// A state for each key; see [`Access`].
    #[serde(rename = "VIRTUAL_OBJECT")]
    Object,
}

/// Whether a handler of an object has it for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Access {
    /// One at a time for each key. May write.
    Exclusive,
    /// Beside others. Only reads.
    Shared,
}

/// What is done when the attempts are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum GiveUp {
    /// It is left as it is, for an operator to resume.
    Pause,
    /// It ends.
    Kill,
}

/// How an invocation is tried again that fails without an end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Retries {
    /// The first wait.
    #[serde(rename = "retryPolicyInitialInterval", serialize_with = "millis")]
    pub first: Duration,
    /// What each further one is longer by.
    #[serde(rename = "retryPolicyExponentiationFactor")]
    pub factor: f32,
    /// The longest wait.
    #[serde(rename = "retryPolicyMaxInterval", serialize_with = "millis")]
    pub cap: Duration,
    /// How often in all.
    #[serde(rename = "retryPolicyMaxAttempts")]
    pub attempts: u64,
    /// And then.
    #[serde(rename = "retryPolicyOnMaxAttempts")]
    pub then: GiveUp,
}

/// A service or an object. As JSON it is what a manifest has of it; what is not there is not said, so that an older version
/// of the manifest is one too.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    #[serde(rename = "ty")]
    pub kind: Kind,
    /// Its handlers.
    pub handlers: Vec<Handler>,
    /// How long what is sent under an idempotency key is remembered.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_millis")]
    pub idempotency_retention: Option<Duration>,
    /// How long a journal is kept after its end.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_millis")]
    pub journal_retention: Option<Duration>,
    /// How its invocations are tried again; the server's own way where nothing is said.
    #[serde(flatten)]
    pub retries: Option<Retries>,
}

/// A handler.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Handler {
    /// Its name.
    pub name: &'static str,
    /// Whether it has its object for itself; `None` in a service.
    #[serde(rename = "ty", skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// Whether only other handlers may call it.
    #[serde(rename = "ingressPrivate", skip_serializing_if = "std::ops::Not::not")]
    pub is_private: bool,
    /// How it is tried again, if not like the others of its service.
    #[serde(flatten)]
    pub retries: Option<Retries>,
    /// How long its journal is kept after its end, if not like those of its service.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "maybe_millis")]
    pub journal_retention: Option<Duration>,
    /// What it takes; `None` says nothing of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
    /// What it answers; `None` says nothing of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
}

/// What goes in.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// A media type, or a range of these.
    pub content_type: &'static str,
    /// Its JSON Schema. Where there is one, the server takes no request without a body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<serde_json::Value>,
    /// Whether there has to be a body.
    pub required: bool,
}

/// What comes out.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Its media type.
    pub content_type: &'static str,
    /// Its JSON Schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_schema: Option<serde_json::Value>,
    /// Whether an empty answer has that type.
    pub set_content_type_if_empty: bool,
}

impl Handler {
    /// A handler that everybody may call.
    #[must_use]
    pub fn new(name: &'static str, access: Option<Access>) -> Self {
        Self { name, access, is_private: false, retries: None, journal_retention: None, input: None, output: None }
    }
}

/// The newest version of the manifest that is known here.
const NEWEST: u32 = 4;

fn content_type(version: u32) -> String {
    format!("application/vnd.restate.endpointmanifest.v{version}+json")
}

/// The oldest version that can say all of this. An older one would leave out that a handler is private, or that an
/// invocation is never given up.
fn oldest(services: &[Service]) -> u32 {
    let mut handlers = services.iter().flat_map(|service| &service.handlers);
    let has_retries = services.iter().any(|service| service.retries.is_some());
    if has_retries || handlers.clone().any(|handler| handler.retries.is_some()) {
        return 4;
    }
    let keeps = |service: &Service| service.idempotency_retention.is_some() || service.journal_retention.is_some();
    if handlers.any(|handler| handler.is_private || handler.journal_retention.is_some()) || services.iter().any(keeps) {
        3
    } else {
        2
    }
}

/// The manifest in the newest version that is accepted: its content type and its JSON. `None` where none is that can say
/// all of this.
pub(crate) fn manifest(services: &[Service], accept: Option<&str>) -> Option<(String, String)> {
    let is_accepted = |version: &u32| accept.is_some_and(|accept| accept.contains(&content_type(*version)));
    let version = match accept {
        None => oldest(services),
        Some(_) => (oldest(services)..=NEWEST).rev().find(is_accepted)?,
    };
    let manifest =
        Manifest { protocol_mode: "REQUEST_RESPONSE", min_protocol_version: 5, max_protocol_version: 7, services };
    Some((content_type(version), serde_json::to_string(&manifest).ok()?))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    protocol_mode: &'static str,
    min_protocol_version: u32,
    max_protocol_version: u32,
    services: &'a [Service],
}

fn millis<S: Serializer>(length: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(length.as_millis()).unwrap_or(u64::MAX))
}

fn maybe_millis<S: Serializer>(length: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match length {
        Some(length) => millis(length, serializer),
        None => serializer.serialize_none(),
    }
}
