//! A table's definition: the SDK's `CreateTable` and `UpdateTable` requests from its JSON, which the SDK's own types
//! cannot be read from.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::operation::update_table::builders::UpdateTableFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
    GlobalSecondaryIndexUpdate, KeySchemaElement, KeyType, LocalSecondaryIndex, Projection, ProjectionType,
    ProvisionedThroughput, ScalarAttributeType, StreamSpecification, StreamViewType,
};
use serde::Deserialize;

use crate::deployment::Table;

/// `CreateTable`'s input, as far as a table of ours has it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    attribute_definitions: Vec<Attribute>,
    key_schema: Vec<Key>,
    #[serde(default)]
    global_secondary_indexes: Vec<Index>,
    #[serde(default)]
    local_secondary_indexes: Vec<Index>,
    billing_mode: Option<String>,
    provisioned_throughput: Option<Throughput>,
    stream_specification: Option<Stream>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Key {
    attribute_name: String,
    key_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Index {
    index_name: String,
    key_schema: Vec<Key>,
    projection: Projected,
    provisioned_throughput: Option<Throughput>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Projected {
    projection_type: String,
    non_key_attributes: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Throughput {
    read_capacity_units: i64,
    write_capacity_units: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stream {
    stream_enabled: bool,
    stream_view_type: Option<String>,
}

/// The request that creates `table`; the error is one clause about its definition.
pub fn create_table(client: &Client, table: &Table) -> Result<CreateTableFluentBuilder, String> {
    let definition: Definition = serde_json::from_value(table.create.clone()).map_err(|error| error.to_string())?;
    build(client, &table.name, definition).map_err(|error| error.to_string())
}

fn build(
    client: &Client,
    name: &str,
    definition: Definition,
) -> Result<CreateTableFluentBuilder, aws_sdk_dynamodb::error::BuildError> {
    let mut create = client
        .create_table()
        .table_name(name)
        .set_attribute_definitions(Some(attributes(&definition.attribute_definitions)?))
        .set_key_schema(Some(keys(&definition.key_schema)?))
        .set_billing_mode(definition.billing_mode.as_deref().map(BillingMode::from))
        .set_provisioned_throughput(throughput(definition.provisioned_throughput)?);
    for index in definition.global_secondary_indexes {
        create = create.global_secondary_indexes(
            GlobalSecondaryIndex::builder()
                .index_name(index.index_name)
                .set_key_schema(Some(keys(&index.key_schema)?))
                .projection(projection(index.projection))
                .set_provisioned_throughput(throughput(index.provisioned_throughput)?)
                .build()?,
        );
    }
    for index in definition.local_secondary_indexes {
        create = create.local_secondary_indexes(
            LocalSecondaryIndex::builder()
                .index_name(index.index_name)
                .set_key_schema(Some(keys(&index.key_schema)?))
                .projection(projection(index.projection))
                .build()?,
        );
    }
    if let Some(stream) = definition.stream_specification {
        create = create.stream_specification(
            StreamSpecification::builder()
                .stream_enabled(stream.stream_enabled)
                .set_stream_view_type(stream.stream_view_type.as_deref().map(StreamViewType::from))
                .build()?,
        );
    }
    Ok(create)
}

/// The requests that add the indexes of `table` that are not among `existing`, one index each as AWS asks.
pub fn add_indexes(
    client: &Client,
    table: &Table,
    existing: &[String],
) -> Result<Vec<UpdateTableFluentBuilder>, String> {
    let definition: Definition = serde_json::from_value(table.create.clone()).map_err(|error| error.to_string())?;
    let attributes = attributes(&definition.attribute_definitions).map_err(|error| error.to_string())?;
    let missing = definition.global_secondary_indexes.into_iter();
    missing
        .filter(|index| !existing.contains(&index.index_name))
        .map(|index| {
            let action = CreateGlobalSecondaryIndexAction::builder()
                .index_name(index.index_name)
                .set_key_schema(Some(keys(&index.key_schema)?))
                .projection(projection(index.projection))
                .set_provisioned_throughput(throughput(index.provisioned_throughput)?)
                .build()?;
            let update = GlobalSecondaryIndexUpdate::builder().create(action).build();
            Ok(client
                .update_table()
                .table_name(&table.name)
                .set_attribute_definitions(Some(attributes.clone()))
                .global_secondary_index_updates(update))
        })
        .collect::<Result<_, aws_sdk_dynamodb::error::BuildError>>()
        .map_err(|error| error.to_string())
}

fn attributes(attributes: &[Attribute]) -> Result<Vec<AttributeDefinition>, aws_sdk_dynamodb::error::BuildError> {
    attributes
        .iter()
        .map(|attribute| {
            AttributeDefinition::builder()
                .attribute_name(&attribute.attribute_name)
                .attribute_type(ScalarAttributeType::from(attribute.attribute_type.as_str()))
                .build()
        })
        .collect()
}

fn keys(keys: &[Key]) -> Result<Vec<KeySchemaElement>, aws_sdk_dynamodb::error::BuildError> {
    keys.iter()
        .map(|key| {
            KeySchemaElement::builder()
                .attribute_name(&key.attribute_name)
                .key_type(KeyType::from(key.key_type.as_str()))
                .build()
        })
        .collect()
}

fn projection(projected: Projected) -> Projection {
    Projection::builder()
        .projection_type(ProjectionType::from(projected.projection_type.as_str()))
        .set_non_key_attributes(projected.non_key_attributes)
        .build()
}

fn throughput(
    throughput: Option<Throughput>,
) -> Result<Option<ProvisionedThroughput>, aws_sdk_dynamodb::error::BuildError> {
    throughput
        .map(|throughput| {
            ProvisionedThroughput::builder()
                .read_capacity_units(throughput.read_capacity_units)
                .write_capacity_units(throughput.write_capacity_units)
                .build()
        })
        .transpose()
}
