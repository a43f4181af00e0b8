//! Routes about accounts rather than records: details, linked accounts, sync-status, issues, catalogues.

use http::StatusCode;
use serde_json::{Value, json};

use crate::account::{Account, Status};
use crate::clock::Time;
use crate::integrations::{self, Fields};
use crate::issue::Issue;
use crate::pager::{self, Parameters};
use crate::reply::Reply;
use crate::routes::{parameters, with_account};
use crate::service::{Call, Service};
use crate::settings::{ApiKey, Resync};
use crate::world::World;

/// `GET /api/integrations`: a bare array, for everyone.
pub fn catalogue(world: &World) -> Reply {
    let base = &world.config.base;
    Reply::ok(&integrations::all().iter().map(|integration| integration.to_json(base)).collect())
}

/// `GET /api/organizations/integrations`: pages.
pub fn organization_catalogue(service: &Service, call: &Call) -> Reply {
    let (world, _) = service.world();
    let offered = |slug: &str| !world.store.settings.withdrawn.iter().any(|withdrawn| withdrawn == slug);
    let items: Vec<_> = integrations::all().iter().filter(|integration| offered(integration.slug)).collect();
    pager::page(&items, &parameters(call), &world.store.settings, |item| item.to_json(&world.config.base))
}

/// `GET account-details`. Another category in the path is let pass: what Merge does then is not known.
pub fn details(service: &Service, id: &str, category: &str) -> Reply {
    with_account(service, id, |world, account, _| {
        if account.category != category {
            tracing::warn!(asked = category, own = account.category, "account-details in another category");
        }
        Reply::ok(&account.details(&world.config.base, world.is_duplicate(account)))
    })
}

/// `GET linked-accounts`: of all categories, whichever the path names.
pub fn linked_accounts(service: &Service, call: &Call) -> Reply {
    let (world, _) = service.world();
    let parameters = parameters(call);
    let foreign = world.store.settings.api_key == ApiKey::Foreign;
    let seen = world.store.accounts.values().filter(|account| !foreign && matches(account, &parameters));
    let mut accounts: Vec<&Account> = seen.collect();
    if let Some(id) = parameters.get("id").filter(|_| parameters.is_true("include_duplicates")) {
        accounts.extend(world.duplicates_of(id));
    }
    accounts.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    accounts.dedup_by(|a, b| a.id == b.id);
    let show = |account: &&Account| account.list_item(&world.config.base, world.is_duplicate(account));
    pager::page(&accounts, &parameters, &world.store.settings, show)
}

fn matches(account: &Account, parameters: &Parameters) -> bool {
    let equals = |name: &str, value: &str| parameters.get(name).is_none_or(|wanted| wanted == value);
    let among = |name: &str, value: &str| {
        parameters.get(name).is_none_or(|wanted| wanted.split(',').any(|wanted| wanted.trim() == value))
    };
    let status = json!(account.status);
    // Absent: only accounts that are no test accounts. Present: only those that are.
    let wants_test = parameters.get("is_test_account").is_some_and(|value| !value.eq_ignore_ascii_case("false"));
    account.is_test == wants_test
        && equals("category", &account.category)
        && equals("id", &account.id)
        && among("ids", &account.id)
        && equals("end_user_origin_id", &account.end_user.origin_id)
        && among("end_user_origin_ids", &account.end_user.origin_id)
        && equals("end_user_email_address", &account.end_user.email_address)
        && equals("end_user_organization_name", &account.end_user.organization_name)
        && equals("integration_name", account.integration_name())
        && equals("status", status.as_str().unwrap_or_default())
}

/// `GET sync-status`.
pub fn sync_status(service: &Service, call: &Call, id: &str) -> Reply {
    with_account(service, id, |world, account, _| {
        let mut rows: Vec<Value> = account.syncs.iter().map(|sync| sync.to_json(account.next_round)).collect();
        if let (true, Some(row)) = (account.drifts, rows.first().cloned()) {
            rows.push(unpublished(row, &account.category));
        }
        pager::page(&rows, &parameters(call), &world.store.settings, Value::clone)
    })
}

