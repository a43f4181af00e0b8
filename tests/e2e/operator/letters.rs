//! Dead letters: named by the doctor, grouped by what is wrong with each, sent again or kept in a file and taken away.

use std::fs;
use std::path::PathBuf;

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{findings, one, tether, undisturbed};
use crate::harness::tables::text;
use crate::harness::{BOUND, Setup, System, alone, until};

/// Puts a body where the worker's fifth failure would.
pub async fn bury(system: &System, group: &str, body: &str) {
    let ready = system.ready();
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(ready.region.clone()))
        .endpoint_url(&ready.aws)
        .credentials_provider(Credentials::new("test", "test", None, None, "e2e"))
        .build();
    let send = aws_sdk_sqs::Client::from_conf(config).send_message().queue_url(&ready.dlq_url);
    let send = send.message_group_id(group).message_deduplication_id(Uuid::new_v4().to_string()).message_body(body);
    send.send().await.expect("a dead letter");
}

pub fn synced(merge_id: &str) -> String {
    json!({"v": 1, "merge_id": merge_id, "type": "synced", "models": ["hris.Employee"]}).to_string()
}

pub async fn groups(system: &System) -> Vec<(String, u64)> {
    let said = tether(system, &["dead-letters", "list", "--json"]).await.expect(0);
    let group = |line: &Value| {
        (line["cause"].as_str().unwrap_or_default().to_owned(), line["messages"].as_u64().unwrap_or_default())
    };
    said.lines().iter().map(group).collect()
}

#[test]
fn dead_letters_are_sorted_by_cause_and_leave_by_the_right_door() {
    alone(Setup::default, async |system| {
        let organization = "org_letters";
        let api = system.api(organization).await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.idle().await;
        undisturbed(system, organization, &account).await;
        assert_eq!(findings(system, &["--stale-after", "100000"]).await, (0, Default::default()));

        let nobody = "0b1e5a0e-1111-4222-8333-444455556666";
        bury(system, &account.merge_id, &synced(&account.merge_id)).await;
        bury(system, &account.merge_id, &synced(&account.merge_id)).await;
        bury(system, nobody, &synced(nobody)).await;
        bury(system, "poison", r#"{"v":1,"type":"dance"}"#).await;
        assert_eq!(findings(system, &["--stale-after", "100000"]).await, (2, one("dead-letters", "")));

        // Looking changes nothing.
        let expected = [("unreadable", 1), ("no-account", 1), ("passing", 2)].map(|(cause, n)| (cause.to_owned(), n));
        assert_eq!(groups(system).await, expected);
        assert_eq!(groups(system).await, expected);
        let dry = tether(system, &["dead-letters", "redrive", "--dry-run", "--json"]).await.expect(0);
        assert_eq!(dry.lines().len(), 4);
        assert_eq!(tether(system, &["dead-letters", "redrive"]).await.code, 3, "without a yes nothing is done");
        assert_eq!(groups(system).await, expected);

        // What is fine now goes back to the worker.
        let redrive =
            ["dead-letters", "redrive", "--cause", "passing", "--organization", organization, "--yes", "--json"];
        assert_eq!(tether(system, &redrive).await.expect(0).value(), json!({"redriven": 2}));
        until("the worker is done with them", BOUND, async || {
            let depths = system.stack.queue_depths().await;
            let left = depths.iter().find(|(queue, depth)| *queue == "SyncQueue" && **depth != Default::default());
            left.map_or(Ok(()), |left| Err(format!("{left:?}")))
        })
        .await;
        assert_eq!(groups(system).await, expected[..2]);
        until("the timeline says so", BOUND, async || {
            let rows = system.tables().partition(&format!("ACCOUNT#{}", account.id)).await;
            let noted = rows.iter().filter(|row| text(row, "kind") == "dead_letter").count();
            if noted == 2 { Ok(()) } else { Err(format!("{noted} events")) }
        })
        .await;

        // The rest is kept in a file first.
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("letters-{}.ndjson", Uuid::new_v4()));
        let path = file.display().to_string();
        let discard = ["dead-letters", "discard", "--file", &path, "--yes", "--json"];
        assert_eq!(tether(system, &discard).await.expect(0).value(), json!({"discarded": 2}));
        let kept = fs::read_to_string(&file).expect("the file");
        let bodies: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
        assert_eq!(bodies.len(), 2, "{kept}");
        assert!(bodies.iter().any(|line| line["body"] == r#"{"v":1,"type":"dance"}"#), "{kept}");
        fs::remove_file(&file).expect("the file is there");
        assert_eq!(findings(system, &["--stale-after", "100000"]).await, (0, Default::default()));
    });
}
