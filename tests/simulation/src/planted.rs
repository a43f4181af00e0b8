//! Planted bugs: mistakes that the worker does not make, made for it at the wire, as if its code had. A simulation that
//! does not notice them proves nothing.

use serde_json::{Value, json};

use crate::cloud::RECORDS;
use crate::watch;

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A page is committed before its records are stored.
    CheckpointBeforeData,
    /// The next window starts where our clock stood, not where Merge's sync ended.
    OurClock,
    /// Any worker may commit, whoever took the endpoint up since.
    NoFencing,
    /// A tag counts as committed whatever became of its epoch.
    TagByNumber,
    /// A sweep goes by what the last worker saw, not by the whole generation.
    UnfinishedGeneration,
    /// The first sync counts as complete when it begins.
    CompletedBeforeFetch,
    /// A record is stored whatever stands there.
    OlderOverNewer,
    /// A sweep deletes before it commits: whoever took the endpoint up since, and whatever became of the records.
    StaleSweep,
}

impl Bug {
    pub const ALL: [Bug; 8] = [
        Bug::CheckpointBeforeData,
        Bug::OurClock,
        Bug::NoFencing,
        Bug::TagByNumber,
        Bug::UnfinishedGeneration,
        Bug::CompletedBeforeFetch,
        Bug::OlderOverNewer,
        Bug::StaleSweep,
    ];

    /// By its name in the code.
    pub fn named(name: &str) -> Option<Bug> {
        Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name)
    }
}

/// What is to become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    AsAsked,
    /// It is answered now and done later, if its process lives.
    Later,
    /// It is answered and never done.
    Never,
    /// Its deletions are done by themselves, and then the rest of it.
    DeletionsFirst,
}

/// Spoils a request of DynamoDB. `now`: our clock, as the item would spell it.
pub fn spoil(bug: Bug, action: &str, input: &mut Value, now: &str) -> Manner {
    let key = watch::key(&input["Item"]);
    match bug {
        Bug::CheckpointBeforeData if action == "PutItem" && input["TableName"] == RECORDS => Manner::Later,
        Bug::OlderOverNewer if action == "PutItem" && input["TableName"] == RECORDS => {
            unconditional(input);
            Manner::AsAsked
        }
        Bug::StaleSweep if transaction(input).any(is_deletion) => Manner::DeletionsFirst,
        Bug::UnfinishedGeneration if key.1.starts_with("SEEN#") && key.1.contains("#0000000000#") => Manner::Never,
        _ => {
            if action == "PutItem" {
                checkpoint(bug, input, now);
            }
            for write in input["TransactItems"].as_array_mut().into_iter().flatten() {
                if let Some(put) = write.get_mut("Put") {
                    checkpoint(bug, put, now);
                }
            }
            Manner::AsAsked
        }
    }
}

fn checkpoint(bug: Bug, put: &mut Value, now: &str) {
    let (_, sk) = watch::key(&put["Item"]);
    if bug == Bug::NoFencing && sk.starts_with("CHANGE#") {
        unconditional(put);
    }
    if !sk.starts_with("SYNC#") {
        return;
    }
    let item = &mut put["Item"];
    let open = item["window"].get("M").is_some();
    match bug {
        Bug::NoFencing => unconditional(put),
        Bug::OurClock if !open => item["upper"] = json!({"S": now}),
        Bug::TagByNumber => item["ends"] = json!({"L": []}),
        Bug::CompletedBeforeFetch if open => item["initial_completed"] = json!({"BOOL": true}),
        _ => {}
    }
}

fn transaction(input: &Value) -> impl Iterator<Item = &Value> {
    input["TransactItems"].as_array().into_iter().flatten()
}

/// A tombstone of a sweep.
fn is_deletion(write: &Value) -> bool {
    write["Update"]["ExpressionAttributeValues"].get(":read").is_some()
}

/// A sweep's transaction in two: its deletions, whatever stands there, and its commit.
pub fn torn(input: &Value) -> [Value; 2] {
    let (mut deletions, rest): (Vec<Value>, Vec<Value>) = transaction(input).cloned().partition(is_deletion);
    for deletion in &mut deletions {
        deletion["Update"]["ConditionExpression"] = json!("t = :read OR attribute_exists(pk)");
    }
    // Without the token by which DynamoDB knows one transaction again.
    [deletions, rest].map(|writes| json!({"TransactItems": writes}))
}

fn unconditional(put: &mut Value) {
    if let Some(put) = put.as_object_mut() {
        for part in ["ConditionExpression", "ExpressionAttributeValues", "ExpressionAttributeNames"] {
            put.remove(part);
        }
    }
}
