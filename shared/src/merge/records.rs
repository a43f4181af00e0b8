//! A page of records: up to 100 objects of a Common Model, kept as the bytes Merge sent. Nothing is read of a record
//! here; `domain::record` reads its head.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::client::{Call, MergeClient, PAGE, malformed};
use super::error::{ErrorKind, MergeError};
use super::linking::segment;
use super::lists::Endless;
use crate::domain::endpoint::Endpoint;
use crate::domain::secret::AccountToken;

/// Merge's word for where the next page begins. Opaque, and sent to nobody but Merge.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor(String);

/// Something that Merge's contract does not allow as a cursor. It is not repeated: it may hold a host or a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is a URL, empty, overlong, or holds a character that no cursor has")]
pub struct InvalidCursor;

impl Cursor {
    /// The longest cursor that is believed, in bytes.
    const LONGEST: usize = 2048;

    /// Reads a `next`: `None` at the end of a list. A URL is refused, so that nothing can lead us to another host.
    pub fn parse(next: &str) -> Result<Option<Self>, InvalidCursor> {
        if next.is_empty() {
            return Ok(None);
        }
        let clean = next.len() <= Self::LONGEST && next.bytes().all(|byte| byte.is_ascii_graphic());
        // A slash may stand in standard base64, but not first, and never twice in a row.
        let url = next.contains("//") || next.starts_with('/') || next.contains('?') || next.contains(':');
        if clean && !url { Ok(Some(Self(next.to_owned()))) } else { Err(InvalidCursor) }
    }

    /// The cursor as Merge sent it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({} bytes)", self.0.len())
    }
}

impl TryFrom<String> for Cursor {
    type Error = InvalidCursor;
    fn try_from(text: String) -> Result<Self, InvalidCursor> {
        Self::parse(&text)?.ok_or(InvalidCursor)
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.0
    }
}

/// Which page. Everything but the cursor must stay the same from page to page.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// The list.
    pub endpoint: &'static Endpoint,
    /// Ids of the parents, outermost first, for nested lists.
    pub parents: Vec<String>,
    /// Where the page begins; `None` at the start.
    pub cursor: Option<Cursor>,
    /// Lower bound of Merge's `modified_at`; only for endpoints that take it.
    pub modified_after: Option<Timestamp>,
    /// Upper bound of Merge's `modified_at`; only for endpoints that take it.
    pub modified_before: Option<Timestamp>,
}

impl PageRequest {
    /// The first page of a list, without bounds.
    pub fn first(endpoint: &'static Endpoint) -> Self {
        Self { endpoint, parents: Vec::new(), cursor: None, modified_after: None, modified_before: None }
    }
}

/// Records of a page: the most that Merge gives.
const PAGE_SIZE: &str = "100";

/// A page, and where the next begins.
#[derive(Clone)]
pub struct RecordsPage {
    body: String,
    records: Vec<Range<usize>>,
    /// Cursor of the next page; `None` at the end of the list.
    pub next: Option<Cursor>,
}

impl fmt::Debug for RecordsPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordsPage").field("records", &self.records.len()).field("next", &self.next).finish()
    }
}

impl RecordsPage {
    /// A list without records.
    pub fn empty() -> Self {
        Self { body: String::new(), records: Vec::new(), next: None }
    }

    /// Each record's JSON, byte for byte as Merge sent it.
    pub fn records(&self) -> impl ExactSizeIterator<Item = &str> {
        self.records.iter().map(|range| &self.body[range.clone()])
    }

    /// Bytes of the body.
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether the page holds none; a page may be empty and yet have a next.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Reads a body of the list envelope.
    fn parse(body: Bytes) -> Result<Self, MergeError> {
        const NAME: &str = "records";
        #[derive(Deserialize)]
        struct Envelope<'a> {
            #[serde(default)]
            next: Option<String>,
            #[serde(borrow)]
            results: Vec<&'a RawValue>,
        }
        let unreadable = |error| MergeError::new(ErrorKind::Malformed, NAME).because(error);
        let body = String::from_utf8(body.into()).map_err(|error| {
            let text: Box<dyn std::error::Error + Send + Sync> = error.utf8_error().into();
            unreadable(text)
        })?;
        let (records, next) = {
            let envelope: Envelope<'_> = serde_json::from_str(&body).map_err(|error| malformed(NAME, &error))?;
            let start = body.as_ptr().addr();
            let range = |record: &&RawValue| {
                let from = record.get().as_ptr().addr() - start;
                from..from + record.get().len()
            };
            (envelope.results.iter().map(range).collect(), envelope.next)
        };
        let stray = |error: InvalidCursor| MergeError::new(ErrorKind::StrayCursor, NAME).because(error);
        let next = next.as_deref().map(Cursor::parse).transpose().map_err(stray)?.flatten();
        Ok(Self { body, records, next })
    }
}

