//! The seat map (§3).

use booking_core::machine::{Machine, turn};
use booking_core::seat_map::{
    BATCH, Delta, Layout, LayoutError, News, Place, Row, SeatMap, SeatMapCommand, SeatMapNotices, SeatMapReply, Summary,
};
use booking_core::ticket::TicketStatus::{self, Available, Blocked, Reserved, Sold};

use crate::support::*;

fn update(ticket: &str, status: TicketStatus, version: u64) -> SeatMapCommand {
    SeatMapCommand::Update { ticket: ticket_id(ticket), status, version, auto_reset_at: None }
}

fn publish(seats: impl IntoIterator<Item = String>, minor: u64) -> SeatMapCommand {
    let place = |(x, id): (u32, String)| Place { ticket: ticket_id(&id), label: None, price: usd(minor), x, y: 0 };
    let row = Row { name: "A".into(), seats: (0..).zip(seats).map(place).collect() };
    SeatMapCommand::Publish { layout: Layout::new(vec![row]).unwrap() }
}

fn ask(map: &mut SeatMap, command: &SeatMapCommand) -> (SeatMapReply, SeatMapNotices) {
    let (outcome, notices) = turn(map, command, at(NOW)).stored();
    (outcome.unwrap(), notices)
}

fn shown(map: &SeatMap) -> Vec<(&str, TicketStatus)> {
    map.get().map(|(id, status)| (id.as_str(), status)).collect()
}

#[test]
fn an_update_is_taken_iff_it_is_newer_than_what_the_map_has_for_that_ticket() {
    let mut map = SeatMap::default();
    ask(&mut map, &update("s1", Reserved, 3));
    assert_eq!(shown(&map), [("s1", Reserved)]);
    for stale in [update("s1", Available, 3), update("s1", Sold, 2), update("s1", Available, 0)] {
        let before = map.clone();
        assert_eq!(ask(&mut map, &stale), (SeatMapReply::Done, SeatMapNotices::default()));
        assert_eq!(map, before, "duplicates and reordering change nothing");
    }
    ask(&mut map, &update("s1", Sold, 4));
    assert_eq!(shown(&map), [("s1", Sold)]);
}

#[test]
fn updates_in_any_order_end_in_the_same_map() {
    let updates = [update("s1", Reserved, 1), update("s1", Sold, 2), update("s1", Available, 3), update("s2", Sold, 1)];
    let (mut forward, mut backward) = (SeatMap::default(), SeatMap::default());
    updates.iter().for_each(|update| drop(ask(&mut forward, update)));
    updates.iter().rev().for_each(|update| drop(ask(&mut backward, update)));
    assert_eq!(shown(&forward), shown(&backward));
    assert_eq!(shown(&forward), [("s1", Available), ("s2", Sold)]);
}

#[test]
fn get_shows_the_layouts_order_then_the_rest_by_id() {
    let mut map = SeatMap::default();
    ask(&mut map, &update("b", Sold, 1));
    ask(&mut map, &update("a", Reserved, 1));
    ask(&mut map, &publish(["z".into(), "b".into()], 1));
    assert_eq!(shown(&map), [("z", Available), ("b", Sold), ("a", Reserved)]);
}

#[test]
fn summary_counts_by_status_with_the_maps_version() {
    let mut map = SeatMap::default();
    ask(&mut map, &publish(["z".into(), "b".into()], 1));
    ask(&mut map, &update("b", Sold, 1));
    ask(&mut map, &update("c", Reserved, 1));
    assert_eq!(map.summary(), Summary { version: 3, available: 1, reserved: 1, sold: 1, blocked: 0 });
    ask(&mut map, &update("d", Blocked, 1));
    ask(&mut map, &update("e", Blocked, 1));
    assert_eq!(map.summary(), Summary { version: 5, available: 1, reserved: 1, sold: 1, blocked: 2 });
}

#[test]
fn each_change_raises_the_maps_version_by_one_and_is_told_to_its_watchers() {
    let mut map = SeatMap::default();
    let (_, told) = ask(&mut map, &update("s1", Sold, 1));
    assert_eq!(told.watchers, Some(News::Changed(Delta { version: 1, id: ticket_id("s1"), status: Sold })));
    let (_, told) = ask(&mut map, &update("s1", Sold, 2));
    assert_eq!(told.watchers, Some(News::Changed(Delta { version: 2, id: ticket_id("s1"), status: Sold })), "no gap");
    let (_, told) = ask(&mut map, &publish(["s1".into()], 1));
    assert_eq!(told.watchers, Some(News::Republished { version: 3 }));
    assert_eq!(map.version(), 3);
}

