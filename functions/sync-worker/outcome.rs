//! What fails a message: everything nobody expected. Merge's troubles are outcomes of a run, not errors.

use shared::{
    domain::message::UnreadableMessage, linking::LinkError, merge::MergeError, queue::QueueError,
    secrets::SecretsError, store::StoreError,
};

#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    #[error("the queue message is unreadable")]
    Message(#[from] UnreadableMessage),
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("a secret could not be read")]
    Secrets(#[from] SecretsError),
    #[error("a message could not be queued")]
    Queue(#[from] QueueError),
    #[error("the link could not be completed")]
    Linking(#[from] LinkError),
    #[error("Merge failed where no later attempt is planned")]
    Merge(#[from] MergeError),
    /// No failure: the message is received again later, a few times.
    #[error("Merge does not serve this now, and no account is waiting for it")]
    NotNow(#[source] MergeError),
}
