//! How the in-process host's own log compares with the embedded stores that one would take off the shelf: fjall, redb and
//! SQLite ([`peers/stores.rs`](benches::peers::stores) says how each is set).
//!
//! `cargo bench -p benches --bench stores`: records of real bookings, on the same disk, taking turns.
//!
//! 1. Commits: some bookings at a time, one sync for all of them; several rounds, medians.
//! 2. Start: a store that was closed is opened and all of its records are read; several rounds, medians. Its files are in
//!    memory already, as far as the system keeps them there.
//! 3. Damage: the files of a store, with a bit altered or one of them missing. It is opened and read in a process of its
//!    own, which may not come back from that. What the store gives back and the form of a record does not allow counts as
//!    refused, so that is not all the store's own merit.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use benches::peers::stores::Kind;
use benches::rows::{cpu_of, is_bench, say};
use booking_core::dice::Dice;
use booking_core::format;
use booking_core::time::{Millis, Timestamp};
use booking_core::wire::{Door, parse};
use host_axum_sim::engine::{Caller, Engine, Fresh, Gateway, Input, Limits, Output, Request, Settings};
use host_axum_sim::store::{LOG_BYTES, Record, Store};

/// How much is measured.
#[derive(Clone, Copy)]
struct Much {
    /// Bookings at a time, and how many times a round.
    commits: &'static [(usize, usize)],
    /// How many rounds, after one that is not counted.
    rounds: usize,
    /// Bookings that a store starts with.
    kept: usize,
    /// How many starts.
    starts: usize,
    /// Bookings in a store that is damaged.
    damaged: usize,
    /// How many times a bit of it is altered, in each state that it may be in.
    bits: usize,
}

const BENCH: Much =
    Much { commits: &[(1, 400), (8, 400), (64, 200)], rounds: 5, kept: 125_000, starts: 3, damaged: 512, bits: 300 };
const TEST: Much = Much { commits: &[(1, 4), (8, 2), (64, 1)], rounds: 1, kept: 100, starts: 1, damaged: 64, bits: 4 };

/// What a booking is kept for, where none is to be forgotten.
const A_DAY: Millis = Millis(24 * 60 * 60 * 1_000);

/// Bookings, one after the other, each of a seat of its own and a millisecond after the last. They are the same each time.
struct Bookings {
    engine: Engine,
    dice: Dice,
    now: Timestamp,
    next: u64,
}

impl Bookings {
    /// Those that are over are forgotten after this time.
    fn new(keep_for: Millis) -> Self {
        let settings = Settings {
            gateway: Gateway::Mock { delay: Millis(0) },
            keep_for,
            limits: Limits { kept_bytes: 8 << 30, tickets: 50_000_000, ..Limits::default() },
            ..Settings::default()
        };
        let now = Timestamp::from_millis(1_700_000_000_000);
        Self { engine: Engine::new(settings), dice: Dice::new(1), now, next: 0 }
    }

    /// What is to be stored of as many more, in one commit.
    fn commit(&mut self, count: usize) -> Vec<Record> {
        let mut records = Vec::new();
        for _ in 0..count {
            let n = self.next;
            (self.next, self.now) = (n + 1, self.now.plus(Millis(1)));
            if self.engine.wake_at().is_some_and(|at| at <= self.now) {
                self.hand(Input::Tick, &mut records);
            }
            let body = format!(r#"{{"ticketId":"arena-{}:{}","userId":"user-{n}"}}"#, n / 1_000, n % 1_000);
            let call = parse(Door::Public, "POST", "/Checkout/process", body.as_bytes()).expect("it is a good request");
            let fresh = Fresh(u128::from(self.dice.draw()) << 64 | u128::from(self.dice.draw()));
            self.hand(Input::Call(Caller(n), Request { call, key: None, fresh, audit: None }), &mut records);
        }
        records
    }

    fn hand(&mut self, input: Input, records: &mut Vec<Record>) {
        let mut stored = Some(input);
        while let Some(input) = stored.take() {
            self.engine.handle(input, self.now);
            while let Some(output) = self.engine.poll() {
                match output {
                    Output::Store(seq, more) => {
                        records.extend(more);
                        stored = Some(Input::Stored(seq));
                    }
                    Output::Answer(_, answer) => assert_eq!(answer.status, 200, "every seat is free"),
                    Output::Watching(..)
                    | Output::Plan(..)
                    | Output::Bookings(..)
                    | Output::News(..)
                    | Output::Pay(..)
                    | Output::Deliver(_)
                    | Output::Seen(..)
                    | Output::Filled(_)
                    | Output::Alarm(_) => {}
                }
            }
        }
    }
}

/// A folder of its own on a disk, gone with this: what is temporary may be kept in memory, where nothing is ever flushed.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Self(PathBuf::from(format!("/var/tmp/booking-bench-{}-{name}", std::process::id())))
    }

    /// What its files take on the disk, holes in them aside.
    fn bytes(&self) -> io::Result<u64> {
        let mut bytes = 0;
        for (path, is_file) in listed(&self.0)? {
            bytes += if is_file { taken(&fs::metadata(self.0.join(path))?) } else { 0 };
        }
        Ok(bytes)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _as_it_is = fs::remove_dir_all(&self.0);
    }
}

