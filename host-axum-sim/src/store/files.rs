//! The files of a data directory: what they are called, what each says of itself, and how they are read back.
//!
//! ```text
//!  store.json   what this directory is; the last file to be made
//!  lock         held by whoever writes
//!  base.<n>     everything as it was after commit n, in the order of its keys
//!  log.<n>      the commits after n; sealed when the next log is begun, and only the last one is written to
//! ```

use std::cmp::Ordering;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use booking_core::format::{self, Format, FormatError};
use serde::{Deserialize, Serialize};

use super::Record;
use super::frame::{Chain, Frame, Frames, Kind, Stop, append, entries};

/// Why a data directory cannot be used. Whatever is in it stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The disk says no.
    #[error("{path}: {error}", path = .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another process has it.
    #[error("{path} is in use by another process", path = .0.display())]
    InUse(PathBuf),
    /// There is something else in it.
    #[error("{path} is not empty, and no directory of bookings: {what} is in it", path = .path.display())]
    Foreign {
        /// Which directory.
        path: PathBuf,
        /// What is in it.
        what: String,
    },
    /// There are no bookings in it.
    #[error("{path} has no bookings in it", path = .0.display())]
    Nothing(PathBuf),
    /// It was written by a build that this one does not understand.
    #[error("{path}: {why}", path = .path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: FormatError,
    },
    /// A file is not as it was written.
    #[error("{path} is damaged at byte {at}: {why}. Nothing was changed; restore it from a copy", path = .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where.
        at: u64,
        /// How that is seen.
        why: &'static str,
    },
    /// A file is not there.
    #[error("{path} is missing. Nothing was changed; restore it from a copy", path = .0.display())]
    Missing(PathBuf),
}

impl DirectoryError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |error| Self::Io { path, error }
    }
}

/// What the directory is: the text of `store.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    /// Told apart from other directories by this, so that no file of one is taken for a file of another.
    pub(super) id: String,
}

impl Format for Marker {
    const NAME: &'static str = "directory of bookings";
    const VERSION: u32 = 1;
}

/// What a file says of itself: the payload of its first frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The directory's id.
    pub(super) store: String,
    /// What it is.
    pub(super) is: Role,
}

impl Format for Head {
    const NAME: &'static str = "file of bookings";
    const VERSION: u32 = 1;
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Role {
    /// The commits after this one.
    Log {
        /// Its number.
        after: u64,
    },
    /// Everything as it was after a commit.
    Base {
        /// Its number.
        upto: u64,
        /// What the log that goes on from there is bound to.
        chain: u32,
    },
}

pub(super) const MARKER: &str = "store.json";
pub(super) const LOCK: &str = "lock";

/// What ends the name of a file that is still being written.
pub(super) const UNFINISHED: &str = ".tmp";

pub(super) fn log_name(after: u64) -> String {
    format!("log.{after:020}")
}

pub(super) fn base_name(upto: u64) -> String {
    format!("base.{upto:020}")
}

/// What is in a directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    pub(super) has_marker: bool,
    /// The numbers that logs begin after.
    pub(super) logs: Vec<u64>,
    /// The numbers that bases go up to.
    pub(super) bases: Vec<u64>,
    /// Files that were not finished.
    pub(super) unfinished: Vec<String>,
    /// What is none of ours.
    pub(super) foreign: Option<String>,
}

impl Listing {
    pub(super) fn of(directory: &Path) -> io::Result<Self> {
        let mut listing = Self::default();
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let number = |prefix: &str| name.strip_prefix(prefix).and_then(|number| number.parse::<u64>().ok());
            if name == MARKER {
                listing.has_marker = true;
            } else if let Some(after) = number("log.") {
                listing.logs.push(after);
            } else if let Some(upto) = number("base.") {
                listing.bases.push(upto);
            } else if name.ends_with(UNFINISHED) {
                listing.unfinished.push(name);
            } else if name != LOCK && name != "lost+found" {
                listing.foreign = Some(name);
            }
        }
        listing.logs.sort_unstable();
        listing.bases.sort_unstable();
        Ok(listing)
    }
}

/// The file that says what a directory is.
pub(super) fn read_marker(directory: &Path) -> Result<Marker, DirectoryError> {
    let path = directory.join(MARKER);
    let bytes = fs::read(&path).map_err(DirectoryError::io(&path))?;
    format::read(&bytes).map_err(|why| DirectoryError::Format { path, why })
}

