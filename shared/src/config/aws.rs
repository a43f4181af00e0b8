//! The AWS SDK's configuration, from the environment that Lambda sets: credentials and region as
//! variables, an endpoint for the local stack. The default chain would look at files, instance
//! metadata and single sign-on as well, and cost the cold start for nothing.
//!
//! The SDK sends through the client of [`super::tls`], so it loads no root certificates of its own.
//! In the local stack and in tests `AWS_ENDPOINT_URL` names one endpoint for every service.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
pub use aws_sdk_kms::config::Credentials;
pub use aws_sdk_kms::config::ProvideCredentials;
use aws_sdk_kms::config::SharedCredentialsProvider;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

use super::tls::{TlsError, http_client};
use super::{Reader, Section};

/// Where AWS is.
#[derive(Clone, Debug)]
pub struct Aws {
    /// `AWS_REGION`: set by Lambda.
    pub region: String,
    /// `AWS_ENDPOINT_URL`, default AWS itself: one endpoint for every service.
    pub endpoint_url: Option<String>,
}

impl Section for Aws {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { region: reader.required("AWS_REGION"), endpoint_url: reader.optional("AWS_ENDPOINT_URL") }
    }
}

/// The SDK's configuration, from which every AWS client is made.
///
/// An attempt may take 3 s, an operation 8 s with at most 3 attempts: less than the time in which
/// a webhook must be answered, and than what API Gateway waits.
pub fn sdk_config(aws: &Aws) -> Result<SdkConfig, TlsError> {
    sdk_config_as(aws, EnvironmentVariableCredentialsProvider::new())
}

/// The same with other credentials than the environment's.
pub fn sdk_config_as(aws: &Aws, credentials: impl ProvideCredentials + 'static) -> Result<SdkConfig, TlsError> {
    Ok(sdk_config_through(http_client()?, aws, credentials))
}

/// The same through a client of its own, such as one of [`super::tls::client`]. Functions share theirs.
pub fn sdk_config_through(
    client: reqwest::Client,
    aws: &Aws,
    credentials: impl ProvideCredentials + 'static,
) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(3))
        .operation_timeout(Duration::from_secs(8))
        .build();
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(aws.region.clone()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(timeouts)
        .http_client(SharedClient(client));
    config.set_endpoint_url(aws.endpoint_url.clone());
    config.build()
}

/// The process's HTTP client in the SDK's clothes.
#[derive(Clone, Debug)]
struct SharedClient(reqwest::Client);

impl HttpClient for SharedClient {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        // Connect timeout is the client's own; attempt and operation timeouts are the SDK's.
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for SharedClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move { send(&client, request).await })
    }
}

async fn send(client: &reqwest::Client, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let (parts, body) = request.into_parts();
    // Every request of ours is small and in memory; a streaming body has no bytes to show.
    let body = body
        .bytes()
        .map(<[u8]>::to_vec)
        .ok_or_else(|| ConnectorError::user("a streaming request body is not supported".into()))?;
    let request = reqwest::Request::try_from(http::Request::from_parts(parts, body))
        .map_err(|error| ConnectorError::user(error.into()))?;
    let response = client.execute(request).await.map_err(connector_error)?;
    let response: http::Response<reqwest::Body> = response.into();
    let (parts, body) = response.into_parts();
    let body = reqwest::Response::from(http::Response::new(body));
    let body = body.bytes().await.map_err(connector_error)?;
    HttpResponse::try_from(http::Response::from_parts(parts, SdkBody::from(body)))
        .map_err(|error| ConnectorError::other(error.into(), None))
}

fn connector_error(error: reqwest::Error) -> ConnectorError {
    if error.is_timeout() { ConnectorError::timeout(error.into()) } else { ConnectorError::io(error.into()) }
}
