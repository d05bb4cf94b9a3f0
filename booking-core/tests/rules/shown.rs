//! What is shown of seats and maps, and to whom; what a host may answer without a turn.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use booking_core::machine::turn;
use booking_core::map::ticket::{
    Claim, Hold, HoldStatus, Own, Reader, Sale, Ticket, TicketRefusal, TicketState, TicketStatus, TicketView,
};
use booking_core::map::{Header, Layout, Place, Row, SeatMap, SeatMapCommand, SeatMapReply};

use crate::support::*;

fn view(hold: Option<&str>) -> TicketView {
    TicketView {
        status: TicketStatus::Reserved,
        reserved_by: Some(user("ann")),
        hold: hold.map(hold_id),
        reserved_until: Some(at(UNTIL)),
        version: 7,
    }
}

#[test]
fn who_sits_where_is_told_to_operators_and_to_who_shows_the_hold() {
    let told = |reader: &Reader, shows_buyers, hold| view(hold).seen_by(reader, shows_buyers).reserved_by.is_some();
    let holder = |name| Reader::Holder(hold_id(name));
    for (reader, of_all, told_to) in [
        (Reader::Anyone, false, false),
        (Reader::Anyone, true, true),
        (holder("anns"), false, true),
        (holder("anns"), true, true),
        (holder("bobs"), false, false),
        (holder("bobs"), true, true),
        (Reader::Operator, false, true),
        (Reader::Operator, true, true),
    ] {
        assert_eq!(told(&reader, of_all, Some("anns")), told_to, "{reader:?}, shown to all: {of_all}");
    }
    assert!(!told(&holder("anns"), false, None), "a hold that is over says nothing");
    let rest = TicketView { reserved_by: None, ..view(Some("anns")) };
    assert_eq!(view(Some("anns")).seen_by(&Reader::Anyone, false), rest, "everything else is told to all");
}

#[test]
fn a_look_answers_what_is_recorded_and_nothing_else() {
    use TicketStatus::{Available, Blocked, Reserved, Sold};
    let all = [Available, Reserved, Sold, Blocked];
    let reserved = TicketRefusal::TicketReserved { until: at(UNTIL) };
    for (refusal, is) in [
        (reserved, Some(Reserved)),
        (TicketRefusal::TicketSold, Some(Sold)),
        (TicketRefusal::TicketBlocked, Some(Blocked)),
    ] {
        for status in all {
            assert_eq!(
                refusal.is_what_is_recorded(status),
                Some(status) == is,
                "{refusal:?} of a seat that is {status:?}"
            );
        }
    }
    for refusal in [
        TicketRefusal::TicketNotForSale,
        TicketRefusal::CheckoutInProgress,
        TicketRefusal::HoldExpired,
        TicketRefusal::HoldNotFound,
        TicketRefusal::Overtaken { last: 1 },
        TicketRefusal::HoldInUse,
        TicketRefusal::StaleEdition { edition: 1 },
        TicketRefusal::Overloaded,
    ] {
        assert!(all.into_iter().all(|status| !refusal.is_what_is_recorded(status)), "{refusal:?} needs a turn");
    }
}

#[test]
fn a_seat_that_cannot_be_read_is_shown_as_blocked_at_its_maps_version() {
    let unreadable = Ticket::unreadable(7);
    assert_eq!((unreadable.state.status(), unreadable.version), (TicketStatus::Blocked, 7));
    assert_eq!(unreadable.get(at(NOW)).status, TicketStatus::Blocked);
}

fn sold(claim: Option<Claim>) -> Ticket {
    let sale = Sale { by: user("ann"), at: at(NOW), hold: hold_id("anns"), price: unit_price(), own: None, claim };
    Ticket { state: TicketState::Sold(sale.into()), version: 3, listed: None }
}

#[test]
fn a_seat_says_when_its_hold_ends_and_whose_checkout_has_bought_it() {
    let claim = Claim { checkout: checkout_id("c-1"), deadline: at(LATE), fence: 3 };
    assert_eq!(sold(Some(claim)).sold_to(), Some(&checkout_id("c-1")));
    assert_eq!(sold(None).sold_to(), None, "a sale at the box office");
    let own = Own { until: at(UNTIL), latest: at(LATE) };
    let hold = Hold {
        id: hold_id("anns"),
        by: user("ann"),
        price: unit_price(),
        status: HoldStatus::Unclaimed(own),
        then_blocked: None,
    };
    let held = Ticket { state: TicketState::Reserved(hold.into()), version: 3, listed: None };
    assert_eq!((held.ends(), held.sold_to()), (Some(at(UNTIL)), None));
    assert_eq!(sold(None).ends(), None);
}

#[test]
fn a_seat_has_its_own_version_and_one_without_a_row_that_of_its_map() {
    let header = Header { version: 9, ..Header::default() };
    let map = SeatMap::from_parts(header, None, [(ticket_id("a"), sold(None))], [], []);
    assert_eq!((map.version_of(&ticket_id("a")), map.version_of(&ticket_id("b"))), (3, 9));
}

fn layout(prices: &[u64]) -> Layout {
    let seat = |(n, minor): (u32, &u64)| Place {
        ticket: ticket_id(&format!("hall:{n}")),
        label: None,
        price: usd(*minor),
        x: n,
        y: 0,
    };
    Layout::new(vec![Row { name: "A".into(), seats: (1..).zip(prices).map(seat).collect() }]).unwrap()
}

#[test]
fn publishing_counts_the_seats_whose_price_has_changed() {
    let mut map = SeatMap::default();
    let mut publish =
        |prices: &[u64]| match turn(&mut map, &SeatMapCommand::Publish { layout: Arc::new(layout(prices)) }, at(NOW))
            .stored()
            .unwrap()
        {
            SeatMapReply::Published(published) => (published.added, published.removed, published.repriced),
            other => panic!("{other:?}"),
        };
    assert_eq!(publish(&[100, 100, 100]), (3, 0, 0));
    assert_eq!(publish(&[100, 200, 100]), (0, 0, 1));
    assert_eq!(publish(&[100, 100]), (0, 1, 1));
}

/// The simplest there is: its result depends on each byte.
#[derive(Default)]
struct Sum(u64);

impl Hasher for Sum {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

#[test]
fn maps_that_differ_are_told_apart() {
    let hash = |value: &dyn Fn(&mut Sum)| {
        let mut sum = Sum::default();
        value(&mut sum);
        sum.finish()
    };
    let (one, other) = (layout(&[100, 200]), layout(&[100, 201]));
    assert_ne!(hash(&|sum| one.hash(sum)), hash(&|sum| other.hash(sum)));
    assert_eq!(hash(&|sum| one.hash(sum)), hash(&|sum| layout(&[100, 200]).hash(sum)));
    let map = |seat| SeatMap::from_parts(Header::default(), None, [(ticket_id(seat), sold(None))], [], []);
    assert_ne!(map("a"), map("b"));
    assert_ne!(hash(&|sum| map("a").hash(sum)), hash(&|sum| map("b").hash(sum)));
}

#[test]
fn the_stored_form_of_a_map_has_nothing_that_is_empty() {
    let stored = serde_json::to_value(SeatMap::default()).unwrap();
    let fields: Vec<&String> = stored.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["header", "tickets"]);
    let ended = SeatMap::from_parts(Header::default(), None, [], [(checkout_id("c"), at(NOW))], []);
    assert!(serde_json::to_value(ended).unwrap().get("ended").is_some());
}
