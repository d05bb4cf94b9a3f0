//! A seat map that owns its seats: the one authority about who has which seat of it, and the unit of serialisation.
//!
//! ```text
//!  command ──▶ each seat's row of the table ──▶ all accept: one event, one version
//!                                          └──▶ one refuses: nothing, and the refusal names the seat
//! ```
//!
//! A command names one or many seats. All of them are judged at one effective time, and either all change or none does.
//! Beside its seats a map remembers which checkouts have ended here, and the last numbered wish under each hold; both by
//! time, so that a copy which comes late changes nothing.
//!
//! A host may load only as much of a map as a command [needs](SeatMapCommand::needs), and stores exactly what the event
//! lists. The layout is immutable under its edition, and no part of that.
//!
//! This file says what a map is and what can be asked of it. `map/turn.rs` judges a command, `map/table.rs` one seat.

mod layout;
mod picture;
mod table;
pub mod ticket;
mod timed;
mod turn;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use layout::{Layout, LayoutError, Place, Row};
pub use picture::Picture;

use crate::ids::{CheckoutId, HoldId, TicketId, UserId};
use crate::machine::{Machine, Transition};
use crate::money::Money;
use crate::terms::Terms;
use crate::time::Timestamp;
use table::Seat;
use ticket::{MakeClaim, Offer, Reserve, Ticket, TicketCommand, TicketRefusal, TicketState, TicketStatus, TicketView};
use timed::Timed;
use turn::Turn;

/// How many lapsed holds one turn takes away at most; the timer is then armed again. And how many ended checkouts, and wishes
/// under holds, one turn forgets at most.
pub const BATCH: usize = 256;

/// How many ended checkouts, and how many numbered holds, a map remembers at most. It refuses new ones rather than forget
/// one before its time.
pub const MEMORY: u64 = 20_000;

/// What a map is: what it remembers as a whole, and each seat that differs from the layout.
///
/// ```
/// use booking_core::TicketId;
/// use booking_core::map::SeatMap;
/// use booking_core::map::ticket::TicketStatus;
/// use booking_core::time::Timestamp;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // A map of which nothing is stored: every seat is as it was at first.
/// let map = SeatMap::from_parts(Default::default(), None, [], [], []);
/// let seat = map.view(&TicketId::parse("hall:7")?, Timestamp::from_millis(1_700_000_000_000));
/// assert_eq!((seat.status, map.version()), (TicketStatus::Available, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeatMap {
    header: Header,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layout: Option<Arc<Layout>>,
    tickets: Timed<TicketId, Ticket>,
    /// Checkouts that claim nothing here any more, and until when that has to be remembered.
    #[serde(default, skip_serializing_if = "Timed::is_empty")]
    ended: Timed<CheckoutId, Timestamp>,
    #[serde(default, skip_serializing_if = "Timed::is_empty")]
    last_wishes: Timed<HoldId, LastWish>,
}

/// What a map remembers as a whole. Written with each change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// How many changes the map has had. Never derived from its seats: they come and go, and a version names one claim.
    pub version: u64,
    /// The map's time: nothing is judged at an earlier one.
    pub at: Timestamp,
    /// How many layouts were published.
    pub edition: u64,
    /// When the map's timer fires, if it is armed. Never later than the first end of a hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub armed: Option<Timestamp>,
    /// How many seats are stored.
    pub tickets: u64,
    /// How many seats are sold.
    pub sold: u64,
    /// How many ended checkouts are remembered.
    pub ended: u64,
    /// How many numbered holds are remembered.
    pub last_wishes: u64,
}

/// The last accepted numbered wish under a hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastWish {
    /// Its number.
    pub last: u32,
    /// What was asked for.
    pub wish: Wish,
    /// The seats it named. None where a release without a number came after it: then it is used up.
    pub seats: Vec<TicketId>,
    /// Until when it is remembered: a copy of an older wish may arrive until then, or a seat is held.
    pub until: Timestamp,
}

/// What a buyer asks for under a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Wish {
    /// To hold seats.
    Reserve,
    /// To give them back.
    Release,
}

