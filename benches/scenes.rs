//! What buyers do while a service is measured, and the house they do it in.

use clap::ValueEnum;

use crate::house::{as_admin, layout};
use crate::load::json;

/// What buyers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scene {
    /// Orders of one seat, over many maps
    One,
    /// Orders of four seats of one map, over many maps
    Four,
    /// Orders of one seat, all of one map without a layout
    Map,
    /// One seat that is held, and that all want
    Hot,
}

impl Scene {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::One, Self::Four, Self::Map, Self::Hot];

    /// What the table says it is.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::One => "orders of one seat",
            Self::Four => "orders of four seats",
            Self::Map => "one map",
            Self::Hot => "one hot seat, refusals",
        }
    }

    /// How many seats an order has.
    #[must_use]
    pub const fn seats(self) -> u64 {
        match self {
            Self::Four => 4,
            Self::One | Self::Map | Self::Hot => 1,
        }
    }

    /// Whether its seats are those of maps that are published before.
    #[must_use]
    pub const fn has_layouts(self) -> bool {
        matches!(self, Self::One | Self::Four)
    }
}

/// Maps with a layout, published a set at a time. Every third seat of each is sold before buyers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct House {
    /// How many maps a set has.
    pub maps: u64,
    /// How many seats each of them has.
    pub seats: u64,
}

impl House {
    /// Every seat whose number this divides is sold before.
    pub const SOLD: u64 = 3;

    /// How many seats of a set are sold before.
    #[must_use]
    pub const fn sold(self) -> u64 {
        self.maps * self.sold_of_map()
    }

    const fn sold_of_map(self) -> u64 {
        self.seats.div_ceil(Self::SOLD)
    }

    /// For how many orders a set has free seats.
    #[must_use]
    pub const fn orders(self, scene: Scene) -> u64 {
        if scene.has_layouts() { self.maps * ((self.seats - self.sold_of_map()) / scene.seats()) } else { u64::MAX }
    }

    /// The tickets of the n-th order. Orders go round the maps; none has a ticket of another.
    #[must_use]
    pub fn tickets(self, scene: Scene, n: u64) -> Vec<String> {
        if !scene.has_layouts() {
            return vec![format!("seat-{n}")];
        }
        let (set, of_set) = (n / self.orders(scene), n % self.orders(scene));
        let (map, place) = (set * self.maps + of_set % self.maps, of_set / self.maps);
        let seats = place * scene.seats()..(place + 1) * scene.seats();
        // Two of three are free.
        seats.map(|free| format!("arena-{map}:{}", free / 2 * Self::SOLD + 1 + free % 2)).collect()
    }
}

/// Which requests a service understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The hosts of this repository.
    Host,
    /// The steps of the first proof of concept.
    Reference,
    /// The bare steps.
    Steps,
}

/// The ticket that all want.
const HOT: &str = "/Ticket/hot/reserve";

impl Dialect {
    /// Writes the n-th request of a scene.
    pub fn ask(self, scene: Scene, house: House, n: u64, out: &mut Vec<u8>) {
        let user = n % 5_000;
        if scene == Scene::Hot {
            return json(HOT, &format!(r#""user-{user}""#), out);
        }
        let (tickets, path) = (
            house.tickets(scene, n),
            match self {
                Self::Host | Self::Reference => "/Checkout/process",
                Self::Steps => "/Bare/steps",
            },
        );
        let body = match &*tickets {
            [one] if self != Self::Steps => format!(r#"{{"ticketId":"{one}","userId":"user-{user}"}}"#),
            all => format!(r#"{{"ticketIds":["{}"],"userId":"user-{user}"}}"#, all.join(r#"",""#)),
        };
        json(path, &body, out);
    }

    /// Writes the request that holds the hot seat, or holds it longer, for a user who is none of the clients.
    pub fn hold(self, out: &mut Vec<u8>) {
        match self {
            Self::Host | Self::Steps => {
                json(HOT, r#"{"userId":"holder","holdId":"the-one-that-all-want","ttlMs":7200000}"#, out)
            }
            Self::Reference => json(HOT, r#""holder""#, out),
        }
    }

    /// Writes what publishes a map, seats and all.
    pub fn publish(self, house: House, map: u64, out: &mut Vec<u8>) {
        match self {
            Self::Host | Self::Steps => layout(map, house.seats, out),
            // Every third is sold with it, see there.
            Self::Reference => json(&format!("/SeatMap/arena-{map}/publish"), &house.seats.to_string(), out),
        }
    }

    /// Writes what sells the n-th of the seats of a set that are sold before.
    pub fn sell(self, house: House, set: u64, n: u64, out: &mut Vec<u8>) {
        let (map, seat) = (set * house.maps + n % house.maps, n / house.maps * House::SOLD);
        as_admin(&format!("/Ticket/arena-{map}:{seat}/sell"), r#"{"userId":"box-office"}"#, out);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_seat_is_in_two_orders_and_none_is_sold_before() {
        let house = House { maps: 3, seats: 20 };
        for scene in [Scene::One, Scene::Four] {
            let all: Vec<String> = (0..2 * house.orders(scene)).flat_map(|n| house.tickets(scene, n)).collect();
            assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
            for ticket in all {
                let seat: u64 = ticket.rsplit_once(':').and_then(|(_, seat)| seat.parse().ok()).unwrap_or_default();
                assert!(!seat.is_multiple_of(House::SOLD) && seat < house.seats, "{ticket}");
            }
        }
    }

    #[test]
    fn an_order_of_four_is_of_one_map() {
        let house = House { maps: 5, seats: 1_000 };
        let maps = |n| house.tickets(Scene::Four, n).iter().map(|id| id.split(':').count()).sum::<usize>();
        assert_eq!((maps(0), house.orders(Scene::Four), house.sold()), (8, 5 * 166, 5 * 334));
        assert_eq!(house.tickets(Scene::Four, 6), ["arena-1:7", "arena-1:8", "arena-1:10", "arena-1:11"]);
    }
}
