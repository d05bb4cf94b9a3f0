//! Checkouts from their start until they are forgotten.

use booking_core::checkout::{Ending, Order, Stage};
use booking_core::effect::{Effect, Op, Outcome};
use booking_core::ids::{CheckoutId, PaymentKey};
use booking_core::running::Recorded;
use booking_core::terms::Terms;
use booking_core::time::{Millis, Timestamp};
use booking_core::wire::{Answer, Refusal, answer};

use super::calls::KEY_COST;
use super::kept::{Share, What, account_cost};
use super::{Due, Engine, Name, Notifier, Output};
use crate::store::{Course, Letter};

/// The first and the longest wait before a message that was not delivered is tried again.
const DELIVER_AGAIN: booking_core::terms::Backoff =
    booking_core::terms::Backoff { first: Millis::from_secs(1), cap: Millis::from_mins(60) };

/// How many things one input forgets at most, so that nothing waits for long.
const FORGET_AT_ONCE: usize = 64;

impl Engine {
    /// Drives a checkout as far as it goes without waiting for anybody. To be called at the start of a step.
    pub(super) fn go_on(&mut self, mut course: Box<Course>, now: Timestamp) {
        let mut under_way = true;
        while under_way {
            under_way = false;
            for (op, effect) in course.running.pending() {
                if let Some(outcome) = self.perform(&mut course, &op, effect, now) {
                    under_way |= self.record_outcome(&mut course, &op, outcome) == Recorded::Step;
                }
            }
        }
        let id = course.running.checkout().id().clone();
        self.answer_the_waiting(&course.running);
        if course.running.ending().is_some() && course.ended.is_none() {
            self.ended(&mut course, now);
        }
        match course.ended {
            Some(_) => drop(self.under_way.remove(&id)),
            None => drop(self.under_way.insert(id.clone())),
        }
        self.touched.push(Name::Checkout(id.clone()));
        self.checkouts.insert(id, course);
    }

    /// Records an outcome. One that cannot be is said, and changes nothing.
    pub(super) fn record_outcome(&mut self, course: &mut Course, op: &Op, outcome: Outcome) -> Recorded {
        course.running.record(op, outcome).unwrap_or_else(|why| {
            self.said.push(Output::Alarm(format!("an outcome was not taken: {why}")));
            Recorded::Stale
        })
    }

    /// An outcome from outside.
    pub(super) fn outcome(&mut self, op: &Op, outcome: Outcome, now: Timestamp) {
        let Some(mut course) = self.checkouts.remove(&op.checkout) else { return };
        match self.record_outcome(&mut course, op, outcome) {
            Recorded::Step => return self.go_on(course, now),
            Recorded::Waiting => {
                self.touched.push(Name::Checkout(op.checkout.clone()));
                self.answer_the_waiting(&course.running);
            }
            Recorded::Stale => {}
        }
        self.checkouts.insert(op.checkout.clone(), course);
    }

    /// A checkout's wait is over: what was unknown is asked again, if there is time left.
    pub(super) fn wake(&mut self, id: &CheckoutId, now: Timestamp) {
        let Some(mut course) = self.checkouts.remove(id) else { return };
        course.wake = None;
        let pending = course.running.pending();
        if let Some((op, _)) = pending.first()
            && self.record_outcome(&mut course, op, Outcome::Slept { at: now }) == Recorded::Step
        {
            self.counts.payment_retries += u64::from(asks_again(course.running.checkout().stage()));
            return self.go_on(course, now);
        }
        self.checkouts.insert(id.clone(), course);
    }

    /// A map could not judge what a checkout asked of it: that is asked again, with all else that has no outcome yet.
    pub(super) fn ask_again(&mut self, id: &CheckoutId, now: Timestamp) {
        if let Some(course) = self.checkouts.remove(id) {
            self.go_on(course, now);
        }
    }

    /// The mock gateway's delay is over.
    pub(super) fn mock_answers(&mut self, id: &CheckoutId, now: Timestamp) {
        let Some(course) = self.checkouts.get(id) else { return };
        let payment = course.running.pending().into_iter().find_map(|(op, effect)| match effect {
            Effect::Pay(payment) => Some((op, payment)),
            Effect::Line(..) | Effect::Sleep(_) | Effect::Notify(_) => None,
        });
        if let Some((op, payment)) = payment {
            let answer = self.ask_gateway(&payment, now);
            self.outcome(&op, Outcome::Paid(answer), now);
        }
    }

    fn ended(&mut self, course: &mut Course, now: Timestamp) {
        course.ended = Some(now);
        self.to_reset.append(&mut self.to_reset_later);
        let checkout = course.running.checkout();
        let kind = match checkout.ending() {
            Some(Ending::Failed { failure, .. }) => Some(Refusal::from(failure).kind),
            Some(Ending::Completed { .. }) | None => None,
        };
        *self.counts.endings.entry(kind).or_default() += 1;
        let (share, at_most) = kept_as(course);
        self.kept.leave(Share::Bookings, cost(checkout.order()));
        self.kept.take_room(share, cost(checkout.order()));
        self.kept.keep(share, What::Checkout(checkout.id().clone()), now, at_most);
        if let Some(letter) = checkout.letter() {
            match self.settings.notifier {
                Notifier::Nobody => course.letter = Letter::Delivered,
                Notifier::Outside { .. } => {
                    course.letter = Letter::Waiting { failed: 0 };
                    self.counts.letters_waiting += 1;
                    self.said.push(Output::Deliver(letter));
                }
            }
        }
    }

