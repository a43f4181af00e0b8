//! The exchange in flight: what a public token was exchanged for, kept until the account stands.
//!
//! Merge takes a public token once. Between its answer and our transaction a crash would lose the account token; so it
//! is written here first, encrypted, and a repeated exchange of the same public token goes on from it. On success only
//! the account's id stays, for the repeat that asks what came of it. Rows are for one organization and for one hour; a
//! mark under Merge's account leads to them, so that an account that is erased sooner takes with it whatever was
//! exchanged for it, finished or not.

use aws_sdk_dynamodb::types::{Put as PutInTransaction, TransactWriteItem};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    Store, StoreError,
    item::{Reader, s},
    keys,
    rows::{Condition, From, Put, decode, encode, expired, expiring, names},
};
use crate::domain::{
    account::Integration,
    category::Category,
    ids::{AccountId, MergeLinkedAccountId, OrganizationId},
};

/// How long a repeat is recognised.
const LIFETIME: SignedDuration = SignedDuration::from_hours(1);

/// How long a mark stays: longer than the row, though a repeat in its last minute writes that anew, and DynamoDB takes
/// days to remove what is past its time.
const MARKED: SignedDuration = SignedDuration::from_hours(96);

/// An exchange that Merge has answered.
#[derive(Debug, Clone, PartialEq)]
pub struct InFlight {
    pub organization: OrganizationId,
    pub category: Category,
    pub stage: Stage,
}

/// How far an exchange has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// Merge gave the token; the account does not stand yet.
    Answered {
        merge_id: MergeLinkedAccountId,
        /// KMS ciphertext of the account token.
        token: Vec<u8>,
        integration: Integration,
    },
    /// The account stands.
    Done(AccountId),
}

#[derive(Serialize, Deserialize)]
struct ExchangeItem {
    organization: OrganizationId,
    category: Category,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    merge_id: Option<MergeLinkedAccountId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<serde_bytes::ByteBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    integration: Option<Integration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<AccountId>,
}

/// An exchange's mark: its key says everything.
#[derive(Serialize)]
struct Mark {}

impl Store {
    /// The exchange of the public token with this hash (SHA-256, hexadecimal), of whatever organization: the caller
    /// compares. Absent once its hour is over.
    pub async fn exchange(&self, hash: &str, now: Timestamp) -> Result<Option<InFlight>, StoreError> {
        let item = self.row("exchange", &keys::exchange(hash)).await?.filter(|item| !expired(item, now));
        let Some(item) = item else { return Ok(None) };
        let item: ExchangeItem = decode(item)?;
        let stage = match (item.account, item.merge_id, item.token) {
            (Some(account), _, _) => Stage::Done(account),
            (None, Some(merge_id), Some(token)) => {
                Stage::Answered { merge_id, token: token.into_vec(), integration: item.integration.unwrap_or_default() }
            }
            // Nothing to go on from.
            _ => return Ok(None),
        };
        Ok(Some(InFlight { organization: item.organization, category: item.category, stage }))
    }

    /// Writes the stage of an exchange, over an earlier one of the same organization only; with Merge's answer, the
    /// mark under Merge's account. `false`: the row is another organization's.
    pub async fn put_exchange(&self, hash: &str, exchange: &InFlight, now: Timestamp) -> Result<bool, StoreError> {
        let (merge_id, token, integration, account) = match exchange.stage.clone() {
            Stage::Answered { merge_id, token, integration } => {
                (Some(merge_id), Some(serde_bytes::ByteBuf::from(token)), Some(integration), None)
            }
            Stage::Done(account) => (None, None, None, Some(account)),
        };
        let after = |time| now.saturating_add(time).unwrap_or(Timestamp::MAX);
        let mark = merge_id.as_ref().map(|merge_id| encode(&keys::exchanged(merge_id, hash), &Mark {})).transpose()?;
        let (organization, category) = (exchange.organization.clone(), exchange.category);
        let item = ExchangeItem { organization, category, merge_id, token, integration, account };
        let item = expiring(encode(&keys::exchange(hash), &item)?, after(LIFETIME));
        let condition = Condition::new("attribute_not_exists(pk) OR #organization = :organization")
            .value(":organization", s(exchange.organization.as_str()));
        let action = "put_exchange";
        let Some(mark) = mark else {
            return Ok(matches!(self.put_row(action, item, Some(condition)).await?, Put::Written(_)));
        };
        let put = |item| PutInTransaction::builder().table_name(&self.accounts).set_item(Some(item));
        let row = put(item)
            .condition_expression(condition.expression)
            .set_expression_attribute_names(names(condition.expression))
            .set_expression_attribute_values(condition.values())
            .build();
        let items = [row, put(expiring(mark, after(MARKED))).build()]
            .into_iter()
            .map(|put| put.map(|put| TransactWriteItem::builder().put(put).build()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| StoreError::Refused { action, chain: error.to_string() })?;
        self.transact(action, items).await
    }

    /// Forgets the exchange.
    pub async fn erase_exchange(&self, hash: &str) -> Result<(), StoreError> {
        self.delete_row("erase_exchange", &keys::exchange(hash), None).await?;
        Ok(())
    }

    /// Forgets every exchange for Merge's account. The marks stay, for what a late write may bring back.
    pub async fn erase_exchanges(&self, merge_id: &MergeLinkedAccountId) -> Result<(), StoreError> {
        for hash in self.exchanged(merge_id).await? {
            self.erase_exchange(&hash).await?;
        }
        Ok(())
    }

    /// Forgets that there were exchanges for Merge's account.
    pub(super) async fn erase_exchange_marks(&self, merge_id: &MergeLinkedAccountId) -> Result<(), StoreError> {
        for hash in self.exchanged(merge_id).await? {
            self.delete_row("erase_exchange_marks", &keys::exchanged(merge_id, &hash), None).await?;
        }
        Ok(())
    }

    /// The hashes of all public tokens that were exchanged for Merge's account, as far as marks remain.
    async fn exchanged(&self, merge_id: &MergeLinkedAccountId) -> Result<Vec<String>, StoreError> {
        let (partition, mut hashes, mut after) = (keys::exchanged_partition(merge_id), Vec::new(), None::<String>);
        loop {
            let rows = self.rows("exchanged", &partition, "#", From::Start(after.as_deref()), 100).await?;
            for item in &rows.items {
                hashes.push(Reader(item).text("sk")?.trim_start_matches('#').to_owned());
            }
            after = rows.last;
            if after.is_none() {
                return Ok(hashes);
            }
        }
    }
}
