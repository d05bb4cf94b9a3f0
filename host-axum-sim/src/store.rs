//! What an engine stores, and where.
//!
//! A [`Record`] is one thing as it is from now on; it takes the place of what was stored under its name before. The
//! records of one input belong together: all of them are stored, or none is.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use booking_core::format::{self, Format, FormatError};
use booking_core::ids::{CheckoutId, HoldId, MapKey, PaymentKey, TicketId};
use booking_core::life::{CheckoutRecord, Digest, IdempotencyRecord, RecordedAnswer};
use booking_core::map::ticket::Ticket;
use booking_core::map::{Header, LastWish, Layout};
use booking_core::payment::Account;
use booking_core::time::Timestamp;
use booking_core::wire::audit::AuditEntry;
use serde::{Deserialize, Serialize};

pub use booking_log::{Directory, DirectoryError, Entries, LOG_BYTES, Opened, is_for_want_of_room, is_in_use};

/// The number of a batch of records: the first is 1, the next one more. Everything an engine says rests on the batches
/// up to one of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seq(pub u64);

/// One thing as it is from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Record {
    /// What a map remembers as a whole; `None` where the map is forgotten. Its parts are records of their own.
    Map(MapKey, Option<Box<Header>>),
    /// The version and the time at which a map begins of which nothing is known: no map that was forgotten had come further.
    Beginning(Box<Header>),
    /// A map's layout.
    Layout(MapKey, Arc<Layout>),
    /// One seat of a map; `None` where it is as it was laid out again.
    Seat(MapKey, TicketId, Option<Box<Ticket>>),
    /// A checkout that claims nothing of a map any more, and until when that is remembered; `None` when it is forgotten.
    Ended(MapKey, CheckoutId, Option<Timestamp>),
    /// The last numbered wish under a hold; `None` when it is forgotten.
    LastWish(MapKey, HoldId, Option<Box<LastWish>>),
    /// A checkout, under way or over.
    Checkout(Box<CheckoutRecord>),
    /// A checkout that is forgotten.
    CheckoutForgotten(CheckoutId),
    /// An account of the mock gateway.
    Account(PaymentKey, Box<KeptAccount>),
    /// An account that is forgotten.
    AccountForgotten(PaymentKey),
    /// An idempotency key.
    Key(Digest, Box<IdempotencyRecord>),
    /// A key that is forgotten.
    KeyForgotten(Digest),
    /// What an operator did, by its number; `None` when it is forgotten.
    Audit(u64, Option<Box<AuditEntry>>),
}

impl Format for Record {
    const NAME: &'static str = "record";
    /// The first had other forms of checkouts and keys. No release wrote it.
    const VERSION: u32 = 2;
}

impl Record {
    /// What it is stored under, in place of what was there before: a letter for its kind, then its name.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        let key = |kind: u8, name: &[&[u8]]| {
            let mut key = vec![kind];
            name.iter().for_each(|part| key.extend_from_slice(part));
            key
        };
        match self {
            Self::Map(map, _) => key(b'm', &[map.as_str().as_bytes()]),
            Self::Beginning(_) => vec![b'n'],
            Self::Layout(map, _) => key(b'l', &[map.as_str().as_bytes()]),
            // No id has a slash in it.
            Self::Seat(map, ticket, _) => key(b's', &[map.as_str().as_bytes(), b"/", ticket.as_str().as_bytes()]),
            Self::Ended(map, id, _) => key(b'x', &[map.as_str().as_bytes(), b"/", id.as_str().as_bytes()]),
            Self::LastWish(map, id, _) => key(b'h', &[map.as_str().as_bytes(), b"/", id.as_str().as_bytes()]),
            Self::Checkout(record) => key(b'c', &[record.checkout().id().as_str().as_bytes()]),
            Self::CheckoutForgotten(id) => key(b'c', &[id.as_str().as_bytes()]),
            Self::Account(name, _) | Self::AccountForgotten(name) => key(b'a', &[name.as_str().as_bytes()]),
            // The digits of a number that is greater come later.
            Self::Audit(n, _) => key(b'o', &[&n.to_be_bytes()]),
            Self::Key(Digest(scope), _) | Self::KeyForgotten(Digest(scope)) => key(b'k', &[scope]),
        }
    }

    /// How many bytes it takes, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Layout(_, layout) => 1_024 + 192 * layout.len(),
            Self::LastWish(_, _, Some(last_wish)) => 512 + 64 * last_wish.seats.len(),
            Self::Key(_, record) => match &record.answer {
                RecordedAnswer::Is { body, .. } => 512 + body.len(),
                RecordedAnswer::EndOf(_) => 512,
            },
            Self::Checkout(_) | Self::Account(..) | Self::Audit(_, Some(_)) => 1_024,
            // A buyer and a hold of a seat may be as long as they may be at all.
            Self::Seat(_, _, Some(_)) => 1_024,
            Self::Map(..)
            | Self::Beginning(_)
            | Self::Seat(..)
            | Self::Ended(..)
            | Self::LastWish(..)
            | Self::CheckoutForgotten(_)
            | Self::AccountForgotten(_)
            | Self::KeyForgotten(_)
            | Self::Audit(_, None) => 256,
        }
    }

    /// The checkout, if it is one.
    #[must_use]
    pub fn checkout(&self) -> Option<&CheckoutRecord> {
        if let Self::Checkout(checkout) = self { Some(checkout) } else { None }
    }

    /// Whether it says that there is nothing under its key any more.
    #[must_use]
    pub fn is_forgotten(&self) -> bool {
        match self {
            Self::Map(_, None)
            | Self::Seat(_, _, None)
            | Self::Ended(_, _, None)
            | Self::LastWish(_, _, None)
            | Self::CheckoutForgotten(_)
            | Self::AccountForgotten(_)
            | Self::KeyForgotten(_)
            | Self::Audit(_, None) => true,
            Self::Map(..)
            | Self::Beginning(_)
            | Self::Layout(..)
            | Self::Seat(..)
            | Self::Ended(..)
            | Self::LastWish(..)
            | Self::Checkout(_)
            | Self::Account(..)
            | Self::Key(..)
            | Self::Audit(_, Some(_)) => false,
        }
    }
}

