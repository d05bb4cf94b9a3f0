//! What a host keeps (`life`): idempotency keys, and checkouts from their start until they are forgotten.

use booking_core::checkout::{Checkout, Ending};
use booking_core::effect::{Effect, Op, Outcome};
use booking_core::ids::{MapKey, PaymentId, UserId};
use booking_core::life::{CheckoutRecord, Digest, IdempotencyRecord, Key, Known, NotificationStatus, Operated};
use booking_core::map::ticket::TicketRefusal;
use booking_core::payment::{CaptureAnswer, PaymentAnswer};
use booking_core::progress::{Recorded, Resolution};
use booking_core::terms::{Backoff, Retry, Terms};
use booking_core::time::{Millis, Timestamp};
use booking_core::wire::export::Booking;
use booking_core::wire::search::{BookingSearch, BookingStatus};
use booking_core::wire::{Answer, Kind, Operation, answer};

use crate::checkout::{authorized, captured, done, held, no, start};
use crate::support::*;

mod keys {
    use super::*;

    const FIRST: Digest = Digest([0x0a; 16]);
    const OTHER: Digest = Digest([0xf0; 16]);

    fn ok() -> Answer {
        answer::ok(Some(7))
    }

    #[test]
    fn a_request_that_comes_again_is_answered_as_it_was() {
        let record = IdempotencyRecord::of_answer(FIRST, at(NOW), &ok()).unwrap();
        assert_eq!(IdempotencyRecord::look(None, FIRST), Known::Nothing);
        assert_eq!(IdempotencyRecord::look(Some(&record), FIRST), Known::Answer(ok()));
        let reused = Known::Answer(answer::refusal(&Kind::IdempotencyKeyReused.into()));
        assert_eq!(IdempotencyRecord::look(Some(&record), OTHER), reused);
        let of_checkout = IdempotencyRecord::of_checkout(FIRST, at(NOW), checkout_id("c"));
        assert_eq!(IdempotencyRecord::look(Some(&of_checkout), FIRST), Known::EndOf(checkout_id("c")));
        assert_eq!(IdempotencyRecord::look(Some(&of_checkout), OTHER), reused);
    }

    #[test]
    fn a_refusal_comes_again_with_its_kind_unless_asking_again_may_be_answered_otherwise() {
        for kind in Kind::ALL.iter().copied() {
            let refusal = answer::refusal(&kind.into());
            let record = IdempotencyRecord::of_answer(FIRST, at(NOW), &refusal);
            assert_eq!(record.is_some(), kind.is_kept_for_its_key(), "{kind}");
            if let Some(record) = record {
                assert_eq!(IdempotencyRecord::look(Some(&record), FIRST), Known::Answer(refusal));
            }
        }
    }

