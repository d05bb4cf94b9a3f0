//! What is kept for a time: finished checkouts, idempotency keys, accounts of the mock gateway.

use std::collections::{BTreeMap, BTreeSet};

use booking_core::ids::{CheckoutId, PaymentKey};
use booking_core::time::{Millis, Timestamp};

/// Something that is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// A finished checkout, with its key and its account.
    Checkout(CheckoutId),
    /// A key that stands for an answer.
    Key(crate::store::Digest),
    /// An account that no checkout made.
    Account(PaymentKey),
}

/// How much is kept, and what is to be forgotten next.
#[derive(Debug)]
pub(super) struct Kept {
    keep_for: Millis,
    limit: usize,
    bytes: usize,
    /// By the end of its time.
    queue: BTreeSet<(Timestamp, What)>,
    /// Accounts that no checkout made, since when.
    accounts: BTreeMap<PaymentKey, Timestamp>,
}

impl Kept {
    pub(super) fn new(keep_for: Millis, limit: usize) -> Self {
        Self { keep_for, limit, bytes: 0, queue: BTreeSet::new(), accounts: BTreeMap::new() }
    }

    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.bytes.saturating_add(bytes) <= self.limit
    }

    /// Takes the room of something that will be kept. Given back by [`Kept::leave`].
    pub(super) fn take_room(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    pub(super) fn leave(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Keeps something whose time begins now.
    pub(super) fn keep(&mut self, what: What, since: Timestamp) {
        self.queue.insert((since.plus(self.keep_for), what));
    }

    /// Keeps something on whose time has come, as it is still needed: a while longer, however short its time was.
    pub(super) fn keep_on(&mut self, what: What, now: Timestamp) {
        self.queue.insert((now.plus(self.keep_for.max(Millis::from_mins(1))), what));
    }

    pub(super) fn keep_account(&mut self, key: &PaymentKey, since: Timestamp) {
        if self.accounts.insert(key.clone(), since).is_none() {
            self.take_room(account_cost(key));
            self.keep(What::Account(key.clone()), since);
        }
    }

    pub(super) fn account_since(&self, key: &PaymentKey) -> Option<Timestamp> {
        self.accounts.get(key).copied()
    }

    pub(super) fn forget_account(&mut self, key: &PaymentKey) {
        if self.accounts.remove(key).is_some() {
            self.leave(account_cost(key));
        }
    }

    /// When the next thing is to be forgotten.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// What is to be forgotten now, if anything is.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<What> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop_first().map(|(_, what)| what)
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What an account of the mock gateway takes, about.
pub(super) fn account_cost(key: &PaymentKey) -> usize {
    512 + 3 * key.as_str().len()
}
