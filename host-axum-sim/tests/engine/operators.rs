//! What operators do about checkouts, and what a reset may take away.

use booking_core::effect::Outcome;
use booking_core::life::NotificationStatus;
use booking_core::wire::{Answer, Door};
use host_axum_sim::engine::{Input, Notifier, Settings};
use serde_json::{Value, json};

use crate::rig::{Rig, order, outside};

fn body(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap()
}

/// A checkout of one ticket, whose capture is asked for; its address.
fn capturing(rig: &mut Rig, ticket: &str) -> String {
    let sent = rig.asks("/Checkout/process/send", &order(&[ticket], "card_success"));
    rig.pay();
    rig.store_all();
    assert_eq!(rig.performing.len(), 1, "the capture");
    format!("/Checkout/{}", body(&sent)["checkoutId"].as_str().unwrap())
}

/// The gateway does not answer what it was asked last.
fn nothing(rig: &mut Rig) {
    let (op, payment) = rig.performing.pop().unwrap();
    rig.hand(Input::Outcome(op, Outcome::Paid(payment.unanswered())));
    rig.store_all();
}

fn status(rig: &mut Rig, checkout: &str) -> Value {
    let caller = rig.call(Door::Public, "GET", checkout, "", None);
    rig.store_all();
    body(&rig.answers[&caller])
}

fn stuck(rig: &mut Rig) -> Vec<Value> {
    body(&rig.asks("/Checkout/list/stuck", ""))["checkouts"].as_array().unwrap().clone()
}

fn resolve(rig: &mut Rig, checkout: &str, outcome: &str, payment: Option<&str>) -> Value {
    let known = json!({ "outcome": outcome, "paymentId": payment, "reason": "seen at the gateway" });
    body(&rig.asks(&format!("{checkout}/resolve"), &known.to_string()))
}

