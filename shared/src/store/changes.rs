//! The change feed: committed blocks in order. A block exists only if its page was committed, so whatever is here is
//! final; it is read consistently, so that a reader who waits at the end misses nothing.

use jiff::Timestamp;

use super::{
    Fault, Item, Store, StoreError,
    item::{Reader, s},
    keys, with_retries,
};
use crate::domain::{
    change::{Change, Tag},
    endpoint::Endpoint,
    ids::AccountId,
};

/// One committed block of the change feed.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeBlock {
    pub tag: Tag,
    pub at: Timestamp,
    pub changes: Vec<Change>,
}

impl Store {
    /// Blocks of an endpoint's change feed after `after`, oldest first, committed ones only, at most `limit`.
    /// `after: None` begins at the oldest kept.
    pub async fn changes(
        &self,
        account: AccountId,
        endpoint: &Endpoint,
        after: Option<Tag>,
        limit: i32,
    ) -> Result<Vec<ChangeBlock>, StoreError> {
        let prefix = keys::change_prefix(endpoint);
        // `~` sorts after every digit: the end of the prefix.
        let (from, to) = (after.map_or(prefix.clone(), |tag| format!("{prefix}{tag}~")), format!("{prefix}~"));
        let answer = with_retries("Query changes", || async {
            self.client
                .query()
                .table_name(&self.accounts)
                .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
                .expression_attribute_values(":pk", s(keys::account_partition(account)))
                .expression_attribute_values(":from", s(&from))
                .expression_attribute_values(":to", s(&to))
                .consistent_read(true)
                .limit(limit)
                .send()
                .await
                .map_err(|e| Fault::of(&e))
        })
        .await?;
        answer.map(|a| a.items.unwrap_or_default()).unwrap_or_default().iter().map(|i| block_of(i, &prefix)).collect()
    }

    /// The last committed tag of an endpoint: where a reader that begins now stands.
    pub async fn last_change(&self, account: AccountId, endpoint: &Endpoint) -> Result<Option<Tag>, StoreError> {
        let prefix = keys::change_prefix(endpoint);
        let answer = with_retries("Query last change", || async {
            self.client
                .query()
                .table_name(&self.accounts)
                .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
                .expression_attribute_values(":pk", s(keys::account_partition(account)))
                .expression_attribute_values(":prefix", s(&prefix))
                .consistent_read(true)
                .scan_index_forward(false)
                .limit(1)
                .send()
                .await
                .map_err(|e| Fault::of(&e))
        })
        .await?;
        let items = answer.and_then(|a| a.items).unwrap_or_default();
        items.first().map(|item| block_of(item, &prefix).map(|block| block.tag)).transpose()
    }
}

/// Far above a block of one page or of one sweep.
const LARGEST_BLOCK: usize = 4 << 20;

fn block_of(item: &Item, prefix: &str) -> Result<ChangeBlock, StoreError> {
    let reader = Reader(item);
    let unpack = || -> Result<Vec<Change>, String> {
        let packed = reader.bytes("changes").map_err(|e| e.to_string())?;
        let json = zstd::bulk::decompress(packed, LARGEST_BLOCK).map_err(|e| e.to_string())?;
        serde_json::from_slice(&json).map_err(|e| e.to_string())
    };
    Ok(ChangeBlock {
        tag: reader.text("sk")?.trim_start_matches(prefix).parse().map_err(|_| reader.corrupt("sk"))?,
        at: reader.text("at")?.parse().map_err(|_| reader.corrupt("at"))?,
        changes: unpack().map_err(|fault| reader.corrupt(fault))?,
    })
}
