//! The rules of a map around the table of one seat (§2): a test a line.

use booking_core::map::SeatMapReply::{self, Done};
use booking_core::map::ticket::TicketRefusal::{
    CheckoutInProgress, HoldExpired, HoldInUse, HoldNotFound, Overloaded, Overtaken, StaleEdition, TicketBlocked,
    TicketNotForSale, TicketReserved, TicketSold,
};
use booking_core::map::ticket::TicketStatus::{Available, Blocked, Reserved, Sold};
use booking_core::map::ticket::{Sale, TicketCommand};
use booking_core::map::{
    BATCH, Layout, MEMORY, News, Published, SeatMap, SeatMapCommand, SeatMapRefusal, Seats, SeatsError, Summary,
};
use booking_core::{TicketId, UserId};

use crate::map_support::*;

fn expire(due: u64) -> SeatMapCommand {
    SeatMapCommand::Expire { due: at(due) }
}
fn list(numbers: &[u32], minor: u64) -> SeatMapCommand {
    SeatMapCommand::List { seats: seats(numbers), price: usd(minor) }
}

mod sets {
    use super::*;

    #[test]
    fn a_set_is_taken_whole_under_one_version_and_one_fence() {
        let map = Map::available().after_seats(&[2, 1, 3], &claim("ann", "h", "c", EARLY));
        assert_eq!((map.map.version(), map.statuses(&[1, 2, 3])), (1, vec![Reserved; 3]));
        let told: Vec<_> = map.told().into_iter().map(|(seat, _)| seat).collect();
        assert_eq!(told, ["a:2", "a:1", "a:3"]);
        let map = map.after_seats(&[1, 2, 3], &confirm("h", "c", 1));
        assert_eq!((map.map.version(), map.statuses(&[1, 2, 3])), (2, vec![Sold; 3]));
    }

    #[test]
    fn seats_that_were_claimed_in_parts_have_no_fence_together() {
        let parts =
            Map::available().after(&claim("ann", "h", "c", EARLY)).after_seats(&[2], &claim("ann", "h", "c", EARLY));
        parts.refuses_naming(&[1, 2], &claim("ann", "h", "c", EARLY), Some(2), HoldExpired);
    }

    #[test]
    fn one_seat_that_refuses_refuses_the_set_and_is_named() {
        let map = Map::available().after_seats(&[2], &reserve("bob", "h2")).after_seats(&[3], &block());
        let held = TicketReserved { until: at(UNTIL) };
        map.clone().refuses_naming(&[1, 2, 3], &reserve("ann", "h"), Some(2), held);
        map.clone().refuses_naming(&[1, 3, 2], &reserve("ann", "h"), Some(3), TicketBlocked);
        map.clone().refuses_naming(&[1, 2], &claim("ann", "h", "c", EARLY), Some(2), held);
        map.clone().refuses_naming(&[1, 2], &sell("ann", "box"), Some(2), held);
        let sold = map.after_seats(&[4], &sell("ann", "box"));
        sold.clone().refuses_naming(&[1, 4], &block(), Some(4), TicketSold);
        sold.refuses_naming(&[4, 2], &reset(9), Some(2), held);
    }

    #[test]
    fn an_answer_has_the_price_of_each_seat_in_the_order_of_the_command() {
        let mut map = Map::available().then(&list(&[2], 500));
        let prices = vec![unit_price(), usd(500)];
        let answer = SeatMapReply::Reserved { hold: hold_id("h"), until: at(UNTIL), prices: prices.clone() };
        assert_eq!(map.ask_seats(&seats(&[1, 2]), &reserve("ann", "h")), Ok(answer));
        let answer = SeatMapReply::Claimed { fence: 3, prices };
        assert_eq!(map.ask_seats(&seats(&[1, 2]), &claim_brought("ann", "h", "c", EARLY)), Ok(answer));
    }

    #[test]
    fn reserve_of_a_set_answers_its_earliest_end_and_takes_the_seats_that_are_missing() {
        let mut map = Map::held().at(NOW + 5);
        let wish = ending(reserve("ann", "h"), LATEST + 5);
        let answer = SeatMapReply::Reserved { hold: hold_id("h"), until: at(LATEST), prices: vec![unit_price(); 2] };
        assert_eq!(map.ask_seats(&seats(&[1, 2]), &wish), Ok(answer));
        assert_eq!(map.statuses(&[1, 2]), [Reserved; 2]);
    }

    #[test]
    fn a_claim_of_which_a_part_is_gone_is_refused() {
        let map = Map::available().after_seats(&[1, 2], &claim("ann", "h", "c", EARLY));
        map.clone().refuses_naming(&[1, 2, 3], &claim("ann", "h", "c", EARLY), Some(3), HoldExpired);
        map.refuses_naming(&[3, 1], &claim("ann", "h", "c", EARLY), Some(3), HoldExpired);
    }

    #[test]
    fn a_claim_that_stands_is_answered_alike_whether_all_of_it_is_sold_or_not() {
        let mut map = Map::available().after_seats(&[1, 2], &claim("ann", "h", "c", EARLY));
        let again = SeatMapReply::Claimed { fence: 1, prices: vec![unit_price(); 2] };
        assert_eq!(map.ask_seats(&seats(&[1, 2]), &claim("ann", "h", "c", EARLY)), Ok(again.clone()));
        let mut map = map.after_seats(&[1, 2], &confirm("h", "c", 1)).at(LATE);
        assert_eq!(map.ask_seats(&seats(&[1, 2]), &claim("ann", "h", "c", EARLY)), Ok(again));
        assert!(!map.recorded);
    }

