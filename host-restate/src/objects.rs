//! One generic turn: read the state, let the core decide, write the state, send what follows. Every handler of a ticket
//! or a map comes down to it.
//!
//! Restate keeps what an invocation does in order, and goes on with it until it has ended. So the messages that follow
//! from a new state are sent in the end, and never before it is kept.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use booking_core::format::{self, Format};
use booking_core::ids::TicketId;
use booking_core::machine::{Machine, turn};
use booking_core::seat_map::{SeatMap, SeatMapCommand, SeatMapEvent, SeatMapNotices};
use booking_core::ticket::{Ticket, TicketCommand, TicketEvent, TicketNotices};
use booking_core::time::Timestamp;
use booking_core::wire::inner::{self, Message};
use booking_hosting::restate::{
    self, Changes, FROM_INSIDE, LAYOUT, Laid, SEAT_MAP, STATE, Seats, TICKET, VERSION, is_part, part,
};
use bytes::Bytes;
use restate_sdk::context::{
    ContextClient, ContextReadState, ContextWriteState, ObjectContext, Request, RequestTarget, SharedObjectContext,
};
use restate_sdk::errors::{HandlerError, TerminalError};

/// A machine whose state Restate keeps.
pub(crate) trait Stored: Machine + Send {
    /// As much of the state as this command needs.
    fn load(ctx: &impl Reads, command: &Self::Command) -> impl Future<Output = Result<Self, HandlerError>> + Send;

    /// Writes what this event has changed.
    fn store(&self, ctx: &ObjectContext<'_>, event: &Self::Event);

    /// Sends what others are told.
    fn send(ctx: &ObjectContext<'_>, notices: Self::Notices, now: Timestamp);

    /// Its version.
    fn version(&self) -> u64;
}

/// What an object said to a command, and its version after that.
pub(crate) type Judged<M> = (Result<<M as Machine>::Reply, <M as Machine>::Refusal>, u64);

/// Lets the object of this invocation judge a command.
pub(crate) async fn turn_of<M>(
    ctx: &ObjectContext<'_>,
    command: &M::Command,
    now: Timestamp,
) -> Result<Judged<M>, HandlerError>
where
    M: Stored,
    M::Command: Sync,
{
    let state = M::load(ctx, command).await?;
    Ok(turn_on(ctx, state, command, now))
}

/// The same, where the state has been read.
pub(crate) fn turn_on<M: Stored>(
    ctx: &ObjectContext<'_>,
    mut state: M,
    command: &M::Command,
    now: Timestamp,
) -> Judged<M> {
    let turn = turn(&mut state, command, now);
    if let Some(event) = turn.event() {
        state.store(ctx, event);
    }
    let (outcome, notices) = turn.stored();
    M::send(ctx, notices, now);
    (outcome, state.version())
}

/// The contexts that can read their object's state.
pub(crate) trait Reads: Sync {
    /// What is kept under a key.
    fn bytes(&self, key: &str) -> impl Future<Output = Result<Option<Bytes>, TerminalError>> + Send;
    /// Every key under which something is kept.
    fn keys(&self) -> impl Future<Output = Result<Vec<String>, TerminalError>> + Send;
}

macro_rules! reads {
    ($($context:ident)*) => {$(
        impl Reads for $context<'_> {
            async fn bytes(&self, key: &str) -> Result<Option<Bytes>, TerminalError> {
                self.get(key).await
            }
            fn keys(&self) -> impl Future<Output = Result<Vec<String>, TerminalError>> + Send {
                self.get_keys()
            }
        }
    )*};
}
reads! { ObjectContext SharedObjectContext }

async fn read<T: Format>(ctx: &impl Reads, key: &str) -> Result<Option<T>, HandlerError> {
    let bytes = ctx.bytes(key).await?;
    Ok(bytes.map(|bytes| format::read(&bytes)).transpose()?)
}

fn write<T: Format>(ctx: &ObjectContext<'_>, key: &str, value: &T) {
    ctx.set(key, Bytes::from(format::write(value)));
}

/// A message of the core's own, from object to object.
fn to<'c>(ctx: &ObjectContext<'c>, service: &str, key: &str, message: Message) -> Request<'c, Bytes> {
    let target = RequestTarget::object(service, key, message.handler);
    // What time it is, nobody says: whoever is told asks its own clock.
    ctx.request(target, Bytes::from(message.body)).header(FROM_INSIDE.to_owned(), String::new())
}

