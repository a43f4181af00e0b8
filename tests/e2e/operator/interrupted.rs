//! Interruptions: a command that is killed in the middle and run again completes, and does nothing twice that matters.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;

use super::letters::{bury, groups, synced};
use super::process::Process;
use super::rotate::{Notes, token};
use super::{rows, tether, undisturbed};
use crate::harness::tables::text;
use crate::harness::{BOUND, Connected, Random, Setup, System, all_equal, alone, until};

/// Three accounts of one organization that nothing works on.
async fn three(system: &System, organization: &str) -> Vec<Connected> {
    let api = system.api(organization).await;
    let mut accounts = Vec::new();
    for (category, integration) in [("hris", "bamboohr"), ("ats", "greenhouse"), ("crm", "hubspot")] {
        accounts.push(system.connect_and_sync(&api, category, integration).await);
    }
    system.idle().await;
    accounts
}

/// How many of the accounts have an event of this kind by the operator.
async fn told(system: &System, accounts: &[Connected], kind: &str) -> usize {
    let partitions: Vec<_> = accounts.iter().map(|account| format!("ACCOUNT#{}", account.id)).collect();
    let rows = system.tables().accounts().await;
    let told = rows.iter().filter(|row| {
        text(row, "kind") == kind
            && text(row, "actor").starts_with("operator:")
            && partitions.contains(&text(row, "pk"))
    });
    told.count()
}

#[test]
fn a_rotation_goes_on_and_no_token_is_made_twice() {
    alone(Setup::default, async |system| {
        let organization = "org_rotation_interrupted";
        let accounts = three(system, organization).await;
        let notes = Notes::new();
        let path = notes.path();
        let line = ["rotate", "account-token", "--all", "--organization", organization, "--state", &path, "--yes"];
        let process = Process::start(system, &line);
        until("the first account is noted", BOUND, async || {
            let noted = fs::read_to_string(&path).unwrap_or_default();
            if noted.contains("asked") { Ok(()) } else { Err(noted) }
        })
        .await;
        process.kill();
        let again = [&line[..], &["--json"]].concat();
        let done = tether(system, &again).await.expect(0).value();
        assert_eq!(done["rotated"].as_u64().zip(done["done_before"].as_u64()).map(|(a, b)| a + b), Some(3), "{done}");
        for (account, category) in accounts.iter().zip(["hris", "ats", "crm"]) {
            assert_ne!(token(system, account).await, account.account_token);
            let route = format!("POST /api/{category}/v1/account-token/regenerate");
            assert_eq!(system.sandbox().calls(&route).await, 1, "{category}");
        }
        let api = system.api(organization).await;
        system.sandbox().mark(&accounts[0].merge_id, "mutate", "hris.Employee", 3).await;
        system.sandbox().start_sync(&accounts[0].merge_id).await;
        until("the new token works", BOUND, async || all_equal(system, &api, &accounts[0], &["hris.Employee"]).await)
            .await;
        encrypted_again(system, organization).await;
    });
}

/// The ciphertexts of an organization's account tokens.
async fn ciphertexts(system: &System, organization: &str) -> Vec<AttributeValue> {
    let rows = system.tables().partition(&format!("ORG#{organization}")).await;
    rows.into_iter().filter(|row| text(row, "sk").starts_with("ACCOUNT#")).map(|row| row["token"].clone()).collect()
}

/// Encrypts the tokens of three accounts again, killed at a seeded point and taken up from there.
async fn encrypted_again(system: &System, organization: &str) {
    system.idle().await;
    let before = ciphertexts(system, organization).await;
    let point = Random::of("encrypted_again").within(1..3) as usize;
    let notes = Notes::new();
    let path = notes.path();
    let line = ["rotate", "kms-key", "--organization", organization, "--state", &path, "--yes"];
    let process = Process::start(system, &[&line[..], &["--rate", "1"]].concat());
    let noted = || fs::read_to_string(&path).unwrap_or_default().matches("done").count();
    until("some accounts are noted", BOUND, async || {
        let noted = noted();
        if noted >= point { Ok(()) } else { Err(format!("{noted} of {point}")) }
    })
    .await;
    process.kill();
    let noted = noted();
    assert!(noted < 3, "it was in the middle");
    let again = [&line[..], &["--json"]].concat();
    let done = tether(system, &again).await.expect(0).value();
    let done = ["done_before", "reencrypted", "refused"].map(|name| done[name].as_u64().unwrap_or(u64::MAX) as usize);
    assert_eq!(done, [noted, 3 - noted, 0]);
    let after = ciphertexts(system, organization).await;
    assert!(after.len() == 3 && after.iter().all(|ciphertext| !before.contains(ciphertext)), "all of them are new");
    let checked = super::findings(system, &["--organization", organization, "--stale-after", "100000"]).await;
    assert_eq!(checked, (0, Default::default()), "and open");
}

