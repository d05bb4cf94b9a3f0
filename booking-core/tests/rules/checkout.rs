//! The checkout (§4): forward, a step a test; backward, a row of the undo table a test; then the rules around them.

use booking_core::checkout::{
    Checkout, Ending, Failure, Impossible, MoneyState, Next, NoAmount, Order, OrderError, Performed, Stage,
};
use booking_core::effect::{Effect, Op, Outcome};
use booking_core::ids::{AuthorizationId, PaymentId, PaymentKey, PaymentMethodId, TicketId};
use booking_core::inventory::{Line, LineCommand, LineReply};
use booking_core::map::ticket::TicketRefusal;
use booking_core::map::{SeatMapRefusal, Seats};
use booking_core::money::Money;
use booking_core::payment::{AuthorizeAnswer, CaptureAnswer, DeclineReason, Payment, PaymentAnswer, VoidAnswer};
use booking_core::progress::{CancelRefusal, CheckoutProgress, Recorded};
use booking_core::terms::Terms;
use booking_core::time::Millis;

use crate::support::*;

/// A checkout of two tickets by ann, who brought no hold.
pub(crate) fn start() -> Checkout {
    start_with(&["a:1", "b:2"], None)
}

pub(crate) fn start_with(tickets: &[&str], hold: Option<&str>) -> Checkout {
    let tickets = tickets.iter().map(|id| ticket_id(id)).collect();
    let method = PaymentMethodId::parse("card_success").unwrap();
    let order = Order::new(tickets, user("ann"), method, hold.map(hold_id)).unwrap();
    Checkout::start(checkout_id("c"), order, at(NOW), &Terms::default())
}

pub(crate) fn effects(checkout: &Checkout) -> Vec<Effect> {
    match checkout.next() {
        Next::Perform(step) => step.effects.into_iter().map(|(_, effect)| effect).collect(),
        Next::Ended(ending) => panic!("it has ended: {ending:?}"),
    }
}

fn settled(mut checkout: Checkout, outcomes: Vec<Outcome>) -> Result<Checkout, Impossible> {
    checkout.settle(&Performed::new(outcomes, false)).map(|()| checkout)
}

fn after(checkout: Checkout, outcomes: Vec<Outcome>) -> Checkout {
    settled(checkout, outcomes).unwrap()
}

fn cancelled_after(mut checkout: Checkout, outcomes: Vec<Outcome>) -> Checkout {
    checkout.settle(&Performed::new(outcomes, true)).unwrap();
    checkout
}

pub(crate) fn held(fence: u64, price: Money) -> Outcome {
    Outcome::Line(Ok(LineReply::Claimed { fence, prices: vec![price] }))
}
pub(crate) fn done() -> Outcome {
    Outcome::Line(Ok(LineReply::Done))
}
pub(crate) fn no(ticket: &str, why: TicketRefusal) -> Outcome {
    Outcome::Line(Err(of(ticket, why)))
}
fn of(ticket: &str, why: TicketRefusal) -> SeatMapRefusal {
    SeatMapRefusal { ticket: Some(ticket_id(ticket)), why }
}
pub(crate) fn authorized() -> Outcome {
    Outcome::Paid(PaymentAnswer::Authorize(AuthorizeAnswer::Authorized(AuthorizationId::parse("auth").unwrap())))
}
pub(crate) fn unknown() -> Outcome {
    Outcome::Paid(PaymentAnswer::Authorize(AuthorizeAnswer::Unavailable))
}
pub(crate) fn captured() -> Outcome {
    Outcome::Paid(PaymentAnswer::Capture(CaptureAnswer::Captured(PaymentId::parse("pay").unwrap())))
}
fn slept(millis: u64) -> Outcome {
    Outcome::Slept { at: at(millis) }
}

// Checkouts on their way

pub(crate) fn authorising() -> Checkout {
    after(start(), vec![held(11, usd(100)), held(22, usd(50))])
}
fn confirming() -> Checkout {
    after(authorising(), vec![authorized()])
}
pub(crate) fn capturing() -> Checkout {
    after(confirming(), vec![done(), done()])
}
pub(crate) fn notifying() -> Checkout {
    after(capturing(), vec![captured()])
}

fn revokes() -> Vec<Effect> {
    ["a:1", "b:2"].map(|id| Effect::Line(line(&[id]), revoke_own())).to_vec()
}
fn revoke_own() -> LineCommand {
    LineCommand::Revoke { hold: start().hold(), checkout: checkout_id("c"), deadline: start().deadline() }
}
fn line(tickets: &[&str]) -> Line {
    let seats = Seats::new(tickets.iter().map(|id| ticket_id(id)).collect()).unwrap();
    Line { at: seats.first().map_key(), seats }
}
fn void() -> Effect {
    void_after(false)
}
fn void_after(declined: bool) -> Effect {
    let authorize_key = PaymentKey::authorize(&checkout_id("c"));
    Effect::Pay(Payment::Void(booking_core::payment::Void { authorize_key, declined }))
}
fn voided() -> Outcome {
    Outcome::Paid(PaymentAnswer::Void(VoidAnswer::Voided))
}

/// Undoes everything at the first try, and tells how the checkout failed.
fn failure(checkout: Checkout) -> Failure {
    let outcome = |effect: &Effect| {
        if matches!(effect, Effect::Pay(Payment::Void(_))) { voided() } else { done() }
    };
    let outcomes = effects(&checkout).iter().map(outcome).collect();
    match after(checkout, outcomes).ending() {
        Some(Ending::Failed { failure, money: MoneyState::None }) => failure.clone(),
        other => panic!("it has not failed: {other:?}"),
    }
}

mod forward {
    use super::*;

