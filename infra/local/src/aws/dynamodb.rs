//! DynamoDB: the embedded dynoxide database behind DynamoDB's AWS JSON protocol.
//!
//! dynoxide is synchronous SQLite behind one lock, so every call runs on a blocking thread; its
//! limits (item size, transaction size, expressions) are DynamoDB's own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;

use super::files;

/// How often expired items are deleted. DynamoDB itself promises only "within days".
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// The DynamoDB service of one stack.
#[derive(Clone)]
pub struct DynamoDb {
    database: Database,
}

/// An answer: HTTP status and JSON body.
pub type Answer = (u16, String);

impl DynamoDb {
    /// Opens the database `dynamodb.sqlite` in `data_dir`, or one in memory.
    pub fn open(data_dir: Option<&Path>) -> Result<Self, DynoxideError> {
        let database = match data_dir {
            None => Database::memory()?,
            Some(directory) => {
                let path = directory.join("dynamodb.sqlite");
                let fault = |what: &str| DynoxideError::InternalServerError(what.to_owned());
                // SQLite keeps the mode of the file that it finds.
                files::create(&path).map_err(|error| fault(&format!("{}: {error}", path.display())))?;
                let path = path.to_str().ok_or_else(|| fault("the data directory's path is not valid Unicode"))?;
                Database::new(path)?
            }
        };
        // The operating system keeps what was written when this process is killed; a commit need not
        // wait for the disk, which takes several times as long: only losing power could undo it.
        database.enable_bulk_loading()?;
        Ok(Self { database })
    }

    /// The database itself, for those who read it without the wire.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Runs an action; `None` when DynamoDB, or dynoxide, has no such action.
    pub async fn call(&self, action: &str, body: Bytes) -> Option<Answer> {
        let operation = OPERATIONS.iter().find(|(name, _)| *name == action).map(|(_, operation)| *operation)?;
        let database = self.database.clone();
        let outcome = tokio::task::spawn_blocking(move || operation(&database, &body)).await;
        Some(match outcome {
            Ok(Ok(answer)) => (200, answer),
            Ok(Err(error)) => (error.status_code(), error.to_json()),
            Err(panic) => {
                let error = DynoxideError::InternalServerError(panic.to_string());
                (error.status_code(), error.to_json())
            }
        })
    }

    /// Deletes expired items, now and every half minute, until the task is aborted.
    pub fn sweep_periodically(&self) -> JoinHandle<()> {
        let database = Arc::new(self.database.clone());
        tokio::spawn(async move {
            loop {
                let database = Arc::clone(&database);
                match tokio::task::spawn_blocking(move || database.sweep_ttl()).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => tracing::error!(%error, "the TTL sweep failed"),
                    Err(error) => tracing::error!(%error, "the TTL sweep panicked"),
                }
                tokio::time::sleep(SWEEP_EVERY).await;
            }
        })
    }
}

type Operation = fn(&Database, &[u8]) -> Result<String, DynoxideError>;

/// Every action that dynoxide has, under its name in `X-Amz-Target`.
const OPERATIONS: &[(&str, Operation)] = &[
    ("BatchExecuteStatement", |db, body| run(body, |input| db.batch_execute_statement(input))),
    ("BatchGetItem", |db, body| run(body, |input| db.batch_get_item(input))),
    ("BatchWriteItem", |db, body| run(body, |input| db.batch_write_item(input))),
    ("CreateTable", |db, body| run(body, |input| db.create_table(input))),
    ("DeleteItem", |db, body| run(body, |input| db.delete_item(input))),
    ("DeleteTable", |db, body| run(body, |input| db.delete_table(input))),
    ("DescribeStream", |db, body| run(body, |input| db.describe_stream(input))),
    ("DescribeTable", |db, body| run(body, |input| db.describe_table(input))),
    ("DescribeTimeToLive", |db, body| run(body, |input| db.describe_time_to_live(input))),
    ("ExecuteStatement", |db, body| run(body, |input| db.execute_statement(input))),
    ("ExecuteTransaction", |db, body| run(body, |input| db.execute_transaction(input))),
    ("GetItem", |db, body| run(body, |input| db.get_item(input))),
    ("GetRecords", |db, body| run(body, |input| db.get_records(input))),
    ("GetShardIterator", |db, body| run(body, |input| db.get_shard_iterator(input))),
    ("ListStreams", |db, body| run(body, |input| db.list_streams(input))),
    ("ListTables", |db, body| run(body, |input| db.list_tables(input))),
    ("ListTagsOfResource", |db, body| run(body, |input| db.list_tags_of_resource(input))),
    ("PutItem", |db, body| run(body, |input| db.put_item(input))),
    ("Query", |db, body| run(body, |input| db.query(input))),
    ("Scan", |db, body| run(body, |input| db.scan(input))),
    ("TagResource", |db, body| run(body, |input| db.tag_resource(input))),
    ("TransactGetItems", |db, body| run(body, |input| db.transact_get_items(input))),
    ("TransactWriteItems", |db, body| run(body, |input| db.transact_write_items(input))),
    ("UntagResource", |db, body| run(body, |input| db.untag_resource(input))),
    ("UpdateItem", |db, body| run(body, |input| db.update_item(input))),
    ("UpdateTable", |db, body| run(body, |input| db.update_table(input))),
    ("UpdateTimeToLive", |db, body| run(body, |input| db.update_time_to_live(input))),
];

fn run<I: DeserializeOwned, O: Serialize>(
    body: &[u8],
    action: impl FnOnce(I) -> Result<O, DynoxideError>,
) -> Result<String, DynoxideError> {
    let input = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
    serde_json::to_string(&action(input)?).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// The error for a body that is not the action's input. dynoxide's own deserializers mark a message
/// that DynamoDB words as a validation or serialization error.
fn malformed(error: &serde_json::Error) -> DynoxideError {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    for mark in ["VALIDATION:", "VALIDATION_AS_READ:", "VALIDATION_REQUEST:"] {
        if let Some(message) = text.strip_prefix(mark) {
            return DynoxideError::ValidationException(message.to_owned());
        }
    }
    for mark in ["SERIALIZATION:", "SERIALIZATION_AS_READ:"] {
        if let Some(message) = text.strip_prefix(mark) {
            return DynoxideError::SerializationException(message.to_owned());
        }
    }
    if text.contains("AttributeValue") || text.contains("missing field") {
        return DynoxideError::ValidationException(text.to_owned());
    }
    DynoxideError::SerializationException(text.to_owned())
}
