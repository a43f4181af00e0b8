//! Connecting: once, whatever happens on the way.

use std::collections::HashSet;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::domain::ids::MergeLinkedAccountId;
use shared::linking::{Admission, LinkedEvent, Refusal};
use shared::store::exchange::{InFlight, Stage};

use crate::world::{World, account_id, org, run};

#[test]
fn a_person_connects_a_system_and_finds_it_in_the_list() {
    run(async {
        let world = World::new().await;
        let (id, link_token) = world.link_token("acme", "hris").await;
        assert_eq!(world.list("acme").await, [(id.clone(), "INCOMPLETE".to_owned())]);
        let public_token = world.dialog(&link_token, "k1").await;
        let account = world.exchange("acme", &public_token).await.expect(201);
        assert_eq!(account["integration"]["slug"], "bamboohr");
        assert_eq!(account["health"]["state"], "first_sync");
        assert_eq!(world.list("acme").await, [(id.clone(), "COMPLETE".to_owned())]);

        // The same public token again: Merge takes it once, we answer the same account.
        let again = world.exchange("acme", &public_token).await.expect(200);
        assert_eq!(again["id"], json!(id));
        assert_eq!(world.calls("account-token").await, 1);

        // A second account of the category gets an id of its own.
        let second = world.connect("acme", "k2").await;
        assert_ne!(second, id);
        assert_eq!(world.list("acme").await.len(), 2);
        let kinds: Vec<_> = events(&world, &second).await.iter().map(|event| event["type"].clone()).collect();
        assert_eq!(kinds, ["connected", "link_started"]);
        let first: Vec<_> =
            events(&world, &second).await.iter().map(|event| event["detail"]["attempt"].clone()).collect();
        assert_eq!(first[1], "additional");
    });
}

async fn events(world: &World, id: &str) -> Vec<Value> {
    let answer = world.ask("acme", &format!("GET /v1/linked-accounts/{id}/events"), Value::Null).await.expect(200);
    answer["results"].as_array().unwrap().clone()
}

#[test]
fn fifty_attempts_at_once_share_one_reservation() {
    run(async {
        let world = World::new().await;
        let attempts = join_all((0..50).map(|_| world.link_token("acme", "hris"))).await;
        let ids: HashSet<_> = attempts.iter().map(|(id, _)| id).collect();
        let tokens: HashSet<_> = attempts.iter().map(|(_, token)| token).collect();
        assert_eq!((ids.len(), tokens.len()), (1, 50));
        assert_eq!(world.rows("ORG#acme").await, ["PENDING#hris"]);
        let limited =
            join_all((0..15).map(|_| world.ask("acme", "POST /v1/link-tokens", json!({"category": "hris"})))).await;
        let refused: Vec<_> = limited.into_iter().filter(|answer| answer.status == 429).collect();
        assert!(!refused.is_empty(), "after the burst a subject has to wait");
        assert_eq!(refused[0].body["code"], "rate_limited");
    });
}

#[test]
fn two_exchanges_of_one_token_make_one_account() {
    run(async {
        let world = World::new().await;
        let (id, link_token) = world.link_token("acme", "hris").await;
        let public_token = world.dialog(&link_token, "k1").await;
        let answers = join_all((0..3).map(|_| world.exchange("acme", &public_token))).await;
        let created = answers.iter().filter(|answer| answer.status == 201).count();
        assert!(created >= 1, "{answers:?}");
        for answer in &answers {
            assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
            assert_eq!(answer.body["id"], json!(id));
        }
        assert_eq!(world.list("acme").await.len(), 1);
    });
}

