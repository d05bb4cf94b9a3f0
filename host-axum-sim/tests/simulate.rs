//! The simulation finds nothing wrong with the engine and its store as they are, meets everything that is rare, and finds
//! what is planted between them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and this one shows what it found"
)]

use booking_core::effect::Op;
use booking_core::ids::PaymentKey;
use booking_core::payment::Payment;
use booking_core::wire::{Call, TicketCall};
use host_axum_sim::engine::{Input, Output};
use host_axum_sim::simulate::{FaultPoints, NoFaults, Simulation, Size, Trace};
use host_axum_sim::store::Record;

/// A host or a store that is wrong in one place.
struct Bug {
    name: &'static str,
    /// How many seeds it may take to find it.
    within: u64,
    fault_points: &'static dyn FaultPoints,
}

macro_rules! bugs {
    ($($bug:ident: $name:literal, within $within:literal, { $($wrong:tt)* })*) => {
        $(
            #[derive(Debug)]
            struct $bug;
            impl FaultPoints for $bug { $($wrong)* }
        )*
        const BUGS: &[Bug] = &[$(Bug { name: $name, within: $within, fault_points: &$bug },)*];
    };
}

fn without(mut records: Vec<Record>, is_it: impl Fn(&Record) -> bool) -> Vec<Record> {
    records.retain(|record| !is_it(record));
    records
}

bugs! {
    TrustsTheCache: "stored counts as synced", within 2_000, {
        fn trusts_what_is_not_synced(&self) -> bool {
            true
        }
    }
    HalfACommit: "half of a torn commit is found", within 20_000, {
        fn finds_of_a_torn_batch(&self, records: usize) -> usize {
            records / 2
        }
    }
    KeepsForEver: "what is forgotten stays on the disk", within 2_000, {
        fn forgets(&self) -> bool {
            false
        }
    }
    LooksDoNotWait: "a look does not wait for what it saw", within 5_000, {
        fn hurries(&self, input: &Input) -> bool {
            matches!(input, Input::Call(_, request) if matches!(request.call, Call::Ticket(_, TicketCall::Get(_))))
        }
    }
    RefusalsDoNotWait: "a refusal does not wait for what it rests on", within 5_000, {
        fn hurries(&self, input: &Input) -> bool {
            matches!(input, Input::Call(_, request) if matches!(request.call, Call::Ticket(_, TicketCall::Reserve { .. })))
        }
    }
    KeysAreNotStored: "idempotency keys are not stored", within 5_000, {
        fn written(&self, batch: Vec<Record>) -> Vec<Record> {
            without(batch, |record| matches!(record, Record::Key(..)))
        }
    }
    SeatsAreNotStored: "seats are not stored", within 2_000, {
        fn written(&self, batch: Vec<Record>) -> Vec<Record> {
            without(batch, |record| matches!(record, Record::Seat(..)))
        }
    }
    MarksAreNotStored: "that a checkout has ended is not stored", within 5_000, {
        fn written(&self, batch: Vec<Record>) -> Vec<Record> {
            without(batch, |record| matches!(record, Record::Ended(..)))
        }
    }
    TicketsAfterTheirCheckout: "a sale is stored without its checkout", within 5_000, {
        fn written(&self, batch: Vec<Record>) -> Vec<Record> {
            let is_sale = batch.iter().any(|record| matches!(record, Record::Seat(_, _, Some(ticket)) if ticket.state.sale().is_some()));
            without(batch, |record| is_sale && record.checkout().is_some())
        }
    }
    EndedAreNotRestored: "finished checkouts are not restored", within 5_000, {
        fn restored(&self, records: Vec<Record>) -> Vec<Record> {
            without(records, |record| record.checkout().is_some_and(|record| record.ended().is_some()))
        }
    }
    VersionsStartAnew: "a map's version starts anew after a crash", within 20_000, {
        fn restored(&self, mut records: Vec<Record>) -> Vec<Record> {
            for record in &mut records {
                if let Record::Map(_, Some(header)) = record {
                    header.version = 1;
                }
            }
            records
        }
    }
    NothingIsResumed: "the gateway is not asked again after a crash", within 5_000, {
        fn passes(&self, output: &Output, crashes: u8) -> bool {
            crashes == 0 || !matches!(output, Output::Pay(..))
        }
    }
    LettersAreForgotten: "a message is not sent again after a crash", within 20_000, {
        fn passes(&self, output: &Output, crashes: u8) -> bool {
            crashes == 0 || !matches!(output, Output::Deliver(_))
        }
    }
    AKeyForEachProcess: "each process pays under keys of its own", within 20_000, {
        fn payment(&self, op: &Op, payment: Payment, crashes: u8) -> Payment {
            match payment {
                Payment::Authorize(mut request) if crashes > 0 => {
                    request.key = PaymentKey::parse(&format!("{}:authorize:{crashes}", op.checkout)).unwrap();
                    Payment::Authorize(request)
                }
                payment => payment,
            }
        }
    }
    JumpsAreBelieved: "a calendar clock that jumps is believed at once", within 20_000, {
        fn believes_at_once(&self) -> bool {
            true
        }
    }
    ClocksAreSetInSilence: "what waits and what is kept is not moved when the calendar is set", within 60_000, {
        fn tells_of_the_clock(&self) -> bool {
            false
        }
    }
    AnswersAreLost: "an answer that waited for the disk is not given", within 2_000, {
        fn passes(&self, output: &Output, _crashes: u8) -> bool {
            !matches!(output, Output::Answer(_, answer) if answer.status == 409)
        }
    }
}

