//! The saga that turns holds into a paid booking, or puts everything back. The only saga logic there is.
//!
//! ```text
//!  Holding ──▶ Authorising ──▶ Confirming ──▶ Capturing ──▶ Notifying ──▶ Completed
//!     │            │ ▲ unknown     │             │ ▲ unknown
//!     │            │ └─ wait       │             │ └─ wait, without end
//!     ▼            ▼               ▼             ▼
//!     └────────────┴─── Undoing ───┴─────────────┘──▶ Failed
//! ```
//!
//! [`Checkout::next`] says what to do now, [`Checkout::settle`] takes how it ended. Both are pure: a host performs the
//! step, records the outcomes, and continues; after a crash it replays what it recorded. There are two ways to do that,
//! see [`crate::journal`] and [`crate::progress`].
//!
//! This file says what a checkout is and what it asks for. Where the outcomes lead stands in `checkout/settle.rs`.
//!
//! A buyer's money is never taken before the seats are theirs, and never kept without them. Where there is nothing to pay,
//! the gateway is not asked: Holding, Confirming, Notifying.

mod settle;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::effect::{Effect, Notification, Op, Outcome, Step};
use crate::ids::{AuthorizationId, CheckoutId, HoldId, PaymentId, PaymentKey, PaymentMethodId, TicketId, UserId};
use crate::inventory::{Line, LineCommand};
use crate::map::SeatMapRefusal;
use crate::money::Money;
use crate::payment::{Authorize, Capture, DeclineReason, Payment, Void};
use crate::terms::{Backoff, Retry, Terms};
use crate::time::Timestamp;

/// The most tickets one checkout may have.
pub const MAX_TICKETS: usize = 10;

/// The money half of a parted checkout begins this number of steps after the seats half. No checkout has this number of steps, so no
/// two effects share a name.
const FAR: u32 = 1 << 30;

/// What a buyer wants: 1 to [`MAX_TICKETS`] different tickets, and how to pay.
///
/// ```
/// use booking_core::checkout::Order;
/// use booking_core::{TicketId, UserId};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let seats = vec![TicketId::parse("arena:A:12")?, TicketId::parse("arena:A:13")?];
/// let order = Order::new(seats.clone(), UserId::parse("ann")?, "card_success".parse()?, None)?;
/// assert_eq!(order.tickets(), seats);
///
/// let twice = vec![seats[0].clone(), seats[0].clone()];
/// assert!(Order::new(twice, UserId::parse("ann")?, "card_success".parse()?, None).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "AnyOrder")]
pub struct Order {
    tickets: Vec<TicketId>,
    user: UserId,
    method: PaymentMethodId,
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<HoldId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<Contact>,
}

/// How a buyer can be reached: a JSON object of the shop's own, at most [`Contact::MAX_LEN`] bytes long when written without
/// spaces. It goes into the notification and nowhere else; the core never looks into it.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Contact(Arc<str>);

/// What is wrong with a contact.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContactError {
    /// It is no JSON object.
    #[error("must be an object")]
    NoObject,
    /// It is longer than [`Contact::MAX_LEN`].
    #[error("must be at most {} bytes of JSON", Contact::MAX_LEN)]
    TooLong,
}

impl Contact {
    /// The longest contact, in bytes.
    pub const MAX_LEN: usize = 1024;

    /// This one.
    ///
    /// # Errors
    /// [`ContactError::TooLong`].
    pub fn new(object: &Map<String, Value>) -> Result<Self, ContactError> {
        let text = serde_json::to_string(object).map_err(|_| ContactError::NoObject)?;
        if text.len() > Self::MAX_LEN { Err(ContactError::TooLong) } else { Ok(Self(text.into())) }
    }