    #[test]
    fn step_1_holds_every_ticket_under_one_hold_and_this_checkout_side_by_side() {
        let claim = |id: &str| {
            let command = LineCommand::Claim {
                user: user("ann"),
                hold: start().hold(),
                brought: false,
                checkout: checkout_id("c"),
                deadline: at(NOW + 900_000),
                default_price: Some(unit_price()),
            };
            Effect::Line(line(&[id]), command)
        };
        assert_eq!(effects(&start()), [claim("a:1"), claim("b:2")]);
    }

    #[test]
    fn without_a_hold_id_the_checkout_makes_its_own_from_its_checkout_id() {
        assert_eq!(start().hold(), booking_core::HoldId::of_checkout(&checkout_id("c")));
        assert_eq!(start_with(&["a:1"], Some("anns")).hold(), hold_id("anns"));
    }

    #[test]
    fn the_deadline_is_fixed_once_at_the_start_plus_15_minutes() {
        assert_eq!(start().deadline(), at(NOW + 900_000));
        assert_eq!(notifying().deadline(), start().deadline());
    }

    #[test]
    fn step_2_authorises_the_sum_of_the_holds_prices() {
        let [Effect::Pay(Payment::Authorize(request))] = &effects(&authorising())[..] else {
            panic!("no authorisation")
        };
        assert_eq!((request.amount, request.method.as_str()), (usd(150), "card_success"));
        assert_eq!(request.key, PaymentKey::authorize(&checkout_id("c")));
    }

    #[test]
    fn step_3_confirms_every_ticket_with_the_fences_of_step_1() {
        let confirm = |id, fence| {
            let command = LineCommand::Confirm { hold: start().hold(), checkout: checkout_id("c"), fence };
            Effect::Line(line(&[id]), command)
        };
        assert_eq!(effects(&confirming()), [confirm("a:1", 11), confirm("b:2", 22)]);
    }

    #[test]
    fn step_4_captures_the_payment() {
        let [Effect::Pay(Payment::Capture(request))] = &effects(&capturing())[..] else { panic!("no capture") };
        assert_eq!((request.key.as_str(), request.authorization.as_str()), ("c:capture", "auth"));
    }

    #[test]
    fn step_5_notifies_the_buyer_with_a_dedupe_key() {
        let [Effect::Notify(message)] = &effects(&notifying())[..] else { panic!("no notification") };
        assert_eq!((message.key.as_str(), &message.user, message.amount), ("c:notify", &user("ann"), usd(150)));
        assert_eq!(message.tickets, [ticket_id("a:1"), ticket_id("b:2")]);
    }

    #[test]
    fn step_6_is_completed() {
        let checkout = after(notifying(), vec![Outcome::Notified]);
        let completed = Ending::Completed { amount: usd(150), payment: Some(PaymentId::parse("pay").unwrap()) };
        assert_eq!(checkout.next(), Next::Ended(completed));
    }

    #[test]
    fn what_the_buyer_is_told_is_the_same_for_ever_once_it_is_paid_for() {
        let [Effect::Notify(message)] = &effects(&notifying())[..] else { panic!("no notification") };
        assert_eq!(notifying().notification().as_ref(), Some(message));
        assert_eq!(after(notifying(), vec![Outcome::Notified]).notification().as_ref(), Some(message));
        assert_eq!(capturing().notification(), None, "not paid for yet");
    }

    #[test]
    fn every_stage_has_a_name_for_metrics() {
        let refused = after(start(), vec![no("a:1", TicketRefusal::TicketSold), held(1, usd(1))]);
        let way = [start(), authorising(), confirming(), capturing(), notifying(), refused];
        let names = way.map(|checkout| checkout.stage().name());
        assert_eq!(names, ["holding", "authorising", "confirming", "capturing", "notifying", "undoing"]);
        assert_eq!(after(notifying(), vec![Outcome::Notified]).stage().name(), "ended");
    }

    #[test]
    fn the_gateway_performs_what_is_about_the_payment_and_nothing_else() {
        let of = |checkout: Checkout| {
            effects(&checkout).iter().map(|effect| matches!(effect, Effect::Pay(_))).collect::<Vec<_>>()
        };
        assert_eq!(of(start()), [false, false]);
        assert_eq!((of(authorising()), of(capturing()), of(notifying())), (vec![true], vec![true], vec![false]));
        let declined = Outcome::Paid(PaymentAnswer::Capture(CaptureAnswer::Declined(DeclineReason::new("no"))));
        assert_eq!(of(after(capturing(), vec![declined])), [false, false, true], "two revokes, and the void");
    }
}

mod lines {
    use super::*;

    /// Four seats of two maps.
    fn of_two_maps() -> Checkout {
        let tickets = ["a:1", "b:1", "a:2", "b:2"].map(ticket_id).to_vec();
        let method = PaymentMethodId::parse("card_success").unwrap();
        let order = Order::new(tickets, user("ann"), method, Some(hold_id("anns"))).unwrap();
        Checkout::start(checkout_id("c"), order, at(NOW), &Terms::default())
    }

    fn asked(checkout: &Checkout) -> Vec<Line> {
        let line = |effect| if let Effect::Line(line, _) = effect { Some(line) } else { None };
        effects(checkout).into_iter().filter_map(line).collect()
    }

    fn claimed(fence: u64, prices: [u64; 2]) -> Outcome {
        Outcome::Line(Ok(LineReply::Claimed { fence, prices: prices.map(usd).to_vec() }))
    }

