//! The rules of one seat of a map, cell by cell (§2): a module a row, a test a cell.

use booking_core::map::SeatMapReply::{self, Done};
use booking_core::map::ticket::TicketRefusal::{
    CheckoutInProgress, HoldExpired, HoldNotFound, TicketBlocked, TicketNotForSale, TicketReserved, TicketSold,
};
use booking_core::map::ticket::TicketStatus::{Available, Blocked, Reserved, Sold};
use booking_core::map::ticket::{TicketCommand, TicketState};

use crate::map_support::*;

mod reserve {
    use super::*;

    #[test]
    fn available_becomes_reserved_and_unclaimed() {
        let map = Map::available().changes(&reserve("ann", "h"), &reserved("h", UNTIL));
        let state = map.state();
        let hold = state.hold().unwrap();
        assert_eq!((&hold.id, &hold.by, hold.price, hold.claim()), (&hold_id("h"), &user("ann"), unit_price(), None));
        assert_eq!((map.own_end(), map.timer()), (Some(UNTIL), Some(UNTIL)));
    }

    #[test]
    fn available_with_an_end_that_has_come_is_refused_hold_expired() {
        Map::available().at(UNTIL).refuses_as_a_whole(&reserve("ann", "h"), HoldExpired);
        Map::available().at(UNTIL - 1).changes(&reserve("ann", "h"), &reserved("h", UNTIL));
    }

    #[test]
    fn reserved_under_the_same_hold_and_user_is_unchanged_by_a_copy() {
        Map::held().at(NOW + 5).keeps(&reserve("ann", "h"), &reserved("h", UNTIL));
        Map::held().keeps(&ending(reserve("ann", "h"), UNTIL - 1), &reserved("h", UNTIL));
    }

    #[test]
    fn reserved_under_the_same_hold_and_user_ends_at_the_later_of_its_end_and_the_one_asked_for() {
        let map = Map::held().at(NOW + 5).changes(&ending(reserve("ann", "h"), UNTIL + 9), &reserved("h", UNTIL + 9));
        assert_eq!(map.own_end(), Some(UNTIL + 9));
        map.keeps(&reserve("ann", "h"), &reserved("h", UNTIL + 9));
    }

    #[test]
    fn more_time_ends_no_later_than_the_hold_may_that_was_made() {
        let most = LATEST;
        let map = Map::held().at(UNTIL - 1);
        let map = map.changes(&ending(reserve("ann", "h"), most + 9), &reserved("h", most));
        map.at(most - 1).keeps(&ending(reserve("ann", "h"), most + 99), &reserved("h", most));
    }

    #[test]
    fn reserved_and_claimed_under_the_same_hold_and_user_is_unchanged() {
        Map::held_and_claimed(EARLY).keeps(&ending(reserve("ann", "h"), UNTIL + 9), &reserved("h", UNTIL));
    }

    #[test]
    fn reserved_under_a_hold_that_a_checkout_made_is_refused_checkout_in_progress() {
        Map::claimed().refuses(&reserve("ann", "h"), CheckoutInProgress);
    }

    #[test]
    fn reserved_by_another_is_refused_and_tells_until_when() {
        for other in [reserve("bob", "h2"), reserve("bob", "h"), reserve("ann", "h2")] {
            Map::held().refuses(&other, TicketReserved { until: at(UNTIL) });
            Map::held_and_claimed(LATE).refuses(&other, TicketReserved { until: at(UNTIL) });
        }
        Map::claimed().refuses(&reserve("bob", "h2"), TicketReserved { until: at(EARLY) });
    }

    #[test]
    fn reserved_and_to_be_blocked_gets_no_more_time() {
        let map = Map::held().after(&block());
        map.keeps(&ending(reserve("ann", "h"), UNTIL + 9), &reserved("h", UNTIL));
    }

    #[test]
    fn sold_is_refused_ticket_sold_even_for_the_same_hold_and_user() {
        Map::sold_from_held().refuses(&reserve("ann", "h"), TicketSold);
        Map::sold().refuses(&reserve("bob", "h2"), TicketSold);
    }

    #[test]
    fn blocked_is_refused_ticket_blocked() {
        Map::blocked().refuses(&reserve("ann", "h"), TicketBlocked);
    }

