//! The handler over emulated AWS services, with the faults that a black-box test cannot make.

use std::{collections::BTreeMap, time::Duration};

use aws_config::SdkConfig;
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use lambda_http::Body;
use lambda_http::request::from_str;
use local_stack::aws::{Aws, AwsOptions};
use serde_json::{Value, json};
use shared::config::{self, TokenKey, WebhookKeys, aws::sdk_config};
use shared::domain::ids::MergeLinkedAccountId;
use shared::domain::secret::WebhookKey;

use super::*;

struct World {
    aws: Aws,
    sdk: SdkConfig,
    queue_url: String,
    webhook: Webhook,
}

const NOWHERE: &str = "http://127.0.0.1:1";

fn sdk(endpoint: &str) -> SdkConfig {
    let section = config::aws::Aws { region: "us-east-1".to_owned(), endpoint_url: Some(endpoint.to_owned()) };
    let credentials = SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"));
    sdk_config(&section).unwrap().into_builder().credentials_provider(credentials).build()
}

impl World {
    async fn new() -> Self {
        let listen = "127.0.0.1:0".parse().unwrap();
        let options = AwsOptions { listen, data_dir: None, region: "us-east-1".to_owned(), account_id: "0".repeat(12) };
        let aws = Aws::start(options).await.unwrap();
        let sdk = sdk(&aws.endpoint());
        let key = aws_sdk_kms::Client::new(&sdk).create_key().send().await.unwrap();
        let secrets = aws_sdk_secretsmanager::Client::new(&sdk);
        secrets.create_secret().name("keys").secret_string(r#"["newest","older"]"#).send().await.unwrap();
        let create = aws_sdk_sqs::Client::new(&sdk).create_queue().queue_name("q.fifo");
        let queue = create.attributes(QueueAttributeName::FifoQueue, "true").send().await.unwrap();
        let queue_url = queue.queue_url.unwrap();
        let webhook = Webhook {
            keys: WebhookKeyring::new(&sdk, &WebhookKeys { secret: "keys".to_owned() }),
            cipher: TokenCipher::new(&sdk, &TokenKey { id: key.key_metadata.unwrap().key_id, previous: None }),
            queue: Queue::new(&sdk, &config::Queue { url: queue_url.clone() }),
            relay: None,
        };
        Self { aws, sdk, queue_url, webhook }
    }

    async fn post(&self, body: &[u8], key: &str) -> u16 {
        self.send("POST", body, &signature::sign(body, &WebhookKey::new(key))).await
    }

    async fn send(&self, method: &str, body: &[u8], signature: &str) -> u16 {
        let request = request(method, body, &json!({"X-Merge-Webhook-Signature": signature}));
        let answer = handle(&self.webhook, request).await.unwrap();
        assert!(matches!(answer.body(), Body::Empty), "every answer is empty");
        answer.status().as_u16()
    }

    /// Group, deduplication id and body of each message on the queue.
    async fn queued(&self) -> Vec<(String, String, String)> {
        let receive = aws_sdk_sqs::Client::new(&self.sdk).receive_message().queue_url(&self.queue_url);
        let receive =
            receive.max_number_of_messages(10).message_system_attribute_names(MessageSystemAttributeName::All);
        let messages = receive.send().await.unwrap().messages.unwrap_or_default();
        let read = messages.into_iter().map(|message| {
            let attributes = message.attributes.unwrap();
            let attribute = |name| attributes[&name].clone();
            let group = attribute(MessageSystemAttributeName::MessageGroupId);
            (group, attribute(MessageSystemAttributeName::MessageDeduplicationId), message.body.unwrap())
        });
        read.collect()
    }
}

fn request(method: &str, body: &[u8], headers: &Value) -> Request {
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/any", "rawQueryString": "", "headers": headers,
        "requestContext": {"timeEpoch": 0, "stage": "$default", "http": {"method": method, "path": "/any"}},
        "body": STANDARD.encode(body), "isBase64Encoded": true,
    });
    from_str(&event.to_string()).unwrap()
}

fn body(event: &str, data: Value) -> Vec<u8> {
    json!({"hook": {"event": event}, "linked_account": {"id": "acc-1", "category": "hris"}, "data": data})
        .to_string()
        .into_bytes()
}

#[tokio::test]
async fn a_genuine_delivery_is_queued_as_a_projection_in_its_accounts_group() {
    let world = World::new().await;
    let event = body("Employee.synced", json!({"sync_status": {"model_id": "hris.Employee"}, "x": "canary"}));
    assert_eq!(world.post(&event, "newest").await, 200);
    let (group, id, text) = world.queued().await.remove(0);
    assert_eq!((group.as_str(), id.as_str()), ("acc-1", DeduplicationId::webhook(&event).as_str()));
    assert_eq!(
        Message::parse(&text).unwrap().work,
        Work::Synced { models: vec!["hris.Employee".to_owned()], finished: BTreeMap::new() }
    );
    assert!(!text.contains("canary"));
}

#[tokio::test]
async fn the_token_travels_encrypted_under_the_webhooks_context() {
    let world = World::new().await;
    let event = body("LinkedAccount.linked", json!({"account_token": "canary-token", "is_relink": false}));
    assert_eq!(world.post(&event, "newest").await, 200);
    let (_, _, text) = world.queued().await.remove(0);
    assert!(!text.contains("canary"));
    let Work::Linked { token: Some(token), .. } = Message::parse(&text).unwrap().work else { panic!("{text}") };
    let merge_id = MergeLinkedAccountId::parse("acc-1").unwrap();
    let context = TokenContext::Webhook { merge_id: &merge_id };
    let token = world.webhook.cipher.decrypt(&STANDARD.decode(token).unwrap(), context).await.unwrap();
    assert_eq!(token.expose(), "canary-token");
}