    #[test]
    fn the_seats_of_one_map_are_claimed_confirmed_and_revoked_together() {
        let lines = [line(&["a:1", "a:2"]), line(&["b:1", "b:2"])];
        assert_eq!(of_two_maps().lines(), lines);
        assert_eq!(asked(&of_two_maps()), lines);
        let authorising = after(of_two_maps(), vec![claimed(7, [1, 2]), claimed(9, [4, 8])]);
        let Stage::Authorising { fences, amount, .. } = authorising.stage() else { panic!() };
        assert_eq!((&fences[..], *amount), (&[7, 9][..], usd(15)));
        let confirming = after(authorising, vec![authorized()]);
        assert_eq!(asked(&confirming), lines);
        let fence = |effect| match effect {
            Effect::Line(_, LineCommand::Confirm { fence, .. }) => Some(fence),
            _ => None,
        };
        assert_eq!(effects(&confirming).into_iter().map(fence).collect::<Vec<_>>(), [Some(7), Some(9)]);
        let back = after(confirming, vec![done(), no("b:2", TicketRefusal::HoldExpired)]);
        assert_eq!(asked(&back), lines);
        assert_eq!(effects(&back).last(), Some(&void()));
        let ended = after(back, vec![done(), done(), voided()]);
        let failure = Failure::ConfirmRefused(of("b:2", TicketRefusal::HoldExpired));
        assert_eq!(ended.ending(), Some(&Ending::Failed { failure, money: MoneyState::None }));
    }

    #[test]
    fn a_claim_says_whether_the_buyer_brought_the_hold() {
        let brought = |checkout: &Checkout| match effects(checkout).swap_remove(0) {
            Effect::Line(_, LineCommand::Claim { brought, hold, .. }) => (brought, hold),
            other => panic!("{other:?}"),
        };
        assert_eq!(brought(&of_two_maps()), (true, hold_id("anns")));
        assert_eq!(brought(&start()), (false, start().hold()));
    }

    #[test]
    fn a_claim_that_is_answered_with_fewer_prices_than_seats_does_not_fit() {
        let none = Outcome::Line(Ok(LineReply::Claimed { fence: 7, prices: Vec::new() }));
        assert!(matches!(settled(of_two_maps(), vec![claimed(7, [1, 2]), none]), Err(Impossible::Kind { .. })));
    }
}

mod for_nothing {
    use super::*;

    fn confirming() -> Checkout {
        after(start(), vec![held(11, usd(0)), held(22, usd(0))])
    }

    #[test]
    fn the_gateway_is_not_asked() {
        assert!(matches!(confirming().stage(), Stage::Confirming { authorization: None, .. }));
        let notifying = after(confirming(), vec![done(), done()]);
        let [Effect::Notify(message)] = &effects(&notifying)[..] else { panic!("no message") };
        assert_eq!((message.amount, &message.payment), (usd(0), &None));
        let ended = after(notifying, vec![Outcome::Notified]);
        assert_eq!(ended.ending(), Some(&Ending::Completed { amount: usd(0), payment: None }));
    }

    #[test]
    fn nothing_is_voided_on_the_way_back() {
        let refused = after(confirming(), vec![done(), no("b:2", TicketRefusal::HoldExpired)]);
        assert_eq!(effects(&refused), revokes());
        assert_eq!(effects(&cancelled_after(start(), vec![held(1, usd(0)), held(2, usd(0))])), revokes());
        assert_eq!(effects(&cancelled_after(confirming(), vec![done(), done()])), revokes());
    }

    #[test]
    fn one_seat_that_costs_something_is_paid_for() {
        let checkout = after(start(), vec![held(1, usd(0)), held(2, usd(1))]);
        assert!(matches!(checkout.stage(), Stage::Authorising { amount, .. } if *amount == usd(1)));
    }
}

mod backward {
    use super::*;

    #[test]
    fn a_ticket_that_refuses_the_hold_revokes_all_its_tickets_the_refused_ones_too() {
        let checkout = after(start(), vec![held(1, usd(100)), no("b:2", TicketRefusal::TicketSold)]);
        assert_eq!(effects(&checkout), revokes(), "and voids nothing: no authorisation was asked for");
        let expected = Failure::HoldRefused(of("b:2", TicketRefusal::TicketSold));
        assert_eq!(failure(checkout), expected, "the caller gets that refusal");
    }

    #[test]
    fn only_one_that_was_refused_its_seats_and_is_over_is_one_that_was_refused() {
        let undone = |checkout: Checkout| {
            let revoked = vec![done(); effects(&checkout).len()];
            CheckoutProgress::start(after(checkout, revoked))
        };
        let refused = after(start(), vec![held(1, usd(100)), no("b:2", TicketRefusal::TicketSold)]);
        assert!(!CheckoutProgress::start(refused.clone()).was_refused(), "it gives its seats back yet");
        let usual = Millis::from_mins(60);
        let refused = undone(refused);
        assert!(refused.was_refused());
        assert_eq!((refused.kept_for(false, usual), refused.kept_for(true, usual)), (Terms::KEEP_REFUSED, usual));
        assert_eq!(refused.kept_for(false, Millis(1)), Millis(1));
        assert_eq!(CheckoutProgress::start(after(notifying(), vec![Outcome::Notified])).kept_for(false, usual), usual);
        assert!(!undone(cancelled_after(start(), vec![held(1, usd(0)), held(2, usd(0))])).was_refused());
        assert!(!CheckoutProgress::start(after(notifying(), vec![Outcome::Notified])).was_refused());
    }

    #[test]
    fn declined_revokes_and_voids() {
        let reason = DeclineReason::new("Insufficient funds");
        let checkout = after(
            authorising(),
            vec![Outcome::Paid(PaymentAnswer::Authorize(AuthorizeAnswer::Declined(reason.clone())))],
        );
        assert_eq!(effects(&checkout), [revokes(), vec![void_after(true)]].concat());
        assert_eq!(failure(checkout), Failure::PaymentDeclined(reason));
    }

