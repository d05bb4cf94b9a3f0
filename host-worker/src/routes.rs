//! HTTP: bytes in, [`wire::route`](booking_core::wire::route) and [`Route::parse`](booking_core::wire::Route::parse), an
//! object, bytes out. A request is understood here, once: an object is handed the call.

use booking_core::ids::{CheckoutId, HoldId, MapKey};
use booking_core::life::invitation::{self, has_failed, is_taken};
use booking_core::life::{Digest, Key};
use booking_core::wire::audit::{AuditEntry, AuditOutcome};
use booking_core::wire::log::LogCall;
use booking_core::wire::search::InboxId;
use booking_core::wire::{
    Answer, AtTheDoor, Call, Door, Handler, IDEMPOTENCY_KEY, InvitationTtl, Kind, MapCall, Operation, Refusal,
    SeatMapCall, allow, answer, idempotency_key, openapi,
};
use booking_hosting::auth::{fingerprint, protocols, scope, shown};
use booking_hosting::representation::{is_known, tag, takes_gzip};
use booking_workers::body::{self, Unread};
use booking_workers::clock::now;
use booking_workers::faults;
use booking_workers::log::{self, Level, say};
use booking_workers::outside::{self, Passed};
use serde::Serialize;
use worker::{Env, Headers, Method, Request, Response};

use booking_workers::settings::Vars;

use crate::books;
use crate::calls::{Asked, CheckoutCall};
use crate::erase;
use crate::errors::{Again, Broken, unavailable};
use crate::inside::{self, CHECKOUTS, SEAT_MAPS};
use crate::limits::{Counted, asks_too_often, invites_too_often};
use crate::settings::Settings;
use crate::tokens;

/// How a request ended: an answer, or a response that is none of ours to write.
type Outcome = Result<Answered, Refusal>;

enum Answered {
    Answer(Answer),
    /// That of an object: its headers are not ours to change.
    Response(Response),
    /// That of the Worker that keeps the books.
    Books(Response),
}

impl From<Answer> for Answered {
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
    let origin = request.headers().get("Origin")?.filter(|origin| may_ask(&settings, &request, origin));
    if request.method() == Method::Options && request.headers().has("Access-Control-Request-Method")? {
        return preflight(origin.as_deref());
    }
    // As it came: the type of methods takes one it does not know for a GET.
    let (start, method, path) = (now(), request.inner().method(), request.path());
    faults::may_panic("panic-route", || path.clone());
    let mut route = None;
    let mut response = match answered(&request, env, &settings, &mut route).await {
        Ok(Answered::Answer(answer)) => {
            tell(&method, route, &answer, now().as_millis() - start.as_millis());
            if route == Some(Handler::MapPlan) && answer.kind.is_none() {
                planned(answer, &request)?
            } else {
                respond(answer)?
            }
        }
        Ok(Answered::Response(response)) => return Ok(response),
        Ok(Answered::Books(response)) => {
            let headers = response.headers().clone();
            Response::from_body(response.body().clone())?.with_status(response.status_code()).with_headers(headers)
        }
        Err(refusal) => {
            books::refused(env, &method, &path, refusal.kind).await;
            let answer = answer::refusal(&refusal);
            tell(&method, route, &answer, now().as_millis() - start.as_millis());
            let response = respond(answer)?;
            if refusal.kind == Kind::MethodNotAllowed
                && let Some(methods) = allow(Door::Admin, &path)
            {
                response.headers().set("Allow", methods)?;
            }
            response
        }
    };
    if route == Some(Handler::Health)
        && let Some(version) = Vars(env).version()
    {
        response.headers_mut().set("Booking-Version", &version)?;
    }
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
    if let Some(seconds) = answer.kind.and_then(Kind::retry_after) {
        headers.set("Retry-After", &seconds.to_string())?;
    }
    Ok(Response::builder().with_status(answer.status).with_headers(headers).fixed(answer.body.into_bytes()))
}