#[test]
fn a_replay_that_is_killed_is_run_again() {
    alone(Setup::default, async |system| {
        let organization = "org_replay_interrupted";
        let accounts = three(system, organization).await;
        let line =
            ["replay", "--all", "--organization", organization, "--since", "2020-01-01T00:00:00Z", "--rate", "1"];
        let line = [&line[..], &["--yes"]].concat();
        let process = Process::start(system, &line);
        until("the first account is replayed", BOUND, async || match told(system, &accounts, "sync_requested").await {
            0 => Err("none".to_owned()),
            _ => Ok(()),
        })
        .await;
        process.kill();
        assert!(told(system, &accounts, "sync_requested").await < 3, "it was in the middle");
        tether(system, &line).await.expect(0);
        for account in &accounts {
            super::operators_event(system, account, "sync_requested").await;
        }
        system.idle().await;
        // Everything was read again, and nothing was torn.
        assert_eq!(rows(system, &accounts[0], "WINDOW#hris.employees#").await.len(), 1, "up to the same end");
        for account in &accounts {
            undisturbed(system, organization, account).await;
        }
        let checked = super::findings(system, &["--organization", organization, "--stale-after", "100000"]).await;
        assert_eq!(checked, (0, Default::default()));
    });
}

#[test]
fn a_redrive_goes_on_with_what_it_had_in_its_hands() {
    alone(Setup::default, async |system| {
        let organization = "org_letters_interrupted";
        let accounts = three(system, organization).await;
        for account in accounts.iter().chain(&accounts) {
            bury(system, &account.merge_id, &synced(&account.merge_id)).await;
        }
        assert_eq!(groups(system).await, [("passing".to_owned(), 6)]);
        let line = ["dead-letters", "redrive", "--rate", "1", "--yes"];
        let process = Process::start(system, &line);
        // It is told before it is taken away: once there is a second one, the first is gone.
        until("the first letter is sent again", BOUND, async || match told(system, &accounts, "dead_letter").await {
            told @ 0..2 => Err(format!("{told}")),
            _ => Ok(()),
        })
        .await;
        process.kill();
        let before = told(system, &accounts, "dead_letter").await;
        assert!(before < 6, "it was in the middle");
        // What it hides is shown again in a minute, for which the other waits, too.
        discarded(system).await;
        let done = tether(system, &["dead-letters", "redrive", "--yes", "--json"]).await.expect(0).value();
        let done = done["redriven"].as_u64().unwrap_or_default() as usize;
        assert!(done + before >= 6 && done < 6, "{done} after {before}");
        assert!(told(system, &accounts, "dead_letter").await >= 6, "the timelines tell of each");
        assert_eq!(groups(system).await, Vec::<(String, u64)>::new());
        let depths = system.stack.queue_depths().await;
        assert_eq!(depths["SyncDeadLetterQueue"], Default::default(), "not one is left");
    });
}

/// Discards three letters that nobody can read, killed at a seeded point and run again.
async fn discarded(system: &System) {
    for group in ["poison-1", "poison-2", "poison-3"] {
        bury(system, group, r#"{"v":1,"type":"dance"}"#).await;
    }
    let kept = Notes::new();
    let path = kept.path();
    let line = ["dead-letters", "discard", "--cause", "unreadable", "--file", &path, "--yes"];
    let process = Process::start(system, &[&line[..], &["--rate", "1"]].concat());
    let point = Random::of("discarded").within(1..3) as usize;
    until("some letters are in the file", BOUND, async || {
        let lines = fs::read_to_string(&path).unwrap_or_default().lines().count();
        if lines >= point { Ok(()) } else { Err(format!("{lines} of {point}")) }
    })
    .await;
    process.kill();
    let lines = fs::read_to_string(&path).expect("the file").lines().count();
    assert!(lines < 3, "it was in the middle");
    // As if it had been killed in the middle of a line.
    let torn = r#"{"id":"torn"#;
    fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(torn.as_bytes()))
        .expect("a file");

    let done = tether(system, &[&line[..], &["--json"]].concat()).await.expect(0).value();
    let done = done["discarded"].as_u64().unwrap_or_default() as usize;
    assert!((3 - lines..=3 - lines + 1).contains(&done), "{done} after {lines}");
    let text = fs::read_to_string(&path).expect("the file");
    let (whole, cut): (Vec<_>, Vec<_>) = text.lines().map(serde_json::from_str::<Value>).partition(|line| line.is_ok());
    let ids: BTreeSet<_> = whole.into_iter().flatten().map(|line| line["id"].to_string()).collect();
    assert_eq!((ids.len(), cut.len()), (3, 1), "each is in the file: {text}");
}
