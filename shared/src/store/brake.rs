//! Held deletions: what the mass-delete brake kept a full read from deleting, for the operator to approve or discard.
//!
//! An approval is bound to the full read that held them, and to their number: the model is read in full once more, and
//! what is missing then is deleted if it is no more than was approved. So nothing is deleted on the word of an old
//! read.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Store, StoreError,
    item::{Reader, n},
    keys,
    rows::{Condition, decode, encode},
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
    /// Some of the records, by key.
    #[serde(default)]
    pub examples: Vec<String>,
    /// The operator has approved that so many records are deleted.
    #[serde(default)]
    pub approved: bool,
}

impl Held {
    /// Whether the approval covers a full read that misses so many.
    pub fn allows(&self, missing: u64) -> bool {
        self.approved && missing <= self.missing
    }
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

    /// All deletions that are held for an account, by endpoint slug.
    pub async fn all_held(&self, account: AccountId) -> Result<Vec<(String, Held)>, StoreError> {
        let items = self.query_prefix(&keys::account_partition(account), keys::prefix::BRAKE).await?;
        let read = |item: super::Item| {
            let slug = Reader(&item).text("sk")?.trim_start_matches(keys::prefix::BRAKE).to_owned();
            Ok((slug, decode(item)?))
        };
        items.into_iter().map(read).collect()
    }

    /// Approves the deletions that the full read `generation` held. `false`: that read holds none any more.
    pub async fn approve_held(
        &self,
        account: AccountId,
        endpoint: &Endpoint,
        generation: u64,
    ) -> Result<bool, StoreError> {
        let bound = Condition::new("#generation = :generation")
            .value(":generation", n(generation))
            .value(":true", AttributeValue::Bool(true));
        self.update_row("approve_held", &keys::brake(account, endpoint), "SET #approved = :true", bound).await
    }

    /// Forgets the deletions that the full read `generation` held; the records stay. `false`: that read holds none any
    /// more.
    pub async fn discard_held(
        &self,
        account: AccountId,
        endpoint: &Endpoint,
        generation: u64,
    ) -> Result<bool, StoreError> {
        let bound = Condition::new("#generation = :generation").value(":generation", n(generation));
        self.delete_row("discard_held", &keys::brake(account, endpoint), Some(bound)).await
    }

    /// Forgets what full reads before `generation` held: it has counted anew.
    pub async fn forget_held(
        &self,
        account: AccountId,
        endpoint: &Endpoint,
        generation: u64,
    ) -> Result<(), StoreError> {
        let older = Condition::new("#generation < :generation").value(":generation", n(generation));
        self.delete_row("forget_held", &keys::brake(account, endpoint), Some(older)).await?;
        Ok(())
    }
}
