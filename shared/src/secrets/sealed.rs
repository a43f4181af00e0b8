//! Sealed bytes: more than KMS encrypts at once, under a key of their own, which KMS encrypts. Who may encrypt with the
//! key of account tokens can seal; who may decrypt can open.

use std::collections::HashMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_sdk_kms::error::ProvideErrorMetadata;
use aws_sdk_kms::primitives::Blob;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{SecretsError, TokenCipher};

/// Bytes that nobody reads who may not decrypt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Ciphertext of the key, by KMS.
    key: String,
    nonce: String,
    text: String,
}

/// Length of a key of AES-256.
const KEY: usize = 32;

fn context() -> HashMap<String, String> {
    HashMap::from([("purpose".to_owned(), "relay".to_owned())])
}

impl TokenCipher {
    /// Seals bytes of any length.
    pub async fn seal(&self, bytes: &[u8]) -> Result<Sealed, SecretsError> {
        let mut key = Zeroizing::new([0; KEY]);
        aws_lc_rs::rand::fill(&mut *key).map_err(|_| broken())?;
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, &*key).map_err(|_| broken())?;
        let mut text = bytes.to_vec();
        let nonce = cipher.seal_in_place_append_tag(Aad::empty(), &mut text).map_err(|_| broken())?;
        let encrypt = self.client.encrypt().key_id(&self.key).plaintext(Blob::new(key.to_vec()));
        let answer = encrypt.set_encryption_context(Some(context())).send().await;
        let answer = answer.map_err(|error| SecretsError::Kms(error.into()))?;
        let key = answer.ciphertext_blob.map(Blob::into_inner).ok_or_else(broken)?;
        Ok(Sealed { key: STANDARD.encode(key), nonce: STANDARD.encode(nonce.as_ref()), text: STANDARD.encode(text) })
    }

    /// Opens what was sealed with this key.
    pub async fn open(&self, sealed: &Sealed) -> Result<Vec<u8>, SecretsError> {
        let decoded = |text: &str| STANDARD.decode(text).map_err(|_| SecretsError::WrongContext);
        let (answer, _) = self.ask(&decoded(&sealed.key)?, context()).await.map_err(|error| match error.code() {
            // No key of ours, or none at all: that does not pass.
            Some("InvalidCiphertextException" | "IncorrectKeyException" | "ValidationException") => {
                SecretsError::WrongContext
            }
            _ => SecretsError::Kms(error.into()),
        })?;
        let key = Zeroizing::new(answer.plaintext.map(Blob::into_inner).unwrap_or_default());
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, &key).map_err(|_| SecretsError::WrongContext)?;
        let nonce: [u8; NONCE_LEN] = decoded(&sealed.nonce)?.try_into().map_err(|_| SecretsError::WrongContext)?;
        let mut text = decoded(&sealed.text)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = cipher.open_in_place(nonce, Aad::empty(), &mut text);
        opened.map(|bytes| bytes.to_vec()).map_err(|_| SecretsError::WrongContext)
    }
}

fn broken() -> SecretsError {
    SecretsError::Kms("the bytes could not be sealed".into())
}
