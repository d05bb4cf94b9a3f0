//! What is kept for a time: finished checkouts, idempotency keys, accounts of the mock gateway. Each kind has room of its own, so
//! that none can keep another out.

use std::collections::{BTreeMap, BTreeSet};

use booking_core::ids::{CheckoutId, PaymentKey};
use booking_core::life::Digest;
use booking_core::time::{Millis, Timestamp};

/// Something that is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Retained {
    /// A finished checkout, with its key and its account.
    Checkout(CheckoutId),
    /// A key that stands for an answer.
    Key(Digest),
    /// An account that no checkout made.
    Account(PaymentKey),
}

/// A kind of what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Share {
    /// Checkouts that are under way, and bookings. Where they are full, nothing more is sold until the first is old enough.
    Bookings,
    /// Checkouts that sold nothing. The first to be forgotten goes early where they are full.
    Failures,
    /// Keys that stand for an answer. The oldest goes early where they are full.
    Keys,
    /// Accounts of the mock gateway that no checkout made. No further one is opened where they are full.
    Accounts,
}

impl Share {
    pub(super) const ALL: [Self; 4] = [Self::Bookings, Self::Failures, Self::Keys, Self::Accounts];

    /// How much of all room is its own: bookings have three quarters.
    fn of(self, all: usize) -> usize {
        match self {
            Self::Bookings => all - 3 * (all / 12),
            Self::Failures | Self::Keys | Self::Accounts => all / 12,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bookings => "bookings",
            Self::Failures => "failures",
            Self::Keys => "keys",
            Self::Accounts => "accounts",
        }
    }
}

/// What is kept of one kind.
#[derive(Debug)]
struct Shelf {
    limit: usize,
    bytes: usize,
    /// By the end of its time.
    queue: BTreeSet<(Timestamp, Retained)>,
}

/// How much is kept, and what is to be forgotten next.
#[derive(Debug)]
pub(super) struct Retention {
    keep_for: Millis,
    shelves: [Shelf; Share::ALL.len()],
    /// Accounts that no checkout made, since when.
    accounts: BTreeMap<PaymentKey, Timestamp>,
}

impl Retention {
    pub(super) fn new(keep_for: Millis, limit: usize) -> Self {
        let shelf = |share: Share| Shelf { limit: share.of(limit), bytes: 0, queue: BTreeSet::new() };
        Self { keep_for, shelves: Share::ALL.map(shelf), accounts: BTreeMap::new() }
    }

    fn shelf(&self, share: Share) -> &Shelf {
        &self.shelves[share as usize]
    }

    fn shelf_mut(&mut self, share: Share) -> &mut Shelf {
        &mut self.shelves[share as usize]
    }

    pub(super) fn has_room(&self, share: Share, bytes: usize) -> bool {
        let shelf = self.shelf(share);
        shelf.bytes.saturating_add(bytes) <= shelf.limit
    }

    /// Takes the room of something that will be kept. Given back by [`Retention::leave`].
    pub(super) fn take_room(&mut self, share: Share, bytes: usize) {
        self.shelf_mut(share).bytes += bytes;
    }

    pub(super) fn leave(&mut self, share: Share, bytes: usize) {
        let shelf = self.shelf_mut(share);
        shelf.bytes = shelf.bytes.saturating_sub(bytes);
    }

    /// Keeps something until then.
    pub(super) fn keep(&mut self, share: Share, what: Retained, until: Timestamp) {
        self.shelf_mut(share).queue.insert((until, what));
    }

    /// What was kept until then is not.
    pub(super) fn let_go(&mut self, share: Share, what: Retained, until: Timestamp) {
        self.shelf_mut(share).queue.remove(&(until, what));
    }

    /// Keeps something on whose time has come, as it is still needed: a while longer, however short its time was.
    pub(super) fn keep_on(&mut self, share: Share, what: Retained, now: Timestamp) {
        let until = now.plus(self.keep_for.max(Millis::from_mins(1)));
        self.shelf_mut(share).queue.insert((until, what));
    }

    pub(super) fn keep_account(&mut self, key: &PaymentKey, since: Timestamp) {
        if self.accounts.insert(key.clone(), since).is_none() {
            self.take_room(Share::Accounts, account_cost(key));
            self.keep(Share::Accounts, Retained::Account(key.clone()), since.plus(self.keep_for));
        }
    }

    pub(super) fn account_since(&self, key: &PaymentKey) -> Option<Timestamp> {
        self.accounts.get(key).copied()
    }

    pub(super) fn forget_account(&mut self, key: &PaymentKey) {
        if self.accounts.remove(key).is_some() {
            self.leave(Share::Accounts, account_cost(key));
        }
    }

    /// The calendar was set: everything is kept for as long as it would have been. (What comes back from a disk goes by the calendar.)
    pub(super) fn clock_set(&mut self, moved: impl Fn(Timestamp) -> Timestamp) {
        for shelf in &mut self.shelves {
            shelf.queue =
                std::mem::take(&mut shelf.queue).into_iter().map(|(until, what)| (moved(until), what)).collect();
        }
    }

    /// When the next thing is to be forgotten.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.shelves.iter().filter_map(|shelf| Some(shelf.queue.first()?.0)).min()
    }

    /// What is to be forgotten now, if anything is: its time is over, or others of its kind need the room.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<Retained> {
        let is_next = |share: &Share| {
            let shelf = self.shelf(*share);
            let is_full = shelf.bytes > shelf.limit && matches!(share, Share::Failures | Share::Keys);
            shelf.queue.first().is_some_and(|(until, _)| is_full || *until <= now)
        };
        let share = Share::ALL.into_iter().find(is_next)?;
        self.shelf_mut(share).queue.pop_first().map(|(_, what)| what)
    }

    pub(super) fn len(&self) -> usize {
        self.shelves.iter().map(|shelf| shelf.queue.len()).sum()
    }

    /// How many bytes of each kind are taken, and of how many.
    pub(super) fn filled(&self) -> [(Share, usize, usize); Share::ALL.len()] {
        Share::ALL.map(|share| {
            let shelf = self.shelf(share);
            (share, shelf.bytes, shelf.limit)
        })
    }
}

/// What an account of the mock gateway takes, about.
pub(super) fn account_cost(key: &PaymentKey) -> usize {
    512 + 3 * key.as_str().len()
}
