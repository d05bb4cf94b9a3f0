//! The closed list of errors, and which refusal of the core is which of them.

use std::borrow::Cow;
use std::fmt;

use crate::checkout::{Failure, NoAmount};
use crate::ticket::TicketRefusal;

/// What went wrong, for machines. The list is closed: no host answers with anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The request is not what its documentation says; the message names the field.
    InvalidRequest,
    /// A token is needed, and this is none.
    Unauthorized,
    /// The card was declined.
    PaymentDeclined,
    /// No such route, or no such checkout.
    NotFound,
    /// No such hold on this ticket.
    HoldNotFound,
    /// The route exists, but not with this method.
    MethodNotAllowed,
    /// The ticket is sold.
    TicketSold,
    /// Somebody else holds the ticket.
    TicketReserved,
    /// The ticket is off sale.
    TicketBlocked,
    /// Sales are closed, and the ticket was never listed.
    TicketNotForSale,
    /// A checkout is paying for this hold.
    CheckoutInProgress,
    /// The idempotency key was used before, with another body.
    IdempotencyKeyReused,
    /// The hold or the checkout is over.
    HoldExpired,
    /// The body is longer than the route takes.
    PayloadTooLarge,
    /// A hold lasts from 1 second to 2 hours.
    TtlOutOfRange,
    /// A checkout takes at most 10 tickets.
    TooManyTickets,
    /// A ticket is named twice.
    DuplicateTicket,
    /// The tickets' prices are in several currencies.
    MixedCurrencies,
    /// Too many requests from this caller.
    RateLimited,
    /// Whether the payment went through is unknown, so everything was put back.
    PaymentUnavailable,
    /// The host has more to do than it takes on; try again later.
    Overloaded,
    /// The host cannot store anything now; nothing has happened.
    StorageUnavailable,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 22] = [
        Self::InvalidRequest,
        Self::Unauthorized,
        Self::PaymentDeclined,
        Self::NotFound,
        Self::HoldNotFound,
        Self::MethodNotAllowed,
        Self::TicketSold,
        Self::TicketReserved,
        Self::TicketBlocked,
        Self::TicketNotForSale,
        Self::CheckoutInProgress,
        Self::IdempotencyKeyReused,
        Self::HoldExpired,
        Self::PayloadTooLarge,
        Self::TtlOutOfRange,
        Self::TooManyTickets,
        Self::DuplicateTicket,
        Self::MixedCurrencies,
        Self::RateLimited,
        Self::PaymentUnavailable,
        Self::Overloaded,
        Self::StorageUnavailable,
    ];

    /// Its HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Unauthorized => 401,
            Self::PaymentDeclined => 402,
            Self::NotFound | Self::HoldNotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::TicketSold
            | Self::TicketReserved
            | Self::TicketBlocked
            | Self::TicketNotForSale
            | Self::CheckoutInProgress
            | Self::IdempotencyKeyReused => 409,
            Self::HoldExpired => 410,
            Self::PayloadTooLarge => 413,
            Self::TtlOutOfRange | Self::TooManyTickets | Self::DuplicateTicket | Self::MixedCurrencies => 422,
            Self::RateLimited => 429,
            Self::PaymentUnavailable | Self::Overloaded | Self::StorageUnavailable => 503,
        }
    }

    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "InvalidRequest",
            Self::Unauthorized => "Unauthorized",
            Self::PaymentDeclined => "PaymentDeclined",
            Self::NotFound => "NotFound",
            Self::HoldNotFound => "HoldNotFound",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::TicketSold => "TicketSold",
            Self::TicketReserved => "TicketReserved",
            Self::TicketBlocked => "TicketBlocked",
            Self::TicketNotForSale => "TicketNotForSale",
            Self::CheckoutInProgress => "CheckoutInProgress",
            Self::IdempotencyKeyReused => "IdempotencyKeyReused",
            Self::HoldExpired => "HoldExpired",
            Self::PayloadTooLarge => "PayloadTooLarge",
            Self::TtlOutOfRange => "TtlOutOfRange",
            Self::TooManyTickets => "TooManyTickets",
            Self::DuplicateTicket => "DuplicateTicket",
            Self::MixedCurrencies => "MixedCurrencies",
            Self::RateLimited => "RateLimited",
            Self::PaymentUnavailable => "PaymentUnavailable",
            Self::Overloaded => "Overloaded",
            Self::StorageUnavailable => "StorageUnavailable",
        }
    }

    /// Whether an answer of this kind is the machines' own, to be given again to the same idempotency key. The others say
    /// that the machines were not asked.
    #[must_use]
    pub fn is_recorded(self) -> bool {
        !matches!(self.status(), 400 | 401 | 413 | 429) && !matches!(self, Self::Overloaded | Self::StorageUnavailable)
    }

    /// The kind with this name on the wire.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The ticket's refusal that is told by this kind, if one is.
    pub(super) fn of_ticket(self) -> Option<TicketRefusal> {
        use TicketRefusal::{
            CheckoutInProgress, HoldExpired, HoldNotFound, TicketBlocked, TicketNotForSale, TicketReserved, TicketSold,
        };
        let all = [
            TicketReserved,
            TicketSold,
            TicketBlocked,
            TicketNotForSale,
            CheckoutInProgress,
            HoldExpired,
            HoldNotFound,
        ];
        all.into_iter().find(|refusal| Refusal::from(*refusal).kind == self)
    }

    /// What its message says, or begins with.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::InvalidRequest => "Invalid request:",
            Self::Unauthorized => "A valid token is needed",
            Self::PaymentDeclined => "Payment failed:",
            Self::NotFound => "Not found",
            Self::HoldNotFound => "There is no such hold on this ticket",
            Self::MethodNotAllowed => "This route does not take this method",
            Self::TicketSold => "Ticket already sold",
            Self::TicketReserved => "Ticket is currently reserved",
            Self::TicketBlocked => "Ticket is blocked",
            Self::TicketNotForSale => "Ticket is not for sale",
            Self::CheckoutInProgress => "A checkout is in progress for this hold",
            Self::IdempotencyKeyReused => "This idempotency key was used before with another request",
            Self::HoldExpired => "The hold has expired",
            Self::PayloadTooLarge => "The body is too large",
            Self::TtlOutOfRange => "A hold lasts from 1 second to 2 hours",
            Self::TooManyTickets => "A checkout takes at most 10 tickets",
            Self::DuplicateTicket => "A ticket is named twice",
            Self::MixedCurrencies => "The tickets' prices are in several currencies",
            Self::RateLimited => "Too many requests",
            Self::PaymentUnavailable => "Payment failed: Gateway timeout",
            Self::Overloaded => "Overloaded, try again later",
            Self::StorageUnavailable => "Storage is unavailable, try again later",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error as the caller sees it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// For machines.
    pub kind: Kind,
    /// For people. Never has a hold id, a token or a card in it.
    pub message: Cow<'static, str>,
    /// The version of the object that refused, where one did.
    pub version: Option<u64>,
}

