//! The books of operators: on Workers a queue, a database and a Worker of their own, in the pinned wrangler and workerd; in process the engine
//! itself. What operators are shown is the same.

#![cfg(not(target_family = "wasm"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::http::Client;
use tests::restate::Folder;
use tests::server::{Server, notified, tokens};
use tests::{PATIENCE, eventually, size};
use xtask::wrangler::Dev;

const ADMIN: &str = "an-admin-token-for-tests";

fn entries(client: &Client, path: &str, name: &str) -> Vec<Value> {
    let got = client.get(path);
    assert_eq!(got.status, 200, "{path}: {}", got.text);
    got.body[name].as_array().unwrap_or_else(|| panic!("{path}: {}", got.text)).clone()
}

fn buy(client: &Client, seat: &str, user: &str, card: &str) -> u16 {
    client.post("/Checkout/process", &json!({ "ticketId": seat, "userId": user, "paymentMethodId": card })).status
}

/// What came of an operator's afternoon, without what chance and clocks have put into it.
fn an_afternoon(public: &Client) -> Value {
    let admin = public.with_token(ADMIN);
    for (seat, user, card, status) in [
        ("hall:1", "ann", "card_success", 200),
        ("hall:2", "=ben", "card_decline", 402),
        ("yard:1", "ann", "card_success", 200),
    ] {
        assert_eq!(buy(public, seat, user, card), status);
        // The list is in the order in which they began, to the millisecond.
        std::thread::sleep(Duration::from_millis(5));
    }
    let block = json!({ "reason": "A broken seat" });
    assert_eq!(admin.post("/Ticket/hall:9/block", &block).status, 200);
    for _ in 0..2 {
        assert_eq!(admin.post_keyed("/Ticket/hall:1/block", "once", &block).kind(), "TicketSold");
    }
    assert_eq!(public.get("/bookings").status, 401);
    let no_such_line = admin.post("/inbox/line:7/retry", &json!({})).body;
    let no_such_message = admin.post("/inbox/notification:unknown/retry", &json!({})).body;
    let shown = |path: &str| {
        let mut seen = Vec::new();
        let mut next = String::new();
        loop {
            let sign = if path.contains('?') { '&' } else { '?' };
            let page = admin.get(&format!("{path}{sign}limit=2&after={next}"));
            assert_eq!(page.status, 200, "{path}: {}", page.text);
            seen.extend(page.body["bookings"].as_array().unwrap().clone());
            match page.body["next"].as_str() {
                None => break,
                Some(cursor) => next = cursor.to_owned(),
            }
        }
        for booking in &mut seen {
            for field in ["checkoutId", "startedAt", "endedAt", "paymentId"] {
                if let Some(value) = booking.get_mut(field) {
                    *value = json!("?");
                }
            }
        }
        Value::from(seen)
    };
    // On Workers what is kept apart comes a little later.
    let all = eventually(|| {
        let all = shown("/bookings");
        let is_whole = |all: &[Value]| all.len() == 3 && all.iter().all(|one| one["endedAt"] == "?");
        is_whole(all.as_array().unwrap()).then_some(all)
    });
    let audit = eventually(|| {
        let mut audit = entries(&admin, "/audit", "entries");
        audit.retain(|entry| entry["who"] != "callers");
        let is_whole = audit.len() == 4 && audit.iter().all(|entry| entry["outcome"] != "unknown");
        is_whole.then_some(audit)
    });
    let audit: Vec<_> = audit
        .iter()
        .map(|entry| ["who", "asked", "about", "reason", "outcome"].map(|name| entry[name].clone()))
        .collect();
    // A buyer wants to be forgotten.
    let erase = json!({ "userId": "ann", "reason": "Asked by letter" });
    let erased = admin.post_keyed("/bookings/erase", "letter", &erase).body;
    let of_ann = || admin.post("/bookings", &json!({ "userId": "ann" })).body["bookings"].as_array().unwrap().len();
    assert_eq!(of_ann(), 0);
    let whose = admin.get("/Ticket/hall:1/get").body["reservedBy"].clone();
    let sold_without_name = eventually(|| {
        let all = shown("/bookings?status=CONFIRMED");
        all.as_array().unwrap().iter().all(|one| one["userId"] == "(erased)").then_some(all)
    });
    // They buy again and write again, and the page sends the same key again.
    assert_eq!(buy(public, "yard:2", "ann", "card_success"), 200);
    eventually(|| {
        let all = admin.post("/bookings", &json!({ "userId": "ann" })).body["bookings"].clone();
        (all[0]["status"] == "CONFIRMED").then_some(())
    });
    let erased_again = eventually(|| {
        let erased = admin.post_keyed("/bookings/erase", "letter", &erase).body;
        (erased["bookings"] == 1).then_some(erased)
    });
    let whose_yard = admin.get("/Ticket/yard:2/get").body["reservedBy"].clone();
    let refused = eventually(|| {
        let mut audit = entries(&admin, "/audit", "entries");
        audit.retain(|entry| entry["who"] == "callers");
        audit.pop()
    });
    let by_buyer = admin.post("/bookings", &json!({ "userId": "=ben" })).body["bookings"].as_array().unwrap().len();
    let table = admin.get("/bookings.csv?status=FAILED").text;
    let table: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    json!({
        "all": all,
        "hall": shown("/bookings?map=hall"),
        "seat": shown("/bookings?ticketId=yard:1"),
        "seat of another map": shown("/bookings?ticketId=yard:1&map=hall"),
        "failed": shown("/bookings?status=FAILED"),
        "before all": shown("/bookings?until=1"),
        "since then": shown("/bookings?from=1&map=yard"),
        "by buyer": by_buyer,
        "erased": (erased, whose, sold_without_name),
        "erased again": (erased_again, whose_yard),
        "table": (&table[0], table[1][1], table[1][4], table[1][9]),
        "audit": audit,
        "refused": (&refused["asked"], &refused["outcome"], &refused["times"]),
        "inbox": entries(&admin, "/inbox", "messages"),
        "wrong": admin.get("/bookings?status=SOLD").body,
        "no such line": no_such_line,
        "no such message": no_such_message,
    })
}

