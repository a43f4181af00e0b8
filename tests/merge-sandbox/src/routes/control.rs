//! The control API under `/_sandbox`: what tests and developers do to the sandbox.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::clock::Time;
use crate::faults::Fault;
use crate::generate::RemoteData;
use crate::linking::Attempt;
use crate::listing::{self, Cursor, Query};
use crate::models::{self, ModelIndex};
use crate::reply::Reply;
use crate::routes::{body_object, control_account, parameters};
use crate::service::{Call, Service};
use crate::webhook::{self, Mode};

pub fn answer(service: &Arc<Service>, call: &Call, path: &[&str]) -> Response {
    let reply = match (&call.method, path) {
        (&Method::GET, ["accounts", id, "records", key]) => return records(service, call, id, key),
        (&Method::GET, ["state"]) => Ok(state(service)),
        (&Method::GET, ["requests"]) => requests(service, call),
        (&Method::POST, ["link"]) => link(service, call),
        (&Method::POST, ["expire-link-tokens"]) => Ok(expire_link_tokens(service)),
        (&Method::POST, ["accounts", id, action]) => control_account::answer(service, call, id, action),
        (&Method::POST, ["faults"]) => fault(service, call),
        (&Method::POST, ["webhooks"]) => webhook_mode(service, call),
        (&Method::POST, ["webhooks", "replay"]) => replay(service, call),
        (&Method::POST, ["webhooks", "ping"]) => Ok(ping(service)),
        (&Method::POST, ["settings"]) => settings(service, call),
        (&Method::POST, ["reset"]) => reset(service, call),
        _ => Err(Reply::not_found()),
    };
    reply.unwrap_or_else(|error| error).into_response()
}

/// A call's body as `T`; 400 in words otherwise.
pub fn body<T: DeserializeOwned>(call: &Call) -> Result<T, Reply> {
    let object = Value::Object(body_object(call)?);
    serde_json::from_value(object).map_err(|error| Reply::bad_request(&error.to_string()))
}

fn state(service: &Service) -> Reply {
    let (world, now) = service.world();
    let accounts: Vec<Value> = world.store.accounts.values().map(|account| account_state(account, now)).collect();
    Reply::ok(&json!({
        "accounts": accounts,
        "webhooks": world.webhooks.counts,
        "requests": world.requests.counts,
    }))
}

fn account_state(account: &Account, now: Time) -> Value {
    let models: Map<String, Value> = account
        .datasets
        .iter()
        .map(|(key, dataset)| {
            let deleted = dataset.deleted();
            (key.clone(), json!({"records": dataset.visible(now) - deleted, "deleted": deleted}))
        })
        .collect();
    let syncs: Vec<Value> = account.syncs.iter().map(|sync| sync.to_json(account.next_round)).collect();
    json!({
        "id": account.id,
        "account_token": account.account_token,
        "end_user_origin_id": account.end_user.origin_id,
        "category": account.category,
        "integration_slug": account.integration,
        "status": account.status,
        "account_type": account.account_type(),
        "syncs": syncs,
        "models": models,
    })
}

fn requests(service: &Service, call: &Call) -> Result<Reply, Reply> {
    let since = parameters(call).time("since")?;
    Ok(Reply::ok(&json!(service.world().0.requests.since(since))))
}

fn link(service: &Service, call: &Call) -> Result<Reply, Reply> {
    let attempt: Attempt = body(call)?;
    let (mut world, now) = service.world();
    let linked = world.link(&attempt, now).map_err(|error| Reply::bad_request(&error.to_string()))?;
    Ok(Reply::ok(&json!(linked)))
}

/// Lets the time of every link token run out.
fn expire_link_tokens(service: &Service) -> Reply {
    let (mut world, now) = service.world();
    let tokens = world.store.link_tokens.values_mut();
    let expired = tokens.map(|token| token.expires_at = now).count();
    world.revision += 1;
    Reply::ok(&json!({"expired": expired}))
}

