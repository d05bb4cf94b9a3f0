//! One generic turn: read the state, let the core decide, write the state, send what follows. Every handler of a ticket
//! or a map comes down to it.
//!
//! What an attempt writes and sends is kept together, or not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use booking_core::format::{self, Format};
use booking_core::ids::TicketId;
use booking_core::machine::{Machine, turn};
use booking_core::seat_map::{SeatMap, SeatMapCommand, SeatMapEvent, SeatMapNotices};
use booking_core::ticket::{Ticket, TicketCommand, TicketEvent, TicketNotices};
use booking_core::time::Timestamp;
use booking_core::wire::inner::{self, Message};
use booking_hosting::restate::{
    Changes, FROM_INSIDE, LAYOUT, Laid, SEAT_MAP, STATE, Seats, TICKET, VERSION, is_part, part,
};
use restate_endpoint::{Context, Stop, Target};

use super::errors::unreadable;

/// A machine whose state Restate keeps.
pub(super) trait Stored: Machine {
    /// As much of the state as this command needs.
    async fn load(ctx: &Context, command: &Self::Command) -> Result<Self, Stop>;

    /// Writes what this event has changed.
    fn store(&self, ctx: &Context, event: &Self::Event) -> Result<(), Stop>;

    /// Sends what others are told.
    fn send(ctx: &Context, notices: Self::Notices, now: Timestamp) -> Result<(), Stop>;

    /// Its version.
    fn version(&self) -> u64;
}

/// What an object said to a command, and its version after that.
type Turned<M> = Result<(Result<<M as Machine>::Reply, <M as Machine>::Refusal>, u64), Stop>;

/// Lets the object of this invocation judge a command.
pub(super) async fn turn_of<M: Stored>(ctx: &Context, command: &M::Command, now: Timestamp) -> Turned<M> {
    let state = M::load(ctx, command).await?;
    turn_on(ctx, state, command, now)
}

/// The same, where the state has been read.
pub(super) fn turn_on<M: Stored>(ctx: &Context, mut state: M, command: &M::Command, now: Timestamp) -> Turned<M> {
    let turn = turn(&mut state, command, now);
    if let Some(event) = turn.event() {
        state.store(ctx, event)?;
    }
    let (outcome, notices) = turn.stored();
    M::send(ctx, notices, now)?;
    Ok((outcome, state.version()))
}

async fn read<T: Format>(ctx: &Context, key: &str) -> Result<Option<T>, Stop> {
    let bytes = ctx.get(key).await?;
    bytes.map(|bytes| format::read(&bytes)).transpose().map_err(unreadable)
}

fn write<T: Format>(ctx: &Context, key: &str, value: &T) -> Result<(), Stop> {
    ctx.set(key, format::write(value).into())
}

/// Sends a message of the core's own, from object to object. What time it is, nobody says: whoever is told asks its own
/// clock.
fn tell(ctx: &Context, service: &str, key: &str, message: Message, after: Option<Duration>) -> Result<(), Stop> {
    let target = Target {
        service: service.to_owned(),
        handler: message.handler.to_owned(),
        key: Some(key.to_owned()),
        headers: vec![(FROM_INSIDE.to_owned(), String::new())],
    };
    ctx.send(target, message.body.into(), after)
}

/// A ticket as it is.
pub(super) async fn ticket(ctx: &Context) -> Result<Ticket, Stop> {
    Ok(read(ctx, STATE).await?.unwrap_or_default())
}

impl Stored for Ticket {
    fn version(&self) -> u64 {
        self.version()
    }

    async fn load(ctx: &Context, _: &TicketCommand) -> Result<Self, Stop> {
        ticket(ctx).await
    }

    fn store(&self, ctx: &Context, _: &TicketEvent) -> Result<(), Stop> {
        write(ctx, STATE, self)
    }

    fn send(ctx: &Context, notices: TicketNotices, now: Timestamp) -> Result<(), Stop> {
        let id = TicketId::parse(ctx.key()).map_err(|why| Stop::Retry(why.to_string()))?;
        if let Some(update) = notices.map {
            tell(ctx, SEAT_MAP, id.map_str(), inner::set(&id, update.status, update.version), None)?;
        }
        if let Some(timer) = notices.timer {
            let expire = TicketCommand::Expire { hold: timer.hold, until: timer.until };
            if let Some(message) = inner::to_ticket(&expire) {
                let after = Duration::from_millis(timer.until.as_millis().saturating_sub(now.as_millis()));
                tell(ctx, TICKET, ctx.key(), message, Some(after))?;
            }
        }
        Ok(())
    }
}

/// A map as it is.
pub(super) async fn seat_map(ctx: &Context) -> Result<SeatMap, Stop> {
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

    async fn load(ctx: &Context, command: &SeatMapCommand) -> Result<Self, Stop> {
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

    fn store(&self, ctx: &Context, event: &SeatMapEvent) -> Result<(), Stop> {
        match event {
            SeatMapEvent::Updated { ticket, .. } => {
                let part = part(ticket);
                let seats = self.seats().filter(|(id, _)| booking_hosting::restate::part(id) == part);
                write(ctx, &part, &Seats(seats.map(|(id, seat)| (id.clone(), *seat)).collect()))?;
            }
            SeatMapEvent::Published { .. } => {
                if let Some(published) = self.published() {
                    write(ctx, LAYOUT, &Laid(published))?;
                }
            }
        }
        write(ctx, VERSION, &Changes(self.version()))
    }

    fn send(ctx: &Context, notices: SeatMapNotices, _: Timestamp) -> Result<(), Stop> {
        // Nobody can watch through Restate.
        let SeatMapNotices { watchers: _, tickets, go_on } = notices;
        for (ticket, command) in tickets {
            if let Some(message) = inner::to_ticket(&command) {
                tell(ctx, TICKET, ticket.as_str(), message, None)?;
            }
        }
        match go_on {
            Some(errand) => tell(ctx, SEAT_MAP, ctx.key(), inner::go_on(&errand), None),
            None => Ok(()),
        }
    }
}
