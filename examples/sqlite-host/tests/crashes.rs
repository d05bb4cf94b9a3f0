//! The host is crashed at every boundary: in one process by the kit of the core, and as a real process that dies.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use booking_core::ids::HoldId;
use booking_core::payment::Ledger;
use booking_core::prelude::*;
use booking_core::testing::host::{Host, Outside, Stored, Trial};
use rusqlite::Connection;
use sqlite_host::{Ports, Result, SqliteHost};

/// A directory that goes when the test is over.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("sqlite-host-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn database(&self) -> PathBuf {
        self.0.join("shop.db")
    }

    fn open(&self) -> Connection {
        let db = Connection::open(self.database()).unwrap();
        // The process dies in these tests, not the machine.
        db.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY").unwrap();
        db
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _left_if_it_cannot_be_removed = std::fs::remove_dir_all(&self.0);
    }
}

struct World(Outside);

impl Ports for World {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
    fn pay(&self, payment: &Payment) -> Result<PaymentAnswer> {
        Ok(self.0.pay(payment)?)
    }
    fn notify(&self, message: &Notification) -> Result<bool> {
        Ok(self.0.notify(message)?)
    }
    fn boundary(&self) -> Result<()> {
        Ok(self.0.boundary()?)
    }
}

struct Tried(SqliteHost<World>);

impl Host for Tried {
    type Disk = Directory;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn start(disk: &Directory, outside: Outside) -> Result<Self> {
        SqliteHost::open(disk.open(), World(outside), Terms::default()).map(Self)
    }
    fn process(&mut self, id: CheckoutId, order: Order) -> Result<()> {
        self.0.process(id, order)
    }
    fn run_due(&mut self) -> Result<Option<Timestamp>> {
        self.0.run_due()
    }
    fn stored(&self) -> Result<Stored> {
        let mut stored = Stored::default();
        let (maps, checkouts) = self.0.names()?;
        for key in maps {
            stored.maps.insert(key.clone(), self.0.map(&key)?);
        }
        for id in checkouts {
            let record = self.0.checkout(&id)?.unwrap();
            stored.checkouts.insert(id, record.checkout().clone());
        }
        Ok(stored)
    }
}

#[test]
fn it_stands_a_crash_at_every_boundary() {
    let trial = Trial { second: vec![0, 3], ..Trial::default() };
    let report = trial.run::<Tried>(Directory::new).unwrap_or_else(|failed| panic!("{failed}"));
    assert_eq!(report.coverage.missing(), Vec::<&str>::new(), "{report:?}");
    assert!(report.crashes > 500, "{report:?}");
}