    /// Tries again to deliver a checkout's message.
    pub(super) fn deliver(&mut self, id: &CheckoutId) {
        let Some(course) = self.checkouts.get(id) else { return };
        if let (Letter::Waiting { .. }, Some(letter)) = (course.letter, course.running.checkout().letter()) {
            self.said.push(Output::Deliver(letter));
        }
    }

    /// How the delivery of a message went.
    pub(super) fn delivered(&mut self, id: &CheckoutId, delivered: bool, now: Timestamp) {
        let Some(course) = self.checkouts.get_mut(id) else { return };
        let Letter::Waiting { failed } = course.letter else { return };
        let failed = failed.saturating_add(1);
        let attempts = match self.settings.notifier {
            Notifier::Nobody => 0,
            Notifier::Outside { attempts } => attempts,
        };
        course.letter = match (delivered, failed < attempts) {
            (true, _) => Letter::Delivered,
            (false, true) => Letter::Waiting { failed },
            (false, false) => Letter::Parked,
        };
        match course.letter {
            Letter::Waiting { failed } => {
                self.due.insert((now.plus(DELIVER_AGAIN.after(failed)), Due::Deliver(id.clone())));
            }
            Letter::Parked => {
                self.parked.insert(id.clone());
                self.counts.letters_waiting -= 1;
            }
            Letter::Delivered | Letter::None => self.counts.letters_waiting -= 1,
        }
        self.touched.push(Name::Checkout(id.clone()));
    }

    /// Forgets what has been kept long enough.
    pub(super) fn forget_the_old(&mut self, now: Timestamp) {
        for _ in 0..FORGET_AT_ONCE {
            match self.kept.pop(now) {
                Some(What::Checkout(id)) => self.forget_checkout(id, now),
                Some(What::Key(scope)) => self.forget_key(scope),
                Some(What::Account(key)) => {
                    self.kept.forget_account(&key);
                    self.ledger.forget(&key);
                    self.touched.push(Name::Account(key));
                }
                None => return,
            }
        }
    }

    fn forget_checkout(&mut self, id: CheckoutId, now: Timestamp) {
        let Some(course) = self.checkouts.get(&id) else { return };
        if let Letter::Waiting { .. } = course.letter {
            return self.kept.keep_on(Share::Bookings, What::Checkout(id), now);
        }
        let (key, cost, (share, _)) = (course.key, cost(course.running.checkout().order()), kept_as(course));
        self.checkouts.remove(&id);
        self.parked.remove(&id);
        self.kept.leave(share, cost);
        if let Some(scope) = key {
            self.forget_key(scope);
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
        let course = self.checkouts.get(id).filter(|course| course.ended.is_some() && course.key.is_none())?;
        let (share, Some(at_most)) = kept_as(course) else { return None };
        let checkout = course.running.checkout();
        let (answer, cost) = (answer::processed(&course.running), cost(checkout.order()));
        self.kept.leave(share, cost);
        self.kept.let_go(share, What::Checkout(id.clone()), now, at_most);
        self.checkouts.remove(id);
        self.touched.retain(|name| !matches!(name, Name::Checkout(other) if other == id));
        Some(answer)
    }

    /// Takes in a checkout that was stored.
    pub(super) fn take_in(&mut self, course: Box<Course>) {
        let checkout = course.running.checkout();
        let (share, at_most) = kept_as(&course);
        self.kept.take_room(share, cost(checkout.order()));
        if course.letter == Letter::Parked {
            self.parked.insert(checkout.id().clone());
        }
        match course.ended {
            Some(ended) => self.kept.keep(share, What::Checkout(checkout.id().clone()), ended, at_most),
            None => drop(self.under_way.insert(checkout.id().clone())),
        }
        self.checkouts.insert(checkout.id().clone(), course);
    }

    /// After a crash: everything that was under way goes on. What was being performed is performed again.
    pub(super) fn resume(&mut self, now: Timestamp) {
        let undelivered = self.checkouts().filter(|course| matches!(course.letter, Letter::Waiting { .. }));
        let undelivered: Vec<CheckoutId> = undelivered.map(|course| course.running.checkout().id().clone()).collect();
        self.counts.letters_waiting += undelivered.len() as u64;
        for id in undelivered {
            match self.settings.notifier {
                // Whoever was to be told is no longer configured.
                Notifier::Nobody => self.delivered(&id, false, now),
                Notifier::Outside { .. } => self.deliver(&id),
            }
        }
        let full = self.maps.iter().filter(|(_, map)| map.wants_reset(&self.settings.terms));
        self.to_reset.extend(full.map(|(key, _)| key.clone()));
        for id in std::mem::take(&mut self.under_way) {
            if let Some(course) = self.checkouts.remove(&id) {
                self.go_on(course, now);
            }
        }
    }
}

/// Whether a checkout is about to ask for something about which it was told nothing before.
fn asks_again(stage: &Stage) -> bool {
    match stage {
        Stage::Authorising { pace, .. } | Stage::Capturing { pace, .. } | Stage::Undoing { pace, .. } => {
            pace.unknown > 0 && !pace.waiting
        }
        Stage::Holding | Stage::Confirming { .. } | Stage::Notifying { .. } | Stage::Ended(_) => false,
    }
}

/// As what a checkout is kept, and for how long at most if that is shorter than what is usual.
fn kept_as(course: &Course) -> (Share, Option<Millis>) {
    match course.running.ending() {
        None | Some(Ending::Completed { .. }) => (Share::Bookings, None),
        Some(Ending::Failed { .. }) if course.key.is_none() && course.running.was_refused() => {
            (Share::Failures, Some(Terms::KEEP_REFUSED))
        }
        Some(Ending::Failed { .. }) => (Share::Failures, None),
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
