//! Invitations: a bearer token that a host gives out and does not keep. It is for one map, for a short time and for one booking. What it says is
//! signed, so each process that has the key can tell one that it has never seen.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use booking_core::ids::MapKey;
use booking_core::life::Key;
use booking_core::life::invitation::TRIES;
use booking_core::time::Timestamp;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::auth::half;
use crate::tokens::{Grant, GrantedDoor, TokenDigest, TokenName, digest};

/// How many invitations to one map are made a minute, at most.
pub const MOST_A_MINUTE: u32 = 5;

/// What an invitation begins with.
const PREFIX: &str = "bi_";

/// What is signed begins with this, so that a signature is good for nothing else.
const SIGNED_FOR: &[u8] = b"booking invitation 1\n";

/// How many bytes of a signature an invitation has.
const SIGNATURE: usize = 16;

/// How many bytes come before the key of the map: when it expires, and 128 bits that tell it from all others.
const EXPIRES: usize = 8;
const CHANCE: usize = 16;

/// The keys that invitations are signed with: the first one signs, all are known again. So one can take another's place without a gap.
#[derive(Clone, Default)]
pub struct InvitationKeys(Vec<Box<[u8]>>);

/// Keeps the keys back.
impl std::fmt::Debug for InvitationKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InvitationKeys(…)")
    }
}

/// What is no key to sign with. What it is, is not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key for invitations has 32 to 256 characters, such as `openssl rand -hex 32` makes")]
pub struct NotAKey;

impl InvitationKeys {
    /// Signs with these. Without any, nobody can be invited.
    ///
    /// # Errors
    /// One of them is no key.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a str>) -> Result<Self, NotAKey> {
        let key = |text: &str| if (32..=256).contains(&text.len()) { Ok(text.as_bytes().into()) } else { Err(NotAKey) };
        keys.into_iter().map(key).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An invitation to this map, of 128 bits by chance; `None` where there is no key.
    #[must_use]
    pub fn invite(&self, map: &MapKey, expires: Timestamp, chance: u128) -> Option<String> {
        let mut says = expires.as_millis().to_be_bytes().to_vec();
        says.extend(chance.to_be_bytes());
        says.extend(map.as_str().as_bytes());
        let signature = signed(self.0.first()?, &says).finalize().into_bytes();
        let signature = URL_SAFE_NO_PAD.encode(&signature[..SIGNATURE]);
        Some(format!("{PREFIX}{}.{signature}", URL_SAFE_NO_PAD.encode(says)))
    }

    /// What an invitation opens, and which booking it is for; `None` where it is none of these keys'.
    pub(crate) fn read(&self, shown: &[u8]) -> Option<(Grant, Once)> {
        let (says, signature) = std::str::from_utf8(shown).ok()?.strip_prefix(PREFIX)?.split_once('.')?;
        let (says, signature) = (URL_SAFE_NO_PAD.decode(says).ok()?, URL_SAFE_NO_PAD.decode(signature).ok()?);
        // A shorter one would be easier to guess.
        let is_ours = |key: &[u8]| signed(key, &says).verify_truncated_left(&signature).is_ok();
        if signature.len() != SIGNATURE || !self.0.iter().any(|key| is_ours(key)) {
            return None;
        }
        let (expires, rest) = says.split_first_chunk::<EXPIRES>()?;
        let map = MapKey::parse(std::str::from_utf8(rest.get(CHANCE..)?).ok()?).ok()?;
        let expires = Some(Timestamp::from_millis(u64::from_be_bytes(*expires)));
        let name = TokenName::parse("an invitation").ok()?;
        // Of what was signed, as one text can be written in several ways.
        let once = Once(digest(&says));
        Some((Grant { name, door: GrantedDoor::Public, maps: vec![map], expires, revoked: None }, once))
    }
}

fn signed(key: &[u8], says: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    mac.update(SIGNED_FOR);
    mac.update(says);
    mac
}

/// The one booking that an invitation is for. Its checkouts have names that only the invitation leads to. The second one begins where the first
/// has failed, and so on: so there is never more than one that may still sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Once(TokenDigest);

