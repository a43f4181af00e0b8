//! An account's life after it was connected: relink, rename, sync, delete.

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::domain::account::{AccountStatus, LinkedAccount, fingerprint};

use crate::world::{World, run};

#[test]
fn a_relink_keeps_everything_and_an_abandoned_one_changes_nothing() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        let before = world.account(&id).await;
        let relink = || world.ask("acme", format!("POST /v1/linked-accounts/{id}/relink"), Value::Null);

        // Abandoned: only the timeline has changed.
        let answer = relink().await.expect(201);
        assert_eq!(answer["id"], json!(id));
        assert_eq!(world.account(&id).await, before);

        // Needed, and finished in the dialog.
        let merge_id = &before.merge_id;
        world.control("POST", &format!("/_sandbox/accounts/{merge_id}/relink-needed"), json!({})).await;
        world.change(&id, |account| account.status = AccountStatus::RelinkNeeded).await;
        let link_token = relink().await.expect(201)["link_token"].as_str().unwrap().to_owned();
        let public_token = world.dialog(&link_token, "k2").await;
        let answer = world.exchange("acme", &public_token).await.expect(200);
        assert_eq!((&answer["id"], &answer["status"]), (&json!(id), &json!("COMPLETE")));
        let after = world.account(&id).await;
        assert_eq!(
            (&after.merge_id, &after.origin_id, &after.token),
            (&before.merge_id, &before.origin_id, &before.token)
        );
        assert!(after.relinked_at.is_some());
        assert_eq!(world.merge_accounts().await.len(), 1);
        // And again, the answer to the same token.
        assert_eq!(world.exchange("acme", &public_token).await.expect(200)["id"], json!(id));
    });
}

#[test]
fn a_relink_by_another_organization_of_the_end_user_holds_deletions() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        let merge_id = world.account(&id).await.merge_id;
        world.control("POST", &format!("/_sandbox/accounts/{merge_id}/relink-needed"), json!({})).await;
        world.change(&id, |account| account.status = AccountStatus::RelinkNeeded).await;

        // The same connection, in the dialog finished under another company's name.
        world.change(&id, |account| account.notes.end_user_organization = Some(fingerprint("Another GmbH"))).await;
        let route = format!("POST /v1/linked-accounts/{id}/relink");
        let answer = world.ask("acme", route, Value::Null).await.expect(201);
        let public_token = world.dialog(answer["link_token"].as_str().unwrap(), "k2").await;
        let shown = world.exchange("acme", &public_token).await.expect(200);
        assert_eq!((&shown["id"], &shown["deletions_held"]), (&json!(id), &json!(true)));
        let route = format!("/v1/linked-accounts/{id}");
        let events = world.ask("acme", format!("GET {route}/events"), Value::Null).await.expect(200);
        let led = events["results"].as_array().unwrap().iter().find(|event| event["type"] == "relinked_elsewhere");
        assert_eq!(led.unwrap()["detail"]["organization_changed"], true, "{events}");

        // It is what they meant.
        let body = json!({"deletions_held": false});
        let shown = world.ask("acme", format!("PATCH {route}"), body).await.expect(200);
        assert_eq!(shown["deletions_held"], false);
    });
}

#[test]
fn a_delete_is_marked_at_once_and_may_be_repeated() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        let path = format!("/v1/linked-accounts/{id}");
        for _ in 0..2 {
            let answer = world.ask("acme", &format!("DELETE {path}"), Value::Null).await.expect(202);
            assert_eq!((&answer["status"], &answer["health"]["state"]), (&json!("DELETING"), &json!("disconnecting")));
        }
        assert!(world.list("acme").await.is_empty());
        let shown = world.ask("acme", &format!("GET {path}"), Value::Null).await.expect(200);
        assert_eq!(shown["status"], "DELETING");
        for route in [
            format!("POST {path}/relink"),
            format!("POST {path}/sync"),
            format!("GET {path}/sync-status"),
            format!("GET {path}/events"),
            format!("GET {path}/changes"),
            format!("GET {path}/records/hris.Employee"),
        ] {
            world.ask("acme", &route, Value::Null).await.refused(409, "disconnecting");
        }
        let account = world.account(&id).await;
        assert!(account.due.key.starts_with("5m#"), "the poller finishes what a crash left: {:?}", account.due);
        assert_eq!(world.calls("delete-account").await, 0, "the rest is the worker's");
    });
}

