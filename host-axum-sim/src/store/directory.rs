//! A data directory, open for writing: a log that grows by a frame for each commit, and what keeps it from growing for
//! ever.
//!
//! ```text
//!  commit ──▶ log.n ──(large enough)──▶ sealed, log.m is begun
//!                                         └─(enough of them)──▶ base.m, on a thread; log.n and the last base go
//! ```
//!
//! At most one frame is under way at a time, so a crash tears at most that one, of which nobody was told.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use booking_core::format;

use super::files::{
    DirectoryError, Everything, Found, Head, LOCK, Latest, Listing, LogEnd, LogRead, MARKER, Marker, Records, Role,
    UNFINISHED, base_name, log_name, no_beginning, read_log,
};
use super::frame::{Chain, Kind, append, put};
use super::{Record, Store};

/// How large a log gets, in bytes, before the next one is begun.
pub const LOG_BYTES: u64 = 64 << 20;

/// How large the frames of a base are, more or less.
const BASE_FRAME: usize = 1 << 20;

/// A data directory, open for writing. Nobody else can open it meanwhile.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    id: String,
    log_bytes: u64,
    log: Log,
    /// Logs that are not written to any more, the oldest first, and how long they are.
    sealed: Vec<(u64, u64)>,
    /// The base that the oldest log goes on from, and how long it is.
    base: Option<(u64, u64)>,
    compaction: Option<Compaction>,
    frame: Vec<u8>,
    /// Given up last, when this is dropped.
    _lock: File,
}

/// The log that is written to.
#[derive(Debug)]
struct Log {
    file: File,
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
    /// The directory, to write to.
    pub directory: Directory,
    /// What is stored in it. To be read to its end before anything is written.
    pub records: Records,
    /// How many bytes of a commit that was under way were cut off. Nobody was told of it.
    pub torn: u64,
    /// Whether it was made just now.
    pub is_new: bool,
}

