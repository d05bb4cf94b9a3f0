//! Checkouts, and the money.

use serde_json::{Value, json};

use crate::eventually;

use super::{Target, a_ticket, accepted, fresh, needs, refused, tickets_of_a_map};

fn amount(minor: u64) -> Value {
    json!({ "minor": minor, "currency": "USD" })
}

pub(super) fn a_buyer_buys_a_ticket(target: &Target) {
    let (id, user) = (a_ticket(), fresh("ann"));
    let got = target.process(&json!({ "ticketId": id, "userId": user }));
    accepted(&got);
    let checkout = got.text("checkoutId");
    let booking = json!({
        "status": "CONFIRMED", "message": "Booking Confirmed", "checkoutId": checkout, "tickets": [id],
        "amount": amount(10_000), "paymentId": got.text("paymentId"),
    });
    assert_eq!(got.body, booking);
    assert_eq!(target.public.get(&format!("/Checkout/{checkout}")).body, booking);
    let is = target.ticket(&id);
    assert_eq!((&is["status"], &is["reservedUntil"]), (&json!("SOLD"), &Value::Null));
    target.is_of(&id, &user);
    target.map_becomes(id.rsplit_once(':').unwrap().0, &json!([{ "id": id, "status": "SOLD" }]));
}

pub(super) fn a_buyer_buys_what_they_hold(target: &Target) {
    let (id, user) = (a_ticket(), fresh("ann"));
    let hold = target.hold(&id, &user);
    let without = target.process(&json!({ "ticketId": id, "userId": user }));
    refused(&without, 409, "TicketReserved");
    let as_another = target.process(&json!({ "ticketId": id, "userId": fresh("bob"), "holdId": hold }));
    refused(&as_another, 409, "TicketReserved");
    accepted(&target.process(&json!({ "ticketId": id, "userId": user, "holdId": hold })));
    assert_eq!(target.ticket_under(&id, &hold)["reservedBy"], user);
}

pub(super) fn a_buyers_id_may_be_an_e_mail_address_and_a_contact_is_taken(target: &Target) {
    let (id, user) = (a_ticket(), format!("{}+shop@example.com", fresh("zo\u{eb}")));
    let order = json!({ "ticketId": id, "userId": user, "contact": { "email": user, "language": "en" } });
    let got = target.process(&order);
    accepted(&got);
    assert!(!got.text.contains('@'), "a contact is for the notification alone: {}", got.text);
    target.is_of(&id, &user);
}

pub(super) fn a_booking_that_costs_nothing_is_not_paid_for(target: &Target) {
    let (id, key) = (a_ticket(), fresh("free"));
    accepted(&target.admin.post(&format!("/Ticket/{id}/list"), &json!({ "price": amount(0) })));
    // A card that is declined is not even asked.
    let order = json!({ "ticketId": id, "userId": key, "paymentMethodId": "card_decline" });
    let got = target.process(&order);
    accepted(&got);
    assert_eq!((&got.body["amount"], &got.body["paymentId"]), (&amount(0), &Value::Null));
    let ledger = target.gateway.get("/api/mock-payment/ledger");
    accepted(&ledger);
    let ledger = ledger.text;
    assert!(!ledger.contains(&got.text("checkoutId")), "the gateway was asked");
}

pub(super) fn a_refusal_names_the_ticket_that_is_in_the_way_and_when_its_hold_ends(target: &Target) {
    let ((ids, _), user) = (tickets_of_a_map(3), fresh("ann"));
    let held = target.reserve(&ids[1], &json!({ "userId": fresh("bob") }));
    accepted(&held);
    let until = held.body["reservedUntil"].as_u64().unwrap();
    let got = target.process(&json!({ "ticketIds": ids, "userId": user }));
    refused(&got, 409, "TicketReserved");
    assert_eq!(got.in_the_way(), (Some(ids[1].clone()), Some(until)));
    let twice = target.process(&json!({ "ticketIds": [ids[0], ids[2], ids[0]], "userId": user }));
    refused(&twice, 422, "DuplicateTicket");
    assert_eq!(twice.in_the_way(), (Some(ids[0].clone()), None));
    let of_one = target.reserve(&ids[1], &json!({ "userId": user }));
    refused(&of_one, 409, "TicketReserved");
    assert_eq!(of_one.in_the_way(), (None, Some(until)));
}

pub(super) fn a_buyer_buys_many_tickets_under_one_hold(target: &Target) {
    let ((ids, _), user, hold) = (tickets_of_a_map(10), fresh("ann"), fresh("hold"));
    for id in &ids {
        accepted(&target.reserve(id, &json!({ "userId": user, "holdId": hold })));
    }
    let got = target.process(&json!({ "ticketIds": ids, "userId": user, "holdId": hold }));
    accepted(&got);
    assert_eq!((&got.body["tickets"], &got.body["amount"]), (&json!(ids), &amount(100_000)));
    for id in &ids {
        assert_eq!(target.ticket(id)["status"], "SOLD");
    }
}

