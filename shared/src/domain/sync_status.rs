//! Sync status: what Merge says about its own syncs of one model, and whether that makes the model readable.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    category::Category,
    endpoint::{Endpoint, ModelFilter},
};

/// State of a model's sync at Merge, also the result of its last finished one. Values Merge adds later are `Other`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SyncState {
    /// Running or queued.
    Syncing,
    Done,
    Failed,
    /// Switched off by scopes.
    Disabled,
    /// No traffic for two weeks.
    Paused,
    /// Finished; some fields could not be read.
    PartiallySynced,
    #[serde(other)]
    Other,
}

/// One row of Merge's `GET sync-status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncStatus {
    pub model_id: String,
    #[serde(default)]
    pub model_name: String,
    pub status: SyncState,
    #[serde(default)]
    pub last_sync_result: Option<SyncState>,
    #[serde(default)]
    pub last_sync_start: Option<Timestamp>,
    #[serde(default)]
    pub last_sync_finished: Option<Timestamp>,
    #[serde(default)]
    pub next_sync_start: Option<Timestamp>,
    #[serde(default)]
    pub is_initial_sync: bool,
}

impl SyncStatus {
    /// Which endpoint this row is about; `None` for models unknown to us.
    pub fn endpoint(&self, category: Category) -> Option<&'static Endpoint> {
        Endpoint::of_model(category, &self.model_id)
    }

    /// The result of the last finished sync. Merge's answers may lack it while `status` says the same.
    fn result(&self) -> SyncState {
        self.last_sync_result.unwrap_or(self.status)
    }

    /// The time up to which Merge's data may be read now, `None` when there is nothing new to read. `read_up_to`:
    /// the time up to which we hold it, `None` when the model was never read.
    pub fn readable(&self, read_up_to: Option<Timestamp>) -> Option<Timestamp> {
        let finished = self.last_sync_finished?;
        if self.status == SyncState::Disabled {
            return None;
        }
        let ready = match read_up_to {
            // What a finished sync left stays readable, whatever the next one is doing.
            Some(upper) => finished > upper,
            None => !self.is_initial_sync || matches!(self.result(), SyncState::Done | SyncState::PartiallySynced),
        };
        ready.then_some(finished)
    }

    /// Reading up to `last_sync_finished` gives the complete history.
    pub fn complete(&self) -> bool {
        !self.is_initial_sync || self.result() == SyncState::Done
    }

    pub fn partial(&self) -> bool {
        self.result() == SyncState::PartiallySynced
    }

    /// The first sync ended without data, and will not go on by itself.
    pub fn first_sync_failed(&self) -> bool {
        self.is_initial_sync && matches!(self.status, SyncState::Failed | SyncState::Paused)
    }
}

/// Syncs of Merge's that failed in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    pub count: u32,
    /// When the first of them ended.
    pub since: Timestamp,
    /// When the last of them ended.
    pub last: Timestamp,
}

/// Counts on from `before`. First syncs are not counted: they have a meaning of their own. `None` when every model's
/// last sync brought something.
pub fn failing(rows: &[SyncStatus], before: Option<&Failing>) -> Option<Failing> {
    let failed = rows.iter().filter(|row| {
        row.status != SyncState::Disabled && !row.is_initial_sync && row.last_sync_result == Some(SyncState::Failed)
    });
    let (ended, began) = failed.filter_map(|row| Some((row.last_sync_finished?, row.last_sync_start))).max()?;
    Some(match before {
        // Models of one round end one after the other: the next failure is of a sync that began after the last one.
        Some(before) if began.is_none_or(|began| began > before.last) && ended > before.last => {
            Failing { count: before.count + 1, since: before.since, last: ended }
        }
        Some(before) => before.clone(),
        None => Failing { count: 1, since: ended, last: ended },
    })
}

/// A model's sync began before `limit` and has not ended.
pub fn overlong(rows: &[SyncStatus], limit: Timestamp) -> bool {
    rows.iter().any(|row| {
        let running = row.last_sync_start.filter(|start| row.last_sync_finished.is_none_or(|end| end < *start));
        row.status == SyncState::Syncing && running.is_some_and(|start| start < limit)
    })
}

/// Merge has finished a sync that began after `at`.
pub fn synced_since(rows: &[SyncStatus], at: Timestamp) -> bool {
    rows.iter().any(|row| match (row.last_sync_start, row.last_sync_finished) {
        (Some(start), Some(end)) => start >= at && end >= start,
        _ => false,
    })
}

/// The shortest `next_sync_start - last_sync_start` of the models, in seconds.
pub fn interval_seconds(rows: &[SyncStatus]) -> Option<i64> {
    rows.iter()
        .filter(|row| row.status != SyncState::Disabled)
        .filter_map(|row| Some(row.next_sync_start?.as_second() - row.last_sync_start?.as_second()))
        .filter(|seconds| *seconds > 0)
        .min()
}

/// Rows of the answer that name models we do not know: counted as contract drift.
pub fn unknown_models(rows: &[SyncStatus], category: Category) -> Vec<&str> {
    rows.iter().filter(|row| row.endpoint(category).is_none()).map(|row| row.model_id.as_str()).collect()
}

