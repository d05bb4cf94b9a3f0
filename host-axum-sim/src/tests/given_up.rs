//! A map gives up a command that it cannot judge, and takes the next one.

use std::path::{Path, PathBuf};

use booking_core::time::{Millis, Timestamp};
use booking_core::wire::{Door, Kind, answer, parse};

use crate::engine::{Caller, Engine, Fresh, Gateway, Input, Output, Request, Settings};
use crate::restore::restore;
use crate::store::{Directory, LOG_BYTES, Store as _, StoreError, read};

/// A new directory, gone when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("booking-{name}-{}", std::process::id()));
        let _it_is_not_there = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone_anyway = std::fs::remove_dir_all(&self.0);
    }
}

const START: u64 = 1_700_000_000_000;

/// An engine and its directory.
struct Rig {
    engine: Engine,
    directory: Directory,
    now: u64,
    alarms: usize,
}

impl Rig {
    fn at(path: &Path, now: u64) -> Self {
        let opened = Directory::open(path, LOG_BYTES).unwrap();
        let (answer_within, gateway) = (Millis(0), Gateway::Mock { delay: Millis(0) });
        let settings = Settings { answer_within, gateway, ..Settings::default() };
        let (engine, directory) = restore(opened, settings, Timestamp::from_millis(now), |_| {}).unwrap();
        Self { engine, directory, now, alarms: 0 }
    }

    fn take(&mut self) -> Option<(u16, Option<Kind>, String)> {
        let mut answered = None;
        while let Some(output) = self.engine.poll() {
            match output {
                Output::Store(seq, records) => {
                    self.directory.write(&records).unwrap();
                    self.engine.handle(Input::Stored(seq), Timestamp::from_millis(self.now));
                }
                Output::Answer(_, answer) => answered = Some((answer.status, answer.kind, answer.body)),
                Output::Alarm(_) => self.alarms += 1,
                Output::Seen(_, picture) => {
                    let answer = answer::seat_map(&picture);
                    answered = Some((answer.status, answer.kind, answer.body));
                }
                Output::Watching(..)
                | Output::Plan(..)
                | Output::Bookings(..)
                | Output::News(..)
                | Output::Pay(..)
                | Output::Deliver(_)
                | Output::Filled(_) => {}
            }
        }
        answered
    }

    fn asks(&mut self, path: &str, body: &str) -> (u16, Option<Kind>, String) {
        let call = parse(Door::Admin, "POST", path, body.as_bytes()).unwrap();
        let fresh = Fresh(u128::from(self.now));
        let input = Input::Call(Caller(self.now), Request { call, key: None, fresh, audit: None });
        self.engine.handle(input, Timestamp::from_millis(self.now));
        self.now += 1;
        self.take().expect("there is an answer")
    }

    fn is_given_up(&mut self, path: &str, body: &str) {
        let (status, kind, _) = self.asks(path, body);
        assert_eq!((status, kind), (503, Some(Kind::StorageUnavailable)), "{path}");
    }

    fn is_done(&mut self, path: &str, body: &str) {
        let (status, _, body) = self.asks(path, body);
        assert_eq!(status, 200, "{path}: {body}");
    }

    fn passes(&mut self, millis: u64) {
        self.now += millis;
        self.engine.handle(Input::Tick, Timestamp::from_millis(self.now));
        assert!(self.take().is_none());
    }

    fn seats(&mut self) -> String {
        self.asks("/SeatMap/hall/get", "").2
    }
}

const HOLD: &str = r#"{"userId":"ann","ttlMs":4000}"#;

#[test]
fn a_seat_that_cannot_be_read_fails_what_names_it_and_nothing_else() {
    let scratch = Scratch::new("odd-seat");
    let mut rig = Rig::at(&scratch.0, START);
    for seat in ["odd", "3"] {
        rig.is_done(&format!("/Ticket/hall:{seat}/reserve"), HOLD);
    }
    // As a build leaves it that knows more than this one.
    let odd = br#"{"v":2,"is":{"seat":["hall","hall:odd",{"state":"levitating","version":1}]}}"#;
    let entry = (b"shall/hall:odd".to_vec(), Some(odd.to_vec()));
    rig.directory.commit([entry]).unwrap();
    drop(rig);

    let mut rig = Rig::at(&scratch.0, START + 100);
    let odd = "/Ticket/hall:odd";
    rig.is_given_up(&format!("{odd}/get"), "");
    for handler in ["reserve", "unblock", "cleanup"] {
        rig.is_given_up(&format!("{odd}/{handler}"), if handler == "reserve" { HOLD } else { "" });
    }
    rig.is_given_up("/Checkout/process", r#"{"ticketIds":["hall:4","hall:odd"],"userId":"ann"}"#);
    rig.is_given_up("/SeatMap/hall/resetAll", "");
    rig.is_done("/Checkout/process", r#"{"ticketId":"hall:4","userId":"ann"}"#);
    let shown = |three: &str| {
        let seat = |name: &str, status: &str| format!(r#"{{"id":"hall:{name}","status":"{status}"}}"#);
        let three = Some(three).filter(|it| !it.is_empty()).map(|it| seat("3", it));
        let seats = three.into_iter().chain([seat("4", "SOLD"), seat("odd", "BLOCKED")]);
        format!("[{}]", seats.collect::<Vec<_>>().join(","))
    };
    assert_eq!(rig.seats(), shown("RESERVED"));
    // Other holds of the map end as they do.
    rig.passes(5_000);
    assert_eq!(rig.seats(), shown(""));
    drop(rig);

    // It is still what it was.
    let found: Vec<_> = read(&scratch.0).unwrap().filter_map(Result::err).collect();
    assert!(matches!(&found[..], [StoreError::Seat { ticket, .. }] if ticket.as_str() == "hall:odd"), "{found:?}");
}

#[test]
fn a_command_that_the_rules_cannot_judge_is_given_up_and_its_map_goes_on() {
    let scratch = Scratch::new("odd-command");
    let mut rig = Rig::at(&scratch.0, START);
    rig.is_given_up("/Ticket/hall:panics/reserve", HOLD);
    rig.is_done("/Ticket/hall:1/reserve", HOLD);
    // A checkout waits, and asks again.
    let order = r#"{"ticketIds":["hall:2","hall:panics"],"userId":"ann"}"#;
    let (status, _, _) = rig.asks("/Checkout/process", order);
    assert_eq!((status, rig.alarms), (202, 2));
    rig.passes(60_000);
    assert_eq!(rig.alarms, 3);
    assert_eq!(rig.seats(), "[]");
    rig.is_done("/Checkout/process", r#"{"ticketId":"hall:2","userId":"bob"}"#);
    assert_eq!(rig.seats(), r#"[{"id":"hall:2","status":"SOLD"}]"#);
}