pub(super) fn a_buyer_who_is_declined_keeps_their_hold_and_pays_with_another_card(target: &Target) {
    let (id, user) = (a_ticket(), fresh("ann"));
    let hold = target.hold(&id, &user);
    let order = |card: &str| json!({ "ticketId": id, "userId": user, "holdId": hold, "paymentMethodId": card });
    let got = target.process(&order("card_decline"));
    refused(&got, 402, "PaymentDeclined");
    assert_eq!(got.text("message"), "Payment failed: Payment declined: Insufficient funds");
    assert_eq!(target.ticket(&id)["status"], "RESERVED");
    accepted(&target.process(&order("card_success")));
}

pub(super) fn a_checkout_that_is_declined_puts_its_own_hold_back(target: &Target) {
    let id = a_ticket();
    let got = target.process(&json!({ "ticketId": id, "userId": "ann", "paymentMethodId": "card_decline" }));
    refused(&got, 402, "PaymentDeclined");
    assert_eq!(target.ticket(&id)["status"], "AVAILABLE");
    accepted(&target.process(&json!({ "ticketId": id, "userId": fresh("bob") })));
}

pub(super) fn every_card_does_what_it_says(target: &Target) {
    let failed = |code: u64, kind: &str, message: &str| Some((json!(code), json!(kind), json!(message)));
    for (card, failure) in [
        ("card_success", None),
        ("card_flaky", None),
        ("card_lost", None),
        ("card_decline", failed(402, "PaymentDeclined", "Payment failed: Payment declined: Insufficient funds")),
        ("card_error", failed(503, "PaymentUnavailable", "Payment failed: Gateway timeout")),
        ("card_capture_decline", failed(402, "PaymentDeclined", "Payment failed: Payment declined: Capture refused")),
        ("card_x", failed(402, "PaymentDeclined", "Payment failed: Payment declined: Unknown payment method")),
    ] {
        let id = a_ticket();
        let end = target.bought(&json!({ "ticketId": id, "userId": "ann", "paymentMethodId": card }));
        let status = if failure.is_some() { ("FAILED", "AVAILABLE") } else { ("CONFIRMED", "SOLD") };
        assert_eq!((&end["status"], &target.ticket(&id)["status"]), (&json!(status.0), &json!(status.1)), "{card}");
        if let Some(failure) = failure {
            assert_eq!((end["code"].clone(), end["kind"].clone(), end["message"].clone()), failure, "{card}");
            // A card that was declined leaves nothing to let go of. The others' may be let go of already, or not yet.
            let is_certain = ["card_decline", "card_x"].contains(&card);
            let money = end["money"].as_str().unwrap_or_default();
            assert!(money == "none" || (money == "lettingGo" && !is_certain), "{card}: {end}");
        }
    }
}

pub(super) fn one_taken_ticket_of_several_takes_none(target: &Target) {
    let ((ids, _), user) = (tickets_of_a_map(3), fresh("ann"));
    let _bobs = target.hold(&ids[1], &fresh("bob"));
    let got = target.process(&json!({ "ticketIds": ids, "userId": user }));
    refused(&got, 409, "TicketReserved");
    for (id, status) in ids.iter().zip(["AVAILABLE", "RESERVED", "AVAILABLE"]) {
        assert_eq!(target.ticket(id)["status"], status);
    }
}

/// The mock gateway's account of a checkout.
fn account(target: &Target, checkout: &str) -> Option<Value> {
    let ledger = target.gateway.get("/api/mock-payment/ledger");
    accepted(&ledger);
    let key = format!("{checkout}:authorize");
    ledger.body["entries"].as_array().unwrap().iter().find(|entry| entry["key"] == key.as_str()).cloned()
}

pub(super) fn money_is_taken_once_for_each_booking_and_never_without_one(target: &Target) {
    let buy = |card: &str| target.bought(&json!({ "ticketId": a_ticket(), "userId": "ann", "paymentMethodId": card }));
    for (card, captured, voided) in [
        ("card_success", true, false),
        ("card_lost", true, false),
        ("card_flaky", true, false),
        ("card_decline", false, true),
        ("card_capture_decline", false, true),
    ] {
        let end = buy(card);
        // A checkout tells its buyer of a failure before it lets go of their money.
        let entry = eventually(|| {
            let entry = account(target, end["checkoutId"].as_str().unwrap()).expect("the gateway was asked");
            (entry["voided"] == json!(voided)).then_some(entry)
        });
        assert_eq!(entry["captured"], json!(captured), "{card}: {entry}");
        assert_eq!(entry["amount"], amount(10_000), "{card}");
    }
    let taken = a_ticket();
    let _held = target.hold(&taken, &fresh("bob"));
    let end = target.bought(&json!({ "ticketId": taken, "userId": "ann" }));
    assert_eq!(account(target, end["checkoutId"].as_str().unwrap()), None, "the gateway was never asked");
}

