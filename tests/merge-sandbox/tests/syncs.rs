//! The life of syncs, and the webhooks that tell of it.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::{Linked, Merge};

async fn statuses(merge: &Merge, account: &Linked) -> Vec<Value> {
    merge.get(account, "sync-status?page_size=100").await["results"].as_array().unwrap().clone()
}

async fn status(merge: &Merge, account: &Linked, model_id: &str) -> Value {
    let all = statuses(merge, account).await;
    all.into_iter().find(|sync| sync["model_id"] == model_id).unwrap()
}

#[tokio::test]
async fn the_initial_sync_runs_model_by_model_and_tells_of_it() {
    let merge = Merge::new();
    let account = merge.link("one", "hris").await;
    let start = statuses(&merge, &account).await;
    assert_eq!(start.len(), 16);
    for sync in &start {
        assert_eq!((&sync["status"], &sync["is_initial_sync"]), (&json!("SYNCING"), &json!(true)));
        assert_eq!((&sync["last_sync_result"], &sync["next_sync_start"]), (&Value::Null, &Value::Null));
    }
    let (event, linked) = merge.webhooks().remove(0);
    assert_eq!(event, "LinkedAccount.linked");
    assert_eq!(linked["data"], json!({"account_token": account.token, "is_relink": false}));
    assert_eq!(linked["hook"]["event"], "LinkedAccount.linked");
    assert_eq!(linked["linked_account"]["integration_slug"], "bamboohr");
    assert!(linked["linked_account"].get("account_token").is_none());

    merge.wait_ms(3_100);
    let first = status(&merge, &account, "hris.BankInfo").await;
    assert_eq!((&first["status"], &first["is_initial_sync"]), (&json!("DONE"), &json!(false)));
    let last = status(&merge, &account, "hris.TimesheetEntry").await;
    assert_eq!((&last["status"], &last["is_initial_sync"]), (&json!("SYNCING"), &json!(true)));
    let events: Vec<String> = merge.webhooks().into_iter().map(|(event, _)| event).collect();
    assert_eq!(events, ["BankInfo.synced"]);

    merge.wait_ms(60_000);
    let mut webhooks = merge.webhooks();
    let (event, completed) = webhooks.pop().unwrap();
    assert_eq!(event, "LinkedAccount.sync_completed");
    assert_eq!(completed["data"]["is_initial_sync"], true);
    assert_eq!(completed["data"]["sync_status"].as_object().unwrap().len(), 16);
    assert_eq!(completed["data"]["sync_status"]["hris.Employee"]["last_sync_result"], "DONE");
    let names: BTreeSet<String> = webhooks.iter().map(|(event, _)| event.clone()).collect();
    assert_eq!(names.len(), 15);
    let employee = &webhooks.iter().find(|(event, _)| event == "Employee.synced").unwrap().1;
    assert_eq!(employee["data"]["sync_status"]["model_id"], "hris.Employee");
    assert_eq!(employee["data"]["integration_id"], "bamboohr");
    assert!(employee["data"]["synced_fields"].as_array().unwrap().contains(&json!("work_email")));
    for sync in statuses(&merge, &account).await {
        assert!(sync["next_sync_start"].is_string() && sync["last_sync_finished"].is_string());
    }
}

#[tokio::test]
async fn records_appear_while_the_initial_sync_still_runs() {
    let merge = Merge::new();
    let account = merge.link("one", "hris").await;
    merge.wait_ms(1_500);
    let half = merge.list(&account, "bank-info", "").await;
    assert!((10..30).contains(&half.len()), "{}", half.len());
    merge.wait_ms(60_000);
    let all = merge.list(&account, "bank-info", "").await;
    assert_eq!((all.len(), &all[..half.len()]), (40, &half[..]));
}

