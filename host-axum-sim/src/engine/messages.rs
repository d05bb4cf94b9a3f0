//! What a driver and an engine say to each other.

use std::fmt;
use std::sync::Arc;

use booking_core::effect::{Notification, Op, Outcome};
use booking_core::ids::{CheckoutId, HoldId, MapKey};
use booking_core::life;
use booking_core::map::{Delta, Layout, Picture};
use booking_core::payment::Payment;
use booking_core::time::Timestamp;
use booking_core::wire::audit::AuditEntry;
use booking_core::wire::export::Booking;
use booking_core::wire::search::BookingCursor;
use booking_core::wire::{Answer, Call};

use super::Filled;
use crate::store::{Record, Seq};

/// A client that waits for an answer, by a number that the driver gives. Each request gets another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller(pub u64);

/// What a driver tells an engine.
#[derive(Clone, Debug)]
pub enum Input {
    /// A client asks for something. There is exactly one answer, now or later.
    Call(Caller, Request),
    /// A client wants a checkout to turn back. The engine answers with how the checkout stands, or with
    /// `CheckoutInProgress` where it is too late.
    Cancel(Caller, CheckoutId),
    /// An effect that was asked for by [`Output::Pay`] has ended. Late and repeated ones do no harm.
    Outcome(Op, Outcome),
    /// A message that was asked for by [`Output::Deliver`] was delivered, or was not.
    Delivered(CheckoutId, bool),
    /// Something for the audit that no call changed anything by. Its time is that of the input.
    Noted(AuditEntry),
    /// Time has passed.
    Tick,
    /// The calendar that the driver goes by was set: it was this time until now. What waits waits for as long as it would have.
    ClockSet(Timestamp),
    /// Every batch of records up to this one is stored.
    Stored(Seq),
}

/// A request, understood, with what the machines cannot know.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is asked.
    pub call: Call,
    /// The idempotency key it came with, if any.
    pub key: Option<Key>,
    /// Chance, for what has to be named anew.
    pub fresh: Fresh,
    /// What the audit is to say of it, where it is an operator's; the engine adds the time and the outcome. What is answered from
    /// what an idempotency key stands for is no second entry.
    pub audit: Option<Box<AuditEntry>>,
}

/// An idempotency key.
#[derive(Clone)]
pub struct Key {
    /// The key itself.
    pub name: String,
    /// What stands for it and for the request.
    pub digests: life::Key,
}

/// Keeps the key back: some make theirs from what is secret.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// 128 random bits, another draw for each request. Ids are made from them that nobody can guess.
#[derive(Clone, Copy)]
pub struct Fresh(pub u128);

/// Keeps it back: hold ids are made from it.
impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fresh(…)")
    }
}

impl Fresh {
    pub(super) fn hold(self) -> HoldId {
        HoldId::from_random(self.0)
    }

    pub(super) fn checkout(self) -> CheckoutId {
        CheckoutId::from_random(self.0)
    }
}

/// What an engine wants of its driver.
#[derive(Clone, Debug)]
pub enum Output {
    /// Store these, all or none, then say so with [`Input::Stored`]. In order.
    Store(Seq, Vec<Record>),
    /// The answer to a call.
    Answer(Caller, Answer),
    /// The answer to a call to watch a map: what it is now, to be [written](booking_core::wire::watch::snapshot) where that holds nobody
    /// up. What comes after it is in [`Output::News`].
    Watching(Caller, MapKey, Arc<Picture>),
    /// The answer to a call for a map: what is to be [shown](booking_core::wire::answer::seat_map) of it, written likewise.
    Seen(Caller, Arc<Picture>),
    /// The answer to a call for the plan of a map: the layout of this edition, to be [written](booking_core::wire::answer::plan)
    /// where that holds nobody up.
    Plan(Caller, MapKey, Edition),
    /// The answer to a call for bookings: a page, and where the next one begins. To be [written](booking_core::wire::answer::bookings)
    /// likewise.
    Bookings(Caller, Vec<Booking>, Option<BookingCursor>),
    /// A map has changed, for those who watch it.
    News(MapKey, Shown),
    /// Ask the gateway for this, at least once, and tell the answer. Only with [`Gateway::Outside`](super::Gateway::Outside).
    Pay(Op, Payment),
    /// Try to deliver this message, and tell how it went. Only with [`Notifier::Outside`](super::Notifier::Outside).
    Deliver(Notification),
    /// Something that has a limit is nearly full. Said once, and again when it was less full meanwhile.
    Filled(Filled),
    /// Something that cannot be: for a person to look at.
    Alarm(String),
}

impl Output {
    /// Whether a caller waits for it.
    pub(super) fn is_answer(&self) -> bool {
        match self {
            Self::Answer(..) | Self::Watching(..) | Self::Seen(..) | Self::Plan(..) | Self::Bookings(..) => true,
            Self::Store(..) | Self::News(..) | Self::Pay(..) | Self::Deliver(_) | Self::Filled(_) | Self::Alarm(_) => {
                false
            }
        }
    }
}

/// The current layout of a map.
#[derive(Clone, Debug)]
pub struct Edition {
    /// Its number; 0 where none was published.
    pub number: u64,
    /// The layout.
    pub layout: Option<Arc<Layout>>,
}

/// What the watchers of a map are to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// One change.
    Changed(Arc<Delta>),
    /// All of it anew.
    Whole(Arc<Picture>),
}
