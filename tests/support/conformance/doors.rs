//! Who may do what.

use booking_core::wire::{Door, Handler, Service};
use serde_json::{Value, json};

use super::{Guarded, Host, Target, a_ticket, accepted, fresh, needs, refused};

pub(super) fn messages_between_objects_come_from_nobody_else(target: &Target) {
    let id = a_ticket();
    let map = id.rsplit_once(':').unwrap().0;
    // What objects send one another, as they send it.
    let turn = |call: Value| (format!("/SeatMap/{map}/turn"), json!({ "call": call, "at": 1 }));
    let (deadline, price) = (9_000_000_000_000_u64, json!({ "minor": 1, "currency": "USD" }));
    let claim = json!({ "user": "ann", "hold": "h", "brought": false, "checkout": "c", "deadline": deadline, "defaultPrice": price });
    for (path, body) in [
        turn(json!({ "line": [[id], { "claim": claim }] })),
        turn(json!({ "line": [[id], { "revoke": { "hold": "h", "checkout": "c", "deadline": deadline } }] })),
        turn(json!({ "expire": deadline })),
        (format!("/SeatMap/{map}/seat"), json!({ "ticket": id, "call": { "sell": { "user": "ann" } } })),
    ] {
        target.unreachable(&target.public.post(&path, &body));
        target.unreachable(&target.admin.post(&path, &body));
    }
    assert_eq!(target.ticket(&id)["version"], 0);
    assert_eq!(target.public.get(&format!("/SeatMap/{map}/get")).body, json!([]));
}

pub(super) fn admin_handlers_need_the_admin_token(target: &Target) {
    let id = a_ticket();
    let map = id.rsplit_once(':').unwrap().0;
    let of_seats = Handler::ALL.iter().filter(|handler| handler.door() == Door::Admin);
    let named = |handler: &&Handler| matches!(handler.service(), Service::Ticket | Service::SeatMap);
    let handlers: Vec<&Handler> = of_seats.filter(named).collect();
    assert!(handlers.len() > 8, "{handlers:?}");
    for handler in handlers {
        let object = if handler.service() == Service::Ticket { &id } else { map };
        let (path, body) = (format!("/{}/{object}/{}", handler.service().as_str(), handler.name()), Value::Null);
        let got = target.public.post(&path, &body);
        assert!(matches!(got.status, 401 | 404), "{path}: {}", got.text);
        let got = target.public.with_token("not-the-right-token").post(&path, &body);
        refused(&got, 401, "Unauthorized");
    }
    assert_eq!(target.ticket(&id)["version"], 0);
}

pub(super) fn a_public_body_names_no_checkout(target: &Target) {
    let id = a_ticket();
    let claim = json!({ "userId": "ann", "holdId": "h", "checkout": "c-1", "deadline": 9_000_000_000_000_u64 });
    refused(&target.reserve(&id, &claim), 400, "InvalidRequest");
    let release = json!({ "holdId": "h", "checkout": "c-1" });
    refused(&target.public.post(&format!("/Ticket/{id}/release"), &release), 400, "InvalidRequest");
    assert_eq!(target.ticket(&id)["version"], 0);
}

pub(super) fn reading_changes_nothing_and_takes_either_method(target: &Target) {
    let id = a_ticket();
    let map = id.rsplit_once(':').unwrap().0;
    let of_the_map = ["get", "summary", "plan"].map(|handler| format!("/SeatMap/{map}/{handler}"));
    for path in of_the_map.into_iter().chain([format!("/Ticket/{id}/get")]) {
        let got = target.public.get(&path);
        accepted(&got);
        assert_eq!(target.public.post_nothing(&path).text, got.text);
        assert_eq!(target.public.post(&path, &json!({})).text, got.text);
        let head = target.public.send("HEAD", &path, &[], b"");
        // The ingress knows no HEAD.
        let status = if target.host == Host::Restate { 405 } else { 200 };
        assert_eq!((head.status, head.text.as_str()), (status, ""));
    }
    accepted(&target.health());
}

pub(super) fn nothing_but_health_is_told_without_a_token(target: &Target) {
    let Guarded { nobody, public, admin, .. } = needs(&target.guarded, "a server with tokens");
    let id = a_ticket();
    accepted(&nobody.get("/health"));
    for path in ["/nowhere", "/metrics", "/openapi.json", "/Checkout/c-1", "/api/mock-payment/ledger"] {
        refused(&nobody.get(path), 401, "Unauthorized");
        refused(&nobody.with_token(&fresh("a-wrong-token")).get(path), 401, "Unauthorized");
    }
    for path in [format!("/Ticket/{id}/get"), format!("/Ticket/{id}/reserve"), format!("/Ticket/{id}/sell")] {
        refused(&nobody.post(&path, &json!("ann")), 401, "Unauthorized");
    }
    refused(&public.post(&format!("/Ticket/{id}/sell"), &json!("ann")), 401, "Unauthorized");
    assert_eq!(public.get(&format!("/Ticket/{id}/get")).body["version"], 0);
    accepted(&public.post(&format!("/Ticket/{id}/reserve"), &json!("ann")));
    accepted(&admin.post(&format!("/Ticket/{}/sell", a_ticket()), &json!("ann")));
    // Whose token it is, is part of what a key belongs to.
    let (key, path) = (fresh("key"), format!("/Ticket/{}/reserve", a_ticket()));
    accepted(&public.post_keyed(&path, &key, &json!("ann")));
    refused(&admin.post_keyed(&path, &key, &json!("bob")), 409, "TicketReserved");
}

pub(super) fn the_description_names_every_route_that_is_there(target: &Target) {
    let got = target.public.get("/openapi.json");
    accepted(&got);
    let paths = got.body["paths"].as_object().unwrap();
    assert!(paths.len() > 20, "{}", paths.len());
    for (path, operations) in paths {
        let path = path.replace("{ticketId}", "t:1").replace("{mapKey}", "t").replace("{checkoutId}", "c");
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let is_described = operations.get(method.to_lowercase()).is_some();
            let got = target.admin.send(method, &path, &[], b"[]");
            assert_ne!(got.status == 405, is_described, "{method} {path}: {}", got.text);
        }
    }
}
