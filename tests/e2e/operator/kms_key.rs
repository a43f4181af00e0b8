//! Another key for account tokens: a stack moves to it while it works, in a job that may be killed, until the key
//! before is needed for nothing and may be disabled.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_kms::Client;
use reqwest::Method;
use serde_json::{Value, json};
use shared::config::aws::{Aws, sdk_config_as};

use super::process::Process;
use super::tether;
use crate::harness::tables::text;
use crate::harness::{Api, BOUND, Connected, Setup, System, all_equal, alone, until};

// On this machine a key is called by its alias. The deployment is that of after the switch from the start: until then
// both names mean the same key.
const CURRENT: &str = "alias/tokens";
const PREVIOUS: &str = "alias/tokens-before";

fn arn(alias: &str) -> String {
    format!("arn:aws:kms:us-east-1:000000000000:{alias}")
}

/// Nothing but the exchange may complete a relink, for its own right to use the previous key is to be seen. What a killed
/// worker had in hand comes back within the tests' patience.
fn moving() -> Setup {
    let setup = Setup::default().without_webhooks().visibility_seconds(30);
    setup.parameter("TokenKeyArn", &arn(CURRENT)).parameter("PreviousTokenKeyArn", &arn(PREVIOUS))
}

fn kms(system: &System) -> Client {
    let ready = system.ready();
    let aws = Aws { region: ready.region.clone(), endpoint_url: Some(ready.aws.clone()) };
    let credentials = aws_sdk_kms::config::Credentials::new("test", "test", None, None, "e2e");
    Client::new(&sdk_config_as(&aws, credentials).expect("a configuration"))
}

async fn key(kms: &Client) -> String {
    kms.create_key().send().await.expect("a key").key_metadata.expect("its id").key_id
}

/// The ciphertexts of an organization's account tokens, by account.
async fn ciphertexts(system: &System, organization: &str) -> BTreeMap<String, Blob> {
    let rows = system.tables().partition(&format!("ORG#{organization}")).await;
    let rows = rows.into_iter().filter(|row| text(row, "sk").starts_with("ACCOUNT#"));
    rows.map(|row| (text(&row, "sk"), row["token"].as_b().expect("bytes").clone())).collect()
}

/// No process may still hold a token that it opened before.
fn forget(system: &System) {
    ["accounts", "exchange", "sync-worker"].into_iter().for_each(|binary| system.stack.kill_workers(binary));
}

/// Each function that opens tokens opens one: what changes at Merge arrives, Merge is asked on request, a relink is
/// taken.
async fn works(system: &System, api: &Api<'_>, [synced, asked, relinked]: [(&Connected, &str, &str); 3]) {
    let (account, _, model) = synced;
    system.sandbox().mark(&account.merge_id, "mutate", model, 3).await;
    system.sandbox().start_sync(&account.merge_id).await;
    until("the changes arrive", BOUND, async || all_equal(system, api, account, &[model]).await).await;

    let (account, category, _) = asked;
    let route = format!("GET /api/{category}/v1/sync-status");
    let calls = system.sandbox().calls(&route).await;
    let path = format!("/v1/linked-accounts/{}/sync-status?refresh=true", account.id);
    until("a process that is alive answers", BOUND, async || {
        let answer = api.call(Method::GET, &path, None).await;
        if answer.status == 200 { Ok(()) } else { Err(answer.body) }
    })
    .await;
    assert!(system.sandbox().calls(&route).await > calls, "Merge was asked with the account's token");

    let (account, category, integration) = relinked;
    system.relink(api, account, category, integration).await;
    api.until_health(&account.id, "healthy", None).await;
    system.idle().await;
}

#[test]
fn tokens_move_to_another_key_while_everything_works() {
    alone(moving, async |system| {
        let organization = "org_other_key";
        // A worker that is killed in the middle of a look.
        system.announce("Runtime.ExitError");
        let (api, kms) = (system.api(organization).await, kms(system));
        let (old, new) = (key(&kms).await, key(&kms).await);
        for alias in [CURRENT, PREVIOUS] {
            kms.create_alias().alias_name(alias).target_key_id(&old).send().await.expect("an alias");
        }
        let systems = [
            ("hris", "bamboohr"),
            ("ats", "greenhouse"),
            ("crm", "hubspot"),
            ("accounting", "xero"),
            ("ticketing", "jira"),
        ];
        let mut accounts = Vec::new();
        for (category, integration) in systems {
            accounts.push(system.connect_and_sync(&api, category, integration).await);
        }
        let [hris, ats, crm, accounting, ticketing] = &accounts[..] else { panic!("five accounts") };
        system.idle().await;

        // The switch.
        kms.update_alias().alias_name(CURRENT).target_key_id(&new).send().await.expect("the other key");
        forget(system);
        let three = [(hris, "hris", "hris.Employee"), (ats, "ats", "ats.Candidate"), (ticketing, "ticketing", "jira")];
        works(system, &api, three).await;

        // How much is still under the key before; a count changes nothing.
        let before = ciphertexts(system, organization).await;
        let count = ["rotate", "kms-key", "--dry-run", "--json"];
        let counted = tether(system, &count).await.expect(0).value();
        let (left, done) = (number(&counted, "left"), number(&counted, "done_before"));
        assert!(left >= 4 && left + done == 5, "{counted}");
        assert_eq!(ciphertexts(system, organization).await, before);

        // Killed in the middle, and run again: what is done is known by the ciphertexts alone.
        let line = ["rotate", "kms-key", "--yes", "--json"];
        let process = Process::start(system, &[&line[..], &["--rate", "1"]].concat());
        until("a token is moved", BOUND, async || {
            if ciphertexts(system, organization).await == before { Err("none is".to_owned()) } else { Ok(()) }
        })
        .await;
        process.kill();
        let moved = tether(system, &line).await.expect(0).value();
        let (again, done) = (number(&moved, "reencrypted"), number(&moved, "done_before"));
        assert!(again < left && again + done == 5, "{left} were left: {moved}");
        assert_eq!((number(&moved, "refused"), number(&moved, "left")), (0, 0), "{moved}");
        let counted = tether(system, &count).await.expect(0).value();
        assert_eq!(counted, json!({"reencrypted": 0, "done_before": 5, "refused": 0, "left": 0}));

        // Nothing needs the key before.
        kms.disable_key().key_id(&old).send().await.expect("it is disabled");
        forget(system);
        let others = [(hris, "hris", "hris.Employee"), (accounting, "accounting", ""), (crm, "crm", "hubspot")];
        works(system, &api, others).await;
        let checked = super::findings(system, &["--organization", organization, "--stale-after", "100000"]).await;
        assert_eq!(checked.1.into_iter().filter(|(check, _)| check == "token").count(), 0);
    });
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("no number {name}: {value}"))
}
