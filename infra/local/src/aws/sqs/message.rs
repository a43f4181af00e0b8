//! A message: what a queue keeps of a `SendMessage`, and the digests that SQS answers with.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::aws::fault::Fault;

/// Milliseconds since the Unix epoch, or a span of them.
pub type Millis = u64;

/// A message in a queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its place in the queue; rises with every message accepted.
    pub sequence: u64,
    pub id: String,
    #[serde(flatten)]
    pub content: Content,
    pub sent_at: Millis,
    pub first_received_at: Option<Millis>,
    pub receive_count: u32,
    /// Not handed out before this time: in flight, or delayed while `receive_count` is 0.
    pub visible_at: Millis,
    /// ARN of the queue that gave it up to this dead-letter queue.
    pub dead_letter_source: Option<String>,
}

/// What the sender of a message chose.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Content {
    pub body: String,
    /// `MessageAttributes` as sent: name → `{DataType, StringValue | BinaryValue}`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
    /// `MessageSystemAttributes`, of which there is `AWSTraceHeader`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub system_attributes: Map<String, Value>,
    pub group: Option<String>,
    pub deduplication_id: Option<String>,
    /// Access key of the caller, as SQS's `SenderId`.
    pub sender: String,
}

impl Content {
    /// Bytes that count against the size limit: body, attribute names, types and values.
    pub fn size(&self) -> usize {
        let attributes = self.attributes.iter().map(|(name, attribute)| {
            let part = |key: &str| attribute[key].as_str().unwrap_or_default().len();
            name.len() + part("DataType") + part("StringValue") + part("BinaryValue") * 3 / 4
        });
        self.body.len() + attributes.sum::<usize>()
    }
}

impl Message {
    /// The `Attributes` of a `ReceiveMessage` answer, of those that the caller named.
    pub fn system_attributes(&self, fifo: bool, named: &[&str]) -> BTreeMap<String, String> {
        let mut all = BTreeMap::from([
            ("SenderId", self.content.sender.clone()),
            ("SentTimestamp", self.sent_at.to_string()),
            ("ApproximateReceiveCount", self.receive_count.to_string()),
            ("ApproximateFirstReceiveTimestamp", self.first_received_at.unwrap_or_default().to_string()),
        ]);
        if fifo {
            all.insert("SequenceNumber", sequence_number(self.sequence));
            all.extend(deduplication_attribute(&self.content));
        }
        if let Some(group) = &self.content.group {
            all.insert("MessageGroupId", group.clone());
        }
        if let Some(source) = &self.dead_letter_source {
            all.insert("DeadLetterQueueSourceArn", source.clone());
        }
        if let Some(trace) = self.content.system_attributes.get("AWSTraceHeader") {
            let trace = trace["StringValue"].as_str().unwrap_or_default();
            all.insert("AWSTraceHeader", trace.to_owned());
        }
        all.into_iter()
            .filter(|(name, _)| named.contains(&"All") || named.contains(name))
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// The `MessageAttributes` of a `ReceiveMessage` answer; names may end in `.*`.
    pub fn user_attributes(&self, named: &[&str]) -> Map<String, Value> {
        let wanted = |name: &str| {
            named.iter().any(|pattern| match pattern.strip_suffix(".*") {
                Some(prefix) => name.starts_with(prefix),
                None => *pattern == "All" || *pattern == name,
            })
        };
        let attributes = self.content.attributes.iter();
        attributes.filter(|(name, _)| wanted(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

fn deduplication_attribute(content: &Content) -> Option<(&'static str, String)> {
    let id = content.deduplication_id.clone()?;
    Some(("MessageDeduplicationId", id))
}

/// A sequence number as SQS writes it: 20 digits.
pub fn sequence_number(sequence: u64) -> String {
    format!("{:020}", 18_000_000_000_000_000_000_u64.saturating_add(sequence))
}

/// Lower-case hexadecimal MD5 of a body.
pub fn md5_of_body(body: &str) -> String {
    format!("{:x}", md5::compute(body))
}

/// MD5 of message attributes by SQS's own recipe; `None` when there are none.
///
/// # Errors
///
/// `InvalidParameterValue` for an attribute without a usable type or value.
pub fn md5_of_attributes(attributes: &Map<String, Value>) -> Result<Option<String>, Fault> {
    if attributes.is_empty() {
        return Ok(None);
    }
    let mut names: Vec<&String> = attributes.keys().collect();
    names.sort();
    let mut digest = md5::Context::new();
    for name in names {
        let attribute = &attributes[name];
        let invalid = || {
            Fault::client(
                "InvalidParameterValue",
                format!("The message attribute '{name}' must contain a non-empty type and value."),
            )
        };
        let data_type = attribute["DataType"].as_str().ok_or_else(invalid)?;
        let (transport, value) = if data_type.starts_with("Binary") {
            let encoded = attribute["BinaryValue"].as_str().ok_or_else(invalid)?;
            (2_u8, STANDARD.decode(encoded).map_err(|_| invalid())?)
        } else {
            let text = attribute["StringValue"].as_str().ok_or_else(invalid)?;
            (1_u8, text.as_bytes().to_vec())
        };
        for part in [name.as_bytes(), data_type.as_bytes()] {
            digest.consume((part.len() as u32).to_be_bytes());
            digest.consume(part);
        }
        digest.consume([transport]);
        digest.consume((value.len() as u32).to_be_bytes());
        digest.consume(&value);
    }
    Ok(Some(format!("{:x}", digest.compute())))
}

/// The `Message` of a `ReceiveMessage` answer.
pub fn received(message: &Message, receipt: &str, fifo: bool, system: &[&str], user: &[&str]) -> Result<Value, Fault> {
    let mut answer = json!({
        "MessageId": message.id,
        "ReceiptHandle": receipt,
        "Body": message.content.body,
        "MD5OfBody": md5_of_body(&message.content.body),
    });
    let attributes = message.system_attributes(fifo, system);
    if !attributes.is_empty() {
        answer["Attributes"] = json!(attributes);
    }
    let attributes = message.user_attributes(user);
    if let Some(digest) = md5_of_attributes(&attributes)? {
        answer["MD5OfMessageAttributes"] = Value::from(digest);
        answer["MessageAttributes"] = Value::from(attributes);
    }
    Ok(answer)
}
