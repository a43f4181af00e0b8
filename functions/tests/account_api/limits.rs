//! What one organization may cost: calls that Merge refuses, of whatever kind, share one small allowance, because Merge
//! blocks whoever causes too many errors, and with us everybody.

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::domain::account::{Trouble, TroubleCode};

use crate::answer::Answer;
use crate::world::{World, run};

/// Merge blocks an address after so many errors in ten seconds.
const GUARD: u64 = 20;

fn statuses(answers: &[Answer], served: u16) {
    for answer in answers {
        let limited = answer.status == 429 && answer.body["code"] == "rate_limited";
        assert!(answer.status == served || limited, "{}", answer.text);
    }
    assert!(answers.iter().any(|answer| answer.status == 429), "{answers:?}");
}

#[test]
fn link_tokens_that_merge_refuses_never_close_it_to_others() {
    run(async {
        let world = World::new().await;
        world.control("POST", "/_sandbox/settings", json!({"error_guard": true})).await;
        let unknown = json!({"category": "hris", "integration": "no-such-system"});
        let asked = (0..40).map(|_| world.ask("acme", "POST /v1/link-tokens", unknown.clone()));
        statuses(&join_all(asked).await, 400);
        let reached = world.calls("link-token").await;
        assert!(reached < GUARD, "{reached} of them reached Merge");

        // The same allowance: what is left for exchanges is nothing.
        let guess = json!({"public_token": "a-guessed-public-token", "category": "hris"});
        let guesses = join_all((0..20).map(|_| world.ask("acme", "POST /v1/linked-accounts", guess.clone()))).await;
        statuses(&guesses, 400);
        let reached = reached + world.calls("account-token").await;
        assert!(reached < GUARD, "{reached} of them reached Merge");
        world.connect("globex", "k1").await;
    });
}

#[test]
fn what_merge_accepts_is_given_back() {
    run(async {
        let world = World::new().await;
        let known = json!({"category": "hris", "integration": "bamboohr"});
        for _ in 0..12 {
            world.ask("acme", "POST /v1/link-tokens", known.clone()).await.expect(201);
        }
        let id = world.connect("acme", "k1").await;
        for _ in 0..12 {
            world.ask("acme", format!("POST /v1/linked-accounts/{id}/relink"), Value::Null).await.expect(201);
        }
    });
}

#[test]
fn a_plan_without_resyncs_is_not_asked_for_them_again_and_again() {
    run(async {
        let world = World::new().await;
        world.control("POST", "/_sandbox/settings", json!({"error_guard": true, "resync": "forbidden"})).await;
        let id = world.connect("acme", "k1").await;
        let asked = || world.ask("acme", format!("POST /v1/linked-accounts/{id}/sync"), json!({"ask_provider": true}));
        for answer in join_all((0..40).map(|_| asked())).await {
            let resync = answer.expect(202)["provider_resync"].clone();
            assert!(resync == "unavailable" || resync == "debounced", "our own fetch goes on without it: {resync}");
        }
        let reached = world.calls("resync").await;
        assert!((1..GUARD).contains(&reached), "{reached} of them reached Merge");
        world.connect("globex", "k1").await;
    });
}

#[test]
fn where_syncs_stand_is_asked_so_often_for_one_organization() {
    run(async {
        let world = World::with(&[("REFRESHES_PER_MINUTE", "2")]).await;
        let mut ids = Vec::new();
        for n in 0..6 {
            ids.push(world.connect("acme", &format!("k{n}")).await);
        }
        let before = world.calls("sync-status").await;
        let ask = |id: &String| {
            world.ask("acme", format!("GET /v1/linked-accounts/{id}/sync-status?refresh=true"), Value::Null)
        };
        for id in &ids {
            ask(id).await.expect(200);
        }
        let asked = world.calls("sync-status").await - before;
        assert!((2..=4).contains(&asked), "{asked} of them reached Merge: no more than two minutes' allowance");
    });
}

