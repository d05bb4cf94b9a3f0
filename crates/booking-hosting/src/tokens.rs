//! Tokens with names: who may come in, by which door, to which maps, and until when. A token itself is nowhere; what is kept is its digest.
//!
//! They are lines of a file, `digest {"v":1,"is":{"name":"box office","door":"admin"}}`, which `booking tokens` writes; the last line says how many
//! there are (`end 1`), so that a file that was cut short is none.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use booking_core::format::{self, Format, FormatError};
use booking_core::ids::MapKey;
use booking_core::time::Timestamp;
use booking_core::wire::{Call, Door};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Stands for a token: its SHA-256.
pub type TokenDigest = [u8; 32];

/// The digest of a token.
#[must_use]
pub fn digest(token: &[u8]) -> TokenDigest {
    Sha256::digest(token).into()
}

/// What a token opens. Stored under its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// Whose it is: what an audit says, and what it is revoked by.
    pub name: TokenName,
    /// The last door that it opens.
    pub door: GrantedDoor,
    /// The maps that it is for; all of them where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maps: Vec<MapKey>,
    /// From when on it opens nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Since when it has been revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
}

impl Format for Grant {
    const NAME: &'static str = "token";
    const VERSION: u32 = 1;
}

/// A door, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GrantedDoor {
    /// What buyers may do.
    Public,
    /// And what operators may do.
    Admin,
}

/// The name of a token: 1 to 64 characters of A-Z a-z 0-9 - . _ and space, so that it can stand in any log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenName(Arc<str>);

/// What is no name of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token's name has 1 to 64 characters of A-Z a-z 0-9 - . _ and spaces inside")]
pub struct NotAName;

