//! The queue: sends domain [`Message`]s to the FIFO queue of the sync worker, grouped by Merge's linked account id, and
//! puts off those that failed. It receives nothing: Lambda's event source does.
//!
//! A message is sent once SQS says so, item by item: a batch call that succeeds may hold failed items, which are tried
//! again here.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use futures::{StreamExt, TryStreamExt, stream};

use crate::config;
use crate::domain::message::{DeduplicationId, Message};

pub mod dead_letters;
pub mod relay;

/// The sending end of the queue. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Queue {
    client: Client,
    url: String,
}

/// Why messages may not be on the queue. Sending them again is safe: they keep their deduplication ids.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// A message does not serialise: a defect.
    #[error("a message cannot be written")]
    Unwritable(#[source] serde_json::Error),
    /// The queue did not answer, or refused.
    #[error("the queue is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Some messages of a batch were refused, again and again.
    #[error("the queue refused {count} messages, the first with {code}")]
    Refused {
        /// How many.
        count: usize,
        /// SQS's error code of the first.
        code: String,
    },
}

/// SQS takes ten messages a call.
const BATCH: usize = 10;
/// Calls under way at once: a hundred thousand accounts are queued within a run of the poller.
const BATCHES_AT_ONCE: usize = 16;
/// Times that the failed items of a batch are sent.
const ATTEMPTS: u32 = 3;
/// Grows with each attempt.
const PAUSE: Duration = Duration::from_millis(100);

impl Queue {
    /// The queue of the configuration.
    pub fn new(sdk: &SdkConfig, queue: &config::Queue) -> Self {
        Self { client: Client::new(sdk), url: queue.url.clone() }
    }

    /// Sends a message that we originate, under its own deduplication id.
    pub async fn send(&self, message: &Message) -> Result<(), QueueError> {
        self.send_as(message, &message.deduplication_id()).await
    }

    /// Sends a message under a deduplication id that comes from elsewhere: a webhook's delivery.
    pub async fn send_as(&self, message: &Message, id: &DeduplicationId) -> Result<(), QueueError> {
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_group_id(message.merge_id.as_str())
            .message_deduplication_id(id.as_str())
            .message_body(written(message)?)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| QueueError::Unavailable(error.into()))
    }

    /// Sends messages that we originate, ten a call. On an error some may be on the queue; sending all of them again
    /// adds none twice.
    pub async fn send_all(&self, messages: &[Message]) -> Result<(), QueueError> {
        let batches = stream::iter(messages.chunks(BATCH)).map(|batch| self.send_batch(batch));
        batches.buffer_unordered(BATCHES_AT_ONCE).try_collect().await
    }

    /// Hides a message that failed for `pause`, whole seconds, in place of the rest of the queue's visibility timeout,
    /// which is made for workers that died: until the message is seen again, its account's group stands still.
    pub async fn put_off(&self, receipt_handle: &str, pause: Duration) -> Result<(), QueueError> {
        self.client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt_handle)
            .visibility_timeout(i32::try_from(pause.as_secs()).unwrap_or(i32::MAX))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| QueueError::Unavailable(error.into()))
    }

    async fn send_batch(&self, batch: &[Message]) -> Result<(), QueueError> {
        let mut left =
            batch.iter().enumerate().map(|(index, message)| entry(index, message)).collect::<Result<Vec<_>, _>>()?;
        let mut attempt = 1;
        loop {
            let answer = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(left.clone()));
            let answer = answer.send().await.map_err(|error| QueueError::Unavailable(error.into()))?;
            // Whatever SQS does not name as sent was not sent.
            left.retain(|entry| answer.successful().iter().all(|sent| sent.id() != entry.id()));
            if left.is_empty() {
                return Ok(());
            }
            if attempt == ATTEMPTS {
                let code = answer.failed().first().map_or("no answer", |failed| failed.code()).to_owned();
                return Err(QueueError::Refused { count: left.len(), code });
            }
            tokio::time::sleep(PAUSE * attempt).await;
            attempt += 1;
        }
    }
}

fn entry(index: usize, message: &Message) -> Result<SendMessageBatchRequestEntry, QueueError> {
    SendMessageBatchRequestEntry::builder()
        .id(index.to_string())
        .message_group_id(message.merge_id.as_str())
        .message_deduplication_id(message.deduplication_id().as_str())
        .message_body(written(message)?)
        .build()
        .map_err(|error| QueueError::Unavailable(error.into()))
}

fn written(message: &Message) -> Result<String, QueueError> {
    serde_json::to_string(message).map_err(QueueError::Unwritable)
}