#[cfg(unix)]
fn taken(file: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(file) * 512
}

#[cfg(not(unix))]
fn taken(file: &fs::Metadata) -> u64 {
    file.len()
}

/// All that is in a folder, in order and by its path from there, and whether it is a file; folders before what is in them.
fn listed(folder: &Path) -> io::Result<BTreeMap<PathBuf, bool>> {
    let (mut all, mut open) = (BTreeMap::new(), vec![PathBuf::new()]);
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(folder.join(&path))? {
            let entry = entry?;
            let is_file = !entry.file_type()?.is_dir();
            let path = path.join(entry.file_name());
            if !is_file {
                open.push(path.clone());
            }
            all.insert(path, is_file);
        }
    }
    Ok(all)
}

/// Opens a store that is to be new.
fn make(kind: Kind, folder: &Folder, log_bytes: u64) -> io::Result<Box<dyn Store>> {
    kind.open(&folder.0, log_bytes, &mut |_| unreachable!("nothing was written yet"))
}

fn median(mut all: Vec<u64>) -> u64 {
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Thousandths, with the point where it belongs.
fn thousandths(count: u64) -> String {
    format!("{}.{:02}", count / 1_000, count % 1_000 / 10)
}

fn mebibytes(bytes: u64) -> String {
    thousandths(bytes.saturating_mul(1_000) >> 20)
}

/// What one store did in its turns.
struct Row {
    kind: Kind,
    store: Box<dyn Store>,
    folder: Folder,
    /// Microseconds of each commit, round by round.
    rounds: Vec<Vec<u64>>,
    cpu: Duration,
}

impl Row {
    fn new(kind: Kind) -> io::Result<Self> {
        let folder = Folder::new(&format!("commits-{}", kind.name()));
        let store = make(kind, &folder, LOG_BYTES)?;
        Ok(Self { kind, store, folder, rounds: Vec::new(), cpu: Duration::ZERO })
    }

    fn turn(&mut self, commits: &[Vec<Record>]) -> io::Result<()> {
        let cpu = cpu_of(std::process::id());
        let mut round = Vec::with_capacity(commits.len());
        for records in commits {
            let start = Instant::now();
            self.store.write(records)?;
            round.push(micros(start.elapsed()));
        }
        self.cpu += cpu_of(std::process::id()).saturating_sub(cpu);
        self.rounds.push(round);
        Ok(())
    }

    fn tell(&self, at_a_time: usize, commits: usize, records: u64) -> io::Result<()> {
        let a_second = |things: u64| {
            median(self.rounds.iter().map(|round| things * 1_000_000 / round.iter().sum::<u64>().max(1)).collect())
        };
        let part = |of_a_hundred: usize| {
            let of = |round: &Vec<u64>| {
                let mut round = round.clone();
                round.sort_unstable();
                round.get(round.len() * of_a_hundred / 100).copied().unwrap_or_default()
            };
            thousandths(median(self.rounds.iter().map(of).collect()))
        };
        let a_round = records / self.rounds.len() as u64;
        say(&format!(
            "{:14} {at_a_time:9} {:10} {:10} {:>8} {:>8} {:>14} {:>12}",
            self.kind.name(),
            a_second((at_a_time * commits) as u64),
            a_second(a_round),
            part(50),
            part(99),
            thousandths(micros(self.cpu) * 1_000 / records.max(1)),
            mebibytes(self.folder.bytes()?),
        ));
        Ok(())
    }
}

fn commits(much: Much) -> io::Result<()> {
    say("commits, each synced");
    say("                 at once bookings/s  records/s   p50 ms   p99 ms  µs CPU/record  MiB on disk");
    for &(at_a_time, count) in much.commits {
        let mut bookings = Bookings::new(A_DAY);
        let mut rows = Kind::ALL.into_iter().map(Row::new).collect::<io::Result<Vec<_>>>()?;
        let mut records = 0;
        for round in 0..=much.rounds {
            let commits: Vec<Vec<Record>> = (0..count).map(|_| bookings.commit(at_a_time)).collect();
            for turn in 0..rows.len() {
                let which = (round + turn) % rows.len();
                rows[which].turn(&commits)?;
            }
            if round == 0 {
                // What is warm is measured.
                rows.iter_mut().for_each(|row| (row.rounds, row.cpu) = (Vec::new(), Duration::ZERO));
            } else {
                records += commits.iter().map(|records| records.len() as u64).sum::<u64>();
            }
        }
        rows.iter().try_for_each(|row| row.tell(at_a_time, count, records))?;
    }
    Ok(())
}

/// How many bookings go into a commit where only what comes of it counts.
const MANY: usize = 2_048;

fn starts(much: Much) -> io::Result<()> {
    let mut folders = Vec::new();
    for kind in Kind::ALL {
        let folder = Folder::new(&format!("start-{}", kind.name()));
        let (mut bookings, mut store) = (Bookings::new(A_DAY), make(kind, &folder, LOG_BYTES)?);
        for from in (0..much.kept).step_by(MANY) {
            store.write(&bookings.commit(MANY.min(much.kept - from)))?;
        }
        folders.push((kind, folder, Vec::new()));
    }
    let mut counts = Vec::new();
    for _ in 0..much.starts {
        for (kind, folder, times) in &mut folders {
            let (mut count, start) = (0_u64, Instant::now());
            let store = kind.open(&folder.0, LOG_BYTES, &mut |record| {
                black_box(record);
                count += 1;
            })?;
            times.push(micros(start.elapsed()));
            counts.push(count);
            drop(store);
        }
    }
    let count = counts.first().copied().unwrap_or_default();
    if counts.iter().any(|other| *other != count) || count == 0 {
        return Err(io::Error::other(format!("they do not give back the same: {counts:?} records")));
    }
    say(&format!("a start with {count} records"));
    say("                        s  MiB on disk");
    for (kind, folder, times) in folders {
        let seconds = thousandths(median(times) / 1_000);
        say(&format!("{:14} {seconds:>10} {:>12}", kind.name(), mebibytes(folder.bytes()?)));
    }
    Ok(())
}

/// How many bookings go into a commit of a store that is damaged.
const AT_A_TIME: usize = 8;

/// How a store is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not closed, and nothing was made of its log yet.
    Young,
    /// Not closed either, with a log so short that everything is there that a store makes of one.
    Grown,
    /// The same, closed.
    Closed,
}

