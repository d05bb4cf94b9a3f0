//! The rules around the table of the specification (§2): a test a line.

use booking_core::format;

use crate::support::*;
use booking_core::ticket::TicketRefusal::{
    CheckoutInProgress, HoldExpired, TicketNotForSale, TicketReserved, TicketSold,
};
use booking_core::ticket::TicketReply::{self, Done};
use booking_core::ticket::TicketStatus::{Available, Reserved, Sold};
use booking_core::ticket::{Ended, Ticket, TicketCommand};

// Time

#[test]
fn effective_now_is_never_before_the_last_recorded_change() {
    let late = Seat::available().at(UNTIL).after(&list(500));
    let clock_stepped_back = late.at(NOW).changes_at(&reserve("ann", "h"), UNTIL);
    assert_eq!(clock_stepped_back.ticket.hold().unwrap().until(), Some(at(UNTIL + 900_000)));
}

#[test]
fn a_hold_is_live_until_exactly_its_end() {
    Seat::held().at(UNTIL - 1).refuses(&reserve("bob", "h2"), TicketReserved { until: at(UNTIL) });
    let seat = Seat::held().at(UNTIL).changes(&reserve("bob", "h2"), &reserved("h2", UNTIL + 900_000));
    assert!(seat.has_ended_hold("h"));
}

#[test]
fn a_hold_lasts_to_the_later_of_its_own_end_and_its_claims_deadline() {
    Seat::held_and_claimed(LATE).at(LATE - 1).refuses(&reserve("bob", "h2"), TicketReserved { until: at(UNTIL) });
    assert_eq!(Seat::held_and_claimed(LATE).at(LATE).after(&reserve("bob", "h2")).status(), Reserved);
    Seat::held_and_claimed(EARLY).at(UNTIL - 1).refuses(&reserve("bob", "h2"), TicketReserved { until: at(UNTIL) });
}

#[test]
fn a_hold_that_a_checkout_made_has_no_end_of_its_own() {
    let seat = Seat::claimed();
    assert_eq!((seat.ticket.hold().unwrap().until(), seat.ticket.hold().unwrap().end()), (None, at(EARLY)));
}

// What lapses

#[test]
fn every_accepted_command_first_takes_a_lapsed_hold_away_and_records_that() {
    let accepted = [
        (reserve("bob", "h2"), Reserved),
        (claim("bob", "h2", "c2", UNTIL + 9), Reserved),
        (release("h2"), Available),
        (revoke("h2", "c2"), Available),
        (expire("h", UNTIL), Available),
        (expire("h2", UNTIL), Available),
        (block(), booking_core::ticket::TicketStatus::Blocked),
        (TicketCommand::Unblock, Available),
        (list(500), Available),
        (sell("bob", "box"), Sold),
        (reset(0), Available),
        (TicketCommand::Cleanup, Available),
    ];
    for (command, status) in accepted {
        let mut seat = Seat::held().at(UNTIL);
        assert!(seat.ask(&command).is_ok(), "{command:?}");
        assert!(seat.recorded, "{command:?}");
        assert!(seat.has_ended_hold("h"), "{command:?}");
        assert_eq!((seat.status(), seat.ticket.version()), (status, 2), "{command:?}: lapse and change are one");
        assert_eq!(seat.told_the_map(), Some((status, 2)), "{command:?}");
    }
}

#[test]
fn a_refused_command_decides_by_the_same_view_and_records_nothing() {
    Seat::held().at(UNTIL).refuses(&reserve("ann", "h"), HoldExpired);
    Seat::held().at(UNTIL).refuses(&confirm("h", "c", 1), HoldExpired);
    Seat::held().at(UNTIL).refuses(&closed(reserve("bob", "h2")), TicketNotForSale);
}

#[test]
fn where_a_hold_goes_its_claims_checkout_ends_and_its_own_id_if_it_had_an_end_of_its_own() {
    let own = Seat::held_and_claimed(EARLY).at(UNTIL).after(&TicketCommand::Unblock);
    assert!(own.has_ended_hold("h") && own.has_ended_checkout("c"));
    let made = Seat::claimed().at(EARLY).after(&TicketCommand::Unblock);
    assert!(!made.has_ended_hold("h") && made.has_ended_checkout("c"));
}

