//! What only operators ask: every account of the stack, wherever it is. No function calls this; serving needs no scan.
//!
//! The sparse index `due` holds a small entry per account (its keys and Merge's id), so that reading all of it costs a
//! hundredth of what reading the table would. It trails the table by moments.

use aws_sdk_dynamodb::types::KeysAndAttributes;

use super::{
    Fault, Item, Store, StoreError,
    account_item::from_item,
    item::{key_of, s},
    keys::{self, prefix},
    linking::OwnerItem,
    rows::{Condition, Put, encode},
    tick::account_of_entry,
    with_retries,
};
use crate::domain::{
    account::LinkedAccount,
    ids::{AccountId, MergeLinkedAccountId},
    message::AccountRef,
    schedule::{Due, PollClass},
};

/// A page of the index over all accounts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IndexPage {
    pub accounts: Vec<AccountRef>,
    next: Option<Item>,
}

impl IndexPage {
    pub fn has_more(&self) -> bool {
        self.next.is_some()
    }
}

/// Keys of one BatchGetItem.
const BATCH: usize = 100;
/// Entries of the index that are read at once.
const ENTRIES: i32 = 1_000;

impl Store {
    /// Every account of the stack, page by page, in no order. `after`: the page before, `None` for the first. A page
    /// may be empty and yet have a next: the index holds other rows too.
    pub async fn every_account(&self, after: Option<&IndexPage>, limit: i32) -> Result<IndexPage, StoreError> {
        let start = after.and_then(|page| page.next.clone());
        let answer = with_retries("Scan due", || async {
            let scan = self.client.scan().table_name(&self.accounts).index_name("due").limit(limit);
            let scan = scan
                .filter_expression("begins_with(sk, :account)")
                .expression_attribute_values(":account", s(prefix::ACCOUNT))
                .set_exclusive_start_key(start.clone());
            scan.send().await.map_err(|error| Fault::of(&error))
        });
        let Some(answer) = answer.await? else { return Ok(IndexPage::default()) };
        let accounts = answer.items.unwrap_or_default().iter().map(account_of_entry).collect::<Result<_, _>>()?;
        Ok(IndexPage { accounts, next: answer.last_evaluated_key })
    }

    /// Whose account this is. First the slots of the time wheel that its id can be in, then, for an account that
    /// waits for a wake, the whole index.
    pub async fn locate(&self, id: AccountId) -> Result<Option<AccountRef>, StoreError> {
        for class in PollClass::ALL {
            if let Some(found) = self.locate_in(&Due::every(class, id).key, id).await? {
                return Ok(Some(found));
            }
        }
        let mut page: Option<IndexPage> = None;
        loop {
            let read = self.every_account(page.as_ref(), ENTRIES).await?;
            if let Some(found) = read.accounts.iter().find(|of| of.account == id) {
                return Ok(Some(found.clone()));
            }
            if !read.has_more() {
                return Ok(None);
            }
            page = Some(read);
        }
    }

    async fn locate_in(&self, slot: &str, id: AccountId) -> Result<Option<AccountRef>, StoreError> {
        let mut start = None;
        loop {
            let answer = with_retries("Query due", || async {
                let query = self.client.query().table_name(&self.accounts).index_name("due");
                let query = query
                    .key_condition_expression("due = :due")
                    .filter_expression("sk = :sk")
                    .expression_attribute_values(":due", s(slot))
                    .expression_attribute_values(":sk", s(format!("{}{id}", prefix::ACCOUNT)))
                    .set_exclusive_start_key(start.clone());
                query.send().await.map_err(|error| Fault::of(&error))
            });
            let Some(answer) = answer.await? else { return Ok(None) };
            if let Some(found) = answer.items.unwrap_or_default().first() {
                return account_of_entry(found).map(Some);
            }
            start = answer.last_evaluated_key;
            if start.is_none() {
                return Ok(None);
            }
        }
    }

    /// The accounts themselves, read consistently; those that are gone are left out.
    pub async fn accounts_by_ref(&self, refs: &[AccountRef]) -> Result<Vec<LinkedAccount>, StoreError> {
        let mut found = Vec::with_capacity(refs.len());
        for chunk in refs.chunks(BATCH) {
            let mut wanted: Vec<Item> =
                chunk.iter().map(|of| key_of(&keys::account(&of.organization, of.account))).collect();
            while !wanted.is_empty() {
                let answer = with_retries("BatchGetItem accounts", || async {
                    let request = KeysAndAttributes::builder().set_keys(Some(wanted.clone())).consistent_read(true);
                    let request = request.build().map_err(|error| Fault::Fatal(error.to_string()))?;
                    let get = self.client.batch_get_item().request_items(&self.accounts, request);
                    get.send().await.map_err(|error| Fault::of(&error))
                });
                let Some(answer) = answer.await? else { break };
                let items = answer.responses.and_then(|mut tables| tables.remove(&self.accounts)).unwrap_or_default();
                found.extend(items.into_iter().map(from_item).collect::<Result<Vec<_>, _>>()?);
                let left = answer.unprocessed_keys.and_then(|mut keys| keys.remove(&self.accounts));
                wanted = left.map(|keys| keys.keys).unwrap_or_default();
            }
        }
        Ok(found)
    }

    /// Writes the owner row of an account whose own is missing. `false`: there is one, of whatever account.
    pub async fn restore_owner(&self, merge_id: &MergeLinkedAccountId, of: &AccountRef) -> Result<bool, StoreError> {
        let owner = OwnerItem { organization: of.organization.clone(), account: of.account };
        let nobody = Condition::new("attribute_not_exists(pk)");
        let put = self.put_row("restore_owner", encode(&keys::owner(merge_id), &owner)?, Some(nobody)).await?;
        Ok(matches!(put, Put::Written(_)))
    }

    /// Removes an owner row that leads to no account. Nothing happens to a row that names another.
    pub async fn erase_owner(&self, merge_id: &MergeLinkedAccountId, of: &AccountRef) -> Result<(), StoreError> {
        let condition = Condition::new("#organization = :organization AND #account = :account")
            .value(":organization", s(of.organization.as_str()))
            .value(":account", s(of.account.to_string()));
        self.delete_row("erase_owner", &keys::owner(merge_id), Some(condition)).await?;
        Ok(())
    }
}
