//! Requests that nobody should send, by the hundred thousand: each gets the error that the wire says, nothing changes,
//! nothing panics.
//!
//! They are drawn from a seed, which a failure prints. What a request must be answered is not guessed: the core's own
//! parser is asked, and the server has to agree with it.

#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use booking_core::dice::Dice;
use booking_core::wire::{Door, Kind, idempotency_key, parse, route};
use serde_json::{Value, json};
use tests::http::Client;
use tests::server::Server;
use tests::worker::OnWorkerd;

const REQUESTS: usize = 200_000;
const CONNECTIONS: u64 = 4;
const ADMIN: &str = "an-admin-token-for-tests";
/// How many are sent before the first answer is read.
const AT_ONCE: usize = 50;

/// Any bytes, at most this number of them.
fn bytes(dice: &mut Dice, most: usize) -> Vec<u8> {
    (0..dice.below(most + 1)).map(|_| dice.draw().to_le_bytes()[0]).collect()
}

#[derive(Clone, Debug)]
struct Hostile {
    method: String,
    path: String,
    key: Option<Vec<u8>>,
    body: Vec<u8>,
}

/// Requests that are as they should be, to be spoiled.
fn good() -> Vec<(&'static str, &'static str, Value)> {
    let money = json!({ "minor": 100, "currency": "USD" });
    let seat = json!({ "ticketId": "hall:1", "price": money, "x": 1, "y": 2 });
    vec![
        ("POST", "/Ticket/hall:1/reserve", json!({ "userId": "ann", "holdId": "h-1", "ttlMs": 60_000 })),
        ("POST", "/Ticket/hall:1/reserve", json!("ann")),
        ("POST", "/Ticket/hall:1/release", json!({ "holdId": "h-1" })),
        ("POST", "/Ticket/hall:1/get", json!({})),
        ("GET", "/Ticket/hall:1/get", Value::Null),
        ("POST", "/Ticket/hall:1/block", json!({ "reason": "broken" })),
        ("POST", "/Ticket/hall:1/list", json!({ "price": money })),
        ("POST", "/Ticket/hall:1/sell", json!({ "userId": "ann" })),
        ("POST", "/Ticket/hall:1/reset", json!({ "upTo": 3 })),
        ("POST", "/Ticket/hall:1/claim", json!({ "userId": "a", "holdId": "h", "checkout": "c", "deadline": 1 })),
        ("POST", "/SeatMap/hall/get", json!({})),
        ("POST", "/SeatMap/hall/summary", Value::Null),
        ("POST", "/SeatMap/hall/plan", Value::Null),
        ("POST", "/SeatMap/hall/resetAll", Value::Null),
        ("POST", "/SeatMap/hall/layout", json!({ "rows": [{ "name": "A", "seats": [seat] }] })),
        ("POST", "/SeatMap/hall/set", json!({ "ticketId": "hall:1", "status": "SOLD", "version": 9 })),
        ("POST", "/Checkout/process", json!({ "ticketId": "hall:1", "userId": "ann", "paymentMethodId": "card_x" })),
        ("POST", "/Checkout/process", json!({ "ticketIds": ["hall:1", "hall:2"], "userId": "ann", "holdId": "h-1" })),
        ("POST", "/Checkout/process/send", json!({ "ticketId": "hall:1", "userId": "ann" })),
        ("GET", "/Checkout/c-1", Value::Null),
        ("POST", "/Checkout/list/stuck", json!({ "after": "c-1" })),
        ("POST", "/Checkout/c-1/cancel", json!({ "reason": "the buyer has called" })),
        ("POST", "/Checkout/c-1/resolve", json!({ "outcome": "captured", "paymentId": "pay-1", "reason": "seen" })),
        ("POST", "/Checkout/c-1/notify", Value::Null),
        ("POST", "/api/mock-payment/authorize", json!({ "key": "k", "amount": money, "paymentMethodId": "card_x" })),
        ("POST", "/api/mock-payment/capture", json!({ "key": "k", "authorizationId": "auth:k" })),
        ("POST", "/api/mock-payment/void", json!({ "authorizeKey": "k" })),
        ("POST", "/api/mock-payment", json!({ "amount": 100, "paymentMethodId": "card_x" })),
        ("GET", "/api/mock-payment/ledger", Value::Null),
        ("GET", "/health", Value::Null),
    ]
}