/// An account of the mock gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptAccount {
    /// The account.
    pub account: Account,
    /// Since when it is kept for its own sake; `None` where it goes with a checkout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// A place to store records.
pub trait Store: Send {
    /// Stores these, all or none: when this returns, they survive every failure that this store is made for. What fails is
    /// tried again with the same records, and more of them, so it does no harm if some of it was stored after all.
    ///
    /// # Errors
    /// What the disk says. Nothing that rests on these may leave then. One that is [for want of
    /// room](booking_log::is_for_want_of_room) is tried again; any other is for good.
    fn write(&mut self, records: &[Record]) -> io::Result<()>;
}

impl Store for Directory {
    fn write(&mut self, records: &[Record]) -> io::Result<()> {
        let value = |record: &Record| (!record.is_forgotten()).then(|| format::write(record));
        self.commit(records.iter().map(|record| (record.key(), value(record))))
    }
}

/// Why what is stored cannot be read.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A record was written by a build that this one does not understand.
    #[error("{path}: {why}", path = .path.display())]
    Record {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: FormatError,
    },
    /// What is stored of a seat was written by a build that this one does not understand. What comes after it can be read.
    #[error("{path}: ticket {ticket}: {why}", path = .path.display())]
    Seat {
        /// Which file.
        path: PathBuf,
        /// The seat.
        ticket: TicketId,
        /// Why.
        why: FormatError,
    },
}

/// Everything that is stored, as records.
#[derive(Debug)]
pub struct Records(Entries);

impl Records {
    /// Those of a directory.
    #[must_use]
    pub fn of(entries: Entries) -> Self {
        Self(entries)
    }

    fn read(&mut self) -> Result<Option<Record>, StoreError> {
        let Some((key, value)) = self.0.next_entry()? else { return Ok(None) };
        let record: Result<Record, FormatError> = format::read(value);
        let is_its_own = record.as_ref().is_ok_and(|record| record.key() == key);
        let of_seat = seat_of(key);
        match record {
            Ok(record) if is_its_own => Ok(Some(record)),
            Ok(_) => {
                let why = "a record stands under another's key";
                Err(DirectoryError::Damaged { path: self.0.path(), at: 0, why }.into())
            }
            Err(why) => match of_seat {
                Some(ticket) => Err(StoreError::Seat { path: self.0.path(), ticket, why }),
                None => Err(StoreError::Record { path: self.0.path(), why }),
            },
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record, StoreError>;
    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// The seat that is stored under this key, if one is.
fn seat_of(key: &[u8]) -> Option<TicketId> {
    let (_, ticket) = std::str::from_utf8(key.strip_prefix(b"s")?).ok()?.split_once('/')?;
    TicketId::parse(ticket).ok()
}

/// Reads everything of a directory, of which another process may be the owner, as it was at one moment: after some commit. Nothing is
/// changed.
///
/// # Errors
/// [`StoreError`].
pub fn read(directory: &Path) -> Result<Records, StoreError> {
    Ok(Records(booking_log::read(directory)?))
}

/// Copies a directory, of which another process may be the owner, as it was at one moment: see [`booking_log::copy`]. The records of the copy.
///
/// # Errors
/// [`StoreError`]. The original is never changed, nor a directory in which there is anything.
pub fn copy(from: &Path, to: &Path) -> Result<Records, StoreError> {
    Ok(Records(booking_log::copy(from, to)?))
}
