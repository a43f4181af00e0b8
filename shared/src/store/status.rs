//! Merge's last sync-status answer for an account, so that everyone can see it without asking Merge.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Fault, Store, StoreError,
    item::{Reader, key_of, s},
    keys, with_retries,
};
use crate::domain::{ids::AccountId, message::AccountRef, sync_status::SyncStatus};

/// Merge's last sync-status answer and when it was read (stored only when the answer differs from the one before).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredSyncStatus {
    pub rows: Vec<SyncStatus>,
    pub read_at: Timestamp,
}

impl Store {
    pub async fn sync_status(&self, account: AccountId) -> Result<Option<StoredSyncStatus>, StoreError> {
        let Some(item) = self.get_account_item(&keys::sync_status(account)).await? else { return Ok(None) };
        let reader = Reader(&item);
        let text = reader.text("answer")?;
        serde_json::from_str(text).map(Some).map_err(|e| reader.corrupt(format!("answer: {e}")))
    }

    /// Stores an answer that differs from the one before.
    pub async fn put_sync_status(&self, of: &AccountRef, status: &StoredSyncStatus) -> Result<(), StoreError> {
        let mut item = key_of(&keys::sync_status(of.account));
        let text = serde_json::to_string(status)
            .map_err(|e| StoreError::Refused { action: "PutItem sync status", chain: e.to_string() })?;
        item.insert("answer".to_owned(), s(text));
        with_retries("PutItem sync status", || async {
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
}
