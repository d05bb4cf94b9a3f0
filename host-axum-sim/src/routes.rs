//! HTTP: bytes in, [`wire::route`](booking_core::wire::route) and its [`parse`](booking_core::wire::Route::parse), the
//! engine, bytes out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use axum::routing::any;
use booking_core::life;
use booking_core::wire::audit::AuditEntry;
use booking_core::wire::export::Booking;
use booking_core::wire::search::{BookingCursor, BookingSearch, LONGEST_PAGE};
use booking_core::wire::{
    Answer, Call, Door, Handler, IDEMPOTENCY_KEY, Kind, ROOTS, Refusal, SeatMapCall, allow, answer, idempotency_key,
    openapi, watch,
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tracing::{Instrument as _, field};

use crate::engine::Key;
use crate::host::{Host, Reply};
use crate::invitations::{self, Made};
use crate::looks::Looks;
use crate::metrics::{self, Metrics};
use crate::plans::Plans;
use crate::refusals::Refusals;
use crate::serve::Share;
use crate::socket::Upgrade;
use booking_hosting::auth::{self, Auth, Principal};
use booking_hosting::process::now;

/// What the routes need.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) host: Host,
    pub(crate) settings: Arc<RouteSettings>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) plans: Plans,
    pub(crate) looks: Looks,
    pub(crate) refusals: Refusals,
    pub(crate) made: Made,
}

/// How requests are let in.
#[derive(Clone)]
pub struct RouteSettings {
    /// Who may do what.
    pub auth: Auth,
    /// How long a body may take to arrive.
    pub body_within: Duration,
    /// How many may watch maps at a time.
    pub watchers: usize,
    /// Which services there are.
    pub services: Services,
}

impl Default for RouteSettings {
    fn default() -> Self {
        let body_within = Duration::from_secs(10);
        Self { auth: Auth::default(), body_within, watchers: 1_000, services: Services::All }
    }
}

/// Which services there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Services {
    /// All of them.
    All,
    /// The mock gateway alone.
    MockGateway,
}

impl Services {
    fn have(self, call: &Call) -> bool {
        match self {
            Self::All => true,
            Self::MockGateway => matches!(call, Call::Gateway(_) | Call::Health),
        }
    }
}

/// Every route of the service, to be merged into an app of your own, or nested under a path of it.
///
/// It has no fallback: your app answers every path that is not one of these routes.
pub fn router(host: Host, settings: RouteSettings) -> Router {
    routes(App {
        host,
        settings: Arc::new(settings),
        metrics: Arc::default(),
        plans: Plans::default(),
        looks: Looks::default(),
        refusals: Refusals::default(),
        made: Made::default(),
    })
}

pub(crate) fn routes(app: App) -> Router {
    let paths = ROOTS.iter().flat_map(|root| [(*root).to_owned(), format!("{root}/{{*call}}")]);
    paths
        .fold(Router::new(), |router, path| router.route(&path, any(call)))
        .route("/metrics", any(numbers))
        .route("/openapi.json", any(description))
        .with_state(app)
}

/// Answers every path that is not one of the routes, for a server that has no others.
pub(crate) async fn nowhere(State(app): State<App>, request: Request) -> Response {
    let start = Instant::now();
    let refusal =
        app.settings.auth.authorize(shown(request.headers()), now()).err().unwrap_or_else(|| Kind::NotFound.into());
    read_past(request.into_body(), app.settings.body_within).await;
    app.metrics.answered(("", ""), Some(refusal.kind), start.elapsed());
    respond(answer::refusal(&refusal))
}

/// A page that is read takes `GET` and asks for the public door: what is wrong with a request for one.
fn wrong_with(app: &App, request: &Request) -> Option<Response> {
    if let Err(refusal) = app.settings.auth.authorize(shown(request.headers()), now()) {
        return Some(respond(answer::refusal(&refusal)));
    }
    if *request.method() == Method::GET || *request.method() == Method::HEAD {
        return None;
    }
    Some(not_this_method("GET, HEAD"))
}

/// That a path takes these methods, and not the one that was tried.
pub(crate) fn not_this_method(takes: &'static str) -> Response {
    let mut response = respond(answer::refusal(&Kind::MethodNotAllowed.into()));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(takes));
    response
}

