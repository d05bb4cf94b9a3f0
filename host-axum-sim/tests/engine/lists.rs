//! What operators look at: bookings, messages that were given up, what other operators did.

use booking_core::wire::audit::AuditEntry;
use booking_core::wire::{Answer, Door, Kind};
use host_axum_sim::engine::{Input, Settings};
use serde_json::{Value, json};

use crate::rig::{Rig, at_once, order, outside};

fn body(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap()
}

/// A page of a list, and where the next one begins.
fn page(rig: &mut Rig, path: &str) -> (Vec<Value>, Value) {
    let caller = rig.call(Door::Admin, "GET", path, "", None);
    rig.store_all();
    let Value::Object(page) = body(&rig.answers[&caller]) else { panic!("{path} is no list") };
    let next = page["next"].clone();
    let (_, list) = page.into_iter().find(|(_, of)| of.is_array()).unwrap();
    (list.as_array().unwrap().clone(), next)
}

/// One field of each entry of a list, page after page.
fn all(rig: &mut Rig, path: &str, field: &str) -> Vec<Value> {
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let (list, next) = page(rig, &format!("{path}&after={after}"));
        seen.extend(list.iter().map(|one| one[field].clone()));
        after = match next {
            Value::Null => return seen,
            Value::String(next) => next,
            other => other.to_string(),
        };
    }
}

fn buy(rig: &mut Rig, seat: &str, user: &str, card: &str) -> Value {
    let order = json!({ "ticketIds": [seat], "userId": user, "paymentMethodId": card });
    let checkout = body(&rig.asks("/Checkout/process/send", &order.to_string()))["checkoutId"].clone();
    rig.pass(1_000);
    checkout
}

