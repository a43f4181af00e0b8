//! Dataset: the records of one model in one account, without the records.
//!
//! A record is a number. Its `created_at` follows from the batch it came with, its bytes from `generate`; held in
//! memory are only the batches, and the records that were changed or deleted since. So a million records cost nothing.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::clock::Time;

/// Records that one sync run brought: numbers `first..first + count`, created `step` microseconds apart.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Batch {
    first: u64,
    count: u64,
    start: Time,
    step: i64,
}

impl Batch {
    fn created_at(&self, index: u64) -> Time {
        Time(self.start.0 + (index - self.first) as i64 * self.step)
    }

    /// How many of its records have `created_at < time`.
    fn before(&self, time: Time) -> u64 {
        if time <= self.start {
            return 0;
        }
        (((time.0 - self.start.0 - 1) / self.step) as u64 + 1).min(self.count)
    }
}

/// What became of a record after it was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// 0 when the record was created; each applied change adds one.
    pub version: u32,
    pub modified_at: Time,
    pub deleted: bool,
}

/// A change at the provider that the next finished sync will bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pending {
    Change,
    Delete,
}

/// See the module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Dataset {
    /// How many records the provider holds.
    pub size: u64,
    /// The size when the account was linked: relations point below it, so that bytes do not depend on growth.
    pub base: u64,
    batches: Vec<Batch>,
    changes: BTreeMap<u64, Change>,
    pending: BTreeMap<u64, Pending>,
    picked: u64,
    deleted: u64,
}

impl Dataset {
    pub fn new(size: u64) -> Dataset {
        Dataset { size, base: size, ..Dataset::default() }
    }

    fn known(&self) -> u64 {
        self.batches.last().map_or(0, |batch| batch.first + batch.count)
    }

    /// Records that Merge shows at `now`, tombstones included.
    pub fn visible(&self, now: Time) -> u64 {
        self.created_before(Time(now.0 + 1))
    }

    /// How many records were created before `time`: they are numbered from 0.
    pub fn created_before(&self, time: Time) -> u64 {
        let batch = self.batches.iter().rev().find(|batch| batch.start < time);
        batch.map_or(0, |batch| batch.first + batch.before(time))
    }

    /// Records that the next run brings.
    pub fn arriving(&self) -> u64 {
        self.size.saturating_sub(self.known())
    }

    pub fn deleted(&self) -> u64 {
        self.deleted
    }

    pub fn created_at(&self, index: u64) -> Time {
        let position = self.batches.partition_point(|batch| batch.first <= index);
        self.batches[..position].last().map_or(Time(0), |batch| batch.created_at(index))
    }

    /// The record's present state, were it changed or not.
    pub fn state(&self, index: u64) -> Change {
        let unchanged = || Change { version: 0, modified_at: self.created_at(index), deleted: false };
        self.changes.get(&index).copied().unwrap_or_else(unchanged)
    }

    /// A run begins: what the provider has and Merge does not is created between `start` and `finish`.
    pub fn grow(&mut self, start: Time, finish: Time) {
        let first = self.known();
        let count = self.size.saturating_sub(first);
        if count == 0 {
            return;
        }
        let step = ((finish.0 - start.0) / count as i64).max(1);
        let last_end = self.batches.last().map_or(i64::MIN, |batch| batch.created_at(first - 1).0 + 1);
        // Dense runs begin a little before the run itself, so that the last record is still within it.
        let start = Time((finish.0 - step * count as i64).max(last_end));
        self.batches.push(Batch { first, count, start, step });
    }

    /// A run is cut off at `now`: what it has not yet brought is left to the next one.
    pub fn cut(&mut self, now: Time) {
        let visible = self.visible(now);
        if let Some(batch) = self.batches.last_mut() {
            batch.count = visible.saturating_sub(batch.first).min(batch.count);
            if batch.count == 0 {
                self.batches.pop();
            }
        }
    }

    /// Marks `count` records as changed or deleted at the provider; O(count). Fewer when there are no more.
    pub fn mark(&mut self, count: u64, pending: Pending, now: Time) -> Vec<u64> {
        let total = self.visible(now);
        let mut marked = Vec::new();
        if total == 0 {
            return marked;
        }
        let stride = stride(total);
        for _ in 0..total {
            if marked.len() as u64 == count {
                break;
            }
            let index = (self.picked as u128 * u128::from(stride) % u128::from(total)) as u64;
            self.picked += 1;
            let gone = self.changes.get(&index).is_some_and(|change| change.deleted);
            if gone || self.pending.contains_key(&index) {
                continue;
            }
            self.pending.insert(index, pending);
            marked.push(index);
        }
        marked
    }

    /// A run finished well: pending changes become visible, modified within `(start, finish)`. The records it touched.
    pub fn apply(&mut self, start: Time, finish: Time) -> Vec<u64> {
        let mut touched = Vec::with_capacity(self.pending.len());
        let pending = std::mem::take(&mut self.pending);
        let slots = pending.len() as i64 + 1;
        for (position, (index, kind)) in pending.into_iter().enumerate() {
            let offset = (finish.0 - start.0) * (position as i64 + 1) / slots;
            let before = self.state(index);
            let deleted = kind == Pending::Delete;
            // What was brought and changed during one run is not older for the change.
            let modified_at = Time(start.0 + offset).max(Time(before.modified_at.0 + 1));
            self.changes.insert(index, Change { version: before.version + 1, modified_at, deleted });
            self.deleted += u64::from(deleted);
            touched.push(index);
        }
        touched
    }

