//! Absence: an account that Merge's list does not have. It may be gone, or the key may be another organization's; the
//! stack's schedule runs sixty times as fast, so an hour of it is a minute.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use crate::harness::{Api, BOUND, Connected, Setup, System, alone, until};

/// More than the hour after which an account that is missing counts as gone, on the schedule's clock.
const AN_HOUR_AND_A_HALF: Duration = Duration::from_secs(90);

async fn kinds(api: &Api<'_>, id: &str) -> Vec<String> {
    let told = api.get(&format!("/v1/linked-accounts/{id}/events?limit=1000"), 200).await;
    let events = told["results"].as_array().expect("a list").iter();
    events.filter_map(|event| event["type"].as_str().map(str::to_owned)).collect()
}

async fn rows_of(system: &System, account: &Connected) -> usize {
    let rows = system.tables().naming(&[&account.id]).await;
    rows.iter().filter(|(pk, _)| pk.starts_with(&account.id)).count()
}

#[test]
fn checklist_47_with_the_key_of_another_organization_nobody_is_disconnected_and_nothing_is_erased() {
    alone(Setup::default, async |system| {
        system.announce("Merge lists no account at all");
        let apis = [system.api("org_one").await, system.api("org_two").await, system.api("org_leaves").await];
        let mut accounts = Vec::new();
        for api in &apis {
            accounts.push(system.connect_and_sync(api, "hris", "bamboohr").await);
        }
        system.webhooks_settled().await;
        system.idle().await;
        let leaving = &accounts[2];
        let stored = rows_of(system, leaving).await;
        assert!(stored > 100);

        // The key is good, and sees nothing. One account is to be deleted meanwhile.
        system.sandbox().settings(json!({"api_key": "foreign"})).await;
        let since = Instant::now();
        apis[2].delete(&format!("/v1/linked-accounts/{}", leaving.id), 202).await;
        for (api, account) in apis.iter().zip(&accounts).take(2) {
            api.post(&format!("/v1/linked-accounts/{}/sync", account.id), json!({}), 202).await;
        }
        until("an hour and a half has passed", BOUND, async || {
            let looks = system.counted("MergeAccountsMissing");
            let passed = since.elapsed() > AN_HOUR_AND_A_HALF && looks > 10;
            if passed { Ok(()) } else { Err(format!("{looks} looks in {:?}", since.elapsed())) }
        })
        .await;
        for (api, account) in apis.iter().zip(&accounts).take(2) {
            let shown = api.account(&account.id).await;
            assert_eq!(shown["status"], "COMPLETE", "{shown}");
            assert_ne!(shown["health"]["state"], "action_needed", "nobody is asked to repair it: {shown}");
        }
        assert_eq!(apis[2].account(&leaving.id).await["status"], "DELETING");
        assert_eq!(rows_of(system, leaving).await, stored, "nothing is erased");
        assert!(system.sandbox().account(&leaving.merge_id).await.is_some(), "Merge has them all");

        // The right key.
        system.sandbox().settings(json!({"api_key": "valid"})).await;
        system.erased(&apis[2], &leaving.id, BOUND).await;
        assert_eq!(system.sandbox().account(&leaving.merge_id).await, None, "gone at Merge first");
        for (api, account) in apis.iter().zip(&accounts).take(2) {
            until("the account is well", BOUND, async || {
                let shown = api.account(&account.id).await;
                if shown["health"]["state"] == "healthy" { Ok(()) } else { Err(shown.to_string()) }
            })
            .await;
            let told = kinds(api, &account.id).await;
            assert!(!told.iter().any(|kind| kind == "disconnected" || kind == "relinked"), "{told:?}");
        }
    });
}

#[test]
fn an_account_that_counted_as_gone_is_back_when_merge_lists_it() {
    alone(Setup::default, async |system| {
        let api = system.api("org_back").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.webhooks_settled().await;
        system.idle().await;
        // As a wrong key has left it, and polled in the next minute rather than in the next day.
        let sk = format!("ACCOUNT#{}", account.id);
        for (name, value) in [("status", "DELETED"), ("due", "1m"), ("due_class", "1m")] {
            let value = AttributeValue::S(value.to_owned());
            system.tables().set("ORG#org_back", &sk, name, value).await;
        }
        until("it is back", BOUND, async || {
            let shown = api.account(&account.id).await;
            let back = shown["status"] == "COMPLETE" && shown["health"]["state"] == "healthy";
            if back { Ok(()) } else { Err(shown.to_string()) }
        })
        .await;
        let changed = system.sandbox().mark(&account.merge_id, "mutate", "hris.Employee", 3).await;
        assert_eq!(changed.len(), 3);
        system.sandbox().start_sync(&account.merge_id).await;
        until("it syncs again", BOUND, async || {
            crate::harness::all_equal(system, &api, &account, &["hris.Employee"]).await
        })
        .await;
    });
}

#[test]
fn a_deletion_finishes_though_the_token_cannot_be_opened_any_more() {
    // What the killed worker may have in hand comes back soon.
    let soon = || Setup::default().visibility_seconds(30);
    alone(soon, async |system| {
        system.announce("a message failed");
        let stays = system.api("org_stays").await;
        let api = system.api("org_spoiled").await;
        system.connect_and_sync(&stays, "hris", "bamboohr").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.webhooks_settled().await;
        system.idle().await;
        let spoiled = AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new(b"no ciphertext".to_vec()));
        system.tables().set("ORG#org_spoiled", &format!("ACCOUNT#{}", account.id), "token", spoiled).await;
        system.stack.kill_workers("sync-worker");

        // While Merge has the account, nothing is erased without Merge.
        let stored = rows_of(system, &account).await;
        api.delete(&format!("/v1/linked-accounts/{}", account.id), 202).await;
        until("it is told why it waits", BOUND, async || {
            let shown = api.account(&account.id).await;
            if shown["health"]["reason"] == "merge_unavailable" { Ok(()) } else { Err(shown.to_string()) }
        })
        .await;
        assert_eq!(rows_of(system, &account).await, stored);

        // Its owner removes it in Merge's dashboard.
        system.sandbox().act(&account.merge_id, "remove", json!({})).await;
        system.erased(&api, &account.id, BOUND).await;
        assert_eq!(stays.accounts().await.len(), 1);
    });
}
