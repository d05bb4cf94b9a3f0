//! `host-axum-sim serve --data-dir` on a real disk: what it promises through `kill -9`, on a disk that is full, and of
//! directories that are not as they should be.

#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and some show what they hit"
)]

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use booking_core::checkout::Stage;
use booking_core::dice::Dice;
use host_axum_sim::store::read;
use serde_json::{Value, json};
use tests::crowd::Crowd;
use tests::durable::{ADMIN, Durable, runs, text};
use tests::histories::recorder::{Load, record};
use tests::http::Client;
use tests::restate::Folder;
use tests::server::{Server, binary, notified};
use tests::{PATIENCE, eventually, size};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};

/// Where in its journal a checkout was when its process was killed: what is on the disk, and what the gateway knows.
fn boundary(stage: &Stage, waits: bool, account: Option<&Value>) -> &'static str {
    let is = |what: &str| account.is_some_and(|account| account[what] == true);
    match stage {
        Stage::Authorising { .. } if waits => "between two attempts to authorise",
        Stage::Authorising { .. } if account.is_none_or(|account| account["authorizeCalls"] == 0) => {
            "before the authorisation is asked for"
        }
        Stage::Authorising { .. } => "after the authorisation, before its outcome is stored",
        Stage::Capturing { .. } if waits => "between two attempts to capture",
        Stage::Capturing { .. } if is("captured") => "after the capture, before its outcome is stored",
        Stage::Capturing { .. } => "after the authorisation's outcome is stored, before the capture",
        Stage::Undoing { .. } if is("voided") => "after the void, before its outcome is stored",
        Stage::Undoing { .. } => "on the way back, before the void",
        stage => stage.name(),
    }
}

const BOUNDARIES: [&str; 8] = [
    "before the authorisation is asked for",
    "after the authorisation, before its outcome is stored",
    "between two attempts to authorise",
    "after the authorisation's outcome is stored, before the capture",
    "after the capture, before its outcome is stored",
    "between two attempts to capture",
    "on the way back, before the void",
    "after the void, before its outcome is stored",
];

#[test]
fn nothing_is_lost_while_it_is_killed_again_and_again() {
    const MOST: usize = 150;
    let enough = size(12, 52);
    let folder = Folder::new("ledger");
    let ledger = folder.path().join("ledger");
    let gateway = Server::start("mock-gateway", &["--delay", "10ms", "--ledger", text(&ledger)]);
    let money = Client::new(&gateway.base);
    let payments = format!("{}/api/mock-payment", gateway.base);
    // Logs are small, so that kills also come while one follows another, and while a base is made.
    let mut durable = Durable::start("killed", &["--payment-url", &payments, "--log-bytes", "256KiB"]);
    let client = durable.client();
    let crowd = Crowd::new(&client, usize::MAX, 40_000);
    let (mut hits, mut least, mut all, mut kills) = (BTreeMap::<&str, usize>::new(), usize::MAX, 0, 0);
    let mut dice = Dice::new(8);
    std::thread::scope(|scope| {
        (0..80).for_each(|_| drop(scope.spawn(|| crowd.buy())));
        // Some boundaries are passed within a millisecond: the kills continue until each was hit, or there were `MOST`.
        let is_missed = |hits: &BTreeMap<&str, usize>| BOUNDARIES.iter().any(|name| !hits.contains_key(name));
        while kills < enough || (kills < MOST && is_missed(&hits)) {
            std::thread::sleep(Duration::from_millis(120 + dice.below(250) as u64));
            if crowd.under_way() < 64 {
                continue;
            }
            durable.kill();
            // What had left it arrives at the gateway all the same.
            std::thread::sleep(Duration::from_millis(40));
            let accounts = money.get("/api/mock-payment/ledger").body["entries"].clone();
            let accounts: BTreeMap<&str, &Value> =
                accounts.as_array().unwrap().iter().map(|entry| (entry["key"].as_str().unwrap(), entry)).collect();
            let mut in_flight = 0;
            for record in read(&durable.data).unwrap() {
                let record = record.unwrap();
                let Some(record) = record.checkout().filter(|record| record.ended().is_none()) else { continue };
                let checkout = record.checkout();
                let account = accounts.get(format!("{}:authorize", checkout.id()).as_str()).copied();
                *hits.entry(boundary(checkout.stage(), record.wake().is_some(), account)).or_default() += 1;
                in_flight += 1;
            }
            durable.start_again();
            // One that hits too few is not counted, and does no harm.
            if in_flight >= 32 {
                (kills, least, all) = (kills + 1, least.min(in_flight), all + in_flight);
            }
        }
        crowd.enough();
    });
    println!("{kills} kills, {least} checkouts in flight at least, {} on average:", all / kills);
    hits.iter().for_each(|(name, count)| println!("{count:7}  {name}"));
    for name in BOUNDARIES {
        assert!(hits.contains_key(name), "no kill came {name}");
    }
    crowd.all_is_well(&money);
    // An end that a checkout has told once stays as it is for ever.
    let ends = crowd.ends();
    assert!(ends.len() > size(400, 2_000), "{} checkouts", ends.len());
    for (id, end) in &ends {
        // But for where the money is of one that failed.
        let but_money = |end: &Value| {
            let mut end = end.clone();
            end.as_object_mut().unwrap().remove("money");
            end
        };
        assert_eq!(but_money(&client.get(&format!("/Checkout/{id}")).body), but_money(end));
    }
    let check = || runs(&["check", "--data-dir", text(&durable.data), "--ledger", text(&ledger)]);
    let alive = check().unwrap();
    assert!(alive.contains("a server is at work in it"), "{alive}");
    let log = durable.server.take().unwrap().stop();
    assert!(!log.contains("\"ERROR\""), "{log}");
    let said = check().unwrap();
    println!("{} checkouts\n{said}", ends.len());
    assert!(!said.contains("not looked at") && !said.contains("under way"), "{said}");
    let booked = ends.values().filter(|end| end["status"] == "CONFIRMED").count();
    assert!(said.contains(&format!("{booked} booked")), "{booked} were told: {said}");
    // And every one of them is a line of an export.
    let export = runs(&["export", "--data-dir", text(&durable.data)]).unwrap();
    let lines = export.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let confirmed = lines.filter(|line| line["type"] == "booking" && line["status"] == "CONFIRMED");
    for line in confirmed.inspect(|line| assert!(line["userId"].is_string() && line["endedAt"].is_u64(), "{line}")) {
        assert_eq!(ends[line["checkoutId"].as_str().unwrap()]["amount"], line["amount"]);
    }
}

