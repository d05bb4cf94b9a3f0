//! Who comes to the box office: buyers, readers, watchers, readers who take their time, and one who asks only to be refused.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use booking_core::dice::Dice;
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};

use super::gauges::What;
use super::shows::{SEATS, map, seat};
use super::{Office, shows};
use crate::crowd::{Bought, persistently};
use crate::http::Got;

/// A large hall that is not on sale, for readers.
pub const STADIUM: &str = "stadium";

/// Asks until there is an answer that is one, and tells how long that one took.
fn asked(
    office: &Office,
    what: What,
    (method, path): (&str, &str),
    key: Option<&str>,
    body: Option<&Value>,
    is_good: impl Fn(&Got) -> bool,
) -> Got {
    let headers: Vec<(&str, &str)> = key.map(|key| ("Idempotency-Key", key)).into_iter().collect();
    let body = body.map(Value::to_string).unwrap_or_default();
    persistently(|| {
        let start = Instant::now();
        let got = office.public.try_send(method, path, &headers, body.as_bytes()).ok().filter(&is_good)?;
        office.gauges.took(what, office.age(), start.elapsed());
        Some(got)
    })
}

/// Buys one to three seats at a time, some of them held first, with cards of all kinds. A buyer who gets no answer asks again under the same key.
///
/// # Panics
/// When an answer never comes.
pub fn buys(office: &Office, number: u64) {
    let mut dice = Dice::new(1_000 + number);
    for n in 0_u64.. {
        if office.ends() {
            return;
        }
        let show = office.shows.come();
        let bought = (show > 0).then(|| checkout(office, show, &format!("{number}-{n}"), &mut dice));
        let sold =
            bought.as_ref().filter(|bought| bought.end["status"] == "CONFIRMED").map_or(0, |one| one.tickets.len());
        office.told.lock().unwrap().extend(bought.map(|bought| (show, bought)));
        office.shows.leave(show, sold);
        office.rest(Duration::from_millis(20 + dice.below(80) as u64));
    }
}

fn checkout(office: &Office, show: u64, name: &str, dice: &mut Dice) -> Bought {
    let mut tickets: Vec<String> =
        (0..1 + dice.below(3)).map(|_| seat(show, dice.below(usize::try_from(SEATS).unwrap()) as u64)).collect();
    tickets.sort();
    tickets.dedup();
    let user = format!("user-{name}");
    let mut hold = Value::Null;
    if dice.chance(40) {
        // Some who hold a seat buy it, and some never come again.
        let reserve = format!("/Ticket/{}/reserve", tickets[0]);
        let key = format!("hold-{name}");
        let is_said = |got: &Got| matches!(got.status, 200 | 409);
        let body = json!({ "userId": user });
        let got = asked(office, What::Write, ("POST", &reserve), Some(&key), Some(&body), is_said);
        if got.status == 200 && dice.chance(70) {
            tickets.truncate(1);
            hold = got.body["holdId"].clone();
        }
    }
    let card = *dice.one_of(&[
        "card_success",
        "card_success",
        "card_success",
        "card_success",
        "card_success",
        "card_flaky",
        "card_lost",
        "card_decline",
        "card_capture_decline",
    ]);
    let mut order = json!({ "ticketIds": tickets, "userId": user, "paymentMethodId": card });
    if hold.is_string() {
        order["holdId"] = hold;
    }
    let (key, start) = (format!("order-{name}"), Instant::now());
    let is_taken = |got: &Got| got.status == 202;
    let sent = asked(office, What::Write, ("POST", "/Checkout/process/send"), Some(&key), Some(&order), is_taken);
    let path = format!("/Checkout/{}", sent.text("checkoutId"));
    let is_over = |got: &Got| got.status == 200 && matches!(got.body["status"].as_str(), Some("CONFIRMED" | "FAILED"));
    let end = asked(office, What::Look, ("GET", &path), None, None, is_over).body;
    office.gauges.took(What::Booking, office.age(), start.elapsed());
    let told = ["checkoutId", "status", "tickets", "amount"];
    let end: BTreeMap<&str, &Value> = told.iter().map(|field| (*field, &end[*field])).collect();
    Bought { tickets, end: json!(end) }
}

