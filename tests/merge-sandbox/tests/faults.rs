//! Limits and faults: what goes wrong on purpose.

#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::Merge;

async fn fault(merge: &Merge, body: Value) {
    merge.call(200, "POST", "/_sandbox/faults", Some(body)).await;
}

#[tokio::test]
async fn the_plan_limits_an_account_per_minute() {
    let merge = Merge::new();
    let (one, two) = (merge.synced("one", "hris").await, merge.synced("two", "hris").await);
    merge.settings(json!({"plan_limit": 3})).await;
    for _ in 0..3 {
        merge.get(&one, "employees").await;
    }
    let (status, body) = merge.raw("GET", "/api/hris/v1/employees", Some(&one.token), None).await;
    assert_eq!(status.as_u16(), 429);
    assert!(body.contains("Expected available in 60 seconds"), "{body}");
    merge.get(&two, "employees").await;
    merge.call(200, "GET", "/api/hris/v1/linked-accounts", None).await;
    merge.wait_ms(60_000);
    merge.get(&one, "employees").await;
}

#[tokio::test]
async fn the_guard_against_errors_is_off_unless_asked_for() {
    let merge = Merge::new();
    let account = merge.synced("one", "hris").await;
    let miss = async || merge.raw("GET", "/api/hris/v1/issues/x", None, None).await.0.as_u16();
    for _ in 0..30 {
        assert_eq!(miss().await, 404);
    }
    merge.settings(json!({"error_guard": true})).await;
    assert_eq!(miss().await, 429);
    merge.call_as(429, Some(&account.token), "GET", "/api/hris/v1/employees", None).await;
    merge.wait_ms(10_000);
    merge.get(&account, "employees").await;
}

#[tokio::test]
async fn statuses_come_as_often_as_told_then_all_is_well() {
    let merge = Merge::new();
    let account = merge.synced("one", "hris").await;
    let route = "GET /api/{category}/v1/employees";
    fault(&merge, json!({"route": route, "status": 503, "times": 2})).await;
    for expected in [503, 503, 200] {
        merge.call_as(expected, Some(&account.token), "GET", "/api/hris/v1/employees", None).await;
    }
    fault(&merge, json!({"route": "* /api/*", "status": 500})).await;
    for _ in 0..3 {
        merge.call_as(500, Some(&account.token), "GET", "/api/hris/v1/teams", None).await;
    }
    merge.call(200, "POST", "/_sandbox/reset", Some(json!({}))).await;
    merge.get(&account, "teams").await;
}

#[tokio::test]
async fn an_answer_is_lost_after_the_work_was_done() {
    let merge = Merge::new();
    let account = merge.synced("one", "hris").await;
    fault(&merge, json!({"route": "POST *delete-account", "status": 502, "after": true, "times": 1})).await;
    let path = "/api/hris/v1/delete-account";
    merge.call_as(502, Some(&account.token), "POST", path, None).await;
    merge.call_as(401, Some(&account.token), "POST", path, None).await;
}

#[tokio::test]
async fn cursors_repeat_or_are_urls() {
    let merge = Merge::new();
    let account = merge.synced("one", "hris").await;
    let first = merge.get(&account, "employees?page_size=10").await;
    let cursor = first["next"].as_str().unwrap().replace('=', "%3D");
    let second = format!("employees?page_size=10&cursor={cursor}");
    fault(&merge, json!({"route": "GET *employees", "repeat_cursor": true, "times": 1})).await;
    assert_eq!(merge.get(&account, &second).await["next"], first["next"]);
    assert_ne!(merge.get(&account, &second).await["next"], first["next"]);
    fault(&merge, json!({"route": "GET *employees", "url_cursor": true, "times": 1})).await;
    assert!(merge.get(&account, &second).await["next"].as_str().unwrap().starts_with("https://"));
}

#[tokio::test]
async fn bodies_are_blown_up_and_stay_json() {
    let merge = Merge::new();
    let account = merge.synced("one", "hris").await;
    fault(&merge, json!({"route": "GET *employees", "body_bytes": 1_000_000, "times": 1})).await;
    let (_, body) = merge.raw("GET", "/api/hris/v1/employees", Some(&account.token), None).await;
    assert_eq!(body.len(), 1_000_000);
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["results"].as_array().unwrap().len(), 30);
}

#[tokio::test]
async fn the_log_of_calls_counts_routes_and_forgets_tokens() {
    let merge = Merge::new();
    let account = merge.synced("one", "hris").await;
    let since = merge.now();
    merge.get(&account, "employees").await;
    merge.call_as(404, Some(&account.token), "GET", "/api/hris/v1/nothing", None).await;
    let log = merge.call(200, "GET", &format!("/_sandbox/requests?since={since}"), None).await;
    let routes: Vec<(&str, u64)> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|call| (call["route"].as_str().unwrap(), call["status"].as_u64().unwrap()))
        .collect();
    assert_eq!(routes, [("GET /api/hris/v1/employees", 200), ("GET /api/hris/v1/nothing", 404)]);
    let state = merge.call(200, "GET", "/_sandbox/state", None).await;
    assert_eq!(state["requests"]["GET /api/hris/v1/account-token/{token}"], 1);
}

#[tokio::test]
async fn the_control_api_refuses_what_it_does_not_know() {
    let merge = Merge::new();
    let account = merge.synced("one", "hris").await;
    let unknown = merge.call(404, "POST", "/_sandbox/accounts/nobody/pause", None).await;
    assert_eq!(unknown, json!({"detail": "Not found."}));
    merge.call(404, "GET", "/_sandbox/accounts/nobody/records/hris.Employee", None).await;
    let path = |action: &str| format!("/_sandbox/accounts/{}/{action}", account.id);
    for (action, body) in [
        ("start-sync", json!({"models": ["hris.Nobody"]})),
        ("start-sync", json!({"result": "PAUSED"})),
        ("mutate", json!({"model_id": "crm.Lead", "count": 1})),
        ("mutate", json!({"model_id": "hris.Employee"})),
        ("issue", json!({"kind": "unheard_of"})),
    ] {
        let answer = merge.call(400, "POST", &path(action), Some(body)).await;
        assert!(answer["detail"].is_string());
    }
    merge.call(404, "POST", &path("dance"), None).await;
    merge.call(400, "POST", "/_sandbox/settings", Some(json!({"unheard_of": 1}))).await;
    merge.call(400, "POST", "/_sandbox/webhooks", Some(json!({"mode": "loud"}))).await;
    merge.call(400, "POST", "/_sandbox/link", Some(json!({"link_token": "x", "outcome": "success"}))).await;
}
