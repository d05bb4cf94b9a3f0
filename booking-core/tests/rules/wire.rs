//! The wire (§6): golden fixtures for every shape, then the rules of reading.
//!
//! A line of a fixture keeps every field it has, as clients have read them. New fields and new lines may come.

use booking_core::checkout::{Checkout, Contact, ContactError, Failure, Order};
use booking_core::effect::{Effect, Notification, Outcome};
use booking_core::format;
use booking_core::ids::{AuthorizationId, MapKey, PaymentId, PaymentKey, PaymentMethodId};
use booking_core::inventory::LineCommand;
use booking_core::journal::run;
use booking_core::life::invitation::{has_failed, is_taken};
use booking_core::map::ticket::{Reader, Reserve, TicketCommand, TicketRefusal, TicketStatus};
use booking_core::map::{
    Delta, Layout, Place, Published, Row, SeatMap, SeatMapCommand, SeatMapRefusal, SeatMapReply, Seats,
};
use booking_core::memory::{Log, Memory};
use booking_core::money::Money;
use booking_core::payment::{
    Authorize, AuthorizeAnswer, Capture, CaptureAnswer, DeclineReason, Ledger, Payment, PaymentAnswer, Void, VoidAnswer,
};
use booking_core::progress::{CheckoutProgress, Resolution};
use booking_core::terms::Terms;
use booking_core::time::{HoldTtl, Millis};
use booking_core::turn;
use booking_core::wire::answer::{Erased, InboxItem, WaitsFor};
use booking_core::wire::audit::AuditEntry;
use booking_core::wire::export::Booking;
use booking_core::wire::search::{AuditSearch, BookingCursor, BookingSearch, BookingStatus, InboxId, InboxSearch};
use booking_core::wire::{
    self, Answer, AtTheDoor, Call, Door, GatewayCall, Handler, InvitationTtl, Kind, MapCall, Operation, ROOTS, Refusal,
    SeatMapCall, TicketCall, answer, gateway, watch,
};

use serde_json::json;
use std::sync::Arc;

use crate::map_support::*;
use crate::support::ready;

const PUBLIC: Door = Door::Public;

fn in_one_go() -> Answer {
    let (mut ledger, method) = (Ledger::default(), PaymentMethodId::parse("card_success").unwrap());
    let key = PaymentKey::parse("c-1:authorize").unwrap();
    gateway::pay_in_one_go(Authorize { key, amount: "1.00:USD".parse().unwrap(), method }, |payment| {
        turn(&mut ledger, payment, at(NOW)).stored().unwrap()
    })
}

fn parse(method: &str, path: &str, body: &str) -> Result<Call, Refusal> {
    wire::parse(PUBLIC, method, path, body.as_bytes())
}

fn kind_of(method: &str, path: &str, body: &str) -> Kind {
    parse(method, path, body).unwrap_err().kind
}

/// What the message of an invalid request says after its beginning.
fn wrong(from: Door, path: &str, body: &str) -> String {
    let refusal = wire::parse(from, "POST", path, body.as_bytes()).unwrap_err();
    assert_eq!(refusal.kind, Kind::InvalidRequest, "{refusal}");
    refusal.message.strip_prefix("Invalid request: ").expect("as the specification has it").to_owned()
}

fn method_id(id: &str) -> PaymentMethodId {
    PaymentMethodId::parse(id).unwrap()
}
fn key(key: &str) -> PaymentKey {
    PaymentKey::parse(key).unwrap()
}
fn map_key(key: &str) -> MapKey {
    MapKey::parse(key).unwrap()
}
fn euros(minor: u64) -> Money {
    Money::new(minor, "EUR".parse().unwrap()).unwrap()
}
pub(crate) fn order(tickets: &[&str], method: &str, hold: Option<&str>) -> Order {
    let tickets = tickets.iter().map(|id| ticket_id(id)).collect();
    Order::new(tickets, user("user-1"), method_id(method), hold.map(hold_id)).unwrap()
}
pub(crate) fn layout() -> Layout {
    let place = |id: &str, label, x| Place { ticket: ticket_id(id), label, price: euros(4500), x, y: 20 };
    let seats = vec![place("arena:A:1", None, 10), place("arena:A:2", Some("W1".into()), 20)];
    Layout::new(vec![Row { name: "Row 1".into(), seats }]).unwrap()
}

fn authorize() -> Payment {
    let (key, method) = (key("c-1:authorize"), method_id("card_success"));
    Payment::Authorize(Authorize { key, amount: usd(20_000), method })
}

fn capture() -> Payment {
    let authorization = AuthorizationId::parse("auth:c-1:authorize").unwrap();
    Payment::Capture(Capture { key: key("c-1:capture"), authorization })
}

fn void() -> Payment {
    Payment::Void(Void { authorize_key: key("c-1:authorize"), declined: false })
}

#[test]
fn a_gateway_that_does_not_answer_is_no_no() {
    for payment in [authorize(), capture(), void()] {
        assert_eq!(gateway::read(&payment, None), payment.unanswered());
    }
}

pub(crate) mod golden {
    use super::*;

    pub(crate) fn requests() -> Vec<(&'static str, Call)> {
        let ticket = |call| Call::Ticket(ticket_id("seat-1"), call);
        let map = |call| Call::SeatMap(map_key("global"), call);
        let pay = |command| Call::Gateway(GatewayCall::Command(command));
        let checkout = || checkout_id("c-1");
        let one_place = Layout::new(vec![Row {
            name: "Row 1".into(),
            seats: vec![Place {
                ticket: ticket_id("arena:A:1"),
                label: Some("W1".into()),
                price: euros(4500),
                x: 10,
                y: 20,
            }],
        }]);
        let amount = usd(10_000);
        vec![
            ("ticket get", Call::Ticket(ticket_id("seat-1"), TicketCall::Get(Reader::Anyone))),
            ("ticket get by post", Call::Ticket(ticket_id("arena:A:12"), TicketCall::Get(Reader::Anyone))),
            (
                "ticket get by the holder",
                Call::Ticket(ticket_id("seat-1"), TicketCall::Get(Reader::Holder(hold_id("hold-1")))),
            ),
            (
                "ticket reserve, by a buyer alone",
                Call::Ticket(
                    ticket_id("seat-1"),
                    TicketCall::Reserve { user: user("user-1"), hold: None, nth: None, ttl: None },
                ),
            ),
            (
                "ticket reserve",
                Call::Ticket(
                    ticket_id("seat-1"),
                    TicketCall::Reserve {
                        user: user("user-1"),
                        hold: Some(hold_id("hold-1")),
                        nth: None,
                        ttl: Some(HoldTtl::new(Millis(60_000)).unwrap()),
                    },
                ),
            ),
            (
                "ticket reserve, the third wish",
                ticket(TicketCall::Reserve {
                    user: user("user-1"),
                    hold: Some(hold_id("hold-1")),
                    nth: Some(3),
                    ttl: None,
                }),
            ),
            ("ticket release", ticket(TicketCall::Release { hold: hold_id("hold-1"), nth: None })),
            ("ticket release, the fourth wish", ticket(TicketCall::Release { hold: hold_id("hold-1"), nth: Some(4) })),
            ("ticket block", ticket(TicketCall::Block { reason: "Broken seat".into() })),
            ("ticket unblock", ticket(TicketCall::Unblock)),
            ("ticket list", ticket(TicketCall::List { price: euros(4500) })),
            ("ticket sell", Call::Ticket(ticket_id("seat-1"), TicketCall::Sell { user: user("user-1") })),
            ("ticket reset", ticket(TicketCall::Reset { up_to: 7 })),
            ("ticket cleanup", ticket(TicketCall::Reset { up_to: u64::MAX })),
            ("map get", Call::SeatMap(map_key("global"), SeatMapCall::Get)),
            ("map summary", Call::SeatMap(map_key("arena:A"), SeatMapCall::Summary)),
            ("map plan", Call::SeatMap(map_key("arena:A"), SeatMapCall::Plan)),
            ("map watch", Call::SeatMap(map_key("global"), SeatMapCall::Watch)),
            (
                "map layout",
                Call::SeatMap(map_key("arena:A"), SeatMapCall::Publish { layout: Arc::new(one_place.unwrap()) }),
            ),
            ("map resetAll", map(SeatMapCall::ResetAll)),
            (
                "map recall",
                map(SeatMapCall::Recall {
                    seats: Seats::new(vec![ticket_id("seat-2"), ticket_id("seat-1")]).unwrap(),
                    up_to: 7,
                }),
            ),
            ("map erase", map(SeatMapCall::Erase { user: user("user-1"), reason: "Asked by letter".into() })),
            ("checkout process", Call::Process(order(&["seat-1"], "card_success", None))),
            (
                "checkout process, with everything",
                Call::Process(order(&["seat-1", "seat-2"], "card_flaky", Some("hold-1")).reached_by(Some(contact()))),
            ),
            ("checkout send", Call::ProcessSend(order(&["seat-1"], "card_decline", None))),
            ("checkouts that are stuck", Call::Stuck(None)),
            ("checkouts that are stuck, after one", Call::Stuck(Some(checkout()))),
            ("bookings", Call::Bookings(BookingSearch::default())),
            ("bookings, behind a link", Call::Bookings(searched())),
            (
                "bookings, of a buyer",
                Call::Bookings(BookingSearch { user: Some(user("user-1")), ..BookingSearch::default() }),
            ),
            ("bookings as a table", Call::BookingsCsv(searched())),
            ("inbox", Call::Inbox(InboxSearch { after: None, limit: 100 })),
            ("inbox, after one", Call::Inbox(InboxSearch { after: Some(InboxId::Notification(checkout())), limit: 2 })),
            ("inbox retry", Call::Retry(InboxId::Notification(checkout()))),
            ("inbox retry of a line", Call::Retry(InboxId::Line(7))),
            ("audit", Call::Audit(AuditSearch { after: Some(17), limit: 2 })),
            (
                "a buyer is invited",
                Call::Invite { map: MapKey::parse("arena:A").unwrap(), ttl: InvitationTtl::default() },
            ),
            (
                "a buyer is invited for a while",
                Call::Invite {
                    map: MapKey::parse("arena:A").unwrap(),
                    ttl: InvitationTtl::try_from(86_400_000).unwrap(),
                },
            ),
            ("a buyer is forgotten", Call::Erase { user: user("user-1"), reason: "Asked by letter".into() }),
            ("checkout cancel", operate(Operation::Cancel { reason: "The buyer has called".into() })),
            ("checkout resolve, captured", operate(resolve(Resolution::Captured(PaymentId::parse("pay-1").unwrap())))),
            ("checkout resolve, let go", operate(resolve(Resolution::LetGo))),
            ("checkout notify", operate(Operation::Notify)),
            ("checkout erase", operate(Operation::Erase { reason: "Asked by letter".into() })),
            ("checkout status", Call::Status(checkout())),
            (
                "gateway authorize",
                pay(Payment::Authorize(Authorize {
                    key: key("c-1:authorize"),
                    amount,
                    method: method_id("card_success"),
                })),
            ),
            (
                "gateway capture",
                pay(Payment::Capture(Capture {
                    key: key("c-1:capture"),
                    authorization: AuthorizationId::parse("auth:c-1:authorize").unwrap(),
                })),
            ),
            ("gateway void", pay(Payment::Void(Void { authorize_key: key("c-1:authorize"), declined: false }))),
            (
                "gateway payment in one go",
                Call::Gateway(GatewayCall::Pay { amount, method: method_id("card_success") }),
            ),
            (
                "gateway payment in one go, by a bare number",
                Call::Gateway(GatewayCall::Pay { amount, method: method_id("card_success") }),
            ),
            ("gateway ledger", Call::Gateway(GatewayCall::Ledger)),
            ("health", Call::Health),
        ]
    }

