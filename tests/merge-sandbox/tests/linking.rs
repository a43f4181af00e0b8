//! Link tokens, public tokens, relinks, duplicates, and who may call what.

#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::{Merge, PRODUCTION, TEST};

const LINK_BODY: &str = r#"{"end_user_email_address": "ada@acme.example", "end_user_organization_name": "Acme",
    "end_user_origin_id": "one", "categories": ["hris", "ticketing"], "unheard_of": 1}"#;

#[tokio::test]
async fn both_families_of_routes_link_and_exchange() {
    let merge = Merge::new();
    for (create, exchange) in [
        ("/api/integrations/create-link-token", "/api/integrations/account-token"),
        ("/api/ticketing/v1/link-token", "/api/hris/v1/account-token"),
    ] {
        let mut body: Value = serde_json::from_str(LINK_BODY).unwrap();
        body["end_user_origin_id"] = json!(create);
        let token = merge.call(200, "POST", create, Some(body)).await;
        assert!(token["magic_link_url"].is_null() && token["integration_name"].is_null());
        let attempt = json!({"link_token": token["link_token"], "integration_slug": "jira", "outcome": "success"});
        let linked = merge.call(200, "POST", "/_sandbox/link", Some(attempt)).await;
        let path = format!("{exchange}/{}", linked["public_token"].as_str().unwrap());
        let answer = merge.call(200, "GET", &path, None).await;
        assert_eq!(answer["integration"]["slug"], "jira");
        let token = answer["account_token"].as_str();
        let details = merge.call_as(200, token, "GET", "/api/ticketing/v1/account-details", None).await;
        assert_eq!(details["category"], "ticketing", "the integration's category of those asked for");
        assert_eq!((&details["id"], &details["end_user_origin_id"]), (&answer["id"], &json!(create)));
        assert_eq!((&details["integration"], &details["integration_slug"]), (&json!("Jira"), &json!("jira")));
    }
}

#[tokio::test]
async fn a_link_token_is_used_once_and_expires() {
    let merge = Merge::new();
    let token = merge.link_token("one", "hris").await;
    let attempt = json!({"link_token": token, "integration_slug": "bamboohr", "outcome": "success"});
    merge.call(200, "POST", "/_sandbox/link", Some(attempt.clone())).await;
    merge.call(400, "POST", "/_sandbox/link", Some(attempt.clone())).await;

    let token = merge.link_token("two", "hris").await;
    merge.wait_ms(30 * 60_000);
    let late = json!({"link_token": token, "integration_slug": "bamboohr", "outcome": "success"});
    merge.call(400, "POST", "/_sandbox/link", Some(late)).await;
}

#[tokio::test]
async fn a_public_token_is_used_once_and_expires_after_ten_minutes() {
    let merge = Merge::new();
    let linked = merge.dialog("one", "hris", json!({"integration_slug": "bamboohr"})).await;
    let public = linked["public_token"].as_str().unwrap();
    assert!(!public.contains('/'));
    merge.exchange("hris", public).await;
    merge.call(400, "GET", &format!("/api/hris/v1/account-token/{public}"), None).await;
    let linked = merge.dialog("two", "hris", json!({"integration_slug": "bamboohr"})).await;
    merge.wait_ms(10 * 60_000);
    let path = format!("/api/hris/v1/account-token/{}", linked["public_token"].as_str().unwrap());
    merge.call(400, "GET", &path, None).await;
}

#[tokio::test]
async fn wrong_bodies_are_refused_field_by_field() {
    let merge = Merge::new();
    let path = "/api/hris/v1/link-token";
    let missing = merge.call(400, "POST", path, Some(json!({"end_user_email_address": ""}))).await;
    assert_eq!(missing["end_user_email_address"], json!(["This field may not be blank."]));
    for field in ["end_user_organization_name", "end_user_origin_id", "categories"] {
        assert_eq!(missing[field], json!(["This field is required."]), "{field}");
    }
    let with = async |name: &str, value: Value| {
        let mut body: Value = serde_json::from_str(LINK_BODY).unwrap();
        body[name] = value;
        merge.raw("POST", path, None, Some(body)).await.0.as_u16()
    };
    assert_eq!(with("categories", json!(["hr"])).await, 400);
    assert_eq!(with("link_expiry_mins", json!(29)).await, 400);
    assert_eq!(with("link_expiry_mins", json!(721)).await, 400);
    assert_eq!(with("link_expiry_mins", json!(720)).await, 200);
    assert_eq!(with("integration", json!("xero")).await, 400);
    assert_eq!(with("integration", json!("bamboohr")).await, 200);
    assert_eq!(with("language", json!("fr")).await, 400);
}

