//! What Restate keeps of a map, and a turn of it: read what the command needs, let the core decide, write what has changed,
//! arm the timer.
//!
//! The header is an entry of its own. Seats, ended checkouts and wishes are kept in parts, by a hash of their names: a turn
//! reads and writes a few small entries, and a look at the whole map reads no more than there are parts. Entries are sent with
//! an invocation in the order of their names as far as the server's `eager-state-size-limit` goes, and are asked for beyond
//! that; the header comes first. What a layout needs to be drawn is kept beside the map, in an object that turns do not read.
//!
//! **A turn is whole** because it always ends: what it writes is seen by others entry by entry, and a crash in between has it go
//! on from there. So a turn is never given up once it writes, and an operator must not kill one.
//!
//! **Time.** A turn asks no clock. Its message says when it was sent, and its timer says when it was to fire.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use booking_core::format::{self, Format};
use booking_core::ids::{MapKey, TicketId};
use booking_core::machine::{Machine as _, Transition};
use booking_core::map::ticket::{Ticket, TicketState};
use booking_core::map::{
    Header, Layout, Needs, Place, Row, SeatMap, SeatMapCommand, SeatMapEvent, SeatMapRefusal, SeatMapReply,
};
use booking_core::time::{Millis, Timestamp};
use booking_core::wire::{Kind, MapCall};
use bytes::Bytes;
use restate_endpoint::Stop;

use crate::context::{Context, json};
use crate::handler::Handler;
use crate::host::{End, one};
use crate::journal::recorded;
use crate::records::{Edition, Ended, Judged, Message, Seats, Wishes};

/// Where the header of a map is kept.
const HEADER: &str = "header";

/// What the keys of each kind of parts begin with. In the order of their names they come after the header.
const ENDED: &str = "marks";
const SEATS: &str = "seats";
const WISHES: &str = "wishes";

/// Into how many parts each kind is kept.
const PARTS: u64 = 64;

/// How far apart two firings of a map's timer are at least: what ends meanwhile goes with the later one.
const TIMER: u64 = 1_000;

/// After how long a timer that has not fired is sent again: an operator may have ended it.
const LOST: Millis = Millis::from_mins(1);

/// The key of the part that something is in: FNV-1a of its name. A change of it would lose what every map keeps.
fn part(kind: &str, name: &str) -> String {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{kind}/{:02}", hash % PARTS)
}

/// As much of a map as was read.
#[derive(Default)]
pub(crate) struct Loaded {
    header: Header,
    seats: BTreeMap<String, Seats>,
    ended: BTreeMap<String, Ended>,
    wishes: BTreeMap<String, Wishes>,
    /// The seats that a command needs, of those in these parts.
    tickets: BTreeMap<TicketId, Ticket>,
    /// The layout as it is drawn, where a command needs it.
    layout: Option<Arc<Layout>>,
}

/// A stored form that this build cannot read, or a command that it cannot judge: the command is given up, and the map goes on.
fn unreadable<E>(_: E) -> End {
    End::Refused(Kind::StorageUnavailable.into())
}

/// What is shown of a seat that cannot be read.
fn unreadable_seat(version: u64) -> Ticket {
    let state = TicketState::Blocked { reason: "it cannot be read".to_owned() };
    Ticket { state, version, listed: None }
}

async fn read<T: Format, C: Context>(ctx: &C, key: &str) -> Result<Option<T>, End> {
    let bytes = ctx.get(key).await?;
    bytes.map(|bytes| format::read(&bytes)).transpose().map_err(unreadable)
}

fn write<T: Format>(ctx: &impl Context, key: &str, value: &T) -> Result<(), Stop> {
    ctx.set(key, format::write(value).into())
}

/// The key of the map of this invocation.
pub(crate) fn key(ctx: &impl Context) -> Result<MapKey, Stop> {
    MapKey::parse(ctx.key()).map_err(|why| Stop::Retry(why.to_string()))
}

/// The map's header.
pub(crate) async fn header<C: Context>(ctx: &C) -> Result<Header, End> {
    Ok(read(ctx, HEADER).await?.unwrap_or_default())
}

impl Loaded {
    /// The header, and what is kept of these seats.
    pub(crate) async fn around<C: Context>(ctx: &C, seats: &[TicketId]) -> Result<Self, End> {
        let header = header(ctx).await?;
        let mut loaded = Self { header, ..Self::default() };
        for seat in seats {
            let key = part(SEATS, seat.as_str());
            add(ctx, &mut loaded.seats, key.clone()).await?;
            if let Some(kept) = loaded.seats.get(&key).and_then(|seats| seats.tickets.get(seat)) {
                // What names a seat that cannot be read is given up.
                loaded.tickets.insert(seat.clone(), format::read(kept.as_bytes()).map_err(unreadable)?);
            }
        }
        Ok(loaded)
    }

