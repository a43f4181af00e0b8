//! Words: the values of an option whose type is one of the domain's, as its JSON spells them. The type alone knows
//! them: asked to be read, it says what there could be.

use std::fmt;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::de::value::StringDeserializer;
use serde::de::{self, DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

/// Reads one of the words of an enum without fields.
pub fn parser<T: DeserializeOwned + Clone + Send + Sync + 'static>() -> impl TypedValueParser<Value = T> {
    texts::<T>().try_map(|word| {
        let word: StringDeserializer<de::value::Error> = word.into_deserializer();
        T::deserialize(word)
    })
}

/// Takes one of the words of an enum without fields, as it is.
pub fn texts<T: DeserializeOwned>() -> PossibleValuesParser {
    PossibleValuesParser::new(words::<T>().iter().copied())
}

fn words<T: DeserializeOwned>() -> &'static [&'static str] {
    T::deserialize(Asked).err().map_or(&[], |variants: Variants| variants.0)
}

/// Holds nothing to be read.
struct Asked;

/// What there could have been.
#[derive(Debug)]
struct Variants(&'static [&'static str]);

impl fmt::Display for Variants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one of {}", self.0.join(", "))
    }
}

impl std::error::Error for Variants {}

impl de::Error for Variants {
    fn custom<M: fmt::Display>(_: M) -> Self {
        Self(&[])
    }
}

impl<'de> Deserializer<'de> for Asked {
    type Error = Variants;

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Variants> {
        Err(Variants(variants))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Variants> {
        Err(Variants(&[]))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use shared::domain::health::{Actor, HealthState};

    use super::*;
    use crate::output::word;

    #[test]
    fn the_words_are_those_of_the_type() {
        assert_eq!(words::<Actor>(), ["end_user", "provider_admin", "operator", "nobody"]);
        let read = |text: &&str| parser::<HealthState>().parse_ref(&clap::Command::new(""), None, OsStr::new(text));
        let read: Vec<_> = words::<HealthState>().iter().map(|text| read(text).map(word).unwrap()).collect();
        assert_eq!(read, words::<HealthState>());
        assert!(read.contains(&"first_sync".to_owned()), "{read:?}");
        assert!(words::<String>().is_empty(), "a text has no words of its own");
    }
}
