//! Syncs as our API shows and takes them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{
    endpoint::Endpoint,
    message::SyncMode,
    sync_status::{SyncState, SyncStatus},
    window::{Checkpoint, OpenWindow},
};

/// Where each model of an account stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct SyncStatusView {
    pub results: Vec<ModelSync>,
    /// The complete history of every model is stored.
    pub sync_complete: bool,
}

/// Where one model stands: at the provider's side, and here.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelSync {
    #[schema(example = "hris.Employee")]
    pub model_id: String,
    pub model_name: String,
    /// `SYNCING`, `DONE`, `FAILED`, `DISABLED`, `PAUSED`, `PARTIALLY_SYNCED`; null before anything is known.
    #[schema(value_type = Option<String>)]
    pub status: Option<SyncState>,
    #[schema(value_type = Option<String>)]
    pub last_sync_result: Option<SyncState>,
    pub last_sync_start: Option<Timestamp>,
    pub last_sync_finished: Option<Timestamp>,
    pub next_sync_start: Option<Timestamp>,
    pub is_initial_sync: bool,
    /// When our last finished fetch began.
    pub last_synced_at: Option<Timestamp>,
    /// Live records stored.
    pub records: u64,
    /// The fetch that is under way.
    pub window: Option<WindowView>,
}

/// A fetch under way.
#[derive(Debug, Serialize, ToSchema)]
pub struct WindowView {
    /// Changes after this time; null fetches everything.
    pub after: Option<Timestamp>,
    pub before: Timestamp,
    /// Pages stored so far.
    pub pages: u64,
    pub added: u64,
    pub updated: u64,
    pub deleted: u64,
}

impl From<&OpenWindow> for WindowView {
    fn from(window: &OpenWindow) -> Self {
        Self {
            after: window.lower,
            before: window.upper,
            pages: window.pages,
            added: window.counts.added,
            updated: window.counts.updated,
            deleted: window.counts.deleted,
        }
    }
}

impl ModelSync {
    /// One model, from what is known of it.
    pub fn new(endpoint: &Endpoint, status: Option<&SyncStatus>, checkpoint: Option<&Checkpoint>) -> Self {
        Self {
            model_id: endpoint.key(),
            model_name: endpoint.model_name.to_owned(),
            status: status.map(|row| row.status),
            last_sync_result: status.and_then(|row| row.last_sync_result),
            last_sync_start: status.and_then(|row| row.last_sync_start),
            last_sync_finished: status.and_then(|row| row.last_sync_finished),
            next_sync_start: status.and_then(|row| row.next_sync_start),
            is_initial_sync: match status {
                Some(row) => row.is_initial_sync,
                // Merge has no word about a nested list as such: what is stored speaks for it.
                None => checkpoint.is_none_or(|c| !c.initial_completed),
            },
            last_synced_at: checkpoint.and_then(|c| c.last_synced_at),
            records: checkpoint.map_or(0, |c| c.records.max(0).unsigned_abs()),
            window: checkpoint.and_then(|c| c.window.as_ref()).map(WindowView::from),
        }
    }
}

/// Asks for a sync.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestSync {
    /// `changes` (default) fetches what changed, `full` everything again.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "changes")]
    pub mode: Option<SyncMode>,
    /// The models to sync; none means all.
    #[serde(default)]
    pub models: Option<Vec<String>>,
    /// Have the connected system read again first, where the plan allows it.
    #[serde(default)]
    pub ask_provider: bool,
}

/// The sync is queued, or was asked for a moment ago.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SyncRequested {
    #[schema(value_type = String, example = "changes")]
    pub mode: SyncMode,
    /// What became of `ask_provider`; absent if it was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_resync: Option<ProviderResync>,
}

/// Whether the connected system is being read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderResync {
    Requested,
    /// It was asked for a moment ago, and not again.
    Debounced,
    /// Not with this plan, or not now.
    Unavailable,
}
