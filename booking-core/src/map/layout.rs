//! What seats a map has: rows, prices, and where to draw them. Immutable: another layout is another edition.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::ids::TicketId;
use crate::money::Money;

/// Rows of seats, each with a price and a place to draw it. No ticket stands in it twice, and no two seats of a row have one
/// name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<Row>")]
pub struct Layout {
    rows: Vec<Row>,
    /// Row and seat of each ticket, by the hash of its id: numbers side by side are searched faster than ids all over the memory.
    by_hash: Vec<(u64, At)>,
    /// How many seats the rows before each have.
    before: Vec<u32>,
}

/// Row and seat.
type At = (u32, u32);

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
#[non_exhaustive]
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
        let ats = seats.map(|(r, s)| (narrow(r), narrow(s)));
        let mut by_hash: Vec<(u64, At)> = ats.map(|at| (hash(&place_at(&rows, at).ticket), at)).collect();
        by_hash.sort_unstable();
        let ticket = |(_, at): &(u64, At)| &place_at(&rows, *at).ticket;
        // The later one of two is the one that stands in it again.
        let alike = by_hash.chunk_by(|one, other| one.0 == other.0);
        let again = alike.flat_map(|alike| {
            let stands_before = |i: &usize| alike[..*i].iter().any(|before| ticket(before) == ticket(&alike[*i]));
            (1..alike.len()).filter(stands_before).map(|i| alike[i].1)
        });
        match again.min() {
            Some(at) => Err(LayoutError::DuplicateSeat(place_at(&rows, at).ticket.clone())),
            None => {
                let lengths = rows.iter().map(|row| narrow(row.seats.len()));
                let before = lengths.scan(0, |seats, length| Some(std::mem::replace(seats, *seats + length))).collect();
                Ok(Self { rows, by_hash, before })
            }
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
        self.by_hash.len()
    }

    /// Whether it has no seat.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// One of its seats.
    #[must_use]
    pub fn place(&self, ticket: &TicketId) -> Option<&Place> {
        self.find(ticket).map(|at| place_at(&self.rows, at))
    }

    /// Where one of its seats stands in [`Layout::places`], from 0.
    #[must_use]
    pub fn position(&self, ticket: &TicketId) -> Option<usize> {
        self.find(ticket).map(|(row, seat)| (self.before[row as usize] + seat) as usize)
    }

    fn find(&self, ticket: &TicketId) -> Option<At> {
        let hash = hash(ticket);
        let first = first_from(&self.by_hash, hash);
        let alike = self.by_hash[first..].iter().take_while(|(one, _)| *one == hash).map(|(_, at)| *at);
        alike.into_iter().find(|at| place_at(&self.rows, *at).ticket == *ticket)
    }

    /// The same seats, these at another price.
    ///
    /// # Errors
    /// The first ticket that it does not have.
    pub fn repriced(&self, tickets: &[TicketId], price: Money) -> Result<Self, TicketId> {
        let mut layout = self.clone();
        for ticket in tickets {
            let (row, seat) = self.find(ticket).ok_or_else(|| ticket.clone())?;
            layout.rows[row as usize].seats[seat as usize].price = price;
        }
        Ok(layout)
    }
}

/// FNV-1a, with its high bits mixed as well as its low ones (the last steps of `SplitMix64`): see [`first_from`].
fn hash(ticket: &TicketId) -> u64 {
    let add = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = ticket.as_str().bytes().fold(0xcbf2_9ce4_8422_2325, add);
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// Where the first of these stands whose hash is not below this one. Hashes are spread evenly, so it is looked for around where an even
/// spread would have it: each look elsewhere may miss the cache.
fn first_from(by_hash: &[(u64, At)], hash: u64) -> usize {
    let even = (u128::from(hash) * by_hash.len() as u128) >> 64;
    let (mut low, mut high, mut step) = (usize::try_from(even).unwrap_or_default(), by_hash.len(), 8);
    while low > 0 && by_hash[low - 1].0 >= hash {
        (low, high, step) = (low.saturating_sub(step), low, step * 2);
    }
    let mut ahead = low;
    while ahead < high && by_hash[ahead].0 < hash {
        (low, ahead, step) = (ahead + 1, ahead.saturating_add(step).min(high), step * 2);
    }
    low + by_hash[low..ahead].partition_point(|(before, _)| *before < hash)
}

fn place_at(rows: &[Row], (row, seat): At) -> &Place {
    &rows[row as usize].seats[seat as usize]
}

impl TryFrom<Vec<Row>> for Layout {
    type Error = LayoutError;
    fn try_from(rows: Vec<Row>) -> Result<Self, LayoutError> {
        Self::stored(rows)
    }
}

/// As its rows: the rest follows from them.
impl Hash for Layout {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rows.hash(state);
    }
}

/// As its rows.
impl Serialize for Layout {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rows.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    #[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    fn a_seat_is_known_by_its_place_among_all() {
        let seat = |id: &str| Place {
            ticket: TicketId::parse(id).unwrap(),
            label: None,
            price: Money::DEFAULT_PRICE,
            x: 0,
            y: 0,
        };
        let row = |name: &str, ids: &[&str]| Row { name: name.into(), seats: ids.iter().map(|id| seat(id)).collect() };
        let rows = vec![row("A", &["h:A:1", "h:A:2"]), row("B", &["h:B:1"]), row("C", &["h:C:1", "h:C:2"])];
        let layout = Layout::new(rows).unwrap();
        assert_eq!((layout.len(), layout.is_empty()), (5, false));
        for (at, place) in layout.places().enumerate() {
            assert_eq!(layout.position(&place.ticket), Some(at));
            assert_eq!(layout.place(&place.ticket), Some(place));
        }
        let other = TicketId::parse("h:C:3").unwrap();
        assert_eq!((layout.position(&other), layout.place(&other)), (None, None));
        assert_eq!(Layout::new(Vec::new()).map(|none| (none.len(), none.is_empty())), Ok((0, true)));
    }

    /// Worked out by another program from the definitions of FNV-1a and of the last steps of `SplitMix64`: a hash that spreads seats less
    /// evenly would find them all the same, and later.
    #[test]
    fn the_hash_is_the_one_that_it_says() {
        for (id, is) in [("arena:A:12", 0x6c1b_07d6_4053_67ba), ("hall:1", 0x603d_673e_d7ca_40c4)] {
            assert_eq!(TicketId::parse(id).map(|id| hash(&id)), Ok(is), "{id}");
        }
    }

    proptest! {
        #[test]
        fn a_hash_is_found_where_it_stands_however_unevenly_hashes_are_spread(
            mut hashes in prop::collection::vec(prop_oneof![any::<u64>(), 0_u64..20, u64::MAX - 20..=u64::MAX], 0..300),
            wanted in prop_oneof![any::<u64>(), 0_u64..20, u64::MAX - 20..=u64::MAX],
            of_them in any::<prop::sample::Index>(),
        ) {
            hashes.sort_unstable();
            let by_hash: Vec<(u64, At)> = hashes.iter().map(|hash| (*hash, (0, 0))).collect();
            let one = hashes.get(of_them.index(hashes.len().max(1))).copied();
            for wanted in one.into_iter().chain([wanted]) {
                prop_assert_eq!(first_from(&by_hash, wanted), by_hash.partition_point(|(before, _)| *before < wanted));
            }
        }
    }
}
