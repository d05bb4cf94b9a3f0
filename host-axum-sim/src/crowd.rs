//! The crowd of a demo: who lets it in, how it stands, and when it goes home.
//!
//! ```text
//!  POST   /demo/crowd { "buyers": 60 }   lets one in, unless one is there
//!  GET    /demo/crowd                    how it stands
//!  DELETE /demo/crowd                    sends it home
//! ```
//!
//! Every buyer is a task that asks as anybody would, through the routes; see `crowd/buyer.rs`. It goes home by itself when
//! nothing is left to be sold and everybody has paid. Who is at the till when it is sent home, pays all the same.

mod buyer;
mod hall;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use axum::routing::any;
use booking_core::MapKey;
use booking_core::map::SeatMap;
use booking_core::wire::{Answer, Kind, MAX_BODY, Refusal, answer};
use booking_hosting::process::now;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::routes::{App, JSON, not_this_method, read, read_past, respond, shown};
use buyer::Place;
use hall::{Hall, left};

/// How many buyers there are where nobody says, and at most.
const BUYERS: u64 = 60;
const MOST_BUYERS: u64 = 500;

/// How long a crowd stays, however many seats are left.
const LONGEST: Duration = Duration::from_secs(600);

/// The methods that its route takes.
const TAKES: &str = "GET, HEAD, POST, DELETE";

/// How often it looks at the map.
const LOOKS_EVERY: Duration = Duration::from_millis(250);

/// The crowds of a server, one at a time.
#[derive(Clone)]
pub(crate) struct Crowd(Arc<Shared>);

struct Shared {
    app: App,
    map: MapKey,
    /// The one that is there, or was last.
    visit: Mutex<Option<Arc<Visit>>>,
    /// How many buyers there have been: each has another name.
    names: AtomicU64,
}

/// One crowd, from when it is let in until it has gone home.
struct Visit {
    buyers: u64,
    hall: Hall,
    has_gone_home: watch::Sender<bool>,
    /// Buyers who are paying.
    at_the_till: AtomicU64,
    /// Checkouts that were confirmed.
    booked: AtomicU64,
    /// Seats of these.
    seats: AtomicU64,
    /// Payments that did not go through.
    declined: AtomicU64,
    /// Buyers who left without a word; their holds end by themselves.
    walked_away: AtomicU64,
    /// Buyers who gave their holds back.
    gave_back: AtomicU64,
}

/// How a crowd stands.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stands {
    running: bool,
    buyers: u64,
    booked: u64,
    seats: u64,
    declined: u64,
    walked_away: u64,
    gave_back: u64,
    /// Seats of the map that are still to be sold, whether held or not.
    left: usize,
}

impl Crowd {
    pub(crate) fn new(app: App, map: MapKey) -> Self {
        Self(Arc::new(Shared { app, map, visit: Mutex::new(None), names: AtomicU64::new(0) }))
    }

    pub(crate) fn routes(&self) -> Router {
        Router::new().route("/demo/crowd", any(crowd)).with_state(self.clone())
    }

    fn visit(&self) -> MutexGuard<'_, Option<Arc<Visit>>> {
        self.0.visit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look<T>(&self, look: impl FnOnce(&SeatMap) -> T) -> T {
        self.0.app.host.read_map(&self.0.map, look)
    }

    /// Lets a crowd in, and says whether it did: not while one is there.
    fn let_in(&self, buyers: u64) -> bool {
        let mut visit = self.visit();
        if visit.as_ref().is_some_and(|visit| visit.is_there()) {
            return false;
        }
        let next = Arc::new(Visit::new(buyers));
        *visit = Some(Arc::clone(&next));
        tokio::spawn(self.clone().see_through(next));
        true
    }

    pub(crate) fn send_home(&self) {
        if let Some(visit) = self.visit().as_ref() {
            visit.has_gone_home.send_replace(true);
        }
    }

    /// Looks at the map again and again, for all of its buyers, until nothing is left.
    async fn see_through(self, visit: Arc<Visit>) {
        let (until, mut gone_home) = (Instant::now() + LONGEST, visit.has_gone_home.subscribe());
        let mut buyers = 0..visit.buyers;
        while Instant::now() < until {
            let left = self.look(|map| {
                visit.hall.look(map);
                left(map)
            });
            if left == 0 && visit.at_the_till.load(Ordering::Relaxed) == 0 {
                break;
            }
            for _ in buyers.by_ref() {
                let place = Place::new(self.clone(), Arc::clone(&visit));
                tokio::spawn(place.be_taken_again_and_again());
            }
            if tokio::time::timeout(LOOKS_EVERY, gone_home.wait_for(|gone| *gone)).await.is_ok() {
                break;
            }
        }
        visit.has_gone_home.send_replace(true);
    }