    /// Takes every seat of the parts that were read. What one becomes that cannot be read, `otherwise` says.
    fn take_all(&mut self, otherwise: impl Fn() -> Result<Option<Ticket>, End>) -> Result<(), End> {
        for (id, kept) in self.seats.values().flat_map(|seats| &seats.tickets) {
            let ticket = format::read(kept.as_bytes()).map_or_else(|_| otherwise(), |ticket| Ok(Some(ticket)))?;
            put(&mut self.tickets, id.clone(), ticket);
        }
        Ok(())
    }

    /// Every seat, as a look at the map shows it.
    pub(crate) async fn shown<C: Context>(ctx: &C) -> Result<SeatMap, End> {
        let mut loaded = Self::around(ctx, &[]).await?;
        let keys = ctx.keys().await?;
        loaded.every(ctx, &keys, SEATS, true).await?;
        let version = loaded.header.version;
        loaded.take_all(|| Ok(Some(unreadable_seat(version))))?;
        Ok(loaded.known())
    }

    /// Reads every part of a kind. One that cannot be read is left out, where that is allowed.
    async fn every<C: Context>(&mut self, ctx: &C, keys: &[String], kind: &str, lenient: bool) -> Result<(), End> {
        for key in keys.iter().filter(|key| key.starts_with(kind)) {
            let done = match kind {
                SEATS => add(ctx, &mut self.seats, key.clone()).await,
                ENDED => add(ctx, &mut self.ended, key.clone()).await,
                _ => add(ctx, &mut self.wishes, key.clone()).await,
            };
            match done {
                Err(End::Refused(_)) if lenient => {}
                done => done?,
            }
        }
        Ok(())
    }

    /// Reads what a command needs beside the seats that it names.
    async fn complete<C: Context>(&mut self, ctx: &C, map: &MapKey, command: &SeatMapCommand) -> Result<(), End> {
        let needs = command.needs(&self.header);
        let (checkout, hold, all) = match needs {
            Needs::Parts { checkout, hold, ending, .. } => (checkout, hold, ending),
            Needs::All | Needs::AllAndLayout => (None, None, true),
        };
        if let Some(checkout) = checkout.filter(|_| self.header.ended > 0) {
            add(ctx, &mut self.ended, part(ENDED, checkout.as_str())).await?;
        }
        if let Some(hold) = hold.filter(|_| self.header.baskets > 0) {
            add(ctx, &mut self.wishes, part(WISHES, hold.as_str())).await?;
        }
        if all {
            // One seat that cannot be read must not keep the others from coming back on sale.
            let lenient = matches!(needs, Needs::Parts { .. });
            let keys = ctx.keys().await?;
            for kind in [SEATS, ENDED, WISHES] {
                self.every(ctx, &keys, kind, lenient).await?;
            }
            self.take_all(|| if lenient { Ok(None) } else { Err(unreadable(())) })?;
        }
        if needs == Needs::AllAndLayout {
            self.layout = layout(ctx, map, self.header.edition).await?.map(Arc::new);
        }
        Ok(())
    }

    /// The map, as far as it was read. Its layout has the seats of the parts that were read, with their prices.
    pub(crate) fn known(&self) -> SeatMap {
        let layout = self.layout.clone().or_else(|| (self.header.edition > 0).then(|| Arc::new(self.laid_out())));
        let tickets = self.tickets.iter().map(|(id, ticket)| (id.clone(), ticket.clone()));
        let ended = self.ended.values().flat_map(|Ended(ended)| ended).map(|(id, until)| (id.clone(), *until));
        let wishes = self.wishes.values().flat_map(|Wishes(wishes)| wishes);
        let wishes = wishes.map(|(id, basket)| (id.clone(), basket.clone()));
        SeatMap::from_parts(self.header, layout, tickets, ended, wishes)
    }

    /// The version of a seat that was read: that of its last change, or else one at which the map had it as it is. A part is
    /// read as a whole, and a map is not while it takes a turn; so the header's version may be another.
    pub(crate) fn version_of(&self, seat: &TicketId) -> u64 {
        let Some(seats) = self.seats.get(&part(SEATS, seat.as_str())) else { return 0 };
        self.tickets.get(seat).map_or(seats.version, |ticket| ticket.version)
    }

