//! Two buyers want one seat: whole checkouts on the in-memory host, run again over their journals.
//!
//! `cargo run -p booking-core --example one_checkout`

use booking_core::checkout::{Checkout, Order};
use booking_core::ids::{CheckoutId, PaymentMethodId, TicketId, UserId};
use booking_core::journal::{replay, run};
use booking_core::memory::{Log, Memory};
use booking_core::terms::Terms;
use booking_core::time::Timestamp;
use booking_core::wire::answer;
use std::task::{Context, Poll, Waker};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A host: tickets, maps, timers and a mock gateway in BTreeMaps. Time is what we say it is.
    let mut memory = Memory::new(Timestamp::from_millis(1_700_000_000_000), Terms::default());
    let seat = TicketId::parse("arena:A:12")?;

    for buyer in ["ann", "bob"] {
        // What a buyer wants, and the checkout that will get it or put everything back.
        let method = PaymentMethodId::parse("card_success")?;
        let order = Order::new(vec![seat.clone()], UserId::parse(buyer)?, method, None)?;
        let id = CheckoutId::parse(&format!("checkout-of-{buyer}"))?;
        let checkout = Checkout::start(id, order, memory.now(), &memory.terms);

        // The loop, over a journal that records how each effect ended.
        let mut log = Log::start(&checkout);
        let ending = block_on(run(&mut memory.journaled(&mut log), checkout.clone()))?;

        // Had the process died anywhere, the same loop over the same journal would end alike, and charge no one twice.
        let again = block_on(run(&mut memory.journaled(&mut log), checkout))?;
        assert_eq!(ending, again);

        // The journal as it would lie on a disk, and the checkout read back from it.
        let lines: Vec<Vec<u8>> = log.lines().collect();
        let read_back = replay(lines.iter().map(Vec::as_slice))?;
        let answer = answer::processed(&read_back);
        show(&format!("{buyer}: {} {}", answer.status, answer.body));
        show(&format!("     a journal of {} lines\n", lines.len()));
    }

    let view = memory.ticket(&seat).get(memory.now());
    show(&format!("{seat}: {}", answer::ticket_view(&view).body));
    show(&format!("the gateway took money {} time(s)", captures(&memory)));
    Ok(())
}

fn captures(memory: &Memory) -> usize {
    memory.ledger().accounts().filter(|(_, account)| account.captured.is_some()).count()
}

/// The in-memory host never waits, so any executor will do; this is the smallest.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

#[allow(clippy::print_stdout, reason = "an example shows what it does")]
fn show(line: &str) {
    println!("{line}");
}
