//! Seat maps, and those who watch them.

use std::io::Read as _;
use std::net::TcpStream;

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};

use crate::eventually;
use crate::http::Got;

use super::{Host, Target, accepted, fresh, needs, refused, tickets_of_a_map};

pub(super) fn a_map_shows_the_tickets_it_has_heard_of(target: &Target) {
    let (ids, map) = tickets_of_a_map(3);
    let get = || target.public.get(&format!("/SeatMap/{map}/get"));
    assert_eq!(get().body, json!([]));
    let _held = target.hold(&ids[1], "ann");
    accepted(&target.process(&json!({ "ticketId": ids[0], "userId": "ann" })));
    target.map_becomes(&map, &json!([{ "id": ids[0], "status": "SOLD" }, { "id": ids[1], "status": "RESERVED" }]));
}

pub(super) fn a_summary_counts_by_status(target: &Target) {
    let (ids, map) = tickets_of_a_map(4);
    let _held = target.hold(&ids[0], "ann");
    accepted(&target.process(&json!({ "ticketId": ids[1], "userId": "ann" })));
    accepted(&target.admin.post(&format!("/Ticket/{}/block", ids[2]), &json!({ "reason": "x" })));
    let released = target.hold(&ids[3], "bob");
    accepted(&target.public.post(&format!("/Ticket/{}/release", ids[3]), &json!({ "holdId": released })));
    // Without a layout, a map knows those that differ from how they were at first.
    let counts = json!({ "AVAILABLE": 0, "RESERVED": 1, "SOLD": 1, "BLOCKED": 1 });
    eventually(|| {
        let got = target.public.get(&format!("/SeatMap/{map}/summary"));
        (got.body["counts"] == counts).then(|| assert!(got.body["version"].as_u64().unwrap() >= 4))
    });
}

fn layout(ids: &[&String], minor: u64) -> Value {
    let seat = |(x, id)| json!({ "ticketId": id, "price": { "minor": minor, "currency": "USD" }, "x": x, "y": 0 });
    json!({ "rows": [{ "name": "A", "seats": ids.iter().enumerate().map(seat).collect::<Vec<_>>() }] })
}

pub(super) fn a_layout_gives_its_tickets_their_order_and_price(target: &Target) {
    let (ids, map) = tickets_of_a_map(3);
    let backwards: Vec<&String> = ids.iter().rev().collect();
    let got = target.admin.post(&format!("/SeatMap/{map}/layout"), &layout(&backwards, 4_500));
    accepted(&got);
    let version = got.body["version"].as_u64().unwrap();
    let changed = json!({ "edition": 1, "tickets": 3, "added": 3, "removed": 0, "repriced": 0, "version": version });
    assert_eq!(got.body, changed);
    let shown = |id: &&String| json!({ "id": id, "status": "AVAILABLE" });
    let all: Value = backwards.iter().map(shown).collect();
    target.map_becomes(&map, &all);
    eventually(|| (target.ticket(&ids[2])["version"] == 1).then_some(()));
    let got = target.reserve(&ids[2], &json!("ann"));
    assert_eq!(got.body["price"], json!({ "minor": 4_500, "currency": "USD" }));
}

