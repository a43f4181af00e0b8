//! Relink: the same account, repaired. An abandoned one changes nothing that worked.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde_json::json;
use shared::domain::{
    ids::{AccountId, MergeLinkedAccountId, OrganizationId},
    message::{AccountRef, Message, Work},
};

use crate::harness::{
    BOUND, Connected, Outcome, Setup, SharedStack, Snapshot, System, all_equal, alone, assert_equal, hris_models, until,
};

static STACK: SharedStack = SharedStack::new(Setup::default);

#[test]
fn a_relinked_account_keeps_id_token_and_records_and_catches_up() {
    STACK.run(async |system| {
        let api = system.api("org_relinker").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        let models = hris_models();
        let before = Snapshot::take(&api, &account.id, &models).await.expect("a snapshot");

        system.sandbox().act(&account.merge_id, "relink-needed", json!({})).await;
        let needing = until("the account asks to be relinked", BOUND, async || {
            let shown = api.account(&account.id).await;
            if shown["status"] == "RELINK_NEEDED" { Ok(shown) } else { Err(shown.to_string()) }
        })
        .await;
        assert_eq!(needing["health"]["state"], "action_needed", "{needing}");
        assert_eq!(needing["health"]["can_reconnect"], true);
        let meanwhile = Snapshot::take(&api, &account.id, &models).await.expect("records stay readable");
        assert!(before.differing(&meanwhile).is_empty());

        // What changes while nobody can look arrives after the relink.
        let changed = system.sandbox().mark(&account.merge_id, "mutate", "hris.Employee", 7).await;
        let link = api.post(&format!("/v1/linked-accounts/{}/relink", account.id), json!({}), 201).await;
        assert_eq!(link["id"], account.id.as_str());
        let link_token = link["link_token"].as_str().unwrap_or_default();
        let public_token = system.sandbox().link(link_token, "bamboohr", Outcome::Success).await;
        let body = json!({"public_token": public_token.expect("a public token"), "category": "hris"});
        let answer = api.post("/v1/linked-accounts", body, 200).await;
        assert_eq!(answer["id"], account.id.as_str());

        until("the account works again", BOUND, async || {
            let shown = api.account(&account.id).await;
            let works = shown["status"] == "COMPLETE" && shown["health"]["state"] == "healthy";
            if works { Ok(()) } else { Err(shown.to_string()) }
        })
        .await;
        let after = until("the catch-up sync has run", BOUND, async || {
            let now = Snapshot::take(&api, &account.id, &models).await?;
            let differing = before.differing(&now).len();
            if differing == changed.len() { Ok(now) } else { Err(format!("{differing} records differ")) }
        })
        .await;
        assert_eq!(after.live(), before.live(), "nothing was lost and nothing is there twice");
        all_equal(system, &api, &account, &models).await.expect("everything equals Merge's");
        still_the_same(system, &account).await;
        assert_eq!(api.accounts().await.len(), 1);
    });
}

#[test]
fn checklist_28_a_closed_relink_dialog_leaves_the_account_as_it_works() {
    STACK.run(async |system| {
        let api = system.api("org_relink_closed").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        let before = api.account(&account.id).await;
        for outcome in [Outcome::Exit, Outcome::ValidationError] {
            let link = api.post(&format!("/v1/linked-accounts/{}/relink", account.id), json!({}), 201).await;
            let link_token = link["link_token"].as_str().unwrap_or_default().to_owned();
            assert_eq!(system.sandbox().link(&link_token, "bamboohr", outcome).await, None);
        }
        let after = api.account(&account.id).await;
        assert_eq!((&after["status"], &after["records"]), (&before["status"], &before["records"]));
        still_the_same(system, &account).await;

        let before = Snapshot::take(&api, &account.id, &["hris.Employee"]).await.expect("a snapshot");
        let changed = system.sandbox().mark(&account.merge_id, "mutate", "hris.Employee", 3).await;
        system.sandbox().start_sync(&account.merge_id).await;
        until("it is still syncing", BOUND, async || {
            let now = Snapshot::take(&api, &account.id, &["hris.Employee"]).await?;
            let differing = before.differing(&now).len();
            if differing == changed.len() { Ok(()) } else { Err(format!("{differing} records differ")) }
        })
        .await;
        assert_equal(system, &api, &account, &["hris.Employee"]).await;
    });
}

async fn still_the_same(system: &System, account: &Connected) {
    let at_merge = system.sandbox().account(&account.merge_id).await.expect("Merge's account");
    assert_eq!(at_merge["account_token"], account.account_token.as_str());
    assert_eq!(at_merge["end_user_origin_id"], account.origin_id.as_str());
    assert_eq!(at_merge["status"], "COMPLETE");
}

