//! One checkout from its start until it is forgotten: all that a host stores of it, as one value.
//!
//! ```text
//!             ┌──────────── store ◀─────────────┐
//!  start ──▶ effects() ──▶ perform ──▶ record(op, outcome) ──▶ it has ended ──▶ notification_due() ──▶ notified()
//!             └─ none: sleep until wake_at() ──▶ woken() ─┘
//! ```
//!
//! The waits of a checkout, and its message to the buyer, are in the record itself, so a host stores nothing beside it. After a crash
//! a host reads the record, calls [`CheckoutRecord::woken`], and performs [`CheckoutRecord::effects`] again.

use serde::{Deserialize, Serialize};

use crate::checkout::{Checkout, Ending, Impossible};
use crate::effect::{Effect, Notification, Op, Outcome};
use crate::format::Format;
use crate::ids::{TicketId, UserId};
use crate::life::idempotency::Key;
use crate::progress::{CancelRefusal, CheckoutProgress, Recorded};
use crate::terms::Retry;
use crate::time::{Millis, Timestamp};
use crate::wire::{Kind, Operation, Refusal};

/// How many may wait for the end of one checkout. A host answers further ones at once, that it is under way.
pub const MOST_WAITING: usize = 64;

/// One checkout, as a host stores it. Store it after every call that changes it, before anything else is done.
///
/// ```
/// use booking_core::checkout::{Checkout, Order};
/// use booking_core::format;
/// use booking_core::life::CheckoutRecord;
/// use booking_core::terms::Terms;
/// use booking_core::time::Timestamp;
/// use booking_core::{CheckoutId, TicketId, UserId};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let order = Order::new(vec![TicketId::parse("hall:7")?], UserId::parse("ann")?, "card_success".parse()?, None)?;
/// let (now, terms) = (Timestamp::from_millis(1_700_000_000_000), Terms::default());
/// let record = CheckoutRecord::start(Checkout::start(CheckoutId::parse("checkout-1")?, order, now, &terms), None, now);
///
/// // One value in one row, with the time at which the host has to look at it. After a crash it asks for the same.
/// let stored = format::write(&record);
/// assert_eq!(record.due(now), Some(now));
/// let found: CheckoutRecord = format::read(&stored)?;
/// assert_eq!(found.effects(), record.effects());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckoutRecord {
    progress: CheckoutProgress,
    /// When it began.
    started: Timestamp,
    /// When the wait that it is in is over, if it is in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wake: Option<Timestamp>,
    /// When it ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<Timestamp>,
    #[serde(default)]
    notification: NotificationStatus,
    /// The idempotency key that it was started under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Key>,
    /// Seats that were sold to it, and that an operator has put back on sale since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reset: Vec<TicketId>,
}

impl Format for CheckoutRecord {
    const NAME: &'static str = "checkout record";
    const VERSION: u32 = 1;
}

/// What has become of the message to the buyer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NotificationStatus {
    /// There is none, or none yet, or the host had no notifier.
    #[default]
    None,
    /// It is to be delivered.
    Waiting {
        /// How often that failed.
        failed: u32,
        /// When it is to be tried next.
        due: Timestamp,
    },
    /// It was delivered.
    Delivered,
    /// It was tried as often as it may be. An operator can have it sent again.
    GivenUp,
}

/// What an operator's command led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "store the checkout unless nothing has changed"]
pub enum Operated {
    /// It was so already.
    Unchanged,
    /// The record has changed.
    Changed,
    /// The record has changed, and the step has ended: there may be other [effects](CheckoutRecord::effects).
    Step,
}

