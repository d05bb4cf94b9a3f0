//! The table of the specification (§2): a module a row, a test a cell.

use crate::support::*;
use booking_core::ticket::TicketRefusal::{
    CheckoutInProgress, HoldExpired, HoldNotFound, TicketBlocked, TicketNotForSale, TicketReserved, TicketSold,
};
use booking_core::ticket::TicketReply::{self, Done};
use booking_core::ticket::TicketStatus::{Available, Blocked, Reserved, Sold};
use booking_core::ticket::{TicketCommand, TicketState};

mod reserve_by_a_buyer {
    use super::*;

    #[test]
    fn available_becomes_reserved_and_unclaimed() {
        let seat = Seat::available().changes(&reserve("ann", "h"), &reserved("h", UNTIL));
        let hold = seat.ticket.hold().unwrap();
        assert_eq!(
            (&hold.id, &hold.by, hold.until(), hold.claim()),
            (&hold_id("h"), &user("ann"), Some(at(UNTIL)), None)
        );
        assert_eq!(seat.timer(), Some(UNTIL));
    }

    #[test]
    fn available_without_a_named_hold_tells_the_fresh_one() {
        Seat::available().changes(&reserve_unnamed("ann", "f"), &reserved("f", UNTIL));
    }

    #[test]
    fn reserved_under_the_same_hold_and_user_is_unchanged_with_the_same_answer() {
        Seat::held().at(NOW + 5).keeps(&reserve("ann", "h"), &reserved("h", UNTIL));
        Seat::held().at(NOW + 5).keeps(&lasting(reserve("ann", "h"), 1000), &reserved("h", UNTIL));
        Seat::held_and_claimed(EARLY).keeps(&reserve("ann", "h"), &reserved("h", UNTIL));
    }

    #[test]
    fn reserved_under_a_hold_without_an_end_of_its_own_is_refused_checkout_in_progress() {
        Seat::claimed().refuses(&reserve("ann", "h"), CheckoutInProgress);
    }

    #[test]
    fn reserved_by_the_same_user_without_a_named_hold_is_unchanged_without_telling_the_hold() {
        let untold = |until| TicketReply::Reserved { hold: None, until: at(until), price: unit_price() };
        Seat::held().keeps(&reserve_unnamed("ann", "f"), &untold(UNTIL));
        Seat::claimed().keeps(&reserve_unnamed("ann", "f"), &untold(EARLY));
    }

    #[test]
    fn a_copy_of_the_request_that_made_an_unnamed_hold_is_told_it_again() {
        let seat = Seat::available().after(&reserve_unnamed("ann", "f"));
        seat.keeps(&reserve_unnamed("ann", "f"), &reserved("f", UNTIL));
    }

    #[test]
    fn reserved_by_another_is_refused_ticket_reserved() {
        Seat::held().refuses(&reserve("bob", "h2"), TicketReserved { until: at(UNTIL) });
        Seat::held().refuses(&reserve("bob", "h"), TicketReserved { until: at(UNTIL) });
        Seat::held().refuses(&reserve("ann", "h2"), TicketReserved { until: at(UNTIL) });
        Seat::held().refuses(&reserve_unnamed("bob", "f"), TicketReserved { until: at(UNTIL) });
    }

    #[test]
    fn sold_is_refused_ticket_sold_even_for_the_same_hold_and_user() {
        Seat::sold_from_held().refuses(&reserve("ann", "h"), TicketSold);
        Seat::sold().refuses(&reserve("bob", "h2"), TicketSold);
    }

    #[test]
    fn blocked_is_refused_ticket_blocked() {
        Seat::blocked().refuses(&reserve("ann", "h"), TicketBlocked);
    }
}

mod reserve_by_a_checkout {
    use super::*;

    #[test]
    fn available_becomes_reserved_and_claimed() {
        let seat = Seat::available().changes(&claim("ann", "h", "c", EARLY), &claimed(1));
        let hold = seat.ticket.hold().unwrap();
        assert_eq!(hold.until(), None, "a hold that a checkout made has no end of its own");
        assert_eq!(hold.claim().map(|claim| (claim.fence, claim.deadline)), Some((1, at(EARLY))));
        assert_eq!(seat.timer(), Some(EARLY));
    }

    #[test]
    fn reserved_unclaimed_under_the_same_hold_and_user_becomes_claimed() {
        let seat = Seat::held().changes(&claim("ann", "h", "c", EARLY), &claimed(2));
        assert_eq!(seat.ticket.hold().unwrap().until(), Some(at(UNTIL)));
        assert_eq!(seat.timer(), None, "its end has not changed");
        let seat = Seat::held().changes(&claim("ann", "h", "c", LATE), &claimed(2));
        assert_eq!(seat.timer(), Some(LATE), "its end has");
    }

