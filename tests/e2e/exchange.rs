//! The exchange under attack: tokens that are none, guesses by the hundred, a crash between Merge's answer and ours.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::harness::tables::text;
use crate::harness::{BOUND, Outcome, Setup, System, alone, until};

const EXCHANGE: &str = "GET /api/hris/v1/account-token/{token}";

#[test]
fn checklist_21_a_public_token_that_cannot_be_one_never_reaches_merge() {
    alone(Setup::default, async |system| {
        let api = system.api("org_attacker").await;
        api.link_token("hris").await;
        let tokens = ["../linked-accounts", "%2e%2e%2f", "..", "a/b", "a?b", "a\r\nHost: b", "", &"x".repeat(10_240)];
        for token in tokens {
            let body = json!({"public_token": token, "category": "hris"});
            let refused = api.post("/v1/linked-accounts", body, 400).await;
            assert_eq!(refused["code"], "invalid_request", "{token:?}");
        }
        assert_eq!(system.sandbox().calls(EXCHANGE).await, 0, "Merge was not asked");
        let unknown = json!({"public_token": "an-unknown-public-token-0001", "category": "hris"});
        let refused = api.post("/v1/linked-accounts", unknown, 400).await;
        assert_eq!(refused["code"], "public_token_invalid");
        assert_eq!(system.sandbox().calls(EXCHANGE).await, 1, "of what could be one, it is");
    });
}

#[test]
fn checklist_22_a_hundred_bad_exchanges_never_close_merge_to_others() {
    alone(
        // The sandbox blocks everybody after 20 errors in ten seconds, as Merge does.
        || Setup::default().sandbox(json!({"error_guard": true})),
        async |system| {
            let attacker = system.api("org_attacker").await;
            let bystander = system.api("org_bystander").await;
            attacker.link_token("hris").await;
            let guesses = (0..100).map(async |n| {
                let body = json!({"public_token": format!("a-guessed-public-token-{n}"), "category": "hris"});
                attacker.call(Method::POST, "/v1/linked-accounts", Some(body)).await
            });
            let answers = join_all(guesses).await;
            let refused = answers.iter().filter(|answer| answer.status == 400).count();
            let limited: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
            assert_eq!(refused + limited.len(), 100, "{answers:?}");
            assert!(limited.len() >= 80, "{}", limited.len());
            assert!(limited.iter().all(|answer| (1..=60).contains(&answer.retry_after)), "{:?}", limited[0]);
            let reached = system.sandbox().calls(EXCHANGE).await;
            assert!(reached < 20, "{reached} of them reached Merge");

            let account = system.connect(&bystander, "hris", "bamboohr").await;
            system.synced(&bystander, &account.id, BOUND).await;
        },
    );
}

/// Finishes a dialog that Merge tells nobody about; the body of the exchange, and our id.
async fn dialog(system: &System, api: &crate::harness::Api<'_>) -> (serde_json::Value, String) {
    let (link_token, id) = api.link_token("hris").await;
    let public_token = system.sandbox().link(&link_token, "bamboohr", Outcome::Success).await;
    (json!({"public_token": public_token.expect("a public token"), "category": "hris"}), id)
}

#[test]
fn checklist_24_an_exchange_that_crashed_after_merges_answer_is_completed_by_a_repeat_or_by_connecting_again() {
    alone(
        // Without webhooks nobody else completes it.
        || Setup::default().without_webhooks(),
        async |system| {
            for (organization, repeats) in [("org_repeats", true), ("org_connects_again", false)] {
                let api = system.api(organization).await;
                let (body, id) = dialog(system, &api).await;
                let asked = system.sandbox().calls(EXCHANGE).await;
                // The process dies while it waits for account-details: Merge has taken the token by then.
                let slow = json!({"route": "GET /api/hris/v1/account-details", "delay_ms": 60_000, "times": 1});
                system.sandbox().post("/faults", slow).await;
                system.announce("Runtime.ExitError");
                let crashed = api.call(Method::POST, "/v1/linked-accounts", Some(body.clone()));
                let crash = async {
                    until("Merge's answer is written down", BOUND, async || {
                        let rows = system.tables().naming(&[organization]).await;
                        let written = rows.iter().any(|(pk, _)| pk.starts_with("EXCHANGE#"));
                        if written { Ok(()) } else { Err(format!("{rows:?}")) }
                    })
                    .await;
                    system.stack.kill_workers("exchange");
                };
                let (crashed, ()) = futures::future::join(crashed, crash).await;
                assert!(crashed.status >= 500, "{crashed:?}");
                assert_eq!(system.sandbox().calls(EXCHANGE).await, asked + 1);
                assert!(api.accounts().await.iter().all(|account| account["status"] == "INCOMPLETE"));

                let body = if repeats { body } else { dialog(system, &api).await.0 };
                let account = api.post("/v1/linked-accounts", body, 201).await;
                assert_eq!(account["id"], id.as_str(), "the account that was reserved");
                assert_eq!(api.accounts().await.len(), 1);
                system.synced(&api, &id, BOUND).await;
                // Nobody else asks for account-details while the next one waits for them.
                system.idle().await;
            }
        },
    );
}