#[test]
fn a_claim_past_its_deadline_on_a_live_hold_is_gone_first() {
    let seat = Seat::held_and_claimed(EARLY).at(EARLY).changes(&release("h"), &Done);
    assert_eq!(seat.status(), Available);
    let seat = Seat::held_and_claimed(EARLY).at(EARLY).changes(&TicketCommand::Unblock, &Done);
    assert_eq!((seat.status(), seat.ticket.hold().unwrap().claim()), (Reserved, None));
    assert!(seat.has_ended_checkout("c") && !seat.has_ended_hold("h"));
    let second = Seat::held_and_claimed(EARLY).at(EARLY).after(&claim("ann", "h", "c2", LATE));
    assert_eq!(second.ticket.hold().unwrap().claim().unwrap().checkout, checkout_id("c2"));
    Seat::held_and_claimed(EARLY).at(EARLY).refuses(&claim("ann", "h", "c", LATE), HoldExpired);
    Seat::held_and_claimed(EARLY).at(EARLY - 1).refuses(&release("h"), CheckoutInProgress);
}

// What has ended stays ended

#[test]
fn reserve_naming_an_ended_hold_is_refused_ahead_of_the_cells() {
    let ended = Seat::held().after(&release("h"));
    ended.clone().refuses(&reserve("ann", "h"), HoldExpired);
    ended.clone().refuses(&claim("ann", "h", "c", EARLY), HoldExpired);
    ended.clone().after(&reserve("bob", "h2")).refuses(&reserve("ann", "h"), HoldExpired);
    ended
        .clone()
        .after(&claim("bob", "h2", "c2", EARLY))
        .after(&confirm("h2", "c2", 3))
        .refuses(&reserve("ann", "h"), HoldExpired);
    ended.after(&block()).refuses(&reserve("ann", "h"), HoldExpired);
}

#[test]
fn reserve_from_an_ended_checkout_is_refused_ahead_of_the_cells() {
    let revoked_first = Seat::available().remembers(&revoke("h", "c"));
    revoked_first.clone().refuses(&claim("ann", "h", "c", EARLY), HoldExpired);
    revoked_first.clone().after(&reserve("bob", "h2")).refuses(&claim("ann", "h", "c", EARLY), HoldExpired);
    revoked_first.after(&block()).refuses(&claim("ann", "h", "c", EARLY), HoldExpired);
}

#[test]
fn reserve_at_or_after_its_deadline_is_refused_ahead_of_the_cells() {
    Seat::available().at(EARLY).refuses(&claim("ann", "h", "c", EARLY), HoldExpired);
    Seat::blocked().at(EARLY).refuses(&claim("ann", "h", "c", EARLY), HoldExpired);
    Seat::available().at(EARLY - 1).changes(&claim("ann", "h", "c", EARLY), &claimed(1));
}

#[test]
fn a_ticket_already_sold_to_the_checkout_is_not_subject_to_that() {
    Seat::sold().at(LATE).keeps(&claim("ann", "h", "c", EARLY), &claimed(1));
    Seat::sold().at(LATE).refuses(&claim("ann", "h2", "c", EARLY), TicketSold);
    Seat::sold().at(LATE).refuses(&claim("ann", "h", "c2", EARLY), HoldExpired);
}

#[test]
fn revoke_may_arrive_before_the_reserve_that_it_undoes() {
    let seat = Seat::available().remembers(&revoke("h", "c"));
    seat.refuses(&claim("ann", "h", "c", EARLY), HoldExpired);
}

#[test]
fn revoke_never_ends_a_hold_that_it_does_not_find() {
    let seat = Seat::available().remembers(&revoke("h", "c"));
    assert!(!seat.has_ended_hold("h"));
    seat.changes(&reserve("ann", "h"), &reserved("h", UNTIL));
}

#[test]
fn the_last_16_ended_ids_are_remembered_each_once() {
    let mut seat = Seat::available();
    for i in 0..Ended::MEMORY {
        seat = seat.remembers(&revoke("h", &format!("c{i}")));
    }
    seat.clone().keeps(&revoke("h", "c0"), &Done);
    let seat = seat.remembers(&revoke("h", "one-more"));
    assert_eq!(seat.ticket.ended().ids().len(), 16);
    assert!(!seat.has_ended_checkout("c0") && seat.has_ended_checkout("c1") && seat.has_ended_checkout("one-more"));
}