/// What Merge says about the model of a nested list.
pub fn own_status<'a>(rows: &'a [SyncStatus], endpoint: &Endpoint) -> Option<&'a SyncStatus> {
    rows.iter().find(|row| row.model_id.eq_ignore_ascii_case(endpoint.model_id))
}

/// Pairs the endpoints to sync with Merge's rows. An endpoint Merge says nothing about is not synced: it has no
/// `last_sync_finished` to read up to.
pub fn pair<'a>(
    rows: &'a [SyncStatus],
    category: Category,
    filter: &ModelFilter,
) -> Vec<(&'static Endpoint, &'a SyncStatus)> {
    let wanted = filter.endpoints(category);
    rows.iter()
        .filter_map(|row| Some((row.endpoint(category)?, row)))
        .filter(|(endpoint, _)| wanted.contains(endpoint))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: SyncState, result: Option<SyncState>, finished: Option<i64>, initial: bool) -> SyncStatus {
        SyncStatus {
            model_id: "hris.Employee".to_owned(),
            model_name: String::new(),
            status,
            last_sync_result: result,
            last_sync_start: None,
            last_sync_finished: finished.map(|s| Timestamp::from_second(s).unwrap()),
            next_sync_start: None,
            is_initial_sync: initial,
        }
    }

    #[test]
    fn readiness_follows_the_last_finished_sync() {
        use SyncState::*;
        let at = |s| Timestamp::from_second(s).unwrap();
        for (what, row, have, expected) in [
            ("first sync running", row(Syncing, None, None, true), None, None),
            ("first sync done", row(Done, Some(Done), Some(10), true), None, Some(at(10))),
            (
                "first sync partial is terminal",
                row(PartiallySynced, Some(PartiallySynced), Some(10), true),
                None,
                Some(at(10)),
            ),
            ("first sync failed", row(Failed, Some(Failed), Some(10), true), None, None),
            ("enabled later, history exists", row(Syncing, Some(Done), Some(10), false), None, Some(at(10))),
            (
                "running again, the last one is readable",
                row(Syncing, Some(Done), Some(10), false),
                Some(at(9)),
                Some(at(10)),
            ),
            (
                "failed since, the last one is readable",
                row(Failed, Some(Failed), Some(10), false),
                Some(at(9)),
                Some(at(10)),
            ),
            ("nothing new", row(Done, Some(Done), Some(10), false), Some(at(10)), None),
            ("switched off", row(Disabled, Some(Done), Some(10), false), None, None),
        ] {
            assert_eq!(row.readable(have), expected, "{what}");
        }
    }

    #[test]
    fn only_done_or_a_later_sync_completes_the_history() {
        use SyncState::*;
        assert!(row(Done, Some(Done), Some(1), true).complete());
        assert!(row(Syncing, Some(Failed), Some(1), false).complete());
        assert!(!row(PartiallySynced, Some(PartiallySynced), Some(1), true).complete());
    }

    #[test]
    fn failures_are_counted_by_round() {
        use SyncState::*;
        let at = |s| Timestamp::from_second(s).unwrap();
        let failed =
            |start, end| SyncStatus { last_sync_start: Some(at(start)), ..row(Failed, Some(Failed), Some(end), false) };
        let first = failing(&[failed(10, 20), row(Done, Some(Done), Some(25), false)], None).unwrap();
        assert_eq!((first.count, first.since, first.last), (1, at(20), at(20)));
        let same_round = failing(&[failed(10, 20), failed(12, 24)], Some(&first)).unwrap();
        assert_eq!(same_round.count, 1);
        let second = failing(&[failed(100, 120)], Some(&first)).unwrap();
        assert_eq!((second.count, second.since, second.last), (2, at(20), at(120)));
        assert_eq!(failing(&[row(Done, Some(Done), Some(200), false)], Some(&second)), None);
        assert_eq!(failing(&[row(Failed, Some(Failed), Some(9), true)], None), None, "a first sync");
    }

    #[test]
    fn a_sync_that_runs_too_long_is_told_from_one_that_ended() {
        use SyncState::*;
        let at = |s| Timestamp::from_second(s).unwrap();
        let began =
            |start, status, end| SyncStatus { last_sync_start: Some(at(start)), ..row(status, None, end, false) };
        assert!(overlong(&[began(10, Syncing, None)], at(11)));
        assert!(overlong(&[began(10, Syncing, Some(5))], at(11)), "the end is an earlier one's");
        assert!(!overlong(&[began(10, Syncing, None)], at(10)));
        assert!(!overlong(&[began(10, Done, Some(12)), row(Syncing, None, None, true)], at(20)));
        assert!(synced_since(&[began(10, Done, Some(12))], at(10)));
        assert!(!synced_since(&[began(10, Syncing, Some(5))], at(10)));
    }

    #[test]
    fn an_unknown_state_is_no_error() {
        let text = r#"{"model_id":"hris.Employee","status":"DANCING","is_initial_sync":false}"#;
        assert_eq!(serde_json::from_str::<SyncStatus>(text).map(|s| s.status).ok(), Some(SyncState::Other));
    }
}
