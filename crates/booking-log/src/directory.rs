//! A data directory, open for writing: a log that grows by a frame for each commit, and what keeps it from growing for
//! ever.
//!
//! ```text
//!  commit ──▶ log.n ──(large enough)──▶ log.m is begun
//!                                         └─(enough of them)──▶ base.m, on a thread; log.n and the last base go
//! ```
//!
//! At most one frame is under way at a time, so a crash tears at most that one, of which nobody was told.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use booking_core::format;

use crate::disk::{Disk, Folder, Lock, Output};
use crate::files::{
    DirectoryError, Entries, Found, Head, Latest, Listing, LogRead, MARKER, Marker, Reached, Role, UNFINISHED, Upto,
    base_name, is_unused, log_name, new_id, read_marker,
};
use crate::frame::{Chain, Kind, LONGEST, append, put};
use crate::is_for_want_of_room;

/// How large a log gets, in bytes, before the next one is begun.
pub const LOG_BYTES: u64 = 64 << 20;

/// How large the frames of a base are, more or less.
const BASE_FRAME: usize = 1 << 20;

/// How large logs get at most, all together, before they are made into a base: they are in memory meanwhile.
const MOST_LOGS: u64 = 512 << 20;

/// How many times as large as is worth a base logs may get while one is made.
const FAR_BEHIND: u64 = 4;

/// How long a commit waits for a base, and how often.
const WAIT: Duration = Duration::from_millis(5);
const WAITS: u32 = 1_000;

/// How often opening tries to lock a directory: a process that only looks whether it is in use locks it for a moment.
const TRIES: u32 = 10;

/// A data directory, open for writing. Nobody else can open it meanwhile.
#[derive(Debug)]
pub struct Directory {
    disk: Arc<dyn Disk>,
    id: String,
    log_bytes: u64,
    log: Log,
    /// Logs that are not written to any more, the oldest first, and how long they are.
    full: Vec<(u64, u64)>,
    /// The base that the oldest log continues from, and how long it is.
    base: Option<(u64, u64)>,
    /// What is to go once everything was read, and before anything is written.
    leftover: Option<Vec<String>>,
    compaction: Option<Compaction>,
    /// How long full logs may get before they are made into a base.
    worth_it: u64,
    /// Whether that is done at once, and not on a thread.
    at_once: bool,
    frame: Vec<u8>,
    /// Given up last, when this is dropped.
    _lock: Option<Lock>,
}

/// The log that is written to.
#[derive(Debug)]
pub(crate) struct Log {
    file: Box<dyn Output>,
    /// The number of the last commit before it.
    after: u64,
    /// How long its whole frames are. What may be there behind them is cut off before anything is written.
    length: u64,
    is_torn: bool,
    chain: Chain,
    /// The number of the last commit.
    number: u64,
}

#[derive(Debug)]
struct Compaction {
    thread: JoinHandle<io::Result<u64>>,
    upto: u64,
    stop: Arc<AtomicBool>,
}

/// What was found when a directory was opened.
#[derive(Debug)]
pub struct Opened {
    /// The directory, to write to. Nothing in it is changed before it is [settled](Directory::settle), at the first commit
    /// at the latest.
    pub directory: Directory,
    /// What is stored in it. To be read to its end before anything is written.
    pub entries: Entries,
    /// How many bytes of a commit that was under way are cut off. Nobody was told of it.
    pub torn: u64,
    /// Whether it was made just now.
    pub is_new: bool,
}

