//! What operators look for: bookings, messages that were given up, what other operators did. Each list comes in pages, the newest first,
//! and tells where the next page begins.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::export::Booking;
use super::kind::Refusal;
use super::request::{Buyer, percent_decoded};
use crate::ids::{CheckoutId, MapKey, TicketId, UserId};
use crate::json::{Json, MAX_FIELDS, shown};
use crate::life::CheckoutRecord;
use crate::time::Timestamp;

/// How many entries a page has where the caller does not say.
pub const PAGE: usize = 100;

/// How many entries a page has at most.
pub const LONGEST_PAGE: usize = 500;

/// Which bookings are looked for. What is `None` does not matter.
///
/// ```
/// use booking_core::wire::search::BookingSearch;
/// use booking_core::wire::{Call, Door, route};
///
/// let route = route(Door::Admin, "GET", "/bookings").unwrap().with_query("map=arena:A&status=CONFIRMED&limit=10");
/// let Call::Bookings(search) = route.parse(b"").unwrap() else { panic!("it is for bookings") };
/// assert_eq!(search.map.as_ref().map(|map| map.as_str()), Some("arena:A"));
/// assert_eq!(search.limit, 10);
/// assert_eq!(search.user, None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BookingSearch {
    /// With a seat of this map.
    pub map: Option<MapKey>,
    /// With this seat.
    pub ticket: Option<TicketId>,
    /// Of this buyer.
    pub user: Option<UserId>,
    /// That stand so.
    pub status: Option<BookingStatus>,
    /// Begun then, or later.
    pub from: Option<Timestamp>,
    /// Begun before then.
    pub until: Option<Timestamp>,
    /// Only those that come after this one in the list.
    pub after: Option<BookingCursor>,
    /// How many at most: 1 to [`LONGEST_PAGE`].
    pub limit: usize,
}

impl Default for BookingSearch {
    fn default() -> Self {
        Self { map: None, ticket: None, user: None, status: None, from: None, until: None, after: None, limit: PAGE }
    }
}

impl BookingSearch {
    /// Whether this is one of those that are looked for, wherever it stands in the list.
    #[must_use]
    pub fn takes(&self, record: &CheckoutRecord) -> bool {
        let order = record.checkout().order();
        let is = |found: Option<bool>| found.unwrap_or(true);
        is(self.status.as_ref().map(|status| *status == BookingStatus::of(record)))
            && is(self.user.as_ref().map(|user| user == order.user()))
            && is(self.ticket.as_ref().map(|ticket| order.tickets().contains(ticket)))
            && is(self.map.as_ref().map(|map| order.tickets().iter().any(|ticket| ticket.map_str() == map.as_str())))
            && is(self.from.map(|from| from <= record.started()))
            && is(self.until.map(|until| record.started() < until))
    }
}

impl BookingSearch {
    /// The same of what is shown of one.
    #[must_use]
    pub fn finds(&self, booking: &Booking) -> bool {
        let is = |found: Option<bool>| found.unwrap_or(true);
        is(self.status.map(|status| status == booking.status))
            && is(self.user.as_ref().map(|user| *user == booking.user_id))
            && is(self.ticket.as_ref().map(|ticket| booking.tickets.contains(ticket)))
            && is(self.map.as_ref().map(|map| booking.tickets.iter().any(|ticket| ticket.map_str() == map.as_str())))
            && is(self.from.map(|from| from <= booking.started_at))
            && is(self.until.map(|until| booking.started_at < until))
    }
}

/// How a booking stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum BookingStatus {
    /// It is under way.
    Pending,
    /// The buyer has the seats.
    Confirmed,
    /// The buyer has none of the seats.
    Failed,
}

impl BookingStatus {
    /// How it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Confirmed => "CONFIRMED",
            Self::Failed => "FAILED",
        }
    }

    /// How this one stands, once it can be told.
    #[must_use]
    pub fn of(record: &CheckoutRecord) -> Self {
        use crate::checkout::Ending;
        match record.progress().told() {
            None => Self::Pending,
            Some(Ending::Completed { .. }) => Self::Confirmed,
            Some(Ending::Failed { .. }) => Self::Failed,
        }
    }
}

impl From<BookingStatus> for &'static str {
    fn from(status: BookingStatus) -> Self {
        status.as_str()
    }
}

impl TryFrom<String> for BookingStatus {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let all = [Self::Pending, Self::Confirmed, Self::Failed];
        all.into_iter().find(|status| status.as_str() == text).ok_or("must be PENDING, CONFIRMED or FAILED")
    }
}

/// Where a booking stands in the list: the newest comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BookingCursor {
    /// When it began.
    pub started: Timestamp,
    /// Its name, as two may begin at the same time.
    pub checkout: CheckoutId,
}

impl fmt::Display for BookingCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.started.as_millis(), self.checkout)
    }
}

impl From<BookingCursor> for String {
    fn from(cursor: BookingCursor) -> Self {
        cursor.to_string()
    }
}

