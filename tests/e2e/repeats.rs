//! Repeats: a request that names itself with `Idempotency-Key` is done once and answered alike, at the edge and with
//! the permissions that the functions have.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Outcome, Setup, alone};

#[test]
fn an_exchange_and_a_refresh_with_a_key_are_done_once_and_answered_alike() {
    alone(Setup::default, async |system| {
        let api = system.api("org_acme").await;
        let (link_token, id) = api.link_token("hris").await;
        let public_token = system.sandbox().link(&link_token, "bamboohr", Outcome::Success).await;
        let body = json!({"public_token": public_token.expect("a public token"), "category": "hris"});
        let key = [("Idempotency-Key", "9d1f2c1e-connect")];
        let exchange = async |body| api.send(Method::POST, "/v1/linked-accounts", Some(body), &key).await;
        let first = exchange(body.clone()).await;
        // The webhook may complete the link before the exchange does.
        assert!(matches!(first.status, 200 | 201), "{first:?}");
        let again = exchange(body).await;
        assert_eq!((again.status, &again.json()["id"]), (first.status, &json!(id)));
        let other = exchange(json!({"public_token": "another-public-token", "category": "hris"})).await;
        assert_eq!((other.status, &other.json()["code"]), (422, &json!("idempotency_key_reused")));

        let path = format!("/v1/linked-accounts/{id}/sync");
        let refresh = async |body| api.send(Method::POST, &path, Some(body), &key).await;
        let first = refresh(json!({"ask_provider": true})).await;
        assert_eq!((first.status, &first.json()["provider_resync"]), (202, &json!("requested")));
        let again = refresh(json!({"ask_provider": true})).await;
        assert_eq!((again.status, again.body), (202, first.body));
        let other = refresh(json!({"mode": "full"})).await;
        assert_eq!((other.status, &other.json()["code"]), (422, &json!("idempotency_key_reused")));
        let syncs = api.timeline(&id).await.iter().filter(|event| event["type"] == "sync_requested").count();
        assert_eq!(syncs, 1);
    });
}
