//! What no answer of the API may hold: a token or key, a ciphertext, an origin id.

use serde_json::Value;

use super::canaries::{MARKS, RECORD};
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

/// Fails the test if the answer to `call` holds what it must not. `link_token` answers are allowed their link token,
/// lists of records and of their changes what records hold.
pub fn check(call: &str, organization: &str, body: &str, secrets: &Secrets) {
    let path = call.split('?').next().unwrap_or(call);
    let allowed: &[&str] = match path {
        _ if path.ends_with("/link-tokens") || path.ends_with("/relink") => &["link token"],
        _ if path.contains("/records/") || path.ends_with("/changes") => &[RECORD],
        _ => &[],
    };
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

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    /// Every call of every end-to-end test goes through `check`: so no answer that it would refuse was ever given.
    #[test]
    fn checklist_26_an_answer_with_a_token_a_ciphertext_or_an_origin_id_is_refused() {
        let secrets = Secrets::new();
        secrets.plant("account token", "planted-account-token");
        secrets.plant("public token", "planted-public-token");
        secrets.plant("link token", "planted-link-token");
        let holds = |call: &str, body: &str| catch_unwind(|| check(call, "org_acme", body, &secrets)).is_ok();
        for body in [
            r#"{"id":"planted-account-token"}"#,
            r#"{"detail":"planted-public-token is not known"}"#,
            r#"{"link_token":"planted-link-token"}"#,
            r#"{"detail":"dev-api-key"}"#,
            r#"{"name":"org_acme_hris_7a1d6f2e-5b0c-4f7e-9c41-2f3a8f1e0b9d"}"#,
            r#"{"results":[{"end_user_origin_id":"x"}]}"#,
            r#"{"results":[{"token":"AQICAHg="}]}"#,
            r#"{"account":{"ciphertext":"AQICAHg="}}"#,
            r#"{"merge_linked_account_id":"x"}"#,
            "planted-account-token",
        ] {
            assert!(!holds("GET /v1/linked-accounts", body), "{body}");
        }
        assert!(holds("POST /v1/link-tokens", r#"{"link_token":"planted-link-token","id":"x"}"#), "where it is made");
        let record = format!(r#"{{"results":[{{"id":"x","data":{{"work_email":"jo{}"}}}}]}}"#, MARKS[0]);
        assert!(holds("GET /v1/linked-accounts/x/records/hris.Employee?limit=1", &record), "a record where it is read");
        assert!(!holds("GET /v1/linked-accounts/x/events", &record), "and nowhere else");
        assert!(holds("GET /v1/x", r#"{"results":[{"id":"x","data":{"token":"the provider's own"}}]}"#));
    }
}