    #[test]
    fn reserved_claimed_by_this_checkout_is_unchanged_with_the_same_answer() {
        Seat::held_and_claimed(EARLY).keeps(&claim("ann", "h", "c", EARLY), &claimed(2));
        Seat::claimed().at(NOW + 5).keeps(&claim("ann", "h", "c", EARLY), &claimed(1));
    }

    #[test]
    fn reserved_claimed_by_another_checkout_is_refused_checkout_in_progress() {
        Seat::held_and_claimed(EARLY).refuses(&claim("ann", "h", "c2", EARLY), CheckoutInProgress);
    }

    #[test]
    fn reserved_under_another_hold_or_user_is_refused_ticket_reserved() {
        Seat::held().refuses(&claim("ann", "h2", "c", EARLY), TicketReserved { until: at(UNTIL) });
        Seat::held().refuses(&claim("bob", "h", "c", EARLY), TicketReserved { until: at(UNTIL) });
        Seat::claimed().refuses(&claim("bob", "h2", "c2", EARLY), TicketReserved { until: at(EARLY) });
    }

    #[test]
    fn sold_to_this_hold_user_and_checkout_is_unchanged_with_the_same_answer() {
        Seat::sold().keeps(&claim("ann", "h", "c", EARLY), &claimed(1));
        Seat::sold_from_held().keeps(&claim("ann", "h", "c", EARLY), &claimed(2));
    }

    #[test]
    fn sold_to_anyone_else_is_refused_ticket_sold() {
        Seat::sold().refuses(&claim("ann", "h", "c2", EARLY), TicketSold);
        Seat::sold().refuses(&claim("ann", "h2", "c", EARLY), TicketSold);
        Seat::sold().refuses(&claim("bob", "h", "c", EARLY), TicketSold);
        Seat::available().after(&sell("ann", "box")).refuses(&claim("ann", "box", "c", EARLY), TicketSold);
    }

    #[test]
    fn blocked_is_refused_ticket_blocked() {
        Seat::blocked().refuses(&claim("ann", "h", "c", EARLY), TicketBlocked);
    }
}

mod confirm {
    use super::*;

    #[test]
    fn available_is_refused_hold_expired_if_the_hold_ended() {
        Seat::held().after(&release("h")).refuses(&confirm("h", "c", 2), HoldExpired);
        Seat::claimed().at(EARLY).refuses(&confirm("h", "c", 1), HoldExpired);
    }

    #[test]
    fn available_is_refused_hold_not_found_if_it_never_was() {
        Seat::available().refuses(&confirm("h", "c", 1), HoldNotFound);
    }

    #[test]
    fn reserved_and_claimed_by_exactly_this_checkout_hold_and_fence_becomes_sold() {
        let seat = Seat::claimed().at(EARLY - 1).changes(&confirm("h", "c", 1), &Done);
        let sale = seat.ticket.sale().unwrap();
        assert_eq!((sale.at, sale.price, &sale.by), (at(EARLY - 1), unit_price(), &user("ann")));
        let seat = Seat::held_and_claimed(EARLY).changes(&confirm("h", "c", 2), &Done);
        assert_eq!(seat.ticket.sale().unwrap().until, Some(at(UNTIL)));
    }

    #[test]
    fn reserved_otherwise_is_refused_hold_not_found() {
        Seat::held().refuses(&confirm("h", "c", 1), HoldNotFound);
        for wrong in [confirm("h2", "c", 2), confirm("h", "c2", 2), confirm("h", "c", 1), confirm("h", "c", 3)] {
            Seat::held_and_claimed(EARLY).refuses(&wrong, HoldNotFound);
        }
    }

    #[test]
    fn sold_to_the_same_hold_checkout_and_fence_is_unchanged() {
        Seat::sold().keeps(&confirm("h", "c", 1), &Done);
        Seat::sold().at(LATE).keeps(&confirm("h", "c", 1), &Done);
    }

    #[test]
    fn sold_otherwise_is_refused_ticket_sold() {
        for wrong in [confirm("h2", "c", 1), confirm("h", "c2", 1), confirm("h", "c", 2)] {
            Seat::sold().refuses(&wrong, TicketSold);
        }
        Seat::available().after(&sell("ann", "box")).refuses(&confirm("box", "c", 1), TicketSold);
    }

    #[test]
    fn blocked_is_refused_ticket_blocked() {
        Seat::blocked().refuses(&confirm("h", "c", 1), TicketBlocked);
    }
}

