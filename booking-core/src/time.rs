//! Points in time and lengths of time, in milliseconds. The core never asks what time it is; its caller says so.

use std::fmt;
use std::time::Duration;
#[allow(clippy::disallowed_types, reason = "to be converted from and into; no clock is asked here")]
use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize};

/// The largest whole number that JSON readers everywhere carry exactly (2^53 - 1).
pub const MAX_EXACT: u64 = (1 << 53) - 1;

/// Milliseconds since the Unix epoch, at most 2^53 - 1, so that every JSON reader carries it exactly.
///
/// ```
/// use booking_core::time::{Millis, Timestamp};
/// use std::time::SystemTime;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let now = Timestamp::try_from(SystemTime::now())?;
/// let later = now.plus(Millis::from_mins(15));
/// assert_eq!(later.since(now), Millis::from_mins(15));
/// assert_eq!(Timestamp::try_from(i64::from(later))?, later); // as a column of a database has it
/// # Ok(())
/// # }
/// ```
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

    /// How long it is from an earlier point to this one; nothing where that one is later.
    ///
    /// ```
    /// use booking_core::time::{Millis, Timestamp};
    /// let (start, end) = (Timestamp::from_millis(1_000), Timestamp::from_millis(4_000));
    /// assert_eq!(end.since(start), Millis::from_secs(3));
    /// assert_eq!(start.since(end), Millis(0));
    /// ```
    #[must_use]
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    /// This point as people write it, in UTC, in the form of RFC 3339.
    ///
    /// ```
    /// use booking_core::time::Timestamp;
    /// assert_eq!(Timestamp::from_millis(1_709_210_096_789).to_utc(), "2024-02-29T12:34:56.789Z");
    /// ```
    #[must_use]
    pub fn to_utc(self) -> String {
        let (days, millis) = (self.0 / DAY, self.0 % DAY);
        // Years that begin in March, so that a leap day is the last of its year; cycles of 400 of them.
        let days = days + DAYS_FROM_MARCH_0000;
        let (cycle, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let year = cycle * 400 + year + later;
        let (hour, minute, second) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1_000 % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", millis % 1_000)
    }
}

/// A day, in milliseconds.
const DAY: u64 = 86_400_000;

/// How many days lie between the first of March of the year 0 and the Unix epoch.
const DAYS_FROM_MARCH_0000: u64 = 719_468;

/// Milliseconds since the Unix epoch, as a number.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Cut to milliseconds. What is before the Unix epoch is that; what is beyond [`Timestamp::MAX`] is that.
///
/// ```
/// use booking_core::time::Timestamp;
/// use std::time::{Duration, SystemTime};
/// let now = Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_000));
/// assert_eq!(now, Timestamp::from_millis(1_700_000_000_000));
/// assert_eq!(Timestamp::from(SystemTime::from(now)), now);
/// ```
#[allow(clippy::disallowed_types, reason = "a host's clock tells the core its time; no clock is asked here")]
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::from_millis(Millis::from(since).0)
    }
}

#[allow(clippy::disallowed_types, reason = "no clock is asked here")]
impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        Self::UNIX_EPOCH + Duration::from_millis(time.0)
    }
}

/// For a column of a database: the same number, which always fits.
///
/// ```
/// use booking_core::time::Timestamp;
/// let time = Timestamp::from_millis(1_700_000_000_000);
/// assert_eq!(Timestamp::try_from(i64::from(time)), Ok(time));
/// assert!(Timestamp::try_from(-1).is_err());
/// ```
impl From<Timestamp> for i64 {
    fn from(time: Timestamp) -> Self {
        time.0.try_into().unwrap_or(Self::MAX)
    }
}

impl TryFrom<i64> for Timestamp {
    type Error = NotATimestamp;
    fn try_from(millis: i64) -> Result<Self, NotATimestamp> {
        match u64::try_from(millis) {
            Ok(millis @ 0..=MAX_EXACT) => Ok(Self(millis)),
            Ok(_) | Err(_) => Err(NotATimestamp),
        }
    }
}

/// A number that is no [`Timestamp`]: negative, or beyond [`Timestamp::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time is from 0 to 2^53 - 1 ms")]
pub struct NotATimestamp;

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            millis @ 0..=MAX_EXACT => Ok(Self(millis)),
            _ => Err(serde::de::Error::custom("a time beyond 2^53 - 1 ms")),
        }
    }
}

/// A length of time in milliseconds.
///
/// ```
/// use booking_core::time::Millis;
/// use std::time::Duration;
/// assert_eq!(Millis::from(Duration::from_secs(2)), Millis::from_secs(2));
/// assert_eq!(Duration::from(Millis::from_mins(1)), Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// This number of seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// This number of minutes.
    #[must_use]
    pub const fn from_mins(mins: u64) -> Self {
        Self::from_secs(mins.saturating_mul(60))
    }
}

/// Cut to milliseconds; the longest there is where it does not fit.
impl From<Duration> for Millis {
    fn from(length: Duration) -> Self {
        Self(length.as_millis().try_into().unwrap_or(u64::MAX))
    }
}

impl From<Millis> for Duration {
    fn from(length: Millis) -> Self {
        Self::from_millis(length.0)
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
