//! Account tokens under KMS.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_kms::Client;
use aws_sdk_kms::error::SdkError;
use aws_sdk_kms::operation::decrypt::{DecryptError, DecryptOutput};
use aws_sdk_kms::primitives::Blob;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::SecretsError;
use crate::config::TokenKey;
use crate::domain::ids::{MergeLinkedAccountId, OrganizationId};
use crate::domain::secret::AccountToken;
use crate::telemetry::{self, Metric};

/// Whose a ciphertext is. KMS checks it: under any other context the ciphertext does not decrypt.
#[derive(Clone, Copy, Debug)]
pub enum TokenContext<'a> {
    /// In a row of ours: the organization, and Merge's id of the account, which is known in every phase.
    Account {
        /// The organization that owns the account.
        organization: &'a OrganizationId,
        /// Merge's id of the account.
        merge_id: &'a MergeLinkedAccountId,
    },
    /// On its way from the webhook function, which may encrypt but not decrypt, and does not know the organization.
    Webhook {
        /// Merge's id of the account.
        merge_id: &'a MergeLinkedAccountId,
    },
}

impl TokenContext<'_> {
    fn pairs(&self) -> HashMap<String, String> {
        let pairs: [(&str, &str); 2] = match self {
            Self::Account { organization, merge_id } => {
                [("organization_id", organization.as_str()), ("linked_account", merge_id.as_str())]
            }
            Self::Webhook { merge_id } => [("purpose", "webhook"), ("merge_linked_account", merge_id.as_str())],
        };
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn cache_key(&self, ciphertext: &[u8]) -> CacheKey {
        let context = match self {
            Self::Account { organization, merge_id } => format!("{organization}#{merge_id}"),
            Self::Webhook { merge_id } => format!("#{merge_id}"),
        };
        (context, ciphertext.to_vec())
    }
}

/// Context and ciphertext.
type CacheKey = (String, Vec<u8>);
/// Tokens, and since when they are held.
type Cache = HashMap<CacheKey, (AccountToken, Instant)>;

/// Which key a ciphertext is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under {
    /// The key that encrypts.
    Current,
    /// The key that encrypted before, whose tokens are being moved.
    Previous,
}

/// Encrypts account tokens with one KMS key, and decrypts them with it, or with the key before while tokens are moved.
pub struct TokenCipher {
    pub(super) client: Client,
    pub(super) key: String,
    previous: Option<String>,
    cache: Mutex<Cache>,
}

/// A decrypted token is kept this long, so that a chain of pages costs one call.
const CACHED_FOR: Duration = Duration::from_secs(60);
/// At most so many tokens lie in memory at once.
const CACHED_AT_MOST: usize = 32;

impl TokenCipher {
    /// A cipher over the key of the configuration.
    pub fn new(sdk: &SdkConfig, key: &TokenKey) -> Self {
        let (key, previous) = (key.id.clone(), key.previous.clone());
        Self { client: Client::new(sdk), key, previous, cache: Mutex::new(HashMap::new()) }
    }

    /// Whether tokens are being moved from a key before.
    pub fn moves(&self) -> bool {
        self.previous.is_some()
    }

    /// Encrypts a token under a context. The ciphertext differs each time.
    pub async fn encrypt(&self, token: &AccountToken, context: TokenContext<'_>) -> Result<Vec<u8>, SecretsError> {
        let answer = self
            .client
            .encrypt()
            .key_id(&self.key)
            .plaintext(Blob::new(token.expose().as_bytes()))
            .set_encryption_context(Some(context.pairs()))
            .send()
            .await
            .map_err(|error| SecretsError::Kms(error.into()))?;
        answer.ciphertext_blob.map(Blob::into_inner).ok_or_else(|| SecretsError::Kms("no ciphertext came back".into()))
    }

    /// Decrypts a token under the context it was encrypted with.
    pub async fn decrypt(&self, ciphertext: &[u8], context: TokenContext<'_>) -> Result<AccountToken, SecretsError> {
        let cache_key = context.cache_key(ciphertext);
        if let Some((token, since)) = self.cache().get(&cache_key)
            && since.elapsed() < CACHED_FOR
        {
            return Ok(token.clone());
        }
        let (token, _) = self.opened(ciphertext, context).await?;
        let mut cache = self.cache();
        cache.retain(|_, (_, since)| since.elapsed() < CACHED_FOR);
        if cache.len() >= CACHED_AT_MOST {
            cache.clear();
        }
        cache.insert(cache_key, (token.clone(), Instant::now()));
        Ok(token)
    }

    /// Asks KMS for a token, and says which key it is under.
    pub async fn opened(
        &self,
        ciphertext: &[u8],
        context: TokenContext<'_>,
    ) -> Result<(AccountToken, Under), SecretsError> {
        let (answer, under) = self.ask(ciphertext, context.pairs()).await.map_err(refused)?;
        let plaintext = Zeroizing::new(answer.plaintext.map(Blob::into_inner).unwrap_or_default());
        let token = std::str::from_utf8(&plaintext).map(AccountToken::new).map_err(|_| wrong_context())?;
        Ok((token, under))
    }

    /// Each call names its key: what any other key has encrypted is not taken for ours, whoever may use that.
    pub(super) async fn ask(
        &self,
        ciphertext: &[u8],
        context: HashMap<String, String>,
    ) -> Result<(DecryptOutput, Under), SdkError<DecryptError>> {
        let with = |key: &str| {
            let decrypt = self.client.decrypt().key_id(key).ciphertext_blob(Blob::new(ciphertext));
            decrypt.set_encryption_context(Some(context.clone())).send()
        };
        match (with(&self.key).await, &self.previous) {
            (Err(error), Some(previous)) if is_of_another_key(&error) => Ok((with(previous).await?, Under::Previous)),
            (answer, _) => Ok((answer?, Under::Current)),
        }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // A cache is valid after each statement.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_of_another_key(error: &SdkError<DecryptError>) -> bool {
    error.as_service_error().is_some_and(DecryptError::is_incorrect_key_exception)
}

fn refused(error: SdkError<DecryptError>) -> SecretsError {
    match error.as_service_error() {
        Some(DecryptError::InvalidCiphertextException(_) | DecryptError::IncorrectKeyException(_)) => wrong_context(),
        _ => SecretsError::Kms(error.into()),
    }
}

fn wrong_context() -> SecretsError {
    telemetry::count(Metric::TokenUndecryptable, 1);
    SecretsError::WrongContext
}
