//! What can be called: each handler's body, its fields in the order in which they are checked.

#![allow(clippy::wildcard_enum_match_arm, reason = "a JSON value of another kind is one case, whichever kind it is")]

use super::Door;
use super::json::{AnyHold, Fields, Json, Line, Read, Wrong};
use super::kind::Kind;
use crate::checkout::{Order, OrderError};
use crate::ids::{CheckoutId, HoldId, MapKey, PaymentMethodId, TicketId, UserId};
use crate::money::{Currency, Money};
use crate::payment::{Authorize, Capture, Payment, Void};
use crate::seat_map::{Errand, Layout, Place, Row, SeatMapCommand};
use crate::terms::Terms;
use crate::ticket::{HoldName, TicketCommand, TicketStatus};
use crate::time::{HoldTtl, Millis, TtlOutOfRange};

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
            Self::Ticket(_, TicketCall::Get)
            | Self::SeatMap(_, SeatMapCall::Get | SeatMapCall::Summary | SeatMapCall::Plan | SeatMapCall::Watch)
            | Self::Status(_)
            | Self::Gateway(_)
            | Self::Health => false,
            Self::Ticket(..) | Self::SeatMap(..) | Self::Process(_) | Self::ProcessSend(_) => true,
        }
    }
}

/// A request to a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TicketCall {
    /// What it is. Changes nothing.
    Get,
    /// A hold for a buyer.
    Reserve {
        /// The buyer.
        user: UserId,
        /// The name that the buyer brought, if any.
        hold: Option<HoldId>,
        /// How long, if the buyer says.
        ttl: Option<HoldTtl>,
    },
    /// A sale at the box office.
    Sell {
        /// The buyer.
        user: UserId,
    },
    /// What needs nothing of the host.
    Command(TicketCommand),
}

impl TicketCall {
    /// The command, with what the host adds: its terms, and a fresh hold id where one is needed (unguessable, and
    /// made anew for each request). `None` for [`TicketCall::Get`].
    #[must_use]
    pub fn command(self, terms: &Terms, fresh: impl FnOnce() -> HoldId) -> Option<TicketCommand> {
        let unlisted = terms.unlisted();
        match self {
            Self::Get => None,
            Self::Reserve { user, hold, ttl } => {
                let hold = hold.map_or_else(|| HoldName::Fresh(fresh()), HoldName::Named);
                Some(TicketCommand::Reserve { user, hold, ttl: ttl.unwrap_or(terms.hold_ttl), unlisted })
            }
            Self::Sell { user } => Some(TicketCommand::Sell { user, hold: fresh(), unlisted }),
            Self::Command(command) => Some(command),
        }
    }
}

/// A request to a seat map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeatMapCall {
    /// Its tickets. Changes nothing.
    Get,
    /// Its counts. Changes nothing.
    Summary,
    /// Where its seats are drawn, and their prices. Changes nothing.
    Plan,
    /// Its changes, as they come, over a WebSocket.
    Watch,
    /// What a ticket tells it.
    Set {
        /// The ticket.
        ticket: TicketId,
        /// Its status.
        status: TicketStatus,
        /// Its version.
        version: u64,
    },
    /// What needs nothing of the host.
    Command(SeatMapCommand),
}

