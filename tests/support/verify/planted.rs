//! Wrong rules, each wrong in one place: a harness that does not find them proves nothing.
//!
//! The first eleven are the bugs of the proof of concept that this project began as. None of this is in any build but
//! that of the tests.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "each is wrong in one case, and right in all others, whichever they are"
)]

use booking_core::checkout::{Checkout, Failure, Stage};
use booking_core::effect::{Effect, Op, Outcome};
use booking_core::ids::{CheckoutId, PaymentKey, TicketId};
use booking_core::inventory::{LineCommand, LineReply};
use booking_core::machine::{Machine, Transition};
use booking_core::payment::{
    Account, AuthorizeAnswer, CaptureAnswer, DeclineReason, Ledger, LedgerEvent, Payment, PaymentAnswer, VoidAnswer,
};
use booking_core::running::Running;
use booking_core::seat_map::{SeatMap, SeatMapCommand, SeatMapEvent, SeatMapReply};
use booking_core::testing::rules::Rules;
use booking_core::ticket::{
    Hold, Term, Ticket, TicketCommand, TicketEvent, TicketNotices, TicketRefusal, TicketReply, TicketState, Timer,
};
use booking_core::time::{Millis, Timestamp};

/// What a bug breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A cell of the ticket's table.
    Table,
    /// The number that ties a confirm to its claim.
    Fence,
    /// A checkout's grip.
    Claim,
    /// When a claim or a hold ends.
    Deadline,
    /// The way back.
    Undo,
    /// The names that reach the outside.
    KeyDerivation,
    /// What is remembered of a checkout.
    Journal,
    /// Notices that outlive a crash.
    Outbox,
    /// The timers of a ticket.
    TimerSet,
    /// Same key, same answer.
    Idempotency,
    /// Which of two updates is newer.
    MapVersion,
    /// Unknown is not no.
    Unknown,
}

/// A planted bug.
#[derive(Clone, Copy, Debug)]
pub struct Bug {
    /// What is wrong.
    pub name: &'static str,
    /// What it breaks.
    pub class: Class,
    /// Whether the proof of concept had it.
    pub of_the_reference: bool,
    /// The rules with it.
    pub rules: &'static dyn Rules,
}

type Judgement = Result<Transition<Ticket>, TicketRefusal>;

/// Accepts, and changes nothing.
fn accept(reply: TicketReply) -> Judgement {
    Ok(Transition { event: None, reply, notices: TicketNotices::default() })
}

/// As the rules decide, but to another state.
fn move_to(ticket: &Ticket, now: Timestamp, state: TicketState, reply: TicketReply) -> Judgement {
    let at = now.max(ticket.at());
    let update = booking_core::ticket::MapUpdate { status: state.status(), version: ticket.version() + 1 };
    let event = TicketEvent { at, moved: Some(state), listed: None, ended: Vec::new() };
    let notices = TicketNotices { map: Some(update), timer: None };
    Ok(Transition { event: Some(event), reply, notices })
}

/// A moment before.
fn before(moment: Timestamp) -> Timestamp {
    Timestamp::from_millis(moment.as_millis().saturating_sub(1))
}

/// The stage that a checkout is on the way back from, if it is on the way back.
fn failure(running: &Running) -> Option<&Failure> {
    if let Stage::Undoing { failure, .. } = running.checkout().stage() { Some(failure) } else { None }
}

/// How often the current effect has ended unknown.
fn unknown(running: &Running) -> u32 {
    match running.checkout().stage() {
        Stage::Authorising { pace, .. } | Stage::Capturing { pace, .. } | Stage::Undoing { pace, .. } => pace.unknown,
        Stage::Holding | Stage::Confirming { .. } | Stage::Notifying { .. } | Stage::Ended(_) => 0,
    }
}

/// A void that voids nothing.
fn void_of_nothing() -> Effect {
    Effect::Pay(Payment::Void(booking_core::payment::Void { authorize_key: key("nothing") }))
}

fn key(text: &str) -> PaymentKey {
    PaymentKey::parse(text).expect("printable")
}