#[test]
fn the_books_say_the_same_on_workers_and_in_process() {
    let server = Server::start_with("serve", &["--payment-delay", "0ms"], &[("BOOKING_ADMIN_TOKEN", ADMIN)]);
    let in_process = an_afternoon(&Client::new(&server.base));
    let folder = Folder::new("books");
    let dev = Dev::with_all_workers("development", folder.path(), &[("ADMIN_TOKENS", ADMIN)]).unwrap();
    let on_workers = an_afternoon(&Client::new(&dev.url()));
    assert_eq!(on_workers, in_process, "{}", std::fs::read_to_string(dev.log()).unwrap());
}

/// The Worker that stands before the shop and lets a test into its queue and its database.
fn poke() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/poke/wrangler.toml")
}

fn rows(client: &Client, sql: &str) -> Vec<Value> {
    let got = client.post("/poke/rows", &json!({ "sql": sql }));
    assert_eq!(got.status, 200, "{}", got.text);
    got.body.as_array().unwrap().clone()
}

/// A line about a booking, as the shop writes it.
fn line(number: u64, status: &str, seat: &str) -> String {
    let booking = json!({
        "checkoutId": "c-1", "status": status, "userId": "ann", "tickets": [seat], "startedAt": 1_000, "endedAt": 2_000,
    });
    json!({ "v": 1, "is": { "booking": { "line": number, "booking": booking } } }).to_string()
}

