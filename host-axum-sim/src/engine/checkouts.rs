//! Checkouts from their start until they are forgotten.

use booking_core::checkout::{Ending, Impossible, Order};
use booking_core::effect::{Effect, Op, Outcome};
use booking_core::ids::{CheckoutId, PaymentKey};
use booking_core::life::{CheckoutRecord, NotificationStatus};
use booking_core::progress::Recorded;
use booking_core::time::Timestamp;
use booking_core::wire::search::BookingCursor;
use booking_core::wire::{Answer, Refusal, answer};

use super::calls::KEY_COST;
use super::retention::{Retained, Share, account_cost};
use super::{Due, Engine, Name, Output};

/// How many things one input forgets at most, so that nothing waits for long.
const FORGET_AT_ONCE: usize = 64;

impl Engine {
    /// Drives a checkout as far as it goes without waiting for anybody. To be called at the start of a step.
    pub(super) fn advance(&mut self, mut record: Box<CheckoutRecord>, now: Timestamp) {
        let mut under_way = true;
        while under_way {
            under_way = false;
            for (op, effect) in record.effects() {
                if let Effect::Pay(_) = effect {
                    self.counts.payment_retries += u64::from(record.progress().failed_attempts() > 0);
                }
                if let Some(outcome) = self.perform(&op, effect, now) {
                    under_way |= self.record_outcome(&mut record, &op, outcome, now) == Recorded::Step;
                }
            }
        }
        let id = record.checkout().id().clone();
        self.answer_the_waiting(record.progress());
        if record.ended().is_some() && self.under_way.remove(&id) {
            self.ended(&record, now);
        }
        if let Some(wake) = record.wake() {
            self.at(wake, Due::Wake(id.clone()));
        }
        self.touched.push(Name::Checkout(id.clone()));
        self.checkouts.insert(id, record);
    }

    /// Records an outcome. One that cannot be is said, and changes nothing.
    fn record_outcome(&mut self, record: &mut CheckoutRecord, op: &Op, outcome: Outcome, now: Timestamp) -> Recorded {
        let recorded = record.record(op, outcome, now, self.settings.notify());
        self.taken(recorded)
    }

    fn taken(&mut self, recorded: Result<Recorded, Impossible>) -> Recorded {
        recorded.unwrap_or_else(|why| {
            self.said.push(Output::Alarm(format!("an outcome was not taken: {why}")));
            Recorded::Stale
        })
    }

    /// An outcome from outside.
    pub(super) fn outcome(&mut self, op: &Op, outcome: Outcome, now: Timestamp) {
        let Some(mut record) = self.checkouts.remove(&op.checkout) else { return };
        match self.record_outcome(&mut record, op, outcome, now) {
            Recorded::Step => return self.advance(record, now),
            Recorded::Waiting => {
                self.touched.push(Name::Checkout(op.checkout.clone()));
                self.answer_the_waiting(record.progress());
            }
            Recorded::Stale => {}
        }
        self.checkouts.insert(op.checkout.clone(), record);
    }

    /// A checkout's wait is over: what was unknown is asked again, if there is time left.
    pub(super) fn wake(&mut self, id: &CheckoutId, now: Timestamp) {
        let Some(mut record) = self.checkouts.remove(id) else { return };
        let woken = record.woken(now, self.settings.notify());
        if self.taken(woken) != Recorded::Stale {
            return self.advance(record, now);
        }
        self.checkouts.insert(id.clone(), record);
    }

    /// A map could not judge what a checkout asked of it: that is asked again, with all else that has no outcome yet.
    pub(super) fn ask_again(&mut self, id: &CheckoutId, now: Timestamp) {
        if let Some(record) = self.checkouts.remove(id) {
            self.advance(record, now);
        }
    }

    /// The mock gateway's delay is over.
    pub(super) fn mock_answers(&mut self, id: &CheckoutId, now: Timestamp) {
        let Some(record) = self.checkouts.get(id) else { return };
        let payment = record.effects().into_iter().find_map(|(op, effect)| match effect {
            Effect::Pay(payment) => Some((op, payment)),
            Effect::Line(..) | Effect::Sleep(_) | Effect::Notify(_) => None,
        });
        if let Some((op, payment)) = payment {
            let answer = self.ask_gateway(&payment, now);
            self.outcome(&op, Outcome::Paid(answer), now);
        }
    }

