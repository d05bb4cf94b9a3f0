//! Looks at whole maps. Those who look at a map at the same time are all shown one text, which is made outside the engine's lock:
//! a look that has to wait for a text to be made is shown the next one, with all who came meanwhile. Those who begin to watch a
//! version of a map are all shown one snapshot of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use booking_core::ids::MapKey;
use booking_core::map::{Picture, Summary};
use booking_core::time::Millis;
use booking_core::wire::{Answer, Call, Kind, SeatMapCall, answer, watch};
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

/// Where those meet who look at a map, or watch it.
#[derive(Default)]
struct Place {
    came: AtomicU64,
    looks: tokio::sync::Mutex<Look>,
    snapshot: Mutex<Option<(Text, Millis)>>,
}

/// How long it takes this host to let a watcher in.
pub(crate) const LETS_IN: Duration = Duration::from_micros(200);

/// The last look that was had.
#[derive(Default)]
struct Look {
    /// How many had come before the map was asked for it: these may be shown its text.
    came: u64,
    text: Option<Text>,
}

/// A text that was made.
struct Text {
    /// What it shows. Two texts of one map that are not the same differ in that.
    summary: Summary,
    hand: Hand,
}

impl Text {
    /// The text, if it shows this, and is still there.
    fn of(&self, summary: Summary) -> Option<Hand> {
        if self.summary == summary { self.hand.another() } else { None }
    }
}

impl Looks {
    /// The answer to a look at a map.
    pub(crate) async fn answer(&self, host: &Host, map: MapKey) -> Result<Response, Answer> {
        let place = self.place(&map);
        let mine = place.came.fetch_add(1, SeqCst) + 1;
        let mut last = place.looks.lock().await;
        let known = last.text.as_ref().filter(|_| last.came >= mine).and_then(|text| text.hand.another());
        let text = match known {
            Some(text) => text,
            None => {
                let came = place.came.load(SeqCst);
                let picture = match host.ask(Call::SeatMap(map, SeatMapCall::Get), None).await {
                    Reply::Seen(picture) => picture,
                    Reply::Answer(answer) => return Err(answer),
                    Reply::Subscription(_) | Reply::Plan(..) | Reply::Bookings(..) => {
                        return Err(answer::refusal(&Kind::StorageUnavailable.into()));
                    }
                };
                let summary = picture.summary();
                let hand = match last.text.as_ref().and_then(|text| text.of(summary)) {
                    Some(same) => same,
                    None => match written(picture, summary).await {
                        Some(text) => self.outbox.text(text),
                        None => return Err(answer::refusal(&Kind::Overloaded.into())),
                    },
                };
                let shown = hand.another();
                *last = Look { came, text: Some(Text { summary, hand }) };
                shown.ok_or_else(|| answer::refusal(&Kind::Overloaded.into()))?
            }
        };
        drop(last);
        let sending = text.send().ok_or_else(|| answer::refusal(&Kind::Overloaded.into()))?;
        let mut response = respond(answer::ok(None));
        *response.body_mut() = Body::new(sending);
        Ok(response)
    }

    /// What a watcher of a map is shown first. Who waited for another's text would keep a picture meanwhile, and a picture is
    /// larger.
    pub(crate) fn snapshot(&self, map: &MapKey, picture: &Picture, spread: Millis) -> Option<Hand> {
        let (place, summary) = (self.place(map), picture.summary());
        let last = || place.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let same = last().as_ref().filter(|(_, known)| *known == spread).and_then(|(text, _)| text.of(summary));
        same.or_else(|| {
            let hand = self.outbox.text(Bytes::from(watch::snapshot(picture, spread)));
            let shown = hand.another();
            *last() = Some((Text { summary, hand }, spread));
            shown
        })
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