impl FromStr for BookingCursor {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (started, checkout) = text.split_once(':')?;
            let started = Timestamp::from_millis(number(started)?);
            Some(Self { started, checkout: CheckoutId::parse(checkout).ok()? })
        };
        read().ok_or("must be the `next` of a page")
    }
}

impl TryFrom<String> for BookingCursor {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// A number as it is written here: at most 16 digits, and nothing else.
fn number(digits: &str) -> Option<u64> {
    let is_one = (1..=16).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    if is_one { digits.parse().ok() } else { None }
}

/// A message in the operators' inbox, by its name there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum InboxId {
    /// The message to a buyer that was given up, of this checkout.
    Notification(CheckoutId),
    /// A line of the operators' log that could not be taken in. Only where the log is kept apart from what it is about.
    Line(u64),
}

impl fmt::Display for InboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Notification(checkout) => write!(f, "notification:{checkout}"),
            Self::Line(number) => write!(f, "line:{number}"),
        }
    }
}

impl From<InboxId> for String {
    fn from(id: InboxId) -> Self {
        id.to_string()
    }
}

impl FromStr for InboxId {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = match text.split_once(':') {
            Some(("notification", checkout)) => CheckoutId::parse(checkout).ok().map(Self::Notification),
            Some(("line", digits)) => number(digits).map(Self::Line),
            Some(_) | None => None,
        };
        id.ok_or("must be the `id` of a message in the inbox")
    }
}

impl TryFrom<String> for InboxId {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Which messages of the inbox are looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InboxSearch {
    /// Only those that come after this one in the list.
    pub after: Option<InboxId>,
    /// How many at most: 1 to [`LONGEST_PAGE`].
    pub limit: usize,
}

/// Which entries of the audit are looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditSearch {
    /// Only those that are older than this one.
    pub after: Option<u64>,
    /// How many at most: 1 to [`LONGEST_PAGE`].
    pub limit: usize,
}

/// How many entries a page is to have.
#[derive(Deserialize)]
#[serde(try_from = "u64")]
struct Limit(usize);

impl TryFrom<u64> for Limit {
    type Error = String;
    fn try_from(limit: u64) -> Result<Self, String> {
        let limit = usize::try_from(limit).ok().filter(|limit| (1..=LONGEST_PAGE).contains(limit));
        limit.map(Self).ok_or_else(|| format!("must be 1 to {LONGEST_PAGE}"))
    }
}

fn page(limit: Option<Limit>) -> usize {
    limit.map_or(PAGE, |Limit(limit)| limit)
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BookingsBody {
    map: Option<MapKey>,
    ticket_id: Option<TicketId>,
    user_id: Option<Buyer>,
    status: Option<BookingStatus>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    after: Option<BookingCursor>,
    limit: Option<Limit>,
}

impl From<BookingsBody> for BookingSearch {
    fn from(body: BookingsBody) -> Self {
        let BookingsBody { map, ticket_id: ticket, user_id, status, from, until, after, limit } = body;
        let user = user_id.map(|Buyer(user)| user);
        Self { map, ticket, user, status, from, until, after, limit: page(limit) }
    }
}

#[derive(Default, Deserialize)]
pub(super) struct InboxBody {
    after: Option<InboxId>,
    limit: Option<Limit>,
}

impl From<InboxBody> for InboxSearch {
    fn from(InboxBody { after, limit }: InboxBody) -> Self {
        Self { after, limit: page(limit) }
    }
}

#[derive(Default, Deserialize)]
pub(super) struct AuditBody {
    after: Option<u64>,
    limit: Option<Limit>,
}

impl From<AuditBody> for AuditSearch {
    fn from(AuditBody { after, limit }: AuditBody) -> Self {
        Self { after, limit: page(limit) }
    }
}

/// The fields that may be numbers.
const NUMBERS: [&str; 4] = ["from", "until", "limit", "after"];

/// The fields in the query of an address, as if they stood in a body. Nothing in it is quoted in an error but names of fields.
pub(super) fn query(text: &str) -> Result<Json, Refusal> {
    let mut fields: Vec<(String, Json)> = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = |text: &str| percent_decoded(&text.replace('+', " "));
        let name = decoded(name).ok_or_else(|| Refusal::invalid("query", "is not percent-encoded UTF-8"))?;
        let refused = |why| Err(Refusal::invalid(&shown(&name), why));
        let Some(value) = decoded(value) else { return refused("is not percent-encoded UTF-8") };
        if fields.len() >= MAX_FIELDS {
            return Err(Refusal::invalid("query", &format!("has more than {MAX_FIELDS} fields")));
        }
        if fields.iter().any(|(known, _)| *known == name) {
            return refused("stands twice");
        }
        if name == "userId" {
            return refused("stands in the body of a POST alone: addresses are written into logs");
        }
        // A field that is left empty, as forms do.
        let value = match (value.is_empty(), NUMBERS.contains(&name.as_str())) {
            (true, _) => Json::Null,
            (false, true) => value.parse().map_or(Json::Text(value), Json::Whole),
            (false, false) => Json::Text(value),
        };
        fields.push((name, value));
    }
    Ok(Json::Object(fields))
}
