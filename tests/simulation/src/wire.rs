//! Wire: the AWS SDK's HTTP client of one process. Requests go to the run's [`Cloud`](crate::cloud) through the
//! process's gate; here AWS is made to throttle, to cancel transactions, to leave work undone and to serve stale reads.

use std::sync::Arc;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider, StalledStreamProtectionConfig};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use crate::cloud::{Answer, RECORDS};
use crate::happenings::Happening;
use crate::planted::{self, Manner};
use crate::process::{Deed, NoAnswer, Process};
use crate::sim::Sim;
use crate::watch;

/// See the module.
#[derive(Clone, Debug)]
pub struct Wire {
    sim: Sim,
    process: Arc<Process>,
}

impl Wire {
    /// The SDK configuration of a process. The SDK itself tries nothing again: every attempt is the store's own.
    pub fn sdk(sim: &Sim, process: &Arc<Process>) -> SdkConfig {
        let wire = Self { sim: sim.clone(), process: Arc::clone(process) };
        let credentials = Credentials::new("test", "test", None, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url("http://127.0.0.1:3")
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(wire)
            .build()
    }

    async fn answer(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let (service, action) = target.split_once('.').unwrap_or((&target, ""));
        let input: Value = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
        let mut call = Call { service: service.to_owned(), action: action.to_owned(), input };
        let manner = match self.sim.scenario().bug {
            Some(bug) if !self.process.is_quiet() => {
                planted::spoil(bug, &call.action, &mut call.input, &self.sim.now().to_string())
            }
            _ => Manner::AsAsked,
        };
        let planned = call.planned(&self.sim, &self.process);
        let deed = call.deed();
        let (sim, process) = (self.sim.clone(), Arc::clone(&self.process));
        let effect = async move {
            let answer = match (planned, manner) {
                (Some(refusal), _) => refusal,
                (None, Manner::AsAsked) => call.run(&sim, &process),
                (None, Manner::Never) => (200, json!({})),
                (None, Manner::DeletionsFirst) => {
                    let [deletions, commit] = planted::torn(&call.input).map(|input| Call { input, ..call.clone() });
                    let deleted = deletions.run(&sim, &process);
                    if deleted.0 == 200 { commit.run(&sim, &process) } else { deleted }
                }
                (None, Manner::Later) => {
                    tokio::spawn(call.clone().later(sim.clone(), Arc::clone(&process)));
                    (200, json!({}))
                }
            };
            if process.is_quiet() {
                return answer;
            }
            sim.tally().aws(&process.name, &call.service, &call.action, &call.input, &answer.1);
            let code = answer.1["__type"].as_str().unwrap_or_default().rsplit('#').next().unwrap_or_default();
            sim.note(&format!("{} {} {} {}{code}", process.name, call.action, call.subject(), answer.0));
            answer
        };
        let (status, body) = self.process.effect(&self.sim, deed, effect).await.map_err(|why| match why {
            NoAnswer::Unsent => ConnectorError::io("the connection was refused".into()),
            NoAnswer::Lost => ConnectorError::timeout("no answer came".into()),
        })?;
        let status = status.try_into().map_err(|_| ConnectorError::user("no HTTP status".into()))?;
        Ok(HttpResponse::new(status, SdkBody::from(body.to_string())))
    }
}

impl HttpClient for Wire {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().answer(request))
    }
}

#[derive(Clone)]
struct Call {
    service: String,
    action: String,
    input: Value,
}

fn refused(code: &str, message: &str) -> Answer {
    (400, json!({"__type": format!("com.amazonaws#{code}"), "message": message, "Message": message}))
}

/// A transaction that lost against another one over its first item.
fn cancelled(writes: usize) -> Answer {
    let rest = ", None".repeat(writes.saturating_sub(1));
    let text = "Transaction cancelled, please refer cancellation reasons for specific reasons";
    refused("TransactionCanceledException", &format!("{text} [TransactionConflict{rest}]"))
}

impl Call {
    fn deed(&self) -> Deed {
        match self.action.as_str() {
            "GetItem" | "BatchGetItem" | "Query" | "Decrypt" | "GetSecretValue" => Deed::Read,
            "PutItem" if self.input["TableName"] == RECORDS => Deed::Record,
            "TransactWriteItems" if self.subject().contains("CHANGE#") => Deed::Commit,
            _ => Deed::Write,
        }
    }

    /// An answer of AWS's that stands for something that went wrong there, if the dice say so.
    fn planned(&self, sim: &Sim, process: &Process) -> Option<Answer> {
        let (faults, mut chance) = (process.faults(sim), sim.chance());
        let conflicts = matches!(self.action.as_str(), "TransactWriteItems" | "PutItem" | "UpdateItem");
        let (refusal, happening) = if self.service.starts_with("DynamoDB") && conflicts && chance.hits(faults.conflict)
        {
            match self.input["TransactItems"].as_array().map_or(0, Vec::len) {
                0 => {
                    let refusal = refused("TransactionConflictException", "Transaction is ongoing for the item");
                    (refusal, Happening::Conflict)
                }
                writes => (cancelled(writes), Happening::Cancelled),
            }
        } else if chance.hits(faults.throttle) {
            (refused("ThrottlingException", "Rate exceeded"), Happening::Throttled)
        } else {
            return None;
        };
        process.fault();
        sim.happened(happening);
        Some(refusal)
    }

