//! What a map and its watchers say to each other over the WebSocket `GET /SeatMap/{mapKey}/watch`: one JSON message a
//! frame.
//!
//! A watcher first gets a snapshot; then deltas, each one map version after the last. A delta has all seats of its change.
//! Each new layout brings a snapshot, too.
//!
//! A snapshot tells the edition of the layout and has one [`letter`] for each of its seats, in the layout's order.
//! A watcher asks for the layout itself with `GET /SeatMap/{mapKey}/plan`, when it sees an edition that it does not know.
//! A map without a layout has no order: its snapshot names the seats that it has heard of.
//!
//! A watcher that sees a gap asks for a snapshot. One that wants to know whether
//! the connection still stands sends [`PING`], and the host answers [`PONG`]: a browser can send no ping of the protocol's
//! own. A host may send a watcher away that has said nothing for two minutes.
//!
//! A host that stops, or is replaced by a new build, loses all its watchers at once. If they all came back at once, the
//! last would be let in long after they had given up. So a host with many watchers tells them a [`spread`], with a snapshot, and with
//! a delta when it has changed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::answer::{Shown, shown};
use super::kind::Refusal;
use super::request;
use crate::map::ticket::TicketStatus;
use crate::map::{Delta, Picture};
use crate::time::Millis;

/// The WebSocket subprotocol that is spoken. A watcher offers it; the host answers with it.
pub const PROTOCOL: &str = "booking.watch.v1";

/// A watcher that needs a token offers a second subprotocol, this with the token behind it: a browser can set no other
/// header, and a URL is no place for a token. The host never answers with it.
pub const TOKEN_PROTOCOL: &str = "booking.token.";

/// What a watcher sends to get [`PONG`] back; every 30 s is a good measure.
pub const PING: &str = r#"{"type":"ping"}"#;

/// The answer to [`PING`].
pub const PONG: &str = r#"{"type":"pong"}"#;

fn text(message: &impl Serialize) -> String {
    serde_json::to_string(message).expect("string keys, and a String takes everything")
}

/// What a seat's status is in a snapshot: the first letter of its name.
#[must_use]
pub const fn letter(status: TicketStatus) -> char {
    match status {
        TicketStatus::Available => 'A',
        TicketStatus::Reserved => 'R',
        TicketStatus::Sold => 'S',
        TicketStatus::Blocked => 'B',
    }
}

/// The status that a [`letter`] stands for.
#[must_use]
pub fn status(of: char) -> Option<TicketStatus> {
    use TicketStatus::{Available, Blocked, Reserved, Sold};
    [Available, Reserved, Sold, Blocked].into_iter().find(|status| letter(*status) == of)
}

/// Within what time the watchers of a host come back when it loses them all, each at a moment of its own by chance. It is
/// the time that the host takes to let them all in, where each takes `each`: for at most 30 s. A few come back as they like.
#[must_use]
pub fn spread(watchers: usize, each: Duration) -> Millis {
    // In steps: a host makes one text for many watchers.
    let watchers = u32::try_from(watchers.next_power_of_two()).unwrap_or(u32::MAX);
    let length = u64::try_from(each.saturating_mul(watchers).as_millis()).unwrap_or(u64::MAX);
    if length < FEW.0 { Millis(0) } else { Millis(length.min(LONGEST_SPREAD.0)) }
}

/// So few watchers that they need not wait for one another: those of a host that lets them all in within this time.
const FEW: Millis = Millis(500);

/// After so long a time a buyer would think that nothing works.
const LONGEST_SPREAD: Millis = Millis::from_secs(30);

/// With a layout `{ "type": "snapshot", "version", "edition", "seats": "AARS…" }`, without one
/// `{ "type": "snapshot", "version", "edition": 0, "tickets": [{ "id", "status" }] }`. With a [`spread`] there is a
/// `spreadMs` as well.
#[must_use]
pub fn snapshot(picture: &Picture, spread: Millis) -> String {
    #[derive(Serialize)]
    struct Snapshot<'a> {
        r#type: &'static str,
        version: u64,
        edition: u64,
        #[serde(rename = "spreadMs", skip_serializing_if = "Option::is_none")]
        spread: Option<Millis>,
        #[serde(skip_serializing_if = "Option::is_none")]
        seats: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tickets: Option<Vec<Shown<'a>>>,
    }
    let (seats, tickets) = if picture.is_laid_out() {
        (Some(picture.seats().map(|(_, status)| letter(status)).collect()), None)
    } else {
        (None, Some(shown(picture)))
    };
    let (version, edition) = (picture.version(), picture.edition());
    let spread = (spread > Millis(0)).then_some(spread);
    text(&Snapshot { r#type: "snapshot", version, edition, spread, seats, tickets })
}

/// `{ "type": "deltas", "deltas": [{ "version", "tickets": [{ "id", "status" }] }] }`: a batch, in order. With a `spreadMs` as well
/// where that is another than these watchers were told.
#[must_use]
pub fn deltas<'a>(deltas: impl IntoIterator<Item = &'a Delta>, spread: Option<Millis>) -> String {
    #[derive(Serialize)]
    struct Deltas<'a> {
        r#type: &'static str,
        #[serde(rename = "spreadMs", skip_serializing_if = "Option::is_none")]
        spread: Option<Millis>,
        deltas: Vec<Told<'a>>,
    }
    #[derive(Serialize)]
    struct Told<'a> {
        version: u64,
        tickets: Vec<Shown<'a>>,
    }
    let told = |Delta { version, seats }: &'a Delta| {
        let tickets = seats.iter().map(|(id, status)| Shown { id, status: *status }).collect();
        Told { version: *version, tickets }
    };
    text(&Deltas { r#type: "deltas", spread, deltas: deltas.into_iter().map(told).collect() })
}

/// What a watcher may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Ask {
    /// `{ "type": "snapshot" }`: it saw a gap.
    Snapshot,
    /// [`PING`]: whether anybody is there.
    Ping,
}

impl TryFrom<String> for Ask {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "snapshot" => Ok(Self::Snapshot),
            "ping" => Ok(Self::Ping),
            _ => Err("must be snapshot or ping"),
        }
    }
}

/// Understands what a watcher said.
///
/// # Errors
/// `InvalidRequest`, by field.
pub fn parse(message: &[u8]) -> Result<Ask, Refusal> {
    #[derive(Deserialize)]
    struct Message {
        r#type: Ask,
    }
    request::fields(message).map(|Message { r#type }| r#type)
}

/// What a request to watch is refused with that asks for no WebSocket, or for one of another protocol.
#[must_use]
pub fn no_socket() -> Refusal {
    Refusal::invalid("Upgrade", &format!("must ask for a WebSocket with the subprotocol {PROTOCOL}"))
}
