//! What comes back: a status and a JSON body, in one shape on every host.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::audit::AuditEntry;
use super::export::Booking;
use super::kind::{Kind, Refusal};
use super::search::{BookingCursor, BookingStatus, InboxId};
use crate::checkout::{Ending, Failure, MoneyState, Order};
use crate::ids::{CheckoutId, HoldId, MapKey, PaymentId, TicketId, UserId};
use crate::map::ticket::{TicketStatus, TicketView};
use crate::map::{Layout, Picture, Place, Published, Row, SeatMapRefusal, SeatMapReply, Summary};
use crate::money::Money;
use crate::payment::{Account, Ledger};
use crate::progress::CheckoutProgress;
use crate::time::Timestamp;

/// An answer as it goes out: the body is JSON, of type `application/json`.
///
/// ```
/// use booking_core::wire::{Answer, Door, answer, parse};
///
/// // What is wrong with a request is an answer, too.
/// let refusal = parse(Door::Public, "POST", "/Ticket/hall:7/reserve", br#"{"user":"ann"}"#).unwrap_err();
/// let answer: Answer = answer::refusal(&refusal);
/// assert_eq!(answer.status, 400);
/// assert!(answer.body.contains("userId"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON.
    pub body: String,
    /// What went wrong, if anything did: for metrics, and for deciding what may be recorded.
    pub kind: Option<Kind>,
}

/// Keeps the body back: the answer to a hold has its id in it.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).field("kind", &self.kind).finish_non_exhaustive()
    }
}

fn json(status: u16, body: &impl Serialize) -> Answer {
    let body = serde_json::to_string(body).expect("string keys, and a String takes everything");
    Answer { status, body, kind: None }
}

/// To every accepted command that has nothing to tell: `{ "ok": true }`, and the version of the object that took it, if
/// it was one.
#[must_use]
pub fn ok(version: Option<u64>) -> Answer {
    #[derive(Serialize)]
    struct Ok {
        ok: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<u64>,
    }
    json(200, &Ok { ok: true, version })
}

/// An error: `{ "code", "kind", "message" }`; `ticketId` where it is about one ticket of several, `reservedUntil` where a hold
/// is in the way, `version` where an object refused, `money` where a checkout failed.
#[must_use]
pub fn refusal(refusal: &Refusal) -> Answer {
    let error = Error::of(refusal);
    Answer { kind: Some(refusal.kind), ..json(error.code, &error) }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Error<'a> {
    code: u16,
    kind: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket_id: Option<&'a TicketId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reserved_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    money: Option<&'static str>,
}

impl<'a> Error<'a> {
    fn of(Refusal { kind, message, version, ticket, reserved_until, money }: &'a Refusal) -> Self {
        Self {
            code: kind.status(),
            kind: kind.as_str(),
            message,
            ticket_id: ticket.as_ref(),
            reserved_until: *reserved_until,
            version: *version,
            money: money.map(MoneyState::as_str),
        }
    }
}

/// What a map said to a command about one ticket, and the ticket's version after that.
#[must_use]
pub fn seat(outcome: &Result<SeatMapReply, SeatMapRefusal>, version: u64) -> Answer {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Reserved<'a> {
        hold_id: &'a HoldId,
        reserved_until: Timestamp,
        price: Money,
        version: u64,
    }
    #[derive(Serialize)]
    struct Sold {
        status: TicketStatus,
        price: Money,
        version: u64,
    }
    let price = |prices: &[Money]| prices.first().copied().unwrap_or(Money::DEFAULT_PRICE);
    match outcome {
        Ok(SeatMapReply::Reserved { hold, until, prices }) => {
            json(200, &Reserved { hold_id: hold, reserved_until: *until, price: price(prices), version })
        }
        Ok(SeatMapReply::Sold { prices }) => {
            json(200, &Sold { status: TicketStatus::Sold, price: price(prices), version })
        }
        Ok(
            SeatMapReply::Claimed { .. }
            | SeatMapReply::Published(_)
            | SeatMapReply::Reset { .. }
            | SeatMapReply::Erased { .. }
            | SeatMapReply::Done,
        ) => ok(Some(version)),
        Err(refusal_of) => refusal(&Refusal::from(refusal_of.why).at(version)),
    }
}