    #[test]
    fn still_unknown_after_the_last_attempt_voids_and_revokes() {
        let mut checkout = authorising();
        let mut waits = Vec::new();
        for _ in 1..5 {
            checkout = after(checkout, vec![unknown()]);
            let [Effect::Sleep(wait)] = effects(&checkout)[..] else { panic!("no wait") };
            waits.push(wait.0);
            checkout = after(checkout, vec![slept(NOW + 10)]);
        }
        assert_eq!(waits, [200, 400, 800, 1600]);
        let checkout = after(checkout, vec![unknown()]);
        assert_eq!(effects(&checkout), [vec![void()], revokes()].concat());
        assert_eq!(failure(checkout), Failure::PaymentUnavailable);
    }

    #[test]
    fn a_reused_key_voids_and_revokes() {
        let checkout = after(authorising(), vec![Outcome::Paid(PaymentAnswer::Authorize(AuthorizeAnswer::KeyReused))]);
        assert_eq!(effects(&checkout), [vec![void()], revokes()].concat());
        assert_eq!(failure(checkout), Failure::PaymentUnavailable);
    }

    #[test]
    fn a_confirm_that_is_refused_for_whatever_reason_revokes_and_voids() {
        use TicketRefusal::{HoldExpired, HoldNotFound, TicketBlocked, TicketSold};
        for refusal in [HoldExpired, HoldNotFound, TicketBlocked, TicketSold] {
            let checkout = after(confirming(), vec![done(), no("b:2", refusal)]);
            assert_eq!(effects(&checkout), [revokes(), vec![void()]].concat());
            assert_eq!(failure(checkout), Failure::ConfirmRefused(of("b:2", refusal)));
        }
    }

    #[test]
    fn a_capture_that_is_definitively_refused_revokes_and_voids() {
        let reason = DeclineReason::new("Capture refused");
        let checkout =
            after(capturing(), vec![Outcome::Paid(PaymentAnswer::Capture(CaptureAnswer::Declined(reason.clone())))]);
        assert_eq!(effects(&checkout), [revokes(), vec![void()]].concat());
        assert_eq!(failure(checkout), Failure::CaptureRefused(reason));
    }

    #[test]
    fn prices_in_two_currencies_revoke() {
        let euros = Money::new(1, "EUR".parse().unwrap()).unwrap();
        let checkout = after(start(), vec![held(1, usd(100)), held(2, euros)]);
        assert_eq!(effects(&checkout), revokes());
        assert_eq!(failure(checkout), Failure::NoAmount(NoAmount::MixedCurrencies));
    }

    #[test]
    fn prices_beyond_all_money_revoke() {
        let most = usd((1 << 53) - 1);
        let checkout = after(start(), vec![held(1, most), held(2, most)]);
        assert_eq!(failure(checkout), Failure::NoAmount(NoAmount::TooMuch));
    }

    #[test]
    fn each_undo_is_retried_until_it_is_answered_and_none_is_done_twice_for_that() {
        let mut checkout = after(confirming(), vec![no("a:1", TicketRefusal::HoldExpired), done()]);
        checkout = after(checkout, vec![done(), done(), Outcome::Paid(PaymentAnswer::Void(VoidAnswer::Unavailable))]);
        for wait in [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000] {
            let [Effect::Sleep(length)] = effects(&checkout)[..] else { panic!("no wait") };
            assert_eq!(length.0, wait);
            checkout = after(checkout, vec![slept(u64::MAX)]);
            assert_eq!(effects(&checkout), [void()], "the seats are back already");
            checkout = after(checkout, vec![Outcome::Paid(PaymentAnswer::Void(VoidAnswer::Unavailable))]);
        }
        checkout = after(checkout, vec![slept(u64::MAX)]);
        assert!(after(checkout, vec![voided()]).ending().is_some());
    }

    #[test]
    fn an_undo_cannot_be_refused() {
        let checkout = after(start(), vec![held(1, usd(1)), no("b:2", TicketRefusal::TicketSold)]);
        let refused = settled(checkout, vec![done(), no("b:2", TicketRefusal::TicketSold)]);
        assert!(matches!(refused, Err(Impossible::Kind { op }) if op.index == 1));
    }
}

mod the_buyer_is_told {
    use super::*;

    fn unanswered() -> Outcome {
        Outcome::Paid(PaymentAnswer::Void(VoidAnswer::Unavailable))
    }

    fn declined() -> Checkout {
        let reason = DeclineReason::new("no");
        after(authorising(), vec![Outcome::Paid(PaymentAnswer::Authorize(AuthorizeAnswer::Declined(reason)))])
    }

    fn capture_refused() -> Checkout {
        let reason = DeclineReason::new("no");
        after(capturing(), vec![Outcome::Paid(PaymentAnswer::Capture(CaptureAnswer::Declined(reason)))])
    }

    fn told(running: &CheckoutProgress) -> Option<(Failure, MoneyState)> {
        running.told().map(|ending| match ending {
            Ending::Failed { failure, money } => (failure, money),
            Ending::Completed { .. } => panic!("{ending:?}"),
        })
    }

    /// Lets go of the seats, but not yet of the money. Checks what the buyer can learn before and after that.
    fn seats_let_go(checkout: Checkout) -> (CheckoutProgress, MoneyState) {
        let mut running = CheckoutProgress::start(checkout);
        let mut pending = running.pending();
        pending.retain(|(_, effect)| matches!(effect, Effect::Line(..)));
        for (op, _) in pending {
            assert_eq!(told(&running), None, "a seat is still theirs");
            assert_eq!(running.record(&op, done()), Ok(Recorded::Waiting));
        }
        let (_, money) = told(&running).expect("every seat is back");
        (running, money)
    }

