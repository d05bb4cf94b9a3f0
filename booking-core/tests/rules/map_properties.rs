//! What holds of every history of a map, tried on many of them: `a_set_is_whole` and `a_map_is_its_seats`. The kit also
//! compares each turn with the turn of a map that has loaded no more than it needs.

use booking_core::map::ticket::{TicketCommand, TicketRefusal};
use booking_core::map::{SeatMap, SeatMapCommand, SeatMapRefusal, SeatMapReply, Seats};
use booking_core::{TicketId, turn};

use crate::map_support::*;

/// How many histories are tried, and how many commands each has.
const HISTORIES: u64 = 3_000;
const COMMANDS: u32 = 25;

/// Numbers from a seed, the same everywhere (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    fn one_of<T: Copy>(&mut self, these: &[T]) -> T {
        these[usize::try_from(self.below(these.len() as u64)).unwrap()]
    }

    fn time(&mut self) -> u64 {
        self.one_of(&[NOW, NOW + 1, EARLY - 1, EARLY, EARLY + 1, UNTIL, LATE])
    }

    fn set(&mut self) -> Seats {
        seats(self.one_of(&[&[1][..], &[2], &[3], &[1, 2], &[2, 1], &[2, 3], &[3, 1, 2]]))
    }

    fn command(&mut self, map: &SeatMap) -> TicketCommand {
        let (by, hold) = self.one_of(&[("ann", "h"), ("ann", "h"), ("bob", "i"), ("bob", "h")]);
        let (checkout, end) = (self.one_of(&["c", "d"]), self.time());
        let version = map.version().saturating_sub(self.below(3));
        let edition = map.header().edition;
        let attested = |command| of_edition(command, edition);
        let command = match self.below(12) {
            0 | 1 => attested(ending(reserve(by, hold), end)),
            2 | 3 => attested(claim(by, hold, checkout, end)),
            4 => attested(claim_brought(by, hold, checkout, end)),
            5 | 6 => confirm(hold, checkout, version),
            7 => ending(release(hold), end),
            8 => revoke(hold, checkout, end),
            9 => {
                if self.below(2) == 0 {
                    block()
                } else {
                    TicketCommand::Unblock
                }
            }
            10 => attested(sell(by, "box")),
            _ => {
                if self.below(2) == 0 {
                    recall(version)
                } else {
                    reset(version)
                }
            }
        };
        let is_wish = matches!(command, TicketCommand::Reserve(_) | TicketCommand::Release { .. });
        if is_wish && self.below(2) == 0 { numbered(command, u32::try_from(self.below(4)).unwrap()) } else { command }
    }

    fn command_to_the_map(&mut self, map: &SeatMap) -> SeatMapCommand {
        match self.below(4) {
            0 => SeatMapCommand::List { seats: seats(&[self.one_of(&[1, 2])]), price: usd(self.below(3)) },
            1 => SeatMapCommand::ResetAll,
            2 => {
                let rows = self.one_of(&[&[(1, 5), (2, 5), (3, 5)][..], &[(1, 5), (2, 7)], &[(3, 5), (2, 7)]]);
                SeatMapCommand::Publish { layout: layout(&[("A", rows)]) }
            }
            _ => SeatMapCommand::Expire { due: map.header().armed.unwrap_or_default() },
        }
    }
}

/// A map as one of its seats knows it: the others are as they were laid out.
fn of_one_seat(map: &SeatMap, seat: &TicketId) -> SeatMap {
    let ticket = map.ticket(seat).map(|ticket| (seat.clone(), ticket.clone()));
    SeatMap::from_parts(
        *map.header(),
        map.layout().cloned(),
        ticket,
        map.ended().map(|(checkout, deadline)| (checkout.clone(), deadline)),
        map.baskets().map(|(hold, basket)| (hold.clone(), basket.clone())),
    )
}

/// `a_map_is_its_seats`: what a set command does to a seat is what the table does to it; a refusal is one of its seats'.
fn is_its_seats(
    (before, after): (&SeatMap, &SeatMap),
    (seats, command): (&Seats, &TicketCommand),
    now: u64,
    outcome: &Result<SeatMapReply, SeatMapRefusal>,
) {
    let alone = |seat: &TicketId| {
        let mut map = of_one_seat(before, seat);
        let command = SeatMapCommand::Seats { seats: seat.clone().into(), command: command.clone() };
        let outcome = turn(&mut map, &command, at(now)).stored().0;
        (map.ticket(seat).cloned(), outcome)
    };
    match outcome {
        Ok(_) => {
            for seat in seats.as_slice() {
                let (ticket, outcome) = alone(seat);
                assert!(outcome.is_ok(), "{seat} alone refuses {command:?}: {outcome:?}");
                let (ticket, after) = (ticket.map(|it| it.state), after.ticket(seat).map(|it| it.state.clone()));
                assert_eq!(ticket.unwrap_or_default(), after.unwrap_or_default(), "{seat} after {command:?}");
            }
        }
        Err(SeatMapRefusal { ticket: Some(named), why }) => {
            let of_a_part = *why == TicketRefusal::HoldExpired && matches!(command, TicketCommand::Claim(_));
            for seat in seats.as_slice().iter().take_while(|seat| *seat != named) {
                assert!(alone(seat).1.is_ok(), "{seat} is before {named}, and refuses {command:?}");
            }
            let refused = alone(named).1 == Err(SeatMapRefusal { ticket: Some(named.clone()), why: *why });
            assert!(refused || of_a_part, "{named} alone does not refuse {command:?} like this: {why:?}");
        }
        Err(SeatMapRefusal { ticket: None, .. }) => {}
    }
}

#[test]
fn a_map_is_its_seats_and_a_set_is_whole() {
    let mut accepted = [0_u64; 2];
    for seed in 0..HISTORIES {
        let (mut numbers, mut map) = (Numbers(seed), Map::available());
        for _ in 0..COMMANDS {
            map.now = numbers.time();
            let before = map.map.clone();
            if numbers.below(6) == 0 {
                let command = numbers.command_to_the_map(&before);
                let _one_of_a_map = map.ask_map(&command);
                continue;
            }
            let (seats, command) = (numbers.set(), numbers.command(&before));
            let outcome = map.ask_seats(&seats, &command);
            let changed: Vec<_> = (1..=3)
                .map(|number| ticket_id(&format!("a:{number}")))
                .filter(|seat| before.ticket(seat) != map.map.ticket(seat))
                .collect();
            assert!(changed.iter().all(|seat| seats.as_slice().contains(seat)), "seed {seed}: {command:?}");
            assert_eq!(
                map.map.version(),
                before.version() + u64::from(!changed.is_empty()),
                "seed {seed}: {command:?}"
            );
            assert!(outcome.is_ok() || map.map == before, "seed {seed}: a refusal changes nothing");
            let is_numbered = matches!(&command, TicketCommand::Reserve(reserve) if reserve.nth.is_some())
                || matches!(command, TicketCommand::Release { nth: Some(_), .. });
            if !is_numbered {
                is_its_seats((&before, &map.map), (&seats, &command), map.now, &outcome);
            }
            accepted[usize::from(outcome.is_ok() && !changed.is_empty())] += 1;
        }
    }
    assert!(accepted[0] > 5_000 && accepted[1] > 5_000, "histories in which much and little happens: {accepted:?}");
}