#[test]
fn an_attempt_can_be_looked_at_and_nothing_else() {
    run(async {
        let world = World::new().await;
        let (id, _) = world.link_token("acme", "hris").await;
        let path = format!("/v1/linked-accounts/{id}");
        let shown = world.ask("acme", &format!("GET {path}"), Value::Null).await.expect(200);
        assert_eq!((&shown["status"], &shown["health"]["reason"]), (&json!("INCOMPLETE"), &json!("not_finished")));
        for route in
            ["POST {}/relink", "POST {}/sync", "DELETE {}", "GET {}/sync-status", "GET {}/records/hris.Employee"]
        {
            world.ask("acme", &route.replace("{}", &path), Value::Null).await.refused(409, "not_connected");
        }
    });
}

#[test]
fn a_disconnected_account_is_read_and_not_used() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        world.change(&id, |account| account.status = AccountStatus::Deleted).await;
        let path = format!("/v1/linked-accounts/{id}");
        for route in [format!("POST {path}/relink"), format!("POST {path}/sync")] {
            world.ask("acme", &route, Value::Null).await.refused(409, "disconnected");
        }
        world.ask("acme", &format!("GET {path}/records/hris.Employee"), Value::Null).await.expect(200);
        assert_eq!(world.list("acme").await, [(id.clone(), "DELETED".to_owned())]);
        world.ask("acme", &format!("DELETE {path}"), Value::Null).await.expect(202);
        let account = world.account(&id).await;
        assert!(!account.deletion.gone_at_merge, "Merge is asked again before anything is erased");
    });
}

#[test]
fn an_account_has_a_name_that_can_be_taken_away() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        let patch = |body: Value| world.ask("acme", format!("PATCH /v1/linked-accounts/{id}"), body);
        assert_eq!(patch(json!({"display_name": " Payroll "})).await.expect(200)["display_name"], "Payroll");
        let both = patch(json!({"duplicate_ignored": true})).await.expect(200);
        assert_eq!((&both["display_name"], &both["duplicate_ignored"]), (&json!("Payroll"), &json!(true)));
        assert_eq!(patch(json!({"display_name": null})).await.expect(200)["display_name"], Value::Null);
        patch(json!({"display_name": "x".repeat(101)})).await.refused(400, "invalid_request");
        patch(json!({"status": "COMPLETE"})).await.refused(400, "invalid_request");
    });
}

#[test]
fn the_list_is_filtered_and_paged() {
    run(async {
        let world = World::new().await;
        let mut ids = Vec::new();
        for n in 0..3 {
            ids.push(world.connect("acme", &format!("k{n}")).await);
        }
        let (attempt, _) = world.link_token("acme", "ats").await;
        ids.push(attempt.clone());
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let list =
                world.ask("acme", &format!("GET /v1/linked-accounts?limit=2{cursor}"), Value::Null).await.expect(200);
            let results = list["results"].as_array().unwrap();
            assert!(results.len() <= 2);
            found.extend(results.iter().map(|account| account["id"].as_str().unwrap().to_owned()));
            let Some(next) = list["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        found.sort();
        ids.sort();
        assert_eq!(found, ids);
        let count = |query: &'static str| {
            let world = &world;
            async move {
                let list = world.ask("acme", &format!("GET /v1/linked-accounts?{query}"), Value::Null).await;
                list.expect(200)["results"].as_array().unwrap().len()
            }
        };
        assert_eq!(count("category=ats").await, 1);
        assert_eq!(count("status=INCOMPLETE").await, 1);
        assert_eq!(count("status=COMPLETE&category=hris").await, 3);
        assert_eq!(count("status=RELINK_NEEDED").await, 0);
        let refused = |query: &str| world.ask("acme", format!("GET /v1/linked-accounts?{query}"), Value::Null);
        refused("category=payroll").await.refused(400, "invalid_request");
        refused("status=BROKEN").await.refused(400, "invalid_request");
        // What somebody left empty is not what somebody left out.
        for empty in ["category=", "status=", "limit="] {
            refused(empty).await.refused(400, "invalid_request");
        }
        refused("cursor=abc").await.refused(400, "cursor_invalid");
    });
}

#[test]
fn merge_is_asked_for_its_sync_status_once_in_a_while() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        let status = || world.ask("acme", format!("GET /v1/linked-accounts/{id}/sync-status"), Value::Null);
        let first = status().await.expect(200);
        assert_eq!(first["results"].as_array().unwrap().len(), 16);
        assert_eq!(first["sync_complete"], false);
        assert!(first["results"].as_array().unwrap().iter().all(|model| model["is_initial_sync"] == true));
        for _ in 0..5 {
            status().await.expect(200);
        }
        assert_eq!(world.calls("sync-status").await, 1);
        let again = status().await.expect(200);
        assert_eq!(again["results"][0]["status"], first["results"][0]["status"], "what was read is kept");
    });
}

