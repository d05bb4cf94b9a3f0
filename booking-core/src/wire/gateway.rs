//! What goes to a payment gateway over HTTP and what its bytes mean; and the same from the mock gateway's side.
//!
//! Hosts only carry these. A request is a `POST` to the gateway's address plus [`GatewayRequest::path`], with the header
//! [`super::IDEMPOTENCY_KEY`]. Any answer that no rule here calls a yes or a no, or none, is `Unavailable`.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::{self, Answer};
use super::kind::{Kind, Refusal};
use super::request::{AuthorizeBody, CaptureBody, VoidBody};
use crate::effect::Notification;
use crate::ids::{AuthorizationId, CheckoutId, PaymentId, PaymentKey, TicketId, UserId};
use crate::json;
use crate::money::Money;
use crate::payment::{
    Authorize, AuthorizeAnswer, Capture, CaptureAnswer, DeclineReason, Payment, PaymentAnswer, Void, VoidAnswer,
};

/// A request to a gateway, ready to be carried.
#[derive(Clone, PartialEq, Eq)]
pub struct GatewayRequest {
    /// To be added to the gateway's address.
    pub path: &'static str,
    /// The value of the idempotency key header.
    pub key: PaymentKey,
    /// The JSON.
    pub body: String,
}

/// Keeps the body back: it has a card in it.
impl fmt::Debug for GatewayRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayRequest").field("path", &self.path).field("key", &self.key).finish_non_exhaustive()
    }
}

fn post(path: &'static str, key: &PaymentKey, body: &impl Serialize) -> GatewayRequest {
    let body = serde_json::to_string(body).expect("string keys, and a String takes everything");
    GatewayRequest { path, key: key.clone(), body }
}

/// What asks for a payment: `POST …/authorize { "key", "amount", "paymentMethodId" }`,
/// `POST …/capture { "key", "authorizationId" }`, `POST …/void { "authorizeKey" }`.
#[must_use]
pub fn request(payment: &Payment) -> GatewayRequest {
    match payment.clone() {
        Payment::Authorize(Authorize { key, amount, method: payment_method_id }) => {
            post("/authorize", &key.clone(), &AuthorizeBody { key, amount, payment_method_id })
        }
        Payment::Capture(Capture { key, authorization: authorization_id }) => {
            post("/capture", &key.clone(), &CaptureBody { key, authorization_id })
        }
        Payment::Void(Void { authorize_key, declined: _ }) => {
            post("/void", &PaymentKey::void(&authorize_key), &VoidBody { authorize_key })
        }
    }
}

/// What the status and the body of an answer mean; `None` is no answer. Only a clear yes or no is one: any other answer,
/// or none, is `Unavailable`.
#[must_use]
pub fn read(payment: &Payment, said: Option<(u16, &[u8])>) -> PaymentAnswer {
    let Some((status, body)) = said else { return payment.unanswered() };
    match payment {
        Payment::Authorize(_) => PaymentAnswer::Authorize(read_authorize(status, body)),
        Payment::Capture(_) => PaymentAnswer::Capture(read_capture(status, body)),
        Payment::Void(void) => PaymentAnswer::Void(read_void(void, status, body)),
    }
}

/// What an answer says about the gateway itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sense {
    /// It knows what it was asked: yes, no, or that the key was used before.
    Clear,
    /// It is busy or broken (408, 425, 429 and 500 to 599), as any gateway is now and then.
    Busy,
    /// It said nothing in time.
    Silent,
    /// Neither: it refuses our credentials, or says what no rule here knows. This is its status.
    Odd(u16),
}

/// What the status and the body of an answer say about the gateway; `None` is no answer. For alarms: a checkout goes by [`read`].
#[must_use]
pub fn sense(payment: &Payment, said: Option<(u16, &[u8])>) -> Sense {
    let Some((status, _)) = said else { return Sense::Silent };
    match status {
        408 | 425 | 429 | 500..=599 => Sense::Busy,
        _ if read(payment, said) == payment.unanswered() => Sense::Odd(status),
        _ => Sense::Clear,
    }
}

/// What a gateway may say; fields that are not known are its own business.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    authorization_id: Option<AuthorizationId>,
    payment_id: Option<PaymentId>,
    reason: Option<DeclineReason>,
}

fn said(body: &[u8]) -> Option<Said> {
    json::read(body)
}

fn declined(body: &[u8]) -> DeclineReason {
    said(body).and_then(|said| said.reason).unwrap_or_else(|| DeclineReason::new("No reason given"))
}

/// What a gateway answered to `authorize`: 200 with an `authorizationId` is yes, 402 is no, 409 is a reused key.
fn read_authorize(status: u16, body: &[u8]) -> AuthorizeAnswer {
    match status {
        200 => match said(body).and_then(|said| said.authorization_id) {
            Some(authorization) => AuthorizeAnswer::Authorized(authorization),
            None => AuthorizeAnswer::Unavailable,
        },
        402 => AuthorizeAnswer::Declined(declined(body)),
        409 => AuthorizeAnswer::KeyReused,
        _ => AuthorizeAnswer::Unavailable,
    }
}

/// What a gateway answered to `capture`: 200 with a `paymentId` is yes, 402 is no.
fn read_capture(status: u16, body: &[u8]) -> CaptureAnswer {
    match status {
        200 => match said(body).and_then(|said| said.payment_id) {
            Some(payment) => CaptureAnswer::Captured(payment),
            None => CaptureAnswer::Unavailable,
        },
        402 => CaptureAnswer::Declined(declined(body)),
        _ => CaptureAnswer::Unavailable,
    }
}

