//! Forgets a buyer: in the objects of the bookings that the books know, on the maps of these, and then in the books. (A checkout tells the
//! books by itself that its buyer is erased. So where this is cut short before a map, a repeat may not find that map any more.)

use std::collections::BTreeSet;

use booking_core::format;
use booking_core::ids::{TicketId, UserId};
use booking_core::life::Key;
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
pub(crate) async fn erase(env: &Env, key: Option<Key>, user: UserId, reason: String) -> Result<Answer, Refusal> {
    let (mut erased, mut maps, mut after) = (Erased::default(), BTreeSet::new(), None);
    for _ in 0..MOST_PAGES {
        let search = BookingSearch { user: Some(user.clone()), after, ..BookingSearch::default() };
        let page: Page = books(env, &LogCall::Bookings(search)).await?;
        let mut forgotten = Vec::new();
        for booking in &page.bookings {
            let call = CheckoutCall::Operate(Operation::Erase { reason: reason.clone() });
            match ask(env, CHECKOUTS, booking.checkout_id.as_str(), call, key).await?.kind {
                // Its object was forgotten before.
                None | Some(Kind::NotFound) => forgotten.push(booking.checkout_id.clone()),
                Some(Kind::StorageUnavailable) => return Err(Kind::StorageUnavailable.into()),
                Some(_) => erased.left += 1,
            }
        }
        for map in page.bookings.iter().flat_map(|booking| &booking.tickets).map(TicketId::map_key) {
            if !maps.insert(map.clone()) {
                continue;
            }
            let call = MapCall::Map(SeatMapCall::Erase { user: user.clone(), reason: reason.clone() });
            let said = ask(env, SEAT_MAPS, map.as_str(), call, key).await?;
            let OfMap { tickets, held, .. } =
                format::read_json(said.body.as_bytes()).ok_or(Kind::StorageUnavailable)?;
            erased.tickets += tickets;
            erased.left += held;
        }
        if !forgotten.is_empty() {
            erased.bookings += forgotten.len() as u64;
            let Done { .. } = books(env, &LogCall::Erase { checkouts: forgotten }).await?;
        }
        after = page.next;
        if after.is_none() {
            return Ok(answer::erased(erased));
        }
    }
    erased.left += 1;
    Ok(answer::erased(erased))
}

async fn ask<C: Serialize>(env: &Env, binding: &str, name: &str, call: C, key: Option<Key>) -> Result<Answer, Refusal> {
    inside::ask(env, binding, name, &Asked { call, key }).await.map_err(|why| {
        say(Level::Error, "an object did not answer", &[("why", why.to_string())]);
        Kind::StorageUnavailable.into()
    })
}

async fn books<T: serde::de::DeserializeOwned>(env: &Env, call: &LogCall) -> Result<T, Refusal> {
    let text = books::text(env, call).await?;
    format::read_json(text.as_bytes()).ok_or_else(|| Kind::StorageUnavailable.into())
}
