//! What hosts on Restate share: names, what they have recorded, and in which parts a map is kept. Two hosts that agree on
//! these can take over from one another.

use std::collections::BTreeMap;

use booking_core::checkout::Checkout;
use booking_core::effect::Outcome;
use booking_core::format::Format;
use booking_core::ids::TicketId;
use booking_core::seat_map::{Published, Seat};
use booking_core::ticket::{TicketCommand, TicketRefusal, TicketReply};
use booking_core::time::Timestamp;
use booking_core::wire::{Answer, Refusal, answer};
use serde::{Deserialize, Serialize};

/// The service of tickets, of maps, of checkouts.
pub const TICKET: &str = "Ticket";
/// The service of maps.
pub const SEAT_MAP: &str = "SeatMap";
/// The service of checkouts.
pub const CHECKOUT: &str = "Checkout";
/// The turn of a buyer who reserves; on Restate alone.
pub const HOLD: &str = "hold";
/// The end of a checkout whose invocation was killed; on Restate alone, and an operator's.
pub const RECOVER: &str = "recover";
/// Messages to buyers, on their way; on Restate alone.
pub const LETTERS: &str = "Letters";
/// The handler that delivers one.
pub const DELIVER: &str = "deliver";

/// The header that stands on calls from inside: what it says is what time it is, if the caller knows. It counts for no
/// handler that is open to everybody.
pub const FROM_INSIDE: &str = "booking-from-inside";

/// A command as it was understood once, and when. Recorded: other terms or another time after a crash would be another
/// command.
#[derive(Serialize, Deserialize)]
pub struct Asked {
    /// The command.
    pub command: TicketCommand,
    /// When it was understood.
    pub at: Timestamp,
}

/// What a ticket said to a command, and its version after that.
#[derive(Serialize, Deserialize)]
pub struct Judged {
    /// The reply, or the refusal.
    pub outcome: Result<TicketReply, TicketRefusal>,
    /// The version.
    pub version: u64,
}

impl Judged {
    /// What a caller from outside is answered: on Restate a refusal is an error.
    ///
    /// # Errors
    /// The refusal.
    pub fn answer(self) -> Result<Answer, Refusal> {
        let Self { outcome, version } = self;
        match outcome {
            Ok(_) => Ok(answer::ticket(&outcome, version)),
            Err(why) => Err(Refusal::from(why).at(version)),
        }
    }
}

/// How a refusal reads on Restate, whose errors have no fields of ours: the message, the version in round brackets where
/// an object refused, the kind in square ones.
#[must_use]
pub fn refusal_text(refusal: &Refusal) -> String {
    let Refusal { kind, message, version } = refusal;
    match version {
        Some(version) => format!("{message} (version {version}) [{kind}]"),
        None => format!("{message} [{kind}]"),
    }
}

/// How a checkout began. Recorded for the same reason.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Began {
    /// The checkout at its start.
    pub checkout: Checkout,
    /// When that was.
    pub at: Timestamp,
    /// Whether buyers are told.
    pub notifies: bool,
}

/// A checkout whose invocation was killed.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lost {
    /// How it began, as its journal has it.
    pub began: Began,
    /// Whether its capture was asked for.
    pub capture_asked: bool,
}

/// What a gateway answered, and when: the time a checkout has is that of what was recorded last.
#[derive(Serialize, Deserialize)]
pub struct Paid {
    /// The answer.
    pub outcome: Outcome,
    /// When it came.
    pub at: Timestamp,
}

/// A map's layout.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct Laid(pub Published);

/// Some of a map's seats.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seats(pub BTreeMap<TicketId, Seat>);

/// How many changes a map has had.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Changes(pub u64);

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
    Laid = "layout";
    Seats = "seats";
    Changes = "map version";
}

/// Where a ticket's state is kept.
pub const STATE: &str = "ticket";
/// Where a map's layout is kept.
pub const LAYOUT: &str = "layout";
/// Where it is kept how many changes a map has had.
pub const VERSION: &str = "version";

/// Into how many parts a map's seats are kept, by their ids: what one change writes is one of them, and what a map reads
/// is no more entries than that.
const PARTS: u64 = 64;

/// Where the part is kept that a seat is in: FNV-1a of its id, which must stay as it is for as long as there are maps.
#[must_use]
pub fn part(ticket: &TicketId) -> String {
    let hash = ticket
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{PART}{:02}", hash % PARTS)
}

/// What the key of each part begins with.
const PART: &str = "seats/";

/// Whether something is kept there of a map's seats.
#[must_use]
pub fn is_part(key: &str) -> bool {
    key.starts_with(PART)
}

/// Whether a refusal says that somebody else has the ticket, or nobody can: until that changes, nobody needs a turn.
#[must_use]
pub fn is_for_others(refusal: TicketRefusal) -> bool {
    match refusal {
        TicketRefusal::TicketReserved | TicketRefusal::TicketSold | TicketRefusal::TicketBlocked => true,
        TicketRefusal::TicketNotForSale
        | TicketRefusal::CheckoutInProgress
        | TicketRefusal::HoldExpired
        | TicketRefusal::HoldNotFound => false,
    }
}
