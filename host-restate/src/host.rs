//! What every handler does: the core's parser, one turn or one checkout, the answer.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::Duration;

use booking_core::checkout::{Checkout, Ending};
use booking_core::effect::Notification;
use booking_core::format;
use booking_core::ids::{CheckoutId, HoldId};
use booking_core::journal::run;
use booking_core::machine::Machine as _;
use booking_core::seat_map::SeatMap;
use booking_core::terms::Terms;
use booking_core::ticket::Ticket;
use booking_core::time::Timestamp;
use booking_core::wire::{self, Answer, Call, Door, Kind, Refusal, TicketCall, answer};
use booking_hosting::process::now;
use booking_hosting::restate::{
    Asked, Began, CHECKOUT, FROM_INSIDE, HOLD, Judged, Lost, SEAT_MAP, TICKET, is_for_others,
};
use bytes::Bytes;
use restate_sdk::context::{
    Context, ContextClient, ContextSideEffects, ObjectContext, RequestTarget, RunFuture, RunRetryPolicy,
    SharedObjectContext,
};
use restate_sdk::errors::HandlerResult;
use restate_sdk::serde::Json;

use crate::effects::Ports;
use crate::errors::refused;
use crate::journal::Invocation;
use crate::metrics::Metrics;
use crate::objects;
use crate::payload::{Given, Handler, Said};

/// What all handlers have at hand. Cloning it is cheap.
#[derive(Clone)]
pub struct Host(Arc<Shared>);

struct Shared {
    terms: Terms,
    ports: Ports,
    metrics: Metrics,
}

