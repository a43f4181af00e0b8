//! Duplicates: Merge's three settings, in one organization and across two. Nobody gets at what is another's, by
//! whichever way the dialog ends.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Api, BOUND, Connected, Outcome, Setup, System, alone, until};

/// One system's login, used again and again.
fn login() -> Value {
    json!({"login": "admin@provider.example", "password": "the-same-everywhere"})
}

async fn connect(system: &System, api: &Api<'_>) -> Connected {
    let (link_token, id) = api.link_token("hris").await;
    let public_token = system.sandbox().link_as(&link_token, "bamboohr", login(), Outcome::Success).await;
    let body = json!({"public_token": public_token.expect("a public token"), "category": "hris"});
    let answer = api.call(Method::POST, "/v1/linked-accounts", Some(body)).await;
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    assert_eq!(answer.json()["id"], id.as_str());
    system.synced(api, &id, BOUND).await;
    system.connected(api, "hris", &id).await
}

async fn refresh(api: &Api<'_>, id: &str) {
    api.post(&format!("/v1/linked-accounts/{id}/sync"), json!({}), 202).await;
}

async fn until_warned(api: &Api<'_>, id: &str) {
    refresh(api, id).await;
    until("the duplicate is told", BOUND, async || {
        let shown = api.account(id).await;
        let warned = shown["is_duplicate"] == true && shown["health"]["reason"] == "duplicate";
        if warned { Ok(()) } else { Err(shown.to_string()) }
    })
    .await;
}

#[test]
fn allowed_duplicates_are_told_reviewed_ignored_and_told_again() {
    alone(Setup::default, async |system| {
        let (api, other) = (system.api("org_acme").await, system.api("org_globex").await);
        let first = connect(system, &api).await;
        let second = connect(system, &api).await;
        let foreign = connect(system, &other).await;
        until_warned(&api, &first.id).await;
        let shown = api.account(&first.id).await;
        assert_eq!((&shown["health"]["state"], &shown["health"]["can_refresh"]), (&json!("healthy"), &json!(true)));
        assert!(api.timeline(&first.id).await.iter().any(|event| event["type"] == "duplicate_found"));

        // Review: only this organization's members of the set.
        let set = api.get(&format!("/v1/linked-accounts?duplicates_of={}", first.id), 200).await;
        let ids: Vec<&str> =
            set["results"].as_array().into_iter().flatten().filter_map(|row| row["id"].as_str()).collect();
        assert_eq!(ids, [second.id.as_str()]);
        let none = other.get(&format!("/v1/linked-accounts?duplicates_of={}", foreign.id), 200).await;
        assert_eq!(none["results"], json!([]));
        other.get(&format!("/v1/linked-accounts?duplicates_of={}", first.id), 404).await;

        // Ignore: the set as it stands.
        let path = format!("/v1/linked-accounts/{}", first.id);
        let ignored = api.patch(&path, json!({"duplicate_ignored": true}), 200).await;
        assert_eq!((&ignored["duplicate_ignored"], &ignored["health"]["reason"]), (&json!(true), &Value::Null));
        refresh(&api, &first.id).await;
        system.idle().await;
        assert_eq!(api.account(&first.id).await["duplicate_ignored"], true, "the same set is not told again");

        // A new member is told.
        let third = connect(system, &api).await;
        until_warned(&api, &first.id).await;
        assert_eq!(api.account(&first.id).await["duplicate_ignored"], false);

        // Delete the others of one's own: the other organization's remains, and so does the hint.
        for id in [&second.id, &third.id] {
            api.delete(&format!("/v1/linked-accounts/{id}"), 202).await;
            system.erased(&api, id, BOUND).await;
        }
        let set = api.get(&format!("/v1/linked-accounts?duplicates_of={}", first.id), 200).await;
        assert_eq!(set["results"], json!([]));
        other.delete(&format!("/v1/linked-accounts/{}", foreign.id), 202).await;
        system.erased(&other, &foreign.id, BOUND).await;
        refresh(&api, &first.id).await;
        until("it is the only one", BOUND, async || {
            let shown = api.account(&first.id).await;
            if shown["is_duplicate"] == false { Ok(()) } else { Err(shown.to_string()) }
        })
        .await;
        api.until_health(&first.id, "healthy", None).await;
    });
}

#[test]
fn a_silent_success_is_the_account_that_was_there_or_nothing() {
    alone(
        || Setup::default().sandbox(json!({"duplicates": "silent"})),
        async |system| {
            let (api, other) = (system.api("org_acme").await, system.api("org_globex").await);
            let first = connect(system, &api).await;

            // In the same organization the account that was there is returned, and the attempt is free.
            let (link_token, attempt) = api.link_token("hris").await;
            assert_ne!(attempt, first.id);
            let public_token = system.sandbox().link_as(&link_token, "bamboohr", login(), Outcome::Success).await;
            let body = json!({"public_token": public_token.expect("a public token"), "category": "hris"});
            let answer = api.post("/v1/linked-accounts", body.clone(), 200).await;
            assert_eq!(answer["id"], first.id.as_str());
            assert_eq!(api.post("/v1/linked-accounts", body, 200).await["id"], first.id.as_str(), "and again");
            let listed = api.accounts().await;
            assert_eq!(listed.len(), 1, "no attempt is left: {listed:?}");

            // In another organization it is refused, and nothing of it is touched.
            let before = api.account(&first.id).await;
            let (link_token, _) = other.link_token("hris").await;
            let public_token = system.sandbox().link_as(&link_token, "bamboohr", login(), Outcome::Success).await;
            let body = json!({"public_token": public_token.expect("a public token"), "category": "hris"});
            let refused = other.post("/v1/linked-accounts", body, 404).await;
            let random = other.get("/v1/linked-accounts/00000000-0000-4000-8000-000000000001", 404).await;
            assert_eq!(refused["code"], random["code"], "as if it did not exist");
            assert!(other.accounts().await.iter().all(|account| account["status"] == "INCOMPLETE"));
            system.idle().await;
            let at_merge = system.sandbox().account(&first.merge_id).await.expect("nothing was deleted");
            assert_eq!(at_merge["account_token"], first.account_token.as_str());
            let after = api.account(&first.id).await;
            assert_eq!((&after["status"], &after["records"]), (&before["status"], &before["records"]));
            refresh(&api, &first.id).await;
            api.until_health(&first.id, "healthy", None).await;
        },
    );
}

#[test]
fn a_blocked_duplicate_leaves_the_attempt_as_it_was() {
    alone(
        || Setup::default().sandbox(json!({"duplicates": "block"})),
        async |system| {
            let api = system.api("org_acme").await;
            let first = connect(system, &api).await;
            let (link_token, attempt) = api.link_token("hris").await;
            let refused = system.sandbox().link_as(&link_token, "bamboohr", login(), Outcome::Success).await;
            assert_eq!(refused, None, "the dialog says no");
            assert_eq!(api.link_token("hris").await.1, attempt, "the attempt is still the one");
            assert_eq!(api.account(&attempt).await["status"], "INCOMPLETE");
            assert_eq!(api.account(&first.id).await["status"], "COMPLETE");
            // With another login it goes on.
            let account = system.connect_and_sync(&api, "hris", "hibob").await;
            assert_eq!(account.id, attempt);
        },
    );
}
