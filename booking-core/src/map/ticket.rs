//! One seat: what it is, and what can be asked of it. How each command is judged stands in `table.rs`.
//!
//! ```text
//!               reserve, claim                  confirm
//!  ┌─────────┐ ───────────────▶ ┌──────────┐ ───────────▶ ┌──────┐
//!  │Available│                  │ Reserved │              │ Sold │
//!  └─────────┘ ◀─────────────── └──────────┘ ◀─────────── └──────┘
//!    │     ▲    release, revoke,  │  revoke (own end ahead)  ▲ │
//!    ▼     │    recall, its end   │                    sell  │ │ revoke, reset
//!  ┌─────────┐                    │                          │ ▼
//!  │ Blocked │ ◀──────────────────┘                      (Available)
//!  └─────────┘   its end, if it was blocked meanwhile
//! ```
//!
//! A hold ends by itself. A command is judged by what is left at its time, and an accepted one records what lapsed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::table::Seat;
use crate::ids::{CheckoutId, HoldId, UserId};
use crate::money::Money;
use crate::time::Timestamp;

/// A seat that differs from its layout. A map keeps none for a seat that is on sale at the layout's price.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// What it is.
    pub state: TicketState,
    /// The map's version at its last change.
    pub version: u64,
    /// The price an operator has set, on a map without a layout. A layout has the prices of its own seats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Money>,
}

/// A seat's state as everybody may see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TicketStatus {
    /// On sale.
    #[default]
    Available,
    /// Held.
    Reserved,
    /// Sold.
    Sold,
    /// Off sale.
    Blocked,
}

/// What a seat is. Each variant holds what is true there and nothing more.
///
/// What is long is shared: most seats are on sale, and a state is passed on more often than it is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TicketState {
    /// On sale.
    #[default]
    Available,
    /// Held for one buyer, until the hold's end.
    Reserved(Arc<Hold>),
    /// Sold to one buyer.
    Sold(Arc<Sale>),
    /// Taken off sale by an operator.
    Blocked {
        /// Why, for people.
        reason: String,
    },
}

/// A buyer's expiring right to a seat. It is live while now is before [`Hold::end`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// Its name, and the capability to release it or pay for it.
    pub id: HoldId,
    /// The buyer.
    pub by: UserId,
    /// Bound for the life of the hold.
    pub price: Money,
    /// How long it lasts, and which checkout is paying for it.
    #[serde(rename = "term")]
    pub status: HoldStatus,
    /// Why the seat is blocked as soon as this hold ends, if an operator asked for that. A sale drops it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then_blocked: Option<String>,
}

/// Whether a checkout is paying for a hold, and when it ends by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HoldStatus {
    /// No checkout is paying.
    Unclaimed(Own),
    /// A checkout is paying; the hold ends at the later of the claim's deadline and its own end.
    Claimed {
        /// The checkout's grip.
        claim: Claim,
        /// The hold's own end; `None` for a hold that a checkout made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        own: Option<Own>,
    },
}

/// The own end of a hold that a buyer made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Own {
    /// When it ends.
    pub until: Timestamp,
    /// When it ends at the latest, however often more time is asked for.
    pub latest: Timestamp,
}

/// A checkout's grip on a hold while it is being paid.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Which checkout.
    pub checkout: CheckoutId,
    /// When the grip ends. It never grows.
    pub deadline: Timestamp,
    /// The map's version at which the claim was made. Only this number confirms it, so nothing older can.
    pub fence: u64,
}

/// A sale.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sale {
    /// The hold it was sold under.
    pub hold: HoldId,
    /// The buyer.
    pub by: UserId,
    /// What was asked for it.
    pub price: Money,
    /// The own end of the hold it was sold under, to go back to if the sale is revoked before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Own>,
    /// The claim that was confirmed; `None` for a sale at the box office.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// When.
    pub at: Timestamp,
}

