//! The view of many tickets: what a page shows. A projection that converges, never an authority.
//!
//! ```text
//!  Ticket ──(status, version)──▶ SeatMap ──(mapVersion, ticketId, status)──▶ watchers
//!  Ticket ◀──(list, reset)────── SeatMap
//! ```
//!
//! An update is taken iff it is newer than what the map has for that ticket, so duplicates and reordering do no harm.
//! Work for every ticket of the map (listing a layout, resetting) goes out in batches: each batch ends with an
//! [`Errand`] that the map sends to itself, so no turn is longer than [`BATCH`] messages and a crash loses none.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use crate::ids::TicketId;
use crate::machine::{Machine, Transition};
pub use crate::map::{Layout, LayoutError, Place, Row};
use crate::ticket::{TicketCommand, TicketStatus};
use crate::time::Timestamp;

/// How many tickets one turn of a map writes to at most.
pub const BATCH: usize = 256;

/// What a map knows: its tickets as last heard of, and its layout if it has one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeatMap {
    version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layout: Option<Layout>,
    #[serde(default)]
    edition: u64,
    tickets: BTreeMap<TicketId, Seat>,
}

/// A map without its seats, for hosts that store these one by one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// The layout.
    pub layout: Layout,
    /// Its edition.
    pub edition: u64,
    /// The map's version when this was asked, which is after the layout was published.
    pub version: u64,
}

/// A ticket as the map last heard of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seat {
    /// Its status.
    pub status: TicketStatus,
    /// The ticket's version that this is from.
    pub version: u64,
    /// The map's version at which it was heard.
    pub heard: u64,
}

/// What can be asked of a map.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SeatMapCommand {
    /// A ticket tells what it is now (inner).
    Update {
        /// The ticket.
        ticket: TicketId,
        /// Its status.
        status: TicketStatus,
        /// Its version.
        version: u64,
        /// How many sold tickets reset the map; off where `None`.
        auto_reset_at: Option<u32>,
    },
    /// Gives the map a layout, or a new one, and lists each of its tickets (admin; `layout` on the wire).
    Publish {
        /// The layout.
        layout: Layout,
    },
    /// Resets every ticket the map knows, at the version it knows (admin).
    ResetAll,
    /// Goes on with work that did not fit in one turn (inner).
    Continue(Errand),
}

/// Work for every ticket of a map, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Errand {
    /// List the seats of this edition of the layout, from this one on.
    List {
        /// The edition; another one's errand takes over.
        edition: u64,
        /// How many seats are done.
        done: u64,
    },
    /// Reset the tickets the map had heard of by this version of its own.
    Reset {
        /// The map's version when it was asked. A ticket heard of since then is left alone.
        as_of: u64,
        /// The last ticket that is done.
        after: TicketId,
    },
}

/// What an accepted command is answered with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SeatMapReply {
    /// To `Publish`: how many tickets are being listed.
    Published {
        /// So many.
        tickets: u64,
        /// The layout's edition, from 1.
        edition: u64,
    },
    /// To `ResetAll`: how many tickets are being reset.
    Resetting {
        /// So many.
        tickets: u64,
    },
    /// To the rest.
    Done,
}

/// What a map recorded. Each raises the map's version by one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SeatMapEvent {
    /// A ticket's newer state was taken.
    Updated {
        /// The ticket.
        ticket: TicketId,
        /// Its status.
        status: TicketStatus,
        /// Its version.
        version: u64,
    },
    /// A layout was published.
    Published {
        /// The layout.
        layout: Layout,
    },
}

/// What others are told, one way and at least once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeatMapNotices {
    /// To the map's watchers.
    pub watchers: Option<News>,
    /// To tickets, at most [`BATCH`] of them.
    pub tickets: Vec<(TicketId, TicketCommand)>,
    /// To the map itself, after these: go on with this.
    pub go_on: Option<Errand>,
}

/// What the watchers of a map hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// One change. A watcher that misses a version sees the gap.
    Changed(Delta),
    /// Everything may look different, send them the layout and a snapshot.
    Republished {
        /// The map's version.
        version: u64,
    },
}

/// One change of a map, as its watchers hear of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Delta {
    /// The map's version after it.
    pub version: u64,
    /// The ticket.
    pub id: TicketId,
    /// Its status.
    pub status: TicketStatus,
}

/// How many tickets of a map are what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The map's version.
    pub version: u64,
    /// On sale, those of the layout that were never heard of among them.
    pub available: u64,
    /// Held.
    pub reserved: u64,
    /// Sold.
    pub sold: u64,
    /// Off sale.
    pub blocked: u64,
}

