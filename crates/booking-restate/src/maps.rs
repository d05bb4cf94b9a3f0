//! What Restate keeps of a map, and a turn of it: read what the command needs, let the core decide, write what has changed,
//! arm the timer.
//!
//! **A change is one entry.** What a handler writes is kept entry by entry, also where an operator then kills it. So the header and
//! what has changed last are written together, in one entry that takes the place of what the others say. When there is much of it,
//! it goes to where it belongs, before the entry is written anew: seats, ended checkouts and wishes are kept in parts, by a hash of
//! their names. A turn reads and writes a few small entries, and a look at the whole map reads no more than there are parts.
//!
//! Entries are sent with an invocation in the order of their names as far as the server's `eager-state-size-limit` goes, and are
//! asked for beyond that; the header comes first. What a layout needs to be drawn is kept beside the map, in an object that turns do
//! not read.
//!
//! **Time.** A turn asks no clock. Its message says when it was sent, and its timer says when it was to fire.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use booking_core::format::{self, Format};
use booking_core::ids::{MapKey, TicketId};
use booking_core::life::Told;
use booking_core::map::ticket::Ticket;
use booking_core::map::{Header, Layout, Needs, Parts, Place, Row, SeatMap, SeatMapEvent};
use booking_core::time::{Millis, Timestamp};
use booking_core::wire::{Kind, MapCall};
use bytes::Bytes;
use restate_endpoint::Stop;

use crate::context::{Context, json};
use crate::handler::Handler;
use crate::host::{End, one};
use crate::journal::recorded;
use crate::records::{Edition, Ended, Head, Judged, LaidOut, Message, Recent, Seats, Wishes};

/// Where the header of a map is kept, with what has changed last.
const HEADER: &str = "header";

/// How many changes are kept with the header at most, before they go to their parts.
const RECENT: usize = 16;

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
    head: Head,
    seats: BTreeMap<String, Seats>,
    ended: BTreeMap<String, Ended>,
    wishes: BTreeMap<String, Wishes>,
    /// The seats that a command needs, of those in these parts.
    tickets: BTreeMap<TicketId, Ticket>,
    /// The layout as it is drawn, where a command needs it.
    layout: Option<Arc<Layout>>,
}

/// A stored form that this build cannot read, or a command that it cannot judge: the command is given up, and the map continues.
fn unreadable<E>(_: E) -> End {
    End::Refused(Kind::StorageUnavailable.into())
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
    Ok(head(ctx).await?.header)
}

async fn head<C: Context>(ctx: &C) -> Result<Head, End> {
    Ok(read(ctx, HEADER).await?.unwrap_or_default())
}

impl Loaded {
    /// The header, and what is kept of a seat, with what it costs.
    pub(crate) async fn around<C: Context>(ctx: &C, seat: &TicketId) -> Result<Self, End> {
        let mut loaded = Self { head: head(ctx).await?, ..Self::default() };
        loaded.read_seats(ctx, std::slice::from_ref(seat), true).await?;
        Ok(loaded)
    }

    /// Reads what is kept of these seats; with what they cost, if that is asked.
    async fn read_seats<C: Context>(&mut self, ctx: &C, seats: &[TicketId], prices: bool) -> Result<(), End> {
        for seat in seats {
            let key = part(SEATS, seat.as_str());
            if prices || !self.head.recent.tickets.contains_key(seat) {
                add(ctx, &mut self.seats, key.clone()).await?;
            }
            let kept = match self.head.recent.tickets.get(seat) {
                Some((_, kept)) => kept.as_ref(),
                None => self.seats.get(&key).and_then(|seats| seats.tickets.get(seat)),
            };
            if let Some(kept) = kept {
                // What names a seat that cannot be read is given up.
                self.tickets.insert(seat.clone(), format::read(kept.as_bytes()).map_err(unreadable)?);
            }
        }
        Ok(())
    }