impl Directory {
    /// Opens a directory, or makes one where there is nothing yet.
    ///
    /// # Errors
    /// [`DirectoryError`]. Nothing was changed then, but that an empty file `lock` may be there.
    pub fn open(path: &Path, log_bytes: u64) -> Result<Opened, DirectoryError> {
        let folder = Folder(path.to_owned());
        Folder::make(path).map_err(DirectoryError::io(&folder, ""))?;
        let listing = Listing::of(&folder).map_err(DirectoryError::io(&folder, ""))?;
        if let Some(what) = listing.foreign.filter(|_| !listing.has_marker) {
            return Err(DirectoryError::Foreign { path: path.to_owned(), what });
        }
        for _ in 0..TRIES {
            if let Some(lock) = folder.lock().map_err(DirectoryError::io(&folder, ""))? {
                return Self::open_on(Arc::new(folder), log_bytes, Some(lock), false);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(DirectoryError::InUse(path.to_owned()))
    }

    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        log_bytes: u64,
        lock: Option<Lock>,
        at_once: bool,
    ) -> Result<Opened, DirectoryError> {
        let listing = Listing::of(&*disk).map_err(DirectoryError::io(&*disk, ""))?;
        let mut opened = if listing.has_marker {
            Self::found(disk, log_bytes, &listing)?
        } else {
            Self::make(disk, log_bytes, listing)?
        };
        (opened.directory._lock, opened.directory.at_once) = (lock, at_once);
        Ok(opened)
    }

    fn make(disk: Arc<dyn Disk>, log_bytes: u64, listing: Listing) -> Result<Opened, DirectoryError> {
        let path = disk.path();
        if let Some(what) = listing.foreign {
            return Err(DirectoryError::Foreign { path, what });
        }
        // A first log that a crash has left behind before there was anything in it is all that may be there.
        for after in &listing.logs {
            if *after > 0 || !is_unused(&*disk, 0)? {
                return Err(DirectoryError::Missing(path.join(MARKER)));
            }
        }
        // Of a base that was begun a copy was to be made, which has not come to its end.
        if !listing.bases.is_empty() || listing.unfinished.iter().any(|name| !name.starts_with(MARKER)) {
            return Err(DirectoryError::Missing(path.join(MARKER)));
        }
        let io = || DirectoryError::io(&*disk, "");
        let id = new_id().map_err(io())?;
        let log = Log::begin(&*disk, &id, 0, Chain::default()).map_err(io())?;
        disk.sync().and_then(|()| disk.sync_own_name()).map_err(io())?;
        let directory = Self::of(disk, id, log_bytes, log);
        directory.mark().map_err(DirectoryError::io(&*directory.disk, MARKER))?;
        let entries = Entries::new(path, None, Latest::default())?;
        Ok(Opened { directory, entries, torn: 0, is_new: true })
    }

    fn of(disk: Arc<dyn Disk>, id: String, log_bytes: u64, log: Log) -> Self {
        Self {
            disk,
            id,
            log_bytes,
            log,
            full: Vec::new(),
            base: None,
            leftover: None,
            compaction: None,
            worth_it: log_bytes,
            at_once: false,
            frame: Vec::new(),
            _lock: None,
        }
    }

    fn found(disk: Arc<dyn Disk>, log_bytes: u64, listing: &Listing) -> Result<Opened, DirectoryError> {
        let Found { marker, base, entries, mut logs, leftover } = Found::of(&*disk, listing, Upto::TheEnd)?;
        let Some(last) = logs.pop() else { return Err(DirectoryError::Missing(disk.path())) };
        let length = |name: &str| disk.length(name).map_err(DirectoryError::io(&*disk, name));
        let base = base.map(|upto| Ok((upto, length(&base_name(upto))?))).transpose()?;
        let name = log_name(last.after);
        let torn = length(&name)?.saturating_sub(last.length);
        // What a process that was killed has written, and not synced, is shown from here on.
        let log = Log::reopen(&*disk, &last).and_then(|mut log| log.file.sync().map(|()| log));
        let log = log.and_then(|log| disk.sync().map(|()| log)).map_err(DirectoryError::io(&*disk, &name))?;
        let mut directory = Self::of(disk, marker.id, log_bytes, log);
        directory.full = logs.iter().map(|log| (log.after, log.length)).collect();
        (directory.base, directory.leftover) = (base, Some(leftover));
        directory.worth_it = directory.worth_it(base.map_or(0, |(_, length)| length));
        Ok(Opened { directory, entries, torn, is_new: false })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.disk.path()
    }

    /// How many bytes its files have.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.log.length + self.full_bytes() + self.base.map_or(0, |(_, length)| length)
    }

