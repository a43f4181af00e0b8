//! Records: Merge's objects, byte for byte, compressed. A record larger than an item is stored in parts, written
//! before their head and named by the content they belong to and by how it is packed.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures::future::try_join_all;

use super::{
    Fault, Item, Store, StoreError,
    item::{Reader, b, key_of, n, s},
    keys, packing, with_retries,
};
use crate::domain::{
    change::{Presence, Stored, Tag},
    endpoint::Endpoint,
    ids::AccountId,
    record::Incoming,
};

/// DynamoDB's item limit is 400 KB, key and attributes included.
const LARGEST_INLINE: usize = 380_000;

/// Keys of one BatchGetItem.
const BATCH: usize = 100;

/// A record as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub key: String,
    pub modified_at: String,
    pub deleted: bool,
    /// Merge's JSON.
    pub data: String,
}

/// A record as it lies in its row: packed, its content perhaps in parts. What is small here may be large once it is
/// opened: so many are read at once, and each is opened when it is needed.
#[derive(Debug, Clone, PartialEq)]
pub struct PackedRecord {
    pub key: String,
    pub deleted: bool,
    item: Item,
}

impl Store {
    /// What is stored of these records, without their content; read consistently. `keys` are distinct.
    pub async fn stored(
        &self,
        account: AccountId,
        endpoint: &Endpoint,
        keys: &[&str],
    ) -> Result<HashMap<String, Stored>, StoreError> {
        let items = self.batch_get(account, endpoint, keys, Some("pk, sk, m, x, h, t, w")).await?;
        items.iter().map(|item| Ok((Reader(item).text("sk")?.to_owned(), stored_of(item)?))).collect()
    }

    /// The records themselves; absent ones are left out.
    pub async fn records(
        &self,
        account: AccountId,
        endpoint: &Endpoint,
        keys: &[&str],
    ) -> Result<HashMap<String, PackedRecord>, StoreError> {
        let items = self.batch_get(account, endpoint, keys, None).await?;
        items.into_iter().map(|item| packed(item).map(|record| (record.key.clone(), record))).collect()
    }

    /// Stores a version of a record. `false`: a newer one is there, or one of a later worker.
    pub async fn put_record(
        &self,
        account: AccountId,
        endpoint: &Endpoint,
        incoming: &Incoming<'_>,
        tag: Tag,
        was: Presence,
    ) -> Result<bool, StoreError> {
        let key = keys::record(account, endpoint, &incoming.key);
        let mut packed = packing::pack(incoming.bytes.as_bytes()).map_err(|e| StoreError::corrupt(&key, e))?;
        let mut item = key_of(&key);
        if packed.len() > LARGEST_INLINE {
            let parts = packed.chunks(LARGEST_INLINE).enumerate();
            let hash = incoming.hash.to_string();
            try_join_all(parts.map(|(part, bytes)| {
                let name = (hash.as_str(), Some(packing::CURRENT));
                let mut item = key_of(&keys::part(account, endpoint, &incoming.key, name, part));
                item.insert("d".to_owned(), b(bytes.to_vec()));
                self.put_part(item)
            }))
            .await?;
            item.insert("p".to_owned(), n(packed.len().div_ceil(LARGEST_INLINE)));
            packed = Vec::new();
        }
        item.extend([
            ("m".to_owned(), s(&incoming.modified_at)),
            ("x".to_owned(), AttributeValue::Bool(incoming.deleted)),
            ("h".to_owned(), b(incoming.hash.0.to_vec())),
            ("e".to_owned(), n(tag.epoch)),
            ("t".to_owned(), s(tag.to_string())),
            ("w".to_owned(), s(was.letter())),
            ("z".to_owned(), n(packing::CURRENT)),
            ("d".to_owned(), b(packed)),
        ]);
        let put = with_retries("PutItem record", || async {
            self.client
                .put_item()
                .table_name(&self.records)
                .set_item(Some(item.clone()))
                .condition_expression("attribute_not_exists(pk) OR m < :m OR (m = :m AND e <= :e)")
                .expression_attribute_values(":m", s(&incoming.modified_at))
                .expression_attribute_values(":e", n(tag.epoch))
                .send()
                .await
                .map_err(|e| Fault::of(&e))
        })
        .await?;
        Ok(put.is_some())
    }

    async fn put_part(&self, item: Item) -> Result<(), StoreError> {
        with_retries("PutItem part", || async {
            self.client
                .put_item()
                .table_name(&self.records)
                .set_item(Some(item.clone()))
                .send()
                .await
                .map_err(|e| Fault::of(&e))
        })
        .await
        .map(|_| ())
    }

