//! Each effect of a checkout, on Workers: maps are objects, the gateway is asked over HTTP.

use booking_core::effect::{Effect, Outcome};
use booking_core::inventory::{Line, LineCommand};
use booking_core::wire::MapCall;
use booking_workers::log::{Level, say};
use booking_workers::outside;
use worker::Env;

use crate::calls::Asked;
use crate::inside::{self, SEAT_MAPS};
use crate::settings::Settings;

/// Performs an effect that does not wait. `None` is no answer: it is to be performed again.
pub(crate) async fn perform(env: &Env, settings: &Settings, effect: &Effect) -> Option<Outcome> {
    match effect {
        Effect::Line(line, command) => tell(env, line, command).await,
        Effect::Pay(payment) => {
            let gateway = settings.payment.as_ref()?;
            Some(Outcome::Paid(outside::pay(env, gateway, payment).await))
        }
        Effect::Sleep(_) | Effect::Notify(_) => None,
    }
}

async fn tell(env: &Env, line: &Line, command: &LineCommand) -> Option<Outcome> {
    let call = MapCall::Line(line.seats.clone(), command.clone());
    let asked = Asked { call, key: None };
    let answer = inside::ask(env, SEAT_MAPS, line.at.as_str(), &asked).await;
    // What it answers when it could not keep its turn is no outcome.
    let outcome = answer.and_then(|answer| inside::read(answer.body.as_bytes()));
    outcome.map(Outcome::Line).map_err(|why| say(Level::Warn, "a map is asked again", &[("why", why.to_string())])).ok()
}
