//! What every object is: a state, a `decide` that changes nothing, and an `apply` that judges nothing.
//!
//! ```text
//! command ──▶ decide(&state, now) ──▶ Transition { event, reply, notices } ──▶ apply(state, event)
//! ```
//!
//! [`turn`] puts the two together, and its result, [`Turn`], gives the reply and the notices away only through
//! [`Turn::stored`]: first store, then answer and act.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::time::Timestamp;

/// A pure, deterministic state machine. `Default` is the state of an object that nobody has spoken to yet.
pub trait Machine: Clone + Default + Serialize + DeserializeOwned {
    /// What can be asked of it.
    type Command;
    /// What it records when it changes.
    type Event;
    /// What an accepted command is answered with.
    type Reply;
    /// Why a command is not allowed. A refusal changes nothing and is never retried by a host.
    type Refusal;
    /// One-way messages that a change brings about: sent at least once, never waited for.
    type Notice;

    /// Judges a command at a point in time, and changes nothing.
    ///
    /// The same command twice is normal: while its effect stands, the second is accepted with the same reply and
    /// records nothing.
    ///
    /// # Errors
    /// The machine's refusal, when its rules do not allow the command now.
    fn decide(&self, command: &Self::Command, now: Timestamp) -> Result<Transition<Self>, Self::Refusal>;

    /// The state after an event. It judges nothing and cannot fail.
    #[must_use]
    fn apply(self, event: &Self::Event) -> Self;
}

/// What an accepted command amounts to.
#[derive(Debug)]
pub struct Transition<M: Machine> {
    /// What to record, or nothing where nothing changes.
    pub event: Option<M::Event>,
    /// What to answer.
    pub reply: M::Reply,
    /// What to tell others, one way.
    pub notices: Vec<M::Notice>,
}

/// Loads, decides and applies in one go: the whole of what a host asks an object to do for one command.
#[must_use = "store `changed()`, then take the answer from `stored()`"]
pub fn turn<M: Machine>(state: M, command: &M::Command, now: Timestamp) -> Turn<M> {
    match state.decide(command, now) {
        Ok(Transition { event, reply, notices }) => {
            let state = match &event {
                Some(event) => state.apply(event),
                None => state,
            };
            Turn { state, event, outcome: Ok(reply), notices }
        }
        Err(refusal) => Turn { state, event: None, outcome: Err(refusal), notices: Vec::new() },
    }
}

/// A decided command whose answer may not leave yet.
///
/// 1. [`Turn::changed`] (or [`Turn::event`], for a host that stores events): store it, if there is anything.
/// 2. [`Turn::stored`]: now answer, and send the notices.
#[derive(Debug)]
pub struct Turn<M: Machine> {
    state: M,
    event: Option<M::Event>,
    outcome: Result<M::Reply, M::Refusal>,
    notices: Vec<M::Notice>,
}

/// What may leave once a turn is stored.
#[derive(Debug)]
pub struct Stored<M: Machine> {
    /// The state after the turn, for hosts that keep it in memory.
    pub state: M,
    /// What the caller gets.
    pub outcome: Result<M::Reply, M::Refusal>,
    /// What others are told, one way, at least once.
    pub notices: Vec<M::Notice>,
}

impl<M: Machine> Turn<M> {
    /// The new state, to be stored before anything else happens; `None` where nothing changed.
    pub fn changed(&self) -> Option<&M> {
        self.event.is_some().then_some(&self.state)
    }

    /// The event, for hosts that store events instead of states; `None` where nothing changed.
    pub fn event(&self) -> Option<&M::Event> {
        self.event.as_ref()
    }

    /// To be called only when what [`Turn::changed`] gave is stored: hands out the answer and the notices.
    pub fn stored(self) -> Stored<M> {
        Stored { state: self.state, outcome: self.outcome, notices: self.notices }
    }
}
