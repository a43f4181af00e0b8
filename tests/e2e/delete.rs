//! Delete: gone at Merge, gone here, and nothing that comes later brings anything back.

use reqwest::Method;
use serde_json::json;

use crate::harness::{BOUND, Connected, Setup, SharedStack, System, alone, until};

static STACK: SharedStack = SharedStack::new(Setup::default);

#[test]
fn checklist_39_a_deleted_account_leaves_its_receipt_and_nothing_else() {
    STACK.run(async |system| {
        let api = system.api("org_leaver").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        let path = format!("/v1/linked-accounts/{}", account.id);
        assert!(rows_of(system, &account).await.len() > 100, "there is something to erase");

        let leaving = api.delete(&path, 202).await;
        assert_eq!(leaving["status"], "DELETING");
        assert!(api.accounts().await.is_empty(), "it is in no list from now on");
        while_it_is_leaving(&api, &path).await;
        system.erased(&api, &account.id, BOUND).await;

        assert_eq!(system.sandbox().account(&account.merge_id).await, None, "gone at Merge");
        only_the_receipt(system, &account).await;
        api.delete(&path, 404).await;

        // Everything that Merge ever told about it, once more.
        let replayed = system.sandbox().post("/webhooks/replay", json!({})).await;
        let replayed = replayed["replayed"].as_u64().unwrap_or_default();
        assert!(replayed > 0);
        system.webhooks_settled().await;
        system.idle().await;
        only_the_receipt(system, &account).await;
        api.get(&path, 404).await;

        // And the organization can connect again.
        let next = system.connect_and_sync(&api, "hris", "bamboohr").await;
        assert_ne!(next.id, account.id);
    });
}

/// Until it is erased, the account can be looked at and deleted again, and nothing else.
async fn while_it_is_leaving(api: &crate::harness::Api<'_>, path: &str) {
    let calls = [
        (Method::GET, "/sync-status", None),
        (Method::GET, "/events", None),
        (Method::GET, "/records/hris.Employee", None),
        (Method::GET, "/changes", None),
        (Method::POST, "/relink", Some(json!({}))),
        (Method::POST, "/sync", Some(json!({}))),
        (Method::PATCH, "", Some(json!({"display_name": "x"}))),
    ];
    for (method, rest, body) in calls {
        let answer = api.call(method.clone(), &format!("{path}{rest}"), body).await;
        // A fast purge may have come first.
        let refused = answer.status == 409 && answer.json()["code"] == "disconnecting";
        assert!(refused || answer.status == 404, "{method} {rest}: {answer:?}");
    }
    let shown = api.call(Method::GET, path, None).await;
    let leaving = shown.status == 200 && shown.json()["health"]["state"] == "disconnecting";
    assert!(leaving || shown.status == 404, "{shown:?}");
    let again = api.call(Method::DELETE, path, None).await;
    assert!(matches!(again.status, 202 | 404), "{again:?}");
}

#[test]
fn checklist_47_while_the_api_key_is_revoked_nothing_is_erased_and_afterwards_it_finishes() {
    alone(Setup::default, async |system| {
        let api = system.api("org_revoked").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.idle().await;
        let records = async || {
            let rows = rows_of(system, &account).await;
            rows.iter().filter(|(pk, _)| pk.starts_with(&account.id)).count()
        };
        let before = records().await;
        assert!(before > 100);

        system.sandbox().settings(json!({"api_key": "revoked"})).await;
        api.delete(&format!("/v1/linked-accounts/{}", account.id), 202).await;
        let route = "POST /api/hris/v1/delete-account";
        // The key is refused, again and again, and every time nothing is erased.
        until("the deletion was tried twice", BOUND, async || {
            let calls = system.sandbox().calls(route).await;
            if calls >= 2 { Ok(()) } else { Err(format!("{calls} calls")) }
        })
        .await;
        system.idle().await;
        assert_eq!(records().await, before, "no record was erased");
        let shown = api.until_health(&account.id, "disconnecting", Some("merge_unavailable")).await;
        assert_eq!((&shown["status"], &shown["health"]["actor"]), (&json!("DELETING"), &json!("operator")));
        let flags = (&shown["health"]["can_refresh"], &shown["health"]["can_reconnect"]);
        assert_eq!(flags, (&json!(false), &json!(false)));
        assert!(system.sandbox().account(&account.merge_id).await.is_some(), "Merge still has it");

        system.sandbox().settings(json!({"api_key": "valid"})).await;
        system.erased(&api, &account.id, BOUND).await;
        assert_eq!(system.sandbox().account(&account.merge_id).await, None);
        only_the_receipt(system, &account).await;
    });
}

