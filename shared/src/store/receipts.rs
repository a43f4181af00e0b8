//! The receipt: what stays of a deleted account. Counts and times, no personal data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Store, StoreError, keys,
    rows::{decode, encode},
};
use crate::domain::{
    category::Category,
    ids::{AccountId, OrganizationId},
};

/// What a delete erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub category: Category,
    /// When the first sweep ended.
    pub erased_at: Timestamp,
    /// Erased items by kind, over both sweeps: `records`, `rows`.
    pub erased: BTreeMap<String, u64>,
}

impl Store {
    /// Writes the receipt, over an earlier one.
    pub async fn put_receipt(
        &self,
        of: &OrganizationId,
        account: AccountId,
        receipt: &Receipt,
    ) -> Result<(), StoreError> {
        self.put_row("put_receipt", encode(&keys::receipt(of, account), receipt)?, None).await?;
        Ok(())
    }

    /// The receipt of an account that was deleted.
    pub async fn receipt(&self, of: &OrganizationId, account: AccountId) -> Result<Option<Receipt>, StoreError> {
        self.row("receipt", &keys::receipt(of, account)).await?.map(decode).transpose()
    }
}
