//! The relay: copies of a staging stack's webhooks, byte for byte and with Merge's signature, on their way to a
//! developer's machine. Sealed, because a body may carry an account token; of test accounts only, because production's
//! webhooks are nobody's to develop with.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::merge::webhook;
use crate::queue::QueueError;
use crate::queue::relay::{RelayQueue, Taken};
use crate::secrets::{Sealed, SecretsError, TokenCipher};

/// A webhook as Merge posted it.
#[derive(Clone, PartialEq, Eq)]
pub struct Copied {
    pub signature: String,
    pub body: Vec<u8>,
}

/// As it is sealed.
#[derive(Serialize, Deserialize)]
struct Envelope {
    signature: String,
    body: String,
}

#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error("a copy cannot be sealed or opened")]
    Secrets(#[from] SecretsError),
    #[error("the relay's queue cannot be used")]
    Queue(#[from] QueueError),
    #[error("a copy has no shape that is known")]
    Shape(#[from] serde_json::Error),
    #[error("a copy is no base64")]
    Encoding(#[from] base64::DecodeError),
}

impl RelayError {
    /// Asking again may help; otherwise the copy itself is what cannot be read.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Secrets(error) => error.is_transient(),
            Self::Queue(_) => true,
            Self::Shape(_) | Self::Encoding(_) => false,
        }
    }
}

/// Puts a copy on the queue if it is of a test account; whether it was.
pub async fn pass_on(
    queue: &RelayQueue,
    cipher: &TokenCipher,
    signature: &str,
    body: &[u8],
) -> Result<bool, RelayError> {
    if !webhook::is_of_test_account(body) {
        return Ok(false);
    }
    let envelope = Envelope { signature: signature.to_owned(), body: STANDARD.encode(body) };
    let sealed = cipher.seal(&serde_json::to_vec(&envelope)?).await?;
    queue.send(serde_json::to_string(&sealed)?).await?;
    Ok(true)
}

/// Opens a copy; none for one of a production account, whoever put it there.
pub async fn open(cipher: &TokenCipher, taken: &Taken) -> Result<Option<Copied>, RelayError> {
    let sealed: Sealed = serde_json::from_str(&taken.body)?;
    let envelope: Envelope = serde_json::from_slice(&cipher.open(&sealed).await?)?;
    let body = STANDARD.decode(envelope.body)?;
    Ok(webhook::is_of_test_account(&body).then_some(Copied { signature: envelope.signature, body }))
}
