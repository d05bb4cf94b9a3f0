//! What is refused, how, and that nothing comes of it.

use serde_json::{Value, json};

use super::{Target, a_ticket, accepted, fresh, needs, refused, tickets_of_a_map};

pub(super) fn every_field_that_is_wrong_is_named(target: &Target) {
    let (reserve, process) = (format!("/Ticket/{}/reserve", a_ticket()), "/Checkout/process".to_owned());
    let long = "x".repeat(257);
    for (path, body, field) in [
        (&reserve, json!({}), "userId"),
        (&reserve, json!({ "userId": 7 }), "userId"),
        (&reserve, json!({ "userId": "" }), "userId"),
        (&reserve, json!({ "userId": long }), "userId"),
        (&reserve, json!({ "userId": "a\u{200b}b" }), "userId"),
        (&reserve, json!("\u{202e}ann"), "userId"),
        (&reserve, json!({ "userId": "ann", "holdId": "x".repeat(129) }), "holdId"),
        (&reserve, json!({ "userId": "ann", "holdId": ":c-1" }), "holdId"),
        (&reserve, json!({ "userId": "ann", "ttlMs": -1 }), "ttlMs"),
        (&reserve, json!({ "userId": "ann", "ttlMs": 1.5 }), "ttlMs"),
        (&reserve, json!({ "userId": "ann", "ttlMs": 1e300 }), "ttlMs"),
        (&reserve, json!({ "userId": "ann", "ttlMs": 9_007_199_254_740_992_u64 }), "ttlMs"),
        (&process, json!({}), "ticketId"),
        (&process, json!({ "ticketId": "..:7", "userId": "ann" }), "ticketId"),
        (&process, json!({ "ticketIds": [], "userId": "ann" }), "ticketIds"),
        (&process, json!({ "ticketIds": ["a", 7], "userId": "ann" }), "ticketIds[1]"),
        (&process, json!({ "ticketId": "a", "ticketIds": ["b"], "userId": "ann" }), "ticketIds"),
        (&process, json!({ "ticketId": "a" }), "userId"),
        (&process, json!({ "ticketId": "a", "userId": "ann", "paymentMethodId": [] }), "paymentMethodId"),
        (&process, json!({ "ticketId": "a", "userId": "ann", "contact": "ann@example.com" }), "contact"),
        (&process, json!({ "ticketId": "a", "userId": "ann", "contact": { "a": "x".repeat(1_100) } }), "contact"),
    ] {
        let got = target.public.post(path, &body);
        refused(&got, 400, "InvalidRequest");
        let message = got.text("message");
        assert!(message.starts_with(&format!("Invalid request: `{field}` ")), "{body}: {message}");
    }
    let got = target.public.post("/Ticket/%20/reserve", &json!("ann"));
    refused(&got, 400, "InvalidRequest");
    assert!(got.text("message").contains("`ticketId`"), "{}", got.text);
}