    /// The object, as JSON without spaces.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

/// From storage: kept as it was written. A number that is read and written again may have other digits, and more of them.
impl TryFrom<String> for Contact {
    type Error = ContactError;
    fn try_from(text: String) -> Result<Self, ContactError> {
        let _object: Map<String, Value> = serde_json::from_str(&text).map_err(|_| ContactError::NoObject)?;
        Ok(Self(text.into()))
    }
}

impl From<Contact> for String {
    fn from(contact: Contact) -> Self {
        contact.as_json().to_owned()
    }
}

/// Keeps it back: it says who a person is.
impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contact(…)")
    }
}

#[derive(Deserialize)]
struct AnyOrder {
    tickets: Vec<TicketId>,
    user: UserId,
    method: PaymentMethodId,
    #[serde(default)]
    hold: Option<HoldId>,
    #[serde(default)]
    contact: Option<Contact>,
}

impl TryFrom<AnyOrder> for Order {
    type Error = OrderError;
    fn try_from(order: AnyOrder) -> Result<Self, OrderError> {
        Ok(Self::new(order.tickets, order.user, order.method, order.hold)?.reached_by(order.contact))
    }
}

/// What is wrong with a list of tickets.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The list is empty.
    #[error("a checkout needs at least one ticket")]
    NoTicket,
    /// The list is longer than [`MAX_TICKETS`].
    #[error("a checkout takes at most {MAX_TICKETS} tickets")]
    TooManyTickets,
    /// A ticket is named twice.
    #[error("ticket {0} is named twice")]
    DuplicateTicket(TicketId),
}

impl Order {
    /// An order for these tickets. `hold` is the hold that the buyer already has on them, if any.
    ///
    /// # Errors
    /// [`OrderError`]: too many are found before duplicates.
    pub fn new(
        tickets: Vec<TicketId>,
        user: UserId,
        method: PaymentMethodId,
        hold: Option<HoldId>,
    ) -> Result<Self, OrderError> {
        if tickets.is_empty() {
            return Err(OrderError::NoTicket);
        }
        if tickets.len() > MAX_TICKETS {
            return Err(OrderError::TooManyTickets);
        }
        let twice = tickets.iter().enumerate().find(|(i, ticket)| tickets[..*i].contains(ticket));
        match twice {
            Some((_, ticket)) => Err(OrderError::DuplicateTicket(ticket.clone())),
            None => Ok(Self { tickets, user, method, hold, contact: None }),
        }
    }

    /// The same, with how its buyer can be reached.
    #[must_use]
    pub fn reached_by(self, contact: Option<Contact>) -> Self {
        Self { contact, ..self }
    }

    /// The tickets, in the buyer's order.
    #[must_use]
    pub fn tickets(&self) -> &[TicketId] {
        &self.tickets
    }

    /// The buyer.
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// How the buyer pays.
    #[must_use]
    pub fn method(&self) -> &PaymentMethodId {
        &self.method
    }

    /// The hold that the buyer brought.
    #[must_use]
    pub fn hold(&self) -> Option<&HoldId> {
        self.hold.as_ref()
    }

    /// How the buyer can be reached, if they said.
    #[must_use]
    pub fn contact(&self) -> Option<&Contact> {
        self.contact.as_ref()
    }
}

/// A checkout: what was ordered, under which terms, and how far it has come.
///
/// ```
/// use booking_core::checkout::{Checkout, Next, Order};
/// use booking_core::effect::Effect;
/// use booking_core::terms::Terms;
/// use booking_core::time::Timestamp;
/// use booking_core::{CheckoutId, TicketId, UserId};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let seats = vec![TicketId::parse("arena:A:12")?, TicketId::parse("hall:7")?];
/// let order = Order::new(seats, UserId::parse("ann")?, "card_success".parse()?, None)?;
/// let now = Timestamp::from_millis(1_700_000_000_000);
/// let checkout = Checkout::start(CheckoutId::parse("checkout-1")?, order, now, &Terms::default());
///
/// // It asks each map for its seats first, side by side.
/// let Next::Perform(step) = checkout.next() else { panic!("it has just begun") };
/// assert!(step.effects.iter().all(|(_, effect)| matches!(effect, Effect::Line(..))));
/// assert_eq!(step.effects.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkout {
    id: CheckoutId,
    order: Order,
    deadline: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_price: Option<Money>,
    authorize_retry: Retry,
    settle_retry: Backoff,
    step: u32,
    stage: Stage,
}

