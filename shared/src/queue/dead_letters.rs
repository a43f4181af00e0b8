//! Dead letters: the messages that the worker could not handle, for the operator to look at, to send again or to take
//! away. Whatever is received is hidden from others for a while, and shown again as soon as it is put back.
//!
//! The queue is FIFO: while a message is hidden, later ones of the same account wait behind it.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message as Received, MessageSystemAttributeName as System, QueueAttributeName};
use jiff::Timestamp;

use super::QueueError;

/// A dead-letter queue, and the queue that its messages came from.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    client: Client,
    url: String,
    source: String,
}

/// A message that was received too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub id: String,
    /// As it stood on the queue.
    pub body: String,
    /// Merge's linked account id, whether or not the body can be read.
    pub group: String,
    /// When it was first sent.
    pub sent_at: Timestamp,
    handle: String,
}

/// How many messages a queue holds, about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    pub waiting: u64,
    /// Received and not yet done.
    pub in_flight: u64,
}

/// SQS gives ten messages a call.
const BATCH: i32 = 10;

impl DeadLetters {
    /// `url`: of the dead-letter queue; `source`: of the queue that messages go back to.
    pub fn new(sdk: &SdkConfig, url: impl Into<String>, source: impl Into<String>) -> Self {
        Self { client: Client::new(sdk), url: url.into(), source: source.into() }
    }

    /// How many messages are dead.
    pub async fn depth(&self) -> Result<Depth, QueueError> {
        self.depth_of(&self.url).await
    }

    /// How many messages wait for the worker.
    pub async fn source_depth(&self) -> Result<Depth, QueueError> {
        self.depth_of(&self.source).await
    }

    async fn depth_of(&self, url: &str) -> Result<Depth, QueueError> {
        use QueueAttributeName::{
            ApproximateNumberOfMessages as Waiting, ApproximateNumberOfMessagesNotVisible as InFlight,
        };
        let ask = self.client.get_queue_attributes().queue_url(url).attribute_names(Waiting).attribute_names(InFlight);
        let answer = ask.send().await.map_err(unavailable)?.attributes.unwrap_or_default();
        let number = |name| answer.get(&name).and_then(|text| text.parse().ok()).unwrap_or_default();
        Ok(Depth { waiting: number(Waiting), in_flight: number(InFlight) })
    }

    /// Up to ten messages, hidden from others for `hidden`. None: the rest, if any, waits behind what is hidden.
    pub async fn receive(&self, hidden: Duration) -> Result<Vec<DeadLetter>, QueueError> {
        let receive = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(BATCH)
            .visibility_timeout(i32::try_from(hidden.as_secs()).unwrap_or(i32::MAX))
            .wait_time_seconds(0)
            .message_system_attribute_names(System::MessageGroupId)
            .message_system_attribute_names(System::SentTimestamp);
        let answer = receive.send().await.map_err(unavailable)?;
        Ok(answer.messages.unwrap_or_default().into_iter().map(dead_letter).collect())
    }

    /// Shows a received message to others again.
    pub async fn put_back(&self, letter: &DeadLetter) -> Result<(), QueueError> {
        let show = self.client.change_message_visibility().queue_url(&self.url).receipt_handle(&letter.handle);
        show.visibility_timeout(0).send().await.map(|_| ()).map_err(unavailable)
    }

    /// Sends a message to the worker again; here it stays. Twice does no harm, and within five minutes SQS makes it
    /// once.
    pub async fn send_again(&self, letter: &DeadLetter) -> Result<(), QueueError> {
        let send = self
            .client
            .send_message()
            .queue_url(&self.source)
            .message_group_id(&letter.group)
            .message_deduplication_id(format!("d:{}", letter.id))
            .message_body(&letter.body);
        send.send().await.map(|_| ()).map_err(unavailable)
    }

    /// Takes a message away for good.
    pub async fn discard(&self, letter: &DeadLetter) -> Result<(), QueueError> {
        let delete = self.client.delete_message().queue_url(&self.url).receipt_handle(&letter.handle);
        delete.send().await.map(|_| ()).map_err(unavailable)
    }
}

fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> QueueError {
    QueueError::Unavailable(error.into())
}

fn dead_letter(received: Received) -> DeadLetter {
    let attribute = |name| received.attributes().and_then(|all| all.get(&name)).cloned().unwrap_or_default();
    let sent = attribute(System::SentTimestamp).parse().ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    DeadLetter {
        group: attribute(System::MessageGroupId),
        sent_at: sent.unwrap_or(Timestamp::UNIX_EPOCH),
        id: received.message_id.unwrap_or_default(),
        body: received.body.unwrap_or_default(),
        handle: received.receipt_handle.unwrap_or_default(),
    }
}