impl MergeClient {
    /// One page of a list, deleted records included. A page whose `next` is its own cursor is refused; whoever walks
    /// further back keeps the cursors it has seen.
    pub async fn records_page(
        &self,
        account_token: &AccountToken,
        request: &PageRequest,
    ) -> Result<RecordsPage, MergeError> {
        const NAME: &str = "records";
        let path = path(request).ok_or_else(|| MergeError::new(ErrorKind::Rejected, NAME).because(WrongParents))?;
        let mut call = Call::get(NAME, path)
            .account(account_token)
            .limits(PAGE)
            .query("page_size", PAGE_SIZE)
            .query("include_deleted_data", "true");
        if request.endpoint.modified_after {
            if let Some(after) = request.modified_after {
                call = call.query("modified_after", after.to_string());
            }
            if let Some(before) = request.modified_before {
                call = call.query("modified_before", before.to_string());
            }
        }
        if let Some(cursor) = &request.cursor {
            call = call.query("cursor", cursor.as_str());
        }
        let page = RecordsPage::parse(self.send(call).await?)?;
        if page.next.is_some() && page.next == request.cursor {
            return Err(MergeError::new(ErrorKind::Endless, NAME).because(Endless));
        }
        Ok(page)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a nested list needs an id for each of its parents")]
struct WrongParents;

/// The list's path with its parents' ids filled in; `None` if there are too few or too many.
fn path(request: &PageRequest) -> Option<String> {
    let mut parents = request.parents.iter();
    let mut path = String::new();
    for part in request.endpoint.path.split('/') {
        if !path.is_empty() {
            path.push('/');
        }
        if part.starts_with('{') {
            path.push_str(&segment(parents.next().filter(|id| !id.is_empty())?));
        } else {
            path.push_str(part);
        }
    }
    parents.next().is_none().then_some(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn records_keep_their_bytes() {
        let body = "{\"next\": \"cD0y\", \"previous\": null, \"results\": [ {\"a\" : 1.10, \"b\":\"\\u00e9\"} ,\n{\"c\":{\"d\":[]}}], \"new\": 1}";
        let page = RecordsPage::parse(Bytes::from_static(body.as_bytes())).unwrap();
        let records: Vec<_> = page.records().collect();
        assert_eq!(records, ["{\"a\" : 1.10, \"b\":\"\\u00e9\"}", "{\"c\":{\"d\":[]}}"]);
        assert_eq!(page.next.as_ref().map(Cursor::as_str), Some("cD0y"));
    }

    #[test]
    fn a_broken_body_is_malformed_and_not_shown() {
        for body in [
            "",
            "<html>canary</html>",
            "[]",
            r#"{"results":null}"#,
            r#"{"next":null}"#,
            r#"{"results":[{"a":1}"#,
            r#"{"next":7,"results":[]}"#,
            r#"{"next":"canary","results":{}}"#,
        ] {
            let error = RecordsPage::parse(Bytes::from_static(body.as_bytes())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Malformed, "{body}");
            assert!(!crate::telemetry::chain(&error).contains("canary"), "{body}");
        }
        assert!(RecordsPage::parse(Bytes::from_static(b"{\"results\":[\"\xff\"]}")).is_err());
    }

    #[test]
    fn a_url_is_never_a_cursor() {
        for url in [
            "https://api.merge.dev/x",
            "http://evil.example",
            "//evil.example/x",
            "/api/hris",
            "data:x",
            "a?b=c",
            "a b",
            "a\nb",
            "é",
            &"x".repeat(2049),
        ] {
            assert_eq!(Cursor::parse(url), Err(InvalidCursor), "{url}");
        }
        assert_eq!(Cursor::parse(""), Ok(None));
        for cursor in ["cD0yMDI0LTAxLTAx", "cD0yMDI0KzAx/abc==", "r=2024", "a%3A"] {
            assert_eq!(Cursor::parse(cursor).unwrap().unwrap().as_str(), cursor);
        }
    }

    #[test]
    fn nested_lists_name_their_parents_in_order() {
        let endpoint = Endpoint::by_slug("crm.custom-object-classes.custom-objects").unwrap();
        let with = |parents: &[&str]| {
            let parents = parents.iter().map(|parent| (*parent).to_owned()).collect();
            path(&PageRequest { parents, ..PageRequest::first(endpoint) })
        };
        assert_eq!(with(&["a/b"]).as_deref(), Some("crm/v1/custom-object-classes/a%2Fb/custom-objects"));
        assert_eq!(with(&[".."]).as_deref(), Some("crm/v1/custom-object-classes/%2E%2E/custom-objects"));
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[""]), None);
        assert_eq!(with(&["a", "b"]), None);
        let flat = PageRequest::first(Endpoint::by_slug("hris.employees").unwrap());
        assert_eq!(path(&flat).as_deref(), Some("hris/v1/employees"));
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused_without_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(page) = RecordsPage::parse(Bytes::from(body)) {
                prop_assert_eq!(page.records().count(), page.len());
            }
        }

        #[test]
        fn every_value_comes_out_as_it_went_in(values in proptest::collection::vec("[a-z\"\\\\é ]{0,12}", 0..20)) {
            let rows: Vec<String> = values.iter().map(|value| serde_json::json!({ "v": value }).to_string()).collect();
            let body = format!("{{\"results\":[{}],\"next\":null}}", rows.join(" , "));
            let page = RecordsPage::parse(Bytes::from(body)).unwrap();
            prop_assert_eq!(page.records().map(str::to_owned).collect::<Vec<_>>(), rows);
        }
    }
}
