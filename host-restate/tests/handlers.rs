//! What Restate is told that this host serves: the handlers of the core's list, behind their doors, with their schemas.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use booking_core::payment::{Payment, PaymentAnswer};
use booking_core::terms::Terms;
use booking_core::wire::{self, Door};
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

/// What Restate is told: service and handler, and what of it.
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

/// Handlers of this host's own, which only it calls, and of which `recover` is an operator's.
const OWN: [(&str, &str, Door); 3] =
    [("Ticket", "hold", Door::Inner), ("Checkout", "recover", Door::Admin), ("Letters", "deliver", Door::Inner)];

/// What the core's list has that is no handler on Restate: its ingress has its own ways to send and to ask, and knows no
/// WebSockets; the mock gateway is a process of its own, and health is asked of the server.
fn is_elsewhere(service: &str, handler: &str) -> bool {
    !["Ticket", "SeatMap", "Checkout"].contains(&service) || ["watch", "send", "status"].contains(&handler)
}

#[tokio::test]
async fn restate_is_told_the_handlers_of_the_cores_list_and_their_doors() {
    let listed = wire::handlers().filter(|(service, handler, _)| !is_elsewhere(service, handler));
    let expected: BTreeMap<(String, String), Door> =
        listed.chain(OWN).map(|(service, handler, door)| ((service.to_owned(), handler.to_owned()), door)).collect();
    for (admin, open) in [(false, Door::Public), (true, Door::Admin)] {
        let discovered = discovered(admin).await;
        assert!(discovered.keys().eq(expected.keys()), "{:?}", discovered.keys());
        for (name, door) in &expected {
            let is_private = discovered[name]["ingressPrivate"] == true;
            assert_eq!(is_private, *door > open, "{name:?}, admin {admin}");
        }
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
