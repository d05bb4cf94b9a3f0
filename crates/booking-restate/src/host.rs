//! What every handler does: the core's parser, one turn or one checkout, the answer.
//!
//! | error | whose move | here |
//! | --- | --- | --- |
//! | a refusal | the caller's | terminal, with its status; the message ends in its kind, in brackets |
//! | [`FormatError`], [`Impossible`] | a person's | retried, then paused: state and journal stay as they are |
//! | a cancel | an operator's | the checkout's, at the end of its step: see `journal` |
//! | the gateway does not answer | the checkout's | an outcome like any other |
//! | what is kept of a seat cannot be read | a person's | what names the seat is given up: `StorageUnavailable` |

use booking_core::checkout::{Checkout, Ending, Impossible, Order};
use booking_core::effect::Notification;
use booking_core::format::{self, FormatError};
use booking_core::ids::{CheckoutId, HoldId, TicketId};
use booking_core::journal::run;
use booking_core::machine::Machine as _;
use booking_core::map::ticket::TicketView;
use booking_core::time::Timestamp;
use booking_core::wire::{self, Answer, AtTheDoor, Call, Kind, MapCall, Refusal, SeatMapCall, TicketCall, answer};
use bytes::Bytes;
use restate_endpoint::{Stop, Terminal};

use crate::context::{Context, Work, json};
use crate::handler::{A_DAY, Handler, takes_nothing};
use crate::journal::{Invocation, clock, recorded};
use crate::maps::{self, Loaded};
use crate::records::{Beside, CheckoutStart, Forwarded, Judged, KilledCheckout, Message, Waiting, WaitsFor};
use crate::stuck;

/// Why there is no answer.
pub(crate) enum End {
    /// A refusal: the end, and nothing to retry.
    Refused(Refusal),
    /// The invocation does not continue; the [`Stop`] says why.
    By(Stop),
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Stop> for End {
    fn from(stop: Stop) -> Self {
        Self::By(stop)
    }
}

/// A journal that is not this checkout's: a person has to look.
impl From<Impossible> for End {
    fn from(why: Impossible) -> Self {
        Self::By(Stop::Retry(why.to_string()))
    }
}

/// An answer, and for metrics the kind of refusal that is in it.
struct Reply {
    body: Bytes,
    kind: Option<Kind>,
}

impl From<Bytes> for Reply {
    fn from(body: Bytes) -> Self {
        Self { body, kind: None }
    }
}

type HandlerResult = Result<Reply, End>;

/// Handles an invocation: which one, the context says. What it is answered.
///
/// # Errors
/// [`Stop`], for the SDK.
pub async fn handle<C: Context>(ctx: &C) -> Result<Bytes, Stop> {
    let Some(handler) = Handler::named(ctx.service(), ctx.handler()) else {
        // A message that another build has sent: it waits for one that knows it.
        return Err(Stop::Retry("this build has no such handler".to_owned()));
    };
    let said = match handler {
        Handler::Public(handler) => public(ctx, handler).await,
        Handler::MapSeat => seat(ctx).await,
        Handler::MapTurn => map_turn(ctx).await,
        Handler::LayoutKeep => maps::keep_layout(ctx).await.map(Reply::from),
        Handler::LayoutGet => maps::kept_layout(ctx).await.map(Reply::from),
        Handler::Recover => recover(ctx).await,
        Handler::LetGo => let_go(ctx).await,
        Handler::Deliver => deliver(ctx).await,
        Handler::StuckReport => stuck::report(ctx).await.map(Reply::from),
        Handler::StuckResolve => stuck::resolve(ctx).await.and_then(reply_with),
        Handler::StuckNotify => stuck::notify(ctx).await.and_then(reply_with),
        Handler::StuckClear => stuck::clear(ctx).await.map(Reply::from),
    };
    match said {
        Ok(Reply { body, kind }) => {
            ctx.answered(handler, kind);
            Ok(body)
        }
        Err(End::Refused(refusal)) => {
            ctx.answered(handler, Some(refusal.kind));
            Err(refused(&refusal))
        }
        Err(End::By(stop)) => Err(stop),
    }
}

/// A refusal as an error of Restate's, whose errors have no fields of ours: the message, in round brackets the ticket, the end
/// of the hold that is in the way, the version and where the money is, as far as there are any, and the kind in square ones.
fn refused(refusal: &Refusal) -> Stop {
    let Refusal { kind, message, version, ticket, reserved_until, money } = refusal;
    let ticket = ticket.as_ref().map(|ticket| format!("ticket {ticket}"));
    let until = reserved_until.map(|until| format!("reserved until {}", until.as_millis()));
    let version = version.map(|version| format!("version {version}"));
    let money = money.map(|money| format!("money {}", money.as_str()));
    let details: Vec<String> = [ticket, until, version, money].into_iter().flatten().collect();
    let details = if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) };
    Terminal::new(kind.status(), format!("{message}{details} [{kind}]")).into()
}

