//! The webhook key, in two steps with Merge's dashboard between them: take the new key beside the old, then let go of
//! the old. No delivery is refused meanwhile: a key leaves only once the webhook itself has taken a signature of the
//! other.

use std::fs;
use std::time::Duration;

use serde_json::json;
use shared::config::tls::http_client;
use shared::domain::secret::WebhookKey;
use shared::merge::signature;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::cli::RotateWebhookKey;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress;

/// A running function reads new keys at most every 30 s.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_secs(3);

pub async fn rotate(connection: &Connection, output: &Output, asked: &RotateWebhookKey) -> Result<(), Failure> {
    let keys = connection.webhook_keyring().load().await?;
    match &asked.key_file {
        Some(file) => {
            let text = fs::read_to_string(file).map_err(|source| Failure::File { path: file.clone(), source })?;
            let key = WebhookKey::new(text.trim());
            if key.expose().is_empty() || key.expose().contains(char::is_whitespace) {
                return Err(Failure::Usage(format!("{} holds no key", file.display())));
            }
            begin(connection, output, asked, &keys, key).await
        }
        None => finish(connection, output, asked, &keys).await,
    }
}

async fn begin(
    connection: &Connection,
    output: &Output,
    asked: &RotateWebhookKey,
    keys: &[WebhookKey],
    new: WebhookKey,
) -> Result<(), Failure> {
    let newest = keys.first().is_some_and(|newest| newest.expose() == new.expose());
    if asked.consent.dry_run {
        return output.line(if newest { "the key is the newest already" } else { "would put the key first" });
    }
    if !newest {
        output.confirm("Take this key beside the one that is in use?", asked.consent.yes)?;
        // One old key: more would be those of rotations that were never finished.
        let old = keys.iter().find(|old| old.expose() != new.expose()).cloned();
        let both: Vec<_> = [new.clone()].into_iter().chain(old).collect();
        connection.put_webhook_keys(&both).await?;
    }
    accepted(connection, &new).await?;
    output
        .line("the webhook takes the new key. Now enter it in Merge's dashboard, see the alarm on older keys fall")?;
    output.line("silent, then: tether rotate webhook-key --finish")
}

async fn finish(
    connection: &Connection,
    output: &Output,
    asked: &RotateWebhookKey,
    keys: &[WebhookKey],
) -> Result<(), Failure> {
    let Some((newest, [_, ..])) = keys.split_first() else {
        return output.line("there is one key only: nothing is left to do");
    };
    if asked.consent.dry_run {
        return output.line(format!("would let go of {} older keys", keys.len() - 1));
    }
    accepted(connection, newest).await?;
    output.confirm("Refuse whatever is signed with an older key from now on?", asked.consent.yes)?;
    connection.put_webhook_keys(std::slice::from_ref(newest)).await?;
    output.line("the newest key is the only one. Give the parameter WebhookKeys the same value at the next deployment")
}

/// Waits until the webhook takes an event that is signed with `key`. The event is about an account that nobody has: the
/// worker drops it.
async fn accepted(connection: &Connection, key: &WebhookKey) -> Result<(), Failure> {
    let missing = || Failure::Usage("set WEBHOOK_URL: the key is tried at the webhook itself".to_owned());
    let url = connection.webhook_url.as_ref().ok_or_else(missing)?;
    let body = json!({
        "hook": {"id": Uuid::new_v4(), "event": "LinkedAccount.sync_completed", "target": "tether"},
        "linked_account": {"id": Uuid::new_v4(), "category": "hris", "end_user_origin_id": "tether"},
        "data": {"sync_status": {}},
    })
    .to_string();
    let signature = signature::sign(body.as_bytes(), key);
    let bar = progress::waiting("trying the key at the webhook");
    let deadline = Instant::now() + PATIENCE;
    loop {
        bar.tick();
        let post = http_client()?.post(url).header("content-type", "application/json");
        let answer = post.header(signature::HEADER, &signature).body(body.clone()).send().await;
        let said = match answer {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => format!("it answers {}", answer.status().as_u16()),
            Err(error) => shared::telemetry::chain(&error.without_url()),
        };
        if Instant::now() >= deadline {
            return Err(Failure::Usage(format!("the webhook does not take the new key: {said}")));
        }
        sleep(LOOK_EVERY).await;
    }
}
