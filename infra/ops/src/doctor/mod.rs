//! The doctor: looks at everything a stack consists of, from the API key to each account's windows, and names what is
//! wrong, since when, and what to do. It changes nothing.

mod account;
mod finding;
mod sample;
mod stack;
mod tiling;

use std::collections::HashSet;
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use serde::Serialize;
use shared::domain::account::LinkedAccount;
use shared::linking::Linking;

use self::account::{AskMerge, Yardstick};
use self::finding::{Check, Finding};
use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{Cell, Output, time};
use crate::severity;
use crate::strays::{self, Stray};
use crate::walk::Walk;

/// Accounts looked at side by side.
const AT_ONCE: usize = 8;

#[derive(Serialize)]
struct Report<'a> {
    checked_at: Timestamp,
    accounts: usize,
    /// There are more accounts than were looked at.
    truncated: bool,
    findings: &'a [Finding],
}

/// `tether doctor`. The exit code is that of the worst finding.
pub async fn examine(connection: &Connection, output: &Output, asked: &cli::Doctor) -> Result<u8, Failure> {
    // 1. The stack: without its key nothing can be asked of Merge, without its tables nothing at all.
    let now = Timestamp::now();
    let (facts, merge) = stack::gather(connection).await;
    let mut findings = stack::judge(&facts, connection.clock, now);
    let tables = findings.iter().all(|finding| finding.check != Check::Tables);
    let ask = match facts.api_key {
        Ok(()) => AskMerge::Yes,
        Err(_) => AskMerge::No,
    };

    // 2. Its accounts.
    let by = Yardstick {
        clock: connection.clock,
        now,
        kept: connection.history,
        stale_after: asked.stale_after.map(|minutes| Duration::from_secs(u64::from(minutes) * 60)),
    };
    let (mut accounts, mut truncated) = (0, false);
    if let (true, Some(merge)) = (tables, merge) {
        let store = connection.store.clone();
        let linking = Linking { store, merge, tokens: connection.tokens.clone(), history: connection.history };
        let chosen = chosen(connection, asked).await?;
        (accounts, truncated) = (chosen.0.len(), chosen.1);
        let ours: HashSet<_> = chosen.0.iter().map(|account| account.merge_id.clone()).collect();
        let judged = stream::iter(chosen.0).map(|account| one(&linking, ask, account, &by, asked));
        findings.extend(judged.buffered(AT_ONCE).try_collect::<Vec<_>>().await?.into_iter().flatten());

        // 3. What only Merge's list and the owner rows know.
        let everything = asked.account.is_none() && asked.selection.organization.is_none();
        if everything && ask == AskMerge::Yes && !truncated {
            // An account of ours without an owner row has its own finding.
            let strays = strays::at_merge(&linking).await?.0.into_iter();
            let nobodys = |stray: &Stray| !matches!(stray, Stray::AtMerge { merge_id, .. } if ours.contains(merge_id));
            findings.extend(strays.filter(nobodys).map(|found| stray(&found)));
        }
    }

    // 4. Tell.
    let report = Report { checked_at: now, accounts, truncated, findings: &findings };
    if output.json {
        output.object(&report)?
    } else {
        print(output, &report)?
    }
    Ok(severity::exit_code(findings.iter().map(|finding| finding.severity).max()))
}

/// The accounts to look at, and whether there are more.
async fn chosen(connection: &Connection, asked: &cli::Doctor) -> Result<(Vec<LinkedAccount>, bool), Failure> {
    if let Some(id) = asked.account {
        return Ok((vec![crate::account::load(&connection.store, id).await?], false));
    }
    let mut chosen = Vec::new();
    let mut walk = Walk::new(&connection.store, &asked.selection);
    while let Some(page) = walk.next().await? {
        chosen.extend(page);
        if chosen.len() > asked.limit {
            chosen.truncate(asked.limit);
            return Ok((chosen, true));
        }
    }
    Ok((chosen, false))
}

async fn one(
    linking: &Linking,
    ask: AskMerge,
    account: LinkedAccount,
    by: &Yardstick,
    asked: &cli::Doctor,
) -> Result<Vec<Finding>, Failure> {
    let facts = account::gather(linking, ask, account).await?;
    let mut findings = account::judge(&facts, by);
    if asked.account.is_some() && asked.sample > 0 {
        findings.extend(sample::compare(linking, &facts, asked.sample).await?);
    }
    Ok(findings)
}

fn stray(stray: &Stray) -> Finding {
    let advice = "`tether orphans list` says what can be done about it";
    match stray {
        Stray::AtMerge { merge_id, integration, .. } => {
            let what = format!("Merge has the account {merge_id} ({integration}), which is none of ours");
            Finding::warning(Check::Orphan, what, advice)
        }
        Stray::OwnerRow { merge_id, of } | Stray::Here { merge_id, of } | Stray::Unowned { merge_id, of } => Finding {
            organization: Some(of.organization.clone()),
            account: Some(of.account),
            ..Finding::broken(Check::Orphan, format!("the owner row of {merge_id} leads to no account"), advice)
        },
    }
}

fn print(output: &Output, report: &Report<'_>) -> Result<(), Failure> {
    for finding in report.findings {
        let head = Cell::of(finding.severity, format!("{:<8}", finding.severity.word()));
        output.cells(&[head, format!("{}: {}", finding.check.word(), finding.what).into()])?;
        let account = finding.account.map(|id| id.to_string()).unwrap_or_default();
        let organization = finding.organization.as_ref().map(|id| id.to_string()).unwrap_or_default();
        let model = finding.model.clone().unwrap_or_default();
        let since = finding.since.map(|at| format!("since {}", time(Some(at)))).unwrap_or_default();
        let place: Vec<_> = [organization, account, model, since].into_iter().filter(|part| !part.is_empty()).collect();
        if !place.is_empty() {
            output.line(Cell::dim(format!("         {}", place.join("  "))))?;
        }
        output.line(format!("         {}", finding.advice))?;
    }
    let more = if report.truncated { "; there are more, see --limit" } else { "" };
    let count = match report.findings.len() {
        0 => Cell::good("nothing is wrong"),
        count => format!("{count} findings").into(),
    };
    output.cells(&[count, Cell::dim(format!("({} accounts checked{more})", report.accounts))])
}
