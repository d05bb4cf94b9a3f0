//! A disk as disks are: what is written is there for good only once it was synced.
//!
//! ```text
//!  engine ──▶ queue ──write──▶ written ──sync──▶ durable
//!                                 └── at a crash: lost, or kept by luck, or torn
//! ```

use std::collections::{BTreeMap, VecDeque};

use booking_core::format;

use super::seams::Seams;
use crate::store::{Record, Seq};

/// The disk of a run.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// What waits to be written.
    pub(super) queue: VecDeque<(Seq, Vec<Record>)>,
    /// What is written and not synced.
    pub(super) written: VecDeque<(Seq, Vec<Record>)>,
    /// What a crash cannot take away, by its key.
    pub(super) durable: BTreeMap<Vec<u8>, Record>,
    /// The newest batch of that.
    pub(super) last: Seq,
    /// Whether each record goes through its stored form, as it would on a real disk.
    pub(super) through_bytes: bool,
}

/// What a crash found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// How many batches were written, not synced, and are there all the same.
    pub(super) kept: usize,
    /// How many are gone.
    pub(super) gone: usize,
    /// Whether one was torn.
    pub(super) torn: bool,
}

impl Disk {
    /// Takes the oldest batch of those that wait; its number.
    pub(super) fn write(&mut self, seams: &dyn Seams) -> Option<Seq> {
        let (seq, records) = self.queue.pop_front()?;
        self.written.push_back((seq, seams.written(records)));
        Some(seq)
    }

    /// What is written is there for good; the number of the newest batch of that, and how many these are.
    pub(super) fn sync(&mut self, seams: &dyn Seams) -> Option<(Seq, usize)> {
        let (count, last) = (self.written.len(), self.written.back()?.0);
        while let Some((_, records)) = self.written.pop_front() {
            self.take_in(records, seams);
        }
        self.last = last;
        Some((last, count))
    }

    fn take_in(&mut self, records: Vec<Record>, seams: &dyn Seams) {
        for record in records {
            let record = if self.through_bytes {
                format::read(&format::write(&record)).expect("what this build writes, it reads")
            } else {
                record
            };
            let key = record.key();
            if record.is_forgotten() && seams.forgets() {
                self.durable.remove(&key);
            } else if !record.is_forgotten() {
                self.durable.insert(key, record);
            }
        }
    }

    /// The power goes: of what was written and not synced, some is there by luck, and the next may be torn.
    pub(super) fn crash(&mut self, keeps: usize, tears: bool, seams: &dyn Seams) -> Lost {
        let kept = keeps.min(self.written.len());
        for _ in 0..kept {
            let (seq, records) = self.written.pop_front().expect("just counted");
            self.take_in(records, seams);
            self.last = seq;
        }
        let torn = tears && !self.written.is_empty();
        if torn {
            let (_, mut records) = self.written.pop_front().expect("just looked at");
            // Of a batch that is not whole, a store that keeps its word finds nothing.
            records.truncate(seams.finds_of_a_torn_batch(records.len()));
            self.take_in(records, seams);
        }
        let gone = self.written.len() + self.queue.len() + usize::from(torn);
        self.written.clear();
        self.queue.clear();
        Lost { kept, gone, torn }
    }

    /// The record of a checkout as it is for good.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Record> {
        self.durable.get(key)
    }
}
