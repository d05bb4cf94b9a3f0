//! A box office stays open while everything happens to it at once: two minutes of it here, an hour in `cargo xtask soak`.

#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and says what it saw"
)]

use std::fs;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use serde_json::Value;
use tests::crowd::{Bought, in_the_end, payments_match};
use tests::durable::{Durable, runs, text};
use tests::http::Client;
use tests::server::Server;
use tests::size;
use tests::soak::faults::{Happened, Plan, happen};
use tests::soak::gauges::{Period, drift, sentence, slows_down, table};
use tests::soak::{Office, people, shows};
use xtask::run::{commit, machine, output, program, root};

/// The parts that a run is measured in.
const PERIODS: u32 = 12;

/// Whether it has no errors but those that what happened explains.
fn is_explained(line: &str) -> bool {
    ["the store is stuck", "the payment gateway does not answer"].iter().any(|known| line.contains(known))
}

#[test]
fn a_box_office_stays_open_through_everything_at_once() {
    let length = Duration::from_secs(size(120, 3_600) as u64);
    let plan = Plan { between: [(1_000, 2_000), (5_000, 20_000)][size(0, 1)], kills: [40, 5][size(0, 1)] };
    // What there is stays here when it fails: data, ledger and report.
    let folder = root().join("target/soak");
    let _may_be_the_first = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let (data, ledger) = (folder.join("data"), folder.join("ledger.jsonl"));
    let gateway = Server::start("mock-gateway", &["--delay", "10ms", "--ledger", text(&ledger)]);
    let money = Client::new(&gateway.base);
    let payments = format!("{}/api/mock-payment", gateway.base);
    let keep = ["30s", "5m"][size(0, 1)];
    let args = [
        "--payment-url",
        &payments,
        "--payment-timeout",
        "1s",
        "--hold-ttl",
        "3s",
        "--log-bytes",
        "1MiB",
        "--keep-for",
        keep,
    ];
    let mut durable = Durable::start_in(data.clone(), &args);
    let office = Office::at(&durable.client(), &durable.admin());
    let process = AtomicU32::new(durable.server.as_ref().unwrap().id());
    shows::published(&office, people::STADIUM, &shows::layout(people::STADIUM, 100, 100));

    let happened = std::thread::scope(|scope| {
        let office = &office;
        let happened = scope.spawn(|| office.does(|| happen(office, &mut durable, &gateway, plan, &process)));
        scope.spawn(|| office.does(|| shows::play(office)));
        scope.spawn(|| office.does(|| office.gauges.watch(office, &process, &data)));
        (0..12).for_each(|n| drop(scope.spawn(move || office.does(|| people::buys(office, n)))));
        (0..4).for_each(|n| drop(scope.spawn(move || office.does(|| people::reads(office, n)))));
        (0..24).for_each(|_| drop(scope.spawn(|| office.does(|| people::watches(office)))));
        (0..8).for_each(|_| drop(scope.spawn(|| office.does(|| people::reads_slowly(office)))));
        scope.spawn(|| office.does(|| people::is_refused(office)));
        office.rest(length);
        office.is_to_end();
        happened.join().unwrap()
    });

    let periods = office.gauges.periods(length / PERIODS, PERIODS);
    let date = output(&mut program("date", &["-u", "+%F"])).unwrap();
    let report = format!(
        "Run on {} at commit `{}`, on {}: {} s.\n\n{}\n\n{}",
        date.trim(),
        commit().unwrap_or_default(),
        machine(),
        length.as_secs(),
        sentence(&happened, &office),
        table(&periods)
    );
    println!("{report}");
    fs::write(folder.join("report.md"), &report).unwrap();

    // No seat is sold twice: each show was looked at when it closed. No money without a seat, no seat without money:
    let told: Vec<Bought> = office.told.lock().unwrap().iter().map(|(_, bought)| bought.clone()).collect();
    let mut accounts = Value::Null;
    in_the_end(|| {
        accounts = money.get("/api/mock-payment/ledger").body;
        payments_match(&told, &accounts)
    });
    let liar = told.iter().position(|one| one.end["status"] == "CONFIRMED").unwrap();
    let mut lied = told.clone();
    lied[liar].end["status"] = "FAILED".into();
    assert!(payments_match(&lied, &accounts).is_err(), "money without a booking is not found");
    assert!(told.len() > size(300, 30_000), "{} checkouts", told.len());

    assert!(happened.kills >= 3 && happened.hangs >= 3 && happened.stalls >= 3, "{}", sentence(&happened, &office));
    let Happened { log, .. } = &happened;
    let log = format!("{log}{}", durable.server.take().unwrap().stop());
    assert!(log.contains("the store is stuck"), "no stall was one");
    let strange: Vec<&str> = log.lines().filter(|line| line.contains("\"ERROR\"") && !is_explained(line)).collect();
    assert!(strange.is_empty() && !log.contains("panicked"), "{strange:#?}");
    let said = runs(&["check", "--data-dir", text(&data)]).unwrap();
    assert!(said.contains("holds"), "{said}");
    drift(&periods).unwrap_or_else(|grows| panic!("{grows}"));
    if size(0, 1) > 0 {
        slows_down(&periods).unwrap_or_else(|slow| panic!("{slow}"));
    }
}

#[test]
fn what_grows_without_end_is_found() {
    let steady = |_| Period { memory: 60_000, descriptors: 90, disk: 5_000, ..Period::default() };
    let steady: Vec<Period> = (0..PERIODS).map(steady).collect();
    assert_eq!(drift(&steady), Ok(()));
    let leaks: [fn(&mut Period, u64); 3] = [
        |period, n| period.memory += n * 6_000,
        |period, n| period.descriptors += n * 16,
        |period, n| period.disk += n * 2_000,
    ];
    for leak in leaks {
        let mut leaking = steady.clone();
        leaking.iter_mut().zip(0..).for_each(|(period, n)| leak(period, n));
        assert!(drift(&leaking).is_err(), "{leaking:?}");
    }
}
