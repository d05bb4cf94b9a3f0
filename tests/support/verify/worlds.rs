//! The small worlds that are searched to their end.

use std::sync::Arc;

use booking_core::checkout::Order;
use booking_core::ids::{CheckoutId, HoldId, PaymentMethodId, TicketId, UserId};
use booking_core::map::ticket::{Offer, Reserve, TicketCommand};
use booking_core::map::{Layout, Place, Row, SeatMapCommand, Seats};
use booking_core::money::{Currency, Money};
use booking_core::terms::{Backoff, Retry, Terms};
use booking_core::testing::world::{Buyer, Faults, Line, Scenario};
use booking_core::time::{HoldTtl, Millis, Timestamp};

/// A scene that is searched to its end.
#[derive(Clone, Debug)]
pub struct SmallWorld {
    /// What it is called.
    pub name: &'static str,
    /// Where it begins.
    pub scene: Arc<Scenario>,
    /// Whether it is small enough for every push.
    pub small: bool,
}

/// A hold lasts ten seconds, a checkout twenty; the gateway is asked twice.
fn terms() -> Terms {
    let wait = Backoff { first: Millis(200), cap: Millis(200) };
    Terms {
        hold_ttl: HoldTtl::new(Millis::from_secs(10)).expect("within its bounds"),
        checkout_time: Millis::from_secs(20),
        authorize_retry: Retry { attempts: 2, wait },
        settle_retry: wait,
        ..Terms::default()
    }
}

fn ticket(number: usize) -> TicketId {
    TicketId::parse(&format!("seat-{number}")).expect("a good id")
}

/// A buyer of some of the tickets: by number, user, hold and card.
#[must_use]
pub fn buyer(number: usize, user: &str, tickets: &[usize], hold: Option<&str>, card: &str) -> Buyer {
    let good = "a good id";
    let hold = hold.map(|hold| HoldId::parse(hold).expect(good));
    let tickets = tickets.iter().map(|number| ticket(*number)).collect();
    let (user, method) = (UserId::parse(user).expect(good), PaymentMethodId::parse(card).expect(good));
    let checkout = CheckoutId::parse(&format!("c{number}")).expect(good);
    Buyer { checkout, order: Order::new(tickets, user, method, hold).expect("a few different tickets") }
}

/// A line that is said to the map of these tickets.
#[must_use]
pub fn says(numbers: &[usize], command: TicketCommand) -> Line {
    let seats = Seats::new(numbers.iter().map(|number| ticket(*number)).collect()).expect("a few different tickets");
    Line { at: seats.first().map_key(), command: SeatMapCommand::Seats { seats, command } }
}

/// A wish to hold tickets, numbered or not.
#[must_use]
pub fn wish(user: &str, hold: &str, nth: Option<u32>) -> Reserve {
    let (user, hold) = (UserId::parse(user).expect("a good id"), HoldId::parse(hold).expect("a good id"));
    let ttl = terms().hold_ttl.length();
    Reserve { user, hold, nth, until: away(ttl), latest: away(Millis(2 * ttl.0)), offer: Offer::default() }
}

/// How long something is away when it is said.
fn away(length: Millis) -> Timestamp {
    Timestamp::from_millis(length.0)
}

/// A buyer reserves a ticket under a hold.
#[must_use]
pub fn reserves(number: usize, user: &str, hold: &str) -> Line {
    says(&[number], TicketCommand::Reserve(wish(user, hold, None)))
}

/// A buyer releases a hold.
#[must_use]
pub fn releases(number: usize, hold: &str) -> Line {
    says(&[number], release(hold, None))
}

fn release(hold: &str, nth: Option<u32>) -> TicketCommand {
    let until = away(Millis(3 * terms().hold_ttl.length().0));
    TicketCommand::Release { hold: HoldId::parse(hold).expect("a good id"), nth, until }
}

/// An operator publishes a layout of these tickets, each at this price.
fn publishes(numbers: &[usize], minor: u64) -> Line {
    let price = Money::new(minor, Currency::USD).expect("little money");
    let place = |(x, number): (u32, &usize)| Place { ticket: ticket(*number), label: None, price, x, y: 0 };
    let row = Row { name: "A".into(), seats: (0..).zip(numbers).map(place).collect() };
    let layout = Arc::new(Layout::new(vec![row]).expect("different seats"));
    Line { at: ticket(numbers[0]).map_key(), command: SeatMapCommand::Publish { layout } }
}

/// A scene of this number of tickets.
#[must_use]
pub fn scene(tickets: usize, buyers: Vec<Buyer>, lines: Vec<Line>, faults: Faults) -> Scenario {
    let tickets = (0..tickets).map(ticket).collect();
    Scenario { buyers, lines, faults, ..Scenario::new(tickets, terms()) }
}

