//! What no answer of the API may hold: a token or key, a ciphertext, an origin id.

use serde_json::Value;

use super::secrets::Secrets;

/// Names under which tokens and internals would travel.
const NAMES: [&str; 9] = [
    "account_token",
    "public_token",
    "token",
    "token_ciphertext",
    "ciphertext",
    "end_user_origin_id",
    "origin_id",
    "merge_linked_account_id",
    "merge_id",
];

const CATEGORIES: [&str; 7] = ["hris", "ats", "crm", "accounting", "ticketing", "filestorage", "knowledgebase"];

/// Fails the test if the answer to `call` holds what it must not. `link_token` answers are allowed their link token.
pub fn check(call: &str, organization: &str, body: &str, secrets: &Secrets) {
    let allowed: &[&str] =
        if call.ends_with("/link-tokens") || call.ends_with("/relink") { &["link token"] } else { &[] };
    if let Some(what) = secrets.found_in(body, allowed) {
        panic!("{call}: the answer holds a secret ({what})");
    }
    for category in CATEGORIES {
        assert!(!body.contains(&format!("{organization}_{category}")), "{call}: the answer holds an origin id");
    }
    if let Ok(json) = serde_json::from_str::<Value>(body)
        && let Some(name) = forbidden_name(&json)
    {
        panic!("{call}: the answer has a field `{name}`");
    }
}

/// The first forbidden field name outside of records, which are Merge's own bytes.
fn forbidden_name(json: &Value) -> Option<&str> {
    match json {
        Value::Array(items) => items.iter().find_map(forbidden_name),
        Value::Object(members) => members.iter().find_map(|(name, value)| match name.as_str() {
            "data" => None,
            name if NAMES.contains(&name) => Some(name),
            _ => forbidden_name(value),
        }),
        _ => None,
    }
}