impl CheckoutRecord {
    /// A checkout that begins now, with the idempotency key that it was started under.
    #[must_use]
    pub fn start(checkout: Checkout, key: Option<Key>, now: Timestamp) -> Self {
        Self {
            progress: CheckoutProgress::start(checkout),
            started: now,
            wake: None,
            ended: None,
            notification: NotificationStatus::None,
            key,
            reset: Vec::new(),
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> &CheckoutProgress {
        &self.progress
    }

    /// The checkout as it was when its step began.
    #[must_use]
    pub fn checkout(&self) -> &Checkout {
        self.progress.checkout()
    }

    /// When it began.
    #[must_use]
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// When it ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<Timestamp> {
        self.ended
    }

    /// When the wait that it is in is over, if it is in one. To be [`woken`](CheckoutRecord::woken) then.
    #[must_use]
    pub fn wake(&self) -> Option<Timestamp> {
        self.wake
    }

    /// What has become of the message to the buyer.
    #[must_use]
    pub fn notification(&self) -> NotificationStatus {
        self.notification
    }

    /// Whether its message is still to be delivered.
    #[must_use]
    pub fn is_to_notify(&self) -> bool {
        matches!(self.notification, NotificationStatus::Waiting { .. })
    }

    /// The idempotency key that it was started under.
    #[must_use]
    pub fn key(&self) -> Option<Key> {
        self.key
    }

    /// Whether the request that comes under this key, or without one, is the one that started it; for a host that names a checkout after
    /// the scope of its key.
    ///
    /// # Errors
    /// [`Kind::IdempotencyKeyReused`].
    pub fn started_by(&self, key: Option<Key>) -> Result<(), Refusal> {
        let request = |key: Option<Key>| key.map(|key| key.request);
        if request(self.key) == request(key) { Ok(()) } else { Err(Kind::IdempotencyKeyReused.into()) }
    }

    /// Seats that were sold to it, and that an operator has put back on sale since. What was paid for them is not given back by that.
    #[must_use]
    pub fn reset(&self) -> &[TicketId] {
        &self.reset
    }

    /// An operator has put one of its seats back on sale.
    pub fn seat_was_reset(&mut self, ticket: TicketId) {
        if !self.reset.contains(&ticket) {
            self.reset.push(ticket);
        }
    }

    /// What is to be asked of maps and of the gateway now, side by side: each at least once, its outcome [recorded](Self::record). None
    /// while it waits, and once it is over. Asking again gives the same.
    #[must_use]
    pub fn effects(&self) -> Vec<(Op, Effect)> {
        if self.checkout().waits_or_notifies() { Vec::new() } else { self.progress.pending() }
    }

    /// Takes the outcome of an effect, in any order. Repeated and late ones change nothing. `notify` says how messages to buyers are
    /// tried again, where the host has a notifier.
    ///
    /// # Errors
    /// [`Impossible`] when it does not fit its effect, or names one that never was. Nothing has changed then.
    pub fn record(
        &mut self,
        op: &Op,
        outcome: Outcome,
        now: Timestamp,
        notify: Option<Retry>,
    ) -> Result<Recorded, Impossible> {
        let recorded = self.take(op, outcome, now)?;
        if recorded == Recorded::Step {
            let _step = self.perform_own(now, notify)?;
        }
        Ok(recorded)
    }

    /// The wait may be over, or a host has read the record after a crash. Calling it too soon, or twice, does no harm. It answers
    /// [`Recorded::Waiting`] where only the end of a wait has changed, or the message was given up, as there is no notifier any more.
    ///
    /// # Errors
    /// [`Impossible`], which only a record that was altered gives.
    pub fn woken(&mut self, now: Timestamp, notify: Option<Retry>) -> Result<Recorded, Impossible> {
        let before = (self.wake, self.notification);
        if let NotificationStatus::Waiting { failed, due } = self.notification {
            self.notification = match notify {
                // The clock may have been ahead when the wait began.
                Some(retry) => NotificationStatus::Waiting { failed, due: due.min(now.plus(retry.wait.after(failed))) },
                None => NotificationStatus::GivenUp,
            };
        }
        let woken = self.perform_own(now, notify)?;
        let is_changed = before != (self.wake, self.notification);
        Ok(if woken == Recorded::Stale && is_changed { Recorded::Waiting } else { woken })
    }

    fn perform_own(&mut self, now: Timestamp, notify: Option<Retry>) -> Result<Recorded, Impossible> {
        let mut led_to = Recorded::Stale;
        while let Some((op, outcome)) = self.own_effect(now, notify) {
            led_to = self.take(&op, outcome, now)?;
        }
        Ok(led_to)
    }

    /// An effect that the record performs by itself, if it is time: the end of a wait, the message that is handed over.
    fn own_effect(&mut self, now: Timestamp, notify: Option<Retry>) -> Option<(Op, Outcome)> {
        if !self.checkout().waits_or_notifies() {
            return None;
        }
        for (op, effect) in self.progress.pending() {
            match effect {
                Effect::Line(..) | Effect::Pay(_) => {}
                Effect::Sleep(length) => {
                    // A wait that was stored ends when it would have ended; but no later than its length from now, as the clock may have
                    // been ahead when it began.
                    let until = now.plus(length);
                    let wake = self.wake.map_or(until, |wake| wake.min(until));
                    self.wake = Some(wake);
                    if wake <= now {
                        return Some((op, Outcome::Slept { at: now }));
                    }
                }
                Effect::Notify(_) => {
                    self.notification = match notify {
                        Some(_) => NotificationStatus::Waiting { failed: 0, due: now },
                        None => NotificationStatus::None,
                    };
                    return Some((op, Outcome::Notified));
                }
            }
        }
        None
    }

    fn take(&mut self, op: &Op, outcome: Outcome, now: Timestamp) -> Result<Recorded, Impossible> {
        let recorded = self.progress.record(op, outcome)?;
        if recorded == Recorded::Step {
            self.wake = None;
            if self.progress.ending().is_some() && self.ended.is_none() {
                self.ended = Some(now);
            }
        }
        Ok(recorded)
    }

    /// The message that is to be delivered now, at least once. Report how that went with [`CheckoutRecord::notified`].
    #[must_use]
    pub fn notification_due(&self, now: Timestamp) -> Option<Notification> {
        match self.notification {
            NotificationStatus::Waiting { due, .. } if due <= now => self.checkout().notification(),
            NotificationStatus::Waiting { .. }
            | NotificationStatus::None
            | NotificationStatus::Delivered
            | NotificationStatus::GivenUp => None,
        }
    }

    /// Takes note of a try to deliver the message, and whether the notifier took it.
    pub fn notified(&mut self, taken: bool, now: Timestamp, retry: Retry) {
        let NotificationStatus::Waiting { failed, .. } = self.notification else { return };
        let failed = failed.saturating_add(1);
        self.notification = if taken {
            NotificationStatus::Delivered
        } else if failed < retry.attempts {
            NotificationStatus::Waiting { failed, due: now.plus(retry.wait.after(failed)) }
        } else {
            NotificationStatus::GivenUp
        };
    }

    /// When there is something to do at the latest: a wait that ends, a message to deliver, or that it is to be forgotten. `None` while
    /// it waits for outcomes alone. While a host tries a delivery this lies in the past, until it calls [`notified`](Self::notified).
    #[must_use]
    pub fn wake_at(&self, keep_for: Millis) -> Option<Timestamp> {
        match self.notification {
            NotificationStatus::Waiting { due, .. } => Some(due),
            NotificationStatus::None | NotificationStatus::Delivered | NotificationStatus::GivenUp => {
                self.wake.or_else(|| self.kept_until(keep_for))
            }
        }
    }

    /// When a host has to bring it further: now while it has effects, at the end of its wait, when its message is to be tried. `None` once
    /// nothing is left but to forget it. For a column that is written with the record: what it finds after a crash is all that is to be
    /// resumed.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Option<Timestamp> {
        match self.notification {
            NotificationStatus::Waiting { due, .. } => Some(due),
            NotificationStatus::None | NotificationStatus::Delivered | NotificationStatus::GivenUp => {
                if self.ended.is_some() { None } else { Some(self.wake.unwrap_or(now)) }
            }
        }
    }

