//! What is recorded, sent and kept on Restate.

use std::collections::BTreeMap;

use booking_core::checkout::Checkout;
use booking_core::effect::Outcome;
use booking_core::format::Format;
use booking_core::ids::TicketId;
use booking_core::seat_map::Seat;
use booking_core::ticket::{TicketCommand, TicketRefusal, TicketReply};
use booking_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A command to a ticket, and the sender's time if it has one.
#[derive(Serialize, Deserialize)]
pub(crate) struct Message {
    /// The command.
    pub(crate) command: TicketCommand,
    /// When it was sent.
    pub(crate) at: Option<Timestamp>,
}

/// A request as it was understood once, and when. Recorded: other terms or another time after a crash would be another
/// command.
#[derive(Serialize, Deserialize)]
pub(crate) struct Asked {
    /// The command.
    pub(crate) command: TicketCommand,
    /// When it was understood.
    pub(crate) at: Timestamp,
}

/// What a ticket said to a command, and its version after that.
#[derive(Serialize, Deserialize)]
pub(crate) struct Judged {
    /// The reply, or the refusal.
    pub(crate) outcome: Result<TicketReply, TicketRefusal>,
    /// The version.
    pub(crate) version: u64,
}

/// How a checkout began. Recorded: other terms or another time after a crash would be another checkout.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Began {
    /// The checkout at its start.
    pub checkout: Checkout,
    /// When that was.
    pub at: Timestamp,
    /// Whether the host sent messages to buyers then.
    pub notifies: bool,
}

/// A checkout whose invocation was killed.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lost {
    /// How it began, as its journal has it.
    pub began: Began,
    /// Whether its capture was asked for, or its buyer's message sent: then it goes through, and back else.
    pub goes_through: bool,
}

/// What a gateway answered, and when: the time a checkout has is that of what was recorded last.
#[derive(Serialize, Deserialize)]
pub(crate) struct Paid {
    /// The answer.
    pub(crate) outcome: Outcome,
    /// When it came.
    pub(crate) at: Timestamp,
}

/// Some of a map's seats.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Seats(pub(crate) BTreeMap<TicketId, Seat>);

/// How many changes a map has had.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Changes(pub(crate) u64);

macro_rules! formats {
    ($($type:ty = $name:literal;)*) => {$(
        impl Format for $type {
            const NAME: &'static str = $name;
            const VERSION: u32 = 1;
        }
    )*};
}
formats! {
    Began = "start of a checkout";
    Seats = "seats";
    Changes = "map version";
}

/// Where a ticket's state is kept.
pub(crate) const STATE: &str = "ticket";
/// Where a map's layout is kept.
pub(crate) const LAYOUT: &str = "layout";
/// Where it is kept how many changes a map has had.
pub(crate) const VERSION: &str = "version";

/// Into how many parts a map's seats are kept, by their ids: what one change writes is one of them, and what a map reads
/// is no more entries than that.
const PARTS: u64 = 64;

/// The key of the part that a seat is in: FNV-1a of its id. A change of it would lose the seats of every map that is kept.
pub(crate) fn part(ticket: &TicketId) -> String {
    let hash = ticket
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{PART}{:02}", hash % PARTS)
}

/// What the key of each part begins with.
pub(crate) const PART: &str = "seats/";
