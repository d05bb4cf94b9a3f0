//! Where a host and its store do their part, so that a test can have them do it wrongly.

use std::fmt;

use booking_core::effect::Op;
use booking_core::payment::Payment;

use crate::engine::{Input, Output};
use crate::store::Record;

/// Every place at which something between the engine, its disk and the outside world could be done wrongly. What is not
/// overridden is as it should be, so a planted bug says in a few lines what is wrong about it.
pub trait FaultPoints: fmt::Debug + Sync {
    /// What reaches the disk of a batch.
    fn written(&self, batch: Vec<Record>) -> Vec<Record> {
        batch
    }

    /// How many of the records of a batch that was torn are found after a crash: none, or it would be half done.
    fn finds_of_a_torn_batch(&self, _records: usize) -> usize {
        0
    }

    /// Whether what is forgotten goes from the disk.
    fn forgets(&self) -> bool {
        true
    }

    /// Whether the host tells the engine that a batch is stored when it is written, and not synced yet.
    fn trusts_what_is_not_synced(&self) -> bool {
        false
    }

    /// Whether an input that has changed nothing waits for nothing.
    fn hurries(&self, _input: &Input) -> bool {
        false
    }

    /// What an engine is restored from.
    fn restored(&self, records: Vec<Record>) -> Vec<Record> {
        records
    }

    /// Whether an output reaches the host. `crashes` counts those so far.
    fn passes(&self, _output: &Output, _crashes: u8) -> bool {
        true
    }

    /// Whether a calendar that jumps is believed at once.
    fn believes_at_once(&self) -> bool {
        false
    }

    /// Whether the host tells the engine that the calendar was set.
    fn tells_of_the_clock(&self) -> bool {
        true
    }

    /// What the gateway is asked. `crashes` counts those so far.
    fn payment(&self, _op: &Op, payment: Payment, _crashes: u8) -> Payment {
        payment
    }
}

/// As it should be.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFaults;

impl FaultPoints for NoFaults {}
