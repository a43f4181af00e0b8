//! Limits: what costs a call to Merge is counted for each organization and minute, over all processes.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Api, BOUND, Setup, alone};

/// Asks more often than two minutes' limits allow: some are served, the rest is told when to come again.
async fn limited(api: &Api<'_>, (method, path): (Method, &str), served: u16) {
    let body = (method != Method::DELETE).then(|| json!({}));
    let mut answers = Vec::new();
    for _ in 0..7 {
        answers.push(api.call(method.clone(), path, body.clone()).await);
    }
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(!refused.is_empty(), "{method} {path}: {answers:?}");
    for answer in &answers {
        let told = answer.status == 429 && (1..=60).contains(&answer.retry_after);
        let code = answer.json()["code"] == "rate_limited";
        assert!(answer.status == served || (told && code), "{method} {path}: {answer:?}");
    }
    assert_eq!(answers[0].status, served, "{method} {path}: the first is served");
}

#[test]
fn relinks_refreshes_and_deletes_are_counted_per_organization_and_minute() {
    let setup = || {
        let setup = Setup::default().parameter("RelinksPerMinute", "2").parameter("DeletesPerMinute", "2");
        setup.variable("accounts", "REFRESHES_PER_MINUTE", "2")
    };
    alone(setup, async |system| {
        let eager = system.api("org_eager").await;
        let calm = system.api("org_calm").await;
        let account = system.connect_and_sync(&eager, "hris", "bamboohr").await;
        let other = system.connect_and_sync(&calm, "hris", "bamboohr").await;
        let path = |id: &str, rest: &str| format!("/v1/linked-accounts/{id}{rest}");
        limited(&eager, (Method::POST, &path(&account.id, "/relink")), 201).await;
        limited(&eager, (Method::POST, &path(&account.id, "/sync")), 202).await;
        for rest in ["/relink", "/sync"] {
            let served = calm.call(Method::POST, &path(&other.id, rest), Some(json!({}))).await;
            assert!(served.status < 300, "another organization has limits of its own: {served:?}");
        }
        let shown: Value = eager.account(&account.id).await;
        assert_eq!(shown["status"], "COMPLETE", "reading is not counted");

        // A deletion that is repeated while the account leaves.
        system.sandbox().settings(json!({"api_key": "revoked"})).await;
        limited(&eager, (Method::DELETE, &path(&account.id, "")), 202).await;
        system.sandbox().settings(json!({"api_key": "valid"})).await;
        system.erased(&eager, &account.id, BOUND).await;
    });
}

#[test]
fn whatever_merge_refuses_one_organization_it_stays_open_to_others() {
    // The sandbox blocks everybody after 20 errors in ten seconds, as Merge does.
    let setup = || Setup::default().sandbox(json!({"error_guard": true, "resync": "forbidden"}));
    alone(setup, async |system| {
        let attacker = system.api("org_refused").await;
        let bystander = system.api("org_unharmed").await;
        let account = system.connect_and_sync(&attacker, "hris", "bamboohr").await;
        let refused = json!({"category": "ats", "integration": "no-such-system"});
        let sync = format!("/v1/linked-accounts/{}/sync", account.id);
        let calls = (0..50).map(async |n| match n % 2 {
            0 => attacker.call(Method::POST, "/v1/link-tokens", Some(refused.clone())).await,
            _ => attacker.call(Method::POST, &sync, Some(json!({"ask_provider": true}))).await,
        });
        let answers = join_all(calls).await;
        for answer in &answers {
            let expected = matches!(answer.status, 202 | 400) || answer.json()["code"] == "rate_limited";
            assert!(expected, "{answer:?}");
        }
        let mut reached = 0;
        for route in ["POST /api/hris/v1/sync-status/resync", "POST /api/ats/v1/link-token"] {
            reached += system.sandbox().calls(route).await;
        }
        assert!((1..20).contains(&reached), "{reached} of them reached Merge");
        system.connect_and_sync(&bystander, "hris", "bamboohr").await;
    });
}