#[test]
fn what_is_remembered_to_have_ended_is_the_same_whether_a_lapse_was_recorded_or_not() {
    // Sixteen have ended, and then a hold that is not taken away yet.
    let mut seat = Seat::held().after(&release("h"));
    for i in 1..Ended::MEMORY {
        seat = seat.remembers(&revoke("h", &format!("c{i}")));
    }
    let lapsed = seat.after(&reserve("ann", "h2")).at(UNTIL);
    let recorded = lapsed.clone().after(&expire("h2", UNTIL));
    assert!(lapsed.has_ended_hold("h") && !recorded.has_ended_hold("h"), "the lapse pushes the oldest out");
    for seat in [lapsed, recorded] {
        seat.clone().refuses(&reserve("ann", "h2"), HoldExpired);
        seat.clone().refuses(&claim("ann", "h3", "c1", LATE), HoldExpired);
        seat.changes(&reserve("ann", "h"), &reserved("h", UNTIL + 900_000));
    }
}

#[test]
fn what_has_ended_is_stored_with_the_ticket() {
    let fresh = Ticket::default();
    assert!(fresh.ended().is_empty());
    let seat = Seat::held().after(&release("h"));
    assert!(!seat.ticket.ended().is_empty());
    let back: Ticket = format::read(&format::write(&seat.ticket)).unwrap();
    assert_eq!(back, seat.ticket);
    Seat { ticket: back.clone(), ..seat }.refuses(&reserve("ann", "h"), HoldExpired);
    #[cfg(feature = "testing")]
    {
        let mut forgetful = back;
        forgetful.forget(0);
        assert!(forgetful.ended().is_empty(), "as a test may have it");
    }
}

#[test]
fn a_hold_and_a_checkout_of_the_same_name_end_apart() {
    let seat = Seat::available().remembers(&revoke("x", "x"));
    assert!(seat.has_ended_checkout("x") && !seat.has_ended_hold("x"));
    seat.changes(&reserve("ann", "x"), &reserved("x", UNTIL));
}

#[test]
fn a_copy_of_a_reserve_older_than_the_memory_makes_at_most_a_claim_that_ends_by_itself() {
    let mut seat = Seat::claimed().after(&revoke("h", "c"));
    for i in 0..Ended::MEMORY {
        seat = seat.remembers(&revoke("h", &format!("c{i}")));
    }
    let seat = seat.changes(&claim("ann", "h", "c", EARLY), &claimed(3));
    seat.clone().refuses(&confirm("h", "c", 1), booking_core::ticket::TicketRefusal::HoldNotFound);
    assert_eq!(seat.at(EARLY).after(&expire("h", EARLY)).status(), Available);
}

#[test]
fn a_release_that_arrives_before_its_reserve_leaves_no_mark() {
    let mut seat = Seat::available();
    assert_eq!(seat.ask(&release("h")), Ok(Done));
    assert!(!seat.recorded);
    seat.changes(&reserve("ann", "h"), &reserved("h", UNTIL));
}

// Versions and fences

#[test]
fn each_change_raises_the_version_by_exactly_one_from_0() {
    assert_eq!(Seat::available().ticket.version(), 0);
    let versions: Vec<u64> = [Seat::held(), Seat::held_and_claimed(EARLY), Seat::sold_from_held()]
        .iter()
        .map(|seat| seat.ticket.version())
        .collect();
    assert_eq!(versions, [1, 2, 3]);
}

#[test]
fn the_fence_is_the_version_at_which_the_claim_was_made() {
    let seat = Seat::held().after(&list(1)).after(&list(2)).changes(&claim("ann", "h", "c", EARLY), &claimed(4));
    assert_eq!(seat.after(&list(3)).after(&confirm("h", "c", 4)).status(), Sold);
}

#[test]
fn an_old_confirm_cannot_confirm_a_newer_claim() {
    let again = Seat::held_and_claimed(EARLY).after(&revoke("h", "c")).after(&claim("ann", "h", "c2", LATE));
    again.clone().refuses(&confirm("h", "c", 2), booking_core::ticket::TicketRefusal::HoldNotFound);
    assert_eq!(again.after(&confirm("h", "c2", 4)).status(), Sold);
}

#[test]
fn a_claim_never_grows_twice() {
    let seat = Seat::held_and_claimed(EARLY);
    let mut again = seat.clone();
    assert_eq!(again.ask(&claim("ann", "h", "c", LATE)), Ok(claimed(2)));
    assert_eq!(again.ticket, seat.ticket);
}

#[test]
fn version_at_price_and_ended_ids_outlive_every_command() {
    let seat = Seat::sold_from_held().after(&list(700)).after(&TicketCommand::Cleanup);
    assert_eq!((seat.ticket.version(), seat.ticket.at()), (5, at(NOW)));
    assert_eq!(seat.ticket.listing().unwrap().price, usd(700));
    assert!(seat.has_ended_hold("h") && seat.has_ended_checkout("c"));
}

