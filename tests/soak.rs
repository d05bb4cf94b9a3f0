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
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::Value;
use tests::crowd::{Bought, in_the_end, payments_match};
use tests::durable::{Durable, runs, text};
use tests::http::Client;
use tests::server::Server;
use tests::size;
use tests::soak::faults::{Plan, happen};
use tests::soak::gauges::{IN_MEMORY, ON_DISK, Period, drift, sentence, slows_down, table};
use tests::soak::{Office, people, shows};
use xtask::run::{commit, machine, output, program, root};

/// The parts that a run is measured in.
const PERIODS: u32 = 12;

/// Whether what happened explains this line of the log.
fn is_explained(line: &str) -> bool {
    ["the store is stuck", "the payment gateway does not answer"].iter().any(|known| line.contains(known))
}

#[test]
fn a_box_office_stays_open_through_everything_at_once() {
    let is_long = size(0, 1) > 0;
    let length = Duration::from_secs(if is_long { 3_600 } else { 120 });
    let plan =
        if is_long { Plan { between: (5_000, 20_000), kills: 5 } } else { Plan { between: (1_000, 2_000), kills: 40 } };
    let keep = if is_long { "5m" } else { "1m" };
    let commit = commit().unwrap_or_default();
    // What there is stays here when it fails: data and ledger.
    let all = root().join("target/soak");
    let folder = all.join(std::process::id().to_string());
    fs::create_dir_all(&folder).unwrap();
    println!("what there is stays in {} if this fails", folder.display());
    let (data, ledger) = (folder.join("data"), folder.join("ledger"));
    let gateway = Server::start("mock-gateway", &["--delay", "10ms", "--ledger", text(&ledger)]);
    let money = Client::new(&gateway.base);
    let payments = format!("{}/api/mock-payment", gateway.base);
    let args = [
        ["--payment-url", &payments],
        ["--payment-timeout", "1s"],
        ["--hold-ttl", "3s"],
        ["--log-bytes", "1MiB"],
        ["--keep-for", keep],
    ];
    let mut durable = Durable::start_in(data.clone(), &args.concat());
    let office = Office::at(&durable.client(), &durable.admin());
    let process = AtomicU32::new(durable.server.as_ref().unwrap().id());
    shows::published(&office, people::STADIUM, &shows::layout(people::STADIUM, 100, 100));

    std::thread::scope(|scope| {
        let office = &office;
        scope.spawn(|| office.does(|| happen(office, &mut durable, &gateway, plan, &process)));
        scope.spawn(|| office.does(|| shows::play(office)));
        scope.spawn(|| office.does(|| office.gauges.watch(office, &process, &data)));
        scope.spawn(|| office.does(|| office.gauges.ask(office, &money)));
        (0..12).for_each(|n| drop(scope.spawn(move || office.does(|| people::buys(office, n)))));
        (0..4).for_each(|n| drop(scope.spawn(move || office.does(|| people::reads(office, n)))));
        (0..24).for_each(|_| drop(scope.spawn(|| office.does(|| people::watches(office)))));
        (0..8).for_each(|_| drop(scope.spawn(|| office.does(|| people::reads_slowly(office)))));
        scope.spawn(|| office.does(|| people::is_refused(office)));
        office.rest(length);
        // A slow machine takes longer for it.
        while !office.ends() && !office.happened.lock().unwrap().each(3) {
            office.rest(Duration::from_secs(1));
        }
        office.is_to_end();
    });

    let periods = office.gauges.periods(office.age() / PERIODS, PERIODS);
    let date = output(&mut program("date", &["-u", "+%F"])).unwrap();
    let (date, seconds) = (date.trim(), office.age().as_secs());
    let (said, table) = (sentence(&office), table(&periods));
    let report = format!("Run on {date} at commit `{commit}`, on {}: {seconds} s.\n\n{said}\n\n{table}", machine());
    println!("{report}");
    fs::write(all.join("report.md"), &report).unwrap();

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
    // Everybody was there.
    let maps: usize = periods.iter().map(|period| period.maps.count()).sum();
    let [refused, changes, returns] = [&office.refused, &office.changes, &office.returns].map(|of| of.load(Relaxed));
    assert!(told.len() > 300 && maps > 300 && refused > 300 && changes > 3_000 && returns > 24, "{said}; {maps} maps");

    let log = format!("{}{}", office.happened.lock().unwrap().log, durable.server.take().unwrap().stop());
    assert!(log.contains("the store is stuck"), "no stall was one");
    let strange: Vec<&str> = log.lines().filter(|line| line.contains("\"ERROR\"") && !is_explained(line)).collect();
    assert!(strange.is_empty() && !log.contains("panicked"), "{strange:#?}");
    let checked = runs(&["check", "--data-dir", text(&data)]).unwrap();
    assert!(checked.contains("holds"), "{checked}");
    drift(&periods, &IN_MEMORY).unwrap_or_else(|grows| panic!("{grows}"));
    if is_long {
        drift(&periods, &[ON_DISK]).unwrap_or_else(|grows| panic!("{grows}"));
        slows_down(&periods).unwrap_or_else(|slow| panic!("{slow}"));
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_grows_without_end_is_found() {
    let steady = |_| Period { memory: 60_000, descriptors: 90, disk: 5_000, ..Period::default() };
    let steady: Vec<Period> = (0..PERIODS).map(steady).collect();
    let all = [&IN_MEMORY[..], &[ON_DISK]].concat();
    assert_eq!(drift(&steady, &all), Ok(()));
    let leaks: [fn(&mut Period, u64); 3] = [
        |period, n| period.memory += n * 6_000,
        |period, n| period.descriptors += n * 16,
        |period, n| period.disk += n * 2_000,
    ];
    for leak in leaks {
        let mut leaking = steady.clone();
        leaking.iter_mut().zip(0..).for_each(|(period, n)| leak(period, n));
        assert!(drift(&leaking, &all).is_err(), "{leaking:?}");
    }
}