/// Texts that are no ids, or only just.
const ODD_TEXTS: [&str; 20] = [
    "",
    ".",
    "..",
    ":a",
    "..:7",
    "a b",
    "a/b",
    "é",
    "𝒶𝓃𝓃",
    "a\u{0}b",
    "\u{202e}nna",
    "\u{feff}ann",
    "ann\r\nX-Admin: 1",
    "${jndi:ldap://x}",
    "'; DROP TABLE tickets; --",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "%2e%2e",
    "null",
    "ann\u{ffff}",
];

fn odd_value(dice: &mut Dice) -> Value {
    match dice.below(13) {
        0 => Value::Null,
        11 => json!(dice.below(2_000)),
        1 => json!(true),
        2 => json!(-1),
        3 => json!(1.5),
        4 => json!(1e308),
        5 => json!(u64::MAX),
        6 => json!(9_007_199_254_740_992_u64),
        7 => json!([]),
        8 => json!({}),
        9 => json!("x".repeat(dice.below(400))),
        10 => json!([odd_value(dice)]),
        _ => json!(dice.one_of(&ODD_TEXTS)),
    }
}

/// Changes one thing, anywhere in a value.
fn spoil(value: &mut Value, dice: &mut Dice) {
    match value {
        Value::Object(fields) if !fields.is_empty() && dice.below(4) > 0 => {
            let names: Vec<String> = fields.keys().cloned().collect();
            let name = dice.one_of(&names).clone();
            match dice.below(5) {
                0 => drop(fields.remove(&name)),
                1 => {
                    let taken = fields.remove(&name).unwrap();
                    fields.insert(format!("{name}{}", dice.one_of(&["x", " ", "\u{0}", "_id"])), taken);
                }
                2 => drop(fields.insert((*dice.one_of(&ODD_TEXTS)).to_owned(), json!(1))),
                3 => spoil(fields.get_mut(&name).unwrap(), dice),
                _ => drop(fields.insert(name, odd_value(dice))),
            }
        }
        Value::Array(items) if !items.is_empty() && dice.below(4) > 0 => {
            let index = dice.below(items.len());
            match dice.below(3) {
                0 => drop(items.remove(index)),
                1 => items.extend((0..dice.below(12)).map(|n| json!(format!("hall:{n}"))).collect::<Vec<_>>()),
                _ => spoil(&mut items[index], dice),
            }
        }
        other => *other = odd_value(dice),
    }
}

/// A path of characters that may stand in a request, most of them in the wrong place.
fn odd_path(dice: &mut Dice) -> String {
    const PARTS: [&str; 30] = [
        "/",
        "/",
        "/",
        "Ticket",
        "SeatMap",
        "Checkout",
        "process",
        "send",
        "get",
        "reserve",
        "watch",
        "api",
        "mock-payment",
        "hall:1",
        ".",
        "..",
        "%2e%2e",
        "%00",
        "%",
        "%zz",
        "%C3%A9",
        "%ff",
        "%2F",
        "~",
        "*",
        "?a=b",
        "?",
        ";",
        "@",
        "health",
    ];
    let count = 1 + dice.below(8);
    let path: String = (0..count).map(|_| *dice.one_of(&PARTS)).collect();
    let path = format!("/{path}");
    if dice.below(50) == 0 { format!("{path}{}", "a".repeat(dice.below(8_000))) } else { path }
}

fn odd_body(dice: &mut Dice) -> Vec<u8> {
    match dice.below(8) {
        0 => bytes(dice, 300),
        1 => "[".repeat(1 + dice.below(16_000)).into_bytes(),
        2 => "{\"userId\":".repeat(1 + dice.below(1_500)).into_bytes(),
        3 => format!("{{\"userId\":{}{}}}", "[".repeat(100), "]".repeat(100)).into_bytes(),
        4 => vec![*dice.one_of(b" \"{[0"); 16 * 1024 - 5 + dice.below(20)],
        5 => format!("{{{}}}", (0..200).map(|n| format!("\"f{n}\":0")).collect::<Vec<_>>().join(",")).into_bytes(),
        6 => "9".repeat(1 + dice.below(2_000)).into_bytes(),
        _ => br#"{"userId":"\ud800","userId":"a"}"#.to_vec(),
    }
}

