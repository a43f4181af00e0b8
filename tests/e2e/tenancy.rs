//! Tenancy: what is another organization's does not exist, by any route, id or token.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{BOUND, Outcome, Setup, SharedStack, alone};

static STACK: SharedStack = SharedStack::new(Setup::default);

const UNKNOWN: &str = "7a1d6f2e-5b0c-4f7e-9c41-2f3a8f1e0b9d";

fn routes() -> Vec<(Method, &'static str, Option<Value>)> {
    vec![
        (Method::GET, "", None),
        (Method::GET, "/sync-status", None),
        (Method::GET, "/sync-status?refresh=true", None),
        (Method::GET, "/events", None),
        (Method::GET, "/records/hris.Employee", None),
        (Method::GET, "/records/hris.Employee?include_deleted=true&limit=1000", None),
        (Method::GET, "/changes", None),
        (Method::GET, "/changes?cursor=now", None),
        (Method::POST, "/sync", Some(json!({}))),
        (Method::POST, "/sync", Some(json!({"mode": "full"}))),
        (Method::POST, "/relink", Some(json!({}))),
        (Method::PATCH, "", Some(json!({"display_name": "mine now"}))),
        (Method::DELETE, "", None),
    ]
}

#[test]
fn an_account_of_another_organization_is_an_unknown_one_on_every_route() {
    STACK.run(async |system| {
        let acme = system.api("org_acme").await;
        let account = system.connect_and_sync(&acme, "hris", "bamboohr").await;
        let before = acme.account(&account.id).await;
        let globex = system.api("org_globex").await;
        for (method, rest, body) in routes() {
            let foreign = format!("/v1/linked-accounts/{}{rest}", account.id);
            let unknown = format!("/v1/linked-accounts/{UNKNOWN}{rest}");
            let foreign = globex.call(method.clone(), &foreign, body.clone()).await;
            let unknown = globex.call(method.clone(), &unknown, body.clone()).await;
            assert_eq!(foreign.status, 404, "{method} {rest}: {foreign:?}");
            assert_eq!(foreign.without_request_id(), unknown.without_request_id(), "{method} {rest}");
        }
        assert!(globex.accounts().await.is_empty());
        let listed = globex.get(&format!("/v1/linked-accounts?duplicates_of={}", account.id), 404).await;
        let nobody = globex.get(&format!("/v1/linked-accounts?duplicates_of={UNKNOWN}"), 404).await;
        assert_eq!(listed["code"], nobody["code"]);

        let after = acme.account(&account.id).await;
        let facts = |account: &Value| (account["status"].clone(), account["display_name"].clone());
        assert_eq!(facts(&after), facts(&before), "Acme's account is as it was");
        assert!(system.sandbox().account(&account.merge_id).await.is_some());
    });
}

#[test]
fn the_claim_names_the_organization_and_nothing_else_does() {
    STACK.run(async |system| {
        let acme = system.api("org_acme_claim").await;
        let account = system.connect_and_sync(&acme, "hris", "bamboohr").await;
        let globex = system.api("org_globex_claim").await;
        let path = format!("/v1/linked-accounts/{}", account.id);
        let by_query = "?organization_id=org_acme_claim&org_id=org_acme_claim";
        globex.get(&format!("{path}{by_query}"), 404).await;
        let listed = globex.get(&format!("/v1/linked-accounts{by_query}"), 200).await;
        assert_eq!(listed["results"], json!([]));
        // A field that does not exist is a mistake, not an organization.
        let body = json!({"category": "hris", "organization_id": "org_acme_claim"});
        globex.post("/v1/link-tokens", body, 400).await;
        let header = [("Tether-Organization", "org_acme_claim")];
        let answer = globex.call_with(Method::GET, &path, &header).await;
        assert_eq!(answer.status, 404, "the header counts only on tokens that may act: {answer:?}");

        let scope = "tether/organizations:act tether/linked-accounts:read";
        let service = system.api_with_scope("org_service", Some(scope)).await;
        let answer = service.call_with(Method::GET, &path, &header).await;
        assert_eq!(answer.status, 200, "the SaaS's own services may act for an organization: {answer:?}");
    });
}

#[test]
fn another_organizations_public_token_gets_nothing() {
    // Alone, because the calls to Merge are counted.
    alone(Setup::default, async |system| {
        let victim = system.api("org_victim").await;
        let thief = system.api("org_thief").await;
        let (link_token, id) = victim.link_token("hris").await;
        let public_token = system.sandbox().link(&link_token, "bamboohr", Outcome::Success).await;
        let public_token = public_token.expect("a public token");
        let body = json!({"public_token": public_token, "category": "hris"});

        // Without an attempt of its own Merge is not even asked.
        let route = "GET /api/hris/v1/account-token/{token}";
        let asked = system.sandbox().calls(route).await;
        thief.post("/v1/linked-accounts", body.clone(), 404).await;
        assert_eq!(system.sandbox().calls(route).await, asked);

        // With one, the token opens an account that is not the one it reserved.
        thief.link_token("hris").await;
        let refused = thief.post("/v1/linked-accounts", body.clone(), 404).await;
        assert_eq!(refused["code"], "not_found");
        // Merge takes a token once, so that a repeat is like any token that never was one.
        let again = thief.post("/v1/linked-accounts", body, 400).await;
        assert_eq!(again["code"], "public_token_invalid");
        let noted =
            system.stack.logs().iter().filter(|line| line.line.contains("a public token of somebody else")).count();
        assert!(noted >= 1, "it is a security event");
        let rows = system.tables().partition("ORG#org_thief").await;
        let accounts = rows.iter().filter(|row| crate::harness::tables::text(row, "sk").starts_with("ACCOUNT#"));
        assert_eq!(accounts.count(), 0, "no account of the thief's");
        let incomplete = thief.accounts().await;
        assert!(incomplete.iter().all(|account| account["status"] == "INCOMPLETE"), "{incomplete:?}");

        // The victim loses nothing: Merge's own word completes the connection.
        let account = system.synced(&victim, &id, BOUND).await;
        assert_eq!(account["status"], "COMPLETE");
        assert!(
            system.sandbox().account_for("org_victim", "hris", &id).await.is_some(),
            "nothing was deleted at Merge"
        );
    });
}
