//! The plan of a stack: everything that follows from the options and the template before anything runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use jiff::Timestamp;

use super::{Options, StartError};
use crate::deployment::Deployment;
use crate::event_source::EventSourceOptions;
use crate::issuer::PAGE_CLIENT;
use crate::lambda::HostedFunction;
use crate::ready::Ready;
use crate::schedule::ScheduleOptions;
use crate::template::Inputs;

pub(super) const STACK: &str = "tether-local";
pub(super) const REGION: &str = "us-east-1";
pub(super) const ACCOUNT_ID: &str = "000000000000";

const SECRET_KEY: &str = "test";

/// Base URLs of the six ports, without trailing slashes but for the webhook's.
#[derive(Debug)]
pub(super) struct Urls {
    pub base: u16,
    pub api: String,
    pub webhook: String,
    pub sandbox: String,
    pub aws: String,
    pub issuer: String,
    pub runtime: String,
}

#[derive(Debug)]
pub(super) struct Plan {
    pub options: Options,
}

impl Plan {
    pub fn new(options: Options) -> Result<Self, StartError> {
        if !(1.0..=1_000.0).contains(&options.speed) {
            return Err(StartError::Speed(options.speed));
        }
        Ok(Self { options })
    }

    pub fn urls(&self, base: u16) -> Urls {
        let url = |offset: u16| format!("http://127.0.0.1:{}", base + offset);
        let aws = self.options.aws_endpoint.as_deref().map(|url| url.trim_end_matches('/').to_owned());
        Urls {
            base,
            api: url(0),
            webhook: format!("{}/", url(1)),
            sandbox: url(2),
            aws: aws.unwrap_or_else(|| url(3)),
            issuer: url(4),
            runtime: url(5),
        }
    }

    pub fn inputs(&self, urls: &Urls) -> Inputs {
        let mut parameters = BTreeMap::from([
            ("MergeBaseUrl", format!("{}/api", urls.sandbox)),
            ("MergeApiKey", "dev-api-key".to_owned()),
            ("WebhookKeys", r#"["dev-webhook-key"]"#.to_owned()),
            ("OidcIssuer", urls.issuer.clone()),
            ("OidcAudience", "tether-local".to_owned()),
            ("OidcClientId", PAGE_CLIENT.to_owned()),
            ("LinkScriptUrl", format!("{}/initialize.js", urls.sandbox)),
            ("LinkApiHost", urls.sandbox.clone()),
            ("ImgSrcHosts", urls.sandbox.clone()),
            ("AllowInsecureIssuer", "true".to_owned()),
            // The sandbox has no plan unless it is given one: the first sync takes as long as this machine needs.
            ("PlanRequestsPerMinute", "6000".to_owned()),
        ])
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect::<BTreeMap<_, _>>();
        parameters.extend(self.options.parameters.clone());
        Inputs {
            stack_name: STACK.to_owned(),
            region: REGION.to_owned(),
            account_id: ACCOUNT_ID.to_owned(),
            aws_endpoint: urls.aws.clone(),
            api_endpoint: urls.api.clone(),
            function_url: urls.webhook.clone(),
            parameters,
        }
    }

    /// Audience of the local issuer's tokens.
    pub fn audience(&self) -> String {
        self.options.parameters.get("OidcAudience").cloned().unwrap_or_else(|| "tether-local".to_owned())
    }

    pub fn scope_prefix(&self) -> String {
        self.options.parameters.get("ScopePrefix").cloned().unwrap_or_else(|| "tether/".to_owned())
    }

    /// Where the local stack departs from the template.
    pub fn adjust(&self, deployment: &mut Deployment) {
        if self.options.aws_endpoint.is_none() {
            // Nothing here reads a stream, and with one the embedded DynamoDB reads all of its records
            // at each write to find the next sequence number.
            for table in &mut deployment.tables {
                if let Some(definition) = table.create.as_object_mut() {
                    definition.remove("StreamSpecification");
                }
            }
        }
        for queue in &mut deployment.queues {
            if let Some(attributes) = self.options.queue_attributes.get(&queue.logical_id) {
                queue.attributes.extend(attributes.clone());
            }
        }
    }

    /// The data directory, created if need be.
    pub fn data_dir(&self) -> Result<Option<PathBuf>, StartError> {
        let Some(path) = self.options.data_dir.clone() else {
            return Ok(None);
        };
        let made = std::fs::create_dir_all(&path).and_then(|()| path.canonicalize());
        made.map(Some).map_err(|source| StartError::DataDir { path, source })
    }

    pub fn functions(
        &self,
        deployment: &Deployment,
        urls: &Urls,
        origin: Timestamp,
    ) -> Result<Vec<HostedFunction>, StartError> {
        let schedule =
            [("SCHEDULE_SPEED", self.options.speed.to_string()), ("SCHEDULE_ORIGIN", origin.as_second().to_string())];
        let hosted = deployment.functions.iter().map(|function| {
            let binary = &function.binary;
            let executable = self.options.functions.get(binary).ok_or_else(|| StartError::MissingBinary {
                function: function.logical_id.clone(),
                binary: binary.clone(),
            })?;
            let mut environment = function.environment.clone();
            for (name, value) in &schedule {
                if let Some(known) = environment.get_mut(*name) {
                    known.clone_from(value);
                }
            }
            let credentials = self.credentials(binary);
            environment.insert("AWS_ENDPOINT_URL".to_owned(), urls.aws.clone());
            environment.insert("AWS_ACCESS_KEY_ID".to_owned(), credentials.access_key_id().to_owned());
            environment.insert("AWS_SECRET_ACCESS_KEY".to_owned(), credentials.secret_access_key().to_owned());
            if let Some(token) = credentials.session_token() {
                environment.insert("AWS_SESSION_TOKEN".to_owned(), token.to_owned());
            }
            environment.extend(self.options.environment.get(binary).cloned().unwrap_or_default());
            Ok(HostedFunction {
                binary: binary.clone(),
                executable: executable.clone(),
                timeout: Duration::from_secs(function.timeout_seconds),
                memory_mb: function.memory_mb,
                environment,
            })
        });
        hosted.collect()
    }

    pub fn schedules(
        &self,
        deployment: &Deployment,
        binaries: &BTreeMap<String, String>,
        origin: Timestamp,
    ) -> Result<Vec<ScheduleOptions>, StartError> {
        let options = deployment.schedules.iter().map(|schedule| {
            Ok(ScheduleOptions {
                binary: binary_of(binaries, "schedule", &schedule.function)?,
                every_seconds: schedule.every_seconds,
                input: schedule.input.clone(),
                origin,
                speed: self.options.speed,
            })
        });
        options.collect()
    }

    /// A client with the credentials of `binary`, or the stack's own for an empty name.
    pub fn sqs(&self, urls: &Urls, binary: &str) -> aws_sdk_sqs::Client {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(&urls.aws)
            .credentials_provider(self.credentials(binary))
            .build();
        aws_sdk_sqs::Client::from_conf(config)
    }

    /// Embedded: a key per function, so that its policy can be enforced. Elsewhere: the environment's.
    fn credentials(&self, binary: &str) -> Credentials {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        if self.options.aws_endpoint.is_some() {
            let key = variable("AWS_ACCESS_KEY_ID").unwrap_or_else(|| "test".to_owned());
            let secret = variable("AWS_SECRET_ACCESS_KEY").unwrap_or_else(|| SECRET_KEY.to_owned());
            return Credentials::new(key, secret, variable("AWS_SESSION_TOKEN"), None, "environment");
        }
        let key = if binary.is_empty() { "test".to_owned() } else { access_key(binary) };
        Credentials::new(key, SECRET_KEY, None, None, "local stack")
    }

    /// The template's outputs, and what only this machine has: a schedule that may run faster than time.
    pub fn outputs(&self, deployment: &Deployment, origin: Timestamp) -> BTreeMap<String, String> {
        let mut outputs = deployment.outputs.clone();
        outputs.insert("ScheduleSpeed".to_owned(), self.options.speed.to_string());
        outputs.insert("ScheduleOrigin".to_owned(), origin.as_second().to_string());
        outputs
    }

    pub fn ready(&self, urls: &Urls, deployment: &Deployment) -> Ready {
        let output = |name: &str| deployment.outputs.get(name).cloned().unwrap_or_default();
        Ready {
            version: 1,
            pid: std::process::id(),
            port_base: urls.base,
            page: format!("{}/", urls.api),
            api: urls.api.clone(),
            webhook: urls.webhook.clone(),
            merge: format!("{}/api", urls.sandbox),
            sandbox: format!("{}/_sandbox", urls.sandbox),
            aws: urls.aws.clone(),
            issuer: urls.issuer.clone(),
            token: format!("{}/token", urls.issuer),
            runtime: urls.runtime.clone(),
            region: REGION.to_owned(),
            tables: BTreeMap::from([
                ("accounts".to_owned(), output("AccountsTableName")),
                ("records".to_owned(), output("RecordsTableName")),
            ]),
            queue_url: output("SyncQueueUrl"),
            dlq_url: output("SyncDeadLetterQueueUrl"),
            data_dir: self.options.data_dir.clone(),
        }
    }
}

/// The access key id of a function at the embedded services.
pub(super) fn access_key(binary: &str) -> String {
    format!("local-{binary}")
}

/// Now, in whole seconds: where real time and the schedule's time agree.
pub(super) fn origin() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_second(now.as_secs() as i64).unwrap_or_default()
}

