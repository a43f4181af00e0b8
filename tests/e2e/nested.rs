//! Nested lists: read below the records that changed, in full on request, each parent's deletions too; asked for by
//! `MODELS`, served by their own key.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use merge_sandbox::models::{self, Model};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::harness::tables::text;
use crate::harness::{Api, BOUND, Connected, Setup, System, alone, models_of, records, until};

const SYSTEMS: [(&str, &str); 4] =
    [("ats", "greenhouse"), ("crm", "salesforce"), ("accounting", "xero"), ("ticketing", "jira")];

/// Pages of two: some parents' lists have more than one.
fn setup() -> Setup {
    let keys: Vec<&str> =
        SYSTEMS.iter().flat_map(|(category, _)| models::of_category(category).map(|(_, m)| m.key.as_str())).collect();
    Setup::default()
        .employees(12)
        .parameter("Models", &keys.join(","))
        .variable("sync-worker", "WINDOW_OVERLAP_SECONDS", "0")
        .sandbox(json!({"sync_interval_ms": 1_800_000, "max_page_size": 2, "records": {
            "ats.Job": 10, "crm.CustomObjectClass": 8, "ticketing.Project": 10, "ticketing.Collection": 10}}))
}

/// The nested lists of a category, outer ones first.
fn nested(category: &str) -> Vec<&'static Model> {
    let mut found: Vec<_> = models::of_category(category).map(|(_, m)| m).filter(|m| m.parent.is_some()).collect();
    found.sort_by_key(|model| model.segments.len());
    found
}

#[test]
fn nested_lists_follow_the_records_above_them() {
    alone(setup, async |system| {
        join_all(SYSTEMS.map(|(category, integration)| follow(system, category, integration))).await;
    });
}

async fn follow(system: &System, category: &'static str, integration: &str) {
    let api = system.api(&format!("org_{category}")).await;
    let account = system.connect_and_sync(&api, category, integration).await;
    let sandbox = system.sandbox();
    all_below(system, &api, &account, category, "first").await;
    stated(&api, &account, category).await;

    // Children change and vanish, and their parents change: what is below the changed ones is read again.
    let parents: BTreeSet<&str> =
        nested(category).iter().filter_map(|m| Some(models::all()[m.parent?].key.as_str())).collect();
    for model in nested(category) {
        sandbox.mark(&account.merge_id, "mutate", &model.key, 3).await;
        sandbox.mark(&account.merge_id, "delete-records", &model.key, 2).await;
    }
    for parent in &parents {
        let all = json!({"model_id": parent, "count": 1_000});
        sandbox.act(&account.merge_id, "mutate", all).await;
    }
    sandbox.sync(&account.merge_id).await;
    if category == "crm" {
        // Classes cannot say what is gone: they, and what is below them, are read in full.
        full(&api, &account).await;
    }
    all_below(system, &api, &account, category, "after changes").await;

    // A parent goes, and what was below it.
    for parent in parents.iter().filter(|parent| !parent.contains('@')) {
        sandbox.mark(&account.merge_id, "delete-records", parent, 1).await;
    }
    sandbox.sync(&account.merge_id).await;
    if category == "crm" {
        full(&api, &account).await;
    }
    all_below(system, &api, &account, category, "after a parent's deletion").await;

    // Children alone change: a full read finds it.
    for model in nested(category) {
        sandbox.mark(&account.merge_id, "mutate", &model.key, 2).await;
    }
    sandbox.sync(&account.merge_id).await;
    full(&api, &account).await;
    all_below(system, &api, &account, category, "in full").await;
    until("the full read is over", BOUND, async || {
        let rows = system.tables().everything().await;
        let own = rows.iter().find(|row| text(row, "sk") == format!("ACCOUNT#{}", account.id)).ok_or("no row")?;
        let read = own["facts"].as_m().ok().and_then(|facts| facts.get("full_read")?.as_m().ok());
        let over = read.and_then(|read| read.get("over")?.as_bool().ok()) == Some(&true);
        if over { Ok(()) } else { Err(format!("it stands: {read:?}")) }
    })
    .await;
}