impl SeatMapCall {
    /// The command, with the host's terms; `None` for what only reads.
    #[must_use]
    pub fn command(self, terms: &Terms) -> Option<SeatMapCommand> {
        match self {
            Self::Get | Self::Summary | Self::Plan | Self::Watch => None,
            Self::Set { ticket, status, version } => {
                Some(SeatMapCommand::Update { ticket, status, version, auto_reset_at: terms.auto_reset_at })
            }
            Self::Command(command) => Some(command),
        }
    }
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

type Body<T> = Result<T, Wrong>;

/// What a handler takes nothing but an empty body, `null` or `{}` for.
pub(super) fn nothing(json: Json) -> Body<()> {
    Fields::read(json)?.end()
}

pub(super) fn ticket(handler: &str, json: Json, from: Door) -> Body<Option<TicketCall>> {
    Ok(Some(match handler {
        "get" => nothing(json).map(|()| TicketCall::Get)?,
        "reserve" => reserve(json)?,
        "sell" => sell(json)?,
        "claim" => TicketCall::Command(claim(json)?),
        "confirm" => TicketCall::Command(confirm(json)?),
        "release" => TicketCall::Command(release(json)?),
        "revoke" => TicketCall::Command(revoke(json)?),
        "expire" => TicketCall::Command(expire(json)?),
        "block" => TicketCall::Command(block(json)?),
        "unblock" => nothing(json).map(|()| TicketCall::Command(TicketCommand::Unblock))?,
        "list" => TicketCall::Command(list(json, from)?),
        "reset" => TicketCall::Command(reset(json)?),
        "cleanup" => nothing(json).map(|()| TicketCall::Command(TicketCommand::Cleanup))?,
        _ => return Ok(None),
    }))
}

/// A buyer alone may stand for `{ "userId": … }`.
fn user_or_fields(json: Json) -> Body<(Option<UserId>, Fields)> {
    match json {
        Json::Text(_) => {
            let user = UserId::read(json).map_err(|wrong| wrong.of_field("userId"))?;
            Ok((Some(user), Fields::read(Json::Null)?))
        }
        json => Ok((None, Fields::read(json)?)),
    }
}

fn reserve(json: Json) -> Body<TicketCall> {
    let (user, mut fields) = user_or_fields(json)?;
    let user = user.map_or_else(|| fields.take("userId"), Ok)?;
    let hold = fields.maybe("holdId")?;
    let ttl = fields.maybe::<u64>("ttlMs")?;
    fields.end()?;
    let ttl = ttl.map(|millis| HoldTtl::new(Millis(millis))).transpose();
    let ttl = ttl.map_err(|TtlOutOfRange| Wrong::bounds(Kind::TtlOutOfRange))?;
    Ok(TicketCall::Reserve { user, hold, ttl })
}

fn sell(json: Json) -> Body<TicketCall> {
    let (user, mut fields) = user_or_fields(json)?;
    let user = user.map_or_else(|| fields.take("userId"), Ok)?;
    fields.end()?;
    Ok(TicketCall::Sell { user })
}

fn release(json: Json) -> Body<TicketCommand> {
    let mut fields = Fields::read(json)?;
    let hold = fields.take("holdId")?;
    fields.end()?;
    Ok(TicketCommand::Release { hold })
}

fn block(json: Json) -> Body<TicketCommand> {
    let mut fields = Fields::read(json)?;
    let Line(reason) = fields.take("reason")?;
    fields.end()?;
    Ok(TicketCommand::Block { reason })
}

fn list(json: Json, from: Door) -> Body<TicketCommand> {
    let mut fields = Fields::read(json)?;
    let price = fields.take("price")?;
    let edition = if from == Door::Inner { fields.maybe("edition")? } else { None };
    fields.end()?;
    Ok(TicketCommand::List { price, edition })
}

fn reset(json: Json) -> Body<TicketCommand> {
    let mut fields = Fields::read(json)?;
    let up_to = fields.take("upTo")?;
    fields.end()?;
    Ok(TicketCommand::Reset { up_to })
}

fn claim(json: Json) -> Body<TicketCommand> {
    let mut fields = Fields::read(json)?;
    let (user, AnyHold(hold)) = (fields.take("userId")?, fields.take("holdId")?);
    let (checkout, deadline) = (fields.take("checkout")?, fields.take("deadline")?);
    let unlisted = fields.maybe("unlistedPrice")?;
    fields.end()?;
    Ok(TicketCommand::Claim { user, hold, checkout, deadline, unlisted })
}

fn confirm(json: Json) -> Body<TicketCommand> {
    let mut fields = Fields::read(json)?;
    let AnyHold(hold) = fields.take("holdId")?;
    let (checkout, fence) = (fields.take("checkout")?, fields.take("fence")?);
    fields.end()?;
    Ok(TicketCommand::Confirm { hold, checkout, fence })
}

fn revoke(json: Json) -> Body<TicketCommand> {
    let mut fields = Fields::read(json)?;
    let AnyHold(hold) = fields.take("holdId")?;
    let checkout = fields.take("checkout")?;
    fields.end()?;
    Ok(TicketCommand::Revoke { hold, checkout })
}

fn expire(json: Json) -> Body<TicketCommand> {
    let mut fields = Fields::read(json)?;
    let AnyHold(hold) = fields.take("holdId")?;
    let until = fields.take("until")?;
    fields.end()?;
    Ok(TicketCommand::Expire { hold, until })
}

pub(super) fn seat_map(handler: &str, json: Json, key: &MapKey) -> Body<Option<SeatMapCall>> {
    Ok(Some(match handler {
        "get" => nothing(json).map(|()| SeatMapCall::Get)?,
        "summary" => nothing(json).map(|()| SeatMapCall::Summary)?,
        "plan" => nothing(json).map(|()| SeatMapCall::Plan)?,
        "watch" => nothing(json).map(|()| SeatMapCall::Watch)?,
        "layout" => SeatMapCall::Command(SeatMapCommand::Publish { layout: layout(json, key)? }),
        "resetAll" => nothing(json).map(|()| SeatMapCall::Command(SeatMapCommand::ResetAll))?,
        "set" => set(json)?,
        "continue" => SeatMapCall::Command(SeatMapCommand::Continue(errand(json)?)),
        _ => return Ok(None),
    }))
}

fn set(json: Json) -> Body<SeatMapCall> {
    let mut fields = Fields::read(json)?;
    let (ticket, status, version) = (fields.take("ticketId")?, fields.take("status")?, fields.take("version")?);
    fields.end()?;
    Ok(SeatMapCall::Set { ticket, status, version })
}

fn errand(json: Json) -> Body<Errand> {
    let mut fields = Fields::read(json)?;
    let errand = match fields.take::<String>("errand")?.as_str() {
        "list" => Errand::List { edition: fields.take("edition")?, done: fields.take("done")? },
        "reset" => Errand::Reset { as_of: fields.take("asOf")?, after: fields.take("after")? },
        _ => return Err(Wrong::value("must be list or reset").of_field("errand")),
    };
    fields.end()?;
    Ok(errand)
}

fn layout(json: Json, key: &MapKey) -> Body<Layout> {
    let mut fields = Fields::read(json)?;
    let rows: Vec<Row> = fields.take("rows")?;
    fields.end()?;
    for (r, row) in rows.iter().enumerate() {
        if let Some(s) = row.seats.iter().position(|place| place.ticket.map_str() != key.as_str()) {
            let field = format!("rows[{r}].seats[{s}].ticketId");
            return Err(Wrong::value("must be a ticket of this map").of_field(&field));
        }
    }
    if rows.iter().all(|row| row.seats.is_empty()) {
        return Err(Wrong::value("must have at least one seat").of_field("rows"));
    }
    Layout::new(rows).map_err(|_| Wrong::bounds(Kind::DuplicateTicket))
}

impl Read for Row {
    fn read(json: Json) -> Body<Self> {
        let mut fields = Fields::read(json)?;
        let (Line(name), seats) = (fields.take("name")?, fields.take("seats")?);
        fields.end()?;
        Ok(Self { name, seats })
    }
}

impl Read for Place {
    fn read(json: Json) -> Body<Self> {
        let mut fields = Fields::read(json)?;
        let (ticket, price) = (fields.take("ticketId")?, fields.take("price")?);
        let (x, y) = (fields.take("x")?, fields.take("y")?);
        fields.end()?;
        Ok(Self { ticket, price, x, y })
    }
}

pub(super) fn order(json: Json) -> Body<Order> {
    let mut fields = Fields::read(json)?;
    let (one, many) = (fields.maybe::<TicketId>("ticketId")?, fields.maybe::<Vec<TicketId>>("ticketIds")?);
    let tickets = match (one, many) {
        (Some(ticket), None) => vec![ticket],
        (None, Some(tickets)) if !tickets.is_empty() => tickets,
        (None, Some(_)) => return Err(Wrong::value("must have at least one ticket").of_field("ticketIds")),
        (Some(_), Some(_)) => return Err(Wrong::value("cannot stand beside `ticketId`").of_field("ticketIds")),
        (None, None) => return Err(Wrong::value("is missing").of_field("ticketId")),
    };
    let user = fields.take("userId")?;
    let method = fields.maybe("paymentMethodId")?;
    let hold = fields.maybe("holdId")?;
    fields.end()?;
    let method = method.unwrap_or_else(PaymentMethodId::default_card);
    Order::new(tickets, user, method, hold).map_err(|why| match why {
        OrderError::NoTicket => Wrong::value("must have at least one ticket").of_field("ticketIds"),
        OrderError::TooManyTickets => Wrong::bounds(Kind::TooManyTickets),
        OrderError::DuplicateTicket(_) => Wrong::bounds(Kind::DuplicateTicket),
    })
}

pub(super) fn gateway(handler: &str, json: Json) -> Body<Option<GatewayCall>> {
    Ok(Some(match handler {
        "authorize" => GatewayCall::Command(Payment::Authorize(authorize(json)?)),
        "capture" => GatewayCall::Command(Payment::Capture(capture(json)?)),
        "void" => GatewayCall::Command(Payment::Void(void(json)?)),
        "ledger" => nothing(json).map(|()| GatewayCall::Ledger)?,
        "" => pay(json)?,
        _ => return Ok(None),
    }))
}

fn authorize(json: Json) -> Body<Authorize> {
    let mut fields = Fields::read(json)?;
    let (key, amount, method) = (fields.take("key")?, fields.take("amount")?, fields.take("paymentMethodId")?);
    fields.end()?;
    Ok(Authorize { key, amount, method })
}

fn capture(json: Json) -> Body<Capture> {
    let mut fields = Fields::read(json)?;
    let (key, authorization) = (fields.take("key")?, fields.take("authorizationId")?);
    fields.end()?;
    Ok(Capture { key, authorization })
}

fn void(json: Json) -> Body<Void> {
    let mut fields = Fields::read(json)?;
    let authorize_key = fields.take("authorizeKey")?;
    fields.end()?;
    Ok(Void { authorize_key })
}

/// An amount, or a bare number: minor units of US dollars.
struct Amount(Money);

impl Read for Amount {
    fn read(json: Json) -> Body<Self> {
        if matches!(json, Json::Object(_)) {
            return Money::read(json).map(Self);
        }
        let minor = u64::read(json)?;
        Money::new(minor, Currency::USD).map(Self).map_err(|why| Wrong::value(why.to_string()))
    }
}

fn pay(json: Json) -> Body<GatewayCall> {
    let mut fields = Fields::read(json)?;
    let (Amount(amount), method) = (fields.take("amount")?, fields.take("paymentMethodId")?);
    fields.end()?;
    Ok(GatewayCall::Pay { amount, method })
}
