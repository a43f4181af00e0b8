//! Watch: the invariants that are looked at while things happen, at each effect, and what was found broken.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use serde_json::Value;

/// See the module.
#[derive(Debug, Default)]
pub struct Watch {
    broken: Vec<String>,
    /// Tokens and keys that nobody may see.
    secrets: BTreeSet<String>,
    /// `modified_at` of each stored record.
    records: HashMap<(String, String), String>,
    /// Epoch, block and holder of each checkpoint.
    checkpoints: HashMap<(String, String), (u64, u64, String)>,
    /// Calls of the last minute by account token.
    calls: HashMap<String, VecDeque<Duration>>,
    /// The last answer to each query of an index.
    queries: HashMap<String, Value>,
}

impl Watch {
    /// Notes that an invariant does not hold.
    pub fn broken(&mut self, what: impl Into<String>) {
        if self.broken.len() < 20 {
            self.broken.push(what.into());
        }
    }

    /// What was found broken, oldest first.
    pub fn found(&self) -> &[String] {
        &self.broken
    }

    pub fn secret(&mut self, secret: &str) {
        if !secret.is_empty() {
            self.secrets.insert(secret.to_owned());
        }
    }

    /// I8: a text that others may see holds no secret.
    pub fn public(&mut self, place: &str, text: &str) {
        if self.secrets.iter().any(|secret| text.contains(secret.as_str())) {
            self.broken(format!("I8: {place} shows a secret: {text}"));
        }
    }

    /// I9: a call about an account, under a plan of so many a minute. Two workers may each have a burst.
    pub fn call(&mut self, token: &str, at: Duration, plan: u32, calm: bool) {
        let calls = self.calls.entry(token.to_owned()).or_default();
        calls.push_back(at);
        while calls.front().is_some_and(|first| at - *first >= Duration::from_secs(60)) {
            calls.pop_front();
        }
        let (made, bound) = (calls.len(), plan as usize);
        if calm && made > bound {
            self.broken(format!("I9: {made} calls within a minute under a plan of {bound}"));
        }
    }

    /// A write that DynamoDB has done.
    pub fn written(&mut self, action: &str, input: &Value) {
        match action {
            "PutItem" => self.put(&input["Item"]),
            "TransactWriteItems" => {
                for write in input["TransactItems"].as_array().into_iter().flatten() {
                    if let Some(put) = write.get("Put") {
                        self.put(&put["Item"]);
                    }
                }
            }
            "DeleteItem" => self.deleted(&input["Key"]),
            "BatchWriteItem" => {
                let tables = input["RequestItems"].as_object().into_iter().flat_map(|tables| tables.values());
                for request in tables.filter_map(Value::as_array).flatten() {
                    self.deleted(&request["DeleteRequest"]["Key"]);
                }
            }
            _ => {}
        }
    }

    pub fn remember(&mut self, query: String, answer: Value) {
        self.queries.insert(query, answer);
    }

    /// What the same query was answered before.
    pub fn earlier(&self, query: &str) -> Option<Value> {
        self.queries.get(query).cloned()
    }

    fn put(&mut self, item: &Value) {
        let key = key(item);
        let number = |name: &str| item[name]["N"].as_str().and_then(|text| text.parse::<u64>().ok());
        // I6: records have `m`; nothing else has.
        if let (Some(modified_at), Some(_)) = (item["m"]["S"].as_str(), item["h"]["B"].as_str()) {
            let before = self.records.insert(key.clone(), modified_at.to_owned());
            if before.as_deref().is_some_and(|before| before > modified_at) {
                self.broken(format!("I6: {key:?} of {before:?} is overwritten by {modified_at}"));
            }
        }
        // I3: the first sync is complete once everything of it is stored, and not before.
        let read = item["upper"]["S"].is_string();
        if key.1.starts_with("SYNC#") && item["initial_completed"]["BOOL"] == Value::Bool(true) && !read {
            self.broken(format!("I3: {key:?} is complete and was never read"));
        }
        // I4: checkpoints move forward, and within an epoch in one hand.
        if let (true, Some(epoch), Some(n)) = (key.1.starts_with("SYNC#"), number("epoch"), number("n")) {
            let holder = item["holder"]["S"].as_str().unwrap_or_default().to_owned();
            let before = self.checkpoints.insert(key.clone(), (epoch, n, holder.clone()));
            if let Some((had, at, who)) = before {
                let forward = epoch > had || (epoch == had && n >= at && holder == who);
                if !forward {
                    self.broken(format!("I4: {key:?} goes from {had}.{at} of {who} to {epoch}.{n} of {holder}"));
                }
            }
        }
    }

    fn deleted(&mut self, item: &Value) {
        let key = key(item);
        self.records.remove(&key);
        self.checkpoints.remove(&key);
    }
}

/// Partition and sort key of an item.
pub fn key(item: &Value) -> (String, String) {
    let text = |name: &str| item[name]["S"].as_str().unwrap_or_default().to_owned();
    (text("pk"), text("sk"))
}