#[tokio::test]
async fn every_hour_all_models_are_synced_again() {
    let merge = Merge::new();
    let account = merge.synced("one", "hris").await;
    merge.webhooks();
    let before = status(&merge, &account, "hris.Employee").await;
    merge.wait_ms(3_600_000);
    let after = status(&merge, &account, "hris.Employee").await;
    assert_ne!(before["last_sync_finished"], after["last_sync_finished"]);
    let completed = merge.webhooks().pop().unwrap().1;
    assert_eq!(completed["data"]["is_initial_sync"], false);
    merge.settings(json!({"sync_interval_ms": 60_000})).await;
    merge.wait_ms(61_000 + 15_000);
    assert_ne!(after["last_sync_finished"], status(&merge, &account, "hris.Employee").await["last_sync_finished"]);
    // A long stop is not made up for round by round.
    merge.webhooks();
    merge.wait_ms(86_400_000);
    assert!(merge.webhooks().len() <= 2 * 17);
}

#[tokio::test]
async fn chosen_models_end_as_told() {
    let merge = Merge::new();
    let account = merge.synced("one", "ticketing").await;
    merge.webhooks();
    for result in ["FAILED", "PARTIALLY_SYNCED", "DONE"] {
        let body = json!({"models": ["ticketing.User", "ticketing.TicketingViewer@tickets"], "result": result, "duration_ms": 500});
        let started = merge.control(&account, "start-sync", body).await;
        assert_eq!(started["model_ids"], json!(["ticketing.TicketingViewer", "ticketing.User"]));
        merge.wait_ms(100);
        let running = status(&merge, &account, "ticketing.User").await;
        assert_eq!(running["status"], "SYNCING");
        merge.wait_ms(500);
        let ended = status(&merge, &account, "ticketing.User").await;
        assert_eq!((&ended["status"], &ended["last_sync_result"]), (&json!(result), &json!(result)));
        assert_eq!(ended["last_sync_finished"], started["finishes_at"]);
        let events: Vec<String> = merge.webhooks().into_iter().map(|(event, _)| event).collect();
        assert_eq!(events, ["TicketingViewer.synced", "User.synced", "LinkedAccount.sync_completed"]);
    }
}

#[tokio::test]
async fn a_partial_initial_sync_stays_initial() {
    let merge = Merge::new();
    let account = merge.link("one", "hris").await;
    let body = json!({"models": ["hris.Team"], "result": "PARTIALLY_SYNCED", "duration_ms": 100});
    merge.control(&account, "start-sync", body).await;
    merge.wait_ms(60_000);
    let team = status(&merge, &account, "hris.Team").await;
    assert_eq!((&team["status"], &team["is_initial_sync"]), (&json!("PARTIALLY_SYNCED"), &json!(true)));
    assert_eq!(status(&merge, &account, "hris.Group").await["is_initial_sync"], false);
}

#[tokio::test]
async fn a_pause_stops_everything_until_someone_starts_it() {
    let merge = Merge::new();
    let account = merge.link("one", "hris").await;
    merge.wait_ms(1_500);
    merge.control(&account, "pause", json!({})).await;
    let shown = merge.list(&account, "bank-info", "").await;
    assert_eq!(merge.get(&account, "account-details").await["status"], "IDLE");
    merge.wait_ms(86_400_000);
    assert!(statuses(&merge, &account).await.iter().all(|sync| sync["status"] == "PAUSED"));
    assert_eq!(merge.list(&account, "bank-info", "").await, shown);
    merge.sync(&account).await;
    assert_eq!(merge.get(&account, "account-details").await["status"], "COMPLETE");
    let all = merge.list(&account, "bank-info", "").await;
    assert_eq!((all.len(), &all[..shown.len()]), (40, &shown[..]));
}