/// At least one seat of a map, each once, in the order of the caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<TicketId>", into = "Vec<TicketId>")]
pub struct Seats(Vec<TicketId>);

/// What is wrong with a list of seats.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeatsError {
    /// The list is empty.
    #[error("a command names at least one seat")]
    None,
    /// A seat is named twice.
    #[error("ticket {0} is named twice")]
    Duplicate(TicketId),
}

/// What can be asked of a map.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SeatMapCommand {
    /// Asks the same of each of these seats: all of them or none.
    Seats {
        /// The seats.
        seats: Seats,
        /// What is asked.
        command: TicketCommand,
    },
    /// Sets the price of seats (admin). On a map with a layout this publishes a new edition of it.
    List {
        /// The seats.
        seats: Seats,
        /// What the next hold will cost.
        price: Money,
    },
    /// Gives the map a layout, or a new one (admin; `layout` on the wire).
    Publish {
        /// The layout.
        layout: Arc<Layout>,
    },
    /// Puts every sold or blocked seat back on sale (admin). Holds stay.
    ResetAll,
    /// Forgets who bought seats that are sold (admin). What this buyer holds stays theirs.
    Erase {
        /// The buyer.
        user: UserId,
    },
    /// The map's timer fires (inner): early, late, twice, or one that is not armed any more.
    Expire {
        /// When it was armed for.
        due: Timestamp,
    },
}

/// How much of a map has to be loaded before a command is judged.
///
/// ```
/// use booking_core::map::{Header, Needs, SeatMap};
/// use booking_core::wire::{MapCall, SeatMapCall};
///
/// let call = MapCall::Map(SeatMapCall::Get);
/// assert!(matches!(call.needs(&Header::default()), Needs::All | Needs::AllAndLayout)); // every row of it is shown
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs<'a> {
    /// The header, and these parts as far as there are any.
    Parts(Parts<'a>),
    /// All of it but the layout.
    All,
    /// All of it.
    AllAndLayout,
}

/// Parts of a map.
///
/// ```
/// use booking_core::TicketId;
/// use booking_core::map::Parts;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let seats = [TicketId::parse("hall:7")?];
/// let parts = Parts::of(&seats); // the rows of these seats, and nothing else
/// assert_eq!((parts.seats.len(), parts.ending, parts.layout), (1, false, false));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The seats.
    pub seats: &'a [TicketId],
    /// The checkout whose end may be remembered.
    pub checkout: Option<&'a CheckoutId>,
    /// The hold whose last wish may be remembered.
    pub hold: Option<&'a HoldId>,
    /// Whether also what ends first: of the seats that are held [`Parts::ENDING`], and as many of the checkouts that have ended
    /// and of the wishes under holds. The order is that of their ends, and then of their names.
    pub ending: bool,
    /// Whether also the layout, or as much of it as these seats are.
    pub layout: bool,
}

impl<'a> Parts<'a> {
    /// How many of each kind end first, where `ending` is set.
    pub const ENDING: i64 = BATCH as i64 + 1;

    /// These seats, and nothing else.
    #[must_use]
    pub fn of(seats: &'a [TicketId]) -> Self {
        Self { seats, ..Self::default() }
    }
}

/// What an accepted command is answered with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SeatMapReply {
    /// To `Reserve`: the buyer's hold.
    Reserved {
        /// Its name.
        hold: HoldId,
        /// The earliest own end of these seats.
        until: Timestamp,
        /// What each seat costs, in the order of the command.
        prices: Vec<Money>,
    },
    /// To `Claim`.
    Claimed {
        /// What `Confirm` has to bring.
        fence: u64,
        /// What each seat costs, in the order of the command.
        prices: Vec<Money>,
    },
    /// To `Sell`.
    Sold {
        /// What each seat costs, in the order of the command.
        prices: Vec<Money>,
    },
    /// To `Publish` and `List` on a map with a layout.
    Published(Published),
    /// To `ResetAll`: how many seats were put back on sale.
    Reset {
        /// The number of seats.
        tickets: u64,
    },
    /// To `Erase`.
    Erased {
        /// How many sold seats have no buyer's name any more.
        tickets: u64,
        /// How many seats the buyer holds still.
        held: u64,
    },
    /// To everything else.
    Done,
}

