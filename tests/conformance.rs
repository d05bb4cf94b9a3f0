//! The conformance script, run against the hosts of this repository.

#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails"
)]

use std::collections::BTreeSet;

use booking_core::wire::Kind;
use tests::conformance::{CASES, DIFFERENCES, Guarded, Host, INNER_KINDS, INVITED_KINDS, Target, Verdict, run};
use tests::http::{Client, Dialect};
use tests::restate::{Folder, OnRestate};
use tests::server::Server;
use tests::worker::{OnWorkerd, WorkerOnRestate};

const PUBLIC: &str = "a-public-token-for-tests";
const ADMIN: &str = "an-admin-token-for-tests";

#[test]
fn the_in_process_host_does_what_every_host_does() {
    in_process(|_| Vec::new());
}

#[test]
fn the_in_process_host_with_everything_on_disk_does_too() {
    let folder = Folder::new("conformance");
    in_process(|number| vec!["--data-dir".to_owned(), format!("{}/{number}", folder.path().display())]);
}

/// Runs every case against servers with these arguments as well, each of a number of its own.
fn in_process(args_of: impl Fn(usize) -> Vec<String>) {
    let quick = ["--payment-delay", "0ms"];
    let admin = [("BOOKING_ADMIN_TOKEN", ADMIN)];
    let started = std::cell::Cell::new(0);
    let start = |args: &[&str], env: &[(&str, &str)]| {
        let own = args_of(started.replace(started.get() + 1));
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        Server::start_with("serve", &[&quick[..], &own, args].concat(), env)
    };
    let open = start(&["--max-holds-per-user", "20"], &admin);
    let guarded = start(&["--answer-within", "1s"], &[("BOOKING_AUTH_TOKEN", PUBLIC), admin[0]]);
    let closed = start(&["--closed-sales"], &admin);
    let full = start(&["--max-tickets", "0"], &[]);
    let public = Client::new(&open.base);
    let nobody = public.at(&guarded.base);
    let target = Target {
        host: Host::InProcess,
        admin: public.with_token(ADMIN),
        guarded: Some(Guarded {
            public: nobody.with_token(PUBLIC),
            admin: nobody.with_token(ADMIN),
            nobody,
            token: PUBLIC.to_owned(),
        }),
        gateway: public.clone(),
        closed: Some(public.at(&closed.base).with_token(ADMIN)),
        full: Some(public.at(&full.base)),
        public,
    };
    every_case(&target);
    for server in [open, guarded, closed, full] {
        let log = server.stop();
        assert!(!log.contains("\"ERROR\"") && !log.contains("panicked"), "{log}");
    }
}

#[test]
fn the_restate_host_does_what_every_host_does() {
    let gateway = Server::start("mock-gateway", &[]);
    let payments = format!("{}/api/mock-payment", gateway.base);
    let start = |args: &[&str]| OnRestate::start(&[&["--admin-handlers", "--payment-url", &payments], args].concat());
    let (mut open, mut closed) = (start(&[]), start(&["--closed-sales"]));
    let public = open.client.clone();
    let target = Target {
        host: Host::Restate,
        admin: public.clone(),
        guarded: None,
        gateway: public.at(&gateway.base).speaking(Dialect::Plain),
        closed: Some(public.at(closed.client.base())),
        full: None,
        public,
    };
    every_case(&target);
    for log in [open.stop_host(), closed.stop_host(), gateway.stop()] {
        assert!(!log.contains("\"ERROR\"") && !log.contains("panicked"), "{log}");
    }
}

#[test]
fn the_worker_does_what_every_host_does() {
    let gateway = Server::start("mock-gateway", &[]);
    let payments = format!("{}/api/mock-payment", gateway.base);
    let start = |vars: &[(&str, &str)]| {
        let always = [("PAYMENT_URL", payments.as_str()), ("ADMIN_TOKENS", ADMIN)];
        OnWorkerd::start(&[&always[..], vars].concat())
    };
    let (open, guarded) = (start(&[]), start(&[("AUTH_TOKENS", PUBLIC), ("ANSWER_WITHIN_MS", "1000")]));
    let closed = start(&[("CLOSED_SALES", "true")]);
    let (public, nobody) = (open.client.clone(), guarded.client.clone());
    let target = Target {
        host: Host::Worker,
        admin: public.with_token(ADMIN),
        guarded: Some(Guarded {
            public: nobody.with_token(PUBLIC),
            admin: nobody.with_token(ADMIN),
            nobody,
            token: PUBLIC.to_owned(),
        }),
        gateway: public.at(&gateway.base),
        closed: Some(public.at(closed.client.base()).with_token(ADMIN)),
        full: None,
        public,
    };
    every_case(&target);
    for log in [open.log(), guarded.log(), closed.log(), gateway.stop()] {
        assert!(!log.contains("\"ERROR\"") && !log.contains("panicked"), "{log}");
    }
}

#[test]
fn the_worker_on_restate_does_what_every_host_does() {
    let gateway = Server::start("mock-gateway", &[]);
    let payments = format!("{}/api/mock-payment", gateway.base);
    let start = |vars: &[(&str, &str)]| {
        let always =
            [("PAYMENT_URL", payments.as_str()), ("RESTATE_UNSIGNED", "allowed"), ("RESTATE_ADMIN_HANDLERS", "true")];
        WorkerOnRestate::start(&[&always[..], vars].concat(), &[])
    };
    let (open, closed) = (start(&[]), start(&[("CLOSED_SALES", "true")]));
    let public = open.client.clone();
    let target = Target {
        host: Host::Restate,
        admin: public.clone(),
        guarded: None,
        gateway: public.at(&gateway.base).speaking(Dialect::Plain),
        closed: Some(public.at(closed.client.base())),
        full: None,
        public,
    };
    every_case(&target);
    for log in [open.worker.log(), closed.worker.log(), gateway.stop()] {
        assert!(!log.contains("\"ERROR\"") && !log.contains("panicked"), "{log}");
    }
}

/// Asks a host everything, and sees that it knows every kind of error but those it is said not to know.
fn every_case(target: &Target) {
    // The cases share nothing, so several may run at a time.
    let next = std::sync::atomic::AtomicUsize::new(0);
    let failed = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(case) = CASES.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let verdict = run(case, target);
                    if let Verdict::Needs(why) = &verdict {
                        failed.lock().unwrap().push(format!("{}: needs {why}", case.name));
                    }
                    if let Verdict::Failed(why) = verdict {
                        failed.lock().unwrap().push(format!("{} ({}): {why}", case.name, case.section));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), CASES.len(), failed.join("\n"));

    let differs = DIFFERENCES.iter().filter(|one| one.host == target.host).map(|one| one.case);
    let left_out: BTreeSet<&str> = differs.chain(INNER_KINDS).chain(INVITED_KINDS).collect();
    let seen = target.public.kinds();
    for kind in Kind::ALL.iter().map(|kind| kind.as_str()) {
        assert_ne!(seen.contains(kind), left_out.contains(kind), "{kind}: seen, or left out, but not both");
    }
}
