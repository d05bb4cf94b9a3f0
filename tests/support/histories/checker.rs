//! Whether there is an order: a search over the orders that the clock and the versions of the answers allow, which
//! remembers where it has been.
//!
//! A version says how many changes came before its answer, so most of a history can be read and need not be searched.
//! What is left to try are operations without a version: what a checkout did, and requests without an answer. They fill
//! the gaps between the versions that are known.
//!
//! After Wing and Gong ("Testing and verifying concurrent objects", JPDC 1993), with Lowe's memory of states that led
//! nowhere ("Testing for linearizability", CCPE 2017).

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::seat::{Ask, Name, Said, Seat};

/// An operation on one ticket. Times are nanoseconds of one monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// When it was asked.
    pub asked: u64,
    /// When it was answered; `None` where it may yet happen, for ever after.
    pub answered: Option<u64>,
    /// What was asked.
    pub ask: Ask,
    /// What was answered.
    pub said: Said,
    /// The version of the ticket that the answer told.
    pub version: Option<u64>,
    /// What must have happened before, by its place in the history. It has an answer if this has.
    pub after: Option<usize>,
}

/// What is to be said of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In this order a ticket that does one thing at a time gives these answers.
    Linearizable(Vec<usize>),
    /// In no order does it. At most this number of operations were in order.
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
    let search = Search::of(history);
    let definite = history.iter().filter(|operation| operation.answered.is_some()).count();
    let (mut order, mut met, mut furthest) = (Vec::new(), HashSet::new(), 0);
    let placed = vec![0; history.len().div_ceil(64)];
    let mut stack = vec![search.reach(placed, Seat::default(), &mut order)];
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
        let Some((placed, seat)) = search.after(&frame.placed, &frame.seat, index) else { continue };
        if history[index].answered.is_none() && seat == frame.seat {
            // It need not have happened, and nothing would come of it.
            continue;
        }
        order.push(index);
        let frame = search.reach(placed, seat, &mut order);
        if met.insert((frame.placed.clone(), frame.seat.clone())) {
            stack.push(frame);
        }
        if met.len() > MOST_STATES {
            return Verdict::Undecided;
        }
    }
    Verdict::Not(furthest)
}

/// A history, made ready to be searched.
struct Search<'a> {
    history: &'a [Operation],
    by_asking: Vec<usize>,
    /// The claims of each checkout.
    claims: HashMap<Name, Vec<usize>>,
}

impl<'a> Search<'a> {
    fn of(history: &'a [Operation]) -> Self {
        let mut by_asking: Vec<usize> = (0..history.len()).collect();
        by_asking.sort_by_key(|index| history[*index].asked);
        let mut claims: HashMap<Name, Vec<usize>> = HashMap::new();
        for (index, operation) in history.iter().enumerate() {
            if let Ask::Claim { checkout, .. } = operation.ask {
                claims.entry(checkout).or_default().push(index);
            }
        }
        Self { history, by_asking, claims }
    }

    /// Gives an operation its moment, if it can have it now.
    fn after(&self, placed: &Placed, seat: &Seat, index: usize) -> Option<(Placed, Seat)> {
        let seat = after(self.history, seat, index)?;
        let mut placed = placed.clone();
        place(&mut placed, index);
        Some((placed, seat))
    }

    /// Gives its moment to everything that may come next and changes nothing, now or at any other time: a look, a refusal,
    /// a revoke of what its checkout has not claimed and will not. Any order with it later is one with it now. What is left may
    /// be tried.
    fn reach(&self, placed: Placed, seat: Seat, order: &mut Vec<usize>) -> Frame {
        let mut frame = Frame { placed, seat, length: 0, next: Vec::new() };
        let least = frame.seat.least_version();
        let is_too_low = |index: &usize| self.history[*index].version.is_some_and(|version| version < least);
        if self.left(&frame.placed).any(|index| is_too_low(&index)) {
            // Versions never fall: no order leads from here to an answer with a lower one.
            return Frame { length: order.len(), ..frame };
        }
        loop {
            frame.next = self.candidates(&frame.placed);
            let changes_nothing = |index: usize| {
                let Operation { ask, said, answered, .. } = &self.history[index];
                let never = match ask {
                    Ask::Get { .. } => true,
                    Ask::Revoke { checkout } => {
                        !frame.seat.is_of(*checkout) && !self.may_claim(*checkout, &frame.placed)
                    }
                    Ask::Reserve { .. }
                    | Ask::Release { .. }
                    | Ask::Lapse { .. }
                    | Ask::Claim { .. }
                    | Ask::Confirm { .. }
                    | Ask::Cleanup
                    | Ask::ResetAll => matches!(said, Said::No(_)),
                };
                let after = || self.after(&frame.placed, &frame.seat, index);
                (never && answered.is_some()).then(after).flatten().filter(|(_, seat)| *seat == frame.seat)
            };
            let found = frame.next.iter().find_map(|index| Some((*index, changes_nothing(*index)?)));
            let Some((index, (placed, _))) = found else { break };
            frame.placed = placed;
            order.push(index);
        }
        frame.length = order.len();
        frame
    }

    /// Whether a claim of this checkout is left.
    fn may_claim(&self, checkout: Name, placed: &Placed) -> bool {
        self.claims.get(&checkout).into_iter().flatten().any(|index| !is_placed(placed, *index))
    }

    fn left(&self, placed: &Placed) -> impl Iterator<Item = usize> {
        self.by_asking.iter().copied().filter(|index| !is_placed(placed, *index))
    }

    /// What may come next: all that was asked before the first of those that are left was answered. The one that was
    /// answered first comes last, and is tried first.
    fn candidates(&self, placed: &Placed) -> Vec<usize> {
        let history = self.history;
        let mut first_answer = u64::MAX;
        for index in self.left(placed) {
            // They are in the order of asking: what was asked after an answer cannot be answered before it.
            if history[index].asked > first_answer {
                break;
            }
            first_answer = first_answer.min(history[index].answered.unwrap_or(u64::MAX));
        }
        let mut next: Vec<usize> = self
            .left(placed)
            .take_while(|index| history[*index].asked <= first_answer)
            .filter(|index| may_come(history, *index, |before| is_placed(placed, before)))
            .collect();
        next.sort_by_key(|index| std::cmp::Reverse(history[*index].answered.unwrap_or(u64::MAX)));
        next
    }
}

/// Whether what must have happened before an operation has. One that got no answer need not have happened, so what comes
/// after it may come without it, if what comes before both has happened.
pub fn may_come(history: &[Operation], index: usize, has_happened: impl Fn(usize) -> bool) -> bool {
    let befores = std::iter::successors(history[index].after, |before| history[*before].after);
    let mut needed = befores.skip_while(|before| !has_happened(*before) && history[*before].answered.is_none());
    needed.next().is_none_or(has_happened)
}

/// The ticket after an operation of its history, if it could have given that answer. A reset of what is sold to a checkout is refused
/// while that checkout is under way: until its buyer has the answer.
#[must_use]
pub fn after(history: &[Operation], seat: &Seat, index: usize) -> Option<Seat> {
    let Operation { ask, said, version, asked, .. } = &history[index];
    let kept = || {
        let (seat, checkout) = seat.kept_for_its_checkout(ask, *said, *version)?;
        let mut sales = history.iter().filter(|operation| operation.ask == Ask::Confirm { checkout });
        sales.all(|sale| sale.answered.is_none_or(|answered| answered > *asked)).then_some(seat)
    };
    seat.after(ask, *said, *version).or_else(kept)
}
