//! Tenancy: nothing of one organization can be read, taken or changed by another.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::world::{World, run};

#[test]
fn somebody_elses_public_token_gets_nothing_and_takes_nothing() {
    run(async {
        let world = World::new().await;
        let (id, link_token) = world.link_token("acme", "hris").await;
        let public_token = world.dialog(&link_token, "k1").await;
        let (attempt, _) = world.link_token("globex", "hris").await;
        world.exchange("globex", &public_token).await.refused(404, "not_found");
        assert_eq!(world.list("globex").await, [(attempt, "INCOMPLETE".to_owned())]);
        assert_eq!(world.list("acme").await, [(id.clone(), "INCOMPLETE".to_owned())]);
        // Merge took the token, but Acme's attempt stands: connecting again opens the same account.
        let (again, link_token) = world.link_token("acme", "hris").await;
        assert_eq!(again, id);
        let public_token = world.dialog(&link_token, "k1").await;
        assert_eq!(world.exchange("acme", &public_token).await.expect(201)["id"], json!(id));
        assert_eq!(world.merge_accounts().await.len(), 1, "nothing was deleted or added at Merge");
    });
}

#[test]
fn with_silent_duplicates_another_organizations_account_is_refused() {
    run(async {
        let world = World::new().await;
        world.control("POST", "/_sandbox/settings", json!({"duplicates": "silent"})).await;
        let id = world.connect("acme", "same").await;
        let before = world.ask("acme", &format!("GET /v1/linked-accounts/{id}"), Value::Null).await.expect(200);
        let (_, link_token) = world.link_token("globex", "hris").await;
        let public_token = world.dialog(&link_token, "same").await;
        world.exchange("globex", &public_token).await.refused(404, "not_found");
        let after = world.ask("acme", &format!("GET /v1/linked-accounts/{id}"), Value::Null).await.expect(200);
        assert_eq!(after, before);
        assert_eq!(world.merge_accounts().await.len(), 1);

        // Within the organization it is the account that there is, and the attempt is over.
        let (attempt, link_token) = world.link_token("acme", "hris").await;
        assert_ne!(attempt, id);
        let public_token = world.dialog(&link_token, "same").await;
        assert_eq!(world.exchange("acme", &public_token).await.expect(200)["id"], json!(id));
        assert_eq!(world.list("acme").await, [(id, "COMPLETE".to_owned())]);
    });
}

#[test]
fn a_foreign_id_is_an_unknown_id_on_every_route() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        let unknown = "00000000-0000-4000-8000-000000000000";
        for route in [
            "GET /v1/linked-accounts/{id}",
            "PATCH /v1/linked-accounts/{id}",
            "DELETE /v1/linked-accounts/{id}",
            "POST /v1/linked-accounts/{id}/relink",
            "POST /v1/linked-accounts/{id}/sync",
            "GET /v1/linked-accounts/{id}/sync-status",
            "GET /v1/linked-accounts/{id}/sync-status?refresh=true",
            "GET /v1/linked-accounts/{id}/events",
            "GET /v1/linked-accounts/{id}/changes",
            "GET /v1/linked-accounts/{id}/records/hris.Employee",
            "GET /v1/linked-accounts?duplicates_of={id}",
        ] {
            let body = if route.starts_with("PATCH") { json!({"display_name": "mine"}) } else { Value::Null };
            let foreign = world.ask("globex", &route.replace("{id}", &id), body.clone()).await;
            let random = world.ask("globex", &route.replace("{id}", unknown), body.clone()).await;
            assert_eq!((foreign.status, foreign.text), (404, random.text), "{route}");
            if !route.contains('?') {
                let malformed = world.ask("globex", &route.replace("{id}", "42"), body).await;
                assert_eq!(malformed.status, 404, "{route}");
            }
        }
        assert_eq!(world.list("acme").await, [(id, "COMPLETE".to_owned())]);
        assert!(world.list("globex").await.is_empty());
    });
}

#[test]
fn the_organization_comes_from_the_claim_alone() {
    run(async {
        let world = World::new().await;
        let smuggled = json!({"category": "hris", "organization_id": "globex"});
        world.ask("acme", "POST /v1/link-tokens", smuggled).await.refused(400, "invalid_request");
        world.ask("acme", "POST /v1/link-tokens?org_id=globex", json!({"category": "hris"})).await.expect(201);
        assert_eq!(world.list("acme").await.len(), 1);
        assert!(world.list("globex").await.is_empty());
    });
}

#[test]
fn a_scope_opens_its_own_routes_only() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        let read = "tether/linked-accounts:read";
        for route in ["POST /v1/link-tokens", "POST /v1/linked-accounts", "DELETE /v1/linked-accounts/{id}"] {
            let answer = world.ask_with("acme", read, &route.replace("{id}", &id), json!({"category": "hris"})).await;
            answer.refused(403, "forbidden");
        }
        for route in [
            "PATCH /v1/linked-accounts/{id}",
            "POST /v1/linked-accounts/{id}/sync",
            "GET /v1/linked-accounts/{id}/changes",
        ] {
            world.ask_with("acme", read, &route.replace("{id}", &id), json!({})).await.refused(403, "forbidden");
        }
        let write = "tether/linked-accounts:write tether/records:read";
        world.ask_with("acme", write, "GET /v1/linked-accounts", Value::Null).await.refused(403, "forbidden");
    });
}

#[test]
fn a_public_token_that_is_no_token_never_reaches_merge() {
    run(async {
        let world = World::new().await;
        world.link_token("acme", "hris").await;
        let long = "x".repeat(10_000);
        for token in ["../linked-accounts", "%2e%2e%2f", "a\r\nb", "", long.as_str()] {
            world.exchange("acme", token).await.refused(400, "invalid_request");
        }
        // Without an attempt or an account nobody is asked either.
        world.exchange("globex", "plausible-token").await.refused(404, "not_found");
        assert_eq!(world.calls("account-token").await, 0);
    });
}

#[test]
fn a_hundred_bad_exchanges_do_not_close_merge_to_others() {
    run(async {
        let world = World::new().await;
        world.link_token("acme", "hris").await;
        let guesses: Vec<String> = (0..100).map(|n| format!("guess-{n}")).collect();
        let answers = join_all(guesses.iter().map(|guess| world.exchange("acme", guess))).await;
        let limited = answers.iter().filter(|answer| answer.status == 429).count();
        assert!(answers.iter().all(|answer| matches!(answer.status, 400 | 429)), "{answers:?}");
        assert!(limited >= 80, "{limited}");
        assert!(world.calls("account-token").await < 20);
        world.connect("globex", "k1").await;
    });
}

#[test]
fn checklist_20_no_id_turns_one_route_into_another() {
    run(async {
        let world = World::new().await;
        world.connect("acme", "k1").await;
        let body = || json!({"display_name": "x"});
        for id in ["linked-accounts", "events", "sync", "sync-status", "relink"] {
            for (scopes, routes) in [
                ("tether/linked-accounts:write", ["PATCH {}", "POST {}/sync", "POST {}/relink", "DELETE {}"]),
                ("tether/linked-accounts:read", ["GET {}", "GET {}/", "GET {}/events", "GET {}/sync-status"]),
            ] {
                for route in routes {
                    let route = route.replace("{}", &format!("/v1/linked-accounts/{id}"));
                    let body = if route.starts_with("PATCH") { body() } else { Value::Null };
                    world.ask_with("acme", scopes, &route, body).await.refused(404, "not_found");
                }
            }
        }
    });
}
