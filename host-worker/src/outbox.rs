//! Messages to other objects, until each has been taken.
//!
//! Those of a map stand in a table, written with the change that they follow from. The one of a ticket follows from the
//! ticket itself, so nothing more is written: whoever does not know whether it was taken sends it again, as the ticket is
//! by then.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use booking_core::terms::Backoff;
use booking_core::time::{Millis, Timestamp};
use futures_util::stream::{StreamExt as _, iter};
use serde::Serialize;
use worker::Env;

use crate::clock::now;
use crate::errors::Result;
use crate::inside::{self, How};
use crate::later::Finally;
use crate::store::{Row, Store, Table, json, number, text, time};

/// The table.
pub(crate) const OUTBOX: Table = Table(
    "messages",
    "(seq INTEGER PRIMARY KEY, due INTEGER NOT NULL, failed INTEGER NOT NULL, binding TEXT NOT NULL, \
     name TEXT NOT NULL, body TEXT NOT NULL)",
);

/// After how long the alarm looks whether a message was taken that was to be sent at once.
pub(crate) const LOOK_AFTER: Millis = Millis::from_secs(5);

/// The waits before a message is sent again that was not taken.
const AGAIN: Backoff = Backoff { first: Millis(500), cap: Millis::from_mins(1) };

/// The least that lies between two alarms for messages.
pub(crate) const PAUSE: Millis = Millis(200);

/// How many are sent side by side, and how many one request or alarm sends at most: the platform limits both.
const SIDE_BY_SIDE: usize = 32;
const AT_ONCE: usize = 300;

/// How many are struck out by themselves, without waiting for a change.
const MANY: usize = 32;

/// A message to an object.
pub(crate) struct Letter {
    binding: String,
    name: String,
    body: String,
}

impl Letter {
    /// To this object, by its service's binding and its name.
    pub(crate) fn new(binding: &str, name: &str, call: &impl Serialize) -> Self {
        Self { binding: binding.to_owned(), name: name.to_owned(), body: json(call) }
    }

    /// Sends it; whether it was taken. A ticket's refusal is an outcome, and the message has done what it can. Any other
    /// answer is that of a build which does not know such messages: it is sent again.
    async fn is_taken(&self, env: &Env) -> bool {
        let said = inside::ask(env, &self.binding, &self.name, How::Turn, self.body.as_bytes()).await;
        said.is_ok_and(|answer| answer.status == 200)
    }
}

/// Keeps a message. Inside the transaction of the change that it follows from.
pub(crate) fn post(store: &Store, at: Timestamp, letter: &Letter) -> Result<()> {
    let Letter { binding, name, body } = letter;
    store.write(
        "messages",
        "INSERT INTO messages (due, failed, binding, name, body) VALUES (?, 0, ?, ?, ?)",
        &[time(at.plus(LOOK_AFTER)), text(binding), text(name), text(body)],
    )
}

/// When the alarm is to look at the latest.
pub(crate) fn due(store: &Store) -> Result<Option<Timestamp>> {
    let first = store.row("messages", "SELECT min(due) FROM messages", &[])?;
    let due = first.map(|mut row| row.maybe_number()).transpose()?.flatten();
    Ok(due.map(Timestamp::from_millis))
}

/// A message of the table: its number, and how often it was sent in vain.
type Kept = (u64, u64, Letter);

fn next(store: &Store, at: Timestamp, taken: &[u64]) -> Result<Vec<Kept>> {
    let rows = store.rows(
        "messages",
        "SELECT seq, failed, binding, name, body FROM messages WHERE failed = 0 OR due <= ? \
         ORDER BY seq LIMIT 256",
        &[time(at)],
    )?;
    let letter = |mut row: Row| {
        let (seq, failed) = (row.number()?, row.number()?);
        Ok((seq, failed, Letter { binding: row.text()?, name: row.text()?, body: row.text()? }))
    };
    let letters = rows.into_iter().map(letter);
    letters.filter(|letter| !letter.as_ref().is_ok_and(|(seq, ..)| taken.contains(seq))).collect()
}

/// What a change that was kept leaves to do.
#[derive(Default)]
pub(crate) struct Work {
    /// The message that follows from the state.
    pub(crate) letter: Option<Letter>,
    /// Messages that are struck out for good.
    pub(crate) struck_out: Vec<u64>,
    /// Whether messages were written to the table.
    pub(crate) is_posted: bool,
}