    /// Takes every seat of the parts that were read. What one becomes that cannot be read, `otherwise` says.
    fn take_all(&mut self, otherwise: impl Fn() -> Result<Option<Ticket>, End>) -> Result<(), End> {
        let in_parts = self.seats.values().flat_map(|seats| &seats.tickets).map(|(id, kept)| (id, Some(kept)));
        let recent = self.head.recent.tickets.iter().map(|(id, (_, kept))| (id, kept.as_ref()));
        for (id, kept) in in_parts.chain(recent) {
            let ticket = match kept.map(|kept| format::read(kept.as_bytes())) {
                Some(Err(_)) => otherwise()?,
                Some(Ok(ticket)) => Some(ticket),
                None => None,
            };
            put(&mut self.tickets, id.clone(), ticket);
        }
        Ok(())
    }

    /// Every seat, as a look at the map shows it.
    pub(crate) async fn shown<C: Context>(ctx: &C) -> Result<SeatMap, End> {
        let mut loaded = Self { head: head(ctx).await?, ..Self::default() };
        let keys = ctx.keys().await?;
        loaded.every(ctx, &keys, SEATS, true).await?;
        let version = loaded.head.header.version;
        loaded.take_all(|| Ok(Some(Ticket::unreadable(version))))?;
        Ok(loaded.known())
    }

    /// Reads every part of a kind. One that cannot be read is left out, where that is allowed.
    async fn every<C: Context>(&mut self, ctx: &C, keys: &[String], kind: &str, lenient: bool) -> Result<(), End> {
        for key in keys.iter().filter(|key| key.starts_with(kind)) {
            let done = match kind {
                SEATS => add(ctx, &mut self.seats, key.clone()).await.map(|_| ()),
                ENDED => add(ctx, &mut self.ended, key.clone()).await.map(|_| ()),
                _ => add(ctx, &mut self.wishes, key.clone()).await.map(|_| ()),
            };
            match done {
                Err(End::Refused(_)) if lenient => {}
                done => done?,
            }
        }
        Ok(())
    }

    /// Reads what a call needs, beside what was read before.
    async fn read<C: Context>(&mut self, ctx: &C, map: &MapKey, needs: Needs<'_>) -> Result<(), End> {
        // One seat that cannot be read must not keep the others from coming back on sale.
        let (parts, lenient) = match needs {
            Needs::Parts(parts) => (parts, true),
            Needs::All | Needs::AllAndLayout => (Parts { ending: true, ..Parts::default() }, false),
        };
        self.read_seats(ctx, parts.seats, parts.layout).await?;
        if let Some(checkout) = parts.checkout.filter(|_| self.head.header.ended > 0) {
            add(ctx, &mut self.ended, part(ENDED, checkout.as_str())).await?;
        }
        if let Some(hold) = parts.hold.filter(|_| self.head.header.last_wishes > 0) {
            add(ctx, &mut self.wishes, part(WISHES, hold.as_str())).await?;
        }
        if parts.ending {
            let keys = ctx.keys().await?;
            for kind in [SEATS, ENDED, WISHES] {
                self.every(ctx, &keys, kind, lenient).await?;
            }
            self.take_all(|| if lenient { Ok(None) } else { Err(unreadable(())) })?;
        }
        if needs == Needs::AllAndLayout {
            self.layout = layout(ctx, map, self.head.header.edition).await?.map(Arc::new);
        }
        Ok(())
    }

    /// The map, as far as it was read. Its layout has the seats of the parts that were read, with their prices.
    pub(crate) fn known(&self) -> SeatMap {
        let layout = self.layout.clone().or_else(|| (self.head.header.edition > 0).then(|| Arc::new(self.laid_out())));
        let tickets = self.tickets.iter().map(|(id, ticket)| (id.clone(), ticket.clone()));
        let recent = &self.head.recent;
        let ended = overlaid(self.ended.values().flat_map(|Ended(ended)| ended), &recent.ended);
        let wishes = overlaid(self.wishes.values().flat_map(|Wishes(wishes)| wishes), &recent.wishes);
        SeatMap::from_parts(self.head.header, layout, tickets, ended, wishes)
    }

