//! Linked accounts as our API shows them, and their timeline.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{
    account::{AccountStatus, LinkedAccount},
    category::Category,
    health::{self, Actor, Health, HealthState, Reason},
    issue::IssueKind,
};
use crate::store::{
    events::{Event, EventKind},
    pending::Slot,
};

/// A linked account, or the attempt to connect one.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountView {
    pub id: Uuid,
    #[schema(value_type = String, example = "hris")]
    pub category: Category,
    /// `INCOMPLETE`, `COMPLETE`, `RELINK_NEEDED`, `IDLE`, `DELETING` or `DELETED`.
    #[schema(value_type = String, example = "COMPLETE")]
    pub status: AccountStatus,
    pub health: HealthView,
    pub open_issues: Vec<IssueView>,
    /// The connected system; null before it is known.
    pub integration: Option<IntegrationView>,
    /// The name that the organization gave it.
    pub display_name: Option<String>,
    /// Another account was connected with the same credentials; null if that cannot be known.
    pub is_duplicate: Option<bool>,
    /// The organization knows and does not mind.
    pub duplicate_ignored: bool,
    /// A relink led to another system or organization: nothing is deleted until somebody says that it is meant so.
    pub deletions_held: bool,
    /// Names what the relink led to; sent back when it is meant so.
    pub deletions_held_for: Option<String>,
    /// Every model's complete history is stored.
    pub initial_sync_completed: bool,
    /// Live records over all models.
    pub records: u64,
    /// Everything up to this time is stored.
    pub data_fresh_as_of: Option<Timestamp>,
    pub last_successful_sync_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// How the connection is, for the people who depend on it.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthView {
    /// `connecting`, `first_sync`, `healthy`, `degraded`, `action_needed`, `paused`, `disconnecting`, `disconnected`.
    #[schema(value_type = String, example = "healthy")]
    pub state: HealthState,
    /// Why, in a word; null when there is nothing to say.
    #[schema(value_type = Option<String>, example = "relink_needed")]
    pub reason: Option<Reason>,
    /// Who can do something about it: `end_user`, `provider_admin`, `operator` or `nobody`.
    #[schema(value_type = String, example = "nobody")]
    pub actor: Actor,
    pub can_refresh: bool,
    pub can_reconnect: bool,
    pub since: Timestamp,
}

/// A problem that is not over.
#[derive(Debug, Serialize, ToSchema)]
pub struct IssueView {
    /// Names it when it is acknowledged.
    pub id: String,
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "bad_api_key")]
    pub kind: IssueKind,
    /// A sentence for the person who connects.
    pub message: &'static str,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
}

/// The system behind an account.
#[derive(Debug, Serialize, ToSchema)]
pub struct IntegrationView {
    pub name: String,
    pub slug: String,
    pub image: Option<String>,
    pub color: Option<String>,
}

impl From<Health> for HealthView {
    fn from(health: Health) -> Self {
        let Health { state, reason, actor, can_refresh, can_reconnect, since } = health;
        Self { state, reason, actor, can_refresh, can_reconnect, since }
    }
}

impl AccountView {
    /// A linked account.
    pub fn of_account(account: &LinkedAccount, now: Timestamp) -> Self {
        let open = account.issues.iter().filter(|(_, issue)| issue.is_open());
        let open_issues = open.map(|(id, issue)| IssueView {
            id: id.clone(),
            kind: issue.kind,
            message: health::message(issue.kind),
            first_seen: issue.first_seen,
            last_seen: issue.last_seen,
        });
        let integration = account.integration.clone();
        Self {
            id: account.id.uuid(),
            category: account.category,
            status: account.status,
            health: health::of_account(account, now).into(),
            open_issues: open_issues.collect(),
            integration: Some(IntegrationView {
                name: integration.name,
                slug: integration.slug,
                image: integration.image,
                color: integration.color,
            }),
            display_name: account.display_name.clone(),
            is_duplicate: account.is_duplicate,
            duplicate_ignored: account.duplicate_ignored,
            deletions_held: account.notes.deletions_held_since.is_some(),
            deletions_held_for: account.held_for(),
            initial_sync_completed: account.facts.initial_sync_completed,
            records: account.facts.records,
            data_fresh_as_of: account.facts.data_fresh_as_of,
            last_successful_sync_at: account.facts.last_successful_sync_at,
            created_at: account.created_at,
            updated_at: account.updated_at,
        }
    }

    /// An attempt that was not finished.
    pub fn of_pending(slot: &Slot, now: Timestamp) -> Self {
        Self {
            id: slot.account.uuid(),
            category: slot.category,
            status: AccountStatus::Incomplete,
            health: health::of_pending(slot.created_at, now).into(),
            open_issues: Vec::new(),
            integration: None,
            display_name: None,
            is_duplicate: None,
            duplicate_ignored: false,
            deletions_held: false,
            deletions_held_for: None,
            initial_sync_completed: false,
            records: 0,
            data_fresh_as_of: None,
            last_successful_sync_at: None,
            created_at: slot.created_at,
            updated_at: slot.created_at,
        }
    }
}

/// A page of linked accounts.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountList {
    pub results: Vec<AccountView>,
    pub next_cursor: Option<String>,
}

/// Changes of a linked account; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchAccount {
    /// At most 100 characters; null or empty takes the name away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub display_name: Option<Option<String>>,
    /// For the set of duplicates as it stands.
    #[serde(default)]
    pub duplicate_ignored: Option<bool>,
    /// Ids of open issues that are not to be shown until they come back.
    #[serde(default)]
    pub acknowledge_issues: Option<Vec<String>>,
    /// `false`: the relink to another system or organization is meant so; deletions go on, after a full sync.
    #[serde(default)]
    pub deletions_held: Option<bool>,
    /// As the account showed it to whoever decided: if a relink has led elsewhere since, nothing is changed. Left out:
    /// whatever it leads to now.
    #[serde(default)]
    pub deletions_held_for: Option<String>,
}

/// Tells `null` from a field that is left out.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

/// A page of an account's timeline, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventList {
    pub results: Vec<EventView>,
    pub next_cursor: Option<String>,
}

/// Something that happened to an account.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    pub id: String,
    pub at: Timestamp,
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "connected")]
    pub kind: EventKind,
    /// The subject who acted, or `system`.
    pub actor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    #[schema(value_type = Object)]
    pub detail: Map<String, Value>,
}

impl EventView {
    /// An event as it is shown.
    pub fn new(id: String, event: Event) -> Self {
        let Event { at, kind, actor, model_id, detail } = event;
        Self { id, at, kind, actor, model_id, detail }
    }
}
