//! Health: every row of the table in docs/health.md that Merge can signal, brought about at the simulated Merge and
//! read back from the API. Issues have a file of their own.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::harness::{Api, BOUND, Connected, Outcome, Setup, SharedStack, System, alone, until};

static STACK: SharedStack = SharedStack::new(Setup::default);

/// Asks for a look at the account: what a person does who wants to know now.
async fn refresh(api: &Api<'_>, account: &Connected) {
    api.post(&format!("/v1/linked-accounts/{}/sync", account.id), json!({}), 202).await;
}

fn flags(shown: &Value) -> (bool, bool) {
    (shown["health"]["can_refresh"] == true, shown["health"]["can_reconnect"] == true)
}

/// Waits until nothing is under way that would look at the account by itself.
async fn settled(system: &System) {
    system.webhooks_settled().await;
    system.idle().await;
}

/// Sets a time of the account's row back.
async fn age(system: &System, api: &Api<'_>, account: &Connected, attribute: &str, hours: i64) {
    settled(system).await;
    let then = Timestamp::now().checked_sub(SignedDuration::from_hours(hours)).expect("a time");
    let row = (format!("ORG#{}", api.organization), format!("ACCOUNT#{}", account.id));
    system.tables().set(&row.0, &row.1, attribute, AttributeValue::S(then.to_string())).await;
}

#[test]
fn an_attempt_is_connecting_and_abandoned_after_four_hours() {
    STACK.run(async |system| {
        let api = system.api("org_health_attempt").await;
        let (_, id) = api.link_token("hris").await;
        let shown = api.account(&id).await;
        assert_eq!(
            (&shown["health"]["state"], &shown["health"]["reason"]),
            (&json!("connecting"), &json!("not_finished"))
        );
        assert_eq!(flags(&shown), (false, false));
        let then = Timestamp::now().checked_sub(SignedDuration::from_hours(4)).expect("a time");
        let row = ("ORG#org_health_attempt", "PENDING#hris");
        system.tables().set(row.0, row.1, "created_at", AttributeValue::S(then.to_string())).await;
        let shown = api.account(&id).await;
        assert_eq!((&shown["health"]["reason"], flags(&shown)), (&json!("abandoned"), (false, false)));
    });
}

/// Merge takes a minute for each model of a first sync, unless it is told to be quick.
static SLOW: SharedStack = SharedStack::new(|| Setup::default().sandbox(json!({"sync_duration_ms": 3_600_000})));

fn quick(result: &str) -> Value {
    json!({"result": result, "duration_ms": 1})
}

#[test]
fn a_first_sync_runs_and_ends_well() {
    SLOW.run(async |system| {
        let api = system.api("org_health_first").await;
        let account = system.connect(&api, "hris", "bamboohr").await;
        let shown = api.until_health(&account.id, "first_sync", None).await;
        assert_eq!((flags(&shown), &shown["health"]["actor"]), ((true, true), &json!("nobody")));
        system.sandbox().act(&account.merge_id, "start-sync", quick("PARTIALLY_SYNCED")).await;
        api.until_health(&account.id, "first_sync", Some("partial")).await;
        system.sandbox().act(&account.merge_id, "start-sync", quick("DONE")).await;
        let shown = api.until_health(&account.id, "healthy", None).await;
        assert_eq!((flags(&shown), &shown["health"]["actor"]), ((true, true), &json!("nobody")));
        until("the host product is told", BOUND, async || {
            let told = notices(system, "Linked Account First Sync Completed");
            let mine = told.iter().filter(|notice| notice["linked_account_id"] == account.id.as_str()).count();
            if mine == 1 { Ok(()) } else { Err(format!("{told:?}")) }
        })
        .await;
    });
}

