//! What a data directory asks of a disk, and nothing more: so that a test can have one whose power goes between any two
//! of these.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// A directory of files. What its names stand for is there for good only once it was synced.
pub(crate) trait Disk: Debug + Send + Sync {
    /// The names of its files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// How long a file is.
    fn length(&self, name: &str) -> io::Result<u64>;
    /// Opens a file to be read from its beginning.
    fn read(&self, name: &str) -> io::Result<Box<dyn Read + Send>>;
    /// Makes an empty file, in place of a file of that name.
    fn create(&self, name: &str) -> io::Result<Box<dyn Output>>;
    /// Opens a file to continue it at its end.
    fn append_to(&self, name: &str) -> io::Result<Box<dyn Output>>;
    /// Gives a file another name, in place of a file of that name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes what names stand for be there for good.
    fn sync(&self) -> io::Result<()>;
    /// Makes the directory's own name be there for good.
    fn sync_own_name(&self) -> io::Result<()>;
    /// Where it is, for people.
    fn path(&self) -> PathBuf;
}

/// A file that is written to. What is written is there for good only once it was synced.
pub(crate) trait Output: Debug + Send {
    /// Adds to its end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Cuts it off behind this number of bytes, and continues there.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Makes what was written be there for good.
    fn sync(&mut self) -> io::Result<()>;
}

/// A directory of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

/// Makes a file that only its owner can read, empty, in place of a file of that name: for what is taken out of a directory, too.
///
/// # Errors
/// What the disk says.
pub fn create_private(path: &Path) -> io::Result<File> {
    private(OpenOptions::new().write(true).create(true).truncate(true)).open(path)
}

/// Only the owner of a file can read what is in it.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

impl Folder {
    /// Makes the directory where there is none.
    pub(crate) fn make(path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self::make(parent)?;
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
            Ok(()) => synced(parent),
        }
    }

    /// Keeps all others from writing to it, until this is dropped; `None` where another has locked it already.
    pub(crate) fn lock(&self) -> io::Result<Option<Lock>> {
        // The directory, as a file in it could be removed; and a file, as directories are locked on one machine only
        // where they are shared by several.
        let directory = if cfg!(unix) { Some(File::open(&self.0)?) } else { None };
        let mut lock = Vec::new();
        let of_file = || private(OpenOptions::new().write(true).create(true).truncate(false)).open(self.0.join(LOCK));
        for file in directory.map(Ok).into_iter().chain(std::iter::once_with(of_file)) {
            let file = file?;
            match file.try_lock() {
                Ok(()) => lock.push(file),
                Err(fs::TryLockError::WouldBlock) => return Ok(None),
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(Some(Lock(lock)))
    }

    /// Whether another has locked it. Keeps no other process from looking.
    pub(crate) fn is_locked(&self) -> bool {
        let is_locked = |file: io::Result<File>| {
            file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
        };
        (cfg!(unix) && is_locked(File::open(&self.0))) || is_locked(File::open(self.0.join(LOCK)))
    }
}

/// What keeps others out, until it is dropped.
#[derive(Debug)]
#[allow(dead_code, reason = "it is there to be dropped")]
pub(crate) struct Lock(Vec<File>);

/// The file that is locked as well.
pub(crate) const LOCK: &str = "lock";

/// The names in a directory are there for good, as far as its owner lets us see to it.
fn synced(path: &Path) -> io::Result<()> {
    match sync_directory(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

impl Disk for Folder {
    fn list(&self) -> io::Result<Vec<String>> {
        fs::read_dir(&self.0)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }
    fn length(&self, name: &str) -> io::Result<u64> {
        fs::metadata(self.0.join(name)).map(|about| about.len())
    }
    fn read(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(BufReader::with_capacity(1 << 18, File::open(self.0.join(name))?)))
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn Output>> {
        let file = private(OpenOptions::new().write(true).create(true).truncate(true)).open(self.0.join(name))?;
        Ok(Box::new(file))
    }
    fn append_to(&self, name: &str) -> io::Result<Box<dyn Output>> {
        let mut file = OpenOptions::new().write(true).open(self.0.join(name))?;
        file.seek(SeekFrom::End(0))?;
        Ok(Box::new(file))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }
    fn sync(&self) -> io::Result<()> {
        sync_directory(&self.0)
    }
    fn sync_own_name(&self) -> io::Result<()> {
        self.0.canonicalize()?.parent().map_or(Ok(()), synced)
    }
    fn path(&self) -> PathBuf {
        self.0.clone()
    }
}

impl Output for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.seek(SeekFrom::Start(length)).map(|_| ())
    }
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