pub(super) fn a_plan_is_the_layout_as_it_was_published(target: &Target) {
    let (ids, map) = tickets_of_a_map(3);
    let path = format!("/SeatMap/{map}/plan");
    let plan_is = |edition: u64, rows: &Value| {
        let public = &target.public;
        for got in [public.get(&path), public.post_nothing(&path), public.post(&path, &json!({}))] {
            accepted(&got);
            assert_eq!(got.body, json!({ "edition": edition, "rows": rows }));
        }
    };
    plan_is(0, &json!([]));
    // A map that has heard of a seat has no plan for that.
    let _held = target.hold(&ids[0], "ann");
    target.map_becomes(&map, &json!([{ "id": ids[0], "status": "RESERVED" }]));
    plan_is(0, &json!([]));
    let seat = |id: &str, minor: u64, x: u64, y: u64| {
        let price = json!({ "minor": minor, "currency": "EUR" });
        json!({ "ticketId": id, "price": price, "x": x, "y": y })
    };
    let rows = |minor: u64| {
        json!([
            { "name": "Stalls, 1", "seats": [seat(&ids[2], minor, 40, 0), seat(&ids[0], 900, 20, 0)] },
            { "name": "Balcony", "seats": [seat(&ids[1], 0, 4_000_000_000, 7)] },
        ])
    };
    for (edition, minor) in [(1, 4_500), (2, 5_000)] {
        let published = target.admin.post(&format!("/SeatMap/{map}/layout"), &json!({ "rows": rows(minor) }));
        accepted(&published);
        assert_eq!(published.body["edition"], edition);
        plan_is(edition, &rows(minor));
    }
}

pub(super) fn a_plan_is_sent_once_to_who_keeps_it_and_small_to_who_takes_that(target: &Target) {
    let (ids, map) = tickets_of_a_map(50);
    let publish = |minor| {
        let layout = layout(&ids.iter().collect::<Vec<_>>(), minor);
        accepted(&target.admin.post(&format!("/SeatMap/{map}/layout"), &layout));
    };
    let plan = |headers: &[(&str, &str)]| target.public.send("GET", &format!("/SeatMap/{map}/plan"), headers, b"");
    let tag = |got: &Got| got.headers["etag"].to_str().unwrap().to_owned();
    publish(4_500);
    let plain = plan(&[("Accept-Encoding", "identity")]);
    accepted(&plain);
    assert_eq!(plain.body["edition"], 1);
    assert!(!plain.headers.contains_key("content-encoding"));
    let small = plan(&[("Accept-Encoding", "br;q=0.5, gzip")]);
    assert_eq!(small.headers["content-encoding"], "gzip");
    assert!(4 * small.bytes.len() < plain.bytes.len());
    let mut whole = Vec::new();
    GzDecoder::new(small.bytes.as_slice()).read_to_end(&mut whole).unwrap();
    assert_eq!(whole, plain.bytes);
    for got in [&plain, &small] {
        assert_eq!(got.headers["cache-control"], "no-cache");
        let has_it = plan(&[("If-None-Match", &tag(got))]);
        assert_eq!((has_it.status, has_it.bytes.len()), (304, 0));
        assert_eq!(tag(&has_it).trim_start_matches("W/"), tag(&plain).trim_start_matches("W/"));
    }
    publish(5_000);
    let other = plan(&[("If-None-Match", &tag(&plain))]);
    assert_eq!((other.status, &other.body["edition"]), (200, &json!(2)));
    assert_ne!(tag(&other), tag(&plain));
}

pub(super) fn the_same_layout_again_changes_nothing(target: &Target) {
    let (ids, map) = tickets_of_a_map(2);
    let ids: Vec<&String> = ids.iter().collect();
    let publish = |minor: u64| target.admin.post(&format!("/SeatMap/{map}/layout"), &layout(&ids, minor));
    let version = || target.public.get(&format!("/SeatMap/{map}/summary")).body["version"].clone();
    accepted(&publish(100));
    assert_eq!(version(), 1);
    assert_eq!(publish(100).body["edition"], 1);
    assert_eq!(version(), 1);
    assert_eq!(publish(200).body["edition"], 2);
    eventually(|| (target.ticket(ids[0])["version"] == 2).then_some(()));
}

pub(super) fn a_layout_names_each_of_its_tickets_once_and_no_others(target: &Target) {
    let ((ids, map), (others, _)) = (tickets_of_a_map(2), tickets_of_a_map(1));
    let publish = |ids: &[&String]| target.admin.post(&format!("/SeatMap/{map}/layout"), &layout(ids, 100));
    refused(&publish(&[&ids[0], &ids[1], &ids[0]]), 422, "DuplicateTicket");
    refused(&publish(&[&ids[0], &others[0]]), 400, "InvalidRequest");
    refused(&publish(&[]), 400, "InvalidRequest");
    assert_eq!(target.public.get(&format!("/SeatMap/{map}/get")).body, json!([]));
}

