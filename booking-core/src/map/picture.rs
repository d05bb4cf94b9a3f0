//! A map as it is shown: its seats in order, and how each stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ticket::TicketStatus;
use super::{Layout, SeatMap, SeatMapEvent, Summary};
use crate::ids::TicketId;
use crate::time::Timestamp;

/// How each seat of a map stands: those of its layout in its order; without one, those of which anything is stored, by id.
///
/// A host that keeps one beside a map [changes](Picture::apply) it with each event, and then need not go through all seats to show
/// them. What follows from that is what is [recorded](SeatMap::recorded).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    version: u64,
    edition: u64,
    seats: Seats,
    counts: Counts,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seats {
    LaidOut { layout: Arc<Layout>, statuses: Vec<TicketStatus> },
    Named(BTreeMap<TicketId, TicketStatus>),
}

/// How many seats have each status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts([u64; 4]);

impl Counts {
    fn of(&mut self, status: TicketStatus) -> &mut u64 {
        &mut self.0[match status {
            TicketStatus::Available => 0,
            TicketStatus::Reserved => 1,
            TicketStatus::Sold => 2,
            TicketStatus::Blocked => 3,
        }]
    }

    fn change(&mut self, before: Option<TicketStatus>, after: Option<TicketStatus>) {
        if let Some(before) = before {
            let count = self.of(before);
            *count = count.saturating_sub(1);
        }
        if let Some(after) = after {
            *self.of(after) += 1;
        }
    }
}

impl Picture {
    fn of<'a>(map: &'a SeatMap, statuses: impl Iterator<Item = (&'a TicketId, TicketStatus)>) -> Self {
        let seats = match map.layout() {
            Some(layout) => {
                let statuses = statuses.map(|(_, status)| status).collect();
                Seats::LaidOut { layout: Arc::clone(layout), statuses }
            }
            None => Seats::Named(statuses.map(|(id, status)| (id.clone(), status)).collect()),
        };
        let mut picture =
            Self { version: map.version(), edition: map.header().edition, seats, counts: Counts::default() };
        let mut counts = Counts::default();
        picture.seats().for_each(|(_, status)| counts.change(None, Some(status)));
        picture.counts = counts;
        picture
    }

    /// The map's version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The edition of its layout; 0 where it has none.
    #[must_use]
    pub fn edition(&self) -> u64 {
        self.edition
    }

    /// Whether its seats are those of a layout.
    #[must_use]
    pub fn is_laid_out(&self) -> bool {
        matches!(self.seats, Seats::LaidOut { .. })
    }

    /// The seats in order, with their status.
    pub fn seats(&self) -> impl Iterator<Item = (&TicketId, TicketStatus)> {
        let (laid_out, named) = match &self.seats {
            Seats::LaidOut { layout, statuses } => (Some((layout, statuses)), None),
            Seats::Named(named) => (None, Some(named)),
        };
        let laid_out = laid_out
            .into_iter()
            .flat_map(|(layout, statuses)| layout.places().map(|place| &place.ticket).zip(statuses.iter().copied()));
        laid_out.chain(named.into_iter().flatten().map(|(id, status)| (id, *status)))
    }

    /// How many seats are what.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let Counts([available, reserved, sold, blocked]) = self.counts;
        Summary { version: self.version, available, reserved, sold, blocked }
    }

    /// Takes in what an event has changed, where it is what was recorded before it. `map` is the map after it.
    pub fn apply(&mut self, event: &SeatMapEvent, map: &SeatMap) {
        if event.layout.is_some() {
            *self = map.recorded();
            return;
        }
        (self.version, self.edition) = (event.header.version, event.header.edition);
        for (id, ticket) in &event.tickets {
            self.put(id, ticket.as_ref().map(|ticket| ticket.state.status()));
        }
    }

    /// The same, where these seats stand otherwise: those whose time is over, as [`SeatMap::lapsed`] tells.
    #[must_use]
    pub fn with(mut self, seats: impl IntoIterator<Item = (TicketId, TicketStatus)>) -> Self {
        seats.into_iter().for_each(|(id, status)| self.put(&id, Some(status)));
        self
    }

    /// A seat has this status from now on; `None` where nothing is stored of it any more.
    fn put(&mut self, id: &TicketId, status: Option<TicketStatus>) {
        match &mut self.seats {
            Seats::LaidOut { layout, statuses } => {
                // What the layout does not have is not shown.
                let Some(place) = layout.position(id).and_then(|at| statuses.get_mut(at)) else { return };
                let status = status.unwrap_or_default();
                self.counts.change(Some(*place), Some(status));
                *place = status;
            }
            Seats::Named(named) => {
                let before = match status {
                    Some(status) => named.insert(id.clone(), status),
                    None => named.remove(id),
                };
                self.counts.change(before, status);
            }
        }
    }
}

impl SeatMap {
    /// What is shown of the map at a point in time. Takes as long as it has seats.
    #[must_use]
    pub fn picture(&self, now: Timestamp) -> Picture {
        Picture::of(self, self.get(now))
    }

    /// What is shown of the map as it is recorded: a hold whose time is over is still there until the map has taken it back.
    #[must_use]
    pub fn recorded(&self) -> Picture {
        Picture::of(self, self.names().map(|seat| (seat, self.state(seat).status())))
    }

    /// The seats whose hold has ended by then and that the map has not taken back yet, with what they are: few, as the map's timer
    /// takes them back.
    pub fn lapsed(&self, now: Timestamp) -> impl Iterator<Item = (TicketId, TicketStatus)> {
        let now = now.max(self.header.at);
        let over = self.tickets.ending().take_while(move |(end, _)| *end <= now);
        over.map(move |(_, id)| (id.clone(), self.seat(id, now).state.status()))
    }
}