pub(super) fn a_field_that_is_not_known_is_refused(target: &Target) {
    let id = a_ticket();
    for body in [json!({ "userId": "ann", "price": 1 }), json!({ "userId": "ann", "ttlms": 1000 })] {
        refused(&target.reserve(&id, &body), 400, "InvalidRequest");
    }
    let twice = target.public.send("POST", &format!("/Ticket/{id}/reserve"), &[], br#"{"userId":"a","userId":"b"}"#);
    refused(&twice, 400, "InvalidRequest");
    refused(&target.public.post(&format!("/Ticket/{id}/get"), &json!({ "a": 1 })), 400, "InvalidRequest");
    assert_eq!(target.ticket(&id)["version"], 0);
}

pub(super) fn a_body_that_is_no_json_is_refused(target: &Target) {
    let id = a_ticket();
    let deep = "[".repeat(10_000);
    for body in ["{", "userId=ann", "\"ann", "nul", "\u{feff}\"ann\"", deep.as_str(), "{\"userId\":\"\\ud800\"}"] {
        let got = target.public.send("POST", &format!("/Ticket/{id}/reserve"), &[], body.as_bytes());
        refused(&got, 400, "InvalidRequest");
    }
    let got = target.public.send("POST", &format!("/Ticket/{id}/reserve"), &[], b"\"\xff\xfe\"");
    refused(&got, 400, "InvalidRequest");
    assert_eq!(target.ticket(&id)["version"], 0);
}

pub(super) fn a_body_may_have_16_kib_and_a_layout_2_mib(target: &Target) {
    let id = a_ticket();
    let padded = |bytes: usize| {
        let user = "\"ann\"";
        format!("{user}{}", " ".repeat(bytes - user.len()))
    };
    let reserve =
        |bytes: usize| target.public.send("POST", &format!("/Ticket/{id}/reserve"), &[], padded(bytes).as_bytes());
    refused(&reserve(16 * 1024 + 1), 413, "PayloadTooLarge");
    assert_eq!(target.ticket(&id)["version"], 0);
    accepted(&reserve(16 * 1024));
    let map = id.rsplit_once(':').unwrap().0;
    let publish = |bytes: usize| {
        let body = format!("{{}}{}", " ".repeat(bytes - 2));
        target.admin.send("POST", &format!("/SeatMap/{map}/layout"), &[], body.as_bytes())
    };
    refused(&publish(2 * 1024 * 1024 + 1), 413, "PayloadTooLarge");
    refused(&publish(2 * 1024 * 1024), 400, "InvalidRequest");
}

pub(super) fn a_hold_lasts_from_one_second_to_two_hours(target: &Target) {
    let id = a_ticket();
    let reserve = |ttl: u64| target.reserve(&id, &json!({ "userId": "ann", "ttlMs": ttl }));
    for ttl in [0, 999, 7_200_001, 9_007_199_254_740_991] {
        refused(&reserve(ttl), 422, "TtlOutOfRange");
    }
    assert_eq!(target.ticket(&id)["version"], 0);
    accepted(&reserve(7_200_000));
}

pub(super) fn a_checkout_takes_one_to_ten_tickets_each_once(target: &Target) {
    let (ids, _) = tickets_of_a_map(11);
    refused(&target.process(&json!({ "ticketIds": ids, "userId": "ann" })), 422, "TooManyTickets");
    let twice = json!({ "ticketIds": [ids[0], ids[1], ids[0]], "userId": "ann" });
    refused(&target.process(&twice), 422, "DuplicateTicket");
    assert_eq!(target.ticket(&ids[0])["version"], 0);
}

pub(super) fn a_taken_ticket_says_how_it_is_taken(target: &Target) {
    let id = a_ticket();
    let _anns = target.hold(&id, &fresh("ann"));
    let got = target.reserve(&id, &json!({ "userId": fresh("bob") }));
    refused(&got, 409, "TicketReserved");
    assert_eq!(got.text("message"), "Ticket is currently reserved");
    assert_eq!(got.body["version"], 1, "it says at which version it was so");
    let sold = a_ticket();
    accepted(&target.process(&json!({ "ticketId": sold, "userId": "ann" })));
    for user in ["ann", "bob"] {
        let got = target.reserve(&sold, &json!({ "userId": user }));
        refused(&got, 409, "TicketSold");
        assert_eq!(got.text("message"), "Ticket already sold");
        refused(&target.process(&json!({ "ticketId": sold, "userId": user })), 409, "TicketSold");
    }
}

pub(super) fn a_hold_that_is_over_cannot_be_paid_for(target: &Target) {
    let (id, user) = (a_ticket(), fresh("ann"));
    let got = target.reserve(&id, &json!({ "userId": user, "ttlMs": 1_000 }));
    let order = json!({ "ticketId": id, "userId": user, "holdId": got.text("holdId") });
    crate::eventually(|| (target.ticket(&id)["status"] == "AVAILABLE").then_some(()));
    refused(&target.process(&order), 410, "HoldExpired");
}

pub(super) fn a_hold_that_is_being_paid_for_cannot_be_released(target: &Target) {
    // It is being paid for while the gateway gives no answer, which is a few seconds: once more where those were over.
    crate::eventually(|| {
        let (id, user) = (a_ticket(), fresh("ann"));
        let hold = target.hold(&id, &user);
        let order = json!({ "ticketId": id, "userId": user, "holdId": hold, "paymentMethodId": "card_error" });
        let sent = target.public.post("/Checkout/process/send", &order);
        let release = || target.public.post(&format!("/Ticket/{id}/release"), &json!({ "holdId": hold }));
        crate::eventually(|| (target.ticket(&id)["version"].as_u64() >= Some(2)).then_some(()));
        let (released, bought) = (release(), target.process(&order));
        let checkout = sent.text("checkoutId");
        let was_paid_for = target.public.get(&format!("/Checkout/{checkout}")).body["status"] == "PENDING";
        if was_paid_for {
            refused(&released, 409, "CheckoutInProgress");
            refused(&bought, 409, "CheckoutInProgress");
            assert_eq!(target.end_of(&checkout)["kind"], "PaymentUnavailable");
            accepted(&release());
            assert_eq!(target.ticket(&id)["status"], "AVAILABLE");
        }
        was_paid_for.then_some(())
    });
}

pub(super) fn a_route_that_is_not_there_is_not_found(target: &Target) {
    let id = a_ticket();
    for path in
        ["/nowhere", "/Ticket", &format!("/Ticket/{id}"), &format!("/Ticket/{id}/steal"), "/Checkout", "/ticket/a/get"]
    {
        refused(&target.public.post(path, &json!({})), 404, "NotFound");
        refused(&target.public.get(path), 404, "NotFound");
    }
    refused(&target.public.get(&format!("/Checkout/{}", fresh("c"))), 404, "NotFound");
}

pub(super) fn a_method_that_a_route_does_not_take_is_refused_and_changes_nothing(target: &Target) {
    let id = a_ticket();
    for (method, path) in [
        ("GET", format!("/Ticket/{id}/reserve")),
        ("PUT", format!("/Ticket/{id}/reserve")),
        ("DELETE", format!("/Ticket/{id}/get")),
        ("PATCH", "/Checkout/process".to_owned()),
        ("GET", "/Checkout/process".to_owned()),
        ("POST", format!("/Checkout/{id}")),
        ("POST", "/health".to_owned()),
        ("QUERY", format!("/Ticket/{id}/get")),
    ] {
        let got = target.public.send(method, &path, &[], b"");
        refused(&got, 405, "MethodNotAllowed");
        assert!(got.headers.contains_key("allow"), "{method} {path}");
    }
    assert_eq!(target.ticket(&id)["version"], 0);
}

pub(super) fn an_error_tells_its_code_its_kind_and_a_message(target: &Target) {
    let got = target.reserve(&a_ticket(), &json!({}));
    let fields: Vec<&String> = got.body.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["code", "kind", "message"]);
    assert_eq!(got.headers["content-type"], "application/json");
}