async fn numbers(State(app): State<App>, request: Request) -> Response {
    if let Some(refused) = wrong_with(&app, &request) {
        return refused;
    }
    match app.metrics.text(&app.host) {
        Ok(text) => with_type(StatusCode::OK, metrics::CONTENT_TYPE, text),
        Err(_) => respond(answer::refusal(&Kind::Overloaded.into())),
    }
}

async fn description(State(app): State<App>, request: Request) -> Response {
    let refused = wrong_with(&app, &request);
    refused.unwrap_or_else(|| with_type(StatusCode::OK, JSON, openapi::document()))
}

/// The type of what is said in JSON.
pub(crate) const JSON: &str = "application/json";

fn with_type(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    response
}

pub(crate) fn respond(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = with_type(status, JSON, answer.body);
    if let Some(seconds) = answer.kind.and_then(Kind::retry_after) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// What the log and the metrics say of a request.
struct Told {
    handler: Option<Handler>,
    start: Instant,
}

/// A request to the service.
pub(crate) async fn call(State(app): State<App>, request: Request) -> Response {
    // The log leaves the path out: a client may have put a secret into it by mistake.
    let span = tracing::debug_span!(
        "request",
        method = %request.method(),
        service = field::Empty,
        handler = field::Empty,
        ticket = field::Empty,
        map = field::Empty,
        checkout = field::Empty,
        status = field::Empty,
        kind = field::Empty,
    );
    let mut told = Told { handler: None, start: Instant::now() };
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    async {
        let outcome = answered(&app, request, &mut told).await;
        let took = told.start.elapsed();
        let (kind, response) = match outcome {
            Ok(Ok(answer)) => (answer.kind, respond(answer)),
            Ok(Err(response)) => (None, response),
            Err((refusal, headers)) => {
                let mut response = respond(answer::refusal(&refusal));
                response.headers_mut().extend(headers);
                (Some(refusal.kind), response)
            }
        };
        app.metrics.answered(told.handler.map(Handler::labels).unwrap_or_default(), kind, took);
        let span = tracing::Span::current();
        span.record("status", response.status().as_u16());
        if let Some(kind) = kind {
            span.record("kind", kind.as_str());
            app.refusals.count(&app.host, method.as_str(), &path, kind);
        }
        tracing::debug!(took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX), "answered");
        response
    }
    .instrument(span)
    .await
}

/// An answer, a response of another kind, or a refusal with headers that go with it.
type Outcome = Result<Result<Answer, Response>, (Refusal, HeaderMap)>;

