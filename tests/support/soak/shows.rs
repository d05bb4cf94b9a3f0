//! The shows: one is on sale at a time, in one of two halls. When most of it is sold the next one opens in the other; then the hall is
//! compared with what buyers were told, and its seats are put back on sale.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Office;
use crate::PATIENCE;
use crate::crowd::{Bought, persistently, sold_once};

/// Rows of a hall, and seats of a row.
const SIDE: u64 = 20;

/// Seats of a hall.
pub const SEATS: u64 = SIDE * SIDE;

/// Which show is on sale, and how many of its buyers are not done yet.
#[derive(Debug, Default)]
pub struct Shows(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    on_sale: u64,
    /// Checkouts that are under way, by show.
    under_way: BTreeMap<u64, u64>,
    sold: BTreeMap<u64, u64>,
}

impl Shows {
    /// The number of the one that is on sale; 0 before the first.
    ///
    /// # Panics
    /// Where another thread has.
    #[must_use]
    pub fn on_sale(&self) -> u64 {
        self.0.lock().unwrap().on_sale
    }

    /// A buyer comes to the one that is on sale: it is not closed before they leave. Its number.
    ///
    /// # Panics
    /// Where another thread has.
    #[must_use]
    pub fn come(&self) -> u64 {
        let mut state = self.0.lock().unwrap();
        let show = state.on_sale;
        *state.under_way.entry(show).or_default() += 1;
        show
    }

    /// They leave, with as many seats.
    ///
    /// # Panics
    /// Where another thread has.
    pub fn leave(&self, show: u64, seats: usize) {
        let mut state = self.0.lock().unwrap();
        *state.under_way.entry(show).or_default() -= 1;
        *state.sold.entry(show).or_default() += seats as u64;
    }

    fn is_sold_well(&self, show: u64) -> bool {
        self.0.lock().unwrap().sold.get(&show).is_some_and(|sold| sold * 10 > SEATS * 7)
    }

    fn is_left(&self, show: u64) -> bool {
        self.0.lock().unwrap().under_way.get(&show).is_none_or(|buyers| *buyers == 0)
    }
}

/// The map of a show: that of its hall.
#[must_use]
pub fn map(show: u64) -> String {
    format!("hall-{}", show % 2)
}

/// A seat of it.
#[must_use]
pub fn seat(show: u64, number: u64) -> String {
    format!("{}:{}-{}", map(show), number / SIDE, number % SIDE)
}

/// The layout of a map with this many rows, and seats a row.
#[must_use]
pub fn layout(map: &str, rows: u64, seats: u64) -> Value {
    let price = json!({ "minor": 4_500, "currency": "EUR" });
    let seat = |row: u64, n: u64| json!({ "ticketId": format!("{map}:{row}-{n}"), "price": price, "x": n, "y": row });
    let row =
        |row: u64| json!({ "name": format!("{row}"), "seats": (0..seats).map(|n| seat(row, n)).collect::<Vec<_>>() });
    json!({ "rows": (0..rows).map(row).collect::<Vec<_>>() })
}

/// Opens one show after the other, until it is to end, and closes each.
///
/// # Panics
/// Where a hall is not as its buyers were told.
pub fn play(office: &Office) {
    let mut show = 0;
    while !office.ends() {
        show += 1;
        published(office, &map(show), &layout(&map(show), SIDE, SIDE));
        office.shows.0.lock().unwrap().on_sale = show;
        if show > 1 {
            close(office, show - 1);
        }
        while !office.ends() && !office.shows.is_sold_well(show) {
            office.rest(Duration::from_millis(50));
        }
    }
    close(office, show);
}

/// Publishes a layout, and asks again while the server is down or refuses for want of its disk.
pub fn published(office: &Office, map: &str, layout: &Value) {
    let path = format!("/SeatMap/{map}/layout");
    let got = || office.admin.try_send("POST", &path, &[], layout.to_string().as_bytes());
    persistently(|| {
        got().ok().filter(|got| is_settled(got.status)).map(|got| assert_eq!(got.status, 200, "{}", got.text))
    });
}

fn is_settled(status: u16) -> bool {
    status < 500 && status != 429
}

/// Waits until the hall is at rest, looks whether it has sold what its buyers were told, and puts it back on sale.
fn close(office: &Office, show: u64) {
    let start = Instant::now();
    while !office.shows.is_left(show) {
        assert!(start.elapsed() < 3 * PATIENCE, "a buyer of show {show} never comes to an end");
        std::thread::sleep(Duration::from_millis(50));
    }
    let bought: Vec<Bought> = {
        let told = office.told.lock().unwrap();
        told.iter().filter(|(of, _)| *of == show).map(|(_, bought)| bought.clone()).collect()
    };
    let sold = sold_once(&bought).unwrap_or_else(|wrong| panic!("show {show}: {wrong}"));
    loop {
        let (held, is_sold) = seen(office, show);
        if held.is_empty() && is_sold == sold {
            break;
        }
        let wrong: Vec<_> = sold.symmetric_difference(&is_sold).collect();
        assert!(start.elapsed() < 3 * PATIENCE, "show {show}: held {held:?}; sold as told, or not: {wrong:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let reset = format!("/SeatMap/{}/resetAll", map(show));
    let got = || office.admin.try_send("POST", &reset, &[], b"{}");
    persistently(|| got().ok().filter(|got| got.status == 200));
}

/// The seats that are held, and those that are sold.
fn seen(office: &Office, show: u64) -> (BTreeSet<String>, BTreeSet<String>) {
    let path = format!("/SeatMap/{}/get", map(show));
    let seats = persistently(|| {
        let got = office.public.try_send("GET", &path, &[], b"").ok().filter(|got| got.status == 200)?;
        got.body.as_array().cloned()
    });
    let all = |status: &str| {
        let all = seats.iter().filter(|seat| seat["status"] == status);
        all.map(|seat| seat["id"].as_str().unwrap().to_owned()).collect()
    };
    (all("RESERVED"), all("SOLD"))
}