fn draw(dice: &mut Dice, good: &[(&str, &str, Value)]) -> Hostile {
    let (method, path, value) = dice.one_of(good).clone();
    let mut value = value;
    let mut hostile = Hostile { method: method.to_owned(), path: path.to_owned(), key: None, body: Vec::new() };
    match dice.below(11) {
        10 => {
            let tickets: Vec<String> = (0..1 + dice.below(14)).map(|_| format!("hall:{}", dice.below(99))).collect();
            let ttl = dice.draw() >> (11 + dice.below(53));
            let (path, value) = if dice.below(2) == 0 {
                ("/Ticket/hall:1/reserve", json!({ "userId": "ann", "ttlMs": ttl }))
            } else {
                ("/Checkout/process", json!({ "ticketIds": tickets, "userId": "ann" }))
            };
            hostile = Hostile { method: "POST".into(), path: path.into(), key: None, body: value.to_string().into() };
        }
        0..4 => {
            for _ in 0..=dice.below(2) {
                spoil(&mut value, dice);
            }
            hostile.body = value.to_string().into_bytes();
        }
        4 => {
            hostile.body = value.to_string().into_bytes();
            for _ in 0..=dice.below(3) {
                let at = dice.below(hostile.body.len());
                match dice.below(3) {
                    0 if !hostile.body.is_empty() => hostile.body[at] = dice.draw().to_le_bytes()[0],
                    1 => hostile.body.insert(at, *dice.one_of(b"{}[]\",:\\0e-\x00\xff")),
                    _ => hostile.body.truncate(at),
                }
            }
        }
        5 | 6 => hostile.body = odd_body(dice),
        7 => hostile.path = odd_path(dice),
        8 => {
            let methods = ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW", "post", "POST"];
            hostile.method = (*dice.one_of(&methods)).to_owned();
            hostile.body = value.to_string().into_bytes();
        }
        _ => {
            let text = *dice.one_of(&ODD_TEXTS);
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            hostile.path = path.replacen("hall", &encoded, 1);
            hostile.body = value.to_string().into_bytes();
        }
    }
    if hostile.method == "POST" && dice.below(8) == 0 {
        // A header cannot have everything in it.
        let key: Vec<u8> = bytes(dice, 200).into_iter().filter(|byte| *byte >= 0x20 && *byte != 0x7f).collect();
        hostile.key = Some(key);
    }
    hostile
}

/// What it must be answered, or nothing, where it is a good request after all.
fn expected(hostile: &Hostile, from: Door) -> Option<Kind> {
    let key = hostile
        .key
        .as_deref()
        .map(|key| idempotency_key(&hostile.method, [key.trim_ascii()]))
        .map_or(Ok(()), |key| key.map(|_| ()).map_err(|refusal| refusal.kind));
    match (parse(from, &hostile.method, &hostile.path, &hostile.body), key) {
        // What is wrong with the route or the length comes before the headers, these before what is in the body.
        // Where there are admin tokens, the host asks a caller that shows none for one at the admin's door.
        (Err(refusal), _) if refusal.kind == Kind::NotFound && is_admins(hostile) && from == Door::Public => {
            Some(Kind::Unauthorized)
        }
        (Err(refusal), _) if matches!(refusal.kind.status(), 404 | 405 | 413) => Some(refusal.kind),
        (_, Err(kind)) => Some(kind),
        (Err(refusal), Ok(())) => Some(refusal.kind),
        (Ok(_), Ok(())) => None,
    }
}

fn is_admins(hostile: &Hostile) -> bool {
    route(Door::Admin, &hostile.method, &hostile.path).is_ok()
        && route(Door::Public, &hostile.method, &hostile.path).is_err()
}

fn write(hostile: &Hostile, from: Door, out: &mut Vec<u8>) {
    write!(out, "{} {} HTTP/1.1\r\nhost: x\r\n", hostile.method, hostile.path).unwrap();
    if from == Door::Admin {
        write!(out, "authorization: Bearer {ADMIN}\r\n").unwrap();
    }
    if let Some(key) = &hostile.key {
        out.extend(b"idempotency-key: ");
        out.extend(key);
        out.extend(b"\r\n");
    }
    if !hostile.body.is_empty() {
        write!(out, "content-length: {}\r\n", hostile.body.len()).unwrap();
    }
    out.extend(b"\r\n");
    out.extend(&hostile.body);
}

