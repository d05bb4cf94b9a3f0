//! Tickets by themselves.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Target, a_ticket, accepted, fresh, refused, tickets_of_a_map};

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

pub(super) fn a_ticket_that_nobody_has_spoken_to_is_on_sale(target: &Target) {
    let nobody = json!({ "status": "AVAILABLE", "reservedBy": null, "reservedUntil": null, "version": 0 });
    assert_eq!(target.ticket(&a_ticket()), nobody);
}

pub(super) fn a_hold_is_answered_with_its_id_its_end_and_its_price(target: &Target) {
    let (id, user, hold) = (a_ticket(), fresh("ann"), fresh("hold"));
    let before = now();
    let got = target.reserve(&id, &json!({ "userId": user, "holdId": hold, "ttlMs": 60_000 }));
    accepted(&got);
    let until = got.body["reservedUntil"].as_u64().unwrap();
    assert_eq!(
        got.body,
        json!({ "holdId": hold, "reservedUntil": until, "price": { "minor": 10_000, "currency": "USD" }, "version": 1 })
    );
    // The server's clock need not be this one to the second.
    assert!((before + 50_000..=now() + 70_000).contains(&until), "{until}");
    let is = json!({ "status": "RESERVED", "reservedBy": user, "reservedUntil": until, "version": 1 });
    assert_eq!(target.ticket_under(&id, &hold), is);
    target.is_of(&id, &user);
}

pub(super) fn who_sits_where_is_told_to_who_shows_the_hold_and_to_nobody_else(target: &Target) {
    let (id, user) = (a_ticket(), fresh("ann"));
    let hold = target.hold(&id, &user);
    let stranger = fresh("hold");
    for status in ["RESERVED", "SOLD"] {
        assert_eq!(target.ticket_under(&id, &hold)["reservedBy"], user);
        for seen in [target.ticket(&id), target.ticket_under(&id, &stranger)] {
            assert_eq!((&seen["status"], &seen["reservedBy"]), (&json!(status), &Value::Null));
        }
        target.is_of(&id, &user);
        if status == "RESERVED" {
            accepted(&target.process(&json!({ "ticketId": id, "userId": user, "holdId": hold })));
        }
    }
    let got = target.public.post(&format!("/Ticket/{id}/get"), &json!({ "holdId": ":c" }));
    refused(&got, 400, "InvalidRequest");
}

pub(super) fn reserve_takes_a_bare_buyer(target: &Target) {
    let (id, user) = (a_ticket(), fresh("ann"));
    let got = target.reserve(&id, &Value::from(user.as_str()));
    accepted(&got);
    let hold = got.text("holdId");
    assert!(hold.len() >= 22, "nobody can guess it");
    let seen = target.ticket_under(&id, &hold);
    assert_eq!(seen["reservedBy"], user);
    assert!(!seen.to_string().contains(&hold), "it is never told again");
}

pub(super) fn the_same_reserve_again_gets_the_same_answer(target: &Target) {
    let (id, body) = (a_ticket(), json!({ "userId": fresh("ann"), "holdId": fresh("hold") }));
    let (first, second) = (target.reserve(&id, &body), target.reserve(&id, &body));
    accepted(&first);
    assert_eq!(first.text, second.text);
    assert_eq!(target.ticket(&id)["version"], 1);
}

pub(super) fn a_buyer_who_names_no_hold_is_not_told_the_one_they_have(target: &Target) {
    let (id, user) = (a_ticket(), fresh("ann"));
    let first = target.reserve(&id, &json!({ "userId": user }));
    let second = target.reserve(&id, &json!({ "userId": user }));
    refused(&second, 409, "TicketReserved");
    assert_eq!(second.body.get("holdId"), None);
    accepted(&first);
}

pub(super) fn a_hold_lasts_as_long_as_was_asked_and_then_is_gone(target: &Target) {
    let (id, user, start) = (a_ticket(), fresh("ann"), Instant::now());
    accepted(&target.reserve(&id, &json!({ "userId": user, "ttlMs": 1_000 })));
    let status = target.ticket(&id)["status"].clone();
    assert!(status == "RESERVED" || start.elapsed() >= Duration::from_secs(1), "{status}");
    crate::eventually(|| (target.ticket(&id)["status"] == "AVAILABLE").then_some(()));
    // That is recorded too, and nobody had to touch the ticket for it.
    target.map_becomes(id.rsplit_once(':').unwrap().0, &json!([]));
    accepted(&target.reserve(&id, &json!({ "userId": fresh("bob") })));
}

pub(super) fn a_released_ticket_is_on_sale_again(target: &Target) {
    let id = a_ticket();
    let hold = target.hold(&id, &fresh("ann"));
    for _ in 0..2 {
        let released = target.public.post(&format!("/Ticket/{id}/release"), &json!({ "holdId": hold }));
        accepted(&released);
        assert_eq!(released.body, json!({ "ok": true, "version": 2 }));
    }
    assert_eq!(target.ticket(&id)["status"], "AVAILABLE");
    let again = target.reserve(&id, &json!({ "userId": fresh("ann"), "holdId": hold }));
    accepted(&again);
}