/// How far a checkout has come: what it asks for next, and what it needs for that.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// 1. Claims every line of the order.
    Holding,
    /// 2. Asks for an authorisation, unless there is nothing to pay.
    Authorising {
        /// The fences of the claims, in the order of the lines.
        fences: Vec<u64>,
        /// The sum of the holds' prices.
        amount: Money,
        /// How often it was asked.
        pace: Pace,
    },
    /// 3. Confirms every line.
    Confirming {
        /// The fences of the claims, in the order of the lines.
        fences: Vec<u64>,
        /// The amount set aside.
        amount: Money,
        /// What the gateway calls it; `None` where there is nothing to pay.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authorization: Option<AuthorizationId>,
    },
    /// 4. Takes the money, if an authorisation was asked for.
    Capturing {
        /// The amount set aside.
        amount: Money,
        /// What the gateway calls it.
        authorization: AuthorizationId,
        /// How often it was asked.
        pace: Pace,
    },
    /// 5. Tells the buyer.
    Notifying {
        /// The amount taken.
        amount: Money,
        /// What the gateway calls it; `None` where there was nothing to pay.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payment: Option<PaymentId>,
    },
    /// The way back: revokes every line, and voids the authorisation if one was ever asked for.
    Undoing {
        /// What the checkout will end with.
        failure: Failure,
        /// Whether the lines are still to be revoked.
        revoke: bool,
        /// Who voids the authorisation.
        void: VoidBy,
        /// How often the void was asked for.
        pace: Pace,
    },
    /// The end.
    Ended(Ending),
}

impl Stage {
    /// What it is, in a word, for metrics and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Holding => "holding",
            Self::Authorising { .. } => "authorising",
            Self::Confirming { .. } => "confirming",
            Self::Capturing { .. } => "capturing",
            Self::Notifying { .. } => "notifying",
            Self::Undoing { .. } => "undoing",
            Self::Ended(_) => "ended",
        }
    }
}

/// Who lets go of what may be set aside for a checkout that turns back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum VoidBy {
    /// Nobody: an authorisation was never asked for.
    Nothing,
    /// This checkout.
    Here,
    /// Its host, beside it: see [`Checkout::seats_and_money`].
    Elsewhere,
}

/// Where an effect with possibly unknown outcome stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pace {
    /// How many times it was asked and ended unknown.
    pub unknown: u32,
    /// Whether to wait before it is asked again.
    pub waiting: bool,
}

impl Pace {
    fn again(self) -> Self {
        Self { unknown: self.unknown.saturating_add(1), waiting: true }
    }

    fn waited(self) -> Self {
        Self { waiting: false, ..self }
    }
}

/// How a checkout ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ending {
    /// Every ticket is the buyer's, and paid.
    Completed {
        /// What was taken, once.
        amount: Money,
        /// What the gateway calls it; `None` where there was nothing to pay.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payment: Option<PaymentId>,
    },
    /// Nothing is the buyer's, and nothing was taken.
    Failed {
        /// Why.
        failure: Failure,
        /// Where the money is.
        money: MoneyState,
    },
}

/// Where the money of a checkout is that failed. It was never taken without being paid back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MoneyState {
    /// Nothing is set aside, nor ever will be.
    None,
    /// Something may be set aside, and is being let go of.
    LettingGo,
    /// Something was taken, and has been paid back.
    PaidBack,
}

impl MoneyState {
    /// What it is called on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::LettingGo => "lettingGo",
            Self::PaidBack => "paidBack",
        }
    }
}