/// Tells the log of a request, but not of its path: a caller may have put a secret into it by mistake.
fn tell(method: &str, handler: Option<Handler>, answer: &Answer, took: u64) {
    let level = if answer.status >= 500 { Level::Warn } else { Level::Info };
    if !log::says(level) {
        return;
    }
    let (service, handler) = handler.map(Handler::labels).unwrap_or_default();
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

async fn answered(request: &Request, env: &Env, settings: &Settings, told: &mut Option<Handler>) -> Outcome {
    let (method, path) = (request.inner().method(), request.path());
    let header = |name: &str| request.headers().get(name).ok().flatten();
    let (authorization, offered) = (header("Authorization"), header("Sec-WebSocket-Protocol").unwrap_or_default());
    let origin = header("Origin");
    let token = shown(authorization.as_ref().map(String::as_bytes), protocols(&offered));
    let tokens = tokens::refresh(env, &settings.tokens).await;
    // Whether it is up is asked without a token.
    if path != "/health" {
        tokens?;
    }
    if path == "/openapi.json" {
        return described(settings, token, &method);
    }
    let (principal, route) = match settings.auth.route(token, &method, &path, now()) {
        Ok(found) => found,
        Err(refusal) => {
            audit(&method, &path, &refusal);
            // Who tries tokens is counted too.
            let is_tried = refusal.kind == Kind::Unauthorized;
            let too_often = is_tried && asks_too_often(env, &Counted::Refused, request).await;
            return Err(if too_often { Kind::RateLimited.into() } else { refusal });
        }
    };
    let handler = route.handler;
    *told = Some(handler);
    let body = body::read(request.inner(), handler.max_body(), READ_ON).await.map_err(|why| match why {
        Unread::TooLong => Kind::PayloadTooLarge.into(),
        Unread::Broken => Refusal::invalid("body", "ended early"),
    })?;
    let is_counted = handler != Handler::Health && principal.door != Door::Admin;
    if is_counted && asks_too_often(env, &Counted::Let(principal.token), request).await {
        return Err(Kind::RateLimited.into());
    }
    let shown_key = request.headers().get(IDEMPOTENCY_KEY).ok().flatten();
    // The platform joins what stood in several headers.
    let keys = shown_key.iter().flat_map(|keys| keys.split(", ")).map(str::as_bytes);
    let shown_key = idempotency_key(&method, keys)?;
    let address = request.inner().url();
    let query = address.split_once('?').map_or("", |(_, query)| query);
    let call = route.with_query(query).parse(&body)?.from_door(principal.door);
    principal.may(&call)?;
    let key = shown_key.filter(|_| call.is_worth_a_key()).map(|key| scope(&principal, &path, key));
    let chance = chance()?;
    if let Some(once) = principal.once {
        let tries = once.tries(&body, shown_key, chance);
        if let Call::Process(order) = &call {
            return ordered(env, &CheckoutCall::Process(order.clone()), tries).await;
        }
        if let Call::ProcessSend(order) = &call {
            return ordered(env, &CheckoutCall::Send(order.clone()), tries).await;
        }
    }
    let came = Came {
        request,
        method: &method,
        path: &path,
        shown_key,
        body: &body,
        origin: origin.as_deref(),
        is_operators: principal.door == Door::Admin,
        key,
        chance,
    };
    if !handler.is_audited() {
        return carry_out(env, settings, handler, call, came).await;
    }
    let entry = AuditEntry::new(principal.name(), handler, &call, now());
    let id = books::audit_id(key, chance, entry.at);
    let fields = [
        ("who", entry.who.clone()),
        ("asked", entry.asked.clone()),
        ("about", entry.about.clone()),
        ("reason", entry.reason.clone()),
    ];
    say(Level::Warn, "audit: an operator asks for", &fields);
    books::asked(env, &id, &entry).await?;
    let outcome = carry_out(env, settings, handler, call, came).await;
    let entry = match &outcome {
        // The object has said nothing: it may have been done.
        Ok(Answered::Answer(Answer { kind: Some(Kind::StorageUnavailable), .. })) => entry,
        Ok(Answered::Answer(answer)) => entry.answered(answer),
        Ok(Answered::Response(_) | Answered::Books(_)) => AuditEntry { outcome: AuditOutcome::Done, ..entry },
        Err(refusal) => entry.answered(&answer::refusal(refusal)),
    };
    books::answered(env, &id, entry).await;
    outcome
}

/// A request whose caller was let in, as it came.
struct Came<'a> {
    request: &'a Request,
    method: &'a str,
    path: &'a str,
    shown_key: Option<&'a str>,
    body: &'a [u8],
    origin: Option<&'a str>,
    /// The admin door is open to its caller.
    is_operators: bool,
    /// What its idempotency key stands for, where the answer is worth one.
    key: Option<Digest>,
    /// A number that cannot be guessed.
    chance: u128,
}