    #[test]
    fn as_soon_as_the_seats_are_back_while_the_money_is_still_let_go_of() {
        let key_reused = Outcome::Paid(PaymentAnswer::Authorize(AuthorizeAnswer::KeyReused));
        let confirm_refused = after(confirming(), vec![no("a:1", TicketRefusal::HoldExpired), done()]);
        for checkout in [capture_refused(), after(authorising(), vec![key_reused]), confirm_refused] {
            let (mut running, money) = seats_let_go(checkout);
            assert_eq!(money, MoneyState::LettingGo);
            let first = told(&running);
            let (op, _) = running.pending().remove(0);
            assert_eq!(running.record(&op, unanswered()), Ok(Recorded::Step));
            assert_eq!((told(&running), running.ending()), (first, None), "and so it stays");
            let wait = running.pending().remove(0).0;
            assert_eq!(running.record(&wait, slept(u64::MAX)), Ok(Recorded::Step));
            let again = running.pending().remove(0).0;
            assert_eq!(running.record(&again, voided()), Ok(Recorded::Step));
            assert_eq!(told(&running).map(|(_, money)| money), Some(MoneyState::None));
            assert!(running.ending().is_some());
        }
    }

    #[test]
    fn that_a_declined_card_leaves_nothing_set_aside() {
        assert_eq!(effects(&declined()).last(), Some(&void_after(true)));
        assert_eq!(effects(&capture_refused()).last(), Some(&void_after(false)));
        let (running, money) = seats_let_go(declined());
        assert_eq!((money, running.ending()), (MoneyState::None, None));
    }

    #[test]
    fn that_what_was_taken_has_been_paid_back() {
        let paid_back = Outcome::Paid(PaymentAnswer::Void(VoidAnswer::PaidBack));
        let ended = after(capture_refused(), vec![done(), done(), paid_back]);
        assert!(matches!(ended.told(), Some(Ending::Failed { money: MoneyState::PaidBack, .. })));
    }

    #[test]
    fn nothing_before_it_is_certain() {
        for checkout in [start(), authorising(), confirming(), capturing(), notifying(), declined()] {
            assert_eq!(checkout.told(), None, "{:?}", checkout.stage());
            assert_eq!(CheckoutProgress::start(checkout).told(), None);
        }
    }

    #[test]
    fn by_a_host_that_lets_go_of_the_money_beside_it() {
        let (seats, money) = capture_refused().seats_and_money().expect("there is money to let go of");
        assert_eq!((effects(&seats), effects(&money)), (revokes(), vec![void()]));
        let ended = after(seats.clone(), vec![done(), done()]);
        assert!(matches!(ended.ending(), Some(Ending::Failed { money: MoneyState::LettingGo, .. })));
        let waiting = after(money.clone(), vec![unanswered()]);
        let ended = after(after(waiting, vec![slept(u64::MAX)]), vec![voided()]);
        assert!(matches!(ended.ending(), Some(Ending::Failed { money: MoneyState::None, .. })));
        assert_eq!(
            [seats.seats_and_money(), money.seats_and_money(), capturing().seats_and_money()],
            [None, None, None]
        );
        let refused = after(start(), vec![held(1, usd(1)), no("b:2", TicketRefusal::TicketSold)]);
        assert_eq!(refused.seats_and_money(), None, "nothing was ever asked for");
        let (seats, _) = declined().seats_and_money().expect("it is voided all the same");
        assert!(matches!(
            after(seats, vec![done(), done()]).ending(),
            Some(Ending::Failed { money: MoneyState::None, .. })
        ));
    }
}

mod an_operators_word {
    use super::*;
    use booking_core::progress::{NotInVain, Resolution};

    fn captured_as(payment: &str) -> Resolution {
        Resolution::Captured(PaymentId::parse(payment).unwrap())
    }

    fn refused() -> Resolution {
        Resolution::Refused(DeclineReason::new("no"))
    }

    fn capture_unknown() -> Checkout {
        after(capturing(), vec![Outcome::Paid(PaymentAnswer::Capture(CaptureAnswer::Unavailable))])
    }

    fn void_unknown() -> Checkout {
        let back = after(confirming(), vec![no("a:1", TicketRefusal::HoldExpired), done()]);
        after(back, vec![done(), done(), Outcome::Paid(PaymentAnswer::Void(VoidAnswer::Unavailable))])
    }

    /// What becomes of a checkout when that is said.
    fn said(checkout: Checkout, resolution: &Resolution) -> Result<CheckoutProgress, NotInVain> {
        let mut running = CheckoutProgress::start(checkout);
        let before = running.clone();
        let outcomes = running.resolve(resolution, at(NOW))?;
        assert_eq!(running, before, "it changes nothing itself");
        for (op, outcome) in outcomes {
            assert_eq!(running.record(&op, outcome), Ok(Recorded::Step));
        }
        Ok(running)
    }

    #[test]
    fn ends_what_was_asked_in_vain_whether_it_waits_or_asks_again() {
        for checkout in [capture_unknown(), after(capture_unknown(), vec![slept(NOW)])] {
            assert_eq!(CheckoutProgress::start(checkout.clone()).failed_attempts(), 1);
            let booked = said(checkout.clone(), &captured_as("pay-1")).unwrap();
            assert!(matches!(booked.checkout().stage(), Stage::Notifying { payment: Some(_), .. }));
            let back = said(checkout, &refused()).unwrap();
            assert!(matches!(back.checkout().stage(), Stage::Undoing { failure: Failure::CaptureRefused(_), .. }));
        }
        for checkout in [void_unknown(), after(void_unknown(), vec![slept(NOW)])] {
            for (resolution, money) in
                [(Resolution::LetGo, MoneyState::None), (Resolution::PaidBack, MoneyState::PaidBack)]
            {
                let ended = said(checkout.clone(), &resolution).unwrap();
                assert!(matches!(ended.ending(), Some(Ending::Failed { money: is, .. }) if *is == money));
            }
        }
    }

