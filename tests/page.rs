//! The page, in a real browser, on a real server: what people do on it, and what comes of it.
//!
//! Each test starts a server and plays one scenario of `browser/scenarios.mjs` on it.

#![cfg(not(target_family = "wasm"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use booking_core::TicketId;
use booking_core::money::Money;
use serde_json::{Value, json};
use tests::gateway::{OddGateway, refuses_us};
use tests::http::Client;
use tests::restate::{Folder, OnRestate};
use tests::server::{Server, binary, notified, tokens};
use tests::{PATIENCE, eventually};
use xtask::wrangler::Dev;

#[path = "../booking-core/examples/currencies.rs"]
#[allow(dead_code, reason = "its main is for who runs it")]
mod currencies;

const ADMIN: &str = "an-admin-token-for-tests";
const PUBLIC: &str = "a-public-token-for-tests";

/// A server, and how to start it again where it was.
struct Stage {
    args: Vec<String>,
    env: Vec<(&'static str, &'static str)>,
    base: String,
    server: Option<Server>,
}

impl Stage {
    fn start(args: &[&str], env: &[(&'static str, &'static str)]) -> Self {
        let listen = format!("127.0.0.1:{}", xtask::run::free_port().unwrap());
        let mut args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        args.extend(["--listen".into(), listen]);
        let mut stage = Self { args, env: env.to_vec(), base: String::new(), server: None };
        stage.next_act();
        stage
    }

    fn next_act(&mut self) {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let server = Server::start_with("serve", &args, &self.env);
        self.base.clone_from(&server.base);
        self.server = Some(server);
    }

    /// Plays a scenario, and does to the server what it asks for meanwhile.
    fn plays(mut self, scenario: &str) {
        let base = self.base.clone();
        play(scenario, &base, &json!({ "admin": ADMIN, "token": PUBLIC }), |asked| match asked {
            "kill" => drop(self.server.take().unwrap().kill()),
            "start" => self.next_act(),
            _ => panic!("{scenario} asks for {asked}"),
        });
    }
}

/// Plays a scenario on the page at this address: passes this to the scenario, and does what it asks for meanwhile.
fn play(scenario: &str, base: &str, told: &Value, mut does: impl FnMut(&str)) {
    let mut child = Command::new("node")
        .args(["scenarios.mjs", scenario, base, &told.to_string()])
        .current_dir(xtask::chromium::scripts().unwrap())
        .env("CHROMIUM", xtask::chromium::binary().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answers = child.stdin.take().unwrap();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        does(line.strip_prefix("ask ").unwrap_or_else(|| panic!("{scenario} says {line}")));
        writeln!(answers, "done").unwrap();
    }
    assert!(child.wait().unwrap().success(), "{scenario}: what was wrong is above");
}

/// Plays what can be done on every host.
fn play_on_another_host(base: &str, api: &str, gateway: &str, live: &str) {
    let told = json!({ "admin": ADMIN, "api": api, "gateway": gateway, "live": live });
    play("a_sale_on_another_host", base, &told, |asked| panic!("it asks for {asked}"));
}

/// The venue of the demo, with a gateway that takes its time.
fn demo(args: &[&str]) -> Stage {
    let args = [&["--demo", "--payment-delay", "300ms"], args].concat();
    Stage::start(&args, &[("BOOKING_ADMIN_TOKEN", ADMIN)])
}

#[test]
fn two_browsers_race_for_a_seat() {
    demo(&[]).plays("two_browsers_race_for_a_seat");
}

#[test]
fn a_hold_lapses() {
    demo(&["--hold-ttl", "4s"]).plays("a_hold_lapses");
}

#[test]
fn each_test_card_does_what_it_says() {
    demo(&[]).plays("each_test_card_does_what_it_says");
}

#[test]
fn an_operator_sees_that_the_gateway_refuses_the_host() {
    let gateway = OddGateway::start(refuses_us);
    Stage::start(&["--demo", "--payment-url", &gateway.url], &[])
        .plays("an_operator_sees_that_the_gateway_refuses_the_host");
}

