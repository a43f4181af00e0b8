//! The poller's state and its view of the time wheel: what is due in a minute. Accounts are, and so are messages that
//! wait for an account, and attempts to connect that nobody finished.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Fault, Item, Store, StoreError,
    item::{Reader, key_of, n, s},
    keys, with_retries,
};
use crate::domain::{
    ids::{AccountId, MergeLinkedAccountId, OrganizationId},
    message::AccountRef,
    progress::Progress,
};

/// What is found in a slot of the wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    Account {
        of: AccountRef,
        merge_id: MergeLinkedAccountId,
    },
    /// Messages wait for an account that is not ours yet.
    Parked(MergeLinkedAccountId),
    /// An attempt that was reserved at this time and not finished.
    Pending(Timestamp),
}

/// A page of a slot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DuePage {
    pub due: Vec<Due>,
    /// The item after which the next page begins; `None` after the last.
    pub next: Option<BTreeMap<String, String>>,
}

/// The poller's progress, with the version that it was read with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadProgress {
    pub progress: Progress,
    version: u64,
}

impl Store {
    /// How far the poller has come; `None` before its first run.
    pub async fn progress(&self) -> Result<Option<ReadProgress>, StoreError> {
        let Some(item) = self.get_account_item(&keys::tick()).await? else { return Ok(None) };
        let reader = Reader(&item);
        let text = reader.text("progress")?;
        let progress = serde_json::from_str(text).map_err(|error| reader.corrupt(format!("progress: {error}")))?;
        Ok(Some(ReadProgress { progress, version: reader.number("version")? }))
    }

    /// Writes the progress over the version it was read with. `false`: another run was faster, and this one's work will
    /// be done again, which does no harm.
    pub async fn put_progress(&self, read: Option<&ReadProgress>, progress: &Progress) -> Result<bool, StoreError> {
        let text = serde_json::to_string(progress)
            .map_err(|error| StoreError::Refused { action: "UpdateItem progress", chain: error.to_string() })?;
        let version = read.map_or(0, |read| read.version);
        let done = with_retries("UpdateItem progress", || async {
            self.client
                .update_item()
                .table_name(&self.accounts)
                .set_key(Some(key_of(&keys::tick())))
                .update_expression("SET #progress = :progress, #version = :next")
                .condition_expression("attribute_not_exists(pk) OR #version = :read")
                .expression_attribute_names("#progress", "progress")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":progress", s(text.clone()))
                .expression_attribute_values(":read", n(version))
                .expression_attribute_values(":next", n(version + 1))
                .send()
                .await
                .map_err(|e| Fault::of(&e))
        })
        .await?;
        Ok(done.is_some())
    }

    /// At most `limit` of what is in one slot. `after`: the item after which the page begins, `None` for the first.
    pub async fn due(
        &self,
        key: &str,
        after: Option<&BTreeMap<String, String>>,
        limit: usize,
    ) -> Result<DuePage, StoreError> {
        let start: Option<Item> =
            after.map(|after| after.iter().map(|(name, value)| (name.clone(), s(value.clone()))).collect());
        let answer = with_retries("Query due", || async {
            self.client
                .query()
                .table_name(&self.accounts)
                .index_name("due")
                .key_condition_expression("due = :due")
                .expression_attribute_values(":due", s(key))
                .set_exclusive_start_key(start.clone())
                .limit(i32::try_from(limit).unwrap_or(i32::MAX))
                .send()
                .await
                .map_err(|e| Fault::of(&e))
        })
        .await?;
        let Some(answer) = answer else { return Ok(DuePage::default()) };
        let due = answer.items.unwrap_or_default().iter().map(due_of).collect::<Result<_, _>>()?;
        let next = answer.last_evaluated_key.map(|key| {
            let texts = key.into_iter().filter_map(|(name, value)| Some((name, value.as_s().ok()?.clone())));
            texts.collect()
        });
        Ok(DuePage { due, next })
    }

    /// Puts an account whose wake has been sent back into the slot of its class. `false`: it has moved on meanwhile.
    pub async fn end_wake(&self, of: &AccountRef, wake: &str) -> Result<bool, StoreError> {
        let key = keys::account(&of.organization, of.account);
        let done = with_retries("UpdateItem end of wake", || async {
            self.client
                .update_item()
                .table_name(&self.accounts)
                .set_key(Some(key_of(&key)))
                // Raises the version, so that a writer who read the wake cannot write it back.
                .update_expression("SET due = due_class, #v = #v + :one")
                .condition_expression("due = :wake")
                .expression_attribute_names("#v", "version")
                .expression_attribute_values(":wake", s(wake))
                .expression_attribute_values(":one", n(1))
                .send()
                .await
                .map_err(|e| Fault::of(&e))
        })
        .await?;
        Ok(done.is_some())
    }
}

fn due_of(item: &Item) -> Result<Due, StoreError> {
    let reader = Reader(item);
    let (pk, sk) = (reader.text("pk")?, reader.text("sk")?);
    let corrupt = |error: &dyn std::fmt::Display| reader.corrupt(error.to_string());
    if let Some(merge_id) = pk.strip_prefix(keys::prefix::PARKED) {
        return Ok(Due::Parked(MergeLinkedAccountId::parse(merge_id).map_err(|error| corrupt(&error))?));
    }
    if sk.starts_with(keys::prefix::PENDING) {
        return Ok(Due::Pending(reader.text("due_at")?.parse().map_err(|error: jiff::Error| corrupt(&error))?));
    }
    let merge_id = MergeLinkedAccountId::parse(reader.text("merge_id")?).map_err(|error| corrupt(&error))?;
    Ok(Due::Account { of: account_of_entry(item)?, merge_id })
}

/// The account that an entry of the index stands for.
pub(super) fn account_of_entry(item: &Item) -> Result<AccountRef, StoreError> {
    let reader = Reader(item);
    let (pk, sk) = (reader.text("pk")?, reader.text("sk")?);
    let organization = pk.strip_prefix(keys::prefix::ORGANIZATION).unwrap_or(pk);
    let account = sk.strip_prefix(keys::prefix::ACCOUNT).unwrap_or(sk);
    Ok(AccountRef {
        organization: OrganizationId::parse(organization).map_err(|e| reader.corrupt(e.to_string()))?,
        account: AccountId::parse(account).map_err(|e| reader.corrupt(e.to_string()))?,
    })
}
