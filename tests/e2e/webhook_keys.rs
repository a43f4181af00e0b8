//! Rotation of Merge's signature key: the old one is taken while it is listed, the new one as soon as it is.

use serde_json::json;

use crate::harness::{BOUND, Delivery, Setup, System, alone, put_webhook_keys, signed, until};

/// A genuine ping, whose bytes no other test sends.
fn ping(n: u32) -> Vec<u8> {
    json!({"hook": {"event": "Universe.ended"}, "n": n}).to_string().into_bytes()
}

async fn post(system: &System, n: u32, key: &str) -> u16 {
    let body = ping(n);
    let signature = signed(&body, key);
    let (status, answer) = Delivery { body, signature: Some(&signature) }.post(system).await;
    assert_eq!(answer, "", "every answer is empty");
    status
}

/// Ends the processes that know the keys of before; what comes meanwhile is answered 5xx and sent again. How a process
/// that lives on learns of new keys is tested beside the handler, where its clock can be moved.
async fn fresh_processes(system: &System, n: u32) {
    system.stack.kill_workers("webhook");
    until("a fresh process judges", BOUND, async || match post(system, n, "the-newer-key").await {
        200 => Ok(()),
        status => Err(format!("answered {status}")),
    })
    .await;
}

#[test]
fn checklist_06_during_a_rotation_both_keys_are_taken_and_afterwards_only_the_new_one() {
    alone(
        || Setup::default().without_schedule(),
        async |system| {
            assert_eq!(post(system, 1, "dev-webhook-key").await, 200);
            assert_eq!(system.counted("WebhookOlderKey"), 0);

            // Merge has a new key, and the operator puts it before the old one.
            put_webhook_keys(system, r#"["the-newer-key","dev-webhook-key"]"#).await;
            fresh_processes(system, 2).await;
            assert_eq!(post(system, 3, "dev-webhook-key").await, 200, "the previous key, while it is listed");
            assert_eq!(system.counted_by("WebhookOlderKey", "1"), 1, "a metric says which key that was");

            // The rotation is over.
            put_webhook_keys(system, r#"["the-newer-key"]"#).await;
            fresh_processes(system, 4).await;
            assert_eq!(post(system, 5, "dev-webhook-key").await, 401, "the removed key");
        },
    );
}
