//! What drives the machines in tests sees all of them: a small world has a beginning, a known number of ways on, and an
//! end.

use booking_core::checkout::Order;
use booking_core::ids::PaymentMethodId;
use booking_core::terms::Terms;
use booking_core::testing::rules::Sound;
use booking_core::testing::search::Search;
use booking_core::testing::world::{Buyer, Faults, Scenario, World};

use crate::support::*;

#[test]
fn a_small_world_is_searched_to_its_end() {
    let buyer = |checkout: &str, name: &str, seats: &[&str]| {
        let seats = seats.iter().map(|id| ticket_id(id)).collect();
        let order = Order::new(seats, user(name), PaymentMethodId::default_card(), None).unwrap();
        Buyer { checkout: checkout_id(checkout), order }
    };
    let scene = Scenario {
        buyers: vec![buyer("c-1", "ann", &["s1"]), buyer("c-2", "bob", &["s1"])],
        faults: Faults::NONE,
        ..Scenario::new(vec![ticket_id("s1")], Terms::default())
    };
    let found = Search::default().run(World::new(scene.into(), &Sound), &mut |_| {});
    assert_eq!(found.broken, None);
    assert_eq!((found.worlds, found.at_rest), (9_131, 62));
}
