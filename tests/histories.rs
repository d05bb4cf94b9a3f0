//! What clients saw of the hosts is what tickets could have done, one thing at a time; and the checker that says so is
//! right about thousands of histories, right ones and wrong ones.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on fails"
)]

use booking_core::dice::Dice;
use tests::histories::checker::{Operation, Verdict, after, check, may_come};
use tests::histories::seat::{Ask, No, Said, Seat, Status};

#[test]
fn a_reset_is_refused_for_a_checkout_that_is_under_way_and_for_no_other() {
    let operation = |asked, answered, ask, said| Operation {
        asked,
        answered: Some(answered),
        ask,
        said,
        version: None,
        after: None,
    };
    let refused = |asked| {
        let claim = Ask::Claim { checkout: 1, user: 1, hold: 1, brought: false };
        let history = [
            operation(0, 9, claim, Said::Yes),
            operation(0, 9, Ask::Confirm { checkout: 1 }, Said::Yes),
            operation(asked, asked + 1, Ask::ResetAll, Said::No(No::InProgress)),
        ];
        matches!(check(&history), Verdict::Linearizable(_))
    };
    assert!(refused(5) && refused(8), "its buyer was told later");
    assert!(!refused(10), "its buyer knew that it was over");
}

/// Every order of these that the clock allows, tried one after the other: slow, and plain.
fn by_brute_force(seat: &Seat, history: &[Operation]) -> bool {
    fn go(history: &[Operation], left: &mut Vec<usize>, seat: &Seat) -> bool {
        if left.iter().all(|index| history[*index].answered.is_none()) {
            return true;
        }
        for at in 0..left.len() {
            let index = left.remove(at);
            let operation = &history[index];
            let too_early =
                left.iter().any(|other| history[*other].answered.is_some_and(|answered| answered < operation.asked));
            let before_its_time = !may_come(history, index, |before| before != index && !left.contains(&before));
            let next = after(history, seat, index).filter(|_| !too_early && !before_its_time);
            let found = next.is_some_and(|next| go(history, left, &next));
            left.insert(at, index);
            if found {
                return true;
            }
        }
        false
    }
    go(history, &mut (0..history.len()).collect(), seat)
}

fn some_ask(dice: &mut Dice) -> Ask {
    let number = |dice: &mut Dice| u32::from(dice.between(1, 3));
    let (user, hold, checkout) = (number(dice), number(dice), number(dice));
    let status = *dice.one_of(&[Status::Available, Status::Reserved, Status::Sold]);
    match dice.below(9) {
        0 | 1 => Ask::Reserve { user, hold },
        2 => Ask::Release { hold },
        3 => Ask::Lapse { hold },
        4 => Ask::Get { status, by: (status != Status::Available).then_some(user) },
        5 => Ask::Claim { checkout, user, hold, brought: dice.chance(30) },
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
        let version = (said != Said::Unknown && dice.chance(50)).then(|| dice.below(3) as u64);
        Operation { asked, answered, ask: some_ask(dice), said, version, after: None }
    };
    let mut history: Vec<Operation> = (0..length).map(one).collect();
    for index in 1..length {
        let before = dice.below(index);
        let is_answered = |index: usize| history[index].answered.is_some();
        let is_possible = is_answered(before) || !is_answered(index);
        history[index].after = (is_possible && dice.chance(20)).then_some(before);
    }
    history
}

/// What a ticket did, one thing at a time, seen by clients who asked a little earlier and heard a little later.
fn true_history(dice: &mut Dice, length: usize, unknown: u8) -> Vec<Operation> {
    let (mut seat, mut history) = (Seat::default(), Vec::new());
    while history.len() < length {
        let (ask, said) = (some_ask(dice), some_said(dice, unknown));
        let told = said != Said::Unknown && dice.chance(70);
        let version = told.then(|| seat.least_version() + dice.below(3) as u64);
        let Some(next) = seat.after(&ask, said, version) else { continue };
        seat = next;
        let moment = 1_000 + 10 * history.len() as u64;
        let asked = moment - dice.below(40) as u64;
        let answered = (said != Said::Unknown).then(|| moment + dice.below(40) as u64);
        history.push(Operation { asked, answered, ask, said, version, after: None });
    }
    history
}

#[test]
fn the_checker_says_what_brute_force_says_of_thousands_of_histories() {
    let mut dice = Dice::new(7);
    let (mut right, mut wrong) = (0, 0);
    for round in 0..400_000 {
        let length = 1 + round % 6;
        let is_any = dice.chance(50);
        let history = if is_any { any_history(&mut dice, length) } else { true_history(&mut dice, length, 15) };
        let expected = by_brute_force(&Seat::default(), &history);
        let verdict = check(&history);
        assert_ne!(verdict, Verdict::Undecided);
        assert_eq!(matches!(verdict, Verdict::Linearizable(_)), expected, "{history:#?}");
        *(if expected { &mut right } else { &mut wrong }) += 1;
    }
    assert!(right > 30_000 && wrong > 30_000, "{right} right, {wrong} wrong");
}

