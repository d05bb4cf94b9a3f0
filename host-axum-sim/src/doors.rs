//! Who stands at which door: bearer tokens, compared in constant time. A token is never kept, logged or shown; what is
//! kept is its digest.

use booking_core::wire::{BEARER, Door, Kind, Refusal, Route, is_token, route, watch};
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The tokens that open doors. Without any, the public door is open to everybody, and the admin door to nobody.
#[derive(Clone, Default)]
pub struct Doors {
    public: Vec<[u8; 32]>,
    admin: Vec<[u8; 32]>,
}

/// A text that may not be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token has 16 to 256 characters of A-Z a-z 0-9 - . _ ~ +")]
pub struct NotAToken;

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Whoever has got through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Visitor {
    /// The last door that is open to them.
    pub(crate) door: Door,
    /// Stands for their token, if they showed one.
    pub(crate) token: Option<[u8; 32]>,
}

impl Doors {
    /// Doors for these tokens: several, so that one can be replaced by another without a gap.
    ///
    /// # Errors
    /// [`NotAToken`].
    pub fn new<'a>(
        public: impl IntoIterator<Item = &'a str>,
        admin: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, NotAToken> {
        let token = |text: &str| if is_token(text) { Ok(digest(text.as_bytes())) } else { Err(NotAToken) };
        let public = public.into_iter().map(token).collect::<Result<_, _>>()?;
        let admin = admin.into_iter().map(token).collect::<Result<_, _>>()?;
        Ok(Self { public, admin })
    }

    /// Who asks. A token that is shown has to be right, also where none is needed.
    fn visitor(&self, headers: &HeaderMap) -> Result<Visitor, Refusal> {
        let nobody = Visitor { door: Door::Public, token: None };
        if self.public.is_empty() && self.admin.is_empty() {
            return Ok(nobody);
        }
        let Some(shown) = shown(headers) else {
            return if self.public.is_empty() { Ok(nobody) } else { Err(Kind::Unauthorized.into()) };
        };
        let token = digest(shown);
        let is_one_of = |tokens: &[[u8; 32]]| {
            let found = tokens.iter().fold(Choice::from(0), |found, one| found | one.ct_eq(&token));
            bool::from(found)
        };
        let (is_admin, is_public) = (is_one_of(&self.admin), is_one_of(&self.public));
        match (is_admin, is_public) {
            (true, _) => Ok(Visitor { door: Door::Admin, token: Some(token) }),
            (false, true) => Ok(Visitor { door: Door::Public, token: Some(token) }),
            (false, false) => Err(Kind::Unauthorized.into()),
        }
    }

    /// Who asks for a page that is no handler's, and is behind the public door.
    pub(crate) fn let_in(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        self.visitor(headers).map(|_| ())
    }

    /// Finds the route of a request, as far as the doors on the way to it are open.
    ///
    /// A route behind the admin door asks for a token where there are admin tokens, and is not there where there are none.
    pub(crate) fn route<'a>(
        &self,
        headers: &HeaderMap,
        method: &str,
        path: &'a str,
    ) -> Result<(Visitor, Route<'a>), Refusal> {
        let visitor = match self.visitor(headers) {
            Ok(visitor) => visitor,
            Err(refusal) => {
                // Whether it is up, anybody may ask.
                let asks_for_health = route(Door::Public, method, path).is_ok_and(|route| route.is_health());
                if !asks_for_health {
                    return Err(refusal);
                }
                Visitor { door: Door::Public, token: None }
            }
        };
        match route(visitor.door, method, path) {
            Ok(route) => Ok((visitor, route)),
            Err(refusal) => {
                let is_admins = !self.admin.is_empty() && route(Door::Admin, method, path).is_ok();
                Err(if is_admins && refusal.kind == Kind::NotFound { Kind::Unauthorized.into() } else { refusal })
            }
        }
    }
}

/// The token of a request: of its `Authorization`, or, as a browser can set no other header there, of a WebSocket's
/// subprotocols.
fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(authorization) = headers.get(AUTHORIZATION) {
        let value = authorization.as_bytes();
        let (scheme, token) = value.split_at_checked(BEARER.len()).unwrap_or((value, &[]));
        return Some(if scheme.eq_ignore_ascii_case(BEARER.as_bytes()) { token } else { &[] });
    }
    protocols(headers).find_map(|protocol| protocol.strip_prefix(watch::TOKEN_PROTOCOL)).map(str::as_bytes)
}