    #[test]
    fn is_not_taken_for_what_was_not_asked_in_vain() {
        let all = [captured_as("pay-1"), refused(), Resolution::LetGo, Resolution::PaidBack];
        let authorising_in_vain = after(authorising(), vec![unknown()]);
        for checkout in [start(), authorising(), authorising_in_vain, confirming(), capturing(), notifying()] {
            for resolution in &all {
                assert_eq!(said(checkout.clone(), resolution), Err(NotInVain), "{:?}", checkout.stage());
            }
        }
        for resolution in &all[2..] {
            assert_eq!(said(capture_unknown(), resolution), Err(NotInVain));
        }
        for resolution in &all[..2] {
            assert_eq!(said(void_unknown(), resolution), Err(NotInVain));
        }
    }

    #[test]
    fn that_comes_again_is_known_by_how_the_checkout_stands() {
        let is =
            |checkout: Checkout, resolution: &Resolution| CheckoutProgress::start(checkout).is_resolved(resolution);
        let booked = after(notifying(), vec![Outcome::Notified]);
        for checkout in [notifying(), booked.clone()] {
            assert!(is(checkout.clone(), &captured_as("pay")));
            assert!(!is(checkout.clone(), &captured_as("pay-2")), "that was another payment");
            for other in [refused(), Resolution::LetGo, Resolution::PaidBack] {
                assert!(!is(checkout.clone(), &other));
            }
        }
        let declined = CaptureAnswer::Declined(DeclineReason::new("no"));
        let back = after(capturing(), vec![Outcome::Paid(PaymentAnswer::Capture(declined))]);
        let ended = |void| after(back.clone(), vec![done(), done(), Outcome::Paid(PaymentAnswer::Void(void))]);
        assert!(is(back.clone(), &refused()) && is(ended(VoidAnswer::Voided), &refused()));
        assert!(!is(capturing(), &refused()) && !is(void_unknown(), &refused()), "its capture was not refused");
        assert!(is(ended(VoidAnswer::Voided), &Resolution::LetGo));
        assert!(!is(ended(VoidAnswer::Voided), &Resolution::PaidBack));
        assert!(is(ended(VoidAnswer::PaidBack), &Resolution::PaidBack));
        assert!(!is(ended(VoidAnswer::PaidBack), &Resolution::LetGo));
        for nothing_yet in [capture_unknown(), void_unknown(), back.clone(), ended(VoidAnswer::Voided)] {
            assert!(!is(nothing_yet, &captured_as("pay")));
        }
    }
}

mod the_cause {
    use super::*;

    #[test]
    fn is_the_first_in_the_inputs_ticket_order_never_in_order_of_arrival() {
        let checkout = start();
        let op = |index| Op { checkout: checkout_id("c"), step: 0, index };
        let mut running = CheckoutProgress::start(checkout);
        assert_eq!(running.record(&op(1), no("b:2", TicketRefusal::TicketSold)), Ok(Recorded::Waiting));
        assert_eq!(running.record(&op(0), no("a:1", TicketRefusal::TicketBlocked)), Ok(Recorded::Step));
        let expected = Failure::HoldRefused(of("a:1", TicketRefusal::TicketBlocked));
        assert_eq!(failure(running.checkout().clone()), expected);
    }

    #[test]
    fn is_that_of_the_earliest_step() {
        let refusal = TicketRefusal::HoldExpired;
        let checkout = after(confirming(), vec![no("a:1", refusal), no("b:2", TicketRefusal::TicketSold)]);
        let checkout =
            after(checkout, vec![done(), done(), Outcome::Paid(PaymentAnswer::Void(VoidAnswer::Unavailable))]);
        let checkout = after(checkout, vec![slept(u64::MAX)]);
        assert_eq!(failure(checkout), Failure::ConfirmRefused(of("a:1", refusal)));
    }

    #[test]
    fn a_refusal_comes_before_mixed_currencies_of_the_same_step() {
        let checkout = start_with(&["a:1", "b:2", "c:3"], None);
        let euros = Money::new(1, "EUR".parse().unwrap()).unwrap();
        let checkout = after(checkout, vec![held(1, usd(1)), held(1, euros), no("c:3", TicketRefusal::TicketSold)]);
        assert!(matches!(failure(checkout), Failure::HoldRefused(_)));
    }
}

mod unknown_is_not_no {
    use super::*;

    #[test]
    fn an_unknown_authorisation_is_asked_for_again_with_the_same_key() {
        let first = effects(&authorising());
        let again = after(after(authorising(), vec![unknown()]), vec![slept(NOW + 200)]);
        assert_eq!(effects(&again), first);
        assert!(matches!(after(again, vec![authorized()]).stage(), Stage::Confirming { .. }));
    }

    #[test]
    fn no_attempt_is_made_after_the_deadline() {
        let waiting = after(authorising(), vec![unknown()]);
        let deadline = waiting.deadline().as_millis();
        let still = after(waiting.clone(), vec![slept(deadline - 1)]);
        assert!(matches!(effects(&still)[..], [Effect::Pay(Payment::Authorize(_))]));
        assert_eq!(failure(after(waiting, vec![slept(deadline)])), Failure::PaymentUnavailable);
    }

    #[test]
    fn an_unknown_capture_is_asked_for_again_without_end_but_a_cap_on_the_wait() {
        let mut checkout = capturing();
        let first = effects(&checkout);
        for i in 0..1000 {
            assert_eq!(effects(&checkout), first, "the same key, for ever");
            checkout = after(checkout, vec![Outcome::Paid(PaymentAnswer::Capture(CaptureAnswer::Unavailable))]);
            let [Effect::Sleep(wait)] = effects(&checkout)[..] else { panic!("no wait") };
            assert_eq!(wait.0, if i < 9 { 200 << i } else { 60_000 });
            checkout = after(checkout, vec![slept(u64::MAX)]);
        }
        assert!(matches!(after(checkout, vec![captured()]).stage(), Stage::Notifying { .. }));
    }
}

