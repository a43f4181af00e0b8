//! Token claims: Cognito's pre-token-generation trigger. Cognito puts a user's attributes into ID tokens only, while
//! the API's authorizer takes access tokens: the organization's id, its name and the user's e-mail are copied there.
//!
//! The attributes are the user pool's, which only an administrator writes; nothing that the client sends with a
//! sign-in (`clientMetadata`) is looked at. The event is answered as it came, with the response filled in: a typed
//! event would drop what it does not know, and refuse trigger sources younger than itself.

use serde_json::{Map, Value, json};
use shared::config::Identity;

/// The pool's attribute with the organization's id.
const ORGANIZATION: &str = "custom:org_id";
/// The pool's attribute with the organization's name, a display label.
const ORGANIZATION_NAME: &str = "custom:org_name";
const EMAIL: &str = "email";

/// The event is none of Cognito's pre-token-generation events of version 2 or 3. The user is not signed in.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenClaimsError {
    /// Version 1 cannot change access tokens: the pool's trigger is configured wrongly.
    #[error("the event has version {0:?}; the trigger needs version 2 or 3")]
    Version(String),
    /// There is no request, or no response to fill in.
    #[error("the event is not one of Cognito's pre-token-generation events")]
    Shape,
}

/// Answers one event: the same, with the claims of the access token.
pub fn handle(identity: &Identity, mut event: Value) -> Result<Value, TokenClaimsError> {
    // 1. Only the versions that can change an access token.
    let version = event.get("version").and_then(Value::as_str).unwrap_or_default();
    if !matches!(version, "2" | "3") {
        return Err(TokenClaimsError::Version(version.to_owned()));
    }

    // 2. The claims of whoever signs in. A service with client credentials is no user and has none.
    let request = event.get("request").and_then(Value::as_object).ok_or(TokenClaimsError::Shape)?;
    let attributes = request.get("userAttributes").and_then(Value::as_object);
    let claims = attributes.map(|attributes| claims(identity, attributes)).unwrap_or_default();
    if claims.get(&identity.organization_claim).is_none() {
        tracing::info!("a token without an organization: the API will refuse what needs one");
    }

    // 3. The rest of the event goes back as it came.
    let response = event.as_object_mut().ok_or(TokenClaimsError::Shape)?.entry("response").or_insert_with(|| json!({}));
    let response = response.as_object_mut().ok_or(TokenClaimsError::Shape)?;
    response.insert(
        "claimsAndScopeOverrideDetails".to_owned(),
        json!({ "accessTokenGeneration": { "claimsToAddOrOverride": claims } }),
    );
    Ok(event)
}

fn claims(identity: &Identity, attributes: &Map<String, Value>) -> Map<String, Value> {
    let copied = [
        (&identity.organization_claim, ORGANIZATION),
        (&identity.organization_name_claim, ORGANIZATION_NAME),
        (&identity.email_claim, EMAIL),
    ];
    let value = |attribute| attributes.get(attribute).and_then(Value::as_str).filter(|value| !value.is_empty());
    copied.into_iter().filter_map(|(claim, attribute)| Some((claim.clone(), Value::from(value(attribute)?)))).collect()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
