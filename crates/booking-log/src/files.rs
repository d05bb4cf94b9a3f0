//! The files of a data directory: what they are called, what each says of itself, and how they are read back.
//!
//! ```text
//!  store.json   what this directory is, and how far it had come at least when a log was begun, or it was closed
//!  base.<n>     everything as it was after commit n, in the order of its keys
//!  log.<n>      the commits after n, up to those of the next log; the last one is written to
//! ```

use std::cmp::Ordering;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use booking_core::format::{self, Format, FormatError};
use serde::{Deserialize, Serialize};

use crate::disk::{Disk, Folder, LOCK};
use crate::frame::{Chain, Frame, Frames, Kind, Stop, entries};

/// Why a data directory cannot be used. Everything in it stays as it is.
#[non_exhaustive]
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
    #[error("{path} is not empty, and no data directory: {what} is in it", path = .path.display())]
    Foreign {
        /// Which directory.
        path: PathBuf,
        /// What is in it.
        what: String,
    },
    /// A copy needs a directory of its own.
    #[error("{path} is not empty: {what} is in it", path = .path.display())]
    NotEmpty {
        /// Which directory.
        path: PathBuf,
        /// What is in it.
        what: String,
    },
    /// There is no such directory, or nothing was ever stored in it.
    #[error("{path} has nothing stored in it", path = .0.display())]
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
    /// It has come further than its files say.
    #[error("{path} had commit {number} in it, and has not: something is missing. Nothing was changed; restore it from a \
             copy", path = .path.display())]
    Less {
        /// Which directory.
        path: PathBuf,
        /// The commit.
        number: u64,
    },
}

impl DirectoryError {
    /// What a disk says of one of its files.
    pub(crate) fn io(disk: &dyn Disk, name: &str) -> impl FnOnce(io::Error) -> Self {
        let path = disk.path().join(name);
        |error| {
            if error.kind() == io::ErrorKind::NotFound { Self::Missing(path) } else { Self::Io { path, error } }
        }
    }
}

/// What the directory is: the text of `store.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marker {
    /// Told apart from other directories by this, so that no file of one is taken for a file of another.
    pub(crate) id: String,
    /// What has to be there.
    pub(crate) reached: Reached,
}

/// How far a directory has come: a place in one of its logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reached {
    /// The number of the last commit before that log.
    pub(crate) log: u64,
    /// The number of the last commit up to that place.
    pub(crate) number: u64,
    /// What the frame after that place is bound to.
    pub(crate) chain: u32,
}

impl Format for Marker {
    const NAME: &'static str = "data directory";
    const VERSION: u32 = 1;
}

/// What a file says of itself: the payload of its first frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The directory's id.
    pub(crate) store: String,
    /// What it is.
    pub(crate) is: Role,
}

impl Format for Head {
    const NAME: &'static str = "data file";
    const VERSION: u32 = 1;
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Role {
    /// The commits after this one.
    Log {
        /// Its number.
        after: u64,
    },
    /// Everything as it was after a commit.
    Base {
        /// Its number.
        upto: u64,
        /// What the log that continues from there is bound to.
        chain: u32,
    },
}

pub(crate) const MARKER: &str = "store.json";

/// What ends the name of a file that is still being written.
pub(crate) const UNFINISHED: &str = ".tmp";

pub(crate) fn log_name(after: u64) -> String {
    format!("log.{after:020}")
}

pub(crate) fn base_name(upto: u64) -> String {
    format!("base.{upto:020}")
}

/// What is in a directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) has_marker: bool,
    /// The numbers that logs begin after.
    pub(crate) logs: Vec<u64>,
    /// The numbers that bases go up to.
    pub(crate) bases: Vec<u64>,
    /// Files that were not finished.
    pub(crate) unfinished: Vec<String>,
    /// A file that no data directory has. It is left alone.
    pub(crate) foreign: Option<String>,
}

