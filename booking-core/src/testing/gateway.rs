//! What every payment gateway must answer, as a list of questions: the contract of §5, for an adapter of yours.
//!
//! Each question has a key of its own, and some come twice. An answer that is not known (`Unavailable`) is asked for again, a few times.
//!
//! ```
//! use booking_core::machine::turn;
//! use booking_core::payment::Ledger;
//! use booking_core::testing::gateway::{Cards, Contract};
//! use booking_core::time::Timestamp;
//!
//! let mut gateway = Ledger::default(); // yours: an adapter, with its provider's test cards
//! let cards = Cards { good: "card_success".parse()?, declined: "card_decline".parse()? };
//!
//! let mut contract = Contract::new(1, cards);
//! while let Some(payment) = contract.question() {
//!     // An adapter that is asynchronous is awaited here.
//!     let Ok(answer) = turn(&mut gateway, &payment, Timestamp::default()).stored();
//!     contract.answered(answer)?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::ids::{AuthorizationId, CheckoutId, PaymentId, PaymentKey, PaymentMethodId};
use crate::money::{Currency, Money};
use crate::payment::{Authorize, AuthorizeAnswer, Capture, CaptureAnswer, Payment, PaymentAnswer, Void, VoidAnswer};

/// What the gateway under test knows buyers' cards by.
#[derive(Clone, Debug)]
pub struct Cards {
    /// One that is authorised and captured.
    pub good: PaymentMethodId,
    /// One that is always declined.
    pub declined: PaymentMethodId,
}

/// Whose money a question is about: each has an account of its own.
#[derive(Clone, Copy, Debug)]
enum Story {
    Paid,
    Declined,
    Voided,
    Late,
}

/// How often a question is asked that gets no clear answer.
pub const TRIES: u32 = 20;

/// The questions, one after the other.
#[derive(Clone, Debug)]
pub struct Contract {
    run: u128,
    cards: Cards,
    at: usize,
    tries: u32,
    authorization: Option<AuthorizationId>,
    payment: Option<PaymentId>,
    declined: Option<AuthorizeAnswer>,
}

/// An answer that a gateway must never give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{asked}: {must}, but the answer was {answer:?}")]
pub struct Breach {
    /// What was asked.
    pub asked: &'static str,
    /// What must hold.
    pub must: &'static str,
    /// What was answered.
    pub answer: PaymentAnswer,
}

/// A question: what was done before it, what must hold, what is asked, and whether an answer will do.
struct Question {
    asked: &'static str,
    must: &'static str,
    payment: fn(&Contract) -> Payment,
    will_do: fn(&mut Contract, &PaymentAnswer) -> bool,
}

const QUESTIONS: &[Question] = &[
    Question {
        asked: "authorize a good card",
        must: "the money is set aside",
        payment: |it| it.authorize(Story::Paid, 5_000, &it.cards.good),
        will_do: |it, answer| {
            it.authorization = authorized(answer);
            it.authorization.is_some()
        },
    },
    Question {
        asked: "the same authorize again",
        must: "the same key gets the same answer",
        payment: |it| it.authorize(Story::Paid, 5_000, &it.cards.good),
        will_do: |it, answer| authorized(answer).is_some_and(|again| Some(again) == it.authorization),
    },
    Question {
        asked: "authorize another amount under the same key",
        must: "the key was used for something else",
        payment: |it| it.authorize(Story::Paid, 6_000, &it.cards.good),
        will_do: |_, answer| *answer == PaymentAnswer::Authorize(AuthorizeAnswer::KeyReused),
    },
    Question {
        asked: "capture what is set aside",
        must: "the money is taken",
        payment: |it| it.capture(Story::Paid),
        will_do: |it, answer| {
            it.payment = captured(answer);
            it.payment.is_some()
        },
    },
    Question {
        asked: "the same capture again",
        must: "the same key gets the same answer, and takes nothing more",
        payment: |it| it.capture(Story::Paid),
        will_do: |it, answer| captured(answer).is_some_and(|again| Some(again) == it.payment),
    },
    Question {
        asked: "authorize a card that is declined",
        must: "it is declined",
        payment: |it| it.authorize(Story::Declined, 5_000, &it.cards.declined),
        will_do: |it, answer| {
            if let PaymentAnswer::Authorize(declined @ AuthorizeAnswer::Declined(_)) = answer {
                it.declined = Some(declined.clone());
            }
            it.declined.is_some()
        },
    },
    Question {
        asked: "the declined authorize again",
        must: "the same key gets the same answer",
        payment: |it| it.authorize(Story::Declined, 5_000, &it.cards.declined),
        will_do: |it, answer| match (answer, &it.declined) {
            (PaymentAnswer::Authorize(again), Some(before)) => again == before,
            (PaymentAnswer::Authorize(_) | PaymentAnswer::Capture(_) | PaymentAnswer::Void(_), _) => false,
        },
    },
    Question {
        asked: "void after the card was declined",
        must: "nothing is set aside",
        payment: |it| it.void(Story::Declined, true),
        will_do: |_, answer| *answer == PaymentAnswer::Void(VoidAnswer::Voided),
    },
    Question {
        asked: "authorize a good card, to be voided",
        must: "the money is set aside",
        payment: |it| it.authorize(Story::Voided, 5_000, &it.cards.good),
        will_do: |it, answer| {
            it.authorization = authorized(answer);
            it.authorization.is_some()
        },
    },
    Question {
        asked: "void what is set aside",
        must: "it is let go",
        payment: |it| it.void(Story::Voided, false),
        will_do: |_, answer| *answer == PaymentAnswer::Void(VoidAnswer::Voided),
    },
    Question {
        asked: "the same void again",
        must: "it is let go still",
        payment: |it| it.void(Story::Voided, false),
        will_do: |_, answer| *answer == PaymentAnswer::Void(VoidAnswer::Voided),
    },
    Question {
        asked: "capture what was let go",
        must: "nothing is taken",
        payment: |it| it.capture(Story::Voided),
        will_do: |_, answer| matches!(answer, PaymentAnswer::Capture(CaptureAnswer::Declined(_))),
    },
    Question {
        asked: "void a key that was never seen",
        must: "nothing is set aside under it, nor ever will be",
        payment: |it| it.void(Story::Late, false),
        will_do: |_, answer| *answer == PaymentAnswer::Void(VoidAnswer::Voided),
    },
    Question {
        asked: "authorize a good card under a key that was voided before",
        must: "nothing is set aside: the void came first",
        payment: |it| it.authorize(Story::Late, 5_000, &it.cards.good),
        will_do: |_, answer| {
            matches!(answer, PaymentAnswer::Authorize(AuthorizeAnswer::Declined(_) | AuthorizeAnswer::KeyReused))
        },
    },
    Question {
        asked: "void what was taken",
        must: "it is paid back",
        payment: |it| it.void(Story::Paid, false),
        will_do: |_, answer| *answer == PaymentAnswer::Void(VoidAnswer::PaidBack),
    },
];

