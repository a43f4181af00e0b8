//! Completing a link: the one transaction in which a reservation becomes a linked account; and its end, in which the
//! last rows of an account go.
//!
//! The account row, the owner row and the slot change together or not at all. The owner row makes a Merge account
//! belong to one organization; the account row makes a reservation complete once; the slot makes sure that it is the
//! reservation which stands.

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem, Update};
use serde::{Deserialize, Serialize};

use super::{
    Store, StoreError,
    account_item::to_item,
    item::{key_of, s},
    keys::{self, Key},
    rows::{Condition, decode, encode, names},
};
use crate::domain::{
    account::LinkedAccount,
    category::Category,
    ids::{AccountId, MergeLinkedAccountId, OrganizationId},
    message::AccountRef,
};

/// What came of completing a link.
#[derive(Debug, Clone, PartialEq)]
pub enum Completion {
    /// The account is connected now.
    Created(LinkedAccount),
    /// Another exchange, or the webhook, completed the same link before.
    Existing(LinkedAccount),
    /// Merge's account belongs to another account of ours, of whatever organization.
    Owned(AccountRef),
    /// The reservation is no longer the one that the account was made from.
    ReservationGone,
}

#[derive(Serialize, Deserialize)]
pub(super) struct OwnerItem {
    pub(super) organization: OrganizationId,
    pub(super) account: AccountId,
}

impl Store {
    /// Which of our accounts Merge's account is.
    pub async fn owner(&self, merge_id: &MergeLinkedAccountId) -> Result<Option<AccountRef>, StoreError> {
        let Some(item) = self.row("owner", &keys::owner(merge_id)).await? else { return Ok(None) };
        let owner: OwnerItem = decode(item)?;
        Ok(Some(AccountRef { organization: owner.organization, account: owner.account }))
    }

    /// Turns the pending reservation of the account's id into the account. Repeating it answers `Existing`.
    pub async fn complete_link(&self, account: &LinkedAccount) -> Result<Completion, StoreError> {
        let item = to_item(account)?;
        let owner_key = keys::owner(&account.merge_id);
        let owner = OwnerItem { organization: account.organization.clone(), account: account.id };
        let owner = encode(&owner_key, &owner)?;
        let slot_key = keys::pending(&account.organization, account.category);
        let owned_by_us =
            Condition::new("attribute_not_exists(pk) OR (#organization = :organization AND #account = :account)")
                .value(":organization", s(account.organization.as_str()))
                .value(":account", s(account.id.to_string()));
        let reserved = Condition::new("#account = :account AND #state = :pending")
            .value(":account", s(account.id.to_string()))
            .value(":pending", s("pending"))
            .value(":connected", s("connected"));
        let take_slot = "SET #state = :connected REMOVE #due, #due_at";

        let built = || {
            let account = Put::builder().table_name(&self.accounts).set_item(Some(item.clone()));
            let account = account.condition_expression("attribute_not_exists(pk)").build();
            let owner = Put::builder().table_name(&self.accounts).set_item(Some(owner.clone()));
            let owner = owner
                .condition_expression(owned_by_us.expression)
                .set_expression_attribute_names(names(owned_by_us.expression))
                .set_expression_attribute_values(owned_by_us.values())
                .build();
            let slot = Update::builder().table_name(&self.accounts).set_key(Some(key_of(&slot_key)));
            let slot = slot
                .update_expression(take_slot)
                .condition_expression(reserved.expression)
                .set_expression_attribute_names(names(&format!("{take_slot} {}", reserved.expression)))
                .set_expression_attribute_values(reserved.values())
                .build();
            Ok::<_, aws_sdk_dynamodb::error::BuildError>([
                TransactWriteItem::builder().put(account?).build(),
                TransactWriteItem::builder().put(owner?).build(),
                TransactWriteItem::builder().update(slot?).build(),
            ])
        };
        let action = "complete_link";
        let items = built().map_err(|error| StoreError::Refused { action, chain: error.to_string() })?;
        if self.transact(action, items.to_vec()).await? {
            return Ok(Completion::Created(account.clone()));
        }
        // Cancelled: who was there before? Ourselves, when an answer was lost or both ways of completing ran at once.
        if let Some(standing) = self.account(&account.organization, account.id).await? {
            return Ok(if standing.merge_id == account.merge_id {
                Completion::Existing(standing)
            } else {
                Completion::ReservationGone
            });
        }
        Ok(match self.owner(&account.merge_id).await? {
            Some(owner) if owner.organization != account.organization || owner.account != account.id => {
                Completion::Owned(owner)
            }
            _ => Completion::ReservationGone,
        })
    }

    /// Removes the last rows of an account whose data is purged: slot, then account and owner rows at once. May be
    /// repeated; never touches what is another account's.
    pub async fn erase_account(
        &self,
        of: &OrganizationId,
        id: AccountId,
        category: Category,
        merge_id: &MergeLinkedAccountId,
    ) -> Result<(), StoreError> {
        self.free_slot(of, category, id).await?;
        self.erase_exchange_marks(merge_id).await?;
        let action = "erase_account";
        let owned =
            Condition::new("attribute_not_exists(pk) OR (#organization = :organization AND #account = :account)")
                .value(":organization", s(of.as_str()))
                .value(":account", s(id.to_string()));
        let delete = |key: &Key| Delete::builder().table_name(&self.accounts).set_key(Some(key_of(key)));
        let owner = delete(&keys::owner(merge_id))
            .condition_expression(owned.expression)
            .set_expression_attribute_names(names(owned.expression))
            .set_expression_attribute_values(owned.values())
            .build();
        let account = delete(&keys::account(of, id)).build();
        let items =
            [account, owner].into_iter().map(|delete| delete.map(|d| TransactWriteItem::builder().delete(d).build()));
        let items: Result<Vec<_>, _> = items.collect();
        let items = items.map_err(|error| StoreError::Refused { action, chain: error.to_string() })?;
        if !self.transact(action, items).await? {
            // The owner row is another account's by now: only ours goes.
            self.delete_row(action, &keys::account(of, id), None).await?;
        }
        Ok(())
    }

    /// The account that Merge's account is, whatever its status.
    pub async fn account_of(&self, merge_id: &MergeLinkedAccountId) -> Result<Option<LinkedAccount>, StoreError> {
        match self.owner(merge_id).await? {
            Some(owner) => self.account(&owner.organization, owner.account).await,
            None => Ok(None),
        }
    }
}
