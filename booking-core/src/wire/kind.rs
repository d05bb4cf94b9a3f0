//! The list of errors, and which refusal of the core is which of them.

use std::borrow::Cow;
use std::fmt;

use crate::checkout::{Failure, MoneyState, NoAmount};
use crate::ids::TicketId;
use crate::map::SeatMapRefusal;
use crate::map::ticket::TicketRefusal;
use crate::time::Timestamp;

macro_rules! kinds {
    ($($kind:ident $status:literal $message:literal, $doc:literal;)*) => {
        /// What went wrong, for machines. A later version may have more: who does not know one goes by its status.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind {
            $(#[doc = $doc] $kind,)*
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// Its HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$kind => $status,)*
                }
            }

            /// Its name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => stringify!($kind),)*
                }
            }

            /// What its message says, or begins with.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self {
                    $(Self::$kind => $message,)*
                }
            }
        }
    };
}

kinds! {
    InvalidRequest       400 "Invalid request:", "The request is not what its documentation says; the message names the field.";
    Unauthorized         401 "A valid token is needed", "A token is needed, and this is none.";
    PaymentDeclined      402 "Payment failed:", "The card was declined.";
    NotFound             404 "Not found", "No such route, or no such checkout.";
    HoldNotFound         404 "There is no such hold on this ticket", "No such hold on this ticket.";
    MethodNotAllowed     405 "This route does not take this method", "The route exists, but not with this method.";
    TicketSold           409 "Ticket already sold", "The ticket is sold.";
    TicketReserved       409 "Ticket is currently reserved", "Somebody else holds the ticket.";
    TicketBlocked        409 "Ticket is blocked", "The ticket is off sale.";
    TicketNotForSale     409 "Ticket is not for sale", "Sales are closed, and the ticket was never listed.";
    CheckoutInProgress   409 "A checkout is in progress for this hold", "A checkout is paying for this hold.";
    Overtaken            409 "A later request under this hold was carried out already", "A request under this hold with a higher number was carried out already.";
    HoldInUse            409 "Another request under this hold has the same number", "Another request under this hold has the same number.";
    InvitationUsed       409 "This invitation has been used", "The invitation has led to a booking, or to one that is under way, or to too many that failed.";
    IdempotencyKeyReused 409 "This idempotency key was used before with another request", "The idempotency key was used before, with another body.";
    HoldExpired          410 "The hold has expired", "The hold or the checkout is over.";
    PayloadTooLarge      413 "The body is too large", "The body is longer than the route takes.";
    TtlOutOfRange        422 "A hold lasts from 1 second to 2 hours", "A hold lasts from 1 second to 2 hours.";
    TooManyTickets       422 "A checkout takes at most 10 tickets", "A checkout takes at most 10 tickets.";
    DuplicateTicket      422 "A ticket is named twice", "A ticket is named twice.";
    MixedCurrencies      422 "The tickets' prices are in several currencies", "The tickets' prices are in several currencies.";
    RateLimited          429 "Too many requests", "Too many requests from this caller.";
    PaymentUnavailable   503 "Payment failed: Gateway timeout", "Whether the payment went through is unknown, so everything was put back.";
    Overloaded           503 "Overloaded, try again later", "The host has more to do than it takes on; try again later.";
    StorageUnavailable   503 "Storage is unavailable, try again later", "The host cannot store anything now; nothing has happened.";
}

impl Kind {
    /// Whether an answer of this kind is the machines' own, to be given again to the same idempotency key. The others say
    /// that the machines were not asked.
    #[must_use]
    pub fn is_kept_for_its_key(self) -> bool {
        !matches!(self.status(), 400 | 401 | 413 | 429) && !matches!(self, Self::Overloaded | Self::StorageUnavailable)
    }

    /// The kind with this name on the wire.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
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
    /// The ticket that is in the way, where the request named several.
    pub ticket: Option<TicketId>,
    /// When the hold that is in the way ends, if it is one.
    pub reserved_until: Option<Timestamp>,
    /// Where the money is, where a checkout failed.
    pub money: Option<MoneyState>,
}

