//! What becomes of each error of the core on this host.
//!
//! | error | whose move | here |
//! | --- | --- | --- |
//! | a refusal | the caller's | answered with its kind, see [`booking_core::wire`] |
//! | [`Impossible`], [`FormatError`], [`ReplayError`] | a person's | logged as an error; what is kept stays as it is, and is looked at again from time to time |
//! | storage that fails | the host's | nothing of the turn is kept; `StorageUnavailable`, or the alarm tries again |
//! | an object that does not answer | the host's | asked again, then `StorageUnavailable`, or the alarm tries again |

use booking_core::checkout::Impossible;
use booking_core::format::FormatError;
use booking_core::journal::ReplayError;
use booking_core::wire::{Answer, Kind, answer};

/// Why something could not be done.
#[derive(Debug)]
pub(crate) enum Broken {
    /// Storage, or another object, failed.
    Storage(worker::Error),
    /// A row is none of this build's.
    Row,
    /// A state is none of this build's, or damaged.
    Format(FormatError),
    /// A journal is none of this build's, or damaged.
    Replay(ReplayError),
    /// An outcome that cannot be.
    Impossible(Impossible),
}

pub(crate) type Result<T> = std::result::Result<T, Broken>;

impl From<worker::Error> for Broken {
    fn from(why: worker::Error) -> Self {
        Self::Storage(why)
    }
}

impl From<wasm_bindgen::JsValue> for Broken {
    fn from(why: wasm_bindgen::JsValue) -> Self {
        Self::Storage(why.into())
    }
}

impl From<FormatError> for Broken {
    fn from(why: FormatError) -> Self {
        Self::Format(why)
    }
}

impl From<ReplayError> for Broken {
    fn from(why: ReplayError) -> Self {
        Self::Replay(why)
    }
}

impl From<Impossible> for Broken {
    fn from(why: Impossible) -> Self {
        Self::Impossible(why)
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Storage(why) => write!(f, "storage: {why}"),
            Self::Row => f.write_str("a row is none of this build's"),
            Self::Format(why) => why.fmt(f),
            Self::Replay(why) => why.fmt(f),
            Self::Impossible(why) => write!(f, "an outcome was not taken: {why}"),
        }
    }
}

impl Broken {
    /// Whether it is worth trying again soon.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Storage(_) => true,
            Self::Row | Self::Format(_) | Self::Replay(_) | Self::Impossible(_) => false,
        }
    }
}

/// What a caller is told whose request could not be kept, or not be understood in the light of what was.
pub(crate) fn unavailable() -> Answer {
    answer::refusal(&Kind::StorageUnavailable.into())
}
