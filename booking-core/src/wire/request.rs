//! What can be asked: each handler's body as a type, its fields in the order in which they are checked, and the [`Call`]
//! that it becomes.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::handler::Handler;
use super::kind::{Kind, Refusal};
use super::search::{self, AuditBody, AuditSearch, BookingSearch, BookingsBody, InboxBody, InboxId, InboxSearch};
use super::{Door, MAX_TEXT};
use crate::checkout::{Contact, ContactError, Order, OrderError};
use crate::ids::{
    AuthorizationId, CheckoutId, HoldId, IdError, MapKey, PaymentId, PaymentKey, PaymentMethodId, TicketId, UserId,
};
use crate::json::{Json, Source, Wrong};
use crate::map::ticket::{self as seat, Offer, Reader, Reserve};
use crate::map::{Layout, LayoutError, Place, Row, SeatMap, SeatMapCommand, Seats, SeatsError};
use crate::money::{Currency, Money};
use crate::payment::{Authorize, Capture, DeclineReason, Payment, Void};
use crate::progress::Resolution;
use crate::terms::Terms;
use crate::time::{HoldTtl, Millis, Timestamp, TtlOutOfRange};

/// A request, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// To a ticket.
    Ticket(TicketId, TicketCall),
    /// To a seat map.
    SeatMap(MapKey, SeatMapCall),
    /// Starts a checkout and waits for its end.
    Process(Order),
    /// Starts a checkout and answers at once.
    ProcessSend(Order),
    /// How a checkout stands.
    Status(CheckoutId),
    /// The checkouts that wait in vain, and the bookings that nobody was told of, from after this one on.
    Stuck(Option<CheckoutId>),
    /// An operator does something about a checkout.
    Operate(CheckoutId, Operation),
    /// The bookings that an operator looks for.
    Bookings(BookingSearch),
    /// All of them, as a table.
    BookingsCsv(BookingSearch),
    /// The messages that were given up.
    Inbox(InboxSearch),
    /// An operator has one of them tried again.
    Retry(InboxId),
    /// What operators did.
    Audit(AuditSearch),
    /// An operator has a buyer forgotten, wherever they bought.
    Erase {
        /// The buyer.
        user: UserId,
        /// Why, for people.
        reason: String,
    },
    /// An operator invites a buyer.
    Invite {
        /// To this map.
        map: MapKey,
        /// For how long.
        ttl: InvitationTtl,
    },
    /// To the mock gateway.
    Gateway(GatewayCall),
    /// Whether the host is up.
    Health,
}

impl Call {
    /// Whether the answer is recorded under an idempotency key. Reading again is as good as being told again, and the
    /// mock gateway has keys of its own: they are in what it is asked.
    #[must_use]
    pub fn is_worth_a_key(&self) -> bool {
        match self {
            Self::Ticket(_, TicketCall::Get(_))
            | Self::SeatMap(_, SeatMapCall::Get | SeatMapCall::Summary | SeatMapCall::Plan | SeatMapCall::Watch)
            | Self::Status(_)
            | Self::Stuck(_)
            | Self::Bookings(_)
            | Self::BookingsCsv(_)
            | Self::Inbox(_)
            | Self::Audit(_)
            // What has come since is to be forgotten as well.
            | Self::SeatMap(_, SeatMapCall::Erase { .. })
            | Self::Erase { .. }
            // Its answer is a secret, which is not to be kept.
            | Self::Invite { .. }
            | Self::Gateway(_)
            | Self::Health => false,
            Self::Ticket(..)
            | Self::SeatMap(..)
            | Self::Process(_)
            | Self::ProcessSend(_)
            | Self::Operate(..)
            | Self::Retry(_) => true,
        }
    }

    /// The same, from who has come through this door: an operator sees whose a ticket is.
    #[must_use]
    pub fn from_door(mut self, door: Door) -> Self {
        if let Self::Ticket(_, TicketCall::Get(reader)) = &mut self
            && door == Door::Admin
        {
            *reader = Reader::Operator;
        }
        self
    }
}

