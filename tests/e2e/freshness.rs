//! Freshness: what changes at the provider is here one sync later, by webhooks alone, by the poller alone, and however
//! small Merge's pages are.

use std::collections::BTreeSet;

use serde_json::json;

use crate::harness::{
    Api, BOUND, Connected, Setup, Snapshot, System, all_equal, alone, assert_equal, hris_models, until,
};

/// What the two largest models must hold for 290 of their records to be touched.
const EMPLOYEES: u32 = 200;

#[test]
fn by_webhooks_alone_exactly_the_changed_records_change() {
    alone(
        || Setup::default().employees(EMPLOYEES).without_schedule(),
        async |system| {
            let api = system.api("org_acme").await;
            let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
            exactly_what_changed_changes(system, &api, &account).await;
        },
    );
}

#[test]
fn by_the_poller_alone_exactly_the_changed_records_change() {
    alone(
        // Merge syncs every half hour by its own clock: the poller looks every five minutes.
        || Setup::default().employees(EMPLOYEES).without_webhooks().sandbox(json!({"sync_interval_ms": 1_800_000})),
        async |system| {
            let api = system.api("org_acme").await;
            let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
            exactly_what_changed_changes(system, &api, &account).await;
            let webhooks = system.sandbox().state().await["webhooks"].clone();
            assert_eq!(webhooks["delivered"], 0, "no webhook helped");
        },
    );
}

#[test]
fn in_pages_of_five_exactly_the_changed_records_change() {
    alone(
        || Setup::default().employees(EMPLOYEES).sandbox(json!({"max_page_size": 5})),
        async |system| {
            let api = system.api("org_acme").await;
            let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
            exactly_what_changed_changes(system, &api, &account).await;
            let pages = system.sandbox().calls("GET /api/hris/v1/employees").await;
            assert!(pages >= u64::from(EMPLOYEES / 5), "the lists came in small pages");
            let catalogue = api.get("/v1/integrations?category=hris", 200).await;
            assert_eq!(catalogue["source"], "live", "{catalogue}");
            let listed = catalogue["results"].as_array().map_or(0, Vec::len);
            assert!(listed > 5, "the catalogue is read to its last page");
        },
    );
}

/// The first sync adds all; a full read, which sees every record, counts each once.
#[test]
fn the_timeline_tells_in_numbers_what_each_sync_brought() {
    alone(
        || Setup::default().employees(EMPLOYEES).without_schedule(),
        async |system| {
            let api = system.api("org_acme").await;
            let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
            let model = "hris.Employee";
            let all = u64::from(EMPLOYEES);
            told(&api, &account, model, Told { added: all, ..Told::default() }).await;

            system.webhooks_settled().await;
            system.idle().await;
            system.sandbox().webhook_mode("drop").await;
            system.sandbox().mark(&account.merge_id, "mutate", model, 30).await;
            system.sandbox().mark(&account.merge_id, "delete-records", model, 20).await;
            system.sandbox().sync(&account.merge_id).await;
            let body = json!({"mode": "full", "models": [model]});
            api.post(&format!("/v1/linked-accounts/{}/sync", account.id), body, 202).await;
            told(&api, &account, model, Told { added: all, updated: 30, unchanged: all - 50, deleted: 20 }).await;
            system.idle().await;
            // Nor does anything come after it.
            told(&api, &account, model, Told { added: all, updated: 30, unchanged: all - 50, deleted: 20 }).await;
        },
    );
}

/// What the timeline says of a model's syncs, all in all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Told {
    added: u64,
    updated: u64,
    unchanged: u64,
    deleted: u64,
}

impl Told {
    async fn of(api: &Api<'_>, account: &Connected, model: &str) -> Self {
        let timeline = api.timeline(&account.id).await;
        let syncs = timeline.iter().filter(|event| event["type"] == "sync_finished" && event["model_id"] == model);
        syncs.fold(Self::default(), |sum, event| {
            let count = |name: &str| event["detail"][name].as_u64().unwrap_or_else(|| panic!("no {name}: {event}"));
            Self {
                added: sum.added + count("added"),
                updated: sum.updated + count("updated"),
                unchanged: sum.unchanged + count("unchanged"),
                deleted: sum.deleted + count("deleted"),
            }
        })
    }
}

async fn told(api: &Api<'_>, account: &Connected, model: &str, expected: Told) {
    until(&format!("the timeline tells of {model}"), BOUND, async || {
        let told = Told::of(api, account, model).await;
        if told == expected { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;
}

/// 250 records change and 40 are deleted; one sync later exactly those differ.
async fn exactly_what_changed_changes(system: &System, api: &Api<'_>, account: &Connected) {
    let models = hris_models();
    assert_equal(system, api, account, &models).await;
    let before = Snapshot::take(api, &account.id, &models).await.expect("a snapshot");
    let mut told_before = Vec::new();
    for model in ["hris.Employee", "hris.Employment"] {
        told_before.push(Told::of(api, account, model).await);
    }

    let mut changed = BTreeSet::new();
    let mut deleted = BTreeSet::new();
    for (model, changes, deletions) in [("hris.Employee", 130, 25), ("hris.Employment", 120, 15)] {
        let named = |ids: Vec<String>| ids.into_iter().map(move |id| (model.to_owned(), id));
        changed.extend(named(system.sandbox().mark(&account.merge_id, "mutate", model, changes).await));
        deleted.extend(named(system.sandbox().mark(&account.merge_id, "delete-records", model, deletions).await));
    }
    assert_eq!((changed.len(), deleted.len()), (250, 40));
    let touched: BTreeSet<_> = changed.union(&deleted).cloned().collect();
    assert_eq!(touched.len(), 290, "different records");

    system.sandbox().start_sync(&account.merge_id).await;
    let after = until("the changed records differ", BOUND, async || {
        let now = Snapshot::take(api, &account.id, &models).await?;
        match before.differing(&now) {
            differing if differing == touched => Ok(now),
            differing => Err(format!("{} records differ", differing.len())),
        }
    })
    .await;
    assert_eq!(after.tombstones(), deleted, "the deleted ones are tombstones, and no other");
    all_equal(system, api, account, &models).await.expect("everything equals Merge's");

    for (model, before, updated, deleted) in
        [("hris.Employee", told_before[0], 130, 25), ("hris.Employment", told_before[1], 120, 15)]
    {
        // Records may be read again that were read before: what is unchanged is a matter of the overlap.
        until(&format!("the timeline tells of {model}"), BOUND, async || {
            let told = Told::of(api, account, model).await;
            let more = (told.added - before.added, told.updated - before.updated, told.deleted - before.deleted);
            if more == (0, updated, deleted) { Ok(()) } else { Err(format!("{more:?}")) }
        })
        .await;
    }

    let live = until("the count follows", BOUND, async || {
        let shown = api.account(&account.id).await["records"].as_u64().unwrap_or_default();
        if shown as usize == after.live() { Ok(shown) } else { Err(format!("{shown} for {}", after.live())) }
    });
    live.await;
}
