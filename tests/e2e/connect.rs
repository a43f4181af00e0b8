//! The main job, end to end: connect a system, and all of its data arrives. Whatever happens on the way (a closed
//! dialog or browser, fifty clicks at once, a month's pause), there is one attempt and one account.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::json;

use crate::harness::tables::text;
use crate::harness::{BOUND, Outcome, Setup, SharedStack, System, assert_equal, hris_models};

static STACK: SharedStack = SharedStack::new(Setup::default);

#[test]
fn a_connected_system_arrives_completely_and_byte_for_byte() {
    STACK.run(async |system| {
        let api = system.api("org_acme").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        assert_equal(system, &api, &account, &hris_models()).await;

        let shown = api.account(&account.id).await;
        assert_eq!(shown["status"], "COMPLETE");
        assert_eq!(shown["integration"]["slug"], "bamboohr");
        let status = api.get(&format!("/v1/linked-accounts/{}/sync-status", account.id), 200).await;
        assert_eq!(status["results"].as_array().map_or(0, Vec::len), 16, "{status}");
        assert_eq!(status["sync_complete"], true);
        let listed = api.accounts().await;
        assert_eq!(listed.len(), 1, "{listed:?}");
        assert_eq!(listed[0]["id"], account.id.as_str());
    });
}

#[test]
fn checklist_24_a_browser_closed_after_linking_is_completed_by_the_webhook() {
    STACK.run(async |system| {
        let api = system.api("org_closed_browser").await;
        let (link_token, id) = api.link_token("hris").await;
        let public_token = system.sandbox().link(&link_token, "bamboohr", Outcome::Success).await;
        let public_token = public_token.expect("a public token");
        system.synced(&api, &id, BOUND).await;
        let account = system.connected(&api, "hris", &id).await;
        assert_equal(system, &api, &account, &["hris.Employee", "hris.Team"]).await;

        // The page comes back after all: the same account.
        let body = json!({"public_token": public_token, "category": "hris"});
        let answer = api.post("/v1/linked-accounts", body, 200).await;
        assert_eq!(answer["id"], id.as_str());
        assert_eq!(api.accounts().await.len(), 1);
    });
}

#[test]
fn checklist_23_an_exchange_repeated_or_raced_is_one_account() {
    STACK.run(async |system| {
        let api = system.api("org_replay").await;
        let (link_token, id) = api.link_token("hris").await;
        let public_token = system.sandbox().link(&link_token, "hibob", Outcome::Success).await;
        let body = json!({"public_token": public_token.expect("a public token"), "category": "hris"});
        let exchange = async || api.call(Method::POST, "/v1/linked-accounts", Some(body.clone())).await;

        let raced = join_all((0..5).map(|_| exchange())).await;
        for answer in &raced {
            let expected = match answer.status {
                200 | 201 => answer.json()["id"] == id.as_str(),
                409 => answer.json()["code"] == "exchange_in_progress",
                _ => false,
            };
            assert!(expected, "{answer:?}");
        }
        assert!(raced.iter().any(|answer| answer.status < 300), "somebody wins: {raced:?}");
        let again = api.post("/v1/linked-accounts", body.clone(), 200).await;
        assert_eq!(again["id"], id.as_str());
        assert_eq!(api.accounts().await.len(), 1, "one account");
        system.synced(&api, &id, BOUND).await;
    });
}

#[test]
fn checklist_27_fifty_clicks_at_once_are_one_attempt_with_fifty_link_tokens() {
    STACK.run(async |system| {
        let api = system.api("org_impatient").await;
        let answers = join_all((0..50).map(|_| api.link_token("hris"))).await;
        let tokens: BTreeSet<_> = answers.iter().map(|(token, _)| token).collect();
        let ids: BTreeSet<_> = answers.iter().map(|(_, id)| id).collect();
        assert_eq!(tokens.len(), 50, "each has a link token of its own");
        assert_eq!(ids.len(), 1, "they all are one attempt");

        let rows = system.tables().partition("ORG#org_impatient").await;
        let pending: Vec<_> = rows.iter().filter(|row| text(row, "sk").starts_with("PENDING#")).collect();
        assert_eq!(pending.len(), 1, "one pending row");
        // Two of the tokens open the dialog: Merge knows both by one origin id.
        for (token, _) in answers.iter().take(2) {
            assert_eq!(system.sandbox().link(token, "workday", Outcome::Exit).await, None);
        }
        assert_eq!(origin_ids(system, "org_impatient").await.len(), 1);
    });
}

#[test]
fn an_abandoned_attempt_is_taken_up_again_and_a_further_connection_is_a_new_one() {
    STACK.run(async |system| {
        let api = system.api("org_hesitant").await;
        let (link_token, id) = api.link_token("hris").await;
        assert_eq!(system.sandbox().link(&link_token, "workday", Outcome::Exit).await, None);
        let shown = api.account(&id).await;
        assert_eq!(shown["status"], "INCOMPLETE");
        assert_eq!(shown["health"]["state"], "connecting");
        let (link_token, again) = api.link_token("hris").await;
        assert_eq!(again, id, "closing the dialog keeps the id");
        assert_eq!(system.sandbox().link(&link_token, "workday", Outcome::ValidationError).await, None);

        let first = system.connect(&api, "hris", "workday").await;
        assert_eq!(first.id, id, "and so does a refused password");
        assert_eq!(origin_ids(system, "org_hesitant").await.len(), 1);
        let second = system.connect(&api, "hris", "bamboohr").await;
        assert_ne!(second.id, id, "after success a second connection is a new account");
        assert_eq!(origin_ids(system, "org_hesitant").await.len(), 2);
        assert_eq!(api.accounts().await.len(), 2);
        system.synced(&api, &first.id, BOUND).await;
        system.synced(&api, &second.id, BOUND).await;
    });
}

#[test]
fn checklist_48_an_attempt_of_a_month_ago_is_still_the_one() {
    STACK.run(async |system| {
        let api = system.api("org_forgetful").await;
        let (_, id) = api.link_token("hris").await;
        let month = SignedDuration::from_hours(30 * 24);
        let then = Timestamp::now().checked_sub(month).expect("a time");
        let created_at = AttributeValue::S(then.to_string());
        system.tables().set("ORG#org_forgetful", "PENDING#hris", "created_at", created_at).await;

        let shown = api.account(&id).await;
        assert_eq!(shown["health"]["reason"], "abandoned", "{shown}");
        let (_, again) = api.link_token("hris").await;
        assert_eq!(again, id);
        let account = system.connect(&api, "hris", "bamboohr").await;
        assert_eq!(account.id, id);
        system.synced(&api, &id, BOUND).await;
    });
}

async fn origin_ids(system: &System, organization: &str) -> BTreeSet<String> {
    let accounts = system.sandbox().accounts().await;
    let prefix = format!("{organization}_");
    let ids = accounts.iter().filter_map(|account| account["end_user_origin_id"].as_str());
    ids.filter(|id| id.starts_with(&prefix)).map(str::to_owned).collect()
}
