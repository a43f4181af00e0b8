//! A cursor: where an incremental export begins, `{block}@{time}`: the last block of the model's change feed that an
//! earlier export holds, and when it was written. Blocks are kept for a while only; a cursor older than that is
//! refused, because what came after it may be gone.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::domain::change::Tag;

use crate::failure::Failure;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor {
    pub tag: Tag,
    at: Timestamp,
}

impl Cursor {
    /// After this block; before every block without one.
    pub fn at(tag: Option<Tag>, at: Timestamp) -> Self {
        Self { tag: tag.unwrap_or(Tag { epoch: 0, n: 0 }), at }
    }

    /// As an earlier export printed it. `kept`: how long blocks are.
    pub fn parse(text: &str, kept: Duration, now: Timestamp) -> Result<Self, Failure> {
        let cursor = Self::try_from(text.to_owned()).map_err(|error| Failure::Usage(error.to_string()))?;
        if now.duration_since(cursor.at) > jiff::SignedDuration::try_from(kept).unwrap_or(jiff::SignedDuration::MAX) {
            return Err(Failure::Usage(format!(
                "changes since {} may be gone: export all records anew, without --since",
                cursor.at
            )));
        }
        Ok(cursor)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no cursor of an export")]
pub struct NotACursor;

impl TryFrom<String> for Cursor {
    type Error = NotACursor;

    fn try_from(text: String) -> Result<Self, NotACursor> {
        let (tag, at) = text.split_once('@').ok_or(NotACursor)?;
        Ok(Self { tag: tag.parse().map_err(|_| NotACursor)?, at: at.parse().map_err(|_| NotACursor)? })
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.to_string()
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.tag, self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_and_expires() {
        let at = Timestamp::from_second(1_000).unwrap();
        let cursor = Cursor::at(Some(Tag { epoch: 3, n: 9 }), at);
        let text = cursor.to_string();
        assert_eq!(text, "00000000030000000009@1970-01-01T00:16:40Z");
        let day = Duration::from_secs(86_400);
        assert_eq!(Cursor::parse(&text, day, at).ok(), Some(cursor));
        let later = Timestamp::from_second(90_000).unwrap();
        assert!(Cursor::parse(&text, day, later).is_err(), "expired");
        for bad in ["", "3@1970-01-01T00:16:40Z", "00000000030000000009", "00000000030000000009@yesterday"] {
            assert!(Cursor::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
