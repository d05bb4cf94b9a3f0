//! Forgets a buyer: on the maps of the bookings that the books know, in the objects of these bookings, and in the books. In this order, as a
//! checkout tells the books by itself that its buyer is erased: where this is cut short, a repeat finds all whose maps are not done.

use std::collections::{BTreeMap, BTreeSet};

use booking_core::format;
use booking_core::ids::{TicketId, UserId};
use booking_core::wire::answer::{self, Erased};
use booking_core::wire::export::Booking;
use booking_core::wire::log::LogCall;
use booking_core::wire::search::{BookingCursor, BookingSearch};
use booking_core::wire::{Answer, Kind, MapCall, Operation, Refusal, SeatMapCall};
use booking_workers::log::{Level, say};
use serde::{Deserialize, Serialize};
use worker::Env;

use crate::books;
use crate::calls::{Asked, CheckoutCall};
use crate::inside::{self, CHECKOUTS, SEAT_MAPS};

/// How many pages of the books one request takes: a Worker may ask others so often, and no more. The next request finds what is left.
const MOST_PAGES: usize = 4;

/// A page of the books.
#[derive(Deserialize)]
struct Page {
    bookings: Vec<Booking>,
    next: Option<BookingCursor>,
}

/// What a map says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfMap {
    tickets: u64,
    held: u64,
    #[serde(rename = "version")]
    _version: u64,
}

#[derive(Deserialize)]
struct Done {
    #[serde(rename = "ok")]
    _ok: bool,
}

/// # Errors
/// `NotFound` where there are no books. `StorageUnavailable` where something did not answer: it is to be asked for again.
pub(crate) async fn erase(env: &Env, user: UserId, reason: String) -> Result<Answer, Refusal> {
    let (mut erased, mut held_on, mut after) = (Erased::default(), BTreeMap::new(), None);
    for _ in 0..MOST_PAGES {
        let search = BookingSearch { user: Some(user.clone()), after, ..BookingSearch::default() };
        let page: Page = books(env, &LogCall::Bookings(search)).await?;
        // Only what has ended by now: what ends later may sell a seat behind the map's back.
        let mut ended = Vec::new();
        for booking in &page.bookings {
            let said = ask(env, CHECKOUTS, booking.checkout_id.as_str(), CheckoutCall::Status).await?;
            match said {
                // Its object was forgotten before.
                Answer { kind: Some(Kind::NotFound), .. } => ended.push(booking),
                Answer { kind: Some(Kind::StorageUnavailable), .. } => return Err(Kind::StorageUnavailable.into()),
                Answer { status: 202, .. } => erased.left += 1,
                Answer { .. } => ended.push(booking),
            }
        }
        let maps = ended.iter().flat_map(|booking| &booking.tickets).map(TicketId::map_key);
        for map in maps.collect::<BTreeSet<_>>() {
            let call = MapCall::Map(SeatMapCall::Erase { user: user.clone(), reason: reason.clone() });
            let said = ask(env, SEAT_MAPS, map.as_str(), call).await?;
            let OfMap { tickets, held, .. } =
                format::read_json(said.body.as_bytes()).ok_or(Kind::StorageUnavailable)?;
            erased.tickets += tickets;
            held_on.insert(map, held);
        }
        let mut forgotten = Vec::new();
        for booking in ended {
            let call = CheckoutCall::Operate(Operation::Erase { reason: reason.clone() });
            match ask(env, CHECKOUTS, booking.checkout_id.as_str(), call).await?.kind {
                None | Some(Kind::NotFound) => forgotten.push(booking.checkout_id.clone()),
                Some(Kind::StorageUnavailable) => return Err(Kind::StorageUnavailable.into()),
                Some(_) => erased.left += 1,
            }
        }
        if !forgotten.is_empty() {
            erased.bookings += forgotten.len() as u64;
            let Done { .. } = books(env, &LogCall::Erase { checkouts: forgotten }).await?;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    erased.left += held_on.values().sum::<u64>() + u64::from(after.is_some());
    Ok(answer::erased(erased))
}

/// Under no key: an erasure that comes again is to find what has come since.
async fn ask<C: Serialize>(env: &Env, binding: &str, name: &str, call: C) -> Result<Answer, Refusal> {
    inside::ask(env, binding, name, &Asked { call, key: None }).await.map_err(|why| {
        say(Level::Error, "an object did not answer", &[("why", why.to_string())]);
        Kind::StorageUnavailable.into()
    })
}

async fn books<T: serde::de::DeserializeOwned>(env: &Env, call: &LogCall) -> Result<T, Refusal> {
    let text = books::text(env, call).await?;
    format::read_json(text.as_bytes()).ok_or_else(|| Kind::StorageUnavailable.into())
}
