//! Events: the timeline of an account, newest first, for the people who look after it. No secret and no record is in
//! it; each names the subject who acted, or `system`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;
use uuid::Uuid;

use super::{
    Item, Store, StoreError,
    item::Reader,
    keys::{self, prefix},
    rows::{From, decode, encode, expired, expiring},
};
use crate::domain::{ids::AccountId, time};

/// The actor of what nobody asked for.
pub const SYSTEM: &str = "system";

/// Something that happened to an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub at: Timestamp,
    pub kind: EventKind,
    /// The subject of a token, or [`SYSTEM`].
    pub actor: String,
    /// The model it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// A few facts by name.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub detail: Map<String, Value>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// An attempt to connect began; `attempt` is `first` or `additional`.
    LinkStarted,
    /// The account was connected.
    Connected,
    /// A relink was asked for.
    RelinkStarted,
    /// A relink was completed.
    Relinked,
    /// A relink led to another system or organization: deletions are held; `from`, `to`, `organization_changed`.
    RelinkedElsewhere,
    /// Merge's status of the account changed; `from`, `to`.
    StatusChanged,
    /// Merge opened an issue; `kind`, `again` if it was over, `was` if it was of another kind.
    IssueOpened,
    /// An issue is over; `kind`.
    IssueResolved,
    /// Somebody has seen an issue; `kind`.
    IssueAcknowledged,
    /// A sync was asked for; `mode`.
    SyncRequested,
    /// Every model's first sync is stored.
    FirstSyncCompleted,
    /// A window was fetched to its end; `added`, `updated`,
    /// `unchanged`, `deleted`.
    SyncFinished,
    /// A model could not be fetched; `reason`.
    SyncFailed,
    /// Deletions are held for the operator; `count`, `generation`.
    DeletionsHeld,
    /// The operator lets held deletions happen; `generation`.
    DeletionsApproved,
    /// The operator keeps the records whose deletion was held; `generation`.
    DeletionsDiscarded,
    /// Somebody said that the deletions that a relink held back may go on.
    DeletionsReleased,
    /// Another account was connected with the same credentials.
    DuplicateFound,
    /// The account was not found at Merge; a second look decides.
    Missing,
    /// The account was renamed.
    Renamed,
    /// Duplicates of the account are to be ignored, or no longer; `ignored`.
    DuplicateIgnored,
    /// Somebody asked to delete the account.
    DeleteRequested,
    /// Deletion waits; `reason`.
    DeleteBlocked,
    /// The account is gone at Merge's side.
    Disconnected,
    /// An operator asked for a new account token.
    TokenRotationRequested,
    /// Merge is asked for a new account token. Without `token_rotated` after it, its answer was lost.
    TokenRotationStarted,
    /// The new account token is stored.
    TokenRotated,
    /// An operator found that only one side has the account; `outcome`.
    Orphaned,
    /// An operator dealt with a message that had failed too often; `outcome`, `message`.
    DeadLetter,
}

impl Event {
    /// An event of `actor` without further facts.
    pub fn new(at: Timestamp, kind: EventKind, actor: impl Into<String>) -> Self {
        Self { at, kind, actor: actor.into(), model_id: None, detail: Map::new() }
    }

    /// Names the model that the event is about.
    pub fn model(mut self, model_id: impl Into<String>) -> Self {
        self.model_id = Some(model_id.into());
        self
    }

    /// Adds a fact.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }
}

/// A page of the timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    /// Events and their ids, newest first.
    pub events: Vec<(String, Event)>,
    /// The id after which the next page starts.
    pub next: Option<String>,
}

impl Store {
    /// Adds an event that is kept for `retention`. `id` keeps two events of one moment apart, and makes a repeated
    /// write one event.
    pub async fn add_event(
        &self,
        account: AccountId,
        event: &Event,
        id: Uuid,
        retention: Duration,
    ) -> Result<(), StoreError> {
        let key = keys::event(account, &time::fixed(event.at), &id.simple().to_string());
        let until = event.at.saturating_add(retention).unwrap_or(Timestamp::MAX);
        let item = expiring(encode(&key, event)?, until);
        self.put_row("add_event", item, None).await?;
        Ok(())
    }

    /// At most `limit` events, newest first, before the event with id `before`.
    pub async fn events(
        &self,
        account: AccountId,
        before: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<EventPage, StoreError> {
        let before = before.map(|id| format!("{}{id}", prefix::EVENT));
        let partition = keys::account_partition(account);
        let rows = self.rows("events", &partition, prefix::EVENT, From::End(before.as_deref()), limit).await?;
        let id = |sk: &str| sk.strip_prefix(prefix::EVENT).unwrap_or(sk).to_owned();
        let read = |item: Item| Ok((id(Reader(&item).text("sk")?), decode(item)?));
        let events = rows.items.into_iter().filter(|item| !expired(item, now)).map(read);
        Ok(EventPage { events: events.collect::<Result<_, StoreError>>()?, next: rows.last.as_deref().map(id) })
    }
}
