//! Provisioning creates what the template asks for, twice as once.

use aws_sdk_dynamodb::types::{AttributeValue, TimeToLiveStatus};
use aws_sdk_sqs::types::QueueAttributeName;
use local_stack::provision::provision;

use crate::{Scratch, deployment, endpoint, sdk, start};

#[tokio::test]
async fn a_second_provisioning_keeps_data_and_updates_secrets_and_attributes() {
    let scratch = Scratch::new();
    let aws = start(Some(&scratch.0)).await;
    provision(&deployment(&endpoint(&aws), "old-key"), &endpoint(&aws)).await.unwrap();
    let config = sdk(&aws, "test").await;
    let secrets = aws_sdk_secretsmanager::Client::new(&config);
    let kms = aws_sdk_kms::Client::new(&config);
    let sqs = aws_sdk_sqs::Client::new(&config);
    let db = aws_sdk_dynamodb::Client::new(&config);
    let secret = || secrets.get_secret_value().secret_id("tether-local-MergeApiKeySecret").send();
    assert_eq!(secret().await.unwrap().secret_string(), Some("old-key"));
    let key = || kms.describe_key().key_id("alias/tether-local-TokenKey").send();
    let key_id = key().await.unwrap().key_metadata.unwrap().key_id;

    let mut changed = deployment(&endpoint(&aws), "new-key");
    let queue = &mut changed.queues[0];
    queue.attributes.insert("VisibilityTimeout".into(), "60".into());
    provision(&changed, &endpoint(&aws)).await.unwrap();
    assert_eq!(secret().await.unwrap().secret_string(), Some("new-key"));
    assert_eq!(key().await.unwrap().key_metadata.unwrap().key_id, key_id);
    let attributes = sqs
        .get_queue_attributes()
        .queue_url(&changed.queues[0].url)
        .attribute_names(QueueAttributeName::All)
        .send()
        .await
        .unwrap()
        .attributes
        .unwrap();
    assert_eq!(attributes[&QueueAttributeName::VisibilityTimeout], "60");
    assert!(attributes[&QueueAttributeName::RedrivePolicy].contains("SyncDeadLetterQueue.fifo"));
    assert_eq!(attributes[&QueueAttributeName::QueueArn], changed.queues[0].arn);
    let ttl = db.describe_time_to_live().table_name("tether-local-RecordsTable").send().await;
    let ttl = ttl.unwrap().time_to_live_description.unwrap();
    assert_eq!(ttl.time_to_live_status, Some(TimeToLiveStatus::Enabled));
    let tables = db.list_tables().send().await.unwrap();
    assert_eq!(tables.table_names().len(), 2);
    aws.stop().await;
}

#[tokio::test]
async fn a_table_of_an_earlier_template_gets_the_indexes_that_it_lacks() {
    let aws = start(None).await;
    let whole = deployment(&aws.endpoint(), "key");
    let mut earlier = whole.clone();
    let create = earlier.tables[0].create.as_object_mut().unwrap();
    create.remove("GlobalSecondaryIndexes").unwrap();
    let attributes = create["AttributeDefinitions"].as_array_mut().unwrap();
    attributes.retain(|attribute| ["pk", "sk"].contains(&attribute["AttributeName"].as_str().unwrap()));
    provision(&earlier, &aws.endpoint()).await.unwrap();
    let db = aws_sdk_dynamodb::Client::new(&sdk(&aws, "test").await);
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let put = db.put_item().table_name(&whole.tables[0].name).item("pk", text("p")).item("sk", text("s"));
    put.item("due", text("1m")).item("due_at", text("now")).send().await.unwrap();

    provision(&whole, &aws.endpoint()).await.unwrap();
    let query = db.query().table_name(&whole.tables[0].name).index_name("due");
    let query = query.key_condition_expression("due = :due").expression_attribute_values(":due", text("1m"));
    assert_eq!(query.send().await.unwrap().count(), 1);
    aws.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_named_with_the_resource() {
    // The port was free a moment ago and nobody listens on it.
    let aws = start(None).await;
    let endpoint = aws.endpoint();
    aws.stop().await;
    let error = provision(&deployment(&endpoint, "key"), &endpoint).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("table tether-local-AccountsTable cannot be provisioned:"), "{text}");
}