#[test]
fn a_first_sync_that_fails_or_is_paused_needs_attention_at_once() {
    SLOW.run(async |system| {
        let api = system.api("org_health_first_failed").await;
        let account = system.connect(&api, "ats", "greenhouse").await;
        let failed = json!({"models": ["ats.Candidate"], "result": "FAILED", "duration_ms": 1});
        system.sandbox().act(&account.merge_id, "start-sync", failed).await;
        let shown = api.until_health(&account.id, "action_needed", Some("first_sync_failed")).await;
        assert_eq!((flags(&shown), &shown["health"]["actor"]), ((true, true), &json!("end_user")));
        system.sandbox().act(&account.merge_id, "start-sync", quick("DONE")).await;
        api.until_health(&account.id, "healthy", None).await;

        let paused = system.connect(&api, "ats", "greenhouse").await;
        system.sandbox().act(&paused.merge_id, "pause", json!({})).await;
        api.until_health(&paused.id, "action_needed", Some("first_sync_failed")).await;
    });
}

#[test]
fn part_of_a_sync_is_partial_and_failures_become_hopeless() {
    STACK.run(async |system| {
        let api = system.api("org_health_partial").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        let sync = |result: &str| json!({"models": ["hris.Team"], "result": result, "duration_ms": 1});
        system.sandbox().act(&account.merge_id, "start-sync", sync("PARTIALLY_SYNCED")).await;
        let shown = api.until_health(&account.id, "degraded", Some("partial")).await;
        assert_eq!(flags(&shown), (true, true));
        system.sandbox().act(&account.merge_id, "start-sync", sync("DONE")).await;
        api.until_health(&account.id, "healthy", None).await;

        for round in 1..=3 {
            system.sandbox().act(&account.merge_id, "start-sync", sync("FAILED")).await;
            until("the failure is counted", BOUND, async || {
                let rows = system.tables().partition(&format!("ORG#{}", api.organization)).await;
                let row = rows.iter().find(|row| row["sk"].as_s().is_ok_and(|sk| sk.ends_with(&account.id)));
                let facts = row.and_then(|row| row.get("facts")?.as_m().ok()?.get("failing")?.as_m().ok()).cloned();
                let count = facts.and_then(|failing| failing.get("count")?.as_n().ok().cloned());
                if count == Some(round.to_string()) { Ok(()) } else { Err(format!("{count:?}")) }
            })
            .await;
        }
        api.until_health(&account.id, "degraded", Some("partial")).await;
        age(system, &api, &account, "facts.failing.since", 15 * 24).await;
        let shown = api.account(&account.id).await;
        assert_eq!(
            (&shown["health"]["state"], &shown["health"]["reason"]),
            (&json!("action_needed"), &json!("continued_failures"))
        );
        assert_eq!(flags(&shown), (false, true));
        system.sandbox().act(&account.merge_id, "start-sync", sync("DONE")).await;
        api.until_health(&account.id, "healthy", None).await;
    });
}

#[test]
fn an_idle_account_is_paused_and_a_refresh_through_the_provider_wakes_it() {
    STACK.run(async |system| {
        let api = system.api("org_health_idle").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.sandbox().act(&account.merge_id, "pause", json!({})).await;
        refresh(&api, &account).await;
        let shown = api.until_health(&account.id, "paused", Some("idle")).await;
        assert_eq!((&shown["status"], flags(&shown)), (&json!("IDLE"), (true, true)));

        let path = format!("/v1/linked-accounts/{}/sync", account.id);
        let asked = api.post(&path, json!({"ask_provider": true}), 202).await;
        assert_eq!(asked["provider_resync"], "requested", "{asked}");
        let again = api.post(&path, json!({"ask_provider": true}), 202).await;
        assert!(["debounced", "requested"].contains(&again["provider_resync"].as_str().unwrap_or_default()), "{again}");
        api.until_health(&account.id, "healthy", None).await;
    });
}

