//! The AWS services over their wire, asked by the real AWS SDK.
//!
//! So that our queue is not its own judge, the tests of the modules `queues`, `dynamodb` and `kms` and the second
//! provisioning can be put to another implementation, such as MiniStack:
//! `AWS_JUDGE_ENDPOINT=http://127.0.0.1:4566 cargo test -p local-stack --test aws_wire queues:: -- --test-threads=1`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod dynamodb;
mod kms;
mod other_services;
mod policies;
mod provisioning;
mod queue_life;
mod queues;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use local_stack::aws::{Aws, AwsOptions};
use local_stack::deployment::Deployment;
use local_stack::template::{Inputs, load};

/// Starts the services on a free port, with their state in `data_dir` or in memory.
async fn start(data_dir: Option<&Path>) -> Aws {
    Aws::start(AwsOptions {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        data_dir: data_dir.map(Path::to_owned),
        region: "us-east-1".into(),
        account_id: "000000000000".into(),
    })
    .await
    .unwrap()
}

/// The endpoint of another implementation that is asked instead of ours.
fn judge() -> Option<String> {
    std::env::var("AWS_JUDGE_ENDPOINT").ok()
}

/// The endpoint under test.
fn endpoint(aws: &Aws) -> String {
    judge().unwrap_or_else(|| aws.endpoint())
}

/// An SDK configuration of the caller `access_key`.
async fn sdk(aws: &Aws, access_key: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .credentials_provider(Credentials::new(access_key, "test", None, None, "test"))
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint(aws))
        .load()
        .await
}

/// The real template's deployment with its services at `endpoint`.
fn deployment(endpoint: &str, api_key: &str) -> Deployment {
    let parameters = [
        ("MergeApiKey", api_key),
        ("WebhookKeys", r#"["dev-webhook-key"]"#),
        ("OidcIssuer", "http://127.0.0.1:9004"),
        ("OidcAudience", "tether-local"),
        ("OidcClientId", "tether-page"),
    ];
    let inputs = Inputs {
        stack_name: "tether-local".into(),
        region: "us-east-1".into(),
        account_id: "000000000000".into(),
        aws_endpoint: endpoint.into(),
        api_endpoint: "http://127.0.0.1:9000".into(),
        function_url: "http://127.0.0.1:9001/".into(),
        parameters: parameters
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<BTreeMap<_, _>>(),
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    load(&path, &inputs).unwrap_or_else(|error| panic!("{error}"))
}

/// A directory that is removed with its content at the end of a test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("local-stack-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}
