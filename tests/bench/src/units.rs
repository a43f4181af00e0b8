//! Units: the requests and capacity units that AWS bills for each operation, counted at the local endpoint.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::contender::PYTHON;
use crate::sync;
use crate::system::{MODEL, System};

/// What was used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// By action, such as `sqs:SendMessage`; DynamoDB's are counted in units.
    pub requests: BTreeMap<String, f64>,
    pub read_units: f64,
    pub write_units: f64,
}

/// An operation, and how often it was done while it was counted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Operation {
    pub name: String,
    /// What it was done to: so many records, or accounts.
    pub times: f64,
    pub used: Usage,
}

/// The names of the operations, which the cost model looks up.
pub const LINK: &str = "link an account";
pub const FIRST: &str = "first load";
pub const REREAD: &str = "full read, 5 % changed";
pub const UNCHANGED: &str = "full read, nothing changed";
pub const DELTA: &str = "delta, 5 % changed";
pub const BLIND: &str = "python: write everything";

/// Counts all operations on one account of so many records.
pub async fn count(
    root: &Path,
    binaries: &BTreeMap<String, PathBuf>,
    interpreter: &Path,
    records: u32,
) -> Result<Vec<Operation>, String> {
    let changed = records / 20;
    let system = System::start(root, binaries, &[MODEL], records, Duration::ZERO).await?;
    let mut operations = Vec::new();
    let mut push = |name: &str, times: u32, used: Usage| {
        operations.push(Operation { name: name.to_owned(), times: f64::from(times), used });
    };
    let linking = ["local-link-token", "local-exchange"];
    let worker = ["local-sync-worker"];

    let before = (used(&system, &linking)?, used(&system, &worker)?);
    let synced = system.connect_and_sync().await?;
    push(LINK, 1, used(&system, &linking)?.since(&before.0));
    push(FIRST, records, used(&system, &worker)?.since(&before.1));

    let before = used(&system, &worker)?;
    full_read(&system, &synced.id).await?;
    push(UNCHANGED, records, used(&system, &worker)?.since(&before));

    let change = async || {
        let path = format!("/accounts/{}/mutate", synced.merge_id);
        system.sandbox(&path, json!({"model_id": MODEL, "count": changed})).await?;
        system.merge_syncs(&synced.merge_id).await
    };
    change().await?;
    let before = used(&system, &worker)?;
    full_read(&system, &synced.id).await?;
    push(REREAD, records, used(&system, &worker)?.since(&before));

    change().await?;
    let before = used(&system, &worker)?;
    let path = format!("/v1/linked-accounts/{}/sync", synced.id);
    system.api(Method::POST, &path, json!({"mode": "changes"})).await?;
    system.settled(&synced.id).await?;
    push(DELTA, changed, used(&system, &worker)?.since(&before));

    let before = used(&system, &[PYTHON])?;
    sync::python(root, &system, interpreter).await?;
    push(BLIND, records, used(&system, &[PYTHON])?.since(&before));
    system.stack.stop().await;
    Ok(operations)
}

async fn full_read(system: &System, id: &str) -> Result<(), String> {
    let wanted: Value = json!({"mode": "full", "models": [MODEL]});
    system.api(Method::POST, &format!("/v1/linked-accounts/{id}/sync"), wanted).await?;
    system.settled(id).await
}

/// What these callers have used so far.
fn used(system: &System, callers: &[&str]) -> Result<Usage, String> {
    let aws = system.stack.aws().ok_or("the services are embedded")?;
    let mut usage = Usage::default();
    for ((caller, service, action), count) in aws.request_counts() {
        if callers.contains(&caller.as_str()) && service != "dynamodb" {
            *usage.requests.entry(format!("{service}:{action}")).or_default() += count as f64;
        }
    }
    for ((caller, _), units) in aws.units() {
        if callers.contains(&caller.as_str()) {
            usage.read_units += units.read;
            usage.write_units += units.write;
        }
    }
    Ok(usage)
}

impl Usage {
    fn since(&self, before: &Self) -> Self {
        let more = |(action, count): (&String, &f64)| {
            let more = count - before.requests.get(action).copied().unwrap_or_default();
            (more > 0.0).then(|| (action.clone(), more))
        };
        Self {
            requests: self.requests.iter().filter_map(more).collect(),
            read_units: self.read_units - before.read_units,
            write_units: self.write_units - before.write_units,
        }
    }
}
