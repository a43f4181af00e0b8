//! Account: a LinkedAccount of Merge, with its datasets and its issues.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Time;
use crate::dataset::{Dataset, children};
use crate::generate::{self, Record, RemoteData, Scope};
use crate::ids::{hash_str, mix};
use crate::integrations::{self, Fields};
use crate::issue::{Issue, IssueKind};
use crate::models::{self, Model, ModelIndex};
use crate::sync::{Event, Round, SyncState, SyncStatus};

/// Merge's four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    Complete,
    Incomplete,
    RelinkNeeded,
    Idle,
}

/// Who links: what a link token says of the end user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndUser {
    pub origin_id: String,
    pub organization_name: String,
    pub email_address: String,
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    pub id: String,
    pub account_token: String,
    pub category: String,
    pub end_user: EndUser,
    /// Slug.
    pub integration: String,
    pub status: Status,
    /// Linked with the test key.
    pub is_test: bool,
    pub credentials: Option<Value>,
    pub created_at: Time,
    pub completed_at: Option<Time>,
    pub syncs: Vec<SyncState>,
    pub datasets: BTreeMap<String, Dataset>,
    pub round: Option<Round>,
    pub next_round: Option<Time>,
    /// Between the beginnings of two rounds, in real time; as in the settings when absent.
    #[serde(default)]
    pub interval_ms: Option<i64>,
    pub initial_round_done: bool,
    pub issues: Vec<Issue>,
    /// What changes from now on says more than Merge publishes.
    #[serde(default)]
    pub drifts: bool,
    /// Hash of the sandbox's seed and the account's id.
    pub seed: u64,
}

impl Account {
    /// The lists that a model's sync fills (several, where a nested list has the same model).
    pub fn lists_of(&self, position: usize) -> impl Iterator<Item = (ModelIndex, &'static Model)> + use<> {
        let model_id = self.syncs[position].model_id.clone();
        let category = model_id.split('.').next().unwrap_or_default().to_owned();
        models::all().iter().enumerate().filter(move |(_, m)| m.category == category && m.model_id == model_id)
    }

    /// Creates datasets and sync states. `sizes`: records per model key, before the account's own rules.
    pub fn provision(&mut self, size: impl Fn(&Model) -> u64, enabled: impl Fn(&Model) -> bool) {
        for (index, model) in models::of_category(&self.category.clone()) {
            let count = planned(model, &size);
            self.datasets.insert(models::all()[index].key.clone(), Dataset::new(count));
            if !self.syncs.iter().any(|state| state.model_id == model.model_id) {
                let status = if enabled(model) { SyncStatus::Syncing } else { SyncStatus::Disabled };
                self.syncs.push(SyncState::new(&model.model_id, &model.name, status));
            }
        }
    }

    pub fn dataset(&self, model: ModelIndex) -> Option<&Dataset> {
        self.datasets.get(&models::all()[model].key)
    }

    pub fn dataset_mut(&mut self, model: ModelIndex) -> &mut Dataset {
        self.datasets.entry(models::all()[model].key.clone()).or_default()
    }

    /// Appends the record's JSON.
    pub fn write_record(&self, model: ModelIndex, index: u64, remote_data: RemoteData, out: &mut String) {
        let Some(dataset) = self.dataset(model) else { return };
        let sizes = |other: ModelIndex| self.dataset(other).map_or(0, |dataset| dataset.base);
        let scope = Scope { seed: self.seed, anchor: self.created_at, sizes: &sizes };
        let (created_at, change) = (dataset.created_at(index), dataset.state(index));
        let drifts = self.drifts && change.version > 0;
        let record = Record { index, created_at, change, remote_data, drifts };
        generate::write_record(&scope, &models::all()[model], &record, out);
    }

    /// Seed of a model's record ids.
    pub fn model_seed(&self, model: ModelIndex) -> u64 {
        mix(self.seed, models::all()[model].hash)
    }