/// What a new layout has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// The layout's edition, from 1.
    pub edition: u64,
    /// How many seats it has.
    pub tickets: u64,
    /// How many of them the layout before did not have.
    pub added: u64,
    /// How many seats of the layout before it does not have.
    pub removed: u64,
    /// How many seats have another price than before.
    pub repriced: u64,
}

/// Why a map refuses a command, and which seat is in the way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[error("{why}")]
#[serde(rename_all = "camelCase")]
pub struct SeatMapRefusal {
    /// The first seat, in the order of the command, that refuses; `None` where no single seat is the cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketId>,
    /// Why.
    pub why: TicketRefusal,
}

/// What one accepted command recorded, and exactly what a host stores for it. `None` in a list takes an entry away.
///
/// ```
/// use booking_core::format::write;
/// use booking_core::map::SeatMapEvent;
///
/// /// The rows that a host writes: name and value, or that there is none any more. The others of its parts go the same way.
/// fn rows(event: &SeatMapEvent) -> Vec<(String, Option<Vec<u8>>)> {
///     let header = ("header".to_owned(), Some(write(&event.header)));
///     let seats = event.tickets.iter().map(|(id, ticket)| (id.as_str().to_owned(), ticket.as_ref().map(write)));
///     std::iter::once(header).chain(seats).collect()
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeatMapEvent {
    /// The header from now on.
    pub header: Header,
    /// The seats that changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tickets: Vec<(TicketId, Option<Ticket>)>,
    /// The checkouts that have ended, and those whose end may be forgotten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<(CheckoutId, Option<Timestamp>)>,
    /// The last wishes under holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_wishes: Vec<(HoldId, Option<LastWish>)>,
    /// The layout, if this published one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Arc<Layout>>,
}

/// The messages that a change brings about, sent one way and at least once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeatMapNotices {
    /// To the map's watchers.
    pub watchers: Option<News>,
    /// To the map's one timer: fire at this time, with [`SeatMapCommand::Expire`].
    pub timer: Option<Timestamp>,
}

/// What the watchers of a map hear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum News {
    /// One change. A watcher that misses a version sees the gap.
    Changed(Delta),
    /// There is another layout: each seat may look different.
    Republished {
        /// The map's version after it.
        version: u64,
    },
}

/// One change of a map: each seat that it changed, all at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delta {
    /// The map's version after it.
    pub version: u64,
    /// The seats, and their status now.
    pub seats: Vec<(TicketId, TicketStatus)>,
}

impl News {
    /// The seats that it names, with their status: none of a layout, after which each may look different.
    #[must_use]
    pub fn seats(&self) -> &[(TicketId, TicketStatus)] {
        match self {
            Self::Changed(delta) => &delta.seats,
            Self::Republished { .. } => &[],
        }
    }

    /// The map's version after the change.
    #[must_use]
    pub fn version(&self) -> u64 {
        match self {
            Self::Changed(Delta { version, .. }) | Self::Republished { version } => *version,
        }
    }
}

/// How many seats of a map are what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The map's version.
    pub version: u64,
    /// On sale, those of the layout of which nothing is stored among them.
    pub available: u64,
    /// Held.
    pub reserved: u64,
    /// Sold.
    pub sold: u64,
    /// Off sale.
    pub blocked: u64,
}

impl Seats {
    /// These seats.
    ///
    /// # Errors
    /// [`SeatsError`] when there are none, or names the first that is named twice.
    pub fn new(seats: Vec<TicketId>) -> Result<Self, SeatsError> {
        if seats.is_empty() {
            return Err(SeatsError::None);
        }
        let mut seen = BTreeSet::new();
        match seats.iter().find(|seat| !seen.insert(*seat)) {
            Some(twice) => Err(SeatsError::Duplicate(twice.clone())),
            None => Ok(Self(seats)),
        }
    }