#[test]
fn lines_that_come_twice_late_or_spoilt_make_one_row_or_a_dead_letter() {
    let folder = Folder::new("lines");
    let vars = [("ADMIN_TOKENS", ADMIN)];
    let dev = Dev::with_all_workers_behind(&poke(), "development", folder.path(), &vars).unwrap();
    let public = Client::new(&dev.url());
    let admin = public.with_token(ADMIN);
    let send = |bodies: Value| assert_eq!(public.post("/poke/queue", &bodies).status, 200);

    // Twice, late, and before an older one.
    send(json!([line(1, "PENDING", "hall:1"), line(3, "CONFIRMED", "hall:1"), line(3, "CONFIRMED", "hall:1")]));
    send(json!([line(2, "PENDING", "hall:1"), line(1, "PENDING", "hall:1")]));
    eventually(|| (rows(&public, "SELECT line FROM bookings") == [json!({ "line": 3 })]).then_some(()));
    let audit = |outcome: &str| {
        let entry = json!({ "at": 7, "who": "box office", "asked": "Ticket/block", "outcome": outcome, "times": 1 });
        json!({ "v": 1, "is": { "audit": { "id": "a-1", "entry": entry } } }).to_string()
    };
    // Refused first, and done when it came again.
    send(json!([audit("unknown"), audit("Overloaded"), audit("done"), audit("Overloaded"), audit("unknown")]));
    eventually(|| {
        let seen = entries(&admin, "/audit", "entries");
        (seen.len() == 1 && seen[0]["outcome"] == "done").then_some(())
    });

    // Its buyer is erased: an older line that comes late, and a newer one that was under way, do not bring the name back. A checkout that
    // begins again under the same name is another's.
    let erase = json!({ "erase": { "checkouts": ["c-1"] } });
    assert_eq!(public.post("/poke/operations", &erase).status, 200);
    send(json!([line(2, "PENDING", "hall:1"), line(4, "CONFIRMED", "hall:1")]));
    let buyers = "SELECT line, user_id AS user, text ->> 'userId' AS said FROM bookings";
    eventually(|| {
        (rows(&public, buyers) == [json!({ "line": 4, "user": "(erased)", "said": "(erased)" })]).then_some(())
    });
    let again = line(0, "PENDING", "hall:1").replace("\"startedAt\":1000", "\"startedAt\":3000").replace("ann", "bob");
    send(json!([again, line(5, "FAILED", "hall:1")]));
    eventually(|| (rows(&public, buyers) == [json!({ "line": 0, "user": "bob", "said": "bob" })]).then_some(()));
    assert_eq!(entries(&admin, "/bookings?map=hall", "bookings").len(), 1, "one booking, however often it began");
    rows(&public, "DELETE FROM bookings");
    rows(&public, "DELETE FROM tickets");

    // What is none of ours is in the inbox, with the reason; what stood beside it in the batch is kept.
    let newer = json!({ "v": 99, "is": {} }).to_string();
    send(json!(["hello", { "an": "object" }, newer, line(4, "FAILED", "hall:1")]));
    let dead = eventually(|| {
        let dead = entries(&admin, "/inbox", "messages");
        (dead.len() == 3).then_some(dead)
    });
    let whys: Vec<&str> = dead.iter().map(|message| message["why"].as_str().unwrap()).collect();
    assert!(whys.iter().any(|why| why.contains("damaged")), "{whys:?}");
    assert!(whys.iter().any(|why| why.contains("use a newer build")), "{whys:?}");
    assert!(whys.contains(&"it is no text"), "{whys:?}");
    eventually(|| (rows(&public, "SELECT line FROM bookings") == [json!({ "line": 4 })]).then_some(()));
    assert_eq!(rows(&public, "SELECT count(*) AS n FROM tickets"), [json!({ "n": 1 })]);

    // A line that the database does not take is tried again, and is a dead letter in the end; an operator has it tried once more.
    rows(
        &public,
        "CREATE TRIGGER refuses BEFORE INSERT ON bookings WHEN NEW.checkout_id = 'c-2' BEGIN SELECT RAISE(ABORT, 'no'); END",
    );
    let (other, third) = (line(1, "CONFIRMED", "hall:2").replace("c-1", "c-2"), line(1, "CONFIRMED", "hall:3"));
    send(json!([other, third.replace("c-1", "c-3")]));
    let buried = eventually(|| {
        let dead = entries(&admin, "/inbox", "messages");
        dead.into_iter().find(|message| message["why"].as_str().unwrap().contains("however often it was tried"))
    });
    let kept = "SELECT checkout_id AS id FROM bookings ORDER BY 1";
    assert_eq!(rows(&public, kept), [json!({ "id": "c-1" }), json!({ "id": "c-3" })], "it held no other up");
    rows(&public, "DROP TRIGGER refuses");
    // Its buyer is erased while it lies there.
    let erase = json!({ "erase": { "checkouts": ["c-2"] } });
    assert_eq!(public.post("/poke/operations", &erase).status, 200);
    let retry = format!("/inbox/{}/retry", buried["id"].as_str().unwrap());
    assert_eq!(admin.post(&retry, &json!({})).status, 200);
    eventually(|| (rows(&public, kept).len() == 3).then_some(()));
    let whose = "SELECT user_id AS user FROM bookings WHERE checkout_id = 'c-2'";
    assert_eq!(rows(&public, whose), [json!({ "user": "(erased)" })]);
    assert_eq!(entries(&admin, "/inbox", "messages").len(), 3, "the others are still there");
    assert_eq!(admin.post(&retry, &json!({})).status, 404, "that one is not");

    // A request from outside does not get past the shop's door.
    let direct = public.post("/poke/direct", &json!({ "audit": { "after": null, "limit": 10 } }));
    assert_eq!(direct.status, 404, "{}", direct.text);
}

