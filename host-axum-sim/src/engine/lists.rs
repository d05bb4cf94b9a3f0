//! What operators look at: bookings, messages that were given up, what other operators did.

use std::ops::Bound::{Excluded, Unbounded};

use booking_core::ids::{CheckoutId, MapKey, UserId};
use booking_core::map::{SeatMapCommand, SeatMapReply};
use booking_core::time::Timestamp;
use booking_core::wire::answer::{self, Erased, InboxItem};
use booking_core::wire::audit::AuditEntry;
use booking_core::wire::export::Booking;
use booking_core::wire::search::{AuditSearch, BookingCursor, BookingSearch, InboxId, InboxSearch};
use booking_core::wire::{Answer, Kind, Operation};

use super::{Caller, Engine, Name, Output};

/// How many bookings one page looks at, so that nothing waits for long. The next page continues there.
const LOOKED_AT: usize = 2_000;

/// How many entries the audit has; the oldest are forgotten first. Each takes half a kilobyte at most, as its texts are bounded.
pub(super) const MOST_AUDITED: usize = 10_000;

impl Engine {
    pub(super) fn bookings(&mut self, caller: Caller, search: &BookingSearch) {
        let before = search.after.clone();
        let before = before.or_else(|| {
            // What began later than is looked for, is passed over at once.
            let until = search.until?;
            Some(BookingCursor { started: until, checkout: CheckoutId::parse("-").ok()? })
        });
        let older = match &before {
            Some(before) => self.by_start.range(..before.clone()),
            None => self.by_start.range::<BookingCursor, _>(..),
        };
        let (mut page, mut next) = (Vec::new(), None);
        for (looked, cursor) in older.rev().enumerate() {
            if search.from.is_some_and(|from| cursor.started < from) {
                next = None;
                break;
            }
            if looked == LOOKED_AT || page.len() == search.limit {
                break;
            }
            let record = self.checkouts.get(&cursor.checkout);
            page.extend(record.filter(|record| search.takes(record)).map(|record| Booking::from(record.as_ref())));
            next = Some(cursor);
        }
        let next = next.filter(|last| self.by_start.first() != Some(last)).cloned();
        self.said.push(Output::Bookings(caller, page, next));
    }

    pub(super) fn inbox(&self, InboxSearch { after, limit }: &InboxSearch) -> Answer {
        let after = match after {
            Some(InboxId::Notification(checkout)) => Excluded(checkout),
            // Lines come after all notifications, and nothing here is kept apart from what it is about.
            Some(InboxId::Line(_)) => return answer::inbox(&[], None),
            None => Unbounded,
        };
        let item = |id: &CheckoutId| {
            let booking = self.checkouts.get(id).map(|record| Booking::from(record.as_ref()));
            InboxItem { id: InboxId::Notification(id.clone()), booking, why: None }
        };
        let mut messages: Vec<_> =
            self.parked.range::<CheckoutId, _>((after, Unbounded)).take(limit + 1).map(item).collect();
        let more = messages.len() > *limit;
        messages.truncate(*limit);
        answer::inbox(&messages, messages.last().filter(|_| more).map(|last| &last.id))
    }

    pub(super) fn retry(&mut self, id: &InboxId, now: Timestamp) -> Answer {
        match id {
            InboxId::Notification(checkout) => self.operate(checkout, &Operation::Notify, now),
            InboxId::Line(_) => answer::refusal(&Kind::NotFound.into()),
        }
    }

    pub(super) fn audited(&self, AuditSearch { after, limit }: &AuditSearch) -> Answer {
        let before = after.map_or(Unbounded, Excluded);
        let entries = self.audit.range((Unbounded, before)).rev().take(*limit).map(|(n, entry)| (*n, entry));
        let entries: Vec<_> = entries.collect();
        let oldest = self.audit.first_key_value().map(|(n, _)| *n);
        let next = entries.last().map(|(n, _)| *n).filter(|n| Some(*n) != oldest);
        answer::audit(entries, next)
    }

    /// Forgets a buyer, in all bookings and on all maps.
    pub(super) fn erase(&mut self, user: &UserId, reason: &str, now: Timestamp) -> Answer {
        let mut erased = Erased::default();
        let of_buyer = self.checkouts.in_order().map(|record| record.checkout()).filter(|it| it.order().user() == user);
        let bookings: Vec<CheckoutId> = of_buyer.map(|checkout| checkout.id().clone()).collect();
        let operation = Operation::Erase { reason: reason.to_owned() };
        for id in bookings {
            let count =
                if self.operate(&id, &operation, now).kind.is_none() { &mut erased.bookings } else { &mut erased.left };
            *count += 1;
        }
        let maps: Vec<MapKey> = self.maps.keys().cloned().collect();
        let command = SeatMapCommand::Erase { user: user.clone() };
        for key in maps {
            match self.ask_map(&key, &command, now) {
                Some(Ok(SeatMapReply::Erased { tickets, held })) => {
                    erased.tickets += tickets;
                    erased.left += held;
                }
                // A map that cannot be judged holds no other up.
                Some(Ok(_) | Err(_)) | None => erased.left += 1,
            }
        }
        answer::erased(erased)
    }

    /// Writes down what an operator did, in the batch of what that changed.
    pub(super) fn note(&mut self, entry: AuditEntry) {
        let n = self.audit.last_key_value().map_or(1, |(last, _)| last + 1);
        self.audit.insert(n, entry);
        self.touched.push(Name::Audit(n));
        if self.audit.len() > MOST_AUDITED
            && let Some((oldest, _)) = self.audit.pop_first()
        {
            self.touched.push(Name::Audit(oldest));
        }
    }
}
