//! Money at the gateway: what is asked, what may be answered, and the mock gateway's ledger.
//!
//! "We do not know" is an answer here (`Unavailable`: a timeout, a 5xx, no answer at all), so a gateway has no error to
//! mishandle. It is never rounded to "no": the same key is asked again.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{AuthorizationId, PaymentId, PaymentKey, PaymentMethodId};
use crate::machine::{Machine, Transition};
use crate::money::Money;
use crate::time::Timestamp;

/// Asks the gateway to set money aside.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Authorize {
    /// The same on every attempt.
    pub key: PaymentKey,
    /// How much.
    pub amount: Money,
    /// From what.
    pub method: PaymentMethodId,
}

/// Asks the gateway to take money that was set aside.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capture {
    /// The same on every attempt.
    pub key: PaymentKey,
    /// What was set aside.
    pub authorization: AuthorizationId,
}

/// Asks the gateway to let go of an authorisation, and to refuse it should it yet arrive.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Void {
    /// The key the authorisation was asked under.
    pub authorize_key: PaymentKey,
    /// Whether the authorisation was declined. Then a gateway that has nothing to let go of may say so: nothing is set aside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub declined: bool,
}

/// How asking for an authorisation ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AuthorizeAnswer {
    /// The money is set aside.
    Authorized(AuthorizationId),
    /// No, and asking again will not help.
    Declined(DeclineReason),
    /// The key was used before with another amount or method.
    KeyReused,
    /// Nobody knows. It may have been authorised.
    Unavailable,
}

/// How asking for a capture ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CaptureAnswer {
    /// The money is taken.
    Captured(PaymentId),
    /// No, and asking again will not help: nothing was taken under this key.
    Declined(DeclineReason),
    /// Nobody knows. It may have been taken.
    Unavailable,
}

/// How asking for a void ended. There is no "no".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum VoidAnswer {
    /// Nothing is set aside under that key, nor ever will be.
    Voided,
    /// The same, and what was taken under it has been paid back.
    PaidBack,
    /// Nobody knows.
    Unavailable,
}

/// A gateway's own words for "no": one line of at most 200 characters, fit to be shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct DeclineReason(Arc<str>);

impl DeclineReason {
    /// The longest reason, in characters.
    pub const MAX_LEN: usize = 200;

    /// A gateway's words, made fit to be shown: without control characters, and cut at [`DeclineReason::MAX_LEN`].
    #[must_use]
    pub fn new(text: &str) -> Self {
        if text.len() <= Self::MAX_LEN && !text.chars().any(char::is_control) {
            return Self(text.into());
        }
        Self(text.chars().filter(|c| !c.is_control()).take(Self::MAX_LEN).collect::<String>().into())
    }

    /// The words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeclineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for DeclineReason {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<DeclineReason> for String {
    fn from(reason: DeclineReason) -> Self {
        reason.0.as_ref().to_owned()
    }
}

/// What a gateway is asked. Asking twice is asking once: the same key gets the same answer, and moves money once.
///
/// ```
/// use booking_core::payment::Payment;
/// use booking_core::wire::gateway;
///
/// /// What is sent to a gateway over HTTP. The same key comes with each try.
/// fn to_send(payment: &Payment) -> (&'static str, String) {
///     let request = gateway::request(payment);
///     assert_eq!(&request.key, payment.key());
///     (request.path, request.body)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Payment {
    /// Set money aside.
    Authorize(Authorize),
    /// Take it.
    Capture(Capture),
    /// Let it go.
    Void(Void),
}

/// What a gateway answers; of the kind of what it was asked.
///
/// Without a clear answer it is unknown whether money moved, so a host says that, and never that it did not:
///
/// ```
/// use booking_core::payment::{Payment, PaymentAnswer};
///
/// fn no_answer_came(payment: &Payment) -> PaymentAnswer {
///     payment.unanswered()
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PaymentAnswer {
    /// To `Authorize`.
    Authorize(AuthorizeAnswer),
    /// To `Capture`.
    Capture(CaptureAnswer),
    /// To `Void`.
    Void(VoidAnswer),
}

impl Payment {
    /// What a capture is called on the wire and in journals.
    pub const CAPTURE: &str = "capture";

