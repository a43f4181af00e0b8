//! Rotations: every account has a new token that works, one whose answer was lost is named, and nothing is done twice.

use std::fs;
use std::path::PathBuf;

use serde_json::json;
use uuid::Uuid;

use super::process::Process;
use super::{operators_event, tether};
use crate::harness::{BOUND, Connected, Delivery, KEY, Setup, System, all_equal, alone, signed, until, webhook_keys};

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
        assert_eq!(done, json!({"reencrypted": 1, "done_before": 0, "refused": 0, "left": 0}));
        let after = ciphertext().await;
        assert_ne!(before, after);
        let again = tether(system, &rotate).await.expect(0).value();
        assert_eq!(again, json!({"reencrypted": 0, "done_before": 1, "refused": 0, "left": 0}));
        assert_eq!(ciphertext().await, after);
        assert_eq!(token(system, &account).await, account.account_token, "the token is the same");
        let checked = super::findings(system, &[&account.id, "--stale-after", "100000"]).await;
        assert_eq!(checked, (0, Default::default()), "and opens");
    });
}

/// What the webhook answers to a genuine event about nobody that is signed with `key`.
async fn answered(system: &System, key: &str) -> u16 {
    let body = json!({"hook": {"event": "Universe.ended"}, "n": Uuid::new_v4()}).to_string().into_bytes();
    let signature = signed(&body, key);
    Delivery { body, signature: Some(&signature) }.post(system).await.0
}

#[test]
fn a_webhook_key_is_replaced_and_none_is_refused_meanwhile() {
    let quiet = || Setup::default().without_schedule();
    alone(quiet, async |system| {
        const NEW: &str = "a-newer-webhook-key";
        system.secrets().plant("webhook key", NEW);
        let file = Notes::new();
        let path = file.path();
        fs::write(&path, format!("{NEW}\n")).expect("a file");
        let begin = ["rotate", "webhook-key", "--key-file", &path];
        let meant = [&begin[..], &["--yes"]].concat();
        let keys = webhook_keys(system).await;
        tether(system, &begin).await.expect(3);
        let planned = tether(system, &[&begin[..], &["--dry-run", "--json"]].concat()).await.expect(0).value();
        assert_eq!(planned, json!({"message": "would put the key first"}));
        assert_eq!(webhook_keys(system).await, keys, "neither changes anything");
        assert_eq!((answered(system, KEY).await, answered(system, NEW).await), (200, 401));

        // Killed while it waits for the webhook to take the new key; a process of the webhook's that was just asked
        // about a key that it does not know looks again after a while only.
        let process = Process::start(system, &meant);
        until("the key is in the secret", BOUND, async || {
            if webhook_keys(system).await.contains(NEW) { Ok(()) } else { Err("it is not".to_owned()) }
        })
        .await;
        process.kill();
        system.stack.kill_workers("webhook");
        let said = tether(system, &meant).await.expect(0).text;
        assert!(said.contains("--finish"), "it says how it goes on: {said}");
        assert_eq!((answered(system, KEY).await, answered(system, NEW).await), (200, 200), "both are taken");
        let both = webhook_keys(system).await;
        assert_eq!(both, json!([NEW, KEY]).to_string(), "the newest first");
        tether(system, &meant).await.expect(0);
        assert_eq!(webhook_keys(system).await, both, "once is enough");

        // Merge signs with it now: the old one goes.
        let finish = ["rotate", "webhook-key", "--finish"];
        tether(system, &finish).await.expect(3);
        assert_eq!(webhook_keys(system).await, both);
        tether(system, &[&finish[..], &["--yes"]].concat()).await.expect(0);
        assert_eq!(webhook_keys(system).await, json!([NEW]).to_string());
        system.stack.kill_workers("webhook");
        until("the old key is refused", BOUND, async || match answered(system, KEY).await {
            401 => Ok(()),
            status => Err(format!("answered {status}")),
        })
        .await;
        assert_eq!(answered(system, NEW).await, 200);
        let said = tether(system, &[&finish[..], &["--yes"]].concat()).await.expect(0).text;
        assert!(said.contains("one key only"), "{said}");
    });
}