impl Listing {
    pub(crate) fn of(disk: &dyn Disk) -> io::Result<Self> {
        let mut listing = Self::default();
        for name in disk.list()? {
            // As we write it, and no other way.
            let number = |prefix: &str, name: fn(u64) -> String, of: &str| {
                let number = of.strip_prefix(prefix)?.parse().ok()?;
                (name(number) == of).then_some(number)
            };
            let finished = name.strip_suffix(UNFINISHED);
            if name == MARKER {
                listing.has_marker = true;
            } else if let Some(after) = number("log.", log_name, &name) {
                listing.logs.push(after);
            } else if let Some(upto) = number("base.", base_name, &name) {
                listing.bases.push(upto);
            } else if finished.is_some_and(|name| name == MARKER || number("base.", base_name, name).is_some()) {
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

impl Listing {
    /// One of its files, if there is any.
    pub(crate) fn anything(&self) -> Option<String> {
        let marker = self.has_marker.then(|| MARKER.to_owned());
        let log = || self.logs.first().map(|after| log_name(*after));
        let base = || self.bases.first().map(|upto| base_name(*upto));
        let others = || self.unfinished.first().or(self.foreign.as_ref()).cloned();
        marker.or_else(log).or_else(base).or_else(others)
    }
}

/// A name for a directory that no other has.
pub(crate) fn new_id() -> io::Result<String> {
    let mut chance = [0; 16];
    getrandom::fill(&mut chance).map_err(io::Error::other)?;
    Ok(format!("{:032x}", u128::from_le_bytes(chance)))
}

/// The file that says what a directory is.
pub(crate) fn read_marker(disk: &dyn Disk) -> Result<Marker, DirectoryError> {
    let mut bytes = Vec::new();
    let read = disk.read(MARKER).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(DirectoryError::io(disk, MARKER))?;
    format::read(&bytes).map_err(|why| DirectoryError::Format { path: disk.path().join(MARKER), why })
}

/// A file of frames, open for reading.
pub(crate) struct Reading {
    pub(crate) path: PathBuf,
    pub(crate) frames: Frames<Box<dyn Read + Send>>,
    pub(crate) head: Role,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("path", &self.path).field("head", &self.head).finish_non_exhaustive()
    }
}

impl Reading {
    /// Opens a file and reads what it says of itself. `None` for one whose first frame, which says that, is torn.
    pub(crate) fn open(
        disk: &dyn Disk,
        name: &str,
        store: &str,
        (chain, number): (Chain, u64),
    ) -> Result<Option<Self>, DirectoryError> {
        let path = disk.path().join(name);
        let io = || DirectoryError::io(disk, name);
        let mut frames = Frames::new(disk.read(name).map_err(io())?, Some(chain), number);
        let damaged = |why| DirectoryError::Damaged { path: path.clone(), at: 0, why };
        let frame = match frames.next_frame().map_err(io())? {
            Ok(frame) if frame.kind == Kind::Head => frame,
            Ok(_) => return Err(damaged("it does not begin as a data file does")),
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

    pub(crate) fn damaged(&self, why: &'static str) -> DirectoryError {
        DirectoryError::Damaged { path: self.path.clone(), at: self.frames.at(), why }
    }

    pub(crate) fn next(&mut self) -> Result<Result<Frame, Stop>, DirectoryError> {
        let path = self.path.clone();
        self.frames.next_frame().map_err(|error| DirectoryError::Io { path, error })
    }
}

/// What logs say was stored under each key at last: a value, or that there is none any more.
#[derive(Debug, Default)]
pub(crate) struct Latest {
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

/// What was read of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogRead {
    /// The number of the last commit before it.
    pub(crate) after: u64,
    /// How long its whole frames are.
    pub(crate) length: u64,
    /// What the frame after them is bound to.
    pub(crate) chain: Chain,
    /// Its last commit.
    pub(crate) number: u64,
    /// Whether something behind that is not whole.
    pub(crate) is_torn: bool,
}

/// Reads a log to its end, and takes what it says. Whether the directory has come as far as it says is found out on the
/// way.
fn read_log(
    mut log: Reading,
    after: u64,
    latest: &mut Latest,
    has_reached: &mut impl FnMut(u64, u64, Chain),
) -> Result<LogRead, DirectoryError> {
    let mut number = after;
    loop {
        has_reached(after, number, log.frames.chain());
        let frame = match log.next()? {
            Ok(frame) => frame,
            Err(Stop::Damaged(why)) => return Err(log.damaged(why)),
            Err(stop @ (Stop::End | Stop::Torn)) => {
                let (length, chain) = (log.frames.at(), log.frames.chain());
                return Ok(LogRead { after, length, chain, number, is_torn: stop == Stop::Torn });
            }
        };
        if frame.kind != Kind::Commit {
            return Err(log.damaged("it has something in it that no log has"));
        }
        if frame.number != number + 1 {
            return Err(log.damaged("commits are missing"));
        }
        number = frame.number;
        latest.add(frame.payload).ok_or_else(|| log.damaged("a commit cannot be read"))?;
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
    /// Moves to the next entry.
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

/// Everything that a directory has, in the order of its keys. The base is read from the disk when its turn comes; what came after it is
/// in memory.
#[derive(Debug)]
pub struct Entries {
    base: Option<BaseEntries>,
    latest: Latest,
    /// Which of the latest is next.
    next: usize,
    /// Where the current entry is.
    current: Current,
    directory: PathBuf,
}

/// A key, and the value that stands under it.
pub type Stored<'a> = (&'a [u8], &'a [u8]);

#[derive(Clone, Copy, Debug)]
enum Current {
    NotBegun,
    InBase,
    InLatest,
}

impl Entries {
    pub(crate) fn new(directory: PathBuf, base: Option<Reading>, latest: Latest) -> Result<Self, DirectoryError> {
        let begin = |file| BaseEntries { file, payload: Vec::new(), current: None, next: 0, count: 0, is_over: false };
        let mut base = base.map(begin);
        base.as_mut().map_or(Ok(()), BaseEntries::advance)?;
        Ok(Self { base, latest: latest.sorted(), next: 0, current: Current::NotBegun, directory })
    }

    /// Moves to the next entry, and shows its key and its value; `None` when there are no more. Not an iterator, as each is shown where it
    /// was read.
    ///
    /// # Errors
    /// [`DirectoryError`]. Do not ask again then: what would come is not defined.
    pub fn next_entry(&mut self) -> Result<Option<Stored<'_>>, DirectoryError> {
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

    /// Where the last entry was read, for an error: a file, or the directory where it is not known in which log.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        match (self.current, &self.base) {
            (Current::InBase, Some(base)) => base.file.path.clone(),
            (Current::InBase | Current::InLatest | Current::NotBegun, _) => self.directory.clone(),
        }
    }
}

/// A directory, read to its end; but for the base, which is read when it is wanted.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) marker: Marker,
    /// The base, if there is one: which commit it goes up to.
    pub(crate) base: Option<u64>,
    pub(crate) entries: Entries,
    /// The logs, in order; the last is the one to continue.
    pub(crate) logs: Vec<LogRead>,
    /// What newer files have made superfluous, and what was begun and never used.
    pub(crate) leftover: Vec<String>,
}

/// Which logs are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upto {
    /// All of them.
    TheEnd,
    /// Those up to this commit, which is the end of one.
    Commit(u64),
}

impl Found {
    /// Reads a directory that has a marker. Nothing is changed.
    pub(crate) fn of(disk: &dyn Disk, listing: &Listing, upto: Upto) -> Result<Self, DirectoryError> {
        let marker = read_marker(disk)?;
        let base = listing.bases.last().copied();
        let from = base.unwrap_or(0);
        let mut leftover: Vec<String> = listing.unfinished.clone();
        leftover.extend(listing.bases.iter().filter(|upto| **upto < from).map(|upto| base_name(*upto)));
        leftover.extend(listing.logs.iter().filter(|after| **after < from).map(|after| log_name(*after)));
        let (file, chain) = open_base(disk, &marker.id, base)?;
        let reached = marker.reached;
        let mut has_reached = reached.log < from;
        let mut reach = |log: u64, number: u64, chain: Chain| {
            has_reached |= (log, number, chain.0) == (reached.log, reached.number, reached.chain);
        };
        let mut latest = Latest::default();
        let mut logs: Vec<LogRead> = Vec::new();
        for after in listing.logs.iter().filter(|after| **after >= from && !upto.is_before(**after)) {
            let (number, chain, was_torn) =
                logs.last().map_or((from, chain, false), |log| (log.number, log.chain, log.is_torn));
            let name = log_name(*after);
            let continues = *after == number && !was_torn;
            let log = if continues { open_log(disk, &marker.id, *after, chain)? } else { None };
            match log {
                Some(log) => logs.push(read_log(log, *after, &mut latest, &mut reach)?),
                // A log that could not be begun, for want of room or as a crash came, has nothing in it. The log before
                // it continues.
                None if *after > from && *after != reached.log && is_unused(disk, *after)? => leftover.push(name),
                None if *after > number => return Err(DirectoryError::Missing(disk.path().join(log_name(number)))),
                None => {
                    let why = "it does not go on where the one before it ends";
                    return Err(DirectoryError::Damaged { path: disk.path().join(name), at: 0, why });
                }
            }
        }
        if logs.is_empty() {
            return Err(DirectoryError::Missing(disk.path().join(log_name(from))));
        }
        if !has_reached && upto == Upto::TheEnd {
            return Err(DirectoryError::Less { path: disk.path(), number: reached.number });
        }
        Ok(Self { marker, base, entries: Entries::new(disk.path(), file, latest)?, logs, leftover })
    }
}

impl Upto {
    /// Whether it ends before a log that begins after this commit.
    fn is_before(self, after: u64) -> bool {
        match self {
            Self::TheEnd => false,
            Self::Commit(upto) => after >= upto,
        }
    }
}

/// Opens the base, if there is one. What the first log is bound to comes with it.
fn open_base(disk: &dyn Disk, id: &str, upto: Option<u64>) -> Result<(Option<Reading>, Chain), DirectoryError> {
    let Some(upto) = upto else { return Ok((None, Chain::default())) };
    let name = base_name(upto);
    let damaged = |why| DirectoryError::Damaged { path: disk.path().join(&name), at: 0, why };
    let base = Reading::open(disk, &name, id, (Chain::default(), 0))?;
    let base = base.ok_or_else(|| damaged("its beginning is missing"))?;
    match base.head {
        Role::Base { upto: says, chain } if says == upto => Ok((Some(base), Chain(chain))),
        Role::Base { .. } | Role::Log { .. } => Err(damaged("it has another's name")),
    }
}

/// Opens a log that continues after these commits. `None` for one that was never begun.
fn open_log(disk: &dyn Disk, id: &str, after: u64, chain: Chain) -> Result<Option<Reading>, DirectoryError> {
    let log = Reading::open(disk, &log_name(after), id, (chain, after))?;
    if let Some(log) = &log
        && log.head != (Role::Log { after })
    {
        return Err(log.damaged("it has another's name"));
    }
    Ok(log)
}

/// Whether there is no commit in a log: nothing, something torn, or its head alone.
pub(crate) fn is_unused(disk: &dyn Disk, after: u64) -> Result<bool, DirectoryError> {
    let name = log_name(after);
    let io = || DirectoryError::io(disk, &name);
    let mut frames = Frames::new(disk.read(&name).map_err(io())?, None, after);
    Ok(match frames.next_frame().map_err(io())? {
        Ok(frame) => {
            frame.kind == Kind::Head && matches!(frames.next_frame().map_err(io())?, Err(Stop::End | Stop::Torn))
        }
        Err(stop) => matches!(stop, Stop::End | Stop::Torn),
    })
}

/// How often a directory that is written to meanwhile is looked at again.
const LOOKS: u32 = 20;

/// Reads everything of a directory, of which another process may be the owner, as it was at one moment: after some
/// commit. Nothing is changed.
///
/// # Errors
/// [`DirectoryError`].
pub fn read(directory: &Path) -> Result<Entries, DirectoryError> {
    find(directory).map(|found| found.entries)
}

/// The same, with what its files say of themselves.
pub(crate) fn find(directory: &Path) -> Result<Found, DirectoryError> {
    let folder = Folder(directory.to_owned());
    let mut looks = 0;
    loop {
        let was_in_use = is_in_use(directory);
        match find_once(&folder) {
            // The owner has replaced a file by a newer one since the listing, or has continued one.
            Err(DirectoryError::Missing(_) | DirectoryError::Damaged { .. } | DirectoryError::Less { .. })
                if looks < LOOKS && (was_in_use || is_in_use(directory)) =>
            {
                looks += 1;
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            found => return found,
        }
    }
}

fn find_once(disk: &dyn Disk) -> Result<Found, DirectoryError> {
    let path = disk.path();
    let listing = match Listing::of(disk) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(DirectoryError::Nothing(path)),
        listing => listing.map_err(DirectoryError::io(disk, ""))?,
    };
    if !listing.has_marker {
        return Err(match listing.foreign {
            Some(what) => DirectoryError::Foreign { path, what },
            None if listing.logs.is_empty() && listing.bases.is_empty() => DirectoryError::Nothing(path),
            None => DirectoryError::Missing(path.join(MARKER)),
        });
    }
    Found::of(disk, &listing, Upto::TheEnd)
}

/// Whether anybody has the directory now.
#[must_use]
pub fn is_in_use(directory: &Path) -> bool {
    Folder(directory.to_owned()).is_locked()
}