/// Why a checkout failed: the cause of the earliest step, in the order of the lines.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
pub enum Failure {
    /// A claim was refused.
    #[error("{0}")]
    HoldRefused(SeatMapRefusal),
    /// The holds' prices have no sum.
    #[error("{0}")]
    NoAmount(NoAmount),
    /// The card was declined: nothing is set aside, nor ever will be under this checkout's key.
    #[error("the payment was declined: {0}")]
    PaymentDeclined(DeclineReason),
    /// What was set aside could not be taken.
    #[error("the payment was refused: {0}")]
    CaptureRefused(DeclineReason),
    /// Whether the card was authorised is still unknown after the last attempt, or the gateway says that the key was
    /// used before for something else.
    #[error("the payment gateway did not answer")]
    PaymentUnavailable,
    /// A confirm was refused, for any reason.
    #[error("the hold was over before the payment was authorised: {0}")]
    ConfirmRefused(SeatMapRefusal),
    /// It was cancelled from outside, before capture was asked for.
    #[error("the checkout was cancelled")]
    Cancelled,
}

/// Why the holds' prices have no sum.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
pub enum NoAmount {
    /// They are in several currencies.
    #[error("the tickets are priced in several currencies")]
    MixedCurrencies,
    /// It is more money than can be counted.
    #[error("the tickets cost more than can be counted")]
    TooMuch,
}

/// What a checkout wants now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// These effects, each to an outcome.
    Perform(Step),
    /// Nothing: it is over.
    Ended(Ending),
}

/// How a step went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Performed {
    pub(crate) outcomes: Vec<Outcome>,
    cancel: bool,
}

impl Performed {
    /// The outcomes of a step in the order of its effects, in whichever order they came; and whether a cancel from outside had come by the
    /// end of the step. A host journals a cancel like an outcome.
    #[must_use]
    pub fn new(outcomes: Vec<Outcome>, cancel: bool) -> Self {
        Self { outcomes, cancel }
    }
}

/// Outcomes that do not fit the step: a journal that is not this checkout's, or a broken host. Nothing to retry and
/// nothing to skip over: a person has to look.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// Fewer or more outcomes than effects.
    #[error("step {step} has {effects} effects but {outcomes} outcomes")]
    Count {
        /// Which step.
        step: u32,
        /// How many effects it has.
        effects: usize,
        /// How many outcomes came.
        outcomes: usize,
    },
    /// An outcome of another kind than its effect.
    #[error("the outcome of {op} is not of the kind of its effect")]
    Kind {
        /// Which effect.
        op: Op,
    },
    /// A journal continues after its checkout's end, or names an effect that is not there.
    #[error("{op} is no effect of the step that the checkout is at")]
    Stray {
        /// Which effect.
        op: Op,
    },
}

impl Checkout {
    /// A checkout at its start, which is `now`: its deadline follows from that and never moves.
    #[must_use]
    pub fn start(id: CheckoutId, order: Order, now: Timestamp, terms: &Terms) -> Self {
        Self {
            id,
            order,
            deadline: now.plus(terms.checkout_time),
            default_price: terms.default_price(),
            authorize_retry: terms.authorize_retry,
            settle_retry: terms.settle_retry,
            step: 0,
            stage: Stage::Holding,
        }
    }

