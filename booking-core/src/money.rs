//! Money: whole minor units (cents) of one currency. There are no fractions, no floats and no conversion.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::MAX_EXACT;

/// A currency by its three letters, as ISO 4217 has them (`USD`). Whether ISO lists the code is not checked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// A text that is not three letters `A-Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be three letters A-Z, as in ISO 4217")]
pub struct NotACurrency;

impl Currency {
    /// The US dollar.
    pub const USD: Self = Self(*b"USD");

    /// The three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("three ASCII letters, checked when it was made")
    }
}

impl FromStr for Currency {
    type Err = NotACurrency;
    fn from_str(text: &str) -> Result<Self, NotACurrency> {
        match *text.as_bytes() {
            [a @ b'A'..=b'Z', b @ b'A'..=b'Z', c @ b'A'..=b'Z'] => Ok(Self([a, b, c])),
            _ => Err(NotACurrency),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An amount of money: `minor` units (cents, or whole yen) of one `currency`, from 0 to 2^53 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Money {
    minor: u64,
    currency: Currency,
}

/// Why two amounts cannot be added, or an amount cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The amounts are in two currencies.
    #[error("amounts of two currencies cannot be added")]
    MixedCurrencies,
    /// More than 2^53 - 1 minor units.
    #[error("must be at most 9007199254740991 minor units")]
    TooMuch,
}

impl Money {
    /// So many minor units of a currency.
    ///
    /// # Errors
    /// [`MoneyError::TooMuch`] beyond 2^53 - 1 minor units.
    pub const fn new(minor: u64, currency: Currency) -> Result<Self, MoneyError> {
        if minor > MAX_EXACT { Err(MoneyError::TooMuch) } else { Ok(Self { minor, currency }) }
    }

    /// 100.00 US dollars: what a ticket costs where neither a layout nor the host says otherwise.
    pub const DEFAULT_PRICE: Self = Self { minor: 10_000, currency: Currency::USD };

    /// Whole minor units.
    #[must_use]
    pub const fn minor(self) -> u64 {
        self.minor
    }

    /// The currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// The sum of two amounts of one currency.
    ///
    /// # Errors
    /// [`MoneyError::MixedCurrencies`], or [`MoneyError::TooMuch`] where the sum would be.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::MixedCurrencies);
        }
        Self::new(self.minor.saturating_add(other.minor), self.currency)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    minor: u64,
    currency: Currency,
}

impl TryFrom<Stored> for Money {
    type Error = MoneyError;
    fn try_from(stored: Stored) -> Result<Self, MoneyError> {
        Self::new(stored.minor, stored.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_adds_within_one_currency_and_never_runs_over() {
        let usd = |minor| Money::new(minor, Currency::USD).unwrap();
        let eur = Money::new(1, "EUR".parse().unwrap()).unwrap();
        assert_eq!(usd(1).plus(usd(2)), Ok(usd(3)));
        assert_eq!(usd(1).plus(eur), Err(MoneyError::MixedCurrencies));
        assert_eq!(usd(MAX_EXACT).plus(usd(1)), Err(MoneyError::TooMuch));
        assert_eq!(Money::new(MAX_EXACT + 1, Currency::USD), Err(MoneyError::TooMuch));
    }

    #[test]
    fn money_on_the_wire_is_minor_units_and_three_letters() {
        let text = r#"{"minor":10000,"currency":"USD"}"#;
        assert_eq!(serde_json::to_string(&Money::DEFAULT_PRICE).unwrap(), text);
        assert_eq!(serde_json::from_str::<Money>(text).unwrap(), Money::DEFAULT_PRICE);
        for bad in
            [r#"{"minor":-1,"currency":"USD"}"#, r#"{"minor":1,"currency":"usd"}"#, r#"{"minor":1.5,"currency":"USD"}"#]
        {
            assert!(serde_json::from_str::<Money>(bad).is_err(), "{bad}");
        }
    }
}
