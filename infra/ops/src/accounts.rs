//! Listings over accounts: which there are and how they are.

use jiff::Timestamp;
use serde::Serialize;
use shared::api::accounts::AccountView;
use shared::domain::account::LinkedAccount;
use shared::domain::health::{self, Health, HealthState};
use shared::domain::ids::{MergeLinkedAccountId, OrganizationId};

use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{Cell, Output, time, word};
use crate::severity::Severity;
use crate::walk::Walk;

/// An account as an operator sees it: the API's view, and whose it is.
#[derive(Serialize)]
pub struct OperatorView {
    pub organization: OrganizationId,
    pub merge_id: MergeLinkedAccountId,
    #[serde(flatten)]
    pub view: AccountView,
}

impl OperatorView {
    pub fn of(account: &LinkedAccount, now: Timestamp) -> Self {
        Self {
            organization: account.organization.clone(),
            merge_id: account.merge_id.clone(),
            view: AccountView::of_account(account, now),
        }
    }
}

/// A state of health in its colour.
pub fn state_cell(health: &Health) -> Cell {
    let text = word(health.state);
    match health.state {
        HealthState::Healthy => Cell::good(text),
        HealthState::ActionNeeded => Cell::of(Severity::Broken, text),
        HealthState::Degraded | HealthState::Paused => Cell::of(Severity::Warning, text),
        _ => text.into(),
    }
}

/// `tether accounts`.
pub async fn list(connection: &Connection, output: &Output, asked: &cli::Accounts) -> Result<(), Failure> {
    let now = Timestamp::now();
    let wanted = |account: &LinkedAccount, health: &Health| {
        asked.status.is_none_or(|status| account.status == status)
            && asked.health.is_none_or(|state| health.state == state)
            && asked.actor.is_none_or(|actor| health.actor == actor)
    };
    let mut shown = 0_u64;
    let mut walk = Walk::new(&connection.store, &asked.selection);
    while let Some(page) = walk.next().await? {
        let page: Vec<_> = page.into_iter().map(|account| (health::of_account(&account, now), account)).collect();
        let page: Vec<_> = page.iter().filter(|(health, account)| wanted(account, health)).collect();
        shown += page.len() as u64;
        if output.json {
            page.iter().try_for_each(|(_, account)| output.object(&OperatorView::of(account, now)))?;
        } else if !page.is_empty() {
            let rows: Vec<_> = page.iter().map(|(health, account)| row(account, health)).collect();
            let heads =
                ["ACCOUNT", "ORGANIZATION", "CATEGORY", "INTEGRATION", "HEALTH", "ACTOR", "RECORDS", "FRESH AS OF"];
            output.table(heads, &rows)?;
        }
    }
    if !output.json {
        output.line(Cell::dim(format!("{shown} accounts")))?;
    }
    Ok(())
}

fn row(account: &LinkedAccount, health: &Health) -> [Cell; 8] {
    [
        account.id.to_string().into(),
        account.organization.as_str().into(),
        account.category.slug().into(),
        account.integration.name.as_str().into(),
        state_cell(health),
        word(health.actor).into(),
        account.facts.records.to_string().into(),
        time(account.facts.data_fresh_as_of).into(),
    ]
}