impl State {
    const ALL: [Self; 3] = [Self::Young, Self::Grown, Self::Closed];

    const fn name(self) -> &'static str {
        match self {
            Self::Young => "not closed, all of it in its log if it has one",
            Self::Grown => "not closed, its log short",
            Self::Closed => "closed, its log short",
        }
    }

    /// How long its log gets.
    const fn log_bytes(self, bookings: usize) -> u64 {
        match self {
            Self::Young => LOG_BYTES,
            Self::Grown | Self::Closed => bookings as u64 * 512,
        }
    }
}

/// What comes of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// An error, and nothing was started.
    Refused,
    /// A panic, an abort, too much memory or too much time.
    Crashed,
    /// All that was written is there.
    Whole,
    /// All but the last commit: as after a crash while that was written.
    Torn,
    /// What was there some commits ago, as if that were all.
    Earlier,
    /// What was never there.
    Other,
}

impl End {
    const ALL: [Self; 6] = [Self::Refused, Self::Crashed, Self::Whole, Self::Torn, Self::Earlier, Self::Other];

    /// What a process says that has found out: nothing that one says which has crashed.
    fn code(self) -> u8 {
        let place = Self::ALL.iter().position(|end| *end == self);
        place.and_then(|place| u8::try_from(place).ok()).map_or(1, |place| 40 + place)
    }

