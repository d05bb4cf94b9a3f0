//! What an endpoint has: told to Restate when it is registered.

use std::time::Duration;

use serde::Serialize;

/// What kind of service it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Handlers without a state.
    Service,
    /// A state for each key; see [`Access`].
    Object,
}

/// Whether a handler of an object has it for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// One at a time for each key. May write.
    Exclusive,
    /// Beside others. Only reads.
    Shared,
}

/// What is done when the attempts are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// It is left as it is, for an operator to resume.
    Pause,
    /// It ends.
    Kill,
}

/// How an invocation is tried again that fails without an end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retries {
    /// The first wait.
    pub first: Duration,
    /// What each further one is longer by.
    pub factor: f32,
    /// The longest wait.
    pub cap: Duration,
    /// How often in all.
    pub attempts: u64,
    /// And then.
    pub then: GiveUp,
}

/// A service or an object.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its handlers.
    pub handlers: Vec<Handler>,
    /// How long what is sent under an idempotency key is remembered.
    pub idempotency_retention: Option<Duration>,
    /// How long a journal is kept after its end.
    pub journal_retention: Option<Duration>,
    /// How its invocations are tried again; the server's own way where nothing is said.
    pub retries: Option<Retries>,
}

/// A handler.
#[derive(Clone, Debug)]
pub struct Handler {
    /// Its name.
    pub name: &'static str,
    /// Of an object's: whether it has the object for itself.
    pub access: Access,
    /// Whether only other handlers may call it.
    pub is_private: bool,
    /// How it is tried again, if not like the others of its service.
    pub retries: Option<Retries>,
}

impl Handler {
    /// A handler that everybody may call.
    #[must_use]
    pub fn new(name: &'static str, access: Access) -> Self {
        Self { name, access, is_private: false, retries: None }
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
    if handlers.any(|handler| handler.is_private) || services.iter().any(keeps) { 3 } else { 2 }
}

/// The manifest in the newest version that is accepted: its content type and its JSON. `None` where none is that can say
/// all of this.
pub(crate) fn manifest(services: &[Service], accept: Option<&str>) -> Option<(String, String)> {
    let is_accepted = |version: &u32| accept.is_some_and(|accept| accept.contains(&content_type(*version)));
    let version = match accept {
        None => oldest(services),
        Some(_) => (oldest(services)..=NEWEST).rev().find(is_accepted)?,
    };
    let manifest = Manifest {
        protocol_mode: "REQUEST_RESPONSE",
        min_protocol_version: 5,
        max_protocol_version: 7,
        services: services.iter().map(Service::described).collect(),
    };
    Some((content_type(version), serde_json::to_string(&manifest).ok()?))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    protocol_mode: &'static str,
    min_protocol_version: u32,
    max_protocol_version: u32,
    services: Vec<Described>,
}

/// A service or a handler. What is not there is not said, so that an older version of the manifest is one too.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ty: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handlers: Option<Vec<Described>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_retention: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    journal_retention: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ingress_private: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_policy_initial_interval: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_policy_exponentiation_factor: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_policy_max_interval: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_policy_max_attempts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_policy_on_max_attempts: Option<&'static str>,
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

impl Service {
    fn described(&self) -> Described {
        let described = Described {
            name: self.name,
            ty: Some(match self.kind {
                Kind::Service => "SERVICE",
                Kind::Object => "VIRTUAL_OBJECT",
            }),
            handlers: Some(self.handlers.iter().map(|handler| handler.described(self.kind)).collect()),
            idempotency_retention: self.idempotency_retention.map(millis),
            journal_retention: self.journal_retention.map(millis),
            ..Described::default()
        };
        described.tried_again(self.retries)
    }
}

impl Handler {
    fn described(&self, of: Kind) -> Described {
        let described = Described {
            name: self.name,
            ty: match (of, self.access) {
                (Kind::Service, _) => None,
                (Kind::Object, Access::Exclusive) => Some("EXCLUSIVE"),
                (Kind::Object, Access::Shared) => Some("SHARED"),
            },
            ingress_private: self.is_private.then_some(true),
            ..Described::default()
        };
        described.tried_again(self.retries)
    }
}

impl Described {
    fn tried_again(self, retries: Option<Retries>) -> Self {
        let Some(retries) = retries else { return self };
        Self {
            retry_policy_initial_interval: Some(millis(retries.first)),
            retry_policy_exponentiation_factor: Some(retries.factor),
            retry_policy_max_interval: Some(millis(retries.cap)),
            retry_policy_max_attempts: Some(retries.attempts),
            retry_policy_on_max_attempts: Some(match retries.then {
                GiveUp::Pause => "PAUSE",
                GiveUp::Kill => "KILL",
            }),
            ..self
        }
    }
}
