//! Interruptions: a command that is killed in the middle and run again completes, and does nothing twice that matters.

use std::fs;

use super::letters::{bury, groups, synced};
use super::process::Process;
use super::rotate::{Notes, token};
use super::{rows, tether, undisturbed};
use crate::harness::tables::text;
use crate::harness::{BOUND, Connected, Setup, System, all_equal, alone, until};

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
    });
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
        until("the first letter is sent again", BOUND, async || match told(system, &accounts, "dead_letter").await {
            0 => Err("none".to_owned()),
            _ => Ok(()),
        })
        .await;
        process.kill();
        let before = told(system, &accounts, "dead_letter").await;
        assert!(before < 6, "it was in the middle");
        let done = tether(system, &["dead-letters", "redrive", "--yes", "--json"]).await.expect(0).value();
        let done = done["redriven"].as_u64().unwrap_or_default() as usize;
        assert!(done + before >= 6 && done < 6, "{done} after {before}");
        assert_eq!(groups(system).await, Vec::<(String, u64)>::new());
        let depths = system.stack.queue_depths().await;
        assert_eq!(depths["SyncDeadLetterQueue"], Default::default(), "not one is left");
    });
}