#[test]
fn checklist_39_what_a_late_worker_writes_after_the_first_sweep_is_found_by_the_second() {
    alone(
        || Setup::default().variable("sync-worker", "SECOND_SWEEP_SECONDS", "10"),
        async |system| {
            let api = system.api("org_late").await;
            let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
            system.idle().await;
            api.delete(&format!("/v1/linked-accounts/{}", account.id), 202).await;
            let shard = format!("{}#hris.employees#3", account.id);
            until("the first sweep is over", BOUND, async || {
                let rows = rows_of(system, &account).await;
                let left =
                    rows.iter().filter(|(pk, _)| pk.starts_with(&account.id) || pk.starts_with("ACCOUNT#")).count();
                if left == 0 { Ok(()) } else { Err(format!("{left} rows are left")) }
            })
            .await;
            system.tables().put_record(&shard, "a-record-of-a-late-page").await;
            system.tables().put_record(&format!("{shard}#PART"), "a-record-of-a-late-page#hash#0000").await;
            assert!(rows_of(system, &account).await.len() >= 3, "the account's own rows, and what came late");
            system.erased(&api, &account.id, BOUND).await;
            only_the_receipt(system, &account).await;
        },
    );
}

#[test]
fn checklist_46_what_merge_told_of_a_deleted_account_changes_nothing_about_the_next_one() {
    alone(Setup::default, async |system| {
        let api = system.api("org_again").await;
        let first = system.connect_and_sync(&api, "hris", "bamboohr").await;
        api.delete(&format!("/v1/linked-accounts/{}", first.id), 202).await;
        system.erased(&api, &first.id, BOUND).await;
        let second = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.webhooks_settled().await;
        system.idle().await;
        let before = api.account(&second.id).await;

        let replayed = system.sandbox().post("/webhooks/replay", json!({"event": "LinkedAccount.linked"})).await;
        assert!(replayed["replayed"].as_u64().unwrap_or_default() >= 2, "{replayed}");
        system.webhooks_settled().await;
        system.idle().await;
        only_the_receipt(system, &first).await;
        assert_eq!(api.accounts().await.len(), 1);
        let after = api.account(&second.id).await;
        for name in ["id", "status", "created_at", "records", "initial_sync_completed"] {
            assert_eq!(after[name], before[name], "{name}");
        }
        api.get(&format!("/v1/linked-accounts/{}", first.id), 404).await;
    });
}

#[test]
fn an_account_removed_at_merge_is_disconnected_and_its_records_stay_readable() {
    STACK.run(async |system| {
        // Somebody else's stays: Merge's list is not empty, and after an hour of the schedule the account counts as
        // gone.
        let stays = system.api("org_not_removed").await;
        system.connect(&stays, "hris", "bamboohr").await;
        let api = system.api("org_removed").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.sandbox().act(&account.merge_id, "remove", json!({})).await;
        let shown = until("it is disconnected", BOUND, async || {
            let shown = api.account(&account.id).await;
            if shown["status"] == "DELETED" { Ok(shown) } else { Err(shown.to_string()) }
        })
        .await;
        assert_eq!(
            (&shown["health"]["state"], &shown["health"]["actor"]),
            (&json!("disconnected"), &json!("end_user"))
        );
        let flags = (&shown["health"]["can_refresh"], &shown["health"]["can_reconnect"]);
        assert_eq!(flags, (&json!(false), &json!(false)));
        let path = format!("/v1/linked-accounts/{}", account.id);
        let read = api.get(&format!("{path}/records/hris.Employee"), 200).await;
        assert_eq!(read["results"].as_array().map_or(0, Vec::len), 60);
        let refused = api.post(&format!("{path}/sync"), json!({}), 409).await;
        assert_eq!(refused["code"], "disconnected");

        api.delete(&path, 202).await;
        system.erased(&api, &account.id, BOUND).await;
        only_the_receipt(system, &account).await;
    });
}

/// Keys of every row that names the account.
async fn rows_of(system: &System, account: &Connected) -> Vec<(String, String)> {
    system.tables().naming(&[&account.id, &account.merge_id]).await
}

async fn only_the_receipt(system: &System, account: &Connected) {
    let left = rows_of(system, account).await;
    let receipt = left.iter().filter(|(_, sk)| *sk == format!("RECEIPT#{}", account.id)).count();
    assert_eq!((receipt, left.len()), (1, 1), "rows are left: {:?}", left.iter().take(5).collect::<Vec<_>>());
}
