//! Parents: the records below which a nested list is read. A window of a nested list walks through them: through all
//! that are stored the first time and in a full read, afterwards through those that their own change feed names. The
//! feed holds what was committed and nothing else, so the walk may stop anywhere and misses none.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    change::{Counts, Tag},
    message::SyncMode,
    sync_status::SyncStatus,
    window::{Cadence, Checkpoint, OpenWindow, WindowKind},
};

/// Whose lists a window reads, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parents {
    /// The parents before this place are done.
    pub place: Place,
    /// Where the parents' feed ended when the window was opened; the next window follows it from there.
    pub feed_end: Option<Tag>,
    /// From where the feed is followed again once Merge has synced the list's own model: what it brings may come after
    /// what the parents' sync brought.
    #[serde(default)]
    pub again_from: Option<Tag>,
    /// When Merge's last sync of the list's own model had finished.
    #[serde(default)]
    pub own_finished: Option<Timestamp>,
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

/// The window of a nested list to open now, if any. `parents`: the checkpoint of the parents' endpoint. `own`: Merge's
/// word about the list's own model, if it has one.
pub fn next_nested_window(
    checkpoint: Option<&Checkpoint>,
    parents: &Checkpoint,
    own: Option<&SyncStatus>,
    mode: SyncMode,
    cadence: &Cadence,
    now: Timestamp,
) -> Option<OpenWindow> {
    // Its parents first; then whatever their windows brought.
    let upper = parents.upper.filter(|_| parents.window.is_none())?;
    let feed_end = Some(parents.running());
    let own_finished = own.and_then(|own| own.last_sync_finished);
    let have = checkpoint.filter(|c| c.upper.is_some());
    let own_moved = have.is_none_or(|c| own_finished > c.own_finished);
    let (kind, place) = match have {
        None => {
            // What Merge is still reading for the first time is not there yet.
            if own.is_some_and(|own| own.readable(None).is_none()) {
                return None;
            }
            (WindowKind::Full, Place::Stored { shard: 0, after: None })
        }
        Some(have) => {
            let long_ago = |at| now.duration_since(at) >= cadence.feed_kept;
            // From where the feed is followed again is at least as young as the own sync that was known then.
            let own_long_ago = own_moved && have.own_finished.is_none_or(long_ago);
            if mode == SyncMode::Full || have.last_synced_at.is_none_or(long_ago) || own_long_ago {
                (WindowKind::Full, Place::Stored { shard: 0, after: None })
            } else if own_moved || have.followed < feed_end {
                let after = if own_moved { have.again_from } else { have.followed };
                (WindowKind::Changes, Place::Feed { after, next: 0 })
            } else {
                return None;
            }
        }
    };
    Some(OpenWindow {
        partial: parents.partial,
        completes: parents.initial_completed,
        parents: Some(Parents {
            place,
            feed_end,
            again_from: have.filter(|_| !own_moved).map_or(feed_end, |have| have.again_from),
            own_finished,
            first_page: 0,
            absent: 0,
            held: 0,
            examples: Vec::new(),
        }),
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

    /// The checkpoint once no parent is left. `held`: deletions are.
    pub fn below_finished(&self, held: bool) -> Self {
        let mut after = self.clone();
        after.pages += 1;
        // The first read does not look for what it does not see.
        let reread = self.upper.is_some() && self.window.as_ref().is_some_and(|open| open.kind == WindowKind::Full);
        after.all_seen(reread && !held).finished()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{change::Ends, sync_status::SyncState};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn read_up_to(second: i64, epoch: u64) -> Checkpoint {
        Checkpoint { epoch, upper: Some(at(second)), initial_completed: true, ..Checkpoint::default() }
    }

    fn own(finished: Option<i64>) -> SyncStatus {
        let status = if finished.is_some() { SyncState::Done } else { SyncState::Syncing };
        SyncStatus {
            model_id: "ticketing.TicketingViewer".to_owned(),
            model_name: String::new(),
            status,
            last_sync_result: finished.map(|_| SyncState::Done),
            last_sync_start: None,
            last_sync_finished: finished.map(at),
            next_sync_start: None,
            is_initial_sync: true,
        }
    }

    fn next(
        have: Option<&Checkpoint>,
        parents: &Checkpoint,
        own: Option<&SyncStatus>,
        mode: SyncMode,
        now: i64,
    ) -> Option<OpenWindow> {
        next_nested_window(have, parents, own, mode, &Cadence::default(), at(now))
    }

    fn tag(epoch: u64) -> Option<Tag> {
        Some(Tag { epoch, n: 0 })
    }

    fn follows(window: Option<OpenWindow>) -> Option<Tag> {
        match window.unwrap().parents.unwrap().place {
            Place::Feed { after, next: 0 } => after,
            place => panic!("{place:?}"),
        }
    }

    #[test]
    fn all_parents_first_then_those_that_changed() {
        use SyncMode::Changes;
        let parents = read_up_to(10, 3);
        assert_eq!(next(None, &Checkpoint::default(), None, Changes, 20), None, "no parents yet");
        assert_eq!(next(None, &parents, Some(&own(None)), Changes, 20), None, "Merge is still reading");
        let first = next(None, &parents, None, Changes, 20).unwrap();
        assert_eq!((first.kind, first.upper, first.completes), (WindowKind::Full, at(10), true));
        let have = Checkpoint::default().claimed(first, at(20)).below_finished(false);
        assert_eq!((have.upper, have.followed), (Some(at(10)), tag(3)));
        assert_eq!(next(Some(&have), &parents, None, Changes, 30), None, "nothing new");

        let later = next(Some(&have), &read_up_to(40, 4), None, Changes, 50);
        assert_eq!(later.as_ref().map(|w| w.kind), Some(WindowKind::Changes));
        assert_eq!(follows(later), tag(3));
    }

    #[test]
    fn what_the_own_sync_brings_later_is_read_too() {
        use SyncMode::Changes;
        let finish =
            |have: &Checkpoint, window: Option<OpenWindow>| have.claimed(window.unwrap(), at(20)).below_finished(false);
        let done = own(Some(9));
        let have = finish(&Checkpoint::default(), next(None, &read_up_to(10, 3), Some(&done), Changes, 20));
        // Two rounds of the parents, while the list's own sync takes its time.
        let window = next(Some(&have), &read_up_to(40, 4), Some(&done), Changes, 50);
        assert_eq!(follows(window.clone()), tag(3));
        let have = finish(&have, window);
        let window = next(Some(&have), &read_up_to(60, 5), Some(&done), Changes, 70);
        assert_eq!(follows(window.clone()), tag(4));
        let have = finish(&have, window);
        // It ends: both rounds' parents are read again, and only once.
        let done = own(Some(75));
        let window = next(Some(&have), &read_up_to(60, 5), Some(&done), Changes, 80);
        assert_eq!(follows(window.clone()), tag(3));
        let have = finish(&have, window);
        assert_eq!(next(Some(&have), &read_up_to(60, 5), Some(&done), Changes, 90), None);
        assert_eq!(follows(next(Some(&have), &read_up_to(95, 6), Some(&own(Some(96))), Changes, 99)), tag(5));
    }

    #[test]
    fn all_again_on_request_and_after_a_gap_in_the_feed() {
        let parents = read_up_to(10, 3);
        let first = next(None, &parents, None, SyncMode::Changes, 20).unwrap();
        let have = Checkpoint::default().claimed(first, at(20)).below_finished(false);
        let asked = next(Some(&have), &parents, None, SyncMode::Full, 30);
        assert_eq!(asked.map(|w| w.kind), Some(WindowKind::Full));
        let month = 31 * 86_400;
        let again = next(Some(&have), &read_up_to(month, 4), None, SyncMode::Changes, month).unwrap();
        assert_eq!(again.kind, WindowKind::Full);
    }

    #[test]
    fn all_again_after_the_own_sync_stood_still_for_longer_than_the_feed_goes_back() {
        use SyncMode::Changes;
        let day = 86_400;
        let done = own(Some(9));
        let first = next(None, &read_up_to(10, 3), Some(&done), Changes, 20).unwrap();
        let mut have = Checkpoint::default().claimed(first, at(20)).below_finished(false);
        // The parents' syncs go on, day by day.
        for days in 1..=31 {
            let window = next(Some(&have), &read_up_to(days * day, 3 + days as u64), Some(&done), Changes, days * day);
            assert_eq!(window.as_ref().map(|window| window.kind), Some(WindowKind::Changes));
            have = have.claimed(window.unwrap(), at(days * day)).below_finished(false);
        }
        let parents = read_up_to(31 * day, 34);
        let again = next(Some(&have), &parents, Some(&own(Some(31 * day))), Changes, 31 * day + 60);
        assert_eq!(again.map(|window| window.kind), Some(WindowKind::Full));
    }

    #[test]
    fn a_parent_is_left_with_its_last_page() {
        let parents = read_up_to(10, 3);
        let open = next(None, &parents, None, SyncMode::Changes, 20).unwrap();
        let claimed = Checkpoint::default().claimed(open, at(20));
        let more = claimed.below_advanced(Counts::default(), true, After::Page("c".to_owned()));
        let place = Place::Stored { shard: 0, after: Some("p".to_owned()) };
        let done = more.below_advanced(Counts::default(), false, After::Parent(place.clone()));
        let open = done.window.unwrap();
        assert_eq!((open.cursor, open.pages), (None, 2));
        assert_eq!(open.parents.map(|p| (p.place, p.first_page)), Some((place, 2)));
    }

    /// As at the end of a sweep: epochs that ended in a crash are forgotten once nothing of them can be left.
    #[test]
    fn a_full_read_of_nested_lists_that_saw_everything_forgets_who_crashed() {
        let ends = Ends([(1, 4)].into());
        let have = Checkpoint { ends, last_synced_at: Some(at(10)), ..read_up_to(10, 2) };
        let parents = read_up_to(20, 1);
        let ends = |mode, unannounced, held| {
            let open = next(Some(&have), &parents, None, mode, 30).unwrap();
            let claimed = have.claimed(OpenWindow { unannounced, ..open }, at(30));
            claimed.below_finished(held).ends.0.len()
        };
        assert_eq!(ends(SyncMode::Full, false, false), 0);
        assert_eq!(ends(SyncMode::Full, true, false), 1);
        assert_eq!(ends(SyncMode::Full, false, true), 1);
        assert_eq!(ends(SyncMode::Changes, false, false), 1, "which reads only what changed");
    }
}