    fn of(code: Option<i32>) -> Self {
        Self::ALL.into_iter().find(|end| code == Some(end.code().into())).unwrap_or(Self::Crashed)
    }
}

/// What a process is to open, if it was started for that: store, bookings in it, how long its log gets, folder.
const OPEN: &str = "BOOKING_BENCH_OPEN";

/// If this process was started to open a store: opens it, and compares what is in it with what was written.
fn open_if_asked() -> Option<End> {
    let asked = std::env::var(OPEN).ok()?;
    let mut asked = asked.splitn(4, ' ');
    let kind = asked.next().and_then(|name| Kind::ALL.into_iter().find(|kind| kind.name() == name))?;
    let (bookings, log_bytes) = (asked.next()?.parse().ok()?, asked.next()?.parse().ok()?);
    let mut found = BTreeMap::new();
    let mut each = |record: Record| {
        found.insert(record.key(), format::write(&record));
    };
    let opened = kind.open(Path::new(asked.next()?), log_bytes, &mut each);
    Some(if opened.is_ok() { compared(bookings, &found) } else { End::Refused })
}

fn compared(bookings: usize, found: &BTreeMap<Vec<u8>, Vec<u8>>) -> End {
    let mut written = BTreeMap::new();
    // After how many commits it was as it is now.
    let mut same = found.is_empty().then_some(0);
    for (number, records) in (1..).zip(of_damaged(bookings)) {
        for record in records {
            if record.is_forgotten() {
                written.remove(&record.key());
            } else {
                written.insert(record.key(), format::write(&record));
            }
        }
        if written == *found {
            same = Some(number);
        }
    }
    let last = bookings / AT_A_TIME;
    match same {
        Some(commits) if commits == last => End::Whole,
        Some(commits) if commits + 1 == last => End::Torn,
        Some(_) => End::Earlier,
        None => End::Other,
    }
}

/// The commits of a store that is damaged. The first half of its bookings is forgotten by the end.
fn of_damaged(bookings: usize) -> impl Iterator<Item = Vec<Record>> {
    let mut all = Bookings::new(Millis(bookings as u64 / 2));
    (0..bookings / AT_A_TIME).map(move |_| all.commit(AT_A_TIME))
}

/// A file as it is found: all of it up to its last byte that is not zero, and how long it is. Some stores make theirs much
/// longer than what is in them.
#[derive(Clone, PartialEq, Eq)]
struct Found {
    bytes: Vec<u8>,
    length: u64,
}

/// What is found when the machine stops here: all files by their paths; `None` for a folder.
type Files = BTreeMap<PathBuf, Option<Found>>;

fn found(folder: &Path) -> io::Result<Files> {
    let read = |(path, is_file): (PathBuf, bool)| {
        let file = is_file.then(|| fs::read(folder.join(&path))).transpose()?;
        let file = file.map(|mut bytes| {
            let length = bytes.len() as u64;
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
            Found { bytes, length }
        });
        Ok((path, file))
    };
    listed(folder)?.into_iter().map(read).collect()
}

