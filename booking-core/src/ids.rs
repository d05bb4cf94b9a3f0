//! The names of things: tickets, buyers, holds, checkouts, seat maps, payments.
//!
//! Every id that comes from outside, but for a buyer's, is 1 to 128 characters of `A-Z a-z 0-9 . _ : -`, is not `.` or `..`
//! and does not start with `:`. A leading `:` is kept for names the core makes itself, so that nobody outside can take one
//! first. A buyer's id is what the shop calls its customer, often an e-mail address: see [`UserId`].
//! Cloning an id is cheap: the text is shared.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::char::{canonical_combining_class, compose, decompose_canonical};

/// The longest id that is accepted from outside, in characters.
pub const MAX_ID_LEN: usize = 128;

/// Why a text is not an id. It never quotes the text: an id may be a secret.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// There is no text at all.
    #[error("must not be empty")]
    Empty,
    /// The text has more characters than this kind of id may: [`MAX_ID_LEN`] for most.
    #[error("is too long; ids have at most {MAX_ID_LEN} characters")]
    TooLong,
    /// A character that this kind of id may not have: outside `A-Z a-z 0-9 . _ : -` for most.
    #[error("has a character that is not allowed; allowed are A-Z a-z 0-9 . _ : -")]
    Character,
    /// `.` or `..`, which mean something else in a path. For a ticket this holds for its map's part too.
    #[error("must not be `.` or `..`")]
    Dots,
    /// A leading `:`, which marks names the core makes.
    #[error("must not start with `:`")]
    LeadingColon,
    /// A buyer's id of more than [`MAX_USER_LEN`] characters.
    #[error("is too long; a buyer's id has at most {MAX_USER_LEN} characters")]
    LongUser,
    /// A character in a buyer's id that prints nothing, or turns the direction of the text around it.
    #[error(
        "has a character that is not printable: control characters, invisible ones and those that turn text around"
    )]
    Unprintable,
    /// A buyer's id that could be written in another way and look the same.
    #[error("must be in Unicode's normal form C (NFC)")]
    NotNormal,
    /// A buyer's id with a space before or after it: it looks like another buyer's.
    #[error("must not begin or end with a space")]
    SpaceAtAnEnd,
    /// What stands where a buyer was erased.
    #[error("is not a buyer: it stands where one was erased")]
    Erased,
}

fn check(text: &str) -> Result<(), IdError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
    match text {
        "" => Err(IdError::Empty),
        "." | ".." => Err(IdError::Dots),
        _ if text.len() > MAX_ID_LEN => Err(IdError::TooLong),
        _ if !text.bytes().all(allowed) => Err(IdError::Character),
        _ if text.starts_with(':') => Err(IdError::LeadingColon),
        _ => Ok(()),
    }
}

/// Two texts as one, in one allocation: a checkout makes half a dozen of these.
fn joined(first: &str, second: &str) -> Arc<str> {
    let mut buffer = [0; MAX_GATEWAY_NAME_LEN];
    let length = first.len() + second.len();
    match buffer.get_mut(..length) {
        Some(both) => {
            both[..first.len()].copy_from_slice(first.as_bytes());
            both[first.len()..].copy_from_slice(second.as_bytes());
            std::str::from_utf8(both).expect("two texts are a text").into()
        }
        None => [first, second].concat().into(),
    }
}

/// One id type: parsed with `$check` from outside, and read back from storage with `$stored`.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $check:expr, $stored:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Reads an id that came from outside.
            ///
            /// # Errors
            /// [`IdError`] when the text breaks a rule of this kind of id; it never quotes the text.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                $check(text)?;
                Ok(Self(text.into()))
            }

            /// The text of the id.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("a ", stringify!($name)))
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        $stored(text).map_err(E::custom)?;
                        Ok($name(text.into()))
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

/// May be shown: in logs, errors and URLs.
macro_rules! shown {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    )*};
}

/// Must not be shown: has no `Display`, and its `Debug` keeps the text back.
macro_rules! secret {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}

/// The longest buyer's id, in characters.
pub const MAX_USER_LEN: usize = 256;

fn check_user(text: &str) -> Result<(), IdError> {
    check_stored_user(text)?;
    match text {
        ERASED => Err(IdError::Erased),
        _ if !is_nfc(text) => Err(IdError::NotNormal),
        _ => Ok(()),
    }
}

/// What stands where a buyer was erased.
const ERASED: &str = "(erased)";

