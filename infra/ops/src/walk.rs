//! A walk over accounts, page by page, so that a million of them need no more memory than a hundred. One organization's
//! accounts are read from its partition, everybody's by the sparse index.

use shared::domain::account::LinkedAccount;
use shared::domain::ids::AccountId;
use shared::store::Store;
use shared::store::operators::IndexPage;

use crate::cli::Selection;
use crate::failure::Failure;

/// Accounts of a page.
const PAGE: usize = 100;

/// See the module.
pub struct Walk<'a> {
    store: &'a Store,
    selection: &'a Selection,
    place: Place,
}

enum Place {
    Organization(Option<AccountId>),
    Index(Option<IndexPage>),
    End,
}

impl<'a> Walk<'a> {
    pub fn new(store: &'a Store, selection: &'a Selection) -> Self {
        let place = if selection.organization.is_some() { Place::Organization(None) } else { Place::Index(None) };
        Self { store, selection, place }
    }

    /// The next page, perhaps empty; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<LinkedAccount>>, Failure> {
        let accounts = match (&self.place, &self.selection.organization) {
            (Place::Organization(after), Some(organization)) => {
                let page = self.store.accounts_of(organization, *after, PAGE).await?;
                self.place = page.next.map_or(Place::End, |next| Place::Organization(Some(next)));
                page.accounts
            }
            (Place::Index(after), _) => {
                let page = self.store.every_account(after.as_ref(), PAGE as i32).await?;
                let accounts = self.store.accounts_by_ref(&page.accounts).await?;
                self.place = if page.has_more() { Place::Index(Some(page)) } else { Place::End };
                accounts
            }
            _ => return Ok(None),
        };
        let wanted = accounts.into_iter().filter(|a| self.selection.category.is_none_or(|only| a.category == only));
        Ok(Some(wanted.collect()))
    }
}
