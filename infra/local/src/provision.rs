//! Provisioning: the resources of a deployment, created at any AWS-compatible endpoint with the AWS
//! SDK. What is there already is kept and brought up to date, so that a restart on the same data
//! finds its accounts and records.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{IndexStatus, TableDescription, TableStatus, TimeToLiveSpecification, TimeToLiveStatus};
use aws_sdk_sqs::types::QueueAttributeName;

mod table;

use crate::deployment::{Deployment, EventBus, Key, Queue, Secret, Table};

/// How long a table may take until it is usable.
const TABLE_PATIENCE: Duration = Duration::from_secs(60);

/// Which resource could not be created, and why.
#[derive(Debug, thiserror::Error)]
#[error("{kind} {name} cannot be provisioned: {reason}")]
pub struct ProvisionError {
    kind: &'static str,
    name: String,
    reason: String,
}

/// Creates the tables, queues, keys, secrets and event buses of `deployment` at `endpoint`, with the
/// credentials `test`/`test`, and updates those that exist.
pub async fn provision(deployment: &Deployment, endpoint: &str) -> Result<(), ProvisionError> {
    let region = Region::new(region_of(deployment));
    let config = aws_config::defaults(BehaviorVersion::latest())
        .credentials_provider(Credentials::new("test", "test", None, None, "local"))
        .region(region)
        .endpoint_url(endpoint)
        .load()
        .await;
    let database = aws_sdk_dynamodb::Client::new(&config);
    for table in &deployment.tables {
        provision_table(&database, table).await?;
    }
    provision_queues(&config, &deployment.queues).await?;
    let kms = aws_sdk_kms::Client::new(&config);
    for key in &deployment.keys {
        provision_key(&kms, key).await?;
    }
    let secrets = aws_sdk_secretsmanager::Client::new(&config);
    for secret in &deployment.secrets {
        provision_secret(&secrets, secret).await?;
    }
    let events = aws_sdk_eventbridge::Client::new(&config);
    for bus in &deployment.event_buses {
        provision_bus(&events, bus).await?;
    }
    Ok(())
}

/// The region of the deployment's ARNs.
fn region_of(deployment: &Deployment) -> String {
    let arns = deployment.queues.iter().map(|queue| &queue.arn);
    let arns = arns.chain(deployment.keys.iter().map(|key| &key.arn));
    let region = arns.filter_map(|arn| arn.split(':').nth(3)).next();
    region.unwrap_or("us-east-1").to_owned()
}

/// Makes an SDK error one of `kind` `name`.
fn failed<E: std::error::Error>(kind: &'static str, name: &str) -> impl Fn(E) -> ProvisionError {
    let name = name.to_owned();
    move |error| ProvisionError { kind, name: name.clone(), reason: DisplayErrorContext(&error).to_string() }
}

async fn provision_table(client: &aws_sdk_dynamodb::Client, table: &Table) -> Result<(), ProvisionError> {
    let name = &table.name;
    let create = table::create_table(client, table).map_err(|reason| ProvisionError {
        kind: "table",
        name: name.clone(),
        reason,
    })?;
    let created = create.send().await;
    let known = created
        .as_ref()
        .is_err_and(|error| error.as_service_error().is_some_and(CreateTableError::is_resource_in_use_exception));
    if known {
        add_missing_indexes(client, table).await?;
    } else {
        created.map_err(failed("table", name))?;
    }
    await_table(client, name).await?;
    let Some(attribute) = &table.ttl_attribute else {
        return Ok(());
    };
    let ttl = client.describe_time_to_live().table_name(name).send().await.map_err(failed("table", name))?;
    let status = ttl.time_to_live_description.and_then(|ttl| ttl.time_to_live_status);
    if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
        return Ok(());
    }
    let specification = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name(attribute)
        .build()
        .map_err(failed("table", name))?;
    client
        .update_time_to_live()
        .table_name(name)
        .time_to_live_specification(specification)
        .send()
        .await
        .map_err(failed("table", name))?;
    Ok(())
}

/// Adds the indexes that a table of an earlier template lacks.
async fn add_missing_indexes(client: &aws_sdk_dynamodb::Client, table: &Table) -> Result<(), ProvisionError> {
    let name = &table.name;
    let description = await_table(client, name).await?;
    let existing: Vec<String> = description
        .global_secondary_indexes()
        .iter()
        .filter_map(|index| index.index_name().map(str::to_owned))
        .collect();
    let additions = table::add_indexes(client, table, &existing).map_err(|reason| ProvisionError {
        kind: "table",
        name: name.clone(),
        reason,
    })?;
    for addition in additions {
        addition.send().await.map_err(failed("table", name))?;
        await_table(client, name).await?;
    }
    Ok(())
}

