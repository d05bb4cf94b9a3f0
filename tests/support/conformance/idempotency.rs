//! Idempotency keys.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Target, a_ticket, accepted, fresh, refused};

pub(super) fn the_first_answer_comes_again(target: &Target) {
    let (id, key, user) = (a_ticket(), fresh("key"), fresh("ann"));
    let path = format!("/Ticket/{id}/reserve");
    let first = target.public.post_keyed(&path, &key, &json!(user));
    accepted(&first);
    let hold = first.text("holdId");
    accepted(&target.public.post(&format!("/Ticket/{id}/release"), &json!({ "holdId": hold })));
    let again = target.public.post_keyed(&path, &key, &json!(user));
    assert_eq!((again.status, &again.text), (200, &first.text));
    assert_eq!(target.ticket(&id)["status"], "AVAILABLE", "it was not carried out again");
    let order = json!({ "ticketId": id, "userId": user });
    let buy = || target.public.post_keyed("/Checkout/process", &key, &order);
    let (first, again) = (buy(), buy());
    accepted(&first);
    assert_eq!(first.text, again.text);
}

pub(super) fn a_refusal_comes_again_too(target: &Target) {
    let (id, key) = (a_ticket(), fresh("key"));
    let hold = target.hold(&id, &fresh("bob"));
    let (path, order) = (format!("/Ticket/{id}/reserve"), json!({ "ticketId": id, "userId": "ann" }));
    let reserve = || target.public.post_keyed(&path, &key, &json!("ann"));
    let buy = || target.public.post_keyed("/Checkout/process", &key, &order);
    let (reserved, bought) = (reserve(), buy());
    refused(&reserved, 409, "TicketReserved");
    refused(&bought, 409, "TicketReserved");
    accepted(&target.public.post(&format!("/Ticket/{id}/release"), &json!({ "holdId": hold })));
    assert_eq!((reserve().text, buy().text), (reserved.text, bought.text));
    assert_eq!(target.ticket(&id)["status"], "AVAILABLE");
}

pub(super) fn the_same_key_with_other_bytes_is_refused(target: &Target) {
    let (id, key) = (a_ticket(), fresh("key"));
    let path = format!("/Ticket/{id}/reserve");
    accepted(&target.public.post_keyed(&path, &key, &json!({ "userId": "ann" })));
    refused(&target.public.post_keyed(&path, &key, &json!({ "userId": "bob" })), 409, "IdempotencyKeyReused");
    let spaced = target.public.send("POST", &path, &[("Idempotency-Key", &key)], b"{ \"userId\": \"ann\" }");
    refused(&spaced, 409, "IdempotencyKeyReused");
    accepted(&target.public.post_keyed(&path, &key, &json!({ "userId": "ann" })));
}

pub(super) fn a_repeat_waits_for_the_first(target: &Target) {
    let (id, key) = (a_ticket(), fresh("key"));
    // 200 and 400 ms of waiting to authorise.
    let order = json!({ "ticketId": id, "userId": "ann", "paymentMethodId": "card_flaky" });
    let start = Instant::now();
    let buy = || target.public.post_keyed("/Checkout/process", &key, &order);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(buy)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(start.elapsed() > Duration::from_millis(500), "somebody waited");
    let checkouts: std::collections::BTreeSet<String> = answers.iter().map(|got| got.text("checkoutId")).collect();
    assert_eq!(checkouts.len(), 1, "it was one checkout");
    let end = target.end_of(&answers[0].text("checkoutId"));
    assert_eq!(end["status"], "CONFIRMED");
    assert_eq!(buy().body, end);
}

pub(super) fn a_key_belongs_to_its_route(target: &Target) {
    let (key, body) = (fresh("key"), json!({ "userId": fresh("ann") }));
    for _ in 0..2 {
        let id = a_ticket();
        accepted(&target.public.post_keyed(&format!("/Ticket/{id}/reserve"), &key, &body));
        assert_eq!(target.ticket(&id)["status"], "RESERVED");
    }
}

pub(super) fn two_spellings_of_an_address_are_one_route(target: &Target) {
    let (id, key, body) = (a_ticket(), fresh("key"), json!({ "userId": fresh("ann") }));
    let spelt = [id.clone(), id.replace(':', "%3A"), id.replace(':', "%3a")];
    let answers = spelt.map(|id| target.public.post_keyed(&format!("/Ticket/{id}/reserve"), &key, &body));
    answers.iter().for_each(accepted);
    assert_eq!([&answers[1].text, &answers[2].text], [&answers[0].text; 2]);
}

pub(super) fn what_the_machines_did_not_answer_is_not_recorded(target: &Target) {
    let (id, key) = (a_ticket(), fresh("key"));
    let path = format!("/Ticket/{id}/reserve");
    refused(&target.public.post_keyed(&path, &key, &json!({})), 400, "InvalidRequest");
    accepted(&target.public.post_keyed(&path, &key, &json!({ "userId": "ann" })));
}

pub(super) fn a_key_is_1_to_128_printable_characters(target: &Target) {
    let path = format!("/Ticket/{}/reserve", a_ticket());
    for key in ["", "a b", "é", &"k".repeat(129)] {
        let got = target.public.send("POST", &path, &[("Idempotency-Key", key)], b"\"ann\"");
        refused(&got, 400, "InvalidRequest");
        assert!(got.text("message").contains("Idempotency-Key"), "{}", got.text);
    }
    let longest = target.public.send("POST", &path, &[("Idempotency-Key", &"k".repeat(128))], b"\"ann\"");
    accepted(&longest);
}

pub(super) fn a_checkout_that_is_sent_twice_is_one(target: &Target) {
    let (key, order) = (fresh("key"), json!({ "ticketId": a_ticket(), "userId": "ann" }));
    let send = || target.public.post_keyed("/Checkout/process/send", &key, &order);
    let (first, again) = (send(), send());
    assert_eq!((first.status, &first.text), (202, &again.text));
    assert_eq!(target.end_of(&first.text("checkoutId"))["status"], "CONFIRMED");
    assert_eq!(send().text, first.text);
}
