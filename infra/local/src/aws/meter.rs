//! A meter: messages by queue, as SQS counts them; and the capacity units that DynamoDB would bill, by caller and
//! table. dynoxide counts them as DynamoDB does when a request asks for it; the meter asks on everybody's behalf. A
//! refused conditional write tells no units though it is billed; it counts as one unit an item (two in a transaction),
//! under the request's table or under none.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

/// Capacity units.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Units {
    pub read: f64,
    pub write: f64,
}

/// Adds up what the answers say.
#[derive(Default)]
pub struct Meter {
    units: Mutex<BTreeMap<(String, String), Units>>,
    /// By metric and name of the queue.
    messages: Mutex<BTreeMap<(&'static str, String), u64>>,
}

/// What the meter reads of an answer.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(rename = "ConsumedCapacity", default)]
    consumed: Consumed,
    #[serde(rename = "__type", default, borrow)]
    kind: Cow<'a, str>,
    #[serde(rename = "CancellationReasons", default)]
    reasons: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Consumed {
    Tables(Vec<Table>),
    Table(Table),
    #[default]
    Nothing,
}

#[derive(Deserialize)]
struct Table {
    #[serde(rename = "TableName")]
    name: String,
    #[serde(rename = "CapacityUnits")]
    units: f64,
}

impl Meter {
    /// The request, asking for its units too.
    pub fn asking(action: &str, body: Bytes) -> Bytes {
        let asks = || contains(&body, b"\"ReturnConsumedCapacity\"");
        match body.strip_prefix(b"{") {
            Some(rest) if kind_of(action).is_some() && !asks() => {
                [b"{\"ReturnConsumedCapacity\":\"TOTAL\",", rest].concat().into()
            }
            _ => body,
        }
    }

    /// Takes note of an answer's units.
    pub fn read(&self, access_key: &str, action: &str, answer: &str) {
        let Some(kind) = kind_of(action) else { return };
        // An answer that is no JSON object is an error of this endpoint, which bills nothing.
        let Ok(answer) = serde_json::from_str::<Answer>(answer) else { return };
        let refused = |units| vec![Table { name: String::new(), units }];
        let tables = match answer.consumed {
            Consumed::Table(table) => vec![table],
            Consumed::Tables(tables) => tables,
            Consumed::Nothing if answer.kind.ends_with("ConditionalCheckFailedException") => refused(1.0),
            // A cancelled transaction is billed for both of its phases.
            Consumed::Nothing => refused(2.0 * answer.reasons.len() as f64),
        };
        let mut all = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        for table in tables {
            let of_caller = all.entry((access_key.to_owned(), table.name)).or_default();
            match kind {
                Kind::Read => of_caller.read += table.units,
                Kind::Write => of_caller.write += table.units,
            }
        }
    }

    /// Takes note of what an SQS request sent, received or deleted, or that it received nothing.
    pub fn moved(&self, action: &str, input: &Value, answer: &Value) {
        let entries = |name: &str| answer[name].as_array().map_or(0, Vec::len) as u64;
        let (metric, count) = match (action, entries("Messages")) {
            ("SendMessage", _) => ("NumberOfMessagesSent", 1),
            ("SendMessageBatch", _) => ("NumberOfMessagesSent", entries("Successful")),
            ("ReceiveMessage", 0) => ("NumberOfEmptyReceives", 1),
            ("ReceiveMessage", count) => ("NumberOfMessagesReceived", count),
            ("DeleteMessage", _) => ("NumberOfMessagesDeleted", 1),
            ("DeleteMessageBatch", _) => ("NumberOfMessagesDeleted", entries("Successful")),
            _ => return,
        };
        let queue = input["QueueUrl"].as_str().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        *messages.entry((metric, queue.to_owned())).or_default() += count;
    }

    /// So many messages of a queue so far, by CloudWatch's metric.
    pub fn messages(&self, metric: &str, queue: &str) -> u64 {
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = messages.iter().find(|((name, of), _)| *name == metric && of == queue);
        counted.map_or(0, |(_, count)| *count)
    }

    /// The units so far by (access key, table); the table is empty for refused writes.
    pub fn units(&self) -> BTreeMap<(String, String), Units> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

enum Kind {
    Read,
    Write,
}

fn kind_of(action: &str) -> Option<Kind> {
    match action {
        "GetItem" | "BatchGetItem" | "Query" | "Scan" | "TransactGetItems" => Some(Kind::Read),
        "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem" | "TransactWriteItems" => Some(Kind::Write),
        _ => None,
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_billed_is_asked_for_its_units() {
        let asked = |action, body: &'static str| Meter::asking(action, body.into());
        assert_eq!(asked("GetItem", r#"{"Key":{}}"#), r#"{"ReturnConsumedCapacity":"TOTAL","Key":{}}"#);
        assert_eq!(asked("CreateTable", r#"{"a":1}"#), r#"{"a":1}"#);
        let asking = r#"{"ReturnConsumedCapacity":"INDEXES"}"#;
        assert_eq!(asked("Query", asking), asking);
    }

    #[test]
    fn units_are_added_up_by_caller_table_and_kind() {
        let meter = Meter::default();
        let of = |table: &str, units: f64| format!(r#"{{"TableName":"{table}","CapacityUnits":{units:?}}}"#);
        meter.read("a", "GetItem", &format!(r#"{{"Item":{{}},"ConsumedCapacity":{}}}"#, of("t", 0.5)));
        meter.read("a", "BatchGetItem", &format!(r#"{{"ConsumedCapacity":[{},{}]}}"#, of("t", 2.0), of("u", 1.0)));
        meter.read("a", "PutItem", &format!(r#"{{"ConsumedCapacity":{}}}"#, of("t", 3.0)));
        meter.read("b", "PutItem", r#"{"__type":"com.amazonaws#ConditionalCheckFailedException"}"#);
        let cancelled = r#"{"__type":"x#TransactionCanceledException","CancellationReasons":[{},{}]}"#;
        meter.read("b", "TransactWriteItems", cancelled);
        meter.read("b", "ListTables", r#"{"TableNames":[]}"#);
        let units = meter.units();
        let of = |key: &str, table: &str| units[&(key.to_owned(), table.to_owned())];
        assert_eq!(of("a", "t"), Units { read: 2.5, write: 3.0 });
        assert_eq!(of("a", "u"), Units { read: 1.0, write: 0.0 });
        assert_eq!(of("b", ""), Units { read: 0.0, write: 5.0 });
    }

    #[test]
    fn messages_are_counted_by_queue_and_by_what_became_of_them() {
        let meter = Meter::default();
        let queue = json!({"QueueUrl": "http://127.0.0.1:9003/000000000000/q.fifo"});
        meter.moved("SendMessage", &queue, &json!({"MessageId": "1"}));
        meter.moved("SendMessageBatch", &queue, &json!({"Successful": [{}, {}], "Failed": [{}]}));
        meter.moved("ReceiveMessage", &queue, &json!({}));
        meter.moved("ReceiveMessage", &queue, &json!({"Messages": [{}, {}]}));
        meter.moved("GetQueueAttributes", &queue, &json!({}));
        let counted = |metric| meter.messages(metric, "q.fifo");
        assert_eq!((counted("NumberOfMessagesSent"), counted("NumberOfMessagesReceived")), (3, 2));
        assert_eq!((counted("NumberOfEmptyReceives"), counted("NumberOfMessagesDeleted")), (1, 0));
        assert_eq!(meter.messages("NumberOfMessagesSent", "other"), 0);
    }
}