#[test]
fn as_it_is_nothing_is_broken_and_everything_rare_is_met() {
    let mut simulation = Simulation::new(&NoFaults, Size::SMALL);
    for seed in 0..60_000 {
        if let Err(trace) = simulation.run(seed) {
            panic!("seed {seed}: {}", serde_json::to_string_pretty(&trace.minimised(&NoFaults)).unwrap());
        }
    }
    let missing: Vec<&str> = simulation.coverage().missing(1).iter().map(|sight| sight.name()).collect();
    assert_eq!(missing, Vec::<&str>::new());
    assert!(simulation.endings()["booked"] > 10_000);
}

#[test]
fn larger_houses_too() {
    for (tickets, buyers, seeds) in [(8, 24, 300), (64, 64, 60)] {
        let mut simulation = Simulation::new(&NoFaults, Size { tickets, buyers, ..Size::SMALL });
        for seed in 0..seeds {
            assert_eq!(simulation.run(seed).err(), None, "seed {seed} of {tickets} tickets");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = |seed| Simulation::new(&NoFaults, Size::SMALL).run(seed).unwrap().to_vec();
    for seed in 0..200 {
        assert_eq!(run(seed), run(seed));
    }
}

/// The first seed that finds a bug, and its trace.
fn hunt(bug: &Bug) -> Option<(u64, Box<Trace>)> {
    let mut simulation = Simulation::new(bug.fault_points, Size::SMALL);
    (0..bug.within).find_map(|seed| Some((seed, simulation.run(seed).err()?)))
}

#[test]
fn every_planted_bug_is_found_and_its_trace_is_short_and_happens_again() {
    println!("{:52} {:>7} {:>7}  breaks", "planted bug", "seed", "actions");
    let mut not_found = Vec::new();
    for bug in BUGS {
        let Some((seed, trace)) = hunt(bug) else {
            not_found.push(bug.name);
            continue;
        };
        let short = trace.minimised(bug.fault_points);
        println!("{:52} {seed:7} {:7}  {}", bug.name, short.actions.len(), short.promise);
        assert!(short.actions.len() <= trace.actions.len());
        assert!(short.actions.len() < 25, "{}: {} actions", bug.name, short.actions.len());
        // As it would be read from a file, with the bug and without.
        let read: Trace = serde_json::from_str(&serde_json::to_string(&short).unwrap()).unwrap();
        assert_eq!(read, short);
        let again = read.replay(bug.fault_points).map(|_| ()).unwrap_err();
        assert_eq!((again.promise, again.what), (short.promise.as_str(), short.what.clone()), "{}", bug.name);
        assert_eq!(read.replay(&NoFaults).map(|_| ()), Ok(()), "{}: it is the bug that breaks it", bug.name);
    }
    assert_eq!(not_found, Vec::<&str>::new());
    assert!(BUGS.len() >= 12);
}
