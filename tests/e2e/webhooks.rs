//! The webhook's URL: what is genuine is taken, what is not changes nothing, and nothing is ever told to the sender.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use futures::{StreamExt, stream};
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

/// Posts forgeries of the event about the account `n`: each is refused, and nothing about it is queued. The genuine
/// event is, so that the search would find it.
async fn refuses(system: &System, n: usize, forgeries: &[(&str, Option<String>)]) {
    let body = unknown_account(n);
    let account = format!("00000000-0000-4000-8000-{n:012}");
    for (what, forged) in forgeries {
        assert_eq!(post(system, &body, forged.as_deref()).await, 401, "{what}");
    }
    assert_eq!(system.queued_about(&account), 0, "nothing was queued");
    assert_eq!(post(system, &body, Some(&signed(&body, KEY))).await, 200);
    assert_eq!(system.queued_about(&account), 1, "the genuine one was");
}

#[test]
fn checklist_01_without_a_signature_nothing_is_taken() {
    STACK.run(async |system| {
        refuses(system, 1, &[("no signature", None), ("an empty one", Some(String::new()))]).await;
    });
}

#[test]
fn checklist_02_a_signature_over_the_same_json_in_other_bytes_is_refused() {
    STACK.run(async |system| {
        let other = serde_json::to_vec_pretty(&synced("00000000-0000-4000-8000-000000000002")).expect("JSON");
        refuses(system, 2, &[("over the same JSON in other bytes", Some(signed(&other, KEY)))]).await;
    });
}

#[test]
fn checklist_03_a_signature_is_base64url_with_or_without_padding_and_nothing_else() {
    STACK.run(async |system| {
        // A digest that holds one of the two characters in which the alphabets differ.
        let differs = |n: &usize| STANDARD.encode(digest(&signed(&unknown_account(*n), KEY))).contains(['+', '/']);
        let n = (100..).find(differs).expect("such a digest");
        let body = unknown_account(n);
        let signature = signed(&body, KEY);
        let hexadecimal: String = digest(&signature).iter().map(|byte| format!("{byte:02x}")).collect();
        let standard = STANDARD.encode(digest(&signature));
        let unpadded = standard.trim_end_matches('=').to_owned();
        let forgeries = [
            ("standard base64", Some(standard)),
            ("standard base64 without padding", Some(unpadded)),
            ("hexadecimal", Some(hexadecimal)),
            ("not ASCII", Some("ü".repeat(22))),
        ];
        refuses(system, n, &forgeries).await;
        assert_eq!(post(system, &body, Some(signature.trim_end_matches('='))).await, 200, "no padding");
    });
}

#[test]
fn checklist_04_one_flipped_bit_breaks_a_signature() {
    STACK.run(async |system| {
        let body = unknown_account(4);
        let signature = signed(&body, KEY);
        let flipped = |at: usize, bit: u8| {
            let mut digest = digest(&signature);
            digest[at] ^= 1 << bit;
            Some(URL_SAFE.encode(digest))
        };
        let forgeries = [
            ("the first bit", flipped(0, 7)),
            ("one in the middle", flipped(16, 3)),
            ("the last bit", flipped(31, 0)),
            ("another body's", Some(signed(b"{}", KEY))),
            ("another key's", Some(signed(&body, "another-key"))),
        ];
        refuses(system, 4, &forgeries).await;
    });
}

#[test]
fn checklist_05_a_body_that_travels_as_base64_is_judged_by_the_bytes_merge_sent() {
    STACK.run(async |system| {
        let body = unknown_account(5);
        let signature = signed(&body, KEY);
        let encoded = STANDARD.encode(&body);
        // Lambda carries what does not call itself text as base64.
        for (content_type, body, signature, expected) in [
            ("application/octet-stream", body.clone(), signature.clone(), 200),
            ("application/octet-stream", body, signed(encoded.as_bytes(), KEY), 401),
        ] {
            let request = system.http().post(&system.ready().webhook).header("content-type", content_type);
            let request = request.header("X-Merge-Webhook-Signature", signature).body(body);
            let answer = request.send().await.expect("an answer");
            assert_eq!(answer.status().as_u16(), expected, "{content_type}");
        }
        assert_eq!(system.queued_about("00000000-0000-4000-8000-000000000005"), 1);
    });
}