/// Answers every effect that is pending.
fn answer_all(running: &Running, answer: impl Fn(&Effect) -> Option<Outcome>) -> Running {
    let mut recovered = running.clone();
    for (op, effect) in running.pending() {
        if let Some(outcome) = answer(&effect) {
            let _step_or_waiting = recovered.record(&op, outcome);
        }
    }
    recovered
}

macro_rules! planted {
    ($($rules:ident, $class:ident, $reference:literal, $name:literal { $($body:item)* })*) => {
        $(
            #[derive(Debug)]
            struct $rules;
            impl Rules for $rules { $($body)* }
        )*

        /// Every planted bug.
        pub const BUGS: &[Bug] = &[
            $(Bug { name: $name, class: Class::$class, of_the_reference: $reference, rules: &$rules },)*
        ];
    };
}

planted! {
    HoldsNeverLapse, Deadline, true, "holds never lapse" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            let end = ticket.hold().map(Hold::end);
            ticket.decide(command, end.map_or(now, |end| now.min(before(end))))
        }
    }
    ReleaseFreesASale, Table, true, "anyone's release frees a sold seat" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            match command {
                TicketCommand::Release { .. } if ticket.sale().is_some() => {
                    move_to(ticket, now, TicketState::Available, TicketReply::Done)
                }
                _ => ticket.decide(command, now),
            }
        }
    }
    ConfirmWithoutAHold, Table, true, "a confirm needs no hold and no payment" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            let judged = ticket.decide(command, now);
            match (command, &judged) {
                (TicketCommand::Confirm { hold, checkout, fence }, Err(TicketRefusal::HoldExpired | TicketRefusal::HoldNotFound)) => {
                    let to = Some(booking_core::ticket::SoldTo { checkout: checkout.clone(), fence: *fence });
                    let (by, price) = (booking_core::ids::UserId::parse("somebody").expect("a good id"), booking_core::money::Money::DEFAULT_PRICE);
                    let sale = booking_core::ticket::Sale { hold: hold.clone(), by, price, until: None, to, at: now.max(ticket.at()) };
                    move_to(ticket, now, TicketState::Sold(sale.into()), TicketReply::Done)
                }
                _ => judged,
            }
        }
    }
    BothCheckoutsCharge, Claim, true, "one user's two checkouts both charge" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            let judged = ticket.decide(command, now);
            match (command, &judged) {
                (TicketCommand::Claim { user, .. }, Err(TicketRefusal::CheckoutInProgress | TicketRefusal::TicketReserved { .. })) => {
                    match ticket.hold() {
                        Some(hold) if hold.by == *user => {
                            let fence = hold.claim().map_or(ticket.version(), |claim| claim.fence);
                            accept(TicketReply::Claimed { fence, price: hold.price })
                        }
                        _ => judged,
                    }
                }
                (TicketCommand::Confirm { .. }, Err(TicketRefusal::TicketSold | TicketRefusal::HoldNotFound)) => accept(TicketReply::Done),
                _ => judged,
            }
        }
    }
    ADeclineFreesOthers, Undo, true, "a declined checkout frees another's seat" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            match command {
                TicketCommand::Revoke { .. } if ticket.hold().is_some() || ticket.sale().is_some() => {
                    let mut judged = move_to(ticket, now, TicketState::Available, TicketReply::Done)?;
                    let ends = ticket.decide(command, now)?.event.map(|event| event.ended).unwrap_or_default();
                    judged.event.iter_mut().for_each(|event| event.ended.clone_from(&ends));
                    Ok(judged)
                }
                _ => ticket.decide(command, now),
            }
        }
    }
    AResetWipesSales, Table, true, "a reset that is old wipes a sale" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            match command {
                TicketCommand::Reset { .. } => ticket.decide(&TicketCommand::Cleanup, now),
                _ => ticket.decide(command, now),
            }
        }
    }
    AKilledCheckoutLeaks, TimerSet, true, "a killed checkout leaks its seat: no timer for claims" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            let mut judged = ticket.decide(command, now)?;
            if let TicketCommand::Claim { .. } = command {
                judged.notices.timer = None;
            }
            Ok(judged)
        }
    }
    BooksUndefined, Table, true, "a seat called undefined is booked" {
        fn effect(&self, _running: &Running, _op: &Op, effect: Effect, _attempt: u8, _now: Timestamp) -> Effect {
            match effect {
                Effect::Line(_, command) => Effect::Line(TicketId::parse("undefined").expect("a good id").into(), command),
                other => other,
            }
        }
    }
    ARefusalIsRetried, Unknown, true, "a refusal is an error to be retried" {
        fn outcome(&self, _running: &Running, _op: &Op, outcome: Outcome, _attempt: u8) -> Option<Outcome> {
            if let Outcome::Line(Err(_)) = outcome { None } else { Some(outcome) }
        }
    }
    NoVoidAfterARefusedConfirm, Undo, true, "what was authorised is kept when a confirm is refused" {
        fn effect(&self, running: &Running, _op: &Op, effect: Effect, _attempt: u8, _now: Timestamp) -> Effect {
            match (&effect, failure(running)) {
                (Effect::Pay(Payment::Void(_)), Some(Failure::ConfirmRefused(_))) => void_of_nothing(),
                _ => effect,
            }
        }
    }
    ATimeoutIsADecline, Unknown, true, "a gateway's timeout counts as a decline" {
        fn outcome(&self, _running: &Running, _op: &Op, outcome: Outcome, _attempt: u8) -> Option<Outcome> {
            Some(match outcome {
                Outcome::Paid(PaymentAnswer::Authorize(AuthorizeAnswer::Unavailable)) => {
                    Outcome::Paid(PaymentAnswer::Authorize(AuthorizeAnswer::Declined(DeclineReason::new("timeout"))))
                }
                other => other,
            })
        }
        fn effect(&self, running: &Running, _op: &Op, effect: Effect, _attempt: u8, _now: Timestamp) -> Effect {
            match (&effect, failure(running)) {
                (Effect::Pay(Payment::Void(_)), Some(Failure::PaymentDeclined(_))) => void_of_nothing(),
                _ => effect,
            }
        }
    }
    ConfirmIgnoresTheFence, Fence, false, "a confirm is taken whatever its fence" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            match command {
                TicketCommand::Confirm { hold, checkout, .. } => {
                    let claim = ticket.hold().and_then(Hold::claim).filter(|claim| claim.checkout == *checkout);
                    let fence = claim.map_or(0, |claim| claim.fence);
                    let confirm = TicketCommand::Confirm { hold: hold.clone(), checkout: checkout.clone(), fence };
                    if claim.is_some() { ticket.decide(&confirm, now) } else { ticket.decide(command, now) }
                }
                _ => ticket.decide(command, now),
            }
        }
    }
    AClaimIsTakenOver, Claim, false, "a claim is taken over by another checkout under the same hold" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            let judged = ticket.decide(command, now);
            match (command, &judged, ticket.hold()) {
                (TicketCommand::Claim { checkout, deadline, .. }, Err(TicketRefusal::CheckoutInProgress), Some(hold)) => {
                    let fence = ticket.version() + 1;
                    let claim = booking_core::ticket::Claim { checkout: checkout.clone(), deadline: *deadline, fence };
                    let term = Term::Claimed { claim, until: hold.until() };
                    let state = TicketState::Reserved(Hold { term, ..hold.clone() }.into());
                    move_to(ticket, now, state, TicketReply::Claimed { fence, price: hold.price })
                }
                _ => judged,
            }
        }
    }
    AClaimGrows, Claim, false, "a claim grows each time a checkout asks again" {
        fn effect(&self, _running: &Running, _op: &Op, effect: Effect, _attempt: u8, now: Timestamp) -> Effect {
            match effect {
                Effect::Line(line, LineCommand::Claim { user, hold, brought, checkout, unlisted, .. }) => {
                    let deadline = now.plus(Millis::from_secs(20));
                    Effect::Line(line, LineCommand::Claim { user, hold, brought, checkout, deadline, unlisted })
                }
                other => other,
            }
        }
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            let judged = ticket.decide(command, now);
            match (command, ticket.hold(), ticket.hold().and_then(Hold::claim)) {
                (TicketCommand::Claim { checkout, deadline, .. }, Some(hold), Some(claim))
                    if judged.is_ok() && claim.checkout == *checkout && *deadline > claim.deadline =>
                {
                    let claim = booking_core::ticket::Claim { deadline: *deadline, ..claim.clone() };
                    let reply = TicketReply::Claimed { fence: claim.fence, price: hold.price };
                    let term = Term::Claimed { claim, until: hold.until() };
                    move_to(ticket, now, TicketState::Reserved(Hold { term, ..hold.clone() }.into()), reply)
                }
                _ => judged,
            }
        }
    }
    ALapsedClaimConfirms, Deadline, false, "a claim that has lapsed confirms while its hold is live" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            let deadline = ticket.hold().and_then(Hold::claim).map(|claim| claim.deadline);
            let live = ticket.hold().is_some_and(|hold| now < hold.end());
            match (command, deadline) {
                (TicketCommand::Confirm { .. }, Some(deadline)) if live => ticket.decide(command, now.min(before(deadline))),
                _ => ticket.decide(command, now),
            }
        }
    }
    TheEndIsStillIn, Deadline, false, "at exactly its end a hold is still live" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            let at_the_end = ticket.hold().is_some_and(|hold| hold.end() == now);
            match command {
                TicketCommand::Confirm { .. } if at_the_end => ticket.decide(command, before(now)),
                _ => ticket.decide(command, now),
            }
        }
    }
    AStaleTimerEndsAHold, TimerSet, false, "a timer ends whatever hold it finds" {
        fn fire(&self, timer: Timer) -> TicketCommand {
            TicketCommand::Expire { hold: timer.hold, until: Timestamp::MAX }
        }
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            match command {
                TicketCommand::Expire { .. } if ticket.hold().is_some() => {
                    let mut judged = move_to(ticket, now, TicketState::Available, TicketReply::Done)?;
                    let ends = ticket.decide(command, ticket.hold().map_or(now, Hold::end))?.event.map(|event| event.ended);
                    judged.event.iter_mut().for_each(|event| event.ended = ends.clone().unwrap_or_default());
                    Ok(judged)
                }
                _ => ticket.decide(command, now),
            }
        }
    }
    AnEarlyTimerEndsItsHold, TimerSet, false, "a timer that comes early ends its hold" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            match command {
                TicketCommand::Expire { until, .. } => ticket.decide(command, now.max(*until)),
                _ => ticket.decide(command, now),
            }
        }
    }
    AnEarlyTimerIsLost, TimerSet, false, "a timer that comes early is not armed again" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            let mut judged = ticket.decide(command, now)?;
            if let TicketCommand::Expire { .. } = command {
                judged.notices.timer = None;
            }
            Ok(judged)
        }
    }
    AnEarlyTimerOfAClaimIsLost, TimerSet, false, "a timer that comes early is not armed again while its hold is claimed" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            let mut judged = ticket.decide(command, now)?;
            let claimed = ticket.hold().is_some_and(|hold| hold.claim().is_some());
            if let (TicketCommand::Expire { .. }, true) = (command, claimed) {
                judged.notices.timer = None;
            }
            Ok(judged)
        }
    }
    OnlyTheMinimumIsArmed, TimerSet, false, "of a ticket's timers only the first is kept" {
        fn arm(&self, armed: &mut Vec<Timer>, timer: Timer) {
            armed.push(timer);
            armed.sort_by_key(|timer| timer.until);
            armed.truncate(1);
        }
    }
    ARevokeLeavesNoMark, Undo, false, "a revoke that finds nothing leaves no mark" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            let judged = ticket.decide(command, now)?;
            let found_nothing = judged.event.as_ref().is_none_or(|event| event.moved.is_none());
            match command {
                TicketCommand::Revoke { .. } if found_nothing => accept(TicketReply::Done),
                _ => Ok(judged),
            }
        }
    }
    TheRefusedAreNotRevoked, Undo, false, "a ticket that refused its claim is not revoked" {
        fn effect(&self, running: &Running, _op: &Op, effect: Effect, _attempt: u8, _now: Timestamp) -> Effect {
            match (effect, failure(running)) {
                (Effect::Line(line, LineCommand::Revoke { hold, deadline, .. }), Some(Failure::HoldRefused(refused)))
                    if refused.ticket.as_ref() == Some(line.first()) =>
                {
                    // Something that is answered like it, and undoes nothing.
                    let checkout = CheckoutId::parse("another").expect("a good id");
                    Effect::Line(line, LineCommand::Revoke { hold, checkout, deadline })
                }
                (effect, _) => effect,
            }
        }
    }
    ARevokeLeavesTheSale, Undo, false, "a revoke leaves a sale" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            match command {
                TicketCommand::Revoke { .. } if ticket.sale().is_some() => accept(TicketReply::Done),
                _ => ticket.decide(command, now),
            }
        }
    }
    ARevokeTakesTheHoldToo, Undo, false, "a declined buyer loses the hold" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            let mut judged = ticket.decide(command, now)?;
            if let TicketCommand::Revoke { .. } = command {
                let moved = judged.event.as_mut().and_then(|event| event.moved.as_mut());
                moved.into_iter().for_each(|state| *state = TicketState::Available);
            }
            Ok(judged)
        }
    }
    AReleaseForgets, Claim, false, "a released hold can be had again by a late copy" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            let mut judged = ticket.decide(command, now)?;
            if let TicketCommand::Release { .. } = command {
                judged.event.iter_mut().for_each(|event| event.ended.clear());
            }
            Ok(judged)
        }
    }
    AReleaseDoesNothing, Table, false, "a release is accepted and does nothing" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            let judged = ticket.decide(command, now)?;
            if let TicketCommand::Release { .. } = command { accept(TicketReply::Done) } else { Ok(judged) }
        }
    }
    AnUnknownVoidIsDone, Undo, false, "a void without an answer counts as done" {
        fn outcome(&self, _running: &Running, _op: &Op, outcome: Outcome, _attempt: u8) -> Option<Outcome> {
            Some(match outcome {
                Outcome::Paid(PaymentAnswer::Void(VoidAnswer::Unavailable)) => Outcome::Paid(PaymentAnswer::Void(VoidAnswer::Voided)),
                other => other,
            })
        }
    }
    AVoidIsAskedTwice, Undo, false, "a void is given up after two tries" {
        fn outcome(&self, running: &Running, _op: &Op, outcome: Outcome, _attempt: u8) -> Option<Outcome> {
            Some(match outcome {
                Outcome::Paid(PaymentAnswer::Void(VoidAnswer::Unavailable)) if unknown(running) > 0 => Outcome::Paid(PaymentAnswer::Void(VoidAnswer::Voided)),
                other => other,
            })
        }
    }
    ACaptureIsAskedTwice, Unknown, false, "a capture is given up after two tries" {
        fn outcome(&self, running: &Running, _op: &Op, outcome: Outcome, _attempt: u8) -> Option<Outcome> {
            Some(match outcome {
                Outcome::Paid(PaymentAnswer::Capture(CaptureAnswer::Unavailable)) if unknown(running) > 0 => {
                    Outcome::Paid(PaymentAnswer::Capture(CaptureAnswer::Declined(DeclineReason::new("timeout"))))
                }
                other => other,
            })
        }
    }
    NoVoidOfTheUnknown, Undo, false, "what may have been authorised in vain is not voided" {
        fn effect(&self, running: &Running, _op: &Op, effect: Effect, _attempt: u8, _now: Timestamp) -> Effect {
            match (&effect, failure(running)) {
                (Effect::Pay(Payment::Void(_)), Some(Failure::PaymentUnavailable)) => void_of_nothing(),
                _ => effect,
            }
        }
    }
    UnknownIsNoAfterACrash, Unknown, false, "after a crash an unknown authorisation counts as none" {
        fn outcome(&self, _running: &Running, _op: &Op, outcome: Outcome, attempt: u8) -> Option<Outcome> {
            Some(match outcome {
                Outcome::Paid(PaymentAnswer::Authorize(AuthorizeAnswer::Unavailable)) if attempt > 0 => {
                    Outcome::Paid(PaymentAnswer::Authorize(AuthorizeAnswer::Declined(DeclineReason::new("timeout"))))
                }
                other => other,
            })
        }
        fn effect(&self, running: &Running, _op: &Op, effect: Effect, attempt: u8, _now: Timestamp) -> Effect {
            match (&effect, failure(running)) {
                (Effect::Pay(Payment::Void(_)), Some(Failure::PaymentDeclined(reason))) if attempt > 0 && reason.as_str() == "timeout" => void_of_nothing(),
                _ => effect,
            }
        }
    }
    ACrashForgetsTheUnknown, Journal, false, "after a crash nobody knows that an authorisation was asked for" {
        fn effect(&self, running: &Running, _op: &Op, effect: Effect, attempt: u8, _now: Timestamp) -> Effect {
            match (&effect, failure(running)) {
                (Effect::Pay(Payment::Void(_)), Some(Failure::PaymentUnavailable)) if attempt > 0 => void_of_nothing(),
                _ => effect,
            }
        }
    }
    TheKeyCountsAttempts, KeyDerivation, false, "an authorisation's key counts attempts" {
        fn effect(&self, _running: &Running, op: &Op, effect: Effect, attempt: u8, _now: Timestamp) -> Effect {
            match effect {
                Effect::Pay(Payment::Authorize(mut request)) if attempt > 0 => {
                    request.key = key(&format!("{}:authorize:{attempt}", op.checkout));
                    Effect::Pay(Payment::Authorize(request))
                }
                other => other,
            }
        }
    }
    TheCaptureKeyCountsAttempts, KeyDerivation, false, "a capture's key counts attempts" {
        fn effect(&self, _running: &Running, op: &Op, effect: Effect, attempt: u8, _now: Timestamp) -> Effect {
            match effect {
                Effect::Pay(Payment::Capture(mut request)) if attempt > 0 => {
                    request.key = key(&format!("{}:capture:{attempt}", op.checkout));
                    Effect::Pay(Payment::Capture(request))
                }
                other => other,
            }
        }
    }
    TheSecondAuthorisationHasAKeyOfItsOwn, KeyDerivation, false, "after two crashes an authorisation has another key" {
        fn effect(&self, _running: &Running, op: &Op, effect: Effect, attempt: u8, _now: Timestamp) -> Effect {
            match effect {
                Effect::Pay(Payment::Authorize(mut request)) if attempt > 1 => {
                    request.key = key(&format!("{}:authorize:{attempt}", op.checkout));
                    Effect::Pay(Payment::Authorize(request))
                }
                other => other,
            }
        }
    }
    TheSecondRetryHasAKeyOfItsOwn, KeyDerivation, false, "after two crashes a capture has another key" {
        fn effect(&self, _running: &Running, op: &Op, effect: Effect, attempt: u8, _now: Timestamp) -> Effect {
            match effect {
                Effect::Pay(Payment::Capture(mut request)) if attempt > 1 => {
                    request.key = key(&format!("{}:capture:{attempt}", op.checkout));
                    Effect::Pay(Payment::Capture(request))
                }
                other => other,
            }
        }
    }
    ACrashStartsAnew, Journal, false, "after a crash a checkout starts anew" {
        fn recover(&self, _stored: &Running, start: &Checkout, _crashes: u8) -> Running {
            Running::start(start.clone())
        }
    }
    ASecondCrashStartsAnew, Journal, false, "after two crashes a checkout starts anew" {
        fn recover(&self, stored: &Running, start: &Checkout, crashes: u8) -> Running {
            if crashes < 2 { stored.clone() } else { Running::start(start.clone()) }
        }
    }
    ACrashGivesTheCaptureUp, Journal, false, "a capture that a crash interrupts counts as refused" {
        fn recover(&self, stored: &Running, _start: &Checkout, _crashes: u8) -> Running {
            answer_all(stored, |effect| match effect {
                Effect::Pay(Payment::Capture(_)) => Some(Outcome::Paid(PaymentAnswer::Capture(CaptureAnswer::Declined(DeclineReason::new("crash"))))),
                _ => None,
            })
        }
    }
    ASecondCrashGivesTheCaptureUp, Journal, false, "a capture that two crashes interrupt counts as refused" {
        fn recover(&self, stored: &Running, _start: &Checkout, crashes: u8) -> Running {
            answer_all(stored, |effect| match effect {
                Effect::Pay(Payment::Capture(_)) if crashes > 1 => {
                    Some(Outcome::Paid(PaymentAnswer::Capture(CaptureAnswer::Declined(DeclineReason::new("crash")))))
                }
                _ => None,
            })
        }
    }
    ASecondCrashGivesTheUndoUp, Journal, false, "an undo that two crashes interrupt counts as done" {
        fn recover(&self, stored: &Running, _start: &Checkout, crashes: u8) -> Running {
            answer_all(stored, |effect| match effect {
                Effect::Line(_, LineCommand::Revoke { .. }) if crashes > 1 => Some(Outcome::Line(Ok(LineReply::Done))),
                Effect::Pay(Payment::Void(_)) if crashes > 1 => Some(Outcome::Paid(PaymentAnswer::Void(VoidAnswer::Voided))),
                _ => None,
            })
        }
    }
    ACrashLeavesTheWayBackUndone, Journal, false, "a way back that a crash interrupts is neither done nor asked for" {
        fn recover(&self, stored: &Running, _start: &Checkout, _crashes: u8) -> Running {
            let Some(_) = failure(stored) else { return stored.clone() };
            let mut form = serde_json::to_value(stored).expect("it has a stored form");
            for ask in ["revoke", "void"] {
                form["checkout"]["stage"]["undoing"][ask] = false.into();
            }
            form["outcomes"] = serde_json::json!([]);
            serde_json::from_value(form).expect("which can be read")
        }
    }
    NoticesAreLost, Outbox, false, "a crash after a ticket is stored loses its notices" {
        fn keeps_notices(&self) -> bool {
            false
        }
    }
    AnAuthorisationIsMadeAnew, Idempotency, false, "the gateway authorises anew for a key that it knows" {
        fn gateway(&self, ledger: &Ledger, command: &Payment) -> Transition<Ledger> {
            let sound = ledger.decide(command, Timestamp::default()).expect("whatever is asked has an answer");
            match (command, &sound.reply) {
                (Payment::Authorize(request), PaymentAnswer::Authorize(AuthorizeAnswer::Authorized(_))) => {
                    let asked = sound.event.as_ref().and_then(|event| event.account.asked.clone());
                    let account = Account { asked, authorized: true, ..Account::default() };
                    let event = Some(LedgerEvent { key: request.key.clone(), account });
                    Transition { event, reply: sound.reply, notices: () }
                }
                _ => sound,
            }
        }
    }
    AVoidOfNothingLeavesNoMark, Idempotency, false, "a void of a key that was never seen leaves no mark" {
        fn gateway(&self, ledger: &Ledger, command: &Payment) -> Transition<Ledger> {
            match command {
                Payment::Void(request) if ledger.account(&request.authorize_key).is_none() => {
                    Transition { event: None, reply: PaymentAnswer::Void(VoidAnswer::Voided), notices: () }
                }
                _ => ledger.decide(command, Timestamp::default()).expect("whatever is asked has an answer"),
            }
        }
    }
    TheLastUpdateCounts, MapVersion, false, "a map takes whatever comes last" {
        fn seat_map(&self, _map: &SeatMap, command: &SeatMapCommand) -> Transition<SeatMap> {
            let SeatMapCommand::Update { ticket, status, version, .. } = command else {
                unreachable!("a world sends its maps nothing else");
            };
            let event = Some(SeatMapEvent::Updated { ticket: ticket.clone(), status: *status, version: *version });
            Transition { event, reply: SeatMapReply::Done, notices: Default::default() }
        }
    }
    OnlyTheNextUpdateCounts, MapVersion, false, "a map drops an update that came before an older one" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand) -> Transition<SeatMap> {
            let SeatMapCommand::Update { ticket, status, version, .. } = command else {
                unreachable!("a world sends its maps nothing else");
            };
            let is_next = map.seat(ticket).map_or(0, |seat| seat.version) + 1 == *version;
            let event = SeatMapEvent::Updated { ticket: ticket.clone(), status: *status, version: *version };
            Transition { event: is_next.then_some(event), reply: SeatMapReply::Done, notices: Default::default() }
        }
    }
    TimeRunsBack, Deadline, false, "a change is recorded at a time before the last" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            let mut judged = ticket.decide(command, now)?;
            judged.event.iter_mut().for_each(|event| event.at = now);
            Ok(judged)
        }
    }
    AClaimDropsTheHoldsEnd, Claim, false, "a claim forgets when its hold ends by itself" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            let mut judged = ticket.decide(command, now)?;
            if let (TicketCommand::Claim { .. }, Some(event)) = (command, &mut judged.event)
                && let Some(TicketState::Reserved(hold)) = &mut event.moved
                && let Term::Claimed { claim, .. } = hold.term.clone()
            {
                *hold = Hold { term: Term::Claimed { claim, until: None }, ..Hold::clone(hold) }.into();
            }
            Ok(judged)
        }
    }
    ATakeoverWithCare, Claim, false, "a claim is taken over, and the first one's checkout ends" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            let mut judged = AClaimIsTakenOver.ticket(ticket, command, now)?;
            let before = ticket.hold().and_then(Hold::claim).map(|claim| claim.checkout.clone());
            if let (TicketCommand::Claim { checkout, .. }, Some(event), Some(before)) = (command, &mut judged.event, before)
                && before != *checkout
                && event.ended.is_empty()
            {
                event.ended.push(booking_core::ticket::EndedId::Checkout(before));
            }
            Ok(judged)
        }
    }
    TheEndedAreHeldAgain, Claim, false, "what has ended is remembered, and not looked at" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            let mut forgetful = ticket.clone();
            match command {
                TicketCommand::Reserve { .. } | TicketCommand::Claim { .. } => {
                    forgetful.forget(0);
                    forgetful.decide(command, now)
                }
                _ => ticket.decide(command, now),
            }
        }
    }
    AResetLeavesNoMark, Table, false, "a reset leaves no mark of the sale it ends" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            let mut judged = ticket.decide(command, now)?;
            if let TicketCommand::Reset { .. } | TicketCommand::Cleanup = command {
                judged.event.iter_mut().for_each(|event| event.ended.clear());
            }
            Ok(judged)
        }
    }
    TheFirstPriceIsTheSum, Table, false, "a checkout pays for its first ticket only" {
        fn effect(&self, running: &Running, _op: &Op, effect: Effect, _attempt: u8, _now: Timestamp) -> Effect {
            let tickets = running.checkout().order().tickets().len() as u64;
            match effect {
                Effect::Pay(Payment::Authorize(mut request)) => {
                    let (minor, currency) = (request.amount.minor(), request.amount.currency());
                    request.amount = booking_core::money::Money::new(minor / tickets, currency).expect("less than it was");
                    Effect::Pay(Payment::Authorize(request))
                }
                other => other,
            }
        }
    }
    TodaysPrice, Claim, false, "a claim costs what is listed today, not what its hold was made at" {
        fn ticket(&self, ticket: &Ticket, command: &TicketCommand, now: Timestamp) -> Judgement {
            let mut judged = ticket.decide(command, now)?;
            if let (TicketReply::Claimed { price, .. }, Some(listing)) = (&mut judged.reply, ticket.listing()) {
                *price = listing.price;
            }
            Ok(judged)
        }
    }
}
