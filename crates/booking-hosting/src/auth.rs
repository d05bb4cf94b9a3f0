//! Who stands at which door: bearer tokens, compared in constant time. A token is never kept, logged or shown; what is
//! kept is its digest. And what an idempotency key stands for: its scope, and the request it came with.

use booking_core::life::Digest;
use booking_core::time::Timestamp;
use booking_core::wire::{BEARER, Call, Door, Handler, Kind, Refusal, Route, address, is_token, route, watch};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::invitations::{InvitationKeys, Once};
use crate::tokens::{Grant, GrantedDoor, SharedTokens, TokenDigest, Tokens, digest};

/// The tokens that open the doors. Without any, the public door is open to everybody, and the admin door to nobody.
#[derive(Clone, Default)]
pub struct Auth {
    public: Vec<TokenDigest>,
    admin: Vec<TokenDigest>,
    named: SharedTokens,
    invitations: InvitationKeys,
    opens_ledger: bool,
}

/// A text that may not be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token has 16 to 256 characters of A-Z a-z 0-9 - . _ ~ +")]
pub struct NotAToken;

/// A caller that a door has let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The last door that is open to them.
    pub door: Door,
    /// Stands for their token, if they showed one.
    pub token: Option<TokenDigest>,
    /// What their token opens, if it is one with a name, or an invitation.
    pub grant: Option<Grant>,
    /// The booking that they were invited to.
    pub once: Option<Once>,
}

impl Principal {
    /// A caller of whom nothing is known.
    const NOBODY: Self = Self { door: Door::Public, token: None, grant: None, once: None };

    /// What an audit says: the name of their token, or what kind of token it is.
    #[must_use]
    pub fn name(&self) -> &str {
        match (&self.grant, self.door) {
            (Some(grant), _) => grant.name.as_str(),
            (None, Door::Admin) => "an admin token",
            (None, Door::Public) => "the public",
        }
    }

    /// Whether their token is for what this call is about.
    ///
    /// # Errors
    /// `Unauthorized`.
    pub fn may(&self, call: &Call) -> Result<(), Refusal> {
        let is_for = self.grant.as_ref().is_none_or(|grant| grant.is_for(call));
        if is_for { Ok(()) } else { Err(Kind::Unauthorized.into()) }
    }
}

/// What all tokens together say about a door.
#[derive(Clone, Copy, Debug)]
struct Doors {
    /// Whether the public door asks for a token.
    is_public_closed: bool,
    /// Whether any token opens the admin door.
    has_admin: bool,
}