pub(super) fn a_checkout_that_is_sent_is_answered_at_once_and_ends_alike(target: &Target) {
    let id = a_ticket();
    let end = target.bought(&json!({ "ticketId": id, "userId": "ann" }));
    assert_eq!((&end["status"], &end["tickets"]), (&json!("CONFIRMED"), &json!([id])));
}

pub(super) fn a_checkout_that_takes_long_is_answered_meanwhile_and_works_on(target: &Target) {
    // Five attempts, with waits of 200, 400, 800 and 1600 ms in between: longer than the second it is given.
    let hasty = &needs(&target.guarded, "a server with tokens that answers after 1 s").public;
    let order = json!({ "ticketId": a_ticket(), "userId": "ann", "paymentMethodId": "card_error" });
    let got = hasty.post("/Checkout/process", &order);
    assert_eq!((got.status, &got.body["status"]), (202, &json!("PENDING")), "{}", got.text);
    let path = format!("/Checkout/{}", got.text("checkoutId"));
    let end = crate::eventually(|| Some(hasty.get(&path).body).filter(|stands| stands["status"] != "PENDING"));
    assert_eq!((&end["status"], &end["kind"]), (&json!("FAILED"), &json!("PaymentUnavailable")));
}

pub(super) fn prices_in_two_currencies_have_no_sum(target: &Target) {
    let (ids, map) = tickets_of_a_map(2);
    let seat = |n: usize, currency: &str| json!({ "ticketId": ids[n], "price": { "minor": 4_500, "currency": currency }, "x": n, "y": 0 });
    let layout = json!({ "rows": [{ "name": "A", "seats": [seat(0, "USD"), seat(1, "EUR")] }] });
    accepted(&target.admin.post(&format!("/SeatMap/{map}/layout"), &layout));
    refused(&target.process(&json!({ "ticketIds": ids, "userId": "ann" })), 422, "MixedCurrencies");
    assert_eq!(target.ticket(&ids[0])["status"], "AVAILABLE");
}

pub(super) fn the_mock_gateway_is_paid_in_one_go(target: &Target) {
    let pay = |card: &str, key: &str| {
        target.gateway.post_keyed("/api/mock-payment", key, &json!({ "amount": 100, "paymentMethodId": card }))
    };
    let key = fresh("pay");
    let paid = pay("card_success", &key);
    accepted(&paid);
    assert_eq!(paid.text, pay("card_success", &key).text);
    assert!(!paid.text("transactionId").is_empty());
    refused(&pay("card_decline", &key), 409, "IdempotencyKeyReused");
    refused(&pay("card_decline", &fresh("pay")), 402, "PaymentDeclined");
    refused(&pay("card_error", &fresh("pay")), 503, "PaymentUnavailable");
}

pub(super) fn the_mock_gateway_gives_the_same_key_the_same_answer(target: &Target) {
    let (key, path) = (fresh("k"), "/api/mock-payment");
    let ask = |call: &str, body: &Value| target.gateway.post(&format!("{path}/{call}"), body);
    let authorize = json!({ "key": key, "amount": amount(500), "paymentMethodId": "card_success" });
    let first = ask("authorize", &authorize);
    accepted(&first);
    assert_eq!(ask("authorize", &authorize).text, first.text);
    let capture = json!({ "key": format!("{key}-c"), "authorizationId": first.text("authorizationId") });
    let captured = ask("capture", &capture);
    accepted(&captured);
    assert_eq!(ask("capture", &capture).text, captured.text);
    let voided = fresh("k");
    accepted(&ask("void", &json!({ "authorizeKey": voided })));
    let late = ask("authorize", &json!({ "key": voided, "amount": amount(5), "paymentMethodId": "card_success" }));
    refused(&late, 402, "PaymentDeclined");
}

pub(super) fn two_buyers_race_for_a_seat_and_one_gets_it(target: &Target) {
    for _ in 0..10 {
        let id = a_ticket();
        let order = |user: &str| json!({ "ticketId": id, "userId": user });
        let (ann, bob) = std::thread::scope(|scope| {
            let bob = scope.spawn(|| target.process(&order("bob")));
            (target.process(&order("ann")), bob.join().unwrap())
        });
        let mut statuses = [ann.status, bob.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{} {}", ann.text, bob.text);
        let winner = if ann.status == 200 { "ann" } else { "bob" };
        target.is_of(&id, winner);
    }
}