    /// Seats of the layout that were read, in its order. Rows and places are not known here.
    fn laid_out(&self) -> Layout {
        let prices = self.seats.values().flat_map(|seats| &seats.laid_out);
        let mut seats: Vec<(u32, Place)> = prices
            .flat_map(|(price, seats)| seats.iter().map(|(ticket, at)| (*at, ticket, *price)))
            .map(|(at, ticket, price)| (at, Place { ticket: ticket.clone(), label: None, price, x: 0, y: 0 }))
            .collect();
        seats.sort_by_key(|(at, _)| *at);
        let row = Row { name: String::new(), seats: seats.into_iter().map(|(_, place)| place).collect() };
        // Written from a layout, so no ticket is there twice.
        Layout::try_from(vec![row]).unwrap_or_default()
    }

    /// Takes in what an event has changed, and writes it.
    async fn store<C: Context>(&mut self, ctx: &C, map: &MapKey, event: SeatMapEvent) -> Result<(), End> {
        let SeatMapEvent { header, tickets, ended, baskets, layout } = event;
        let mut changed = Vec::new();
        for (id, ticket) in tickets {
            let key = part(SEATS, id.as_str());
            let seats = self.seats.entry(key.clone()).or_default();
            seats.version = header.version;
            put(&mut seats.tickets, id.clone(), ticket.as_ref().map(text));
            put(&mut self.tickets, id, ticket);
            changed.push(key);
        }
        for (id, until) in ended {
            let key = part(ENDED, id.as_str());
            put(&mut self.ended.entry(key.clone()).or_default().0, id, until);
            changed.push(key);
        }
        for (id, basket) in baskets {
            let key = part(WISHES, id.as_str());
            put(&mut self.wishes.entry(key.clone()).or_default().0, id, basket);
            changed.push(key);
        }
        if let Some(layout) = layout {
            changed.extend(self.lay_out(&layout, header.version));
            // First, so that no header names an edition that is not there.
            let kept = json(&Edition { edition: header.edition, layout: Layout::clone(&layout) });
            one(ctx, ctx.call(Handler::LayoutKeep.target(Some(map.as_str())), kept)?).await?;
        }
        changed.sort_unstable();
        changed.dedup();
        for key in changed {
            match key.split('/').next() {
                // One without seats tells the version still.
                Some(SEATS) => write(ctx, &key, self.seats.entry(key.clone()).or_default())?,
                Some(ENDED) => put_part(ctx, &key, self.ended.get(&key), |Ended(ended)| ended.is_empty())?,
                _ => put_part(ctx, &key, self.wishes.get(&key), |Wishes(wishes)| wishes.is_empty())?,
            }
        }
        self.header = header;
        Ok(write(ctx, HEADER, &header)?)
    }

    /// Divides the seats of a layout among the parts; every part that may have changed.
    fn lay_out(&mut self, layout: &Layout, version: u64) -> Vec<String> {
        self.seats.values_mut().for_each(|seats| seats.laid_out.clear());
        for (at, place) in (0..).zip(layout.places()) {
            let seats = self.seats.entry(part(SEATS, place.ticket.as_str())).or_default();
            seats.version = version;
            let seat = (place.ticket.clone(), at);
            match seats.laid_out.iter_mut().find(|(price, _)| *price == place.price) {
                Some((_, alike)) => alike.push(seat),
                None => seats.laid_out.push((place.price, vec![seat])),
            }
        }
        self.seats.keys().cloned().collect()
    }
}

/// Reads a part, unless it was read.
async fn add<T: Format + Default, C: Context>(
    ctx: &C,
    parts: &mut BTreeMap<String, T>,
    key: String,
) -> Result<(), End> {
    if let Entry::Vacant(missing) = parts.entry(key) {
        let part = read(ctx, missing.key()).await?.unwrap_or_default();
        missing.insert(part);
    }
    Ok(())
}

/// A seat in its stored form.
fn text(ticket: &Ticket) -> String {
    String::from_utf8(format::write(ticket)).expect("JSON is UTF-8")
}

fn put<K: Ord, V>(entries: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => entries.insert(key, value),
        None => entries.remove(&key),
    };
}

fn put_part<T: Format>(
    ctx: &impl Context,
    key: &str,
    part: Option<&T>,
    is_empty: impl Fn(&T) -> bool,
) -> Result<(), Stop> {
    match part.filter(|part| !is_empty(part)) {
        Some(part) => write(ctx, key, part),
        None => ctx.clear(key),
    }
}

