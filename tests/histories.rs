//! What clients saw of the hosts is what tickets could have done, one thing at a time; and the checker that says so is
//! right about thousands of histories, right ones and wrong ones.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails"
)]

use booking_core::testing::dice::Dice;
use tests::histories::checker::{Operation, Verdict, check};
use tests::histories::seat::{Ask, No, Said, Seat, Status};

/// Every order of these that the clock allows, tried one after the other: slow, and plain.
fn by_brute_force(history: &[Operation]) -> bool {
    fn go(history: &[Operation], left: &mut Vec<usize>, seat: &Seat) -> bool {
        if left.iter().all(|index| history[*index].answered.is_none()) {
            return true;
        }
        for at in 0..left.len() {
            let index = left.remove(at);
            let operation = &history[index];
            let too_early =
                left.iter().any(|other| history[*other].answered.is_some_and(|answered| answered < operation.asked));
            let before_its_time = operation.after.is_some_and(|before| left.contains(&before));
            let next = seat.after(&operation.ask, operation.said).filter(|_| !too_early && !before_its_time);
            let found = next.is_some_and(|next| go(history, left, &next));
            left.insert(at, index);
            if found {
                return true;
            }
        }
        false
    }
    go(history, &mut (0..history.len()).collect(), &Seat::default())
}

fn some_ask(dice: &mut Dice) -> Ask {
    let number = |dice: &mut Dice| u32::from(dice.between(1, 2));
    let (user, hold, checkout) = (number(dice), number(dice), number(dice));
    let status = *dice.one_of(&[Status::Available, Status::Reserved, Status::Sold]);
    match dice.below(9) {
        0 | 1 => Ask::Reserve { user, hold },
        2 => Ask::Release { hold },
        3 => Ask::Lapse { hold },
        4 => Ask::Get { status, by: (status != Status::Available).then_some(user), version: dice.below(3) as u64 },
        5 => Ask::Claim { checkout, user, hold },
        6 => Ask::Confirm { checkout },
        7 => Ask::Revoke { checkout },
        _ => Ask::Cleanup,
    }
}

fn some_said(dice: &mut Dice, unknown: u8) -> Said {
    if dice.chance(unknown) {
        return Said::Unknown;
    }
    *dice.one_of(&[
        Said::Yes,
        Said::Yes,
        Said::Yes,
        Said::No(No::Reserved),
        Said::No(No::Sold),
        Said::No(No::Expired),
        Said::No(No::InProgress),
        Said::No(No::NotFound),
    ])
}

/// Asked for at any time, answered anyhow.
fn any_history(dice: &mut Dice, length: usize) -> Vec<Operation> {
    let one = |_| {
        let asked = dice.below(12) as u64;
        let said = some_said(dice, 15);
        let answered = (said != Said::Unknown).then(|| asked + dice.below(8) as u64);
        Operation { asked, answered, ask: some_ask(dice), said, after: None }
    };
    let mut history: Vec<Operation> = (0..length).map(one).collect();
    for (index, operation) in history.iter_mut().enumerate().skip(1) {
        operation.after = dice.chance(20).then(|| dice.below(index));
    }
    history
}

/// What a ticket did, one thing at a time, seen by clients who asked a little earlier and heard a little later.
fn true_history(dice: &mut Dice, length: usize, unknown: u8) -> Vec<Operation> {
    let (mut seat, mut history) = (Seat::default(), Vec::new());
    while history.len() < length {
        let (ask, said) = (some_ask(dice), some_said(dice, unknown));
        let Some(next) = seat.after(&ask, said) else { continue };
        seat = next;
        let moment = 1_000 + 10 * history.len() as u64;
        let asked = moment - dice.below(60) as u64;
        let answered = (said != Said::Unknown).then(|| moment + dice.below(60) as u64);
        history.push(Operation { asked, answered, ask, said, after: None });
    }
    history
}

#[test]
fn the_checker_says_what_brute_force_says_of_thousands_of_histories() {
    let mut dice = Dice::new(7);
    let (mut right, mut wrong) = (0, 0);
    for round in 0..12_000 {
        let length = 1 + round % 6;
        let history =
            if dice.chance(50) { any_history(&mut dice, length) } else { true_history(&mut dice, length, 15) };
        let expected = by_brute_force(&history);
        let verdict = check(&history);
        assert_ne!(verdict, Verdict::Undecided);
        assert_eq!(matches!(verdict, Verdict::Linearizable(_)), expected, "{history:#?}");
        *(if expected { &mut right } else { &mut wrong }) += 1;
    }
    assert!(right > 3_000 && wrong > 3_000, "{right} right, {wrong} wrong");
}