    async fn later(self, sim: Sim, process: Arc<Process>) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        if !process.is_dead() {
            self.run(&sim, &process);
        }
    }

    fn run(&self, sim: &Sim, process: &Process) -> Answer {
        let now = sim.now().as_millisecond().unsigned_abs();
        if self.service == "AmazonSQS" {
            sim.watch().public("a queue message", &self.input.to_string());
            let faults = process.faults(sim);
            if self.action == "SendMessageBatch" && sim.chance().hits(faults.unprocessed) {
                process.fault();
                return self.half_sent(sim, now);
            }
            return sim.cloud().sqs(&self.action, &self.input, now);
        }
        match self.service.as_str() {
            "TrentService" => sim.cloud().kms(&self.action, &self.input),
            "secretsmanager" => (200, json!({"Name": "keys", "SecretString": r#"["dev-webhook-key"]"#})),
            "AWSEvents" => {
                sim.watch().public("an event", &self.input.to_string());
                (200, json!({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}))
            }
            _ => self.dynamodb(sim, process),
        }
    }

    fn dynamodb(&self, sim: &Sim, process: &Process) -> Answer {
        let faults = process.faults(sim);
        match self.action.as_str() {
            "BatchGetItem" | "BatchWriteItem" if sim.chance().hits(faults.unprocessed) => {
                process.fault();
                return self.half(sim);
            }
            // Only reads of the index may be stale: all others ask for consistency.
            "Query" if self.input.get("IndexName").is_some() && sim.chance().hits(faults.stale) => {
                process.fault();
                let earlier = sim.watch().earlier(&self.input.to_string());
                if let Some(earlier) = earlier {
                    sim.happened(Happening::StaleRead);
                    return (200, earlier);
                }
            }
            "Query" | "GetItem"
                if self.input.get("IndexName").is_none()
                    && !process.is_quiet()
                    && self.input["ConsistentRead"] != Value::Bool(true) =>
            {
                sim.watch().broken(format!("a read that is not consistent: {}", self.input));
            }
            _ => {}
        }
        let late = sim.watch().late(&self.input);
        let answer = sim.cloud().dynamodb(&self.action, &self.input);
        if answer.0 == 200 {
            let happened = sim.watch().written(&self.action, &self.input);
            happened.into_iter().for_each(|what| sim.happened(what));
            if self.input.get("IndexName").is_some() {
                sim.watch().remember(self.input.to_string(), answer.1.clone());
            }
        }
        if let Some(late) = late {
            sim.happened(late);
        }
        answer
    }

    /// Sends the first half of a batch and names the rest as failed.
    fn half_sent(&self, sim: &Sim, now: u64) -> Answer {
        let mut input = self.input.clone();
        let Some(entries) = input["Entries"].as_array_mut() else { return sim.cloud().sqs(&self.action, &input, now) };
        let rest = entries.split_off(entries.len() / 2);
        sim.happened(Happening::HalfSent);
        let (status, mut answer) = match entries.is_empty() {
            true => (200, json!({"Successful": []})),
            false => sim.cloud().sqs(&self.action, &input, now),
        };
        let failed =
            rest.iter().map(|entry| json!({"Id": entry["Id"], "Code": "ServiceUnavailable", "SenderFault": false}));
        answer["Failed"] = failed.collect();
        (status, answer)
    }

    /// Does the first half of a batch and names the rest as unprocessed.
    fn half(&self, sim: &Sim) -> Answer {
        let mut input = self.input.clone();
        let mut left = json!({});
        sim.happened(Happening::Unprocessed);
        let (Some(tables), get) = (input["RequestItems"].as_object_mut(), self.action == "BatchGetItem") else {
            return refused("ValidationException", "no RequestItems");
        };
        for (table, requests) in tables.iter_mut() {
            let rest = if get { &mut requests["Keys"] } else { &mut *requests };
            let Some(rest) = rest.as_array_mut() else { continue };
            let kept = rest.len().div_ceil(2);
            let later = rest.split_off(kept);
            if !later.is_empty() {
                left[table] = if get { json!({"Keys": later, "ConsistentRead": true}) } else { json!(later) };
            }
        }
        let (status, mut answer) = sim.cloud().dynamodb(&self.action, &input);
        if status == 200 {
            let happened = sim.watch().written(&self.action, &input);
            happened.into_iter().for_each(|what| sim.happened(what));
            answer[if get { "UnprocessedKeys" } else { "UnprocessedItems" }] = left;
        }
        (status, answer)
    }

    /// What it is about, for the trace.
    fn subject(&self) -> String {
        let name = |item: &Value| {
            let (pk, sk) = watch::key(item);
            format!("{pk} {sk}")
        };
        match self.action.as_str() {
            "PutItem" => {
                let detail = match (self.input["Item"]["epoch"]["N"].as_str(), self.input["Item"]["n"]["N"].as_str()) {
                    (Some(epoch), Some(n)) => format!(" {epoch}.{n}"),
                    _ => String::new(),
                };
                name(&self.input["Item"]) + &detail
            }
            "GetItem" | "UpdateItem" | "DeleteItem" => name(&self.input["Key"]),
            "TransactWriteItems" => {
                let writes = self.input["TransactItems"].as_array().into_iter().flatten();
                let names = writes.map(|write| {
                    let write = write.as_object().and_then(|write| write.values().next()).unwrap_or(&Value::Null);
                    name(if write.get("Item").is_some() { &write["Item"] } else { &write["Key"] })
                });
                names.take(4).collect::<Vec<_>>().join(" + ")
            }
            "Query" => {
                let values = self.input["ExpressionAttributeValues"].as_object().into_iter().flatten();
                values.filter_map(|(_, value)| value["S"].as_str()).collect::<Vec<_>>().join(" ")
            }
            "SendMessage" => self.input["MessageBody"].as_str().unwrap_or_default().to_owned(),
            "SendMessageBatch" => format!("{} messages", self.input["Entries"].as_array().map_or(0, Vec::len)),
            _ => String::new(),
        }
    }
}