    /// The first seat.
    ///
    /// # Panics
    /// Never: there is one.
    #[must_use]
    pub fn first(&self) -> &TicketId {
        self.0.first().expect("at least one seat")
    }

    /// The seats, in the order of the caller.
    #[must_use]
    pub fn as_slice(&self) -> &[TicketId] {
        &self.0
    }
}

impl TryFrom<Vec<TicketId>> for Seats {
    type Error = SeatsError;
    fn try_from(seats: Vec<TicketId>) -> Result<Self, SeatsError> {
        Self::new(seats)
    }
}

impl From<Seats> for Vec<TicketId> {
    fn from(seats: Seats) -> Self {
        seats.0
    }
}

impl From<TicketId> for Seats {
    fn from(seat: TicketId) -> Self {
        Self(vec![seat])
    }
}

impl SeatMapCommand {
    /// The seats that it names.
    #[must_use]
    pub fn seats(&self) -> &[TicketId] {
        match self {
            Self::Seats { seats, .. } | Self::List { seats, .. } => seats.as_slice(),
            Self::Publish { .. } | Self::ResetAll | Self::Erase { .. } | Self::Expire { .. } => &[],
        }
    }

    /// How much of the map has to be loaded before this is judged. Whether a map that keeps all of itself in memory or one
    /// that loads parts judges it, the answer and the event are the same. For a call that comes from outside there is
    /// [`MapCall::needs`](crate::wire::MapCall::needs).
    #[must_use]
    pub fn needs(&self, header: &Header) -> Needs<'_> {
        match self {
            // What seats cost is in the command.
            Self::Seats { seats, command } => match command {
                TicketCommand::Claim(MakeClaim { checkout, hold, .. }) => {
                    Needs::of_claim(seats.as_slice(), checkout, hold, header)
                }
                TicketCommand::Reserve(Reserve { hold, nth, .. }) | TicketCommand::Release { hold, nth, .. } => {
                    Needs::of_wish(seats.as_slice(), hold, *nth, header)
                }
                TicketCommand::Confirm { checkout, .. } | TicketCommand::Revoke { checkout, .. } => {
                    Needs::Parts(Parts { checkout: Some(checkout), ..Parts::of(seats.as_slice()) })
                }
                TicketCommand::Block { .. }
                | TicketCommand::Unblock
                | TicketCommand::Sell { .. }
                | TicketCommand::Recall { .. } => Needs::Parts(Parts::of(seats.as_slice())),
                // It ends sales, and remembers their checkouts.
                TicketCommand::Reset { .. } => Needs::All,
            },
            Self::List { .. } | Self::Publish { .. } => Needs::AllAndLayout,
            Self::ResetAll | Self::Erase { .. } => Needs::All,
            Self::Expire { .. } => Needs::Parts(Parts { ending: true, ..Parts::default() }),
        }
    }
}

impl<'a> Needs<'a> {
    /// What a claim needs. A full map makes room by forgetting what may be forgotten.
    pub(crate) fn of_claim(seats: &'a [TicketId], checkout: &'a CheckoutId, hold: &'a HoldId, header: &Header) -> Self {
        let ending = header.ended >= MEMORY;
        Self::Parts(Parts { checkout: Some(checkout), hold: Some(hold), ending, ..Parts::of(seats) })
    }

    /// What a buyer's wish under a hold needs.
    pub(crate) fn of_wish(seats: &'a [TicketId], hold: &'a HoldId, nth: Option<u32>, header: &Header) -> Self {
        let ending = nth.is_some() && header.last_wishes >= MEMORY;
        Self::Parts(Parts { hold: Some(hold), ending, ..Parts::of(seats) })
    }

    /// The same, with what the seats cost.
    pub(crate) fn with_layout(self) -> Self {
        match self {
            Self::Parts(parts) => Self::Parts(Parts { layout: true, ..parts }),
            Self::All | Self::AllAndLayout => Self::AllAndLayout,
        }
    }
}