    /// This checkout on its way back: it lets go of its seats, and of the money that was set aside for it. For a checkout
    /// that an operator made its host forget while it was under way, and only if it never asked for its capture and its
    /// buyer was never told. Where it may have asked or told, the host runs it from its start again: what it has done
    /// stands, so it ends as it would have.
    #[must_use]
    pub fn compensated(self) -> Self {
        // Far from every step that it may have had: an effect has one name for ever.
        Self { step: 1 << 31, stage: settle::undoing(Failure::Cancelled, VoidBy::Here), ..self }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &CheckoutId {
        &self.id
    }

    /// What was ordered.
    #[must_use]
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Forgets who ordered it, with what card, and how they can be reached.
    pub(crate) fn erase_buyer(&mut self) {
        self.order.user = UserId::erased();
        self.order.method = PaymentMethodId::default_card();
        self.order.contact = None;
    }

    /// When its claims end.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// How far it has come.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Which step it is at, from 0.
    #[must_use]
    pub fn step(&self) -> u32 {
        self.step
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        if let Stage::Ended(ending) = &self.stage { Some(ending) } else { None }
    }

    /// How much it comes to, once its seats are claimed; `None` before that, and on the way back.
    #[must_use]
    pub fn amount(&self) -> Option<Money> {
        match &self.stage {
            Stage::Authorising { amount, .. }
            | Stage::Confirming { amount, .. }
            | Stage::Capturing { amount, .. }
            | Stage::Notifying { amount, .. }
            | Stage::Ended(Ending::Completed { amount, .. }) => Some(*amount),
            Stage::Holding | Stage::Undoing { .. } | Stage::Ended(Ending::Failed { .. }) => None,
        }
    }

    /// What its buyer can be told, once that cannot change any more but for where the money is: how it ended, or why it failed, as
    /// soon as every seat is let go. What may be set aside is let go of after that.
    #[must_use]
    pub fn told(&self) -> Option<Ending> {
        match &self.stage {
            Stage::Ended(ending) => Some(ending.clone()),
            Stage::Undoing { revoke: false, .. } => self.fails_with(),
            Stage::Holding
            | Stage::Authorising { .. }
            | Stage::Confirming { .. }
            | Stage::Capturing { .. }
            | Stage::Notifying { .. }
            | Stage::Undoing { .. } => None,
        }
    }

    /// How it will end, once it is on its way back.
    pub(crate) fn fails_with(&self) -> Option<Ending> {
        let Stage::Undoing { failure, void, .. } = &self.stage else { return None };
        Some(Ending::Failed { failure: failure.clone(), money: settle::money_until_answered(failure, *void) })
    }

    /// Splits a checkout that has just turned back in two, so that its buyer need not wait until the money is let go of. The first
    /// half lets go of the seats. The second lets go of the money; the host runs it beside the first, and always to its end. `None`
    /// where there is no money to let go of.
    #[must_use]
    pub fn seats_and_money(&self) -> Option<(Self, Self)> {
        let Stage::Undoing { failure, revoke: true, void: VoidBy::Here, pace } = &self.stage else { return None };
        let half = |step, revoke, void| {
            let stage = Stage::Undoing { failure: failure.clone(), revoke, void, pace: *pace };
            Self { step, stage, ..self.clone() }
        };
        let far = self.step.saturating_add(FAR);
        Some((half(self.step, true, VoidBy::Elsewhere), half(far, false, VoidBy::Here)))
    }

    /// The hold it claims under: the one its buyer brought, or its own.
    #[must_use]
    pub fn hold(&self) -> HoldId {
        self.order.hold.clone().unwrap_or_else(|| HoldId::of_checkout(&self.id))
    }

    /// Whether its step is a wait or the message to the buyer, so that it asks no map and no gateway. Cheaper than
    /// [`Checkout::next`], which makes the effects.
    pub(crate) fn waits_or_notifies(&self) -> bool {
        match &self.stage {
            Stage::Authorising { pace, .. } | Stage::Capturing { pace, .. } | Stage::Undoing { pace, .. } => {
                pace.waiting
            }
            Stage::Notifying { .. } => true,
            Stage::Holding | Stage::Confirming { .. } | Stage::Ended(_) => false,
        }
    }

    /// What to do now. Asking again gives the same again.
    #[must_use]
    pub fn next(&self) -> Next {
        let effects = match &self.stage {
            Stage::Holding => self.each_line(|_| self.claim()).collect(),
            Stage::Authorising { pace, .. } if pace.waiting => self.wait(self.authorize_retry.wait, *pace),
            Stage::Authorising { amount, .. } => self.only(Effect::Pay(Payment::Authorize(Authorize {
                key: PaymentKey::authorize(&self.id),
                amount: *amount,
                method: self.order.method.clone(),
            }))),
            Stage::Confirming { fences, .. } => self.each_line(|i| self.confirm(fences.get(i).copied())).collect(),
            Stage::Capturing { pace, .. } if pace.waiting => self.wait(self.settle_retry, *pace),
            Stage::Capturing { authorization, .. } => self.only(Effect::Pay(Payment::Capture(Capture {
                key: PaymentKey::capture(&self.id),
                authorization: authorization.clone(),
            }))),
            Stage::Notifying { amount, payment } => self.only(Effect::Notify(self.message(*amount, payment.clone()))),
            Stage::Undoing { pace, .. } if pace.waiting => self.wait(self.settle_retry, *pace),
            Stage::Undoing { revoke, .. } => self.undo(*revoke),
            Stage::Ended(ending) => return Next::Ended(ending.clone()),
        };
        Next::Perform(Step { number: self.step, effects })
    }

    /// The message to the buyer, once the checkout is paid for; `None` before that, and for one that failed. It is the same
    /// for ever, so a host need not keep it beside the checkout.
    #[must_use]
    pub fn notification(&self) -> Option<Notification> {
        match &self.stage {
            Stage::Notifying { amount, payment } | Stage::Ended(Ending::Completed { amount, payment }) => {
                Some(self.message(*amount, payment.clone()))
            }
            Stage::Holding
            | Stage::Authorising { .. }
            | Stage::Confirming { .. }
            | Stage::Capturing { .. }
            | Stage::Undoing { .. }
            | Stage::Ended(Ending::Failed { .. }) => None,
        }
    }

    fn message(&self, amount: Money, payment: Option<PaymentId>) -> Notification {
        Notification {
            key: PaymentKey::notify(&self.id),
            checkout: self.id.clone(),
            user: self.order.user.clone(),
            contact: self.order.contact.clone(),
            tickets: self.order.tickets.clone(),
            amount,
            payment,
        }
    }

    /// The name of an effect of this step.
    fn op(&self, index: usize) -> Op {
        let index = u8::try_from(index).unwrap_or(u8::MAX);
        Op { checkout: self.id.clone(), step: self.step, index }
    }

    fn only(&self, effect: Effect) -> Vec<(Op, Effect)> {
        vec![(self.op(0), effect)]
    }

    /// The lines of the order, by the first ticket of each.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let mut lines: Vec<(&str, Vec<TicketId>)> = Vec::new();
        for ticket in &self.order.tickets {
            let known = lines.iter_mut().find(|(map, _)| *map == ticket.map_str());
            match known {
                Some((_, seats)) => seats.push(ticket.clone()),
                None => lines.push((ticket.map_str(), vec![ticket.clone()])),
            }
        }
        lines.into_iter().map(|(_, seats)| Line::of(seats)).collect()
    }