    #[test]
    fn a_confirm_is_all_or_nothing() {
        let map = Map::available().after_seats(&[1, 2], &claim("ann", "h", "c", EARLY));
        map.clone().refuses_naming(&[1, 2, 3], &confirm("h", "c", 1), Some(3), HoldNotFound);
        let one = map.after_seats(&[1], &confirm("h", "c", 1));
        one.clone().refuses_naming(&[1, 2], &confirm("h", "c", 1), None, HoldNotFound);
        one.refuses_naming(&[2, 1], &confirm("h", "c", 1), None, HoldNotFound);
    }

    #[test]
    fn a_release_of_a_set_with_a_claimed_seat_changes_none() {
        let map = Map::available()
            .after_seats(&[1, 2], &reserve("ann", "h"))
            .after_seats(&[2], &claim_brought("ann", "h", "c", EARLY));
        map.clone().refuses_naming(&[1, 2], &release("h"), Some(2), CheckoutInProgress);
        assert_eq!(map.after_seats(&[1], &release("h")).statuses(&[1, 2]), [Available, Reserved]);
    }

    #[test]
    fn a_revoke_gives_back_what_the_checkout_has_of_the_set() {
        let map = Map::available()
            .after_seats(&[1, 2], &claim("ann", "h", "c", EARLY))
            .after_seats(&[3], &reserve("bob", "h2"))
            .after_seats(&[1, 2, 3, 4], &revoke("h", "c", EARLY));
        assert_eq!(map.statuses(&[1, 2, 3, 4]), [Available, Available, Reserved, Available]);
    }

