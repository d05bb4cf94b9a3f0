//! The payment gateway (§5): a card a test, then what every gateway promises.

use booking_core::ids::{AuthorizationId, PaymentKey, PaymentMethodId};
use booking_core::map::{SeatMap, SeatMapCommand};
use booking_core::payment::{
    Account, Authorize, AuthorizeAnswer, Capture, CaptureAnswer, DeclineReason, Ledger, Payment, PaymentAnswer, Void,
    VoidAnswer,
};
use booking_core::turn;
use booking_core::wire::gateway::pay_in_one_go;

use crate::support::*;

#[derive(Default)]
struct Gateway(Ledger);

impl Gateway {
    fn ask(&mut self, command: &Payment) -> PaymentAnswer {
        turn(&mut self.0, command, at(NOW)).stored().unwrap()
    }
    fn authorize(&mut self, key: &str, minor: u64, card: &str) -> AuthorizeAnswer {
        let method = PaymentMethodId::parse(card).unwrap();
        let PaymentAnswer::Authorize(answer) =
            self.ask(&Payment::Authorize(Authorize { key: payment_key(key), amount: usd(minor), method }))
        else {
            panic!("an answer of another kind")
        };
        answer
    }
    fn authorized(&mut self, key: &str, minor: u64, card: &str) -> AuthorizationId {
        match self.authorize(key, minor, card) {
            AuthorizeAnswer::Authorized(authorization) => authorization,
            other => panic!("{other:?}"),
        }
    }
    fn capture(&mut self, key: &str, authorization: &AuthorizationId) -> CaptureAnswer {
        let capture = Capture { key: payment_key(key), authorization: authorization.clone() };
        let PaymentAnswer::Capture(answer) = self.ask(&Payment::Capture(capture)) else {
            panic!("an answer of another kind")
        };
        answer
    }
    fn void(&mut self, key: &str) -> VoidAnswer {
        let PaymentAnswer::Void(answer) =
            self.ask(&Payment::Void(Void { authorize_key: payment_key(key), declined: false }))
        else {
            panic!("an answer of another kind")
        };
        answer
    }
    fn account(&self, key: &str) -> Account {
        self.0.account(&payment_key(key)).cloned().unwrap_or_default()
    }
}

fn payment_key(key: &str) -> PaymentKey {
    PaymentKey::parse(key).unwrap()
}
fn declined(reason: &str) -> AuthorizeAnswer {
    AuthorizeAnswer::Declined(DeclineReason::new(reason))
}
fn refused(reason: &str) -> CaptureAnswer {
    CaptureAnswer::Declined(DeclineReason::new(reason))
}

#[test]
fn card_success_is_authorised_and_captured() {
    let mut gateway = Gateway::default();
    let authorization = gateway.authorized("k", 100, "card_success");
    assert!(matches!(gateway.capture("c", &authorization), CaptureAnswer::Captured(_)));
    let account = gateway.account("k");
    assert!(account.authorized && account.captured == Some(payment_key("c")) && !account.voided);
}

#[test]
fn card_decline_is_declined_insufficient_funds() {
    let mut gateway = Gateway::default();
    assert_eq!(gateway.authorize("k", 100, "card_decline"), declined("Insufficient funds"));
    assert!(!gateway.account("k").authorized);
}

#[test]
fn card_error_is_unavailable_every_time() {
    let mut gateway = Gateway::default();
    for _ in 0..9 {
        assert_eq!(gateway.authorize("k", 100, "card_error"), AuthorizeAnswer::Unavailable);
    }
    assert!(!gateway.account("k").authorized);
    assert_eq!(gateway.account("k").authorize_calls, 9);
}

#[test]
fn card_flaky_is_unavailable_twice_for_a_key_then_as_card_success() {
    let mut gateway = Gateway::default();
    for key in ["k1", "k2"] {
        assert_eq!(gateway.authorize(key, 100, "card_flaky"), AuthorizeAnswer::Unavailable);
        assert_eq!(gateway.authorize(key, 100, "card_flaky"), AuthorizeAnswer::Unavailable);
        assert!(!gateway.account(key).authorized);
        let authorization = gateway.authorized(key, 100, "card_flaky");
        assert_eq!(gateway.capture("c", &authorization), CaptureAnswer::Unavailable);
        assert_eq!(gateway.capture("c", &authorization), CaptureAnswer::Unavailable);
        assert!(matches!(gateway.capture("c", &authorization), CaptureAnswer::Captured(_)));
    }
}

