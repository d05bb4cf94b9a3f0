//! What becomes of each error of the core on this host.
//!
//! | error | whose move | here |
//! | --- | --- | --- |
//! | a refusal | the caller's | answered with its kind, see [`booking_core::wire`] |
//! | [`Impossible`], [`FormatError`] | a person's | logged as an error; what is kept stays as it is, and is looked at again from time to time |
//! | storage that fails | the host's | nothing of the turn is kept; `StorageUnavailable`, or the alarm tries again |
//! | an object that does not answer | the host's | asked again, then `StorageUnavailable`, or the alarm tries again |

use std::rc::Rc;

use booking_core::checkout::Impossible;
use booking_core::format::FormatError;
use booking_core::ids::IdError;
use booking_core::wire::{Answer, Kind, answer};
use wasm_bindgen::JsValue;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// Storage, or another object, failed.
    #[error("storage: {0}")]
    Storage(#[from] worker::Error),
    /// Another object did not answer: its platform did, or a build that does not know what it was asked, with this status.
    #[error("an object did not answer: its platform, or another build, said {0}")]
    Platform(u16),
    /// Another object did not answer.
    #[error("an object did not answer: {why}")]
    Unanswered {
        /// What the platform says.
        why: worker::Error,
        /// Whether it is worth asking it again.
        again: Again,
    },
    /// This deployment is not set up.
    #[error("this Worker is not set up: {0}")]
    Settings(Rc<str>),
    /// A column of a row is not what this build wrote there.
    #[error("a column of a row is not {0}")]
    Column(&'static str),
    /// Something is not there that belongs to what is.
    #[error("there is no {0}")]
    Missing(&'static str),
    /// An id in storage, or an object's name, is none.
    #[error("an id in storage {0}")]
    Id(#[from] IdError),
    /// A message from inside is none of this build's.
    #[error("a message from inside is none of this build's")]
    Message,
    /// A state is none of this build's, or damaged.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// An outcome that cannot be.
    #[error("an outcome was not taken: {0}")]
    Impossible(#[from] Impossible),
}

/// Whether an object that did not answer is worth asking again at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// No: it has more to do than it can. One who asks again makes that worse.
    Never,
    /// Once: its own code failed, and it is built anew.
    Once,
    /// Yes: it was moved, or is built anew.
    Surely,
}

impl Again {
    /// What an error of the platform's says about itself.
    pub(crate) fn said_by(why: &JsValue) -> Self {
        let says =
            |what: &str| why.is_object() && js_sys::Reflect::get(why, &what.into()).is_ok_and(|is| is.is_truthy());
        if says("overloaded") {
            Self::Never
        } else if says("retryable") {
            Self::Surely
        } else {
            Self::Once
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, Broken>;

impl From<JsValue> for Broken {
    fn from(why: JsValue) -> Self {
        Self::Storage(why.into())
    }
}

impl From<Rc<str>> for Broken {
    fn from(why: Rc<str>) -> Self {
        Self::Settings(why)
    }
}

impl Broken {
    /// Whether it is worth trying again soon.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Storage(_) | Self::Platform(_) | Self::Unanswered { .. } => true,
            Self::Settings(_)
            | Self::Column(_)
            | Self::Missing(_)
            | Self::Id(_)
            | Self::Message
            | Self::Format(_)
            | Self::Impossible(_) => false,
        }
    }
}

/// The answer to a request that could not be kept, or not be understood together with what was kept.
pub(crate) fn unavailable() -> Answer {
    answer::refusal(&Kind::StorageUnavailable.into())
}