impl SeatMap {
    /// A map put together from what a host has stored of it, or from as much of that as a command
    /// [needs](SeatMapCommand::needs).
    #[must_use]
    pub fn from_parts(
        header: Header,
        layout: Option<Arc<Layout>>,
        tickets: impl IntoIterator<Item = (TicketId, Ticket)>,
        ended: impl IntoIterator<Item = (CheckoutId, Timestamp)>,
        last_wishes: impl IntoIterator<Item = (HoldId, LastWish)>,
    ) -> Self {
        let (tickets, ended) = (tickets.into_iter().collect(), ended.into_iter().collect());
        Self { header, layout, tickets, ended, last_wishes: last_wishes.into_iter().collect() }
    }

    /// What it remembers as a whole.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How many changes it has had.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.header.version
    }

    /// The map's version at the last change of a seat; its version now where nothing is stored of the seat.
    #[must_use]
    pub fn version_of(&self, seat: &TicketId) -> u64 {
        self.ticket(seat).map_or(self.version(), |ticket| ticket.version)
    }

    /// Whether the host asks the map to put all seats back on sale, as enough are sold. That is for trying things
    /// ([`Terms::auto_reset_at`]), and off by default.
    #[must_use]
    pub fn wants_reset(&self, terms: &Terms) -> bool {
        terms.auto_reset_at.is_some_and(|most| self.header.sold >= most.into())
    }

    /// The layout, if one was published.
    #[must_use]
    pub fn layout(&self) -> Option<&Arc<Layout>> {
        self.layout.as_ref()
    }

    /// Every seat that is stored, by id.
    pub fn tickets(&self) -> impl Iterator<Item = (&TicketId, &Ticket)> {
        self.tickets.iter()
    }

    /// The checkouts that claim nothing here any more, and until when that is remembered.
    pub fn ended(&self) -> impl Iterator<Item = (&CheckoutId, Timestamp)> {
        self.ended.iter().map(|(checkout, deadline)| (checkout, *deadline))
    }

    /// Until when it is remembered that a checkout has ended; `None` where it is not.
    #[must_use]
    pub fn ended_at(&self, checkout: &CheckoutId) -> Option<Timestamp> {
        self.ended.get(checkout).copied()
    }

    /// The last numbered wish under a hold.
    #[must_use]
    pub fn last_wish(&self, hold: &HoldId) -> Option<&LastWish> {
        self.last_wishes.get(hold)
    }

    /// The last numbered wish under each hold.
    pub fn last_wishes(&self) -> impl Iterator<Item = (&HoldId, &LastWish)> {
        self.last_wishes.iter()
    }

    /// The stored row of a seat; `None` where the seat is on sale at its price in the layout.
    #[must_use]
    pub fn ticket(&self, seat: &TicketId) -> Option<&Ticket> {
        self.tickets.get(seat)
    }

    /// What a seat is at a point in time. Records nothing.
    #[must_use]
    pub fn view(&self, seat: &TicketId, now: Timestamp) -> TicketView {
        match self.ticket(seat) {
            Some(ticket) => ticket.get(now.max(self.header.at)),
            None => TicketView {
                status: TicketStatus::Available,
                reserved_by: None,
                hold: None,
                reserved_until: None,
                version: self.header.version,
            },
        }
    }

    /// Every seat with its status at a point in time: those of the layout in its order; without one, those that are
    /// stored, by id.
    pub fn get(&self, now: Timestamp) -> impl Iterator<Item = (&TicketId, TicketStatus)> {
        let now = now.max(self.header.at);
        self.names().map(move |seat| (seat, self.seat(seat, now).state.status()))
    }

    /// The seats that are shown, in order.
    fn names(&self) -> impl Iterator<Item = &TicketId> {
        let laid_out = self.layout.iter().flat_map(|layout| layout.places()).map(|place| &place.ticket);
        laid_out.chain(self.tickets.iter().map(|(id, _)| id).filter(|_| self.layout.is_none()))
    }

    /// The price that the map has for a seat: what an operator has set, or else its layout; `None` where it has none.
    #[must_use]
    pub fn price(&self, seat: &TicketId) -> Option<Money> {
        let listed = self.tickets.get(seat).and_then(|ticket| ticket.listed);
        listed.or_else(|| self.layout.as_ref()?.place(seat).map(|place| place.price))
    }

    /// Whether a command blocks a seat that the layout does not have. A host refuses it
    /// ([`TicketNotForSale`](TicketRefusal::TicketNotForSale)): such a seat is shown nowhere, and would keep each later layout
    /// from being published.
    #[must_use]
    pub fn blocks_outside_layout(&self, command: &SeatMapCommand) -> bool {
        // A new command that leaves something with a seat belongs to the first row.
        let leaves_something = match command {
            SeatMapCommand::Seats { command, .. } => match command {
                TicketCommand::Block { .. } => true,
                TicketCommand::Reserve(_)
                | TicketCommand::Claim(_)
                | TicketCommand::Confirm { .. }
                | TicketCommand::Revoke { .. }
                | TicketCommand::Release { .. }
                | TicketCommand::Unblock
                | TicketCommand::Sell { .. }
                | TicketCommand::Recall { .. }
                | TicketCommand::Reset { .. } => false,
            },
            SeatMapCommand::List { .. }
            | SeatMapCommand::Publish { .. }
            | SeatMapCommand::ResetAll
            | SeatMapCommand::Erase { .. }
            | SeatMapCommand::Expire { .. } => false,
        };
        leaves_something
            && self.layout.as_ref().is_some_and(|layout| command.seats().iter().any(|id| layout.place(id).is_none()))
    }

    /// What these seats cost, read from this map. `default_price` is the price of a seat on a map without a layout, where an operator has
    /// listed none; `None` where such maps sell nothing. `room` is how many seats such a map may store.
    #[must_use]
    pub fn offer(&self, seats: &Seats, default_price: Option<Money>, room: u64) -> Offer {
        let price = |seat| match &self.layout {
            Some(layout) => layout.place(seat).map(|place| place.price),
            None => default_price,
        };
        let prices = seats.as_slice().iter().map(price).collect();
        Offer { edition: self.header.edition, prices, room }
    }

    /// What is recorded of a seat's state.
    fn state(&self, seat: &TicketId) -> &TicketState {
        self.tickets.get(seat).map_or(&TicketState::Available, |ticket| &ticket.state)
    }

    /// A seat at a point in time.
    fn seat(&self, seat: &TicketId, now: Timestamp) -> Seat {
        Seat::at(self.state(seat), now)
    }
}

