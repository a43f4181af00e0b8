//! Stores: the tables, queues, keys, secrets and event buses of a template.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::error::TemplateError;
use super::physical::key_alias;
use super::properties::text;
use super::resources::{Resource, Resources};
use crate::deployment::{Deployment, EventBus, Key, Queue, Secret, Table};

/// Adds every store of the template to `deployment`.
pub fn collect(resources: &Resources, deployment: &mut Deployment) -> Result<(), TemplateError> {
    for resource in resources.of_kind("AWS::DynamoDB::Table") {
        deployment.tables.push(table(resources, resource)?);
    }
    for resource in resources.of_kind("AWS::SQS::Queue") {
        deployment.queues.push(queue(resources, resource)?);
    }
    for resource in resources.of_kind("AWS::KMS::Key") {
        deployment.keys.push(Key {
            logical_id: resource.logical_id.clone(),
            alias: key_alias(resources.stack_name(), &resource.logical_id),
            arn: resources.attribute(resource, "Arn")?,
        });
    }
    for resource in resources.of_kind("AWS::SecretsManager::Secret") {
        deployment.secrets.push(Secret {
            logical_id: resource.logical_id.clone(),
            name: resources.reference(resource)?,
            value: resources.properties(resource).text("SecretString")?,
        });
    }
    for resource in resources.of_kind("AWS::Events::EventBus") {
        deployment.event_buses.push(EventBus {
            logical_id: resource.logical_id.clone(),
            name: resources.reference(resource)?,
            arn: resources.attribute(resource, "Arn")?,
        });
    }
    Ok(())
}

fn table(resources: &Resources, resource: &Resource) -> Result<Table, TemplateError> {
    let properties = resources.properties(resource);
    let name = resources.reference(resource)?;
    let mut create = json!({ "TableName": name });
    for key in ["AttributeDefinitions", "KeySchema"] {
        create[key] = properties.get(key).cloned().ok_or_else(|| properties.fault(key, "is missing"))?;
    }
    for key in ["GlobalSecondaryIndexes", "LocalSecondaryIndexes", "BillingMode", "ProvisionedThroughput"] {
        if let Some(value) = properties.get(key) {
            create[key] = value.clone();
        }
    }
    if let Some(stream) = properties.child("StreamSpecification")? {
        create["StreamSpecification"] = json!({
            "StreamEnabled": true,
            "StreamViewType": stream.text("StreamViewType")?,
        });
    }
    let ttl_attribute = match properties.child("TimeToLiveSpecification")? {
        Some(ttl) if ttl.flag("Enabled")? != Some(false) => Some(ttl.text("AttributeName")?),
        _ => None,
    };
    Ok(Table { logical_id: resource.logical_id.clone(), name, create, ttl_attribute })
}

fn queue(resources: &Resources, resource: &Resource) -> Result<Queue, TemplateError> {
    let properties = resources.properties(resource);
    let name = resources.attribute(resource, "QueueName")?;
    let fifo = properties.flag("FifoQueue")? == Some(true);
    if fifo != name.ends_with(".fifo") {
        return Err(properties
            .fault("QueueName", format!("is {name:?}: the name of a FIFO queue, and no other, ends in .fifo")));
    }
    let mut attributes = BTreeMap::new();
    if let Json::Object(entries) = properties.value() {
        for (key, value) in entries {
            if matches!(key.as_str(), "QueueName" | "Tags") {
                continue;
            }
            // Policies are JSON documents in a string attribute; numbers in them stay numbers.
            let value = text(value).unwrap_or_else(|| value.to_string());
            attributes.insert(key.clone(), value);
        }
    }
    if let Some(redrive) = properties.child("RedrivePolicy")? {
        let target = redrive.text("deadLetterTargetArn")?;
        if resources.by_arn("AWS::SQS::Queue", &target)?.is_none() {
            return Err(
                redrive.fault("deadLetterTargetArn", format!("is {target:?}, which is no queue of this template"))
            );
        }
        redrive.number("maxReceiveCount")?.ok_or_else(|| redrive.fault("maxReceiveCount", "is missing"))?;
    }
    Ok(Queue {
        logical_id: resource.logical_id.clone(),
        url: resources.reference(resource)?,
        arn: resources.attribute(resource, "Arn")?,
        name,
        attributes,
    })
}