mod release {
    use super::*;

    #[test]
    fn available_is_unchanged() {
        Seat::available().keeps(&release("h"), &Done);
    }

    #[test]
    fn reserved_unclaimed_under_the_same_hold_becomes_available_and_ends_the_hold() {
        let seat = Seat::held().changes(&release("h"), &Done);
        assert_eq!(seat.status(), Available);
        assert!(seat.has_ended_hold("h"));
    }

    #[test]
    fn reserved_and_claimed_under_the_same_hold_is_refused_checkout_in_progress() {
        Seat::held_and_claimed(EARLY).refuses(&release("h"), CheckoutInProgress);
        Seat::claimed().refuses(&release("h"), CheckoutInProgress);
    }

    #[test]
    fn reserved_under_another_hold_is_unchanged() {
        Seat::held().keeps(&release("h2"), &Done);
        Seat::claimed().keeps(&release("h2"), &Done);
    }

    #[test]
    fn sold_is_refused_ticket_sold() {
        Seat::sold().refuses(&release("h"), TicketSold);
        Seat::sold().refuses(&release("h2"), TicketSold);
    }

    #[test]
    fn blocked_is_unchanged() {
        Seat::blocked().keeps(&release("h"), &Done);
    }
}

mod revoke {
    use super::*;

    #[test]
    fn available_is_accepted_and_ends_the_checkout() {
        let seat = Seat::available().remembers(&revoke("h", "c"));
        assert!(seat.has_ended_checkout("c"));
        seat.keeps(&revoke("h", "c"), &Done);
    }

    #[test]
    fn reserved_under_exactly_this_hold_and_checkout_goes_back_to_the_buyers_own_hold() {
        let seat = Seat::held_and_claimed(LATE).changes(&revoke("h", "c"), &Done);
        assert_eq!((seat.status(), seat.ticket.hold().unwrap().until()), (Reserved, Some(at(UNTIL))));
        assert_eq!(seat.ticket.hold().unwrap().claim(), None);
        assert!(seat.has_ended_checkout("c") && !seat.has_ended_hold("h"));
        assert_eq!(seat.timer(), Some(UNTIL), "its end is the earlier one again");
    }

    #[test]
    fn reserved_under_exactly_this_hold_and_checkout_becomes_available_where_the_hold_has_no_end_ahead() {
        let made_by_it = Seat::claimed().changes(&revoke("h", "c"), &Done);
        assert_eq!(made_by_it.status(), Available);
        assert!(made_by_it.has_ended_checkout("c") && !made_by_it.has_ended_hold("h"));
        let own_end_passed = Seat::held_and_claimed(LATE).at(UNTIL).changes(&revoke("h", "c"), &Done);
        assert_eq!(own_end_passed.status(), Available);
        assert!(own_end_passed.has_ended_checkout("c") && own_end_passed.has_ended_hold("h"));
    }

    #[test]
    fn reserved_otherwise_is_accepted_and_keeps_the_hold() {
        let seat = Seat::held_and_claimed(EARLY).remembers(&revoke("h", "c2"));
        assert_eq!(seat.ticket.hold().unwrap().claim().unwrap().checkout, checkout_id("c"));
        Seat::held().remembers(&revoke("h", "c"));
        Seat::claimed().remembers(&revoke("h2", "c"));
    }

    #[test]
    fn sold_under_exactly_this_hold_and_checkout_goes_back_as_from_reserved() {
        let own = Seat::sold_from_held().at(UNTIL - 1).changes(&revoke("h", "c"), &Done);
        assert_eq!((own.status(), own.ticket.hold().unwrap().until()), (Reserved, Some(at(UNTIL))));
        assert_eq!(own.timer(), Some(UNTIL));
        let passed = Seat::sold_from_held().at(UNTIL).changes(&revoke("h", "c"), &Done);
        assert_eq!(passed.status(), Available);
        assert!(passed.has_ended_hold("h") && passed.has_ended_checkout("c"));
        let made = Seat::sold().changes(&revoke("h", "c"), &Done);
        assert_eq!(made.status(), Available);
        assert!(made.has_ended_checkout("c") && !made.has_ended_hold("h"));
    }

    #[test]
    fn sold_otherwise_is_accepted_and_stays_sold() {
        for other in [revoke("h", "c2"), revoke("h2", "c")] {
            assert_eq!(Seat::sold().remembers(&other).status(), Sold);
        }
        assert_eq!(Seat::available().after(&sell("ann", "box")).remembers(&revoke("box", "c")).status(), Sold);
    }

    #[test]
    fn blocked_is_accepted_and_ends_the_checkout() {
        assert!(Seat::blocked().remembers(&revoke("h", "c")).has_ended_checkout("c"));
    }
}

