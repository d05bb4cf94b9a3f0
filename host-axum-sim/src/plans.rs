//! The plans of maps, as they go out: written and compressed once for each edition, and not while the engine is taken. When a
//! layout is published, everybody who watches its map asks for it at the same time.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, ETAG, HeaderName, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use booking_core::ids::MapKey;
use booking_core::map::Layout;
use booking_core::wire::answer;
use booking_hosting::representation::{is_known, tag, takes_gzip};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::OnceCell;

use crate::engine::Edition;
use crate::routes::respond;

/// How many plans are kept. With more maps than that, some are written again.
const KEPT: usize = 64;

/// Cloning it is cheap: it is the same.
#[derive(Clone, Default)]
pub(crate) struct Plans(Arc<Mutex<BTreeMap<MapKey, Arc<Plan>>>>);

/// One edition of a map's layout.
struct Plan {
    number: u64,
    layout: Arc<Layout>,
    written: OnceCell<Written>,
}

/// A plan as it goes out.
struct Written {
    tag: HeaderValue,
    json: Bytes,
    gzip: Bytes,
}

impl Plans {
    /// The answer to who asks for the plan of a map with these headers; nothing but its tag, if they have it already.
    pub(crate) async fn answer(&self, map: MapKey, edition: Edition, asks: &HeaderMap) -> Response {
        let Edition { number, layout: Some(layout) } = edition else {
            return respond(answer::plan(edition.number, None));
        };
        let plan = self.plan(map, number, layout);
        let written = plan.written.get_or_try_init(|| {
            let layout = Arc::clone(&plan.layout);
            tokio::task::spawn_blocking(move || Written::new(number, &layout))
        });
        match written.await {
            Ok(written) => written.answer(asks),
            // The runtime is going away.
            Err(_) => respond(answer::plan(number, Some(&plan.layout))),
        }
    }

    fn plan(&self, map: MapKey, number: u64, layout: Arc<Layout>) -> Arc<Plan> {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = plans.get(&map)
            && (known.number > number || Arc::ptr_eq(&known.layout, &layout))
        {
            return Arc::clone(known);
        }
        if plans.len() >= KEPT && !plans.contains_key(&map) {
            plans.pop_first();
        }
        let plan = Arc::new(Plan { number, layout, written: OnceCell::new() });
        plans.insert(map, Arc::clone(&plan));
        plan
    }
}

impl Written {
    fn new(edition: u64, layout: &Layout) -> Self {
        let json = Bytes::from(answer::plan(edition, Some(layout)).body);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&json).expect("a Vec takes everything");
        let gzip = Bytes::from(gzip.finish().expect("a Vec takes everything"));
        let tag = HeaderValue::from_str(&tag(&json)).expect("digits in quotes");
        Self { tag, json, gzip }
    }

    fn answer(&self, asks: &HeaderMap) -> Response {
        let said = |name: HeaderName| asks.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let tag = self.tag.to_str().expect("digits in quotes");
        let mut response = respond(answer::ok(None));
        if is_known(said(IF_NONE_MATCH), tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = Body::empty();
        } else if takes_gzip(said(ACCEPT_ENCODING)) {
            *response.body_mut() = Body::from(self.gzip.clone());
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        } else {
            *response.body_mut() = Body::from(self.json.clone());
        }
        let headers = response.headers_mut();
        headers.insert(ETAG, self.tag.clone());
        // A reader keeps it, and asks each time whether it is still so.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.append(VARY, HeaderValue::from_name(ACCEPT_ENCODING));
        response
    }
}
