//! Link tokens, the exchange, and what ends an account: the same for both families of routes.

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::account::{EndUser, Status};
use crate::integrations;
use crate::linking::LinkToken;
use crate::models::CATEGORIES;
use crate::reply::Reply;
use crate::routes::{Key, body_object};
use crate::service::{Call, Service};

/// Categories that Merge takes though it offers nothing in them here.
const OTHER_CATEGORIES: [&str; 2] = ["mktg", "chat"];

/// `POST link-token` and `POST create-link-token`. The category in the path restricts nothing.
pub fn create(service: &Service, call: &Call, key: Key) -> Reply {
    let body = match body_object(call) {
        Ok(body) => body,
        Err(reply) => return reply,
    };
    let (mut world, now) = service.world();
    let minutes = match expiry(&body) {
        Ok(minutes) => minutes,
        Err(errors) => return Reply::json(StatusCode::BAD_REQUEST, &errors),
    };
    let mut token = match parse(&body) {
        Ok(token) => token,
        Err(errors) => return Reply::json(StatusCode::BAD_REQUEST, &errors),
    };
    token.is_test = key == Key::Test;
    token.expires_at = now.plus_millis(minutes * 60_000);
    let name = match &token.integration {
        Some(slug) => integrations::by_slug(slug).map(|found| found.name),
        None => {
            let mut accounts = token.categories.iter().filter_map(|c| world.account_of(&token.end_user.origin_id, c));
            accounts.find(|account| account.status != Status::Incomplete).map(|account| account.integration_name())
        }
    };
    let (link_token, _) = world.fresh("link-token");
    let magic = body.get("should_create_magic_link_url").and_then(Value::as_bool) == Some(true);
    let magic_link_url = magic.then(|| format!("{}/link/{link_token}", world.config.base));
    world.store.link_tokens.retain(|_, token| token.expires_at > now);
    world.store.link_tokens.insert(link_token.clone(), token);
    world.revision += 1;
    Reply::ok(&json!({"link_token": link_token, "integration_name": name, "magic_link_url": magic_link_url}))
}

fn expiry(body: &Map<String, Value>) -> Result<i64, Value> {
    let magic = body.get("should_create_magic_link_url").and_then(Value::as_bool) == Some(true);
    let most = if magic { 10_080 } else { 720 };
    let wrong = |message: String| json!({"link_expiry_mins": [message]});
    match body.get("link_expiry_mins") {
        None | Some(Value::Null) => Ok(30),
        Some(value) => match value.as_i64() {
            None => Err(wrong("A valid integer is required.".to_owned())),
            Some(minutes) if minutes < 30 => Err(wrong("Ensure this value is greater than or equal to 30.".to_owned())),
            Some(minutes) if minutes > most => {
                Err(wrong(format!("Ensure this value is less than or equal to {most}.")))
            }
            Some(minutes) => Ok(minutes),
        },
    }
}

/// Longest label and origin id: not in Merge's present schema, but in its earlier ones.
const MOST_CHARACTERS: usize = 100;

