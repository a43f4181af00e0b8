//! Reading: pages of records and the change feed, over rows written as the worker writes them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::ambient;
use shared::domain::{
    change::{Action, Change, Presence},
    endpoint::Endpoint,
    message::{AccountRef, SyncMode},
    record,
    sync_status::SyncStatus,
    window::{Cadence, Checkpoint, next_window},
};
use shared::store::checkpoint::{CommitStamp, Page};

use crate::world::{World, account_id, org, run};

pub fn employees() -> &'static Endpoint {
    Endpoint::by_slug("hris.employees").unwrap()
}

/// Writes one page as a worker would: records, then the commit.
pub async fn page(world: &World, id: &str, before: &Checkpoint, records: &[(String, Action)]) -> Checkpoint {
    let store = &world.linking.store;
    let account = account_id(id);
    let mut tag = before.running();
    tag.n += 1;
    for (bytes, _) in records {
        let incoming = record::read(bytes, employees(), None).unwrap();
        assert!(store.put_record(account, employees(), &incoming, tag, Presence::Absent).await.unwrap());
    }
    let change = |(bytes, action): &(String, Action)| Change {
        k: record::read(bytes, employees(), None).unwrap().key,
        a: *action,
    };
    let changes: Vec<Change> = records.iter().map(change).collect();
    let after = before.advanced(Default::default(), true, Some("next".to_owned()));
    let content = Page { changes: &changes, tombstones: &[] };
    let now = ambient::now();
    let stamp = CommitStamp { holder: "test", at: now, expires_at: now.as_second() + 1_000 };
    assert!(store.commit(account, employees(), before, &after, content, stamp).await.unwrap());
    after
}

pub async fn claimed(world: &World, id: &str) -> Checkpoint {
    let now = ambient::now();
    let status = json!({
        "model_id": "hris.Employee", "status": "DONE", "last_sync_result": "DONE", "is_initial_sync": true,
        "last_sync_finished": now,
    });
    let status: SyncStatus = serde_json::from_value(status).unwrap();
    let open = next_window(employees(), None, &status, SyncMode::Changes, &Cadence::default(), now).unwrap();
    let checkpoint = Checkpoint::default().claimed(open, now);
    let of = AccountRef { organization: org("acme"), account: account_id(id) };
    assert!(world.linking.store.claim(&of, employees(), None, &checkpoint, "test").await.unwrap());
    checkpoint
}

pub fn employee(n: usize, deleted: bool) -> String {
    // Spacing, order and number spelling that no parser would write back.
    format!(
        "{{ \"modified_at\":\"2026-01-01T00:00:{:02}Z\", \"id\" :\"e{n}\",\"pay\": 1.50, \"remote_was_deleted\":{deleted} }}",
        n % 60
    )
}

pub async fn get(world: &World, id: &str, rest: &str) -> crate::answer::Answer {
    world.ask("acme", &format!("GET /v1/linked-accounts/{id}{rest}"), Value::Null).await
}

#[test]
fn records_are_paged_byte_for_byte_and_without_the_deleted() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        let start = claimed(&world, &id).await;
        let rows: Vec<_> = (0..25).map(|n| (employee(n, n % 5 == 0), Action::Added)).collect();
        page(&world, &id, &start, &rows).await;

        let (mut seen, mut cursor, mut pages) = (BTreeSet::new(), String::new(), 0);
        loop {
            let answer = get(&world, &id, &format!("/records/hris.Employee?limit=7{cursor}")).await;
            let list = answer.clone().expect(200);
            for record in list["results"].as_array().unwrap() {
                let key = record["id"].as_str().unwrap().to_owned();
                let n: usize = key[1..].parse().unwrap();
                assert!(answer.text.contains(&employee(n, false)), "{}", answer.text);
                assert!(seen.insert(key), "twice");
            }
            assert_eq!((&list["initial_sync_completed"], &list["partial"]), (&json!(false), &json!(false)));
            pages += 1;
            let Some(next) = list["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!((seen.len(), pages >= 3), (20, true));
        let all = get(&world, &id, "/records/hris.Employee?limit=1000&include_deleted=true").await.expect(200);
        assert_eq!(all["results"].as_array().unwrap().len(), 25);

        // A cursor belongs to its list, and a model to its category.
        let next = get(&world, &id, "/records/hris.Employee?limit=1").await.expect(200)["next_cursor"].clone();
        let next = next.as_str().unwrap();
        get(&world, &id, &format!("/records/hris.Team?cursor={next}")).await.refused(400, "cursor_invalid");
        get(&world, &id, "/records/crm.Account").await.refused(404, "not_found");
        get(&world, &id, "/records/hris.Employee?limit=1001").await.refused(400, "invalid_request");
    });
}

