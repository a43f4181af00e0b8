//! Metrics: what a stack's functions and tables have counted, asked of CloudWatch.
//!
//! Its JSON protocol is spoken here, signed by AWS's own signer: the service's SDK brings a second HTTP stack and a
//! licence that this project does not take, for one call.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::config::aws::ProvideCredentials;
use shared::config::tls::{TlsError, http_client};

/// CloudWatch takes so many queries a call.
const QUERIES: usize = 500;
/// Seconds of one sum; finer than what is asked for, so that both ends of the time are met.
const PERIOD: u64 = 300;
const PATIENCE: Duration = Duration::from_secs(20);

/// The metrics of one stack.
pub struct Metrics {
    sdk: SdkConfig,
    /// Of what the functions count.
    pub namespace: String,
}

/// One metric and its dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    pub namespace: String,
    pub name: &'static str,
    pub dimensions: Vec<(&'static str, String)>,
}

#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    #[error("no credentials: {0}")]
    Credentials(String),
    #[error("the request cannot be signed: {0}")]
    Signature(String),
    #[error("no TLS client can be made")]
    Tls(#[from] TlsError),
    #[error("CloudWatch does not answer")]
    Unreachable(#[source] reqwest::Error),
    #[error("CloudWatch answers {status}: {code}")]
    Refused { status: u16, code: String },
    #[error("CloudWatch's answer cannot be read")]
    Unreadable(#[from] serde_json::Error),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    metric_data_results: Vec<Sum>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sum {
    id: String,
    #[serde(default)]
    values: Vec<f64>,
}

impl Metrics {
    pub fn new(sdk: SdkConfig, namespace: String) -> Self {
        Self { sdk, namespace }
    }

    /// A metric of the functions'.
    pub fn own(&self, metric: shared::telemetry::Metric) -> Counted {
        Counted { namespace: self.namespace.clone(), name: metric.name(), dimensions: Vec::new() }
    }

    /// The same of one kind.
    pub fn own_of(&self, metric: shared::telemetry::Metric, kind: &str) -> Counted {
        Counted { dimensions: vec![("Kind", kind.to_owned())], ..self.own(metric) }
    }

    /// The sum of each metric between two times, in their order; zero for what was never counted.
    pub async fn sums(&self, wanted: &[Counted], from: Timestamp, to: Timestamp) -> Result<Vec<f64>, MetricsError> {
        let mut sums = vec![0.0; wanted.len()];
        for (chunk, place) in wanted.chunks(QUERIES).zip((0..).step_by(QUERIES)) {
            let queries: Vec<Value> = chunk.iter().enumerate().map(|(n, counted)| query(n, counted)).collect();
            let mut token: Option<String> = None;
            loop {
                let mut ask = json!({
                    "StartTime": from.as_second(), "EndTime": to.as_second() + 1, "MetricDataQueries": queries,
                });
                if let Some(token) = &token {
                    ask["NextToken"] = token.as_str().into();
                }
                let answer: Answer = serde_json::from_slice(&self.call("GetMetricData", &ask).await?)?;
                for sum in answer.metric_data_results {
                    let n: Option<usize> = sum.id.strip_prefix('m').and_then(|n| n.parse().ok());
                    if let Some(slot) = n.and_then(|n| sums.get_mut(place + n)) {
                        *slot += sum.values.iter().sum::<f64>();
                    }
                }
                match answer.next_token {
                    Some(next) => token = Some(next),
                    None => break,
                }
            }
        }
        Ok(sums)
    }

    async fn call(&self, action: &str, input: &Value) -> Result<Vec<u8>, MetricsError> {
        let region = self.sdk.region().map(ToString::to_string).unwrap_or_default();
        let url = match self.sdk.endpoint_url() {
            Some(url) => format!("{}/", url.trim_end_matches('/')),
            None => format!("https://monitoring.{region}.amazonaws.com/"),
        };
        let body = serde_json::to_vec(input)?;
        let headers = [
            ("content-type", "application/x-amz-json-1.0".to_owned()),
            ("x-amz-target", format!("GraniteServiceVersion20100801.{action}")),
        ];
        let mut request = http::Request::post(&url);
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        let signature = |error: &dyn std::fmt::Display| MetricsError::Signature(error.to_string());
        let mut request = request.body(body).map_err(|error| signature(&error))?;

        let provider = self.sdk.credentials_provider();
        let provider = provider.ok_or_else(|| MetricsError::Credentials("there is no provider".to_owned()))?;
        let credentials = provider.provide_credentials().await;
        let identity = credentials.map_err(|error| MetricsError::Credentials(error.to_string()))?.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&region)
            .name("monitoring")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| signature(&error))?
            .into();
        let signed = headers.iter().map(|(name, value)| (*name, value.as_str()));
        let signable = SignableRequest::new("POST", url.as_str(), signed, SignableBody::Bytes(request.body()));
        let signed = sign(signable.map_err(|error| signature(&error))?, &parameters);
        let (instructions, _) = signed.map_err(|error| signature(&error))?.into_parts();
        instructions.apply_to_request_http1x(&mut request);

        let mut request = reqwest::Request::try_from(request).map_err(MetricsError::Unreachable)?;
        *request.timeout_mut() = Some(PATIENCE);
        let unreachable = |error: reqwest::Error| MetricsError::Unreachable(error.without_url());
        let answer = http_client()?.execute(request).await.map_err(unreachable)?;
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.map_err(unreachable)?.to_vec();
        if status == 200 {
            return Ok(bytes);
        }
        let fault: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let code = fault["__type"].as_str().unwrap_or("without a reason");
        Err(MetricsError::Refused { status, code: code.rsplit('#').next().unwrap_or(code).to_owned() })
    }
}

fn query(n: usize, counted: &Counted) -> Value {
    let dimensions: Vec<_> =
        counted.dimensions.iter().map(|(name, value)| json!({"Name": name, "Value": value})).collect();
    let metric = json!({"Namespace": counted.namespace, "MetricName": counted.name, "Dimensions": dimensions});
    json!({"Id": format!("m{n}"), "ReturnData": true, "MetricStat": {"Metric": metric, "Period": PERIOD, "Stat": "Sum"}})
}