    /// Until when it is kept, on a host that keeps checkouts for as long as this. `None` while it is under way, or its message is to be
    /// delivered.
    #[must_use]
    pub fn kept_until(&self, keep_for: Millis) -> Option<Timestamp> {
        if self.is_to_notify() {
            return None;
        }
        Some(self.ended?.plus(self.kept_for(keep_for)))
    }

    /// How long it is kept after its end, on a host that keeps checkouts for as long as this.
    #[must_use]
    pub fn kept_for(&self, keep_for: Millis) -> Millis {
        self.progress.kept_for(self.key.is_some(), keep_for)
    }

    /// Whether it was refused its seats, and no key stands for it. Anybody can have such checkouts made, as many as they like. So a host may
    /// forget one at once whose caller was answered, and has no id by which to ask again.
    #[must_use]
    pub fn is_refused_without_key(&self) -> bool {
        self.key.is_none() && self.progress.was_refused()
    }

    /// The calendar was set: what waits, waits for as long as it would have.
    pub fn clock_set(&mut self, moved: impl Fn(Timestamp) -> Timestamp) {
        if let Some(wake) = &mut self.wake {
            *wake = moved(*wake);
        }
        if let NotificationStatus::Waiting { due, .. } = &mut self.notification {
            *due = moved(*due);
        }
    }

