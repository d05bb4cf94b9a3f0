//! The loop over a journal: what it asks of a host's futures, and what it does with a host's errors.

use std::rc::Rc;

use booking_core::checkout::{Checkout, Impossible, Order, Performed};
use booking_core::effect::{Effect, Op, Outcome, Step};
use booking_core::format;
use booking_core::ids::PaymentMethodId;
use booking_core::inventory::LineReply;
use booking_core::journal::{self, Entry, Executor, Journal, Journaled, ReplayError, StepExecutor, run};
use booking_core::memory::{Log, Memory};
use booking_core::progress::CheckoutProgress;
use booking_core::terms::Terms;

use crate::support::*;

fn checkout() -> Checkout {
    let method = PaymentMethodId::parse("card_success").unwrap();
    let order = Order::new(vec![ticket_id("s1")], user("ann"), method, None).unwrap();
    Checkout::start(checkout_id("c"), order, at(NOW), &Terms::default())
}

#[test]
fn the_loop_may_cross_threads_where_its_journal_may() {
    fn may_cross<T: Send>(future: T) -> T {
        future
    }
    let (mut memory, mut log) = (Memory::new(at(NOW), Terms::default()), Log::start(&checkout()));
    let mut journal = memory.journaled(&mut log);
    assert!(ready(may_cross(run(&mut journal, checkout()))).is_ok());
}

#[test]
fn a_journal_may_stay_on_its_thread_too() {
    struct OnOneThread(Rc<str>);
    impl StepExecutor for OnOneThread {
        type Error = Failed;
        async fn perform(&mut self, _: Step) -> Result<Performed, Failed> {
            let why = Rc::clone(&self.0);
            std::future::ready(()).await;
            Err(Failed::Disk(why.to_string()))
        }
    }
    let failed = ready(run(&mut OnOneThread("full".into()), checkout()));
    assert_eq!(failed, Err(Failed::Disk("full".into())), "the host's own error is the host's to retry");
}

/// Two processes run one checkout over one journal. The other one has always come first, with outcomes of its own.
#[test]
fn of_two_that_run_one_checkout_both_go_by_what_was_recorded_first() {
    struct Second<'a>(&'a Log);
    impl Journal for Second<'_> {
        type Error = Impossible;
        async fn recorded(&mut self, _: &Op) -> Result<Option<Outcome>, Impossible> {
            Ok(None)
        }
        async fn record(&mut self, op: &Op, _: Outcome) -> Result<Outcome, Impossible> {
            Ok(self.0.outcome(op).cloned().expect("the other one has recorded it"))
        }
        async fn is_cancelled(&mut self, step: u32) -> Result<bool, Impossible> {
            Ok(self.0.is_cancelled(step))
        }
    }
    struct Silent;
    impl Executor for Silent {
        type Error = Impossible;
        async fn perform(&mut self, _: &Op, effect: Effect) -> Result<Outcome, Impossible> {
            Ok(match effect {
                Effect::Pay(payment) => Outcome::Paid(payment.unanswered()),
                Effect::Line(..) => Outcome::Line(Ok(LineReply::Claimed { fence: 9, prices: vec![unit_price()] })),
                Effect::Sleep(_) => Outcome::Slept { at: at(NOW) },
                Effect::Notify(_) => Outcome::Notified,
            })
        }
    }
    let (mut memory, mut log) = (Memory::new(at(NOW), Terms::default()), Log::start(&checkout()));
    let first = ready(run(&mut memory.journaled(&mut log), checkout())).unwrap();
    let mut second = Journaled { journal: Second(&log), executor: Silent };
    assert_eq!(ready(run(&mut second, checkout())).unwrap(), first);
}

#[test]
fn outcomes_that_do_not_fit_are_for_a_person() {
    struct Broken;
    impl StepExecutor for Broken {
        type Error = Failed;
        async fn perform(&mut self, _: Step) -> Result<Performed, Failed> {
            Ok(Performed::new(Vec::new(), false))
        }
    }
    assert!(matches!(ready(run(&mut Broken, checkout())), Err(Failed::Impossible(Impossible::Count { .. }))));
}

mod replay {
    use super::*;

    fn back(entries: &[Entry]) -> Result<CheckoutProgress, ReplayError> {
        let lines: Vec<Vec<u8>> = entries.iter().map(format::write).collect();
        journal::replay(lines.iter().map(Vec::as_slice))
    }
    fn started() -> Entry {
        Entry::Started(Box::new(checkout()))
    }
    fn held() -> Entry {
        let outcome = Outcome::Line(Ok(LineReply::Claimed { fence: 1, prices: vec![unit_price()] }));
        Entry::Ended { op: Op { checkout: checkout_id("c"), step: 0, index: 0 }, outcome }
    }
    fn cancelled(step: u32) -> Entry {
        Entry::Cancelled { step }
    }

    #[test]
    fn goes_on_where_it_stopped() {
        assert_eq!(back(&[started()]), Ok(CheckoutProgress::start(checkout())));
        assert_eq!(back(&[started(), held()]).unwrap().checkout().stage().name(), "authorising");
    }

    #[test]
    fn a_cancel_counts_for_the_step_that_it_came_in() {
        let turned_back = back(&[started(), cancelled(0), held()]).unwrap();
        assert_eq!(turned_back.checkout().stage().name(), "undoing");
        let asked_only = back(&[started(), held(), cancelled(1)]).unwrap();
        assert_eq!(asked_only.checkout().stage().name(), "authorising");
    }

    #[test]
    fn a_line_of_another_step_is_out_of_place() {
        assert_eq!(back(&[started(), cancelled(1), held()]), Err(ReplayError::OutOfPlace { line: 2 }));
        assert_eq!(back(&[started(), held(), cancelled(0)]), Err(ReplayError::OutOfPlace { line: 3 }));
        assert_eq!(back(&[started(), held(), held()]), Err(ReplayError::OutOfPlace { line: 3 }));
        assert_eq!(back(&[started(), started()]), Err(ReplayError::OutOfPlace { line: 2 }));
    }

    #[test]
    fn begins_with_the_start() {
        assert_eq!(back(&[]), Err(ReplayError::NoStart));
        assert_eq!(back(&[held()]), Err(ReplayError::NoStart));
    }

    #[test]
    fn names_the_line_that_it_cannot_use() {
        let op = Op { checkout: checkout_id("c"), step: 7, index: 0 };
        let stray = back(&[started(), Entry::Ended { op: op.clone(), outcome: Outcome::Notified }]);
        assert_eq!(stray, Err(ReplayError::Impossible { line: 2, why: Impossible::Stray { op } }));
        let start = format::write(&started());
        let cut = journal::replay([start.as_slice(), &start[..start.len() / 2]]);
        assert!(matches!(cut, Err(ReplayError::Unreadable { line: 2, .. })));
    }
}

/// A host's errors.
#[derive(Debug, PartialEq)]
enum Failed {
    Disk(String),
    Impossible(Impossible),
}

impl From<Impossible> for Failed {
    fn from(impossible: Impossible) -> Self {
        Self::Impossible(impossible)
    }
}