#[test]
fn checklist_24_an_exchange_that_crashed_is_completed_by_its_repeat() {
    run(async {
        let world = World::new().await;
        let (id, link_token) = world.link_token("acme", "hris").await;
        let public_token = world.dialog(&link_token, "k1").await;
        // The crash: Merge has answered, the answer is written down, nothing else is.
        let parsed = shared::domain::secret::PublicToken::parse(&public_token).unwrap();
        let hris = shared::domain::category::Category::Hris;
        let answered = world.linking.merge.exchange_public_token(hris, &parsed).await.unwrap();
        let organization = org("acme");
        let token = world.linking.closed(&organization, &answered.merge_id, &answered.account_token).await.unwrap();
        let stage = Stage::Answered { merge_id: answered.merge_id, token, integration: answered.integration };
        let in_flight = InFlight { organization, category: hris, stage };
        let hash = {
            use sha2::{Digest, Sha256};
            Sha256::digest(public_token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        assert!(world.linking.store.put_exchange(&hash, &in_flight, Timestamp::now()).await.unwrap());

        world.link_token("globex", "hris").await;
        world.exchange("globex", &public_token).await.refused(404, "not_found");
        let account = world.exchange("acme", &public_token).await.expect(201);
        assert_eq!(account["id"], json!(id));
    });
}

/// What Merge's webhook would say of its only account.
async fn delivered(world: &World) -> (MergeLinkedAccountId, String, String) {
    let account = world.merge_accounts().await.remove(0);
    let text = |name: &str| account[name].as_str().unwrap().to_owned();
    let merge_id = MergeLinkedAccountId::parse(text("id")).unwrap();
    let token = world.webhook_token(&merge_id, &text("account_token")).await;
    (merge_id, text("end_user_origin_id"), token)
}

#[test]
fn a_webhook_completes_what_the_page_did_not() {
    run(async {
        let world = World::new().await;
        let (id, link_token) = world.link_token("acme", "hris").await;
        let public_token = world.dialog(&link_token, "k1").await;
        let (merge_id, origin_id, token) = delivered(&world).await;
        let event = LinkedEvent {
            merge_id: &merge_id,
            end_user_origin_id: &origin_id,
            category: "hris",
            is_relink: false,
            token: Some(&token),
        };
        let now = Timestamp::now();
        // Believed by nobody: another origin id, another category.
        for (origin, category) in [("globex_hris", "hris"), (origin_id.as_str(), "ats"), ("", "hris")] {
            let forged = LinkedEvent { end_user_origin_id: origin, category, ..event.clone() };
            let outcome = world.linking.linked(&forged, now).await.unwrap();
            assert_eq!(outcome, Admission::Refused(Refusal::NotOurs));
        }
        let Admission::Created(account) = world.linking.linked(&event, now).await.unwrap() else {
            panic!("not created")
        };
        assert_eq!(account.id, account_id(&id));
        let calls = world.calls("account-details").await;
        assert_eq!(world.linking.linked(&event, now).await.unwrap(), Admission::Unchanged(account));
        assert_eq!(world.calls("account-details").await, calls, "the same token again needs no call");
        // The page's word comes late: the same account, no second one, no relink.
        let answer = world.exchange("acme", &public_token).await;
        assert_eq!(answer.clone().expect(201)["id"], json!(id));
        assert_eq!(world.list("acme").await.len(), 1);
    });
}

#[test]
fn an_event_of_an_account_that_is_gone_stores_nothing() {
    run(async {
        // In the form without uuid an old event names the new reservation as well.
        let world = World::with(&[("ORIGIN_ID_STRATEGY", "one_per_category")]).await;
        let (_, link_token) = world.link_token("acme", "hris").await;
        world.dialog(&link_token, "k1").await;
        let (merge_id, origin_id, token) = delivered(&world).await;
        assert_eq!(origin_id, "acme_hris");
        world.control("POST", &format!("/_sandbox/accounts/{merge_id}/remove"), json!({})).await;
        let event = LinkedEvent {
            merge_id: &merge_id,
            end_user_origin_id: &origin_id,
            category: "hris",
            is_relink: false,
            token: Some(&token),
        };
        let before = world.rows("ORG#acme").await;
        let outcome = world.linking.linked(&event, Timestamp::now()).await.unwrap();
        assert_eq!(outcome, Admission::Refused(Refusal::Gone));
        assert_eq!(world.rows("ORG#acme").await, before);
    });
}

#[test]
fn one_per_category_refuses_the_second() {
    run(async {
        let world = World::with(&[("ORIGIN_ID_STRATEGY", "one_per_category")]).await;
        let id = world.connect("acme", "k1").await;
        let ask = || world.ask("acme", "POST /v1/link-tokens", json!({"category": "hris"}));
        ask().await.refused(409, "already_connected");
        world.ask("acme", &format!("DELETE /v1/linked-accounts/{id}"), Value::Null).await.expect(202);
        ask().await.refused(409, "disconnecting");
    });
}