/// Cargo binaries by logical id.
pub(super) fn binaries(deployment: &Deployment) -> BTreeMap<String, String> {
    let functions = deployment.functions.iter();
    functions.map(|function| (function.logical_id.clone(), function.binary.clone())).collect()
}

/// Cargo binaries by the functions' names, as `!Ref` gives them.
pub(super) fn function_names(deployment: &Deployment) -> BTreeMap<String, String> {
    let functions = deployment.functions.iter();
    functions.map(|function| (format!("{STACK}-{}", function.logical_id), function.binary.clone())).collect()
}

pub(super) fn event_sources(
    deployment: &Deployment,
    binaries: &BTreeMap<String, String>,
) -> Result<Vec<EventSourceOptions>, StartError> {
    let options = deployment.event_sources.iter().map(|source| {
        let queue = deployment.queues.iter().find(|queue| queue.logical_id == source.queue);
        let queue = queue.ok_or_else(|| StartError::Dangling {
            what: "event source",
            name: source.queue.clone(),
            wanted: "queue",
        })?;
        let function = deployment.functions.iter().find(|function| function.logical_id == source.function);
        Ok(EventSourceOptions {
            queue_url: queue.url.clone(),
            queue_arn: queue.arn.clone(),
            region: REGION.to_owned(),
            binary: binary_of(binaries, "event source", &source.function)?,
            batch_size: source.batch_size,
            maximum_concurrency: source.maximum_concurrency,
            report_batch_item_failures: source.report_batch_item_failures,
            recursive_loop_allowed: function.is_some_and(|function| function.recursive_loop_allowed),
        })
    });
    options.collect()
}

fn binary_of(binaries: &BTreeMap<String, String>, what: &'static str, name: &str) -> Result<String, StartError> {
    let dangling = || StartError::Dangling { what, name: name.to_owned(), wanted: "function" };
    binaries.get(name).cloned().ok_or_else(dangling)
}
