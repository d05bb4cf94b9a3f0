//! JSON read strictly, field by field, so that every error names its field and none quotes a value.

#![allow(clippy::wildcard_enum_match_arm, reason = "a JSON value of another kind is one case, whichever kind it is")]

use std::borrow::Cow;

use serde_json::{Value, json};

use super::MAX_TEXT;
use super::kind::{Kind, Refusal};
use crate::ids::{
    AuthorizationId, CheckoutId, HoldId, IdError, MAX_GATEWAY_NAME_LEN, MAX_ID_LEN, MAX_KEY_LEN, MapKey, PaymentId,
    PaymentKey, PaymentMethodId, TicketId, UserId,
};
pub(super) use crate::json::Json;
use crate::json::{self, shown};
use crate::money::{Currency, Money, NotACurrency};
use crate::ticket::TicketStatus;
use crate::time::{MAX_EXACT, Timestamp};

impl Json {
    /// Reads a whole body; an empty one is `Null`.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::Null);
        }
        let json = Self::parse(body, json::Fields::Few);
        json.map_err(|error| Refusal::invalid("body", &format!("is not valid JSON: {error}")))
    }
}

/// What is wrong, and where: `userId`, `price.minor`, `ticketIds[3]`; nowhere in particular for the body itself.
pub(super) struct Wrong {
    path: String,
    kind: Kind,
    message: Cow<'static, str>,
}

impl Wrong {
    /// A value that cannot be read.
    pub(super) fn value(message: impl Into<Cow<'static, str>>) -> Self {
        Self { path: String::new(), kind: Kind::InvalidRequest, message: message.into() }
    }

    /// A value that can be read, but is out of bounds.
    pub(super) fn bounds(kind: Kind) -> Self {
        Self { path: String::new(), kind, message: kind.message().into() }
    }

    pub(super) fn of_field(self, name: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        Self { path: format!("{name}{dot}{}", self.path), ..self }
    }

    fn of_item(self, index: usize) -> Self {
        self.of_field(&format!("[{index}]"))
    }
}

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Self {
        match wrong.kind {
            Kind::InvalidRequest if wrong.path.is_empty() => Self::invalid("body", &wrong.message),
            Kind::InvalidRequest => Self::invalid(&wrong.path, &wrong.message),
            kind => kind.into(),
        }
    }
}

/// A type that a value can be read as.
pub(super) trait Read: Sized {
    fn read(json: Json) -> Result<Self, Wrong>;
}

/// A type whose values a JSON Schema describes: just those that [`Read`] takes.
pub(super) trait Described {
    fn schema() -> Value;
}

macro_rules! described {
    ($($type:ty => $schema:expr;)*) => {$(
        impl Described for $type {
            fn schema() -> Value {
                $schema
            }
        }
    )*};
}
described! {
    UserId => id_schema(r"^(?!\.{1,2}$)(?!:)[A-Za-z0-9._:-]+$", MAX_ID_LEN);
    CheckoutId => UserId::schema();
    MapKey => UserId::schema();
    HoldId => UserId::schema();
    PaymentMethodId => UserId::schema();
    TicketId => id_schema(r"^(?!\.{1,2}(:[^:]*)?$)(?!:)[A-Za-z0-9._:-]+$", MAX_ID_LEN);
    PaymentKey => id_schema("^[!-~]+$", MAX_KEY_LEN);
    AuthorizationId => id_schema("^[!-~]+$", MAX_GATEWAY_NAME_LEN);
    PaymentId => AuthorizationId::schema();
    u64 => json!({ "type": "integer", "minimum": 0, "maximum": MAX_EXACT });
    u32 => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX });
    Timestamp => json!({
        "type": "integer", "minimum": 0, "maximum": MAX_EXACT, "description": "milliseconds since the Unix epoch",
    });
    Currency => json!({ "type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217" });
    Money => json!({
        "type": "object",
        "properties": { "minor": u64::schema(), "currency": Currency::schema() },
        "required": ["minor", "currency"],
        "additionalProperties": false,
    });
    TicketStatus => json!({ "type": "string", "enum": ["AVAILABLE", "RESERVED", "SOLD", "BLOCKED"] });
    Line => json!({
        "type": "string", "minLength": 1, "maxLength": MAX_TEXT, "pattern": r"^[^\u0000-\u001f\u007f-\u009f]+$",
    });
}

fn id_schema(pattern: &str, longest: usize) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": longest, "pattern": pattern })
}

/// The fields of one object, each to be taken once.
pub(super) struct Fields(Vec<(String, Json)>);

impl Read for Fields {
    /// No object at all has no fields: a handler without input takes an empty body, `null` and `{}` alike.
    fn read(json: Json) -> Result<Self, Wrong> {
        match json {
            Json::Object(fields) => Ok(Self(fields)),
            Json::Null => Ok(Self(Vec::new())),
            _ => Err(Wrong::value("must be an object")),
        }
    }
}

