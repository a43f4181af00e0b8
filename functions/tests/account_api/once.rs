//! Requests that name themselves with `Idempotency-Key`: done once, within their organization and their route.

use futures::future::join_all;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::world::{World, run};

const EXCHANGE: &str = "POST /v1/linked-accounts";

async fn public_token(world: &World, credentials: &str) -> Value {
    let (_, link_token) = world.link_token("acme", "hris").await;
    let public_token = world.dialog(&link_token, credentials).await;
    json!({ "public_token": public_token, "category": "hris" })
}

/// What is stored of names, as text.
async fn stored(world: &World) -> Vec<String> {
    let rows = world.items("ORG#acme").await;
    let names = rows.into_iter().filter(|row| row["sk"].as_s().unwrap().starts_with("ONCE#"));
    names.map(|row| format!("{row:?}")).collect()
}

#[test]
fn an_exchange_is_answered_again_as_it_was_and_its_row_tells_nothing() {
    run(async {
        let world = World::new().await;
        let body = public_token(&world, "k1").await;
        let first = world.ask_named("acme", "connect-1", EXCHANGE, body.clone()).await;
        first.clone().expect(201);
        let again = world.ask_named("acme", "connect-1", EXCHANGE, body.clone()).await;
        assert_eq!(again, first, "without a key it would be 200");
        assert_eq!(world.exchange("acme", body["public_token"].as_str().unwrap()).await.status, 200);
        assert_eq!(world.calls("account-token").await, 1);

        // The same key for something else.
        let other = json!({"public_token": "another-public-token", "category": "hris"});
        let refused = world.ask_named("acme", "connect-1", EXCHANGE, other).await;
        refused.refused(422, "idempotency_key_reused");
        assert_eq!(world.calls("account-token").await, 1);

        let stored = stored(&world).await;
        assert_eq!(stored.len(), 1);
        let merge = &world.merge_accounts().await[0];
        let secrets = [&body["public_token"], &merge["account_token"], &merge["id"]];
        for secret in secrets.map(|secret| secret.as_str().unwrap()).into_iter().chain(["connect-1"]) {
            assert!(!stored[0].contains(secret), "{secret} in {}", stored[0]);
        }
    });
}

#[test]
fn an_exchange_is_answered_again_whatever_has_become_of_its_public_token() {
    run(async {
        let world = World::new().await;
        let body = public_token(&world, "k1").await;
        let public_token = body["public_token"].as_str().unwrap();
        // Named when it had been made already, and repeated when the hour of the first was over.
        let id = world.exchange("acme", public_token).await.expect(201)["id"].clone();
        let first = world.ask_named("acme", "connect-1", EXCHANGE, body.clone()).await;
        assert_eq!(first.clone().expect(200)["id"], id);
        let hash: String = Sha256::digest(public_token).iter().map(|byte| format!("{byte:02x}")).collect();
        world.linking.store.erase_exchange(&hash).await.unwrap();
        assert_eq!(world.ask_named("acme", "connect-1", EXCHANGE, body).await, first);
    });
}

#[test]
fn a_repeat_that_comes_while_the_first_runs_is_told_to_wait() {
    run(async {
        let world = World::new().await;
        let body = public_token(&world, "k1").await;
        let slow = json!({"route": "GET /api/hris/v1/account-token/*", "delay_ms": 1_000, "times": 1});
        world.control("POST", "/_sandbox/faults", slow).await;
        let asked = || world.ask_named("acme", "connect-1", EXCHANGE, body.clone());
        let answers = join_all((0..5).map(|_| asked())).await;
        let (done, waiting): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
        assert_eq!((done.len(), waiting.len()), (1, 4));
        for answer in waiting {
            assert!(answer.retry_after.is_some_and(|seconds| seconds >= 1), "{answer:?}");
            answer.refused(409, "request_in_progress");
        }
        assert_eq!(asked().await, done[0]);
    });
}