/// A request about a ticket, to its map.
///
/// ```
/// use booking_core::wire::{Call, Door, TicketCall, parse};
///
/// let body = br#"{"userId":"ann","ttlMs":60000}"#;
/// let call = parse(Door::Public, "POST", "/Ticket/hall:7/reserve", body).unwrap();
/// assert!(matches!(call, Call::Ticket(seat, TicketCall::Reserve { .. }) if seat.as_str() == "hall:7"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TicketCall {
    /// What it is, for this reader. Changes nothing.
    Get(Reader),
    /// A hold for a buyer.
    Reserve {
        /// The buyer.
        user: UserId,
        /// The name that the buyer brought, if any.
        hold: Option<HoldId>,
        /// The number of this wish under that name, if the buyer counts them.
        nth: Option<u32>,
        /// How long, if the buyer says.
        ttl: Option<HoldTtl>,
    },
    /// A buyer gives it back.
    Release {
        /// The hold.
        hold: HoldId,
        /// The number of this wish under the hold, if the buyer counts them.
        nth: Option<u32>,
    },
    /// A sale at the box office.
    Sell {
        /// The buyer.
        user: UserId,
    },
    /// Takes it off sale.
    Block {
        /// Why, for people.
        reason: String,
    },
    /// Puts it back on sale.
    Unblock,
    /// Sets its price.
    List {
        /// What the next hold will cost.
        price: Money,
    },
    /// Puts it back on sale if it has not changed since this version.
    Reset {
        /// The newest version that may be taken away.
        up_to: u64,
    },
}

impl TicketCall {
    /// The checkout that this call takes a seat from which is sold: a reset of a seat that has not changed since. It is judged only once
    /// that checkout has ended ([`AtTheDoor::ended`]), as its money may be taken at any moment until then; before that the answer is
    /// [`Refusal::still_being_sold`](super::Refusal::still_being_sold).
    #[must_use]
    pub fn takes_from<'a>(&self, map: &'a SeatMap, seat: &TicketId) -> Option<&'a CheckoutId> {
        let Self::Reset { up_to } = self else { return None };
        map.ticket(seat).filter(|ticket| ticket.version <= *up_to)?.sold_to()
    }
}

/// What the door of a host adds to a call, once: its time, and what follows from the host's terms then. Copies of the call keep
/// it.
///
/// ```
/// use booking_core::HoldId;
/// use booking_core::terms::Terms;
/// use booking_core::time::Timestamp;
/// use booking_core::wire::AtTheDoor;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (now, terms) = (Timestamp::from_millis(1_700_000_000_000), Terms::default());
/// let door = AtTheDoor::new(&terms, now, HoldId::parse("drawn-anew-for-each-call")?);
/// assert_eq!(door.ttl.length(), terms.hold_ttl.length());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AtTheDoor {
    /// When the call came; where the door sees the map, the map's own time if that is later.
    pub at: Timestamp,
    /// A hold id that no one can guess, made anew for each call.
    pub fresh: HoldId,
    /// How long a hold lasts when the buyer does not say.
    pub ttl: HoldTtl,
    /// How long it lasts at most.
    pub longest: HoldTtl,
    /// What a ticket costs that no layout and no `list` has given a price; `None` where it is then not for sale.
    pub default_price: Option<Money>,
    /// Of a reset: the checkout that the seat was sold to and that has ended, where the host has asked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<CheckoutId>,
}

impl AtTheDoor {
    /// What a host with these terms adds.
    #[must_use]
    pub fn new(terms: &Terms, at: Timestamp, fresh: HoldId) -> Self {
        let (ttl, longest) = (terms.hold_for(None), terms.longest_hold());
        Self { at, fresh, ttl, longest, default_price: terms.default_price(), ended: None }
    }