/// Waits until the table and its indexes can be used; answers with its description.
async fn await_table(client: &aws_sdk_dynamodb::Client, name: &str) -> Result<TableDescription, ProvisionError> {
    let deadline = tokio::time::Instant::now() + TABLE_PATIENCE;
    loop {
        let answer = client.describe_table().table_name(name).send().await.map_err(failed("table", name))?;
        let description = answer.table.unwrap_or_else(|| TableDescription::builder().build());
        let status = description.table_status.clone();
        let indexes = description.global_secondary_indexes();
        let indexed = indexes.iter().all(|index| index.index_status() == Some(&IndexStatus::Active));
        if status == Some(TableStatus::Active) && indexed {
            return Ok(description);
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(ProvisionError {
                kind: "table",
                name: name.to_owned(),
                reason: format!("it did not become active: {status:?}"),
            });
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Dead-letter queues first: a redrive policy may name only a queue that exists.
async fn provision_queues(config: &SdkConfig, queues: &[Queue]) -> Result<(), ProvisionError> {
    let client = aws_sdk_sqs::Client::new(config);
    let (redriving, plain): (Vec<&Queue>, Vec<&Queue>) =
        queues.iter().partition(|queue| queue.attributes.contains_key("RedrivePolicy"));
    for queue in plain.into_iter().chain(redriving) {
        provision_queue(&client, queue).await?;
    }
    Ok(())
}

async fn provision_queue(client: &aws_sdk_sqs::Client, queue: &Queue) -> Result<(), ProvisionError> {
    let name = &queue.name;
    let mut attributes: HashMap<QueueAttributeName, String> =
        queue.attributes.iter().map(|(key, value)| (QueueAttributeName::from(key.as_str()), value.clone())).collect();
    match client.get_queue_url().queue_name(name).send().await {
        Ok(known) => {
            // A queue is FIFO from its creation or never.
            attributes.remove(&QueueAttributeName::FifoQueue);
            client
                .set_queue_attributes()
                .set_queue_url(known.queue_url)
                .set_attributes(Some(attributes))
                .send()
                .await
                .map_err(failed("queue", name))?;
        }
        Err(error) if error.as_service_error().is_some_and(|error| error.is_queue_does_not_exist()) => {
            client
                .create_queue()
                .queue_name(name)
                .set_attributes(Some(attributes))
                .send()
                .await
                .map_err(failed("queue", name))?;
        }
        Err(error) => return Err(failed("queue", name)(error)),
    }
    Ok(())
}

async fn provision_key(client: &aws_sdk_kms::Client, key: &Key) -> Result<(), ProvisionError> {
    let alias = &key.alias;
    match client.describe_key().key_id(alias).send().await {
        Ok(_) => return Ok(()),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found_exception()) => {}
        Err(error) => return Err(failed("key", alias)(error)),
    }
    let created = client.create_key().description(&key.logical_id).send().await.map_err(failed("key", alias))?;
    client
        .create_alias()
        .alias_name(alias)
        .set_target_key_id(created.key_metadata.map(|metadata| metadata.key_id))
        .send()
        .await
        .map_err(failed("key", alias))?;
    Ok(())
}

async fn provision_secret(client: &aws_sdk_secretsmanager::Client, secret: &Secret) -> Result<(), ProvisionError> {
    let name = &secret.name;
    match client.get_secret_value().secret_id(name).send().await {
        Ok(known) if known.secret_string() == Some(&secret.value) => {}
        Ok(_) => {
            client
                .put_secret_value()
                .secret_id(name)
                .secret_string(&secret.value)
                .send()
                .await
                .map_err(failed("secret", name))?;
        }
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => {
            client
                .create_secret()
                .name(name)
                .secret_string(&secret.value)
                .send()
                .await
                .map_err(failed("secret", name))?;
        }
        Err(error) => return Err(failed("secret", name)(error)),
    }
    Ok(())
}

async fn provision_bus(client: &aws_sdk_eventbridge::Client, bus: &EventBus) -> Result<(), ProvisionError> {
    match client.create_event_bus().name(&bus.name).send().await {
        Ok(_) => Ok(()),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_already_exists_exception()) => {
            Ok(())
        }
        Err(error) => Err(failed("event bus", &bus.name)(error)),
    }
}