/// The refusal that the message of an error of Restate's tells; `None` where it is no handler's of ours.
#[must_use]
pub fn refusal_in(message: &str) -> Option<Refusal> {
    let (rest, kind) = message.strip_suffix(']')?.rsplit_once(" [")?;
    let kind = Kind::named(kind)?;
    let detailed = rest.strip_suffix(')').and_then(|rest| rest.rsplit_once(" ("));
    let known = detailed.and_then(|(message, details)| {
        let mut refusal = Refusal::new(kind, message.to_owned());
        for detail in details.split(", ") {
            if let Some(ticket) = detail.strip_prefix("ticket ") {
                refusal.ticket = Some(TicketId::parse(ticket).ok()?);
            } else if let Some(until) = detail.strip_prefix("reserved until ") {
                refusal.reserved_until = Some(Timestamp::from_millis(until.parse().ok()?));
            } else if let Some(version) = detail.strip_prefix("version ") {
                refusal.version = Some(version.parse().ok()?);
            } else {
                let money = detail.strip_prefix("money ")?;
                refusal.money = Some(serde_json::from_value(money.into()).ok()?);
            }
        }
        Some(refusal)
    });
    // Brackets of the message itself are part of it.
    Some(known.unwrap_or_else(|| Refusal::new(kind, rest.to_owned())))
}

/// A stored form that this build cannot read: retried, until a build comes that can.
pub(crate) fn unreadable(why: FormatError) -> Stop {
    Stop::Retry(why.to_string())
}

fn reply_with(answer: Answer) -> HandlerResult {
    Ok(Reply { body: answer.body.into(), kind: answer.kind })
}

/// The ingress runs a handler on GET too, which has no content type: a look at an address must change nothing.
pub(crate) fn is_posted<C: Context>(ctx: &C) -> Result<(), Refusal> {
    let why = "is missing: this changes something, so it takes a POST with one";
    ctx.header("content-type").map(|_| ()).ok_or_else(|| Refusal::invalid("Content-Type", why))
}

/// A handler of the core's table.
async fn public<C: Context>(ctx: &C, handler: wire::Handler) -> HandlerResult {
    let body = ctx.input();
    if !handler.only_reads() && takes_nothing(handler) {
        is_posted(ctx)?;
    }
    let call = wire::parse_call(handler, ctx.key(), &body)?;
    match call {
        Call::Ticket(ticket, call) => {
            let map = ticket.map_key();
            let forwarded = json(&Forwarded { ticket, call });
            Ok(one(ctx, ctx.call(Handler::MapSeat.target(Some(map.as_str())), forwarded)?).await?.into())
        }
        Call::SeatMap(_, SeatMapCall::Get) => {
            reply_with(answer::seat_map(&Loaded::shown(ctx).await?.picture(seen_at(ctx))))
        }
        Call::SeatMap(_, SeatMapCall::Summary) => {
            reply_with(answer::summary(Loaded::shown(ctx).await?.picture(seen_at(ctx)).summary()))
        }
        Call::SeatMap(key, SeatMapCall::Plan) => {
            let header = maps::header(ctx).await?;
            let layout = maps::layout(ctx, &key, header.edition).await?;
            reply_with(answer::plan(header.edition, layout.as_ref()))
        }
        Call::SeatMap(_, call) => seat_map(ctx, call).await,
        Call::Process(order) => process(ctx, order).await,
        Call::ProcessSend(_)
        | Call::Status(_)
        | Call::Stuck(_)
        | Call::Bookings(_)
        | Call::BookingsCsv(_)
        | Call::Inbox(_)
        | Call::Retry(_)
        | Call::Audit(_)
        | Call::Erase { .. }
        | Call::Invite { .. }
        | Call::Operate(..)
        | Call::Gateway(_)
        | Call::Health => Err(Refusal::from(Kind::NotFound).into()),
    }
}

