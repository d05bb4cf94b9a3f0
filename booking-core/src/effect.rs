//! What a checkout asks its host to do, and how that ended.
//!
//! An [`Effect`] may be performed twice, so each is named for ever by its [`Op`]; an [`Outcome`] is recorded once.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{CheckoutId, PaymentId, PaymentKey, TicketId, UserId};
use crate::money::Money;
use crate::payment::{Authorize, AuthorizeAnswer, Capture, CaptureAnswer, Void, VoidAnswer};
use crate::ticket::{TicketCommand, TicketRefusal, TicketReply};
use crate::time::{Millis, Timestamp};

/// The name of one effect: its place in the checkout's journal. The same on every replay, so it serves as an
/// idempotency key, a row's key, an entry's name. Shown as `checkout/step/index`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Op {
    /// Whose effect.
    pub checkout: CheckoutId,
    /// In which step, from 0.
    pub step: u32,
    /// Which of the step's effects, from 0.
    pub index: u8,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.checkout, self.step, self.index)
    }
}

/// The effects of one durable step, to be performed side by side. The step ends when each has an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which step, from 0.
    pub number: u32,
    /// What to do. Never empty.
    pub effects: Vec<(Op, Effect)>,
}

/// Work that the core asks a host to do, at least once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// Send a command to a ticket and await its answer, retrying until there is one.
    Ticket(TicketId, TicketCommand),
    /// Ask the gateway to set money aside.
    Authorize(Authorize),
    /// Ask the gateway to take it.
    Capture(Capture),
    /// Ask the gateway to let it go.
    Void(Void),
    /// Wait durably: a crash does not start the wait anew.
    Sleep(Millis),
    /// Hand a message over durably. It is delivered later, by the host's own retries.
    Notify(Notification),
}

impl Effect {
    /// Whether it is the gateway's to perform.
    #[must_use]
    pub fn is_payment(&self) -> bool {
        match self {
            Self::Authorize(_) | Self::Capture(_) | Self::Void(_) => true,
            Self::Ticket(..) | Self::Sleep(_) | Self::Notify(_) => false,
        }
    }
}

/// How an effect ended; of the kind of the effect.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The ticket accepted, or refused.
    #[serde(with = "accepted_or_refused")]
    Ticket(Result<TicketReply, TicketRefusal>),
    /// What the gateway answered to `authorize`.
    Authorized(AuthorizeAnswer),
    /// What the gateway answered to `capture`.
    Captured(CaptureAnswer),
    /// What the gateway answered to `void`.
    Voided(VoidAnswer),
    /// The wait is over.
    Slept {
        /// When it was. The only time a checkout is told after its start, and journaled like any outcome.
        at: Timestamp,
    },
    /// The message will be delivered.
    Notified,
}

/// The message to the buyer that the booking is done. Delivered at least once; copies carry the same key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// By this the receiver tells copies apart.
    pub key: PaymentKey,
    /// The checkout.
    pub checkout: CheckoutId,
    /// The buyer.
    pub user: UserId,
    /// What was bought.
    pub tickets: Vec<TicketId>,
    /// For how much.
    pub amount: Money,
    /// The gateway's name for the payment.
    pub payment: PaymentId,
}

/// A ticket's answer is stored as `{"accepted": …}` or `{"refused": …}`.
mod accepted_or_refused {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::ticket::{TicketRefusal, TicketReply};

    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    enum Written<'a> {
        Accepted(&'a TicketReply),
        Refused(&'a TicketRefusal),
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    enum Read {
        Accepted(TicketReply),
        Refused(TicketRefusal),
    }

    pub(super) fn serialize<S: Serializer>(
        outcome: &Result<TicketReply, TicketRefusal>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match outcome {
            Ok(reply) => Written::Accepted(reply),
            Err(refusal) => Written::Refused(refusal),
        }
        .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Result<TicketReply, TicketRefusal>, D::Error> {
        Ok(match Read::deserialize(deserializer)? {
            Read::Accepted(reply) => Ok(reply),
            Read::Refused(refusal) => Err(refusal),
        })
    }
}
