//! Held deletions: what the mass-delete brake kept a full read from deleting, for the operator to look at.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Store, StoreError, keys,
    rows::{decode, encode},
};
use crate::domain::{endpoint::Endpoint, ids::AccountId};

/// Deletions of one full read of one model that are held. A later full read counts again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The full read that did not see them.
    pub generation: u64,
    /// Records that would have been deleted.
    pub missing: u64,
    /// Live records at the time.
    pub live: i64,
    pub at: Timestamp,
}

impl Store {
    /// Notes held deletions, over those of an earlier full read.
    pub async fn put_held(&self, account: AccountId, endpoint: &Endpoint, held: &Held) -> Result<(), StoreError> {
        self.put_row("put_held", encode(&keys::brake(account, endpoint), held)?, None).await?;
        Ok(())
    }

    /// The deletions that are held for a model.
    pub async fn held(&self, account: AccountId, endpoint: &Endpoint) -> Result<Option<Held>, StoreError> {
        self.row("held", &keys::brake(account, endpoint)).await?.map(decode).transpose()
    }
}
