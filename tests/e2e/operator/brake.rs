//! The brake: what it holds is shown, and is kept or goes as the operator decides.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use super::{findings, one, operators_event, tether, undisturbed};
use crate::harness::{Api, BOUND, Connected, Setup, Snapshot, System, all_equal, alone, until};

const MODEL: &str = "accounting.PaymentTerm";

fn setup() -> Setup {
    let setup = Setup::default().employees(200).variable("sync-worker", "WINDOW_OVERLAP_SECONDS", "0");
    setup.variable("sync-worker", "BRAKE_FLOOR", "3")
}

/// Reads the model in full and waits until its deletions are held.
async fn held(system: &System, api: &Api<'_>, account: &Connected) -> Value {
    let sync = json!({"mode": "full", "models": [MODEL]});
    api.post(&format!("/v1/linked-accounts/{}/sync", account.id), sync, 202).await;
    until("the deletions are held", BOUND, async || {
        let shown = tether(system, &["brake", "show", "--json"]).await.expect(0);
        shown.lines().first().cloned().ok_or_else(|| "nothing is held".to_owned())
    })
    .await
}

async fn nothing_held(system: &System) {
    until("nothing is held any more", BOUND, async || {
        let shown = tether(system, &["brake", "show"]).await.expect(0).text;
        if shown == "no deletions are held\n" { Ok(()) } else { Err(shown) }
    })
    .await;
}

#[test]
fn held_deletions_are_shown_and_decided_about() {
    alone(setup, async |system| {
        system.announce("deletions are held");
        let api = system.api("org_brake").await;
        let account = system.connect_and_sync(&api, "accounting", "xero").await;
        all_equal(system, &api, &account, &[MODEL]).await.expect("everything equals Merge's");
        let before = Snapshot::take(&api, &account.id, &[MODEL]).await.expect("a snapshot");
        nothing_held(system).await;

        // Half of a model vanishes, as after a permission was lost.
        let vanished = before.live() / 2;
        system.sandbox().mark(&account.merge_id, "delete-records", MODEL, vanished).await;
        system.sandbox().sync(&account.merge_id).await;
        let line = held(system, &api, &account).await;
        assert_eq!((&line["account"], &line["model_id"]), (&json!(account.id), &json!(MODEL)));
        assert_eq!((&line["missing"], &line["live"]), (&json!(vanished), &json!(before.live())));
        assert!(line["examples"].as_array().is_some_and(|keys| !keys.is_empty()), "{line}");
        assert_eq!(tether(system, &["brake", "show", &account.id, "--json"]).await.expect(0).value(), line);
        let elsewhere = ["brake", "show", "--organization", "org_other", "--json"];
        assert!(tether(system, &elsewhere).await.expect(0).lines().is_empty());
        system.idle().await;
        let (code, found) = findings(system, &[&account.id, "--stale-after", "100000"]).await;
        assert_eq!((code, found), (2, one("brake", MODEL)));

        // Looking at it, and asking without a yes, change nothing. Then they are kept.
        let discard = ["brake", "discard", &account.id, "--model", MODEL];
        let approve = ["brake", "approve", &account.id, "--model", MODEL];
        tether(system, &discard).await.expect(3);
        tether(system, &[&approve[..], &["--dry-run"]].concat()).await.expect(0);
        assert_eq!(tether(system, &["brake", "show", "--json"]).await.expect(0).value(), line);
        let said = tether(system, &[&discard[..], &["--yes", "--json"]].concat()).await.expect(0).value();
        assert_eq!((&said["queued"], &said["decision"]), (&json!(true), &json!("discard")));
        nothing_held(system).await;
        operators_event(system, &account, "deletions_discarded").await;
        let now = Snapshot::take(&api, &account.id, &[MODEL]).await.expect("a snapshot");
        assert!(before.differing(&now).is_empty(), "the records stay");
        tether(system, &[&approve[..], &["--yes"]].concat()).await.expect(3);

        // The next full read holds them again. After a relink that led elsewhere no approval is enough.
        held(system, &api, &account).await;
        relinked_elsewhere(system, &api, &account).await;

        // Approved, they go.
        tether(system, &[&approve[..], &["--yes"]].concat()).await.expect(0);
        operators_event(system, &account, "deletions_approved").await;
        let equal = async || all_equal(system, &api, &account, &[MODEL]).await;
        until("what was approved is deleted", BOUND, equal).await;
        let now = Snapshot::take(&api, &account.id, &[MODEL]).await.expect("a snapshot");
        assert_eq!(now.tombstones().len(), vanished);
        nothing_held(system).await;
    });
}

/// Holds the account's deletions as a relink does that leads elsewhere, and says that it was meant so.
async fn relinked_elsewhere(system: &System, api: &Api<'_>, account: &Connected) {
    system.idle().await;
    undisturbed(system, &api.organization, account).await;
    let (pk, sk) = (format!("ORG#{}", api.organization), format!("ACCOUNT#{}", account.id));
    let now = AttributeValue::S(jiff::Timestamp::now().to_string());
    system.tables().set(&pk, &sk, "notes.deletions_held_since", now).await;
    let shown = async || tether(system, &["brake", "show", &account.id, "--json"]).await.expect(0).lines();
    let both = shown().await;
    assert_eq!((&both[0]["held_by"], &both[1]["held_by"]), (&json!("full_read"), &json!("relink")), "{both:?}");
    let told = tether(system, &["brake", "show", &account.id]).await.expect(0).text;
    assert!(told.contains("tether brake release"), "{told}");
    let (code, found) = findings(system, &[&account.id, "--stale-after", "100000"]).await;
    assert_eq!((code, found), (2, &one("brake", MODEL) | &one("brake", "")));
    tether(system, &["brake", "approve", &account.id, "--model", MODEL, "--yes"]).await.expect(3);

    let release = ["brake", "release", &account.id, "--json"];
    let meant = [&release[..], &["--yes"]].concat();
    tether(system, &release).await.expect(3);
    let dry = tether(system, &[&release[..], &["--dry-run"]].concat()).await.expect(0).value();
    assert_eq!((&dry["released"], shown().await.len()), (&json!(false), 2), "neither changes anything");
    assert_eq!(tether(system, &meant).await.expect(0).value()["released"], true);
    operators_event(system, account, "deletions_released").await;
    assert_eq!(tether(system, &meant).await.expect(0).value()["released"], false, "once is enough");
    // Everything is read again; half of a model at once is still too much for the brake.
    system.idle().await;
    let still = shown().await;
    assert_eq!((still.len(), &still[0]["held_by"]), (1, &json!("full_read")), "{still:?}");
}
