//! The core's journal, made of Restate's: what is called, run or slept is recorded there, and handed back after a crash.
//!
//! **Time.** A checkout tells its tickets what time it is: that of the last outcome that was recorded with one (its
//! start, a payment, the end of a wait). So a ticket need not record the time again to judge the checkout's commands, and
//! a replay sends the same bytes.
//!
//! **Cancel.** An operator's cancel ends whatever is awaited, and the calls that are under way with it. Nobody knows then
//! whether these happened, so every effect of the step is performed once more, which is harmless, and the cancel goes
//! to the core with the outcomes. A wait is over then.

use std::time::Duration;

use booking_core::checkout::{Impossible, Performed};
use booking_core::effect::{Effect, Notification, Op, Outcome, Step};
use booking_core::ids::TicketId;
use booking_core::journal::Journal;
use booking_core::payment::Payment;
use booking_core::ticket::TicketCommand;
use booking_core::time::Timestamp;
use booking_core::wire::inner;
use booking_hosting::process::now;
use booking_hosting::restate::{DELIVER, FROM_INSIDE, LETTERS, Paid, TICKET};
use bytes::Bytes;
use restate_sdk::context::{
    CallFuture, Context, ContextClient, ContextSideEffects, ContextTimers, RequestTarget, RunFuture,
};
use restate_sdk::errors::TerminalError;
use restate_sdk::serde::Json;

use crate::effects::Ports;
use crate::errors::{Stopped, is_cancel};

/// The journal of one checkout.
pub(crate) struct Invocation<'a, 'c> {
    pub(crate) ctx: &'a Context<'c>,
    pub(crate) ports: &'a Ports,
    /// Whether buyers are told, as it was when this checkout began.
    pub(crate) notifies: bool,
    /// The time of the last outcome that was recorded with one.
    pub(crate) at: Timestamp,
}

/// What came of an effect: an outcome, unless a cancel got in its way.
struct Tried {
    outcome: Option<Outcome>,
    cancelled: bool,
}

impl Tried {
    const CANCELLED: Self = Self { outcome: None, cancelled: true };

    fn done(outcome: Outcome) -> Self {
        Self { outcome: Some(outcome), cancelled: false }
    }
}

impl Journal for Invocation<'_, '_> {
    type Error = Stopped;

    async fn perform(&mut self, step: Step) -> Result<Performed, Stopped> {
        let mut cancel = false;
        let mut outcomes: Vec<Option<Outcome>> = step.effects.iter().map(|_| None).collect();
        while outcomes.iter().any(Option::is_none) {
            // Called first, awaited later: side by side.
            let mut calls = Vec::new();
            let mut others = Vec::new();
            for (place, (op, effect)) in step.effects.iter().enumerate().filter(|(place, _)| outcomes[*place].is_none())
            {
                match effect {
                    Effect::Ticket(ticket, command) => calls.push((place, op, self.call(op, ticket, command)?)),
                    Effect::Pay(_) | Effect::Sleep(_) | Effect::Notify(_) => others.push((place, effect)),
                }
            }
            let mut tried = Vec::with_capacity(step.effects.len());
            for (place, effect) in others {
                tried.push((place, self.other(effect).await?));
            }
            for (place, op, call) in calls {
                tried.push((place, answered(op, call.await)?));
            }
            for (place, tried) in tried {
                outcomes[place] = tried.outcome;
                cancel |= tried.cancelled;
            }
        }
        Ok(Performed { outcomes: outcomes.into_iter().flatten().collect(), cancel })
    }
}

impl<'c> Invocation<'_, 'c> {
    /// Sends a command to a ticket.
    fn call(
        &self,
        op: &Op,
        ticket: &TicketId,
        command: &TicketCommand,
    ) -> Result<impl CallFuture<Response = Bytes> + use<'c>, Stopped> {
        let message = inner::to_ticket(command).ok_or_else(|| Impossible::Kind { op: op.clone() })?;
        let target = RequestTarget::object(TICKET, ticket.as_str(), message.handler);
        let request = self.ctx.request::<Bytes, Bytes>(target, Bytes::from(message.body));
        Ok(request.header(FROM_INSIDE.to_owned(), self.at.as_millis().to_string()).call())
    }

    /// Everything but a ticket: no step has more than one of these.
    async fn other(&mut self, effect: &Effect) -> Result<Tried, Stopped> {
        match effect {
            // Called, with the others of its step.
            Effect::Ticket(..) => Ok(Tried { outcome: None, cancelled: false }),
            Effect::Pay(payment) => self.pay(payment).await,
            Effect::Sleep(length) => {
                let slept = self.ctx.sleep(Duration::from_millis(length.0)).await;
                let cancelled = match slept {
                    Ok(()) => false,
                    Err(error) => cut_short(error)?.cancelled,
                };
                match self.ctx.run(|| async { Ok(Json(now())) }).name("now").await {
                    Ok(Json(at)) => {
                        self.at = self.at.max(at);
                        Ok(Tried { outcome: Some(Outcome::Slept { at }), cancelled })
                    }
                    Err(error) => cut_short(error),
                }
            }
            Effect::Notify(letter) => {
                if self.notifies {
                    self.send(letter);
                }
                Ok(Tried::done(Outcome::Notified))
            }
        }
    }

    async fn pay(&mut self, payment: &Payment) -> Result<Tried, Stopped> {
        let (ports, name, payment) = (self.ports.clone(), payment.name(), payment.clone());
        match self.ctx.run(move || ports.paid(payment)).name(name).await {
            Ok(Json(Paid { outcome, at })) => {
                self.at = self.at.max(at);
                Ok(Tried::done(outcome))
            }
            Err(error) => cut_short(error),
        }
    }

    /// Hands the message over: an invocation of its own delivers it.
    fn send(&self, letter: &Notification) {
        let target = RequestTarget::service(LETTERS, DELIVER);
        let _one_way = self.ctx.request::<_, ()>(target, Json(letter.clone())).send();
    }
}

/// What a ticket said.
fn answered(op: &Op, answer: Result<Bytes, TerminalError>) -> Result<Tried, Stopped> {
    match answer {
        Ok(body) => {
            let outcome = inner::read_ticket(&body).ok_or_else(|| Impossible::Kind { op: op.clone() })?;
            Ok(Tried::done(Outcome::Ticket(outcome)))
        }
        Err(error) => cut_short(error),
    }
}

/// A cancel is the core's to deal with. Nothing else ends what a checkout awaits; if something does, a person has to
/// look, and Restate keeps the journal for that.
fn cut_short(error: TerminalError) -> Result<Tried, Stopped> {
    if is_cancel(&error) { Ok(Tried::CANCELLED) } else { Err(Stopped::By(error.to_string().into())) }
}
