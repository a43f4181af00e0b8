//! Listing: which records of a dataset one page holds. Order is `created_at`; a page costs what it shows.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::clock::Time;
use crate::dataset::{Change, Dataset};

/// Filters and position of a list call.
#[derive(Clone, Debug, Default)]
pub struct Query {
    pub modified_after: Option<Time>,
    pub modified_before: Option<Time>,
    pub created_after: Option<Time>,
    pub created_before: Option<Time>,
    /// A time that equals a bound lies within it.
    pub inclusive: bool,
    pub include_deleted: bool,
    /// The one record that has this `remote_id`; out of range when there is none.
    pub only: Option<u64>,
    /// Children of one parent.
    pub within: Option<Range<u64>>,
    pub cursor: Option<Cursor>,
    pub limit: usize,
}

/// Where a page begins: after (or, backwards, before) a `created_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor {
    After(Time),
    Before(Time),
}

impl Cursor {
    /// Merge's: base64 of `p=` (forward) or `r=` (reverse) and an escaped time.
    pub fn encode(self) -> String {
        let (direction, time) = match self {
            Cursor::After(time) => ('p', time),
            Cursor::Before(time) => ('r', time),
        };
        STANDARD.encode(format!("{direction}={}", time.to_string().replace(':', "%3A")))
    }

    pub fn decode(text: &str) -> Option<Cursor> {
        let plain = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
        let time = Time::parse(&plain.get(2..)?.replace("%3A", ":"))?;
        match plain.get(..2)? {
            "p=" => Some(Cursor::After(time)),
            "r=" => Some(Cursor::Before(time)),
            _ => None,
        }
    }
}

/// One page: record numbers with their state, and the cursors to both sides.
#[derive(Debug)]
pub struct Page {
    pub records: Vec<(u64, Change)>,
    pub next: Option<Cursor>,
    pub previous: Option<Cursor>,
}

/// The page that `query` asks for, as Merge shows it at `now`. `tombstones`: whether the model keeps deleted rows at
/// all.
pub fn page(dataset: &Dataset, query: &Query, tombstones: bool, now: Time) -> Page {
    let mut whole = 0..dataset.visible(now);
    if let Some(within) = &query.within {
        whole = narrowed(whole, within.start, within.end);
    }
    if let Some(only) = query.only {
        whole = narrowed(whole, only, only.saturating_add(1));
    }
    if let Some(after) = query.created_after {
        whole = narrowed(whole, dataset.created_before(Time(after.0 + 1)), u64::MAX);
    }
    if let Some(before) = query.created_before {
        whole = narrowed(whole, 0, dataset.created_before(before));
    }
    let range = match query.cursor {
        Some(Cursor::After(time)) => narrowed(whole.clone(), dataset.created_before(Time(time.0 + 1)), u64::MAX),
        Some(Cursor::Before(time)) => narrowed(whole.clone(), 0, dataset.created_before(time)),
        None => whole.clone(),
    };
    let backwards = matches!(query.cursor, Some(Cursor::Before(_)));
    let mut records = Vec::with_capacity(query.limit + 1);
    // One more than asked for tells whether there is another page.
    collect(dataset, query, tombstones, range, backwards, &mut records);
    let more = records.len() > query.limit;
    records.truncate(query.limit);
    if backwards {
        records.reverse();
    }
    let first = records.first().map(|(index, _)| dataset.created_at(*index));
    let last = records.last().map(|(index, _)| dataset.created_at(*index));
    let came_from_before = query.cursor.is_some() && first.is_some_and(|t| dataset.created_before(t) > whole.start);
    let (has_next, has_previous) = if backwards { (true, more) } else { (more, came_from_before) };
    Page {
        next: last.filter(|_| has_next).map(Cursor::After),
        previous: first.filter(|_| has_previous).map(Cursor::Before),
        records,
    }
}

fn narrowed(range: Range<u64>, start: u64, end: u64) -> Range<u64> {
    range.start.max(start)..range.end.min(end)
}