/// A file of frames, open for reading.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) path: PathBuf,
    pub(super) frames: Frames<BufReader<File>>,
    pub(super) head: Role,
}

impl Reading {
    /// Opens a file and reads what it says of itself. `None` for one that is torn before that is told.
    pub(super) fn open(path: PathBuf, store: &str, chain: Option<Chain>) -> Result<Option<Self>, DirectoryError> {
        let file = File::open(&path).map_err(|error| {
            let path = path.clone();
            if error.kind() == io::ErrorKind::NotFound {
                DirectoryError::Missing(path)
            } else {
                DirectoryError::Io { path, error }
            }
        })?;
        let mut frames = Frames::new(BufReader::with_capacity(1 << 18, file), chain);
        let damaged = |why| DirectoryError::Damaged { path: path.clone(), at: 0, why };
        let frame = match frames.next().map_err(DirectoryError::io(&path))? {
            Ok(frame) if frame.kind == Kind::Head => frame,
            Ok(_) => return Err(damaged("it does not begin as a file of bookings does")),
            Err(Stop::Damaged(why)) => return Err(damaged(why)),
            Err(Stop::End | Stop::Torn) => return Ok(None),
        };
        let head: Head =
            format::read(&frame.payload).map_err(|why| DirectoryError::Format { path: path.clone(), why })?;
        if head.store != store {
            return Err(damaged("it belongs to another directory"));
        }
        Ok(Some(Self { path, frames, head: head.is }))
    }

    pub(super) fn damaged(&self, why: &'static str) -> DirectoryError {
        DirectoryError::Damaged { path: self.path.clone(), at: self.frames.at(), why }
    }

    pub(super) fn next(&mut self) -> Result<Result<Frame, Stop>, DirectoryError> {
        self.frames.next().map_err(DirectoryError::io(&self.path))
    }
}

/// What logs say was stored under each key at last: a value, or that there is none any more.
#[derive(Debug, Default)]
pub(super) struct Latest {
    /// The commits, as they were read: millions of small things are not copied one by one.
    payloads: Vec<Vec<u8>>,
    /// Where in them each entry is; in the order of the keys, one for each, once they are [sorted](Latest::sorted).
    entries: Vec<Place>,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug)]
struct Place {
    payload: u32,
    /// Where its key begins; its value follows.
    at: u32,
    key: u32,
    value: Option<u32>,
}

impl Latest {
    /// Takes a commit, which is newer than all before it; `None` where it cannot be read.
    fn add(&mut self, payload: Vec<u8>) -> Option<()> {
        let narrow = |length: usize| u32::try_from(length).ok();
        let (index, mut at) = (narrow(self.payloads.len())?, 0);
        for entry in entries(&payload) {
            let (key, value) = entry?;
            let value = value.map(|value| narrow(value.len()));
            let value = if let Some(length) = value { Some(length?) } else { None };
            let (key, begins) = (narrow(key.len())?, narrow(at + 8)?);
            self.entries.push(Place { payload: index, at: begins, key, value });
            at += 8 + key as usize + value.unwrap_or(0) as usize;
        }
        self.payloads.push(payload);
        Some(())
    }

    /// In the order of the keys, with what is newest of each.
    fn sorted(mut self) -> Self {
        let Self { payloads, entries } = &mut self;
        let key = |place: &Place| {
            let at = place.at as usize;
            &payloads[place.payload as usize][at..at + place.key as usize]
        };
        // Those of one key stay in the order in which they came.
        entries.sort_by(|one, other| key(one).cmp(key(other)));
        // Of two that are neighbours the later one is kept.
        entries.reverse();
        entries.dedup_by(|one, newer| key(one) == key(newer));
        entries.reverse();
        self
    }

    /// One of its entries; `None` behind the last.
    fn get(&self, index: usize) -> Option<(&[u8], Option<&[u8]>)> {
        let place = self.entries.get(index)?;
        let rest = &self.payloads[place.payload as usize][place.at as usize..];
        let (key, rest) = rest.split_at(place.key as usize);
        Some((key, place.value.map(|length| &rest[..length as usize])))
    }
}