    #[test]
    fn available_again_after_a_release_or_a_lapse_is_reserved_under_the_same_name() {
        let released = Map::held().after(&release("h"));
        released.changes(&reserve("ann", "h"), &reserved("h", UNTIL));
        let lapsed = Map::held().at(UNTIL);
        lapsed.changes(&ending(reserve("ann", "h"), LATE), &reserved("h", LATE));
    }
}

mod claim {
    use super::*;

    #[test]
    fn available_becomes_reserved_and_claimed() {
        let map = Map::available().changes(&claim("ann", "h", "c", EARLY), &claimed(1));
        let state = map.state();
        let claim = state.hold().unwrap().claim().unwrap();
        assert_eq!((claim.fence, claim.deadline), (1, at(EARLY)));
        assert_eq!(map.own_end(), None, "a hold that a checkout made has no end of its own");
        assert_eq!(map.timer(), Some(EARLY));
    }

    #[test]
    fn available_is_refused_to_a_checkout_whose_buyer_brought_a_hold() {
        Map::available().refuses(&claim_brought("ann", "h", "c", EARLY), HoldExpired);
        Map::held().at(UNTIL).refuses(&claim_brought("ann", "h", "c", LATE), HoldExpired);
        Map::held().after(&release("h")).refuses(&claim_brought("ann", "h", "c", EARLY), HoldExpired);
    }

    #[test]
    fn reserved_unclaimed_under_the_same_hold_and_user_becomes_claimed() {
        let map = Map::held().changes(&claim_brought("ann", "h", "c", EARLY), &claimed(2));
        assert_eq!((map.own_end(), map.armed()), (Some(UNTIL), Some(UNTIL)));
        let map = Map::held().changes(&claim("ann", "h", "c", LATE), &claimed(2));
        assert_eq!((map.timer(), map.armed()), (None, Some(UNTIL)), "a timer that comes early is harmless");
    }

    #[test]
    fn reserved_and_claimed_by_this_checkout_is_unchanged_with_the_same_answer() {
        Map::held_and_claimed(EARLY).keeps(&claim_brought("ann", "h", "c", EARLY), &claimed(2));
        Map::claimed().at(NOW + 5).keeps(&claim("ann", "h", "c", EARLY), &claimed(1));
        Map::claimed().keeps(&claim("ann", "h", "c", LATE), &claimed(1));
    }

    #[test]
    fn reserved_and_claimed_by_another_checkout_is_refused_checkout_in_progress() {
        Map::held_and_claimed(EARLY).refuses(&claim("ann", "h", "c2", EARLY), CheckoutInProgress);
    }

    #[test]
    fn reserved_under_another_hold_or_user_is_refused_ticket_reserved() {
        Map::held().refuses(&claim("ann", "h2", "c", EARLY), TicketReserved { until: at(UNTIL) });
        Map::held().refuses(&claim("bob", "h", "c", EARLY), TicketReserved { until: at(UNTIL) });
        Map::claimed().refuses(&claim("bob", "h2", "c2", EARLY), TicketReserved { until: at(EARLY) });
    }

    #[test]
    fn sold_to_this_hold_user_and_checkout_is_unchanged_with_the_same_answer() {
        Map::sold().keeps(&claim("ann", "h", "c", EARLY), &claimed(1));
        Map::sold_from_held().keeps(&claim_brought("ann", "h", "c", EARLY), &claimed(2));
        Map::sold().at(LATE).keeps(&claim("ann", "h", "c", EARLY), &claimed(1));
    }

    #[test]
    fn sold_to_anyone_else_is_refused_ticket_sold() {
        Map::sold().refuses(&claim("ann", "h", "c2", EARLY), TicketSold);
        Map::sold().refuses(&claim("ann", "h2", "c", EARLY), TicketSold);
        Map::sold().refuses(&claim("bob", "h", "c", EARLY), TicketSold);
        Map::available().after(&sell("ann", "box")).refuses(&claim("ann", "box", "c", EARLY), TicketSold);
    }

    #[test]
    fn blocked_is_refused_ticket_blocked() {
        Map::blocked().refuses(&claim("ann", "h", "c", EARLY), TicketBlocked);
    }

