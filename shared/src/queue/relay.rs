//! The relay's queue: copies of webhooks on their way from a staging stack to a developer's machine. A standard queue
//! that forgets within minutes; the copies in it are sealed.

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;

use super::QueueError;

/// See the module.
#[derive(Clone, Debug)]
pub struct RelayQueue {
    client: Client,
    url: String,
}

/// A copy that was taken from the queue.
#[derive(Clone, Debug)]
pub struct Taken {
    pub body: String,
    handle: String,
}

/// SQS holds an empty receive open for so long.
const WAIT_SECONDS: i32 = 10;
/// A delivery is tried again after this time.
const HIDDEN_SECONDS: i32 = 30;

impl RelayQueue {
    pub fn new(sdk: &SdkConfig, url: impl Into<String>) -> Self {
        Self { client: Client::new(sdk), url: url.into() }
    }

    pub async fn send(&self, body: impl Into<String>) -> Result<(), QueueError> {
        let send = self.client.send_message().queue_url(&self.url).message_body(body);
        send.send().await.map(|_| ()).map_err(unavailable)
    }

    /// Waits a while for copies; perhaps there are none.
    pub async fn take(&self) -> Result<Vec<Taken>, QueueError> {
        let receive = self.client.receive_message().queue_url(&self.url).max_number_of_messages(10);
        let receive = receive.wait_time_seconds(WAIT_SECONDS).visibility_timeout(HIDDEN_SECONDS);
        let answer = receive.send().await.map_err(unavailable)?;
        let taken = answer.messages.unwrap_or_default().into_iter().map(|message| Taken {
            body: message.body.unwrap_or_default(),
            handle: message.receipt_handle.unwrap_or_default(),
        });
        Ok(taken.collect())
    }

    /// Forgets a copy that was delivered.
    pub async fn done(&self, taken: &Taken) -> Result<(), QueueError> {
        let delete = self.client.delete_message().queue_url(&self.url).receipt_handle(&taken.handle);
        delete.send().await.map(|_| ()).map_err(unavailable)
    }
}

fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> QueueError {
    QueueError::Unavailable(error.into())
}