#[test]
fn bookings_are_listed_the_newest_first_by_what_is_looked_for() {
    let mut rig = Rig::new(at_once());
    let began = rig.now.as_millis();
    let bought: Vec<Value> = [
        ("hall:1", "ann", "card_success"),
        ("hall:2", "ben", "card_success"),
        ("yard:1", "ann", "card_success"),
        ("hall:3", "ann", "card_decline"),
    ]
    .into_iter()
    .map(|(seat, user, card)| buy(&mut rig, seat, user, card))
    .collect();
    let [first, second, third, fourth] = &bought[..] else { panic!("four were bought") };
    for limit in [1, 2, 500] {
        let seen = all(&mut rig, &format!("/bookings?limit={limit}"), "checkoutId");
        assert_eq!(seen, [fourth, third, second, first].map(Clone::clone), "{limit} a page");
    }
    for (path, found) in [
        ("/bookings?map=hall", vec![fourth, second, first]),
        ("/bookings?ticketId=yard:1", vec![third]),
        ("/bookings?status=CONFIRMED&map=hall", vec![second, first]),
        ("/bookings?status=FAILED", vec![fourth]),
        ("/bookings?status=PENDING", vec![]),
        (&format!("/bookings?from={}", began + 2_000), vec![fourth, third]),
        (&format!("/bookings?until={}", began + 2_000), vec![second, first]),
        (&format!("/bookings?from={}&until={}", began + 1_000, began + 3_000), vec![third, second]),
    ] {
        let seen = all(&mut rig, path, "checkoutId");
        assert_eq!(seen.iter().collect::<Vec<_>>(), found, "{path}");
    }
    let (anns, next) = (body(&rig.asks("/bookings", r#"{"userId":"ann","limit":2}"#)), third.clone());
    assert_eq!((anns["bookings"].as_array().unwrap().len(), &anns["bookings"][1]["checkoutId"]), (2, &next));
    let more = body(&rig.asks("/bookings", &json!({ "userId": "ann", "after": anns["next"] }).to_string()));
    assert_eq!((&more["bookings"][0]["checkoutId"], &more["next"]), (first, &Value::Null));
    let [booked, .., declined] = &page(&mut rig, "/bookings?map=hall").0[..] else { panic!("three are there") };
    let (declined, booked) = (booked, declined);
    assert_eq!((&declined["kind"], &declined["amount"]), (&json!("PaymentDeclined"), &Value::Null));
    assert_eq!((&booked["amount"]["minor"], &booked["startedAt"]), (&json!(10_000), &json!(began)));
    // As it was, after a crash; and what is forgotten is in no list.
    rig.crash();
    assert_eq!(all(&mut rig, "/bookings?limit=3", "checkoutId").len(), 4);
    rig.pass(Settings::default().keep_for.0 + 1_000);
    assert_eq!(all(&mut rig, "/bookings?limit=3", "checkoutId"), [] as [Value; 0]);
}

#[test]
fn a_checkout_that_was_refused_at_once_and_has_no_name_is_in_no_list() {
    let mut rig = Rig::new(at_once());
    let _sold = buy(&mut rig, "hall:1", "ann", "card_success");
    let refused = rig.asks("/Checkout/process", &order(&["hall:1"], "card_success"));
    assert_eq!(refused.kind, Some(Kind::TicketSold));
    assert_eq!(all(&mut rig, "/bookings?limit=9", "status"), ["CONFIRMED"]);
}

#[test]
fn one_page_looks_at_so_many_bookings_and_the_next_one_goes_further() {
    let mut rig = Rig::new(at_once());
    let _rare = buy(&mut rig, "yard:1", "ann", "card_success");
    for n in 0..2_050 {
        let _often = rig.asks("/Checkout/process/send", &order(&[&format!("hall:{n}")], "card_success"));
    }
    let (none_yet, next) = page(&mut rig, "/bookings?map=yard");
    assert_eq!(none_yet, [] as [Value; 0]);
    let (found, end) = page(&mut rig, &format!("/bookings?map=yard&after={}", next.as_str().unwrap()));
    assert_eq!((found.len(), end), (1, Value::Null));
}

#[test]
fn a_message_that_was_given_up_is_in_the_inbox_until_it_is_tried_again() {
    let mut rig = Rig::new(outside());
    let mut checkouts = Vec::new();
    for n in 0..3 {
        checkouts.push(buy(&mut rig, &format!("hall:{n}"), "ann", "card_success"));
        for _ in 0..2 {
            rig.pay();
            rig.store_all();
        }
        for _ in 0..3 {
            let message = rig.delivering.remove(0);
            rig.hand(Input::Delivered(message.checkout, false));
            rig.store_all();
            rig.pass(60_000);
        }
    }
    checkouts.sort_by_key(Value::to_string);
    let names: Vec<Value> =
        checkouts.iter().map(|id| json!(format!("notification:{}", id.as_str().unwrap()))).collect();
    assert_eq!(all(&mut rig, "/inbox?limit=2", "id"), names);
    let (messages, _) = page(&mut rig, "/inbox");
    assert_eq!(messages[0]["booking"]["notification"], "GIVEN_UP");
    let retry = format!("/inbox/{}/retry", names[0].as_str().unwrap());
    assert_eq!(rig.asks(&retry, "").status, 200);
    assert_eq!((all(&mut rig, "/inbox?limit=2", "id"), rig.delivering.len()), (names[1..].to_vec(), 1));
    let message = rig.delivering.remove(0);
    rig.hand(Input::Delivered(message.checkout, true));
    rig.store_all();
    let mut told = all(&mut rig, "/bookings?limit=9", "notification");
    told.sort_by_key(Value::to_string);
    assert_eq!(told, ["DELIVERED", "GIVEN_UP", "GIVEN_UP"]);
    for unknown in ["/inbox/notification:nobody/retry", "/inbox/line:7/retry"] {
        assert_eq!(rig.asks(unknown, "").kind, Some(Kind::NotFound), "{unknown}");
    }
}

#[test]
fn what_operators_did_is_in_the_audit_with_its_outcome_and_survives_a_crash() {
    let mut rig = Rig::new(at_once());
    let _sold = buy(&mut rig, "hall:1", "ann", "card_success");
    let block = r#"{"reason":"A broken seat"}"#;
    let caller = rig.post("/Ticket/hall:2/block", block);
    assert!(!rig.answers.contains_key(&caller), "it is answered once it and its entry are stored, in one batch");
    assert_eq!(rig.batches.len(), 1);
    rig.store_all();
    assert_eq!(rig.asks("/Ticket/hall:1/block", block).kind, Some(Kind::TicketSold));
    for _ in 0..2 {
        let caller = rig.call(Door::Admin, "POST", "/SeatMap/hall/resetAll", "", Some((1, 1)));
        rig.store_all();
        assert_eq!(rig.answers[&caller].status, 200);
    }
    rig.crash();
    let (entries, next) = page(&mut rig, "/audit");
    assert_eq!(next, Value::Null);
    let at = rig.now.as_millis();
    let entry = |n: u64, asked: &str, about: &str| json!({ "n": n, "at": at, "who": "box office", "asked": asked, "about": about, "outcome": "done", "times": 1 });
    let mut blocked = [entry(2, "Ticket/block", "hall:1"), entry(1, "Ticket/block", "hall:2")];
    for entry in &mut blocked {
        entry["reason"] = json!("A broken seat");
    }
    blocked[0]["outcome"] = json!("TicketSold");
    let [refused, done] = blocked;
    assert_eq!(entries, [entry(3, "SeatMap/resetAll", "hall"), refused, done], "what came again is one thing");
    assert_eq!(all(&mut rig, "/audit?limit=2", "n"), [3, 2, 1].map(Value::from));
    assert_eq!(rig.asks("/bookings", "{}").status, 200);
    assert_eq!(all(&mut rig, "/audit?limit=9", "n").len(), 3, "reading is no deed");
}

#[test]
fn a_buyer_is_forgotten_in_all_bookings_and_on_all_maps_and_after_a_crash() {
    let mut rig = Rig::new(at_once());
    for (seat, user, card) in [
        ("hall:1", "ann", "card_success"),
        ("yard:1", "ann", "card_success"),
        ("hall:2", "ann", "card_decline"),
        ("hall:3", "bob", "card_success"),
    ] {
        let _checkout = buy(&mut rig, seat, user, card);
    }
    assert_eq!(rig.asks("/Ticket/hall:4/sell", r#"{"userId":"ann"}"#).status, 200);
    assert_eq!(rig.asks("/Ticket/hall:5/reserve", r#"{"userId":"ann"}"#).status, 200);
    let erase = |rig: &mut Rig| {
        let answer = rig.asks("/bookings/erase", r#"{"userId":"ann","reason":"Asked by letter"}"#);
        serde_json::from_str::<Value>(&answer.body).unwrap()
    };
    assert_eq!(erase(&mut rig), json!({ "bookings": 3, "tickets": 3, "left": 1 }));
    assert_eq!(erase(&mut rig), json!({ "bookings": 0, "tickets": 0, "left": 1 }), "they hold a seat still");
    rig.crash();
    let mut users = all(&mut rig, "/bookings?limit=9", "userId");
    users.sort_by_key(Value::to_string);
    assert_eq!(users, ["(erased)", "(erased)", "(erased)", "bob"]);
    let audit = rig.asks("/audit", "{}").body;
    assert!(audit.contains("Asked by letter") && !audit.contains("ann"), "{audit}");
}

#[test]
fn the_audit_keeps_the_last_ten_thousand_entries() {
    let mut rig = Rig::new(at_once());
    for _ in 0..10_003 {
        let entry = AuditEntry::refusals(None, Kind::Unauthorized, 1, rig.now);
        rig.hand(Input::Noted(entry));
        rig.store();
    }
    let kept = all(&mut rig, "/audit?limit=500", "n");
    assert_eq!((kept.len(), &kept[0], kept.last()), (10_000, &json!(10_003), Some(&json!(4))));
    let stored = rig.disk.keys().filter(|name| name.starts_with("audit")).count();
    assert_eq!(stored, 10_000, "what is forgotten takes no room on the disk either");
    rig.crash();
    rig.hand(Input::Noted(AuditEntry::refusals(None, Kind::Unauthorized, 1, rig.now)));
    rig.store();
    assert_eq!(page(&mut rig, "/audit?limit=1").0[0]["n"], 10_004, "numbers are not used again");
}
