//! What is recorded, sent and kept on Restate.

use std::collections::BTreeMap;

use booking_core::checkout::Checkout;
use booking_core::effect::Outcome;
use booking_core::format::Format;
use booking_core::ids::{CheckoutId, HoldId, TicketId};
use booking_core::map::{Basket, Layout, SeatMapRefusal, SeatMapReply};
use booking_core::money::Money;
use booking_core::time::Timestamp;
use booking_core::wire::{MapCall, TicketCall};
use serde::{Deserialize, Serialize};

/// A call to a map that takes a turn, and when it was made. It is recorded by the sender, so a replay is judged at the same time.
#[derive(Serialize, Deserialize)]
pub(crate) struct Message {
    /// The call.
    pub(crate) call: MapCall,
    /// When.
    pub(crate) at: Timestamp,
}

/// A request about a seat, on its way from its address to its map.
#[derive(Serialize, Deserialize)]
pub(crate) struct Forwarded {
    /// The seat.
    pub(crate) ticket: TicketId,
    /// What is asked.
    pub(crate) call: TicketCall,
}

/// What a map said to a command, and its version after that; that of the seat, where the call was about one.
#[derive(Serialize, Deserialize)]
pub(crate) struct Judged {
    /// The reply, or the refusal.
    pub(crate) outcome: Result<SeatMapReply, SeatMapRefusal>,
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

/// A layout, on its way to where it is kept.
#[derive(Serialize, Deserialize)]
pub(crate) struct Edition {
    /// Its edition.
    pub(crate) edition: u64,
    /// The layout.
    pub(crate) layout: Layout,
}

/// Some of a map's seats.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Seats {
    /// The map's version at the last change of any of them.
    #[serde(default)]
    pub(crate) version: u64,
    /// Those of the layout, by what they are listed at: each with its place among all seats of the layout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) laid_out: Vec<(Money, Vec<(TicketId, u32)>)>,
    /// Those that differ from the layout, each in its own stored form: one that this build cannot read stays as it is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tickets: BTreeMap<TicketId, String>,
}

/// Some of the checkouts that claim nothing on a map any more, and until when that is remembered.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Ended(pub(crate) BTreeMap<CheckoutId, Timestamp>);

/// The last numbered wish under some of a map's holds.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Wishes(pub(crate) BTreeMap<HoldId, Basket>);

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
    Ended = "ended checkouts";
    Wishes = "wishes under holds";
}