#[test]
fn card_lost_authorises_but_the_first_answer_is_lost() {
    let mut gateway = Gateway::default();
    assert_eq!(gateway.authorize("k", 100, "card_lost"), AuthorizeAnswer::Unavailable);
    assert!(gateway.account("k").authorized, "the money is set aside all the same");
    let authorization = gateway.authorized("k", 100, "card_lost");
    assert!(matches!(gateway.capture("c", &authorization), CaptureAnswer::Captured(_)));
}

#[test]
fn card_capture_decline_is_authorised_and_the_capture_is_refused() {
    let mut gateway = Gateway::default();
    let authorization = gateway.authorized("k", 100, "card_capture_decline");
    assert_eq!(gateway.capture("c", &authorization), refused("Capture refused"));
    assert_eq!(gateway.account("k").captured, None);
}

#[test]
fn anything_else_is_declined_unknown_payment_method() {
    let mut gateway = Gateway::default();
    assert_eq!(gateway.authorize("k", 100, "card_unheard_of"), declined("Unknown payment method"));
}

#[test]
fn the_same_key_gets_the_same_answer_and_moves_money_once() {
    let mut gateway = Gateway::default();
    let first = gateway.authorized("k", 100, "card_success");
    assert_eq!(gateway.authorized("k", 100, "card_success"), first);
    let taken = gateway.capture("c", &first);
    assert_eq!(gateway.capture("c", &first), taken);
    assert_eq!(gateway.authorize("d", 1, "card_decline"), gateway.authorize("d", 1, "card_decline"));
    assert_eq!(gateway.0.accounts().filter(|(_, account)| account.captured.is_some()).count(), 1);
    assert_eq!((gateway.account("k").authorize_calls, gateway.account("k").capture_calls), (2, 2));
}

#[test]
fn a_key_reused_with_other_parameters_is_an_error() {
    let mut gateway = Gateway::default();
    gateway.authorized("k", 100, "card_success");
    assert_eq!(gateway.authorize("k", 101, "card_success"), AuthorizeAnswer::KeyReused);
    assert_eq!(gateway.authorize("k", 100, "card_lost"), AuthorizeAnswer::KeyReused);
    assert_eq!(gateway.account("k").asked.unwrap().amount, usd(100));
}

#[test]
fn an_authorisation_is_captured_under_one_key_only() {
    let mut gateway = Gateway::default();
    let authorization = gateway.authorized("k", 100, "card_success");
    gateway.capture("c", &authorization);
    assert_eq!(gateway.capture("c2", &authorization), refused("Already captured under another key"));
}

#[test]
fn void_of_a_key_that_was_never_seen_makes_a_later_authorize_of_it_fail() {
    let mut gateway = Gateway::default();
    assert_eq!(gateway.void("k"), VoidAnswer::Voided);
    assert_eq!(gateway.authorize("k", 100, "card_success"), declined("Authorisation was voided"));
    assert_eq!(gateway.authorize("k", 100, "card_success"), declined("Authorisation was voided"));
    assert!(!gateway.account("k").authorized);
}

#[test]
fn a_voided_authorisation_cannot_be_captured() {
    let mut gateway = Gateway::default();
    let authorization = gateway.authorized("k", 100, "card_success");
    assert_eq!((gateway.void("k"), gateway.void("k")), (VoidAnswer::Voided, VoidAnswer::Voided));
    assert_eq!(gateway.capture("c", &authorization), refused("Authorisation was voided"));
    assert_eq!(gateway.account("k").void_calls, 2);
}

#[test]
fn a_capture_of_nothing_is_refused() {
    let mut gateway = Gateway::default();
    for name in ["auth:never", "never", "auth:"] {
        let answer = gateway.capture("c", &AuthorizationId::parse(name).unwrap());
        assert_eq!(answer, refused("No such authorisation"));
    }
    gateway.authorize("k", 100, "card_decline");
    let guessed = AuthorizationId::parse("auth:k").unwrap();
    assert_eq!(gateway.capture("c", &guessed), refused("No such authorisation"));
}

#[test]
fn the_longest_key_still_has_an_authorisation() {
    let mut gateway = Gateway::default();
    let key = "k".repeat(booking_core::ids::MAX_KEY_LEN);
    let authorization = gateway.authorized(&key, 100, "card_success");
    assert!(matches!(gateway.capture("c", &authorization), CaptureAnswer::Captured(_)));
}

#[test]
fn a_gateways_words_are_made_fit_to_be_shown() {
    let long = format!("No\nmoney\u{7} {}", "ö".repeat(500));
    let reason = DeclineReason::new(&long);
    assert!(reason.as_str().starts_with("Nomoney "));
    assert_eq!(reason.as_str().chars().count(), DeclineReason::MAX_LEN);
}

