//! Wrong rules, each wrong in one place: a harness that does not find them proves nothing.
//!
//! The first eleven are the bugs of the proof of concept that this project began as. None of this is in any build but
//! that of the tests.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "each is wrong in one case, and right in all others, whichever they are"
)]

use booking_core::checkout::{Checkout, Ending, Failure, MoneyState, Stage};
use booking_core::effect::{Effect, Op, Outcome};
use booking_core::ids::{CheckoutId, PaymentKey, TicketId, UserId};
use booking_core::invariants::Decision;
use booking_core::inventory::{LineCommand, LineReply};
use booking_core::machine::{Machine, Transition};
use booking_core::map::ticket::{
    Claim, Hold, HoldStatus, MakeClaim, Offer, Reserve, Sale, Ticket, TicketCommand, TicketRefusal, TicketState,
};
use booking_core::map::{
    Delta, Header, News, SeatMap, SeatMapCommand, SeatMapEvent, SeatMapNotices, SeatMapRefusal, SeatMapReply, Seats,
};
use booking_core::money::Money;
use booking_core::payment::{
    Account, AuthorizeAnswer, CaptureAnswer, DeclineReason, Ledger, LedgerEvent, Payment, PaymentAnswer, VoidAnswer,
};
use booking_core::progress::CheckoutProgress;
use booking_core::testing::rules::Rules;
use booking_core::time::{Millis, Timestamp};

/// What a bug breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A cell of a seat's table.
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
    /// The timer of a map.
    TimerSet,
    /// Same key, same answer.
    Idempotency,
    /// Which change a version names.
    MapVersion,
    /// All seats of a set, or none.
    WholeSet,
    /// What seats there are, and what they cost.
    Layout,
    /// The numbers of a buyer's wishes.
    Wishes,
    /// What watchers hear.
    Watchers,
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

/// The seats of a command, and what they are asked.
fn asked(command: &SeatMapCommand) -> Option<(&Seats, &TicketCommand)> {
    if let SeatMapCommand::Seats { seats, command } = command { Some((seats, command)) } else { None }
}

fn ask(seats: &Seats, command: TicketCommand) -> SeatMapCommand {
    SeatMapCommand::Seats { seats: seats.clone(), command }
}

fn hold_of<'a>(map: &'a SeatMap, seat: &TicketId) -> Option<&'a Hold> {
    map.ticket(seat).and_then(|ticket| ticket.state.hold())
}

fn is_sold(map: &SeatMap, seat: &TicketId) -> bool {
    map.ticket(seat).is_some_and(|ticket| ticket.state.sale().is_some())
}

/// The hold with another claim.
fn claimed(hold: &Hold, claim: Claim) -> TicketState {
    TicketState::Reserved(Hold { status: HoldStatus::Claimed { claim, own: hold.own() }, ..hold.clone() }.into())
}

/// An event that changes nothing.
fn nothing(map: &SeatMap) -> SeatMapEvent {
    SeatMapEvent { header: *map.header(), tickets: vec![], ended: vec![], last_wishes: vec![], layout: None }
}

/// Accepts, and changes nothing.
fn accept(reply: SeatMapReply) -> Decision {
    Ok(Transition { event: None, reply, notices: SeatMapNotices::default() })
}

/// As the rules decide, but to other states.
fn move_to(
    map: &SeatMap,
    now: Timestamp,
    seats: &Seats,
    to: impl Fn(&TicketState) -> TicketState,
    reply: SeatMapReply,
) -> Decision {
    let mut event = nothing(map);
    event.header.version += 1;
    event.header.at = now.max(map.header().at);
    let mut told = Vec::new();
    for seat in seats.as_slice() {
        let before = map.ticket(seat).cloned().unwrap_or_default();
        let after = Ticket { state: to(&before.state), version: event.header.version, listed: before.listed };
        told.push((seat.clone(), after.state.status()));
        let after = Some(after).filter(|it| !it.is_as_laid_out());
        event.header.tickets += u64::from(after.is_some());
        event.header.tickets -= u64::from(map.ticket(seat).is_some());
        event.header.sold += u64::from(after.as_ref().is_some_and(|it| it.state.sale().is_some()));
        event.header.sold -= u64::from(before.state.sale().is_some());
        event.tickets.push((seat.clone(), after));
    }
    let ends = event.tickets.iter().filter_map(|(_, ticket)| ticket.as_ref()?.state.hold()).map(Hold::end);
    let timer = ends.min().filter(|end| map.header().armed.is_none_or(|armed| *end < armed));
    event.header.armed = timer.or(event.header.armed);
    let watchers = Some(News::Changed(Delta { version: event.header.version, seats: told }));
    Ok(Transition { event: Some(event), reply, notices: SeatMapNotices { watchers, timer } })
}

/// A moment before.
fn before(moment: Timestamp) -> Timestamp {
    Timestamp::from_millis(moment.as_millis().saturating_sub(1))
}