impl TokenName {
    /// Reads a name.
    ///
    /// # Errors
    /// [`NotAName`].
    pub fn parse(text: &str) -> Result<Self, NotAName> {
        let is_one = |byte: u8| byte.is_ascii_alphanumeric() || b"-._ ".contains(&byte);
        let is_name = (1..=64).contains(&text.len()) && text.bytes().all(is_one) && text.trim() == text;
        if is_name { Ok(Self(text.into())) } else { Err(NotAName) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TokenName {
    type Error = NotAName;
    fn try_from(text: String) -> Result<Self, NotAName> {
        Self::parse(&text)
    }
}

impl From<TokenName> for String {
    fn from(name: TokenName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl Grant {
    /// The last door that it opens at this time; `None` where it opens none.
    #[must_use]
    pub fn door_at(&self, now: Timestamp) -> Option<Door> {
        let is_over = self.expires.is_some_and(|expires| expires <= now);
        if self.revoked.is_some() || is_over {
            return None;
        }
        Some(match self.door {
            GrantedDoor::Public => Door::Public,
            GrantedDoor::Admin => Door::Admin,
        })
    }

    /// Whether it is for what this call is about. A checkout that has begun is known by its id alone, which says no map: all who know the id
    /// may look at it, and only a token for all maps may operate on it, or list what is of all maps.
    #[must_use]
    pub fn is_for(&self, call: &Call) -> bool {
        let is_for = |map: &str| self.maps.iter().any(|own| own.as_str() == map);
        self.maps.is_empty()
            || match call {
                Call::Ticket(id, _) => is_for(id.map_str()),
                Call::SeatMap(key, _) | Call::Invite { map: key, .. } => is_for(key.as_str()),
                Call::Process(order) | Call::ProcessSend(order) => {
                    order.tickets().iter().all(|id| is_for(id.map_str()))
                }
                Call::Status(_) | Call::Health => true,
                Call::Stuck(_)
                | Call::Bookings(_)
                | Call::BookingsCsv(_)
                | Call::Inbox(_)
                | Call::Retry(_)
                | Call::Erase { .. }
                | Call::Audit(_)
                | Call::Operate(..)
                | Call::Gateway(_) => false,
            }
    }
}

/// Why a file of tokens cannot be read. Never quotes it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokensError {
    /// A line is none of ours.
    #[error("line {0} is no digest and what it stands for")]
    Line(usize),
    /// A line was written by a build that this one does not understand.
    #[error("line {0}: {1}")]
    Format(usize, FormatError),
    /// The last line is missing, or does not say how many there are.
    #[error("its last line is not `end` and the number of tokens: it was cut short")]
    Cut,
    /// One digest, or one name, stands twice.
    #[error("line {0}: the same token, or the same name, stands in an earlier line")]
    Twice(usize),
}

/// Tokens, by their digests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens(BTreeMap<TokenDigest, Grant>);

impl Tokens {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`TokensError`], with the line.
    pub fn parse(text: &str) -> Result<Self, TokensError> {
        let (lines, end) =
            text.strip_suffix('\n').and_then(|text| text.rsplit_once('\n')).map_or(("", text.trim_end()), |it| it);
        let mut tokens = Self::default();
        for (number, line) in (1..).zip(lines.lines()) {
            let (digest, written) = line.split_once(' ').ok_or(TokensError::Line(number))?;
            let digest = from_hex(digest).ok_or(TokensError::Line(number))?;
            let grant: Grant = format::read(written.as_bytes()).map_err(|why| TokensError::Format(number, why))?;
            // A field that is misspelt would be passed over, and a limit with it.
            if format::write(&grant) != written.as_bytes() {
                return Err(TokensError::Line(number));
            }
            if tokens.named(&grant.name).is_some() || tokens.0.insert(digest, grant).is_some() {
                return Err(TokensError::Twice(number));
            }
        }
        if end == format!("end {}", tokens.0.len()) { Ok(tokens) } else { Err(TokensError::Cut) }
    }

    /// The text of a file.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (digest, grant) in &self.0 {
            text.push_str(&hex(digest));
            text.push(' ');
            text.push_str(&String::from_utf8_lossy(&format::write(grant)));
            text.push('\n');
        }
        let _never_fails = writeln!(text, "end {}", self.0.len());
        text
    }

    /// What a token opens, if it is one of these.
    #[must_use]
    pub fn get(&self, digest: &TokenDigest) -> Option<&Grant> {
        self.0.get(digest)
    }

    /// Whether one of them is for this door, whether it still opens it or not.
    #[must_use]
    pub fn has(&self, door: GrantedDoor) -> bool {
        self.0.values().any(|grant| grant.door == door)
    }

    /// Each with the beginning of its digest, by which a person tells them apart.
    pub fn iter(&self) -> impl Iterator<Item = (String, &Grant)> {
        self.0.iter().map(|(digest, grant)| (hex(&digest[..4]), grant))
    }

    fn named(&self, name: &TokenName) -> Option<&Grant> {
        self.0.values().find(|grant| grant.name == *name)
    }

    /// Adds a token; `false` where there is one of that name already.
    #[must_use]
    pub fn add(&mut self, token: &str, grant: Grant) -> bool {
        if self.named(&grant.name).is_some() {
            return false;
        }
        self.0.insert(digest(token.as_bytes()), grant).is_none()
    }

    /// Revokes the token of this name; when it was, also if it was before. `None` where there is no such token.
    pub fn revoke(&mut self, name: &TokenName, now: Timestamp) -> Option<Timestamp> {
        let grant = self.0.values_mut().find(|grant| grant.name == *name)?;
        Some(*grant.revoked.get_or_insert(now))
    }
}

/// A new token, of 192 bits by chance.
#[must_use]
pub fn made(chance: [u8; 24]) -> String {
    format!("bk_{}", hex(&chance))
}

/// The tokens that a host goes by. Copies are the same, so a file that is read again counts for all of them.
#[derive(Clone, Debug, Default)]
pub struct SharedTokens(Arc<Current>);

/// The tokens of the moment.
#[derive(Debug, Default)]
pub struct Current {
    tokens: RwLock<Arc<Tokens>>,
    /// Whether there was ever one for the public door.
    has_had_public: AtomicBool,
}

impl From<Arc<Current>> for SharedTokens {
    fn from(current: Arc<Current>) -> Self {
        Self(current)
    }
}

impl SharedTokens {
    /// The same, for as long as any copy is used.
    #[must_use]
    pub fn weak(&self) -> Weak<Current> {
        Arc::downgrade(&self.0)
    }

