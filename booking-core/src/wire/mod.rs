//! Everything that is seen from outside: names, fields, statuses, kinds of errors. Parsed once and answered once, for
//! every host.
//!
//! ```text
//!  method, path ──▶ route() ──▶ Route { door, max_body } ──▶ Route::parse(body) ──▶ Call
//!                                                                  outcome ──▶ answer::… ──▶ Answer { status, body }
//! ```
//!
//! Nothing here panics on any bytes, and nothing is guessed: an unknown field, a field that stands twice, a number that
//! is not whole are all refused, by name. No error quotes a value.
//!
//! # The order of checks
//!
//! When several refusals apply, the first of these wins, on every host and for every handler:
//!
//! 1. `Unauthorized`: where tokens are configured. The host checks this before its answer says anything about the request.
//! 2. `NotFound`: no such route, or none that this caller can reach.
//! 3. `MethodNotAllowed`.
//! 4. `PayloadTooLarge`.
//! 5. `RateLimited`, `Overloaded` (the host's).
//! 6. `InvalidRequest`: the idempotency key, the id in the path, the body's JSON, then its fields in the order of the handler's
//!    documentation, then fields that are not known.
//! 7. `TtlOutOfRange`, `TooManyTickets`, `DuplicateTicket`: well-formed, but out of bounds.
//! 8. `IdempotencyKeyReused`, then `Overloaded` and `RateLimited` where only the request itself tells that it is too much
//!    (all the host's).
//! 9. What the machine refuses, in the order of its own rules.
//! 10. `StorageUnavailable` (the host's): decided, but it could not be stored, so nothing has happened.

mod handler;
mod kind;
mod map_call;
mod request;
mod route;

pub mod answer;
pub mod audit;
pub mod export;
pub mod gateway;
pub mod log;
pub mod openapi;
pub mod search;
pub mod watch;

pub use answer::Answer;
pub use handler::{Handler, Service};
pub use kind::{Kind, Refusal};
pub use map_call::MapCall;
pub use request::{AtTheDoor, Call, GatewayCall, InvitationTtl, Operation, SeatMapCall, TicketCall};
pub use route::{ROOTS, Route, address, allow, parse, parse_call, route};

/// The longest body of a request, in bytes.
pub const MAX_BODY: usize = 16 * 1024;

/// The longest body of a layout, in bytes.
pub const MAX_LAYOUT_BODY: usize = 2 * 1024 * 1024;

/// The longest text that people write (a reason, a row's name), in characters.
pub const MAX_TEXT: usize = 200;

/// The header that makes a `POST` safe to repeat: 1 to 128 printable ASCII characters.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// What stands before a token in the header `Authorization`.
pub const BEARER: &str = "Bearer ";

/// Whether a text may be a token: 16 to 256 characters that may stand in a header and in a WebSocket subprotocol alike.
#[must_use]
pub fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+');
    (16..=256).contains(&text.len()) && text.bytes().all(allowed)
}

/// Who is asking. Each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    /// Anybody.
    Public,
    /// A caller with the admin token.
    Admin,
}

/// The idempotency key of a request, by its method and every value of its [`IDEMPOTENCY_KEY`] header. Only a `POST` has one.
///
/// # Errors
/// `InvalidRequest` where there are several, and unless it is 1 to 128 printable ASCII characters.
pub fn idempotency_key<'a>(
    method: &str,
    values: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<&'a str>, Refusal> {
    let mut values = values.into_iter().filter(|_| method == "POST");
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::invalid(IDEMPOTENCY_KEY, "stands twice"));
    }
    match std::str::from_utf8(value) {
        Ok(key) if (1..=128).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Some(key)),
        Ok(_) | Err(_) => Err(Refusal::invalid(IDEMPOTENCY_KEY, "must be 1 to 128 printable ASCII characters")),
    }
}