pub(super) fn a_reset_of_the_whole_map_leaves_live_holds(target: &Target) {
    let (ids, map) = tickets_of_a_map(3);
    accepted(&target.process(&json!({ "ticketIds": ids[..2], "userId": "ann" })));
    let _held = target.hold(&ids[2], "bob");
    let shown = |statuses: [&str; 3]| -> Value {
        ids.iter().zip(statuses).map(|(id, status)| json!({ "id": id, "status": status })).collect()
    };
    target.map_becomes(&map, &shown(["SOLD", "SOLD", "RESERVED"]));
    let got = target.admin.post_nothing(&format!("/SeatMap/{map}/resetAll"));
    accepted(&got);
    let version = got.body["version"].as_u64().unwrap();
    assert_eq!(got.body, json!({ "tickets": 2, "version": version }));
    target.map_becomes(&map, &json!([{ "id": ids[2], "status": "RESERVED" }]));
}

pub(super) fn a_recall_ends_holds_that_have_not_changed_since_and_leaves_what_is_being_paid_for(target: &Target) {
    let (ids, map) = tickets_of_a_map(3);
    let recall = |ids: &[String], up_to: u64| {
        target.admin.post(&format!("/SeatMap/{map}/recall"), &json!({ "ticketIds": ids, "upTo": up_to }))
    };
    let _held = target.hold(&ids[0], "ann");
    let seen = target.ticket(&ids[0])["version"].as_u64().unwrap();
    let _held_later = target.hold(&ids[1], "bob");
    accepted(&target.process(&json!({ "ticketId": ids[2], "userId": "eve" })));
    accepted(&recall(&ids, seen));
    let statuses: Vec<_> = ids.iter().map(|id| target.ticket(id)["status"].clone()).collect();
    assert_eq!(statuses, ["AVAILABLE", "RESERVED", "SOLD"]);
    refused(&recall(&[], 1), 400, "InvalidRequest");
    refused(&recall(&[ids[0].clone(), ids[0].clone()], 1), 422, "DuplicateTicket");
    refused(&recall(&[super::a_ticket()], 1), 400, "InvalidRequest");
}

pub(super) fn a_map_forgets_a_buyer_and_stays_sold(target: &Target) {
    let (ids, map) = tickets_of_a_map(3);
    let buyer = format!("{map}-buyer");
    accepted(&target.admin.post(&format!("/Ticket/{}/sell", ids[0]), &json!(buyer)));
    accepted(&target.process(&json!({ "ticketId": ids[1], "userId": "bob" })));
    let _held = target.hold(&ids[2], &buyer);
    // Restate does not tell operators from buyers.
    let shown = |who: &str| if target.host == Host::Restate { Value::Null } else { json!(who) };
    let seen = |id: &String| {
        let seen = target.admin.get(&format!("/Ticket/{id}/get")).body;
        [seen["status"].clone(), seen["reservedBy"].clone()]
    };
    assert_eq!(seen(&ids[0]), [json!("SOLD"), shown(&buyer)]);
    let erase = |body: &Value| target.admin.post(&format!("/SeatMap/{map}/erase"), body);
    let body = json!({ "userId": buyer, "reason": "Asked by letter" });
    for erased in [1, 0] {
        let got = erase(&body);
        accepted(&got);
        let version = got.body["version"].as_u64().unwrap();
        assert_eq!(got.body, json!({ "tickets": erased, "held": 1, "version": version }));
    }
    assert_eq!(seen(&ids[0]), [json!("SOLD"), shown("(erased)")]);
    assert_eq!(seen(&ids[1]), [json!("SOLD"), shown("bob")]);
    assert_eq!(seen(&ids[2]), [json!("RESERVED"), shown(&buyer)]);
    refused(&erase(&json!({ "userId": "(erased)", "reason": "Asked by letter" })), 400, "InvalidRequest");
    refused(&erase(&json!({ "userId": buyer })), 400, "InvalidRequest");
}

