//! The webhook's URL: what is genuine is taken, what is not changes nothing, and nothing is ever told to the sender.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{BOUND, Delivery, KEY, Setup, SharedStack, System, alone, digest, signed, until};

// Without poller and periodic syncs every message in the queue is a webhook's doing.
static STACK: SharedStack = SharedStack::new(|| Setup::default().without_schedule());

/// Posts a body; every answer is empty.
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

/// A genuine event about an account that nobody has; `n` makes its bytes unique.
fn unknown_account(n: usize) -> Vec<u8> {
    synced(&format!("00000000-0000-4000-8000-{n:012}")).to_string().into_bytes()
}

/// Messages that the webhook has put on the queue.
fn queued(system: &System) -> u64 {
    let counts = system.stack.aws().expect("embedded services").request_counts();
    let sent = counts.iter().filter(|((key, service, action), _)| {
        key == "local-webhook" && service == "sqs" && action.starts_with("SendMessage")
    });
    sent.map(|(_, count)| count).sum()
}

#[test]
fn a_signature_in_base64url_is_taken_with_and_without_padding() {
    STACK.run(async |system| {
        let body = unknown_account(1);
        let signature = signed(&body, KEY);
        assert_eq!(post(system, &body, Some(&signature)).await, 200);
        assert_eq!(post(system, &body, Some(signature.trim_end_matches('='))).await, 200);
    });
}

#[test]
fn what_is_not_signed_by_merge_is_refused_and_queues_nothing() {
    // Alone, so that nobody else's deliveries are counted.
    alone(
        || Setup::default().without_schedule(),
        async |system| {
            let body = unknown_account(2);
            let signature = signed(&body, KEY);
            let flipped = {
                let mut digest = digest(&signature);
                digest[0] ^= 1;
                base64::engine::general_purpose::URL_SAFE.encode(digest)
            };
            let hex: String = digest(&signature).iter().map(|byte| format!("{byte:02x}")).collect();
            let reserialised = serde_json::to_vec_pretty(&synced("00000000-0000-4000-8000-000000000002"));
            let reserialised = signed(&reserialised.expect("JSON"), KEY);
            let forgeries = [
                ("no signature", None),
                ("an empty one", Some(String::new())),
                ("one bit flipped", Some(flipped)),
                ("hexadecimal", Some(hex)),
                ("over the same JSON in other bytes", Some(reserialised)),
                ("another key's", Some(signed(&body, "another-key"))),
                ("the removed key's", Some(signed(&body, "dev-webhook-key-old"))),
                ("another body's", Some(signed(b"{}", KEY))),
                ("not ASCII", Some("ü".repeat(22))),
            ];
            for (what, forged) in forgeries {
                assert_eq!(post(system, &body, forged.as_deref()).await, 401, "{what}");
            }
            assert_eq!(queued(system), 0, "nothing was queued");
            assert_eq!(post(system, &body, Some(&signature)).await, 200);
            assert_eq!(queued(system), 1, "the genuine one was");
        },
    );
}

#[test]
fn a_signature_in_standard_base64_is_refused() {
    STACK.run(async |system| {
        // A digest that holds one of the two characters in which the alphabets differ.
        let differs = |body: &Vec<u8>| STANDARD.encode(digest(&signed(body, KEY))).contains(['+', '/']);
        let body = (100..).map(unknown_account).find(differs).expect("such a digest");
        let standard = STANDARD.encode(digest(&signed(&body, KEY)));
        assert_eq!(post(system, &body, Some(&standard)).await, 401);
        assert_eq!(post(system, &body, Some(&signed(&body, KEY))).await, 200);
    });
}

#[test]
fn two_hundred_copies_of_a_delivery_are_one_sync() {
    // Alone, because the calls to Merge are counted.
    alone(
        || Setup::default().without_schedule(),
        async |system| {
            let api = system.api("org_acme").await;
            let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
            system.webhooks_settled().await;
            system.idle().await;
            let route = "GET /api/hris/v1/sync-status";
            let before = system.sandbox().calls(route).await;

            let body = synced(&account.merge_id).to_string().into_bytes();
            let signature = signed(&body, KEY);
            let copies = join_all((0..200).map(|_| post(system, &body, Some(&signature)))).await;
            assert!(copies.iter().all(|status| *status == 200), "{copies:?}");
            until("the delivery is worked on", BOUND, async || {
                let calls = system.sandbox().calls(route).await;
                if calls > before { Ok(()) } else { Err("no call yet".to_owned()) }
            })
            .await;
            system.idle().await;
            let calls = system.sandbox().calls(route).await - before;
            assert!((1..=2).contains(&calls), "one sync runs and at most one waits: {calls} calls");
        },
    );
}