/// What can be asked of a seat, and so of a set of seats: a map accepts it only if each seat does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TicketCommand {
    /// A buyer asks for a hold, or for more time under one (public).
    Reserve(Reserve),
    /// A checkout takes its grip (inner).
    Claim(MakeClaim),
    /// A checkout whose payment is authorised takes the seats (inner).
    Confirm {
        /// The hold that was claimed.
        hold: HoldId,
        /// The checkout that claimed it.
        checkout: CheckoutId,
        /// What the claim was answered.
        fence: u64,
    },
    /// A checkout gives back what it has of these seats (inner). Never refused, and may arrive before what it undoes.
    Revoke {
        /// The hold it used.
        hold: HoldId,
        /// The checkout that ends.
        checkout: CheckoutId,
        /// The deadline of its claims. Until the map's time reaches it, the map refuses each claim of the checkout.
        deadline: Timestamp,
    },
    /// A buyer gives seats back (public).
    Release {
        /// The hold.
        hold: HoldId,
        /// The number of this wish under the hold.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nth: Option<u32>,
        /// Until when an older wish under this hold may still arrive: the time at the door plus the longest hold and the
        /// allowed difference of clocks.
        until: Timestamp,
    },
    /// Takes seats off sale: a seat that is held, when its hold ends (admin).
    Block {
        /// Why, for people.
        reason: String,
    },
    /// Puts them back on sale (admin).
    Unblock,
    /// Sells at the box office, without a payment (admin).
    Sell {
        /// The buyer.
        user: UserId,
        /// A fresh name, made by the host.
        hold: HoldId,
        /// What the seats cost.
        offer: Offer,
    },
    /// Ends unclaimed holds that have not changed since this version (admin).
    Recall {
        /// The newest version that may be ended.
        up_to: u64,
    },
    /// Puts sold or blocked seats back on sale that have not changed since this version (admin). One that is sold to a checkout goes
    /// back on sale once that has ended, and is [`CheckoutInProgress`](TicketRefusal::CheckoutInProgress) until then: its money may be
    /// taken at any moment.
    Reset {
        /// The newest version that may be taken away.
        up_to: u64,
        /// The checkouts that have ended, as the caller was told, among those that the seats are sold to. A map does not know.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ended: Vec<CheckoutId>,
    },
}

/// A buyer's wish to hold seats.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reserve {
    /// The buyer.
    pub user: UserId,
    /// Under which name.
    pub hold: HoldId,
    /// The number of this wish under the hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u32>,
    /// When a hold that is made by this ends: the time at the door plus how long it is to last. Copies keep it.
    pub until: Timestamp,
    /// When such a hold ends at the latest, however often more time is asked for: the time at the door plus the longest that
    /// the operator allows. A hold keeps what it was made with.
    pub latest: Timestamp,
    /// What the seats cost.
    pub offer: Offer,
}

/// A checkout's wish to pay for seats.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MakeClaim {
    /// The buyer.
    pub user: UserId,
    /// The hold to claim, or to make.
    pub hold: HoldId,
    /// Whether the buyer brought the hold. It then has to be live on each seat.
    pub brought: bool,
    /// The checkout that pays.
    pub checkout: CheckoutId,
    /// When the grip ends; the same in every copy.
    pub deadline: Timestamp,
    /// What the seats cost.
    pub offer: Offer,
}

/// What seats cost, as the caller attests it: read from the layout of this edition, seat by seat in the order of the
/// command. Compared with the map's edition only where a price is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// The edition of the layout; 0 where there is none.
    pub edition: u64,
    /// The price of each seat; `None` for a seat that is not for sale.
    pub prices: Vec<Option<Money>>,
    /// How many seats the map may store while it has no layout.
    pub room: u64,
}

/// Why a command is not allowed. The caller's to handle; never retried by a host.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
pub enum TicketRefusal {
    /// Another hold is live on the seat.
    #[error("Ticket is currently reserved")]
    TicketReserved {
        /// The hold's own end, or its claim's deadline where the hold has no own end.
        until: Timestamp,
    },
    /// The seat is sold.
    #[error("Ticket already sold")]
    TicketSold,
    /// The seat is off sale.
    #[error("Ticket is blocked")]
    TicketBlocked,
    /// The map has a layout without this seat, or none and sales are closed.
    #[error("Ticket is not for sale")]
    TicketNotForSale,
    /// A checkout is paying for this hold.
    #[error("A checkout is in progress for this hold")]
    CheckoutInProgress,
    /// The hold, or the checkout, has ended here, or ends no later than now.
    #[error("The hold has expired")]
    HoldExpired,
    /// There is no such hold here.
    #[error("There is no such hold")]
    HoldNotFound,
    /// A later wish under this hold was accepted already.
    #[error("Wish {last} under this hold was carried out already")]
    Overtaken {
        /// The number of the last accepted wish.
        last: u32,
    },
    /// Another wish under this hold had the same number.
    #[error("Another wish under this hold has the same number")]
    HoldInUse,
    /// The price was read from another edition of the layout. The caller's program reads the layout again and asks again.
    #[error("The layout has edition {edition}")]
    StaleEdition {
        /// The map's edition.
        edition: u64,
    },
    /// The map remembers as much as it may. It is tried again later.
    #[error("The seat map is full")]
    Overloaded,
}

impl TicketRefusal {
    /// Whether it says no more than what is recorded of the seat: that another buyer has it, or that it is off sale. No turn can accept
    /// what was refused so before the record changes, so a host may answer it from a look beside the map's turns.
    #[must_use]
    pub fn is_what_is_recorded(self, status: TicketStatus) -> bool {
        match self {
            Self::TicketReserved { .. } => status == TicketStatus::Reserved,
            Self::TicketSold => status == TicketStatus::Sold,
            Self::TicketBlocked => status == TicketStatus::Blocked,
            Self::TicketNotForSale
            | Self::CheckoutInProgress
            | Self::HoldExpired
            | Self::HoldNotFound
            | Self::Overtaken { .. }
            | Self::HoldInUse
            | Self::StaleEdition { .. }
            | Self::Overloaded => false,
        }
    }
}