/// Normal form C is asked for at the door alone: what is stored stays readable to a build with the tables of another Unicode version, and
/// what reads no requests needs no tables.
fn check_stored_user(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    // The count stops where it is too long.
    if text.chars().nth(MAX_USER_LEN).is_some() {
        return Err(IdError::LongUser);
    }
    if !text.chars().all(is_printable) {
        return Err(IdError::Unprintable);
    }
    if text.starts_with(' ') || text.ends_with(' ') {
        return Err(IdError::SpaceAtAnEnd);
    }
    Ok(())
}

/// Whether a character can be seen: none of the control and format characters, of the separators but the space, of the fillers
/// and selectors that print nothing, of those for private use, and no noncharacter.
fn is_printable(char: char) -> bool {
    let hidden = matches!(char,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}'
        | '\u{70f}' | '\u{890}' | '\u{891}' | '\u{8e2}' | '\u{115f}' | '\u{1160}' | '\u{1680}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}' | '\u{2800}'
        | '\u{3000}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{ffff}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{10ffff}');
    let is_noncharacter = u32::from(char) & 0xfffe == 0xfffe;
    !hidden && !is_noncharacter
}

/// Whether a text is in Unicode's normal form C: taken apart and put together again, it is the same.
///
/// [Unicode Annex 15](https://www.unicode.org/reports/tr15/). `unicode_normalization::is_nfc` says the same with twice as many
/// bytes of a Worker, as its tables for the other normal forms come with it.
fn is_nfc(text: &str) -> bool {
    if text.is_ascii() {
        return true;
    }
    let mut apart = Vec::new();
    for char in text.chars() {
        decompose_canonical(char, |part| apart.push((canonical_combining_class(part), part)));
    }
    for marks in apart.split_mut(|(class, _)| *class == 0) {
        marks.sort_by_key(|(class, _)| *class);
    }
    let mut together: Vec<char> = Vec::with_capacity(apart.len());
    let (mut starter, mut last) = (None, 0);
    for (class, char) in apart {
        if let Some(at) = starter
            && (together.len() == at + 1 || last < class)
            && let Some(both) = compose(together[at], char)
        {
            together[at] = both;
            continue;
        }
        if class == 0 {
            starter = Some(together.len());
        }
        last = class;
        together.push(char);
    }
    text.chars().eq(together)
}

fn check_ticket(text: &str) -> Result<(), IdError> {
    check(text)?;
    match text.rsplit_once(':') {
        Some(("." | "..", _)) => Err(IdError::Dots),
        _ => Ok(()),
    }
}

fn check_stored_hold(text: &str) -> Result<(), IdError> {
    check(text.strip_prefix(':').unwrap_or(text))
}

/// The longest payment key, in characters: keys are made from ids by adding to them.
pub const MAX_KEY_LEN: usize = 200;

/// The longest name that a gateway gives, in characters: the mock's are made from keys by adding to them.
pub const MAX_GATEWAY_NAME_LEN: usize = 256;

fn check_printable(text: &str, longest: usize) -> Result<(), IdError> {
    match text {
        "" => Err(IdError::Empty),
        _ if text.len() > longest => Err(IdError::TooLong),
        _ if !text.bytes().all(|b| b.is_ascii_graphic()) => Err(IdError::Character),
        _ => Ok(()),
    }
}

fn check_key(text: &str) -> Result<(), IdError> {
    check_printable(text, MAX_KEY_LEN)
}

fn check_gateway_name(text: &str) -> Result<(), IdError> {
    check_printable(text, MAX_GATEWAY_NAME_LEN)
}

