//! A record: one object of a Common Model as Merge sent it. We keep its bytes and read only what decides whether
//! and how it is stored: its identity, when Merge last changed it, whether it is gone.

use std::{borrow::Cow, fmt};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{endpoint::Endpoint, time};

/// First half of the SHA-256 of a record's bytes: enough to tell two versions apart, half the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; 16]);

impl ContentHash {
    pub fn of(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Self(half)
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A record of a page, read as far as storing it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming<'a> {
    /// Unique within the endpoint: Merge's id, below its parent's in nested lists.
    pub key: String,
    /// Fixed-width UTC; [`time::NEVER`] when Merge gives none.
    pub modified_at: String,
    pub deleted: bool,
    pub hash: ContentHash,
    /// Merge's JSON, byte for byte.
    pub bytes: &'a str,
}

/// Why an element of a page cannot be a record.
#[derive(Debug, thiserror::Error)]
#[error("an element of the page is not a record")]
pub struct NotARecord(#[source] Option<serde_json::Error>);

/// Unknown fields are Merge's to add; only these three decide anything. A value of an unexpected type counts as
/// absent, because a page never fails over one field.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    id: Lenient<'a>,
    #[serde(borrow, default)]
    remote_id: Lenient<'a>,
    #[serde(borrow, default)]
    name: Lenient<'a>,
    #[serde(borrow, default)]
    modified_at: Lenient<'a>,
    #[serde(default)]
    remote_was_deleted: LenientBool,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Lenient<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    #[default]
    #[serde(skip)]
    Absent,
    Other(serde::de::IgnoredAny),
}

impl Lenient<'_> {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum LenientBool {
    Flag(bool),
    #[default]
    #[serde(skip)]
    Absent,
    Other(serde::de::IgnoredAny),
}

/// Reads one element of a page. `parent` is the parent record's id in a nested list.
pub fn read<'a>(bytes: &'a str, endpoint: &Endpoint, parent: Option<&str>) -> Result<Incoming<'a>, NotARecord> {
    // An array would be read as the fields in order.
    if !bytes.trim_start().starts_with('{') {
        return Err(NotARecord(None));
    }
    let head: Head<'a> = serde_json::from_str(bytes).map_err(|error| NotARecord(Some(error)))?;
    let hash = ContentHash::of(bytes.as_bytes());
    let own = match (endpoint.ids, head.id.text()) {
        (_, Some(id)) => id.to_owned(),
        // Models without an id: what the provider calls it, else its name, else what it says.
        (_, None) => match (head.remote_id.text(), head.name.text()) {
            (Some(remote), _) => format!("remote:{remote}"),
            (None, Some(name)) => format!("name:{name}"),
            (None, None) => format!("content:{hash}"),
        },
    };
    let own = if own.len() <= LONGEST_KEY { own } else { format!("long:{}", ContentHash::of(own.as_bytes())) };
    Ok(Incoming {
        key: parent.map_or(own.clone(), |parent| format!("{parent}/{own}")),
        modified_at: head.modified_at.text().and_then(time::parse).map_or_else(|| time::NEVER.to_owned(), time::fixed),
        deleted: matches!(head.remote_was_deleted, LenientBool::Flag(true)),
        hash,
        bytes,
    })
}

/// DynamoDB allows 1,024 bytes of sort key; up to two parents' ids come before it, and a part's key adds a hash and a
/// number.
const LONGEST_KEY: usize = 800;

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(slug: &str) -> &'static Endpoint {
        Endpoint::by_slug(slug).unwrap()
    }

    #[test]
    fn the_head_is_read_and_the_bytes_are_kept() {
        let bytes = r#"{"id":"a","modified_at":"2026-01-01T00:00:00Z","remote_was_deleted":true,"x":1.10}"#;
        let read = read(bytes, endpoint("hris.employees"), None).unwrap();
        assert_eq!((read.key.as_str(), read.deleted, read.bytes), ("a", true, bytes));
        assert_eq!(read.modified_at, "2026-01-01T00:00:00.000000000Z");
    }

    #[test]
    fn odd_values_never_fail_a_page() {
        for bytes in [r#"{"id":"a","modified_at":7,"remote_was_deleted":"yes"}"#, r#"{"id":"a","modified_at":null}"#] {
            let read = read(bytes, endpoint("hris.employees"), None).unwrap();
            assert_eq!((read.modified_at.as_str(), read.deleted), (time::NEVER, false), "{bytes}");
        }
        assert!(read("[1]", endpoint("hris.employees"), None).is_err());
    }

    #[test]
    fn records_without_id_have_a_key_all_the_same() {
        let key = |bytes| read(bytes, endpoint("ats.tags"), None).unwrap().key;
        assert_eq!(key(r#"{"id":null,"remote_id":"7","name":"x"}"#), "remote:7");
        assert_eq!(key(r#"{"name":"x"}"#), "name:x");
        assert!(key(r#"{"colour":"x"}"#).starts_with("content:"));
    }

    #[test]
    fn nested_keys_hold_their_parent_and_no_key_is_too_long() {
        let nested = read(r#"{"id":"b"}"#, endpoint("ticketing.projects.users"), Some("a")).unwrap();
        assert_eq!(nested.key, "a/b");
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(2_000));
        assert!(read(&long, endpoint("hris.employees"), None).unwrap().key.len() <= LONGEST_KEY);
    }
}