    /// How large logs get beside a base of this length before they are made into one.
    fn worth_it(&self, base: u64) -> u64 {
        base.min(MOST_LOGS).max(self.log_bytes)
    }

    fn full_bytes(&self) -> u64 {
        self.full.iter().map(|(_, length)| length).sum()
    }

    /// Writes down what this directory is, and how far it has come.
    fn mark(&self) -> io::Result<()> {
        self.log.mark(&*self.disk, &self.id)
    }

    /// Everything of it was read: what was seen to be superfluous goes. Done with the first commit as well.
    ///
    /// # Errors
    /// What the disk says.
    pub fn settle(&mut self) -> io::Result<()> {
        let Some(leftover) = self.leftover.take() else { return Ok(()) };
        for name in &leftover {
            if let Err(error) = self.disk.remove(name) {
                tracing::warn!(%error, name, "a file that is not needed any more stays");
            }
        }
        // From here on the log that it continues has to be there: the marker says so.
        match self.mark() {
            Err(error) if is_for_want_of_room(&error) => self.disk.sync(),
            marked => marked,
        }
    }

    /// Commits values under their keys, all of them or none; `None` removes what stands there. When this returns, they survive a loss of
    /// power. The next log is begun here, and old logs are made into a base, where it is time for that.
    ///
    /// Repeating a commit that failed does no harm, also where some of it was stored after all, and there may be more in it then.
    ///
    /// # Errors
    /// What the disk says. One that is [for want of room](is_for_want_of_room) may be tried again; any other is for good.
    pub fn commit<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        entries: impl IntoIterator<Item = (K, Option<V>)>,
    ) -> io::Result<()> {
        self.tidy()?;
        self.frame.clear();
        let (mut chain, number) = (self.log.chain, self.log.number + 1);
        append(&mut self.frame, &mut chain, Kind::Commit, number, |payload| {
            for (key, value) in entries {
                put(payload, (key.as_ref(), value.as_ref().map(AsRef::as_ref)));
            }
        });
        if self.frame.len() as u64 > u64::from(LONGEST) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a commit is larger than a log can hold"));
        }
        self.log.append(&self.frame)?;
        (self.log.chain, self.log.number) = (chain, number);
        Ok(())
    }

    /// Begins the next log.
    fn begin_next(&mut self) -> io::Result<()> {
        if self.log.is_torn {
            // Only the last log may be torn.
            self.log.mend()?;
            self.log.file.sync()?;
        }
        let (chain, number) = (self.log.chain, self.log.number);
        let next = Log::begin(&*self.disk, &self.id, number, chain)?;
        let synced = self.disk.sync();
        let full = std::mem::replace(&mut self.log, next);
        // From here on the next log has to be there.
        let was_synced = synced.is_ok();
        let marked = synced.and_then(|()| self.mark());
        let is_not = || read_marker(&*self.disk).is_ok_and(|marker| marker.reached.log != number);
        if was_synced && (marked.is_ok() || !is_not()) {
            // Whether that is there for good or not, the log is.
            self.full.push((full.after, full.length));
            return marked;
        }
        // There is nothing in the next one. Where it stays it is passed over.
        self.log = full;
        let _it_may_stay = self.disk.remove(&log_name(number)).and_then(|()| self.disk.sync());
        marked
    }

    /// Sees to the files, between two commits. That the next log cannot be begun for want of room fails no commit.
    fn tidy(&mut self) -> io::Result<()> {
        self.settle()?;
        if self.log.length >= self.log_bytes && self.log.number > self.log.after {
            match self.begin_next() {
                Err(error) if is_for_want_of_room(&error) => {
                    tracing::warn!(%error, "the next log could not be begun: this one grows on");
                }
                begun => begun?,
            }
        }
        self.wait_where_far_behind()?;
        if self.compaction.as_ref().is_some_and(|compaction| compaction.thread.is_finished()) {
            self.end_compaction();
        }
        if self.compaction.is_none() && self.full_bytes() >= self.worth_it {
            self.begin_compaction();
        }
        Ok(())
    }

    /// Where it is written faster than logs are made into a base, it waits; but not for long.
    fn wait_where_far_behind(&self) -> io::Result<()> {
        let Some(Compaction { thread, .. }) = &self.compaction else { return Ok(()) };
        if self.full_bytes() < self.worth_it.saturating_mul(FAR_BEHIND) {
            return Ok(());
        }
        for _ in 0..WAITS {
            if thread.is_finished() {
                return Ok(());
            }
            std::thread::sleep(WAIT);
        }
        Err(io::Error::new(io::ErrorKind::StorageFull, "old logs are still being made into a base"))
    }

    fn begin_compaction(&mut self) {
        let upto = self.log.after;
        let (disk, stop) = (Arc::clone(&self.disk), Arc::new(AtomicBool::new(false)));
        if self.at_once {
            let made = compact(&*disk, upto, &stop);
            return self.has_base(upto, made);
        }
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().spawn(move || compact(&*disk, upto, &stopped));
        match thread {
            Ok(thread) => self.compaction = Some(Compaction { thread, upto, stop }),
            Err(error) => self.has_base(upto, Err(error)),
        }
    }

    fn end_compaction(&mut self) {
        let Some(Compaction { thread, upto, .. }) = self.compaction.take() else { return };
        let made = thread.join().unwrap_or_else(|_| Err(io::Error::other("it has panicked")));
        self.has_base(upto, made);
    }

    fn has_base(&mut self, upto: u64, made: io::Result<u64>) {
        match made {
            Ok(length) => {
                self.full.retain(|(after, _)| *after >= upto);
                self.base = Some((upto, length));
                self.worth_it = self.worth_it(length);
            }
            Err(error) => {
                tracing::warn!(%error, "old logs could not be made into a base: they stay for now");
                // Not again with every commit.
                self.worth_it = self.full_bytes().saturating_add(self.log_bytes);
            }
        }
    }
}