#[test]
fn accounts_whose_tokens_are_refused_never_close_merge_to_others() {
    run(async {
        let world = World::new().await;
        let mut ids = Vec::new();
        for n in 0..12 {
            ids.push(world.connect("acme", &format!("k{n}")).await);
        }
        let status = |id: &String| format!("GET /v1/linked-accounts/{id}/sync-status?refresh=true");
        let of_globex = world.connect("globex", "k").await;
        world.control("POST", "/_sandbox/faults", json!({"route": "GET *sync-status", "status": 401})).await;
        let before = world.calls("sync-status").await;
        for id in &ids {
            world.ask("acme", status(id), Value::Null).await.expect(200);
        }
        let refused = world.calls("sync-status").await - before;
        assert!((1..=6).contains(&refused), "{refused} of them reached Merge");
        // Another organization's is still asked for.
        world.control("POST", "/_sandbox/reset", json!({})).await;
        let before = world.calls("sync-status").await;
        world.ask("globex", status(&of_globex), Value::Null).await.expect(200);
        assert_eq!(world.calls("sync-status").await - before, 1);

        // What is known to be refused is not even tried.
        let trouble = Trouble { code: TroubleCode::AccountTokenRefused, since: Timestamp::now() };
        let world = World::new().await;
        let id = world.connect("acme", "k").await;
        world.change(&id, |account| account.facts.trouble = Some(trouble.clone())).await;
        let before = world.calls("sync-status").await;
        world.ask("acme", status(&id), Value::Null).await.expect(200);
        assert_eq!(world.calls("sync-status").await, before);
    });
}

#[test]
fn a_long_name_is_cut_to_what_merge_takes_and_a_long_address_is_none() {
    run(async {
        let world = World::new().await;
        let long = "x".repeat(200);
        let wanted = |email: &str| json!({"category": "hris", "end_user": {"email": email, "organization_name": long}});
        let ask = |email: &str| world.ask_as_a_service("acme", "POST /v1/link-tokens", wanted(email));
        ask("admin@example.com").await.expect(201);
        ask(&format!("{long}@example.com")).await.refused(400, "end_user_required");
        assert_eq!(world.calls("link-token").await, 1);
    });
}

#[test]
fn an_organization_whose_id_is_too_long_is_told_before_merge_is_asked() {
    run(async {
        let organization = "o".repeat(64);
        let hris = || json!({"category": "hris"});
        let world = World::new().await;
        let told = world.ask(&organization, "POST /v1/link-tokens", hris()).await;
        assert!(told.text.contains("too long"), "{told:?}");
        told.refused(400, "invalid_request");
        assert_eq!(world.calls("link-token").await, 0);
        assert!(world.rows(&format!("ORG#{organization}")).await.is_empty(), "nothing is reserved");

        let world = World::with(&[("ORIGIN_ID_STRATEGY", "one_per_category")]).await;
        world.ask(&organization, "POST /v1/link-tokens", hris()).await.expect(201);
    });
}

#[test]
fn link_tokens_that_merge_refuses_whatever_was_chosen_are_counted_as_well() {
    run(async {
        let world = World::new().await;
        world.link_token("acme", "ats").await;
        world.control("POST", "/_sandbox/faults", json!({"route": "POST /api/hris/*", "status": 403})).await;
        let hris = || json!({"category": "hris"});
        let ask = async |subject: &str| world.ask_as("acme", subject, "POST /v1/link-tokens", hris()).await;
        ask("anna").await.refused(503, "merge_unavailable");
        let again = ask("anna").await;
        assert!(again.retry_after.is_some_and(|after| (1..=6).contains(&after)), "{again:?}");
        again.refused(429, "rate_limited");

        // Everybody else of the organization shares what is left of its allowance.
        let subjects: Vec<String> = (0..20).map(|n| format!("colleague-{n}")).collect();
        statuses(&join_all(subjects.iter().map(|subject| ask(subject))).await, 503);
        let reached = world.calls("POST /api/hris/v1/link-token").await;
        assert!((2..=6).contains(&reached), "{reached} of them reached Merge");
        let guess = json!({"public_token": "a-guessed-public-token", "category": "ats"});
        statuses(&join_all((0..12).map(|_| world.ask("acme", "POST /v1/linked-accounts", guess.clone()))).await, 400);
        // What Merge takes is neither counted nor held up by it, and nor is anybody else.
        world.link_token("acme", "ats").await;
        world.link_token("globex", "ats").await;
    });
}

#[test]
fn names_and_questions_for_duplicates_are_counted() {
    run(async {
        let world = World::with(&[("REFRESHES_PER_MINUTE", "5")]).await;
        let id = world.connect("acme", "k1").await;
        let mut answers = Vec::new();
        for n in 0..12 {
            let name = json!({"display_name": format!("Name {}", n % 2)});
            answers.push(world.ask("acme", format!("PATCH /v1/linked-accounts/{id}"), name).await);
        }
        statuses(&answers, 200);
        let before = world.calls("linked-accounts").await;
        let mut answers = Vec::new();
        for _ in 0..12 {
            answers.push(world.ask("acme", format!("GET /v1/linked-accounts?duplicates_of={id}"), Value::Null).await);
        }
        statuses(&answers, 200);
        assert!(world.calls("linked-accounts").await - before <= 10, "no more than two minutes' allowance");
        world.ask("acme", "GET /v1/linked-accounts", Value::Null).await.expect(200);
    });
}
