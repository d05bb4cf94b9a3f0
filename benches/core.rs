//! The core on one thread, in memory: transitions, whole checkouts, replay, parsing and answering.
//!
//! `cargo bench -p benches --bench core`

#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use booking_core::checkout::{Checkout, Order};
use booking_core::ids::{CheckoutId, HoldId, PaymentMethodId, TicketId, UserId};
use booking_core::journal::{replay, run};
use booking_core::map::ticket::{MakeClaim, Offer, Reserve, Ticket, TicketCommand};
use booking_core::map::{SeatMap, SeatMapCommand};
use booking_core::memory::{Log, Memory};
use booking_core::progress::CheckoutProgress;
use booking_core::terms::Terms;
use booking_core::time::Timestamp;
use booking_core::wire::{self, Door, answer};
use booking_core::{format, turn};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn ticket_id(id: &str) -> TicketId {
    TicketId::parse(id).expect("a good id")
}
fn user(id: &str) -> UserId {
    UserId::parse(id).expect("a good id")
}
fn hold(id: &str) -> HoldId {
    HoldId::parse(id).expect("a good id")
}

fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("the memory host never waits"),
    }
}

/// What happens to a seat that is sold and put back on sale: hold, release, hold, claim, confirm, revoke, release.
/// Every command is accepted and every one is a change.
fn life_of_a_seat() -> Vec<SeatMapCommand> {
    let terms = Terms::default();
    let (until, deadline) = (NOW.plus(terms.hold_ttl.length()), NOW.plus(terms.checkout_time));
    let checkout = CheckoutId::parse("checkout-1").expect("a good id");
    let hold = hold("hold-1");
    let reserve = TicketCommand::Reserve(reserve("user-1", hold.clone()));
    let release = TicketCommand::Release { hold: hold.clone(), nth: None, until };
    let claim = MakeClaim {
        user: user("user-1"),
        hold: hold.clone(),
        brought: true,
        checkout: checkout.clone(),
        deadline,
        offer: offer(),
    };
    let commands = vec![
        reserve.clone(),
        release.clone(),
        reserve,
        TicketCommand::Claim(claim),
        TicketCommand::Confirm { hold: hold.clone(), checkout: checkout.clone(), fence: 4 },
        TicketCommand::Revoke { hold, checkout, deadline },
        release,
    ];
    commands.into_iter().map(|command| SeatMapCommand::Seats { seats: ticket_id("a").into(), command }).collect()
}

fn offer() -> Offer {
    Offer { edition: 0, prices: vec![Terms::default().default_price()], room: Terms::ROOM }
}

fn reserve(by: &str, hold: HoldId) -> Reserve {
    let until = NOW.plus(Terms::default().hold_ttl.length());
    Reserve { user: user(by), hold, nth: None, until, latest: until, offer: offer() }
}

fn transitions(c: &mut Criterion) {
    let mut group = c.benchmark_group("map");
    let commands = life_of_a_seat();
    group.throughput(Throughput::Elements(commands.len() as u64));
    group.bench_function("transitions", |b| {
        b.iter(|| {
            let mut map = SeatMap::default();
            for command in &commands {
                let turn = turn(&mut map, black_box(command), NOW);
                black_box(turn.notices());
                assert!(turn.stored().is_ok());
            }
            assert_eq!(map.version(), 7);
            map
        });
    });
    let mut held = SeatMap::default();
    let reserved = turn(&mut held, &commands[0], NOW).stored();
    assert!(reserved.is_ok());
    let command = TicketCommand::Reserve(reserve("user-2", hold("hold-9")));
    let refused = SeatMapCommand::Seats { seats: ticket_id("a").into(), command };
    group.throughput(Throughput::Elements(1));
    group.bench_function("refusal", |b| {
        b.iter(|| {
            let outcome = turn(&mut held, black_box(&refused), NOW).stored();
            assert!(outcome.is_err());
        });
    });
    let held = held.ticket(&ticket_id("a")).expect("it is held").clone();
    let stored = format::write(&held);
    group.bench_function("a seat's stored form, written", |b| b.iter(|| format::write(black_box(&held))));
    group.bench_function("a seat's stored form, read", |b| b.iter(|| format::read::<Ticket>(black_box(&stored))));
    group.finish();
}

