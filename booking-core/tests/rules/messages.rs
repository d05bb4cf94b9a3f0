//! Messages from object to object (§6). While a new build takes over, both builds send and both are sent to. So what a
//! release has sent is kept, and every later build must read it and know all of it.

use std::fmt::Debug;
use std::mem::discriminant;
use std::sync::Arc;

use booking_core::checkout::{Contact, Order};
use booking_core::format;
use booking_core::ids::{HoldId, PaymentId};
use booking_core::inventory::{LineAnswer, LineCommand, LineReply};
use booking_core::map::ticket::{Reader, TicketRefusal};
use booking_core::map::{SeatMapRefusal, Seats};
use booking_core::payment::DeclineReason;
use booking_core::progress::Resolution;
use booking_core::terms::Terms;
use booking_core::time::{HoldTtl, Millis};
use booking_core::wire::{AtTheDoor, Call, MapCall, Operation, SeatMapCall, TicketCall};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::map_support::*;
use crate::wire::golden::requests;
use crate::wire::{layout, order};

/// What each release has sent, oldest first. A release's file never changes once it is out.
const RELEASES: [(&str, &str); 1] = [("0.1.0", include_str!("../fixtures/messages/0.1.0.jsonl"))];

fn line<T: Serialize>(of: &str, is: &str, message: &T) -> String {
    let json = String::from_utf8(format::write_json(message)).unwrap();
    format!(r#"{{"is":"{is}","of":"{of}","json":{json}}}"#)
}

fn claim(hold: HoldId, brought: bool) -> LineCommand {
    let (user, checkout, deadline) = (user("user-1"), checkout_id("c-1"), at(1_900_000));
    LineCommand::Claim { user, hold, brought, checkout, deadline, default_price: (!brought).then(|| usd(10_000)) }
}

/// Every call to a map that this build sends.
fn calls() -> Vec<(&'static str, MapCall)> {
    let (own, checkout) = (HoldId::of_checkout(&checkout_id("c-1")), checkout_id("c-1"));
    let seats = || Seats::new(vec![ticket_id("arena:A:2"), ticket_id("arena:A:1")]).unwrap();
    let line_of = |command| MapCall::Line(seats(), command);
    let confirm = LineCommand::Confirm { hold: own.clone(), checkout: checkout.clone(), fence: 3 };
    let revoke = LineCommand::Revoke { hold: own.clone(), checkout: checkout.clone(), deadline: at(1_900_000) };
    let door = AtTheDoor::new(&Terms::default(), at(NOW), hold_id("fresh"));
    let seat = |call| MapCall::Seat(ticket_id("arena:A:1"), call, door.clone());
    let ended = AtTheDoor { ended: Some(checkout), ..door.clone() };
    let (hold, ttl) = (|| Some(hold_id("hold-1")), HoldTtl::new(Millis::from_mins(5)).unwrap());
    vec![
        ("a checkout claims", line_of(claim(own, false))),
        ("a checkout claims a hold, sales closed", line_of(claim(hold_id("hold-1"), true))),
        ("a checkout confirms", line_of(confirm)),
        ("a checkout revokes", line_of(revoke)),
        ("a buyer looks", seat(TicketCall::Get(Reader::Anyone))),
        ("a buyer who shows a hold looks", seat(TicketCall::Get(Reader::Holder(hold_id("hold-1"))))),
        ("an operator looks", seat(TicketCall::Get(Reader::Operator))),
        ("a buyer reserves", seat(TicketCall::Reserve { user: user("user-1"), hold: None, nth: None, ttl: None })),
        (
            "a buyer reserves, and says how",
            seat(TicketCall::Reserve { user: user("user-1"), hold: hold(), nth: Some(2), ttl: Some(ttl) }),
        ),
        ("a buyer releases", seat(TicketCall::Release { hold: hold_id("hold-1"), nth: Some(3) })),
        ("the box office sells", seat(TicketCall::Sell { user: user("user-1") })),
        ("an operator blocks", seat(TicketCall::Block { reason: "A pillar".to_owned() })),
        ("an operator unblocks", seat(TicketCall::Unblock)),
        ("an operator lists", seat(TicketCall::List { price: usd(4_500) })),
        ("an operator resets a seat", seat(TicketCall::Reset { up_to: 7 })),
        (
            "an operator resets a seat that was sold",
            MapCall::Seat(ticket_id("arena:A:1"), TicketCall::Reset { up_to: 7 }, ended),
        ),
        ("the map is shown", MapCall::Map(SeatMapCall::Get)),
        ("the map is counted", MapCall::Map(SeatMapCall::Summary)),
        ("the plan is shown", MapCall::Map(SeatMapCall::Plan)),
        ("an operator publishes", MapCall::Map(SeatMapCall::Publish { layout: Arc::new(layout()) })),
        ("an operator resets", MapCall::Map(SeatMapCall::ResetAll)),
        (
            "an operator erases a buyer",
            MapCall::Map(SeatMapCall::Erase { user: user("user-1"), reason: "Asked by letter".to_owned() }),
        ),
        ("an operator recalls", MapCall::Map(SeatMapCall::Recall { seats: seats(), up_to: 7 })),
        ("the timer fires", MapCall::Expire(at(1_900_000))),
    ]
}

/// Every message that this build sends.
fn messages() -> Vec<String> {
    let refused = |ticket: Option<&str>, why| Err(SeatMapRefusal { ticket: ticket.map(ticket_id), why });
    let of = |why| refused(Some("arena:A:1"), why);
    let answers: [(&str, LineAnswer); 14] = [
        ("a map answers a claim", Ok(LineReply::Claimed { fence: 7, prices: vec![usd(500), usd(700)] })),
        ("a map answers a confirm", Ok(LineReply::Done)),
        ("reserved", of(TicketRefusal::TicketReserved { until: at(1_900_000) })),
        ("sold", of(TicketRefusal::TicketSold)),
        ("blocked", of(TicketRefusal::TicketBlocked)),
        ("not for sale", of(TicketRefusal::TicketNotForSale)),
        ("a checkout pays", of(TicketRefusal::CheckoutInProgress)),
        ("expired", of(TicketRefusal::HoldExpired)),
        ("no hold", of(TicketRefusal::HoldNotFound)),
        ("overtaken", refused(None, TicketRefusal::Overtaken { last: 4 })),
        ("two wishes of one number", refused(None, TicketRefusal::HoldInUse)),
        ("another edition", of(TicketRefusal::StaleEdition { edition: 2 })),
        ("full", refused(None, TicketRefusal::Overloaded)),
        ("expired, of no seat", refused(None, TicketRefusal::HoldExpired)),
    ];
    let contact = json!({ "email": "ann@example.com" });
    let contact = Contact::new(contact.as_object().unwrap()).unwrap();
    let orders = [
        ("an order", order(&["arena:A:1"], "card_success", None)),
        ("an order with all there is", order(&["a", "arena:A:1"], "card_1", Some("hold-1")).reached_by(Some(contact))),
    ];
    let why = || "Seen at the gateway".to_owned();
    let resolve = |resolution| Operation::Resolve { resolution, reason: why() };
    let operations = [
        ("cancel", Operation::Cancel { reason: why() }),
        ("captured", resolve(Resolution::Captured(PaymentId::parse("pay-1").unwrap()))),
        ("refused", resolve(Resolution::Refused(DeclineReason::new("No")))),
        ("let go", resolve(Resolution::LetGo)),
        ("paid back", resolve(Resolution::PaidBack)),
        ("notify", Operation::Notify),
        ("erase", Operation::Erase { reason: "Asked by letter".to_owned() }),
    ];
    let mut lines: Vec<String> = calls().iter().map(|(is, call)| line("call", is, call)).collect();
    lines.extend(answers.iter().map(|(is, answer)| line("answer", is, answer)));
    lines.extend(orders.iter().map(|(is, order)| line("order", is, order)));
    lines.extend(operations.iter().map(|(is, operation)| line("operation", is, operation)));
    lines
}

/// What is lost of a message that was read and is written again: the first field.
fn lost(was: &Value, is: &Value, path: &str) -> Option<String> {
    match (was, is) {
        (Value::Object(was), Value::Object(is)) => was.iter().find_map(|(name, was)| {
            let path = format!("{path}.{name}");
            // What is written as nothing may be left out.
            lost(was, is.get(name).unwrap_or(&Value::Null), &path)
        }),
        (Value::Array(was), Value::Array(is)) if was.len() == is.len() => {
            was.iter().zip(is).find_map(|(was, is)| lost(was, is, path))
        }
        _ => (was != is).then(|| format!("{path}: {was}, not {is}")),
    }
}

#[test]
fn a_field_that_a_build_does_not_keep_is_seen() {
    let was = json!({ "a": [{ "b": 1 }, 2], "c": null });
    assert_eq!(lost(&was, &json!({ "a": [{ "b": 1, "new": 3 }, 2] }), ""), None);
    assert_eq!(lost(&was, &json!({ "a": [{}, 2] }), "").as_deref(), Some(".a.b: 1, not null"));
    assert_eq!(lost(&was, &json!({ "a": [2] }), "").as_deref(), Some(r#".a: [{"b":1},2], not [2]"#));
}

/// Whether this is what a map is sent for such a request. `None` for a request that goes to no map.
pub(crate) fn is_sent_for(sent: &MapCall, asked: &Call) -> Option<bool> {
    let is_seat =
        |asked: &TicketCall| matches!(sent, MapCall::Seat(_, sent, _) if discriminant(sent) == discriminant(asked));
    let is_map = |asked: &SeatMapCall| matches!(sent, MapCall::Map(sent) if discriminant(sent) == discriminant(asked));
    match asked {
        Call::Ticket(_, asked) => Some(is_seat(asked)),
        // A watcher's socket is handed over.
        Call::SeatMap(_, SeatMapCall::Watch) => None,
        Call::SeatMap(_, asked) => Some(is_map(asked)),
        _ => None,
    }
}

#[test]
fn what_any_request_leads_to_is_among_the_messages() {
    let calls = calls();
    for (name, asked) in requests() {
        let sent: Vec<bool> = calls.iter().filter_map(|(_, sent)| is_sent_for(sent, &asked)).collect();
        assert!(sent.is_empty() || sent.contains(&true), "{name}: no message has {asked:?} in it");
    }
}

#[test]
fn every_message_from_object_to_object_is_as_the_release_has_it() {
    let release = env!("CARGO_PKG_VERSION");
    let (_, golden) = RELEASES.into_iter().find(|(known, _)| *known == release).unwrap_or_else(|| {
        panic!(
            "fixtures/messages/{release}.jsonl is what this release sends; write these lines:\n{}",
            messages().join("\n")
        )
    });
    let messages = messages();
    for (message, golden) in messages.iter().zip(golden.lines()) {
        assert_eq!(message, golden);
    }
    assert_eq!(messages.len(), golden.lines().count());
}

#[test]
fn this_build_reads_what_every_release_has_sent_and_keeps_all_of_it() {
    fn again<T: Serialize + DeserializeOwned + Debug>(json: &Value) -> Option<Value> {
        let message: T = format::read_json(json.to_string().as_bytes())?;
        serde_json::from_slice(&format::write_json(&message)).ok()
    }
    for (release, golden) in RELEASES {
        for line in golden.lines() {
            let Value::Object(line) = serde_json::from_str(line).unwrap() else { panic!("{release}: {line}") };
            let (is, json) = (&line["is"], &line["json"]);
            let read = match line["of"].as_str().unwrap() {
                "call" => again::<MapCall>(json),
                "answer" => again::<LineAnswer>(json),
                "order" => again::<Order>(json),
                "operation" => again::<Operation>(json),
                other => panic!("{release}: there is no {other}"),
            };
            let read = read.unwrap_or_else(|| panic!("{release}, {is}: this build cannot read it: {json}"));
            assert_eq!(lost(json, &read, ""), None, "{release}, {is}");
        }
    }
}
