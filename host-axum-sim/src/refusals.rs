//! What callers are refused at the door, counted for the audit: an entry for the first at once, then at most one a minute for each handler
//! and kind. So a caller who shows wrong tokens cannot fill the audit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use booking_core::time::Timestamp;
use booking_core::wire::audit::AuditEntry;
use booking_core::wire::{Door, Handler, Kind, route};

use crate::host::Host;

/// How long refusals are gathered.
const GATHERED_FOR: Duration = Duration::from_secs(60);

/// Refusals that are not told of yet.
#[derive(Clone, Default)]
pub(crate) struct Refusals(Arc<Mutex<Gathered>>);

#[derive(Default)]
struct Gathered {
    /// Others are gathered: an entry was written within the last minute.
    gathers: bool,
    counts: BTreeMap<(Option<Handler>, &'static str), (Kind, u32)>,
}

impl Refusals {
    /// A request was refused with this. The audit says only what says something about the caller.
    pub(crate) fn count(&self, host: &Host, method: &str, path: &str, kind: Kind) {
        if !matches!(kind, Kind::Unauthorized | Kind::RateLimited) {
            return;
        }
        let handler = route(Door::Admin, method, path).ok().map(|route| route.handler);
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, times) = gathered.counts.entry((handler, kind.as_str())).or_insert((kind, 0));
        *times = times.saturating_add(1);
        if !std::mem::replace(&mut gathered.gathers, true) {
            tell(&mut gathered, host);
            let (all, host) = (self.clone(), host.clone());
            tokio::spawn(async move { all.gather(&host).await });
        }
    }

    /// Tells of what came within each minute, until there is one in which nothing came.
    async fn gather(&self, host: &Host) {
        loop {
            tokio::time::sleep(GATHERED_FOR).await;
            let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if gathered.counts.is_empty() {
                gathered.gathers = false;
                return;
            }
            tell(&mut gathered, host);
        }
    }
}

fn tell(gathered: &mut Gathered, host: &Host) {
    for ((handler, _), (kind, times)) in std::mem::take(&mut gathered.counts) {
        host.note(AuditEntry::refusals(handler, kind, times, Timestamp::default()));
    }
}