#[test]
fn a_declined_buyer_pays_with_a_second_card() {
    demo(&[]).plays("a_declined_buyer_pays_with_a_second_card");
}

#[test]
fn a_reload_keeps_the_holds() {
    demo(&[]).plays("a_reload_keeps_the_holds");
}

#[test]
fn a_tab_that_was_copied_pays_nothing_twice() {
    demo(&[]).plays("a_tab_that_was_copied_pays_nothing_twice");
}

#[test]
fn a_seat_is_given_back_and_kept() {
    demo(&[]).plays("a_seat_is_given_back_and_kept");
}

#[test]
fn ten_seats_are_the_most() {
    demo(&[]).plays("ten_seats_are_the_most");
}

#[test]
fn the_server_is_killed_mid_sale() {
    let data = Folder::new("page");
    demo(&["--data-dir", data.path().to_str().unwrap()]).plays("the_server_is_killed_mid_sale");
}

#[test]
fn a_server_that_forgets_says_so() {
    demo(&[]).plays("a_server_that_forgets_says_so");
}

#[test]
fn an_operator_resets_blocks_and_publishes() {
    demo(&[]).plays("an_operator_resets_blocks_and_publishes");
}

#[test]
fn an_operator_keeps_the_books() {
    let folder = Folder::new("page-books");
    let (data, file) = (folder.path().join("data"), folder.path().join("tokens"));
    let serve = |more: &[&str]| {
        let args = ["--demo", "--payment-delay", "0ms", "--data-dir", data.to_str().unwrap()];
        Server::start("serve", &[&args, more].concat())
    };
    // A booking that nobody was told of: a start without a notifier gives up what is still to be sent.
    let host = serve(&["--notify-url", "http://127.0.0.1:9/nobody-is-there"]);
    let order = json!({ "ticketId": "demo:A-1", "userId": "=ann", "paymentMethodId": "card_success" });
    assert_eq!(Client::new(&host.base).post("/Checkout/process", &order).status, 200);
    let _log = host.stop();
    let _log = serve(&[]).stop();
    let (url, told) = notified(&[204]);
    let token = tokens(&file, &["make", "--name", "box office", "--door", "admin"]).unwrap();
    let host = serve(&["--notify-url", &url, "--tokens", file.to_str().unwrap()]);
    play("an_operator_keeps_the_books", &host.base, &json!({ "admin": token.trim() }), |asked| match asked {
        "told" => drop(told.recv_timeout(PATIENCE).unwrap()),
        "revoke" => {
            tokens(&file, &["revoke", "box office"]).unwrap();
            assert!(host.says("the tokens were read again", PATIENCE));
        }
        _ => panic!("it asks for {asked}"),
    });
    assert!(told.try_recv().is_err(), "it was sent once");
}

