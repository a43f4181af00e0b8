//! A hundred thousand employees, a million in `tests/run --long`: a long chain of short invocations, with workers
//! killed at random moments, brings all of them, with few requests more than there are pages and in no more memory than
//! ten thousand need. The operator's export of them needs no more, either.

use std::time::{Duration, Instant};

use futures::future::{Either, select};
use serde_json::json;

use crate::harness::tables::text;
use crate::harness::{Connected, Random, Setup, System, all_equal, alone, long, until};
use crate::operator::memory;

/// For each hundred thousand.
const BOUND: Duration = Duration::from_secs(1_700);
const MODEL: &str = "hris.Employee";
const LIST: &str = "GET /api/hris/v1/employees";
const SMALL: u64 = 10_000;
const KILLS: u64 = 6;

#[test]
fn a_long_chain_brings_everything_in_flat_memory() {
    alone(
        || {
            // Neither polls nor a second sync, by which the smaller account would grow: what is counted is the chain's. A
            // thousand pages, one after the other, are more than forty slices on the fastest machine, too.
            Setup::default()
                .without_schedule()
                .sandbox(json!({"sync_interval_ms": 31_536_000_000_i64, "page_delay_ms": 90}))
                .parameter("Models", MODEL)
                .variable("sync-worker", "WORK_SLICE_SECONDS", "2")
                .visibility_seconds(5)
        },
        async |system| {
            system.announce("Runtime.ExitError");
            let large = if long() { 1_000_000 } else { 100_000 };
            let few = synced(system, "org_few", SMALL, 0).await;
            let many = synced(system, "org_many", large, KILLS).await;
            println!("{SMALL}: {few:?}\n{large}: {many:?}");
            assert!(many.hops > 40, "a chain of {} invocations", many.hops);
            let pages = large / 100;
            assert!(many.requests <= pages + pages / 50, "{} requests for {pages} pages", many.requests);
            assert!(many.memory <= few.memory * 11 / 10, "{} kB for many, {} kB for few", many.memory, few.memory);
            memory::is_flat(system, MODEL, (&few.account, SMALL), (&many.account, large)).await;
        },
    );
}

/// What a first sync took.
#[derive(Debug)]
struct Cost {
    account: String,
    hops: u64,
    requests: u64,
    /// The most that a worker held at a time, in kB.
    memory: u64,
    #[expect(dead_code, reason = "told, not judged: a busy machine is no failure")]
    took: Duration,
}

/// Connects an account of so many employees, kills its workers so many times, and compares it to Merge's at the end.
async fn synced(system: &System, organization: &str, employees: u64, kills: u64) -> Cost {
    // A page takes a tenth of a second, as an answer from afar would.
    system.sandbox().settings(json!({"records": {MODEL: employees}, "page_delay_ms": 100})).await;
    let before = system.sandbox().calls(LIST).await;
    let bound = BOUND * (employees / 100_000).max(1) as u32;
    let started = Instant::now();
    let api = system.api(organization).await;
    let account = system.connect(&api, "hris", "workday").await;
    let mut memory = 0;
    let done = Box::pin(async {
        let mut random = Random::of(organization);
        let mut at: Vec<u64> = (0..kills).map(|_| random.within(1..employees / 100)).collect();
        at.sort_unstable();
        for pages in at {
            until("the next pages are read", bound, async || {
                let read = system.sandbox().calls(LIST).await - before;
                if read >= pages { Ok(()) } else { Err(format!("{read} of {pages} pages")) }
            })
            .await;
            system.stack.kill_workers("sync-worker");
        }
        system.synced(&api, &account.id, bound).await;
    });
    let watch = Box::pin(async {
        let mut looks = tokio::time::interval(Duration::from_millis(200));
        loop {
            looks.tick().await;
            memory = system.stack.processes("sync-worker").into_iter().filter_map(resident).fold(memory, u64::max);
        }
    });
    match select(done, watch).await {
        Either::Left(_) => {}
        Either::Right((never, _)) => never,
    }
    let cost = Cost {
        account: account.id.clone(),
        hops: hops(system, &account).await,
        requests: system.sandbox().calls(LIST).await - before,
        memory,
        took: started.elapsed(),
    };
    // A user's token is good for an hour, which a million may take.
    let api = system.api(organization).await;
    all_equal(system, &api, &account, &[MODEL]).await.expect("everything equals Merge's");
    assert_eq!(api.account(&account.id).await["records"], employees);
    cost
}

/// The account's chain: how many invocations followed one another.
async fn hops(system: &System, account: &Connected) -> u64 {
    let accounts = system.tables().accounts().await;
    let row = accounts.iter().find(|row| text(row, "sk") == format!("ACCOUNT#{}", account.id));
    row.and_then(|row| row.get("chain")?.as_n().ok()?.parse().ok()).expect("the account's chain")
}

/// The most memory of a process that was ever resident, in kB; none once it has ended.
fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