/// The same, once nothing is done in the background any more.
fn at_rest(folder: &Path) -> io::Result<Files> {
    let mut last = None;
    loop {
        // Files may go while they are looked at.
        let now = found(folder).ok();
        if let (Some(files), true) = (&now, now == last) {
            return Ok(files.clone());
        }
        last = now;
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// Puts these files into a folder of their own, opens the store that is in it, and says what came of it.
fn tried(kind: Kind, bookings: usize, log_bytes: u64, files: &Files) -> io::Result<End> {
    let folder = Folder::new("damaged");
    fs::create_dir_all(&folder.0)?;
    for (path, file) in files {
        let path = folder.0.join(path);
        match file {
            None => fs::create_dir(path)?,
            Some(found) => {
                fs::write(&path, &found.bytes)?;
                fs::OpenOptions::new().write(true).open(&path)?.set_len(found.length)?;
            }
        }
    }
    // What is altered may be how much memory is asked for.
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -v 4194304 && exec \"$0\""])
        .arg(std::env::current_exe()?)
        .env(OPEN, format!("{} {bookings} {log_bytes} {}", kind.name(), folder.0.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        if let Some(status) = child.try_wait()? {
            return Ok(End::of(status.code()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill()?;
    child.wait()?;
    Ok(End::Crashed)
}

fn count(ends: &[End], end: End) -> usize {
    ends.iter().filter(|other| **other == end).count()
}

/// Tells what came of one kind of damage to one store.
fn tell(kind: Kind, what: &str, ends: &[End]) {
    let [refused, crashed, whole, torn, earlier, other] = End::ALL.map(|end| count(ends, end));
    say(&format!(
        "{:14} {what:14} {:6} {refused:8} {crashed:8} {whole:10} {torn:16} {earlier:14} {other:9}",
        kind.name(),
        ends.len()
    ));
}

fn damage(much: Much, state: State) -> io::Result<()> {
    let (bookings, log_bytes) = (much.damaged, state.log_bytes(much.damaged));
    say(&format!("damage to a store with {bookings} bookings: {}", state.name()));
    say("                               times  refused  crashed  all there  but last commit  some time ago  never so");
    for kind in Kind::ALL {
        let folder = Folder::new(&format!("damage-{}", kind.name()));
        let mut store = make(kind, &folder, log_bytes)?;
        of_damaged(bookings).try_for_each(|records| store.write(&records))?;
        let open = (state != State::Closed).then_some(store);
        let files = at_rest(&folder.0)?;
        drop(open);
        let undamaged = tried(kind, bookings, log_bytes, &files)?;
        if undamaged != End::Whole {
            return Err(io::Error::other(format!("{}, undamaged: {undamaged:?}", kind.name())));
        }
        let mut dice = Dice::new(7);
        let bits = (0..much.bits).map(|_| tried(kind, bookings, log_bytes, &altered(&files, &mut dice)));
        let bits = bits.collect::<io::Result<Vec<_>>>()?;
        tell(kind, "a bit altered", &bits);
        let missing = files.iter().filter(|(_, file)| file.is_some()).map(|(path, _)| {
            let mut files = files.clone();
            files.remove(path);
            tried(kind, bookings, log_bytes, &files)
        });
        let missing = missing.collect::<io::Result<Vec<_>>>()?;
        tell(kind, "a file missing", &missing);
        let silent = |ends: &[End]| count(ends, End::Earlier) + count(ends, End::Other);
        if kind == Kind::Ours && silent(&bits) + silent(&missing) > 0 {
            return Err(io::Error::other("ours was damaged, and it was started with what was not so"));
        }
    }
    Ok(())
}

/// The same files with one bit altered, any bit of any of them being as likely as any other.
fn altered(files: &Files, dice: &mut Dice) -> Files {
    let mut files = files.clone();
    let all: usize = files.values().flatten().map(|found| found.bytes.len()).sum();
    let mut at = dice.below(all);
    for found in files.values_mut().flatten() {
        match found.bytes.get_mut(at) {
            Some(byte) => {
                *byte ^= 1 << dice.below(8);
                break;
            }
            None => at -= found.bytes.len(),
        }
    }
    files
}

fn measure(much: Much) -> io::Result<()> {
    commits(much)?;
    starts(much)?;
    State::ALL.into_iter().try_for_each(|state| damage(much, state))
}

fn main() -> ExitCode {
    if let Some(end) = open_if_asked() {
        return ExitCode::from(end.code());
    }
    match measure(if is_bench() { BENCH } else { TEST }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}
