//! The doctor: a sound account has no finding; each broken state has its own, and no other.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use super::rotate::Notes;
use super::{findings, one, operators_event, rows, tether, tether_that_may_say, undisturbed};
use crate::harness::tables::text;
use crate::harness::{BOUND, Connected, Setup, SharedStack, System, until};

static STACK: SharedStack = SharedStack::new(Setup::default);

const FINE: u8 = 0;
const WARNING: u8 = 1;
const BROKEN: u8 = 2;

/// Longer than any test: what Merge finished meanwhile is not stale.
const NEVER_STALE: [&str; 2] = ["--stale-after", "100000"];

async fn connected(system: &System, organization: &str) -> Connected {
    let api = system.api(organization).await;
    let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
    system.idle().await;
    undisturbed(system, organization, &account).await;
    account
}

async fn of_account(system: &System, account: &Connected) -> (u8, std::collections::BTreeSet<(String, String)>) {
    findings(system, &[&[account.id.as_str()][..], &NEVER_STALE].concat()).await
}

#[test]
fn a_sound_account_has_no_finding() {
    STACK.run(async |system| {
        let organization = "org_doctor_sound";
        let account = connected(system, organization).await;
        assert_eq!(of_account(system, &account).await, (FINE, Default::default()), "with a sample of its records");
        let all = findings(system, &[&["--organization", organization][..], &NEVER_STALE].concat()).await;
        assert_eq!(all, (FINE, Default::default()));
        let said = tether(system, &["doctor", "--organization", organization, "--stale-after", "100000"]).await;
        assert_eq!(said.expect(FINE).text, "nothing is wrong (1 accounts checked)\n");
    });
}

#[test]
fn a_hole_in_the_windows_is_named_and_a_replay_closes_it() {
    STACK.run(async |system| {
        let organization = "org_doctor_hole";
        let api = system.api(organization).await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.sandbox().mark(&account.merge_id, "mutate", "hris.Employee", 5).await;
        system.sandbox().start_sync(&account.merge_id).await;
        let windows = until("the second window is finished", BOUND, async || {
            let windows = rows(system, &account, "WINDOW#hris.employees#").await;
            if windows.len() == 2 { Ok(windows) } else { Err(format!("{windows:?}")) }
        })
        .await;
        system.idle().await;
        undisturbed(system, organization, &account).await;
        assert_eq!(of_account(system, &account).await.0, FINE);

        // The second begins after the first ended.
        let ends: Vec<&str> = windows.iter().filter_map(|sk| sk.rsplit('#').next()).collect();
        let partition = format!("ACCOUNT#{}", account.id);
        let later = AttributeValue::S(ends[1].to_owned());
        system.tables().set(&partition, &windows[1], "after", later).await;
        assert_eq!(of_account(system, &account).await, (BROKEN, one("tiling", "hris.Employee")));
        let said = tether(system, &["doctor", &account.id, "--sample", "0"]).await;
        let from = ends[0].trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
        assert!(said.text.contains(from), "the hole is named by its ends: {}", said.text);

        // Its own advice mends it.
        let replay = ["replay", &account.id, "--model", "hris.Employee", "--since", ends[0], "--json"];
        let dry: Vec<_> = replay.into_iter().chain(["--dry-run"]).collect();
        let planned = tether(system, &dry).await.expect(FINE).value();
        assert_eq!((&planned["queued"], &planned["rewound"]), (&false.into(), &serde_json::json!(["hris.Employee"])));
        assert_eq!(of_account(system, &account).await.0, BROKEN, "a dry run changes nothing");
        tether(system, &replay).await.expect(3);
        let meant: Vec<_> = replay.into_iter().chain(["--yes"]).collect();
        tether(system, &meant).await.expect(FINE);
        until("the hole is closed", BOUND, async || match of_account(system, &account).await {
            (FINE, _) => Ok(()),
            (_, found) => Err(format!("{found:?}")),
        })
        .await;
        let events = system.tables().partition(&partition).await;
        let noted = events.iter().any(|item| text(item, "actor").starts_with("operator:"));
        assert!(noted, "the timeline says who did it");
    });
}

