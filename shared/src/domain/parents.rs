//! Parents: the records below which a nested list is read. A window of a nested list walks through them: through all
//! that are stored the first time and in a full read, afterwards through those that their own change feed names. The
//! feed holds what was committed and nothing else, so the walk may stop anywhere and misses none.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    change::{Counts, Tag},
    message::SyncMode,
    window::{Cadence, Checkpoint, OpenWindow, WindowKind},
};

/// Whose lists a window reads, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parents {
    /// The parents before this place are done.
    pub place: Place,
    /// Where the parents' feed ended when the window was opened; the next window follows it from there.
    pub feed_end: Option<Tag>,
    /// The pages of the parent under way begin with this one.
    #[serde(default)]
    pub first_page: u64,
    /// Records that their parents' lists do not hold any more.
    #[serde(default)]
    pub absent: u64,
    /// Those of them that the mass-delete brake has kept.
    #[serde(default)]
    pub held: u64,
    /// Some of those, by key.
    #[serde(default)]
    pub examples: Vec<String>,
}

/// A place in the walk through the parents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Among all stored parents, after the one with this key.
    Stored { shard: u8, after: Option<String> },
    /// In the parents' feed: in the block that follows `after`, before its change number `next`.
    Feed { after: Option<Tag>, next: usize },
}

impl Parents {
    fn at(place: Place, feed_end: Tag) -> Self {
        Self { place, feed_end: Some(feed_end), first_page: 0, absent: 0, held: 0, examples: Vec::new() }
    }
}

/// The window of a nested list to open now, if any. `parents`: the checkpoint of the parents' endpoint.
pub fn next_nested_window(
    checkpoint: Option<&Checkpoint>,
    parents: &Checkpoint,
    mode: SyncMode,
    cadence: &Cadence,
    now: Timestamp,
) -> Option<OpenWindow> {
    // Its parents first; then whatever their windows brought.
    let upper = parents.upper.filter(|_| parents.window.is_none())?;
    let have = checkpoint.filter(|c| c.upper.is_some());
    let read_at = have.and_then(|c| c.last_synced_at);
    let in_full = mode == SyncMode::Full || read_at.is_none_or(|at| now.duration_since(at) >= cadence.feed_kept);
    if !in_full && have.is_some_and(|c| c.upper >= Some(upper)) {
        return None;
    }
    let (kind, place) = match have {
        Some(have) if !in_full => (WindowKind::Changes, Place::Feed { after: have.followed, next: 0 }),
        _ => (WindowKind::Full, Place::Stored { shard: 0, after: None }),
    };
    Some(OpenWindow {
        partial: parents.partial,
        completes: parents.initial_completed,
        parents: Some(Parents::at(place, parents.running())),
        ..OpenWindow::new(kind, upper, checkpoint, now)
    })
}

/// What comes after a page of a nested list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// The same parent's next page.
    Page(String),
    /// The parent is done; the walk goes on from here.
    Parent(Place),
}

impl Checkpoint {
    /// The checkpoint after a page of a nested list.
    pub fn below_advanced(&self, page: Counts, changed: bool, next: After) -> Self {
        let mut after = self.counted(page, changed);
        after.pages += 1;
        let Some(open) = &mut after.window else { return after };
        open.pages += 1;
        match next {
            After::Page(cursor) => open.cursor = Some(cursor),
            After::Parent(place) => {
                open.cursor = None;
                // Each parent's list may be begun again once.
                open.restarts = 0;
                if let Some(parents) = &mut open.parents {
                    parents.place = place;
                    parents.first_page = open.pages;
                }
            }
        }
        after
    }

    /// The checkpoint after deletions that do not wait for their parent's last page.
    pub fn below_deleted(&self, gone: Counts) -> Self {
        let mut after = self.counted(gone, true);
        after.pages += 1;
        after
    }

    /// The checkpoint once no parent is left.
    pub fn below_finished(&self) -> Self {
        let mut after = self.clone();
        after.pages += 1;
        after.finished()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn read_up_to(second: i64, epoch: u64) -> Checkpoint {
        Checkpoint { epoch, upper: Some(at(second)), initial_completed: true, ..Checkpoint::default() }
    }

    fn next(have: Option<&Checkpoint>, parents: &Checkpoint, mode: SyncMode, now: i64) -> Option<OpenWindow> {
        next_nested_window(have, parents, mode, &Cadence::default(), at(now))
    }

    #[test]
    fn all_parents_first_then_those_that_changed() {
        let parents = read_up_to(10, 3);
        assert_eq!(next(None, &Checkpoint::default(), SyncMode::Changes, 20), None, "no parents yet");
        let first = next(None, &parents, SyncMode::Changes, 20).unwrap();
        assert_eq!((first.kind, first.upper, first.completes), (WindowKind::Full, at(10), true));
        let have = Checkpoint::default().claimed(first, at(20)).below_finished();
        assert_eq!((have.upper, have.followed), (Some(at(10)), Some(Tag { epoch: 3, n: 0 })));
        assert_eq!(next(Some(&have), &parents, SyncMode::Changes, 30), None, "nothing new");

        let later = next(Some(&have), &read_up_to(40, 4), SyncMode::Changes, 50).unwrap();
        assert_eq!(later.kind, WindowKind::Changes);
        let walk = later.parents.unwrap();
        assert_eq!(walk.place, Place::Feed { after: Some(Tag { epoch: 3, n: 0 }), next: 0 });
        assert_eq!(walk.feed_end, Some(Tag { epoch: 4, n: 0 }));
    }

    #[test]
    fn all_again_on_request_and_after_a_gap_in_the_feed() {
        let parents = read_up_to(10, 3);
        let first = next(None, &parents, SyncMode::Changes, 20).unwrap();
        let have = Checkpoint::default().claimed(first, at(20)).below_finished();
        assert_eq!(next(Some(&have), &parents, SyncMode::Full, 30).map(|w| w.kind), Some(WindowKind::Full));
        let month = 31 * 86_400;
        let again = next(Some(&have), &read_up_to(month, 4), SyncMode::Changes, month).unwrap();
        assert_eq!(again.kind, WindowKind::Full);
    }

    #[test]
    fn a_parent_is_left_with_its_last_page() {
        let parents = read_up_to(10, 3);
        let open = next(None, &parents, SyncMode::Changes, 20).unwrap();
        let claimed = Checkpoint::default().claimed(open, at(20));
        let more = claimed.below_advanced(Counts::default(), true, After::Page("c".to_owned()));
        let place = Place::Stored { shard: 0, after: Some("p".to_owned()) };
        let done = more.below_advanced(Counts::default(), false, After::Parent(place.clone()));
        let open = done.window.unwrap();
        assert_eq!((open.cursor, open.pages), (None, 2));
        assert_eq!(open.parents.map(|p| (p.place, p.first_page)), Some((place, 2)));
    }
}