#[test]
fn an_answer_ends_at_five_megabytes_and_says_what_is_too_large() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        let start = claimed(&world, &id).await;
        let sized = |name: &str, bytes: usize| {
            // Hard to compress, so that parts are stored.
            let mut state = bytes as u64 + 1;
            let noise: String = std::iter::repeat_with(|| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                char::from(b'a' + (state % 26) as u8)
            })
            .take(bytes)
            .collect();
            (format!("{{\"id\":\"{name}\",\"modified_at\":\"2026-01-01T00:00:00Z\",\"x\":\"{noise}\"}}"), Action::Added)
        };
        // Lambda carries each of its quotes as two bytes, and each backslash.
        let quotes = r#"\""#.repeat(1_500_000);
        let quoted = format!("{{\"id\":\"quoted\",\"modified_at\":\"2026-01-01T00:00:00Z\",\"x\":\"{quotes}\"}}");
        let quoted = (quoted, Action::Added);
        page(&world, &id, &start, &[sized("a", 3_000_000), sized("b", 3_000_000), sized("huge", 5_500_000), quoted])
            .await;
        let (mut seen, mut cursor, mut pages) = (BTreeSet::new(), String::new(), 0);
        loop {
            let answer = get(&world, &id, &format!("/records/hris.Employee?limit=100{cursor}")).await;
            assert!(serde_json::to_string(&answer.text).unwrap().len() < 6 << 20, "as Lambda carries it");
            let list = answer.expect(200);
            for record in list["results"].as_array().unwrap() {
                let key = record["id"].as_str().unwrap();
                let too_large = key == "huge" || key == "quoted";
                assert_eq!((record["too_large"] == true, record["data"].is_null()), (too_large, too_large), "{key}");
                seen.insert(key.to_owned());
            }
            pages += 1;
            let Some(next) = list["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!((seen.len(), pages), (4, 2));
    });
}

#[test]
fn the_feed_tells_every_change_once_and_in_order() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        let start = claimed(&world, &id).await;
        let now = get(&world, &id, "/changes?cursor=now").await.expect(200);
        assert_eq!((&now["results"], &now["has_more"]), (&json!([]), &json!(false)));

        let first: Vec<_> = (0..30).map(|n| (employee(n, false), Action::Added)).collect();
        let middle = page(&world, &id, &start, &first).await;
        page(&world, &id, &middle, &[(employee(61, false), Action::Updated), (employee(62, true), Action::Deleted)])
            .await;

        // From the beginning, and from "now" before anything was there: the same.
        for bootstrap in [String::new(), format!("&cursor={}", now["next_cursor"].as_str().unwrap())] {
            let (mut seqs, mut cursor) = (Vec::new(), bootstrap);
            loop {
                let answer = get(&world, &id, &format!("/changes?limit=8{cursor}")).await.expect(200);
                for change in answer["results"].as_array().unwrap() {
                    seqs.push((
                        change["seq"].as_str().unwrap().to_owned(),
                        change["action"].clone(),
                        change["data"].clone(),
                    ));
                }
                cursor = format!("&cursor={}", answer["next_cursor"].as_str().unwrap());
                if answer["has_more"] == false {
                    break;
                }
            }
            assert_eq!(seqs.len(), 32);
            assert!(seqs.is_sorted_by(|a, b| a.0 < b.0), "strictly rising");
            assert_eq!(seqs[0].0, "00000000010000000001.000");
            assert_eq!(seqs[0].2["id"], "e0");
            assert_eq!((&seqs[31].1, &seqs[31].2), (&json!("deleted"), &Value::Null));
            let nothing_new = get(&world, &id, &format!("/changes?limit=8{cursor}")).await.expect(200);
            assert_eq!(nothing_new["results"], json!([]));
        }
        let one = get(&world, &id, "/changes?model=hris.Team").await.expect(200);
        assert_eq!(one["results"], json!([]));
        get(&world, &id, "/changes?model=crm.Account").await.refused(400, "invalid_request");
    });
}

#[test]
fn a_cursor_that_its_owner_edited_is_refused_and_no_fault_of_ours() {
    run(async {
        let world = World::new().await;
        let id = world.connect("acme", "k1").await;
        let keys = ["", "a", "~", "\u{0}", "#", &"x".repeat(1_000), &"x".repeat(1_025), &"ä".repeat(2_000)];
        let ask = async |path: &str, list: &[&str], position: Value| {
            let binding = [&["acme"], list].concat();
            let cursor = shared::api::cursor::encode(&binding, &position).unwrap();
            let answer = world.ask("acme", format!("GET {path}?cursor={cursor}"), Value::Null).await;
            let refused = answer.status == 400 && answer.body["code"] == "cursor_invalid";
            assert!(answer.status == 200 || refused, "{path} {position}: {}", answer.text);
        };
        let path = format!("/v1/linked-accounts/{id}");
        for key in keys {
            for shard in [0, 7, 255] {
                let list = [id.as_str(), "records", "hris.Employee", "live"];
                let position = json!({"shard": shard, "after": key});
                ask(&format!("{path}/records/hris.Employee"), &list, position).await;
            }
            ask(&format!("{path}/events"), &[&id, "events"], json!(key)).await;
            for model in ["hris.employees", "*"] {
                let position = json!({model: {"tag": key, "next": 1_000, "at": Timestamp::now()}});
                ask(&format!("{path}/changes"), &[&id, "changes", ""], position).await;
            }
        }
        let nobody = "00000000-0000-4000-8000-000000000000";
        ask("/v1/linked-accounts", &["accounts", "", "", ""], json!({"attempts": true, "after": nobody})).await;
    });
}