/// A ticket as it is.
pub(crate) async fn ticket(ctx: &impl Reads) -> Result<Ticket, HandlerError> {
    Ok(read(ctx, STATE).await?.unwrap_or_default())
}

impl Stored for Ticket {
    fn version(&self) -> u64 {
        self.version()
    }

    async fn load(ctx: &impl Reads, _: &TicketCommand) -> Result<Self, HandlerError> {
        ticket(ctx).await
    }

    fn store(&self, ctx: &ObjectContext<'_>, _: &TicketEvent) {
        write(ctx, STATE, self);
    }

    fn send(ctx: &ObjectContext<'_>, notices: TicketNotices, now: Timestamp) {
        let Ok(id) = TicketId::parse(ctx.key()) else {
            unreachable!("a request to a ticket is not understood without its id");
        };
        if let Some(update) = notices.map {
            let _one_way = to(ctx, SEAT_MAP, id.map_str(), inner::set(&id, update.status, update.version)).send();
        }
        if let Some(timer) = notices.timer {
            let expire = TicketCommand::Expire { hold: timer.hold, until: timer.until };
            if let Some(message) = inner::to_ticket(&expire) {
                let after = Duration::from_millis(timer.until.as_millis().saturating_sub(now.as_millis()));
                let _one_way = to(ctx, TICKET, ctx.key(), message).send_after(after);
            }
        }
    }
}

/// A map as it is.
pub(crate) async fn seat_map(ctx: &impl Reads) -> Result<SeatMap, HandlerError> {
    let laid: Option<Laid> = read(ctx, LAYOUT).await?;
    let (keys, mut seats) = (ctx.keys().await?, BTreeMap::new());
    for part in keys.iter().filter(|key| is_part(key)) {
        let Seats(of_it) = read(ctx, part).await?.unwrap_or_default();
        seats.extend(of_it);
    }
    Ok(SeatMap::restored(laid.map(|Laid(published)| published), seats))
}

impl Stored for SeatMap {
    fn version(&self) -> u64 {
        self.version()
    }

    async fn load(ctx: &impl Reads, command: &SeatMapCommand) -> Result<Self, HandlerError> {
        match command {
            SeatMapCommand::Update { ticket, auto_reset_at: None, .. } => {
                let Changes(version) = read(ctx, VERSION).await?.unwrap_or_default();
                let Seats(seats) = read(ctx, &part(ticket)).await?.unwrap_or_default();
                let others = seats.into_iter();
                Ok(Self::around(version, others))
            }
            SeatMapCommand::Update { .. }
            | SeatMapCommand::Publish { .. }
            | SeatMapCommand::ResetAll
            | SeatMapCommand::Continue(_) => seat_map(ctx).await,
        }
    }

    fn store(&self, ctx: &ObjectContext<'_>, event: &SeatMapEvent) {
        match event {
            SeatMapEvent::Updated { ticket, .. } => {
                let part = part(ticket);
                let seats = self.seats().filter(|(id, _)| restate::part(id) == part);
                write(ctx, &part, &Seats(seats.map(|(id, seat)| (id.clone(), *seat)).collect()));
            }
            SeatMapEvent::Published { .. } => {
                if let Some(published) = self.published() {
                    write(ctx, LAYOUT, &Laid(published));
                }
            }
        }
        write(ctx, VERSION, &Changes(self.version()));
    }

    fn send(ctx: &ObjectContext<'_>, notices: SeatMapNotices, _: Timestamp) {
        // Nobody can watch through Restate.
        let SeatMapNotices { watchers: _, tickets, go_on } = notices;
        for (ticket, command) in tickets {
            if let Some(message) = inner::to_ticket(&command) {
                let _one_way = to(ctx, TICKET, ticket.as_str(), message).send();
            }
        }
        if let Some(errand) = go_on {
            let _one_way = to(ctx, SEAT_MAP, ctx.key(), inner::go_on(&errand)).send();
        }
    }
}
