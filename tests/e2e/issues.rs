//! Issues: opened and ended by webhooks, by polling when no webhook comes, hidden by those who know of them.

use serde_json::{Value, json};

use crate::harness::{Api, BOUND, Connected, Setup, SharedStack, System, alone, until};

/// No webhook ever comes: what is known of issues was polled.
static POLLED: SharedStack =
    SharedStack::new(|| Setup::default().without_webhooks().sandbox(json!({"sync_interval_ms": 1_800_000})));
/// Only webhooks come.
static TOLD: SharedStack = SharedStack::new(|| Setup::default().without_schedule());

/// Every kind of issue, and what the API says about it.
const KINDS: [(&str, &str, &str, &str, &str); 8] = [
    ("bad_api_key", "bad_api_key", "action_needed", "bad_api_key", "end_user"),
    ("invalid_login_credentials", "invalid_login_credentials", "action_needed", "invalid_credentials", "end_user"),
    ("expired_mfa", "expired_mfa", "action_needed", "mfa_expired", "end_user"),
    ("missing_permissions", "missing_permissions", "action_needed", "missing_permissions", "provider_admin"),
    ("api_error", "api_error", "degraded", "api_error", "operator"),
    ("third_party_offline", "third_party_offline", "degraded", "provider_offline", "nobody"),
    ("issue_type_pending", "issue_type_pending", "degraded", "checking", "nobody"),
    ("unheard", "other", "degraded", "api_error", "operator"),
];

async fn each_kind(system: &System, api: &Api<'_>, account: &Connected, look: impl AsyncFn()) {
    for (kind, shown_as, state, reason, actor) in KINDS {
        system.sandbox().act(&account.merge_id, "issue", json!({"kind": kind})).await;
        look().await;
        let shown = api.until_health(&account.id, state, Some(reason)).await;
        let health = &shown["health"];
        assert_eq!(
            (&health["actor"], &health["can_refresh"], &health["can_reconnect"]),
            (&json!(actor), &json!(true), &json!(true))
        );
        let open = shown["open_issues"].as_array().cloned().unwrap_or_default();
        assert_eq!((open.len(), &open[0]["type"]), (1, &json!(shown_as)), "{kind}: {open:?}");
        assert!(open[0]["message"].as_str().is_some_and(|message| message.len() > 20), "{open:?}");
        let text = shown.to_string().to_lowercase();
        assert!(!text.contains("tidal") && !text.contains("moon"), "raw text is for the operator: {shown}");
        system.sandbox().act(&account.merge_id, "resolve-issue", json!({})).await;
        look().await;
        let healed = api.until_health(&account.id, "healthy", None).await;
        assert_eq!(healed["open_issues"], json!([]));
    }
    let timeline = api.timeline(&account.id).await;
    let count = |kind: &str| timeline.iter().filter(|event| event["type"] == kind).count();
    assert_eq!((count("issue_opened"), count("issue_resolved")), (KINDS.len(), KINDS.len()), "{timeline:?}");
}

#[test]
fn every_kind_is_told_by_webhook() {
    TOLD.run(async |system| {
        let api = system.api("org_issues_told").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        each_kind(system, &api, &account, async || {}).await;
    });
}

#[test]
fn every_kind_is_polled_when_no_webhook_comes() {
    POLLED.run(async |system| {
        let api = system.api("org_issues_polled").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        let path = format!("/v1/linked-accounts/{}/sync", account.id);
        each_kind(system, &api, &account, async || drop(api.post(&path, json!({}), 202).await)).await;
        let webhooks = system.sandbox().state().await["webhooks"].clone();
        assert_eq!(webhooks["sent"], 0, "no webhook helped");
    });
}

#[test]
fn the_poller_alone_finds_an_issue_and_its_end() {
    POLLED.run(async |system| {
        let api = system.api("org_issues_alone").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.sandbox().act(&account.merge_id, "issue", json!({"kind": "third_party_offline"})).await;
        api.until_health(&account.id, "degraded", Some("provider_offline")).await;
        system.sandbox().act(&account.merge_id, "resolve-issue", json!({})).await;
        api.until_health(&account.id, "healthy", None).await;
    });
}

#[test]
fn an_acknowledged_issue_is_hidden_until_it_comes_back() {
    TOLD.run(async |system| {
        let api = system.api("org_issues_known").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        let path = format!("/v1/linked-accounts/{}", account.id);
        system.sandbox().act(&account.merge_id, "issue", json!({"kind": "missing_permissions"})).await;
        let shown = api.until_health(&account.id, "action_needed", Some("missing_permissions")).await;
        let id = shown["open_issues"][0]["id"].clone();
        api.patch(&path, json!({"acknowledge_issues": ["nobody-knows"]}), 400).await;
        let patched = api.patch(&path, json!({"acknowledge_issues": [id]}), 200).await;
        assert_eq!((&patched["health"]["state"], &patched["open_issues"]), (&json!("healthy"), &json!([])));

        // It goes on, and nobody is bothered.
        system.sandbox().act(&account.merge_id, "issue", json!({"kind": "missing_permissions"})).await;
        system.webhooks_settled().await;
        system.idle().await;
        assert_eq!(api.account(&account.id).await["health"]["state"], "healthy");
        // It was over and is back.
        system.sandbox().act(&account.merge_id, "resolve-issue", json!({})).await;
        system.sandbox().act(&account.merge_id, "issue", json!({"kind": "missing_permissions"})).await;
        api.until_health(&account.id, "action_needed", Some("missing_permissions")).await;
        let timeline = api.timeline(&account.id).await;
        let known = timeline.iter().find(|event| event["type"] == "issue_acknowledged").expect("in the timeline");
        assert_eq!(
            (&known["detail"]["kind"], &known["actor"]),
            (&json!("missing_permissions"), &json!("org_issues_known"))
        );
    });
}

#[test]
fn an_issue_of_a_pending_type_becomes_another() {
    TOLD.run(async |system| {
        let api = system.api("org_issues_pending").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        let issue = system.sandbox().act(&account.merge_id, "issue", json!({"kind": "issue_type_pending"})).await;
        api.until_health(&account.id, "degraded", Some("checking")).await;
        system.sandbox().act(&account.merge_id, "issue", json!({"kind": "bad_api_key", "id": issue["id"]})).await;
        let shown = api.until_health(&account.id, "action_needed", Some("bad_api_key")).await;
        assert_eq!(
            (shown["open_issues"].as_array().map_or(0, Vec::len), &shown["open_issues"][0]["id"]),
            (1, &issue["id"])
        );
    });
}

#[test]
fn details_are_kept_for_the_operator_and_shown_to_nobody() {
    alone(Setup::default, async |system| {
        let api = system.api("org_acme").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.sandbox().act(&account.merge_id, "issue", json!({"kind": "unheard"})).await;
        api.until_health(&account.id, "degraded", Some("api_error")).await;
        until("the row has the details", BOUND, async || {
            let naming = system.tables().naming(&["The moon is in the way."]).await;
            if naming.iter().any(|(_, sk)| sk.ends_with(&account.id)) { Ok(()) } else { Err(format!("{naming:?}")) }
        })
        .await;
        let spoken = |text: &str| text.contains("The moon is in the way.");
        let logs = system.stack.logs();
        assert!(!logs.iter().any(|line| spoken(&line.line)), "in no log");
        let aws = system.stack.aws().expect("embedded services");
        assert!(!aws.messages().iter().any(|message| spoken(message)), "in no message");
        let events: Vec<Value> = api.timeline(&account.id).await;
        assert!(!events.iter().any(|event| spoken(&event.to_string())), "in no event");
    });
}