#[test]
fn a_stale_checkpoint_is_named() {
    STACK.run(async |system| {
        let account = connected(system, "org_doctor_stale").await;
        let before = AttributeValue::S("2020-01-01T00:00:00Z".to_owned());
        let partition = format!("ACCOUNT#{}", account.id);
        system.tables().set(&partition, "SYNC#hris.teams", "upper", before).await;
        assert_eq!(of_account(system, &account).await, (WARNING, one("checkpoint", "hris.Team")), "put back");
        let (code, found) = findings(system, &[&account.id, "--stale-after", "0"]).await;
        let both = &one("checkpoint", "hris.Team") | &one("freshness", "hris.Team");
        assert_eq!((code, found), (BROKEN, both), "and Merge has what we have not");

        let ahead = AttributeValue::S("2099-01-01T00:00:00Z".to_owned());
        system.tables().set(&partition, "SYNC#hris.teams", "upper", ahead).await;
        assert_eq!(of_account(system, &account).await, (BROKEN, one("checkpoint", "hris.Team")), "ahead of its data");
    });
}

#[test]
fn a_token_that_does_not_open_is_named() {
    STACK.run(async |system| {
        let organization = "org_doctor_token";
        let account = connected(system, organization).await;
        let (pk, sk) = (format!("ORG#{organization}"), format!("ACCOUNT#{}", account.id));
        let row = system.tables().partition(&pk).await.into_iter().find(|item| text(item, "sk") == sk);
        let token = row.expect("the account's row")["token"].clone();
        let damaged = AttributeValue::B(Blob::new(vec![7; 64]));
        system.tables().set(&pk, &sk, "token", damaged).await;
        assert_eq!(of_account(system, &account).await, (BROKEN, one("token", "")));

        // Its advice is good: a link is made without the token. That a relink was asked for is on record; else the
        // webhook that tells of it would be taken for a recording.
        let inbox = ["inbox", "--account", &account.id, "--json"];
        assert_eq!(tether(system, &inbox).await.expect(FINE).value()["reconnect_link"], serde_json::Value::Null);
        let links = [&inbox[..], &["--links"]].concat();
        let linked = tether_that_may_say(system, &links, &["link token"]).await.expect(FINE).value();
        assert!(linked["reconnect_link"].as_str().is_some_and(|link| link.starts_with("http")), "{linked}");
        operators_event(system, &account, "relink_started").await;

        // Nor does a rotation of the key pass over it in silence.
        let notes = Notes::new();
        let path = notes.path();
        let rotate = ["rotate", "kms-key", "--organization", organization, "--state", &path, "--json"];
        tether(system, &[&rotate[..], &["--dry-run"]].concat()).await.expect(FINE);
        assert!(!std::path::Path::new(&path).exists(), "a dry run leaves nothing");
        let said = tether(system, &[&rotate[..], &["--yes"]].concat()).await.expect(3).value();
        assert_eq!(said, serde_json::json!({"reencrypted": 0, "done_before": 0, "refused": 1, "left": 0}));
        system.tables().set(&pk, &sk, "status", AttributeValue::S("DELETED".to_owned())).await;
        assert_eq!(of_account(system, &account).await, (FINE, Default::default()), "nobody needs it any more");
        system.tables().set(&pk, &sk, "status", AttributeValue::S("COMPLETE".to_owned())).await;
        system.tables().set(&pk, &sk, "token", token).await;
        assert_eq!(of_account(system, &account).await, (FINE, Default::default()));
    });
}

#[test]
fn a_record_that_is_missing_is_found_by_the_sample() {
    STACK.run(async |system| {
        let account = connected(system, "org_doctor_sample").await;
        // As if an update had been lost: Merge's records are newer than ours by more than what may be on its way.
        let shard = system.tables().everything().await;
        let companies = format!("{}#hris.companies#", account.id);
        let record = shard.iter().find(|item| text(item, "pk").starts_with(&companies)).expect("a company");
        let (pk, sk) = (text(record, "pk"), text(record, "sk"));
        let old = AttributeValue::S("2000-01-01T00:00:00.000000000Z".to_owned());
        system.tables().set_record(&pk, &sk, "m", old).await;
        let (code, found) =
            findings(system, &[&[account.id.as_str(), "--sample", "16"][..], &NEVER_STALE].concat()).await;
        assert_eq!((code, found), (BROKEN, one("records", "hris.Company")));
    });
}