impl Once {
    /// What an order goes under: the first of these that no other order [has
    /// taken](booking_core::life::invitation::is_taken), as far as all before it [have failed](booking_core::life::invitation::has_failed). The same order under the same idempotency key is the same; without a key, each is another, by `chance`.
    pub fn tries(self, body: &[u8], shown_key: Option<&str>, chance: u128) -> impl Iterator<Item = Key> {
        let which = shown_key.map_or_else(|| chance.to_be_bytes().to_vec(), |key| key.as_bytes().to_vec());
        let request = half(
            Sha256::new_with_prefix(body).chain_update([b'\n', u8::from(shown_key.is_some())]).chain_update(which),
        );
        (0..TRIES).map(move |nth| Key { scope: half(Sha256::new_with_prefix(self.0).chain_update([nth])), request })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "a key of a test, which is long enough";
    const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn map() -> MapKey {
        MapKey::parse("arena:A").unwrap()
    }

    #[test]
    fn an_invitation_is_for_its_map_until_its_time() {
        let keys = InvitationKeys::new([KEY]).unwrap();
        let invitation = keys.invite(&map(), AT, 7).unwrap();
        assert!(booking_core::wire::is_token(&invitation), "{invitation}");
        let (grant, _) = keys.read(invitation.as_bytes()).unwrap();
        assert_eq!((grant.maps, grant.expires, grant.door), (vec![map()], Some(AT), GrantedDoor::Public));
        let longest = MapKey::parse(&"x".repeat(booking_core::ids::MAX_ID_LEN)).unwrap();
        assert!(booking_core::wire::is_token(&keys.invite(&longest, AT, u128::MAX).unwrap()));
    }

    #[test]
    fn what_was_not_signed_is_no_invitation() {
        let keys = InvitationKeys::new([KEY]).unwrap();
        let invitation = keys.invite(&map(), AT, 7).unwrap();
        // Each character counts, but for bits that stand for nothing, which are to be zero.
        for at in 0..invitation.len() {
            let mut changed = invitation.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(keys.read(&changed), None, "{at}");
        }
        let (says, signature) = invitation.split_once('.').unwrap();
        for bad in [says, &format!("{says}."), &format!("{says}.{}", &signature[..4]), "bi_", "bi_.", ""] {
            assert_eq!(keys.read(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(InvitationKeys::default().read(invitation.as_bytes()), None);
        assert_eq!(InvitationKeys::default().invite(&map(), AT, 7), None);
    }

    #[test]
    fn one_key_takes_anothers_place() {
        let old = InvitationKeys::new([KEY]).unwrap().invite(&map(), AT, 7).unwrap();
        let (new, both) =
            ("another key, which is also long enough", |first, second| InvitationKeys::new([first, second]));
        assert!(both(new, KEY).unwrap().read(old.as_bytes()).is_some());
        assert!(InvitationKeys::new([new]).unwrap().read(old.as_bytes()).is_none());
        assert_eq!(InvitationKeys::new([KEY, "short"]).unwrap_err(), NotAKey);
        assert!(!format!("{:?}", both(new, KEY).unwrap()).contains("key of"));
    }

    #[test]
    fn an_order_that_comes_again_is_the_same_and_all_others_are_others() {
        let tries =
            |once, body: &str, key, chance| Once([once; 32]).tries(body.as_bytes(), key, chance).collect::<Vec<_>>();
        let first = tries(7, "{}", Some("k"), 1);
        assert_eq!(first, tries(7, "{}", Some("k"), 2));
        let scopes: std::collections::BTreeSet<_> =
            first.iter().chain(&tries(8, "{}", Some("k"), 1)).map(|key| key.scope).collect();
        assert_eq!(scopes.len(), usize::from(TRIES) * 2, "each invitation has its own");
        for other in [
            tries(7, "[]", Some("k"), 1),
            tries(7, "{}", Some("l"), 1),
            tries(7, "{}", None, 1),
            tries(7, "{}", None, 2),
        ] {
            assert_eq!(other[0].scope, first[0].scope);
            assert_ne!(other[0].request, first[0].request);
        }
        assert_ne!(tries(7, "{}", None, 1)[0].request, tries(7, "{}", None, 2)[0].request);
    }
}