/// What a ticket is: `{ "status", "reservedBy", "reservedUntil", "version" }`, nulls where there is none, and for who may not
/// see the buyer ([`TicketView::seen_by`]).
#[must_use]
pub fn ticket_view(view: &TicketView) -> Answer {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct View<'a> {
        status: TicketStatus,
        reserved_by: Option<&'a UserId>,
        reserved_until: Option<Timestamp>,
        version: u64,
    }
    let TicketView { status, reserved_by, reserved_until, version, hold: _ } = view;
    let (reserved_by, reserved_until) = (reserved_by.as_ref(), *reserved_until);
    json(200, &View { status: *status, reserved_by, reserved_until, version: *version })
}

/// One seat as maps and watchers show it.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    pub(super) id: &'a TicketId,
    pub(super) status: TicketStatus,
}

pub(super) fn shown(picture: &Picture) -> Vec<Shown<'_>> {
    picture.seats().map(|(id, status)| Shown { id, status }).collect()
}

/// What a map said to a command about itself, and its version after that. A layout is answered with what it has changed.
#[must_use]
pub fn map_reply(outcome: &Result<SeatMapReply, SeatMapRefusal>, version: u64) -> Answer {
    #[derive(Serialize)]
    struct Reset {
        tickets: u64,
        version: u64,
    }
    #[derive(Serialize)]
    struct OfMap {
        tickets: u64,
        held: u64,
        version: u64,
    }
    #[derive(Serialize)]
    struct Changed<'a> {
        #[serde(flatten)]
        published: &'a Published,
        version: u64,
    }
    match outcome {
        Ok(SeatMapReply::Published(published)) => json(200, &Changed { published, version }),
        Ok(SeatMapReply::Reset { tickets }) => json(200, &Reset { tickets: *tickets, version }),
        Ok(SeatMapReply::Erased { tickets, held }) => json(200, &OfMap { tickets: *tickets, held: *held, version }),
        Ok(
            SeatMapReply::Reserved { .. }
            | SeatMapReply::Claimed { .. }
            | SeatMapReply::Sold { .. }
            | SeatMapReply::Done,
        ) => ok(Some(version)),
        Err(why) => refusal(&of_map(why, version)),
    }
}

/// What a map's refusal of a command about itself is, at this version of it.
#[must_use]
pub fn of_map(SeatMapRefusal { ticket, why }: &SeatMapRefusal, version: u64) -> Refusal {
    let refused = Refusal::from(*why).at(version);
    match ticket {
        Some(ticket) => refused.about(ticket.clone()),
        None => refused,
    }
}

/// The tickets of a map: `[{ "id", "status" }]`.
#[must_use]
pub fn seat_map(picture: &Picture) -> Answer {
    json(200, &shown(picture))
}

/// The counts of a map: `{ "version", "counts": { "AVAILABLE", "RESERVED", "SOLD", "BLOCKED" } }`.
#[must_use]
pub fn summary(summary: Summary) -> Answer {
    #[derive(Serialize)]
    #[serde(rename_all = "UPPERCASE")]
    struct Counts {
        available: u64,
        reserved: u64,
        sold: u64,
        blocked: u64,
    }
    #[derive(Serialize)]
    struct Counted {
        version: u64,
        counts: Counts,
    }
    let Summary { version, available, reserved, sold, blocked } = summary;
    json(200, &Counted { version, counts: Counts { available, reserved, sold, blocked } })
}

/// One seat of a layout, as it is drawn.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DrawnSeat<'a> {
    ticket_id: &'a TicketId,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    price: Money,
    x: u32,
    y: u32,
}

/// One row of a drawn layout.
#[derive(Serialize)]
struct DrawnRow<'a> {
    name: &'a str,
    seats: Vec<DrawnSeat<'a>>,
}

