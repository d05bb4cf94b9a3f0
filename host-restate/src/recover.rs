//! `host-restate recover`: brings a checkout to its end whose invocation an operator has killed, or whose money an operator has kept
//! from being let go of.
//!
//! Restate keeps the journal of an invocation that has ended for as long as the service asks it to. From that this command reads how
//! the checkout began, and whether its money may have been taken; the handler `Checkout/recover` does the rest.

use booking_core::checkout::MoneyState;
use booking_core::format;
use booking_core::ids::CheckoutId;
use booking_core::payment::Payment;
use booking_hosting::flags::{CannotRun, because};
use booking_restate::{CheckoutStart, Handler, KilledCheckout};
use clap::Args;
use serde_json::Value;

use crate::admin::RestateFlags;

#[derive(Args)]
pub(crate) struct RecoverArgs {
    /// The checkout, which is named after its invocation: inv_…
    checkout: CheckoutId,
    #[command(flatten)]
    restate: RestateFlags,
    /// Restate's ingress. The host behind it needs `--admin-handlers`
    #[arg(long, env = "RESTATE_INGRESS_URL", default_value = "http://127.0.0.1:8080")]
    ingress_url: String,
}

/// The handler that an entry of a journal is a message to; `None` where it is none, an empty name where that cannot be read.
fn sent_to(entry: &Value) -> Option<String> {
    if entry["entry_type"] != "Command: OneWayCall" {
        return None;
    }
    let json = entry["entry_json"].as_str().and_then(|json| serde_json::from_str::<Value>(json).ok());
    let target = json.map(|json| json["Command"]["OneWayCall"]["request"]["invocation_target"].clone());
    // By what it is: a service's, an object's.
    let target = target.as_ref().and_then(Value::as_object).and_then(|kinds| kinds.values().next());
    Some(target.and_then(|target| target["handler"].as_str()).unwrap_or_default().to_owned())
}

/// Whether a killed checkout is to be run to its end: its money may have been taken, or its buyer told. One that has turned back is not.
fn goes_through(entries: &[Value]) -> bool {
    let sent: Vec<String> = entries.iter().filter_map(sent_to).collect();
    let captures = |entry: &Value| entry["entry_type"] == "Command: Run" && entry["name"] == Payment::CAPTURE;
    let has_turned_back = sent.iter().any(|handler| handler == Handler::LetGo.name());
    // Where there is nothing to pay, the buyer's message comes without a capture. What is not understood is taken for it.
    let is_told = sent.iter().any(|handler| handler != Handler::StuckClear.name());
    !has_turned_back && (entries.iter().any(captures) || is_told)
}

impl RecoverArgs {
    pub(crate) async fn run(self) -> Result<(), CannotRun> {
        let lost = self.lost().await?;
        let asked = if lost.goes_through {
            "its money may have been taken, or its buyer told: bringing it to its end"
        } else {
            "its money was never taken: letting go of its seats and of what may be set aside"
        };
        tracing::info!("{asked}");
        let lost = serde_json::to_string(&lost).map_err(because("the journal"))?;
        let path = format!("/{}/{}", Handler::Recover.service(), Handler::Recover.name());
        let ending = self.restate.ask(&self.ingress_url, "--ingress-url", &path, lost).await?;
        tracing::info!("{} has ended: {ending}", self.checkout);
        Ok(())
    }

    /// What the journal of the killed invocation says.
    async fn lost(&self) -> Result<KilledCheckout, CannotRun> {
        // The name of an invocation: letters, digits and `_`. So it may stand in a query.
        let id = self.checkout.as_str();
        let is_one = id.starts_with("inv_") && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_one {
            return Err(CannotRun(format!("{id} is no checkout of this host: these begin with inv_")));
        }
        let about = format!("SELECT status, completion_failure FROM sys_invocation WHERE id = '{id}'");
        let rows = self.restate.query(about).await?;
        let row = rows.first().ok_or_else(|| CannotRun(format!("Restate knows no invocation {id} any more")))?;
        if row["status"] != "completed" {
            return Err(CannotRun(format!("{id} is still under way: cancel it, and it turns back by itself")));
        }
        let failure = row["completion_failure"].as_str();
        let why =
            failure.ok_or_else(|| CannotRun(format!("{id} was not killed: it has ended by itself, and is booked")))?;
        let is_killed = why.ends_with("killed");
        if !is_killed && !why.contains(&format!("money {}", MoneyState::LettingGo.as_str())) {
            return Err(CannotRun(format!("{id} was not killed: it has failed by itself, and nothing is left of it")));
        }
        let journal = format!("SELECT entry_type, name, entry_json FROM sys_journal WHERE id = '{id}' ORDER BY index");
        let entries = self.restate.query(journal).await?;
        // One that failed by itself is on its way back: letting go again of what is let go of changes nothing.
        let goes_through = is_killed && goes_through(&entries);
        let first_run = entries.iter().find(|entry| entry["entry_type"] == "Notification: Run");
        let Some(entry) = first_run.and_then(|entry| entry["entry_json"].as_str()) else {
            return Err(CannotRun(format!("{id} was killed before it began: nothing is left of it")));
        };
        let entry: Value = serde_json::from_str(entry).map_err(because("the journal"))?;
        let bytes = entry["Notification"]["Completion"]["Run"]["result"]["Success"].clone();
        let bytes: Vec<u8> = serde_json::from_value(bytes).map_err(because("the journal"))?;
        let began: CheckoutStart = format::read(&bytes).map_err(because("the journal"))?;
        Ok(KilledCheckout { began, goes_through })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// An entry, as Restate's `sys_journal` shows it.
    fn sends(service: &str, handler: &str) -> Value {
        let target = json!({ "Service": { "name": service, "handler": handler } });
        let entry = json!({ "Command": { "OneWayCall": { "request": { "invocation_target": target } } } });
        json!({ "entry_type": "Command: OneWayCall", "name": "", "entry_json": entry.to_string() })
    }

    fn runs(name: &str) -> Value {
        json!({ "entry_type": "Command: Run", "name": name, "entry_json": "{}" })
    }

    #[test]
    fn a_killed_checkout_goes_through_once_its_capture_was_asked_for_or_its_buyer_told_unless_it_has_turned_back() {
        assert!(!goes_through(&[runs("begin"), runs("authorize")]));
        assert!(goes_through(&[runs("authorize"), runs("capture")]));
        assert!(goes_through(&[runs("begin"), sends("Notifications", "deliver")]), "one that costs nothing");
        assert!(!goes_through(&[runs("capture"), sends("Checkout", "letMoneyGo")]), "its capture was refused");
        assert!(!goes_through(&[runs("authorize"), sends("Checkout", "letMoneyGo")]));
        assert!(!goes_through(&[runs("authorize"), sends("Stuck", "clear")]), "a map that could not judge can again");
        let unknown = json!({ "entry_type": "Command: OneWayCall", "name": "", "entry_json": "of a later server" });
        assert!(goes_through(&[unknown]), "what is not understood is taken for the buyer's message");
    }
}
