//! What a data directory asks of a disk, and nothing more: so that a test can have one whose power goes between any two
//! of these.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// A directory of files. What its names stand for is there for good only once it was synced.
pub(super) trait Disk: Debug + Send + Sync {
    /// The names of its files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// How long a file is.
    fn length(&self, name: &str) -> io::Result<u64>;
    /// Opens a file to be read from its beginning.
    fn read(&self, name: &str) -> io::Result<Box<dyn Read + Send>>;
    /// Makes an empty file, in place of whatever has its name.
    fn create(&self, name: &str) -> io::Result<Box<dyn Output>>;
    /// Opens a file to go on with it.
    fn go_on(&self, name: &str) -> io::Result<Box<dyn Output>>;
    /// Gives a file another name, in place of whatever has that.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes what names stand for be there for good.
    fn sync(&self) -> io::Result<()>;
    /// Where it is, for people.
    fn path(&self) -> PathBuf;
}

/// A file that is written to. What is written is there for good only once it was synced.
pub(super) trait Output: Debug + Send {
    /// Adds to its end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Cuts it off behind so many bytes, and goes on there.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Makes what was written be there for good.
    fn sync(&mut self) -> io::Result<()>;
}

/// A directory of this machine.
#[derive(Clone, Debug)]
pub(super) struct Folder(pub(super) PathBuf);

/// What is in a file is nobody's business but the owner's: names of holds are among it.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

impl Folder {
    /// Makes the directory where there is none, for good.
    pub(super) fn make(path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self::make(parent)?;
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        sync_directory(parent)
    }

    /// Keeps everybody else from writing to it, until this is dropped; `None` where somebody else does.
    pub(super) fn lock(&self) -> io::Result<Option<File>> {
        // The directory itself, where that is possible: a file in it could be removed.
        let lock = if cfg!(unix) {
            File::open(&self.0)?
        } else {
            private(OpenOptions::new().write(true).create(true).truncate(false)).open(self.0.join("lock"))?
        };
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
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
    fn go_on(&self, name: &str) -> io::Result<Box<dyn Output>> {
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
