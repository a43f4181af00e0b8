//! The list: attempts that were not finished, then accounts. What is being deleted is not in it.

use std::collections::HashSet;

use lambda_http::Request;
use serde::{Deserialize, Serialize};
use shared::{
    ambient,
    api::{
        access,
        accounts::{AccountList, AccountView},
        cursor,
    },
    domain::{
        account::{AccountStatus, LinkedAccount},
        category::Category,
        ids::{AccountId, MergeLinkedAccountId, RequestedId},
    },
    http::{self, Answer, Caller, Problem},
    store::{accounts::Found, limits::Counter},
};

use super::Accounts;

/// Accounts read at a time.
const PAGE: usize = 100;

/// Where a page of the list ended.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Position {
    /// All attempts were listed.
    attempts: bool,
    after: Option<AccountId>,
}

/// What the caller wants to see.
struct Filter {
    category: Option<Category>,
    status: Option<AccountStatus>,
    duplicates: Option<HashSet<MergeLinkedAccountId>>,
}

impl Filter {
    async fn of(accounts: &Accounts, caller: &Caller, request: &Request) -> Result<Self, Problem> {
        let query = http::query(request);
        let category = query.parsed::<Category>("category")?;
        let status = query.given("status").map(status).transpose()?;
        let duplicates = match query.given("duplicates_of") {
            Some(id) => Some(duplicates(accounts, caller, id).await?),
            None => None,
        };
        Ok(Self { category, status, duplicates })
    }

    fn takes(&self, category: Category, status: AccountStatus) -> bool {
        self.category.is_none_or(|wanted| wanted == category) && self.status.is_none_or(|wanted| wanted == status)
    }

    fn takes_account(&self, account: &LinkedAccount) -> bool {
        account.status != AccountStatus::Deleting
            && self.takes(account.category, account.status)
            && self.duplicates.as_ref().is_none_or(|set| set.contains(&account.merge_id))
    }
}

/// `GET /v1/linked-accounts`.
pub async fn list(accounts: &Accounts, caller: &Caller, request: &Request) -> Result<Answer, Problem> {
    let store = &accounts.linking.store;
    let now = ambient::now();
    let query = http::query(request);
    let limit = query.limit()?;
    let filter = Filter::of(accounts, caller, request).await?;
    let text = |name| query.text(name).unwrap_or_default();
    let binding = [caller.organization.as_str(), "accounts", text("category"), text("status"), text("duplicates_of")];
    let start: Option<Position> = query.text("cursor").map(|text| cursor::decode(&binding, text)).transpose()?;
    let mut position = start.unwrap_or_default();

    let mut results = Vec::new();
    if !position.attempts && filter.duplicates.is_none() {
        // At most one per category: they are never split over pages.
        let pending = store.pending(&caller.organization).await?;
        let wanted = pending.iter().filter(|slot| filter.takes(slot.category, AccountStatus::Incomplete));
        results.extend(wanted.map(|slot| AccountView::of_pending(slot, now)));
    }
    position.attempts = true;
    let more = loop {
        let page = store.accounts_of(&caller.organization, position.after, PAGE).await?;
        let mut full = false;
        for account in &page.accounts {
            if results.len() >= limit {
                full = true;
                break;
            }
            position.after = Some(account.id);
            if filter.takes_account(account) {
                results.push(AccountView::of_account(account, now));
            }
        }
        if full || page.next.is_none() {
            break full;
        }
    };
    let next_cursor = if more { Some(cursor::encode(&binding, &position)?) } else { None };
    http::ok(&AccountList { results, next_cursor })
}

fn status(text: &str) -> Result<AccountStatus, Problem> {
    use AccountStatus::*;
    let statuses = [Incomplete, Complete, RelinkNeeded, Idle, Deleting, Deleted];
    let found = statuses.into_iter().find(|status| status.as_str() == text);
    found.ok_or_else(|| Problem::invalid("status is not a valid value."))
}

/// The other accounts of the set that `id` belongs to. Who else is in it is nobody's business here: the list shows only
/// accounts of the caller's organization.
async fn duplicates(accounts: &Accounts, caller: &Caller, id: &str) -> Result<HashSet<MergeLinkedAccountId>, Problem> {
    let id = RequestedId::parse(id).map_err(|_| Problem::invalid("duplicates_of is not a valid value."))?;
    let Found::Account(account) = access::any(&accounts.linking.store, &caller.organization, id).await? else {
        return Err(Problem::not_found());
    };
    accounts.count(caller, Counter::Duplicates).await?;
    let set = accounts.linking.merge.duplicates(&account.merge_id).await?;
    Ok(set.into_iter().filter(|merge_id| *merge_id != account.merge_id).collect())
}