fn drawn(layout: &Layout) -> Vec<DrawnRow<'_>> {
    fn seat(Place { ticket, label, price, x, y }: &Place) -> DrawnSeat<'_> {
        DrawnSeat { ticket_id: ticket, label: label.as_deref(), price: *price, x: *x, y: *y }
    }
    fn row(Row { name, seats }: &Row) -> DrawnRow<'_> {
        DrawnRow { name, seats: seats.iter().map(seat).collect() }
    }
    layout.rows().iter().map(row).collect()
}

/// Where the seats of a map are drawn:
/// `{ "edition", "rows": [{ "name", "seats": [{ "ticketId", "label"?, "price", "x", "y" }] }] }`; edition 0 and no rows where none
/// was published.
#[must_use]
pub fn plan(edition: u64, layout: Option<&Layout>) -> Answer {
    #[derive(Serialize)]
    struct Plan<'a> {
        edition: u64,
        rows: Vec<DrawnRow<'a>>,
    }
    json(200, &Plan { edition, rows: layout.map(drawn).unwrap_or_default() })
}

/// A checkout that is not over: 202 `{ "checkoutId", "status": "PENDING" }`. To `send` at once, to `process` when the
/// host does not make its caller wait any longer.
#[must_use]
pub fn accepted(id: &CheckoutId) -> Answer {
    Answer { status: 202, ..pending(id) }
}

fn pending(id: &CheckoutId) -> Answer {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Pending<'a> {
        checkout_id: &'a CheckoutId,
        status: &'static str,
    }
    json(200, &Pending { checkout_id: id, status: "PENDING" })
}

/// What `process` answers as soon as the buyer can be told how it ends (or 202, before that): the booking, or the refusal.
#[must_use]
pub fn processed(running: &CheckoutProgress) -> Answer {
    let checkout = running.checkout();
    match running.told() {
        None => accepted(checkout.id()),
        Some(ending) => ended(checkout.id(), checkout.order(), &ending),
    }
}

/// What `process` answers when this checkout has ended so; with its id where something may have been set aside. For hosts that let [`crate::journal::run`] have it.
#[must_use]
pub fn ended(id: &CheckoutId, order: &Order, ending: &Ending) -> Answer {
    match ending {
        Ending::Completed { amount, payment } => confirmed(id, order, *amount, payment.as_ref()),
        Ending::Failed { failure, money } => {
            let refusal = Refusal::failed(failure, *money);
            // By its name it can be asked where its money is by then.
            let checkout_id = may_have_money(failure).then_some(id);
            let error = Named { checkout_id, error: Error::of(&refusal) };
            Answer { kind: Some(refusal.kind), ..json(refusal.kind.status(), &error) }
        }
    }
}

/// Whether something may have been set aside for a checkout that failed so.
fn may_have_money(failure: &Failure) -> bool {
    match failure {
        Failure::PaymentUnavailable | Failure::ConfirmRefused(_) | Failure::CaptureRefused(_) | Failure::Cancelled => {
            true
        }
        Failure::HoldRefused(_) | Failure::NoAmount(_) | Failure::PaymentDeclined(_) => false,
    }
}

/// An error, and the checkout that it is about.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Named<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    checkout_id: Option<&'a CheckoutId>,
    #[serde(flatten)]
    error: Error<'a>,
}

/// How a checkout stands, always 200: `{ "checkoutId", "status": PENDING | CONFIRMED | FAILED, … }`, a failed one with
/// what `process` answered; `money` is where it is now.
#[must_use]
pub fn checkout(running: &CheckoutProgress) -> Answer {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Failed<'a> {
        checkout_id: &'a CheckoutId,
        status: &'static str,
        #[serde(flatten)]
        error: Error<'a>,
    }
    let checkout = running.checkout();
    match running.told() {
        None => pending(checkout.id()),
        Some(Ending::Completed { amount, payment }) => {
            confirmed(checkout.id(), checkout.order(), amount, payment.as_ref())
        }
        Some(Ending::Failed { failure, money }) => {
            let refusal = Refusal::failed(&failure, money);
            json(200, &Failed { checkout_id: checkout.id(), status: "FAILED", error: Error::of(&refusal) })
        }
    }
}

