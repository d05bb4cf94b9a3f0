//! HTTP: bytes in, [`wire::route`](booking_core::wire::route) and [`Route::parse`], an object, bytes out.

use booking_core::ids::CheckoutId;
use booking_core::wire::{
    Answer, Call, Door, IDEMPOTENCY_KEY, Kind, Refusal, SeatMapCall, allow, answer, check_idempotency_key, openapi,
};
use booking_hosting::doors::{fingerprint, protocols, scope, shown};
use worker::{Env, Headers, Method, Request, Response};

use crate::body::{self, Unread};
use crate::clock::now;
use crate::errors::{Broken, unavailable};
use crate::faults;
use crate::inside::{self, CHECKOUTS, Caller, SEAT_MAPS, TICKETS};
use crate::limits::asks_too_often;
use crate::log::{Level, say};
use crate::settings::Settings;

/// How a request ended: an answer, or a response that is none of ours to write.
type Outcome = Result<Said, Refusal>;

enum Said {
    Answer(Answer),
    Response(Response),
}

impl From<Answer> for Said {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

/// Answers a request.
pub(crate) async fn serve(request: Request, env: &Env) -> worker::Result<Response> {
    let settings = match Settings::of(env) {
        Ok(settings) => settings,
        Err(why) => {
            say(Level::Error, "this Worker is not set up", &[("why", why.to_string())]);
            return respond(unavailable());
        }
    };
    #[cfg(feature = "restate")]
    if settings.mode.restate && request.path().starts_with(crate::restate::MOUNTED) {
        return crate::restate::answer(&settings, request).await;
    }
    if !settings.mode.objects && request.path() != "/health" {
        return respond(answer::refusal(&Kind::NotFound.into()));
    }
    let origin = request.headers().get("Origin")?.filter(|origin| may_ask(&settings, &request, origin));
    if request.method() == Method::Options && request.headers().has("Access-Control-Request-Method")? {
        return preflight(origin.as_deref());
    }
    // As it came: the type of methods takes one it does not know for a GET.
    let (start, method, path) = (now(), request.inner().method(), request.path());
    faults::may_panic("panic-route", || path.clone());
    let mut route = None;
    let mut response = match answered(request, env, &settings, &mut route).await {
        Ok(Said::Answer(answer)) => {
            tell(&settings, &method, route, &answer, now().as_millis() - start.as_millis());
            respond(answer)?
        }
        // Its headers are not ours to change.
        Ok(Said::Response(response)) => return Ok(response),
        Err(refusal) => {
            let answer = answer::refusal(&refusal);
            tell(&settings, &method, route, &answer, now().as_millis() - start.as_millis());
            let response = respond(answer)?;
            if refusal.kind == Kind::MethodNotAllowed
                && let Some(methods) = allow(Door::Admin, &path)
            {
                response.headers().set("Allow", methods)?;
            }
            response
        }
    };
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.set("Access-Control-Allow-Origin", &origin)?;
        headers.set("Access-Control-Expose-Headers", "Retry-After")?;
        headers.append("Vary", "Origin")?;
    }
    Ok(response)
}

/// Whether pages from there may ask: the Worker's own, and those that are listed.
fn may_ask(settings: &Settings, request: &Request, origin: &str) -> bool {
    // An address is an origin and a path.
    let address = request.inner().url();
    let is_own = address.strip_prefix(origin).is_some_and(|path| path.starts_with('/'));
    is_own || settings.origins.iter().any(|one| one == origin)
}

fn preflight(origin: Option<&str>) -> worker::Result<Response> {
    let headers = Headers::new();
    headers.set("Vary", "Origin")?;
    if let Some(origin) = origin {
        headers.set("Access-Control-Allow-Origin", origin)?;
        headers.set("Access-Control-Allow-Methods", "GET, HEAD, POST")?;
        headers.set("Access-Control-Allow-Headers", &format!("Authorization, Content-Type, {IDEMPOTENCY_KEY}"))?;
        headers.set("Access-Control-Max-Age", "86400")?;
    }
    Ok(Response::builder().with_status(204).with_headers(headers).empty())
}

fn respond(answer: Answer) -> worker::Result<Response> {
    let headers = Headers::new();
    headers.set("Content-Type", "application/json")?;
    headers.set("Cache-Control", "no-store")?;
    headers.set("X-Content-Type-Options", "nosniff")?;
    if answer.kind.is_some_and(|kind| matches!(kind, Kind::Overloaded | Kind::StorageUnavailable)) {
        headers.set("Retry-After", "1")?;
    }
    if answer.kind == Some(Kind::RateLimited) {
        // The shortest period that the platform's limits have.
        headers.set("Retry-After", "10")?;
    }
    Ok(Response::builder().with_status(answer.status).with_headers(headers).fixed(answer.body.into_bytes()))
}

/// Tells the log of a request. The path is not told: it may have a secret in it that somebody put there by mistake.
fn tell(settings: &Settings, method: &str, route: Option<(&'static str, &'static str)>, answer: &Answer, took: u64) {
    let level = if answer.status >= 500 { Level::Warn } else { Level::Info };
    if !settings.says(level) {
        return;
    }
    let (service, handler) = route.unwrap_or_default();
    let kind = answer.kind.map_or_else(String::new, |kind| kind.as_str().to_owned());
    let fields = [
        ("method", method.to_owned()),
        ("service", service.to_owned()),
        ("handler", handler.to_owned()),
        ("status", answer.status.to_string()),
        ("kind", kind),
        ("took_ms", took.to_string()),
    ];
    let fields: Vec<_> = fields.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    say(level, "answered", &fields);
}

