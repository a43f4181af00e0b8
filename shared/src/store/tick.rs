//! The poller's state and its view of the time wheel: which accounts are due in a minute.

use super::{
    Fault, Item, Store, StoreError,
    item::{Reader, key_of, n, s},
    keys, with_retries,
};
use crate::domain::{
    ids::{AccountId, MergeLinkedAccountId, OrganizationId},
    message::AccountRef,
};

/// An account found in a slot of the wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueAccount {
    pub of: AccountRef,
    pub merge_id: MergeLinkedAccountId,
}

/// A page of a slot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DuePage {
    pub accounts: Vec<DueAccount>,
    next: Option<Item>,
}

impl DuePage {
    pub fn has_more(&self) -> bool {
        self.next.is_some()
    }
}

impl Store {
    /// The last minute that was polled to its end.
    pub async fn last_tick(&self) -> Result<Option<i64>, StoreError> {
        let item = self.get_account_item(&keys::tick()).await?;
        item.map(|item| Reader(&item).number("minute")).transpose()
    }

    /// Moves the last tick forward, never back: overlapping runs are harmless.
    pub async fn put_tick(&self, minute: i64) -> Result<(), StoreError> {
        with_retries("UpdateItem tick", || async {
            self.client
                .update_item()
                .table_name(&self.accounts)
                .set_key(Some(key_of(&keys::tick())))
                .update_expression("SET #m = :m")
                .condition_expression("attribute_not_exists(pk) OR #m < :m")
                .expression_attribute_names("#m", "minute")
                .expression_attribute_values(":m", n(minute))
                .send()
                .await
                .map_err(|e| Fault::of(&e))
        })
        .await
        .map(|_| ())
    }

    /// Accounts in one slot. `after`: the page before, `None` for the first.
    pub async fn due(&self, key: &str, after: Option<&DuePage>) -> Result<DuePage, StoreError> {
        let start = after.and_then(|page| page.next.clone());
        let answer = with_retries("Query due", || async {
            self.client
                .query()
                .table_name(&self.accounts)
                .index_name("due")
                .key_condition_expression("due = :due")
                .expression_attribute_values(":due", s(key))
                .set_exclusive_start_key(start.clone())
                .send()
                .await
                .map_err(|e| Fault::of(&e))
        })
        .await?;
        let Some(answer) = answer else { return Ok(DuePage::default()) };
        let items = answer.items.unwrap_or_default();
        let accounts = items.iter().map(due_of).collect::<Result<_, _>>()?;
        Ok(DuePage { accounts, next: answer.last_evaluated_key })
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

fn due_of(item: &Item) -> Result<DueAccount, StoreError> {
    let reader = Reader(item);
    Ok(DueAccount {
        of: account_of_entry(item)?,
        merge_id: MergeLinkedAccountId::parse(reader.text("merge_id")?).map_err(|e| reader.corrupt(e.to_string()))?,
    })
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
