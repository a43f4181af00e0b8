//! Input: the JSON body of an SQS request, read with SQS's own faults.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::message::Millis;
use super::queue::Receipt;
use crate::aws::fault::Fault;

/// A request's body.
pub struct Input<'a>(pub &'a Value);

impl<'a> Input<'a> {
    pub fn optional_text(&self, key: &str) -> Option<&'a str> {
        self.0.get(key)?.as_str()
    }

    pub fn text(&self, key: &str) -> Result<&'a str, Fault> {
        self.optional_text(key).ok_or_else(|| missing(key))
    }

    /// A whole number of `least..=most`; `None` when absent.
    pub fn number(&self, key: &str, least: u64, most: u64) -> Result<Option<u64>, Fault> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_u64()
                .filter(|number| (least..=most).contains(number))
                .map(Some)
                .ok_or_else(|| invalid(key, value, &format!("must be between {least} and {most}, if provided"))),
        }
    }

    /// Whole seconds up to `most`, as milliseconds.
    pub fn seconds(&self, key: &str, most: u64) -> Result<Option<Millis>, Fault> {
        Ok(self.number(key, 0, most)?.map(|seconds| seconds * 1_000))
    }

    /// A list of strings; empty when absent.
    pub fn list(&self, key: &str) -> Result<Vec<String>, Fault> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(value) => {
                serde_json::from_value(value.clone()).map_err(|_| invalid(key, value, "must be a list of strings"))
            }
        }
    }

    /// A mapping; empty when absent.
    pub fn map(&self, key: &str) -> Map<String, Value> {
        let map = self.0.get(key).and_then(Value::as_object);
        map.cloned().unwrap_or_default()
    }

    /// A mapping of strings; empty when absent.
    pub fn texts_by_name(&self, key: &str) -> Result<BTreeMap<String, String>, Fault> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(BTreeMap::new()),
            Some(value) => {
                serde_json::from_value(value.clone()).map_err(|_| invalid(key, value, "must be a map of strings"))
            }
        }
    }

    /// The queue's name, the last segment of `QueueUrl`.
    pub fn queue_name(&self) -> Result<String, Fault> {
        let url = self.text("QueueUrl")?;
        let name = url.trim_end_matches('/').rsplit('/').next();
        Ok(name.unwrap_or_default().to_owned())
    }

    /// The entries of a batch, at most ten with distinct ids.
    pub fn entries(&self) -> Result<Vec<(&'a str, Input<'a>)>, Fault> {
        let entries = self.0.get("Entries").and_then(Value::as_array);
        let entries = entries
            .filter(|entries| !entries.is_empty())
            .ok_or_else(|| Fault::client("EmptyBatchRequest", "There should be at least one entry in the request."))?;
        if entries.len() > 10 {
            return Err(Fault::client(
                "TooManyEntriesInBatchRequest",
                format!("Maximum number of entries per request are 10. You have sent {}.", entries.len()),
            ));
        }
        let mut batch: Vec<(&str, Input)> = Vec::with_capacity(entries.len());
        for entry in entries {
            let id = Input(entry).text("Id")?;
            let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if id.is_empty() || id.len() > 80 || !id.chars().all(allowed) {
                return Err(Fault::client(
                    "InvalidBatchEntryId",
                    "A batch entry id can only contain alphanumeric characters, hyphens and \
                     underscores. It can be at most 80 letters long.",
                ));
            }
            if batch.iter().any(|(known, _)| *known == id) {
                return Err(Fault::client("BatchEntryIdsNotDistinct", format!("Id {id} repeated.")));
            }
            batch.push((id, Input(entry)));
        }
        Ok(batch)
    }

    /// The receipt handle, which must be one of `queue`.
    pub fn receipt(&self, queue: &str) -> Result<Receipt, Fault> {
        let handle = self.text("ReceiptHandle")?;
        parse_receipt(handle, queue).ok_or_else(|| {
            Fault::client(
                "ReceiptHandleIsInvalid",
                format!("The input receipt handle \"{handle}\" is not a valid receipt handle."),
            )
        })
    }
}

/// A receipt handle of `queue`, opaque to its holder.
pub fn receipt_handle(queue: &str, receipt: Receipt) -> String {
    URL_SAFE_NO_PAD.encode(format!("{queue}/{}/{}", receipt.sequence, receipt.receive_count))
}

fn parse_receipt(handle: &str, queue: &str) -> Option<Receipt> {
    let decoded = String::from_utf8(URL_SAFE_NO_PAD.decode(handle).ok()?).ok()?;
    let mut parts = decoded.strip_prefix(queue)?.strip_prefix('/')?.split('/');
    let receipt = Receipt { sequence: parts.next()?.parse().ok()?, receive_count: parts.next()?.parse().ok()? };
    parts.next().is_none().then_some(receipt)
}

/// The fault for a queue that does not exist.
pub fn not_found() -> Fault {
    Fault::client("QueueDoesNotExist", "The specified queue does not exist.")
}

/// The fault for a required parameter that is absent.
pub fn missing(key: &str) -> Fault {
    Fault::client("MissingParameter", format!("The request must contain the parameter {key}."))
}

/// The fault for a parameter's value.
pub fn invalid(key: &str, value: &Value, reason: &str) -> Fault {
    Fault::client("InvalidParameterValue", format!("Value {value} for parameter {key} is invalid. Reason: {reason}."))
}
