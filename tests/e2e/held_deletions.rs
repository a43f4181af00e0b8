//! Held deletions: what a full read misses too much of stays, until the operator has decided.

use serde_json::json;
use shared::domain::{
    ids::{AccountId, MergeLinkedAccountId, OrganizationId},
    message::{AccountRef, Decision, Message, Work},
};
use uuid::Uuid;

use crate::harness::tables::text;
use crate::harness::{Api, BOUND, Connected, Setup, Snapshot, System, all_equal, alone, until};

const MODEL: &str = "accounting.PaymentTerm";

#[test]
fn held_deletions_wait_for_the_operator() {
    alone(
        || {
            Setup::default().employees(200).variable("sync-worker", "WINDOW_OVERLAP_SECONDS", "0").variable(
                "sync-worker",
                "BRAKE_FLOOR",
                "3",
            )
        },
        async |system| {
            system.announce("deletions are held");
            let api = system.api("org_held").await;
            let account = system.connect_and_sync(&api, "accounting", "xero").await;
            all_equal(system, &api, &account, &[MODEL]).await.expect("everything equals Merge's");
            let before = Snapshot::take(&api, &account.id, &[MODEL]).await.expect("a snapshot");

            // Half of a model vanishes, as after a permission was lost: nothing is deleted.
            let vanished = before.live() / 2;
            system.sandbox().mark(&account.merge_id, "delete-records", MODEL, vanished).await;
            system.sandbox().sync(&account.merge_id).await;
            read_in_full(&api, &account).await;
            let generation = held(system, &account, vanished).await;
            let now = Snapshot::take(&api, &account.id, &[MODEL]).await.expect("a snapshot");
            assert!(before.differing(&now).is_empty(), "the records stay");

            // A decision about another read, and one to keep the records, change nothing.
            decide(system, &api, &account, generation + 1, Decision::Approve).await;
            decide(system, &api, &account, generation, Decision::Discard).await;
            event(&api, &account, "deletions_discarded").await;
            assert_eq!(brake_rows(system, &account).await, 0, "nothing is held any more");
            let now = Snapshot::take(&api, &account.id, &[MODEL]).await.expect("a snapshot");
            assert!(before.differing(&now).is_empty(), "the records stay");

            // The next full read holds them again; approved, they go.
            read_in_full(&api, &account).await;
            let generation = held(system, &account, vanished).await;
            decide(system, &api, &account, generation, Decision::Approve).await;
            event(&api, &account, "deletions_approved").await;
            let equal = async || all_equal(system, &api, &account, &[MODEL]).await;
            until("what was approved is deleted", BOUND, equal).await;
            let now = Snapshot::take(&api, &account.id, &[MODEL]).await.expect("a snapshot");
            assert_eq!(now.tombstones().len(), vanished);
            until("nothing is held any more", BOUND, async || match brake_rows(system, &account).await {
                0 => Ok(()),
                rows => Err(format!("{rows} rows")),
            })
            .await;
        },
    );
}

async fn read_in_full(api: &Api<'_>, account: &Connected) {
    let sync = json!({"mode": "full", "models": [MODEL]});
    api.post(&format!("/v1/linked-accounts/{}/sync", account.id), sync, 202).await;
}

/// Waits until so many deletions are held, and says by which full read.
async fn held(system: &System, account: &Connected, count: usize) -> u64 {
    until("the deletions are held", BOUND, async || {
        let rows = system.tables().partition(&format!("ACCOUNT#{}", account.id)).await;
        let number = |name: &str| {
            let row = rows.iter().find(|row| text(row, "sk").starts_with("BRAKE#"));
            row.and_then(|row| row.get(name)?.as_n().ok()?.parse::<u64>().ok())
        };
        match (number("missing"), number("generation")) {
            (Some(missing), Some(generation)) if missing == count as u64 => Ok(generation),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

async fn brake_rows(system: &System, account: &Connected) -> usize {
    let rows = system.tables().partition(&format!("ACCOUNT#{}", account.id)).await;
    rows.iter().filter(|row| text(row, "sk").starts_with("BRAKE#")).count()
}

async fn decide(system: &System, api: &Api<'_>, account: &Connected, generation: u64, decision: Decision) {
    let of = AccountRef {
        organization: OrganizationId::parse(&api.organization).expect("an organization"),
        account: AccountId::new(account.id.parse().expect("a UUID")),
    };
    let work = Work::Held {
        of,
        model: MODEL.to_owned(),
        generation,
        decision,
        actor: "operator".to_owned(),
        request: Uuid::new_v4(),
    };
    let merge_id = MergeLinkedAccountId::parse(&account.merge_id).expect("Merge's id");
    system.send(&Message::new(merge_id, work)).await;
    system.idle().await;
}

async fn event(api: &Api<'_>, account: &Connected, kind: &str) {
    until(&format!("the timeline says {kind}"), BOUND, async || {
        let events = api.get(&format!("/v1/linked-accounts/{}/events", account.id), 200).await;
        let found = events["results"].as_array().into_iter().flatten().find(|event| event["type"] == kind).cloned();
        found.filter(|event| event["actor"] == "operator" && event["model_id"] == MODEL).ok_or(events.to_string())
    })
    .await;
}
