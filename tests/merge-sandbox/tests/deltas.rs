//! Changes and deletions at the provider: when they become visible, and to whom.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use merge_sandbox::clock::Time;
use serde_json::{Value, json};
use support::{Merge, parsed};

fn ids(records: &[Value]) -> BTreeSet<String> {
    records.iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect()
}

fn named(answer: &Value) -> BTreeSet<String> {
    answer["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn exactly_the_changed_records_differ_after_the_next_finished_sync() {
    let merge = Merge::of_size(500);
    let account = merge.synced("one", "hris").await;
    let before = merge.records(&account, "hris.Employee", "").await;
    let first_finish = finish_of(&merge, &account, "hris.Employee").await;
    assert!(parsed(&before).iter().all(|record| modified(record) < first_finish));

    let changed = named(&merge.control(&account, "mutate", json!({"model_id": "hris.Employee", "count": 250})).await);
    let deleted =
        named(&merge.control(&account, "delete-records", json!({"model_id": "hris.Employee", "count": 40})).await);
    assert_eq!((changed.len(), deleted.len()), (250, 40));
    assert!(changed.is_disjoint(&deleted));
    assert_eq!(merge.records(&account, "hris.Employee", "").await, before, "nothing before the sync");

    merge.sync(&account).await;
    let after = merge.records(&account, "hris.Employee", "include_deleted_data=true").await;
    let differing: Vec<Value> = parsed(
        &before.iter().zip(&after).filter(|(old, new)| old != new).map(|(_, new)| new.clone()).collect::<Vec<_>>(),
    );
    assert_eq!(ids(&differing), changed.union(&deleted).cloned().collect());
    assert_eq!(merge.list(&account, "employees", "").await.len(), 460, "the deleted are hidden unless asked for");

    let delta = format!("modified_after={first_finish}&include_deleted_data=true&page_size=33");
    let delta = parsed(&merge.list(&account, "employees", &delta).await);
    assert_eq!(ids(&delta), changed.union(&deleted).cloned().collect());
    for record in &delta {
        let gone = deleted.contains(record["id"].as_str().unwrap());
        assert_eq!(record["remote_was_deleted"], json!(gone));
        assert!(modified(record) > first_finish);
    }
    let finish = finish_of(&merge, &account, "hris.Employee").await;
    assert!(delta.iter().all(|record| modified(record) < finish));
}

fn modified(record: &Value) -> Time {
    Time::parse(record["modified_at"].as_str().unwrap()).unwrap()
}

async fn finish_of(merge: &Merge, account: &support::Linked, model_id: &str) -> Time {
    let status = merge.get(account, "sync-status?page_size=100").await;
    let all = status["results"].as_array().unwrap();
    let one = all.iter().find(|sync| sync["model_id"] == model_id).unwrap();
    Time::parse(one["last_sync_finished"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_changed_record_differs_in_more_than_its_date_and_keeps_its_identity() {
    let merge = Merge::new();
    let account = merge.synced("one", "hris").await;
    let before = parsed(&merge.records(&account, "hris.Employee", "").await);
    merge.control(&account, "mutate", json!({"model_id": "hris.Employee", "count": 40})).await;
    merge.sync(&account).await;
    let after = parsed(&merge.records(&account, "hris.Employee", "").await);
    for (old, new) in before.iter().zip(&after) {
        let differing: Vec<&String> =
            old.as_object().unwrap().keys().filter(|key| old[key.as_str()] != new[key.as_str()]).collect();
        assert!(differing.len() > 1, "{differing:?}");
        for key in ["id", "remote_id", "created_at", "first_name", "last_name", "company", "employments"] {
            assert!(!differing.contains(&&key.to_owned()), "{key}");
        }
    }
}

#[tokio::test]
async fn without_a_deleted_flag_records_just_vanish() {
    let merge = Merge::new();
    for (category, key, path) in
        [("accounting", "accounting.PaymentTerm", "payment-terms"), ("crm", "crm.EngagementType", "engagement-types")]
    {
        let account = merge.synced("one", category).await;
        let before = merge.list(&account, path, "include_deleted_data=true").await;
        let deleted = merge.control(&account, "delete-records", json!({"model_id": key, "count": 2})).await;
        merge.sync(&account).await;
        let after = merge.list(&account, path, "include_deleted_data=true").await;
        assert_eq!(after.len(), before.len() - 2);
        let id = deleted["ids"][0].as_str().unwrap();
        let path = format!("/api/{category}/v1/{path}/{id}");
        merge.call_as(404, Some(&account.token), "GET", &path, None).await;
    }
}

#[tokio::test]
async fn lists_without_modified_after_ignore_it() {
    let merge = Merge::new();
    let account = merge.synced("one", "accounting").await;
    let all = merge.list(&account, "payment-terms", "").await;
    assert_eq!(merge.list(&account, "payment-terms", "modified_after=2099-01-01T00:00:00Z").await, all);
    assert!(merge.list(&account, "invoices", "modified_after=2099-01-01T00:00:00Z").await.is_empty());
}

#[tokio::test]
async fn a_failed_sync_brings_nothing_and_the_next_one_all() {
    let merge = Merge::new();
    let account = merge.synced("one", "hris").await;
    let before = merge.records(&account, "hris.Team", "").await;
    merge.control(&account, "mutate", json!({"model_id": "hris.Team", "count": 1})).await;
    merge.control(&account, "start-sync", json!({"models": ["hris.Team"], "result": "FAILED"})).await;
    merge.wait_ms(60_000);
    assert_eq!(merge.records(&account, "hris.Team", "").await, before);
    merge.sync(&account).await;
    assert_ne!(merge.records(&account, "hris.Team", "").await, before);
}

#[tokio::test]
async fn a_bigger_provider_shows_after_the_next_sync_and_old_records_stay_as_they_were() {
    let merge = Merge::new();
    let account = merge.synced("one", "hris").await;
    let before = merge.records(&account, "hris.Employee", "").await;
    merge.settings(json!({"records": {"hris.Employee": 60}})).await;
    assert_eq!(merge.records(&account, "hris.Employee", "").await.len(), 40);
    merge.sync(&account).await;
    let after = merge.records(&account, "hris.Employee", "").await;
    assert_eq!((after.len(), &after[..40]), (60, &before[..]));
}

#[tokio::test]
async fn nested_lists_change_like_the_others() {
    let merge = Merge::new();
    let account = merge.synced("one", "ats").await;
    let key = "ats.ScreeningQuestion@jobs";
    let total = merge.records(&account, key, "").await.len();
    merge.control(&account, "delete-records", json!({"model_id": key, "count": 1})).await;
    merge.sync(&account).await;
    assert_eq!(merge.records(&account, key, "").await.len(), total - 1);
    assert_eq!(merge.records(&account, key, "include_deleted_data=true").await.len(), total);
}
