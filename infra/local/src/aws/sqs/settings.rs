//! Settings: a queue's attributes, parsed and checked against SQS's bounds.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::message::Millis;
use crate::aws::fault::Fault;

/// SQS's largest message, and largest batch, in bytes.
pub const LARGEST_MESSAGE: usize = 1_048_576;

/// The attributes of a queue that its owner sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub fifo: bool,
    pub content_based_deduplication: bool,
    /// Deduplication ids count per message group instead of per queue.
    pub deduplication_per_group: bool,
    pub visibility_timeout: Millis,
    pub delay: Millis,
    pub retention: Millis,
    pub receive_wait: Millis,
    /// Bytes.
    pub maximum_message_size: usize,
    pub redrive: Option<Redrive>,
    /// The attributes as they were set, for `GetQueueAttributes`.
    pub attributes: BTreeMap<String, String>,
}

/// Where messages go that were received too often.
#[derive(Debug, Clone, PartialEq)]
pub struct Redrive {
    pub target_arn: String,
    /// Times that a message is handed out before it is given up.
    pub max_receive_count: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RedrivePolicy {
    dead_letter_target_arn: String,
    max_receive_count: serde_json::Value,
}

/// Attributes with a number, their bounds and their default.
const NUMBERS: [(&str, u64, u64, u64); 5] = [
    ("VisibilityTimeout", 0, 43_200, 30),
    ("DelaySeconds", 0, 900, 0),
    ("MessageRetentionPeriod", 60, 1_209_600, 345_600),
    ("ReceiveMessageWaitTimeSeconds", 0, 20, 0),
    ("MaximumMessageSize", 1_024, LARGEST_MESSAGE as u64, LARGEST_MESSAGE as u64),
];

/// Attributes that SQS knows and that change nothing on this machine.
const WITHOUT_EFFECT: [&str; 6] = [
    "Policy",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "SqsManagedSseEnabled",
    "FifoThroughputLimit",
    "RedriveAllowPolicy",
];

impl Settings {
    /// Parses the attributes of the queue `name`, as `CreateQueue` gives them.
    ///
    /// # Errors
    ///
    /// `InvalidAttributeName` or `InvalidAttributeValue`, as SQS answers.
    pub fn parse(name: &str, attributes: &BTreeMap<String, String>) -> Result<Self, Fault> {
        let fifo = name.ends_with(".fifo");
        let attributes: BTreeMap<String, String> = attributes
            .iter()
            // An empty policy removes it.
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        for (attribute, value) in &attributes {
            let allowed = match attribute.as_str() {
                "FifoQueue" => fifo && value == "true",
                "ContentBasedDeduplication" => fifo && matches!(value.as_str(), "true" | "false"),
                "DeduplicationScope" => fifo && matches!(value.as_str(), "queue" | "messageGroup"),
                "RedrivePolicy" => true,
                other if WITHOUT_EFFECT.contains(&other) => true,
                other if NUMBERS.iter().any(|(name, ..)| *name == other) => true,
                other => {
                    return Err(Fault::client("InvalidAttributeName", format!("Unknown Attribute {other}.")));
                }
            };
            if !allowed {
                return Err(invalid(attribute, value));
            }
        }
        if fifo && attributes.get("FifoQueue").is_none_or(|value| value != "true") {
            return Err(Fault::client(
                "InvalidParameterValue",
                "The name of a FIFO queue can only include alphanumeric characters, hyphens, or \
                 underscores, must end with .fifo suffix and be 1 to 80 in length.",
            ));
        }
        let mut numbers = [0; NUMBERS.len()];
        for (number, (name, least, most, default)) in numbers.iter_mut().zip(NUMBERS) {
            *number = match attributes.get(name) {
                None => default,
                Some(value) => value
                    .parse()
                    .ok()
                    .filter(|number| (least..=most).contains(number))
                    .ok_or_else(|| invalid(name, value))?,
            };
        }
        let [visibility, delay, retention, wait, size] = numbers;
        let redrive = match attributes.get("RedrivePolicy") {
            None => None,
            Some(policy) => Some(parse_redrive(policy)?),
        };
        Ok(Self {
            fifo,
            content_based_deduplication: attributes
                .get("ContentBasedDeduplication")
                .is_some_and(|value| value == "true"),
            deduplication_per_group: attributes.get("DeduplicationScope").is_some_and(|value| value == "messageGroup"),
            visibility_timeout: visibility * 1_000,
            delay: delay * 1_000,
            retention: retention * 1_000,
            receive_wait: wait * 1_000,
            maximum_message_size: size as usize,
            redrive,
            attributes,
        })
    }

    /// All attributes with their defaults filled in, in seconds and bytes as SQS gives them.
    pub fn described(&self) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> =
            NUMBERS.iter().map(|(name, _, _, default)| ((*name).to_owned(), default.to_string())).collect();
        all.insert("SqsManagedSseEnabled".to_owned(), "true".to_owned());
        if self.fifo {
            for (name, value) in [
                ("ContentBasedDeduplication", "false"),
                ("DeduplicationScope", "queue"),
                ("FifoThroughputLimit", "perQueue"),
            ] {
                all.insert(name.to_owned(), value.to_owned());
            }
        }
        all.extend(self.attributes.clone());
        all
    }
}

fn parse_redrive(policy: &str) -> Result<Redrive, Fault> {
    let fault = || invalid("RedrivePolicy", policy);
    let parsed: RedrivePolicy = serde_json::from_str(policy).map_err(|_| fault())?;
    // The count comes as a number or, from some tools, as a string.
    let count = match &parsed.max_receive_count {
        serde_json::Value::String(text) => text.parse().ok(),
        value => value.as_u64(),
    };
    let max_receive_count = count
        .and_then(|count| u32::try_from(count).ok())
        .filter(|count| (1..=1_000).contains(count))
        .ok_or_else(fault)?;
    Ok(Redrive { target_arn: parsed.dead_letter_target_arn, max_receive_count })
}

fn invalid(attribute: &str, value: &str) -> Fault {
    Fault::client(
        "InvalidAttributeValue",
        format!("Invalid value for the parameter {attribute}. Reason: {value} is not allowed."),
    )
}
