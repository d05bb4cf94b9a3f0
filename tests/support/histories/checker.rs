//! Whether there is an order: a search over the orders that the clock allows, which remembers where it has been.
//!
//! After Wing and Gong ("Testing and verifying concurrent objects", JPDC 1993), with Lowe's memory of states that led
//! nowhere ("Testing for linearizability", CCPE 2017).

use std::collections::HashSet;

use super::seat::{Ask, Said, Seat};

/// An operation on one ticket. Times are nanoseconds of one monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// When it was asked.
    pub asked: u64,
    /// When it was answered; `None` where it may yet happen, for ever after.
    pub answered: Option<u64>,
    /// What was asked.
    pub ask: Ask,
    /// What was answered.
    pub said: Said,
    /// What must have happened before, by its place in the history.
    pub after: Option<usize>,
}

/// What is to be said of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In this order a ticket that does one thing at a time gives these answers.
    Linearizable(Vec<usize>),
    /// In no order does it. So many operations were in order at most.
    Not(usize),
    /// It took too long to say. That is no pass.
    Undecided,
}

/// How many states a search may meet before it gives up.
pub const MOST_STATES: usize = 2_000_000;

/// Which operations have their moment.
type Placed = Vec<u64>;

fn place(placed: &mut Placed, index: usize) {
    placed[index / 64] |= 1 << (index % 64);
}

fn is_placed(placed: &Placed, index: usize) -> bool {
    placed[index / 64] & (1 << (index % 64)) != 0
}

/// How far an order has come.
struct Frame {
    placed: Placed,
    seat: Seat,
    /// How many operations are in order.
    length: usize,
    /// The operations that may come next, the one to be tried next at the end.
    next: Vec<usize>,
}

/// Looks for an order of one ticket's operations, in any order given.
#[must_use]
pub fn check(history: &[Operation]) -> Verdict {
    let mut by_asking: Vec<usize> = (0..history.len()).collect();
    by_asking.sort_by_key(|index| history[*index].asked);
    let definite = history.iter().filter(|operation| operation.answered.is_some()).count();
    let awaited: HashSet<usize> = history.iter().filter_map(|operation| operation.after).collect();
    let (mut order, mut met, mut furthest) = (Vec::new(), HashSet::new(), 0);
    let placed = vec![0; history.len().div_ceil(64)];
    let mut stack = vec![reach(history, &by_asking, placed, Seat::default(), &mut order)];
    while let Some(frame) = stack.last_mut() {
        furthest = furthest.max(frame.length);
        order.truncate(frame.length);
        if order.iter().filter(|index| history[**index].answered.is_some()).count() == definite {
            return Verdict::Linearizable(order);
        }
        let Some(index) = frame.next.pop() else {
            stack.pop();
            continue;
        };
        let Operation { ask, said, answered, .. } = &history[index];
        let Some(seat) = frame.seat.after(ask, *said) else { continue };
        if answered.is_none() && seat == frame.seat && !awaited.contains(&index) {
            // It need not have happened, nothing would come of it, and nothing waits for it.
            continue;
        }
        let mut placed = frame.placed.clone();
        place(&mut placed, index);
        order.push(index);
        let frame = reach(history, &by_asking, placed, seat, &mut order);
        if met.insert((frame.placed.clone(), frame.seat.clone())) {
            stack.push(frame);
        }
        if met.len() > MOST_STATES {
            return Verdict::Undecided;
        }
    }
    Verdict::Not(furthest)
}

/// Gives its moment to everything that may come next and changes nothing, now or at any other time (a look, a refusal):
/// whatever order there is with it later, there is one with it now. What is left may be tried.
fn reach(history: &[Operation], by_asking: &[usize], placed: Placed, seat: Seat, order: &mut Vec<usize>) -> Frame {
    let mut frame = Frame { placed, seat, length: 0, next: Vec::new() };
    loop {
        frame.next = candidates(history, by_asking, &frame.placed);
        let changes_nothing = |index: &&usize| {
            let Operation { ask, said, answered, .. } = &history[**index];
            let never = matches!(said, Said::No(_)) || matches!((ask, said), (Ask::Get { .. }, Said::Yes));
            never && answered.is_some() && frame.seat.after(ask, *said).as_ref() == Some(&frame.seat)
        };
        let Some(index) = frame.next.iter().find(changes_nothing).copied() else { break };
        place(&mut frame.placed, index);
        order.push(index);
    }
    frame.length = order.len();
    frame
}

/// What may come next: whatever was asked before the first of those that are left was answered. The one that was
/// answered first comes last, and is tried first.
fn candidates(history: &[Operation], by_asking: &[usize], placed: &Placed) -> Vec<usize> {
    let left = || by_asking.iter().copied().filter(|index| !is_placed(placed, *index));
    let mut first_answer = u64::MAX;
    for index in left() {
        // They are in the order of asking: what was asked after an answer cannot be answered before it.
        if history[index].asked > first_answer {
            break;
        }
        first_answer = first_answer.min(history[index].answered.unwrap_or(u64::MAX));
    }
    let may = |index: &usize| history[*index].after.is_none_or(|before| is_placed(placed, before));
    let mut next: Vec<usize> = left().take_while(|index| history[*index].asked <= first_answer).filter(may).collect();
    next.sort_by_key(|index| std::cmp::Reverse(history[*index].answered.unwrap_or(u64::MAX)));
    next
}