/// How a log ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogEnd {
    /// There is one that goes on.
    Sealed,
    /// It is the last one. Some of it may be torn.
    Open {
        /// Whether the last frame was not whole.
        torn: bool,
    },
}

/// What was read of a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogRead {
    pub(super) end: LogEnd,
    /// How long its whole frames are.
    pub(super) length: u64,
    /// What goes on after it is bound to.
    pub(super) chain: Chain,
    /// Its last commit.
    pub(super) number: u64,
}

/// Reads a log to its end, and takes what it says.
pub(super) fn read_log(mut log: Reading, mut number: u64, latest: &mut Latest) -> Result<LogRead, DirectoryError> {
    let mut end = LogEnd::Open { torn: false };
    loop {
        let frame = match log.next()? {
            Ok(_) if end == LogEnd::Sealed => return Err(log.damaged("it goes on behind its end")),
            Ok(frame) => frame,
            Err(Stop::Damaged(why)) => return Err(log.damaged(why)),
            Err(Stop::Torn) if end == LogEnd::Sealed => return Err(log.damaged("it goes on behind its end")),
            Err(stop) => {
                if stop == Stop::Torn {
                    end = LogEnd::Open { torn: true };
                }
                let (length, chain) = (log.frames.at(), log.frames.chain());
                return Ok(LogRead { end, length, chain, number });
            }
        };
        match frame.kind {
            Kind::Commit if frame.number == number + 1 => number += 1,
            Kind::Sealed if frame.number == number => end = LogEnd::Sealed,
            Kind::Closed if frame.number == number => {}
            Kind::Commit | Kind::Sealed | Kind::Closed => return Err(log.damaged("commits are missing")),
            Kind::Head | Kind::End => return Err(log.damaged("it has something in it that no log has")),
        }
        if frame.kind == Kind::Commit {
            latest.add(frame.payload).ok_or_else(|| log.damaged("a commit cannot be read"))?;
        }
    }
}

/// A base, read entry by entry.
#[derive(Debug)]
struct BaseEntries {
    file: Reading,
    payload: Vec<u8>,
    /// Where the current entry's key begins in it, how long that is, and how long its value is.
    current: Option<(usize, usize, usize)>,
    /// Where the next entry begins.
    next: usize,
    count: u64,
    is_over: bool,
}

impl BaseEntries {
    /// Goes on to the next entry.
    fn advance(&mut self) -> Result<(), DirectoryError> {
        self.current = None;
        while self.next >= self.payload.len() {
            if self.is_over {
                return Ok(());
            }
            match self.file.next()? {
                Ok(Frame { kind: Kind::Commit, payload, .. }) => (self.payload, self.next) = (payload, 0),
                Ok(Frame { kind: Kind::End, payload, .. }) => {
                    if payload != self.count.to_le_bytes() {
                        return Err(self.file.damaged("something of it is missing"));
                    }
                    self.is_over = true;
                }
                Ok(_) => return Err(self.file.damaged("it has something in it that no base has")),
                Err(Stop::Damaged(why)) => return Err(self.file.damaged(why)),
                // It was whole before it got its name.
                Err(Stop::End | Stop::Torn) => return Err(self.file.damaged("its end is missing")),
            }
        }
        let Some(Some((key, Some(value)))) = entries(&self.payload[self.next..]).next() else {
            return Err(self.file.damaged("an entry cannot be read"));
        };
        let (at, key, value) = (self.next + 8, key.len(), value.len());
        self.current = Some((at, key, value));
        self.next = at + key + value;
        self.count += 1;
        Ok(())
    }

    fn get(&self) -> Option<Stored<'_>> {
        let (at, key, value) = self.current?;
        Some(self.payload[at..at + key + value].split_at(key))
    }
}

/// Everything that is stored, in the order of its keys: of a base, and of what came after it.
#[derive(Debug)]
pub(super) struct Everything {
    base: Option<BaseEntries>,
    latest: Latest,
    /// Which of the latest is next.
    next: usize,
    /// Where the current entry is.
    current: Current,
}

/// Something that is stored, and its key before it.
pub(super) type Stored<'a> = (&'a [u8], &'a [u8]);

#[derive(Clone, Copy, Debug)]
enum Current {
    NotBegun,
    InBase,
    InLatest,
}