    #[test]
    fn at_or_after_its_deadline_it_is_refused_ahead_of_the_cells() {
        Map::available().at(EARLY).refuses_as_a_whole(&claim("ann", "h", "c", EARLY), HoldExpired);
        Map::blocked().at(EARLY).refuses_as_a_whole(&claim("ann", "h", "c", EARLY), HoldExpired);
        Map::claimed().at(EARLY).refuses_as_a_whole(&claim("ann", "h", "c", EARLY), HoldExpired);
        Map::available().at(EARLY - 1).changes(&claim("ann", "h", "c", EARLY), &claimed(1));
    }

    #[test]
    fn from_an_ended_checkout_it_is_refused_ahead_of_the_cells() {
        let ended = Map::available().remembers(&revoke("h", "c", EARLY));
        ended.clone().refuses_as_a_whole(&claim("ann", "h", "c", EARLY), HoldExpired);
        ended.clone().after(&reserve("ann", "h")).refuses_as_a_whole(&claim("ann", "h", "c", EARLY), HoldExpired);
        ended.after(&block()).refuses_as_a_whole(&claim("ann", "h", "c", EARLY), HoldExpired);
    }
}

mod confirm {
    use super::*;

    #[test]
    fn available_is_refused_hold_expired_if_the_checkout_ended_else_hold_not_found() {
        Map::claimed().after(&revoke("h", "c", EARLY)).refuses(&confirm("h", "c", 1), HoldExpired);
        Map::claimed().at(EARLY).refuses(&confirm("h", "c", 1), HoldNotFound);
        Map::available().refuses(&confirm("h", "c", 1), HoldNotFound);
    }

    #[test]
    fn reserved_and_claimed_by_exactly_this_checkout_hold_and_fence_becomes_sold() {
        let map = Map::claimed().at(EARLY - 1).changes(&confirm("h", "c", 1), &Done);
        let state = map.state();
        let sale = state.sale().unwrap();
        assert_eq!((sale.at, sale.price, &sale.by), (at(EARLY - 1), unit_price(), &user("ann")));
        assert_eq!((sale.own, sale.claim.as_ref().unwrap().deadline), (None, at(EARLY)));
        let map = Map::held_and_claimed(EARLY).changes(&confirm("h", "c", 2), &Done);
        assert_eq!(map.state().sale().unwrap().own.unwrap().until, at(UNTIL));
    }

    #[test]
    fn reserved_otherwise_is_refused_hold_not_found() {
        Map::held().refuses(&confirm("h", "c", 1), HoldNotFound);
        for wrong in [confirm("h2", "c", 2), confirm("h", "c2", 2), confirm("h", "c", 1), confirm("h", "c", 3)] {
            Map::held_and_claimed(EARLY).refuses(&wrong, HoldNotFound);
        }
    }

    #[test]
    fn sold_to_the_same_hold_checkout_and_fence_is_unchanged() {
        Map::sold().keeps(&confirm("h", "c", 1), &Done);
        Map::sold().at(LATE).keeps(&confirm("h", "c", 1), &Done);
    }

    #[test]
    fn sold_otherwise_is_refused_ticket_sold() {
        for wrong in [confirm("h2", "c", 1), confirm("h", "c2", 1), confirm("h", "c", 2)] {
            Map::sold().refuses(&wrong, TicketSold);
        }
        Map::available().after(&sell("ann", "box")).refuses(&confirm("box", "c", 1), TicketSold);
    }

    #[test]
    fn blocked_is_refused_ticket_blocked() {
        Map::blocked().refuses(&confirm("h", "c", 1), TicketBlocked);
    }

    #[test]
    fn a_sale_drops_a_block_that_waited_for_the_end_of_the_hold() {
        let map = Map::held_and_claimed(EARLY).after(&block()).after(&confirm("h", "c", 2));
        assert_eq!(map.after(&revoke("h", "c", EARLY)).at(UNTIL).statuses(&[1]), [Available]);
    }
}

mod release {
    use super::*;

    #[test]
    fn available_is_unchanged() {
        Map::available().keeps(&release("h"), &Done);
    }

