//! Checkpoints: how far each endpoint's copy reaches, who may move it, and what each committed page changed.
//!
//! A worker claims an endpoint by raising its epoch; from then on no earlier worker can commit. A page commits in
//! one transaction: its change block and the checkpoint after it.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use jiff::Timestamp;

use super::{
    Fault, Item, Store, StoreError,
    item::{Reader, b, key_of, n, s},
    keys::{self, Key},
    with_retries,
};
use crate::domain::{
    change::{Change, Presence, Tag},
    endpoint::Endpoint,
    ids::AccountId,
    message::AccountRef,
    window::Checkpoint,
};

impl Store {
    /// Checkpoints of an account by endpoint slug, read consistently.
    pub async fn checkpoints(&self, account: AccountId) -> Result<HashMap<String, Checkpoint>, StoreError> {
        let items = self.query_prefix(&keys::account_partition(account), keys::prefix::SYNC).await?;
        items
            .iter()
            .map(|item| {
                let slug = Reader(item).text("sk")?.trim_start_matches(keys::prefix::SYNC).to_owned();
                Ok((slug, checkpoint_of(item)?))
            })
            .collect()
    }

    /// One endpoint's checkpoint, read consistently; `None` for an endpoint never claimed.
    pub async fn checkpoint(&self, account: AccountId, endpoint: &Endpoint) -> Result<Option<Checkpoint>, StoreError> {
        self.get_account_item(&keys::checkpoint(account, endpoint)).await?.as_ref().map(checkpoint_of).transpose()
    }

    /// Takes an endpoint up: stores `next` if the checkpoint is still `previous`. `false`: another worker was
    /// faster, or the account is leaving. `holder` tells our own claim from another's after a lost answer.
    pub async fn claim(
        &self,
        of: &AccountRef,
        endpoint: &Endpoint,
        previous: Option<&Checkpoint>,
        next: &Checkpoint,
        holder: &str,
    ) -> Result<bool, StoreError> {
        let key = keys::checkpoint(of.account, endpoint);
        let item = checkpoint_item(&key, next, holder)?;
        let done = match previous {
            Some(previous) => with_retries("PutItem checkpoint", || async {
                self.client
                    .put_item()
                    .table_name(&self.accounts)
                    .set_item(Some(item.clone()))
                    .condition_expression(STILL_THERE)
                    .expression_attribute_values(":e", n(previous.epoch))
                    .expression_attribute_values(":n", n(previous.n))
                    .expression_attribute_values(":p", n(previous.pages))
                    .send()
                    .await
                    .map_err(|e| Fault::of(&e))
            })
            .await?
            .is_some(),
            None => {
                let account = keys::account(&of.organization, of.account);
                with_retries("TransactWriteItems first checkpoint", || async {
                    let alive = ConditionCheck::builder()
                        .table_name(&self.accounts)
                        .set_key(Some(key_of(&account)))
                        .condition_expression("attribute_exists(pk) AND NOT #s IN (:deleting, :deleted)")
                        .expression_attribute_names("#s", "status")
                        .expression_attribute_values(":deleting", s("DELETING"))
                        .expression_attribute_values(":deleted", s("DELETED"))
                        .build()
                        .map_err(|e| Fault::Fatal(e.to_string()))?;
                    let put = Put::builder()
                        .table_name(&self.accounts)
                        .set_item(Some(item.clone()))
                        .condition_expression("attribute_not_exists(pk)")
                        .build()
                        .map_err(|e| Fault::Fatal(e.to_string()))?;
                    self.client
                        .transact_write_items()
                        .transact_items(TransactWriteItem::builder().condition_check(alive).build())
                        .transact_items(TransactWriteItem::builder().put(put).build())
                        .send()
                        .await
                        .map(|_| ())
                        .map_err(|e| Fault::of(&e))
                })
                .await?
                .is_some()
            }
        };
        Ok(done || self.holds(&key, next, holder).await?)
    }