#[test]
fn checklist_07_a_thousand_copies_of_a_delivery_are_one_sync() {
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
            let posts = stream::iter(0..1_000).map(|_| post(system, &body, Some(&signature)));
            let copies: Vec<u16> = posts.buffer_unordered(50).collect().await;
            assert!(copies.len() == 1_000 && copies.iter().all(|status| *status == 200), "{copies:?}");
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
fn checklist_11_what_means_nothing_is_taken_counted_and_left() {
    STACK.run(async |system| {
        let mut event = synced("00000000-0000-4000-8000-000000000003");
        event["hook"]["event"] = json!("Universe.ended");
        let bodies: [(&str, Vec<u8>); 5] = [
            ("the dashboard's test", b"{\"response\": \"This is a test webhook.\"}".to_vec()),
            ("an unknown event", event.to_string().into_bytes()),
            ("no account", json!({"hook": {"event": "Employee.synced"}}).to_string().into_bytes()),
            ("nothing", Vec::new()),
            ("a list", b"[]".to_vec()),
        ];
        for (what, body) in &bodies {
            assert_eq!(post(system, body, Some(&signed(body, KEY))).await, 200, "{what}");
        }
        // Merge's own "send test".
        system.sandbox().post("/webhooks/ping", json!({})).await;
        system.webhooks_settled().await;
        let counted = system.counted("WebhookIgnored");
        assert!(counted > bodies.len() as u64, "{counted} were counted");
        assert_eq!(system.queued_about("00000000-0000-4000-8000-000000000003"), 0);

        // An account that nobody has is for the worker to see, which finds nothing.
        let unknown = unknown_account(11);
        assert_eq!(post(system, &unknown, Some(&signed(&unknown, KEY))).await, 200);
        system.idle().await;
    });
}

#[test]
fn checklist_12_a_monstrous_body_costs_little_and_means_nothing_before_its_signature_holds() {
    alone(
        || Setup::default().without_schedule(),
        async |system| {
            // An event is 6 MB at most, and a body travels as text with its quotes escaped or as base64.
            let large = format!("{{\"hook\": {{}}, \"data\": \"{}\"}}", "x".repeat(5_900_000));
            let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
            let nested = format!("{}1{}", "{\"data\":".repeat(10_000), "}".repeat(10_000));
            let bodies: [(&str, Vec<u8>); 5] = [
                ("just under 6 MB", large.into_bytes()),
                ("10,000 lists deep", deep.into_bytes()),
                ("10,000 objects deep", nested.into_bytes()),
                ("no UTF-8", vec![0xff; 64]),
                ("a field twice", br#"{"hook":{"event":"a"},"hook":{"event":"b"}}"#.to_vec()),
            ];
            let account = "00000000-0000-4000-8000-000000000012";
            let mut event = synced(account);
            event["data"]["padding"] = json!("x".repeat(5_800_000));
            let event = event.to_string().into_bytes();
            for (what, body) in bodies.iter().map(|(what, body)| (*what, body)).chain([("an event", &event)]) {
                assert_eq!(post(system, body, Some(&signed(body, "forged"))).await, 401, "{what}");
            }
            // That none was parsed cannot be seen from here; that none was understood can.
            assert_eq!((system.counted("WebhookIgnored"), system.queued_about(account)), (0, 0));
            assert_eq!(post(system, &event, Some(&signed(&event, KEY))).await, 200);
            assert_eq!(system.queued_about(account), 1);
            for (what, body) in &bodies {
                assert_eq!(post(system, body, Some(&signed(body, KEY))).await, 200, "{what}");
            }
            // The worker may have counted the event by now, whose account nobody has.
            let kinds = ["unreadable", "no_hook", "no_account", "unknown_event"];
            let meaningless: u64 = kinds.iter().map(|kind| system.counted_by("WebhookIgnored", kind)).sum();
            assert_eq!(meaningless, bodies.len() as u64);
            let peak = system.peak_memory("webhook");
            // The function has 256 MB: the event, its body decoded, and the process itself fit several times.
            assert!(peak < 128 << 20, "{} MB", peak >> 20);
        },
    );
}

/// Posts an event about an account that nobody has.
async fn tell(system: &System, account: &str, event: &str, data: Value) {
    let origin = "org_nobody_hris_7a1d6f2e-5b0c-4f7e-9c41-2f3a8f1e0b9d";
    let account = json!({"id": account, "category": "hris", "end_user_origin_id": origin, "status": "COMPLETE"});
    let body = json!({"hook": {"event": event}, "linked_account": account, "data": data}).to_string();
    assert_eq!(post(system, body.as_bytes(), Some(&signed(body.as_bytes(), KEY))).await, 200, "{event}");
}

#[test]
fn checklist_10_the_token_of_a_linked_event_stays_out_of_everything() {
    STACK.run(async |system| {
        // Planted: the harness searches every log, message, event and row for it.
        let token = "planted-account-token-7c1f";
        system.secrets().plant("account token", token);
        let account = "00000000-0000-4000-8000-000000000010";
        tell(system, account, "LinkedAccount.linked", json!({"account_token": token, "is_relink": false})).await;
        assert_eq!(system.queued_about(account), 1, "what the harness searches is there");
        system.idle().await;
    });
}

#[test]
fn checklist_49_a_record_in_an_event_stays_out_of_everything() {
    STACK.run(async |system| {
        let record = "planted-social-security-number-831";
        system.secrets().plant("record", record);
        let account = "00000000-0000-4000-8000-000000000049";
        let data = json!({"id": "00000000-0000-4000-8000-00000000000a", "ssn": record, "first_name": record});
        for event in ["Employee.added", "Employee.changed", "Employee.removed"] {
            tell(system, account, event, data.clone()).await;
        }
        let queued = system.messages_about(account);
        assert!(!queued.is_empty(), "what the harness searches is there");
        let allowed = ["v", "merge_id", "type"];
        for message in &queued {
            let message: Value = serde_json::from_str(message).expect("a message");
            let members = message.as_object().expect("an object");
            assert!(members.keys().all(|name| allowed.contains(&name.as_str())), "{message}");
        }
        system.idle().await;
    });
}

#[test]
fn checklist_13_other_methods_are_405_and_every_path_is_the_same() {
    STACK.run(async |system| {
        let url = &system.ready().webhook;
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
            let answer = system.http().request(method.clone(), url).send().await.expect("an answer");
            assert_eq!(answer.status().as_u16(), 405, "{method}");
            assert_eq!(answer.text().await.expect("a body"), "", "{method}");
        }
        let body = unknown_account(13);
        // A function URL hands `?a+b` over as what is no URI.
        for path in ["admin", "v1/linked-accounts", "../", "%2e%2e/", "?a+b", "x?a=1+2&b=%22%3C%3E"] {
            let forged = system.http().post(format!("{url}{path}")).body(body.clone()).send().await;
            let forged = forged.expect("an answer");
            assert_eq!(forged.status().as_u16(), 401, "{path}");
            assert_eq!(forged.text().await.expect("a body"), "", "{path}");
        }
    });
}

#[test]
fn checklist_09_what_cannot_be_queued_is_answered_503() {
    alone(
        || Setup::default().variable("webhook", "QUEUE_URL", "http://127.0.0.1:9/000000000000/nowhere.fifo"),
        async |system| {
            // No policy names that queue either.
            system.announce("not authorized to perform: sqs:SendMessage");
            let body = unknown_account(9);
            assert_eq!(post(system, &body, Some(&signed(&body, KEY))).await, 503);
            assert_eq!(post(system, &body, None).await, 401, "a forged one still is");
        },
    );
}

#[test]
fn checklist_08_without_its_keys_the_webhook_judges_nothing() {
    alone(
        || Setup::default().variable("webhook", "WEBHOOK_KEYS_SECRET", "no-such-secret"),
        async |system| {
            system.announce("webhook");
            let body = unknown_account(8);
            for signature in [Some(signed(&body, KEY)), None] {
                let (status, _) = Delivery { body: body.clone(), signature: signature.as_deref() }.post(system).await;
                assert!(status >= 500, "{status}: neither taken nor refused");
            }
        },
    );
}