/// The row of a model that Merge does not publish.
fn unpublished(mut row: Value, category: &str) -> Value {
    row["model_id"] = format!("{category}.Horoscope").into();
    row["model_name"] = "Horoscope".into();
    row
}

/// `POST sync-status/resync`: starts all, answers a bare array.
pub fn resync(service: &Service, id: &str) -> Reply {
    let (mut world, now) = service.world();
    let plan = world.plan(now);
    if world.store.settings.resync == Resync::Forbidden {
        return Reply::detail(StatusCode::FORBIDDEN, "Your plan does not include force resync.");
    }
    let Some(account) = world.store.accounts.get_mut(id) else { return Reply::not_found() };
    if account.status == Status::Idle {
        account.status = Status::Complete;
    }
    account.begin(&[], plan);
    let body: Vec<Value> = account.syncs.iter().map(|sync| sync.to_json(account.next_round)).collect();
    world.touch(id);
    Reply::ok(&Value::Array(body))
}

/// `GET available-actions`.
pub fn available_actions(service: &Service, id: &str) -> Reply {
    with_account(service, id, |world, account, _| {
        let Some(integration) = integrations::by_slug(&account.integration) else { return Reply::not_found() };
        let actions = integration.with_actions(&world.config.base, Fields::Named);
        let operations = actions["available_model_operations"].clone();
        Reply::ok(&json!({
            "integration": integration.to_json(&world.config.base),
            "passthrough_available": true,
            "available_model_operations": operations,
        }))
    })
}

/// `GET issues`.
pub fn issues(service: &Service, call: &Call) -> Reply {
    let (world, _) = service.world();
    let parameters = parameters(call);
    match filtered_issues(&world, &parameters) {
        Ok(found) => {
            pager::page(&found, &parameters, &world.store.settings, |(account, issue)| issue.to_json(&account.end_user))
        }
        Err(reply) => reply,
    }
}

fn filtered_issues<'w>(world: &'w World, parameters: &Parameters) -> Result<Vec<(&'w Account, &'w Issue)>, Reply> {
    let bounds = |after: &str, before: &str| -> Result<(Option<Time>, Option<Time>), Reply> {
        Ok((parameters.time(after)?, parameters.time(before)?))
    };
    let first = bounds("first_incident_time_after", "first_incident_time_before")?;
    let last = bounds("last_incident_time_after", "last_incident_time_before")?;
    let dates = bounds("start_date", "end_date")?;
    let within = |time: Time, (after, before): (Option<Time>, Option<Time>)| {
        after.is_none_or(|after| time >= after) && before.is_none_or(|before| time <= before)
    };
    let equals = |name: &str, value: &str| parameters.get(name).is_none_or(|wanted| wanted == value);
    let mut found: Vec<_> = world
        .store
        .accounts
        .values()
        .filter(|account| equals("linked_account_id", &account.id) && equals("account_token", &account.account_token))
        .filter(|account| equals("end_user_organization_name", &account.end_user.organization_name))
        .filter(|account| equals("integration_name", account.integration_name()))
        .flat_map(|account| account.issues.iter().map(move |issue| (account, issue)))
        .filter(|(_, issue)| equals("status", if issue.is_ongoing { "ONGOING" } else { "RESOLVED" }))
        .filter(|(_, issue)| within(issue.first_incident_time, first) && within(issue.last_incident_time, last))
        .filter(|(_, issue)| within(issue.first_incident_time, dates))
        .collect();
    found.sort_by(|a, b| (a.1.first_incident_time, &a.1.id).cmp(&(b.1.first_incident_time, &b.1.id)));
    Ok(found)
}

/// `GET issues/{id}`.
pub fn issue(service: &Service, id: &str) -> Reply {
    let (world, _) = service.world();
    let mut all = world.store.accounts.values().flat_map(|a| a.issues.iter().map(move |issue| (a, issue)));
    match all.find(|(_, issue)| issue.id == id) {
        Some((account, issue)) => Reply::ok(&issue.to_json(&account.end_user)),
        None => Reply::not_found(),
    }
}
