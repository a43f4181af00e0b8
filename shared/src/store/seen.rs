//! What a full read has seen: the record keys of each page, packed, until its sweep. And what the sweep compares them
//! with: the heads of the stored records, shard by shard.

use std::collections::HashSet;

use super::{
    Fault, Item, Store, StoreError,
    item::{Reader, b, key_of, n, s},
    keys,
    records::stored_of,
    with_retries,
};
use crate::domain::{change::Stored, endpoint::Endpoint, ids::AccountId};

/// Far above the keys of one page.
const LARGEST_PAGE: usize = 1 << 20;

impl Store {
    /// Notes the keys of one page of one worker; the same page again replaces them. `expires_at`: Unix seconds, for a generation that
    /// nobody finishes.
    pub async fn put_seen(
        &self,
        account: AccountId,
        endpoint: &Endpoint,
        generation: u64,
        (epoch, page): (u64, u64),
        seen: &[&str],
        expires_at: i64,
    ) -> Result<(), StoreError> {
        let key = keys::seen(account, endpoint, generation, epoch, page);
        let corrupt = |fault: String| StoreError::Corrupt { key: Box::new(key.clone()), fault };
        let json = serde_json::to_vec(seen).map_err(|e| corrupt(e.to_string()))?;
        let packed = zstd::bulk::compress(&json, 3).map_err(|e| corrupt(e.to_string()))?;
        let mut item = key_of(&key);
        item.insert("keys".to_owned(), b(packed));
        item.insert("ttl".to_owned(), n(expires_at));
        with_retries("PutItem seen", || async {
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

    /// The keys of one shard that a full read has seen.
    pub async fn seen(
        &self,
        account: AccountId,
        endpoint: &Endpoint,
        generation: u64,
        shard: u8,
    ) -> Result<HashSet<String>, StoreError> {
        let prefix = keys::seen_prefix(endpoint, generation);
        let items = self.query_prefix(&keys::account_partition(account), &prefix).await?;
        let mut seen = HashSet::new();
        for item in &items {
            let reader = Reader(item);
            let json = zstd::bulk::decompress(reader.bytes("keys")?, LARGEST_PAGE)
                .map_err(|e| reader.corrupt(format!("keys: {e}")))?;
            let page: Vec<String> = serde_json::from_slice(&json).map_err(|e| reader.corrupt(format!("keys: {e}")))?;
            seen.extend(page.into_iter().filter(|key| keys::shard_of(key) == shard));
        }
        Ok(seen)
    }

    /// Forgets what a finished full read has seen.
    pub async fn erase_seen(&self, account: AccountId, endpoint: &Endpoint, generation: u64) -> Result<(), StoreError> {
        let prefix = keys::seen_prefix(endpoint, generation);
        self.erase(&self.accounts, &keys::account_partition(account), Some(&prefix), &|| true).await.map(|_| ())
    }

    /// Heads of one shard's records in key order, read consistently. `after`: the key before. The flag says whether
    /// the shard has more.
    pub async fn shard_heads(
        &self,
        account: AccountId,
        endpoint: &Endpoint,
        shard: u8,
        after: Option<&str>,
    ) -> Result<(Vec<(String, Stored)>, bool), StoreError> {
        let pk = keys::record_shard(account, endpoint, shard);
        let start = after.map(|sk| Item::from([("pk".to_owned(), s(&pk)), ("sk".to_owned(), s(sk))]));
        let answer = with_retries("Query heads", || async {
            self.client
                .query()
                .table_name(&self.records)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", s(&pk))
                .projection_expression("pk, sk, m, x, h, t, w")
                .consistent_read(true)
                .set_exclusive_start_key(start.clone())
                .send()
                .await
                .map_err(|e| Fault::of(&e))
        })
        .await?;
        let Some(answer) = answer else { return Ok((Vec::new(), false)) };
        let more = answer.last_evaluated_key.is_some();
        let items = answer.items.unwrap_or_default();
        let heads = items.iter().map(|item| Ok((Reader(item).text("sk")?.to_owned(), stored_of(item)?)));
        Ok((heads.collect::<Result<_, StoreError>>()?, more))
    }
}