/// Reads maps, again and again.
pub fn reads(office: &Office, number: u64) {
    let mut dice = Dice::new(2_000 + number);
    while !office.ends() {
        let show = map(office.shows.on_sale());
        let path = match dice.below(4) {
            0 => format!("/SeatMap/{show}/plan"),
            1 => format!("/SeatMap/{show}/summary"),
            2 => format!("/SeatMap/{STADIUM}/get"),
            _ => format!("/SeatMap/{show}/get"),
        };
        let start = Instant::now();
        if office.public.try_send("GET", &path, &[], b"").is_ok_and(|got| got.status == 200) {
            office.gauges.took(What::Map, office.age(), start.elapsed());
        }
        office.rest(Duration::from_millis(10 + dice.below(50) as u64));
    }
}

/// Asks for what is refused, without a key, as often as it can.
pub fn is_refused(office: &Office) {
    while !office.ends() {
        // The stadium has a layout from the beginning, so this is no seat.
        let order = json!({ "ticketId": format!("{STADIUM}:nowhere"), "userId": "nuisance" });
        let got = office.public.try_send("POST", "/Checkout/process", &[], order.to_string().as_bytes());
        let is_refused = got.is_ok_and(|got| got.kind() == "TicketNotForSale");
        office.refused.fetch_add(u64::from(is_refused), Ordering::Relaxed);
        office.rest(Duration::from_millis(5));
    }
}

/// Asks for the large hall, several times at once, and takes a long time to read that: more than the system takes for it.
pub fn reads_slowly(office: &Office) {
    let address = office.public.base().strip_prefix("http://").unwrap().to_owned();
    while !office.ends() {
        office.rest(Duration::from_millis(200));
        let Ok(mut stream) = TcpStream::connect(&address) else { continue };
        let _may_be_refused = stream.set_read_timeout(Some(Duration::from_secs(1)));
        let ask = format!("GET /SeatMap/{STADIUM}/get HTTP/1.1\r\nhost: {address}\r\n\r\n");
        if stream.write_all(ask.repeat(15).as_bytes()).is_err() {
            continue;
        }
        let mut some = [0; 8192];
        while !office.ends() && stream.read(&mut some).is_ok_and(|read| read > 0) {
            office.rest(Duration::from_millis(200));
        }
    }
}

/// Watches the show that is on sale, and counts versions, also over a crash: no change may be missing, and none may come twice.
///
/// # Panics
/// When it does not.
pub fn watches(office: &Office) {
    let (mut show, mut seen) = (0, 0);
    while !office.ends() {
        let Some(mut socket) = connected(office) else {
            office.rest(Duration::from_millis(200));
            continue;
        };
        let now = socket.0;
        if now != show {
            (show, seen) = (now, 0);
        }
        while !office.ends() {
            let message = match socket.1.read() {
                Ok(Message::Text(text)) => serde_json::from_str::<Value>(&text).unwrap(),
                Ok(Message::Close(_)) => break,
                Ok(_) => continue,
                Err(tungstenite::Error::Io(error)) if is_only_slow(&error) => continue,
                Err(_) => break,
            };
            // The other hall is on sale now.
            if office.shows.on_sale() != show {
                break;
            }
            if let Some(deltas) = message["deltas"].as_array() {
                for delta in deltas {
                    assert_eq!(delta["version"], seen + 1, "show {show}: a change is missing, or comes twice");
                    seen += 1;
                }
                office.changes.fetch_add(deltas.len() as u64, Ordering::Relaxed);
            } else {
                let version = message["version"].as_u64().unwrap_or_else(|| panic!("no snapshot: {message}"));
                assert!(version >= seen, "show {show}: version {version} after version {seen}");
                office.returns.fetch_add(u64::from(seen > 0), Ordering::Relaxed);
                seen = version;
            }
        }
    }
}

fn is_only_slow(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

/// A socket to the show that is on sale, and which that is.
fn connected(office: &Office) -> Option<(u64, WebSocket<TcpStream>)> {
    let show = Some(office.shows.on_sale()).filter(|show| *show > 0)?;
    let address = office.public.base().strip_prefix("http://")?;
    let mut request = format!("ws://{address}/SeatMap/{}/watch", shows::map(show)).into_client_request().ok()?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", "booking.watch.v1".parse().ok()?);
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let socket = tungstenite::client(request, stream).ok()?.0;
    socket.get_ref().set_read_timeout(Some(Duration::from_millis(500))).ok()?;
    Some((show, socket))
}
