//! Syncing: how many records a second come from Merge into the table, what each takes of a processor, and how much
//! memory holds them meanwhile. Both backends read the same account of the same simulated Merge and write to the same
//! local DynamoDB, one after the other. That database's own time is in the seconds of both; processor time and memory
//! are theirs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::contender::PYTHON;
use crate::platform::{Asked, Platform, Services};
use crate::system::{MODEL, System, text};
use crate::usage::{cpu_ns, peak_kb};

/// What one backend's first sync of an account came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SyncRun {
    pub name: String,
    /// So many that share the records.
    #[serde(default = "one")]
    pub models: usize,
    pub records: u32,
    /// Merge's, for a page.
    pub latency_ms: u64,
    pub seconds: f64,
    pub records_per_second: f64,
    /// Processor time, in microseconds.
    pub cpu_per_record: f64,
    pub peak_kb: u64,
}

/// The models of an account that has many.
const WIDE: [&str; 8] = [
    MODEL,
    "hris.BankInfo",
    "hris.Benefit",
    "hris.Dependent",
    "hris.Employment",
    "hris.Location",
    "hris.TimeOff",
    "hris.TimesheetEntry",
];

/// Python says nothing while it syncs. A hundred thousand records take it many minutes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(3_600);

fn one() -> usize {
    1
}

/// What is measured: so many records, with that latency of Merge's.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub models: &'static [&'static str],
    /// Of each model.
    pub records: u32,
    pub latency_ms: u64,
    /// Whether Python is in it, too: not with a million records, which take it an hour.
    pub both: bool,
}

/// The cases of a run; `long` adds the largest. None has more records than `most`.
pub fn cases(long: bool, most: u32) -> Vec<Case> {
    let case = |records: u32, latency_ms| Case { models: &[MODEL], records: records.min(most), latency_ms, both: true };
    // A cursor leads from page to page, so that one model's list takes its time whoever reads it: what Merge's plan
    // allows is reached with several.
    let wide = Case { models: &WIDE, both: false, ..case(1_500, 500) };
    let mut cases = vec![case(10_000, 0), case(4_000, 50), case(1_500, 500), wide, case(100_000, 0)];
    if long {
        cases.push(Case { both: false, ..case(1_000_000, 0) });
    }
    let mut seen = std::collections::BTreeSet::new();
    cases.retain(|case| seen.insert((case.models.len(), case.records, case.latency_ms)));
    cases
}

/// Runs one case with our worker and, where it takes part, with Python.
pub async fn measure(
    root: &Path,
    binaries: &BTreeMap<String, PathBuf>,
    interpreter: &Path,
    case: Case,
) -> Result<Vec<SyncRun>, String> {
    let system =
        System::start(root, binaries, case.models, case.records, Duration::from_millis(case.latency_ms)).await?;
    let synced = system.connect_and_sync().await?;
    let records = case.records * case.models.len() as u32;
    let run = |name: &str, took: Duration, cpu: u64, peak_kb: u64| SyncRun {
        name: name.to_owned(),
        models: case.models.len(),
        records,
        latency_ms: case.latency_ms,
        seconds: took.as_secs_f64(),
        records_per_second: f64::from(records) / took.as_secs_f64(),
        cpu_per_record: cpu as f64 / 1e3 / f64::from(records),
        peak_kb,
    };
    let mut runs = vec![run("sync-worker", synced.took, synced.cpu_ns, synced.peak_kb)];
    if case.both {
        let (took, cpu, peak) = python(root, &system, interpreter).await?;
        runs.push(run(PYTHON, took, cpu, peak));
    }
    system.stack.stop().await;
    Ok(runs)
}

/// Python's sync of the first account: its time, processor time in nanoseconds, and peak memory in kB.
pub async fn python(root: &Path, system: &System, interpreter: &Path) -> Result<(Duration, u64, u64), String> {
    let platform = Platform::start().map_err(|error| error.to_string())?;
    let contender = system.python(root, interpreter, &platform.address.to_string(), "sync");
    let token = text(&system.merge_account().await?, "account_token");
    platform.prepare(Services::Answer, vec![json!({"account_token": token}).to_string()]);
    // The platform waits on a thread of its own, so that Merge and the tables answer meanwhile.
    let work = move || {
        let mut child = contender.process().spawn().map_err(|error| error.to_string())?;
        let (mut given, mut before) = (None, 0);
        let outcome = loop {
            match platform.next_within(PATIENCE) {
                None => break Err("Python's sync does not end".to_owned()),
                Some((Asked::Failed, _)) => break Err("Python's sync fails".to_owned()),
                Some((Asked::Given, at)) => {
                    before = cpu_ns(child.id());
                    given = Some(at);
                }
                Some((Asked::Answered(_), at)) => {
                    let took = given.map(|given| at.duration_since(given)).unwrap_or_default();
                    break Ok((took, cpu_ns(child.id()) - before, peak_kb(child.id())));
                }
                Some(_) => {}
            }
        };
        child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
        outcome
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?
}