#[tokio::test]
async fn copies_and_record_events_become_one_message() {
    let world = World::new().await;
    let event = body("Issue.new", json!({"id": "i1", "error_description": "API error"}));
    for _ in 0..5 {
        assert_eq!(world.post(&event, "newest").await, 200);
    }
    assert_eq!(world.queued().await.len(), 1);
    let other = World::new().await;
    for record in 0..20 {
        assert_eq!(other.post(&body("Employee.changed", json!({"id": record})), "newest").await, 200);
    }
    let messages = other.queued().await.len();
    assert!(matches!(messages, 1 | 2), "{messages} of 20: a second only if the minute ended meanwhile");
}

#[tokio::test]
async fn a_forged_delivery_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let event = body("Employee.synced", json!({}));
    assert_eq!(world.post(&event, "removed").await, 401);
    assert_eq!(world.send("POST", &event, "").await, 401);
    assert_eq!(world.send("POST", &event, "not a signature").await, 401);
    assert_eq!(world.send("GET", b"", "").await, 405);
    assert_eq!(world.send("PUT", &event, &signature::sign(&event, &WebhookKey::new("newest"))).await, 405);
    assert!(world.queued().await.is_empty());
}

#[tokio::test]
async fn an_older_key_is_taken_during_rotation_and_what_means_nothing_is_answered_200() {
    let world = World::new().await;
    assert_eq!(world.post(br#"{"response":"test"}"#, "older").await, 200);
    assert_eq!(world.post(&body("AsyncPost.completed", json!({})), "newest").await, 200);
    assert_eq!(world.post(b"\xff not json", "newest").await, 200);
    assert!(world.queued().await.is_empty());
    assert_eq!(world.post(&body("LinkedAccount.deleted", json!(null)), "older").await, 200);
    assert_eq!(world.queued().await.len(), 1);
}

/// Lets time pass for the process, and for nobody else.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn checklist_06_a_warm_process_learns_of_keys_that_are_new_and_that_are_gone() {
    let world = World::new().await;
    let secrets = aws_sdk_secretsmanager::Client::new(&world.sdk);
    let put = async |keys: &str| {
        secrets.put_secret_value().secret_id("keys").secret_string(keys).send().await.unwrap();
    };
    let reads = || {
        let counts = world.aws.request_counts();
        counts.iter().filter(|((.., action), _)| action == "GetSecretValue").map(|(_, count)| count).sum::<u64>()
    };
    let event = body("AsyncPost.completed", json!({}));
    assert_eq!((world.post(&event, "newest").await, reads()), (200, 1));

    // A key newer than the cache: one read, at most every 30 s.
    put(r#"["newer","newest"]"#).await;
    assert_eq!((world.post(&event, "newer").await, reads()), (401, 1), "judged by the keys at hand");
    pass(Duration::from_secs(31)).await;
    for _ in 0..3 {
        assert_eq!((world.post(&event, "forged").await, reads()), (401, 2), "forgeries do not turn into calls");
    }
    assert_eq!((world.post(&event, "newer").await, reads()), (200, 2));

    // A key that was removed: forgotten within minutes, without a delivery that fits nothing.
    put(r#"["newer"]"#).await;
    assert_eq!(world.post(&event, "newest").await, 200, "it is still at hand");
    pass(Duration::from_secs(301)).await;
    assert_eq!((world.post(&event, "newest").await, reads()), (401, 3));

    // A read that fails makes no key younger: it is tried again half a minute later, and not at every delivery.
    put("[]").await;
    pass(Duration::from_secs(301)).await;
    assert_eq!((world.post(&event, "newer").await, reads()), (200, 4), "those of before serve on");
    put(r#"["newest"]"#).await;
    assert_eq!((world.post(&event, "newer").await, reads()), (200, 4));
    pass(Duration::from_secs(31)).await;
    assert_eq!((world.post(&event, "newer").await, reads()), (401, 5), "the removed key");

    // The read fails: nobody can say whether a stranger's key is new. What fits a known key is genuine.
    pass(Duration::from_secs(301)).await;
    world.aws.stop().await;
    let mut webhook = world.webhook;
    webhook.queue = Queue::new(&sdk(NOWHERE), &config::Queue { url: format!("{NOWHERE}/0/q.fifo") });
    let judge = async |key: &str| {
        let signature = signature::sign(&event, &WebhookKey::new(key));
        let request = request("POST", &event, &json!({"X-Merge-Webhook-Signature": signature}));
        handle(&webhook, request).await.unwrap().status().as_u16()
    };
    assert_eq!(judge("unheard-of").await, 503);
    assert_eq!(judge("newest").await, 200);
}

#[tokio::test]
async fn what_cannot_be_judged_or_queued_is_answered_5xx_never_4xx() {
    let mut world = World::new().await;
    let event = body("Employee.synced", json!({}));
    let linked = body("LinkedAccount.linked", json!({"account_token": "t"}));
    let nowhere = sdk(NOWHERE);
    world.webhook.queue = Queue::new(&nowhere, &config::Queue { url: format!("{NOWHERE}/0/q.fifo") });
    assert_eq!(world.post(&event, "newest").await, 503, "no queue");
    world.webhook.cipher = TokenCipher::new(&nowhere, &TokenKey { id: "k".to_owned(), previous: None });
    assert_eq!(world.post(&linked, "newest").await, 503, "no key service");
    world.webhook.keys = WebhookKeyring::new(&nowhere, &WebhookKeys { secret: "keys".to_owned() });
    assert_eq!(world.post(&event, "newest").await, 503, "no keys, genuine");
    assert_eq!(world.post(&event, "forged").await, 503, "no keys, forged: nobody can tell");
    world.aws.stop().await;
}