    /// What its map is asked about a ticket; `None` for what only reads, and for what is not from outside. `offer` tells what
    /// seats cost.
    #[must_use]
    pub fn ask(
        &self,
        ticket: &TicketId,
        call: TicketCall,
        offer: impl FnOnce(&Seats) -> Offer,
    ) -> Option<SeatMapCommand> {
        use seat::TicketCommand;
        let (seats, latest) = (Seats::from(ticket.clone()), self.at.plus(self.longest.length()));
        let command = match call {
            TicketCall::Get(_) => return None,
            TicketCall::List { price } => return Some(SeatMapCommand::List { seats, price }),
            TicketCall::Reserve { user, hold, nth, ttl } => {
                let until = self.at.plus(ttl.unwrap_or(self.ttl).min(self.longest).length());
                let (hold, offer) = (hold.unwrap_or_else(|| self.fresh.clone()), offer(&seats));
                TicketCommand::Reserve(Reserve { user, hold, nth, until, latest, offer })
            }
            TicketCall::Release { hold, nth } => {
                TicketCommand::Release { hold, nth, until: latest.plus(Terms::CLOCKS_APART) }
            }
            TicketCall::Sell { user } => TicketCommand::Sell { user, hold: self.fresh.clone(), offer: offer(&seats) },
            TicketCall::Block { reason } => TicketCommand::Block { reason },
            TicketCall::Unblock => TicketCommand::Unblock,
            TicketCall::Reset { up_to } => TicketCommand::Reset { up_to, ended: self.ended.iter().cloned().collect() },
        };
        Some(SeatMapCommand::Seats { seats, command })
    }

    /// What a map is asked about itself; `None` for what only reads.
    #[must_use]
    pub fn ask_map(call: SeatMapCall) -> Option<SeatMapCommand> {
        match call {
            SeatMapCall::Publish { layout } => Some(SeatMapCommand::Publish { layout }),
            SeatMapCall::ResetAll => Some(SeatMapCommand::ResetAll),
            SeatMapCall::Erase { user, reason: _ } => Some(SeatMapCommand::Erase { user }),
            SeatMapCall::Recall { seats, up_to } => {
                Some(SeatMapCommand::Seats { seats, command: seat::TicketCommand::Recall { up_to } })
            }
            SeatMapCall::Get | SeatMapCall::Summary | SeatMapCall::Plan | SeatMapCall::Watch => None,
        }
    }
}

/// A request to a seat map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SeatMapCall {
    /// Its tickets. Changes nothing.
    Get,
    /// Its counts. Changes nothing.
    Summary,
    /// Where its seats are drawn, and their prices. Changes nothing.
    Plan,
    /// Its changes, as they come, over a WebSocket.
    Watch,
    /// A layout, or a new one.
    Publish {
        /// The layout.
        layout: Arc<Layout>,
    },
    /// Puts every sold or blocked ticket back on sale.
    ResetAll,
    /// Forgets who bought the tickets that are sold.
    Erase {
        /// The buyer.
        user: UserId,
        /// Why, for people.
        reason: String,
    },
    /// Ends holds that no checkout claims and that have not changed since this version.
    Recall {
        /// Of these tickets.
        seats: Seats,
        /// The newest version that may be ended.
        up_to: u64,
    },
}

/// What an operator does about a checkout. Repeating it is doing it once, but that a message is sent each time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// Has it turn back.
    Cancel {
        /// Why, for people.
        reason: String,
    },
    /// Says what became of its payment.
    Resolve {
        /// What.
        resolution: Resolution,
        /// How that is known, for people.
        reason: String,
    },
    /// Sends its message once more.
    Notify,
    /// Forgets its buyer.
    Erase {
        /// Why, for people.
        reason: String,
    },
}

/// A request to the mock gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayCall {
    /// Authorise, capture or void.
    Command(Payment),
    /// Authorise and capture in one go, under the request's idempotency key or one that the host makes.
    Pay {
        /// How much.
        amount: Money,
        /// From what.
        method: PaymentMethodId,
    },
    /// What the ledger has.
    Ledger,
}

/// How long an invitation is valid: 1 minute to 24 hours, and an hour where nothing is said. A host keeps finished checkouts longer than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub struct InvitationTtl(Millis);

