//! What must hold of each judgement of a map, looked at in many histories.

use booking_core::map::ticket::TicketCommand;
use booking_core::map::{SeatMap, SeatMapCommand, Seats};

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
        match self.below(5) {
            0 => SeatMapCommand::List { seats: seats(&[self.one_of(&[1, 2])]), price: usd(self.below(3)) },
            1 => SeatMapCommand::ResetAll,
            3 => SeatMapCommand::Erase { user: user(self.one_of(&["ann", "bob"])) },
            2 => {
                let rows = self.one_of(&[&[(1, 5), (2, 5), (3, 5)][..], &[(1, 5), (2, 7)], &[(3, 5), (2, 7)]]);
                SeatMapCommand::Publish { layout: layout(&[("A", rows)]) }
            }
            _ => SeatMapCommand::Expire { due: map.header().armed.unwrap_or_default() },
        }
    }
}

#[test]
fn every_judgement_of_a_map_keeps_what_it_promises() {
    let mut accepted = [0_u64; 2];
    for seed in 0..HISTORIES {
        let (mut numbers, mut map) = (Numbers(seed), Map::available());
        for _ in 0..COMMANDS {
            map.now = numbers.time();
            let before = map.map.clone();
            // The map of these tests looks at each.
            let outcome = if numbers.below(6) == 0 {
                map.ask_map(&numbers.command_to_the_map(&before))
            } else {
                let (seats, command) = (numbers.set(), numbers.command(&before));
                map.ask_seats(&seats, &command)
            };
            accepted[usize::from(outcome.is_ok() && map.recorded)] += 1;
        }
    }
    assert!(accepted[0] > 5_000 && accepted[1] > 5_000, "histories in which much and little happens: {accepted:?}");
}
