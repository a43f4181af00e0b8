//! Progress: how far the poller has come with the minutes of the schedule. The present minute is polled first; minutes
//! that no run polled to its end are a gap, which later runs close from its oldest minute on, a bounded piece at a
//! time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Every minute up to this one was polled to its end.
    pub done: i64,
    /// Minutes beyond a gap that were polled to their end: the first and the last.
    #[serde(default)]
    pub ahead: Option<(i64, i64)>,
    /// How far the first minute of the gap was polled.
    #[serde(default)]
    pub place: Option<Place>,
}

/// A place within the keys of one minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The index key that was being read.
    pub key: String,
    /// The item after which its next page begins; `None` for the first.
    #[serde(default)]
    pub after: Option<BTreeMap<String, String>>,
}

impl Progress {
    /// Of a poller that has never run: nothing before `now` was due.
    pub fn starting(now: i64) -> Self {
        Self { done: now - 1, ahead: None, place: None }
    }

    /// The latest minute that is known, when a run is for minute `now`. Ticks may come late, and twice.
    pub fn latest(&self, now: i64) -> i64 {
        now.max(self.ahead.map_or(self.done, |(_, last)| last))
    }

    /// The run's own minute has not been polled, and no later one has.
    pub fn is_new(&self, now: i64) -> bool {
        now > self.done && self.ahead.is_none_or(|(_, last)| now > last)
    }

    /// Minute `now`, which is new, was polled to its end.
    pub fn polled(&mut self, now: i64) {
        match self.ahead {
            None if self.done + 1 == now => self.done = now,
            Some((first, last)) if last + 1 == now => self.ahead = Some((first, now)),
            // A second gap is closed with the first; what lies between is polled again, which does no harm.
            _ => self.ahead = Some((now, now)),
        }
    }

    /// Minute `now`, which is new, was polled as far as `place`.
    pub fn stopped(&mut self, now: i64, place: Place) {
        // Only the gap's first minute has a place; of any other the next run begins anew.
        if self.ahead.is_none() && self.done + 1 == now {
            self.place = Some(place);
        }
    }

    /// The oldest minute that no run polled to its end, at minute `now`.
    pub fn missed(&self, now: i64) -> Option<i64> {
        let end = self.ahead.map_or(now, |(first, _)| first);
        (self.done + 1 < end).then_some(self.done + 1)
    }

    /// The oldest missed minute was polled to its end.
    pub fn caught_up(&mut self) {
        self.done += 1;
        self.place = None;
        if let Some((_, last)) = self.ahead.filter(|(first, _)| self.done + 1 >= *first) {
            self.done = last;
            self.ahead = None;
        }
    }

    /// Minutes that are behind, at minute `now`.
    pub fn behind(&self, now: i64) -> i64 {
        let end = self.ahead.map_or(now + 1, |(first, _)| first);
        (end - self.done - 1).max(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn place() -> Place {
        Place { key: "5m#1".to_owned(), after: None }
    }

    #[test]
    fn without_gaps_every_minute_is_done() {
        let mut progress = Progress::starting(10);
        for now in 10..15 {
            assert!(progress.is_new(now));
            progress.polled(now);
            assert_eq!((progress.missed(now), progress.behind(now)), (None, 0));
        }
        assert!(!progress.is_new(12), "a late tick finds its minute polled");
        assert_eq!(progress.done, 14);
    }

    #[test]
    fn a_gap_is_closed_from_its_oldest_minute_on() {
        let mut progress = Progress::starting(10);
        progress.polled(10);
        progress.polled(14);
        assert_eq!((progress.missed(14), progress.behind(14)), (Some(11), 3));
        progress.caught_up();
        progress.polled(15);
        assert_eq!(progress.missed(15), Some(12));
        progress.caught_up();
        progress.caught_up();
        assert_eq!(progress, Progress { done: 15, ahead: None, place: None });
    }

    #[test]
    fn a_minute_that_was_not_finished_goes_on_where_it_stopped() {
        let mut progress = Progress::starting(10);
        progress.stopped(10, place());
        progress.polled(11);
        assert_eq!((progress.missed(11), progress.place.clone()), (Some(10), Some(place())));
        progress.stopped(12, place());
        assert_eq!(progress.missed(12), Some(10), "the older place is kept");
        progress.caught_up();
        assert_eq!((progress.done, progress.place.clone()), (11, None));
        assert_eq!(progress.missed(13), Some(12));
    }

    proptest! {
        #[test]
        fn no_minute_is_forgotten(ticks in proptest::collection::vec((1i64..6, any::<bool>(), 0usize..4), 1..40)) {
            let mut progress = Progress::starting(100);
            let mut polled = BTreeSet::new();
            let mut now = 99;
            for (step, finishes, catches_up) in ticks {
                now += step;
                if progress.is_new(now) && finishes {
                    polled.insert(now);
                    progress.polled(now);
                } else if progress.is_new(now) {
                    progress.stopped(now, place());
                }
                for _ in 0..catches_up {
                    let Some(missed) = progress.missed(now) else { break };
                    polled.insert(missed);
                    progress.caught_up();
                }
            }
            // An unfinished present minute is caught up by the next.
            while let Some(missed) = progress.missed(now + 1) {
                polled.insert(missed);
                progress.caught_up();
            }
            for minute in 100..=now {
                prop_assert!(polled.contains(&minute), "minute {} of {}", minute, now);
            }
            prop_assert_eq!(progress.behind(now), 0);
        }
    }
}
