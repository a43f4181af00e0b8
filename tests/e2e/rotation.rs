//! Rotation of an account token: the account works on with the new one, and if Merge's answer is lost it says so.

use serde_json::{Value, json};

use crate::harness::{Api, BOUND, Connected, Outcome, Setup, System, all_equal, alone, send, until};

/// Asks for a new token, as the operator's tool does.
async fn rotate(system: &System, api: &Api<'_>, account: &Connected, request: &str) {
    let message = json!({"v": 1, "type": "rotate_token", "merge_id": account.merge_id, "organization": api.organization,
        "account": account.id, "request": request});
    send(system, &message.to_string(), &account.merge_id, request).await;
}

/// The token as Merge has it now.
async fn token(system: &System, account: &Connected) -> String {
    let at_merge = system.sandbox().account(&account.merge_id).await.expect("Merge's account");
    at_merge["account_token"].as_str().expect("a token").to_owned()
}

async fn events(api: &Api<'_>, id: &str) -> Vec<String> {
    let told = api.get(&format!("/v1/linked-accounts/{id}/events"), 200).await;
    let events = told["results"].as_array().expect("a list").iter();
    events.filter_map(|event| event["type"].as_str().map(str::to_owned)).collect()
}

/// What changes at Merge arrives.
async fn follows(system: &System, api: &Api<'_>, account: &Connected) {
    system.sandbox().mark(&account.merge_id, "mutate", "hris.Employee", 3).await;
    system.sandbox().start_sync(&account.merge_id).await;
    until("the changes arrive", BOUND, async || all_equal(system, api, account, &["hris.Employee"]).await).await;
}

#[test]
fn a_rotated_account_works_on_with_its_new_token() {
    alone(Setup::default, async |system| {
        let api = system.api("org_rotates").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.idle().await;
        rotate(system, &api, &account, "00000000-0000-4000-8000-000000000001").await;
        until("the new token is stored", BOUND, async || {
            let events = events(&api, &account.id).await;
            if events.iter().any(|event| event == "token_rotated") { Ok(()) } else { Err(format!("{events:?}")) }
        })
        .await;
        assert_ne!(token(system, &account).await, account.account_token);
        follows(system, &api, &account).await;
        assert_eq!(api.account(&account.id).await["health"]["state"], "healthy");
    });
}

#[test]
fn a_rotation_whose_answer_was_lost_asks_for_a_relink() {
    alone(Setup::default, async |system| {
        system.announce("a message failed");
        let api = system.api("org_loses").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.idle().await;
        // Merge makes the token, and its answer never arrives.
        let route = "POST /api/hris/v1/account-token/regenerate";
        let lost = json!({"route": route, "status": 502, "after": true, "times": 1});
        system.sandbox().post("/faults", lost).await;
        rotate(system, &api, &account, "00000000-0000-4000-8000-000000000002").await;
        let shown: Value = until("the account says so", BOUND, async || {
            let shown = api.account(&account.id).await;
            if shown["health"]["state"] == "action_needed" { Ok(shown) } else { Err(shown.to_string()) }
        })
        .await;
        assert_eq!((&shown["health"]["actor"], &shown["health"]["can_reconnect"]), (&json!("end_user"), &json!(true)));
        let events = events(&api, &account.id).await;
        assert!(events.iter().any(|event| event == "token_rotation_started"), "it was noted before: {events:?}");

        let link = api.post(&format!("/v1/linked-accounts/{}/relink", account.id), json!({}), 201).await;
        let link_token = link["link_token"].as_str().unwrap_or_default();
        let public_token = system.sandbox().link(link_token, "bamboohr", Outcome::Success).await;
        let body = json!({"public_token": public_token.expect("a public token"), "category": "hris"});
        assert_eq!(api.post("/v1/linked-accounts", body, 200).await["id"], account.id.as_str());
        until("the account works again", BOUND, async || {
            let shown = api.account(&account.id).await;
            if shown["health"]["state"] == "healthy" { Ok(()) } else { Err(shown.to_string()) }
        })
        .await;
        follows(system, &api, &account).await;
    });
}

#[test]
fn a_recorded_delivery_with_the_token_before_holds_nothing_up() {
    alone(Setup::default, async |system| {
        let api = system.api("org_recorded").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.webhooks_settled().await;
        system.idle().await;
        rotate(system, &api, &account, "00000000-0000-4000-8000-000000000003").await;
        until("the new token is stored", BOUND, async || {
            let events = events(&api, &account.id).await;
            if events.iter().any(|event| event == "token_rotated") { Ok(()) } else { Err(format!("{events:?}")) }
        })
        .await;
        // A retry by Merge is no longer deduplicated after five minutes: this is the message that it becomes.
        let recorded = system.messages_about(&account.merge_id);
        let recorded = recorded.iter().find(|body| body.contains(r#""type":"linked""#)).expect("a recording").clone();
        let failed = system.counted("MessageFailed");
        send(system, &recorded, &account.merge_id, "recorded").await;
        // What is queued behind it in the account's group is worked at once.
        follows(system, &api, &account).await;
        system.idle().await;
        assert_eq!(system.counted("MessageFailed"), failed);
        assert!(system.counted_by("WebhookIgnored", "stale_token") > 0);
        assert_eq!(api.account(&account.id).await["health"]["state"], "healthy");
    });
}