/// A request about a seat, at its map. A buyer who asks for what others have is refused at once, beside any number of others.
/// Everybody else takes a turn.
///
/// The time of that first look is not recorded. A look that is repeated after a crash sees what the first one saw, as Restate hands
/// that back, at a later time: what was not refused is not refused then, as a hold may only have ended. (By the clock of another
/// machine it may be earlier; then it is tried again until it is not.)
async fn seat<C: Context>(ctx: &C) -> HandlerResult {
    let Forwarded { ticket, call } = recorded(&ctx.input())?;
    let loaded = Loaded::around(ctx, &ticket).await?;
    let (map, version) = (loaded.known(), loaded.version_of(&ticket));
    if let TicketCall::Get(reader) = &call {
        let view = TicketView { version, ..map.view(&ticket, seen_at(ctx)) };
        return reply_with(answer::ticket_view(&view.seen_by(reader, ctx.terms().shows_buyers)));
    }
    let mut ended = None;
    if let Some(checkout) = call.takes_from(&map, &ticket) {
        has_ended(ctx, checkout).await.map_err(|end| match end {
            End::Refused(refusal) => End::Refused(refusal.about(ticket.clone()).at(version)),
            end @ End::By(_) => end,
        })?;
        ended = Some(checkout.clone());
    }
    // What was answered to a numbered wish is remembered elsewhere than was looked.
    let is_numbered =
        matches!(call, TicketCall::Reserve { nth: Some(_), .. } | TicketCall::Release { nth: Some(_), .. });
    let understood = |door| MapCall::Seat(ticket.clone(), call.clone(), door);
    let door = AtTheDoor { ended, ..at_the_door(ctx)? };
    let (at, first) = (door.at, understood(door.clone()).command(&maps::key(ctx)?, &map).map_err(Refusal::from)?);
    let is = map.ticket(&ticket).map(|ticket| ticket.state.status()).unwrap_or_default();
    let refusal = map.decide(&first, at).err().filter(|refusal| !is_numbered && refusal.why.is_what_is_recorded(is));
    if let Some(refusal) = refusal {
        return Err(Refusal::from(refusal.why).at(version).into());
    }
    let door: AtTheDoor = recorded(&one(ctx, ctx.run(Work::Record("asked", json(&door)))?).await?)?;
    let Judged { outcome, version } = take_turn(ctx, Message { at: door.at, call: understood(door) }).await?;
    match &outcome {
        Ok(_) => reply_with(answer::seat(&outcome, version)),
        Err(refusal) => Err(Refusal::from(refusal.why).at(version).into()),
    }
}

/// Waits until a checkout has ended, however: while it is under way its money may be taken at any moment.
async fn has_ended<C: Context>(ctx: &C, checkout: &CheckoutId) -> Result<(), End> {
    let ended = ctx.attach(checkout.as_str())?;
    match ctx.all(vec![ended]).await?.into_iter().next() {
        // One that is not known any more ended long ago. A refusal of ours ends in its kind.
        None | Some(Ok(_)) => Ok(()),
        Some(Err(end)) if end.code == Kind::NotFound.status() || end.message.ends_with(']') => Ok(()),
        Some(Err(end)) if end.message.ends_with("killed") => {
            let why =
                "The checkout that this ticket is sold to was killed: recover it. A day after that it can be reset";
            Err(Refusal::new(Kind::CheckoutInProgress, why).into())
        }
        // This invocation is cancelled.
        Some(Err(end)) => Err(Stop::Terminal(end).into()),
    }
}

