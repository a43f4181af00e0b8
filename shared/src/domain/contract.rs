//! The contract: which members Merge publishes for the records of each model, and which values its enumerations know.
//! What a record says beyond that is stored all the same; it is drift, worth telling the operator.
//!
//! Only the members at the top of a record are looked at. Countries and currencies are too many to be of use here.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::endpoint::Endpoint;

/// A line per model: its key, then its members; `member=A|B` has these values only. Derived from the schemas that Merge
/// publishes, as gathered 2026-11-21.
const TEXT: &str = include_str!("contract.txt");

type Members = HashMap<&'static str, Option<Vec<&'static str>>>;

static MODELS: LazyLock<HashMap<&'static str, &'static str>> =
    LazyLock::new(|| TEXT.lines().filter_map(|line| line.split_once(": ")).collect());

/// How a record differs from what is published. Only names: a value may be anything a customer typed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Drift {
    /// A member that is not published.
    Member(String),
    /// A member whose value is none of those published.
    Value(String),
}

impl Drift {
    /// A word for counting.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Member(_) => "member",
            Self::Value(_) => "value",
        }
    }

    /// The member's name.
    pub fn member(&self) -> &str {
        match self {
            Self::Member(name) | Self::Value(name) => name,
        }
    }
}

/// What a model's records may say.
pub struct Contract {
    members: Members,
}

impl Contract {
    /// The published contract of an endpoint; `None` for one that is not published.
    pub fn of(endpoint: &Endpoint) -> Option<Self> {
        let line = MODELS.get(endpoint.key().as_str())?;
        let member = |word: &'static str| match word.split_once('=') {
            Some((name, values)) => (name, Some(values.split('|').collect())),
            None => (word, None),
        };
        Some(Self { members: line.split(' ').map(member).collect() })
    }

    /// Where a record differs; empty for what is no object.
    pub fn drift(&self, record: &str) -> Vec<Drift> {
        let mut reader = serde_json::Deserializer::from_str(record);
        reader.deserialize_map(Reader(self)).unwrap_or_default()
    }
}

struct Reader<'c>(&'c Contract);

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Vec<Drift>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Drift>, A::Error> {
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        let mut found = Vec::new();
        while let Some(Name(name)) = map.next_key::<Name<'_>>()? {
            match self.0.members.get(name.as_ref()) {
                None => {
                    map.next_value::<IgnoredAny>()?;
                    found.push(Drift::Member(name.into_owned()));
                }
                Some(None) => drop(map.next_value::<IgnoredAny>()?),
                Some(Some(values)) => {
                    let value: &RawValue = map.next_value()?;
                    let text = value.get().strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                    if text.is_some_and(|text| !values.contains(&text)) {
                        found.push(Drift::Value(name.into_owned()));
                    }
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drift(key: &str, record: &str) -> Vec<Drift> {
        Contract::of(Endpoint::by_key(key).unwrap()).unwrap().drift(record)
    }

    #[test]
    fn every_endpoint_has_a_contract() {
        for endpoint in Endpoint::all() {
            let contract = Contract::of(endpoint).unwrap_or_else(|| panic!("{}", endpoint.key()));
            assert_eq!(contract.members.contains_key("id"), endpoint.ids, "{}", endpoint.key());
            let deleted = contract.members.contains_key("remote_was_deleted");
            assert_eq!(deleted, endpoint.deleted_flag, "{}", endpoint.key());
        }
    }

    #[test]
    fn only_what_is_not_published_is_drift() {
        let known = r#"{"id":"a","account_type":"SAVINGS","employee":{"new":1},"remote_data":null}"#;
        assert!(drift("hris.BankInfo", known).is_empty());
        assert!(drift("hris.BankInfo", r#"{"account_type":null}"#).is_empty());
        let new = r#"{"id":"a","account_type":"PIGGY \"BANK\"","balance":7}"#;
        let found = [Drift::Value("account_type".to_owned()), Drift::Member("balance".to_owned())];
        assert_eq!(drift("hris.BankInfo", new), found);
        assert!(drift("hris.BankInfo", "[1]").is_empty());
    }
}
