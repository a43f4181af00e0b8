//! The SQS event source: event shape, partial failures, what stays in the queue, and the recursion rule.

mod support;

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName};
use local_stack::aws::{Aws, AwsOptions};
use local_stack::event_source::{EventSource, EventSourceOptions};
use local_stack::lambda::Host;
use local_stack::lambda::trace::MAXIMUM_HOPS;
use local_stack::logs::{LogLine, Logs};
use serde_json::{Value, json};
use support::{ACCOUNT, echo, eventually, host};

struct Queue {
    url: String,
    dlq_url: String,
    arn: String,
    sqs: Client,
    host: Host,
    logs: Logs,
    _aws: Aws,
}

/// A FIFO queue with a dead-letter queue after three receives, and the test function.
async fn queue(visibility_seconds: u32) -> Queue {
    let listen = "127.0.0.1:0".parse().expect("an address");
    let options = AwsOptions { listen, data_dir: None, region: "us-east-1".into(), account_id: ACCOUNT.into() };
    let aws = Aws::start(options).await.expect("it starts");
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
        .region(aws_sdk_sqs::config::Region::new("us-east-1"))
        .endpoint_url(aws.endpoint())
        .credentials_provider(aws_sdk_sqs::config::Credentials::new("test", "test", None, None, "test"))
        .build();
    let sqs = Client::from_conf(config);
    let create = async |name: &str, attributes: &[(QueueAttributeName, String)]| {
        let attributes = attributes.iter().cloned().chain([(QueueAttributeName::FifoQueue, "true".to_owned())]);
        let created = sqs.create_queue().queue_name(name).set_attributes(Some(attributes.collect())).send().await;
        created.expect("created").queue_url.expect("a URL")
    };
    let dlq_url = create("dead.fifo", &[]).await;
    let dlq_arn = format!("arn:aws:sqs:us-east-1:{ACCOUNT}:dead.fifo");
    let redrive = json!({"deadLetterTargetArn": dlq_arn, "maxReceiveCount": 3}).to_string();
    let visibility = (QueueAttributeName::VisibilityTimeout, visibility_seconds.to_string());
    let url = create("work.fifo", &[visibility, (QueueAttributeName::RedrivePolicy, redrive)]).await;
    let mut function = echo(Duration::from_secs(20));
    let environment = [("AWS_ENDPOINT_URL", aws.endpoint()), ("AWS_ACCESS_KEY_ID", "local-echo".to_owned())];
    function.environment.extend(environment.map(|(name, value)| (name.to_owned(), value)));
    function.environment.insert("AWS_SECRET_ACCESS_KEY".to_owned(), "test".to_owned());
    let (host, logs) = host(vec![function]).await;
    Queue { url, dlq_url, arn: format!("arn:aws:sqs:us-east-1:{ACCOUNT}:work.fifo"), sqs, host, logs, _aws: aws }
}

impl Queue {
    fn start(&self, change: impl FnOnce(&mut EventSourceOptions)) -> EventSource {
        let mut options = EventSourceOptions {
            queue_url: self.url.clone(),
            queue_arn: self.arn.clone(),
            region: "us-east-1".to_owned(),
            binary: "echo".to_owned(),
            batch_size: 10,
            maximum_concurrency: None,
            report_batch_item_failures: true,
            recursive_loop_allowed: false,
        };
        change(&mut options);
        EventSource::start(options, self.sqs.clone(), self.host.clone(), self.logs.clone())
    }

    async fn send(&self, group: &str, id: &str, event: Value) {
        let attribute = MessageAttributeValue::builder().data_type("String").string_value("v").build().expect("valid");
        let message = self.sqs.send_message().queue_url(&self.url).message_body(event.to_string());
        let message = message.message_group_id(group).message_deduplication_id(id).message_attributes("a", attribute);
        message.send().await.expect("sent");
    }

    /// Visible and in flight.
    async fn depth(&self, url: &str) -> (String, String) {
        use QueueAttributeName::{
            ApproximateNumberOfMessages as Visible, ApproximateNumberOfMessagesNotVisible as InFlight,
        };
        let request = self.sqs.get_queue_attributes().queue_url(url).attribute_names(Visible).attribute_names(InFlight);
        let attributes = request.send().await.expect("an answer").attributes.expect("attributes");
        (attributes[&Visible].clone(), attributes[&InFlight].clone())
    }

    async fn becomes(&self, what: &str, url: &str, visible: &str, in_flight: &str) {
        let expected = (visible.to_owned(), in_flight.to_owned());
        eventually(what, || async { self.depth(url).await == expected }).await;
    }

    /// What the function printed of each message that it got.
    fn handled(&self) -> Vec<Value> {
        let lines = self.logs.lines().into_iter();
        lines.filter_map(|LogLine { line, .. }| serde_json::from_str(&line).ok()).collect()
    }
}