    /// What it is called on the wire and in journals.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Authorize(_) => "authorize",
            Self::Capture(_) => Self::CAPTURE,
            Self::Void(_) => "void",
        }
    }

    /// What is known when no answer came: nothing. It may have been done.
    #[must_use]
    pub const fn unanswered(&self) -> PaymentAnswer {
        match self {
            Self::Authorize(_) => PaymentAnswer::Authorize(AuthorizeAnswer::Unavailable),
            Self::Capture(_) => PaymentAnswer::Capture(CaptureAnswer::Unavailable),
            Self::Void(_) => PaymentAnswer::Void(VoidAnswer::Unavailable),
        }
    }

    /// The key of the account that it is about, as far as what is asked tells: a capture brings its own.
    #[must_use]
    pub const fn key(&self) -> &PaymentKey {
        match self {
            Self::Authorize(request) => &request.key,
            Self::Capture(request) => &request.key,
            Self::Void(request) => &request.authorize_key,
        }
    }
}

/// The mock gateway, and its ledger. Tests count the money there, at the gateway that has it.
///
/// The [`PaymentMethodId`] of a card says what the card does: see [`Card`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ledger {
    accounts: BTreeMap<PaymentKey, Account>,
}

/// What the ledger has under the key of one authorisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// What was asked for; `None` where a void came first.
    pub asked: Option<Asked>,
    /// Whether the money was set aside.
    pub authorized: bool,
    /// The key it was captured under, if it was.
    pub captured: Option<PaymentKey>,
    /// Whether it was let go. An account that was both captured and voided has been paid back.
    pub voided: bool,
    /// How often `authorize` was called.
    pub authorize_calls: u32,
    /// How often `capture` was called.
    pub capture_calls: u32,
    /// How often `void` was called.
    pub void_calls: u32,
}

/// The parameters of an authorisation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// How much.
    pub amount: Money,
    /// From what.
    pub method: PaymentMethodId,
}

/// The mock gateway's cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Card {
    /// `card_success`: authorised, captured.
    Success,
    /// `card_decline`: declined, "Insufficient funds".
    Decline,
    /// `card_error`: no answer, every time.
    Error,
    /// `card_flaky`: no answer twice for a key, then as `card_success`.
    Flaky,
    /// `card_lost`: authorises, but the first answer is lost.
    Lost,
    /// `card_capture_decline`: authorised, the capture is refused.
    CaptureDecline,
    /// Anything else: declined, "Unknown payment method".
    Unknown,
}

impl Card {
    /// Which card a payment method is.
    #[must_use]
    pub fn of(method: &PaymentMethodId) -> Self {
        match method.as_str() {
            "card_success" => Self::Success,
            "card_decline" => Self::Decline,
            "card_error" => Self::Error,
            "card_flaky" => Self::Flaky,
            "card_lost" => Self::Lost,
            "card_capture_decline" => Self::CaptureDecline,
            _ => Self::Unknown,
        }
    }
}

/// How many times a key of `card_flaky` goes unanswered.
const FLAKY_FAILURES: u32 = 2;

/// What the ledger recorded: an account's new state. Every call is counted, so every call is recorded, except a
/// capture of an authorisation that the ledger never gave.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEvent {
    /// The key of the authorisation.
    pub key: PaymentKey,
    /// Its account now.
    pub account: Account,
}

impl Ledger {
    /// Every account, by the key of its authorisation.
    pub fn accounts(&self) -> impl Iterator<Item = (&PaymentKey, &Account)> {
        self.accounts.iter()
    }

