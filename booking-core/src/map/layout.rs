//! What seats a map has: rows, prices, and where to draw them. Immutable: another layout is another edition.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::ids::TicketId;
use crate::money::Money;

/// Rows of seats, each with a price and a place to draw it. No ticket stands in it twice, and no two seats of a row have one
/// name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "Vec<Row>")]
pub struct Layout {
    rows: Vec<Row>,
    /// Row and seat of each ticket, by its id.
    by_id: Vec<(u32, u32)>,
}

/// One row of a layout.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// What people call it.
    pub name: String,
    /// Its seats, in order.
    pub seats: Vec<Place>,
}

/// One seat of a layout.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The ticket.
    pub ticket: TicketId,
    /// What stands on the seat, where that is not what its id [ends with](TicketId::seat_name).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Arc<str>>,
    /// What the layout lists it at.
    pub price: Money,
    /// Where to draw it: units to the right of the drawing's left edge.
    pub x: u32,
    /// Where to draw it: units below the drawing's top edge.
    pub y: u32,
}

/// What is wrong with a layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A ticket stands in it twice.
    #[error("ticket {0} stands in the layout twice")]
    DuplicateSeat(TicketId),
    /// A seat has the name of another one of its row.
    #[error("ticket {0} has the name of another seat of its row")]
    DuplicateName(TicketId),
}

impl Place {
    /// What people call the seat, within its row.
    #[must_use]
    pub fn name(&self) -> &str {
        self.label.as_deref().unwrap_or_else(|| self.ticket.seat_name())
    }
}

impl Layout {
    /// A layout of these rows.
    ///
    /// # Errors
    /// [`LayoutError`] names the first ticket that stands in it twice, or else the first with another one's name.
    pub fn new(rows: Vec<Row>) -> Result<Self, LayoutError> {
        let layout = Self::try_from(rows)?;
        let alike = layout.rows.iter().find_map(|row| {
            let mut names = BTreeSet::new();
            row.seats.iter().find(|place| !names.insert(place.name()))
        });
        match alike {
            Some(place) => Err(LayoutError::DuplicateName(place.ticket.clone())),
            None => Ok(layout),
        }
    }

    /// From storage. What seats are called is looked at when a layout is published, and never again.
    fn stored(mut rows: Vec<Row>) -> Result<Self, LayoutError> {
        // It is kept for long, and there are many.
        rows.iter_mut().for_each(|row| row.seats.shrink_to_fit());
        let narrow = |index| u32::try_from(index).expect("a layout has fewer seats than 2^32");
        let seats = rows.iter().enumerate().flat_map(|(r, row)| (0..row.seats.len()).map(move |s| (r, s)));
        let mut by_id: Vec<(u32, u32)> = seats.map(|(r, s)| (narrow(r), narrow(s))).collect();
        let ticket = |at: &(u32, u32)| &place_at(&rows, *at).ticket;
        by_id.sort_by(|one, other| ticket(one).cmp(ticket(other)).then(one.cmp(other)));
        // The later one of two is the one that stands in it again.
        let twice = by_id.windows(2).filter(|pair| ticket(&pair[0]) == ticket(&pair[1])).map(|pair| pair[1]).min();
        match twice {
            Some(at) => Err(LayoutError::DuplicateSeat(place_at(&rows, at).ticket.clone())),
            None => Ok(Self { rows, by_id }),
        }
    }

    /// The rows, in order.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The seats of all rows, in order.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.rows.iter().flat_map(|row| &row.seats)
    }

    /// How many seats it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether it has no seat.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// One of its seats.
    #[must_use]
    pub fn place(&self, ticket: &TicketId) -> Option<&Place> {
        let found = self.by_id.binary_search_by(|at| place_at(&self.rows, *at).ticket.cmp(ticket)).ok()?;
        Some(place_at(&self.rows, self.by_id[found]))
    }

    /// The same seats, these at another price.
    ///
    /// # Errors
    /// The first ticket that it does not have.
    pub fn repriced(&self, tickets: &[TicketId], price: Money) -> Result<Self, TicketId> {
        let mut layout = self.clone();
        for ticket in tickets {
            let found = self.by_id.binary_search_by(|at| place_at(&self.rows, *at).ticket.cmp(ticket));
            let (row, seat) = self.by_id[found.map_err(|_| ticket.clone())?];
            layout.rows[row as usize].seats[seat as usize].price = price;
        }
        Ok(layout)
    }
}

fn place_at(rows: &[Row], (row, seat): (u32, u32)) -> &Place {
    &rows[row as usize].seats[seat as usize]
}

impl TryFrom<Vec<Row>> for Layout {
    type Error = LayoutError;
    fn try_from(rows: Vec<Row>) -> Result<Self, LayoutError> {
        Self::stored(rows)
    }
}

/// As its rows.
impl Serialize for Layout {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rows.serialize(serializer)
    }
}
