//! Memory: an export needs no more of it for many records than for few; and one that is killed in the middle is as
//! whole as one that was not. The accounts are those of `hundred_thousand`: nobody wants to wait for such a first sync
//! twice.

use std::fs;

use super::export::Target;
use super::process::Process;
use super::tether;
use crate::harness::{BOUND, System, until};

/// Exports a model of an account with few records and of one with many, each an id and a number of records.
pub async fn is_flat(system: &System, model: &str, few: (&str, u64), many: (&str, u64)) {
    let small = peak(system, model, few).await;
    let large = peak(system, model, many).await;
    assert!(large <= small * 23 / 20, "{large} bytes for {} records, {small} for {}", many.1, few.1);

    // Killed in the middle, and run again.
    let (account, records) = many;
    let target = Target::new();
    let (path, progress) = (target.path(), format!("{}.progress", target.path()));
    let line = ["export", account, "--model", model, "--output", &path, "--json"];
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
}

/// The most memory that an export of everything took, in bytes.
async fn peak(system: &System, model: &str, (account, records): (&str, u64)) -> u64 {
    let target = Target::new();
    let mut process = Process::start(system, &["export", account, "--model", model, "--output", &target.path()]);
    assert_eq!(process.ended().await.code(), Some(0));
    assert_eq!(target.count(), records);
    println!("an export of {records} records held {} bytes at most", process.peak());
    process.peak()
}
