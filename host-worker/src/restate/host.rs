//! What every handler does: the core's parser, one turn or one checkout, the answer.

use std::rc::Rc;
use std::time::Duration;

use booking_core::checkout::{Checkout, Ending};
use booking_core::effect::Notification;
use booking_core::format;
use booking_core::ids::{CheckoutId, HoldId};
use booking_core::journal::run;
use booking_core::machine::Machine as _;
use booking_core::seat_map::SeatMap;
use booking_core::ticket::Ticket;
use booking_core::time::Timestamp;
use booking_core::wire::{self, Answer, Call, Door, Kind, Refusal, TicketCall, answer};
use booking_hosting::restate::{
    Asked, Began, CHECKOUT, DELIVER, FROM_INSIDE, HOLD, Judged, LETTERS, Lost, RECOVER, SEAT_MAP, TICKET, is_for_others,
};
use restate_endpoint::{Bytes, Context, Failure, Handlers, OnMaxAttempts, RetryPolicy, Stop, Target};

use super::effects::{self, json};
use super::errors::{refused, unreadable};
use super::journal::{Invocation, clock, recorded};
use super::{objects, routes};
use crate::clock::now;
use crate::faults;
use crate::log::count;
use crate::settings::Settings;

/// The host.
pub(super) struct Host(pub(super) Rc<Settings>);

/// What a handler ends in.
type Said = Result<Bytes, Stop>;

impl Handlers for Host {
    async fn handle(&self, ctx: &Context) -> Said {
        count("asked", "handler", || format!("{}/{}", ctx.service(), ctx.handler()));
        faults::may_panic("panic-restate", || ctx.key().to_owned());
        match (ctx.service(), ctx.handler()) {
            (TICKET, "get") => self.look_at_ticket(ctx).await,
            (TICKET, "reserve") => self.reserve(ctx).await,
            (TICKET, HOLD) => hold(ctx).await,
            (TICKET, _) => self.ticket(ctx).await,
            (SEAT_MAP, "get") => look_at_map(ctx, answer::seat_map).await,
            (SEAT_MAP, "summary") => look_at_map(ctx, answer::summary).await,
            (SEAT_MAP, "plan") => look_at_map(ctx, answer::plan).await,
            (SEAT_MAP, _) => self.seat_map(ctx).await,
            (CHECKOUT, "process") => self.process(ctx).await,
            (CHECKOUT, RECOVER) => self.recover(ctx).await,
            (LETTERS, DELIVER) => self.deliver(ctx).await,
            _ => Err(refused(&Kind::NotFound.into())),
        }
    }
}

/// The answer, or a refusal that nobody retries.
fn say(said: Result<Answer, Refusal>) -> Said {
    said.map(|answer| answer.body.into()).map_err(|refusal| refused(&refusal))
}

/// What a handler of the core's list is asked.
fn understand(ctx: &Context, from: Door) -> Result<Call, Stop> {
    let call = wire::parse_call(from, ctx.service(), ctx.key(), ctx.handler(), &ctx.input());
    call.map_err(|refusal| refused(&refusal))
}

/// Whether a request that changes something without a body is more than somebody's look at an address: the ingress runs
/// a handler on `GET` too, which has no content type.
fn meant(ctx: &Context) -> Result<(), Stop> {
    if wire::takes_nothing(ctx.handler()) && ctx.header("content-type").is_none() {
        let why = "is missing: this changes something, so it takes a POST with one";
        return Err(refused(&Refusal::invalid("Content-Type", why)));
    }
    Ok(())
}

impl Host {
    /// A command to the ticket of this invocation.
    async fn ticket(&self, ctx: &Context) -> Said {
        let door = routes::door(TICKET, ctx.handler());
        let inside = ctx.header(FROM_INSIDE).filter(|_| door > Door::Public);
        meant(ctx)?;
        let Call::Ticket(_, call) = understand(ctx, if inside.is_some() { Door::Inner } else { Door::Admin })? else {
            return Err(refused(&Kind::NotFound.into()));
        };
        let told = inside.and_then(|text| text.parse().ok()).map(Timestamp::from_millis);
        let ticket = objects::ticket(ctx).await?;
        let Asked { command, at } = match (told, call) {
            (Some(told), TicketCall::Command(command)) if ticket.may_be_told_the_time(&command, told) => {
                Asked { command, at: told }
            }
            (_, call) => self.asked(ctx, call).await?,
        };
        let (outcome, version) = objects::turn_on(ctx, ticket, &command, at)?;
        if door == Door::Inner {
            // A refusal is an answer to whoever asks from inside.
            return say(Ok(answer::ticket(&outcome, version)));
        }
        say(Judged { outcome, version }.answer())
    }

    /// A hold for a buyer. Whoever wants what others have is told so at once: many may be, at a time. Everybody else takes
    /// their turn, by way of [`hold`].
    async fn reserve(&self, ctx: &Context) -> Said {
        let Call::Ticket(_, call) = understand(ctx, Door::Public)? else {
            return Err(refused(&Kind::NotFound.into()));
        };
        let ticket = objects::ticket(ctx).await?;
        let first = self.understood(call.clone()).map_err(Stop::Retry)?;
        if let Some(refusal) = ticket.decide(&first.command, first.at).err().filter(|refusal| is_for_others(*refusal)) {
            return say(Err(Refusal::from(refusal).at(ticket.version())));
        }
        let asked = self.asked(ctx, call).await?;
        let target = Target {
            service: TICKET.to_owned(),
            handler: HOLD.to_owned(),
            key: Some(ctx.key().to_owned()),
            headers: Vec::new(),
        };
        let outcome = ctx.done(ctx.call(target, json(&asked))?).await??;
        let judged: Judged = recorded(&outcome)?;
        say(judged.answer())
    }

