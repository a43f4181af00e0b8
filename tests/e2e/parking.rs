//! Parking and magic links: what Merge tells before an account is ours is not lost, and what it tells of accounts that
//! were never ours, or are no more, is not kept.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::tables::text;
use crate::harness::{BOUND, Delivery, KEY, Outcome, Setup, SharedStack, System, assert_equal, signed, until};

static STACK: SharedStack = SharedStack::new(Setup::default);

async fn deliver(system: &System, event: Value) {
    let body = event.to_string().into_bytes();
    let signature = signed(&body, KEY);
    let (status, _) = Delivery { body, signature: Some(&signature) }.post(system).await;
    assert_eq!(status, 200);
}

/// Rows that wait for one of Merge's accounts.
async fn parked(system: &System, merge_id: &str) -> usize {
    system.tables().partition(&format!("PARKED#{merge_id}")).await.len()
}

/// Merge's account of an attempt that is still in the dialog.
async fn incomplete(system: &System, organization: &str, id: &str) -> (String, String) {
    let account = system.sandbox().account_for(organization, "hris", id).await.expect("Merge's account");
    let text = |name: &str| account[name].as_str().unwrap_or_default().to_owned();
    (text("id"), text("end_user_origin_id"))
}

#[test]
fn a_magic_link_is_completed_by_the_webhook_alone() {
    STACK.run(async |system| {
        let api = system.api("org_magic").await;
        let answer = api.post("/v1/link-tokens", json!({"category": "hris", "magic_link": true}), 201).await;
        let url = answer["magic_link_url"].as_str().expect("a URL to hand out");
        system.secrets().plant("link token", url);
        let (id, link_token) = (answer["id"].as_str().expect("an id"), answer["link_token"].as_str().expect("a token"));
        assert!(url.contains(link_token), "{answer}");
        // Somebody else finishes the dialog somewhere else; no page ever exchanges anything.
        let public_token = system.sandbox().link(link_token, "bamboohr", Outcome::Success).await;
        assert!(public_token.is_some());
        system.synced(&api, id, BOUND).await;
        let account = system.connected(&api, "hris", id).await;
        assert_equal(system, &api, &account, &["hris.Employee"]).await;
        let timeline = api.timeline(id).await;
        let connected = timeline.iter().find(|event| event["type"] == "connected").expect("in the timeline");
        assert_eq!(connected["actor"], "system");
    });
}

#[test]
fn an_issue_that_beats_its_account_waits_for_it() {
    STACK.run(async |system| {
        let api = system.api("org_early_issue").await;
        let (link_token, id) = api.link_token("hris").await;
        assert_eq!(system.sandbox().link(&link_token, "bamboohr", Outcome::Exit).await, None);
        let (merge_id, origin_id) = incomplete(system, "org_early_issue", &id).await;
        deliver(system, issue(&merge_id, &origin_id)).await;
        until("it is parked", BOUND, async || {
            let parked = parked(system, &merge_id).await;
            if parked == 1 { Ok(()) } else { Err(format!("{parked} rows")) }
        })
        .await;

        let account = system.connect(&api, "hris", "bamboohr").await;
        assert_eq!((account.id.as_str(), account.merge_id.as_str()), (id.as_str(), merge_id.as_str()));
        until("it is released", BOUND, async || {
            let parked = parked(system, &merge_id).await;
            if parked == 0 { Ok(()) } else { Err(format!("{parked} rows")) }
        })
        .await;
        let opened = api.timeline(&id).await.into_iter().find(|event| event["type"] == "issue_opened");
        assert_eq!(opened.expect("in the timeline")["detail"]["kind"], "expired_mfa");
        system.synced(&api, &id, BOUND).await;
    });
}