#[test]
fn a_sync_is_asked_for_and_says_what_the_provider_does() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        let sync = |body: Value| world.ask("acme", format!("POST /v1/linked-accounts/{id}/sync"), body);
        let plain = sync(Value::Null).await.expect(202);
        assert_eq!(plain, json!({"mode": "changes"}));
        let full = sync(json!({"mode": "full", "models": ["hris.Employee"], "ask_provider": true})).await.expect(202);
        assert_eq!(full["mode"], "full");
        assert!(["requested", "unavailable"].contains(&full["provider_resync"].as_str().unwrap()), "{full}");
        sync(json!({"models": ["crm.Account"]})).await.refused(400, "invalid_request");
        sync(json!({"mode": "half"})).await.refused(400, "invalid_request");
    });
}

#[test]
fn a_sync_that_could_not_be_queued_is_queued_by_its_repeat() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        let route = format!("POST /v1/linked-accounts/{id}/sync");
        for (mode, key) in [("changes", "a-click"), ("full", "another")] {
            let body = json!({"mode": mode});
            let named = || world.ask_named("acme", key, &route, body.clone());
            let failed = async { (named().await, world.ask("acme", &route, body.clone()).await) };
            let (first, second) = world.queue.missing(failed).await;
            first.refused(500, "internal");
            second.refused(500, "internal");
            named().await.expect(202);
            assert_eq!(world.queue.waiting().await, 1, "what is answered 202 is queued");

            // Whoever asks in the same moment asks for the same sync, which the timeline shows once.
            world.ask("acme", &route, body).await.expect(202);
            let events =
                world.ask("acme", format!("GET /v1/linked-accounts/{id}/events"), Value::Null).await.expect(200);
            let told = |event: &&Value| event["type"] == "sync_requested" && event["detail"]["mode"] == mode;
            assert_eq!(world.queue.waiting().await, events["results"].as_array().unwrap().iter().filter(told).count());
        }
    });
}

#[test]
fn deletions_go_on_for_what_the_account_led_to_when_it_was_decided() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        let patch = |body: Value| world.ask("acme", format!("PATCH /v1/linked-accounts/{id}"), body);
        let leads_to = async |slug: &str| {
            let held = |account: &mut LinkedAccount| {
                account.integration.slug = slug.to_owned();
                account.notes.deletions_held_since.get_or_insert(Timestamp::now());
            };
            world.change(&id, held).await;
        };
        leads_to("hibob").await;
        let shown = patch(json!({"display_name": "Payroll"})).await.expect(200);
        let meant = &shown["deletions_held_for"];
        let decided = json!({"display_name": "Bob", "deletions_held": false, "deletions_held_for": meant});

        // Somebody relinks it again before the answer comes.
        leads_to("personio").await;
        patch(decided.clone()).await.refused(409, "conflict");
        let account = world.account(&id).await;
        assert!(account.notes.deletions_held_since.is_some() && account.facts.full_read.is_none());
        assert_eq!(account.display_name.as_deref(), Some("Payroll"), "all of it or nothing");

        leads_to("hibob").await;
        let shown = patch(decided).await.expect(200);
        assert_eq!((&shown["deletions_held"], &shown["deletions_held_for"]), (&json!(false), &Value::Null));
        assert_eq!(shown["display_name"], "Bob");
        patch(json!({"deletions_held_for": "a"})).await.refused(400, "invalid_request");
    });
}

#[test]
fn a_release_whose_full_read_could_not_be_queued_has_asked_for_it() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        world.change(&id, |account| account.notes.deletions_held_since = Some(Timestamp::now())).await;
        let release = || {
            let body = json!({"deletions_held": false});
            world.ask("acme", format!("PATCH /v1/linked-accounts/{id}"), body)
        };
        world.queue.missing(release()).await.refused(500, "internal");
        let account = world.account(&id).await;
        assert_eq!(account.notes.deletions_held_since, None);
        assert!(account.facts.standing_full_read().is_some(), "the next poll reads everything again");
        release().await.expect(200);
        assert_eq!(world.queue.waiting().await, 1, "and a repeat makes it soon");
    });
}