/// What a gateway answered to `void`: 200 is yes, also where it had to pay back (`{ "paidBack": true }`). 404 is a yes only after a
/// declined authorisation, whose key will never get another answer: there is nothing to let go of.
fn read_void(void: &Void, status: u16, body: &[u8]) -> VoidAnswer {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Done {
        #[serde(default)]
        paid_back: bool,
    }
    match status {
        200 if json::read::<Done>(body).is_some_and(|done| done.paid_back) => VoidAnswer::PaidBack,
        200 => VoidAnswer::Voided,
        404 if void.declined => VoidAnswer::Voided,
        _ => VoidAnswer::Unavailable,
    }
}

/// What the mock gateway answers.
#[must_use]
pub fn answer(reply: &PaymentAnswer) -> Answer {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Authorized<'a> {
        authorization_id: &'a AuthorizationId,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Captured<'a> {
        payment_id: &'a PaymentId,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct PaidBack {
        ok: bool,
        paid_back: bool,
    }
    match reply {
        PaymentAnswer::Authorize(AuthorizeAnswer::Authorized(authorization_id)) => {
            yes(&Authorized { authorization_id })
        }
        PaymentAnswer::Capture(CaptureAnswer::Captured(payment_id)) => yes(&Captured { payment_id }),
        PaymentAnswer::Void(VoidAnswer::Voided) => answer::ok(None),
        PaymentAnswer::Void(VoidAnswer::PaidBack) => yes(&PaidBack { ok: true, paid_back: true }),
        PaymentAnswer::Authorize(AuthorizeAnswer::Declined(reason))
        | PaymentAnswer::Capture(CaptureAnswer::Declined(reason)) => no(reason),
        PaymentAnswer::Authorize(AuthorizeAnswer::KeyReused) => answer::refusal(&Kind::IdempotencyKeyReused.into()),
        PaymentAnswer::Authorize(AuthorizeAnswer::Unavailable)
        | PaymentAnswer::Capture(CaptureAnswer::Unavailable)
        | PaymentAnswer::Void(VoidAnswer::Unavailable) => answer::refusal(&Kind::PaymentUnavailable.into()),
    }
}

/// What the mock gateway answers to a payment in one go, as the first proof of concept had it: it authorises and captures, and lets
/// go of what it cannot capture. `ask` is the gateway, which keeps what it answers before it answers it.
pub fn pay_in_one_go(authorize: Authorize, mut ask: impl FnMut(&Payment) -> PaymentAnswer) -> Answer {
    let key = authorize.key.clone();
    let authorized = ask(&Payment::Authorize(authorize));
    let PaymentAnswer::Authorize(AuthorizeAnswer::Authorized(authorization)) = authorized else {
        return answer(&authorized);
    };
    let captured = ask(&Payment::Capture(Capture { key: key.clone(), authorization }));
    match &captured {
        PaymentAnswer::Capture(CaptureAnswer::Captured(payment)) => return paid(payment),
        PaymentAnswer::Capture(CaptureAnswer::Declined(_)) => {
            let _voided = ask(&Payment::Void(Void { authorize_key: key, declined: false }));
        }
        PaymentAnswer::Capture(CaptureAnswer::Unavailable) | PaymentAnswer::Authorize(_) | PaymentAnswer::Void(_) => {}
    }
    answer(&captured)
}

/// What the mock gateway answers when a payment made in one go went through: `{ "transactionId" }`.
fn paid(payment: &PaymentId) -> Answer {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Paid<'a> {
        transaction_id: &'a PaymentId,
    }
    yes(&Paid { transaction_id: payment })
}

fn yes(body: &impl Serialize) -> Answer {
    let body = serde_json::to_string(body).expect("string keys, and a String takes everything");
    Answer { status: 200, body, kind: None }
}

fn no(reason: &DeclineReason) -> Answer {
    #[derive(Serialize)]
    struct Declined<'a> {
        code: u16,
        kind: &'static str,
        message: &'a str,
        reason: &'a str,
    }
    let Refusal { kind, message, .. } = (&crate::checkout::Failure::PaymentDeclined(reason.clone())).into();
    let (code, reason) = (kind.status(), reason.as_str());
    let body = Declined { code, kind: kind.as_str(), message: &message, reason };
    Answer { status: code, kind: Some(kind), ..yes(&body) }
}

/// What goes to the receiver of notifications: a `POST` with the idempotency key header, taken when it answers 2xx.
#[must_use]
pub fn notification(message: &Notification) -> GatewayRequest {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        key: &'a PaymentKey,
        message: &'static str,
        checkout_id: &'a CheckoutId,
        user_id: &'a UserId,
        #[serde(skip_serializing_if = "Option::is_none")]
        contact: Option<Value>,
        tickets: &'a [TicketId],
        amount: Money,
        payment_id: Option<&'a PaymentId>,
    }
    let Notification { key, checkout, user, contact, tickets, amount, payment } = message;
    let (checkout_id, user_id, payment_id) = (checkout, user, payment.as_ref());
    let contact = contact.as_ref().and_then(|contact| serde_json::from_str(contact.as_json()).ok());
    let (message, amount) = ("Booking Confirmed", *amount);
    post("", key, &Body { key, message, checkout_id, user_id, contact, tickets, amount, payment_id })
}