    /// Commits a page: its changes (if any) and the checkpoint after it, all or nothing. `false`: a later worker has
    /// taken the endpoint up, or the account is being erased; nothing was written. `expires_at`: Unix seconds until
    /// which the change block is kept.
    pub async fn commit(
        &self,
        account: AccountId,
        endpoint: &Endpoint,
        previous: &Checkpoint,
        next: &Checkpoint,
        page: Page<'_>,
        commit: CommitStamp<'_>,
    ) -> Result<bool, StoreError> {
        let changes = page.changes;
        let key = keys::checkpoint(account, endpoint);
        let item = checkpoint_item(&key, next, commit.holder)?;
        let block = (!changes.is_empty())
            .then(|| block_item(&keys::change(account, endpoint, &next.running().to_string()), changes, &commit))
            .transpose()?;
        let done = with_retries("commit of a page", || async {
            let Some(block) = &block else {
                return self
                    .client
                    .put_item()
                    .table_name(&self.accounts)
                    .set_item(Some(item.clone()))
                    .condition_expression(STILL_THERE)
                    .expression_attribute_values(":e", n(previous.epoch))
                    .expression_attribute_values(":n", n(previous.n))
                    .expression_attribute_values(":p", n(previous.pages))
                    .send()
                    .await
                    .map(|_| ())
                    .map_err(|e| Fault::of(&e));
            };
            let checkpoint = Put::builder()
                .table_name(&self.accounts)
                .set_item(Some(item.clone()))
                .condition_expression(STILL_THERE)
                .expression_attribute_values(":e", n(previous.epoch))
                .expression_attribute_values(":n", n(previous.n))
                .expression_attribute_values(":p", n(previous.pages))
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::None)
                .build()
                .map_err(|e| Fault::Fatal(e.to_string()))?;
            let block = Put::builder()
                .table_name(&self.accounts)
                .set_item(Some(block.clone()))
                .condition_expression("attribute_not_exists(pk)")
                .build()
                .map_err(|e| Fault::Fatal(e.to_string()))?;
            let tombstones = page.tombstones.iter().map(|gone| self.tombstone(account, endpoint, gone, next.running()));
            let tombstones = tombstones.collect::<Result<Vec<_>, _>>().map_err(Fault::Fatal)?;
            let items =
                [TransactWriteItem::builder().put(block).build(), TransactWriteItem::builder().put(checkpoint).build()];
            self.client
                .transact_write_items()
                .set_transact_items(Some(items.into_iter().chain(tombstones).collect()))
                .send()
                .await
                .map(|_| ())
                .map_err(|e| Fault::of(&e))
        })
        .await?
        .is_some();
        Ok(done || self.holds(&key, next, commit.holder).await?)
    }

    fn tombstone(
        &self,
        account: AccountId,
        endpoint: &Endpoint,
        gone: &Gone,
        tag: Tag,
    ) -> Result<TransactWriteItem, String> {
        let update = Update::builder()
            .table_name(&self.records)
            .set_key(Some(key_of(&keys::record(account, endpoint, &gone.key))))
            .update_expression("SET x = :true, e = :e, t = :new, w = :was")
            .condition_expression("t = :read")
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .expression_attribute_values(":e", n(tag.epoch))
            .expression_attribute_values(":new", s(tag.to_string()))
            .expression_attribute_values(":was", s(gone.was.letter()))
            .expression_attribute_values(":read", s(gone.tag.to_string()))
            .build()
            .map_err(|e| e.to_string())?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// After a refused write: was the refusal our own earlier success, whose answer was lost?
    async fn holds(&self, key: &Key, expected: &Checkpoint, holder: &str) -> Result<bool, StoreError> {
        let Some(item) = self.get_account_item(key).await? else { return Ok(false) };
        let ours = item.get("holder").and_then(|v| v.as_s().ok()).is_some_and(|h| h == holder);
        Ok(ours && checkpoint_of(&item)? == *expected)
    }

    pub(super) async fn get_account_item(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let answer = with_retries("GetItem", || async {
            self.client
                .get_item()
                .table_name(&self.accounts)
                .set_key(Some(key_of(key)))
                .consistent_read(true)
                .send()
                .await
                .map_err(|e| Fault::of(&e))
        })
        .await?;
        Ok(answer.and_then(|a| a.item))
    }

    /// All items of one kind in a partition of the accounts table, read consistently.
    pub(super) async fn query_prefix(&self, pk: &str, prefix: &str) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        let mut start: Option<Item> = None;
        loop {
            let answer = with_retries("Query", || async {
                self.client
                    .query()
                    .table_name(&self.accounts)
                    .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                    .expression_attribute_values(":pk", s(pk))
                    .expression_attribute_values(":prefix", s(prefix))
                    .consistent_read(true)
                    .set_exclusive_start_key(start.clone())
                    .send()
                    .await
                    .map_err(|e| Fault::of(&e))
            })
            .await?;
            let Some(answer) = answer else { return Ok(items) };
            items.extend(answer.items.unwrap_or_default());
            start = answer.last_evaluated_key;
            if start.is_none() {
                return Ok(items);
            }
        }
    }
}

/// The checkpoint as its worker left it. Pages count too: of two pages without changes the first, if its answer was
/// lost and it comes once more after the second, must not put the window back.
const STILL_THERE: &str = "epoch = :e AND n = :n AND pages = :p";

/// What a commit brings beside the checkpoint.
#[derive(Debug, Clone, Copy, Default)]
pub struct Page<'a> {
    pub changes: &'a [Change],
    /// Records that become tombstones with this commit, or not at all.
    pub tombstones: &'a [Gone],
}

/// A record that a finished full read did not see. DynamoDB takes a hundred items in a transaction, two of which are
/// the block and the checkpoint.
pub const TOMBSTONES: usize = 98;

/// A record to become a tombstone if it is still as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    pub key: String,
    pub tag: Tag,
    pub was: Presence,
}

/// Who commits, when, and how long the change block is kept.
#[derive(Debug, Clone, Copy)]
pub struct CommitStamp<'a> {
    pub holder: &'a str,
    pub at: Timestamp,
    /// Unix seconds.
    pub expires_at: i64,
}

fn checkpoint_item(key: &Key, checkpoint: &Checkpoint, holder: &str) -> Result<Item, StoreError> {
    let mut item: Item = serde_dynamo::to_item(checkpoint).map_err(|e| StoreError::corrupt(key, e))?;
    item.extend(key_of(key));
    item.insert("holder".to_owned(), s(holder));
    Ok(item)
}

fn checkpoint_of(item: &Item) -> Result<Checkpoint, StoreError> {
    serde_dynamo::from_item(item.clone()).map_err(|e| Reader(item).corrupt(e.to_string()))
}

fn block_item(key: &Key, changes: &[Change], commit: &CommitStamp<'_>) -> Result<Item, StoreError> {
    let pack = || -> Result<Vec<u8>, String> {
        let json = serde_json::to_vec(changes).map_err(|e| e.to_string())?;
        zstd::bulk::compress(&json, 3).map_err(|e| e.to_string())
    };
    let packed = pack().map_err(|fault| StoreError::corrupt(key, fault))?;
    let mut item = key_of(key);
    item.insert("at".to_owned(), s(commit.at.to_string()));
    item.insert("changes".to_owned(), b(packed));
    item.insert("ttl".to_owned(), n(commit.expires_at));
    Ok(item)
}