fn authorized(answer: &PaymentAnswer) -> Option<AuthorizationId> {
    match answer {
        PaymentAnswer::Authorize(AuthorizeAnswer::Authorized(id)) => Some(id.clone()),
        PaymentAnswer::Authorize(_) | PaymentAnswer::Capture(_) | PaymentAnswer::Void(_) => None,
    }
}

fn captured(answer: &PaymentAnswer) -> Option<PaymentId> {
    match answer {
        PaymentAnswer::Capture(CaptureAnswer::Captured(id)) => Some(id.clone()),
        PaymentAnswer::Capture(_) | PaymentAnswer::Authorize(_) | PaymentAnswer::Void(_) => None,
    }
}

impl Contract {
    /// The contract, for a gateway with these test cards. Its keys are made from `run`: a gateway that remembers its keys needs another
    /// number for each run, such as 128 random bits.
    #[must_use]
    pub fn new(run: u128, cards: Cards) -> Self {
        Self { run, cards, at: 0, tries: 0, authorization: None, payment: None, declined: None }
    }

    /// What to ask now; `None` when the contract has been kept.
    #[must_use]
    pub fn question(&self) -> Option<Payment> {
        QUESTIONS.get(self.at).map(|question| (question.payment)(self))
    }

    /// Takes the answer to it.
    ///
    /// # Errors
    /// [`Breach`] when it must not be given. Asking on then makes no sense.
    pub fn answered(&mut self, answer: PaymentAnswer) -> Result<(), Breach> {
        let Some(question) = QUESTIONS.get(self.at) else { return Ok(()) };
        let breach = |must| Breach { asked: question.asked, must, answer: answer.clone() };
        if answer == (question.payment)(self).unanswered() {
            self.tries += 1;
            return if self.tries < TRIES { Ok(()) } else { Err(breach("there is a clear answer in the end")) };
        }
        if !(question.will_do)(self, &answer) {
            return Err(breach(question.must));
        }
        (self.at, self.tries) = (self.at + 1, 0);
        Ok(())
    }

    /// The checkout whose money one of the stories is about.
    fn checkout(&self, story: Story) -> CheckoutId {
        CheckoutId::from_random(self.run.wrapping_mul(8).wrapping_add(story as u128))
    }

    fn authorize(&self, story: Story, minor: u64, method: &PaymentMethodId) -> Payment {
        let amount = Money::new(minor, Currency::USD).unwrap_or(Money::DEFAULT_PRICE);
        Payment::Authorize(Authorize {
            key: PaymentKey::authorize(&self.checkout(story)),
            amount,
            method: method.clone(),
        })
    }

    fn capture(&self, story: Story) -> Payment {
        let key = PaymentKey::capture(&self.checkout(story));
        let authorization = self.authorization.clone();
        let authorization = authorization.unwrap_or_else(|| AuthorizationId::of_mock(&key));
        Payment::Capture(Capture { key, authorization })
    }

    fn void(&self, story: Story, declined: bool) -> Payment {
        Payment::Void(Void { authorize_key: PaymentKey::authorize(&self.checkout(story)), declined })
    }
}
