//! JSON, read in one place: bytes become a [`Json`], and derived types are read from that: requests, stored states,
//! messages between objects, answers of a gateway.
//!
//! Two small readers instead of one large one: what reads bytes is there once, and what reads a type is short. A program
//! that is loaded over a network is much smaller for it than if each type were read from bytes.

#![allow(clippy::wildcard_enum_match_arm, reason = "a JSON value of another kind is one case, whichever kind it is")]

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, Expected, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};

use crate::time::MAX_EXACT;

/// A JSON value.
pub(crate) enum Json {
    Null,
    Bool(bool),
    Whole(u64),
    Negative(i64),
    Fraction(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Where JSON comes from, which decides how strictly it is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A request. An object has at most [`MAX_FIELDS`] fields, none of them twice and none that is not known; `null` is as
    /// good as no field; a number is at most 2^53 - 1. Fields are read in the order in which their type declares them, so
    /// the first error is the same however a request is written.
    Request,
    /// What was written here, or answered to us. A field that is not known is passed over.
    Own,
}

/// No handler has more fields; this bounds the search for doubles.
pub(crate) const MAX_FIELDS: usize = 64;

impl Json {
    /// Reads a whole document.
    ///
    /// # Errors
    /// Where and why it is none.
    pub(crate) fn parse(bytes: &[u8], source: Source) -> serde_json::Result<Self> {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let json = source.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(json)
    }
}

/// A field's name as it may stand in an error: short, and one line.
pub(crate) fn shown(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

impl<'de> DeserializeSeed<'de> for Source {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Source {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, is: bool) -> Result<Json, E> {
        Ok(Json::Bool(is))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Whole(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Negative(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Fraction(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut fields: Vec<(String, Json)> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if self == Self::Request && fields.len() >= MAX_FIELDS {
                return Err(A::Error::custom(format_args!("an object has at most {MAX_FIELDS} fields")));
            }
            if self == Self::Request && fields.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom(format_args!("`{}` stands twice", shown(&name))));
            }
            fields.push((name, map.next_value_seed(self)?));
        }
        Ok(Json::Object(fields))
    }
}

/// Reads a type from JSON that was written here, or answered to us.
///
/// # Errors
/// `None` where it is something else, or no JSON.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    Json::parse(bytes, Source::Own).ok()?.read(Source::Own).ok()
}

/// What is wrong with a value, and where: `userId`, `price.minor`, `ticketIds[3]`; no path for the whole. Never quotes the
/// value: it may be a secret.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) path: String,
    pub(crate) message: Cow<'static, str>,
}

impl Wrong {
    pub(crate) fn value(message: impl Into<Cow<'static, str>>) -> Self {
        Self { path: String::new(), message: message.into() }
    }

    pub(crate) fn missing() -> Self {
        Self::value("is missing")
    }

    pub(crate) fn of_field(self, name: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        Self { path: format!("{name}{dot}{}", self.path), ..self }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Wrong {}

/// Serde's own words quote values, so they are left out; that makes the Worker smaller, too.
impl Error for Wrong {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self::value(why.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self::value("is of another kind")
    }

    fn invalid_value(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self::value("is of another kind")
    }

    fn invalid_length(_: usize, _: &dyn Expected) -> Self {
        Self::value("has another length")
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self::value("is not known")
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Self::value("has a field that is not known")
    }

    fn missing_field(name: &'static str) -> Self {
        Self::missing().of_field(name)
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::value("stands twice").of_field(name)
    }
}

impl Json {
    /// Reads a type from it.
    ///
    /// # Errors
    /// [`Wrong`]: of a request, the first field in declared order that is wrong, then a field that is not known.
    pub(crate) fn read<T: DeserializeOwned>(self, source: Source) -> Result<T, Wrong> {
        T::deserialize(Value { json: Some(self), source })
    }

    /// A field of an object.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else { return None };
        fields.iter().find(|(known, _)| known == name).map(|(_, json)| json)
    }

    /// An object as two: with these of its fields, and with the others. What is none stays whole.
    pub(crate) fn split(self, names: &[&str]) -> (Self, Self) {
        let Self::Object(fields) = self else { return (self, Self::Null) };
        let (these, others) = fields.into_iter().partition(|(name, _)| names.contains(&name.as_str()));
        (Self::Object(these), Self::Object(others))
    }

    fn variant(self) -> Result<(String, Self), Wrong> {
        match self {
            Self::Text(name) => Ok((name, Self::Null)),
            Self::Object(mut fields) if fields.len() == 1 => fields.pop().ok_or_else(Wrong::missing),
            _ => Err(Wrong::value("must be a variant")),
        }
    }
}

/// A value that is being read; `None` where a request has no such field. What tells kinds of values apart stands in
/// functions that know no type: these are there once.
struct Value {
    json: Option<Json>,
    source: Source,
}

impl Value {
    fn there(self) -> Result<Json, Wrong> {
        self.json.ok_or_else(Wrong::missing)
    }

    fn whole(self, longest: u64) -> Result<u64, Wrong> {
        let longest = if self.source == Source::Request { longest } else { u64::MAX };
        match self.there()? {
            Json::Whole(number) if number <= longest => Ok(number),
            _ => Err(Wrong::value(format!("must be a whole number from 0 to {longest}"))),
        }
    }