impl Directory {
    /// Opens a directory, or makes one where there is nothing yet.
    ///
    /// # Errors
    /// [`DirectoryError`]. Nothing was changed then, but for a lock that was taken and is given up.
    pub fn open(path: &Path, log_bytes: u64) -> Result<Opened, DirectoryError> {
        let io = || DirectoryError::io(path);
        fs::create_dir_all(path).map_err(io())?;
        let listing = Listing::of(path).map_err(io())?;
        if !listing.has_marker {
            // A first log that a crash has left behind is all that may be there.
            let begun = listing.bases.is_empty() && listing.logs.iter().all(|after| *after == 0);
            if let Some(what) =
                listing.foreign.or_else(|| (!begun).then(|| "a log or a base without store.json".into()))
            {
                return Err(DirectoryError::Foreign { path: path.to_owned(), what });
            }
        }
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(path.join(LOCK)).map_err(io())?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(DirectoryError::InUse(path.to_owned())),
            Err(fs::TryLockError::Error(error)) => return Err(io()(error)),
        }
        // Now that nobody else can change it, it is looked at again.
        let listing = Listing::of(path).map_err(io())?;
        if listing.has_marker {
            Self::open_found(path, log_bytes, &listing, lock)
        } else {
            Self::make(path, log_bytes, lock)
        }
    }

    fn make(path: &Path, log_bytes: u64, lock: File) -> Result<Opened, DirectoryError> {
        let io = || DirectoryError::io(path);
        let mut chance = [0; 16];
        getrandom::fill(&mut chance).map_err(|error| io()(io::Error::other(error)))?;
        let id = format!("{:032x}", u128::from_le_bytes(chance));
        let log = Log::begin(path, &id, 0, Chain::default()).map_err(io())?;
        sync_directory(path).map_err(io())?;
        let marker = path.join(format!("{MARKER}{UNFINISHED}"));
        let mut file = File::create(&marker).map_err(io())?;
        file.write_all(&format::write(&Marker { id: id.clone() })).and_then(|()| file.sync_all()).map_err(io())?;
        fs::rename(&marker, path.join(MARKER)).and_then(|()| sync_directory(path)).map_err(io())?;
        // And the directory's own name, where it was made as well.
        if let Some(parent) = path.canonicalize().map_err(io())?.parent() {
            sync_directory(parent).map_err(io())?;
        }
        let directory = Self::of(path, id, log_bytes, log, lock);
        let records = Records(Everything::new(None, Latest::default())?);
        Ok(Opened { directory, records, torn: 0, is_new: true })
    }

    fn of(path: &Path, id: String, log_bytes: u64, log: Log, lock: File) -> Self {
        Self {
            path: path.to_owned(),
            id,
            log_bytes,
            log,
            sealed: Vec::new(),
            base: None,
            compaction: None,
            frame: Vec::new(),
            _lock: lock,
        }
    }

    fn open_found(path: &Path, log_bytes: u64, listing: &Listing, lock: File) -> Result<Opened, DirectoryError> {
        let found = Found::of(path, listing)?;
        let (base, mut chain) = found.open_base(path)?;
        let (mut latest, mut sealed, mut number) = (Latest::default(), Vec::new(), found.base.unwrap_or(0));
        let mut last: Option<(u64, LogRead)> = None;
        let mut not_begun = None;
        for after in &found.logs {
            if last.is_some_and(|(_, read)| read.end != LogEnd::Sealed) {
                found.is_not_begun(path, *after, number, chain)?;
                not_begun = Some(path.join(log_name(*after)));
                continue;
            }
            let log = found.open_log(path, *after, chain)?;
            let log = log.ok_or_else(|| no_beginning(path.join(log_name(*after))))?;
            let read = read_log(log, number, &mut latest)?;
            if let Some((before, length)) = last.map(|(after, read)| (after, read.length)) {
                sealed.push((before, length));
            }
            (chain, number) = (read.chain, read.number);
            last = Some((*after, read));
        }
        let Some((after, read)) = last else { return Err(DirectoryError::Missing(path.join(log_name(number)))) };
        let LogEnd::Open { torn } = read.end else {
            return Err(DirectoryError::Missing(path.join(log_name(number))));
        };
        let io = || DirectoryError::io(path);
        let base_bytes = |upto| fs::metadata(path.join(base_name(upto))).map(|about| about.len());
        let base_size =
            found.base.map(|upto| base_bytes(upto).map(|length| (upto, length))).transpose().map_err(io())?;
        let (log, cut) = Log::go_on(path, after, &read, torn).map_err(io())?;
        for leftover in found.leftover.iter().chain(&listing.unfinished) {
            fs::remove_file(path.join(leftover)).map_err(io())?;
        }
        not_begun.map_or(Ok(()), fs::remove_file).map_err(io())?;
        let mut directory = Self::of(path, found.marker.id, log_bytes, log, lock);
        (directory.sealed, directory.base) = (sealed, base_size);
        Ok(Opened { directory, records: Records(Everything::new(base, latest)?), torn: cut, is_new: false })
    }

    /// How many bytes its files have.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let sealed: u64 = self.sealed.iter().map(|(_, length)| length).sum();
        self.log.length + sealed + self.base.map_or(0, |(_, length)| length)
    }

    fn commit(&mut self, records: &[Record]) -> io::Result<()> {
        self.frame.clear();
        let (mut chain, number) = (self.log.chain, self.log.number + 1);
        append(&mut self.frame, &mut chain, Kind::Commit, number, |payload| {
            for record in records {
                let value = (!record.is_forgotten()).then(|| format::write(record));
                put(payload, (&record.key(), value.as_deref()));
            }
        });
        self.log.append(&self.frame)?;
        (self.log.chain, self.log.number) = (chain, number);
        Ok(())
    }

    /// Begins the next log, and seals this one.
    fn rotate(&mut self) -> io::Result<()> {
        self.frame.clear();
        let (mut chain, number) = (self.log.chain, self.log.number);
        append(&mut self.frame, &mut chain, Kind::Sealed, number, |_| {});
        // First the next one: a log that is sealed has one that goes on.
        let next = Log::begin(&self.path, &self.id, number, chain)?;
        let is_sealed = sync_directory(&self.path).and_then(|()| self.log.append(&self.frame));
        if let Err(error) = is_sealed {
            // This one grows on, and ends where no other begins.
            fs::remove_file(self.path.join(log_name(number)))?;
            return Err(error);
        }
        let sealed = std::mem::replace(&mut self.log, next);
        self.sealed.push((sealed.after, sealed.length));
        Ok(())
    }

    /// Sees to the files, between two commits. What fails here fails no commit.
    fn tidy(&mut self) {
        if self.log.length >= self.log_bytes
            && self.log.number > self.log.after
            && let Err(error) = self.rotate()
        {
            tracing::warn!(%error, "the next log could not be begun: this one grows on");
        }
        if self.compaction.as_ref().is_some_and(|compaction| compaction.thread.is_finished()) {
            self.end_compaction();
        }
        let sealed: u64 = self.sealed.iter().map(|(_, length)| length).sum();
        let worth_it = self.log_bytes.max(self.base.map_or(0, |(_, length)| length));
        if self.compaction.is_none() && sealed >= worth_it {
            self.begin_compaction();
        }
    }

    fn begin_compaction(&mut self) {
        let upto = self.log.after;
        let (path, stop) = (self.path.clone(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || compact(&path, upto, &stopped));
        self.compaction = Some(Compaction { thread, upto, stop });
    }

    fn end_compaction(&mut self) {
        let Some(Compaction { thread, upto, .. }) = self.compaction.take() else { return };
        match thread.join() {
            Ok(Ok(length)) => {
                self.sealed.retain(|(after, _)| *after >= upto);
                self.base = Some((upto, length));
            }
            Ok(Err(error)) => tracing::warn!(%error, "old logs could not be made into a base: they stay"),
            Err(_panicked) => tracing::error!("what makes old logs into a base has panicked: they stay"),
        }
    }
}

impl Store for Directory {
    fn write(&mut self, records: &[Record]) -> io::Result<()> {
        self.tidy();
        self.commit(records)
    }
}