/// Checkouts of one ticket each, and a fresh house to run them in.
fn checkouts(count: usize) -> (Memory, Vec<Checkout>) {
    let memory = Memory::new(NOW, Terms::default());
    let method = PaymentMethodId::parse("card_success").expect("a good id");
    let checkout = |i| {
        let id = CheckoutId::parse(&format!("checkout-{i}")).expect("a good id");
        let order =
            Order::new(vec![ticket_id(&format!("arena:{}:{i}", i / 100))], user("user-1"), method.clone(), None);
        Checkout::start(id, order.expect("one ticket"), NOW, &memory.terms)
    };
    let checkouts = (0..count).map(checkout).collect();
    (memory, checkouts)
}

fn whole_checkouts(c: &mut Criterion) {
    const COUNT: usize = 1000;
    let mut group = c.benchmark_group("checkout");
    group.throughput(Throughput::Elements(COUNT as u64));
    group.bench_function("whole, pulled over a journal", |b| {
        b.iter_batched(
            || checkouts(COUNT),
            |(mut memory, checkouts)| {
                for checkout in checkouts {
                    let mut log = Log::start(&checkout);
                    let ending = now_or_never(run(&mut memory.journaled(&mut log), checkout));
                    assert!(ending.is_ok());
                    black_box(log);
                }
                assert_eq!(memory.mailbox().len(), COUNT);
                memory
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("whole, pushed", |b| {
        b.iter_batched(
            || checkouts(COUNT),
            |(mut memory, checkouts)| {
                for checkout in checkouts {
                    let mut running = CheckoutProgress::start(checkout);
                    while running.ending().is_none() {
                        for (op, effect) in running.pending() {
                            let outcome = memory.perform(effect);
                            assert!(running.record(&op, outcome).is_ok());
                        }
                    }
                }
                assert_eq!(memory.mailbox().len(), COUNT);
                memory
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn journals(c: &mut Criterion) {
    let (mut memory, mut all) = checkouts(1);
    let checkout = all.remove(0);
    let mut log = Log::start(&checkout);
    let ended = now_or_never(run(&mut memory.journaled(&mut log), checkout.clone()));
    assert!(ended.is_ok());
    let lines: Vec<Vec<u8>> = log.lines().collect();
    let mut group = c.benchmark_group("journal");
    group.throughput(Throughput::Elements(1));
    group.bench_function("replay from bytes", |b| {
        b.iter(|| replay(black_box(&lines).iter().map(Vec::as_slice)).expect("its own journal"));
    });
    group.bench_function("run again over a whole journal", |b| {
        b.iter(|| {
            let mut journal = memory.journaled(&mut log);
            now_or_never(run(&mut journal, black_box(&checkout).clone())).expect("its own journal")
        });
    });
    group.finish();
}

fn over_the_wire(c: &mut Criterion) {
    let mut group = c.benchmark_group("wire");
    group.throughput(Throughput::Elements(1));
    let reserve = br#"{"userId":"user-1","holdId":"6f1c2a9e5b8d4f7093a1","ttlMs":600000}"#;
    group.bench_function("parse reserve", |b| {
        b.iter(|| wire::parse(Door::Public, "POST", black_box("/Ticket/arena:A:12/reserve"), black_box(reserve)));
    });
    let process = br#"{"ticketIds":["arena:A:12","arena:A:13"],"userId":"user-1","paymentMethodId":"card_success"}"#;
    group.bench_function("parse process", |b| {
        b.iter(|| wire::parse(Door::Public, "POST", black_box("/Checkout/process"), black_box(process)));
    });
    group.bench_function("parse get", |b| {
        b.iter(|| wire::parse(Door::Public, "GET", black_box("/Ticket/arena:A:12/get"), b""));
    });
    group.bench_function("parse and refuse", |b| {
        b.iter(|| {
            wire::parse(Door::Public, "POST", black_box("/Ticket/arena:A:12/reserve"), black_box(b"{\"userId\":7}"))
        });
    });
    let (mut memory, mut all) = checkouts(1);
    let mut running = CheckoutProgress::start(all.remove(0));
    while running.ending().is_none() {
        for (op, effect) in running.pending() {
            let outcome = memory.perform(effect);
            assert!(running.record(&op, outcome).is_ok());
        }
    }
    let view = memory.ticket(&ticket_id("arena:0:0")).get(NOW);
    group.bench_function("answer get", |b| b.iter(|| answer::ticket_view(black_box(&view))));
    group.bench_function("answer process", |b| b.iter(|| answer::processed(black_box(&running))));
    group.finish();
}

fn config() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4)).sample_size(30)
}

criterion_group! { name = core; config = config(); targets = transitions, whole_checkouts, journals, over_the_wire }
criterion_main!(core);