/// A turn of the map of this invocation.
pub(crate) async fn turn<C: Context>(ctx: &C, Message { call, at }: Message) -> Result<Judged, End> {
    let key = key(ctx)?;
    let mut loaded = Loaded::around(ctx, call.seats()).await?;
    let seat = match &call {
        MapCall::Seat(seat, ..) => Some(seat.clone()),
        MapCall::Map(_) | MapCall::Line(..) | MapCall::Expire(_) => None,
    };
    if let Some(due) = loaded.header.armed.filter(|due| due.plus(LOST) < at) {
        arm(ctx, &key, due)?;
    }
    let command = guarded(|| call.command(&key, &loaded.known()))?.map_err(|kind| End::Refused(kind.into()))?;
    let judged = judge(ctx, &key, &mut loaded, &command, at).await?;
    let of_seat = seat.map(|seat| loaded.version_of(&seat));
    let version = of_seat.unwrap_or(loaded.header.version);
    if loaded.known().wants_reset(ctx.terms()) {
        match judge(ctx, &key, &mut loaded, &SeatMapCommand::ResetAll, at).await {
            // A map with a seat that cannot be read stays as it is; what was asked of it is done.
            Ok(_) | Err(End::Refused(_)) => {}
            Err(End::By(stop)) => return Err(End::By(stop)),
        }
    }
    Ok(Judged { outcome: judged, version })
}

/// A command that the rules cannot judge, as they panic, is given up before anything is written: the map goes on. (In builds in
/// which panics unwind.)
fn guarded<T>(judge: impl FnOnce() -> T) -> Result<T, End> {
    catch_unwind(AssertUnwindSafe(judge)).map_err(unreadable)
}

type Outcome = Result<SeatMapReply, SeatMapRefusal>;

async fn judge<C: Context>(
    ctx: &C,
    key: &MapKey,
    loaded: &mut Loaded,
    command: &SeatMapCommand,
    at: Timestamp,
) -> Result<Outcome, End> {
    loaded.complete(ctx, key, command).await?;
    let decided = guarded(|| {
        let _terms = ctx.terms();
        loaded.known().decide(command, at)
    })?;
    match decided {
        Ok(Transition { event, reply, notices }) => {
            if let Some(event) = event {
                loaded.store(ctx, key, event).await?;
            }
            if let Some(due) = notices.timer {
                arm(ctx, key, due)?;
            }
            Ok(Ok(reply))
        }
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// Sends the timer of a map. It fires at the end of the second, with everything that ends meanwhile.
fn arm(ctx: &impl Context, key: &MapKey, due: Timestamp) -> Result<(), Stop> {
    let at = Timestamp::from_millis(due.as_millis().div_ceil(TIMER).saturating_mul(TIMER));
    let after = Duration::from_millis(at.as_millis().saturating_sub(ctx.now().as_millis()));
    let message = json(&Message { call: MapCall::Expire(due), at });
    ctx.send(Handler::MapTurn.target(Some(key.as_str())), message, Some(after))
}

/// The layout of a map as it is drawn; `None` before the first was published.
pub(crate) async fn layout<C: Context>(ctx: &C, map: &MapKey, edition: u64) -> Result<Option<Layout>, End> {
    if edition == 0 {
        return Ok(None);
    }
    let asked = ctx.call(Handler::LayoutGet.target(Some(map.as_str())), json(&edition))?;
    Ok(recorded(&one(ctx, asked).await?)?)
}

/// The key under which an edition is kept beside its map.
fn edition_key(edition: u64) -> String {
    format!("edition/{edition}")
}

/// Keeps a layout beside its map. The one before it stays: the map may not have heard of this one yet.
pub(crate) async fn keep_layout<C: Context>(ctx: &C) -> Result<Bytes, End> {
    let Edition { edition, layout } = recorded(&ctx.input())?;
    let stays = [edition, edition.saturating_sub(1)].map(edition_key);
    for old in ctx.keys().await?.iter().filter(|key| !stays.contains(key)) {
        ctx.clear(old)?;
    }
    write(ctx, &edition_key(edition), &layout)?;
    Ok(Bytes::new())
}

/// Looks up a layout that is kept beside its map.
pub(crate) async fn kept_layout<C: Context>(ctx: &C) -> Result<Bytes, End> {
    let edition: u64 = recorded(&ctx.input())?;
    let layout: Option<Layout> = read(ctx, &edition_key(edition)).await?;
    Ok(json(&layout))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change would lose what every map keeps.
    #[test]
    fn names_go_to_the_parts_that_they_always_went_to() {
        let part = |name: &str| part(SEATS, name);
        assert_eq!(["arena:A:12", "hall:1", "a"].map(part), ["seats/00", "seats/00", "seats/00"]);
    }
}