#[test]
fn what_went_wrong_may_be_tried_again_under_its_key() {
    run(async {
        let world = World::new().await;
        let body = public_token(&world, "k1").await;
        let outage = json!({"route": "GET /api/hris/v1/account-token/*", "status": 503, "times": 1});
        world.control("POST", "/_sandbox/faults", outage).await;
        let asked = || world.ask_named("acme", "connect-1", EXCHANGE, body.clone());
        asked().await.refused(503, "merge_unavailable");
        asked().await.expect(201);
        asked().await.expect(201);
    });
}

#[test]
fn a_refresh_is_answered_again_as_it_was() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        let route = format!("POST /v1/linked-accounts/{id}/sync");
        let body = json!({"ask_provider": true});
        let first = world.ask_named("acme", "refresh", &route, body.clone()).await;
        assert_eq!(first.clone().expect(202)["provider_resync"], "requested");
        assert_eq!(world.ask("acme", &route, body.clone()).await.expect(202)["provider_resync"], "debounced");
        assert_eq!(world.ask_named("acme", "refresh", &route, body.clone()).await, first);
        world.ask_named("acme", "refresh", &route, json!({})).await.refused(422, "idempotency_key_reused");

        // Of another account it is another request, and so it is on another route.
        let second = world.connect("acme", "k2").await;
        let route = format!("POST /v1/linked-accounts/{second}/sync");
        assert_eq!(world.ask_named("acme", "refresh", &route, body).await.expect(202)["provider_resync"], "requested");
        let body = public_token(&world, "k3").await;
        world.ask_named("acme", "refresh", EXCHANGE, body).await.expect(201);
    });
}

#[test]
fn another_organizations_key_is_answered_as_a_new_one() {
    run(async {
        let world = World::new().await;
        let body = public_token(&world, "k1").await;
        let id = world.ask_named("acme", "connect-1", EXCHANGE, body.clone()).await.expect(201)["id"].clone();
        let unknown = json!({"public_token": "a-token-that-nobody-has", "category": "hris"});
        for body in [body, unknown] {
            // Neither the answer, nor that the key came with another body.
            world.ask_named("globex", "connect-1", EXCHANGE, body).await.refused(404, "not_found");
        }
        let route = format!("POST /v1/linked-accounts/{}/sync", id.as_str().unwrap());
        world.ask_named("acme", "refresh", &route, json!({})).await.expect(202);
        world.ask_named("globex", "refresh", &route, json!({})).await.refused(404, "not_found");
    });
}

#[test]
fn link_tokens_are_never_replayed() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        for route in ["POST /v1/link-tokens".to_owned(), format!("POST /v1/linked-accounts/{id}/relink")] {
            let body = if route.ends_with("relink") { json!({}) } else { json!({"category": "hris"}) };
            let asked = || world.ask_named("acme", "a-click", &route, body.clone());
            let (first, second) = (asked().await.expect(201), asked().await.expect(201));
            assert_ne!(first["link_token"], second["link_token"]);
        }
        assert_eq!(stored(&world).await, [] as [String; 0]);
    });
}

#[test]
fn a_key_has_its_shape_and_names_cost_a_bounded_number_of_rows() {
    run(async {
        let world = World::with(&[("REFRESHES_PER_MINUTE", "5")]).await;
        let body = json!({"public_token": "a-token-that-nobody-has", "category": "hris"});
        for key in ["", "two words", "tab\tkey", &"x".repeat(256)] {
            world.ask_named("acme", key, EXCHANGE, body.clone()).await.refused(400, "invalid_request");
        }
        assert_eq!(stored(&world).await.len(), 0);
        let mut limited = 0;
        for n in 0..20 {
            let answer = world.ask_named("acme", &format!("{n}{}", "~".repeat(200)), EXCHANGE, body.clone()).await;
            limited += usize::from(answer.status == 429 && answer.body["code"] == "rate_limited");
        }
        assert!(limited >= 10 && stored(&world).await.len() <= 10, "no more than two minutes' allowance: {limited}");
    });
}