#[test]
fn an_operator_of_a_worker_has_a_message_sent_and_a_token_revoked() {
    let (folder, files) = (Folder::new("books-message"), Folder::new("books-tokens"));
    let file = files.path().join("tokens");
    std::fs::create_dir_all(files.path()).unwrap();
    let office = tokens(&file, &["make", "--name", "box office", "--door", "admin"]).unwrap().trim().to_owned();
    let start =
        |vars: &[(&str, &str)]| Dev::with_all_workers_behind(&poke(), "development", folder.path(), vars).unwrap();
    let put = |client: &Client| {
        let text = std::fs::read(&file).unwrap();
        assert_eq!(client.send("POST", "/poke/token", &[], &text).status, 200);
    };
    // The notifier does not answer; then there is none, so the message is given up.
    let dev = start(&[("NOTIFY_URL", "http://127.0.0.1:9/nobody-is-there")]);
    let public = Client::new(&dev.url());
    put(&public);
    assert_eq!(buy(&public, "hall:1", "ann", "card_success"), 200);
    drop(dev);
    let dev = start(&[]);
    let public = Client::new(&dev.url());
    let office_at = |public: &Client| public.with_token(&office);
    let given_up = eventually(|| entries(&office_at(&public), "/inbox", "messages").pop());
    assert_eq!(given_up["booking"]["userId"], "ann");
    drop(dev);
    let (url, told) = notified(&[204]);
    let dev = start(&[("NOTIFY_URL", &url)]);
    let public = Client::new(&dev.url());
    let admin = office_at(&public);
    let retry = format!("/inbox/{}/retry", given_up["id"].as_str().unwrap());
    assert_eq!(admin.post(&retry, &json!({})).status, 200);
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().body["checkoutId"], given_up["booking"]["checkoutId"]);
    eventually(|| entries(&admin, "/inbox", "messages").is_empty().then_some(()));
    eventually(|| (entries(&admin, "/bookings", "bookings")[0]["notification"] == "DELIVERED").then_some(()));
    let did = eventually(|| {
        entries(&admin, "/audit", "entries").into_iter().find(|entry| entry["asked"] == "operators/retry")
    });
    assert_eq!((&did["who"], &did["outcome"]), (&json!("box office"), &json!("done")));
    assert!(told.try_recv().is_err(), "once");

    // Each isolate reads the tokens again after half a minute.
    tokens(&file, &["revoke", "box office"]).unwrap();
    put(&public);
    eventually(|| (admin.get("/bookings").status == 401).then_some(()));
    assert_eq!(public.get("/bookings").status, 401);
}

#[test]
fn what_nothing_was_heard_of_is_asked_how_it_stands() {
    let folder = Folder::new("books-overdue");
    let vars = [("ADMIN_TOKENS", ADMIN)];
    let dev = Dev::with_all_workers_behind(&poke(), "development", folder.path(), &vars).unwrap();
    let public = Client::new(&dev.url());
    assert_eq!(buy(&public, "hall:1", "ann", "card_success"), 200);
    let confirmed =
        |client: &Client| entries(&client.with_token(ADMIN), "/bookings?status=CONFIRMED", "bookings").pop();
    eventually(|| confirmed(&public));
    // The line about its end was lost, an hour ago.
    rows(&public, "UPDATE bookings SET status = 'PENDING', line = 0, started_at = started_at - 3600000");
    assert_eq!(confirmed(&public), None);
    let rung = public.post("/poke/clock", &json!({}));
    assert_eq!(rung.status, 200, "{}", rung.text);
    eventually(|| confirmed(&public));
}

#[test]
fn after_kills_the_books_are_what_the_ledger_and_the_objects_say() {
    let folder = Folder::new("books-kills");
    let start = || Dev::with_all_workers("development", folder.path(), &[("ADMIN_TOKENS", ADMIN)]).unwrap();
    for kill in 0..size(2, 6) {
        let dev = start();
        // The queue is in the memory of what is killed. What was in it is said again by an alarm, which has to come to pass before the
        // next one takes that as well.
        agree(&dev, &folder);
        let public = Client::new(&dev.url());
        std::thread::scope(|scope| {
            for buyer in 0..4 {
                let public = &public;
                scope.spawn(move || {
                    for n in 0.. {
                        let card = ["card_success", "card_success", "card_decline"][n % 3];
                        let seat = format!("hall:{kill}-{buyer}-{n}");
                        let order = json!({ "ticketId": seat, "userId": "ann", "paymentMethodId": card }).to_string();
                        if public.try_send("POST", "/Checkout/process", &[], order.as_bytes()).is_err() {
                            // It was killed.
                            break;
                        }
                    }
                });
            }
            // Some are over by then, some are under way, and some of what was said of them is on its way into the books.
            eventually(|| (sold(&public).len() >= (kill + 1) * 8).then_some(()));
            dev.kill();
        });
    }
    agree(&start(), &folder);
}

