//! Which paths there are, who may take them, and how a request on them is read.

use std::borrow::Cow;

use super::Door;
use super::handler::Handler;
use super::kind::{Kind, Refusal};
use super::request::{self, Call};
use crate::ids::IdError;

/// Where the paths of all handlers begin: each is one of these, or has a `/` behind it. For hosts that share their paths
/// with others.
pub const ROOTS: [&str; 10] = [
    "/Ticket",
    "/SeatMap",
    "/Checkout",
    "/bookings",
    "/bookings.csv",
    "/inbox",
    "/audit",
    "/invitations",
    "/api/mock-payment",
    "/health",
];

/// A route that was found, before the body is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route<'a> {
    /// The handler.
    pub handler: Handler,
    /// The id in the path, as it stands there; empty where there is none.
    id: &'a str,
    /// What stands behind the `?` of the address.
    query: &'a str,
}

/// Finds the route of a request. The path is what comes before any `?`; its parts are percent-decoded once. What comes behind the `?` is
/// kept, as by [`Route::with_query`].
///
/// # Errors
/// `NotFound` where there is no such route, `MethodNotAllowed` where it does not take this method. A route behind a
/// door that is not open to `from` is `NotFound` too: the caller learns nothing about it.
pub fn route<'a>(from: Door, method: &str, path: &'a str) -> Result<Route<'a>, Refusal> {
    let route = find(from, path)?;
    if !route.handler.methods().take(method) {
        let message = format!("{}; it takes {}", Kind::MethodNotAllowed.message(), route.handler.allow());
        return Err(Refusal::new(Kind::MethodNotAllowed, message));
    }
    Ok(route)
}

/// A path as it is meant: two that differ in their percent-encoding alone are the same.
#[must_use]
pub fn address(path: &str) -> Cow<'_, str> {
    if path.contains('%') {
        request::percent_decoded(path).map_or(Cow::Borrowed(path), Cow::Owned)
    } else {
        path.into()
    }
}

/// Which methods a path takes, as they stand in the header `Allow`; `None` where there is no such route.
#[must_use]
pub fn allow(from: Door, path: &str) -> Option<&'static str> {
    find(from, path).ok().map(|route| route.handler.allow())
}

fn find(from: Door, path: &str) -> Result<Route<'_>, Refusal> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let path = path.strip_prefix('/').unwrap_or(path);
    // No path of a handler has more parts.
    let (mut parts, mut count) = ([""; 4], 0);
    for part in path.split('/') {
        *parts.get_mut(count).ok_or(Kind::NotFound)? = part;
        count += 1;
    }
    let open = Handler::ALL.iter().copied().filter(|handler| handler.door() <= from);
    let mut found = open.filter_map(|handler| handler.id_in(&parts[..count]).map(|id| Route { handler, id, query }));
    found.next().ok_or_else(|| Kind::NotFound.into())
}

/// Understands a whole request. `from` is who asks.
///
/// # Errors
/// The first refusal in the order of checks that [`crate::wire`] documents.
pub fn parse(from: Door, method: &str, path: &str, body: &[u8]) -> Result<Call, Refusal> {
    route(from, method, path)?.parse(body)
}

/// Understands a request that the platform has routed already: `id` is as the platform knows it, percent-decoded.
///
/// # Errors
/// As [`parse`], but never `NotFound` or `MethodNotAllowed`.
pub fn parse_call(handler: Handler, id: &str, body: &[u8]) -> Result<Call, Refusal> {
    // Decoding it once more would let two objects of the platform be one ticket. No id has a `%` in it.
    if let Some(field) = handler.id_name().filter(|_| id.contains('%')) {
        return Err(Refusal::invalid(field, &IdError::Character.to_string()));
    }
    Route { handler, id, query: "" }.parse(body)
}

impl<'a> Route<'a> {
    /// The same, with what stands behind the `?` of the address. Handlers for which it may stand for a body
    /// ([`Handler::takes_query`]) read it where there is no body; all others pass over it.
    #[must_use]
    pub fn with_query(self, query: &'a str) -> Self {
        Self { query, ..self }
    }

    /// Understands the body.
    ///
    /// # Errors
    /// `PayloadTooLarge`, `InvalidRequest`, or what is out of bounds, in the order that [`crate::wire`] documents.
    pub fn parse(&self, body: &[u8]) -> Result<Call, Refusal> {
        if body.len() > self.handler.max_body() {
            return Err(Kind::PayloadTooLarge.into());
        }
        request::read(self.handler, self.id, self.query, body)
    }
}
