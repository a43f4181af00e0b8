//! The event bus: what the host product is told, so that it can prompt its own users. Ids, reason and actor; no data.

use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};
use serde_json::json;
use shared::domain::{account::LinkedAccount, health::Health};

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

    /// Tells the host product. It may miss a notice (the state can always be read), so a failure is logged and the work
    /// goes on.
    pub async fn put(&self, account: &LinkedAccount, notice: Notice) {
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
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(SOURCE)
            .detail_type(kind)
            .detail(detail.to_string())
            .build();
        match self.client.put_events().entries(entry).send().await {
            Ok(answer) if answer.failed_entry_count() == 0 => {}
            Ok(answer) => tracing::warn!(failed = answer.failed_entry_count(), "the event bus refused a notice"),
            Err(error) => {
                let error = aws_sdk_eventbridge::error::DisplayErrorContext(error).to_string();
                tracing::warn!(error, "the event bus could not be reached");
            }
        }
    }
}
