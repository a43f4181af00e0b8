//! A connection: a stack that can be asked and told things, whether it runs in AWS or on this machine.
//!
//! Everything that differs between stacks is a variable, as in the functions' own configuration: `ACCOUNTS_TABLE`,
//! `QUEUE_URL` and so on. They come from the environment, or from the outputs of a CloudFormation stack; a local stack
//! is one whose CloudFormation answers on this machine. Credentials and region are the environment's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use shared::config::aws::{Aws, Credentials, sdk_config, sdk_config_as};
use shared::config::{self, Clock, Merge, Reader, Section, Tables, TokenKey, WebhookKeys};
use shared::domain::secret::WebhookKey;
use shared::linking::Linking;
use shared::merge::MergeClient;
use shared::queue::Queue;
use shared::queue::dead_letters::DeadLetters;
use shared::queue::relay::RelayQueue;
use shared::secrets::{self, TokenCipher, WebhookKeyring};
use shared::store::Store;
use shared::telemetry;

use crate::failure::Failure;
use crate::metrics::Metrics;

/// Which stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The one that the environment's variables describe.
    Environment,
    /// A CloudFormation stack, by name.
    Stack(String),
    /// The running `cargo dev` whose ports begin here.
    Local(u16),
}

/// A stack to work on.
pub struct Connection {
    pub store: Store,
    pub tokens: Arc<TokenCipher>,
    pub queue: Queue,
    pub dead_letters: DeadLetters,
    pub clock: Clock,
    pub merge: config::Merge,
    pub webhook_keys: config::WebhookKeys,
    pub webhook_url: Option<String>,
    /// A staging stack's only.
    pub relay_queue: Option<RelayQueue>,
    /// How long the timeline is kept.
    pub history: Duration,
    pub metrics: Metrics,
    pub tables: Tables,
    /// Empty for a stack of an older template.
    pub functions: Vec<Function>,
    /// Of all queues that the stack pays for by the message.
    pub queue_names: Vec<String>,
    sdk: SdkConfig,
}

/// A Lambda function of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// What it runs, such as `sync-worker`.
    pub binary: String,
    pub name: String,
    pub memory_mb: u32,
}

impl Function {
    /// Reads `binary=name:megabytes` words; what has another form is left out.
    fn list(text: &str) -> Vec<Self> {
        let function = |word: &str| {
            let (binary, rest) = word.split_once('=')?;
            let (name, memory) = rest.rsplit_once(':')?;
            Some(Self { binary: binary.to_owned(), name: name.to_owned(), memory_mb: memory.parse().ok()? })
        };
        text.split_whitespace().filter_map(function).collect()
    }
}

/// The name under which `cargo dev` is deployed on this machine.
const LOCAL_STACK: &str = "tether-local";
const LOCAL_REGION: &str = "us-east-1";

/// Outputs of the template, and the variables they are the values of.
const OUTPUTS: [(&str, &str); 15] = [
    ("AccountsTableName", "ACCOUNTS_TABLE"),
    ("RecordsTableName", "RECORDS_TABLE"),
    ("SyncQueueUrl", "QUEUE_URL"),
    ("SyncDeadLetterQueueUrl", "DEAD_LETTER_QUEUE_URL"),
    ("TokenKeyArn", "TOKEN_KEY"),
    ("PreviousTokenKeyArn", "PREVIOUS_TOKEN_KEY"),
    ("MergeBaseUrl", "MERGE_BASE_URL"),
    ("MergeApiKeySecretArn", "MERGE_API_KEY_SECRET"),
    ("WebhookKeysSecretArn", "WEBHOOK_KEYS_SECRET"),
    ("WebhookUrl", "WEBHOOK_URL"),
    ("RelayQueueUrl", "RELAY_QUEUE_URL"),
    ("HistoryRetentionDays", "HISTORY_RETENTION_DAYS"),
    ("Functions", "FUNCTIONS"),
    // A local stack's only.
    ("ScheduleSpeed", "SCHEDULE_SPEED"),
    ("ScheduleOrigin", "SCHEDULE_ORIGIN"),
];

/// What only this tool reads.
struct Operations {
    /// `DEAD_LETTER_QUEUE_URL`: URL of the queue of messages that failed too often.
    dead_letter_queue: String,
    /// `WEBHOOK_URL`, optional: where Merge posts webhooks.
    webhook_url: Option<String>,
    /// `METRICS_NAMESPACE`, default `Tether`: where the functions count; the stack's name.
    metrics_namespace: String,
    /// `FUNCTIONS`, optional: the stack's functions, as its output `Functions` names them.
    functions: Option<String>,
}

impl Section for Operations {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            dead_letter_queue: reader.required("DEAD_LETTER_QUEUE_URL"),
            webhook_url: reader.optional("WEBHOOK_URL"),
            metrics_namespace: reader.text_or("METRICS_NAMESPACE", "Tether"),
            functions: reader.optional("FUNCTIONS"),
        }
    }
}

type Sections =
    (Aws, Tables, config::Queue, TokenKey, Merge, WebhookKeys, Clock, config::Retention, config::Relay, Operations);

