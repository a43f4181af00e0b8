//! Deliveries to the webhook's URL, as Merge makes them or as nobody should.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use shared::domain::secret::WebhookKey;
use shared::merge::signature;

use super::system::System;

/// The local stack's signature key.
pub const KEY: &str = "dev-webhook-key";

/// A body's signature under a key, as Merge writes it.
pub fn signed(body: &[u8], key: &str) -> String {
    signature::sign(body, &WebhookKey::new(key))
}

/// The raw 32 bytes of a signature.
pub fn digest(signature: &str) -> Vec<u8> {
    URL_SAFE.decode(signature).expect("a signature")
}

/// One POST to the webhook's URL.
pub struct Delivery<'a> {
    pub body: Vec<u8>,
    pub signature: Option<&'a str>,
}

impl Delivery<'_> {
    /// Posts it; status and body of the answer.
    pub async fn post(self, system: &System) -> (u16, String) {
        let mut request = system.http().post(&system.ready().webhook).header("content-type", "application/json");
        if let Some(signature) = self.signature {
            request = request.header("X-Merge-Webhook-Signature", signature);
        }
        let answer = request.body(self.body).send().await.expect("the webhook answers");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }
}

/// The secret with Merge's signature keys, as somebody with the operator's rights uses it.
fn keys_secret(system: &System) -> (Client, String) {
    let deployment = system.stack.deployment();
    let secret = deployment.secrets.iter().find(|secret| secret.logical_id == "WebhookKeysSecret").expect("the secret");
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(system.ready().region.clone()))
        .endpoint_url(&system.ready().aws)
        .credentials_provider(Credentials::new("test", "test", None, None, "e2e"))
        .build();
    (Client::from_conf(config), secret.name.clone())
}

/// The keys of the secret, as its JSON.
pub async fn webhook_keys(system: &System) -> String {
    let (client, secret) = keys_secret(system);
    let value = client.get_secret_value().secret_id(secret).send().await.expect("the secret");
    value.secret_string.expect("text")
}

/// Puts other keys in the secret.
pub async fn put_webhook_keys(system: &System, keys: &str) {
    let (client, secret) = keys_secret(system);
    client.put_secret_value().secret_id(secret).secret_string(keys).send().await.expect("new keys");
}
