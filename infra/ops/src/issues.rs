//! Issues: what Merge reports as broken, with the provider's own words; and that somebody knows of one, so that nobody
//! is told of it again until it comes back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use shared::domain::account::LinkedAccount;
use shared::domain::ids::OrganizationId;
use shared::domain::issue::{Issue, IssueStatus};
use shared::store::events::EventKind;

use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::operator;
use crate::output::{Cell, Output, time, word};
use crate::walk::Walk;

/// An issue that is not over, for the operator: with the provider's own words.
#[derive(Serialize)]
struct OpenIssue<'a> {
    organization: &'a OrganizationId,
    account: String,
    integration: &'a str,
    issue: &'a str,
    #[serde(rename = "type")]
    kind: String,
    description: &'a str,
    is_muted: bool,
    acknowledged_at: Option<Timestamp>,
    first_seen: Timestamp,
    last_seen: Timestamp,
}

impl<'a> OpenIssue<'a> {
    fn of(account: &'a LinkedAccount, id: &'a str, issue: &'a Issue) -> Self {
        Self {
            organization: &account.organization,
            account: account.id.to_string(),
            integration: &account.integration.name,
            issue: id,
            kind: word(issue.kind),
            description: &issue.description,
            is_muted: issue.is_muted,
            acknowledged_at: issue.acknowledged_at,
            first_seen: issue.first_seen,
            last_seen: issue.last_seen,
        }
    }

    fn is_wanted(&self, asked: &cli::Issues) -> bool {
        asked.kind.as_ref().is_none_or(|kind| self.kind == *kind)
            && (asked.muted || !self.is_muted)
            && (asked.acknowledged || self.acknowledged_at.is_none())
    }

    fn row(&self) -> [Cell; 7] {
        [
            Cell::from(&self.kind),
            self.organization.as_str().into(),
            Cell::from(&self.account),
            self.integration.into(),
            time(Some(self.first_seen)).into(),
            self.issue.into(),
            self.description.into(),
        ]
    }
}

/// `tether issues`.
pub async fn run(connection: &Connection, output: &Output, asked: &cli::Issues) -> Result<(), Failure> {
    match &asked.action {
        Some(cli::IssueAction::Ack(asked)) => acknowledge(connection, output, asked).await,
        None => list(connection, output, asked).await,
    }
}

async fn list(connection: &Connection, output: &Output, asked: &cli::Issues) -> Result<(), Failure> {
    let mut by_kind: BTreeMap<String, u64> = BTreeMap::new();
    let mut walk = Walk::new(&connection.store, &asked.selection);
    while let Some(page) = walk.next().await? {
        let open = page.iter().flat_map(|account| {
            let open = account.issues.iter().filter(|(_, issue)| issue.status == IssueStatus::Ongoing);
            open.map(move |(id, issue)| OpenIssue::of(account, id, issue))
        });
        let open: Vec<_> = open.filter(|issue| issue.is_wanted(asked)).collect();
        open.iter().for_each(|issue| *by_kind.entry(issue.kind.clone()).or_default() += 1);
        if output.json {
            open.iter().try_for_each(|issue| output.object(issue))?;
        } else if !open.is_empty() {
            let rows: Vec<_> = open.iter().map(OpenIssue::row).collect();
            output.table(["TYPE", "ORGANIZATION", "ACCOUNT", "INTEGRATION", "SINCE", "ISSUE", "MERGE SAYS"], &rows)?;
        }
    }
    if output.json {
        return Ok(());
    }
    let counts: Vec<_> = by_kind.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    output.line(Cell::dim(if counts.is_empty() { "no open issues".to_owned() } else { counts.join(", ") }))
}

/// The account that has the issue.
async fn holder(connection: &Connection, asked: &cli::Acknowledge) -> Result<LinkedAccount, Failure> {
    let unknown = || Failure::Usage(format!("no account has the issue {}", asked.issue));
    if let Some(id) = asked.account {
        let account = crate::account::load(&connection.store, id).await?;
        return if account.issues.contains_key(&asked.issue) { Ok(account) } else { Err(unknown()) };
    }
    let everybody = cli::Selection::default();
    let mut walk = Walk::new(&connection.store, &everybody);
    while let Some(page) = walk.next().await? {
        if let Some(account) = page.into_iter().find(|account| account.issues.contains_key(&asked.issue)) {
            return Ok(account);
        }
    }
    Err(unknown())
}

/// `tether issues ack`: does what the API's `acknowledge_issues` does.
async fn acknowledge(connection: &Connection, output: &Output, asked: &cli::Acknowledge) -> Result<(), Failure> {
    // 1. Whose it is, and whether there is anything to say.
    let account = holder(connection, asked).await?;
    let Some(issue) = account.issues.get(&asked.issue) else { return Ok(()) };
    let kind = word(issue.kind);
    let said = |acknowledged: bool| {
        let account = account.id;
        output.object(&json!({"issue": asked.issue, "type": kind, "account": account, "acknowledged": acknowledged}))
    };
    if !issue.is_open() {
        let why = match issue {
            Issue { status: IssueStatus::Resolved, .. } => "it is over",
            Issue { is_muted: true, .. } => "it is muted in Merge's dashboard",
            _ => "it is acknowledged already",
        };
        return if output.json { said(false) } else { output.line(format!("nothing to do: {why}")) };
    }
    if asked.consent.dry_run {
        return if output.json { said(false) } else { output.line(format!("would acknowledge {kind}")) };
    }
    let whose = format!("{} of {}", account.id, account.organization);
    let question = format!("Acknowledge {kind} of account {whose}? Nobody is told of it until it comes back.");
    output.confirm(&question, asked.consent.yes)?;

    // 2. Change the account, and note it.
    let event = operator::event(EventKind::IssueAcknowledged).with("kind", kind.as_str());
    let acknowledge = |account: &mut LinkedAccount| {
        account.issues.get_mut(&asked.issue).is_some_and(|issue| issue.acknowledge(event.at))
    };
    let done = operator::change(connection, &account, &event, acknowledge).await?;
    match (output.json, done) {
        (true, _) => said(done),
        (false, true) => output.line(format!("acknowledged {kind} of account {whose}")),
        (false, false) => output.line("nothing to do: it ended meanwhile"),
    }
}
