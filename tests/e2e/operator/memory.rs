//! Memory: an export needs no more of it for many records than for few; and one that is killed in the middle is as whole
//! as one that was not.

use std::cell::Cell;
use std::fs;

use super::export::Target;
use super::process::Process;
use super::tether;
use crate::harness::{BOUND, Setup, System, alone, long, until};

const MODEL: &str = "hris.Employee";

fn setup(records: u32) -> Setup {
    Setup::default().employees(records).variable("sync-worker", "MODELS", MODEL)
}

fn few() -> Setup {
    setup(2_000)
}

/// Ten times as many, or five hundred times.
fn many() -> Setup {
    setup(if long() { 1_000_000 } else { 20_000 })
}

/// The most memory that an export of everything took, and the account.
async fn peak(system: &System, records: u64) -> (u64, String) {
    let api = system.api("org_memory").await;
    let account = system.connect(&api, "hris", "workday").await;
    system.synced(&api, &account.id, BOUND * 40).await;
    system.idle().await;
    let target = Target::new();
    let mut process = Process::start(system, &["export", &account.id, "--model", MODEL, "--output", &target.path()]);
    assert_eq!(process.ended().await.code(), Some(0));
    assert_eq!(target.count(), records);
    (process.peak(), account.id)
}

#[test]
fn an_export_needs_no_more_memory_for_more_records_and_survives_its_end() {
    let small = Cell::new(0);
    alone(few, async |system| small.set(peak(system, 2_000).await.0));
    alone(many, async |system| {
        let records = if long() { 1_000_000 } else { 20_000 };
        let (large, account) = peak(system, records).await;
        let ratio = large as f64 / small.get() as f64;
        assert!(ratio <= 1.15, "{large} bytes after {}: {ratio:.2}", small.get());

        // Killed in the middle, and run again.
        let target = Target::new();
        let (path, progress) = (target.path(), format!("{}.progress", target.path()));
        let line = ["export", &account, "--model", MODEL, "--output", &path, "--json"];
        let process = Process::start(system, &line);
        until("a part is written", BOUND, async || {
            let said = fs::read_to_string(&progress).map_err(|error| error.to_string())?;
            if said.contains(r#""bytes":0"#) { Err(said) } else { Ok(()) }
        })
        .await;
        process.kill();
        assert!(fs::read_to_string(&progress).expect("the progress").contains(r#""done":false"#));
        let summary = tether(system, &line).await.expect(0).value();
        assert_eq!(summary["lines"], records);
        assert_eq!(target.count(), records, "each once, in whole lines");
    });
}