/// The stage that a checkout is on the way back from, if it is on the way back.
fn failure(running: &CheckoutProgress) -> Option<&Failure> {
    if let Stage::Undoing { failure, .. } = running.checkout().stage() { Some(failure) } else { None }
}

/// How often the current effect has ended unknown.
fn unknown(running: &CheckoutProgress) -> u32 {
    match running.checkout().stage() {
        Stage::Authorising { pace, .. } | Stage::Capturing { pace, .. } | Stage::Undoing { pace, .. } => pace.unknown,
        Stage::Holding | Stage::Confirming { .. } | Stage::Notifying { .. } | Stage::Ended(_) => 0,
    }
}

/// A void that voids nothing.
fn void_of_nothing() -> Effect {
    Effect::Pay(Payment::Void(booking_core::payment::Void { authorize_key: key("nothing"), declined: false }))
}

fn key(text: &str) -> PaymentKey {
    PaymentKey::parse(text).expect("printable")
}

/// Answers every effect that is pending.
fn answer_all(running: &CheckoutProgress, answer: impl Fn(&Effect) -> Option<Outcome>) -> CheckoutProgress {
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
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let ends = map.tickets().filter_map(|(_, ticket)| ticket.state.hold()).map(Hold::end);
            map.decide(command, ends.min().map_or(now, |end| now.min(before(end))))
        }
    }
    ReleaseFreesASale, Table, true, "anyone's release frees a sold seat" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            match asked(command) {
                Some((seats, TicketCommand::Release { .. })) if is_sold(map, seats.first()) => {
                    move_to(map, now, seats, |_| TicketState::Available, SeatMapReply::Done)
                }
                _ => map.decide(command, now),
            }
        }
    }
    ConfirmWithoutAHold, Table, true, "a confirm needs no hold and no payment" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let decided = map.decide(command, now);
            let refused = decided.as_ref().err().map(|refusal| refusal.why);
            match (asked(command), refused) {
                (Some((seats, TicketCommand::Confirm { hold, checkout, fence })), Some(TicketRefusal::HoldExpired | TicketRefusal::HoldNotFound)) => {
                    let claim = Some(Claim { checkout: checkout.clone(), deadline: Timestamp::MAX, fence: *fence });
                    let (by, price) = (UserId::parse("somebody").expect("a good id"), Money::DEFAULT_PRICE);
                    let sale = Sale { hold: hold.clone(), by, price, own: None, claim, at: now.max(map.header().at) };
                    move_to(map, now, seats, |_| TicketState::Sold(sale.clone().into()), SeatMapReply::Done)
                }
                _ => decided,
            }
        }
    }
    BothCheckoutsCharge, Claim, true, "one user's two checkouts both charge" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let decided = map.decide(command, now);
            let refused = decided.as_ref().err().map(|refusal| refusal.why);
            match (asked(command), refused) {
                (Some((seats, TicketCommand::Claim(claim))), Some(TicketRefusal::CheckoutInProgress | TicketRefusal::TicketReserved { .. })) => {
                    match hold_of(map, seats.first()) {
                        Some(hold) if hold.by == claim.user => {
                            let fence = hold.claim().map_or(map.version(), |claim| claim.fence);
                            accept(SeatMapReply::Claimed { fence, prices: vec![hold.price; seats.as_slice().len()] })
                        }
                        _ => decided,
                    }
                }
                (Some((_, TicketCommand::Confirm { .. })), Some(TicketRefusal::TicketSold | TicketRefusal::HoldNotFound)) => accept(SeatMapReply::Done),
                _ => decided,
            }
        }
    }
    ADeclineFreesOthers, Undo, true, "a declined checkout frees another's seat" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            match asked(command) {
                Some((seats, TicketCommand::Revoke { .. })) if map.ticket(seats.first()).is_some() => {
                    let sound = map.decide(command, now)?.event.unwrap_or_else(|| nothing(map));
                    let mut decided = move_to(map, now, seats, |_| TicketState::Available, SeatMapReply::Done)?;
                    if let Some(event) = &mut decided.event {
                        event.header.ended = sound.header.ended;
                        event.ended = sound.ended;
                    }
                    Ok(decided)
                }
                _ => map.decide(command, now),
            }
        }
    }
    AResetWipesSales, Table, true, "a reset that is old wipes a sale" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            match asked(command) {
                Some((seats, TicketCommand::Reset { ended, .. })) => {
                    map.decide(&ask(seats, TicketCommand::Reset { up_to: u64::MAX, ended: ended.clone() }), now)
                }
                _ => map.decide(command, now),
            }
        }
    }
    AResetAsksNoCheckout, Table, true, "a reset takes a seat from a checkout that is under way" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            match asked(command) {
                Some((seats, TicketCommand::Reset { up_to, .. })) => {
                    let sold_to = |id| map.ticket(id).and_then(Ticket::sold_to).cloned();
                    let ended = seats.as_slice().iter().filter_map(sold_to).collect();
                    map.decide(&ask(seats, TicketCommand::Reset { up_to: *up_to, ended }), now)
                }
                _ => map.decide(command, now),
            }
        }
    }
    AKilledCheckoutLeaks, TimerSet, true, "a killed checkout leaks its seat: no timer for claims" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let mut decided = map.decide(command, now)?;
            if let Some((_, TicketCommand::Claim(_))) = asked(command) {
                decided.notices.timer = None;
            }
            Ok(decided)
        }
    }
    BooksUndefined, Table, true, "a seat called undefined is booked" {
        fn effect(&self, _running: &CheckoutProgress, _op: &Op, effect: Effect, _attempt: u8, _now: Timestamp) -> Effect {
            match effect {
                Effect::Line(_, command) => Effect::Line(TicketId::parse("undefined").expect("a good id").into(), command),
                other => other,
            }
        }
    }
    ARefusalIsRetried, Unknown, true, "a refusal is an error to be retried" {
        fn outcome(&self, _running: &CheckoutProgress, _op: &Op, outcome: Outcome, _attempt: u8) -> Option<Outcome> {
            if let Outcome::Line(Err(_)) = outcome { None } else { Some(outcome) }
        }
    }
    NoVoidAfterARefusedConfirm, Undo, true, "what was authorised is kept when a confirm is refused" {
        fn effect(&self, running: &CheckoutProgress, _op: &Op, effect: Effect, _attempt: u8, _now: Timestamp) -> Effect {
            match (&effect, failure(running)) {
                (Effect::Pay(Payment::Void(_)), Some(Failure::ConfirmRefused(_))) => void_of_nothing(),
                _ => effect,
            }
        }
    }
    ATimeoutIsADecline, Unknown, true, "a gateway's timeout counts as a decline" {
        fn outcome(&self, _running: &CheckoutProgress, _op: &Op, outcome: Outcome, _attempt: u8) -> Option<Outcome> {
            Some(match outcome {
                Outcome::Paid(PaymentAnswer::Authorize(AuthorizeAnswer::Unavailable)) => {
                    Outcome::Paid(PaymentAnswer::Authorize(AuthorizeAnswer::Declined(DeclineReason::new("timeout"))))
                }
                other => other,
            })
        }
        fn effect(&self, running: &CheckoutProgress, _op: &Op, effect: Effect, _attempt: u8, _now: Timestamp) -> Effect {
            match (&effect, failure(running)) {
                (Effect::Pay(Payment::Void(_)), Some(Failure::PaymentDeclined(_))) => void_of_nothing(),
                _ => effect,
            }
        }
    }
    ConfirmIgnoresTheFence, Fence, false, "a confirm is taken whatever its fence" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            match asked(command) {
                Some((seats, TicketCommand::Confirm { hold, checkout, .. })) => {
                    let claim = hold_of(map, seats.first()).and_then(Hold::claim).filter(|claim| claim.checkout == *checkout);
                    let fence = claim.map_or(0, |claim| claim.fence);
                    let confirm = TicketCommand::Confirm { hold: hold.clone(), checkout: checkout.clone(), fence };
                    if claim.is_some() { map.decide(&ask(seats, confirm), now) } else { map.decide(command, now) }
                }
                _ => map.decide(command, now),
            }
        }
    }
    AClaimIsTakenOver, Claim, false, "a claim is taken over by another checkout under the same hold" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let decided = map.decide(command, now);
            let refused = decided.as_ref().err().map(|refusal| refusal.why);
            match (asked(command), refused) {
                (Some((seats, TicketCommand::Claim(claim))), Some(TicketRefusal::CheckoutInProgress)) => {
                    let fence = map.version() + 1;
                    let made = Claim { checkout: claim.checkout.clone(), deadline: claim.deadline, fence };
                    let taken = |state: &TicketState| match state {
                        TicketState::Reserved(hold) => claimed(hold, made.clone()),
                        other => other.clone(),
                    };
                    let prices = seats.as_slice().iter().filter_map(|seat| hold_of(map, seat)).map(|hold| hold.price).collect();
                    move_to(map, now, seats, taken, SeatMapReply::Claimed { fence, prices })
                }
                _ => decided,
            }
        }
    }
    AClaimGrows, Claim, false, "a claim grows each time a checkout asks again" {
        fn effect(&self, _running: &CheckoutProgress, _op: &Op, effect: Effect, _attempt: u8, now: Timestamp) -> Effect {
            match effect {
                Effect::Line(line, LineCommand::Claim { user, hold, brought, checkout, default_price, .. }) => {
                    let deadline = now.plus(Millis::from_secs(20));
                    Effect::Line(line, LineCommand::Claim { user, hold, brought, checkout, deadline, default_price })
                }
                other => other,
            }
        }
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let decided = map.decide(command, now);
            match (asked(command), &decided) {
                (Some((seats, TicketCommand::Claim(claim))), Ok(sound)) => {
                    let grows = |hold: &Hold| hold.claim().filter(|it| it.checkout == claim.checkout && it.deadline < claim.deadline).cloned();
                    if hold_of(map, seats.first()).and_then(grows).is_none() {
                        return decided;
                    }
                    let grown = |state: &TicketState| match state {
                        TicketState::Reserved(hold) => grows(hold).map_or_else(|| state.clone(), |it| claimed(hold, Claim { deadline: claim.deadline, ..it })),
                        other => other.clone(),
                    };
                    move_to(map, now, seats, grown, sound.reply.clone())
                }
                _ => decided,
            }
        }
    }
    ALapsedClaimConfirms, Deadline, false, "a claim that has lapsed confirms while its hold is live" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let claim = asked(command).and_then(|(seats, _)| hold_of(map, seats.first())).filter(|hold| now < hold.end()).and_then(Hold::claim);
            match (asked(command), claim) {
                (Some((_, TicketCommand::Confirm { .. })), Some(claim)) => map.decide(command, now.min(before(claim.deadline))),
                _ => map.decide(command, now),
            }
        }
    }
    TheEndIsStillIn, Deadline, false, "at exactly its end a hold is still live" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let at_the_end = |seats: &Seats| hold_of(map, seats.first()).is_some_and(|hold| hold.end() == now);
            match asked(command) {
                Some((seats, TicketCommand::Confirm { .. })) if at_the_end(seats) => map.decide(command, before(now)),
                _ => map.decide(command, now),
            }
        }
    }
    AStaleTimerEndsAHold, TimerSet, false, "a timer ends whatever hold it finds" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            match command {
                SeatMapCommand::Expire { .. } => {
                    let held: Vec<_> = map.tickets().filter(|(_, ticket)| ticket.state.hold().is_some()).map(|(id, _)| id.clone()).collect();
                    let Ok(held) = Seats::new(held) else { return map.decide(command, now) };
                    move_to(map, now, &held, |_| TicketState::Available, SeatMapReply::Done)
                }
                _ => map.decide(command, now),
            }
        }
    }
    AnEarlyTimerEndsItsHold, TimerSet, false, "a timer that comes early ends its hold" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            match command {
                SeatMapCommand::Expire { due } => map.decide(command, now.max(*due)),
                _ => map.decide(command, now),
            }
        }
    }
    AnEarlyTimerIsLost, TimerSet, false, "a timer that comes early is not armed again" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            match command {
                SeatMapCommand::Expire { due } if map.header().armed == Some(*due) && now < *due => {
                    let event = SeatMapEvent { header: Header { armed: None, ..*map.header() }, ..nothing(map) };
                    Ok(Transition { event: Some(event), reply: SeatMapReply::Done, notices: SeatMapNotices::default() })
                }
                _ => map.decide(command, now),
            }
        }
    }
    AnEarlyTimerOfAClaimIsLost, TimerSet, false, "a timer that comes early is not armed again while a hold is claimed" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            match command {
                SeatMapCommand::Expire { due } if map.header().armed == Some(*due) && now < *due && map.tickets().any(|(_, ticket)| ticket.state.hold().and_then(Hold::claim).is_some()) => {
                    let event = SeatMapEvent { header: Header { armed: None, ..*map.header() }, ..nothing(map) };
                    Ok(Transition { event: Some(event), reply: SeatMapReply::Done, notices: SeatMapNotices::default() })
                }
                _ => map.decide(command, now),
            }
        }
    }
    OnlyALaterTimerIsArmed, TimerSet, false, "a timer is armed only for a later end" {
        fn arm(&self, armed: &mut Vec<Timestamp>, due: Timestamp) {
            if armed.iter().all(|other| *other < due) {
                armed.push(due);
            }
        }
    }
    ARevokeLeavesNoMark, Undo, false, "a revoke that finds nothing leaves no mark" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let decided = map.decide(command, now)?;
            let found_nothing = decided.event.as_ref().is_none_or(|event| event.tickets.is_empty());
            match asked(command) {
                Some((_, TicketCommand::Revoke { .. })) if found_nothing => accept(SeatMapReply::Done),
                _ => Ok(decided),
            }
        }
    }
    TheRefusedAreNotRevoked, Undo, false, "a ticket that refused its claim is not revoked" {
        fn effect(&self, running: &CheckoutProgress, _op: &Op, effect: Effect, _attempt: u8, _now: Timestamp) -> Effect {
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
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            match asked(command) {
                Some((seats, TicketCommand::Revoke { .. })) if is_sold(map, seats.first()) => accept(SeatMapReply::Done),
                _ => map.decide(command, now),
            }
        }
    }
    ARevokeTakesTheHoldToo, Undo, false, "a declined buyer loses the hold" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let mut decided = map.decide(command, now)?;
            if let (Some((_, TicketCommand::Revoke { .. })), Some(event)) = (asked(command), &mut decided.event) {
                for (_, ticket) in &mut event.tickets {
                    event.header.tickets -= u64::from(ticket.take().is_some());
                }
            }
            Ok(decided)
        }
    }
    AReleaseForgets, Claim, false, "a release that finds nothing leaves no number, and a late copy holds the seat again" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            match asked(command) {
                Some((seats, TicketCommand::Release { hold, nth: Some(_), until })) => {
                    map.decide(&ask(seats, TicketCommand::Release { hold: hold.clone(), nth: None, until: *until }), now)
                }
                _ => map.decide(command, now),
            }
        }
    }
    AReleaseDoesNothing, Table, false, "a release is accepted and does nothing" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let decided = map.decide(command, now)?;
            if let Some((_, TicketCommand::Release { .. })) = asked(command) { accept(SeatMapReply::Done) } else { Ok(decided) }
        }
    }
    AnUnknownVoidIsDone, Undo, false, "a void without an answer counts as done" {
        fn outcome(&self, _running: &CheckoutProgress, _op: &Op, outcome: Outcome, _attempt: u8) -> Option<Outcome> {
            Some(match outcome {
                Outcome::Paid(PaymentAnswer::Void(VoidAnswer::Unavailable)) => Outcome::Paid(PaymentAnswer::Void(VoidAnswer::Voided)),
                other => other,
            })
        }
    }
    AFailureIsToldTooEarly, Undo, false, "a failure is told before the seats are back" {
        fn told(&self, running: &CheckoutProgress) -> Option<Ending> {
            let money = MoneyState::LettingGo;
            failure(running).map(|failure| Ending::Failed { failure: failure.clone(), money }).or_else(|| running.told())
        }
    }
    ARefusedCaptureLeavesNothing, Undo, false, "who hears of a refused capture is told that nothing is set aside" {
        fn told(&self, running: &CheckoutProgress) -> Option<Ending> {
            running.told().map(|told| match told {
                Ending::Failed { failure: failure @ Failure::CaptureRefused(_), .. } => Ending::Failed { failure, money: MoneyState::None },
                told => told,
            })
        }
    }
    AnUnknownPaymentLeavesNothing, Undo, false, "who hears of a payment without an answer is told that nothing is set aside" {
        fn told(&self, running: &CheckoutProgress) -> Option<Ending> {
            running.told().map(|told| match told {
                Ending::Failed { failure: failure @ Failure::PaymentUnavailable, .. } => Ending::Failed { failure, money: MoneyState::None },
                told => told,
            })
        }
    }
    AVoidIsAskedTwice, Undo, false, "a void is given up after two tries" {
        fn outcome(&self, running: &CheckoutProgress, _op: &Op, outcome: Outcome, _attempt: u8) -> Option<Outcome> {
            Some(match outcome {
                Outcome::Paid(PaymentAnswer::Void(VoidAnswer::Unavailable)) if unknown(running) > 0 => Outcome::Paid(PaymentAnswer::Void(VoidAnswer::Voided)),
                other => other,
            })
        }
    }
    ACaptureIsAskedTwice, Unknown, false, "a capture is given up after two tries" {
        fn outcome(&self, running: &CheckoutProgress, _op: &Op, outcome: Outcome, _attempt: u8) -> Option<Outcome> {
            Some(match outcome {
                Outcome::Paid(PaymentAnswer::Capture(CaptureAnswer::Unavailable)) if unknown(running) > 0 => {
                    Outcome::Paid(PaymentAnswer::Capture(CaptureAnswer::Declined(DeclineReason::new("timeout"))))
                }
                other => other,
            })
        }
    }
    NoVoidOfTheUnknown, Undo, false, "what may have been authorised in vain is not voided" {
        fn effect(&self, running: &CheckoutProgress, _op: &Op, effect: Effect, _attempt: u8, _now: Timestamp) -> Effect {
            match (&effect, failure(running)) {
                (Effect::Pay(Payment::Void(_)), Some(Failure::PaymentUnavailable)) => void_of_nothing(),
                _ => effect,
            }
        }
    }
    UnknownIsNoAfterACrash, Unknown, false, "after a crash an unknown authorisation counts as none" {
        fn outcome(&self, _running: &CheckoutProgress, _op: &Op, outcome: Outcome, attempt: u8) -> Option<Outcome> {
            Some(match outcome {
                Outcome::Paid(PaymentAnswer::Authorize(AuthorizeAnswer::Unavailable)) if attempt > 0 => {
                    Outcome::Paid(PaymentAnswer::Authorize(AuthorizeAnswer::Declined(DeclineReason::new("timeout"))))
                }
                other => other,
            })
        }
        fn effect(&self, running: &CheckoutProgress, _op: &Op, effect: Effect, attempt: u8, _now: Timestamp) -> Effect {
            match (&effect, failure(running)) {
                (Effect::Pay(Payment::Void(_)), Some(Failure::PaymentDeclined(reason))) if attempt > 0 && reason.as_str() == "timeout" => void_of_nothing(),
                _ => effect,
            }
        }
    }
    ACrashForgetsTheUnknown, Journal, false, "after a crash nobody knows that an authorisation was asked for" {
        fn effect(&self, running: &CheckoutProgress, _op: &Op, effect: Effect, attempt: u8, _now: Timestamp) -> Effect {
            match (&effect, failure(running)) {
                (Effect::Pay(Payment::Void(_)), Some(Failure::PaymentUnavailable)) if attempt > 0 => void_of_nothing(),
                _ => effect,
            }
        }
    }
    TheKeyCountsAttempts, KeyDerivation, false, "an authorisation's key counts attempts" {
        fn effect(&self, _running: &CheckoutProgress, op: &Op, effect: Effect, attempt: u8, _now: Timestamp) -> Effect {
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
        fn effect(&self, _running: &CheckoutProgress, op: &Op, effect: Effect, attempt: u8, _now: Timestamp) -> Effect {
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
        fn effect(&self, _running: &CheckoutProgress, op: &Op, effect: Effect, attempt: u8, _now: Timestamp) -> Effect {
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
        fn effect(&self, _running: &CheckoutProgress, op: &Op, effect: Effect, attempt: u8, _now: Timestamp) -> Effect {
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
        fn recover(&self, _stored: &CheckoutProgress, start: &Checkout, _crashes: u8) -> CheckoutProgress {
            CheckoutProgress::start(start.clone())
        }
    }
    ASecondCrashStartsAnew, Journal, false, "after two crashes a checkout starts anew" {
        fn recover(&self, stored: &CheckoutProgress, start: &Checkout, crashes: u8) -> CheckoutProgress {
            if crashes < 2 { stored.clone() } else { CheckoutProgress::start(start.clone()) }
        }
    }
    ACrashGivesTheCaptureUp, Journal, false, "a capture that a crash interrupts counts as refused" {
        fn recover(&self, stored: &CheckoutProgress, _start: &Checkout, _crashes: u8) -> CheckoutProgress {
            answer_all(stored, |effect| match effect {
                Effect::Pay(Payment::Capture(_)) => Some(Outcome::Paid(PaymentAnswer::Capture(CaptureAnswer::Declined(DeclineReason::new("crash"))))),
                _ => None,
            })
        }
    }
    ASecondCrashGivesTheCaptureUp, Journal, false, "a capture that two crashes interrupt counts as refused" {
        fn recover(&self, stored: &CheckoutProgress, _start: &Checkout, crashes: u8) -> CheckoutProgress {
            answer_all(stored, |effect| match effect {
                Effect::Pay(Payment::Capture(_)) if crashes > 1 => {
                    Some(Outcome::Paid(PaymentAnswer::Capture(CaptureAnswer::Declined(DeclineReason::new("crash")))))
                }
                _ => None,
            })
        }
    }
    ASecondCrashGivesTheUndoUp, Journal, false, "an undo that two crashes interrupt counts as done" {
        fn recover(&self, stored: &CheckoutProgress, _start: &Checkout, crashes: u8) -> CheckoutProgress {
            answer_all(stored, |effect| match effect {
                Effect::Line(_, LineCommand::Revoke { .. }) if crashes > 1 => Some(Outcome::Line(Ok(LineReply::Done))),
                Effect::Pay(Payment::Void(_)) if crashes > 1 => Some(Outcome::Paid(PaymentAnswer::Void(VoidAnswer::Voided))),
                _ => None,
            })
        }
    }
    ACrashLeavesTheWayBackUndone, Journal, false, "a way back that a crash interrupts is neither done nor asked for" {
        fn recover(&self, stored: &CheckoutProgress, _start: &Checkout, _crashes: u8) -> CheckoutProgress {
            let Some(_) = failure(stored) else { return stored.clone() };
            let mut form = serde_json::to_value(stored).expect("it has a stored form");
            form["checkout"]["stage"]["undoing"]["revoke"] = false.into();
            form["checkout"]["stage"]["undoing"]["void"] = "nothing".into();
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
    TimeRunsBack, Deadline, false, "a change is recorded at a time before the last" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let mut decided = map.decide(command, now)?;
            decided.event.iter_mut().for_each(|event| event.header.at = now);
            Ok(decided)
        }
    }
    AClaimDropsTheHoldsEnd, Claim, false, "a claim forgets when its hold ends by itself" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let mut decided = map.decide(command, now)?;
            if let (Some((_, TicketCommand::Claim(_))), Some(event)) = (asked(command), &mut decided.event) {
                for (_, ticket) in &mut event.tickets {
                    if let Some(Ticket { state: TicketState::Reserved(hold), .. }) = ticket
                        && let HoldStatus::Claimed { claim, .. } = hold.status.clone()
                    {
                        *hold = Hold { status: HoldStatus::Claimed { claim, own: None }, ..Hold::clone(hold) }.into();
                    }
                }
            }
            Ok(decided)
        }
    }
    ATakeoverWithCare, Claim, false, "a claim is taken over, and the first one's checkout ends" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let mut decided = AClaimIsTakenOver.seat_map(map, command, now)?;
            let first = asked(command).and_then(|(seats, _)| hold_of(map, seats.first())).and_then(Hold::claim);
            if let (Some((_, TicketCommand::Claim(claim))), Some(event), Some(first)) = (asked(command), &mut decided.event, first)
                && first.checkout != claim.checkout
                && event.ended.is_empty()
            {
                event.header.ended += 1;
                event.ended.push((first.checkout.clone(), Some(first.deadline)));
            }
            Ok(decided)
        }
    }
    TheEndedAreHeldAgain, Claim, false, "what has ended is remembered, and not looked at" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            match asked(command) {
                Some((_, TicketCommand::Claim(_))) => {
                    let tickets = map.tickets().map(|(id, ticket)| (id.clone(), ticket.clone()));
                    let forgetful = SeatMap::from_parts(*map.header(), map.layout().cloned(), tickets, [], []);
                    forgetful.decide(command, now)
                }
                _ => map.decide(command, now),
            }
        }
    }
    AResetLeavesNoMark, Table, false, "a reset leaves no mark of the sale it ends" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let mut decided = map.decide(command, now)?;
            let resets = matches!(command, SeatMapCommand::ResetAll) || matches!(asked(command), Some((_, TicketCommand::Reset { .. })));
            if let Some(event) = decided.event.as_mut().filter(|_| resets) {
                event.header.ended = map.header().ended;
                event.ended.clear();
            }
            Ok(decided)
        }
    }
    TheFirstPriceIsTheSum, Table, false, "a checkout pays for its first ticket only" {
        fn effect(&self, running: &CheckoutProgress, _op: &Op, effect: Effect, _attempt: u8, _now: Timestamp) -> Effect {
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
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let mut decided = map.decide(command, now)?;
            if let (Some((seats, _)), SeatMapReply::Claimed { prices, .. }) = (asked(command), &mut decided.reply) {
                for (seat, price) in seats.as_slice().iter().zip(prices) {
                    *price = map.price(seat).unwrap_or(*price);
                }
            }
            Ok(decided)
        }
    }
    HalfASet, WholeSet, false, "the last seat of a set is left as it was" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let mut decided = map.decide(command, now)?;
            if let (Some((seats, _)), Some(event)) = (asked(command), &mut decided.event)
                && event.tickets.len() == seats.as_slice().len()
                && event.tickets.len() > 1
                && let Some((id, ticket)) = event.tickets.pop()
            {
                let sold = |ticket: Option<&Ticket>| u64::from(ticket.is_some_and(|it| it.state.sale().is_some()));
                let (was, is) = (map.ticket(&id), ticket.as_ref());
                event.header.tickets = event.header.tickets + u64::from(was.is_some()) - u64::from(is.is_some());
                event.header.sold = event.header.sold + sold(was) - sold(is);
            }
            Ok(decided)
        }
    }
    ARefusedSetIsDoneInPart, WholeSet, false, "a set that is refused is done up to the seat that refuses" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let decided = map.decide(command, now);
            match (asked(command), &decided) {
                (Some((seats, command)), Err(SeatMapRefusal { ticket: Some(named), .. })) => {
                    let first: Vec<_> = seats.as_slice().iter().take_while(|seat| *seat != named).cloned().collect();
                    match Seats::new(first) {
                        Ok(first) => map.decide(&ask(&first, command.clone()), now),
                        Err(_) => decided,
                    }
                }
                _ => decided,
            }
        }
    }
    AFenceOfAnotherVersion, Fence, false, "a claim is answered with the version before it" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let mut decided = map.decide(command, now)?;
            if let SeatMapReply::Claimed { fence, .. } = &mut decided.reply {
                *fence -= 1;
            }
            Ok(decided)
        }
    }
    AVersionDerivedFromRows, MapVersion, false, "the version is that of the newest seat, and one more" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let mut decided = map.decide(command, now)?;
            if let Some(event) = &mut decided.event {
                let newest = map.tickets().map(|(_, ticket)| ticket.version).max().unwrap_or(0);
                if event.header.version > map.version() {
                    event.header.version = newest + 1;
                }
                event.tickets.iter_mut().filter_map(|(_, ticket)| ticket.as_mut()).for_each(|ticket| ticket.version = newest + 1);
            }
            Ok(decided)
        }
    }
    ARowKeepsItsVersion, MapVersion, false, "a seat that changes keeps its version" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let mut decided = map.decide(command, now)?;
            for (id, ticket) in decided.event.iter_mut().flat_map(|event| &mut event.tickets) {
                if let (Some(ticket), Some(before)) = (ticket, map.ticket(id)) {
                    ticket.version = before.version;
                }
            }
            Ok(decided)
        }
    }
    AMarkIsForgottenEarly, Undo, false, "when the timer fires, each ended checkout is forgotten" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let mut decided = map.decide(command, now)?;
            if let (SeatMapCommand::Expire { .. }, Some(event)) = (command, &mut decided.event) {
                event.ended = map.ended().map(|(checkout, _)| (checkout.clone(), None)).collect();
                event.header.ended = 0;
            }
            Ok(decided)
        }
    }
    ALayoutForgetsASeat, Layout, false, "a layout without a held or sold seat is taken" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let decided = map.decide(command, now);
            match (command, &decided) {
                (SeatMapCommand::Publish { layout }, Err(_)) => {
                    let known = |id: &TicketId| layout.places().any(|place| place.ticket == *id);
                    let tickets = map.tickets().filter(|(id, _)| known(id)).map(|(id, ticket)| (id.clone(), ticket.clone()));
                    let tickets: Vec<_> = tickets.collect();
                    let sold = tickets.iter().filter(|(_, ticket)| ticket.state.sale().is_some()).count() as u64;
                let header = Header { tickets: tickets.len() as u64, sold, ..*map.header() };
                    let lost: Vec<_> = map.tickets().filter(|(id, _)| !known(id)).map(|(id, _)| (id.clone(), None)).collect();
                    let mut decided = SeatMap::from_parts(header, map.layout().cloned(), tickets, [], []).decide(command, now)?;
                    decided.event.iter_mut().for_each(|event| event.tickets.extend(lost.clone()));
                    Ok(decided)
                }
                _ => decided,
            }
        }
    }
    AListedPriceOutlivesALayout, Layout, false, "a listed price outlives a layout with another" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let mut decided = map.decide(command, now)?;
            if let (SeatMapCommand::Publish { .. }, Some(event)) = (command, &mut decided.event) {
                event.tickets.clear();
                event.header.tickets = map.header().tickets;
            }
            Ok(decided)
        }
    }
    AnOldPriceIsTaken, Layout, false, "a price of an older edition is taken" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            match asked(command) {
                Some((seats, TicketCommand::Claim(claim))) => {
                    let offer = Offer { edition: map.header().edition, ..claim.offer.clone() };
                    map.decide(&ask(seats, TicketCommand::Claim(MakeClaim { offer, ..claim.clone() })), now)
                }
                _ => map.decide(command, now),
            }
        }
    }
    ATimerForTheWrongEnd, TimerSet, false, "the timer is armed for the last end, not the first" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let mut decided = map.decide(command, now)?;
            if let (Some(timer), Some(event)) = (&mut decided.notices.timer, &mut decided.event) {
                let last = map.tickets().filter_map(|(_, ticket)| ticket.state.hold()).map(Hold::end).max();
                *timer = last.map_or(*timer, |last| last.max(*timer));
                event.header.armed = Some(*timer);
            }
            Ok(decided)
        }
    }
    ABroughtHoldTakesAFreeSeat, Claim, false, "a claim that brings a hold takes a seat that is free" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            match asked(command) {
                Some((seats, TicketCommand::Claim(claim))) => {
                    map.decide(&ask(seats, TicketCommand::Claim(MakeClaim { brought: false, ..claim.clone() })), now)
                }
                _ => map.decide(command, now),
            }
        }
    }
    AnOvertakenWishIsDone, Wishes, false, "a wish that a later one has overtaken is carried out" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            match (asked(command), map.decide(command, now)) {
                (Some((seats, TicketCommand::Reserve(wish))), Err(SeatMapRefusal { why: TicketRefusal::Overtaken { .. }, .. })) => {
                    map.decide(&ask(seats, TicketCommand::Reserve(Reserve { nth: None, ..wish.clone() })), now)
                }
                (_, decided) => decided,
            }
        }
    }
    AWishEndsLaterInEachCopy, Wishes, false, "a hold lasts from when its wish arrives" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            match asked(command) {
                Some((seats, TicketCommand::Reserve(wish))) if wish.until <= now => {
                    let until = now.plus(Millis::from_secs(10));
                    map.decide(&ask(seats, TicketCommand::Reserve(Reserve { until, ..wish.clone() })), now)
                }
                _ => map.decide(command, now),
            }
        }
    }
    ABlockEndsAHold, Table, false, "a block takes effect while the seat is held" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            match asked(command) {
                Some((seats, TicketCommand::Block { reason })) if hold_of(map, seats.first()).is_some() => {
                    move_to(map, now, seats, |_| TicketState::Blocked { reason: reason.clone() }, SeatMapReply::Done)
                }
                _ => map.decide(command, now),
            }
        }
    }
    ARecallEndsAClaim, Table, false, "a recall ends a hold that a checkout claims" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            match asked(command) {
                Some((seats, TicketCommand::Recall { .. })) if hold_of(map, seats.first()).and_then(Hold::claim).is_some() => {
                    move_to(map, now, seats, |_| TicketState::Available, SeatMapReply::Done)
                }
                _ => map.decide(command, now),
            }
        }
    }
    WatchersHearOfNoLapse, Watchers, false, "watchers do not hear that a hold has lapsed" {
        fn seat_map(&self, map: &SeatMap, command: &SeatMapCommand, now: Timestamp) -> Decision {
            let mut decided = map.decide(command, now)?;
            if let SeatMapCommand::Expire { .. } = command {
                decided.notices.watchers = None;
            }
            Ok(decided)
        }
    }
}