id! {
    /// Names one sellable seat. The text up to the last `:` names the seat map it belongs to, see
    /// [`TicketId::map_key`]; that part must not be `.` or `..` either.
    ///
    /// ```
    /// use booking_core::TicketId;
    ///
    /// assert!(TicketId::parse("arena:A:12").is_ok());
    /// assert!(TicketId::parse("arena A 12").is_err()); // the error names the rule, and never quotes the text
    /// ```
    TicketId, check_ticket, check_ticket
}
id! {
    /// Names a buyer: what the shop calls its customer, such as an e-mail address or `auth0|5f7c…`.
    ///
    /// 1 to [`MAX_USER_LEN`] characters that can be seen, in Unicode's normal form C, so that a letter is written in one way.
    /// It says who a person is, so it has no `Display`, and its `Debug` keeps it back.
    UserId, check_user, check_stored_user
}
id! {
    /// Names a checkout. Every key that reaches the outside (payment, notification) is made from it.
    ///
    /// ```
    /// use booking_core::CheckoutId;
    ///
    /// assert_eq!(CheckoutId::parse("2V5kJc1rGWb0")?.as_str(), "2V5kJc1rGWb0");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    CheckoutId, check, check
}
id! {
    /// Names a seat map, which owns all tickets whose id is this key, a `:` and a last part without one.
    ///
    /// ```
    /// use booking_core::{MapKey, TicketId};
    ///
    /// assert_eq!(TicketId::parse("arena:A:12")?.map_key(), MapKey::parse("arena:A")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    MapKey, check, check
}
id! {
    /// Names a hold, and is a capability: every caller who knows it may release the hold or pay for it.
    ///
    /// So it has no `Display`, and its `Debug` keeps it back. Buyers make their own, unguessable. A checkout that
    /// brings none uses [`HoldId::of_checkout`], which no one outside can name.
    ///
    /// ```
    /// use booking_core::HoldId;
    ///
    /// let hold = HoldId::from_random(0x5eed); // of 128 bits that no one can guess
    /// assert_eq!(format!("{hold:?}"), "HoldId(…)"); // not into a log
    /// assert_eq!(HoldId::restore(hold.as_str())?, hold); // as a database has it
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    HoldId, check, check_stored_hold
}
id! {
    /// What the payment gateway knows the buyer's card by. Kept out of logs and errors like a card itself.
    PaymentMethodId, check, check
}
id! {
    /// The idempotency key of one payment call, made from the checkout and the call's name, never from an attempt,
    /// time or chance. Up to [`MAX_KEY_LEN`] printable ASCII characters.
    PaymentKey, check_key, check_key
}
id! {
    /// The gateway's name for a standing authorisation. Up to [`MAX_GATEWAY_NAME_LEN`] printable ASCII characters.
    AuthorizationId, check_gateway_name, check_gateway_name
}
id! {
    /// The gateway's name for money taken. Up to [`MAX_GATEWAY_NAME_LEN`] printable ASCII characters.
    PaymentId, check_gateway_name, check_gateway_name
}

shown!(TicketId, CheckoutId, MapKey, PaymentKey, AuthorizationId, PaymentId);
secret!(UserId, HoldId, PaymentMethodId);

impl UserId {
    /// What stands where a buyer was erased. No buyer is called so: [`UserId::parse`] refuses it.
    #[must_use]
    pub fn erased() -> Self {
        Self(ERASED.into())
    }
}

impl TicketId {
    /// The seat map this ticket belongs to: its id up to the last `:`, or `global` where there is none.
    ///
    /// ```
    /// use booking_core::TicketId;
    /// let map = |id: &str| TicketId::parse(id).unwrap().map_key().to_string();
    /// assert_eq!(map("seat-7"), "global");
    /// assert_eq!(map("arena:A:12"), "arena:A");
    /// ```
    #[must_use]
    pub fn map_key(&self) -> MapKey {
        MapKey(self.map_str().into())
    }

    /// What the seat is called where its layout does not say: what follows the last `:`, `-`, `_` or `.` of its id.
    ///
    /// ```
    /// use booking_core::TicketId;
    /// let name = |id: &str| TicketId::parse(id).unwrap().seat_name().to_owned();
    /// assert_eq!(name("arena:A:12"), "12");
    /// assert_eq!(name("hall:F-6-R1"), "R1");
    /// ```
    #[must_use]
    pub fn seat_name(&self) -> &str {
        let name = self.0.rsplit([':', '-', '_', '.']).next().unwrap_or_default();
        if name.is_empty() { &self.0 } else { name }
    }

    /// The text of [`TicketId::map_key`], to look a map up by.
    #[must_use]
    pub fn map_str(&self) -> &str {
        self.0.rsplit_once(':').map_or("global", |(map, _)| map)
    }
}

/// Chance as 22 letters and digits, which can say 131 bits.
fn spelt(chance: u128) -> Arc<str> {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut left = chance;
    let digits: String = (0..22)
        .map(|_| {
            let digit = DIGITS[usize::try_from(left % 62).expect("less than 62")];
            left /= 62;
            char::from(digit)
        })
        .collect();
    digits.into()
}

impl CheckoutId {
    /// The id that a host makes of 128 random bits. Unguessable where these are.
    #[must_use]
    pub fn from_random(chance: u128) -> Self {
        Self(spelt(chance))
    }
}