impl Everything {
    pub(super) fn new(base: Option<Reading>, latest: Latest) -> Result<Self, DirectoryError> {
        let begin = |file| BaseEntries { file, payload: Vec::new(), current: None, next: 0, count: 0, is_over: false };
        let mut base = base.map(begin);
        base.as_mut().map_or(Ok(()), BaseEntries::advance)?;
        Ok(Self { base, latest: latest.sorted(), next: 0, current: Current::NotBegun })
    }

    /// Goes on to the next entry, and shows it; `None` when there are no more.
    pub(super) fn next(&mut self) -> Result<Option<Stored<'_>>, DirectoryError> {
        match self.current {
            Current::NotBegun => {}
            Current::InBase => self.advance_base()?,
            Current::InLatest => self.next += 1,
        }
        loop {
            let old = self.base.as_ref().and_then(BaseEntries::get).map(|(key, _)| key);
            let Some((key, value)) = self.latest.get(self.next) else {
                self.current = Current::InBase;
                return Ok(self.base.as_ref().and_then(BaseEntries::get));
            };
            match old.map(|old| old.cmp(key)) {
                Some(Ordering::Less) => {
                    self.current = Current::InBase;
                    return Ok(self.base.as_ref().and_then(BaseEntries::get));
                }
                // What came later takes its place.
                Some(Ordering::Equal) => self.advance_base()?,
                Some(Ordering::Greater) | None if value.is_some() => {
                    self.current = Current::InLatest;
                    return Ok(self.latest.get(self.next).and_then(|(key, value)| Some((key, value?))));
                }
                Some(Ordering::Greater) | None => self.next += 1,
            }
        }
    }

    fn advance_base(&mut self) -> Result<(), DirectoryError> {
        self.base.as_mut().map_or(Ok(()), BaseEntries::advance)
    }

    /// Where it reads, for an error.
    fn path(&self) -> PathBuf {
        self.base.as_ref().map_or_else(PathBuf::new, |base| base.file.path.clone())
    }
}

/// Everything that is stored, as records.
#[derive(Debug)]
pub struct Records(pub(super) Everything);

