//! The census: Merge's list against ours, both ways. Nothing but the census looks at the accounts here: no poller runs,
//! and webhooks are dropped.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::message::{CensusStep, Message};

use crate::harness::{BOUND, Outcome, Setup, System, alone, send, until};

/// Takes a census, as the poller would have it taken, and waits until it is complete.
async fn census(system: &System, minute: i64) {
    let message = Message::census(minute, CensusStep::Theirs { tests: false, cursor: None });
    let body = serde_json::to_string(&message).expect("a message");
    send(system, &body, "census", message.deduplication_id().as_str()).await;
    let (complete, of) = ("the census is complete", format!("\"minute\":{minute}"));
    until(complete, BOUND, async || {
        let logs = system.stack.logs();
        let found = logs.iter().any(|line| line.line.contains(complete) && line.line.contains(&of));
        let last =
            || logs.iter().rev().filter(|line| line.line.contains("ERROR")).take(3).map(|line| line.line.as_str());
        if found { Ok(()) } else { Err(format!("not yet; the last errors: {:?}", last().collect::<Vec<_>>())) }
    })
    .await;
    system.idle().await;
}

async fn silence(system: &System) {
    system.webhooks_settled().await;
    system.idle().await;
    system.sandbox().post("/webhooks", json!({"mode": "drop"})).await;
}

fn setup() -> Setup {
    Setup::default().without_schedule()
}

#[test]
fn what_is_gone_at_merge_is_noticed_twice_before_it_counts() {
    // At the machine's own speed, so that two censuses here are close to each other.
    let setup = || setup().speed(1.0).sandbox(json!({"sync_duration_ms": 50}));
    alone(setup, async |system| {
        let api = system.api("org_acme").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        let other = system.connect_and_sync(&api, "ats", "greenhouse").await;
        silence(system).await;
        system.sandbox().act(&account.merge_id, "remove", json!({})).await;

        census(system, 1).await;
        assert_eq!(api.account(&account.id).await["status"], "COMPLETE", "once is not enough");
        let missing = |timeline: &[Value]| timeline.iter().filter(|event| event["type"] == "missing").count();
        assert_eq!(missing(&api.timeline(&account.id).await), 1);
        assert_eq!(missing(&api.timeline(&other.id).await), 0);
        census(system, 2).await;
        assert_eq!(
            api.account(&account.id).await["status"],
            "COMPLETE",
            "and a census right after it is no second one"
        );

        let then = Timestamp::now().checked_sub(SignedDuration::from_hours(24)).expect("a time");
        let row = format!("ACCOUNT#{}", account.id);
        system.tables().set("ORG#org_acme", &row, "deletion.missing_since", AttributeValue::S(then.to_string())).await;
        census(system, 3).await;
        let shown = api.account(&account.id).await;
        assert_eq!((&shown["status"], &shown["health"]["state"]), (&json!("DELETED"), &json!("disconnected")));
        let path = format!("/v1/linked-accounts/{}/records/hris.Employee", account.id);
        assert_eq!(api.get(&path, 200).await["results"].as_array().map_or(0, Vec::len), 60, "nothing is erased");
        assert_eq!(api.account(&other.id).await["status"], "COMPLETE");
    });
}

#[test]
fn a_census_that_merge_interrupts_goes_on_when_it_serves_again() {
    alone(setup, async |system| {
        let api = system.api("org_acme").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        silence(system).await;
        system.sandbox().act(&account.merge_id, "relink-needed", json!({})).await;
        let route = "GET /api/hris/v1/linked-accounts";
        for fault in [
            json!({"route": route, "times": 1, "status": 503}),
            json!({"route": route, "times": 1, "status": 429, "retry_after": 1}),
        ] {
            system.sandbox().post("/faults", fault).await;
        }
        census(system, 1).await;
        assert_eq!(system.counted("MessageFailed"), 0, "it has waited");
        let shown = api.until_health(&account.id, "action_needed", Some("invalid_credentials")).await;
        assert_eq!(shown["status"], "RELINK_NEEDED");
    });
}

#[test]
fn what_is_nobodys_here_is_told_to_the_operator() {
    alone(setup, async |system| {
        let api = system.api("org_acme").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        // Linked under the organization's key, by nobody who went through us.
        let url = format!("{}/hris/v1/link-token", system.ready().merge);
        let body = json!({
            "end_user_email_address": "someone@else.example", "end_user_organization_name": "Else",
            "end_user_origin_id": "another-deployment", "categories": ["hris"],
        });
        let answer = system.http().request(Method::POST, url).bearer_auth("dev-api-key").json(&body).send().await;
        let answer: Value = answer.expect("Merge answers").json().await.expect("a link token");
        let link_token = answer["link_token"].as_str().expect("a link token");
        assert!(system.sandbox().link(link_token, "hibob", Outcome::Success).await.is_some());
        silence(system).await;
        let strangers: Vec<Value> = system.sandbox().accounts().await;
        let stranger =
            strangers.iter().find(|found| found["id"] != account.merge_id.as_str()).expect("Merge's account");

        census(system, 1).await;
        let events = system.stack.aws().expect("embedded services").events();
        let orphans: Vec<Value> = events
            .iter()
            .filter(|event| event["DetailType"] == "Linked Account Orphaned")
            .map(|event| serde_json::from_str(event["Detail"].as_str().unwrap_or_default()).unwrap_or_default())
            .collect();
        assert_eq!(orphans, [json!({"merge_linked_account_id": stranger["id"], "category": "hris"})]);
        let counted = |line: &str| line.contains("\"CensusOrphan\":1") && line.contains("only_at_merge");
        assert_eq!(system.stack.logs().iter().filter(|line| counted(&line.line)).count(), 1);
    });
}

#[test]
fn a_status_that_no_webhook_told_and_a_withdrawn_system_are_found() {
    alone(setup, async |system| {
        let api = system.api("org_acme").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        let other = system.connect_and_sync(&api, "ats", "greenhouse").await;
        silence(system).await;
        system.sandbox().act(&account.merge_id, "relink-needed", json!({})).await;
        system.sandbox().settings(json!({"withdrawn": ["greenhouse"]})).await;
        census(system, 1).await;
        let shown = api.until_health(&account.id, "action_needed", Some("invalid_credentials")).await;
        assert_eq!(shown["status"], "RELINK_NEEDED");
        let shown = api.until_health(&other.id, "action_needed", Some("integration_unavailable")).await;
        assert_eq!((&shown["health"]["can_refresh"], &shown["health"]["can_reconnect"]), (&json!(false), &json!(true)));
        assert_eq!(shown["health"]["actor"], "operator");

        system.sandbox().settings(json!({"withdrawn": []})).await;
        api.post(&format!("/v1/linked-accounts/{}/sync", other.id), json!({}), 202).await;
        api.until_health(&other.id, "healthy", None).await;
    });
}