    /// A checkout has just ended.
    fn ended(&mut self, record: &CheckoutRecord, now: Timestamp) {
        self.to_reset.append(&mut self.to_reset_later);
        let checkout = record.checkout();
        let kind = match checkout.ending() {
            Some(Ending::Failed { failure, .. }) => Some(Refusal::from(failure).kind),
            Some(Ending::Completed { .. }) | None => None,
        };
        *self.counts.endings.entry(kind).or_default() += 1;
        let (share, until) = (share_of(record), now.plus(record.kept_for(self.settings.keep_for)));
        self.kept.leave(Share::Bookings, cost(checkout.order()));
        self.kept.take_room(share, cost(checkout.order()));
        self.kept.keep(share, Retained::Checkout(checkout.id().clone()), until);
        self.counts.notifications_waiting += u64::from(record.is_to_notify());
        self.said.extend(record.notification_due(now).map(Output::Deliver));
    }

    /// Tries to deliver a checkout's message, if that is due.
    pub(super) fn deliver(&mut self, id: &CheckoutId, now: Timestamp) {
        let Some(record) = self.checkouts.get(id) else { return };
        match (record.notification(), record.notification_due(now)) {
            (_, Some(message)) => self.said.push(Output::Deliver(message)),
            (NotificationStatus::Waiting { due, .. }, None) => self.at(due, Due::Deliver(id.clone())),
            (NotificationStatus::None | NotificationStatus::Delivered | NotificationStatus::GivenUp, None) => {}
        }
    }

    /// How the delivery of a message went.
    pub(super) fn delivered(&mut self, id: &CheckoutId, delivered: bool, now: Timestamp) {
        let Some(record) = self.checkouts.get_mut(id).filter(|record| record.is_to_notify()) else { return };
        record.notified(delivered, now, self.settings.terms.notify_retry);
        match record.notification() {
            NotificationStatus::Waiting { due, .. } => drop(self.due.insert((due, Due::Deliver(id.clone())))),
            NotificationStatus::GivenUp => {
                self.parked.insert(id.clone());
                self.counts.notifications_waiting -= 1;
            }
            NotificationStatus::Delivered | NotificationStatus::None => self.counts.notifications_waiting -= 1,
        }
        self.touched.push(Name::Checkout(id.clone()));
    }

    /// Forgets what has been kept long enough.
    pub(super) fn forget_the_old(&mut self, now: Timestamp) {
        for _ in 0..FORGET_AT_ONCE {
            match self.kept.pop(now) {
                Some(Retained::Checkout(id)) => self.forget_checkout(id, now),
                Some(Retained::Key(scope)) => self.forget_key(scope),
                Some(Retained::Account(key)) => {
                    self.kept.forget_account(&key);
                    self.ledger.forget(&key);
                    self.touched.push(Name::Account(key));
                }
                None => return,
            }
        }
    }

    fn forget_checkout(&mut self, id: CheckoutId, now: Timestamp) {
        let Some(record) = self.checkouts.get(&id) else { return };
        if record.is_to_notify() {
            return self.kept.keep_on(Share::Bookings, Retained::Checkout(id), now);
        }
        let (key, cost, share) = (record.key(), cost(record.checkout().order()), share_of(record));
        self.by_start.remove(&cursor(record));
        self.checkouts.remove(&id);
        self.parked.remove(&id);
        self.kept.leave(share, cost);
        if let Some(key) = key {
            self.forget_key(key.scope);
        }
        let account = PaymentKey::authorize(&id);
        if self.ledger.account(&account).is_some() {
            self.ledger.forget(&account);
            self.touched.push(Name::Account(account));
        }
        self.touched.push(Name::Checkout(id));
    }

