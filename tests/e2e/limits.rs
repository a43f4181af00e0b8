//! Limits: what costs a call to Merge is counted for each organization and minute, over all processes.

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
