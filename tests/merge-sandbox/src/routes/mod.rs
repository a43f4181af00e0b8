//! Routes: which call goes where, and who may make it.

mod assets;
mod control;
mod control_account;
mod dialog;
mod link;
mod lists;
mod platform;

use std::sync::Arc;

use axum::response::Response;
use http::{Method, StatusCode};

use crate::account::Account;
use crate::clock::Time;
use crate::models::{self, CATEGORIES};
use crate::pager::Parameters;
use crate::reply::Reply;
use crate::service::{Call, Service};
use crate::settings::ApiKey;
use crate::world::World;

/// The key of the organization's production environment.
const PRODUCTION_KEY: &str = "dev-api-key";
/// Accounts linked with this key are test accounts.
const TEST_KEY: &str = "dev-test-key";

/// Which of the organization's keys a call came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Production,
    Test,
}

/// The answer to any call.
pub async fn answer(service: &Arc<Service>, call: &Call) -> Response {
    let segments = call.segments();
    match (&call.method, segments.as_slice()) {
        (&Method::OPTIONS, _) => assets::preflight(),
        (&Method::GET, ["initialize.js"]) => assets::script(),
        (&Method::GET, ["link", _]) => assets::magic_link_page(),
        (&Method::GET, ["magic-link.js"]) => assets::magic_link_script(),
        (&Method::GET, ["logos", file]) => assets::logo(file),
        (_, ["_sandbox", rest @ ..]) => control::answer(service, call, rest),
        (_, ["api", "integrations", "link", token, rest @ ..]) => {
            dialog::answer(service, call, token, rest).into_response()
        }
        (_, ["api", rest @ ..]) => api(service, call, rest).await.into_response(),
        _ => Reply::not_found().into_response(),
    }
}

async fn api(service: &Arc<Service>, call: &Call, segments: &[&str]) -> Reply {
    if call.method == Method::GET && segments == ["integrations"] {
        return platform::catalogue(&service.world().0);
    }
    let key = match admitted(service, call) {
        Ok(key) => key,
        Err(reply) => return reply,
    };
    match (&call.method, segments) {
        (&Method::GET, ["organizations", "integrations"]) => platform::organization_catalogue(service, call),
        (&Method::POST, ["integrations", "create-link-token"]) => link::create(service, call, key),
        (&Method::GET, ["integrations", "account-token", token]) => link::exchange(service, token),
        (_, [category, "v1", rest @ ..]) if CATEGORIES.contains(category) => {
            category_route(service, call, key, category, rest).await
        }
        _ => Reply::not_found(),
    }
}

async fn category_route(service: &Arc<Service>, call: &Call, key: Key, category: &str, rest: &[&str]) -> Reply {
    // Organization level: an account token sent along is ignored.
    match (&call.method, rest) {
        (&Method::POST, ["link-token"]) => return link::create(service, call, key),
        (&Method::GET, ["account-token", token]) => return link::exchange(service, token),
        (&Method::GET, ["linked-accounts"]) => return platform::linked_accounts(service, call),
        (&Method::GET, ["issues"]) => return platform::issues(service, call),
        (&Method::GET, ["issues", id]) => return platform::issue(service, id),
        _ => {}
    }
    if !is_scoped(rest) && models::by_path(category, rest).is_none() && !is_record(category, rest) {
        return Reply::not_found();
    }
    let account = match account_of(service, call) {
        Ok(account) => account,
        Err(reply) => return reply,
    };
    match (&call.method, rest) {
        (&Method::GET, ["account-details"]) => platform::details(service, &account, category),
        (&Method::POST, ["account-token", "regenerate"]) => link::regenerate(service, &account),
        (&Method::POST, ["delete-account"]) => link::delete(service, &account),
        (&Method::GET, ["sync-status"]) => platform::sync_status(service, call, &account),
        (&Method::POST, ["sync-status", "resync"]) => platform::resync(service, &account),
        (&Method::GET, ["available-actions"]) => platform::available_actions(service, &account),
        (&Method::GET, _) => lists::answer(service, call, &account, category, rest).await,
        _ => Reply::detail(StatusCode::METHOD_NOT_ALLOWED, &format!("Method \"{}\" not allowed.", call.method)),
    }
}

fn is_scoped(rest: &[&str]) -> bool {
    matches!(
        rest,
        ["account-details" | "delete-account" | "sync-status" | "available-actions"]
            | ["account-token", "regenerate"]
            | ["sync-status", "resync"]
    )
}

fn is_record(category: &str, rest: &[&str]) -> bool {
    rest.split_last().is_some_and(|(_, list)| models::by_path(category, list).is_some())
}

/// The call's key, unless the caller has only caused errors lately.
fn admitted(service: &Service, call: &Call) -> Result<Key, Reply> {
    let (mut world, now) = service.world();
    if world.store.settings.error_guard {
        world.throttle.guard(now).map_err(Reply::throttled)?;
    }
    authenticate(&world, call)
}

/// The key in `Authorization: Bearer …`, or the first kind of 401.
fn authenticate(world: &World, call: &Call) -> Result<Key, Reply> {
    let unauthorized = |detail| Reply::detail(StatusCode::UNAUTHORIZED, detail);
    let header =
        call.header("authorization").ok_or_else(|| unauthorized("Authentication credentials were not provided."))?;
    let key = match header.strip_prefix("Bearer ").map(str::trim) {
        Some(PRODUCTION_KEY) => Key::Production,
        Some(TEST_KEY) => Key::Test,
        _ => return Err(unauthorized("Invalid API key.")),
    };
    match world.store.settings.api_key {
        ApiKey::Valid | ApiKey::Foreign => Ok(key),
        ApiKey::Revoked => Err(unauthorized("Invalid API key.")),
    }
}

/// The id of the account in `X-Account-Token`, within its plan's limit; or the second kind of 401, or 429.
fn account_of(service: &Service, call: &Call) -> Result<String, Reply> {
    let (mut world, now) = service.world();
    let missing = "Account Token must be passed in as an X-Account-Token header.";
    let token = call.header("x-account-token").filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| Reply::detail(StatusCode::UNAUTHORIZED, missing))?;
    let sees_accounts = world.store.settings.api_key != ApiKey::Foreign;
    let id = world.account_by_token(token).filter(|_| sees_accounts).map(|account| account.id.clone());
    let id = id.ok_or_else(|| Reply::detail(StatusCode::UNAUTHORIZED, "Invalid account token."))?;
    let limit = world.store.settings.plan_limit;
    world.throttle.admit(token, limit, now).map_err(Reply::throttled)?;
    Ok(id)
}

/// Runs `f` on an account that was there a moment ago.
fn with_account(service: &Service, id: &str, f: impl FnOnce(&World, &Account, Time) -> Reply) -> Reply {
    let (world, now) = service.world();
    match world.store.accounts.get(id) {
        Some(account) => f(&world, account, now),
        None => Reply::detail(StatusCode::UNAUTHORIZED, "Invalid account token."),
    }
}

/// A call's JSON body as an object; empty means `{}`.
fn body_object(call: &Call) -> Result<serde_json::Map<String, serde_json::Value>, Reply> {
    if call.body.is_empty() {
        return Ok(serde_json::Map::new());
    }
    serde_json::from_slice(&call.body).map_err(|error| Reply::bad_request(&format!("JSON parse error - {error}")))
}

fn parameters(call: &Call) -> Parameters {
    Parameters::parse(call.query.as_deref())
}
