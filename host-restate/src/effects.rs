//! Each effect of a checkout, on Restate: tickets are called, payments and the clock run once and are recorded, messages
//! to buyers are sent on their way.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use booking_core::effect::{Effect, Notification, Outcome};
use booking_core::payment::{
    Authorize, AuthorizeAnswer, Capture, CaptureAnswer, Ledger, LedgerCommand, LedgerReply, PaymentGateway, Void,
    VoidAnswer,
};
use booking_core::time::Millis;
use booking_core::turn;
use booking_hosting::ports::Notifier;
use booking_hosting::process::now;
use booking_hosting::restate::Paid;
use restate_sdk::errors::HandlerError;
use restate_sdk::serde::Json;

/// Who performs what is not Restate's to do. The same for every invocation.
#[derive(Clone)]
pub struct Ports {
    /// Who is asked for money.
    pub gateway: Arc<dyn PaymentGateway>,
    /// Who tells the buyers; nobody does where there is none.
    pub notifier: Option<Arc<dyn Notifier>>,
}

impl Ports {
    /// Asks the gateway; `None` for what is no payment.
    pub(crate) async fn pay(&self, effect: &Effect) -> Option<Outcome> {
        match effect {
            Effect::Authorize(request) => Some(Outcome::Authorized(self.gateway.authorize(request).await)),
            Effect::Capture(request) => Some(Outcome::Captured(self.gateway.capture(request).await)),
            Effect::Void(request) => Some(Outcome::Voided(self.gateway.void(request).await)),
            Effect::Ticket(..) | Effect::Sleep(_) | Effect::Notify(_) => None,
        }
    }

    /// As [`Ports::pay`], for Restate to record.
    pub(crate) async fn paid(self, effect: Effect) -> Result<Json<Paid>, HandlerError> {
        let outcome = self.pay(&effect).await.ok_or("no payment was asked for")?;
        Ok(Json(Paid { outcome, at: now() }))
    }

    /// Tells the buyer.
    pub(crate) async fn deliver(self, letter: Notification) -> Result<(), HandlerError> {
        match &self.notifier {
            Some(notifier) if !notifier.deliver(&letter).await => Err("the notifier has not taken it".into()),
            Some(_) | None => Ok(()),
        }
    }
}

/// The mock gateway in this process, for trying things: its ledger is gone when the process is.
pub(crate) struct MockGateway {
    ledger: Mutex<Ledger>,
    delay: Duration,
}

impl MockGateway {
    pub(crate) fn new(delay: Millis) -> Self {
        Self { ledger: Mutex::default(), delay: Duration::from_millis(delay.0) }
    }

    async fn ask(&self, command: LedgerCommand) -> LedgerReply {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        match turn(&mut *ledger, &command, now()).stored().0 {
            Ok(reply) => reply,
            Err(never) => match never {},
        }
    }
}

#[async_trait]
impl PaymentGateway for MockGateway {
    async fn authorize(&self, request: &Authorize) -> AuthorizeAnswer {
        match self.ask(LedgerCommand::Authorize(request.clone())).await {
            LedgerReply::Authorize(answer) => answer,
            LedgerReply::Capture(_) | LedgerReply::Void(_) => AuthorizeAnswer::Unavailable,
        }
    }

    async fn capture(&self, request: &Capture) -> CaptureAnswer {
        match self.ask(LedgerCommand::Capture(request.clone())).await {
            LedgerReply::Capture(answer) => answer,
            LedgerReply::Authorize(_) | LedgerReply::Void(_) => CaptureAnswer::Unavailable,
        }
    }

    async fn void(&self, request: &Void) -> VoidAnswer {
        match self.ask(LedgerCommand::Void(request.clone())).await {
            LedgerReply::Void(answer) => answer,
            LedgerReply::Authorize(_) | LedgerReply::Capture(_) => VoidAnswer::Unavailable,
        }
    }
}