    pub fn integration_name(&self) -> &'static str {
        integrations::by_slug(&self.integration).map_or("Unknown", |integration| integration.name)
    }

    pub fn account_type(&self) -> &'static str {
        if self.is_test { "TEST" } else { "PRODUCTION" }
    }

    pub fn webhook_listener_url(&self, base: &str) -> String {
        format!("{base}/api/integrations/webhook-listener/{:x}", mix(self.seed, hash_str("listener")))
    }

    /// What duplicates have in common; test and unfinished accounts have none.
    pub fn duplicate_key(&self) -> Option<String> {
        let credentials = self.credentials.as_ref().filter(|_| !self.is_test && self.status != Status::Incomplete)?;
        Some(format!("{} {credentials}", self.integration))
    }

    /// Merge's AccountDetails.
    pub fn details(&self, base: &str, is_duplicate: Option<bool>) -> Value {
        json!({
            "id": self.id,
            "integration": self.integration_name(),
            "integration_slug": self.integration,
            "category": self.category,
            "end_user_origin_id": self.end_user.origin_id,
            "end_user_organization_name": self.end_user.organization_name,
            "end_user_email_address": self.end_user.email_address,
            "status": self.status,
            "webhook_listener_url": self.webhook_listener_url(base),
            "is_duplicate": is_duplicate,
            "account_type": self.account_type(),
            "completed_at": self.completed_at.map(|time| time.to_string()),
            "instance_id": null,
            "instance_display_value": null,
        })
    }

    /// Merge's AccountDetailsAndActions: an item of linked-accounts.
    pub fn list_item(&self, base: &str, is_duplicate: Option<bool>) -> Value {
        // Merge's own type says that completed_at is required, even for an account that is not.
        let completed_at = self.completed_at.unwrap_or(self.created_at).to_string();
        json!({
            "id": self.id,
            "category": self.category,
            "status": self.status,
            "status_detail": match self.status {
                Status::RelinkNeeded => "The credentials of this account have expired.",
                _ => "",
            },
            "end_user_origin_id": self.end_user.origin_id,
            "end_user_organization_name": self.end_user.organization_name,
            "end_user_email_address": self.end_user.email_address,
            "subdomain": null,
            "webhook_listener_url": self.webhook_listener_url(base),
            "is_duplicate": is_duplicate,
            "integration": integrations::by_slug(&self.integration).map(|found| found.with_actions(base, Fields::Omitted)),
            "account_type": self.account_type(),
            "completed_at": completed_at,
            "integration_specific_fields": null,
        })
    }

    /// The `linked_account` part of a webhook.
    pub fn webhook_part(&self, base: &str, is_duplicate: Option<bool>) -> Value {
        let mut details = self.details(base, is_duplicate);
        if let Some(map) = details.as_object_mut() {
            map.remove("instance_id");
            map.remove("instance_display_value");
        }
        details
    }
}

/// A nested list's size follows from its parents'.
fn planned(model: &Model, size: &impl Fn(&Model) -> u64) -> u64 {
    match model.parent {
        Some(parent) => children::before(planned(&models::all()[parent], size)),
        None => size(model),
    }
}

impl Account {
    /// The account without its records: enough to tell about it.
    pub fn clone_without_data(&self) -> Account {
        Account {
            id: self.id.clone(),
            account_token: self.account_token.clone(),
            category: self.category.clone(),
            end_user: self.end_user.clone(),
            integration: self.integration.clone(),
            credentials: self.credentials.clone(),
            syncs: Vec::new(),
            datasets: BTreeMap::new(),
            round: None,
            issues: Vec::new(),
            ..*self
        }
    }

    /// The provider grew; the next run brings the new records. No list shrinks.
    pub fn resize(&mut self, size: impl Fn(&Model) -> u64) {
        for (index, model) in models::of_category(&self.category.clone()) {
            let count = planned(model, &size);
            if let Some(dataset) = self.datasets.get_mut(&models::all()[index].key) {
                dataset.size = dataset.size.max(count);
            }
        }
    }

    /// Opens an issue of this kind (again, if there was one); its id and the event.
    pub fn open_issue(&mut self, kind: IssueKind, fresh_id: String, now: Time) -> (String, Event) {
        let known = self.issues.iter_mut().find(|issue| issue.kind == kind);
        let (name, issue) = match known {
            Some(issue) => {
                let name = if issue.is_ongoing { "Issue.new" } else { "Issue.reopened" };
                issue.is_ongoing = true;
                issue.last_incident_time = now;
                (name, issue.clone())
            }
            None => {
                let times = (now, now);
                let issue = Issue {
                    id: fresh_id,
                    kind,
                    is_ongoing: true,
                    first_incident_time: times.0,
                    last_incident_time: times.1,
                };
                self.issues.push(issue.clone());
                ("Issue.new", issue)
            }
        };
        (issue.id.clone(), Event::new(now, name, issue.to_json(&self.end_user)))
    }

    /// Resolves the issue of this id, or all; the events.
    pub fn resolve_issues(&mut self, id: Option<&str>, now: Time) -> Vec<Event> {
        let mut events = Vec::new();
        for issue in self.issues.iter_mut().filter(|issue| issue.is_ongoing) {
            if id.is_none_or(|id| id == issue.id) {
                issue.is_ongoing = false;
                events.push(Event::new(now, "Issue.resolved", issue.to_json(&self.end_user)));
            }
        }
        events
    }
}
