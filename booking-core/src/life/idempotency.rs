//! What an idempotency key stands for (SPEC §6): the first answer that the machines gave under it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::format::Format;
use crate::ids::CheckoutId;
use crate::time::Timestamp;
use crate::wire::{Answer, Kind, answer};

/// 128 bits of a cryptographic hash, which stand for something longer and reveal nothing of it. Written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 16]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Keeps it back: what it stands for may be a secret.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

/// A text that is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest has 32 hexadecimal digits, in lower case")]
pub struct DigestError;

impl Digest {
    /// Reads what [`Display`](fmt::Display) writes.
    ///
    /// # Errors
    /// [`DigestError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(DigestError),
        };
        let mut digest = [0; 16];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != digest.len() || !rest.is_empty() {
            return Err(DigestError);
        }
        for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(digest))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// An idempotency key as a host passes it on: nothing of the key itself is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// Stands for the key, the address that was asked, and who asked; or for this one request, where a host makes up a key because the
    /// request may reach an object twice.
    pub scope: Digest,
    /// Stands for the bytes of the request.
    pub request: Digest,
}

/// What is stored of an idempotency key, under its scope. Keep it for 24 hours at least.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdempotencyRecord {
    /// The request that it was first used with.
    pub request: Digest,
    /// When that was.
    pub at: Timestamp,
    /// What was answered to it.
    pub answer: RecordedAnswer,
}

impl Format for IdempotencyRecord {
    const NAME: &'static str = "idempotency record";
    const VERSION: u32 = 1;
}

/// The first answer that the machines gave.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RecordedAnswer {
    /// This one.
    Is {
        /// The HTTP status.
        status: u16,
        /// The name of its kind, where it is a refusal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<String>,
        /// The JSON.
        body: String,
    },
    /// What this checkout ends with.
    EndOf(CheckoutId),
}

/// Keeps the body back: the answer to a hold has its id in it.
impl fmt::Debug for RecordedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is { status, kind, .. } => {
                f.debug_struct("Is").field("status", status).field("kind", kind).finish_non_exhaustive()
            }
            Self::EndOf(id) => f.debug_tuple("EndOf").field(id).finish(),
        }
    }
}

/// What is known of a request that came under an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it is to be handled, and its answer [recorded](IdempotencyRecord::of_answer).
    Nothing,
    /// It is answered with this: what it was answered before, or that another request came under the key.
    Answer(Answer),
    /// It is answered with what this checkout ends with.
    EndOf(CheckoutId),
}

impl IdempotencyRecord {
    /// What is known of a request, by the record that is stored under the scope of its key.
    #[must_use]
    pub fn look(stored: Option<&Self>, request: Digest) -> Known {
        match stored {
            None => Known::Nothing,
            Some(record) if record.request != request => {
                Known::Answer(answer::refusal(&Kind::IdempotencyKeyReused.into()))
            }
            Some(Self { answer: RecordedAnswer::EndOf(id), .. }) => Known::EndOf(id.clone()),
            Some(Self { answer: RecordedAnswer::Is { status, kind, body }, .. }) => {
                let kind = kind.as_deref().and_then(Kind::named);
                Known::Answer(Answer { status: *status, body: body.clone(), kind })
            }
        }
    }

    /// The record of an answer. `None` where it is not recorded, as asking again may be answered otherwise: see
    /// [`Kind::is_kept_for_its_key`].
    #[must_use]
    pub fn of_answer(request: Digest, at: Timestamp, answer: &Answer) -> Option<Self> {
        let Answer { status, body, kind } = answer;
        let kind = match kind {
            Some(kind) if !kind.is_kept_for_its_key() => return None,
            kind => kind.map(|kind| kind.as_str().to_owned()),
        };
        Some(Self { request, at, answer: RecordedAnswer::Is { status: *status, kind, body: body.clone() } })
    }

    /// The record of a request that started a checkout.
    #[must_use]
    pub fn of_checkout(request: Digest, at: Timestamp, id: CheckoutId) -> Self {
        Self { request, at, answer: RecordedAnswer::EndOf(id) }
    }
}