#[tokio::test]
async fn resync_answers_a_bare_array_where_the_plan_allows_it() {
    let merge = Merge::new();
    let account = merge.synced("one", "hris").await;
    let path = "/api/hris/v1/sync-status/resync";
    let answer = merge.call_as(200, Some(&account.token), "POST", path, None).await;
    assert_eq!(answer.as_array().unwrap().len(), 16);
    assert!(answer.as_array().unwrap().iter().all(|sync| sync["status"] == "SYNCING"));
    merge.settings(json!({"resync": "forbidden"})).await;
    merge.call_as(403, Some(&account.token), "POST", path, None).await;
}

#[tokio::test]
async fn disabled_models_are_not_synced() {
    let merge = Merge::new();
    let body = json!({
        "end_user_email_address": "a@b.c", "end_user_organization_name": "Acme", "end_user_origin_id": "one",
        "categories": ["hris"],
        "common_models": [{"model_id": "hris.Employee", "enabled_actions": ["READ"], "disabled_fields": []}],
    });
    let token = merge.call(200, "POST", "/api/hris/v1/link-token", Some(body)).await;
    let attempt = json!({"link_token": token["link_token"], "integration_slug": "bamboohr", "outcome": "success"});
    let linked = merge.call(200, "POST", "/_sandbox/link", Some(attempt)).await;
    let account = merge.exchange("hris", linked["public_token"].as_str().unwrap()).await;
    merge.wait_ms(60_000);
    for sync in statuses(&merge, &account).await {
        let expected = if sync["model_id"] == "hris.Employee" { "DONE" } else { "DISABLED" };
        assert_eq!(sync["status"], expected);
    }
    assert!(merge.list(&account, "teams", "").await.is_empty());
}

#[tokio::test]
async fn issues_open_resolve_and_reopen() {
    let merge = Merge::new();
    let account = merge.synced("one", "hris").await;
    merge.webhooks();
    let opened = merge.control(&account, "issue", json!({"kind": "missing_permissions"})).await;
    merge.control(&account, "issue", json!({"kind": "third_party_offline"})).await;
    let by_status = async |status: &str| {
        let path = format!("/api/hris/v1/issues?account_token={}&status={status}", account.token);
        merge.call(200, "GET", &path, None).await["results"].as_array().unwrap().len()
    };
    assert_eq!(by_status("ONGOING").await, 2);
    let one = merge.call(200, "GET", &format!("/api/crm/v1/issues/{}", opened["id"].as_str().unwrap()), None).await;
    assert_eq!(one["error_description"], "Missing Permissions");
    merge.control(&account, "resolve-issue", json!({"id": opened["id"]})).await;
    assert_eq!((by_status("ONGOING").await, by_status("RESOLVED").await), (1, 1));
    let again = merge.control(&account, "issue", json!({"kind": "missing_permissions"})).await;
    assert_eq!(again["id"], opened["id"]);
    merge.control(&account, "resolve-issue", json!({})).await;
    assert_eq!(by_status("ONGOING").await, 0);
    let events: Vec<String> = merge.webhooks().into_iter().map(|(event, _)| event).collect();
    let expected = ["Issue.new", "Issue.new", "Issue.resolved", "Issue.reopened", "Issue.resolved", "Issue.resolved"];
    assert_eq!(events, expected);
}

#[tokio::test]
async fn changed_records_are_told_of_when_asked_for() {
    let merge = Merge::new();
    let account = merge.synced("one", "hris").await;
    merge.settings(json!({"record_events": true})).await;
    merge.control(&account, "mutate", json!({"model_id": "hris.Employee", "count": 3})).await;
    let deleted = merge.control(&account, "delete-records", json!({"model_id": "hris.Employee", "count": 1})).await;
    merge.webhooks();
    merge.sync(&account).await;
    let webhooks = merge.webhooks();
    assert_eq!(webhooks.iter().filter(|(event, _)| event == "Employee.changed").count(), 3);
    let removed = &webhooks.iter().find(|(event, _)| event == "Employee.removed").unwrap().1;
    assert_eq!(removed["data"]["id"], deleted["ids"][0]);
}
