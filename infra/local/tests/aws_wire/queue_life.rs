//! SQS across the end of the stack: waiting receivers are let go, and a restart finds its queues.

use std::time::{Duration, Instant};

use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};

use crate::queues::{attribute, bodies, client, delete, queue, receive, send};
use crate::{Scratch, start};

#[tokio::test]
async fn a_stop_does_not_wait_for_a_receiver() {
    let aws = start(None).await;
    let sqs = client(&aws).await;
    let url = queue(&sqs, "work.fifo", &[]).await;
    let waiting = tokio::spawn(sqs.receive_message().queue_url(&url).wait_time_seconds(20).send());
    let receiving = ("test".to_owned(), "sqs".to_owned(), "ReceiveMessage".to_owned());
    while !aws.request_counts().contains_key(&receiving) {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    aws.stop().await;
    assert!(began.elapsed() < Duration::from_secs(4));
    assert!(waiting.await.unwrap().unwrap().messages.is_none());
}

#[tokio::test]
async fn a_restart_keeps_messages_counts_and_deduplication_ids() {
    let scratch = Scratch::new();
    let aws = start(Some(&scratch.0)).await;
    let sqs = client(&aws).await;
    let url = queue(&sqs, "work.fifo", &[(QueueAttributeName::VisibilityTimeout, "720")]).await;
    let first = send(&sqs, &url, "a", "1").await;
    send(&sqs, &url, "a", "2").await;
    send(&sqs, &url, "b", "1b").await;
    let taken = receive(&sqs, &url, 1).await;
    assert_eq!(bodies(&taken), ["a/1"]);
    let gone = receive(&sqs, &url, 1).await;
    assert_eq!(bodies(&gone), ["b/1b"]);
    delete(&sqs, &url, &gone[0]).await;
    // As by SIGKILL: nothing is told to stop.
    drop(aws);

    for receive_count in ["2", "3"] {
        let aws = start(Some(&scratch.0)).await;
        let sqs = client(&aws).await;
        let url = sqs.get_queue_url().queue_name("work.fifo").send().await.unwrap();
        let url = url.queue_url.unwrap();
        assert_eq!(send(&sqs, &url, "a", "1").await, first, "still a duplicate");
        send(&sqs, &url, "b", "1b").await;
        // Who held a/1 is gone, so that it is to be had at once.
        let messages = receive(&sqs, &url, 10).await;
        assert_eq!(bodies(&messages), ["a/1", "a/2"]);
        assert_eq!(
            messages[0].attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount],
            receive_count
        );
        assert_eq!(attribute(&sqs, &url, QueueAttributeName::VisibilityTimeout).await, "720");
        aws.stop().await;
    }
}
