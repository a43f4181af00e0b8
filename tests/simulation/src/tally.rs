//! Tally: what the functions have used of AWS and of Merge, in requests and in DynamoDB's units, and when each account
//! was last asked about. Reads are measured by the JSON of their answers, which is larger than the items themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

/// Requests to one action of one service by one kind of process, and the units they cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Used {
    pub requests: u64,
    /// Read or write request units of DynamoDB; elsewhere as many as requests.
    pub units: f64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Tally {
    /// By kind of process (`worker`, `front`), service and action.
    pub aws: BTreeMap<(String, String, String), Used>,
    /// Calls to Merge by path, ids and tokens left out.
    pub merge: BTreeMap<String, u64>,
    /// When the sync status of each account was asked for, by account token.
    pub looks: BTreeMap<String, Vec<Duration>>,
}

/// DynamoDB counts reads in blocks of so many bytes.
const READ_BLOCK: usize = 4_096;
const WRITE_BLOCK: usize = 1_024;

impl Tally {
    pub fn aws(&mut self, process: &str, service: &str, action: &str, input: &Value, answer: &Value) {
        let kind = process.split('-').next().unwrap_or_default();
        let units = match action {
            "GetItem" | "Query" | "BatchGetItem" => {
                let blocks = answer.to_string().len().div_ceil(READ_BLOCK).max(1) as f64;
                if input["ConsistentRead"] == Value::Bool(true) { blocks } else { blocks / 2.0 }
            }
            "PutItem" | "UpdateItem" => input.to_string().len().div_ceil(WRITE_BLOCK) as f64,
            "TransactWriteItems" => 2.0 * input.to_string().len().div_ceil(WRITE_BLOCK) as f64,
            _ => 1.0,
        };
        let service = match service.split('_').next().unwrap_or_default() {
            "TrentService" => "KMS",
            "AmazonSQS" => "SQS",
            "AWSEvents" => "EventBridge",
            "DynamoDB" => "DynamoDB",
            other => other,
        };
        // The queries of an index are the schedule's and the census's, not a look's.
        let action = match input["IndexName"].as_str() {
            Some(index) => format!("{action} {index}"),
            None => action.to_owned(),
        };
        let used = self.aws.entry((kind.to_owned(), service.to_owned(), action)).or_default();
        used.requests += 1;
        used.units += units;
    }

    pub fn merge(&mut self, path: &str, token: Option<&str>, at: Duration) {
        let call = path.rsplit('/').next().unwrap_or_default();
        *self.merge.entry(call.to_owned()).or_default() += 1;
        if let (Some(token), "sync-status") = (token, call) {
            self.looks.entry(token.to_owned()).or_default().push(at);
        }
    }

    /// Writes to DynamoDB of one kind of process.
    pub fn writes(&self, kind: &str) -> u64 {
        let writes = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"];
        let of_kind = self.aws.iter().filter(|((process, service, action), _)| {
            process == kind && service == "DynamoDB" && writes.contains(&action.as_str())
        });
        of_kind.map(|(_, used)| used.requests).sum()
    }

    /// Looks at accounts.
    pub fn looked(&self) -> u64 {
        self.looks.values().map(|looks| looks.len() as u64).sum()
    }
}