/// The body's other fields, checked as DRF does: every fault at once, by field.
fn parse(body: &Map<String, Value>) -> Result<LinkToken, Value> {
    let mut errors = Map::new();
    let mut text = |name: &str| match body.get(name) {
        None => fail(&mut errors, name, "This field is required."),
        Some(Value::Null) => fail(&mut errors, name, "This field may not be null."),
        Some(Value::String(text)) if text.trim().is_empty() => fail(&mut errors, name, "This field may not be blank."),
        Some(Value::String(text)) if text.chars().count() > MOST_CHARACTERS => {
            fail(&mut errors, name, &format!("Ensure this field has no more than {MOST_CHARACTERS} characters."))
        }
        Some(Value::String(text)) => text.clone(),
        Some(_) => fail(&mut errors, name, "Not a valid string."),
    };
    let end_user = EndUser {
        email_address: text("end_user_email_address"),
        organization_name: text("end_user_organization_name"),
        origin_id: text("end_user_origin_id"),
    };
    let categories = categories(body, &mut errors);
    let integration = body.get("integration").and_then(Value::as_str).map(str::to_owned);
    if let Some(slug) = &integration {
        let known = integrations::by_slug(slug);
        if !known.is_some_and(|known| categories.iter().any(|category| known.categories.contains(&category.as_str()))) {
            fail(&mut errors, "integration", "Integration not found for these categories.");
        }
    }
    let language = body.get("language").and_then(Value::as_str).unwrap_or("en").to_owned();
    if !["en", "de"].contains(&language.as_str()) {
        fail(&mut errors, "language", &format!("\"{language}\" is not a valid choice."));
    }
    if !errors.is_empty() {
        return Err(Value::Object(errors));
    }
    Ok(LinkToken {
        end_user,
        categories,
        integration,
        is_test: false,
        are_syncs_disabled: body.get("are_syncs_disabled").and_then(Value::as_bool) == Some(true),
        readable: readable(body),
        language,
        expires_at: Default::default(),
    })
}

fn fail(errors: &mut Map<String, Value>, name: &str, message: &str) -> String {
    errors.insert(name.to_owned(), json!([message]));
    String::new()
}

fn categories(body: &Map<String, Value>, errors: &mut Map<String, Value>) -> Vec<String> {
    let Some(value) = body.get("categories") else {
        fail(errors, "categories", "This field is required.");
        return Vec::new();
    };
    let names: Vec<String> =
        value.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect();
    if names.is_empty() {
        fail(errors, "categories", "This list may not be empty.");
    }
    let known = |name: &String| CATEGORIES.contains(&name.as_str()) || OTHER_CATEGORIES.contains(&name.as_str());
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        fail(errors, "categories", &format!("\"{unknown}\" is not a valid choice."));
    }
    names
}

/// The models that `common_models` or `category_common_model_scopes` leave readable.
fn readable(body: &Map<String, Value>) -> Option<Vec<String>> {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    if let Some(models) = body.get("common_models").and_then(Value::as_array) {
        let has_read = |model: &&Value| {
            let actions = model.get("enabled_actions").and_then(Value::as_array);
            actions.is_some_and(|actions| actions.iter().any(|action| action == "READ"))
        };
        return Some(models.iter().filter(has_read).filter_map(|model| text(model, "model_id")).collect());
    }
    let scopes = body.get("category_common_model_scopes").and_then(Value::as_object)?;
    let is_read =
        |model: &&Value| model.pointer("/model_permissions/READ/is_enabled").and_then(Value::as_bool) == Some(true);
    let models = scopes.values().filter_map(Value::as_array).flatten();
    Some(models.filter(is_read).filter_map(|model| text(model, "model_name")).collect())
}

/// `GET account-token/{public_token}`.
pub fn exchange(service: &Service, public_token: &str) -> Reply {
    let (mut world, now) = service.world();
    let base = world.config.base.clone();
    match world.exchange(public_token, now) {
        Some(account) => Reply::ok(&json!({
            "account_token": account.account_token,
            "integration": integrations::by_slug(&account.integration).map(|found| found.to_json(&base)),
            "id": account.id,
        })),
        None => Reply::bad_request("The public token is invalid, expired or was already used."),
    }
}

/// `POST account-token/regenerate`.
pub fn regenerate(service: &Service, id: &str) -> Reply {
    let (mut world, _) = service.world();
    match world.regenerate(id) {
        Some(token) => Reply::ok(&json!({"linked_account_id": id, "account_token": token})),
        None => Reply::not_found(),
    }
}

/// `POST delete-account`: an empty answer.
pub fn delete(service: &Service, id: &str) -> Reply {
    let (mut world, now) = service.world();
    if world.remove(id, now) { Reply::text(StatusCode::OK, String::new()) } else { Reply::not_found() }
}