impl Kind {
    /// After how many seconds it is worth asking again, for the header `Retry-After`; `None` where time alone changes nothing.
    #[must_use]
    pub const fn retry_after(self) -> Option<u64> {
        match self {
            Self::Overloaded | Self::StorageUnavailable => Some(1),
            // The shortest period for which a host counts requests.
            Self::RateLimited => Some(10),
            Self::InvalidRequest
            | Self::Unauthorized
            | Self::PaymentDeclined
            | Self::NotFound
            | Self::HoldNotFound
            | Self::MethodNotAllowed
            | Self::TicketSold
            | Self::TicketReserved
            | Self::TicketBlocked
            | Self::TicketNotForSale
            | Self::CheckoutInProgress
            | Self::Overtaken
            | Self::HoldInUse
            | Self::InvitationUsed
            | Self::IdempotencyKeyReused
            | Self::HoldExpired
            | Self::PayloadTooLarge
            | Self::TtlOutOfRange
            | Self::TooManyTickets
            | Self::DuplicateTicket
            | Self::MixedCurrencies
            | Self::PaymentUnavailable => None,
        }
    }
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
        Self { kind, message: message.into(), version: None, ticket: None, reserved_until: None, money: None }
    }

    /// The same, by an object that was at this version.
    #[must_use]
    pub fn at(self, version: u64) -> Self {
        Self { version: Some(version), ..self }
    }

    /// The same, for this ticket of several.
    #[must_use]
    pub fn about(self, ticket: TicketId) -> Self {
        Self { ticket: Some(ticket), ..self }
    }

    /// A sale that may not be taken away yet, as its checkout is under way: see [`TicketCall::takes_from`](super::TicketCall::takes_from).
    #[must_use]
    pub fn still_being_sold(ticket: TicketId, version: u64) -> Self {
        let why = "The checkout that this ticket is sold to is still under way";
        Self::new(Kind::CheckoutInProgress, why).about(ticket).at(version)
    }

    /// Why a checkout failed, and where its money is.
    #[must_use]
    pub fn failed(failure: &Failure, money: MoneyState) -> Self {
        Self { money: Some(money), ..failure.into() }
    }
}

impl From<Kind> for Refusal {
    fn from(kind: Kind) -> Self {
        Self::new(kind, kind.message())
    }
}

impl From<TicketRefusal> for Refusal {
    fn from(refusal: TicketRefusal) -> Self {
        let kind = match refusal {
            TicketRefusal::TicketReserved { until } => {
                return Self { reserved_until: Some(until), ..Kind::TicketReserved.into() };
            }
            TicketRefusal::TicketSold => Kind::TicketSold,
            TicketRefusal::TicketBlocked => Kind::TicketBlocked,
            TicketRefusal::TicketNotForSale => Kind::TicketNotForSale,
            TicketRefusal::CheckoutInProgress => Kind::CheckoutInProgress,
            TicketRefusal::HoldExpired => Kind::HoldExpired,
            TicketRefusal::HoldNotFound => Kind::HoldNotFound,
            TicketRefusal::Overtaken { .. } => Kind::Overtaken,
            TicketRefusal::HoldInUse => Kind::HoldInUse,
            // Its caller was to read the layout again.
            TicketRefusal::StaleEdition { .. } | TicketRefusal::Overloaded => Kind::Overloaded,
        };
        kind.into()
    }
}

impl From<&SeatMapRefusal> for Refusal {
    fn from(SeatMapRefusal { ticket, why }: &SeatMapRefusal) -> Self {
        Self { ticket: ticket.clone(), ..(*why).into() }
    }
}

impl From<&Failure> for Refusal {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::HoldRefused(refusal) => refusal.into(),
            Failure::NoAmount(NoAmount::MixedCurrencies) => Kind::MixedCurrencies.into(),
            Failure::NoAmount(NoAmount::TooMuch) => Self::invalid("ticketIds", "cost more than can be counted"),
            Failure::PaymentDeclined(reason) | Failure::CaptureRefused(reason) => {
                let message = format!("{} Payment declined: {}", Kind::PaymentDeclined.message(), reason.as_str());
                Self::new(Kind::PaymentDeclined, message)
            }
            Failure::PaymentUnavailable => Kind::PaymentUnavailable.into(),
            Failure::ConfirmRefused(SeatMapRefusal { ticket, .. }) => {
                Self { ticket: ticket.clone(), ..Kind::HoldExpired.into() }
            }
            Failure::Cancelled => Self::new(Kind::HoldExpired, "The checkout was cancelled, its holds are over"),
        }
    }
}