    /// The version of a seat that was read: that of its last change, or else one at which the map had it as it was laid out. (A part
    /// may have been written after the header was read.)
    pub(crate) fn version_of(&self, seat: &TicketId) -> u64 {
        let recent = self.head.recent.tickets.get(seat).map(|(version, _)| *version);
        let own = recent.or_else(|| self.tickets.get(seat).map(|ticket| ticket.version));
        own.unwrap_or_else(|| {
            let part = self.seats.get(&part(SEATS, seat.as_str())).map_or(0, |seats| seats.version);
            part.max(self.head.header.version)
        })
    }

    /// Seats of the layout that were read, in its order. Rows and places are not known here.
    fn laid_out(&self) -> Layout {
        let edition = self.head.header.edition;
        let laid_out = self.seats.values().flat_map(|seats| &seats.laid_out).filter(|it| it.edition == edition);
        let prices = laid_out.flat_map(|laid_out| &laid_out.prices);
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
        let SeatMapEvent { header, tickets, ended, last_wishes, layout } = event;
        if self.head.recent.len() + tickets.len() + ended.len() + last_wishes.len() > RECENT {
            self.put_away(ctx).await?;
        }
        if let Some(layout) = layout {
            // First, so that no header names an edition that is not there.
            let kept = json(&Edition { edition: header.edition, layout: Layout::clone(&layout) });
            one(ctx, ctx.call(Handler::LayoutKeep.target(Some(map.as_str())), kept)?).await?;
            self.lay_out(&layout, header.edition);
            self.seats.iter().try_for_each(|(key, seats)| write(ctx, key, seats))?;
        }
        let recent = &mut self.head.recent;
        for (id, ticket) in tickets {
            recent.tickets.insert(id.clone(), (header.version, ticket.as_ref().map(text)));
            put(&mut self.tickets, id, ticket);
        }
        recent.ended.extend(ended);
        recent.wishes.extend(last_wishes);
        self.head.header = header;
        Ok(write(ctx, HEADER, &self.head)?)
    }

    /// Puts what has changed last where it belongs. It stays what it is: the header takes its place until it is written anew.
    async fn put_away<C: Context>(&mut self, ctx: &C) -> Result<(), End> {
        let Recent { tickets, ended, wishes } = std::mem::take(&mut self.head.recent);
        let mut changed = BTreeSet::new();
        for (id, (version, kept)) in tickets {
            let key = part(SEATS, id.as_str());
            let seats = add(ctx, &mut self.seats, key.clone()).await?;
            seats.version = seats.version.max(version);
            put(&mut seats.tickets, id, kept);
            changed.insert(key);
        }
        for (id, until) in ended {
            let key = part(ENDED, id.as_str());
            put(&mut add(ctx, &mut self.ended, key.clone()).await?.0, id, until);
            changed.insert(key);
        }
        for (id, last_wish) in wishes {
            let key = part(WISHES, id.as_str());
            put(&mut add(ctx, &mut self.wishes, key.clone()).await?.0, id, last_wish);
            changed.insert(key);
        }
        for key in changed {
            if let Some(seats) = self.seats.get(&key) {
                write(ctx, &key, seats)?;
            } else if let Some(ended) = self.ended.get(&key) {
                write(ctx, &key, ended)?;
            } else if let Some(wishes) = self.wishes.get(&key) {
                write(ctx, &key, wishes)?;
            }
        }
        Ok(())
    }

    /// Divides the seats of a layout among the parts, beside those of the layout before it.
    fn lay_out(&mut self, layout: &Layout, edition: u64) {
        for seats in self.seats.values_mut() {
            seats.laid_out.retain(|before| before.edition + 1 == edition);
        }
        for (at, place) in (0..).zip(layout.places()) {
            let seats = self.seats.entry(part(SEATS, place.ticket.as_str())).or_default();
            if seats.laid_out.last().is_none_or(|last| last.edition != edition) {
                seats.laid_out.push(LaidOut { edition, prices: Vec::new() });
            }
            let seat = (place.ticket.clone(), at);
            let prices = seats.laid_out.last_mut().map(|last| &mut last.prices).into_iter();
            for prices in prices {
                match prices.iter_mut().find(|(price, _)| *price == place.price) {
                    Some((_, alike)) => alike.push(seat.clone()),
                    None => prices.push((place.price, vec![seat.clone()])),
                }
            }
        }
    }
}