#[tokio::test]
async fn a_message_reaches_the_function_as_lambda_shows_it_and_is_deleted() {
    let queue = queue(30).await;
    let _source = queue.start(|_| {});
    queue.send("g-1", "d-1", json!({"n": 1})).await;
    eventually("it is handled", || async { !queue.handled().is_empty() }).await;
    queue.becomes("it is deleted", &queue.url, "0", "0").await;
    let record = &queue.handled()[0];
    assert_eq!(record["body"], json!({"n": 1}).to_string());
    assert_eq!((&record["eventSource"], &record["awsRegion"]), (&json!("aws:sqs"), &json!("us-east-1")));
    assert_eq!(record["eventSourceARN"], queue.arn);
    let attributes = &record["attributes"];
    assert_eq!((&attributes["MessageGroupId"], &attributes["MessageDeduplicationId"]), (&json!("g-1"), &json!("d-1")));
    assert_eq!(attributes["ApproximateReceiveCount"], "1");
    for number in ["SentTimestamp", "ApproximateFirstReceiveTimestamp", "SequenceNumber"] {
        assert!(attributes[number].as_str().is_some_and(|text| text.parse::<u128>().is_ok()), "{number}");
    }
    let attribute = json!({"stringValue": "v", "dataType": "String", "stringListValues": [], "binaryListValues": []});
    assert_eq!(record["messageAttributes"]["a"], attribute);
    assert!(record["messageId"].is_string() && record["receiptHandle"].is_string() && record["md5OfBody"].is_string());
}

#[tokio::test]
async fn of_a_batch_only_what_failed_stays() {
    let queue = queue(30).await;
    for (group, event) in [("a", json!({})), ("b", json!({"do": "fail"})), ("c", json!({}))] {
        queue.send(group, group, event).await;
    }
    let _source = queue.start(|_| {});
    eventually("all are handled", || async { queue.handled().len() == 3 }).await;
    queue.becomes("the failed one waits for its visibility timeout", &queue.url, "0", "1").await;
}

#[tokio::test]
async fn a_failed_invocation_leaves_its_batch_to_the_visibility_timeout_and_the_redrive_policy() {
    let queue = queue(1).await;
    queue.send("g", "d", json!({"do": "panic"})).await;
    let _source = queue.start(|_| {});
    queue.becomes("three receives, then the dead-letter queue", &queue.dlq_url, "1", "0").await;
    assert_eq!(queue.handled().len(), 3);
    let counts: Vec<_> =
        queue.handled().iter().map(|record| record["attributes"]["ApproximateReceiveCount"].clone()).collect();
    assert_eq!(counts, ["1", "2", "3"]);
}

#[tokio::test]
async fn without_the_report_an_answer_deletes_the_whole_batch() {
    let queue = queue(30).await;
    queue.send("g", "d", json!({"do": "fail"})).await;
    let _source = queue.start(|options| options.report_batch_item_failures = false);
    eventually("it is handled", || async { queue.handled().len() == 1 }).await;
    queue.becomes("it is deleted", &queue.url, "0", "0").await;
}

#[tokio::test]
async fn the_maximum_concurrency_bounds_the_processes() {
    let queue = queue(30).await;
    for group in 0..6 {
        queue.send(&group.to_string(), &group.to_string(), json!({"do": "sleep", "ms": 100})).await;
    }
    let _source = queue.start(|options| {
        options.batch_size = 1;
        options.maximum_concurrency = Some(2);
    });
    eventually("all are handled", || async { queue.handled().len() == 6 }).await;
    queue.becomes("all are deleted", &queue.url, "0", "0").await;
    assert!(queue.host.processes("echo").len() <= 2);
}

/// Each message sends the next one: AWS stops such a chain.
#[tokio::test]
async fn a_function_that_keeps_invoking_itself_is_stopped() {
    let queue = queue(30).await;
    let _source = queue.start(|_| {});
    queue.send("chain", "first", json!({"do": "send", "queue_url": queue.url})).await;
    queue.becomes("the chain ends in the dead-letter queue", &queue.dlq_url, "1", "0").await;
    assert_eq!(queue.handled().len(), MAXIMUM_HOPS as usize);
    assert!(queue.logs.lines().iter().any(|line| line.line.contains("recursive loop stopped")));
}

#[tokio::test]
async fn a_function_that_may_loop_is_not_stopped() {
    let queue = queue(30).await;
    let _source = queue.start(|options| options.recursive_loop_allowed = true);
    queue.send("chain", "first", json!({"do": "send", "queue_url": queue.url})).await;
    eventually("it passes the limit", || async { queue.handled().len() > MAXIMUM_HOPS as usize + 4 }).await;
}