#[test]
fn a_link_that_cannot_be_verified_now_waits_and_is_completed() {
    STACK.run(async |system| {
        let api = system.api("org_early_link").await;
        let (link_token, id) = api.link_token("ats").await;
        let down = json!({"route": "GET /api/ats/v1/account-details", "status": 503, "times": 2});
        system.sandbox().post("/faults", down).await;
        let public_token = system.sandbox().link(&link_token, "greenhouse", Outcome::Success).await;
        assert!(public_token.is_some());
        let account = system.sandbox().account_for("org_early_link", "ats", &id).await.expect("Merge's account");
        let merge_id = account["id"].as_str().unwrap_or_default();
        until("the link is parked, or completed already", BOUND, async || {
            let parked = parked(system, merge_id).await;
            let status = api.account(&id).await["status"].clone();
            if parked == 1 || status == "COMPLETE" { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
        // No page comes back, no other webhook is sent: the poller has it looked at.
        system.synced(&api, &id, BOUND).await;
        until("it is released", BOUND, async || {
            let parked = parked(system, merge_id).await;
            if parked == 0 { Ok(()) } else { Err(format!("{parked} rows")) }
        })
        .await;
    });
}

#[test]
fn what_is_nobodys_is_not_kept() {
    STACK.run(async |system| {
        let api = system.api("org_not_parked").await;
        let (_, id) = api.link_token("hris").await;
        let merge_id = "00000000-0000-4000-8000-00000000beef";
        let other = "00000000-0000-4000-8000-000000000001";
        for origin_id in [
            String::new(),
            "nonsense".to_owned(),
            format!("org_not_parked_hris_{other}"),
            format!("org_other_hris_{id}"),
        ] {
            deliver(system, issue(merge_id, &origin_id)).await;
        }
        system.idle().await;
        assert_eq!(parked(system, merge_id).await, 0);
        assert!(system.tables().naming(&[merge_id]).await.is_empty(), "no row of any kind");
    });
}

#[test]
fn late_webhooks_of_an_erased_account_are_counted_and_dropped() {
    STACK.run(async |system| {
        let api = system.api("org_late").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        api.delete(&format!("/v1/linked-accounts/{}", account.id), 202).await;
        system.erased(&api, &account.id, BOUND).await;
        let counted = || {
            let logs = system.stack.logs();
            let ignored = logs.iter().filter(|line| {
                line.line.contains("\"WebhookIgnored\"") && line.line.contains("\"Kind\":\"unknown_account\"")
            });
            ignored.count()
        };
        let before = counted();
        deliver(system, issue(&account.merge_id, &account.origin_id)).await;
        until("it is counted", BOUND, async || {
            let now = counted();
            if now > before { Ok(()) } else { Err(format!("{now} are counted")) }
        })
        .await;
        system.idle().await;
        let rows = system.tables().naming(&[&account.merge_id, &account.id]).await;
        assert!(rows.iter().all(|(_, sk)| sk.starts_with("RECEIPT#")), "{rows:?}");
        let answer = api.call(Method::GET, &format!("/v1/linked-accounts/{}", account.id), None).await;
        assert_eq!(answer.status, 404);
    });
}

#[test]
fn a_parked_message_is_given_up_after_a_day() {
    STACK.run(async |system| {
        let api = system.api("org_given_up").await;
        let (link_token, id) = api.link_token("hris").await;
        assert_eq!(system.sandbox().link(&link_token, "bamboohr", Outcome::Exit).await, None);
        let (merge_id, origin_id) = incomplete(system, "org_given_up", &id).await;
        deliver(system, issue(&merge_id, &origin_id)).await;
        let row = until("it is parked", BOUND, async || {
            let rows = system.tables().partition(&format!("PARKED#{merge_id}")).await;
            rows.into_iter().next().ok_or_else(|| "no row".to_owned())
        })
        .await;
        let then = jiff::Timestamp::now().checked_sub(jiff::SignedDuration::from_hours(25)).expect("a time");
        let value = aws_sdk_dynamodb::types::AttributeValue::S(then.to_string());
        system.tables().set(&text(&row, "pk"), &text(&row, "sk"), "parked_at", value).await;
        until("it is given up", BOUND, async || {
            let parked = parked(system, &merge_id).await;
            if parked == 0 { Ok(()) } else { Err(format!("{parked} rows")) }
        })
        .await;
        let logs = system.stack.logs();
        assert!(logs.iter().any(|line| line.line.contains("\"ParkedExpired\"")), "which is counted");
    });
}

fn issue(merge_id: &str, origin_id: &str) -> Value {
    json!({
        "hook": {"id": "hook", "event": "Issue.new", "target": "https://example.com"},
        "linked_account": {"id": merge_id, "category": "hris", "end_user_origin_id": origin_id, "status": "INCOMPLETE"},
        "data": {
            "id": "11111111-2222-4333-8444-555555555555", "status": "ONGOING",
            "error_description": "Expired multi-factor authentication",
            "first_incident_time": "2026-01-01T00:00:00Z", "last_incident_time": "2026-01-01T00:00:00Z",
        },
    })
}
