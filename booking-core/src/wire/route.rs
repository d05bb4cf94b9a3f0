//! Which paths there are, who may take them, and how a request on them is read.

use super::json::Json;
use super::kind::{Kind, Refusal};
use super::request::{self, Call};
use super::{Door, MAX_BODY, MAX_LAYOUT_BODY};
use crate::ids::{CheckoutId, IdError, MapKey, TicketId};

/// Which methods a handler takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Methods {
    /// It changes something.
    Post,
    /// It only reads, and may be asked either way.
    GetOrPost,
    /// It only reads, over a connection of its own or by its address alone.
    Get,
}

impl Methods {
    fn take(self, method: &str) -> bool {
        match method {
            "POST" => self != Self::Get,
            "GET" | "HEAD" => self != Self::Post,
            _ => false,
        }
    }

    fn allow(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::GetOrPost => "GET, HEAD, POST",
            Self::Get => "GET, HEAD",
        }
    }
}

pub(super) struct Row(pub(super) &'static str, pub(super) &'static str, pub(super) Door, pub(super) Methods);

pub(super) const TICKET: &str = "Ticket";
pub(super) const SEAT_MAP: &str = "SeatMap";
pub(super) const CHECKOUT: &str = "Checkout";
pub(super) const GATEWAY: &str = "mock-payment";
pub(super) const HEALTH: &str = "health";

const TICKET_ID: &str = "ticketId";
const MAP_KEY: &str = "mapKey";
const CHECKOUT_ID: &str = "checkoutId";

/// Where the paths of all handlers begin: each is one of these, or has a `/` behind it. For hosts that share their paths
/// with others.
pub const ROOTS: [&str; 5] = ["/Ticket", "/SeatMap", "/Checkout", "/api/mock-payment", "/health"];

/// Every handler of every service: its door, and its methods.
pub(super) const HANDLERS: &[Row] = &[
    Row(TICKET, "get", Door::Public, Methods::GetOrPost),
    Row(TICKET, "reserve", Door::Public, Methods::Post),
    Row(TICKET, "release", Door::Public, Methods::Post),
    Row(TICKET, "block", Door::Admin, Methods::Post),
    Row(TICKET, "unblock", Door::Admin, Methods::Post),
    Row(TICKET, "list", Door::Admin, Methods::Post),
    Row(TICKET, "sell", Door::Admin, Methods::Post),
    Row(TICKET, "reset", Door::Admin, Methods::Post),
    Row(TICKET, "cleanup", Door::Admin, Methods::Post),
    Row(TICKET, "claim", Door::Inner, Methods::Post),
    Row(TICKET, "confirm", Door::Inner, Methods::Post),
    Row(TICKET, "revoke", Door::Inner, Methods::Post),
    Row(TICKET, "expire", Door::Inner, Methods::Post),
    Row(SEAT_MAP, "get", Door::Public, Methods::GetOrPost),
    Row(SEAT_MAP, "summary", Door::Public, Methods::GetOrPost),
    Row(SEAT_MAP, "plan", Door::Public, Methods::GetOrPost),
    Row(SEAT_MAP, "watch", Door::Public, Methods::Get),
    Row(SEAT_MAP, "layout", Door::Admin, Methods::Post),
    Row(SEAT_MAP, "resetAll", Door::Admin, Methods::Post),
    Row(SEAT_MAP, "set", Door::Inner, Methods::Post),
    Row(SEAT_MAP, "continue", Door::Inner, Methods::Post),
    Row(CHECKOUT, "process", Door::Public, Methods::Post),
    Row(CHECKOUT, "send", Door::Public, Methods::Post),
    Row(CHECKOUT, "status", Door::Public, Methods::Get),
    Row(GATEWAY, "", Door::Public, Methods::Post),
    Row(GATEWAY, "authorize", Door::Public, Methods::Post),
    Row(GATEWAY, "capture", Door::Public, Methods::Post),
    Row(GATEWAY, "void", Door::Public, Methods::Post),
    Row(GATEWAY, "ledger", Door::Public, Methods::Get),
    Row(HEALTH, "", Door::Public, Methods::Get),
];

