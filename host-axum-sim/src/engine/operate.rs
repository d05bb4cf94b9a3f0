//! What operators do about checkouts: see which wait in vain, have them turn back, say what became of a payment, send a message
//! once more.

use std::ops::Bound::{Excluded, Unbounded};

use booking_core::checkout::Ending;
use booking_core::effect::Effect;
use booking_core::ids::{CheckoutId, MapKey, TicketId};
use booking_core::map::ticket::Ticket;
use booking_core::running::{CancelRefusal, Recorded, Resolution};
use booking_core::time::Timestamp;
use booking_core::wire::answer::WaitsFor;
use booking_core::wire::{Answer, Kind, Operation, Refusal, answer};

use super::{Due, Engine, Name, Notifier, Output};
use crate::store::{Course, Letter};

/// How many checkouts that wait in vain are listed at once.
const LISTED: usize = 100;

impl Engine {
    /// Checkouts under way that wait in vain, from after this one on, and for whom.
    pub(super) fn in_vain(&self, after: Option<&CheckoutId>) -> impl Iterator<Item = (&Course, WaitsFor)> {
        let from = after.map_or(Unbounded, Excluded);
        let under_way = self.under_way.range::<CheckoutId, _>((from, Unbounded));
        under_way
            .filter_map(|id| self.checkouts.get(id))
            .filter_map(|course| Some((course.as_ref(), waits_for(course)?)))
    }

    /// Those, and the bookings whose message was given up.
    pub(super) fn stuck(&self, after: Option<&CheckoutId>) -> Answer {
        let from = after.map_or(Unbounded, Excluded);
        let parked = self.parked.range::<CheckoutId, _>((from, Unbounded)).filter_map(|id| self.checkouts.get(id));
        let parked = parked.map(|course| (course.as_ref(), WaitsFor::Notifier)).take(LISTED + 1);
        let mut all: Vec<_> = self.in_vain(after).take(LISTED + 1).chain(parked).collect();
        all.sort_unstable_by_key(|(course, _)| course.running.checkout().id());
        let more = all.len() > LISTED;
        all.truncate(LISTED);
        answer::stuck(all.into_iter().map(|(course, waits_for)| (&course.running, waits_for)), more)
    }

    pub(super) fn operate(&mut self, id: &CheckoutId, operation: Operation, now: Timestamp) -> Answer {
        match operation {
            Operation::Cancel { reason: _ } => self.turn_back(id),
            Operation::Resolve { resolution, reason: _ } => self.resolve(id, &resolution, now),
            Operation::Notify => self.notify_again(id),
        }
    }

    /// Has a checkout turn back at the end of its step.
    pub(super) fn turn_back(&mut self, id: &CheckoutId) -> Answer {
        match self.checkouts.get_mut(id).map(|course| course.running.cancel()) {
            None => refused(Kind::NotFound),
            Some(Err(CancelRefusal::CaptureAsked)) => refused(Kind::CheckoutInProgress),
            Some(Err(CancelRefusal::Ended)) => self.status(id),
            Some(Ok(())) => {
                self.touched.push(Name::Checkout(id.clone()));
                self.status(id)
            }
        }
    }

    /// Takes an operator's word for what the gateway does not tell.
    fn resolve(&mut self, id: &CheckoutId, resolution: &Resolution, now: Timestamp) -> Answer {
        let Some(course) = self.checkouts.get(id) else { return refused(Kind::NotFound) };
        let outcomes = match course.running.resolve(resolution, now) {
            Ok(outcomes) => outcomes,
            Err(_) if course.running.is_resolved(resolution) => return self.status(id),
            Err(why) => return answer::refusal(&Refusal::new(Kind::CheckoutInProgress, why.to_string())),
        };
        let Some(mut course) = self.checkouts.remove(id) else { return refused(Kind::NotFound) };
        // The wait is over.
        if let Some(at) = course.wake.take() {
            self.due.remove(&(at, Due::Wake(id.clone())));
        }
        let mut recorded = Recorded::Stale;
        for (op, outcome) in outcomes {
            recorded = self.record_outcome(&mut course, &op, outcome);
        }
        if recorded == Recorded::Stale {
            self.checkouts.insert(id.clone(), course);
        } else {
            self.go_on(course, now);
        }
        self.status(id)
    }

    /// Sends a booking's message once more, also one that was delivered or given up.
    fn notify_again(&mut self, id: &CheckoutId) -> Answer {
        let Some(course) = self.checkouts.get_mut(id) else { return refused(Kind::NotFound) };
        if !matches!(course.running.ending(), Some(Ending::Completed { .. })) {
            return answer::refusal(&Refusal::new(Kind::CheckoutInProgress, "This checkout is not booked"));
        }
        if self.settings.notifier == Notifier::Nobody {
            return answer::refusal(&Refusal::new(
                Kind::NotFound,
                "There is nobody to send messages to: see --notify-url and --mail-url",
            ));
        }
        // One that is on its way is on its way.
        if !matches!(course.letter, Letter::Waiting { .. }) {
            course.letter = Letter::Waiting { failed: 0 };
            self.parked.remove(id);
            self.counts.letters_waiting += 1;
            self.touched.push(Name::Checkout(id.clone()));
            self.said.extend(course.running.checkout().letter().map(Output::Deliver));
        }
        self.status(id)
    }

    /// Whether a ticket is sold to a checkout that is still under way: its money may be taken at any moment.
    pub(super) fn is_being_sold(&self, id: &TicketId) -> bool {
        let sold_to = self.ticket(id).and_then(Ticket::sold_to);
        sold_to.is_some_and(|checkout| self.under_way.contains(checkout))
    }

    /// A ticket of a map that is being sold, if there is one.
    pub(super) fn being_sold_on(&self, key: &MapKey) -> Option<TicketId> {
        let courses = self.under_way.iter().filter_map(|id| self.checkouts.get(id));
        let mut tickets = courses.flat_map(|course| course.running.checkout().order().tickets());
        tickets.find(|ticket| ticket.map_str() == key.as_str() && self.is_being_sold(ticket)).cloned()
    }
}

/// For whom a checkout waits in vain, if it does. A map answers at once, so a command without an answer is one that it could not
/// judge.
fn waits_for(course: &Course) -> Option<WaitsFor> {
    if course.running.in_vain() > 0 {
        return Some(WaitsFor::Gateway);
    }
    let is_of_a_map = |(_, effect): &(_, Effect)| matches!(effect, Effect::Line(..));
    course.running.pending().iter().any(is_of_a_map).then_some(WaitsFor::Map)
}

fn refused(kind: Kind) -> Answer {
    answer::refusal(&kind.into())
}