impl crate::machine::sealed::Sealed for SeatMap {}

impl Machine for SeatMap {
    type Command = SeatMapCommand;
    type Event = SeatMapEvent;
    type Reply = SeatMapReply;
    type Refusal = SeatMapRefusal;
    type Notices = SeatMapNotices;

    fn decide(&self, command: &SeatMapCommand, now: Timestamp) -> Result<Transition<Self>, SeatMapRefusal> {
        let turn = Turn::at(self, now);
        match command {
            SeatMapCommand::Seats { seats, command } => turn.seats(seats.as_slice(), command),
            SeatMapCommand::List { seats, price } => turn.list(seats.as_slice(), *price),
            SeatMapCommand::Publish { layout } => turn.publish(layout),
            SeatMapCommand::ResetAll => turn.reset_all(),
            SeatMapCommand::Erase { user } => turn.erase(user),
            SeatMapCommand::Expire { due } => turn.expire(*due),
        }
    }

    fn apply(&mut self, event: &SeatMapEvent) {
        self.header = event.header;
        event.tickets.iter().cloned().for_each(|(id, ticket)| self.tickets.put(id, ticket));
        event.ended.iter().cloned().for_each(|(id, deadline)| self.ended.put(id, deadline));
        event.last_wishes.iter().cloned().for_each(|(id, last_wish)| self.last_wishes.put(id, last_wish));
        if event.layout.is_some() {
            self.layout.clone_from(&event.layout);
        }
    }
}
