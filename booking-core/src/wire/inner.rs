//! What the core's own messages look like between objects that talk over HTTP or an ingress.
//!
//! [`super::parse_call`] with [`super::Door::Inner`] reads them back, [`read_ticket`] reads a ticket's answer.

use serde::{Deserialize, Serialize};

use super::kind::Kind;
use crate::ids::{CheckoutId, HoldId, TicketId, UserId};
use crate::json;
use crate::money::Money;
use crate::seat_map::Errand;
use crate::ticket::{TicketCommand, TicketRefusal, TicketReply, TicketStatus};
use crate::time::Timestamp;

/// A message: the handler it goes to, and its JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The name of the handler.
    pub handler: &'static str,
    /// The JSON.
    pub body: String,
}

fn message(handler: &'static str, body: &impl Serialize) -> Message {
    Message { handler, body: serde_json::to_string(body).expect("string keys, and a String takes everything") }
}

/// A command that a checkout, a timer or a map sends to a ticket; `None` for those that only come from outside.
#[must_use]
pub fn to_ticket(command: &TicketCommand) -> Option<Message> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Claim<'a> {
        user_id: &'a UserId,
        hold_id: &'a HoldId,
        checkout: &'a CheckoutId,
        deadline: Timestamp,
        unlisted_price: Option<Money>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Confirm<'a> {
        hold_id: &'a HoldId,
        checkout: &'a CheckoutId,
        fence: u64,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Revoke<'a> {
        hold_id: &'a HoldId,
        checkout: &'a CheckoutId,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Expire<'a> {
        hold_id: &'a HoldId,
        until: Timestamp,
    }
    #[derive(Serialize)]
    struct List {
        price: Money,
        edition: Option<u64>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Reset {
        up_to: u64,
    }
    Some(match command {
        TicketCommand::Claim { user: user_id, hold: hold_id, checkout, deadline, unlisted } => {
            message("claim", &Claim { user_id, hold_id, checkout, deadline: *deadline, unlisted_price: *unlisted })
        }
        TicketCommand::Confirm { hold: hold_id, checkout, fence } => {
            message("confirm", &Confirm { hold_id, checkout, fence: *fence })
        }
        TicketCommand::Revoke { hold: hold_id, checkout } => message("revoke", &Revoke { hold_id, checkout }),
        TicketCommand::Expire { hold: hold_id, until } => message("expire", &Expire { hold_id, until: *until }),
        TicketCommand::List { price, edition } => message("list", &List { price: *price, edition: *edition }),
        TicketCommand::Reset { up_to } => message("reset", &Reset { up_to: *up_to }),
        TicketCommand::Reserve { .. }
        | TicketCommand::Release { .. }
        | TicketCommand::Block { .. }
        | TicketCommand::Unblock
        | TicketCommand::Sell { .. }
        | TicketCommand::Cleanup => return None,
    })
}

/// What a ticket tells its map (`set`).
#[must_use]
pub fn set(ticket_id: &TicketId, status: TicketStatus, version: u64) -> Message {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Set<'a> {
        ticket_id: &'a TicketId,
        status: TicketStatus,
        version: u64,
    }
    message("set", &Set { ticket_id, status, version })
}

/// What a map sends itself to go on with an errand (`continue`).
#[must_use]
pub fn go_on(errand: &Errand) -> Message {
    #[derive(Serialize)]
    struct List {
        errand: &'static str,
        edition: u64,
        done: u64,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Reset<'a> {
        errand: &'static str,
        as_of: u64,
        after: &'a TicketId,
    }
    match errand {
        Errand::List { edition, done } => message("continue", &List { errand: "list", edition: *edition, done: *done }),
        Errand::Reset { as_of, after } => message("continue", &Reset { errand: "reset", as_of: *as_of, after }),
    }
}

/// What a ticket answered to one of the core's messages, from the body alone. `None` is no answer of a ticket's: an
/// overloaded host, a broken connection. The message is then sent again.
#[must_use]
pub fn read_ticket(body: &[u8]) -> Option<Result<TicketReply, TicketRefusal>> {
    #[derive(Deserialize)]
    struct Said {
        ok: Option<bool>,
        fence: Option<u64>,
        price: Option<Money>,
        kind: Option<String>,
    }
    let said: Said = json::read(body)?;
    match said {
        Said { kind: Some(kind), .. } => Kind::named(&kind).and_then(Kind::of_ticket).map(Err),
        Said { fence: Some(fence), price: Some(price), .. } => Some(Ok(TicketReply::Claimed { fence, price })),
        Said { ok: Some(true), .. } => Some(Ok(TicketReply::Done)),
        Said { .. } => None,
    }
}