async fn full(api: &Api<'_>, account: &Connected) {
    api.post(&format!("/v1/linked-accounts/{}/sync", account.id), json!({"mode": "full"}), 202).await;
}

/// The sync status names each nested list by its key, with what is stored of it.
async fn stated(api: &Api<'_>, account: &Connected, category: &str) {
    let status = api.get(&format!("/v1/linked-accounts/{}/sync-status", account.id), 200).await;
    let rows: BTreeMap<&str, &Value> =
        status["results"].as_array().into_iter().flatten().filter_map(|r| Some((r["model_id"].as_str()?, r))).collect();
    assert!(models_of(category).iter().all(|model| rows.contains_key(model)), "{status}");
    for model in nested(category) {
        let row = rows[model.key.as_str()];
        assert!(row["records"].as_u64() > Some(0), "{row}");
        assert_eq!((&row["is_initial_sync"], &row["window"]), (&json!(false), &Value::Null), "{row}");
        assert!(row["last_synced_at"].is_string(), "{row}");
        let path = format!("/v1/linked-accounts/{}/records/{}?limit=1", account.id, model.key.replace('@', "%40"));
        let page = api.get(&path, 200).await;
        assert!(page["data_fresh_as_of"].is_string() && page["initial_sync_completed"] == true, "{page}");
    }
}

async fn all_below(system: &System, api: &Api<'_>, account: &Connected, category: &str, when: &str) {
    for model in nested(category) {
        until(&format!("{} equals Merge's, {when}", model.key), BOUND, async || {
            below(system, api, account, model).await
        })
        .await;
    }
}

/// `Ok` when what the API serves below each parent is what Merge lists there, and nothing below those that are gone.
async fn below(system: &System, api: &Api<'_>, account: &Connected, model: &Model) -> Result<(), String> {
    let parent = &models::all()[model.parent.ok_or("a nested list")?];
    let parents = records(api, &account.id, &parent.key).await?;
    let mut ours: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let depth = model.segments.iter().filter(|segment| segment.starts_with('{')).count();
    for (id, row) in records(api, &account.id, &model.key).await? {
        let above = id.splitn(depth + 1, '/').take(depth).collect::<Vec<_>>().join("/");
        if !row.deleted {
            ours.entry(above).or_default().insert(row.data.get().to_owned());
        }
    }
    let mut compared = 0;
    for (key, row) in &parents {
        let here = ours.remove(key).unwrap_or_default();
        let there = if row.deleted { BTreeSet::new() } else { listed(system, account, model, key).await? };
        if here != there {
            return Err(format!("{}: {} here and {} there below {key}", model.key, here.len(), there.len()));
        }
        compared += there.len();
    }
    match (ours.is_empty(), compared) {
        (true, 1..) => Ok(()),
        _ => Err(format!("{}: {compared} compared, {} without a parent", model.key, ours.len())),
    }
}

/// What Merge lists below one parent, without what is deleted.
async fn listed(system: &System, account: &Connected, model: &Model, parent: &str) -> Result<BTreeSet<String>, String> {
    #[derive(Deserialize)]
    struct Page {
        next: Option<String>,
        results: Vec<Box<RawValue>>,
    }
    let mut parents = parent.split('/');
    let path: Vec<&str> = model
        .segments
        .iter()
        .map(|segment| if segment.starts_with('{') { parents.next().unwrap_or_default() } else { segment })
        .collect();
    let url = format!("{}/{}/v1/{}", system.ready().merge, model.category, path.join("/"));
    let (mut found, mut query) = (BTreeSet::new(), String::new());
    loop {
        let call = system.http().get(format!("{url}{query}")).bearer_auth("dev-api-key");
        let call = call.header("x-account-token", &account.account_token);
        let answer = call.send().await.map_err(|error| error.to_string())?;
        if answer.status() == 404 {
            return Ok(found);
        }
        let page: Page = answer.json().await.map_err(|error| error.to_string())?;
        found.extend(page.results.iter().map(|record| record.get().to_owned()));
        let Some(next) = page.next else { return Ok(found) };
        query = format!("?cursor={}", next.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"));
    }
}