impl Drop for Directory {
    /// Writes down how far it has come, so that at the next start nothing less will do.
    fn drop(&mut self) {
        if let Some(compaction) = &self.compaction {
            compaction.stop.store(true, Ordering::Relaxed);
        }
        self.end_compaction();
        // Who has not written has not changed anything, nor seen that all is well.
        if self.leftover.is_none()
            && let Err(error) = self.log.mend().and_then(|()| self.log.file.sync()).and_then(|()| self.mark())
        {
            tracing::warn!(%error, "the store could not be closed as it should: it is whole up to its last commit");
        }
    }
}

impl Log {
    /// Writes down what this directory is, and how far this log of it has come.
    pub(crate) fn mark(&self, disk: &dyn Disk, id: &str) -> io::Result<()> {
        let Self { after, number, chain, .. } = *self;
        let marker = Marker { id: id.to_owned(), reached: Reached { log: after, number, chain: chain.0 } };
        let unfinished = format!("{MARKER}{UNFINISHED}");
        let mut file = disk.create(&unfinished)?;
        file.append(&format::write(&marker))?;
        file.sync()?;
        disk.rename(&unfinished, MARKER)?;
        disk.sync()
    }

    /// Begins a log. One that was begun before, and never written to, is begun anew.
    pub(crate) fn begin(disk: &dyn Disk, id: &str, after: u64, chain: Chain) -> io::Result<Self> {
        let name = log_name(after);
        let mut log = Self { file: disk.create(&name)?, after, length: 0, is_torn: false, chain, number: after };
        let (mut frame, head) = (Vec::new(), Head { store: id.to_owned(), is: Role::Log { after } });
        append(&mut frame, &mut log.chain, Kind::Head, after, |payload| payload.extend(format::write(&head)));
        match log.append(&frame) {
            Ok(()) => Ok(log),
            Err(error) => {
                let _it_may_stay = disk.remove(&name);
                Err(error)
            }
        }
    }

