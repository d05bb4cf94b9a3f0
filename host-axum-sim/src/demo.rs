//! The venue of `serve --demo`: a theatre of 480 seats, in three sections of three prices.

use booking_core::map::{Layout, Place, Row, SeatMap};
use booking_core::money::Money;
use booking_core::wire::{Answer, Call, Kind, Refusal, SeatMapCall};
use booking_core::{MapKey, TicketId};
use std::sync::Arc;

use crate::host::{Host, Reply};

/// Its sections from the stage backwards: their names, rows, price, and what is left free before them. There are no rows
/// I and O, which look like numbers.
const SECTIONS: [(&str, &str, &str, u32); 3] = [
    ("Stalls", "ABCDEFGHJK", "95.00:USD", 0),
    ("Circle", "LMNPQR", "65.00:USD", 2 * PITCH),
    ("Balcony", "STUV", "45.00:USD", 2 * PITCH),
];

/// How many seats a row has.
const SEATS: u32 = 24;

/// After which seats there is an aisle.
const AISLES: [u32; 2] = [6, 18];

/// How far a seat is from the next one of its row, and a row from the next.
const PITCH: u32 = 20;

/// Its key.
///
/// # Panics
/// Never.
#[must_use]
pub fn map() -> MapKey {
    MapKey::parse("demo").expect("four letters")
}

/// Its layout: seat 7 of row C is the ticket `demo:C-7`.
///
/// # Panics
/// Never.
#[must_use]
pub fn layout() -> Layout {
    let (mut rows, mut y) = (Vec::new(), 0);
    for (section, letters, price, gap) in SECTIONS {
        let price: Money = price.parse().expect("a price");
        y += gap;
        for letter in letters.chars() {
            rows.push(Row { name: format!("{section} {letter}"), seats: row(letter, price, y) });
            y += PITCH;
        }
    }
    Layout::new(rows).expect("each letter is there once")
}

/// A row, which goes round the stage a little: its ends are nearer to that.
fn row(letter: char, price: Money, y: u32) -> Vec<Place> {
    let seat = |n: u32| {
        let ticket = TicketId::parse(&format!("{}:{letter}-{n}", map())).expect("letters and digits");
        let aisles = AISLES.map(|after| u32::from(n > after)).iter().sum::<u32>();
        // Twice, as the middle is between two seats.
        let from_the_middle = (2 * n).abs_diff(SEATS + 1);
        let bow = (SEATS.pow(2) - from_the_middle.pow(2)) / 36;
        Place { ticket, label: None, price, x: (n - 1 + aisles) * PITCH, y: y + bow }
    };
    (1..=SEATS).map(seat).collect()
}

/// Publishes the layout, unless the map has one.
///
/// # Errors
/// What the host says if it cannot.
pub async fn open(host: &Host) -> Result<(), Refusal> {
    if host.read_map(&map(), |map: &SeatMap| map.layout().is_some()) {
        return Ok(());
    }
    let publish = SeatMapCall::Publish { layout: Arc::new(layout()) };
    let reply = host.ask(Call::SeatMap(map(), publish), None).await;
    let refused = match reply {
        Reply::Answer(Answer { kind, .. }) => kind,
        Reply::Subscription(_) | Reply::Seen(_) | Reply::Plan(..) | Reply::Bookings(..) => {
            Some(Kind::StorageUnavailable)
        }
    };
    refused.map_or(Ok(()), |kind| Err(kind.into()))
}