#[test]
fn publishing_a_layout_lists_each_of_its_tickets_in_batches() {
    let seats = || (0..BATCH * 2 + 1).map(|i| format!("s{i}"));
    let mut map = SeatMap::default();
    let (reply, mut notices) = ask(&mut map, &publish(seats(), 500));
    assert_eq!(reply, SeatMapReply::Published { tickets: BATCH as u64 * 2 + 1, edition: 1 });
    let (mut listed, mut batches) = (Vec::new(), 1);
    listed.append(&mut notices.tickets);
    while let Some(errand) = notices.go_on {
        notices = ask(&mut map, &SeatMapCommand::Continue(errand)).1;
        assert!(notices.tickets.len() <= BATCH);
        listed.append(&mut notices.tickets);
        batches += 1;
    }
    let expected: Vec<_> = seats().map(|id| (ticket_id(&id), list_edition(500, 1))).collect();
    assert_eq!((listed, batches), (expected, 3));
}

#[test]
fn publishing_the_same_layout_again_changes_nothing() {
    let mut map = SeatMap::default();
    let (first, _) = ask(&mut map, &publish(["s1".into()], 500));
    let before = map.clone();
    assert_eq!(ask(&mut map, &publish(["s1".into()], 500)), (first, SeatMapNotices::default()));
    assert_eq!(map, before);
}

#[test]
fn an_errand_for_an_older_edition_lists_nothing() {
    let mut map = SeatMap::default();
    let (_, notices) = ask(&mut map, &publish((0..=BATCH).map(|i| format!("s{i}")), 500));
    let stale = notices.go_on.clone().unwrap();
    ask(&mut map, &publish((0..BATCH * 3).map(|i| format!("s{i}")), 700));
    assert_eq!(ask(&mut map, &SeatMapCommand::Continue(stale)), (SeatMapReply::Done, SeatMapNotices::default()));
}

#[test]
fn a_map_without_a_layout_is_open_and_shows_whatever_it_hears_of() {
    let mut map = SeatMap::default();
    ask(&mut map, &update("anything", Sold, 1));
    assert_eq!(shown(&map), [("anything", Sold)]);
}

#[test]
fn a_ticket_stands_in_a_layout_once() {
    let place = || Place { ticket: ticket_id("s1"), label: None, price: usd(1), x: 0, y: 0 };
    let rows = vec![Row { name: "A".into(), seats: vec![place()] }, Row { name: "B".into(), seats: vec![place()] }];
    assert_eq!(Layout::new(rows.clone()), Err(LayoutError::DuplicateSeat(ticket_id("s1"))));
    assert!(serde_json::from_value::<Layout>(serde_json::to_value(rows).unwrap()).is_err());
}

#[test]
fn two_seats_of_a_row_have_two_names() {
    let place = |id: &str, label: Option<&str>| Place {
        ticket: ticket_id(id),
        label: label.map(Into::into),
        price: usd(1),
        x: 0,
        y: 0,
    };
    let row = |name: &str, seats: [Place; 2]| Row { name: name.into(), seats: seats.into() };
    let named = |seats: [Place; 2]| Layout::new(vec![row("A", seats)]).map(|_| ());
    assert_eq!(named([place("F-R1", None), place("F-1", None)]), Ok(()));
    assert_eq!(named([place("a.1", None), place("b_1", None)]), Err(LayoutError::DuplicateName(ticket_id("b_1"))));
    assert_eq!(named([place("a.1", None), place("b_1", Some("1 left"))]), Ok(()));
    assert_eq!(named([place("a.1", None), place("b.2", Some("1"))]), Err(LayoutError::DuplicateName(ticket_id("b.2"))));
    // In two rows they may.
    let (front, back) = ([place("F-1", None), place("F-2", None)], [place("B-1", None), place("B-2", None)]);
    assert!(Layout::new(vec![row("Front", front), row("Back", back)]).is_ok());
}

