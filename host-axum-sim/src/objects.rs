//! One turn of one object: what every handler, timer and message comes down to.

use std::collections::BTreeMap;

use booking_core::machine::{Machine, Turn, turn};
use booking_core::time::Timestamp;

/// A turn, and what was seen of the object before and after it.
pub(crate) struct Turned<M: Machine, T> {
    pub(crate) turn: Turn<M>,
    pub(crate) before: T,
    pub(crate) after: T,
}

/// Lets an object of a table judge a command. An object that nobody has spoken to is not in the table, and only a turn
/// that changes it into something that is worth it puts it there.
pub(crate) fn turn_in<K: Ord + Clone, M: Machine, T>(
    table: &mut BTreeMap<K, M>,
    key: &K,
    command: &M::Command,
    now: Timestamp,
    is_worth_it: impl Fn(&M) -> bool,
    look: impl Fn(&M) -> T,
) -> Turned<M, T> {
    let turned = |state: &mut M| {
        let before = look(state);
        let turn = turn(state, command, now);
        Turned { turn, before, after: look(state) }
    };
    if let Some(state) = table.get_mut(key) {
        return turned(state);
    }
    let mut state = M::default();
    let turned = turned(&mut state);
    if turned.turn.changed() && is_worth_it(&state) {
        table.insert(key.clone(), state);
    }
    turned
}
