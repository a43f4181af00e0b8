//! SQS: order, holding back, deduplication, redrive, long polling, limits, restart.

use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use local_stack::aws::Aws;

use crate::{judge, sdk, start};

pub async fn client(aws: &Aws) -> Client {
    let sqs = Client::new(&sdk(aws, "test").await);
    if judge().is_some() {
        for url in sqs.list_queues().send().await.unwrap().queue_urls() {
            sqs.delete_queue().queue_url(url).send().await.unwrap();
        }
    }
    sqs
}

/// Creates a queue with these attributes; answers with its URL.
pub async fn queue(sqs: &Client, name: &str, attributes: &[(QueueAttributeName, &str)]) -> String {
    let mut create = sqs.create_queue().queue_name(name);
    if name.ends_with(".fifo") {
        create = create.attributes(QueueAttributeName::FifoQueue, "true");
    }
    for (attribute, value) in attributes {
        create = create.attributes(attribute.clone(), *value);
    }
    create.send().await.unwrap().queue_url.unwrap()
}

pub async fn send(sqs: &Client, url: &str, group: &str, id: &str) -> String {
    sqs.send_message()
        .queue_url(url)
        .message_group_id(group)
        .message_deduplication_id(id)
        .message_body(format!("{group}/{id}"))
        .send()
        .await
        .unwrap()
        .message_id
        .unwrap()
}

pub async fn receive(sqs: &Client, url: &str, max: i32) -> Vec<Message> {
    sqs.receive_message()
        .queue_url(url)
        .max_number_of_messages(max)
        .message_system_attribute_names(MessageSystemAttributeName::All)
        .message_attribute_names("All")
        .send()
        .await
        .unwrap()
        .messages
        .unwrap_or_default()
}

pub async fn delete(sqs: &Client, url: &str, message: &Message) {
    sqs.delete_message().queue_url(url).receipt_handle(message.receipt_handle().unwrap()).send().await.unwrap();
}

/// Makes a message visible again at once.
async fn release(sqs: &Client, url: &str, message: &Message) {
    sqs.change_message_visibility()
        .queue_url(url)
        .receipt_handle(message.receipt_handle().unwrap())
        .visibility_timeout(0)
        .send()
        .await
        .unwrap();
}

pub fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body().unwrap()).collect()
}

pub async fn attribute(sqs: &Client, url: &str, name: QueueAttributeName) -> String {
    let answer =
        sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All).send().await.unwrap();
    answer.attributes.unwrap()[&name].clone()
}

#[tokio::test]
async fn a_group_in_flight_is_held_back_and_delays_no_other() {
    let aws = start(None).await;
    let sqs = client(&aws).await;
    let url = queue(&sqs, "work.fifo", &[]).await;
    for (group, id) in [("a", "1"), ("a", "2"), ("b", "b1"), ("a", "3")] {
        send(&sqs, &url, group, id).await;
    }
    let first = receive(&sqs, &url, 1).await;
    assert_eq!(bodies(&first), ["a/1"]);
    let attributes = first[0].attributes().unwrap();
    assert_eq!(attributes[&MessageSystemAttributeName::MessageGroupId], "a");
    assert_eq!(attributes[&MessageSystemAttributeName::ApproximateReceiveCount], "1");
    assert_eq!(attributes[&MessageSystemAttributeName::MessageDeduplicationId], "1");

    // Group a is in flight: only b is to be had.
    let second = receive(&sqs, &url, 10).await;
    assert_eq!(bodies(&second), ["b/b1"]);
    assert!(receive(&sqs, &url, 10).await.is_empty());

    // Back in the queue it comes first again, and with it the rest of its group in order.
    release(&sqs, &url, &first[0]).await;
    let again = receive(&sqs, &url, 10).await;
    assert_eq!(bodies(&again), ["a/1", "a/2", "a/3"]);
    assert_eq!(again[0].attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount], "2");
    delete(&sqs, &url, &again[0]).await;
    send(&sqs, &url, "a", "4").await;
    assert!(receive(&sqs, &url, 10).await.is_empty(), "a/2 and a/3 are still in flight");
    delete(&sqs, &url, &again[1]).await;
    delete(&sqs, &url, &again[2]).await;
    assert_eq!(bodies(&receive(&sqs, &url, 10).await), ["a/4"]);
    aws.stop().await;
}

