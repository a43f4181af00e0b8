//! The worker and its queue: what nobody can handle ends in the dead-letter queue and delays nobody, one bad message
//! fails alone, and a chain that gets nowhere is ended.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::QueueAttributeName;
use local_stack::lambda::Invocation;
use serde_json::{Value, json};

use crate::harness::tables::text;
use crate::harness::{BOUND, Setup, System, alone, assert_equal, send, sqs, until};

/// Messages are given up after one receive: a test does not wait for five.
async fn impatient(system: &System) {
    let client = sqs(system);
    let url = &system.ready().queue_url;
    let name = QueueAttributeName::RedrivePolicy;
    let asked = client.get_queue_attributes().queue_url(url).attribute_names(name.clone()).send().await;
    let policy = asked.expect("the queue").attributes.expect("attributes")[&name].clone();
    let mut policy: Value = serde_json::from_str(&policy).expect("JSON");
    assert!(policy["maxReceiveCount"].as_u64() >= Some(5) || policy["maxReceiveCount"] == "5", "{policy}");
    policy["maxReceiveCount"] = json!(1);
    client.set_queue_attributes().queue_url(url).attributes(name, policy.to_string()).send().await.expect("a policy");
}

/// Waits until the dead-letter queue holds so many messages.
async fn dead(system: &System, wanted: u64) {
    until("the message is dead", BOUND, async || {
        let depths = system.stack.queue_depths().await;
        let depth = depths.iter().find(|(name, _)| name.contains("SyncDeadLetter")).map(|(_, depth)| depth.visible);
        if depth == Some(wanted) { Ok(()) } else { Err(format!("{depths:?}")) }
    })
    .await;
}

/// What an operator does: moves every dead message back.
async fn redrive(system: &System) -> usize {
    let client = sqs(system);
    let dlq = &system.ready().dlq_url;
    let mut moved = 0;
    loop {
        let received = client.receive_message().queue_url(dlq).max_number_of_messages(10).send().await;
        let messages = received.expect("the dead-letter queue").messages.unwrap_or_default();
        if messages.is_empty() {
            return moved;
        }
        for message in messages {
            let id = format!("redrive-{moved}");
            send(system, message.body.as_deref().unwrap_or_default(), "redrive", &id).await;
            let delete =
                client.delete_message().queue_url(dlq).receipt_handle(message.receipt_handle.unwrap_or_default());
            delete.send().await.expect("a deleted message");
            moved += 1;
        }
    }
}

#[test]
fn checklist_37_a_poison_message_ends_in_the_dead_letter_queue_and_works_once_its_cause_is_mended() {
    alone(
        || Setup::default().without_schedule(),
        async |system| {
            system.announce("a message failed");
            let ill = system.api("org_ill").await;
            let well = system.api("org_well").await;
            let poisoned = system.connect_and_sync(&ill, "hris", "bamboohr").await;
            let other = system.connect_and_sync(&well, "hris", "bamboohr").await;
            system.webhooks_settled().await;
            system.idle().await;
            impatient(system).await;

            // The poison: this account's token cannot be opened.
            let sk = format!("ACCOUNT#{}", poisoned.id);
            let rows = system.tables().partition("ORG#org_ill").await;
            let token = rows.iter().find(|row| text(row, "sk") == sk).expect("the account")["token"].clone();
            let spoiled = AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new(b"no ciphertext".to_vec()));
            system.tables().set("ORG#org_ill", &sk, "token", spoiled).await;
            system.stack.kill_workers("sync-worker");
            let before = system.counted("MessageFailed");
            ill.post(&format!("/v1/linked-accounts/{}/sync", poisoned.id), json!({}), 202).await;

            // Meanwhile everybody else is served.
            system.sandbox().mark(&other.merge_id, "mutate", "hris.Employee", 5).await;
            system.sandbox().start_sync(&other.merge_id).await;
            dead(system, 1).await;
            assert!(system.counted("MessageFailed") > before, "it was counted");
            until("the other account is up to date", BOUND, async || {
                crate::harness::all_equal(system, &well, &other, &["hris.Employee"]).await
            })
            .await;

            // The cause is mended, and the message is worked as if nothing had happened.
            system.tables().set("ORG#org_ill", &sk, "token", token).await;
            system.sandbox().mark(&poisoned.merge_id, "mutate", "hris.Employee", 5).await;
            let asked = system.sandbox().calls("GET /api/hris/v1/sync-status").await;
            assert_eq!(redrive(system).await, 1);
            system.idle().await;
            assert!(system.sandbox().calls("GET /api/hris/v1/sync-status").await > asked, "Merge was asked");
            system.sandbox().start_sync(&poisoned.merge_id).await;
            until("the account is up to date", BOUND, async || {
                crate::harness::all_equal(system, &ill, &poisoned, &["hris.Employee"]).await
            })
            .await;
            assert_equal(system, &well, &other, &["hris.Employee"]).await;
        },
    );
}