#[test]
fn what_clients_saw_through_kills_is_linearizable() {
    let requests = size(10_000, 100_000);
    let mut durable = Durable::start("histories", &["--payment-delay", "1ms", "--max-holds-per-user", "1000000"]);
    let (public, admin) = (durable.client(), durable.admin());
    let (recording, kills) = std::thread::scope(|scope| {
        let recorded = scope.spawn(|| record(Load { rests: true, ..Load::of(requests, 8) }, &public, &admin));
        let mut kills = 0;
        while !recorded.is_finished() {
            std::thread::sleep(Duration::from_millis(1_500));
            durable.kill();
            durable.start_again();
            kills += 1;
        }
        (recorded.join().unwrap(), kills)
    });
    println!(
        "{requests} requests through {kills} kills: {}",
        recording.is_linearizable("durable", requests).unwrap_or_else(|why| panic!("{why}"))
    );
    recording.planted_lies_are_found().unwrap_or_else(|why| panic!("{why}"));
    assert!(kills >= size(1, 5), "{kills} kills");
    let said = runs(&["check", "--data-dir", text(&durable.data)]).unwrap();
    assert!(said.contains("holds"), "{said}");
}

#[test]
fn a_key_is_given_its_first_answer_after_a_crash_and_a_hold_that_ended_meanwhile_has_ended() {
    let mut durable = Durable::start("keys", &["--payment-delay", "0ms"]);
    let client = durable.client();
    let order = json!({ "ticketId": "a:1", "userId": "ann" });
    let booked = client.post_keyed("/Checkout/process", "k-1", &order);
    let held = client.post_keyed("/Ticket/a:2/reserve", "k-2", &json!({ "userId": "ann", "ttlMs": 1500 }));
    let refused = client.post_keyed("/Ticket/a:1/reserve", "k-3", &json!("bob"));
    assert_eq!((booked.status, held.status, refused.kind()), (200, 200, "TicketSold"));
    let longer = client.post("/Ticket/a:3/reserve", &json!("ann"));
    for _ in 0..2 {
        durable.kill();
        std::thread::sleep(Duration::from_millis(1_500));
        durable.start_again();
        // No request names the ticket. The timer of its map fires, and nothing is stored of it any more.
        let seats = |client: &Client| client.get("/SeatMap/a/get").body;
        let seat = |id: &str, status: &str| json!({ "id": id, "status": status });
        let all = json!([seat("a:1", "SOLD"), seat("a:3", "RESERVED")]);
        eventually(|| (seats(&client) == all).then_some(()));
        assert_eq!(client.post_keyed("/Checkout/process", "k-1", &order).text, booked.text);
        assert_eq!(
            client.post_keyed("/Ticket/a:2/reserve", "k-2", &json!({ "userId": "ann", "ttlMs": 1500 })).text,
            held.text
        );
        assert_eq!(client.post_keyed("/Ticket/a:1/reserve", "k-3", &json!("bob")).text, refused.text);
        let other = client.post_keyed("/Checkout/process", "k-1", &json!({ "ticketId": "a:9", "userId": "ann" }));
        assert_eq!(other.kind(), "IdempotencyKeyReused");
    }
    assert_eq!(client.post("/Ticket/a:3/release", &json!({ "holdId": longer.text("holdId") })).status, 200);
}

