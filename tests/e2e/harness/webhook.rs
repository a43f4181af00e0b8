//! Deliveries to the webhook's URL, as Merge makes them or as nobody should.

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