#[tokio::test]
async fn a_relink_keeps_id_and_token_and_heals_the_account() {
    let merge = Merge::new();
    let first = merge.synced("one", "hris").await;
    let records = merge.records(&first, "hris.Employee", "").await;
    merge.control(&first, "relink-needed", json!({})).await;
    assert_eq!(merge.get(&first, "account-details").await["status"], "RELINK_NEEDED");
    let issues = merge.call(200, "GET", &format!("/api/hris/v1/issues?linked_account_id={}", first.id), None).await;
    assert_eq!(issues["results"][0]["status"], "ONGOING");
    assert_eq!(merge.records(&first, "hris.Employee", "").await, records, "old data is served meanwhile");
    merge.webhooks();

    let second = merge.link("one", "hris").await;
    assert_eq!((&second.id, &second.token), (&first.id, &first.token));
    assert_eq!(merge.get(&first, "account-details").await["status"], "COMPLETE");
    let events = merge.webhooks();
    let linked = &events.iter().find(|(event, _)| event == "LinkedAccount.linked").unwrap().1;
    assert_eq!(linked["data"], json!({"account_token": first.token, "is_relink": true}));
    assert!(events.iter().any(|(event, _)| event == "Issue.resolved"));
    merge.wait_ms(60_000);
    assert_eq!(merge.records(&first, "hris.Employee", "").await, records);
    assert!(merge.webhooks().iter().any(|(event, _)| event == "LinkedAccount.sync_completed"), "a catch-up sync");
}

#[tokio::test]
async fn abandoned_attempts_leave_an_incomplete_account_that_the_next_one_completes() {
    let merge = Merge::new();
    let refused = json!({"integration_slug": "bamboohr", "outcome": "validation_error"});
    let answer = merge.dialog("one", "hris", refused).await;
    assert!(answer["errors"][0]["detail"].is_string() && answer.get("public_token").is_none());
    let list = merge.call(200, "GET", "/api/hris/v1/linked-accounts", None).await;
    assert_eq!(list["results"][0]["status"], "INCOMPLETE");
    assert!(list["results"][0]["completed_at"].is_string(), "required in Merge's own types");
    assert_eq!(list["results"][0]["is_duplicate"], Value::Null);
    let account = merge.link("one", "hris").await;
    assert_eq!(list["results"][0]["id"], json!(account.id));
    let exit = merge.dialog("two", "hris", json!({"outcome": "exit"})).await;
    assert_eq!(exit, json!({}));
}

#[tokio::test]
async fn duplicates_are_flagged_hidden_or_refused_as_the_organization_chose() {
    let merge = Merge::new();
    let attempt = json!({"integration_slug": "bamboohr", "credentials": {"api_key": "same"}});
    let link = async |origin: &str| {
        let answer = merge.dialog(origin, "hris", attempt.clone()).await;
        merge.exchange("hris", answer["public_token"].as_str().unwrap()).await
    };
    let first = link("one").await;
    assert_eq!(merge.get(&first, "account-details").await["is_duplicate"], false);
    let second = link("two").await;
    for account in [&first, &second] {
        assert_eq!(merge.get(account, "account-details").await["is_duplicate"], true);
    }
    let set = format!("/api/hris/v1/linked-accounts?id={}&include_duplicates=true", first.id);
    assert_eq!(merge.call(200, "GET", &set, None).await["results"].as_array().unwrap().len(), 2);
    merge.control(&second, "remove", json!({})).await;

    merge.settings(json!({"duplicates": "silent"})).await;
    let answer = merge.dialog("three", "hris", attempt.clone()).await;
    assert_eq!(answer["is_token_for_other_preexisting_linked_account"], true);
    let third = merge.exchange("hris", answer["public_token"].as_str().unwrap()).await;
    assert_eq!((&third.id, &third.token), (&first.id, &first.token));
    assert_eq!(merge.get(&third, "account-details").await["end_user_origin_id"], "one");
    let relinked = merge.dialog("one", "hris", attempt.clone()).await;
    assert_eq!(relinked["is_token_for_other_preexisting_linked_account"], false, "a relink is no duplicate");

    merge.settings(json!({"duplicates": "block"})).await;
    let answer = merge.dialog("four", "hris", attempt.clone()).await;
    assert!(answer.get("public_token").is_none());
    assert_eq!(answer["errors"][0]["problem_type"], "DUPLICATE_LINKED_ACCOUNT");

    let tests = merge.with_key(TEST);
    let answer = tests.dialog("five", "hris", attempt).await;
    let test = tests.exchange("hris", answer["public_token"].as_str().unwrap()).await;
    let details = tests.get(&test, "account-details").await;
    assert_eq!((&details["is_duplicate"], &details["account_type"]), (&Value::Null, &json!("TEST")));
}

