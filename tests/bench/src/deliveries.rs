//! Deliveries: webhooks as the function URL hands them to a function, genuine and forged. Every one is another delivery.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::Sha256;

use crate::platform::WEBHOOK_KEY;

/// Who signed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Merge.
    Genuine,
    /// Somebody else.
    Forged,
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
    let key = match kind {
        Kind::Genuine => WEBHOOK_KEY,
        Kind::Forged => "another-key",
    };
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

fn signature(key: &str, body: &str) -> String {
    // A key of any length will do.
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap_or_else(|_| unreachable!("HMAC takes any key"));
    mac.update(body.as_bytes());
    URL_SAFE.encode(mac.finalize().into_bytes())
}