#[test]
fn a_relink_that_leads_elsewhere_deletes_nothing_until_it_is_confirmed() {
    STACK.run(async |system| {
        system.announce("deletions are held");
        let api = system.api("org_relink_elsewhere").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        let path = format!("/v1/linked-accounts/{}", account.id);
        let before = Snapshot::take(&api, &account.id, &["hris.Employee"]).await.expect("a snapshot");
        assert_eq!(api.account(&account.id).await["deletions_held"], false);

        // Somebody signs in to another system; what the first one had is gone there.
        system.sandbox().act(&account.merge_id, "relink-needed", json!({})).await;
        api.until_health(&account.id, "action_needed", Some("invalid_credentials")).await;
        system.sandbox().act(&account.merge_id, "replace-system", json!({"integration_slug": "hibob"})).await;
        let gone = system.sandbox().mark(&account.merge_id, "delete-records", "hris.Employee", 9).await;
        let link = api.post(&format!("{path}/relink"), json!({}), 201).await;
        let link_token = link["link_token"].as_str().unwrap_or_default();
        let public_token = system.sandbox().link(link_token, "hibob", Outcome::Success).await;
        let body = json!({"public_token": public_token.expect("a public token"), "category": "hris"});
        let answer = api.post("/v1/linked-accounts", body, 200).await;
        assert_eq!((&answer["integration"]["slug"], &answer["deletions_held"]), (&json!("hibob"), &json!(true)));
        let timeline = api.timeline(&account.id).await;
        let event = timeline.iter().find(|event| event["type"] == "relinked_elsewhere").expect("in the timeline");
        assert_eq!((&event["detail"]["from"], &event["detail"]["to"]), (&json!("bamboohr"), &json!("hibob")));

        system.webhooks_settled().await;
        api.until_health(&account.id, "healthy", None).await;
        api.post(&format!("{path}/sync"), json!({"mode": "full"}), 202).await;
        system.idle().await;
        let held = Snapshot::take(&api, &account.id, &["hris.Employee"]).await.expect("a snapshot");
        assert_eq!((held.live(), held.tombstones().len()), (before.live(), 0), "nothing was deleted");

        let confirmed = api.patch(&path, json!({"deletions_held": false}), 200).await;
        assert_eq!(confirmed["deletions_held"], false);
        until("the deletions are made up for", BOUND, async || {
            let now = Snapshot::take(&api, &account.id, &["hris.Employee"]).await?;
            let deleted = now.tombstones().len();
            if deleted == gone.len() { Ok(()) } else { Err(format!("{deleted} of {}", gone.len())) }
        })
        .await;
        assert_equal(system, &api, &account, &["hris.Employee"]).await;
        api.patch(&path, json!({"deletions_held": true}), 400).await;
    });
}

#[test]
fn what_a_crash_left_of_a_release_is_made_up_for_by_a_poll() {
    let setup = || Setup::default().without_schedule().variable("sync-worker", "WINDOW_OVERLAP_SECONDS", "0");
    alone(setup, async |system| {
        let api = system.api("org_released").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.webhooks_settled().await;
        system.idle().await;
        let row = format!("ACCOUNT#{}", account.id);
        let set = async |name, value| system.tables().set("ORG#org_released", &row, name, value).await;
        let now = || AttributeValue::S(Timestamp::now().to_string());

        // A relink leads elsewhere, where much is gone.
        set("notes.deletions_held_since", now()).await;
        let gone = system.sandbox().mark(&account.merge_id, "delete-records", "hris.Employee", 9).await;
        system.sandbox().sync(&account.merge_id).await;
        system.webhooks_settled().await;
        system.idle().await;
        let deleted = async || {
            let now = Snapshot::take(&api, &account.id, &["hris.Employee"]).await?;
            let deleted = now.tombstones().len();
            if deleted == gone.len() { Ok(()) } else { Err(format!("{deleted} of {}", gone.len())) }
        };
        assert!(deleted().await.is_err(), "nothing is deleted");

        // Somebody says that it is meant so; nobody gets to queue the full read.
        let asked = [("number".to_owned(), AttributeValue::N("1".to_owned())), ("since".to_owned(), now())];
        set("facts.full_read", AttributeValue::M(asked.into())).await;
        set("notes.deletions_held_since", AttributeValue::Null(true)).await;
        let of = AccountRef {
            organization: OrganizationId::parse("org_released").expect("an organization"),
            account: AccountId::parse(&account.id).expect("an account"),
        };
        let merge_id = MergeLinkedAccountId::parse(account.merge_id.as_str()).expect("Merge's id");
        system.send(&Message::new(merge_id, Work::Poll { of, minute: 1 })).await;
        until("the deletions are made up for", BOUND, deleted).await;
        assert_equal(system, &api, &account, &["hris.Employee"]).await;
    });
}
