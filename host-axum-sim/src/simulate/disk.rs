//! A disk as disks are: what is written is there for good only once it was synced.
//!
//! ```text
//!  engine ──▶ queue ──write──▶ written ──sync──▶ durable
//!                                 └── at a crash: lost, or there by luck, or torn
//! ```
//!
//! What is synced together is one commit, all or nothing. In some runs it goes through the very bytes that a
//! [`Directory`](booking_log::Directory) writes, and comes back from what a crash has left of them.

use std::collections::{BTreeMap, VecDeque};

use booking_core::format;
use serde::{Deserialize, Serialize};

use super::fault_points::FaultPoints;
use crate::store::{Record, Seq};
use booking_log::frame::{Chain, Frames, Kind, Stop, append, entries, put};

/// What a crash makes of what is written and not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Unsynced {
    /// It is lost.
    Lost,
    /// It is there all the same.
    Kept,
    /// Its beginning is there: this number of thousandths of it.
    Torn(u16),
}

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
    /// The bytes of all that, in runs in which it goes through them.
    log: Option<Log>,
}

/// A log, as it is on a disk.
#[derive(Debug, Default)]
struct Log {
    bytes: Vec<u8>,
    chain: Chain,
    number: u64,
}

/// What a crash found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    /// How many batches were written, not synced, and are there all the same.
    pub(super) kept: usize,
    /// How many are gone.
    pub(super) gone: usize,
    /// Whether some of what was written was torn.
    pub(super) torn: bool,
}

impl Disk {
    /// From now on all of it goes through bytes.
    pub(super) fn through_bytes(&mut self) {
        self.log = Some(Log::default());
    }

    /// Takes the oldest batch of those that wait; its number.
    pub(super) fn write(&mut self, fault_points: &dyn FaultPoints) -> Option<Seq> {
        let (seq, records) = self.queue.pop_front()?;
        self.written.push_back((seq, fault_points.written(records)));
        Some(seq)
    }

    /// What is written is there for good; the number of the newest batch of that, and how many these are.
    pub(super) fn sync(&mut self, fault_points: &dyn FaultPoints) -> Option<(Seq, usize)> {
        let (count, last) = (self.written.len(), self.written.back()?.0);
        let records = self.written.drain(..).flat_map(|(_, records)| records).collect();
        self.take_in(records, fault_points);
        self.last = last;
        Some((last, count))
    }

    fn take_in(&mut self, records: Vec<Record>, fault_points: &dyn FaultPoints) {
        if let Some(log) = &mut self.log {
            let frame = log.frame(&records, fault_points);
            log.bytes.extend(frame);
        }
        for record in records {
            let key = record.key();
            if record.is_forgotten() && fault_points.forgets() {
                self.durable.remove(&key);
            } else if !record.is_forgotten() {
                self.durable.insert(key, record);
            }
        }
    }

    /// The power goes: what was written and not synced is there by luck, or is not, or is torn.
    pub(super) fn crash(&mut self, unsynced: Unsynced, fault_points: &dyn FaultPoints) -> Lost {
        let (written, last) = (self.written.len(), self.written.back().map(|(seq, _)| *seq));
        let mut records: Vec<Record> = self.written.drain(..).flat_map(|(_, records)| records).collect();
        let mut lost = Lost { kept: 0, gone: written + self.queue.len(), torn: false };
        self.queue.clear();
        match unsynced {
            Unsynced::Lost => {}
            Unsynced::Kept => {
                (lost.kept, lost.gone) = (written, lost.gone - written);
                self.last = last.unwrap_or(self.last);
                self.take_in(records, fault_points);
            }
            Unsynced::Torn(thousandths) if !records.is_empty() => {
                lost.torn = true;
                if let Some(log) = &mut self.log {
                    log.tear(&records, thousandths, fault_points);
                }
                // Of a commit that is not whole, a store that keeps its word finds nothing.
                records.truncate(fault_points.finds_of_a_torn_batch(records.len()));
                self.take_in(records, fault_points);
            }
            Unsynced::Torn(_) => {}
        }
        if let Some(log) = &mut self.log {
            let found = log.read();
            let is_same = found.len() == self.durable.len()
                && found.iter().zip(&self.durable).all(|((key, value), (is, record))| {
                    key == is && format::read::<Record>(value).as_ref() == Ok(record)
                });
            assert!(is_same, "what was written to a log comes back from it");
        }
        lost
    }

    /// The record under a key, as it is for good.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Record> {
        self.durable.get(key)
    }
}

impl Log {
    /// The frame of a commit, as if it were written.
    fn frame(&mut self, records: &[Record], fault_points: &dyn FaultPoints) -> Vec<u8> {
        let mut frame = Vec::new();
        self.number += 1;
        append(&mut frame, &mut self.chain, Kind::Commit, self.number, |payload| {
            for record in records.iter().filter(|record| fault_points.forgets() || !record.is_forgotten()) {
                let value = (!record.is_forgotten()).then(|| format::write(record));
                put(payload, (&record.key(), value.as_deref()));
            }
        });
        frame
    }

    /// Writes the beginning of a frame, and never its end; finds it torn, and cuts it off.
    fn tear(&mut self, records: &[Record], thousandths: u16, fault_points: &dyn FaultPoints) {
        let (whole, chain, number) = (self.bytes.len(), self.chain, self.number);
        let frame = self.frame(records, fault_points);
        let part = frame.len() * usize::from(thousandths.min(999)) / 1000;
        self.bytes.extend_from_slice(&frame[..part]);
        (self.chain, self.number) = (chain, number);
        let found = self.read();
        drop(found);
        assert_eq!(self.bytes.len(), whole, "what was torn is cut off, and nothing else");
    }

    /// What the log says is stored, as after a start.
    fn read(&mut self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut frames = Frames::new(&self.bytes[..], Some(Chain::default()), 0);
        let stop = loop {
            match frames.next_frame().expect("memory can be read") {
                Ok(frame) => {
                    for entry in entries(&frame.payload) {
                        let (key, value) = entry.expect("a frame that is whole can be read");
                        match value {
                            Some(value) => drop(found.insert(key.to_vec(), value.to_vec())),
                            None => drop(found.remove(key)),
                        }
                    }
                }
                Err(stop) => break stop,
            }
        };
        assert!(matches!(stop, Stop::End | Stop::Torn), "a crash damages nothing: {stop:?}");
        let whole = usize::try_from(frames.at()).expect("it is in memory");
        self.bytes.truncate(whole);
        found
    }
}
