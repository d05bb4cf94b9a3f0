//! `host-restate door`: stands before Restate's ingress, which knows neither tokens nor lists. What it lets in it passes on; what operators
//! look at it reads from Restate.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use booking_core::ids::CheckoutId;
use booking_core::wire::export::Booking;
use booking_core::wire::search::{BookingSearch, InboxId, LONGEST_PAGE};
use booking_core::wire::{
    Answer, Call, Door as Opens, Handler as Core, IDEMPOTENCY_KEY, Kind, Refusal, SeatMapCall, answer, idempotency_key,
};
use booking_hosting::auth::{Auth, Principal, scope, shown};
use booking_hosting::flags::{CannotRun, because, secrets};
use booking_hosting::ports::HttpPort;
use booking_hosting::process::{now, told_to_stop};
use booking_hosting::token_file;
use booking_restate::{Handler, refusal_in};
use bytes::Bytes;
use clap::Args;
use tokio::net::TcpListener;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::admin::RestateFlags;
use crate::lists::{Lists, OPERATOR};

/// How long a request may take: `process` waits for a gateway.
const WITHIN: Duration = Duration::from_secs(120);

/// The longest answer that is passed on, in bytes.
const LONGEST: usize = 64 << 20;

#[derive(Args)]
pub(crate) struct DoorArgs {
    /// Where to listen. Port 0 takes a free one; the log says which
    #[arg(long, env = "BOOKING_LISTEN", default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// Restate's ingress. The host behind it needs `--admin-handlers`, and nobody else may reach it
    #[arg(long, env = "RESTATE_INGRESS_URL", default_value = "http://127.0.0.1:8080")]
    ingress_url: String,
    #[command(flatten)]
    restate: RestateFlags,
    /// A file with the tokens that everything but /health then needs, one a line (or BOOKING_AUTH_TOKEN: one token)
    #[arg(long, env = "BOOKING_AUTH_TOKEN_FILE", value_name = "FILE")]
    auth_token_file: Option<PathBuf>,
    /// A file with the tokens of operators, one a line (or BOOKING_ADMIN_TOKEN: one token)
    #[arg(long, env = "BOOKING_ADMIN_TOKEN_FILE", value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    /// A file of tokens with names, as `booking tokens` writes it. It is read again when it has changed
    #[arg(long, env = "BOOKING_TOKENS", value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// An origin whose pages may ask, such as https://tickets.example; * for all. May be repeated
    #[arg(long, env = "BOOKING_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    cors_origin: Vec<HeaderValue>,
}

impl DoorArgs {
    pub(crate) async fn run(self) -> Result<(), CannotRun> {
        let public = secrets("--auth-token-file", self.auth_token_file.as_deref(), "BOOKING_AUTH_TOKEN")?;
        let admin = secrets("--admin-token-file", self.admin_token_file.as_deref(), "BOOKING_ADMIN_TOKEN")?;
        let named = self.tokens.as_deref().map(|path| token_file::follow("--tokens", path)).transpose()?;
        let auth = Auth::new(public.iter().map(String::as_str), admin.iter().map(String::as_str));
        let auth = auth.map_err(because("the tokens"))?.with_named(named.unwrap_or_default());
        let ingress = HttpPort::new(&self.ingress_url, WITHIN).map_err(because("--ingress-url"))?.reading(LONGEST);
        let door = Arc::new(Door { auth, ingress, restate: self.restate });
        let mut router = Router::new().fallback(serve).with_state(door);
        if !self.cors_origin.is_empty() {
            let every_origin = self.cors_origin.iter().any(|origin| origin == "*");
            let origins =
                if every_origin { AllowOrigin::from(Any) } else { AllowOrigin::list(self.cors_origin.clone()) };
            let key = HeaderName::from_bytes(IDEMPOTENCY_KEY.as_bytes()).map_err(because("a header"))?;
            let cors = CorsLayer::new().allow_origin(origins).allow_methods([Method::GET, Method::POST]);
            router = router.layer(cors.allow_headers([AUTHORIZATION, CONTENT_TYPE, key]).expose_headers([RETRY_AFTER]));
        }
        let stop = told_to_stop();
        let listener = TcpListener::bind(self.listen).await.map_err(because(&format!("--listen {}", self.listen)))?;
        let address = listener.local_addr().map_err(because("--listen"))?;
        tracing::info!("the door of {}", self.ingress_url);
        tracing::info!("listening on http://{address}");
        axum::serve(listener, router).with_graceful_shutdown(stop).await.map_err(because("serving"))?;
        tracing::info!("stopped");
        Ok(())
    }
}

struct Door {
    auth: Auth,
    ingress: HttpPort,
    restate: RestateFlags,
}