impl SeatMap {
    /// A map put together again by a host that stores it in parts: what [`SeatMap::published`] gave when a layout was
    /// published last, and each seat as it was last, in any order.
    #[must_use]
    pub fn restored(published: Option<Published>, seats: impl IntoIterator<Item = (TicketId, Seat)>) -> Self {
        let (layout, edition, since) = published.map_or((None, 0, 0), |it| (Some(it.layout), it.edition, it.version));
        let tickets: BTreeMap<TicketId, Seat> = seats.into_iter().collect();
        // Each change of the map is either a seat heard of or a layout published.
        let version = tickets.values().map(|seat| seat.heard).fold(since, u64::max);
        Self { version, layout, edition, tickets }
    }

    /// As much of a map as an [`Update`](SeatMapCommand::Update) by this ticket needs, for hosts that would rather not
    /// read all of it: the map's version, and the seat as it was last heard of (others do no harm). Not enough where a map is to be reset
    /// when it is full (`auto_reset_at`), which takes the whole.
    #[must_use]
    pub fn around(version: u64, seats: impl IntoIterator<Item = (TicketId, Seat)>) -> Self {
        Self { version, layout: None, edition: 0, tickets: seats.into_iter().collect() }
    }

    /// The layout and what goes with it, for hosts that store a map in parts. Store it when a layout was published.
    #[must_use]
    pub fn published(&self) -> Option<Published> {
        let layout = self.layout.clone()?;
        Some(Published { layout, edition: self.edition, version: self.version })
    }

    /// Every ticket the map has heard of, by id.
    pub fn seats(&self) -> impl Iterator<Item = (&TicketId, &Seat)> {
        self.tickets.iter()
    }

    /// How many changes the map has had.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The layout, if one was published.
    #[must_use]
    pub fn layout(&self) -> Option<&Layout> {
        self.layout.as_ref()
    }

    /// The edition of the layout: how often one was published.
    #[must_use]
    pub fn edition(&self) -> u64 {
        self.edition
    }

    /// A ticket as the map last heard of it; `None` where it never has.
    #[must_use]
    pub fn seat(&self, ticket: &TicketId) -> Option<&Seat> {
        self.tickets.get(ticket)
    }

    /// Every ticket with its status: in the layout's order, then by id. A seat of the layout that was never heard of
    /// is on sale.
    pub fn get(&self) -> impl Iterator<Item = (&TicketId, TicketStatus)> {
        let places = || self.layout.iter().flat_map(Layout::places).map(|place| &place.ticket);
        let placed: BTreeSet<_> = places().collect();
        let status = |ticket| self.tickets.get(ticket).map_or(TicketStatus::Available, |seat| seat.status);
        let rest = self.tickets.keys().filter(move |ticket| !placed.contains(ticket));
        places().chain(rest).map(move |ticket| (ticket, status(ticket)))
    }

