//! The strategy of one account per category: the second is refused until the first is gone.

use serde_json::json;

use crate::harness::{BOUND, Outcome, Setup, SharedStack, until};

static STACK: SharedStack = SharedStack::new(|| Setup::default().parameter("OriginIdStrategy", "one_per_category"));

#[test]
fn a_connected_category_takes_no_second_account_until_the_first_is_deleted() {
    STACK.run(async |system| {
        let api = system.api("org_single").await;
        let (link_token, id) = api.link_token("hris").await;
        assert_eq!(system.sandbox().link(&link_token, "bamboohr", Outcome::Exit).await, None);
        assert_eq!(api.link_token("hris").await.1, id, "an abandoned attempt is taken up again");

        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        assert_eq!(account.id, id);
        assert_eq!(account.origin_id, "org_single_hris");
        let refused = api.post("/v1/link-tokens", json!({"category": "hris"}), 409).await;
        assert_eq!(refused["code"], "already_connected");
        api.link_token("ats").await;

        api.delete(&format!("/v1/linked-accounts/{id}"), 202).await;
        let refused = api.post("/v1/link-tokens", json!({"category": "hris"}), 409).await;
        assert_eq!(refused["code"], "disconnecting");
        system.erased(&api, &id, BOUND).await;
        let (_, next) = api.link_token("hris").await;
        assert_ne!(next, id, "another account");
    });
}

#[test]
fn relinking_the_one_account_is_no_second_connection() {
    STACK.run(async |system| {
        let api = system.api("org_single_relink").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.sandbox().act(&account.merge_id, "relink-needed", json!({})).await;
        until("the account asks to be relinked", BOUND, async || {
            let shown = api.account(&account.id).await;
            if shown["status"] == "RELINK_NEEDED" { Ok(()) } else { Err(shown.to_string()) }
        })
        .await;
        let link = api.post(&format!("/v1/linked-accounts/{}/relink", account.id), json!({}), 201).await;
        let link_token = link["link_token"].as_str().unwrap_or_default();
        let public_token = system.sandbox().link(link_token, "bamboohr", Outcome::Success).await;
        let body = json!({"public_token": public_token.expect("a public token"), "category": "hris"});
        let answer = api.post("/v1/linked-accounts", body, 200).await;
        assert_eq!(answer["id"], account.id.as_str());
    });
}