impl Refusal {
    /// An invalid request, by the field that is wrong and what is wrong with it.
    #[must_use]
    pub fn invalid(field: &str, wrong: &str) -> Self {
        let message = format!("{} `{field}` {wrong}", Kind::InvalidRequest.message());
        Self::new(Kind::InvalidRequest, message)
    }

    /// An error of this kind, with words of its own.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), version: None }
    }

    /// The same, by an object that was at this version.
    #[must_use]
    pub fn at(self, version: u64) -> Self {
        Self { version: Some(version), ..self }
    }
}

impl From<Kind> for Refusal {
    fn from(kind: Kind) -> Self {
        Self::new(kind, kind.message())
    }
}

impl From<TicketRefusal> for Refusal {
    fn from(refusal: TicketRefusal) -> Self {
        match refusal {
            TicketRefusal::TicketReserved => Kind::TicketReserved,
            TicketRefusal::TicketSold => Kind::TicketSold,
            TicketRefusal::TicketBlocked => Kind::TicketBlocked,
            TicketRefusal::TicketNotForSale => Kind::TicketNotForSale,
            TicketRefusal::CheckoutInProgress => Kind::CheckoutInProgress,
            TicketRefusal::HoldExpired => Kind::HoldExpired,
            TicketRefusal::HoldNotFound => Kind::HoldNotFound,
        }
        .into()
    }
}

impl From<&Failure> for Refusal {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::HoldRefused { refusal, .. } => (*refusal).into(),
            Failure::NoAmount(NoAmount::MixedCurrencies) => Kind::MixedCurrencies.into(),
            Failure::NoAmount(NoAmount::TooMuch) => Self::invalid("ticketIds", "cost more than can be counted"),
            Failure::PaymentDeclined(reason) => {
                let message = format!("{} Payment declined: {}", Kind::PaymentDeclined.message(), reason.as_str());
                Self::new(Kind::PaymentDeclined, message)
            }
            Failure::PaymentUnavailable => Kind::PaymentUnavailable.into(),
            Failure::ConfirmRefused { .. } => Kind::HoldExpired.into(),
            Failure::Cancelled => Self::new(Kind::HoldExpired, "The checkout was cancelled, its holds are over"),
        }
    }
}
