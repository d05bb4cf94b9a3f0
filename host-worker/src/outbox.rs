//! Messages to other objects that were kept with the change they follow from, until each has been taken.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

use booking_core::terms::Backoff;
use booking_core::time::{Millis, Timestamp};
use booking_core::wire::inner::Message;
use futures_util::stream::{StreamExt as _, iter};
use worker::{Env, SqlStorageValue};

use crate::errors::Result;
use crate::inside;
use crate::store::{Store, Table, now, number, text, time};

/// The table.
pub(crate) const OUTBOX: Table = Table(
    "outbox",
    "(seq INTEGER PRIMARY KEY, due INTEGER NOT NULL, failed INTEGER NOT NULL, binding TEXT NOT NULL, \
     name TEXT NOT NULL, handler TEXT NOT NULL, body TEXT NOT NULL)",
);

/// After how long the alarm looks whether a message is still here that was to be sent at once.
const LOOK_AFTER: Millis = Millis::from_secs(2);

/// The waits before a message is sent again that was not taken.
const AGAIN: Backoff = Backoff { first: Millis(500), cap: Millis::from_mins(1) };

/// The least that lies between two alarms for messages.
pub(crate) const PAUSE: Millis = Millis(200);

/// How many are sent side by side, and how many one request or alarm sends at most: the platform limits both.
const SIDE_BY_SIDE: usize = 32;
const AT_ONCE: usize = 300;

/// How many are struck out by themselves, without waiting for a change.
const MANY: usize = 32;

/// Keeps a message. Inside the transaction of the change that it follows from.
pub(crate) fn post(store: &Store, at: Timestamp, binding: &str, name: &str, message: &Message) -> Result<()> {
    store.write(
        "outbox",
        "INSERT INTO outbox (due, failed, binding, name, handler, body) VALUES (?, 0, ?, ?, ?, ?)",
        [time(at.plus(LOOK_AFTER)), text(binding), text(name), text(message.handler), text(message.body.as_str())],
    )
}

/// When the alarm is to look at the latest.
pub(crate) fn due(store: &Store) -> Result<Option<Timestamp>> {
    let first = store.row("outbox", "SELECT min(due) FROM outbox", [])?;
    let due = first.map(|mut row| row.maybe_number()).transpose()?.flatten();
    Ok(due.map(Timestamp::from_millis))
}

/// Whoever sends. There is one for each object, so that nothing is sent twice without need.
#[derive(Default)]
pub(crate) struct Postman {
    is_out: Cell<bool>,
    /// Those that were taken. They are struck out with the next change that is kept anyway; a crash before that has them
    /// sent again, which does no harm.
    taken: RefCell<BTreeSet<u64>>,
}

struct Letter {
    seq: u64,
    failed: u64,
    binding: String,
    name: String,
    handler: String,
    body: String,
}

fn next(store: &Store, at: Timestamp, taken: &BTreeSet<u64>) -> Result<Vec<Letter>> {
    let rows = store.rows(
        "outbox",
        "SELECT seq, failed, binding, name, handler, body FROM outbox WHERE failed = 0 OR due <= ? \
         ORDER BY seq LIMIT 256",
        [time(at)],
    )?;
    let letter = |mut row: crate::store::Row| {
        let (seq, failed) = (row.number()?, row.number()?);
        let (binding, name) = (row.text()?, row.text()?);
        Ok(Letter { seq, failed, binding, name, handler: row.text()?, body: row.text()? })
    };
    let letters = rows.into_iter().map(letter);
    letters.filter(|letter| !letter.as_ref().is_ok_and(|letter| taken.contains(&letter.seq))).collect()
}

impl Postman {
    /// Sends what is to be sent, and what comes meanwhile. Whatever is left then, the alarm sends.
    pub(crate) async fn go(&self, store: &Store, env: &Env) -> Result<()> {
        if self.is_out.replace(true) {
            return Ok(());
        }
        let back = scopeguard(|| self.is_out.set(false));
        let mut sent = 0;
        loop {
            let letters = next(store, now(), &self.taken.borrow())?;
            if letters.is_empty() || sent >= AT_ONCE {
                break;
            }
            sent += letters.len();
            let outcomes = iter(letters).map(|letter| async move { self.deliver(store, env, &letter).await });
            let outcomes: Vec<Result<()>> = outcomes.buffer_unordered(SIDE_BY_SIDE).collect().await;
            outcomes.into_iter().collect::<Result<()>>()?;
            if self.taken.borrow().len() >= MANY {
                let gone = store.transaction(|| self.strike_out(store))?;
                self.struck_out(&gone);
            }
        }
        drop(back);
        Ok(())
    }

    async fn deliver(&self, store: &Store, env: &Env, letter: &Letter) -> Result<()> {
        let body = letter.body.as_bytes();
        let said = inside::ask(env, &letter.binding, &letter.name, &letter.handler, body, &inside::From::INSIDE).await;
        // A refusal is an answer, and the message has done what it can.
        if said.is_ok_and(|answer| answer.status < 500) {
            self.taken.borrow_mut().insert(letter.seq);
            return Ok(());
        }
        store.transaction(|| {
            let failed = letter.failed + 1;
            let due = now().plus(AGAIN.after(u32::try_from(failed).unwrap_or(u32::MAX)));
            let values: [SqlStorageValue; 3] = [number(failed), time(due), number(letter.seq)];
            store.write("outbox", "UPDATE outbox SET failed = ?, due = ? WHERE seq = ?", values)?;
            store.wake_at(Some(due))
        })
    }

    /// Strikes out what was taken. Inside a transaction; what it returns is to be handed to [`Postman::struck_out`] once
    /// that is kept.
    pub(crate) fn strike_out(&self, store: &Store) -> Result<BTreeSet<u64>> {
        let taken = self.taken.borrow().clone();
        for seq in &taken {
            store.write("outbox", "DELETE FROM outbox WHERE seq = ?", [number(*seq)])?;
        }
        Ok(taken)
    }

    /// These are struck out for good.
    pub(crate) fn struck_out(&self, gone: &BTreeSet<u64>) {
        self.taken.borrow_mut().retain(|seq| !gone.contains(seq));
    }
}

/// Does something when it is dropped, also when what it stands in is given up.
pub(crate) fn scopeguard<F: FnOnce()>(work: F) -> impl Drop {
    struct Guard<F: FnOnce()>(Option<F>);
    impl<F: FnOnce()> Drop for Guard<F> {
        fn drop(&mut self) {
            if let Some(work) = self.0.take() {
                work();
            }
        }
    }
    Guard(Some(work))
}

/// Waits a little while.
pub(crate) async fn pause(length: Millis) {
    worker::Delay::from(Duration::from_millis(length.0)).await;
}