/// One who watches a map.
struct Watcher(WebSocket<TcpStream>);

impl Watcher {
    fn of(base: &str, map: &str, protocols: &str) -> Result<Self, Option<u16>> {
        let address = base.strip_prefix("http://").unwrap();
        let mut request = format!("ws://{address}/SeatMap/{map}/watch").into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocols.parse().unwrap());
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(crate::PATIENCE)).unwrap();
        match tungstenite::client(request, stream) {
            Ok((socket, response)) => {
                assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "booking.watch.v1");
                Ok(Self(socket))
            }
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                Err(Some(response.status().as_u16()))
            }
            Err(_) => Err(None),
        }
    }

    fn hears(&mut self) -> Value {
        loop {
            match self.0.read().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn says(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }
}

pub(super) fn a_watcher_sees_a_snapshot_and_every_change(target: &Target) {
    let (ids, map) = tickets_of_a_map(2);
    accepted(&target.admin.post(&format!("/SeatMap/{map}/layout"), &layout(&ids.iter().collect::<Vec<_>>(), 100)));
    let mut watcher = Watcher::of(target.public.base(), &map, "booking.watch.v1").ok().unwrap();
    assert_eq!(watcher.hears(), json!({ "type": "snapshot", "version": 1, "edition": 1, "seats": "AA" }));
    let hold = target.hold(&ids[0], "ann");
    accepted(&target.public.post(&format!("/Ticket/{}/release", ids[0]), &json!({ "holdId": hold })));
    accepted(&target.process(&json!({ "ticketId": ids[1], "userId": "bob" })));
    let mut deltas = Vec::new();
    while deltas.len() < 4 {
        let heard = watcher.hears();
        assert_eq!(heard["type"], "deltas");
        deltas.extend(heard["deltas"].as_array().unwrap().clone());
    }
    let delta = |version: u64, id: &str, status: &str| json!({ "version": version, "tickets": [{ "id": id, "status": status }] });
    assert_eq!(
        deltas,
        [
            delta(2, &ids[0], "RESERVED"),
            delta(3, &ids[0], "AVAILABLE"),
            delta(4, &ids[1], "RESERVED"),
            delta(5, &ids[1], "SOLD")
        ]
    );
    // Another layout has another order, so it brings a snapshot.
    let backwards: Vec<&String> = ids.iter().rev().collect();
    accepted(&target.admin.post(&format!("/SeatMap/{map}/layout"), &layout(&backwards, 100)));
    assert_eq!(watcher.hears(), json!({ "type": "snapshot", "version": 6, "edition": 2, "seats": "SA" }));
}

pub(super) fn a_change_of_several_tickets_is_one_delta(target: &Target) {
    let (ids, map) = tickets_of_a_map(2);
    let mut watcher = Watcher::of(target.public.base(), &map, "booking.watch.v1").ok().unwrap();
    let empty = json!({ "type": "snapshot", "version": 0, "edition": 0, "tickets": [] });
    assert_eq!(watcher.hears(), empty);
    accepted(&target.process(&json!({ "ticketIds": ids, "userId": "ann" })));
    let mut deltas = Vec::new();
    while deltas.len() < 2 {
        deltas.extend(watcher.hears()["deltas"].as_array().unwrap().clone());
    }
    let all = |version: u64, status: &str| {
        let tickets: Value = ids.iter().map(|id| json!({ "id": id, "status": status })).collect();
        json!({ "version": version, "tickets": tickets })
    };
    assert_eq!(deltas, [all(1, "RESERVED"), all(2, "SOLD")]);
}

pub(super) fn a_watcher_of_a_large_map_is_sent_little_at_first(target: &Target) {
    let map = fresh("hall");
    let ids: Vec<String> = (0..LARGE).map(|n| format!("{map}:{n}")).collect();
    accepted(&target.admin.post(&format!("/SeatMap/{map}/layout"), &layout(&ids.iter().collect::<Vec<_>>(), 100)));
    let mut watcher = Watcher::of(target.public.base(), &map, "booking.watch.v1").ok().unwrap();
    let snapshot = watcher.hears();
    assert_eq!(snapshot["seats"].as_str().map(str::len), Some(LARGE));
    assert!(snapshot.to_string().len() <= 20_000);
}

/// As many seats as an arena has.
const LARGE: usize = 9_000;

pub(super) fn a_watcher_that_asks_gets_a_snapshot(target: &Target) {
    let (ids, map) = tickets_of_a_map(1);
    let mut watcher = Watcher::of(target.public.base(), &map, "booking.watch.v1").ok().unwrap();
    assert_eq!(watcher.hears(), json!({ "type": "snapshot", "version": 0, "edition": 0, "tickets": [] }));
    let _held = target.hold(&ids[0], "ann");
    assert_eq!(watcher.hears()["type"], "deltas");
    watcher.says(r#"{"type":"snapshot"}"#);
    let tickets = json!([{ "id": ids[0], "status": "RESERVED" }]);
    assert_eq!(watcher.hears(), json!({ "type": "snapshot", "version": 1, "edition": 0, "tickets": tickets }));
}

pub(super) fn a_watcher_that_pings_is_answered(target: &Target) {
    let mut watcher = Watcher::of(target.public.base(), &fresh("hall"), "booking.watch.v1").ok().unwrap();
    assert_eq!(watcher.hears()["type"], "snapshot");
    for ping in [r#"{"type":"ping"}"#, r#"{ "type": "ping" }"#] {
        watcher.says(ping);
        assert_eq!(watcher.hears(), json!({ "type": "pong" }));
    }
}

pub(super) fn a_watcher_that_says_something_else_is_sent_away(target: &Target) {
    // Longer than a close frame, and not to be cut anywhere.
    let odd = format!(r#"{{"type":"snapshot","{}":1}}"#, "\u{1F600}".repeat(64));
    for wrong in ["hello", "{}", r#"{"type":"reserve"}"#, r#"{"type":"snapshot","and":1}"#, &odd] {
        let mut watcher = Watcher::of(target.public.base(), &fresh("hall"), "booking.watch.v1").ok().unwrap();
        assert_eq!(watcher.hears()["type"], "snapshot");
        watcher.says(wrong);
        match watcher.0.read().unwrap() {
            Message::Close(Some(close)) => assert_eq!(u16::from(close.code), 1008, "{wrong}"),
            other => panic!("{wrong}: {other:?}"),
        }
    }
}

pub(super) fn a_watcher_needs_a_token_where_others_do(target: &Target) {
    let guarded = needs(&target.guarded, "a server with tokens");
    let (base, map) = (guarded.nobody.base(), fresh("hall"));
    let refused = |protocols: &str| Watcher::of(base, &map, protocols).err().flatten();
    assert_eq!(refused("booking.watch.v1"), Some(401));
    assert_eq!(refused("booking.watch.v1, booking.token.a-token-that-is-wrong"), Some(401));
    let protocols = format!("booking.watch.v1, booking.token.{}", guarded.token);
    let mut watcher = Watcher::of(base, &map, &protocols).ok().unwrap();
    assert_eq!(watcher.hears()["type"], "snapshot");
}

pub(super) fn a_watch_that_is_no_websocket_is_refused(target: &Target) {
    refused(&target.public.get(&format!("/SeatMap/{}/watch", fresh("hall"))), 400, "InvalidRequest");
    let other = Watcher::of(target.public.base(), &fresh("hall"), "mqtt");
    assert_eq!(other.err().flatten(), Some(400));
}
