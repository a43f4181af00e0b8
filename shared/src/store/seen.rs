//! What a full read has seen: the record keys of each page, packed, until its sweep. And what the sweep compares them
//! with: the heads of the stored records, shard by shard.

use std::{borrow::Cow, collections::HashSet};

use super::{
    Fault, Item, Store, StoreError,
    item::{Reader, b, key_of, n, s},
    keys,
    records::stored_of,
    rows::From,
    with_retries,
};
use crate::domain::{change::Stored, endpoint::Endpoint, ids::AccountId, record::ContentHash};

/// Far above the keys of one page.
const LARGEST_PAGE: usize = 1 << 20;

/// Rows read at a time.
const ROWS: usize = 50;

/// Record keys that were seen, by their hashes: half a SHA-256 is not met twice.
#[derive(Debug, Default)]
pub struct SeenKeys(HashSet<[u8; 16]>);

impl SeenKeys {
    pub fn add(&mut self, key: &str) {
        self.0.insert(ContentHash::of(key.as_bytes()).0);
    }

    pub fn contains(&self, key: &str) -> bool {
        self.0.contains(&ContentHash::of(key.as_bytes()).0)
    }
}

/// Record keys with what is stored of them, and whether there are more.
pub type Heads = (Vec<(String, Stored)>, bool);

impl Store {
    /// Notes the keys of one page of one worker; the same page again replaces them. `expires_at`: Unix seconds, for a
    /// generation that nobody finishes.
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
        let corrupt = |fault: String| StoreError::corrupt(&key, fault);
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

    /// Which of one shard's keys a full read has seen, from its page `from` on. One row is held at a time, and of each
    /// key its hash, so that a large model's sweep fits in little memory.
    pub async fn seen(
        &self,
        account: AccountId,
        endpoint: &Endpoint,
        generation: u64,
        from: u64,
        shard: u8,
    ) -> Result<SeenKeys, StoreError> {
        let partition = keys::account_partition(account);
        let prefix = keys::seen_prefix(endpoint, generation);
        let mut seen = SeenKeys::default();
        let mut last = (from > 0).then(|| keys::seen_before(endpoint, generation, from));
        loop {
            let rows = self.rows("seen", &partition, &prefix, From::Start(last.as_deref()), ROWS).await?;
            for item in &rows.items {
                let reader = Reader(item);
                let json = zstd::bulk::decompress(reader.bytes("keys")?, LARGEST_PAGE)
                    .map_err(|e| reader.corrupt(format!("keys: {e}")))?;
                let page: Vec<Cow<'_, str>> =
                    serde_json::from_slice(&json).map_err(|e| reader.corrupt(format!("keys: {e}")))?;
                page.iter().filter(|key| keys::shard_of(endpoint, key) == shard).for_each(|key| seen.add(key));
            }
            last = rows.last;
            if last.is_none() {
                return Ok(seen);
            }
        }
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
    ) -> Result<Heads, StoreError> {
        self.heads(keys::record_shard(account, endpoint, shard), "", after).await
    }

    /// Heads of the records below one parent in a nested list, as [`Store::shard_heads`] gives them.
    pub async fn heads_below(
        &self,
        account: AccountId,
        endpoint: &Endpoint,
        parent: &str,
        after: Option<&str>,
    ) -> Result<Heads, StoreError> {
        let below = keys::below(parent);
        let shard = keys::shard_of(endpoint, &below);
        self.heads(keys::record_shard(account, endpoint, shard), &below, after).await
    }

    async fn heads(&self, pk: String, prefix: &str, after: Option<&str>) -> Result<Heads, StoreError> {
        let start = after.map(|sk| Item::from([("pk".to_owned(), s(&pk)), ("sk".to_owned(), s(sk))]));
        let answer = with_retries("Query heads", || async {
            self.client
                .query()
                .table_name(&self.records)
                .key_condition_expression(match prefix {
                    "" => "pk = :pk",
                    _ => "pk = :pk AND begins_with(sk, :prefix)",
                })
                .set_expression_attribute_values(Some(
                    std::iter::once((":pk".to_owned(), s(&pk)))
                        .chain((!prefix.is_empty()).then(|| (":prefix".to_owned(), s(prefix))))
                        .collect(),
                ))
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