impl Fields {
    /// A field that may be missing or null.
    pub(super) fn maybe<T: Read>(&mut self, name: &'static str) -> Result<Option<T>, Wrong> {
        self.found(name).map(|json| T::read(json).map_err(|wrong| wrong.of_field(name))).transpose()
    }

    /// What a field holds, if it is there and not null. Apart from what reads it: this is there once for all types.
    fn found(&mut self, name: &'static str) -> Option<Json> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(index).1).filter(|json| !matches!(json, Json::Null))
    }

    /// A field that must be there.
    pub(super) fn take<T: Read>(&mut self, name: &'static str) -> Result<T, Wrong> {
        self.maybe(name)?.ok_or_else(|| missing(name))
    }

    /// To be called when every field that is known was taken.
    pub(super) fn end(self) -> Result<(), Wrong> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(Wrong::value("is not a field of this request").of_field(&shown(name))),
        }
    }
}

fn missing(name: &str) -> Wrong {
    Wrong::value("is missing").of_field(name)
}

fn text(json: Json) -> Result<String, Wrong> {
    match json {
        Json::Text(text) => Ok(text),
        _ => Err(Wrong::value("must be a string")),
    }
}

fn id<T>(json: Json, parse: impl FnOnce(&str) -> Result<T, IdError>) -> Result<T, Wrong> {
    parse(&text(json)?).map_err(|why| Wrong::value(why.to_string()))
}

macro_rules! read_ids {
    ($($id:ty),*) => {$(
        impl Read for $id {
            fn read(json: Json) -> Result<Self, Wrong> {
                id(json, <$id>::parse)
            }
        }
    )*};
}
read_ids!(TicketId, UserId, CheckoutId, HoldId, PaymentMethodId, PaymentKey, AuthorizationId, PaymentId);

/// A hold id in a message of the core's own, where it may be one that a checkout made.
pub(super) struct AnyHold(pub(super) HoldId);

impl Read for AnyHold {
    fn read(json: Json) -> Result<Self, Wrong> {
        id(json, HoldId::parse_any).map(Self)
    }
}

impl Read for u64 {
    fn read(json: Json) -> Result<Self, Wrong> {
        match json {
            Json::Whole(number @ 0..=MAX_EXACT) => Ok(number),
            _ => Err(Wrong::value(format!("must be a whole number from 0 to {MAX_EXACT}"))),
        }
    }
}

impl Read for u32 {
    fn read(json: Json) -> Result<Self, Wrong> {
        match json {
            Json::Whole(number) if number <= u64::from(u32::MAX) => Ok(u32::try_from(number).unwrap_or(u32::MAX)),
            _ => Err(Wrong::value(format!("must be a whole number from 0 to {}", u32::MAX))),
        }
    }
}

impl Read for Timestamp {
    fn read(json: Json) -> Result<Self, Wrong> {
        u64::read(json).map(Self::from_millis)
    }
}

impl Read for Currency {
    fn read(json: Json) -> Result<Self, Wrong> {
        text(json)?.parse().map_err(|why: NotACurrency| Wrong::value(why.to_string()))
    }
}

impl Read for Money {
    fn read(json: Json) -> Result<Self, Wrong> {
        let mut fields = Fields::read(json)?;
        let (minor, currency) = (fields.take("minor")?, fields.take("currency")?);
        fields.end()?;
        Self::new(minor, currency).map_err(|why| Wrong::value(why.to_string()))
    }
}

impl Read for TicketStatus {
    fn read(json: Json) -> Result<Self, Wrong> {
        match text(json)?.as_str() {
            "AVAILABLE" => Ok(Self::Available),
            "RESERVED" => Ok(Self::Reserved),
            "SOLD" => Ok(Self::Sold),
            "BLOCKED" => Ok(Self::Blocked),
            _ => Err(Wrong::value("must be AVAILABLE, RESERVED, SOLD or BLOCKED")),
        }
    }
}

/// What people write: one line, 1 to [`MAX_TEXT`] characters.
pub(super) struct Line(pub(super) String);

impl Read for Line {
    fn read(json: Json) -> Result<Self, Wrong> {
        let text = text(json)?;
        let count = text.chars().take(MAX_TEXT + 1).count();
        if count == 0 || count > MAX_TEXT || text.chars().any(char::is_control) {
            return Err(Wrong::value(format!("must be one line of 1 to {MAX_TEXT} characters")));
        }
        Ok(Self(text))
    }
}

impl Read for String {
    fn read(json: Json) -> Result<Self, Wrong> {
        text(json)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(json: Json) -> Result<Self, Wrong> {
        let Json::List(items) = json else { return Err(Wrong::value("must be a list")) };
        let item = |(index, json)| T::read(json).map_err(|wrong: Wrong| wrong.of_item(index));
        items.into_iter().enumerate().map(item).collect()
    }
}