/// How long after its end a hold is shown that the map has not ended yet. Its timer does so within a second.
const ON_THE_WAY: u64 = 5_000;

/// The time at which a look sees a map. A command is judged by when it was sent, so a claim that was sent before the end of its hold
/// may still be on its way to the map: a look that went by the clock would show the seat as free, and the claim would then have it.
fn seen_at(ctx: &impl Context) -> Timestamp {
    Timestamp::from_millis(ctx.now().as_millis().saturating_sub(ON_THE_WAY))
}

/// What this host adds to a request that comes now.
fn at_the_door(ctx: &impl Context) -> Result<AtTheDoor, Stop> {
    let mut chance = [0; 16];
    getrandom::fill(&mut chance).map_err(|error| Stop::Retry(error.to_string()))?;
    Ok(AtTheDoor::new(ctx.terms(), ctx.now(), HoldId::from_random(u128::from_le_bytes(chance))))
}

/// Has the map of this invocation take a turn. One that was given up has changed nothing.
async fn take_turn<C: Context>(ctx: &C, message: Message) -> Result<Judged, End> {
    let asked = ctx.call(Handler::MapTurn.target(Some(ctx.key())), json(&message))?;
    let given_up = |stop: &Stop| matches!(stop, Stop::Terminal(end) if end.code >= 500);
    match one(ctx, asked).await {
        Err(stop) if given_up(&stop) => Err(Refusal::from(Kind::StorageUnavailable).into()),
        done => Ok(recorded(&done?)?),
    }
}

/// A command to the map of this invocation, from an operator.
async fn seat_map<C: Context>(ctx: &C, call: SeatMapCall) -> HandlerResult {
    let now = ctx.run(Work::Record("asked", json(&ctx.now())))?;
    let at = recorded(&one(ctx, now).await?)?;
    let Judged { outcome, version } = take_turn(ctx, Message { call: MapCall::Map(call), at }).await?;
    match &outcome {
        Ok(_) => reply_with(answer::map_reply(&outcome, version)),
        Err(refusal) => Err(answer::of_map(refusal, version).into()),
    }
}

/// A turn of a map. A refusal is an answer to it.
async fn map_turn<C: Context>(ctx: &C) -> HandlerResult {
    let judged = maps::turn(ctx, recorded(&ctx.input())?).await?;
    let kind = judged.outcome.as_ref().err().map(|refusal| Refusal::from(refusal.why).kind);
    Ok(Reply { body: json(&judged), kind })
}

/// What one thing came to that was asked for; its end is this invocation's.
pub(crate) async fn one<C: Context>(ctx: &C, pending: C::Pending) -> Result<Bytes, Stop> {
    let done = ctx.all(vec![pending]).await?.into_iter().next();
    Ok(done.unwrap_or_else(|| Ok(Bytes::new()))?)
}

/// A checkout, from its start to its end.
async fn process<C: Context>(ctx: &C, order: Order) -> HandlerResult {
    // Named after its invocation: each name leads to the other.
    let id = CheckoutId::parse(ctx.invocation_id()).map_err(|why| Stop::Retry(why.to_string()))?;
    let at = ctx.now();
    let checkout = Checkout::start(id.clone(), order.clone(), at, ctx.terms());
    let began = format::write(&CheckoutStart { checkout, at, notifies: ctx.notifies() });
    let began = ctx.run(Work::Record("begin", began.into()))?;
    let began = one(ctx, began).await?;
    let CheckoutStart { checkout, at, notifies } = format::read(&began).map_err(unreadable)?;
    let mut journal = Invocation::of(ctx, &checkout, at);
    (journal.notifies, journal.heeds_cancel, journal.parts) = (notifies, true, true);
    let ending = run(&mut journal, checkout).await?;
    match &ending {
        Ending::Completed { .. } => reply_with(answer::ended(&id, &order, &ending)),
        Ending::Failed { failure, money } => Err(Refusal::failed(failure, *money).into()),
    }
}

