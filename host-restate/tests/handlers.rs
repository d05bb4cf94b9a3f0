//! What this host tells Restate that it serves: the handlers of the core's list, behind their doors, with their schemas.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use booking_core::payment::{Payment, PaymentAnswer};
use booking_core::terms::Terms;
use booking_core::wire::{Door, Handler};
use booking_hosting::ports::PaymentGateway;
use bytes::Bytes;
use host_restate::{Host, Ports, endpoint};
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use serde_json::Value;

/// A gateway that nobody reaches.
struct Nobody;

#[async_trait]
impl PaymentGateway for Nobody {
    async fn pay(&self, payment: &Payment) -> PaymentAnswer {
        payment.unanswered()
    }
}

/// What the host tells Restate: each service and handler, with its description.
async fn discovered(admin: bool) -> BTreeMap<(String, String), Value> {
    let host = Host::new(Terms::default(), Ports { gateway: Arc::new(Nobody), notifier: None });
    let request = Request::get("/discover").header("accept", "application/vnd.restate.endpointmanifest.v4+json");
    let response = endpoint(&host, admin, &[]).unwrap().handle(request.body(Empty::<Bytes>::new()).unwrap());
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let manifest: Value = serde_json::from_slice(&body).unwrap();
    let mut handlers = BTreeMap::new();
    for service in manifest["services"].as_array().unwrap() {
        for handler in service["handlers"].as_array().unwrap() {
            let mut handler = handler.clone();
            if service["ingressPrivate"] == true {
                handler["ingressPrivate"] = true.into();
            }
            let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
            handlers.insert((name(service), name(&handler)), handler);
        }
    }
    handlers
}

/// Handlers of Restate alone: some are operators', and the others are called by handlers only.
const OWN: [(&str, &str, Option<Door>); 11] = [
    ("SeatMap", "seat", None),
    ("SeatMap", "turn", None),
    ("Layouts", "keep", None),
    ("Layouts", "get", None),
    ("Checkout", "recover", Some(Door::Admin)),
    ("Checkout", "letMoneyGo", None),
    ("Notifications", "deliver", None),
    ("Stuck", "report", None),
    ("Stuck", "resolve", Some(Door::Admin)),
    ("Stuck", "notify", Some(Door::Admin)),
    ("Stuck", "clear", None),
];

/// What the core's table has that is no handler on Restate: its ingress has its own ways to send and to ask, and knows no
/// WebSockets; an invocation is forgotten by Restate itself; the mock gateway is a process of its own, and health is asked of the server.
fn is_elsewhere(service: &str, handler: &str) -> bool {
    !["Ticket", "SeatMap", "Checkout"].contains(&service)
        || ["watch", "send", "status", "stuck", "cancel", "resolve", "notify"].contains(&handler)
        || (service, handler) == ("Checkout", "erase")
}

#[tokio::test]
async fn restate_is_told_the_handlers_of_the_cores_table_and_their_doors() {
    let listed = Handler::ALL.iter().map(|handler| (handler.service().as_str(), handler.name(), Some(handler.door())));
    let listed = listed.filter(|(service, handler, _)| !is_elsewhere(service, handler));
    let expected: BTreeMap<(String, String), Option<Door>> =
        listed.chain(OWN).map(|(service, handler, door)| ((service.to_owned(), handler.to_owned()), door)).collect();
    for (admin, open) in [(false, Door::Public), (true, Door::Admin)] {
        let discovered = discovered(admin).await;
        assert!(discovered.keys().eq(expected.keys()), "{:?}", discovered.keys());
        for (name, door) in &expected {
            let is_private = discovered[name]["ingressPrivate"] == true;
            assert_eq!(is_private, door.is_none_or(|door| door > open), "{name:?}, admin {admin}");
        }
    }
}

#[tokio::test]
async fn one_handler_of_a_map_has_it_for_itself_and_all_others_wait_for_nobody() {
    let discovered = discovered(false).await;
    let exclusive = discovered.iter().filter(|(_, handler)| handler["ty"] == "EXCLUSIVE");
    let exclusive: Vec<String> = exclusive.map(|((service, handler), _)| format!("{service}/{handler}")).collect();
    let stuck = ["Stuck/clear", "Stuck/notify", "Stuck/report", "Stuck/resolve"];
    assert_eq!(exclusive, [&["Layouts/keep", "SeatMap/turn"][..], &stuck].concat());
    // What writes is never given up halfway.
    for handler in ["Layouts/keep", "SeatMap/turn"] {
        let (service, handler) = handler.split_once('/').unwrap();
        let handler = &discovered[&(service.to_owned(), handler.to_owned())];
        assert_eq!(handler["retryPolicyOnMaxAttempts"], Value::Null, "{service}");
    }
}

#[tokio::test]
async fn what_goes_in_and_out_of_a_public_handler_has_its_schema() {
    let discovered = discovered(false).await;
    let handler = |service: &str, name: &str| discovered[&(service.to_owned(), name.to_owned())].clone();
    let process = handler("Checkout", "process");
    assert!(process["input"]["jsonSchema"].to_string().contains("ticketIds"), "{process}");
    assert!(process["output"]["jsonSchema"].to_string().contains("paymentId"), "{process}");
    let get = handler("Ticket", "get");
    assert_eq!(get["input"]["jsonSchema"], Value::Null, "what has a schema has to have a body");
    assert!(get["output"]["jsonSchema"].to_string().contains("reservedUntil"), "{get}");
}

#[test]
fn a_key_that_is_none_is_refused() {
    let host = Host::new(Terms::default(), Ports { gateway: Arc::new(Nobody), notifier: None });
    assert!(endpoint(&host, false, &["publickeyv1_w7YHemBctH5Ck2nQRQ47iBBqhNHy4FV7t2Usbye2A6f".into()]).is_ok());
    assert!(endpoint(&host, false, &["w7YHemBctH5Ck2nQRQ47".into()]).is_err());
}