async fn answered(app: &App, request: Request, told: &mut Told) -> Outcome {
    let (mut parts, body) = request.into_parts();
    let plain = |refusal: Refusal| (refusal, HeaderMap::new());
    let path = parts.uri.path().to_owned();
    let (principal, route) = match app.settings.auth.route(shown(&parts.headers), parts.method.as_str(), &path, now()) {
        Ok(found) => found,
        Err(refusal) => {
            read_past(body, app.settings.body_within).await;
            return Err(with_allow(refusal, &path));
        }
    };
    let handler = route.handler;
    told.handler = Some(handler);
    let span = tracing::Span::current();
    let (service, name) = handler.labels();
    span.record("service", service).record("handler", name);
    let body = read(body, handler.max_body(), app.settings.body_within).await.map_err(plain)?;
    let keys = parts.headers.get_all(IDEMPOTENCY_KEY).iter().map(HeaderValue::as_bytes);
    let key = idempotency_key(parts.method.as_str(), keys).map_err(plain)?;
    let key = key.map(|name| scoped(name, &principal, &path, &body));
    let route = route.with_query(parts.uri.query().unwrap_or_default());
    let call = route.parse(&body).map_err(plain)?.from_door(principal.door);
    if !app.settings.services.have(&call) {
        return Err(plain(Kind::NotFound.into()));
    }
    if let Err(refusal) = principal.may(&call) {
        tracing::warn!(who = principal.name(), about = call.about(), "audit: a token is not for {service} {name}");
        return Err(plain(refusal));
    }
    tell(&span, &call);
    let audit = handler.is_audited().then(|| Box::new(AuditEntry::new(principal.name(), handler, &call, now())));
    if let Some(entry) = &audit {
        let AuditEntry { who, about, reason, .. } = entry.as_ref();
        tracing::warn!(who, about, reason, "audit: an operator asks for: {service} {name}");
    }
    if call == Call::Health {
        return if app.host.is_well() {
            Ok(Ok(answer::health_but(app.host.troubles())))
        } else {
            Err(plain(Kind::StorageUnavailable.into()))
        };
    }
    if let Call::Invite { map, ttl } = call {
        return app.made.invite(&app.settings.auth, &app.host, (map, ttl), audit).await.map(Ok).map_err(plain);
    }
    if let (Some(once), Call::Process(_) | Call::ProcessSend(_)) = (principal.once, &call) {
        return match invitations::order(&app.host, once, &call, &body, key.as_ref()).await.map_err(plain)? {
            Reply::Answer(answer) => Ok(Ok(answer)),
            Reply::Plan(..) | Reply::Subscription(_) | Reply::Seen(_) | Reply::Bookings(..) => {
                Err(plain(Kind::StorageUnavailable.into()))
            }
        };
    }
    if let Call::SeatMap(map, SeatMapCall::Get) = call {
        return Ok(app.looks.answer(&app.host, map).await.map_or_else(Ok, Err));
    }
    let table_of = if let Call::BookingsCsv(search) = &call { Some(search.clone()) } else { None };
    let mut socket = None;
    if let Call::SeatMap(_, SeatMapCall::Watch) = &call {
        match upgrade(app, &mut parts) {
            Ok(upgrade) => socket = Some(upgrade),
            Err(answer) => return Ok(Ok(answer)),
        }
    }
    match (app.host.ask_audited(call, key, audit).await, socket) {
        (Reply::Answer(answer), _) => Ok(Ok(answer)),
        (Reply::Plan(map, edition), _) => Ok(Err(app.plans.answer(map, edition, &parts.headers).await)),
        (Reply::Subscription(watched), Some(upgrade)) => {
            let (host, looks) = (app.host.clone(), app.looks.clone());
            let share = parts.extensions.remove::<Arc<Share>>();
            Ok(Err(upgrade.serve(async move |socket| {
                crate::watch::serve(socket, host, looks, watched).await;
                drop(share);
            })))
        }
        // Looks are answered above.
        (Reply::Seen(picture), _) => Ok(Ok(answer::seat_map(&picture))),
        (Reply::Bookings(page, next), _) => Ok(match table_of {
            None => Ok(answer::bookings(&page, next.as_ref())),
            Some(search) => Err(table(app.host.clone(), search, page, next)),
        }),
        (Reply::Subscription(_), None) => Ok(Ok(answer::refusal(&watch::no_socket()))),
    }
}

/// Bookings as a table, page after page, while the host sells on: those of this page, and those from `next` on. If a page cannot be had
/// the connection breaks off, so that nobody takes half of a table for all of it.
fn table(host: Host, search: BookingSearch, page: Vec<Booking>, next: Option<BookingCursor>) -> Response {
    let rows = |page: Vec<Booking>| page.iter().map(Booking::csv).collect::<String>();
    let first = format!("{}{}", Booking::CSV_HEADER, rows(page));
    let pages = futures_util::stream::try_unfold((Some(first), next), move |(text, next)| {
        let (host, search) = (host.clone(), search.clone());
        async move {
            if let Some(text) = text {
                return Ok(Some((Bytes::from(text), (None, next))));
            }
            let Some(after) = next else { return Ok(None) };
            let asked = BookingSearch { after: Some(after), limit: LONGEST_PAGE, ..search };
            let (page, next) = host.bookings(asked).await.map_err(|_| std::io::Error::other("a page is missing"))?;
            Ok(Some((Bytes::from(rows(page)), (None, next))))
        }
    });
    let pages: futures_util::stream::BoxStream<'static, std::io::Result<Bytes>> = Box::pin(pages);
    let mut response = with_type(StatusCode::OK, "text/csv; charset=utf-8", Body::from_stream(pages));
    let name = HeaderValue::from_static("attachment; filename=\"bookings.csv\"");
    response.headers_mut().insert(CONTENT_DISPOSITION, name);
    response
}

