//! An item as the DynamoDB SDK hands it out, and reading its attributes one by one.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{StoreError, keys::Key};

pub(crate) type Item = HashMap<String, AttributeValue>;

pub(crate) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(crate) fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(crate) fn b(bytes: Vec<u8>) -> AttributeValue {
    AttributeValue::B(bytes.into())
}

/// The key attributes of an item.
pub(crate) fn key_of(key: &Key) -> Item {
    Item::from([("pk".to_owned(), s(&key.pk)), ("sk".to_owned(), s(&key.sk))])
}

/// Reads attributes of one item; a missing or mistyped one is a [`StoreError::Corrupt`] that names it.
pub(crate) struct Reader<'a>(pub &'a Item);

impl<'a> Reader<'a> {
    pub(crate) fn text(&self, name: &'static str) -> Result<&'a str, StoreError> {
        self.0.get(name).and_then(|v| v.as_s().ok()).map(String::as_str).ok_or_else(|| self.corrupt(name))
    }

    pub(crate) fn number<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, StoreError> {
        self.0.get(name).and_then(|v| v.as_n().ok()).and_then(|n| n.parse().ok()).ok_or_else(|| self.corrupt(name))
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(|v| v.as_bool().ok()).copied().unwrap_or(false)
    }

    pub(crate) fn bytes(&self, name: &'static str) -> Result<&'a [u8], StoreError> {
        self.0.get(name).and_then(|v| v.as_b().ok()).map(AsRef::as_ref).ok_or_else(|| self.corrupt(name))
    }

    pub(crate) fn corrupt(&self, fault: impl ToString) -> StoreError {
        StoreError::corrupt(&self.key(), fault)
    }

    /// The item's own key.
    pub(crate) fn key(&self) -> Key {
        let part = |name| self.0.get(name).and_then(|v: &AttributeValue| v.as_s().ok()).cloned().unwrap_or_default();
        Key { pk: part("pk"), sk: part("sk") }
    }
}
