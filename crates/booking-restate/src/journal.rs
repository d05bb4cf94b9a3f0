//! The core's journal, made of Restate's: what is called, run or slept is recorded there, and handed back after a crash.
//! All effects of a step are asked for before any is awaited.
//!
//! **Time.** A checkout tells maps what time it is: that of the last outcome that was recorded with one (its start, a payment,
//! the end of a wait). So a map need not record the time again to judge the checkout's commands, and a replay sends the same
//! bytes.
//!
//! **What is given up.** A map refuses at once a command that it cannot judge, or that names a seat which cannot be read: the others
//! need not wait. The checkout of such a command waits and asks again, until a person has mended the cause.
//!
//! **What waits in vain.** A capture or void that the gateway did not answer is known to [`stuck`](crate::stuck) before it is asked
//! for again, and so is a command that was given up. Where an operator knows what became of the payment, their word is the outcome.
//!
//! **Cancel.** An operator's cancel ends what is awaited, and the calls that are under way with it. Whether these happened
//! is unknown, so each effect without an outcome is performed once more, which is harmless, and the cancel goes to the core
//! with the outcomes. A wait is over then.

use std::time::Duration;

use booking_core::checkout::{Checkout, Performed};
use booking_core::effect::{Effect, Outcome, Step};
use booking_core::format;
use booking_core::ids::{CheckoutId, TicketId};
use booking_core::inventory::of_map;
use booking_core::journal::StepExecutor;
use booking_core::payment::{Payment, PaymentAnswer};
use booking_core::progress::Resolution;
use booking_core::terms::Backoff;
use booking_core::time::{Millis, Timestamp};
use booking_core::wire::MapCall;
use bytes::Bytes;
use restate_endpoint::{Done, Stop};
use serde::de::DeserializeOwned;

use crate::context::{Context, Work, json};
use crate::handler::Handler;
use crate::host::End;
use crate::records::{Beside, Judged, Message, PaymentOutcome, Waiting, WaitsFor};

/// The journal of one checkout.
pub(crate) struct Invocation<'a, C> {
    pub(crate) ctx: &'a C,
    /// Whether the host sent messages to buyers when this checkout began.
    pub(crate) notifies: bool,
    /// Whether a cancel turns the checkout back. It does not keep one from its end that an operator recovers.
    pub(crate) heeds_cancel: bool,
    /// Whether money is let go of beside this invocation, so that its caller need not wait for that.
    pub(crate) parts: bool,
    /// The time of the last outcome that was recorded with one.
    at: Timestamp,
    /// The checkout.
    id: CheckoutId,
    /// What it is about.
    tickets: Vec<TicketId>,
    /// How often its payment was asked for in vain, and since when.
    in_vain: Option<(u32, Timestamp)>,
}

impl<'a, C> Invocation<'a, C> {
    /// That of a checkout that sends no message, heeds no cancel, and lets go of its money itself.
    pub(crate) fn of(ctx: &'a C, checkout: &Checkout, at: Timestamp) -> Self {
        let (id, tickets) = (checkout.id().clone(), checkout.order().tickets().to_vec());
        Self { ctx, notifies: false, heeds_cancel: false, parts: false, at, id, tickets, in_vain: None }
    }
}

/// The waits before a map is asked again that has given a turn up.
const AGAIN: Backoff = Backoff { first: Millis::from_secs(1), cap: Millis::from_mins(10) };

impl<C: Context> StepExecutor for Invocation<'_, C> {
    type Error = End;

    fn run_beside(&mut self, money: Checkout) -> Result<bool, End> {
        if self.parts {
            let beside = format::write(&Beside { checkout: money, at: self.at });
            self.ctx.send(Handler::LetGo.target(None), beside.into(), None)?;
        }
        Ok(self.parts)
    }

    async fn perform(&mut self, step: Step) -> Result<Performed, End> {
        let (mut cancel, mut failed) = (false, 0);
        let mut outcomes: Vec<Option<Outcome>> = vec![None; step.effects.len()];
        for (place, (_, effect)) in step.effects.iter().enumerate() {
            if let Effect::Pay(payment) = effect
                && let Some(answer) = self.word(payment, &mut cancel).await?
            {
                outcomes[place] = Some(self.paid(payment, answer)?);
            }
        }
        loop {
            let (mut places, mut pending) = (Vec::new(), Vec::new());
            for (place, (_, effect)) in step.effects.iter().enumerate() {
                if outcomes[place].is_some() {
                    continue;
                }
                match self.ask(effect, cancel)? {
                    Some(asked) => {
                        places.push(place);
                        pending.push(asked);
                    }
                    None => outcomes[place] = Some(self.outcome(effect, None, &mut cancel).await?),
                }
            }
            if pending.is_empty() {
                if failed > 0 {
                    self.clear()?;
                }
                let outcomes = outcomes.into_iter().flatten().collect();
                return Ok(Performed::new(outcomes, cancel && self.heeds_cancel));
            }
            let Some(done) = uncancelled(self.ctx.all(pending).await, &mut cancel)? else { continue };
            let mut given_up = None;
            for (place, done) in places.into_iter().zip(done) {
                let effect = &step.effects[place].1;
                match done {
                    Err(end) if end.code != Stop::CANCELLED && matches!(effect, Effect::Line(..)) => {
                        given_up = Some(effect);
                    }
                    done => {
                        if let Some(bytes) = ended(done, &mut cancel)? {
                            outcomes[place] = Some(self.outcome(effect, Some(&bytes), &mut cancel).await?);
                        }
                    }
                }
            }
            if let Some(Effect::Line(line, _)) = given_up {
                failed += 1;
                let since = self.at;
                let _word = self.report(WaitsFor::Map(line.at.clone()), failed, since, &mut cancel).await?;
                let pause = self.ctx.sleep(Duration::from_millis(AGAIN.after(failed).0))?;
                let _slept = uncancelled(self.ctx.all(vec![pause]).await, &mut cancel)?;
            }
        }
    }
}

