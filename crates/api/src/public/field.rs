//! Readers of single fields, whose errors say what is needed and never repeat a long value.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

/// A text, borrowed from the body where it holds no escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Text<'_> {
    /// The text without blanks around it; `None` when nothing is left.
    pub fn filled(&self) -> Option<&str> {
        Some(self.0.trim()).filter(|text| !text.is_empty())
    }
}

/// A whole number from 0 up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole(pub u64);

/// Refuses what a visitor does not take, in words of the wire and without the value.
macro_rules! refuse {
    ($($visit:ident: $kind:ty => $found:literal),+; $needed:literal) => {
        $(fn $visit<E: Error>(self, _: $kind) -> Result<Self::Value, E> {
            Err(E::custom(concat!($found, ", not ", $needed)))
        })+

        fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
            Err(A::Error::custom(concat!("a list, not ", $needed)))
        }

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str($needed)
        }
    };
}

/// The same for objects, which [`ObjectVisitor`] takes.
macro_rules! refuse_map {
    ($needed:literal) => {
        fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
            Err(A::Error::custom(concat!("an object, not ", $needed)))
        }
    };
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text)))
    }

    refuse! {
        visit_bool: bool => "a truth value",
        visit_u64: u64 => "a number",
        visit_i64: i64 => "a number",
        visit_f64: f64 => "a number";
        "a text"
    }
    refuse_map!("a text");
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct WholeVisitor;

impl<'de> Visitor<'de> for WholeVisitor {
    type Value = Whole;

    fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
        Ok(Whole(number))
    }

    refuse! {
        visit_bool: bool => "a truth value",
        visit_str: &str => "a text",
        visit_i64: i64 => "a negative number",
        visit_f64: f64 => "a fraction or too large";
        "a whole number"
    }
    refuse_map!("a whole number");
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Option<T>;

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    refuse! {
        visit_bool: bool => "a truth value",
        visit_str: &str => "a text",
        visit_u64: u64 => "a number",
        visit_i64: i64 => "a number",
        visit_f64: f64 => "a number";
        "an object with named fields"
    }
}

/// Reads a struct out of an object alone: it would also be read from a list.
pub(super) fn object<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(ObjectVisitor(PhantomData))
}