impl HoldId {
    /// The id that a host makes of 128 random bits, for a buyer who names none. Unguessable where these are.
    #[must_use]
    pub fn from_random(chance: u128) -> Self {
        Self(spelt(chance))
    }

    /// The hold whose [text](HoldId::as_str) was stored, that of a checkout's own among them. Not for what comes from outside: no caller
    /// may name such a hold, and [`HoldId::parse`] refuses it.
    ///
    /// # Errors
    /// [`IdError`] where the text is none that a hold has.
    ///
    /// ```
    /// use booking_core::ids::{CheckoutId, HoldId};
    /// let own = HoldId::of_checkout(&CheckoutId::parse("c-1")?);
    /// assert_eq!(HoldId::restore(own.as_str())?, own);
    /// assert!(HoldId::parse(own.as_str()).is_err());
    /// # Ok::<(), booking_core::ids::IdError>(())
    /// ```
    pub fn restore(text: &str) -> Result<Self, IdError> {
        check_stored_hold(text).map(|()| Self(text.into()))
    }

    /// The hold that a checkout makes for itself when its buyer brought none. Nobody outside can name it, because an
    /// id from outside never starts with `:`.
    #[must_use]
    pub fn of_checkout(checkout: &CheckoutId) -> Self {
        Self(joined(":", &checkout.0))
    }
}

impl AuthorizationId {
    /// What the mock gateway calls what it has set aside under a key.
    pub(crate) fn of_mock(key: &PaymentKey) -> Self {
        Self(joined(Self::MOCK_PREFIX, &key.0))
    }

    /// What the mock's names begin with; the key follows.
    pub(crate) const MOCK_PREFIX: &str = "auth:";
}

impl PaymentId {
    /// What the mock gateway calls what it has taken.
    pub(crate) fn of_mock(key: &PaymentKey) -> Self {
        Self(joined("pay:", &key.0))
    }
}

impl PaymentMethodId {
    /// What a checkout pays with when its buyer does not say: the mock gateway's good card, `card_success`.
    #[must_use]
    pub fn default_card() -> Self {
        Self("card_success".into())
    }
}

impl PaymentKey {
    /// The key under which this checkout asks for its authorisation, on every attempt.
    #[must_use]
    pub fn authorize(checkout: &CheckoutId) -> Self {
        Self(joined(&checkout.0, ":authorize"))
    }

    /// The key under which this checkout captures, on every attempt.
    #[must_use]
    pub fn capture(checkout: &CheckoutId) -> Self {
        Self(joined(&checkout.0, ":capture"))
    }

    /// The key under which what was authorised under a key is let go, on every attempt: a gateway may know its keys
    /// across all its calls.
    #[must_use]
    pub fn void(authorize: &Self) -> Self {
        Self(joined(&authorize.0, ":void"))
    }

