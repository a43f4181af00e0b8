//! Lists: accounts, one account, issues, and who must act.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use super::{tether, tether_that_may_say};
use crate::harness::{BOUND, Connected, Setup, SharedStack, System, alone, until};

static STACK: SharedStack = SharedStack::new(Setup::default);

#[test]
fn accounts_are_listed_by_what_they_are() {
    STACK.run(async |system| {
        let organization = "org_lists";
        let api = system.api(organization).await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        let all = tether(system, &["accounts", "--json"]).await.expect(0);
        let named = all.lines().into_iter().filter(|line| line["id"] == account.id.as_str()).count();
        assert_eq!(named, 1, "everybody's, by the index");

        let of = |more: &[&'static str]| [&["accounts", "--organization", organization, "--json"][..], more].concat();
        let line = tether(system, &of(&[])).await.expect(0).value();
        assert_eq!(line["organization"], organization);
        assert_eq!((&line["merge_id"], &line["health"]["state"]), (&json!(account.merge_id), &json!("healthy")));
        assert_eq!(tether(system, &of(&["--health", "healthy", "--category", "hris"])).await.lines().len(), 1);
        for none in [["--category", "ats"], ["--health", "paused"], ["--actor", "end_user"], ["--status", "DELETED"]] {
            assert!(tether(system, &of(&none)).await.expect(0).lines().is_empty(), "{none:?}");
        }
        let text = tether(system, &["accounts", "--organization", organization]).await.expect(0).text;
        assert!(text.starts_with("ACCOUNT") && text.contains(&account.id) && text.ends_with("1 accounts\n"), "{text}");
    });
}

#[test]
fn one_account_is_shown_with_its_models_and_windows() {
    STACK.run(async |system| {
        let api = system.api("org_one").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        let shown = tether(system, &["account", &account.id, "--windows", "--json"]).await.expect(0).value();
        let models = shown["models"].as_array().expect("models");
        assert_eq!(models.len(), 16, "{shown:#}");
        let employees = models.iter().find(|model| model["model_id"] == "hris.Employee").expect("employees");
        assert_eq!((&employees["records"], employees["windows"].as_array().map(Vec::len)), (&json!(60), Some(1)));
        let text = tether(system, &["account", &account.id, "--windows", "--events", "100"]).await.expect(0).text;
        assert!(text.contains("hris.Employee") && text.contains("connected"), "{text}");
        let unknown = "3f1d3a52-6a0e-4f1c-9b1e-2a5a7a1c0d11";
        assert_eq!(tether(system, &["account", unknown]).await.code, 3);
    });
}

/// Has Merge make another token of the account's, so that ours is refused, as when somebody does so in its dashboard.
async fn revoke(system: &System, account: &Connected) {
    let merge = system.ready().sandbox.trim_end_matches("/_sandbox");
    let regenerate = system.http().post(format!("{merge}/api/hris/v1/account-token/regenerate"));
    let regenerate = regenerate.bearer_auth("dev-api-key").header("x-account-token", &account.account_token);
    let answer = regenerate.send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
}

#[test]
fn a_link_is_given_for_accounts_whose_token_is_of_no_use() {
    let setup = || Setup::default().without_schedule();
    alone(setup, async |system| {
        let organization = "org_tokenless";
        let api = system.api(organization).await;
        let mut accounts = Vec::new();
        for _ in 0..3 {
            let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
            system.sandbox().act(&account.merge_id, "issue", json!({"kind": "bad_api_key"})).await;
            api.until_health(&account.id, "action_needed", Some("bad_api_key")).await;
            accounts.push(account);
        }
        let [revoked, damaged, unknown] = &accounts[..] else { panic!("three accounts") };
        system.webhooks_settled().await;
        system.idle().await;
        // From here on nobody but the tool looks at them.
        system.sandbox().webhook_mode("drop").await;
        revoke(system, revoked).await;
        let set = async |account: &Connected, attribute: &str, value: AttributeValue| {
            let sk = format!("ACCOUNT#{}", account.id);
            system.tables().set(&format!("ORG#{organization}"), &sk, attribute, value).await;
        };
        set(damaged, "token", AttributeValue::B(Blob::new("damaged"))).await;
        // Merge knows nothing of this one, which keeps no other from its link.
        set(unknown, "merge_id", AttributeValue::S("3f1d3a52-6a0e-4f1c-9b1e-2a5a7a1c0d11".to_owned())).await;

        let inbox = ["inbox", "--organization", organization, "--links", "--json"];
        let tasks = tether_that_may_say(system, &inbox, &["link token"]).await.expect(3).lines();
        let linked = |account: &Connected| {
            let task = tasks.iter().find(|task| task["account"] == account.id.as_str()).expect("a task");
            task["reconnect_link"].as_str().is_some_and(|link| link.starts_with("http"))
        };
        assert_eq!((linked(revoked), linked(damaged), linked(unknown)), (true, true, false), "{tasks:?}");
    });
}

#[test]
fn issues_and_whoever_must_act_are_listed() {
    STACK.run(async |system| {
        let organization = "org_inbox";
        let api = system.api(organization).await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        let of = |command: &'static str, more: &[&'static str]| {
            [&[command, "--organization", organization, "--json"][..], more].concat()
        };
        assert!(tether(system, &of("inbox", &[])).await.expect(0).lines().is_empty());
        system.sandbox().act(&account.merge_id, "issue", json!({"kind": "bad_api_key"})).await;
        until("the issue has arrived", BOUND, async || {
            let shown = api.account(&account.id).await;
            if shown["health"]["reason"] == "bad_api_key" { Ok(()) } else { Err(shown.to_string()) }
        })
        .await;

        let issue = tether(system, &of("issues", &["--type", "bad_api_key"])).await.expect(0).value();
        assert_eq!((&issue["account"], &issue["type"]), (&json!(account.id), &json!("bad_api_key")));
        assert!(tether(system, &of("issues", &["--type", "expired_mfa"])).await.expect(0).lines().is_empty());
        let elsewhere = ["issues", "--organization", "org_nobody", "--json"];
        assert!(tether(system, &elsewhere).await.expect(0).lines().is_empty());

        let task = tether(system, &of("inbox", &["--actor", "end_user"])).await.expect(0).value();
        assert_eq!((&task["reason"], &task["reconnect_link"]), (&json!("bad_api_key"), &json!(null)));
        let linked = tether_that_may_say(system, &of("inbox", &["--links"]), &["link token"]).await.expect(0).value();
        assert!(linked["reconnect_link"].as_str().is_some_and(|link| link.starts_with("http")), "{linked}");
        // A finding for a person, not for the operator.
        let (code, found) = super::findings(system, &["--organization", organization]).await;
        assert_eq!((code, found), (1, super::one("health", "")));

        // Somebody knows of it: nobody has anything to do any more, until it comes back.
        let id = issue["issue"].as_str().expect("an id");
        let ack = ["issues", "ack", id, "--json"];
        let meant = [&ack[..], &["--yes"]].concat();
        tether(system, &ack).await.expect(3);
        let dry = tether(system, &[&ack[..], &["--dry-run"]].concat()).await.expect(0).value();
        assert_eq!(dry["acknowledged"], false);
        assert_eq!(tether(system, &of("issues", &[])).await.expect(0).lines().len(), 1, "neither changes anything");
        let said = tether(system, &meant).await.expect(0).value();
        assert_eq!((&said["acknowledged"], &said["account"]), (&json!(true), &json!(account.id)));
        assert_eq!(super::operators_event(system, &account, "issue_acknowledged").await["kind"], "bad_api_key");
        assert!(tether(system, &of("issues", &[])).await.expect(0).lines().is_empty());
        assert_eq!(tether(system, &of("issues", &["--acknowledged"])).await.expect(0).value()["issue"], id);
        assert!(tether(system, &of("inbox", &[])).await.expect(0).lines().is_empty());
        assert_eq!(api.account(&account.id).await["health"]["state"], "healthy");
        let again = tether(system, &[&meant[..], &["--account", account.id.as_str()]].concat()).await.expect(0).value();
        assert_eq!(again["acknowledged"], false, "once is enough");
        tether(system, &["issues", "ack", "nobodys", "--yes"]).await.expect(3);
        system.sandbox().act(&account.merge_id, "resolve-issue", json!({})).await;
    });
}
