//! The core's journal, made of Restate's: what is called, run or slept is recorded there, and handed back after a crash.
//! All effects of a step are asked for before any is waited for, so a step is one suspension.
//!
//! **Time.** A checkout tells its tickets what time it is: that of the last outcome that was recorded with one (its
//! start, a payment, the end of a wait). So a ticket need not record the time again to judge the checkout's commands, and
//! a replay sends the same bytes.
//!
//! **Cancel.** An operator's cancel ends what is awaited, and the calls that are under way with it. Nobody knows then
//! whether these happened, so every effect of the step is performed once more, which is harmless, and the cancel goes
//! to the core with the outcomes. A wait is over then.

use std::rc::Rc;
use std::time::Duration;

use booking_core::checkout::{Impossible, Performed};
use booking_core::effect::{Effect, Notification, Op, Outcome, Step};
use booking_core::format;
use booking_core::ids::TicketId;
use booking_core::journal::Journal;
use booking_core::payment::Payment;
use booking_core::ticket::TicketCommand;
use booking_core::time::Timestamp;
use booking_core::wire::inner;
use booking_hosting::restate::{DELIVER, FROM_INSIDE, LETTERS, Paid, TICKET};
use restate_endpoint::{Bytes, Context, Done, Pending, RetryPolicy, Stop, Target};
use serde::de::DeserializeOwned;

use super::effects::{self, json};
use super::errors::Stopped;
use crate::clock::now;
use crate::settings::Settings;

/// The journal of one checkout.
pub(super) struct Invocation<'a> {
    pub(super) ctx: &'a Context,
    pub(super) settings: &'a Rc<Settings>,
    /// Whether buyers are told, as it was when this checkout began.
    pub(super) notifies: bool,
    /// The time of the last outcome that was recorded with one.
    pub(super) at: Timestamp,
}

impl Journal for Invocation<'_> {
    type Error = Stopped;

    async fn perform(&mut self, step: Step) -> Result<Performed, Stopped> {
        let mut cancel = false;
        loop {
            // Asked for first, awaited later: side by side.
            let asked = step.effects.iter().map(|(op, effect)| self.ask(op, effect, cancel));
            let pending = asked.collect::<Result<Vec<_>, Stopped>>()?;
            match self.ctx.all(pending.into_iter().flatten().collect()).await {
                // Somebody has cancelled or killed a call alone. That is as good as a cancel of the checkout.
                Ok(done) if done.iter().any(is_cancelled) => cancel = true,
                Ok(done) => {
                    let mut done = done.into_iter();
                    let mut outcomes = Vec::with_capacity(step.effects.len());
                    let mut cancelled = cancel;
                    for (op, effect) in &step.effects {
                        let (outcome, meanwhile) = self.outcome(op, effect, cancel, &mut done).await?;
                        outcomes.push(outcome);
                        cancelled |= meanwhile;
                    }
                    return Ok(Performed { outcomes, cancel: cancelled });
                }
                Err(Stop::Cancelled) => cancel = true,
                Err(stop) => return Err(stop.into()),
            }
        }
    }
}

impl Invocation<'_> {
    /// Asks for an effect; `None` where there is nothing to wait for.
    fn ask(&self, op: &Op, effect: &Effect, cancelled: bool) -> Result<Option<Pending>, Stopped> {
        Ok(match effect {
            Effect::Ticket(ticket, command) => Some(self.call(op, ticket, command)?),
            Effect::Pay(payment) => Some(self.pay(payment)?),
            Effect::Sleep(_) if cancelled => None,
            Effect::Sleep(length) => Some(self.ctx.sleep(Duration::from_millis(length.0))?),
            Effect::Notify(letter) => {
                if self.notifies {
                    self.send(letter)?;
                }
                None
            }
        })
    }

    /// What came of it, and whether a cancel came meanwhile.
    async fn outcome(
        &mut self,
        op: &Op,
        effect: &Effect,
        cancelled: bool,
        done: &mut impl Iterator<Item = Done>,
    ) -> Result<(Outcome, bool), Stopped> {
        let impossible = || Stopped::Impossible(Impossible::Kind { op: op.clone() });
        match effect {
            Effect::Ticket(..) => {
                let body = bytes(done.next())?;
                let said = inner::read_ticket(&body).ok_or_else(impossible)?;
                Ok((Outcome::Ticket(said), false))
            }
            Effect::Pay(_) => {
                let Paid { outcome, at } = recorded(&bytes(done.next())?)?;
                self.at = self.at.max(at);
                Ok((outcome, false))
            }
            Effect::Sleep(_) => {
                if !cancelled {
                    bytes(done.next())?;
                }
                let (at, meanwhile) = clock(self.ctx).await?;
                self.at = self.at.max(at);
                Ok((Outcome::Slept { at }, meanwhile))
            }
            Effect::Notify(_) => Ok((Outcome::Notified, false)),
        }
    }

    /// Sends a command to a ticket.
    fn call(&self, op: &Op, ticket: &TicketId, command: &TicketCommand) -> Result<Pending, Stopped> {
        let message = inner::to_ticket(command).ok_or_else(|| Impossible::Kind { op: op.clone() })?;
        let target = Target {
            service: TICKET.to_owned(),
            handler: message.handler.to_owned(),
            key: Some(ticket.as_str().to_owned()),
            headers: vec![(FROM_INSIDE.to_owned(), self.at.as_millis().to_string())],
        };
        Ok(self.ctx.call(target, message.body.into())?)
    }

    fn pay(&self, payment: &Payment) -> Result<Pending, Stopped> {
        let work = effects::paid(Rc::clone(self.settings), payment.clone());
        Ok(self.ctx.run(payment.name(), RetryPolicy::Infinite, work)?)
    }

    /// Hands the message over: an invocation of its own delivers it.
    fn send(&self, letter: &Notification) -> Result<(), Stop> {
        let target = Target { service: LETTERS.to_owned(), handler: DELIVER.to_owned(), ..Target::default() };
        self.ctx.send(target, json(letter), None)
    }
}

/// What time it is, recorded; and whether a cancel came meanwhile, which is the caller's to deal with.
pub(super) async fn clock(ctx: &Context) -> Result<(Timestamp, bool), Stop> {
    let mut cancelled = false;
    loop {
        let now = ctx.run("now", RetryPolicy::Infinite, async { Ok(json(&now())) })?;
        match ctx.done(now).await {
            Ok(done) => return Ok((recorded(&bytes(Some(done))?)?, cancelled)),
            Err(Stop::Cancelled) => cancelled = true,
            Err(stop) => return Err(stop),
        }
    }
}

/// Whether an awaited call ended because somebody cancelled it. No ticket answers like that: its refusals are answers.
fn is_cancelled(done: &Done) -> bool {
    done.as_ref().is_err_and(|end| end.code == Stop::CANCELLED)
}

/// Nothing but a cancel ends what a checkout awaits; if something does, a person has to look, and Restate keeps the
/// journal for that.
fn bytes(done: Option<Done>) -> Result<Bytes, Stop> {
    match done {
        Some(Ok(bytes)) => Ok(bytes),
        Some(Err(end)) => Err(Stop::Retry(end.message)),
        None => Err(Stop::Retry("an effect has no outcome".to_owned())),
    }
}

/// What was recorded.
pub(super) fn recorded<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Stop> {
    format::read_json(bytes).ok_or_else(|| Stop::Retry("what was recorded cannot be read".to_owned()))
}