    /// The key by which the receiver of this checkout's notification tells copies apart.
    #[must_use]
    pub fn notify(checkout: &CheckoutId) -> Self {
        Self(joined(&checkout.0, ":notify"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_1_to_128_allowed_characters() {
        let longest = "x".repeat(MAX_ID_LEN);
        for good in ["a", "seat-7", "arena:A:12", "A.b_c:d-9", "...", "a..", longest.as_str()] {
            assert!(CheckoutId::parse(good).is_ok(), "{good}");
        }
        let too_long = "x".repeat(MAX_ID_LEN + 1);
        for (bad, why) in [
            ("", IdError::Empty),
            (".", IdError::Dots),
            ("..", IdError::Dots),
            (":a", IdError::LeadingColon),
            ("a b", IdError::Character),
            ("a/b", IdError::Character),
            ("é", IdError::Character),
            ("a\0", IdError::Character),
            (too_long.as_str(), IdError::TooLong),
        ] {
            assert_eq!(CheckoutId::parse(bad), Err(why), "{bad:?}");
        }
    }

    #[test]
    fn a_buyer_has_1_to_256_characters_that_can_be_seen() {
        let longest = "\u{eb}".repeat(MAX_USER_LEN);
        for good in
            ["a", "ann+shop@example.com", "auth0|5f7c", "Zo\u{eb} L.", "\u{674e}\u{660e}", ".", longest.as_str()]
        {
            assert!(UserId::parse(good).is_ok(), "{good}");
        }
        let too_long = "x".repeat(MAX_USER_LEN + 1);
        for (bad, why) in [
            ("", IdError::Empty),
            (too_long.as_str(), IdError::LongUser),
            ("a\0", IdError::Unprintable),
            ("a\n", IdError::Unprintable),
            ("a\u{a0}b", IdError::Unprintable),
            ("a\u{200b}b", IdError::Unprintable),
            ("a\u{200d}b", IdError::Unprintable),
            ("\u{202e}bob", IdError::Unprintable),
            ("\u{2067}bob", IdError::Unprintable),
            ("a\u{feff}", IdError::Unprintable),
            ("a\u{fe0f}", IdError::Unprintable),
            ("a\u{e000}", IdError::Unprintable),
            ("a\u{1ffff}", IdError::Unprintable),
            ("a\u{e0041}", IdError::Unprintable),
            ("Zoe\u{308}", IdError::NotNormal),
            (" ann", IdError::SpaceAtAnEnd),
            ("ann ", IdError::SpaceAtAnEnd),
            (" ", IdError::SpaceAtAnEnd),
            ("\u{212b}", IdError::NotNormal),
            (UserId::erased().as_str(), IdError::Erased),
        ] {
            assert_eq!(UserId::parse(bad), Err(why), "{bad:?}");
            let stored = serde_json::from_value::<UserId>(bad.into());
            assert_eq!(
                stored.is_ok(),
                matches!(why, IdError::NotNormal | IdError::Erased),
                "{bad:?}: the door alone knows Unicode's tables"
            );
        }
        assert_eq!(format!("{:?}", UserId::parse("ann@example.com").unwrap()), "UserId(…)");
    }

    proptest::proptest! {
        /// Letters with and without marks, marks alone in any order, and syllables that come apart into two or three.
        #[test]
        fn normal_form_c_is_what_the_library_says(
            text in "[a-eA-E\u{e0}-\u{ff}\u{300}-\u{345}\u{327}\u{915}\u{93c}\u{9be}\u{9c7}\u{1100}-\u{1112}\u{1161}-\u{1175}\u{11a8}-\u{11c2}\u{ac00}-\u{ac20}\u{212b}\u{1e00}-\u{1eff}\u{fb1d}\u{2f800}]{0,8}"
        ) {
            use unicode_normalization::{UnicodeNormalization as _, is_nfc as says};
            proptest::prop_assert_eq!(is_nfc(&text), says(&text));
            proptest::prop_assert!(is_nfc(&text.nfc().collect::<String>()));
        }
    }

    #[test]
    fn the_map_part_of_a_ticket_id_is_a_map_key_itself() {
        assert_eq!(TicketId::parse("..:7"), Err(IdError::Dots));
        assert_eq!(TicketId::parse(".:7"), Err(IdError::Dots));
        for id in ["seat-7", "arena:A:12", "a::b", "a:", "a:.", "..a:7", "a:..:7"] {
            let map = TicketId::parse(id).unwrap().map_key();
            assert_eq!(MapKey::parse(map.as_str()), Ok(map), "{id}");
        }
    }

    #[test]
    fn a_hold_id_is_never_shown() {
        let hold = HoldId::parse("very-secret").unwrap();
        assert_eq!(format!("{hold:?}"), "HoldId(…)");
        let refused = serde_json::from_str::<HoldId>("\"very secret\"").unwrap_err().to_string();
        assert!(!refused.contains("secret"), "{refused}");
    }

    #[test]
    fn a_checkouts_own_hold_cannot_be_named_from_outside_but_is_read_from_storage() {
        let own = HoldId::of_checkout(&CheckoutId::parse(&"c".repeat(128)).unwrap());
        assert_eq!(HoldId::parse(own.as_str()), Err(IdError::TooLong));
        let short = HoldId::of_checkout(&CheckoutId::parse("c-1").unwrap());
        assert_eq!(HoldId::parse(short.as_str()), Err(IdError::LeadingColon));
        for hold in [own, short] {
            let stored = serde_json::to_string(&hold).unwrap();
            assert_eq!(serde_json::from_str::<HoldId>(&stored).unwrap(), hold);
        }
    }

    #[test]
    fn payment_keys_come_from_the_checkout_and_the_call_alone() {
        let checkout = CheckoutId::parse("c-1").unwrap();
        assert_eq!(PaymentKey::authorize(&checkout).as_str(), "c-1:authorize");
        assert_eq!(PaymentKey::authorize(&checkout), PaymentKey::authorize(&checkout));
        assert_ne!(PaymentKey::authorize(&checkout), PaymentKey::capture(&checkout));
    }
}
