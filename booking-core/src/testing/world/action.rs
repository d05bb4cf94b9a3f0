//! What can happen next in a world. Actions name what they are about, not where it stands, so that a trace from which
//! some are left out is still a trace.

use serde::{Deserialize, Serialize};

use crate::time::{Millis, Timestamp};

/// One thing that happens. Small, and the same in every world in which it can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// A buyer starts a checkout.
    Come(u8),
    /// Something that is under way arrives, or a timer fires.
    Arrive {
        /// What.
        item: Item,
        /// How.
        how: How,
        /// Which of several of that name, from 0: two copies may have had two answers.
        #[serde(default, skip_serializing_if = "is_first")]
        nth: u8,
    },
    /// What runs a checkout crashes, and starts again from what was stored.
    Crash(u8),
    /// An operator kills a checkout for good.
    Kill(u8),
    /// An operator cancels a checkout.
    Cancel(u8),
    /// Time passes until the next moment at which anything ends or is due.
    Tick,
    /// Time passes.
    Wait(Millis),
}

/// How it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum How {
    /// As it should.
    Well,
    /// And a copy of it stays under way.
    AndAgain,
    /// What was asked is done, but the answer is lost.
    AnswerLost,
    /// It goes unheard, for ever, and is known to have had no answer. The gateway only.
    Unheard,
    /// Nobody waits for it any longer: it is known to have had no answer, but is under way still. The gateway only.
    TimedOut,
    /// By a clock that is a step behind. A map only.
    Behind,
    /// With prices of the edition before. A map only.
    Stale,
    /// Before its time. A timer only.
    Early,
}

/// What is under way, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Item {
    /// An effect of a checkout, on its way to a map, the gateway or the mailbox.
    Effect(Spot),
    /// Its outcome, on its way back.
    Outcome(Spot),
    /// The end of a wait.
    Wake(Spot),
    /// A line that a buyer or an operator says.
    Line(u8),
    /// A timer.
    Timer {
        /// Whose.
        map: u8,
        /// What it was armed for.
        due: Timestamp,
    },
}

/// An effect, by its place: [`crate::effect::Op`] with a buyer's number in place of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spot {
    /// Whose.
    pub buyer: u8,
    /// In which step.
    pub step: u32,
    /// Which of the step's.
    pub index: u8,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_first(nth: &u8) -> bool {
    *nth == 0
}

impl Action {
    /// The first of that name arrives.
    #[must_use]
    pub const fn arrive(item: Item, how: How) -> Self {
        Self::Arrive { item, how, nth: 0 }
    }

    /// Whether something goes wrong by it.
    #[must_use]
    pub fn is_fault(self) -> bool {
        match self {
            Self::Arrive { how, .. } => how != How::Well,
            Self::Crash(_) | Self::Kill(_) => true,
            Self::Come(_) | Self::Cancel(_) | Self::Tick | Self::Wait(_) => false,
        }
    }

    /// Whether it lets time pass, fires a timer, or has a map judge by a wrong clock.
    #[must_use]
    pub fn is_about_time(self) -> bool {
        match self {
            Self::Tick | Self::Wait(_) => true,
            Self::Arrive { item: Item::Timer { .. }, .. } | Self::Arrive { how: How::Behind, .. } => true,
            Self::Arrive { .. } | Self::Come(_) | Self::Crash(_) | Self::Kill(_) | Self::Cancel(_) => false,
        }
    }
}
