//! Secrets: Merge's API key and webhook keys from Secrets Manager, and account tokens encrypted with KMS.
//!
//! Keys are read in a function's init phase and cached. A token is encrypted directly by KMS, under an encryption
//! context that names whose it is: a ciphertext copied to another row does not decrypt. Nothing here is ever shown:
//! types print
//! `[redacted]`, and plaintext is wiped when it is dropped.

mod keys;
mod rotation;
mod sealed;
mod tokens;

pub use keys::{WebhookKeyring, api_key, merge_client};
pub use rotation::put_webhook_keys;
pub use sealed::Sealed;
pub use tokens::{TokenCipher, TokenContext, Under};

use crate::merge::InvalidBaseUrl;

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// Secrets Manager did not answer, or refused.
    #[error("the secret store is not available")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The secret has no text, or not the text it should have.
    #[error("the secret in {variable} is not {expected}")]
    Shape {
        /// The variable that names the secret.
        variable: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// The configuration does not make a client of Merge.
    #[error("Merge cannot be called")]
    Client(#[source] InvalidBaseUrl),
    /// KMS did not answer, or refused for a reason that may pass.
    #[error("the key service is not available")]
    Kms(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The ciphertext is not of this context: copied from another row, or damaged. Never passes by itself.
    #[error("the ciphertext does not belong to this account")]
    WrongContext,
}

impl SecretsError {
    /// Asking again may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Kms(_))
    }
}
