//! Wires the webhook function.

use functions::webhook::{self, Webhook};
use shared::config::{self, Logging, Relay, TokenKey, WebhookKeys, aws::Aws};
use shared::queue::Queue;
use shared::queue::relay::RelayQueue;
use shared::secrets::{TokenCipher, WebhookKeyring};
use shared::{http, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let (logging, aws, queue, token_key, keys, relay): (Logging, Aws, config::Queue, TokenKey, WebhookKeys, Relay) =
        config::load()?;
    telemetry::init(env!("CARGO_BIN_NAME"), &logging);
    let sdk = config::aws::sdk_config(&aws)?;
    let webhook = Webhook {
        keys: WebhookKeyring::new(&sdk, &keys),
        cipher: TokenCipher::new(&sdk, &token_key),
        queue: Queue::new(&sdk, &queue),
        relay: relay.queue.map(|url| RelayQueue::new(&sdk, url)),
    };
    // Deliveries come all the same: until the keys can be read, they are answered 503 and sent again.
    if let Err(error) = webhook.keys.load().await {
        tracing::warn!(cause = telemetry::chain(&error), "the signature keys cannot be read yet");
    }
    http::serve(|request| webhook::handle(&webhook, request)).await
}
