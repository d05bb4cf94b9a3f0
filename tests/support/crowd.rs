//! Many buyers at a time, who ask again through every fault of a host, and what has to be true when all is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::PATIENCE;
use crate::http::Client;

/// What a buyer ordered, and how it ended.
#[derive(Clone)]
pub struct Bought {
    /// The tickets that they asked for.
    pub tickets: Vec<String>,
    /// What their checkout says of itself.
    pub end: Value,
}

/// Many buyers at a time, who ask again through every fault of a host.
pub struct Crowd<'a> {
    client: &'a Client,
    checkouts: AtomicUsize,
    seats: usize,
    next: AtomicUsize,
    under_way: AtomicUsize,
    bought: Mutex<Vec<Bought>>,
}

/// Where they want seats.
pub const MAP: &str = "arena";

impl<'a> Crowd<'a> {
    /// A crowd that asks for this number of checkouts, on a map of this number of seats, through this client.
    #[must_use]
    pub fn new(client: &'a Client, checkouts: usize, seats: usize) -> Self {
        let (next, under_way) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { client, checkouts: checkouts.into(), seats, next, under_way, bought: Mutex::default() }
    }

    /// The n-th order: one to three seats, that others may want too, and some card.
    #[must_use]
    pub fn order(&self, n: usize) -> (Vec<String>, Value) {
        let seat = |i: usize| format!("{MAP}:{}", (n * 7919 + i * 104_729) % self.seats);
        let tickets: BTreeSet<String> = (0..1 + n % 3).map(seat).collect();
        let card = match n % 10 {
            0 => "card_decline",
            1 => "card_flaky",
            2 => "card_lost",
            3 => "card_capture_decline",
            _ => "card_success",
        };
        let tickets: Vec<String> = tickets.into_iter().collect();
        let order = json!({ "ticketIds": tickets, "userId": format!("user-{n}"), "paymentMethodId": card });
        (tickets, order)
    }

    /// Buys until all is bought. Nobody is put off by an answer that does not come: under the same key, the same
    /// checkout is asked for again.
    ///
    /// # Panics
    /// When an answer never comes.
    pub fn buy(&self) {
        let client = self.client.another();
        loop {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            if n >= self.checkouts.load(Ordering::Relaxed) {
                return;
            }
            let (tickets, order) = self.order(n);
            let key = format!("order-{n}");
            self.under_way.fetch_add(1, Ordering::Relaxed);
            let sent = persistently(|| {
                let headers = [("Idempotency-Key", key.as_str())];
                let got = client.try_send("POST", "/Checkout/process/send", &headers, order.to_string().as_bytes());
                got.ok().filter(|got| got.status == 202)
            });
            let path = format!("/Checkout/{}", sent.text("checkoutId"));
            let end = persistently(|| {
                let got = client.try_send("GET", &path, &[], b"").ok()?;
                let is_over = matches!(got.body["status"].as_str(), Some("CONFIRMED" | "FAILED"));
                (got.status == 200 && is_over).then_some(got.body)
            });
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            self.bought.lock().unwrap().push(Bought { tickets, end });
        }
    }

    /// No more than are bought or under way by now.
    pub fn enough(&self) {
        let begun = self.next.load(Ordering::Relaxed);
        self.checkouts.fetch_min(begun, Ordering::Relaxed);
    }

    /// How many are asked for and not over, as far as those who ask know.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// How each ended that is over, by its id.
    ///
    /// # Panics
    /// When one of them has none.
    #[must_use]
    pub fn ends(&self) -> BTreeMap<String, Value> {
        let bought = self.bought.lock().unwrap();
        bought.iter().map(|one| (one.end["checkoutId"].as_str().unwrap().to_owned(), one.end.clone())).collect()
    }

