//! Tenancy: an account belongs to the organization whose claim asked for it, whatever else a request says, and whatever
//! Merge answers. Ids and routes have a matrix of their own.

use reqwest::Method;
use serde_json::json;

use crate::harness::{BOUND, Outcome, Setup, SharedStack, System, alone};

static STACK: SharedStack = SharedStack::new(Setup::default);

#[test]
fn checklist_17_the_claim_names_the_organization_and_nothing_else_does() {
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
fn checklist_15_another_organizations_public_token_gets_nothing() {
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

#[test]
fn checklist_16_a_token_that_opens_another_organizations_account_is_refused() {
    // With Merge's silent duplicates a dialog of one organization ends with a token for the other's account.
    alone(
        || Setup::default().sandbox(json!({"duplicates": "silent"})),
        async |system| {
            let owner = system.api("org_owner").await;
            let (link_token, id) = owner.link_token("hris").await;
            let public_token = link_as(system, &link_token).await;
            let body = |token: &str| json!({"public_token": token, "category": "hris"});
            owner.call(Method::POST, "/v1/linked-accounts", Some(body(&public_token))).await;
            system.synced(&owner, &id, BOUND).await;
            let account = system.connected(&owner, "hris", &id).await;
            system.idle().await;
            let before = owner.account(&id).await;

            let other = system.api("org_other").await;
            let (link_token, _) = other.link_token("hris").await;
            let public_token = link_as(system, &link_token).await;
            let refused = other.post("/v1/linked-accounts", body(&public_token), 404).await;
            assert_eq!(refused["code"], "not_found");
            system.webhooks_settled().await;
            system.idle().await;

            let incomplete = other.accounts().await;
            assert!(incomplete.iter().all(|account| account["status"] == "INCOMPLETE"), "{incomplete:?}");
            let after = owner.account(&id).await;
            for name in ["id", "status", "display_name", "created_at", "records"] {
                assert_eq!(after[name], before[name], "the owner's {name} is as it was");
            }
            let at_merge = system.sandbox().account(&account.merge_id).await.expect("nothing was deleted at Merge");
            assert_eq!(at_merge["account_token"], account.account_token.as_str());
            assert_eq!(system.counted_by("ForeignPublicToken", "not_ours"), 1, "it is a security event");
        },
    );
}

/// Finishes the dialog with credentials that both organizations use.
async fn link_as(system: &System, link_token: &str) -> String {
    let attempt = json!({"link_token": link_token, "integration_slug": "bamboohr", "outcome": "success",
        "credentials": {"subdomain": "same"}});
    let ended = system.sandbox().post("/link", attempt).await;
    let token = ended["public_token"].as_str().expect("a public token").to_owned();
    system.secrets().plant("public token", &token);
    token
}