impl InvitationTtl {
    /// The shortest and the longest, in milliseconds.
    pub const RANGE: std::ops::RangeInclusive<u64> = 60_000..=86_400_000;

    /// The length.
    #[must_use]
    pub fn length(self) -> Millis {
        self.0
    }
}

impl Default for InvitationTtl {
    fn default() -> Self {
        Self(Millis::from_mins(60))
    }
}

impl TryFrom<u64> for InvitationTtl {
    type Error = &'static str;
    fn try_from(millis: u64) -> Result<Self, Self::Error> {
        if Self::RANGE.contains(&millis) { Ok(Self(Millis(millis))) } else { Err("must be 60000 to 86400000") }
    }
}

type Body<T> = Result<T, Refusal>;

/// Understands a request: the id in its path, then its body, or the query of its address where that stands for it.
pub(super) fn read(handler: Handler, id: &str, query: &str, body: &[u8]) -> Body<Call> {
    use TicketCall::{Block, List, Reset, Sell, Unblock};
    let ticket = |read: fn(&[u8]) -> Body<TicketCall>| {
        let id = path_id(handler, id, TicketId::parse)?;
        read(body).map(|call| Call::Ticket(id, call))
    };
    let map = |read: fn(&[u8], &MapKey) -> Body<SeatMapCall>| {
        let key = path_id(handler, id, MapKey::parse)?;
        read(body, &key).map(|call| Call::SeatMap(key, call))
    };
    let checkout = |read: fn(&[u8]) -> Body<Operation>| {
        let id = path_id(handler, id, CheckoutId::parse)?;
        read(body).map(|operation| Call::Operate(id, operation))
    };
    let payment = |read: fn(&[u8]) -> Body<Payment>| read(body).map(|pay| Call::Gateway(GatewayCall::Command(pay)));
    match handler {
        Handler::TicketGet => ticket(|body| {
            let GetBody { hold_id } = fields(body)?;
            Ok(TicketCall::Get(hold_id.map_or(Reader::Anyone, |ChosenHold(hold)| Reader::Holder(hold))))
        }),
        Handler::TicketReserve => ticket(reserve),
        Handler::TicketRelease => ticket(release),
        Handler::TicketBlock => ticket(|body| fields(body).map(|BlockBody { reason: Line(reason) }| Block { reason })),
        Handler::TicketUnblock => ticket(|body| nothing(body).map(|()| Unblock)),
        Handler::TicketList => ticket(|body| fields(body).map(|ListBody { price }| List { price })),
        Handler::TicketSell => ticket(|body| buyer(body).map(|SellBody { user_id: Buyer(user) }| Sell { user })),
        Handler::TicketReset => ticket(|body| fields(body).map(|ResetBody { up_to }| Reset { up_to })),
        Handler::TicketCleanup => ticket(|body| nothing(body).map(|()| Reset { up_to: u64::MAX })),
        Handler::MapGet => map(|body, _| nothing(body).map(|()| SeatMapCall::Get)),
        Handler::MapSummary => map(|body, _| nothing(body).map(|()| SeatMapCall::Summary)),
        Handler::MapPlan => map(|body, _| nothing(body).map(|()| SeatMapCall::Plan)),
        Handler::MapWatch => map(|body, _| nothing(body).map(|()| SeatMapCall::Watch)),
        Handler::MapLayout => map(layout),
        Handler::MapResetAll => map(|body, _| nothing(body).map(|()| SeatMapCall::ResetAll)),
        Handler::MapRecall => map(recall),
        Handler::MapErase => map(|body, _| {
            fields(body)
                .map(|EraseBody { user_id: Buyer(user), reason: Line(reason) }| SeatMapCall::Erase { user, reason })
        }),
        Handler::Process => order(body).map(Call::Process),
        Handler::ProcessSend => order(body).map(Call::ProcessSend),
        Handler::CheckoutStatus => {
            let id = path_id(handler, id, CheckoutId::parse)?;
            nothing(body).map(|()| Call::Status(id))
        }
        Handler::CheckoutsStuck => {
            fields::<Option<StuckBody>>(body).map(|body| Call::Stuck(body.and_then(|StuckBody { after }| after)))
        }
        Handler::CheckoutCancel => {
            checkout(|body| fields(body).map(|CancelBody { reason: Line(reason) }| Operation::Cancel { reason }))
        }
        Handler::CheckoutResolve => checkout(resolve),
        Handler::CheckoutNotify => checkout(|body| nothing(body).map(|()| Operation::Notify)),
        Handler::CheckoutErase => {
            checkout(|body| fields(body).map(|CancelBody { reason: Line(reason) }| Operation::Erase { reason }))
        }
        Handler::Bookings => {
            asked::<BookingsBody>(query, body).map(|body| Call::Bookings(body.unwrap_or_default().into()))
        }
        Handler::BookingsCsv => {
            asked::<BookingsBody>(query, body).map(|body| Call::BookingsCsv(body.unwrap_or_default().into()))
        }
        Handler::Inbox => asked::<InboxBody>(query, body).map(|body| Call::Inbox(body.unwrap_or_default().into())),
        Handler::InboxRetry => {
            let decoded = percent_decoded(id).ok_or_else(|| Refusal::invalid("id", "is not percent-encoded UTF-8"))?;
            let id = decoded.parse().map_err(|why| Refusal::invalid("id", why))?;
            nothing(body).map(|()| Call::Retry(id))
        }
        Handler::Audit => asked::<AuditBody>(query, body).map(|body| Call::Audit(body.unwrap_or_default().into())),
        Handler::Erase => {
            fields(body).map(|EraseBody { user_id: Buyer(user), reason: Line(reason) }| Call::Erase { user, reason })
        }
        Handler::Invite => fields(body)
            .map(|InviteBody { map_key: map, ttl_ms }| Call::Invite { map, ttl: ttl_ms.unwrap_or_default() }),
        Handler::GatewayPay => pay(body).map(Call::Gateway),
        Handler::GatewayAuthorize => payment(authorize),
        Handler::GatewayCapture => payment(capture),
        Handler::GatewayVoid => payment(void),
        Handler::GatewayLedger => nothing(body).map(|()| Call::Gateway(GatewayCall::Ledger)),
        Handler::Health => nothing(body).map(|()| Call::Health),
    }
}

