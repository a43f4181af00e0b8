//! The brake: deletions that a full read would have made and that are held, because so many at once look like a lost
//! permission. Shown, approved or discarded. The worker does what was decided, and notes who decided it.
//!
//! A relink that led to another system or company holds all deletions of its account, and no approval lets one happen:
//! only whoever relinked knows which system is meant. `release` is their word, as the API's `deletions_held: false` is.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use shared::domain::account::LinkedAccount;
use shared::domain::endpoint::Endpoint;
use shared::domain::ids::OrganizationId;
use shared::domain::message::{AccountRef, Decision, Message, SyncMode, Work};
use shared::store::brake::Held;
use shared::store::events::EventKind;
use uuid::Uuid;

use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::operator;
use crate::output::{Cell, Output, time};
use crate::severity::Severity;
use crate::walk::Walk;

/// Deletions that are held, for the operator.
#[derive(Serialize)]
struct HeldView<'a> {
    held_by: &'static str,
    organization: &'a OrganizationId,
    account: String,
    model_id: String,
    /// Records that would be deleted, of those that are live.
    missing: u64,
    live: i64,
    since: Timestamp,
    /// The full read that missed them.
    generation: u64,
    /// Approved: the model is being read once more before anything is deleted.
    approved: bool,
    /// Some of the records, by key.
    examples: &'a [String],
}

impl<'a> HeldView<'a> {
    fn of(account: &'a LinkedAccount, model_id: String, held: &'a Held) -> Self {
        Self {
            held_by: "full_read",
            organization: &account.organization,
            account: account.id.to_string(),
            model_id,
            missing: held.missing,
            live: held.live,
            since: held.at,
            generation: held.generation,
            approved: held.approved,
            examples: &held.examples,
        }
    }
}

/// An account whose relink led elsewhere: nothing of it is deleted.
#[derive(Serialize)]
struct RelinkView<'a> {
    held_by: &'static str,
    organization: &'a OrganizationId,
    account: String,
    /// What the account shows now.
    integration: &'a str,
    since: Timestamp,
}

/// `tether brake`.
pub async fn run(connection: &Connection, output: &Output, asked: &cli::Brake) -> Result<(), Failure> {
    match asked {
        cli::Brake::Show(asked) => show(connection, output, asked).await,
        cli::Brake::Approve(asked) => decide(connection, output, asked, Decision::Approve).await,
        cli::Brake::Discard(asked) => decide(connection, output, asked, Decision::Discard).await,
        cli::Brake::Release(asked) => release(connection, output, asked).await,
    }
}

async fn show(connection: &Connection, output: &Output, asked: &cli::BrakeShow) -> Result<(), Failure> {
    let mut shown = 0_u64;
    if let Some(id) = asked.account {
        let account = crate::account::load(&connection.store, id).await?;
        shown += of_account(connection, output, &account).await?;
    } else {
        let mut walk = Walk::new(&connection.store, &asked.selection);
        while let Some(page) = walk.next().await? {
            for account in &page {
                shown += of_account(connection, output, account).await?;
            }
        }
    }
    match (output.json, shown) {
        (true, _) => Ok(()),
        (false, 0) => output.line(Cell::good("no deletions are held")),
        (false, _) => output.line(Cell::dim("gone at the source: tether brake approve; a lost permission: restore it")),
    }
}

/// Shows what is held of an account, and says how much that is.
async fn of_account(connection: &Connection, output: &Output, account: &LinkedAccount) -> Result<u64, Failure> {
    let all = connection.store.all_held(account.id).await?;
    for (slug, held) in &all {
        let model = Endpoint::by_slug(slug).map_or_else(|| slug.clone(), Endpoint::key);
        let view = HeldView::of(account, model, held);
        if output.json {
            output.object(&view)?;
        } else {
            print(output, &view)?;
        }
    }
    let Some(since) = account.notes.deletions_held_since else { return Ok(all.len() as u64) };
    let (organization, id) = (&account.organization, account.id.to_string());
    let integration = account.integration.name.as_str();
    if output.json {
        output.object(&RelinkView { held_by: "relink", organization, account: id, integration, since })?;
    } else {
        let what = format!("a relink led to {integration}, or to another company: nothing is deleted");
        output.cells(&[Cell::of(Severity::Warning, "relink"), what.into()])?;
        output.line(Cell::dim(format!("  {organization} {id} held since {}", time(Some(since)))))?;
        output
            .line("  approve does not release it: ask the customer which system is meant, then tether brake release")?;
    }
    Ok(all.len() as u64 + 1)
}

