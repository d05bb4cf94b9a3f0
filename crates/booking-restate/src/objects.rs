//! One generic turn: read the state, let the core decide, write the state, send what follows. Every handler of a ticket
//! or a map comes down to it.
//!
//! Restate keeps what an invocation does in order, so messages are sent after the state that they follow from is written.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use booking_core::format::{self, Format};
use booking_core::ids::TicketId;
use booking_core::machine::{Machine, turn};
use booking_core::seat_map::{SeatMap, SeatMapCommand, SeatMapEvent, SeatMapNotices};
use booking_core::ticket::{Ticket, TicketCommand, TicketEvent, TicketNotices};
use booking_core::time::Timestamp;
use booking_core::wire::SeatMapCall;
use restate_endpoint::Stop;

use crate::context::{Context, json};
use crate::handler::Handler;
use crate::host::unreadable;
use crate::records::{Changes, LAYOUT, Message, PART, STATE, Seats, VERSION, part};

/// A machine whose state Restate keeps.
pub(crate) trait Stored: Machine {
    /// As much of the state as this command needs.
    fn load<C: Context>(ctx: &C, command: &Self::Command) -> impl Future<Output = Result<Self, Stop>>;

    /// Writes what this event has changed.
    fn store<C: Context>(&self, ctx: &C, event: &Self::Event) -> Result<(), Stop>;

    /// Sends the messages that follow.
    fn send<C: Context>(ctx: &C, notices: Self::Notices, now: Timestamp) -> Result<(), Stop>;

    /// Its version.
    fn version(&self) -> u64;
}

/// What an object said to a command, and its version after that.
type Turned<M> = Result<(Result<<M as Machine>::Reply, <M as Machine>::Refusal>, u64), Stop>;

/// Lets the object of this invocation judge a command.
pub(crate) async fn turn_of<M: Stored, C: Context>(ctx: &C, command: &M::Command, now: Timestamp) -> Turned<M> {
    turn_on(ctx, M::load(ctx, command).await?, command, now)
}

/// The same, where the state has been read.
pub(crate) fn turn_on<M: Stored, C: Context>(ctx: &C, mut state: M, command: &M::Command, now: Timestamp) -> Turned<M> {
    let turn = turn(&mut state, command, now);
    if let Some(event) = turn.event() {
        state.store(ctx, event)?;
    }
    let (outcome, notices) = turn.stored();
    M::send(ctx, notices, now)?;
    Ok((outcome, state.version()))
}

async fn read<T: Format, C: Context>(ctx: &C, key: &str) -> Result<Option<T>, Stop> {
    let bytes = ctx.get(key).await?;
    bytes.map(|bytes| format::read(&bytes)).transpose().map_err(unreadable)
}

fn write<T: Format>(ctx: &impl Context, key: &str, value: &T) -> Result<(), Stop> {
    ctx.set(key, format::write(value).into())
}

/// Sends a command to a ticket, which asks its own clock.
fn to_ticket(ctx: &impl Context, ticket: &str, command: TicketCommand, delay: Option<Duration>) -> Result<(), Stop> {
    ctx.send(Handler::TicketTurn.target(Some(ticket)), json(&Message { command, at: None }), delay)
}

fn to_map(ctx: &impl Context, map: &str, call: &SeatMapCall) -> Result<(), Stop> {
    ctx.send(Handler::MapTurn.target(Some(map)), json(call), None)
}

/// Reads the ticket.
pub(crate) async fn ticket<C: Context>(ctx: &C) -> Result<Ticket, Stop> {
    Ok(read(ctx, STATE).await?.unwrap_or_default())
}

impl Stored for Ticket {
    fn version(&self) -> u64 {
        self.version()
    }

    async fn load<C: Context>(ctx: &C, _: &TicketCommand) -> Result<Self, Stop> {
        ticket(ctx).await
    }

    fn store<C: Context>(&self, ctx: &C, _: &TicketEvent) -> Result<(), Stop> {
        write(ctx, STATE, self)
    }

    fn send<C: Context>(ctx: &C, notices: TicketNotices, now: Timestamp) -> Result<(), Stop> {
        let ticket = TicketId::parse(ctx.key()).map_err(|why| Stop::Retry(why.to_string()))?;
        if let Some(update) = notices.map {
            let map = ticket.map_key();
            let (status, version) = (update.status, update.version);
            to_map(ctx, map.as_str(), &SeatMapCall::Update { ticket, status, version })?;
        }
        if let Some(timer) = notices.timer {
            let after = Duration::from_millis(timer.until.as_millis().saturating_sub(now.as_millis()));
            let expire = TicketCommand::Expire { hold: timer.hold, until: timer.until };
            to_ticket(ctx, ctx.key(), expire, Some(after))?;
        }
        Ok(())
    }
}

/// Reads the whole map.
pub(crate) async fn seat_map<C: Context>(ctx: &C) -> Result<SeatMap, Stop> {
    let published = read(ctx, LAYOUT).await?;
    let (keys, mut seats) = (ctx.keys().await?, BTreeMap::new());
    for part in keys.iter().filter(|key| key.starts_with(PART)) {
        let Seats(of_it) = read(ctx, part).await?.unwrap_or_default();
        seats.extend(of_it);
    }
    Ok(SeatMap::restored(published, seats))
}

impl Stored for SeatMap {
    fn version(&self) -> u64 {
        self.version()
    }

    async fn load<C: Context>(ctx: &C, command: &SeatMapCommand) -> Result<Self, Stop> {
        match command {
            SeatMapCommand::Update { ticket, auto_reset_at: None, .. } => {
                let Changes(version) = read(ctx, VERSION).await?.unwrap_or_default();
                let Seats(seats) = read(ctx, &part(ticket)).await?.unwrap_or_default();
                Ok(Self::around(version, seats))
            }
            SeatMapCommand::Update { .. }
            | SeatMapCommand::Publish { .. }
            | SeatMapCommand::ResetAll
            | SeatMapCommand::Continue(_) => seat_map(ctx).await,
        }
    }

    fn store<C: Context>(&self, ctx: &C, event: &SeatMapEvent) -> Result<(), Stop> {
        match event {
            SeatMapEvent::Updated { ticket, .. } => {
                let place = part(ticket);
                let seats = self.seats().filter(|(id, _)| part(id) == place);
                write(ctx, &place, &Seats(seats.map(|(id, seat)| (id.clone(), *seat)).collect()))?;
            }
            SeatMapEvent::Published { .. } => {
                if let Some(published) = self.published() {
                    write(ctx, LAYOUT, &published)?;
                }
            }
        }
        write(ctx, VERSION, &Changes(self.version()))
    }

    fn send<C: Context>(ctx: &C, notices: SeatMapNotices, _: Timestamp) -> Result<(), Stop> {
        // Nobody can watch through Restate.
        let SeatMapNotices { watchers: _, tickets, go_on } = notices;
        for (ticket, command) in tickets {
            to_ticket(ctx, ticket.as_str(), command, None)?;
        }
        match go_on {
            Some(errand) => to_map(ctx, ctx.key(), &SeatMapCall::Command(SeatMapCommand::Continue(errand))),
            None => Ok(()),
        }
    }
}
