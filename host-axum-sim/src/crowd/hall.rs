//! Which seats look free to the crowd: as the map was a moment ago, less what its buyers have gone for since.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use booking_core::TicketId;
use booking_core::seat_map::{Layout, Row};
use booking_core::testing::dice::Dice;
use booking_core::ticket::TicketStatus;
use serde::Deserialize;

/// The seats of a map, in blocks of neighbours.
pub(super) struct Hall(Mutex<Vec<Vec<Spot>>>);

struct Spot {
    ticket: TicketId,
    is_free: bool,
}

/// A seat as the map shows it.
#[derive(Deserialize)]
pub(super) struct Seat {
    id: TicketId,
    status: TicketStatus,
}

impl Hall {
    /// No seat of it is free before it was looked at.
    pub(super) fn new(layout: Option<&Layout>) -> Self {
        Self(Mutex::new(layout.into_iter().flat_map(Layout::rows).flat_map(blocks).collect()))
    }

    fn blocks(&self) -> MutexGuard<'_, Vec<Vec<Spot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in how the map is, and says whether any seat is still to be sold.
    pub(super) fn has_any_left(&self, seats: Vec<Seat>) -> bool {
        let statuses: BTreeMap<TicketId, TicketStatus> =
            seats.into_iter().map(|Seat { id, status }| (id, status)).collect();
        for spot in self.blocks().iter_mut().flatten() {
            spot.is_free = statuses.get(&spot.ticket) == Some(&TicketStatus::Available);
        }
        statuses.values().any(|status| matches!(status, TicketStatus::Available | TicketStatus::Reserved))
    }

    /// Free seats side by side, as many as there are up to this many; none where nothing is free. They are not free from
    /// then on, until the map is looked at again.
    pub(super) fn go_for(&self, most: usize, dice: &mut Dice) -> Vec<TicketId> {
        let mut blocks = self.blocks();
        for count in (1..=most).rev() {
            let all_starts = blocks.iter().enumerate().flat_map(|(at, block)| {
                let starts =
                    block.windows(count).enumerate().filter(|(_, spots)| spots.iter().all(|spot| spot.is_free));
                starts.map(move |(start, _)| (at, start))
            });
            let starts: Vec<(usize, usize)> = all_starts.collect();
            if starts.is_empty() {
                continue;
            }
            // People look around a little, and would rather sit in front.
            let (at, start) = *dice.one_of(&starts).min(dice.one_of(&starts));
            let taken = blocks.get_mut(at).into_iter().flatten().skip(start).take(count);
            return taken.map(|spot| (spot.is_free = false, spot.ticket.clone()).1).collect();
        }
        Vec::new()
    }
}

/// A row, cut where there is more room between two seats than between others: at an aisle.
fn blocks(row: &Row) -> Vec<Vec<Spot>> {
    let apart = |n: usize| Some(row.seats.get(n)?.x.abs_diff(row.seats.get(n.checked_sub(1)?)?.x));
    let closest = (0..row.seats.len()).filter_map(apart).min();
    let mut blocks: Vec<Vec<Spot>> = Vec::new();
    for (n, place) in row.seats.iter().enumerate() {
        let spot = Spot { ticket: place.ticket.clone(), is_free: false };
        match blocks.last_mut().filter(|_| apart(n) == closest) {
            Some(block) => block.push(spot),
            None => blocks.push(vec![spot]),
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo;

    fn all(status: TicketStatus) -> Vec<Seat> {
        demo::layout().places().map(|place| Seat { id: place.ticket.clone(), status }).collect()
    }

    #[test]
    fn buyers_go_for_neighbours_on_one_side_of_an_aisle_and_no_two_for_the_same_seat() {
        let (hall, mut dice) = (Hall::new(Some(&demo::layout())), Dice::new(1));
        assert!(hall.go_for(4, &mut dice).is_empty(), "nothing is free before it was looked at");
        assert!(hall.has_any_left(all(TicketStatus::Available)));
        let mut taken = std::collections::BTreeSet::new();
        loop {
            let seats = hall.go_for(4, &mut dice);
            if seats.is_empty() {
                break;
            }
            let numbers = seats.iter().map(|seat| seat.as_str().rsplit_once('-').unwrap());
            let numbers: Vec<(&str, u32)> = numbers.map(|(row, n)| (row, n.parse().unwrap())).collect();
            for two in numbers.windows(2) {
                assert_eq!((two[1].0, two[1].1), (two[0].0, two[0].1 + 1));
                assert!(![6, 18].contains(&two[0].1), "there is an aisle");
            }
            for seat in seats {
                assert!(taken.insert(seat));
            }
        }
        assert_eq!(taken.len(), 480, "at last they take what is left one by one");
    }

    #[test]
    fn what_is_held_may_be_free_again_and_what_is_sold_or_blocked_is_not_waited_for() {
        let hall = Hall::new(Some(&demo::layout()));
        assert!(hall.has_any_left(all(TicketStatus::Reserved)));
        assert!(hall.go_for(4, &mut Dice::new(1)).is_empty());
        assert!(!hall.has_any_left(all(TicketStatus::Sold)));
        assert!(!hall.has_any_left(all(TicketStatus::Blocked)));
    }
}