impl Row {
    /// The methods that it takes, as OpenAPI names them; `HEAD` goes where `GET` goes.
    pub(super) fn methods(&self) -> &'static [&'static str] {
        match self.3 {
            Methods::Post => &["post"],
            Methods::GetOrPost => &["get", "post"],
            Methods::Get => &["get"],
        }
    }

    /// Its path, with the name of what stands in it.
    pub(super) fn path(&self) -> String {
        let Self(service, handler, ..) = self;
        match (*service, *handler) {
            (TICKET, handler) => format!("/{TICKET}/{{ticketId}}/{handler}"),
            (SEAT_MAP, handler) => format!("/{SEAT_MAP}/{{mapKey}}/{handler}"),
            (CHECKOUT, "status") => format!("/{CHECKOUT}/{{checkoutId}}"),
            (CHECKOUT, "send") => format!("/{CHECKOUT}/process/send"),
            (CHECKOUT, handler) => format!("/{CHECKOUT}/{handler}"),
            (GATEWAY, "") => format!("/api/{GATEWAY}"),
            (GATEWAY, handler) => format!("/api/{GATEWAY}/{handler}"),
            (service, _) => format!("/{service}"),
        }
    }
}

/// A route that was found, before the body is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route<'a> {
    row: usize,
    key: &'a str,
}

/// Finds the route of a request. The path is what comes before any `?`; its parts are percent-decoded once.
///
/// # Errors
/// `NotFound` where there is no such route, `MethodNotAllowed` where it does not take this method. A route behind a
/// door that is not open to `from` is not there: whoever asks learns nothing about it.
pub fn route<'a>(from: Door, method: &str, path: &'a str) -> Result<Route<'a>, Refusal> {
    let route = find_path(from, path)?;
    let methods = HANDLERS[route.row].3;
    if !methods.take(method) {
        let message = format!("{}; it takes {}", Kind::MethodNotAllowed.message(), methods.allow());
        return Err(Refusal::new(Kind::MethodNotAllowed, message));
    }
    Ok(route)
}

/// Which methods a path takes, as they stand in the header `Allow`; `None` where there is no such route.
#[must_use]
pub fn allow(from: Door, path: &str) -> Option<&'static str> {
    find_path(from, path).ok().map(|route| HANDLERS[route.row].3.allow())
}

fn find_path(from: Door, path: &str) -> Result<Route<'_>, Refusal> {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let parts: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    let (service, key, handler) = match parts[..] {
        [HEALTH] => (HEALTH, "", ""),
        [TICKET, key, handler] => (TICKET, key, handler),
        [SEAT_MAP, key, handler] => (SEAT_MAP, key, handler),
        [CHECKOUT, "process"] => (CHECKOUT, "", "process"),
        [CHECKOUT, "process", "send"] => (CHECKOUT, "", "send"),
        [CHECKOUT, key] if !key.is_empty() => (CHECKOUT, key, "status"),
        ["api", GATEWAY] => (GATEWAY, "", ""),
        ["api", GATEWAY, handler] if !handler.is_empty() => (GATEWAY, "", handler),
        _ => return Err(Kind::NotFound.into()),
    };
    find(from, service, key, handler)
}

fn find<'a>(from: Door, service: &str, key: &'a str, handler: &str) -> Result<Route<'a>, Refusal> {
    let row = HANDLERS.iter().position(|Row(s, h, door, _)| (*s, *h) == (service, handler) && *door <= from);
    row.map(|row| Route { row, key }).ok_or_else(|| Kind::NotFound.into())
}

/// Understands a whole request. `from` is who asks.
///
/// # Errors
/// The first refusal in the order of checks that [`crate::wire`] documents.
pub fn parse(from: Door, method: &str, path: &str, body: &[u8]) -> Result<Call, Refusal> {
    route(from, method, path)?.parse(from, body)
}

