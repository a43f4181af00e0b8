//! A change: what one committed page did to one record. A record names the change block that announced it by its
//! tag; a tag whose block was never committed (a crash came first) is recognised, and the change announced again.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::record::Incoming;

/// Names a change block: the epoch of the worker that wrote it and the block's number in that epoch, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tag {
    pub epoch: u64,
    pub n: u64,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}{:010}", self.epoch, self.n)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("not a change tag")]
pub struct NotATag;

impl FromStr for Tag {
    type Err = NotATag;

    fn from_str(text: &str) -> Result<Self, NotATag> {
        if text.len() != 20 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NotATag);
        }
        let half = |range: std::ops::Range<usize>| text[range].parse().map_err(|_| NotATag);
        Ok(Self { epoch: half(0..10)?, n: half(10..20)? })
    }
}

/// The last committed block of each epoch that did not end on a commit. An epoch without an entry left nothing
/// behind: all its tags are committed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub struct Ends(pub BTreeMap<u64, u64>);

// As a list of pairs: DynamoDB's maps have text for keys.
impl From<Vec<(u64, u64)>> for Ends {
    fn from(pairs: Vec<(u64, u64)>) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl From<Ends> for Vec<(u64, u64)> {
    fn from(ends: Ends) -> Self {
        ends.0.into_iter().collect()
    }
}

impl Ends {
    /// `running`: the epoch at work and its last committed block.
    pub fn committed(&self, tag: Tag, running: Tag) -> bool {
        if tag.epoch == running.epoch {
            return tag.n <= running.n;
        }
        self.0.get(&tag.epoch).is_none_or(|last| tag.n <= *last)
    }
}

/// What there was of a record before a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Absent,
    Live,
    Deleted,
}

impl Presence {
    pub fn letter(self) -> &'static str {
        match self {
            Self::Absent => "a",
            Self::Live => "l",
            Self::Deleted => "d",
        }
    }

    pub fn of_letter(text: &str) -> Option<Self> {
        [Self::Absent, Self::Live, Self::Deleted].into_iter().find(|p| p.letter() == text)
    }
}

/// What the change feed says of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Added,
    Updated,
    Deleted,
}

/// A stored record, as far as deciding about its next version needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub hash: [u8; 16],
    pub modified_at: String,
    pub deleted: bool,
    pub tag: Tag,
    pub was: Presence,
}

/// What a page does to one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Stored as it is, and announced.
    Unchanged,
    /// Something newer is stored.
    Older,
    Put {
        was: Presence,
        action: Action,
    },
}

/// Compares a record of the page with the stored one.
pub fn decide(stored: Option<&Stored>, incoming: &Incoming<'_>, ends: &Ends, running: Tag) -> Decision {
    let was = match stored {
        None => Presence::Absent,
        Some(stored) => {
            let committed = ends.committed(stored.tag, running);
            if stored.modified_at > incoming.modified_at {
                return Decision::Older;
            }
            if committed && stored.hash == incoming.hash.0 && stored.deleted == incoming.deleted {
                return Decision::Unchanged;
            }
            match (committed, stored.deleted) {
                // Its last change was never announced: this one stands for both.
                (false, _) => stored.was,
                (true, true) => Presence::Deleted,
                (true, false) => Presence::Live,
            }
        }
    };
    Decision::Put { was, action: action(was, incoming.deleted) }
}

/// The action that takes a record from `was` to live or deleted.
pub fn action(was: Presence, deleted: bool) -> Action {
    match (deleted, was) {
        (true, _) => Action::Deleted,
        (false, Presence::Live) => Action::Updated,
        (false, Presence::Absent | Presence::Deleted) => Action::Added,
    }
}

/// What a page or window did, in records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub added: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub deleted: u64,
    /// Change of the number of live records.
    #[serde(default)]
    pub live: i64,
}

impl Counts {
    pub fn changed(&mut self, was: Presence, action: Action) {
        match action {
            Action::Added => (self.added, self.live) = (self.added + 1, self.live + 1),
            Action::Updated => self.updated += 1,
            Action::Deleted => {
                self.deleted += 1;
                self.live -= i64::from(was == Presence::Live);
            }
        }
    }

    pub fn plus(self, other: Self) -> Self {
        Self {
            added: self.added + other.added,
            updated: self.updated + other.updated,
            unchanged: self.unchanged + other.unchanged,
            deleted: self.deleted + other.deleted,
            live: self.live + other.live,
        }
    }
}

/// One line of a change block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Record key.
    pub k: String,
    pub a: Action,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{endpoint::Endpoint, record};

    fn incoming(bytes: &str) -> Incoming<'_> {
        record::read(bytes, Endpoint::by_slug("hris.employees").unwrap(), None).unwrap()
    }

    fn stored(of: &Incoming<'_>, tag: Tag, was: Presence) -> Stored {
        Stored { hash: of.hash.0, modified_at: of.modified_at.clone(), deleted: of.deleted, tag, was }
    }

    #[test]
    fn tags_are_text_of_twenty_digits() {
        let tag = Tag { epoch: 3, n: 12 };
        assert_eq!(tag.to_string(), "00000000030000000012");
        assert_eq!(tag.to_string().parse::<Tag>().ok(), Some(tag));
        for bad in ["", "3", "0000000003000000001x", "000000000300000000123"] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_change_whose_block_was_lost_is_announced_again() {
        let page = incoming(r#"{"id":"a","modified_at":"2026-01-01T00:00:00Z"}"#);
        // Epoch 1 committed two blocks, wrote a record for the third and died; epoch 2 is running.
        let ends = Ends(BTreeMap::from([(1, 2)]));
        let running = Tag { epoch: 2, n: 0 };
        let lost = stored(&page, Tag { epoch: 1, n: 3 }, Presence::Absent);
        let put = Decision::Put { was: Presence::Absent, action: Action::Added };
        assert_eq!(decide(Some(&lost), &page, &ends, running), put);
        let kept = stored(&page, Tag { epoch: 1, n: 2 }, Presence::Absent);
        assert_eq!(decide(Some(&kept), &page, &ends, running), Decision::Unchanged);
        assert_eq!(decide(None, &page, &ends, running), put);
    }

    #[test]
    fn newer_content_stays() {
        let old = incoming(r#"{"id":"a","modified_at":"2026-01-01T00:00:00Z"}"#);
        let new = incoming(r#"{"id":"a","modified_at":"2026-01-02T00:00:00Z"}"#);
        let running = Tag { epoch: 1, n: 5 };
        let have = stored(&new, Tag { epoch: 1, n: 1 }, Presence::Absent);
        assert_eq!(decide(Some(&have), &old, &Ends::default(), running), Decision::Older);
    }

    #[test]
    fn actions_and_counts_follow_from_what_was() {
        let mut counts = Counts::default();
        for (was, deleted) in [
            (Presence::Absent, false),
            (Presence::Live, false),
            (Presence::Live, true),
            (Presence::Deleted, false),
            (Presence::Absent, true),
        ] {
            counts.changed(was, action(was, deleted));
        }
        assert_eq!(counts, Counts { added: 2, updated: 1, unchanged: 0, deleted: 2, live: 1 });
    }
}