    fn searched() -> BookingSearch {
        BookingSearch {
            map: Some(map_key("arena:A")),
            ticket: Some(ticket_id("arena:A:1")),
            user: None,
            status: Some(BookingStatus::Confirmed),
            from: Some(at(1_000)),
            until: Some(at(2_000)),
            after: Some(BookingCursor { started: at(1_500), checkout: checkout_id("c-1") }),
            limit: 2,
        }
    }

    fn operate(operation: Operation) -> Call {
        Call::Operate(checkout_id("c-1"), operation)
    }

    fn resolve(resolution: Resolution) -> Operation {
        Operation::Resolve { resolution, reason: "Seen at the gateway".into() }
    }

    /// A field of a fixture's line, and what comes after it.
    fn field<'a>(line: &'a str, name: &str) -> (&'a str, &'a str) {
        let (_, rest) = line.split_once(&format!("\"{name}\":\"")).unwrap();
        rest.split_once("\",").unwrap()
    }

    #[test]
    fn every_request() {
        let lines: Vec<&str> = include_str!("../fixtures/requests.jsonl").lines().collect();
        let expected = requests();
        assert_eq!(lines.len(), expected.len());
        let mut asked = std::collections::BTreeSet::new();
        for (line, (name, call)) in lines.into_iter().zip(expected) {
            let (is, rest) = field(line, "is");
            let (from, rest) = field(rest, "from");
            let (method, rest) = field(rest, "method");
            let (path, rest) = field(rest, "path");
            let body = rest.strip_prefix("\"body\":").and_then(|body| body.strip_suffix('}')).unwrap();
            let from = match from {
                "public" => Door::Public,
                "admin" => Door::Admin,
                other => panic!("no door {other}"),
            };
            assert_eq!(is, name);
            assert_eq!(wire::parse(from, method, path, body.as_bytes()).as_ref(), Ok(&call), "{name}");
            asked.insert(wire::route(from, method, path).unwrap().handler.labels());
        }
        let missing: Vec<_> = Handler::ALL.iter().filter(|handler| !asked.contains(&handler.labels())).collect();
        assert!(missing.is_empty(), "no line of fixtures/requests.jsonl asks for {missing:?}");
    }

    fn contact() -> Contact {
        let object = json!({ "email": "ann@example.com", "language": "en" });
        Contact::new(object.as_object().unwrap()).unwrap()
    }

    fn lines(of: impl IntoIterator<Item = (&'static str, Answer)>) -> Vec<String> {
        let line = |(is, Answer { status, body, .. })| format!(r#"{{"is":"{is}","status":{status},"body":{body}}}"#);
        of.into_iter().map(line).collect()
    }

    fn assert_golden(actual: &[String], fixture: &str) {
        for (actual, golden) in actual.iter().zip(fixture.lines()) {
            assert_eq!(actual, golden);
        }
        assert_eq!(actual.len(), fixture.lines().count());
    }

    fn booking() -> Booking {
        Booking {
            checkout_id: checkout_id("c-2"),
            status: BookingStatus::Confirmed,
            user_id: user("user-1"),
            tickets: vec![ticket_id("arena:A:1"), ticket_id("arena:A:2")],
            amount: Some(euros(9_000)),
            payment_id: Some(PaymentId::parse("pay:c-2:authorize").unwrap()),
            kind: None,
            started_at: at(1_700),
            ended_at: Some(at(1_800)),
            notification: Some("GIVEN_UP".into()),
            reset: vec![ticket_id("arena:A:2")],
        }
    }

    fn refused_booking() -> Booking {
        let (tickets, kind) = (vec![ticket_id("arena:A:1")], Some(Kind::TicketSold.as_str().into()));
        let plain =
            Booking { status: BookingStatus::Failed, checkout_id: checkout_id("c-1"), tickets, kind, ..booking() };
        Booking { amount: None, payment_id: None, notification: None, reset: vec![], started_at: at(1_600), ..plain }
    }

    fn inbox() -> [InboxItem; 2] {
        let notification = InboxId::Notification(checkout_id("c-2"));
        let line = InboxItem { id: InboxId::Line(7), booking: None, why: Some("it is no line of a log".into()) };
        [InboxItem { id: notification, booking: Some(booking()), why: None }, line]
    }

    fn audited() -> AuditEntry {
        let block = Call::Ticket(ticket_id("arena:A:1"), TicketCall::Block { reason: "A broken seat".into() });
        AuditEntry::new("box office", Handler::TicketBlock, &block, at(NOW))
            .answered(&answer::refusal(&Kind::TicketSold.into()))
    }

    #[test]
    fn a_table_of_bookings_is_one_that_every_spreadsheet_reads() {
        let odd = Booking { user_id: user("=HYPERLINK(\"x\",1)"), ..booking() };
        let lines = [booking(), refused_booking(), odd].map(|booking| booking.csv());
        assert_eq!(
            format!("{}{}", Booking::CSV_HEADER, lines.concat()),
            "checkoutId,status,startedAt,endedAt,userId,tickets,minor,currency,paymentId,kind,notification,reset\r\n\
             c-2,CONFIRMED,1970-01-01T00:00:01.700Z,1970-01-01T00:00:01.800Z,user-1,arena:A:1 arena:A:2,9000,EUR,pay:c-2:authorize,,GIVEN_UP,arena:A:2\r\n\
             c-1,FAILED,1970-01-01T00:00:01.600Z,1970-01-01T00:00:01.800Z,user-1,arena:A:1,,,,TicketSold,,\r\n\
             c-2,CONFIRMED,1970-01-01T00:00:01.700Z,1970-01-01T00:00:01.800Z,\"'=HYPERLINK(\"\"x\"\",1)\",arena:A:1 arena:A:2,9000,EUR,pay:c-2:authorize,,GIVEN_UP,arena:A:2\r\n"
        );
        assert_eq!(serde_json::from_str::<Booking>(&booking().line()).unwrap(), booking());
    }

    #[test]
    fn what_operators_look_for_is_refused_by_name() {
        let asked = |method: &str, path: &str, body: &str| {
            wire::parse(Door::Admin, method, path, body.as_bytes()).map_err(|refusal| (refusal.kind, refusal.message))
        };
        for (path, why) in [
            ("/bookings?mpa=x", "`mpa` is not a field of this request"),
            ("/bookings?limit=0", "`limit` must be 1 to 500"),
            ("/bookings?limit=501", "`limit` must be 1 to 500"),
            ("/bookings?limit=many", "`limit` must be a whole number"),
            ("/bookings?status=SOLD", "`status` must be PENDING, CONFIRMED or FAILED"),
            ("/bookings?after=7", "`after` must be a string"),
            ("/bookings?after=7:", "`after` must be the `next` of a page"),
            ("/bookings?map=a&map=b", "`map` stands twice"),
            ("/bookings?map=%zz", "`map` is not percent-encoded UTF-8"),
            ("/bookings?%ff=a", "`query` is not percent-encoded UTF-8"),
            (
                "/bookings.csv?userId=ann",
                "`userId` stands in the body of a POST alone: addresses are written into logs",
            ),
            ("/inbox?after=c-1", "`after` must be the `id` of a message in the inbox"),
            ("/audit?after=x", "`after` must be a whole number"),
        ] {
            let (kind, message) = asked("GET", path, "").unwrap_err();
            assert_eq!(kind, Kind::InvalidRequest);
            assert!(message.contains(why), "{path}: {message}");
        }
        for (body, why) in [
            ("", "`mapKey` is missing"),
            (r#"{"mapKey":"a b"}"#, "`mapKey`"),
            (r#"{"mapKey":"a","ttlMs":59999}"#, "`ttlMs` must be 60000 to 86400000"),
            (r#"{"mapKey":"a","ttlMs":86400001}"#, "`ttlMs` must be 60000 to 86400000"),
            (r#"{"mapKey":"a","ttlMs":"60s"}"#, "`ttlMs` must be a whole number"),
            (r#"{"mapKey":"a","times":2}"#, "`times` is not a field"),
        ] {
            let (kind, message) = asked("POST", "/invitations", body).unwrap_err();
            assert!(kind == Kind::InvalidRequest && message.contains(why), "{body}: {message}");
        }
        let (_, beside) = asked("POST", "/bookings?map=a", "{}").unwrap_err();
        assert!(beside.contains("`query` cannot stand beside a body"), "{beside}");
        let (_, unknown) = asked("POST", "/inbox/line:x/retry", "").unwrap_err();
        assert!(unknown.contains("`id` must be the `id` of a message in the inbox"), "{unknown}");
        let all: String = (0..65).map(|n| format!("a{n}=1&")).collect();
        assert!(asked("GET", &format!("/bookings?{all}"), "").unwrap_err().1.contains("more than 64 fields"));
        // An empty field is none, as forms send them; a plus is a space; and what other handlers have behind a `?` counts for nothing.
        let blank = Call::Bookings(BookingSearch::default());
        assert_eq!(asked("GET", "/bookings?map=&ticketId=&&limit=", ""), Ok(blank));
        assert!(asked("GET", "/bookings?status=CONF+IRMED", "").is_err());
        assert!(asked("GET", "/SeatMap/arena:A/get?at=7", "").is_ok());
    }

    #[test]
    fn every_answer() {
        let view = |map: &Map| map.map.view(&ticket_id("a:1"), at(NOW));
        let prices = || vec![unit_price()];
        let reserved = SeatMapReply::Reserved { hold: hold_id("hold-1"), until: at(1_900_000), prices: prices() };
        let published = Published { edition: 2, tickets: 2, added: 1, removed: 3, repriced: 1 };
        let seat = |why| Err(SeatMapRefusal { ticket: Some(ticket_id("a:1")), why });
        let held = Map::available().after(&reserve("user-1", "hold-1"));
        let sold = held.clone().after(&claim("user-1", "hold-1", "c-1", EARLY)).after(&confirm("hold-1", "c-1", 2));
        let (done, house) = booked();
        let pending =
            Checkout::start(checkout_id("c-1"), order(&["seat-1"], "card_success", None), at(NOW), &Terms::default());
        let [pending, done, failed] = [pending, done, declined()].map(CheckoutProgress::start);
        let [refused, for_nothing] = [refused_a_ticket(), for_nothing()].map(CheckoutProgress::start);
        let lets_go = lets_go();
        let payment = || PaymentId::parse("pay:c-1:authorize").unwrap();
        let reason = || DeclineReason::new("Insufficient funds");
        let actual = lines([
            ("ok", answer::seat(&Ok(SeatMapReply::Done), 4)),
            ("ticket reserve", answer::seat(&Ok(reserved), 1)),
            ("ticket sell", answer::seat(&Ok(SeatMapReply::Sold { prices: prices() }), 2)),
            ("ticket refused", answer::seat(&seat(TicketRefusal::TicketSold), 7)),
            ("ticket refused, held", answer::seat(&seat(TicketRefusal::TicketReserved { until: at(UNTIL) }), 7)),
            ("ticket get, available", answer::ticket_view(&view(&Map::available()))),
            ("ticket get, reserved", answer::ticket_view(&view(&held))),
            ("ticket get, sold", answer::ticket_view(&view(&sold))),
            ("ticket get, blocked", answer::ticket_view(&view(&Map::available().after(&block())))),
            ("map get", answer::seat_map(&arena().picture(at(NOW)))),
            ("map summary", answer::summary(arena().picture(at(NOW)).summary())),
            ("map plan", answer::plan(1, arena().layout().map(Arc::as_ref))),
            ("map plan, without a layout", answer::plan(0, None)),
            ("map layout", answer::map_reply(&Ok(SeatMapReply::Published(published)), 51)),
            ("map layout, refused", answer::map_reply(&seat(TicketRefusal::TicketSold), 51)),
            ("map resetAll", answer::map_reply(&Ok(SeatMapReply::Reset { tickets: 50 }), 51)),
            ("map erase", answer::map_reply(&Ok(SeatMapReply::Erased { tickets: 2, held: 1 }), 51)),
            ("checkout pending", answer::processed(&pending)),
            ("checkout confirmed", answer::processed(&done)),
            ("checkout confirmed, for nothing", answer::processed(&for_nothing)),
            ("checkout declined", answer::processed(&failed)),
            ("checkout refused a ticket", answer::processed(&refused)),
            ("checkout whose capture was refused", answer::processed(&lets_go)),
            (
                "checkouts that are stuck",
                answer::stuck([(&lets_go, WaitsFor::Gateway), (&done, WaitsFor::Notifier)], true),
            ),
            ("bookings", answer::bookings(&[booking(), refused_booking()], Some(&refused_booking().cursor()))),
            ("bookings, the last page", answer::bookings(&[], None)),
            ("inbox", answer::inbox(&inbox(), Some(&InboxId::Line(7)))),
            (
                "audit",
                answer::audit(
                    [(18, &audited()), (17, &AuditEntry::refusals(None, Kind::Unauthorized, 3, at(NOW)))],
                    Some(17),
                ),
            ),
            ("a buyer is invited", answer::invited("bi_of-a-test", &MapKey::parse("arena:A").unwrap(), at(1_900_000))),
            ("a buyer is forgotten", answer::erased(Erased { bookings: 2, tickets: 3, left: 1 })),
            ("status of a pending checkout", answer::checkout(&pending)),
            ("status of a confirmed checkout", answer::checkout(&done)),
            ("status of a failed checkout", answer::checkout(&failed)),
            ("status of a checkout that was refused a ticket", answer::checkout(&refused)),
            (
                "gateway authorize",
                gateway::answer(&PaymentAnswer::Authorize(AuthorizeAnswer::Authorized(
                    AuthorizationId::parse("auth:c-1:authorize").unwrap(),
                ))),
            ),
            ("gateway capture", gateway::answer(&PaymentAnswer::Capture(CaptureAnswer::Captured(payment())))),
            ("gateway void", gateway::answer(&PaymentAnswer::Void(VoidAnswer::Voided))),
            ("gateway void of what was taken", gateway::answer(&PaymentAnswer::Void(VoidAnswer::PaidBack))),
            ("gateway declined", gateway::answer(&PaymentAnswer::Authorize(AuthorizeAnswer::Declined(reason())))),
            ("gateway key reused", gateway::answer(&PaymentAnswer::Authorize(AuthorizeAnswer::KeyReused))),
            ("gateway timeout", gateway::answer(&PaymentAnswer::Capture(CaptureAnswer::Unavailable))),
            ("gateway payment in one go", in_one_go()),
            ("gateway ledger", answer::ledger(house.ledger())),
            ("health", answer::health()),
        ]);
        assert_golden(&actual, include_str!("../fixtures/answers.jsonl"));
        assert_eq!(answer::accepted(&checkout_id("c-1")), answer::processed(&pending));
        let stands = [&pending, &done, &failed, &lets_go].map(|running| answer::stands(&answer::checkout(running)));
        let expected = [BookingStatus::Pending, BookingStatus::Confirmed, BookingStatus::Failed, BookingStatus::Failed];
        assert_eq!(stands, expected.map(Some));
        assert_eq!([answer::processed(&failed), answer::health()].map(|said| answer::stands(&said)), [None, None]);
        // Of an invitation only one checkout sells: the next one begins where the last has failed.
        let next = [&pending, &done, &failed].map(|running| has_failed(&answer::checkout(running)));
        assert_eq!(next, [Err(Kind::InvitationUsed), Err(Kind::InvitationUsed), Ok(())]);
        for (kind, why) in [(Kind::NotFound, Kind::InvitationUsed), (Kind::Overloaded, Kind::Overloaded)] {
            assert_eq!(has_failed(&answer::refusal(&kind.into())), Err(why));
        }
        assert_eq!(has_failed(&answer::health()), Err(Kind::StorageUnavailable));
        let reused = answer::refusal(&Kind::IdempotencyKeyReused.into());
        assert!(is_taken(&reused) && !is_taken(&answer::processed(&failed)));
        let refused = gateway::answer(&PaymentAnswer::Capture(CaptureAnswer::Declined(reason())));
        assert_eq!(refused, gateway::answer(&PaymentAnswer::Authorize(AuthorizeAnswer::Declined(reason()))));
    }

    #[test]
    fn every_refusal() {
        let refusal = |kind: Kind| match kind {
            Kind::InvalidRequest => Refusal::invalid("userId", "is missing"),
            Kind::PaymentDeclined => (&Failure::PaymentDeclined(DeclineReason::new("Insufficient funds"))).into(),
            Kind::MethodNotAllowed => parse("GET", "/Checkout/process", "").unwrap_err(),
            kind => kind.into(),
        };
        let actual = lines(Kind::ALL.iter().map(|kind| (kind.as_str(), answer::refusal(&refusal(*kind)))));
        assert_golden(&actual, include_str!("../fixtures/refusals.jsonl"));
        for kind in Kind::ALL.iter().copied() {
            assert_eq!(Kind::named(kind.as_str()), Some(kind));
            assert_eq!(answer::refusal(&kind.into()).kind, Some(kind));
        }
        assert_eq!(Kind::named("Other"), None);
    }

    #[test]
    fn many_watchers_come_back_over_the_time_that_it_takes_to_let_them_in() {
        let each = std::time::Duration::from_millis(1);
        let spread = |watchers| watch::spread(watchers, each);
        assert_eq!([0, 1, 256].map(spread), [Millis(0); 3], "a few come back as they like");
        assert_eq!([257, 300, 512].map(spread), [Millis(512); 3], "in steps");
        assert_eq!([513, 10_000, 100_000, usize::MAX / 2].map(spread), [1_024, 16_384, 30_000, 30_000].map(Millis));
    }

    #[test]
    fn every_message_to_a_watcher() {
        let (one, other) = (ticket_id("arena:A:1"), ticket_id("arena:A:2"));
        let delta = |version, seats: &[_]| Delta { version, seats: seats.to_vec() };
        let deltas = [
            delta(3, &[(one, TicketStatus::Sold), (other.clone(), TicketStatus::Reserved)]),
            delta(4, &[(other, TicketStatus::Available)]),
        ];
        let snapshot = |map: &SeatMap| watch::snapshot(&map.picture(at(NOW)), Millis(0));
        let actual = [
            snapshot(&arena()),
            snapshot(&Map::held().map),
            snapshot(&SeatMap::default()),
            watch::deltas(&deltas, None),
        ];
        let spread = watch::snapshot(&arena().picture(at(NOW)), Millis(2_000));
        let others = [spread, watch::deltas(&deltas[1..], Some(Millis(0)))];
        assert_golden(&[&actual[..], &others].concat(), include_str!("../fixtures/watch.jsonl"));
        assert_eq!(watch::parse(br#"{"type":"snapshot"}"#), Ok(watch::Ask::Snapshot));
        assert_eq!(watch::parse(watch::PING.as_bytes()), Ok(watch::Ask::Ping));
        for bad in ["", "{}", r#"{"type":"other"}"#, r#"{"type":"snapshot","since":1}"#, "[]", "\u{0}"] {
            assert_eq!(watch::parse(bad.as_bytes()).unwrap_err().kind, Kind::InvalidRequest, "{bad}");
        }
    }

    #[test]
    fn every_call_to_a_gateway_or_receiver_of_notifications() {
        let message = Notification {
            key: key("c-1:notify"),
            checkout: checkout_id("c-1"),
            user: user("user-1"),
            contact: None,
            tickets: vec![ticket_id("seat-1"), ticket_id("seat-2")],
            amount: usd(20_000),
            payment: Some(PaymentId::parse("pay:c-1:authorize").unwrap()),
        };
        let calls = [
            gateway::request(&authorize()),
            gateway::request(&capture()),
            gateway::request(&void()),
            gateway::notification(&message),
            gateway::notification(&Notification { contact: Some(contact()), ..message.clone() }),
        ];
        let line =
            |gateway::GatewayRequest { path, key, body }| format!(r#"{{"path":"{path}","key":"{key}","body":{body}}}"#);
        assert_golden(&calls.map(line), include_str!("../fixtures/gateway_calls.jsonl"));
    }

    /// A map with a layout of two, one of them sold.
    fn arena() -> SeatMap {
        let mut map = SeatMap::default();
        let publish = SeatMapCommand::Publish { layout: Arc::new(layout()) };
        booking_core::turn(&mut map, &publish, at(NOW)).stored().unwrap();
        let seats = Seats::from(ticket_id("arena:A:1"));
        let offer = map.offer(&seats, None, 0);
        let command = TicketCommand::Sell { user: user("user-1"), hold: hold_id("hold-1"), offer };
        booking_core::turn(&mut map, &SeatMapCommand::Seats { seats, command }, at(NOW)).stored().unwrap();
        map
    }

    fn booked() -> (Checkout, Memory) {
        process("card_success")
    }
    fn declined() -> Checkout {
        process("card_decline").0
    }

    /// A checkout of two seats, the second of which another buyer holds.
    fn refused_a_ticket() -> Checkout {
        let mut memory = Memory::new(at(NOW), Terms::default());
        let (map, seats) = (ticket_id("seat-2").map_key(), Seats::from(ticket_id("seat-2")));
        let offer = memory.offer(&map, &seats);
        let command = offering(reserve("user-2", "hold-2"), |it| *it = offer);
        memory.ask(&map, &SeatMapCommand::Seats { seats, command }).unwrap();
        run_in(memory, "card_success").0
    }

    /// A checkout whose seats are back, and whose money is still let go of.
    fn lets_go() -> CheckoutProgress {
        let mut memory = Memory::new(at(NOW), Terms::default());
        let order = order(&["seat-1"], "card_capture_decline", None);
        let mut running = CheckoutProgress::start(Checkout::start(checkout_id("c-1"), order, at(NOW), &memory.terms));
        while running.told().is_none() {
            let (op, effect) = running.pending().remove(0);
            let outcome = match &effect {
                Effect::Pay(payment @ Payment::Void(_)) => Outcome::Paid(payment.unanswered()),
                _ => memory.perform(effect),
            };
            let _step = running.record(&op, outcome).unwrap();
        }
        assert_eq!(running.ending(), None);
        running
    }

    fn for_nothing() -> Checkout {
        let terms = Terms { unit_price: usd(0), ..Terms::default() };
        let (checkout, memory) = run_in(Memory::new(at(NOW), terms), "card_decline");
        assert_eq!(memory.ledger().accounts().count(), 0);
        checkout
    }

    /// A checkout of two seats, run to its end.
    fn process(card: &str) -> (Checkout, Memory) {
        run_in(Memory::new(at(NOW), Terms::default()), card)
    }

    fn run_in(mut memory: Memory, card: &str) -> (Checkout, Memory) {
        let start =
            Checkout::start(checkout_id("c-1"), order(&["seat-1", "seat-2"], card, None), at(NOW), &memory.terms);
        let mut log = Log::start(&start);
        let journal = &mut memory.journaled(&mut log);
        ready(run(journal, start)).unwrap();
        let lines: Vec<Vec<u8>> = log.lines().collect();
        let running = booking_core::journal::replay(lines.iter().map(Vec::as_slice)).unwrap();
        (running.checkout().clone(), memory)
    }
}

mod paths {
    use super::*;

    #[test]
    fn are_percent_decoded_once() {
        let get = |id: &str| Ok(Call::Ticket(ticket_id(id), TicketCall::Get(Reader::Anyone)));
        assert_eq!(parse("GET", "/Ticket/arena%3AA%3a12/get", ""), get("arena:A:12"));
        assert_eq!(parse("GET", "/Ticket/seat%2D7/get", ""), get("seat-7"));
        for twice_or_broken in ["seat%252D7", "seat%2", "seat%", "%ff", "seat%zz", "a%2Fb", "%00", "%2E%2E", "", "%20"]
        {
            let path = format!("/Ticket/{twice_or_broken}/get");
            let refusal = parse("GET", &path, "").unwrap_err();
            assert_eq!(refusal.kind, Kind::InvalidRequest, "{path}");
            assert!(refusal.message.contains("`ticketId`"), "{refusal}");
        }
    }

    #[test]
    fn that_lead_nowhere_are_not_found() {
        for path in [
            "",
            "/",
            "//",
            "/Ticket",
            "/Ticket/",
            "/Ticket/a",
            "/Ticket/a/",
            "/Ticket/a/get/",
            "/Ticket/a/steal",
            "/ticket/a/get",
            "/Ticket/a/get/more",
            "/SeatMap/global",
            "/SeatMap/global/reserve",
            "/Checkout",
            "/Checkout/",
            "/Checkout/process/later",
            "/api",
            "/api/mock-payment/",
            "/api/mock-payment/refund",
            "/api/other",
            "/Health",
            "/health/",
            "/Ticket/a/claims",
        ] {
            assert_eq!(kind_of("GET", path, ""), Kind::NotFound, "{path}");
            assert_eq!(kind_of("POST", path, ""), Kind::NotFound, "{path}");
        }
    }

    #[test]
    fn end_at_a_query() {
        assert!(parse("GET", "/Ticket/a/get?cache=no", "").is_ok());
    }

    #[test]
    fn are_the_same_where_the_platform_has_routed_already() {
        let routed = |service, name, id, body: &str| {
            wire::parse_call(Handler::named(service, name).unwrap(), id, body.as_bytes())
        };
        assert_eq!(routed("Ticket", "reserve", "a", "\"u\""), parse("POST", "/Ticket/a/reserve", "\"u\""));
        assert_eq!(routed("SeatMap", "summary", "m", ""), parse("GET", "/SeatMap/m/summary", ""));
        let order = r#"{"ticketId":"a","userId":"u"}"#;
        assert_eq!(routed("Checkout", "process", "", order), parse("POST", "/Checkout/process", order));
        assert_eq!(routed("Ticket", "get", "", "").unwrap_err().kind, Kind::InvalidRequest);
        for (service, name) in [("Ticket", "confirm"), ("Nothing", "get"), ("Ticket", ""), ("", "")] {
            assert_eq!(Handler::named(service, name), None, "{service}/{name}");
        }
    }

    #[test]
    fn lead_each_to_its_handler() {
        let mut paths = std::collections::BTreeSet::new();
        for handler in Handler::ALL {
            let path = handler.path().replace("{ticketId}", "a").replace("{mapKey}", "a").replace("{checkoutId}", "a");
            let method = handler.allow().split(", ").next().unwrap();
            assert_eq!(wire::route(Door::Admin, method, &path).map(|route| route.handler), Ok(*handler), "{path}");
            assert!(ROOTS.iter().any(|root| path == *root || path.starts_with(&format!("{root}/"))), "{path}");
            let (service, name) = handler.labels();
            assert_eq!(Handler::named(service, name), Some(*handler), "{path}");
            assert!(paths.insert(path));
        }
    }

    #[test]
    fn have_names_for_metrics_without_ids() {
        let name = |path| wire::route(PUBLIC, "GET", path).unwrap().handler.labels();
        assert_eq!((name("/Ticket/secret/get"), name("/Checkout/secret")), (("Ticket", "get"), ("Checkout", "status")));
    }
}

mod doors {
    use super::*;

    /// The path of each handler that changes something behind the admin door, with names in it.
    fn admin() -> Vec<String> {
        let changes = |handler: &&Handler| handler.door() == Door::Admin && handler.allow() == "POST";
        let path = |handler: &Handler| {
            let parts = handler.path();
            let named = parts.split('/').map(|part| if part.starts_with('{') { "a" } else { part });
            named.collect::<Vec<_>>().join("/")
        };
        let paths: Vec<String> = Handler::ALL.iter().filter(changes).map(path).collect();
        assert!(paths.len() > 9 && paths.contains(&"/Ticket/a/block".to_owned()), "{paths:?}");
        paths
    }

    #[test]
    fn admin_routes_are_not_there_for_the_public() {
        for path in admin() {
            assert_eq!(wire::route(Door::Public, "POST", &path).unwrap_err().kind, Kind::NotFound, "{path}");
            let looked = wire::route(Door::Public, "GET", &path).map_err(|refusal| refusal.kind);
            assert!(matches!(looked, Err(Kind::NotFound | Kind::MethodNotAllowed)), "{path}: {looked:?}");
            assert_eq!(
                wire::route(Door::Admin, "POST", &path).map(|route| route.handler.door()),
                Ok(Door::Admin),
                "{path}"
            );
        }
    }

    #[test]
    fn what_objects_send_one_another_has_no_route() {
        for path in ["/Ticket/a/claim", "/Ticket/a/confirm", "/Ticket/a/turn", "/SeatMap/m/set", "/SeatMap/m/turn"] {
            assert_eq!(wire::route(Door::Admin, "POST", path).unwrap_err().kind, Kind::NotFound, "{path}");
        }
    }

    #[test]
    fn checkout_in_a_public_body_is_an_invalid_request() {
        let body = r#"{"userId":"u","holdId":"h","checkout":"c","deadline":1}"#;
        assert_eq!(wrong(PUBLIC, "/Ticket/a/reserve", body), "`checkout` is not a field of this request");
        let body = r#"{"holdId":"h","checkout":"c"}"#;
        assert_eq!(wrong(PUBLIC, "/Ticket/a/release", body), "`checkout` is not a field of this request");
    }

    #[test]
    fn a_checkouts_own_hold_cannot_be_named_from_outside() {
        let body = r#"{"userId":"u","holdId":":c-1"}"#;
        assert_eq!(wrong(PUBLIC, "/Ticket/a/reserve", body), "`holdId` must not start with `:`");
    }

    #[test]
    fn get_serves_what_reads_and_nothing_that_changes_state() {
        for path in ["/Ticket/a/get", "/SeatMap/m/get", "/SeatMap/m/summary", "/SeatMap/m/plan"] {
            assert!(
                parse("GET", path, "").is_ok() && parse("HEAD", path, "").is_ok() && parse("POST", path, "").is_ok()
            );
        }
        for path in ["/SeatMap/m/watch", "/Checkout/c", "/health"] {
            assert!(parse("GET", path, "").is_ok(), "{path}");
            assert_eq!(kind_of("POST", path, ""), Kind::MethodNotAllowed, "{path}");
        }
        for path in ["/api/mock-payment/ledger", "/Checkout/list/stuck"] {
            assert!(wire::parse(Door::Admin, "GET", path, b"").is_ok(), "{path}");
            assert_eq!(kind_of("GET", path, ""), Kind::NotFound, "{path} is for operators");
        }
        let changes = [
            "/Ticket/a/reserve",
            "/Ticket/a/release",
            "/Checkout/process",
            "/Checkout/process/send",
            "/api/mock-payment",
        ];
        let admin = admin();
        for path in changes.into_iter().chain(admin.iter().map(String::as_str)) {
            for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "post", ""] {
                let refusal = wire::parse(Door::Admin, method, path, b"").unwrap_err();
                assert_eq!(refusal.kind, Kind::MethodNotAllowed, "{method} {path}");
            }
        }
    }
}

mod bodies {
    use super::*;

    const RESERVE: &str = "/Ticket/a/reserve";
    const PROCESS: &str = "/Checkout/process";

    #[test]
    fn each_error_names_its_field() {
        for (path, body, message) in [
            (RESERVE, "{}", "`userId` is missing"),
            (RESERVE, r#"{"userId":null}"#, "`userId` is missing"),
            (RESERVE, r#"{"userId":7}"#, "`userId` must be a string"),
            (RESERVE, r#"{"userId":""}"#, "`userId` must not be empty"),
            (
                RESERVE,
                "\"a\u{200b}\"",
                "`userId` has a character that is not printable: control characters, invisible ones and those that turn text \
                 around",
            ),
            (RESERVE, "\"e\u{301}\"", "`userId` must be in Unicode's normal form C (NFC)"),
            (
                PROCESS,
                "{\"ticketId\":\"t\",\"userId\":\"e\u{301}\"}",
                "`userId` must be in Unicode's normal form C (NFC)",
            ),
            (RESERVE, r#"{"userId":"u","holdId":[]}"#, "`holdId` must be a string"),
            (RESERVE, r#"{"userId":"u","ttlMs":-1}"#, "`ttlMs` must be a whole number from 0 to 9007199254740991"),
            (RESERVE, r#"{"userId":"u","ttlMs":1e3}"#, "`ttlMs` must be a whole number from 0 to 9007199254740991"),
            (RESERVE, r#"{"userId":"u","ttlMs":1.5}"#, "`ttlMs` must be a whole number from 0 to 9007199254740991"),
            (
                RESERVE,
                r#"{"userId":"u","ttlMs":99999999999999999999}"#,
                "`ttlMs` must be a whole number from 0 to 9007199254740991",
            ),
            (RESERVE, r#"{"userId":"u","ttlMs":"60000"}"#, "`ttlMs` must be a whole number from 0 to 9007199254740991"),
            (RESERVE, r#"{"userId":"u","more":1}"#, "`more` is not a field of this request"),
            (RESERVE, r#"{"userId":"u","holdId":"h","nth":0}"#, "`nth` must be at least 1"),
            (RESERVE, "[]", "`body` must be an object"),
            (RESERVE, "7", "`body` must be an object"),
            (PROCESS, r#"{"userId":"u"}"#, "`ticketId` is missing"),
            (PROCESS, r#"{"ticketIds":[],"userId":"u"}"#, "`ticketIds` must have at least one ticket"),
            (PROCESS, r#"{"ticketIds":["a",7],"userId":"u"}"#, "`ticketIds[1]` must be a string"),
            (PROCESS, r#"{"ticketIds":"a","userId":"u"}"#, "`ticketIds` must be a list"),
            (
                PROCESS,
                r#"{"ticketId":"a","ticketIds":["b"],"userId":"u"}"#,
                "`ticketIds` cannot stand beside `ticketId`",
            ),
            (PROCESS, r#"{"ticketId":"a","userId":"u","paymentMethodId":{}}"#, "`paymentMethodId` must be a string"),
        ] {
            assert_eq!(wrong(PUBLIC, path, body), message, "{body}");
        }
        for (path, body, message) in [
            ("/bookings", "{\"userId\":\"e\u{301}\"}", "`userId` must be in Unicode's normal form C (NFC)"),
            ("/Ticket/a/sell", "{\"userId\":\"e\u{301}\"}", "`userId` must be in Unicode's normal form C (NFC)"),
            ("/Ticket/a/block", "{}", "`reason` is missing"),
            ("/Ticket/a/block", r#"{"reason":""}"#, "`reason` must be one line of 1 to 200 characters"),
            ("/Ticket/a/block", r#"{"reason":"a\nb"}"#, "`reason` must be one line of 1 to 200 characters"),
            ("/Ticket/a/unblock", r#"{"x":1}"#, "`x` is not a field of this request"),
            ("/Ticket/a/list", r#"{"price":{"minor":1}}"#, "`price.currency` is missing"),
            (
                "/Ticket/a/list",
                r#"{"price":{"minor":1,"currency":"usd"}}"#,
                "`price.currency` must be three letters A-Z, as in ISO 4217",
            ),
            (
                "/Ticket/a/list",
                r#"{"price":{"minor":1,"currency":"USD","x":1}}"#,
                "`price.x` is not a field of this request",
            ),
            ("/Ticket/a/list", r#"{"price":100}"#, "`price` must be an object"),
            (
                "/Ticket/a/reset",
                r#"{"upTo":9007199254740992}"#,
                "`upTo` must be a whole number from 0 to 9007199254740991",
            ),
            ("/SeatMap/m/recall", r#"{"ticketIds":["m:1"]}"#, "`upTo` is missing"),
            ("/SeatMap/m/recall", r#"{"ticketIds":[],"upTo":1}"#, "`ticketIds` must have at least one ticket"),
            (
                "/SeatMap/m/recall",
                r#"{"ticketIds":["m:1","n:1"],"upTo":1}"#,
                "`ticketIds[1]` must be a ticket of this map",
            ),
            ("/SeatMap/m/layout", r#"{"rows":[]}"#, "`rows` must have at least one seat"),
            (
                "/SeatMap/m/layout",
                r#"{"rows":[{"name":"A","seats":[{"ticketId":"n:1","price":{"minor":1,"currency":"USD"},"x":1,"y":1}]}]}"#,
                "`rows[0].seats[0].ticketId` must be a ticket of this map",
            ),
            (
                "/SeatMap/m/layout",
                r#"{"rows":[{"name":"A","seats":[{"ticketId":"m:1","price":{"minor":1,"currency":"USD"},"x":-1,"y":1}]}]}"#,
                "`rows[0].seats[0].x` must be a whole number from 0 to 4294967295",
            ),
        ] {
            assert_eq!(wrong(Door::Admin, path, body), message, "{body}");
        }
    }

    #[test]
    fn no_field_stands_twice() {
        assert!(
            wrong(PUBLIC, RESERVE, r#"{"userId":"u","userId":"v"}"#)
                .starts_with("`body` is not valid JSON: `userId` stands twice")
        );
    }

    #[test]
    fn no_error_quotes_a_value() {
        for body in [
            r#"{"userId":"u","holdId":"s3cret s3cret"}"#,
            r#"{"userId":"u","holdId":":s3cret"}"#,
            r#"{"userId":"u","holdId":"s3cret","ttlMs":"s3cret"}"#,
            r#"{"userId":"u","holdId":"s3cret","ttlMs":1}"#,
            r#"{"userId":"u","holdId":"s3cret"#,
            "\"s3cret\u{200b}s3cret\"",
        ] {
            let refusal = parse("POST", RESERVE, body).unwrap_err();
            assert!(!refusal.message.contains("s3cret"), "{refusal}");
        }
    }

    #[test]
    fn handlers_without_input_take_an_empty_body_null_or_an_empty_object() {
        for body in ["", "  \n", "null", "{}"] {
            assert!(parse("POST", "/Ticket/a/get", body).is_ok(), "{body:?}");
        }
        for body in ["0", "[]", "\"\"", "{", r#"{"a":1}"#] {
            assert_eq!(kind_of("POST", "/Ticket/a/get", body), Kind::InvalidRequest, "{body:?}");
        }
    }

    #[test]
    fn payment_method_is_card_success_by_default() {
        let Ok(Call::Process(order)) = parse("POST", PROCESS, r#"{"ticketId":"a","userId":"u"}"#) else { panic!() };
        assert_eq!(order.method().as_str(), "card_success");
    }

    #[test]
    fn deep_nesting_odd_unicode_and_huge_numbers_are_invalid_requests() {
        let deep = format!("{}1{}", "[".repeat(8000), "]".repeat(8000));
        let deep_objects = format!("{}1{}", "{\"a\":".repeat(2000), "}".repeat(2000));
        let huge = format!(r#"{{"userId":"u","ttlMs":{}}}"#, "9".repeat(5000));
        let names = format!("{{{}}}", (0..1000).map(|i| format!("\"f{i}\":1")).collect::<Vec<_>>().join(","));
        let odd = [
            "\u{feff}\"u\"",
            "\"\\ud800\"",
            "\"u\u{202e}\"",
            "\"\\u0000\"",
            "\"🎫\u{fe0f}\"",
            "nul",
            "tru",
            "\"",
            "'u'",
            "{\"userId\":}",
        ];
        for body in [deep.as_str(), &deep_objects, &huge, &names].into_iter().chain(odd) {
            assert_eq!(kind_of("POST", RESERVE, body), Kind::InvalidRequest, "{body:.40}");
        }
        assert_eq!(wire::parse(PUBLIC, "POST", RESERVE, b"\"\xff\xfe\"").unwrap_err().kind, Kind::InvalidRequest);
    }

    #[test]
    fn idempotency_keys_are_1_to_128_printable_ascii_characters() {
        let longest = "k".repeat(128);
        for good in ["k", "a/b+c=", longest.as_str()] {
            assert_eq!(wire::idempotency_key("POST", [good.as_bytes()]), Ok(Some(good)));
        }
        for bad in ["", "a b", "é", "a\u{7f}", &"k".repeat(129)] {
            let refusal = wire::idempotency_key("POST", [bad.as_bytes()]).unwrap_err();
            assert!(refusal.message.contains("`Idempotency-Key`"), "{refusal}");
            assert_eq!(wire::idempotency_key("GET", [bad.as_bytes()]), Ok(None), "nothing that changes comes by GET");
        }
        assert!(wire::idempotency_key("POST", [&[0xff][..]]).is_err());
        assert_eq!(wire::idempotency_key("POST", []), Ok(None));
        let twice = wire::idempotency_key("POST", [b"one".as_slice(), b"two"]).unwrap_err();
        assert!(twice.message.contains("`Idempotency-Key` stands twice"), "{twice}");
    }

    #[test]
    fn what_may_pass_says_after_how_many_seconds() {
        let says = |kind: &Kind| Some((*kind, kind.retry_after()?));
        let expected = [(Kind::RateLimited, 10), (Kind::Overloaded, 1), (Kind::StorageUnavailable, 1)];
        assert_eq!(Kind::ALL.iter().filter_map(says).collect::<Vec<_>>(), expected);
    }
}

/// When several refusals apply, the one higher in the documented order of checks wins.
mod precedence {
    use super::*;

    fn oversized() -> String {
        format!("\"{}\"", "x".repeat(wire::MAX_BODY))
    }

    #[test]
    fn not_found_comes_before_method_not_allowed() {
        assert_eq!(kind_of("PUT", "/Ticket/a/nothing", ""), Kind::NotFound);
        assert_eq!(kind_of("GET", "/Ticket/a/confirm", ""), Kind::NotFound);
    }

    #[test]
    fn method_not_allowed_comes_before_payload_too_large() {
        assert_eq!(kind_of("GET", "/Ticket/../reserve", &oversized()), Kind::MethodNotAllowed);
    }

    #[test]
    fn payload_too_large_comes_before_invalid_request() {
        assert_eq!(kind_of("POST", "/Ticket/../reserve", &oversized()), Kind::PayloadTooLarge);
        let fits = format!("\"{}\"", "x".repeat(wire::MAX_BODY - 2));
        assert_eq!(kind_of("POST", "/Ticket/a/reserve", &fits), Kind::InvalidRequest);
    }

    #[test]
    fn layouts_may_have_2_mib() {
        let layout =
            |bytes: usize| wire::parse(Door::Admin, "POST", "/SeatMap/m/layout", &vec![b' '; bytes]).unwrap_err().kind;
        assert_eq!(
            (layout(wire::MAX_LAYOUT_BODY + 1), layout(wire::MAX_LAYOUT_BODY)),
            (Kind::PayloadTooLarge, Kind::InvalidRequest)
        );
    }

    #[test]
    fn the_id_in_the_path_comes_before_the_body() {
        assert!(wrong(PUBLIC, "/Ticket/%20/reserve", "not json").starts_with("`ticketId`"));
    }

    #[test]
    fn fields_come_in_the_order_of_the_handler_and_unknown_ones_last() {
        let order = r#"{"zzz":1,"holdId":1,"paymentMethodId":1,"userId":1,"ticketIds":1,"ticketId":1}"#;
        for (field, next) in [("ticketId", ""), ("ticketIds", "ticketId"), ("userId", "ticketIds")] {
            let body = if next.is_empty() { order.to_owned() } else { order.replace(&format!(",\"{next}\":1"), "") };
            let body = if field == "userId" { body.replace(",\"ticketId\":1", ",\"ticketId\":\"a\"") } else { body };
            assert!(wrong(PUBLIC, "/Checkout/process", &body).starts_with(&format!("`{field}`")), "{body}");
        }
        let late = r#"{"zzz":1,"holdId":1,"paymentMethodId":"p","userId":"u","ticketId":"a"}"#;
        assert!(wrong(PUBLIC, "/Checkout/process", late).starts_with("`holdId`"));
        assert!(
            wrong(PUBLIC, "/Checkout/process", &late.replace("\"holdId\":1", "\"holdId\":\"h\"")).starts_with("`zzz`")
        );
    }

    #[test]
    fn invalid_request_comes_before_what_is_out_of_bounds() {
        assert_eq!(kind_of("POST", "/Ticket/a/reserve", r#"{"userId":"u","ttlMs":1,"zzz":1}"#), Kind::InvalidRequest);
        assert_eq!(kind_of("POST", "/Ticket/a/reserve", r#"{"userId":"u","ttlMs":1}"#), Kind::TtlOutOfRange);
        assert_eq!(kind_of("POST", "/Ticket/a/reserve", r#"{"userId":"u","ttlMs":7200001}"#), Kind::TtlOutOfRange);
        let eleven = format!("[{}]", ["\"a\""; 11].join(","));
        let process = |more: &str| {
            kind_of("POST", "/Checkout/process", &format!(r#"{{"ticketIds":{eleven},"userId":"u"{more}}}"#))
        };
        assert_eq!(process(r#","zzz":1"#), Kind::InvalidRequest);
        assert_eq!(process(""), Kind::TooManyTickets);
    }

    #[test]
    fn too_many_tickets_comes_before_duplicate_ticket() {
        let duplicate = r#"{"ticketIds":["a","b","a"],"userId":"u"}"#;
        assert_eq!(kind_of("POST", "/Checkout/process", duplicate), Kind::DuplicateTicket);
        let place = r#"{"ticketId":"m:1","price":{"minor":1,"currency":"USD"},"x":1,"y":1}"#;
        let layout = format!(r#"{{"rows":[{{"name":"A","seats":[{place},{place}]}}]}}"#);
        let refusal = wire::parse(Door::Admin, "POST", "/SeatMap/m/layout", layout.as_bytes()).unwrap_err();
        assert_eq!(refusal.kind, Kind::DuplicateTicket);
    }
}

mod gateways_answers {
    use super::*;

    #[test]
    fn to_authorize_mean_yes_no_reused_or_unknown() {
        let yes = AuthorizeAnswer::Authorized(AuthorizationId::parse("a1").unwrap());
        let no = |reason| AuthorizeAnswer::Declined(DeclineReason::new(reason));
        for (status, body, answer) in [
            (200, r#"{"authorizationId":"a1","more":1}"#, yes),
            (200, "{}", AuthorizeAnswer::Unavailable),
            (200, "<html>", AuthorizeAnswer::Unavailable),
            (200, r#"{"authorizationId":""}"#, AuthorizeAnswer::Unavailable),
            (201, r#"{"authorizationId":"a1"}"#, AuthorizeAnswer::Unavailable),
            (402, r#"{"reason":"Insufficient funds"}"#, no("Insufficient funds")),
            (402, "", no("No reason given")),
            (409, "", AuthorizeAnswer::KeyReused),
            (400, "{}", AuthorizeAnswer::Unavailable),
            (401, "{}", AuthorizeAnswer::Unavailable),
            (429, "{}", AuthorizeAnswer::Unavailable),
            (500, "{}", AuthorizeAnswer::Unavailable),
            (503, r#"{"authorizationId":"a1"}"#, AuthorizeAnswer::Unavailable),
        ] {
            assert_eq!(
                gateway::read(&authorize(), Some((status, body.as_bytes()))),
                PaymentAnswer::Authorize(answer),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn to_capture_mean_yes_no_or_unknown() {
        let yes = CaptureAnswer::Captured(PaymentId::parse("p1").unwrap());
        for (status, body, answer) in [
            (200, r#"{"paymentId":"p1"}"#, yes),
            (200, "", CaptureAnswer::Unavailable),
            (402, r#"{"reason":"no\nmore"}"#, CaptureAnswer::Declined(DeclineReason::new("nomore"))),
            (409, "", CaptureAnswer::Unavailable),
            (404, "", CaptureAnswer::Unavailable),
            (500, r#"{"paymentId":"p1"}"#, CaptureAnswer::Unavailable),
        ] {
            assert_eq!(
                gateway::read(&capture(), Some((status, body.as_bytes()))),
                PaymentAnswer::Capture(answer),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn to_void_mean_yes_or_unknown() {
        assert_eq!(gateway::read(&void(), Some((200, b""))), PaymentAnswer::Void(VoidAnswer::Voided));
        for status in [0, 201, 400, 404, 409, 500, 503, 999] {
            assert_eq!(gateway::read(&void(), Some((status, b""))), void().unanswered(), "{status}");
        }
        let paid_back = br#"{"ok":true,"paidBack":true}"#;
        assert_eq!(gateway::read(&void(), Some((200, paid_back))), PaymentAnswer::Void(VoidAnswer::PaidBack));
        assert_eq!(gateway::read(&void(), Some((404, paid_back))), void().unanswered());
    }

    #[test]
    fn to_a_void_after_a_decline_that_there_is_nothing_to_void_is_a_yes() {
        let declined = Payment::Void(Void { authorize_key: key("c-1:authorize"), declined: true });
        assert_eq!(gateway::read(&declined, Some((404, b""))), PaymentAnswer::Void(VoidAnswer::Voided));
        for status in [400, 401, 402, 409, 500] {
            assert_eq!(gateway::read(&declined, Some((status, b""))), declined.unanswered(), "{status}");
        }
    }

    #[test]
    fn tell_whether_the_gateway_knows_us() {
        use gateway::Sense::{Busy, Clear, Odd, Silent};
        let authorized: &[u8] = br#"{"authorizationId":"a1"}"#;
        for (payment, said, sense) in [
            (authorize(), Some((200, authorized)), Clear),
            (authorize(), Some((402, &b""[..])), Clear),
            (authorize(), Some((409, b"")), Clear),
            (authorize(), Some((200, b"{}")), Odd(200)),
            (authorize(), Some((401, b"")), Odd(401)),
            (authorize(), Some((302, b"")), Odd(302)),
            (capture(), Some((404, b"")), Odd(404)),
            (void(), Some((404, b"")), Odd(404)),
            (void(), Some((200, b"")), Clear),
            (void(), Some((429, b"")), Busy),
            (void(), Some((503, b"")), Busy),
            (void(), None, Silent),
        ] {
            assert_eq!(gateway::sense(&payment, said), sense, "{} {said:?}", payment.name());
        }
    }

    #[test]
    fn of_the_mock_are_read_back_as_what_it_meant() {
        let reason = || DeclineReason::new("Insufficient funds");
        for answer in [
            AuthorizeAnswer::Authorized(AuthorizationId::parse("a1").unwrap()),
            AuthorizeAnswer::Declined(reason()),
            AuthorizeAnswer::KeyReused,
            AuthorizeAnswer::Unavailable,
        ] {
            let Answer { status, body, .. } = gateway::answer(&PaymentAnswer::Authorize(answer.clone()));
            assert_eq!(gateway::read(&authorize(), Some((status, body.as_bytes()))), PaymentAnswer::Authorize(answer));
        }
        for answer in [
            CaptureAnswer::Captured(PaymentId::parse("p1").unwrap()),
            CaptureAnswer::Declined(reason()),
            CaptureAnswer::Unavailable,
        ] {
            let Answer { status, body, .. } = gateway::answer(&PaymentAnswer::Capture(answer.clone()));
            assert_eq!(gateway::read(&capture(), Some((status, body.as_bytes()))), PaymentAnswer::Capture(answer));
        }
        for answer in [VoidAnswer::Voided, VoidAnswer::PaidBack, VoidAnswer::Unavailable] {
            let Answer { status, body, .. } = gateway::answer(&PaymentAnswer::Void(answer));
            assert_eq!(gateway::read(&void(), Some((status, body.as_bytes()))), PaymentAnswer::Void(answer));
        }
    }
}

mod failures {
    use super::*;
    use booking_core::checkout::NoAmount;

    #[test]
    fn are_told_as_the_undo_table_says() {
        let refused = |why| SeatMapRefusal { ticket: Some(ticket_id("s1")), why };
        for (failure, kind, message) in [
            (Failure::HoldRefused(refused(TicketRefusal::TicketSold)), Kind::TicketSold, "Ticket already sold"),
            (
                Failure::PaymentDeclined(DeclineReason::new("Insufficient funds")),
                Kind::PaymentDeclined,
                "Payment failed: Payment declined: Insufficient funds",
            ),
            (Failure::PaymentUnavailable, Kind::PaymentUnavailable, "Payment failed: Gateway timeout"),
            (Failure::ConfirmRefused(refused(TicketRefusal::TicketBlocked)), Kind::HoldExpired, "The hold has expired"),
            (
                Failure::NoAmount(NoAmount::MixedCurrencies),
                Kind::MixedCurrencies,
                "The tickets' prices are in several currencies",
            ),
            (
                Failure::NoAmount(NoAmount::TooMuch),
                Kind::InvalidRequest,
                "Invalid request: `ticketIds` cost more than can be counted",
            ),
            (Failure::Cancelled, Kind::HoldExpired, "The checkout was cancelled, its holds are over"),
        ] {
            let refusal = Refusal::from(&failure);
            assert_eq!((refusal.kind, refusal.message.as_ref()), (kind, message));
        }
    }
}

mod contacts {
    use super::*;

    fn process(contact: &str) -> Result<Call, Refusal> {
        let body = format!(r#"{{"ticketId":"seat-1","userId":"user-1","contact":{contact}}}"#);
        parse("POST", "/Checkout/process", &body)
    }

    #[test]
    fn are_objects_of_up_to_1_kib() {
        let said = |contact: &str| match process(contact) {
            Ok(Call::Process(order)) => order.contact().map(|contact| contact.as_json().to_owned()),
            other => panic!("{other:?}"),
        };
        assert_eq!(said("null"), None);
        assert_eq!(
            said(r#"{ "phone": "+1 555", "also": [1, -2, 1.5, true] }"#).unwrap(),
            r#"{"also":[1,-2,1.5,true],"phone":"+1 555"}"#
        );
        let of_length = |length: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(length - 8));
        assert_eq!(said(&of_length(Contact::MAX_LEN)).map(|text| text.len()), Some(Contact::MAX_LEN));
        for (bad, why) in [
            (of_length(Contact::MAX_LEN + 1).as_str(), "must be at most 1024 bytes of JSON"),
            ("\"ann@example.com\"", "must be an object"),
            ("[]", "must be an object"),
        ] {
            let refusal = process(bad).unwrap_err();
            assert_eq!(refusal.message, format!("Invalid request: `contact` {why}"));
        }
    }

    #[test]
    fn are_shown_nowhere_and_come_back_from_storage() {
        let Ok(Call::Process(order)) = process(r#"{"email":"ann@example.com"}"#) else { panic!() };
        assert!(!format!("{order:?}").contains("ann@"), "{order:?}");
        assert_eq!(format!("{:?}", order.contact().unwrap()), "Contact(…)");
        let stored = format::write_json(&order);
        assert_eq!(format::read_json(stored.as_ref()), Some(order));
        assert_eq!(Contact::try_from("1".to_owned()), Err(ContactError::NoObject));
        // Read and written again, this number has more digits.
        let odd = format!(r#"{{"a":5.630e-161,"b":"{}"}}"#, "x".repeat(Contact::MAX_LEN - 22));
        let Ok(Call::Process(order)) = process(&odd) else { panic!() };
        assert_eq!(order.contact().map(|contact| contact.as_json().len()), Some(Contact::MAX_LEN));
        let again: Order = format::read_json(format::write_json(&order).as_ref()).unwrap();
        assert_eq!(again, order);
    }
}

mod commands {
    use super::*;

    #[test]
    fn get_what_the_host_adds_from_its_terms() {
        let terms = Terms {
            closed_sales: true,
            hold_ttl: HoldTtl::new(Millis(5000)).unwrap(),
            hold_ttl_max: Some(HoldTtl::new(Millis(60_000)).unwrap()),
            ..Terms::default()
        };
        let (door, seat) = (AtTheDoor::new(&terms, at(NOW), hold_id("fresh")), ticket_id("a"));
        let map = SeatMap::default();
        let ask = |call| door.ask(&seat, call, |seats| map.offer(seats, door.default_price, 7));
        let asked = |call| match ask(call) {
            Some(SeatMapCommand::Seats { seats, command }) if seats.as_slice() == [ticket_id("a")] => command,
            other => panic!("{other:?}"),
        };
        let ttl = |millis| Some(HoldTtl::new(Millis(millis)).unwrap());
        for (asked_for, lasts) in [(None, 5_000), (ttl(30_000), 30_000), (ttl(90_000), 60_000)] {
            let call = TicketCall::Reserve { user: user("u"), hold: None, nth: None, ttl: asked_for };
            let TicketCommand::Reserve(Reserve { hold, nth, until, latest, offer, .. }) = asked(call) else { panic!() };
            assert_eq!((hold, nth, until, latest), (hold_id("fresh"), None, at(NOW + lasts), at(NOW + 60_000)));
            assert_eq!((offer.edition, &offer.prices[..], offer.room), (0, &[None][..], 7));
        }
        let wish = TicketCall::Reserve { user: user("u"), hold: Some(hold_id("h")), nth: Some(2), ttl: None };
        let TicketCommand::Reserve(Reserve { hold, nth, .. }) = asked(wish) else { panic!() };
        assert_eq!((hold, nth), (hold_id("h"), Some(2)));
        let back = TicketCommand::Release { hold: hold_id("h"), nth: Some(3), until: at(NOW + 120_000) };
        assert_eq!(asked(TicketCall::Release { hold: hold_id("h"), nth: Some(3) }), back);
        let TicketCommand::Sell { hold, .. } = asked(TicketCall::Sell { user: user("u") }) else { panic!() };
        assert_eq!(hold, hold_id("fresh"));
        assert_eq!(asked(TicketCall::Reset { up_to: 7 }), reset_after(7, &[]));
        let told = AtTheDoor { ended: Some(checkout_id("c")), ..door.clone() };
        let resets = told.ask(&seat, TicketCall::Reset { up_to: 7 }, |seats| map.offer(seats, None, 7));
        let command = reset_after(7, &["c"]);
        assert_eq!(resets, Some(SeatMapCommand::Seats { seats: seat.clone().into(), command }));
        assert_eq!(ask(TicketCall::Get(Reader::Anyone)), None);
        for reads in [SeatMapCall::Get, SeatMapCall::Summary, SeatMapCall::Plan, SeatMapCall::Watch] {
            assert_eq!(AtTheDoor::ask_map(reads), None);
        }
    }

    #[test]
    fn of_a_checkout_are_asked_at_the_price_that_it_began_with() {
        let default_price = Some(usd(300));
        let (user, hold, checkout) = (user("u"), hold_id("h"), checkout_id("c"));
        let claim = LineCommand::Claim { user, hold, brought: false, checkout, deadline: at(LATE), default_price };
        let call = MapCall::Line(seats(&[1, 2]), claim);
        let command = call.command(&map_key("a"), &SeatMap::default()).unwrap();
        let SeatMapCommand::Seats { command: TicketCommand::Claim(claim), .. } = command else { panic!() };
        assert_eq!(claim.offer.prices, [default_price; 2]);
        let reads = MapCall::Map(SeatMapCall::Get).command(&map_key("a"), &SeatMap::default());
        assert_eq!(reads, Err(Kind::NotFound));
    }
}