impl Auth {
    /// The doors that these tokens open: several, so that one can be replaced by another without a gap.
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
        Ok(Self { public, admin, ..Self::default() })
    }

    /// The same, with the mock gateway's ledger behind the public door: for trying things. The ledger names every checkout, and a
    /// caller that knows the name of a checkout may look at it.
    #[must_use]
    pub fn with_open_ledger(self, opens_ledger: bool) -> Self {
        Self { opens_ledger, ..self }
    }

    /// The same, with tokens that have names as well. One for the public door closes that door to callers without a token, also when it has
    /// expired or was revoked: or the end of the last one would let everybody in.
    #[must_use]
    pub fn with_named(self, named: SharedTokens) -> Self {
        Self { named, ..self }
    }

    /// The same, for invited buyers: with a key for invitations, the public door asks for a token or an invitation.
    #[must_use]
    pub fn with_invitations(self, invitations: InvitationKeys) -> Self {
        Self { invitations, ..self }
    }

    /// The keys that invitations are signed with.
    #[must_use]
    pub fn invitations(&self) -> &InvitationKeys {
        &self.invitations
    }

    fn doors(&self, named: &Tokens) -> Doors {
        Doors {
            is_public_closed: !self.public.is_empty() || self.named.close_public() || !self.invitations.is_empty(),
            has_admin: !self.admin.is_empty() || named.has(GrantedDoor::Admin),
        }
    }

    /// Who asks. A token that is shown has to be right, also where none is needed.
    fn principal(&self, shown: Option<&[u8]>, now: Timestamp) -> Result<Principal, Refusal> {
        let named = self.named.now();
        let doors = self.doors(&named);
        if !doors.is_public_closed && !doors.has_admin {
            return Ok(Principal::NOBODY);
        }
        let Some(shown) = shown else {
            return if doors.is_public_closed { Err(Kind::Unauthorized.into()) } else { Ok(Principal::NOBODY) };
        };
        let token = digest(shown);
        let (invited, once) = self.invitations.read(shown).unzip();
        if let Some(grant) = invited.or_else(|| named.get(&token).cloned()) {
            let door = grant.door_at(now).ok_or(Kind::Unauthorized)?;
            return Ok(Principal { door, token: Some(token), grant: Some(grant), once });
        }
        let is_one_of = |tokens: &[[u8; 32]]| {
            let found = tokens.iter().fold(Choice::from(0), |found, one| found | one.ct_eq(&token));
            bool::from(found)
        };
        let (is_admin, is_public) = (is_one_of(&self.admin), is_one_of(&self.public));
        match (is_admin, is_public) {
            (true, _) => Ok(Principal { door: Door::Admin, token: Some(token), grant: None, once: None }),
            (false, true) => Ok(Principal { door: Door::Public, token: Some(token), grant: None, once: None }),
            (false, false) => Err(Kind::Unauthorized.into()),
        }
    }

    /// Lets in a caller that asks for a page behind the public door which belongs to no handler. What is there is about all maps, so a token for
    /// some does not do.
    ///
    /// # Errors
    /// `Unauthorized`.
    pub fn authorize(&self, shown: Option<&[u8]>, now: Timestamp) -> Result<(), Refusal> {
        let is_for_all = self.principal(shown, now)?.grant.is_none_or(|grant| grant.maps.is_empty());
        if is_for_all { Ok(()) } else { Err(Kind::Unauthorized.into()) }
    }

    /// Finds the route of a request, as far as the doors on the way to it are open.
    ///
    /// A route behind the admin door asks for a token where there are admin tokens, and is not there where there are none.
    ///
    /// # Errors
    /// `Unauthorized`, `NotFound`, `MethodNotAllowed`, in this order.
    pub fn route<'a>(
        &self,
        shown: Option<&[u8]>,
        method: &str,
        path: &'a str,
        now: Timestamp,
    ) -> Result<(Principal, Route<'a>), Refusal> {
        let principal = match self.principal(shown, now) {
            Ok(principal) => principal,
            Err(refusal) => {
                // Whether it is up, anybody may ask.
                let asks_for_health =
                    route(Door::Public, method, path).is_ok_and(|route| route.handler == Handler::Health);
                if !asks_for_health {
                    return Err(refusal);
                }
                Principal::NOBODY
            }
        };
        match route(principal.door, method, path) {
            Ok(route) => Ok((principal, route)),
            Err(refusal) => {
                if self.opens_ledger
                    && let Ok(route) = route(Door::Admin, method, path)
                    && route.handler == Handler::GatewayLedger
                {
                    return Ok((principal, route));
                }
                let is_admins = self.doors(&self.named.now()).has_admin && route(Door::Admin, method, path).is_ok();
                Err(if is_admins && refusal.kind == Kind::NotFound { Kind::Unauthorized.into() } else { refusal })
            }
        }
    }
}

/// The token that a request shows: in its header `Authorization`, or, as a browser can set no other header there, among
/// the subprotocols that it offers for a WebSocket.
#[must_use]
pub fn shown<'a>(authorization: Option<&'a [u8]>, mut protocols: impl Iterator<Item = &'a str>) -> Option<&'a [u8]> {
    if let Some(value) = authorization {
        let (scheme, token) = value.split_at_checked(BEARER.len()).unwrap_or((value, &[]));
        return Some(if scheme.eq_ignore_ascii_case(BEARER.as_bytes()) { token } else { &[] });
    }
    protocols.find_map(|protocol| protocol.strip_prefix(watch::TOKEN_PROTOCOL)).map(str::as_bytes)
}

