//! The form in which states and journals are stored: one JSON document, `{"v": 1, "is": …}`.
//!
//! `v` is the version of the form. A version this build does not know is a clear error, never a guess; an older one is
//! read, through [`Format::upgrade`]. What is promised about versions stands in `docs/DESIGN.md`.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::json::{self, Json, Source};

/// Something that is stored.
pub trait Format: Serialize + DeserializeOwned {
    /// What it is called in errors.
    const NAME: &'static str;
    /// The version that this build writes.
    const VERSION: u32;
    /// The oldest version that this build reads.
    const OLDEST: u32 = Self::VERSION;

    /// Turns the stored form of version `from` into that of `from + 1`. Called once per version in between, from
    /// [`Format::OLDEST`] on.
    ///
    /// # Errors
    /// `None` where it is not what that version wrote.
    #[must_use]
    fn upgrade(from: u32, stored: Value) -> Option<Value> {
        let _ = (from, stored);
        None
    }
}

/// What a build can do with a stored form: what tells whether one build can take over from another, or go back to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Form {
    /// [`Format::NAME`].
    pub name: &'static str,
    /// [`Format::VERSION`].
    pub writes: u32,
    /// [`Format::OLDEST`].
    pub reads_from: u32,
}

impl Form {
    /// That of a type, in this build.
    #[must_use]
    pub const fn of<T: Format>() -> Self {
        Self { name: T::NAME, writes: T::VERSION, reads_from: T::OLDEST }
    }
}

/// Why stored bytes cannot be read. Never quotes them: they hold secrets.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Written by a newer build than this.
    #[error("this {name} has format {found}, but this build knows formats up to {known}: use a newer build")]
    Newer {
        /// What it is.
        name: &'static str,
        /// The version it has.
        found: u32,
        /// The newest version that this build reads.
        known: u32,
    },
    /// A version that was never written, or is too old for this build.
    #[error("this {name} has format {found}, which this build does not know")]
    Unknown {
        /// What it is.
        name: &'static str,
        /// The version it has.
        found: u32,
    },
    /// No JSON at all.
    #[error("this {name} is damaged, at line {line}, column {column}")]
    Damaged {
        /// What it is.
        name: &'static str,
        /// Line, from 1; 0 where unknown.
        line: usize,
        /// Column, from 1; 0 where unknown.
        column: usize,
    },
    /// JSON, but not what it should be.
    #[error("this {name} is damaged: it is JSON, but not of the form that its format has")]
    Misshapen {
        /// What it is.
        name: &'static str,
    },
}

#[derive(Serialize)]
struct Written<'a, T> {
    v: u32,
    is: &'a T,
}

/// The stored form. The same value gives the same bytes, on every target.
#[must_use]
pub fn write<T: Format>(value: &T) -> Vec<u8> {
    serde_json::to_vec(&Written { v: T::VERSION, is: value }).expect("string keys, and a Vec takes every byte")
}

/// Reads the stored form of any version from [`Format::OLDEST`] up to this build's.
///
/// # Errors
/// [`FormatError`] says whether it is newer, unknown or damaged.
pub fn read<T: Format>(bytes: &[u8]) -> Result<T, FormatError> {
    let (name, misshapen) = (T::NAME, |_misfit| FormatError::Misshapen { name: T::NAME });
    let (found, is) = open(name, bytes)?;
    if found > T::VERSION {
        return Err(FormatError::Newer { name, found, known: T::VERSION });
    }
    if found < T::OLDEST {
        return Err(FormatError::Unknown { name, found });
    }
    if found == T::VERSION {
        return is.read(Source::Own).map_err(misshapen);
    }
    let stored: Value = is.read(Source::Own).map_err(misshapen)?;
    let current = (found..T::VERSION).try_fold(stored, |stored, from| T::upgrade(from, stored));
    let current = current.ok_or(FormatError::Misshapen { name })?.to_string();
    parse(name, current.as_bytes()).and_then(|is| is.read(Source::Own).map_err(misshapen))
}

/// The JSON of a value alone, for [`read_json`].
#[must_use]
pub fn write_json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("string keys, and a Vec takes every byte")
}