    /// Waits until this percentage of the checkouts is over, and enough are under way to be hit.
    ///
    /// # Panics
    /// When that never is.
    pub fn wait_for(&self, percent: usize) {
        let start = Instant::now();
        while self.bought.lock().unwrap().len() * 100 < self.checkouts.load(Ordering::Relaxed) * percent
            || self.under_way() < 8
        {
            assert!(start.elapsed() < PATIENCE, "nothing is bought any more");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sees that all is well when all is over: each checkout, each seat, each payment. And that a seat sold twice or money
    /// without a booking would have been found: both are planted.
    ///
    /// # Panics
    /// When it is not.
    pub fn all_is_well(&self, gateway: &Client) {
        let (bought, checkouts) = (self.bought.lock().unwrap(), self.checkouts.load(Ordering::Relaxed));
        assert_eq!(bought.len(), checkouts, "none is lost");
        let ids: BTreeSet<&str> = bought.iter().map(|one| one.end["checkoutId"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), checkouts, "none was started twice");

        let sold = sold_once(&bought).unwrap();
        // A checkout tells its buyer of a failure before it lets go of their money.
        let mut ledger = Value::Null;
        let is_well = || {
            ledger = gateway.get("/api/mock-payment/ledger").body;
            payments_match(&bought, &ledger)
        };
        in_the_end(is_well);
        self.seats_are(&sold);
        assert!(
            sold.len() > self.seats.min(checkouts) / 3,
            "enough was sold for this to say something: {}",
            sold.len()
        );

        let is_confirmed = |one: &&Bought| one.end["status"] == "CONFIRMED";
        let twice = bought.iter().find(is_confirmed).cloned();
        let twice: Vec<Bought> = bought.iter().cloned().chain(twice).collect();
        assert!(sold_once(&twice).is_err(), "a seat that is sold twice is not found");
        let mut told_wrongly: Vec<Bought> = bought.clone();
        let liar = told_wrongly.iter_mut().find(|one| is_confirmed(&&**one)).unwrap();
        liar.end["status"] = "FAILED".into();
        assert!(payments_match(&told_wrongly, &ledger).is_err(), "money without a booking is not found");
    }

    /// Waits until the map shows just these as sold and none as held, and looks at each ticket.
    fn seats_are(&self, sold: &BTreeSet<String>) {
        // The map hears of it one way: what is under way may take a while, but nothing of it is lost.
        let start = Instant::now();
        loop {
            let map = self.client.get(&format!("/SeatMap/{MAP}/get"));
            let seats = map.body.as_array().unwrap_or_else(|| panic!("{}", map.text)).clone();
            let shown = |status: &str| -> BTreeSet<String> {
                let all = seats.iter().filter(|seat| seat["status"] == status);
                all.map(|seat| seat["id"].as_str().unwrap().to_owned()).collect()
            };
            let (held, shown_sold) = (shown("RESERVED"), shown("SOLD"));
            if held.is_empty() && shown_sold == *sold {
                break;
            }
            let missing: Vec<_> = sold.symmetric_difference(&shown_sold).collect();
            assert!(start.elapsed() < PATIENCE, "held {held:?}, sold or not {missing:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
        for seat in 0..self.seats {
            let id = format!("{MAP}:{seat}");
            let status = if sold.contains(&id) { "SOLD" } else { "AVAILABLE" };
            assert_eq!(self.client.get(&format!("/Ticket/{id}/get")).body["status"], status, "{id}");
        }
    }
}

/// Every ticket that a booking has.
///
/// # Errors
/// Which ticket two have, or where a booking has other tickets than were ordered.
pub fn sold_once(bought: &[Bought]) -> Result<BTreeSet<String>, String> {
    let mut sold = BTreeSet::new();
    for one in bought.iter().filter(|one| one.end["status"] == "CONFIRMED") {
        if one.end["tickets"] != json!(one.tickets) {
            return Err(format!("{:?} were ordered: {}", one.tickets, one.end));
        }
        if let Some(ticket) = one.tickets.iter().find(|ticket| !sold.insert((*ticket).clone())) {
            return Err(format!("{ticket} was sold twice"));
        }
    }
    Ok(sold)
}

/// No money without a booking, and no booking without money.
///
/// # Errors
/// Where the gateway's ledger says otherwise.
pub fn payments_match(bought: &[Bought], ledger: &Value) -> Result<(), String> {
    let entries = ledger["entries"].as_array().ok_or("the ledger has no entries")?;
    let accounts: BTreeMap<&str, &Value> =
        entries.iter().filter_map(|entry| Some((entry["key"].as_str()?, entry))).collect();
    let mut confirmed = 0;
    for one in bought {
        let key = format!("{}:authorize", one.end["checkoutId"].as_str().unwrap_or_default());
        let account = accounts.get(key.as_str());
        let is = |what: &str| account.is_some_and(|account| account[what] == true);
        let is_right = if one.end["status"] == "CONFIRMED" {
            confirmed += 1;
            is("captured") && !is("voided") && account.is_some_and(|account| account["amount"] == one.end["amount"])
        } else {
            !is("captured") && (!is("authorized") || is("voided"))
        };
        if !is_right {
            return Err(format!("{}: {account:?}", one.end));
        }
    }
    let captured = entries.iter().filter(|entry| entry["captured"] == true).count();
    if captured == confirmed { Ok(()) } else { Err(format!("{captured} payments for {confirmed} bookings")) }
}

/// Looks until all is right.
///
/// # Panics
/// With what is wrong after [`PATIENCE`].
pub fn in_the_end(mut look: impl FnMut() -> Result<(), String>) {
    let start = Instant::now();
    while let Err(wrong) = look() {
        assert!(start.elapsed() < PATIENCE, "{wrong}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Tries until it works, or for three times [`PATIENCE`]: a checkout that was cut short again and again is looked at again after as
/// much as five, on a host whose alarms wait longer each time.
///
/// # Panics
/// When it never does.
pub fn persistently<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        assert!(start.elapsed() < 3 * PATIENCE, "it never worked");
        std::thread::sleep(Duration::from_millis(20));
    }
}