#[test]
fn reset_all_resets_every_ticket_at_the_version_the_map_knows_and_answers_how_many() {
    let mut map = SeatMap::default();
    ask(&mut map, &update("s1", Sold, 7));
    ask(&mut map, &update("s2", Reserved, 3));
    let (reply, notices) = ask(&mut map, &SeatMapCommand::ResetAll);
    assert_eq!(reply, SeatMapReply::Resetting { tickets: 2 });
    assert_eq!(notices.tickets, [(ticket_id("s1"), reset(7)), (ticket_id("s2"), reset(3))]);
}

#[test]
fn reset_all_goes_out_in_batches_and_leaves_alone_what_changed_since_it_was_asked() {
    let mut map = SeatMap::default();
    for i in 0..=BATCH {
        ask(&mut map, &update(&format!("s{i:04}"), Sold, 1));
    }
    let last = format!("s{BATCH:04}");
    let (reply, notices) = ask(&mut map, &SeatMapCommand::ResetAll);
    assert_eq!(reply, SeatMapReply::Resetting { tickets: BATCH as u64 + 1 });
    assert_eq!(notices.tickets.len(), BATCH);
    let errand = notices.go_on.clone().unwrap();
    let mut sold_again = map.clone();
    let (_, rest) = ask(&mut map, &SeatMapCommand::Continue(errand.clone()));
    assert_eq!(rest.tickets, [(ticket_id(&last), reset(1))]);
    ask(&mut sold_again, &update(&last, Sold, 9));
    assert_eq!(
        ask(&mut sold_again, &SeatMapCommand::Continue(errand)),
        (SeatMapReply::Done, SeatMapNotices::default())
    );
}

#[test]
fn auto_reset_comes_with_the_sale_that_fills_the_map_and_with_no_other_news() {
    let tell = |map: &mut SeatMap, ticket: &str, status, version| {
        let auto_reset_at = Some(2);
        let update = SeatMapCommand::Update { ticket: ticket_id(ticket), status, version, auto_reset_at };
        ask(map, &update).1.tickets.len()
    };
    let mut map = SeatMap::default();
    assert_eq!(tell(&mut map, "s1", Sold, 1), 0, "one is sold");
    assert_eq!(tell(&mut map, "s1", Sold, 2), 0, "the same one");
    assert_eq!(tell(&mut map, "s2", Reserved, 1), 0);
    assert_eq!(tell(&mut map, "s2", Sold, 2), 2, "two are sold: both are reset");
    assert_eq!(tell(&mut map, "s2", Sold, 3), 0, "it was sold before");
    assert_eq!(tell(&mut map, "s3", Reserved, 1), 0, "two are sold still, but this is no sale");
}

#[test]
fn a_map_stored_in_parts_is_the_same_map() {
    let mut map = SeatMap::default();
    ask(&mut map, &update("b", Sold, 1));
    assert_eq!((map.published(), map.edition(), map.layout()), (None, 0, None));
    ask(&mut map, &publish(["z".into(), "b".into()], 1));
    let published = map.published();
    ask(&mut map, &publish(["z".into()], 1));
    ask(&mut map, &update("a", Reserved, 1));
    assert_eq!((published.unwrap().edition, map.edition()), (1, 2));
    let seats = || map.seats().map(|(id, seat)| (id.clone(), *seat));
    assert_eq!(SeatMap::restored(map.published(), seats()), map);
    assert_eq!(seats().count(), 2);
    let stored: Layout = serde_json::from_slice(&serde_json::to_vec(map.layout().unwrap()).unwrap()).unwrap();
    assert_eq!(Some(&stored), map.layout());
    let mut around = SeatMap::around(map.version(), seats().filter(|(id, _)| *id == ticket_id("a")));
    for news in [update("a", Reserved, 1), update("a", Sold, 2)] {
        assert_eq!(ask(&mut around, &news), ask(&mut map, &news), "it judges as the whole map does");
        assert_eq!((around.version(), around.seat(&ticket_id("a"))), (map.version(), map.seat(&ticket_id("a"))));
    }
}

#[test]
fn a_map_decides_the_same_at_any_time() {
    let map = SeatMap::default();
    let decide = |now| map.decide(&update("s1", Sold, 1), at(now)).unwrap().event;
    assert_eq!(decide(0), decide(u64::MAX));
}
