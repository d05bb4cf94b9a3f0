//! The world outside: who is asked for money, and who tells the buyers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use booking_core::effect::Notification;
use booking_core::payment::{Ledger, Payment, PaymentAnswer};
use booking_core::time::Millis;
use booking_core::turn;
use booking_hosting::ports::{Notifier, PaymentGateway};
use booking_hosting::process::now;
use booking_restate::paid;
use bytes::Bytes;
use restate_sdk::errors::HandlerResult;

/// Who performs what is not Restate's to do. The same for every invocation.
#[derive(Clone)]
pub struct Ports {
    /// Who is asked for money.
    pub gateway: Arc<dyn PaymentGateway>,
    /// Who tells the buyers; nobody does where there is none.
    pub notifier: Option<Arc<dyn Notifier>>,
}

impl Ports {
    /// Asks the gateway, for Restate to record.
    pub(crate) async fn pay(&self, payment: Payment) -> HandlerResult<Bytes> {
        Ok(paid(self.gateway.pay(&payment).await, now()))
    }

    /// Tells the buyer.
    pub(crate) async fn deliver(&self, notification: Notification) -> HandlerResult<Bytes> {
        match &self.notifier {
            Some(notifier) if !notifier.deliver(&notification).await => Err("the notifier has not taken it".into()),
            Some(_) | None => Ok(Bytes::new()),
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
}

#[async_trait]
impl PaymentGateway for MockGateway {
    async fn pay(&self, payment: &Payment) -> PaymentAnswer {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(reply) = turn(&mut *ledger, payment, now()).stored();
        reply
    }
}