#[test]
fn a_resync_is_asked_for_once_and_said_to_be_unavailable_where_the_plan_has_none() {
    alone(
        || Setup::default().without_schedule().speed(1.0).sandbox(json!({"sync_duration_ms": 50})),
        async |system| {
            let api = system.api("org_acme").await;
            let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
            let path = format!("/v1/linked-accounts/{}/sync", account.id);
            let ask = async || api.post(&path, json!({"ask_provider": true}), 202).await["provider_resync"].clone();
            assert_eq!(ask().await, "requested");
            assert_eq!(ask().await, "debounced");
            let route = "POST /api/hris/v1/sync-status/resync";
            assert_eq!(system.sandbox().calls(route).await, 1, "a plan may count them");

            let other = system.connect_and_sync(&api, "ats", "greenhouse").await;
            system.sandbox().settings(json!({"resync": "forbidden"})).await;
            let path = format!("/v1/linked-accounts/{}/sync", other.id);
            let asked = api.post(&path, json!({"ask_provider": true, "mode": "full"}), 202).await;
            assert_eq!((&asked["provider_resync"], &asked["mode"]), (&json!("unavailable"), &json!("full")));
        },
    );
}

#[test]
fn a_needed_relink_says_so_and_an_ineffective_one_is_for_the_operator() {
    alone(Setup::default, async |system| {
        let api = system.api("org_acme").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.sandbox().act(&account.merge_id, "relink-needed", json!({})).await;
        api.until_health(&account.id, "action_needed", Some("invalid_credentials")).await;
        // The issue is noted before Merge is asked how the account is.
        until("Merge's status is shown", BOUND, async || {
            let shown = api.account(&account.id).await;
            let is = (&shown["status"], flags(&shown));
            if is == (&json!("RELINK_NEEDED"), (true, true)) { Ok(()) } else { Err(format!("{is:?}")) }
        })
        .await;
        // The issue is over, the need is not.
        system.sandbox().act(&account.merge_id, "resolve-issue", json!({})).await;
        let shown = api.until_health(&account.id, "action_needed", Some("relink_needed")).await;
        assert_eq!(shown["health"]["actor"], "end_user");
        let listed = api.get("/v1/linked-accounts?status=RELINK_NEEDED", 200).await;
        assert_eq!(listed["results"].as_array().map_or(0, Vec::len), 1);

        system.sandbox().settings(json!({"relinks": "ineffective"})).await;
        relink(system, &api, &account).await;
        let shown = api.until_health(&account.id, "action_needed", Some("relink_ineffective")).await;
        assert_eq!((&shown["status"], &shown["health"]["actor"]), (&json!("RELINK_NEEDED"), &json!("operator")));

        system.sandbox().settings(json!({"relinks": "effective"})).await;
        relink(system, &api, &account).await;
        api.until_health(&account.id, "healthy", None).await;
        // The exchange knows before the worker tells.
        until("the host product is told once of each", BOUND, async || {
            let notices = notices(system, "Linked Account Health Changed");
            let told = |state: &str| notices.iter().filter(|notice| notice["health"]["state"] == state).count();
            if (told("action_needed"), told("healthy")) == (1, 1) { Ok(()) } else { Err(format!("{notices:?}")) }
        })
        .await;
    });
}

async fn relink(system: &System, api: &Api<'_>, account: &Connected) {
    let link = api.post(&format!("/v1/linked-accounts/{}/relink", account.id), json!({}), 201).await;
    let link_token = link["link_token"].as_str().unwrap_or_default();
    let public_token = system.sandbox().link(link_token, "bamboohr", Outcome::Success).await;
    let body = json!({"public_token": public_token.expect("a public token"), "category": "hris"});
    api.post("/v1/linked-accounts", body, 200).await;
}

/// What the host product was told of one kind.
fn notices(system: &System, kind: &str) -> Vec<Value> {
    let entries = system.stack.aws().expect("embedded services").events();
    let of_kind = entries.iter().filter(|entry| entry["DetailType"] == kind);
    of_kind
        .map(|entry| serde_json::from_str(entry["Detail"].as_str().unwrap_or_default()).unwrap_or_default())
        .collect()
}

#[test]
fn a_relink_that_took_no_effect_within_a_day_is_for_the_operator() {
    STACK.run(async |system| {
        let api = system.api("org_health_day").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.sandbox().act(&account.merge_id, "relink-needed", json!({})).await;
        api.until_health(&account.id, "action_needed", Some("invalid_credentials")).await;
        age(system, &api, &account, "status_since", 26).await;
        age(system, &api, &account, "relinked_at", 25).await;
        let shown = api.account(&account.id).await;
        assert_eq!(shown["health"]["reason"], "relink_ineffective", "{shown}");
    });
}