pub(super) fn a_hold_of_another_cannot_be_released(target: &Target) {
    let id = a_ticket();
    let _anns = target.hold(&id, &fresh("ann"));
    accepted(&target.public.post(&format!("/Ticket/{id}/release"), &json!({ "holdId": fresh("guess") })));
    assert_eq!(target.ticket(&id)["status"], "RESERVED");
}

pub(super) fn a_later_wish_under_a_hold_overtakes_an_earlier_one(target: &Target) {
    let ((ids, _), user, hold) = (tickets_of_a_map(20), fresh("ann"), fresh("hold"));
    let id = &ids[0];
    let reserve = |nth: u32| target.reserve(id, &json!({ "userId": user, "holdId": hold, "nth": nth }));
    let release =
        |nth: u32| target.public.post(&format!("/Ticket/{id}/release"), &json!({ "holdId": hold, "nth": nth }));
    let first = reserve(1);
    accepted(&first);
    assert_eq!(reserve(1).text, first.text, "asked again, it is carried out once");
    refused(&release(1), 409, "HoldInUse");
    accepted(&release(2));
    // A copy of the first comes late.
    refused(&reserve(1), 409, "Overtaken");
    assert_eq!(target.ticket(id)["status"], "AVAILABLE");
    let third = reserve(3);
    accepted(&third);
    assert_eq!(target.ticket(id)["status"], "RESERVED");
    // It is known long after, also when the seat is paid for.
    accepted(&target.process(&json!({ "ticketId": id, "userId": user, "holdId": hold })));
    for other in &ids[1..] {
        let _hold = target.hold(other, &fresh("bob"));
    }
    let (again, mut first) = (reserve(3), third.body);
    accepted(&again);
    first["version"] = again.body["version"].clone();
    assert_eq!(again.body, first);
    refused(&reserve(2), 409, "Overtaken");
}

pub(super) fn a_blocked_ticket_is_off_sale_until_it_is_unblocked(target: &Target) {
    let id = a_ticket();
    accepted(&target.admin.post(&format!("/Ticket/{id}/block"), &json!({ "reason": "a broken seat" })));
    assert_eq!(target.ticket(&id)["status"], "BLOCKED");
    refused(&target.reserve(&id, &json!({ "userId": fresh("ann") })), 409, "TicketBlocked");
    accepted(&target.admin.post_nothing(&format!("/Ticket/{id}/unblock")));
    let _held = target.hold(&id, &fresh("ann"));
    let blocked = target.admin.post(&format!("/Ticket/{id}/block"), &json!({ "reason": "too late" }));
    // It takes effect when the hold ends.
    accepted(&blocked);
    assert_eq!(target.ticket(&id)["status"], "RESERVED");
}

pub(super) fn a_listed_price_is_what_the_next_hold_costs(target: &Target) {
    let id = a_ticket();
    let price = json!({ "minor": 4_500, "currency": "USD" });
    accepted(&target.admin.post(&format!("/Ticket/{id}/list"), &json!({ "price": price })));
    let got = target.reserve(&id, &json!({ "userId": fresh("ann") }));
    assert_eq!(got.body["price"], price);
    let dearer = json!({ "price": { "minor": 9_900, "currency": "USD" } });
    accepted(&target.admin.post(&format!("/Ticket/{id}/list"), &dearer));
    let order = json!({ "ticketId": id, "userId": "nobody", "holdId": got.text("holdId") });
    refused(&target.process(&order), 409, "TicketReserved");
    // Without a layout a map sells in the currency of the unit price alone.
    let other = a_ticket();
    let euros = json!({ "price": { "minor": 4_500, "currency": "EUR" } });
    accepted(&target.admin.post(&format!("/Ticket/{other}/list"), &euros));
    refused(&target.reserve(&other, &json!({ "userId": fresh("ann") })), 409, "TicketNotForSale");
}

pub(super) fn the_box_office_sells_without_a_payment(target: &Target) {
    let (id, user) = (a_ticket(), fresh("ann"));
    let got = target.admin.post(&format!("/Ticket/{id}/sell"), &json!({ "userId": user }));
    accepted(&got);
    assert_eq!(got.body, json!({ "status": "SOLD", "price": { "minor": 10_000, "currency": "USD" }, "version": 1 }));
    assert_eq!(target.ticket(&id)["status"], "SOLD");
    target.is_of(&id, &user);
}

pub(super) fn a_reset_puts_a_sold_ticket_back_unless_it_has_changed(target: &Target) {
    let id = a_ticket();
    let sell = || accepted(&target.admin.post(&format!("/Ticket/{id}/sell"), &json!({ "userId": fresh("ann") })));
    let reset = |up_to: u64| accepted(&target.admin.post(&format!("/Ticket/{id}/reset"), &json!({ "upTo": up_to })));
    sell();
    reset(0);
    assert_eq!(target.ticket(&id)["status"], "SOLD");
    reset(1);
    assert_eq!(target.ticket(&id)["status"], "AVAILABLE");
    sell();
    accepted(&target.admin.post_nothing(&format!("/Ticket/{id}/cleanup")));
    assert_eq!(target.ticket(&id)["status"], "AVAILABLE");
    let _held = target.hold(&id, &fresh("bob"));
    refused(&target.admin.post_nothing(&format!("/Ticket/{id}/cleanup")), 409, "TicketReserved");
}
