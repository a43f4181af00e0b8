//! Listings over accounts: which there are and how they are, and who must act.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use shared::api::accounts::AccountView;
use shared::domain::account::LinkedAccount;
use shared::domain::health::{self, Health, HealthState};
use shared::domain::ids::{MergeLinkedAccountId, OrganizationId};
use shared::linking::Linking;
use shared::merge::{LinkTokenRequest, MergeError};
use shared::telemetry;

use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{Cell, Output, shown, time, word};
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
            && asked.health.is_none_or(|state| word(health.state) == state.word())
            && asked.actor.is_none_or(|actor| word(health.actor) == actor.word())
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

/// Something for a person to do.
#[derive(Serialize)]
struct Task {
    actor: String,
    organization: OrganizationId,
    account: String,
    integration: String,
    state: String,
    reason: String,
    since: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    reconnect_link: Option<String>,
}

/// `tether inbox`.
pub async fn inbox(connection: &Connection, output: &Output, asked: &cli::Inbox) -> Result<(), Failure> {
    let now = Timestamp::now();
    let linking = if asked.links { Some(connection.linking().await?) } else { None };
    let mut tasks: BTreeMap<String, Vec<Task>> = BTreeMap::new();
    let mut walk = Walk::new(&connection.store, &asked.selection);
    while let Some(page) = walk.next().await? {
        for account in page {
            let health = health::of_account(&account, now);
            let open = matches!(health.state, HealthState::ActionNeeded | HealthState::Degraded | HealthState::Paused);
            let actor = word(health.actor);
            if !open || health.actor == health::Actor::Nobody || asked.actor.is_some_and(|only| only.word() != actor) {
                continue;
            }
            let mends = health.can_reconnect && health.actor == health::Actor::EndUser;
            let reconnect_link = match &linking {
                Some(linking) if mends => link_or_word(linking, &account).await?,
                _ => None,
            };
            let task = Task {
                actor: actor.clone(),
                organization: account.organization.clone(),
                account: account.id.to_string(),
                integration: account.integration.name.clone(),
                state: word(health.state),
                reason: health.reason.map(word).unwrap_or_default(),
                since: health.since,
                reconnect_link,
            };
            if output.json {
                output.object(&task)?;
            } else {
                tasks.entry(actor).or_default().push(task);
            }
        }
    }
    if output.json {
        return Ok(());
    }
    if tasks.is_empty() {
        return output.line(Cell::dim("nobody has anything to do"));
    }
    for (actor, tasks) in tasks {
        output.line(Cell::styled(format!("{actor} ({})", tasks.len()), anstyle::Style::new().bold()))?;
        for task in tasks {
            let what = format!("{} {}", task.reason, task.integration);
            let who = format!("  {} {} since {}", task.organization, task.account, time(Some(task.since)));
            output.cells(&[who.into(), what.into()])?;
            if let Some(link) = task.reconnect_link {
                output.line(format!("    {link}"))?;
            }
        }
    }
    Ok(())
}

/// Minutes that a reconnect link is good for: an e-mail is not read at once.
const LINK_MINUTES: u32 = 720;

/// The link, or a word on standard error why Merge gives none for this account: the others have theirs all the same.
async fn link_or_word(linking: &Linking, account: &LinkedAccount) -> Result<Option<String>, Failure> {
    let why = match reconnect_link(linking, account).await {
        Ok(Some(link)) => return Ok(Some(link)),
        Ok(None) => "Merge has no such account".to_owned(),
        // It would refuse the next one as well.
        Err(error) if error.is_unavailable() => return Err(error.into()),
        Err(error) => telemetry::chain(&error),
    };
    eprintln!("{}: no link: {}", account.id, shown(&why));
    Ok(None)
}

/// A link that opens Merge's dialog for this account on its own. Merge knows the labels of whom it belongs to, and they
/// are asked for without the account's token, which may be what is broken.
async fn reconnect_link(linking: &Linking, account: &LinkedAccount) -> Result<Option<String>, MergeError> {
    let Some(labels) = linking.merge.end_user_labels(&account.merge_id).await? else { return Ok(None) };
    let ask = LinkTokenRequest {
        category: account.category,
        origin_id: &account.origin_id,
        email: &labels.email,
        organization_name: &labels.organization_name,
        integration: None,
        language: None,
        magic_link: true,
        expiry_minutes: LINK_MINUTES,
    };
    let answer = linking.merge.create_link_token(&ask).await?;
    Ok(answer.magic_link_url.map(|url| url.expose().to_owned()))
}