    fn text(self) -> Result<String, Wrong> {
        match self.there()? {
            Json::Text(text) => Ok(text),
            _ => Err(Wrong::value("must be a string")),
        }
    }

    fn list(self) -> Result<Items, Wrong> {
        let source = self.source;
        match self.there()? {
            Json::List(items) => Ok(Items { left: items.into_iter(), count: 0, source }),
            _ => Err(Wrong::value("must be a list")),
        }
    }

    fn object(self, declared: &'static [&'static str]) -> Result<Members, Wrong> {
        let source = self.source;
        let left = match self.there()? {
            Json::Object(fields) => fields,
            Json::Null if source == Source::Request => Vec::new(),
            _ => return Err(Wrong::value("must be an object")),
        };
        let left = left.into_iter();
        Ok(match source {
            Source::Request => {
                Members::Declared { left: left.collect(), declared: declared.iter(), value: None, name: "" }
            }
            Source::Own => Members::AsWritten { left, value: None },
        })
    }
}

/// Of each kind of value there is one way to read it. So an object is never read from a list, and a program carries no
/// code for that.
impl<'de> Deserializer<'de> for Value {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let source = self.source;
        match self.there()? {
            Json::Null => visitor.visit_unit(),
            Json::Bool(is) => visitor.visit_bool(is),
            Json::Whole(number) => visitor.visit_u64(number),
            Json::Negative(number) => visitor.visit_i64(number),
            Json::Fraction(number) => visitor.visit_f64(number),
            Json::Text(text) => visitor.visit_string(text),
            json @ Json::List(_) => Self { json: Some(json), source }.deserialize_seq(visitor),
            json @ Json::Object(_) => Self { json: Some(json), source }.deserialize_map(visitor),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_u64(self.whole(MAX_EXACT)?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_u64(self.whole(u64::from(u32::MAX))?)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_u64(self.whole(u64::from(u16::MAX))?)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_u64(self.whole(u64::from(u8::MAX))?)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.there()? {
            Json::Bool(is) => visitor.visit_bool(is),
            _ => Err(Wrong::value("must be true or false")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_str(&self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.json {
            None | Some(Json::Null) => visitor.visit_none(),
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let mut items = self.list()?;
        let value = visitor.visit_seq(&mut items)?;
        if items.left.len() == 0 { Ok(value) } else { Err(Wrong::value("has too many items")) }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        // Its fields have no declared names. None stands twice: the parser has seen to that.
        visitor.visit_map(Self { source: Source::Own, ..self }.object(&[])?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        declared: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_map(self.object(declared)?)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let source = self.source;
        let (name, content) = self.there()?.variant()?;
        visitor.visit_enum(Variant { name, content: Self { json: Some(content), source } })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

/// The items of a list, as they are read.
struct Items {
    left: std::vec::IntoIter<Json>,
    count: usize,
    source: Source,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Wrong> {
        let Some(json) = self.left.next() else { return Ok(None) };
        let index = self.count;
        self.count += 1;
        let item = seed.deserialize(Value { json: Some(json), source: self.source });
        item.map(Some).map_err(|wrong| wrong.of_field(&format!("[{index}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

/// The fields of an object, as they are read: in the order in which they stand there or, of a request, in that of the type.
enum Members {
    AsWritten {
        left: std::vec::IntoIter<(String, Json)>,
        /// Of the field whose name was read last.
        value: Option<Json>,
    },
    Declared {
        left: Vec<(String, Json)>,
        declared: std::slice::Iter<'static, &'static str>,
        value: Option<Json>,
        /// The field whose name was read last.
        name: &'static str,
    },
}

impl<'de> MapAccess<'de> for Members {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        match self {
            Self::AsWritten { left, value } => {
                let Some((name, json)) = left.next() else { return Ok(None) };
                *value = Some(json);
                seed.deserialize(Name(&name)).map(Some)
            }
            Self::Declared { left, declared, value, name } => {
                let Some(next) = declared.next() else {
                    return match left.first() {
                        None => Ok(None),
                        Some((name, _)) => Err(Wrong::value("is not a field of this request").of_field(&shown(name))),
                    };
                };
                *name = next;
                let index = left.iter().position(|(known, _)| known == next);
                *value = index.map(|index| left.remove(index).1).filter(|json| !matches!(json, Json::Null));
                seed.deserialize(Name(next)).map(Some)
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        match self {
            Self::AsWritten { value, .. } => seed.deserialize(Value { json: value.take(), source: Source::Own }),
            Self::Declared { value, name, .. } => {
                let value = seed.deserialize(Value { json: value.take(), source: Source::Request });
                value.map_err(|wrong| wrong.of_field(name))
            }
        }
    }
}

/// A variant of an enum: its name alone, or an object with that field alone.
struct Variant {
    name: String,
    content: Value,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Wrong;
    type Variant = Value;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Value), Wrong> {
        Ok((seed.deserialize(Name(&self.name))?, self.content))
    }
}

impl<'de> VariantAccess<'de> for Value {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        if matches!(self.json, Some(Json::Null)) { Ok(()) } else { Err(Wrong::value("takes nothing")) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Wrong> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, declared: &'static [&'static str], visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_map(self.object(declared)?)
    }
}

/// The name of a field or of a variant; a key of a map. Keys that are numbers are not read: nothing here writes any.
struct Name<'a>(&'a str);

impl<'de> Deserializer<'de> for Name<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_str(self.0)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}