    /// Counts by status.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = Summary { version: self.version, ..Summary::default() };
        for (_, status) in self.get() {
            match status {
                TicketStatus::Available => summary.available += 1,
                TicketStatus::Reserved => summary.reserved += 1,
                TicketStatus::Sold => summary.sold += 1,
                TicketStatus::Blocked => summary.blocked += 1,
            }
        }
        summary
    }

    fn update(&self, ticket: &TicketId, status: TicketStatus, version: u64, auto_reset_at: Option<u32>) -> Decision {
        let known = self.tickets.get(ticket);
        if known.is_some_and(|seat| seat.version >= version) {
            return accept(None, SeatMapReply::Done, SeatMapNotices::default());
        }
        let event = SeatMapEvent::Updated { ticket: ticket.clone(), status, version };
        let newly_sold = status == TicketStatus::Sold && known.is_none_or(|seat| seat.status != TicketStatus::Sold);
        let full = auto_reset_at.is_some_and(|limit| newly_sold && self.sold() + 1 >= u64::from(limit));
        let mut notices = SeatMapNotices::default();
        if full {
            // Seen from the map as it will be with this update in it.
            let mut updated = self.clone();
            updated.apply(&event);
            notices = updated.reset(updated.version, None);
        }
        notices.watchers =
            Some(News::Changed(Delta { version: self.version.saturating_add(1), id: ticket.clone(), status }));
        accept(Some(event), SeatMapReply::Done, notices)
    }

    fn sold(&self) -> u64 {
        self.tickets.values().filter(|seat| seat.status == TicketStatus::Sold).count() as u64
    }

    fn publish(&self, layout: &Layout) -> Decision {
        if self.layout.as_ref() == Some(layout) {
            let tickets = layout.places().count() as u64;
            let reply = SeatMapReply::Published { tickets, edition: self.edition };
            return accept(None, reply, SeatMapNotices::default());
        }
        let edition = self.edition.saturating_add(1);
        let reply = SeatMapReply::Published { tickets: layout.places().count() as u64, edition };
        let watchers = Some(News::Republished { version: self.version.saturating_add(1) });
        let notices = SeatMapNotices { watchers, ..list(layout, edition, 0) };
        accept(Some(SeatMapEvent::Published { layout: layout.clone() }), reply, notices)
    }

    fn reset_all(&self) -> Decision {
        let reply = SeatMapReply::Resetting { tickets: self.tickets.len() as u64 };
        accept(None, reply, self.reset(self.version, None))
    }

    fn go_on(&self, errand: &Errand) -> Decision {
        let notices = match (errand, &self.layout) {
            (Errand::List { edition, done }, Some(layout)) if *edition == self.edition => list(layout, *edition, *done),
            (Errand::List { .. }, _) => SeatMapNotices::default(),
            (Errand::Reset { as_of, after }, _) => self.reset(*as_of, Some(after)),
        };
        accept(None, SeatMapReply::Done, notices)
    }

    /// Resets the next batch of tickets that were heard of by `as_of`.
    fn reset(&self, as_of: u64, after: Option<&TicketId>) -> SeatMapNotices {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let left = self.tickets.range::<TicketId, _>((from, Bound::Unbounded));
        let due = left.filter(|(_, seat)| seat.heard <= as_of);
        let resets = due.map(|(ticket, seat)| (ticket, TicketCommand::Reset { up_to: seat.version }));
        batch(resets, |last| Errand::Reset { as_of, after: last.clone() })
    }
}

/// Lists the next batch of a layout's seats.
fn list(layout: &Layout, edition: u64, done: u64) -> SeatMapNotices {
    let command = |price| TicketCommand::List { price, edition: Some(edition) };
    let left = layout.places().skip(usize::try_from(done).unwrap_or(usize::MAX));
    let lists = left.map(|place| (&place.ticket, command(place.price)));
    batch(lists, |_| Errand::List { edition, done: done.saturating_add(BATCH as u64) })
}

/// The first [`BATCH`] messages, and an errand for what is left after the last of them.
fn batch<'a>(
    mut messages: impl Iterator<Item = (&'a TicketId, TicketCommand)>,
    rest: impl FnOnce(&TicketId) -> Errand,
) -> SeatMapNotices {
    let first = messages.by_ref().take(BATCH).map(|(ticket, command)| (ticket.clone(), command));
    let tickets: Vec<_> = first.collect();
    let more = messages.next().is_some();
    let go_on = tickets.last().filter(|_| more).map(|(last, _)| rest(last));
    SeatMapNotices { watchers: None, tickets, go_on }
}

type Decision = Result<Transition<SeatMap>, Infallible>;

fn accept(event: Option<SeatMapEvent>, reply: SeatMapReply, notices: SeatMapNotices) -> Decision {
    Ok(Transition { event, reply, notices })
}

impl Machine for SeatMap {
    type Command = SeatMapCommand;
    type Event = SeatMapEvent;
    type Reply = SeatMapReply;
    /// A map refuses nothing: what is older than it knows, it leaves alone.
    type Refusal = Infallible;
    type Notices = SeatMapNotices;

    fn decide(&self, command: &SeatMapCommand, _now: Timestamp) -> Decision {
        match command {
            SeatMapCommand::Update { ticket, status, version, auto_reset_at } => {
                self.update(ticket, *status, *version, *auto_reset_at)
            }
            SeatMapCommand::Publish { layout } => self.publish(layout),
            SeatMapCommand::ResetAll => self.reset_all(),
            SeatMapCommand::Continue(errand) => self.go_on(errand),
        }
    }

    fn apply(&mut self, event: &SeatMapEvent) {
        self.version = self.version.saturating_add(1);
        match event {
            SeatMapEvent::Updated { ticket, status, version } => {
                let seat = Seat { status: *status, version: *version, heard: self.version };
                self.tickets.insert(ticket.clone(), seat);
            }
            SeatMapEvent::Published { layout } => {
                self.edition = self.edition.saturating_add(1);
                self.layout = Some(layout.clone());
            }
        }
    }
}