#[test]
fn a_message_to_a_buyer_that_was_not_delivered_is_delivered_after_a_crash() {
    let (url, told) = notified(&[500, 204]);
    let mut durable = Durable::start("letters", &["--payment-delay", "0ms", "--notify-url", &url]);
    let booked = durable.client().post("/Checkout/process", &json!({ "ticketId": "a", "userId": "ann" }));
    assert_eq!(booked.status, 200);
    let first = told.recv_timeout(PATIENCE).unwrap();
    durable.kill();
    durable.start_again();
    let second = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!((second.key, second.body), (first.key, first.body));
}

type Socket = WebSocket<TcpStream>;

fn watch(base: &str) -> Socket {
    let address = base.strip_prefix("http://").unwrap();
    let mut request = format!("ws://{address}/SeatMap/hall/watch").into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "booking.watch.v1".parse().unwrap());
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    tungstenite::client(request, stream).unwrap().0
}

fn hears(socket: &mut Socket) -> Option<Value> {
    loop {
        match socket.read().ok()? {
            Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}

#[test]
fn a_watcher_that_comes_again_after_a_crash_is_shown_versions_that_go_on() {
    let mut durable = Durable::start("watch", &["--payment-delay", "0ms"]);
    let (mut seen, mut shown) = (0, BTreeMap::<String, Value>::new());
    for round in 0..5 {
        let mut socket = watch(&durable.base);
        let snapshot = hears(&mut socket).unwrap();
        let version = snapshot["version"].as_u64().unwrap();
        assert!(version >= seen, "version {version} after version {seen}");
        // What was seen is there, and what is there is what was seen, but for what came when nobody listened.
        let now: BTreeMap<String, Value> = snapshot["tickets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|ticket| (ticket["id"].as_str().unwrap().to_owned(), ticket["status"].clone()))
            .collect();
        assert!(shown.keys().all(|id| now.contains_key(id)), "{shown:?} {now:?}");
        if version == seen {
            assert_eq!(now, shown);
        }
        (seen, shown) = (version, now);
        std::thread::scope(|scope| {
            let client = durable.client();
            let buys = scope.spawn(move || {
                for n in 0..100 {
                    let order = json!({ "ticketId": format!("hall:{round}-{n}"), "userId": "ann" });
                    if client.try_send("POST", "/Checkout/process", &[], order.to_string().as_bytes()).is_err() {
                        break;
                    }
                }
            });
            // Killed in the middle of it.
            let mut heard = 0;
            while let Some(message) = hears(&mut socket) {
                for delta in message["deltas"].as_array().unwrap() {
                    assert_eq!(delta["version"], seen + 1, "no change is missing, and none comes twice");
                    seen += 1;
                    for ticket in delta["tickets"].as_array().unwrap() {
                        shown.insert(ticket["id"].as_str().unwrap().to_owned(), ticket["status"].clone());
                    }
                    heard += 1;
                }
                if heard > 60 && durable.server.is_some() {
                    durable.kill();
                }
            }
            assert!(heard > 60);
            buys.join().unwrap();
        });
        durable.start_again();
    }
}

#[test]
fn a_second_process_a_foreign_directory_and_a_damaged_one_are_refused() {
    let mut durable = Durable::start("refused", &["--payment-delay", "0ms"]);
    for n in 0..20 {
        let order = json!({ "ticketId": format!("a:{n}"), "userId": "ann" });
        assert_eq!(durable.client().post("/Checkout/process", &order).status, 200);
    }
    let serve = |path: &str| runs(&["serve", "--listen", "127.0.0.1:0", "--data-dir", path]).unwrap_err();
    assert!(serve(text(&durable.data)).contains("is in use by another process"));
    durable.kill();
    let log = durable.data.join("log.00000000000000000000");
    let whole = fs::read(&log).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 4;
    fs::write(&log, &damaged).unwrap();
    for command in ["serve", "export", "check"] {
        let listen: &[&str] = if command == "serve" { &["--listen", "127.0.0.1:0"] } else { &[] };
        let said = runs(&[&[command, "--data-dir", text(&durable.data)], listen].concat()).unwrap_err();
        assert!(said.contains("--data-dir") && said.contains("is damaged at byte"), "{command}: {said}");
        assert_eq!(fs::read(&log).unwrap(), damaged, "it is left as it is");
    }
    // The last commit, not whole, is what a crash leaves.
    fs::write(&log, &whole[..whole.len() - 7]).unwrap();
    durable.start_again();
    assert!(durable.client().get("/SeatMap/a/get").body.as_array().unwrap().len() >= 19);
    let foreign = Folder::new("foreign");
    fs::write(foreign.path().join("thesis.tex"), "mine").unwrap();
    assert!(serve(text(&foreign.path())).contains("thesis.tex is in it"));
    assert!(runs(&["check", "--data-dir", "/nowhere"]).unwrap_err().contains("has nothing stored in it"));
}

/// A server on a disk of its own, of this number of bytes, that is gone with it.
fn on_a_small_disk(mount: &Path, bytes: &str, args: &str) -> Server {
    let server = binary("host-axum-sim");
    let script = format!(
        "mount -t tmpfs -o size={bytes} none '{mount}' && exec '{server}' serve --log-format json --data-dir '{mount}/data' \
         {args}",
        mount = text(mount),
        server = server.display()
    );
    let mut command = Command::new("unshare");
    // A place of its own for mounts, also for a user that may not mount anything elsewhere.
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout.trim_ascii() != b"0" {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "sh", "-c", &script]);
    Server::start_so(command, &[("BOOKING_ADMIN_TOKEN", ADMIN)])
}

#[test]
fn on_a_full_disk_it_says_so_and_goes_on_when_there_is_room() {
    let mount = Folder::new("full");
    let server = on_a_small_disk(&mount.path(), "600k", "--payment-delay 20ms --log-bytes 64KiB");
    let client = Client::new(&server.base);
    // The disk as the server sees it.
    let inside = PathBuf::from(format!("/proc/{}/root{}", server.id(), mount.path().display()));
    let filler = inside.join("filler");
    let (mut said_full, mut booked) = (0, Vec::new());
    for round in 0..3 {
        for n in 0..20 {
            let got =
                client.post("/Checkout/process", &json!({ "ticketId": format!("a:{round}-{n}"), "userId": "ann" }));
            assert_eq!(got.status, 200, "{}", got.text);
            booked.push(got.body);
        }
        // All that is left, to the last byte.
        let mut file = fs::File::create(&filler).unwrap();
        while std::io::Write::write(&mut file, &[0; 512]).is_ok() {}
        drop(file);
        // A checkout that finds it full ends later, or was never begun: it is not half done.
        let key = format!("key-{round}");
        let order = json!({ "ticketId": format!("b:{round}"), "userId": "bob" });
        let start = Instant::now();
        loop {
            let got = client.post_keyed("/Checkout/process", &key, &order);
            if got.kind() == "StorageUnavailable" {
                assert_eq!((got.status, got.headers["retry-after"].to_str().unwrap()), (503, "1"));
                said_full += 1;
                break;
            }
            // What is still free in the last block may take a few more.
            let more = json!({ "ticketId": format!("c:{round}-{}", start.elapsed().as_nanos()), "userId": "cat" });
            let _took = client.post("/Checkout/process", &more);
            assert!(start.elapsed() < PATIENCE, "it is never full");
        }
        for (method, path) in [("GET", "/health"), ("GET", "/Ticket/a:0-0/get"), ("POST", "/SeatMap/a/get")] {
            assert_eq!(client.send(method, path, &[], b"").kind(), "StorageUnavailable", "{path}");
        }
        fs::remove_file(&filler).unwrap();
        eventually(|| (client.get("/health").status == 200).then_some(()));
        let got = client.post_keyed("/Checkout/process", &key, &order);
        assert_eq!(got.status, 200, "{}", got.text);
        booked.push(got.body);
    }
    for booking in &booked {
        let id = booking["checkoutId"].as_str().unwrap();
        assert_eq!(client.get(&format!("/Checkout/{id}")).body["status"], "CONFIRMED");
    }
    assert_eq!(said_full, 3);
    // The directory has what the server said, also for a server that starts from a copy of it.
    let data = inside.join("data");
    let said = runs(&["check", "--data-dir", data.to_str().unwrap()]).unwrap();
    assert!(said.contains("holds"), "{said}");
    let copy = Folder::new("full-copy");
    for entry in fs::read_dir(&data).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    server.kill();
    let again = Server::start("serve", &["--data-dir", text(&copy.path())]);
    for booking in &booked {
        let id = booking["checkoutId"].as_str().unwrap();
        assert_eq!(Client::new(&again.base).get(&format!("/Checkout/{id}")).body["status"], "CONFIRMED");
    }
}
