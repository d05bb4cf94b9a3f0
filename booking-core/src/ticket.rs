//! One sellable seat, and the only source of truth about it.
//!
//! ```text
//!               reserve, claim                  confirm
//!  ┌─────────┐ ───────────────▶ ┌──────────┐ ───────────▶ ┌──────┐
//!  │Available│                  │ Reserved │              │ Sold │
//!  └─────────┘ ◀─────────────── └──────────┘ ◀─────────── └──────┘
//!    │     ▲    release, revoke,     revoke (own end ahead)  ▲ │
//!    ▼     │    its end passes                        sell  │ │ revoke, reset
//!  ┌─────────┐                                               │ ▼
//!  │ Blocked │   block / unblock, reset                  (Available)
//!  └─────────┘
//! ```
//!
//! A hold ends by itself: no timer is needed for that to be true, only for others to hear of it. Every command is
//! judged by what is left at its time; an accepted one records what lapsed.
//!
//! This file says what a ticket is and what can be asked of it. How each command is judged stands in `ticket/table.rs`.

mod table;

pub use crate::map::ticket::{Reader, TicketRefusal, TicketView};

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{CheckoutId, HoldId, UserId};
use crate::machine::Machine;
use crate::money::Money;
use crate::time::{HoldTtl, Millis, Timestamp};
use table::{Decision, View};

/// A ticket: its state, its listed price, and what it must remember to tell old messages from new ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    state: TicketState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    listing: Option<Listing>,
    version: u64,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Ended::is_empty")]
    ended: Ended,
}

/// What a ticket is. Each variant holds what is true there and nothing more.
///
/// What is long is shared: most tickets are on sale, and a state is handed on more often than it is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TicketState {
    /// On sale.
    #[default]
    Available,
    /// Held for one buyer, until the hold's end.
    Reserved(Arc<Hold>),
    /// Somebody's.
    Sold(Arc<Sale>),
    /// Taken off sale by an operator.
    Blocked {
        /// Why, for people.
        reason: String,
    },
}

/// A buyer's expiring right to a ticket. It is live while now is before [`Hold::end`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// Its name, and the capability to release it or pay for it.
    pub id: HoldId,
    /// Whose it is.
    pub by: UserId,
    /// Bound for the life of the hold, whatever is listed later.
    pub price: Money,
    /// How long it lasts, and which checkout is paying for it.
    pub term: Term,
}

/// How long a hold lasts. There is no hold that neither ends by itself nor is being paid for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Term {
    /// Nobody is paying; it ends at `until`.
    Unclaimed {
        /// The hold's own end.
        until: Timestamp,
    },
    /// A checkout is paying; it ends at the later of the claim's deadline and `until`.
    Claimed {
        /// The checkout's grip.
        claim: Claim,
        /// The hold's own end; `None` for a hold that a checkout made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
}

/// A checkout's grip on a hold while it is being paid.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Which checkout.
    pub checkout: CheckoutId,
    /// When the grip ends. It never grows.
    pub deadline: Timestamp,
    /// The ticket's version at which the claim was made. Only this number confirms it, so nothing older can.
    pub fence: u64,
}

/// A sale.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sale {
    /// The hold it was sold under.
    pub hold: HoldId,
    /// Whose seat it is.
    pub by: UserId,
    /// What was asked for it.
    pub price: Money,
    /// The end of the hold it was sold under, to go back to if the sale is revoked before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The checkout that confirmed it; `None` for a sale at the box office.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<SoldTo>,
    /// When.
    pub at: Timestamp,
}

/// The checkout that a ticket is sold to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SoldTo {
    /// Which checkout.
    pub checkout: CheckoutId,
    /// The fence of the claim that was confirmed.
    pub fence: u64,
}

/// The price that a ticket is listed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listing {
    /// What the next hold will cost.
    pub price: Money,
    /// The newest edition of the map's layout that has listed this ticket, so that a late copy of an older one
    /// changes nothing; 0 where none has.
    pub edition: u64,
}

/// An id that will never hold this ticket again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EndedId {
    /// A hold that was released, lapsed, or taken away.
    Hold(HoldId),
    /// A checkout that let go of the ticket, or never got it.
    Checkout(CheckoutId),
}