#[test]
fn a_capture_that_is_never_answered_is_ended_by_an_operators_word() {
    let mut rig = Rig::new(outside());
    let checkout = capturing(&mut rig, "a:1");
    assert_eq!(stuck(&mut rig), [] as [Value; 0], "it has only just asked");
    assert_eq!(resolve(&mut rig, &checkout, "captured", Some("pay-1"))["kind"], "CheckoutInProgress");
    nothing(&mut rig);
    let [one] = &stuck(&mut rig)[..] else { panic!("it waits in vain") };
    let seen = ["stage", "waitsFor", "status", "inVain", "money"].map(|field| one[field].clone());
    assert_eq!(seen, [json!("capturing"), json!("gateway"), json!("PENDING"), json!(1), Value::Null]);
    assert_eq!((&one["tickets"], &one["amount"]["minor"]), (&json!(["a:1"]), &json!(10_000)));
    assert_eq!(resolve(&mut rig, &checkout, "letGo", None)["kind"], "CheckoutInProgress", "it is not on its way back");
    let cancelled = rig.asks(&format!("{checkout}/cancel"), r#"{"reason":"the buyer has called"}"#);
    assert_eq!(body(&cancelled)["kind"], "CheckoutInProgress", "its money may be taken");

    rig.crash();
    let end = resolve(&mut rig, &checkout, "captured", Some("pay-1"));
    assert_eq!((&end["status"], &end["paymentId"]), (&json!("CONFIRMED"), &json!("pay-1")));
    assert_eq!(resolve(&mut rig, &checkout, "captured", Some("pay-1")), end, "once more is once");
    assert_eq!(stuck(&mut rig), [] as [Value; 0]);
    assert_eq!(resolve(&mut rig, &checkout, "captured", Some("pay-2"))["kind"], "CheckoutInProgress", "it is over");
    // The wait that was cut short ends for nothing, and what the gateway says at last comes too late.
    rig.performing.clear();
    rig.rest();
    rig.crash();
    assert_eq!(status(&mut rig, &checkout)["paymentId"], "pay-1");
}

#[test]
fn a_payment_that_was_refused_and_then_let_go_is_ended_by_two_words() {
    let mut rig = Rig::new(outside());
    let checkout = capturing(&mut rig, "a:1");
    nothing(&mut rig);
    let told = resolve(&mut rig, &checkout, "refused", None);
    let seen = ["status", "kind", "money"].map(|field| told[field].clone());
    assert_eq!(seen, [json!("FAILED"), json!("PaymentDeclined"), json!("lettingGo")]);
    assert!(
        told["message"].as_str().unwrap().ends_with("The payment was refused"),
        "what operators write is for operators: {told}"
    );
    assert_eq!(resolve(&mut rig, &checkout, "refused", None), told, "once more is once");
    assert_eq!(
        resolve(&mut rig, &checkout, "letGo", None)["kind"],
        "CheckoutInProgress",
        "the void has only just been asked for"
    );
    nothing(&mut rig);
    assert_eq!(stuck(&mut rig)[0]["money"], "lettingGo");
    assert_eq!(resolve(&mut rig, &checkout, "paidBack", None)["money"], "paidBack");
    assert_eq!(resolve(&mut rig, &checkout, "paidBack", None)["money"], "paidBack", "once more is once");
    assert_eq!(resolve(&mut rig, &checkout, "letGo", None)["kind"], "CheckoutInProgress", "it is otherwise");
    assert_eq!(stuck(&mut rig), [] as [Value; 0]);
    rig.rest();
}

#[test]
fn one_that_turns_back_while_it_waits_is_not_ended_by_a_word_that_came_too_soon() {
    let mut rig = Rig::new(outside());
    let sent = rig.asks("/Checkout/process/send", &order(&["a:1"], "card_success"));
    let checkout = format!("/Checkout/{}", body(&sent)["checkoutId"].as_str().unwrap());
    // Whether the card was authorised is unknown, and it waits to ask again.
    nothing(&mut rig);
    assert_eq!(
        body(&rig.asks(&format!("{checkout}/cancel"), r#"{"reason":"the buyer has called"}"#))["status"],
        "PENDING"
    );
    assert_eq!(
        resolve(&mut rig, &checkout, "letGo", None)["kind"],
        "CheckoutInProgress",
        "the void was never asked for"
    );
    rig.rest();
    assert_eq!(status(&mut rig, &checkout)["kind"], "HoldExpired");
    assert!(rig.gateway.accounts().all(|(_, account)| account.voided), "it was asked for");
}

#[test]
fn what_waits_is_listed_a_hundred_at_a_time_in_the_order_of_ids() {
    let mut rig = Rig::new(outside());
    for n in 0..130 {
        let _checkout = capturing(&mut rig, &format!("a:{n}"));
        nothing(&mut rig);
    }
    let (mut seen, mut after) = (Vec::new(), Value::Null);
    loop {
        let page = body(&rig.asks("/Checkout/list/stuck", &json!({ "after": after }).to_string()));
        seen.extend(
            page["checkouts"].as_array().unwrap().iter().map(|one| one["checkoutId"].as_str().unwrap().to_owned()),
        );
        after = json!(seen.last());
        if page["more"] == false {
            break;
        }
        assert_eq!(seen.len(), 100);
    }
    assert!(seen.len() == 130 && seen.is_sorted());
}

#[test]
fn a_message_that_was_given_up_is_still_known_after_a_crash_and_is_sent_again() {
    let mut rig = Rig::new(outside());
    let checkout = capturing(&mut rig, "a:1");
    rig.pay();
    rig.store_all();
    for _ in 1..=3 {
        let letter = rig.delivering.remove(0);
        rig.hand(Input::Delivered(letter.checkout, false));
        rig.store_all();
        rig.pass(60_000);
    }
    rig.crash();
    assert_eq!(rig.engine.stats(rig.now).notifications_parked, 1);
    let [one] = &stuck(&mut rig)[..] else { panic!("nobody was told of it") };
    assert_eq!((&one["waitsFor"], &one["status"]), (&json!("notifier"), &json!("CONFIRMED")));
    let told = rig.asks(&format!("{checkout}/notify"), "");
    assert_eq!((body(&told)["status"].clone(), rig.delivering.len()), (json!("CONFIRMED"), 1));
    let _again = rig.asks(&format!("{checkout}/notify"), "");
    assert_eq!(rig.delivering.len(), 1, "it is on its way");
    rig.crash();
    assert_eq!(
        (rig.delivering.len(), rig.engine.checkouts().next().unwrap().notification()),
        (1, NotificationStatus::Waiting { failed: 0, due: rig.now })
    );
    rig.rest();
    assert_eq!((stuck(&mut rig).len(), rig.engine.stats(rig.now).notifications_waiting), (0, 0));

    rig.settings = Settings { notifier: Notifier::Nobody, ..outside() };
    rig.crash();
    assert_eq!(rig.asks(&format!("{checkout}/notify"), "").status, 404, "there is nobody to send it to");
    let failed = rig.asks("/Checkout/process", &order(&["a:1"], "card_success"));
    assert_eq!(failed.status, 409);
    assert_eq!(rig.asks("/Checkout/nothing/notify", "").status, 404);
}

#[test]
fn a_reset_takes_no_seat_from_a_checkout_that_is_under_way() {
    let mut rig = Rig::new(outside());
    let checkout = capturing(&mut rig, "a:1");
    for (path, asked) in
        [("/Ticket/a:1/cleanup", ""), ("/Ticket/a:1/reset", r#"{"upTo":99}"#), ("/SeatMap/a/resetAll", "")]
    {
        let refused = body(&rig.asks(path, asked));
        assert_eq!((&refused["kind"], &refused["ticketId"]), (&json!("CheckoutInProgress"), &json!("a:1")), "{path}");
    }
    assert_eq!(rig.asks("/SeatMap/b/resetAll", "").status, 200, "another map has nothing to do with it");
    rig.rest();
    assert_eq!(status(&mut rig, &checkout)["status"], "CONFIRMED");
    assert_eq!(rig.asks("/SeatMap/a/resetAll", "").status, 200);
}

#[test]
fn a_map_that_is_full_is_reset_when_all_its_seats_are_paid_for() {
    let mut settings = outside();
    settings.terms.auto_reset_at = Some(2);
    let mut rig = Rig::new(settings);
    let first = capturing(&mut rig, "a:1");
    let second = rig.asks("/Checkout/process/send", &order(&["a:2"], "card_success"));
    let (op, payment) = rig.performing.pop().unwrap();
    let answer = rig.ask_gateway(&payment);
    rig.hand(Input::Outcome(op, Outcome::Paid(answer)));
    rig.store_all();
    let sold = |rig: &Rig| rig.engine.map(&"a".parse().unwrap()).header().sold;
    assert_eq!((sold(&rig), rig.performing.len()), (2, 2), "it is full, and both captures are asked for");
    // That it is to be reset is known by the map itself.
    rig.crash();
    assert_eq!(sold(&rig), 2);
    rig.rest();
    assert_eq!(sold(&rig), 0);
    for checkout in [first, format!("/Checkout/{}", body(&second)["checkoutId"].as_str().unwrap())] {
        assert_eq!(status(&mut rig, &checkout)["status"], "CONFIRMED");
    }
}
