//! The window ledger: one row per finished window, so that anyone can see that windows tile time, and what each
//! brought. Kept for a while, then expired by DynamoDB.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Fault, Item, Store, StoreError,
    item::{Reader, key_of, n},
    keys, with_retries,
};
use crate::domain::{
    change::Counts,
    endpoint::Endpoint,
    ids::AccountId,
    time,
    window::{OpenWindow, WindowKind},
};

/// A finished window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LedgerRow {
    pub kind: WindowKind,
    /// `modified_after`.
    pub after: Option<Timestamp>,
    /// `modified_before`; Merge's `last_sync_finished`.
    pub before: Timestamp,
    pub pages: u64,
    pub counts: Counts,
    /// The sync behind it was partial.
    pub partial: bool,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
}

impl LedgerRow {
    pub fn of(window: &OpenWindow, finished_at: Timestamp) -> Self {
        Self {
            kind: window.kind,
            after: window.lower,
            before: window.upper,
            pages: window.pages,
            counts: window.counts,
            partial: window.partial,
            started_at: window.started_at,
            finished_at,
        }
    }
}

impl Store {
    /// Writes the row of a window whose last page is about to be committed; writing it again changes nothing.
    pub async fn put_window(
        &self,
        account: AccountId,
        endpoint: &Endpoint,
        row: &LedgerRow,
        expires_at: i64,
    ) -> Result<(), StoreError> {
        let key = keys::window(account, endpoint, &time::fixed(row.before));
        let mut item: Item = serde_dynamo::to_item(row).map_err(|e| StoreError::corrupt(&key, e))?;
        item.extend(key_of(&key));
        item.insert("ttl".to_owned(), n(expires_at));
        with_retries("PutItem window", || async {
            self.client
                .put_item()
                .table_name(&self.accounts)
                .set_item(Some(item.clone()))
                .send()
                .await
                .map_err(|e| Fault::of(&e))
        })
        .await
        .map(|_| ())
    }

    /// Finished windows of an endpoint, oldest first.
    pub async fn windows(&self, account: AccountId, endpoint: &Endpoint) -> Result<Vec<LedgerRow>, StoreError> {
        let items = self.query_prefix(&keys::account_partition(account), &keys::window_prefix(endpoint)).await?;
        items
            .into_iter()
            .map(|item| serde_dynamo::from_item(item.clone()).map_err(|e| Reader(&item).corrupt(e.to_string())))
            .collect()
    }
}