/// The last [`Ended::MEMORY`] ids that ended, oldest first, each once.
///
/// This is tidiness, not safety: a message older than this memory can make at most a hold that ends by itself, and the
/// fence keeps it from money.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ended(Vec<EndedId>);

impl Ended {
    /// How many ids are remembered.
    pub const MEMORY: usize = 16;

    /// Whether nothing has ended yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ids, oldest first.
    #[must_use]
    pub fn ids(&self) -> &[EndedId] {
        &self.0
    }

    /// Adds one that is not there yet: an event has only such.
    fn add(&mut self, id: &EndedId) {
        if self.0.len() >= Self::MEMORY {
            self.0.remove(0);
        }
        self.0.push(id.clone());
    }
}

/// What can be asked of a ticket. Buyers send `Reserve` and `Release`; admins `Block`, `Unblock`, `List`, `Sell`, `Reset` and
/// `Cleanup`; a map sends `List` and `Reset` too; the rest comes from checkouts and timers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TicketCommand {
    /// A buyer asks for a hold (public). The specification's `reserve { user, hold?, ttl? }`.
    Reserve {
        /// The buyer.
        user: UserId,
        /// Under which name.
        hold: HoldName,
        /// How long the hold is to last.
        ttl: HoldTtl,
        /// What the ticket costs if it was never listed; `None` where it is then not for sale.
        unlisted: Option<Money>,
    },
    /// A checkout takes its grip (inner). The specification's `reserve { user, hold, checkout, deadline }`.
    Claim {
        /// The buyer.
        user: UserId,
        /// The hold to claim, or to make.
        hold: HoldId,
        /// Who pays.
        checkout: CheckoutId,
        /// When the grip ends; the same in every copy.
        deadline: Timestamp,
        /// What the ticket costs if it was never listed; `None` where it is then not for sale.
        unlisted: Option<Money>,
    },
    /// A checkout whose payment is authorised takes the ticket (inner).
    Confirm {
        /// The hold that was claimed.
        hold: HoldId,
        /// Who claimed it.
        checkout: CheckoutId,
        /// What the claim was answered.
        fence: u64,
    },
    /// A buyer gives a hold back (public).
    Release {
        /// The hold.
        hold: HoldId,
    },
    /// A checkout undoes whatever it has here (inner). Never refused, and may arrive before what it undoes.
    Revoke {
        /// The hold it used.
        hold: HoldId,
        /// The checkout that ends.
        checkout: CheckoutId,
    },
    /// A timer fires (inner): early, late, twice, or for a hold that is gone.
    Expire {
        /// The hold it was armed for.
        hold: HoldId,
        /// The end it was armed for.
        until: Timestamp,
    },
    /// Takes the ticket off sale (admin).
    Block {
        /// Why, for people.
        reason: String,
    },
    /// Puts it back on sale (admin).
    Unblock,
    /// Sets the price (admin, or a layout).
    List {
        /// What the next hold will cost.
        price: Money,
        /// The edition of the layout that says so; `None` where an operator does, which counts as the newest.
        edition: Option<u64>,
    },
    /// Sells at the box office, without a payment (admin).
    Sell {
        /// The buyer.
        user: UserId,
        /// A fresh name, made by the host.
        hold: HoldId,
        /// What the ticket costs if it was never listed; `None` where it is then not for sale.
        unlisted: Option<Money>,
    },
    /// Puts a sold or blocked ticket back on sale, if it has not changed since (admin, or a map).
    Reset {
        /// The newest version that may be taken away.
        up_to: u64,
    },
    /// [`TicketCommand::Reset`] at the current version, for short (admin).
    Cleanup,
}

/// How a buyer names the hold they ask for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HoldName {
    /// The buyer brought this one.
    Named(HoldId),
    /// The buyer brought none; the host made this one up, unguessable and for this request alone.
    Fresh(HoldId),
}

impl HoldName {
    /// The name, whoever made it.
    #[must_use]
    pub fn id(&self) -> &HoldId {
        match self {
            Self::Named(hold) | Self::Fresh(hold) => hold,
        }
    }
}