#[test]
fn what_means_nothing_is_taken_and_left() {
    STACK.run(async |system| {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let mut event = synced("00000000-0000-4000-8000-000000000003");
        event["hook"]["event"] = json!("Universe.ended");
        let bodies: [(&str, Vec<u8>); 8] = [
            ("the dashboard's test", b"{\"response\": \"This is a test webhook.\"}".to_vec()),
            ("an unknown event", event.to_string().into_bytes()),
            ("no account", json!({"hook": {"event": "Employee.synced"}}).to_string().into_bytes()),
            ("nothing", Vec::new()),
            ("a list", b"[]".to_vec()),
            ("deep JSON", deep.into_bytes()),
            ("no UTF-8", vec![0xff; 64]),
            ("a field twice", br#"{"hook":{"event":"a"},"hook":{"event":"b"}}"#.to_vec()),
        ];
        for (what, body) in bodies {
            assert_eq!(post(system, &body, Some(&signed(&body, KEY))).await, 200, "{what}");
        }
        system.sandbox().post("/webhooks/ping", json!({})).await;
        system.webhooks_settled().await;
    });
}

#[test]
fn the_token_of_a_linked_event_and_the_records_of_others_stay_out_of_everything() {
    STACK.run(async |system| {
        // Planted: the harness searches every log, message, event and row for them.
        let token = "planted-account-token-7c1f";
        system.secrets().plant("account token", token);
        let record = "planted-social-security-number-831";
        system.secrets().plant("record", record);
        let account = json!({"id": "00000000-0000-4000-8000-000000000004", "category": "hris",
            "end_user_origin_id": "org_nobody_hris_7a1d6f2e-5b0c-4f7e-9c41-2f3a8f1e0b9d", "status": "COMPLETE"});
        for (event, data) in [
            ("LinkedAccount.linked", json!({"account_token": token, "is_relink": false})),
            ("Employee.changed", json!({"id": "00000000-0000-4000-8000-00000000000a", "ssn": record})),
            ("Employee.added", json!({"id": "00000000-0000-4000-8000-00000000000b", "first_name": record})),
        ] {
            let body = json!({"hook": {"event": event}, "linked_account": account, "data": data}).to_string();
            assert_eq!(post(system, body.as_bytes(), Some(&signed(body.as_bytes(), KEY))).await, 200, "{event}");
        }
        let messages = system.stack.aws().expect("embedded services").messages();
        let of_account = messages.iter().filter(|body| body.contains("00000000-0000-4000-8000-000000000004"));
        assert!(of_account.count() >= 2, "what the harness searches is there: {messages:?}");
        system.idle().await;
    });
}

#[test]
fn other_methods_are_405_and_every_path_is_the_same() {
    STACK.run(async |system| {
        let url = &system.ready().webhook;
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
            let answer = system.http().request(method.clone(), url).send().await.expect("an answer");
            assert_eq!(answer.status().as_u16(), 405, "{method}");
            assert_eq!(answer.text().await.expect("a body"), "", "{method}");
        }
        let body = unknown_account(5);
        for path in ["admin", "v1/linked-accounts", "../", "%2e%2e/"] {
            let forged = system.http().post(format!("{url}{path}")).body(body.clone()).send().await;
            let forged = forged.expect("an answer");
            assert_eq!(forged.status().as_u16(), 401, "{path}");
            assert_eq!(forged.text().await.expect("a body"), "", "{path}");
        }
    });
}

#[test]
fn what_cannot_be_queued_is_answered_503() {
    alone(
        || Setup::default().variable("webhook", "QUEUE_URL", "http://127.0.0.1:9/000000000000/nowhere.fifo"),
        async |system| {
            let body = unknown_account(6);
            assert_eq!(post(system, &body, Some(&signed(&body, KEY))).await, 503);
            assert_eq!(post(system, &body, None).await, 401, "a forged one still is");
        },
    );
}

#[test]
fn without_its_keys_the_webhook_judges_nothing() {
    alone(
        || Setup::default().variable("webhook", "WEBHOOK_KEYS_SECRET", "no-such-secret"),
        async |system| {
            system.announce("webhook");
            let body = unknown_account(7);
            for signature in [Some(signed(&body, KEY)), None] {
                let (status, _) = Delivery { body: body.clone(), signature: signature.as_deref() }.post(system).await;
                assert!(status >= 500, "{status}: neither taken nor refused");
            }
        },
    );
}
