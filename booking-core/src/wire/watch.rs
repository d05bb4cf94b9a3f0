//! What a map and its watchers say to each other over the WebSocket `GET /SeatMap/{mapKey}/watch`: one JSON message a
//! frame.
//!
//! A watcher first gets the layout, if there is one, and a snapshot; then deltas, each one map version after the last. A
//! change of several seats has one version, and all of it comes in one message.
//! One that sees a gap asks for a snapshot, and is sent the layout and a snapshot again. One that wants to know whether
//! the connection still stands says [`PING`] and is told [`PONG`]: a browser can send no ping of the protocol's own. A
//! host may send a watcher away that has said nothing for two minutes.

use serde::{Deserialize, Serialize};

use super::answer::{DrawnRow, Shown, drawn, shown};
use super::kind::Refusal;
use super::request;
use crate::map::{AtTime, Delta};

/// The WebSocket subprotocol that is spoken. A watcher offers it; the host answers with it.
pub const PROTOCOL: &str = "booking.watch.v1";

/// A watcher that needs a token offers a second subprotocol, this with the token behind it: a browser can set no other
/// header, and a URL is no place for a token. The host never answers with it.
pub const TOKEN_PROTOCOL: &str = "booking.token.";

/// What a watcher says to be told [`PONG`]; every 30 s is a good measure.
pub const PING: &str = r#"{"type":"ping"}"#;

/// The answer to [`PING`].
pub const PONG: &str = r#"{"type":"pong"}"#;

fn text(message: &impl Serialize) -> String {
    serde_json::to_string(message).expect("string keys, and a String takes everything")
}

/// `{ "type": "layout", "edition", "rows": [{ "name", "seats": [{ "ticketId", "price", "x", "y" }] }] }`; `None` where
/// the map has none.
#[must_use]
pub fn layout(AtTime { map, .. }: AtTime<'_>) -> Option<String> {
    #[derive(Serialize)]
    struct Layout<'a> {
        r#type: &'static str,
        edition: u64,
        rows: Vec<DrawnRow<'a>>,
    }
    let rows = drawn(map.layout()?);
    Some(text(&Layout { r#type: "layout", edition: map.header().edition, rows }))
}

/// `{ "type": "snapshot", "version", "tickets": [{ "id", "status" }] }`
#[must_use]
pub fn snapshot(map: AtTime<'_>) -> String {
    #[derive(Serialize)]
    struct Snapshot<'a> {
        r#type: &'static str,
        version: u64,
        tickets: Vec<Shown<'a>>,
    }
    text(&Snapshot { r#type: "snapshot", version: map.map.version(), tickets: shown(map) })
}

/// `{ "type": "deltas", "deltas": [{ "version", "id", "status" }] }`: a batch, in order.
#[must_use]
pub fn deltas(deltas: &[Delta]) -> String {
    #[derive(Serialize)]
    struct Deltas<'a> {
        r#type: &'static str,
        deltas: &'a [Delta],
    }
    text(&Deltas { r#type: "deltas", deltas })
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
