//! The inbox: who must act, about which account, and what to send them: a link with which the customer reconnects.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use shared::domain::account::LinkedAccount;
use shared::domain::health::{self, Actor, Health, HealthState};
use shared::domain::ids::OrganizationId;
use shared::linking::Linking;
use shared::merge::LinkTokenRequest;
use shared::store::events::EventKind;
use shared::telemetry;
use uuid::Uuid;

use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::operator;
use crate::output::{Cell, Output, shown, time, word};
use crate::walk::Walk;

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
    /// Why there is no link, though one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_link: Option<String>,
}

impl Task {
    fn of(account: &LinkedAccount, health: &Health) -> Self {
        Self {
            actor: word(health.actor),
            organization: account.organization.clone(),
            account: account.id.to_string(),
            integration: account.integration.name.clone(),
            state: word(health.state),
            reason: health.reason.map(word).unwrap_or_default(),
            since: health.since,
            reconnect_link: None,
            no_link: None,
        }
    }
}

/// `tether inbox`.
pub async fn inbox(connection: &Connection, output: &Output, asked: &cli::Inbox) -> Result<(), Failure> {
    let now = Timestamp::now();
    let linking = if asked.links { Some(connection.linking().await?) } else { None };
    let mut tasks: BTreeMap<String, Vec<Task>> = BTreeMap::new();
    let mut without_link = 0_u64;
    let mut walk = Walk::new(&connection.store, &asked.selection);
    let mut page = match asked.account {
        Some(id) => Some(vec![crate::account::load(&connection.store, id).await?]),
        None => walk.next().await?,
    };
    while let Some(accounts) = page {
        for account in accounts {
            let health = health::of_account(&account, now);
            if !is_wanted(asked, &health) {
                continue;
            }
            let mut task = Task::of(&account, &health);
            let mends = health.can_reconnect && (health.actor == Actor::EndUser || asked.account.is_some());
            if let Some(linking) = linking.as_ref().filter(|_| mends) {
                // What is in the way of one account's link is not to hide the others'.
                match reconnect_link(linking, &account).await {
                    Ok(link) => task.reconnect_link = Some(link),
                    Err(failure) => task.no_link = Some(shown(&telemetry::chain(&failure))),
                }
                without_link += u64::from(task.no_link.is_some());
            }
            if output.json {
                output.object(&task)?;
            } else {
                tasks.entry(task.actor.clone()).or_default().push(task);
            }
        }
        page = if asked.account.is_some() { None } else { walk.next().await? };
    }
    if !output.json {
        print(output, tasks)?;
    }
    match without_link {
        0 => Ok(()),
        count => Err(Failure::Usage(format!("{count} links could not be made"))),
    }
}

fn is_wanted(asked: &cli::Inbox, health: &Health) -> bool {
    let open = matches!(health.state, HealthState::ActionNeeded | HealthState::Degraded | HealthState::Paused);
    let somebodys = open && health.actor != Actor::Nobody;
    (somebodys || asked.account.is_some()) && asked.actor.is_none_or(|only| only == health.actor)
}

fn print(output: &Output, tasks: BTreeMap<String, Vec<Task>>) -> Result<(), Failure> {
    if tasks.is_empty() {
        return output.line(Cell::dim("nobody has anything to do"));
    }
    for (actor, tasks) in tasks {
        output.line(Cell::styled(format!("{actor} ({})", tasks.len()), anstyle::Style::new().bold()))?;
        for task in tasks {
            let why = if task.reason.is_empty() { task.state } else { task.reason };
            let who = format!("  {} {} since {}", task.organization, task.account, time(Some(task.since)));
            output.cells(&[who.into(), format!("{why} {}", task.integration).into()])?;
            let link = task.reconnect_link.or(task.no_link.map(|why| format!("no link: {why}")));
            if let Some(link) = link {
                output.line(format!("    {link}"))?;
            }
        }
    }
    Ok(())
}

/// Minutes that a reconnect link is good for: an e-mail is not read at once.
const LINK_MINUTES: u32 = 720;

/// A link that opens Merge's dialog for this account on its own. Merge knows the labels of whom it belongs to. The
/// account's token is not needed: it may be what is lost.
async fn reconnect_link(linking: &Linking, account: &LinkedAccount) -> Result<String, Failure> {
    let labels = linking.merge.end_user_labels(&account.merge_id).await?;
    let labels = labels.ok_or_else(|| Failure::Usage("Merge has no such account".to_owned()))?;
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
    let event = operator::event(EventKind::RelinkStarted);
    linking.store.add_event(account.id, &event, Uuid::new_v4(), linking.history).await?;
    let link = answer.magic_link_url.map(|url| url.expose().to_owned());
    link.ok_or_else(|| Failure::Usage("Merge's answer has no link in it".to_owned()))
}
