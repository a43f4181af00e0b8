//! The event bus: what the host product is told, so that it can prompt its own users. Ids, reason and actor; no data.

use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};
use serde_json::{Value, json};
use shared::domain::{account::LinkedAccount, category::Category, health::Health, ids::MergeLinkedAccountId};
use shared::telemetry;

/// Source of every event.
const SOURCE: &str = "tether";

/// The EventBridge bus.
#[derive(Debug, Clone)]
pub struct Bus {
    client: Client,
    name: String,
}

/// What there is to tell.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// The account came to need, or no longer needs, somebody's action.
    HealthChanged(Health),
    /// The complete history is stored.
    FirstSyncCompleted,
}

impl Bus {
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
    }

    /// Tells the host product. `false`: the bus did not take it. That is logged and the work goes on: the state can
    /// always be read.
    pub async fn put(&self, account: &LinkedAccount, notice: Notice) -> bool {
        let (kind, health) = match notice {
            Notice::HealthChanged(health) => ("Linked Account Health Changed", json!(health)),
            Notice::FirstSyncCompleted => ("Linked Account First Sync Completed", json!(null)),
        };
        let detail = json!({
            "organization_id": account.organization,
            "linked_account_id": account.id,
            "category": account.category,
            "health": health,
        });
        self.send(kind, &detail).await
    }

    /// Tells the operator of an account that Merge has and that is nobody's here. A later census tells of it again.
    pub async fn put_orphan(&self, merge_id: &MergeLinkedAccountId, category: Option<Category>) -> bool {
        let detail = json!({ "merge_linked_account_id": merge_id, "category": category });
        self.send("Linked Account Orphaned", &detail).await
    }

    async fn send(&self, kind: &str, detail: &Value) -> bool {
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(SOURCE)
            .detail_type(kind)
            .detail(detail.to_string())
            .build();
        match self.client.put_events().entries(entry).send().await {
            Ok(answer) if answer.failed_entry_count() == 0 => true,
            Ok(answer) => {
                tracing::warn!(failed = answer.failed_entry_count(), "the event bus refused a notice");
                false
            }
            Err(error) => {
                tracing::warn!(error = telemetry::aws_chain(&error), "the event bus could not be reached");
                false
            }
        }
    }
}