/// Reads a type from its JSON alone, as [`write_json`] writes it: for what has no version of its own, because it
/// stands in a journal that ends before another build comes. A field that is not known is passed over.
///
/// # Errors
/// `None` where it is something else, or no JSON.
#[must_use]
pub fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    json::read(bytes)
}

fn parse(name: &'static str, bytes: &[u8]) -> Result<Json, FormatError> {
    let damaged = |error: serde_json::Error| FormatError::Damaged { name, line: error.line(), column: error.column() };
    Json::parse(bytes, Source::Own).map_err(damaged)
}

/// The version of a document, and what is in it.
fn open(name: &'static str, bytes: &[u8]) -> Result<(u32, Json), FormatError> {
    let Json::Object(fields) = parse(name, bytes)? else { return Err(FormatError::Misshapen { name }) };
    let (mut version, mut stored) = (None, None);
    for (field, value) in fields {
        match (field.as_str(), value) {
            ("v", Json::Whole(found)) => version = u32::try_from(found).ok(),
            ("is", value) => stored = Some(value),
            _ => {}
        }
    }
    version.zip(stored).ok_or(FormatError::Misshapen { name })
}

impl Format for crate::map::SeatMap {
    const NAME: &'static str = "seat map";
    const VERSION: u32 = 1;
}

impl Format for crate::map::Header {
    const NAME: &'static str = "seat map's header";
    const VERSION: u32 = 1;
}

impl Format for crate::map::Layout {
    const NAME: &'static str = "layout";
    const VERSION: u32 = 1;
}

impl Format for crate::map::ticket::Ticket {
    const NAME: &'static str = "ticket";
    const VERSION: u32 = 1;
}

impl Format for crate::map::LastWish {
    const NAME: &'static str = "wish under a hold";
    const VERSION: u32 = 1;
}

impl Format for crate::checkout::Checkout {
    const NAME: &'static str = "checkout";
    const VERSION: u32 = 1;
}

impl Format for crate::payment::Ledger {
    const NAME: &'static str = "ledger";
    const VERSION: u32 = 1;
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::map::ticket::Ticket;

    /// A form that has had three versions: a bare number, `{"count"}`, and `{"count", "unit"}`.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Tally {
        count: u64,
        unit: String,
    }

    impl Format for Tally {
        const NAME: &'static str = "tally";
        const VERSION: u32 = 3;
        const OLDEST: u32 = 1;
        fn upgrade(from: u32, stored: Value) -> Option<Value> {
            match from {
                1 => Some(serde_json::json!({ "count": stored })),
                2 => Some(serde_json::json!({ "count": stored.get("count")?, "unit": "seats" })),
                _ => None,
            }
        }
    }

    #[test]
    fn an_older_version_is_read_step_by_step() {
        let now = Tally { count: 7, unit: "seats".into() };
        for old in [r#"{"v":1,"is":7}"#, r#"{"v":2,"is":{"count":7}}"#, r#"{"v":3,"is":{"count":7,"unit":"seats"}}"#] {
            assert_eq!(read::<Tally>(old.as_bytes()).unwrap(), now, "{old}");
        }
        assert_eq!(write(&now), br#"{"v":3,"is":{"count":7,"unit":"seats"}}"#);
    }

    #[test]
    fn an_unknown_newer_version_is_a_clear_error() {
        let newer = read::<Ticket>(br#"{"v":2,"is":{"whatever":true}}"#).unwrap_err();
        assert_eq!(newer, FormatError::Newer { name: "ticket", found: 2, known: 1 });
        assert_eq!(
            newer.to_string(),
            "this ticket has format 2, but this build knows formats up to 1: use a newer build"
        );
        assert_eq!(read::<Tally>(br#"{"v":0,"is":7}"#).unwrap_err(), FormatError::Unknown { name: "tally", found: 0 });
    }

    #[test]
    fn damaged_bytes_are_a_clear_error_that_quotes_nothing() {
        for damaged in
            ["", "{}", "[", r#"{"v":1}"#, r#"{"v":1,"is":{"hold":"secret"}}"#, r#"{"v":"1","is":7}"#, "\u{0}"]
        {
            let error = read::<Ticket>(damaged.as_bytes()).unwrap_err();
            let is_damaged = matches!(
                error,
                FormatError::Damaged { name: "ticket", .. } | FormatError::Misshapen { name: "ticket" }
            );
            assert!(is_damaged, "{damaged}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