/// Has an object, or another Worker, answer a call.
async fn carry_out(env: &Env, settings: &Settings, handler: Handler, call: Call, came: Came<'_>) -> Outcome {
    let Came { request, method, path, shown_key, body, origin, is_operators, key, chance } = came;
    // Named after its key, so that a repeat finds it; else after chance.
    let checkout = CheckoutId::from_random(key.map_or(chance, |Digest(scope)| u128::from_be_bytes(scope)));
    // A request may reach its object twice. An operator's that came again would take away what was sold in between.
    let is_once = handler.door() == Door::Admin && call.is_worth_a_key();
    let scope = key.or_else(|| is_once.then(|| Digest(chance.to_be_bytes())));
    let key = scope.map(|scope| Key { scope, request: fingerprint(body) });
    let from = Sender { env, key };
    let asked = match call {
        Call::Ticket(id, call) => {
            let door = AtTheDoor::new(&settings.terms, now(), HoldId::from_random(chance));
            from.ask(SEAT_MAPS, id.map_str(), MapCall::Seat(id.clone(), call, door)).await
        }
        Call::SeatMap(map, SeatMapCall::Watch) => {
            if origin.is_some_and(|origin| !may_ask(settings, request, origin)) {
                return Err(Kind::Unauthorized.into());
            }
            return match inside::hand_over(env, SEAT_MAPS, map.as_str(), request).await {
                Ok(Ok(socket)) => Ok(Answered::Response(socket)),
                Ok(Err(refused)) => Ok(refused.into()),
                Err(why) => Ok(lost(&why).into()),
            };
        }
        Call::SeatMap(map, call) => from.ask(SEAT_MAPS, map.as_str(), MapCall::Map(call)).await,
        Call::Process(order) => from.ask(CHECKOUTS, checkout.as_str(), CheckoutCall::Process(order)).await,
        Call::ProcessSend(order) => from.ask(CHECKOUTS, checkout.as_str(), CheckoutCall::Send(order)).await,
        Call::Status(id) => from.ask(CHECKOUTS, id.as_str(), CheckoutCall::Status).await,
        Call::Operate(id, operation) => from.ask(CHECKOUTS, id.as_str(), CheckoutCall::Operate(operation)).await,
        Call::Retry(InboxId::Notification(id)) => {
            from.ask(CHECKOUTS, id.as_str(), CheckoutCall::Operate(Operation::Notify)).await
        }
        Call::Health => return Ok(answer::health().into()),
        Call::Gateway(_) => {
            // Strangers would fill its ledger. Checkouts ask it themselves.
            if !is_operators {
                return Err(Kind::Unauthorized.into());
            }
            return mock_gateway(env, settings, Passed { method, path, key: shown_key, body }).await;
        }
        // No object knows them all: the Worker that keeps the books does.
        Call::Bookings(search) => return books(env, &LogCall::Bookings(search)).await,
        Call::BookingsCsv(search) => return books(env, &LogCall::BookingsCsv(search)).await,
        Call::Inbox(search) => return books(env, &LogCall::Inbox(search)).await,
        Call::Retry(InboxId::Line(line)) => return books(env, &LogCall::Resend { line }).await,
        Call::Audit(search) => return books(env, &LogCall::Audit(search)).await,
        Call::Erase { user, reason } => return Ok(erase::erase(env, user, reason).await?.into()),
        Call::Invite { map, ttl } => return invite(env, settings, &map, ttl, chance).await,
        Call::Stuck(_) => return Err(Kind::NotFound.into()),
    };
    Ok(asked.unwrap_or_else(|why| lost(&why)).into())
}

/// What the Worker that keeps the books answers, where this Worker is bound to one.
async fn books(env: &Env, call: &LogCall) -> Outcome {
    let Some(response) = books::ask(env, call).await? else {
        say(Level::Error, "the Worker that keeps the books does not answer", &[]);
        return Err(Kind::StorageUnavailable.into());
    };
    if response.status() == 200 {
        return Ok(Answered::Books(response.into()));
    }
    Err(books::refusal(&response).await.into())
}

/// An invitation. It is kept nowhere.
async fn invite(env: &Env, settings: &Settings, map: &MapKey, ttl: InvitationTtl, chance: u128) -> Outcome {
    let expires = now().plus(ttl.length());
    let invitation = settings.auth.invitations().invite(map, expires, chance).ok_or(Kind::NotFound)?;
    if invites_too_often(env, map).await? {
        return Err(Kind::RateLimited.into());
    }
    Ok(answer::invited(&invitation, map, expires).into())
}

