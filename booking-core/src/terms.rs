//! What a host is set to: prices, times, retries. A host reads its settings once and hands the terms over; the core
//! asks no environment.

use serde::{Deserialize, Serialize};

use crate::money::Money;
use crate::time::{HoldTtl, Millis};

/// A host's settings, as far as the rules depend on them. `Terms::default()` is what the specification calls default, and what
/// stands in for a field that a stored form has not.
///
/// ```
/// use booking_core::terms::Terms;
/// use booking_core::time::Millis;
///
/// let terms = Terms { unit_price: "45.00:EUR".parse().unwrap(), checkout_time: Millis::from_mins(5), ..Terms::default() };
/// assert_eq!(terms.default_price(), Some(terms.unit_price));
/// let closed = Terms { closed_sales: true, ..terms };
/// assert_eq!(closed.default_price(), None); // only seats of a layout are for sale then
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Terms {
    /// What a ticket costs that no layout and no `list` has given a price. Maps without a layout sell in its currency alone.
    pub unit_price: Money,
    /// Whether only seats of a layout are for sale: a map without one sells nothing.
    pub closed_sales: bool,
    /// How long a buyer's own hold lasts when the buyer does not say.
    pub hold_ttl: HoldTtl,
    /// How long it lasts at most, even if the buyer asks for more; [`Terms::hold_ttl`] where `None`.
    pub hold_ttl_max: Option<HoldTtl>,
    /// Whether everybody may see whose a ticket is. Operators, and who shows the hold, always may.
    pub shows_buyers: bool,
    /// How long a checkout may claim its tickets: its deadline is its start plus this.
    pub checkout_time: Millis,
    /// How an authorisation whose outcome is unknown is asked for again.
    pub authorize_retry: Retry,
    /// How a capture or a void whose outcome is unknown is asked for again, without end.
    pub settle_retry: Backoff,
    /// How a message to a buyer is tried again that was not taken.
    pub notify_retry: Retry,
    /// A map that comes to have this many sold tickets resets them all. Off where `None`.
    pub auto_reset_at: Option<u32>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            unit_price: Money::DEFAULT_PRICE,
            closed_sales: false,
            hold_ttl: HoldTtl::default(),
            hold_ttl_max: None,
            shows_buyers: false,
            checkout_time: Millis::from_mins(15),
            authorize_retry: Retry { attempts: 5, wait: Backoff { first: Millis(200), cap: Millis::from_secs(5) } },
            settle_retry: Backoff { first: Millis(200), cap: Millis::from_mins(1) },
            notify_retry: Retry {
                attempts: 10,
                wait: Backoff { first: Millis::from_secs(1), cap: Millis::from_mins(60) },
            },
            auto_reset_at: None,
        }
    }
}

impl Terms {
    /// How many seats a map without a layout may store.
    pub const ROOM: u64 = 5_000;

    /// How long a hold lasts at most, however often more time is asked for.
    #[must_use]
    pub fn longest_hold(&self) -> HoldTtl {
        self.hold_ttl_max.unwrap_or(self.hold_ttl)
    }

    /// How far the clocks of two doors may be apart.
    pub const CLOCKS_APART: Millis = Millis::from_mins(1);

    /// How long a checkout is kept at most that was refused its seats, and that no key stands for.
    pub const KEEP_REFUSED: Millis = Millis::from_mins(10);

    /// The price of a ticket on a map without a layout that was never listed; `None` where such maps sell nothing.
    #[must_use]
    pub fn default_price(&self) -> Option<Money> {
        (!self.closed_sales).then_some(self.unit_price)
    }

    /// How long a buyer's own hold lasts: as long as was asked for, but no longer than the operator allows.
    #[must_use]
    pub fn hold_for(&self, asked: Option<HoldTtl>) -> HoldTtl {
        asked.unwrap_or(self.hold_ttl).min(self.longest_hold())
    }
}

/// Retrying with an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Retry {
    /// How often to try at most, the first time included. 0 counts as 1.
    pub attempts: u32,
    /// How long to wait in between.
    pub wait: Backoff,
}

/// Waits that double up to a cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Backoff {
    /// The first wait.
    pub first: Millis,
    /// The longest wait.
    pub cap: Millis,
}

impl Backoff {
    /// How long to wait after `failed` attempts (1 or more) that ended unknown.
    #[must_use]
    pub fn after(self, failed: u32) -> Millis {
        let doubled = 1_u64.checked_shl(failed.saturating_sub(1)).unwrap_or(u64::MAX);
        Millis(self.first.0.saturating_mul(doubled)).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_hold_is_longer_than_the_operator_allows() {
        let minutes = |minutes| HoldTtl::new(Millis::from_mins(minutes)).unwrap();
        let terms = |max: Option<u64>| Terms { hold_ttl_max: max.map(minutes), ..Terms::default() };
        for (max, asked, lasts) in [
            (None, None, 15),
            (None, Some(5), 5),
            (None, Some(120), 15),
            (Some(30), Some(120), 30),
            (Some(30), Some(20), 20),
            (Some(30), None, 15),
            (Some(10), None, 10),
        ] {
            assert_eq!(terms(max).hold_for(asked.map(minutes)), minutes(lasts), "{max:?} {asked:?}");
        }
    }

    #[test]
    fn waits_double_from_200_ms_up_to_the_cap() {
        let wait = Terms::default().authorize_retry.wait;
        let waits: Vec<u64> = (1..=7).map(|failed| wait.after(failed).0).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(wait.after(u32::MAX), wait.cap);
        assert_eq!(wait.after(0), wait.first);
    }
}