    /// How many lines the order has.
    fn count_lines(&self) -> usize {
        let tickets = &self.order.tickets;
        let is_first =
            |(i, ticket): &(usize, &TicketId)| !tickets[..*i].iter().any(|before| before.map_str() == ticket.map_str());
        tickets.iter().enumerate().filter(is_first).count()
    }

    fn each_line(&self, command: impl Fn(usize) -> LineCommand) -> impl Iterator<Item = (Op, Effect)> {
        let lines = self.lines().into_iter().enumerate();
        lines.map(move |(i, line)| (self.op(i), Effect::Line(line, command(i))))
    }

    fn claim(&self) -> LineCommand {
        LineCommand::Claim {
            user: self.order.user.clone(),
            hold: self.hold(),
            brought: self.order.hold.is_some(),
            checkout: self.id.clone(),
            deadline: self.deadline,
            default_price: self.default_price,
        }
    }

    fn confirm(&self, fence: Option<u64>) -> LineCommand {
        // Without a fence (a stored state that was tampered with) it confirms nothing: no claim has version 0.
        LineCommand::Confirm { hold: self.hold(), checkout: self.id.clone(), fence: fence.unwrap_or(0) }
    }

    fn wait(&self, backoff: Backoff, pace: Pace) -> Vec<(Op, Effect)> {
        self.only(Effect::Sleep(backoff.after(pace.unknown)))
    }