#[test]
fn an_operator_keeps_the_books_of_a_worker() {
    let (folder, files) = (Folder::new("page-worker"), Folder::new("page-tokens"));
    let file = files.path().join("tokens");
    let token = tokens(&file, &["make", "--name", "box office", "--door", "admin"]).unwrap();
    let before = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/poke/wrangler.toml");
    let start = |vars: &[(&str, &str)]| {
        let dev = Dev::with_all_workers_behind(&before, "development", folder.path(), vars).unwrap();
        let client = Client::new(&dev.url());
        let put = || assert_eq!(client.send("POST", "/poke/token", &[], &std::fs::read(&file).unwrap()).status, 200);
        put();
        (dev, client.with_token(token.trim()))
    };
    // As in process: a booking whose buyer did not get the message.
    let (dev, office) = start(&[("NOTIFY_URL", "http://127.0.0.1:9/nobody-is-there")]);
    let seat = json!({ "ticketId": "demo:A-1", "price": { "minor": 9_500, "currency": "USD" }, "x": 0, "y": 0 });
    let layout = json!({ "rows": [{ "name": "A", "seats": [seat] }] });
    // Until the tokens are read again there is no operator.
    eventually(|| (office.post("/SeatMap/demo/layout", &layout).status == 200).then_some(()));
    let order = json!({ "ticketId": "demo:A-1", "userId": "=ann", "paymentMethodId": "card_success" });
    assert_eq!(office.post("/Checkout/process", &order).status, 200);
    drop(dev);
    let given_up = |office: &Client| {
        let inbox = office.get("/inbox").body;
        inbox["messages"].as_array().is_some_and(|all| all.len() == 1).then_some(())
    };
    let (dev, office) = start(&[]);
    eventually(|| given_up(&office));
    drop(dev);
    let (url, told) = notified(&[204]);
    let (dev, _office) = start(&[("NOTIFY_URL", &url)]);
    play("an_operator_keeps_the_books", &dev.url(), &json!({ "admin": token.trim(), "isAway": true }), |asked| {
        match asked {
            "told" => drop(told.recv_timeout(PATIENCE).unwrap()),
            "revoke" => {
                tokens(&file, &["revoke", "box office"]).unwrap();
                let client = Client::new(&dev.url());
                let put = client.send("POST", "/poke/token", &[], &std::fs::read(&file).unwrap());
                assert_eq!(put.status, 200);
                // Each isolate reads them again after half a minute.
                eventually(|| (client.with_token(token.trim()).get("/bookings").status == 401).then_some(()));
            }
            _ => panic!("it asks for {asked}"),
        }
    });
    assert!(told.try_recv().is_err(), "it was sent once");
}

#[test]
fn a_guest_buys_once() {
    let env = [("BOOKING_ADMIN_TOKEN", ADMIN), ("BOOKING_INVITATION_KEY", tests::invitations::KEY)];
    let stage = Stage::start(&["--payment-delay", "0ms"], &env);
    let seat = |n: usize| json!({ "ticketId": format!("m:A-{n}"), "price": { "minor": 9_500, "currency": "USD" }, "x": 10 * n, "y": 0 });
    let layout = json!({ "rows": [{ "name": "A", "seats": (1..4).map(seat).collect::<Vec<_>>() }] });
    let office = Client::new(&stage.base).with_token(ADMIN);
    assert_eq!(office.post("/SeatMap/m/layout", &layout).status, 200);
    stage.plays("a_guest_buys_once");
}

#[test]
fn a_crowd_buys_everything() {
    demo(&[]).plays("a_crowd_buys_everything");
}

#[test]
fn a_crowd_is_sent_home() {
    demo(&[]).plays("a_crowd_is_sent_home");
}

#[test]
fn every_view_is_accessible() {
    demo(&[]).plays("every_view_is_accessible");
}

#[test]
fn what_no_page_may_do_would_be_noticed() {
    demo(&[]).plays("what_no_page_may_do_would_be_noticed");
}

#[test]
fn keys_alone_book_a_seat() {
    demo(&[]).plays("keys_alone_book_a_seat");
}

#[test]
fn a_map_without_a_layout_is_shown_and_grows() {
    demo(&[]).plays("a_map_without_a_layout_is_shown_and_grows");
}

#[test]
fn odd_layouts_are_drawn_with_every_seat_in_reach() {
    demo(&[]).plays("odd_layouts_are_drawn_with_every_seat_in_reach");
}

#[test]
fn text_of_the_server_is_text() {
    demo(&[]).plays("text_of_the_server_is_text");
}

#[test]
fn a_token_opens_the_page_and_stands_in_no_address() {
    let env = [("BOOKING_AUTH_TOKEN", PUBLIC)];
    Stage::start(&[], &env).plays("a_token_opens_the_page_and_stands_in_no_address");
}

#[test]
fn a_page_without_a_map_asks_which() {
    Stage::start(&[], &[]).plays("a_page_without_a_map_asks_which");
}

#[test]
fn the_page_sells_on_durable_objects() {
    let folder = Folder::new("wrangler");
    let dev = Dev::with_all_workers("development", folder.path(), &[("ADMIN_TOKENS", ADMIN)]).unwrap();
    play_on_another_host(&dev.url(), &dev.url(), &dev.url(), "Live");
}

