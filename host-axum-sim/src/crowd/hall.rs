//! Which seats look free to the crowd: as the map was a moment ago, less what its buyers have gone for since.

use std::sync::{Mutex, MutexGuard, PoisonError};

use booking_core::TicketId;
use booking_core::dice::Dice;
use booking_core::map::ticket::TicketStatus;
use booking_core::map::{Row, SeatMap};

/// The seats of a map, in blocks of neighbours; none before the map was looked at.
#[derive(Default)]
pub(super) struct Hall(Mutex<Vec<Vec<Spot>>>);

struct Spot {
    ticket: TicketId,
    is_free: bool,
}

/// How many seats of a map's layout are still to be sold, whether held or not.
pub(super) fn left(map: &SeatMap) -> usize {
    let is_left = |ticket: &TicketId| matches!(status(map, ticket), TicketStatus::Available | TicketStatus::Reserved);
    map.layout().into_iter().flat_map(|layout| layout.places()).filter(|place| is_left(&place.ticket)).count()
}

/// How a seat of the layout is recorded: it is on sale where nothing is stored of it.
fn status(map: &SeatMap, ticket: &TicketId) -> TicketStatus {
    map.ticket(ticket).map_or(TicketStatus::Available, |ticket| ticket.state.status())
}

impl Hall {
    fn blocks(&self) -> MutexGuard<'_, Vec<Vec<Spot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in how the map is: another layout may have been published.
    pub(super) fn look(&self, map: &SeatMap) {
        let rows = map.layout().into_iter().flat_map(|layout| layout.rows());
        *self.blocks() = rows.flat_map(|row| blocks(row, map)).collect();
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
fn blocks(row: &Row, map: &SeatMap) -> Vec<Vec<Spot>> {
    let apart = |n: usize| Some(row.seats.get(n)?.x.abs_diff(row.seats.get(n.checked_sub(1)?)?.x));
    let closest = (0..row.seats.len()).filter_map(apart).min();
    let mut blocks: Vec<Vec<Spot>> = Vec::new();
    for (n, place) in row.seats.iter().enumerate() {
        let is_free = status(map, &place.ticket) == TicketStatus::Available;
        let spot = Spot { ticket: place.ticket.clone(), is_free };
        match blocks.last_mut().filter(|_| apart(n) == closest) {
            Some(block) => block.push(spot),
            None => blocks.push(vec![spot]),
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use booking_core::map::ticket::{Reserve, TicketCommand};
    use booking_core::map::{SeatMapCommand, Seats};
    use booking_core::time::Timestamp;
    use booking_core::{HoldId, UserId, turn};

    use super::*;
    use crate::demo;

    /// The theatre, each seat with this status.
    fn theatre(status: TicketStatus) -> SeatMap {
        let mut map = SeatMap::default();
        let ask = |map: &mut SeatMap, command| turn(map, &command, Timestamp::default()).stored().unwrap();
        ask(&mut map, SeatMapCommand::Publish { layout: Arc::new(demo::layout()) });
        let seats = Seats::new(demo::layout().places().map(|place| place.ticket.clone()).collect()).unwrap();
        let offer = map.offer(&seats, None, 0);
        let (user, hold) = (UserId::parse("ann").unwrap(), HoldId::parse("h").unwrap());
        let until = Timestamp::from_millis(1);
        let command = match status {
            TicketStatus::Available => return map,
            TicketStatus::Reserved => {
                TicketCommand::Reserve(Reserve { user, hold, nth: None, until, latest: until, offer })
            }
            TicketStatus::Sold => TicketCommand::Sell { user, hold, offer },
            TicketStatus::Blocked => TicketCommand::Block { reason: "closed".into() },
        };
        ask(&mut map, SeatMapCommand::Seats { seats, command });
        map
    }

    #[test]
    fn buyers_go_for_neighbours_on_one_side_of_an_aisle_and_no_two_for_the_same_seat() {
        let (hall, mut dice) = (Hall::default(), Dice::new(1));
        assert!(hall.go_for(4, &mut dice).is_empty(), "nothing is free before it was looked at");
        hall.look(&theatre(TicketStatus::Available));
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
        for (status, is_left) in [
            (TicketStatus::Available, 480),
            (TicketStatus::Reserved, 480),
            (TicketStatus::Sold, 0),
            (TicketStatus::Blocked, 0),
        ] {
            let (hall, map) = (Hall::default(), theatre(status));
            hall.look(&map);
            assert_eq!(left(&map), is_left);
            assert_eq!(left(&SeatMap::default()), 0);
            assert_eq!(hall.go_for(4, &mut Dice::new(1)).is_empty(), status != TicketStatus::Available);
        }
    }
}