/// What an answer of [`checkout`] says: how the checkout stands. `None` where it is no such answer.
#[must_use]
pub fn stands(answer: &Answer) -> Option<BookingStatus> {
    #[derive(Deserialize)]
    struct Stands {
        status: BookingStatus,
    }
    let Stands { status } = crate::json::read(answer.body.as_bytes()).filter(|_| answer.status == 200)?;
    Some(status)
}

/// What a checkout waits for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// The payment gateway gives no answer.
    Gateway,
    /// A map cannot judge its command.
    Map,
    /// The booking is done, but its message was given up.
    Notifier,
}

/// Checkouts that wait in vain, in the order of their ids: `{ "checkouts": [{ "checkoutId", "status", "stage", "waitsFor", "inVain",
/// "deadline", "tickets", "amount", "money" }], "more" }`, `amount` and `money` null where there is none. `more` tells whether there are others after them.
pub fn stuck<'a>(checkouts: impl IntoIterator<Item = (&'a CheckoutProgress, WaitsFor)>, more: bool) -> Answer {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct One<'a> {
        checkout_id: &'a CheckoutId,
        status: BookingStatus,
        stage: &'static str,
        waits_for: &'static str,
        in_vain: u32,
        deadline: Timestamp,
        tickets: &'a [TicketId],
        amount: Option<Money>,
        money: Option<&'static str>,
    }
    #[derive(Serialize)]
    struct Stuck<'a> {
        checkouts: Vec<One<'a>>,
        more: bool,
    }
    let one = |(running, waits_for): (&'a CheckoutProgress, WaitsFor)| {
        let checkout = running.checkout();
        let (status, money) = match running.told() {
            None => (BookingStatus::Pending, None),
            Some(Ending::Completed { .. }) => (BookingStatus::Confirmed, None),
            Some(Ending::Failed { money, .. }) => (BookingStatus::Failed, Some(money.as_str())),
        };
        One {
            checkout_id: checkout.id(),
            status,
            stage: checkout.stage().name(),
            waits_for: match waits_for {
                WaitsFor::Gateway => "gateway",
                WaitsFor::Map => "map",
                WaitsFor::Notifier => "notifier",
            },
            in_vain: running.failed_attempts(),
            deadline: checkout.deadline(),
            tickets: checkout.order().tickets(),
            amount: checkout.amount(),
            money,
        }
    };
    json(200, &Stuck { checkouts: checkouts.into_iter().map(one).collect(), more })
}

/// A page of bookings: `{ "bookings": [ … ], "next" }`, each as [`Booking`] says. `next` is where the next page begins, null where there is none. A
/// page may be short, or have no bookings at all, and another one come after it.
#[must_use]
pub fn bookings(bookings: &[Booking], next: Option<&BookingCursor>) -> Answer {
    #[derive(Serialize)]
    struct Page<'a> {
        bookings: &'a [Booking],
        next: Option<&'a BookingCursor>,
    }
    json(200, &Page { bookings, next })
}

/// A message of the operators' inbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InboxItem {
    /// Its name there.
    pub id: InboxId,
    /// The booking whose buyer was not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booking: Option<Booking>,
    /// Why a line of the operators' log could not be taken in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A page of the inbox: `{ "messages": [{ "id", "booking"?, "why"? }], "next" }`.
#[must_use]
pub fn inbox(messages: &[InboxItem], next: Option<&InboxId>) -> Answer {
    #[derive(Serialize)]
    struct Page<'a> {
        messages: &'a [InboxItem],
        next: Option<&'a InboxId>,
    }
    json(200, &Page { messages, next })
}

