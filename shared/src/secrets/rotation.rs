//! Rotation: replacing keys in Secrets Manager. Operators do it; functions read.

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use zeroize::Zeroizing;

use super::SecretsError;
use crate::config;
use crate::domain::secret::WebhookKey;

/// Replaces the webhook keys, newest first. Running functions read them within a minute.
pub async fn put_webhook_keys(
    sdk: &SdkConfig,
    secret: &config::WebhookKeys,
    keys: &[WebhookKey],
) -> Result<(), SecretsError> {
    let exposed: Vec<&str> = keys.iter().map(WebhookKey::expose).collect();
    let text = serde_json::to_string(&exposed).map_err(|error| SecretsError::Store(error.into()))?;
    let text = Zeroizing::new(text);
    let put = Client::new(sdk).put_secret_value().secret_id(&secret.secret).secret_string(text.as_str());
    put.send().await.map(|_| ()).map_err(|error| SecretsError::Store(error.into()))
}
