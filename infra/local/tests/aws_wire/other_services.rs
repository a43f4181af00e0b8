//! Secrets Manager, EventBridge, and what holds for every service.

use std::os::unix::fs::PermissionsExt;

use aws_sdk_eventbridge::error::ProvideErrorMetadata;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use local_stack::aws::{Aws, AwsOptions};
use local_stack::provision::provision;

use crate::{Scratch, deployment, sdk, start};

#[tokio::test]
async fn events_are_kept_for_buses_that_exist() {
    let aws = start(None).await;
    provision(&deployment(&aws.endpoint(), "key"), &aws.endpoint()).await.unwrap();
    let events = aws_sdk_eventbridge::Client::new(&sdk(&aws, "test").await);
    let entry = |bus: &str| {
        PutEventsRequestEntry::builder()
            .event_bus_name(bus)
            .source("tether")
            .detail_type("LinkedAccountHealthChanged")
            .detail(r#"{"id":"a-1"}"#)
            .build()
    };
    let answer =
        events.put_events().entries(entry("tether-local-events")).entries(entry("no-such-bus")).send().await.unwrap();
    assert_eq!(answer.failed_entry_count(), 1);
    assert!(answer.entries()[0].event_id().is_some());
    assert_eq!(answer.entries()[1].error_code(), Some("ResourceNotFoundException"));
    let kept = aws.events();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0]["Detail"], r#"{"id":"a-1"}"#);
    aws.stop().await;
}

#[tokio::test]
async fn requests_are_counted_by_access_key_service_and_action() {
    let aws = start(None).await;
    for (key, times) in [("webhook", 1), ("sync-worker", 2)] {
        let sqs = aws_sdk_sqs::Client::new(&sdk(&aws, key).await);
        for _ in 0..times {
            sqs.list_queues().send().await.unwrap();
        }
    }
    let counts = aws.request_counts();
    let count = |key: &str| counts[&(key.to_owned(), "sqs".to_owned(), "ListQueues".to_owned())];
    assert_eq!((count("webhook"), count("sync-worker")), (1, 2));
    assert_eq!(counts.len(), 2);
    aws.stop().await;
}

#[tokio::test]
async fn a_taken_port_and_an_unusable_directory_are_one_sentence_each() {
    let aws = start(None).await;
    let options = AwsOptions {
        listen: aws.address(),
        data_dir: None,
        region: "us-east-1".into(),
        account_id: "000000000000".into(),
    };
    let error = Aws::start(options.clone()).await.err().unwrap().to_string();
    assert!(error.starts_with("AWS services: cannot listen on 127.0.0.1:"), "{error}");
    aws.stop().await;

    let scratch = Scratch::new();
    let running = start(Some(&scratch.0)).await;
    let taken = AwsOptions { data_dir: Some(scratch.0.clone()), listen: ([127, 0, 0, 1], 0).into(), ..options.clone() };
    let error = Aws::start(taken).await.err().unwrap().to_string();
    assert!(error.ends_with(" is in use by another stack"), "{error}");
    running.stop().await;

    let file = scratch.0.join("file");
    std::fs::write(&file, "not a directory").unwrap();
    let options = AwsOptions { data_dir: Some(file.clone()), ..options };
    let error = Aws::start(options).await.err().unwrap().to_string();
    assert!(error.contains(&file.display().to_string()), "{error}");
}

#[tokio::test]
async fn the_files_of_the_data_directory_are_their_owners_only() {
    let scratch = Scratch::new();
    let aws = start(Some(&scratch.0)).await;
    provision(&deployment(&aws.endpoint(), "key"), &aws.endpoint()).await.unwrap();
    aws.stop().await;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&scratch.0).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
        names.push(entry.file_name().into_string().unwrap());
    }
    for name in ["dynamodb.sqlite", "kms.json", "queues.jsonl", "secretsmanager.json"] {
        assert!(names.iter().any(|known| known == name), "{name} is not in {names:?}");
    }
}

#[tokio::test]
async fn an_action_that_no_service_has_is_an_unknown_operation() {
    let aws = start(None).await;
    let config = sdk(&aws, "test").await;
    let queue = "http://127.0.0.1/000000000000/q";
    let error = aws_sdk_sqs::Client::new(&config).list_dead_letter_source_queues().queue_url(queue).send().await;
    assert_eq!(error.unwrap_err().code(), Some("UnknownOperationException"));
    let error = aws_sdk_eventbridge::Client::new(&config).list_rules().send().await;
    assert_eq!(error.unwrap_err().code(), Some("UnknownOperationException"));
    let error = aws_sdk_dynamodb::Client::new(&config).list_backups().send().await;
    assert_eq!(error.unwrap_err().code(), Some("UnknownOperationException"));
    rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
    for target in ["Nonsense.Do", "Nonsense"] {
        let answer =
            reqwest::Client::new().post(aws.endpoint()).header("x-amz-target", target).body("{}").send().await.unwrap();
        assert_eq!(answer.status(), 400);
        assert!(answer.text().await.unwrap().contains("UnknownOperationException"));
    }
    aws.stop().await;
}