#[test]
fn an_erasure_that_is_cut_short_is_finished_when_it_is_asked_for_again() {
    let folder = Folder::new("books-erasure");
    let start = || Dev::with_all_workers("development", folder.path(), &[("ADMIN_TOKENS", ADMIN)]).unwrap();
    let seats: Vec<String> = (10..40).map(|n| format!("hall-{n}:1")).collect();
    let erase = json!({ "userId": "ann", "reason": "Asked by letter" });
    let buyer = |admin: &Client, seat: &str| admin.get(&format!("/Ticket/{seat}/get")).body["reservedBy"].clone();
    let dev = start();
    let admin = Client::new(&dev.url()).with_token(ADMIN);
    for seat in &seats {
        assert_eq!(buy(&admin, seat, "ann", "card_success"), 200);
    }
    let ended = || entries(&admin, "/bookings?status=CONFIRMED&limit=50", "bookings").len();
    eventually(|| (ended() == seats.len()).then_some(()));
    std::thread::scope(|scope| {
        let text = erase.to_string();
        let asking = &admin;
        scope.spawn(move || asking.try_send("POST", "/bookings/erase", &[], text.as_bytes()));
        eventually(|| (buyer(&admin, &seats[0]) == "(erased)").then_some(()));
        dev.kill();
    });
    let dev = start();
    let admin = Client::new(&dev.url()).with_token(ADMIN);
    eventually(|| {
        let left = admin.post("/bookings/erase", &erase).body["left"].clone();
        (left == 0).then_some(())
    });
    let kept: Vec<&String> = seats.iter().filter(|seat| buyer(&admin, seat) != "(erased)").collect();
    assert!(kept.is_empty(), "these maps know the buyer still: {kept:?}");
    eventually(|| {
        let all = entries(&admin, "/bookings?limit=50", "bookings");
        (all.len() == seats.len() && all.iter().all(|one| one["userId"] == "(erased)")).then_some(())
    });
}

/// Waits until the books, the ledger and the objects say the same: of checkouts, and of seats.
fn agree(dev: &Dev, folder: &Folder) {
    let start = Instant::now();
    while let Err(why) = is_agreed(dev) {
        let log = || std::fs::read_to_string(dev.log()).unwrap();
        assert!(start.elapsed() < PATIENCE, "{why}, in {}: {}", folder.path().display(), log());
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn is_agreed(dev: &Dev) -> Result<(), String> {
    let admin = Client::new(&dev.url()).with_token(ADMIN);
    let (mut confirmed, mut seats, mut next) = (BTreeSet::new(), BTreeSet::new(), String::new());
    loop {
        let page = admin.get(&format!("/bookings?limit=50&after={next}")).body;
        for booking in page["bookings"].as_array().unwrap() {
            let name = booking["checkoutId"].as_str().unwrap().to_owned();
            match booking["status"].as_str().unwrap() {
                "CONFIRMED" => {
                    confirmed.insert(name);
                    let tickets = booking["tickets"].as_array().unwrap().iter();
                    seats.extend(tickets.map(|id| id.as_str().unwrap().to_owned()));
                }
                "FAILED" => {}
                status => return Err(format!("{name} is {status}")),
            }
        }
        match page["next"].as_str() {
            Some(cursor) => next = cursor.to_owned(),
            None => break,
        }
    }
    let ledger = admin.get("/api/mock-payment/ledger").body;
    let paid = ledger["entries"].as_array().unwrap().iter().filter(|entry| entry["captured"] == true);
    let name = |entry: &Value| entry["key"].as_str().unwrap().trim_end_matches(":authorize").to_owned();
    let (paid, objects): (BTreeSet<String>, _) = (paid.map(name).collect(), sold(&admin));
    let is_same = confirmed == paid && seats == objects;
    is_same.then_some(()).ok_or_else(|| format!("{confirmed:?}, {paid:?}; {seats:?}, {objects:?}"))
}

/// The seats that their map says are sold.
fn sold(public: &Client) -> BTreeSet<String> {
    let seats = public.get("/SeatMap/hall/get").body;
    let sold = seats.as_array().into_iter().flatten().filter(|seat| seat["status"] == "SOLD");
    sold.map(|seat| seat["id"].as_str().unwrap().to_owned()).collect()
}
