//! Requests: the log of calls that Merge received. Routes only: no token or id stands in it.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::clock::Time;

/// One call.
#[derive(Clone, Debug, Serialize)]
pub struct Call {
    /// `GET /api/hris/v1/employees/{id}`.
    pub route: String,
    #[serde(serialize_with = "as_text")]
    pub time: Time,
    pub status: u16,
}

fn as_text<S: serde::Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// The last 100,000 calls, and counts of all.
#[derive(Debug, Default)]
pub struct Requests {
    pub counts: BTreeMap<String, u64>,
    calls: VecDeque<Call>,
}

impl Requests {
    pub fn record(&mut self, method: &str, path: &str, time: Time, status: u16) {
        let route = format!("{method} {}", template(path));
        *self.counts.entry(route.clone()).or_default() += 1;
        self.calls.push_back(Call { route, time, status });
        if self.calls.len() > 100_000 {
            self.calls.pop_front();
        }
    }

    /// Calls at or after `since`.
    pub fn since(&self, since: Option<Time>) -> Vec<&Call> {
        self.calls.iter().filter(|call| since.is_none_or(|since| call.time >= since)).collect()
    }
}

/// Puts `{id}` for ids and `{token}` for tokens.
fn template(path: &str) -> String {
    let mut previous = "";
    let mut segments = Vec::new();
    for segment in path.split('/') {
        let is_token = previous == "account-token" && segment != "regenerate" || previous == "link";
        let is_id = segment.len() == 36 && segment.bytes().filter(|byte| *byte == b'-').count() == 4;
        segments.push(if is_token {
            "{token}"
        } else if is_id {
            "{id}"
        } else {
            segment
        });
        previous = segment;
    }
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_and_no_id_is_logged() {
        let token = "/api/hris/v1/account-token/c2VjcmV0";
        assert_eq!(template(token), "/api/hris/v1/account-token/{token}");
        assert_eq!(template("/api/hris/v1/account-token/regenerate"), "/api/hris/v1/account-token/regenerate");
        let id = "/api/hris/v1/employees/0d3b8f36-1f0a-4d6e-9d5f-0f6a0d9c2b11";
        assert_eq!(template(id), "/api/hris/v1/employees/{id}");
        assert_eq!(template("/api/hris/v1/link-token"), "/api/hris/v1/link-token");
    }
}