    /// Forgets a checkout that was refused at once and that no key stands for, as if it had never been: its caller is answered, and
    /// has no name by which to ask again. What it was answered.
    pub(super) fn forget_unnamed(&mut self, id: &CheckoutId, now: Timestamp) -> Option<Answer> {
        let record =
            self.checkouts.get(id).filter(|record| record.ended().is_some() && record.is_refused_without_key())?;
        let (share, until) = (share_of(record), now.plus(record.kept_for(self.settings.keep_for)));
        let (answer, cost) = (answer::processed(record.progress()), cost(record.checkout().order()));
        self.by_start.remove(&cursor(record));
        self.kept.leave(share, cost);
        self.kept.let_go(share, Retained::Checkout(id.clone()), until);
        self.checkouts.remove(id);
        self.touched.retain(|name| !matches!(name, Name::Checkout(other) if other == id));
        Some(answer)
    }

    /// Takes in a checkout that was stored.
    pub(super) fn take_in(&mut self, record: Box<CheckoutRecord>) {
        let checkout = record.checkout();
        let share = share_of(&record);
        self.kept.take_room(share, cost(checkout.order()));
        if record.notification() == NotificationStatus::GivenUp {
            self.parked.insert(checkout.id().clone());
        }
        match record.ended() {
            Some(ended) => {
                let until = ended.plus(record.kept_for(self.settings.keep_for));
                self.kept.keep(share, Retained::Checkout(checkout.id().clone()), until);
            }
            None => drop(self.under_way.insert(checkout.id().clone())),
        }
        self.by_start.insert(cursor(&record));
        self.checkouts.insert(checkout.id().clone(), record);
    }

    /// After a crash: everything that was under way continues. What was being performed is performed again.
    pub(super) fn resume(&mut self, now: Timestamp) {
        let full = self.maps.iter().filter(|(_, map)| map.wants_reset(&self.settings.terms));
        self.to_reset.extend(full.map(|(key, _)| key.clone()));
        let undelivered = self.checkouts().filter(|record| record.is_to_notify());
        let undelivered: Vec<CheckoutId> = undelivered.map(|record| record.checkout().id().clone()).collect();
        for id in undelivered {
            self.resume_notification(&id, now);
        }
        for id in self.under_way.clone() {
            let Some(mut record) = self.checkouts.remove(&id) else { continue };
            let woken = record.woken(now, self.settings.notify());
            let _step = self.taken(woken);
            self.advance(record, now);
        }
    }

    fn resume_notification(&mut self, id: &CheckoutId, now: Timestamp) {
        let Some(record) = self.checkouts.get_mut(id) else { return };
        let stored = record.notification();
        let woken = record.woken(now, self.settings.notify());
        let resumed = record.notification();
        let _step = self.taken(woken);
        if resumed != stored {
            self.touched.push(Name::Checkout(id.clone()));
        }
        if resumed == NotificationStatus::GivenUp {
            // The notifier that was to deliver it is no longer configured.
            self.parked.insert(id.clone());
        } else {
            self.counts.notifications_waiting += 1;
            self.deliver(id, now);
        }
    }
}

/// Where a checkout stands in the order in which all began.
fn cursor(record: &CheckoutRecord) -> BookingCursor {
    BookingCursor { started: record.started(), checkout: record.checkout().id().clone() }
}

/// Whose room a checkout takes.
fn share_of(record: &CheckoutRecord) -> Share {
    match record.progress().ending() {
        None | Some(Ending::Completed { .. }) => Share::Bookings,
        Some(Ending::Failed { .. }) => Share::Failures,
    }
}

/// What a checkout takes, from its start until it is forgotten, about: itself, its account, its places in the tables,
/// its ids, those that are made from its id, and its key.
pub(super) fn cost(order: &Order) -> usize {
    let texts = |texts: usize, ids: usize| texts + 48 * ids;
    let tickets: usize = order.tickets().iter().map(|ticket| texts(ticket.as_str().len(), 1)).sum();
    let hold = order.hold().map_or(0, |hold| texts(hold.as_str().len(), 1));
    let buyer = texts(order.user().as_str().len() + order.method().as_str().len(), 2);
    let own = account_cost(&PaymentKey::parse("0123456789012345678901:authorize").expect("printable"));
    let contact = order.contact().map_or(0, |contact| texts(contact.as_json().len(), 1));
    1024 + KEY_COST + own + tickets + hold + buyer + contact
}
