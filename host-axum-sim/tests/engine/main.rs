//! The engine by itself, on a rig: see `rig`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails"
)]

mod lists;
mod operators;
mod rig;

use std::collections::BTreeMap;

use booking_core::effect::Outcome;
use booking_core::ids::{MapKey, TicketId};
use booking_core::life::NotificationStatus;
use booking_core::payment::Payment;
use booking_core::time::{Millis, Timestamp};
use booking_core::wire::{Answer, Door, Kind};
use host_axum_sim::engine::{Caller, Gateway, Input, Limits, Notifier, Settings};
use proptest::prelude::*;

use rig::*;

#[test]
fn nothing_is_said_before_what_it_rests_on_is_stored() {
    let mut rig = Rig::new(at_once());
    let reserve = rig.post("/Ticket/a:1/reserve", "\"ann\"");
    assert!(rig.answers.is_empty() && rig.news == 0, "neither an answer nor news");
    let get = rig.call(Door::Public, "GET", "/Ticket/a:1/get", "", None);
    let refused = rig.post("/Ticket/a:1/reserve", "\"bob\"");
    let elsewhere = rig.call(Door::Public, "GET", "/health", "", None);
    assert!(rig.answers.is_empty(), "a look and a refusal rest on it too");
    rig.store_all();
    assert_eq!(rig.answers[&reserve].status, 200);
    assert!(rig.answers[&get].body.contains("RESERVED"));
    assert_eq!(rig.answers[&refused].kind, Some(Kind::TicketReserved));
    assert_eq!((rig.answers[&elsewhere].status, rig.news), (200, 1));
}

#[test]
fn the_gateway_is_not_asked_before_that_is_stored_either() {
    let mut rig = Rig::new(outside());
    let _asked = rig.post("/Checkout/process", &order(&["a:1"], "card_success"));
    assert_eq!((rig.batches.len(), rig.performing.len()), (1, 0));
    rig.store();
    assert_eq!(rig.performing.len(), 1);
    rig.pay();
    assert_eq!(rig.performing.len(), 0, "nor is the capture");
    rig.store();
    assert_eq!(rig.performing.len(), 1);
}

#[test]
fn the_same_inputs_give_the_same_outputs() {
    let run = || {
        let mut rig = Rig::new(Settings { gateway: Gateway::Mock { delay: Millis(40) }, ..Settings::default() });
        for n in 0..40 {
            let _held = rig.post(&format!("/Ticket/a:{}/reserve", n % 7), &format!("\"user-{}\"", n % 5));
            let _bought = rig.post("/Checkout/process", &order(&[&format!("b:{}", n % 9)], "card_flaky"));
            rig.pass(15);
            rig.store();
        }
        rig.rest();
        let answers: Vec<String> = rig.answers.values().map(|answer| answer.body.clone()).collect();
        (answers, rig.disk.values().flat_map(booking_core::format::write).collect::<Vec<u8>>())
    };
    assert_eq!(run(), run());
}