#[test]
fn checklist_25_a_token_copied_to_another_row_opens_nothing_and_raises_the_alarm() {
    alone(
        || Setup::default().without_schedule(),
        async |system| {
            let rich = system.api("org_rich").await;
            let poor = system.api("org_poor").await;
            let source = system.connect_and_sync(&rich, "hris", "bamboohr").await;
            let target = system.connect_and_sync(&poor, "hris", "bamboohr").await;
            system.webhooks_settled().await;
            system.idle().await;
            let rows = system.tables().partition("ORG#org_rich").await;
            let row = rows.iter().find(|row| text(row, "sk") == format!("ACCOUNT#{}", source.id)).expect("the account");
            let ciphertext: AttributeValue = row["token"].clone();
            let sk = format!("ACCOUNT#{}", target.id);
            system.tables().set("ORG#org_poor", &sk, "token", ciphertext).await;
            // No warm process may still hold the token that stood there.
            system.stack.kill_workers("accounts");

            system.announce("the ciphertext does not belong to this account");
            let asked = system.sandbox().calls("GET /api/hris/v1/sync-status").await;
            let path = format!("/v1/linked-accounts/{}/sync-status?refresh=true", target.id);
            let refused = until("a process that is alive answers", Duration::from_secs(60), async || {
                let answer = poor.call(Method::GET, &path, None).await;
                if answer.json()["code"].is_string() { Ok(answer) } else { Err(answer.body) }
            })
            .await;
            assert_eq!((refused.status, &refused.json()["code"]), (500, &json!("internal")));
            assert_eq!(system.sandbox().calls("GET /api/hris/v1/sync-status").await, asked, "Merge was not asked");
            assert!(system.counted("TokenUndecryptable") >= 1, "the alarm's metric");
        },
    );
}

#[test]
fn checklist_41_a_row_past_its_time_counts_as_absent_while_it_is_still_there() {
    alone(Setup::default, async |system| {
        let api = system.api("org_late").await;
        let (body, id) = dialog(system, &api).await;
        let answer = api.call(Method::POST, "/v1/linked-accounts", Some(body.clone())).await;
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        assert_eq!(api.post("/v1/linked-accounts", body.clone(), 200).await["id"], id.as_str(), "a repeat in time");
        let asked = system.sandbox().calls(EXCHANGE).await;
        let rows = system.tables().naming(&["org_late"]).await;
        let (pk, sk) = rows.iter().find(|(pk, _)| pk.starts_with("EXCHANGE#")).expect("the exchange");
        system.tables().set(pk, sk, "ttl", AttributeValue::N("1000".to_owned())).await;
        let refused = api.post("/v1/linked-accounts", body, 400).await;
        assert_eq!(refused["code"], "public_token_invalid");
        assert_eq!(system.sandbox().calls(EXCHANGE).await, asked + 1, "Merge was asked, as for any token");
        system.synced(&api, &id, BOUND).await;
    });
}

#[test]
fn checklist_48_an_expired_link_token_or_a_closed_relink_leads_to_the_same_origin_id() {
    alone(Setup::default, async |system| {
        let api = system.api("org_slow").await;
        let (expired, id) = api.link_token("hris").await;
        // Its half hour goes by and nobody has used it.
        let expiry = system.sandbox().post("/expire-link-tokens", json!({})).await;
        assert_eq!(expiry["expired"], 1);
        let words = system.sandbox().cannot_link(&expired, "bamboohr").await;
        assert!(words.contains("expired"), "{words}");
        let (fresh, again) = api.link_token("hris").await;
        assert_eq!(again, id);
        assert_ne!(fresh, expired);
        let account = system.connect(&api, "hris", "bamboohr").await;
        assert_eq!(account.id, id);
        for _ in 0..2 {
            let link = api.post(&format!("/v1/linked-accounts/{id}/relink"), json!({}), 201).await;
            let link_token = link["link_token"].as_str().unwrap_or_default();
            assert_eq!(system.sandbox().link(link_token, "bamboohr", Outcome::Exit).await, None);
        }
        let accounts = system.sandbox().accounts().await;
        let origins: Vec<_> = accounts.iter().filter_map(|account| account["end_user_origin_id"].as_str()).collect();
        assert_eq!(origins, [account.origin_id.as_str()], "one account at Merge, under one origin id");
        system.synced(&api, &id, BOUND).await;
    });
}