/// Who asks what a seat is. Only operators, and who shows the hold, may learn whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reader {
    /// A stranger.
    Anyone,
    /// Who shows this hold.
    Holder(HoldId),
    /// An operator.
    Operator,
}

/// What a seat is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketView {
    /// The status at the time asked for: a lapsed hold reads `Available`.
    pub status: TicketStatus,
    /// The buyer who holds or bought it.
    pub reserved_by: Option<UserId>,
    /// The hold that is live on it, or that it was sold under. Shown to nobody.
    pub hold: Option<HoldId>,
    /// The hold's own end, or its claim's deadline where it has none.
    pub reserved_until: Option<Timestamp>,
    /// The map's version at the seat's last change; the map's where it never had one.
    pub version: u64,
}

impl TicketView {
    /// As much as this reader may see of it. Where `shows_buyers`, everybody sees who sits where.
    #[must_use]
    pub fn seen_by(mut self, reader: &Reader, shows_buyers: bool) -> Self {
        let may_see = match reader {
            Reader::Anyone => shows_buyers,
            Reader::Holder(hold) => shows_buyers || self.hold.as_ref() == Some(hold),
            Reader::Operator => true,
        };
        if !may_see {
            self.reserved_by = None;
        }
        self
    }
}

impl Hold {
    /// When the hold ends: the later of its own end and its claim's deadline.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        match &self.status {
            HoldStatus::Unclaimed(own) => own.until,
            HoldStatus::Claimed { claim, own } => own.map_or(claim.deadline, |own| own.until.max(claim.deadline)),
        }
    }

    /// The hold's own end; `None` for one that a checkout made.
    #[must_use]
    pub fn own(&self) -> Option<Own> {
        match &self.status {
            HoldStatus::Unclaimed(own) => Some(*own),
            HoldStatus::Claimed { own, .. } => *own,
        }
    }

    /// The claim, if a checkout is paying.
    #[must_use]
    pub fn claim(&self) -> Option<&Claim> {
        match &self.status {
            HoldStatus::Unclaimed(_) => None,
            HoldStatus::Claimed { claim, .. } => Some(claim),
        }
    }

    /// What `reservedUntil` shows.
    pub(super) fn shown_until(&self) -> Timestamp {
        self.own().map_or_else(|| self.end(), |own| own.until)
    }
}

impl TicketState {
    /// The state as anybody may see it.
    #[must_use]
    pub fn status(&self) -> TicketStatus {
        match self {
            Self::Available => TicketStatus::Available,
            Self::Reserved(_) => TicketStatus::Reserved,
            Self::Sold(_) => TicketStatus::Sold,
            Self::Blocked { .. } => TicketStatus::Blocked,
        }
    }

    /// The hold, if it is held.
    #[must_use]
    pub fn hold(&self) -> Option<&Hold> {
        match self {
            Self::Reserved(hold) => Some(hold),
            Self::Available | Self::Sold(_) | Self::Blocked { .. } => None,
        }
    }

    /// The sale, if it is sold.
    #[must_use]
    pub fn sale(&self) -> Option<&Sale> {
        match self {
            Self::Sold(sale) => Some(sale),
            Self::Available | Self::Reserved(_) | Self::Blocked { .. } => None,
        }
    }
}

impl Ticket {
    /// What is shown in the place of a seat that is stored in a form that cannot be read: it is off sale. Commands that name it are given
    /// up.
    #[must_use]
    pub fn unreadable(version: u64) -> Self {
        Self { state: TicketState::Blocked { reason: "it cannot be read".to_owned() }, version, listed: None }
    }

    /// When its hold ends, if it is held: for a column of the host's to find by.
    #[must_use]
    pub fn ends(&self) -> Option<Timestamp> {
        self.state.hold().map(Hold::end)
    }

    /// The checkout that it is sold to; `None` for a sale at the box office, too.
    #[must_use]
    pub fn sold_to(&self) -> Option<&CheckoutId> {
        Some(&self.state.sale()?.claim.as_ref()?.checkout)
    }

    /// Whether nothing tells it from a seat that no command has named yet. Nothing is stored of such a seat.
    #[must_use]
    pub fn is_as_laid_out(&self) -> bool {
        self.state == TicketState::Available && self.listed.is_none()
    }

    /// Its status, buyer and end at a point in time.
    #[must_use]
    pub fn get(&self, now: Timestamp) -> TicketView {
        let seat = Seat::at(&self.state, now);
        let (hold, sale) = (seat.state.hold(), seat.state.sale());
        TicketView {
            status: seat.state.status(),
            reserved_by: hold.map(|hold| &hold.by).or(sale.map(|sale| &sale.by)).cloned(),
            hold: hold.map(|hold| &hold.id).or(sale.map(|sale| &sale.hold)).cloned(),
            reserved_until: hold.map(Hold::shown_until),
            version: self.version,
        }
    }
}