#[tokio::test]
async fn linked_accounts_lists_all_categories_and_test_accounts_only_when_asked() {
    let merge = Merge::new();
    merge.link("one", "hris").await;
    merge.wait_ms(1);
    merge.link("one", "crm").await;
    merge.with_key(TEST).link("two", "hris").await;
    let origins = async |query: &str| {
        let list = merge.call(200, "GET", &format!("/api/ats/v1/linked-accounts{query}"), None).await;
        let items = list["results"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| {
                format!("{}/{}", item["end_user_origin_id"].as_str().unwrap(), item["category"].as_str().unwrap())
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(origins("").await, ["one/hris", "one/crm"]);
    assert_eq!(origins("?category=crm").await, ["one/crm"]);
    assert_eq!(origins("?is_test_account=true").await, ["two/hris"]);
    assert_eq!(origins("?end_user_origin_ids=one,zero&status=COMPLETE").await.len(), 2);
    assert!(origins("?status=IDLE").await.is_empty());
    assert_eq!(origins("?page_size=1").await.len(), 1);
}

#[tokio::test]
async fn deleting_ends_the_token_and_frees_the_pair() {
    let merge = Merge::new();
    let account = merge.synced("one", "hris").await;
    merge.webhooks();
    let path = "/api/hris/v1/delete-account";
    let (status, body) = merge.raw("POST", path, Some(&account.token), None).await;
    assert_eq!((status.as_u16(), body.as_str()), (200, ""));
    let gone = merge.call_as(401, Some(&account.token), "POST", path, None).await;
    assert!(gone["detail"].is_string());
    assert!(
        merge.call(200, "GET", "/api/hris/v1/linked-accounts", None).await["results"].as_array().unwrap().is_empty()
    );
    let (event, body) = merge.webhooks().pop().unwrap();
    assert_eq!((event.as_str(), &body["linked_account"]["id"]), ("LinkedAccount.deleted", &json!(account.id)));
    assert_ne!(merge.link("one", "hris").await.id, account.id);
}

#[tokio::test]
async fn regenerating_changes_the_token_and_nothing_else() {
    let merge = Merge::new();
    let account = merge.synced("one", "hris").await;
    let path = "/api/hris/v1/account-token/regenerate";
    let answer = merge.call_as(200, Some(&account.token), "POST", path, None).await;
    assert_eq!(answer["linked_account_id"], json!(account.id));
    merge.call_as(401, Some(&account.token), "GET", "/api/hris/v1/account-details", None).await;
    merge.call_as(200, answer["account_token"].as_str(), "GET", "/api/hris/v1/account-details", None).await;
}

#[tokio::test]
async fn the_two_kinds_of_401() {
    let merge = Merge::new();
    let account = merge.synced("one", "hris").await;
    let missing = json!({"detail": "Account Token must be passed in as an X-Account-Token header."});
    for path in ["account-details", "employees", "sync-status", "employees/x"] {
        assert_eq!(merge.call(401, "GET", &format!("/api/hris/v1/{path}"), None).await, missing, "{path}");
    }
    merge.call_as(401, Some("wrong"), "GET", "/api/hris/v1/employees", None).await;
    for key in ["wrong", ""] {
        let other = merge.with_key(key);
        for path in ["employees", "linked-accounts", "issues"] {
            other.call_as(401, Some(&account.token), "GET", &format!("/api/hris/v1/{path}"), None).await;
        }
        other.call(200, "GET", "/api/integrations", None).await;
        other.call(401, "GET", "/api/organizations/integrations", None).await;
    }
    // Organization level: an account token sent along is ignored.
    merge.call_as(200, Some("wrong"), "GET", "/api/hris/v1/linked-accounts", None).await;
    merge.settings(json!({"api_key": "revoked"})).await;
    let revoked = merge.with_key(PRODUCTION);
    revoked.call_as(401, Some(&account.token), "POST", "/api/hris/v1/delete-account", None).await;
    merge.settings(json!({"api_key": "valid"})).await;
    merge.get(&account, "account-details").await;
}
