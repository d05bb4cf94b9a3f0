//! What operators are shown of everything that there is: a booking and a ticket as a line of JSON, and bookings as a table.
//! None of these contains the id of a hold, or how a buyer is reached.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::kind::Refusal;
use super::search::{BookingCursor, BookingStatus};
use crate::checkout::Ending;
use crate::ids::{CheckoutId, PaymentId, TicketId, UserId};
use crate::life::{CheckoutRecord, NotificationStatus};
use crate::map;
use crate::map::ticket::TicketStatus;
use crate::money::Money;
use crate::time::Timestamp;

fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("string keys, and a String takes everything")
}

/// Which of the two a line is.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Line<'a> {
    Booking(&'a Booking),
    Ticket(&'a Ticket<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ticket<'a> {
    ticket_id: &'a TicketId,
    status: TicketStatus,
    reserved_by: Option<&'a UserId>,
    reserved_until: Option<Timestamp>,
    version: u64,
    price: Option<Money>,
    checkout_id: Option<&'a CheckoutId>,
    sold_at: Option<Timestamp>,
}

/// A ticket at the time `now`: `{ "type": "ticket", "ticketId", "status", "reservedBy", "reservedUntil", "version",
/// "price", "checkoutId", "soldAt" }`. The price is what it was sold or is held for, else what an operator or the layout
/// (`listed`) has set; the checkout is the one that it was sold to.
#[must_use]
pub fn ticket(id: &TicketId, ticket: &map::ticket::Ticket, listed: Option<Money>, now: Timestamp) -> String {
    let view = ticket.get(now);
    let (hold, sale) = (ticket.state.hold().filter(|hold| now < hold.end()), ticket.state.sale());
    let price = sale.map(|sale| sale.price).or_else(|| hold.map(|hold| hold.price));
    line(&Line::Ticket(&Ticket {
        ticket_id: id,
        status: view.status,
        reserved_by: view.reserved_by.as_ref(),
        reserved_until: view.reserved_until,
        version: view.version,
        price: price.or(ticket.listed).or(listed),
        checkout_id: sale.and_then(|sale| sale.claim.as_ref()).map(|claim| &claim.checkout),
        sold_at: sale.map(|sale| sale.at),
    }))
}

/// A checkout as it stands: `{ "checkoutId", "status": PENDING | CONFIRMED | FAILED, "userId", "tickets", "startedAt", … }`, a
/// confirmed one with its `amount` and `paymentId`, a failed one with the `kind` that it was refused with; `endedAt` once it has ended;
/// `notification` where there is a message to the buyer: WAITING, DELIVERED or GIVEN_UP; and in `reset` the tickets that an operator has
/// put back on sale since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Booking {
    /// Its id.
    pub checkout_id: CheckoutId,
    /// How it stands.
    pub status: BookingStatus,
    /// The buyer.
    pub user_id: UserId,
    /// What it is for.
    pub tickets: Vec<TicketId>,
    /// What was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// What the gateway calls the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_id: Option<PaymentId>,
    /// What it was refused with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// What has become of the message to the buyer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification: Option<String>,
    /// The tickets that an operator has put back on sale since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reset: Vec<TicketId>,
}

impl From<&CheckoutRecord> for Booking {
    fn from(record: &CheckoutRecord) -> Self {
        let order = record.checkout().order();
        let (mut amount, mut payment_id, mut kind) = (None, None, None);
        match record.progress().told() {
            Some(Ending::Completed { amount: taken, payment }) => (amount, payment_id) = (Some(taken), payment),
            Some(Ending::Failed { failure, .. }) => kind = Some(Refusal::from(&failure).kind.as_str().to_owned()),
            None => {}
        }
        let notification = match record.notification() {
            NotificationStatus::None => None,
            NotificationStatus::Waiting { .. } => Some("WAITING"),
            NotificationStatus::Delivered => Some("DELIVERED"),
            NotificationStatus::GivenUp => Some("GIVEN_UP"),
        };
        Self {
            checkout_id: record.checkout().id().clone(),
            status: BookingStatus::of(record),
            user_id: order.user().clone(),
            tickets: order.tickets().to_vec(),
            amount,
            payment_id,
            kind,
            started_at: record.started(),
            ended_at: record.ended(),
            notification: notification.map(str::to_owned),
            reset: record.reset().to_vec(),
        }
    }
}

impl Booking {
    /// The same as a line of JSON, with `"type": "booking"` before the rest.
    #[must_use]
    pub fn line(&self) -> String {
        line(&Line::Booking(self))
    }

    /// Where it stands in the list of bookings.
    #[must_use]
    pub fn cursor(&self) -> BookingCursor {
        BookingCursor { started: self.started_at, checkout: self.checkout_id.clone() }
    }

    /// The names of the columns of a table, as RFC 4180 has a line of it.
    pub const CSV_HEADER: &'static str =
        "checkoutId,status,startedAt,endedAt,userId,tickets,minor,currency,paymentId,kind,notification,reset\r\n";

    /// Its line of the table. Times are in UTC, tickets have a space between them. What a spreadsheet would take for a formula has an
    /// apostrophe before it: buyers choose what they are called.
    #[must_use]
    pub fn csv(&self) -> String {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let ids = |ids: &[TicketId]| ids.iter().map(TicketId::as_str).collect::<Vec<_>>().join(" ");
        let cells = [
            self.checkout_id.to_string(),
            self.status.as_str().to_owned(),
            self.started_at.to_utc(),
            self.ended_at.map(Timestamp::to_utc).unwrap_or_default(),
            self.user_id.as_str().to_owned(),
            ids(&self.tickets),
            self.amount.map(|amount| amount.minor().to_string()).unwrap_or_default(),
            self.amount.map(|amount| amount.currency().to_string()).unwrap_or_default(),
            self.payment_id.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default(),
            text(&self.kind),
            text(&self.notification),
            ids(&self.reset),
        ];
        let mut line = String::new();
        for (n, cell) in cells.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let mark = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
            let quote = if cell.contains([',', '"', '\r', '\n']) || !mark.is_empty() { "\"" } else { "" };
            let _infallible = write!(line, "{comma}{quote}{mark}{}{quote}", cell.replace('"', "\"\""));
        }
        line + "\r\n"
    }
}
