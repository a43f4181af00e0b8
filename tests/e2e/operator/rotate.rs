//! Rotations: every account has a new token that works, one whose answer was lost is named, and nothing is done twice.

use std::fs;
use std::path::PathBuf;

use serde_json::json;
use uuid::Uuid;

use super::{operators_event, tether};
use crate::harness::{BOUND, Connected, Setup, System, all_equal, alone, until};

/// A file that is removed in the end.
pub struct Notes(PathBuf);

impl Notes {
    pub fn new() -> Self {
        Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("notes-{}", Uuid::new_v4())))
    }

    pub fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        if self.0.exists() {
            fs::remove_file(&self.0).expect("our own file");
        }
    }
}

/// The token as Merge has it now.
pub async fn token(system: &System, account: &Connected) -> String {
    let at_merge = system.sandbox().account(&account.merge_id).await.expect("Merge's account");
    at_merge["account_token"].as_str().expect("a token").to_owned()
}

#[test]
fn every_account_gets_a_new_token_once() {
    alone(Setup::default, async |system| {
        let organization = "org_tokens";
        let api = system.api(organization).await;
        let first = system.connect_and_sync(&api, "hris", "bamboohr").await;
        let second = system.connect_and_sync(&api, "ats", "greenhouse").await;
        system.idle().await;

        let notes = Notes::new();
        let path = notes.path();
        let all = ["rotate", "account-token", "--all", "--organization", organization, "--state", &path, "--json"];
        let meant = [&all[..], &["--yes"]].concat();
        tether(system, &all).await.expect(3);
        let planned = tether(system, &[&all[..], &["--dry-run"]].concat()).await.expect(0).value();
        assert_eq!(planned, json!({"would_rotate": 2}));
        assert_eq!(token(system, &first).await, first.account_token, "nothing was done yet");

        let done = tether(system, &meant).await.expect(0).value();
        assert_eq!(done, json!({"rotated": 2, "done_before": 0, "refused": 0, "waiting": 0}));
        let fresh = [token(system, &first).await, token(system, &second).await];
        assert_ne!(fresh, [first.account_token.clone(), second.account_token.clone()]);
        operators_event(system, &first, "token_rotation_requested").await;
        let again = tether(system, &meant).await.expect(0).value();
        assert_eq!(again, json!({"rotated": 0, "done_before": 2, "refused": 0, "waiting": 0}));
        assert_eq!([token(system, &first).await, token(system, &second).await], fresh, "once is enough");

        // What changes at Merge arrives with the new token.
        system.sandbox().mark(&first.merge_id, "mutate", "hris.Employee", 3).await;
        system.sandbox().start_sync(&first.merge_id).await;
        until("the changes arrive", BOUND, async || all_equal(system, &api, &first, &["hris.Employee"]).await).await;
    });
}

#[test]
fn a_token_whose_answer_was_lost_is_named() {
    alone(Setup::default, async |system| {
        system.announce("a message failed");
        let api = system.api("org_lost_token").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.idle().await;
        // Merge makes the token, and its answer never arrives.
        let route = "POST /api/hris/v1/account-token/regenerate";
        system.sandbox().post("/faults", json!({"route": route, "status": 502, "after": true, "times": 1})).await;
        let rotate = ["rotate", "account-token", &account.id, "--yes", "--json"];
        let said = tether(system, &rotate).await.expect(3).value();
        assert_eq!(said, json!({"rotated": 0, "done_before": 0, "refused": 1, "waiting": 0}));
        let task = tether(system, &["inbox", "--json"]).await.expect(0).value();
        assert_eq!((&task["account"], &task["actor"]), (&json!(account.id), &json!("end_user")));
    });
}

#[test]
fn every_token_is_encrypted_again_and_still_opens() {
    alone(Setup::default, async |system| {
        let api = system.api("org_kms").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.idle().await;
        let ciphertext = async || {
            let rows = system.tables().accounts().await;
            let sk = format!("ACCOUNT#{}", account.id);
            let row = rows.into_iter().find(|row| crate::harness::tables::text(row, "sk") == sk);
            row.expect("the account's row")["token"].clone()
        };
        let before = ciphertext().await;
        let notes = Notes::new();
        let path = notes.path();
        let rotate = ["rotate", "kms-key", "--state", &path, "--json", "--yes"];
        let done = tether(system, &rotate).await.expect(0).value();
        assert_eq!(done, json!({"reencrypted": 1, "done_before": 0, "refused": 0}));
        let after = ciphertext().await;
        assert_ne!(before, after);
        let again = tether(system, &rotate).await.expect(0).value();
        assert_eq!(again, json!({"reencrypted": 0, "done_before": 1, "refused": 0}));
        assert_eq!(ciphertext().await, after);
        assert_eq!(token(system, &account).await, account.account_token, "the token is the same");
        let checked = super::findings(system, &[&account.id, "--stale-after", "100000"]).await;
        assert_eq!(checked, (0, Default::default()), "and opens");
    });
}