#[test]
fn the_page_sells_on_restate() {
    let gateway = Server::start("mock-gateway", &["--delay", "300ms"]);
    let payments = format!("{}/api/mock-payment", gateway.base);
    let on = OnRestate::start(&["--admin-handlers", "--payment-url", &payments]);
    let ingress = on.restate.setup.ingress_url();
    let page = Server::start("page", &["--api", &ingress, "--map", "hall", "--listen", "127.0.0.1:0"]);
    play_on_another_host(&page.base, &ingress, &gateway.base, "Live, asked for every second");
}

#[test]
fn the_page_sells_on_restate_behind_its_door() {
    let gateway = Server::start("mock-gateway", &["--delay", "300ms"]);
    let payments = format!("{}/api/mock-payment", gateway.base);
    let on = OnRestate::start(&["--admin-handlers", "--payment-url", &payments]);
    let (ingress, admin) = (on.restate.setup.ingress_url(), on.restate.setup.admin_url());
    let port = xtask::run::free_port().unwrap();
    let api = format!("http://127.0.0.1:{port}");
    let page = Server::start("page", &["--api", &api, "--map", "hall", "--listen", "127.0.0.1:0"]);
    let listen = format!("127.0.0.1:{port}");
    let args = ["--listen", &listen, "--ingress-url", &ingress, "--admin-url", &admin, "--cors-origin", &page.base];
    let door = Server::start_of("host-restate", "door", &args, &[("BOOKING_ADMIN_TOKEN", ADMIN)]);
    play_on_another_host(&page.base, &door.base, &gateway.base, "Live, asked for every second");
    let office = Client::new(&door.base).with_token(ADMIN);
    let bookings = office.get("/bookings?status=CONFIRMED").body["bookings"].as_array().unwrap().len();
    assert!(bookings > 0, "and operators see that it did");
}

#[test]
fn the_page_as_files_sells_for_a_server_elsewhere() {
    let gateway = Server::start("mock-gateway", &["--delay", "300ms"]);
    let payments = format!("{}/api/mock-payment", gateway.base);
    let shop = ["--payment-url", &payments, "--cors-origin", "*"];
    let shop = Server::start_with("serve", &shop, &[("BOOKING_ADMIN_TOKEN", ADMIN)]);
    let (folder, files) = (Folder::new("wrangler"), Folder::new("page"));
    let written = Command::new(binary("host-axum-sim"))
        .args(["page", "--api", &shop.base, "--map", "hall", "--out"])
        .arg(files.path())
        .output()
        .unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let page = Dev::files(&files.path(), &folder.path()).unwrap();
    let policy = tests::http::Client::new(&page.url()).get("/").headers["content-security-policy"].clone();
    let api = shop.base.strip_prefix("http").unwrap();
    assert!(policy.to_str().unwrap().contains(&format!("connect-src 'self' http{api} ws{api};")), "{policy:?}");
    play_on_another_host(&page.url(), &shop.base, &gateway.base, "Live");
}

#[test]
fn the_page_is_small_and_every_file_of_it_is_served() {
    let web = xtask::run::root().join("web");
    let names = std::fs::read_dir(&web).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.filter(|name| !["_headers", ".assetsignore"].contains(&name.as_str())).collect();
    let bytes: u64 = names.iter().map(|name| web.join(name).metadata().unwrap().len()).sum();
    assert!((10_000..150_000).contains(&bytes), "{bytes} bytes");
    let server = Server::start("serve", &[]);
    let client = tests::http::Client::new(&server.base);
    for name in names {
        let got = client.get(&format!("/{name}"));
        let file = std::fs::read_to_string(web.join(&name)).unwrap();
        assert_eq!(got.status, 200, "{name}");
        if name == "settings.json" {
            assert_eq!(got.body, serde_json::from_str::<serde_json::Value>(&file).unwrap());
        } else {
            assert_eq!(got.text, file, "{name}");
        }
    }
    let _log = server.stop();
}