/// Brings a checkout to its end whose invocation was killed: back, or forward where its money may have been taken.
async fn recover<C: Context>(ctx: &C) -> HandlerResult {
    let lost = format::read_json::<KilledCheckout>(&ctx.input());
    let KilledCheckout { began: CheckoutStart { checkout, notifies, .. }, goes_through } =
        lost.ok_or_else(|| Refusal::invalid("body", "is no checkout that was lost"))?;
    // A cancel of this invocation does not keep it from its end.
    let at = clock(ctx, &mut false).await?;
    let id = checkout.id().clone();
    let checkout = if goes_through { checkout } else { checkout.compensated() };
    let mut journal = Invocation::of(ctx, &checkout, at);
    journal.notifies = notifies;
    let recovered = finish(journal, checkout).await?;
    // Also what it waited for before it was killed.
    ctx.send(Handler::StuckClear.target(Some(id.as_str())), Bytes::new(), None)?;
    Ok(recovered)
}

/// Lets go of what may be set aside for a checkout that failed. A cancel of this invocation does not keep it from its end.
async fn let_go<C: Context>(ctx: &C) -> HandlerResult {
    let Beside { checkout, at } = format::read(&ctx.input()).map_err(unreadable)?;
    finish(Invocation::of(ctx, &checkout, at), checkout).await
}

/// Runs a checkout to its end, and answers with that.
async fn finish<C: Context>(mut journal: Invocation<'_, C>, checkout: Checkout) -> HandlerResult {
    Ok(json(&run(&mut journal, checkout).await?).into())
}

/// Tells a buyer, again and again for a while. Operators are shown for a day which message was given up.
async fn deliver<C: Context>(ctx: &C) -> HandlerResult {
    let notification: Notification = recorded(&ctx.input())?;
    let told = ctx.run(Work::Deliver(notification.clone()))?;
    let told = one(ctx, told).await;
    if let Err(Stop::Terminal(_) | Stop::Cancelled) = &told {
        let (id, tickets, since) =
            (notification.checkout.clone(), notification.tickets.clone(), clock(ctx, &mut false).await?);
        let waits_for = WaitsFor::Notifier(Box::new(notification));
        let waiting = Waiting { waits_for, in_vain: ctx.terms().notify_retry.attempts, since, tickets };
        ctx.send(Handler::StuckClear.target(Some(id.as_str())), json(&since), Some(A_DAY))?;
        let report = ctx.call(Handler::StuckReport.target(Some(id.as_str())), json(&waiting))?;
        let _nobody_has_a_word = one(ctx, report).await?;
    }
    Ok(told?.into())
}

#[cfg(test)]
mod tests {
    use booking_core::checkout::MoneyState;

    use super::*;

    #[test]
    fn a_refusal_comes_back_from_an_error_as_it_was() {
        let message = |refusal: &Refusal| match refused(refusal) {
            Stop::Terminal(Terminal { message, .. }) => message,
            Stop::Cancelled | Stop::Retry(_) | Stop::Suspended | Stop::Broken => String::new(),
        };
        let ticket = TicketId::parse("arena:A:1").ok();
        let plain = Refusal::from(Kind::TicketReserved);
        let whole = Refusal {
            version: Some(7),
            ticket,
            reserved_until: Some(Timestamp::from_millis(1_764_000_900_000)),
            money: Some(MoneyState::LettingGo),
            ..plain.clone()
        };
        let bracketed = Refusal::new(Kind::InvalidRequest, "Invalid request: `a` (of (b), version x) is wrong (again)");
        for refusal in [plain, whole, bracketed] {
            assert_eq!(refusal_in(&message(&refusal)), Some(refusal));
        }
        for other in ["the invoked service is not public", "", "[", "x [NoKind]", "[TicketSold]"] {
            assert_eq!(refusal_in(other), None, "{other}");
        }
    }
}