/// A page of what operators did: `{ "entries": [{ "n", "at", "who", "asked", "about"?, "reason"?, "outcome", "times" }], "next" }`. `n` counts
/// them.
pub fn audit<'a>(entries: impl IntoIterator<Item = (u64, &'a AuditEntry)>, next: Option<u64>) -> Answer {
    #[derive(Serialize)]
    struct Numbered<'a> {
        n: u64,
        #[serde(flatten)]
        entry: &'a AuditEntry,
    }
    #[derive(Serialize)]
    struct Page<'a> {
        entries: Vec<Numbered<'a>>,
        next: Option<u64>,
    }
    let entries = entries.into_iter().map(|(n, entry)| Numbered { n, entry }).collect();
    json(200, &Page { entries, next })
}

/// What was forgotten of a buyer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// In how many bookings.
    pub bookings: u64,
    /// In how many sold seats.
    pub tickets: u64,
    /// How many bookings are under way, or still to be told of, and how many seats are held: asking again once they have ended forgets those.
    pub left: u64,
}

/// What was forgotten of a buyer: `{ "bookings", "tickets", "left" }`.
#[must_use]
pub fn erased(erased: Erased) -> Answer {
    json(200, &erased)
}

/// An invitation, which is a secret: `{ "invitation", "mapKey", "expiresAt" }`.
#[must_use]
pub fn invited(invitation: &str, map_key: &MapKey, expires_at: Timestamp) -> Answer {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Invited<'a> {
        invitation: &'a str,
        map_key: &'a MapKey,
        expires_at: Timestamp,
    }
    json(200, &Invited { invitation, map_key, expires_at })
}

fn confirmed(id: &CheckoutId, order: &Order, amount: Money, payment: Option<&PaymentId>) -> Answer {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Confirmed<'a> {
        status: &'static str,
        message: &'static str,
        checkout_id: &'a CheckoutId,
        tickets: &'a [TicketId],
        amount: Money,
        payment_id: Option<&'a PaymentId>,
    }
    let (checkout_id, tickets) = (id, order.tickets());
    let (status, message) = ("CONFIRMED", "Booking Confirmed");
    json(200, &Confirmed { status, message, checkout_id, tickets, amount, payment_id: payment })
}

/// The mock gateway's ledger: `{ "entries": [ … ] }`, by key.
#[must_use]
pub fn ledger(ledger: &Ledger) -> Answer {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Entry<'a> {
        key: &'a str,
        amount: Option<Money>,
        authorized: bool,
        captured: bool,
        voided: bool,
        authorize_calls: u32,
        capture_calls: u32,
        void_calls: u32,
    }
    #[derive(Serialize)]
    struct Entries<'a> {
        entries: Vec<Entry<'a>>,
    }
    let entry = |(key, account)| {
        let Account { asked, authorized, captured, voided, authorize_calls, capture_calls, void_calls }: &Account =
            account;
        let key: &crate::ids::PaymentKey = key;
        Entry {
            key: key.as_str(),
            amount: asked.as_ref().map(|asked| asked.amount),
            authorized: *authorized,
            captured: captured.is_some(),
            voided: *voided,
            authorize_calls: *authorize_calls,
            capture_calls: *capture_calls,
            void_calls: *void_calls,
        }
    };
    json(200, &Entries { entries: ledger.accounts().map(entry).collect() })
}

/// The host is up: `{ "status": "ok" }`.
#[must_use]
pub fn health() -> Answer {
    health_but(Troubles::default())
}

/// What is wrong outside a host that is up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Troubles {
    /// By how many milliseconds the calendar clock is off, while it has jumped and is not believed; below 0 where it is behind.
    #[serde(rename = "clockOffMs", skip_serializing_if = "Option::is_none")]
    pub clock_off: Option<i64>,
    /// The status of the payment gateway's last answer, where that refuses this host or says what it never should.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_status: Option<u16>,
    /// Whether the payment gateway does not answer, and is left alone for a while.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gateway_silent: bool,
}

/// The same, with what is wrong outside: `{ "status": "ok", "clockOffMs"?, "gatewayStatus"?, "gatewaySilent"? }`.
#[must_use]
pub fn health_but(troubles: Troubles) -> Answer {
    #[derive(Serialize)]
    struct Health {
        status: &'static str,
        #[serde(flatten)]
        troubles: Troubles,
    }
    json(200, &Health { status: "ok", troubles })
}