fn path_id<T>(handler: Handler, text: &str, parse: impl FnOnce(&str) -> Result<T, IdError>) -> Body<T> {
    let field = handler.id_name().unwrap_or_default();
    let decoded = percent_decoded(text).ok_or_else(|| Refusal::invalid(field, "is not percent-encoded UTF-8"))?;
    parse(&decoded).map_err(|why| Refusal::invalid(field, &why.to_string()))
}

/// Decodes `%41` and the like, once.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let hex = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

impl From<Wrong> for Refusal {
    fn from(Wrong { path, message }: Wrong) -> Self {
        Self::invalid(if path.is_empty() { "body" } else { &path }, &message)
    }
}

/// The JSON of a body; an empty one is `null`.
fn json(body: &[u8]) -> Body<Json> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Json::Null);
    }
    let json = Json::parse(body, Source::Request);
    json.map_err(|error| Refusal::invalid("body", &format!("is not valid JSON: {error}")))
}

/// Reads a body by its type.
pub(super) fn fields<T: DeserializeOwned>(body: &[u8]) -> Body<T> {
    Ok(json(body)?.read(Source::Request)?)
}

/// Reads what is looked for: from the body, or where there is none from the query of the address.
fn asked<T: DeserializeOwned>(query: &str, body: &[u8]) -> Body<Option<T>> {
    let json = json(body)?;
    if query.is_empty() {
        return Ok(json.read(Source::Request)?);
    }
    if !matches!(json, Json::Null) {
        return Err(Refusal::invalid("query", "cannot stand beside a body"));
    }
    Ok(search::query(query)?.read(Source::Request)?)
}

