//! Embedded stores off the shelf, where the in-process host would keep its records otherwise: fjall, redb and SQLite.
//!
//! Each holds what the host's own log holds, under the same keys and in the same form, and a batch of records is one
//! transaction of it, on the disk before that returns. All are set as a developer would set them who has read their
//! documentation and needs that promise; what is not named here is as it comes. To open one is to read all that is in
//! it, as the engine has it all in memory.

use std::fs;
use std::io;
use std::path::Path;

use booking_core::format;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use host_axum_sim::store::{Directory, Opened, Record, Records, Store};
use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError};
use rusqlite::{Connection, params};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The host's own log.
    Ours,
    /// A log-structured merge tree.
    Fjall,
    /// A copy-on-write B-tree.
    Redb,
    /// A B-tree with a write-ahead log.
    Sqlite,
}

impl Kind {
    /// All, ours first.
    pub const ALL: [Self; 4] = [Self::Ours, Self::Fjall, Self::Redb, Self::Sqlite];

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "host-axum-sim",
            Self::Fjall => "fjall",
            Self::Redb => "redb",
            Self::Sqlite => "SQLite",
        }
    }

    /// Opens the store in this folder, or makes one where there is none, and gives back each record that is in it. What is
    /// written goes to a log first, where the store has one; `log_bytes` is how long that gets before the store makes
    /// something else of it.
    ///
    /// # Errors
    /// When it cannot be opened, or something in it cannot be read: what the store says, and of a record that it takes for
    /// whole, what its form says.
    pub fn open(self, folder: &Path, log_bytes: u64, each: &mut dyn FnMut(Record)) -> io::Result<Box<dyn Store>> {
        fs::create_dir_all(folder)?;
        Ok(match self {
            Self::Ours => {
                let Opened { directory, entries, .. } = Directory::open(folder, log_bytes).map_err(io::Error::other)?;
                Records::of(entries).try_for_each(|record| record.map(&mut *each)).map_err(io::Error::other)?;
                Box::new(directory)
            }
            Self::Fjall => Box::new(Fjall::open(folder, log_bytes, each).map_err(io::Error::other)??),
            Self::Redb => Box::new(Redb::open(folder, each)?),
            Self::Sqlite => Box::new(Sqlite::open(folder, log_bytes, each)?),
        })
    }
}

/// What is stored under a record's key; `None` where that is nothing any more.
fn value(record: &Record) -> Option<Vec<u8>> {
    (!record.is_forgotten()).then(|| format::write(record))
}

/// What was stored, as it was. Our own store looks at the same, so the others are not worse off for that.
fn record(key: &[u8], value: &[u8]) -> io::Result<Record> {
    let record: Record = format::read(value).map_err(io::Error::other)?;
    if record.key() == key { Ok(record) } else { Err(io::Error::other("a record stands under another's key")) }
}

/// Written with `PersistMode::SyncData`, the least that reaches the disk. Its memtable is as large as a log may get, its
/// blocks are not compressed.
struct Fjall {
    records: Keyspace,
    database: Database,
}

impl Fjall {
    fn open(folder: &Path, log_bytes: u64, each: &mut dyn FnMut(Record)) -> fjall::Result<io::Result<Self>> {
        let database = Database::builder(folder).open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(log_bytes);
        let records = database.keyspace("records", options)?;
        for entry in records.iter() {
            let (key, value) = entry.into_inner()?;
            match record(&key, &value) {
                Ok(record) => each(record),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(Self { records, database }))
    }
}

impl Store for Fjall {
    fn write(&mut self, records: &[Record]) -> io::Result<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for record in records {
            match value(record) {
                Some(value) => batch.insert(&self.records, record.key(), value),
                None => batch.remove(&self.records, record.key()),
            }
        }
        batch.commit().map_err(io::Error::other)
    }
}

/// As it comes: a commit is durable at once.
struct Redb(redb::Database);

impl Redb {
    const RECORDS: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("records");

    fn open(folder: &Path, each: &mut dyn FnMut(Record)) -> io::Result<Self> {
        let database = redb::Database::create(folder.join("records.redb")).map_err(io::Error::other)?;
        match database.begin_read().map_err(io::Error::other)?.open_table(Self::RECORDS) {
            Ok(table) => {
                for entry in table.iter().map_err(io::Error::other)? {
                    let (key, value) = entry.map_err(io::Error::other)?;
                    each(record(key.value(), value.value())?);
                }
            }
            // Nothing was ever written.
            Err(TableError::TableDoesNotExist(_)) => {}
            Err(error) => return Err(io::Error::other(error)),
        }
        Ok(Self(database))
    }

    fn try_write(&self, records: &[Record]) -> Result<(), redb::Error> {
        let transaction = self.0.begin_write()?;
        {
            let mut table = transaction.open_table(Self::RECORDS)?;
            for record in records {
                let key = record.key();
                match value(record) {
                    Some(value) => table.insert(&*key, &*value)?,
                    None => table.remove(&*key)?,
                };
            }
        }
        Ok(transaction.commit()?)
    }
}

impl Store for Redb {
    fn write(&mut self, records: &[Record]) -> io::Result<()> {
        self.try_write(records).map_err(io::Error::other)
    }
}

/// With a write-ahead log that is synced at every commit, a cache of 64 MiB, and statements that are prepared once.
struct Sqlite(Connection);

impl Sqlite {
    /// Bytes of a page, as it comes.
    const PAGE: u64 = 4096;

    fn open(folder: &Path, log_bytes: u64, each: &mut dyn FnMut(Record)) -> io::Result<Self> {
        let connection = Connection::open(folder.join("records.db")).map_err(io::Error::other)?;
        let settings = format!(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA wal_autocheckpoint = {};
             PRAGMA cache_size = -65536;
             CREATE TABLE IF NOT EXISTS records (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;",
            log_bytes / Self::PAGE
        );
        connection.execute_batch(&settings).map_err(io::Error::other)?;
        Self::read(&connection, each).map_err(io::Error::other)??;
        Ok(Self(connection))
    }

    fn read(connection: &Connection, each: &mut dyn FnMut(Record)) -> rusqlite::Result<io::Result<()>> {
        let mut all = connection.prepare("SELECT key, value FROM records")?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            match record(row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?) {
                Ok(record) => each(record),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }

    fn try_write(&mut self, records: &[Record]) -> rusqlite::Result<()> {
        let transaction = self.0.transaction()?;
        {
            let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO records (key, value) VALUES (?1, ?2)")?;
            let mut remove = transaction.prepare_cached("DELETE FROM records WHERE key = ?1")?;
            for record in records {
                match value(record) {
                    Some(value) => put.execute(params![record.key(), value])?,
                    None => remove.execute(params![record.key()])?,
                };
            }
        }
        transaction.commit()
    }
}

impl Store for Sqlite {
    fn write(&mut self, records: &[Record]) -> io::Result<()> {
        self.try_write(records).map_err(io::Error::other)
    }
}
