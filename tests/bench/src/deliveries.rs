//! Deliveries: webhooks as the function URL hands them to a function, genuine and forged, every one another delivery;
//! and requests to the API.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::Sha256;

use crate::platform::WEBHOOK_KEY;

/// What is asked of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// To take in a webhook that Merge signed.
    Genuine,
    /// To refuse one that somebody else did.
    Forged,
    /// A link token.
    LinkToken,
    /// To exchange a public token.
    Exchange,
}

impl Kind {
    /// In words.
    pub fn title(self) -> &'static str {
        match self {
            Self::Genuine => "genuine webhook",
            Self::Forged => "forged webhook",
            Self::LinkToken => "link token",
            Self::Exchange => "exchange",
        }
    }
}

/// `count` events of payload format 2.0, each with a sync that has finished.
pub fn deliveries(kind: Kind, count: usize) -> Vec<String> {
    (0..count).map(|n| event(kind, n)).collect()
}

fn event(kind: Kind, n: usize) -> String {
    let id = format!("00000000-0000-4000-8000-{n:012}");
    let status = json!({
        "model_id": "hris.Employee", "model_name": "Employee", "status": "DONE", "is_initial_sync": false,
        "last_sync_start": "2026-01-01T00:00:00Z", "next_sync_start": "2026-01-02T00:00:00Z",
        "last_sync_finished": "2026-01-01T00:01:00Z", "last_sync_result": "DONE"
    });
    let account = json!({
        "id": id, "integration": "BambooHR", "integration_slug": "bamboohr", "category": "hris",
        "end_user_origin_id": "org_acme_hris_1", "end_user_organization_name": "Acme", "status": "COMPLETE",
        "end_user_email_address": "admin@acme.example", "webhook_listener_url": "https://example.test",
        "is_duplicate": null, "account_type": "PRODUCTION"
    });
    let hook = json!({"id": id, "event": "Employee.synced", "target": "https://example.test"});
    let body = json!({"hook": hook, "linked_account": account, "data": {"sync_status": status}}).to_string();
    let key = if kind == Kind::Forged { "another-key" } else { WEBHOOK_KEY };
    let headers = json!({
        "content-type": "application/json", "content-length": body.len().to_string(), "user-agent": "python-requests",
        "host": "abcdefghij.lambda-url.us-east-1.on.aws", "x-forwarded-proto": "https", "x-forwarded-port": "443",
        "x-forwarded-for": "192.0.2.1", "accept": "*/*", "x-merge-webhook-signature": signature(key, &body)
    });
    let context = json!({
        "accountId": "anonymous", "apiId": "abcdefghij", "domainName": "abcdefghij.lambda-url.us-east-1.on.aws",
        "domainPrefix": "abcdefghij", "requestId": id, "routeKey": "$default", "stage": "$default",
        "time": "01/Jan/2026:00:01:00 +0000", "timeEpoch": 1_767_225_660_000_u64,
        "http": {"method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1",
            "userAgent": "python-requests"}
    });
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/", "rawQueryString": "", "headers": headers,
        "requestContext": context, "body": body, "isBase64Encoded": false
    })
    .to_string()
}

/// A request of a signed-in user's, as API Gateway hands it to a function once it has looked at the token.
pub fn request(path: &str, organization: &str, body: &serde_json::Value) -> serde_json::Value {
    let route = format!("POST {path}");
    let claims = json!({
        "sub": format!("user_of_{organization}"), "org_id": organization, "org_name": "Acme", "email": "admin@acme.example",
        "scope": "tether/linked-accounts:write", "iss": "https://issuer.example", "aud": "bench"
    });
    let headers = json!({
        "content-type": "application/json", "host": "abcdefghij.execute-api.us-east-1.amazonaws.com",
        "user-agent": "bench", "accept": "*/*", "x-forwarded-proto": "https", "x-forwarded-port": "443",
        "x-forwarded-for": "192.0.2.1"
    });
    let context = json!({
        "accountId": "000000000000", "apiId": "abcdefghij", "authorizer": {"jwt": {"claims": claims, "scopes": null}},
        "domainName": "abcdefghij.execute-api.us-east-1.amazonaws.com", "domainPrefix": "abcdefghij",
        "requestId": "bench", "routeKey": route, "stage": "$default", "time": "01/Jan/2026:00:01:00 +0000",
        "timeEpoch": 1_767_225_660_000_u64,
        "http": {"method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "bench"}
    });
    json!({
        "version": "2.0", "routeKey": route, "rawPath": path, "rawQueryString": "", "headers": headers,
        "requestContext": context, "body": body.to_string(), "isBase64Encoded": false
    })
}

fn signature(key: &str, body: &str) -> String {
    // A key of any length will do.
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap_or_else(|_| unreachable!("HMAC takes any key"));
    mac.update(body.as_bytes());
    URL_SAFE.encode(mac.finalize().into_bytes())
}