/// The WebSocket subprotocols in one header `Sec-WebSocket-Protocol`.
pub fn protocols(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

/// Half of a SHA-256, which nobody can find a second text for.
pub(crate) fn half(digest: Sha256) -> Digest {
    let whole: [u8; 32] = digest.finalize().into();
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    Digest(half)
}

/// The scope of an idempotency key: who asks, the [`address`], the key.
#[must_use]
pub fn scope(principal: &Principal, path: &str, key: &str) -> Digest {
    let mut scope = Sha256::new();
    scope.update(principal.token.unwrap_or_default());
    // Neither a path nor a key has a line end in it.
    for part in [&address(path), key] {
        scope.update(part.as_bytes());
        scope.update(b"\n");
    }
    half(scope)
}

/// Tells a request from others that came under the same key.
#[must_use]
pub fn fingerprint(body: &[u8]) -> Digest {
    half(Sha256::new_with_prefix(body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::TokenName;
    use booking_core::ids::MapKey;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const PUBLIC: &str = "public-token-of-a-shop";
    const ADMIN: &str = "admin-token-of-an-operator";

    fn outcome(auth: &Auth, authorization: Option<&str>, path: &str) -> Result<Door, Kind> {
        let shown = shown(authorization.map(str::as_bytes), [].into_iter());
        auth.route(shown, "POST", path, NOW).map(|(principal, _)| principal.door).map_err(|why| why.kind)
    }

    #[test]
    fn without_tokens_the_public_door_is_open_and_the_admin_door_is_not_there() {
        let auth = Auth::default();
        assert_eq!(outcome(&auth, None, "/Ticket/a/reserve"), Ok(Door::Public));
        assert_eq!(outcome(&auth, Some("Bearer whatever"), "/Ticket/a/reserve"), Ok(Door::Public));
        assert_eq!(outcome(&auth, None, "/Ticket/a/reset"), Err(Kind::NotFound));
        assert_eq!(outcome(&auth, None, "/Ticket/a/claim"), Err(Kind::NotFound));
    }

    #[test]
    fn with_an_admin_token_alone_the_public_door_stays_open() {
        let auth = Auth::new([], [ADMIN]).unwrap();
        let admin = format!("bearer {ADMIN}");
        assert_eq!(outcome(&auth, None, "/Ticket/a/reserve"), Ok(Door::Public));
        assert_eq!(outcome(&auth, None, "/Ticket/a/reset"), Err(Kind::Unauthorized));
        assert_eq!(outcome(&auth, Some(&admin), "/Ticket/a/reset"), Ok(Door::Admin));
        assert_eq!(outcome(&auth, Some(&admin), "/Ticket/a/claim"), Err(Kind::NotFound), "inner");
        assert_eq!(outcome(&auth, Some("Bearer wrong-wrong-wrong"), "/Ticket/a/reserve"), Err(Kind::Unauthorized));
    }

    #[test]
    fn with_a_public_token_nothing_but_health_is_told_without_it() {
        let auth = Auth::new([PUBLIC, "another-public-token"], [ADMIN]).unwrap();
        let public = format!("Bearer {PUBLIC}");
        for path in ["/Ticket/a/reserve", "/Ticket/a/reset", "/Ticket/a/claim", "/nowhere"] {
            assert_eq!(outcome(&auth, None, path), Err(Kind::Unauthorized), "{path}");
            assert_eq!(outcome(&auth, Some("Basic abc"), path), Err(Kind::Unauthorized), "{path}");
        }
        assert_eq!(outcome(&auth, Some(&public), "/Ticket/a/reserve"), Ok(Door::Public));
        assert_eq!(outcome(&auth, Some(&public), "/Ticket/a/reset"), Err(Kind::Unauthorized));
        assert_eq!(outcome(&auth, Some("Bearer another-public-token"), "/Ticket/a/reserve"), Ok(Door::Public));
        assert!(auth.route(None, "GET", "/health", NOW).is_ok());
        assert_eq!(auth.route(None, "POST", "/health", NOW).unwrap_err().kind, Kind::Unauthorized);
    }

    #[test]
    fn a_watcher_shows_its_token_as_a_subprotocol() {
        let auth = Auth::new([PUBLIC], []).unwrap();
        let offer = format!("{}, {}{PUBLIC}", watch::PROTOCOL, watch::TOKEN_PROTOCOL);
        let token = shown(None, protocols(&offer));
        assert!(auth.route(token, "GET", "/SeatMap/a/watch", NOW).is_ok());
        let token = shown(None, protocols(watch::PROTOCOL));
        assert_eq!(auth.route(token, "GET", "/SeatMap/a/watch", NOW).unwrap_err().kind, Kind::Unauthorized);
    }

    #[test]
    fn a_token_with_a_name_opens_its_door_and_one_that_was_revoked_none() {
        let shared = SharedTokens::default();
        let auth = Auth::default().with_named(shared.clone());
        let admin = format!("Bearer {ADMIN}");
        assert_eq!(outcome(&auth, None, "/Ticket/a/reserve"), Ok(Door::Public), "there are no tokens yet");
        let mut tokens = Tokens::default();
        let name = TokenName::parse("box office").unwrap();
        let grant = Grant { name: name.clone(), door: GrantedDoor::Admin, maps: vec![], expires: None, revoked: None };
        assert!(tokens.add(ADMIN, grant.clone()));
        assert!(!shared.replace(tokens.clone()));
        assert_eq!(outcome(&auth, None, "/Ticket/a/reserve"), Ok(Door::Public));
        assert_eq!(outcome(&auth, None, "/Ticket/a/reset"), Err(Kind::Unauthorized));
        assert_eq!(outcome(&auth, Some(&admin), "/Ticket/a/reset"), Ok(Door::Admin));
        let (principal, _) = auth.route(Some(ADMIN.as_bytes()), "POST", "/Ticket/a/reset", NOW).unwrap();
        assert_eq!(principal.name(), "box office");
        assert_eq!(tokens.revoke(&name, NOW), Some(NOW));
        assert!(!shared.replace(tokens.clone()));
        assert_eq!(outcome(&auth, Some(&admin), "/Ticket/a/reset"), Err(Kind::Unauthorized));
        assert_eq!(outcome(&auth, Some(&admin), "/Ticket/a/reserve"), Err(Kind::Unauthorized), "it is shown and wrong");
        // The end of the last public token lets nobody in.
        let public = Grant { name: TokenName::parse("shop").unwrap(), door: GrantedDoor::Public, ..grant };
        assert!(tokens.add(PUBLIC, Grant { expires: Some(NOW), ..public }));
        assert!(shared.replace(tokens), "the door closes");
        assert_eq!(outcome(&auth, None, "/Ticket/a/reserve"), Err(Kind::Unauthorized));
        assert_eq!(outcome(&auth, Some(&format!("Bearer {PUBLIC}")), "/Ticket/a/reserve"), Err(Kind::Unauthorized));
        // Nor does a file in which it is no more.
        assert!(!shared.replace(Tokens::default()));
        assert_eq!(outcome(&auth, None, "/Ticket/a/reserve"), Err(Kind::Unauthorized));
    }

    #[test]
    fn what_is_about_all_maps_is_not_for_a_token_of_one() {
        let (shared, mut tokens) = (SharedTokens::default(), Tokens::default());
        let grant = |name: &str, maps: &[&str]| Grant {
            name: TokenName::parse(name).unwrap(),
            door: GrantedDoor::Public,
            maps: maps.iter().map(|map| MapKey::parse(map).unwrap()).collect(),
            expires: None,
            revoked: None,
        };
        assert!(tokens.add(PUBLIC, grant("shop", &[])) && tokens.add(ADMIN, grant("partner", &["arena:A"])));
        assert!(shared.replace(tokens));
        let auth = Auth::default().with_named(shared);
        assert!(auth.authorize(Some(PUBLIC.as_bytes()), NOW).is_ok());
        assert_eq!(auth.authorize(Some(ADMIN.as_bytes()), NOW).unwrap_err().kind, Kind::Unauthorized);
    }

    #[test]
    fn an_invitation_opens_the_public_door_to_its_map_for_a_while() {
        let keys = InvitationKeys::new(["a key of a test, which is long enough"]).unwrap();
        let map = MapKey::parse("arena:A").unwrap();
        let invitation = keys.invite(&map, NOW.plus(booking_core::time::Millis(1)), 7).unwrap();
        let late = keys.invite(&map, NOW, 7).unwrap();
        let auth = Auth::new([], [ADMIN]).unwrap().with_invitations(keys);
        let bearer = |token: &str| outcome(&auth, Some(&format!("Bearer {token}")), "/Ticket/arena:A:1/reserve");
        assert_eq!(outcome(&auth, None, "/Ticket/arena:A:1/reserve"), Err(Kind::Unauthorized), "for the invited alone");
        assert_eq!((bearer(&invitation), bearer(&late)), (Ok(Door::Public), Err(Kind::Unauthorized)));
        let (guest, _) = auth.route(Some(invitation.as_bytes()), "POST", "/Ticket/arena:A:1/reserve", NOW).unwrap();
        let seat = |path: &str| booking_core::wire::parse(Door::Public, "POST", path, b"\"ann\"").unwrap();
        assert!(guest.once.is_some() && guest.may(&seat("/Ticket/arena:A:1/reserve")).is_ok());
        assert!(guest.may(&seat("/Ticket/arena:B:1/reserve")).is_err());
        let (operator, _) = auth.route(Some(ADMIN.as_bytes()), "POST", "/Ticket/arena:A:1/reserve", NOW).unwrap();
        assert_eq!(operator.once, None);
    }

    #[test]
    fn a_token_is_long_enough_and_may_stand_in_any_header() {
        for bad in ["", "short", "fifteen-letters", "with a space in it", "with/a/slash/in/it", "with=equals=in=it"] {
            assert!(Auth::new([bad], []).is_err(), "{bad}");
        }
        assert!(Auth::new(["sixteen-letters-"], []).is_ok());
    }
}