#[test]
fn a_refused_account_token_needs_a_relink() {
    alone(Setup::default, async |system| {
        let api = system.api("org_acme").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        settled(system).await;
        let refused = json!({"route": "GET /api/hris/v1/sync-status", "status": 401, "times": 1});
        system.sandbox().post("/faults", refused).await;
        refresh(&api, &account).await;
        let shown = api.until_health(&account.id, "action_needed", Some("relink_needed")).await;
        assert_eq!((&shown["status"], &shown["health"]["actor"]), (&json!("COMPLETE"), &json!("end_user")));
        refresh(&api, &account).await;
        api.until_health(&account.id, "healthy", None).await;
    });
}

#[test]
fn troubles_of_the_platform_are_degraded_and_pass() {
    alone(Setup::default, async |system| {
        system.announce("cannot be read to the end");
        let api = system.api("org_acme").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        settled(system).await;
        // Merge is down: nobody can do anything, and it passes.
        let down = json!({"route": "GET /api/hris/v1/sync-status", "status": 503, "times": 1});
        system.sandbox().post("/faults", down).await;
        refresh(&api, &account).await;
        let shown = api.until_health(&account.id, "degraded", Some("merge_unavailable")).await;
        assert_eq!((flags(&shown), &shown["health"]["actor"]), ((true, true), &json!("operator")));
        // Woken by the poller.
        api.until_health(&account.id, "healthy", None).await;

        // Merge breaks its own contract.
        let repeats = json!({"route": "GET /api/hris/v1/employees", "repeat_cursor": true, "times": 0});
        system.sandbox().post("/faults", repeats).await;
        system.sandbox().settings(json!({"max_page_size": 5})).await;
        api.post(&format!("/v1/linked-accounts/{}/sync", account.id), json!({"mode": "full"}), 202).await;
        let shown = api.until_health(&account.id, "degraded", Some("internal_error")).await;
        assert_eq!(shown["health"]["actor"], "operator");
        system.sandbox().post("/reset", json!({})).await;
        refresh(&api, &account).await;
        api.until_health(&account.id, "healthy", None).await;
    });
}

#[test]
fn a_sync_that_runs_for_a_day_is_told() {
    SLOW.run(async |system| {
        let api = system.api("org_health_endless").await;
        let account = system.connect(&api, "hris", "bamboohr").await;
        let hours = |hours: i64| hours * 3_600_000;
        let endless = json!({"models": ["hris.Team"], "began_ms_ago": hours(25), "duration_ms": hours(50)});
        system.sandbox().act(&account.merge_id, "start-sync", endless).await;
        refresh(&api, &account).await;
        let shown = api.until_health(&account.id, "degraded", Some("sync_timeout")).await;
        assert_eq!((flags(&shown), &shown["health"]["actor"]), ((true, true), &json!("operator")));
        system.sandbox().act(&account.merge_id, "start-sync", quick("DONE")).await;
        api.until_health(&account.id, "healthy", None).await;
    });
}

#[test]
fn a_needed_relink_lets_finished_windows_be_fetched_to_the_end() {
    alone(
        || Setup::default().sandbox(json!({"max_page_size": 5, "page_delay_ms": 20})),
        async |system| {
            let api = system.api("org_acme").await;
            let account = system.connect(&api, "hris", "bamboohr").await;
            until("the first pages are read", BOUND, async || {
                let pages = system.sandbox().calls("GET /api/hris/v1/employees").await;
                if pages > 2 { Ok(()) } else { Err(format!("{pages} pages")) }
            })
            .await;
            system.sandbox().act(&account.merge_id, "relink-needed", json!({})).await;
            // Everything that Merge had finished arrives all the same, and the account says what it needs.
            let shown = system.synced(&api, &account.id, BOUND).await;
            assert_eq!(shown["initial_sync_completed"], true);
            api.until_health(&account.id, "action_needed", Some("invalid_credentials")).await;
            crate::harness::assert_equal(system, &api, &account, &["hris.Employee", "hris.Employment"]).await;
        },
    );
}