#[test]
fn a_hold_ends_by_itself_and_its_map_hears_of_it() {
    let mut rig = Rig::new(at_once());
    let _held = rig.asks("/Ticket/a:1/reserve", r#"{"userId":"ann","ttlMs":5000}"#);
    assert_eq!(rig.engine.wake_at(), Some(Timestamp::from_millis(START + 5_000)));
    rig.crash();
    assert_eq!(rig.engine.wake_at(), Some(Timestamp::from_millis(START + 5_000)), "a crash loses no timer");
    rig.pass(5_000);
    rig.store_all();
    assert_eq!(rig.asks("/SeatMap/a/get", "").body, "[]", "nothing is stored of it any more");
    assert!(rig.engine.is_at_rest());
}

#[test]
fn holds_that_end_by_themselves_are_counted_once_and_no_others() {
    let mut rig = Rig::new(at_once());
    let lapsed = |rig: &Rig| rig.engine.stats(rig.now).holds_lapsed;
    let hold = |rig: &mut Rig, ticket: &str, ttl: u64| {
        let body = format!(r#"{{"userId":"ann","holdId":"h-{ticket}-{ttl}","ttlMs":{ttl}}}"#);
        assert_eq!(rig.asks(&format!("/Ticket/{ticket}/reserve"), &body).status, 200);
    };
    for ticket in ["a:timer", "a:command", "a:look", "a:released", "a:sold"] {
        hold(&mut rig, ticket, 5_000);
    }
    assert_eq!(rig.asks("/Ticket/a:released/release", r#"{"holdId":"h-a:released-5000"}"#).status, 200);
    let sold = r#"{"ticketId":"a:sold","userId":"ann","holdId":"h-a:sold-5000"}"#;
    assert_eq!(rig.asks("/Checkout/process", sold).status, 200);
    rig.now = rig.now.plus(Millis(5_000));
    assert!(rig.asks_get("/Ticket/a:look/get").body.contains("AVAILABLE"));
    assert_eq!(lapsed(&rig), 0, "a look takes nothing back, nor does a refusal");
    hold(&mut rig, "a:command", 9_000);
    assert_eq!(lapsed(&rig), 1, "taken away by the next hold, before its timer fired");
    rig.pass(0);
    rig.pass(0);
    assert_eq!(lapsed(&rig), 3);
    // A hold that a checkout makes is no buyer's: it ends with that.
    assert_eq!(rig.asks("/Checkout/process", &order(&["a:own"], "card_decline")).status, 402);
    rig.pass(8_999);
    assert_eq!(lapsed(&rig), 3);
    rig.pass(1);
    assert_eq!(lapsed(&rig), 4);
    rig.pass(3_600_000);
    assert_eq!(lapsed(&rig), 4);
}

#[test]
fn a_payment_that_is_asked_again_as_its_answer_was_unknown_is_counted() {
    for (card, retries) in
        [("card_success", 0), ("card_flaky", 4), ("card_lost", 1), ("card_decline", 0), ("card_error", 4)]
    {
        let mut rig = Rig::new(at_once());
        let _asked = rig.post("/Checkout/process", &order(&["a:1"], card));
        rig.rest();
        assert_eq!(rig.engine.stats(rig.now).payment_retries, retries, "{card}");
    }
    // Also a capture, and an undo; and not where there is no time to ask again.
    let mut rig = Rig::new(outside());
    let _asked = rig.post("/Checkout/process", &order(&["a:1"], "card_success"));
    rig.store();
    rig.pay();
    rig.store();
    let (op, payment) = rig.performing.remove(0);
    assert!(matches!(payment, Payment::Capture(_)));
    rig.hand(Input::Outcome(op, Outcome::Paid(payment.unanswered())));
    rig.store_all();
    assert_eq!(rig.engine.stats(rig.now).payment_retries, 0, "it waits first");
    rig.rest();
    assert_eq!(rig.engine.stats(rig.now).payment_retries, 1);
    let _asked = rig.post("/Checkout/process", &order(&["a:2"], "card_success"));
    rig.store();
    let (op, payment) = rig.performing.remove(0);
    rig.hand(Input::Outcome(op, Outcome::Paid(payment.unanswered())));
    rig.store_all();
    rig.pass(16 * 60_000);
    rig.store_all();
    assert_eq!(rig.engine.stats(rig.now).payment_retries, 1, "its time is over");
    let (op, payment) = rig.performing.remove(0);
    assert!(matches!(payment, Payment::Void(_)));
    rig.hand(Input::Outcome(op, Outcome::Paid(payment.unanswered())));
    rig.rest();
    assert_eq!(rig.engine.stats(rig.now).payment_retries, 2);
}

#[test]
fn holding_and_letting_go_leaves_no_more_than_the_maps_one_timer() {
    let mut rig = Rig::new(at_once());
    for n in 0..100 {
        let body = format!(r#"{{"userId":"ann","holdId":"h-{n}"}}"#);
        assert_eq!(rig.asks("/Ticket/a:1/reserve", &body).status, 200);
        assert_eq!(rig.engine.stats(rig.now).timers, 1);
        assert_eq!(rig.asks("/Ticket/a:1/release", &format!(r#"{{"holdId":"h-{n}"}}"#)).status, 200);
        assert_eq!(rig.engine.stats(rig.now).timers, 1, "it finds nothing when it fires");
    }
    rig.rest();
    assert_eq!(rig.engine.stats(rig.now).timers, 0);
}

#[test]
fn what_is_refused_or_only_looked_at_leaves_nothing_behind() {
    let mut rig = Rig::new(at_once());
    for n in 0..50 {
        let _seen = rig.asks(&format!("/Ticket/a:{n}/get"), "");
        let _seen = rig.asks(&format!("/SeatMap/m-{n}/summary"), "");
        assert_eq!(rig.asks(&format!("/Ticket/a:{n}/release"), r#"{"holdId":"x"}"#).status, 200);
        assert_eq!(rig.asks(&format!("/SeatMap/m-{n}/resetAll"), "").status, 200);
    }
    // But that an operator has asked for a reset.
    let audited = rig.disk.keys().filter(|name| name.starts_with("audit ")).count();
    assert!(rig.engine.maps().is_empty() && (audited, rig.disk.len()) == (50, 50));
}

#[test]
fn a_wait_that_was_begun_before_a_crash_is_not_begun_anew() {
    let mut rig = Rig::new(at_once());
    let _asked = rig.post("/Checkout/process", &order(&["a:1"], "card_flaky"));
    rig.store_all();
    rig.pass(150);
    rig.crash();
    rig.pass(50);
    rig.store_all();
    let account = rig.engine.ledger().accounts().next().unwrap().1.clone();
    assert_eq!(account.authorize_calls, 2, "200 ms are over");
}

#[test]
fn finished_checkouts_and_keys_are_kept_for_their_time_and_then_forgotten() {
    let mut rig = Rig::new(Settings { keep_for: Millis(1_000), ..at_once() });
    let bought = rig.call(Door::Public, "POST", "/Checkout/process", &order(&["a:1"], "card_success"), Some((1, 1)));
    let reserved = rig.call(Door::Public, "POST", "/Ticket/a:2/reserve", "\"ann\"", Some((2, 2)));
    rig.store_all();
    let (bought, reserved) = (rig.answers[&bought].clone(), rig.answers[&reserved].clone());
    let again = |rig: &mut Rig| {
        let bought =
            rig.call(Door::Public, "POST", "/Checkout/process", &order(&["a:1"], "card_success"), Some((1, 1)));
        let reserved = rig.call(Door::Public, "POST", "/Ticket/a:2/reserve", "\"ann\"", Some((2, 2)));
        rig.store_all();
        (rig.answers[&bought].clone(), rig.answers[&reserved].clone())
    };
    rig.pass(999);
    rig.store_all();
    rig.crash();
    assert_eq!(again(&mut rig), (bought, reserved));
    let stats = rig.engine.stats(rig.now);
    assert!(stats.kept == 2 && stats.kept_bytes > 0);
    rig.pass(1);
    rig.store_all();
    let stats = rig.engine.stats(rig.now);
    assert_eq!((stats.kept, stats.kept_bytes), (0, 0));
    assert_eq!(rig.engine.ledger().accounts().count(), 0);
    assert_eq!(again(&mut rig).0.kind, Some(Kind::TicketSold), "the key is new");
    let left: Vec<&String> = rig.disk.keys().filter(|name| name.starts_with("account")).collect();
    assert_eq!(left, Vec::<&String>::new());
}

#[test]
fn a_key_that_was_used_with_other_bytes_is_refused_also_after_a_crash() {
    let mut rig = Rig::new(at_once());
    let reserve = |rig: &mut Rig, request: u8| {
        let caller = rig.call(Door::Public, "POST", "/Ticket/a:1/reserve", "\"ann\"", Some((1, request)));
        rig.store_all();
        rig.answers[&caller].clone()
    };
    let first = reserve(&mut rig, 1);
    rig.crash();
    assert_eq!(reserve(&mut rig, 2).kind, Some(Kind::IdempotencyKeyReused));
    assert_eq!(reserve(&mut rig, 1), first);
}

#[test]
fn at_the_limit_of_bookings_new_ones_are_refused_and_none_is_forgotten() {
    let limits = Limits { kept_bytes: 24_000, ..Limits::default() };
    let mut rig = Rig::new(Settings { limits, ..at_once() });
    let mut buy = |n: u8| {
        let order = order(&[&format!("a:{n}")], "card_success");
        let caller = rig.call(Door::Public, "POST", "/Checkout/process", &order, Some((n, n)));
        rig.store_all();
        rig.answers[&caller].clone()
    };
    let first: Vec<Answer> = (0..100).map(&mut buy).collect();
    let done = first.iter().take_while(|answer| answer.status == 200).count();
    assert!((5..20).contains(&done), "{done}");
    assert!(first[done..].iter().all(|answer| answer.kind == Some(Kind::Overloaded)));
    for (n, answer) in (0..100).zip(&first) {
        assert_eq!(buy(n), *answer, "each is answered as before");
    }
    let sold = rig.engine.stored_seats();
    assert_eq!(sold, done as u64, "what was refused has changed nothing");
    assert!(rig.engine.stats(rig.now).kept_bytes <= 24_000);
    rig.pass(24 * 60 * 60 * 1_000);
    assert_eq!(rig.asks("/Checkout/process", &order(&["a:99"], "card_success")).status, 200, "and then there is room");
}

/// How many bytes of each kind are kept.
fn kept(rig: &Rig) -> BTreeMap<&'static str, u64> {
    rig.engine.stats(rig.now).filled.iter().map(|filled| (filled.what, filled.used)).collect()
}

#[test]
fn a_refusal_that_nobody_can_ask_for_again_leaves_nothing() {
    let mut rig = Rig::new(at_once());
    assert_eq!(rig.asks("/Checkout/process", &order(&["a:1"], "card_success")).status, 200);
    let (kept_before, disk) = (kept(&rig), rig.disk.clone());
    for _ in 0..100 {
        assert_eq!(rig.asks("/Checkout/process", &order(&["a:1"], "card_success")).kind, Some(Kind::TicketSold));
    }
    assert_eq!((kept(&rig), rig.disk.len()), (kept_before, disk.len()));
    assert_eq!(rig.engine.stats(rig.now).endings[&Some(Kind::TicketSold)], 100, "but they are counted");
    // One that was sent can be asked for by its id, for a while.
    let sent = rig.asks("/Checkout/process/send", &order(&["a:1"], "card_success"));
    let id = serde_json::from_str::<serde_json::Value>(&sent.body).unwrap()["checkoutId"].as_str().unwrap().to_owned();
    let status = |rig: &mut Rig| {
        let asked = rig.call(Door::Public, "GET", &format!("/Checkout/{id}"), "", None);
        rig.store_all();
        rig.answers[&asked].status
    };
    rig.pass(10 * 60 * 1_000 - 1);
    assert_eq!(status(&mut rig), 200);
    rig.crash();
    rig.pass(1);
    assert_eq!(status(&mut rig), 404);
    rig.check(true);
}

#[test]
fn no_flood_of_anything_else_keeps_a_sale_out() {
    let limits = Limits { kept_bytes: 120_000, ..Limits::default() };
    let mut rig = Rig::new(Settings { limits, ..at_once() });
    let buy = |rig: &mut Rig, seat: &str, card: &str, key: u8| {
        let caller = rig.call(Door::Public, "POST", "/Checkout/process", &order(&[seat], card), Some((key, key)));
        rig.store_all();
        rig.answers[&caller].clone()
    };
    let booked = buy(&mut rig, "a:1", "card_success", 0);
    assert_eq!(booked.status, 200);
    let before = kept(&rig)["bookings"];
    for n in 1..=100 {
        // Cards that are declined, and seats that are sold, each under a key; sent ones; holds under a key; other people's payments.
        assert_eq!(buy(&mut rig, "a:2", "card_decline", n).kind, Some(Kind::PaymentDeclined));
        let _sent = rig.asks("/Checkout/process/send", &order(&["a:1"], "card_success"));
        let held = rig.call(Door::Public, "POST", &format!("/Ticket/b:{n}/reserve"), "\"ann\"", Some((100 + n, n)));
        rig.store_all();
        assert_eq!(rig.answers[&held].status, 200);
        let paid = r#"{"amount":{"minor":1,"currency":"USD"},"paymentMethodId":"card_success"}"#;
        let _paid = rig.asks("/api/mock-payment", paid);
        let kept = kept(&rig);
        assert!(kept.iter().all(|(what, bytes)| *what == "tickets" || *bytes <= 92_000), "{kept:?}");
        assert_eq!(kept["bookings"], before, "{kept:?}");
        assert!(kept["failures"] + kept["keys"] + kept["accounts"] <= 32_000, "{kept:?}");
    }
    assert_eq!(buy(&mut rig, "a:3", "card_success", 253).status, 200);
    assert_eq!(buy(&mut rig, "a:1", "card_success", 0), booked, "a booking is answered as before");
    rig.crash();
    assert_eq!(buy(&mut rig, "a:1", "card_success", 0), booked, "also after a crash");
    rig.check(false);
}

#[test]
fn what_is_nearly_full_is_said_once() {
    let limits = Limits { tickets: 10, ..Limits::default() };
    let mut rig = Rig::new(Settings { limits, ..at_once() });
    for n in 0..20 {
        let _held = rig.asks(&format!("/Ticket/a:{n}/reserve"), "\"ann\"");
    }
    assert_eq!(rig.warnings, ["tickets"]);
    rig.rest();
    let _held = rig.asks("/Ticket/a:0/reserve", "\"ann\"");
    assert_eq!(rig.warnings, ["tickets"], "the holds have lapsed");
    for n in 0..20 {
        let _held = rig.asks(&format!("/Ticket/a:{n}/reserve"), "\"ann\"");
    }
    assert_eq!(rig.warnings, ["tickets", "tickets"]);
}

/// A buyer who asks for seats that no operator has listed leaves nothing behind in the end, on however many maps.
#[test]
fn a_map_of_which_nothing_is_left_makes_room_and_its_versions_do_not_begin_anew() {
    let limits = Limits { tickets: 10, ..Limits::default() };
    let mut rig = Rig::new(Settings { limits, ..at_once() });
    let version =
        |answer: &Answer| serde_json::from_str::<serde_json::Value>(&answer.body).unwrap()["version"].as_u64();
    let first = version(&rig.asks("/Ticket/m0:1/reserve", "\"ann\""));
    for n in 1..100 {
        if n % 4 == 0 {
            rig.rest();
        }
        assert_eq!(rig.asks(&format!("/Ticket/m{n}:1/reserve"), "\"ann\"").status, 200, "{n}");
        assert!(rig.engine.maps().len() as u64 + rig.engine.stored_seats() <= 10);
    }
    rig.crash();
    rig.check(false);
    // Also where a map is asked that is not there: neither the look nor a refusal tells a lower version.
    for (path, body) in
        [("/Ticket/gone:1/get", ""), ("/Ticket/gone:1/release", r#"{"holdId":"h"}"#), ("/Ticket/gone:1/unblock", "{}")]
    {
        assert!(version(&rig.asks(path, body)) >= first, "{path}");
    }
    let last = version(&rig.asks("/Ticket/m0:1/reserve", "\"ann\""));
    assert!(last > first, "{last:?} and {first:?}");
    let maps = rig.disk.keys().filter(|name| name.starts_with("map")).count();
    assert!(maps <= 10, "{maps} maps are stored");
}

#[test]
fn what_waits_and_what_is_kept_goes_by_what_elapses_when_the_calendar_is_set() {
    const HOUR: i64 = 60 * 60 * 1_000;
    for jump in [HOUR, -HOUR, 25 * HOUR, -25 * HOUR] {
        let mut settings = at_once();
        settings.gateway = Gateway::Mock { delay: Millis(500) };
        settings.answer_within = Millis(400);
        let mut rig = Rig::new(settings);
        let buy = |rig: &mut Rig, seat: &str, key: u8| {
            rig.call(Door::Public, "POST", "/Checkout/process", &order(&[seat], "card_success"), Some((key, key)))
        };
        let first = buy(&mut rig, "a:1", 1);
        rig.rest();
        assert_eq!(rig.answers[&first].status, 202);
        let held = rig.asks("/Ticket/a:3/reserve", r#"{"userId":"bob","ttlMs":60000}"#);
        assert_eq!(held.status, 200);
        let second = buy(&mut rig, "a:2", 2);
        rig.store_all();
        let was = rig.now;
        rig.now = Timestamp::from_millis(was.as_millis().checked_add_signed(jump).unwrap());
        rig.hand(Input::ClockSet(was));
        rig.store_all();
        assert!(!rig.answers.contains_key(&second), "{jump}: nothing has elapsed");
        rig.pass(400);
        rig.store_all();
        assert_eq!(rig.answers[&second].status, 202, "{jump}: it has waited for 400 ms");
        for _ in 0..3 {
            rig.pass(500);
            rig.store_all();
        }
        let again = buy(&mut rig, "a:2", 2);
        rig.store_all();
        // A claim ends by the calendar, too.
        assert_eq!(rig.answers[&again].status, if jump > 0 { 410 } else { 200 }, "{jump}: the gateway has answered");
        let again = buy(&mut rig, "a:1", 1);
        rig.store_all();
        assert_eq!(rig.answers[&again].status, 200, "{jump}: the key is kept");
        // A hold ends by the calendar.
        let free = rig.asks("/Ticket/a:3/get", "").body.contains("AVAILABLE");
        assert_eq!(free, jump > 0, "{jump}");
        rig.crash();
        rig.check(false);
    }
}

#[test]
fn a_calendar_that_was_a_day_ahead_leaves_every_seat_saleable() {
    const AHEAD: i64 = 25 * 60 * 60 * 1_000;
    let mut rig = Rig::new(at_once());
    let calendar = |rig: &mut Rig, jump: i64| {
        let was = rig.now;
        rig.now = Timestamp::from_millis(was.as_millis().checked_add_signed(jump).unwrap());
        rig.hand(Input::ClockSet(was));
        rig.store_all();
    };
    let buys = |rig: &mut Rig, seats: &[&str], card: &str| {
        let buyer = rig.call(Door::Public, "POST", "/Checkout/process", &order(seats, card), None);
        // Its timers are left alone: they have a day to go.
        rig.store_all();
        rig.answers[&buyer].status
    };
    // For so long that it was believed.
    calendar(&mut rig, AHEAD);
    assert_eq!(rig.asks("/Ticket/a:1/reserve", r#"{"userId":"ann","holdId":"h","ttlMs":1000}"#).status, 200);
    assert_eq!(rig.asks("/Ticket/a:1/release", r#"{"holdId":"h"}"#).status, 200);
    assert_eq!(buys(&mut rig, &["a:2"], "card_decline"), 402);
    calendar(&mut rig, -AHEAD);
    // The declined checkout was the last to change the map.
    let at = rig.engine.map(&MapKey::parse("a").unwrap()).header().at;
    assert!(at > rig.now);
    let held = rig.asks("/Ticket/a:1/reserve", r#"{"userId":"bob","holdId":"h2","ttlMs":60000}"#);
    let ends: serde_json::Value = serde_json::from_str(&held.body).unwrap();
    assert_eq!((held.status, ends["reservedUntil"].as_u64()), (200, Some(at.as_millis() + 60_000)), "{}", held.body);
    assert_eq!(rig.asks("/Ticket/a:1/release", r#"{"holdId":"h2"}"#).status, 200);
    assert_eq!(buys(&mut rig, &["b:1", "a:1"], "card_success"), 200, "over two maps, the first of them new");
    rig.crash();
    assert_eq!(buys(&mut rig, &["a:2"], "card_success"), 200, "also after a restart");
    rig.check(false);
}

#[test]
fn a_checkout_beyond_the_limit_of_those_under_way_is_refused() {
    let limits = Limits { checkouts: 2, ..Limits::default() };
    let mut rig = Rig::new(Settings { limits, ..outside() });
    for (ticket, kind) in [("a:1", None), ("a:2", None), ("a:3", Some(Kind::Overloaded))] {
        assert_eq!(rig.asks("/Checkout/process/send", &order(&[ticket], "card_success")).kind, kind);
    }
    rig.rest();
    assert_eq!(rig.asks("/Checkout/process/send", &order(&["a:3"], "card_success")).status, 202);
}

#[test]
fn so_many_seats_may_be_stored_and_no_more() {
    // Two maps, and three seats.
    let limits = Limits { tickets: 5, ..Limits::default() };
    let mut rig = Rig::new(Settings { limits, ..at_once() });
    let seat = |n: u32| serde_json::json!({ "ticketId": format!("a:{n}"), "price": { "minor": 1, "currency": "USD" }, "x": 0, "y": 0 });
    let layout = |seats: &[u32]| serde_json::json!({ "rows": [{ "name": "A", "seats": seats.iter().map(|n| seat(*n)).collect::<Vec<_>>() }] });
    assert_eq!(rig.asks("/SeatMap/a/layout", &layout(&[1, 2, 3, 4, 5, 6]).to_string()).kind, Some(Kind::Overloaded));
    assert_eq!(rig.asks("/SeatMap/a/layout", &layout(&[1, 2]).to_string()).status, 200);
    assert_eq!(rig.engine.stored_seats(), 0, "seats that are as they were laid out take no room");
    assert_eq!(rig.asks("/Checkout/process", &order(&["a:1", "b:1"], "card_success")).status, 200);
    let two_new = order(&["b:3", "b:4"], "card_success");
    assert_eq!(rig.asks("/Checkout/process", &two_new).kind, Some(Kind::Overloaded));
    assert_eq!(rig.asks("/Ticket/a:2/reserve", "\"ann\"").status, 200);
    assert_eq!(rig.asks("/Ticket/b:2/reserve", "\"ann\"").kind, Some(Kind::Overloaded));
    assert_eq!(rig.engine.stored_seats(), 3);
}

#[test]
fn refused_checkouts_leave_no_tickets_behind() {
    let mut settings = at_once();
    settings.terms.closed_sales = true;
    let mut rig = Rig::new(settings);
    for n in 0..20 {
        let order = order(&[&format!("junk:{n}"), &format!("junk:{n}:x")], "card_success");
        assert_eq!(rig.asks("/Checkout/process", &order).kind, Some(Kind::TicketNotForSale));
    }
    assert!(rig.engine.maps().is_empty());
    let of_maps = ["map", "ticket", "ended"];
    assert!(rig.disk.keys().all(|name| of_maps.iter().all(|kind| !name.starts_with(kind))));
}

#[test]
fn a_key_on_a_look_takes_no_room() {
    let mut rig = Rig::new(at_once());
    for n in 0..50 {
        let _seen = rig.call(Door::Public, "POST", "/SeatMap/a/get", "", Some((n, n)));
        let _seen = rig.call(Door::Public, "POST", "/Ticket/a:1/get", "", Some((n, n)));
    }
    rig.store_all();
    assert_eq!(rig.engine.stats(rig.now).kept_bytes, 0);
}

#[test]
fn more_answers_than_may_wait_for_storage_are_refused_at_once() {
    let limits = Limits { unstored: 10, ..Limits::default() };
    let mut rig = Rig::new(Settings { limits, ..at_once() });
    for n in 0..1_000 {
        let _asked = rig.post(&format!("/Ticket/a:{n}/reserve"), "\"ann\"");
    }
    let waiting = rig.engine.stats(rig.now).unstored;
    assert!(waiting < 25, "{waiting}");
    assert!(rig.answers.len() > 950 && rig.answers.values().all(|answer| answer.kind == Some(Kind::Overloaded)));
    rig.store_all();
    assert_eq!(rig.answers.len(), 1_000);
    assert!(rig.engine.stored_seats() < 25);
}

#[test]
fn a_clock_that_was_wrong_for_a_moment_stops_no_forgetting() {
    let mut rig = Rig::new(Settings { keep_for: Millis(1_000), ..at_once() });
    let right = rig.now;
    rig.now = right.plus(Millis(365 * 24 * 60 * 60 * 1_000));
    let _early = rig.call(Door::Public, "POST", "/Ticket/a:0/reserve", "\"ann\"", Some((0, 0)));
    rig.now = right;
    for n in 1..100 {
        let _kept = rig.call(Door::Public, "POST", &format!("/Ticket/a:{n}/reserve"), "\"ann\"", Some((n, n)));
    }
    rig.pass(1_000);
    rig.pass(0);
    rig.store_all();
    assert_eq!(rig.engine.stats(rig.now).kept, 1);
}

#[test]
fn only_so_many_wait_for_the_end_of_one_checkout() {
    let mut rig = Rig::new(outside());
    let asked: Vec<Caller> = (0..200)
        .map(|_| rig.call(Door::Public, "POST", "/Checkout/process", &order(&["a:1"], "card_success"), Some((1, 1))))
        .collect();
    rig.store_all();
    assert_eq!(rig.answers.len(), 200 - 64, "the others are told that it is under way");
    assert!(rig.answers.values().all(|answer| answer.status == 202));
    rig.rest();
    let ended = asked.iter().filter(|caller| rig.answers[caller].status == 200).count();
    assert_eq!((ended, rig.answers.len()), (64, 200));
    assert_eq!(rig.engine.checkouts().count(), 1);
}

#[test]
fn messages_that_wait_are_told_once_and_given_up_where_nobody_is_to_be_told_any_more() {
    let mut rig = Rig::new(outside());
    let _sent = rig.asks("/Checkout/process/send", &order(&["a:1"], "card_success"));
    rig.pay();
    rig.store_all();
    rig.pay();
    rig.store_all();
    rig.settings = Settings { notifier: Notifier::Nobody, ..outside() };
    rig.crash();
    rig.store_all();
    let stats = rig.engine.stats(rig.now);
    assert_eq!((rig.delivering.len(), stats.notifications_waiting, stats.notifications_parked), (0, 0, 1));
    rig.rest();
}

#[test]
fn nothing_of_an_engine_that_is_shown_has_a_hold_id_in_it() {
    let mut rig = Rig::new(at_once());
    let body = r#"{"userId":"ann","holdId":"hold-of-ann"}"#;
    let caller = rig.call(Door::Public, "POST", "/Ticket/a:1/reserve", body, Some((1, 1)));
    let batches = format!("{:?}", rig.batches);
    rig.store_all();
    assert!(rig.answers[&caller].body.contains("hold-of-ann"), "but to whom it belongs");
    let shown = format!("{batches} {:?} {:?} {:?}", rig.engine, rig.answers, rig.disk);
    assert!(!shown.contains("hold-of-ann") && !shown.contains("key-1"), "{shown}");
}

#[test]
fn a_layout_of_many_seats_is_one_change_and_stays_through_a_crash() {
    let mut rig = Rig::new(at_once());
    assert_eq!(
        rig.asks("/SeatMap/hall/layout", &a_thousand_seats()).body,
        r#"{"edition":1,"tickets":1000,"added":1000,"removed":0,"repriced":0,"version":1}"#
    );
    rig.crash();
    assert_eq!(rig.engine.stored_seats(), 0, "they are as they are laid out");
    let map = &rig.engine.maps().values().next().unwrap();
    assert_eq!((map.version(), map.header().edition), (1, 1));
    assert!(map.layout().unwrap().places().all(|place| map.price(&place.ticket).unwrap().minor() == 5));
    assert_eq!(rig.engine.stats(rig.now).tickets[&booking_core::map::ticket::TicketStatus::Available], 1_000);
    rig.check(true);
}

#[test]
fn more_holds_than_one_turn_takes_away_may_end_at_one_moment() {
    let mut rig = Rig::new(at_once());
    for n in 0..600 {
        let held = rig.asks(&format!("/Ticket/a:{n}/reserve"), r#"{"userId":"ann","ttlMs":5000}"#);
        assert_eq!(held.status, 200);
    }
    rig.pass(5_000);
    rig.rest();
    assert_eq!((rig.engine.stored_seats(), rig.engine.stats(rig.now).holds_lapsed), (0, 600));
    let _held = rig.asks("/Ticket/a:1/reserve", r#"{"userId":"ann","ttlMs":5000}"#);
    assert_eq!(rig.engine.stats(rig.now).timers, 1, "the map's timer works on");
}

#[test]
fn a_booking_whose_sale_fills_its_map_takes_note_that_it_was_reset() {
    let mut settings = outside();
    settings.terms.auto_reset_at = Some(1);
    let mut rig = Rig::new(settings);
    let _sent = rig.asks("/Checkout/process/send", &order(&["a:1"], "card_success"));
    rig.rest();
    let booking = rig.engine.checkouts().next().unwrap();
    assert!(matches!(booking.progress().ending(), Some(booking_core::checkout::Ending::Completed { .. })));
    assert_eq!(booking.reset(), ["a:1".parse().unwrap()]);
}

#[test]
fn maps_take_room_as_seats_do_and_a_seat_that_is_stored_is_sold_also_where_there_is_none_left() {
    let limits = Limits { tickets: 6, ..Limits::default() };
    let mut rig = Rig::new(Settings { limits, ..at_once() });
    let price = r#"{"price":{"minor":500,"currency":"USD"}}"#;
    for n in 0..3 {
        let listed = rig.call(Door::Admin, "POST", &format!("/Ticket/m-{n}:1/list"), price, None);
        rig.store_all();
        assert_eq!(rig.answers[&listed].status, 200);
    }
    assert_eq!(rig.asks("/Ticket/m-9:1/reserve", "\"ann\"").kind, Some(Kind::Overloaded));
    assert_eq!(rig.asks("/Ticket/m-0:1/reserve", "\"ann\"").status, 200);
    assert_eq!(rig.asks("/Checkout/process", &order(&["m-1:1"], "card_success")).status, 200);
}

#[test]
fn a_map_that_is_sold_out_is_reset_where_that_is_wanted() {
    let mut settings = at_once();
    settings.terms.auto_reset_at = Some(2);
    let mut rig = Rig::new(settings);
    let _held = rig.asks("/Ticket/a:3/reserve", "\"bob\"");
    assert_eq!(rig.asks("/Checkout/process", &order(&["a:1"], "card_success")).status, 200);
    assert!(rig.asks("/SeatMap/a/get", "").body.contains("SOLD"));
    assert_eq!(rig.asks("/Checkout/process", &order(&["a:2"], "card_success")).status, 200);
    assert_eq!(rig.asks("/SeatMap/a/get", "").body, r#"[{"id":"a:3","status":"RESERVED"}]"#);
}

#[test]
fn a_checkout_whose_message_waits_is_kept_and_what_is_kept_for_no_time_stops_nothing() {
    let mut rig = Rig::new(Settings { keep_for: Millis(0), ..outside() });
    let _sent = rig.asks("/Checkout/process/send", &order(&["a:1"], "card_success"));
    for _ in 0..2 {
        rig.pay();
        rig.store_all();
    }
    rig.pass(10);
    rig.store_all();
    assert_eq!((rig.engine.checkouts().count(), rig.delivering.len()), (1, 1));
    assert!(rig.engine.wake_at().is_none_or(|at| at > rig.now), "nothing is due for ever");
    rig.rest();
    rig.pass(120_000);
    assert_eq!(rig.engine.checkouts().count(), 0);
}

#[test]
fn a_message_is_tried_so_often_and_then_parked() {
    let mut rig = Rig::new(outside());
    let _sent = rig.asks("/Checkout/process/send", &order(&["a:1"], "card_success"));
    rig.pay();
    rig.store_all();
    rig.pay();
    rig.store_all();
    for attempt in 1..=3 {
        assert_eq!(rig.delivering.len(), 1, "attempt {attempt}");
        if attempt == 2 {
            // Asked for again after a crash, as nobody knows whether it was delivered.
            rig.crash();
            assert_eq!(rig.delivering.len(), 1);
        }
        let letter = rig.delivering.remove(0);
        rig.hand(Input::Delivered(letter.checkout, false));
        rig.store_all();
        rig.pass(60_000);
    }
    let stats = rig.engine.stats(rig.now);
    assert_eq!((rig.delivering.len(), stats.notifications_waiting, stats.notifications_parked), (0, 0, 1));
    assert_eq!(rig.engine.checkouts().next().unwrap().notification(), NotificationStatus::GivenUp);
    rig.rest();
}

#[test]
fn a_checkout_can_be_cancelled_until_its_capture_is_asked_for() {
    let mut rig = Rig::new(outside());
    let id = |answer: &Answer| {
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        booking_core::CheckoutId::parse(body["checkoutId"].as_str().unwrap()).unwrap()
    };
    let one = id(&rig.asks("/Checkout/process/send", &order(&["a:1"], "card_success")));
    let two = id(&rig.asks("/Checkout/process/send", &order(&["a:2"], "card_success")));
    let cancel = |rig: &mut Rig, id: &booking_core::CheckoutId| {
        rig.asked += 1;
        let caller = Caller(rig.asked);
        rig.hand(Input::Cancel(caller, id.clone()));
        rig.store_all();
        rig.answers[&caller].clone()
    };
    assert_eq!(cancel(&mut rig, &one).status, 200);
    rig.crash();
    rig.store_all();
    rig.pay();
    rig.store_all();
    rig.pay();
    rig.store_all();
    let (op, _) = rig.performing.iter().find(|(_, payment)| matches!(payment, Payment::Capture(_))).unwrap();
    assert_eq!(op.checkout, two, "the first has turned back");
    assert_eq!(cancel(&mut rig, &two).kind, Some(Kind::CheckoutInProgress));
    rig.rest();
    let ended: Vec<String> = [&one, &two].map(|id| rig.asks_get(&format!("/Checkout/{id}")).body).into();
    assert!(ended[0].contains("HoldExpired") && ended[1].contains("CONFIRMED"), "{ended:?}");
    let nobody = booking_core::CheckoutId::parse("nobody").unwrap();
    assert_eq!(cancel(&mut rig, &nobody).kind, Some(Kind::NotFound));
    rig.check(true);
}

impl Rig {
    fn asks_get(&mut self, path: &str) -> Answer {
        let caller = self.call(Door::Public, "GET", path, "", None);
        self.store_all();
        self.answers[&caller].clone()
    }
}

#[test]
fn an_outcome_that_is_late_or_comes_twice_does_no_harm() {
    let mut rig = Rig::new(outside());
    let _sent = rig.asks("/Checkout/process/send", &order(&["a:1"], "card_success"));
    let (op, payment) = rig.performing[0].clone();
    let outcome = Outcome::Paid(rig.ask_gateway(&payment));
    for _ in 0..3 {
        rig.hand(Input::Outcome(op.clone(), outcome.clone()));
    }
    rig.rest();
    let disk = rig.disk.clone();
    rig.hand(Input::Outcome(op, outcome));
    assert!(rig.batches.is_empty(), "there is nothing to store");
    rig.rest();
    assert_eq!(rig.disk, disk);
    assert_eq!(rig.gateway.accounts().map(|(_, account)| account.capture_calls).collect::<Vec<_>>(), [1]);
    rig.check(true);
}

/// Something that happens to an engine.
#[derive(Clone, Debug)]
enum Happens {
    Reserve(u8, u8),
    Release(u8, u8),
    Buy { ticket: u8, with: Option<u8>, user: u8, card: u8, held: bool, key: Option<u8> },
    Cancel(u64),
    Store,
    Pay,
    PayLost,
    Deliver(bool),
    Pass(u64),
    Crash,
}

fn happens() -> impl Strategy<Value = Happens> {
    let buy = (0..4u8, prop::option::of(0..4u8), 0..3u8, 0..6u8, any::<bool>(), prop::option::weighted(0.3, 0..4u8));
    prop_oneof![
        2 => (0..4u8, 0..3u8).prop_map(|(ticket, user)| Happens::Reserve(ticket, user)),
        1 => (0..4u8, 0..3u8).prop_map(|(ticket, user)| Happens::Release(ticket, user)),
        4 => buy.prop_map(|(ticket, with, user, card, held, key)| {
            Happens::Buy { ticket, with: with.filter(|with| *with != ticket), user, card, held, key }
        }),
        1 => (1..30u64).prop_map(Happens::Cancel),
        8 => Just(Happens::Store),
        6 => Just(Happens::Pay),
        1 => Just(Happens::PayLost),
        1 => any::<bool>().prop_map(Happens::Deliver),
        3 => prop_oneof![0..500u64, Just(60_000), Just(899_999), Just(900_000), Just(900_001)].prop_map(Happens::Pass),
        1 => Just(Happens::Crash),
    ]
}

const CARDS: [&str; 6] =
    ["card_success", "card_success", "card_decline", "card_flaky", "card_lost", "card_capture_decline"];

fn happen(rig: &mut Rig, happens: Happens) {
    match happens {
        Happens::Reserve(ticket, user) => {
            let body = format!(r#"{{"userId":"user-{user}","holdId":"hold-{user}"}}"#);
            let _asked = rig.post(&format!("/Ticket/a:{ticket}/reserve"), &body);
        }
        Happens::Release(ticket, user) => {
            let _asked = rig.post(&format!("/Ticket/a:{ticket}/release"), &format!(r#"{{"holdId":"hold-{user}"}}"#));
        }
        Happens::Buy { ticket, with, user, card, held, key } => {
            let tickets: Vec<String> = [Some(ticket), with].into_iter().flatten().map(|n| format!("a:{n}")).collect();
            let mut order = serde_json::json!({
                "ticketIds": tickets, "userId": format!("user-{user}"), "paymentMethodId": CARDS[usize::from(card)],
            });
            if held {
                order["holdId"] = format!("hold-{user}").into();
            }
            let _asked =
                rig.call(Door::Public, "POST", "/Checkout/process", &order.to_string(), key.map(|key| (key, key)));
        }
        Happens::Cancel(nth) => {
            let ids: Vec<_> = rig.engine.checkouts().map(|record| record.checkout().id().clone()).collect();
            if let Some(id) = ids.get(usize::try_from(nth).unwrap() % ids.len().max(1)) {
                rig.asked += 1;
                rig.hand(Input::Cancel(Caller(rig.asked), id.clone()));
            }
        }
        Happens::Store => rig.store(),
        Happens::Pay => rig.pay(),
        // The gateway has done it, and the host dies before it hears of that.
        Happens::PayLost => {
            if let Some((_, payment)) = rig.performing.first().cloned() {
                let _lost = rig.ask_gateway(&payment);
            }
        }
        Happens::Deliver(delivered) => {
            if let Some(letter) = rig.delivering.pop() {
                rig.hand(Input::Delivered(letter.checkout, delivered));
            }
        }
        Happens::Pass(millis) => rig.pass(millis),
        Happens::Crash => rig.crash(),
    }
}

fn whatever_happens(gateway: Gateway, notifier: Notifier, all: Vec<Happens>) {
    let mut rig = Rig::new(Settings { gateway, notifier, ..rig::outside() });
    for one in all {
        happen(&mut rig, one);
    }
    rig.rest();
    rig.check(true);
    // Every booking that an answer confirmed is sold, crash or not.
    for answer in rig.answers.values() {
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        if body["status"] == "CONFIRMED" {
            let sold = rig.asks_of(&body);
            assert!(sold, "{body}");
        }
    }
    // What is stored is all there is.
    let (lasting, disk) = (rig.lasting(), rig.disk.clone());
    let maps = rig.engine.maps().clone();
    rig.crash();
    assert_eq!(rig.engine.maps(), &maps);
    assert_eq!(rig.lasting(), lasting);
    rig.rest();
    assert_eq!(rig.disk, disk);
}

impl Rig {
    /// Whether the tickets of a booking are sold to it.
    fn asks_of(&self, booking: &serde_json::Value) -> bool {
        booking["tickets"].as_array().unwrap().iter().all(|ticket| {
            let ticket: TicketId = ticket.as_str().unwrap().parse().unwrap();
            let sale = self.engine.ticket(&ticket).and_then(|ticket| ticket.state.sale());
            sale.and_then(|sale| sale.claim.as_ref()).is_some_and(|to| to.checkout.as_str() == booking["checkoutId"])
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_promise_holds(all in prop::collection::vec(happens(), 1..80)) {
        whatever_happens(Gateway::Outside, Notifier::Outside, all);
    }

    #[test]
    fn with_the_built_in_gateway_too(all in prop::collection::vec(happens(), 1..80), delay in 0..300u64) {
        whatever_happens(Gateway::Mock { delay: Millis(delay) }, Notifier::Nobody, all);
    }
}
