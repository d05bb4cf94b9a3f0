//! Entries that may end: found by key, and by when they end.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize, Serializer};

use super::LastWish;
use super::ticket::{Hold, Ticket};
use crate::time::Timestamp;

/// A table whose entries may end.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "BTreeMap<K, V>", bound(deserialize = "K: Clone + Ord + Deserialize<'de>, V: Ends + Deserialize<'de>"))]
pub(super) struct Timed<K, V> {
    by_key: BTreeMap<K, V>,
    /// The ends of those that end. It follows from the entries.
    by_end: BTreeSet<(Timestamp, K)>,
}

/// What may end.
pub(super) trait Ends {
    /// When it ends; `None` while nothing ends it by time.
    fn end(&self) -> Option<Timestamp>;
}

/// A seat ends with its hold.
impl Ends for Ticket {
    fn end(&self) -> Option<Timestamp> {
        self.state.hold().map(Hold::end)
    }
}

/// The deadline of a checkout that claims nothing any more.
impl Ends for Timestamp {
    fn end(&self) -> Option<Timestamp> {
        Some(*self)
    }
}

impl Ends for LastWish {
    fn end(&self) -> Option<Timestamp> {
        Some(self.until)
    }
}

impl<K: Clone + Ord, V: Ends> Timed<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.by_key.get(key)
    }

    /// All entries, by key.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.by_key.iter()
    }

    /// Those that end, the first end first.
    pub(super) fn ending(&self) -> impl Iterator<Item = (Timestamp, &K)> {
        self.by_end.iter().map(|(end, key)| (*end, key))
    }

    /// Puts an entry in the place of what was there, or takes that away.
    pub(super) fn put(&mut self, key: K, value: Option<V>) {
        let end = value.as_ref().and_then(V::end);
        let before = match value {
            Some(value) => self.by_key.insert(key.clone(), value),
            None => self.by_key.remove(&key),
        };
        let before = before.as_ref().and_then(V::end);
        if before == end {
            return;
        }
        if let Some(end) = end {
            self.by_end.insert((end, key.clone()));
        }
        if let Some(before) = before {
            self.by_end.remove(&(before, key));
        }
    }
}

impl<K, V> Default for Timed<K, V> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), by_end: BTreeSet::new() }
    }
}

impl<K: Clone + Ord, V: Ends> FromIterator<(K, V)> for Timed<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let by_key: BTreeMap<K, V> = entries.into_iter().collect();
        let by_end = by_key.iter().filter_map(|(key, value)| Some((value.end()?, key.clone()))).collect();
        Self { by_key, by_end }
    }
}

impl<K: Clone + Ord, V: Ends> From<BTreeMap<K, V>> for Timed<K, V> {
    fn from(by_key: BTreeMap<K, V>) -> Self {
        by_key.into_iter().collect()
    }
}

/// As its entries.
impl<K: Serialize, V: Serialize> Serialize for Timed<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.by_key.serialize(serializer)
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Timed<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.by_key == other.by_key
    }
}

impl<K: Eq, V: Eq> Eq for Timed<K, V> {}

impl<K: Hash, V: Hash> Hash for Timed<K, V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.by_key.hash(state);
    }
}

impl<K, V> Timed<K, V> {
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}