/// Records as NDJSON, made while they are sent; `?include_deleted_data=true` adds the tombstones.
fn records(service: &Arc<Service>, call: &Call, id: &str, key: &str) -> Response {
    let key = key.replace("%40", "@");
    let Some(model) = models::by_key(&key) else { return Reply::not_found().into_response() };
    if service.world().0.store.accounts.get(id).is_none_or(|account| account.dataset(model).is_none()) {
        return Reply::not_found().into_response();
    }
    let include_deleted = parameters(call).is_true("include_deleted_data");
    let walk = Walk { service: Arc::clone(service), account: id.to_owned(), model, include_deleted, cursor: None };
    let chunks = futures::stream::unfold(Some(walk), |walk| {
        let chunk = walk.and_then(Walk::next);
        async move { chunk.map(|(text, walk)| (Ok::<_, std::convert::Infallible>(text), walk)) }
    });
    let mut response = Response::new(Body::from_stream(chunks));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}

struct Walk {
    service: Arc<Service>,
    account: String,
    model: ModelIndex,
    include_deleted: bool,
    cursor: Option<Cursor>,
}

impl Walk {
    /// The next 200 records, and where to go on (`None`: that was all).
    fn next(self) -> Option<(String, Option<Walk>)> {
        let mut text = String::new();
        let next = {
            let (world, now) = self.service.world();
            let account = world.store.accounts.get(&self.account)?;
            let query =
                Query { include_deleted: self.include_deleted, cursor: self.cursor, limit: 200, ..Query::default() };
            let page = listing::page(account.dataset(self.model)?, &query, models::all()[self.model].has_deleted, now);
            for (index, _) in &page.records {
                account.write_record(self.model, *index, RemoteData::Omitted, &mut text);
                text.push('\n');
            }
            page.next
        };
        Some((text, next.map(|cursor| Walk { cursor: Some(cursor), ..self })))
    }
}

fn fault(service: &Service, call: &Call) -> Result<Reply, Reply> {
    let fault: Fault = body(call)?;
    service.world().0.faults.push(fault);
    Ok(Reply::ok(&json!({})))
}

fn webhook_mode(service: &Service, call: &Call) -> Result<Reply, Reply> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        mode: Mode,
    }
    let wanted: Wanted = body(call)?;
    service.world().0.webhooks.mode = wanted.mode;
    Ok(Reply::ok(&json!({"mode": wanted.mode})))
}

fn replay(service: &Service, call: &Call) -> Result<Reply, Reply> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        event: Option<String>,
    }
    let wanted: Wanted = body(call)?;
    let (mut world, now) = service.world();
    let (url, keys) = (world.webhook_target(), world.store.settings.webhook_keys.clone());
    let replayed = world.webhooks.replay(wanted.event.as_deref(), url.as_deref(), &keys, now);
    Ok(Reply::ok(&json!({"replayed": replayed})))
}

/// The dashboard's "send test": signed, but with no hook in it.
fn ping(service: &Service) -> Reply {
    let (mut world, now) = service.world();
    let body = webhook::python_json(&json!({"response": "This is a test webhook."}));
    let (url, keys) = (world.webhook_target(), world.store.settings.webhook_keys.clone());
    world.webhooks.push("ping", body, url.as_deref(), &keys, now);
    Reply::ok(&json!({}))
}

fn settings(service: &Service, call: &Call) -> Result<Reply, Reply> {
    let wanted = body_object(call)?;
    let (mut world, now) = service.world();
    let settings = world.store.settings.merged(&wanted).map_err(|error| Reply::bad_request(&error))?;
    world.set_settings(settings, now);
    Ok(Reply::ok(&json!(world.store.settings)))
}

fn reset(service: &Service, call: &Call) -> Result<Reply, Reply> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        #[serde(default)]
        accounts: bool,
    }
    let wanted: Wanted = body(call)?;
    let (mut world, now) = service.world();
    world.reset(wanted.accounts, now);
    Ok(Reply::ok(&json!({})))
}