#[test]
fn an_amount_of_any_currency_is_shown_as_the_core_has_it() {
    let file = std::fs::read_to_string(xtask::run::root().join("web/currencies.js")).unwrap();
    assert_eq!(file, currencies::made(), "cargo run -p booking-core --example currencies > web/currencies.js");
    let amounts = [0, 5, 250_000, 123_456_789];
    let money = |currency, minor| Money::new(minor, currency).unwrap();
    let all: Vec<Money> = currencies::all().flat_map(|code| amounts.map(|minor| money(code, minor))).collect();
    let shown: Vec<String> = said_by("import { money } from './words.js'; const say = money;", &all);
    assert_eq!(shown.len(), all.len());
    for (money, shown) in all.iter().zip(&shown) {
        // The sign of a currency may have a dot, too.
        let digits: String = shown.chars().filter(|char| char.is_ascii_digit() || *char == '.').collect();
        let digits = digits.trim_start_matches('.');
        assert_eq!(format!("{digits}:{}", money.currency()), money.to_string(), "{shown}");
    }
}

#[test]
fn a_seat_without_a_label_is_called_as_the_core_calls_it() {
    let ids = ["seat-7", "arena:A:12", "hall:F-6-R1", "csv:A1", "h:A-12bis", "a_b.c", "a.", "a:-", "7", "x:y--"];
    let ids = ids.map(|id| TicketId::parse(id).unwrap()).to_vec();
    let script = "import { Seats } from './seats.js'; \
                  const say = (id) => { const seats = new Seats(); \
                  seats.snapshot({ version: 1, tickets: [{ id, status: 'AVAILABLE' }] }); return seats.get(id).number; };";
    let shown: Vec<String> = said_by(script, &ids);
    assert_eq!(shown, ids.iter().map(|id| id.seat_name().to_owned()).collect::<Vec<_>>());
}

#[test]
fn a_page_that_lost_its_host_comes_back_within_the_spread_that_it_was_told() {
    // A host that shows the map to who comes, and is gone then: when the page will try again, of 30 s.
    let script = "import { Live } from './live.js'; globalThis.addEventListener = () => {}; \
        globalThis.WebSocket = class { constructor() { setTimeout(() => { \
            this.onmessage({ data: JSON.stringify({ type: 'snapshot', version: 1, edition: 0, tickets: [], spreadMs: 30000 }) }); \
            setTimeout(() => this.onclose(), 5); }, 0); } close() {} send() {} }; \
        const api = { url: (path) => new URL(path, 'http://127.0.0.1/') }; \
        const waits = []; const all = Array.from({ length: 300 }, () => new Promise((seen) => { \
            const live = new Live(api, 'hall', { layout() {}, snapshot() {}, deltas() {}, \
                state(is, until) { if (is === 'away') { waits.push(until - Date.now()); live.stop(); seen(); } } }); })); \
        await Promise.all(all); setTimeout(() => process.exit(0), 200); const say = (limit) => waits.filter((wait) => wait < limit).length;";
    let within: Vec<usize> = said_by(script, &[3_000, 15_000, 30_001]);
    let [soon, half, all] = within[..] else { panic!("{within:?}") };
    assert_eq!(all, 300);
    // Of 300, by chance: each bound is more than five standard deviations away.
    assert!((5..65).contains(&soon) && (100..200).contains(&half), "{within:?}");
}

/// What the page's own code says of each of these: the script declares a function `say`.
fn said_by<T: serde::de::DeserializeOwned>(script: &str, all: &[impl serde::Serialize]) -> Vec<T> {
    let script = format!(
        "{script} import {{ readFileSync }} from 'node:fs'; \
         process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, 'utf8')).map((each) => say(each))));"
    );
    let mut node = Command::new("node");
    node.args(["--input-type=module", "--eval", &script]).current_dir(xtask::run::root().join("web"));
    let mut node = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let asked = serde_json::to_vec(all).unwrap();
    node.stdin.take().unwrap().write_all(&asked).unwrap();
    serde_json::from_slice(&node.wait_with_output().unwrap().stdout).unwrap()
}