mod expire {
    use super::*;

    #[test]
    fn available_is_unchanged() {
        Seat::available().keeps(&expire("h", UNTIL), &Done);
    }

    #[test]
    fn reserved_is_armed_again_where_the_timer_came_early() {
        for (mut seat, end) in [
            (Seat::held(), UNTIL),
            (Seat::claimed(), EARLY),
            (Seat::held_and_claimed(EARLY), UNTIL),
            (Seat::held_and_claimed(LATE), LATE),
        ] {
            assert_eq!(seat.ask(&expire("h", end)), Ok(Done));
            assert!(!seat.recorded);
            assert_eq!(seat.timer(), Some(end));
        }
    }

    #[test]
    fn reserved_is_unchanged_by_a_timer_for_another_end_or_hold() {
        Seat::held().keeps(&expire("h", UNTIL - 1), &Done);
        Seat::held().keeps(&expire("h2", UNTIL), &Done);
        Seat::held_and_claimed(LATE).at(UNTIL).keeps(&expire("h", UNTIL), &Done);
    }

    #[test]
    fn reserved_and_lapsed_is_taken_away() {
        let seat = Seat::held().at(UNTIL).changes(&expire("h", UNTIL), &Done);
        assert_eq!(seat.status(), Available);
        assert!(seat.has_ended_hold("h"));
    }

    #[test]
    fn sold_is_unchanged() {
        Seat::sold_from_held().at(UNTIL).keeps(&expire("h", UNTIL), &Done);
    }

    #[test]
    fn blocked_is_unchanged() {
        Seat::blocked().keeps(&expire("h", UNTIL), &Done);
    }
}

mod block_and_unblock {
    use super::*;

    #[test]
    fn available_becomes_blocked_and_is_unchanged_by_unblock() {
        assert_eq!(Seat::available().changes(&block(), &Done).status(), Blocked);
        Seat::available().keeps(&TicketCommand::Unblock, &Done);
    }

    #[test]
    fn reserved_refuses_block_and_is_unchanged_by_unblock() {
        Seat::held().refuses(&block(), TicketReserved { until: at(UNTIL) });
        Seat::held().keeps(&TicketCommand::Unblock, &Done);
    }

    #[test]
    fn sold_refuses_block_and_is_unchanged_by_unblock() {
        Seat::sold().refuses(&block(), TicketSold);
        Seat::sold().keeps(&TicketCommand::Unblock, &Done);
    }

    #[test]
    fn blocked_is_unchanged_by_block_and_becomes_available_by_unblock() {
        Seat::blocked().keeps(&block(), &Done);
        Seat::blocked().keeps(&TicketCommand::Block { reason: "another".into() }, &Done);
        assert_eq!(Seat::blocked().changes(&TicketCommand::Unblock, &Done).status(), Available);
    }
}

mod list {
    use super::*;

    #[test]
    fn every_state_is_kept_and_listed() {
        for seat in [Seat::available(), Seat::held(), Seat::claimed(), Seat::sold(), Seat::blocked()] {
            let before = seat.ticket.state().clone();
            let seat = seat.changes(&list(500), &Done);
            assert_eq!((seat.ticket.state(), seat.ticket.listing().unwrap().price), (&before, usd(500)));
            assert_eq!(seat.timer(), None);
            seat.keeps(&list(500), &Done);
        }
    }

    #[test]
    fn a_hold_keeps_the_price_it_was_made_at() {
        let seat = Seat::held().after(&list(500));
        seat.clone().keeps(&reserve("ann", "h"), &reserved("h", UNTIL));
        let claimed_then = TicketReply::Claimed { fence: 3, price: unit_price() };
        let seat = seat.changes(&claim("ann", "h", "c", EARLY), &claimed_then);
        let seat = seat.changes(&confirm("h", "c", 3), &Done);
        assert_eq!(seat.ticket.sale().unwrap().price, unit_price());
    }

    #[test]
    fn a_late_copy_from_an_older_edition_of_the_layout_changes_nothing() {
        let seat = Seat::available().after(&list_edition(500, 1)).after(&list_edition(700, 2));
        seat.clone().keeps(&list_edition(500, 1), &Done);
        seat.clone().keeps(&list_edition(900, 2), &Done);
        let by_hand = seat.after(&list(800));
        by_hand.clone().keeps(&list_edition(700, 2), &Done);
        assert_eq!(by_hand.after(&list_edition(600, 3)).ticket.listing().unwrap().price, usd(600));
    }
}

mod sell {
    use super::*;