    #[test]
    fn reserved_unclaimed_under_the_same_hold_becomes_available() {
        let map = Map::held().changes(&release("h"), &Done);
        assert_eq!((map.status(), map.stored()), (Available, None), "nothing is kept of it");
        assert_eq!(Map::held().after(&block()).changes(&release("h"), &Done).status(), Blocked);
    }

    #[test]
    fn reserved_and_claimed_under_the_same_hold_is_refused_checkout_in_progress() {
        Map::held_and_claimed(EARLY).refuses(&release("h"), CheckoutInProgress);
        Map::claimed().refuses(&release("h"), CheckoutInProgress);
    }

    #[test]
    fn reserved_under_another_hold_is_unchanged() {
        Map::held().keeps(&release("h2"), &Done);
        Map::claimed().keeps(&release("h2"), &Done);
    }

    #[test]
    fn sold_is_refused_ticket_sold() {
        Map::sold().refuses(&release("h"), TicketSold);
        Map::sold().refuses(&release("h2"), TicketSold);
    }

    #[test]
    fn blocked_is_unchanged() {
        Map::blocked().keeps(&release("h"), &Done);
    }
}

mod revoke {
    use super::*;

    #[test]
    fn available_is_accepted_and_ends_the_checkout() {
        let map = Map::available().remembers(&revoke("h", "c", EARLY));
        assert!(map.remembers_the_end_of("c"));
        map.keeps(&revoke("h", "c", EARLY), &Done);
    }

    #[test]
    fn reserved_under_exactly_this_hold_and_checkout_goes_back_to_the_buyers_own_hold() {
        let map = Map::held_and_claimed(LATE).changes(&revoke("h", "c", LATE), &Done);
        assert_eq!((map.status(), map.own_end()), (Reserved, Some(UNTIL)));
        assert_eq!(map.state().hold().unwrap().claim(), None);
        assert!(map.remembers_the_end_of("c"));
        map.changes(&claim_brought("ann", "h", "c2", LATE), &claimed(4));
    }

    #[test]
    fn reserved_under_exactly_this_hold_and_checkout_becomes_available_where_the_hold_has_no_end_ahead() {
        let made_by_it = Map::claimed().changes(&revoke("h", "c", EARLY), &Done);
        assert_eq!((made_by_it.status(), made_by_it.remembers_the_end_of("c")), (Available, true));
        let own_end_passed = Map::held_and_claimed(LATE).at(UNTIL).changes(&revoke("h", "c", LATE), &Done);
        assert_eq!((own_end_passed.status(), own_end_passed.remembers_the_end_of("c")), (Available, true));
        let blocked = Map::claimed().after(&block()).changes(&revoke("h", "c", EARLY), &Done);
        assert_eq!(blocked.status(), Blocked);
    }

    #[test]
    fn reserved_otherwise_is_accepted_and_keeps_the_hold() {
        let map = Map::held_and_claimed(EARLY).remembers(&revoke("h", "c2", EARLY));
        assert_eq!(map.state().hold().unwrap().claim().unwrap().checkout, checkout_id("c"));
        Map::held().remembers(&revoke("h", "c", EARLY));
        Map::claimed().remembers(&revoke("h2", "c", EARLY));
    }

    #[test]
    fn sold_under_exactly_this_hold_and_checkout_goes_back_as_from_reserved() {
        let own = Map::sold_from_held().at(UNTIL - 1).changes(&revoke("h", "c", EARLY), &Done);
        assert_eq!((own.status(), own.own_end()), (Reserved, Some(UNTIL)));
        let passed = Map::sold_from_held().at(UNTIL).changes(&revoke("h", "c", EARLY), &Done);
        assert_eq!(passed.status(), Available);
        assert_eq!(Map::sold().changes(&revoke("h", "c", EARLY), &Done).status(), Available);
    }

    #[test]
    fn sold_otherwise_is_accepted_and_stays_sold() {
        for other in [revoke("h", "c2", EARLY), revoke("h2", "c", EARLY)] {
            assert_eq!(Map::sold().remembers(&other).status(), Sold);
        }
        assert_eq!(Map::available().after(&sell("ann", "box")).remembers(&revoke("box", "c", EARLY)).status(), Sold);
    }

    #[test]
    fn blocked_is_accepted_and_ends_the_checkout() {
        assert!(Map::blocked().remembers(&revoke("h", "c", EARLY)).remembers_the_end_of("c"));
    }
}

