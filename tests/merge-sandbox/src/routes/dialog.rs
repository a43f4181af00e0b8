//! The dialog's own calls, made by `initialize.js` with the link token as its only key.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::linking::{Attempt, Ending, LinkError};
use crate::reply::Reply;
use crate::routes::body_object;
use crate::service::{Call, Service};

/// A credential with this value is refused by every provider.
const REFUSED: &str = "invalid";

pub fn answer(service: &Service, call: &Call, link_token: &str, rest: &[&str]) -> Reply {
    match (&call.method, rest) {
        (&Method::GET, ["initiate"]) => initiate(service, link_token),
        (&Method::POST, ["linked-account"]) => attempt(service, call, link_token),
        _ => Reply::not_found(),
    }
}

/// What the dialog shows.
fn initiate(service: &Service, link_token: &str) -> Reply {
    let (world, now) = service.world();
    let token = match world.open_link_token(link_token, now) {
        Ok(token) => token,
        Err(error) => return refused(&error),
    };
    let offered = world.offered(&token);
    let preselected = (offered.len() == 1).then(|| offered[0].slug);
    let integrations: Vec<Value> = offered
        .iter()
        .map(|found| json!({"name": found.name, "slug": found.slug, "color": found.color, "categories": found.categories}))
        .collect();
    Reply::ok(&json!({
        "end_user_organization_name": token.end_user.organization_name,
        "integrations": integrations,
        "preselected": preselected,
        "language": token.language,
    }))
}

/// `{integration_slug, credentials, exit?}`.
fn attempt(service: &Service, call: &Call, link_token: &str) -> Reply {
    let body = match body_object(call) {
        Ok(body) => body,
        Err(reply) => return reply,
    };
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let credentials = body.get("credentials").cloned();
    let values = credentials.as_ref().and_then(Value::as_object).into_iter().flat_map(|map| map.values());
    let outcome = if body.get("exit") == Some(&Value::Bool(true)) {
        Ending::Exit
    } else if values.into_iter().any(|value| value == REFUSED) {
        Ending::ValidationError
    } else {
        Ending::Success
    };
    let attempt =
        Attempt { link_token: link_token.to_owned(), integration_slug: text("integration_slug"), credentials, outcome };
    let (mut world, now) = service.world();
    match world.link(&attempt, now) {
        Ok(linked) => Reply::ok(&json!(linked)),
        Err(error) => refused(&error),
    }
}

fn refused(error: &LinkError) -> Reply {
    Reply::detail(StatusCode::BAD_REQUEST, &error.to_string())
}
