//! What a checkout has recorded of the outside world: payments, and that a buyer was told.

use std::rc::Rc;

use booking_core::effect::{Notification, Outcome};
use booking_core::payment::Payment;
use booking_hosting::restate::Paid;
use restate_endpoint::{Bytes, Failure};
use serde::Serialize;

use crate::clock::now;
use crate::effects;
use crate::settings::Settings;

/// JSON, to be recorded or sent.
pub(super) fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("string keys, and a Vec takes every byte").into()
}

/// Asks the gateway.
pub(super) async fn paid(settings: Rc<Settings>, payment: Payment) -> Result<Bytes, Failure> {
    let answer = effects::pay(&settings, &payment).await;
    let answer = answer.ok_or_else(|| Failure::Retry("there is no PAYMENT_URL".to_owned()))?;
    Ok(json(&Paid { outcome: Outcome::Paid(answer), at: now() }))
}

/// Tells the buyer.
pub(super) async fn deliver(settings: Rc<Settings>, letter: Notification) -> Result<Bytes, Failure> {
    match &settings.notify {
        Some(port) if !effects::deliver(port, &letter).await => {
            Err(Failure::Retry("the notifier has not taken it".to_owned()))
        }
        Some(_) | None => Ok(Bytes::new()),
    }
}