async fn answered(
    request: Request,
    env: &Env,
    settings: &Settings,
    told: &mut Option<(&'static str, &'static str)>,
) -> Outcome {
    let (method, path) = (request.inner().method(), request.path());
    let header = |name: &str| request.headers().get(name).ok().flatten();
    let (authorization, offered) = (header("Authorization"), header("Sec-WebSocket-Protocol").unwrap_or_default());
    let origin = header("Origin");
    let token = shown(authorization.as_ref().map(String::as_bytes), protocols(&offered));
    if path == "/openapi.json" {
        return described(settings, token, &method);
    }
    let (visitor, route) = settings.doors.route(token, &method, &path).inspect_err(|refusal| {
        audit(settings, &method, &path, refusal);
    })?;
    *told = Some(route.name());
    let body = body::read(request.inner(), route.max_body(), READ_ON).await.map_err(|why| match why {
        Unread::TooLong => Kind::PayloadTooLarge.into(),
        Unread::Broken => Refusal::invalid("body", "ended early"),
    })?;
    let is_counted = !route.is_health() && visitor.door != Door::Admin;
    if is_counted && asks_too_often(env, &visitor, &request).await {
        return Err(Kind::RateLimited.into());
    }
    let key = idempotency_key(&request)?;
    let call = route.parse(visitor.door, &body)?;
    let key = key.filter(|_| call.is_worth_a_key());
    let key = key.map(|key| (scope(&visitor, &path, &key), fingerprint(&body)));
    let from = Caller { door: visitor.door, chance: chance()?, key };
    let (_, handler) = route.name();
    let asked = match &call {
        Call::Ticket(id, _) => inside::ask(env, TICKETS, id.as_str(), handler, &body, &from).await,
        Call::SeatMap(map, SeatMapCall::Watch) => {
            if origin.is_some_and(|origin| !may_ask(settings, &request, &origin)) {
                return Err(Kind::Unauthorized.into());
            }
            return match inside::hand_over(env, SEAT_MAPS, map.as_str(), handler, &request).await {
                Ok(Ok(socket)) => Ok(Said::Response(socket)),
                Ok(Err(refused)) => Ok(refused.into()),
                Err(why) => Ok(lost(&why).into()),
            };
        }
        Call::SeatMap(map, _) => inside::ask(env, SEAT_MAPS, map.as_str(), handler, &body, &from).await,
        Call::Process(_) | Call::ProcessSend(_) => {
            // Named after its key, so that a repeat finds it; else after chance.
            let id = CheckoutId::of_chance(from.key.map_or(from.chance, |(scope, _)| u128::from_be_bytes(scope)));
            let handler = if matches!(call, Call::ProcessSend(_)) { "send" } else { "process" };
            inside::ask(env, CHECKOUTS, id.as_str(), handler, &body, &from).await
        }
        Call::Status(id) => inside::ask(env, CHECKOUTS, id.as_str(), "status", &[], &from).await,
        Call::Health => return Ok(answer::health().into()),
        Call::Gateway(_) => return Err(Kind::NotFound.into()),
    };
    Ok(asked.unwrap_or_else(|why| lost(&why)).into())
}

/// An object could not be asked, or did not answer.
fn lost(why: &Broken) -> Answer {
    say(Level::Error, "an object did not answer", &[("why", why.to_string())]);
    unavailable()
}

/// The description of every route.
fn described(settings: &Settings, token: Option<&[u8]>, method: &str) -> Outcome {
    settings.doors.let_in(token)?;
    if !matches!(method, "GET" | "HEAD") {
        return Err(Kind::MethodNotAllowed.into());
    }
    Ok(Answer { status: 200, body: openapi::document().to_owned(), kind: None }.into())
}

/// Remembers who tried a door that is not open to them: not who, as nothing is known of them, but that.
fn audit(settings: &Settings, method: &str, path: &str, refusal: &Refusal) {
    if refusal.kind != Kind::Unauthorized || !settings.says(Level::Warn) {
        return;
    }
    let Ok(route) = booking_core::wire::route(Door::Admin, method, path) else { return };
    let (service, handler) = route.name();
    if route.door() == Door::Admin {
        let fields = [("service", service.to_owned()), ("handler", handler.to_owned())];
        say(Level::Warn, "audit: an admin handler was refused", &fields);
    }
}

/// How many bytes of a body that is too long are read on, and thrown away: a client that is still sending when the answer
/// comes may never see it.
const READ_ON: usize = 4 * 1024 * 1024;

/// The idempotency key of a `POST`, if it has one.
fn idempotency_key(request: &Request) -> Result<Option<String>, Refusal> {
    if request.method() != Method::Post {
        return Ok(None);
    }
    let Some(key) = request.headers().get(IDEMPOTENCY_KEY).ok().flatten() else { return Ok(None) };
    check_idempotency_key(key.as_bytes()).map(|key| Some(key.to_owned()))
}

/// 128 bits that nobody can guess.
fn chance() -> Result<u128, Refusal> {
    let mut chance = [0; 16];
    getrandom::fill(&mut chance).map_err(|_| Kind::StorageUnavailable)?;
    Ok(u128::from_le_bytes(chance))
}
