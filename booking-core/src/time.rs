//! Points in time and lengths of time, in milliseconds. The core never asks what time it is; it is told.

use serde::{Deserialize, Deserializer, Serialize};

/// The largest whole number that JSON readers everywhere carry exactly (2^53 - 1).
pub const MAX_EXACT: u64 = (1 << 53) - 1;

/// Milliseconds since the Unix epoch, at most 2^53 - 1, so that every JSON reader carries it exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The last point in time there is.
    pub const MAX: Self = Self(MAX_EXACT);

    /// The point `millis` after the Unix epoch; what lies beyond [`Timestamp::MAX`] is that.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(if millis > MAX_EXACT { MAX_EXACT } else { millis })
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This point plus a length of time; never beyond [`Timestamp::MAX`].
    #[must_use]
    pub const fn plus(self, length: Millis) -> Self {
        Self::from_millis(self.0.saturating_add(length.0))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            millis @ 0..=MAX_EXACT => Ok(Self(millis)),
            _ => Err(serde::de::Error::custom("a time beyond 2^53 - 1 ms")),
        }
    }
}

/// A length of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// So many seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// So many minutes.
    #[must_use]
    pub const fn from_mins(mins: u64) -> Self {
        Self::from_secs(mins.saturating_mul(60))
    }
}

/// How long a buyer's own hold lasts: 1 second to 2 hours, 15 minutes by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Millis", into = "Millis")]
pub struct HoldTtl(Millis);

/// A hold's length outside [`HoldTtl::MIN`] to [`HoldTtl::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hold lasts from {} to {} ms", HoldTtl::MIN.0, HoldTtl::MAX.0)]
pub struct TtlOutOfRange;

impl HoldTtl {
    /// The shortest hold: one second.
    pub const MIN: Millis = Millis::from_secs(1);
    /// The longest hold: two hours.
    pub const MAX: Millis = Millis::from_mins(120);

    /// A hold's length.
    ///
    /// # Errors
    /// [`TtlOutOfRange`] below [`HoldTtl::MIN`] or above [`HoldTtl::MAX`].
    pub fn new(length: Millis) -> Result<Self, TtlOutOfRange> {
        if (Self::MIN..=Self::MAX).contains(&length) { Ok(Self(length)) } else { Err(TtlOutOfRange) }
    }

    /// The length itself.
    #[must_use]
    pub const fn length(self) -> Millis {
        self.0
    }
}

impl Default for HoldTtl {
    fn default() -> Self {
        Self(Millis::from_mins(15))
    }
}

impl TryFrom<Millis> for HoldTtl {
    type Error = TtlOutOfRange;
    fn try_from(length: Millis) -> Result<Self, TtlOutOfRange> {
        Self::new(length)
    }
}

impl From<HoldTtl> for Millis {
    fn from(ttl: HoldTtl) -> Self {
        ttl.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_lasts_from_one_second_to_two_hours() {
        for good in [1_000, 900_000, 7_200_000] {
            assert_eq!(HoldTtl::new(Millis(good)).map(|ttl| ttl.length().0), Ok(good));
        }
        for bad in [0, 999, 7_200_001, u64::MAX] {
            assert_eq!(HoldTtl::new(Millis(bad)), Err(TtlOutOfRange));
        }
        assert_eq!(HoldTtl::default().length(), Millis::from_mins(15));
        assert!(serde_json::from_str::<HoldTtl>("1").is_err());
    }

    #[test]
    fn time_never_runs_over() {
        assert_eq!(Timestamp::MAX.plus(Millis(1)), Timestamp::MAX);
        assert_eq!(Timestamp::from_millis(u64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::from_millis(1).plus(Millis(u64::MAX)), Timestamp::MAX);
        assert!(serde_json::from_str::<Timestamp>("9007199254740992").is_err());
        assert!(serde_json::from_str::<Timestamp>("-1").is_err());
    }
}