    /// The tokens as they are now.
    #[must_use]
    pub fn now(&self) -> Arc<Tokens> {
        Arc::clone(&self.0.tokens.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on these count; whether the public door has asked for none until now, and asks for one from now on.
    pub fn replace(&self, tokens: Tokens) -> bool {
        let closes = tokens.has(GrantedDoor::Public) && !self.0.has_had_public.swap(true, Ordering::Relaxed);
        *self.0.tokens.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tokens);
        closes
    }

    /// Whether the public door asks for a token: there is one for it, or there was one since the host has started.
    #[must_use]
    pub fn close_public(&self) -> bool {
        self.0.has_had_public.load(Ordering::Relaxed)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _never_fails = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> Option<TokenDigest> {
    let mut digest = [0; 32];
    let is_hex = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_hex {
        return None;
    }
    for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use booking_core::checkout::Order;
    use booking_core::ids::{PaymentMethodId, TicketId, UserId};
    use booking_core::wire::parse;

    fn grant(name: &str, door: GrantedDoor, maps: &[&str]) -> Grant {
        let maps = maps.iter().map(|map| MapKey::parse(map).unwrap()).collect();
        Grant { name: TokenName::parse(name).unwrap(), door, maps, expires: None, revoked: None }
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_file_says_what_it_was_made_of_and_no_token() {
        let mut tokens = Tokens::default();
        let token = made([7; 24]);
        assert!(tokens.add(&token, grant("box office", GrantedDoor::Admin, &["arena:A"])));
        assert!(!tokens.add("another-token-of-it", grant("box office", GrantedDoor::Public, &[])), "the name is taken");
        assert!(!tokens.text().contains(&token), "{}", tokens.text());
        assert_eq!(Tokens::parse(&tokens.text()), Ok(tokens.clone()));
        assert!(tokens.get(&digest(token.as_bytes())).is_some() && tokens.get(&digest(b"another")).is_none());
    }

    #[test]
    fn a_file_that_is_none_says_in_which_line() {
        let mut tokens = Tokens::default();
        assert!(tokens.add("a-token-for-a-partner", grant("partner", GrantedDoor::Public, &[])));
        let line = tokens.text();
        let one = line.replace("end 1\n", "");
        for (text, why) in [
            (String::new(), "cut short"),
            ("hello".to_owned(), "cut short"),
            (one.clone(), "cut short"),
            (line.replace("end 1", "end 2"), "cut short"),
            (format!("{one}hello\nend 2\n"), "line 2 is no digest"),
            (format!("{one}{one}end 2\n"), "line 2: the same token"),
            (line.replace("\"v\":1", "\"v\":9"), "use a newer build"),
            (line.replacen(|digit: char| digit.is_ascii_hexdigit(), "G", 1), "line 1 is no digest"),
            // Read as it stands, it would be for all maps.
            (line.replace("\"door\"", "\"map\":[\"arena:A\"],\"door\""), "line 1 is no digest"),
        ] {
            let said = Tokens::parse(&text).unwrap_err().to_string();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_token_opens_until_it_expires_or_is_revoked() {
        let mut tokens = Tokens::default();
        let lasting = Grant { expires: Some(at(2_000)), ..grant("guest list", GrantedDoor::Admin, &[]) };
        assert!(tokens.add("a-token-for-the-guests", lasting));
        let key = digest(b"a-token-for-the-guests");
        let door = |tokens: &Tokens, now| tokens.get(&key).unwrap().door_at(at(now));
        assert_eq!((door(&tokens, 1_999), door(&tokens, 2_000)), (Some(Door::Admin), None));
        let name = TokenName::parse("guest list").unwrap();
        assert_eq!(tokens.revoke(&name, at(1_000)), Some(at(1_000)));
        assert_eq!(tokens.revoke(&name, at(1_500)), Some(at(1_000)), "twice is once");
        assert_eq!(door(&tokens, 1_100), None);
        assert_eq!(tokens.revoke(&TokenName::parse("nobody").unwrap(), at(1)), None);
    }

    #[test]
    fn a_token_for_some_maps_is_for_nothing_else() {
        let some = grant("a partner", GrantedDoor::Admin, &["arena:A"]);
        let call = |method: &str, path: &str, body: &str| parse(Door::Admin, method, path, body.as_bytes()).unwrap();
        let order = |seats: &[&str]| {
            let seats = seats.iter().map(|seat| TicketId::parse(seat).unwrap()).collect();
            let (user, method) = (UserId::parse("ann").unwrap(), PaymentMethodId::parse("card_success").unwrap());
            Call::Process(Order::new(seats, user, method, None).unwrap())
        };
        for (is_for, call) in [
            (true, call("POST", "/Ticket/arena:A:1/reserve", "\"ann\"")),
            (false, call("POST", "/Ticket/arena:B:1/reserve", "\"ann\"")),
            (false, call("POST", "/Ticket/arena:A/reserve", "\"ann\"")),
            (true, call("POST", "/SeatMap/arena:A/resetAll", "")),
            (false, call("POST", "/SeatMap/arena/resetAll", "")),
            (true, order(&["arena:A:1", "arena:A:2"])),
            (false, order(&["arena:A:1", "arena:B:2"])),
            (true, call("GET", "/Checkout/c-1", "")),
            (false, call("POST", "/Checkout/c-1/cancel", r#"{"reason":"x"}"#)),
            (false, call("GET", "/Checkout/list/stuck", "")),
            (false, call("GET", "/api/mock-payment/ledger", "")),
        ] {
            assert_eq!(some.is_for(&call), is_for, "{call:?}");
            assert!(grant("all", GrantedDoor::Admin, &[]).is_for(&call));
        }
    }

    #[test]
    fn a_name_can_stand_in_any_log() {
        for bad in ["", " a", "a ", "a\nb", "é", "<b>", &"x".repeat(65)] {
            assert!(TokenName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(TokenName::parse("Box office 2").is_ok());
    }
}