#[test]
fn an_account_can_be_put_back_as_it_was_and_a_forgotten_key_is_new() {
    let mut gateway = Gateway::default();
    let authorization = gateway.authorized("c:authorize", 100, "card_success");
    let before = gateway.account("c:authorize");
    gateway.0.forget(&payment_key("c:authorize"));
    assert_eq!(gateway.0, Ledger::default());
    gateway.authorized("c:authorize", 250, "card_success");
    gateway.0.restore(payment_key("c:authorize"), before.clone());
    assert_eq!(gateway.account("c:authorize"), before);
    assert!(matches!(gateway.capture("c:capture", &authorization), CaptureAnswer::Captured(_)));
}

#[test]
fn accounts_are_listed_by_key_from_any_key_on() {
    let mut gateway = Gateway::default();
    for key in ["b:authorize", "a:authorize", "c:authorize"] {
        gateway.authorize(key, 100, "card_success");
    }
    let from = |first: &str| gateway.0.accounts_from(first).map(|(key, _)| key.as_str()).collect::<Vec<_>>();
    assert_eq!(from(""), ["a:authorize", "b:authorize", "c:authorize"]);
    assert_eq!(from("b"), ["b:authorize", "c:authorize"]);
    assert_eq!(from("d"), <[&str; 0]>::default());
}

#[test]
fn a_payment_in_one_go_is_authorised_and_captured_or_costs_nothing() {
    let mut gateway = Gateway::default();
    let mut pay = |key: &str, card: &str| {
        let method = PaymentMethodId::parse(card).unwrap();
        let authorize = Authorize { key: payment_key(key), amount: usd(100), method };
        let answer = pay_in_one_go(authorize, |payment| gateway.ask(payment));
        (answer.status, gateway.account(key))
    };
    for _ in 0..2 {
        let (status, paid) = pay("good", "card_success");
        assert_eq!(
            (status, paid.captured, paid.voided),
            (200, Some(payment_key("good")), false),
            "also when it is repeated"
        );
    }
    assert_eq!(pay("no", "card_decline").0, 402);
    let (status, refused) = pay("refused", "card_capture_decline");
    assert_eq!((status, refused.captured, refused.voided), (402, None, true), "what is not captured is let go of");
    let (status, silent) = pay("flaky", "card_flaky");
    assert_eq!((status, silent.voided), (503, false), "what is not known is left to whoever asks again");
    let (status, paid) = (0..8).map(|_| pay("flaky", "card_flaky")).find(|(status, _)| *status != 503).unwrap();
    assert_eq!((status, paid.voided), (200, false));
}

#[test]
fn a_command_is_about_one_account() {
    let mut gateway = Gateway::default();
    let authorization = gateway.authorized("k", 100, "card_success");
    let method = PaymentMethodId::parse("card_success").unwrap();
    let about = |command: Payment| Ledger::key_of(&command).map(|key| key.to_string());
    let authorize = Authorize { key: payment_key("k"), amount: usd(100), method };
    assert_eq!(about(Payment::Authorize(authorize)).as_deref(), Some("k"));
    let capture = |authorization| Payment::Capture(Capture { key: payment_key("c"), authorization });
    assert_eq!(about(capture(authorization)).as_deref(), Some("k"), "not of the capture's own key");
    assert_eq!(about(capture(AuthorizationId::parse("another's").unwrap())), None);
    let void = Void { authorize_key: payment_key("k"), declined: false };
    assert_eq!(about(Payment::Void(void)).as_deref(), Some("k"));
}

#[test]
fn each_payment_has_a_name() {
    let void = Void { authorize_key: payment_key("k"), declined: false };
    let capture = Capture { key: payment_key("k"), authorization: AuthorizationId::parse("auth:k").unwrap() };
    let method = PaymentMethodId::parse("card_success").unwrap();
    let authorize = Authorize { key: payment_key("k"), amount: usd(100), method };
    let all = [Payment::Authorize(authorize), Payment::Capture(capture), Payment::Void(void)];
    assert_eq!(all.each_ref().map(Payment::name), ["authorize", "capture", "void"]);
}

#[test]
fn a_turn_tells_whether_there_is_something_to_store_and_what() {
    let mut ledger = Ledger::default();
    let void = Payment::Void(Void { authorize_key: payment_key("k"), declined: false });
    let first = turn(&mut ledger, &void, at(NOW));
    assert!(first.changed());
    assert_eq!(first.event().map(|event| event.key.clone()), Some(payment_key("k")));
    let nothing = SeatMap::default();
    let looked = turn(&mut nothing.clone(), &SeatMapCommand::ResetAll, at(NOW));
    assert!(!looked.changed() && looked.event().is_none());
}
