//! What a checkout asks of an inventory, and what it is answered.
//!
//! An inventory decides who has which seats; today that is a seat map. A *line* is the part of an order that one inventory
//! decides about. A checkout claims, confirms and revokes each line with one command: all of its seats, or none.

use serde::{Deserialize, Serialize};

use crate::ids::{CheckoutId, HoldId, MapKey, TicketId, UserId};
use crate::map::ticket::{MakeClaim, Offer, TicketCommand};
use crate::map::{SeatMapCommand, SeatMapRefusal, SeatMapReply, Seats};
use crate::money::Money;
use crate::time::Timestamp;

/// The seats of an order that one seat map decides about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Whose seats they are.
    pub at: MapKey,
    /// The seats, in the buyer's order.
    pub seats: Seats,
}

/// What a checkout asks for a line of its order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum LineCommand {
    /// Keep these seats for the checkout until its deadline.
    Claim {
        /// The buyer.
        user: UserId,
        /// The hold to claim, or to make.
        hold: HoldId,
        /// Whether the buyer brought the hold, rather than the checkout making it.
        brought: bool,
        /// Which checkout.
        checkout: CheckoutId,
        /// When the claim ends; the same in every copy.
        deadline: Timestamp,
        /// What a seat costs that has no listed price; `None` where it is then not for sale.
        default_price: Option<Money>,
    },
    /// The payment is authorised: the seats become the buyer's.
    Confirm {
        /// The hold that was claimed.
        hold: HoldId,
        /// The checkout that claimed it.
        checkout: CheckoutId,
        /// What the claim was answered.
        fence: u64,
    },
    /// The checkout gives back what it has of these seats. Never refused, and may arrive before what it undoes.
    Revoke {
        /// The hold it used.
        hold: HoldId,
        /// The checkout that ends.
        checkout: CheckoutId,
        /// The deadline of its claims.
        deadline: Timestamp,
    },
}

impl LineCommand {
    /// What a seat costs that has no listed price, as the checkout was started with; `None` where it is not for sale, or where
    /// no price is needed.
    #[must_use]
    pub fn default_price(&self) -> Option<Money> {
        match self {
            Self::Claim { default_price, .. } => *default_price,
            Self::Confirm { .. } | Self::Revoke { .. } => None,
        }
    }
}

/// What an accepted command is answered with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LineReply {
    /// To `Claim`.
    Claimed {
        /// What `Confirm` has to bring.
        fence: u64,
        /// What each seat costs, in the order of the line.
        prices: Vec<Money>,
    },
    /// To everything else.
    Done,
}

/// How an inventory answers: it accepts, or refuses and names the seat that is in the way.
pub type LineAnswer = Result<LineReply, SeatMapRefusal>;

impl From<TicketId> for Line {
    fn from(ticket: TicketId) -> Self {
        Self { at: ticket.map_key(), seats: ticket.into() }
    }
}

impl Line {
    /// The line of seats of one map.
    pub(crate) fn of(seats: Vec<TicketId>) -> Self {
        let seats = Seats::new(seats).expect("at least one, and an order names none twice");
        Self { at: seats.first().map_key(), seats }
    }

    /// What its map is asked for the line. `offer` is what the seats cost; only a claim needs it.
    #[must_use]
    pub fn ask(&self, command: &LineCommand, offer: impl FnOnce(&Seats) -> Offer) -> SeatMapCommand {
        let command = match command.clone() {
            LineCommand::Claim { user, hold, brought, checkout, deadline, default_price: _ } => {
                let offer = offer(&self.seats);
                TicketCommand::Claim(MakeClaim { user, hold, brought, checkout, deadline, offer })
            }
            LineCommand::Confirm { hold, checkout, fence } => TicketCommand::Confirm { hold, checkout, fence },
            LineCommand::Revoke { hold, checkout, deadline } => TicketCommand::Revoke { hold, checkout, deadline },
        };
        SeatMapCommand::Seats { seats: self.seats.clone(), command }
    }

    /// The first seat of it.
    #[must_use]
    pub fn first(&self) -> &TicketId {
        self.seats.first()
    }
}

/// What a map's answer means for the line.
///
/// # Errors
/// The map's refusal.
pub fn of_map(answer: Result<SeatMapReply, SeatMapRefusal>) -> LineAnswer {
    Ok(match answer? {
        SeatMapReply::Claimed { fence, prices } => LineReply::Claimed { fence, prices },
        SeatMapReply::Reserved { .. }
        | SeatMapReply::Sold { .. }
        | SeatMapReply::Published(_)
        | SeatMapReply::Reset { .. }
        | SeatMapReply::Erased { .. }
        | SeatMapReply::Done => LineReply::Done,
    })
}