mod block_and_unblock {
    use super::*;

    #[test]
    fn available_becomes_blocked_and_is_unchanged_by_unblock() {
        let map = Map::available().changes(&block(), &Done);
        assert!(matches!(map.state(), TicketState::Blocked { reason } if reason == "broken seat"));
        Map::available().keeps(&TicketCommand::Unblock, &Done);
    }

    #[test]
    fn reserved_stays_reserved_and_is_blocked_when_its_hold_ends() {
        for map in [Map::held(), Map::claimed()] {
            let map = map.changes(&block(), &Done);
            assert_eq!((map.status(), map.timer()), (Reserved, None));
            map.clone().keeps(&block(), &Done);
            map.clone().keeps(&TicketCommand::Block { reason: "another".into() }, &Done);
            assert_eq!(map.at(UNTIL).statuses(&[1]), [Blocked]);
        }
    }

    #[test]
    fn reserved_and_to_be_blocked_is_on_sale_after_its_hold_once_it_is_unblocked() {
        let map = Map::held().after(&block()).changes(&TicketCommand::Unblock, &Done);
        map.clone().keeps(&TicketCommand::Unblock, &Done);
        assert_eq!(map.at(UNTIL).statuses(&[1]), [Available]);
    }

    #[test]
    fn sold_refuses_block_and_is_unchanged_by_unblock() {
        Map::sold().refuses(&block(), TicketSold);
        Map::sold().keeps(&TicketCommand::Unblock, &Done);
    }

    #[test]
    fn blocked_is_unchanged_by_block_and_becomes_available_by_unblock() {
        Map::blocked().keeps(&block(), &Done);
        Map::blocked().keeps(&TicketCommand::Block { reason: "another".into() }, &Done);
        assert_eq!(Map::blocked().changes(&TicketCommand::Unblock, &Done).status(), Available);
    }
}

mod sell {
    use super::*;

    #[test]
    fn available_becomes_sold_without_a_claim() {
        let answer = SeatMapReply::Sold { prices: vec![unit_price()] };
        let map = Map::available().changes(&sell("ann", "box"), &answer);
        let state = map.state();
        let sale = state.sale().unwrap();
        assert_eq!((&sale.hold, &sale.by, sale.own, &sale.claim), (&hold_id("box"), &user("ann"), None, &None));
    }

    #[test]
    fn reserved_is_refused_ticket_reserved() {
        Map::held().refuses(&sell("ann", "box"), TicketReserved { until: at(UNTIL) });
    }

    #[test]
    fn sold_by_the_very_same_request_is_unchanged_with_the_same_answer() {
        let sold = Map::available().after(&sell("ann", "box"));
        sold.keeps(&sell("ann", "box"), &SeatMapReply::Sold { prices: vec![unit_price()] });
    }

    #[test]
    fn sold_otherwise_is_refused_ticket_sold() {
        Map::sold().refuses(&sell("ann", "box"), TicketSold);
        Map::sold().refuses(&sell("ann", "h"), TicketSold);
        let sold = Map::available().after(&sell("ann", "box"));
        sold.clone().refuses(&sell("bob", "box"), TicketSold);
        sold.refuses(&sell("ann", "box-2"), TicketSold);
    }

    #[test]
    fn blocked_is_refused_ticket_blocked() {
        Map::blocked().refuses(&sell("ann", "box"), TicketBlocked);
    }

    #[test]
    fn what_is_not_for_sale_is_not_sold_at_the_box_office_either() {
        Map::available().refuses(&closed(sell("ann", "box")), TicketNotForSale);
    }
}

mod recall {
    use super::*;

    #[test]
    fn available_sold_and_blocked_are_unchanged() {
        for map in [Map::available(), Map::sold(), Map::blocked()] {
            map.keeps(&recall(9), &Done);
        }
    }

    #[test]
    fn reserved_and_unclaimed_becomes_available_if_it_has_not_changed_since() {
        Map::held().keeps(&recall(0), &Done);
        let map = Map::held().changes(&recall(1), &Done);
        assert_eq!(map.status(), Available);
        map.after(&reserve("bob", "h2")).keeps(&recall(2), &Done);
        assert_eq!(Map::held().after(&block()).changes(&recall(2), &Done).status(), Blocked);
    }