fn read(stream: &mut BufReader<TcpStream>) -> Option<(u16, Value)> {
    let (mut line, mut status, mut length) = (String::new(), 0, 0);
    loop {
        line.clear();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        if let Some(rest) = text.strip_prefix("HTTP/1.1 ") {
            status = rest[..3].parse().unwrap();
        }
        if let Some(rest) = text.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = rest.parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((status, serde_json::from_slice(&body).unwrap_or_default()))
}

fn connect(base: &str) -> TcpStream {
    let stream = TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(tests::PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends its share, and counts the answers by kind.
fn attack(base: &str, seed: u64, from: Door, count: usize, reaches: fn(&Hostile) -> bool) -> BTreeMap<Kind, usize> {
    let (mut dice, good) = (Dice::new(seed), good());
    let stream = connect(base);
    let (mut writer, mut reader) = (stream.try_clone().unwrap(), BufReader::new(stream));
    let (mut seen, mut left) = (BTreeMap::new(), count);
    while left > 0 {
        let mut batch = Vec::with_capacity(AT_ONCE);
        while batch.len() < AT_ONCE.min(left) {
            let hostile = draw(&mut dice, &good);
            if let Some(kind) = expected(&hostile, from).filter(|_| reaches(&hostile)) {
                batch.push((hostile, kind));
            }
        }
        let mut bytes = Vec::new();
        batch.iter().for_each(|(hostile, _)| write(hostile, from, &mut bytes));
        std::thread::scope(|scope| {
            scope.spawn(|| writer.write_all(&bytes).unwrap());
            for (hostile, kind) in &batch {
                let Some((status, body)) = read(&mut reader) else { panic!("seed {seed}: no answer to {hostile:?}") };
                let is_as_expected = status == kind.status()
                    && (400..500).contains(&status)
                    && body["kind"] == kind.as_str()
                    && body["code"] == status
                    && body["message"].is_string();
                assert!(is_as_expected, "seed {seed}: {kind} expected, got {status} {body} to {hostile:?}");
                *seen.entry(*kind).or_default() += 1;
            }
        });
        left -= batch.len();
    }
    seen
}

/// Bytes that are no HTTP at all: the connection is answered 400 or closed, and that is all.
fn babble(base: &str, seed: u64) {
    let mut dice = Dice::new(seed);
    for _ in 0..200 {
        let mut stream = connect(base);
        let mut bytes = bytes(&mut dice, 2_000);
        bytes.extend(b"\r\n\r\n");
        let _closed_early = stream.write_all(&bytes);
        let _closed = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _closed = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || text.starts_with("HTTP/1.1 4"), "seed {seed}: {bytes:?} got {text}");
    }
}

/// Everything that is to be as it was.
fn state(client: &Client) -> Vec<String> {
    let mut state: Vec<String> =
        ["/SeatMap/hall/get", "/SeatMap/hall/summary", "/Ticket/hall:1/get", "/Ticket/hall:2/get"]
            .iter()
            .map(|path| client.get(path).text)
            .collect();
    let metrics = client.get("/metrics").text;
    let counts = ["booking_tickets{", "booking_checkouts", "booking_kept", "booking_timers "];
    state.extend(metrics.lines().filter(|line| counts.iter().any(|count| line.starts_with(count))).map(Into::into));
    // Metrics come in any order.
    state.sort();
    state
}

/// The page at `/` is answered as the file that it is.
fn is_none_of_the_page(hostile: &Hostile) -> bool {
    hostile.path.split('?').next() != Some("/")
}

#[test]
fn bad_requests_by_the_hundred_thousand_get_their_error_and_change_nothing() {
    let env = [("BOOKING_ADMIN_TOKEN", ADMIN), ("BOOKING_OPEN_LEDGER", "false")];
    let server = Server::start_with("serve", &["--payment-delay", "0ms"], &env);
    let client = Client::new(&server.base);
    let _held = client.post("/Ticket/hall:1/reserve", &json!("ann"));
    let _sold = client.post("/Checkout/process", &json!({ "ticketId": "hall:2", "userId": "ann" }));
    let before = state(&client);
    assert!(before.len() > 6 && before.iter().any(|line| line.contains("SOLD")), "{before:?}");
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    let seed = u64::from_le_bytes(bytes);
    let share = REQUESTS / usize::try_from(CONNECTIONS).unwrap();
    let seen = std::thread::scope(|scope| {
        let babble = scope.spawn(|| babble(&server.base, seed));
        let base = server.base.as_str();
        let attacks: Vec<_> = (0..CONNECTIONS)
            .map(|n| {
                let from = if n % 2 == 0 { Door::Public } else { Door::Admin };
                scope.spawn(move || attack(base, seed.wrapping_add(n), from, share, is_none_of_the_page))
            })
            .collect();
        babble.join().unwrap();
        let mut all: BTreeMap<Kind, usize> = BTreeMap::new();
        for (kind, count) in attacks.into_iter().flat_map(|attack| attack.join().unwrap()) {
            *all.entry(kind).or_default() += count;
        }
        all
    });
    assert_eq!(seen.values().sum::<usize>(), REQUESTS);
    for kind in [
        Kind::InvalidRequest,
        Kind::NotFound,
        Kind::MethodNotAllowed,
        Kind::PayloadTooLarge,
        Kind::TtlOutOfRange,
        Kind::TooManyTickets,
        Kind::DuplicateTicket,
    ] {
        assert!(seen.get(&kind).is_some_and(|count| *count >= 20), "too few of {kind}: {seen:?}");
    }
    assert_eq!(state(&client), before);
    let log = server.stop();
    assert!(!log.contains("panicked") && !log.contains("\"ERROR\""), "{log}");
}

/// What workerd hands on as it came. It refuses methods that HTTP has not and headers that it does not allow by itself, and
/// takes the dots out of a path, as a browser does.
fn workerd_hands_on(hostile: &Hostile) -> bool {
    let is_known = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"].contains(&hostile.method.as_str());
    let path = hostile.path.to_ascii_lowercase().replace("%2e", ".").replace('\\', "/");
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let has_dots = path.split('/').any(|part| matches!(part, "." | ".."));
    is_known && !has_dots && hostile.key.as_ref().is_none_or(|key| key.iter().all(|byte| (0x20..0x7f).contains(byte)))
}

#[test]
fn bad_requests_by_the_ten_thousand_get_their_error_from_the_worker_and_change_nothing() {
    let gateway = Server::start("mock-gateway", &["--delay", "0ms"]);
    let payments = format!("{}/api/mock-payment", gateway.base);
    let on = OnWorkerd::start(&[("ADMIN_TOKENS", ADMIN), ("PAYMENT_URL", &payments), ("LOG_LEVEL", "warn")]);
    let client = &on.client;
    let _held = client.post("/Ticket/hall:1/reserve", &json!("ann"));
    let _sold = client.post("/Checkout/process", &json!({ "ticketId": "hall:2", "userId": "ann" }));
    tests::eventually(|| client.get("/SeatMap/hall/get").text.contains("SOLD").then_some(()));
    let paths = ["/SeatMap/hall/get", "/SeatMap/hall/summary", "/Ticket/hall:1/get", "/Ticket/hall:2/get"];
    let state = || paths.map(|path| client.get(path).text);
    let before = state();
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    let seed = u64::from_le_bytes(bytes);
    let seen: usize = std::thread::scope(|scope| {
        let attack = |n: u64| {
            let from = if n.is_multiple_of(2) { Door::Public } else { Door::Admin };
            scope.spawn(move || attack(client.base(), seed.wrapping_add(n), from, 3_000, workerd_hands_on))
        };
        let attacks: Vec<_> = (0..4).map(attack).collect();
        attacks.into_iter().map(|attack| attack.join().unwrap().values().sum::<usize>()).sum()
    });
    assert_eq!(seen, 12_000);
    assert_eq!(state(), before);
    let log = on.log();
    assert!(!log.contains("panicked") && !log.contains("\"ERROR\""), "{log}");
}