impl Connection {
    /// Connects. Nothing but CloudFormation is asked yet.
    pub async fn open(source: &Source) -> Result<Self, Failure> {
        let environment = |name: &str| std::env::var(name).ok();
        match source {
            Source::Environment => {
                let sections: Sections = config::load_from(&environment).map_err(Failure::Environment)?;
                let sdk = signed_in(&sections.0)?;
                Ok(Self::over(sdk, sections))
            }
            Source::Stack(name) => {
                let aws: (Aws,) = config::load_from(&environment).map_err(Failure::Environment)?;
                let sdk = signed_in(&aws.0)?;
                let outputs = outputs(&sdk, name).await?;
                // What the environment says goes first: a stack of an older template lacks an output.
                let lookup = |name: &str| environment(name).or_else(|| outputs.get(name).cloned());
                Ok(Self::over(sdk, config::load_from(&lookup).map_err(|error| Failure::Outputs(name.clone(), error))?))
            }
            Source::Local(port_base) => {
                let endpoint = format!("http://127.0.0.1:{}", port_base.saturating_add(3));
                let aws = Aws { region: LOCAL_REGION.to_owned(), endpoint_url: Some(endpoint.clone()) };
                let sdk = sdk_config_as(&aws, Credentials::new("test", "test", None, None, "local"))?;
                let outputs = outputs(&sdk, LOCAL_STACK).await.map_err(|_| Failure::NoLocalStack(*port_base))?;
                let lookup = |name: &str| match name {
                    "AWS_REGION" => Some(LOCAL_REGION.to_owned()),
                    "AWS_ENDPOINT_URL" => Some(endpoint.clone()),
                    _ => outputs.get(name).cloned(),
                };
                let sections = config::load_from(&lookup);
                Ok(Self::over(sdk, sections.map_err(|error| Failure::Outputs(LOCAL_STACK.to_owned(), error))?))
            }
        }
    }

    fn over(sdk: SdkConfig, sections: Sections) -> Self {
        let (_, tables, queue, token_key, merge, webhook_keys, clock, retention, relay, operations) = sections;
        let urls = [Some(&queue.url), Some(&operations.dead_letter_queue), relay.queue.as_ref()];
        let queue_name = |url: &String| url.rsplit('/').next().unwrap_or_default().to_owned();
        let queue_names = urls.into_iter().flatten().map(queue_name).collect();
        Self {
            store: Store::connect(&sdk, &tables),
            tokens: Arc::new(TokenCipher::new(&sdk, &token_key)),
            queue: Queue::new(&sdk, &queue),
            dead_letters: DeadLetters::new(&sdk, operations.dead_letter_queue, queue.url),
            clock,
            merge,
            webhook_keys,
            webhook_url: operations.webhook_url,
            relay_queue: relay.queue.map(|url| RelayQueue::new(&sdk, url)),
            history: retention.history,
            metrics: Metrics::new(sdk.clone(), operations.metrics_namespace),
            tables,
            functions: operations.functions.as_deref().map(Function::list).unwrap_or_default(),
            queue_names,
            sdk,
        }
    }

    /// Merge's API, with the stack's own key.
    pub async fn merge_client(&self) -> Result<MergeClient, Failure> {
        Ok(secrets::merge_client(&self.sdk, &self.merge).await?)
    }

    /// What functions share to work on accounts: opens tokens, adds to timelines.
    pub async fn linking(&self) -> Result<Linking, Failure> {
        let merge = self.merge_client().await?;
        Ok(Linking { store: self.store.clone(), merge, tokens: self.tokens.clone(), history: self.history })
    }

    /// Replaces the keys with which Merge signs webhooks, newest first.
    pub async fn put_webhook_keys(&self, keys: &[WebhookKey]) -> Result<(), Failure> {
        Ok(secrets::put_webhook_keys(&self.sdk, &self.webhook_keys, keys).await?)
    }

    /// The keys with which Merge signs webhooks.
    pub fn webhook_keyring(&self) -> WebhookKeyring {
        WebhookKeyring::new(&self.sdk, &self.webhook_keys)
    }
}

/// With the environment's credentials, which are to be there before anything is asked.
fn signed_in(aws: &Aws) -> Result<SdkConfig, Failure> {
    let present = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty());
    if !present("AWS_ACCESS_KEY_ID") || !present("AWS_SECRET_ACCESS_KEY") {
        return Err(Failure::NoCredentials);
    }
    Ok(sdk_config(aws)?)
}

/// The outputs of a stack, as variables.
async fn outputs(sdk: &SdkConfig, stack: &str) -> Result<BTreeMap<String, String>, Failure> {
    let client = aws_sdk_cloudformation::Client::new(sdk);
    let answer = client.describe_stacks().stack_name(stack).send().await;
    let answer = answer.map_err(|error| Failure::Stack {
        name: stack.to_owned(),
        why: error.message().map_or_else(|| telemetry::aws_chain(&error), str::to_owned),
    })?;
    let outputs = answer.stacks.unwrap_or_default().into_iter().flat_map(|stack| stack.outputs.unwrap_or_default());
    let known = outputs.filter_map(|output| {
        let (_, variable) = OUTPUTS.iter().find(|(key, _)| Some(*key) == output.output_key.as_deref())?;
        Some(((*variable).to_owned(), output.output_value?))
    });
    let namespace = ("METRICS_NAMESPACE".to_owned(), stack.to_owned());
    Ok(known.chain([namespace]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_read_from_the_output() {
        let page = Function { binary: "page".to_owned(), name: "a-PageFunction-X1".to_owned(), memory_mb: 128 };
        assert_eq!(Function::list("page=a-PageFunction-X1:128 nonsense a=b"), [page]);
        assert_eq!(Function::list(""), []);
    }
}