/// Walks unchanged and changed records side by side, each from its own side of the filters.
fn collect(
    dataset: &Dataset,
    query: &Query,
    tombstones: bool,
    range: Range<u64>,
    backwards: bool,
    records: &mut Vec<(u64, Change)>,
) {
    let shown = |change: &Change| !change.deleted || (query.include_deleted && tombstones);
    // Both bounds as the first instant within and the first beyond.
    let edge = i64::from(query.inclusive);
    let from = query.modified_after.map(|after| Time(after.0 + 1 - edge));
    let to = query.modified_before.map(|before| Time(before.0 + edge));
    let in_window = |time: Time| from.is_none_or(|from| time >= from) && to.is_none_or(|to| time < to);
    // An unchanged record was modified when it was created, so the window is a range of numbers.
    let lower = from.map_or(0, |from| dataset.created_before(from));
    let upper = to.map_or(u64::MAX, |to| dataset.created_before(to));
    let plain = range.start.max(lower)..range.end.min(upper);
    let plain = plain.filter(|index| !dataset.is_changed(*index)).map(|index| (index, dataset.state(index)));
    let changed = dataset.changes(range).filter(|(_, change)| shown(change) && in_window(change.modified_at));
    if backwards {
        merge(plain.rev(), changed.rev(), |a, b| a > b, query.limit + 1, records);
    } else {
        merge(plain, changed, |a, b| a < b, query.limit + 1, records);
    }
}

fn merge(
    left: impl Iterator<Item = (u64, Change)>,
    right: impl Iterator<Item = (u64, Change)>,
    first: impl Fn(u64, u64) -> bool,
    limit: usize,
    out: &mut Vec<(u64, Change)>,
) {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    while out.len() < limit {
        let take_left = match (left.peek(), right.peek()) {
            (Some(a), Some(b)) => first(a.0, b.0),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => break,
        };
        out.extend(if take_left { left.next() } else { right.next() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Pending;

    const NOW: Time = Time(9_000_000);

    fn dataset() -> Dataset {
        let mut dataset = Dataset::new(100);
        dataset.grow(Time(1_000_000), Time(2_000_000));
        dataset.mark(10, Pending::Change, NOW);
        dataset.mark(5, Pending::Delete, NOW);
        dataset.apply(Time(3_000_000), Time(4_000_000));
        dataset
    }

    fn walk(dataset: &Dataset, mut query: Query) -> Vec<u64> {
        let mut all = Vec::new();
        loop {
            let page = page(dataset, &query, true, NOW);
            all.extend(page.records.iter().map(|(index, _)| *index));
            match page.next {
                Some(next) => query.cursor = Cursor::decode(&next.encode()),
                None => return all,
            }
        }
    }

    #[test]
    fn pages_of_any_size_show_every_living_record_once_and_in_order() {
        let dataset = dataset();
        for limit in [1, 7, 95, 100] {
            let all = walk(&dataset, Query { limit, ..Query::default() });
            assert_eq!(all.len(), 95);
            assert!(all.is_sorted());
        }
        let with_deleted = walk(&dataset, Query { limit: 7, include_deleted: true, ..Query::default() });
        assert_eq!(with_deleted.len(), 100);
    }

    #[test]
    fn windows_that_share_a_bound_cover_everything_but_the_bound() {
        let dataset = dataset();
        let split = Some(Time(2_500_000));
        let early =
            walk(&dataset, Query { modified_before: split, include_deleted: true, limit: 9, ..Query::default() });
        let late = walk(&dataset, Query { modified_after: split, include_deleted: true, limit: 4, ..Query::default() });
        assert_eq!((early.len(), late.len()), (85, 15));
    }

    #[test]
    fn inclusive_windows_that_share_a_bound_both_hold_it() {
        let dataset = dataset();
        let plain = (40..100).find(|index| !dataset.is_changed(*index)).unwrap();
        let at = Some(dataset.created_at(plain));
        let query = |modified_after, modified_before| Query {
            modified_after,
            modified_before,
            inclusive: true,
            include_deleted: true,
            limit: 9,
            ..Query::default()
        };
        let (early, late) = (walk(&dataset, query(None, at)), walk(&dataset, query(at, None)));
        assert_eq!((early.last(), late.contains(&plain)), (Some(&plain), true));
    }

    #[test]
    fn the_way_back_shows_the_same_pages() {
        let dataset = dataset();
        let query = |cursor| Query { limit: 10, cursor, ..Query::default() };
        let first = page(&dataset, &query(None), true, NOW);
        assert_eq!(first.previous, None);
        let second = page(&dataset, &query(first.next), true, NOW);
        let back = page(&dataset, &query(second.previous), true, NOW);
        assert_eq!(back.records, first.records);
        assert_eq!(back.next, first.next);
    }

    #[test]
    fn a_model_without_tombstones_hides_its_deleted_records_from_everyone() {
        let query = Query { limit: 100, include_deleted: true, ..Query::default() };
        assert_eq!(page(&dataset(), &query, false, NOW).records.len(), 95);
    }
}
