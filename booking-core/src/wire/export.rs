//! What a host writes when it is asked for everything that it has: a line of JSON for each booking and each ticket.
//! It never contains the id of a hold.

use serde::Serialize;

use super::kind::Refusal;
use crate::checkout::{Checkout, Ending};
use crate::ids::{CheckoutId, PaymentId, TicketId, UserId};
use crate::map;
use crate::map::ticket::TicketStatus;
use crate::money::Money;
use crate::time::Timestamp;

fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("string keys, and a String takes everything")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    r#type: &'static str,
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
    line(&Line {
        r#type: "ticket",
        ticket_id: id,
        status: view.status,
        reserved_by: view.reserved_by.as_ref(),
        reserved_until: view.reserved_until,
        version: view.version,
        price: price.or(ticket.listed).or(listed),
        checkout_id: sale.and_then(|sale| sale.claim.as_ref()).map(|claim| &claim.checkout),
        sold_at: sale.map(|sale| sale.at),
    })
}

/// A checkout as it stands: `{ "type": "booking", "checkoutId", "status": PENDING | CONFIRMED | FAILED, "userId",
/// "tickets", … }`, a confirmed one with its `amount` and `paymentId`, a failed one with the `kind` that it was refused
/// with; `endedAt` once it has ended, and in `reset` the tickets that an operator has put back on sale since.
#[must_use]
pub fn booking(checkout: &Checkout, ended_at: Option<Timestamp>, reset: &[TicketId]) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Booking<'a> {
        r#type: &'static str,
        checkout_id: &'a CheckoutId,
        status: &'static str,
        user_id: &'a UserId,
        tickets: &'a [TicketId],
        #[serde(skip_serializing_if = "Option::is_none")]
        amount: Option<Money>,
        #[serde(skip_serializing_if = "Option::is_none")]
        payment_id: Option<&'a PaymentId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        kind: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ended_at: Option<Timestamp>,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        reset: &'a [TicketId],
    }
    let (mut status, mut amount, mut payment_id, mut kind) = ("PENDING", None, None, None);
    match checkout.ending() {
        Some(Ending::Completed { amount: taken, payment }) => {
            (status, amount, payment_id) = ("CONFIRMED", Some(*taken), payment.as_ref());
        }
        Some(Ending::Failed { failure, .. }) => (status, kind) = ("FAILED", Some(Refusal::from(failure).kind.as_str())),
        None => {}
    }
    line(&Booking {
        r#type: "booking",
        checkout_id: checkout.id(),
        status,
        user_id: checkout.order().user(),
        tickets: checkout.order().tickets(),
        amount,
        payment_id,
        kind,
        ended_at,
        reset,
    })
}
