//! The loop over a journal: what it asks of a host's futures, and what it does with a host's errors.

use std::rc::Rc;

use booking_core::checkout::{Checkout, Impossible, Order, Performed};
use booking_core::effect::Step;
use booking_core::ids::PaymentMethodId;
use booking_core::journal::{Journal, run};
use booking_core::memory::{Log, Memory, MemoryJournal};
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
    let mut journal = MemoryJournal { memory: &mut memory, log: &mut log };
    assert!(ready(may_cross(run(&mut journal, checkout()))).is_ok());
}

#[test]
fn a_journal_may_stay_on_its_thread_too() {
    struct OnOneThread(Rc<str>);
    impl Journal for OnOneThread {
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

#[test]
fn outcomes_that_do_not_fit_are_for_a_person() {
    struct Broken;
    impl Journal for Broken {
        type Error = Failed;
        async fn perform(&mut self, _: Step) -> Result<Performed, Failed> {
            Ok(Vec::new().into())
        }
    }
    assert!(matches!(ready(run(&mut Broken, checkout())), Err(Failed::Impossible(Impossible::Count { .. }))));
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
