//! The queue's sending end against the wire of SQS: a small server that answers as SQS does, failed items included.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use shared::config::aws::{Aws, sdk_config};
use shared::config::{self};
use shared::domain::ids::{AccountId, MergeLinkedAccountId, OrganizationId};
use shared::domain::message::{AccountRef, DeduplicationId, Message, Work};
use shared::queue::{Queue, QueueError};
use uuid::Uuid;

/// What the server does with a batch.
#[derive(Clone, Copy)]
enum Turn {
    /// Takes every item.
    Take,
    /// Fails the items with an even number.
    FailEven,
    /// Answers 200 and mentions no item.
    Forget,
    /// Answers 500.
    Break,
}

struct Sqs {
    queue: Queue,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Sqs {
    /// Follows the turns, then takes everything.
    async fn start(turns: &[Turn]) -> Self {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let turns = Arc::new(Mutex::new(VecDeque::from(turns.to_vec())));
        let log = calls.clone();
        let service = Router::new().fallback(move |headers: HeaderMap, body: String| {
            let turn = turns.lock().unwrap().pop_front().unwrap_or(Turn::Take);
            let action = headers["x-amz-target"].to_str().unwrap().to_owned();
            let request: Value = serde_json::from_str(&body).unwrap();
            log.lock().unwrap().push((action.clone(), request.clone()));
            async move { answer(turn, &action, &request) }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        let sdk = sdk_config(&Aws { region: "us-east-1".to_owned(), endpoint_url: Some(endpoint.clone()) }).unwrap();
        let credentials = SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"));
        let sdk = sdk.into_builder().credentials_provider(credentials).build();
        Self { queue: Queue::new(&sdk, &config::Queue { url: format!("{endpoint}/000000000000/q.fifo") }), calls }
    }

    /// The items of each batch, by their id.
    fn batches(&self) -> Vec<Vec<Value>> {
        let calls = self.calls.lock().unwrap();
        calls.iter().map(|(_, request)| request["Entries"].as_array().unwrap().clone()).collect()
    }
}

fn answer(turn: Turn, action: &str, request: &Value) -> Response {
    if action == "AmazonSQS.SendMessage" {
        return match turn {
            Turn::Break => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            _ => axum::Json(json!({"MessageId": "m", "SequenceNumber": "1"})).into_response(),
        };
    }
    let ids: Vec<String> =
        request["Entries"].as_array().unwrap().iter().map(|e| e["Id"].as_str().unwrap().to_owned()).collect();
    let (failed, sent): (Vec<_>, Vec<_>) = match turn {
        Turn::Take => (Vec::new(), ids),
        Turn::FailEven => ids.into_iter().partition(|id| id.parse::<u32>().unwrap().is_multiple_of(2)),
        Turn::Forget => (Vec::new(), Vec::new()),
        Turn::Break => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    let failed: Vec<_> =
        failed.iter().map(|id| json!({"Id": id, "Code": "InternalError", "SenderFault": false})).collect();
    let sent: Vec<_> = sent.iter().map(|id| json!({"Id": id, "MessageId": id, "MD5OfMessageBody": "x"})).collect();
    axum::Json(json!({"Successful": sent, "Failed": failed})).into_response()
}

fn poll(account: u128) -> Message {
    let organization = OrganizationId::parse("org_acme").unwrap();
    let of = AccountRef { organization, account: AccountId::new(Uuid::from_u128(account)) };
    Message::new(MergeLinkedAccountId::parse(format!("merge-{account}")).unwrap(), Work::Poll { of, minute: 7 })
}

#[tokio::test]
async fn a_message_names_its_group_and_its_deduplication_id() {
    let sqs = Sqs::start(&[]).await;
    sqs.queue.send(&poll(1)).await.unwrap();
    sqs.queue.send_as(&poll(2), &DeduplicationId::webhook(b"body")).await.unwrap();
    let calls = sqs.calls.lock().unwrap();
    let (action, request) = &calls[0];
    assert_eq!(action, "AmazonSQS.SendMessage");
    assert_eq!(request["MessageGroupId"], "merge-1");
    assert_eq!(request["MessageDeduplicationId"], poll(1).deduplication_id().as_str());
    assert_eq!(Message::parse(request["MessageBody"].as_str().unwrap()).unwrap(), poll(1));
    assert_eq!(calls[1].1["MessageDeduplicationId"], DeduplicationId::webhook(b"body").as_str());
}

#[tokio::test]
async fn messages_are_sent_ten_a_call() {
    let sqs = Sqs::start(&[]).await;
    let messages: Vec<_> = (0..25).map(poll).collect();
    sqs.queue.send_all(&messages).await.unwrap();
    let batches = sqs.batches();
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
    let sent: Vec<_> =
        batches.concat().iter().map(|e| Message::parse(e["MessageBody"].as_str().unwrap()).unwrap()).collect();
    assert_eq!(sent, messages);
    sqs.queue.send_all(&[]).await.unwrap();
    assert_eq!(sqs.batches().len(), 3, "nothing to send is no call");
}

#[tokio::test]
async fn the_failed_items_of_a_batch_are_sent_again_and_only_they() {
    let sqs = Sqs::start(&[Turn::FailEven]).await;
    let messages: Vec<_> = (0..4).map(poll).collect();
    sqs.queue.send_all(&messages).await.unwrap();
    let batches = sqs.batches();
    let groups: Vec<_> = batches[1].iter().map(|entry| entry["MessageGroupId"].as_str().unwrap()).collect();
    assert_eq!((batches.len(), groups), (2, vec!["merge-0", "merge-2"]));
    assert_eq!(batches[0][2]["MessageDeduplicationId"], batches[1][1]["MessageDeduplicationId"]);
}

#[tokio::test]
async fn items_that_fail_to_the_end_or_are_forgotten_are_an_error() {
    let sqs = Sqs::start(&[Turn::FailEven, Turn::FailEven, Turn::FailEven]).await;
    let messages: Vec<_> = (0..3).map(poll).collect();
    match sqs.queue.send_all(&messages).await {
        Err(QueueError::Refused { count: 2, code }) => assert_eq!(code, "InternalError"),
        other => panic!("{other:?}"),
    }
    let forgetful = Sqs::start(&[Turn::Forget, Turn::Forget, Turn::Forget]).await;
    assert!(matches!(forgetful.queue.send_all(&messages).await, Err(QueueError::Refused { count: 3, .. })));
}

#[tokio::test]
async fn a_queue_that_does_not_answer_is_unavailable() {
    let sqs = Sqs::start(&[Turn::Break; 20]).await;
    assert!(matches!(sqs.queue.send(&poll(1)).await, Err(QueueError::Unavailable(_))));
    assert!(matches!(sqs.queue.send_all(&[poll(1)]).await, Err(QueueError::Unavailable(_))));
}
