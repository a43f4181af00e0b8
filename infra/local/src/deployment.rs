//! A deployment: everything `infra/template.yaml` asks AWS for, with every parameter, condition and
//! intrinsic function resolved. Plain data; `template` makes it, the rest of this crate acts on it.

use std::collections::BTreeMap;

/// What one stack consists of, as far as this machine can stand in for it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deployment {
    pub functions: Vec<Function>,
    pub routes: Vec<Route>,
    /// The JWT authorizer that protected routes name; `None` when no route is protected.
    pub authorizer: Option<JwtAuthorizer>,
    /// Origins that the HTTP API answers cross-origin requests of (empty: none).
    pub cors_origins: Vec<String>,
    pub event_sources: Vec<EventSource>,
    pub schedules: Vec<Schedule>,
    pub tables: Vec<Table>,
    pub queues: Vec<Queue>,
    pub keys: Vec<Key>,
    pub secrets: Vec<Secret>,
    pub event_buses: Vec<EventBus>,
    pub outputs: BTreeMap<String, String>,
}

/// One `AWS::Serverless::Function`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Function {
    /// Logical id in the template, for example `WebhookFunction`.
    pub logical_id: String,
    /// Cargo binary that is its bootstrap (`Metadata.BuildProperties.Binary`), for example `webhook`.
    pub binary: String,
    pub timeout_seconds: u64,
    pub memory_mb: u32,
    pub environment: BTreeMap<String, String>,
    /// `RecursiveLoop: Allow`: AWS does not stop its chains of invocations after 16 hops.
    pub recursive_loop_allowed: bool,
    /// Has a function URL with `AuthType: NONE`.
    pub function_url: bool,
    /// IAM statements of its role, as resolved JSON (`{"Effect","Action","Resource",...}`).
    pub policy_statements: Vec<serde_json::Value>,
}

/// One `AWS::ApiGatewayV2::Route` with the function behind it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Route {
    /// `GET`, `POST`, ... or `ANY`.
    pub method: String,
    /// `/v1/linked-accounts/{id}` or greedy `/assets/{path+}`.
    pub path: String,
    /// Logical id of the function.
    pub function: String,
    /// Protected by the JWT authorizer.
    pub jwt: bool,
    /// The token must carry at least one of these (empty: any valid token).
    pub scopes: Vec<String>,
}

/// The HTTP API's JWT authorizer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JwtAuthorizer {
    pub issuer: String,
    pub audiences: Vec<String>,
}

/// An SQS queue that invokes a function.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventSource {
    pub function: String,
    /// Logical id of the queue.
    pub queue: String,
    pub batch_size: u32,
    pub maximum_concurrency: Option<u32>,
    pub report_batch_item_failures: bool,
}

/// An EventBridge Scheduler schedule (`ScheduleV2`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schedule {
    pub function: String,
    pub every_seconds: u64,
    /// Event JSON; `<aws.scheduler.scheduled-time>` stands for the tick's RFC 3339 time.
    pub input: String,
}

/// A DynamoDB table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    pub logical_id: String,
    /// Physical name.
    pub name: String,
    /// Properties as for the `CreateTable` API (AttributeDefinitions, KeySchema, GlobalSecondaryIndexes, BillingMode,
    /// StreamSpecification).
    pub create: serde_json::Value,
    /// Attribute that holds the time to live, when there is one.
    pub ttl_attribute: Option<String>,
}

/// An SQS queue.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Queue {
    pub logical_id: String,
    /// Physical name; a FIFO queue's ends in `.fifo`.
    pub name: String,
    pub url: String,
    pub arn: String,
    /// Attributes as for the `CreateQueue` API (`FifoQueue`, `VisibilityTimeout`, `RedrivePolicy` ...).
    pub attributes: BTreeMap<String, String>,
}

/// A symmetric KMS key, called by its alias on this machine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Key {
    pub logical_id: String,
    /// `alias/...`; what `!Ref` and `!GetAtt Arn` resolve to names this alias.
    pub alias: String,
    pub arn: String,
}

/// A Secrets Manager secret.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Secret {
    pub logical_id: String,
    /// Name, which is also what `!Ref` resolves to on this machine.
    pub name: String,
    pub value: String,
}

/// An EventBridge event bus.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventBus {
    pub logical_id: String,
    pub name: String,
    pub arn: String,
}
