//! Keys in Secrets Manager.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::SecretsError;
use crate::config;
use crate::domain::secret::{ApiKey, WebhookKey};
use crate::merge::MergeClient;
use crate::telemetry::chain;

/// Merge's API key. Read it once, in the init phase.
pub async fn api_key(sdk: &SdkConfig, merge: &config::Merge) -> Result<ApiKey, SecretsError> {
    let text = read(&Client::new(sdk), &merge.api_key_secret).await?;
    let key = text.trim();
    // It goes into a header as it is.
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SecretsError::Shape { variable: "MERGE_API_KEY_SECRET", expected: "an API key" });
    }
    Ok(ApiKey::new(key))
}

/// The client of Merge with the API key from the secret store, which it asks again when Merge refuses the key: so a new
/// key needs no deployment. Make it once, in the init phase.
pub async fn merge_client(sdk: &SdkConfig, merge: &config::Merge) -> Result<MergeClient, SecretsError> {
    let key = api_key(sdk, merge).await?;
    let client = MergeClient::new(merge, key).map_err(SecretsError::Client)?;
    let (sdk, merge) = (sdk.clone(), merge.clone());
    Ok(client.with_key_source(Arc::new(move || {
        let (sdk, merge) = (sdk.clone(), merge.clone());
        Box::pin(async move {
            let read = api_key(&sdk, &merge).await;
            read.inspect_err(|error| tracing::warn!(cause = chain(error), "the API key cannot be read again")).ok()
        })
    })))
}

/// Merge's webhook keys, cached, and read again when a delivery fits none of them, because a key may be newer than this
/// process, and every few minutes, because one may have been removed.
pub struct WebhookKeyring {
    client: Client,
    secret: String,
    state: Mutex<State>,
}

struct State {
    keys: Arc<[WebhookKey]>,
    /// When these keys were read.
    read: Option<Instant>,
    /// When the keys were last asked for, whatever came of it.
    asked: Option<Instant>,
    /// The last attempt failed, so nobody knows whether the keys are current.
    failed: bool,
}

/// A key that was removed is taken for so long at most, by a process that lives on.
const KEPT_FOR: Duration = Duration::from_secs(300);
/// Forged deliveries must not turn into calls.
const REFETCH_EVERY: Duration = Duration::from_secs(30);
/// Shorter than the pause after which Merge sends a delivery again.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);

impl WebhookKeyring {
    /// An empty keyring. [`load`](Self::load) fills it in the init phase; if that fails, [`refreshed`](Self::refreshed)
    /// does when the first delivery comes.
    pub fn new(sdk: &SdkConfig, keys: &config::WebhookKeys) -> Self {
        let state = State { keys: Arc::new([]), read: None, asked: None, failed: true };
        Self { client: Client::new(sdk), secret: keys.secret.clone(), state: Mutex::new(state) }
    }

    /// The keys as last read, newest first; `None` if they were never read.
    pub fn cached(&self) -> Option<Arc<[WebhookKey]>> {
        let keys = self.state().keys.clone();
        (!keys.is_empty()).then_some(keys)
    }

    /// The keys to judge by: those at hand, read again when they are a few minutes old. If they cannot be, the old ones
    /// serve on, and are tried again half a minute later: what they have signed is genuine all the same, unless one of
    /// them was removed meanwhile.
    pub async fn current(&self) -> Result<Arc<[WebhookKey]>, SecretsError> {
        let Some(keys) = self.cached() else { return self.load().await };
        let (read, asked, failed) = {
            let state = self.state();
            (state.read, state.asked, state.failed)
        };
        let within = |at: Option<Instant>, time: Duration| at.is_some_and(|at| at.elapsed() < time);
        if within(read, KEPT_FOR) || (failed && within(asked, REFETCH_EVERY)) {
            return Ok(keys);
        }
        Ok(self.load().await.unwrap_or_else(|error| {
            tracing::warn!(cause = chain(&error), "the signature keys cannot be read again; those of before serve on");
            keys
        }))
    }

    /// Reads the keys now.
    pub async fn load(&self) -> Result<Arc<[WebhookKey]>, SecretsError> {
        self.state().asked = Some(Instant::now());
        let read = self.read().await;
        let mut state = self.state();
        match read {
            Ok(keys) => {
                state.keys = keys.clone();
                state.read = Some(Instant::now());
                state.failed = false;
                Ok(keys)
            }
            Err(error) => {
                state.failed = true;
                Err(error)
            }
        }
    }

    /// For a delivery that fits none of the cached keys: the keys read again, or `None` if they were read within the
    /// last 30 seconds and the delivery is to be judged by them. An error means that nobody can judge it now; after a
    /// read that failed, the next is half a second away.
    pub async fn refreshed(&self) -> Result<Option<Arc<[WebhookKey]>>, SecretsError> {
        let (since, failed) = {
            let state = self.state();
            (state.asked.map(|asked| asked.elapsed()), state.failed)
        };
        match (since, failed) {
            (Some(since), false) if since < REFETCH_EVERY => Ok(None),
            (Some(since), true) if since < PAUSE_AFTER_FAILURE => Err(SecretsError::Store("it failed just now".into())),
            _ => self.load().await.map(Some),
        }
    }

    async fn read(&self) -> Result<Arc<[WebhookKey]>, SecretsError> {
        let text = read(&self.client, &self.secret).await?;
        parse(&text)
            .ok_or(SecretsError::Shape { variable: "WEBHOOK_KEYS_SECRET", expected: "a JSON list of signature keys" })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each statement leaves the state valid.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A JSON list, or one bare key, which is what somebody pastes who has only one.
fn parse(text: &str) -> Option<Arc<[WebhookKey]>> {
    let text = text.trim();
    let keys: Vec<String> = match serde_json::from_str(text) {
        Ok(keys) => keys,
        Err(_) if text.starts_with(['[', '{', '"']) => return None,
        Err(_) => vec![text.to_owned()],
    };
    let keys: Arc<[WebhookKey]> = keys.into_iter().filter(|key| !key.is_empty()).map(WebhookKey::new).collect();
    (!keys.is_empty()).then_some(keys)
}

async fn read(client: &Client, secret: &str) -> Result<Zeroizing<String>, SecretsError> {
    let answer = client.get_secret_value().secret_id(secret).send().await;
    let answer = answer.map_err(|error| SecretsError::Store(error.into()))?;
    Ok(Zeroizing::new(answer.secret_string.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposed(text: &str) -> Option<Vec<String>> {
        parse(text).map(|keys| keys.iter().map(|key| key.expose().to_owned()).collect())
    }

    #[test]
    fn keys_are_a_json_list_or_one_bare_key() {
        assert_eq!(exposed(r#"["new","old"]"#).unwrap(), ["new", "old"]);
        assert_eq!(exposed(r#" ["new",""] "#).unwrap(), ["new"]);
        assert_eq!(exposed("bare-key\n").unwrap(), ["bare-key"]);
        for unusable in ["", "[]", r#"[""]"#, r#"{"key":"a"}"#, r#"["a""#, r#""a""#] {
            assert_eq!(exposed(unusable), None, "{unusable}");
        }
    }
}
