//! What every object is: a state, a `decide` that changes nothing, and an `apply` that judges nothing.
//!
//! ```text
//! command ──▶ decide(&state, now) ──▶ Transition { event, reply, notices } ──▶ apply(&mut state, &event)
//! ```
//!
//! [`turn`] puts the two together. Its result, [`Turn`], shows the notices, which a host stores together with the change, and gives the
//! reply away through [`Turn::stored`]: first store, then answer.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::time::Timestamp;

/// Only this crate has machines: each is proven with its properties.
pub(crate) mod sealed {
    pub trait Sealed {}
}

/// A pure, deterministic state machine. `Default` is the state of an object that nobody has spoken to yet.
pub trait Machine: sealed::Sealed + Clone + Default + Serialize + DeserializeOwned {
    /// What can be asked of it.
    type Command;
    /// What it records when it changes.
    type Event;
    /// What an accepted command is answered with.
    type Reply;
    /// Why a command is not allowed. A refusal changes nothing and is never retried by a host.
    type Refusal;
    /// The one-way messages that a change brings about: sent at least once, never waited for. `Default` is none.
    type Notices: Default;

    /// Judges a command at a point in time, and changes nothing.
    ///
    /// The same command twice is normal: while its effect stands, the second is accepted with the same reply and
    /// records nothing.
    ///
    /// # Errors
    /// The machine's refusal, when its rules do not allow the command now.
    fn decide(&self, command: &Self::Command, now: Timestamp) -> Result<Transition<Self>, Self::Refusal>;

    /// Becomes what it is after an event. Judges nothing and cannot fail.
    fn apply(&mut self, event: &Self::Event);
}

/// What an accepted command amounts to.
#[derive(Debug)]
pub struct Transition<M: Machine> {
    /// What to record, or nothing where nothing changes.
    pub event: Option<M::Event>,
    /// What to answer.
    pub reply: M::Reply,
    /// What to tell others, one way.
    pub notices: M::Notices,
}

/// Decides and applies in one go: the whole of what a host asks an object to do for one command.
///
/// The state in memory is the new one after this. If it then cannot be stored, nothing of the turn has happened: load
/// the state anew.
#[must_use = "store what has changed together with the notices, then take the answer from `stored()`"]
pub fn turn<M: Machine>(state: &mut M, command: &M::Command, now: Timestamp) -> Turn<M> {
    match state.decide(command, now) {
        Ok(Transition { event, reply, notices }) => {
            if let Some(event) = &event {
                state.apply(event);
            }
            Turn { event, outcome: Ok(reply), notices }
        }
        Err(refusal) => Turn { event: None, outcome: Err(refusal), notices: M::Notices::default() },
    }
}

/// A decided command whose answer may not leave yet.
///
/// 1. If it [has changed](Turn::changed) the object: store the state, or the [event](Turn::event), with the [notices](Turn::notices).
/// 2. [`Turn::stored`]: now answer.
#[derive(Debug)]
pub struct Turn<M: Machine> {
    event: Option<M::Event>,
    outcome: Result<M::Reply, M::Refusal>,
    notices: M::Notices,
}

impl<M: Machine> Turn<M> {
    /// Whether there is a new state to store before anything else happens.
    pub fn changed(&self) -> bool {
        self.event.is_some()
    }

    /// The event, for hosts that store events instead of states; `None` where nothing changed.
    pub fn event(&self) -> Option<&M::Event> {
        self.event.as_ref()
    }

    /// The one-way messages of this turn. A host that keeps them stores them in the transaction of the change.
    pub fn notices(&self) -> &M::Notices {
        &self.notices
    }

    /// All of it, for what hands it out in the same order.
    #[allow(clippy::type_complexity, reason = "these three are all there is, and a name would say no more")]
    pub(crate) fn into_parts(self) -> (Option<M::Event>, M::Notices, Result<M::Reply, M::Refusal>) {
        (self.event, self.notices, self.outcome)
    }

    /// To be called only when what has changed is stored: what the caller gets.
    ///
    /// # Errors
    /// The machine's refusal. Nothing has changed then.
    pub fn stored(self) -> Result<M::Reply, M::Refusal> {
        self.outcome
    }
}
