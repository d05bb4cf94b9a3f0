//! Those who watch a map: each has a queue of its own, of a certain length. Who does not keep up is dropped, and holds
//! nobody up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use booking_core::ids::MapKey;
use booking_core::map::Picture;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::Instant;

use crate::engine::Shown;

/// How many changes may wait for one watcher before it is dropped.
const QUEUE: usize = 4096;

/// All watchers of all maps.
#[derive(Clone, Default)]
pub(crate) struct Subscriptions(Arc<Mutex<Watchers>>);

#[derive(Default)]
struct Watchers {
    next: u64,
    maps: BTreeMap<MapKey, BTreeMap<u64, Sender<Shown>>>,
    count: usize,
    closed: bool,
}

/// One watcher's place. It is given up when this is dropped.
pub(crate) struct Subscription {
    pub(crate) map: MapKey,
    /// What it is to be shown first, until it is: a picture is large, and each version has its own.
    pub(crate) view: Option<Arc<Picture>>,
    pub(crate) news: Receiver<Shown>,
    pub(crate) since: Instant,
    id: u64,
    pub(crate) subscriptions: Subscriptions,
}

impl Subscriptions {
    fn lock(&self) -> MutexGuard<'_, Watchers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place from this view on.
    pub(crate) fn watch(&self, map: MapKey, view: Arc<Picture>) -> Subscription {
        let (send, news) = mpsc::channel(QUEUE);
        let mut watchers = self.lock();
        let id = watchers.next;
        watchers.next += 1;
        watchers.count += 1;
        if !watchers.closed {
            watchers.maps.entry(map.clone()).or_default().insert(id, send);
        }
        Subscription { map, view: Some(view), news, since: Instant::now(), id, subscriptions: self.clone() }
    }

    /// Tells all watchers of a map. A watcher whose queue is full is dropped, and hears no more.
    pub(crate) fn tell(&self, map: &MapKey, shown: &Shown) {
        if let Some(watchers) = self.lock().maps.get_mut(map) {
            watchers.retain(|_, watcher| watcher.try_send(shown.clone()).is_ok());
        }
    }

    /// Tells everybody no more.
    pub(crate) fn close(&self) {
        let mut watchers = self.lock();
        watchers.closed = true;
        watchers.maps.clear();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().count
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut watchers = self.subscriptions.lock();
        watchers.count -= 1;
        if let Some(of_map) = watchers.maps.get_mut(&self.map) {
            of_map.remove(&self.id);
            if of_map.is_empty() {
                watchers.maps.remove(&self.map);
            }
        }
    }
}