    #[test]
    fn nothing_of_a_key_or_of_an_answer_is_in_what_is_shown() {
        let secret = Answer { status: 200, body: r#"{"holdId":"anns-secret"}"#.into(), kind: None };
        let record = IdempotencyRecord::of_answer(FIRST, at(NOW), &secret).unwrap();
        let shown = format!("{record:?} {:?}", Key { scope: FIRST, request: OTHER });
        assert!(!shown.contains("anns-secret") && !shown.contains("0a0a") && !shown.contains("10, 10"), "{shown}");
    }

    #[test]
    fn a_digest_is_32_hexadecimal_digits() {
        let digest = Digest([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xab, 0xcd, 0xef, 0x10, 0x7f, 0xff]);
        let text = "00010203040506070809abcdef107fff";
        assert_eq!((digest.to_string().as_str(), Digest::parse(text)), (text, Ok(digest)));
        for bad in ["", "0", &text[1..], &format!("{text}0"), &text.to_uppercase(), &text.replace('a', "g")] {
            assert!(Digest::parse(bad).is_err(), "{bad}");
        }
        let key = Key { scope: digest, request: FIRST };
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(json, format!(r#"{{"scope":"{text}","request":"{FIRST}"}}"#));
        assert_eq!(serde_json::from_str::<Key>(&json).unwrap(), key);
    }
}

mod calls {
    use booking_core::format;
    use booking_core::ids::MapKey;
    use booking_core::invariants::loaded;
    use booking_core::inventory::{LineAnswer, LineCommand, LineReply};
    use booking_core::life::Delivery;
    use booking_core::map::ticket::Reader;
    use booking_core::map::{Layout, MEMORY, Needs, Place, Row, SeatMap, SeatMapCommand, Seats};
    use booking_core::wire::{AtTheDoor, Call, MapCall, SeatMapCall, TicketCall};
    use booking_core::{Machine, turn};
    use std::sync::Arc;

    use super::*;

    fn key() -> MapKey {
        MapKey::parse("hall").unwrap()
    }

    fn name(n: u32) -> booking_core::TicketId {
        ticket_id(&format!("hall:{n}"))
    }

    fn seats(which: &[u32]) -> Seats {
        Seats::new(which.iter().map(|n| name(*n)).collect()).unwrap()
    }

    fn layout(most: u32) -> Arc<Layout> {
        let seat = |n| Place { ticket: name(n), label: None, price: unit_price(), x: n, y: 0 };
        Arc::new(Layout::new(vec![Row { name: "A".into(), seats: (1..=most).map(seat).collect() }]).unwrap())
    }

    fn door() -> AtTheDoor {
        AtTheDoor::new(&Terms::default(), at(NOW), hold_id("fresh"))
    }

    fn of_seat(n: u32, call: TicketCall) -> MapCall {
        MapCall::Seat(name(n), call, door())
    }

    fn reserve(n: u32, who: &str, own: Option<&str>, nth: Option<u32>) -> MapCall {
        of_seat(n, TicketCall::Reserve { user: user(who), hold: own.map(hold_id), nth, ttl: None })
    }

    fn claim(which: &[u32], checkout: &str, own: &str, brought: bool) -> MapCall {
        let (user, hold, checkout) = (user("ann"), hold_id(own), checkout_id(checkout));
        let deadline = at(NOW).plus(Terms::default().checkout_time);
        let default_price = Some(unit_price());
        MapCall::Line(seats(which), LineCommand::Claim { user, hold, brought, checkout, deadline, default_price })
    }

    fn judge(map: &mut SeatMap, call: MapCall, when: u64, terms: &Terms) -> booking_core::life::Judgement {
        call.judge(map, &key(), at(when), terms).unwrap()
    }

    /// Seats held under a counted hold, sold by a checkout, blocked, and free, in a layout.
    fn hall() -> SeatMap {
        let (mut map, terms) = (SeatMap::default(), Terms::default());
        let calls = [
            MapCall::Map(SeatMapCall::Publish { layout: layout(8) }),
            reserve(1, "ann", Some("anns"), Some(1)),
            claim(&[2, 3], "c-1", "own-1", false),
            MapCall::Line(seats(&[2, 3]), confirm("c-1", "own-1", 3)),
            of_seat(4, TicketCall::Block { reason: "rain".into() }),
            claim(&[5], "c-2", "own-2", false),
            MapCall::Line(seats(&[5]), revoke("c-2", "own-2")),
        ];
        for call in calls {
            let told = judge(&mut map, call, NOW, &terms).stored();
            assert!(told.outcome.is_ok(), "{:?}", told.outcome);
        }
        map
    }

    fn confirm(checkout: &str, own: &str, fence: u64) -> LineCommand {
        LineCommand::Confirm { hold: hold_id(own), checkout: checkout_id(checkout), fence }
    }

    fn revoke(checkout: &str, own: &str) -> LineCommand {
        let deadline = at(NOW).plus(Terms::default().checkout_time);
        LineCommand::Revoke { hold: hold_id(own), checkout: checkout_id(checkout), deadline }
    }

    /// One of each, and what stands in its way.
    fn every_call() -> Vec<MapCall> {
        vec![
            reserve(6, "bob", None, None),
            reserve(1, "ann", Some("anns"), Some(1)),
            reserve(7, "ann", Some("anns"), Some(2)),
            reserve(2, "bob", None, None),
            reserve(9, "bob", None, None),
            of_seat(1, TicketCall::Release { hold: hold_id("anns"), nth: Some(2) }),
            of_seat(6, TicketCall::Sell { user: user("bob") }),
            of_seat(7, TicketCall::Block { reason: String::new() }),
            of_seat(4, TicketCall::Unblock),
            of_seat(6, TicketCall::List { price: usd(9_900) }),
            of_seat(2, TicketCall::Reset { up_to: 9 }),
            claim(&[6, 7], "c-3", "own-3", false),
            claim(&[6, 4], "c-3", "own-3", false),
            claim(&[1], "c-4", "anns", true),
            claim(&[5], "c-2", "own-2", false),
            MapCall::Line(seats(&[2, 3]), confirm("c-1", "own-1", 3)),
            MapCall::Line(seats(&[2, 3]), revoke("c-1", "own-1")),
            MapCall::Map(SeatMapCall::Publish { layout: layout(5) }),
            MapCall::Map(SeatMapCall::Publish { layout: layout(3) }),
            MapCall::Map(SeatMapCall::ResetAll),
            MapCall::Map(SeatMapCall::Erase { user: user("ann"), reason: String::new() }),
            MapCall::Map(SeatMapCall::Recall { seats: seats(&[1, 6]), up_to: 9 }),
            MapCall::Expire(hall().header().armed.unwrap()),
        ]
    }

    #[test]
    fn every_request_that_changes_something_is_among_these_calls() {
        for (name, asked) in crate::wire::golden::requests() {
            let reads = matches!(
                asked,
                Call::Ticket(_, TicketCall::Get(_))
                    | Call::SeatMap(_, SeatMapCall::Get | SeatMapCall::Summary | SeatMapCall::Plan)
            );
            let sent: Vec<bool> =
                every_call().iter().filter_map(|sent| crate::messages::is_sent_for(sent, &asked)).collect();
            assert!(reads || sent.is_empty() || sent.contains(&true), "{name}: no call has {asked:?} in it");
        }
    }

    #[test]
    fn a_call_is_judged_by_what_it_needs_as_by_the_whole_map() {
        let terms = Terms::default();
        let end = hall().header().armed.unwrap().as_millis();
        for when in [NOW, end, end + 1] {
            for call in every_call() {
                let (mut whole, before) = (hall(), hall());
                let mut part = loaded(&before, call.needs(before.header()));
                let shown = format!("{call:?} at {when}");
                let (by_whole, by_part) = (
                    call.clone().judge(&mut whole, &key(), at(when), &terms),
                    call.judge(&mut part, &key(), at(when), &terms),
                );
                match (by_whole, by_part) {
                    (Ok(by_whole), Ok(by_part)) => {
                        assert_eq!(by_whole.event(), by_part.event(), "{shown}");
                        assert_eq!(by_whole.timer(), by_part.timer(), "{shown}");
                        assert_eq!(by_whole.follow_up(), by_part.follow_up(), "{shown}");
                        assert_eq!(by_whole.stored(), by_part.stored(), "{shown}");
                    }
                    (by_whole, by_part) => assert_eq!(by_whole.err(), by_part.err(), "{shown}"),
                }
            }
        }
    }

    #[test]
    fn a_call_needs_what_its_command_needs() {
        let full = |ended, last_wishes| booking_core::map::Header { ended, last_wishes, ..*hall().header() };
        for header in [*hall().header(), full(MEMORY, MEMORY), full(MEMORY, 0), full(0, MEMORY)] {
            for call in every_call() {
                let Ok(command) = call.clone().command(&key(), &hall()) else { continue };
                match (call.needs(&header), command.needs(&header)) {
                    (Needs::Parts(of_call), Needs::Parts(of_command)) => {
                        assert_eq!(booking_core::map::Parts { layout: false, ..of_call }, of_command, "{call:?}");
                    }
                    (of_call, of_command) => assert_eq!(of_call, of_command, "{call:?}"),
                }
            }
        }
    }

    #[test]
    fn what_only_reads_is_not_judged() {
        let reads = [SeatMapCall::Get, SeatMapCall::Summary, SeatMapCall::Plan, SeatMapCall::Watch].map(MapCall::Map);
        for call in reads.into_iter().chain([of_seat(1, TicketCall::Get(Reader::Operator))]) {
            let mut map = hall();
            let refused = call.judge(&mut map, &key(), at(NOW), &Terms::default()).unwrap_err();
            assert_eq!(refused.kind, Kind::NotFound);
            assert_eq!(map, hall());
        }
    }

    #[test]
    fn a_turn_arms_the_timer_that_the_map_says_is_due() {
        let mut map = SeatMap::default();
        let judged = judge(&mut map, reserve(1, "ann", Some("anns"), None), NOW, &Terms::default());
        let due = at(NOW).plus(Terms::default().hold_ttl.length());
        let delivery = Delivery { to: key(), call: MapCall::Expire(due), not_before: due };
        assert_eq!(judged.timer(), Some(&delivery));
        assert_eq!(map.due(&key()), Some(delivery.clone()));
        assert_eq!(format::read::<Delivery>(&format::write(&delivery)).unwrap(), delivery);
        let told = judge(&mut map, delivery.call, due.as_millis(), &Terms::default()).stored();
        assert!(told.news.is_some_and(|news| news.seats() == [(name(1), Default::default())]));
        assert_eq!(map.due(&key()), None);
    }

    #[test]
    fn a_map_that_has_sold_enough_is_to_be_reset() {
        let terms = Terms { auto_reset_at: Some(3), ..Terms::default() };
        let mut map = hall();
        let sells = of_seat(6, TicketCall::Sell { user: user("bob") });
        let judged = judge(&mut map, sells.clone(), NOW, &terms);
        let reset = MapCall::Map(SeatMapCall::ResetAll);
        assert_eq!(judged.follow_up(), Some(&reset));
        assert!(
            judge(&mut map, reserve(6, "eve", None, None), NOW, &terms).follow_up().is_none(),
            "nothing has changed"
        );
        assert!(judge(&mut map, reset, NOW, &terms).follow_up().is_none(), "a reset is followed by none");
        assert_eq!(map.header().sold, 0);
        assert!(judge(&mut map, sells, NOW, &Terms::default()).follow_up().is_none(), "off by default");
    }

    #[test]
    fn a_call_is_answered_in_the_form_of_who_asked() {
        let (mut map, terms) = (hall(), Terms::default());
        let sold = judge(&mut map, of_seat(6, TicketCall::Sell { user: user("bob") }), NOW, &terms).stored();
        assert_eq!(sold.answer(), answer::seat(&sold.outcome, map.version_of(&name(6))));
        let reset = judge(&mut map, MapCall::Map(SeatMapCall::ResetAll), NOW, &terms).stored();
        assert_eq!(reset.answer(), answer::map_reply(&reset.outcome, map.version()));
        assert!(reset.answer().body.contains(r#""tickets":4"#), "{}", reset.answer().body);
        let line = judge(&mut map, claim(&[7], "c-7", "own-7", false), NOW, &terms).stored().answer();
        let read: LineAnswer = format::read_json(line.body.as_bytes()).unwrap();
        assert!(matches!(read, Ok(LineReply::Claimed { .. })), "{read:?}");
        let refused = judge(&mut map, claim(&[7], "c-8", "own-8", false), NOW, &terms).stored();
        let read: LineAnswer = format::read_json(refused.answer().body.as_bytes()).unwrap();
        assert_eq!(read.unwrap_err(), refused.outcome.unwrap_err());
    }

    #[test]
    fn what_a_turn_stores_makes_the_map_that_it_leaves() {
        for call in every_call() {
            let (mut map, mut stored) = (hall(), hall());
            let Ok(judged) = call.judge(&mut map, &key(), at(NOW), &Terms::default()) else { continue };
            judged.event().into_iter().for_each(|event| stored.apply(event));
            assert_eq!(map, stored);
        }
        let mut map = hall();
        assert!(turn(&mut map, &SeatMapCommand::ResetAll, at(NOW)).notices().watchers.is_some());
    }
}

mod records {
    use super::*;

    const DAY: Millis = Millis::from_mins(24 * 60);
    const RETRY: Retry = Retry { attempts: 3, wait: Backoff { first: Millis(1_000), cap: Millis(60_000) } };

    fn key() -> Key {
        Key { scope: Digest([1; 16]), request: Digest([2; 16]) }
    }

    fn record_of(checkout: Checkout) -> CheckoutRecord {
        CheckoutRecord::start(checkout, None, at(NOW))
    }

    /// Gives an effect that is asked for its outcome.
    fn give(record: &mut CheckoutRecord, index: usize, outcome: Outcome, when: u64) -> Recorded {
        let (op, _) = record.effects()[index].clone();
        let recorded = record.record(&op, outcome, at(when), Some(RETRY)).unwrap();
        let stored = booking_core::format::write(record);
        assert_eq!(booking_core::format::read::<CheckoutRecord>(&stored).unwrap(), *record, "it can be stored");
        recorded
    }

    fn capture_unknown() -> Outcome {
        Outcome::Paid(PaymentAnswer::Capture(CaptureAnswer::Unavailable))
    }

    /// A checkout that asks for its capture.
    fn capturing() -> CheckoutRecord {
        let mut record = record_of(start());
        for outcome in [held(11, usd(100)), held(22, usd(50)), authorized(), done(), done()] {
            let _recorded = give(&mut record, 0, outcome, NOW);
        }
        assert!(matches!(record.effects()[..], [(_, Effect::Pay(_))]));
        record
    }

    fn booked() -> CheckoutRecord {
        let mut record = capturing();
        assert_eq!(give(&mut record, 0, captured(), NOW + 5), Recorded::Step);
        record
    }

    fn refused(key: Option<Key>) -> CheckoutRecord {
        let mut record = CheckoutRecord::start(start(), key, at(NOW));
        for outcome in [held(11, usd(100)), no("b:2", TicketRefusal::TicketSold), done(), done()] {
            let _recorded = give(&mut record, 0, outcome, NOW + 7);
        }
        record
    }

    fn cancel() -> Operation {
        Operation::Cancel { reason: "the buyer called".into() }
    }

    fn resolve(resolution: Resolution) -> Operation {
        Operation::Resolve { resolution, reason: "seen at the gateway".into() }
    }

    #[test]
    fn a_booking_ends_with_its_capture_and_hands_its_message_over_by_itself() {
        let record = booked();
        assert_eq!((record.ended(), record.effects()), (Some(at(NOW + 5)), vec![]));
        assert!(matches!(record.progress().ending(), Some(Ending::Completed { .. })));
        assert_eq!(record.notification(), NotificationStatus::Waiting { failed: 0, due: at(NOW + 5) });
        assert_eq!(record.notification_due(at(NOW + 4)), None);
        assert_eq!(record.notification_due(at(NOW + 5)), record.checkout().notification());
        assert!(record.is_to_notify());
    }

    #[test]
    fn without_a_notifier_there_is_nothing_to_deliver() {
        let mut record = capturing();
        let (op, _) = record.effects().remove(0);
        assert_eq!(record.record(&op, captured(), at(NOW), None), Ok(Recorded::Step));
        assert_eq!(record.notification(), NotificationStatus::None);
        assert_eq!((record.notification_due(at(u64::MAX >> 11)), record.is_to_notify()), (None, false));

        let mut resumed = booked();
        assert_eq!(resumed.woken(at(NOW + 9), None), Ok(Recorded::Waiting), "it has changed");
        assert_eq!(resumed.notification(), NotificationStatus::GivenUp, "its notifier is no longer configured");
    }

    #[test]
    fn operators_are_shown_how_it_stands_and_find_it_by_what_it_is_about() {
        let (pending, booked, refused) = (capturing(), booked(), refused(None));
        let shown = |record: &CheckoutRecord| {
            let Booking { status, kind, started_at, ended_at, notification, amount, .. } = Booking::from(record);
            (status, kind, started_at, ended_at, notification, amount)
        };
        let no = Some("TicketSold".to_owned());
        let waits = Some("WAITING".to_owned());
        assert_eq!(shown(&pending), (BookingStatus::Pending, None, at(NOW), None, None, None));
        assert_eq!(shown(&booked), (BookingStatus::Confirmed, None, at(NOW), Some(at(NOW + 5)), waits, Some(usd(150))));
        assert_eq!(shown(&refused), (BookingStatus::Failed, no, at(NOW), Some(at(NOW + 7)), None, None));

        let any = BookingSearch::default();
        let of = |status| BookingSearch { status: Some(status), ..any.clone() };
        let found = |search: &BookingSearch| [&pending, &booked, &refused].map(|record| search.takes(record));
        assert_eq!(found(&any), [true; 3]);
        assert_eq!(found(&of(BookingStatus::Pending)), [true, false, false]);
        assert_eq!(found(&of(BookingStatus::Confirmed)), [false, true, false]);
        assert_eq!(found(&of(BookingStatus::Failed)), [false, false, true]);
        let order = booked.checkout().order();
        let (seat, user) = (order.tickets()[0].clone(), order.user().clone());
        for (mine, others) in [
            (
                BookingSearch { map: Some(seat.map_key()), ..any.clone() },
                BookingSearch { map: Some(MapKey::parse("elsewhere").unwrap()), ..any.clone() },
            ),
            (
                BookingSearch { ticket: Some(seat), ..any.clone() },
                BookingSearch { ticket: Some(ticket_id("a:99")), ..any.clone() },
            ),
            (
                BookingSearch { user: Some(user), ..any.clone() },
                BookingSearch { user: Some(UserId::parse("zoe").unwrap()), ..any.clone() },
            ),
            (
                BookingSearch { from: Some(at(NOW)), ..any.clone() },
                BookingSearch { from: Some(at(NOW + 1)), ..any.clone() },
            ),
            (
                BookingSearch { until: Some(at(NOW + 1)), ..any.clone() },
                BookingSearch { until: Some(at(NOW)), ..any.clone() },
            ),
        ] {
            assert_eq!((found(&mine), found(&others)), ([true; 3], [false; 3]), "{mine:?}");
        }
    }

    #[test]
    fn a_message_is_tried_with_growing_waits_and_then_given_up() {
        let mut record = booked();
        for (failed, wait) in [(1, 1_000), (2, 2_000)] {
            record.notified(false, at(NOW), RETRY);
            assert_eq!(record.notification(), NotificationStatus::Waiting { failed, due: at(NOW + wait) });
            assert_eq!(record.wake_at(DAY), Some(at(NOW + wait)));
        }
        record.notified(false, at(NOW), RETRY);
        assert_eq!(record.notification(), NotificationStatus::GivenUp);
        record.notified(true, at(NOW), RETRY);
        assert_eq!(record.notification(), NotificationStatus::GivenUp, "nothing was under way");

        let mut record = booked();
        record.notified(true, at(NOW), RETRY);
        assert_eq!((record.notification(), record.is_to_notify()), (NotificationStatus::Delivered, false));
    }

    #[test]
    fn a_wait_is_in_the_record_and_ends_when_it_would_have_ended() {
        let mut record = capturing();
        assert_eq!(give(&mut record, 0, capture_unknown(), NOW), Recorded::Step);
        let until = at(NOW + 200);
        assert_eq!((record.wake(), record.wake_at(DAY), record.effects()), (Some(until), Some(until), vec![]));
        assert_eq!(record.woken(at(NOW + 199), Some(RETRY)), Ok(Recorded::Stale), "too soon");
        assert_eq!(record.wake(), Some(until), "a crash does not start it anew");
        assert_eq!(record.woken(until, Some(RETRY)), Ok(Recorded::Step));
        assert!(matches!(record.effects()[..], [(_, Effect::Pay(_))]));
        assert_eq!((record.wake(), record.wake_at(DAY)), (None, None), "it waits for an outcome alone");
        assert_eq!(record.woken(until, Some(RETRY)), Ok(Recorded::Stale), "twice is once");
    }

    #[test]
    fn no_wait_is_longer_than_its_length_though_the_clock_was_ahead_when_it_began() {
        let ahead = NOW + 3_600_000;
        let mut record = capturing();
        let _step = give(&mut record, 0, capture_unknown(), ahead);
        assert_eq!(record.woken(at(NOW), Some(RETRY)), Ok(Recorded::Waiting), "it has changed");
        assert_eq!(record.wake(), Some(at(NOW + 200)));
        assert_eq!(record.woken(at(NOW), Some(RETRY)), Ok(Recorded::Stale));

        let mut record = booked();
        record.notified(false, at(ahead), RETRY);
        assert_eq!(record.woken(at(NOW), Some(RETRY)), Ok(Recorded::Waiting), "it has changed");
        assert_eq!(record.notification(), NotificationStatus::Waiting { failed: 1, due: at(NOW + 1_000) });
    }

    #[test]
    fn what_waits_waits_as_long_where_the_calendar_is_set() {
        let moved = |at: Timestamp| at.plus(Millis(50));
        let mut record = capturing();
        let _step = give(&mut record, 0, capture_unknown(), NOW);
        record.clock_set(moved);
        assert_eq!(record.wake(), Some(at(NOW + 250)));
        let mut record = booked();
        record.clock_set(moved);
        assert_eq!(record.notification(), NotificationStatus::Waiting { failed: 0, due: at(NOW + 55) });
    }

    #[test]
    fn late_and_repeated_outcomes_change_nothing_and_strange_ones_are_errors() {
        let mut record = capturing();
        let (op, _) = record.effects().remove(0);
        let _step = give(&mut record, 0, captured(), NOW);
        let before = record.clone();
        assert_eq!(record.record(&op, captured(), at(NOW + 1), Some(RETRY)), Ok(Recorded::Stale));
        assert_eq!(record, before);
        let mut record = capturing();
        let before = record.clone();
        let later = Op { step: op.step + 1, ..op.clone() };
        assert!(record.record(&later, captured(), at(NOW), Some(RETRY)).is_err());
        assert!(record.record(&op, done(), at(NOW), Some(RETRY)).is_err(), "no outcome of a capture");
        assert_eq!(record, before);
    }

    #[test]
    fn it_is_kept_as_long_as_is_usual_but_ten_minutes_if_it_was_refused_and_no_key_stands_for_it() {
        let ended = NOW + 7;
        assert_eq!(record_of(start()).kept_until(DAY), None);
        assert_eq!(refused(None).kept_until(DAY), Some(at(ended).plus(Terms::KEEP_REFUSED)));
        assert_eq!(refused(None).kept_until(Millis(60_000)), Some(at(ended + 60_000)));
        assert_eq!(refused(Some(key())).kept_until(DAY), Some(at(ended).plus(DAY)));
        assert_eq!(refused(Some(key())).key(), Some(key()));
        let mut record = booked();
        assert_eq!(record.kept_until(DAY), None, "its message is to be delivered");
        record.notified(true, at(NOW + 6), RETRY);
        assert_eq!(
            (record.kept_until(DAY), record.wake_at(DAY)),
            (Some(at(NOW + 5).plus(DAY)), record.kept_until(DAY))
        );
    }

    #[test]
    fn only_the_request_that_started_it_is_answered_with_it() {
        let reused = |record: &CheckoutRecord, key| record.started_by(key).map_err(|refusal| refusal.kind);
        let started = CheckoutRecord::start(start(), Some(key()), at(NOW));
        let elsewhere = Key { scope: Digest([9; 16]), ..key() };
        assert_eq!([Some(key()), Some(elsewhere)].map(|key| reused(&started, key)), [Ok(()), Ok(())]);
        let other = Key { request: Digest([9; 16]), ..key() };
        assert_eq!(reused(&started, Some(other)), Err(Kind::IdempotencyKeyReused));
        assert_eq!(reused(&started, None), Err(Kind::IdempotencyKeyReused));
        assert_eq!(reused(&record_of(start()), None), Ok(()));
    }

    #[test]
    fn seats_that_were_reset_are_listed_once() {
        let mut record = booked();
        record.seat_was_reset(ticket_id("b:2"));
        record.seat_was_reset(ticket_id("b:2"));
        assert_eq!(record.reset(), [ticket_id("b:2")]);
    }

    #[test]
    fn an_operator_turns_it_back_until_its_capture_is_asked_for() {
        let mut record = record_of(start());
        assert_eq!(record.operate(&cancel(), at(NOW), Some(RETRY)), Ok(Operated::Changed));
        assert_eq!(record.operate(&cancel(), at(NOW), Some(RETRY)), Ok(Operated::Unchanged), "twice is once");
        let mut record = capturing();
        let refusal = record.operate(&cancel(), at(NOW), Some(RETRY)).unwrap_err();
        assert_eq!(refusal.kind, Kind::CheckoutInProgress);
        let mut record = refused(None);
        assert_eq!(record.operate(&cancel(), at(NOW), Some(RETRY)), Ok(Operated::Unchanged));
    }

    #[test]
    fn an_operators_word_ends_a_wait_for_the_gateway_once() {
        let word = resolve(Resolution::Captured(PaymentId::parse("pay-1").unwrap()));
        let mut record = capturing();
        assert_eq!(record.operate(&word, at(NOW), Some(RETRY)).unwrap_err().kind, Kind::CheckoutInProgress);
        let _step = give(&mut record, 0, capture_unknown(), NOW);
        assert_eq!(record.operate(&word, at(NOW + 9), Some(RETRY)), Ok(Operated::Step));
        assert_eq!((record.ended(), record.wake(), record.is_to_notify()), (Some(at(NOW + 9)), None, true));
        let before = record.clone();
        assert_eq!(record.operate(&word, at(NOW + 10), Some(RETRY)), Ok(Operated::Unchanged), "twice is once");
        let other = resolve(Resolution::Captured(PaymentId::parse("pay-2").unwrap()));
        assert_eq!(record.operate(&other, at(NOW), Some(RETRY)).unwrap_err().kind, Kind::CheckoutInProgress);
        assert_eq!(record, before);
    }

    #[test]
    fn a_buyer_is_forgotten_once_their_checkout_has_ended_and_they_were_told() {
        let erase = Operation::Erase { reason: "Asked by letter".into() };
        let mut record = booked();
        let before = record.clone();
        assert_eq!(record.operate(&erase, at(NOW), Some(RETRY)).unwrap_err().kind, Kind::CheckoutInProgress);
        assert_eq!(record, before, "the message is still to be sent");
        record.notified(true, at(NOW + 2), RETRY);
        let told = record.clone();
        assert_eq!(record.operate(&erase, at(NOW + 3), Some(RETRY)), Ok(Operated::Changed));
        let order = record.checkout().order();
        assert_eq!((order.user(), order.contact()), (&UserId::erased(), None));
        assert_eq!(order.tickets(), told.checkout().order().tickets());
        assert_eq!(record.progress().told(), told.progress().told(), "how it ended stays");
        assert_eq!(record.operate(&erase, at(NOW + 4), Some(RETRY)), Ok(Operated::Unchanged));
        assert_eq!(record.operate(&Operation::Notify, at(NOW), Some(RETRY)).unwrap_err().kind, Kind::NotFound);
        let mut under_way = record_of(start());
        assert_eq!(under_way.operate(&erase, at(NOW), None).unwrap_err().kind, Kind::CheckoutInProgress);
    }

    #[test]
    fn an_operator_has_the_message_of_a_booking_sent_again() {
        let notify = Operation::Notify;
        let mut record = booked();
        assert_eq!(record.operate(&notify, at(NOW + 5), Some(RETRY)), Ok(Operated::Unchanged), "it is on its way");
        record.notified(false, at(NOW + 6), RETRY);
        assert_eq!(record.operate(&notify, at(NOW + 7), Some(RETRY)), Ok(Operated::Changed), "it waits no longer");
        assert_eq!(record.notification(), NotificationStatus::Waiting { failed: 0, due: at(NOW + 7) });
        (0..3).for_each(|_| record.notified(false, at(NOW), RETRY));
        assert_eq!(record.operate(&notify, at(NOW), None).unwrap_err().kind, Kind::NotFound);
        assert_eq!(record.operate(&notify, at(NOW + 1), Some(RETRY)), Ok(Operated::Changed));
        assert_eq!(record.notification(), NotificationStatus::Waiting { failed: 0, due: at(NOW + 1) });
        record.notified(true, at(NOW + 2), RETRY);
        assert_eq!(record.operate(&notify, at(NOW + 3), Some(RETRY)), Ok(Operated::Changed), "also a delivered one");
        for mut other in [record_of(start()), capturing(), refused(None)] {
            for notifier in [None, Some(RETRY)] {
                let refusal = other.operate(&notify, at(NOW), notifier).unwrap_err();
                assert_eq!(refusal.kind, Kind::CheckoutInProgress);
            }
        }
    }
}