#[test]
fn a_true_history_of_hundreds_of_operations_passes_and_its_order_is_one() {
    let mut dice = Dice::new(11);
    for _ in 0..300 {
        let history = true_history(&mut dice, 300, 2);
        let Verdict::Linearizable(order) = check(&history) else {
            panic!("a true history of {} is refused", history.len())
        };
        let mut seat = Seat::default();
        for (place, index) in order.iter().enumerate() {
            let Operation { asked, ask, said, .. } = history[*index];
            seat = seat.after(&ask, said).expect("the order is one that a ticket could have gone through");
            let too_early =
                order[place..].iter().any(|later| history[*later].answered.is_some_and(|answered| answered < asked));
            assert!(!too_early, "the order is one that the clock allows");
        }
    }
}

#[test]
fn a_history_that_was_true_until_somebody_lied_fails() {
    let mut dice = Dice::new(13);
    let (mut lies, mut found) = (0, 0);
    for _ in 0..2_000 {
        let mut history = true_history(&mut dice, 40, 2);
        // Seen without haste: then there is one order, and one lie is enough.
        for (place, operation) in history.iter_mut().enumerate() {
            operation.asked = 10 * place as u64;
            operation.answered = operation.answered.map(|_| 10 * place as u64 + 5);
        }
        let gets: Vec<usize> = (0..40).filter(|index| matches!(history[*index].ask, Ask::Get { .. })).collect();
        let Some(liar) = gets.last() else { continue };
        let Operation { ask: Ask::Get { status, by, .. }, said: Said::Yes, .. } = &mut history[*liar] else { continue };
        (*status, *by) = match status {
            Status::Available => (Status::Sold, Some(1)),
            Status::Reserved | Status::Sold => (Status::Available, None),
        };
        lies += 1;
        found += usize::from(matches!(check(&history), Verdict::Not(_)));
    }
    assert!(lies > 400, "only {lies} lies");
    // What is unknown may have happened just then: some lies may be true.
    assert!(found * 10 > lies * 4, "only {found} of {lies}");
}

#[test]
fn two_buyers_who_were_both_told_that_they_have_it_are_found() {
    let reserve = |user, hold, asked, answered| Operation {
        asked,
        answered: Some(answered),
        ask: Ask::Reserve { user, hold },
        said: Said::Yes,
        after: None,
    };
    assert_eq!(check(&[reserve(1, 1, 0, 10), reserve(2, 2, 0, 10)]), Verdict::Not(1));
    let released = Operation { ask: Ask::Release { hold: 1 }, ..reserve(1, 1, 3, 8) };
    assert!(matches!(check(&[reserve(1, 1, 0, 10), reserve(2, 2, 0, 10), released]), Verdict::Linearizable(_)));
    // Nobody heard whether it was released: it may have been.
    let unknown = Operation { answered: None, said: Said::Unknown, ..released };
    assert!(matches!(check(&[reserve(1, 1, 0, 10), reserve(2, 2, 0, 10), unknown]), Verdict::Linearizable(_)));
    // But not before it was asked.
    let late = Operation { asked: 11, ..unknown };
    assert_eq!(check(&[reserve(1, 1, 0, 10), reserve(2, 2, 0, 10), late]), Verdict::Not(1));
}

#[cfg(not(target_family = "wasm"))]
mod recorded {
    use tests::histories::recorder::{Load, record, shown};
    use tests::http::Client;
    use tests::server::Server;

    #[test]
    fn what_clients_saw_of_the_in_process_server_is_linearizable() {
        let requests = 100_000;
        let admin = "history-admin-token-0123456789abcdef";
        let server = Server::start_with(
            "serve",
            &["--payment-delay", "1ms", "--max-holds-per-user", "1000000"],
            &[("BOOKING_ADMIN_TOKEN", admin)],
        );
        let public = Client::new(&server.base);
        let recording = record(Load::of(requests, 8), &public, &public.with_token(admin));
        let _log = server.stop();
        assert!(recording.definite * 10 > (recording.definite + recording.unknown) * 9, "too few definite answers");
        let checked = recording.check();
        if let Some((ticket, history)) = checked.wrong.first() {
            panic!("ticket {ticket} is not linearizable:\n{}", shown(history));
        }
        assert_eq!(checked.undecided, Vec::<usize>::new());
        assert!(checked.operations > requests, "{} operations", checked.operations);
    }
}