#[test]
fn checklist_38_of_a_batch_exactly_the_malformed_message_is_reported() {
    alone(
        || Setup::default().without_schedule(),
        async |system| {
            system.announce("a message failed");
            let unknown = r#"{"v":1,"merge_id":"00000000-0000-4000-8000-000000000038","type":"records_changed"}"#;
            let malformed = [
                "",
                "{",
                "null",
                "[]",
                "\u{0}",
                r#"{"v":2,"merge_id":"a","type":"records_changed"}"#,
                r#"{"v":1,"merge_id":"a","type":"dance"}"#,
                r#"{"v":1,"merge_id":"a#b","type":"records_changed"}"#,
                r#"{"v":1,"merge_id":"a","type":"poll","organization":"","account":"x","minute":"y"}"#,
            ];
            for body in malformed {
                let bodies = [unknown, body, unknown];
                let records: Vec<Value> = (0..).zip(bodies).map(|(n, body)| record(n, body)).collect();
                let answer = system.stack.invoke("sync-worker", json!({"Records": records})).await;
                let Invocation::Response(answer) = answer else { panic!("the invocation fails: {body:?}") };
                let answer: Value = serde_json::from_slice(&answer).expect("an answer");
                assert_eq!(answer["batchItemFailures"], json!([{"itemIdentifier": "m1"}]), "{body:?}");
            }
        },
    );
}

/// A message as Lambda shows it.
fn record(n: usize, body: &str) -> Value {
    json!({
        "messageId": format!("m{n}"), "receiptHandle": "none", "body": body, "md5OfBody": "",
        "attributes": {"ApproximateReceiveCount": "1"}, "messageAttributes": {}, "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:q.fifo", "awsRegion": "us-east-1",
    })
}

#[test]
fn checklist_50_a_chain_that_gets_nowhere_is_ended_with_an_alarm() {
    alone(
        // Without webhooks, too: what a late answer left behind would let a later hint get somewhere.
        || {
            let setup = Setup::default().without_schedule().without_webhooks();
            setup.variable("sync-worker", "WORK_SLICE_SECONDS", "1")
        },
        async |system| {
            system.announce("a work slice committed nothing");
            let api = system.api("org_stuck").await;
            // Every slice is over before Merge has said how far its syncs are.
            let slow = json!({"route": "GET /api/hris/v1/sync-status", "delay_ms": 1_500, "times": 0});
            system.sandbox().post("/faults", slow).await;
            let account = system.connect(&api, "hris", "bamboohr").await;
            until("the chain is ended", BOUND, async || {
                if system.counted("ContinuationStuck") > 0 { Ok(()) } else { Err("it goes on".to_owned()) }
            })
            .await;
            system.idle().await;
            let hops = system.messages_about(&account.merge_id);
            let hops = hops.iter().filter(|message| message.contains(r#""type":"continue""#)).count();
            assert_eq!(hops, 0, "nothing was sent on");
        },
    );
}