mod cancel {
    use super::*;

    #[test]
    fn takes_effect_at_the_end_of_a_step_and_starts_the_way_back() {
        let after_hold = cancelled_after(start(), vec![held(1, usd(1)), held(2, usd(1))]);
        assert_eq!(effects(&after_hold), revokes(), "no authorisation was ever asked for");
        let after_unknown = cancelled_after(authorising(), vec![unknown()]);
        assert_eq!(effects(&after_unknown), [revokes(), vec![void()]].concat());
        let after_authorise = cancelled_after(authorising(), vec![authorized()]);
        assert_eq!(effects(&after_authorise), [revokes(), vec![void()]].concat());
        let after_confirm = cancelled_after(confirming(), vec![done(), done()]);
        assert_eq!(effects(&after_confirm), [revokes(), vec![void()]].concat());
        for checkout in [after_hold, after_unknown, after_authorise, after_confirm] {
            assert_eq!(failure(checkout), Failure::Cancelled);
        }
    }

    #[test]
    fn does_not_hide_the_cause_of_a_step_that_failed() {
        let checkout = cancelled_after(start(), vec![held(1, usd(1)), no("b:2", TicketRefusal::TicketSold)]);
        assert!(matches!(failure(checkout), Failure::HoldRefused(_)));
    }

    #[test]
    fn is_refused_once_capture_has_been_asked_for() {
        let mut running = CheckoutProgress::start(capturing());
        assert_eq!(running.cancel(), Err(CancelRefusal::CaptureAsked));
        assert!(matches!(cancelled_after(capturing(), vec![captured()]).stage(), Stage::Notifying { .. }));
        let unknown =
            cancelled_after(capturing(), vec![Outcome::Paid(PaymentAnswer::Capture(CaptureAnswer::Unavailable))]);
        assert!(matches!(unknown.stage(), Stage::Capturing { .. }));
        assert_eq!(CheckoutProgress::start(notifying()).cancel(), Err(CancelRefusal::CaptureAsked));
        assert_eq!(
            CheckoutProgress::start(after(notifying(), vec![Outcome::Notified])).cancel(),
            Err(CancelRefusal::Ended)
        );
    }

    #[test]
    fn asked_twice_is_asked_once() {
        let mut running = CheckoutProgress::start(start());
        assert_eq!((running.cancel(), running.cancel()), (Ok(()), Ok(())));
        let op = |index| Op { checkout: checkout_id("c"), step: 0, index };
        assert_eq!(running.record(&op(0), held(1, usd(1))), Ok(Recorded::Waiting));
        assert_eq!(running.record(&op(1), held(1, usd(1))), Ok(Recorded::Step));
        assert_eq!(running.cancel(), Ok(()), "it is on its way back already");
        assert_eq!(failure(running.checkout().clone()), Failure::Cancelled);
    }
}

mod forgotten_by_its_host {
    use super::*;

    #[test]
    fn it_lets_go_of_every_seat_and_of_the_money_under_names_of_their_own() {
        let lost = start().compensated();
        assert_eq!(effects(&lost), [revokes(), vec![void()]].concat());
        assert!(lost.step() > 1_000_000, "no effect has the name of another");
        assert_eq!(failure(lost), Failure::Cancelled);
    }
}

mod the_order {
    use super::*;

    fn order(ids: impl IntoIterator<Item = String>) -> Result<Order, OrderError> {
        let tickets: Vec<TicketId> = ids.into_iter().map(|id| ticket_id(&id)).collect();
        Order::new(tickets, user("ann"), PaymentMethodId::parse("card_success").unwrap(), None)
    }

    #[test]
    fn has_1_to_10_tickets() {
        assert_eq!(order([]), Err(OrderError::NoTicket));
        assert!(order((0..10).map(|i| format!("s{i}"))).is_ok());
        assert_eq!(order((0..11).map(|i| format!("s{i}"))), Err(OrderError::TooManyTickets));
    }

    #[test]
    fn is_what_the_buyer_asked_for() {
        let order = start_with(&["b:2", "a:1"], Some("anns")).order().clone();
        assert_eq!(order.tickets(), [ticket_id("b:2"), ticket_id("a:1")]);
        assert_eq!((order.user(), order.method().as_str()), (&user("ann"), "card_success"));
        assert_eq!(order.hold(), Some(&hold_id("anns")));
        assert_eq!(start().order().hold(), None);
    }

    #[test]
    fn has_no_ticket_twice() {
        let twice = order(["a", "b", "a"].map(String::from));
        assert_eq!(twice, Err(OrderError::DuplicateTicket(ticket_id("a"))));
        assert_eq!(order((0..11).map(|_| "a".into())), Err(OrderError::TooManyTickets), "too many comes first");
    }