    /// Side by side, in the order of the specification's table.
    fn undo(&self, revoke: bool) -> Vec<(Op, Effect)> {
        let lines = if revoke { self.lines() } else { Vec::new() };
        let (hold, checkout, deadline) = (self.hold(), self.id.clone(), self.deadline);
        let command = LineCommand::Revoke { hold, checkout, deadline };
        let mut effects: Vec<Effect> = lines.into_iter().map(|line| Effect::Line(line, command.clone())).collect();
        if let Some(at) = self.void_at() {
            let declined = matches!(self.stage, Stage::Undoing { failure: Failure::PaymentDeclined(_), .. });
            let void = Void { authorize_key: PaymentKey::authorize(&self.id), declined };
            effects.insert(at, Effect::Pay(Payment::Void(void)));
        }
        effects.into_iter().enumerate().map(|(i, effect)| (self.op(i), effect)).collect()
    }

    /// Where in the current step the void stands, if there is one: money that may or may not be set aside is let go
    /// first, in every other case the seats are.
    pub(crate) fn void_at(&self) -> Option<usize> {
        match &self.stage {
            Stage::Undoing { failure: Failure::PaymentUnavailable, void: VoidBy::Here, .. }
            | Stage::Undoing { revoke: false, void: VoidBy::Here, .. } => Some(0),
            Stage::Undoing { void: VoidBy::Here, .. } => Some(self.count_lines()),
            Stage::Undoing { .. }
            | Stage::Holding
            | Stage::Authorising { .. }
            | Stage::Confirming { .. }
            | Stage::Capturing { .. }
            | Stage::Notifying { .. }
            | Stage::Ended(_) => None,
        }
    }

    /// Whether the current step is a wait.
    fn is_waiting(&self) -> bool {
        match &self.stage {
            Stage::Authorising { pace, .. } | Stage::Capturing { pace, .. } | Stage::Undoing { pace, .. } => {
                pace.waiting
            }
            Stage::Holding | Stage::Confirming { .. } | Stage::Notifying { .. } | Stage::Ended(_) => false,
        }
    }

    /// How many effects the current step has; none once it is over.
    pub(crate) fn width(&self) -> usize {
        match &self.stage {
            Stage::Holding | Stage::Confirming { .. } => self.count_lines(),
            Stage::Authorising { .. } | Stage::Capturing { .. } | Stage::Notifying { .. } => 1,
            // It waits for nothing but a void that is all there is left to do: one effect, as the void itself.
            Stage::Undoing { revoke, void, .. } => {
                usize::from(*void == VoidBy::Here) + if *revoke { self.count_lines() } else { 0 }
            }
            Stage::Ended(_) => 0,
        }
    }

    /// Takes the outcomes of the step that [`Checkout::next`] gave, and continues.
    ///
    /// # Errors
    /// [`Impossible`] when they do not fit that step: nothing has changed then, and there is nothing to retry.
    pub fn settle(&mut self, performed: &Performed) -> Result<(), Impossible> {
        let Performed { outcomes, cancel } = performed;
        if self.ending().is_some() {
            return Err(Impossible::Stray { op: self.op(0) });
        }
        let effects = self.width();
        if outcomes.len() != effects {
            return Err(Impossible::Count { step: self.step, effects, outcomes: outcomes.len() });
        }
        let misfit = outcomes.iter().enumerate().position(|(index, outcome)| !self.fits(index, outcome));
        let stage = if misfit.is_none() { self.after(outcomes) } else { None };
        let stage = stage.ok_or_else(|| Impossible::Kind { op: self.op(misfit.unwrap_or(0)) })?;
        self.stage = if *cancel { settle::cancelled(stage) } else { stage };
        self.step = self.step.saturating_add(1);
        Ok(())
    }
}
