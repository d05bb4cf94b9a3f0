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

impl Currency {
    /// How many decimals people write its amounts with, as ISO 4217 has it: 2 for most, so also for what is not on
    /// the list.
    #[must_use]
    pub fn decimals(&self) -> u32 {
        match self.as_str() {
            "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND"
            | "VUV" | "XAF" | "XOF" | "XPF" => 0,
            "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
            "CLF" | "UYW" => 4,
            _ => 2,
        }
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
#[non_exhaustive]
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
    /// This number of minor units of a currency.
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

/// A text that is not an amount of money.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotMoney {
    /// It does not have the form.
    #[error("must be an amount and a currency, such as 100.00:USD")]
    Form,
    /// What is behind the colon is no currency.
    #[error("the currency {0}")]
    Currency(#[from] NotACurrency),
    /// Too many or too few decimals.
    #[error("{currency} is written with {decimals} decimals, or none")]
    Decimals {
        /// The currency.
        currency: Currency,
        /// How many it has.
        decimals: u32,
    },
    /// More than can be counted.
    #[error(transparent)]
    TooMuch(#[from] MoneyError),
}

/// As people write it, with the currency's decimals or none: `100.00:USD`, `100:USD`, `10000:JPY`.
impl FromStr for Money {
    type Err = NotMoney;
    fn from_str(text: &str) -> Result<Self, NotMoney> {
        let (amount, currency) = text.split_once(':').ok_or(NotMoney::Form)?;
        let currency: Currency = currency.parse()?;
        let (whole, part) = amount.split_once('.').map_or((amount, None), |(whole, part)| (whole, Some(part)));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || part.is_some_and(|part| !digits(part)) {
            return Err(NotMoney::Form);
        }
        let decimals = currency.decimals();
        if part.is_some_and(|part| part.len() as u64 != u64::from(decimals)) {
            return Err(NotMoney::Decimals { currency, decimals });
        }
        let count = |text: &str| text.parse::<u64>().map_err(|_| NotMoney::TooMuch(MoneyError::TooMuch));
        let whole = count(whole)?.saturating_mul(10_u64.pow(decimals));
        let part = part.map_or(Ok(0), count)?;
        Ok(Self::new(whole.saturating_add(part), currency)?)
    }
}

/// As it is read by [`Money::from_str`].
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (decimals, unit) = (self.currency.decimals(), 10_u64.pow(self.currency.decimals()));
        write!(f, "{}", self.minor / unit)?;
        if decimals > 0 {
            write!(f, ".{:0width$}", self.minor % unit, width = decimals as usize)?;
        }
        write!(f, ":{}", self.currency)
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
    fn money_is_read_as_people_write_it() {
        let money = |minor, currency: &str| Ok(Money::new(minor, currency.parse().unwrap()).unwrap());
        for (text, read) in [
            ("100.00:USD", money(10_000, "USD")),
            ("100:USD", money(10_000, "USD")),
            ("0.05:EUR", money(5, "EUR")),
            ("1500:JPY", money(1_500, "JPY")),
            ("1.234:KWD", money(1_234, "KWD")),
            ("100", Err(NotMoney::Form)),
            (":USD", Err(NotMoney::Form)),
            ("1.:USD", Err(NotMoney::Form)),
            ("-1:USD", Err(NotMoney::Form)),
            ("1e3:USD", Err(NotMoney::Form)),
            ("1:usd", Err(NotMoney::Currency(NotACurrency))),
            ("1.5:USD", Err(NotMoney::Decimals { currency: Currency::USD, decimals: 2 })),
            ("1.0:JPY", Err(NotMoney::Decimals { currency: "JPY".parse().unwrap(), decimals: 0 })),
            ("99999999999999999999:USD", Err(NotMoney::TooMuch(MoneyError::TooMuch))),
            ("90071992547409.92:USD", Err(NotMoney::TooMuch(MoneyError::TooMuch))),
        ] {
            assert_eq!(text.parse::<Money>(), read, "{text}");
            if let Ok(money) = read {
                assert_eq!(money.to_string().parse(), Ok(money), "{money}");
            }
        }
        assert_eq!(Money::DEFAULT_PRICE.to_string(), "100.00:USD");
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
