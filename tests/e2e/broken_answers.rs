//! Broken answers: a list that Merge spoils ends its run with a clear event and leaves the checkpoint where it was; all
//! other lists go on, and once the fault is over everything arrives.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::harness::tables::text;
use crate::harness::{Api, BOUND, Connected, Setup, System, all_equal, alone, hris_models, until};

/// The wake after a pause of a minute, and some.
const WAKE: Duration = Duration::from_secs(300);

/// How each list is spoilt, and what the timeline says of it.
const FAULTS: [(&str, &str, &str, &str); 5] = [
    ("hris.Employee", "employees", r#"{"repeat_cursor":true}"#, "cursor"),
    ("hris.Employment", "employments", r#"{"url_cursor":true}"#, "URL"),
    ("hris.BankInfo", "bank-info", r#"{"status":302}"#, "redirect"),
    ("hris.EmployeePayrollRun", "employee-payroll-runs", r#"{"body_bytes":40000000}"#, "larger"),
    ("hris.Benefit", "benefits", r#"{"status":400}"#, "rejected"),
];

#[test]
fn a_spoilt_list_ends_with_an_event_and_an_unmoved_checkpoint() {
    alone(
        || Setup::default().employees(250).sandbox(json!({"sync_interval_ms": 1_800_000})),
        async |system| {
            system.announce("Merge's answers cannot be read to the end");
            let api = system.api("org_broken").await;
            let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
            all_equal(system, &api, &account, &hris_models()).await.expect("everything equals Merge's");
            let before = uppers(system, &account).await;

            for (model, list, fault, _) in FAULTS {
                system.sandbox().mark(&account.merge_id, "mutate", model, 120).await;
                spoil(system, list, fault).await;
            }
            system.sandbox().mark(&account.merge_id, "mutate", "hris.Team", 1).await;
            system.sandbox().sync(&account.merge_id).await;
            for (model, _, _, says) in FAULTS {
                failed(&api, &account, model, says).await;
            }
            let whole = async || all_equal(system, &api, &account, &["hris.Team", "hris.Location"]).await;
            until("the other lists go on", BOUND, whole).await;
            let now = uppers(system, &account).await;
            for (model, list, ..) in FAULTS {
                assert_eq!(now[list], before[list], "{model}: the checkpoint has not moved");
            }
            let shown = api.account(&account.id).await;
            assert_eq!(shown["health"]["state"], "degraded", "{shown}");

            system.sandbox().post("/reset", json!({})).await;
            system.sandbox().sync(&account.merge_id).await;
            let whole = async || all_equal(system, &api, &account, &hris_models()).await;
            until("everything arrives once the faults are over", BOUND, whole).await;
        },
    );
}

#[test]
fn a_cut_off_and_a_slow_list_are_asked_for_again_later() {
    alone(
        || Setup::default().employees(250).sandbox(json!({"sync_interval_ms": 1_800_000})),
        async |system| {
            let api = system.api("org_cut").await;
            let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
            for (list, model, fault) in [
                ("employees", "hris.Employee", r#"{"truncate":true,"times":1}"#),
                ("employments", "hris.Employment", r#"{"delay_ms":27000,"times":1}"#),
            ] {
                let before = uppers(system, &account).await;
                system.sandbox().mark(&account.merge_id, "mutate", model, 120).await;
                spoil(system, list, fault).await;
                system.sandbox().sync(&account.merge_id).await;
                failed(&api, &account, model, "").await;
                assert_eq!(uppers(system, &account).await[list], before[list], "{model}: the checkpoint has not moved");
                until("it arrives with the next wake", WAKE, async || {
                    all_equal(system, &api, &account, &hris_models()).await
                })
                .await;
            }
        },
    );
}

async fn spoil(system: &System, list: &str, fault: &str) {
    let mut body: serde_json::Value = serde_json::from_str(fault).expect("a fault");
    body["route"] = json!(format!("GET /api/hris/v1/{list}"));
    system.sandbox().post("/faults", body).await;
}

/// Waits for the event that says how a model's run ended.
async fn failed(api: &Api<'_>, account: &Connected, model: &str, says: &str) {
    until(&format!("the timeline says that {model} failed"), BOUND, async || {
        let events = api.get(&format!("/v1/linked-accounts/{}/events?limit=1000", account.id), 200).await;
        let of_model = |event: &&serde_json::Value| event["type"] == "sync_failed" && event["model_id"] == model;
        let found = events["results"].as_array().into_iter().flatten().find(of_model);
        let found = found.map(ToString::to_string).unwrap_or_default();
        if !found.is_empty() && found.contains(says) { Ok(()) } else { Err(format!("{found} in {events}")) }
    })
    .await;
}

/// The end of the last finished window, by list.
async fn uppers(system: &System, account: &Connected) -> BTreeMap<String, String> {
    let rows = system.tables().partition(&format!("ACCOUNT#{}", account.id)).await;
    let list = |sk: &str| sk.strip_prefix("SYNC#hris.").map(str::to_owned);
    rows.iter().filter_map(|row| Some((list(&text(row, "sk"))?, text(row, "upper")))).collect()
}