    #[test]
    fn a_set_has_at_least_one_seat_and_each_once() {
        assert_eq!(Seats::new(vec![]), Err(SeatsError::None));
        let twice = vec![ticket_id("a:1"), ticket_id("a:2"), ticket_id("a:1")];
        assert_eq!(Seats::new(twice), Err(SeatsError::Duplicate(ticket_id("a:1"))));
        assert!(serde_json::from_str::<Seats>(r#"["a:1","a:1"]"#).is_err());
        assert_eq!(serde_json::to_string(&Seats::from(ticket_id("a:1"))).unwrap(), r#"["a:1"]"#);
        assert_eq!(Vec::from(seats(&[2, 1])), [ticket_id("a:2"), ticket_id("a:1")]);
    }
}

mod time {
    use super::*;

    #[test]
    fn effective_now_is_never_before_the_last_recorded_change() {
        let late = Map::available().at(EARLY).after_seats(&[2], &block());
        let stepped_back = late.at(NOW).after(&reserve("ann", "h"));
        assert_eq!(stepped_back.map.header().at, at(EARLY));
        stepped_back
            .at(UNTIL)
            .after_seats(&[2], &TicketCommand::Unblock)
            .at(NOW)
            .refuses_as_a_whole(&reserve("bob", "h2"), HoldExpired);
    }

    #[test]
    fn a_hold_is_live_until_exactly_its_end() {
        let wish = ending(reserve("bob", "h2"), LATE);
        Map::held().at(UNTIL - 1).refuses(&wish, TicketReserved { until: at(UNTIL) });
        Map::held().at(UNTIL).changes(&wish, &reserved("h2", LATE));
    }

    #[test]
    fn a_hold_lasts_to_the_later_of_its_own_end_and_its_claims_deadline() {
        let wish = ending(reserve("bob", "h2"), LATE + 9);
        Map::held_and_claimed(LATE).at(LATE - 1).refuses(&wish, TicketReserved { until: at(UNTIL) });
        assert_eq!(Map::held_and_claimed(LATE).at(LATE).after(&wish).status(), Reserved);
        Map::held_and_claimed(EARLY).at(UNTIL - 1).refuses(&wish, TicketReserved { until: at(UNTIL) });
    }

    #[test]
    fn a_claim_past_its_deadline_on_a_live_hold_is_gone_first() {
        let map = Map::held_and_claimed(EARLY);
        map.clone().at(EARLY - 1).refuses(&release("h"), CheckoutInProgress);
        assert_eq!(map.clone().at(EARLY).changes(&release("h"), &Done).status(), Available);
        let second = map.clone().at(EARLY).changes(&claim_brought("ann", "h", "c2", LATE), &claimed(3));
        assert_eq!(second.state().hold().unwrap().claim().unwrap().checkout, checkout_id("c2"));
        map.clone().at(EARLY).refuses(&confirm("h", "c", 2), HoldNotFound);
        map.at(EARLY).refuses_as_a_whole(&claim("ann", "h", "c", EARLY), HoldExpired);
    }

    #[test]
    fn an_accepted_command_records_what_has_lapsed_of_the_seats_it_names() {
        for command in [release("h2"), revoke("h2", "c2", EARLY), TicketCommand::Unblock, recall(0), reset(0)] {
            let map = Map::held().at(UNTIL).changes(&command, &Done);
            assert_eq!((map.status(), map.stored()), (Available, None), "{command:?}");
        }
        let other = Map::held().at(UNTIL).after_seats(&[2], &block());
        assert_eq!((other.status(), other.map.version()), (Reserved, 2), "of other seats it records nothing");
        assert_eq!(other.statuses(&[1, 2]), [Available, Blocked], "but they read alike");
    }

    #[test]
    fn no_copy_of_a_reserve_holds_a_seat_past_its_own_end() {
        let lapsed = Map::held().at(UNTIL).then(&expire(UNTIL));
        lapsed.clone().refuses_as_a_whole(&reserve("ann", "h"), HoldExpired);
        lapsed.at(NOW).refuses_as_a_whole(&reserve("ann", "h"), HoldExpired);
    }
}

mod wishes {
    use super::*;

    #[test]
    fn the_last_wish_asked_again_is_answered_alike() {
        let wish = numbered(reserve("ann", "h"), 1);
        let held = Map::available().after(&wish);
        held.clone().keeps(&wish, &reserved("h", UNTIL));
        held.clone().keeps(&ending(wish.clone(), LATE), &reserved("h", UNTIL));
        let claimed = held.clone().after(&claim_brought("ann", "h", "c", LATE));
        claimed.clone().keeps(&wish, &reserved("h", UNTIL));
        claimed.after(&confirm("h", "c", 2)).keeps(&wish, &reserved("h", UNTIL));
        let back = numbered(release("h"), 2);
        held.after(&back).keeps(&back, &Done);
    }

    #[test]
    fn a_wish_that_a_later_one_overtook_is_refused() {
        let map = Map::available().after(&numbered(reserve("ann", "h"), 1)).after(&numbered(release("h"), 2));
        map.clone().refuses_as_a_whole(&numbered(reserve("ann", "h"), 1), Overtaken { last: 2 });
        map.clone().refuses_as_a_whole(&numbered(release("h"), 1), Overtaken { last: 2 });
        map.changes(&numbered(reserve("ann", "h"), 3), &reserved("h", UNTIL));
    }

    #[test]
    fn a_release_that_comes_before_its_reserve_keeps_it_from_holding() {
        let map = Map::available().remembers(&numbered(release("h"), 2));
        map.refuses_as_a_whole(&numbered(reserve("ann", "h"), 1), Overtaken { last: 2 });
    }

    #[test]
    fn two_wishes_of_one_number_are_refused_hold_in_use() {
        let map = Map::available().after_seats(&[1], &numbered(reserve("ann", "h"), 1));
        map.clone().refuses_naming(&[2], &numbered(reserve("ann", "h"), 1), None, HoldInUse);
        map.clone().refuses_naming(&[1], &numbered(release("h"), 1), None, HoldInUse);
        let map = map.after(&numbered(release("h"), 2));
        map.clone().refuses_naming(&[1], &numbered(reserve("ann", "h"), 2), None, HoldInUse);
        map.refuses_naming(&[2], &numbered(release("h"), 2), None, HoldInUse);
    }

    #[test]
    fn a_wish_whose_seats_are_gone_is_used_up() {
        let wish = numbered(ending(reserve("ann", "h"), UNTIL), 1);
        let lapsed = Map::available().after(&wish).at(UNTIL);
        lapsed.clone().refuses_as_a_whole(&ending(wish.clone(), LATE), HoldExpired);
        lapsed.changes(&numbered(ending(reserve("ann", "h"), LATE), 2), &reserved("h", LATE));
        let released = Map::available().after(&wish).after(&release("h"));
        released.clone().refuses_as_a_whole(&wish, HoldExpired);
        released.after(&reserve("ann", "h")).refuses_as_a_whole(&wish, HoldExpired);
        let part = Map::available().after_seats(&[1, 2], &wish).after_seats(&[2], &recall(1));
        part.refuses_naming(&[1, 2], &wish, None, HoldExpired);
    }

    #[test]
    fn a_wish_without_a_number_is_always_a_new_one() {
        let map = Map::available().after(&numbered(reserve("ann", "h"), 5)).after(&release("h"));
        let map = map.after(&reserve("ann", "h"));
        map.refuses_as_a_whole(&numbered(reserve("ann", "h"), 4), Overtaken { last: 5 });
    }

    #[test]
    fn a_refused_wish_does_not_use_its_number_up() {
        let map = Map::available().after_seats(&[2], &reserve("bob", "h2"));
        let wish = numbered(reserve("ann", "h"), 1);
        map.clone().refuses_naming(&[1, 2], &wish, Some(2), TicketReserved { until: at(UNTIL) });
        map.after(&wish).keeps(&wish, &reserved("h", UNTIL));
        let claimed = Map::held_and_claimed(EARLY);
        claimed.clone().refuses(&numbered(release("h"), 1), CheckoutInProgress);
        assert_eq!(claimed.map.header().last_wishes, 0);
    }

    #[test]
    fn the_number_is_remembered_until_no_older_copy_can_come_and_while_the_hold_has_a_seat() {
        let wish = numbered(ending(reserve("ann", "h"), EARLY), 1);
        let map = Map::available().after(&wish).after(&claim_brought("ann", "h", "c", UNTIL));
        let map = map.at(EARLY).then(&expire(EARLY));
        assert_eq!((map.map.header().last_wishes, map.armed()), (1, Some(UNTIL)), "its seat is claimed");
        let map = map.at(UNTIL).then(&expire(UNTIL));
        assert_eq!((map.map.header().last_wishes, map.armed()), (0, None));
        let back = numbered(ending(release("h"), LATE), 2);
        let map = Map::available().after(&wish).after(&back).at(EARLY).then(&expire(EARLY));
        assert_eq!(map.map.header().last_wishes, 1, "a copy of the reserve can still come");
        map.at(NOW).refuses_as_a_whole(&ending(wish, LATE), Overtaken { last: 2 });
    }

    #[test]
    fn what_was_remembered_longest_stays_when_a_later_wish_ends_earlier() {
        let map = Map::available().after(&numbered(ending(release("h"), LATE), 1));
        let map = map.after(&numbered(ending(reserve("ann", "h"), EARLY), 2));
        let (_, last_wish) = map.map.last_wishes().next().unwrap();
        assert_eq!((last_wish.last, last_wish.until), (2, at(LATE)));
    }
}

mod ended_checkouts {
    use super::*;

    #[test]
    fn a_revoke_may_arrive_before_the_claim_that_it_undoes() {
        let map = Map::available().remembers(&revoke("h", "c", EARLY));
        map.refuses_as_a_whole(&claim("ann", "h", "c", EARLY), HoldExpired);
    }

    #[test]
    fn a_revoke_is_remembered_unless_the_maps_own_time_has_reached_the_deadline() {
        // The clock of this turn is past the deadline, but nothing is recorded at that time.
        let map = Map::available().at(EARLY).remembers(&revoke("h", "c", EARLY));
        map.at(NOW).refuses_as_a_whole(&claim("ann", "h", "c", EARLY), HoldExpired);
        let recorded = Map::available().at(EARLY).after_seats(&[2], &block());
        recorded.clone().keeps(&revoke("h", "c", EARLY), &Done);
        recorded.at(NOW).refuses_as_a_whole(&claim("ann", "h", "c", EARLY), HoldExpired);
    }

    #[test]
    fn an_ended_checkout_is_forgotten_when_the_maps_time_has_reached_its_deadline() {
        let map = Map::held().remembers(&revoke("x", "c1", UNTIL)).remembers(&revoke("x", "c2", UNTIL + 1));
        let map = map.at(UNTIL).then(&expire(UNTIL));
        assert!(!map.remembers_the_end_of("c1") && map.remembers_the_end_of("c2"));
        map.at(NOW).refuses_as_a_whole(&claim("ann", "x", "c1", UNTIL), HoldExpired);
    }

    #[test]
    fn the_later_of_two_deadlines_counts() {
        let map = Map::available().remembers(&revoke("h", "c", EARLY)).remembers(&revoke("h", "c", LATE));
        map.clone().keeps(&revoke("h", "c", EARLY), &Done);
        assert_eq!(map.map.ended().map(|(_, deadline)| deadline).collect::<Vec<_>>(), [at(LATE)]);
    }

    #[test]
    fn it_outlives_a_layout_that_takes_the_seat_out_and_back() {
        let (both, one) = (layout(&[("A", &[(1, 500), (2, 500)])]), layout(&[("A", &[(2, 500)])]));
        let take = of_edition(claim("ann", "h", "c", EARLY), 1);
        let map = Map::laid_out(&both).after(&take).after(&revoke("h", "c", EARLY));
        let map = map.then(&SeatMapCommand::Publish { layout: one }).then(&SeatMapCommand::Publish { layout: both });
        map.refuses_as_a_whole(&of_edition(take, 3), HoldExpired);
    }

    #[test]
    fn a_map_that_remembers_as_many_as_it_may_refuses_new_claims_rather_than_forget_one() {
        let ended = |n: u64| (checkout_id(&format!("c{n}")), at(if n == 0 { EARLY } else { LATE }));
        let mut map = Map::available();
        let mut header = *map.map.header();
        header.ended = MEMORY;
        map.map = SeatMap::from_parts(header, None, [], (0..MEMORY).map(ended), []);
        let new = claim("ann", "h", "c", LATE);
        map.clone().refuses_as_a_whole(&new, Overloaded);
        assert!(map.clone().after(&revoke("h", "c", LATE)).remembers_the_end_of("c"), "a revoke is never refused");
        let map = map.at(EARLY).after(&new);
        assert_eq!((map.status(), map.map.header().ended), (Reserved, MEMORY - 1), "what may be forgotten makes room");
    }

    #[test]
    fn a_map_that_remembers_as_many_numbered_holds_as_it_may_refuses_new_ones() {
        let (mut map, wish) = (Map::available(), numbered(release("h"), 1));
        let last_wish = map.clone().after(&wish).map.last_wishes().next().unwrap().1.clone();
        let last_wish = |n: u64| {
            let until = at(if n == 0 { EARLY } else { LATE });
            (hold_id(&format!("h{n}")), booking_core::map::LastWish { until, ..last_wish.clone() })
        };
        let mut header = *map.map.header();
        header.last_wishes = MEMORY;
        map.map = SeatMap::from_parts(header, None, [], [], (0..MEMORY).map(last_wish));
        map.clone().refuses_as_a_whole(&wish, Overloaded);
        map.clone().refuses_as_a_whole(&numbered(reserve("ann", "h"), 1), Overloaded);
        map.clone().remembers(&numbered(release("h1"), 2));
        map.clone().after(&reserve("ann", "h"));
        let mut map = map.at(EARLY);
        assert_eq!(map.ask(&wish), Ok(Done));
        assert_eq!((map.map.header().last_wishes, map.map.header().at), (MEMORY, at(EARLY)));
    }
}

mod prices_and_layouts {
    use super::*;

    fn publish(layout: &std::sync::Arc<Layout>) -> SeatMapCommand {
        SeatMapCommand::Publish { layout: layout.clone() }
    }

    #[test]
    fn a_price_that_an_operator_has_set_is_the_price_charged() {
        let map = Map::available().then(&list(&[1], 500));
        assert_eq!(map.map.view(&ticket_id("a:1"), at(NOW)).version, 1);
        let map = map.after(&reserve("ann", "h"));
        assert_eq!(map.price(), Some(usd(500)));
        let listed_since = map.then(&list(&[1], 700));
        assert_eq!(listed_since.price(), Some(usd(500)), "a hold keeps the price it was made at");
        let free_again = listed_since.after(&release("h"));
        assert_eq!(free_again.after(&reserve("ann", "h")).price(), Some(usd(700)));
    }

    #[test]
    fn a_price_that_an_operator_has_set_outlives_holds_and_sales() {
        let listed = Map::available().then(&list(&[1], 500));
        let price = |map: &Map| map.stored().unwrap().listed;
        let lapsed = listed.clone().after(&reserve("ann", "h")).at(UNTIL).then(&expire(UNTIL));
        let released = listed.clone().after(&reserve("ann", "h")).after(&release("h"));
        let sold = listed.after(&sell("ann", "box"));
        let reset = sold.clone().then(&SeatMapCommand::ResetAll);
        for map in [lapsed, released, reset] {
            assert_eq!((map.status(), price(&map)), (Available, Some(usd(500))));
        }
        assert_eq!(price(&sold), Some(usd(500)));
    }

    #[test]
    fn list_twice_is_list_once() {
        let mut map = Map::available().then(&list(&[1], 500));
        assert_eq!((map.ask_map(&list(&[1], 500)), map.recorded), (Ok(Done), false));
    }

    #[test]
    fn with_closed_sales_a_map_without_a_layout_sells_nothing() {
        for map in [Map::available(), Map::available().then(&list(&[1], 500))] {
            map.clone().refuses(&closed(reserve("ann", "h")), TicketNotForSale);
            map.clone().refuses(&closed(claim("ann", "h", "c", EARLY)), TicketNotForSale);
            map.refuses(&closed(sell("ann", "box")), TicketNotForSale);
        }
    }

    #[test]
    fn a_map_without_a_layout_sells_in_the_currency_of_the_unit_price_alone() {
        let euros = booking_core::money::Money::new(500, "EUR".parse().unwrap()).unwrap();
        let listed = Map::available().then(&SeatMapCommand::List { seats: seats(&[1]), price: euros });
        listed.clone().refuses(&reserve("ann", "h"), TicketNotForSale);
        let in_euros = offering(reserve("ann", "h"), |offer| offer.prices = vec![Some(euros)]);
        assert_eq!(listed.after(&in_euros).price(), Some(euros));
    }

    #[test]
    fn a_map_without_a_layout_stores_no_more_seats_than_it_has_room_for() {
        let with_room = |room| move |command| offering(command, |offer| offer.room = room);
        let map = Map::held();
        for command in [reserve("bob", "h2"), claim("bob", "h2", "c", EARLY), sell("bob", "box")] {
            map.clone().refuses_naming(&[2], &with_room(1)(command.clone()), None, Overloaded);
            map.clone().after_seats(&[2], &with_room(2)(command));
        }
        map.keeps(&with_room(1)(reserve("ann", "h")), &reserved("h", UNTIL));
        let laid_out = Map::laid_out(&layout(&[("A", &[(1, 500)])]));
        laid_out.after(&of_edition(with_room(0)(reserve("ann", "h")), 1));
    }

    #[test]
    fn a_price_of_another_edition_is_refused_and_tells_the_maps_edition() {
        let map = Map::laid_out(&layout(&[("A", &[(1, 500)])]));
        for edition in [0, 2] {
            for command in [reserve("ann", "h"), claim("ann", "h", "c", EARLY), sell("ann", "box")] {
                map.clone().refuses_as_a_whole(&of_edition(command, edition), StaleEdition { edition: 1 });
            }
        }
        let held = map.after(&of_edition(reserve("ann", "h"), 1));
        held.clone().keeps(&reserve("ann", "h"), &reserved("h", UNTIL));
        held.after(&claim_brought("ann", "h", "c", EARLY));
    }

    #[test]
    fn a_seat_that_the_layout_does_not_have_is_not_sold_and_still_undone() {
        let map = Map::laid_out(&layout(&[("A", &[(2, 500)])]));
        for command in [reserve("ann", "h"), claim("ann", "h", "c", EARLY), sell("ann", "box")] {
            map.clone().refuses(&of_edition(closed(command), 1), TicketNotForSale);
        }
        map.clone().keeps(&release("h"), &Done);
        map.remembers(&revoke("h", "c", EARLY));
    }

    #[test]
    fn publish_answers_what_it_changed() {
        let first = layout(&[("A", &[(1, 500), (2, 500)]), ("B", &[(3, 300)])]);
        let mut map = Map::available();
        let published = |edition, tickets, added, removed, repriced| {
            Ok(SeatMapReply::Published(Published { edition, tickets, added, removed, repriced }))
        };
        assert_eq!(map.ask_map(&publish(&first)), published(1, 3, 3, 0, 0));
        assert_eq!(map.notices.watchers, Some(News::Republished { version: 1 }));
        assert_eq!((map.ask_map(&publish(&first)), map.recorded), (published(1, 3, 0, 0, 0), false));
        let second = layout(&[("A", &[(1, 600), (4, 500)]), ("B", &[(3, 300)])]);
        assert_eq!(map.ask_map(&publish(&second)), published(2, 3, 1, 1, 1));
        assert_eq!((map.map.version(), map.map.header().edition, map.map.layout()), (2, 2, Some(&second)));
    }

    #[test]
    fn a_layout_that_lacks_a_seat_which_is_not_on_sale_is_refused_and_names_it() {
        let (both, one) = (layout(&[("A", &[(1, 500), (2, 500)])]), layout(&[("A", &[(2, 500)])]));
        let map = Map::laid_out(&both);
        let held = map.clone().after(&of_edition(reserve("ann", "h"), 1));
        for (map, why) in [
            (held.clone(), TicketReserved { until: at(UNTIL) }),
            (map.clone().after(&of_edition(sell("ann", "box"), 1)), TicketSold),
            (map.after(&block()), TicketBlocked),
            (held.clone().after(&block()).at(UNTIL), TicketBlocked),
        ] {
            let mut map = map;
            let before = map.map.clone();
            assert_eq!(map.ask_map(&publish(&one)), Err(SeatMapRefusal { ticket: Some(ticket_id("a:1")), why }));
            assert_eq!((map.recorded, &map.map), (false, &before));
        }
        let lapsed = held.at(UNTIL).then(&publish(&one));
        assert_eq!((lapsed.stored(), lapsed.map.header().tickets), (None, 0));
    }

    #[test]
    fn a_layout_keeps_what_is_held_and_forgets_the_prices_of_single_seats() {
        let map = Map::held().then(&list(&[1, 2], 700)).then(&publish(&layout(&[("A", &[(1, 500), (2, 500)])])));
        assert_eq!((map.status(), map.stored().unwrap().listed), (Reserved, None));
        assert_eq!((map.price(), map.map.header().tickets), (Some(unit_price()), 1));
    }

    #[test]
    fn list_on_a_map_with_a_layout_publishes_a_new_edition_of_it() {
        let first = layout(&[("A", &[(1, 500), (2, 500)])]);
        let map = Map::laid_out(&first).then(&list(&[2], 700));
        let edition = layout(&[("A", &[(1, 500), (2, 700)])]);
        assert_eq!((map.map.header().edition, map.map.layout()), (2, Some(&edition)));
        let mut map = map.then(&publish(&first));
        assert_eq!((map.map.header().edition, map.map.layout()), (3, Some(&first)), "the same again restores it");
        let refusal = SeatMapRefusal { ticket: Some(ticket_id("a:3")), why: TicketNotForSale };
        assert_eq!(map.ask_map(&list(&[1, 3], 700)), Err(refusal));
        let answer = Published { edition: 3, tickets: 2, ..Published::default() };
        assert_eq!((map.ask_map(&list(&[1], 500)), map.recorded), (Ok(SeatMapReply::Published(answer)), false));
    }

    #[test]
    fn get_and_summary_show_the_seats_of_the_layout_and_no_others() {
        let map = Map::held().after_seats(&[2], &block()).after_seats(&[3], &sell("ann", "box"));
        let shown = |map: &Map, now| map.map.get(at(now)).map(|(seat, status)| (seat.to_string(), status)).collect();
        let open: Vec<(String, _)> = shown(&map, NOW);
        assert_eq!(open, [("a:1".into(), Reserved), ("a:2".into(), Blocked), ("a:3".into(), Sold)]);
        let map = map.then(&publish(&layout(&[("B", &[(3, 1), (4, 1)]), ("A", &[(2, 1), (1, 1)])])));
        let laid_out: Vec<(String, _)> = shown(&map, UNTIL);
        let expected = [("a:3", Sold), ("a:4", Available), ("a:2", Blocked), ("a:1", Available)];
        assert_eq!(laid_out, expected.map(|(seat, status)| (seat.to_owned(), status)));
        let summary = |available, reserved| Summary { version: 4, available, reserved, sold: 1, blocked: 1 };
        assert_eq!(map.map.picture(at(NOW)).summary(), summary(1, 1));
        assert_eq!(map.map.picture(at(UNTIL)).summary(), summary(2, 0));
    }
}

mod timer {
    use super::*;

    #[test]
    fn it_is_armed_only_if_the_next_end_is_earlier_than_the_armed_one() {
        let map = Map::held();
        assert_eq!(map.timer(), Some(UNTIL));
        let later = map.after_seats(&[2], &ending(reserve("ann", "h"), LATE));
        assert_eq!((later.timer(), later.armed()), (None, Some(UNTIL)));
        let earlier = later.after_seats(&[3], &claim("bob", "h2", "c", EARLY));
        assert_eq!((earlier.timer(), earlier.armed()), (Some(EARLY), Some(EARLY)));
    }

    #[test]
    fn when_it_fires_lapsed_holds_go_and_it_is_armed_for_the_next_end() {
        let map = Map::held().after_seats(&[2], &ending(reserve("ann", "h"), LATE)).at(UNTIL).then(&expire(UNTIL));
        assert_eq!(
            (map.statuses(&[1, 2]), map.timer(), map.armed()),
            (vec![Available, Reserved], Some(LATE), Some(LATE))
        );
        assert_eq!((map.told(), map.map.version()), (vec![("a:1".to_owned(), Available)], 3));
        let map = map.at(LATE).then(&expire(LATE));
        assert_eq!((map.timer(), map.armed(), map.map.header().tickets), (None, None, 0));
    }

    #[test]
    fn one_that_comes_early_is_armed_again() {
        let map = Map::held().at(UNTIL - 1).then(&expire(UNTIL));
        assert_eq!((map.status(), map.timer(), map.map.version()), (Reserved, Some(UNTIL), 1));
        assert_eq!(map.map.header().at, at(UNTIL - 1));
    }

    #[test]
    fn one_that_is_not_armed_any_more_changes_nothing() {
        let held = Map::held();
        for (mut map, due) in [(held.clone(), UNTIL - 1), (held.at(UNTIL).then(&expire(UNTIL)), UNTIL)] {
            assert_eq!((map.ask_map(&expire(due)), map.recorded), (Ok(Done), false));
            assert_eq!(map.notices, booking_core::map::SeatMapNotices::default());
        }
    }

    #[test]
    fn one_for_a_hold_that_was_sold_or_released_finds_nothing_to_do() {
        let map = Map::sold_from_held().at(UNTIL).then(&expire(UNTIL));
        assert_eq!((map.status(), map.armed(), map.map.version()), (Sold, None, 3));
    }

    #[test]
    fn one_turn_takes_at_most_a_batch_of_lapsed_holds_and_arms_the_timer_for_the_rest() {
        let all = Seats::new((0..BATCH + 3).map(|n| ticket_id(&format!("a:{n}"))).collect()).unwrap();
        let many = offering(reserve("ann", "h"), |offer| offer.prices = vec![Some(unit_price()); BATCH + 3]);
        let map = Map::available().then(&SeatMapCommand::Seats { seats: all, command: many });
        let map = map.at(UNTIL + 5).then(&expire(UNTIL));
        assert_eq!((map.map.header().tickets, map.timer()), (3, Some(UNTIL)));
        let map = map.then(&expire(UNTIL));
        assert_eq!((map.map.header().tickets, map.timer()), (0, None));
    }
}

mod reset_all {
    use super::*;

    #[test]
    fn it_puts_every_sold_or_blocked_seat_back_on_sale_in_one_change_and_keeps_holds() {
        let map = Map::sold().after_seats(&[2], &block()).after_seats(&[3], &reserve("bob", "h2"));
        let mut map = map.after_seats(&[4], &sell("ann", "box"));
        let before = map.map.version();
        assert_eq!(map.ask_map(&SeatMapCommand::ResetAll), Ok(SeatMapReply::Reset { tickets: 3 }));
        assert_eq!(map.statuses(&[1, 2, 3, 4]), [Available, Available, Reserved, Available]);
        assert_eq!((map.map.version(), map.remembers_the_end_of("c")), (before + 1, true));
        assert_eq!(
            (map.ask_map(&SeatMapCommand::ResetAll), map.recorded),
            (Ok(SeatMapReply::Reset { tickets: 0 }), false)
        );
    }
}

mod erase {
    use super::*;

    fn erase(who: &str) -> SeatMapCommand {
        SeatMapCommand::Erase { user: user(who) }
    }

    fn bought_by(map: &Map, n: u32) -> UserId {
        map.map.ticket(seats(&[n]).first()).unwrap().state.sale().unwrap().by.clone()
    }

    #[test]
    fn what_a_buyer_bought_stays_sold_without_their_name_and_what_they_hold_stays_theirs() {
        let map = Map::sold().after_seats(&[2], &sell("ann", "box")).after_seats(&[3], &reserve("ann", "h3"));
        let mut map = map.after_seats(&[4], &sell("bob", "box"));
        let before = map.map.clone();
        assert_eq!(map.ask_map(&erase("ann")), Ok(SeatMapReply::Erased { tickets: 2, held: 1 }));
        assert_eq!(map.statuses(&[1, 2, 3, 4]), [Sold, Sold, Reserved, Sold]);
        assert_eq!([1, 2, 4].map(|n| bought_by(&map, n)), [UserId::erased(), UserId::erased(), user("bob")]);
        assert_eq!(map.map.version(), before.version() + 1, "in one change");
        let sale = |map: &SeatMap| map.ticket(seats(&[1]).first()).unwrap().state.sale().cloned().unwrap();
        assert_eq!(Sale { by: user("ann"), ..sale(&map.map) }, sale(&before), "and nothing else is");
        assert_eq!(
            (map.ask_map(&erase("ann")), map.recorded),
            (Ok(SeatMapReply::Erased { tickets: 0, held: 1 }), false)
        );
        assert_eq!(
            (map.ask_map(&erase("cat")), map.recorded),
            (Ok(SeatMapReply::Erased { tickets: 0, held: 0 }), false)
        );
    }
}

mod versions {
    use super::*;

    #[test]
    fn a_version_never_comes_again_whatever_seats_are_taken_away() {
        let map = Map::claimed().after(&revoke("h", "c", EARLY));
        assert_eq!((map.stored(), map.map.version()), (None, 2));
        map.changes(&claim("ann", "h", "c2", EARLY), &claimed(3));
    }

    #[test]
    fn an_old_confirm_cannot_confirm_a_newer_claim() {
        let again = Map::held_and_claimed(EARLY).after(&revoke("h", "c", EARLY)).after(&claim("ann", "h", "c2", LATE));
        again.clone().refuses(&confirm("h", "c", 2), HoldNotFound);
        again.clone().refuses(&confirm("h", "c2", 2), HoldNotFound);
        assert_eq!(again.after(&confirm("h", "c2", 4)).status(), Sold);
    }

    #[test]
    fn the_fence_is_compared_with_the_claims_and_not_with_the_version_of_now() {
        let map = Map::claimed().after_seats(&[2], &reserve("bob", "h2"));
        assert_eq!(map.after(&confirm("h", "c", 1)).status(), Sold);
    }
}

#[test]
fn a_map_is_stored_and_read_back() {
    let map = Map::laid_out(&layout(&[("A", &[(1, 500), (2, 500)])]))
        .after(&of_edition(numbered(reserve("ann", "h"), 1), 1))
        .after_seats(&[2], &of_edition(claim("bob", "h2", "c", EARLY), 1))
        .after_seats(&[2], &revoke("h2", "c", EARLY));
    let stored = serde_json::to_vec(&map.map).unwrap();
    let back: SeatMap = serde_json::from_slice(&stored).unwrap();
    assert_eq!(back, map.map);
}

#[test]
fn a_hold_id_is_never_shown() {
    let map = Map::available().after(&numbered(reserve("ann", "h-secret"), 1));
    let command = SeatMapCommand::Seats { seats: seats(&[1]), command: reserve("ann", "h-secret") };
    let seat: &TicketId = &ticket_id("a:1");
    let shown = format!("{:?} {:?} {:?}", map.map, map.map.view(seat, at(NOW)), command);
    assert!(!shown.contains("h-secret"), "{shown}");
}

/// What a host asks of a command or a map beside its turns.
mod for_hosts {
    use booking_core::map::{Header, Needs};
    use booking_core::terms::Terms;

    use super::*;

    fn publish(row: &[(u32, u64)]) -> SeatMapCommand {
        SeatMapCommand::Publish { layout: layout(&[("A", row)]) }
    }

    #[test]
    fn a_command_names_its_seats() {
        let named = |command: &SeatMapCommand| command.seats().to_vec();
        let two = seats(&[2, 1]);
        assert_eq!(named(&SeatMapCommand::Seats { seats: two.clone(), command: block() }), two.as_slice());
        assert_eq!(named(&list(&[2, 1], 500)), two.as_slice());
        for command in [SeatMapCommand::ResetAll, expire(NOW), publish(&[(1, 500)])] {
            assert_eq!(named(&command), []);
        }
    }

    #[test]
    fn what_may_be_forgotten_is_needed_only_where_something_has_to_be_remembered_and_there_is_no_room() {
        let needs_what_ends = |ended: u64, last_wishes: u64, command: TicketCommand| {
            let header = Header { ended, last_wishes, ..Header::default() };
            match (SeatMapCommand::Seats { seats: seats(&[1]), command }).needs(&header) {
                Needs::Parts(parts) => parts.ending,
                other => panic!("{other:?}"),
            }
        };
        let (full, wish) = (MEMORY, || reserve("ann", "h"));
        assert!(needs_what_ends(0, full, numbered(wish(), 1)));
        assert!(needs_what_ends(0, full, numbered(release("h"), 1)));
        assert!(needs_what_ends(full, 0, claim("ann", "h", "c", EARLY)));
        for (ended, last_wishes, command) in [
            (full, full - 1, numbered(wish(), 1)),
            (full, full, wish()),
            (full, full, release("h")),
            (full - 1, full, claim("ann", "h", "c", EARLY)),
            (full, full, confirm("h", "c", 1)),
            (full, full, revoke("h", "c", EARLY)),
            (full, full, block()),
        ] {
            assert!(!needs_what_ends(ended, last_wishes, command.clone()), "{command:?}");
        }
    }

    #[test]
    fn a_map_wants_to_be_reset_when_as_many_seats_are_sold_as_the_host_says() {
        let map = Map::available().after_seats(&[1, 2], &sell("ann", "box")).map;
        let wants = |auto_reset_at| map.wants_reset(&Terms { auto_reset_at, ..Terms::default() });
        assert_eq!([None, Some(1), Some(2), Some(3)].map(wants), [false, true, true, false]);
    }

    #[test]
    fn a_seat_that_the_layout_lacks_cannot_be_blocked() {
        let lacks = |map: &Map, numbers: &[u32], command: TicketCommand| {
            map.map.blocks_outside_layout(&SeatMapCommand::Seats { seats: seats(numbers), command })
        };
        let laid_out = Map::available().then(&publish(&[(1, 500), (2, 500)]));
        assert!(lacks(&laid_out, &[1, 3], block()));
        assert!(!lacks(&laid_out, &[1, 2], block()));
        assert!(!lacks(&laid_out, &[3], TicketCommand::Unblock));
        assert!(!lacks(&Map::available(), &[3], block()));
    }
}
