//! An event source: a queue whose messages invoke a function, as Lambda's event source mapping does.
//!
//! It speaks to the queue over the wire with the function's own credentials. A batch that succeeded is
//! deleted; what failed is left alone and becomes visible again when its visibility timeout ends, which
//! the function itself may have changed. The queue keeps a message group in order, not this module.
//!
//! **Recursion.** A message that was sent within a chain of [`MAXIMUM_HOPS`] invocations of the same
//! function is not given to it again, unless the function allows that. AWS then moves the message to
//! the queue's dead-letter queue; here it is made visible at once, so that the queue's redrive policy
//! does the same. See [`trace`](crate::lambda::trace) for how a chain is followed; behind an endpoint
//! that drops trace headers the rule is not enforced.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::lambda::trace::{MAXIMUM_HOPS, Trace};
use crate::lambda::{CONCURRENCY, Host, Invocation};
use crate::logs::{Level, Logs};

/// Longest wait for messages that SQS offers.
const LONG_POLL_SECONDS: i32 = 20;

/// Pause after the queue could not be reached.
const RETRY: Duration = Duration::from_secs(1);

/// What an event source connects.
#[derive(Debug, Clone)]
pub struct EventSourceOptions {
    pub queue_url: String,
    pub queue_arn: String,
    pub region: String,
    /// Cargo binary of the function.
    pub binary: String,
    pub batch_size: u32,
    pub maximum_concurrency: Option<u32>,
    /// The function answers which messages failed.
    pub report_batch_item_failures: bool,
    /// `RecursiveLoop: Allow`.
    pub recursive_loop_allowed: bool,
}

/// A polling event source; dropping it stops the polling, not the invocations under way.
#[derive(Debug)]
pub struct EventSource {
    poller: JoinHandle<()>,
}

#[derive(Debug)]
struct Source {
    options: EventSourceOptions,
    sqs: Client,
    host: Host,
    logs: Logs,
    permits: Arc<Semaphore>,
}

impl EventSource {
    pub fn start(options: EventSourceOptions, sqs: Client, host: Host, logs: Logs) -> Self {
        let concurrency = options.maximum_concurrency.map_or(CONCURRENCY, |most| CONCURRENCY.min(most as usize));
        let permits = Arc::new(Semaphore::new(concurrency));
        let source = Arc::new(Source { options, sqs, host, logs, permits });
        Self { poller: tokio::spawn(source.poll()) }
    }
}

impl Drop for EventSource {
    fn drop(&mut self) {
        self.poller.abort();
    }
}

