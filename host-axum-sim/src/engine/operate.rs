//! What operators do about checkouts: see which wait in vain, have them turn back, say what became of a payment, send a message
//! once more.

use std::ops::Bound::{Excluded, Unbounded};

use booking_core::effect::Effect;
use booking_core::ids::{CheckoutId, MapKey, TicketId};
use booking_core::life::{CheckoutRecord, Operated};
use booking_core::map::ticket::Ticket;
use booking_core::time::Timestamp;
use booking_core::wire::answer::WaitsFor;
use booking_core::wire::{Answer, Kind, Operation, answer};

use super::{Due, Engine, Name, Output};

/// How many checkouts that wait in vain are listed at once.
const LISTED: usize = 100;

impl Engine {
    /// Checkouts under way that wait in vain, from after this one on, and for whom.
    pub(super) fn in_vain(&self, after: Option<&CheckoutId>) -> impl Iterator<Item = (&CheckoutRecord, WaitsFor)> {
        let from = after.map_or(Unbounded, Excluded);
        let under_way = self.under_way.range::<CheckoutId, _>((from, Unbounded));
        under_way
            .filter_map(|id| self.checkouts.get(id))
            .filter_map(|record| Some((record.as_ref(), waits_for(record)?)))
    }

    /// Those, and the bookings whose message was given up.
    pub(super) fn stuck(&self, after: Option<&CheckoutId>) -> Answer {
        let from = after.map_or(Unbounded, Excluded);
        let parked = self.parked.range::<CheckoutId, _>((from, Unbounded)).filter_map(|id| self.checkouts.get(id));
        let parked = parked.map(|record| (record.as_ref(), WaitsFor::Notifier)).take(LISTED + 1);
        let mut all: Vec<_> = self.in_vain(after).take(LISTED + 1).chain(parked).collect();
        all.sort_unstable_by_key(|(record, _)| record.checkout().id());
        let more = all.len() > LISTED;
        all.truncate(LISTED);
        answer::stuck(all.into_iter().map(|(record, waits_for)| (record.progress(), waits_for)), more)
    }

    pub(super) fn operate(&mut self, id: &CheckoutId, operation: &Operation, now: Timestamp) -> Answer {
        let Some(mut record) = self.checkouts.remove(id) else { return refused(Kind::NotFound) };
        let (wake, was_waiting) = (record.wake(), record.is_to_notify());
        let operated = record.operate(operation, now, self.settings.notify());
        match operated {
            Ok(Operated::Step) => {
                if let Some(at) = wake {
                    self.due.remove(&(at, Due::Wake(id.clone())));
                }
                self.advance(record, now);
                return self.status(id);
            }
            Ok(Operated::Changed) => {
                self.touched.push(Name::Checkout(id.clone()));
                if record.is_to_notify() {
                    self.parked.remove(id);
                    self.counts.notifications_waiting += u64::from(!was_waiting);
                    self.said.extend(record.notification_due(now).map(Output::Deliver));
                }
            }
            Ok(Operated::Unchanged) | Err(_) => {}
        }
        self.checkouts.insert(id.clone(), record);
        operated.map_or_else(|refusal| answer::refusal(&refusal), |_| self.status(id))
    }

    /// Whether a ticket is sold to a checkout that is still under way: its money may be taken at any moment.
    pub(super) fn is_being_sold(&self, id: &TicketId) -> bool {
        let sold_to = self.ticket(id).and_then(Ticket::sold_to);
        sold_to.is_some_and(|checkout| self.under_way.contains(checkout))
    }

    /// A ticket of a map that is being sold, if there is one.
    pub(super) fn being_sold_on(&self, key: &MapKey) -> Option<TicketId> {
        let under_way = self.under_way.iter().filter_map(|id| self.checkouts.get(id));
        let mut tickets = under_way.flat_map(|record| record.checkout().order().tickets());
        tickets.find(|ticket| ticket.map_str() == key.as_str() && self.is_being_sold(ticket)).cloned()
    }
}

/// For whom a checkout waits in vain, if it does. A map answers at once, so a command without an answer is one that it could not
/// judge.
fn waits_for(record: &CheckoutRecord) -> Option<WaitsFor> {
    if record.progress().failed_attempts() > 0 {
        return Some(WaitsFor::Gateway);
    }
    let is_of_a_map = |(_, effect): &(_, Effect)| matches!(effect, Effect::Line(..));
    record.progress().pending().iter().any(is_of_a_map).then_some(WaitsFor::Map)
}

fn refused(kind: Kind) -> Answer {
    answer::refusal(&kind.into())
}