/// Tells a request's span what it is about: ids of tickets, maps and checkouts, and no others.
fn tell(span: &tracing::Span, call: &Call) {
    match call {
        Call::Ticket(id, _) => span.record("ticket", field::display(id)),
        Call::SeatMap(key, _) => span.record("map", field::display(key)),
        Call::Status(id) => span.record("checkout", field::display(id)),
        Call::Operate(id, _) => span.record("checkout", field::display(id)),
        Call::Process(order) | Call::ProcessSend(order) => span.record("ticket", field::debug(order.tickets())),
        Call::Retry(_)
        | Call::Erase { .. }
        | Call::Stuck(_)
        | Call::Bookings(_)
        | Call::BookingsCsv(_)
        | Call::Inbox(_)
        | Call::Audit(_)
        | Call::Gateway(_)
        | Call::Health => span,
        Call::Invite { map, .. } => span.record("map", field::display(map)),
    };
}

fn with_allow(refusal: Refusal, path: &str) -> (Refusal, HeaderMap) {
    let mut headers = HeaderMap::new();
    if refusal.kind == Kind::MethodNotAllowed
        && let Some(methods) = allow(Door::Admin, path)
    {
        headers.insert(ALLOW, HeaderValue::from_static(methods));
    }
    (refusal, headers)
}

/// The WebSocket of a request to watch.
fn upgrade(app: &App, parts: &mut axum::http::request::Parts) -> Result<Upgrade, Answer> {
    let is_offered = protocols(&parts.headers).any(|protocol| protocol == watch::PROTOCOL);
    match Upgrade::of(parts) {
        Some(_) if app.host.watchers() >= app.settings.watchers => Err(answer::refusal(&Kind::Overloaded.into())),
        Some(upgrade) if is_offered => Ok(upgrade),
        _ => Err(answer::refusal(&watch::no_socket())),
    }
}

/// How many bytes of a body that is too long are read on, and thrown away: a client that is still sending when the answer
/// comes may never see it.
const READ_ON: usize = 4 * 1024 * 1024;

/// Reads a body, no further than its route takes and no longer than it may.
pub(crate) async fn read(body: Body, longest: usize, within: Duration) -> Result<Bytes, Refusal> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    tokio::time::timeout(within, read_all(body, longest))
        .await
        .unwrap_or_else(|_| Err(Refusal::invalid("body", "did not arrive in time")))
}

/// Reads past the body of a request that is refused for other reasons, so that the next one on this connection is found.
pub(crate) async fn read_past(body: Body, within: Duration) {
    if !body.is_end_stream() {
        let _refused_anyway = tokio::time::timeout(within, read_all(body, 0)).await;
    }
}

async fn read_all(mut body: Body, longest: usize) -> Result<Bytes, Refusal> {
    let most = longest + READ_ON;
    let promised = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if promised > most {
        return Err(Kind::PayloadTooLarge.into());
    }
    let (mut whole, mut length) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::invalid("body", "ended early"))?;
        let Ok(bytes) = frame.into_data() else { continue };
        // One piece is all there is, most of the time.
        if length == 0 && bytes.len() <= longest && body.is_end_stream() {
            return Ok(bytes);
        }
        length += bytes.len();
        if length > most {
            break;
        }
        if length <= longest {
            whole.extend_from_slice(&bytes);
        }
    }
    if length <= longest { Ok(whole.freeze()) } else { Err(Kind::PayloadTooLarge.into()) }
}

/// A key with its scope, and what it came with.
fn scoped(name: &str, principal: &Principal, path: &str, body: &[u8]) -> Key {
    let digests = life::Key { scope: auth::scope(principal, path, name), request: auth::fingerprint(body) };
    Key { name: name.to_owned(), digests }
}

/// The token of a request.
pub(crate) fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    auth::shown(headers.get(AUTHORIZATION).map(HeaderValue::as_bytes), protocols(headers))
}

/// The WebSocket subprotocols that a request offers.
fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lists = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(auth::protocols)
}