/// Understands a request that the platform has routed already: `key` is as the platform knows it, percent-decoded, and
/// `handler` as in [`handlers`].
///
/// # Errors
/// As [`parse`], but never `MethodNotAllowed`.
pub fn parse_call(from: Door, service: &str, key: &str, handler: &str, body: &[u8]) -> Result<Call, Refusal> {
    let route = find(from, service, key, handler)?;
    // Decoding it once more would let two objects of the platform be one ticket. No id has a `%` in it.
    if let Some(field) = route.key_name().filter(|_| key.contains('%')) {
        return Err(Refusal::invalid(field, &IdError::Character.to_string()));
    }
    route.parse(from, body)
}

/// Every handler that is asked with a request: service, name, and the door that it is behind. For platforms that have to
/// know them beforehand.
pub fn handlers() -> impl Iterator<Item = (&'static str, &'static str, Door)> {
    HANDLERS.iter().map(|Row(service, handler, door, _)| (*service, *handler, *door))
}

/// Whether a handler of a ticket or a map takes nothing: an empty body, `null` or `{}`.
#[must_use]
pub fn takes_nothing(handler: &str) -> bool {
    matches!(handler, "get" | "summary" | "plan" | "watch" | "unblock" | "cleanup" | "resetAll")
}

impl Route<'_> {
    /// Who may take it.
    #[must_use]
    pub fn door(&self) -> Door {
        HANDLERS[self.row].2
    }

    /// The service and the handler, for metrics and logs: never an id.
    #[must_use]
    pub fn name(&self) -> (&'static str, &'static str) {
        let Row(service, handler, ..) = HANDLERS[self.row];
        (service, handler)
    }

    /// What the id in its path is called, where there is one.
    fn key_name(&self) -> Option<&'static str> {
        match self.name() {
            (TICKET, _) => Some(TICKET_ID),
            (SEAT_MAP, _) => Some(MAP_KEY),
            (CHECKOUT, "status") => Some(CHECKOUT_ID),
            (_, _) => None,
        }
    }

    /// Whether it asks no more than whether the host is up, which anybody may, without any token.
    #[must_use]
    pub fn is_health(&self) -> bool {
        self.name().0 == HEALTH
    }

    /// The longest body it takes, in bytes. A host need not read on after that.
    #[must_use]
    pub fn max_body(&self) -> usize {
        if self.name() == (SEAT_MAP, "layout") { MAX_LAYOUT_BODY } else { MAX_BODY }
    }

    /// Understands the body. `from` is who asks.
    ///
    /// # Errors
    /// `PayloadTooLarge`, `InvalidRequest`, or what is out of bounds, in the order that [`crate::wire`] documents.
    pub fn parse(&self, from: Door, body: &[u8]) -> Result<Call, Refusal> {
        if body.len() > self.max_body() {
            return Err(Kind::PayloadTooLarge.into());
        }
        let (service, handler) = self.name();
        let body = || Json::read(body);
        let call = match service {
            TICKET => {
                let id = path_id(self.key, TICKET_ID, TicketId::parse)?;
                request::ticket(handler, body()?, from)?.map(|call| Call::Ticket(id, call))
            }
            SEAT_MAP => {
                let key = path_id(self.key, MAP_KEY, MapKey::parse)?;
                request::seat_map(handler, body()?, &key)?.map(|call| Call::SeatMap(key, call))
            }
            CHECKOUT => match handler {
                "process" => Some(Call::Process(request::order(body()?)?)),
                "send" => Some(Call::ProcessSend(request::order(body()?)?)),
                _ => {
                    let id = path_id(self.key, CHECKOUT_ID, CheckoutId::parse)?;
                    request::nothing(body()?)?;
                    Some(Call::Status(id))
                }
            },
            GATEWAY => request::gateway(handler, body()?)?.map(Call::Gateway),
            _ => {
                request::nothing(body()?)?;
                Some(Call::Health)
            }
        };
        call.ok_or_else(|| Kind::NotFound.into())
    }
}

fn path_id<T>(text: &str, field: &str, parse: impl FnOnce(&str) -> Result<T, IdError>) -> Result<T, Refusal> {
    let decoded = percent_decoded(text).ok_or_else(|| Refusal::invalid(field, "is not percent-encoded UTF-8"))?;
    parse(&decoded).map_err(|why| Refusal::invalid(field, &why.to_string()))
}

/// Decodes `%41` and the like, once.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
