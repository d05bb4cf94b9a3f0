//! Looks at whole maps. Those who look at a map at the same time are all shown one text, which is made outside the engine's lock:
//! a look that has to wait for a text to be made is shown the next one, with all who came meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::response::Response;
use booking_core::ids::MapKey;
use booking_core::map::{Picture, Summary};
use booking_core::wire::{Answer, Call, Kind, SeatMapCall, answer};
use bytes::Bytes;

use crate::host::{Host, Reply};
use crate::outbox::{Hand, Outbox};
use crate::routes::respond;

/// How many maps have a text that is kept for the next look. With more maps than that, some are made anew.
const KEPT: usize = 64;

/// From how many seats on a text is made beside everything else.
const LARGE: u64 = 500;

/// Cloning it is cheap: it is the same.
#[derive(Clone, Default)]
pub(crate) struct Looks {
    maps: Arc<Mutex<BTreeMap<MapKey, Arc<Place>>>>,
    pub(crate) outbox: Outbox,
}

/// Where those meet who look at a map.
#[derive(Default)]
struct Place {
    came: AtomicU64,
    made: tokio::sync::Mutex<Option<Made>>,
}

/// The last text that was made.
struct Made {
    /// How many had come before the map was asked for it: these may be shown it.
    came: u64,
    /// What it shows. Two texts of one map that are not the same differ in that.
    summary: Summary,
    text: Hand,
}

impl Looks {
    /// The answer to a look at a map.
    pub(crate) async fn answer(&self, host: &Host, map: MapKey) -> Result<Response, Answer> {
        let place = self.place(&map);
        let mine = place.came.fetch_add(1, SeqCst) + 1;
        let mut made = place.made.lock().await;
        let known = made.as_ref().filter(|made| made.came >= mine).and_then(|made| made.text.another());
        let text = match known {
            Some(text) => text,
            None => {
                let came = place.came.load(SeqCst);
                let picture = match host.ask(Call::SeatMap(map, SeatMapCall::Get), None).await {
                    Reply::Seen(picture) => picture,
                    Reply::Answer(answer) => return Err(answer),
                    Reply::Watched(_) | Reply::Plan(..) => {
                        return Err(answer::refusal(&Kind::StorageUnavailable.into()));
                    }
                };
                let summary = picture.summary();
                let same = made.as_ref().filter(|made| made.summary == summary).and_then(|made| made.text.another());
                let text = match same {
                    Some(text) => text,
                    None => match written(picture, summary).await {
                        Some(text) => self.outbox.text(text),
                        None => return Err(answer::refusal(&Kind::Overloaded.into())),
                    },
                };
                let shown = text.another();
                *made = Some(Made { came, summary, text });
                shown.ok_or_else(|| answer::refusal(&Kind::Overloaded.into()))?
            }
        };
        drop(made);
        let sending = text.send().ok_or_else(|| answer::refusal(&Kind::Overloaded.into()))?;
        let mut response = respond(answer::ok(None));
        *response.body_mut() = Body::new(sending);
        Ok(response)
    }

    fn place(&self, map: &MapKey) -> Arc<Place> {
        let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = maps.get(map) {
            return Arc::clone(place);
        }
        if maps.len() >= KEPT {
            // A map that is being looked at stays.
            maps.retain(|_, place| Arc::strong_count(place) > 1);
        }
        Arc::clone(maps.entry(map.clone()).or_default())
    }
}

/// What is shown of a map; `None` where the runtime is going away.
async fn written(picture: Arc<Picture>, summary: Summary) -> Option<Bytes> {
    let write = move || Bytes::from(answer::seat_map(&picture).body);
    let Summary { available, reserved, sold, blocked, version: _ } = summary;
    if available + reserved + sold + blocked < LARGE {
        return Some(write());
    }
    tokio::task::spawn_blocking(write).await.ok()
}