/// Whoever sends. There is one for each object, so that nothing is sent twice without need.
#[derive(Default)]
pub(crate) struct Postman {
    is_out: Cell<bool>,
    /// Those of the table that were taken. They are struck out with the next change that is kept anyway; a crash before
    /// that has them sent again, which does no harm.
    taken: RefCell<Vec<u64>>,
    /// Those that follow from the state, one after the other.
    follow: RefCell<VecDeque<Letter>>,
    /// Whether the last of these was taken. An object that has just come to life does not know.
    is_told: Cell<bool>,
    /// How often the last was sent in vain.
    failed: Cell<u32>,
    /// Whether anything is to be sent at once.
    has_work: Cell<bool>,
}

impl Postman {
    /// Takes over what a change leaves to do, once that change is kept.
    pub(crate) fn take(&self, work: Work) {
        self.taken.borrow_mut().retain(|seq| !work.struck_out.contains(seq));
        if work.is_posted || work.letter.is_some() {
            self.has_work.set(true);
        }
        if let Some(letter) = work.letter {
            self.is_told.set(false);
            self.follow.borrow_mut().push_back(letter);
        }
    }

    /// Whether anything is to be sent at once.
    pub(crate) fn has_work(&self) -> bool {
        self.has_work.get()
    }

    /// Whether the message that follows from the state may not have been taken, and nobody is about to send it.
    pub(crate) fn may_be_untold(&self) -> bool {
        !self.is_told.get() && self.follow.borrow().is_empty() && !self.is_out.get()
    }

    /// No message follows from the state.
    pub(crate) fn has_nothing_to_tell(&self) {
        self.is_told.set(true);
    }

    /// Whether the message that follows from the state is known to have been taken.
    pub(crate) fn is_told(&self) -> bool {
        self.is_told.get()
    }

    /// When the alarm is to look again whether the message that follows from the state was taken; `None` once it was.
    pub(crate) fn looks_again_at(&self) -> Option<Timestamp> {
        // One that is on its way may take as long as a first one.
        let after = if self.is_out.get() { LOOK_AFTER } else { self.pause() };
        (!self.is_told.get()).then(|| now().plus(after))
    }

    /// How long to wait before the message that follows from the state is sent again.
    fn pause(&self) -> Millis {
        AGAIN.after(self.failed.get().max(1))
    }

    /// Sends what is to be sent, and what comes meanwhile. Whatever is left then, the alarm sends.
    pub(crate) async fn go(&self, store: &Store, env: &Env) -> Result<()> {
        if self.is_out.replace(true) {
            return Ok(());
        }
        let back = Finally(|| self.is_out.set(false));
        self.has_work.set(false);
        let mut sent = 0;
        loop {
            self.tell(store, env).await?;
            let letters = next(store, now(), &self.taken.borrow())?;
            if letters.is_empty() || sent >= AT_ONCE {
                break;
            }
            sent += letters.len();
            let outcomes = iter(letters).map(|letter| async move { self.deliver(store, env, &letter).await });
            let outcomes: Vec<Result<()>> = outcomes.buffer_unordered(SIDE_BY_SIDE).collect().await;
            outcomes.into_iter().collect::<Result<()>>()?;
            if self.taken.borrow().len() >= MANY {
                let struck_out = store.transaction(|| self.strike_out(store))?;
                self.take(Work { struck_out, ..Work::default() });
            }
        }
        drop(back);
        Ok(())
    }

    /// Sends those that follow from the state. One that was not taken is made up for by the next.
    async fn tell(&self, store: &Store, env: &Env) -> Result<()> {
        loop {
            let letter = self.follow.borrow_mut().pop_front();
            let Some(letter) = letter else { return Ok(()) };
            if letter.is_taken(env).await {
                self.failed.set(0);
                self.is_told.set(self.follow.borrow().is_empty());
            } else {
                self.failed.set(self.failed.get().saturating_add(1));
                store.transaction(|| store.wake_at(Some(now().plus(self.pause()))))?;
            }
        }
    }

    async fn deliver(&self, store: &Store, env: &Env, (seq, failed, letter): &Kept) -> Result<()> {
        if letter.is_taken(env).await {
            self.taken.borrow_mut().push(*seq);
            return Ok(());
        }
        store.transaction(|| {
            let failed = failed + 1;
            let due = now().plus(AGAIN.after(u32::try_from(failed).unwrap_or(u32::MAX)));
            let values = [number(failed), time(due), number(*seq)];
            store.write("messages", "UPDATE messages SET failed = ?, due = ? WHERE seq = ?", &values)?;
            store.wake_at(Some(due))
        })
    }

    /// Strikes out what was taken. Inside a transaction; what it returns is for [`Postman::take`] once that is kept.
    pub(crate) fn strike_out(&self, store: &Store) -> Result<Vec<u64>> {
        let taken = self.taken.borrow().clone();
        for seq in &taken {
            store.write("messages", "DELETE FROM messages WHERE seq = ?", &[number(*seq)])?;
        }
        Ok(taken)
    }
}