    /// The accounts whose keys come from here on, in the order of their keys.
    pub fn accounts_from<'a>(&'a self, first: &str) -> impl Iterator<Item = (&'a PaymentKey, &'a Account)> + use<'a> {
        self.accounts.range::<str, _>((std::ops::Bound::Included(first), std::ops::Bound::Unbounded))
    }

    /// One account.
    #[must_use]
    pub fn account(&self, key: &PaymentKey) -> Option<&Account> {
        self.accounts.get(key)
    }

    /// Forgets an account: for a mock that runs for long, when nobody will ask for the key again. A forgotten key is
    /// new.
    pub fn forget(&mut self, key: &PaymentKey) {
        self.accounts.remove(key);
    }

    /// Puts an account back as it was stored.
    pub fn restore(&mut self, key: PaymentKey, account: Account) {
        self.accounts.insert(key, account);
    }

    /// The key of the account that a command is about; `None` where it is about an authorisation that no ledger gave.
    #[must_use]
    pub fn key_of(command: &Payment) -> Option<PaymentKey> {
        match command {
            Payment::Authorize(request) => Some(request.key.clone()),
            Payment::Capture(request) => {
                let key = request.authorization.as_str().strip_prefix(AuthorizationId::MOCK_PREFIX);
                key.and_then(|key| PaymentKey::parse(key).ok())
            }
            Payment::Void(request) => Some(request.authorize_key.clone()),
        }
    }

    fn authorize(&self, request: &Authorize) -> (Account, AuthorizeAnswer) {
        let asked = Asked { amount: request.amount, method: request.method.clone() };
        let mut account = self.accounts.get(&request.key).cloned().unwrap_or_default();
        account.authorize_calls = account.authorize_calls.saturating_add(1);
        if account.asked.as_ref().is_some_and(|before| *before != asked) {
            return (account, AuthorizeAnswer::KeyReused);
        }
        account.asked = Some(asked);
        if account.voided && !account.authorized {
            return (account, AuthorizeAnswer::Declined(DeclineReason::new("Authorisation was voided")));
        }
        let yes = || AuthorizeAnswer::Authorized(AuthorizationId::of_mock(&request.key));
        let no = |reason| AuthorizeAnswer::Declined(DeclineReason::new(reason));
        let answer = match Card::of(&request.method) {
            Card::Success | Card::CaptureDecline => yes(),
            Card::Flaky if account.authorize_calls <= FLAKY_FAILURES => AuthorizeAnswer::Unavailable,
            Card::Flaky => yes(),
            Card::Lost => {
                let answer = if account.authorized { yes() } else { AuthorizeAnswer::Unavailable };
                account.authorized = true;
                answer
            }
            Card::Decline => no("Insufficient funds"),
            Card::Error => AuthorizeAnswer::Unavailable,
            Card::Unknown => no("Unknown payment method"),
        };
        account.authorized |= matches!(answer, AuthorizeAnswer::Authorized(_));
        (account, answer)
    }

    fn capture(&self, request: &Capture) -> (Option<LedgerEvent>, CaptureAnswer) {
        let no = |reason| CaptureAnswer::Declined(DeclineReason::new(reason));
        let authorized = request.authorization.as_str().strip_prefix(AuthorizationId::MOCK_PREFIX);
        let Some((key, account)) = authorized.and_then(|key| self.accounts.get_key_value(key)) else {
            return (None, no("No such authorisation"));
        };
        let mut account = account.clone();
        account.capture_calls = account.capture_calls.saturating_add(1);
        let card = account.asked.as_ref().map_or(Card::Unknown, |asked| Card::of(&asked.method));
        let answer = match &account.captured {
            Some(before) if *before == request.key => CaptureAnswer::Captured(PaymentId::of_mock(key)),
            Some(_) => no("Already captured under another key"),
            None if !account.authorized => no("No such authorisation"),
            None if account.voided => no("Authorisation was voided"),
            None if card == Card::CaptureDecline => no("Capture refused"),
            None if card == Card::Flaky && account.capture_calls <= FLAKY_FAILURES => CaptureAnswer::Unavailable,
            None => {
                account.captured = Some(request.key.clone());
                CaptureAnswer::Captured(PaymentId::of_mock(key))
            }
        };
        (Some(LedgerEvent { key: key.clone(), account }), answer)
    }

    fn void(&self, request: &Void) -> (Account, VoidAnswer) {
        let mut account = self.accounts.get(&request.authorize_key).cloned().unwrap_or_default();
        account.void_calls = account.void_calls.saturating_add(1);
        account.voided = true;
        let answer = if account.captured.is_some() { VoidAnswer::PaidBack } else { VoidAnswer::Voided };
        (account, answer)
    }
}

impl crate::machine::sealed::Sealed for Ledger {}

impl Machine for Ledger {
    type Command = Payment;
    type Event = LedgerEvent;
    type Reply = PaymentAnswer;
    /// The ledger answers every request.
    type Refusal = Infallible;
    type Notices = ();

    fn decide(&self, command: &Payment, _now: Timestamp) -> Result<Transition<Self>, Infallible> {
        let (event, reply) = match command {
            Payment::Authorize(request) => {
                let (account, answer) = self.authorize(request);
                (Some(LedgerEvent { key: request.key.clone(), account }), PaymentAnswer::Authorize(answer))
            }
            Payment::Capture(request) => {
                let (event, answer) = self.capture(request);
                (event, PaymentAnswer::Capture(answer))
            }
            Payment::Void(request) => {
                let (account, answer) = self.void(request);
                let event = LedgerEvent { key: request.authorize_key.clone(), account };
                (Some(event), PaymentAnswer::Void(answer))
            }
        };
        Ok(Transition { event, reply, notices: () })
    }

    fn apply(&mut self, event: &LedgerEvent) {
        self.accounts.insert(event.key.clone(), event.account.clone());
    }
}