fn print(output: &Output, held: &HeldView<'_>) -> Result<(), Failure> {
    let count = format!("{} of {} records are missing", held.missing, held.live);
    output.cells(&[Cell::of(Severity::Broken, &held.model_id), count.into()])?;
    let state = if held.approved { "approved, being read once more" } else { "held" };
    let since = time(Some(held.since));
    output.line(Cell::dim(format!("  {} {} {state} since {since}", held.organization, held.account)))?;
    if held.examples.is_empty() {
        return Ok(());
    }
    output.line(format!("  such as {}", held.examples.join(", ")))
}

async fn decide(
    connection: &Connection,
    output: &Output,
    asked: &cli::HeldDeletions,
    decision: Decision,
) -> Result<(), Failure> {
    // 1. What is held: the decision is about this full read and about no other.
    let account = crate::account::load(&connection.store, asked.account).await?;
    let endpoint = Endpoint::by_key(&asked.model).filter(|endpoint| endpoint.category == account.category);
    let endpoint = endpoint.ok_or_else(|| Failure::NoModel(asked.model.clone()))?;
    let held = connection.store.held(account.id, endpoint).await?;
    let held = held.ok_or_else(|| Failure::Usage(format!("no deletions of {} are held", asked.model)))?;
    if decision == Decision::Approve && account.notes.deletions_held_since.is_some() {
        let release = format!("`tether brake release {}`", account.id);
        let why = format!("a relink led elsewhere: {release} first, if the customer means the new system");
        return Err(Failure::Usage(why));
    }
    if held.approved && decision == Decision::Approve {
        return output.line("they are approved already: the model is being read once more");
    }

    // 2. Ask.
    let of = format!("{} of {} records of {}", held.missing, held.live, asked.model);
    let (question, done) = match decision {
        Decision::Approve => (
            format!("Delete {of}? This cannot be undone."),
            format!("queued: the model is read once more, and up to {} records are deleted", held.missing),
        ),
        Decision::Discard => {
            (format!("Keep {of}?"), "queued: the records stay until a full read misses them again".to_owned())
        }
    };
    let decided = |queued: bool| {
        let (model, missing) = (&asked.model, held.missing);
        output.object(&json!({"model_id": model, "missing": missing, "decision": decision, "queued": queued}))
    };
    if asked.consent.dry_run {
        let verb = if decision == Decision::Approve { "delete" } else { "keep" };
        return if output.json { decided(false) } else { output.line(format!("would {verb} {of}")) };
    }
    output.confirm(&question, asked.consent.yes)?;

    // 3. The worker does it, in the account's turn.
    let work = Work::Held {
        of: AccountRef { organization: account.organization.clone(), account: account.id },
        model: endpoint.key(),
        generation: held.generation,
        decision,
        actor: operator::name(),
        request: Uuid::new_v4(),
    };
    connection.queue.send(&Message::new(account.merge_id.clone(), work)).await?;
    if output.json { decided(true) } else { output.line(done) }
}

/// Lets deletions happen again after a relink that led elsewhere. Everything is read again: so what was held is found.
async fn release(connection: &Connection, output: &Output, asked: &cli::Release) -> Result<(), Failure> {
    let account = crate::account::load(&connection.store, asked.account).await?;
    let said = |released: bool| output.object(&json!({"account": account.id, "released": released}));
    let (Some(since), Some(meant)) = (account.notes.deletions_held_since, account.held_for()) else {
        let nothing = "no relink holds its deletions; those of the brake: tether brake approve";
        return if output.json { said(false) } else { output.line(nothing) };
    };
    let system = &account.integration.name;
    if asked.consent.dry_run {
        let would = format!("would let deletions happen that are held since {}", time(Some(since)));
        return if output.json { said(false) } else { output.line(would) };
    }
    let question =
        format!("Does the customer mean {system}, as it is connected now? What it does not have is deleted.");
    output.confirm(&question, asked.consent.yes)?;

    // The same write asks for the full read; the message makes it soon, and a poll does it if this ends before.
    let event = operator::event(EventKind::DeletionsReleased);
    let release = |account: &mut LinkedAccount| account.release_deletions(&meant, event.at);
    if !operator::change(connection, &account, &event, release).await? {
        let why = "somebody released them meanwhile, or a relink led elsewhere again: look at them once more";
        return Err(Failure::Usage(why.to_owned()));
    }
    let of = AccountRef { organization: account.organization.clone(), account: account.id };
    let (requested_at, request) = (event.at, Uuid::new_v4());
    let work = Work::Sync { of, mode: SyncMode::Full, models: Vec::new(), requested_at, request };
    connection.queue.send(&Message::new(account.merge_id.clone(), work)).await?;
    let done = format!("released: everything of {system} is read again, and what it does not have is deleted");
    if output.json { said(true) } else { output.line(done) }
}
