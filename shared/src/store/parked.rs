//! Parked messages: webhooks about an account of Merge's that is not ours yet, kept for the moment in which it is.
//!
//! Merge may report an issue, or the link itself, before our exchange has completed. The caller parks a message only
//! if its origin id names a reservation that stands; so nobody fills the table with accounts that will never be ours.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Item, Store, StoreError,
    item::Reader,
    keys,
    rows::{Condition, From, decode, encode, expired, expiring},
};
use crate::domain::{ids::MergeLinkedAccountId, time};

/// How long a message waits for its account.
pub const PATIENCE: SignedDuration = SignedDuration::from_hours(24);
/// How long the row stays after that, so that whoever looks after it sees its end.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(48);
/// The most messages that are kept for one account.
const MOST: usize = 100;

/// A message that waits, as it stood on the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Names the row.
    pub hash: String,
    /// The queue body: [`Message`](crate::domain::message::Message) as JSON.
    pub body: String,
    pub parked_at: Timestamp,
}

impl Parked {
    /// Nobody will come for it any more.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        now.duration_since(self.parked_at) >= PATIENCE
    }
}

#[derive(Serialize, Deserialize)]
struct ParkedItem {
    body: String,
    parked_at: Timestamp,
    /// Its place in the time wheel: the poller has it looked at again and again.
    due: String,
    due_at: String,
    merge_id: MergeLinkedAccountId,
}

impl Store {
    /// Keeps a message, to be looked at in the slot `due` of the time wheel. The same one twice is one, and keeps its
    /// age.
    pub async fn park(
        &self,
        merge_id: &MergeLinkedAccountId,
        body: &str,
        due: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let hash = Sha256::digest(body.as_bytes());
        let hash: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let item = ParkedItem {
            body: body.to_owned(),
            parked_at: now,
            due: due.to_owned(),
            due_at: time::fixed(now),
            merge_id: merge_id.clone(),
        };
        let item = encode(&keys::parked(merge_id, &hash), &item)?;
        let until = now.saturating_add(PATIENCE + REMEMBERED).unwrap_or(Timestamp::MAX);
        let condition = Condition::new("attribute_not_exists(pk)");
        self.put_row("park", expiring(item, until), Some(condition)).await?;
        Ok(())
    }

    /// The messages that wait for the account. Remove each with [`unpark`](Self::unpark) once it is done.
    pub async fn parked(&self, merge_id: &MergeLinkedAccountId, now: Timestamp) -> Result<Vec<Parked>, StoreError> {
        let rows = self.rows("parked", &keys::parked_partition(merge_id), "#", From::Start(None), MOST).await?;
        let read = |item: Item| {
            let hash = Reader(&item).text("sk")?.trim_start_matches('#').to_owned();
            let row: ParkedItem = decode(item)?;
            Ok(Parked { hash, body: row.body, parked_at: row.parked_at })
        };
        rows.items.into_iter().filter(|item| !expired(item, now)).map(read).collect()
    }

    /// Removes a message.
    pub async fn unpark(&self, merge_id: &MergeLinkedAccountId, hash: &str) -> Result<(), StoreError> {
        self.delete_row("unpark", &keys::parked(merge_id, hash), None).await?;
        Ok(())
    }

    /// Removes every message of an account that is being erased, expired ones too.
    pub async fn erase_parked(&self, merge_id: &MergeLinkedAccountId) -> Result<(), StoreError> {
        loop {
            let rows =
                self.rows("erase_parked", &keys::parked_partition(merge_id), "#", From::Start(None), MOST).await?;
            for item in &rows.items {
                self.unpark(merge_id, Reader(item).text("sk")?.trim_start_matches('#')).await?;
            }
            if rows.last.is_none() {
                return Ok(());
            }
        }
    }
}