/// Orders for who was invited, where no other order of theirs has sold or may still sell.
async fn ordered(env: &Env, call: &CheckoutCall, tries: impl Iterator<Item = Key>) -> Outcome {
    for key in tries {
        let id = invitation::checkout(&key);
        let said = inside::ask(env, CHECKOUTS, id.as_str(), &Asked { call, key: Some(key) }).await;
        let said = said.unwrap_or_else(|why| lost(&why));
        if !is_taken(&said) {
            return Ok(said.into());
        }
        let status = Asked { call: CheckoutCall::Status, key: None };
        let said = inside::ask(env, CHECKOUTS, id.as_str(), &status).await;
        has_failed(&said.unwrap_or_else(|why| lost(&why)))?;
    }
    Err(Kind::InvitationUsed.into())
}

/// What the sandbox's gateway answers, where this Worker is bound to one.
async fn mock_gateway(env: &Env, settings: &Settings, passed: Passed<'_>) -> Outcome {
    let gateway = settings.payment.as_ref().filter(|port| port.is_bound());
    let gateway = gateway.ok_or(Kind::NotFound)?;
    let (status, body) = outside::pass_on(env, gateway, passed).await.ok_or(Kind::PaymentUnavailable)?;
    Ok(Answer { status, body, kind: None }.into())
}

/// A plan, or nothing but its tag for who has it already. The platform compresses it.
fn planned(plan: Answer, request: &Request) -> worker::Result<Response> {
    let tag = tag(plan.body.as_bytes());
    let said = |name: &str| request.headers().get(name).ok().flatten();
    let mut response = if is_known(said("If-None-Match").as_deref(), &tag) {
        Response::empty()?.with_status(304)
    } else {
        let mut response = respond(plan)?;
        if takes_gzip(said("Accept-Encoding").as_deref()) {
            response.headers_mut().set("Content-Encoding", "gzip")?;
        }
        response
    };
    let headers = response.headers_mut();
    headers.set("ETag", &tag)?;
    // A reader keeps it, and asks each time whether it is still so.
    headers.set("Cache-Control", "no-cache")?;
    headers.append("Vary", "Accept-Encoding")?;
    Ok(response)
}

/// A request, but for its call.
struct Sender<'a> {
    env: &'a Env,
    key: Option<Key>,
}

impl Sender<'_> {
    async fn ask<C: Serialize>(self, binding: &str, name: &str, call: C) -> Result<Answer, Broken> {
        let Self { env, key } = self;
        inside::ask(env, binding, name, &Asked { call, key }).await
    }
}

/// An object could not be asked, or did not answer.
fn lost(why: &Broken) -> Answer {
    let is_overloaded = matches!(why, Broken::Unanswered { again: Again::Never, .. });
    let level = if is_overloaded { Level::Warn } else { Level::Error };
    say(level, "an object did not answer", &[("why", why.to_string())]);
    if is_overloaded { answer::refusal(&Kind::Overloaded.into()) } else { unavailable() }
}

/// The description of every route.
fn described(settings: &Settings, token: Option<&[u8]>, method: &str) -> Outcome {
    settings.auth.authorize(token, now())?;
    if !matches!(method, "GET" | "HEAD") {
        return Err(Kind::MethodNotAllowed.into());
    }
    Ok(Answer { status: 200, body: openapi::document().to_owned(), kind: None }.into())
}

/// Remembers who tried a door that is not open to them: not who, as nothing is known of them, but that.
fn audit(method: &str, path: &str, refusal: &Refusal) {
    if refusal.kind != Kind::Unauthorized || !log::says(Level::Warn) {
        return;
    }
    let Ok(route) = booking_core::wire::route(Door::Admin, method, path) else { return };
    if route.handler.door() == Door::Admin {
        let (service, handler) = route.handler.labels();
        let fields = [("service", service.to_owned()), ("handler", handler.to_owned())];
        say(Level::Warn, "audit: an admin handler was refused", &fields);
    }
}

/// How many bytes of a body that is too long are read on, and thrown away: a client that is still sending when the answer
/// comes may never see it.
const READ_ON: usize = 4 * 1024 * 1024;

/// 128 bits that nobody can guess.
fn chance() -> Result<u128, Refusal> {
    let mut chance = [0; 16];
    getrandom::fill(&mut chance).map_err(|_| Kind::StorageUnavailable)?;
    Ok(u128::from_le_bytes(chance))
}