impl Drop for Directory {
    /// Says that all is whole up to here.
    fn drop(&mut self) {
        if let Some(compaction) = &self.compaction {
            compaction.stop.store(true, Ordering::Relaxed);
        }
        self.end_compaction();
        self.frame.clear();
        append(&mut self.frame, &mut self.log.chain, Kind::Closed, self.log.number, |_| {});
        if let Err(error) = self.log.append(&self.frame) {
            tracing::warn!(%error, "the store could not be closed as it should: it is whole up to its last commit");
        }
    }
}

/// A directory knows of its files only once it was synced itself.
fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

impl Log {
    /// Begins a log. One that was begun before, and never written to, is begun anew.
    fn begin(directory: &Path, id: &str, after: u64, chain: Chain) -> io::Result<Self> {
        let mut frame = Vec::new();
        let mut log = Self {
            file: File::create(directory.join(log_name(after)))?,
            after,
            length: 0,
            is_torn: false,
            chain,
            number: after,
        };
        let head = Head { store: id.to_owned(), is: Role::Log { after } };
        append(&mut frame, &mut log.chain, Kind::Head, after, |payload| payload.extend(format::write(&head)));
        log.append(&frame)?;
        Ok(log)
    }

    /// Opens a log to go on with it; how many bytes behind its whole frames were cut off.
    fn go_on(directory: &Path, after: u64, read: &LogRead, is_torn: bool) -> io::Result<(Self, u64)> {
        let file = OpenOptions::new().write(true).open(directory.join(log_name(after)))?;
        let cut = file.metadata()?.len().saturating_sub(read.length);
        let mut log = Self { file, after, length: read.length, is_torn: true, chain: read.chain, number: read.number };
        log.mend()?;
        if is_torn {
            log.file.sync_all()?;
        }
        Ok((log, cut))
    }

    /// Cuts off what is there behind the last whole frame.
    fn mend(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.length)?;
            self.file.seek(SeekFrom::Start(self.length))?;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Writes a frame, and syncs it.
    fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        self.mend()?;
        self.is_torn = true;
        self.file.write_all(frame)?;
        self.file.sync_data()?;
        self.is_torn = false;
        self.length += frame.len() as u64;
        Ok(())
    }
}

/// Makes a base of the last one and of the logs up to this commit; its length. They are gone then.
fn compact(directory: &Path, upto: u64, stop: &AtomicBool) -> io::Result<u64> {
    let listing = Listing::of(directory)?;
    let mut found = Found::of(directory, &listing).map_err(io::Error::other)?;
    found.logs.retain(|after| *after < upto);
    let (base, mut chain) = found.open_base(directory).map_err(io::Error::other)?;
    let (mut latest, mut number) = (Latest::default(), found.base.unwrap_or(0));
    for after in &found.logs {
        let log = found.open_log(directory, *after, chain).map_err(io::Error::other)?;
        let log = log.ok_or_else(|| io::Error::other("a log's beginning is missing"))?;
        let read = read_log(log, number, &mut latest).map_err(io::Error::other)?;
        (chain, number) = (read.chain, read.number);
    }
    if number != upto {
        return Err(io::Error::other("a sealed log does not end where the next one begins"));
    }
    let unfinished = directory.join(format!("{}{UNFINISHED}", base_name(upto)));
    let head = Head { store: found.marker.id.clone(), is: Role::Base { upto, chain: chain.0 } };
    let everything = Everything::new(base, latest).map_err(io::Error::other)?;
    let length = match write_base(&unfinished, &head, upto, everything, stop) {
        Ok(length) => length,
        Err(error) => {
            // It may be what is in the way of everything else.
            let _as_it_is = fs::remove_file(&unfinished);
            return Err(error);
        }
    };
    fs::rename(&unfinished, directory.join(base_name(upto)))?;
    sync_directory(directory)?;
    // Newest first: what is left after a crash still goes on from something, or is older than the base.
    let old = found.logs.iter().rev().map(|after| log_name(*after)).chain(found.base.map(base_name));
    old.chain(found.leftover).try_for_each(|name| fs::remove_file(directory.join(name)))?;
    Ok(length)
}

fn write_base(path: &Path, head: &Head, upto: u64, mut everything: Everything, stop: &AtomicBool) -> io::Result<u64> {
    let mut file = File::create(path)?;
    let (mut frame, mut chain, mut length, mut count) = (Vec::new(), Chain::default(), 0, 0_u64);
    let mut write = |frame: &mut Vec<u8>| {
        file.write_all(frame)?;
        // Bit by bit, so that no commit has to wait for all of it at once.
        file.sync_data()?;
        length += frame.len() as u64;
        frame.clear();
        Ok::<_, io::Error>(())
    };
    append(&mut frame, &mut chain, Kind::Head, upto, |payload| payload.extend(format::write(head)));
    write(&mut frame)?;
    let mut payload = Vec::new();
    loop {
        let next = everything.next().map_err(io::Error::other)?;
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