pub(super) fn a_buyer_may_have_only_so_many_holds(target: &Target) {
    let ((ids, _), user) = (tickets_of_a_map(23), fresh("ann"));
    let body = json!({ "userId": user, "holdId": fresh("hold") });
    for id in &ids[..20] {
        accepted(&target.reserve(id, &body));
    }
    refused(&target.reserve(&ids[20], &body), 429, "RateLimited");
    accepted(&target.reserve(&ids[0], &body));
    // What a checkout would hold counts, too; what it is to pay for is held already.
    refused(&target.process(&json!({ "ticketId": ids[20], "userId": user })), 429, "RateLimited");
    accepted(&target.process(&json!({ "ticketId": ids[1], "userId": user, "holdId": body["holdId"] })));
    accepted(&target.process(&json!({ "ticketId": ids[20], "userId": user })));
    accepted(&target.reserve(&ids[21], &body));
    accepted(&target.public.post(&format!("/Ticket/{}/release", ids[0]), &json!({ "holdId": body["holdId"] })));
    accepted(&target.reserve(&ids[22], &body));
}

pub(super) fn closed_sales_sell_only_seats_of_a_layout(target: &Target) {
    let closed = needs(&target.closed, "a server with closed sales");
    let id = a_ticket();
    refused(&closed.post(&format!("/Ticket/{id}/reserve"), &json!("ann")), 409, "TicketNotForSale");
    refused(&closed.post("/Checkout/process", &json!({ "ticketId": id, "userId": "ann" })), 409, "TicketNotForSale");
    let price = json!({ "minor": 100, "currency": "USD" });
    accepted(&closed.post(&format!("/Ticket/{id}/list"), &json!({ "price": price })));
    refused(&closed.post("/Checkout/process", &json!({ "ticketId": id, "userId": "ann" })), 409, "TicketNotForSale");
    let (ids, map) = tickets_of_a_map(2);
    let layout =
        json!({ "rows": [{ "name": "A", "seats": [{ "ticketId": ids[0], "price": price, "x": 0, "y": 0 }] }] });
    accepted(&closed.post(&format!("/SeatMap/{map}/layout"), &layout));
    accepted(&closed.post("/Checkout/process", &json!({ "ticketId": ids[0], "userId": "ann" })));
    refused(
        &closed.post("/Checkout/process", &json!({ "ticketId": ids[1], "userId": "ann" })),
        409,
        "TicketNotForSale",
    );
}

pub(super) fn a_full_house_says_so_and_when_to_try_again(target: &Target) {
    let full = needs(&target.full, "a server that has no room for tickets");
    let id = a_ticket();
    for (path, body) in [
        (format!("/Ticket/{id}/reserve"), json!("ann")),
        ("/Checkout/process".to_owned(), json!({ "ticketId": id, "userId": "ann" })),
    ] {
        let got = full.post(&path, &body);
        refused(&got, 503, "Overloaded");
        assert_eq!(got.headers["retry-after"], "1");
    }
    assert_eq!(full.get(&format!("/Ticket/{id}/get")).body["version"], Value::from(0));
}