/// Every one.
#[must_use]
pub fn small_worlds() -> Vec<SmallWorld> {
    let none = Faults::NONE;
    let a_crash_and_a_copy = Faults { crashes: 1, copies: 1, ..none };
    let good = "card_success";
    let world = |name, small, scene| SmallWorld { name, scene: Arc::new(scene), small };
    vec![
        world(
            "two buyers, a crash, a copy",
            false,
            scene(
                1,
                vec![buyer(0, "ann", &[0], None, good), buyer(1, "bob", &[0], None, good)],
                vec![],
                a_crash_and_a_copy,
            ),
        ),
        world(
            "two checkouts under one hold, a crash, a copy",
            false,
            scene(
                1,
                vec![buyer(0, "ann", &[0], Some("h"), good), buyer(1, "ann", &[0], Some("h"), good)],
                vec![reserves(0, "ann", "h")],
                a_crash_and_a_copy,
            ),
        ),
        world(
            "two checkouts under one hold, a crash",
            true,
            scene(
                1,
                vec![buyer(0, "ann", &[0], Some("h"), good), buyer(1, "ann", &[0], Some("h"), good)],
                vec![reserves(0, "ann", "h")],
                Faults { crashes: 1, ..none },
            ),
        ),
        world(
            "declined, and tries again with the hold while a copy arrives",
            true,
            scene(
                1,
                vec![buyer(0, "ann", &[0], Some("h"), "card_decline"), buyer(1, "ann", &[0], Some("h"), good)],
                vec![reserves(0, "ann", "h")],
                Faults { copies: 1, ..none },
            ),
        ),
        world(
            "declined, and tries again with the hold while two copies arrive",
            false,
            scene(
                1,
                vec![buyer(0, "ann", &[0], Some("h"), "card_decline"), buyer(1, "ann", &[0], Some("h"), good)],
                vec![reserves(0, "ann", "h")],
                Faults { copies: 2, ..none },
            ),
        ),
        world(
            "one buyer, three copies past the end",
            true,
            scene(1, vec![buyer(0, "ann", &[0], None, good)], vec![], Faults { copies: 3, ..none }),
        ),
        world(
            "one buyer, three copies past the end, and a map that forgets",
            true,
            Scenario {
                forgets: true,
                ..scene(
                    1,
                    vec![buyer(0, "ann", &[0], None, "card_capture_decline")],
                    vec![],
                    Faults { copies: 3, ..none },
                )
            },
        ),
        world(
            "two tickets, two buyers, nothing goes wrong",
            true,
            scene(2, vec![buyer(0, "ann", &[0, 1], None, good), buyer(1, "bob", &[1, 0], None, good)], vec![], none),
        ),
        world(
            "two buyers, and the gateway does not answer",
            false,
            scene(
                1,
                vec![buyer(0, "ann", &[0], None, good), buyer(1, "bob", &[0], None, good)],
                vec![],
                Faults { lost: 1, silent: 1, ..none },
            ),
        ),
        world(
            "an answer is lost, a timer is early, a checkout is killed",
            false,
            scene(
                1,
                vec![buyer(0, "ann", &[0], Some("h"), good), buyer(1, "bob", &[0], None, good)],
                vec![reserves(0, "ann", "h")],
                Faults { lost: 1, early: 1, kills: 1, ..none },
            ),
        ),
        world(
            "a checkout of two tickets is cancelled, and crashes",
            true,
            scene(2, vec![buyer(0, "ann", &[0, 1], None, good)], vec![], Faults { cancels: 1, crashes: 1, ..none }),
        ),
        world(
            "three seats, two checkouts of two, a crash",
            true,
            scene(
                3,
                vec![buyer(0, "ann", &[0, 1], None, good), buyer(1, "bob", &[1, 2], None, good)],
                vec![],
                Faults { crashes: 1, ..none },
            ),
        ),
        world(
            "three seats, two checkouts of two, a copy",
            true,
            scene(
                3,
                vec![buyer(0, "ann", &[0, 1], None, good), buyer(1, "bob", &[1, 2], None, good)],
                vec![],
                Faults { copies: 1, ..none },
            ),
        ),
        world(
            "three seats, two checkouts of two, a crash and a copy",
            false,
            scene(
                3,
                vec![buyer(0, "ann", &[0, 1], None, good), buyer(1, "bob", &[1, 2], None, good)],
                vec![],
                a_crash_and_a_copy,
            ),
        ),
        world(
            "three seats, two checkouts of two, a layout meanwhile",
            true,
            scene(
                3,
                vec![buyer(0, "ann", &[0, 1], None, good), buyer(1, "bob", &[1, 2], None, good)],
                vec![publishes(&[0, 1, 2], 7)],
                Faults { stale: 1, ..none },
            ),
        ),
        world(
            "three seats of two maps, two checkouts of two",
            true,
            on_two_maps(scene(
                3,
                vec![buyer(0, "ann", &[0, 1], None, good), buyer(1, "bob", &[1, 2], None, good)],
                vec![],
                none,
            )),
        ),
        world(
            "a wish, a later one, and a copy of each",
            true,
            scene(
                2,
                vec![buyer(0, "ann", &[0], Some("h"), good)],
                vec![
                    says(&[0, 1], TicketCommand::Reserve(wish("ann", "h", Some(1)))),
                    says(&[1], release("h", Some(2))),
                ],
                Faults { copies: 2, ..none },
            ),
        ),
        world(
            "a hold is recalled, its seat blocked, while its buyer pays",
            true,
            scene(
                1,
                vec![buyer(0, "ann", &[0], Some("h"), good)],
                vec![
                    reserves(0, "ann", "h"),
                    says(&[0], TicketCommand::Block { reason: "broken".into() }),
                    says(&[0], TicketCommand::Recall { up_to: 2 }),
                ],
                Faults { copies: 1, ..none },
            ),
        ),
        world(
            "two buyers, a crash, and checkouts that tell the time, however late",
            true,
            Scenario {
                checkouts_tell_time: true,
                ..scene(
                    1,
                    vec![buyer(0, "ann", &[0], None, good), buyer(1, "bob", &[0], None, good)],
                    vec![],
                    Faults { crashes: 1, ..none },
                )
            },
        ),
        world(
            "a hold and a rival, and checkouts that tell the time, however late",
            true,
            Scenario {
                checkouts_tell_time: true,
                ..scene(
                    1,
                    vec![buyer(0, "ann", &[0], Some("h"), good), buyer(1, "bob", &[0], None, good)],
                    vec![reserves(0, "ann", "h")],
                    none,
                )
            },
        ),
        world(
            "a clock one step behind",
            true,
            scene(
                1,
                vec![buyer(0, "ann", &[0], Some("h"), good), buyer(1, "bob", &[0], None, good)],
                vec![reserves(0, "ann", "h")],
                Faults { behind: 2, ..none },
            ),
        ),
    ]
}

