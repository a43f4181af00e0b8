//! The purge: erasing everything that was stored for an account but its row, its slot, its owner row and its
//! receipt. It may stop at any moment and be called again: what is left is found by asking.

use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};

use super::{Fault, Item, Store, StoreError, item::s, keys, with_retries};
use crate::domain::{category::Category, endpoint::Endpoint, ids::AccountId};

/// What one call erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    pub records: u64,
    /// Parts, checkpoints, changes, windows, events.
    pub other_items: u64,
    /// Nothing was left when the call ended.
    pub finished: bool,
}

/// Writes of one BatchWriteItem.
const BATCH: usize = 25;

impl Store {
    /// Erases an account's sync state and records. Checkpoints go first: without them no late worker can commit.
    /// Stops when `go_on` says so, to be called again.
    pub async fn purge(
        &self,
        account: AccountId,
        category: Category,
        go_on: impl Fn() -> bool,
    ) -> Result<Purged, StoreError> {
        let mut purged = Purged::default();
        let partition = keys::account_partition(account);
        for prefix in [Some(keys::prefix::SYNC), None] {
            let (erased, finished) = self.erase(&self.accounts, &partition, prefix, &go_on).await?;
            purged.other_items += erased;
            if !finished {
                return Ok(purged);
            }
        }
        for endpoint in Endpoint::of(category) {
            for shard in 0..keys::SHARDS {
                let records = keys::record_shard(account, endpoint, shard);
                let (erased, finished) = self.erase(&self.records, &records, None, &go_on).await?;
                purged.records += erased;
                if !finished {
                    return Ok(purged);
                }
                let parts = keys::part_shard(account, endpoint, shard);
                let (erased, finished) = self.erase(&self.records, &parts, None, &go_on).await?;
                purged.other_items += erased;
                if !finished {
                    return Ok(purged);
                }
            }
        }
        purged.finished = true;
        Ok(purged)
    }

    pub(super) async fn erase(
        &self,
        table: &str,
        pk: &str,
        prefix: Option<&str>,
        go_on: &impl Fn() -> bool,
    ) -> Result<(u64, bool), StoreError> {
        let mut erased = 0;
        loop {
            let answer = with_retries("Query for the purge", || async {
                self.client
                    .query()
                    .table_name(table)
                    .key_condition_expression(match prefix {
                        Some(_) => "pk = :pk AND begins_with(sk, :prefix)",
                        None => "pk = :pk",
                    })
                    .expression_attribute_values(":pk", s(pk))
                    .set_expression_attribute_values(Some(
                        std::iter::once((":pk".to_owned(), s(pk)))
                            .chain(prefix.map(|prefix| (":prefix".to_owned(), s(prefix))))
                            .collect(),
                    ))
                    .projection_expression("pk, sk")
                    .consistent_read(true)
                    .send()
                    .await
                    .map_err(|e| Fault::of(&e))
            })
            .await?;
            let items = answer.as_ref().map(|a| a.items()).unwrap_or_default();
            for chunk in items.chunks(BATCH) {
                self.delete_batch(table, chunk).await?;
                erased += chunk.len() as u64;
                if !go_on() {
                    return Ok((erased, false));
                }
            }
            if answer.is_none_or(|a| a.last_evaluated_key.is_none()) {
                return Ok((erased, true));
            }
        }
    }

    async fn delete_batch(&self, table: &str, items: &[Item]) -> Result<(), StoreError> {
        let mut requests = items
            .iter()
            .map(|item| {
                let delete = DeleteRequest::builder().set_key(Some(item.clone())).build();
                delete.map(|delete| WriteRequest::builder().delete_request(delete).build())
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| StoreError::Refused { action: "BatchWriteItem purge", chain: e.to_string() })?;
        while !requests.is_empty() {
            let answer = with_retries("BatchWriteItem purge", || async {
                let answer = self.client.batch_write_item().request_items(table, requests.clone()).send().await;
                answer.map_err(|e| Fault::of(&e))
            })
            .await?;
            requests = answer
                .and_then(|a| a.unprocessed_items)
                .and_then(|mut tables| tables.remove(table))
                .unwrap_or_default();
        }
        Ok(())
    }
}
