//! The time that a host believes. It goes by what has elapsed, and follows the calendar clock as long as the two agree: a clock that is
//! wrong for a moment ends no hold and forgets nothing.

use std::time::{Duration, Instant};

use booking_core::time::Timestamp;
use booking_hosting::process;

/// By how much the calendar may differ from what has elapsed, and is followed all the same.
const AGREES: u64 = 2_000;

/// For how long a calendar that has jumped has to agree with itself before it is believed.
const STABLE_FOR: Duration = Duration::from_secs(60);

/// A clock.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    believed: Belief,
}

/// Which calendar is believed. It reads no clock itself.
#[derive(Debug)]
pub(crate) struct Belief {
    /// What the calendar showed when nothing had elapsed, as far as is believed.
    began: Timestamp,
    /// What it would have shown then by a calendar that is not believed yet, and since when it has said so.
    doubted: Option<(Timestamp, Duration)>,
    jumps: u64,
}

/// What a look at the clock has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing new.
    Time,
    /// The calendar has jumped. It is not believed yet.
    Jumped,
    /// It is what it was again.
    Back,
    /// It has been stable for long enough, and is believed from now on: it was this time until now.
    Set(Timestamp),
}

fn apart(one: Timestamp, other: Timestamp) -> u64 {
    one.as_millis().abs_diff(other.as_millis())
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

impl Belief {
    /// A calendar is believed at the start.
    pub(crate) fn new(began: Timestamp) -> Self {
        Self { began, doubted: None, jumps: 0 }
    }

    /// What time it is, as far as is believed, when so much has elapsed.
    pub(crate) fn at(&self, elapsed: Duration) -> Timestamp {
        Timestamp::from_millis(self.began.as_millis().saturating_add(millis(elapsed)))
    }

    /// Looks at a calendar when so much has elapsed.
    pub(crate) fn look(&mut self, calendar: Timestamp, elapsed: Duration) -> Look {
        let began = Timestamp::from_millis(calendar.as_millis().saturating_sub(millis(elapsed)));
        if apart(began, self.began) <= AGREES {
            self.began = began;
            return if self.doubted.take().is_some() { Look::Back } else { Look::Time };
        }
        match self.doubted {
            Some((other, since)) if apart(began, other) <= AGREES => {
                if elapsed.saturating_sub(since) < STABLE_FOR {
                    return Look::Time;
                }
                let was = self.at(elapsed);
                (self.began, self.doubted) = (began, None);
                Look::Set(was)
            }
            Some(_) | None => {
                self.doubted = Some((began, elapsed));
                self.jumps += 1;
                Look::Jumped
            }
        }
    }
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), believed: Belief::new(process::now()) }
    }

    /// What time it is, and whether anything is new about that.
    pub(crate) fn look(&mut self) -> (Timestamp, Look) {
        let elapsed = self.start.elapsed();
        let look = self.believed.look(process::now(), elapsed);
        (self.believed.at(elapsed), look)
    }

    /// By how many milliseconds the calendar is off what is believed, while it is not believed; below 0 where it is behind.
    pub(crate) fn off(&self) -> Option<i64> {
        let (other, _) = self.believed.doubted?;
        let off = i64::try_from(apart(other, self.believed.began)).unwrap_or(i64::MAX);
        Some(if other < self.believed.began { -off } else { off })
    }

    /// How often the calendar has jumped.
    pub(crate) fn jumps(&self) -> u64 {
        self.believed.jumps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_000_000_000;

    fn looks(looks: &[(u64, u64)]) -> Vec<(u64, Look)> {
        let mut course = Belief::new(Timestamp::from_millis(START));
        let look = |(elapsed, calendar): &(u64, u64)| {
            let elapsed = Duration::from_secs(*elapsed);
            let look = course.look(Timestamp::from_millis(START + calendar * 1_000), elapsed);
            ((course.at(elapsed).as_millis() - START) / 1_000, look)
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn a_calendar_that_is_wrong_for_a_moment_is_not_believed() {
        use Look::{Back, Jumped, Time};
        let seen = looks(&[(1, 1), (2, 90_002), (3, 90_003), (4, 4), (5, 5)]);
        assert_eq!(seen, [(1, Time), (2, Jumped), (3, Time), (4, Back), (5, Time)]);
    }

    #[test]
    fn one_that_has_been_stable_for_a_minute_is() {
        use Look::{Jumped, Set, Time};
        let at = |second: u64| Timestamp::from_millis(START + second * 1_000);
        let seen = looks(&[(10, 3_610), (40, 3_640), (69, 3_669), (70, 3_670), (71, 3_671)]);
        assert_eq!(seen, [(10, Jumped), (40, Time), (69, Time), (3_670, Set(at(70))), (3_671, Time)]);
        // Also backwards; and one that jumps again has to be stable anew.
        let seen = looks(&[(5_000, 1_400), (5_059, 1_459), (5_060, 1_900), (5_119, 1_959), (5_120, 1_960)]);
        assert_eq!(seen, [(5_000, Jumped), (5_059, Time), (5_060, Jumped), (5_119, Time), (1_960, Set(at(5_120)))]);
    }

    #[test]
    fn one_that_is_corrected_a_little_is_followed() {
        let seen = looks(&[(1, 2), (2, 1), (3, 4)]);
        assert_eq!(seen, [(2, Look::Time), (1, Look::Time), (4, Look::Time)]);
    }
}
