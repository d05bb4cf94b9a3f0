//! Invitations at this server's door: made for an operator, a few a minute, and good for one booking each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use booking_core::ids::MapKey;
use booking_core::life::invitation::{checkout, has_failed, is_taken};
use booking_core::wire::audit::AuditEntry;
use booking_core::wire::{Answer, Call, InvitationTtl, Kind, Refusal, answer};
use booking_hosting::auth::Auth;
use booking_hosting::invitations::{MOST_A_MINUTE, Once};

use crate::engine::Key;
use crate::host::{Host, Reply, chance};
use booking_hosting::process::now;

const MINUTE: Duration = Duration::from_secs(60);

/// How many were made to each map since its minute began.
#[derive(Clone, Default)]
pub(crate) struct Made(Arc<Mutex<BTreeMap<MapKey, (Instant, u32)>>>);

impl Made {
    /// Whether one more may be made to this map.
    fn has_room(&self, map: &MapKey) -> bool {
        let (now, mut made) = (Instant::now(), self.0.lock().unwrap_or_else(PoisonError::into_inner));
        made.retain(|_, (since, _)| now.duration_since(*since) < MINUTE);
        let (_, count) = made.entry(map.clone()).or_insert((now, 0));
        *count += u32::from(*count <= MOST_A_MINUTE);
        *count <= MOST_A_MINUTE
    }

    /// Makes one, once the audit says so.
    pub(crate) async fn invite(
        &self,
        auth: &Auth,
        host: &Host,
        (map, ttl): (MapKey, InvitationTtl),
        audit: Option<Box<AuditEntry>>,
    ) -> Result<Answer, Refusal> {
        if auth.invitations().is_empty() {
            return Err(Kind::NotFound.into());
        }
        if !self.has_room(&map) {
            return Err(Kind::RateLimited.into());
        }
        let (expires, chance) = (now().plus(ttl.length()), chance().map_err(|_| Kind::StorageUnavailable)?);
        let Reply::Answer(said) = host.ask_audited(Call::Invite { map: map.clone(), ttl }, None, audit).await else {
            return Err(Kind::StorageUnavailable.into());
        };
        let invitation = auth.invitations().invite(&map, expires, chance).ok_or(Kind::NotFound)?;
        Ok(if said.kind.is_none() { answer::invited(&invitation, &map, expires) } else { said })
    }
}

/// Orders for who was invited, where no other order of theirs has sold or may still sell.
pub(crate) async fn order(
    host: &Host,
    once: Once,
    call: &Call,
    body: &[u8],
    key: Option<&Key>,
) -> Result<Reply, Refusal> {
    let chance = chance().map_err(|_| Kind::StorageUnavailable)?;
    for digests in once.tries(body, key.map(|key| key.name.as_str()), chance) {
        let reply = host.ask_named(call.clone(), Key { name: String::new(), digests }).await;
        let Reply::Answer(said) = &reply else { return Ok(reply) };
        if !is_taken(said) {
            return Ok(reply);
        }
        let Reply::Answer(said) = host.ask(Call::Status(checkout(&digests)), None).await else { break };
        has_failed(&said)?;
    }
    Err(Kind::InvitationUsed.into())
}