impl Records {
    fn read(&mut self) -> Result<Option<Record>, DirectoryError> {
        let Some((key, value)) = self.0.next()? else { return Ok(None) };
        let record: Result<Record, FormatError> = format::read(value);
        let is_its_own = record.as_ref().is_ok_and(|record| record.key() == key);
        match record {
            Ok(record) if is_its_own => Ok(Some(record)),
            Ok(_) => {
                let why = "a record stands under another's key";
                Err(DirectoryError::Damaged { path: self.0.path(), at: 0, why })
            }
            Err(why) => Err(DirectoryError::Format { path: self.0.path(), why }),
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record, DirectoryError>;
    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// The logs that go on from a base, and the base: what a directory is read from.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) marker: Marker,
    pub(super) base: Option<u64>,
    /// In order. The first goes on where the base ends.
    pub(super) logs: Vec<u64>,
    /// Logs and bases that newer bases have made superfluous.
    pub(super) leftover: Vec<String>,
}

impl Found {
    /// Finds out what a directory that has a marker is to be read from.
    pub(super) fn of(directory: &Path, listing: &Listing) -> Result<Self, DirectoryError> {
        let marker = read_marker(directory)?;
        let base = listing.bases.last().copied();
        let from = base.unwrap_or(0);
        let (old, logs): (Vec<u64>, Vec<u64>) = listing.logs.iter().partition(|after| **after < from);
        let older = listing.bases.iter().filter(|upto| **upto < from).map(|upto| base_name(*upto));
        let leftover = older.chain(old.into_iter().map(log_name)).collect();
        if logs.first() != Some(&from) {
            return Err(DirectoryError::Missing(directory.join(log_name(from))));
        }
        Ok(Self { marker, base, logs, leftover })
    }

    /// Opens the base, if there is one. What the first log is bound to comes with it.
    pub(super) fn open_base(&self, directory: &Path) -> Result<(Option<Reading>, Chain), DirectoryError> {
        let Some(upto) = self.base else { return Ok((None, Chain::default())) };
        let path = directory.join(base_name(upto));
        let damaged = |why| DirectoryError::Damaged { path: path.clone(), at: 0, why };
        let base = Reading::open(path.clone(), &self.marker.id, Some(Chain::default()))?;
        let base = base.ok_or_else(|| damaged("its beginning is missing"))?;
        match base.head {
            Role::Base { upto: says, chain } if says == upto => Ok((Some(base), Chain(chain))),
            Role::Base { .. } | Role::Log { .. } => Err(damaged("it has another's name")),
        }
    }

    /// Sees that a log which comes after one that is not sealed, and has this number and chain at its end, was only just
    /// begun when a crash came.
    pub(super) fn is_not_begun(
        &self,
        directory: &Path,
        after: u64,
        number: u64,
        chain: Chain,
    ) -> Result<(), DirectoryError> {
        let mut sealed = chain;
        append(&mut Vec::new(), &mut sealed, Kind::Sealed, number, |_| {});
        let is_empty = match self.open_log(directory, after, sealed) {
            Ok(None) => true,
            Ok(Some(mut log)) => log.next()? == Err(Stop::End),
            Err(_) => false,
        };
        if is_empty && after == number && self.logs.last() == Some(&after) {
            return Ok(());
        }
        let why = "the log before it is not sealed";
        Err(DirectoryError::Damaged { path: directory.join(log_name(after)), at: 0, why })
    }

    /// Opens a log that goes on after these commits. `None` for one that was never begun.
    pub(super) fn open_log(
        &self,
        directory: &Path,
        after: u64,
        chain: Chain,
    ) -> Result<Option<Reading>, DirectoryError> {
        let log = Reading::open(directory.join(log_name(after)), &self.marker.id, Some(chain))?;
        if let Some(log) = &log
            && log.head != (Role::Log { after })
        {
            return Err(log.damaged("it has another's name"));
        }
        Ok(log)
    }
}

pub(super) fn no_beginning(path: PathBuf) -> DirectoryError {
    DirectoryError::Damaged { path, at: 0, why: "its beginning is missing" }
}

/// How often a directory that is written to meanwhile is looked at again.
const LOOKS: u32 = 20;

/// Reads everything of a directory, of which another process may be the owner, as it was at one moment: after some
/// commit.
///
/// # Errors
/// [`DirectoryError`].
pub fn read(directory: &Path) -> Result<Records, DirectoryError> {
    let mut looks = 0;
    loop {
        match read_once(directory) {
            // A file that was there a moment ago has given way to a newer one, or one goes on that did not.
            Err(DirectoryError::Missing(_) | DirectoryError::Damaged { .. })
                if looks < LOOKS && is_in_use(directory) =>
            {
                looks += 1;
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            read => return read,
        }
    }
}

fn read_once(directory: &Path) -> Result<Records, DirectoryError> {
    let listing = match Listing::of(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(DirectoryError::Nothing(directory.to_owned())),
        listing => listing.map_err(DirectoryError::io(directory)),
    }?;
    if !listing.has_marker {
        return Err(match listing.foreign {
            Some(what) => DirectoryError::Foreign { path: directory.to_owned(), what },
            None => DirectoryError::Nothing(directory.to_owned()),
        });
    }
    let found = Found::of(directory, &listing)?;
    let (base, mut chain) = found.open_base(directory)?;
    let (mut latest, mut end, mut number) = (Latest::default(), LogEnd::Sealed, found.base.unwrap_or(0));
    for after in &found.logs {
        if end != LogEnd::Sealed {
            // The next one has just been begun; nothing may be in it yet.
            found.is_not_begun(directory, *after, number, chain)?;
            break;
        }
        let log = found.open_log(directory, *after, chain)?;
        let log = log.ok_or_else(|| no_beginning(directory.join(log_name(*after))))?;
        let read = read_log(log, number, &mut latest)?;
        (end, chain, number) = (read.end, read.chain, read.number);
    }
    if end == LogEnd::Sealed {
        return Err(DirectoryError::Missing(directory.join(log_name(number))));
    }
    Ok(Records(Everything::new(base, latest)?))
}

/// Whether anybody has the directory now.
#[must_use]
pub fn is_in_use(directory: &Path) -> bool {
    File::open(directory.join(LOCK)).is_ok_and(|lock| matches!(lock.try_lock(), Err(fs::TryLockError::WouldBlock)))
}