/// The WebSocket subprotocols that a request offers.
pub(crate) fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lists = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &str = "public-token-of-a-shop";
    const ADMIN: &str = "admin-token-of-an-operator";

    fn headers(authorization: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, value.parse().unwrap());
        }
        headers
    }

    fn outcome(doors: &Doors, authorization: Option<&str>, path: &str) -> Result<Door, Kind> {
        doors.route(&headers(authorization), "POST", path).map(|(visitor, _)| visitor.door).map_err(|why| why.kind)
    }

    #[test]
    fn without_tokens_the_public_door_is_open_and_the_admin_door_is_not_there() {
        let doors = Doors::default();
        assert_eq!(outcome(&doors, None, "/Ticket/a/reserve"), Ok(Door::Public));
        assert_eq!(outcome(&doors, Some("Bearer whatever"), "/Ticket/a/reserve"), Ok(Door::Public));
        assert_eq!(outcome(&doors, None, "/Ticket/a/reset"), Err(Kind::NotFound));
        assert_eq!(outcome(&doors, None, "/Ticket/a/claim"), Err(Kind::NotFound));
    }

    #[test]
    fn with_an_admin_token_alone_the_public_door_stays_open() {
        let doors = Doors::new([], [ADMIN]).unwrap();
        let admin = format!("bearer {ADMIN}");
        assert_eq!(outcome(&doors, None, "/Ticket/a/reserve"), Ok(Door::Public));
        assert_eq!(outcome(&doors, None, "/Ticket/a/reset"), Err(Kind::Unauthorized));
        assert_eq!(outcome(&doors, Some(&admin), "/Ticket/a/reset"), Ok(Door::Admin));
        assert_eq!(outcome(&doors, Some(&admin), "/Ticket/a/claim"), Err(Kind::NotFound), "inner");
        assert_eq!(outcome(&doors, Some("Bearer wrong-wrong-wrong"), "/Ticket/a/reserve"), Err(Kind::Unauthorized));
    }

    #[test]
    fn with_a_public_token_nothing_but_health_is_told_without_it() {
        let doors = Doors::new([PUBLIC, "another-public-token"], [ADMIN]).unwrap();
        let public = format!("Bearer {PUBLIC}");
        for path in ["/Ticket/a/reserve", "/Ticket/a/reset", "/Ticket/a/claim", "/nowhere"] {
            assert_eq!(outcome(&doors, None, path), Err(Kind::Unauthorized), "{path}");
            assert_eq!(outcome(&doors, Some("Basic abc"), path), Err(Kind::Unauthorized), "{path}");
        }
        assert_eq!(outcome(&doors, Some(&public), "/Ticket/a/reserve"), Ok(Door::Public));
        assert_eq!(outcome(&doors, Some(&public), "/Ticket/a/reset"), Err(Kind::Unauthorized));
        assert_eq!(outcome(&doors, Some("Bearer another-public-token"), "/Ticket/a/reserve"), Ok(Door::Public));
        assert!(doors.route(&headers(None), "GET", "/health").is_ok());
        assert_eq!(doors.route(&headers(None), "POST", "/health").unwrap_err().kind, Kind::Unauthorized);
    }

    #[test]
    fn a_watcher_shows_its_token_as_a_subprotocol() {
        let doors = Doors::new([PUBLIC], []).unwrap();
        let mut headers = HeaderMap::new();
        let offer = format!("{}, {}{PUBLIC}", watch::PROTOCOL, watch::TOKEN_PROTOCOL);
        headers.insert(SEC_WEBSOCKET_PROTOCOL, offer.parse().unwrap());
        assert!(doors.route(&headers, "GET", "/SeatMap/a/watch").is_ok());
        headers.insert(SEC_WEBSOCKET_PROTOCOL, watch::PROTOCOL.parse().unwrap());
        assert_eq!(doors.route(&headers, "GET", "/SeatMap/a/watch").unwrap_err().kind, Kind::Unauthorized);
    }

    #[test]
    fn a_token_is_long_enough_and_may_stand_in_any_header() {
        for bad in ["", "short", "fifteen-letters", "with a space in it", "with/a/slash/in/it", "with=equals=in=it"] {
            assert!(Doors::new([bad], []).is_err(), "{bad}");
        }
        assert!(Doors::new(["sixteen-letters-"], []).is_ok());
    }
}