    /// An operator does something about it (SPEC §6). The same command again changes nothing, but that a message is sent once more which
    /// was delivered or given up meanwhile.
    ///
    /// # Errors
    /// The refusal that the operator is answered with. Nothing has changed then.
    pub fn operate(
        &mut self,
        operation: &Operation,
        now: Timestamp,
        notify: Option<Retry>,
    ) -> Result<Operated, Refusal> {
        let refuse = |kind, why: &str| Err(Refusal::new(kind, why.to_owned()));
        match operation {
            Operation::Cancel { reason: _ } => {
                let before = self.progress.clone();
                match self.progress.cancel() {
                    Ok(()) if self.progress != before => Ok(Operated::Changed),
                    Ok(()) | Err(CancelRefusal::Ended) => Ok(Operated::Unchanged),
                    Err(CancelRefusal::CaptureAsked) => Err(Kind::CheckoutInProgress.into()),
                }
            }
            Operation::Resolve { resolution, reason: _ } => {
                let outcomes = match self.progress.resolve(resolution, now) {
                    Ok(outcomes) => outcomes,
                    Err(_) if self.progress.is_resolved(resolution) => return Ok(Operated::Unchanged),
                    Err(why) => return refuse(Kind::CheckoutInProgress, &why.to_string()),
                };
                let mut led_to = Operated::Unchanged;
                for (op, outcome) in outcomes {
                    // They are of this very checkout, so they fit.
                    match self.record(&op, outcome, now, notify) {
                        Ok(Recorded::Step) => led_to = Operated::Step,
                        Ok(Recorded::Waiting) if led_to == Operated::Unchanged => led_to = Operated::Changed,
                        Ok(Recorded::Waiting | Recorded::Stale) => {}
                        Err(why) => return refuse(Kind::CheckoutInProgress, &why.to_string()),
                    }
                }
                Ok(led_to)
            }
            Operation::Erase { reason: _ } => {
                if self.ended.is_none() {
                    return refuse(Kind::CheckoutInProgress, "This checkout has not ended");
                }
                if self.is_to_notify() {
                    return refuse(Kind::CheckoutInProgress, "The buyer is still to be told of this checkout");
                }
                let before = self.progress.clone();
                self.progress.erase_buyer();
                Ok(if self.progress == before { Operated::Unchanged } else { Operated::Changed })
            }
            Operation::Notify => match (self.progress.ending(), self.notification) {
                (Some(Ending::Completed { .. }), _) if *self.checkout().order().user() == UserId::erased() => {
                    refuse(Kind::NotFound, "The buyer of this checkout was erased")
                }
                (Some(Ending::Completed { .. }), _) if notify.is_none() => {
                    refuse(Kind::NotFound, "This host has no notifier, so it sends no messages")
                }
                // One that is on its way is on its way. One that waits for its next try is sent now.
                (Some(Ending::Completed { .. }), NotificationStatus::Waiting { due, .. }) if due <= now => {
                    Ok(Operated::Unchanged)
                }
                (Some(Ending::Completed { .. }), _) => {
                    self.notification = NotificationStatus::Waiting { failed: 0, due: now };
                    Ok(Operated::Changed)
                }
                (Some(Ending::Failed { .. }) | None, _) => {
                    refuse(Kind::CheckoutInProgress, "This checkout is not booked")
                }
            },
        }
    }
}
