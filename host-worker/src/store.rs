//! What an object keeps: rows of SQL, written in transactions, and the one alarm that it can set.
//!
//! **Transactions.** Everything inside [`Store::transaction`] is kept, or nothing of it. The platform lets no answer and
//! no request of the object leave before what was written is safe, so code that writes first and acts then need not wait.
//!
//! **The alarm.** An object has one. It is set to the earliest time at which anything is due, together with the row that
//! says so; one that is set earlier than needed is left, as it only looks and sets the next.

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;

use booking_core::format::{self, Format};
use booking_core::time::Timestamp;
use booking_workers::log::{self, Level, count};
use js_sys::{Date, Object};
use wasm_bindgen::prelude::{JsCast as _, JsValue, wasm_bindgen};
use worker::{SqlCursor, SqlStorage, SqlStorageValue, State, Storage};

use crate::errors::{Broken, Result};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(extends = Object)]
    type Transactional;

    #[wasm_bindgen(method, catch, js_name = transactionSync)]
    fn transaction_sync(
        this: &Transactional,
        work: &mut dyn FnMut() -> std::result::Result<JsValue, JsValue>,
    ) -> std::result::Result<JsValue, JsValue>;
}

/// One row of an answer.
pub(crate) struct Row(std::vec::IntoIter<SqlStorageValue>);

impl Row {
    /// The next column, which is a text.
    pub(crate) fn text(&mut self) -> Result<String> {
        match self.0.next() {
            Some(SqlStorageValue::String(text)) => Ok(text),
            _ => Err(Broken::Column("a text")),
        }
    }

    /// The next column, which is a stored form.
    pub(crate) fn stored<T: Format>(&mut self) -> Result<T> {
        Ok(format::read(self.text()?.as_bytes())?)
    }

    /// The next column, which is a number that is not negative.
    pub(crate) fn number(&mut self) -> Result<u64> {
        match self.0.next() {
            Some(SqlStorageValue::Integer(number)) => {
                u64::try_from(number).map_err(|_| Broken::Column("a number from 0"))
            }
            _ => Err(Broken::Column("a number from 0")),
        }
    }

    /// The next column, which is a point in time.
    pub(crate) fn time(&mut self) -> Result<Timestamp> {
        self.number().map(Timestamp::from_millis)
    }
}