impl<C: Context> Invocation<'_, C> {
    /// Asks for an effect; `None` where there is nothing to wait for.
    fn ask(&self, effect: &Effect, cancelled: bool) -> Result<Option<C::Pending>, Stop> {
        Ok(match effect {
            Effect::Line(line, command) => {
                let call = MapCall::Line(line.seats.clone(), command.clone());
                let message = json(&Message { call, at: self.at });
                Some(self.ctx.call(Handler::MapTurn.target(Some(line.at.as_str())), message)?)
            }
            Effect::Pay(payment) => Some(self.ctx.run(Work::Pay(payment.clone()))?),
            Effect::Sleep(_) if cancelled => None,
            Effect::Sleep(length) => Some(self.ctx.sleep(Duration::from_millis(length.0))?),
            Effect::Notify(notification) => {
                if self.notifies {
                    self.ctx.send(Handler::Deliver.target(None), json(notification), None)?;
                }
                None
            }
        })
    }

    /// What an operator has said about a payment that was asked for in vain.
    async fn word(&self, payment: &Payment, cancel: &mut bool) -> Result<Option<PaymentAnswer>, Stop> {
        let Some((in_vain, since)) = self.in_vain else { return Ok(None) };
        let word = self.report(WaitsFor::Gateway(payment.clone()), in_vain, since, cancel).await?;
        Ok(word.and_then(|word| word.answers(payment)))
    }

    /// Tells operators what this checkout waits for. What one of them has said about it.
    async fn report(
        &self,
        waits_for: WaitsFor,
        in_vain: u32,
        since: Timestamp,
        cancel: &mut bool,
    ) -> Result<Option<Resolution>, Stop> {
        let waiting = Waiting { waits_for, in_vain, since, tickets: self.tickets.clone() };
        let report = self.ctx.call(Handler::StuckReport.target(Some(self.id.as_str())), json(&waiting))?;
        let done = uncancelled(self.ctx.all(vec![report]).await, cancel)?.and_then(|done| done.into_iter().next());
        let Some(bytes) = done.map(|done| ended(done, cancel)).transpose()?.flatten() else { return Ok(None) };
        recorded(&bytes)
    }

    /// Nothing is waited for in vain any more.
    fn clear(&self) -> Result<(), Stop> {
        self.ctx.send(Handler::StuckClear.target(Some(self.id.as_str())), Bytes::new(), None)
    }

    /// Takes a gateway's answer, or the word in its place.
    fn paid(&mut self, payment: &Payment, answer: PaymentAnswer) -> Result<Outcome, Stop> {
        // An authorisation that is not answered ends by itself.
        if answer == payment.unanswered() && !matches!(payment, Payment::Authorize(_)) {
            let (in_vain, since) = self.in_vain.unwrap_or((0, self.at));
            self.in_vain = Some((in_vain + 1, since));
        } else if self.in_vain.take().is_some() {
            self.clear()?;
        }
        Ok(Outcome::Paid(answer))
    }

    /// What came of it.
    async fn outcome(&mut self, effect: &Effect, done: Option<&Bytes>, cancel: &mut bool) -> Result<Outcome, Stop> {
        let bytes = done.map(|bytes| &bytes[..]).unwrap_or_default();
        match effect {
            Effect::Line(..) => {
                let Judged { outcome, .. } = recorded(bytes)?;
                Ok(Outcome::Line(of_map(outcome)))
            }
            Effect::Pay(payment) => {
                let PaymentOutcome { outcome, at } = recorded(bytes)?;
                self.at = self.at.max(at);
                if let Outcome::Paid(answer) = outcome { self.paid(payment, answer) } else { Ok(outcome) }
            }
            Effect::Sleep(_) => {
                let at = clock(self.ctx, cancel).await?;
                self.at = self.at.max(at);
                Ok(Outcome::Slept { at })
            }
            Effect::Notify(_) => Ok(Outcome::Notified),
        }
    }
}

/// What time it is, recorded. A cancel meanwhile is noted, for the caller to deal with.
pub(crate) async fn clock<C: Context>(ctx: &C, cancel: &mut bool) -> Result<Timestamp, Stop> {
    loop {
        let now = ctx.run(Work::Record("now", json(&ctx.now())))?;
        if let Some(done) = uncancelled(ctx.all(vec![now]).await, cancel)?.and_then(|done| done.into_iter().next())
            && let Some(bytes) = ended(done, cancel)?
        {
            return recorded(&bytes);
        }
    }
}

/// What several things came to; `None` where a cancel came instead, which is noted.
fn uncancelled(done: Result<Vec<Done>, Stop>, cancel: &mut bool) -> Result<Option<Vec<Done>>, Stop> {
    match done {
        Err(Stop::Cancelled) => {
            *cancel = true;
            Ok(None)
        }
        done => done.map(Some),
    }
}

/// What one thing came to; `None` where it was cancelled, alone or with this invocation. A map's refusals are answers, so
/// nothing else ends what a checkout awaits; if something does, a person has to look, and Restate keeps the journal for that.
fn ended(done: Done, cancel: &mut bool) -> Result<Option<Bytes>, Stop> {
    match done {
        Ok(bytes) => Ok(Some(bytes)),
        Err(end) if end.code == Stop::CANCELLED => {
            *cancel = true;
            Ok(None)
        }
        Err(end) => Err(Stop::Retry(end.message)),
    }
}

/// What was recorded.
pub(crate) fn recorded<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Stop> {
    format::read_json(bytes).ok_or_else(|| Stop::Retry("what was recorded cannot be read".to_owned()))
}
