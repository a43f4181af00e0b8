//! Linked accounts: reading, listing and changing the rows that [`LinkedAccount`] describes.
//!
//! Every change rests on the version that was read, so that two writers never undo each other's work. Every call
//! takes the organization: the row of another organization's account cannot even be named.

use futures::future::try_join_all;

use super::{
    Store, StoreError,
    account_item::{from_item, to_item},
    item::{n, s},
    keys::{self, prefix},
    pending::{Slot, SlotState},
    rows::{Condition, From, Put},
};
use crate::domain::{
    account::LinkedAccount,
    category::Category,
    ids::{AccountId, OrganizationId, RequestedId},
};

/// How often a change is tried again over somebody else's.
const CHANGE_ATTEMPTS: u32 = 8;

/// What came of writing over the version that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    Written,
    /// The row has another version, or is gone: read again.
    Stale,
}

/// What a change wants done with the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Write,
    /// Nothing differs: no write.
    Keep,
}

/// What an id names within an organization.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    Account(Box<LinkedAccount>),
    /// An attempt that was not finished.
    Pending(Slot),
}

/// A page of an organization's accounts.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountPage {
    pub accounts: Vec<LinkedAccount>,
    /// The last account of a page that is not the last: where the next one starts.
    pub next: Option<AccountId>,
}

impl Store {
    /// The account, read consistently. `None` if it does not exist or is another organization's.
    pub async fn account(&self, of: &OrganizationId, id: AccountId) -> Result<Option<LinkedAccount>, StoreError> {
        self.row("account", &keys::account(of, id)).await?.map(from_item).transpose()
    }

    /// The account or the pending attempt with this id. `None` if there is none, or it is another organization's.
    pub async fn find(&self, of: &OrganizationId, id: RequestedId) -> Result<Option<Found>, StoreError> {
        let id = id.unverified();
        if let Some(account) = self.account(of, id).await? {
            return Ok(Some(Found::Account(Box::new(account))));
        }
        // A slot is keyed by its category. Reads cost less than the right to query would.
        let slots = try_join_all(Category::ALL.map(|category| self.slot(of, category))).await?;
        let pending = slots.into_iter().flatten().find(|slot| slot.account == id && slot.state == SlotState::Pending);
        if let Some(pending) = pending {
            return Ok(Some(Found::Pending(pending)));
        }
        // Neither: an exchange may have made the one of the other between the two looks.
        Ok(self.account(of, id).await?.map(|account| Found::Account(Box::new(account))))
    }

    /// The accounts of an organization in the order of their ids, whatever their status; pending attempts are not
    /// among them. At most `limit`, after the account `after`.
    pub async fn accounts_of(
        &self,
        of: &OrganizationId,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<AccountPage, StoreError> {
        let after = after.map(|id| keys::account(of, id).sk);
        let partition = keys::organization(of);
        let start = From::Start(after.as_deref());
        let rows = self.rows("accounts_of", &partition, prefix::ACCOUNT, start, limit).await?;
        let accounts = rows.items.into_iter().map(from_item).collect::<Result<Vec<_>, _>>()?;
        let next = rows.last.and_then(|_| accounts.last().map(|account| account.id));
        Ok(AccountPage { accounts, next })
    }

    /// Writes the account over the version it was read with, and raises the version of `account`.
    pub async fn save_account(&self, account: &mut LinkedAccount) -> Result<Saved, StoreError> {
        let read = account.version;
        account.version = read + 1;
        let mut item = to_item(account)?;
        // Two writers may have the same idea: the mark tells whose write it was when an answer is lost.
        item.insert("writer".to_owned(), s(crate::ambient::uuid().to_string()));
        let condition = Condition::new("#version = :read").value(":read", n(read));
        match self.put_row("save_account", item.clone(), Some(condition)).await? {
            Put::Written(_) => Ok(Saved::Written),
            // The first answer was lost and this is what it wrote.
            Put::Refused(standing) if standing == item => Ok(Saved::Written),
            Put::Refused(_) => {
                account.version = read;
                Ok(Saved::Stale)
            }
        }
    }

    /// Reads the account, lets `change` edit it and writes it, again until nobody else was faster. `change` may run
    /// several times. The account as it then stands, or `None` if there is none.
    pub async fn change_account(
        &self,
        of: &OrganizationId,
        id: AccountId,
        mut change: impl FnMut(&mut LinkedAccount) -> Change,
    ) -> Result<Option<LinkedAccount>, StoreError> {
        for _ in 0..CHANGE_ATTEMPTS {
            let Some(mut account) = self.account(of, id).await? else { return Ok(None) };
            if change(&mut account) == Change::Keep || self.save_account(&mut account).await? == Saved::Written {
                return Ok(Some(account));
            }
        }
        let chain = "the account keeps changing".to_owned();
        Err(StoreError::Unavailable { action: "change_account", chain })
    }
}