#[test]
fn a_true_history_of_hundreds_of_operations_passes_and_its_order_is_one() {
    let mut dice = Dice::new(11);
    for _ in 0..300 {
        let history = true_history(&mut dice, 300, 2);
        let order = match check(&history) {
            Verdict::Linearizable(order) => order,
            verdict => panic!("a true history of {} is said to be {verdict:?}", history.len()),
        };
        let mut seat = Seat::default();
        for (place, index) in order.iter().enumerate() {
            let Operation { asked, ask, said, version, .. } = history[*index];
            seat = seat.after(&ask, said, version).expect("the order is one that a ticket could have gone through");
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
        version: None,
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

#[test]
fn versions_tell_an_order_that_the_clock_does_not() {
    let at = |ask, said, version| Operation {
        asked: 0,
        answered: Some(100),
        ask,
        said,
        version: Some(version),
        after: None,
    };
    let reserve = |user, said, version| at(Ask::Reserve { user, hold: user }, said, version);
    let released = |version| at(Ask::Release { hold: 1 }, Said::Yes, version);
    // All at once, and yet there is one order: the first hold, a refusal, its end, the second hold.
    let history =
        [reserve(2, Said::Yes, 3), reserve(3, Said::No(No::Reserved), 1), released(2), reserve(1, Said::Yes, 1)];
    assert_eq!(check(&history), Verdict::Linearizable(vec![3, 1, 2, 0]));
    // A version that no change made, one that two changes made, and one that is missing.
    for wrong in [
        vec![reserve(1, Said::Yes, 2)],
        vec![reserve(1, Said::Yes, 1), released(1)],
        vec![reserve(1, Said::Yes, 1), released(3)],
        vec![reserve(1, Said::Yes, 1), reserve(2, Said::No(No::Reserved), 0)],
    ] {
        assert!(matches!(check(&wrong), Verdict::Not(_)), "{wrong:#?}");
    }
    // A request whose answer was lost may have made the missing change.
    let lost = Operation { answered: None, version: None, ..reserve(2, Said::Unknown, 0) };
    let history = [
        reserve(1, Said::Yes, 1),
        released(2),
        at(Ask::Get { status: Status::Reserved, by: Some(2) }, Said::Yes, 3),
        lost,
    ];
    assert_eq!(check(&history), Verdict::Linearizable(vec![0, 1, 3, 2]));
}

#[test]
fn a_hold_that_was_given_back_may_be_had_again_and_one_that_is_brought_has_to_be_there() {
    let yes =
        |asked, ask| Operation { asked, answered: Some(asked + 5), ask, said: Said::Yes, version: None, after: None };
    let reserve = Ask::Reserve { user: 1, hold: 1 };
    let claim = |brought| Ask::Claim { checkout: 7, user: 1, hold: 1, brought };
    let history = |last| [yes(0, reserve), yes(10, Ask::Release { hold: 1 }), last];
    assert!(matches!(check(&history(yes(20, reserve))), Verdict::Linearizable(_)));
    assert!(matches!(check(&history(yes(20, claim(false)))), Verdict::Linearizable(_)));
    assert!(matches!(check(&history(yes(20, claim(true)))), Verdict::Not(_)));
    let refused = Operation { said: Said::No(No::Expired), ..yes(20, claim(true)) };
    assert!(matches!(check(&history(refused)), Verdict::Linearizable(_)));
}

#[test]
fn a_lapse_counts_when_the_ticket_records_it_by_a_timer_or_with_the_next_change() {
    let at = |asked, ask, version| Operation {
        asked,
        answered: Some(asked + 5),
        ask,
        said: Said::Yes,
        version: Some(version),
        after: None,
    };
    let held = at(0, Ask::Reserve { user: 1, hold: 1 }, 1);
    let lapse = Operation { version: None, after: Some(0), ..at(10, Ask::Lapse { hold: 1 }, 0) };
    let free = Ask::Get { status: Status::Available, by: None };
    let history =
        |looked: u64, again: u64| [held, lapse, at(20, free, looked), at(30, Ask::Reserve { user: 2, hold: 2 }, again)];
    // Not recorded when it was looked at; then with the change, or by a timer before it. Or recorded already.
    for (looked, again) in [(1, 2), (1, 3), (2, 3)] {
        assert!(matches!(check(&history(looked, again)), Verdict::Linearizable(_)), "{looked} {again}");
    }
    for (looked, again) in [(1, 1), (1, 4), (2, 2), (3, 4), (0, 2)] {
        assert!(matches!(check(&history(looked, again)), Verdict::Not(_)), "{looked} {again}");
    }
}

#[cfg(not(target_family = "wasm"))]
mod recorded {
    use tests::histories::recorder::{Load, record};
    use tests::http::Client;
    use tests::server::Server;
    use tests::size;

    #[test]
    fn what_clients_saw_of_the_in_process_server_is_linearizable() {
        let requests = size(20_000, 100_000);
        let admin = "history-admin-token-0123456789abcdef";
        let server = Server::start_with(
            "serve",
            &["--payment-delay", "1ms", "--max-holds-per-user", "1000000"],
            &[("BOOKING_ADMIN_TOKEN", admin)],
        );
        let public = Client::new(&server.base);
        let recording = record(Load::of(requests, 8), &public, &public.with_token(admin));
        let _log = server.stop();
        recording.is_linearizable("in-process", requests).unwrap_or_else(|why| panic!("{why}"));
        recording.planted_lies_are_found().unwrap_or_else(|why| panic!("{why}"));
    }
}
