//! The functions' policies, enforced: what the template allows passes, what it does not is refused as AWS refuses it.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use local_stack::aws::Aws;
use local_stack::aws::policy::{Permission, Policies};
use local_stack::deployment::Deployment;
use local_stack::provision::provision;

use crate::{deployment, sdk, start};

/// The services, provisioned, with the policies of the real template as `change` leaves them.
async fn enforced(change: impl FnOnce(&mut Deployment)) -> (Aws, Deployment) {
    let aws = start(None).await;
    let mut deployment = deployment(&aws.endpoint(), "key");
    provision(&deployment, &aws.endpoint()).await.unwrap();
    change(&mut deployment);
    aws.enforce(Policies::of(&deployment.functions, |binary| format!("local-{binary}")));
    (aws, deployment)
}

fn remove(deployment: &mut Deployment, binary: &str, action: &str) {
    let function = deployment.functions.iter_mut().find(|function| function.binary == binary).unwrap();
    let mut removed = 0;
    for statement in &mut function.policy_statements {
        let actions = statement["Action"].as_array_mut().unwrap();
        let before = actions.len();
        actions.retain(|known| known != action);
        removed += before - actions.len();
    }
    assert!(removed > 0, "{binary} had no {action}");
}

fn url<'d>(deployment: &'d Deployment, queue: &str) -> &'d str {
    &deployment.queues.iter().find(|known| known.logical_id == queue).unwrap().url
}

#[tokio::test]
async fn the_webhook_sends_to_one_queue_encrypts_with_one_key_and_reads_one_secret() {
    let (aws, deployment) = enforced(|_| ()).await;
    let caller = sdk(&aws, "local-webhook").await;
    let sqs = aws_sdk_sqs::Client::new(&caller);
    let entry = |id: &str| {
        let entry = SendMessageBatchRequestEntry::builder().id(id).message_body("b").message_group_id("g");
        entry.message_deduplication_id(id).build().unwrap()
    };
    let queue = url(&deployment, "SyncQueue");
    sqs.send_message_batch().queue_url(queue).entries(entry("1")).send().await.unwrap();
    let error = sqs.receive_message().queue_url(queue).send().await.unwrap_err();
    assert_eq!(error.code(), Some("AccessDenied"));
    let error = sqs.send_message().queue_url(url(&deployment, "SyncDeadLetterQueue")).message_body("b").send().await;
    assert_eq!(error.unwrap_err().code(), Some("AccessDenied"));

    let kms = aws_sdk_kms::Client::new(&caller);
    let plain = || aws_sdk_kms::primitives::Blob::new("token");
    let encrypted = kms.encrypt().key_id(&deployment.keys[0].arn).plaintext(plain()).send().await.unwrap();
    let decrypt = kms.decrypt().key_id(&deployment.keys[0].arn).ciphertext_blob(encrypted.ciphertext_blob.unwrap());
    assert_eq!(decrypt.send().await.unwrap_err().code(), Some("AccessDeniedException"));
    // It may use the other key, but only by way of Secrets Manager.
    let error = kms.encrypt().key_id(&deployment.keys[1].arn).plaintext(plain()).send().await.unwrap_err();
    assert_eq!(error.code(), Some("AccessDeniedException"));

    let secrets = aws_sdk_secretsmanager::Client::new(&caller);
    let (api_key, webhook_keys) = (&deployment.secrets[0].name, &deployment.secrets[1].name);
    secrets.get_secret_value().secret_id(webhook_keys).send().await.unwrap();
    let error = secrets.get_secret_value().secret_id(api_key).send().await.unwrap_err();
    assert_eq!(error.code(), Some("AccessDeniedException"));

    let used = &aws.permissions_used()["local-webhook"];
    let send = Permission { action: "sqs:SendMessage".to_owned(), resource: deployment.queues[0].arn.clone() };
    assert!(used.contains(&send), "{used:?}");
    aws.stop().await;
}

/// A put in a transaction, as the exchange function completes a link.
async fn transact(aws: &Aws, table: &str) -> Result<(), Option<String>> {
    let dynamodb = aws_sdk_dynamodb::Client::new(&sdk(aws, "local-exchange").await);
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let put = Put::builder().table_name(table).item("pk", text("a")).item("sk", text("b")).build().unwrap();
    let item = TransactWriteItem::builder().put(put).build();
    let sent = dynamodb.transact_write_items().transact_items(item).send().await;
    sent.map(|_| ()).map_err(|error| error.code().map(str::to_owned))
}

#[tokio::test]
async fn an_action_that_is_taken_from_a_policy_is_refused_in_a_transaction_too() {
    let (aws, deployment) = enforced(|_| ()).await;
    let (accounts, records) = (&deployment.tables[0].name, &deployment.tables[1].name);
    assert_eq!(transact(&aws, accounts).await, Ok(()));
    let denied = Err(Some("AccessDeniedException".to_owned()));
    assert_eq!(transact(&aws, records).await, denied, "a table that is not its own");
    aws.stop().await;

    let (aws, _) = enforced(|deployment| remove(deployment, "exchange", "dynamodb:PutItem")).await;
    assert_eq!(transact(&aws, accounts).await, denied);
    aws.stop().await;
}

#[tokio::test]
async fn the_poller_reads_the_index_and_not_the_table() {
    let (aws, deployment) = enforced(|_| ()).await;
    let dynamodb = aws_sdk_dynamodb::Client::new(&sdk(&aws, "local-poller").await);
    let query = |key: &str| {
        let value = AttributeValue::S("1m".to_owned());
        let query = dynamodb.query().table_name(&deployment.tables[0].name).expression_attribute_values(":v", value);
        query.key_condition_expression(format!("{key} = :v"))
    };
    query("due").index_name("due").send().await.unwrap();
    assert_eq!(query("pk").send().await.unwrap_err().code(), Some("AccessDeniedException"));
    aws.stop().await;
}
