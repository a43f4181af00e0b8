//! The webhook's URL: what is genuine is taken, what is not changes nothing, and nothing is ever told to the sender.

use serde_json::{Value, json};

use crate::harness::{BOUND, Delivery, KEY, Setup, SharedStack, System, signed, until};

static STACK: SharedStack = SharedStack::new(Setup::default);

async fn post(system: &System, body: &[u8], signature: Option<&str>) -> u16 {
    let (status, answer) = Delivery { body: body.to_vec(), signature }.post(system).await;
    assert_eq!(answer, "", "every answer is empty");
    status
}

fn synced(merge_id: &str) -> Value {
    json!({
        "hook": {"id": "hook", "event": "Employee.synced", "target": "https://example.com"},
        "linked_account": {"id": merge_id, "category": "hris", "end_user_origin_id": "x", "status": "COMPLETE"},
        "data": {"sync_status": {"model_id": "hris.Employee", "model_name": "Employee", "status": "DONE"}}
    })
}

fn unknown_account() -> Vec<u8> {
    synced("00000000-0000-4000-8000-000000000001").to_string().into_bytes()
}

#[test]
fn a_signature_in_base64url_is_taken_with_and_without_padding() {
    STACK.run(async |system| {
        let body = unknown_account();
        let signature = signed(&body, KEY);
        assert_eq!(post(system, &body, Some(&signature)).await, 200);
        assert_eq!(post(system, &body, Some(signature.trim_end_matches('='))).await, 200);
    });
}