    /// Records of one shard in key order after `after`, at most `limit`, and no more than a megabyte as they are
    /// stored. The flag says whether the shard has more.
    pub async fn shard_page(
        &self,
        account: AccountId,
        endpoint: &Endpoint,
        shard: u8,
        after: Option<&str>,
        limit: i32,
    ) -> Result<(Vec<PackedRecord>, bool), StoreError> {
        let pk = keys::record_shard(account, endpoint, shard);
        let start = after.map(|sk| Item::from([("pk".to_owned(), s(&pk)), ("sk".to_owned(), s(sk))]));
        let answer = with_retries("Query records", || async {
            self.client
                .query()
                .table_name(&self.records)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", s(&pk))
                .set_exclusive_start_key(start.clone())
                .limit(limit)
                .send()
                .await
                .map_err(|e| Fault::of(&e))
        })
        .await?;
        let Some(answer) = answer else { return Ok((Vec::new(), false)) };
        let more = answer.last_evaluated_key.is_some();
        let records = answer.items.unwrap_or_default().into_iter().map(packed).collect::<Result<_, _>>()?;
        Ok((records, more))
    }

    async fn batch_get(
        &self,
        account: AccountId,
        endpoint: &Endpoint,
        record_keys: &[&str],
        projection: Option<&str>,
    ) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::with_capacity(record_keys.len());
        for chunk in record_keys.chunks(BATCH) {
            let mut wanted: Vec<Item> = chunk.iter().map(|k| key_of(&keys::record(account, endpoint, k))).collect();
            while !wanted.is_empty() {
                let answer = with_retries("BatchGetItem records", || async {
                    let request = KeysAndAttributes::builder()
                        .set_keys(Some(wanted.clone()))
                        .set_projection_expression(projection.map(str::to_owned))
                        .consistent_read(true)
                        .build()
                        .map_err(|e| Fault::Fatal(e.to_string()))?;
                    self.client
                        .batch_get_item()
                        .request_items(&self.records, request)
                        .send()
                        .await
                        .map_err(|e| Fault::of(&e))
                })
                .await?;
                let Some(answer) = answer else { break };
                found.extend(answer.responses.and_then(|mut r| r.remove(&self.records)).unwrap_or_default());
                wanted = answer
                    .unprocessed_keys
                    .and_then(|mut keys| keys.remove(&self.records))
                    .map(|keys| keys.keys)
                    .unwrap_or_default();
            }
        }
        Ok(found)
    }

    /// Opens a record.
    pub async fn open(
        &self,
        account: AccountId,
        endpoint: &Endpoint,
        record: &PackedRecord,
    ) -> Result<Record, StoreError> {
        let PackedRecord { key, deleted, item } = record;
        let reader = Reader(item);
        let dictionary: Option<u32> = item.get("z").map(|_| reader.number("z")).transpose()?;
        let packed = match item.get("p") {
            None => reader.bytes("d")?.to_vec(),
            Some(_) => {
                let hash: String = reader.bytes("h")?.iter().map(|byte| format!("{byte:02x}")).collect();
                let parts = (0..reader.number::<usize>("p")?).map(|part| {
                    let key = keys::part(account, endpoint, key, (hash.as_str(), dictionary), part);
                    async move { self.get_part(&key).await }
                });
                try_join_all(parts).await?.concat()
            }
        };
        let data = packing::unpack(&packed, dictionary).map_err(|e| reader.corrupt(format!("d: {e}")))?;
        Ok(Record {
            modified_at: reader.text("m")?.to_owned(),
            deleted: *deleted,
            data: String::from_utf8(data).map_err(|e| reader.corrupt(format!("d: {e}")))?,
            key: key.clone(),
        })
    }

    async fn get_part(&self, key: &keys::Key) -> Result<Vec<u8>, StoreError> {
        let answer = with_retries("GetItem part", || async {
            self.client
                .get_item()
                .table_name(&self.records)
                .set_key(Some(key_of(key)))
                .consistent_read(true)
                .send()
                .await
                .map_err(|e| Fault::of(&e))
        })
        .await?;
        let missing = || StoreError::corrupt(key, "part is missing");
        let item = answer.and_then(|a| a.item).ok_or_else(missing)?;
        Ok(Reader(&item).bytes("d")?.to_vec())
    }
}

fn packed(item: Item) -> Result<PackedRecord, StoreError> {
    let reader = Reader(&item);
    Ok(PackedRecord { key: reader.text("sk")?.to_owned(), deleted: reader.flag("x"), item })
}

pub(super) fn stored_of(item: &Item) -> Result<Stored, StoreError> {
    let reader = Reader(item);
    Ok(Stored {
        hash: reader.bytes("h")?.try_into().map_err(|_| reader.corrupt("h"))?,
        modified_at: reader.text("m")?.to_owned(),
        deleted: reader.flag("x"),
        tag: reader.text("t")?.parse().map_err(|_| reader.corrupt("t"))?,
        was: Presence::of_letter(reader.text("w")?).ok_or_else(|| reader.corrupt("w"))?,
    })
}