/// The same scene, its last ticket on a map of its own.
fn on_two_maps(mut scene: Scenario) -> Scenario {
    let last = scene.tickets.len() - 1;
    let (old, new) = (ticket(last), TicketId::parse("gallery:1").expect("a good id"));
    scene.tickets[last] = new.clone();
    for buyer in &mut scene.buyers {
        let order = &buyer.order;
        let moved = |id: &TicketId| if *id == old { new.clone() } else { id.clone() };
        let tickets = order.tickets().iter().map(moved).collect();
        let (user, method, hold) = (order.user().clone(), order.method().clone(), order.hold().cloned());
        buyer.order = Order::new(tickets, user, method, hold).expect("a few different tickets");
    }
    scene
}

/// Scenes so small that wrong rules are searched in all of them.
#[must_use]
pub fn tiny_worlds() -> Vec<Arc<Scenario>> {
    let none = Faults::NONE;
    let good = "card_success";
    let one = |card| vec![buyer(0, "ann", &[0], None, card)];
    let held = |card| vec![buyer(0, "ann", &[0], Some("h"), card)];
    let two = || vec![buyer(0, "ann", &[0], None, "card_decline"), buyer(1, "bob", &[0], None, good)];
    let again = || vec![buyer(0, "ann", &[0], Some("h"), "card_decline"), buyer(1, "ann", &[0], Some("h"), good)];
    let same = || vec![buyer(0, "ann", &[0], Some("h"), good), buyer(1, "ann", &[0], Some("h"), good)];
    let ann_holds = || vec![reserves(0, "ann", "h")];
    let long = |scene: Scenario| Scenario {
        terms: Terms { hold_ttl: HoldTtl::new(Millis::from_secs(60)).expect("within its bounds"), ..terms() },
        ..scene
    };
    let forgetful = |scene: Scenario| Scenario { forgets: true, ..scene };
    let reserves_for_long = || {
        let until = away(Millis::from_secs(60));
        vec![says(&[0], TicketCommand::Reserve(Reserve { until, ..wish("ann", "h", None) }))]
    };
    let price = Money::new(7, Currency::USD).expect("little money");
    let lists = || Line { at: ticket(0).map_key(), command: SeatMapCommand::List { seats: ticket(0).into(), price } };
    let resets_all = || Line { at: ticket(0).map_key(), command: SeatMapCommand::ResetAll };
    let numbered = |numbers: &[usize], nth| says(numbers, TicketCommand::Reserve(wish("ann", "h", Some(nth))));
    let scenes = vec![
        scene(1, one(good), vec![], none),
        scene(1, one("card_capture_decline"), vec![], none),
        scene(
            1,
            one(good),
            vec![releases(0, "h"), says(&[0], TicketCommand::Reset { up_to: 0, ended: Vec::new() })],
            none,
        ),
        scene(1, one(good), vec![resets_all()], none),
        scene(2, vec![buyer(0, "ann", &[0, 1], None, good)], vec![], none),
        scene(2, vec![buyer(0, "ann", &[0, 1], None, good), buyer(1, "bob", &[1], None, good)], vec![], none),
        on_two_maps(scene(3, vec![buyer(0, "ann", &[0, 2], None, "card_decline")], vec![], none)),
        scene(1, held(good), vec![reserves(0, "ann", "h"), lists()], none),
        scene(2, one(good), vec![publishes(&[0, 1], 7), publishes(&[1], 7)], Faults { stale: 1, ..none }),
        scene(2, one(good), vec![publishes(&[0, 1], 7), lists()], none),
        scene(
            2,
            vec![],
            vec![numbered(&[0, 1], 1), says(&[1], release("h", Some(2))), numbered(&[1], 3)],
            Faults { copies: 2, ..none },
        ),
        scene(2, vec![], vec![reserves(0, "ann", "h"), reserves(1, "ann", "i"), publishes(&[0], 7)], none),
        scene(
            1,
            held(good),
            vec![
                reserves(0, "ann", "h"),
                says(&[0], TicketCommand::Block { reason: "broken".into() }),
                says(&[0], TicketCommand::Recall { up_to: 1 }),
            ],
            none,
        ),
        scene(1, two(), vec![], none),
        scene(1, same(), ann_holds(), none),
        scene(1, one(good), vec![], Faults { kills: 1, early: 1, ..none }),
        scene(1, held(good), ann_holds(), Faults { kills: 1, early: 1, ..none }),
        scene(
            1,
            vec![],
            vec![reserves(0, "ann", "h"), releases(0, "h"), reserves(0, "bob", "i")],
            Faults { copies: 1, lost: 1, early: 1, behind: 1, ..none },
        ),
        long(scene(1, held(good), reserves_for_long(), none)),
        long(scene(1, held("card_capture_decline"), reserves_for_long(), none)),
        scene(1, one(good), vec![], Faults { crashes: 2, ..none }),
        scene(1, held(good), ann_holds(), Faults { crashes: 1, ..none }),
        scene(1, one("card_capture_decline"), vec![], Faults { crashes: 2, ..none }),
        scene(1, one(good), vec![], Faults { lost: 2, silent: 2, ..none }),
        scene(1, one("card_capture_decline"), vec![], Faults { silent: 2, ..none }),
        scene(1, one(good), vec![], Faults { crashes: 1, lost: 1, ..none }),
        scene(1, one(good), vec![], Faults { copies: 2, ..none }),
        scene(1, one(good), vec![], Faults { lost: 1, behind: 1, ..none }),
        forgetful(scene(1, one("card_capture_decline"), vec![], Faults { copies: 2, ..none })),
        // The largest come last: most bugs are found before.
        scene(1, two(), vec![], Faults { copies: 1, ..none }),
        scene(1, again(), ann_holds(), Faults { copies: 1, ..none }),
    ];
    scenes.into_iter().map(Arc::new).collect()
}

/// Scenes for a checkout's plain course, cut anywhere: every card, one ticket or two, with or without a hold that lasts
/// longer or shorter than the checkout, and a rival who comes when the first crash is over.
#[must_use]
pub fn courses() -> Vec<Scenario> {
    let cards =
        ["card_success", "card_decline", "card_error", "card_flaky", "card_lost", "card_capture_decline", "card_other"];
    let mut courses = Vec::new();
    for card in cards {
        for tickets in [&[0][..], &[0, 1][..]] {
            for hold in [None, Some("h")] {
                for rival in [false, true] {
                    let mut buyers = vec![buyer(0, "ann", tickets, hold, card)];
                    buyers.extend(rival.then(|| buyer(1, "bob", &[0], None, "card_success")));
                    let lines = tickets.iter().filter(|_| hold.is_some()).map(|number| reserves(*number, "ann", "h"));
                    courses.push(scene(2, buyers, lines.collect(), Faults::NONE));
                }
            }
        }
    }
    courses
}
