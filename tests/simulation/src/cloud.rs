//! Cloud: the AWS services of a run, in process: DynamoDB (dynoxide), the local stack's queues, a key service that
//! checks its context, and constants for the rest. Without faults of its own; those are made at the wire.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dynoxide::{Database, DynoxideError};
use local_stack::aws::sqs::{Home, Input, Registry};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub const ACCOUNTS: &str = "accounts";
pub const RECORDS: &str = "records";
pub const QUEUE: &str = "http://127.0.0.1:3/000000000000/sync.fifo";
const DEAD: &str = "http://127.0.0.1:3/000000000000/dead.fifo";

/// A message that nobody can read.
pub const POISON: &str = r#"{"v":1,"type":"poison"}"#;

/// An answer: HTTP status and JSON body.
pub type Answer = (u16, Value);

/// See the module.
pub struct Cloud {
    database: Database,
    queues: Mutex<Registry>,
    /// Messages that no function of ours sent.
    sent: AtomicU64,
    /// What each ciphertext holds, and under which context.
    sealed: Mutex<HashMap<String, (Value, Value)>>,
}

impl Cloud {
    /// `visibility`: seconds for which a received message is hidden.
    pub fn new(visibility: u64) -> Self {
        let database = Database::memory().expect("a database in memory");
        for (name, index) in [(ACCOUNTS, true), (RECORDS, false)] {
            let (status, answer) = call(&database, "CreateTable", &table(name, index));
            assert_eq!(status, 200, "{answer}");
        }
        let home = Home {
            endpoint: "http://127.0.0.1:3".to_owned(),
            region: "us-east-1".to_owned(),
            account_id: "000000000000".to_owned(),
        };
        let mut count = 0_u64;
        let ids = Box::new(move || {
            count += 1;
            format!("message-{count}")
        });
        let mut queues = Registry::new(home, None, ids);
        let redrive =
            json!({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead.fifo", "maxReceiveCount": 5});
        let sync = json!({"QueueName": "sync.fifo", "Attributes": {
            "FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId",
            "VisibilityTimeout": visibility.to_string(), "MessageRetentionPeriod": "1209600",
            "RedrivePolicy": redrive.to_string(),
        }});
        let dead = json!({"QueueName": "dead.fifo", "Attributes": {"FifoQueue": "true"}});
        for queue in [dead, sync] {
            queues.handle("CreateQueue", &Input(&queue), "test", 0).expect("a queue");
        }
        Self { database, queues: Mutex::new(queues), sent: AtomicU64::new(0), sealed: Mutex::default() }
    }

    /// From now on a message is hidden for longer than a worker may take, as the template has it.
    pub fn hide_long(&self) {
        let input = json!({"QueueUrl": QUEUE, "Attributes": {"VisibilityTimeout": "720"}});
        self.sqs("SetQueueAttributes", &input, 0);
    }

    /// Runs an action of DynamoDB.
    pub fn dynamodb(&self, action: &str, input: &Value) -> Answer {
        call(&self.database, action, input)
    }

    /// Runs an action of SQS at this moment, in milliseconds since the epoch.
    pub fn sqs(&self, action: &str, input: &Value, now: u64) -> Answer {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        match queues.handle(action, &Input(input), "test", now) {
            Ok(answer) => (200, answer),
            Err(fault) => (fault.status, fault.body("com.amazonaws.sqs")),
        }
    }

    /// The next message of the queue, with its receipt handle.
    pub fn receive(&self, now: u64) -> Option<Value> {
        self.receive_of(QUEUE, now)
    }

    /// Puts a message on the queue that nobody can read.
    pub fn poison(&self, group: &str, now: u64) {
        self.send(group, POISON, now);
    }

    /// Puts every dead letter back on the queue; their bodies.
    pub fn redrive(&self, now: u64) -> Vec<String> {
        let letters = self.take_letters(now);
        letters.iter().for_each(|(group, body)| self.send(group, body, now));
        letters.into_iter().map(|(_, body)| body).collect()
    }

    /// Takes every dead letter away; their bodies.
    pub fn take_dead(&self, now: u64) -> Vec<String> {
        self.take_letters(now).into_iter().map(|(_, body)| body).collect()
    }

    /// Group and body of every dead letter, which is one no more.
    fn take_letters(&self, now: u64) -> Vec<(String, String)> {
        let mut letters = Vec::new();
        while let Some(message) = self.receive_of(DEAD, now) {
            self.sqs("DeleteMessage", &json!({"QueueUrl": DEAD, "ReceiptHandle": message["ReceiptHandle"]}), now);
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            letters.push((text(&message["Attributes"]["MessageGroupId"]), text(&message["Body"])));
        }
        letters
    }

    /// Whether a message came to the dead-letter queue since this was last asked.
    pub fn take_buried(&self) -> bool {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).take_buried()
    }

    fn send(&self, group: &str, body: &str, now: u64) {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let input = json!({
            "QueueUrl": QUEUE, "MessageBody": body, "MessageGroupId": group,
            "MessageDeduplicationId": format!("by-hand-{number}"),
        });
        self.sqs("SendMessage", &input, now);
    }

    fn receive_of(&self, queue: &str, now: u64) -> Option<Value> {
        let input = json!({"QueueUrl": queue, "AttributeNames": ["All"]});
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = queues.receive(&Input(&input), now).expect("the queue exists")?;
        answer["Messages"].get(0).cloned()
    }

    /// Messages that wait or are worked on.
    pub fn waiting(&self, now: u64) -> u64 {
        let (_, answer) = self.sqs("GetQueueAttributes", &json!({"QueueUrl": QUEUE, "AttributeNames": ["All"]}), now);
        ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
            .iter()
            .filter_map(|name| answer["Attributes"][*name].as_str()?.parse::<u64>().ok())
            .sum()
    }

    /// Runs an action of KMS.
    pub fn kms(&self, action: &str, input: &Value) -> Answer {
        let mut sealed = self.sealed.lock().unwrap_or_else(PoisonError::into_inner);
        let context = input["EncryptionContext"].clone();
        match action {
            "Encrypt" => {
                let blob = STANDARD.encode(format!("sealed-{}", sealed.len()));
                sealed.insert(blob.clone(), (input["Plaintext"].clone(), context));
                (200, json!({"CiphertextBlob": blob, "KeyId": input["KeyId"]}))
            }
            "Decrypt" => match sealed.get(input["CiphertextBlob"].as_str().unwrap_or_default()) {
                Some((plaintext, bound)) if *bound == context => (200, json!({"Plaintext": plaintext})),
                _ => (400, json!({"__type": "InvalidCiphertextException"})),
            },
            other => (400, json!({"__type": "UnknownOperationException", "message": other})),
        }
    }
}

/// The ways to run an action without faults.
fn call(database: &Database, action: &str, input: &Value) -> Answer {
    let answer = match action {
        "BatchGetItem" => run(input, |input| database.batch_get_item(input)),
        "BatchWriteItem" => run(input, |input| database.batch_write_item(input)),
        "CreateTable" => run(input, |input| database.create_table(input)),
        "DeleteItem" => run(input, |input| database.delete_item(input)),
        "GetItem" => run(input, |input| database.get_item(input)),
        "PutItem" => run(input, |input| database.put_item(input)),
        "Query" => run(input, |input| database.query(input)),
        "Scan" => run(input, |input| database.scan(input)),
        "TransactWriteItems" => run(input, |input| database.transact_write_items(input)),
        "UpdateItem" => run(input, |input| database.update_item(input)),
        other => Err(DynoxideError::ValidationException(format!("no action {other}"))),
    };
    match answer {
        Ok(answer) => (200, answer),
        Err(error) => (error.status_code(), serde_json::from_str(&error.to_json()).unwrap_or_default()),
    }
}

fn run<I: DeserializeOwned, O: Serialize>(
    input: &Value,
    action: impl FnOnce(I) -> Result<O, DynoxideError>,
) -> Result<Value, DynoxideError> {
    let invalid = |error: serde_json::Error| DynoxideError::ValidationException(error.to_string());
    // Its types are read from text: some want to see a number's own digits.
    let input = serde_json::from_str(&input.to_string()).map_err(invalid)?;
    serde_json::to_value(action(input)?).map_err(invalid)
}

/// The request that creates a table as the template describes it.
fn table(name: &str, index: bool) -> Value {
    let attribute = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
    let keys = |hash: &str, range: &str| json!([{"AttributeName": hash, "KeyType": "HASH"}, {"AttributeName": range, "KeyType": "RANGE"}]);
    let mut table = json!({
        "TableName": name, "BillingMode": "PAY_PER_REQUEST", "KeySchema": keys("pk", "sk"),
        "AttributeDefinitions": [attribute("pk"), attribute("sk")],
    });
    if index {
        table["AttributeDefinitions"] =
            json!([attribute("pk"), attribute("sk"), attribute("due"), attribute("due_at")]);
        table["GlobalSecondaryIndexes"] = json!([{
            "IndexName": "due", "KeySchema": keys("due", "due_at"),
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["merge_id"]},
        }]);
    }
    table
}