impl Source {
    async fn poll(self: Arc<Self>) {
        while let Ok(permit) = self.permits.clone().acquire_owned().await {
            match self.receive().await {
                Ok(messages) if messages.is_empty() => {}
                Ok(messages) => {
                    tokio::spawn(self.clone().deliver(messages, permit));
                }
                Err(error) => {
                    self.complain(Level::Warn, format!("the queue cannot be polled: {error}"));
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    async fn receive(&self) -> Result<Vec<Message>, String> {
        let received = self
            .sqs
            .receive_message()
            .queue_url(&self.options.queue_url)
            .max_number_of_messages(self.options.batch_size.min(10) as i32)
            .wait_time_seconds(LONG_POLL_SECONDS)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .send()
            .await
            .map_err(|error| aws_sdk_sqs::error::DisplayErrorContext(error).to_string())?;
        Ok(received.messages.unwrap_or_default())
    }

    async fn deliver(self: Arc<Self>, messages: Vec<Message>, _permit: OwnedSemaphorePermit) {
        let (stopped, messages): (Vec<_>, Vec<_>) =
            messages.into_iter().partition(|message| self.is_recursive(message));
        self.refuse(&stopped).await;
        if messages.is_empty() {
            return;
        }
        let chain = self.chain(&messages);
        let records: Vec<_> = messages.iter().map(|message| self.record(message)).collect();
        let event = json!({ "Records": records }).to_string();
        let done = match self.host.invoke(&self.options.binary, event.into(), &chain).await {
            Invocation::Response(answer) => self.succeeded(messages, &answer),
            Invocation::FunctionError { .. } | Invocation::Timeout => Vec::new(),
        };
        self.delete(&done).await;
    }

    fn is_recursive(&self, message: &Message) -> bool {
        !self.options.recursive_loop_allowed
            && trace(message).is_some_and(|trace| trace.hops(&self.options.binary) >= MAXIMUM_HOPS)
    }

    async fn refuse(&self, stopped: &[Message]) {
        for message in stopped {
            let id = message.message_id().unwrap_or_default();
            self.complain(Level::Error, format!("message {id}: recursive loop stopped after {MAXIMUM_HOPS} hops"));
            let visible = self
                .sqs
                .change_message_visibility()
                .queue_url(&self.options.queue_url)
                .set_receipt_handle(message.receipt_handle.clone())
                .visibility_timeout(0)
                .send()
                .await;
            if let Err(error) = visible {
                let error = aws_sdk_sqs::error::DisplayErrorContext(error);
                self.complain(Level::Warn, format!("message {id} cannot be made visible: {error}"));
            }
        }
    }

    /// The longest chain among the messages; a new one if none carries a header.
    fn chain(&self, messages: &[Message]) -> Trace {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let longest = messages.iter().filter_map(trace).max_by_key(|trace| trace.hops(&self.options.binary));
        longest.unwrap_or_else(|| Trace::start(now))
    }

    /// A message as the function sees it.
    fn record(&self, message: &Message) -> Value {
        let attributes: Map<_, _> = message
            .attributes
            .iter()
            .flatten()
            .map(|(name, value)| (name.as_str().to_owned(), value.clone().into()))
            .collect();
        let message_attributes: Map<_, _> = message
            .message_attributes
            .iter()
            .flatten()
            .map(|(name, value)| {
                let mut attribute = json!({
                    "dataType": value.data_type(),
                    "stringListValues": [],
                    "binaryListValues": [],
                });
                if let Some(text) = value.string_value() {
                    attribute["stringValue"] = text.into();
                }
                if let Some(bytes) = value.binary_value() {
                    attribute["binaryValue"] = STANDARD.encode(bytes).into();
                }
                (name.clone(), attribute)
            })
            .collect();
        json!({
            "messageId": message.message_id(),
            "receiptHandle": message.receipt_handle(),
            "body": message.body(),
            "attributes": attributes,
            "messageAttributes": message_attributes,
            "md5OfBody": message.md5_of_body(),
            "eventSource": "aws:sqs",
            "eventSourceARN": self.options.queue_arn,
            "awsRegion": self.options.region,
        })
    }

    /// The messages that the function is done with, by what it answered.
    fn succeeded(&self, messages: Vec<Message>, answer: &[u8]) -> Vec<Message> {
        if !self.options.report_batch_item_failures {
            return messages;
        }
        let known: HashSet<_> = messages.iter().filter_map(Message::message_id).collect();
        match failures(answer).filter(|failed| failed.iter().all(|id| known.contains(id.as_str()))) {
            Some(failed) => messages
                .into_iter()
                .filter(|message| !failed.iter().any(|id| message.message_id() == Some(id)))
                .collect(),
            None => {
                self.complain(Level::Error, "the batch failed: its answer names no batch item failures".to_owned());
                Vec::new()
            }
        }
    }

    async fn delete(&self, done: &[Message]) {
        if done.is_empty() {
            return;
        }
        let entries = done.iter().enumerate().filter_map(|(index, message)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
            entry.set_receipt_handle(message.receipt_handle.clone()).build().ok()
        });
        let deleted = self
            .sqs
            .delete_message_batch()
            .queue_url(&self.options.queue_url)
            .set_entries(Some(entries.collect()))
            .send()
            .await;
        match deleted {
            Ok(deleted) => {
                for failed in deleted.failed() {
                    let why = failed.message().unwrap_or_else(|| failed.code());
                    self.complain(Level::Warn, format!("a handled message was not deleted: {why}"));
                }
            }
            Err(error) => {
                let error = aws_sdk_sqs::error::DisplayErrorContext(error);
                self.complain(Level::Warn, format!("handled messages were not deleted: {error}"));
            }
        }
    }

    fn complain(&self, level: Level, line: String) {
        self.logs.host(&self.options.binary, level, line);
    }
}

fn trace(message: &Message) -> Option<Trace> {
    let attributes = message.attributes.as_ref()?;
    Trace::parse(attributes.get(&MessageSystemAttributeName::AwsTraceHeader)?)
}

/// Ids of the messages that failed; `None` when the answer cannot be understood, which fails them all.
/// No answer, no list and an empty list are success.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>
fn failures(answer: &[u8]) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        batch_item_failures: Option<Vec<Item>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Item {
        item_identifier: String,
    }
    if answer.trim_ascii().is_empty() {
        return Some(Vec::new());
    }
    let answer: Option<Answer> = serde_json::from_slice(answer).ok()?;
    let items = answer.and_then(|answer| answer.batch_item_failures).unwrap_or_default();
    let ids: Vec<_> = items.into_iter().map(|item| item.item_identifier).collect();
    ids.iter().all(|id| !id.is_empty()).then_some(ids)
}

#[cfg(test)]
mod tests {
    use super::failures;

    fn check(answer: &str, expected: Option<&[&str]>) {
        let expected = expected.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
        assert_eq!(failures(answer.as_bytes()), expected, "{answer}");
    }

    #[test]
    fn an_answer_names_its_failures_as_lambda_reads_it() {
        check("", Some(&[]));
        check("null", Some(&[]));
        check("{}", Some(&[]));
        check(r#"{"batchItemFailures":null}"#, Some(&[]));
        check(r#"{"batchItemFailures":[]}"#, Some(&[]));
        check(r#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#, Some(&["a"]));
        check(r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, None);
        check(r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#, None);
        check(r#"{"batchItemFailures":[{"other":"a"}]}"#, None);
        check("not json", None);
    }
}