#[tokio::test]
async fn a_deduplication_id_is_taken_once_per_group() {
    let aws = start(None).await;
    let sqs = client(&aws).await;
    let per_group = queue(
        &sqs,
        "group.fifo",
        &[
            (QueueAttributeName::DeduplicationScope, "messageGroup"),
            (QueueAttributeName::FifoThroughputLimit, "perMessageGroupId"),
        ],
    )
    .await;
    let first = send(&sqs, &per_group, "a", "1").await;
    assert_eq!(send(&sqs, &per_group, "a", "1").await, first);
    assert_ne!(send(&sqs, &per_group, "b", "1").await, first);
    let messages = receive(&sqs, &per_group, 10).await;
    assert_eq!(bodies(&messages), ["a/1", "b/1"]);
    // Deleting the message does not free its id.
    delete(&sqs, &per_group, &messages[0]).await;
    assert_eq!(send(&sqs, &per_group, "a", "1").await, first);
    assert!(receive(&sqs, &per_group, 10).await.is_empty());

    let per_queue = queue(&sqs, "queue.fifo", &[]).await;
    let first = send(&sqs, &per_queue, "a", "1").await;
    assert_eq!(send(&sqs, &per_queue, "b", "1").await, first);
    aws.stop().await;
}

#[tokio::test]
async fn what_is_received_too_often_goes_to_the_dead_letter_queue() {
    let aws = start(None).await;
    let sqs = client(&aws).await;
    let dead = queue(&sqs, "dead.fifo", &[]).await;
    let target = attribute(&sqs, &dead, QueueAttributeName::QueueArn).await;
    let policy = format!(r#"{{"deadLetterTargetArn":"{target}","maxReceiveCount":2}}"#);
    let url = queue(&sqs, "work.fifo", &[(QueueAttributeName::RedrivePolicy, &policy)]).await;
    send(&sqs, &url, "a", "1").await;
    send(&sqs, &url, "a", "2").await;
    for _ in 0..2 {
        let messages = receive(&sqs, &url, 1).await;
        assert_eq!(bodies(&messages), ["a/1"]);
        release(&sqs, &url, &messages[0]).await;
    }
    // The third receive gives it up and its group goes on.
    assert_eq!(bodies(&receive(&sqs, &url, 10).await), ["a/2"]);
    let buried = receive(&sqs, &dead, 10).await;
    assert_eq!(bodies(&buried), ["a/1"]);
    assert_eq!(
        buried[0].attributes().unwrap()[&MessageSystemAttributeName::DeadLetterQueueSourceArn],
        "arn:aws:sqs:us-east-1:000000000000:work.fifo"
    );
    aws.stop().await;
}

#[tokio::test]
async fn a_waiting_receiver_wakes_for_a_message_and_for_one_visible_again() {
    let aws = start(None).await;
    let sqs = client(&aws).await;
    let url = queue(&sqs, "work.fifo", &[]).await;
    let began = Instant::now();
    let waiting = sqs.receive_message().queue_url(&url).wait_time_seconds(20).send();
    let (received, _) = tokio::join!(waiting, send(&sqs, &url, "a", "1"));
    let messages = received.unwrap().messages.unwrap();
    assert_eq!(bodies(&messages), ["a/1"]);

    // In flight for one second: the same wait sees it again when that has run out.
    sqs.change_message_visibility()
        .queue_url(&url)
        .receipt_handle(messages[0].receipt_handle().unwrap())
        .visibility_timeout(1)
        .send()
        .await
        .unwrap();
    let again = sqs.receive_message().queue_url(&url).wait_time_seconds(20).send().await;
    assert_eq!(bodies(&again.unwrap().messages.unwrap()), ["a/1"]);
    assert!(began.elapsed() < Duration::from_secs(10));

    aws.stop().await;
}

#[tokio::test]
async fn a_batch_fails_entry_by_entry() {
    let aws = start(None).await;
    let sqs = client(&aws).await;
    let url = queue(&sqs, "work.fifo", &[]).await;
    let entry = |id: &str| SendMessageBatchRequestEntry::builder().id(id).message_body(id).message_group_id("a");
    let outcome = sqs
        .send_message_batch()
        .queue_url(&url)
        .entries(entry("good").message_deduplication_id("1").build().unwrap())
        .entries(entry("bad").build().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(outcome.successful()[0].id(), "good");
    assert_eq!(outcome.failed()[0].id(), "bad");
    assert_eq!(outcome.failed()[0].code(), "InvalidParameterValue");
    assert!(outcome.failed()[0].sender_fault());

    let messages = receive(&sqs, &url, 10).await;
    let entry = |id: &str, handle: &str| {
        let entry = DeleteMessageBatchRequestEntry::builder().id(id).receipt_handle(handle);
        entry.build().unwrap()
    };
    let outcome = sqs
        .delete_message_batch()
        .queue_url(&url)
        .entries(entry("good", messages[0].receipt_handle().unwrap()))
        .entries(entry("bad", "no such handle"))
        .send()
        .await
        .unwrap();
    assert_eq!(outcome.successful()[0].id(), "good");
    assert_eq!(outcome.failed()[0].code(), "ReceiptHandleIsInvalid");

    let repeated = sqs
        .send_message_batch()
        .queue_url(&url)
        .set_entries(Some(vec![
            SendMessageBatchRequestEntry::builder().id("x").message_body("1").build().unwrap(),
            SendMessageBatchRequestEntry::builder().id("x").message_body("2").build().unwrap(),
        ]))
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(repeated.is_batch_entry_ids_not_distinct(), "{repeated:?}");
    aws.stop().await;
}

#[tokio::test]
async fn errors_are_typed_and_limits_enforced() {
    let aws = start(None).await;
    let sqs = client(&aws).await;
    let missing = sqs.get_queue_url().queue_name("none").send().await.unwrap_err();
    let missing = missing.into_service_error();
    assert!(missing.is_queue_does_not_exist());
    assert_eq!(missing.code(), Some("AWS.SimpleQueueService.NonExistentQueue"));

    let url = queue(&sqs, "plain", &[]).await;
    let whole = "x".repeat(1_048_576);
    let send = |body: String| sqs.send_message().queue_url(&url).message_body(body).send();
    send(whole.clone()).await.unwrap();
    let error = send(format!("{whole}x")).await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("InvalidParameterValue"));
    let error = send("nul \u{0}".into()).await.unwrap_err().into_service_error();
    assert!(error.is_invalid_message_contents());

    let fifo = queue(&sqs, "work.fifo", &[]).await;
    let error = sqs.send_message().queue_url(&fifo).message_body("x").send().await.unwrap_err();
    assert_eq!(error.into_service_error().code(), Some("MissingParameter"));
    let error = sqs.delete_queue().queue_url("http://elsewhere/0/none").send().await.unwrap_err();
    assert_eq!(error.into_service_error().code(), Some("AWS.SimpleQueueService.NonExistentQueue"));
    let other = sqs
        .create_queue()
        .queue_name("plain")
        .attributes(QueueAttributeName::VisibilityTimeout, "31")
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert!(other.is_queue_name_exists());
    aws.stop().await;
}

#[tokio::test]
async fn a_standard_queue_hands_out_any_message_once_per_visibility() {
    let aws = start(None).await;
    let sqs = client(&aws).await;
    let url = queue(&sqs, "plain", &[]).await;
    let attribute_value = MessageAttributeValue::builder().data_type("String").string_value("blue").build().unwrap();
    let sent = sqs
        .send_message()
        .queue_url(&url)
        .message_body("one")
        .message_attributes("colour", attribute_value)
        .send()
        .await
        .unwrap();
    // MD5 of "one".
    assert_eq!(sent.md5_of_message_body(), Some("f97c5d29941bfb1b2fdab0874906ab82"));
    sqs.send_message().queue_url(&url).message_body("two").delay_seconds(900).send().await.unwrap();
    let count = |name| attribute(&sqs, &url, name);
    assert_eq!(count(QueueAttributeName::ApproximateNumberOfMessages).await, "1");
    assert_eq!(count(QueueAttributeName::ApproximateNumberOfMessagesDelayed).await, "1");
    let messages = receive(&sqs, &url, 10).await;
    assert_eq!(bodies(&messages), ["one"]);
    let colour = &messages[0].message_attributes().unwrap()["colour"];
    assert_eq!(colour.string_value(), Some("blue"));
    assert_eq!(sent.md5_of_message_attributes(), messages[0].md5_of_message_attributes());
    assert_eq!(count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible).await, "1");
    assert!(receive(&sqs, &url, 10).await.is_empty());

    sqs.purge_queue().queue_url(&url).send().await.unwrap();
    let gone = sqs
        .change_message_visibility()
        .queue_url(&url)
        .receipt_handle(messages[0].receipt_handle().unwrap())
        .visibility_timeout(0)
        .send()
        .await;
    assert!(gone.is_err());
    assert_eq!(count(QueueAttributeName::ApproximateNumberOfMessagesDelayed).await, "0");
    aws.stop().await;
}