/// What there is besides the core's handlers: Restate's own answer of a checkout, and the handlers of operators on this platform.
enum Own {
    /// Anybody's who knows the name of the checkout.
    Output,
    Operators,
}

impl Own {
    fn of(method: &Method, path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (method.as_str(), parts.as_slice()) {
            ("GET", ["restate", "invocation", _, "output" | "attach"]) => Some(Self::Output),
            ("POST", [service, .., name]) => {
                let handler = Handler::named(service, name).filter(|handler| {
                    matches!(handler, Handler::Recover | Handler::StuckResolve | Handler::StuckNotify)
                });
                handler.map(|_| Self::Operators)
            }
            _ => None,
        }
    }
}

async fn serve(State(door): State<Arc<Door>>, request: Request) -> Response {
    let method = request.method().clone();
    let (response, told) = match door.answer(request).await {
        Ok(response) => (response, None),
        Err(refusal) => (respond(answer::refusal(&refusal)), Some(refusal.kind)),
    };
    // The log leaves the path out: a client may have put a secret into it by mistake.
    tracing::debug!(%method, status = response.status().as_u16(), kind = told.map_or("", Kind::as_str), "answered");
    response
}

impl Door {
    async fn answer(self: &Arc<Self>, request: Request) -> Result<Response, Refusal> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let offered = parts.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let token = shown(offered, [].into_iter());
        if let Some(own) = Own::of(&parts.method, &path) {
            let principal = match own {
                Own::Output => self.auth.authorize(token, now()).map(|()| None)?,
                // It is about a checkout, as this handler is.
                Own::Operators => {
                    let (principal, route) = self.auth.route(token, "POST", "/Checkout/any/cancel", now())?;
                    principal.may(&route.parse(br#"{"reason":"-"}"#)?)?;
                    Some(principal)
                }
            };
            let body = read(body, Core::Process.max_body()).await?;
            return self.pass_on(parts.method, &path, &parts.headers, body, principal.as_ref(), None).await;
        }
        let (principal, route) = self.auth.route(token, parts.method.as_str(), &path, now())?;
        let handler = route.handler;
        let body = read(body, handler.max_body()).await?;
        let keys = parts.headers.get_all(IDEMPOTENCY_KEY).iter().map(HeaderValue::as_bytes);
        let key = idempotency_key(parts.method.as_str(), keys)?;
        let route = route.with_query(parts.uri.query().unwrap_or_default());
        let call = route.parse(&body)?.from_door(principal.door);
        principal.may(&call)?;
        match call {
            Call::Bookings(search) => {
                let (page, next) = self.lists().bookings(&search).await.map_err(unread)?;
                Ok(respond(answer::bookings(&page, next.as_ref())))
            }
            Call::BookingsCsv(search) => self.table(search).await,
            Call::Inbox(search) => Ok(respond(self.lists().inbox(&search).await.map_err(unread)?)),
            Call::Audit(search) => Ok(respond(self.lists().audit(&search).await.map_err(unread)?)),
            Call::Retry(InboxId::Notification(id)) => {
                let path = format!("/{}/{id}/{}", Handler::StuckNotify.service(), Handler::StuckNotify.name());
                let body = Bytes::from_static(b"{}");
                self.pass_on(Method::POST, &path, &HeaderMap::new(), body, Some(&principal), None).await
            }
            Call::Health => {
                let up = self.ingress.send(Method::GET, "/restate/health", &[], Bytes::new()).await;
                let is_up = up.is_some_and(|up| up.status().is_success());
                if is_up { Ok(respond(answer::health())) } else { Err(Kind::StorageUnavailable.into()) }
            }
            // Of these there are other handlers here, or none.
            Call::SeatMap(_, SeatMapCall::Watch)
            | Call::Retry(InboxId::Line(_))
            | Call::Status(_)
            | Call::Stuck(_)
            | Call::Operate(..)
            | Call::Erase { .. }
            | Call::Invite { .. }
            | Call::Gateway(_) => Err(Kind::NotFound.into()),
            Call::ProcessSend(_) => {
                let key = key.map(|key| scope(&principal, &path, key).to_string());
                let sent = self.asked(parts.method, &path, &parts.headers, body, None, key).await?;
                let id = accepted(sent.body()).ok_or(Kind::StorageUnavailable)?;
                Ok(respond(answer::accepted(&id)))
            }
            Call::Ticket(..) | Call::SeatMap(..) | Call::Process(_) => {
                // Restate's keys are the same for all who ask.
                let key = key.map(|key| scope(&principal, &path, key).to_string());
                let is_operators = principal.door == Opens::Admin && handler.door() == Opens::Admin;
                let operator = Some(&principal).filter(|_| is_operators);
                self.pass_on(parts.method, &path, &parts.headers, body, operator, key).await
            }
        }
    }

    fn lists(&self) -> Lists<'_> {
        Lists(&self.restate)
    }