    /// What a request means: now, with these terms, and a hold id that nobody can guess.
    fn understood(&self, call: TicketCall) -> Result<Asked, String> {
        let mut chance = [0; 16];
        getrandom::fill(&mut chance).map_err(|error| error.to_string())?;
        let command = call.command(&self.0.terms, || HoldId::of_chance(u128::from_le_bytes(chance)));
        Ok(Asked { command: command.ok_or("a command was asked for")?, at: now() })
    }

    /// The same, recorded.
    async fn asked(&self, ctx: &Context, call: TicketCall) -> Result<Asked, Stop> {
        let understood = self.understood(call).map(|asked| json(&asked)).map_err(Failure::Retry);
        let asked = ctx.run("asked", RetryPolicy::Infinite, async { understood })?;
        recorded(&ctx.done(asked).await??)
    }

    /// What the ticket of this invocation is.
    async fn look_at_ticket(&self, ctx: &Context) -> Said {
        understand(ctx, Door::Public)?;
        let ticket = objects::ticket(ctx).await?;
        say(Ok(answer::ticket_view(&ticket.get(now()))))
    }

    /// A command to the map of this invocation.
    async fn seat_map(&self, ctx: &Context) -> Said {
        meant(ctx)?;
        let Call::SeatMap(_, call) = understand(ctx, Door::Inner)? else {
            return Err(refused(&Kind::NotFound.into()));
        };
        let Some(command) = call.command(&self.0.terms) else { return Err(refused(&Kind::NotFound.into())) };
        // A map asks no clock.
        match objects::turn_of::<SeatMap>(ctx, &command, Timestamp::default()).await? {
            (Ok(reply), version) => say(Ok(answer::seat_map_reply(&reply, version))),
            (Err(never), _) => match never {},
        }
    }

    /// A checkout, from its start to its end.
    async fn process(&self, ctx: &Context) -> Said {
        let order = match wire::parse_call(Door::Public, CHECKOUT, "", ctx.handler(), &ctx.input()) {
            Ok(Call::Process(order)) => order,
            Ok(_) => return Err(refused(&Kind::NotFound.into())),
            Err(refusal) => return Err(refused(&refusal)),
        };
        // Named after its invocation, so whoever has the one name has the other.
        let id = CheckoutId::parse(ctx.invocation_id()).map_err(|why| Stop::Retry(why.to_string()))?;
        let at = now();
        let checkout = Checkout::start(id.clone(), order.clone(), at, &self.0.terms);
        let began = format::write(&Began { checkout, at, notifies: self.0.notify.is_some() });
        let began = ctx.run("begin", RetryPolicy::Infinite, async { Ok(began.into()) })?;
        let Began { checkout, at, notifies } = format::read(&ctx.done(began).await??).map_err(unreadable)?;
        let mut journal = Invocation { ctx, settings: &self.0, notifies, at };
        let ending = run(&mut journal, checkout).await?;
        match &ending {
            Ending::Completed { .. } => say(Ok(answer::ended(&id, &order, &ending))),
            Ending::Failed(failure) => say(Err(failure.into())),
        }
    }

    /// Brings a checkout to its end whose invocation was killed: back, or forward where its money may have been taken.
    async fn recover(&self, ctx: &Context) -> Said {
        let lost = format::read_json::<Lost>(&ctx.input());
        let Some(Lost { began: Began { checkout, notifies, .. }, capture_asked }) = lost else {
            return Err(refused(&Refusal::invalid("body", "is no checkout that was lost")));
        };
        // It is brought to its end, whoever cancels that.
        let (at, _) = clock(ctx).await?;
        let checkout = if capture_asked { checkout } else { checkout.turned_back() };
        let mut journal = Invocation { ctx, settings: &self.0, notifies, at };
        Ok(json(&run(&mut journal, checkout).await?))
    }

    /// Tells a buyer, again and again for a while.
    async fn deliver(&self, ctx: &Context) -> Said {
        let letter: Notification = recorded(&ctx.input())?;
        let patiently = RetryPolicy::Exponential {
            initial_interval: Duration::from_secs(1),
            factor: 2.0,
            max_interval: Some(Duration::from_secs(60)),
            max_attempts: Some(10),
            max_duration: None,
            on_max_attempts: OnMaxAttempts::FailAsTerminal,
        };
        let told = ctx.run("deliver", patiently, effects::deliver(Rc::clone(&self.0), letter))?;
        Ok(ctx.done(told).await??)
    }
}

/// The buyer's turn at the ticket of this invocation.
async fn hold(ctx: &Context) -> Said {
    let Asked { command, at } = recorded(&ctx.input())?;
    let (outcome, version) = objects::turn_of::<Ticket>(ctx, &command, at).await?;
    Ok(json(&Judged { outcome, version }))
}

/// What the map of this invocation is.
async fn look_at_map(ctx: &Context, answer: fn(&SeatMap) -> Answer) -> Said {
    understand(ctx, Door::Public)?;
    say(Ok(answer(&objects::seat_map(ctx).await?)))
}