    #[test]
    fn keeps_these_rules_when_it_is_read_from_storage() {
        let stored = serde_json::to_string(&order(["a".into()]).unwrap()).unwrap();
        assert!(serde_json::from_str::<Order>(&stored).is_ok());
        assert!(serde_json::from_str::<Order>(&stored.replace(r#"["a"]"#, r#"["a","a"]"#)).is_err());
    }
}

mod outcomes {
    use super::*;

    #[test]
    fn come_once_each_and_a_step_ends_when_every_effect_has_one() {
        let op = |step, index| Op { checkout: checkout_id("c"), step, index };
        let mut running = CheckoutProgress::start(start());
        assert_eq!(running.record(&op(0, 1), held(2, usd(1))), Ok(Recorded::Waiting));
        assert_eq!(
            running.record(&op(0, 1), no("b:2", TicketRefusal::TicketSold)),
            Ok(Recorded::Stale),
            "the first stands"
        );
        assert_eq!(running.pending().len(), 1);
        assert_eq!(running.record(&op(0, 0), held(1, usd(1))), Ok(Recorded::Step));
        assert_eq!(running.record(&op(0, 0), held(9, usd(9))), Ok(Recorded::Stale), "late");
        assert!(matches!(running.checkout().stage(), Stage::Authorising { fences, .. } if *fences == [1, 2]));
    }

    #[test]
    fn that_do_not_fit_are_for_a_person_and_change_nothing() {
        let op = |step, index| Op { checkout: checkout_id("c"), step, index };
        let mut running = CheckoutProgress::start(authorising());
        let before = running.clone();
        assert!(matches!(running.record(&op(1, 0), captured()), Err(Impossible::Kind { .. })));
        assert!(matches!(running.record(&op(1, 1), authorized()), Err(Impossible::Stray { .. })));
        assert!(matches!(running.record(&op(2, 0), authorized()), Err(Impossible::Stray { .. })));
        let another = Op { checkout: checkout_id("c2"), step: 1, index: 0 };
        assert!(matches!(running.record(&another, authorized()), Err(Impossible::Stray { .. })));
        assert_eq!(running, before);
        assert!(matches!(settled(start(), vec![done()]), Err(Impossible::Count { outcomes: 1, .. })));
        assert!(matches!(settled(start(), vec![done(), done()]), Err(Impossible::Kind { .. })));
        let ended = after(notifying(), vec![Outcome::Notified]);
        assert!(matches!(settled(ended.clone(), vec![Outcome::Notified]), Err(Impossible::Stray { .. })));
        let mut ended = CheckoutProgress::start(ended);
        assert!(matches!(ended.ending(), Some(Ending::Completed { .. })));
        assert_eq!(ended.record(&op(5, 0), Outcome::Notified), Ok(Recorded::Stale), "it is over, this is late");
    }

    #[test]
    fn of_another_kind_are_refused_when_they_come_not_when_the_step_ends() {
        let op = |step, index| Op { checkout: checkout_id("c"), step, index };
        let mut running = CheckoutProgress::start(start());
        assert_eq!(running.record(&op(0, 0), done()), Err(Impossible::Kind { op: op(0, 0) }));
        assert_eq!(running.pending().len(), 2, "and the right one may still come");
        let mut undoing =
            CheckoutProgress::start(after(confirming(), vec![no("a:1", TicketRefusal::HoldExpired), done()]));
        assert_eq!(undoing.record(&op(3, 0), voided()), Err(Impossible::Kind { op: op(3, 0) }), "a revoke");
        assert_eq!(undoing.record(&op(3, 2), done()), Err(Impossible::Kind { op: op(3, 2) }), "the void");
        assert_eq!(undoing.record(&op(3, 2), voided()), Ok(Recorded::Waiting));
    }

    #[test]
    fn of_every_stage_are_of_its_effects_kind() {
        let all = [done(), authorized(), captured(), voided(), slept(NOW), Outcome::Notified];
        let undoing = after(authorising(), vec![Outcome::Paid(PaymentAnswer::Authorize(AuthorizeAnswer::KeyReused))]);
        let waiting =
            after(undoing.clone(), vec![Outcome::Paid(PaymentAnswer::Void(VoidAnswer::Unavailable)), done(), done()]);
        let one_effect = [
            (authorising(), authorized()),
            (after(authorising(), vec![unknown()]), slept(NOW)),
            (capturing(), captured()),
            (after(capturing(), vec![Outcome::Paid(PaymentAnswer::Capture(CaptureAnswer::Unavailable))]), slept(NOW)),
            (notifying(), Outcome::Notified),
            (waiting.clone(), slept(NOW)),
        ];
        for (checkout, fits) in one_effect {
            for outcome in &all {
                let settled = settled(checkout.clone(), vec![outcome.clone()]);
                assert_eq!(settled.is_ok(), *outcome == fits, "{:?} after {outcome:?}", checkout.stage());
            }
        }
    }
}

#[test]
fn a_checkout_that_turns_back_is_parted_into_its_seats_and_its_money() {
    assert_eq!(confirming().seats_and_money(), None, "it is on its way forward");
    let no_hold = || no("b:2", TicketRefusal::HoldExpired);
    let back = after(confirming(), vec![done(), no_hold()]);
    let (seats, money) = back.seats_and_money().expect("money is set aside");
    assert_eq!((effects(&seats), effects(&money)), (revokes(), vec![void()]));
    // Each half continues under step numbers that the other never has.
    assert_eq!((seats.step(), money.step()), (back.step(), back.step() + (1 << 30)));
    assert_eq!((seats.seats_and_money(), money.seats_and_money()), (None, None), "once");
    let nothing_to_let_go_of = after(start(), vec![no("a:1", TicketRefusal::TicketSold), held(1, usd(100))]);
    assert_eq!(nothing_to_let_go_of.seats_and_money(), None);
}

#[test]
fn every_effect_has_the_same_name_on_each_replay() {
    let names = |checkout: &Checkout| match checkout.next() {
        Next::Perform(step) => step.effects.iter().map(|(op, _)| op.to_string()).collect::<Vec<_>>(),
        Next::Ended(_) => Vec::new(),
    };
    assert_eq!(names(&start()), ["c/0/0", "c/0/1"]);
    assert_eq!(names(&confirming()), ["c/2/0", "c/2/1"]);
    assert_eq!(names(&confirming()), names(&confirming()));
}
