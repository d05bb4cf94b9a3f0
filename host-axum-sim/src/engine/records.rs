//! What an engine stores of itself, and how it comes back from that.

use std::collections::BTreeMap;

use booking_core::ids::MapKey;
use booking_core::seat_map::SeatMap;
use booking_core::ticket::Ticket;
use booking_core::time::Timestamp;

use super::{Engine, Name, Settings, glance};
use crate::store::{KeptAccount, Record};

impl Engine {
    /// The thing of a name as it is now.
    pub(super) fn record(&self, name: Name) -> Option<Record> {
        Some(match name {
            Name::Ticket(id) => {
                let ticket = Box::new(self.tickets.get(&id)?.clone());
                Record::Ticket(id, ticket)
            }
            Name::Layout(key) => {
                let published = Box::new(self.maps.get(&key)?.published()?);
                Record::Layout(key, published)
            }
            Name::Seat(key, ticket) => {
                let seat = *self.maps.get(&key)?.seat(&ticket)?;
                Record::Seat(key, ticket, seat)
            }
            Name::Errands => Record::Errands(self.errands.iter().cloned().collect()),
            Name::Checkout(id) => match self.checkouts.get(&id) {
                Some(course) => Record::Checkout(course.clone()),
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
            Name::Key(scope) => match self.keys.get(&scope) {
                Some(keyed) => Record::Key(scope, Box::new(keyed.clone())),
                None => Record::KeyForgotten(scope),
            },
        })
    }

    /// An engine as it was when the last batch was stored. `records` are all that are stored, in any order, one for each
    /// name. What was under way goes on: take its outputs.
    #[must_use]
    pub fn restore(settings: Settings, records: impl IntoIterator<Item = Record>, now: Timestamp) -> Self {
        let mut engine = Self::new(settings);
        let mut layouts = BTreeMap::new();
        let mut seats: BTreeMap<MapKey, Vec<_>> = BTreeMap::new();
        for record in records {
            match record {
                Record::Ticket(id, ticket) => {
                    let count_holders = engine.settings.limits.holds_per_user.is_some();
                    let nobody = glance(&Ticket::default(), count_holders);
                    let is = glance(&ticket, count_holders);
                    if is != nobody {
                        engine.count_ticket(&id, &nobody, &is);
                    }
                    engine.tickets.insert(id, *ticket);
                }
                Record::Layout(key, published) => {
                    seats.entry(key.clone()).or_default();
                    layouts.insert(key, *published);
                }
                Record::Seat(key, ticket, seat) => seats.entry(key).or_default().push((ticket, seat)),
                Record::Errands(errands) => engine.errands = errands.into(),
                Record::Checkout(course) => engine.take_in(course),
                Record::Account(key, kept) => {
                    if let Some(since) = kept.since {
                        engine.kept.keep_account(&key, since);
                    }
                    engine.ledger.restore(key, kept.account);
                }
                Record::Key(scope, keyed) => engine.keep_key(scope, *keyed),
                Record::CheckoutForgotten(_) | Record::AccountForgotten(_) | Record::KeyForgotten(_) => {}
            }
        }
        for (key, seats) in seats {
            let map = SeatMap::restored(layouts.remove(&key), seats);
            engine.maps.insert(key, map);
        }
        engine.resume(now);
        engine.close();
        engine
    }
}