// Prices

#[test]
fn reserve_answers_the_listed_price_else_the_units() {
    let listed = TicketReply::Reserved { hold: Some(hold_id("h")), until: at(UNTIL), price: usd(500) };
    Seat::available().after(&list(500)).changes(&reserve("ann", "h"), &listed);
    Seat::available().changes(&reserve("ann", "h"), &reserved("h", UNTIL));
    let sold = TicketReply::Sold { price: usd(500) };
    Seat::available().after(&list(500)).changes(&sell("ann", "box"), &sold);
}

#[test]
fn with_closed_sales_a_ticket_that_was_never_listed_is_not_for_sale() {
    Seat::available().refuses(&closed(reserve("ann", "h")), TicketNotForSale);
    Seat::available().refuses(&closed(claim("ann", "h", "c", EARLY)), TicketNotForSale);
    assert_eq!(Seat::available().after(&list(500)).after(&closed(reserve("ann", "h"))).status(), Reserved);
}

// Length of a hold

#[test]
fn a_checkout_may_tell_the_time_where_nothing_it_holds_can_have_ended_since() {
    let may = |seat: &Seat, command: &TicketCommand, told: u64| seat.ticket.may_be_told_the_time(command, at(told));
    let own = claim("ann", "h", "c", LATE);
    assert!(may(&Seat::available(), &own, NOW) && may(&Seat::blocked(), &own, NOW) && may(&Seat::sold(), &own, NOW));
    assert!(!may(&Seat::held(), &own, NOW), "it may be over by now");
    assert!(may(&Seat::held(), &claim("bob", "i", "c", LATE), NOW), "it is another's");
    assert!(may(&Seat::held_and_claimed(EARLY), &own, NOW));
    let minute = Ticket::TOLD_WITHIN.0;
    assert!(may(&Seat::claimed(), &confirm("h", "c", 1), EARLY - minute - 1));
    assert!(!may(&Seat::claimed(), &confirm("h", "c", 1), EARLY - minute));
    assert!(may(&Seat::claimed(), &revoke("h", "c"), EARLY));
    assert!(!may(&Seat::held(), &expire("h", UNTIL), NOW) && !may(&Seat::available(), &reserve("ann", "h"), NOW));
}

#[test]
fn a_hold_lasts_as_long_as_asked_for() {
    for ttl in [1_000, 7_200_000] {
        Seat::available().changes(&lasting(reserve("ann", "h"), ttl), &reserved("h", NOW + ttl));
    }
}

// Notices

#[test]
fn each_change_of_a_holds_end_arms_one_timer_also_back_to_an_earlier_one() {
    let seat = Seat::held();
    assert_eq!(seat.timer(), Some(UNTIL));
    let seat = seat.after(&claim("ann", "h", "c", LATE));
    assert_eq!(seat.timer(), Some(LATE));
    let seat = seat.after(&revoke("h", "c"));
    assert_eq!(seat.timer(), Some(UNTIL));
    let seat = seat.after(&claim("ann", "h", "c2", EARLY));
    assert_eq!(seat.timer(), None);
    let seat = seat.after(&confirm("h", "c2", 4));
    assert_eq!(seat.timer(), None);
}

#[test]
fn timers_may_fire_twice_or_for_a_hold_that_is_gone() {
    let gone = Seat::held().at(UNTIL).after(&expire("h", UNTIL));
    gone.clone().keeps(&expire("h", UNTIL), &Done);
    let held_again = gone.after(&reserve("bob", "h2"));
    held_again.keeps(&expire("h", UNTIL), &Done);
}

#[test]
fn a_hold_id_is_shown_to_nobody_but_who_made_it() {
    let seat = Seat::held();
    let shown = format!("{:?} {:?} {:?}", seat.ticket, seat.ticket.get(at(NOW)), reserve("ann", "h-secret"));
    assert!(!shown.contains("h-secret") && !shown.contains("\"h\""), "{shown}");
    assert!(!format!("{:?}", seat.notices).contains("\"h\""));
}

trait ChangesAt {
    fn changes_at(self, command: &TicketCommand, effective: u64) -> Seat;
}
impl ChangesAt for Seat {
    /// As `changes`, where the time recorded is not the time given.
    fn changes_at(mut self, command: &TicketCommand, effective: u64) -> Seat {
        assert!(self.ask(command).is_ok());
        assert_eq!(self.ticket.at(), at(effective));
        self
    }
}