    /// Passes a request on, and its answer back.
    async fn pass_on(
        &self,
        method: Method,
        path: &str,
        came: &HeaderMap,
        body: Bytes,
        operator: Option<&Principal>,
        key: Option<String>,
    ) -> Result<Response, Refusal> {
        let (head, body) = self.asked(method, path, came, body, operator, key).await?.into_parts();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = head.status;
        for name in [CONTENT_TYPE, RETRY_AFTER] {
            if let Some(value) = head.headers.get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    /// Asks the ingress. Its errors have the shape that they have on every host.
    async fn asked(
        &self,
        method: Method,
        path: &str,
        came: &HeaderMap,
        body: Bytes,
        operator: Option<&Principal>,
        key: Option<String>,
    ) -> Result<Response<Bytes>, Refusal> {
        let mut headers = Vec::new();
        let content_type = came.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        // What has no body and no type of one changes nothing at the ingress.
        let content_type = content_type.or_else(|| (method == Method::POST).then_some("application/json"));
        headers.extend(content_type.map(|value| (CONTENT_TYPE, value)));
        headers.extend(operator.map(|who| (HeaderName::from_static(OPERATOR), who.name())));
        let named = HeaderName::from_bytes(IDEMPOTENCY_KEY.as_bytes()).map_err(|_| Kind::StorageUnavailable)?;
        headers.extend(key.as_deref().map(|key| (named, key)));
        let token = self.restate.bearer();
        headers.extend(token.as_deref().map(|token| (AUTHORIZATION, token)));
        let answer = self.ingress.send(method, path, &headers, body).await.ok_or_else(|| {
            tracing::error!("the ingress does not answer");
            Kind::StorageUnavailable
        })?;
        let refused = refused(answer.body()).filter(|_| !answer.status().is_success());
        refused.map_or(Ok(answer), Err)
    }

    /// All bookings as a table, page after page. If a page cannot be had the connection breaks off, so that nobody takes half of a table for all
    /// of it.
    async fn table(self: &Arc<Self>, search: BookingSearch) -> Result<Response, Refusal> {
        let rows = |page: Vec<Booking>| page.iter().map(Booking::csv).collect::<String>();
        let search = BookingSearch { limit: LONGEST_PAGE, ..search };
        let (page, next) = self.lists().bookings(&search).await.map_err(unread)?;
        let first = format!("{}{}", Booking::CSV_HEADER, rows(page));
        let door = Arc::clone(self);
        let pages = futures_util::stream::try_unfold((Some(first), next), move |(text, next)| {
            let (door, search) = (Arc::clone(&door), search.clone());
            async move {
                if let Some(text) = text {
                    return Ok(Some((Bytes::from(text), (None, next))));
                }
                let Some(after) = next else { return Ok(None) };
                let asked = BookingSearch { after: Some(after), ..search };
                let page = door.lists().bookings(&asked).await;
                let (page, next) = page.map_err(|_| std::io::Error::other("a page is missing"))?;
                Ok::<_, std::io::Error>(Some((Bytes::from(rows(page)), (None, next))))
            }
        });
        let mut response = Response::new(Body::from_stream(pages));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let name = HeaderValue::from_static("attachment; filename=\"bookings.csv\"");
        headers.insert(CONTENT_DISPOSITION, name);
        Ok(response)
    }
}

fn respond(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = answer.kind.and_then(Kind::retry_after) {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The refusal in an error of the ingress's.
fn refused(body: &[u8]) -> Option<Refusal> {
    #[derive(serde::Deserialize)]
    struct Error {
        message: String,
    }
    let Error { message } = serde_json::from_slice(body).ok()?;
    refusal_in(&message)
}

/// The checkout that the ingress has begun.
fn accepted(body: &[u8]) -> Option<CheckoutId> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Accepted {
        invocation_id: String,
    }
    let Accepted { invocation_id } = serde_json::from_slice(body).ok()?;
    CheckoutId::parse(&invocation_id).ok()
}

/// Reads a body, no further than its handler takes.
async fn read(body: Body, longest: usize) -> Result<Bytes, Refusal> {
    let read = tokio::time::timeout(WITHIN, to_bytes(body, longest)).await;
    let read = read.map_err(|_| Refusal::invalid("body", "did not arrive in time"))?;
    read.map_err(|_| Kind::PayloadTooLarge.into())
}

/// Restate's admin API did not say.
fn unread(why: CannotRun) -> Refusal {
    tracing::error!(why = %why, "what Restate keeps cannot be read");
    Kind::StorageUnavailable.into()
}
