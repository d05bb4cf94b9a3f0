//! What a checkout asks its host to do, and how that ended.
//!
//! An [`Effect`] may be performed twice, so each is named for ever by its [`Op`]; an [`Outcome`] is recorded once.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::checkout::Contact;
use crate::ids::{CheckoutId, PaymentId, PaymentKey, TicketId, UserId};
use crate::inventory::{Line, LineAnswer, LineCommand};
use crate::money::Money;
use crate::payment::{AuthorizeAnswer, CaptureAnswer, Payment, PaymentAnswer, VoidAnswer};
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
///
/// ```
/// use booking_core::effect::{Effect, Outcome};
/// use booking_core::payment::{Payment, PaymentAnswer};
///
/// /// How a host performs one that goes to the gateway; the others are about a map, a wait and a message.
/// fn ask_the_gateway(effect: &Effect, pay: impl FnOnce(&Payment) -> PaymentAnswer) -> Option<Outcome> {
///     match effect {
///         Effect::Pay(payment) => Some(Outcome::Paid(pay(payment))),
///         Effect::Line(..) | Effect::Sleep(_) | Effect::Notify(_) => None,
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// Ask an inventory about a line of the order and await its answer, retrying until there is one.
    Line(Line, LineCommand),
    /// Ask the gateway.
    Pay(Payment),
    /// Wait durably: a crash does not start the wait anew.
    Sleep(Millis),
    /// Hand a message over durably. It is delivered later, by the host's own retries.
    Notify(Notification),
}

/// How an effect ended; of the kind of the effect.
///
/// It is stored before it counts, and read back after a crash as it was:
///
/// ```
/// use booking_core::effect::Outcome;
/// use booking_core::format::{read_json, write_json};
/// use booking_core::time::Timestamp;
///
/// let slept = Outcome::Slept { at: Timestamp::from_millis(1_700_000_000_000) };
/// assert_eq!(read_json::<Outcome>(&write_json(&slept)), Some(slept));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "StoredOutcome", into = "StoredOutcome")]
pub enum Outcome {
    /// The inventory accepted, or refused.
    Line(LineAnswer),
    /// What the gateway answered.
    Paid(PaymentAnswer),
    /// The wait is over.
    Slept {
        /// When it was. After its start a checkout learns the time from here alone; it is journaled like any outcome.
        at: Timestamp,
    },
    /// The message will be delivered.
    Notified,
}

/// An outcome as a journal has it. Each answer of the gateway has a name of its own there.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum StoredOutcome {
    #[serde(with = "accepted_or_refused")]
    Line(LineAnswer),
    Authorized(AuthorizeAnswer),
    Captured(CaptureAnswer),
    Voided(VoidAnswer),
    Slept {
        at: Timestamp,
    },
    Notified,
}

impl From<StoredOutcome> for Outcome {
    fn from(stored: StoredOutcome) -> Self {
        match stored {
            StoredOutcome::Line(answer) => Self::Line(answer),
            StoredOutcome::Authorized(answer) => Self::Paid(PaymentAnswer::Authorize(answer)),
            StoredOutcome::Captured(answer) => Self::Paid(PaymentAnswer::Capture(answer)),
            StoredOutcome::Voided(answer) => Self::Paid(PaymentAnswer::Void(answer)),
            StoredOutcome::Slept { at } => Self::Slept { at },
            StoredOutcome::Notified => Self::Notified,
        }
    }
}

impl From<Outcome> for StoredOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Line(answer) => Self::Line(answer),
            Outcome::Paid(PaymentAnswer::Authorize(answer)) => Self::Authorized(answer),
            Outcome::Paid(PaymentAnswer::Capture(answer)) => Self::Captured(answer),
            Outcome::Paid(PaymentAnswer::Void(answer)) => Self::Voided(answer),
            Outcome::Slept { at } => Self::Slept { at },
            Outcome::Notified => Self::Notified,
        }
    }
}

/// The message to the buyer that the booking is done. Delivered at least once; copies carry the same key.
///
/// ```
/// use booking_core::effect::Notification;
/// use booking_core::wire::gateway;
///
/// /// What a host sends to the notifier, under a key by which that tells copies apart.
/// fn to_send(message: &Notification) -> (String, String) {
///     let request = gateway::notification(message);
///     (request.key.as_str().to_owned(), request.body)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// By this the receiver tells copies apart.
    pub key: PaymentKey,
    /// The checkout.
    pub checkout: CheckoutId,
    /// The buyer.
    pub user: UserId,
    /// How the buyer can be reached, if they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
    /// What was bought.
    pub tickets: Vec<TicketId>,
    /// For how much.
    pub amount: Money,
    /// The gateway's name for the payment; `None` where there was nothing to pay.
    pub payment: Option<PaymentId>,
}

/// An inventory's answer is stored as `{"accepted": …}` or `{"refused": …}`.
mod accepted_or_refused {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::inventory::{LineAnswer, LineReply};
    use crate::map::SeatMapRefusal;

    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    enum Written<'a> {
        Accepted(&'a LineReply),
        Refused(&'a SeatMapRefusal),
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    enum Read {
        Accepted(LineReply),
        Refused(SeatMapRefusal),
    }

    pub(super) fn serialize<S: Serializer>(outcome: &LineAnswer, serializer: S) -> Result<S::Ok, S::Error> {
        match outcome {
            Ok(reply) => Written::Accepted(reply),
            Err(refusal) => Written::Refused(refusal),
        }
        .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LineAnswer, D::Error> {
        Ok(match Read::deserialize(deserializer)? {
            Read::Accepted(reply) => Ok(reply),
            Read::Refused(refusal) => Err(refusal),
        })
    }
}
