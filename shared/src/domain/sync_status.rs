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
    fn an_unknown_state_is_no_error() {
        let text = r#"{"model_id":"hris.Employee","status":"DANCING","is_initial_sync":false}"#;
        assert_eq!(serde_json::from_str::<SyncStatus>(text).map(|s| s.status).ok(), Some(SyncState::Other));
    }
}