    #[test]
    fn reserved_and_claimed_is_unchanged() {
        Map::held_and_claimed(EARLY).keeps(&recall(9), &Done);
        Map::claimed().keeps(&recall(9), &Done);
    }
}

mod reset {
    use super::*;

    #[test]
    fn available_is_unchanged() {
        Map::available().keeps(&reset(9), &Done);
    }

    #[test]
    fn reserved_is_refused_ticket_reserved() {
        Map::held().refuses(&reset(9), TicketReserved { until: at(UNTIL) });
        Map::claimed().refuses(&reset(9), TicketReserved { until: at(EARLY) });
    }

    #[test]
    fn sold_up_to_the_version_becomes_available_and_ends_the_checkout() {
        for command in [reset(3), reset(9)] {
            let map = Map::sold_from_held().changes(&command, &Done);
            assert_eq!(map.status(), Available);
            assert!(map.remembers_the_end_of("c"));
            map.refuses_as_a_whole(&claim("ann", "h", "c", EARLY), HoldExpired);
        }
        let past = Map::sold().at(EARLY).after(&reset(2));
        assert!(!past.remembers_the_end_of("c"), "its deadline is past, and that is stored");
        let at_the_box_office = Map::available().after(&sell("ann", "box")).after(&reset(1));
        assert_eq!(at_the_box_office.map.header().ended, 0);
    }

    #[test]
    fn sold_since_the_version_is_unchanged() {
        Map::sold_from_held().keeps(&reset(2), &Done);
        Map::sold_from_held().keeps(&reset_after(2, &[]), &Done);
    }

    #[test]
    fn sold_to_a_checkout_that_is_not_known_to_have_ended_is_refused_checkout_in_progress() {
        Map::sold_from_held().refuses(&reset_after(9, &[]), CheckoutInProgress);
        Map::sold_from_held().refuses(&reset_after(9, &["another"]), CheckoutInProgress);
        Map::available().after(&sell("ann", "box")).changes(&reset_after(9, &[]), &Done);
    }

    #[test]
    fn blocked_is_as_sold() {
        Map::blocked().keeps(&reset(0), &Done);
        assert_eq!(Map::blocked().changes(&reset(1), &Done).status(), Available);
    }
}

mod view {
    use super::*;

    fn view(map: &Map, now: u64) -> (booking_core::map::ticket::TicketStatus, Option<&'static str>, Option<u64>, u64) {
        let view = map.map.view(&ticket_id("a:1"), at(now));
        let by = view.reserved_by.map(|by| if by == user("ann") { "ann" } else { "another" });
        (view.status, by, view.reserved_until.map(|until| until.as_millis()), view.version)
    }

    #[test]
    fn available_shows_no_buyer_and_the_maps_version() {
        assert_eq!(view(&Map::available(), NOW), (Available, None, None, 0));
        assert_eq!(view(&Map::held().after(&release("h")), NOW), (Available, None, None, 2));
    }

    #[test]
    fn reserved_shows_the_buyer_the_holds_own_end_and_the_version_of_its_last_change() {
        let map = Map::held_and_claimed(LATE).after_seats(&[2], &reserve("bob", "h2"));
        assert_eq!(view(&map, NOW), (Reserved, Some("ann"), Some(UNTIL), 2));
        assert_eq!(view(&Map::claimed(), NOW), (Reserved, Some("ann"), Some(EARLY), 1));
    }

    #[test]
    fn a_lapsed_hold_reads_available_and_nothing_is_recorded() {
        assert_eq!(view(&Map::held(), UNTIL), (Available, None, None, 1));
        let late = Map::held().at(UNTIL).after_seats(&[2], &ending(reserve("bob", "h2"), LATE));
        assert_eq!(view(&late, NOW), (Available, None, None, 1), "never seen at a time before the map's");
    }

    #[test]
    fn sold_keeps_its_buyer_and_blocked_shows_none() {
        assert_eq!(view(&Map::sold(), LATE), (Sold, Some("ann"), None, 2));
        assert_eq!(view(&Map::blocked(), NOW), (Blocked, None, None, 1));
    }
}