    /// Changed records within `range`, in order.
    pub fn changes(&self, range: Range<u64>) -> impl DoubleEndedIterator<Item = (u64, Change)> + '_ {
        let range = if range.start <= range.end { range } else { range.end..range.end };
        self.changes.range(range).map(|(index, change)| (*index, *change))
    }

    pub fn is_changed(&self, index: u64) -> bool {
        self.changes.contains_key(&index)
    }
}

/// A step through `0..total` that meets every number once: near the golden ratio, coprime with `total`.
fn stride(total: u64) -> u64 {
    let mut stride = ((total as f64 * 0.618_033_988_749) as u64).max(1);
    while gcd(stride, total) != 1 {
        stride += 1;
    }
    stride
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// How many children a parent has: a repeating pattern, so that sums need no counting.
pub mod children {
    const PATTERN: [u64; 4] = [2, 0, 3, 1];
    const PER_ROUND: u64 = 6;

    /// Children of the parents `0..parent`.
    pub fn before(parent: u64) -> u64 {
        let rest = (parent % 4) as usize;
        parent / 4 * PER_ROUND + PATTERN[..rest].iter().sum::<u64>()
    }

    /// The parent of a child.
    pub fn parent_of(child: u64) -> u64 {
        let round = child / PER_ROUND * 4;
        (round..round + 4).find(|parent| child < before(parent + 1)).unwrap_or(round + 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn synced(size: u64) -> Dataset {
        let mut dataset = Dataset::new(size);
        dataset.grow(Time(1_000_000), Time(2_000_000));
        dataset
    }

    #[test]
    fn records_appear_in_order_during_the_run_and_all_before_its_end() {
        let dataset = synced(10);
        assert_eq!(dataset.visible(Time(999_999)), 0);
        assert_eq!(dataset.visible(Time(1_000_000)), 1);
        assert_eq!(dataset.visible(Time(1_450_000)), 5);
        assert_eq!(dataset.visible(Time(1_999_999)), 10);
        assert!((1..10).all(|i| dataset.created_at(i) > dataset.created_at(i - 1)));
    }

    #[test]
    fn a_million_records_in_a_second_still_have_their_own_microsecond() {
        let dataset = synced(3_000_000);
        assert_eq!(dataset.created_at(2_999_999), Time(1_999_999));
        assert_eq!(dataset.created_before(Time(1_999_999)), 2_999_999);
    }

    #[test]
    fn changes_are_invisible_until_a_run_finishes_and_lie_within_it() {
        let mut dataset = synced(1_000);
        let changed = dataset.mark(250, Pending::Change, Time(2_000_000));
        let deleted = dataset.mark(40, Pending::Delete, Time(2_000_000));
        assert_eq!((changed.len(), deleted.len()), (250, 40));
        assert!(deleted.iter().all(|index| !changed.contains(index)));
        assert_eq!(dataset.changes(0..1_000).count(), 0);
        dataset.apply(Time(3_000_000), Time(4_000_000));
        assert_eq!(dataset.changes(0..1_000).count(), 290);
        assert_eq!(dataset.deleted(), 40);
        assert!(
            dataset.changes(0..1_000).all(|(_, c)| c.modified_at > Time(3_000_000) && c.modified_at < Time(4_000_000))
        );
        assert_eq!(dataset.mark(2_000, Pending::Change, Time(5_000_000)).len(), 960, "the deleted are left alone");
    }

    #[test]
    fn a_record_that_a_run_brought_and_that_is_deleted_before_its_end_is_not_older_then() {
        let mut dataset = synced(4);
        let deleted = dataset.mark(2, Pending::Delete, Time(1_900_000));
        assert!(deleted.contains(&3), "one that came late in the run");
        dataset.apply(Time(1_000_000), Time(2_000_000));
        for index in deleted {
            let modified_at = dataset.state(index).modified_at;
            assert!(modified_at > dataset.created_at(index) && modified_at < Time(2_000_000));
        }
    }

    #[test]
    fn a_cut_run_leaves_the_rest_to_the_next() {
        let mut dataset = synced(10);
        dataset.cut(Time(1_450_000));
        assert_eq!(dataset.visible(Time(9_000_000)), 5);
        dataset.grow(Time(5_000_000), Time(6_000_000));
        assert_eq!(dataset.visible(Time(6_000_000)), 10);
        assert_eq!(dataset.created_at(5), Time(5_000_000));
    }

    #[test]
    fn children_are_counted_without_counting() {
        let mut total = 0;
        for parent in 0..20 {
            assert_eq!(children::before(parent), total);
            for child in total..children::before(parent + 1) {
                assert_eq!(children::parent_of(child), parent);
            }
            total = children::before(parent + 1);
        }
    }
}
