//! A caller: who signed a request, told by the access key id in its SigV4 header. Signatures are not
//! checked on this machine; the key tells the functions apart.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::Value;

/// One request to an AWS service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// Access key id; `anonymous` for a request that is not signed.
    pub access_key: String,
    /// For example `dynamodb`.
    pub service: &'static str,
    /// For example `PutItem`.
    pub action: String,
}

/// Messages that are remembered; older ones are forgotten first.
const MESSAGES: usize = 20_000;

/// Counts the requests of every caller, and remembers what was put on the queues.
#[derive(Default)]
pub struct Observer {
    counts: Mutex<BTreeMap<Call, u64>>,
    messages: Mutex<VecDeque<String>>,
}

impl Observer {
    /// Takes note of a call, before it runs.
    pub fn observe(&self, call: &Call) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(call) {
            Some(count) => *count += 1,
            None => {
                counts.insert(call.clone(), 1);
            }
        }
    }

    /// Takes note of the bodies that a `SendMessage` or `SendMessageBatch` request carries.
    pub fn sent(&self, input: &Value) {
        let batch = input["Entries"].as_array().into_iter().flatten();
        let bodies = batch.chain([input]).filter_map(|entry| entry["MessageBody"].as_str());
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.extend(bodies.map(str::to_owned));
        let surplus = messages.len().saturating_sub(MESSAGES);
        messages.drain(..surplus);
    }

    /// Bodies of the messages that were sent, oldest first.
    pub fn messages(&self) -> Vec<String> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Requests so far by (access key, service, action).
    pub fn counts(&self) -> BTreeMap<(String, String, String), u64> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .iter()
            .map(|(call, count)| {
                let call = call.clone();
                ((call.access_key, call.service.to_owned(), call.action), *count)
            })
            .collect()
    }
}

/// The access key id of a signed request: `Credential={key}/{date}/{region}/{service}/aws4_request`.
pub fn access_key(headers: &HeaderMap) -> String {
    headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once("Credential="))
        .and_then(|(_, credential)| credential.split_once('/'))
        .map_or_else(|| "anonymous".to_owned(), |(key, _)| key.to_owned())
}
