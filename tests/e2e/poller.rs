//! The poller's looks: what they bring is measured against what webhooks brought, what is known is not asked again, and
//! attempts that nobody finished are counted and left.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shared::domain::ids::{AccountId, MergeLinkedAccountId, OrganizationId};
use shared::domain::message::{AccountRef, Message, Work};

use crate::harness::{Api, BOUND, Connected, Setup, SharedStack, System, all_equal, alone, hris_models, send, until};

/// A look, as the poller queues it.
async fn look(system: &System, api: &Api<'_>, account: &Connected, minute: i64) {
    let of = AccountRef {
        organization: OrganizationId::parse(&api.organization).expect("an organization"),
        account: AccountId::new(account.id.parse().expect("an id")),
    };
    let merge_id = MergeLinkedAccountId::parse(&account.merge_id).expect("an id");
    let message = Message::new(merge_id, Work::Poll { of, minute });
    let body = serde_json::to_string(&message).expect("a message");
    send(system, &body, &account.merge_id, message.deduplication_id().as_str()).await;
}

async fn until_counted(system: &System, metric: &str, kind: &str, more_than: u64) {
    until(&format!("{metric} of {kind} is counted"), BOUND, async || {
        let counted = system.counted_by(metric, kind);
        if counted > more_than { Ok(()) } else { Err(counted.to_string()) }
    })
    .await;
}

#[test]
fn what_a_poll_brings_late_is_counted_and_silent_webhooks_are_told() {
    // Merge syncs daily; the promise for that is kept within four seconds here: thirty-five minutes at this speed.
    let setup = || Setup::default().without_schedule().speed(600.0).sandbox(json!({"sync_interval_ms": 82_800_000}));
    alone(setup, async |system| {
        let api = system.api("org_acme").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.webhooks_settled().await;
        system.idle().await;
        let seen = system.counted_by("ChangesSeen", "webhook");
        let change = async || {
            system.sandbox().mark(&account.merge_id, "mutate", "hris.Employee", 3).await;
            let sync = json!({"models": ["hris.Employee"], "duration_ms": 1});
            system.sandbox().act(&account.merge_id, "start-sync", sync).await
        };
        change().await;
        until_counted(system, "ChangesSeen", "webhook", seen).await;
        assert_eq!(system.counted("WebhookMissing"), 0);

        // From now on no webhook comes, and the next look is later than promised.
        system.webhooks_settled().await;
        system.idle().await;
        system.sandbox().post("/webhooks", json!({"mode": "drop"})).await;
        let finishes: Timestamp =
            change().await["finishes_at"].as_str().and_then(|at| at.parse().ok()).expect("a time");
        let late = finishes.checked_add(SignedDuration::from_secs(5)).expect("a time");
        until(
            "the promise is broken",
            BOUND,
            async || {
                if Timestamp::now() > late { Ok(()) } else { Err("not yet".to_owned()) }
            },
        )
        .await;
        look(system, &api, &account, 1).await;
        until_counted(system, "ChangesSeen", "poll", 0).await;
        until_counted(system, "DataLate", "30m", 0).await;
        assert!(system.counted_by("DataLag", "30m") >= 3, "seconds");
        until("the missing webhook is counted", BOUND, async || {
            let missing = system.counted("WebhookMissing");
            if missing == 1 { Ok(()) } else { Err(missing.to_string()) }
        })
        .await;
    });
}

/// How soon the poller looks is the schedule's matter, which the simulation's wheel holds to each class's interval.
/// Here: what Merge has finished by then needs no second look.
#[test]
fn one_look_brings_everything_that_merge_has_finished() {
    let setup = || Setup::default().without_schedule().speed(600.0);
    alone(setup, async |system| {
        let api = system.api("org_acme").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.webhooks_settled().await;
        system.idle().await;
        system.sandbox().webhook_mode("drop").await;
        let models = hris_models();
        for model in models {
            let body = json!({"model_id": model, "count": 2});
            system.sandbox().act(&account.merge_id, "mutate", body).await;
        }
        system.sandbox().mark(&account.merge_id, "delete-records", "hris.Employee", 3).await;
        system.sandbox().sync(&account.merge_id).await;
        all_equal(system, &api, &account, &models).await.expect_err("nobody has looked yet");

        look(system, &api, &account, 1).await;
        until("everything is equal", BOUND, async || all_equal(system, &api, &account, &models).await).await;
        system.idle().await;
        let looks = system.messages_about(&account.merge_id);
        let looks = looks.iter().filter(|message| message.contains(r#""type":"poll""#)).count();
        assert_eq!(looks, 1, "after one look");
    });
}

#[test]
fn a_poll_right_after_a_webhook_asks_merge_nothing() {
    let setup = || Setup::default().without_schedule().speed(1.0).sandbox(json!({"sync_duration_ms": 50}));
    alone(setup, async |system| {
        let api = system.api("org_acme").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.webhooks_settled().await;
        system.idle().await;
        let route = "GET /api/hris/v1/sync-status";
        let calls = system.sandbox().calls(route).await;
        look(system, &api, &account, 1).await;
        until_counted(system, "LookSkipped", "poll", 0).await;
        system.idle().await;
        assert_eq!(system.sandbox().calls(route).await, calls);
    });
}

static STACK: SharedStack = SharedStack::new(Setup::default);

#[test]
fn attempts_that_nobody_finished_are_counted_by_age_and_stay() {
    STACK.run(async |system| {
        let api = system.api("org_poller_attempt").await;
        let (_, id) = api.link_token("hris").await;
        let row = ("ORG#org_poller_attempt", "PENDING#hris");
        // Into the slot of every minute; by itself it is in one of a day's.
        system.tables().set(row.0, row.1, "due", AttributeValue::S("1m".to_owned())).await;
        until_counted(system, "PendingAttempt", "open", 0).await;
        for (kind, days) in [("abandoned", 1), ("old", 31)] {
            let then = Timestamp::now().checked_sub(SignedDuration::from_hours(24 * days)).expect("a time");
            system.tables().set(row.0, row.1, "due_at", AttributeValue::S(then.to_string())).await;
            until_counted(system, "PendingAttempt", kind, 0).await;
        }
        assert_eq!(api.link_token("hris").await.1, id, "and is taken up again");
    });
}