/// A number as SQL has it. Nothing that is kept here comes near the end of these.
pub(crate) fn number(number: u64) -> SqlStorageValue {
    SqlStorageValue::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A point in time as SQL has it.
pub(crate) fn time(at: Timestamp) -> SqlStorageValue {
    number(at.as_millis())
}

/// A text as SQL has it.
pub(crate) fn text(text: impl Into<String>) -> SqlStorageValue {
    SqlStorageValue::String(text.into())
}

/// Nothing, as SQL has it.
pub(crate) fn blank() -> SqlStorageValue {
    SqlStorageValue::Null
}

/// A state as SQL has it.
pub(crate) fn stored<T: Format>(value: &T) -> SqlStorageValue {
    text(utf8(format::write(value)))
}

fn utf8(json: Vec<u8>) -> String {
    String::from_utf8(json).expect("JSON is UTF-8")
}

/// What is known of the alarm.
#[derive(Clone, Copy)]
enum Alarm {
    /// Nothing: this object has just come to life.
    Unknown,
    /// It rings then, or never.
    Set(Option<Timestamp>),
}

/// A table: its name, its columns, and by what else than its key its rows are found.
pub(crate) struct Table {
    name: &'static str,
    columns: &'static str,
    index: Option<&'static str>,
}

impl Table {
    pub(crate) const fn new(name: &'static str, columns: &'static str) -> Self {
        Self { name, columns, index: None }
    }

    pub(crate) const fn with_index(self, columns: &'static str) -> Self {
        Self { index: Some(columns), ..self }
    }
}

/// One object's storage.
pub(crate) struct Store {
    storage: Storage,
    sql: SqlStorage,
    /// Its tables.
    schema: &'static [Table],
    /// Those that exist, once this store has looked. The first row of a table makes it: each costs writes, so an object that
    /// is only read makes none, and one with no rare rows makes none for these.
    made: RefCell<Option<Vec<&'static str>>>,
    alarm: Cell<Alarm>,
    /// How many rows were written since that was told.
    written: Cell<usize>,
}

impl Store {
    pub(crate) fn new(state: &State, schema: &'static [Table]) -> Self {
        let storage = state.storage();
        let sql = storage.sql();
        Self {
            storage,
            sql,
            schema,
            made: RefCell::default(),
            alarm: Cell::new(Alarm::Unknown),
            written: Cell::default(),
        }
    }

    fn exec(&self, query: &str, bindings: &[SqlStorageValue]) -> Result<Vec<Row>> {
        let cursor = self.sql.exec(query, bindings.to_vec())?;
        let rows = cursor.raw().map(|row| Ok(Row(row?.into_iter()))).collect();
        self.count(&cursor);
        rows
    }

    fn is_made(&self, table: &str) -> Result<bool> {
        if self.made.borrow().is_none() {
            let tables = self.exec("SELECT name FROM sqlite_master WHERE type = 'table'", &[])?;
            let names: Vec<String> = tables.into_iter().map(|mut row| row.text()).collect::<Result<_>>()?;
            let is_there = |table: &&str| names.iter().any(|name| name == table);
            self.made.replace(Some(self.schema.iter().map(|table| table.name).filter(is_there).collect()));
        }
        Ok(self.made.borrow().as_ref().is_some_and(|made| made.contains(&table)))
    }

    /// Asks a table; one that was never written has no rows.
    pub(crate) fn rows(&self, table: &str, query: &str, bindings: &[SqlStorageValue]) -> Result<Vec<Row>> {
        if self.is_made(table)? { self.exec(query, bindings) } else { Ok(Vec::new()) }
    }

    /// Asks a table for one row.
    pub(crate) fn row(&self, table: &str, query: &str, bindings: &[SqlStorageValue]) -> Result<Option<Row>> {
        Ok(self.rows(table, query, bindings)?.into_iter().next())
    }

    /// Writes to a table. Only inside a transaction.
    pub(crate) fn write(&self, table: &str, query: &str, bindings: &[SqlStorageValue]) -> Result<()> {
        if !self.is_made(table)? {
            let Table { name, columns, index } =
                self.schema.iter().find(|one| one.name == table).ok_or(Broken::Missing("such table"))?;
            self.exec(&format!("CREATE TABLE {name} {columns}"), &[])?;
            if let Some(columns) = index {
                self.exec(&format!("CREATE INDEX {name}_found ON {name} {columns}"), &[])?;
            }
            if let Some(made) = self.made.borrow_mut().as_mut() {
                made.push(name);
            }
        }
        self.sql.exec(query, bindings.to_vec()).map(|cursor| self.count(&cursor))?;
        Ok(())
    }

    fn count(&self, cursor: &SqlCursor) {
        if log::says(Level::Debug) {
            self.written.set(self.written.get() + cursor.rows_written());
        }
    }

    /// Does all of this, or nothing.
    pub(crate) fn transaction<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let (mut work, mut done) = (Some(work), None);
        let outcome = self.all_or_nothing(&mut || {
            done = Some(work.take().ok_or(Broken::Missing("work of a transaction"))?()?);
            Ok(())
        });
        outcome.and_then(|()| done.ok_or(Broken::Missing("outcome of a transaction")))
    }

    fn all_or_nothing(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let mut why = None;
        // If this panics, the platform rolls back what was half done, and what was in memory is read anew.
        let mut shared = AssertUnwindSafe((work, &mut why));
        let mut once = move || {
            let (work, why) = &mut *shared;
            work().map(|()| JsValue::UNDEFINED).map_err(|broken| {
                **why = Some(broken);
                JsValue::UNDEFINED
            })
        };
        let transactional: &Transactional = self.storage.as_raw().unchecked_ref();
        let Err(thrown) = transactional.transaction_sync(&mut once) else {
            let rows = self.written.take();
            if rows > 0 {
                count("kept", "rows", || rows.to_string());
            }
            return Ok(());
        };
        // What was made in it, and set, is not.
        self.made.replace(None);
        self.alarm.set(Alarm::Unknown);
        Err(why.unwrap_or_else(|| Broken::Storage(worker::Error::from(thrown))))
    }

    /// Has the alarm ring at this time at the latest.
    pub(crate) fn wake_at(&self, due: Option<Timestamp>) -> Result<()> {
        let Some(due) = due else { return Ok(()) };
        if let Alarm::Set(Some(at)) = self.alarm.get()
            && at <= due
        {
            return Ok(());
        }
        // There is nothing to wait for: it counts with the transaction it was called in.
        let _counted = self.storage.as_raw().set_alarm(date(due), JsValue::NULL.into()).map_err(worker::Error::from)?;
        self.alarm.set(Alarm::Set(Some(due)));
        // The platform counts it as a row.
        self.written.set(self.written.get() + 1);
        Ok(())
    }

    /// Has the alarm ring at this time, and no sooner: nothing else is due.
    pub(crate) fn sleep_until(&self, due: Timestamp) -> Result<()> {
        self.alarm.set(Alarm::Unknown);
        self.wake_at(Some(due))
    }

    /// The alarm has rung: none is set.
    pub(crate) fn woken(&self) {
        self.alarm.set(Alarm::Set(None));
    }

    /// Forgets everything.
    pub(crate) async fn clear(&self) -> Result<()> {
        self.storage.delete_all().await?;
        self.made.replace(None);
        self.alarm.set(Alarm::Unknown);
        Ok(())
    }
}

fn date(at: Timestamp) -> Date {
    let date = Date::new_0();
    // Whole milliseconds: exact up to the year 287396.
    #[allow(clippy::cast_precision_loss, reason = "see above")]
    date.set_time(at.as_millis() as f64);
    date
}