/// What an accepted command is answered with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TicketReply {
    /// To `Reserve`: the buyer's hold.
    Reserved {
        /// Its name, told only to who made it: `None` for a buyer who named none and had one already.
        hold: Option<HoldId>,
        /// Its end.
        until: Timestamp,
        /// Its price.
        price: Money,
    },
    /// To `Claim`: what `Confirm` has to bring, and what the seat costs.
    Claimed {
        /// The fence of the claim.
        fence: u64,
        /// The hold's price.
        price: Money,
    },
    /// To `Sell`: sold, and for how much.
    Sold {
        /// The listed price, or the unit price.
        price: Money,
    },
    /// To everything else.
    Done,
}

/// What one accepted command recorded. Where `moved` or `listed` is set it is a change: the version goes up by one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TicketEvent {
    /// Effective time of the command.
    pub at: Timestamp,
    /// The state it moved to, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<TicketState>,
    /// The price it was listed at, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Listing>,
    /// What ended with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<EndedId>,
}

impl TicketEvent {
    /// Whether the ticket changed, rather than only its memory of ended ids.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.moved.is_some() || self.listed.is_some()
    }
}

/// What others are told, one way and at least once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TicketNotices {
    /// To the ticket's seat map.
    pub map: Option<MapUpdate>,
    /// To a durable timer.
    pub timer: Option<Timer>,
}

impl TicketNotices {
    /// Whether nobody is told anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a ticket has become, for its seat map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapUpdate {
    /// The status it has now.
    pub status: TicketStatus,
    /// Since this version.
    pub version: u64,
}

/// A timer to arm: at `until`, send [`TicketCommand::Expire`] with just these.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Timer {
    /// The hold that ends.
    pub hold: HoldId,
    /// When it does.
    pub until: Timestamp,
}

/// A ticket's state as everybody may see it.
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

impl Hold {
    /// When the hold ends: the later of its own end and its claim's deadline.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        match &self.term {
            Term::Unclaimed { until } => *until,
            Term::Claimed { claim, until } => until.map_or(claim.deadline, |until| until.max(claim.deadline)),
        }
    }

    /// The hold's own end; `None` for one that a checkout made.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match &self.term {
            Term::Unclaimed { until } => Some(*until),
            Term::Claimed { until, .. } => *until,
        }
    }

    /// The claim, if a checkout is paying.
    #[must_use]
    pub fn claim(&self) -> Option<&Claim> {
        match &self.term {
            Term::Unclaimed { .. } => None,
            Term::Claimed { claim, .. } => Some(claim),
        }
    }

    /// What `reservedUntil` shows.
    fn shown_until(&self) -> Timestamp {
        self.until().unwrap_or_else(|| self.end())
    }

    /// The ids that end when the hold goes: its own if it had an end of its own, and its claim's checkout.
    fn ends(&self) -> impl Iterator<Item = EndedId> + use<> {
        let hold = self.until().map(|_| EndedId::Hold(self.id.clone()));
        let checkout = self.claim().map(|claim| EndedId::Checkout(claim.checkout.clone()));
        hold.into_iter().chain(checkout)
    }
}

impl TicketState {
    /// The state as everybody may see it.
    #[must_use]
    pub fn status(&self) -> TicketStatus {
        match self {
            Self::Available => TicketStatus::Available,
            Self::Reserved(_) => TicketStatus::Reserved,
            Self::Sold(_) => TicketStatus::Sold,
            Self::Blocked { .. } => TicketStatus::Blocked,
        }
    }

    fn hold(&self) -> Option<&Hold> {
        match self {
            Self::Reserved(hold) => Some(hold),
            Self::Available | Self::Sold(_) | Self::Blocked { .. } => None,
        }
    }

    fn sale(&self) -> Option<&Sale> {
        match self {
            Self::Sold(sale) => Some(sale),
            Self::Available | Self::Reserved(_) | Self::Blocked { .. } => None,
        }
    }
}

impl Ticket {
    /// The state last recorded. What of it is left at a point in time is [`Ticket::get`]'s to say.
    #[must_use]
    pub fn state(&self) -> &TicketState {
        &self.state
    }

    /// The hold last recorded, live or not.
    #[must_use]
    pub fn hold(&self) -> Option<&Hold> {
        self.state.hold()
    }

    /// The sale, if it is sold.
    #[must_use]
    pub fn sale(&self) -> Option<&Sale> {
        self.state.sale()
    }

    /// The price it is listed at, if it ever was.
    #[must_use]
    pub fn listing(&self) -> Option<&Listing> {
        self.listing.as_ref()
    }

