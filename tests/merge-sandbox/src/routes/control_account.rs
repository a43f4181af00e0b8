//! The control API of one account: `POST /_sandbox/accounts/{id}/{action}`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::account::{Account, Status};
use crate::clock::Time;
use crate::dataset::Pending;
use crate::ids;
use crate::integrations;
use crate::issue::IssueKind;
use crate::models;
use crate::reply::Reply;
use crate::routes::control::body;
use crate::service::{Call, Service};
use crate::sync::{Plan, SyncStatus};
use crate::world::World;

pub fn answer(service: &Service, call: &Call, id: &str, action: &str) -> Result<Reply, Reply> {
    let (mut world, now) = service.world();
    if !world.store.accounts.contains_key(id) {
        return Err(Reply::not_found());
    }
    let answer = match action {
        "start-sync" => start_sync(&mut world, id, body(call)?, now)?,
        "drift" => drift(account(&mut world, id)?),
        "pause" => pause(account(&mut world, id)?, now),
        "mutate" => mark(account(&mut world, id)?, &body(call)?, Pending::Change, now)?,
        "delete-records" => mark(account(&mut world, id)?, &body(call)?, Pending::Delete, now)?,
        "relink-needed" => relink_needed(&mut world, id, now)?,
        "issue" => issue(&mut world, id, body(call)?, now)?,
        "resolve-issue" => resolve(&mut world, id, &body(call)?, now)?,
        "replace-system" => replace_system(account(&mut world, id)?, body(call)?)?,
        "remove" => json!({"removed": world.remove(id, now)}),
        _ => return Err(Reply::not_found()),
    };
    world.touch(id);
    Ok(Reply::ok(&answer))
}

fn account<'w>(world: &'w mut World, id: &str) -> Result<&'w mut Account, Reply> {
    world.store.accounts.get_mut(id).ok_or_else(Reply::not_found)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedSync {
    /// Model ids or keys; all when absent.
    models: Option<Vec<String>>,
    result: Option<SyncStatus>,
    /// Of each model's run, in real time: not divided by speed.
    duration_ms: Option<i64>,
    /// The runs began so long ago.
    began_ms_ago: Option<i64>,
}

fn start_sync(world: &mut World, id: &str, wanted: WantedSync, now: Time) -> Result<Value, Reply> {
    let mut plan = world.plan(now);
    if let Some(duration_ms) = wanted.duration_ms {
        plan = Plan { duration_ms, stagger_ms: 0, ..plan };
    }
    plan.result = wanted.result.unwrap_or(SyncStatus::Done);
    if !matches!(plan.result, SyncStatus::Done | SyncStatus::PartiallySynced | SyncStatus::Failed) {
        return Err(Reply::bad_request("`result` is DONE, PARTIALLY_SYNCED or FAILED"));
    }
    let account = account(world, id)?;
    let mut model_ids = Vec::new();
    for name in wanted.models.iter().flatten() {
        let model_id = name.split('@').next().unwrap_or(name).to_owned();
        if !account.syncs.iter().any(|sync| sync.model_id == model_id) {
            return Err(Reply::bad_request(&format!("this account has no model `{name}`")));
        }
        model_ids.push(model_id);
    }
    if account.status == Status::Idle {
        account.status = Status::Complete;
    }
    let (model_ids, finishes_at) = account.begin(&model_ids, plan);
    if let Some(ago) = wanted.began_ms_ago {
        account.began_at(&model_ids, now.plus_millis(-ago));
    }
    Ok(json!({"model_ids": model_ids, "finishes_at": finishes_at.to_string()}))
}

/// A newer Merge: what changes from now on has members and values that are not published, and sync-status a model.
fn drift(account: &mut Account) -> Value {
    account.drifts = true;
    json!({})
}

/// Two weeks without traffic: syncs PAUSED, the account IDLE.
fn pause(account: &mut Account, now: Time) -> Value {
    account.pause(now);
    if account.status == Status::Complete {
        account.status = Status::Idle;
    }
    json!({"status": account.status})
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Marked {
    /// A model key.
    model_id: String,
    count: u64,
}

fn mark(account: &mut Account, wanted: &Marked, pending: Pending, now: Time) -> Result<Value, Reply> {
    let unknown = || Reply::bad_request(&format!("this account has no model `{}`", wanted.model_id));
    let index = models::by_key(&wanted.model_id).ok_or_else(unknown)?;
    if account.dataset(index).is_none() {
        return Err(unknown());
    }
    let seed = account.model_seed(index);
    let marked = account.dataset_mut(index).mark(wanted.count, pending, now);
    // Models without ids are named by their remote ids' numbers; an Association has neither.
    let ids: Vec<String> = marked
        .into_iter()
        .map(|number| match models::all()[index].has_id {
            true => ids::record_id(seed, number).to_string(),
            false => crate::generate::remote_id(&models::all()[index], number),
        })
        .collect();
    Ok(json!({"ids": ids}))
}

/// The credentials expired: RELINK_NEEDED, with the issue that Merge opens for it. A relink resolves both.
fn relink_needed(world: &mut World, id: &str, now: Time) -> Result<Value, Reply> {
    account(world, id)?.status = Status::RelinkNeeded;
    world.touch(id);
    let opened = issue(world, id, WantedIssue { kind: IssueKind::InvalidLoginCredentials, id: None }, now)?;
    Ok(json!({"status": Status::RelinkNeeded, "issue": opened["id"]}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedSystem {
    integration_slug: String,
}

/// The end user chose another system when asked to sign in again: the account is that one's from now on.
fn replace_system(account: &mut Account, wanted: WantedSystem) -> Result<Value, Reply> {
    if integrations::by_slug(&wanted.integration_slug).is_none() {
        return Err(Reply::bad_request("`integration_slug` is no integration"));
    }
    account.integration = wanted.integration_slug;
    Ok(json!({"integration_slug": account.integration}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedIssue {
    kind: IssueKind,
    /// An issue that turns out to be of this kind; otherwise it is one of its own.
    id: Option<String>,
}

fn issue(world: &mut World, id: &str, wanted: WantedIssue, now: Time) -> Result<Value, Reply> {
    let fresh = world.fresh_id("issue");
    let account = account(world, id)?;
    if let Some(known) = &wanted.id {
        let issue = account.issues.iter_mut().find(|issue| issue.id == *known).ok_or_else(Reply::not_found)?;
        issue.kind = wanted.kind;
    }
    let (issue, event) = account.open_issue(wanted.kind, fresh, now);
    world.emit(id, event, now);
    Ok(json!({"id": issue}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resolved {
    id: Option<String>,
}

fn resolve(world: &mut World, id: &str, wanted: &Resolved, now: Time) -> Result<Value, Reply> {
    let account = account(world, id)?;
    if let Some(issue) = &wanted.id
        && !account.issues.iter().any(|known| known.id == *issue)
    {
        return Err(Reply::not_found());
    }
    let events = account.resolve_issues(wanted.id.as_deref(), now);
    let resolved = events.len();
    for event in events {
        world.emit(id, event, now);
    }
    Ok(json!({"resolved": resolved}))
}
