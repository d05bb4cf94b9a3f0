//! What operators did, for other operators.

use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::handler::Handler;
use super::kind::Kind;
use super::request::{Call, Operation, SeatMapCall, TicketCall};
use crate::time::Timestamp;

/// Something that an operator asked for, and what came of it; or what callers tried that they may not.
///
/// Nothing in it is secret: ids, names of tokens, and what an operator wrote down as a reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who: the name of a token, or what kind of token it was.
    pub who: String,
    /// What was asked for: a service and a handler, such as `Ticket/block`.
    pub asked: String,
    /// The seat, the map or the checkout that it was about; empty where it was about none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Why, as the operator wrote it; empty where the command takes no reason.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What came of it.
    pub outcome: AuditOutcome,
    /// How often: what happens often has one entry.
    pub times: u32,
}

/// What came of something that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// It was asked for; whether it was done is not known, or not yet.
    Unknown,
    /// It was refused, with this kind.
    Refused(String),
}

impl From<String> for AuditOutcome {
    fn from(text: String) -> Self {
        match text.as_str() {
            "done" => Self::Done,
            "unknown" => Self::Unknown,
            _ => Self::Refused(text),
        }
    }
}

impl From<AuditOutcome> for String {
    fn from(outcome: AuditOutcome) -> Self {
        match outcome {
            AuditOutcome::Done => "done".to_owned(),
            AuditOutcome::Unknown => "unknown".to_owned(),
            AuditOutcome::Refused(kind) => kind,
        }
    }
}

impl AuditEntry {
    /// That an operator asks for this.
    #[must_use]
    pub fn new(who: &str, handler: Handler, call: &Call, at: Timestamp) -> Self {
        Self {
            at,
            who: who.to_owned(),
            asked: asked(handler),
            about: call.about(),
            reason: call.reason().to_owned(),
            outcome: AuditOutcome::Unknown,
            times: 1,
        }
    }

    /// That callers were refused, this number of times. Nothing else is known of them.
    #[must_use]
    pub fn refusals(handler: Option<Handler>, kind: Kind, times: u32, at: Timestamp) -> Self {
        Self {
            at,
            who: "callers".to_owned(),
            asked: handler.map(asked).unwrap_or_default(),
            about: String::new(),
            reason: String::new(),
            outcome: AuditOutcome::Refused(kind.as_str().to_owned()),
            times,
        }
    }

    /// The same, with what it was answered.
    #[must_use]
    pub fn answered(mut self, answer: &Answer) -> Self {
        self.outcome = answer.kind.map_or(AuditOutcome::Done, |kind| AuditOutcome::Refused(kind.as_str().to_owned()));
        self
    }
}

fn asked(handler: Handler) -> String {
    match handler.labels() {
        (service, "") => service.to_owned(),
        (service, name) => format!("{service}/{name}"),
    }
}

impl Call {
    /// What it is about, for a log: a seat, a map, a checkout, or nothing of these.
    #[must_use]
    pub fn about(&self) -> String {
        match self {
            Self::Ticket(id, _) => id.to_string(),
            Self::SeatMap(key, _) | Self::Invite { map: key, .. } => key.to_string(),
            Self::Status(id) | Self::Operate(id, _) => id.to_string(),
            Self::Retry(id) => id.to_string(),
            // A buyer that was to be forgotten is not remembered here.
            Self::Erase { .. }
            | Self::Process(_)
            | Self::ProcessSend(_)
            | Self::Stuck(_)
            | Self::Bookings(_)
            | Self::BookingsCsv(_)
            | Self::Inbox(_)
            | Self::Audit(_)
            | Self::Gateway(_)
            | Self::Health => String::new(),
        }
    }

    /// Why an operator asks for it, as they wrote it; empty where the call takes no reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Ticket(_, TicketCall::Block { reason })
            | Self::SeatMap(_, SeatMapCall::Erase { reason, .. })
            | Self::Erase { reason, .. }
            | Self::Operate(
                _,
                Operation::Cancel { reason } | Operation::Resolve { reason, .. } | Operation::Erase { reason },
            ) => reason,
            Self::Ticket(..)
            | Self::SeatMap(..)
            | Self::Operate(_, Operation::Notify)
            | Self::Process(_)
            | Self::ProcessSend(_)
            | Self::Status(_)
            | Self::Stuck(_)
            | Self::Bookings(_)
            | Self::BookingsCsv(_)
            | Self::Inbox(_)
            | Self::Retry(_)
            | Self::Audit(_)
            | Self::Invite { .. }
            | Self::Gateway(_)
            | Self::Health => "",
        }
    }
}