    fn stands(&self) -> Stands {
        let left = self.look(left);
        let Some(visit) = self.visit().clone() else { return Stands { left, ..Stands::default() } };
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stands {
            running: visit.is_there(),
            buyers: visit.buyers,
            booked: count(&visit.booked),
            seats: count(&visit.seats),
            declined: count(&visit.declined),
            walked_away: count(&visit.walked_away),
            gave_back: count(&visit.gave_back),
            left,
        }
    }

    fn answer(&self, status: u16) -> Answer {
        let body = serde_json::to_string(&self.stands()).expect("numbers are JSON");
        Answer { status, body, kind: None }
    }

    /// Checks the token and the method of a request for the crowd, as the routes do for theirs, and counts what comes of it.
    async fn at_the_door(
        &self,
        request: Request,
        then: impl AsyncFnOnce(Request) -> Result<Answer, Refusal>,
    ) -> Response {
        let (app, start) = (&self.0.app, Instant::now());
        let refused = app.settings.auth.authorize(shown(request.headers()), now()).err();
        let is_taken = TAKES.split(", ").any(|method| method == request.method().as_str());
        let (answer, refused) = match refused {
            None if is_taken => then(request).await.map_or_else(
                |refusal| (respond(answer::refusal(&refusal)), Some(refusal.kind)),
                |answer| (respond(answer), None),
            ),
            None => {
                read_past(request.into_body(), app.settings.body_within).await;
                (not_this_method(TAKES), Some(Kind::MethodNotAllowed))
            }
            Some(refusal) => {
                read_past(request.into_body(), app.settings.body_within).await;
                (respond(answer::refusal(&refusal)), Some(refusal.kind))
            }
        };
        app.metrics.answered(("demo", "crowd"), refused, start.elapsed());
        answer
    }

    /// The fields of a request. A page of another site can send a body without asking first, but not as JSON.
    async fn fields(&self, request: Request) -> Result<Map<String, Value>, Refusal> {
        let (parts, body) = request.into_parts();
        let body = read(body, MAX_BODY, self.0.app.settings.body_within).await?;
        if !is_json(&parts.headers) {
            return Err(Refusal::invalid("content-type", "must be application/json"));
        }
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Map::new());
        }
        match serde_json::from_slice(&body) {
            Ok(Value::Object(fields)) => Ok(fields),
            Ok(Value::Null) => Ok(Map::new()),
            Ok(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                Err(Refusal::invalid("body", "must be an object"))
            }
            Err(error) => Err(Refusal::invalid("body", &format!("is not valid JSON: {error}"))),
        }
    }
}

impl Visit {
    fn new(buyers: u64) -> Self {
        let none = || AtomicU64::new(0);
        Self {
            buyers,
            hall: Hall::default(),
            has_gone_home: watch::Sender::new(false),
            at_the_till: none(),
            booked: none(),
            seats: none(),
            declined: none(),
            walked_away: none(),
            gave_back: none(),
        }
    }

    fn is_there(&self) -> bool {
        !*self.has_gone_home.borrow()
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let of_type = headers.get(CONTENT_TYPE).and_then(|of_type| of_type.to_str().ok());
    of_type.and_then(|of_type| of_type.split(';').next()).is_some_and(|it| it.trim().eq_ignore_ascii_case(JSON))
}

/// How many are to come.
fn buyers(mut fields: Map<String, Value>) -> Result<u64, Refusal> {
    let buyers = match fields.remove("buyers") {
        None | Some(Value::Null) => Some(BUYERS),
        Some(buyers) => buyers.as_u64().filter(|buyers| (1..=MOST_BUYERS).contains(buyers)),
    };
    let wrong = || Refusal::invalid("buyers", &format!("must be a whole number from 1 to {MOST_BUYERS}"));
    let buyers = buyers.ok_or_else(wrong)?;
    let Some(name) = fields.keys().next() else { return Ok(buyers) };
    let name: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
    Err(Refusal::invalid(&name, "is not a field of this request"))
}

async fn crowd(State(crowd): State<Crowd>, request: Request) -> Response {
    let then = async |request: Request| {
        if *request.method() == Method::DELETE {
            crowd.send_home();
        } else if *request.method() == Method::POST {
            let buyers = buyers(crowd.fields(request).await?)?;
            return Ok(if crowd.let_in(buyers) { crowd.answer(202) } else { crowd.answer(200) });
        }
        Ok(crowd.answer(200))
    };
    crowd.at_the_door(request, then).await
}