    /// How many changes it has had.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When its last change was recorded.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The ids that ended here last.
    #[must_use]
    pub fn ended(&self) -> &Ended {
        &self.ended
    }

    /// Forgets all but the ids that ended last, as if more had ended since: for tests of what then still holds.
    #[cfg(feature = "simulation")]
    pub fn forget(&mut self, all_but: usize) {
        let forgotten = self.ended.0.len().saturating_sub(all_but);
        self.ended.0.drain(..forgotten);
    }

    /// Whether a command of a checkout's may be judged at a time that the checkout tells, which is past when it arrives:
    /// for platforms on which asking a clock is dear. Not where what the checkout holds may have ended since, as whoever
    /// looked at the ticket meanwhile has seen it gone: a claim of the buyer's own hold, and a confirm that comes within
    /// [`Ticket::TOLD_WITHIN`] of its end.
    #[must_use]
    pub fn may_be_told_the_time(&self, command: &TicketCommand, told: Timestamp) -> bool {
        let held = |id: &HoldId| self.hold().filter(|hold| hold.id == *id);
        match command {
            TicketCommand::Claim { hold, .. } => held(hold).is_none_or(|hold| hold.claim().is_some()),
            TicketCommand::Confirm { hold, .. } => {
                held(hold).is_none_or(|hold| told.plus(Self::TOLD_WITHIN) < hold.end())
            }
            TicketCommand::Revoke { .. } => true,
            TicketCommand::Reserve { .. }
            | TicketCommand::Release { .. }
            | TicketCommand::Expire { .. }
            | TicketCommand::Block { .. }
            | TicketCommand::Unblock
            | TicketCommand::List { .. }
            | TicketCommand::Sell { .. }
            | TicketCommand::Reset { .. }
            | TicketCommand::Cleanup => false,
        }
    }

    /// How late a checkout's command may arrive that was told the time and confirms a claim.
    pub const TOLD_WITHIN: Millis = Millis::from_mins(1);

    /// What the ticket is at a point in time. Records nothing.
    #[must_use]
    pub fn get(&self, now: Timestamp) -> TicketView {
        let view = View::at(self, now);
        let state = view.state();
        let (hold, sale) = (state.hold(), state.sale());
        TicketView {
            status: state.status(),
            reserved_by: hold.map(|hold| &hold.by).or(sale.map(|sale| &sale.by)).cloned(),
            hold: hold.map(|hold| &hold.id).or(sale.map(|sale| &sale.hold)).cloned(),
            reserved_until: state.hold().map(Hold::shown_until),
            version: self.version,
        }
    }
}

impl Machine for Ticket {
    type Command = TicketCommand;
    type Event = TicketEvent;
    type Reply = TicketReply;
    type Refusal = TicketRefusal;
    type Notices = TicketNotices;

    fn decide(&self, command: &TicketCommand, now: Timestamp) -> Decision {
        let view = View::at(self, now);
        match command {
            TicketCommand::Reserve { user, hold, ttl, unlisted } => view.reserve(user, hold, *ttl, *unlisted),
            TicketCommand::Claim { user, hold, checkout, deadline, unlisted } => {
                view.claim(user, hold, checkout, *deadline, *unlisted)
            }
            TicketCommand::Confirm { hold, checkout, fence } => view.confirm(hold, checkout, *fence),
            TicketCommand::Release { hold } => view.release(hold),
            TicketCommand::Revoke { hold, checkout } => view.revoke(hold, checkout),
            TicketCommand::Expire { hold, until } => view.expire(hold, *until),
            TicketCommand::Block { reason } => view.block(reason),
            TicketCommand::Unblock => view.unblock(),
            TicketCommand::List { price, edition } => view.list(*price, *edition),
            TicketCommand::Sell { user, hold, unlisted } => view.sell(user, hold, *unlisted),
            TicketCommand::Reset { up_to } => view.reset(*up_to),
            TicketCommand::Cleanup => view.reset(self.version),
        }
    }

    fn apply(&mut self, event: &TicketEvent) {
        if event.is_change() {
            self.version = self.version.saturating_add(1);
            self.at = event.at;
        }
        if let Some(state) = &event.moved {
            self.state = state.clone();
        }
        if event.listed.is_some() {
            self.listing = event.listed;
        }
        for id in &event.ended {
            self.ended.add(id);
        }
    }
}
