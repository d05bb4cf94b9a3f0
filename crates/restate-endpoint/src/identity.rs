//! Who calls: requests that a Restate server has signed. Its scheme `v1` is a JSON Web Token (RFC 7519) with an Ed25519
//! signature (RFC 8037), for the path that is asked, and for a minute or so.
//!
//! A token says nothing of the body, and the same token may come with two requests for one path within its time: what is
//! under way between server and endpoint is for TLS to keep. What a token is for is that nobody else can call.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// The public key of a Restate environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key([u8; 32]);

/// What a key begins with, as Restate shows it.
const PREFIX: &str = "publickeyv1_";

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAKey;

impl std::fmt::Display for NotAKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("must be an identity key of Restate's: publickeyv1_ and 43 or 44 letters and digits")
    }
}

impl std::error::Error for NotAKey {}

impl Key {
    /// Reads a key as Restate shows it.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        let digits = text.strip_prefix(PREFIX).ok_or(NotAKey)?;
        base58(digits).map(Self).ok_or(NotAKey)
    }

    /// The bytes of the key, for the code that checks signatures.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The 32 bytes that a text in base 58 stands for; `None` where it stands for others.
fn base58(text: &str) -> Option<[u8; 32]> {
    const DIGITS: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut bytes = [0_u8; 32];
    for digit in text.bytes() {
        let mut carry = u32::try_from(DIGITS.iter().position(|known| *known == digit)?).ok()?;
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 58;
            *byte = u8::try_from(carry & 0xff).ok()?;
            carry >>= 8;
        }
        if carry > 0 {
            return None;
        }
    }
    // As many leading ones as zero bytes, so that each key has one text.
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let ones = text.bytes().take_while(|digit| *digit == b'1').count();
    (zeros == ones).then_some(bytes)
}

/// A signature, and the message that it should be of. The platform checks it with each key.
pub(crate) struct Signed {
    pub(crate) message: String,
    pub(crate) signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    exp: u64,
    nbf: u64,
}

/// The token of a request: what is to be checked of it, if everything else about it is right.
pub(crate) fn token(scheme: Option<&str>, token: Option<&str>, path: &str, now: Duration) -> Option<Signed> {
    let token = token.filter(|_| scheme == Some("v1"))?;
    let (message, signature) = token.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    let Header { alg } = serde_json::from_slice(&decoded(header)?).ok()?;
    let Claims { aud, exp, nbf } = serde_json::from_slice(&decoded(claims)?).ok()?;
    let now = now.as_secs();
    let is_valid = alg == "EdDSA" && aud == path && nbf <= now && now < exp;
    let signature = decoded(signature).filter(|signature| signature.len() == 64 && is_valid)?;
    Some(Signed { message: message.to_owned(), signature })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;

    const KEY: &str = "publickeyv1_w7YHemBctH5Ck2nQRQ47iBBqhNHy4FV7t2Usbye2A6f";

    #[test]
    fn a_key_is_read_as_restate_shows_it() {
        let key = Key::parse(KEY).unwrap();
        assert_eq!(key.bytes()[..4], [13, 220, 194, 2]);
    }

    #[test]
    fn what_is_no_key_is_none() {
        for text in ["", "publickeyv1_", "w7YHemBctH5Ck2nQRQ47iBBqhNHy4FV7t2Usbye2A6f", "publickeyv1_0OIl", &KEY[..40]]
        {
            assert_eq!(Key::parse(text), Err(NotAKey), "{text}");
        }
        assert_eq!(Key::parse(&format!("{KEY}1")), Err(NotAKey));
        assert_eq!(Key::parse(&format!("{PREFIX}1{}", &KEY[PREFIX.len()..])), Err(NotAKey));
    }

    fn made(header: &str, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode([7; 64]))
    }

    fn claims(aud: &str, nbf: u64, exp: u64) -> String {
        format!(r#"{{"aud":{aud},"exp":{exp},"iat":{nbf},"nbf":{nbf}}}"#)
    }

    #[test]
    fn a_token_is_for_its_path_and_its_time_alone() {
        let at = Duration::from_secs(1_000);
        let good = made(r#"{"alg":"EdDSA","typ":"JWT"}"#, &claims(r#""/invoke/A/b""#, 990, 1_050));
        let is_taken = |scheme, text: Option<&str>, path, at| token(scheme, text, path, at).is_some();
        assert!(is_taken(Some("v1"), Some(&good), "/invoke/A/b", at));
        // What is checked is what was signed.
        assert_eq!(
            token(Some("v1"), Some(&good), "/invoke/A/b", at).unwrap().message,
            good.rsplit_once('.').unwrap().0
        );
        assert!(!is_taken(None, Some(&good), "/invoke/A/b", at), "no scheme");
        assert!(!is_taken(Some("unsigned"), Some(&good), "/invoke/A/b", at));
        assert!(!is_taken(Some("v1"), None, "/invoke/A/b", at), "no token");
        assert!(!is_taken(Some("v1"), Some(&good), "/invoke/A/c", at), "another path");
        assert!(!is_taken(Some("v1"), Some(&good), "/invoke/A/b", Duration::from_secs(1_050)), "too late");
        assert!(!is_taken(Some("v1"), Some(&good), "/invoke/A/b", Duration::from_secs(989)), "too early");
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS256"}"#, "{}", "[]", ""] {
            let bad = made(header, &claims(r#""/invoke/A/b""#, 990, 1_050));
            assert!(!is_taken(Some("v1"), Some(&bad), "/invoke/A/b", at), "{header}");
        }
        for part in ["", ".", "..", "a.b.c", "é.é.é", &good[..good.len() - 4], &good.replace('.', ",")] {
            assert!(!is_taken(Some("v1"), Some(part), "/invoke/A/b", at), "{part}");
        }
    }
}