/// Entries of parts, with the latest changes in the place of what they say.
fn overlaid<'a, K: Clone + Ord + 'a, V: Clone + 'a>(
    parts: impl Iterator<Item = (&'a K, &'a V)>,
    recent: &'a BTreeMap<K, Option<V>>,
) -> impl Iterator<Item = (K, V)> {
    let parts = parts.filter(|(key, _)| !recent.contains_key(*key)).map(|(key, value)| (key, Some(value)));
    let recent = recent.iter().map(|(key, value)| (key, value.as_ref()));
    parts.chain(recent).filter_map(|(key, value)| Some((key.clone(), value?.clone())))
}

/// A part, read unless it was.
async fn add<'a, T: Format + Default, C: Context>(
    ctx: &C,
    parts: &'a mut BTreeMap<String, T>,
    key: String,
) -> Result<&'a mut T, End> {
    Ok(match parts.entry(key) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(missing) => {
            let part = read(ctx, missing.key()).await?.unwrap_or_default();
            missing.insert(part)
        }
    })
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

/// A turn of the map of this invocation.
pub(crate) async fn turn<C: Context>(ctx: &C, Message { call, at }: Message) -> Result<Judged, End> {
    let key = key(ctx)?;
    let mut loaded = Loaded { head: head(ctx).await?, ..Loaded::default() };
    if let Some(due) = loaded.head.header.armed.filter(|due| due.plus(LOST) < at) {
        arm(ctx, &key, due)?;
    }
    let seat = match &call {
        MapCall::Seat(seat, ..) => Some(seat.clone()),
        MapCall::Map(_) | MapCall::Line(..) | MapCall::Expire(_) => None,
    };
    let (told, follow_up) = judge(ctx, &key, &mut loaded, call, at).await?;
    let of_seat = seat.map(|seat| loaded.version_of(&seat));
    let version = of_seat.unwrap_or(loaded.head.header.version);
    if let Some(call) = follow_up {
        match judge(ctx, &key, &mut loaded, call, at).await {
            // A map with a seat that cannot be read stays as it is; what was asked of it is done.
            Ok(_) | Err(End::Refused(_)) => {}
            Err(End::By(stop)) => return Err(End::By(stop)),
        }
    }
    Ok(Judged { outcome: told.outcome, version })
}

/// If the rules panic over a command, the command is given up before anything is written, and the map continues. (In builds in
/// which panics unwind.)
fn guarded<T>(judge: impl FnOnce() -> T) -> Result<T, End> {
    catch_unwind(AssertUnwindSafe(judge)).map_err(unreadable)
}

/// Reads what a call needs, has the core judge it, writes what has changed, and sends the timer. What the map is to be asked after it.
async fn judge<C: Context>(
    ctx: &C,
    key: &MapKey,
    loaded: &mut Loaded,
    call: MapCall,
    at: Timestamp,
) -> Result<(Told, Option<MapCall>), End> {
    loaded.read(ctx, key, call.needs(&loaded.head.header.clone())).await?;
    let judged = guarded(|| call.judge(&mut loaded.known(), key, at, ctx.terms()))??;
    if let Some(event) = judged.event() {
        loaded.store(ctx, key, event.clone()).await?;
    }
    if let Some(timer) = judged.timer() {
        arm(ctx, key, timer.not_before)?;
    }
    let follow_up = judged.follow_up().cloned();
    Ok((judged.stored(), follow_up))
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
        assert_eq!(["arena:A:12", "hall:1", "a"].map(part), ["seats/34", "seats/43", "seats/12"]);
    }
}
