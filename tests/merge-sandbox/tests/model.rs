//! Listing against the obvious way to do it, and one seed against itself.

#![allow(clippy::unwrap_used)]

mod support;

use merge_sandbox::clock::Time;
use merge_sandbox::dataset::{Dataset, Pending};
use merge_sandbox::listing::{self, Cursor, Query};
use merge_sandbox::models::{self, Field, Kind, Model};
use proptest::prelude::*;
use serde_json::json;
use support::Merge;

const SECOND: i64 = 1_000_000;

/// A dataset that went through some rounds of growth, changes and deletions, one second each; and the time after them.
fn dataset(rounds: &[(u64, u64, u64)]) -> (Dataset, Time) {
    let mut dataset = Dataset::new(0);
    let mut now = Time(SECOND);
    for (growth, changes, deletions) in rounds {
        dataset.size += growth;
        dataset.mark(*changes, Pending::Change, now);
        dataset.mark(*deletions, Pending::Delete, now);
        let end = Time(now.0 + SECOND);
        dataset.grow(now, end);
        dataset.apply(now, end);
        now = Time(end.0 + SECOND);
    }
    (dataset, now)
}

/// What a list must show, found by looking at every record.
fn expected(dataset: &Dataset, query: &Query, tombstones: bool, now: Time) -> Vec<u64> {
    (0..dataset.visible(now))
        .filter(|index| {
            let (created, state) = (dataset.created_at(*index), dataset.state(*index));
            (!state.deleted || (query.include_deleted && tombstones))
                && query.modified_after.is_none_or(|after| state.modified_at > after)
                && query.modified_before.is_none_or(|before| state.modified_at < before)
                && query.created_after.is_none_or(|after| created > after)
                && query.created_before.is_none_or(|before| created < before)
        })
        .collect()
}

fn some_time() -> impl Strategy<Value = Option<Time>> {
    proptest::option::of((0..12 * SECOND).prop_map(Time))
}

proptest! {
    #[test]
    fn pages_show_what_a_look_at_every_record_shows(
        rounds in proptest::collection::vec((0..40_u64, 0..20_u64, 0..10_u64), 1..5),
        bounds in (some_time(), some_time(), some_time(), some_time()),
        (include_deleted, tombstones, limit) in (any::<bool>(), any::<bool>(), 1..30_usize),
    ) {
        let (dataset, now) = dataset(&rounds);
        let mut query = Query {
            modified_after: bounds.0,
            modified_before: bounds.1,
            created_after: bounds.2,
            created_before: bounds.3,
            include_deleted,
            limit,
            ..Query::default()
        };
        let expected = expected(&dataset, &query, tombstones, now);
        let mut forwards = Vec::new();
        loop {
            let page = listing::page(&dataset, &query, tombstones, now);
            prop_assert!(page.records.len() <= limit);
            forwards.extend(page.records.iter().map(|(index, _)| *index));
            let Some(next) = page.next else { break };
            query.cursor = Cursor::decode(&next.encode());
        }
        prop_assert_eq!(&forwards, &expected);

        query.cursor = Some(Cursor::Before(now));
        let mut backwards = Vec::new();
        loop {
            let page = listing::page(&dataset, &query, tombstones, now);
            backwards.extend(page.records.iter().rev().map(|(index, _)| *index));
            let Some(previous) = page.previous else { break };
            query.cursor = Cursor::decode(&previous.encode());
        }
        backwards.reverse();
        prop_assert_eq!(backwards, expected);
    }

    #[test]
    fn created_at_orders_records_and_counts_them(rounds in proptest::collection::vec((0..40_u64, 0..5_u64, 0..5_u64), 1..6)) {
        let (dataset, now) = dataset(&rounds);
        prop_assert_eq!(dataset.visible(now), rounds.iter().map(|(growth, _, _)| growth).sum::<u64>());
        for index in 0..dataset.visible(now) {
            let created = dataset.created_at(index);
            prop_assert_eq!(dataset.created_before(created), index);
            prop_assert_eq!(dataset.visible(created), index + 1);
        }
    }
}

/// Everything a caller can see of a small story.
async fn story(seed: u64) -> Vec<String> {
    let merge = Merge::seeded(seed, 30);
    let account = merge.synced("one", "hris").await;
    merge.control(&account, "mutate", json!({"model_id": "hris.Employee", "count": 5})).await;
    merge.control(&account, "relink-needed", json!({})).await;
    merge.sync(&account).await;
    let mut seen = vec![account.id.clone(), account.token.clone()];
    seen.extend(merge.list(&account, "employees", "include_deleted_data=true").await);
    seen.extend(merge.deliveries().into_iter().map(|delivery| format!("{} {:?}", delivery.signature, delivery.body)));
    seen.push(merge.call(200, "GET", "/_sandbox/state", None).await.to_string());
    seen
}

#[tokio::test]
async fn one_seed_is_one_run() {
    let first = story(3).await;
    assert_eq!(first, story(3).await);
    assert!(first.iter().zip(story(4).await).all(|(one, other)| *one != other));
}

/// The worker tells drift by `contract.txt`, the sandbox makes records by `schemas.json`: both say the same.
#[test]
fn the_workers_contract_is_what_the_schemas_say() {
    let member = |field: &Field| match &field.kind {
        Kind::Enum(values) if values.len() <= 40 => format!("{}={}", field.name, values.join("|")),
        _ => field.name.clone(),
    };
    let line = |model: &Model| {
        let members: Vec<String> = model.fields.iter().map(member).collect();
        format!("{}: {}", model.key, members.join(" "))
    };
    let mut expected: Vec<String> = models::all().iter().map(line).collect();
    let text = include_str!("../../../shared/src/domain/contract.txt");
    let mut found: Vec<String> = text.lines().map(str::to_owned).collect();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
}