    /// Opens a log to continue it. What is torn is cut off before anything is written.
    fn reopen(disk: &dyn Disk, read: &LogRead) -> io::Result<Self> {
        let LogRead { after, length, chain, number, .. } = *read;
        Ok(Self { file: disk.append_to(&log_name(after))?, after, length, is_torn: true, chain, number })
    }

    /// Cuts off what is there behind the last whole frame.
    fn mend(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file.cut(self.length)?;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Writes a frame, and syncs it.
    fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        self.mend()?;
        self.is_torn = true;
        self.file.append(frame)?;
        self.file.sync()?;
        self.is_torn = false;
        self.length += frame.len() as u64;
        Ok(())
    }
}

/// Makes a base of the last one and of the logs up to this commit; its length. They are gone then, or are passed over.
fn compact(disk: &dyn Disk, upto: u64, stop: &AtomicBool) -> io::Result<u64> {
    let listing = Listing::of(disk)?;
    let name = base_name(upto);
    if listing.bases.contains(&upto) {
        // It was made before, and what came then has failed.
        disk.sync()?;
        return disk.length(&name);
    }
    let found = Found::of(disk, &listing, Upto::Commit(upto)).map_err(io::Error::other)?;
    let last = found.logs.last().filter(|last| last.number == upto && !last.is_torn);
    let last = last.ok_or_else(|| io::Error::other("a full log does not end where the next one begins"))?;
    let head = Head { store: found.marker.id.clone(), is: Role::Base { upto, chain: last.chain.0 } };
    let unfinished = format!("{name}{UNFINISHED}");
    let length = match write_base(disk, &unfinished, &head, upto, found.entries, stop) {
        Ok(length) => length,
        Err(error) => {
            // It may be what is in the way of everything else.
            let _as_it_is = disk.remove(&unfinished);
            return Err(error);
        }
    };
    disk.rename(&unfinished, &name)?;
    disk.sync()?;
    // From here on the old files are superfluous, whether they go or not. The newest goes first: a log that stays after a
    // crash then still continues the file before it, or is older than the base.
    let logs = found.logs.iter().rev().map(|log| log_name(log.after));
    // What is unfinished may be about to be finished.
    let older = found.leftover.into_iter().filter(|name| !name.ends_with(UNFINISHED));
    for old in logs.chain(found.base.map(base_name)).chain(older) {
        if let Err(error) = disk.remove(&old) {
            tracing::warn!(%error, old, "a file that is not needed any more stays");
        }
    }
    let _they_may_come_back = disk.sync();
    Ok(length)
}

pub(crate) fn write_base(
    disk: &dyn Disk,
    name: &str,
    head: &Head,
    upto: u64,
    mut entries: Entries,
    stop: &AtomicBool,
) -> io::Result<u64> {
    let mut file = disk.create(name)?;
    let (mut frame, mut chain, mut length, mut count) = (Vec::new(), Chain::default(), 0, 0_u64);
    let mut write = |frame: &mut Vec<u8>| {
        file.append(frame)?;
        // Bit by bit, so that no commit has to wait for all of it at once.
        file.sync()?;
        length += frame.len() as u64;
        frame.clear();
        Ok::<_, io::Error>(())
    };
    append(&mut frame, &mut chain, Kind::Head, upto, |payload| payload.extend(format::write(head)));
    write(&mut frame)?;
    let mut payload = Vec::new();
    loop {
        let next = entries.next_entry().map_err(io::Error::other)?;
        let is_last = next.is_none();
        if let Some((key, value)) = next {
            put(&mut payload, (key, Some(value)));
            count += 1;
        }
        if (is_last && !payload.is_empty()) || payload.len() >= BASE_FRAME {
            append(&mut frame, &mut chain, Kind::Commit, upto, |out| out.append(&mut payload));
            write(&mut frame)?;
            if stop.load(Ordering::Relaxed) {
                return Err(io::Error::other("it was stopped"));
            }
        }
        if is_last {
            break;
        }
    }
    append(&mut frame, &mut chain, Kind::End, upto, |payload| payload.extend_from_slice(&count.to_le_bytes()));
    write(&mut frame)?;
    Ok(length)
}