/// Runs the program; whether it came to its end, and what it said.
fn run(database: &Path, die_after: Option<u32>) -> (bool, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_sqlite-host"));
    program.arg(database).stderr(Stdio::null());
    if let Some(boundaries) = die_after {
        program.args(["--die-after", &boundaries.to_string()]);
    }
    let output = program.output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

/// How often the gateway has taken money.
fn captured(directory: &Directory) -> usize {
    let gateway = Connection::open(directory.database().with_extension("gateway")).unwrap();
    let json: String = gateway.query_one("SELECT json FROM ledger", [], |row| row.get(0)).unwrap();
    let ledger: Ledger = serde_json::from_str(&json).unwrap();
    ledger.accounts().filter(|(_, account)| account.captured.is_some()).count()
}

#[test]
fn the_program_dies_anywhere_and_the_next_one_goes_on() {
    let mut deaths = 0;
    loop {
        let directory = Directory::new();
        let (ended, _) = run(&directory.database(), Some(deaths));
        if ended {
            break;
        }
        deaths += 1;
        let (ended, said) = run(&directory.database(), None);
        assert!(ended, "after {deaths}: {said}");
        assert!(said.contains("arena:A:12: Sold"), "after {deaths}: {said}");
        assert_eq!(said.matches("Completed").count(), 1, "after {deaths}: {said}");
        assert_eq!(captured(&directory), 1, "after {deaths}: money was taken more or less than once");
    }
    assert!(deaths > 15, "only {deaths} places to die");
}

#[test]
fn it_says_how_it_is_used() {
    for arguments in [vec![], vec!["--help"], vec!["shop.db", "--die-after", "soon"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_sqlite-host")).args(arguments).output().unwrap();
        assert!(!output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains("usage: sqlite-host DATABASE"));
    }
}

type Time = Rc<Cell<Timestamp>>;

struct Clock(Time);

impl Ports for Clock {
    fn now(&self) -> Timestamp {
        self.0.get()
    }
    fn pay(&self, payment: &Payment) -> Result<PaymentAnswer> {
        let Ok(answer) = booking_core::turn(&mut Ledger::default(), payment, self.now()).stored();
        Ok(answer)
    }
    fn notify(&self, _: &Notification) -> Result<bool> {
        Ok(true)
    }
}

fn at_a_million(directory: &Directory) -> (SqliteHost<Clock>, Time) {
    let time = Rc::new(Cell::new(Timestamp::from_millis(1_000_000)));
    (SqliteHost::open(directory.open(), Clock(time.clone()), Terms::default()).unwrap(), time)
}

fn order(seat: &str, buyer: &str) -> Order {
    let seats = vec![seat.parse().unwrap()];
    Order::new(seats, buyer.parse().unwrap(), "card_decline".parse().unwrap(), None).unwrap()
}

#[test]
fn an_order_is_one_checkout_and_another_order_is_not_taken_for_it() {
    let directory = Directory::new();
    let (mut host, _) = at_a_million(&directory);
    let id: CheckoutId = "c-1".parse().unwrap();
    host.process(id.clone(), order("hall:1", "ann")).unwrap();
    host.process(id.clone(), order("hall:1", "ann")).unwrap();
    assert!(host.process(id, order("hall:1", "bob")).unwrap_err().to_string().contains("another order"));
}

#[test]
fn what_cannot_be_read_keeps_nothing_else_from_its_end() {
    let directory = Directory::new();
    let (mut host, time) = at_a_million(&directory);
    for (n, seat) in ["hall:1", "hall:2"].into_iter().enumerate() {
        host.process(format!("c-{n}").parse().unwrap(), order(seat, "ann")).unwrap();
        let reserve = TicketCall::Reserve { user: "bob".parse().unwrap(), hold: None, nth: None, ttl: None };
        let door = AtTheDoor::new(&Terms::default(), time.get(), HoldId::from_random(n as u128));
        let seat = format!("club:{n}").parse().unwrap();
        host.ask(&"club".parse().unwrap(), MapCall::Seat(seat, reserve, door)).unwrap();
    }
    let broken =
        "UPDATE checkouts SET record = '{' WHERE id = 'c-0'; UPDATE parts SET value = '{' WHERE name = 'club:0'";
    directory.open().execute_batch(broken).unwrap();
    while let Some(due) = host.run_due().unwrap().filter(|due| *due < Timestamp::from_millis(3_000_000)) {
        time.set(due.max(time.get()));
    }
    assert!(host.checkout(&"c-0".parse().unwrap()).is_err(), "it is kept as it is, for a person to look at");
    assert!(host.checkout(&"c-1".parse().unwrap()).unwrap().unwrap().ended().is_some());
    let left: i64 = directory
        .open()
        .query_one("SELECT count(*) FROM parts WHERE map = 'club' AND kind = 'seat'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 1, "the hold of the other seat has ended");
}

#[test]
fn two_processes_share_a_database() {
    let directory = Directory::new();
    let database = directory.database();
    let start = || {
        let mut program = Command::new(env!("CARGO_BIN_EXE_sqlite-host"));
        program.arg(&database).stdout(Stdio::piped()).spawn().unwrap()
    };
    for said in [start(), start()].map(|program| program.wait_with_output().unwrap()) {
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(said.contains("arena:A:12: Sold") && !said.contains("error:"), "{said}");
    }
    assert_eq!(captured(&directory), 1, "money was taken more or less than once");
}

#[test]
fn a_hold_ends_by_the_column_that_says_when_it_is_due() {
    let directory = Directory::new();
    let (mut host, time) = at_a_million(&directory);
    let key = MapKey::parse("hall").unwrap();
    let reserve = TicketCall::Reserve { user: "ann".parse().unwrap(), hold: None, nth: None, ttl: None };
    let door = AtTheDoor::new(&Terms::default(), time.get(), HoldId::from_random(7));
    let answer = host.ask(&key, MapCall::Seat("hall:1".parse().unwrap(), reserve, door)).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let due = host.run_due().unwrap().unwrap();
    assert_eq!(due, time.get().plus(Terms::default().hold_ttl.length()));
    time.set(due);
    assert_eq!(host.run_due().unwrap(), None);
    assert_eq!(host.map(&key).unwrap().header().tickets, 0);
}
