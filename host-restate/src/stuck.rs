//! `host-restate stuck`: the checkouts that wait in vain.

use std::io::Write as _;

use booking_core::format;
use booking_core::ids::{CheckoutId, TicketId};
use booking_core::time::Timestamp;
use booking_hosting::flags::{CannotRun, because};
use booking_restate::{STUCK, WAITING, Waiting, WaitsFor};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::admin::RestateFlags;

/// How many are listed at most.
const MOST: usize = 1000;

#[derive(Args)]
pub(crate) struct StuckArgs {
    /// Those whose names come after this one: where there are more than 1000, the last that was listed
    #[arg(long)]
    after: Option<CheckoutId>,
    #[command(flatten)]
    restate: RestateFlags,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One {
    checkout_id: CheckoutId,
    waits_for: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<String>,
    in_vain: u32,
    since: Timestamp,
    tickets: Vec<TicketId>,
}

#[derive(Serialize)]
struct List {
    checkouts: Vec<One>,
    more: bool,
}

impl One {
    /// What a row of Restate's `state` says. One of another build that cannot be read is listed, too.
    fn of(row: &Value) -> Option<Self> {
        let checkout_id = CheckoutId::parse(row["service_key"].as_str()?).ok()?;
        let Ok(waiting) = format::read::<Waiting>(row["value_utf8"].as_str().unwrap_or_default().as_bytes()) else {
            let (waits_for, since) = ("unreadable", Timestamp::default());
            return Some(Self { checkout_id, waits_for, payment: None, map: None, in_vain: 0, since, tickets: vec![] });
        };
        let Waiting { waits_for, in_vain, since, tickets } = waiting;
        let (waits_for, payment, map) = match &waits_for {
            WaitsFor::Gateway(payment) => ("gateway", Some(payment.name()), None),
            WaitsFor::Map(map) => ("map", None, Some(map.to_string())),
            WaitsFor::Notifier(_) => ("notifier", None, None),
        };
        Some(Self { checkout_id, waits_for, payment, map, in_vain, since, tickets })
    }
}

impl StuckArgs {
    pub(crate) async fn run(self) -> Result<(), CannotRun> {
        // An id has no quotes.
        let after = self.after.map(|id| format!(" AND service_key > '{id}'")).unwrap_or_default();
        let rows = self.restate.query(format!(
            "SELECT service_key, value_utf8 FROM state WHERE service_name = '{STUCK}' AND key = '{WAITING}'{after} \
             ORDER BY service_key LIMIT {}",
            MOST + 1
        ));
        let mut rows = rows.await?;
        let more = rows.len() > MOST;
        rows.truncate(MOST);
        let one = |row| One::of(row).ok_or_else(|| CannotRun(format!("{} is no checkout", row["service_key"])));
        let list = List { checkouts: rows.iter().map(one).collect::<Result<_, _>>()?, more };
        let list = serde_json::to_string_pretty(&list).map_err(because("the list"))?;
        writeln!(std::io::stdout(), "{list}").map_err(because("standard output"))
    }
}
