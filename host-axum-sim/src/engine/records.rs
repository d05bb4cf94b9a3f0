//! What an engine stores of itself, and how it comes back from that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use booking_core::ids::{CheckoutId, HoldId, MapKey, TicketId};
use booking_core::map::ticket::Ticket;
use booking_core::map::{Header, LastWish, Layout, SeatMap};
use booking_core::time::Timestamp;

use super::maps::is_empty;
use super::{Engine, Name, Settings};
use crate::store::{KeptAccount, Record};

impl Engine {
    /// The thing of a name as it is now.
    pub(super) fn record(&self, name: Name) -> Option<Record> {
        Some(match name {
            Name::Map(key) => {
                let header = self.maps.get(&key).map(|map| Box::new(*map.header()));
                Record::Map(key, header)
            }
            Name::Beginning => Record::Beginning(Box::new(*self.nothing.header())),
            Name::Layout(key) => {
                let layout = self.maps.get(&key)?.layout()?.clone();
                Record::Layout(key, layout)
            }
            Name::Seat(key, id) => {
                let ticket = self.maps.get(&key)?.ticket(&id).cloned().map(Box::new);
                Record::Seat(key, id, ticket)
            }
            Name::Ended(key, id) => {
                let deadline = self.maps.get(&key)?.ended_at(&id);
                Record::Ended(key, id, deadline)
            }
            Name::LastWish(key, id) => {
                let last_wish = self.maps.get(&key)?.last_wish(&id).cloned().map(Box::new);
                Record::LastWish(key, id, last_wish)
            }
            Name::Checkout(id) => match self.checkouts.get(&id) {
                Some(record) => Record::Checkout(record.clone()),
                None => Record::CheckoutForgotten(id),
            },
            Name::Account(key) => match self.ledger.account(&key) {
                Some(account) => {
                    let since = self.kept.account_since(&key);
                    let account = account.clone();
                    Record::Account(key, Box::new(KeptAccount { account, since }))
                }
                None => Record::AccountForgotten(key),
            },
            Name::Audit(n) => Record::Audit(n, self.audit.get(&n).cloned().map(Box::new)),
            Name::Key(scope) => match self.keys.get(&scope) {
                Some(record) => Record::Key(scope, Box::new(record.clone())),
                None => Record::KeyForgotten(scope),
            },
        })
    }

    /// An engine as it was when the last batch was stored. `records` are all that are stored, in any order, one for each
    /// name. What was under way continues: take the engine's outputs.
    #[must_use]
    pub fn restore(settings: Settings, records: impl IntoIterator<Item = Record>, now: Timestamp) -> Self {
        Self::restore_but(settings, records, BTreeSet::new, now)
    }

    /// The same, where these seats are stored in a form that cannot be read, which is known when all others were.
    pub(crate) fn restore_but(
        settings: Settings,
        records: impl IntoIterator<Item = Record>,
        unreadable: impl FnOnce() -> BTreeSet<TicketId>,
        now: Timestamp,
    ) -> Self {
        let mut engine = Self::new(settings);
        let mut maps: BTreeMap<MapKey, StoredMap> = BTreeMap::new();
        for record in records {
            match record {
                Record::Beginning(header) => {
                    engine.nothing = StoredMap { header: *header, ..StoredMap::default() }.into_map()
                }
                Record::Map(..) | Record::Layout(..) | Record::Seat(..) | Record::Ended(..) | Record::LastWish(..) => {
                    StoredMap::take_in(&mut maps, record);
                }
                Record::Checkout(record) => engine.take_in(record),
                Record::Account(key, kept) => {
                    if let Some(since) = kept.since {
                        engine.kept.keep_account(&key, since);
                    }
                    engine.ledger.restore(key, kept.account);
                }
                Record::Key(scope, record) => engine.keep_key(scope, *record),
                Record::Audit(n, Some(entry)) => drop(engine.audit.insert(n, *entry)),
                Record::Audit(_, None)
                | Record::CheckoutForgotten(_)
                | Record::AccountForgotten(_)
                | Record::KeyForgotten(_) => {}
            }
        }
        engine.unreadable = unreadable();
        for id in &engine.unreadable {
            let stored = maps.entry(id.map_key()).or_default();
            stored.tickets.push((id.clone(), Ticket::unreadable(stored.header.version)));
        }
        for (key, stored) in maps {
            let map = stored.into_map();
            map.tickets().for_each(|(_, ticket)| engine.count(None, Some(ticket)));
            engine.seats_stored += map.header().tickets;
            engine.arm(&key, None, map.header().armed);
            if is_empty(&map) {
                engine.empty.insert(key.clone());
            }
            engine.maps.insert(key, map);
        }
        engine.resume(now);
        engine.reset_the_full(now);
        engine.close();
        engine
    }
}

/// What is stored of a map.
#[derive(Debug, Default)]
pub(crate) struct StoredMap {
    header: Header,
    layout: Option<Arc<Layout>>,
    tickets: Vec<(TicketId, Ticket)>,
    ended: Vec<(CheckoutId, Timestamp)>,
    last_wishes: Vec<(HoldId, LastWish)>,
}

impl StoredMap {
    /// Takes a record in, if it is of a map.
    pub(crate) fn take_in(maps: &mut BTreeMap<MapKey, Self>, record: Record) {
        match record {
            Record::Map(key, Some(header)) => maps.entry(key).or_default().header = *header,
            Record::Layout(key, layout) => maps.entry(key).or_default().layout = Some(layout),
            Record::Seat(key, id, Some(ticket)) => maps.entry(key).or_default().tickets.push((id, *ticket)),
            Record::Ended(key, id, Some(deadline)) => maps.entry(key).or_default().ended.push((id, deadline)),
            Record::LastWish(key, id, Some(last_wish)) => {
                maps.entry(key).or_default().last_wishes.push((id, *last_wish))
            }
            Record::Map(_, None)
            | Record::Beginning(_)
            | Record::Seat(..)
            | Record::Ended(..)
            | Record::LastWish(..)
            | Record::Checkout(_)
            | Record::CheckoutForgotten(_)
            | Record::Account(..)
            | Record::AccountForgotten(_)
            | Record::Key(..)
            | Record::KeyForgotten(_)
            | Record::Audit(..) => {}
        }
    }

    pub(crate) fn into_map(self) -> SeatMap {
        SeatMap::from_parts(self.header, self.layout, self.tickets, self.ended, self.last_wishes)
    }
}