impl Host {
    /// A host with these prices and times, and this outside world.
    #[must_use]
    pub fn new(terms: Terms, ports: Ports) -> Self {
        Self(Arc::new(Shared { terms, ports, metrics: Metrics::default() }))
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// What a handler ends in: the answer, or a refusal that nobody retries.
    fn say<H: Handler>(&self, said: Result<Answer, Refusal>) -> HandlerResult<Said<H>> {
        let kind = said.as_ref().map_or_else(|refusal| Some(refusal.kind), |answer| answer.kind);
        self.0.metrics.answered(H::SERVICE, H::NAME, kind);
        match said {
            Ok(answer) => Ok(Said::new(answer.body)),
            Err(refusal) => Err(refused(&refusal)),
        }
    }

    /// A command to the ticket of this invocation.
    pub(crate) async fn ticket<H: Handler>(&self, ctx: ObjectContext<'_>, body: Given<H>) -> HandlerResult<Said<H>> {
        let inside = ctx.headers().get(FROM_INSIDE).filter(|_| H::DOOR > Door::Public);
        let from = if inside.is_some() { Door::Inner } else { Door::Admin };
        if let Err(refusal) = meant::<H>(&ctx) {
            return self.say(Err(refusal));
        }
        let call = match wire::parse_call(from, TICKET, ctx.key(), H::NAME, &body.0) {
            Ok(Call::Ticket(_, call)) => call,
            Ok(_) => return self.say(Err(Kind::NotFound.into())),
            Err(refusal) => return self.say(Err(refusal)),
        };
        let at = inside.and_then(|text| text.parse().ok()).map(Timestamp::from_millis);
        let ticket = objects::ticket(&ctx).await?;
        let Asked { command, at } = match (at, call) {
            (Some(told), TicketCall::Command(command)) if ticket.may_be_told_the_time(&command, told) => {
                Asked { command, at: told }
            }
            (_, call) => ctx.run(self.understand(call)).name("asked").await?.into_inner(),
        };
        let (outcome, version) = objects::turn_on(&ctx, ticket, &command, at);
        if H::DOOR == Door::Inner {
            // A refusal is an answer to whoever asks from inside.
            return self.say(Ok(answer::ticket(&outcome, version)));
        }
        self.say(Judged { outcome, version }.answer())
    }

    /// A hold for a buyer. Whoever wants what others have is told so at once: many may be, at a time. Everybody else takes
    /// their turn, by way of [`Host::hold`].
    ///
    /// The time of that first look is not recorded. If it is repeated after a crash it may see that a hold of others has
    /// lapsed since, when the refusal has been recorded, but not the end; Restate gives up then, and nobody waits for it.
    /// The other way round it cannot be: what was free stays so for it, as Restate hands back what it saw.
    pub(crate) async fn reserve<H: Handler>(
        &self,
        ctx: SharedObjectContext<'_>,
        body: Given<H>,
    ) -> HandlerResult<Said<H>> {
        let call = match wire::parse_call(Door::Public, TICKET, ctx.key(), H::NAME, &body.0) {
            Ok(Call::Ticket(_, call)) => call,
            Ok(_) => return self.say(Err(Kind::NotFound.into())),
            Err(refusal) => return self.say(Err(refusal)),
        };
        let ticket = objects::ticket(&ctx).await?;
        let Json(first) = self.understand(call.clone())().await?;
        if let Some(refusal) = ticket.decide(&first.command, first.at).err().filter(|refusal| is_for_others(*refusal)) {
            return self.say(Err(Refusal::from(refusal).at(ticket.version())));
        }
        let asked = ctx.run(self.understand(call)).name("asked").await?;
        let target = RequestTarget::object(TICKET, ctx.key(), HOLD);
        let Json(judged) = ctx.request::<Json<Asked>, Json<Judged>>(target, asked).call().await?;
        self.say(judged.answer())
    }

    /// The buyer's turn at the ticket of this invocation.
    pub(crate) async fn hold(
        &self,
        ctx: ObjectContext<'_>,
        Asked { command, at }: Asked,
    ) -> HandlerResult<Json<Judged>> {
        let (outcome, version) = objects::turn_of::<Ticket>(&ctx, &command, at).await?;
        Ok(Json(Judged { outcome, version }))
    }

    /// What a request means: now, with these terms, and a hold id that nobody can guess.
    fn understand(&self, call: TicketCall) -> impl FnOnce() -> Ready<HandlerResult<Json<Asked>>> + Send + use<> {
        let terms = self.0.terms.clone();
        move || ready(understood(call, &terms))
    }

    /// What the ticket of this invocation is.
    pub(crate) async fn look_at_ticket<H: Handler>(
        &self,
        ctx: SharedObjectContext<'_>,
        body: Given<H>,
    ) -> HandlerResult<Said<H>> {
        if let Err(refusal) = wire::parse_call(Door::Public, TICKET, ctx.key(), H::NAME, &body.0) {
            return self.say(Err(refusal));
        }
        let ticket = objects::ticket(&ctx).await?;
        self.say(Ok(answer::ticket_view(&ticket.get(now()))))
    }

    /// A command to the map of this invocation.
    pub(crate) async fn seat_map<H: Handler>(&self, ctx: ObjectContext<'_>, body: Given<H>) -> HandlerResult<Said<H>> {
        if let Err(refusal) = meant::<H>(&ctx) {
            return self.say(Err(refusal));
        }
        let command = match wire::parse_call(Door::Inner, SEAT_MAP, ctx.key(), H::NAME, &body.0) {
            Ok(Call::SeatMap(_, call)) => call.command(&self.0.terms),
            Ok(_) => None,
            Err(refusal) => return self.say(Err(refusal)),
        };
        let Some(command) = command else { return self.say(Err(Kind::NotFound.into())) };
        // A map asks no clock.
        match objects::turn_of::<SeatMap>(&ctx, &command, Timestamp::default()).await? {
            (Ok(reply), version) => self.say(Ok(answer::seat_map_reply(&reply, version))),
            (Err(never), _) => match never {},
        }
    }

    /// What the map of this invocation is.
    pub(crate) async fn look_at_map<H: Handler>(
        &self,
        ctx: SharedObjectContext<'_>,
        body: Given<H>,
        answer: fn(&SeatMap) -> Answer,
    ) -> HandlerResult<Said<H>> {
        if let Err(refusal) = wire::parse_call(Door::Public, SEAT_MAP, ctx.key(), H::NAME, &body.0) {
            return self.say(Err(refusal));
        }
        let map = objects::seat_map(&ctx).await?;
        self.say(Ok(answer(&map)))
    }

    /// A checkout, from its start to its end.
    pub(crate) async fn process<H: Handler>(&self, ctx: Context<'_>, body: Given<H>) -> HandlerResult<Said<H>> {
        let order = match wire::parse_call(Door::Public, CHECKOUT, "", H::NAME, &body.0) {
            Ok(Call::Process(order)) => order,
            Ok(_) => return self.say(Err(Kind::NotFound.into())),
            Err(refusal) => return self.say(Err(refusal)),
        };
        // Named after its invocation, so whoever has the one name has the other.
        let id = CheckoutId::parse(ctx.invocation_id())?;
        let (shared, named, ordered) = (Arc::clone(&self.0), id.clone(), order.clone());
        let begin = move || async move {
            let at = now();
            let checkout = Checkout::start(named, ordered, at, &shared.terms);
            let notifies = shared.ports.notifier.is_some();
            Ok(Bytes::from(format::write(&Began { checkout, at, notifies })))
        };
        let Began { checkout, at, notifies } = format::read(&ctx.run(begin).name("begin").await?)?;
        let mut journal = Invocation { ctx: &ctx, ports: &self.0.ports, notifies, at };
        let ending = run(&mut journal, checkout).await?;
        match &ending {
            Ending::Completed { .. } => self.say(Ok(answer::ended(&id, &order, &ending))),
            Ending::Failed(failure) => self.say(Err(failure.into())),
        }
    }

    /// Brings a checkout to its end whose invocation was killed: back, or forward where its money may have been taken.
    pub(crate) async fn recover(&self, ctx: Context<'_>, lost: Lost) -> HandlerResult<Json<Ending>> {
        let Lost { began: Began { checkout, notifies, .. }, capture_asked } = lost;
        let Json(at) = ctx.run(|| async { Ok(Json(now())) }).name("now").await?;
        let checkout = if capture_asked { checkout } else { checkout.turned_back() };
        let mut journal = Invocation { ctx: &ctx, ports: &self.0.ports, notifies, at };
        Ok(Json(run(&mut journal, checkout).await?))
    }

    /// Tells a buyer, again and again for a while.
    pub(crate) async fn deliver(&self, ctx: Context<'_>, letter: Notification) -> HandlerResult<()> {
        let ports = self.0.ports.clone();
        let patiently = RunRetryPolicy::new()
            .initial_delay(Duration::from_secs(1))
            .exponentiation_factor(2.0)
            .max_delay(Duration::from_secs(60))
            .max_attempts(10);
        let told = ctx.run(move || ports.deliver(letter)).name("deliver").retry_policy(patiently).await;
        Ok(told?)
    }
}

/// Whether a request that changes something without a body is more than somebody's look at an address: the ingress runs
/// a handler on `GET` too, which has no content type.
fn meant<H: Handler>(ctx: &ObjectContext<'_>) -> Result<(), Refusal> {
    if H::TAKES_NOTHING && !ctx.headers().contains_key("content-type") {
        return Err(Refusal::invalid(
            "Content-Type",
            "is missing: this changes something, so it takes a POST with one",
        ));
    }
    Ok(())
}

fn understood(call: TicketCall, terms: &Terms) -> HandlerResult<Json<Asked>> {
    let mut chance = [0; 16];
    getrandom::fill(&mut chance).map_err(|error| error.to_string())?;
    let command = call.command(terms, || HoldId::of_chance(u128::from_le_bytes(chance)));
    Ok(Json(Asked { command: command.ok_or("a command was asked for")?, at: now() }))
}
