//! A chain: work that outlasts its slice goes on in another invocation, and nothing is lost when workers die.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::tables::text;
use crate::harness::{Api, Connected, Setup, Snapshot, System, all_equal, alone, hris_models, until};

const BOUND: Duration = Duration::from_secs(900);

#[test]
fn checklist_50_a_chain_of_forty_hops_and_killed_workers_lose_nothing_of_five_thousand_employees() {
    alone(
        || {
            // Some two thousand pages, eight of them at a time at most, each of which takes Merge a moment: on the fastest
            // machine more than forty slices.
            let merge = json!({"page_delay_ms": 220, "max_page_size": 25});
            let setup = Setup::default().employees(5_000).sandbox(merge).visibility_seconds(5);
            setup.variable("sync-worker", "WORK_SLICE_SECONDS", "1")
        },
        async |system| {
            system.announce("Runtime.ExitError");
            let api = system.api("org_acme").await;
            let account = system.connect(&api, "hris", "bamboohr").await;
            for pages in [3, 20, 45, 80] {
                until("the next pages are read", BOUND, async || {
                    let read = records_pages(system).await;
                    if read >= pages { Ok(()) } else { Err(format!("{read} of {pages} pages")) }
                })
                .await;
                system.stack.kill_workers("sync-worker");
            }
            system.synced(&api, &account.id, BOUND).await;
            let models = hris_models();
            until("everything equals Merge's", BOUND, async || all_equal(system, &api, &account, &models).await).await;
            the_feed_reproduces_the_records(&api, &account).await;
            let hops = system.stack.logs().iter().filter(|line| line.line.contains("stopped")).count();
            assert_eq!(hops, 0, "no chain was stopped");
            let rows = system.tables().partition("ORG#org_acme").await;
            let row = rows.iter().find(|row| text(row, "sk").starts_with("ACCOUNT#")).expect("the account");
            let chain: u32 = row["chain"].as_n().expect("a number").parse().expect("a number");
            assert!(chain >= 40, "a chain of {chain} hops");
        },
    );
}

/// Pages of the three largest lists that Merge has sent.
async fn records_pages(system: &System) -> u64 {
    let state = system.sandbox().state().await;
    let requests = &state["requests"];
    let lists =
        ["bank-info", "employees", "employments", "benefits", "dependents", "employee-payroll-runs", "time-off"];
    lists.iter().filter_map(|list| requests[format!("GET /api/hris/v1/{list}")].as_u64()).sum()
}

/// Following the feed from zero ends with the records as they stand.
async fn the_feed_reproduces_the_records(api: &Api<'_>, account: &Connected) {
    let mut followed: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let page = feed(api, account, &cursor).await;
        for change in page.results {
            let name = (change.model_id.clone(), change.record_id);
            let before = last.insert(change.model_id, change.seq.clone());
            assert!(before.is_none_or(|before| before < change.seq), "the feed never goes back within a model");
            match change.action.as_str() {
                "deleted" => drop(followed.remove(&name)),
                _ => drop(followed.insert(name, change.data.map(|data| data.get().to_owned()).unwrap_or_default())),
            }
        }
        if !page.has_more {
            break;
        }
        cursor = page.next_cursor;
    }
    let stored = Snapshot::take(api, &account.id, &hris_models()).await.expect("a snapshot").contents();
    assert_eq!(followed.len(), stored.len(), "as many records as are stored");
    assert!(followed == stored, "the same records");
}

#[derive(serde::Deserialize)]
struct Feed {
    results: Vec<Change>,
    next_cursor: String,
    has_more: bool,
}

#[derive(serde::Deserialize)]
struct Change {
    model_id: String,
    seq: String,
    record_id: String,
    action: String,
    data: Option<Box<serde_json::value::RawValue>>,
}

async fn feed(api: &Api<'_>, account: &Connected, cursor: &str) -> Feed {
    let cursor = if cursor.is_empty() { String::new() } else { format!("&cursor={cursor}") };
    let path = format!("/v1/linked-accounts/{}/changes?limit=1000{cursor}", account.id);
    let answer = api.call(reqwest::Method::GET, &path, None).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let json: Result<Feed, _> = serde_json::from_str(&answer.body);
    json.unwrap_or_else(|error| panic!("{error}: {}", answer.json().get("results").unwrap_or(&Value::Null)))
}
