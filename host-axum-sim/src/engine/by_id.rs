//! Checkouts by their ids.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use booking_core::ids::CheckoutId;

type Hasher = BuildHasherDefault<DefaultHasher>;

/// How many tables there are.
const TABLES: u64 = 64;

/// Something by the ids of checkouts, hashed: among many, one is found sooner than where they stand in order. A table that grows takes
/// its time, which all wait for; so there are many, and each is small.
#[derive(Debug)]
pub(super) struct ById<T>(Vec<HashMap<CheckoutId, T, Hasher>>);

impl<T> Default for ById<T> {
    fn default() -> Self {
        Self((0..TABLES).map(|_| HashMap::default()).collect())
    }
}

impl<T> ById<T> {
    fn place(id: &CheckoutId) -> usize {
        // The low bits find the place in a table.
        usize::try_from((Hasher::default().hash_one(id) >> 32) % TABLES).unwrap_or_default()
    }

    pub(super) fn get(&self, id: &CheckoutId) -> Option<&T> {
        self.0[Self::place(id)].get(id)
    }

    pub(super) fn get_mut(&mut self, id: &CheckoutId) -> Option<&mut T> {
        self.0[Self::place(id)].get_mut(id)
    }

    pub(super) fn contains_key(&self, id: &CheckoutId) -> bool {
        self.get(id).is_some()
    }

    pub(super) fn insert(&mut self, id: CheckoutId, value: T) {
        self.0[Self::place(&id)].insert(id, value);
    }

    pub(super) fn remove(&mut self, id: &CheckoutId) -> Option<T> {
        self.0[Self::place(id)].remove(id)
    }

    /// All of them, in no order.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flat_map(HashMap::values_mut)
    }

    /// All of them, in the order of the ids. Takes as long as putting them in order.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &T> {
        let mut all: Vec<(&CheckoutId, &T)> = self.0.iter().flatten().collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all.into_iter().map(|(_, value)| value)
    }
}