/// What a handler takes that needs nothing: an empty body, `null` or `{}`.
fn nothing(body: &[u8]) -> Body<()> {
    #[derive(Deserialize)]
    struct Nothing {}
    fields(body).map(|Nothing {}| ())
}

/// Reads a body for which a buyer's id alone may stand.
fn buyer<T: DeserializeOwned>(body: &[u8]) -> Body<T> {
    let json = json(body)?;
    let is_alone = matches!(json, Json::Text(_));
    let json = if is_alone { Json::Object(vec![("userId".to_owned(), json)]) } else { json };
    Ok(json.read(Source::Request)?)
}

/// A hold id that a buyer may choose: not one that a checkout makes.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct ChosenHold(HoldId);

impl TryFrom<String> for ChosenHold {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        HoldId::parse(&text).map(Self)
    }
}

/// A buyer's id, as it comes from outside.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Buyer(pub(super) UserId);

impl TryFrom<String> for Buyer {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        UserId::parse(&text).map(Self)
    }
}

/// What people write: one line, 1 to [`MAX_TEXT`] characters.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Line(String);

impl TryFrom<String> for Line {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let count = text.chars().take(MAX_TEXT + 1).count();
        if count == 0 || count > MAX_TEXT || text.chars().any(char::is_control) {
            return Err(format!("must be one line of 1 to {MAX_TEXT} characters"));
        }
        Ok(Self(text))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReserveBody {
    user_id: Buyer,
    hold_id: Option<ChosenHold>,
    nth: Option<Nth>,
    ttl_ms: Option<u64>,
}

/// The number of a wish under a hold, from 1.
#[derive(Deserialize)]
#[serde(try_from = "u32")]
struct Nth(u32);

impl TryFrom<u32> for Nth {
    type Error = &'static str;
    fn try_from(nth: u32) -> Result<Self, Self::Error> {
        if nth == 0 { Err("must be at least 1") } else { Ok(Self(nth)) }
    }
}

fn reserve(body: &[u8]) -> Body<TicketCall> {
    let ReserveBody { user_id: Buyer(user), hold_id, nth, ttl_ms } = buyer(body)?;
    let ttl = ttl_ms.map(|millis| HoldTtl::new(Millis(millis))).transpose();
    let ttl = ttl.map_err(|TtlOutOfRange| Kind::TtlOutOfRange)?;
    let (hold, nth) = (hold_id.map(|ChosenHold(hold)| hold), nth.map(|Nth(nth)| nth));
    Ok(TicketCall::Reserve { user, hold, nth, ttl })
}

fn release(body: &[u8]) -> Body<TicketCall> {
    let ReleaseBody { hold_id: ChosenHold(hold), nth } = fields(body)?;
    Ok(TicketCall::Release { hold, nth: nth.map(|Nth(nth)| nth) })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SellBody {
    user_id: Buyer,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetBody {
    #[serde(default)]
    hold_id: Option<ChosenHold>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReleaseBody {
    hold_id: ChosenHold,
    nth: Option<Nth>,
}

#[derive(Deserialize)]
struct BlockBody {
    reason: Line,
}

#[derive(Deserialize)]
struct ListBody {
    price: Money,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResetBody {
    up_to: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecallBody {
    ticket_ids: Vec<TicketId>,
    up_to: u64,
}

fn recall(body: &[u8], key: &MapKey) -> Body<SeatMapCall> {
    let RecallBody { ticket_ids, up_to } = fields(body)?;
    if let Some(n) = ticket_ids.iter().position(|ticket| ticket.map_str() != key.as_str()) {
        return Err(Refusal::invalid(&format!("ticketIds[{n}]"), OF_THIS_MAP));
    }
    let seats = Seats::new(ticket_ids).map_err(|why| match why {
        SeatsError::None => Refusal::invalid("ticketIds", "must have at least one ticket"),
        SeatsError::Duplicate(ticket) => Refusal::from(Kind::DuplicateTicket).about(ticket),
    })?;
    Ok(SeatMapCall::Recall { seats, up_to })
}

/// What a ticket has to be that a command to a map names.
const OF_THIS_MAP: &str = "must be a ticket of this map";

#[derive(Deserialize)]
struct LayoutBody {
    rows: Vec<RowBody>,
}

#[derive(Deserialize)]
struct RowBody {
    name: Line,
    seats: Vec<PlaceBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlaceBody {
    ticket_id: TicketId,
    label: Option<Line>,
    price: Money,
    x: u32,
    y: u32,
}

fn layout(body: &[u8], key: &MapKey) -> Body<SeatMapCall> {
    let LayoutBody { rows } = fields(body)?;
    for (r, row) in rows.iter().enumerate() {
        if let Some(s) = row.seats.iter().position(|place| place.ticket_id.map_str() != key.as_str()) {
            return Err(Refusal::invalid(&format!("rows[{r}].seats[{s}].ticketId"), OF_THIS_MAP));
        }
    }
    if rows.iter().all(|row| row.seats.is_empty()) {
        return Err(Refusal::invalid("rows", "must have at least one seat"));
    }
    let place = |PlaceBody { ticket_id: ticket, label, price, x, y }| {
        let label = label.map(|Line(label)| label.into());
        Place { ticket, label, price, x, y }
    };
    let row = |RowBody { name: Line(name), seats }| Row { name, seats: seats.into_iter().map(place).collect() };
    let rows: Vec<Row> = rows.into_iter().map(row).collect();
    let layout = Layout::new(rows.clone()).map_err(|why| match why {
        LayoutError::DuplicateSeat(ticket) => Refusal::from(Kind::DuplicateTicket).about(ticket),
        LayoutError::DuplicateName(ticket) => same_name(&rows, ticket),
    })?;
    Ok(SeatMapCall::Publish { layout: Arc::new(layout) })
}

/// A seat with the name of another one of its row.
fn same_name(rows: &[Row], ticket: TicketId) -> Refusal {
    let place = |(r, row): (usize, &Row)| Some((r, row.seats.iter().position(|place| place.ticket == ticket)?));
    let (r, s) = rows.iter().enumerate().find_map(place).unwrap_or_default();
    let wrong = "is what another seat of this row is called; without one, a seat is called what its id ends with";
    Refusal::invalid(&format!("rows[{r}].seats[{s}].label"), wrong).about(ticket)
}

/// Which tickets an order is for: one, or several.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tickets {
    ticket_id: Option<TicketId>,
    ticket_ids: Option<Vec<TicketId>>,
}

/// The rest of an order.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rest {
    user_id: Buyer,
    payment_method_id: Option<PaymentMethodId>,
    hold_id: Option<ChosenHold>,
    contact: Option<Reached>,
}

/// How a buyer can be reached.
#[derive(Deserialize)]
#[serde(try_from = "Map<String, Value>")]
struct Reached(Contact);

impl TryFrom<Map<String, Value>> for Reached {
    type Error = ContactError;
    fn try_from(object: Map<String, Value>) -> Result<Self, ContactError> {
        Contact::new(&object).map(Self)
    }
}

fn order(body: &[u8]) -> Body<Order> {
    let (tickets, rest) = json(body)?.split(&["ticketId", "ticketIds"]);
    let tickets = match tickets.read(Source::Request)? {
        Tickets { ticket_id: Some(ticket), ticket_ids: None } => vec![ticket],
        Tickets { ticket_id: None, ticket_ids: Some(tickets) } if !tickets.is_empty() => tickets,
        Tickets { ticket_id: None, ticket_ids: Some(_) } => {
            return Err(Refusal::invalid("ticketIds", "must have at least one ticket"));
        }
        Tickets { ticket_id: Some(_), ticket_ids: Some(_) } => {
            return Err(Refusal::invalid("ticketIds", "cannot stand beside `ticketId`"));
        }
        Tickets { ticket_id: None, ticket_ids: None } => return Err(Wrong::missing().of_field("ticketId").into()),
    };
    let Rest { user_id: Buyer(user), payment_method_id, hold_id, contact } = rest.read(Source::Request)?;
    let method = payment_method_id.unwrap_or_else(PaymentMethodId::default_card);
    let order = Order::new(tickets, user, method, hold_id.map(|ChosenHold(hold)| hold));
    order.map(|order| order.reached_by(contact.map(|Reached(contact)| contact))).map_err(|why| match why {
        OrderError::NoTicket => Refusal::invalid("ticketIds", "must have at least one ticket"),
        OrderError::TooManyTickets => Kind::TooManyTickets.into(),
        OrderError::DuplicateTicket(ticket) => Refusal::from(Kind::DuplicateTicket).about(ticket),
    })
}

#[derive(Deserialize)]
struct StuckBody {
    after: Option<CheckoutId>,
}

/// Which buyer is to be forgotten, and why.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EraseBody {
    user_id: Buyer,
    reason: Line,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InviteBody {
    map_key: MapKey,
    ttl_ms: Option<InvitationTtl>,
}

#[derive(Deserialize)]
struct CancelBody {
    reason: Line,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResolveBody {
    outcome: Known,
    payment_id: Option<PaymentId>,
    reason: Line,
}

/// What became of a payment, in a word.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
enum Known {
    Captured,
    Refused,
    LetGo,
    PaidBack,
}

impl TryFrom<String> for Known {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "captured" => Ok(Self::Captured),
            "refused" => Ok(Self::Refused),
            "letGo" => Ok(Self::LetGo),
            "paidBack" => Ok(Self::PaidBack),
            _ => Err("must be captured, refused, letGo or paidBack"),
        }
    }
}

fn resolve(body: &[u8]) -> Body<Operation> {
    let ResolveBody { outcome, payment_id, reason: Line(reason) } = fields(body)?;
    let resolution = match (outcome, payment_id) {
        (Known::Captured, Some(payment)) => Resolution::Captured(payment),
        (Known::Captured, None) => return Err(Wrong::missing().of_field("paymentId").into()),
        (_, Some(_)) => return Err(Refusal::invalid("paymentId", "is only known of what was captured")),
        // What an operator writes down is for operators.
        (Known::Refused, None) => Resolution::Refused(DeclineReason::new("The payment was refused")),
        (Known::LetGo, None) => Resolution::LetGo,
        (Known::PaidBack, None) => Resolution::PaidBack,
    };
    Ok(Operation::Resolve { resolution, reason })
}

/// To the gateway, and from it as the mock.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuthorizeBody {
    pub(super) key: PaymentKey,
    pub(super) amount: Money,
    pub(super) payment_method_id: PaymentMethodId,
}

fn authorize(body: &[u8]) -> Body<Payment> {
    let AuthorizeBody { key, amount, payment_method_id: method } = fields(body)?;
    Ok(Payment::Authorize(Authorize { key, amount, method }))
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CaptureBody {
    pub(super) key: PaymentKey,
    pub(super) authorization_id: AuthorizationId,
}

fn capture(body: &[u8]) -> Body<Payment> {
    let CaptureBody { key, authorization_id: authorization } = fields(body)?;
    Ok(Payment::Capture(Capture { key, authorization }))
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VoidBody {
    pub(super) authorize_key: PaymentKey,
}

fn void(body: &[u8]) -> Body<Payment> {
    let VoidBody { authorize_key } = fields(body)?;
    Ok(Payment::Void(Void { authorize_key, declined: false }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pay<A> {
    amount: A,
    payment_method_id: PaymentMethodId,
}

/// An amount may be a bare number: minor units of US dollars.
fn pay(body: &[u8]) -> Body<GatewayCall> {
    let json = json(body)?;
    let Pay { amount, payment_method_id: method } = if matches!(json.field("amount"), Some(Json::Object(_))) {
        json.read(Source::Request)?
    } else {
        let Pay { amount, payment_method_id } = json.read(Source::Request)?;
        let amount = Money::new(amount, Currency::USD).map_err(|why| Refusal::invalid("amount", &why.to_string()))?;
        Pay { amount, payment_method_id }
    };
    Ok(GatewayCall::Pay { amount, method })
}
