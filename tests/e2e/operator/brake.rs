//! The brake: what it holds is shown, and is kept or goes as the operator decides.

use serde_json::{Value, json};

use super::{findings, one, operators_event, tether};
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

        // The next full read holds them again; approved, they go.
        held(system, &api, &account).await;
        tether(system, &[&approve[..], &["--yes"]].concat()).await.expect(0);
        operators_event(system, &account, "deletions_approved").await;
        let equal = async || all_equal(system, &api, &account, &[MODEL]).await;
        until("what was approved is deleted", BOUND, equal).await;
        let now = Snapshot::take(&api, &account.id, &[MODEL]).await.expect("a snapshot");
        assert_eq!(now.tombstones().len(), vanished);
        nothing_held(system).await;
    });
}