    #[test]
    fn available_becomes_sold_without_checkout_or_fence() {
        let seat = Seat::available().changes(&sell("ann", "box"), &TicketReply::Sold { price: unit_price() });
        let sale = seat.ticket.sale().unwrap();
        assert_eq!((&sale.hold, sale.until, &sale.to), (&hold_id("box"), None, &None));
    }

    #[test]
    fn reserved_is_refused_ticket_reserved() {
        Seat::held().refuses(&sell("ann", "box"), TicketReserved { until: at(UNTIL) });
    }

    #[test]
    fn sold_is_refused_ticket_sold() {
        Seat::sold().refuses(&sell("ann", "box"), TicketSold);
    }

    #[test]
    fn blocked_is_refused_ticket_blocked() {
        Seat::blocked().refuses(&sell("ann", "box"), TicketBlocked);
    }

    #[test]
    fn a_copy_that_comes_after_the_sale_was_reset_is_refused_hold_expired() {
        let seat = Seat::available().after(&sell("ann", "box")).after(&TicketCommand::Cleanup);
        seat.refuses(&sell("ann", "box"), HoldExpired);
    }

    #[test]
    fn with_closed_sales_an_unlisted_ticket_is_not_sold_at_the_box_office_either() {
        Seat::available().refuses(&closed(sell("ann", "box")), TicketNotForSale);
    }
}

mod reset_and_cleanup {
    use super::*;

    #[test]
    fn available_is_unchanged() {
        Seat::available().keeps(&reset(9), &Done);
        Seat::available().keeps(&TicketCommand::Cleanup, &Done);
    }

    #[test]
    fn reserved_is_refused_ticket_reserved() {
        Seat::held().refuses(&reset(9), TicketReserved { until: at(UNTIL) });
        Seat::claimed().refuses(&TicketCommand::Cleanup, TicketReserved { until: at(EARLY) });
    }

    #[test]
    fn sold_up_to_the_version_becomes_available_and_ends_hold_and_checkout() {
        for command in [reset(3), reset(9), TicketCommand::Cleanup] {
            let seat = Seat::sold_from_held().changes(&command, &Done);
            assert_eq!(seat.status(), Available);
            assert!(seat.has_ended_hold("h") && seat.has_ended_checkout("c"));
        }
        assert!(Seat::sold().after(&reset(2)).has_ended_hold("h"));
        assert!(Seat::available().after(&sell("ann", "box")).after(&reset(1)).has_ended_hold("box"));
    }

    #[test]
    fn sold_since_the_version_is_unchanged() {
        Seat::sold_from_held().keeps(&reset(2), &Done);
    }

    #[test]
    fn blocked_is_as_sold() {
        Seat::blocked().keeps(&reset(0), &Done);
        assert_eq!(Seat::blocked().changes(&reset(1), &Done).status(), Available);
        assert_eq!(Seat::blocked().changes(&TicketCommand::Cleanup, &Done).status(), Available);
    }
}

mod get {
    use super::*;

    #[test]
    fn available_shows_nobody() {
        let view = Seat::available().ticket.get(at(NOW));
        assert_eq!((view.status, view.reserved_by, view.reserved_until, view.version), (Available, None, None, 0));
    }

    #[test]
    fn reserved_shows_the_buyer_and_the_holds_own_end() {
        let view = Seat::held_and_claimed(LATE).ticket.get(at(NOW));
        assert_eq!((view.status, view.reserved_by, view.version), (Reserved, Some(user("ann")), 2));
        assert_eq!(view.reserved_until, Some(at(UNTIL)));
    }

    #[test]
    fn reserved_by_a_checkout_shows_its_deadline() {
        assert_eq!(Seat::claimed().ticket.get(at(NOW)).reserved_until, Some(at(EARLY)));
    }

    #[test]
    fn a_lapsed_hold_reads_available_and_nothing_is_recorded() {
        let view = Seat::held().ticket.get(at(UNTIL));
        assert_eq!((view.status, view.reserved_by, view.reserved_until, view.version), (Available, None, None, 1));
    }

    #[test]
    fn sold_keeps_its_buyer() {
        let view = Seat::sold().ticket.get(at(LATE));
        assert_eq!((view.status, view.reserved_by, view.reserved_until), (Sold, Some(user("ann")), None));
    }

    #[test]
    fn blocked_shows_nobody() {
        let view = Seat::blocked().ticket.get(at(NOW));
        assert_eq!((view.status, view.reserved_by, view.reserved_until), (Blocked, None, None));
        assert!(matches!(Seat::blocked().ticket.state(), TicketState::Blocked { reason } if reason == "broken seat"));
    }
}
